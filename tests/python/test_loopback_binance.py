"""Each action of Binance's loopback venue: what it does to the book, and what it refuses.

Goal: a renderer that is wrong in one field is refused in the venue's own words, and one that is
right moves the book as the venue would. Method: requests signed by this test's own computation
(venue_calls.py), on a clock that the test moves.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from venue_calls import ADDRESS, Bench, bench, only

__all__ = ["bench"]

SPOT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
SPOT |= {"quantity": "0.01", "price": "60000.00"}


@only("binance_spot")
def test_binance_spot_keeps_a_book(bench: Bench) -> None:
    call, venue = bench.call, bench.venue
    order, opens = "/api/v3/order", "/api/v3/openOrders"
    one = call("POST", order, **SPOT, newClientOrderId="a")
    assert one["status"] == "NEW"
    assert one["clientOrderId"] == "a"
    two = call("POST", order, **SPOT | {"timeInForce": "IOC"}, newClientOrderId="b")
    assert (two["status"], two["executedQty"]) == ("FILLED", "0.01")
    assert two["fills"][0]["price"] == "60000.00"
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "0.01"}
    assert call("POST", order, **stop, stopPrice="50000")["orderId"]
    quote = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "130"}
    assert call("POST", order, **quote)["executedQty"] == "0.002"
    assert len(call("GET", opens)) == 2
    assert call("GET", order, symbol="BTCUSDT", origClientOrderId="b")["status"] == "FILLED"
    assert bench.code("GET", order, symbol="BTCUSDT", origClientOrderId="zz") == "-2013"
    fills = call("GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=two["orderId"])
    assert [(fill["qty"], fill["price"]) for fill in fills] == [("0.01", "60000.00")]
    assert call("DELETE", order, symbol="BTCUSDT", orderId=one["orderId"])["status"] == "CANCELED"
    assert bench.code("DELETE", order, symbol="BTCUSDT", orderId=one["orderId"]) == "-2011"
    assert len(call("DELETE", opens, symbol="BTCUSDT")) == 1
    assert bench.code("DELETE", opens, symbol="BTCUSDT") == "-2011"
    # The id of an order that is done may be used again; that is all the venue promises.
    assert bench.code("POST", order, **SPOT, newClientOrderId="b") == "0"
    assert venue.duplicates["client id"] == 1


@only("binance_spot")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"leverage": "3"}, "-1104"),
        ({"symbol": None}, "-1102"),
        ({"price": None}, "-1102"),
        ({"price": ""}, "-1102"),
        ({"price": "6e4"}, "-1100"),
        ({"price": "-1"}, "-1100"),
        ({"price": "060000"}, "-1100"),
        ({"quantity": "0"}, "-1013"),
        ({"stopPrice": "50000"}, "-1106"),
        ({"timeInForce": "GTX"}, "-1115"),
        ({"type": "STOP"}, "-1116"),
        ({"side": "buy"}, "-1117"),
        ({"symbol": "ETHUSDT"}, "-1121"),
        ({"newClientOrderId": "a b"}, "-1100"),
        ({"newClientOrderId": "a" * 37}, "-1100"),
        ({"recvWindow": "60001"}, "-1131"),
    ],
)
def test_binance_spot_refuses(bench: Bench, change: dict[str, Any], code: str) -> None:
    fields = {name: value for name, value in (SPOT | change).items() if value is not None}
    assert bench.code("POST", "/api/v3/order", **fields) == code
    assert not bench.venue.log


@only("binance_spot")
def test_binance_spot_moves_money(bench: Bench) -> None:
    apply, transfer = "/sapi/v1/capital/withdraw/apply", "/sapi/v1/asset/transfer"
    fields = {"coin": "USDT", "address": ADDRESS, "network": "ETH", "amount": "60"}
    assert bench.code("POST", apply, **fields, withdrawOrderId="w1") == "0"
    assert bench.code("POST", apply, **fields) == "-4026"
    move = {"type": "MAIN_UMFUTURE", "asset": "BTC", "amount": "1.5"}
    assert bench.code("POST", transfer, **move) == "0"
    assert bench.code("POST", transfer, **move) == "-8012"
    assert bench.code("POST", transfer, **move | {"type": "MAIN_MAIN"}) == "-1100"
    assert bench.venue.balances == {
        "USDT": Decimal(40), "USDC": Decimal(100), "BTC": Decimal("0.5"),
    }  # fmt: skip


@only("binance_usdm")
def test_binance_usdm_keeps_a_book(bench: Bench) -> None:
    call, venue = bench.call, bench.venue
    order, algo = "/fapi/v1/order", "/fapi/v1/algoOrder"
    fields = SPOT | {"price": "60000.0", "timeInForce": "GTX"}
    one = call("POST", order, **fields, newClientOrderId="a", reduceOnly="true")
    assert (one["status"], one["reduceOnly"]) == ("NEW", True)
    assert bench.code("POST", order, **fields, newClientOrderId="a") == "-4116"
    terms = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.02", "price": "60000.0"}
    amended = call("PUT", order, **terms, origClientOrderId="a")
    assert (amended["origQty"], amended["orderId"]) == ("0.02", one["orderId"])
    assert bench.code("PUT", order, **terms, origClientOrderId="a") == "-5027"
    assert bench.code("PUT", order, **terms | {"side": "SELL"}, origClientOrderId="a") == "-2013"
    assert bench.code("PUT", order, **terms, origClientOrderId="zz") == "-2013"
    stop = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET"}
    stop |= {"quantity": "0.01", "triggerPrice": "50000.0", "clientAlgoId": "s"}
    assert call("POST", algo, **stop)["algoStatus"] == "NEW"
    # Conditional orders are kept apart: the other endpoints do not know them.
    assert bench.code("GET", order, symbol="BTCUSDT", origClientOrderId="s") == "-2013"
    assert len(call("GET", "/fapi/v1/openOrders")) == 1
    assert call("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")["code"] == 200
    assert [o.client_id for o in venue.live()] == ["s"]
    assert call("GET", algo, clientAlgoId="s")["algoStatus"] == "NEW"
    assert call("DELETE", algo, clientAlgoId="s")["code"] == "200"
    assert bench.code("DELETE", algo, clientAlgoId="s") == "-2011"
    market = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01"}
    assert call("POST", order, **market)["avgPrice"] == "65000"
    assert len(call("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")) == 1


@only("binance_usdm")
def test_binance_usdm_cancels_when_nobody_renews(bench: Bench) -> None:
    count = "/fapi/v1/countdownCancelAll"
    bench.call("POST", "/fapi/v1/order", **SPOT | {"price": "60000.0"})
    bench.call("POST", count, symbol="BTCUSDT", countdownTime="5000")
    bench.clock[0] += 4_999
    assert len(bench.call("GET", "/fapi/v1/openOrders")) == 1
    bench.call("POST", count, symbol="BTCUSDT", countdownTime="5000")
    bench.clock[0] += 5_000
    assert bench.call("GET", "/fapi/v1/openOrders") == []


@pytest.mark.parametrize("bench", ["binance_spot", "binance_usdm"], indirect=True)
def test_an_unknown_endpoint_is_no_endpoint(bench: Bench) -> None:
    bench.call("POST", "/elsewhere")
    assert sum(bench.venue.refused.values()) == 1
    assert not bench.venue.log
