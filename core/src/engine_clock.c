/* The machine's clock, watched beside one that only runs: a jump ahead halts
 * the engine before the time that it brings is used (docs/2-policy.md, "The
 * clock"). A step back is the gate's matter. */
#include "engine_internal.h"

#include <time.h>

/* Clocks are slewed by less than this, one part in so many. */
#define CLOCK_SLEW 1000

static int read_clock(int64_t *ns, clockid_t id) {
    struct timespec at;
    if (clock_gettime(id, &at) != 0 || at.tv_sec < 0) {
        return 0;
    }
    *ns = (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
    return 1;
}

uint64_t engine_wall_ns(void) {
    int64_t wall_ns;
    return read_clock(&wall_ns, CLOCK_REALTIME) ? (uint64_t)wall_ns : 0;
}

static int64_t tolerance_of(const sentinel_engine *engine) {
    const sentinel_view *view = sentinel_gate_view(engine->context);
    return view != NULL ? view->bundle.policy->clock_tolerance_ns : ENGINE_CLOCK_TOLERANCE_NS;
}

/* Whether the two clocks are exactly as far apart as when they were last read:
 * nothing set either of them since. Read by the kernel's last tick, which takes a
 * fifth of the time; its two have the same rate. Where a tick comes between the
 * two, or the machine slept, they are read in full. */
static int is_unchanged(sentinel_engine *engine, int64_t *tick_ns, int64_t *tick_apart_ns) {
    int64_t wall_ns;
    if (!read_clock(&wall_ns, CLOCK_REALTIME_COARSE) ||
        !read_clock(tick_ns, CLOCK_MONOTONIC_COARSE)) {
        return 0;
    }
    *tick_apart_ns = wall_ns - *tick_ns;
    if (engine->clock_running_ns == 0 || engine->clock_ahead_ns != 0 ||
        *tick_apart_ns != engine->clock_tick_apart_ns) {
        return 0;
    }
    engine->clock_running_ns += *tick_ns - engine->clock_tick_ns;
    engine->clock_tick_ns = *tick_ns;
    return 1;
}

int64_t engine_clock(sentinel_engine *engine, int64_t now_ns) {
    int64_t wall_ns;
    int64_t running_ns;
    int64_t tick_ns = 0;
    int64_t tick_apart_ns = 0;
    if (is_unchanged(engine, &tick_ns, &tick_apart_ns)) {
        return now_ns;
    }
    if (!read_clock(&wall_ns, CLOCK_REALTIME) || !read_clock(&running_ns, CLOCK_BOOTTIME)) {
        return now_ns;
    }
    int64_t apart_ns = wall_ns - running_ns;
    int64_t ahead_ns = apart_ns - engine->clock_apart_ns;
    int64_t slewed_ns = (running_ns - engine->clock_running_ns) / CLOCK_SLEW;
    /* Those who resumed the engine took the time as it is. */
    int resumed = engine->clock_ahead_ns != 0 && sentinel_gate_state(engine->context)->halted == 0;
    if (engine->clock_running_ns == 0 || resumed || ahead_ns <= tolerance_of(engine) + slewed_ns) {
        engine->clock_apart_ns = apart_ns;
        engine->clock_running_ns = running_ns;
        engine->clock_ahead_ns = 0;
        engine->clock_tick_ns = tick_ns;
        engine->clock_tick_apart_ns = tick_apart_ns;
        return now_ns;
    }
    engine->clock_ahead_ns = ahead_ns;
    now_ns = now_ns > ahead_ns ? now_ns - ahead_ns : 0;
    sentinel_gate_halt(engine->context, SENTINEL_USAGE_STATE, now_ns);
    return now_ns;
}

int engine_is_behind(const sentinel_engine *engine, int64_t now_ns) {
    int64_t last_ns = sentinel_gate_state(engine->context)->last_now_ns;
    return now_ns < last_ns && last_ns - now_ns > tolerance_of(engine);
}

int64_t engine_clock_of(const sentinel_engine *engine, const void *frame, size_t size,
                        int64_t now_ns) {
    sentinel_frame_header header;
    if (engine->clock_ahead_ns == 0 || size < sizeof header) {
        return now_ns;
    }
    memcpy(&header, frame, sizeof header);
    /* Where the jump put the clock right, people's commands are of that time.
     * None but theirs: whatever is recorded, refused or not, takes the log
     * there, and it does not come back. */
    int64_t ahead_ns = now_ns + engine->clock_ahead_ns;
    return header.kind == SENTINEL_FRAME_COMMAND &&
                   header.issued_ns > now_ns + SENTINEL_FRAME_AHEAD_NS &&
                   sentinel_gate_check(engine->context, frame, size, ahead_ns) == SENTINEL_OK
               ? ahead_ns
               : now_ns;
}
