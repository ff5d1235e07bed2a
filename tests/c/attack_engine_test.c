/* What a careless operator or a host would try on an engine's directory. Goal:
 * what was recorded can be opened again, and nothing is signed for `live` that
 * is not kept. Method: a real directory, opened, used and opened again. */
#include "engine_scene.h"

#include <sys/mman.h>

/* Issued too far ahead of the caller's time, but not of the held one: taken,
 * so also kept. */
static void test_a_bundle_taken_on_a_held_clock_is_there_after_a_restart(void) {
    engine_begin();
    scene.now += SECOND_NS;
    expect_allowed();
    scene_policy_rows(&scene);
    scene.now += SENTINEL_FRAME_AHEAD_NS;
    frame_policy();
    scene.now -= SENTINEL_FRAME_AHEAD_NS + SECOND_NS / 2;
    CHECK_OK(sentinel_engine_take(engine, NULL, scene.frame, scene.frame_size, scene.now));
    engine_close();
    scene.now += SECOND_NS;
    CHECK_OK(engine_open());
    expect_allowed();
    engine_close();
}

static void test_the_spool_takes_no_more_than_its_writer(void) {
    engine_begin();
    engine_close();
    int fd = open(in_home("control"), O_RDWR);
    sentinel_control *control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    CHECK(control != MAP_FAILED);
    uint64_t ticket;
    uint64_t before = control->spool_submitted;
    control->spool_submitted = control->spool_applied + 65535;
    scene_feed(&scene, BTCUSDT, decimal(5000000, 2));
    CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
    CHECK_EQ(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size),
             SENTINEL_FORMAT_LIMIT);
    CHECK_EQ(control->stop, 0);
    frame_command(SENTINEL_COMMAND_HALT);
    CHECK_EQ(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size),
             SENTINEL_FORMAT_LIMIT);
    CHECK(control->stop != 0); /* a halt binds all the same */
    control->stop = 0;
    control->spool_submitted = before;
    munmap(control, 4096);
}

/* The frame in scene.frame, signed again for another environment. */
static void frame_of(uint8_t environment, uint32_t key, uint32_t named) {
    sentinel_frame_header *header = (sentinel_frame_header *)scene.frame;
    header->environment = environment;
    memcpy(header->engine_id32, scene.engine_id32, 32);
    scene.frame_size = header->size_bytes + 8u;
    memset(scene.frame + header->size_bytes, 0, sizeof scene.frame - header->size_bytes);
    frame_sign(&scene, key, named);
}

static void test_a_live_engine_keeps_its_records(void) {
    home_begin();
    sentinel_genesis *genesis = &scene.config.genesis;
    genesis->environment = SENTINEL_ENVIRONMENT_LIVE;
    CHECK_OK(sentinel_genesis_check(scene.engine_id32, genesis, sizeof *genesis));
    memcpy(scene.frame, scene.authority, scene.authority_size);
    frame_of(SENTINEL_ENVIRONMENT_LIVE, KEY_ROOT, 0);
    memcpy(scene.authority, scene.frame, scene.frame_size);
    scene.build.instruments[0].environment = SENTINEL_ENVIRONMENT_LIVE;
    frame_policy();
    frame_of(SENTINEL_ENVIRONMENT_LIVE, KEY_POLICY, KEY_POLICY);
    memcpy(policy_frame, scene.frame, scene.frame_size);
    CHECK_OK(engine_create());
    options.durability = SENTINEL_DURABILITY_NONE;
    CHECK_EQ(engine_open(), SENTINEL_USAGE_ARGUMENT);
    options.durability = SENTINEL_DURABILITY_WRITE;
    CHECK_OK(engine_open());
    expect_allowed();
    engine_close();
}

/* Longer than any room: passed over for the records, which say the same. */
static void test_a_snapshot_of_any_length_is_passed_over(void) {
    engine_begin();
    expect_allowed();
    engine_close();
    CHECK_EQ(count_files("snapshots"), 1);
    shell("truncate -s 200G %s/snapshots/0*", home, "");
    CHECK_OK(engine_open());
    expect_allowed();
    engine_close();
}

static void test_a_pipe_in_the_spool_does_not_hold_the_writer_up(void) {
    engine_begin();
    engine_close();
    CHECK_OK(mkfifo(in_home("spool/00000000000000000001"), 0600));
    alarm(10); /* ends the program */
    CHECK_OK(engine_open());
    expect_denied(SENTINEL_REASON_CONTROL_STOP); /* it may have been a halt */
    engine_close();
    alarm(0);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_bundle_taken_on_a_held_clock_is_there_after_a_restart);
    RUN(test_the_spool_takes_no_more_than_its_writer);
    RUN(test_a_live_engine_keeps_its_records);
    RUN(test_a_snapshot_of_any_length_is_passed_over);
    RUN(test_a_pipe_in_the_spool_does_not_hold_the_writer_up);
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
