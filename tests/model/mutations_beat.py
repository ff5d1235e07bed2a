"""Mistakes in who must beat, what is overdue, and what begins anew."""

from __future__ import annotations

from tests.model.mutation import gate, policy

BEATS = (
    policy(
        "a heartbeat may be a nanosecond too old",
        "policy_beat.c",
        "if (result->value > constraint->window_ns) {",
        "if (result->value > constraint->window_ns + 1) {",
    ),
    policy(
        "a heartbeat of the bound's age is too old",
        "policy_beat.c",
        "if (result->value > constraint->window_ns) {",
        "if (result->value >= constraint->window_ns) {",
    ),
    policy(
        "an iteration runs a nanosecond too long",
        "policy_beat.c",
        "constraint->bound != 0 && running > constraint->bound",
        "constraint->bound != 0 && running > constraint->bound + 1",
    ),
    policy(
        "a heartbeat need not tell of progress",
        "policy_beat.c",
        "constraint->bound != 0 && running > constraint->bound",
        "0",
    ),
    policy(
        "an agent that never beat passes",
        "policy_beat.c",
        "reason = policy_unmeasured(result, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_HEARTBEAT);",
        "(void)policy_unmeasured(result, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_HEARTBEAT);",
    ),
    policy(
        "a drain by heartbeat holds what lowers risk",
        "policy_beat.c",
        "return passes ? SENTINEL_REASON_NONE : reason;",
        "return reason;",
    ),
    policy(
        "a halt by heartbeat lets through what lowers risk",
        "policy_beat.c",
        "mode_of(constraint) == SENTINEL_DRAINING && policy_lowers_risk(turn)",
        "policy_lowers_risk(turn)",
    ),
    policy(
        "a heartbeat is a matter of orders alone",
        "policy_beat.c",
        ".actions = POLICY_ALL_ACTIONS,",
        ".actions = POLICY_ORDERS,",
    ),
    gate(
        "an iteration begins anew while its count stands",
        "policy_beat.c",
        "stands ? agent->running_since_ns : beat->running_since_ns",
        "beat->running_since_ns",
    ),
    gate(
        "an agent is overdue a nanosecond late",
        "policy_beat.c",
        "if (strict->now_ns > end &&",
        "if (strict->now_ns > end + 1 &&",
    ),
    gate(
        "of two rules the later one stops",
        "policy_beat.c",
        "(first->deadline_ns == 0 || end < first->deadline_ns)",
        "(first->deadline_ns == 0 || end > first->deadline_ns)",
    ),
    gate(
        "the first rule that is broken counts, not the strictest",
        "policy_beat.c",
        "(mode > strict->mode || sooner)",
        "overdue->rule == NULL",
    ),
    gate(
        "what is halted from above is stopped too",
        "policy_beat.c",
        "sentinel_stop_mode(sentinel_view_node(view, above), now_ns) == SENTINEL_HALTED",
        "0",
    ),
    gate(
        "silence is told as a hanging loop",
        "policy_beat.c",
        "*cause = progress < silence ?",
        "*cause = progress <= INT64_MAX ?",
    ),
    gate(
        "the agent's own order does not look",
        "gate.c",
        "    if (!c->stopped) {\n        sentinel_status",
        "    if (0) {\n        sentinel_status",
    ),
    gate(
        "an order that the control page stops looks",
        "gate.c",
        "    c->stopped = (uint8_t)control_stops(context);\n",
        "",
    ),
    gate(
        "the tick looks at no agent",
        "gate_beat.c",
        "if (agent == NULL || agent->beat_deadline_ns == 0) {",
        "if (1) {",
    ),
    gate(
        "the tick forgets who is due next",
        "gate_beat.c",
        "if (agent->beat_deadline_ns != 0 && agent->beat_deadline_ns < context->beats_due_ns) {",
        "if (0) {",
    ),
    gate(
        "a late heartbeat undoes the silence",
        "gate_beat.c",
        "if (frame->header->issued_ns > agent->beat_deadline_ns) {",
        "if (0) {",
    ),
    gate(
        "any agent's key beats for any agent",
        "gate_beat.c",
        "rows[i].id == proof.key && rows[i].node == agent",
        "rows[i].id == proof.key",
    ),
    gate(
        "a heartbeat may be of the future",
        "gate_beat.c",
        "beat->running_since_ns > issued_ns",
        "0",
    ),
    gate(
        "a heartbeat is taken twice",
        "gate_beat.c",
        "agent != NULL ? agent->beat_sequence : 0,",
        "0,",
    ),
    gate(
        "a resume leaves the old beats",
        "gate_command.c",
        "!tightens);\n    }",
        "0);\n    }",
    ),
    gate(
        "a resume of an agent clears every agent's beats",
        "gate_beat.c",
        "is_below(&view->bundle, i, above)",
        "1",
    ),
    gate(
        "a start leaves the old beats",
        "gate_context.c",
        "gate_beats_changed(context, 0, 1);",
        "",
    ),
    gate(
        "a version forgets its deadlines",
        "state_carry.c",
        "policy_beat_settle(view, i); /* the rules may be others */",
        "",
    ),
    gate(
        "an engine that halted itself looks after its agents",
        "gate_beat.c",
        "view == NULL || view->state->halted != 0 || node >=",
        "view == NULL || node >=",
    ),
    gate(
        "a lease lasts a nanosecond longer",
        "gate.c",
        "c->now_ns >= gate_state(context)->lease_until_ns",
        "c->now_ns > gate_state(context)->lease_until_ns",
    ),
    gate(
        "a policy that asks for a lease signs without",
        "gate.c",
        "gate_view(context)->bundle.policy->lease_ns > 0 &&",
        "0 &&",
    ),
    gate(
        "a lease may be as long as its operator likes",
        "gate_command.c",
        "command->until_ns <= now_ns || command->until_ns > lease_most(policy, now_ns)",
        "command->until_ns <= now_ns",
    ),
    gate(
        "a lease that is over counts",
        "gate_command.c",
        "command->until_ns <= now_ns || command->until_ns > lease_most",
        "command->until_ns > lease_most",
    ),
    gate(
        "a version leaves the lease as long as it was",
        "gate_take.c",
        "    cap_lease(state, fresh->bundle.policy->lease_ns);\n",
        "",
    ),
    gate(
        "a lease is of anything",
        "gate_command.c",
        "command->scope != SENTINEL_SCOPE_ENGINE || command->target != 0 ||",
        "",
    ),
    gate(
        "a lease takes as many as a resume",
        "gate_command.c",
        "tightens || leases ? 1 : 0",
        "tightens ? 1 : 0",
    ),
)
