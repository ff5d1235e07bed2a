"""Clients that we did not write trade on the loopback venues, and are refused with the right code.

Goal: the fakes are the venues that the world's libraries know, not the ones that we imagine.
Method: ccxt for all six, and each venue's own library, are aimed at them; the venue's book and
counters are compared with what was asked. Deribit has no library of its own for this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from venue_clients import CCXT_BUILDER, CLIENTS, Client, Limit
from venue_fakes import AGENT, ED25519, ED25519_KEY, MASTER, SECRET, make, send

from tests.venues.loopback import LoopbackVenue, Request, wall_ms

# python-okx hands its body to httpx under an old name.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

# A good order of each venue; the same with a price, a size, a symbol that cannot be.
GOOD = {
    "binance_spot": Limit("BTCUSDT", "0.01", "60000.5", "mine-1"),
    "binance_usdm": Limit("BTCUSDT", "0.01", "60000.5", "mine-1"),
    "bybit": Limit("BTCUSDT", "0.01", "60000.5", "mine-1"),
    "okx": Limit("BTC-USDT", "0.01", "60000.5", "mine1"),
    "deribit": Limit("BTC-PERPETUAL", "20", "60000.5", "mine-1"),
    "hyperliquid": Limit("ETH", "0.02", "2999.5", "0x000000000000000000000000deadbeef"),
}
BAD_PRICE = {"hyperliquid": "2999.51"}
BAD_SYMBOL = {"okx": "DOGE-USDT", "hyperliquid": "NONE", "deribit": "DOGE-PERPETUAL"}
BAD_QUANTITY = {"deribit": "15", "hyperliquid": "0.02000001"}
CODES = {
    #               signature, old, ahead, twice, symbol, price, size
    "binance_spot": ("-1022", "-1021", "-1021", "-2010", "-1121", "-1013", "-1013"),
    "binance_usdm": ("-1022", "-1021", "-1021", "-4116", "-1121", "-4014", "-4023"),
    "bybit": ("10004", "10002", "10002", "110072", "10001", "10001", "10001"),
    "okx": ("50113", "50102", "50102", "51016", "51001", "51000", "51121"),
    "deribit": ("13009", "13004", "13004", "", "13020", "10043", "10021"),
    "hyperliquid": (
        "signature", "nonce", "nonce", "", "Invalid asset",
        "Price must be divisible by tick size.", "Order has invalid size.",
    ),
}  # fmt: skip
# By how much the venue's clock must be ahead, and behind, for a request to be out of its window.
OLD_MS = {"okx": 31_000, "deribit": 61_000, "hyperliquid": 2 * 86_400_000 + 1000}
AHEAD_MS = {"okx": 31_000, "deribit": 61_000, "hyperliquid": 86_400_000 + 1000}


@dataclass
class Market:
    """One venue with one client, and the last request that came."""

    venue: LoopbackVenue
    client: Client
    good: Limit
    offset_ms: list[int]
    seen: list[Request]

    def close(self) -> None:
        self.client.close()
        self.venue.stop()

    def place(self, order: Limit) -> None:
        with contextlib.suppress(Exception):  # how a library says no is its own affair
            self.client.place(order)

    def refused(self) -> dict[str, int]:
        assert not self.venue.orders
        assert not self.venue.log
        return dict(self.venue.refused)


def open_market(name: str, secret: Any = None) -> Market:
    venue_name = name.partition("-")[0]
    offset = [0]
    options = {"builders": [CCXT_BUILDER]} if venue_name == "hyperliquid" else {}
    venue = make(venue_name, now_ms=lambda: wall_ms() + offset[0], **options).start()
    if secret is None:
        secret = AGENT if venue_name == "hyperliquid" else SECRET
    seen: list[Request] = []
    inner = venue.handle

    def handle(request: Request) -> Any:
        seen.append(request)
        return inner(request)

    venue.handle = handle  # type: ignore[method-assign]
    return Market(venue, CLIENTS[name](venue, secret), GOOD[venue_name], offset, seen)


@pytest.fixture(params=CLIENTS)
def market(request: pytest.FixtureRequest) -> Iterator[Market]:
    made = open_market(request.param)
    yield made
    made.close()


def test_a_good_order_is_taken_and_cancelled(market: Market) -> None:
    venue, good = market.venue, market.good
    market.client.place(good)
    assert dict(venue.accepted) == {"place": 1}
    (order,) = venue.orders
    assert (order.symbol, order.side, order.state) == (good.symbol, "buy", "open")
    assert (order.quantity, order.price) == (Decimal(good.quantity), Decimal(good.price))
    assert order.client_id == good.client_id
    market.client.cancel(good)
    assert order.state == "cancelled"
    assert venue.accepted["cancel"] == 1
    assert not venue.refused
    market.place(replace(good, client_id=good.client_id[:-1] + "2"))
    assert venue.accepted["place"] == 2


@pytest.mark.parametrize("name", CLIENTS)
def test_a_wrong_key_is_refused(name: str) -> None:
    secret: Any = "another secret"
    if name.startswith("hyperliquid"):
        secret = bytes([7] * 32)
    market = open_market(name, secret)
    market.place(market.good)
    assert set(market.refused()) == {CODES[market.venue.name][0]}
    market.close()


def test_a_request_out_of_its_window_is_refused(market: Market) -> None:
    name = market.venue.name
    market.offset_ms[0] = OLD_MS.get(name, 11_000)
    market.place(market.good)
    assert set(market.refused()) == {CODES[name][1]}
    market.venue.refused.clear()
    market.offset_ms[0] = -AHEAD_MS.get(name, 2_000)
    market.place(replace(market.good, client_id=market.good.client_id[:-1] + "3"))
    assert set(market.refused()) == {CODES[name][2]}


def test_a_client_id_twice_is_refused_or_at_least_seen(market: Market) -> None:
    """Deribit and Hyperliquid promise nothing about labels and cloids: both orders are taken."""
    venue = market.venue
    market.place(market.good)
    market.place(market.good)
    code = CODES[venue.name][3]
    assert dict(venue.refused) == ({code: 1} if code else {})
    assert len(venue.orders) == (1 if code else 2)
    assert venue.duplicates["client id"] == 1


def test_the_same_bytes_are_taken_once(market: Market) -> None:
    """As long as the order is open: by its client id, or by its nonce."""
    venue = market.venue
    market.place(market.good)
    assert len(venue.orders) == 1
    again = market.seen[-1]
    headers = {n: v for n, v in again.headers.items() if n not in ("host", "content-length")}
    headers.pop("accept-encoding", None)
    send(venue, again.method, again.target, again.body or None, headers)
    assert len(venue.orders) == 1
    assert sum(venue.refused.values()) == 1
    code = CODES[venue.name][3] or {"deribit": "13009", "hyperliquid": "nonce"}[venue.name]
    assert set(venue.refused) == {code}
    if venue.name in ("deribit", "hyperliquid"):
        assert venue.duplicates["nonce"] == 1


def test_an_unknown_symbol_is_refused(market: Market) -> None:
    name = market.venue.name
    market.place(replace(market.good, symbol=BAD_SYMBOL.get(name, "DOGEUSDT")))
    assert set(market.refused()) == {CODES[name][4]}


def test_a_price_between_two_ticks_is_refused(market: Market) -> None:
    name = market.venue.name
    market.place(replace(market.good, price=BAD_PRICE.get(name, "60000.123")))
    assert set(market.refused()) == {CODES[name][5]}


def test_a_size_between_two_lots_is_refused(market: Market) -> None:
    name = market.venue.name
    market.place(replace(market.good, quantity=BAD_QUANTITY.get(name, "0.0100001")))
    assert set(market.refused()) == {CODES[name][6]}


@pytest.mark.parametrize("name", ["binance_spot-binance-sdk", "binance_usdm-binance-sdk"])
def test_an_ed25519_key_is_as_good(name: str) -> None:
    pem = ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    market = open_market(name, (ED25519_KEY, pem))
    market.client.place(market.good)
    assert dict(market.venue.accepted) == {"place": 1}
    market.close()


def test_an_account_may_sign_for_itself() -> None:
    market = open_market("hyperliquid-sdk", MASTER)
    market.client.place(market.good)
    assert dict(market.venue.accepted) == {"place": 1}
    market.close()
