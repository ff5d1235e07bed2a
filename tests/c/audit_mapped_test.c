/* The mapped log. Goal: it is the log of a writer that writes, byte for byte,
 * whatever the thread beside it does or leaves out. Method: the same records
 * through both; the other thread called at each record, never, late, and
 * beside the writer; a disk that is full when it wants a segment. */
#include "audit_log_world.h"

#include "file_faults.h"

#include <pthread.h>

enum { RECORDS = 500 };

static chain record_at[RECORDS]; /* the same for every log */

static void make_records(void) {
    static chain c;
    chain_begin(&c, 5);
    for (int i = 0; i < RECORDS; i++) {
        if (i == 0) {
            chain_genesis(&c);
        } else if (i % 40 == 7) {
            chain_feed(&c, 8u * (size_t)(i % 300));
        } else {
            chain_order(&c, 288);
        }
        record_at[i] = c;
    }
}

typedef enum helper { HELPER_NONE, HELPER_EACH, HELPER_SOME } helper;

static void fresh(void) {
    if (w.dir > 0) {
        dir_remove(w.path, w.dir);
    }
    memset(&w, 0, sizeof w);
    w.dir = dir_make(w.path, sizeof w.path);
    w.c = record_at[0];
}

static void append_from(int first, int end, helper how) {
    for (int i = first; i < end; i++) {
        const chain *c = &record_at[i];
        CHECK_OK(sentinel_log_append(&w.log, c->record, c->size, c->last_hash32, 0));
        if (how == HELPER_EACH || (how == HELPER_SOME && i / 100 % 2 == 0)) {
            CHECK_OK(sentinel_log_ahead(&w.log));
        }
    }
}

/* All files of the log, in the order of their names. */
static size_t files_of_log(uint8_t *out, size_t room) {
    struct dirent **names;
    size_t size = 0;
    int count = scandir(w.path, &names, NULL, alphasort);
    CHECK(count > 0);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            size_t length = strlen(names[i]->d_name) + 1;
            size_t bytes = file_size(w.dir, names[i]->d_name);
            CHECK(size + length + bytes <= room);
            memcpy(out + size, names[i]->d_name, length);
            file_read(w.dir, names[i]->d_name, out + size + length, bytes);
            size += length + bytes;
        }
        free(names[i]);
    }
    free(names);
    return size;
}

static uint8_t written[1 << 20], mapped[1 << 20];

static size_t by_writing(void) {
    fresh();
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_WRITE));
    append_from(0, RECORDS, HELPER_NONE);
    sentinel_log_close(&w.log);
    return files_of_log(written, sizeof written);
}

static void test_the_same_records_give_the_same_bytes(void) {
    size_t size = by_writing();
    CHECK(size > 6 * SEGMENT);
    for (helper how = HELPER_NONE; how <= HELPER_SOME; how++) {
        fresh();
        CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
        append_from(0, RECORDS, how);
        sentinel_log_close(&w.log);
        CHECK_EQ(files_of_log(mapped, sizeof mapped), size);
        CHECK_BYTES(mapped, written, size);
    }
}

/* Only the head's generations count how often a log was opened. */
static void test_a_log_may_be_opened_either_way_in_turn(void) {
    size_t size = by_writing();
    fresh();
    for (int at = 0, turn = 0; at < RECORDS; turn++) {
        int end = at + 37 < RECORDS ? at + 37 : RECORDS;
        CHECK_OK(reopen_as(turn % 2 == 0 ? SENTINEL_DURABILITY_MAPPED : SENTINEL_DURABILITY_WRITE));
        CHECK_EQ(w.log.count, at);
        append_from(at, end, HELPER_SOME);
        sentinel_log_close(&w.log);
        expect_whole((uint64_t)end);
        at = end;
    }
    CHECK_EQ(files_of_log(mapped, sizeof mapped), size);
    size -= sizeof "head" + SENTINEL_HEAD_BYTES;
    CHECK_BYTES(mapped, written, size); /* the head's name is behind those of segments */
}

static void test_a_segment_made_ahead_is_taken_and_nothing_is_left(void) {
    fresh();
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
    append_from(0, 20, HELPER_EACH);
    CHECK(!file_exists(w.dir, "ahead.new")); /* not before the half */
    append_from(20, 60, HELPER_EACH);
    CHECK_EQ(file_size(w.dir, "ahead.new"), SEGMENT);
    expect_whole(60);
    append_from(60, 100, HELPER_NONE);
    CHECK(!file_exists(w.dir, "ahead.new")); /* it has its name now */
    append_from(100, 140, HELPER_EACH);
    CHECK(file_exists(w.dir, "ahead.new"));
    sentinel_log_close(&w.log);
    CHECK(!file_exists(w.dir, "ahead.new"));
    expect_whole(140);
}

/* What a writer left that was killed goes, whoever opens the log. */
static void test_what_a_killed_writer_made_ahead_is_removed(void) {
    for (uint8_t mode = SENTINEL_DURABILITY_WRITE; mode <= SENTINEL_DURABILITY_MAPPED; mode++) {
        fresh();
        CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
        append_from(0, 3, HELPER_NONE);
        sentinel_log_close(&w.log);
        file_write(w.dir, "ahead.new", "stale", 5, 4000);
        expect_whole(3);
        CHECK_OK(reopen_as(mode));
        CHECK(!file_exists(w.dir, "ahead.new"));
        append_from(3, 100, HELPER_NONE);
        sentinel_log_close(&w.log);
        expect_whole(100);
    }
}

static void test_a_full_disk_ahead_stops_nobody_before_its_time(void) {
    fresh();
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
    append_from(0, 60, HELPER_NONE);
    faults = (file_faults){.space_error = ENOSPC};
    CHECK_EQ(sentinel_log_ahead(&w.log), SENTINEL_IO_SPACE);
    CHECK(!file_exists(w.dir, "ahead.new"));
    append_from(60, 70, HELPER_NONE);
    int i = 70;
    sentinel_status status = SENTINEL_OK;
    while (status == SENTINEL_OK && i < 100) {
        const chain *c = &record_at[i];
        status = sentinel_log_append(&w.log, c->record, c->size, c->last_hash32, 0);
        i += status == SENTINEL_OK;
    }
    CHECK_EQ(status, SENTINEL_IO_SPACE);
    CHECK_EQ(w.log.last_errno, ENOSPC);
    faults = (file_faults){.most = 0};
    CHECK_EQ(sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0),
             SENTINEL_AUDIT_FULL);
    sentinel_log_close(&w.log);
    expect_whole((uint64_t)i);
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
    append_from(i, 100, HELPER_EACH);
    expect_whole(100);
}

/* The disk was full when the other thread tried, and is not any more. */
static void test_the_writer_makes_what_the_other_thread_could_not(void) {
    fresh();
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
    append_from(0, 60, HELPER_NONE);
    faults = (file_faults){.space_error = ENOSPC};
    CHECK_EQ(sentinel_log_ahead(&w.log), SENTINEL_IO_SPACE);
    faults = (file_faults){.most = 0};
    append_from(60, 300, HELPER_NONE);
    append_from(300, RECORDS, HELPER_EACH);
    expect_whole(RECORDS);
}

static void test_any_call_may_fail_at_a_change_of_segments(void) {
    unsigned failures = 0;
    for (int ahead = 0; ahead < 2; ahead++) {
        for (unsigned n = 1, met = 1; met; n++) {
            fresh();
            CHECK(n < 50);
            CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
            append_from(0, 60, HELPER_NONE);
            faults = (file_faults){.fail_at = n};
            sentinel_status status = ahead ? sentinel_log_ahead(&w.log) : SENTINEL_OK;
            int at = 60;
            while (at < 100) {
                const chain *c = &record_at[at];
                if (sentinel_log_append(&w.log, c->record, c->size, c->last_hash32, 0) != 0) {
                    break;
                }
                at++;
            }
            met = faults.seen >= n;
            faults = (file_faults){.most = 0};
            failures += at < 100 || status != SENTINEL_OK;
            expect_whole((uint64_t)at);
            sentinel_log_close(&w.log);
            CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
            CHECK_EQ(w.log.count, at);
            append_from(at, 120, HELPER_EACH);
            expect_whole(120);
        }
    }
    CHECK(failures >= 8);
}

/* Linux before 5.14 does not know the advice: pages are touched instead. */
static void test_an_older_kernel_changes_nothing(void) {
    size_t size = by_writing();
    fresh();
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
    faults = (file_faults){.advice_error = EINVAL};
    append_from(0, RECORDS, HELPER_EACH);
    CHECK_EQ(faults.advice_error, EINVAL);
    faults = (file_faults){.most = 0};
    sentinel_log_close(&w.log);
    CHECK_EQ(files_of_log(mapped, sizeof mapped), size);
    CHECK_BYTES(mapped, written, size);
}

/* ---- Beside the writer ---------------------------------------------------------- */

static int ending;

static void *keep_ahead(void *log) {
    uintptr_t failed = 0;
    while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE)) {
        failed += sentinel_log_ahead(log) != SENTINEL_OK;
    }
    return (void *)failed;
}

/* Full segments every 80 records: changes meet the other thread at any step. */
static void test_both_threads_at_once_keep_every_record(void) {
    begin(0);
    sentinel_log_close(&w.log);
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
    pthread_t threads[2];
    ending = 0;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(pthread_create(&threads[i], NULL, keep_ahead, &w.log));
    }
    for (int i = 0; i < 20000; i++) {
        if (i == 0) {
            chain_genesis(&w.c);
        } else {
            chain_order(&w.c, 256);
        }
        append();
    }
    __atomic_store_n(&ending, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        void *failed;
        CHECK_OK(pthread_join(threads[i], &failed));
        CHECK(failed == NULL);
    }
    expect_whole(20000);
    sentinel_log_close(&w.log);
    CHECK(!file_exists(w.dir, "ahead.new"));
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_WRITE));
    CHECK_EQ(w.log.count, 20000);
}

/* A child has the pages too; what it closes is only its own view of them. */
static void test_a_forked_child_leaves_the_log_alone(void) {
    fresh();
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_MAPPED));
    append_from(0, 60, HELPER_EACH);
    pid_t child = fork();
    if (child == 0) {
        w.log.head_page = NULL; /* as the engine does */
        sentinel_log_close(&w.log);
        _exit(0);
    }
    int state;
    waitpid(child, &state, 0);
    CHECK(file_exists(w.dir, "ahead.new"));
    append_from(60, 200, HELPER_EACH);
    expect_whole(200);
}

static void test_other_logs_have_nothing_to_make_ahead(void) {
    static const uint8_t modes[] = {SENTINEL_DURABILITY_NONE, SENTINEL_DURABILITY_WRITE,
                                    SENTINEL_DURABILITY_FSYNC};
    for (size_t i = 0; i < sizeof modes; i++) {
        fresh();
        CHECK_OK(reopen_as(modes[i]));
        append_from(0, 60, HELPER_EACH);
        CHECK(!file_exists(w.dir, "ahead.new"));
        sentinel_log_close(&w.log);
        CHECK_OK(sentinel_log_ahead(&w.log));
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    world_begin();
    writer = SENTINEL_DURABILITY_MAPPED;
    make_records();
    RUN(test_the_same_records_give_the_same_bytes);
    RUN(test_a_log_may_be_opened_either_way_in_turn);
    RUN(test_a_segment_made_ahead_is_taken_and_nothing_is_left);
    RUN(test_what_a_killed_writer_made_ahead_is_removed);
    RUN(test_a_full_disk_ahead_stops_nobody_before_its_time);
    RUN(test_the_writer_makes_what_the_other_thread_could_not);
    RUN(test_any_call_may_fail_at_a_change_of_segments);
    RUN(test_an_older_kernel_changes_nothing);
    RUN(test_both_threads_at_once_keep_every_record);
    RUN(test_a_forked_child_leaves_the_log_alone);
    RUN(test_other_logs_have_nothing_to_make_ahead);
    dir_remove(w.path, w.dir);
    return test_end();
}
