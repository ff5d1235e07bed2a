/* Finding the end of a log that a process, or a machine, may have left in the
 * middle of a write. What is set aside is kept under another name; what
 * points to more than that is left untouched, and the caller starts halted. */
#include "audit_log.h"

#include "bytes.h"
#include "check.h"
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A committed record anywhere in the rest of a segment. */
static int record_behind(const uint8_t *bytes, uint64_t size) {
    for (uint64_t at = 0; at + sizeof(sentinel_record_header) + 2 * LOG_WORD_BYTES <= size;
         at += 8) {
        uint64_t words[2];
        uint64_t commit;
        memcpy(words, bytes + at, sizeof words);
        if (words[0] < sizeof(sentinel_record_header) || words[0] > SENTINEL_RECORD_BYTES_MAX ||
            words[0] % 8 != 0 || words[1] >> 32 != words[0] ||
            size - at < words[0] + 2 * LOG_WORD_BYTES) {
            continue;
        }
        memcpy(&commit, bytes + at + LOG_WORD_BYTES + words[0], sizeof commit);
        sentinel_record record;
        if (commit != 0 &&
            log_judge(&record, bytes + at + LOG_WORD_BYTES, words[0], commit) != LOG_WRONG) {
            return 1;
        }
    }
    return 0;
}

/* Keeps what was torn under a name of its own, then zeros it. */
static sentinel_status set_aside(sentinel_log *log, const uint8_t *torn, uint64_t size) {
    char suffix[8] = "";
    int fd = -1;
    for (unsigned i = 1; fd < 0 && i <= 1000; i++) {
        /* The same place may be torn again: nothing is overwritten. */
        char name[FILES_NAME_BYTES] = "torn-";
        files_number_name(name + 5, log->count, "");
        memcpy(name + 5 + FILES_NUMBER_DIGITS, suffix, sizeof suffix);
        fd = openat(log->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) {
            break;
        }
        (void)snprintf(suffix, sizeof suffix, ".%u", i);
    }
    if (fd < 0) {
        return files_status(errno, SENTINEL_IO_OPEN);
    }
    sentinel_status status = files_write_at(fd, torn, size, 0);
    if (status == SENTINEL_OK && (fsync(fd) != 0 || fsync(log->dir_fd) != 0)) {
        status = SENTINEL_IO_SYNC;
    }
    int error = errno;
    (void)close(fd);
    errno = error;
    SENTINEL_TRY(status);
    SENTINEL_TRY(files_zero_at(log->segment_fd, log->segment_offset, size));
    return fdatasync(log->segment_fd) != 0 ? SENTINEL_IO_SYNC : SENTINEL_OK;
}

/* What stopped the reading of a segment that is mapped at `bytes`. */
static sentinel_status judge_tail(sentinel_log *log, const uint8_t *bytes, log_place place,
                                  uint64_t head_count) {
    uint64_t room = log->segment_end - log->segment_offset;
    uint64_t rest = room;
    const uint8_t *tail = bytes + log->segment_offset;
    if (room < LOG_WORD_BYTES) {
        return SENTINEL_AUDIT_CORRUPT; /* No segment of ours is that full. */
    }
    while (rest > 0 && tail[rest - 1] == 0) {
        rest--;
    }
    if (rest > LOG_WORD_BYTES && record_behind(tail + 8, room - 8)) {
        return SENTINEL_AUDIT_CORRUPT; /* Records behind a hole. */
    }
    if (log->count < head_count) {
        /* The head knows of this record: it was there, whole. */
        return place == LOG_NOTHING || place == LOG_UNCOMMITTED ? SENTINEL_AUDIT_TRUNCATED
                                                                : SENTINEL_AUDIT_CORRUPT;
    }
    if (rest == 0) {
        return SENTINEL_OK;
    }
    log->torn_bytes = rest;
    return log->durability == SENTINEL_DURABILITY_NONE ? SENTINEL_OK : set_aside(log, tail, rest);
}

/* Reads from the segment of the head's last record to the end. */
static sentinel_status scan(sentinel_log *log, sentinel_log_reader *reader,
                            const sentinel_log_head *head, log_place *place) {
    _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_record record;
    log->count = reader->next;
    if (!bytes_equal(reader->engine_id32, log->engine_id32, 32)) {
        return SENTINEL_AUDIT_FOREIGN;
    }
    do {
        SENTINEL_TRY(log_step(reader, place, &record, buffer));
        log->count = reader->next;
        if (*place == LOG_RECORD) {
            log->epoch = record.header->epoch;
            memcpy(log->last_hash32, record.hash32, 32);
            if (log->count == head->count && !bytes_equal(record.hash32, head->last_hash16, 16)) {
                return SENTINEL_AUDIT_CORRUPT;
            }
        }
    } while (*place == LOG_RECORD);
    return SENTINEL_OK;
}

/* The reader stands in the last segment: judges and takes over its end. */
static sentinel_status take_over(sentinel_log *log, const sentinel_log_reader *reader,
                                 log_place place, uint64_t head_count) {
    char name[FILES_NAME_BYTES];
    struct stat stat;
    files_number_name(name, reader->segment_first, LOG_SUFFIX);
    int writes = log->durability != SENTINEL_DURABILITY_NONE;
    log->segment_fd =
        openat(log->dir_fd, name, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
    if (log->segment_fd < 0 || fstat(log->segment_fd, &stat) != 0) {
        return SENTINEL_IO_OPEN;
    }
    log->segment_end = (uint64_t)stat.st_size;
    log->segment_offset = reader->offset;
    void *map = mmap(NULL, log->segment_end, PROT_READ, MAP_PRIVATE, log->segment_fd, 0);
    if (map == MAP_FAILED) {
        return SENTINEL_IO_MEMORY;
    }
    sentinel_status status = judge_tail(log, map, place, head_count);
    int error = errno;
    (void)munmap(map, log->segment_end);
    errno = error;
    return status;
}

/* newest: the first record of the last segment. */
static sentinel_status resume_at(sentinel_log *log, const log_head *head, uint64_t newest) {
    uint64_t count = head->newest.count;
    log_place place = LOG_NOTHING;
    sentinel_log_reader reader;
    sentinel_status status = log_start(&reader, log->dir_fd, count > 0 ? count - 1 : 0);
    if (status == SENTINEL_OK) {
        status = scan(log, &reader, &head->newest, &place);
    } else if (status == SENTINEL_AUDIT_END) {
        status = SENTINEL_AUDIT_CORRUPT; /* Its segment is gone; later ones are not. */
    }
    if (status == SENTINEL_OK && reader.segment_first != newest) {
        status = SENTINEL_AUDIT_CORRUPT; /* A segment behind a hole. */
    }
    if (status == SENTINEL_OK && head->intact == 0) {
        status = SENTINEL_AUDIT_CORRUPT; /* Nothing says where the log ended. */
    }
    if (status == SENTINEL_OK) {
        status = take_over(log, &reader, place, count);
    }
    int error = errno;
    sentinel_log_reader_close(&reader);
    errno = error;
    return status;
}

sentinel_status log_resume(sentinel_log *log, int *have_head, int *have_segment) {
    log_head head = {.intact = 0};
    uint64_t newest = 0;
    sentinel_status status = log_head_load(&head, log->dir_fd);
    *have_head = !(status == SENTINEL_IO_OPEN && errno == ENOENT);
    if (status != SENTINEL_OK && status != SENTINEL_AUDIT_CORRUPT && *have_head) {
        return status;
    }
    log->generation = head.newest.generation;
    log->synced = head.newest.synced;
    status = files_highest(&newest, log->dir_fd, LOG_SUFFIX, UINT64_MAX);
    *have_segment = status == SENTINEL_OK;
    if (*have_segment) {
        return resume_at(log, &head, newest);
    }
    if (status != SENTINEL_AUDIT_END) {
        return status;
    }
    /* A new log, or one whose maker was killed; unless records were there. */
    return *have_head && head.intact == 0 ? SENTINEL_AUDIT_CORRUPT
           : head.newest.count != 0       ? SENTINEL_AUDIT_TRUNCATED
                                          : SENTINEL_OK;
}
