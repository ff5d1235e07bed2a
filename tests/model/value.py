"""What an order is worth, as docs/2-policy.md has it under "Value": exact integers, rounded up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.beats import Beat
from tests.model.names import (
    INT64_MAX,
    UINT128_MAX,
    Action,
    Contract,
    MarkKind,
    Reason,
    Side,
    Unit,
)
from tests.model.reports import Positions
from tests.model.stops import Stops
from tests.model.tables import Asset, Decimal, Destination, Instrument, Policy

FUNDS = {Action.WITHDRAW, Action.TRANSFER}


class Mark(NamedTuple):
    price: Decimal  # normalised
    time: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What policy judges: an order with its rows looked up."""

    agent: int  # id
    action: Action
    venue: int
    instrument: Instrument | None = None
    asset: Asset | None = None
    side: int = 0
    type: int = 0
    tif: int = 0
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    amount: Decimal | None = None
    destination: Destination | None = None
    reduce_only: int | None = None
    position_side: int = 0
    lineage: tuple[int, ...] = ()  # ids of the agents whose actions it follows from
    lineage_ends: Reason = Reason.NONE  # why its next step is refused


WindowKey = tuple[int, int]  # constraint id, agent id or 0 where shared
Events = list[tuple[int, int]]  # (time, amount), oldest first


@dataclass
class State:
    stops: Stops = field(default_factory=dict)
    marks: dict[tuple[int, int], Mark] = field(default_factory=dict)  # by MarkKind and id
    windows: dict[WindowKey, Events] = field(default_factory=dict)
    last_now: int = 0
    positions: Positions = field(default_factory=dict)
    beats: dict[int, Beat] = field(default_factory=dict)  # of agents that have beaten
    destinations: list[tuple[int, int, str, str]] = field(default_factory=list)  # signed for


class Overflow(Exception):
    """A product left 128 bits, or a result 63."""


class Unvalued(Exception):
    """A quantity that policy needs cannot be known; the reason says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def product(*factors: int) -> int:
    """Left to right in unsigned 128 bits; raises Overflow."""
    total = 1
    for factor in factors:
        total *= factor
        if total > UINT128_MAX:
            raise Overflow
    return total


def ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def at_most_int64(value: int) -> int:
    if value > INT64_MAX:
        raise Overflow
    return value


def fresh(mark: Mark | None, max_age: int, now: int) -> Decimal:
    """The mark's price; raises Unvalued when it is absent or stale."""
    if mark is None:
        raise Unvalued(Reason.MARK_ABSENT)
    if now - mark.time > max_age:
        raise Unvalued(Reason.MARK_STALE)
    return mark.price


def greatest(*decimals: Decimal) -> Decimal:
    best = decimals[0]
    for other in decimals[1:]:
        if other.mantissa * 10**best.scale > best.mantissa * 10**other.scale:
            best = other
    return best


# ---- Value ----------------------------------------------------------------


def asset_in_usd(policy: Policy, state: State, asset_id: int, now: int) -> Decimal:
    asset = policy.asset_of[asset_id]
    if asset.mark_asset != 0:
        asset = policy.asset_of[asset.mark_asset]
    if asset.par_micro_usd > 0:
        return Decimal(asset.par_micro_usd, 6).normalised()
    return fresh(state.marks.get((MarkKind.ASSET, asset.id)), policy.mark_max_age_ns, now)


class Product(NamedTuple):
    """What is multiplied, from left to right; the band, where there is one, comes last."""

    factors: list[Decimal]
    banded: bool = False

    def micro_usd(self, band_ppm: int) -> int:
        """Rounded up; raises Overflow."""
        mantissas = [factor.mantissa for factor in self.factors]
        scale = sum(factor.scale for factor in self.factors)
        if self.banded:
            mantissas.append(1_000_000 + band_ppm)
            scale += 6
        total = product(*mantissas)
        if scale >= 6:
            return at_most_int64(ceil_div(total, 10 ** (scale - 6)))
        return at_most_int64(product(total, 10 ** (6 - scale)))


def instrument_mark(policy: Policy, state: State, instrument: Instrument, now: int) -> Decimal:
    fed = state.marks.get((MarkKind.INSTRUMENT, instrument.id))
    return fresh(fed, policy.mark_max_age_ns, now)


def price_base(policy: Policy, state: State, subject: Subject, now: int) -> tuple[Decimal, bool]:
    """The price by which a quantity is valued, and whether the band is added to it."""
    assert subject.instrument is not None
    price = subject.price.normalised() if subject.price is not None else None
    trigger = subject.trigger_price.normalised() if subject.trigger_price is not None else None
    if price is not None and subject.side == Side.BUY:
        return price, False
    mark = instrument_mark(policy, state, subject.instrument, now)
    if price is not None:
        others = [mark] if trigger is None else [mark, trigger]
        return greatest(price, *others), False
    return (mark if trigger is None else greatest(trigger, mark)), True


def quantity_factors(subject: Subject) -> list[Decimal]:
    """quantity × [multiplier]."""
    assert subject.instrument is not None
    assert subject.quantity is not None
    factors = [subject.quantity.normalised()]
    if subject.instrument.unit == Unit.CONTRACTS:
        factors.append(subject.instrument.multiplier.normalised())
    return factors


def option_sale(policy: Policy, state: State, subject: Subject, now: int) -> list[Product]:
    """What the seller of an option may have to pay, and what it may have to deliver."""
    row = subject.instrument
    assert row is not None
    in_usd = Decimal(1, 0)
    if row.quote != row.base:
        in_usd = asset_in_usd(policy, state, row.quote, now)
    base = asset_in_usd(policy, state, row.base, now)
    quantity = quantity_factors(subject)
    return [Product([*quantity, row.strike.normalised(), in_usd]), Product([*quantity, base])]


def value_products(policy: Policy, state: State, subject: Subject, now: int) -> list[Product]:
    """The products of which the greatest is the value; raises Unvalued."""
    if subject.action in FUNDS:
        assert subject.amount is not None
        assert subject.asset is not None
        usd = asset_in_usd(policy, state, subject.asset.id, now)
        return [Product([subject.amount.normalised(), usd])]
    row = subject.instrument
    assert row is not None
    if subject.quote_quantity is not None:
        if row.contract not in (Contract.SPOT, Contract.LINEAR):
            raise Unvalued(Reason.UNSUPPORTED)
        usd = asset_in_usd(policy, state, row.quote, now)
        return [Product([subject.quote_quantity.normalised(), usd])]
    if subject.quantity is None:
        raise Unvalued(Reason.UNSUPPORTED)
    match row.contract, subject.side:
        case Contract.INVERSE, _:
            usd = asset_in_usd(policy, state, row.quote, now)
            return [Product([*quantity_factors(subject), usd])]
        case Contract.OPTION, Side.SELL:
            return option_sale(policy, state, subject, now)
        case Contract.QUANTO, _:
            paid_in = row.settle
        case _:
            paid_in = row.quote
    price, banded = price_base(policy, state, subject, now)
    usd = asset_in_usd(policy, state, paid_in, now)
    return [Product([*quantity_factors(subject), price, usd], banded)]


def order_value(policy: Policy, state: State, subject: Subject, now: int) -> int:
    """Micro-USD, rounded up; raises Unvalued."""
    products = value_products(policy, state, subject, now)
    try:
        return max(each.micro_usd(policy.market_band_ppm) for each in products)
    except Overflow:
        raise Unvalued(Reason.VALUE_OVERFLOW) from None
