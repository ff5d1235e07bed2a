/* Reading the log: anybody's bytes, perhaps while a writer appends to them. */
#include "audit_log.h"

#include "bytes.h"
#include "check.h"
#include "files.h"
#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t log_commit_word(const uint8_t hash32[32]) {
    uint64_t word;
    memcpy(&word, hash32, sizeof word);
    return word;
}

log_place log_judge(sentinel_record *record, const uint8_t *bytes, size_t size, uint64_t commit) {
    static const uint8_t leaf = 0x00;
    uint8_t hash32[32];
    hash_sha256 hash;
    memset(record, 0, sizeof *record);
    if (sentinel_record_parse(record, bytes, size) == SENTINEL_OK) {
        return log_commit_word(record->hash32) == commit ? LOG_RECORD : LOG_WRONG;
    }
    if (record->header != NULL) {
        return LOG_WRONG; /* The header's form is right: its body is not the one it names. */
    }
    /* No page that is missing makes a header fit its own hash. */
    hash_init(&hash);
    hash_add(&hash, &leaf, 1);
    hash_add(&hash, bytes, sizeof(sentinel_record_header));
    hash_final(&hash, hash32);
    return log_commit_word(hash32) == commit ? LOG_UNKNOWN : LOG_WRONG;
}

sentinel_status log_look(log_place *place, size_t *size, int fd, uint64_t offset,
                         sentinel_record *record, uint8_t *buffer) {
    /* The size, then the first bytes of the record's header. */
    uint64_t words[2] = {0, 0};
    uint64_t commit = 0;
    size_t got;
    SENTINEL_TRY(files_read_at(&got, fd, words, sizeof words, offset));
    if (got < LOG_WORD_BYTES) {
        *place = LOG_GARBAGE;
        return SENTINEL_OK;
    }
    if (words[0] == 0) {
        *place = LOG_NOTHING;
        return SENTINEL_OK;
    }
    *place = LOG_GARBAGE;
    if (words[0] < sizeof(sentinel_record_header) || words[0] > SENTINEL_RECORD_BYTES_MAX ||
        words[0] % 8 != 0) {
        return SENTINEL_OK;
    }
    if (words[1] >> 32 != words[0]) {
        *place = words[1] == 0 ? LOG_BEGUN : LOG_GARBAGE;
        return SENTINEL_OK;
    }
    /* The commit word is read before what it commits to, as it was written
     * behind it: what is seen to be committed is then all there. */
    *size = (size_t)words[0];
    SENTINEL_TRY(files_read_at(&got, fd, &commit, sizeof commit, offset + LOG_WORD_BYTES + *size));
    if (got < sizeof commit) {
        return SENTINEL_OK;
    }
    if (commit == 0) {
        *place = LOG_UNCOMMITTED;
        return SENTINEL_OK;
    }
    SENTINEL_TRY(files_read_at(&got, fd, buffer, *size, offset + LOG_WORD_BYTES));
    *place = got == *size ? log_judge(record, buffer, *size, commit) : LOG_WRONG;
    return SENTINEL_OK;
}

/* Everything from `offset` to the end of the file is zero. */
static sentinel_status zero_behind(int *zero, int fd, uint64_t offset) {
    uint8_t bytes[4096];
    size_t got = sizeof bytes;
    *zero = 1;
    while (*zero && got == sizeof bytes) {
        SENTINEL_TRY(files_read_at(&got, fd, bytes, sizeof bytes, offset));
        *zero = bytes_are_zero(bytes, got);
        offset += got;
    }
    return SENTINEL_OK;
}

static sentinel_status segment_check(const sentinel_segment *segment, uint64_t file_bytes,
                                     uint64_t first) {
    if (memcmp(segment->magic, "SENTSEGM", sizeof segment->magic) != 0) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    if (segment->version != LOG_SEGMENT_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    return bytes_are_zero(segment->reserved0, sizeof segment->reserved0) &&
                   segment->first_record == first && segment->size_bytes == file_bytes
               ? SENTINEL_OK
               : SENTINEL_AUDIT_CORRUPT;
}

/* Moves the reader to the segment named `first`, and keeps it where it is if
 * that cannot be. Returns AUDIT_END when there is no such segment. */
static sentinel_status segment_enter(sentinel_log_reader *reader, uint64_t first) {
    char name[FILES_NAME_BYTES];
    files_number_name(name, first, LOG_SUFFIX);
    int fd = openat(reader->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? SENTINEL_AUDIT_END : SENTINEL_IO_OPEN;
    }
    sentinel_segment segment;
    struct stat stat;
    size_t got = 0;
    sentinel_status status = files_read_at(&got, fd, &segment, sizeof segment, 0);
    if (status == SENTINEL_OK && fstat(fd, &stat) != 0) {
        status = SENTINEL_IO_READ;
    } else if (status == SENTINEL_OK) {
        status = got < sizeof segment ? SENTINEL_AUDIT_CORRUPT
                                      : segment_check(&segment, (uint64_t)stat.st_size, first);
    }
    if (status == SENTINEL_OK && reader->segment_fd >= 0 &&
        !bytes_equal(segment.engine_id32, reader->engine_id32, 32)) {
        status = SENTINEL_AUDIT_FOREIGN;
    }
    if (status != SENTINEL_OK) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return status;
    }
    if (reader->segment_fd >= 0) {
        (void)close(reader->segment_fd);
    }
    reader->segment_fd = fd;
    reader->ahead_bytes = 0;
    reader->segment_first = first;
    reader->offset = sizeof segment;
    memcpy(reader->engine_id32, segment.engine_id32, 32);
    return SENTINEL_OK;
}

/* Whether another segment begins with the next record. */
static int segment_follows(const sentinel_log_reader *reader) {
    char name[FILES_NAME_BYTES];
    files_number_name(name, reader->next, LOG_SUFFIX);
    return reader->next != reader->segment_first && faccessat(reader->dir_fd, name, F_OK, 0) == 0;
}

/* A committed record must be the next one, and linked. */
static sentinel_status link_check(const sentinel_log_reader *reader,
                                  const sentinel_record *record) {
    if (record->header->number != reader->next ||
        (reader->have_prev && !bytes_equal(record->header->prev_hash32, reader->prev_hash32, 32))) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    if (record->header->type == SENTINEL_RECORD_GENESIS) {
        uint8_t engine_id32[32];
        hash_bytes(engine_id32, record->subject, record->header->subject_size);
        if (!bytes_equal(engine_id32, reader->engine_id32, 32)) {
            return SENTINEL_AUDIT_CORRUPT;
        }
    }
    return SENTINEL_OK;
}

static void step_over(sentinel_log_reader *reader, const sentinel_record *record, size_t size) {
    memcpy(reader->prev_hash32, record->hash32, 32);
    reader->have_prev = 1;
    reader->next++;
    reader->offset += size + 2 * LOG_WORD_BYTES;
}

sentinel_status log_step(sentinel_log_reader *reader, log_place *place, sentinel_record *record,
                         uint8_t *buffer) {
    size_t size = 0;
    SENTINEL_TRY(log_look(place, &size, reader->segment_fd, reader->offset, record, buffer));
    if (*place == LOG_NOTHING && segment_follows(reader)) {
        int zero;
        SENTINEL_TRY(zero_behind(&zero, reader->segment_fd, reader->offset));
        if (!zero) {
            return SENTINEL_AUDIT_CORRUPT;
        }
        SENTINEL_TRY(segment_enter(reader, reader->next));
        SENTINEL_TRY(log_look(place, &size, reader->segment_fd, reader->offset, record, buffer));
    }
    if (*place != LOG_RECORD) {
        return *place == LOG_UNKNOWN ? SENTINEL_AUDIT_CORRUPT : SENTINEL_OK;
    }
    SENTINEL_TRY(link_check(reader, record));
    step_over(reader, record, size);
    return SENTINEL_OK;
}

/* The next record out of the bytes that were read ahead, or 0. They may be
 * older than what is there now, so they only ever say yes: a record that is
 * whole and linked. Whatever else they show, log_step looks at itself. */
static int step_ahead(sentinel_log_reader *reader, sentinel_record *record, uint8_t *ahead,
                      size_t room) {
    for (int filled = 0; filled < 2; filled++) {
        uint64_t at = reader->offset - reader->ahead_offset; /* wraps where it is not ahead */
        uint64_t left = at < reader->ahead_bytes ? reader->ahead_bytes - at : 0;
        uint64_t size = UINT64_MAX, commit;
        if (left >= LOG_WORD_BYTES) {
            memcpy(&size, ahead + at, sizeof size);
        }
        if (size != UINT64_MAX && (size % 8 != 0 || size < sizeof(sentinel_record_header) ||
                                   size > SENTINEL_RECORD_BYTES_MAX)) {
            return 0;
        }
        if (size < left && left - size >= 2 * LOG_WORD_BYTES) {
            const uint8_t *bytes = ahead + at + LOG_WORD_BYTES;
            memcpy(&commit, bytes + size, sizeof commit);
            if (log_judge(record, bytes, size, commit) != LOG_RECORD ||
                link_check(reader, record) != SENTINEL_OK) {
                return 0;
            }
            step_over(reader, record, size);
            return 1;
        }
        size_t got = 0;
        if (filled == 1 || room < 2 * SENTINEL_RECORD_BYTES_MAX ||
            files_read_at(&got, reader->segment_fd, ahead, room, reader->offset) != SENTINEL_OK) {
            return 0;
        }
        reader->ahead_offset = reader->offset;
        reader->ahead_bytes = got;
    }
    return 0;
}

sentinel_status log_start(sentinel_log_reader *reader, int dir_fd, uint64_t first) {
    memset(reader, 0, sizeof *reader);
    reader->dir_fd = dir_fd;
    reader->segment_fd = -1;
    SENTINEL_TRY(files_highest(&reader->next, dir_fd, LOG_SUFFIX, first));
    return segment_enter(reader, reader->next);
}

/* At the end: nothing of anybody's behind it, and the head says the same. */
static sentinel_status end_check(const sentinel_log_reader *reader, log_place place, size_t size) {
    if (place != LOG_NOTHING && place != LOG_UNCOMMITTED) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    int zero;
    uint64_t behind = place == LOG_NOTHING ? 0 : size + 2 * LOG_WORD_BYTES;
    SENTINEL_TRY(zero_behind(&zero, reader->segment_fd, reader->offset + behind));
    if (!zero) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    log_head head;
    sentinel_status status = log_head_load(&head, reader->dir_fd);
    if (status == SENTINEL_IO_OPEN && errno == ENOENT) {
        return SENTINEL_AUDIT_END; /* A copy of segments alone has no head. */
    }
    SENTINEL_TRY(status);
    if (head.intact == 0) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    if (head.newest.count > reader->next) {
        return SENTINEL_AUDIT_TRUNCATED;
    }
    /* A writer that was killed while it wrote a slot had appended before. */
    if (head.newest.count == reader->next &&
        (!head.clean ||
         (reader->have_prev && !bytes_equal(head.newest.last_hash16, reader->prev_hash32, 16)))) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    return SENTINEL_AUDIT_END;
}

sentinel_status sentinel_log_reader_next(sentinel_log_reader *reader, sentinel_record *record,
                                         uint8_t *buffer, size_t buffer_size) {
    if (buffer_size < SENTINEL_RECORD_BYTES_MAX || ((uintptr_t)buffer & 7) != 0) {
        return SENTINEL_USAGE_CAPACITY;
    }
    if (step_ahead(reader, record, buffer + SENTINEL_RECORD_BYTES_MAX,
                   buffer_size - SENTINEL_RECORD_BYTES_MAX)) {
        return SENTINEL_OK;
    }
    /* What looks wrong is looked at again: a writer may have been at work. */
    sentinel_status status = SENTINEL_AUDIT_CORRUPT;
    for (int i = 0; i < LOG_TRIES; i++) {
        log_place place = LOG_GARBAGE;
        status = log_step(reader, &place, record, buffer);
        if (status == SENTINEL_OK && place == LOG_RECORD) {
            return SENTINEL_OK;
        }
        if (status == SENTINEL_OK) {
            uint64_t size = 0;
            size_t got;
            SENTINEL_TRY(
                files_read_at(&got, reader->segment_fd, &size, sizeof size, reader->offset));
            size = size <= SENTINEL_RECORD_BYTES_MAX ? size : 0;
            status = end_check(reader, place, (size_t)size);
        }
        if (status != SENTINEL_AUDIT_CORRUPT && status != SENTINEL_AUDIT_TRUNCATED) {
            return status;
        }
        if (place == LOG_BEGUN) {
            /* A writer that lost the processor there needs time, not looks. */
            (void)nanosleep(&(struct timespec){.tv_nsec = LOG_PAUSE_NS}, NULL);
        }
    }
    return status;
}

sentinel_status sentinel_log_reader_open(sentinel_log_reader *reader, int dir_fd, uint64_t first) {
    _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_record record;
    sentinel_status status = log_start(reader, dir_fd, first);
    if (status == SENTINEL_AUDIT_END) {
        log_head head;
        int lost = log_head_load(&head, dir_fd) == SENTINEL_OK && head.newest.count > first;
        return lost ? SENTINEL_AUDIT_TRUNCATED : SENTINEL_AUDIT_END;
    }
    SENTINEL_TRY(status);
    /* Bounded: a segment holds so many records and no more. */
    while (reader->next < first) {
        SENTINEL_TRY(sentinel_log_reader_next(reader, &record, buffer, sizeof buffer));
    }
    return SENTINEL_OK;
}

void sentinel_log_reader_close(sentinel_log_reader *reader) {
    if (reader->segment_fd >= 0) {
        (void)close(reader->segment_fd);
    }
    reader->segment_fd = -1;
}

/* Each step is one to one in the word and in what was before, so a change of one
 * word shows for certain, and of several but for a chance. Whoever could forge a
 * slot could hash it as well: a digest would be no stronger. */
void log_head_check(uint8_t check16[16], const sentinel_log_head *slot) {
    enum { WORDS = offsetof(sentinel_log_head, check16) / sizeof(uint64_t) };
    uint64_t words[WORDS];
    uint64_t first = UINT64_C(0x6a09e667f3bcc908), second = UINT64_C(0xbb67ae8584caa73b);
    memcpy(words, slot, sizeof words);
    for (unsigned i = 0; i < WORDS; i++) {
        first = (first ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        second = (second ^ words[i]) * UINT64_C(0xd6e8feb86659fd93);
        first ^= first >> 32;
        second ^= second >> 32;
    }
    memcpy(check16, &first, sizeof first);
    memcpy(check16 + sizeof first, &second, sizeof second);
}

void log_head_parse(log_head *head, const uint8_t *page) {
    memset(head, 0, sizeof *head);
    head->clean = 1;
    for (size_t at = 0; at < SENTINEL_HEAD_BYTES; at += SENTINEL_HEAD_SLOT_BYTES) {
        sentinel_log_head slot;
        uint8_t check16[16];
        memcpy(&slot, page + at, sizeof slot);
        log_head_check(check16, &slot);
        if (!bytes_equal(slot.check16, check16, 16)) {
            head->clean = 0;
        } else {
            if (head->intact == 0 || slot.generation > head->newest.generation) {
                head->newest = slot;
            }
            head->intact++;
        }
        if (!bytes_are_zero(page + at + sizeof slot, SENTINEL_HEAD_SLOT_BYTES - sizeof slot)) {
            head->clean = 0;
        }
    }
}

sentinel_status log_head_load(log_head *head, int dir_fd) {
    uint8_t page[SENTINEL_HEAD_BYTES];
    size_t size = 0;
    sentinel_status status = files_load(&size, dir_fd, "head", page, sizeof page);
    if (status == SENTINEL_FORMAT_SIZE || (status == SENTINEL_OK && size < sizeof page)) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    SENTINEL_TRY(status);
    log_head_parse(head, page);
    return SENTINEL_OK;
}

sentinel_status sentinel_log_head_read(sentinel_log_head *head, int dir_fd) {
    for (int i = 0; i < LOG_TRIES; i++) {
        log_head found;
        SENTINEL_TRY(log_head_load(&found, dir_fd));
        if (found.intact != 0) {
            *head = found.newest;
            return SENTINEL_OK;
        }
    }
    return SENTINEL_AUDIT_CORRUPT;
}
