"""Mistakes in what is reported: fills, positions, and what closes under a drain."""

from __future__ import annotations

from tests.model.mutation import policy

REPORTS = (
    policy(
        "a close may be one larger than the position",
        "policy_stop.c",
        "math_at_scale(subject->quantity, scale) <= held * math_power(scale - position->scale)",
        "math_at_scale(subject->quantity, scale) <= held * math_power(scale - position->scale) + 1",
    ),
    policy(
        "a close and a position are compared digit by digit",
        "policy_stop.c",
        "held * math_power(scale - position->scale)",
        "held",
    ),
    policy(
        "a buy closes what is long",
        "policy_stop.c",
        "position->mantissa > 0 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY",
        "position->mantissa < 0 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY",
    ),
    policy(
        "a version may count a position otherwise",
        "state_carry.c",
        "one.mantissa == other.mantissa &&",
        "",
    ),
    policy(
        "a version may make a position another asset's",
        "state_carry.c",
        "a->base == b->base &&",
        "",
    ),
    policy(
        "a version forgets positions",
        "state_carry.c",
        "*sentinel_view_position(view, row) = *sentinel_view_position(old, from);",
        "",
    ),
)
