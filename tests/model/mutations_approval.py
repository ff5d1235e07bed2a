"""Mistakes in approvals: who is asked, who answers, when it counts, and how often."""

from __future__ import annotations

from tests.model.mutation import gate, policy

APPROVALS = (
    policy(
        "an approval asks at its bound",
        "policy_approval.c",
        "turn->value > constraint->bound",
        "turn->value >= constraint->bound",
    ),
    policy(
        "an approval without a mask asks nobody",
        "policy_approval.c",
        "int asks = constraint->mask == 0;",
        "int asks = 0;",
    ),
    policy(
        "a destination of another venue is known",
        "policy_approval.c",
        "{.venue = turn->subject->venue}",
        "{.venue = 1}",
    ),
    policy(
        "no destination is remembered",
        "policy_approval.c",
        "    state->destinations[state->destination_next] = row;\n",
        "",
    ),
    policy(
        "the fewest approvers count",
        "policy_approval.c",
        "turn->quorum = quorum > turn->quorum ? quorum : turn->quorum;",
        "turn->quorum = quorum;",
    ),
    policy(
        "the longest time to live counts",
        "policy_approval.c",
        "time_to_live < turn->time_to_live_ns",
        "time_to_live > turn->time_to_live_ns",
    ),
    policy(
        "oversight is asked where something failed",
        "policy.c",
        "    if (decision->verdict != SENTINEL_ALLOWED) {\n        return;\n    }\n"
        "    if (policy->oversight",
        "    if (policy->oversight",
    ),
    gate(
        "a request lasts a nanosecond longer",
        "gate_approval.c",
        "now_ns >= row->expires_ns;",
        "now_ns > row->expires_ns;",
    ),
    gate(
        "one approver too few",
        "gate_approval.c",
        "c->waits = sentinel_gate_approvals(context, row, c->now_ns) < row->quorum;",
        "c->waits = sentinel_gate_approvals(context, row, c->now_ns) + 1 < row->quorum;",
    ),
    gate(
        "one approver twice",
        "gate_approval.c",
        "if (row->approvers[k] == proof.key) {",
        "if (0) {",
    ),
    gate(
        "an approver's key that expired counts",
        "gate_approval.c",
        "count += key != NULL && now_ns < key->expires_ns;",
        "count += key != NULL;",
    ),
    gate(
        "approvals outlive a new authority",
        "gate_approval.c",
        "        row->approver_count = count;\n",
        "        (void)count;\n",
    ),
    gate(
        "another person under the id counts",
        "gate_approval.c",
        "bytes_equal(was->public_key32, is->public_key32, 32)",
        "1",
    ),
    gate(
        "another order is signed under an approval",
        "gate_approval.c",
        "if (bytes_equal(digest32, row->order_digest32, 32)) {",
        "if (1) {",
    ),
    gate(
        "the id of a request is free for others",
        "gate_approval.c",
        "        sentinel_decision_refuse(decision, SENTINEL_REASON_DUPLICATE);\n",
        "",
    ),
    gate(
        "what was rejected goes on waiting",
        "gate_approval.c",
        "changed.status = SENTINEL_PENDING_REJECTED;",
        "(void)changed;",
    ),
    gate(
        "an answer may name any record",
        "gate_approval.c",
        "bytes_equal(row->record_hash32, command->record_hash32, 32)",
        "1",
    ),
    gate(
        "a policy that asks for more does not count",
        "gate_approval.c",
        "row != NULL && decision->quorum <= row->quorum",
        "row != NULL",
    ),
    gate(
        "an approved request stays",
        "gate.c",
        "        gate_approval_close(state, c->session->agent, c->order.header.action_id);\n",
        "",
    ),
    gate(
        "requests are no attempts",
        "gate.c",
        "if (status == SENTINEL_OK && !recorded) {\n            withhold",
        "if (0) {\n            withhold",
    ),
    gate(
        "what waits grows too old",
        "gate_approval.c",
        "return c->request != NULL && !is_over(c->request, c->now_ns);",
        "return 0;",
    ),
    gate(
        "a withdrawn request stays",
        "gate_approval.c",
        "    free_row(state, row);\n    return SENTINEL_OK;",
        "    return SENTINEL_OK;",
    ),
    gate(
        "what is over may be answered",
        "gate_approval.c",
        "return is_over(row, now_ns) ? NULL : row;",
        "return row;",
    ),
    gate(
        "enough approve, and one more",
        "gate_approval.c",
        "sentinel_gate_approvals(context, row, now_ns) >= row->quorum ||",
        "0 ||",
    ),
    gate(
        "a version forgets requests",
        "state_carry.c",
        "    state->pending_used = old->pending_used;\n",
        "",
    ),
)
