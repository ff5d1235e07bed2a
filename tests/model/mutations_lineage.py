"""Mistakes in what an order follows from."""

from __future__ import annotations

from tests.model.mutation import gate

LINEAGE = (
    gate(
        "a lineage may have nine steps",
        "policy_stop.c",
        "if (i == SENTINEL_LINEAGE_MAX) {",
        "if (i == SENTINEL_LINEAGE_MAX + 1u) {",
    ),
    gate(
        "a lineage may have seven steps",
        "policy_stop.c",
        "if (i == SENTINEL_LINEAGE_MAX) {",
        "if (i == SENTINEL_LINEAGE_MAX - 1u) {",
    ),
    gate(
        "a lineage that is too long is cut off",
        "policy_stop.c",
        "return SENTINEL_REASON_LINEAGE;",
        "break;",
    ),
    gate(
        "a lineage ends at an agent that is gone",
        "policy_stop.c",
        "return SENTINEL_REASON_PARENT_UNKNOWN;",
        "break;",
    ),
    gate(
        "of a lineage, only the parent counts",
        "policy_stop.c",
        "step = policy_step_up(view, agent, step.slot);",
        "break;",
    ),
    gate(
        "a node counts for each agent of a lineage below it",
        "policy_stop.c",
        "met[length++] = node;",
        "",
    ),
    gate(
        "a lineage that cannot be known passes the kill switch",
        "policy_stop.c",
        "result->result = SENTINEL_FAIL;",
        "",
    ),
    gate(
        "a lineage goes on with the action that took the place of another",
        "policy_lineage.c",
        "agent->id_record[slot - 1u] < record;",
        "1;",
    ),
    gate(
        "a lineage goes on with an action that is not kept any more",
        "policy_lineage.c",
        "return (agent->id_seen >> back & 1) != 0 &&",
        "return 1 | (back != 0) &&",
    ),
    gate(
        "a lineage goes on with an action that was never signed",
        "policy_lineage.c",
        "(agent->id_seen >> back & 1) != 0;",
        "1;",
    ),
    gate(
        "an agent's own actions are steps of a lineage",
        "gate_resolve.c",
        "if (node == c->node) {",
        "if (0) {",
    ),
    gate(
        "a lineage is not kept",
        "gate.c",
        "agent->id_parent[id % SENTINEL_ID_WINDOW] = c->subject.parent;",
        "agent->id_parent[id % SENTINEL_ID_WINDOW] = 0;",
    ),
    gate(
        "of a lineage, the agent is kept and not the action",
        "gate.c",
        "agent->id_parent_slot[id % SENTINEL_ID_WINDOW] = c->subject.parent_slot;",
        "",
    ),
)
