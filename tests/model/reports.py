"""Reports and positions, as docs/2-policy.md has them: "Reports", "Positions", "A new version"."""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from tests.model.names import INT64_MAX, Side, Unit

if TYPE_CHECKING:
    from tests.model.tables import Decimal, Instrument, Policy


class Status(IntEnum):
    SIGNED = 0
    ACKNOWLEDGED = 1
    PARTLY_FILLED = 2
    FILLED = 3
    CANCELLED = 4
    REJECTED = 5
    EXPIRED = 6


ENDED = (Status.FILLED, Status.CANCELLED, Status.REJECTED, Status.EXPIRED)


class Fault(IntEnum):
    NONE = 0
    GAP = 1
    REPLAYED = 2
    UNSIGNED = 3
    ABOVE = 4
    SHRANK = 5
    CLOSED = 6
    POSITION = 7


class Held(NamedTuple):
    """The position of one instrument."""

    quantity: Fraction = Fraction(0)
    time: int = 0  # the newest that was fed
    stated: int = 0


NOTHING = Held()
Positions = dict[int, Held]  # by instrument id


class Order(NamedTuple):
    """What is known of an order: a place and its amends."""

    most: Fraction  # in quote: the amount
    in_quote: bool
    filled: Fraction = Fraction(0)
    status: Status = Status.SIGNED


class Report(NamedTuple):
    agent: int
    status: Status
    action_id: int
    filled: Decimal
    price: Decimal
    time: int


def exactly(number: Decimal) -> Fraction:
    return Fraction(number.mantissa, 10**number.scale)


def digits(number: Fraction) -> int:
    """The least scale at which it is whole."""
    return next(scale for scale in range(99) if (number * 10**scale).denominator == 1)


def fits_63_bits(number: Fraction) -> bool:
    return bool(abs(number * 10 ** digits(number)) <= INT64_MAX)


def closes(held: Held, side: int, quantity: Decimal | None) -> bool:
    if quantity is None or held.quantity == 0:
        return False
    closing = Side.SELL if held.quantity > 0 else Side.BUY
    return bool(side == closing and exactly(quantity) <= abs(held.quantity))


def apply(
    order: Order, held: Held, instrument: Instrument, side: int, report: Report
) -> tuple[Fault, Order, Held]:
    """What one report leaves behind; with a fault, what was before."""
    filled = exactly(report.filled)
    worth = filled
    if order.in_quote:
        worth *= exactly(report.price)
        if instrument.unit == Unit.CONTRACTS:
            worth *= exactly(instrument.multiplier)
    if filled < order.filled:
        return Fault.SHRANK, order, held
    if worth > order.most:
        return Fault.ABOVE, order, held
    if order.status in ENDED and (report.status, filled) != (order.status, order.filled):
        return Fault.CLOSED, order, held
    if report.time > held.stated:
        more = filled - order.filled
        quantity = held.quantity + (more if side == Side.BUY else -more)
        if not fits_63_bits(quantity):
            return Fault.POSITION, order, held
        held = Held(quantity, max(held.time, report.time), held.stated)
    return Fault.NONE, order._replace(filled=filled, status=report.status), held


def state_position(positions: Positions, instrument: int, quantity: Fraction, time: int) -> None:
    if time >= positions.get(instrument, NOTHING).time:
        positions[instrument] = Held(quantity, time, time)


def holding(row: Instrument) -> tuple[object, ...]:
    """What a position's number means."""
    return row.venue, row.contract, row.base, row.unit, exactly(row.multiplier)


def are_kept(old: Policy, positions: Positions, new: Policy) -> bool:
    """Whether no position becomes another."""
    for number, held in positions.items():
        before, after = old.instrument_of[number], new.instrument_of.get(number)
        if held.quantity and after is not None and holding(before) != holding(after):
            return False
    return True
