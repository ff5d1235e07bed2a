/* What the kinds of constraint share.
 *
 * A kind is one policy_rule, defined beside its functions, and one row of the
 * table in policy.c. Checking a bundle, deciding, debiting, laying out state,
 * restoring it and carrying it over all go through that table, so that a new
 * kind changes none of them. docs/2-policy.md has the semantics. */
#ifndef SENTINEL_POLICY_RULES_H
#define SENTINEL_POLICY_RULES_H

#include <sentinel/state.h>

#include "bytes.h"
#include "check.h"
#include "policy_math.h"

#define POLICY_BIT(n) (UINT32_C(1) << (n))

/* Sets of actions, as bits. MOVES_OUT is no action: it stands for a withdrawal,
 * or a transfer that names a destination. */
#define POLICY_MOVES_OUT POLICY_BIT(31)
#define POLICY_ALL_ACTIONS (POLICY_BIT(SENTINEL_ACTION_COUNT) - 2)
#define POLICY_ORDERS (POLICY_BIT(SENTINEL_ACTION_PLACE) | POLICY_BIT(SENTINEL_ACTION_AMEND))
#define POLICY_FUNDS (POLICY_BIT(SENTINEL_ACTION_WITHDRAW) | POLICY_BIT(SENTINEL_ACTION_TRANSFER))
#define POLICY_AT_INSTRUMENTS                                                                      \
    (POLICY_ORDERS | POLICY_BIT(SENTINEL_ACTION_CANCEL) | POLICY_BIT(SENTINEL_ACTION_CANCEL_ALL) | \
     POLICY_BIT(SENTINEL_ACTION_CANCEL_ALL_AFTER) | POLICY_BIT(SENTINEL_ACTION_QUERY))
#define POLICY_ALL_VENUES (POLICY_BIT(SENTINEL_VENUE_COUNT) - 1)

/* One evaluation: what is judged, and what was worked out so far. */
typedef struct policy_turn {
    const sentinel_view *view;
    const sentinel_subject *subject;
    int64_t now_ns;
    uint32_t actions;    /* the action's bit, and MOVES_OUT where it holds */
    uint32_t venue;      /* the venue's bit */
    uint32_t instrument; /* id; 0: none */
    uint32_t kinds;      /* bit n: a constraint of kind n applied */
    uint8_t depth;       /* of the node whose constraints are judged */
    uint8_t value_known; /* 1: value and value_reason are worked out */
    uint8_t address_size;
    uint8_t memo_size;
    const char *address; /* of what moves out; else null */
    const char *memo;
    uint32_t network; /* id; 0 for transfers */
    sentinel_reason value_reason;
    int64_t value;           /* micro-USD, when value_reason is NONE */
    void *window;            /* state of the constraint being judged, when it has one */
    int64_t retry_at_ns;     /* for the constraint being judged to set when it fails; else 0 */
    int64_t time_to_live_ns; /* the shortest of what waits */
    uint8_t quorum;          /* the greatest of what waits; 0: nothing does */
} policy_turn;

/* The state of one constraint, or of one agent under it. */
typedef struct policy_window {
    /* Size, a multiple of 8. */
    uint64_t (*bytes)(const sentinel_constraint *constraint);
    /* Sets up zeroed memory; null: zero is the fresh state. */
    void (*init)(void *window, const sentinel_constraint *constraint);
    /* Charges an allowed order. */
    void (*debit)(void *window, const sentinel_constraint *constraint, int64_t value,
                  int64_t now_ns);
    /* Whether bytes from outside are a state that debits can have left. */
    sentinel_status (*check)(const void *window, const sentinel_constraint *constraint);
    /* Takes over what the version before held, at the old state's last time. */
    void (*carry)(void *window, const sentinel_constraint *constraint, const void *old,
                  const sentinel_constraint *old_constraint, int64_t last_ns);
} policy_window;

/* What a row of a kind may say; everything else must be zero. */
enum {
    POLICY_FIELD_MASK = 1u << 0,
    POLICY_FIELD_IDS = 1u << 1,          /* list_first, list_count: a run of IDS */
    POLICY_FIELD_DESTINATIONS = 1u << 2, /* the same, of DESTINATIONS */
    POLICY_FIELD_BOUND = 1u << 3,
    POLICY_FIELD_BOUND_SCALE = 1u << 4,
    POLICY_FIELD_WINDOW = 1u << 5,
    POLICY_FIELD_MAX_AGE = 1u << 6,
    POLICY_FIELD_EACH = 1u << 7,
    POLICY_FIELD_QUORUM = 1u << 8
};

typedef struct policy_rule {
    const char *name;
    uint32_t actions;   /* the kind applies to these */
    uint32_t fields;    /* POLICY_FIELD_* */
    uint32_t mask_bits; /* bits that a mask may have */
    int64_t bound_max;
    /* Judges one order: fills in value, flags and, where it is not the row's,
     * the bound. Returns why it fails, or NONE. */
    sentinel_reason (*evaluate)(policy_turn *turn, const sentinel_constraint *constraint,
                                sentinel_result *result);
    const policy_window *window; /* null: stateless */
    /* What else a row must satisfy; null: nothing. */
    sentinel_status (*check)(const sentinel_constraint *constraint);
} policy_rule;

extern const policy_rule policy_rule_actions, policy_rule_venues, policy_rule_instruments,
    policy_rule_order_types, policy_rule_sides, policy_rule_times_in_force,
    policy_rule_destinations, policy_rule_sanctions, policy_rule_value_cap,
    policy_rule_quantity_cap, policy_rule_price_collar, policy_rule_daily_limit,
    policy_rule_rolling_cap, policy_rule_rate_limit, policy_rule_heartbeat, policy_rule_approval;

/* policy.c: the row of a kind; null when there is none. */
const policy_rule *policy_rule_of(uint8_t kind);

/* policy_stop.c: the kill switch: halts and drains of the chain's nodes, the
 * venue and the instrument. Fills in level, value and result. */
void policy_judge_stops(const policy_turn *turn, const uint32_t *chain, unsigned length,
                        sentinel_decision *decision, sentinel_result *result);

/* policy_stop.c: whether a drain lets the order through. */
int policy_lowers_risk(const policy_turn *turn);

/* policy_beat.c: the last time at which an agent breaks no rule that would stop
 * it further; 0: there is none. settle: puts it into the agent's state. */
int64_t policy_beat_deadline(const sentinel_view *view, uint32_t node);
void policy_beat_settle(const sentinel_view *view, uint32_t node);

/* policy_beat.c: an agent must beat first, as after a start. */
void policy_beat_clear(const sentinel_view *view, uint32_t node);

/* policy_beat.c: takes a heartbeat that was checked. */
void policy_beat_take(const sentinel_view *view, uint32_t node, const sentinel_heartbeat *beat,
                      uint64_t sequence, int64_t issued_ns);

/* policy_beat.c: the rule that an agent breaks, and what it leads to. 0: none
 * that would stop it further than it is. */
typedef struct policy_overdue {
    const sentinel_constraint *rule;
    int64_t deadline_ns; /* that was passed */
    uint8_t mode;        /* SENTINEL_DRAINING or SENTINEL_HALTED */
    uint8_t cause;       /* SENTINEL_CAUSE_* */
} policy_overdue;
int policy_beat_overdue(policy_overdue *overdue, const sentinel_view *view, uint32_t node,
                        int64_t now_ns);

/* policy_approval.c: an action that always waits, by the policy's oversight. */
void policy_judge_oversight(policy_turn *turn, sentinel_result *result);

/* policy_approval.c: remembers where a signed order sends funds. */
void policy_keep_destination(const policy_turn *turn);

/* policy_value.c: the mark of an instrument in its quote asset.
 * NONE, MARK_ABSENT or MARK_STALE. */
sentinel_reason policy_mark(sentinel_decimal *mark, const sentinel_view *view,
                            const sentinel_instrument *instrument, int64_t now_ns,
                            int64_t max_age_ns);

/* Whether a quantity in quote currency says what such an order is worth. */
static inline int policy_takes_quote_quantity(const sentinel_instrument *instrument) {
    return instrument->contract == SENTINEL_CONTRACT_SPOT ||
           instrument->contract == SENTINEL_CONTRACT_LINEAR;
}

/* policy_value.c: works the order's value out at its first use. When it cannot
 * be known, the result says so and the reason is returned. */
sentinel_reason policy_need_value(policy_turn *turn, sentinel_result *result);

/* A result that does not fit, or that cannot be known. */
static inline sentinel_reason policy_unmeasured(sentinel_result *result, uint8_t flag,
                                                sentinel_reason reason) {
    result->value = INT64_MAX;
    result->flags = flag;
    return reason;
}

/* policy_bundle.c: the row with an id among rows that begin with ascending
 * u32 ids; null when there is none. */
const void *policy_find(const void *rows, uint32_t count, size_t row_bytes, uint32_t id);

/* policy_rows.c: checks every row of a bundle whose sections are in place. */
SENTINEL_MUST_USE sentinel_status policy_rows_check(const sentinel_bundle *bundle);

#endif
