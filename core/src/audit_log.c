/* Writing the log. A frame is written with its commit word last, so that a
 * process killed in between leaves the beginning of a frame and no commit
 * word; docs/4-audit.md says what each kind of damage means. */
#include "audit_log.h"

#include "bytes.h"
#include "check.h"
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static sentinel_status fails(sentinel_log *log, sentinel_status status) {
    log->last_errno = errno;
    log->failed = 1;
    return status;
}

/* ---- The head ------------------------------------------------------------- */

/* What the head says next, but for its check. */
static sentinel_log_head head_of(const sentinel_log *log) {
    sentinel_log_head slot = {
        .count = log->count,
        .synced = log->synced,
        .epoch = log->epoch,
        .generation = log->generation + 1,
    };
    memcpy(slot.last_hash16, log->last_hash32, 16);
    return slot;
}

/* The slots are written in turn: whenever the process dies, one is intact. */
static void head_put(sentinel_log *log, uint8_t *page, const sentinel_log_head *slot) {
    log->generation++;
    memcpy(page + log->generation % 2 * SENTINEL_HEAD_SLOT_BYTES, slot, sizeof *slot);
}

static void head_update(sentinel_log *log) {
    sentinel_log_head slot = head_of(log);
    log_head_check(slot.check16, &slot);
    head_put(log, log->head_page, &slot);
}

/* The head of a new log is there whole, or not at all. */
static sentinel_status head_make(sentinel_log *log) {
    uint8_t page[SENTINEL_HEAD_BYTES] = {0};
    for (int i = 0; i < 2; i++) {
        sentinel_log_head slot = head_of(log);
        log_head_check(slot.check16, &slot);
        head_put(log, page, &slot);
    }
    return files_save(log->dir_fd, "head", page, sizeof page,
                      log->durability == SENTINEL_DURABILITY_FSYNC);
}

static sentinel_status head_map(sentinel_log *log) {
    int fd = openat(log->dir_fd, "head", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return SENTINEL_IO_OPEN;
    }
    void *page = mmap(NULL, SENTINEL_HEAD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int error = errno;
    (void)close(fd);
    errno = error;
    if (page == MAP_FAILED) {
        return SENTINEL_IO_MEMORY;
    }
    log->head_page = page;
    /* A stray byte beside the slots would look like damage for ever. */
    for (size_t at = 0; at < SENTINEL_HEAD_BYTES; at += SENTINEL_HEAD_SLOT_BYTES) {
        memset((uint8_t *)page + at + sizeof(sentinel_log_head), 0,
               SENTINEL_HEAD_SLOT_BYTES - sizeof(sentinel_log_head));
    }
    return SENTINEL_OK;
}

/* ---- Segments ------------------------------------------------------------- */

static sentinel_status segment_fill(const sentinel_log *log, int fd, uint64_t first) {
    sentinel_segment segment = {
        .magic = {'S', 'E', 'N', 'T', 'S', 'E', 'G', 'M'},
        .version = LOG_SEGMENT_VERSION,
        .first_record = first,
        .size_bytes = log->segment_bytes,
    };
    memcpy(segment.engine_id32, log->engine_id32, 32);
    /* A full disk is found here, not in the middle of a record. */
    int error;
    do {
        error = posix_fallocate(fd, 0, (off_t)log->segment_bytes);
    } while (error == EINTR);
    if (error != 0) {
        errno = error;
        return files_status(error, SENTINEL_IO_WRITE);
    }
    SENTINEL_TRY(files_write_at(fd, &segment, sizeof segment, 0));
    return log->durability == SENTINEL_DURABILITY_FSYNC && fsync(fd) != 0 ? SENTINEL_IO_SYNC
                                                                          : SENTINEL_OK;
}

sentinel_status log_segment_new(const sentinel_log *log, int *fd, const char *temporary,
                                uint64_t first) {
    int flags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    *fd = openat(log->dir_fd, temporary, flags, 0600);
    if (*fd < 0) {
        return files_status(errno, SENTINEL_IO_OPEN);
    }
    sentinel_status status = segment_fill(log, *fd, first);
    if (status != SENTINEL_OK) {
        int error = errno;
        (void)close(*fd);
        (void)unlinkat(log->dir_fd, temporary, 0);
        errno = error;
    }
    return status;
}

/* Makes the segment that begins with the next record, under another name
 * until it is complete, and appends to it from now on. */
static sentinel_status segment_make(sentinel_log *log) {
    char name[FILES_NAME_BYTES];
    char temporary[FILES_NAME_BYTES];
    int fd;
    files_number_name(name, log->count, LOG_SUFFIX);
    files_number_name(temporary, log->count, LOG_SUFFIX ".new");
    SENTINEL_TRY(log_segment_new(log, &fd, temporary, log->count));
    sentinel_status status = SENTINEL_OK;
    if (renameat(log->dir_fd, temporary, log->dir_fd, name) != 0) {
        status = files_status(errno, SENTINEL_IO_WRITE);
    }
    if (status == SENTINEL_OK && log->durability == SENTINEL_DURABILITY_FSYNC &&
        fsync(log->dir_fd) != 0) {
        status = SENTINEL_IO_SYNC;
    }
    if (status != SENTINEL_OK) {
        int error = errno;
        (void)close(fd);
        (void)unlinkat(log->dir_fd, temporary, 0);
        errno = error;
        return status;
    }
    if (log->segment_fd >= 0) {
        (void)close(log->segment_fd);
    }
    log->segment_fd = fd;
    log->segment_end = log->segment_bytes;
    log->segment_offset = sizeof(sentinel_segment);
    return SENTINEL_OK;
}

/* ---- Appending ------------------------------------------------------------ */

/* One system call, as long as nothing interrupts it. Copying the frame into one
 * piece costs less than handing three pieces to the kernel. */
static sentinel_status write_frame(sentinel_log *log, const record_pieces *record, uint64_t size,
                                   uint64_t commit) {
    uint8_t frame[LOG_FRAME_BYTES_MAX];
    memcpy(frame, &size, sizeof size);
    record_put(frame + LOG_WORD_BYTES, record, 0);
    memcpy(frame + LOG_WORD_BYTES + size, &commit, sizeof commit);
    return files_write_at(log->segment_fd, frame, size + 2 * LOG_WORD_BYTES, log->segment_offset);
}

sentinel_status sentinel_log_sync(sentinel_log *log) {
    if (log->failed) {
        return SENTINEL_AUDIT_FULL;
    }
    if (log->durability != SENTINEL_DURABILITY_FSYNC || log->synced == log->count) {
        return SENTINEL_OK;
    }
    if (fdatasync(log->segment_fd) != 0) {
        return fails(log, SENTINEL_IO_SYNC);
    }
    log->synced = log->count;
    head_update(log);
    return SENTINEL_OK;
}

/* Nothing of a record that was not kept may look like one. */
static void erase_frame(sentinel_log *log, uint64_t frame) {
    int error = errno;
    if (files_zero_at(log->segment_fd, log->segment_offset, frame) == SENTINEL_OK) {
        (void)fdatasync(log->segment_fd);
    }
    errno = error;
}

/* Goes on to the next segment where a frame does not fit into the open one. */
static sentinel_status make_room(sentinel_log *log, size_t size) {
    uint64_t frame = size + 2 * LOG_WORD_BYTES;
    /* A size of zero must fit behind the frame. */
    if (log->segment_offset + frame + LOG_WORD_BYTES <= log->segment_end) {
        return SENTINEL_OK;
    }
    SENTINEL_TRY(sentinel_log_sync(log));
    return log->segment != NULL ? log_mapped_turn(log) : segment_make(log);
}

static sentinel_status append(sentinel_log *log, const record_pieces *record, size_t size,
                              const uint8_t hash32[32], int sync) {
    uint64_t frame = size + 2 * LOG_WORD_BYTES;
    sentinel_status status = SENTINEL_OK;
    if (log->segment != NULL) {
        log_mapped_put(log, record, size, log_commit_word(hash32));
    } else {
        status = write_frame(log, record, size, log_commit_word(hash32));
    }
    if (status == SENTINEL_OK && sync && fdatasync(log->segment_fd) != 0) {
        status = SENTINEL_IO_SYNC;
    }
    if (status != SENTINEL_OK) {
        erase_frame(log, frame);
        return status;
    }
    __atomic_store_n(&log->segment_offset, log->segment_offset + frame, __ATOMIC_RELAXED);
    return SENTINEL_OK;
}

/* Whether it is the next record, by what its header says. */
static int is_next(const sentinel_log *log, const record_pieces *record, size_t size) {
    const uint8_t *header = record->at[0];
    if (record->size[0] < sizeof(sentinel_record_header) || size > SENTINEL_RECORD_BYTES_MAX ||
        size % 8 != 0) {
        return 0;
    }
    uint64_t number;
    uint32_t size_bytes;
    memcpy(&number, header + offsetof(sentinel_record_header, number), sizeof number);
    memcpy(&size_bytes, header + offsetof(sentinel_record_header, size_bytes), sizeof size_bytes);
    return number == log->count && size_bytes == size &&
           bytes_equal(header + offsetof(sentinel_record_header, prev_hash32), log->last_hash32,
                       32);
}

sentinel_status log_append(sentinel_log *log, const record_pieces *record, const uint8_t hash32[32],
                           int later) {
    size_t size = 0;
    for (unsigned i = 0; i < RECORD_PIECES; i++) {
        size += record->size[i];
    }
    if (log->failed) {
        return SENTINEL_AUDIT_FULL;
    }
    if (!SENTINEL_HOLDS(is_next(log, record, size))) {
        return fails(log, SENTINEL_INTERNAL);
    }
    int sync = log->durability == SENTINEL_DURABILITY_FSYNC && !later;
    sentinel_status status = SENTINEL_OK;
    if (log->durability != SENTINEL_DURABILITY_NONE) {
        status = make_room(log, size);
    }
    /* What the head will say is worked out before the frame is stored: what is
     * read back so soon would wait until all of the frame is in the cache. */
    sentinel_log_head slot = head_of(log);
    slot.count++;
    memcpy(&slot.epoch, (const uint8_t *)record->at[0] + offsetof(sentinel_record_header, epoch),
           sizeof slot.epoch);
    memcpy(slot.last_hash16, hash32, 16);
    slot.synced = sync ? slot.count : slot.synced;
    /* With `later`, it says only what is on the medium. */
    int is_said = log->head_page != NULL && (sync || log->durability != SENTINEL_DURABILITY_FSYNC);
    if (is_said) {
        log_head_check(slot.check16, &slot);
    }
    if (status == SENTINEL_OK && log->durability != SENTINEL_DURABILITY_NONE) {
        status = append(log, record, size, hash32, sync);
    }
    if (status != SENTINEL_OK) {
        return fails(log, status);
    }
    log->count = slot.count;
    log->epoch = slot.epoch;
    log->synced = slot.synced;
    memcpy(log->last_hash32, hash32, 32);
    if (is_said) {
        head_put(log, log->head_page, &slot);
    }
    return SENTINEL_OK;
}

sentinel_status sentinel_log_append(sentinel_log *log, const uint8_t *record, size_t size,
                                    const uint8_t hash32[32], int later) {
    const record_pieces whole = {.at = {record}, .size = {size}};
    return log_append(log, &whole, hash32, later);
}

/* ---- Opening and closing --------------------------------------------------- */

static sentinel_status segment_sync(const sentinel_log *log, uint64_t first) {
    char name[FILES_NAME_BYTES];
    files_number_name(name, first, LOG_SUFFIX);
    int fd = openat(log->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return SENTINEL_IO_OPEN;
    }
    sentinel_status status = fdatasync(fd) != 0 ? SENTINEL_IO_SYNC : SENTINEL_OK;
    int error = errno;
    (void)close(fd);
    errno = error;
    return status;
}

/* What this writer builds on must be on the medium, whoever left it: one that
 * only wrote, or one that was killed between a rename and its sync. */
static sentinel_status sync_what_is_there(sentinel_log *log) {
    uint64_t first = UINT64_MAX;
    do {
        SENTINEL_TRY(files_highest(&first, log->dir_fd, LOG_SUFFIX, first - (first != UINT64_MAX)));
        SENTINEL_TRY(segment_sync(log, first));
    } while (first > log->synced);
    if (fsync(log->dir_fd) != 0) {
        return SENTINEL_IO_SYNC;
    }
    log->synced = log->count;
    return SENTINEL_OK;
}

static sentinel_status open_log(sentinel_log *log) {
    int have_head = 0;
    int have_segment = 0;
    SENTINEL_TRY(log_resume(log, &have_head, &have_segment));
    if (log->durability == SENTINEL_DURABILITY_NONE) {
        return SENTINEL_OK;
    }
    (void)unlinkat(log->dir_fd, LOG_AHEAD_NAME, 0); /* of a writer that was killed */
    if (!have_head) {
        SENTINEL_TRY(head_make(log));
    }
    if (!have_segment) {
        SENTINEL_TRY(segment_make(log));
    }
    if (log->durability == SENTINEL_DURABILITY_MAPPED) {
        SENTINEL_TRY(log_mapped_open(log));
    }
    SENTINEL_TRY(head_map(log));
    if (log->durability == SENTINEL_DURABILITY_FSYNC) {
        SENTINEL_TRY(sync_what_is_there(log));
    }
    head_update(log);
    head_update(log);
    return log->durability == SENTINEL_DURABILITY_FSYNC &&
                   msync(log->head_page, SENTINEL_HEAD_BYTES, MS_SYNC) != 0
               ? SENTINEL_IO_SYNC
               : SENTINEL_OK;
}

sentinel_status sentinel_log_open(sentinel_log *log, int dir_fd, const uint8_t engine_id32[32],
                                  uint8_t durability, uint64_t segment_bytes) {
    memset(log, 0, sizeof *log);
    log->dir_fd = dir_fd;
    log->segment_fd = -1;
    log->segment_bytes = segment_bytes;
    log->durability = durability;
    memcpy(log->engine_id32, engine_id32, 32);
    if (durability < SENTINEL_DURABILITY_NONE || durability > SENTINEL_DURABILITY_MAPPED ||
        segment_bytes < SENTINEL_SEGMENT_BYTES_MIN || segment_bytes > LOG_SEGMENT_BYTES_MAX ||
        segment_bytes % 8 != 0) {
        log->failed = 1;
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (durability == SENTINEL_DURABILITY_NONE && dir_fd < 0) {
        return SENTINEL_OK;
    }
    sentinel_status status = open_log(log);
    return status == SENTINEL_OK ? status : fails(log, status);
}

void sentinel_log_close(sentinel_log *log) {
    if (log->head_page != NULL) {
        /* Both slots, so that a later change of either shows. */
        if (!log->failed && sentinel_log_sync(log) == SENTINEL_OK) {
            head_update(log);
            head_update(log);
        }
        if (log->durability == SENTINEL_DURABILITY_FSYNC) {
            (void)msync(log->head_page, SENTINEL_HEAD_BYTES, MS_SYNC);
        }
        (void)munmap(log->head_page, SENTINEL_HEAD_BYTES);
        log->head_page = NULL;
        (void)unlinkat(log->dir_fd, LOG_AHEAD_NAME, 0);
    }
    log_mapped_close(log);
    if (log->segment_fd >= 0) {
        (void)close(log->segment_fd);
        log->segment_fd = -1;
    }
    log->failed = 1;
}
