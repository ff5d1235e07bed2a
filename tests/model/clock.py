"""The log's time: what ends by it, and how it is set back (docs/2-policy.md, "The clock" ff.)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model import stops
from tests.model.names import (
    FORMAT_RANGE,
    POLICY_CLOCK,
    POLICY_LEASE,
    POLICY_SCOPE,
    POLICY_SIGNATURE,
    Scope,
    Verb,
)
from tests.model.stops import Mode

if TYPE_CHECKING:
    from tests.model.gate import Gate


def is_early(gate: Gate, now: int) -> bool:
    """Whether the log is ahead by more than the tolerance: then only people are heard."""
    tolerance = gate.policy.clock_tolerance_ns if gate.policy is not None else 0
    return now < gate.state.last_now - tolerance


def refuse_early(gate: Gate, now: int) -> int:
    gate.record(gate.clock(now))
    return POLICY_CLOCK


def lease(gate: Gate, scope: int, target: int, until: int, now: int) -> int:
    """The status of a lease that an operator signed."""
    assert gate.policy is not None
    if scope != Scope.ENGINE or target or until <= 0:
        return FORMAT_RANGE
    if not gate.policy.lease_ns or not now < until <= now + gate.policy.lease_ns:
        return POLICY_LEASE
    gate.lease_until = until
    return 0


def sets(verb: int, place: stops.Place, until: int) -> bool:
    return verb == Verb.RESUME and place[0] == Scope.NODE and until > 0


def set_back(gate: Gate, place: stops.Place, before: int, operators: int, now: int) -> int:
    """The status of a resume that names the log's time, at the time that it is handed in."""
    held = gate.clock(now)
    gate.flush(held)
    status = judge(gate, place, before, operators, now)
    if status:
        gate.record(held)
        return status
    gate.record(now, rests=True)
    for where, stop in list(gate.state.stops.items()):
        if stops.mode_at(stop, before) == Mode.HALTED:
            gate.state.stops[where] = stop._replace(mode=Mode.HALTED, until=0)
    for row in gate.requests.rows:
        row.expires = ended(row.expires, before, now)
    gate.lease_until = ended(gate.lease_until, before, now)
    for agent in (*gate.agents.values(), gate.strangers):
        agent.since = min(agent.since, now)
    stops.put(gate.state.stops, place, stops.RUNNING)
    gate.forget_beats(place[1])
    gate.halted = 0
    return 0


def ended(end: int, before: int, now: int) -> int:
    """An end that the log had reached has come."""
    return min(end, now) if end <= before else end


def judge(gate: Gate, place: stops.Place, before: int, operators: int, now: int) -> int:
    assert gate.policy is not None
    if operators < 2:
        return POLICY_SIGNATURE
    if not stops.exists(gate.policy, place):
        return POLICY_SCOPE
    if place[1] != gate.policy.nodes[0].id:
        return FORMAT_RANGE
    last = gate.state.last_now
    return 0 if before == last and gate.relied <= now < last else POLICY_CLOCK
