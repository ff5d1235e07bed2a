"""What a recorded order was worth when it was judged, where no rule needed to know.

The gate values an order only where a rule asks; people who approve it want to know anyhow. This is
docs/2-policy.md, "Value", once more: exact integers, by the policy and the marks of its record.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from . import units
from ._enums import VALUE_ACTIONS, Contract, MarkKind, Rule, Side, Unit, label
from ._order import DecimalText, Order, decimal_of
from ._record import Record, ResultFlag
from ._types import BookEntry, EngineState, Mark
from .audit import find_record, restore
from .config import Installed
from .errors import SentinelError
from .order import Amend, Place, Transfer, Withdraw, unpack
from .policy import Instrument, Policy, decode_policy

_INT64_MAX: Final = 2**63 - 1
_UINT128_MAX: Final = 2**128 - 1
_KEPT: Final = 512
_PPM: Final = 1_000_000

Number = tuple[int, int]
"""Mantissa and scale, normalised."""


class Value(NamedTuple):
    """An order's value. `micro_usd` is None where it is not known or there is none."""

    micro_usd: int | None
    text: str


class Unknown(Exception):
    """A value cannot be known; says why."""


class Terms(NamedTuple):
    """What is valued of a place or an amend."""

    instrument: Instrument
    side: Side
    quantity: DecimalText | None
    quote_quantity: DecimalText | None
    price: DecimalText | None
    trigger_price: DecimalText | None


def value_of(installed: Installed, record: Record) -> Value:
    """The value of an order's record. Reads no more than the files."""
    for row in record.results:
        if row.kind == Rule.VALUE_CAP and not row.flags & (
            ResultFlag.UNKNOWN | ResultFlag.SATURATED
        ):
            return Value(row.value, units.format_money(row.value))
    return _computed(str(installed.directory), record.number, record.hash)


@lru_cache(maxsize=_KEPT)
def _computed(directory: str, number: int, digest: bytes) -> Value:
    """A record's value never changes, and it takes the state of its time to work it out."""
    try:
        record = find_record(directory, number)
        order = unpack(record.subject).order
        if order.ACTION not in VALUE_ACTIONS:
            return Value(None, f"none: it is a {label(order.ACTION).replace('_', ' ')}")
        policy = decode_policy(Installed(directory).bundle(record.policy_hash))
        gate = restore(directory, record.number)
        terms = None
        if isinstance(order, Place | Amend):
            book = {row.action_id: row for row in gate.book()[0] if row.agent == record.agent}
            terms = _terms(directory, policy, order, book)
        found = Valuer(policy, gate.state(), record.now_ns).value(order, terms)
    except Unknown as why:
        return Value(None, f"not known: {why}")
    except (SentinelError, OSError) as error:
        return Value(None, f"not known: {error}")
    return Value(found, units.format_money(found))


def _terms(
    directory: str, policy: Policy, order: Place | Amend, book: Mapping[int, BookEntry]
) -> Terms:
    """An amend by action has instrument and side of the order that it amends."""
    rows = dict(book)
    id_, side, first = order.instrument, order.side, order
    while isinstance(first, Amend) and first.target_action is not None:
        row = rows.pop(first.target_action, None)
        if row is None:
            raise Unknown("the order that it amends is not in the book any more")
        id_ = row.instrument
        first = _order_of(directory, row.record)
        side = first.side
    if id_ is None or side is None or id_ not in policy.instruments:
        raise Unknown("it names no instrument of the policy")
    return Terms(
        policy.instruments[id_],
        side,
        order.quantity,
        getattr(order, "quote_quantity", None),
        order.price,
        order.trigger_price,
    )


def _order_of(directory: str, number: int) -> Place | Amend:
    found = unpack(find_record(directory, number).subject).order
    assert isinstance(found, Place | Amend)
    return found


def _number(text: DecimalText) -> Number:
    return _normal(*decimal_of(text))


def _normal(mantissa: int, scale: int) -> Number:
    """Trailing zeros go, as long as there is a scale."""
    while scale and mantissa % 10 == 0:
        mantissa, scale = mantissa // 10, scale - 1
    return mantissa, scale


def _greater(one: Number, other: Number) -> Number:
    """The first where they are equal."""
    return other if other[0] * 10 ** one[1] > one[0] * 10 ** other[1] else one


def _micro_usd(factors: list[Number]) -> int:
    """The product, rounded up to micro-USD."""
    product, scale = 1, 0
    for mantissa, digits in factors:
        product *= mantissa
        scale += digits
        if product > _UINT128_MAX:
            raise Unknown("it is too great")
    if scale >= 6:
        found: int = -(-product // 10 ** (scale - 6))
    else:
        found = product * 10 ** (6 - scale)
    if found > _INT64_MAX:
        raise Unknown("it is too great")
    return found


class Valuer:
    """A policy, and the marks of one moment."""

    def __init__(self, policy: Policy, state: EngineState, now_ns: int) -> None:
        self._policy, self._now = policy, now_ns
        self._marks = {(row.kind, row.id): row for row in state.marks}

    def value(self, order: Order, terms: Terms | None) -> int:
        """Micro-USD. Raises Unknown."""
        if isinstance(order, Withdraw | Transfer):
            usd = self._usd(order.asset)
            return _micro_usd([_number(order.amount), usd])
        assert terms is not None
        return max(map(_micro_usd, self._products(terms)))

    def _products(self, terms: Terms) -> list[list[Number]]:
        row = terms.instrument
        if terms.quote_quantity is not None:
            if row.contract not in (Contract.SPOT, Contract.LINEAR):
                raise Unknown(f"{label(row.contract)} has none by an amount to spend")
            return [[_number(terms.quote_quantity), self._usd(row.quote)]]
        if terms.quantity is None:
            raise Unknown("it names no quantity")
        amount = [_number(terms.quantity)]
        if row.unit is Unit.CONTRACTS:
            amount.append(_normal(*row.multiplier))
        if row.contract is Contract.INVERSE:
            return [[*amount, self._usd(row.quote)]]
        if row.contract is Contract.OPTION and terms.side is Side.SELL:
            in_usd = (1, 0) if row.quote == row.base else self._usd(row.quote)
            base = self._usd(row.base)
            return [[*amount, _normal(*row.strike), in_usd], [*amount, base]]
        price, band = self._price(terms)
        usd = self._usd(row.settle if row.contract is Contract.QUANTO else row.quote)
        return [[*amount, price, usd, *band]]

    def _price(self, terms: Terms) -> tuple[Number, list[Number]]:
        """The worst that it can come to, and the market's band where it names no price."""
        trigger = _number(terms.trigger_price) if terms.trigger_price is not None else (0, 0)
        limit = _number(terms.price) if terms.price is not None else None
        if limit is not None and terms.side is Side.BUY:
            return limit, []
        mark = self._fresh(MarkKind.INSTRUMENT, terms.instrument.id, terms.instrument.name)
        if limit is not None:
            return _greater(_greater(limit, mark), trigger), []
        return _greater(trigger, mark), [(_PPM + self._policy.market_band_ppm, 6)]

    def _usd(self, id_: int) -> Number:
        """The mark of an asset in USD."""
        asset = self._policy.assets[id_]
        if asset.mark_asset:
            asset = self._policy.assets[asset.mark_asset]
        if asset.par_micro_usd > 0:
            return _normal(asset.par_micro_usd, 6)
        return self._fresh(MarkKind.ASSET, asset.id, asset.name)

    def _fresh(self, kind: MarkKind, id_: int, name: str) -> Number:
        mark: Mark | None = self._marks.get((kind, id_))
        if mark is None:
            raise Unknown(f"no mark of {name} when it was asked for")
        if self._now - mark.time_ns > self._policy.mark_max_age_ns:
            raise Unknown(f"the mark of {name} was stale when it was asked for")
        return _normal(mark.mantissa, mark.scale)
