/* The engine's state. Goal: it is the same whichever way it is restored, and
 * damage is found and nothing is then signed. Method: snapshots, segments and
 * heads go missing or change, one at a time. */
#include "engine_scene.h"
#include "file_faults.h"

/* ---- Snapshots ------------------------------------------------------------------- */

static void snapshot_name(char *name, unsigned newest) {
    char found[8][32];
    unsigned count = 0;
    DIR *dir = opendir(in_home("snapshots"));
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.' && count < 8) {
            snprintf(found[count++], 32, "%.20s", e->d_name);
        }
    }
    closedir(dir);
    CHECK_EQ(count, 2);
    unsigned last = strcmp(found[0], found[1]) > 0 ? 0 : 1;
    snprintf(name, 64, "snapshots/%s", found[newest ? last : 1 - last]);
}

static void test_the_last_two_snapshots_are_kept(void) {
    home_begin();
    options.snapshot_every = 4;
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
    for (int i = 0; i < 20; i++) {
        expect_allowed();
    }
    CHECK_EQ(count_files("snapshots"), 2);
    char newest[64];
    snapshot_name(newest, 1);
    CHECK(strtoull(newest + 10, NULL, 10) + 5 > engine_state()->record_count);
    engine_close();
    CHECK_EQ(count_files("snapshots"), 2);
}

/* Marks alone, and no order: the records to be replayed stay bounded. */
static void test_frames_lead_to_snapshots_too(void) {
    home_begin();
    options.snapshot_every = 8;
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
    for (int i = 0; i < 30; i++) {
        scene_feed(&scene, BTCUSDT, (sentinel_decimal){.mantissa = 50000 + i});
        CHECK_OK(engine_take());
    }
    CHECK_EQ(count_files("snapshots"), 2);
    char newest[64];
    snapshot_name(newest, 1);
    CHECK(strtoull(newest + 10, NULL, 10) + 9 > engine_state()->record_count);
}

/* The state after opening, with the snapshots as they now are. */
static void state_after_open(uint8_t *out, size_t room) {
    char aside[64];
    scratch_make(aside, sizeof aside, "aside");
    shell("cp -a %s/. %s/", home, aside);
    int64_t now = scene.now;
    CHECK_OK(engine_open());
    CHECK(engine_state()->size_bytes <= room);
    memcpy(out, engine_state(), engine_state()->size_bytes);
    sentinel_engine_close(engine, scene.now);
    engine = NULL;
    scene.now = now;
    shell("rm -rf %s", home, "");
    CHECK_OK(rename(aside, home));
}

static void test_every_way_to_restore_gives_the_same_state(void) {
    static uint8_t states[4][1 << 16];
    home_begin();
    options.snapshot_every = 8;
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
    for (int i = 0; i < 30; i++) {
        expect_allowed();
        if (i == 12) {
            frame_command(SENTINEL_COMMAND_HALT);
            CHECK_OK(engine_take());
            expect_denied(SENTINEL_REASON_KILL_SWITCH);
            frame_command(SENTINEL_COMMAND_RESUME);
            CHECK_OK(engine_take());
        }
    }
    engine_close();
    char name[64];
    state_after_open(states[0], sizeof states[0]);
    snapshot_name(name, 1);
    flip_byte(name, 3000);
    state_after_open(states[1], sizeof states[0]);
    snapshot_name(name, 0);
    CHECK_OK(truncate(in_home(name), 100));
    state_after_open(states[2], sizeof states[0]);
    shell("rm -f %s/snapshots/*", home, "");
    state_after_open(states[3], sizeof states[0]);
    for (int i = 1; i < 4; i++) {
        CHECK_BYTES(states[i], states[0], sizeof states[0]);
    }
}

static void expect_halted(sentinel_status status) {
    CHECK_EQ(engine_open(), status);
    CHECK(engine != NULL);
    CHECK_EQ(engine_state()->halted, status);
    sentinel_order order = scene_place(&scene);
    scene.session.agent = AGENT_A;
    CHECK_OK(sentinel_engine_sign(engine, &scene.outcome, &scene.session, &order,
                                  order.header.size_bytes, scene.now));
    CHECK(scene.outcome.verdict == SENTINEL_DENIED || scene.outcome.verdict == SENTINEL_FAILED);
    CHECK_EQ(scene.outcome.request.text_size, 0);
    CHECK_EQ(scene.outcome.recorded, 0);
    frame_command(SENTINEL_COMMAND_RESUME);
    CHECK(engine_take() != SENTINEL_OK);
    CHECK_EQ(engine_state()->halted, status);
    engine_close();
}

static void test_a_snapshot_without_its_record_halts(void) {
    engine_begin();
    expect_allowed();
    engine_close();
    char name[64] = "snapshots/00000000000000009999";
    int fd = open(in_home(name), O_CREAT | O_WRONLY, 0600);
    close(fd);
    uint64_t count = log_count();
    CHECK_EQ(engine_open(), SENTINEL_AUDIT_TRUNCATED);
    expect_denied(SENTINEL_REASON_ENGINE_HALTED);
    engine_close();
    CHECK_EQ(log_count(), count);
}

static void test_a_snapshot_of_another_record_is_passed_over(void) {
    engine_begin();
    for (int i = 0; i < 5; i++) {
        expect_allowed();
    }
    engine_close();
    char name[64];
    unsigned long long number = 9; /* the last record, a SNAPSHOT */
    snprintf(name, sizeof name, "snapshots/%020llu", number);
    CHECK(exists(name));
    CHECK_OK(rename(in_home(name), in_home("snapshots/00000000000000000006")));
    CHECK_OK(engine_open());
    CHECK_EQ(engine_state()->key_counters[0].uses, 5);
    CHECK_OK(unlink(in_home("snapshots/00000000000000000006")));
    CHECK_OK(mkdir(in_home("snapshots/00000000000000000007"), 0700)); /* no file at all */
    engine_close();
    CHECK_OK(engine_open());
    CHECK_EQ(engine_state()->key_counters[0].uses, 5);
}

static void test_an_empty_log_halts(void) {
    engine_begin();
    engine_close();
    shell("rm -rf %s/log %s/snapshots/*", home, home);
    CHECK_OK(mkdir(in_home("log"), 0700));
    expect_halted(SENTINEL_AUDIT_TRUNCATED);
}

static void test_a_snapshot_that_cannot_be_kept_does_not_stop_the_engine(void) {
    home_begin();
    options.snapshot_every = 8;
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
    for (int i = 0; i < 20; i++) {
        faults = (file_faults){.rename_error = ENOSPC};
        expect_allowed();
        faults = (file_faults){.most = 0};
    }
    CHECK_EQ(count_files("snapshots"), 0);
    CHECK_EQ(sentinel_engine_errno(engine), ENOSPC);
    CHECK_OK(sentinel_engine_snapshot(engine, scene.now));
    CHECK_EQ(count_files("snapshots"), 1);
    CHECK_EQ(log_count(), engine_state()->record_count);
}

static void test_without_durability_nothing_is_kept(void) {
    engine_begin();
    expect_allowed();
    engine_close();
    uint64_t count = log_count();
    options.durability = SENTINEL_DURABILITY_NONE;
    options.snapshot_every = 4;
    CHECK_OK(engine_open());
    for (int i = 0; i < 20; i++) {
        expect_allowed();
    }
    CHECK(engine_state()->record_count > count + 20);
    engine_close();
    CHECK_EQ(log_count(), count);
    options.durability = 0; /* the strongest */
    CHECK_OK(engine_open());
    scene.id = 1;
    expect_allowed();
    CHECK_EQ(engine_state()->record_count, log_count());
}

/* ---- Damage ----------------------------------------------------------------------- */

static void test_a_changed_record_halts(void) {
    engine_begin();
    for (int i = 0; i < 5; i++) {
        expect_allowed();
    }
    engine_close();
    flip_byte("log/00000000000000000000.log", 5000);
    shell("cp -a %s/log %s/before", home, home);
    expect_halted(SENTINEL_AUDIT_CORRUPT);
    shell("diff -r %s/log %s/before", home, home);
    flip_byte("log/00000000000000000000.log", 5000);
    CHECK_OK(engine_open());
    expect_allowed();
}

static void test_a_missing_record_halts(void) {
    engine_begin();
    expect_allowed();
    uint8_t zeros[2048] = {0};
    uint64_t size = sentinel_gate_state(sentinel_engine_context(engine))->record_count;
    CHECK_EQ(size, 5);
    engine_close();
    /* The log of an earlier day under the head of today. */
    int fd = open(in_home("log/00000000000000000000.log"), O_RDWR);
    off_t at = 64;
    for (int i = 0; i < 4; i++) {
        uint64_t frame;
        CHECK_EQ(pread(fd, &frame, 8, at), 8);
        at += (off_t)frame + 16;
    }
    CHECK_EQ(pwrite(fd, zeros, sizeof zeros, at), sizeof zeros);
    close(fd);
    expect_halted(SENTINEL_AUDIT_TRUNCATED);
}

static void test_a_missing_head_halts(void) {
    engine_begin();
    engine_close();
    CHECK_OK(unlink(in_home("log/head")));
    expect_halted(SENTINEL_AUDIT_CORRUPT);
}

static void test_a_lost_log_halts(void) {
    engine_begin();
    engine_close();
    CHECK_OK(unlink(in_home("log/00000000000000000000.log")));
    expect_halted(SENTINEL_AUDIT_TRUNCATED);
}

static void test_damage_in_an_earlier_segment_is_found_by_replay(void) {
    home_begin();
    options.snapshot_every = 100;
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
    for (int i = 0; i < 120; i++) {
        expect_allowed();
    }
    engine_close();
    char name[64];
    flip_byte("log/00000000000000000000.log", 5000);
    CHECK_OK(engine_open()); /* the snapshot stands for it; an audit would find it */
    engine_close();
    snapshot_name(name, 1);
    flip_byte(name, 3000);
    CHECK_OK(engine_open()); /* so does the one before */
    engine_close();
    shell("rm -f %s/snapshots/*", home, "");
    expect_halted(SENTINEL_AUDIT_CORRUPT);
}

static void test_a_torn_tail_is_reported_in_the_start_record(void) {
    engine_begin();
    expect_allowed();
    engine_close();
    uint64_t count = log_count();
    int fd = open(in_home("log/00000000000000000000.log"), O_RDWR);
    off_t at = 64;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t frame;
        CHECK_EQ(pread(fd, &frame, 8, at), 8);
        at += (off_t)frame + 16;
    }
    CHECK_EQ(pwrite(fd, "\x70\x02\0\0\0\0\0\0torn", 12, at), 12);
    close(fd);
    CHECK_OK(engine_open());
    char name[64];
    snprintf(name, sizeof name, "log/torn-%020llu", (unsigned long long)count);
    CHECK(exists(name));
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record record;
    int log_fd = open(in_home("log"), O_RDONLY | O_DIRECTORY);
    CHECK_OK(sentinel_log_reader_open(&reader, log_fd, count));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer));
    CHECK_EQ(record.header->type, SENTINEL_RECORD_START);
    CHECK_EQ(((const sentinel_start *)record.subject)->torn_bytes, 12);
    sentinel_log_reader_close(&reader);
    close(log_fd);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_the_last_two_snapshots_are_kept);
    RUN(test_frames_lead_to_snapshots_too);
    RUN(test_every_way_to_restore_gives_the_same_state);
    RUN(test_a_snapshot_without_its_record_halts);
    RUN(test_a_snapshot_of_another_record_is_passed_over);
    RUN(test_an_empty_log_halts);
    RUN(test_a_snapshot_that_cannot_be_kept_does_not_stop_the_engine);
    RUN(test_without_durability_nothing_is_kept);
    RUN(test_a_changed_record_halts);
    RUN(test_a_missing_record_halts);
    RUN(test_a_missing_head_halts);
    RUN(test_a_lost_log_halts);
    RUN(test_damage_in_an_earlier_segment_is_found_by_replay);
    RUN(test_a_torn_tail_is_reported_in_the_start_record);
    faults = (file_faults){.most = 0};
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
