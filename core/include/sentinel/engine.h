/* An embedded engine: a directory, its one writer, and the gate.
 *
 * <dir>/genesis              sentinel_genesis
 * <dir>/lock                 flock: held by the writer
 * <dir>/control              sentinel_control, mapped
 * <dir>/keys/engine          key file (sign.h): signing keys and the identity
 * <dir>/keys/authority       key file: embedded mode's own authority keys
 * <dir>/bundles/<hash>       every authority and policy frame that was taken
 * <dir>/log/                 segments and head (audit.h)
 * <dir>/snapshots/<record>   state of a SNAPSHOT record; the last two are kept
 * <dir>/spool/<ticket>       frames for the writer; <ticket>.done: 16 bytes,
 *                            u32 status, u32 reserved, u64 record; behind a
 *                            command that was taken its sentinel_signed_ack
 * <dir>/texts/<digest>       reasons, under their SHA-256
 *
 * Hashes are lower-case hex, tickets and records 20 decimal digits. The
 * directory is its owner's alone (0700; files 0600): another user's, or one
 * that others may read, is refused with IO_OPEN. */
#ifndef SENTINEL_ENGINE_H
#define SENTINEL_ENGINE_H

#include <sentinel/gate.h>
#include <sentinel/nonces.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sentinel_engine sentinel_engine;

typedef struct sentinel_engine_options {
    const char *passphrase; /* of keys/engine */
    size_t passphrase_size;
    uint64_t segment_bytes; /* 0: default */
    uint64_t state_bytes_min; /* room kept for larger policies; 0: default */
    uint64_t snapshot_every; /* records between snapshots; 0: default */
    uint32_t nonces; /* capacity of the pool of each signing key (nonces.h); 0: deterministic */
    uint8_t durability; /* SENTINEL_DURABILITY_*; 0: FSYNC; NONE: not in `live`; MAPPED: fill */
    uint8_t snapshot_risk; /* 1: accepted that the machine could be copied while it runs */
    /* 1: keys are only ever added, and others could put older ones back: the first keys
     * must be those of the last start that the log tells of, all of them. */
    uint8_t keys_grow;
    uint8_t reserved[1];
} sentinel_engine_options;

/* Writes genesis, lock, control, the sub-directories and the first records of
 * a new engine: genesis, authority bundle, policy bundle. The directory must
 * exist and be empty but for keys/; keys/engine must hold the RECEIPT key
 * that genesis names. After a failure nothing is left behind.
 * Returns:  OK; USAGE_STATE (not empty); IO_*; KEY_*; FORMAT_*; POLICY_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_create(const char *dir, const sentinel_genesis *genesis, const void *authority,
                       size_t authority_size, const void *policy, size_t policy_size,
                       const sentinel_engine_options *options, int64_t now_ns);

/* Becomes the writer: lock, keys, snapshot, replay, a new epoch, the spool.
 * Allocates all memory that the engine will ever use. A forked child is not
 * the writer: every call on its copy returns USAGE_STATE. With `nonces`, pools
 * are made empty (sentinel_engine_fill fills them), and START records it; they
 * need `snapshot_risk`, for no platform yet says in time that it was copied.
 * Returns:  OK; USAGE_ARGUMENT (pools without that, or of no such capacity);
 *           IO_LOCKED; IO_*; KEY_*; FORMAT_*; AUDIT_*; POLICY_*; ENCLAVE_STALE (keys
 *           of the last start are not there). With
 *           AUDIT_CORRUPT and AUDIT_TRUNCATED the engine is open, halted, and
 *           signs nothing. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_open(sentinel_engine **engine, const char *dir,
                     const sentinel_engine_options *options, int64_t now_ns);

/* Flushes, takes a snapshot if anything was recorded, releases the lock,
 * wipes keys. Null is allowed. */
SENTINEL_API void
sentinel_engine_close(sentinel_engine *engine, int64_t now_ns);

/* The gate behind it, for status and replay. */
SENTINEL_API sentinel_context *
sentinel_engine_context(sentinel_engine *engine);

/* What may be known of its keys: sentinel_keyring_count and _at. */
SENTINEL_API const sentinel_keyring *
sentinel_engine_keys(const sentinel_engine *engine);

/* errno of the last IO_* status. */
SENTINEL_API int
sentinel_engine_errno(const sentinel_engine *engine);

/* Applies the spool, then signs or refuses; takes a snapshot when one is due
 * (after the answer is complete). As sentinel_gate_sign. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_sign(sentinel_engine *engine, sentinel_outcome *outcome, sentinel_session *session,
                     const void *order_bytes, size_t size, int64_t now_ns);

/* Applies the spool, then takes a request back. As sentinel_gate_withdraw. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_withdraw(sentinel_engine *engine, uint64_t *record, const sentinel_session *session,
                         uint64_t action_id, int64_t now_ns);

/* Applies every spooled frame, in order, and then stops the agents that are
 * overdue (sentinel_gate_tick); so do signing and taking. Called every second,
 * it stops a silent agent within a second of its rule's bound. The stop word
 * is cleared behind a halt, drain or resume, once nothing is pending.
 * Returns: OK; AUDIT_*; IO_*; FORMAT_RANGE (the control page is damaged). */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_spool(sentinel_engine *engine, int64_t now_ns);

/* True (1) when a spooled command or bundle was taken, and its answer waits for
 * a witness: ask (sentinel_gate_ask), take the grant, apply the spool again. */
SENTINEL_API int
sentinel_engine_is_held(const sentinel_engine *engine);

/* Takes a frame at once (bundles are kept under bundles/ first). Where the
 * authority asks for a witness, the caller has what people rely on confirmed
 * before it says that it is done: sentinel_gate_ask, then take the grant. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_take(sentinel_engine *engine, uint64_t *record, const void *frame, size_t size,
                     int64_t now_ns);

/* As sentinel_gate_note. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_note(sentinel_engine *engine, uint64_t *record, uint16_t type, const void *subject,
                     size_t size, int64_t now_ns);

/* The acknowledgement of the last command that was taken, or, right after the
 * opening, replayed. Returns: OK; USAGE_STATE (there is none, or a witness has
 * to confirm the command first); KEY_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_ack(sentinel_engine *engine, sentinel_signed_ack *signed_ack);

/* Makes ahead what signing needs: adds a batch of nonces to each pool that has
 * room, and prepares a mapped log (sentinel_log_ahead). made: how many nonces
 * in all; 0: all pools are full, or there are none; call again in a millisecond.
 * Returns: OK; USAGE_STATE; CRYPTO_FAILED; IO_* (the log goes on without).
 * Threads: beside every other call but sentinel_engine_close, which waits for
 * nobody: whoever fills must have returned. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_fill(sentinel_engine *engine, uint32_t *made);

/* The figures of all pools together. Returns: OK; USAGE_STATE. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_nonces(const sentinel_engine *engine, sentinel_nonces *nonces);

/* Takes a snapshot now, keeps it beside the log and records its digest.
 * Returns: OK; IO_*; as append. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_engine_snapshot(sentinel_engine *engine, int64_t now_ns);

/* For every other process: hands a frame to the writer. A HALT command also
 * sets the stop word, so that it binds before the writer has read it; should
 * the rest then fail, it stays set. errno is that of an IO_* status.
 * Returns: OK; IO_*; FORMAT_* (LIMIT: 65,536 are waiting). Out: ticket. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_spool_submit(uint64_t *ticket, const char *dir, const void *frame, size_t size);

#ifdef __cplusplus
}
#endif
#endif
