"""Books and feeders at the gate, as docs/2-policy.md has them: "Reports" and "Positions"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.model import clock, reports, stops
from tests.model.names import (
    FORMAT_LIMIT,
    FORMAT_RANGE,
    INT64_MAX,
    POLICY_REPORT,
    POLICY_SCOPE,
    POLICY_SEQUENCE,
    POLICY_SIGNATURE,
    Cause,
    Scope,
)
from tests.model.reports import Fault, Order, Positions, Report, Status
from tests.model.stops import Mode, Stop
from tests.model.tables import Decimal

if TYPE_CHECKING:
    from tests.model.gate import Gate

FEEDERS_MAX = 32
REPORTS_MAX = 32


@dataclass
class Entry:
    """A signed place or amend, as later orders and reports may name it."""

    action_id: int
    record: int
    instrument: int
    side: int
    type: int
    tif: int
    reduce_only: int
    client_record: int  # of the place, even after amends
    order: Order
    reported: int = 0
    amended_by: int = 0  # the amend with which the order goes on


Book = dict[int, Entry]  # by action id modulo its size


def latest(book: Book, size: int, entry: Entry | None) -> Entry | None:
    """What stands for the order now; None where the book has displaced an amend between."""
    while entry is not None and entry.amended_by:
        number = entry.amended_by
        entry = book.get(number % size)
        if entry is not None and entry.action_id != number:
            return None
    return entry


def is_displaced(book: Book, size: int, number: int) -> bool:
    """Whether a later action has its place."""
    entry = book.get(number % size)
    return entry is not None and entry.action_id > number


def take_over(book: Book, size: int, entry: Entry, named: Entry) -> None:
    """An amend goes on with the order that it names."""
    before = latest(book, size, named)
    if before is None:  # nothing is known of the order any more, and nothing will be
        entry.amended_by = named.amended_by
        return
    most = max(entry.order.most, before.order.most)
    entry.order = before.order._replace(most=most)
    entry.reported = before.reported
    before.amended_by = named.amended_by = entry.action_id


class Feed(NamedTuple):
    """A frame of reports. `signers`: ids of keys, in the frame's order."""

    signers: tuple[int, ...]
    sequence: int
    issued: int
    rows: tuple[Report, ...]

    @property
    def signed(self) -> tuple[object, ...]:
        """What makes it the very same frame, whoever proved it."""
        return self.sequence, self.issued, self.rows


class Stopped(NamedTuple):
    """What the STOP record of a frame says."""

    node: int
    key: int
    sequence: int
    fault: Fault
    row: int


class Feeder(NamedTuple):
    key: int
    sequence: int
    last: tuple[object, ...]


@dataclass
class Feeds:
    """Who may feed, and what was fed last."""

    reporters: set[int] = field(default_factory=lambda: {20})
    holders: set[int] = field(default_factory=lambda: {20})  # who may state positions
    rows: list[Feeder] = field(default_factory=list)
    position_sequence: int = 0
    stopped: Stopped | None = None  # by the last frame

    def row(self, key: int) -> int | None:
        """The place of a feeder's row, or of one for it."""
        in_use = [row.key for row in self.rows]
        if key in in_use:
            return in_use.index(key)
        if len(in_use) < FEEDERS_MAX:
            return len(in_use)
        gone = [i for i, k in enumerate(in_use) if k not in self.reporters | self.holders]
        return gone[0] if gone else None


def has_form(row: Report, issued: int) -> bool:
    filled = row.filled.mantissa
    if row.status in (Status.ACKNOWLEDGED, Status.REJECTED) and filled:
        return False
    if row.status in (Status.PARTLY_FILLED, Status.FILLED) and not filled:
        return False
    named = row.agent > 0 and row.action_id > 0 and row.status in set(Status) - {Status.SIGNED}
    numbers = (row.filled, row.price)
    decimals = all(n.mantissa >= 0 and n.scale <= 18 for n in numbers)
    return named and decimals and 0 < row.time <= issued


def take_reports(gate: Gate, feed: Feed, now: int) -> int:
    """The status: 0, or why it is refused; POLICY_REPORT halts who is named wrong."""
    feeds = gate.feeds
    feeds.stopped = None
    if clock.is_early(gate, now):
        return clock.refuse_early(gate, now)
    now = gate.clock(now)
    if not 0 < len(feed.rows) <= REPORTS_MAX:
        return refuse(gate, FORMAT_LIMIT, now)
    if not all(has_form(row, feed.issued) for row in feed.rows):
        return refuse(gate, FORMAT_RANGE, now)
    if not set(feed.signers) <= feeds.reporters:
        return refuse(gate, POLICY_SIGNATURE, now)
    key = feed.signers[0]
    place = feeds.row(key)
    if place is None:
        return refuse(gate, FORMAT_LIMIT, now)
    known = feeds.rows[place] if place < len(feeds.rows) else None
    if known is None or known.key != key:
        known = Feeder(key, 0, ())
    if feed.signed == known.last:
        return refuse(gate, POLICY_SEQUENCE, now)
    assert gate.policy is not None
    if feed.sequence != known.sequence + 1:
        fault = Fault.GAP if feed.sequence > known.sequence else Fault.REPLAYED
        firm = gate.policy.nodes[0].id
        return contradict(gate, Stopped(firm, key, feed.sequence, fault, 0), now)
    work = Work(gate, now)
    for number, row in enumerate(feed.rows):
        status, fault = work.judge(row)
        if status:
            return refuse(gate, status, now)
        if fault:
            return contradict(gate, Stopped(row.agent, key, feed.sequence, fault, number), now)
    gate.record(now, rests=True)
    work.keep()
    feeds.rows[place : place + 1] = [Feeder(key, feed.sequence, feed.signed)]
    return 0


class Work:
    """What a frame leaves behind, until all of its rows are judged."""

    def __init__(self, gate: Gate, now: int) -> None:
        self.gate, self.now = gate, now
        self.positions: Positions = dict(gate.state.positions)
        self.orders: dict[tuple[int, int], tuple[Entry, Order]] = {}

    def judge(self, row: Report) -> tuple[int, Fault]:
        policy = self.gate.policy
        assert policy is not None
        if row.agent not in policy.chains:
            return POLICY_SCOPE, Fault.NONE
        book = self.gate.agents[row.agent].book
        entry = latest(book, policy.book_entries, self.gate.entry(row.agent, row.action_id))
        if entry is None:
            return 0, Fault.UNSIGNED
        instrument = policy.instrument_of.get(entry.instrument)
        if instrument is None:
            return POLICY_SCOPE, Fault.NONE
        _, order = self.orders.get((row.agent, entry.action_id), (entry, entry.order))
        if order.in_quote and row.filled.mantissa and not row.price.mantissa:
            return FORMAT_RANGE, Fault.NONE
        held = self.positions.get(instrument.id, reports.NOTHING)
        fault, order, held = reports.apply(order, held, instrument, entry.side, row)
        self.orders[row.agent, entry.action_id] = entry, order
        self.positions[instrument.id] = held
        return 0, fault

    def keep(self) -> None:
        self.gate.state.positions = self.positions
        for entry, order in self.orders.values():
            entry.order, entry.reported = order, self.now


def refuse(gate: Gate, status: int, now: int) -> int:
    gate.record(now)
    return status


def contradict(gate: Gate, stop: Stopped, now: int) -> int:
    """Halts a node, unless it is halted; nothing else changes."""
    number = gate.record(now)
    place = (Scope.NODE, stop.node)
    held = gate.state.stops.get(place, stops.RUNNING)
    if stops.mode_at(held, now) != Mode.HALTED:
        stops.put(gate.state.stops, place, Stop(Mode.HALTED, 0, number, now, Cause.REPORT))
        gate.feeds.stopped = stop
    return POLICY_REPORT


def take_positions(
    gate: Gate,
    signers: tuple[int, ...],
    sequence: int,
    issued: int,
    rows: list[tuple[int, Decimal, int]],
    now: int,
) -> int:
    """rows: instrument, quantity, time. The status."""
    if clock.is_early(gate, now):
        return clock.refuse_early(gate, now)
    now = gate.clock(now)
    assert gate.policy is not None
    for instrument, quantity, time in rows:
        fits = instrument > 0 and abs(quantity.mantissa) <= INT64_MAX and quantity.scale <= 18
        if not fits or not 0 < time <= issued:
            return refuse(gate, FORMAT_RANGE, now)
    if sequence <= gate.feeds.position_sequence:
        return refuse(gate, POLICY_SEQUENCE, now)
    if not set(signers) <= gate.feeds.holders:
        return refuse(gate, POLICY_SIGNATURE, now)
    gate.record(now, rests=True)
    gate.feeds.position_sequence = sequence
    positions = dict(gate.state.positions)
    for instrument, quantity, time in rows:
        if instrument in gate.policy.instrument_of:
            reports.state_position(positions, instrument, reports.exactly(quantity), time)
    gate.state.positions = positions
    return 0
