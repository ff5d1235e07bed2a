/* A log in a directory of its own, for tests that append to it, damage it and
 * read it to its end. */
#ifndef AUDIT_LOG_WORLD_H
#define AUDIT_LOG_WORLD_H

#include "audit_make.h"

#include <errno.h>
#include <sys/wait.h>

#define SEGMENT SENTINEL_SEGMENT_BYTES_MIN
#define FIRST "00000000000000000000.log"

typedef struct world {
    char path[128];
    int dir;
    chain c;
    sentinel_log log;
} world;

static world w;
static uint8_t writer = SENTINEL_DURABILITY_WRITE; /* the tests run with both ways to write */

/* A sync of memory takes no time. */
static void world_begin(void) {
    if (access("/dev/shm", W_OK) == 0) {
        setenv("TMPDIR", "/dev/shm", 0);
    }
}

static sentinel_status reopen_as(uint8_t durability) {
    return sentinel_log_open(&w.log, w.dir, w.c.engine_id32, durability, SEGMENT);
}

static sentinel_status reopen(void) {
    return reopen_as(writer);
}

static void append(void) {
    CHECK_OK(sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0));
}

/* A log of so many records: genesis, then orders. */
static void begin(uint64_t records) {
    if (w.dir > 0) {
        dir_remove(w.path, w.dir);
    }
    memset(&w, 0, sizeof w);
    w.dir = dir_make(w.path, sizeof w.path);
    chain_begin(&w.c, 5);
    CHECK_OK(reopen());
    for (uint64_t i = 0; i < records; i++) {
        if (i == 0) {
            chain_genesis(&w.c);
        } else {
            chain_order(&w.c, 288);
        }
        append();
    }
}

/* Reads everything; gives the status that ended it, and the count. */
static sentinel_status read_through(uint64_t first, uint64_t *count, uint64_t *offset,
                                    uint8_t *buffer, size_t size) {
    sentinel_log_reader reader;
    sentinel_record record;
    sentinel_status status = sentinel_log_reader_open(&reader, w.dir, first);
    *count = first;
    while (status == SENTINEL_OK) {
        status = sentinel_log_reader_next(&reader, &record, buffer, size);
        if (status == SENTINEL_OK) {
            CHECK_EQ(record.header->number, *count);
            (*count)++;
        }
    }
    *offset = reader.offset;
    sentinel_log_reader_close(&reader);
    return status;
}

/* Record by record, and many at once: both must say the same. */
static sentinel_status read_from(uint64_t first, uint64_t *count) {
    static _Alignas(8) uint8_t buffer[5 * SENTINEL_RECORD_BYTES_MAX];
    uint64_t again, offset, offset_again;
    sentinel_status status = read_through(first, count, &offset, buffer, SENTINEL_RECORD_BYTES_MAX);
    CHECK_EQ(read_through(first, &again, &offset_again, buffer, sizeof buffer), status);
    CHECK_EQ(again, *count);
    CHECK_EQ(offset_again, offset);
    return status;
}

static void expect_whole(uint64_t records) {
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_END);
    CHECK_EQ(count, records);
}

static void flip(const char *name, size_t at, uint8_t mask) {
    int fd = openat(w.dir, name, O_RDWR);
    uint8_t byte;
    CHECK(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1);
    byte ^= mask;
    CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
    close(fd);
}

/* ---- Cut off ---------------------------------------------------------------- */

static uint8_t segment_before[SEGMENT], segment_after[SEGMENT];
static uint8_t head_before[SENTINEL_HEAD_BYTES], head_after[SENTINEL_HEAD_BYTES];

/* A log of four records, as it was before and after the fourth. The fourth is
 * cut off at `cut` bytes of its frame. Returns where the frame begins. */
static size_t prepare_cut(void) {
    begin(3);
    size_t at = w.log.segment_offset;
    sentinel_log_close(&w.log);
    file_read(w.dir, FIRST, segment_before, SEGMENT);
    file_read(w.dir, "head", head_before, SENTINEL_HEAD_BYTES);
    CHECK_OK(reopen());
    chain_order(&w.c, 288);
    append();
    sentinel_log_close(&w.log);
    file_read(w.dir, FIRST, segment_after, SEGMENT);
    file_read(w.dir, "head", head_after, SENTINEL_HEAD_BYTES);
    return at;
}

static void put_cut(size_t at, size_t cut, const uint8_t *head) {
    dir_empty(w.dir);
    file_write(w.dir, FIRST, segment_before, SEGMENT, 0);
    file_write(w.dir, FIRST, segment_after + at, cut, at);
    file_write(w.dir, "head", head, SENTINEL_HEAD_BYTES, 0);
}

#endif
