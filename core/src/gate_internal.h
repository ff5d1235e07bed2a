/* What the gate's sources share: the context, one order's case, one entry of
 * the log. */
#ifndef SENTINEL_GATE_INTERNAL_H
#define SENTINEL_GATE_INTERNAL_H

#include <sentinel/gate.h>

#include "audit_log.h"
#include "bytes.h"
#include "check.h"

#define GATE_AUTHORITY_BYTES_MAX \
    (sizeof(sentinel_authority) + SENTINEL_AUTHORITY_KEYS_MAX * sizeof(sentinel_authority_key))

#define GATE_AUTHORITY_FRAME_BYTES_MAX                               \
    (sizeof(sentinel_frame_header) + GATE_AUTHORITY_BYTES_MAX + 8u + \
     SENTINEL_PROOFS_MAX * (sizeof(sentinel_proof) + SENTINEL_PROOF_BYTES_MAX))

#define GATE_AUTO_STOP_SEVERITY 2u /* of stops that the engine sets by itself */

/* Before a policy says otherwise. */
#define GATE_CLOCK_TOLERANCE_NS INT64_C(1000000000)
#define GATE_ATTEMPT_LIMIT 100u
#define GATE_ATTEMPT_INTERVAL_NS INT64_C(1000000000)

struct sentinel_context {
    sentinel_config config;
    uint8_t engine_id32[32];
    sentinel_keyring *keyring;       /* null: replay without keys */
    sentinel_log *log;               /* null: nothing is kept */
    const sentinel_control *control; /* null: none */
    const sentinel_record *expected; /* replay: the record being made again */
    const char *difference;          /* replay: where it differs */
    sentinel_trace *trace;           /* null: the steps are not timed */
    sentinel_view views[2];          /* the active one is in force */
    uint8_t *bundle_memory[2];       /* the frame, then the layout */
    uint8_t *state_memory[2];
    uint64_t generation;  /* policies taken; sessions compare */
    int64_t beats_due_ns; /* no agent is overdue up to this time; 0: not known */
    uint32_t active;
    uint8_t has_policy;
    uint8_t has_authority;
    uint8_t has_witness; /* by the authority: orders need a grant */
    uint8_t asked;       /* the last question was not answered yet */
    uint8_t closing;     /* the grant was given back */
    uint8_t reserved[7];
    sentinel_ask ask; /* the last question */
    uint64_t authority_size;
    sentinel_state bare; /* the state before the first policy */
    _Alignas(8) uint8_t authority[GATE_AUTHORITY_BYTES_MAX];
    record_draft draft;                                    /* of the record being made */
    _Alignas(8) uint8_t record[SENTINEL_RECORD_BYTES_MAX]; /* the last one, where no log keeps it */
};

/* One order on its way. */
typedef struct gate_case {
    sentinel_order order; /* a copy; zero beyond its size */
    size_t size;          /* 0 when it had a wrong size */
    sentinel_session *session;
    sentinel_agent_state *agent; /* null: the policy has no such agent */
    int64_t now_ns;
    uint32_t node;                     /* index of the session's agent; SENTINEL_NODE_NONE */
    uint32_t flags;                    /* of the record */
    const sentinel_book_entry *target; /* of an amend, cancel or query by action */
    const sentinel_key *key_row;
    const sentinel_key_info *key; /* null in a replay without keys */
    sentinel_subject subject;
    sentinel_render render;
    int64_t usable_until_ms;
    uint8_t is_nonced; /* 1: render.nonce is used up by this order */
    uint64_t key_counter;
    uint64_t duplicate_of;           /* record that signed this id before, or has it waiting */
    const sentinel_pending *request; /* of this very order; null: none */
    uint64_t pending;                /* its record, that this one answers */
    uint8_t waits;                   /* 1: for approvers */
    int64_t grant_value;             /* micro-USD of a witness's grant */
    uint8_t stopped;                 /* 1: by the control page, which may not say so any more */
    sentinel_outcome_part digests;
    hash_message payload, signature; /* whose digests the record will have */
} gate_case;

/* One record to be made. */
typedef struct gate_entry {
    uint16_t type;
    uint16_t reason;
    uint16_t subject_size;
    uint16_t result_count;
    uint8_t verdict;
    uint8_t release_mode;
    uint32_t agent;
    uint32_t key;
    uint32_t flags;
    uint64_t key_counter;
    uint64_t pending;
    uint64_t reasons[2];
    int64_t now_ns;
    const void *subject;
    const sentinel_result *results;
    sentinel_outcome_part *outcome;  /* null: none */
    hash_message payload, signature; /* not empty: their digests are still to be put there */
} gate_entry;

/* A feed on its way. */
typedef struct gate_feed {
    sentinel_frame frame;
    const void *bytes; /* all of it, as given */
    size_t size;
    int64_t now_ns;
    uint32_t flags; /* of the record */
    int commit;     /* 0: only checked */
} gate_feed;

static inline sentinel_state *gate_state(const sentinel_context *context) {
    /* The bare state is a part of the context, which is never itself const. */
    return context->has_policy ? context->views[context->active].state
                               : (sentinel_state *)(uintptr_t)&context->bare;
}

static inline const sentinel_view *gate_view(const sentinel_context *context) {
    return context->has_policy ? &context->views[context->active] : NULL;
}

static inline int gate_is_refused(const sentinel_decision *decision) {
    return decision->reason != SENTINEL_REASON_NONE;
}

/* gate_record.c: makes a record and keeps it; in a replay, compares it. */
SENTINEL_MUST_USE sentinel_status gate_append(sentinel_context *context, uint8_t hash32[32],
                                              const gate_entry *entry);

/* The time that counts. Sets CLOCK_HELD when the clock stepped back a little;
 * gives 0 when it stepped back too far (the engine is then halted). */
int gate_clock(sentinel_context *context, int64_t *now_ns, uint32_t *flags);

/* Whether a time is before the log's by more than the tolerance. What agents,
 * feeders and witnesses say then is not of the time that would count. */
int gate_is_behind(const sentinel_context *context, int64_t now_ns);

/* Whether a denial is recorded or only counted; writes a summary when one is
 * due. node: index, or SENTINEL_NODE_NONE. */
SENTINEL_MUST_USE sentinel_status gate_attempt(sentinel_context *context, int *recorded,
                                               uint32_t node, int64_t now_ns,
                                               const uint64_t reasons[2]);

/* gate_fetch.c: what will be read of an agent that was not asked for lately, so
 * that the memory is at it while the order's form is checked. First what is known
 * from the node and from the order's instrument; then, once its rows are there, the
 * windows of its own. */
void gate_fetch_log(const sentinel_log *log);
void gate_fetch_agent(const sentinel_view *view, const gate_case *c);
void gate_fetch_instrument(const sentinel_view *view, const gate_case *c);
void gate_fetch_windows(const sentinel_view *view, const gate_case *c);
void gate_fetch_rings(const sentinel_view *view, const gate_case *c);

/* gate_resolve.c: who, which id, which rows, which key. */
void gate_resolve(const sentinel_context *context, gate_case *c, sentinel_decision *decision);

/* gate_take.c: a bundle that a BUNDLE record names, made again. */
SENTINEL_MUST_USE sentinel_status gate_take_at(sentinel_context *context, uint64_t *record,
                                               const void *frame, size_t size, int64_t now_ns,
                                               uint32_t flags);

/* gate_take.c: what all frames have in common. Engine, sequence and times; k of
 * n keys of a power (threshold 0: the authority's own); the record. */
SENTINEL_MUST_USE sentinel_status gate_expects(const sentinel_context *context,
                                               const sentinel_frame *frame, uint32_t sequence_index,
                                               int64_t now_ns);
SENTINEL_MUST_USE sentinel_status gate_expects_above(const sentinel_context *context,
                                                     const sentinel_frame *frame, uint64_t sequence,
                                                     int64_t now_ns);
SENTINEL_MUST_USE sentinel_status gate_verify_power(const sentinel_context *context,
                                                    const sentinel_frame *frame, unsigned power,
                                                    unsigned threshold, int64_t now_ns);
SENTINEL_MUST_USE sentinel_status gate_record_frame(sentinel_context *context, uint16_t type,
                                                    const void *subject, size_t size,
                                                    int64_t now_ns, uint32_t flags);

/* gate_command.c: a command; `commit` 0 only checks. */
SENTINEL_MUST_USE sentinel_status gate_take_command(sentinel_context *context, const void *bytes,
                                                    size_t size, int64_t now_ns, uint32_t flags,
                                                    int commit);

/* gate_stop.c: stops a node within the record that says so, in force and in a
 * replay alike. A halt that is there stays, and so does a drain under a drain.
 * Returns: 1 when it stopped anything. */
int gate_stop_node(sentinel_context *context, uint32_t node, uint8_t mode, uint8_t cause,
                   uint64_t record, int64_t now_ns);

/* gate_stop.c: the same by a STOP record of its own, for what no other record
 * says: the record, then the stop; nothing at all when it would stop nothing.
 * frame: what the stop follows from, kept in the record (null, 0: none).
 * Returns: OK; POLICY_SCOPE (no such node); FORMAT_LIMIT; as append. */
SENTINEL_MUST_USE sentinel_status gate_auto_stop(sentinel_context *context,
                                                 const sentinel_auto_stop *stop, const void *frame,
                                                 size_t size, int64_t now_ns, uint32_t flags);

/* gate_stop.c: a STOP record made again; its cause must hold. */
SENTINEL_MUST_USE sentinel_status gate_replay_stop(sentinel_context *context,
                                                   const sentinel_record *record);

/* gate_feed.c: a feed, as a command. */
SENTINEL_MUST_USE sentinel_status gate_take_feed(sentinel_context *context, const void *bytes,
                                                 size_t size, int64_t now_ns, uint32_t flags,
                                                 int commit);

/* gate_feed.c: what all feeds have in common: from 1 to `most` rows of a size,
 * the rest zero; and their record. */
SENTINEL_MUST_USE sentinel_status gate_feed_check(const sentinel_frame *frame, uint32_t most,
                                                  size_t row_bytes);
SENTINEL_MUST_USE sentinel_status gate_record_feed(sentinel_context *context,
                                                   const gate_feed *given);

/* gate_feed.c: a feed of checked rows in the one sequence of its kind, by this
 * power: what must hold, then its record. With `commit`, the caller puts the
 * rows into force. */
SENTINEL_MUST_USE sentinel_status gate_feed_admit(sentinel_context *context, const gate_feed *given,
                                                  unsigned power);

/* gate_beat.c: a heartbeat, as a command. */
SENTINEL_MUST_USE sentinel_status gate_take_heartbeat(sentinel_context *context,
                                                      const gate_feed *given);

/* gate_beat.c: 1 when an agent is overdue at a time and must be stopped, and
 * how. node: index; of anything else but an agent it is 0. */
int gate_beat_due(const sentinel_context *context, uint32_t node, int64_t now_ns,
                  sentinel_auto_stop *stop);

/* gate_beat.c: stops an agent that is overdue. Returns: OK; as append. */
SENTINEL_MUST_USE sentinel_status gate_beat_look(sentinel_context *context, uint32_t node,
                                                 int64_t now_ns);

/* gate_beat.c: works the deadlines of the agents at and below a node out again,
 * as stops have changed. anew: 1: each must beat first, as after a start. */
void gate_beats_changed(sentinel_context *context, uint32_t above, int anew);

/* gate_report.c: reports of executions, and positions that are stated. */
SENTINEL_MUST_USE sentinel_status gate_take_reports(sentinel_context *context,
                                                    const gate_feed *given);
SENTINEL_MUST_USE sentinel_status gate_take_positions(sentinel_context *context,
                                                      const gate_feed *given);

/* gate_set_clock.c: whether something rests on a record's time, so that the
 * clock is never set back before it. */
int gate_rests_on(const gate_entry *entry);

/* ---- gate_note.c: the form of what is recorded and decides nothing. */
SENTINEL_MUST_USE sentinel_status gate_note_check(uint16_t type, const void *subject, size_t size);

/* gate_set_clock.c: whether a command sets the clock back; of a frame, as far
 * as it can be read. */
int gate_is_clock_set(const sentinel_command *command);
int gate_sets_clock(const void *frame, size_t size);

/* gate_set_clock.c: whether a command that does may, now; and, behind its
 * record, what had ended by the time before stays ended. */
SENTINEL_MUST_USE sentinel_status gate_clock_check(const sentinel_context *context,
                                                   const sentinel_command *command, int64_t now_ns);
void gate_clock_set(const sentinel_view *view, int64_t before_ns, int64_t now_ns);

/* gate_book.c: the entry that stands for an order now, be it under a later
 * amend; null when the book does not hold it (any more). */
sentinel_book_entry *gate_book_head(const sentinel_view *view, uint32_t node, uint64_t action_id);

/* gate_book.c: enters what is about to be signed, where it is a place or amend. */
void gate_book_enter(const sentinel_view *view, const gate_case *c);

/* gate_book.c: one checked report, for an order and the position it changes.
 * Returns: 0; SENTINEL_REPORT_* when it cannot be true (both are then spoilt). */
unsigned gate_book_report(sentinel_book_entry *entry, sentinel_position_state *position,
                          const sentinel_instrument *instrument, const sentinel_report *report,
                          int64_t now_ns);

/* gate_book.c: a position that was stated, unless more is known since. */
void gate_book_state(sentinel_position_state *position, const sentinel_position *stated);

/* gate_take.c: an authority bundle that was checked comes into force. */
void gate_put_authority(sentinel_context *context, const sentinel_frame *frame);

/* gate_grant.c: a witness's answer, as a command; and its record made again. */
SENTINEL_MUST_USE sentinel_status gate_take_grant(sentinel_context *context, const void *bytes,
                                                  size_t size, int64_t now_ns, uint32_t flags,
                                                  int commit);
SENTINEL_MUST_USE sentinel_status gate_replay_witness(sentinel_context *context,
                                                      const sentinel_record *record);

/* gate_grant.c: the epoch that a start takes; and what its record changes. */
uint64_t gate_next_epoch(const sentinel_state *state);
void gate_grant_started(sentinel_state *state, uint64_t epoch_before, uint64_t record,
                        const uint8_t hash32[32]);

/* Which keys the writer has that starts. */
static inline void gate_keys_started(sentinel_state *state, const sentinel_start *start) {
    state->keys = start->keys;
    memcpy(state->keyring_hash32, start->keyring_hash32, 32);
}

/* gate_grant.c: GRANT where the grant lets no order become the next record, or
 * not this value be spent; or why that is not known. Sets c->grant_value: what
 * the order takes of the grant when it is signed. */
sentinel_reason gate_grant_judge(const sentinel_context *context, gate_case *c,
                                 const sentinel_decision *decision);

/* gate_grant.c: whether a command names the gap; and what it then changes. */
SENTINEL_MUST_USE sentinel_status gate_accept_gap(sentinel_context *context,
                                                  const sentinel_command *command);
void gate_gap_accepted(sentinel_state *state);

/* gate.c: one order, with the session's agent already known. */
void gate_decide(sentinel_context *context, sentinel_outcome *outcome, gate_case *c);

#endif
