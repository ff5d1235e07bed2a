/* An engine in a directory of its own, with the keys and the policy of
 * gate_scene.h, for tests that open, kill and damage it. */
#ifndef ENGINE_SCENE_H
#define ENGINE_SCENE_H

#include "gate_scene.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static gate_scene scene; /* keys, frames, orders; its context is not used */
static sentinel_engine *engine;
static char home[64];
static sentinel_engine_options options;
static _Alignas(8) uint8_t policy_frame[65536];
static size_t policy_size;

/* Where directories are made; a test that copies them hundreds of times moves
 * to memory. */
static const char *scratch = "/tmp";

static void scratch_make(char *path, size_t size, const char *name) {
    snprintf(path, size, "%s/sentinel-%s-XXXXXX", scratch, name);
    CHECK(mkdtemp(path) != NULL);
}

static const char *in_home(const char *name) {
    static char path[4][192];
    static unsigned next;
    char *made = path[next++ % 4];
    snprintf(made, sizeof path[0], "%s/%s", home, name);
    return made;
}

static int exists(const char *name) {
    return access(in_home(name), F_OK) == 0;
}

static void shell(const char *format, const char *a, const char *b) {
    char command[512];
    snprintf(command, sizeof command, format, a, b);
    CHECK_EQ(system(command), 0);
}

static unsigned count_files(const char *name) {
    unsigned count = 0;
    DIR *dir = opendir(in_home(name));
    CHECK(dir != NULL);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        count += e->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

/* The directory with keys, as it is before an engine is created in it. */
static void home_begin(void) {
    static uint8_t sealed[32768];
    if (scene.ring != NULL) {
        sentinel_engine_close(engine, scene.now);
        engine = NULL;
        shell("rm -rf %s", home, "");
        scene_end(&scene);
    }
    scene_bare(&scene);
    scene_authority(&scene);
    scene_policy_rows(&scene);
    (void)scene_load(&scene); /* signs it; the scene itself has no authority */
    memcpy(policy_frame, scene.frame, scene.frame_size);
    policy_size = scene.frame_size;
    scratch_make(home, sizeof home, "engine");
    CHECK_OK(mkdir(in_home("keys"), 0700));
    size_t size = sentinel_keyring_sealed_bytes(scene.ring);
    CHECK(size <= sizeof sealed);
    CHECK_OK(sentinel_keyring_seal(scene.ring, sealed, sizeof sealed, "pass", 4, 1, 8192));
    int fd = open(in_home("keys/engine"), O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, sealed, size) == (ssize_t)size);
    close(fd);
    options = (sentinel_engine_options){
        .passphrase = "pass",
        .passphrase_size = 4,
        .segment_bytes = SENTINEL_SEGMENT_BYTES_MIN,
        .state_bytes_min = 1 << 20,
        .durability = SENTINEL_DURABILITY_WRITE,
    };
}

static sentinel_status engine_create(void) {
    return sentinel_engine_create(home, &scene.config.genesis, scene.authority,
                                  scene.authority_size, policy_frame, policy_size, &options,
                                  scene.now);
}

static sentinel_status engine_open(void) {
    scene.now += SECOND_NS;
    sentinel_status status = sentinel_engine_open(&engine, home, &options, scene.now);
    if (engine != NULL && sentinel_gate_view(sentinel_engine_context(engine)) != NULL) {
        CHECK_OK(sentinel_session_open(&scene.session, sentinel_engine_context(engine), AGENT_A));
    }
    return status;
}

static void engine_close(void) {
    sentinel_engine_close(engine, scene.now);
    engine = NULL;
}

/* A new engine, open: records 0 to 3 are genesis, authority, policy, start. */
static void engine_begin(void) {
    home_begin();
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
}

static const sentinel_state *engine_state(void) {
    return sentinel_gate_state(sentinel_engine_context(engine));
}

static const sentinel_outcome *engine_sign(void) {
    sentinel_order order = scene_place(&scene);
    scene.now += 1000;
    CHECK_OK(sentinel_engine_sign(engine, &scene.outcome, &scene.session, &order,
                                  order.header.size_bytes, scene.now));
    return &scene.outcome;
}

static void expect_allowed(void) {
    CHECK_EQ(engine_sign()->reason, SENTINEL_REASON_NONE);
    CHECK_EQ(scene.outcome.verdict, SENTINEL_ALLOWED);
}

static void expect_denied(sentinel_reason reason) {
    CHECK_EQ(engine_sign()->reason, reason);
    CHECK(scene.outcome.verdict != SENTINEL_ALLOWED);
    CHECK_EQ(scene.outcome.request.text_size, 0);
}

/* A signed command in scene.frame. */
static void frame_command(uint16_t verb) {
    scene_command(&scene, verb, FIRM_ID);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    if (verb == SENTINEL_COMMAND_RESUME) {
        frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
    }
}

/* A signed next version of the policy in scene.frame. */
static void frame_policy(void) {
    bundle_pack(&scene.build);
    frame_begin(&scene, SENTINEL_FRAME_POLICY, scene.build.frame + sizeof(sentinel_frame_header),
                scene.build.frame_size - 8 - sizeof(sentinel_frame_header),
                ++scene.sequences[SENTINEL_FRAME_POLICY]);
    frame_sign(&scene, KEY_POLICY, KEY_POLICY);
}

static sentinel_status engine_take(void) {
    return sentinel_engine_take(engine, NULL, scene.frame, scene.frame_size, scene.now);
}

/* Every record of the log, checked; gives their number. */
static uint64_t log_count(void) {
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record record;
    int fd = open(in_home("log"), O_RDONLY | O_DIRECTORY);
    sentinel_status status = sentinel_log_reader_open(&reader, fd, 0);
    while (status == SENTINEL_OK) {
        status = sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer);
    }
    CHECK_EQ(status, SENTINEL_AUDIT_END);
    sentinel_log_reader_close(&reader);
    close(fd);
    return reader.next;
}

static void flip_byte(const char *name, off_t at) {
    int fd = open(in_home(name), O_RDWR);
    uint8_t byte;
    CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 1;
    CHECK(pwrite(fd, &byte, 1, at) == 1);
    close(fd);
}

/* Runs in a child that is then killed, as by kill -9: nothing is closed. */
static void in_killed_child(void (*run)(void)) {
    pid_t child = fork();
    if (child == 0) {
        run();
        raise(SIGKILL);
    }
    int state;
    waitpid(child, &state, 0);
    CHECK(WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL);
}

#endif
