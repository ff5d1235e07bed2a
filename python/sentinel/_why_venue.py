"""What a venue has not, by the order that asked for it: the words behind the reason `unsupported`.

The venues' files of the core decide (core/src/venue_*.c); docs/venues/ says the same at length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from . import _core
from ._advice import Advice
from ._enums import (
    Action,
    Contract,
    OrderType,
    TimeInForce,
    Unit,
    Venue,
    label,
)
from ._order import Order
from ._venue_rows import not_traded
from .order import Amend, CancelAll, CancelAllAfter, Place, Query, Transfer, Withdraw
from .policy import Node, Policy
from .units import Quantity

__all__ = ["FUNDS", "Case", "unsupported"]

_PAGES: Final = {Venue.BINANCE_SPOT: "binance", Venue.BINANCE_USDM: "binance"}
_ORDERS: Final = (Action.PLACE, Action.AMEND)
FUNDS: Final = (Action.WITHDRAW, Action.TRANSFER)
_TRIGGERED: Final = (
    OrderType.STOP_MARKET,
    OrderType.STOP_LIMIT,
    OrderType.TAKE_PROFIT_MARKET,
    OrderType.TAKE_PROFIT_LIMIT,
)
_LIMITS: Final = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)


@dataclass(frozen=True, slots=True)
class Case:
    """A refused order, and what is known of what it is about; None where it is not."""

    order: Order
    venue: Venue
    now_ms: int
    name: str = ""
    contract: Contract | None = None
    unit: Unit | None = None
    tick: Quantity | None = None
    lot: Quantity | None = None
    is_test: bool = False
    policy: Policy | None = None
    agent: Node | None = None

    @property
    def at(self) -> str:
        """The venue's name."""
        return label(self.venue)

    def has(self, field: str) -> bool:
        """Whether the order gives a field."""
        return bool(getattr(self.order, field, None) not in (None, 0, ""))


def unsupported(case: Case) -> Advice | None:
    if not case.venue:
        return _amend_unsupported() if isinstance(case.order, Amend) else None
    if _core.hold(case.venue, case.order.ACTION) is None:
        return _no_action(case)
    for find in (_no_instrument, _no_field, _no_terms, _no_funds, _no_scope):
        found = next(find(case), None)
        if found is not None:
            return found
    if isinstance(case.order, Amend):
        return _amend_unsupported()
    page = _PAGES.get(case.venue, case.at)
    return Advice(
        f"{case.at} has {label(case.order.ACTION)}, but not with all fields and values of this one",
        f"compare it with docs/venues/{page}.md, and leave out what is not there",
    )


def _no_action(case: Case) -> Advice:
    action = case.order.ACTION
    known = [label(a) for a in Action if _core.hold(case.venue, a) is not None]
    if action is Action.CANCEL_ALL:
        return Advice(f"{case.at} has no cancel_all", "cancel each order, or use cancel_all_after")
    if action is Action.QUERY:
        return Advice(
            f"{case.at} has no signed queries: what they would ask is public there",
            "ask its `info` endpoint with the account's address",
        )
    if action in FUNDS:
        return Advice(
            f"{case.at} has no {label(action)}; the wallet is reached by keys of binance_spot",
            "use a binance_spot key with `products: [wallet]`",
        )
    return Advice(f"{case.at} has no {label(action)}", f"it has {', '.join(known)}")


def _no_instrument(case: Case) -> Iterator[Advice]:
    if case.contract is None or case.order.ACTION not in _ORDERS:
        return
    found = not_traded(case.name or "the instrument", case.venue, case.contract, case.unit)
    if found is not None:
        yield Advice(*found)


def _no_field(case: Case) -> Iterator[Advice]:
    """Fields that only some venues have."""
    only: dict[str, tuple[Venue, ...]] = {
        "margin_mode": (Venue.OKX,),
        "trigger_direction": (Venue.BYBIT,),
        "close_on_trigger": (Venue.BYBIT,),
        "position_side": (Venue.BINANCE_USDM, Venue.BYBIT, Venue.OKX),
        "expire_ms": (Venue.BINANCE_USDM,),
        "priority": (Venue.DERIBIT,),
        "lab_nonce": (Venue.DERIBIT, Venue.HYPERLIQUID),
        "quote_quantity": (Venue.BINANCE_SPOT, Venue.BYBIT, Venue.OKX),
    }
    order = case.order
    dated = isinstance(order, Place) and order.time_in_force is TimeInForce.GTD
    if dated and case.venue is not Venue.BINANCE_USDM:
        yield Advice(
            f"{case.at} has no good-till-date orders",
            "use gtc, leave expire_ms out, and cancel the order when its time has come",
        )
    for field, venues in only.items():
        if case.has(field) and case.venue not in venues:
            names = " and ".join(label(venue) for venue in venues)
            what = field.removeprefix("lab_")
            yield Advice(
                f"{case.at} has no parameter for {what}; that is of {names}", "leave it out"
            )
    spot = case.contract is Contract.SPOT
    if spot and case.has("reduce_only") and getattr(order, "margin_mode", None) is None:
        yield Advice(
            "reduce_only: on spot there is no position that could be reduced", "leave it out"
        )
    if case.has("quote_quantity") and not spot:
        yield Advice(
            f"{case.at} takes a quantity in quote currency on spot alone", "give `quantity`"
        )
    if order.lab_client_id:
        yield Advice(
            f"{case.at} gives no name to a {label(order.ACTION)}", "leave client_order_id out"
        )


def _no_terms(case: Case) -> Iterator[Advice]:
    """Types, prices and triggers that do not go together at the venue."""
    order = case.order
    if not isinstance(order, Place):
        return
    ours = case.venue is Venue.HYPERLIQUID
    kind = label(order.type)
    if ours and order.price is None:
        yield Advice(
            "hyperliquid has no order without a price: at market, an order has the worst price that"
            " may be taken",
            "give `price`, the worst that you would take",
        )
    if ours and order.time_in_force is TimeInForce.FOK:
        yield Advice("hyperliquid has no fill-or-kill orders", "use ioc")
    if not ours and order.price is not None and order.type not in _LIMITS:
        yield Advice(
            f"a {kind} order has no price at {case.at}; a worst price is for hyperliquid alone",
            "leave `price` out, or place a limit order with ioc",
        )
    if case.venue is Venue.OKX and case.contract is not Contract.SPOT and order.margin_mode is None:
        yield Advice(
            "okx wants the margin mode with each order of a contract",
            "give `margin_mode`: cross or isolated",
        )
    if case.venue is Venue.DERIBIT and order.type in _TRIGGERED and order.trigger_by is None:
        yield Advice(
            "deribit wants to know which price triggers an order",
            "give `trigger_by`: last, mark or index",
        )
    if order.time_in_force is TimeInForce.POST_ONLY and order.type is not OrderType.LIMIT:
        yield Advice(
            f"a {kind} order cannot be post_only at {case.at}", "use gtc, or a limit order"
        )
    if case.contract is Contract.OPTION and order.type is not OrderType.LIMIT:
        yield Advice(f"options of {case.at} have limit orders alone", "place a limit order")


def _no_funds(case: Case) -> Iterator[Advice]:
    order = case.order
    if not isinstance(order, Withdraw | Transfer):
        return
    withdraws = isinstance(order, Withdraw)
    if case.is_test and (
        case.venue is Venue.BINANCE_SPOT or (case.venue is Venue.OKX and withdraws)
    ):
        yield Advice(
            f"the test network of {case.at} has no {label(order.ACTION)}",
            "move funds with an engine of the environment live",
        )
    if case.has("memo") and case.venue in (Venue.DERIBIT, Venue.HYPERLIQUID):
        yield Advice(f"{case.at} takes no memo", "have the destination without one")
    if case.venue is Venue.DERIBIT and not withdraws:
        yield Advice(
            "deribit moves funds to a sub-account alone",
            "give from_account unified, to_account subaccount and a destination",
        )


def _no_scope(case: Case) -> Iterator[Advice]:
    order = case.order
    account = case.venue in (Venue.OKX, Venue.HYPERLIQUID)
    if isinstance(order, CancelAllAfter) and account and case.has("instrument"):
        yield Advice(
            f"{case.at} cancels the orders of the whole account",
            f'give "venue": "{case.at}" instead of the instrument',
        )
    if isinstance(order, CancelAll | Query) and not case.has("instrument"):
        if case.venue is Venue.BYBIT and not case.has("contract"):
            yield Advice(
                "bybit asks for the kind of contract",
                "give `contract`: spot, linear, inverse or option; or an instrument",
            )
        elif case.venue is not Venue.BYBIT and case.has("contract"):
            yield Advice(f"{case.at} has no parameter for contract", "leave it out")
        elif case.venue in (Venue.BINANCE_SPOT, Venue.BINANCE_USDM, Venue.DERIBIT):
            yield Advice(f"{case.at} has that of one instrument alone", "give `instrument` instead")


def _amend_unsupported() -> Advice:
    return Advice(
        "venues change quantity and price of an order that rests, not its type, time in force or"
        " reduce_only; binance_spot changes nothing",
        "cancel the order, and place a new one",
    )
