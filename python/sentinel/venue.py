"""Orders in neutral fields, as venue test vectors write them, for the environment `lab`.

A neutral order is a JSON object; null means absent, which is not zero. `neutral_order` gives the
order and the table rows that it needs, with fixed ids: a throw-away engine has one agent, one
instrument, one asset, one network and one key. A field that no struct has is refused, never left
out. What is not given stays out of the request (`lab_waive`).

>>> lab = neutral_order({"venue": "binance_spot", "action": "cancel", "symbol": "BTCUSDT",
...                      "order_id": "28457", "timestamp_ms": 1700000000008})
>>> lab.order.describe(), lab.symbol, len(lab.pack())
("cancel the venue's order 28457", 'BTCUSDT', 256)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ._enums import (
    ID_BYTES_MAX,
    Account,
    Contract,
    MarginMode,
    OrderType,
    PositionSide,
    Priority,
    QueryWhat,
    Side,
    TimeInForce,
    TriggerBy,
    TriggerDirection,
    Unit,
    Venue,
    label,
)
from ._status import Reason
from .errors import OrderInvalid
from .order import (
    Amend,
    Cancel,
    CancelAll,
    CancelAllAfter,
    Message,
    Order,
    Place,
    Query,
    Transfer,
    Withdraw,
)

__all__ = ["LAB_ID", "LabOrder", "neutral_order"]

LAB_ID: Final = 1
"""The id of the one agent, instrument, asset, network, key and action of a lab engine."""

_MARKETS: Final[dict[Venue, dict[str, Contract | None]]] = {
    Venue.BINANCE_SPOT: {"spot": Contract.SPOT, "wallet": Contract.SPOT},
    Venue.BINANCE_USDM: {"usdm": Contract.LINEAR},
    Venue.BYBIT: {
        "linear": Contract.LINEAR,
        "inverse": Contract.INVERSE,
        "spot": Contract.SPOT,
        "option": Contract.OPTION,
        "funding": None,
        "all": None,
    },
    Venue.OKX: {
        "spot": Contract.SPOT,
        "margin": Contract.SPOT,
        "swap": None,
        "futures": None,
        "option": Contract.OPTION,
        "funding": None,
        "all": None,
    },
    Venue.DERIBIT: {
        "perp": None,
        "future": None,
        "spot": Contract.SPOT,
        "option": Contract.OPTION,
        "wallet": None,
        "all": None,
    },
    Venue.HYPERLIQUID: {"perp": Contract.LINEAR, "spot": Contract.SPOT},
}
"""What `market` may say of a venue, and what its instruments then are; None where the symbol says
it, or nothing does.
"""

_ACCOUNTS: Final = {
    "main": Account.SPOT,
    "fund": Account.FUNDING,
    "uta": Account.UNIFIED,
    "trading": Account.UNIFIED,
    "6": Account.FUNDING,  # OKX's numbers
    "18": Account.UNIFIED,
    "perp": Account.USDM,
    "umfuture": Account.USDM,
    "cmfuture": Account.COINM,
    **{label(account): account for account in Account},
}
_ADDRESS: Final = re.compile("0x[0-9a-fA-F]{40}")
_ID: Final = re.compile(f"[A-Za-z0-9._-]{{1,{ID_BYTES_MAX}}}")
_DIRECTIONS: Final = {
    1: TriggerDirection.RISE,
    2: TriggerDirection.FALL,
    "rise": TriggerDirection.RISE,
    "fall": TriggerDirection.FALL,
}


@dataclass(frozen=True, slots=True)
class LabOrder:
    """A neutral order: the order, and what its rows have to say.

    `symbol`, `asset` and `network` are as the venue writes them; None where the order has none.
    `timestamp_ms` is the engine's time (Unix milliseconds). `index`: Hyperliquid's number of the
    instrument; `token`: of the asset, in hex; `account`: whom the key acts for there.
    """

    order: Order
    venue: Venue
    contract: Contract
    timestamp_ms: int
    symbol: str | None = None
    asset: str | None = None
    network: str | None = None
    index: int = 0
    token: str = ""
    account: str = ""

    @property
    def unit(self) -> Unit:
        """What quantities of the instrument count, as the venue takes them."""
        if self.contract is Contract.SPOT:
            return Unit.BASE
        if self.venue is Venue.OKX:
            return Unit.CONTRACTS
        return Unit.QUOTE if self.contract is Contract.INVERSE else Unit.BASE

    @property
    def settle(self) -> str:
        """The code of the asset that the instrument settles in, where a request says it."""
        if self.venue is not Venue.DERIBIT:
            return "QUOTE"
        return (self.symbol or "").partition("-")[0].rpartition("_")[2] or "QUOTE"

    def pack(self) -> bytes:
        """The order's struct for a lab engine. Raises OrderInvalid for what does not fit."""
        return self.order.pack(agent=LAB_ID, action_id=LAB_ID)


def missing(name: str) -> OrderInvalid:
    """A field is needed, and is not there."""
    return OrderInvalid(f"{name} is missing", reason=Reason.ORDER_FIELDS, next_step="give it")


class _Neutral:
    """A neutral order that is being read: what is never asked for is refused in the end."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._left = {name: value for name, value in fields.items() if value is not None}

    def take(self, name: str, *kinds: type) -> Any:
        """The field's value, None if absent. Raises OrderInvalid for another type."""
        value = self._left.pop(name, None)
        if value is not None and (
            not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        ):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise OrderInvalid(f"{name}: {value!r} is no {wanted}", reason=Reason.ORDER_FIELDS)
        return value

    def need(self, name: str, *kinds: type) -> Any:
        """The field's value. Raises OrderInvalid if it is absent."""
        value = self.take(name, *kinds)
        if value is None:
            raise missing(name)
        return value

    def assume(self, name: str, value: str) -> None:
        """What the field says when it is absent."""
        self._left.setdefault(name, value)

    def peek(self, name: str) -> str:
        """The field's text, still to be taken; empty if there is none."""
        value = self._left.get(name)
        return value if isinstance(value, str) else ""

    def member(self, name: str, members: Mapping[Any, Any]) -> Any:
        """One of the members by its name in lower case, None if absent."""
        value = self.take(name, str, int)
        key = value.lower() if isinstance(value, str) else value
        if value is not None and key not in members:
            known = ", ".join(str(member) for member in members)
            raise OrderInvalid(
                f"{name}: {value!r} is none of {known}",
                reason=Reason.ORDER_ENUM,
                next_step="give one of these",
            )
        return members[key] if value is not None else None

    def need_member(self, name: str, members: Mapping[Any, Any]) -> Any:
        """The same. Raises OrderInvalid if it is absent."""
        if name not in self._left:
            raise missing(name)
        return self.member(name, members)

    def number(self, name: str) -> int | None:
        """An integer, or its decimal digits as text."""
        value: int | str | None = self.take(name, int, str)
        if isinstance(value, str):
            if not (value.isascii() and value.isdecimal() and len(value) <= 20):
                raise OrderInvalid(f"{name}: {value!r} is no integer", reason=Reason.ORDER_FIELDS)
            value = int(value)
        if value is not None and not 0 <= value < 2**64:
            raise OrderInvalid(
                f"{name}: {value} is negative or does not fit into 64 bits",
                reason=Reason.ORDER_FIELDS,
            )
        return value

    def end(self) -> None:
        """Raises OrderInvalid when a field was not used."""
        if self._left:
            names = ", ".join(sorted(self._left))
            raise OrderInvalid(
                f"this action has no field for {names}",
                reason=Reason.UNSUPPORTED,
                next_step="leave it out: nothing that was asked for is left out silently",
            )


def _names(kind: type[Any]) -> dict[str, Any]:
    return {label(member): member for member in kind}


def _time_in_force(fields: _Neutral) -> TimeInForce:
    tif: TimeInForce | None = fields.member("tif", _names(TimeInForce))
    post_only = fields.take("post_only", bool)
    if not post_only:
        return tif or TimeInForce.NONE
    if tif not in (None, TimeInForce.GTC, TimeInForce.POST_ONLY):
        raise OrderInvalid(f"post_only: does not go with {label(tif)}", reason=Reason.ORDER_FIELDS)
    return TimeInForce.POST_ONLY


def _terms(fields: _Neutral) -> dict[str, Any]:
    """What a place and an amend have in common."""
    return {
        "time_in_force": _time_in_force(fields),
        "quantity": fields.take("qty", str),
        "price": fields.take("price", str),
        "trigger_price": fields.take("stop_price", str),
        "reduce_only": fields.take("reduce_only", bool),
    }


def _target(fields: _Neutral) -> dict[str, Any]:
    return {
        "target_venue_id": _id(fields, "order_id"),
        "target_client_id": _id(fields, "client_order_id"),
    }


def _id(fields: _Neutral, name: str) -> str | None:
    """An id: nothing in it needs escaping at any venue."""
    value: str | None = fields.take(name, str)
    if value is not None and _ID.fullmatch(value) is None:
        raise OrderInvalid(
            f"{name}: {value!r} is not 1 to {ID_BYTES_MAX} letters, digits, '.', '_' or '-'",
            reason=Reason.ORDER_TEXT,
        )
    return value


def _place(fields: _Neutral, common: dict[str, Any]) -> Place:
    return Place(
        side=fields.need_member("side", _names(Side)),
        type=fields.need_member("type", _names(OrderType)),
        quote_quantity=fields.take("quote_qty", str),
        close_on_trigger=fields.take("close_on_trigger", bool),
        expire_ms=fields.take("expire_ms", int),
        position_side=fields.member("position_side", _names(PositionSide)),
        margin_mode=fields.member("margin_mode", _names(MarginMode)),
        trigger_by=fields.member("trigger_by", _names(TriggerBy)),
        trigger_direction=fields.member("trigger_direction", _DIRECTIONS),
        **_terms(fields),
        **_name(fields),
        **common,
    )


def _amend(fields: _Neutral, common: dict[str, Any]) -> Amend:
    """Neutral amends may leave the type out: without a trigger they are of limit orders. They may
    leave the side out too, where the venue is not told it.
    """
    target = _target(fields)
    name = {}
    if None not in target.values():  # the venue's number says which; the name is a new one
        name = {"tag": target["target_client_id"], "lab_client_id": True}
        target["target_client_id"] = None
    return Amend(
        side=fields.member("side", _names(Side)) or Side.BUY,
        type=fields.member("type", _names(OrderType)) or OrderType.LIMIT,
        **_terms(fields),
        **target,
        **name,
        **common,
    )


def _cancel(fields: _Neutral, common: dict[str, Any]) -> Cancel:
    return Cancel(**_target(fields), **common)


def _cancel_all_after(fields: _Neutral, common: dict[str, Any]) -> CancelAllAfter:
    timeout_s = fields.number("timeout_s")
    return CancelAllAfter(
        timeout_ms=None if timeout_s is None else timeout_s * 1000,
        at_ms=fields.take("trigger_time_ms", int),
        **common,
    )


def _query(fields: _Neutral, common: dict[str, Any], what: QueryWhat | None) -> Query:
    """A plain "query" asks for the order that it names, or for the open ones."""
    target = _target(fields)
    named = any(value is not None for value in target.values())
    what = what or (QueryWhat.ORDER if named else QueryWhat.OPEN_ORDERS)
    if what == QueryWhat.ORDER:
        common = common | {"venue": None}
    return Query(
        what=what,
        start_ms=fields.take("start_ms", int),
        end_ms=fields.take("end_ms", int),
        limit=fields.take("limit", int),
        **target,
        **common,
    )


def _withdraw(fields: _Neutral, common: dict[str, Any]) -> Withdraw:
    return Withdraw(
        network=LAB_ID,
        amount=fields.need("amount", str),
        address=fields.need("address", str),
        memo=fields.take("memo", str),
        from_account=fields.member("from_account", _ACCOUNTS),
        priority=fields.member("priority", _names(Priority)),
        **_name(fields),
        **common,
    )


def _transfer(fields: _Neutral, common: dict[str, Any]) -> Transfer:
    """To somebody else's address, no wallet needs to be named: it stays in the one it is in."""
    destination = fields.take("address", str) or ""
    member = fields.member if destination else fields.need_member
    return Transfer(
        amount=fields.need("amount", str),
        from_account=member("from_account", _ACCOUNTS) or Account.USDM,
        to_account=member("to_account", _ACCOUNTS) or Account.USDM,
        destination=destination,
        **_name(fields, "transfer_id"),
        **common,
    )


def _message(fields: _Neutral, common: dict[str, Any]) -> Message:
    return Message(text=fields.need("message_text", str), **common)


def _name(fields: _Neutral, field: str = "client_order_id") -> dict[str, Any]:
    name = _id(fields, field) or _id(fields, "client_order_id")
    return {"tag": name, "lab_client_id": True} if name is not None else {}


_ACTIONS: Final[dict[str, Callable[[_Neutral, dict[str, Any]], Order]]] = {
    "place": _place,
    "amend": _amend,
    "cancel": _cancel,
    "cancel_all": lambda fields, common: CancelAll(**common),
    "cancel_all_after": _cancel_all_after,
    "withdraw": _withdraw,
    "transfer": _transfer,
    "message": _message,
    "query": lambda fields, common: _query(fields, common, None),
    "query_order": lambda fields, common: _query(fields, common, QueryWhat.ORDER),
    "open_orders": lambda fields, common: _query(fields, common, QueryWhat.OPEN_ORDERS),
    "fills": lambda fields, common: _query(fields, common, QueryWhat.FILLS),
}
_LOGINS: Final = ("auth", "login", "logon", "session.logon")
_WALLET: Final = ("withdraw", "transfer")
_BY_ID: Final = ("amend", "cancel", "query_order")
_SCOPED: Final = ("cancel_all", "cancel_all_after", "query", "open_orders", "fills")


def _common(fields: _Neutral, action: str, rows: Mapping[str, str | None]) -> dict[str, Any]:
    """The header's lab fields, and the ids of the rows that this action has."""
    expiry = fields.number("recv_window")
    common: dict[str, Any] = {
        "lab_waive": True,
        "lab_testnet": rows["network"] == "test",
        "lab_nonce": fields.number("nonce"),
        "lab_expiry": fields.number("expires_after") if expiry is None else expiry,
    }
    if action in _WALLET:
        return common | {"asset": LAB_ID}
    if action == "message":
        return common
    common["instrument"] = LAB_ID if rows["symbol"] is not None else None
    if rows.get("contract") is not None:
        common["contract"] = Contract[str(rows["contract"])]
    if action in _SCOPED and rows["symbol"] is None:
        common["venue"] = Venue[str(rows["venue"])]
    if action == "cancel_all" and rows["asset"] is not None:
        common["asset"] = LAB_ID
    return common


def neutral_order(fields: Mapping[str, Any]) -> LabOrder:
    """Reads a neutral order.

    Raises OrderInvalid for an action, a field or a value that no struct can say; what the venue
    cannot do is said by the core.
    """
    left = _Neutral(fields)
    action = left.need("action", str)
    if action in _LOGINS:
        raise OrderInvalid(
            f"action: {action!r} is a login: it opens a session with all the power of the key, so"
            " it is never signed",
            reason=Reason.UNSUPPORTED,
            next_step="have each order signed by itself; no session is needed for that",
        )
    if action not in _ACTIONS:
        known = ", ".join(_ACTIONS)
        raise OrderInvalid(f"action: {action!r} is none of {known}", reason=Reason.UNSUPPORTED)
    venue = left.member("venue", _names(Venue)) or Venue.NONE
    market = left.take("market", str)
    markets = _MARKETS.get(venue, {})
    if markets and market is not None and market not in markets:
        raise OrderInvalid(
            f"market: {market!r} is not of {label(venue)}",
            reason=Reason.UNSUPPORTED,
            next_step=f"leave it out, or give one of {', '.join(markets)}",
        )
    # Only an action that can use them takes the rows; otherwise they are left, and refused.
    wallet = action in _WALLET
    symbol = None if wallet else left.take("symbol", str)
    if venue is Venue.DERIBIT and symbol is None and action in _BY_ID:
        symbol = "UNNAMED"  # Deribit's own ids need no instrument beside them
    if venue is Venue.DERIBIT and action == "transfer":
        left.assume("from_account", "unified")  # where an account has one wallet
        left.assume("to_account", "subaccount")
    asset = left.need("asset", str) if wallet else None
    if action == "cancel_all":
        asset = left.take("asset", str)
    ours = venue is Venue.HYPERLIQUID
    if ours and symbol is not None:
        # The venue is told the number; its names ("@107", "PURR/USDC") are no symbols of ours.
        symbol = re.sub("[^A-Za-z0-9._-]", "-", symbol)
    network = left.take("network", str) if ours or action == "withdraw" else None
    timestamp_ms: int = left.need("timestamp_ms", int)
    contract = markets.get(market or "") or _contract_of(venue, symbol)
    rows = {"symbol": symbol, "asset": asset, "venue": venue.name, "network": None}
    extra = _hyperliquid(left, network, rows) if ours else {}
    told_the_side = venue in (Venue.BINANCE_USDM, Venue.HYPERLIQUID)
    if told_the_side and action == "amend" and not left.peek("side"):
        raise missing("side")
    if symbol is None and action in ("place", *_BY_ID):
        raise missing("symbol")
    if action in ("cancel_all", "open_orders", "fills", "query") and symbol is None:
        rows["contract"] = contract.name if venue is Venue.BYBIT and market else None
    order = _ACTIONS[action](left, _common(left, action, rows))
    left.end()
    code, _, token = (asset or "").partition(":")
    return LabOrder(
        order=order,
        venue=venue,
        contract=contract,
        timestamp_ms=timestamp_ms,
        symbol=symbol,
        asset=code if asset is not None else None,
        network=None if ours else network,
        token=token,
        **extra,
    )


def _contract_of(venue: Venue, symbol: str | None) -> Contract:
    """What an instrument is, by how the venue writes its symbol."""
    name = symbol or ""
    if venue is Venue.OKX:
        parts = name.split("-")
        if len(parts) == 2:
            return Contract.SPOT
        if len(parts) == 5:
            return Contract.OPTION
        return Contract.INVERSE if parts[1:2] == ["USD"] else Contract.LINEAR
    if venue is Venue.DERIBIT:
        return Contract.LINEAR if "_" in name else Contract.INVERSE
    return next(
        (kind for kind in _MARKETS.get(venue, {}).values() if kind is not None), Contract.LINEAR
    )


def _hyperliquid(
    fields: _Neutral, network: str | None, rows: dict[str, str | None]
) -> dict[str, Any]:
    """What only Hyperliquid's orders say: the network, the instrument's number, a vault."""
    is_mainnet = fields.take("is_mainnet", bool)
    if network is None:
        network = "test" if is_mainnet is False else "main"
    if network not in ("main", "test") or is_mainnet not in (None, network == "main"):
        raise OrderInvalid(
            f"network: {network!r} is neither main nor test, or is_mainnet disagrees",
            reason=Reason.ORDER_FIELDS,
        )
    rows["network"] = network
    index = fields.number("asset_id") or 0
    vault = fields.take("vault_address", str)
    if vault is not None and _ADDRESS.fullmatch(vault) is None:
        raise OrderInvalid(
            f"vault_address: {vault!r} is no address",
            reason=Reason.ORDER_TEXT,
            next_step="give 0x and 40 hexadecimal digits",
        )
    tpsl = fields.take("tpsl", str)
    wanted = {"sl": "stop_", "tp": "take_profit_"}.get(tpsl or "", "")
    if tpsl is not None and not (wanted and fields.peek("type").startswith(wanted)):
        raise OrderInvalid(f"tpsl: {tpsl!r} does not go with the type", reason=Reason.ORDER_FIELDS)
    return {"index": index, "account": f"vault-{vault.lower()}" if vault else ""}
