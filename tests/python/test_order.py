"""Orders in Python: bytes, JSON and words agree, and the core agrees with the bytes.

Goal: what was built is what is packed, field by field. Method: hypothesis draws every field of
every class; the packed struct is read back through cffi, not through our own tables.
"""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest
from core_abi import ffi, lib
from hypothesis import given
from hypothesis import strategies as st

from sentinel import _core, _enums
from sentinel._enums import Environment, Present, TargetBy, label
from sentinel._status import Reason
from sentinel.errors import OrderInvalid
from sentinel.order import (
    ORDERS,
    Account,
    Amend,
    Cancel,
    CancelAll,
    CancelAllAfter,
    Envelope,
    MarginMode,
    Message,
    Order,
    OrderType,
    Place,
    PositionSide,
    Query,
    QueryWhat,
    Side,
    TimeInForce,
    Transfer,
    TriggerBy,
    TriggerDirection,
    Venue,
    Withdraw,
    from_json,
    unpack,
)

ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
u32 = st.integers(1, 2**32 - 1)
u64 = st.integers(1, 2**64 - 1)
times = st.integers(1, 2**63 - 1)
decimals = st.builds(
    lambda mantissa, scale: format(Decimal(mantissa).scaleb(-scale), "f"),
    st.integers(1, 10**15),
    st.integers(0, 18),
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def text(size: int) -> st.SearchStrategy[str]:
    return st.text(ID, min_size=1, max_size=size)


COMMON: dict[str, st.SearchStrategy[Any]] = {
    "key": st.integers(0, 2**32 - 1),
    "tag": st.text(ID, max_size=64),
    "reasons_digest": maybe(st.binary(min_size=32, max_size=32)),
    "lab_testnet": st.booleans(),
    "lab_client_id": st.booleans(),
    "lab_nonce": maybe(st.integers(0, 2**64 - 1)),
    "lab_expiry": maybe(st.integers(0, 2**64 - 1)),
    "lab_waive": st.booleans(),
}
TARGETS = (
    st.fixed_dictionaries({"target_action": u64})
    | st.fixed_dictionaries({"target_venue_id": text(64)})
    | st.fixed_dictionaries({"target_client_id": text(64)})
)
TERMS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(OrderType),
    "time_in_force": st.sampled_from(TimeInForce),
    "price": maybe(decimals),
    "trigger_price": maybe(decimals),
    "reduce_only": maybe(st.booleans()),
}
FIELDS: dict[type[Order], dict[str, st.SearchStrategy[Any]]] = {
    Place: TERMS
    | {
        "instrument": u32,
        "side": st.sampled_from(Side),
        "quantity": maybe(decimals),
        "quote_quantity": maybe(decimals),
        "close_on_trigger": maybe(st.booleans()),
        "expire_ms": maybe(times),
        "position_side": maybe(st.sampled_from(PositionSide)),
        "margin_mode": maybe(st.sampled_from(MarginMode)),
        "trigger_by": maybe(st.sampled_from(TriggerBy)),
        "trigger_direction": maybe(st.sampled_from(TriggerDirection)),
    },
    Amend: TERMS
    | {
        "quantity": decimals,
        "instrument": maybe(u32),
        "side": maybe(st.sampled_from(Side)),
    },
    Cancel: {"instrument": maybe(u32)},
    CancelAll: {
        "instrument": maybe(u32),
        "venue": maybe(st.sampled_from(list(Venue)[1:])),
        "asset": maybe(u32),
    },
    CancelAllAfter: {
        "instrument": maybe(u32),
        "venue": maybe(st.sampled_from(list(Venue)[1:])),
        "timeout_ms": maybe(st.integers(0, 2**64 - 1)),
        "at_ms": maybe(times),
    },
    Query: {
        "what": st.sampled_from(QueryWhat),
        "instrument": maybe(u32),
        "venue": maybe(st.sampled_from(list(Venue)[1:])),
        "start_ms": maybe(times),
        "end_ms": maybe(times),
        "limit": maybe(st.integers(1, 1000)),
    },
    Withdraw: {
        "asset": u32,
        "network": u32,
        "amount": decimals,
        "address": text(128),
        "memo": maybe(text(64)),
        "from_account": maybe(st.sampled_from(Account)),
    },
    Transfer: {
        "asset": u32,
        "from_account": st.sampled_from(Account),
        "to_account": st.sampled_from(Account),
        "amount": decimals,
        "destination": st.just("") | text(64),
    },
    Message: {
        "text": st.text(
            st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
            min_size=1,
            max_size=54,
        )
    },
}


@st.composite
def any_order(draw: st.DrawFn) -> Order:
    cls = draw(st.sampled_from(list(FIELDS)))
    values = draw(st.fixed_dictionaries(COMMON | FIELDS[cls]))
    if cls.HAS_TARGET:
        values |= draw(TARGETS)
    if draw(st.booleans()):
        values |= {"parent_agent": draw(u32), "parent_action_id": draw(u64)}
    return cls(**values)


def struct_of(order: Order, data: bytes) -> Any:
    made = ffi.new(f"sentinel_order_{label(order.ACTION)} *")
    assert ffi.sizeof(made[0]) == len(data)
    ffi.memmove(made, data, len(data))
    return made


def text_at(struct: Any, name: str) -> str:
    size = getattr(struct, f"{name}_size")
    return bytes(ffi.buffer(getattr(struct, name)))[:size].decode()


def decimal_at(field: Any) -> str:
    buffer = ffi.new("char[21]")
    size = lib.sentinel_decimal_write(buffer, ffi.addressof(field))
    return bytes(ffi.buffer(buffer, size)).decode()


BITS = {
    "quantity": Present.QUANTITY,
    "quote_quantity": Present.QUOTE_QUANTITY,
    "price": Present.PRICE,
    "trigger_price": Present.TRIGGER_PRICE,
    "reduce_only": Present.REDUCE_ONLY,
    "close_on_trigger": Present.CLOSE_ON_TRIGGER,
    "expire_ms": Present.EXPIRE,
    "parent_agent": Present.PARENT,
    "parent_action_id": Present.PARENT,
    "reasons_digest": Present.REASONS,
    "memo": Present.MEMO,
    "start_ms": Present.START,
    "end_ms": Present.END,
    "limit": Present.LIMIT,
    "timeout_ms": Present.TIMEOUT,
    "at_ms": Present.AT,
    "lab_nonce": Present.LAB_NONCE,
    "lab_expiry": Present.LAB_EXPIRY,
}
HEADER = ("key", "tag", "parent_agent", "parent_action_id", "lab_nonce", "lab_expiry")
DECIMALS = ("quantity", "quote_quantity", "price", "trigger_price", "amount")
TEXTS = ("tag", "address", "memo", "destination", "text")


def seen(struct: Any, name: str) -> Any:
    """The value of an attribute as C sees it."""
    holder = struct.header if name in HEADER else struct
    if name in DECIMALS:
        return decimal_at(getattr(holder, name))
    if name in TEXTS:
        return text_at(holder, name)
    return int(getattr(holder, name))


def check_target(order: Any, struct: Any) -> None:
    target = struct.target
    if order.target_action is not None:
        expected = (TargetBy.ACTION, order.target_action, "")
    elif order.target_venue_id is not None:
        expected = (TargetBy.VENUE_ID, 0, order.target_venue_id)
    else:
        expected = (TargetBy.CLIENT_ID, 0, order.target_client_id)
    assert (target.by, target.action_id, text_at(target, "id")) == expected


@given(any_order())
def test_the_quick_packing_is_the_plain_one(order: Order) -> None:
    plain = order.pack(agent=0, action_id=0)
    assert _core.blank(order) == plain
    assert _core.blank(dataclasses.replace(order)) == _core.blank(order)


def test_most_orders_are_packed_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> bytes:
        raise AssertionError("packed by Python")

    market = {"instrument": 3, "side": Side.BUY, "type": OrderType.MARKET}
    orders = [
        Place(**market, quantity="0.010", tag="mine", reduce_only=False),
        Cancel(target_action=3),
        CancelAll(venue=Venue.OKX),
    ]
    monkeypatch.setattr(Order, "pack", never)
    for order in orders:
        assert len(_core.blank(order)) == order.LAYOUT.size
    with pytest.raises(AssertionError, match="packed by Python"):
        _core.blank(Message(text="x"))


@given(any_order(), u32, u64)
def test_packs_every_field_where_c_reads_it(order: Order, agent: int, action_id: int) -> None:
    struct = struct_of(order, order.pack(agent=agent, action_id=action_id))
    header = struct.header
    assert (header.version, header.action, header.size_bytes) == (
        1,
        order.ACTION,
        lib.sentinel_order_bytes(order.ACTION),
    )
    assert (header.agent, header.action_id, header.release_mode) == (agent, action_id, 1)
    present = Present(0)
    for attribute in dataclasses.fields(order):
        name, value = attribute.name, getattr(order, attribute.name)
        if name.startswith("target_") or name == "release_mode":
            continue
        if name in ("lab_testnet", "lab_client_id", "lab_waive"):
            present |= Present[name.upper()] if value else Present(0)
        elif name == "reasons_digest":
            assert bytes(ffi.buffer(header.reasons_digest32)) == (value or bytes(32))
            present |= Present.REASONS if value is not None else Present(0)
        elif value is not None:
            assert seen(struct, name) == value, name
            present |= BITS.get(name, Present(0)) if name != "amount" else Present(0)
    assert header.present == present
    if order.HAS_TARGET:
        check_target(order, struct)


@given(any_order(), u32, u64)
def test_reads_back_what_it_packed(order: Order, agent: int, action_id: int) -> None:
    data = order.pack(agent=agent, action_id=action_id)
    assert unpack(data) == Envelope(agent, action_id, order)


@given(any_order())
def test_json_gives_the_same_order(order: Order) -> None:
    assert from_json(json.loads(json.dumps(order.to_json()))) == order


@given(any_order())
def test_json_resolves_names(order: Order) -> None:
    names: dict[tuple[str, str], int] = {}

    def name(kind: str, value: int) -> str:
        names[kind, f"{kind}#{value}"] = value
        return f"{kind}#{value}"

    def resolve(kind: str, text: str) -> int:
        return names[kind, text]

    assert from_json(order.to_json(name), resolve=resolve) == order


@given(any_order())
def test_describes_itself_in_one_line(order: Order) -> None:
    words = order.describe()
    assert words == " ".join(words.split("\n"))
    assert words.split()[0] in (label(order.ACTION).split("_")[0], "buy", "sell", "disarm")


@given(any_order(), st.data())
def test_one_changed_bit_is_another_order_or_none(order: Order, data: st.DataObject) -> None:
    packed = bytearray(order.pack(agent=1, action_id=1))
    at = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[at // 8] ^= 1 << at % 8
    try:
        changed = unpack(bytes(packed))
    except OrderInvalid:
        return
    assert changed != Envelope(1, 1, order)
    assert changed.order.pack(agent=changed.agent, action_id=changed.action_id) == bytes(packed)


def limit_order(**fields: Any) -> Place:
    return Place(
        **{
            "instrument": 3,
            "side": Side.BUY,
            "type": OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "quantity": "0.010",
            "price": "65000.10",
        }
        | fields
    )


GOOD: list[Order] = [
    limit_order(),
    Place(instrument=3, side=Side.SELL, type=OrderType.MARKET, quote_quantity="100.50"),
    Amend(
        target_action=4,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.IOC,
        quantity="1",
        price="2",
    ),
    Cancel(target_action=4),
    Cancel(target_venue_id="28457", instrument=3),
    CancelAll(instrument=3),
    CancelAll(venue=Venue.BYBIT, asset=2),
    CancelAllAfter(instrument=3, timeout_ms=0),
    Query(what=QueryWhat.ORDER, target_action=4),
    Query(what=QueryWhat.FILLS, instrument=3, start_ms=1, end_ms=2, limit=1000),
    Withdraw(asset=1, network=2, amount="24.500000", address="0xabc", memo="12"),
    Transfer(asset=1, from_account=Account.SPOT, to_account=Account.USDM, amount="1"),
    Message(text="test ♥"),
]


@pytest.mark.parametrize("order", GOOD, ids=lambda order: order.describe())
def test_the_core_takes_what_python_packs(order: Order) -> None:
    data = order.pack(agent=7, action_id=1)
    reason = ffi.new("sentinel_reason *")
    assert lib.sentinel_order_check(reason, data, len(data), Environment.LIVE) == 0
    assert reason[0] == Reason.NONE


def test_every_action_has_a_good_order() -> None:
    assert {order.ACTION for order in GOOD} == set(ORDERS) == set(_enums.Action)


@pytest.mark.parametrize(
    ("value", "mantissa", "scale"),
    [
        ("0.10", 10, 2),
        (Decimal("0.10"), 10, 2),
        (Decimal("1E+3"), 1000, 0),
        (Decimal("1E-8"), 1, 8),
        ("9223372036854775807", 2**63 - 1, 0),
        ("9.223372036854775807", 2**63 - 1, 18),
    ],
)
def test_keeps_the_text_of_decimals(value: str | Decimal, mantissa: int, scale: int) -> None:
    order = limit_order(quantity=value)
    struct = struct_of(order, order.pack(agent=1, action_id=1))
    assert (struct.quantity.mantissa, struct.quantity.scale) == (mantissa, scale)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1.",
        ".5",
        "01",
        "1e3",
        "-1",
        "+1",
        "1,5",
        " 1",
        "1_000",
        "NaN",
        "٣",
        "9" * 19 + "9",
        "0.0000000000000000001",
        "9" * 5000,
        Decimal("NaN"),
        Decimal("-1"),
        Decimal("Infinity"),
    ],
)
def test_refuses_what_is_no_decimal(value: str | Decimal) -> None:
    with pytest.raises(OrderInvalid, match="quantity") as caught:
        limit_order(quantity=value)
    assert caught.value.reason == Reason.ORDER_DECIMAL


@pytest.mark.parametrize("value", [0.1, 1.0, float("nan")])
def test_refuses_floats_and_says_what_to_write(value: float) -> None:
    with pytest.raises(TypeError, match=r"quantity: .* is a float.*'0\.10'.*decimal\.Decimal"):
        limit_order(quantity=value)


def test_refuses_integers_as_decimals() -> None:
    with pytest.raises(TypeError, match=r"a decimal is a str or decimal\.Decimal"):
        limit_order(quantity=1)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"action": "place"}, "place needs 'instrument'"),
    ({"action": "plaice"}, "action: 'plaice' is none of place, amend"),
    ({}, "action: None is none of"),
    ({"action": "cancel", "target_actoin": 1}, "cancel has no field 'target_actoin'"),
    ({"action": "cancel", "target_action": "1"}, None or ""),
    ({"action": "message", "text": 5}, "text: 5 is no str"),
    ({"action": "message", "text": ""}, ""),
    ({"action": "message", "text": "x", "tag": "a b"}, ""),
    ({"action": "message", "text": "x", "reasons_digest": "zz"}, "is not in hex"),
    ({"action": "cancel_all", "instrument": "BTC"}, "'BTC' is a name"),
    ({"action": "cancel_all", "instrument": True}, ""),
    ({"action": "cancel_all", "instrument": 1.0}, ""),
    ({"action": "cancel_all", "venue": "nyse"}, "venue: 'nyse' is none of none, binance_spot"),
    ({"action": "query", "what": "everything"}, "what: 'everything' is none of order"),
]


@pytest.mark.parametrize(("value", "says"), BAD, ids=lambda item: str(item)[:60])
def test_refuses_bad_json_and_names_the_place(value: dict[str, Any], says: str) -> None:
    with pytest.raises(OrderInvalid) as caught:
        from_json(value).pack(agent=1, action_id=1)
    assert says in str(caught.value)


def test_refuses_numbers_for_decimals_in_json() -> None:
    value = limit_order().to_json() | {"quantity": 0.01}
    with pytest.raises(OrderInvalid, match="write decimals as strings"):
        from_json(value)
    with pytest.raises(OrderInvalid, match="write decimals as strings"):
        from_json(value | {"quantity": 5})


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (limit_order(tag="x" * 65), "tag"),
        (limit_order(tag="a&b"), "tag"),
        (limit_order(tag="é"), "tag"),
        (limit_order(instrument=2**32), "place"),
        (limit_order(instrument=-1), "instrument: -1 is negative"),
        (limit_order(reasons_digest=b"x"), "a SHA-256 digest has 32"),
        (Cancel(target_action=1, target_venue_id="1"), "name two orders"),
        (Cancel(target_venue_id="1" * 65), "target_venue_id"),
        (Cancel(target_action=2**64), "cancel"),
        (Message(text="x" * 217), "217 bytes; a message has 1 to 216"),
        (Message(text="♥" * 73), "219 bytes"),
        (Message(text="a\0"), "none of them zero"),
    ],
    ids=lambda item: str(item)[:40],
)
def test_refuses_what_does_not_fit(order: Order, says: str) -> None:
    with pytest.raises(OrderInvalid, match=says):
        order.pack(agent=1, action_id=1)


def test_takes_what_just_fits() -> None:
    assert len(limit_order(tag="x" * 64).pack(agent=2**32 - 1, action_id=2**64 - 1)) == 288
    assert len(Message(text="x" * 216).pack(agent=1, action_id=1)) == 384


@pytest.mark.parametrize("data", [b"", bytes(3), bytes(160), bytes(384), b"\x01\x00\x0a\x00" * 50])
def test_refuses_bytes_that_are_no_order(data: bytes) -> None:
    with pytest.raises(OrderInvalid):
        unpack(data)


def test_says_orders_in_plain_words() -> None:
    assert [order.describe() for order in GOOD] == [
        "buy 0.010 of instrument 3 at 65000.10, gtc",
        "sell 100.50 worth of instrument 3 at market",
        "amend action 4 to 1 at 2, ioc",
        "cancel action 4",
        "cancel the venue's order 28457",
        "cancel all orders of instrument 3",
        "cancel all orders of bybit",
        "disarm the timer that cancels all orders of instrument 3",
        "query action 4",
        "query fills of instrument 3",
        "withdraw 24.500000 of asset 1 to 0xabc with memo 12 by network 2",
        "transfer 1 of asset 1 from spot to usdm",
        "message 'test ♥'",
    ]
    named = {("instrument", 3): "BTCUSDT"}
    assert limit_order().describe(lambda kind, value: named[kind, value]) == (
        "buy 0.010 of BTCUSDT at 65000.10, gtc"
    )
