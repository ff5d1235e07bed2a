/* kill -9 at every system call. Goal: whichever call of a command that changes
 * the directory is the last, nothing that was acknowledged is lost, nothing
 * lifts a halt, and the log verifies and replays. Method: the calls are the
 * test's own (crash_trace.h); the command runs in a process that kills itself
 * before, behind, or (a write) in the middle of call n, for each n; then
 * crash_scene.h judges what is left. */
#include "crash_commands.h"

/* With those of power loss, at least the 5,000 that the project promises. */
#define KILL_POINTS_MIN 1500u

static unsigned points;
static unsigned failed;

static const char *const hows[] = {"before", "in the middle of", "behind"};

/* One death; 0 when the judge found something. */
static int is_survived(unsigned at, trace_death how, unsigned calls) {
    command_reset();
    int is_killed = run_in_child(command->run, at, how);
    CHECK(is_killed);
    points++;
    const char *wrong = judge(notes->count, 0);
    if (wrong != NULL && lie == LIE_NOTHING) {
        printf("    %s, killed %s call %u of %u: %s\n", command->name, hows[how], at, calls, wrong);
    }
    failed += wrong != NULL;
    return wrong == NULL;
}

/* The trace is complete: what it says is what is there. */
static unsigned calls_of_command(void) {
    command_reset();
    CHECK(!run_in_child(command->run, 0, DIE_AFTER));
    if (lie == LIE_NOTHING) {
        for (unsigned i = 0; i < trace->count; i++) {
            disk_apply(&trace->events[i]);
        }
        disk_must_be(home);
        const char *wrong = judge(notes->count, 0);
        if (wrong != NULL) {
            printf("    %s, killed at its end: %s\n", command->name, wrong);
        }
        CHECK(wrong == NULL);
    }
    return trace->calls;
}

static void kill_command(const crash_command *row) {
    static uint8_t is_write[TRACE_EVENTS_MAX];
    command_prepare(row);
    unsigned calls = calls_of_command();
    CHECK(calls > 0 && calls < TRACE_EVENTS_MAX);
    memcpy(is_write, trace->is_write, sizeof is_write);
    for (unsigned at = 1; at <= calls; at += CRASH_STRIDE) {
        (void)is_survived(at, DIE_BEFORE, calls);
        if (is_write[at]) {
            (void)is_survived(at, DIE_MIDDLE, calls);
        }
        (void)is_survived(at, DIE_AFTER, calls);
    }
}

static void kill_all(uint8_t mode, const char *name) {
    unsigned points_before = points;
    durability = mode;
    failed = 0;
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        unsigned before = points;
        kill_command(&commands[i]);
        printf("        %-26s %5u points\n", commands[i].name, points - before);
    }
    printf("        %s: %u commands, %u points, %u not recovered\n", name, (unsigned)COMMAND_COUNT,
           points - points_before, failed);
    CHECK_EQ(failed, 0);
}

static void test_a_kill_at_any_call_loses_nothing_with_fsync(void) {
    kill_all(SENTINEL_DURABILITY_FSYNC, "fsync");
}

static void test_a_kill_at_any_call_loses_nothing_with_write(void) {
    kill_all(SENTINEL_DURABILITY_WRITE, "write");
}

/* Between the stores of a frame: audit_steps_test.c. */
static void test_a_kill_at_any_call_loses_nothing_with_a_mapped_log(void) {
    kill_all(SENTINEL_DURABILITY_MAPPED, "mapped");
}

/* The harness can fail: a record that is written late is missed. */
static void test_a_record_that_is_written_too_late_is_seen(void) {
    static void (*const runs[])(void) = {run_halt,  run_approve,     run_reject,  run_reports,
                                         run_beats, run_positions,   run_witness, run_gap,
                                         run_clock, run_resume_venue};
    unsigned before = points;
    durability = SENTINEL_DURABILITY_WRITE;
    lie = LIE_WRITE_LATE;
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        for (unsigned j = 0; j < sizeof runs / sizeof runs[0]; j++) {
            failed = 0;
            if (commands[i].run == runs[j]) {
                kill_command(&commands[i]);
                printf("        %s, a planted break: %u points fail\n", commands[i].name, failed);
                CHECK(failed > 0 || CRASH_STRIDE > 1);
            }
        }
    }
    lie = LIE_NOTHING;
    points = before; /* They prove the harness, not the core. */
}

static void test_the_points_are_as_many_as_promised(void) {
    CHECK(points >= KILL_POINTS_MIN || CRASH_STRIDE > 1);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    scratch = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    RUN(test_a_kill_at_any_call_loses_nothing_with_fsync);
    RUN(test_a_kill_at_any_call_loses_nothing_with_write);
    RUN(test_a_kill_at_any_call_loses_nothing_with_a_mapped_log);
    RUN(test_a_record_that_is_written_too_late_is_seen);
    RUN(test_the_points_are_as_many_as_promised);
    printf("        killed at %u points\n", points);
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
