"""Each action of Bybit's loopback venue: what it does to the book, and what it refuses.

Goal: a renderer that is wrong in one field is refused in the venue's own words, and one that is
right moves the book as the venue would. Method: requests signed by this test's own computation
(venue_calls.py), on a clock that the test moves.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from venue_calls import ADDRESS, NOW_MS, Bench, bench, bybit_raw, only

__all__ = ["bench"]

LINEAR = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit"}
LINEAR |= {"qty": "0.01", "price": "60000.0", "timeInForce": "GTC"}


@only("bybit")
def test_bybit_keeps_a_book(bench: Bench) -> None:
    call, venue = bench.call, bench.venue
    create, query = "/v5/order/create", "/v5/order/realtime"
    linear = {"category": "linear", "symbol": "BTCUSDT"}
    one = call("POST", create, **LINEAR, orderLinkId="a")["result"]["orderId"]
    assert bench.code("POST", create, **LINEAR, orderLinkId="a") == "110072"
    call("POST", create, **LINEAR | {"timeInForce": "IOC"}, orderLinkId="b")
    stop = LINEAR | {"triggerPrice": "61000.0", "triggerDirection": 1, "orderLinkId": "s"}
    assert bench.code("POST", create, **stop) == "0"
    rows = call("GET", query, **linear)["result"]["list"]
    assert [row["orderStatus"] for row in rows] == ["Untriggered", "New"]
    (row,) = call("GET", query, **linear, orderLinkId="b")["result"]["list"]
    assert (row["orderStatus"], row["cumExecQty"], row["avgPrice"]) == ("Filled", "0.01", "60000.0")
    assert call("GET", query, **linear, orderLinkId="zz")["result"]["list"] == []
    (fill,) = call("GET", "/v5/execution/list", **linear)["result"]["list"]
    assert (fill["orderLinkId"], fill["execQty"]) == ("b", "0.01")
    amend = "/v5/order/amend"
    assert bench.code("POST", amend, **linear, orderLinkId="a", qty="0.02") == "0"
    assert venue.by_id[one].quantity == Decimal("0.02")
    assert bench.code("POST", amend, **linear, orderLinkId="a", qty="0.02") == "10001"
    assert bench.code("POST", amend, **linear, orderLinkId="b", qty="0.02") == "110001"
    assert bench.code("POST", "/v5/order/cancel", **linear, orderId=one) == "0"
    assert bench.code("POST", "/v5/order/cancel", **linear, orderId=one) == "110001"
    assert bench.code("POST", "/v5/order/cancel-all", category="linear") == "10001"
    done = call("POST", "/v5/order/cancel-all", **linear)["result"]["list"]
    assert [row["orderLinkId"] for row in done] == ["s"]
    spot = {"category": "spot", "symbol": "ETHUSDT", "side": "Buy", "orderType": "Market"}
    spot |= {"qty": "30", "marketUnit": "quoteCoin", "orderLinkId": "q"}
    assert bench.code("POST", create, **spot) == "0"
    assert venue.by_client_id["q"].filled == Decimal("0.01")


@only("bybit")
def test_bybit_forgets_closed_orders_over_a_restart(bench: Bench) -> None:
    linear = {"category": "linear", "symbol": "BTCUSDT"}
    filled = LINEAR | {"timeInForce": "IOC", "orderLinkId": "b"}
    bench.call("POST", "/v5/order/create", **filled)
    bench.call("POST", "/v5/order/create", **LINEAR, orderLinkId="a")
    bench.venue.has_restarted = True  # type: ignore[attr-defined]
    for own, count in (("a", 1), ("b", 0)):
        found = bench.call("GET", "/v5/order/realtime", **linear, orderLinkId=own)
        assert len(found["result"]["list"]) == count
    fills = bench.call("GET", "/v5/execution/list", **linear, orderLinkId="b")
    assert len(fills["result"]["list"]) == 1


@only("bybit")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"leverage": "3"}, "10001"),
        ({"symbol": None}, "10001"),
        ({"qty": 0.01}, "10001"),
        ({"qty": 1}, "10001"),
        ({"qty": "1e-2"}, "10001"),
        ({"price": None}, "10001"),
        ({"reduceOnly": "true"}, "10001"),
        ({"positionIdx": "0"}, "10001"),
        ({"triggerPrice": "61000.0"}, "10001"),
        ({"triggerDirection": 1}, "10001"),
        ({"marketUnit": "baseCoin"}, "10001"),
        ({"category": "spot"}, "170121"),
        ({"symbol": "ETHUSDT"}, "10001"),
        ({"orderLinkId": "a.b"}, "10001"),
        ({"orderLinkId": "a" * 37}, "10001"),
    ],
)
def test_bybit_refuses(bench: Bench, change: dict[str, Any], code: str) -> None:
    fields = {name: value for name, value in (LINEAR | change).items() if value is not None}
    assert bench.code("POST", "/v5/order/create", **fields) == code
    assert not bench.venue.log


@only("bybit")
def test_bybit_refuses_a_name_that_comes_twice(bench: Bench) -> None:
    text = json.dumps(LINEAR)[:-1] + ', "qty": "1"}'
    answer = bybit_raw(bench.venue, "POST", "/v5/order/create", text)
    assert answer["retCode"] == 10001
    query = "category=linear&symbol=BTCUSDT&symbol=BTCUSDT"
    assert bybit_raw(bench.venue, "GET", "/v5/order/realtime", query)["retCode"] == 10001


@only("bybit")
def test_bybit_moves_money_once(bench: Bench) -> None:
    fields = {"coin": "USDT", "chain": "ETH", "address": ADDRESS, "amount": "40"}
    fields |= {"timestamp": NOW_MS, "forceChain": 1, "accountType": "FUND", "requestId": "w1"}
    path = "/v5/asset/withdraw/create"
    assert bench.code("POST", path, **fields) == "0"
    assert bench.code("POST", path, **fields) == "10014"
    assert bench.code("POST", path, **fields | {"requestId": "w2", "amount": "61"}) == "131001"
    assert bench.code("POST", path, **fields | {"timestamp": str(NOW_MS)}) == "10001"
    move = {"transferId": "42c0cfb0-6bca-c242-bc76-4e6df6cbcb16", "coin": "BTC", "amount": "1"}
    move |= {"fromAccountType": "UNIFIED", "toAccountType": "FUND"}
    path = "/v5/asset/transfer/inter-transfer"
    assert bench.code("POST", path, **move) == "0"
    assert bench.code("POST", path, **move) == "131214"
    assert bench.code("POST", path, **move | {"toAccountType": "UNIFIED"}) == "131211"


@pytest.mark.parametrize("bench", ["bybit"], indirect=True)
def test_an_unknown_endpoint_is_no_endpoint(bench: Bench) -> None:
    bench.call("POST", "/elsewhere")
    assert sum(bench.venue.refused.values()) == 1
    assert not bench.venue.log
