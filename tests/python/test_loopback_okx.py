"""Each action of OKX's loopback venue: what it does to the book, and what it refuses.

Goal: a renderer that is wrong in one field is refused in the venue's own words, and one that is
right moves the book as the venue would. Method: requests signed by this test's own computation
(venue_calls.py), on a clock that the test moves.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from venue_calls import NOW_MS, Bench, bench, okx_raw, only
from venue_fakes import code_of

__all__ = ["bench"]

CASH = {"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit"}
CASH |= {"sz": "0.01", "px": "60000.1"}


@only("okx")
def test_okx_keeps_a_book(bench: Bench) -> None:
    call, venue = bench.call, bench.venue
    order, algo = "/api/v5/trade/order", "/api/v5/trade/order-algo"
    inst = {"instId": "BTC-USDT"}
    one = call("POST", order, **CASH, clOrdId="a")["data"][0]["ordId"]
    assert bench.code("POST", order, **CASH, clOrdId="a") == "51016"
    call("POST", order, **CASH | {"ordType": "ioc"}, clOrdId="b")
    stop = {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "sell", "sz": "1"}
    stop |= {"ordType": "conditional", "slTriggerPx": "50000", "slOrdPx": "-1"}
    made = call("POST", algo, **stop, algoClOrdId="s")["data"][0]
    assert made["algoClOrdId"] == "s"
    assert [row["clOrdId"] for row in call("GET", "/api/v5/trade/orders-pending")["data"]] == ["a"]
    (row,) = call("GET", order, **inst, clOrdId="b")["data"]
    assert (row["state"], row["accFillSz"], row["avgPx"]) == ("filled", "0.01", "60000.1")
    assert bench.code("GET", order, **inst, clOrdId="zz") == "51603"
    assert len(call("GET", "/api/v5/trade/fills", **inst)["data"]) == 1
    amend = "/api/v5/trade/amend-order"
    assert bench.code("POST", amend, **inst, clOrdId="a", newPx="60000.2") == "0"
    assert venue.by_id[one].price == Decimal("60000.2")
    assert bench.code("POST", amend, **inst, clOrdId="b", newPx="60000.2") == "51503"
    cancel = "/api/v5/trade/cancel-order"
    assert bench.code("POST", cancel, **inst, ordId=one) == "0"
    assert bench.code("POST", cancel, **inst, ordId=one) == "51400"
    swap = {"instId": "BTC-USDT-SWAP", "algoClOrdId": "s"}
    assert call("GET", algo, algoClOrdId="s")["data"][0]["state"] == "live"
    assert bench.code("POST", "/api/v5/trade/cancel-algos", **swap) == "0"
    assert bench.code("POST", "/api/v5/trade/cancel-algos", **swap) == "51400"
    market = CASH | {"ordType": "market", "sz": "130", "tgtCcy": "quote_ccy", "clOrdId": "q"}
    del market["px"]
    assert bench.code("POST", order, **market) == "0"
    assert venue.by_client_id["q"].filled == Decimal("0.002")


@only("okx")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"leverage": "3"}, "51000"),
        ({"instId": None}, "50014"),
        ({"instId": ""}, "50014"),
        ({"sz": 1}, "51000"),
        ({"sz": "1e-2"}, "51000"),
        ({"px": None}, "51000"),
        ({"side": "Buy"}, "51000"),
        ({"tdMode": "cross"}, "51000"),
        ({"posSide": "long"}, "51000"),
        ({"clOrdId": "a-b"}, "51000"),
        ({"clOrdId": "a" * 33}, "51000"),
        ({"instId": "ETH-USDT"}, "51001"),
        ({"sz": "0.000001"}, "51121"),
    ],
)
def test_okx_refuses(bench: Bench, change: dict[str, Any], code: str) -> None:
    fields = {name: value for name, value in (CASH | change).items() if value is not None}
    assert bench.code("POST", "/api/v5/trade/order", **fields) == code
    assert not bench.venue.log


@only("okx")
def test_okx_looks_at_the_headers(bench: Bench) -> None:
    text, order = json.dumps(CASH), "/api/v5/trade/order"
    for name, value, code in (
        ("OK-ACCESS-KEY", "another", "50111"),
        ("OK-ACCESS-KEY", "", "50103"),
        ("OK-ACCESS-PASSPHRASE", "another", "50105"),
        ("OK-ACCESS-PASSPHRASE", "", "50104"),
        ("OK-ACCESS-SIGN", "", "50106"),
        ("OK-ACCESS-TIMESTAMP", "", "50107"),
        ("OK-ACCESS-TIMESTAMP", "1700000000000", "50112"),
        ("Content-Type", "text/plain", "50006"),
        ("expTime", str(NOW_MS - 1), "50036"),
    ):
        answer = okx_raw(bench.venue, "POST", order, text, **{name: value})
        assert code_of("okx", answer) == code, name
    assert not bench.venue.log
    # Only placing and amending look at expTime ("Transaction Timeouts").
    old = {"expTime": str(NOW_MS - 1)}
    cancel = json.dumps({"instId": "BTC-USDT", "ordId": "1"})
    answer = okx_raw(bench.venue, "POST", "/api/v5/trade/cancel-order", cancel, **old)
    assert code_of("okx", answer) == "51400"
    assert code_of("okx", okx_raw(bench.venue, "POST", order, text, expTime=str(NOW_MS))) == "0"


@only("okx")
def test_okx_cancels_when_nobody_renews(bench: Bench) -> None:
    bench.call("POST", "/api/v5/trade/order", **CASH)
    assert bench.code("POST", "/api/v5/trade/cancel-all-after", timeOut="9") == "51000"
    assert bench.code("POST", "/api/v5/trade/cancel-all-after", timeOut="10") == "0"
    bench.clock[0] += 10_000
    assert bench.call("GET", "/api/v5/trade/orders-pending")["data"] == []


@only("okx")
def test_okx_moves_money(bench: Bench) -> None:
    fields = {"ccy": "BTC", "amt": "1.5", "dest": "4", "toAddr": "17DKe3kkkkiiiiTvAKKi2vMPbm1Bz3CM"}
    assert bench.code("POST", "/api/v5/asset/withdrawal", **fields, clientId="w1") == "0"
    assert bench.code("POST", "/api/v5/asset/withdrawal", **fields) == "58350"
    move = {"ccy": "USDT", "amt": "1", "from": "6", "to": "18"}
    assert bench.code("POST", "/api/v5/asset/transfer", **move) == "0"
    assert bench.code("POST", "/api/v5/asset/transfer", **move | {"to": "6"}) == "51000"
    assert bench.code("POST", "/api/v5/asset/transfer", **move, type="1") == "50014"


@pytest.mark.parametrize("bench", ["okx"], indirect=True)
def test_an_unknown_endpoint_is_no_endpoint(bench: Bench) -> None:
    bench.call("POST", "/elsewhere")
    assert sum(bench.venue.refused.values()) == 1
    assert not bench.venue.log
