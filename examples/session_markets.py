"""What the session trades: markets whose marks wander, and what each agent has at its venue."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

# SOL's mark is not fed for a minute.
SOL_IS_SILENT_MS = (600_000, 660_000)
# Symbol: first mark, decimals of tick and lot, and a usual quantity in lots.
MARKETS = {
    "BTCUSDT": (64_000_00, 2, 5, 2_500),
    "ETHUSDT": (3_100_00, 2, 4, 5_000),
    "SOLUSDT": (145_00, 2, 3, 10_000),
    "BNBUSDT": (580_00, 2, 3, 2_500),
    "XRPUSDT": (5_200, 4, 1, 30_000),
    "DOGEUSDT": (12_000, 5, 0, 12_000),
}
ASSETS = {"BTC": "BTCUSDT", "ETH": "ETHUSDT"}
OPTION = "DERIBIT-BTC-25JUN27-100000-C"
OPTION_MARK = "0.0350"


@dataclass(frozen=True)
class Listed:
    """An instrument: whose mark it has, its tick in the mark's smallest units, its quantities."""

    name: str
    symbol: str
    tick: int
    decimals: int  # of the quantity
    lots: int  # a usual quantity, in units of its last decimal
    lot: int = 1


@dataclass
class Account:
    """What one agent trades at one venue, and which orders of it rest there."""

    agent: str
    venue: str
    listed: tuple[Listed, ...]
    resting: list[tuple[int, Listed, str]] = field(default_factory=list)
    trigger: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


ACCOUNTS = (
    Account(
        "basis",
        "bybit",
        (
            Listed("BYBIT-SOLUSDT", "SOLUSDT", 1, 2, 1_000),
            Listed("BYBIT-BTCUSDT-PERP", "BTCUSDT", 10, 3, 25),
            Listed("BYBIT-ETHUSDT-PERP", "ETHUSDT", 1, 2, 50),
            Listed("BYBIT-BTCUSD", "BTCUSDT", 50, 0, 1_600),
        ),
        trigger={"trigger_by": "mark"},
    ),
    Account(
        "arb",
        "okx",
        (
            Listed("OKX-BTC-USDT", "BTCUSDT", 10, 5, 2_500),
            Listed("OKX-BTC-USDT-SWAP", "BTCUSDT", 10, 1, 24),
            Listed("OKX-ETH-USDT-SWAP", "ETHUSDT", 1, 1, 50),
            Listed("OKX-BTC-USD-SWAP", "BTCUSDT", 10, 0, 15),
        ),
        trigger={"trigger_by": "last"},
        extra={"margin_mode": "cross"},
    ),
    Account(
        "vol",
        "deribit",
        (
            Listed("DERIBIT-BTC-PERPETUAL", "BTCUSDT", 50, 0, 1_600, 10),
            Listed("DERIBIT-ETH-PERPETUAL", "ETHUSDT", 5, 0, 1_500),
        ),
        trigger={"trigger_by": "mark"},
    ),
    Account(
        "onchain",
        "hyperliquid",
        (
            Listed("HL-BTC", "BTCUSDT", 100, 5, 2_500),
            Listed("HL-ETH", "ETHUSDT", 10, 4, 5_000),
            Listed("HL-SOL", "SOLUSDT", 1, 2, 1_000),
        ),
    ),
)
PERP_LOT_DECIMALS = {
    "BTCUSDT": 3,
    "ETHUSDT": 3,
    "SOLUSDT": 2,
    "BNBUSDT": 2,
    "XRPUSDT": 1,
    "DOGEUSDT": 0,
}

Event = dict[str, Any]


def text(units: int, decimals: int) -> str:
    """A count of smallest units as a decimal, every trailing zero kept."""
    if decimals == 0:
        return str(units)
    digits = str(units).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


class Market:
    """Marks that wander, in ticks."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.ticks = {symbol: market[0] for symbol, market in MARKETS.items()}

    def step(self) -> None:
        for symbol, ticks in self.ticks.items():
            drift = max(1, ticks // 8_000)
            self.ticks[symbol] = max(100, ticks + self.rng.randint(-drift, drift))

    def marks(self, t: int) -> Event:
        silent = SOL_IS_SILENT_MS[0] <= t < SOL_IS_SILENT_MS[1]
        marks = {}
        for symbol, ticks in self.ticks.items():
            price = text(ticks, MARKETS[symbol][1])
            marks[f"{symbol}-PERP"] = price
            for account in ACCOUNTS:
                marks |= {row.name: price for row in account.listed if row.symbol == symbol}
            if symbol != "SOLUSDT" or not silent:
                marks[symbol] = price
        marks[OPTION] = OPTION_MARK
        assets = {asset: marks[f"{symbol}-PERP"] for asset, symbol in ASSETS.items()}
        return {"t": t, "marks": marks, "assets": assets}

    def price(self, symbol: str, bps: int, tick: int = 10) -> str:
        """A price that far from the mark, on a tick; the default is one that every market has."""
        ticks = self.ticks[symbol] * (10_000 + bps) // 10_000
        return text(ticks - ticks % tick, MARKETS[symbol][1])

    def listed_price(self, row: Listed, bps: int) -> str:
        """Hyperliquid takes five significant figures: there, no zeros are written for more."""
        price = self.price(row.symbol, bps, row.tick)
        return price.rstrip("0").rstrip(".") if row.name.startswith("HL-") else price
