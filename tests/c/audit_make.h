/* Records of a made-up engine, one after another, as the gate would make
 * them; hashes that a test compares with are libsodium's. */
#ifndef AUDIT_MAKE_H
#define AUDIT_MAKE_H

#include "sentinel_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sentinel/audit.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct chain {
    uint64_t number; /* of the next record */
    uint64_t epoch;
    uint8_t last_hash32[32];
    uint8_t engine_id32[32];
    sentinel_genesis genesis;
    sentinel_record_header header; /* of the last record made */
    size_t size;                   /* of it */
    _Alignas(8) uint8_t record[SENTINEL_RECORD_BYTES_MAX];
} chain;

static void chain_begin(chain *c, uint8_t seed) {
    memset(c, 0, sizeof *c);
    memset(&c->genesis, seed, sizeof c->genesis);
    crypto_hash_sha256(c->engine_id32, (const uint8_t *)&c->genesis, sizeof c->genesis);
}

static const sentinel_result chain_results[2] = {
    {.rule = 0xffffffff, .kind = SENTINEL_RULE_KILL_SWITCH, .result = SENTINEL_PASS},
    {.rule = 4,
     .kind = SENTINEL_RULE_VALUE_CAP,
     .result = SENTINEL_FAIL,
     .flags = SENTINEL_RESULT_SATURATED,
     .level = 2,
     .value = INT64_MAX,
     .bound = 500},
};

/* The header of the next record; the caller may change it before chain_build. */
static void chain_header(chain *c, uint16_t type, size_t subject_size) {
    int order = type == SENTINEL_RECORD_ORDER;
    c->header = (sentinel_record_header){
        .version = SENTINEL_RECORD_VERSION,
        .type = type,
        .number = c->number,
        .epoch = c->epoch,
        .now_ns = 1700000000000000000 + (int64_t)c->number,
        .semantics_version = SENTINEL_SEMANTICS_VERSION,
        .agent = order ? 7 : 0,
        .verdict = order ? SENTINEL_DENIED : 0,
        .release_mode = order ? SENTINEL_RELEASE_TO_AGENT : 0,
        .reason = order ? SENTINEL_REASON_VALUE_CAP : 0,
        .subject_size = (uint16_t)subject_size,
        .result_count = order ? 2 : 0,
        .outcome_size = order ? sizeof(sentinel_outcome_part) : 0,
    };
    memcpy(c->header.prev_hash32, c->last_hash32, 32);
}

static sentinel_status chain_build(chain *c, const void *subject, const sentinel_result *results) {
    sentinel_outcome_part outcome = {.payload_digest32 = {1}, .signature_digest32 = {2}};
    sentinel_record_parts parts = {.subject = subject,
                                   .results = results,
                                   .outcome = c->header.outcome_size != 0 ? &outcome : NULL};
    memset(parts.salts, (int)c->number, sizeof parts.salts);
    sentinel_status status =
        sentinel_record_build(c->record, sizeof c->record, c->last_hash32, &c->header, &parts);
    if (status == SENTINEL_OK) {
        c->size = c->header.size_bytes;
        c->number++;
    }
    return status;
}

static void chain_genesis(chain *c) {
    chain_header(c, SENTINEL_RECORD_GENESIS, sizeof c->genesis);
    CHECK_OK(chain_build(c, &c->genesis, NULL));
}

static void chain_order(chain *c, size_t subject_size) {
    uint8_t subject[SENTINEL_ORDER_BYTES_MAX];
    memset(subject, (int)(c->number + 1), sizeof subject);
    chain_header(c, SENTINEL_RECORD_ORDER, subject_size);
    CHECK_OK(chain_build(c, subject, chain_results));
}

static void chain_feed(chain *c, size_t subject_size) {
    uint8_t subject[SENTINEL_SUBJECT_BYTES_MAX];
    memset(subject, (int)(c->number + 1), sizeof subject);
    chain_header(c, SENTINEL_RECORD_FEED, subject_size);
    CHECK_OK(chain_build(c, subject, NULL));
}

/* ---- Directories ---------------------------------------------------------- */

static int dir_make(char *path, size_t size) {
    const char *where = getenv("TMPDIR");
    snprintf(path, size, "%s/sentinel-test-XXXXXX", where != NULL ? where : "/tmp");
    CHECK(mkdtemp(path) != NULL);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    return fd;
}

static void dir_empty(int dir_fd) {
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY);
    DIR *dir = fdopendir(fd);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        unlinkat(fd, e->d_name, 0);
    }
    closedir(dir);
}

static void dir_remove(const char *path, int fd) {
    dir_empty(fd);
    close(fd);
    rmdir(path);
}

static size_t file_size(int dir_fd, const char *name) {
    struct stat stat;
    CHECK(fstatat(dir_fd, name, &stat, 0) == 0);
    return (size_t)stat.st_size;
}

static void file_read(int dir_fd, const char *name, void *bytes, size_t size) {
    int fd = openat(dir_fd, name, O_RDONLY);
    CHECK(fd >= 0);
    ssize_t got = read(fd, bytes, size);
    close(fd);
    CHECK_EQ(got, size);
}

static void file_write(int dir_fd, const char *name, const void *bytes, size_t size, size_t at) {
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0);
    ssize_t put = pwrite(fd, bytes, size, (off_t)at);
    close(fd);
    CHECK_EQ(put, size);
}

static int file_exists(int dir_fd, const char *name) {
    return faccessat(dir_fd, name, F_OK, 0) == 0;
}

#endif
