/* State: what earlier decisions left behind, and the decision itself.
 *
 * The state is one flat block of memory without pointers: a snapshot is a
 * copy of it. Its tables are sized by the bundle; sentinel_view joins the
 * two. Deciding is a function of (semantics version, bundle, state, order,
 * now) alone. */
#ifndef SENTINEL_STATE_H
#define SENTINEL_STATE_H

#include <sentinel/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SENTINEL_STATE_VERSION 1u
#define SENTINEL_ID_WINDOW 64u
#define SENTINEL_LINEAGE_MAX 8u /* steps up from an order */
#define SENTINEL_STATE_BYTES_MAX (UINT64_C(1) << 40)

/* Whether a node, venue or instrument may go on, and if not, why. */
enum {
    SENTINEL_RUNNING = 0,
    SENTINEL_DRAINING = 1, /* only what lowers risk */
    SENTINEL_HALTED = 2, /* nothing */
    SENTINEL_MODE_COUNT = 3
};
enum {
    SENTINEL_CAUSE_NONE = 0, /* it runs */
    SENTINEL_CAUSE_OPERATOR = 1,
    SENTINEL_CAUSE_HEARTBEAT = 2, /* no heartbeat in time */
    SENTINEL_CAUSE_PROGRESS = 3, /* an iteration ran for too long */
    SENTINEL_CAUSE_REPORT = 4, /* a report contradicts what was signed, or one is missing */
    SENTINEL_CAUSE_COUNT = 5
};
typedef struct sentinel_stop_state {
    uint32_t id; /* of the node or instrument; number of the venue */
    uint8_t mode;
    uint8_t severity;
    uint8_t cause;
    uint8_t reserved[1];
    uint64_t record; /* that did it */
    int64_t since_ns;
    int64_t until_ns; /* DRAINING: then it is halted; 0: no such time */
    uint8_t reason_digest32[32]; /* of the command; else zero */
} sentinel_stop_state;
SENTINEL_SIZE(sentinel_stop_state, 64);

typedef struct sentinel_agent_state {
    uint64_t id_highest; /* highest action id signed; 0: none */
    uint64_t id_seen; /* bit n: id_highest - n was signed */
    uint64_t id_record[SENTINEL_ID_WINDOW]; /* by id % 64: record that signed it */
    /* By id % 64, what it follows from (docs/2-policy.md, "Lineage"): another
     * agent's node id (0: nothing), and 1 + its action's id % 64 (0: unknown).
     * It is that very action while its record is below this one's. */
    uint32_t id_parent[SENTINEL_ID_WINDOW];
    uint8_t id_parent_slot[SENTINEL_ID_WINDOW];
    int64_t attempts_since_ns; /* beginning of the current attempt interval */
    uint32_t attempts; /* denials recorded in it */
    uint32_t node; /* id of the agent */
    uint64_t suppressed; /* denials not recorded since the last summary */
    int64_t suppressed_first_ns;
    int64_t suppressed_last_ns;
    uint64_t suppressed_reasons[2];
    uint64_t beat_sequence; /* of the last heartbeat; 0: none */
    int64_t beat_ns; /* when it was made; 0: none since the start or a resume */
    uint64_t iterations; /* that it told of */
    int64_t running_since_ns; /* as it told; 0: none runs */
    int64_t beat_deadline_ns; /* after it, a rule stops the agent; 0: none does */
} sentinel_agent_state;
SENTINEL_SIZE(sentinel_agent_state, 944);

typedef struct sentinel_mark_state {
    uint32_t id;
    uint8_t kind; /* SENTINEL_MARK_*; 0: never fed */
    uint8_t scale; /* normalised: 0, or the mantissa's last digit is not 0 */
    uint8_t reserved[2];
    int64_t mantissa;
    int64_t time_ns;
} sentinel_mark_state;
SENTINEL_SIZE(sentinel_mark_state, 24);

/* A signed place (or amend), by action id % book_entries; the highest stays. */
typedef struct sentinel_book_entry {
    uint64_t action_id; /* 0: empty */
    uint64_t record;
    uint64_t epoch;
    uint32_t instrument;
    uint8_t side;
    uint8_t type; /* venues keep triggered orders apart (sentinel_render.target_type) */
    uint8_t time_in_force;
    uint8_t reduce_only; /* 1: it only reduces */
    /* What the venue knows the order as: the record and epoch of the place,
     * even after amends. */
    uint64_t client_record;
    uint64_t client_epoch;
    /* The most that it may fill: the greatest of the place and its amends, in
     * the instrument's unit; with in_quote, in the quote asset. */
    sentinel_decimal quantity;
    sentinel_decimal filled; /* as reported, in all, in the instrument's unit */
    int64_t reported_ns; /* when the last report was taken; 0: none */
    uint64_t amended_by; /* action id of the amend that stands for the order now; 0: this does */
    uint8_t status; /* SENTINEL_ORDER_* */
    uint8_t in_quote; /* 1: ordered by what it spends */
    uint8_t reserved[6];
} sentinel_book_entry;
SENTINEL_SIZE(sentinel_book_entry, 104);

/* What is held of an instrument, as far as it was fed: as stated, and since
 * then buys less sells of this engine's orders, in the instrument's unit. */
typedef struct sentinel_position_state {
    uint32_t id; /* of the instrument */
    uint8_t scale;
    uint8_t reserved[3];
    int64_t mantissa; /* below 0: short */
    int64_t time_ns; /* the newest time, by venues, of what was fed; 0: none */
    int64_t stated_ns; /* of the last statement; reports up to it are in it */
} sentinel_position_state;
SENTINEL_SIZE(sentinel_position_state, 32);

/* An order that waits for approvers. A free row is zero. */
#define SENTINEL_PENDING_MAX 64u
#define SENTINEL_PENDING_AGENT_MAX 8u /* of one agent, live */
#define SENTINEL_APPROVERS_MAX 8u
enum {
    SENTINEL_PENDING_OPEN = 1, /* approved once enough of its approvers are in force */
    SENTINEL_PENDING_REJECTED = 2
};
typedef struct sentinel_pending {
    uint64_t record; /* of verdict PENDING */
    uint8_t record_hash32[32];
    int64_t expires_ns;
    uint64_t action_id;
    uint32_t agent; /* node id */
    uint8_t status; /* 0: free */
    uint8_t quorum; /* approvers needed */
    uint8_t approver_count;
    uint8_t reserved0[1];
    uint32_t approvers[SENTINEL_APPROVERS_MAX]; /* ids of their keys */
    uint8_t order_digest32[32]; /* SHA-256 of the order's struct */
} sentinel_pending;
SENTINEL_SIZE(sentinel_pending, 128);

/* A destination that something was signed for. */
#define SENTINEL_DESTINATIONS_KEPT 256u
typedef struct sentinel_destination_state {
    uint8_t digest32[32]; /* as in lists */
    uint16_t venue; /* 0: free */
    uint8_t reserved[6];
} sentinel_destination_state;
SENTINEL_SIZE(sentinel_destination_state, 40);

/* The last sequence of each feeder whose frames must not have gaps. */
#define SENTINEL_FEEDERS_MAX 32u
typedef struct sentinel_feeder_state {
    uint32_t key; /* id; 0: free */
    uint8_t reserved[4];
    uint64_t sequence;
    uint8_t frame_hash32[32]; /* of that frame: the same again is no replay */
} sentinel_feeder_state;
SENTINEL_SIZE(sentinel_feeder_state, 48);

/* DAILY_LIMIT */
typedef struct sentinel_daily_state {
    int64_t day; /* floor(now / 86,400 s), UTC */
    int64_t spent; /* micro-USD */
} sentinel_daily_state;
SENTINEL_SIZE(sentinel_daily_state, 16);

/* ROLLING_CAP: bucket b = floor(now / width) at buckets[b % 66]. */
typedef struct sentinel_rolling_state {
    int64_t newest; /* highest bucket number in use */
    int64_t sum; /* of all buckets; a debit empties those that count no more */
    int64_t buckets[SENTINEL_ROLLING_BUCKETS];
} sentinel_rolling_state;
SENTINEL_SIZE(sentinel_rolling_state, 544);

/* RATE_LIMIT: a ring of the times of the last `bound` events. */
typedef struct sentinel_rate_state {
    uint32_t capacity; /* the bound */
    uint32_t count;
    uint32_t next; /* where the next event goes */
    uint8_t reserved[4];
    /* int64_t times_ns[capacity] follows */
} sentinel_rate_state;
SENTINEL_SIZE(sentinel_rate_state, 16);

/* Sequences: by frame kind; feeds at SENTINEL_SEQUENCE_FEED + feed kind. */
#define SENTINEL_SEQUENCE_FEED 8u
#define SENTINEL_SEQUENCES 16u

typedef struct sentinel_key_counter {
    uint32_t key; /* id; 0: free */
    uint8_t reserved[4];
    uint64_t uses;
} sentinel_key_counter;
SENTINEL_SIZE(sentinel_key_counter, 16);

/* What was released so far, over all policies. */
#define SENTINEL_VENUES_MAX 15u
typedef struct sentinel_released {
    uint64_t nonce_next; /* the least that no venue was given yet */
    /* By venue: when the last bytes that add risk (place, amend, withdraw,
     * transfer) stop being usable, Unix milliseconds; 0: none released. */
    int64_t usable_until_ms[SENTINEL_VENUES_MAX];
} sentinel_released;
SENTINEL_SIZE(sentinel_released, 128);

/* What a witness confirmed and granted. Zero: nothing ever was. */
typedef struct sentinel_grant_state {
    uint64_t epoch; /* that the grant is for */
    uint64_t epoch_floor; /* the highest epoch that a witness told of */
    uint64_t count; /* records of the last head confirmed, or accepted by operators */
    uint8_t hash32[32]; /* of its last record */
    uint64_t record_end; /* orders may become records below this number */
    int64_t spend_end; /* micro-USD that may be signed for in all */
    int64_t spent; /* micro-USD signed for in all, while a witness was needed */
    uint64_t start_record; /* first START since the last epoch that was confirmed */
    uint8_t start_hash32[32]; /* of this epoch's START record */
    uint64_t gap_from; /* records gap_from to gap_to - 1 were confirmed, and */
    uint64_t gap_to; /* are not here; 0: no such gap */
    uint8_t gap_hash32[32]; /* of record gap_to - 1 */
} sentinel_grant_state;
SENTINEL_SIZE(sentinel_grant_state, 168);

/* The beginning of the state. Offsets are from here, multiples of 8. */
typedef struct sentinel_state {
    char magic[8]; /* "SENTSTAT" */
    uint32_t version;
    uint32_t halted; /* status of the engine's own halt; 0: none */
    uint64_t size_bytes;
    uint64_t record_count; /* records so far */
    uint64_t epoch;
    int64_t last_now_ns;
    uint64_t sequences[SENTINEL_SEQUENCES];
    uint8_t last_hash32[32];
    uint8_t engine_id32[32];
    uint8_t policy_hash32[32];
    uint8_t limit_hash32[32];
    uint8_t authority_hash32[32];
    uint8_t keyring_hash32[32]; /* of the last start */
    uint32_t keys; /* of it; 0: there was none */
    uint8_t reserved2[4];
    uint64_t nodes; /* offset: sentinel_stop_state[node_count] */
    uint64_t instruments; /* offset: sentinel_stop_state[instrument_count] */
    uint64_t positions; /* offset: sentinel_position_state[instrument_count] */
    uint64_t agents; /* offset: sentinel_agent_state[agent_count] */
    uint64_t instrument_marks; /* offset: sentinel_mark_state[instrument_count] */
    uint64_t asset_marks; /* offset: sentinel_mark_state[asset_count] */
    uint64_t book; /* offset: sentinel_book_entry[agent_count * book_entries] */
    uint64_t windows; /* offset: windows of constraints */
    uint32_t node_count;
    uint32_t agent_count;
    uint32_t instrument_count;
    uint32_t asset_count;
    uint32_t book_entries;
    uint32_t stopped; /* how many nodes, venues and instruments do not run */
    sentinel_key_counter key_counters[SENTINEL_KEYS_MAX];
    sentinel_released released;
    int64_t lease_until_ns; /* end of the operators' lease; 0: none was given */
    int64_t relied_ns; /* time of the last record that something rests on */
    sentinel_grant_state grant;
    sentinel_stop_state venues[SENTINEL_VENUES_MAX]; /* by number */
    sentinel_feeder_state feeders[SENTINEL_FEEDERS_MAX];
    uint64_t pending_used; /* bit n: row n is not free */
    sentinel_pending pending[SENTINEL_PENDING_MAX];
    uint32_t destination_next; /* where the next one goes */
    uint8_t reserved1[4];
    sentinel_destination_state destinations[SENTINEL_DESTINATIONS_KEPT];
    sentinel_agent_state strangers; /* attempts of agents that the policy lacks */
} sentinel_state;
SENTINEL_SIZE(sentinel_state, 26760);

/* A bundle and its state, joined. The layout arrays lie beside the bundle. */
typedef struct sentinel_view {
    sentinel_bundle bundle;
    sentinel_state *state;
    const uint64_t *window_offsets; /* by constraint: offset of its first window */
    /* By node: 0, 1, ... for agents, so that those below any node adjoin; for
     * the firm and groups, that of the first agent below. */
    const uint32_t *agent_ordinals;
    const uint32_t *nodes_by_id; /* indexes, in ascending order of id */
    const uint32_t *constraints_by_id;
    /* Instruments by a hash of their id: 1 + index, or 0 where there is none. At
     * least half are 0, so that a search ends soon. */
    const uint16_t *instrument_slots;
    uint32_t instrument_shift; /* the slots are 2^(32 - shift) */
    uint8_t reserved[4];
} sentinel_view;

/* Bytes that a bundle's layout arrays and its state take. 0: the state is
 * above SENTINEL_STATE_BYTES_MAX. */
SENTINEL_API uint64_t
sentinel_layout_bytes(const sentinel_bundle *bundle);
SENTINEL_API uint64_t
sentinel_state_bytes(const sentinel_bundle *bundle);

/* Lays out a fresh state for a bundle and, when `old` is given, carries over
 * what it held: everything of the engine, nodes and agents by id, marks by
 * id, books, windows by constraint id (docs/2-policy.md, "A new version").
 * Returns:  OK; POLICY_ARENA; FORMAT_ORDER (two nodes or two constraints
 *           share an id); FORMAT_REFERENCE (a halt in `old` would not hold in
 *           the bundle); USAGE_ARGUMENT.
 * Out:      view. In: layout, state: aligned to 8, of the sizes above. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_state_make(sentinel_view *view, const sentinel_bundle *bundle, void *layout,
                    uint64_t layout_size, void *state, uint64_t state_size,
                    const sentinel_view *old);

/* Joins a bundle with a state restored from a snapshot, after checking that
 * the state is of this bundle and every field is in range.
 * Returns:  OK; FORMAT_*; POLICY_ARENA (layout_size is too small);
 *           AUDIT_SNAPSHOT (the state is of another bundle). */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_state_restore(sentinel_view *view, const sentinel_bundle *bundle, void *layout,
                       uint64_t layout_size, void *state, uint64_t state_size);

/* What policy judges: a checked order with its rows looked up. Fields that
 * the action lacks are zero or null. */
typedef struct sentinel_subject {
    const sentinel_order *order;
    const sentinel_instrument *instrument;
    const sentinel_asset *asset;
    const sentinel_network *network;
    uint32_t node; /* index of the agent */
    uint32_t parent; /* id of the other agent whose action it follows from; 0: none */
    uint32_t present;
    uint16_t action;
    uint16_t venue;
    uint8_t side;
    uint8_t type;
    uint8_t time_in_force;
    uint8_t reduce_only;
    uint8_t parent_slot; /* 1 + that action's id % 64, while it is kept; 0: it is unknown */
    uint8_t reserved[3];
    sentinel_decimal quantity;
    sentinel_decimal quote_quantity;
    sentinel_decimal price;
    sentinel_decimal trigger_price;
    sentinel_decimal amount;
} sentinel_subject;

/* The value of an order in micro-USD, rounded up (docs/2-policy.md, "Value").
 * Returns:  NONE; MARK_ABSENT; MARK_STALE; VALUE_OVERFLOW; UNSUPPORTED
 *           (there is no quantity, or none that can be valued).
 * Out:      value_micro_usd: 0 or more; INT64_MAX on any other return. */
SENTINEL_API SENTINEL_MUST_USE sentinel_reason
sentinel_policy_value(int64_t *value_micro_usd, const sentinel_view *view,
                      const sentinel_subject *subject, int64_t now_ns);

/* Evaluates every constraint that applies, firm first; changes no state.
 * Out:      decision: every field; of results and retry_at_ns the first
 *           result_count. A subject that is not of this view (no such agent,
 *           action or venue) and a time below 0 are denied without results.
 * Timing:   variable; bounded by the named limits. Allocates: never.
 * Threads:  one per state. */
SENTINEL_API void
sentinel_policy_evaluate(sentinel_decision *decision, const sentinel_view *view,
                         const sentinel_subject *subject, int64_t now_ns);

/* Charges an allowed order to every window that applies. */
SENTINEL_API void
sentinel_policy_debit(const sentinel_view *view, const sentinel_subject *subject,
                      const sentinel_decision *decision, int64_t now_ns);

/* Charges every window of every node and agent with orders that are not known:
 * so many in number, so much in value. */
SENTINEL_API void
sentinel_policy_count(const sentinel_view *view, uint64_t orders, int64_t value_micro_usd,
                      int64_t now_ns);

/* Takes the marks of a checked feed payload; others are skipped. */
SENTINEL_API void
sentinel_policy_feed(const sentinel_view *view, const uint8_t *payload, size_t size);

/* Stops something of the view's state, or lets it run again: `stop` says all but
 * the id, which stays. Null place is allowed (nothing happens). No other code
 * changes a mode, for the state counts what does not run. */
SENTINEL_API void
sentinel_stop_set(const sentinel_view *view, sentinel_stop_state *place,
                  const sentinel_stop_state *stop);

/* The mode that counts at a time: a drain past its end is a halt. */
SENTINEL_API uint8_t
sentinel_stop_mode(const sentinel_stop_state *stop, int64_t now_ns);

/* True (1) when at this time, or at any later one, `after` lets more through
 * than `before` does. */
SENTINEL_API int
sentinel_stop_loosens(const sentinel_stop_state *before, const sentinel_stop_state *after,
                      int64_t now_ns);

/* Tables of the state, by index of the node (of an agent: null for others).
 * The book's entry is the place of an action id, whatever it holds. */
SENTINEL_API sentinel_stop_state *
sentinel_view_node(const sentinel_view *view, uint32_t node);
/* The same of a venue by number, and of an instrument by its row. */
SENTINEL_API sentinel_stop_state *
sentinel_view_venue(const sentinel_view *view, uint16_t venue);
SENTINEL_API sentinel_stop_state *
sentinel_view_instrument(const sentinel_view *view, const sentinel_instrument *instrument);
/* The same of what a command names; null: there is no such thing. */
SENTINEL_API sentinel_stop_state *
sentinel_view_place(const sentinel_view *view, uint16_t scope, uint32_t target);
SENTINEL_API sentinel_position_state *
sentinel_view_position(const sentinel_view *view, const sentinel_instrument *instrument);
SENTINEL_API sentinel_agent_state *
sentinel_view_agent(const sentinel_view *view, uint32_t node);
SENTINEL_API sentinel_book_entry *
sentinel_view_book(const sentinel_view *view, uint32_t node, uint64_t action_id);

#ifdef __cplusplus
}
#endif
#endif
