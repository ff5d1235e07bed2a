"""Each action of Deribit's loopback venue: what it does to the book, and what it refuses.

Goal: a renderer that is wrong in one field is refused in the venue's own words, and one that is
right moves the book as the venue would. Method: requests signed by this test's own computation
(venue_calls.py), on a clock that the test moves.
"""

from __future__ import annotations

from typing import Any

import pytest
from venue_calls import NOW_MS, Bench, bench, only

__all__ = ["bench"]

PERPETUAL = {"instrument_name": "BTC-PERPETUAL", "amount": "20", "type": "limit"}
PERPETUAL |= {"price": "60000.5", "time_in_force": "good_til_cancelled"}


@only("deribit")
def test_deribit_keeps_a_book(bench: Bench) -> None:
    call, venue = bench.call, bench.venue
    one = call("", "buy", **PERPETUAL, label="a")["result"]["order"]
    assert (one["order_state"], one["amount"]) == ("open", 20.0)
    filled = call("", "sell", **PERPETUAL | {"time_in_force": "fill_or_kill"}, label="b")["result"]
    assert filled["order"]["order_state"] == "filled"
    assert filled["trades"][0]["price"] == 65000.0
    stop = PERPETUAL | {"type": "stop_market", "trigger": "mark_price", "trigger_price": "50000"}
    del stop["price"]
    made = call("", "sell", **stop, label="s")["result"]["order"]
    assert (made["order_state"], made["price"]) == ("untriggered", "market_price")
    assert call("", "get_order_state", order_id=one["order_id"])["result"]["label"] == "a"
    assert bench.code("", "get_order_state", order_id="BTC-1") == "10004"
    by_label = {"currency": "BTC", "label": "b"}
    assert len(call("", "get_order_state_by_label", **by_label)["result"]) == 1
    assert len(call("", "get_open_orders")["result"]) == 2
    trades = {"instrument_name": "BTC-PERPETUAL"}
    assert len(call("", "get_user_trades_by_instrument", **trades)["result"]["trades"]) == 1
    amend = {"order_id": one["order_id"], "amount": "30", "price": "60001"}
    assert call("", "edit", **amend)["result"]["order"]["amount"] == 30.0
    label = {"label": "a", "instrument_name": "BTC-PERPETUAL", "amount": "40", "price": "60001"}
    assert call("", "edit_by_label", **label)["result"]["order"]["amount"] == 40.0
    assert bench.code("", "edit_by_label", **label | {"label": "zz"}) == "10004"
    assert bench.code("", "edit", **amend | {"order_id": filled["order"]["order_id"]}) == "11044"
    # Two of one label are allowed; an edit by it is then not.
    call("", "buy", **PERPETUAL, label="a")
    assert bench.code("", "edit_by_label", **label) == "10004"
    assert call("", "cancel_by_label", label="a", currency="ETH")["result"] == 0
    assert call("", "cancel_by_label", label="a")["result"] == 2
    assert bench.code("", "cancel", order_id=one["order_id"]) == "11044"
    assert call("", "cancel_all_by_instrument", **trades)["result"] == 1
    assert call("", "cancel_all")["result"] == 0
    assert not venue.live()


@only("deribit")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"leverage": "3"}, "-32602"),
        ({"instrument_name": None}, "-32602"),
        ({"amount": "2e1"}, "-32602"),
        ({"price": None}, "-32602"),
        ({"trigger_price": "50000"}, "-32602"),
        ({"post_only": "1"}, "-32602"),
        ({"reject_post_only": "true"}, "-32602"),
        ({"time_in_force": "gtc"}, "-32602"),
        ({"label": "a" * 65}, "-32602"),
        ({"price": "60000.3"}, "10043"),
        ({"amount": "15"}, "10021"),
        ({"instrument_name": "DOGE-PERPETUAL"}, "13020"),
        ({"valid_until": str(NOW_MS)}, "13888"),
    ],
)
def test_deribit_refuses(bench: Bench, change: dict[str, Any], code: str) -> None:
    fields = {name: value for name, value in (PERPETUAL | change).items() if value is not None}
    assert bench.code("", "buy", **fields) == code
    assert not bench.venue.log


@only("deribit")
def test_deribit_takes_what_is_still_valid_and_knows_its_methods(bench: Bench) -> None:
    assert bench.code("", "buy", **PERPETUAL, valid_until=NOW_MS + 1) == "0"
    assert bench.code("", "logout") == "-32601"


@only("deribit")
def test_deribit_moves_money(bench: Bench) -> None:
    fields = {"currency": "BTC", "address": "2NBqqD5GRJ8wHy1PYyCXTe9ke5226FhavBz", "amount": "1.5"}
    assert bench.code("", "withdraw", **fields, priority="mid") == "0"
    assert bench.code("", "withdraw", **fields) == "10009"
    assert bench.code("", "withdraw", **fields, priority="fast") == "-32602"
    move = {"currency": "USDC", "amount": "1", "destination": "21"}
    assert bench.code("", "submit_transfer_to_subaccount", **move) == "0"


@pytest.mark.parametrize("bench", ["deribit"], indirect=True)
def test_an_unknown_endpoint_is_no_endpoint(bench: Bench) -> None:
    bench.call("POST", "/elsewhere")
    assert sum(bench.venue.refused.values()) == 1
    assert not bench.venue.log
