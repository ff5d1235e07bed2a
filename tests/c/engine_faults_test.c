/* Every system call of the engine fails once. Goal: whatever fails, nothing
 * is released without its record, nothing is lost, and when the fault is gone
 * the engine goes on. Method: the calls are the test's own (file_faults.h);
 * the first run has its first call fail, the next its second, until a run
 * has fewer calls than that. */
#include "engine_scene.h"
#include "file_faults.h"

#include <limits.h>

#define CALLS_MAX 2000u

static unsigned failures; /* that were not absorbed */
static char prepared[64]; /* a directory as it was before the call under test */

static void prepare(void) {
    scratch_make(prepared, sizeof prepared, "prepared");
    shell("cp -a %s/. %s/", home, prepared);
    failures = 0;
}

static void restore_prepared(void) {
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s && cp -a %s %s", home, prepared, home);
    CHECK_EQ(system(command), 0);
}

static void arm(unsigned n) {
    faults = (file_faults){.fail_at = n};
}

/* 1 when the fault was met at all. */
static int disarm(void) {
    int met = faults.seen >= faults.fail_at;
    faults = (file_faults){.fail_at = 0};
    return met;
}

static void done(unsigned calls) {
    CHECK(calls < CALLS_MAX);
    printf("        %u calls, %u failures\n", calls - 1, failures);
    shell("rm -rf %s", prepared, "");
}

static void test_creating_fails_whole_at_every_call(void) {
    home_begin();
    prepare();
    unsigned n = 1;
    for (; n < CALLS_MAX; n++) {
        arm(n);
        sentinel_status status = engine_create();
        if (!disarm()) {
            CHECK_OK(status);
            break;
        }
        if (status == SENTINEL_OK) {
            restore_prepared();
            continue;
        }
        failures++;
        CHECK_EQ(count_files(".") - (unsigned)exists("lock"), 1);
    }
    CHECK(failures > 50);
    CHECK_OK(engine_open());
    expect_allowed();
    done(n);
}

/* Several segments, two snapshots, a torn tail and a frame in the spool. */
static void leave_much_to_do(void) {
    home_begin();
    options.snapshot_every = 60;
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
    for (int i = 0; i < 150; i++) {
        expect_allowed();
    }
    frame_policy();
    CHECK_OK(engine_take());
    engine_close();
    frame_command(SENTINEL_COMMAND_HALT);
    uint64_t ticket;
    CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
    /* Behind the last record of the last segment, as a killed writer leaves it. */
    char name[64] = "";
    for (uint64_t i = 0; i < 200; i++) {
        char candidate[64];
        snprintf(candidate, sizeof candidate, "log/%020llu.log", (unsigned long long)i);
        if (exists(candidate)) {
            memcpy(name, candidate, sizeof name);
        }
    }
    CHECK(strcmp(name, "log/00000000000000000000.log") != 0);
    int fd = open(in_home(name), O_RDWR);
    off_t at = 64;
    for (uint64_t size = 1; size != 0; at += size != 0 ? (off_t)size + 16 : 0) {
        CHECK_EQ(pread(fd, &size, 8, at), 8);
    }
    CHECK_EQ(pwrite(fd, "\x70\x02\0\0\0\0\0\0torn", 12, at), 12);
    close(fd);
}

static void open_at_every_call(void) {
    prepare();
    arm(UINT_MAX);
    CHECK_OK(engine_open());
    unsigned faults_last = faults.seen;
    CHECK(!disarm());
    engine_close();
    restore_prepared();
    int64_t now = scene.now;
    unsigned n = 1;
    /* The middle is one record after another: every eleventh call of it. */
    for (; n < CALLS_MAX; n += n < 120 || faults_last - n < 120 ? 1 : 11) {
        scene.now = now;
        arm(n);
        sentinel_status status = sentinel_engine_open(&engine, home, &options, scene.now);
        int met = disarm();
        CHECK((status == SENTINEL_OK) <= (engine != NULL));
        failures += status != SENTINEL_OK;
        if (engine != NULL) {
            /* Open or halted: nothing is signed before the halt is applied. */
            scene.session.agent = AGENT_A;
            const sentinel_view *view = sentinel_gate_view(sentinel_engine_context(engine));
            CHECK(status != SENTINEL_OK || view != NULL);
            CHECK(engine_sign()->verdict != SENTINEL_ALLOWED);
        }
        engine_close();
        /* The fault is gone. */
        CHECK_OK(engine_open());
        /* Halted; and the stop word, too, when the writer had no time to clear it. */
        CHECK(engine_sign()->reason == SENTINEL_REASON_KILL_SWITCH ||
              scene.outcome.reason == SENTINEL_REASON_CONTROL_STOP);
        frame_command(SENTINEL_COMMAND_RESUME);
        CHECK_OK(engine_take());
        expect_allowed();
        scene.sequences[SENTINEL_FRAME_COMMAND]--;
        scene.id--;
        CHECK_EQ(engine_state()->key_counters[0].uses, 151);
        engine_close();
        CHECK(log_count() > 154);
        CHECK(exists("spool/00000000000000000001.done"));
        restore_prepared();
        if (!met) {
            CHECK_OK(status);
            break;
        }
    }
    CHECK(failures > 30);
    done(n);
}

static void test_opening_goes_on_after_any_call_failed(void) {
    leave_much_to_do();
    open_at_every_call();
}

static void test_opening_from_genesis_goes_on_after_any_call_failed(void) {
    leave_much_to_do();
    shell("rm -f %s/snapshots/*", home, "");
    options.durability = SENTINEL_DURABILITY_FSYNC;
    open_at_every_call();
}

static void test_signing_releases_only_what_is_recorded_at_every_call(void) {
    static const uint8_t modes[] = {SENTINEL_DURABILITY_WRITE, SENTINEL_DURABILITY_FSYNC};
    for (unsigned m = 0; m < 2; m++) {
        home_begin();
        CHECK_OK(engine_create());
        options.snapshot_every = 1; /* and one at each order */
        options.durability = modes[m];
        failures = 0;
        unsigned n = 1;
        uint64_t released = 0;
        for (; n < CALLS_MAX; n++) {
            CHECK_OK(engine_open());
            CHECK_EQ(engine_state()->key_counters[0].uses, released);
            arm(n);
            const sentinel_outcome *outcome = engine_sign();
            int met = disarm();
            released += outcome->verdict == SENTINEL_ALLOWED;
            failures += outcome->verdict != SENTINEL_ALLOWED;
            CHECK((outcome->verdict == SENTINEL_ALLOWED) == (outcome->request.text_size != 0));
            CHECK(outcome->verdict != SENTINEL_ALLOWED || outcome->recorded);
            engine_close();
            CHECK(log_count() > released);
            if (!met) {
                CHECK_EQ(outcome->verdict, SENTINEL_ALLOWED);
                break;
            }
        }
        CHECK(n > 5);
        CHECK_EQ(failures, m == 0 ? 1 : 2); /* the write; the sync */
    }
}

static void test_submitting_stops_or_fails_at_every_call(void) {
    engine_begin();
    engine_close();
    frame_command(SENTINEL_COMMAND_HALT);
    prepare();
    unsigned n = 1;
    for (; n < CALLS_MAX; n++) {
        uint64_t ticket;
        arm(n);
        sentinel_status status =
            sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size);
        int met = disarm();
        failures += status != SENTINEL_OK;
        CHECK_OK(engine_open());
        const sentinel_outcome *outcome = engine_sign();
        CHECK(status != SENTINEL_OK || outcome->reason == SENTINEL_REASON_KILL_SWITCH);
        engine_close();
        restore_prepared();
        if (!met) {
            CHECK_OK(status);
            break;
        }
    }
    CHECK(failures > 8);
    done(n);
}

static void test_applying_the_spool_answers_once_at_every_call(void) {
    engine_begin();
    engine_close();
    prepare();
    unsigned n = 1;
    for (; n < CALLS_MAX; n++) {
        CHECK_OK(engine_open());
        uint64_t ticket, before = engine_state()->record_count;
        frame_command(SENTINEL_COMMAND_HALT);
        CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
        arm(n);
        sentinel_status status = sentinel_engine_spool(engine, scene.now);
        int met = disarm();
        failures += status != SENTINEL_OK;
        /* Stopped in any case: by the halt, the open ticket, or the log. */
        CHECK(engine_sign()->verdict != SENTINEL_ALLOWED);
        engine_close();
        CHECK_OK(engine_open());
        CHECK(exists("spool/00000000000000000001.done"));
        CHECK(engine_state()->record_count > before);
        engine_close();
        restore_prepared();
        if (!met) {
            CHECK_OK(status);
            break;
        }
    }
    CHECK(failures > 2);
    done(n);
}

static void test_reading_says_so_when_a_call_fails(void) {
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    engine_begin();
    for (int i = 0; i < 100; i++) {
        expect_allowed();
    }
    engine_close();
    uint64_t count = log_count();
    int fd = open(in_home("log"), O_RDONLY | O_DIRECTORY);
    failures = 0;
    unsigned n = 1;
    for (; n < CALLS_MAX; n++) {
        sentinel_log_reader reader;
        sentinel_record record;
        arm(n);
        sentinel_status status = sentinel_log_reader_open(&reader, fd, 95);
        while (status == SENTINEL_OK) {
            status = sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer);
        }
        int met = disarm();
        uint64_t reached = reader.next;
        sentinel_log_reader_close(&reader);
        if (!met) {
            CHECK_EQ(status, SENTINEL_AUDIT_END);
            CHECK_EQ(reached, count);
            break;
        }
        CHECK(status == SENTINEL_IO_OPEN || status == SENTINEL_IO_READ);
        failures++;
    }
    close(fd);
    CHECK(failures > 50);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    scratch = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    RUN(test_creating_fails_whole_at_every_call);
    RUN(test_opening_goes_on_after_any_call_failed);
    RUN(test_opening_from_genesis_goes_on_after_any_call_failed);
    RUN(test_signing_releases_only_what_is_recorded_at_every_call);
    RUN(test_submitting_stops_or_fails_at_every_call);
    RUN(test_applying_the_spool_answers_once_at_every_call);
    RUN(test_reading_says_so_when_a_call_fails);
    faults = (file_faults){.fail_at = 0};
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
