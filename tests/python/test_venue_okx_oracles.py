"""The venue's own library as a live oracle for OKX: what would it send for the same order?

Goal: for random orders, with each field present, absent and varied, our method, host, path,
headers and parameters are those of python-okx, the signature over our own bytes is right by its
function and by hmac, and a parser of the tests' own reads the order back. Method: its HTTP layer
is replaced, so that nothing leaves the machine; what it sends empty was not given. `make test`
draws 50 orders per action, `make check` 500.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import okx.consts
import okx.okxclient
import okx.utils
import okx_orders as orders
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from okx.Funding import FundingAPI
from okx.Trade import TradeAPI
from okx_oracle import EPOCH, KEY, STOP, Case, Posted, compare, is_plain_spot, iso
from venue_core import Refused, Renderer
from venue_oracle import Sent, given_fields


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.fixture(scope="module")
def clock() -> dict[str, int]:
    """The time that the library sees, in milliseconds."""
    return {"now": 0}


@pytest.fixture(scope="module")
def clients(clock: dict[str, int]) -> Iterator[dict[str, Any]]:
    """What the library sends ends in `Sent`."""

    def get(self: Any, path: str, headers: Any = None) -> None:
        raise Sent("GET", okx.consts.API_URL + path, headers, None)

    def post(self: Any, path: str, data: Any = None, headers: Any = None) -> None:
        raise Posted("POST", okx.consts.API_URL + path, headers, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(okx.okxclient.OkxClient, "get", get)
        patch.setattr(okx.okxclient.OkxClient, "post", post)
        patch.setattr(okx.utils, "get_timestamp", lambda: iso(clock["now"]))
        names = (KEY["api_key"], KEY["secret"], KEY["passphrase"])
        yield {"trade": TradeAPI(*names, flag="0"), "funding": FundingAPI(*names, flag="0")}


# python-okx: the neutral order in its words, which this file has on its own.


def sdk_head(order: dict[str, Any]) -> dict[str, Any]:
    return given_fields(
        instId=order["symbol"],
        tdMode=order["margin_mode"] or "cash",
        side=order["side"],
        sz=order.get("qty") or order.get("quote_qty"),
        posSide={"both": "net"}.get(side := order.get("position_side") or "", side),
        reduceOnly=order.get("reduce_only"),
    )


def sdk_place(api: Any, order: dict[str, Any]) -> Any:
    kind = {"gtc": "limit", None: "limit"}.get(tif := order.get("tif"), tif)
    if order["type"] == "market":
        kind = "market"
    unit = "quote_ccy" if "quote_qty" in order else "base_ccy"
    says_unit = kind == "market" and is_plain_spot(order)
    return api["trade"].place_order(
        **sdk_head(order),
        ordType=kind,
        **given_fields(px=order.get("price"), clOrdId=order["client_order_id"]),
        tgtCcy=unit if says_unit else "",
    )


def sdk_place_triggered(api: Any, order: dict[str, Any]) -> Any:
    prefix = "sl" if order["type"].startswith("stop") else "tp"
    says_unit = (
        is_plain_spot(order) and order["side"] == "buy" and not order["type"].endswith("limit")
    )
    triggers = {
        f"{prefix}TriggerPx": order["stop_price"],
        f"{prefix}OrdPx": order.get("price") or "-1",
        f"{prefix}TriggerPxType": order["trigger_by"] or "",
    }
    return api["trade"].place_algo_order(
        **sdk_head(order),
        ordType="conditional",
        algoClOrdId=order["client_order_id"] or "",
        tgtCcy="base_ccy" if says_unit else "",
        **triggers,
    )


def sdk_target(order: dict[str, Any], algo: bool = False) -> dict[str, Any]:
    own, theirs = ("algoClOrdId", "algoId") if algo else ("clOrdId", "ordId")
    fields = {own: order.get("client_order_id"), theirs: order.get("order_id")}
    return given_fields(**fields)


def sdk_amend(api: Any, order: dict[str, Any]) -> Any:
    target = sdk_target(order)
    return api["trade"].amend_order(
        order["symbol"], newSz=order["qty"], newPx=order["price"], **target
    )


def sdk_cancel(api: Any, order: dict[str, Any]) -> Any:
    return api["trade"].cancel_order(order["symbol"], **sdk_target(order))


def sdk_cancel_triggered(api: Any, order: dict[str, Any]) -> Any:
    target = {"instId": order["symbol"], **sdk_target(order, algo=True)}
    return api["trade"].cancel_algo_order([target])


def sdk_fills(api: Any, order: dict[str, Any]) -> Any:
    fields = given_fields(
        instId=order["symbol"], begin=order["start_ms"], end=order["end_ms"], limit=order["limit"]
    )
    return api["trade"].get_fills(**fields)


def sdk_countdown(api: Any, order: dict[str, Any]) -> Any:
    """This version has no call of its own for it."""
    fields = {"timeOut": str(order["timeout_s"])}
    path = "/api/v5/trade/cancel-all-after"
    return api["trade"]._request_with_params(okx.consts.POST, path, fields)


def address(order: dict[str, Any]) -> str:
    return f"{order['address']}:{order['memo']}" if order["memo"] else str(order["address"])


def sdk_withdraw(api: Any, order: dict[str, Any]) -> Any:
    return api["funding"].withdrawal(
        order["asset"],
        order["amount"],
        "4",
        address(order),
        chain=order["network"] or "",
        clientId=order["client_order_id"] or "",
    )


def sdk_transfer(api: Any, order: dict[str, Any]) -> Any:
    """Its call has no clientId, which `comparable` takes out of ours."""
    return api["funding"].funds_transfer(
        order["asset"],
        order["amount"],
        *(orders.ACCOUNTS[order[end]] for end in ("from_account", "to_account")),
        type="1" if order["address"] else "0",
        subAcct=order["address"] or "",
    )


PLACE = orders.deadline(orders.place(orders.PLAIN))
TRIGGERED = orders.place(orders.TRIGGERED)
SDK = {
    "place": Case(PLACE, sdk_place),
    "place_triggered": Case(TRIGGERED, sdk_place_triggered),
    "amend": Case(orders.deadline(orders.amend()), sdk_amend),
    "cancel": Case(orders.by_id("cancel"), sdk_cancel),
    "cancel_triggered": Case(orders.by_id("cancel"), sdk_cancel_triggered, STOP),
    "cancel_all_after": Case(orders.cancel_all_after(), sdk_countdown),
    "query": Case(
        orders.by_id("query"),
        lambda api, order: api["trade"].get_order(order["symbol"], **sdk_target(order)),
    ),
    "query_triggered": Case(
        orders.by_id("query"),
        lambda api, order: api["trade"].get_algo_order_details(**sdk_target(order, algo=True)),
        STOP,
    ),
    "open_orders": Case(
        orders.open_orders(),
        lambda api, order: api["trade"].get_order_list(instId=order["symbol"] or ""),
    ),
    "fills": Case(orders.fills(), sdk_fills),
    "withdraw": Case(orders.withdraw(), sdk_withdraw),
    "transfer": Case(orders.transfer(), sdk_transfer),
}


def check_against_sdk(
    name: str, examples: int, renderer: Renderer, clients: Any, clock: dict[str, int]
) -> None:
    def comparable(sent: dict[str, Any], order: dict[str, Any]) -> dict[str, Any]:
        left = {"type": "0"} if name == "transfer" else {}
        if name == "transfer" and order["client_order_id"] is not None:
            left["clientId"] = order["client_order_id"]
        return {n: v for n, v in sent.items() if left.get(n) != v}

    compare(name, examples, SDK[name], renderer, clients, clock, comparable)


@pytest.mark.parametrize("name", SDK)
def test_sends_what_python_okx_sends(
    renderer: Renderer, clients: Any, clock: dict[str, int], name: str
) -> None:
    check_against_sdk(name, 50, renderer, clients, clock)


@pytest.mark.long
@pytest.mark.parametrize("name", SDK)
def test_sends_what_python_okx_sends_500_times(
    renderer: Renderer, clients: Any, clock: dict[str, int], name: str
) -> None:
    check_against_sdk(name, 500, renderer, clients, clock)


@settings(max_examples=500, deadline=None, database=None)
@seed(20240607)
@given(st.integers(0, 253_402_300_799_999))
def test_writes_the_time_as_datetime_does(timestamp_ms: int) -> None:
    check_time(timestamp_ms)


@pytest.mark.parametrize("year", [1970, 1972, 1999, 2000, 2023, 2024, 2100, 2400, 9996, 9999])
def test_writes_the_ends_of_months_and_years(year: int) -> None:
    for month in range(1, 13):
        first = datetime.datetime(year, month, 1)
        start = round((first - EPOCH) / datetime.timedelta(milliseconds=1))
        check_time(start)
        if start:
            check_time(start - 1)


TIMES = Renderer()


def check_time(timestamp_ms: int) -> None:
    order = {"venue": "okx", "action": "cancel", "symbol": "BTC-USDT", "order_id": "1"}
    line = {"id": "time", "scheme": "HMAC-SHA256", "key": KEY}
    line["order"] = order | {"timestamp_ms": timestamp_ms}
    assert TIMES.render(line)["headers"]["OK-ACCESS-TIMESTAMP"] == iso(timestamp_ms)


PLACE_ORDER = {
    "venue": "okx",
    "action": "place",
    "symbol": "BTC-USDT",
    "side": "buy",
    "type": "limit",
    "tif": "gtc",
    "qty": "1",
    "price": "2",
    "timestamp_ms": 1_700_000_000_000,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"client_order_id": "a-b"}, "order_text"),
        ({"client_order_id": "a" * 33}, "order_text"),
        ({"recv_window": 5000}, "expiry"),
        ({"tif": "gtd", "expire_ms": 1_700_000_000_001}, "unsupported"),
        ({"position_side": "long"}, "unsupported"),
        ({"reduce_only": False}, "unsupported"),
        ({"nonce": 1}, "unsupported"),
        ({"symbol": "BTC-USDT-SWAP"}, "unsupported"),
    ],
)
def test_refuses_what_cannot_be_rendered(
    renderer: Renderer, change: dict[str, Any], reason: str
) -> None:
    line = {"id": "1", "scheme": "HMAC-SHA256", "key": KEY, "order": PLACE_ORDER | change}
    with pytest.raises(Refused, match=f"^{reason}$"):
        renderer.render(line)


def test_refuses_a_plain_cancel_all(renderer: Renderer) -> None:
    order = {"venue": "okx", "market": "all", "action": "cancel_all", "timestamp_ms": 1}
    with pytest.raises(Refused, match="unsupported"):
        renderer.render({"id": "1", "scheme": "HMAC-SHA256", "key": KEY, "order": order})


def test_refuses_a_key_without_a_passphrase(renderer: Renderer) -> None:
    key = {name: value for name, value in KEY.items() if name != "passphrase"}
    with pytest.raises(Refused, match="render_failed"):
        renderer.render({"id": "1", "scheme": "HMAC-SHA256", "key": key, "order": PLACE_ORDER})
