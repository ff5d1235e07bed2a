"""Orders that books make something of: amends of what was reported, and what is spent."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.model import approval_run, build, orders, report_run
from tests.model.book import Entry
from tests.model.names import INT64_MAX, Action, By, Contract, Kind, Side, Tif, Type, Unit, Venue
from tests.model.policies import at_scale, chance, padded
from tests.model.reports import Report, Status
from tests.model.tables import Decimal, Instrument, Order, Target

if TYPE_CHECKING:
    from tests.model.gate_run import GateRun

AMENDING = (Venue.BINANCE_USDM, Venue.HYPERLIQUID)


def step(run: GateRun) -> None:
    draw = run.rng.randrange(100)
    if draw < 50 and run.model.requests.rows:
        overtake(run)
    elif draw < 60:
        spend(run)
    else:
        amend(run)


def sign(run: GateRun, order: Order, instrument: Instrument) -> Entry | None:
    """Asks for an order under fresh marks; its entry where it was signed."""
    run.last_agent = order.agent
    run.beat(order.agent)
    run.lease_perhaps()
    named = replace(order, instrument=instrument.id)
    marks = orders.marks_for(run.rng, run.world, named, run.now)
    if marks:
        run.take_marks([(kind, row, price, run.now) for kind, row, price, _ in marks])
    run.set_stop(stop=False)
    order = run.on_grid(order)
    run.ask(order.agent, order, build.order_bytes(order), run.now, wrong=False)
    return run.model.entry(order.agent, order.action_id)


def next_id(run: GateRun, agent: int, like: int | None = None) -> int:
    """The next one; or the next in the book's place of another."""
    size, number = run.world.policy.book_entries, run.model.agents[agent].highest + 1
    return number if like is None else number + (like - number) % size


def limit_order(run: GateRun, agent: int, entry: Entry, number: int) -> Order:
    """A place beside an earlier one, or larger, or smaller; as an amend, in its stead."""
    rng = run.rng
    most = min(entry.order.most * rng.choice((1, 1, 2)) / rng.choice((1, 2, 2)), Fraction(10**9))
    return Order(
        *(Action.PLACE, agent, number),
        instrument=entry.instrument,
        side=entry.side,
        type=Type.LIMIT,
        tif=entry.tif or Tif.GTC,
        reduce_only=1 if entry.reduce_only else None,
        quantity=padded(rng, at_scale(most, 6)),
        price=orders.some_price(rng, run.world, entry.instrument),
    )


# ---- Amends


def amend(run: GateRun) -> None:
    """Of what was reported, once or several times; by its place or by an amend."""
    rng, rows = run.rng, run.world.policy.instrument_of
    found = [
        (agent, entry)
        for agent, held in sorted(run.model.agents.items())
        for entry in held.book.values()
        if entry.instrument in rows
        and (entry.order.in_quote or rows[entry.instrument].venue in AMENDING)
        and (entry.type == Type.LIMIT or chance(rng, 10))
    ]
    if not found:
        run.order()
        return
    apart = [each for each in found if rows[each[1].instrument].venue == Venue.HYPERLIQUID]
    found = apart if apart and chance(rng, 30) else found
    found.sort(key=lambda each: each[1].record)
    agent, named = rng.choice(found[-8:])
    if chance(rng, 60):
        report(run, agent, named)
    for _ in range(rng.choice((1, 2, 3))):
        if named.amended_by and chance(rng, 25):  # what stands for it is pushed out
            number = next_id(run, agent, named.amended_by)
            sign(run, limit_order(run, agent, named, number), rows[named.instrument])
        made = amended(run, agent, named)
        if made is None:
            return
        report(run, agent, rng.choice((named, made)))
        named = rng.choice((named, named, made))


def amended(run: GateRun, agent: int, named: Entry) -> Entry | None:
    order = limit_order(run, agent, named, next_id(run, agent))
    target = Target(By.ACTION, action_id=named.action_id)
    order = replace(order, action=Action.AMEND, instrument=0, side=0, target=target)
    made = sign(run, order, run.world.policy.instrument_of[named.instrument])
    run.counts["amends signed"] += made is not None
    return made


def report(run: GateRun, agent: int, entry: Entry) -> None:
    report_run.report(run, [report_run.some_report(run, agent, entry, [])])


def overtake(run: GateRun) -> None:
    """An order of a later id takes the place in the book of one that waits."""
    rng, policy = run.rng, run.world.policy
    rows = [row for row in run.model.requests.rows if row.order.agent in policy.chains]
    places = [row for row in rows if row.order.action == Action.PLACE and not row.is_over(run.now)]
    row = rng.choice(places or rows) if rows else None
    instrument = policy.instrument_of.get(row.order.instrument) if row is not None else None
    if row is None or instrument is None:
        run.order()
        return
    kept = tuple(each for each in policy.constraints if each.kind != Kind.APPROVAL)
    run.load(
        replace(policy, constraints=kept, oversight=(), approval_ns=0, approval_quorum=0),
    )
    agent, like = row.order.agent, row.order.action_id
    if chance(rng, 15):  # the place beside it
        like += 1
    if sign(run, replace(row.order, action_id=next_id(run, agent, like)), instrument) is not None:
        run.counts["overtaken"] += 1
        if chance(rng, 60):
            run.load(policy)
        approval_run.ask_again(run, row)


# ---- What is spent


def spend(run: GateRun) -> None:
    """A market order by what it spends, and what comes of it."""
    rng, policy = run.rng, run.world.policy
    rows = [
        row
        for row in policy.instruments
        if (row.venue, row.contract) == (Venue.BINANCE_SPOT, Contract.SPOT)
    ]
    agents = [agent for agent in sorted(policy.chains) if run.model.agents[agent].book]
    if not rows:
        run.order()
        return
    row = rng.choice(rows)
    agent = rng.choice(agents or sorted(policy.chains))
    order = Order(
        *(Action.PLACE, agent, next_id(run, agent)),
        instrument=row.id,
        side=rng.choice((Side.BUY, Side.SELL)),
        type=Type.MARKET,
        tif=Tif.NONE,
        quote_quantity=padded(rng, Decimal(rng.randint(1, 1000), rng.choice((0, 0, 1, 2, 4)))),
    )
    made = sign(run, order, row)
    if made is None:
        return
    run.counts["spends signed"] += 1
    if chance(rng, 12):
        recount(run, row)
    if chance(rng, 30):
        report_run.report(run, [extreme(run, agent, made)])
    for _ in range(rng.choice((1, 2, 3))):
        report(run, agent, made)


def recount(run: GateRun, row: Instrument) -> None:
    """A version in which it is a contract: what was spent comes by the multiplier."""
    policy = run.world.policy
    other = replace(
        row,
        contract=Contract.LINEAR,
        unit=Unit.CONTRACTS,
        settle=row.quote,
        multiplier=run.rng.choice((Decimal(2, 0), Decimal(5, 1), Decimal(250, 2))),
    )
    rows = tuple(other if each is row else each for each in policy.instruments)
    run.load(replace(policy, instruments=rows))


def extreme(run: GateRun, agent: int, entry: Entry) -> Report:
    """Numbers whose products leave 128 bits, or whose scales do."""
    rng = run.rng
    small = [Decimal(2 * rng.randint(1, 10**6) + 1, 18) for _ in range(2)]
    great = [Decimal(INT64_MAX - rng.choice((0, 2)), rng.choice((0, 1)))]
    pool = rng.choice((small, great))
    filled, price = rng.choice(pool), rng.choice(pool)
    status = Status.PARTLY_FILLED
    return Report(agent, status, entry.action_id, filled, price, run.now)
