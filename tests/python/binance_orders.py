"""Random neutral orders for Binance, one strategy per venue and action.

Each optional field is drawn as absent half of the time. Decimals are drawn as mantissa and scale,
so trailing zeros are common.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

SPOT, USDM = "binance_spot", "binance_usdm"
MARKETS = {SPOT: "spot", USDM: "usdm"}
ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
SYMBOLS = ("BTCUSDT", "ETHBTC", "1000SATSUSDC", "XRPEUR", "BTCUSDT_260327")
ASSETS = ("BTC", "USDT", "1INCH", "ETH")
NETWORKS = ("ETH", "BSC", "TRX", "SEGWITBTC")
LIMIT_TYPES = ("limit", "stop_limit", "take_profit_limit")
WALLETS = ("spot", "funding", "usdm", "coinm", "margin", "option")
# The venue's list of pairs lacks these.
NO_PAIRS = ({"coinm", "usdm"}, {"coinm", "option"})

decimals = st.builds(
    lambda mantissa, scale: format(Decimal(mantissa).scaleb(-scale), "f"),
    st.integers(1, 10**15),
    st.integers(0, 12),
)
short_decimals = st.builds(
    lambda mantissa, scale: format(Decimal(mantissa).scaleb(-scale), "f"),
    st.integers(1, 10**12),
    st.integers(0, 8),
)
ids = st.text(ID, min_size=1, max_size=36)
numbers = st.integers(1, 10**18).map(str)
times = st.integers(1_500_000_000_000, 2_000_000_000_000)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def neutral(venue: str, action: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "venue": st.just(venue),
            "market": st.sampled_from([MARKETS[venue], None]),
            "action": st.just(action),
            "timestamp_ms": times,
            "recv_window": maybe(st.integers(1, 60_000)),
            **fields,
        }
    )


@st.composite
def place(
    draw: st.DrawFn, venue: str, kinds: tuple[str, ...], amounts: st.SearchStrategy[str]
) -> dict[str, Any]:
    """A new order of one of these types, with the fields that the type may have."""
    kind = draw(st.sampled_from(kinds))
    order: dict[str, Any] = draw(
        neutral(
            venue,
            "place",
            symbol=st.sampled_from(SYMBOLS),
            side=st.sampled_from(["buy", "sell"]),
            type=st.just(kind),
            client_order_id=maybe(ids),
        )
    )
    quote = venue == SPOT and kind == "market" and draw(st.booleans())
    order["quote_qty" if quote else "qty"] = draw(amounts)
    if kind in LIMIT_TYPES:
        order["price"] = draw(amounts)
        tifs = ["gtc", "ioc", "fok"]
        if venue == USDM or kind == "limit":
            tifs.append("post_only")
        tifs += ["gtd"] if venue == USDM else []
        order["tif"] = draw(st.sampled_from(tifs))
        if order["tif"] == "post_only":
            order["post_only"] = draw(st.sampled_from([True, None]))
        if order["tif"] == "gtd":
            order["expire_ms"] = order["timestamp_ms"] + draw(st.integers(1, 10**10))
    if kind not in ("limit", "market"):
        order["stop_price"] = draw(amounts)
    if venue == USDM:
        order["reduce_only"] = draw(maybe(st.booleans()))
        order["position_side"] = draw(maybe(st.sampled_from(["long", "short", "both"])))
        if kind not in ("limit", "market"):
            order["trigger_by"] = draw(maybe(st.sampled_from(["last", "mark"])))
    return order


PLAIN = ("limit", "market")
TRIGGERED = ("stop_market", "stop_limit", "take_profit_market", "take_profit_limit")


def place_strategy(
    venue: str, triggered: bool, amounts: st.SearchStrategy[str] = decimals
) -> st.SearchStrategy[dict[str, Any]]:
    return place(venue, TRIGGERED if triggered else PLAIN, amounts)


def by_id(venue: str, action: str) -> st.SearchStrategy[dict[str, Any]]:
    """A cancel or a query of one order, by either kind of id."""
    symbol = st.sampled_from(SYMBOLS)
    return neutral(venue, action, symbol=symbol, order_id=numbers) | neutral(
        venue, action, symbol=symbol, client_order_id=ids
    )


def amend(amounts: st.SearchStrategy[str] = decimals) -> st.SearchStrategy[dict[str, Any]]:
    """Of USD-M limit orders, by either kind of id."""
    fields = {
        "symbol": st.sampled_from(SYMBOLS),
        "side": st.sampled_from(["buy", "sell"]),
        "type": maybe(st.just("limit")),
        "tif": maybe(st.sampled_from(["gtc", "ioc", "fok", "post_only"])),
        "qty": amounts,
        "price": amounts,
        "reduce_only": maybe(st.booleans()),
    }
    return neutral(USDM, "amend", **fields, order_id=numbers) | neutral(
        USDM, "amend", **fields, client_order_id=ids
    )


def cancel_all(venue: str) -> st.SearchStrategy[dict[str, Any]]:
    return neutral(venue, "cancel_all", symbol=st.sampled_from(SYMBOLS))


def cancel_all_after(venue: str) -> st.SearchStrategy[dict[str, Any]]:
    seconds = st.integers(0, 10**6)
    return neutral(
        venue,
        "cancel_all_after",
        symbol=st.sampled_from(SYMBOLS),
        timeout_s=seconds | seconds.map(str),
    )


def open_orders(venue: str) -> st.SearchStrategy[dict[str, Any]]:
    return neutral(venue, "open_orders", symbol=maybe(st.sampled_from(SYMBOLS)))


def fills(venue: str, latest: int = 2**63 - 1) -> st.SearchStrategy[dict[str, Any]]:
    return neutral(
        venue,
        "fills",
        symbol=st.sampled_from(SYMBOLS),
        start_ms=maybe(st.integers(1, 1_600_000_000_000)),
        end_ms=maybe(st.integers(1_600_000_000_000, latest)),
        limit=maybe(st.integers(1, 1000)),
    )


def withdraw(amounts: st.SearchStrategy[str] = decimals) -> st.SearchStrategy[dict[str, Any]]:
    return neutral(
        SPOT,
        "withdraw",
        asset=st.sampled_from(ASSETS),
        amount=amounts,
        address=st.text(ID, min_size=8, max_size=126).map("0x".__add__),
        network=maybe(st.sampled_from(NETWORKS)),
        memo=maybe(st.text(ID, min_size=1, max_size=64)),
        client_order_id=maybe(ids),
        from_account=maybe(st.sampled_from(["spot", "funding"])),
    )


def transfer(amounts: st.SearchStrategy[str] = decimals) -> st.SearchStrategy[dict[str, Any]]:
    pairs = [(a, b) for a in WALLETS for b in WALLETS if a != b and {a, b} not in NO_PAIRS]
    return st.builds(
        lambda order, pair: order | {"from_account": pair[0], "to_account": pair[1]},
        neutral(SPOT, "transfer", asset=st.sampled_from(ASSETS), amount=amounts),
        st.sampled_from(pairs),
    )
