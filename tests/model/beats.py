"""Heartbeats, as docs/2-policy.md has them: "Heartbeats"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.names import INT64_MAX, UNKNOWN, Cause, Kind, Reason, Scope
from tests.model.stops import RUNNING, Mode, Stops, mode_at
from tests.model.tables import Constraint, Policy


class Beat(NamedTuple):
    """The last heartbeat of an agent, as it counts."""

    issued: int
    iterations: int
    running: int  # since when an iteration runs; 0: none does


class Overdue(NamedTuple):
    mode: Mode
    deadline: int
    cause: Cause
    rule: int  # id


def taken(before: Beat | None, issued: int, iterations: int, running: int) -> Beat:
    """While the count is the same, so is the iteration."""
    if before is not None and before.running and before.iterations == iterations:
        running = min(before.running, issued)
    return Beat(issued, iterations, running)


def mode_of(rule: Constraint) -> Mode:
    return Mode.DRAINING if rule.mask == 1 << Mode.DRAINING else Mode.HALTED


def judge(
    rule: Constraint, beat: Beat | None, lowers_risk: bool, now: int
) -> tuple[bool, int, int, Reason, int]:
    """Passed, value, bound, reason of a FAIL, flags."""
    passes = lowers_risk and mode_of(rule) == Mode.DRAINING
    if beat is None:
        return passes, INT64_MAX, rule.window_ns, Reason.HEARTBEAT, UNKNOWN
    silence = max(0, now - beat.issued)
    if silence > rule.window_ns:
        return passes, silence, rule.window_ns, Reason.HEARTBEAT, 0
    if rule.bound and beat.running and now - beat.running > rule.bound:
        return passes, now - beat.running, rule.bound, Reason.PROGRESS, 0
    return True, silence, rule.window_ns, Reason.HEARTBEAT, 0


def rules(policy: Policy, agent: int) -> Iterator[Constraint]:
    """Those above an agent, its own first."""
    for node in reversed(policy.chains[agent]):
        for _, row in policy.rows_of.get(node, ()):
            if row.kind == Kind.HEARTBEAT:
                yield row


def ends(rule: Constraint, beat: Beat) -> tuple[int, Cause]:
    """The last time at which the rule is kept, and what breaks it then."""
    silence = beat.issued + rule.window_ns
    progress = beat.running + rule.bound if rule.bound and beat.running else silence
    return (progress, Cause.PROGRESS) if progress < silence else (silence, Cause.HEARTBEAT)


def stricter(policy: Policy, stops: Stops, agent: int) -> list[Constraint]:
    """The rules that would stop an agent further than it is."""
    own = stops.get((Scope.NODE, agent), RUNNING).mode
    return [rule for rule in rules(policy, agent) if mode_of(rule) > own]


def deadline(policy: Policy, stops: Stops, beat: Beat | None, agent: int) -> int:
    """As the core keeps it in the agent's state; 0: none."""
    if beat is None:
        return 0
    times = [ends(rule, beat)[0] for rule in stricter(policy, stops, agent)]
    return min(min(times, default=0), INT64_MAX)


def overdue(
    policy: Policy, stops: Stops, beat: Beat | None, agent: int, now: int
) -> Overdue | None:
    """What is to become of an agent that broke a rule."""
    chain = [policy.nodes[row].id for row in policy.chains[agent]]
    halted = any(
        mode_at(stops.get((Scope.NODE, node), RUNNING), now) == Mode.HALTED for node in chain
    )
    if beat is None or halted:
        return None
    broken = [
        Overdue(mode_of(rule), *ends(rule, beat), rule.id)
        for rule in stricter(policy, stops, agent)
        if now > ends(rule, beat)[0]
    ]
    return min(broken, key=lambda each: (-each.mode, each.deadline), default=None)
