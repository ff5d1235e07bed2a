/* The arithmetic of the daemon's clock; module_clock.c does what it says. */
#include "clock.h"

#include "bytes.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAME_FILE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define MILLISECOND_NS INT64_C(1000000)

void clock_name(char name[CLOCK_NAME_BYTES]) {
    memset(name, 0, CLOCK_NAME_BYTES);
    int fd = open(NAME_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, name, CLOCK_NAME_BYTES - 1) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    for (size_t i = 0; i < CLOCK_NAME_BYTES; i++) {
        if ((ssize_t)i >= got || name[i] <= ' ' || name[i] > '~') {
            memset(name + i, 0, CLOCK_NAME_BYTES - i);
            break;
        }
    }
}

/* They count what the processor counts, at a rate that the hypervisor names or the
 * kernel measured. All others are stand-ins; the kernel's own ticks get lost. */
int clock_name_is_good(const char *name) {
    static const char *const good[] = {"kvm-clock", "tsc", "tsc-early", "arch_sys_counter"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (strcmp(name, good[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static int64_t drift_in(int64_t elapsed_ns) {
    return elapsed_ns / 1000000 * (int64_t)CLOCK_DRIFT_PPM;
}

static int64_t magnitude(int64_t ns) {
    return ns < 0 ? -ns : ns;
}

/* The source looked at its clock somewhere within the call, and cut off below its
 * millisecond. */
clock_reading clock_read(int64_t before_ns, int64_t after_ns, uint64_t source_ms) {
    int64_t source_ns = (int64_t)source_ms * MILLISECOND_NS;
    int64_t low_ns = before_ns - source_ns - MILLISECOND_NS;
    int64_t high_ns = after_ns - source_ns;
    return (clock_reading){.source_ns = source_ns,
                           .middle_ns = low_ns + (high_ns - low_ns) / 2,
                           .half_ns = (high_ns - low_ns + 1) / 2};
}

uint8_t clock_judge(const clock_watch *w, const clock_reading *reading, int64_t running_ns) {
    int64_t least_ns = magnitude(reading->middle_ns) - reading->half_ns;
    int64_t stated_ns = CLOCK_OFF_NS;
    if (w->compared_ns != 0 && w->result == SENTINEL_CLOCK_GOOD) {
        int64_t grown_ns = w->bound_ns + drift_in(running_ns - w->compared_ns);
        stated_ns = grown_ns < stated_ns ? grown_ns : stated_ns;
    }
    /* What can only be too far off is, however long the call took. */
    if (least_ns > stated_ns) {
        return SENTINEL_CLOCK_EXCEEDED;
    }
    return reading->half_ns <= (CLOCK_CALL_NS_MAX + MILLISECOND_NS) / 2 ? SENTINEL_CLOCK_GOOD : 0;
}

void clock_note(clock_watch *w, sentinel_clock *clock, const clock_reading *reading, uint8_t result,
                int64_t running_ns, int64_t now_ns) {
    w->compared_ns = running_ns;
    w->until_ns = result == SENTINEL_CLOCK_GOOD ? now_ns + w->holds_ns : now_ns;
    w->bound_ns = magnitude(reading->middle_ns) + reading->half_ns;
    w->result = result;
    /* What may be nothing but the call's own length is not corrected. */
    w->left_ns = result == SENTINEL_CLOCK_GOOD && magnitude(reading->middle_ns) > reading->half_ns
                     ? -reading->middle_ns
                     : 0;
    *clock = (sentinel_clock){
        .source = SENTINEL_CLOCK_NSM,
        .result = result,
        .drift_ppm = CLOCK_DRIFT_PPM,
        .source_ns = reading->source_ns,
        .offset_ns = reading->middle_ns,
        .bound_ns = w->bound_ns,
        .until_ns = w->until_ns,
    };
    memcpy(clock->name, w->name, sizeof clock->name);
}

int64_t clock_step(clock_watch *w, int64_t running_ns) {
    int64_t most_ns = w->stepped_ns != 0 ? drift_in(running_ns - w->stepped_ns) : 0;
    w->stepped_ns = running_ns;
    int64_t by_ns = w->left_ns;
    by_ns = by_ns > most_ns ? most_ns : by_ns;
    by_ns = by_ns < -most_ns ? -most_ns : by_ns;
    w->left_ns -= by_ns;
    return by_ns;
}

int clock_is_due(const clock_watch *w, int64_t running_ns) {
    int64_t retry_ns = w->every_ns < CLOCK_RETRY_NS ? w->every_ns : CLOCK_RETRY_NS;
    return running_ns - w->compared_ns >= w->every_ns && running_ns - w->tried_ns >= retry_ns;
}
