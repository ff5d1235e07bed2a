/* Heartbeats: an agent that fell silent, or whose iteration runs for too long
 * (docs/2-policy.md, "Heartbeats"). */
#include "state_internal.h"

static uint8_t mode_of(const sentinel_constraint *row) {
    return row->mask == POLICY_BIT(SENTINEL_DRAINING) ? SENTINEL_DRAINING : SENTINEL_HALTED;
}

static int64_t end_of(int64_t since_ns, int64_t span_ns) {
    return span_ns > INT64_MAX - since_ns ? INT64_MAX : since_ns + span_ns;
}

/* The last time at which an agent that has beaten still keeps to a rule. */
static int64_t kept_until(const sentinel_agent_state *agent, const sentinel_constraint *row,
                          uint8_t *cause) {
    int64_t silence = end_of(agent->beat_ns, row->window_ns);
    int64_t progress = row->bound != 0 && agent->running_since_ns != 0
                           ? end_of(agent->running_since_ns, row->bound)
                           : INT64_MAX;
    *cause = progress < silence ? SENTINEL_CAUSE_PROGRESS : SENTINEL_CAUSE_HEARTBEAT;
    return progress < silence ? progress : silence;
}

/* Calls `see` with every heartbeat rule above an agent, its own node first. */
typedef void see_rule(void *found, const sentinel_agent_state *agent,
                      const sentinel_constraint *row);
static void each_rule(const sentinel_view *view, uint32_t node, see_rule *see, void *found) {
    const sentinel_agent_state *agent = sentinel_view_agent(view, node);
    for (unsigned i = view->bundle.nodes[node].depth + 1u; i > 0; i--) {
        const sentinel_node *row = &view->bundle.nodes[node];
        for (uint32_t k = 0; k < row->constraint_count; k++) {
            const sentinel_constraint *rule = &view->bundle.constraints[row->constraint_first + k];
            if (rule->kind == SENTINEL_RULE_HEARTBEAT) {
                see(found, agent, rule);
            }
        }
        node = row->parent;
    }
}

typedef struct earliest {
    int64_t deadline_ns;
    uint8_t mode; /* of the agent: rules that lead to no more do not count */
} earliest;

static void see_earliest(void *found, const sentinel_agent_state *agent,
                         const sentinel_constraint *row) {
    earliest *first = found;
    uint8_t cause;
    int64_t end = kept_until(agent, row, &cause);
    if (mode_of(row) > first->mode && (first->deadline_ns == 0 || end < first->deadline_ns)) {
        first->deadline_ns = end;
    }
}

int64_t policy_beat_deadline(const sentinel_view *view, uint32_t node) {
    const sentinel_agent_state *agent = sentinel_view_agent(view, node);
    if (agent == NULL || agent->beat_ns == 0) {
        return 0;
    }
    earliest first = {.mode = sentinel_view_node(view, node)->mode};
    each_rule(view, node, see_earliest, &first);
    return first.deadline_ns;
}

void policy_beat_settle(const sentinel_view *view, uint32_t node) {
    sentinel_agent_state *agent = sentinel_view_agent(view, node);
    if (agent != NULL) {
        agent->beat_deadline_ns = policy_beat_deadline(view, node);
    }
}

void policy_beat_clear(const sentinel_view *view, uint32_t node) {
    sentinel_agent_state *agent = sentinel_view_agent(view, node);
    if (agent != NULL) { /* but not the sequence: old heartbeats stay old */
        agent->beat_ns = 0;
        agent->iterations = 0;
        agent->running_since_ns = 0;
        agent->beat_deadline_ns = 0;
    }
}

void policy_beat_take(const sentinel_view *view, uint32_t node, const sentinel_heartbeat *beat,
                      uint64_t sequence, int64_t issued_ns) {
    sentinel_agent_state *agent = sentinel_view_agent(view, node);
    /* While the count stands still, so does the iteration: it neither began
     * later than it was told to, nor ended; and it ran when this was issued,
     * which may be before the last one was. */
    int stands = agent->beat_ns != 0 && agent->running_since_ns != 0 &&
                 agent->iterations == beat->iterations;
    agent->beat_sequence = sequence;
    agent->beat_ns = issued_ns;
    agent->iterations = beat->iterations;
    agent->running_since_ns = stands ? agent->running_since_ns : beat->running_since_ns;
    if (agent->running_since_ns > issued_ns) {
        agent->running_since_ns = issued_ns;
    }
    policy_beat_settle(view, node);
}

typedef struct strictest {
    policy_overdue *overdue;
    int64_t now_ns;
    uint8_t mode; /* that there is, or that a rule above leads to */
} strictest;

/* Of those that are broken: the strictest, then the one that was first. */
static void see_strictest(void *found, const sentinel_agent_state *agent,
                          const sentinel_constraint *row) {
    strictest *strict = found;
    policy_overdue *overdue = strict->overdue;
    uint8_t cause;
    int64_t end = kept_until(agent, row, &cause);
    uint8_t mode = mode_of(row);
    int sooner = overdue->rule != NULL && mode == overdue->mode && end < overdue->deadline_ns;
    if (strict->now_ns > end && (mode > strict->mode || sooner)) {
        strict->mode = mode;
        *overdue = (policy_overdue){.rule = row, .deadline_ns = end, .mode = mode, .cause = cause};
    }
}

int policy_beat_overdue(policy_overdue *overdue, const sentinel_view *view, uint32_t node,
                        int64_t now_ns) {
    *overdue = (policy_overdue){.rule = NULL};
    const sentinel_agent_state *agent = sentinel_view_agent(view, node);
    if (agent == NULL || agent->beat_deadline_ns == 0 || now_ns <= agent->beat_deadline_ns) {
        return 0;
    }
    /* What is halted anyway, by itself or from above, needs no other stop. */
    uint32_t above = node;
    for (unsigned i = view->bundle.nodes[node].depth + 1u; i > 0; i--) {
        if (sentinel_stop_mode(sentinel_view_node(view, above), now_ns) == SENTINEL_HALTED) {
            return 0;
        }
        above = view->bundle.nodes[above].parent;
    }
    strictest strict = {
        .overdue = overdue, .now_ns = now_ns, .mode = sentinel_view_node(view, node)->mode};
    each_rule(view, node, see_strictest, &strict);
    return overdue->rule != NULL;
}

static sentinel_reason judge_beat(policy_turn *turn, const sentinel_constraint *constraint,
                                  sentinel_result *result) {
    const sentinel_agent_state *agent = sentinel_view_agent(turn->view, turn->subject->node);
    /* Where the rule drains, what lowers risk passes all the same. */
    int passes = mode_of(constraint) == SENTINEL_DRAINING && policy_lowers_risk(turn);
    sentinel_reason reason = SENTINEL_REASON_NONE;
    result->bound = constraint->window_ns;
    if (agent->beat_ns == 0) {
        reason = policy_unmeasured(result, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_HEARTBEAT);
    } else {
        int64_t running = agent->running_since_ns != 0 ? turn->now_ns - agent->running_since_ns : 0;
        result->value = turn->now_ns > agent->beat_ns ? turn->now_ns - agent->beat_ns : 0;
        if (result->value > constraint->window_ns) {
            reason = SENTINEL_REASON_HEARTBEAT;
        } else if (constraint->bound != 0 && running > constraint->bound) {
            result->value = running;
            result->bound = constraint->bound;
            reason = SENTINEL_REASON_PROGRESS;
        }
    }
    return passes ? SENTINEL_REASON_NONE : reason;
}

/* One of the two modes. */
static sentinel_status check_beat(const sentinel_constraint *constraint) {
    return constraint->mask == POLICY_BIT(SENTINEL_DRAINING) ||
                   constraint->mask == POLICY_BIT(SENTINEL_HALTED)
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

const policy_rule policy_rule_heartbeat = {
    .name = "heartbeat",
    .actions = POLICY_ALL_ACTIONS,
    .fields = POLICY_FIELD_MASK | POLICY_FIELD_BOUND | POLICY_FIELD_WINDOW,
    .mask_bits = POLICY_BIT(SENTINEL_DRAINING) | POLICY_BIT(SENTINEL_HALTED),
    .bound_max = INT64_MAX,
    .evaluate = judge_beat,
    .check = check_beat,
};
