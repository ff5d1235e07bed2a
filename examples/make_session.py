"""Writes examples/session.jsonl: half an hour of trading by the firm of firm.yaml.

    python examples/make_session.py > examples/session.jsonl

The same seed gives the same file. Each line is one event at `t`, milliseconds from the beginning:

    {"t": 0, "marks": {"BTCUSDT": "64000.00", ...}, "assets": {"BTC": "64000.00", ...}}
    {"t": 1200, "agent": "maker", "id": 7, "order": {"action": "place", ...}}
    {"t": 900000, "halt": "spot", "reason": "..."}      {"t": 920000, "resume": "spot", ...}

Nine agents trade on six venues. Most orders keep to the policy; about one in fourteen breaks it, in
two dozen ways.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SEED = 20
LENGTH_MS = 30 * 60 * 1000
MARKS_EVERY_MS = 2_000
SOL_IS_SILENT_MS = (600_000, 660_000)
# A dead-man timer that is armed, and that the session ends before.
NEVER_MS = 2 * 60 * 60 * 1000
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


class Desk:
    """The agents: each gives events, the most of them within its policy."""

    def __init__(self, rng: random.Random, market: Market) -> None:
        self.rng = rng
        self.market = market
        agents = ("maker", "taker", "trend", "hedge", "treasurer")
        self.ids = dict.fromkeys((*agents, *(account.agent for account in ACCOUNTS)), 0)
        self.resting: list[tuple[int, str]] = []
        self.trends: list[tuple[int, str, str]] = []

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
            target, _ = self.resting.pop(self.rng.randrange(len(self.resting)))
            return self.act(t, "maker", action="cancel", target_action=target)
        if self.resting and self.rng.random() < 0.04:
            _, symbol = self.rng.choice(self.resting)
            self.resting = [left for left in self.resting if left[1] != symbol]
            return self.act(t, "maker", action="cancel_all", instrument=symbol)
        symbol = self.rng.choice([s for s in MARKETS if s != "SOLUSDT"])
        side = self.rng.choice(("buy", "sell"))
        away = self.rng.randint(3, 30)
        event = self.limit(
            t, "maker", symbol, side, -away if side == "buy" else away, time_in_force="post_only"
        )
        if not HALT_MS[0] <= t < HALT_MS[1]:
            self.resting.append((event["id"], symbol))
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
                timeout_ms=NEVER_MS,
            )
        if kind < 0.4 and self.trends:
            target, resting, side = self.trends.pop(self.rng.randrange(len(self.trends)))
            if kind < 0.3:
                return self.act(t, "trend", action="cancel", target_action=target)
            return self.act(
                t,
                "trend",
                action="amend",
                target_action=target,
                type="limit",
                time_in_force="gtc",
                quantity=self.quantity(resting, 90, perp=True),
                price=self.market.price(resting, -25 if side == "buy" else 25),
            )
        event = self.limit(
            t,
            "trend",
            f"{symbol}-PERP",
            side,
            self.rng.randint(-15, 15),
            quantity=self.quantity(symbol, 120, perp=True),
        )
        self.trends.append((event["id"], symbol, side))
        return event

    def hedge(self, t: int) -> Event:
        symbol = self.rng.choice(("BTCUSDT", "ETHUSDT"))
        return self.limit(t, "hedge", f"{symbol}-PERP", "sell", 10, reduce_only=True)

    def listed_quantity(self, row: Listed) -> str:
        lots = row.lots * self.rng.randint(60, 140) // 100
        return text(max(row.lot, lots - lots % row.lot), row.decimals)

    def trade(self, t: int, account: Account) -> Event:
        """One step of an agent at its venue: some orders rest, are amended and cancelled."""
        rng, draw = self.rng, self.rng.random()
        row, side = rng.choice(account.listed), rng.choice(("buy", "sell"))
        if account.resting and (draw < 0.4 or len(account.resting) > 12):
            at = rng.randrange(len(account.resting))
            target, resting, its_side = account.resting[at]
            if draw < 0.12:
                away = rng.randint(31, 60)
                return self.act(
                    t,
                    account.agent,
                    action="amend",
                    target_action=target,
                    type="limit",
                    time_in_force="post_only",
                    quantity=self.listed_quantity(resting),
                    price=self.market.listed_price(resting, -away if its_side == "buy" else away),
                )
            if draw < 0.16 and account.venue != "hyperliquid":  # whose queries are public
                return self.act(
                    t, account.agent, action="query", what="order", target_action=target
                )
            account.resting.pop(at)
            return self.act(t, account.agent, action="cancel", target_action=target)
        if draw < 0.42 and account.venue in ("bybit", "deribit"):
            account.resting = [left for left in account.resting if left[1] is not row]
            return self.act(t, account.agent, action="cancel_all", instrument=row.name)
        if draw < 0.43 and account.venue in ("okx", "hyperliquid"):
            return self.act(
                t,
                account.agent,
                action="cancel_all_after",
                venue=account.venue,
                timeout_ms=0 if account.venue == "okx" else NEVER_MS,
            )
        extra = dict(account.extra) if not row.name.endswith("-USDT") else {}
        order = {
            "action": "place",
            "instrument": row.name,
            "side": side,
            "quantity": self.listed_quantity(row),
            **extra,
        }
        if draw < 0.62:
            return self.act(t, account.agent, **order, **self.at_market(account, row, side))
        if draw < 0.70 and row.name not in ("BYBIT-SOLUSDT", "OKX-BTC-USDT"):
            return self.act(t, account.agent, **order, **self.triggered(account, row, side))
        away = rng.randint(3, 30)
        event = self.act(
            t,
            account.agent,
            **order,
            type="limit",
            time_in_force="post_only",
            price=self.market.listed_price(row, -away if side == "buy" else away),
        )
        account.resting.append((event["id"], row, side))
        return event

    def at_market(self, account: Account, row: Listed, side: str) -> Event:
        """Filled at once: a market order, or a limit order that takes."""
        worst = self.market.listed_price(row, 50 if side == "buy" else -50)
        if account.venue == "hyperliquid":  # its market orders name the worst price
            return {"type": "market", "price": worst}
        if self.rng.random() < 0.5:
            return {"type": "market"}
        return {"type": "limit", "time_in_force": "ioc", "price": worst}

    def triggered(self, account: Account, row: Listed, side: str) -> Event:
        """A stop that waits on the far side of the mark."""
        up = side == "buy"
        order = {
            "type": "stop_market",
            "trigger_price": self.market.listed_price(row, 100 if up else -100),
            **account.trigger,
        }
        if account.venue == "hyperliquid":
            order["price"] = self.market.listed_price(row, 150 if up else -150)
        return order

    def options(self, t: int) -> Event:
        """The option is bought and sold at its mark, or one tick off."""
        return self.act(
            t,
            "vol",
            action="place",
            instrument=OPTION,
            side=self.rng.choice(("buy", "sell")),
            type="limit",
            time_in_force="ioc",
            quantity=text(self.rng.randint(1, 3), 1),
            price=self.rng.choice(("0.0345", "0.0350", "0.0355")),
        )

    def treasurer(self, t: int) -> Event:
        """Funds move at every venue, each with the key that is for that."""
        kind = self.rng.randrange(10)
        cold = "0x52908400098527886E0F7030069857D2E4169EE7"
        if kind == 4:
            return self.act(
                t,
                "treasurer",
                action="withdraw",
                key="bybit-wallet",
                asset="USDT",
                network="USDT-TRX",
                amount=text(self.rng.randint(1_000_00, 5_000_00), 2),
                address="TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE",
                from_account="funding",
            )
        if kind == 5:
            return self.act(
                t,
                "treasurer",
                action="transfer",
                key="bybit-wallet",
                asset="USDT",
                amount="1500.00",
                from_account="unified",
                to_account="funding",
            )
        if kind == 6:
            return self.act(
                t,
                "treasurer",
                action="withdraw",
                key="okx-wallet",
                asset="BTC",
                network="OKX-BTC",
                amount=text(self.rng.randint(1_000, 9_000), 5),
                address="bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
            )
        if kind == 7:
            return self.act(
                t,
                "treasurer",
                action="withdraw",
                key="deribit-wallet",
                asset="BTC",
                network="DERIBIT-BTC",
                amount=text(self.rng.randint(1_000, 9_000), 5),
                address="bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
                priority="mid",
            )
        if kind == 8:
            return self.act(
                t,
                "treasurer",
                action="withdraw",
                key="hyperliquid-master",
                asset="USDC",
                network="ARBITRUM",
                amount=text(self.rng.randint(100, 4_000), 0),
                address=cold,
            )
        if kind == 9:
            return self.act(
                t,
                "treasurer",
                action="transfer",
                key="hyperliquid-master",
                asset="USDC",
                amount="750.5",
                from_account="usdm",
                to_account="spot",
            )
        if kind == 0:
            return self.act(
                t,
                "treasurer",
                action="withdraw",
                key="treasury-ed25519",
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
                key="treasury-ed25519",
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
                key="treasury-ed25519",
                asset="USDT",
                amount="2500.00",
                from_account="spot",
                to_account="usdm",
            )
        return self.act(
            t,
            "treasurer",
            action="transfer",
            key="treasury-ed25519",
            asset="USDT",
            amount="1250.00",
            from_account="usdm",
            to_account="spot",
        )

    def taking(self, t: int, agent: str, instrument: str, quantity: str, price: str) -> Event:
        return self.act(
            t,
            agent,
            action="place",
            instrument=instrument,
            side="buy",
            type="limit",
            time_in_force="ioc",
            quantity=quantity,
            price=price,
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
                    key="treasury-ed25519",
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
                    key="treasury-ed25519",
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
                    key="treasury-ed25519",
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
            case 18:  # more significant figures than the venue takes
                return self.taking(t, "onchain", "HL-BTC", "0.01", "64000.1")
            case 19:  # a market order without the worst price, where the venue needs it
                return act(
                    t,
                    "onchain",
                    action="place",
                    instrument="HL-ETH",
                    side="buy",
                    type="market",
                    quantity="0.1",
                )
            case 20:  # a short option is worth what may have to be delivered
                return act(
                    t,
                    "vol",
                    action="place",
                    instrument=OPTION,
                    side="sell",
                    type="limit",
                    time_in_force="ioc",
                    quantity="9.0",
                    price="0.0350",
                )
            case 21:  # between two contract sizes
                price = self.market.price("BTCUSDT", -5)
                return self.taking(t, "arb", "OKX-BTC-USD-SWAP", "7.5", price)
            case _:  # a spot agent on the futures
                return limit(t, "taker", "BTCUSDT-PERP", "sell", 5)


def events() -> Iterator[Event]:
    """The session, in order of time."""
    rng = random.Random(SEED)
    market = Market(rng)
    desk = Desk(rng, market)
    usual = (desk.maker, desk.taker, desk.trend, desk.hedge)
    elsewhere = {account.agent: account for account in ACCOUNTS}
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
            yield desk.violation(t, kind % 23)
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
            # Seven in ten trade at the four venues that are not Binance's.
            agent = rng.choices((*elsewhere, "option", "usual"), weights=(17, 17, 16, 17, 3, 30))[0]
            if agent == "option":
                yield desk.options(t)
            elif agent == "usual":
                yield rng.choices(usual, weights=(50, 20, 22, 8))[0](t)
            else:
                yield desk.trade(t, elsewhere[agent])
        t += rng.randint(20, 270)


def main() -> None:
    """Writes the session to standard output."""
    for event in events():
        sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
