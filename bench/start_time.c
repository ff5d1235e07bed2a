/* How long an engine takes to start behind a long log.
 *
 *   start_time DIR RECORDS SECONDS
 *
 * Signs in DIR (made when it is empty, taken up again when it is not) until
 * its log has so many records or the time is over, is then killed, so that the
 * records since the last snapshot must be replayed, and opens it: with the
 * log's files in memory, and with the kernel asked to forget them. */
#include "engine_scene.h"

#include <time.h>

static double seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t wanted;
static double until;

static void sign_many(void) {
    scene.now = (int64_t)time(NULL) * SECOND_NS;
    CHECK_OK(engine_open());
    const sentinel_view *view = sentinel_gate_view(sentinel_engine_context(engine));
    scene.id = sentinel_view_agent(view, scene.session.node)->id_highest;
    if (scene.now < engine_state()->last_now_ns) {
        scene.now = engine_state()->last_now_ns;
    }
    uint64_t first = engine_state()->record_count;
    double begin = seconds();
    while (engine_state()->record_count < wanted && seconds() < until) {
        for (int i = 0; i < 1000; i++) {
            expect_allowed();
        }
    }
    uint64_t count = engine_state()->record_count;
    printf("signed     %10llu records, %6.2f us each\n", (unsigned long long)count,
           1e6 * (seconds() - begin) / (double)(count - first + 1));
    fflush(stdout);
}

static void forget(void) {
    int dir_fd = open(in_home("log"), O_RDONLY | O_DIRECTORY);
    DIR *list = fdopendir(dir_fd);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        int fd = openat(dir_fd, e->d_name, O_RDONLY);
        (void)fsync(fd);
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    closedir(list);
}

static const char *how;

static void time_start(void) {
    scene.now = (int64_t)time(NULL) * SECOND_NS;
    double begin = seconds();
    CHECK_OK(engine_open());
    double took = seconds() - begin;
    printf("%-10s %10llu records, %6.3f s to open\n", how,
           (unsigned long long)engine_state()->record_count, took);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4 || setjmp(test_jump) != 0) {
        return 1;
    }
    wanted = strtoull(argv[2], NULL, 10);
    until = seconds() + strtod(argv[3], NULL);
    scratch = argv[1];
    char made[sizeof home];
    snprintf(made, sizeof made, "%s/engine", argv[1]);
    home_begin();
    if (access(made, F_OK) != 0) {
        CHECK_OK(engine_create());
        CHECK_OK(rename(home, made));
    } else {
        shell("rm -rf %s", home, "");
    }
    memcpy(home, made, sizeof home);
    options.segment_bytes = SENTINEL_SEGMENT_BYTES_DEFAULT;
    in_killed_child(sign_many);
    how = "in memory";
    in_killed_child(time_start);
    forget();
    how = "forgotten";
    in_killed_child(time_start);
    scene_end(&scene);
    return 0;
}
