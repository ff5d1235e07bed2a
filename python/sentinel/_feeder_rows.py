"""What a venue's answer says of an order, as the row of a report.

Only what the answer says is reported: where it leaves out what is filled, or is not definite, there
is no row. docs/submit.md, "Feeding reports", has the table.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any, Final

from ._enums import Action, OrderStatus, OrderType, TimeInForce, Venue
from ._layout import FedReport
from ._order import decimal_of
from ._submit_report import ExecutionReport, ExecutionStatus, is_one_order
from .errors import (
    DuplicateOrder,
    NeverArrived,
    SentinelError,
    UnknownOrder,
    VenueRefused,
)
from .sign import SignedOrder

_EXACT: Final = Context(prec=120)
_DOWN: Final = Context(prec=40, rounding=ROUND_DOWN)
_MANTISSA_MAX: Final = 2**63 - 1
_SCALE_MAX: Final = 18
_REMEMBERED_MAX: Final = 1 << 16
_ENDED: Final = {
    ExecutionStatus.CANCELLED: OrderStatus.CANCELLED,
    ExecutionStatus.EXPIRED: OrderStatus.EXPIRED,
}


class Rows:
    """Makes rows of answers. It remembers which orders it heard of, for two venues' sake: the
    client order id of an amended order names another one at Hyperliquid, and whoever heard of an
    order does not believe later that it never arrived.
    """

    def __init__(self) -> None:
        self._numbers: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._heard: OrderedDict[tuple[int, int], None] = OrderedDict()

    def of(
        self, agent: int, signed: SignedOrder, outcome: ExecutionReport | SentinelError, now_ns: int
    ) -> FedReport | None:
        """What the answer to one action says of its order; None where that is nothing."""
        if isinstance(outcome, ExecutionReport):
            whose = self._whose(agent, signed, outcome)
            told = _told(signed, outcome)
            if whose is None or told is None:
                return None
            status, filled, price = told
            when_ns = (outcome.time_ms or 0) * 1_000_000
            when_ns = when_ns if 0 < when_ns <= now_ns else now_ns
            return FedReport(whose[0], status, whose[1], filled, price, when_ns)
        ended = self._refused(agent, signed, outcome)
        if ended is None:
            return None
        return FedReport(agent, ended, signed.action_id, (0, 0), (0, 0), now_ns)

    def _refused(self, agent: int, signed: SignedOrder, error: SentinelError) -> OrderStatus | None:
        if not _is_order_of_its_own(signed):
            return None
        if isinstance(error, NeverArrived):
            return None if (agent, signed.action_id) in self._heard else OrderStatus.EXPIRED
        says_no = isinstance(error, VenueRefused) and error.sent
        if not says_no or isinstance(error, DuplicateOrder | UnknownOrder):
            return None
        return OrderStatus.REJECTED

    def _whose(
        self, agent: int, signed: SignedOrder, report: ExecutionReport
    ) -> tuple[int, int] | None:
        """Agent and action of the order that an answer is about."""
        order: Any = signed.order
        own = (agent, signed.action_id)
        if signed.action is not Action.PLACE and not _means_one(signed):
            return None
        if signed.venue is not Venue.HYPERLIQUID:
            if signed.action is Action.PLACE:
                _remember(self._heard, own, None)
                return own
            if order.target_action is None:
                return None
            return own if signed.action is Action.AMEND else (agent, order.target_action)
        known = self._numbers.get(report.venue_order_id) if report.venue_order_id else None
        if known is not None:
            return known
        if not _is_order_of_its_own(signed) or own in self._heard:
            return None
        _remember(self._heard, own, None)
        if report.venue_order_id:
            _remember(self._numbers, report.venue_order_id, own)
        return own


def _means_one(signed: SignedOrder) -> bool:
    return signed.action in (Action.AMEND, Action.CANCEL) or is_one_order(signed)


def _is_order_of_its_own(signed: SignedOrder) -> bool:
    """Hyperliquid ends an amended order and begins another."""
    amends = signed.action is Action.AMEND and signed.venue is Venue.HYPERLIQUID
    return signed.action is Action.PLACE or amends


def _remember(rows: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    rows[key] = value
    while len(rows) > _REMEMBERED_MAX:
        rows.popitem(last=False)


Told = tuple[OrderStatus, tuple[int, int], tuple[int, int]]


def _told(signed: SignedOrder, report: ExecutionReport) -> Told | None:
    """Status, filled and average price, where the answer says them."""
    text = report.filled_quantity
    if text is None and _is_order_of_its_own(signed):
        begins = report.status in (ExecutionStatus.ACCEPTED, ExecutionStatus.REJECTED)
        text = "0" if begins else None  # the venue has taken it, no more is known
    if text is None:
        return None
    filled = Decimal(text)
    status = _status(signed, report, filled)
    if status is None:
        return None
    price = _price(signed, report, filled)
    if filled and price is None and _amount(signed) is not None:
        return None  # of what it spends, nothing is known without a price
    quantity, average = exact(filled), down(price or Decimal(0))
    return None if quantity is None or average is None else (status, quantity, average)


def _status(signed: SignedOrder, report: ExecutionReport, filled: Decimal) -> OrderStatus | None:
    status, has_filled = report.status, filled > 0
    if filled < 0:
        return None
    if status in _ENDED:
        return _ENDED[status]
    if status is ExecutionStatus.REJECTED:
        return OrderStatus.CANCELLED if has_filled else OrderStatus.REJECTED
    if status is ExecutionStatus.ACCEPTED and not has_filled:
        return OrderStatus.ACKNOWLEDGED
    if not has_filled or status is ExecutionStatus.UNKNOWN:
        return None
    if signed.venue is Venue.HYPERLIQUID and _is_over_with_a_rest(signed, report):
        return OrderStatus.CANCELLED
    return OrderStatus.FILLED if status is ExecutionStatus.FILLED else OrderStatus.PARTLY_FILLED


def _is_over_with_a_rest(signed: SignedOrder, report: ExecutionReport) -> bool:
    """What an immediate order could not fill is cancelled there, and the venue says "filled"."""
    if report.status is ExecutionStatus.FILLED:
        return report.remaining_quantity is not None and Decimal(report.remaining_quantity) > 0
    order: Any = signed.order
    return _is_order_of_its_own(signed) and (
        order.type is OrderType.MARKET or order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    )


def _amount(signed: SignedOrder) -> Decimal | None:
    """What an order spends, where it says that and no quantity."""
    order: Any = signed.order
    if signed.action is not Action.PLACE or order.quote_quantity is None:
        return None
    mantissa, scale = decimal_of(order.quote_quantity, "quote_quantity")
    return Decimal(mantissa).scaleb(-scale, _EXACT)


def _price(signed: SignedOrder, report: ExecutionReport, filled: Decimal) -> Decimal | None:
    """The average price. Of an order by what it spends it is not above what it could be: venues
    round an average, and filled times that may be above the amount by less than its last digit.
    """
    if not filled or report.average_price is None:
        return None
    price = Decimal(report.average_price)
    amount = _amount(signed)
    if price <= 0:
        return None
    if amount is None or _EXACT.multiply(filled, price) <= amount:
        return price
    last = Decimal(1).scaleb(int(price.as_tuple().exponent))
    rounded = _EXACT.multiply(filled, _EXACT.subtract(price, last)) <= amount
    return _DOWN.divide(amount, filled) if rounded else price


def exact(value: Decimal) -> tuple[int, int] | None:
    """A decimal as it is; None for what an engine's decimals do not hold."""
    found = down(value)
    is_whole = found is not None and Decimal(found[0]).scaleb(-found[1], _EXACT) == value
    return found if is_whole else None


def down(value: Decimal) -> tuple[int, int] | None:
    """A decimal with as many digits as there may be, the rest cut off; None for what is more than
    an engine's decimals hold.
    """
    for scale in range(_SCALE_MAX, -1, -1):
        mantissa = int(_EXACT.scaleb(value, scale))
        if mantissa <= _MANTISSA_MAX:
            while scale > 0 and mantissa % 10 == 0:
                mantissa, scale = mantissa // 10, scale - 1
            return mantissa, scale
    return None
