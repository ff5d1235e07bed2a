"""Random neutral orders for OKX, one strategy per action, and a reader of what was rendered.

Each optional field is drawn as absent half of the time. Decimals are drawn as mantissa and scale,
so trailing zeros are common. `read_back` knows the venue's words on its own, and no code of ours.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from binance_orders import decimals, maybe, numbers
from hypothesis import strategies as st

ID = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SYMBOLS = {
    "spot": ("BTC-USDT", "ETH-BTC", "1INCH-EUR"),
    "swap": ("BTC-USDT-SWAP", "SOL-USDC-SWAP", "BTC-USD-SWAP"),
    "futures": ("BTC-USDT-271231", "ETH-USD-271231"),
    "option": ("BTC-USD-271231-90000-C", "ETH-USD-271231-2500-P"),
}
ASSETS = ("BTC", "USDT", "1INCH", "XRP")
NETWORKS = ("USDT-ERC20", "BTC-Bitcoin", "USDT-Avalanche C-Chain", "XRP-Ripple")
PLAIN = ("limit", "market")
TRIGGERED = ("stop_market", "stop_limit", "take_profit_market", "take_profit_limit")

ids = st.text(ID, min_size=1, max_size=32)
texts = st.text(f"{ID}._-", min_size=1, max_size=64)
times = st.integers(0, 4_102_444_800_000)
symbols = st.sampled_from([symbol for each in SYMBOLS.values() for symbol in each])

Strategy = st.SearchStrategy[dict[str, Any]]


def neutral(action: str, **fields: Any) -> Strategy:
    common = {"venue": st.just("okx"), "action": st.just(action), "timestamp_ms": times}
    return st.fixed_dictionaries({**common, **fields})


@st.composite
def deadline(draw: st.DrawFn, of: Strategy) -> dict[str, Any]:
    """With a deadline that is still ahead, or none."""
    order = draw(of)
    ahead = draw(maybe(st.integers(1, 10**9)))
    return order | {"recv_window": ahead and order["timestamp_ms"] + ahead}


@st.composite
def place(
    draw: st.DrawFn, kinds: tuple[str, ...], amounts: st.SearchStrategy[str] = decimals
) -> dict[str, Any]:
    """A new order of one of these types, with the fields that the venue takes."""
    kind = draw(st.sampled_from(kinds))
    limit, triggered = "limit" in kind, kind in TRIGGERED
    markets = ["spot", "swap", "futures"] + (["option"] if kind == "limit" else [])
    market = draw(st.sampled_from(markets))
    side = draw(st.sampled_from(["buy", "sell"]))
    modes = {"spot": [None, "cash", "cross", "isolated"], "option": ["cash", "cross", "isolated"]}
    mode = draw(st.sampled_from(modes.get(market, ["cross", "isolated"])))
    if market == "option" and mode == "cash" and side == "sell":
        mode = "cross"
    margin = market == "spot" and mode in ("cross", "isolated")
    quote = market == "spot" and kind == "market" and draw(st.booleans())
    if margin and not limit:  # the venue's unit follows the side
        quote = not triggered and side == "buy"
        side = side if not triggered else "sell"
    order: dict[str, Any] = draw(
        neutral(
            "place",
            market=maybe(st.just(market)),
            symbol=st.sampled_from(SYMBOLS[market]),
            side=st.just(side),
            type=st.just(kind),
            margin_mode=st.just(mode),
            client_order_id=maybe(ids),
        )
    )
    order["quote_qty" if quote else "qty"] = draw(amounts)
    if limit:
        order["price"] = draw(amounts)
        tifs = ["gtc"] if triggered else ["gtc", "ioc", "fok", "post_only", None]
        order["tif"] = draw(st.sampled_from(tifs))
        if order["tif"] == "post_only":
            order["post_only"] = draw(maybe(st.just(True)))
    if triggered:
        order["stop_price"] = draw(amounts)
        by = ["last"] if market == "spot" else ["last", "mark", "index"]
        order["trigger_by"] = draw(maybe(st.sampled_from(by)))
    if market in ("swap", "futures"):
        position = draw(maybe(st.sampled_from(["long", "short", "both"])))
        opens = (position, side) in (("long", "buy"), ("short", "sell"))
        order["position_side"] = position
        order["reduce_only"] = draw(maybe(st.just(False) if opens else st.booleans()))
    elif margin:
        order["reduce_only"] = draw(maybe(st.booleans()))
    return order


def amend(amounts: st.SearchStrategy[str] = decimals) -> Strategy:
    fields = {"symbol": symbols, "qty": amounts, "price": amounts, "side": maybe(st.just("sell"))}
    fields["tif"] = st.sampled_from(["gtc", "post_only"])
    return neutral("amend", order_id=numbers, **fields) | neutral(
        "amend", client_order_id=ids, **fields
    )


def by_id(action: str) -> Strategy:
    """A cancel or a query of one order, by either kind of id."""
    return neutral(action, symbol=symbols, order_id=numbers) | neutral(
        action, symbol=symbols, client_order_id=ids
    )


def cancel_all_after() -> Strategy:
    seconds = st.just(0) | st.integers(10, 120)
    market = maybe(st.just("all"))
    return neutral("cancel_all_after", market=market, timeout_s=seconds | seconds.map(str))


def open_orders() -> Strategy:
    return neutral("open_orders", symbol=maybe(symbols))


def fills(latest: int = 2**63 - 1) -> Strategy:
    return neutral(
        "fills",
        symbol=maybe(symbols),
        start_ms=maybe(st.integers(1, 1_600_000_000_000)),
        end_ms=maybe(st.integers(1_600_000_000_000, latest)),
        limit=maybe(st.integers(1, 100)),
    )


def withdraw(amounts: st.SearchStrategy[str] = decimals) -> Strategy:
    return neutral(
        "withdraw",
        market=maybe(st.just("funding")),
        asset=st.sampled_from(ASSETS),
        amount=amounts,
        address=st.text(f"{ID}._-", min_size=8, max_size=126).map("0x".__add__),
        network=maybe(st.sampled_from(NETWORKS)),
        memo=maybe(texts),
        client_order_id=maybe(ids),
        from_account=maybe(st.just("funding")),
    )


@st.composite
def transfer(draw: st.DrawFn, amounts: st.SearchStrategy[str] = decimals) -> dict[str, Any]:
    names = {"funding": ["funding", "fund", "6"], "trading": ["trading", "unified", "18"]}
    sub_account = draw(maybe(st.text(ID, min_size=6, max_size=20)))
    source = draw(st.sampled_from(sorted(names)))
    other = [name for name in names if name != source or sub_account is not None]
    target = draw(st.sampled_from(other))
    order: dict[str, Any] = draw(
        neutral(
            "transfer",
            asset=st.sampled_from(ASSETS),
            amount=amounts,
            from_account=st.sampled_from(names[source]),
            to_account=st.sampled_from(names[target]),
            address=st.just(sub_account),
            client_order_id=maybe(ids),
        )
    )
    return order


ACCOUNTS = {"funding": "6", "fund": "6", "6": "6", "trading": "18", "unified": "18", "18": "18"}


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs), "a name stands twice"
    return dict(pairs)


def json_of(text: str) -> Any:
    """JSON whose names stand once and that has no number: the venue takes texts."""

    def refuse(number: str) -> Any:
        raise AssertionError(f"{number} is a number")

    return json.loads(
        text, object_pairs_hook=once, parse_float=refuse, parse_int=refuse, parse_constant=refuse
    )


def query_of(text: str) -> dict[str, Any]:
    return once(parse_qsl(text, strict_parsing=True)) if text else {}


def read_place(sent: dict[str, Any]) -> dict[str, Any]:
    kinds = {"limit": "gtc", "ioc": "ioc", "fok": "fok", "post_only": "post_only"}
    kind = sent.pop("ordType")
    order = {"action": "place", "client_order_id": sent.pop("clOrdId", None)}
    if kind == "conditional":
        stop = "slTriggerPx" in sent
        prefix = "sl" if stop else "tp"
        price = sent.pop(f"{prefix}OrdPx")
        order["client_order_id"] = sent.pop("algoClOrdId", None)
        order["type"] = ("stop_" if stop else "take_profit_") + (
            "market" if price == "-1" else "limit"
        )
        order["stop_price"] = sent.pop(f"{prefix}TriggerPx")
        order["trigger_by"] = sent.pop(f"{prefix}TriggerPxType", None)
        if price != "-1":
            order |= {"price": price, "tif": "gtc"}
    elif kind == "market":
        order["type"] = kind
    else:
        order |= {"type": "limit", "tif": kinds[kind], "price": sent.pop("px")}
    margin_buy = (
        kind == "market"
        and sent["instId"].count("-") == 1
        and sent["tdMode"] != "cash"
        and sent["side"] == "buy"
    )
    quote = margin_buy or sent.pop("tgtCcy", None) == "quote_ccy"
    order["quote_qty" if quote else "qty"] = sent.pop("sz")
    order |= {
        "symbol": sent.pop("instId"),
        "side": sent.pop("side"),
        "margin_mode": sent.pop("tdMode"),
        "position_side": {"net": "both"}.get(side := sent.pop("posSide", None), side),
        "reduce_only": sent.pop("reduceOnly", None),
    }
    return order


def read_wallet(path: str, sent: dict[str, Any]) -> dict[str, Any]:
    order = {
        "asset": sent.pop("ccy"),
        "amount": sent.pop("amt"),
        "client_order_id": sent.pop("clientId", None),
    }
    if path == "/api/v5/asset/withdrawal":
        assert sent.pop("dest") == "4"
        address, _, memo = sent.pop("toAddr").partition(":")
        network = sent.pop("chain", None)
        return order | {
            "action": "withdraw", "address": address, "memo": memo or None, "network": network
        }  # fmt: skip
    assert path == "/api/v5/asset/transfer"
    assert ("subAcct" in sent) == (sent.pop("type", "0") == "1")
    order |= {"from_account": sent.pop("from"), "to_account": sent.pop("to")}
    return order | {"action": "transfer", "address": sent.pop("subAcct", None)}


def read_target(sent: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The order that is meant. `prefix`: "algo" of triggered ones."""
    own, theirs = ("algoClOrdId", "algoId") if prefix else ("clOrdId", "ordId")
    assert (own in sent) != (theirs in sent)
    return {
        "symbol": sent.pop("instId", None),
        "client_order_id": sent.pop(own, None),
        "order_id": sent.pop(theirs, None),
    }


def read_back(line: dict[str, Any]) -> dict[str, Any]:
    """The neutral order that a rendered request says, without its market."""
    path, method = line["path"], line["method"]
    sent = query_of(line["query"]) if method == "GET" else json_of(line["body"])
    assert (line["query"] if method == "POST" else line["body"]) == ""
    algo = "algo" if path.endswith(("algo", "algos")) else ""
    if path == "/api/v5/trade/cancel-algos":
        (sent,) = sent
    if path in ("/api/v5/trade/order", "/api/v5/trade/order-algo"):
        order = read_place(sent) if method == "POST" else read_target(sent, algo)
        order.setdefault("action", "query")
    elif path in ("/api/v5/trade/cancel-order", "/api/v5/trade/cancel-algos"):
        order = {"action": "cancel"} | read_target(sent, algo)
    elif path == "/api/v5/trade/amend-order":
        order = {"action": "amend", "qty": sent.pop("newSz"), "price": sent.pop("newPx")}
        order |= read_target(sent, algo)
    elif path == "/api/v5/trade/cancel-all-after":
        order = {"action": "cancel_all_after", "timeout_s": sent.pop("timeOut")}
    elif path in ("/api/v5/trade/fills", "/api/v5/trade/orders-pending"):
        action = "fills" if path.endswith("fills") else "open_orders"
        order = {"action": action, "symbol": sent.pop("instId", None)}
        names = {"start_ms": "begin", "end_ms": "end", "limit": "limit"}
        order |= {ours: sent.pop(theirs, None) for ours, theirs in names.items()}
    else:
        order = read_wallet(path, sent)
    assert not sent, f"{sent} is more than the order says"
    return {name: value for name, value in order.items() if value is not None}


def as_read(order: dict[str, Any], *, triggered: bool = False) -> dict[str, Any]:
    """A drawn order as `read_back` gives it: what the request does not say, or says otherwise."""
    left = {"venue", "market", "timestamp_ms", "recv_window", "post_only"}
    if order["action"] == "amend":
        left |= {"side", "tif"}
    if order["action"] == "withdraw":
        left.add("from_account")
    if order["action"] == "query" and triggered:
        left.add("symbol")
    wanted = {n: v for n, v in order.items() if v is not None and n not in left}
    if order["action"] == "place":
        wanted.setdefault("margin_mode", "cash")
        if "price" in wanted:
            wanted.setdefault("tif", "gtc")
    for name in ("from_account", "to_account"):
        if name in wanted:
            wanted[name] = ACCOUNTS[wanted[name]]
    for name in ("timeout_s", "start_ms", "end_ms", "limit"):
        if name in wanted:
            wanted[name] = str(wanted[name])
    return wanted
