/* Appending to mapped pages. A frame is stored in the order of a write: its
 * size, its beginning, the rest, its commit word. So whichever store is the
 * last one before the process dies, readers and the next writer find what a
 * write that was cut off would have left.
 *
 * What takes time is made ahead by another thread: pages that are clean (a
 * store into one costs a fault, 5 us) and the segment that comes next. Where
 * it is late, the writer does both itself.
 *
 * Three places for a segment lie one behind another in memory that is reserved
 * once: the open segment, the next one, and one for the writer where the other
 * thread is not done. Nothing is unmapped before the log is closed; a segment
 * that is full lies in its place until another one is mapped there. So the
 * other thread may touch any place at any time. */
#include "audit_log.h"

#include "bytes.h"
#include "check.h"
#include "files.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define AHEAD_BYTES (UINT64_C(1) << 20)
#define PLACES 3u
#define PLACE_ALIGN UINT64_C(65536) /* a multiple of every page's size */
#define TOUCH_BYTES 4096u           /* no page is smaller */

/* log->turn: the place of the open segment, that of the next, and its phase. */
enum { NEXT_NONE, NEXT_MAKING, NEXT_READY };

static uint32_t turn_make(uint32_t open, uint32_t next, uint32_t phase) {
    return open | next << 2 | phase << 4;
}

static uint32_t turn_open(uint32_t turn) {
    return turn & 3;
}

static uint32_t turn_next(uint32_t turn) {
    return turn >> 2 & 3;
}

static uint32_t turn_phase(uint32_t turn) {
    return turn >> 4;
}

static uint8_t *place_at(const sentinel_log *log, uint32_t place) {
    return log->room + place * log->place_bytes;
}

static sentinel_status place_map(const sentinel_log *log, uint32_t place, int fd, uint64_t size) {
    void *mapped = mmap(place_at(log, place), (size_t)size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED, fd, 0);
    return mapped == MAP_FAILED ? SENTINEL_IO_MEMORY : SENTINEL_OK;
}

static sentinel_status place_fill(const sentinel_log *log, uint32_t place, const char *temporary,
                                  uint64_t first) {
    int fd;
    SENTINEL_TRY(log_segment_new(log, &fd, temporary, first));
    sentinel_status status = place_map(log, place, fd, log->segment_bytes);
    int error = errno;
    (void)close(fd);
    if (status != SENTINEL_OK) {
        (void)unlinkat(log->dir_fd, temporary, 0);
    }
    errno = error;
    return status;
}

/* ---- The writer ----------------------------------------------------------- */

void log_mapped_close(sentinel_log *log) {
    if (log->room != NULL) {
        (void)munmap(log->room, (size_t)(PLACES * log->place_bytes));
        log->room = log->segment = NULL;
    }
}

sentinel_status log_mapped_open(sentinel_log *log) {
    uint64_t most = log->segment_end > log->segment_bytes ? log->segment_end : log->segment_bytes;
    log->place_bytes = bytes_round_up(most, PLACE_ALIGN);
    void *room = mmap(NULL, (size_t)(PLACES * log->place_bytes), PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        return SENTINEL_IO_MEMORY;
    }
    log->room = room;
    log->turn = turn_make(0, 1, NEXT_NONE);
    if (place_map(log, 0, log->segment_fd, log->segment_end) != SENTINEL_OK) {
        int error = errno;
        log_mapped_close(log);
        errno = error;
        return SENTINEL_IO_MEMORY;
    }
    log->segment = log->room;
    (void)close(log->segment_fd);
    log->segment_fd = -1;
    return SENTINEL_OK;
}

/* What is stored behind this call comes behind what was stored before it. No
 * instruction on x86; TSan, which watches threads alone, knows no fences. */
static inline void stores_in_order(void) {
#ifdef __SANITIZE_THREAD__
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
    __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

void log_mapped_put(sentinel_log *log, const record_pieces *record, uint64_t size,
                    uint64_t commit) {
    uint8_t *frame = log->segment + log->segment_offset;
    uint64_t begin;
    memcpy(&begin, record->at[0], sizeof begin);
    __atomic_store_n((uint64_t *)(void *)frame, size, __ATOMIC_RELAXED);
    __atomic_store_n((uint64_t *)(void *)(frame + 8), begin, __ATOMIC_RELEASE);
    stores_in_order();
    record_put(frame + 16, record, sizeof begin);
    __atomic_store_n((uint64_t *)(void *)(frame + 8 + size), commit, __ATOMIC_RELEASE);
    /* The head says that it is there: not before it is. */
    stores_in_order();
}

sentinel_status log_mapped_turn(sentinel_log *log) {
    char name[FILES_NAME_BYTES];
    char own[FILES_NAME_BYTES];
    files_number_name(name, log->count, LOG_SUFFIX);
    files_number_name(own, log->count, LOG_SUFFIX ".new");
    uint32_t turn = __atomic_load_n(&log->turn, __ATOMIC_ACQUIRE);
    int is_ready = turn_phase(turn) == NEXT_READY;
    const char *made = is_ready ? LOG_AHEAD_NAME : own;
    uint32_t place = is_ready ? turn_next(turn) : PLACES - turn_open(turn) - turn_next(turn);
    if (is_ready) {
        /* Nobody could know before which record it begins with. */
        memcpy(place_at(log, place) + offsetof(sentinel_segment, first_record), &log->count,
               sizeof log->count);
    } else {
        SENTINEL_TRY(place_fill(log, place, own, log->count));
    }
    if (renameat(log->dir_fd, made, log->dir_fd, name) != 0) {
        int error = errno;
        (void)unlinkat(log->dir_fd, made, 0);
        errno = error;
        return files_status(error, SENTINEL_IO_WRITE);
    }
    uint32_t after;
    do { /* The other thread may just begin, or be done with, the next. */
        after = is_ready ? turn_make(place, turn_open(turn), NEXT_NONE)
                         : turn_make(place, turn_next(turn), turn_phase(turn));
    } while (!__atomic_compare_exchange_n(&log->turn, &turn, after, 0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    log->segment = place_at(log, place);
    __atomic_store_n(&log->segment_end, log->segment_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&log->segment_offset, sizeof(sentinel_segment), __ATOMIC_RELAXED);
    return SENTINEL_OK;
}

/* ---- The other thread ------------------------------------------------------ */

/* Makes pages ready to be stored into; changes no byte. */
static sentinel_status populate(const sentinel_log *log, uint32_t place, uint64_t from,
                                uint64_t size) {
    if (size == 0) {
        return SENTINEL_OK;
    }
    size += from % PLACE_ALIGN;
    uint8_t *start = place_at(log, place) + from / PLACE_ALIGN * PLACE_ALIGN;
    if (madvise(start, (size_t)size, MADV_POPULATE_WRITE) == 0) {
        return SENTINEL_OK;
    }
    if (errno != EINVAL) {
        return files_status(errno, SENTINEL_IO_WRITE);
    }
    for (uint64_t at = 0; at < size; at += TOUCH_BYTES) {
        /* Stores zero where zero is, whatever the writer does meanwhile. */
        uint64_t zero = 0;
        (void)__atomic_compare_exchange_n((uint64_t *)(void *)(start + at), &zero, 0, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
    return SENTINEL_OK;
}

static sentinel_status next_make(sentinel_log *log, uint32_t turn) {
    uint32_t making = turn_make(turn_open(turn), turn_next(turn), NEXT_MAKING);
    if (!__atomic_compare_exchange_n(&log->turn, &turn, making, 0, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        return SENTINEL_OK;
    }
    sentinel_status status = place_fill(log, turn_next(turn), LOG_AHEAD_NAME, 0);
    uint32_t phase = status == SENTINEL_OK ? NEXT_READY : NEXT_NONE;
    uint32_t seen = making;
    while (!__atomic_compare_exchange_n(&log->turn, &seen,
                                        turn_make(turn_open(seen), turn_next(seen), phase), 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        /* The writer went on to a segment that it made itself. */
    }
    return status;
}

sentinel_status sentinel_log_ahead(sentinel_log *log) {
    if (log->room == NULL) {
        return SENTINEL_OK;
    }
    /* Where the writer goes on meanwhile, the next call is for what it left out. */
    uint32_t turn = __atomic_load_n(&log->turn, __ATOMIC_ACQUIRE);
    uint64_t end = __atomic_load_n(&log->segment_end, __ATOMIC_RELAXED);
    uint64_t from = __atomic_load_n(&log->segment_offset, __ATOMIC_RELAXED);
    uint64_t rest = from < end ? end - from : 0;
    uint64_t here = rest < AHEAD_BYTES ? rest : AHEAD_BYTES;
    uint64_t there = AHEAD_BYTES - here;
    SENTINEL_TRY(populate(log, turn_open(turn), from, here));
    if (turn_phase(turn) == NEXT_READY) {
        there = there < log->segment_bytes ? there : log->segment_bytes;
        return populate(log, turn_next(turn), 0, there);
    }
    return turn_phase(turn) == NEXT_NONE && rest < end / 2 ? next_make(log, turn) : SENTINEL_OK;
}
