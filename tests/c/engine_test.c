/* The engine. Goal: one writer, whose records survive it; bad input leaves
 * nothing behind. Method: real directories; processes that are killed; a file
 * system that fails. */
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
    } rows[] = {{".", S_IFDIR | 0700},
                {"genesis", S_IFREG | 0600},
                {"lock", S_IFREG | 0600},
                {"control", S_IFREG | 0600},
                {"log", S_IFDIR | 0700},
                {"log/head", S_IFREG | 0600},
                {"bundles", S_IFDIR | 0700},
                {"snapshots", S_IFDIR | 0700},
                {"spool", S_IFDIR | 0700},
                {"texts", S_IFDIR | 0700},
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

static void test_an_authority_bundle_has_its_limit(void) {
    home_begin();
    scene.authority_size = 32768 + 8;
    CHECK_EQ(sentinel_engine_create(home, &scene.config.genesis, scene.frame, 32768 + 8,
                                    policy_frame, policy_size, &options, scene.now),
             SENTINEL_FORMAT_LIMIT);
    expect_only_keys();
}

static void test_the_first_records_are_kept_whatever_the_durability(void) {
    home_begin();
    options.durability = SENTINEL_DURABILITY_NONE;
    CHECK_OK(engine_create());
    CHECK_EQ(log_count(), 3);
}

static void test_a_live_engine_must_keep_its_records(void) {
    home_begin();
    CHECK_OK(engine_create());
    int fd = open(in_home("genesis"), O_WRONLY);
    uint8_t live = SENTINEL_ENVIRONMENT_LIVE;
    CHECK_EQ(pwrite(fd, &live, 1, offsetof(sentinel_genesis, environment)), 1);
    close(fd);
    options.durability = SENTINEL_DURABILITY_NONE;
    CHECK_EQ(engine_open(), SENTINEL_USAGE_ARGUMENT);
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
    options.durability = 5;
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
    CHECK_EQ(sentinel_engine_create(home, &scene.config.genesis, NULL, 0, policy_frame, policy_size,
                                    &options, 0),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_engine_spool(NULL, 0), SENTINEL_USAGE_STATE);
    CHECK_EQ(sentinel_engine_snapshot(NULL, 0), SENTINEL_USAGE_STATE);
    CHECK_EQ(sentinel_engine_take(NULL, NULL, policy_frame, policy_size, 0), SENTINEL_USAGE_STATE);
    sentinel_engine_close(NULL, 0);
}

static void test_room_has_its_limits(void) {
    engine_begin();
    engine_close();
    options.state_bytes_min = 0; /* the default */
    CHECK_OK(engine_open());
    expect_allowed();
    engine_close();
    options.state_bytes_min = (UINT64_C(1) << 36) + 1;
    CHECK_EQ(engine_open(), SENTINEL_POLICY_ARENA);
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
    RUN(test_an_authority_bundle_has_its_limit);
    RUN(test_the_first_records_are_kept_whatever_the_durability);
    RUN(test_a_live_engine_must_keep_its_records);
    RUN(test_a_creation_under_way_is_not_disturbed);
    RUN(test_an_engine_signs_and_goes_on_where_it_ended);
    RUN(test_a_second_writer_is_refused);
    RUN(test_a_forked_child_is_not_the_writer);
    RUN(test_what_cannot_be_trusted_is_not_opened);
    RUN(test_another_users_directory_is_refused);
    RUN(test_arguments_must_be_there);
    RUN(test_room_has_its_limits);
    RUN(test_room_grows_until_the_state_fits_twice);
    RUN(test_every_released_record_survives_a_kill);
    RUN(test_a_bundle_is_kept_before_it_is_taken);
    RUN(test_a_full_log_halts_the_engine);
    faults = (file_faults){.most = 0};
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
