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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.session_desk import HALT_MS, Desk
from examples.session_markets import ACCOUNTS, OPTION, Event, Market

SEED = 20
LENGTH_MS = 30 * 60 * 1000
MARKS_EVERY_MS = 2_000


def violation(desk: Desk, t: int, kind: int) -> Event:
    """One order that the policy must refuse; each kind for another reason."""
    rng, limit, act = desk.rng, desk.limit, desk.act
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
                quantity=desk.quantity(symbol, 5),
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
            event = limit(t, "taker", symbol, "buy", 0, quantity=desk.quantity(symbol, 5))
            desk.ids["taker"] -= 1
            event["id"] = max(1, desk.ids["taker"])
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
            return desk.taking(t, "onchain", "HL-BTC", "0.01", "64000.1")
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
            price = desk.market.price("BTCUSDT", -5)
            return desk.taking(t, "arb", "OKX-BTC-USD-SWAP", "7.5", price)
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
            yield violation(desk, t, kind % 23)
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
