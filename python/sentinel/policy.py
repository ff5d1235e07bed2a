"""Policies: compile, read back, explain, compare, lint, configure.

>>> from sentinel.policy import check_policy, lint
>>> draft = check_policy("{version: 1, firm: {agents: {bot: {}}}}")
>>> [warning.code for warning in lint(draft)]
['agent-can-do-nothing']
"""

from __future__ import annotations

from ._policy_bundle import (
    Asset,
    Constraint,
    Instrument,
    Key,
    Network,
    Node,
    Policy,
    decode_policy,
)
from ._policy_draft import Draft
from ._policy_edit import configure_policy
from ._policy_explain import (
    Change,
    Explained,
    ExplainedKey,
    applies_text,
    bound_text,
    constraint_text,
    diff,
    explain,
    keys_of,
    value_text,
)
from ._policy_lint import Warning, lint
from .policy_compile import (
    INITIAL_POLICY,
    check_policy,
    compile_policy,
    constraint_id,
    encode_policy,
    schema,
    stable_id,
)

__all__ = [
    "INITIAL_POLICY",
    "Asset",
    "Change",
    "Constraint",
    "Draft",
    "Explained",
    "ExplainedKey",
    "Instrument",
    "Key",
    "Network",
    "Node",
    "Policy",
    "Warning",
    "applies_text",
    "bound_text",
    "check_policy",
    "compile_policy",
    "configure_policy",
    "constraint_id",
    "constraint_text",
    "decode_policy",
    "diff",
    "encode_policy",
    "explain",
    "keys_of",
    "lint",
    "schema",
    "stable_id",
    "value_text",
]
