/* What stops an order before any constraint: halts and drains of the nodes
 * above it, of its venue and of its instrument (docs/2-policy.md, "Stops"). */
#include "state_internal.h"

/* On the other side of the position that is known, and not larger: of none,
 * nothing is known. */
static int closes(const policy_turn *turn, const sentinel_subject *subject) {
    const sentinel_position_state *position =
        sentinel_view_position(turn->view, subject->instrument);
    uint8_t side = position->mantissa > 0 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY;
    if (position->mantissa == 0 || subject->side != side ||
        (subject->present & SENTINEL_PRESENT_QUANTITY) == 0) {
        return 0;
    }
    uint64_t held = (uint64_t)(position->mantissa < 0 ? -position->mantissa : position->mantissa);
    unsigned scale =
        subject->quantity.scale > position->scale ? subject->quantity.scale : position->scale;
    return math_at_scale(subject->quantity, scale) <= held * math_power(scale - position->scale);
}

/* What a drain lets through cannot add to what is at risk. Unknown is no: an
 * amend may enlarge, a timer may be disarmed, a spot order or an option has
 * nothing that every venue holds it to, and where long and short are kept
 * apart, a venue may not heed that an order only reduces. */
int policy_lowers_risk(const policy_turn *turn) {
    const sentinel_subject *subject = turn->subject;
    if (subject->action != SENTINEL_ACTION_PLACE) {
        return subject->action == SENTINEL_ACTION_CANCEL ||
               subject->action == SENTINEL_ACTION_CANCEL_ALL ||
               subject->action == SENTINEL_ACTION_QUERY;
    }
    if (subject->order == NULL || subject->instrument == NULL) {
        return 0;
    }
    const sentinel_order_place *place = &subject->order->place;
    uint8_t contract = subject->instrument->contract;
    return (subject->present & SENTINEL_PRESENT_REDUCE_ONLY) != 0 && place->reduce_only == 1 &&
           (contract == SENTINEL_CONTRACT_LINEAR || contract == SENTINEL_CONTRACT_INVERSE) &&
           (place->position_side == 0 || place->position_side == SENTINEL_POSITION_BOTH) &&
           closes(turn, subject);
}

/* How many of the things that the order touches refuse it. */
typedef struct stop_count {
    const policy_turn *turn;
    int64_t refused;
    int64_t drained; /* of those: by a drain */
} stop_count;

static int refuses(stop_count *count, const sentinel_stop_state *stop, sentinel_reason reason,
                   sentinel_decision *decision) {
    uint8_t mode = sentinel_stop_mode(stop, count->turn->now_ns);
    if (mode == SENTINEL_RUNNING ||
        (mode == SENTINEL_DRAINING && policy_lowers_risk(count->turn))) {
        return 0;
    }
    count->refused++;
    if (mode == SENTINEL_DRAINING) {
        count->drained++;
    } else {
        sentinel_decision_refuse(decision, reason);
    }
    return 1;
}

static int is_met(const uint32_t *met, unsigned count, uint32_t node) {
    unsigned i = 0;
    while (i < count && met[i] != node) {
        i++;
    }
    return i < count;
}

/* What stops an agent from whose action this one follows stops it, too. Each
 * node counts once, and what is above it was met with it. Gives why nobody can
 * say what stops it; NONE: all is known. */
static sentinel_reason judge_lineage(stop_count *count, const uint32_t *chain, unsigned length,
                                     sentinel_decision *decision) {
    const sentinel_view *view = count->turn->view;
    const sentinel_subject *subject = count->turn->subject;
    const sentinel_stop_state *nodes = sentinel_view_node(view, 0);
    uint32_t met[(SENTINEL_LINEAGE_MAX + 1u) * SENTINEL_DEPTH_MAX];
    memcpy(met, chain, length * sizeof *met);
    policy_step step = {subject->parent, subject->parent_slot};
    for (unsigned i = 0; step.agent != 0; i++) {
        uint32_t node = state_find_node(view, step.agent);
        const sentinel_agent_state *agent = sentinel_view_agent(view, node);
        if (agent == NULL || step.slot > SENTINEL_ID_WINDOW) {
            return SENTINEL_REASON_PARENT_UNKNOWN;
        }
        if (i == SENTINEL_LINEAGE_MAX) {
            return SENTINEL_REASON_LINEAGE;
        }
        while (!is_met(met, length, node)) {
            (void)refuses(count, &nodes[node], SENTINEL_REASON_KILL_SWITCH, decision);
            met[length++] = node;
            node = view->bundle.nodes[node].parent;
        }
        step = policy_step_up(view, agent, step.slot);
    }
    return SENTINEL_REASON_NONE;
}

/* Out of line, so that the usual case has a short way. */
__attribute__((noinline)) static void judge_stopped(const policy_turn *turn, const uint32_t *chain,
                                                    unsigned length, sentinel_decision *decision,
                                                    sentinel_result *result) {
    const sentinel_subject *subject = turn->subject;
    const sentinel_stop_state *nodes = sentinel_view_node(turn->view, 0);
    const sentinel_stop_state *venue = sentinel_view_venue(turn->view, subject->venue);
    stop_count count = {.turn = turn};
    unsigned first = length - 1;
    for (unsigned i = length; i > 0; i--) {
        if (refuses(&count, &nodes[chain[i - 1]], SENTINEL_REASON_KILL_SWITCH, decision)) {
            first = i - 1;
        }
    }
    sentinel_reason unknown = judge_lineage(&count, chain, length, decision);
    if (venue != NULL) {
        (void)refuses(&count, venue, SENTINEL_REASON_VENUE_HALTED, decision);
    }
    if (subject->instrument != NULL) {
        (void)refuses(&count, sentinel_view_instrument(turn->view, subject->instrument),
                      SENTINEL_REASON_INSTRUMENT_HALTED, decision);
    }
    if (count.refused != 0 && count.refused == count.drained) { /* nothing is halted */
        sentinel_decision_refuse(decision, SENTINEL_REASON_DRAINING);
    }
    result->level = (uint8_t)first;
    result->value = count.refused;
    result->result = count.refused == 0 ? SENTINEL_PASS : SENTINEL_FAIL;
    if (unknown != SENTINEL_REASON_NONE) {
        sentinel_decision_refuse(decision,
                                 policy_unmeasured(result, SENTINEL_RESULT_UNKNOWN, unknown));
        result->result = SENTINEL_FAIL;
    }
}

void policy_judge_stops(const policy_turn *turn, const uint32_t *chain, unsigned length,
                        sentinel_decision *decision, sentinel_result *result) {
    const sentinel_view *view = turn->view;
    const sentinel_instrument *instrument = turn->subject->instrument;
    const sentinel_stop_state *nodes = state_at(view, view->state->nodes);
    unsigned modes = view->state->venues[turn->subject->venue].mode; /* none: it always runs */
    for (unsigned i = 0; i < length; i++) {
        modes |= nodes[chain[i]].mode;
    }
    if (instrument != NULL) {
        const sentinel_stop_state *stops = state_at(view, view->state->instruments);
        modes |= stops[instrument - view->bundle.instruments].mode;
    }
    if (modes != SENTINEL_RUNNING || turn->subject->parent != 0) {
        judge_stopped(turn, chain, length, decision, result);
        return;
    }
    /* Nearly always everything runs. */
    result->level = (uint8_t)(length - 1);
    result->result = SENTINEL_PASS;
}
