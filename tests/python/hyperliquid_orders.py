"""Random neutral orders for Hyperliquid, one strategy per action.

Each optional field is drawn as absent half of the time. Sizes are below 10^7, since the venue's own
library takes floats and rounds them to eight decimals; trailing zeros are common, and every price
is one that the venue takes on some market.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

DAY_MS = 86_400_000
HEX = "0123456789abcdef"
PERP = st.integers(0, 9_999) | st.integers(110_000, 99_999_999)
SPOT = st.integers(10_000, 99_999)
NAMES = ("ETH", "@107", "PURR/USDC", "test:ABC", "kPEPE")
TYPES = {
    "limit": None,
    "market": None,
    "stop_market": "sl",
    "stop_limit": "sl",
    "take_profit_market": "tp",
    "take_profit_limit": "tp",
}
TOKENS = (
    "PURR:0xc1fb593aeffbeb02f85e0308e9956a90",
    "USDC:0x6d1e7cde53ba9467b783cb7c530ce054",
    "U.BTC_2-x:0x00000000000000000000000000000001",
)


def text_of(mantissa: int, scale: int, zeros: int) -> str:
    """A plain decimal; zeros are added after the point."""
    text = format(Decimal(mantissa).scaleb(-scale), "f")
    return text + ("" if "." in text or not zeros else ".") + "0" * zeros


ZEROS = st.integers(0, 4)
prices = st.builds(text_of, st.integers(1, 99_999), st.integers(0, 8), ZEROS) | st.builds(
    text_of, st.integers(1, 10**9), st.just(0), ZEROS
)
sizes = st.integers(0, 8).flatmap(
    lambda scale: st.builds(text_of, st.integers(1, 10 ** (7 + scale)), st.just(scale), ZEROS)
)
amounts = st.builds(text_of, st.integers(1, 10**12), st.integers(0, 8), ZEROS)
times = st.integers(1_500_000_000_000, 2_000_000_000_000)
numbers = st.integers(0, 2**64 - 1).map(str)
cloids = st.text(HEX, min_size=32, max_size=32).map("0x".__add__)
vaults = st.text(HEX, min_size=40, max_size=40).map("0x".__add__)
addresses = st.text(HEX + "ABCDEF", min_size=40, max_size=40).map("0x".__add__)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def neutral(
    draw: st.DrawFn, action: str, *, l1: bool = True, **fields: st.SearchStrategy[Any]
) -> dict[str, Any]:
    """What every order has; L1 actions also a vault and an expiry."""
    order: dict[str, Any] = {"venue": "hyperliquid", "action": action, "timestamp_ms": draw(times)}
    order["nonce"] = draw(maybe(times | st.integers(0, 2**53)))
    order["network"] = draw(st.sampled_from(["main", "test", None]))
    order["is_mainnet"] = draw(st.sampled_from([order["network"] != "test", None]))
    if l1:
        order["vault_address"] = draw(maybe(vaults))
        span = draw(maybe(st.integers(1, 2 * DAY_MS)))
        order["expires_after"] = None if span is None else order["timestamp_ms"] + span
    for name, strategy in fields.items():
        order[name] = draw(strategy)
    return order


@st.composite
def market(draw: st.DrawFn, order: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """An order of one instrument, of either market."""
    spot = draw(st.booleans())
    name = "spot" if spot else draw(st.sampled_from(["perp", None]))
    number = draw(SPOT if spot else PERP)
    symbol = draw(st.sampled_from(NAMES))
    return draw(order) | {"market": name, "asset_id": number, "symbol": symbol}


@st.composite
def place(draw: st.DrawFn, triggered: bool) -> dict[str, Any]:
    """A new order; a market order names the worst price."""
    kinds = [kind for kind, tpsl in TYPES.items() if (tpsl is not None) == triggered]
    kind = draw(st.sampled_from(kinds))
    sides = st.sampled_from(["buy", "sell"])
    names = maybe(cloids)
    fields = {"side": sides, "qty": sizes, "price": prices, "client_order_id": names}
    order = draw(market(neutral("place", type=st.just(kind), **fields)))
    reduces = st.booleans() if order["market"] != "spot" else st.just(False)
    order["reduce_only"] = draw(maybe(reduces))
    if kind == "limit":
        order["tif"] = draw(st.sampled_from(["gtc", "ioc", "post_only"]))
        if order["tif"] == "post_only":
            order["post_only"] = draw(st.sampled_from([True, None]))
    if triggered:
        order["stop_price"] = draw(prices)
        order["trigger_by"] = draw(st.sampled_from(["mark", None]))
        order["tpsl"] = draw(st.sampled_from([TYPES[kind], None]))
        order["tif"] = draw(st.sampled_from(["gtc", None])) if kind.endswith("limit") else None
    return order


@st.composite
def amend(draw: st.DrawFn) -> dict[str, Any]:
    """New terms for an order that rests, by number (then with a new name, or none) or by name."""
    fields = {"side": st.sampled_from(["buy", "sell"]), "qty": sizes, "price": prices}
    order = draw(market(neutral("amend", **fields)))
    order["type"] = draw(st.sampled_from(["limit", None]))
    order["tif"] = draw(st.sampled_from(["gtc", "post_only"]))
    order["reduce_only"] = draw(maybe(st.just(False)))
    by_number = draw(st.booleans())
    order["order_id"] = draw(numbers) if by_number else None
    order["client_order_id"] = draw(maybe(cloids) if by_number else cloids)
    return order


@st.composite
def cancel(draw: st.DrawFn) -> dict[str, Any]:
    order = draw(market(neutral("cancel")))
    by_number = draw(st.booleans())
    order["order_id"] = draw(numbers) if by_number else None
    order["client_order_id"] = None if by_number else draw(cloids)
    return order


@st.composite
def cancel_all_after(draw: st.DrawFn) -> dict[str, Any]:
    """At a time, after a while, or never."""
    order = draw(neutral("cancel_all_after", market=st.sampled_from(["perp", None])))
    span = draw(st.just(0) | st.integers(5, 10**6))
    order["trigger_time_ms"] = order["timeout_s"] = None
    if span and draw(st.booleans()):
        order["trigger_time_ms"] = order["timestamp_ms"] + span * 1000 + draw(st.integers(0, 999))
    else:
        order["timeout_s"] = draw(st.sampled_from([span, str(span)]))
    return order


def withdraw() -> st.SearchStrategy[dict[str, Any]]:
    return neutral(
        "withdraw",
        l1=False,
        asset=st.just("USDC"),
        amount=amounts,
        address=addresses,
        from_account=st.sampled_from(["usdm", "perp", None]),
    )


def usd_send() -> st.SearchStrategy[dict[str, Any]]:
    wallet = st.sampled_from(["usdm", "perp", None])
    return neutral(
        "transfer",
        l1=False,
        asset=st.just("USDC"),
        amount=amounts,
        address=addresses,
        from_account=wallet,
        to_account=wallet,
    )


def spot_send() -> st.SearchStrategy[dict[str, Any]]:
    spot = st.sampled_from(["spot", "main"])
    return neutral(
        "transfer",
        l1=False,
        asset=st.sampled_from(TOKENS),
        amount=amounts,
        address=addresses,
        from_account=spot,
        to_account=spot,
    )


@st.composite
def class_transfer(draw: st.DrawFn) -> dict[str, Any]:
    """USDC between spot and perpetuals of one account."""
    order = draw(neutral("transfer", l1=False, asset=st.just("USDC"), amount=amounts))
    pairs = st.sampled_from([("spot", "usdm"), ("perp", "spot")])
    order["from_account"], order["to_account"] = draw(pairs)
    return order
