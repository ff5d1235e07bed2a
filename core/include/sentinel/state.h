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
#define SENTINEL_STATE_BYTES_MAX (UINT64_C(1) << 40)

/* Whether a node is halted, and by what. */
typedef struct sentinel_node_state {
    uint32_t node; /* id */
    uint8_t halted; /* 1: yes */
    uint8_t severity;
    uint8_t reserved[2];
    uint64_t record; /* of the command that halted it */
    int64_t since_ns;
    uint8_t reason_digest32[32];
} sentinel_node_state;
SENTINEL_SIZE(sentinel_node_state, 56);

typedef struct sentinel_agent_state {
    uint64_t id_highest; /* highest action id signed; 0: none */
    uint64_t id_seen; /* bit n: id_highest - n was signed */
    uint64_t id_record[SENTINEL_ID_WINDOW]; /* by id % 64: record that signed it */
    int64_t attempts_since_ns; /* beginning of the current attempt interval */
    uint32_t attempts; /* denials recorded in it */
    uint32_t node; /* id of the agent */
    uint64_t suppressed; /* denials not recorded since the last summary */
    int64_t suppressed_first_ns;
    int64_t suppressed_last_ns;
    uint64_t suppressed_reasons[2];
} sentinel_agent_state;
SENTINEL_SIZE(sentinel_agent_state, 584);

typedef struct sentinel_mark_state {
    uint32_t id;
    uint8_t kind; /* SENTINEL_MARK_*; 0: never fed */
    uint8_t scale; /* normalised: 0, or the mantissa's last digit is not 0 */
    uint8_t reserved[2];
    int64_t mantissa;
    int64_t time_ns;
} sentinel_mark_state;
SENTINEL_SIZE(sentinel_mark_state, 24);

/* A signed place (or amend), by action id % book_entries; the latest stays. */
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
} sentinel_book_entry;
SENTINEL_SIZE(sentinel_book_entry, 48);

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
    uint64_t nodes; /* offset: sentinel_node_state[node_count] */
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
    uint8_t reserved[4];
    sentinel_key_counter key_counters[SENTINEL_KEYS_MAX];
    sentinel_released released;
    sentinel_agent_state strangers; /* attempts of agents that the policy lacks */
} sentinel_state;
SENTINEL_SIZE(sentinel_state, 5216);

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
    uint32_t present;
    uint16_t action;
    uint16_t venue;
    uint8_t side;
    uint8_t type;
    uint8_t time_in_force;
    uint8_t reserved;
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

/* Takes the marks of a checked feed payload; others are skipped. */
SENTINEL_API void
sentinel_policy_feed(const sentinel_view *view, const uint8_t *payload, size_t size);

/* Halts (1) or releases (0) a node by index. */
SENTINEL_API void
sentinel_policy_halt(const sentinel_view *view, uint32_t node, int halted, uint64_t record,
                     int64_t now_ns, uint8_t severity, const uint8_t reason_digest32[32]);

/* Tables of the state, by index of the node (of an agent: null for others).
 * The book's entry is the place of an action id, whatever it holds. */
SENTINEL_API sentinel_node_state *
sentinel_view_node(const sentinel_view *view, uint32_t node);
SENTINEL_API sentinel_agent_state *
sentinel_view_agent(const sentinel_view *view, uint32_t node);
SENTINEL_API sentinel_book_entry *
sentinel_view_book(const sentinel_view *view, uint32_t node, uint64_t action_id);

#ifdef __cplusplus
}
#endif
#endif
