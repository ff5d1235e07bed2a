/* Step 2, policy: every constraint that applies is judged, firm first.
 *
 * The path below never names a kind of constraint, but for the two kinds that
 * must have granted something before anything is allowed. */
#include "state_internal.h"

/* A later kind is one more file and one more row. */
static const policy_rule *const rules[SENTINEL_RULE_NUMBERS] = {
    [SENTINEL_RULE_ACTIONS] = &policy_rule_actions,
    [SENTINEL_RULE_VENUES] = &policy_rule_venues,
    [SENTINEL_RULE_INSTRUMENTS] = &policy_rule_instruments,
    [SENTINEL_RULE_ORDER_TYPES] = &policy_rule_order_types,
    [SENTINEL_RULE_SIDES] = &policy_rule_sides,
    [SENTINEL_RULE_TIMES_IN_FORCE] = &policy_rule_times_in_force,
    [SENTINEL_RULE_DESTINATIONS] = &policy_rule_destinations,
    [SENTINEL_RULE_SANCTIONS] = &policy_rule_sanctions,
    [SENTINEL_RULE_VALUE_CAP] = &policy_rule_value_cap,
    [SENTINEL_RULE_QUANTITY_CAP] = &policy_rule_quantity_cap,
    [SENTINEL_RULE_PRICE_COLLAR] = &policy_rule_price_collar,
    [SENTINEL_RULE_DAILY_LIMIT] = &policy_rule_daily_limit,
    [SENTINEL_RULE_ROLLING_CAP] = &policy_rule_rolling_cap,
    [SENTINEL_RULE_RATE_LIMIT] = &policy_rule_rate_limit,
    [SENTINEL_RULE_HEARTBEAT] = &policy_rule_heartbeat,
    [SENTINEL_RULE_APPROVAL] = &policy_rule_approval,
};

const policy_rule *policy_rule_of(uint8_t kind) {
    return kind < SENTINEL_RULE_NUMBERS ? rules[kind] : NULL;
}

void sentinel_decision_refuse(sentinel_decision *decision, sentinel_reason reason) {
    if (reason == SENTINEL_REASON_NONE) {
        return;
    }
    unsigned number = (unsigned)reason;
    if (number < 128) {
        decision->reasons[number / 64] |= UINT64_C(1) << (number % 64);
    }
    if (decision->reason == SENTINEL_REASON_NONE || number < decision->reason) {
        decision->reason = (uint16_t)number;
    }
    decision->verdict = SENTINEL_DENIED;
}

/* Appends a result, and gives the place where it stands. A chain has at most
 * SENTINEL_CHAIN_CONSTRAINTS_MAX constraints (checked with the bundle), so
 * that these and the two implicit results always fit. */
static sentinel_result *add_result(sentinel_decision *decision, uint32_t rule, unsigned kind,
                                   uint8_t level) {
    decision->retry_at_ns[decision->result_count] = 0;
    sentinel_result *result = &decision->results[decision->result_count++];
    *result = (sentinel_result){.rule = rule, .kind = (uint8_t)kind, .level = level};
    return result;
}

/* The nodes from the firm to an agent; gives their number. */
static unsigned chain_of(const sentinel_bundle *bundle, uint32_t agent,
                         uint32_t chain[SENTINEL_DEPTH_MAX]) {
    unsigned length = bundle->nodes[agent].depth + 1u;
    uint32_t node = agent;
    for (unsigned i = length; i > 0; i--) {
        chain[i - 1] = node;
        node = bundle->nodes[node].parent;
    }
    return length;
}

static void judge(policy_turn *turn, uint32_t row, sentinel_decision *decision) {
    const sentinel_constraint *constraint = &turn->view->bundle.constraints[row];
    const policy_rule *rule = rules[constraint->kind];
    if ((constraint->actions & turn->actions) == 0 || (constraint->venues & turn->venue) == 0 ||
        (constraint->instrument != 0 && constraint->instrument != turn->instrument) ||
        (rule->actions & turn->actions) == 0) {
        return;
    }
    sentinel_result *result = add_result(decision, row, constraint->kind, turn->depth);
    result->bound = constraint->bound;
    turn->kinds |= POLICY_BIT(constraint->kind);
    if (rule->window != NULL) {
        turn->window = state_window(turn->view, row, rule->window, turn->subject->node);
    }
    result->result = SENTINEL_PASS; /* until the rule says otherwise */
    sentinel_reason reason = rule->evaluate(turn, constraint, result);
    if (reason != SENTINEL_REASON_NONE) {
        result->result = SENTINEL_FAIL;
        sentinel_decision_refuse(decision, reason);
        decision->retry_at_ns[result - decision->results] = turn->retry_at_ns;
        turn->retry_at_ns = 0;
    }
}

/* Nothing is allowed unless something grants it. */
static void judge_grants(const policy_turn *turn, sentinel_decision *decision) {
    sentinel_result *result;
    if ((turn->kinds & POLICY_BIT(SENTINEL_RULE_ACTIONS)) == 0) {
        result = add_result(decision, SENTINEL_RULE_IMPLICIT, SENTINEL_RULE_ACTIONS, turn->depth);
        result->value = turn->subject->action;
    } else if ((turn->actions & POLICY_MOVES_OUT) != 0 &&
               (turn->kinds & POLICY_BIT(SENTINEL_RULE_DESTINATIONS)) == 0) {
        result =
            add_result(decision, SENTINEL_RULE_IMPLICIT, SENTINEL_RULE_DESTINATIONS, turn->depth);
        result->bound = 1;
    } else {
        return;
    }
    result->result = SENTINEL_FAIL;
    sentinel_decision_refuse(decision, SENTINEL_REASON_NO_GRANT);
}

/* What nothing refused may still be for people to allow. */
static void judge_waits(policy_turn *turn, sentinel_decision *decision) {
    const sentinel_policy *policy = turn->view->bundle.policy;
    if (decision->verdict != SENTINEL_ALLOWED) {
        return;
    }
    if (policy->oversight[turn->subject->action] == SENTINEL_OVERSIGHT_APPROVE) {
        policy_judge_oversight(
            turn, add_result(decision, SENTINEL_RULE_IMPLICIT, SENTINEL_RULE_APPROVAL, 0));
    }
    if (turn->quorum != 0) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_APPROVAL);
        decision->verdict = SENTINEL_PENDING;
        decision->quorum = turn->quorum;
        decision->time_to_live_ns = turn->time_to_live_ns;
    }
}

/* Where the order sends funds, if it does. */
static void find_destination(policy_turn *turn) {
    const sentinel_subject *subject = turn->subject;
    if (subject->action == SENTINEL_ACTION_WITHDRAW) {
        const sentinel_order_withdraw *order = &subject->order->withdraw;
        turn->address = order->address;
        turn->address_size = order->address_size;
        turn->memo = order->memo;
        turn->memo_size = order->memo_size;
        turn->network = order->network;
        turn->actions |= POLICY_MOVES_OUT;
    } else if (subject->action == SENTINEL_ACTION_TRANSFER &&
               subject->order->transfer.destination_size != 0) {
        turn->address = subject->order->transfer.destination;
        turn->address_size = subject->order->transfer.destination_size;
        turn->memo = turn->address;
        turn->actions |= POLICY_MOVES_OUT;
    }
}

/* What the gate has seen to, and another caller may not have. */
static sentinel_reason subject_check(const sentinel_view *view, const sentinel_subject *subject,
                                     int64_t now_ns) {
    if (now_ns < 0) {
        return SENTINEL_REASON_CLOCK;
    }
    if (subject->action == 0 || subject->action >= SENTINEL_ACTION_COUNT) {
        return SENTINEL_REASON_ORDER_ACTION;
    }
    if (subject->node >= view->bundle.node_count ||
        view->bundle.nodes[subject->node].kind != SENTINEL_NODE_AGENT) {
        return SENTINEL_REASON_AGENT_UNKNOWN;
    }
    return subject->venue < SENTINEL_VENUE_COUNT ? SENTINEL_REASON_NONE
                                                 : SENTINEL_REASON_VENUE_UNKNOWN;
}

void sentinel_policy_evaluate(sentinel_decision *decision, const sentinel_view *view,
                              const sentinel_subject *subject, int64_t now_ns) {
    /* Results are set as they are added; clearing them all would cost more
     * than judging a dozen constraints. */
    memset(decision, 0, offsetof(sentinel_decision, results));
    decision->verdict = SENTINEL_ALLOWED;
    decision->value_micro_usd = -1;
    sentinel_reason reason = subject_check(view, subject, now_ns);
    if (reason != SENTINEL_REASON_NONE) {
        sentinel_decision_refuse(decision, reason);
        return;
    }
    policy_turn turn = {
        .view = view,
        .subject = subject,
        .now_ns = now_ns,
        .actions = POLICY_BIT(subject->action),
        .venue = POLICY_BIT(subject->venue),
        .instrument = subject->instrument != NULL ? subject->instrument->id : 0,
    };
    find_destination(&turn);
    uint32_t chain[SENTINEL_DEPTH_MAX];
    unsigned length = chain_of(&view->bundle, subject->node, chain);
    sentinel_result *stops = add_result(decision, SENTINEL_RULE_IMPLICIT, SENTINEL_RULE_KILL_SWITCH,
                                        (uint8_t)(length - 1));
    stops->result = SENTINEL_PASS;
    /* Nearly always everything runs, and an order names no parent. */
    if ((view->state->stopped | subject->parent) != 0) {
        policy_judge_stops(&turn, chain, length, decision, stops);
    }
    for (unsigned i = 0; i < length; i++) {
        const sentinel_node *node = &view->bundle.nodes[chain[i]];
        turn.depth = node->depth;
        for (uint32_t k = 0; k < node->constraint_count; k++) {
            judge(&turn, node->constraint_first + k, decision);
        }
    }
    judge_grants(&turn, decision);
    judge_waits(&turn, decision);
    if (turn.value_known && turn.value_reason == SENTINEL_REASON_NONE) {
        decision->value_micro_usd = turn.value;
    }
}

/* Out of line, so that orders, which send nothing, have a short way. */
__attribute__((noinline)) static void keep_destination(const sentinel_view *view,
                                                       const sentinel_subject *subject) {
    policy_turn turn = {.view = view, .subject = subject};
    find_destination(&turn);
    if (turn.actions != 0) {
        policy_keep_destination(&turn);
    }
}

void sentinel_policy_debit(const sentinel_view *view, const sentinel_subject *subject,
                           const sentinel_decision *decision, int64_t now_ns) {
    if (decision->verdict != SENTINEL_ALLOWED) {
        return;
    }
    for (uint32_t i = 0; i < decision->result_count; i++) {
        uint32_t row = decision->results[i].rule;
        if (row >= view->bundle.constraint_count) {
            continue; /* implicit: no row, no window */
        }
        const sentinel_constraint *constraint = &view->bundle.constraints[row];
        const policy_window *window = rules[constraint->kind]->window;
        if (window != NULL) {
            window->debit(state_window(view, row, window, subject->node), constraint,
                          decision->value_micro_usd, now_ns);
        }
    }
    if ((POLICY_BIT(subject->action) & POLICY_FUNDS) != 0) {
        keep_destination(view, subject);
    }
}

void sentinel_policy_count(const sentinel_view *view, uint64_t orders, int64_t value_micro_usd,
                           int64_t now_ns) {
    for (uint32_t i = 0; i < view->bundle.constraint_count; i++) {
        const sentinel_constraint *constraint = &view->bundle.constraints[i];
        const policy_window *window = rules[constraint->kind]->window;
        if (window == NULL) {
            continue;
        }
        /* A rate has no use for more than its bound; a sum is charged once. */
        uint64_t most = constraint->kind != SENTINEL_RULE_RATE_LIMIT ? 1
                        : orders < (uint64_t)constraint->bound       ? orders
                                                                     : (uint64_t)constraint->bound;
        uint8_t *at = state_at(view, view->window_offsets[i]);
        for (uint64_t k = state_window_count(view, i, window); k > 0; k--) {
            for (uint64_t n = 0; n < most; n++) {
                window->debit(at, constraint, value_micro_usd, now_ns);
            }
            at += window->bytes(constraint);
        }
    }
}
