"""What the agents do: each gives events, the most of them within its policy."""

from __future__ import annotations

import random
from typing import Any

from examples.session_markets import (
    ACCOUNTS,
    MARKETS,
    OPTION,
    PERP_LOT_DECIMALS,
    Account,
    Event,
    Listed,
    Market,
    text,
)

# A dead-man timer that is armed, and that the session ends before.
NEVER_MS = 2 * 60 * 60 * 1000
HALT_MS = (1_200_000, 1_225_000)


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
