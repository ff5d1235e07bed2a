/* The engine. Goal: one writer, whose state survives it; damage is found and
 * nothing is then signed; bad input leaves nothing behind. Method: real
 * directories; processes that are killed; files that go missing or change. */
#include "engine_scene.h"
#include "file_faults.h"

#include <sys/file.h>

/* ---- Creating --------------------------------------------------------------- */

static void test_creates_every_file_for_its_owner_alone(void) {
    home_begin();
    CHECK_OK(chmod(home, 0755));
    CHECK_OK(engine_create());
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {{".", S_IFDIR | 0700},         {"genesis", S_IFREG | 0600},
                {"lock", S_IFREG | 0600},      {"control", S_IFREG | 0600},
                {"log", S_IFDIR | 0700},       {"log/head", S_IFREG | 0600},
                {"bundles", S_IFDIR | 0700},   {"snapshots", S_IFDIR | 0700},
                {"spool", S_IFDIR | 0700},     {"texts", S_IFDIR | 0700},
                {"log/00000000000000000000.log", S_IFREG | 0600}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stat stat_;
        CHECK_OK(stat(in_home(rows[i].name), &stat_));
        CHECK_EQ(stat_.st_mode, rows[i].mode);
    }
    CHECK_EQ(count_files("bundles"), 2);
    CHECK_EQ(log_count(), 3);
}

static void expect_only_keys(void) {
    CHECK_EQ(count_files("."), 1);
    CHECK(exists("keys/engine"));
}

static void test_bad_input_leaves_nothing_behind(void) {
    home_begin();
    policy_frame[policy_size - 1] ^= 1;
    CHECK_EQ(engine_create(), SENTINEL_POLICY_SIGNATURE);
    expect_only_keys();
    policy_frame[policy_size - 1] ^= 1;
    policy_frame[200] ^= 1;
    CHECK(engine_create() != SENTINEL_OK);
    expect_only_keys();
    policy_frame[200] ^= 1;
    scene.authority[100] ^= 1;
    CHECK(engine_create() != SENTINEL_OK);
    scene.authority[100] ^= 1;
    scene.config.genesis.version = 2;
    CHECK_EQ(engine_create(), SENTINEL_FORMAT_VERSION);
    scene.config.genesis.version = 1;
    scene.config.genesis.identity_key32[0] ^= 1;
    CHECK_EQ(engine_create(), SENTINEL_KEY_UNKNOWN);
    scene.config.genesis.identity_key32[0] ^= 1;
    options.passphrase_size = 3;
    CHECK_EQ(engine_create(), SENTINEL_KEY_PASSPHRASE);
    expect_only_keys();
    options.passphrase_size = 4;
    CHECK_OK(engine_create());
}

static void test_a_directory_in_use_is_refused(void) {
    home_begin();
    CHECK_OK(engine_create());
    CHECK_EQ(engine_create(), SENTINEL_USAGE_STATE);
    CHECK_EQ(log_count(), 3);
    home_begin();
    close(open(in_home("notes"), O_CREAT | O_WRONLY, 0600));
    CHECK_EQ(engine_create(), SENTINEL_USAGE_STATE);
    CHECK_EQ(count_files("."), 2);
}

static void test_a_disk_that_is_full_leaves_nothing_behind(void) {
    home_begin();
    faults = (file_faults){.space_error = ENOSPC};
    CHECK_EQ(engine_create(), SENTINEL_IO_SPACE);
    CHECK_EQ(errno, ENOSPC);
    expect_only_keys();
    for (unsigned after = 0; after < 9; after++) {
        faults = (file_faults){.write_error = ENOSPC, .write_after = after};
        CHECK_EQ(engine_create(), SENTINEL_IO_SPACE);
        expect_only_keys();
    }
    for (unsigned i = 0; i < 2; i++) {
        faults = i == 0 ? (file_faults){.rename_error = EACCES} : (file_faults){.sync_error = EIO};
        CHECK_EQ(engine_create(), i == 0 ? SENTINEL_IO_WRITE : SENTINEL_IO_SYNC);
        expect_only_keys();
    }
    faults = (file_faults){.most = 0};
    CHECK_OK(engine_create());
}

static void test_a_creation_under_way_is_not_disturbed(void) {
    home_begin();
    int fd = open(in_home("lock"), O_RDWR | O_CREAT, 0600);
    CHECK_OK(flock(fd, LOCK_EX));
    CHECK_EQ(engine_create(), SENTINEL_IO_LOCKED);
    CHECK(exists("lock"));
    close(fd);
    CHECK_OK(engine_create());
}

/* ---- Opening ----------------------------------------------------------------- */

static void test_an_engine_signs_and_goes_on_where_it_ended(void) {
    engine_begin();
    CHECK_EQ(engine_state()->epoch, 1);
    CHECK_EQ(engine_state()->record_count, 4);
    expect_allowed();
    sentinel_order first = scene_place(&scene);
    first.header.action_id = scene.id = 1;
    engine_close();
    CHECK_OK(engine_open());
    CHECK_EQ(engine_state()->epoch, 2);
    CHECK_OK(sentinel_engine_sign(engine, &scene.outcome, &scene.session, &first,
                                  first.header.size_bytes, scene.now));
    CHECK_EQ(scene.outcome.reason, SENTINEL_REASON_DUPLICATE);
    expect_allowed();
    CHECK_EQ(engine_state()->key_counters[0].uses, 2);
    CHECK_EQ(engine_state()->record_count, log_count());
}

static void test_a_second_writer_is_refused(void) {
    engine_begin();
    sentinel_engine *second;
    CHECK_EQ(sentinel_engine_open(&second, home, &options, scene.now), SENTINEL_IO_LOCKED);
    CHECK(second == NULL);
    expect_allowed();
}

static void test_a_forked_child_is_not_the_writer(void) {
    engine_begin();
    uint64_t count = engine_state()->record_count;
    pid_t child = fork();
    if (child == 0) {
        sentinel_order order = scene_place(&scene);
        uint64_t record;
        int refused =
            sentinel_engine_sign(engine, &scene.outcome, &scene.session, &order,
                                 order.header.size_bytes, scene.now) == SENTINEL_USAGE_STATE &&
            scene.outcome.verdict == SENTINEL_VERDICT_NONE &&
            sentinel_engine_take(engine, &record, policy_frame, policy_size, scene.now) ==
                SENTINEL_USAGE_STATE &&
            sentinel_engine_spool(engine, scene.now) == SENTINEL_USAGE_STATE &&
            sentinel_engine_snapshot(engine, scene.now) == SENTINEL_USAGE_STATE;
        sentinel_engine_close(engine, scene.now);
        _exit(refused ? 42 : 1);
    }
    int state;
    waitpid(child, &state, 0);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 42);
    CHECK_EQ(log_count(), count);
    sentinel_engine *second;
    CHECK_EQ(sentinel_engine_open(&second, home, &options, scene.now), SENTINEL_IO_LOCKED);
    expect_allowed();
}

static void expect_not_opened(sentinel_status status, int error) {
    errno = 0;
    CHECK_EQ(engine_open(), status);
    CHECK(engine == NULL);
    CHECK(error == 0 || errno == error);
}

static void test_what_cannot_be_trusted_is_not_opened(void) {
    home_begin();
    expect_not_opened(SENTINEL_IO_OPEN, ENOENT); /* no engine there */
    CHECK_OK(engine_create());
    CHECK_OK(chmod(home, 0750));
    expect_not_opened(SENTINEL_IO_OPEN, EACCES);
    CHECK_OK(chmod(home, 0700));
    CHECK_OK(chmod(in_home("keys/engine"), 0640));
    expect_not_opened(SENTINEL_IO_OPEN, EACCES);
    CHECK_OK(chmod(in_home("keys/engine"), 0600));
    options.passphrase = "word";
    expect_not_opened(SENTINEL_KEY_PASSPHRASE, 0);
    options.passphrase = "pass";
    flip_byte("genesis", 20); /* another engine's identity, as to its log */
    expect_not_opened(SENTINEL_AUDIT_FOREIGN, 0);
    flip_byte("genesis", 20);
    flip_byte("control", 0);
    expect_not_opened(SENTINEL_FORMAT_MAGIC, 0);
    flip_byte("control", 0);
    CHECK_OK(truncate(in_home("control"), 64));
    expect_not_opened(SENTINEL_FORMAT_SIZE, 0);
    CHECK_OK(unlink(in_home("control")));
    options.durability = 4;
    expect_not_opened(SENTINEL_USAGE_ARGUMENT, 0);
    options.durability = SENTINEL_DURABILITY_WRITE;
    CHECK_EQ(log_count(), 3);
    CHECK_OK(engine_open());
    CHECK_EQ(count_files("keys"), 1);
}

static void test_another_users_directory_is_refused(void) {
    home_begin();
    CHECK_OK(engine_create());
    if (geteuid() == 0) {
        CHECK_OK(chown(home, 1, 1));
        expect_not_opened(SENTINEL_IO_OPEN, EPERM);
        CHECK_OK(chown(home, 0, 0));
    } else {
        CHECK_EQ(sentinel_engine_open(&engine, "/", &options, scene.now), SENTINEL_IO_OPEN);
        CHECK_EQ(errno, EPERM);
    }
    CHECK_OK(engine_open());
}

static void test_arguments_must_be_there(void) {
    home_begin();
    CHECK_EQ(sentinel_engine_open(NULL, home, &options, 0), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_engine_open(&engine, NULL, &options, 0), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_engine_open(&engine, home, NULL, 0), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_engine_open(&engine, home, &options, -1), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_engine_create(home, &scene.config.genesis, NULL, 0, policy_frame,
                                    policy_size, &options, 0),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_engine_spool(NULL, 0), SENTINEL_USAGE_STATE);
    CHECK_EQ(sentinel_engine_snapshot(NULL, 0), SENTINEL_USAGE_STATE);
    CHECK_EQ(sentinel_engine_take(NULL, NULL, policy_frame, policy_size, 0), SENTINEL_USAGE_STATE);
    sentinel_engine_close(NULL, 0);
}

static void test_room_grows_until_the_state_fits_twice(void) {
    home_begin();
    options.state_bytes_min = 1;
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
    expect_allowed();
    CHECK_OK(sentinel_engine_snapshot(engine, scene.now));
    engine_close();
    CHECK_OK(engine_open()); /* the snapshot did not fit at first, either */
    expect_allowed();
    frame_policy();
    CHECK_OK(engine_take());
    expect_allowed();
}

/* ---- Killed --------------------------------------------------------------------- */

static int release_pipe[2];

static void sign_until_killed(void) {
    if (engine_open() != SENTINEL_OK) {
        _exit(1);
    }
    for (int i = 0; i < 300; i++) {
        const sentinel_outcome *outcome = engine_sign();
        if (outcome->verdict != SENTINEL_ALLOWED ||
            write(release_pipe[1], &outcome->record, 8) != 8) {
            _exit(2);
        }
    }
}

static void test_every_released_record_survives_a_kill(void) {
    home_begin();
    CHECK_OK(engine_create());
    options.snapshot_every = 64;
    uint64_t released = 0;
    for (uint64_t epoch = 1; epoch <= 5; epoch++) {
        CHECK_OK(pipe(release_pipe));
        in_killed_child(sign_until_killed);
        close(release_pipe[1]);
        uint64_t record = 0, last = 0;
        while (read(release_pipe[0], &record, 8) == 8) {
            CHECK(record > last);
            last = record;
            released++;
        }
        close(release_pipe[0]);
        CHECK(last < log_count());
        CHECK_OK(engine_open());
        CHECK_EQ(engine_state()->epoch, 2 * epoch);
        CHECK_EQ(engine_state()->key_counters[0].uses, released);
        scene.id = released;
        scene.now = engine_state()->last_now_ns;
        engine_close();
    }
    CHECK_EQ(released, 1500);
}

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

/* The state after opening, with the snapshots as they now are. */
static void state_after_open(uint8_t *out, size_t room) {
    char aside[64] = "/tmp/sentinel-aside-XXXXXX";
    CHECK(mkdtemp(aside) != NULL);
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

/* ---- Bundles ------------------------------------------------------------------------ */

static void test_a_bundle_is_kept_before_it_is_taken(void) {
    engine_begin();
    frame_policy();
    faults = (file_faults){.write_error = ENOSPC};
    CHECK_EQ(engine_take(), SENTINEL_IO_SPACE);
    CHECK_EQ(sentinel_engine_errno(engine), ENOSPC);
    faults = (file_faults){.most = 0};
    CHECK_EQ(engine_state()->record_count, 4);
    CHECK_OK(engine_take());
    CHECK_EQ(count_files("bundles"), 3);
    CHECK_EQ(engine_state()->record_count, 5);
    CHECK_EQ(engine_take(), SENTINEL_POLICY_SEQUENCE); /* refused, and recorded */
    CHECK_EQ(engine_state()->record_count, 6);
    scene.frame[100] ^= 1;
    CHECK(engine_take() != SENTINEL_OK);
    CHECK_EQ(count_files("bundles"), 3);
    expect_allowed();
    engine_close();
    CHECK_OK(engine_open());
    expect_allowed();
    engine_close();
    shell("rm -f %s/snapshots/*", home, "");
    CHECK_OK(engine_open());
    expect_allowed();
    engine_close();
    shell("rm -f %s/bundles/*", home, "");
    CHECK_EQ(engine_open(), SENTINEL_IO_OPEN);
}

static void test_a_full_log_halts_the_engine(void) {
    engine_begin();
    while (engine_state()->record_count < 60) {
        expect_allowed();
    }
    faults = (file_faults){.write_error = ENOSPC};
    expect_denied(SENTINEL_REASON_AUDIT_FAILED);
    CHECK_EQ(scene.outcome.status, SENTINEL_IO_SPACE);
    CHECK_EQ(sentinel_engine_errno(engine), ENOSPC);
    CHECK_EQ(engine_sign()->verdict, SENTINEL_FAILED);
    CHECK_EQ(scene.outcome.request.text_size, 0);
    engine_close();
    CHECK_EQ(log_count(), 60);
    CHECK_OK(engine_open());
    expect_allowed();
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_creates_every_file_for_its_owner_alone);
    RUN(test_bad_input_leaves_nothing_behind);
    RUN(test_a_directory_in_use_is_refused);
    RUN(test_a_disk_that_is_full_leaves_nothing_behind);
    RUN(test_a_creation_under_way_is_not_disturbed);
    RUN(test_an_engine_signs_and_goes_on_where_it_ended);
    RUN(test_a_second_writer_is_refused);
    RUN(test_a_forked_child_is_not_the_writer);
    RUN(test_what_cannot_be_trusted_is_not_opened);
    RUN(test_another_users_directory_is_refused);
    RUN(test_arguments_must_be_there);
    RUN(test_room_grows_until_the_state_fits_twice);
    RUN(test_every_released_record_survives_a_kill);
    RUN(test_the_last_two_snapshots_are_kept);
    RUN(test_every_way_to_restore_gives_the_same_state);
    RUN(test_a_snapshot_without_its_record_halts);
    RUN(test_a_snapshot_that_cannot_be_kept_does_not_stop_the_engine);
    RUN(test_without_durability_nothing_is_kept);
    RUN(test_a_changed_record_halts);
    RUN(test_a_missing_record_halts);
    RUN(test_a_missing_head_halts);
    RUN(test_a_lost_log_halts);
    RUN(test_damage_in_an_earlier_segment_is_found_by_replay);
    RUN(test_a_torn_tail_is_reported_in_the_start_record);
    RUN(test_a_bundle_is_kept_before_it_is_taken);
    RUN(test_a_full_log_halts_the_engine);
    faults = (file_faults){.most = 0};
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
