/* Sealed snapshots: the engine's state for its host to keep, so that a restart
 * replays the records behind it and no others. Sealed is the tree over the records
 * before it, then the state that the SNAPSHOT record `head_number` of the log has the
 * digest of. docs/enclave-keys.md, "Snapshots". */
#ifndef SENTINEL_SNAPSHOT_H
#define SENTINEL_SNAPSHOT_H

#include <sentinel/engine.h>

#include "enclave.h"
#include "lobby.h"

#define SNAPSHOT_SUFFIX ".snapshot" /* sealed/<20 digits>.snapshot */
#define SNAPSHOT_STEP_BYTES (256u << 10)
#define SNAPSHOT_STEP_RECORDS 256u
#define SNAPSHOT_READ_BYTES (256u << 10)
#define SNAPSHOT_KEPT 2u /* a host may be reading the one before */

/* ---- From the engine to the host ------------------------------------------------ */

/* Seals, in steps, each snapshot that the engine takes. */
typedef struct snapshot_maker {
    const enclave *e;
    int snapshots_fd, sealed_fd, log_fd;
    sentinel_tree tree; /* over the records up to the snapshot's */
    sentinel_log_reader reader;
    uint8_t *buffer; /* SNAPSHOT_READ_BYTES, aligned */
    uint64_t last;   /* number of the last one that was sealed, or given up */
    uint64_t state_bytes;
    int in_fd, out_fd;
    sealed_stream stream;
    uint8_t is_reading; /* the reader is open */
    uint8_t is_busy;
} snapshot_maker;

/* tree: over all records that the log has now. Returns: 0; -1: a folder is not there. */
int snapshot_maker_begin(snapshot_maker *m, const enclave *e, const char *dir,
                         const sentinel_tree *tree, uint8_t *buffer);
void snapshot_maker_end(snapshot_maker *m);

/* Looks whether the engine took another. */
void snapshot_look(snapshot_maker *m);

/* One step: so many records into the tree, or so many bytes sealed, as the constants
 * above say. Returns: 1: there is more to do. */
int snapshot_step(snapshot_maker *m);

/* ---- From the host to the engine ------------------------------------------------ */

/* A snapshot that is being given back, or was. */
typedef struct snapshot_taker {
    const enclave *e;
    int dir_fd; /* the engine's folder */
    int fd;     /* -1: none is on its way */
    sealed_stream stream;
    uint64_t got; /* bytes of the blob */
    uint8_t tag16[GCM_TAG_BYTES];
    sentinel_tree tree;
    uint32_t keys; /* how many the start before it had */
    uint8_t keyring_hash32[32];
    uint8_t has; /* one is there, whole, and ours: the header is the stream's */
} snapshot_taker;

/* A piece of a blob, at an offset of it; one at 0 begins anew, and what was there is
 * gone. out: size bytes. total: of the whole blob.
 * Returns: OK; FORMAT_*; ENCLAVE_TYPE; ENCLAVE_FOREIGN; ENCLAVE_SEAL; IO_*. Unless
 * OK, nothing of it stays. */
SENTINEL_MUST_USE sentinel_status snapshot_take(snapshot_taker *t, uint8_t *out, uint64_t offset,
                                                uint64_t total, const uint8_t *bytes, size_t size);

/* Forgets it. */
void snapshot_drop(snapshot_taker *t);

/* Reads the log from its first record to the engine's last: every record is linked
 * to the one before, no file is beside them, and it ends where the engine ended, so
 * all of it is what the engine's state rests on. A log that does not begin at 0 needs
 * a snapshot, and all that this one needs. tree: over all records.
 * Returns: OK; AUDIT_TRUNCATED; AUDIT_CORRUPT; ENCLAVE_STALE (the snapshot is of
 * another history); IO_*. buffer: SNAPSHOT_READ_BYTES, aligned. */
SENTINEL_MUST_USE sentinel_status snapshot_walk(sentinel_tree *tree, int log_fd,
                                                const sentinel_state *state,
                                                const snapshot_taker *t, uint8_t *buffer);

/* ---- All of it, as the lobby and then the loop have it ---------------------------- */

typedef struct snapshots {
    snapshot_taker taker;
    snapshot_maker maker;
    sentinel_tree tree;  /* over all records, when the engine began */
    uint8_t *buffer;     /* SNAPSHOT_READ_BYTES, aligned */
    uint64_t stopped_by; /* record that stopped the firm, for which there was a snapshot */
} snapshots;

/* A request SNAPSHOT: sentinel_lobby_snapshot, then a piece. Returns: as snapshot_take. */
SENTINEL_MUST_USE sentinel_status snapshots_request(snapshots *s, uint8_t *out,
                                                    const uint8_t *bytes, size_t size);

/* Joins what was given to the engine that opened. Returns: as snapshot_walk. */
SENTINEL_MUST_USE sentinel_status snapshots_join(snapshots *s, int dir_fd, sentinel_engine *engine);

/* Forgets what was given, and what an engine that was refused left of its own: it would
 * be ahead of the log that the host gives next. */
void snapshots_forget(snapshots *s, int dir_fd);

/* Begins to make them. Returns: 0 or -1. */
int snapshots_run(snapshots *s, const char *dir);

/* Once a second: a firm that was drained or halted is about to be ended, so its state
 * is taken; and whatever the engine took is sealed. */
void snapshots_tick(snapshots *s, sentinel_engine *engine, int64_t now_ns);
void snapshots_end(snapshots *s);

#endif
