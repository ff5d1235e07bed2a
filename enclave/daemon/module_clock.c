/* The module's time comes with its documents alone, to the millisecond. */
#include "module_clock.h"

#include <stdio.h>
#include <time.h>

#include "bytes.h"
#include "check.h"
#include "files.h"
#include "server.h"

#define TIME_MS_MAX (UINT64_C(1) << 43) /* the year 2248 */

static sentinel_status ask(enclave *e, document *made, const enclave_facts *facts) {
    SENTINEL_TRY(enclave_time(e, made, facts));
    return made->time_ms < TIME_MS_MAX ? SENTINEL_OK : SENTINEL_ENCLAVE_MODULE;
}

sentinel_status module_clock_set(enclave *e, const enclave_facts *facts, document *made) {
    SENTINEL_TRY(ask(e, made, facts));
    int64_t off_ns = (int64_t)made->time_ms * 1000000 - server_wall_ns();
    if (off_ns > -CLOCK_OFF_NS && off_ns < CLOCK_OFF_NS) {
        return SENTINEL_OK;
    }
    const struct timespec to = {.tv_sec = (time_t)(made->time_ms / 1000),
                                .tv_nsec = (long)(made->time_ms % 1000) * 1000000};
    if (clock_settime(CLOCK_REALTIME, &to) != 0) {
        return SENTINEL_IO_OPEN;
    }
    (void)fprintf(stderr, "sentineld: the clock was %lld ms off, and is set by the module's\n",
                  (long long)(off_ns / 1000000));
    return SENTINEL_OK;
}

static sentinel_status keep(const document *made, int dir_fd) {
    char name[sizeof "bundles/" + 64] = "bundles/";
    bytes_to_hex(name + 8, made->digest32, 32);
    name[8 + 64] = 0;
    return files_save(dir_fd, name, made->bytes, made->size, 0);
}

static void tell(const clock_reading *reading) {
    (void)fprintf(stderr, "sentineld: the clock is %lld ms off the module's: halted\n",
                  (long long)(reading->middle_ns / 1000000));
}

sentinel_status module_clock_compare(clock_watch *w, sentinel_engine *engine, enclave *e,
                                     const enclave_facts *facts, document *made, int dir_fd) {
    sentinel_context *context = sentinel_engine_context(engine);
    sentinel_clock clock;
    w->tried_ns = server_running_ns();
    int64_t before_ns = server_wall_ns();
    SENTINEL_TRY(ask(e, made, facts));
    int64_t after_ns = server_wall_ns(), running_ns = server_running_ns();
    const clock_reading reading = clock_read(before_ns, after_ns, made->time_ms);
    uint8_t result = clock_judge(w, &reading, running_ns);
    if (result == 0) {
        return SENTINEL_ENCLAVE_MODULE; /* it took too long to say anything */
    }
    int again = result == SENTINEL_CLOCK_EXCEEDED && w->result == result;
    clock_note(w, &clock, &reading, result, running_ns, after_ns);
    if (again && sentinel_gate_state(context)->halted != 0) {
        return SENTINEL_OK; /* said already */
    }
    if (dir_fd >= 0) {
        SENTINEL_TRY(keep(made, dir_fd));
        memcpy(clock.document32, made->digest32, 32);
    }
    SENTINEL_TRY(
        sentinel_engine_note(engine, NULL, SENTINEL_RECORD_CLOCK, &clock, sizeof clock, after_ns));
    if (result == SENTINEL_CLOCK_EXCEEDED) {
        tell(&reading);
        sentinel_gate_halt(context, SENTINEL_ENCLAVE_CLOCK, after_ns);
    }
    return SENTINEL_OK;
}
