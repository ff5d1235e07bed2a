"""The loopback venues with keys and listings that the tests know. All keys are test keys."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.venues.faults import Schedule
from tests.venues.hyperliquid_sign import address_of
from tests.venues.loopback import Instrument, Key, LoopbackVenue, wall_ms
from tests.venues.table import VENUES

API_KEY = "test-key-0123456789"
SECRET = "test-secret-abcdefghijklmnopqrstuvwxyz"
ED25519_KEY = "test-key-ed25519"
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PASSPHRASE = "test passphrase"
MASTER = bytes([1] * 32)
AGENT = bytes([2] * 32)
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
ACCOUNT = address_of(MASTER)


def row(symbol: str, tick: str, lot: str, mark: str, category: str = "spot") -> Instrument:
    return Instrument(symbol, Decimal(tick), Decimal(lot), Decimal(mark), category)


LISTINGS = {
    "binance_spot": [row("BTCUSDT", "0.01", "0.00001", "65000")],
    "binance_usdm": [row("BTCUSDT", "0.10", "0.001", "65000", "linear")],
    "bybit": [
        row("BTCUSDT", "0.10", "0.001", "65000", "linear"),
        row("BTCUSD", "0.50", "1", "65000", "inverse"),
        row("ETHUSDT", "0.01", "0.0001", "3000", "spot"),
        row("BTC-27NOV26-60000-C", "5", "0.01", "5000", "option"),
    ],
    "okx": [
        row("BTC-USDT", "0.1", "0.00001", "65000", "spot"),
        row("BTC-USDT-SWAP", "0.1", "0.01", "65000", "swap"),
    ],
    "deribit": [
        row("BTC-PERPETUAL", "0.5", "10", "65000", "future"),
        row("ETH-27NOV26-3000-C", "0.0005", "1", "0.05", "option"),
        row("ETH_USDC-PERPETUAL", "0.05", "0.01", "3000", "future"),
    ],
    "hyperliquid": [
        Instrument("BTC", Decimal(1), Decimal("0.00001"), Decimal(65000), "perp", 0, 5),
        Instrument("ETH", Decimal("0.1"), Decimal("0.0001"), Decimal(3000), "perp", 1, 4),
    ],
}


def make(
    name: str,
    *,
    now_ms: Callable[[], int] = wall_ms,
    schedule: Schedule | None = None,
    **options: Any,
) -> LoopbackVenue:
    """A venue that knows the keys above; not started."""
    if name == "hyperliquid":
        keys = [Key(ACCOUNT), Key(address_of(AGENT), account=ACCOUNT)]
        options = {"vaults": [VAULT]} | options
    else:
        public = ED25519.public_key().public_bytes_raw()
        keys = [Key(API_KEY, SECRET.encode(), passphrase=PASSPHRASE)]
        keys.append(Key(ED25519_KEY, ed25519_public=public))
    return VENUES[name](
        keys=keys, instruments=LISTINGS[name], now_ms=now_ms, schedule=schedule, **options
    )


def send(
    venue: LoopbackVenue,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 5,
) -> tuple[int, Any]:
    """One request as it stands; status and answer, JSON where it is that."""
    request = urllib.request.Request(
        venue.url + target, data=body, headers=headers or {}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode()


def code_of(name: str, answer: Any) -> str:
    """Where each venue says what is wrong; "0" for nothing."""
    if name.startswith("binance"):
        return str(answer.get("code", 0)) if isinstance(answer, dict) else "0"
    if name == "bybit":
        return str(answer["retCode"])
    if name == "okx":
        rows = answer["data"]
        return str(rows[0]["sCode"]) if answer["code"] == "1" else str(answer["code"])
    if name == "deribit":
        return str(answer["error"]["code"]) if "error" in answer else "0"
    if answer["status"] == "err":
        return str(answer["response"])
    for status in answer["response"].get("data", {}).get("statuses", []):
        if isinstance(status, dict) and "error" in status:
            return str(status["error"])
    return "0"
