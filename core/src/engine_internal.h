/* What the engine's sources share: the directory, its memory, its files. */
#ifndef SENTINEL_ENGINE_INTERNAL_H
#define SENTINEL_ENGINE_INTERNAL_H

#include <sentinel/engine.h>

#include "bytes.h"
#include "check.h"
#include "files.h"
#include "hash.h"

#define ENGINE_BUNDLE_BYTES_MIN (UINT64_C(64) << 20)
#define ENGINE_STATE_BYTES_DEFAULT (UINT64_C(64) << 20)
#define ENGINE_ROOM_BYTES_MAX (UINT64_C(1) << 36)
#define ENGINE_SNAPSHOT_EVERY_DEFAULT 16384u
#define ENGINE_SNAPSHOTS_KEPT 2u
#define ENGINE_KEYFILE_BYTES_MAX \
    (SENTINEL_KEYFILE_HEADER_BYTES + SENTINEL_KEYRING_KEYS_MAX * SENTINEL_KEYFILE_ROW_BYTES + 16u)
#define ENGINE_CLOCK_TOLERANCE_NS INT64_C(1000000000) /* before a policy says otherwise */
#define ENGINE_CONTROL_BYTES 4096u
#define ENGINE_PAGE_BYTES 4096u
#define ENGINE_HASH_NAME_BYTES 65u

/* One frame that is no policy: a command, a feed, an authority bundle. */
#define ENGINE_AUTHORITY_BYTES_MAX 32768u

struct sentinel_engine {
    int dir_fd;
    int lock_fd; /* the lock is held while it is open */
    int log_fd;
    int bundles_fd;
    int snapshots_fd;
    int spool_fd;
    int last_errno;
    uint8_t durability;
    uint8_t owed;         /* a frame of the spool is a record, and its answer not yet written */
    uint8_t held;         /* a ticket waits for a witness to confirm its record */
    const uint8_t *alive; /* 1; wiped in a forked child, which is no writer */
    sentinel_control *control;
    sentinel_keyring *keyring;
    sentinel_context *context;
    uint8_t *memory; /* the context's, then one frame, then one state */
    uint64_t memory_bytes;
    uint8_t *frame; /* config.bundle_bytes_max */
    uint8_t *state; /* config.state_bytes_max */
    uint64_t snapshot_every;
    uint64_t snapshot_at;       /* records when the last one was taken */
    uint64_t opened_at;         /* records when the engine was opened */
    uint64_t last_frame_record; /* of the last frame replayed, or taken from the spool */
    uint64_t first_ticket;      /* that waited when it was opened; 0: none */
    uint8_t last_frame32[32];   /* SHA-256 of all its bytes */
    uint8_t engine_id32[32];
    /* The machine's clocks when they were last looked at (engine_clock.c). */
    int64_t clock_apart_ns;      /* wall time less the one that only runs */
    int64_t clock_running_ns;    /* 0: not looked at yet */
    int64_t clock_tick_ns;       /* the one that only runs, awake, at its last tick */
    int64_t clock_tick_apart_ns; /* wall time at that tick less it */
    int64_t clock_ahead_ns;      /* the jump that halted the engine; 0: none */
    sentinel_ack ack;            /* of the last command; zero: none */
    sentinel_config config;
    sentinel_log log;
    _Alignas(8) uint8_t authority[ENGINE_AUTHORITY_BYTES_MAX];
    _Alignas(8) uint8_t record[SENTINEL_RECORD_BYTES_MAX];
};

/* ---- engine.c ------------------------------------------------------------- */

/* Takes a frame, and nothing else. */
SENTINEL_MUST_USE sentinel_status engine_take_one(sentinel_engine *engine, uint64_t *record,
                                                  const void *frame, size_t size, int64_t now_ns);

/* Notes what a command did that was just taken or replayed. */
void engine_acknowledge(sentinel_engine *engine, const void *frame, size_t size);

/* Stops agents that are overdue, unless frames are waiting. */
SENTINEL_MUST_USE sentinel_status engine_tick(sentinel_engine *engine, int64_t now_ns);

/* ---- engine_clock.c ------------------------------------------------------- */

/* The time to go by. After a jump ahead beyond the tolerance the engine is
 * halted, and it is the time as it would be without the jump, until the clock
 * was set right or the engine is resumed. */
int64_t engine_clock(sentinel_engine *engine, int64_t now_ns);

/* Whether the log is ahead of a time by more than the tolerance. */
int engine_is_behind(const sentinel_engine *engine, int64_t now_ns);

/* The machine's wall time; 0: it has none. */
uint64_t engine_wall_ns(void);

/* The time to take a frame at, which is that of the jump where it was signed so. */
int64_t engine_clock_of(const sentinel_engine *engine, const void *frame, size_t size,
                        int64_t now_ns);

/* ---- engine_spool.c: what sentinel_engine_spool does, at a time to go by. */
SENTINEL_MUST_USE sentinel_status engine_spool_at(sentinel_engine *engine, int64_t now_ns);

/* ---- engine_memory.c ------------------------------------------------------ */

SENTINEL_MUST_USE sentinel_status engine_new(sentinel_engine **made,
                                             const sentinel_engine_options *options);

/* Closes, unmaps, wipes; keeps errno. */
void engine_free(sentinel_engine *engine);

/* All memory that the engine will ever use, and a fresh context in it.
 * Returns: OK; POLICY_ARENA; IO_MEMORY; as sentinel_context_init. */
SENTINEL_MUST_USE sentinel_status engine_context_make(sentinel_engine *engine,
                                                      uint64_t bundle_bytes, uint64_t state_bytes,
                                                      sentinel_log *log);
uint64_t engine_state_room(const sentinel_engine_options *options);

/* ---- engine_files.c ------------------------------------------------------- */

/* Opens the engine's directory, which must be this user's. private_only: and
 * nobody else's to read. Returns: OK; IO_OPEN (EPERM, EACCES). */
SENTINEL_MUST_USE sentinel_status engine_dir_open(int *fd, const char *dir, int private_only);

/* Opens a directory below it. */
SENTINEL_MUST_USE sentinel_status engine_dir_below(int *fd, int dir_fd, const char *name);

/* Opens log, bundles, snapshots and spool. */
SENTINEL_MUST_USE sentinel_status engine_below_open(sentinel_engine *engine);

/* Returns: as sentinel_log_open. */
SENTINEL_MUST_USE sentinel_status engine_log_open(sentinel_engine *engine,
                                                  const sentinel_engine_options *options);

/* Nothing but keys and a lock. Returns: OK; USAGE_STATE; IO_OPEN. */
SENTINEL_MUST_USE sentinel_status engine_dir_is_new(int dir_fd);

/* Holds the writer's lock from now on. Returns: OK; IO_LOCKED; IO_OPEN. */
SENTINEL_MUST_USE sentinel_status engine_lock(int *fd, int dir_fd);

/* Maps <dir>/control; made when there is none and `make` says so.
 * Returns: OK; IO_*; FORMAT_*. */
SENTINEL_MUST_USE sentinel_status engine_control_map(sentinel_control **control, int dir_fd,
                                                     int make);
void engine_control_unmap(sentinel_control *control);

/* Unseals keys/engine and finds the identity key in it.
 * Returns: OK; IO_*; KEY_*; FORMAT_*. */
SENTINEL_MUST_USE sentinel_status engine_keys_open(sentinel_engine *engine,
                                                   const sentinel_engine_options *options);

/* Keeps a frame's file under its hash, on the medium. */
SENTINEL_MUST_USE sentinel_status engine_bundle_save(const sentinel_engine *engine,
                                                     const uint8_t hash32[32], const void *bytes,
                                                     size_t size);

/* Returns: OK; IO_*; POLICY_ARENA (larger than capacity). */
SENTINEL_MUST_USE sentinel_status engine_bundle_load(const sentinel_engine *engine, size_t *size,
                                                     const uint8_t hash32[32], void *bytes,
                                                     uint64_t capacity);

/* Removes every file but `keys`, after a creation that failed. */
void engine_dir_clear(int dir_fd);

/* ---- engine_nonces.c ------------------------------------------------------ */

/* Gives each key that signs for a venue or a text an empty pool, where options
 * say so. Returns: OK; USAGE_ARGUMENT; as sentinel_nonces_start. */
SENTINEL_MUST_USE sentinel_status engine_nonces_open(sentinel_engine *engine,
                                                     const sentinel_engine_options *options);

/* ---- engine_restore.c ----------------------------------------------------- */

/* Snapshot and replay into a fresh context. Returns: OK; POLICY_ARENA (more
 * room is needed); AUDIT_*; IO_*; FORMAT_*; POLICY_*. */
SENTINEL_MUST_USE sentinel_status engine_restore(sentinel_engine *engine);

/* ---- engine_stop.c: the stop word ------------------------------------------ */

typedef struct engine_stop {
    uint64_t word;
    uint64_t sequence;
} engine_stop;

/* What the word is now; 0: none. */
engine_stop engine_stop_seen(const sentinel_control *control);

/* 1: a HALT command, as far as its bytes tell. */
int engine_frame_stops(const void *frame, size_t size);

/* Sets the word for a HALT; for anything else, of which nobody knows what it
 * was, as for the firm. Gives what is there now, and what was before. */
engine_stop engine_stop_ask(sentinel_control *control, engine_stop *before, const void *frame,
                            size_t size);

/* The halt has its ticket, which stops by itself: puts back what was before,
 * unless the word is another by now. */
void engine_stop_drop(sentinel_control *control, const engine_stop *asked,
                      const engine_stop *before);

/* Behind a frame that was taken: clears the word that was there before it,
 * where the frame covers that (docs/4-audit.md, "The stop word"). */
void engine_stop_answer(sentinel_engine *engine, const engine_stop *seen, const void *frame,
                        size_t size, int64_t now_ns);

/* ---- engine_spool.c ------------------------------------------------------- */

/* Whether a frame that was taken as this record still waits for a witness. */
int engine_is_unconfirmed(const sentinel_engine *engine, uint16_t kind, uint64_t record);

/* Works out from the files what is pending, whatever the control page says. */
SENTINEL_MUST_USE sentinel_status engine_spool_recover(sentinel_engine *engine);

#endif
