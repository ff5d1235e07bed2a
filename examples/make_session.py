"""Writes examples/session.jsonl: half an hour of trading by the firm of firm.yaml.

    python examples/make_session.py > examples/session.jsonl

The same seed gives the same file. Each line is one event at `t`, milliseconds from the beginning:

    {"t": 0, "marks": {"BTCUSDT": "64000.00", ...}, "assets": {"BTC": "64000.00", ...}}
    {"t": 1200, "agent": "maker", "id": 7, "order": {"action": "place", ...}}
    {"t": 900000, "halt": "spot", "reason": "..."}      {"t": 920000, "resume": "spot", ...}

Most orders keep to the policy; about one in nine breaks it, in two dozen ways.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

SEED = 20
LENGTH_MS = 30 * 60 * 1000
MARKS_EVERY_MS = 2_000
SOL_IS_SILENT_MS = (600_000, 660_000)
HALT_MS = (1_200_000, 1_225_000)

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
            if symbol != "SOLUSDT" or not silent:
                marks[symbol] = price
        assets = {asset: marks[f"{symbol}-PERP"] for asset, symbol in ASSETS.items()}
        return {"t": t, "marks": marks, "assets": assets}

    def price(self, symbol: str, bps: int) -> str:
        """A price that far from the mark, on a tick that every market of the symbol has."""
        ticks = self.ticks[symbol] * (10_000 + bps) // 10_000
        return text(ticks - ticks % 10, MARKETS[symbol][1])


class Desk:
    """The agents: each gives events, the most of them within its policy."""

    def __init__(self, rng: random.Random, market: Market) -> None:
        self.rng = rng
        self.market = market
        self.ids = dict.fromkeys(("maker", "taker", "trend", "hedge", "treasurer"), 0)
        self.resting: list[int] = []

    def act(self, t: int, agent: str, **order: Any) -> Event:
        self.ids[agent] += 1
        return {"t": t, "agent": agent, "id": self.ids[agent], "order": order}

    def quantity(self, symbol: str, percent: int = 100, perp: bool = False) -> str:
        """A usual quantity, times that; near 1,500 USD on the spot markets."""
        _, _, decimals, lots = MARKETS[symbol]
        lots = max(1, lots * percent * self.rng.randint(60, 140) // 10_000)
        if perp:
            lots = max(1, lots // 10 ** (decimals - PERP_LOT_DECIMALS[symbol]))
            decimals = PERP_LOT_DECIMALS[symbol]
        return text(lots, decimals)

    def limit(self, t: int, agent: str, symbol: str, side: str, bps: int, **extra: Any) -> Event:
        perp = symbol.endswith("-PERP")
        base = symbol.removesuffix("-PERP")
        order = {
            "action": "place",
            "instrument": symbol,
            "side": side,
            "type": "limit",
            "time_in_force": "gtc",
            "quantity": self.quantity(base, perp=perp),
            "price": self.market.price(base, bps),
        }
        return self.act(t, agent, **(order | extra))

    # -- each agent's usual business ---------------------------------------------------------

    def maker(self, t: int) -> Event:
        if len(self.resting) > 12 or (self.resting and self.rng.random() < 0.45):
            target = self.resting.pop(self.rng.randrange(len(self.resting)))
            return self.act(t, "maker", action="cancel", target_action=target)
        if self.rng.random() < 0.02:
            self.resting.clear()
            symbol = self.rng.choice(list(MARKETS))
            return self.act(t, "maker", action="cancel_all", instrument=symbol)
        symbol = self.rng.choice([s for s in MARKETS if s != "SOLUSDT"])
        side = self.rng.choice(("buy", "sell"))
        away = self.rng.randint(3, 30)
        event = self.limit(
            t, "maker", symbol, side, -away if side == "buy" else away, time_in_force="post_only"
        )
        self.resting.append(event["id"])
        return event

    def taker(self, t: int) -> Event:
        symbol = self.rng.choice(list(MARKETS))
        side = self.rng.choice(("buy", "sell"))
        kind = self.rng.random()
        if kind < 0.3:
            return self.act(
                t,
                "taker",
                action="place",
                instrument=symbol,
                side="buy",
                type="market",
                quote_quantity=text(self.rng.randint(50, 900), 0),
            )
        if kind < 0.4:
            return self.act(t, "taker", action="query", what="open_orders", instrument=symbol)
        return self.limit(
            t,
            "taker",
            symbol,
            side,
            5 if side == "buy" else -5,
            time_in_force=self.rng.choice(("ioc", "fok")),
            quantity=self.quantity(symbol, 60),
        )

    def trend(self, t: int) -> Event:
        symbol = self.rng.choice(list(MARKETS))
        side = self.rng.choice(("buy", "sell"))
        kind = self.rng.random()
        if kind < 0.15:
            return self.act(
                t,
                "trend",
                action="place",
                instrument=f"{symbol}-PERP",
                side=side,
                type="market",
                quantity=self.quantity(symbol, 80, perp=True),
                reduce_only=True,
            )
        if kind < 0.25:
            return self.act(
                t,
                "trend",
                action="cancel_all_after",
                instrument=f"{symbol}-PERP",
                timeout_ms=60_000,
            )
        return self.limit(
            t,
            "trend",
            f"{symbol}-PERP",
            side,
            self.rng.randint(-15, 15),
            quantity=self.quantity(symbol, 120, perp=True),
        )

    def hedge(self, t: int) -> Event:
        symbol = self.rng.choice(("BTCUSDT", "ETHUSDT"))
        return self.limit(t, "hedge", f"{symbol}-PERP", "sell", 10, reduce_only=True)

    def treasurer(self, t: int) -> Event:
        kind = self.rng.randrange(4)
        if kind == 0:
            return self.act(
                t,
                "treasurer",
                action="withdraw",
                asset="USDT",
                network="USDT-TRX",
                amount=text(self.rng.randint(1_000_00, 9_000_00), 2),
                address="TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE",
            )
        if kind == 1:
            return self.act(
                t,
                "treasurer",
                action="withdraw",
                asset="BTC",
                network="BTC",
                amount=text(self.rng.randint(1_000, 15_000), 5),
                address="bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            )
        if kind == 2:
            return self.act(
                t,
                "treasurer",
                action="transfer",
                asset="USDT",
                amount="2500.00",
                from_account="spot",
                to_account="usdm",
            )
        return self.act(
            t, "treasurer", action="query", what="fills", instrument="BTCUSDT", limit=100
        )

    # -- what must be refused ----------------------------------------------------------------

    def violation(self, t: int, kind: int) -> Event:
        rng, limit, act = self.rng, self.limit, self.act
        symbol = rng.choice(("BTCUSDT", "ETHUSDT", "XRPUSDT"))
        match kind:
            case 0:  # too much value
                return limit(t, "maker", "BTCUSDT", "buy", -5, quantity="1.80000")
            case 1:  # too much quantity, though not too much value
                return limit(t, "taker", "DOGEUSDT", "buy", -5, quantity="1100000")
            case 2:  # a price far from the mark
                return limit(t, "maker", symbol, "buy", -120)
            case 3:  # another desk's instrument
                return limit(t, "hedge", "SOLUSDT-PERP", "sell", 5)
            case 4:  # a type that this agent may not use
                return act(
                    t,
                    "maker",
                    action="place",
                    instrument=symbol,
                    side="buy",
                    type="market",
                    quantity=self.quantity(symbol, 5),
                )
            case 5:  # the wrong side
                return limit(t, "hedge", "BTCUSDT-PERP", "buy", -5)
            case 6:  # a maker that would take
                return limit(t, "maker", symbol, "buy", 5, time_in_force="ioc")
            case 7:  # a trader that moves funds
                return act(
                    t,
                    "trend",
                    action="withdraw",
                    asset="USDT",
                    network="USDT-TRX",
                    amount="100.00",
                    address="TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE",
                )
            case 8:  # an address that is on no list
                return act(
                    t,
                    "treasurer",
                    action="withdraw",
                    asset="USDT",
                    network="USDT-TRX",
                    amount="5000.00",
                    address="TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf",
                )
            case 9:  # a sanctioned address
                return act(
                    t,
                    "treasurer",
                    action="withdraw",
                    asset="ETH",
                    network="ETH",
                    amount="1.5",
                    address="0x8ba1f109551bD432803012645Ac136ddd64DBA72",
                )
            case 10:  # between two ticks
                return limit(t, "taker", "BTCUSDT", "buy", 0, price="63999.999")
            case 11:  # less than a lot
                return limit(t, "taker", "DOGEUSDT", "buy", 0, quantity="10.5")
            case 12:  # an id that was used
                event = limit(t, "taker", symbol, "buy", 0, quantity=self.quantity(symbol, 5))
                self.ids["taker"] -= 1
                event["id"] = max(1, self.ids["taker"])
                return event
            case 13:  # a field that this venue does not have
                return limit(t, "taker", symbol, "sell", 0, reduce_only=True)
            case 14:  # an instrument that nobody knows
                return limit(t, "taker", symbol, "buy", 0, instrument=4_000_000)
            case 15:  # an earlier action that never was
                return act(t, "maker", action="cancel", target_action=9_999_999)
            case 16:  # more than numbers hold
                return limit(
                    t,
                    "trend",
                    "BTCUSDT-PERP",
                    "buy",
                    0,
                    price="9000000000000.0",
                    quantity="9000000000000.000",
                )
            case 17:  # every order of the venue, other desks' too
                return act(t, "maker", action="cancel_all", venue="binance_spot")
            case _:  # a spot agent on the futures
                return limit(t, "taker", "BTCUSDT-PERP", "sell", 5)


def events() -> Iterator[Event]:
    """The session, in order of time."""
    rng = random.Random(SEED)
    market = Market(rng)
    desk = Desk(rng, market)
    usual = (desk.maker, desk.taker, desk.trend, desk.hedge)
    next_marks, kind, t = 0, 0, 0
    while t < LENGTH_MS:
        while next_marks <= t:
            market.step()
            yield market.marks(next_marks)
            if next_marks == HALT_MS[0]:
                yield {"t": next_marks, "halt": "spot", "reason": "spreads look wrong"}
            if next_marks == HALT_MS[1] - HALT_MS[1] % MARKS_EVERY_MS:
                yield {"t": next_marks, "resume": "spot", "reason": "venue confirmed its feed"}
            next_marks += MARKS_EVERY_MS
        draw = rng.random()
        if draw < 0.075:
            yield desk.violation(t, kind % 19)
            kind += 1
        elif draw < 0.085:
            yield desk.treasurer(t)
        elif draw < 0.0865:
            # A loop that runs away: more than the agent's twenty a second.
            for i in range(28):
                yield desk.limit(
                    t + i, "taker", "XRPUSDT", "buy", 0, time_in_force="ioc", quantity="50.0"
                )
            t += 28
        else:
            yield rng.choices(usual, weights=(50, 20, 22, 8))[0](t)
        t += rng.randint(40, 640)


def main() -> None:
    """Writes the session to standard output."""
    for event in events():
        sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
