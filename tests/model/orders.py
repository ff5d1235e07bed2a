"""Random orders, marks and times, biased towards the edges of what policy decides.

The generator looks at the model's state to find edges: how much room a cap has left, when an
event ceases to count, when a mark goes stale. It decides nothing.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod
from random import Random
from typing import Any

from tests.model import beats, model, reports, stops, value
from tests.model.names import (
    DAY_NS,
    INT64_MAX,
    Account,
    Action,
    By,
    Kind,
    MarkKind,
    Query,
    Scope,
    Side,
    Tif,
    Type,
)
from tests.model.policies import (
    ADDRESSES,
    MEMOS,
    World,
    at_scale,
    chance,
    fraction,
    padded,
)
from tests.model.tables import Constraint, Decimal, Instrument, Order, Target

LIMITED = {Type.LIMIT, Type.STOP_LIMIT, Type.TAKE_PROFIT_LIMIT}
TRIGGERED = {Type.STOP_MARKET, Type.STOP_LIMIT, Type.TAKE_PROFIT_MARKET, Type.TAKE_PROFIT_LIMIT}


# ---- Orders ----------------------------------------------------------------

ACTION_WEIGHTS = {
    Action.PLACE: 50,
    Action.AMEND: 8,
    Action.CANCEL: 6,
    Action.CANCEL_ALL: 4,
    Action.CANCEL_ALL_AFTER: 2,
    Action.QUERY: 4,
    Action.WITHDRAW: 10,
    Action.TRANSFER: 10,
    Action.MESSAGE: 6,
}


def some_order(rng: Random, world: World, agent: int, action_id: int) -> Order:
    """A well-formed order; amends and cancels name a venue's id."""
    policy = world.policy
    action = rng.choices(list(ACTION_WEIGHTS), list(ACTION_WEIGHTS.values()))[0]
    order = Order(action, agent, action_id)
    instrument = rng.choice(policy.instruments)
    match action:
        case Action.PLACE | Action.AMEND:
            return some_terms(rng, world, replace(order, instrument=instrument.id), instrument)
        case Action.CANCEL:
            return replace(order, instrument=instrument.id, target=Target(By.VENUE_ID, text="9"))
        case Action.CANCEL_ALL | Action.CANCEL_ALL_AFTER | Action.QUERY:
            if action == Action.CANCEL_ALL_AFTER:
                order = replace(order, timeout_ms=1000)
            if action == Action.QUERY:
                order = replace(order, what=rng.choice((Query.OPEN_ORDERS, Query.FILLS)))
            if chance(rng, 60):
                return replace(order, instrument=instrument.id)
            return replace(order, venue=rng.choice(world.style.venues))
        case Action.WITHDRAW:
            network = rng.choice(policy.networks)
            return replace(
                order,
                asset=network.asset,
                network=network.id,
                amount=some_quantity(rng),
                address=spelled(rng, rng.choice(ADDRESSES)),
                memo=rng.choice(("", "", *MEMOS)),
            )
        case Action.TRANSFER:
            out = chance(rng, 60)
            return replace(
                order,
                asset=rng.choice(policy.assets).id,
                amount=some_quantity(rng),
                address=spelled(rng, rng.choice(ADDRESSES)) if out else "",
                from_account=Account.SPOT,
                to_account=Account.SUBACCOUNT if out else Account.FUNDING,
            )
        case _:
            return replace(order, text=rng.choice(("hello", "a", "x" * 216)))


def spelled(rng: Random, address: str) -> str:
    """Letters of another case: the same 0x address, another one otherwise."""
    if not chance(rng, 15):
        return address
    if address.startswith("0x"):
        return "0x" + address[2:].swapcase()
    return address.swapcase()


def some_terms(rng: Random, world: World, order: Order, instrument: Instrument) -> Order:
    """Side, type, quantity and prices."""
    kind = rng.choice((Type.LIMIT, Type.LIMIT, *world.style.types))
    in_quote = kind == Type.MARKET and order.action == Action.PLACE and chance(rng, 50)
    priced = kind in LIMITED or chance(rng, 15)  # of a market order: the worst that it takes
    quantity = some_quantity(rng)
    order = replace(
        order,
        side=rng.choice((Side.BUY, Side.SELL)),
        type=kind,
        tif=rng.choice((Tif.GTC, Tif.IOC, Tif.FOK)) if kind in LIMITED else Tif.NONE,
        quantity=None if in_quote else quantity,
        quote_quantity=quantity if in_quote else None,
        price=some_price(rng, world, instrument.id) if priced else None,
        trigger_price=some_price(rng, world, instrument.id) if kind in TRIGGERED else None,
        reduce_only=rng.choice((None, None, None, None, 0, 1, 1)),
        position_side=rng.randint(1, 3) if order.action == Action.PLACE and chance(rng, 12) else 0,
    )
    if order.action == Action.AMEND:
        order = replace(order, target=Target(By.VENUE_ID, text="9"))
    return order


def some_quantity(rng: Random) -> Decimal:
    if chance(rng, 6):
        return Decimal(rng.randint(1, INT64_MAX), rng.randint(0, 18))
    return padded(rng, Decimal(rng.randint(1, 1000), rng.randint(0, 4)))


def some_price(rng: Random, world: World, instrument: int) -> Decimal:
    """Near the typical price, seldom anywhere."""
    if chance(rng, 4):
        return Decimal(rng.randint(1, INT64_MAX), rng.randint(0, 18))
    typical = fraction(world.typical[MarkKind.INSTRUMENT, instrument])
    ppm = rng.choice((990_000, 999_999, 1_000_000, 1_000_000, 1_000_001, 1_010_000))
    factor = Fraction(ppm, 10**6)
    return padded(rng, at_scale(typical * factor, rng.randint(4, 8)))


def some_mark(rng: Random, world: World, now: int) -> tuple[int, int, Decimal, int]:
    """kind, id, price, time; near the typical price, mostly of this moment."""
    kind, row = rng.choice(sorted(world.typical))
    price = world.typical[kind, row]
    if chance(rng, 40):
        price = at_scale(fraction(price) * Fraction(rng.randint(95, 105), 100), rng.randint(4, 10))
    if chance(rng, 3):
        price = Decimal(rng.randint(1, INT64_MAX), rng.randint(0, 18))
    age = rng.choice((0, 0, 0, 1, world.policy.mark_max_age_ns, 2 * world.unit_ns))
    return kind, row, padded(rng, price), max(0, now - age)


def marks_for(
    rng: Random, world: World, order: Order, now: int
) -> list[tuple[int, int, Decimal, int]]:
    """The marks that an order may need: of this moment, or as old as may be, or one past that."""
    policy = world.policy
    wanted: list[tuple[int, int]] = []
    instrument = policy.instrument_of.get(order.instrument)
    if instrument is not None:
        assets = {instrument.quote, instrument.settle, instrument.base} - {0}
        wanted.append((MarkKind.INSTRUMENT, instrument.id))
        wanted += [(MarkKind.ASSET, row) for row in sorted(assets)]
    if order.asset:
        wanted.append((MarkKind.ASSET, order.asset))
    for kind, row in list(wanted):
        if kind == MarkKind.ASSET and row in policy.asset_of and policy.asset_of[row].mark_asset:
            wanted.append((kind, policy.asset_of[row].mark_asset))
    ages = [policy.mark_max_age_ns]
    ages += [row.max_age_ns for row in policy.constraints if row.kind == Kind.PRICE_COLLAR]
    fed = []
    for kind, row in wanted:
        age = rng.choice((0, 0, 0, 0, rng.choice(ages), rng.choice(ages) + 1))
        price = world.typical.get((kind, row))
        if price is not None and now >= age:
            fed.append((kind, row, padded(rng, price), now - age))
    return fed


def some_holding(rng: Random) -> Decimal:
    """A position: long, short or none."""
    if chance(rng, 15):
        return Decimal(0, 0)
    size = some_quantity(rng)
    return size._replace(mantissa=size.mantissa * rng.choice((1, -1)))


def closing(rng: Random, state: value.State, order: Order) -> Order:
    """A reduce-only place towards the edge of what it may close: all of it, or one past."""
    held = state.positions.get(order.instrument, reports.NOTHING).quantity
    if not held or order.action != Action.PLACE or chance(rng, 40):
        return order
    scale = min(18, reports.digits(held) + rng.choice((0, 0, 2)))
    side = Side.SELL if held > 0 else Side.BUY
    size = abs(held * 10**scale) + rng.choice((0, 0, 1, -1))
    if not 0 < size <= INT64_MAX:
        return order
    quantity = None if order.quantity is None else Decimal(int(size), scale)
    side = side if chance(rng, 85) else Side.BUY
    return replace(order, side=side, quantity=quantity, reduce_only=1, position_side=0)


# ---- Edges -----------------------------------------------------------------


def aimed(
    rng: Random, world: World, state: value.State, order: Order, subject: value.Subject, now: int
) -> Order:
    """The order with one quantity or price moved to the edge of a constraint, or one past it."""
    rows = [
        constraint
        for _, _, constraint in model.applicable(world.policy, subject)
        if constraint.kind in model.NEEDS_VALUE | {Kind.QUANTITY_CAP, Kind.PRICE_COLLAR}
    ]
    if not rows:
        return order
    row = rng.choice(rows)
    past = rng.choice((0, 0, 1))
    if row.kind == Kind.PRICE_COLLAR:
        return at_collar(rng, state, order, subject, row, past)
    if row.kind == Kind.QUANTITY_CAP and subject.quantity is not None:
        room = Fraction(row.bound, 10**row.bound_scale)
        return replace(order, quantity=at_scale(room, row.bound_scale + 2 * past, past))
    if row.kind == Kind.QUANTITY_CAP:
        return order
    return at_value(rng, world, state, order, subject, row, past, now)


def at_value(
    rng: Random,
    world: World,
    state: value.State,
    order: Order,
    subject: value.Subject,
    row: Constraint,
    past: int,
    now: int,
) -> Order:
    try:
        products = value.value_products(world.policy, state, subject, now)
    except value.Unvalued:
        return order
    events = state.windows.get(model.window_key(row, subject.agent), [])
    live = model.counted(row, events, now) if row.kind != Kind.VALUE_CAP else []
    room = row.bound - sum(amount for _, amount in live)
    if chance(rng, 2):
        room = INT64_MAX
    each = max(micro_usd_of_one(world, one) for one in products)
    if room <= 0 or each <= 0:
        return order
    scale = 0
    while scale < 18 and each > 10**scale:
        scale += 1
    quantity = at_scale(room / each, min(18, scale + rng.choice((0, 0, 3))), past)
    if world.style.lots and chance(rng, 90) and subject.instrument is not None:
        lot = fraction(subject.instrument.lot)
        quantity = at_scale(fraction(quantity) // lot * lot, 12)
    if subject.amount is not None:
        return replace(order, amount=quantity)
    if subject.quote_quantity is not None:
        return replace(order, quote_quantity=quantity)
    return replace(order, quantity=quantity)


def micro_usd_of_one(world: World, one: value.Product) -> Fraction:
    """What a quantity of 1 comes to."""
    each = prod((fraction(factor) for factor in one.factors[1:]), start=Fraction(10**6))
    if one.banded:
        each *= Fraction(1_000_000 + world.policy.market_band_ppm, 1_000_000)
    return each


def at_collar(
    rng: Random,
    state: value.State,
    order: Order,
    subject: value.Subject,
    row: Constraint,
    past: int,
) -> Order:
    assert subject.instrument is not None
    mark = state.marks.get((MarkKind.INSTRUMENT, subject.instrument.id))
    names = [name for name in ("price", "trigger_price") if getattr(order, name) is not None]
    if mark is None or not names:
        return order
    up = chance(rng, 50)
    ppm = 1_000_000 + (row.bound if up else -row.bound)
    edge = fraction(mark.price) * ppm / 1_000_000
    scale = min(18, mark.price.scale + rng.choice((6, 6, 9)))
    exact = at_scale(edge, scale)
    ulps = past if up else (fraction(exact) < edge) - past
    moved: dict[str, Any] = {rng.choice(names): at_scale(edge, scale, ulps)}
    return replace(order, **moved)


def some_place(rng: Random, world: World) -> stops.Place:
    """A node, venue or instrument that exists."""
    policy = world.policy
    match rng.choice((Scope.NODE, Scope.VENUE, Scope.INSTRUMENT)):
        case Scope.NODE:
            return Scope.NODE, rng.choice(policy.nodes).id
        case Scope.VENUE:
            venues = [row.venue for row in policy.instruments]
            return Scope.VENUE, int(rng.choice((*venues, *world.style.venues, 6)))
        case _:
            return Scope.INSTRUMENT, rng.choice(policy.instruments).id


def some_stop(rng: Random, now: int, *, halts: int = 40) -> stops.Stop:
    """A halt, or a drain that has ended, ends just now, ends soon, or does not."""
    if chance(rng, halts):
        return stops.Stop(stops.Mode.HALTED, 0, 1, now)
    until = rng.choice((0, 0, now - 1, now, now + 1, now + 2, now + rng.randint(1, 10**10)))
    return stops.Stop(stops.Mode.DRAINING, max(until, 0), 1, now)


def next_time(rng: Random, world: World, state: value.State, now: int) -> int:
    """Mostly a little later; sometimes exactly where something ends, or one nanosecond off."""
    if chance(rng, 70):
        steps = rng.choice((0, 0, 1, 1, 2, 5, 60, 500))
        return now + steps * world.unit_ns + rng.choice((0, 0, 0, 1))
    edges: list[int] = list(world.retries)
    by_id = {constraint.id: constraint for constraint in world.policy.constraints}
    for (constraint, _), events in state.windows.items():
        row = by_id[constraint]
        if not events:
            continue
        time = rng.choice(events)[0]
        edges.append(time + row.window_ns)
        if row.kind == Kind.ROLLING_CAP:
            width = model.bucket_width(row.window_ns)
            edges += [(time // width + 1) * width + row.window_ns - 1, (time // width + 1) * width]
    edges += [stop.until for stop in state.stops.values() if stop.until]
    for mark in state.marks.values():
        edges.append(mark.time + world.policy.mark_max_age_ns + 1)
        edges += [
            mark.time + row.max_age_ns + 1
            for row in world.policy.constraints
            if row.kind == Kind.PRICE_COLLAR
        ]
    for agent, beat in state.beats.items():
        edges += [beats.ends(rule, beat)[0] + 1 for rule in beats.rules(world.policy, agent)]
    if chance(rng, 4):
        edges = [(now // DAY_NS + 1) * DAY_NS]
    later = [edge + rng.choice((-1, 0)) for edge in edges]
    later = [edge for edge in later if now <= edge < now + 400 * DAY_NS]
    if not later:
        return now + world.unit_ns
    return min(rng.choice(later) for _ in range(4))  # near ones, so that windows stay filled


def some_beat(rng: Random, world: World, agent: int, now: int) -> beats.Beat | None:
    """Of an agent under a rule: mostly well, often at an edge or one past it."""
    if not (rules := list(beats.rules(world.policy, agent))) or now < 1:
        return None
    rule = rng.choice(rules)
    lag = rng.choice((0, 0, 0, 1, rule.window_ns - 1, rule.window_ns, rule.window_ns + 1))
    issued = max(1, now - lag)
    longest = rule.bound or rule.window_ns
    began = now - rng.choice((0, 1, longest - 1, longest, longest + 1))
    running = rng.choice((0, max(0, min(began, issued))))
    return beats.Beat(issued, rng.choice((1, 2, 3)), running)
