/* A clock that jumps ahead while the engine is open: the engine halts before
 * the wrong time is used, and k of n resume it in either time. */
#include "engine_scene.h"

#include <time.h>

/* The machine's clocks, as this test has them. */
static int64_t wall_ns = START_NS, running_ns = 1000 * SECOND_NS, slept_ns;
static unsigned readings; /* in full */
int clock_gettime(clockid_t id, struct timespec *at) {
    int64_t ns = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? wall_ns
                 : id == CLOCK_BOOTTIME                              ? running_ns
                                                                     : running_ns - slept_ns;
    readings += id == CLOCK_BOOTTIME;
    *at = (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
    return 0;
}

static void jump(int64_t by_ns) {
    wall_ns += by_ns;
    scene.now += by_ns;
}

static void pass(int64_t span_ns) {
    running_ns += span_ns;
    jump(span_ns);
}

static void begin(void) {
    engine_begin();
    pass(SECOND_NS);
    expect_allowed();
}

#define YEAR_NS (365 * 86400 * SECOND_NS)

static void test_a_jump_of_the_tolerance_passes_and_one_past_halts(void) {
    begin();
    jump(SECOND_NS); /* the policy's tolerance */
    expect_allowed();
    jump(SECOND_NS + 1);
    int64_t last_ns = engine_state()->last_now_ns;
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
    CHECK_EQ(engine_state()->halted, SENTINEL_USAGE_STATE);
    CHECK(engine_state()->last_now_ns < last_ns + SECOND_NS); /* not of the wrong time */
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
    jump(-SECOND_NS - 1); /* set right: it stays halted */
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
    frame_command(SENTINEL_COMMAND_RESUME);
    CHECK_OK(engine_take());
    expect_allowed();
}

static void test_a_jump_far_ahead_leaves_no_record_of_it(void) {
    begin();
    jump(10 * YEAR_NS);
    int64_t last_ns = engine_state()->last_now_ns;
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
    CHECK_OK(sentinel_engine_spool(engine, scene.now));
    /* Who has the right time may halt, in words, what is halted already. */
    scene.now -= 10 * YEAR_NS;
    frame_command(SENTINEL_COMMAND_HALT);
    scene.now += 10 * YEAR_NS;
    CHECK_OK(engine_take());
    engine_close(); /* and nothing that closing writes is of it */
    wall_ns -= 10 * YEAR_NS;
    scene.now -= 10 * YEAR_NS;
    CHECK_OK(engine_open());
    CHECK(engine_state()->last_now_ns < last_ns + 60 * SECOND_NS);
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
    frame_command(SENTINEL_COMMAND_RESUME);
    CHECK_OK(engine_take());
    expect_allowed();
}

/* Whoever can reach the spool can leave bytes that look like a command. */
static void test_nobody_else_takes_the_log_to_the_time_of_a_jump(void) {
    begin();
    jump(10 * YEAR_NS);
    int64_t last_ns = engine_state()->last_now_ns;
    frame_command(SENTINEL_COMMAND_RESUME);
    scene.frame[scene.frame_size - 1] ^= 1;           /* no operator's */
    CHECK_EQ(engine_take(), SENTINEL_POLICY_EXPIRED); /* by the time that the engine goes by */
    CHECK(engine_state()->last_now_ns < last_ns + 60 * SECOND_NS);
    jump(-10 * YEAR_NS);
    frame_command(SENTINEL_COMMAND_RESUME);
    CHECK_OK(engine_take());
    expect_allowed();
}

static void test_a_jump_that_put_the_clock_right_is_resumed_in_its_time(void) {
    begin();
    jump(YEAR_NS);
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
    frame_command(SENTINEL_COMMAND_RESUME); /* issued in the new time */
    CHECK_OK(engine_take());
    expect_allowed();
    CHECK_EQ(scene.outcome.now_ns, scene.now);
    pass(SECOND_NS);
    expect_allowed();
    jump(SECOND_NS + 1); /* and the next jump is seen again */
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
}

static void test_slewing_is_no_jump(void) {
    begin();
    pass(10000 * SECOND_NS);
    jump(10 * SECOND_NS + SECOND_NS); /* a thousandth, and the tolerance */
    expect_allowed();
    pass(10000 * SECOND_NS);
    jump(10 * SECOND_NS + SECOND_NS + 1);
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
}

static void test_clocks_that_nothing_set_are_read_by_their_ticks(void) {
    begin();
    const unsigned before = readings;
    for (int i = 0; i < 10; i++) {
        pass(1000 * SECOND_NS);
        expect_allowed();
    }
    CHECK_EQ(readings, before);
    jump(SECOND_NS + 1); /* what passed meanwhile allows no more */
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
}

static void test_a_machine_that_slept_did_not_jump(void) {
    begin();
    pass(3600 * SECOND_NS);
    slept_ns += 3600 * SECOND_NS;
    expect_allowed();
    jump(SECOND_NS); /* the tolerance, still */
    expect_allowed();
    pass(SECOND_NS);
    jump(SECOND_NS + 1000001);
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
}

static void test_a_step_back_is_as_it_was(void) {
    begin();
    jump(-SECOND_NS / 2);
    expect_allowed();
    jump(-SECOND_NS);
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
}

/* It went wrong while the engine was closed, and was put right before or while
 * it is open again. */
static void test_a_start_far_ahead_is_set_back(void) {
    for (int open = 0; open < 2; open++) {
        begin();
        engine_close();
        jump(10 * YEAR_NS);
        CHECK_OK(engine_open());
        int64_t last_ns = engine_state()->last_now_ns;
        if (!open) {
            engine_close();
        }
        jump(-10 * YEAR_NS);
        if (!open) {
            CHECK_OK(engine_open());
        }
        expect_denied(SENTINEL_REASON_ENGINE_HALTED);
        CHECK_EQ(engine_state()->last_now_ns, last_ns);
        frame_command(SENTINEL_COMMAND_RESUME);
        CHECK_EQ(engine_take(), SENTINEL_POLICY_EXPIRED);
        scene_set_clock(&scene, last_ns);
        CHECK_OK(engine_take());
        expect_allowed();
        CHECK_EQ(scene.outcome.now_ns, scene.now);
        /* A start reads it again: from a snapshot, and from the records alone. */
        for (int records = 0; records < 2; records++) {
            engine_close();
            if (records) {
                shell("rm %s", in_home("snapshots/*"), "");
            }
            CHECK_OK(engine_open());
            CHECK_EQ(engine_state()->halted, 0);
            CHECK_EQ(engine_state()->last_now_ns, scene.now);
            expect_allowed();
        }
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_jump_of_the_tolerance_passes_and_one_past_halts);
    RUN(test_a_jump_far_ahead_leaves_no_record_of_it);
    RUN(test_nobody_else_takes_the_log_to_the_time_of_a_jump);
    RUN(test_a_jump_that_put_the_clock_right_is_resumed_in_its_time);
    RUN(test_slewing_is_no_jump);
    RUN(test_clocks_that_nothing_set_are_read_by_their_ticks);
    RUN(test_a_machine_that_slept_did_not_jump);
    RUN(test_a_step_back_is_as_it_was);
    RUN(test_a_start_far_ahead_is_set_back);
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
