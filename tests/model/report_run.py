"""What feeders say of orders and positions in a random scenario at the gate."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from tests.model import book, build, reports
from tests.model.book import Entry, Feed
from tests.model.core_gate import FEED_EXECUTION, FEED_POSITION, FEEDERS
from tests.model.names import INT64_MAX, POLICY_REPORT, Unit
from tests.model.orders import some_holding
from tests.model.policies import chance, padded
from tests.model.reports import ENDED, Report, Status
from tests.model.tables import Decimal

if TYPE_CHECKING:
    from tests.model.gate_run import GateRun

ZERO = Decimal(0, 0)
UNFILLED = (Status.ACKNOWLEDGED, Status.REJECTED, Status.CANCELLED, Status.EXPIRED)
FILLS = (Status.PARTLY_FILLED, Status.PARTLY_FILLED, Status.PARTLY_FILLED, Status.CANCELLED)


def step(run: GateRun) -> None:
    """Mostly reports that fit; often at an edge of what can be true."""
    draw = run.rng.randrange(100)
    if draw < 6:
        rotate(run, run.rng.sample(sorted(FEEDERS), run.rng.randint(1, 4)))
    elif draw < 10:
        crowd(run)
    elif draw < 26:
        state(run)
    else:
        report(run)


def rotate(run: GateRun, numbers: list[int]) -> None:
    """Another authority bundle: feeders come and go, and have one power or both."""
    rng, core, model = run.rng, run.core, run.model
    kept = [number for number in sorted(core.feeders) if chance(rng, 60)][:6]
    both = FEED_EXECUTION | FEED_POSITION
    powers = {number: rng.choice((both, both, FEED_EXECUTION, FEED_POSITION)) for number in kept}
    powers |= dict.fromkeys(numbers, both)
    core.feeders = powers
    run.expect("status of an authority", 0, core.take_authority(core.approvers, run.now))
    model.record(model.clock(run.now), rests=True)
    model.requests.take_authority(core.approvers)
    model.feeds.reporters = {number for number, held in powers.items() if held & FEED_EXECUTION}
    model.feeds.holders = {number for number, held in powers.items() if held & FEED_POSITION}


def crowd(run: GateRun) -> None:
    """As many feeders as have rows, and one more."""
    rows = [
        Report(agent, Status.ACKNOWLEDGED, entry.action_id, ZERO, ZERO, run.now)
        for agent, held in sorted(run.model.agents.items())
        for entry in held.book.values()
        if entry.order.status == Status.SIGNED and not entry.amended_by
    ][:1]
    if not rows:
        return
    rotate(run, run.rng.sample(sorted(FEEDERS), 34))
    for key in run.rng.sample(sorted(run.model.feeds.reporters), 34):
        place = run.model.feeds.row(key)
        known = run.model.feeds.rows[place:] if place is not None else []
        last = known[0].sequence if known and known[0].key == key else 0
        give(run, Feed((key,), last + 1, run.now, tuple(rows)))
    rotate(run, run.rng.sample(sorted(FEEDERS), 2))


# ---- Reports


def has_room(row: Report) -> bool:
    """A fill beyond an order as large as a number can be has no form in a frame."""
    return all(abs(mantissa) < 1 << 63 for mantissa, _ in (row.filled, row.price))


def report(run: GateRun, rows: list[Report] | None = None) -> None:
    rng, feeds = run.rng, run.model.feeds
    rows = [row for row in (pick_rows(run) if rows is None else rows) if has_room(row)]
    if not rows:
        return
    pool = sorted(feeds.reporters if chance(rng, 97) else feeds.holders)
    in_use = [row.key for row in feeds.rows if row.key in pool]
    signers = [rng.choice(in_use if in_use and chance(rng, 70) else pool)]
    if len(pool) > 1 and chance(rng, 8):
        signers = rng.sample(pool, 2)
    last = next((row for row in feeds.rows if row.key == signers[0]), None)
    sequence = last.sequence if last is not None else 0
    draw = rng.randrange(100)
    if draw < 3 and last is not None and sequence > 0:
        again = run.last_feeds.get(signers[0])
        if again is not None:  # the very same, or what is as old but says something else
            give(run, again if chance(rng, 60) else again._replace(issued=run.now))
            return
    after = 1 if draw >= 6 else rng.choice((2, 2, 0, -1))
    give(run, Feed(tuple(signers), max(1, sequence + after), run.now, tuple(rows)))


def give(run: GateRun, feed: Feed) -> None:
    payload = build.reports_payload(feed.rows)
    status = run.core.feed(payload, feed.signers, feed.sequence, feed.issued, run.now)
    expected = book.take_reports(run.model, feed, run.now)
    run.expect(f"status of reports {feed}", expected, status)
    stop = run.model.feeds.stopped
    if stop is not None:
        run.expect(
            f"STOP record, {stop}", True, run.core.last_record_has(build.stop_subject(*stop))
        )
    run.counts["reports"] += len(feed.rows)
    run.counts["contradictions"] += expected == POLICY_REPORT
    run.counts["reports refused"] += expected not in (0, POLICY_REPORT)
    if expected == 0:
        run.last_feeds[feed.signers[0]] = feed
    run.compare_stops()
    for agent in {row.agent for row in feed.rows} & run.world.policy.chains.keys():
        index = run.world.policy.index_of[agent]
        for entry in run.model.agents[agent].book.values():
            run.compare_entry(index, entry.action_id)


def pick_rows(run: GateRun) -> list[Report]:
    rng, agents = run.rng, run.model.agents
    entries = [(agent, entry) for agent in sorted(agents) for entry in agents[agent].book.values()]
    entries.sort(key=lambda each: each[1].record)
    if not entries:
        return []
    count = rng.choice((1, 1, 1, 2, 3, 6))
    chosen = [rng.choice(entries[-6:] if chance(rng, 80) else entries) for _ in range(count)]
    if chance(rng, 20):
        chosen = chosen[:1] * count
    rows: list[Report] = []
    for agent, entry in chosen:
        rows.append(some_report(run, agent, entry, rows))
    return rows


def some_report(run: GateRun, agent: int, entry: Entry, before: list[Report]) -> Report:
    """One that fits what the frame said so far, mostly."""
    rng, policy = run.rng, run.world.policy
    held = book.latest(run.model.agents[agent].book, policy.book_entries, entry) or entry
    order = held.order
    for row in before:
        if (row.agent, row.action_id) == (agent, entry.action_id) and row.status in set(Status):
            order = order._replace(filled=reports.exactly(row.filled), status=Status(row.status))
    price, most = some_price(run, entry, order.most, order.in_quote)
    status, filled = some_fill(run, order, most)
    stated = run.model.state.positions.get(entry.instrument, reports.NOTHING).stated
    time = run.now
    if stated and chance(rng, 25):
        time = min(max(1, stated + rng.choice((-1, 0, 0, 1))), run.now)
    fed = Report(agent, status, entry.action_id, padded(rng, filled), price, time)
    return wrong(run, fed) if chance(rng, 4) else fed


def some_price(
    run: GateRun, entry: Entry, most: Fraction, in_quote: bool
) -> tuple[Decimal, Decimal]:
    """The average price, and the most that may be filled at it."""
    rng = run.rng
    price = rng.choice((ZERO, Decimal(rng.randint(1, 999), rng.randint(0, 4))))
    scale = reports.digits(most)
    if in_quote:
        price = Decimal(rng.choice((1, 2, 5, 25, 3, 7, 40)), rng.randint(0, 4))
        if chance(rng, 6):
            return ZERO, Decimal(1, 0)
        worth = reports.exactly(price)
        instrument = run.world.policy.instrument_of.get(entry.instrument)
        if instrument is not None and instrument.unit == Unit.CONTRACTS:
            worth *= reports.exactly(instrument.multiplier)
        most /= worth
        scale = rng.choice((0, 4, 8, 12))
    while most * 10**scale > INT64_MAX:
        scale -= 1
    return price, Decimal(int(most * 10 ** max(0, scale)), max(0, scale))


def some_fill(run: GateRun, order: reports.Order, most: Decimal) -> tuple[Status, Decimal]:
    rng = run.rng
    exact = reports.digits(order.filled)
    finer = max(exact, most.scale)
    scale = finer if order.filled * 10**finer < INT64_MAX else exact
    filled = Decimal(int(order.filled * 10**scale), scale)
    if order.status in ENDED:
        status = order.status if chance(rng, 93) else Status.CANCELLED
        more = Decimal(min(INT64_MAX, filled.mantissa + 1), filled.scale)
        return status, filled if chance(rng, 96) else more
    draw = rng.randrange(100)
    if draw < 20 or (draw < 24 and not filled.mantissa):  # no more than it was
        if not filled.mantissa:
            return rng.choice((Status.ACKNOWLEDGED, *UNFILLED)), ZERO
        return rng.choice(FILLS), filled
    if draw < 23:  # one less
        return Status.PARTLY_FILLED, Decimal(max(1, filled.mantissa - 1), filled.scale)
    if draw < 26:  # one more than there is
        return Status.FILLED, Decimal(min(INT64_MAX, most.mantissa + 1), most.scale)
    if draw < 50 and most.mantissa:
        return rng.choice((Status.FILLED, Status.FILLED, Status.PARTLY_FILLED)), most
    low, high = reports.exactly(filled), reports.exactly(most)
    part = low + (high - low) * Fraction(rng.randint(1, 9), 10) if high > low else low
    some = Decimal(min(INT64_MAX, int(part * 10**most.scale)), most.scale)
    if reports.exactly(some) < low or not some.mantissa:
        return (rng.choice(FILLS), filled) if filled.mantissa else (Status.ACKNOWLEDGED, ZERO)
    return rng.choice(FILLS), some


def wrong(run: GateRun, row: Report) -> Report:
    """Without the form of a report, or of nothing that was signed."""
    rng = run.rng
    changes = (
        {"agent": rng.choice((*sorted(run.world.policy.chains), 9999))},
        {"agent": run.world.policy.nodes[0].id},
        {"action_id": row.action_id + rng.choice((1, 64, 1000))},
        {"status": 7},
        {"status": Status.SIGNED},
        {"status": Status.ACKNOWLEDGED, "filled": Decimal(1, 0)},
        {"status": Status.REJECTED, "filled": Decimal(1, 18)},
        {"status": Status.FILLED, "filled": ZERO},
        {"status": Status.PARTLY_FILLED, "filled": ZERO},
        {"filled": Decimal(-1, 0)},
        {"price": Decimal(-1, 0)},
        {"price": ZERO},
        {"time": run.now + 1},
        {"time": 0},
    )
    return row._replace(**rng.choice(changes))


# ---- Positions


def state(run: GateRun) -> None:
    rng, feeds, policy = run.rng, run.model.feeds, run.world.policy
    rows = []
    for _ in range(rng.choice((1, 1, 2))):
        instrument = rng.choice(policy.instruments).id if chance(rng, 95) else 9999
        quantity = some_holding(rng)
        if chance(rng, 12):
            edge = INT64_MAX - rng.choice((0, 1, 10**6))
            quantity = Decimal(rng.choice((1, -1)) * edge, rng.choice((0, 3, 8, 18)))
        known = run.model.state.positions.get(instrument, reports.NOTHING).time
        time = rng.choice((run.now, known, known - 1, known + 1))
        time = min(max(1, time), run.now) if chance(rng, 98) else rng.choice((0, run.now + 1))
        rows.append((instrument, quantity, time))
    pool = sorted(feeds.holders if chance(rng, 95) else feeds.reporters)
    signers = (rng.choice(pool),)
    sequence = max(1, feeds.position_sequence + rng.choice((1, 1, 1, 1, 1, 5, 0)))
    status = run.core.feed(build.positions_payload(rows), signers, sequence, run.now, run.now)
    expected = book.take_positions(run.model, signers, sequence, run.now, rows, run.now)
    run.expect(f"status of positions {rows}", expected, status)
    run.counts["positions"] += len(rows)


def compare(run: GateRun) -> None:
    """Every position and every feeder's row."""
    for row in run.world.policy.instruments:
        ours = run.model.state.positions.get(row.id, reports.NOTHING)
        run.expect(f"position of {row.id}", ours, run.core.position(row.id))
    feeders = [(row.key, row.sequence) for row in run.model.feeds.rows]
    run.expect("feeders", feeders, run.core.feeder_rows())
