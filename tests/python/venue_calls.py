"""Requests to the loopback venues, signed here: what no library sends, and what each action is.

The third computation of the same signatures, after the core's and the venue's own, for requests
that have to be wrong in one place and right in all others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import coincurve
import pytest
from venue_fakes import AGENT, API_KEY, MASTER, PASSPHRASE, SECRET, code_of, make, send

from tests.venues.hyperliquid_sign import USER_TYPES, l1_digest, user_digest
from tests.venues.loopback import LoopbackVenue

Call = Callable[..., Any]
NOW_MS = 1_790_000_000_000
ADDRESS = "0x99ced129603abc771c0dabe935c326ff6c86645d"


def _mac(text: str) -> bytes:
    return hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256)


def binance(venue: LoopbackVenue, method: str, path: str, **fields: Any) -> Any:
    query = urlencode({**fields, "timestamp": venue.now_ms()})
    target = f"{path}?{query}&signature={_mac(query).hex()}"
    return send(venue, method, target, headers={"X-MBX-APIKEY": API_KEY})[1]


def bybit(venue: LoopbackVenue, method: str, path: str, **fields: Any) -> Any:
    text = urlencode(fields) if method == "GET" else json.dumps(fields)
    return bybit_raw(venue, method, path, text)


def bybit_raw(venue: LoopbackVenue, method: str, path: str, text: str) -> Any:
    now = str(venue.now_ms())
    headers = {
        "X-BAPI-API-KEY": API_KEY,
        "X-BAPI-TIMESTAMP": now,
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": _mac(f"{now}{API_KEY}5000{text}").hex(),
        "Content-Type": "application/json",
    }
    if method == "GET":
        return send(venue, method, f"{path}?{text}", headers=headers)[1]
    return send(venue, method, path, text.encode(), headers)[1]


def okx(venue: LoopbackVenue, method: str, path: str, **fields: Any) -> Any:
    text = urlencode(fields) if method == "GET" else json.dumps(fields)
    if path.endswith("cancel-algos"):
        text = f"[{text}]"
    return okx_raw(venue, method, path, text)


def okx_raw(venue: LoopbackVenue, method: str, path: str, text: str, **more: str) -> Any:
    target = f"{path}?{text}" if method == "GET" and text else path
    body = "" if method == "GET" else text
    seconds = venue.now_ms() / 1000
    now = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    headers = {
        "OK-ACCESS-KEY": API_KEY,
        "OK-ACCESS-PASSPHRASE": PASSPHRASE,
        "OK-ACCESS-TIMESTAMP": now,
        "OK-ACCESS-SIGN": base64.b64encode(_mac(f"{now}{method}{target}{body}")).decode(),
        "Content-Type": "application/json",
        **more,
    }
    return send(venue, method, target, body.encode() or None, headers)[1]


def deribit(venue: LoopbackVenue, method: str, path: str, **fields: Any) -> Any:
    """The path is the method's name; `method` is not looked at."""
    target = f"/api/v2/private/{path}"
    if fields:
        target += f"?{urlencode(fields)}"
    now = str(venue.now_ms())
    nonce = f"n{venue.requests}"
    mac = _mac(f"{now}\n{nonce}\nGET\n{target}\n\n").hex()
    text = f"deri-hmac-sha256 id={API_KEY},ts={now},sig={mac},nonce={nonce}"
    return send(venue, "GET", target, headers={"Authorization": text})[1]


def hyperliquid(venue: LoopbackVenue, action: dict[str, Any], **more: Any) -> Any:
    """An action; `key` signs it, `action_sent` goes in its place once it is signed."""
    body = dict(more)
    user = action["type"] in USER_TYPES
    key = body.pop("key", MASTER if user else AGENT)
    sent = body.pop("action_sent", action)
    nonce = body.setdefault("nonce", venue.now_ms() + venue.requests)
    if user:
        action = sent = action | {"time": nonce} if "time" in action else action
        digest = user_digest(action)
    else:
        vault, expires = body.get("vaultAddress"), body.get("expiresAfter")
        digest = l1_digest(action, nonce, vault, expires, mainnet=False)
    whole = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)
    signature = {"r": "0x" + whole[:32].hex(), "s": "0x" + whole[32:64].hex(), "v": 27 + whole[64]}
    return exchange(venue, body | {"action": sent, "signature": signature})


def exchange(venue: LoopbackVenue, body: dict[str, Any], path: str = "/exchange") -> Any:
    headers = {"Content-Type": "application/json"}
    return send(venue, "POST", path, json.dumps(body).encode(), headers)[1]


CALLS: dict[str, Call] = {
    "binance_spot": binance,
    "binance_usdm": binance,
    "bybit": bybit,
    "okx": okx,
    "deribit": deribit,
}


@dataclass
class Bench:
    """A venue, its clock, and a way to call it."""

    venue: LoopbackVenue
    clock: list[int]
    call: Callable[..., Any]

    def code(self, *args: Any, **fields: Any) -> str:
        """The venue's code for a call; "0" for an acceptance."""
        return code_of(self.venue.name, self.call(*args, **fields))


def bench_of(name: str) -> Bench:
    clock = [NOW_MS]
    balances = {"USDT": Decimal(100), "USDC": Decimal(100), "BTC": Decimal(2)}
    venue = make(name, now_ms=lambda: clock[0], balances=balances).start()
    inner = CALLS.get(name, hyperliquid)
    return Bench(venue, clock, lambda *args, **fields: inner(venue, *args, **fields))


def only(name: str) -> Any:
    """The fixture `bench` of one venue alone."""
    return pytest.mark.parametrize("bench", [name], indirect=True)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A venue on a clock of its own, with little money."""
    made = bench_of(request.param)
    yield made
    made.venue.stop()
