/* The log. Goal: what was appended is found again, and a log whose parts are
 * missing is not taken for whole. Method: real files in a directory of its
 * own; segments and heads go missing, the disk fills. */
#include "audit_log.h"
#include "audit_log_world.h"

#include <signal.h>
#include <sys/resource.h>

/* ---- Appending and reading ------------------------------------------------- */

static void test_a_new_log_is_empty_and_takes_records(void) {
    begin(0);
    CHECK_EQ(w.log.count, 0);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_END);
    chain_genesis(&w.c);
    append();
    expect_whole(1);
    CHECK_EQ(file_size(w.dir, FIRST), SEGMENT);
    CHECK_EQ(file_size(w.dir, "head"), SENTINEL_HEAD_BYTES);
}

static void test_a_log_goes_on_where_it_ended(void) {
    begin(10);
    for (int i = 0; i < 5; i++) {
        sentinel_log_close(&w.log);
        CHECK_OK(reopen());
        CHECK_EQ(w.log.count, w.c.number);
        CHECK_EQ(w.log.torn_bytes, 0);
        CHECK_BYTES(w.log.last_hash32, w.c.last_hash32, 32);
        w.c.epoch++;
        chain_order(&w.c, 256);
        append();
    }
    sentinel_log_head head;
    CHECK_OK(sentinel_log_head_read(&head, w.dir));
    CHECK_EQ(head.count, 15);
    CHECK_EQ(head.epoch, 5);
    CHECK_BYTES(head.last_hash16, w.c.last_hash32, 16);
    expect_whole(15);
}

static void test_a_frame_has_the_documented_bytes(void) {
    begin(1);
    uint8_t bytes[64 + 8 + 720 + 8 + 8], digest[32];
    uint64_t size, commit;
    file_read(w.dir, FIRST, bytes, sizeof bytes);
    CHECK_BYTES(bytes, "SENTSEGM\1\0\0\0\0\0\0\0", 16);
    CHECK_BYTES(bytes + 16, w.c.engine_id32, 32);
    memcpy(&size, bytes + 56, 8);
    CHECK_EQ(size, SEGMENT);
    memcpy(&size, bytes + 64, 8);
    CHECK_EQ(size, 720);
    CHECK_BYTES(bytes + 72, w.c.record, 720);
    uint8_t leaf[1 + 320] = {0};
    memcpy(leaf + 1, bytes + 72, 320);
    crypto_hash_sha256(digest, leaf, sizeof leaf);
    CHECK_BYTES(bytes + 72 + 720, digest, 8);
    memcpy(&commit, bytes + 72 + 720 + 8, 8);
    CHECK_EQ(commit, 0);
}

static void test_a_full_segment_is_followed_by_the_next(void) {
    begin(500);
    char name[32];
    unsigned segments = 0;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "%020u.log", i);
        segments += file_exists(w.dir, name) != 0;
    }
    CHECK(segments >= 6); /* 784 bytes a frame, 64 KiB a segment */
    expect_whole(500);
    sentinel_log_close(&w.log);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 500);
    for (uint64_t first = 0; first < 500; first += 7) {
        uint64_t count;
        CHECK_EQ(read_from(first, &count), SENTINEL_AUDIT_END);
        CHECK_EQ(count, 500);
    }
    uint64_t count;
    CHECK_EQ(read_from(499, &count), SENTINEL_AUDIT_END);
    CHECK_EQ(count, 500);
    CHECK_EQ(read_from(501, &count), SENTINEL_AUDIT_END);
    CHECK_EQ(count, 501);
}

static void test_the_largest_record_fits(void) {
    begin(1);
    for (int i = 0; i < 7; i++) {
        chain_feed(&w.c, SENTINEL_SUBJECT_BYTES_MAX);
        append();
    }
    expect_whole(8);
}

static void test_the_segment_is_used_to_its_last_word(void) {
    /* 64 + 736 + 2 x 20,864 + 2,384 are used; 20,616 and the zero behind fit. */
    for (size_t over = 0; over <= 8; over += 8) {
        begin(1);
        chain_feed(&w.c, SENTINEL_SUBJECT_BYTES_MAX);
        append();
        chain_feed(&w.c, SENTINEL_SUBJECT_BYTES_MAX);
        append();
        chain_feed(&w.c, 2000);
        append();
        chain_feed(&w.c, 20616 - 384 + over);
        append();
        CHECK_EQ(file_exists(w.dir, "00000000000000000004.log"), over != 0);
        CHECK_EQ(w.log.segment_offset == SEGMENT - 8, over == 0);
        chain_order(&w.c, 288);
        append();
        CHECK_EQ(file_exists(w.dir, "00000000000000000005.log"), over == 0);
        expect_whole(6);
        sentinel_log_close(&w.log);
        CHECK_OK(reopen());
        CHECK_EQ(w.log.count, 6);
    }
}

static void test_with_no_durability_nothing_is_written(void) {
    begin(0);
    sentinel_log_close(&w.log);
    dir_empty(w.dir);
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_NONE));
    chain_genesis(&w.c);
    append();
    CHECK_EQ(w.log.count, 1);
    CHECK(!file_exists(w.dir, FIRST) && !file_exists(w.dir, "head"));
    sentinel_log_close(&w.log);
    CHECK_OK(sentinel_log_open(&w.log, -1, w.c.engine_id32, SENTINEL_DURABILITY_NONE, SEGMENT));
    CHECK_EQ(w.log.count, 0);
}

static void test_with_no_durability_a_log_is_only_read(void) {
    begin(3);
    sentinel_log_close(&w.log);
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_NONE));
    CHECK_EQ(w.log.count, 3);
    chain_order(&w.c, 288);
    append();
    CHECK_EQ(w.log.count, 4);
    sentinel_log_close(&w.log);
    expect_whole(3);
}

static void test_group_commit_counts_what_is_synced(void) {
    begin(1);
    sentinel_log_close(&w.log);
    CHECK_OK(reopen_as(SENTINEL_DURABILITY_FSYNC));
    sentinel_log_head head;
    for (int i = 0; i < 5; i++) {
        chain_order(&w.c, 288);
        CHECK_OK(sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 1));
        CHECK_OK(sentinel_log_head_read(&head, w.dir));
        CHECK_EQ(head.count, 1);
    }
    expect_whole(6); /* ahead of the head, and whole */
    CHECK_OK(sentinel_log_sync(&w.log));
    CHECK_OK(sentinel_log_head_read(&head, w.dir));
    CHECK_EQ(head.count, 6);
    CHECK_EQ(head.synced, 6);
    chain_order(&w.c, 288);
    append();
    CHECK_OK(sentinel_log_head_read(&head, w.dir));
    CHECK_EQ(head.synced, 7);
}

static void test_arguments_out_of_range_are_refused(void) {
    begin(0);
    static const struct {
        uint8_t durability;
        uint64_t segment_bytes;
    } rows[] = {
        {0, SEGMENT}, {5, SEGMENT}, {2, SEGMENT - 8}, {2, SEGMENT + 4}, {2, UINT64_MAX - 7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sentinel_log log;
        CHECK_EQ(sentinel_log_open(&log, w.dir, w.c.engine_id32, rows[i].durability,
                                   rows[i].segment_bytes),
                 SENTINEL_USAGE_ARGUMENT);
    }
    sentinel_log_reader reader;
    sentinel_record record;
    _Alignas(8) static uint8_t small[SENTINEL_RECORD_BYTES_MAX + 8];
    chain_genesis(&w.c);
    append();
    CHECK_OK(sentinel_log_reader_open(&reader, w.dir, 0));
    CHECK_EQ(sentinel_log_reader_next(&reader, &record, small, SENTINEL_RECORD_BYTES_MAX - 1),
             SENTINEL_USAGE_CAPACITY);
    CHECK_EQ(sentinel_log_reader_next(&reader, &record, small + 4, SENTINEL_RECORD_BYTES_MAX),
             SENTINEL_USAGE_CAPACITY);
    sentinel_log_reader_close(&reader);
}

/* Our own invariant: a release build latches, a test build aborts. */
static void test_a_record_that_is_not_the_next_latches(void) {
    begin(2);
    pid_t child = fork();
    if (child == 0) {
        sentinel_status status =
            sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0);
        int again = sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0) ==
                    SENTINEL_AUDIT_FULL;
        _exit(status == SENTINEL_INTERNAL && again ? 42 : 1);
    }
    int state;
    waitpid(child, &state, 0);
    CHECK((WIFEXITED(state) && WEXITSTATUS(state) == 42) ||
          (WIFSIGNALED(state) && WTERMSIG(state) == SIGABRT));
    expect_whole(2);
}

static void test_a_reader_beside_a_writer_sees_only_whole_records(void) {
    begin(1);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 4000; i++) {
            chain_order(&w.c, 288);
            if (sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0) != 0) {
                _exit(1);
            }
        }
        _exit(0);
    }
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record record;
    CHECK_OK(sentinel_log_reader_open(&reader, w.dir, 0));
    while (reader.next < 4001) {
        sentinel_status status = sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer);
        CHECK(status == SENTINEL_OK || status == SENTINEL_AUDIT_END);
    }
    sentinel_log_reader_close(&reader);
    int state;
    waitpid(child, &state, 0);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    /* The child's pages are gone with it; the files are this process's too. */
    w.log.segment_fd = w.log.segment_fd >= 0 ? (close(w.log.segment_fd), -1) : -1;
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 4001);
}

/* ---- Heads and segments ------------------------------------------------------ */

/* The digest was worked out in Python, from the words of docs/4-audit.md. */
static void test_every_bit_of_a_slot_is_checked(void) {
    static const uint8_t expected16[16] = {0xa2, 0x95, 0x70, 0xd4, 0x6b, 0x14, 0x56, 0x4d,
                                           0x12, 0x78, 0xee, 0x46, 0x6b, 0xaf, 0xdd, 0xd4};
    sentinel_log_head slot;
    uint8_t *bytes = (uint8_t *)&slot;
    uint8_t check16[16];
    for (size_t i = 0; i < sizeof slot; i++) {
        bytes[i] = (uint8_t)i;
    }
    log_head_check(check16, &slot);
    CHECK_BYTES(check16, expected16, 16);
    for (size_t bit = 0; bit < 8 * offsetof(sentinel_log_head, check16); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        log_head_check(check16, &slot);
        CHECK(memcmp(check16, expected16, 8) != 0 && memcmp(check16 + 8, expected16 + 8, 8) != 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_one_intact_slot_of_the_head_is_enough(void) {
    for (size_t slot = 0; slot < 2; slot++) {
        begin(4);
        /* As if killed while it wrote this slot. */
        flip("head", slot * SENTINEL_HEAD_SLOT_BYTES + 40, 1);
        w.log.head_page = NULL;
        sentinel_log_close(&w.log);
        CHECK_OK(reopen());
        CHECK_EQ(w.log.count, 4);
        expect_whole(4);
    }
}

static void test_a_stray_byte_beside_the_slots_goes_when_the_log_is_opened(void) {
    begin(4);
    sentinel_log_close(&w.log);
    flip("head", 1000, 1);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
    CHECK_OK(reopen());
    expect_whole(4);
}

static void test_no_intact_slot_is_corruption(void) {
    begin(4);
    sentinel_log_close(&w.log);
    flip("head", 40, 1);
    flip("head", SENTINEL_HEAD_SLOT_BYTES + 40, 1);
    sentinel_log_head head;
    CHECK_EQ(sentinel_log_head_read(&head, w.dir), SENTINEL_AUDIT_CORRUPT);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
    sentinel_log_close(&w.log);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT); /* and it stays so */
}

static void test_a_head_of_another_size_is_corruption(void) {
    begin(2);
    sentinel_log_close(&w.log);
    file_write(w.dir, "head", "x", 1, SENTINEL_HEAD_BYTES);
    sentinel_log_head head;
    CHECK_EQ(sentinel_log_head_read(&head, w.dir), SENTINEL_AUDIT_CORRUPT);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
    unlinkat(w.dir, "head", 0);
    file_write(w.dir, "head", "x", 1, 0);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
}

static void test_a_log_without_its_head_is_corruption(void) {
    begin(4);
    sentinel_log_close(&w.log);
    unlinkat(w.dir, "head", 0);
    expect_whole(4); /* a copy of the segments alone may be read */
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
}

static void test_a_head_without_its_log_is_truncation(void) {
    begin(4);
    sentinel_log_close(&w.log);
    unlinkat(w.dir, FIRST, 0);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_TRUNCATED);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_TRUNCATED);
    CHECK(!file_exists(w.dir, FIRST));
}

static void test_a_maker_killed_before_the_first_segment_leaves_a_new_log(void) {
    begin(0);
    sentinel_log_close(&w.log);
    CHECK_EQ(renameat(w.dir, FIRST, w.dir, FIRST ".new"), 0);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 0);
    CHECK(file_exists(w.dir, FIRST) && !file_exists(w.dir, FIRST ".new"));
}

static void test_a_writer_killed_behind_a_new_segment_goes_on_in_it(void) {
    begin(1);
    while (!file_exists(w.dir, "00000000000000000083.log")) {
        CHECK(w.c.number < 84);
        chain_order(&w.c, 288);
        append();
    }
    sentinel_log_close(&w.log);
    /* Its first record was not written yet. */
    static const uint8_t zeros[784];
    file_write(w.dir, "00000000000000000083.log", zeros, sizeof zeros, 64);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_TRUNCATED); /* the head says otherwise */
    CHECK_EQ(w.log.count, 83);
    sentinel_log_close(&w.log);
    begin(83);
    sentinel_log_close(&w.log);
    char header[64];
    file_read(w.dir, FIRST, header, sizeof header);
    header[48] = 83;
    file_write(w.dir, "00000000000000000083.log", header, sizeof header, 0);
    file_write(w.dir, "00000000000000000083.log", "", 1, SEGMENT - 1);
    expect_whole(83);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 83);
    chain_order(&w.c, 288);
    append();
    expect_whole(84);
}

static void test_a_head_whose_segment_is_gone_is_corruption(void) {
    begin(200);
    sentinel_log_close(&w.log);
    file_read(w.dir, "head", head_before, SENTINEL_HEAD_BYTES);
    begin(300);
    sentinel_log_close(&w.log);
    file_write(w.dir, "head", head_before, SENTINEL_HEAD_BYTES, 0);
    CHECK_EQ(unlinkat(w.dir, FIRST, 0), 0);
    CHECK_EQ(unlinkat(w.dir, "00000000000000000083.log", 0), 0);
    CHECK_EQ(unlinkat(w.dir, "00000000000000000166.log", 0), 0);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
}

static void test_a_missing_segment_is_found(void) {
    begin(300);
    sentinel_log_close(&w.log);
    uint64_t count;
    CHECK_EQ(unlinkat(w.dir, "00000000000000000083.log", 0), 0);
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_TRUNCATED);
    CHECK_EQ(count, 83);
    CHECK_EQ(unlinkat(w.dir, FIRST, 0), 0);
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_TRUNCATED);
    /* The last one: */
    begin(300);
    sentinel_log_close(&w.log);
    CHECK_EQ(unlinkat(w.dir, "00000000000000000249.log", 0), 0);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_TRUNCATED);
    CHECK_EQ(w.log.count, 249);
}

static void test_a_segment_behind_a_hole_is_corruption(void) {
    /* The head knows of nothing, and the first segment lost its end. */
    sentinel_log fresh;
    begin(0);
    sentinel_log_close(&w.log);
    file_read(w.dir, "head", head_before, SENTINEL_HEAD_BYTES);
    begin(100);
    sentinel_log_close(&w.log);
    static const uint8_t zeros[SEGMENT];
    file_write(w.dir, FIRST, zeros, SEGMENT - 2000, 2000);
    file_write(w.dir, "head", head_before, SENTINEL_HEAD_BYTES, 0);
    CHECK_EQ(sentinel_log_open(&fresh, w.dir, w.c.engine_id32, SENTINEL_DURABILITY_WRITE, SEGMENT),
             SENTINEL_AUDIT_CORRUPT);
    sentinel_log_close(&fresh);
}

static void test_another_engines_log_is_refused(void) {
    begin(3);
    sentinel_log_close(&w.log);
    uint8_t id32[32] = {1};
    CHECK_EQ(sentinel_log_open(&w.log, w.dir, id32, SENTINEL_DURABILITY_WRITE, SEGMENT),
             SENTINEL_AUDIT_FOREIGN);
    sentinel_log_close(&w.log);
    expect_whole(3);
}

static void test_a_foreign_segment_in_a_log_is_found(void) {
    begin(100);
    sentinel_log_close(&w.log);
    flip("00000000000000000083.log", 20, 1);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_FOREIGN);
    CHECK_EQ(count, 83);
}

static void test_a_newer_segment_version_is_refused(void) {
    begin(3);
    sentinel_log_close(&w.log);
    flip(FIRST, 8, 3);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_FORMAT_VERSION);
    CHECK_EQ(reopen(), SENTINEL_FORMAT_VERSION);
}

/* ---- Full ---------------------------------------------------------------------- */

/* Runs in a child of its own, where files may not grow beyond `bytes`. */
static void with_file_limit(rlim_t bytes, int (*run)(void)) {
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {bytes, bytes};
        signal(SIGXFSZ, SIG_IGN);
        _exit(setrlimit(RLIMIT_FSIZE, &limit) == 0 && run() ? 42 : 1);
    }
    int state;
    waitpid(child, &state, 0);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 42);
}

static int new_log_is_refused(void) {
    return reopen() == SENTINEL_IO_SPACE && w.log.last_errno == EFBIG;
}

static void test_a_full_disk_is_found_when_a_segment_is_made(void) {
    begin(0);
    sentinel_log_close(&w.log);
    dir_empty(w.dir);
    with_file_limit(SEGMENT - 1, new_log_is_refused);
    CHECK(!file_exists(w.dir, FIRST) && !file_exists(w.dir, FIRST ".new"));
    CHECK_OK(reopen());
}

/* Appends until it is refused; then the log takes no more. */
static int fills(sentinel_status expected) {
    for (int i = 0; i < 500; i++) {
        chain_order(&w.c, 288);
        sentinel_status status =
            sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0);
        if (status != SENTINEL_OK) {
            return status == expected && w.log.failed &&
                   sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0) ==
                       SENTINEL_AUDIT_FULL &&
                   sentinel_log_sync(&w.log) == SENTINEL_AUDIT_FULL;
        }
    }
    return 0;
}

static int fills_the_disk(void) {
    return fills(SENTINEL_IO_SPACE);
}

static void test_a_full_disk_stops_the_log_between_segments(void) {
    begin(1);
    /* The first segment was there before; the second cannot be made. */
    with_file_limit(SEGMENT - 1, fills_the_disk);
    CHECK(!file_exists(w.dir, "00000000000000000083.log.new"));
    w.log.failed = 1;
    sentinel_log_close(&w.log);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 83);
    CHECK_EQ(w.log.torn_bytes, 0);
}

static void test_a_record_that_did_not_fit_leaves_no_trace(void) {
    begin(1);
    /* The limit lies within a frame: the write is short, then refused. */
    with_file_limit(64 + 736 + 10 * 784 + 400, fills_the_disk);
    w.log.failed = 1;
    sentinel_log_close(&w.log);
    expect_whole(11);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 11);
    CHECK_EQ(w.log.torn_bytes, 0);
}

static void run_all(void) {
    RUN(test_a_new_log_is_empty_and_takes_records);
    RUN(test_a_log_goes_on_where_it_ended);
    RUN(test_a_frame_has_the_documented_bytes);
    RUN(test_a_full_segment_is_followed_by_the_next);
    RUN(test_the_largest_record_fits);
    RUN(test_the_segment_is_used_to_its_last_word);
    RUN(test_with_no_durability_nothing_is_written);
    RUN(test_with_no_durability_a_log_is_only_read);
    RUN(test_group_commit_counts_what_is_synced);
    RUN(test_arguments_out_of_range_are_refused);
    RUN(test_a_record_that_is_not_the_next_latches);
    RUN(test_a_reader_beside_a_writer_sees_only_whole_records);
    RUN(test_every_bit_of_a_slot_is_checked);
    RUN(test_one_intact_slot_of_the_head_is_enough);
    RUN(test_a_stray_byte_beside_the_slots_goes_when_the_log_is_opened);
    RUN(test_no_intact_slot_is_corruption);
    RUN(test_a_head_of_another_size_is_corruption);
    RUN(test_a_log_without_its_head_is_corruption);
    RUN(test_a_head_without_its_log_is_truncation);
    RUN(test_a_maker_killed_before_the_first_segment_leaves_a_new_log);
    RUN(test_a_writer_killed_behind_a_new_segment_goes_on_in_it);
    RUN(test_a_head_whose_segment_is_gone_is_corruption);
    RUN(test_a_missing_segment_is_found);
    RUN(test_a_segment_behind_a_hole_is_corruption);
    RUN(test_another_engines_log_is_refused);
    RUN(test_a_foreign_segment_in_a_log_is_found);
    RUN(test_a_newer_segment_version_is_refused);
    RUN(test_a_full_disk_is_found_when_a_segment_is_made);
    RUN(test_a_full_disk_stops_the_log_between_segments);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    world_begin();
    run_all();
    RUN(test_a_record_that_did_not_fit_leaves_no_trace); /* a store is never short */
    printf("the same, mapped\n");
    writer = SENTINEL_DURABILITY_MAPPED;
    run_all();
    dir_remove(w.path, w.dir);
    return test_end();
}
