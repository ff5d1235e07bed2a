/* Orders that wait for people (docs/2-policy.md, "Approvals"): which ones ask,
 * and where funds were sent before. */
#include "policy_rules.h"

static void wait(policy_turn *turn, sentinel_result *result, uint8_t quorum, int64_t time_to_live) {
    result->result = SENTINEL_WAIT;
    if (turn->quorum == 0 || time_to_live < turn->time_to_live_ns) {
        turn->time_to_live_ns = time_to_live;
    }
    turn->quorum = quorum > turn->quorum ? quorum : turn->quorum;
}

static sentinel_destination_state destination_of(const policy_turn *turn) {
    sentinel_destination_state row = {.venue = turn->subject->venue};
    sentinel_destination_digest(row.digest32, turn->network, turn->address, turn->address_size,
                                turn->memo, turn->memo_size);
    return row;
}

static int is_kept(const sentinel_state *state, const sentinel_destination_state *row) {
    for (uint32_t i = 0; i < SENTINEL_DESTINATIONS_KEPT && state->destinations[i].venue != 0; i++) {
        if (bytes_equal(&state->destinations[i], row, sizeof *row)) {
            return 1;
        }
    }
    return 0;
}

void policy_keep_destination(const policy_turn *turn) {
    sentinel_state *state = turn->view->state;
    sentinel_destination_state row = destination_of(turn);
    if (is_kept(state, &row)) {
        return;
    }
    state->destinations[state->destination_next] = row;
    state->destination_next = (state->destination_next + 1) % SENTINEL_DESTINATIONS_KEPT;
}

static sentinel_reason judge_approval(policy_turn *turn, const sentinel_constraint *constraint,
                                      sentinel_result *result) {
    int asks = constraint->mask == 0;
    if ((constraint->mask & SENTINEL_ASK_DESTINATION) != 0 &&
        (turn->actions & POLICY_MOVES_OUT) != 0) {
        sentinel_destination_state row = destination_of(turn);
        asks |= !is_kept(turn->view->state, &row);
    }
    if ((constraint->mask & SENTINEL_ASK_VALUE) == 0) {
        result->value = asks;
    } else if ((turn->actions & (POLICY_ORDERS | POLICY_FUNDS)) != 0) {
        sentinel_reason reason = policy_need_value(turn, result);
        if (reason != SENTINEL_REASON_NONE) {
            return reason;
        }
        result->value = turn->value;
        asks |= turn->value > constraint->bound;
    }
    if (asks) {
        wait(turn, result, constraint->quorum, constraint->window_ns);
    }
    return SENTINEL_REASON_NONE;
}

/* A bound means nothing where no value is asked about. */
static sentinel_status check_approval(const sentinel_constraint *constraint) {
    return (constraint->mask & SENTINEL_ASK_VALUE) != 0 || constraint->bound == 0
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RESERVED;
}

void policy_judge_oversight(policy_turn *turn, sentinel_result *result) {
    const sentinel_policy *policy = turn->view->bundle.policy;
    result->value = turn->subject->action;
    wait(turn, result, policy->approval_quorum, policy->approval_ns);
}

const policy_rule policy_rule_approval = {
    .name = "approval",
    .actions = POLICY_ALL_ACTIONS,
    .fields = POLICY_FIELD_MASK | POLICY_FIELD_BOUND | POLICY_FIELD_WINDOW | POLICY_FIELD_QUORUM,
    .mask_bits = SENTINEL_ASK_VALUE | SENTINEL_ASK_DESTINATION,
    .bound_max = INT64_MAX,
    .evaluate = judge_approval,
    .check = check_approval,
};
