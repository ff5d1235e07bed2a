"""Random neutral orders for Deribit, one strategy per action.

Each optional field is drawn as absent half of the time. Decimals are drawn as mantissa and scale,
so trailing zeros are common.
"""

from __future__ import annotations

from typing import Any

from binance_orders import (
    ID,
    LIMIT_TYPES,
    PLAIN,
    TRIGGERED,
    decimals,
    maybe,
    numbers,
    times,
)
from hypothesis import strategies as st

PERPETUALS = ("BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL")
FUTURES = ("BTC-27JUN25", "ETH_USDC-6NOV26")
OPTIONS = ("BTC-27DEC24-60000-C", "ETH_USDC-6NOV26-4000-P", "XRP_USDC-30JUN23-0d625-C")
SPOTS = ("BTC_USDC", "USDC_USDT")
SYMBOLS = PERPETUALS + FUTURES + OPTIONS + SPOTS
SETTLES = {"BTC-": "BTC", "ETH-": "ETH", "USDC_USDT": "USDT"}  # else USDC
ASSETS = ("BTC", "ETH", "USDC")
PRIORITIES = ("very_low", "low", "mid", "high", "very_high", "extreme_high", "insane")
MARKETS = {"perp": PERPETUALS, "future": FUTURES, "option": OPTIONS, "spot": SPOTS}
VALID_MS = 60_000
EXPIRING = ("place", "amend")

labels = st.text(ID, min_size=1, max_size=64)
order_ids = numbers | st.builds("{}-{}".format, st.sampled_from(("ETH", "BTC_USDC")), numbers)


def settle_of(symbol: str) -> str:
    """The currency of an instrument: what the venue's documents call its settlement currency."""
    return next((code for name, code in SETTLES.items() if symbol.startswith(name)), "USDC")


def instruments(markets: tuple[str, ...] = tuple(MARKETS)) -> st.SearchStrategy[dict[str, Any]]:
    """A symbol with its market, which may be left out where the symbol says it."""
    return st.sampled_from(markets).flatmap(
        lambda market: st.fixed_dictionaries(
            {
                "market": st.sampled_from([market, None])
                if market in ("perp", "future")
                else st.just(market),
                "symbol": st.sampled_from(MARKETS[market]),
            }
        )
    )


@st.composite
def neutral(
    draw: st.DrawFn, action: str, extra: st.SearchStrategy[dict[str, Any]], **fields: Any
) -> dict[str, Any]:
    nonces = st.integers(0, 2**64 - 1)
    order: dict[str, Any] = {"venue": "deribit", "action": action, "timestamp_ms": draw(times)}
    order["nonce"] = draw(maybe(nonces | nonces.map(str)))
    if action in EXPIRING:  # a time, where others have a span
        expires = st.integers(1, VALID_MS).map(order["timestamp_ms"].__add__)
        order["recv_window"] = draw(maybe(expires))
    return order | draw(extra) | {name: draw(strategy) for name, strategy in fields.items()}


NOTHING: st.SearchStrategy[dict[str, Any]] = st.just({})
WHOLE = st.fixed_dictionaries({"market": st.sampled_from(["all", None])})


def add_terms(
    draw: st.DrawFn, order: dict[str, Any], kind: str, amounts: st.SearchStrategy[str]
) -> None:
    """Quantity, prices, time in force and flags, as the type may have them."""
    order["qty"] = draw(amounts)
    if kind in LIMIT_TYPES:
        order["price"] = draw(amounts)
        # In `lab` the time in force may be left to the venue.
        order["tif"] = draw(st.sampled_from(["gtc", "ioc", "fok", "post_only", None]))
        if order["tif"] in ("gtc", "post_only", None):
            order["post_only"] = draw(st.sampled_from([True, None]))
    if kind in TRIGGERED:
        order["stop_price"] = draw(amounts)
    if order["market"] != "spot":
        order["reduce_only"] = draw(maybe(st.booleans()))


@st.composite
def place(
    draw: st.DrawFn, triggered: bool, amounts: st.SearchStrategy[str] = decimals
) -> dict[str, Any]:
    order: dict[str, Any] = draw(
        neutral(
            "place",
            instruments(),
            side=st.sampled_from(["buy", "sell"]),
            type=st.sampled_from(TRIGGERED if triggered else PLAIN),
            client_order_id=maybe(labels),
        )
    )
    add_terms(draw, order, order["type"], amounts)
    if triggered:
        order["trigger_by"] = draw(st.sampled_from(["last", "mark", "index"]))
    return order


@st.composite
def amend(draw: st.DrawFn, amounts: st.SearchStrategy[str] = decimals) -> dict[str, Any]:
    """By either kind of id; by the venue's own, the instrument may be left out."""
    own = draw(st.booleans())
    order: dict[str, Any] = draw(
        neutral(
            "amend",
            instruments(),
            side=st.sampled_from(["buy", "sell", None]),
            type=st.sampled_from(("limit", *TRIGGERED)),
            **{"client_order_id": labels} if own else {"order_id": order_ids},
        )
    )
    if not own and draw(st.booleans()):
        order |= {"symbol": None, "market": None}
    add_terms(draw, order, order["type"], amounts)
    if order["type"] == "limit" and draw(st.booleans()):
        order["type"] = None
    return order


def by_id(action: str) -> st.SearchStrategy[dict[str, Any]]:
    """A cancel or a query of one order, by either kind of id."""
    return neutral(action, instruments(), order_id=order_ids) | neutral(
        action, instruments(), client_order_id=labels
    )


def cancel_all() -> st.SearchStrategy[dict[str, Any]]:
    return neutral("cancel_all", instruments()) | neutral(
        "cancel_all", WHOLE, asset=maybe(st.sampled_from(ASSETS))
    )


def open_orders() -> st.SearchStrategy[dict[str, Any]]:
    return neutral("open_orders", instruments()) | neutral("open_orders", WHOLE)


def fills(latest: int = 2**63 - 1) -> st.SearchStrategy[dict[str, Any]]:
    return neutral(
        "fills",
        instruments(),
        start_ms=maybe(st.integers(1, 1_600_000_000_000)),
        end_ms=maybe(st.integers(1_600_000_000_000, latest)),
        limit=maybe(st.integers(1, 1000)),
    )


def withdraw(amounts: st.SearchStrategy[str] = decimals) -> st.SearchStrategy[dict[str, Any]]:
    return neutral(
        "withdraw",
        NOTHING,
        market=st.sampled_from(["wallet", None]),
        asset=st.sampled_from(ASSETS),
        amount=amounts,
        address=st.text(ID, min_size=8, max_size=126).map("2N".__add__),
        priority=maybe(st.sampled_from(PRIORITIES)),
    )


def transfer(amounts: st.SearchStrategy[str] = decimals) -> st.SearchStrategy[dict[str, Any]]:
    return neutral(
        "transfer",
        NOTHING,
        market=st.sampled_from(["wallet", None]),
        asset=st.sampled_from(ASSETS),
        amount=amounts,
        address=st.integers(1, 10**18 - 1).map(str),
        from_account=st.sampled_from(["unified", None]),
        to_account=st.sampled_from(["subaccount", None]),
    )


STRATEGIES = {
    "place": lambda amounts, latest: place(False, amounts),
    "place_triggered": lambda amounts, latest: place(True, amounts),
    "amend": lambda amounts, latest: amend(amounts),
    "cancel": lambda amounts, latest: by_id("cancel"),
    "cancel_all": lambda amounts, latest: cancel_all(),
    "query": lambda amounts, latest: by_id("query"),
    "open_orders": lambda amounts, latest: open_orders(),
    "fills": lambda amounts, latest: fills(latest),
    "withdraw": lambda amounts, latest: withdraw(amounts),
    "transfer": lambda amounts, latest: transfer(amounts),
}
"""By name: amounts, and the latest time, that an oracle can take."""
