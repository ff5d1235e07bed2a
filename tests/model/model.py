"""Deciding, as docs/2-policy.md has it: one order, one policy, one state, one time.

Exact integers; events are kept as lists; nothing is fast. Written from the page and the public
headers alone, so that a disagreement with the core is a mistake in one of the two or in the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model import beats, reports, stops
from tests.model.approvals import DESTINATIONS, Kept
from tests.model.names import (
    ASK_DESTINATION,
    ASK_VALUE,
    DAY_NS,
    FAIL,
    IMPLICIT,
    INT64_MAX,
    OVERSIGHT_APPROVE,
    PASS,
    SATURATED,
    UNKNOWN,
    WAIT,
    Action,
    Contract,
    Kind,
    MarkKind,
    Reason,
    Unit,
    Verdict,
)
from tests.model.tables import Constraint, Decimal, Destination, Policy
from tests.model.value import (
    FUNDS,
    Events,
    Mark,
    Overflow,
    State,
    Subject,
    Unvalued,
    WindowKey,
    at_most_int64,
    ceil_div,
    fresh,
    order_value,
    product,
)

ORDERS = {Action.PLACE, Action.AMEND}
AT_INSTRUMENTS = {
    Action.PLACE,
    Action.AMEND,
    Action.CANCEL,
    Action.CANCEL_ALL,
    Action.CANCEL_ALL_AFTER,
    Action.QUERY,
}
APPLIES_TO: dict[Kind, set[Action]] = {
    Kind.ACTIONS: set(Action),
    Kind.VENUES: set(Action),
    Kind.RATE_LIMIT: set(Action),
    Kind.HEARTBEAT: set(Action),
    Kind.INSTRUMENTS: AT_INSTRUMENTS,
    Kind.ORDER_TYPES: ORDERS,
    Kind.SIDES: ORDERS,
    Kind.TIMES_IN_FORCE: ORDERS,
    Kind.QUANTITY_CAP: ORDERS,
    Kind.PRICE_COLLAR: ORDERS,
    Kind.DESTINATIONS: FUNDS,
    Kind.SANCTIONS: FUNDS,
    Kind.VALUE_CAP: ORDERS | FUNDS,
    Kind.DAILY_LIMIT: ORDERS | FUNDS,
    Kind.ROLLING_CAP: ORDERS | FUNDS,
    Kind.APPROVAL: set(Action),
}
NEEDS_VALUE = {Kind.VALUE_CAP, Kind.DAILY_LIMIT, Kind.ROLLING_CAP}
OWN_REASON: dict[Kind, Reason] = {
    Kind.ACTIONS: Reason.ACTION_NOT_ALLOWED,
    Kind.VENUES: Reason.VENUE_NOT_ALLOWED,
    Kind.INSTRUMENTS: Reason.INSTRUMENT_NOT_ALLOWED,
    Kind.ORDER_TYPES: Reason.ORDER_TYPE_NOT_ALLOWED,
    Kind.SIDES: Reason.SIDE_NOT_ALLOWED,
    Kind.TIMES_IN_FORCE: Reason.TIF_NOT_ALLOWED,
    Kind.DESTINATIONS: Reason.DESTINATION_NOT_ALLOWED,
    Kind.SANCTIONS: Reason.SANCTIONED,
    Kind.VALUE_CAP: Reason.VALUE_CAP,
    Kind.QUANTITY_CAP: Reason.QUANTITY_CAP,
    Kind.PRICE_COLLAR: Reason.PRICE_COLLAR,
    Kind.DAILY_LIMIT: Reason.DAILY_LIMIT,
    Kind.ROLLING_CAP: Reason.ROLLING_CAP,
    Kind.RATE_LIMIT: Reason.RATE_LIMIT,
}


class Result(NamedTuple):
    rule: int
    kind: int
    result: int
    flags: int
    level: int
    value: int
    bound: int


class Decision(NamedTuple):
    verdict: int
    reason: int
    reasons: frozenset[int]
    value: int  # micro-USD; -1 when not known or not needed
    results: tuple[Result, ...]
    retry_at: tuple[int, ...]
    quorum: int = 0  # of a PENDING one
    lives: int = 0


# ---- Windows --------------------------------------------------------------


def bucket_width(window_ns: int) -> int:
    return ceil_div(window_ns, 64)


def counted(constraint: Constraint, events: Events, now: int) -> Events:
    """The events that count at `now`."""
    if constraint.kind == Kind.DAILY_LIMIT:
        return [event for event in events if event[0] // DAY_NS == now // DAY_NS]
    if constraint.kind == Kind.ROLLING_CAP:
        width = bucket_width(constraint.window_ns)
        oldest = (now - constraint.window_ns + 1) // width
        return [event for event in events if event[0] // width >= oldest]
    return [event for event in events if now - event[0] < constraint.window_ns]


def rolling_retry(constraint: Constraint, events: Events, value: int) -> int:
    """The first time at which enough buckets have ceased to count for this value."""
    width = bucket_width(constraint.window_ns)
    rest = sum(amount for _, amount in events)
    for bucket in sorted({time // width for time, _ in events}):
        rest -= sum(amount for time, amount in events if time // width == bucket)
        if rest + value <= constraint.bound:
            return min((bucket + 1) * width + constraint.window_ns - 1, INT64_MAX)
    return 0


# ---- One constraint -------------------------------------------------------


class Judged(NamedTuple):
    """One constraint's result, with the reason that a FAIL adds."""

    passed: bool
    value: int
    bound: int
    reason: Reason
    flags: int = 0
    retry_at: int = 0
    waits: bool = False


def quantity_at(policy: Policy, state: State, subject: Subject, scale: int, now: int) -> int:
    """The quantity in 10^-scale units, rounded up; raises Unvalued and Overflow."""
    if subject.quote_quantity is None:
        if subject.quantity is None:
            raise Unvalued(Reason.UNSUPPORTED)
        quantity = subject.quantity.normalised()
        return at_most_int64(ceil_div(quantity.mantissa * 10**scale, 10**quantity.scale))
    assert subject.instrument is not None
    countable = subject.instrument.contract in (Contract.SPOT, Contract.LINEAR)
    if not countable or subject.instrument.unit != Unit.BASE:
        raise Unvalued(Reason.UNSUPPORTED)
    fed = state.marks.get((MarkKind.INSTRUMENT, subject.instrument.id))
    mark = fresh(fed, policy.mark_max_age_ns, now)
    quote = subject.quote_quantity.normalised()
    shift = scale + mark.scale - quote.scale
    numerator = product(quote.mantissa, 1_000_000, 10 ** max(shift, 0))
    denominator = product(mark.mantissa, 1_000_000 - policy.market_band_ppm, 10 ** max(-shift, 0))
    return at_most_int64(ceil_div(numerator, denominator))


def deviation(price: Decimal, mark: Decimal) -> int:
    """Parts per million of the mark, rounded up; raises Overflow."""
    price, mark = price.normalised(), mark.normalised()
    scale = max(price.scale, mark.scale)
    p = product(price.mantissa, 10 ** (scale - price.scale))
    m = product(mark.mantissa, 10 ** (scale - mark.scale))
    return at_most_int64(ceil_div(product(abs(p - m), 1_000_000), m))


def judge_list(policy: Policy, constraint: Constraint, subject: Subject) -> Judged:
    """Allowlists and the sanctions list."""
    reason = OWN_REASON[constraint.kind]
    if constraint.kind == Kind.INSTRUMENTS:
        instrument = subject.instrument.id if subject.instrument else 0
        listed = instrument in constraint.instruments
        return Judged(listed, instrument, len(constraint.instruments), reason)
    if constraint.kind == Kind.DESTINATIONS:
        assert subject.destination is not None
        on_list = canonical(subject.destination) in map(canonical, constraint.destinations)
        return Judged(on_list, int(on_list), 1, reason)
    if constraint.kind == Kind.SANCTIONS:
        assert subject.destination is not None
        on_list = subject.destination[1].lower() in policy.sanctioned
        return Judged(not on_list, int(on_list), 0, reason)
    number = {
        Kind.ACTIONS: subject.action,
        Kind.VENUES: subject.venue,
        Kind.ORDER_TYPES: subject.type,
        Kind.SIDES: subject.side,
        Kind.TIMES_IN_FORCE: subject.tif,
    }[constraint.kind]
    return Judged(bool(constraint.mask >> number & 1), int(number), constraint.mask, reason)


def canonical(destination: Destination) -> Destination:
    network, address, memo = destination
    return network, address.lower() if address.startswith("0x") else address, memo


def judge_measure(
    policy: Policy, state: State, constraint: Constraint, subject: Subject, now: int
) -> Judged:
    """Quantity cap and price collar."""
    reason = OWN_REASON[constraint.kind]
    try:
        if constraint.kind == Kind.QUANTITY_CAP:
            value = quantity_at(policy, state, subject, constraint.bound_scale, now)
        else:
            assert subject.instrument is not None
            fed = state.marks.get((MarkKind.INSTRUMENT, subject.instrument.id))
            mark = fresh(fed, constraint.max_age_ns, now)
            prices = [p for p in (subject.price, subject.trigger_price) if p is not None]
            value = max((deviation(price, mark) for price in prices), default=0)
    except Unvalued as unvalued:
        return Judged(False, INT64_MAX, constraint.bound, unvalued.reason, UNKNOWN)
    except Overflow:
        return Judged(False, INT64_MAX, constraint.bound, reason, SATURATED)
    return Judged(value <= constraint.bound, value, constraint.bound, reason)


def judge_value(constraint: Constraint, events: Events, value: int | Reason, now: int) -> Judged:
    """Value cap, daily limit, rolling cap."""
    bound = constraint.bound
    if isinstance(value, Reason):
        flag = SATURATED if value == Reason.VALUE_OVERFLOW else UNKNOWN
        return Judged(False, INT64_MAX, bound, value, flag)
    live = counted(constraint, events, now) if constraint.kind != Kind.VALUE_CAP else []
    total = sum(amount for _, amount in live) + value
    reason = OWN_REASON[constraint.kind]
    if total <= bound:
        return Judged(True, total, bound, reason)
    retry_at = 0
    if value <= bound and constraint.kind == Kind.DAILY_LIMIT:
        retry_at = min((now // DAY_NS + 1) * DAY_NS, INT64_MAX)
    elif value <= bound and constraint.kind == Kind.ROLLING_CAP:
        retry_at = rolling_retry(constraint, live, value)
    if total > INT64_MAX:
        return Judged(False, INT64_MAX, bound, reason, SATURATED, retry_at)
    return Judged(False, total, bound, reason, 0, retry_at)


def judge_rate(constraint: Constraint, events: Events, now: int) -> Judged:
    live = counted(constraint, events, now)
    passed = len(live) + 1 <= constraint.bound
    retry_at = 0
    if not passed and constraint.bound > 0:
        retry_at = min(live[0][0] + constraint.window_ns, INT64_MAX)
    return Judged(passed, len(live) + 1, constraint.bound, Reason.RATE_LIMIT, 0, retry_at)


def kept(subject: Subject) -> Kept:
    assert subject.destination is not None
    return int(subject.venue), *canonical(subject.destination)


def asks_value(constraint: Constraint, subject: Subject) -> bool:
    valued = subject.action in ORDERS | FUNDS
    return constraint.kind == Kind.APPROVAL and bool(constraint.mask & ASK_VALUE) and valued


def judge_approval(
    state: State, constraint: Constraint, subject: Subject, value: int | Reason
) -> Judged:
    asks = constraint.mask == 0
    if constraint.mask & ASK_DESTINATION and subject.destination is not None:
        asks |= kept(subject) not in state.destinations
    shown = 0 if constraint.mask & ASK_VALUE else int(asks)
    if asks_value(constraint, subject):
        if isinstance(value, Reason):
            flag = SATURATED if value == Reason.VALUE_OVERFLOW else UNKNOWN
            return Judged(False, INT64_MAX, constraint.bound, value, flag)
        shown = value
        asks |= value > constraint.bound
    return Judged(True, shown, constraint.bound, Reason.NONE, waits=asks)


# ---- The decision ---------------------------------------------------------


def applies(constraint: Constraint, subject: Subject) -> bool:
    if not constraint.actions >> subject.action & 1 or not constraint.venues >> subject.venue & 1:
        return False
    instrument = subject.instrument.id if subject.instrument else 0
    if constraint.instrument not in (0, instrument):
        return False
    if constraint.kind in (Kind.DESTINATIONS, Kind.SANCTIONS) and subject.destination is None:
        return False
    return subject.action in APPLIES_TO[constraint.kind]


def applicable(policy: Policy, subject: Subject) -> Iterator[tuple[int, int, Constraint]]:
    """Depth of the node, row and constraint, firm first."""
    for depth, node in enumerate(policy.chains[subject.agent]):
        for row, constraint in policy.rows_of.get(node, ()):
            if applies(constraint, subject):
                yield depth, row, constraint


def window_key(constraint: Constraint, agent: int) -> WindowKey:
    return constraint.id, agent if constraint.each_agent else 0


def no_grant(policy: Policy, subject: Subject, kinds: set[Kind]) -> Result | None:
    depth = len(policy.chains[subject.agent]) - 1
    if Kind.ACTIONS not in kinds:
        return Result(IMPLICIT, Kind.ACTIONS, FAIL, 0, depth, int(subject.action), 0)
    if subject.destination is not None and Kind.DESTINATIONS not in kinds:
        return Result(IMPLICIT, Kind.DESTINATIONS, FAIL, 0, depth, 0, 1)
    return None


def evaluate(policy: Policy, state: State, subject: Subject, now: int) -> Decision:
    """Evaluates every constraint that applies; changes nothing."""
    rows = list(applicable(policy, subject))
    count, level, why = stops.judge(policy, state.stops, state.positions, subject, now)
    reasons: set[int] = {*why}
    passed, flag = FAIL if count else PASS, 0
    if subject.lineage_ends:
        passed, flag, count = FAIL, UNKNOWN, INT64_MAX
        reasons.add(subject.lineage_ends)
    results, retry_at = [Result(IMPLICIT, Kind.KILL_SWITCH, passed, flag, level, count, 0)], [0]

    value: int | Reason = -1
    if any(c.kind in NEEDS_VALUE or asks_value(c, subject) for _, _, c in rows):
        try:
            value = order_value(policy, state, subject, now)
        except Unvalued as unvalued:
            value = unvalued.reason

    waiting: list[tuple[int, int]] = []  # quorum, time to live
    for depth, row, constraint in rows:
        events = state.windows.get(window_key(constraint, subject.agent), [])
        if constraint.kind in NEEDS_VALUE:
            judged = judge_value(constraint, events, value, now)
        elif constraint.kind == Kind.APPROVAL:
            judged = judge_approval(state, constraint, subject, value)
        elif constraint.kind == Kind.RATE_LIMIT:
            judged = judge_rate(constraint, events, now)
        elif constraint.kind == Kind.HEARTBEAT:
            beat = state.beats.get(subject.agent)
            harmless = stops.lowers_risk(state.positions, subject)
            judged = Judged(*beats.judge(constraint, beat, harmless, now))
        elif constraint.kind in (Kind.QUANTITY_CAP, Kind.PRICE_COLLAR):
            judged = judge_measure(policy, state, constraint, subject, now)
        else:
            judged = judge_list(policy, constraint, subject)
        if not judged.passed:
            reasons.add(judged.reason)
        outcome = PASS if judged.passed else FAIL
        if judged.waits:
            outcome = WAIT
            waiting.append((constraint.quorum, constraint.window_ns))
        results.append(
            Result(row, constraint.kind, outcome, judged.flags, depth, judged.value, judged.bound)
        )
        retry_at.append(judged.retry_at)

    ungranted = no_grant(policy, subject, {constraint.kind for _, _, constraint in rows})
    if ungranted is not None:
        reasons.add(Reason.NO_GRANT)
        results.append(ungranted)
        retry_at.append(0)
    if not reasons and dict(policy.oversight).get(subject.action) == OVERSIGHT_APPROVE:
        waiting.append((policy.approval_quorum, policy.approval_ns))
        results.append(Result(IMPLICIT, Kind.APPROVAL, WAIT, 0, 0, int(subject.action), 0))
        retry_at.append(0)
    verdict = Verdict.DENIED if reasons else Verdict.ALLOWED
    quorum = lives = 0
    if waiting and not reasons:
        verdict, reasons = Verdict.PENDING, {Reason.APPROVAL}
        quorum, lives = max(q for q, _ in waiting), min(ns for _, ns in waiting)
    return Decision(
        verdict,
        min(reasons, default=Reason.NONE),
        frozenset(reasons),
        -1 if isinstance(value, Reason) else value,
        tuple(results),
        tuple(retry_at),
        quorum,
        lives,
    )


def debit(policy: Policy, state: State, subject: Subject, decision: Decision, now: int) -> None:
    """Charges an allowed order to every window that applies."""
    if subject.destination is not None and kept(subject) not in state.destinations:
        state.destinations = [*state.destinations, kept(subject)][-DESTINATIONS:]
    for _, _, constraint in applicable(policy, subject):
        if constraint.kind not in (Kind.DAILY_LIMIT, Kind.ROLLING_CAP, Kind.RATE_LIMIT):
            continue
        key = window_key(constraint, subject.agent)
        events = state.windows.get(key, [])
        if constraint.kind == Kind.RATE_LIMIT:
            events = [*events, (now, 1)][-constraint.bound :]
        else:
            events = [*counted(constraint, events, now), (now, decision.value)]
        state.windows[key] = events


# ---- Marks, halts, new versions -------------------------------------------


def feed(policy: Policy, state: State, kind: int, row: int, price: Decimal, time: int) -> None:
    """Takes one mark; one of an unknown row, or older than what it would replace, is skipped."""
    known = policy.instrument_of if kind == MarkKind.INSTRUMENT else policy.asset_of
    held = state.marks.get((kind, row))
    if row in known and (held is None or time >= held.time):
        state.marks[kind, row] = Mark(price.normalised(), time)


class StopLost(Exception):
    """A bundle would lift or loosen a stop, or make a position another."""


def migrate(old: Policy, state: State, new: Policy) -> State:
    """The state under a new version; raises StopLost."""
    if not stops.are_kept(old, state.stops, new, state.last_now):
        raise StopLost
    if not reports.are_kept(old, state.positions, new):
        raise StopLost
    fresh_state = State(stops=dict(state.stops), last_now=state.last_now)
    fresh_state.beats = {
        a: b for a, b in state.beats.items() if a in old.chains and a in new.chains
    }
    fresh_state.destinations = list(state.destinations)
    for (kind, row), mark in state.marks.items():
        if row in (new.instrument_of if kind == MarkKind.INSTRUMENT else new.asset_of):
            fresh_state.marks[kind, row] = mark
    kept = state.positions.items()
    fresh_state.positions = {n: held for n, held in kept if n in new.instrument_of}
    before = {constraint.id: constraint for constraint in old.constraints}
    after = {constraint.id: constraint for constraint in new.constraints}
    for (constraint_id, agent), events in state.windows.items():
        was, now_is = before[constraint_id], after.get(constraint_id)
        if now_is is None or (was.kind, was.each_agent) != (now_is.kind, now_is.each_agent):
            continue
        if was.each_agent and now_is.node not in new.chains.get(agent, ()):
            continue  # the agent is not below the constraint's node any more
        fresh_state.windows[constraint_id, agent] = carried(was, now_is, events, state.last_now)
    return fresh_state


def carried(was: Constraint, now_is: Constraint, events: Events, last_now: int) -> Events:
    if was.kind == Kind.RATE_LIMIT:
        return events[-now_is.bound :] if now_is.bound > 0 else []
    if was.kind == Kind.ROLLING_CAP and was.window_ns != now_is.window_ns:
        return [(last_now, sum(amount for _, amount in counted(was, events, last_now)))]
    return list(events)
