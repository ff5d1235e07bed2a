/* A log whose files anybody changed. It is read and opened without harm; what
 * opens whole takes a record, and then reads back to its end; what opens
 * damaged is left as it is.
 *
 * The input is a list of changes to a log of four records: u16 place (in
 * words of 8, of the segment, then the head), u8 how many bytes, the bytes.
 * A count of 0xff puts the right commit word behind the frame at the place,
 * 0xfe cuts everything from there off. */
#include "audit_make.h"

#define SEGMENT SENTINEL_SEGMENT_BYTES_MIN
#define FIRST "00000000000000000000.log"

static int dir = -1;
static chain next; /* the fifth record */
static uint8_t segment[SEGMENT], head[SENTINEL_HEAD_BYTES];
static uint8_t changed[SEGMENT + SENTINEL_HEAD_BYTES + 256];

static void set_up(void) {
    static char path[128];
    sentinel_log log;
    setenv("TMPDIR", "/dev/shm", 0);
    dir = dir_make(path, sizeof path);
    chain_begin(&next, 5);
    CHECK_OK(sentinel_log_open(&log, dir, next.engine_id32, SENTINEL_DURABILITY_WRITE, SEGMENT));
    for (int i = 0; i < 4; i++) {
        if (i == 0) {
            chain_genesis(&next);
        } else {
            chain_order(&next, 256);
        }
        CHECK_OK(sentinel_log_append(&log, next.record, next.size, next.last_hash32, 0));
    }
    sentinel_log_close(&log);
    file_read(dir, FIRST, segment, SEGMENT);
    file_read(dir, "head", head, sizeof head);
    rmdir(path); /* fails, as it is not empty; the operating system clears it */
}

static void commit_frame(size_t at) {
    uint64_t size;
    uint8_t leaf[1 + sizeof(sentinel_record_header)] = {0};
    uint8_t digest[32];
    memcpy(&size, changed + at, 8);
    if (size >= sizeof leaf - 1 && size < SEGMENT && at + size + 16 <= SEGMENT) {
        memcpy(leaf + 1, changed + at + 8, sizeof leaf - 1);
        crypto_hash_sha256(digest, leaf, sizeof leaf);
        memcpy(changed + at + 8 + size, digest, 8);
    }
}

static void change(const uint8_t *data, size_t size) {
    memcpy(changed, segment, SEGMENT);
    memcpy(changed + SEGMENT, head, sizeof head);
    while (size >= 3) {
        size_t at = (data[0] | (size_t)data[1] << 8) * 8 % (SEGMENT + SENTINEL_HEAD_BYTES);
        size_t count = data[2];
        data += 3;
        size -= 3;
        if (count == 0xff) {
            commit_frame(at);
        } else if (count == 0xfe) {
            memset(changed + at, 0, at < SEGMENT ? SEGMENT - at : 0);
        } else {
            count = count < size ? count : size;
            memcpy(changed + at, data, count);
            data += count;
            size -= count;
        }
    }
}

static sentinel_status read_with(uint64_t *count, uint8_t *buffer, size_t size) {
    sentinel_log_reader reader;
    sentinel_record record;
    sentinel_status status = sentinel_log_reader_open(&reader, dir, 0);
    *count = 0;
    while (status == SENTINEL_OK) {
        status = sentinel_log_reader_next(&reader, &record, buffer, size);
        *count += status == SENTINEL_OK;
    }
    sentinel_log_reader_close(&reader);
    return status;
}

/* Record by record, and many at once: both must say the same. */
static sentinel_status read_all(uint64_t *count) {
    static _Alignas(8) uint8_t buffer[3 * SENTINEL_RECORD_BYTES_MAX];
    uint64_t again;
    sentinel_status status = read_with(count, buffer, SENTINEL_RECORD_BYTES_MAX);
    if (read_with(&again, buffer, sizeof buffer) != status || again != *count) {
        abort();
    }
    return status;
}

static void append_next(sentinel_log *log) {
    static chain c;
    c = next;
    c.number = log->count;
    memcpy(c.last_hash32, log->last_hash32, 32);
    if (c.number == 0) {
        chain_genesis(&c);
    } else {
        chain_order(&c, 288);
    }
    CHECK_OK(sentinel_log_append(log, c.record, c.size, c.last_hash32, 0));
}

static void run(const uint8_t *data, size_t size) {
    static uint8_t after[SEGMENT];
    uint64_t count, read;
    sentinel_log log;
    change(data, size);
    dir_empty(dir);
    file_write(dir, FIRST, changed, SEGMENT, 0);
    file_write(dir, "head", changed + SEGMENT, SENTINEL_HEAD_BYTES, 0);
    sentinel_status before = read_all(&read);
    sentinel_status status =
        sentinel_log_open(&log, dir, next.engine_id32, SENTINEL_DURABILITY_WRITE, SEGMENT);
    if (status != SENTINEL_OK) {
        CHECK(before != SENTINEL_AUDIT_END || status == SENTINEL_AUDIT_FOREIGN);
        sentinel_log_close(&log);
        file_read(dir, FIRST, after, SEGMENT);
        CHECK_BYTES(after, changed, SEGMENT);
        return;
    }
    CHECK_EQ(log.count, read);
    append_next(&log);
    sentinel_log_close(&log);
    CHECK_EQ(read_all(&count), SENTINEL_AUDIT_END);
    CHECK_EQ(count, read + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (setjmp(test_jump) != 0) {
        abort();
    }
    if (dir < 0) {
        set_up();
    }
    run(data, size);
    return 0;
}
