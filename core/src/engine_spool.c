/* The spool: frames that other processes leave for the writer, and the word
 * that stops it at once. A frame's file is complete before its ticket counts;
 * while tickets are open, the gate refuses every order. */
#include "engine_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define SPOOL_TICKETS_MAX (UINT64_C(1) << 62)
#define SPOOL_OPEN_MAX 65536u /* tickets that wait at once */
#define SPOOL_RESULTS_KEPT 4096u

typedef struct spool_result {
    uint32_t status;
    uint32_t reserved;
    uint64_t record;
    sentinel_signed_ack acknowledged; /* only behind a command that was taken */
} spool_result;
SENTINEL_SIZE(spool_result, 360);
#define SPOOL_RESULT_BYTES_MIN offsetof(spool_result, acknowledged)

static uint16_t kind_of(const void *frame, size_t size) {
    sentinel_frame_header header;
    if (size < sizeof header) {
        return 0;
    }
    memcpy(&header, frame, sizeof header);
    return header.kind;
}

static sentinel_status spool_lock(int *fd, int spool_fd, int operation) {
    *fd = openat(spool_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        return SENTINEL_IO_OPEN;
    }
    int failed;
    do {
        failed = flock(*fd, operation);
    } while (failed != 0 && errno == EINTR);
    if (failed != 0) {
        int error = errno;
        (void)close(*fd);
        errno = error;
        return SENTINEL_IO_LOCKED;
    }
    return SENTINEL_OK;
}

static sentinel_status result_write(sentinel_engine *engine, uint64_t ticket,
                                    const spool_result *result, size_t size) {
    char name[FILES_NAME_BYTES];
    files_number_name(name, ticket, ".done");
    /* Before the ticket goes: else a power loss could take both. */
    SENTINEL_TRY(files_save(engine->spool_fd, name, result, size,
                            engine->durability == SENTINEL_DURABILITY_FSYNC));
    engine->owed = 0;
    files_number_name(name, ticket, "");
    (void)unlinkat(engine->spool_fd, name, 0);
    if (ticket > SPOOL_RESULTS_KEPT) {
        files_number_name(name, ticket - SPOOL_RESULTS_KEPT, ".done");
        (void)unlinkat(engine->spool_fd, name, 0);
    }
    return SENTINEL_OK;
}

static int is_there(int spool_fd, uint64_t ticket, const char *suffix) {
    char name[FILES_NAME_BYTES];
    files_number_name(name, ticket, suffix);
    return faccessat(spool_fd, name, F_OK, 0) == 0;
}

/* The writer was cut off between the record and the result. This answers no
 * stop word: the bytes may be an old frame's, put there once more. */
static int was_taken(const sentinel_engine *engine, const void *frame, size_t size) {
    uint8_t digest32[32];
    hash_bytes(digest32, frame, size);
    return engine->last_frame_record != 0 && bytes_equal(digest32, engine->last_frame32, 32);
}

/* What people rely on once it is acknowledged is confirmed by a witness first:
 * its ticket stays open, and is found to be taken the next time. Where records
 * are missing, nothing can be confirmed before operators accept that. */
int engine_is_unconfirmed(const sentinel_engine *engine, uint16_t kind, uint64_t record) {
    const sentinel_grant_state *grant = &sentinel_gate_state(engine->context)->grant;
    return (kind == SENTINEL_FRAME_COMMAND || kind == SENTINEL_FRAME_AUTHORITY ||
            kind == SENTINEL_FRAME_POLICY) &&
           sentinel_gate_needs_witness(engine->context) && grant->gap_to == 0 &&
           grant->count <= record;
}

static sentinel_status apply(sentinel_engine *engine, uint64_t ticket, int64_t now_ns) {
    char name[FILES_NAME_BYTES];
    spool_result result = {.status = SENTINEL_OK};
    size_t size = 0;
    files_number_name(name, ticket, "");
    int is_answered = ticket == engine->first_ticket && is_there(engine->spool_fd, ticket, ".done");
    sentinel_status status = files_load(&size, engine->spool_fd, name, engine->frame,
                                        (size_t)engine->config.bundle_bytes_max);
    if (status == SENTINEL_IO_READ ||
        (status == SENTINEL_IO_OPEN && errno != ENOENT && errno != ELOOP)) {
        return status; /* It is there, and will be read another time. */
    }
    if (is_answered && !(status == SENTINEL_OK && engine_frame_stops(engine->frame, size))) {
        /* Its writer was cut off behind the answer: only this is left. */
        (void)unlinkat(engine->spool_fd, name, 0);
        return SENTINEL_OK;
    }
    if (status == SENTINEL_IO_OPEN || status == SENTINEL_FORMAT_MAGIC) {
        /* Its file is gone, or no file: what it was, perhaps a halt, nobody knows. */
        engine_stop before;
        (void)engine_stop_ask(engine->control, &before, NULL, 0);
    } else if (status == SENTINEL_OK && was_taken(engine, engine->frame, size)) {
        result.record = engine->last_frame_record;
    } else if (status == SENTINEL_OK) {
        status = engine_take_one(engine, &result.record, engine->frame, size, now_ns);
        if (status == SENTINEL_OK) {
            hash_bytes(engine->last_frame32, engine->frame, size);
            engine->last_frame_record = result.record;
        }
    }
    engine->owed = status == SENTINEL_OK;
    if (engine->log.failed) {
        return status; /* The ticket stays open, and with it every order refused. */
    }
    if (is_answered) {
        /* Whoever put an answer beside a halt, it was taken now, or was before
         * and is refused by its sequence. */
        engine->owed = 0;
        (void)unlinkat(engine->spool_fd, name, 0);
        return SENTINEL_OK;
    }
    /* Where the log is ahead no witness is heard: what sets it back waits behind
     * a halt, which has its answer, and no acknowledgement before it is confirmed. */
    if (status == SENTINEL_OK && !engine_is_behind(engine, now_ns) &&
        engine_is_unconfirmed(engine, kind_of(engine->frame, size), result.record)) {
        engine->held = 1;
        return SENTINEL_OK;
    }
    result.status = status;
    int is_acknowledged = status == SENTINEL_OK && engine->ack.count != 0 &&
                          engine->ack.record == result.record &&
                          sentinel_engine_ack(engine, &result.acknowledged) == SENTINEL_OK;
    SENTINEL_TRY(result_write(engine, ticket, &result,
                              is_acknowledged ? sizeof result : SPOOL_RESULT_BYTES_MIN));
    engine->last_frame_record = 0; /* It has its answer: the next like it is a replay. */
    return SENTINEL_OK;
}

sentinel_status sentinel_engine_spool(sentinel_engine *engine, int64_t now_ns) {
    if (engine == NULL || *engine->alive == 0) {
        return SENTINEL_USAGE_STATE;
    }
    return engine_spool_at(engine, engine_clock(engine, now_ns));
}

sentinel_status engine_spool_at(sentinel_engine *engine, int64_t now_ns) {
    sentinel_control *control = engine->control;
    uint64_t submitted = __atomic_load_n(&control->spool_submitted, __ATOMIC_ACQUIRE);
    uint64_t applied = control->spool_applied;
    /* Also when more are applied than there were. Opening again works it out. */
    if (submitted - applied > SPOOL_OPEN_MAX) {
        return SENTINEL_FORMAT_RANGE;
    }
    engine->held = 0;
    while (applied < submitted) {
        sentinel_status status = apply(engine, applied + 1, now_ns);
        if (status != SENTINEL_OK) {
            engine->last_errno = errno;
            return status;
        }
        if (engine->held) {
            break;
        }
        applied++;
        __atomic_store_n(&control->spool_applied, applied, __ATOMIC_RELEASE);
    }
    return engine_tick(engine, now_ns);
}

int sentinel_engine_is_held(const sentinel_engine *engine) {
    return engine != NULL && engine->held;
}

/* The highest ticket by the page and by the files; lowest: that waits, or 0. */
static sentinel_status tickets_find(uint64_t *lowest, uint64_t *submitted, int spool_fd,
                                    const sentinel_control *control) {
    uint64_t waiting = 0;
    uint64_t done = 0;
    *lowest = 0;
    *submitted = __atomic_load_n(&control->spool_submitted, __ATOMIC_ACQUIRE);
    *submitted = *submitted < SPOOL_TICKETS_MAX ? *submitted : 0;
    sentinel_status status = files_numbers(lowest, &waiting, spool_fd, "", SPOOL_TICKETS_MAX);
    if (status == SENTINEL_OK || status == SENTINEL_AUDIT_END) {
        status = files_highest(&done, spool_fd, ".done", SPOOL_TICKETS_MAX);
    }
    if (status != SENTINEL_OK && status != SENTINEL_AUDIT_END) {
        return status;
    }
    *submitted = waiting > *submitted ? waiting : *submitted;
    *submitted = done > *submitted ? done : *submitted;
    return SENTINEL_OK;
}

/* Tickets that the page knows as open, below those that are there: answered
 * ones among the last have their answers, and the others are gone. */
static void look_for_gone(sentinel_engine *engine, uint64_t applied) {
    sentinel_control *control = engine->control;
    uint64_t from = control->spool_applied;
    uint64_t end = __atomic_load_n(&control->spool_submitted, __ATOMIC_ACQUIRE);
    if (end - from > SPOOL_OPEN_MAX) {
        return; /* The page is not right. */
    }
    end = end < applied ? end : applied;
    if (end > SPOOL_RESULTS_KEPT && from < end - SPOOL_RESULTS_KEPT) {
        from = end - SPOOL_RESULTS_KEPT;
    }
    while (from < end && is_there(engine->spool_fd, from + 1, ".done")) {
        from++;
    }
    if (from < end) {
        engine_stop before;
        (void)engine_stop_ask(control, &before, NULL, 0);
    }
}

static sentinel_status recover(sentinel_engine *engine) {
    sentinel_control *control = engine->control;
    uint64_t lowest;
    uint64_t submitted;
    SENTINEL_TRY(tickets_find(&lowest, &submitted, engine->spool_fd, control));
    uint64_t applied = lowest != 0 ? lowest - 1 : submitted;
    look_for_gone(engine, applied);
    control->spool_applied = applied;
    engine->first_ticket = lowest;
    __atomic_store_n(&control->spool_submitted, submitted, __ATOMIC_RELEASE);
    return SENTINEL_OK;
}

sentinel_status engine_spool_recover(sentinel_engine *engine) {
    int fd;
    SENTINEL_TRY(spool_lock(&fd, engine->spool_fd, LOCK_EX));
    sentinel_status status = recover(engine);
    int error = errno;
    (void)close(fd);
    errno = error;
    return status;
}

/* ---- Every other process --------------------------------------------------- */

/* The ticket behind the last. A page that is older than the files (it is never
 * synced) must not give out one that waits, or that has its answer already. */
static sentinel_status ticket_next(uint64_t *next, const sentinel_control *control, int spool_fd) {
    if (*next == 1 || is_there(spool_fd, *next, "") || is_there(spool_fd, *next, ".done")) {
        uint64_t lowest;
        SENTINEL_TRY(tickets_find(&lowest, next, spool_fd, control));
        (*next)++;
    }
    return *next <= SPOOL_TICKETS_MAX ? SENTINEL_OK : SENTINEL_FORMAT_RANGE;
}

static sentinel_status submit(uint64_t *ticket, sentinel_control *control, int spool_fd,
                              const void *frame, size_t size) {
    char name[FILES_NAME_BYTES];
    engine_stop before;
    engine_stop asked = {0};
    /* Stopped first: should the rest fail, nothing is signed from now on. */
    int halts = engine_frame_stops(frame, size);
    if (halts) {
        asked = engine_stop_ask(control, &before, frame, size);
    }
    uint64_t next = __atomic_load_n(&control->spool_submitted, __ATOMIC_ACQUIRE) + 1;
    if (next == 0 || next > SPOOL_TICKETS_MAX) {
        return SENTINEL_FORMAT_RANGE;
    }
    SENTINEL_TRY(ticket_next(&next, control, spool_fd));
    /* More would wait than a writer takes: it could not even be opened. */
    uint64_t applied = __atomic_load_n(&control->spool_applied, __ATOMIC_ACQUIRE);
    if (applied < next && next - applied > SPOOL_OPEN_MAX) {
        return SENTINEL_FORMAT_LIMIT;
    }
    files_number_name(name, next, "");
    SENTINEL_TRY(files_save(spool_fd, name, frame, size, 1));
    __atomic_store_n(&control->spool_submitted, next, __ATOMIC_RELEASE);
    if (halts) {
        engine_stop_drop(control, &asked, &before);
    }
    *ticket = next;
    return SENTINEL_OK;
}

sentinel_status sentinel_spool_submit(uint64_t *ticket, const char *dir, const void *frame,
                                      size_t size) {
    int dir_fd = -1;
    int spool_fd = -1;
    int lock_fd = -1;
    sentinel_control *control = NULL;
    if (ticket == NULL || dir == NULL || frame == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (size < sizeof(sentinel_frame_header) ||
        memcmp(frame, SENTINEL_FRAME_MAGIC, strlen(SENTINEL_FRAME_MAGIC)) != 0) {
        return SENTINEL_FORMAT_MAGIC;
    }
    sentinel_status status = engine_dir_open(&dir_fd, dir, 1);
    if (status == SENTINEL_OK) {
        status = engine_control_map(&control, dir_fd, 0);
    }
    if (status == SENTINEL_OK) {
        status = engine_dir_below(&spool_fd, dir_fd, "spool");
    }
    if (status == SENTINEL_OK) {
        status = spool_lock(&lock_fd, spool_fd, LOCK_EX);
    }
    if (status == SENTINEL_OK) {
        status = submit(ticket, control, spool_fd, frame, size);
    }
    int error = errno;
    if (status != SENTINEL_OK && control != NULL && engine_frame_stops(frame, size)) {
        engine_stop before;
        (void)engine_stop_ask(control, &before, frame, size);
        (void)msync(control, ENGINE_CONTROL_BYTES, MS_SYNC);
    }
    const int fds[] = {lock_fd, spool_fd, dir_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    engine_control_unmap(control);
    errno = error;
    return status;
}
