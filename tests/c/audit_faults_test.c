/* A log on a file system that fails. Goal: an interrupted or short call is
 * nothing, a failed one leaves a log without the record, and says why.
 * Method: the system calls are the test's own (file_faults.h). */
#include "audit_make.h"
#include "file_faults.h"

#define SEGMENT SENTINEL_SEGMENT_BYTES_MIN

static char path[128];
static int dir;
static chain c;
static sentinel_log log_;

static void begin(uint8_t durability, int records) {
    if (dir > 0) {
        faults = (file_faults){.most = 0};
        sentinel_log_close(&log_);
        dir_remove(path, dir);
    }
    faults = (file_faults){.most = 0};
    dir = dir_make(path, sizeof path);
    chain_begin(&c, 5);
    CHECK_OK(sentinel_log_open(&log_, dir, c.engine_id32, durability, SEGMENT));
    for (int i = 0; i < records; i++) {
        if (i == 0) {
            chain_genesis(&c);
        } else {
            chain_order(&c, 288);
        }
        CHECK_OK(sentinel_log_append(&log_, c.record, c.size, c.last_hash32, 0));
    }
}

static sentinel_status append_next(int later) {
    chain_order(&c, 288);
    return sentinel_log_append(&log_, c.record, c.size, c.last_hash32, later);
}

static void expect_whole(uint64_t records) {
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record record;
    sentinel_status status = sentinel_log_reader_open(&reader, dir, 0);
    while (status == SENTINEL_OK) {
        status = sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer);
    }
    CHECK_EQ(status, SENTINEL_AUDIT_END);
    CHECK_EQ(reader.next, records);
    sentinel_log_reader_close(&reader);
}

static void test_short_and_interrupted_calls_change_nothing(void) {
    static const size_t most[] = {1, 7, 8, 9, 100, 512};
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
        begin(SENTINEL_DURABILITY_WRITE, 1);
        faults = (file_faults){.most = most[i], .interrupts = 1};
        for (int k = 0; k < 3; k++) {
            CHECK_OK(append_next(0));
        }
        faults = (file_faults){.most = most[i] < 100 ? 4096 : most[i], .interrupts = 1};
        expect_whole(4);
        /* The head, a segment and a torn tail are written so as well. */
        sentinel_log_close(&log_);
        file_faults again = faults;
        faults = (file_faults){.most = 0};
        file_write(dir, "00000000000000000000.log", "torn", 4, log_.segment_offset + 40);
        faults = again;
        CHECK_OK(sentinel_log_open(&log_, dir, c.engine_id32, SENTINEL_DURABILITY_WRITE, SEGMENT));
        CHECK_EQ(log_.torn_bytes, 44);
        sentinel_log_close(&log_);
        dir_empty(dir);
        CHECK_OK(sentinel_log_open(&log_, dir, c.engine_id32, SENTINEL_DURABILITY_WRITE, SEGMENT));
    }
}

static void expect_refused(sentinel_status status, int error, uint64_t records) {
    CHECK_EQ(append_next(0), status);
    CHECK_EQ(log_.last_errno, error);
    CHECK_EQ(append_next(0), SENTINEL_AUDIT_FULL);
    faults = (file_faults){.most = 0};
    expect_whole(records);
    sentinel_log_close(&log_);
    CHECK_OK(sentinel_log_open(&log_, dir, c.engine_id32, SENTINEL_DURABILITY_WRITE, SEGMENT));
    CHECK_EQ(log_.count, records);
    CHECK_EQ(log_.torn_bytes, 0);
}

static void test_a_failed_write_leaves_no_record(void) {
    static const struct {
        int error;
        sentinel_status status;
    } rows[] = {{EIO, SENTINEL_IO_WRITE}, {ENOSPC, SENTINEL_IO_SPACE}, {EDQUOT, SENTINEL_IO_SPACE}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned after = 0; after < 8; after++) {
            /* The frame goes out in eight pieces; the one after `after` fails,
             * and what was written by then must be gone. */
            begin(SENTINEL_DURABILITY_WRITE, 2);
            faults = (file_faults){.most = 100, .write_error = rows[i].error, .write_after = after};
            expect_refused(rows[i].status, rows[i].error, 2);
        }
    }
}

static void test_a_failed_sync_leaves_no_record(void) {
    begin(SENTINEL_DURABILITY_FSYNC, 2);
    faults.sync_error = EIO;
    expect_refused(SENTINEL_IO_SYNC, EIO, 2);
}

static void test_a_failed_group_sync_latches(void) {
    begin(SENTINEL_DURABILITY_FSYNC, 1);
    CHECK_OK(append_next(1));
    faults.sync_error = EIO;
    CHECK_EQ(sentinel_log_sync(&log_), SENTINEL_IO_SYNC);
    CHECK_EQ(append_next(1), SENTINEL_AUDIT_FULL);
    sentinel_log_head head;
    CHECK_OK(sentinel_log_head_read(&head, dir));
    CHECK_EQ(head.count, 1);
}

static void test_each_record_is_synced_before_it_counts(void) {
    begin(SENTINEL_DURABILITY_FSYNC, 1);
    unsigned before = faults.syncs;
    CHECK_OK(append_next(0));
    CHECK_EQ(faults.syncs, before + 1);
    CHECK_OK(append_next(1));
    CHECK_EQ(faults.syncs, before + 1);
    CHECK_OK(sentinel_log_sync(&log_));
    CHECK_OK(sentinel_log_sync(&log_)); /* nothing is left to sync */
    CHECK_EQ(faults.syncs, before + 2);
    begin(SENTINEL_DURABILITY_WRITE, 1);
    before = faults.syncs;
    CHECK_OK(append_next(0));
    CHECK_OK(sentinel_log_sync(&log_));
    CHECK_EQ(faults.syncs, before);
}

static void fill_segment(void) {
    while (c.number < 83) {
        CHECK_OK(append_next(0));
    }
}

static void test_a_segment_that_cannot_be_made_stops_the_log(void) {
    for (int i = 0; i < 4; i++) {
        begin(i == 3 ? SENTINEL_DURABILITY_FSYNC : SENTINEL_DURABILITY_WRITE, 1);
        fill_segment();
        if (i == 0) {
            faults.space_error = ENOSPC;
            expect_refused(SENTINEL_IO_SPACE, ENOSPC, 83);
        } else if (i == 1) {
            faults.rename_error = EACCES;
            expect_refused(SENTINEL_IO_WRITE, EACCES, 83);
        } else if (i == 2) {
            faults.write_error = EIO;
            expect_refused(SENTINEL_IO_WRITE, EIO, 83);
        } else {
            faults.sync_error = EIO;
            expect_refused(SENTINEL_IO_SYNC, EIO, 83);
        }
        CHECK(!file_exists(dir, "00000000000000000083.log"));
        CHECK(!file_exists(dir, "00000000000000000083.log.new"));
    }
}

static void test_a_roll_over_syncs_what_waits(void) {
    begin(SENTINEL_DURABILITY_FSYNC, 1);
    while (c.number < 83) {
        CHECK_OK(append_next(1));
    }
    sentinel_log_head head;
    CHECK_OK(append_next(1));
    CHECK_OK(sentinel_log_head_read(&head, dir));
    CHECK_EQ(head.count, 83);
    CHECK_EQ(head.synced, 83);
}

static void test_a_log_that_cannot_be_made_says_why(void) {
    begin(SENTINEL_DURABILITY_WRITE, 0);
    static const struct {
        file_faults faults;
        uint8_t durability;
        sentinel_status status;
    } rows[] = {
        {{.space_error = ENOSPC}, SENTINEL_DURABILITY_WRITE, SENTINEL_IO_SPACE},
        {{.space_error = EINVAL}, SENTINEL_DURABILITY_WRITE, SENTINEL_IO_WRITE},
        {{.rename_error = EROFS}, SENTINEL_DURABILITY_WRITE, SENTINEL_IO_WRITE},
        {{.write_error = EIO}, SENTINEL_DURABILITY_WRITE, SENTINEL_IO_WRITE},
        {{.sync_error = EIO}, SENTINEL_DURABILITY_FSYNC, SENTINEL_IO_SYNC},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sentinel_log other;
        dir_empty(dir);
        faults = rows[i].faults;
        CHECK_EQ(sentinel_log_open(&other, dir, c.engine_id32, rows[i].durability, SEGMENT),
                 rows[i].status);
        faults = (file_faults){.most = 0};
        sentinel_log_close(&other);
        CHECK_OK(sentinel_log_open(&other, dir, c.engine_id32, rows[i].durability, SEGMENT));
        sentinel_log_close(&other);
    }
}

static void test_a_torn_tail_that_cannot_be_kept_is_left_alone(void) {
    static const file_faults rows[] = {{.write_error = ENOSPC}, {.sync_error = EIO}};
    static const sentinel_status statuses[] = {SENTINEL_IO_SPACE, SENTINEL_IO_SYNC};
    uint8_t before[100], after[100];
    for (size_t i = 0; i < 2; i++) {
        begin(SENTINEL_DURABILITY_WRITE, 2);
        uint64_t at = log_.segment_offset;
        sentinel_log_close(&log_);
        chain_order(&c, 288);
        uint64_t size = c.size;
        file_write(dir, "00000000000000000000.log", &size, 8, at);
        file_write(dir, "00000000000000000000.log", c.record, 92, at + 8);
        int fd = openat(dir, "00000000000000000000.log", O_RDONLY);
        CHECK_EQ(pread(fd, before, sizeof before, (off_t)at), sizeof before);
        faults = rows[i];
        CHECK_EQ(sentinel_log_open(&log_, dir, c.engine_id32, SENTINEL_DURABILITY_WRITE, SEGMENT),
                 statuses[i]);
        faults = (file_faults){.most = 0};
        CHECK_EQ(pread(fd, after, sizeof after, (off_t)at), sizeof after);
        close(fd);
        CHECK_BYTES(before, after, sizeof after);
        sentinel_log_close(&log_);
        CHECK_OK(sentinel_log_open(&log_, dir, c.engine_id32, SENTINEL_DURABILITY_WRITE, SEGMENT));
        CHECK_EQ(log_.count, 2);
        CHECK(log_.torn_bytes > 80 && log_.torn_bytes <= 100);
    }
}

/* ---- Every call once ----------------------------------------------------------- */

static sentinel_status open_again(uint8_t durability) {
    return sentinel_log_open(&log_, dir, c.engine_id32, durability, SEGMENT);
}

static void test_opening_a_torn_log_goes_on_after_any_call_failed(void) {
    static uint8_t segment[SEGMENT], head[SENTINEL_HEAD_BYTES];
    begin(SENTINEL_DURABILITY_FSYNC, 3);
    uint64_t at = log_.segment_offset;
    sentinel_log_close(&log_);
    file_write(dir, "00000000000000000000.log", "torn", 4, at + 40);
    file_read(dir, "00000000000000000000.log", segment, SEGMENT);
    file_read(dir, "head", head, sizeof head);
    unsigned failures = 0;
    for (unsigned n = 1;; n++) {
        CHECK(n < 500);
        dir_empty(dir);
        file_write(dir, "00000000000000000000.log", segment, SEGMENT, 0);
        file_write(dir, "head", head, sizeof head, 0);
        faults = (file_faults){.fail_at = n};
        sentinel_status status = open_again(SENTINEL_DURABILITY_FSYNC);
        int met = faults.seen >= n;
        faults = (file_faults){.fail_at = 0};
        sentinel_log_close(&log_);
        failures += status != SENTINEL_OK;
        CHECK_OK(open_again(SENTINEL_DURABILITY_FSYNC));
        CHECK_EQ(log_.count, 3);
        expect_whole(3);
        sentinel_log_close(&log_);
        if (!met) {
            CHECK_OK(status);
            break;
        }
    }
    CHECK(failures > 20);
}

static void test_a_roll_over_keeps_what_it_has_when_any_call_fails(void) {
    unsigned failures = 0;
    for (unsigned n = 1;; n++) {
        CHECK(n < 50);
        begin(SENTINEL_DURABILITY_FSYNC, 1);
        fill_segment();
        faults = (file_faults){.fail_at = n};
        sentinel_status status = append_next(0);
        int met = faults.seen >= n;
        faults = (file_faults){.fail_at = 0};
        failures += status != SENTINEL_OK;
        expect_whole(status == SENTINEL_OK ? 84 : 83);
        sentinel_log_close(&log_);
        CHECK_OK(open_again(SENTINEL_DURABILITY_FSYNC));
        CHECK_EQ(log_.count, status == SENTINEL_OK ? 84 : 83);
        if (!met) {
            CHECK_OK(status);
            break;
        }
    }
    CHECK(failures >= 8);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_short_and_interrupted_calls_change_nothing);
    RUN(test_a_failed_write_leaves_no_record);
    RUN(test_a_failed_sync_leaves_no_record);
    RUN(test_a_failed_group_sync_latches);
    RUN(test_each_record_is_synced_before_it_counts);
    RUN(test_a_segment_that_cannot_be_made_stops_the_log);
    RUN(test_a_roll_over_syncs_what_waits);
    RUN(test_a_log_that_cannot_be_made_says_why);
    RUN(test_a_torn_tail_that_cannot_be_kept_is_left_alone);
    RUN(test_opening_a_torn_log_goes_on_after_any_call_failed);
    RUN(test_a_roll_over_keeps_what_it_has_when_any_call_fails);
    sentinel_log_close(&log_);
    dir_remove(path, dir);
    return test_end();
}
