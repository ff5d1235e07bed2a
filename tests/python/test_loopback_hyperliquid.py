"""Each action of Hyperliquid's loopback venue: what it does to the book, and what it refuses.

Goal: a renderer that is wrong in one field is refused in the venue's own words, and one that is
right moves the book as the venue would. Method: requests signed by this test's own computation
(venue_calls.py), on a clock that the test moves.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from venue_calls import ADDRESS, NOW_MS, Bench, bench, exchange, only
from venue_fakes import ACCOUNT, AGENT, VAULT

__all__ = ["bench"]

CLOID = "0x000000000000000000000000deadbeef"
ETH = {"a": 1, "b": True, "p": "2999.5", "s": "0.02", "r": False, "t": {"limit": {"tif": "Gtc"}}}


def orders(*wires: dict[str, Any]) -> dict[str, Any]:
    return {"type": "order", "orders": list(wires), "grouping": "na"}


def info(bench: Bench, kind: str, **more: Any) -> Any:
    return exchange(bench.venue, {"type": kind, "user": ACCOUNT, **more}, "/info")


@only("hyperliquid")
def test_hyperliquid_keeps_a_book(bench: Bench) -> None:
    call = bench.call
    made = call(orders(ETH | {"c": CLOID}))["response"]["data"]["statuses"]
    oid = made[0]["resting"]["oid"]
    ioc = call(orders(ETH | {"t": {"limit": {"tif": "Ioc"}}}))["response"]["data"]["statuses"]
    assert (ioc[0]["filled"]["totalSz"], ioc[0]["filled"]["avgPx"]) == ("0.02", "2999.5")
    trigger = {"trigger": {"isMarket": True, "triggerPx": "2500", "tpsl": "sl"}}
    assert "resting" in str(call(orders(ETH | {"t": trigger, "b": False})))
    assert info(bench, "orderStatus", oid=CLOID)["order"]["status"] == "open"
    assert info(bench, "orderStatus", oid=ioc[0]["filled"]["oid"])["order"]["status"] == "filled"
    assert info(bench, "orderStatus", oid=1) == {"status": "unknownOid"}
    assert len(info(bench, "openOrders")) == 2
    assert [fill["sz"] for fill in info(bench, "userFills")] == ["0.02"]
    stranger = "0x" + "9" * 40
    assert exchange(bench.venue, {"type": "openOrders", "user": stranger}, "/info") == []
    modify = {"oid": CLOID, "order": ETH | {"p": "2998", "c": CLOID}}
    changed = call({"type": "batchModify", "modifies": [modify]})["response"]["data"]["statuses"]
    assert changed[0]["resting"]["oid"] != oid
    gone = {"type": "cancel", "cancels": [{"a": 1, "o": oid}]}
    assert "never placed" in bench.code(gone)
    by_cloid = {"type": "cancelByCloid", "cancels": [{"asset": 1, "cloid": CLOID}]}
    assert bench.code(by_cloid) == "0"
    assert "never placed" in bench.code(by_cloid)
    assert "Cannot modify" in bench.code({"type": "batchModify", "modifies": [modify]})


@only("hyperliquid")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"p": 2999.5}, "deserialize"),
        ({"a": "1"}, "deserialize"),
        ({"r": None}, "deserialize"),
        ({"x": 1}, "deserialize"),
        ({"c": "0xDEADBEEF"}, "deserialize"),
        ({"t": {"limit": {"tif": "GTC"}}}, "deserialize"),
        ({"p": "1e3"}, "deserialize"),
        ({"a": 7}, "Invalid asset"),
        ({"p": "2999.51"}, "tick size"),
        ({"s": "0.02001"}, "invalid size"),
        ({"s": "0"}, "zero size"),
        ({"s": "0.001"}, "minimum value"),
    ],
)
def test_hyperliquid_refuses(bench: Bench, change: dict[str, Any], words: str) -> None:
    action = orders(ETH | change)
    assert words in json.dumps(bench.call(action))
    assert not bench.venue.log


@only("hyperliquid")
def test_hyperliquid_reads_the_bytes_in_its_own_way(bench: Bench) -> None:
    """Zeros at the end are gone when the venue hashes: who signed them is somebody else."""
    assert "does not exist" in str(bench.call(orders(ETH | {"p": "2999.50"})))
    sent = {"grouping": "na", "orders": [ETH], "type": "order"}
    assert bench.code(orders(ETH), action_sent=sent) == "0"  # the order of names in JSON is free
    changed = orders(ETH | {"s": "0.03"})
    assert "does not exist" in str(bench.call(orders(ETH), action_sent=changed))


@only("hyperliquid")
def test_hyperliquid_has_vaults_and_expiries(bench: Bench) -> None:
    assert bench.code(orders(ETH), vaultAddress=VAULT) == "0"
    assert "Vault not registered" in bench.code(orders(ETH), vaultAddress="0x" + "8" * 40)
    assert bench.code(orders(ETH), expiresAfter=NOW_MS) == "0"
    assert bench.code(orders(ETH), expiresAfter=NOW_MS - 1) == "Action already expired"
    accepted = len(bench.venue.log)
    # A refused action has not used its nonce.
    assert bench.code(orders(ETH), nonce=NOW_MS + 99, expiresAfter=1) != "0"
    assert bench.code(orders(ETH), nonce=NOW_MS + 99) == "0"
    assert len(bench.venue.log) == accepted + 1


@only("hyperliquid")
def test_hyperliquid_keeps_the_hundred_highest_nonces(bench: Bench) -> None:
    later = {"type": "scheduleCancel"}
    for nonce in range(NOW_MS, NOW_MS + 200, 2):
        assert bench.code(later, nonce=nonce) == "0"
    assert "duplicate nonce" in bench.code(later, nonce=NOW_MS + 10)
    assert "too low" in bench.code(later, nonce=NOW_MS - 1)
    assert bench.code(later, nonce=NOW_MS + 1) == "0"  # new, and above the smallest
    assert "too low" in bench.code(later, nonce=NOW_MS)  # which is gone now
    day = 86_400_000
    assert "too high" in bench.code(later, nonce=NOW_MS + day)
    assert bench.code(later, nonce=NOW_MS + day - 1) == "0"
    # Another signer has nonces of its own.
    assert bench.code(later, nonce=NOW_MS - 2 * day + 1, key=bytes([1] * 32)) == "0"
    assert "too low" in bench.code(later, nonce=NOW_MS - 2 * day, key=bytes([1] * 32))


@only("hyperliquid")
def test_hyperliquid_cancels_at_a_time(bench: Bench) -> None:
    bench.call(orders(ETH))
    early = {"type": "scheduleCancel", "time": NOW_MS + 4_999}
    assert bench.code(early) != "0"
    assert bench.code({"type": "scheduleCancel", "time": NOW_MS + 5_000}) == "0"
    bench.clock[0] += 5_000
    assert info(bench, "openOrders") == []


@only("hyperliquid")
def test_hyperliquid_lets_the_account_alone_move_money(bench: Bench) -> None:
    frame = {"hyperliquidChain": "Testnet", "signatureChainId": "0x66eee"}
    send = {"type": "usdSend", "destination": ADDRESS, "amount": "60", "time": 0, **frame}
    assert bench.code(send) == "0"
    assert "Insufficient" in bench.code(send)
    assert "Must deposit" in bench.code(send, key=AGENT)
    mainnet = send | {"hyperliquidChain": "Mainnet"}
    assert "chain" in bench.code(mainnet)
    token = "USDC:0x6d1e7cde53ba9467b783cb7c530ce054"
    spot = {"type": "spotSend", "destination": ADDRESS, "token": token, "amount": "1", "time": 0}
    assert bench.code(spot | frame) == "0"
    withdraw = {"type": "withdraw3", "destination": ADDRESS, "amount": "2", "time": 0, **frame}
    assert bench.code(withdraw) == "0"
    move = {"type": "usdClassTransfer", "amount": "1", "toPerp": True, "nonce": NOW_MS + 77}
    assert bench.code(move | frame, nonce=NOW_MS + 77) == "0"
    assert bench.venue.balances is not None
    assert bench.venue.balances["USDC"] == 36


@pytest.mark.parametrize("bench", ["hyperliquid"], indirect=True)
def test_an_unknown_endpoint_is_no_endpoint(bench: Bench) -> None:
    exchange(bench.venue, {}, "/elsewhere")
    assert sum(bench.venue.refused.values()) == 1
    assert not bench.venue.log
