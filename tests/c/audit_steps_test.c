/* A mapped writer that is killed between any two of its stores. Goal: whichever
 * store was the last, a reader meets no wrong record, and the next writer goes
 * on with all of the record or without it. Method: a child appends under
 * ptrace, one instruction at a time; whenever the files are no longer what they
 * were, a copy of them is judged as if the child had been killed right there. */
#include "audit_log_world.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#define SECOND "00000000000000000083.log"

enum { STEPS_MAX = 2000000, VIEWS = 3 };

typedef struct view {
    const uint8_t *bytes; /* of a file of the log, as the child changes it */
    uint8_t seen[SEGMENT];
    size_t size;
} view;

static view views[VIEWS];
static char copy_path[128];
static int copy_dir;
static unsigned states; /* that were judged */

static void view_open(view *v, const char *name, size_t size) {
    v->bytes = NULL;
    v->size = size;
    int fd = openat(w.dir, name, O_RDONLY);
    if (fd >= 0) {
        void *page = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        CHECK(page != MAP_FAILED);
        v->bytes = page;
        memcpy(v->seen, page, size);
        close(fd);
    }
}

static int views_changed(void) {
    int changed = 0;
    for (int i = 0; i < VIEWS; i++) {
        view *v = &views[i];
        if (v->bytes != NULL && memcmp(v->seen, v->bytes, v->size) != 0) {
            memcpy(v->seen, v->bytes, v->size);
            changed = 1;
        }
    }
    return changed;
}

static void views_close(void) {
    for (int i = 0; i < VIEWS; i++) {
        if (views[i].bytes != NULL) {
            munmap((void *)(uintptr_t)views[i].bytes, views[i].size);
        }
    }
}

static void copy_files(void) {
    static uint8_t bytes[SEGMENT];
    dir_empty(copy_dir);
    int fd = openat(w.dir, ".", O_RDONLY | O_DIRECTORY);
    DIR *dir = fdopendir(fd);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            size_t size = file_size(w.dir, e->d_name);
            CHECK(size <= sizeof bytes);
            file_read(w.dir, e->d_name, bytes, size);
            file_write(copy_dir, e->d_name, bytes, size, 0);
        }
    }
    closedir(dir);
}

/* The size stands there alone: a reader waits for the one at work, and says
 * that something is wrong only where nothing follows. */
static int is_begun(const uint8_t *frame) {
    uint64_t words[2];
    memcpy(words, frame, sizeof words);
    return words[0] != 0 && words[1] == 0;
}

static uint64_t read_copy(const uint8_t *frame) {
    uint64_t count;
    int own = w.dir;
    w.dir = copy_dir;
    sentinel_status status = read_from(0, &count);
    w.dir = own;
    CHECK(status == SENTINEL_AUDIT_END || (status == SENTINEL_AUDIT_CORRUPT && is_begun(frame)));
    return count;
}

/* As if it had been killed now. `before`: records when the append began.
 * Returns how many there are. */
static uint64_t judge(uint64_t before, const uint8_t *frame) {
    static sentinel_log log;
    copy_files();
    states++;
    uint64_t read = read_copy(frame);
    CHECK(read == before || read == before + 1);
    uint8_t mode = states % 2 == 0 ? SENTINEL_DURABILITY_MAPPED : SENTINEL_DURABILITY_WRITE;
    CHECK_OK(sentinel_log_open(&log, copy_dir, w.c.engine_id32, mode, SEGMENT));
    CHECK_EQ(log.count, read);
    CHECK(!file_exists(copy_dir, "ahead.new"));
    if (log.count == before) {
        CHECK_OK(sentinel_log_append(&log, w.c.record, w.c.size, w.c.last_hash32, 0));
    } else {
        CHECK_EQ(log.torn_bytes, 0);
    }
    CHECK_BYTES(log.last_hash32, w.c.last_hash32, 32);
    sentinel_log_close(&log);
    CHECK_EQ(read_copy(frame), before + 1);
    return read;
}

static pid_t child_begin(void) {
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(2);
        }
        raise(SIGSTOP);
        sentinel_status status =
            sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0);
        raise(SIGSTOP);
        _exit(status == SENTINEL_OK ? 0 : 1);
    }
    int state;
    CHECK(child > 0 && waitpid(child, &state, 0) == child);
    CHECK(WIFSTOPPED(state) && WSTOPSIG(state) == SIGSTOP);
    return child;
}

/* The record in w.c is appended by a child, store by store. */
static unsigned append_in_steps(int in_view, uint64_t offset) {
    static const uint8_t none[16];
    uint64_t before = w.c.number - 1;
    unsigned first = states;
    int is_there = 0, had_ahead = file_exists(w.dir, "ahead.new");
    int state = 0;
    pid_t child = child_begin();
    for (int step = 0;; step++) {
        CHECK(step < STEPS_MAX);
        CHECK_OK(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL));
        CHECK(waitpid(child, &state, 0) == child && WIFSTOPPED(state));
        if (WSTOPSIG(state) != SIGTRAP) {
            break; /* done */
        }
        if (views[in_view].bytes == NULL && file_exists(w.dir, SECOND)) {
            view_open(&views[in_view], SECOND, SEGMENT);
        }
        const uint8_t *frame = views[in_view].bytes != NULL ? views[in_view].bytes + offset : none;
        int has_ahead = had_ahead && file_exists(w.dir, "ahead.new");
        if (views_changed() || has_ahead != had_ahead) {
            had_ahead = has_ahead;
            int was_there = is_there;
            is_there = judge(before, frame) == before + 1;
            CHECK(is_there >= was_there);
        }
    }
    CHECK(is_there);
    CHECK_OK(ptrace(PTRACE_CONT, child, NULL, NULL));
    CHECK(waitpid(child, &state, 0) == child && WIFEXITED(state) && WEXITSTATUS(state) == 0);
    return states - first;
}

/* The child's log went on; this process's own view of it is of before. */
static void take_over(void) {
    w.log.head_page = NULL;
    sentinel_log_close(&w.log);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, w.c.number);
}

static void test_a_kill_between_any_two_stores_of_a_frame(void) {
    begin(3);
    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            chain_feed(&w.c, 2000);
        } else {
            chain_order(&w.c, 288);
        }
        view_open(&views[0], FIRST, SEGMENT);
        view_open(&views[1], "head", SENTINEL_HEAD_BYTES);
        unsigned seen = append_in_steps(0, w.log.segment_offset);
        /* Size, beginning, some of the rest, commit word, and the head's slot. */
        printf("        %u states of the files for %zu bytes\n", seen, w.c.size);
        CHECK(seen > 10);
        views_close();
        take_over();
    }
    expect_whole(6);
}

static void test_a_kill_between_any_two_steps_into_the_next_segment(void) {
    for (int is_ahead = 0; is_ahead < 2; is_ahead++) {
        begin(83); /* the first segment is full */
        if (is_ahead) {
            CHECK_OK(sentinel_log_ahead(&w.log));
            CHECK_EQ(file_size(w.dir, "ahead.new"), SEGMENT);
        }
        chain_order(&w.c, 288);
        CHECK(w.log.segment_offset + w.c.size + 24 > SEGMENT);
        view_open(&views[0], FIRST, SEGMENT);
        view_open(&views[1], "head", SENTINEL_HEAD_BYTES);
        view_open(&views[2], "ahead.new", SEGMENT);
        unsigned seen = append_in_steps(2, sizeof(sentinel_segment));
        printf("        %u states of the files, the segment made %s\n", seen,
               is_ahead ? "ahead" : "by the writer");
        CHECK(seen > 10);
        views_close();
        take_over();
        CHECK(file_exists(w.dir, SECOND));
        expect_whole(84);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    world_begin();
    writer = SENTINEL_DURABILITY_MAPPED;
    copy_dir = dir_make(copy_path, sizeof copy_path);
    RUN(test_a_kill_between_any_two_stores_of_a_frame);
    RUN(test_a_kill_between_any_two_steps_into_the_next_segment);
    dir_remove(copy_path, copy_dir);
    dir_remove(w.path, w.dir);
    return test_end();
}
