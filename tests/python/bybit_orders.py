"""Random neutral orders for Bybit, one strategy per action and category.

Each optional field is drawn as absent half of the time. Decimals are drawn as mantissa and scale,
so trailing zeros are common.
"""

from __future__ import annotations

from typing import Any

from binance_orders import LIMIT_TYPES, decimals, maybe, times
from hypothesis import strategies as st

SPOT, LINEAR, INVERSE, OPTION = CATEGORIES = ("spot", "linear", "inverse", "option")
FUTURES = (LINEAR, INVERSE)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SYMBOLS = {
    SPOT: ("BTCUSDT", "ETHBTC", "1INCHUSDC"),
    LINEAR: ("BTCUSDT", "1000PEPEUSDT", "BTCPERP", "BTC-26DEC25"),
    INVERSE: ("BTCUSD", "ETHUSDZ25"),
    OPTION: ("BTC-29JUL22-25000-C", "ETH-26DEC25-4000-P-USDT"),
}
ASSETS = ("BTC", "USDT", "1INCH", "ETH")
NETWORKS = ("ETH", "BSC", "TRX", "ARBI")
ACCOUNTS = ("funding", "unified")
PLAIN = ("limit", "market")
TRIGGERED = ("stop_market", "stop_limit", "take_profit_market", "take_profit_limit")

ids = st.text(LETTERS + "-_", min_size=1, max_size=36)
order_ids = st.uuids().map(str) | st.integers(1, 10**18).map(str)


def neutral(category: str | None, action: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An order of a category; linear is what is meant where no market is named."""
    market = maybe(st.just(category)) if category in (LINEAR, None) else st.just(category)
    return st.fixed_dictionaries(
        {
            "venue": st.just("bybit"),
            "market": maybe(st.just("funding")) if category is None else market,
            "action": st.just(action),
            "timestamp_ms": times,
            "recv_window": maybe(st.integers(1, 60_000)),
            **fields,
        }
    )


def symbols(category: str) -> st.SearchStrategy[str]:
    return st.sampled_from(SYMBOLS[category])


def direction(order: dict[str, Any]) -> int:
    """The venue's number: 1 when the price has to rise for the order, 2 when it has to fall."""
    up = order["type"].startswith("stop") == (order["side"] == "buy")
    return 1 if up else 2


@st.composite
def place_of(
    draw: st.DrawFn, category: str, kinds: tuple[str, ...], amounts: st.SearchStrategy[str]
) -> dict[str, Any]:
    """A new order of one of these types, with the fields that type and category may have."""
    kind = draw(st.sampled_from(kinds))
    order: dict[str, Any] = draw(
        neutral(
            category,
            "place",
            symbol=symbols(category),
            side=st.sampled_from(["buy", "sell"]),
            type=st.just(kind),
            client_order_id=ids if category == OPTION else maybe(ids),
        )
    )
    quote = category == SPOT and kind == "market" and draw(st.booleans())
    order["quote_qty" if quote else "qty"] = draw(amounts)
    if kind in LIMIT_TYPES:
        order["price"] = draw(amounts)
        order["tif"] = draw(st.sampled_from(["gtc", "ioc", "fok", "post_only", None]))
        if order["tif"] == "post_only":
            order["post_only"] = draw(st.sampled_from([True, None]))
    if category != SPOT:
        order["reduce_only"] = draw(maybe(st.booleans()))
    if category in FUTURES:
        order["position_side"] = draw(maybe(st.sampled_from(["long", "short", "both"])))
    if kind in TRIGGERED:
        order["stop_price"] = draw(amounts)
        if category == SPOT and kind not in LIMIT_TYPES:
            order["side"] = "sell"  # what one would buy is in a unit that nobody knows
        if category in FUTURES:
            order["trigger_by"] = draw(maybe(st.sampled_from(["last", "mark", "index"])))
            order["trigger_direction"] = draw(maybe(st.just(direction(order))))
            order["close_on_trigger"] = draw(maybe(st.booleans()))
    return order


def place(amounts: st.SearchStrategy[str] = decimals) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(CATEGORIES).flatmap(lambda kind: place_of(kind, PLAIN, amounts))


def place_triggered(
    amounts: st.SearchStrategy[str] = decimals,
) -> st.SearchStrategy[dict[str, Any]]:
    """Options have no conditional orders."""
    return st.sampled_from((SPOT, *FUTURES)).flatmap(
        lambda kind: place_of(kind, TRIGGERED, amounts)
    )


@st.composite
def amend(draw: st.DrawFn, amounts: st.SearchStrategy[str] = decimals) -> dict[str, Any]:
    category = draw(st.sampled_from(CATEGORIES))
    order: dict[str, Any] = draw(by_id("amend", category))
    kinds = ("limit",) if category == OPTION else ("limit", *TRIGGERED)
    kind = draw(st.sampled_from(kinds))
    order |= {"type": kind if kind != "limit" else draw(st.sampled_from([kind, None]))}
    order["qty"] = draw(amounts)
    if kind in LIMIT_TYPES:
        order["price"] = draw(amounts)
        order["tif"] = draw(st.sampled_from(["gtc", "ioc", "post_only", None]))
    if kind in TRIGGERED:
        order["stop_price"] = draw(amounts)
    return order


def by_id(action: str, category: str) -> st.SearchStrategy[dict[str, Any]]:
    """An action on one order, by either kind of id."""
    symbol = symbols(category)
    return neutral(category, action, symbol=symbol, order_id=order_ids) | neutral(
        category, action, symbol=symbol, client_order_id=ids
    )


def one_order(
    action: str, categories: tuple[str, ...] = CATEGORIES
) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(categories).flatmap(lambda category: by_id(action, category))


def named_market(order: dict[str, Any]) -> bool:
    """Of a whole category, the category has to be named."""
    return order["symbol"] is not None or order["market"] is not None


@st.composite
def cancel_all(draw: st.DrawFn) -> dict[str, Any]:
    category = draw(st.sampled_from(CATEGORIES))
    order: dict[str, Any] = draw(
        neutral(category, "cancel_all", symbol=maybe(symbols(category))).filter(named_market)
    )
    if order["symbol"] is None and category != SPOT:
        asset = st.sampled_from(ASSETS)
        order["asset"] = draw(maybe(asset) if category == OPTION else asset)
    return order


def open_orders() -> st.SearchStrategy[dict[str, Any]]:
    """Not of all linear contracts: of those, the venue wants a settlement asset."""
    return st.sampled_from(CATEGORIES).flatmap(
        lambda category: neutral(
            category,
            "open_orders",
            symbol=symbols(category) if category == LINEAR else maybe(symbols(category)),
        )
    )


def fills() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(CATEGORIES).flatmap(
        lambda category: neutral(
            category,
            "fills",
            symbol=maybe(symbols(category)),
            start_ms=maybe(st.integers(1, 1_600_000_000_000)),
            end_ms=maybe(st.integers(1_600_000_000_000, 2**53)),
            limit=maybe(st.integers(1, 100)),
        ).filter(named_market)
    )


def withdraw(amounts: st.SearchStrategy[str] = decimals) -> st.SearchStrategy[dict[str, Any]]:
    return neutral(
        None,
        "withdraw",
        asset=st.sampled_from(ASSETS),
        amount=amounts,
        address=st.text(LETTERS + "._-", min_size=8, max_size=126).map("0x".__add__),
        network=st.sampled_from(NETWORKS),
        memo=maybe(st.text(LETTERS + "._-", min_size=1, max_size=64)),
        client_order_id=maybe(st.text(LETTERS, min_size=1, max_size=32)),
        from_account=st.sampled_from(ACCOUNTS),
    )


def transfer(amounts: st.SearchStrategy[str] = decimals) -> st.SearchStrategy[dict[str, Any]]:
    """Named by a UUID, or by 32 hex digits that become one."""
    return st.builds(
        lambda order, way: order | {"from_account": way[0], "to_account": way[-1]},
        neutral(
            None,
            "transfer",
            asset=st.sampled_from(ASSETS),
            amount=amounts,
            transfer_id=st.uuids().map(str) | st.uuids().map(lambda uuid: uuid.hex),
        ),
        st.sampled_from([ACCOUNTS, ACCOUNTS[::-1]]),
    )
