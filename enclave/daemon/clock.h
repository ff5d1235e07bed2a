/* The daemon's clock: compared again and again with what knows better, corrected by
 * little, its error in the record. enclave/PROTOCOL.md, "Time". */
#ifndef SENTINEL_DAEMON_CLOCK_H
#define SENTINEL_DAEMON_CLOCK_H

#include <sentinel/engine.h>

#define CLOCK_OFF_NS INT64_C(500000000)     /* more than that halts; at the start it is set */
#define CLOCK_EVERY_NS INT64_C(60000000000) /* between two comparisons */
#define CLOCK_RETRY_NS INT64_C(5000000000)  /* after one that failed */
#define CLOCK_HOLDS_NS INT64_C(300000000000)
#define CLOCK_CALL_NS_MAX INT64_C(500000000) /* a longer call compares nothing */
#define CLOCK_DRIFT_PPM 1000u /* the most that a clock runs off, and that it is corrected by */
#define CLOCK_NAME_BYTES 24u

/* What a comparison gave: the engine's time less the source's is within half_ns of
 * middle_ns. */
typedef struct clock_reading {
    int64_t source_ns;
    int64_t middle_ns;
    int64_t half_ns;
} clock_reading;

/* What was said of the clock last. */
typedef struct clock_watch {
    int64_t every_ns, holds_ns; /* CLOCK_EVERY_NS, CLOCK_HOLDS_NS */
    int64_t compared_ns;        /* by the clock that only runs; 0: never */
    int64_t tried_ns;           /* the same, of the last attempt */
    int64_t until_ns;           /* how long it holds, by the engine's time */
    int64_t bound_ns;
    int64_t left_ns;    /* to correct by */
    int64_t stepped_ns; /* when it was corrected last; the clock that only runs */
    uint8_t result;     /* SENTINEL_CLOCK_* */
    uint8_t reserved[7];
    char name[CLOCK_NAME_BYTES]; /* of the kernel's clock source; empty: not known */
} clock_watch;

/* The kernel's name of its clock source; empty: it says none. */
void clock_name(char name[CLOCK_NAME_BYTES]);

/* 1: a clock source that an enclave may go by. */
int clock_name_is_good(const char *name);

/* From the time before and after a call that gave the source's own, of 1 ms. */
clock_reading clock_read(int64_t before_ns, int64_t after_ns, uint64_t source_ms);

/* Judges a reading against what was said before. Returns: SENTINEL_CLOCK_GOOD,
 * _EXCEEDED; 0: it says nothing, the call took too long. */
uint8_t clock_judge(const clock_watch *w, const clock_reading *reading, int64_t running_ns);

/* Notes a judged reading: what to record, and by how much to correct. */
void clock_note(clock_watch *w, sentinel_clock *clock, const clock_reading *reading, uint8_t result,
                int64_t running_ns, int64_t now_ns);

/* How much of the correction is due by now; takes it off. */
int64_t clock_step(clock_watch *w, int64_t running_ns);

/* 1: it is time to compare. */
int clock_is_due(const clock_watch *w, int64_t running_ns);

#endif
