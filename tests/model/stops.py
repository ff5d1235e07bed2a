"""Stops, as docs/2-policy.md has them: "Stops", "Who stops, and who lifts", "A new version"."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from tests.model import reports
from tests.model.names import Action, Cause, Contract, Position, Reason, Scope, Venue

if TYPE_CHECKING:
    from tests.model.reports import Positions
    from tests.model.tables import Instrument, Policy
    from tests.model.value import Subject


class Mode(IntEnum):
    RUNNING = 0
    DRAINING = 1
    HALTED = 2


class Stop(NamedTuple):
    mode: Mode = Mode.RUNNING
    until: int = 0  # DRAINING: 0 for no end
    record: int = 0
    since: int = 0
    cause: Cause = Cause.OPERATOR


RUNNING = Stop(cause=Cause.NONE)
Place = tuple[int, int]  # scope, and id or number
Stops = dict[Place, Stop]  # what is not in it runs
Market = tuple[int, int, str]
LOWER_RISK = (Action.CANCEL, Action.CANCEL_ALL, Action.QUERY)


def mode_at(stop: Stop, now: int) -> Mode:
    ended = stop.mode == Mode.DRAINING and 0 < stop.until <= now
    return Mode.HALTED if ended else stop.mode


def strictness(stop: Stop, now: int) -> tuple[int, float]:
    """Greater is stricter: the mode that counts; of drains, the one that ends earlier."""
    mode = mode_at(stop, now)
    if mode != Mode.DRAINING:
        return mode, 0
    return mode, -stop.until if stop.until else float("-inf")


def lowers_risk(positions: Positions, subject: Subject) -> bool:
    if subject.action != Action.PLACE:
        return subject.action in LOWER_RISK
    return (
        subject.reduce_only == 1
        and subject.instrument is not None
        and subject.instrument.contract in (Contract.LINEAR, Contract.INVERSE)
        and subject.position_side in (0, Position.BOTH)
        and reports.closes(
            positions.get(subject.instrument.id, reports.NOTHING), subject.side, subject.quantity
        )
    )


def touched(policy: Policy, subject: Subject) -> Iterator[tuple[Place, Reason]]:
    """The chain from the firm, the rest of those of the lineage, then venue and instrument."""
    agents = (subject.agent, *subject.lineage)
    rows = dict.fromkeys(row for agent in agents for row in policy.chains[agent])
    for row in rows:
        yield (Scope.NODE, policy.nodes[row].id), Reason.KILL_SWITCH
    if subject.venue != Venue.NONE:
        yield (Scope.VENUE, int(subject.venue)), Reason.VENUE_HALTED
    if subject.instrument is not None:
        yield (Scope.INSTRUMENT, subject.instrument.id), Reason.INSTRUMENT_HALTED


def judge(
    policy: Policy, stops: Stops, positions: Positions, subject: Subject, now: int
) -> tuple[int, int, set[Reason]]:
    """How many stop the order, the depth of the first node that does, and why."""
    through = (Mode.RUNNING, Mode.DRAINING) if lowers_risk(positions, subject) else (Mode.RUNNING,)
    count, level = 0, len(policy.chains[subject.agent]) - 1
    halted: set[Reason] = set()
    for depth, (place, reason) in enumerate(touched(policy, subject)):
        mode = mode_at(stops.get(place, RUNNING), now)
        if mode in through:
            continue
        if count == 0 and place[0] == Scope.NODE and depth <= level:
            level = depth
        count += 1
        if mode == Mode.HALTED:
            halted.add(reason)
    return count, level, halted or ({Reason.DRAINING} if count else set())


def exists(policy: Policy, place: Place) -> bool:
    scope, number = place
    if scope == Scope.VENUE:
        return number != Venue.NONE and number in set(Venue)
    return number in (policy.index_of if scope == Scope.NODE else policy.instrument_of)


def put(stops: Stops, place: Place, stop: Stop) -> None:
    stops.pop(place, None)
    if stop.mode != Mode.RUNNING:
        stops[place] = stop


# ---- A new version --------------------------------------------------------


def strictest(policy: Policy, stops: Stops, agent: int, now: int) -> tuple[int, float]:
    chain = [policy.nodes[row].id for row in policy.chains[agent]]
    return max(strictness(stops.get((Scope.NODE, node), RUNNING), now) for node in chain)


def market(row: Instrument | None) -> Market | None:
    if row is None:
        return None
    if row.venue == Venue.HYPERLIQUID:
        return row.venue, row.venue_index, ""
    return row.venue, row.contract, row.symbol


def are_kept(old: Policy, stops: Stops, new: Policy, now: int) -> bool:
    kinds = {node.id: node.kind for node in new.nodes}
    if any(kinds.get(n.id) != n.kind for n in old.nodes if (Scope.NODE, n.id) in stops):
        return False
    for row in old.instruments:
        if (Scope.INSTRUMENT, row.id) not in stops:
            continue
        if market(new.instrument_of.get(row.id)) != market(row):
            return False
        for other in new.instruments:
            was = market(old.instrument_of.get(other.id))
            if market(other) == market(row) != was:
                return False
    both = old.chains.keys() & new.chains.keys()
    return all(strictest(new, stops, a, now) >= strictest(old, stops, a, now) for a in both)
