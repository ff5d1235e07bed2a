"""The same stateless rules three times: ours, Cedar's and Rego's; and inputs to judge by them.

Twelve constraints at three levels, four each: actions, venues, order types and a value at the firm;
instruments, sides, order types and a value at the desk; times in force, order types, a quantity
and a value at the agent. Prices and quantities are whole numbers of ticks and lots for Cedar and
Rego, which have no decimals with arithmetic; every instrument has the same tick and lot, so that a
value is one product in all three. A sell is worth the mark where that is above its limit.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from .._enums import OrderType, Side, TimeInForce
from ..order import Place

__all__ = [
    "AGENTS",
    "CEDAR",
    "INSTRUMENTS",
    "MARKS",
    "REGO",
    "Input",
    "data",
    "entities",
    "make_inputs",
    "ours",
]

TICK: Final = 100  # of a price's unit: 0.01
LOT: Final = 100_000  # of a quantity's unit: 0.00001
VALUE: Final = TICK * LOT
"""One USD, as a product of ticks and lots."""

INSTRUMENTS: Final = {
    "BTCUSDT": "binance_spot",
    "ETHUSDT": "binance_spot",
    "SOLUSDT": "binance_spot",
    "XRPUSDT": "binance_spot",
    "BTC-PERP": "binance_usdm",
    "ETH-PERP": "binance_usdm",
    "BTC-BYBIT": "bybit",
}
MARKS: Final = {
    "BTCUSDT": 6_500_000,
    "ETHUSDT": 330_000,
    "SOLUSDT": 15_000,
    "XRPUSDT": 52,
    "BTC-PERP": 6_501_000,
    "ETH-PERP": 330_100,
    "BTC-BYBIT": 6_500_500,
}
AGENTS: Final = ("maker", "taker")

OURS: Final = """\
version: 1
firm:
  name: bench
  allow:
    actions: [place]
    venues: [binance_spot, binance_usdm]
    order_types: [limit, stop_limit]
  max_value: 200k USD
  groups:
    desk:
      allow:
        instruments: [BTCUSDT, ETHUSDT, SOLUSDT, BTC-PERP, BTC-BYBIT]
        sides: [buy, sell]
        order_types: [limit, stop_limit]
      max_value: 150k USD
      agents:
        maker:
          allow: {times_in_force: [gtc, post_only], order_types: [limit]}
          max_quantity: {BTCUSDT: 1}
          max_value: 100k USD
        taker:
          allow: {times_in_force: [ioc, fok], order_types: [limit], sides: [buy]}
          max_value: 50k USD
assets:
  USDT: {decimals: 6, par: 1 USD}
  BTC: {decimals: 8}
  ETH: {decimals: 8}
  SOL: {decimals: 8}
  XRP: {decimals: 8}
instruments:
ROWS
marks: {max_age: 30 day}
"""

_CEDAR_VALUE: Final = (
    'context.quantity * (if context.side == "sell" && resource.mark > context.price'
    " then resource.mark else context.price)"
)
CEDAR: Final = """\
@id("actions")
permit (principal in Firm::"bench", action == Action::"place", resource);
@id("firm")
forbid (principal in Firm::"bench", action, resource) unless {
  ["binance_spot", "binance_usdm"].contains(resource.venue) &&
  ["limit", "stop_limit"].contains(context.type) &&
  CVALUE <= 2000000000000
};
@id("desk")
forbid (principal in Desk::"desk", action, resource) unless {
  resource in List::"desk" &&
  ["buy", "sell"].contains(context.side) &&
  ["limit", "stop_limit"].contains(context.type) &&
  CVALUE <= 1500000000000
};
@id("maker")
forbid (principal == Agent::"maker", action, resource) unless {
  ["gtc", "post_only"].contains(context.time_in_force) &&
  context.type == "limit" &&
  (resource != Instrument::"BTCUSDT" || context.quantity <= 100000) &&
  CVALUE <= 1000000000000
};
@id("taker")
forbid (principal == Agent::"taker", action, resource) unless {
  ["ioc", "fok"].contains(context.time_in_force) &&
  context.type == "limit" &&
  context.side == "buy" &&
  CVALUE <= 500000000000
};
""".replace("CVALUE", _CEDAR_VALUE)

REGO: Final = """\
package bench

default allow := false

price := data.marks[input.instrument] if {
  input.side == "sell"
  data.marks[input.instrument] > input.price
} else := input.price

value := input.quantity * price

firm if {
  input.action == "place"
  data.venues[input.instrument] in {"binance_spot", "binance_usdm"}
  input.type in {"limit", "stop_limit"}
  value <= 2000000000000
}

desk if {
  input.instrument in {"BTCUSDT", "ETHUSDT", "SOLUSDT", "BTC-PERP", "BTC-BYBIT"}
  input.side in {"buy", "sell"}
  input.type in {"limit", "stop_limit"}
  value <= 1500000000000
}

small if input.instrument != "BTCUSDT"
small if input.quantity <= 100000

agent if {
  input.agent == "maker"
  input.time_in_force in {"gtc", "post_only"}
  input.type == "limit"
  small
  value <= 1000000000000
}

agent if {
  input.agent == "taker"
  input.time_in_force in {"ioc", "fok"}
  input.type == "limit"
  input.side == "buy"
  value <= 500000000000
}

allow if {
  firm
  desk
  agent
}
"""


@dataclass(frozen=True, slots=True)
class Input:
    """One new order, in whole ticks and lots; `price` is None at market."""

    agent: str
    instrument: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: int
    price: int | None

    def words(self) -> dict[str, Any]:
        """What Cedar and Rego are told of the order itself."""
        told: dict[str, Any] = {
            "type": self.type.name.lower(),
            "side": self.side.name.lower(),
            "time_in_force": self.time_in_force.name.lower(),
            "quantity": self.quantity,
        }
        if self.price is not None:
            told["price"] = self.price
        return told

    def cedar(self) -> dict[str, Any]:
        """As a request of Cedar's."""
        return {
            "principal": {"type": "Agent", "id": self.agent},
            "action": {"type": "Action", "id": "place"},
            "resource": {"type": "Instrument", "id": self.instrument},
            "context": self.words(),
        }

    def rego(self) -> dict[str, Any]:
        """As an input document of Rego's."""
        return {
            "agent": self.agent,
            "action": "place",
            "instrument": self.instrument,
            **self.words(),
        }

    def order(self, instrument: int) -> Place:
        """As an order of ours."""
        return Place(
            instrument=instrument,
            side=self.side,
            type=self.type,
            time_in_force=self.time_in_force,
            quantity=f"{self.quantity // LOT}.{self.quantity % LOT:05d}",
            price=None if self.price is None else f"{self.price // TICK}.{self.price % TICK:02d}",
        )


def ours() -> str:
    """OURS with the rows of its instruments."""
    rows = []
    for name, venue in INSTRUMENTS.items():
        contract = "" if venue == "binance_spot" else "contract: linear, "
        rows.append(
            f"  {name}: {{venue: {venue}, symbol: {name.replace('-', '')}, {contract}"
            f"base: {name[:3]}, quote: USDT, tick: 0.01, lot: 0.00001}}"
        )
    return OURS.replace("ROWS", "\n".join(rows))


def entities() -> list[dict[str, Any]]:
    """Cedar's: who belongs to whom, and what is known of each instrument."""

    def entity(kind: str, name: str, *parents: tuple[str, str], **attrs: Any) -> dict[str, Any]:
        above = [{"type": parent, "id": id_} for parent, id_ in parents]
        return {"uid": {"type": kind, "id": name}, "attrs": attrs, "parents": above}

    listed = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BTC-PERP", "BTC-BYBIT")
    rows = [entity("Firm", "bench"), entity("Desk", "desk", ("Firm", "bench"))]
    rows += [entity("Agent", agent, ("Desk", "desk")) for agent in AGENTS]
    for name, venue in INSTRUMENTS.items():
        parents = [("List", "desk")] if name in listed else []
        rows.append(entity("Instrument", name, *parents, venue=venue, mark=MARKS[name]))
    return rows


def data() -> dict[str, Any]:
    """Rego's base document."""
    return {"venues": INSTRUMENTS, "marks": MARKS}


def make_inputs(count: int, *, seed: int = 7) -> list[Input]:
    """Orders of which somewhat more than half are allowed; the others break one rule or several.

    Some lie at a cap exactly, or one lot beside it, where the three would part if they could.
    """
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        agent = draw.choice(AGENTS)
        maker, odd = agent == "maker", draw.random
        instrument = draw.choice(tuple(INSTRUMENTS)[:3] if odd() < 0.8 else tuple(INSTRUMENTS))
        side = draw.choice(tuple(Side)) if maker or odd() < 0.1 else Side.BUY
        type_ = OrderType.LIMIT
        times = (TimeInForce.GTC, TimeInForce.POST_ONLY) if maker else (TimeInForce.IOC,)
        time_in_force = draw.choice(times if odd() < 0.9 else (TimeInForce.FOK, TimeInForce.GTC))
        mark = MARKS[instrument]
        price: int | None = max(mark * draw.randrange(990, 1011) // 1000, 1)
        cap = draw.choice((50_000, 100_000, 150_000, 200_000)) * VALUE
        share = draw.choice((0, 1, 10, 100, 500, 1000) if odd() < 0.2 else (1, 9, 99))
        quantity = max(cap * share // 1000 // (price or mark), 1)
        at_a_cap = odd()
        if at_a_cap < 0.1:  # a price by which every cap can be divided
            instrument, price = "ETHUSDT", 320_000
            worth = price if side is Side.BUY else MARKS[instrument]
            quantity = cap // worth + draw.choice((-1, 0, 1))
        elif at_a_cap < 0.15:
            instrument, quantity = "BTCUSDT", LOT + draw.choice((-1, 0, 1))
            price = MARKS[instrument]
        if odd() < 0.05:
            type_, time_in_force, price = OrderType.MARKET, TimeInForce.NONE, None
        found.append(Input(agent, instrument, side, type_, time_in_force, quantity, price))
    return found
