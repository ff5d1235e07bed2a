/* The gate: order -> policy -> sign -> audit -> release. */
#ifndef SENTINEL_GATE_H
#define SENTINEL_GATE_H

#include <sentinel/audit.h>
#include <sentinel/state.h>
#include <sentinel/venue.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sentinel_context sentinel_context; /* opaque; in the caller's memory */

typedef struct sentinel_config {
    sentinel_genesis genesis;
    uint64_t bundle_bytes_max; /* of a policy bundle and its layout */
    uint64_t state_bytes_max;
    uint32_t receipt_key; /* id of the key of purpose RECEIPT in the keyring */
    uint8_t nonces; /* SENTINEL_NONCES_*: for the START record */
    uint8_t reserved[3];
} sentinel_config;

/* Who asks. Opened once per agent; follows new policy versions by itself. */
typedef struct sentinel_session {
    uint32_t agent; /* node id */
    uint32_t node; /* index, kept by the gate */
    uint64_t generation; /* of the policy that the index is of; kept by the gate */
} sentinel_session;

/* The answer to one order. */
typedef struct sentinel_outcome {
    uint8_t verdict; /* only SENTINEL_ALLOWED carries a signature */
    uint8_t recorded; /* 1: the record below exists */
    uint16_t reason;
    uint32_t status; /* FAILED: the sentinel_status behind it */
    uint64_t record; /* number; PENDING: of the request; DUPLICATE: of what has the id */
    uint64_t epoch;
    int64_t now_ns; /* the time that was used */
    uint8_t record_hash32[32];
    int64_t usable_until_ms; /* ALLOWED: when the request stops being usable */
    uint16_t venue; /* of the key */
    uint8_t client_id_size; /* 0: the request names no order */
    uint8_t reserved[1];
    uint32_t key; /* id */
    char client_id[SENTINEL_TAG_BYTES_MAX]; /* how the venue knows the order */
    int64_t pending_until_ns; /* PENDING: when the request expires */
    uint8_t approvals_needed; /* PENDING */
    uint8_t approvals; /* PENDING: given, by keys in force */
    uint8_t reserved1[6];
    sentinel_decision decision; /* policy's part; no results if it was not reached */
    sentinel_signature signature;
    sentinel_request request; /* ready to send */
} sentinel_outcome;

/* Stops the gate from outside: mapped memory that any process may write.
 * While stop is not 0, or the two counts differ, every order is denied. */
typedef struct sentinel_control {
    char magic[8]; /* "SENTCTRL" */
    uint32_t version; /* 1 */
    uint8_t reserved0[4];
    uint64_t spool_submitted; /* tickets handed out */
    uint64_t spool_applied; /* tickets done, by the writer */
    uint64_t writer_pid; /* for people */
    uint64_t stop; /* the stop word: u32 target, u16 scope, u16 count */
    uint64_t stop_sequence; /* of the halt that it was set for */
    uint8_t reserved1[8];
} sentinel_control;
SENTINEL_SIZE(sentinel_control, 64);
SENTINEL_AT(sentinel_control, stop, 40);

/* Bytes of memory for a context: bookkeeping, two bundles, two states.
 * 0: config is out of range. */
SENTINEL_API uint64_t
sentinel_context_bytes(const sentinel_config *config);

/* Makes a context in the caller's memory (aligned to 64). Nothing is loaded.
 * The keyring, log and control stay the caller's and outlive the context.
 * log: null for replay and simulation. control: may be null.
 * Returns:  OK; USAGE_*; FORMAT_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_context_init(sentinel_context **context, void *memory, uint64_t size,
                      const sentinel_config *config, sentinel_keyring *keyring, sentinel_log *log,
                      const sentinel_control *control);

/* Writes the genesis record (number 0) of a new log. Returns: OK; as append. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_genesis(sentinel_context *context, int64_t now_ns);

/* Writes the start record: a new epoch. Once, after replay and before any
 * order. Returns: OK; as append. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_start(sentinel_context *context, uint64_t torn_bytes, int64_t now_ns);

/* A question to a witness: this head is to be confirmed. The engine's identity
 * key signs it: "sentinel-ask-v1" over SHA-256(sentinel_ask). */
enum {
    SENTINEL_ASK_FINAL = 1u << 0 /* the engine closes and gives its grant back */
};
typedef struct sentinel_ask {
    uint8_t engine_id32[32];
    uint8_t nonce32[32]; /* fresh */
    uint64_t epoch;
    uint64_t count; /* records */
    uint8_t hash32[32]; /* of the last record */
    uint8_t start_hash32[32]; /* of this epoch's START record */
    uint64_t known_count; /* the head that was confirmed last, or accepted */
    uint8_t known_hash32[32];
    int64_t spent; /* micro-USD signed for in all */
    uint32_t flags; /* SENTINEL_ASK_* */
    uint8_t reserved[4];
} sentinel_ask;
SENTINEL_SIZE(sentinel_ask, 200);

/* Asks. Only the answer to the last question is taken. After a FINAL one,
 * which needs a grant of this epoch, nothing is signed any more.
 * Returns:  OK; USAGE_*; KEY_*; CRYPTO_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_ask(sentinel_context *context, sentinel_ask *ask, uint8_t signature64[64],
                  uint32_t flags);

/* True (1) when the authority has a witness: orders need a grant. */
SENTINEL_API int
sentinel_gate_needs_witness(const sentinel_context *context);

/* Takes a signed frame: AUTHORITY, POLICY, COMMAND, FEED or GRANT. What is taken
 * becomes a record before it takes effect; what is refused becomes a REFUSED
 * record and changes nothing else.
 * Returns:  OK; FORMAT_*; POLICY_*; AUDIT_*, IO_* (nothing taken).
 * Out:      record: its number (may be null). In: frame: aligned to 8. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_take(sentinel_context *context, uint64_t *record, const void *frame, size_t size,
                   int64_t now_ns);

/* Checks a frame as sentinel_gate_take would; changes and records nothing. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_check(sentinel_context *context, const void *frame, size_t size, int64_t now_ns);

/* Opens a session. Returns: OK; POLICY_ABSENT; POLICY_SCOPE (no such agent). */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_session_open(sentinel_session *session, const sentinel_context *context, uint32_t agent);

/* Signs one order, or refuses it.
 * Returns:  OK (the verdict says the rest); USAGE_ARGUMENT.
 * Out:      outcome: all of it but text beyond request.text_size, and results
 *           beyond decision.result_count: there may stand what stood there
 *           before. Signature and request only when ALLOWED, zeroed otherwise.
 * In/out:   session. In: order_bytes, any alignment; now_ns: Unix time.
 * Timing:   constant in secrets. Allocates: never. Threads: take turns. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_sign(sentinel_context *context, sentinel_outcome *outcome, sentinel_session *session,
                   const void *order_bytes, size_t size, int64_t now_ns);

/* Stops every agent that is overdue by its rule of heartbeats, a STOP record
 * each. Cheap while none is. An agent that is overdue signs nothing whether or
 * not this is called; it is called so that the stop is known in time.
 * Returns: OK; USAGE_ARGUMENT; as append. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_tick(sentinel_context *context, int64_t now_ns);

/* Takes back a live request of the session's agent (docs/2-policy.md,
 * "A request"): a WITHDRAWN record, and its row is free.
 * Returns:  OK; POLICY_APPROVAL (there is none); as append.
 * Out:      record: its number (may be null). */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_withdraw(sentinel_context *context, uint64_t *record, const sentinel_session *session,
                       uint64_t action_id, int64_t now_ns);

/* Records what whoever runs the engine found: its clock compared (CLOCK), a key
 * that came to be (KEY). Decides nothing and changes nothing else.
 * Returns:  OK; USAGE_ARGUMENT; FORMAT_*; as append.
 * Out:      record: its number (may be null). In: subject: aligned to 8. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_note(sentinel_context *context, uint64_t *record, uint16_t type, const void *subject,
                   size_t size, int64_t now_ns);

/* How many approvers of a request count at a time. */
SENTINEL_API unsigned
sentinel_gate_approvals(const sentinel_context *context, const sentinel_pending *row,
                        int64_t now_ns);

/* Writes pending denial summaries of every agent; call before closing. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_flush(sentinel_context *context, int64_t now_ns);

/* Copies the state out and records its digest.
 * Returns:  OK; USAGE_CAPACITY; as append. In: out_size: at least
 *           sentinel_gate_snapshot_bytes(). */
SENTINEL_API uint64_t
sentinel_gate_snapshot_bytes(const sentinel_context *context);
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_snapshot(sentinel_context *context, uint64_t *record, uint8_t *out, uint64_t out_size,
                       int64_t now_ns);

/* Restores a snapshot taken at a SNAPSHOT record: the two bundles then in
 * force, the state, and the record.
 * Returns:  OK; FORMAT_*; AUDIT_SNAPSHOT; POLICY_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_restore(sentinel_context *context, const sentinel_record *record,
                      const void *authority, size_t authority_size, const void *policy,
                      size_t policy_size, const uint8_t *state, uint64_t state_size);

/* Applies one record to the state: decides it again, and compares. The
 * record must be the next. bundle: the frame that a BUNDLE record names.
 * keyring: when the context has one with the key, the request is rendered
 * and its digest compared too.
 * Returns:  OK; AUDIT_MISMATCH (difference: a short text naming the field);
 *           AUDIT_CORRUPT; FORMAT_*; POLICY_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_replay(sentinel_context *context, const char **difference,
                     const sentinel_record *record, const void *bundle, size_t bundle_size);

/* Latches the engine halted because of a status, and records it if it can. */
SENTINEL_API void
sentinel_gate_halt(sentinel_context *context, sentinel_status status, int64_t now_ns);

/* The bundle and state in force; null before a policy is loaded. */
SENTINEL_API const sentinel_view *
sentinel_gate_view(const sentinel_context *context);

/* State of the engine before any policy is loaded, and after. */
SENTINEL_API const sentinel_state *
sentinel_gate_state(const sentinel_context *context);

/* The authority bundle's payload in force (frame.h), and its size; null: none. */
SENTINEL_API const sentinel_authority *
sentinel_gate_authority(const sentinel_context *context, size_t *size);

/* What the context was made with; the genesis record is in it. */
SENTINEL_API const sentinel_config *
sentinel_gate_config(const sentinel_context *context);

/* Where the time goes: the gate notes the clock at each boundary of its steps.
 * For measuring only; null (the default) switches it off. */
enum {
    SENTINEL_STEP_DECODE = 0, /* form, look-ups, key */
    SENTINEL_STEP_POLICY = 1,
    SENTINEL_STEP_RENDER = 2,
    SENTINEL_STEP_RESERVE = 3, /* windows, id, book */
    SENTINEL_STEP_SIGN = 4,
    SENTINEL_STEP_RECORD = 5,
    SENTINEL_STEP_COUNT = 6
};
typedef struct sentinel_trace {
    uint64_t (*clock)(void);
    uint64_t ends[SENTINEL_STEP_COUNT]; /* when each step ended; 0: not reached */
    uint64_t begin;
} sentinel_trace;
SENTINEL_API void
sentinel_gate_trace(sentinel_context *context, sentinel_trace *trace);

/* Signs a head: "sentinel-head-v1" over SHA-256(sentinel_head). */
typedef struct sentinel_head {
    uint8_t engine_id32[32];
    uint64_t epoch;
    uint64_t count; /* records */
    uint8_t last_hash32[32];
    uint8_t root32[32]; /* RFC 6962 root over the record hashes */
} sentinel_head;
SENTINEL_SIZE(sentinel_head, 112);
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_sign_head(sentinel_context *context, uint8_t signature64[64],
                        const sentinel_head *head);

/* Acknowledges a command: "sentinel-ack-v1" over SHA-256(sentinel_ack). After
 * that of a halt no record from `count` on has a signature of what is halted,
 * until a resume; usable_until_ms says for how long the bytes that were
 * released before can still be used. */
typedef struct sentinel_ack {
    uint8_t engine_id32[32];
    uint8_t frame_hash32[32]; /* of the command */
    uint8_t record_hash32[32]; /* of the record that took it */
    uint64_t record; /* its number */
    uint64_t count; /* records up to and with it */
    uint64_t epoch;
    int64_t now_ns; /* when it took effect */
    int64_t until_ns; /* as the command says */
    uint64_t subject_record; /* APPROVE, REJECT: the pending record */
    uint32_t target;
    uint16_t verb;
    uint16_t scope;
    uint8_t environment;
    uint8_t reserved[7];
    int64_t usable_until_ms[SENTINEL_VENUES_MAX]; /* as sentinel_released */
} sentinel_ack;
SENTINEL_SIZE(sentinel_ack, 280);
SENTINEL_AT(sentinel_ack, record, 96);
SENTINEL_AT(sentinel_ack, usable_until_ms, 160);
typedef struct sentinel_signed_ack {
    sentinel_ack ack;
    uint8_t signature64[64];
} sentinel_signed_ack;
SENTINEL_SIZE(sentinel_signed_ack, 344);

/* Says what a command did, right after it was taken or replayed; the same both
 * times. Returns: OK; USAGE_ARGUMENT (the last record is of another frame);
 * FORMAT_*. In: frame: aligned to 8. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_acknowledge(const sentinel_context *context, sentinel_ack *ack, const void *frame,
                          size_t size);

/* Signs it. Returns: OK; USAGE_ARGUMENT (of another engine, or of a record that
 * is not there); KEY_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_gate_sign_ack(sentinel_context *context, uint8_t signature64[64], const sentinel_ack *ack);

#ifdef __cplusplus
}
#endif
#endif
