/* A full disk. Goal: a halt holds although no record of it can be kept, over
 * a restart too, until people command again. Method: writes, or the room for a
 * new segment, fail with ENOSPC (file_faults.h). */
#include "engine_scene.h"
#include "file_faults.h"

static void restart(void) {
    faults = (file_faults){.most = 0};
    engine_close();
    CHECK_OK(engine_open());
}

/* What only looks like a command answers no word that was set for another. */
static void expect_held_behind_what_is_refused(uint16_t verb) {
    uint64_t ticket;
    frame_command(verb);
    scene.frame[scene.frame_size - 1] ^= 1; /* no operator's */
    CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
    CHECK_OK(sentinel_engine_spool(engine, scene.now));
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
}

/* Stopped without a record; an operator's halt is one, and k of n lift it. */
static void expect_held_until_commanded(void) {
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    restart();
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    memcpy(scene.sequences, engine_state()->sequences, sizeof scene.sequences);
    expect_held_behind_what_is_refused(SENTINEL_COMMAND_RESUME);
    frame_command(SENTINEL_COMMAND_HALT);
    CHECK_OK(engine_take());
    CHECK_OK(sentinel_engine_spool(engine, scene.now));
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    restart();
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    frame_command(SENTINEL_COMMAND_RESUME);
    CHECK_OK(engine_take());
    expect_allowed();
}

static void test_a_halt_that_cannot_be_recorded_holds(void) {
    engine_begin();
    expect_allowed();
    frame_command(SENTINEL_COMMAND_HALT);
    faults = (file_faults){.write_error = ENOSPC};
    CHECK_EQ(engine_take(), SENTINEL_IO_SPACE);
    CHECK(engine_sign()->verdict != SENTINEL_ALLOWED);
    restart();
    memcpy(scene.sequences, engine_state()->sequences, sizeof scene.sequences);
    expect_held_behind_what_is_refused(SENTINEL_COMMAND_HALT);
    expect_held_until_commanded();
}

static void test_a_halt_after_the_disk_filled_up_holds(void) {
    engine_begin();
    faults = (file_faults){.space_error = ENOSPC}; /* no further segment */
    while (engine_sign()->verdict == SENTINEL_ALLOWED) {
    }
    CHECK_EQ(scene.outcome.verdict, SENTINEL_FAILED);
    frame_command(SENTINEL_COMMAND_HALT);
    CHECK(engine_take() != SENTINEL_OK);
    restart();
    expect_held_until_commanded();
}

static void test_a_halt_that_finds_no_room_in_the_spool_holds(void) {
    engine_begin();
    frame_command(SENTINEL_COMMAND_HALT);
    uint64_t ticket;
    faults = (file_faults){.write_error = ENOSPC};
    CHECK_EQ(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size),
             SENTINEL_IO_SPACE);
    faults = (file_faults){.most = 0};
    expect_held_until_commanded();
}

static void test_a_halt_that_waits_for_room_in_the_log_is_applied_when_there_is_some(void) {
    engine_begin();
    frame_command(SENTINEL_COMMAND_HALT);
    uint64_t ticket;
    CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
    faults = (file_faults){.write_error = ENOSPC};
    CHECK_EQ(sentinel_engine_spool(engine, scene.now), SENTINEL_IO_SPACE);
    CHECK(engine_sign()->verdict != SENTINEL_ALLOWED);
    restart();
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    CHECK(exists("spool/00000000000000000001.done"));
}

/* An order stops nothing: when there is room again, it goes on. */
static void test_an_order_that_finds_no_room_leaves_no_stop(void) {
    engine_begin();
    faults = (file_faults){.write_error = ENOSPC};
    CHECK_EQ(engine_sign()->verdict, SENTINEL_FAILED);
    restart();
    expect_allowed();
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_halt_that_cannot_be_recorded_holds);
    RUN(test_a_halt_after_the_disk_filled_up_holds);
    RUN(test_a_halt_that_finds_no_room_in_the_spool_holds);
    RUN(test_a_halt_that_waits_for_room_in_the_log_is_applied_when_there_is_some);
    RUN(test_an_order_that_finds_no_room_leaves_no_stop);
    faults = (file_faults){.most = 0};
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
