"""Orders: build them, pack them into the core's structs, read them back, say them in words.

Ids are integers here; `from_json` resolves names. Decimals are text, so that trailing zeros are
kept; a float is refused, because it has no exact text.

>>> order = Place(
...     instrument=3,
...     side=Side.BUY,
...     type=OrderType.LIMIT,
...     time_in_force=TimeInForce.GTC,
...     quantity="0.010",
...     price="65000.10",
... )
>>> data = order.pack(agent=7, action_id=1)
>>> len(data), unpack(data) == Envelope(agent=7, action_id=1, order=order)
(288, True)
>>> order.describe()
'buy 0.010 of instrument 3 at 65000.10, gtc'
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from ._enums import (
    ADDRESS_BYTES_MAX,
    ID_BYTES_MAX,
    MEMO_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    Account,
    Action,
    Contract,
    MarginMode,
    OrderType,
    PositionSide,
    Present,
    Priority,
    QueryWhat,
    Side,
    TimeInForce,
    TriggerBy,
    TriggerDirection,
    Venue,
    label,
)
from ._layout import Layout
from ._order import (
    BITS,
    COMMON,
    TARGET,
    TARGETS,
    DecimalText,
    Field,
    Name,
    Order,
    Resolve,
    decimal_text,
    layout_of,
)
from ._status import Reason
from .errors import OrderInvalid, SentinelError

__all__ = [
    "Account",
    "Amend",
    "Cancel",
    "CancelAll",
    "CancelAllAfter",
    "Contract",
    "DecimalText",
    "Envelope",
    "MarginMode",
    "Message",
    "Order",
    "OrderType",
    "Place",
    "PositionSide",
    "Priority",
    "Query",
    "QueryWhat",
    "Side",
    "TimeInForce",
    "Transfer",
    "TriggerBy",
    "TriggerDirection",
    "Venue",
    "Withdraw",
    "dtype",
    "from_json",
    "rows",
    "unpack",
]

_INSTRUMENT: Final = Field("instrument", "id", of="instrument")
_VENUE: Final = Field("venue", "enum", of=Venue)
_CONTRACT: Final = Field("contract", "enum", of=Contract)
_ASSET: Final = Field("asset", "id", of="asset")
_QUANTITY: Final = Field("quantity", "decimal", Present.QUANTITY)
_PRICE: Final = Field("price", "decimal", Present.PRICE)
_TRIGGER_PRICE: Final = Field("trigger_price", "decimal", Present.TRIGGER_PRICE)
_REDUCE_ONLY: Final = Field("reduce_only", "flag", Present.REDUCE_ONLY)
_SIDE: Final = Field("side", "enum", of=Side)
_TYPE: Final = Field("type", "enum", of=OrderType)
_TIME_IN_FORCE: Final = Field("time_in_force", "enum", of=TimeInForce)


def _terms(order: Place | Amend) -> str:
    price = f" at {order.price}" if order.price is not None else ""
    trigger = f", triggered at {order.trigger_price}" if order.trigger_price is not None else ""
    words = {OrderType.LIMIT: "", OrderType.MARKET: " at market"}
    type_ = OrderType(order.type)
    kind = words.get(type_, " as " + label(type_).replace("_", " "))
    tif = f", {label(TimeInForce(order.time_in_force))}" if order.time_in_force else ""
    reduce = ", reduce only" if order.reduce_only else ""
    return f"{kind}{price}{trigger}{tif.replace('_', ' ')}{reduce}"


def _target(order: Amend | Cancel | Query) -> str:
    if order.target_action is not None:
        return f"action {order.target_action}"
    if order.target_venue_id is not None:
        return f"the venue's order {order.target_venue_id}"
    return f"client id {order.target_client_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Order):
    """A new order. `quantity` is in the instrument's unit; `quote_quantity` stands instead of it
    in market orders, whose `price` is the worst that may be taken. `expire_ms` (Unix milliseconds)
    goes with GTD.
    """

    ACTION: ClassVar[Action] = Action.PLACE
    LAYOUT: ClassVar[Layout] = layout_of(
        "place",
        288,
        "instrument:I side:B type:B time_in_force:B position_side:B margin_mode:B trigger_by:B"
        " trigger_direction:B reduce_only:B close_on_trigger:B _:3 expire_ms:q quantity:D"
        " quote_quantity:D price:D trigger_price:D _:40",
    )
    FIELDS: ClassVar[tuple[Field, ...]] = (
        _INSTRUMENT,
        _SIDE,
        _TYPE,
        _TIME_IN_FORCE,
        Field("position_side", "enum", of=PositionSide),
        Field("margin_mode", "enum", of=MarginMode),
        Field("trigger_by", "enum", of=TriggerBy),
        Field("trigger_direction", "enum", of=TriggerDirection),
        _REDUCE_ONLY,
        Field("close_on_trigger", "flag", Present.CLOSE_ON_TRIGGER),
        Field("expire_ms", "int", Present.EXPIRE),
        _QUANTITY,
        Field("quote_quantity", "decimal", Present.QUOTE_QUANTITY),
        _PRICE,
        _TRIGGER_PRICE,
    )

    instrument: int
    side: Side
    type: OrderType
    time_in_force: TimeInForce = TimeInForce.NONE
    quantity: DecimalText | None = None
    quote_quantity: DecimalText | None = None
    price: DecimalText | None = None
    trigger_price: DecimalText | None = None
    reduce_only: bool | None = None
    close_on_trigger: bool | None = None
    expire_ms: int | None = None
    position_side: PositionSide | None = None
    margin_mode: MarginMode | None = None
    trigger_by: TriggerBy | None = None
    trigger_direction: TriggerDirection | None = None

    def describe(self, name: Name | None = None) -> str:
        """Such as "buy 0.1 of instrument 3 at 65000.10, gtc"."""
        what = self._name("instrument", self.instrument, name)
        amount = self.quantity if self.quantity is not None else f"{self.quote_quantity} worth"
        return f"{label(self.side)} {amount} of {what}{_terms(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend(Order):
    """Complete new terms for an earlier order. By `target_action` the engine's book gives
    instrument and side; the other targets are for `lab` and need both.
    """

    ACTION: ClassVar[Action] = Action.AMEND
    HAS_TARGET: ClassVar[bool] = True
    LAYOUT: ClassVar[Layout] = layout_of(
        "amend",
        328,
        f"instrument:I side:B type:B time_in_force:B reduce_only:B {TARGET} quantity:D price:D"
        " trigger_price:D _:32",
    )
    FIELDS: ClassVar[tuple[Field, ...]] = (
        _INSTRUMENT,
        _SIDE,
        _TYPE,
        _TIME_IN_FORCE,
        _REDUCE_ONLY,
        _QUANTITY,
        _PRICE,
        _TRIGGER_PRICE,
    )

    type: OrderType
    quantity: DecimalText
    time_in_force: TimeInForce = TimeInForce.NONE
    price: DecimalText | None = None
    trigger_price: DecimalText | None = None
    reduce_only: bool | None = None
    target_action: int | None = None
    target_venue_id: str | None = None
    target_client_id: str | None = None
    instrument: int | None = None
    side: Side | None = None

    def describe(self, name: Name | None = None) -> str:
        """Such as "amend action 5 to 0.2 at 65000, gtc"."""
        return f"amend {_target(self)} to {self.quantity}{_terms(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Order):
    """Cancels one order: an earlier action, or (with the instrument) an id of the venue's own."""

    ACTION: ClassVar[Action] = Action.CANCEL
    HAS_TARGET: ClassVar[bool] = True
    LAYOUT: ClassVar[Layout] = layout_of("cancel", 256, f"instrument:I _:4 {TARGET} _:8")
    FIELDS: ClassVar[tuple[Field, ...]] = (_INSTRUMENT,)

    target_action: int | None = None
    target_venue_id: str | None = None
    target_client_id: str | None = None
    instrument: int | None = None

    def describe(self, name: Name | None = None) -> str:
        """Such as "cancel action 5"."""
        return f"cancel {_target(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAll(Order):
    """Cancels every open order of an instrument, or of a venue (of one asset or kind of contract
    there, where the venue has that).
    """

    ACTION: ClassVar[Action] = Action.CANCEL_ALL
    LAYOUT: ClassVar[Layout] = layout_of(
        "cancel_all", 192, "instrument:I venue:H _:2 asset:I contract:B _:19"
    )
    FIELDS: ClassVar[tuple[Field, ...]] = (_INSTRUMENT, _VENUE, _ASSET, _CONTRACT)

    instrument: int | None = None
    venue: Venue | None = None
    asset: int | None = None
    contract: Contract | None = None

    def describe(self, name: Name | None = None) -> str:
        """Such as "cancel all orders of instrument 3"."""
        return f"cancel all orders of {_scope(self, name)}"


def _scope(order: CancelAll | CancelAllAfter | Query, name: Name | None) -> str:
    if order.instrument is not None:
        return order._name("instrument", order.instrument, name)
    return label(Venue(order.venue or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAllAfter(Order):
    """The venue's own dead-man timer: in `timeout_ms` (0 disarms it), or at `at_ms`."""

    ACTION: ClassVar[Action] = Action.CANCEL_ALL_AFTER
    LAYOUT: ClassVar[Layout] = layout_of(
        "cancel_all_after", 192, "instrument:I venue:H _:2 timeout_ms:Q at_ms:q _:8"
    )
    FIELDS: ClassVar[tuple[Field, ...]] = (
        _INSTRUMENT,
        _VENUE,
        Field("timeout_ms", "int", Present.TIMEOUT),
        Field("at_ms", "int", Present.AT),
    )

    instrument: int | None = None
    venue: Venue | None = None
    timeout_ms: int | None = None
    at_ms: int | None = None

    def describe(self, name: Name | None = None) -> str:
        """Such as "cancel all orders of instrument 3 unless renewed within 60000 ms"."""
        scope = _scope(self, name)
        if self.timeout_ms == 0:
            return f"disarm the timer that cancels all orders of {scope}"
        when = f"at {self.at_ms} ms" if self.timeout_ms is None else f"within {self.timeout_ms} ms"
        return f"cancel all orders of {scope} unless renewed {when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Order):
    """Asks for one order (by target), for open orders or for fills of an instrument or venue.
    `start_ms`, `end_ms` (Unix milliseconds) and `limit` (1 to 1000) are for fills.
    """

    ACTION: ClassVar[Action] = Action.QUERY
    HAS_TARGET: ClassVar[bool] = True
    LAYOUT: ClassVar[Layout] = layout_of(
        "query",
        272,
        f"instrument:I venue:H what:B contract:B {TARGET} start_ms:q end_ms:q limit:I _:4",
    )
    FIELDS: ClassVar[tuple[Field, ...]] = (
        _INSTRUMENT,
        _VENUE,
        Field("what", "enum", of=QueryWhat),
        _CONTRACT,
        Field("start_ms", "int", Present.START),
        Field("end_ms", "int", Present.END),
        Field("limit", "int", Present.LIMIT),
    )

    what: QueryWhat
    target_action: int | None = None
    target_venue_id: str | None = None
    target_client_id: str | None = None
    instrument: int | None = None
    venue: Venue | None = None
    contract: Contract | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    limit: int | None = None

    def describe(self, name: Name | None = None) -> str:
        """Such as "query open orders of instrument 3"."""
        if self.what == QueryWhat.ORDER:
            return f"query {_target(self)}"
        return f"query {label(self.what).replace('_', ' ')} of {_scope(self, name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(Order):
    """Sends an asset to an address outside the venue."""

    ACTION: ClassVar[Action] = Action.WITHDRAW
    LAYOUT: ClassVar[Layout] = layout_of(
        "withdraw",
        384,
        "asset:I network:I amount:D address_size:B memo_size:B from_account:B priority:B _:4"
        " address:128s memo:64s",
    )
    FIELDS: ClassVar[tuple[Field, ...]] = (
        _ASSET,
        Field("network", "id", of="network"),
        Field("amount", "decimal"),
        Field("from_account", "enum", of=Account),
        Field("priority", "enum", of=Priority),
        Field("address", "text", of=ADDRESS_BYTES_MAX),
        Field("memo", "text", Present.MEMO, MEMO_BYTES_MAX),
    )

    asset: int
    network: int
    amount: DecimalText
    address: str
    memo: str | None = None
    from_account: Account | None = None
    priority: Priority | None = None

    def describe(self, name: Name | None = None) -> str:
        """Such as "withdraw 24.50 of asset 4 to 0xabc by network 5"."""
        memo = f" with memo {self.memo}" if self.memo is not None else ""
        return (
            f"withdraw {self.amount} of {self._name('asset', self.asset, name)} to {self.address}"
            f"{memo} by {self._name('network', self.network, name)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Order):
    """Moves an asset between wallets of one venue, or to a sub-account (`destination`)."""

    ACTION: ClassVar[Action] = Action.TRANSFER
    LAYOUT: ClassVar[Layout] = layout_of(
        "transfer",
        256,
        "asset:I from_account:B to_account:B destination_size:B _:1 amount:D destination:64s _:8",
    )
    FIELDS: ClassVar[tuple[Field, ...]] = (
        _ASSET,
        Field("from_account", "enum", of=Account),
        Field("to_account", "enum", of=Account),
        Field("amount", "decimal"),
        Field("destination", "text", of=ID_BYTES_MAX),
    )

    asset: int
    from_account: Account
    to_account: Account
    amount: DecimalText
    destination: str = ""

    def describe(self, name: Name | None = None) -> str:
        """Such as "transfer 1 of asset 4 from spot to usdm"."""
        to = f" of {self.destination}" if self.destination else ""
        return (
            f"transfer {self.amount} of {self._name('asset', self.asset, name)}"
            f" from {label(self.from_account)} to {label(self.to_account)}{to}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Order):
    """A text of 1 to 216 bytes in UTF-8, for a message key."""

    ACTION: ClassVar[Action] = Action.MESSAGE
    LAYOUT: ClassVar[Layout] = layout_of("message", 384, "text_size:H _:6 text:216s")
    FIELDS: ClassVar[tuple[Field, ...]] = (Field("text", "utf8", of=MESSAGE_BYTES_MAX),)

    text: str

    def describe(self, name: Name | None = None) -> str:
        """Such as "message 'test'"."""
        return f"message {self.text!r}"


ORDERS: Final[Mapping[Action, type[Order]]] = {
    cls.ACTION: cls
    for cls in (
        Place,
        Amend,
        Cancel,
        CancelAll,
        CancelAllAfter,
        Query,
        Withdraw,
        Transfer,
        Message,
    )
}


class Envelope(NamedTuple):
    """An order with the two ids that `pack` adds."""

    agent: int
    action_id: int
    order: Order


def unpack(data: bytes) -> Envelope:
    """Reads a packed order; `pack` gives the same bytes again.

    Raises OrderInvalid for bytes that no order packs to.
    """
    size, action = len(data), int.from_bytes(data[2:4], "little")
    cls = next((cls for number, cls in ORDERS.items() if number == action), None)
    if cls is None or size != cls.LAYOUT.size:
        reason = Reason.ORDER_ACTION if cls is None and size >= 160 else Reason.ORDER_SIZE
        raise OrderInvalid(f"{size} bytes with action {action} are no order", reason=reason)
    try:
        values = cls.LAYOUT.unpack(data)
        envelope = Envelope(values["agent"], values["action_id"], _unpacked(cls, values))
    except (UnicodeDecodeError, SentinelError) as error:
        if isinstance(error, OrderInvalid):
            raise
        raise OrderInvalid(f"{label(cls.ACTION)}: {error}") from None
    if envelope.order.pack(agent=envelope.agent, action_id=envelope.action_id) != data:
        raise OrderInvalid(
            f"{label(cls.ACTION)}: a field that is not present is not zero, or a size is wrong",
            reason=Reason.ORDER_RESERVED,
        )
    return envelope


def dtype(kind: type[Order]) -> Any:
    """The `numpy.dtype` of an order's struct, for `Session.sign_many`; NumPy has to be there.

    A decimal is two fields: 64990.10 has mantissa 6499010 and scale 2. Make arrays of zeros or from
    `rows`: bytes that are in no field have to be zero.
    """
    numpy: Any = importlib.import_module("numpy")
    return numpy.dtype(kind.LAYOUT.columns())


def rows(order: Order, count: int) -> bytearray:
    """So many copies of an order's struct, to be changed in place: by NumPy, with
    `numpy.frombuffer(rows(order, 100), dtype(Place))`. Agent and action id are 0.
    """
    return bytearray(order.pack(agent=0, action_id=0) * count)


def _unpacked(cls: type[Order], values: Mapping[str, Any]) -> Order:
    present = values["present"]
    optional = {f.name for f in dataclasses.fields(cls) if f.default is None}
    given: dict[str, Any] = {name: bool(present & bit) for name, bit in BITS.items()}
    for field in cls.FIELDS + COMMON:
        value = values[field.name]
        if (field.bit and not present & field.bit) or (
            not field.bit and field.name in optional and not value
        ):
            continue
        if field.kind == "decimal":
            value = decimal_text(*value)
        elif field.kind in ("text", "utf8"):
            value = value[: values[f"{field.name}_size"]].decode()
        elif field.kind == "flag" and value in (0, 1):
            value = bool(value)
        given[field.name] = value
    if cls.HAS_TARGET and values["target_by"]:
        name = next((n for n, by in TARGETS.items() if by == values["target_by"]), None)
        if name is None:
            raise OrderInvalid("target: the kind is unknown", reason=Reason.ORDER_ENUM)
        text = values["target_id"][: values["target_id_size"]].decode()
        given[name] = values["target_action_id"] if name == "target_action" else text
    return cls(**given)


def from_json(value: Mapping[str, Any], *, resolve: Resolve | None = None) -> Order:
    """Builds an order from JSON: `{"action": "place", "instrument": "BTCUSDT", "side": "buy"}`.

    Fields are those of the order's class, decimals are strings, enumerations are their names in
    lower case, ids are integers or, with `resolve`, names.

    Raises OrderInvalid for an unknown action or field, a missing field or a wrong value, and
    what `resolve` raises.
    """
    given = dict(value)
    action = given.pop("action", None)
    cls = next((cls for number, cls in ORDERS.items() if label(number) == action), None)
    if cls is None:
        known = ", ".join(label(number) for number in ORDERS)
        raise OrderInvalid(f"action: {action!r} is none of {known}", reason=Reason.ORDER_ACTION)
    attributes = {attribute.name: attribute for attribute in dataclasses.fields(cls)}
    for name in given:
        if name not in attributes:
            raise OrderInvalid(f"{action} has no field {name!r}; it has {', '.join(attributes)}")
    for name, attribute in attributes.items():
        if attribute.default is dataclasses.MISSING and given.get(name) is None:
            raise OrderInvalid(f"{action} needs {name!r}", reason=Reason.ORDER_FIELDS)
    kinds = {field.name: field for field in cls.FIELDS + COMMON}
    out: dict[str, Any] = {}
    for name, item in given.items():
        if item is None:
            continue
        field = kinds.get(name)
        out[name] = item if field is None else _from_json(field, item, resolve)
    return cls(**out)


def _from_json(field: Field, value: Any, resolve: Resolve | None) -> Any:
    wanted: Any = {"flag": bool, "int": int, "text": str, "utf8": str, "digest": str}.get(
        field.kind, object
    )
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise OrderInvalid(f"{field.name}: {value!r} is no {wanted.__name__}")
    if field.kind == "decimal" and not isinstance(value, str):
        raise OrderInvalid(
            f"{field.name}: {value!r} is a number; write decimals as strings, such as '0.10'",
            reason=Reason.ORDER_DECIMAL,
        )
    if field.kind == "id" and isinstance(value, str):
        if resolve is None:
            raise OrderInvalid(f"{field.name}: {value!r} is a name; an id is needed here")
        return resolve(field.of, value)
    if field.kind == "digest":
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise OrderInvalid(f"{field.name}: {value!r} is not in hex") from None
    return value
