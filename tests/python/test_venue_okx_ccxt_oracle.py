"""ccxt as a live oracle for OKX: what would it send for the same order?

Goal and method are those of test_venue_okx_oracles.py. ccxt brings decimals to its own text, so
they are compared by value; its unified calls are used where it has them, and `without_additions`
says what they add.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ccxt
import okx_orders as orders
import pytest
from binance_orders import short_decimals
from okx_oracle import KEY, STOP, Case, Posted, compare, is_plain_spot
from venue_core import Renderer
from venue_oracle import Sent, given_fields


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.fixture(scope="module")
def clock() -> dict[str, int]:
    """The time that the library sees, in milliseconds."""
    return {"now": 0}


@pytest.fixture(scope="module")
def clients(clock: dict[str, int]) -> dict[str, Any]:
    return {"ccxt": ccxt_client(clock)}


# ccxt: by its unified calls where it has them.


def unified(symbol: str) -> str:
    return f"{symbol}/X"


def ccxt_place(api: Any, order: dict[str, Any]) -> Any:
    kind = "limit" if "limit" in order["type"] else "market"
    stop = order["type"].startswith("stop")
    trigger = order.get("stop_price")
    by = order.get("trigger_by")
    post_only = order.get("tif") == "post_only"
    name = order["client_order_id"]
    quote = order.get("quote_qty")
    unit = "quote_ccy" if quote else None
    params = given_fields(
        clOrdId=None if trigger else name,
        algoClOrdId=name if trigger else None,
        timeInForce=None if post_only else (order.get("tif") or "gtc").upper(),
        postOnly=post_only or None,
        marginMode=order["margin_mode"],
        tgtCcy=unit if is_plain_spot(order) else None,
        cost=quote if is_plain_spot(order) and order["side"] == "buy" else None,
        reduceOnly=order.get("reduce_only"),
        positionSide={"both": "net"}.get(side := order.get("position_side") or "", side) or None,
        stopLossPrice=trigger if stop else None,
        takeProfitPrice=None if stop else trigger,
        slTriggerPxType=by if stop else None,
        tpTriggerPxType=None if stop else by,
    )
    return api["ccxt"].create_order(
        unified(order["symbol"]),
        kind,
        order["side"],
        order.get("qty") or quote,
        order.get("price"),
        params,
    )


def ccxt_amend(api: Any, order: dict[str, Any]) -> Any:
    params = given_fields(clOrdId=order.get("client_order_id"))
    return api["ccxt"].edit_order(
        order.get("order_id"),
        unified(order["symbol"]),
        "limit",
        "buy",
        order["qty"],
        order["price"],
        params,
    )


def ccxt_by_id(method: str, trigger: bool = False) -> Callable[[Any, dict[str, Any]], Any]:
    def call(api: Any, order: dict[str, Any]) -> Any:
        params = given_fields(
            clientOrderId=order.get("client_order_id"), trigger=True if trigger else None
        )
        return getattr(api["ccxt"], method)(order.get("order_id"), unified(order["symbol"]), params)

    return call


def ccxt_fills(api: Any, order: dict[str, Any]) -> Any:
    """Its unified call asks for older fills, elsewhere."""
    return api["ccxt"].privateGetTradeFills(
        given_fields(
            instId=order["symbol"],
            begin=order["start_ms"],
            end=order["end_ms"],
            limit=order["limit"],
        )
    )


def ccxt_withdraw(api: Any, order: dict[str, Any]) -> Any:
    params = given_fields(
        tag=order["memo"], chain=order["network"], clientId=order["client_order_id"]
    )
    return api["ccxt"].withdraw(order["asset"], order["amount"], order["address"], params)


def ccxt_transfer(api: Any, order: dict[str, Any]) -> Any:
    """Its transfers to a sub-account come from "master", with the accounts beside them."""
    ends = [orders.ACCOUNTS[order[end]] for end in ("from_account", "to_account")]
    params = given_fields(clientId=order["client_order_id"])
    if order["address"]:
        params |= {"from": ends[0], "to": ends[1]}
        ends = ["master", order["address"]]
    return api["ccxt"].transfer(order["asset"], order["amount"], *ends, params)


CCXT_PLACE = orders.deadline(orders.place(orders.PLAIN, short_decimals))
CCXT = {
    "place": Case(CCXT_PLACE, ccxt_place),
    "place_triggered": Case(orders.place(orders.TRIGGERED, short_decimals), ccxt_place),
    "amend": Case(orders.deadline(orders.amend(short_decimals)), ccxt_amend),
    "cancel": Case(orders.by_id("cancel"), ccxt_by_id("cancel_order")),
    "cancel_triggered": Case(orders.by_id("cancel"), ccxt_by_id("cancel_order", True), STOP),
    "cancel_all_after": Case(
        orders.cancel_all_after(),
        lambda api, order: api["ccxt"].cancel_all_orders_after(int(order["timeout_s"]) * 1000),
    ),
    "query": Case(orders.by_id("query"), ccxt_by_id("fetch_order")),
    "query_triggered": Case(orders.by_id("query"), ccxt_by_id("fetch_order", True), STOP),
    "open_orders": Case(
        orders.open_orders(),
        lambda api, order: api["ccxt"].fetch_open_orders(
            unified(order["symbol"]) if order["symbol"] else None
        ),
    ),
    "fills": Case(orders.fills(2**53), ccxt_fills),
    "withdraw": Case(orders.withdraw(short_decimals), ccxt_withdraw),
    "transfer": Case(orders.transfer(short_decimals), ccxt_transfer),
}
BROKER = "6b9ad766b55dBCDE"
DECIMALS = {"sz", "px", "amt", "newSz", "newPx"} | {
    f"{prefix}{name}" for prefix in ("sl", "tp") for name in ("TriggerPx", "OrdPx")
}


def ccxt_client(clock: dict[str, int]) -> Any:
    api = ccxt.okx(
        {"apiKey": KEY["api_key"], "secret": KEY["secret"], "password": KEY["passphrase"]}
    )
    markets = [
        api.safe_market_structure(
            {
                "id": symbol,
                "symbol": unified(symbol),
                "base": symbol,
                "quote": "X",
                "type": {"futures": "future"}.get(kind, kind),
                **{each: each == kind for each in ("spot", "swap", "option")},
                "future": kind == "futures",
                "contract": kind != "spot",
                "active": True,
                "precision": {"amount": 1e-8, "price": 1e-8},
                "info": {},
            }
        )
        for kind, symbols in orders.SYMBOLS.items()
        for symbol in symbols
    ]
    codes = {code for market in markets for code in (market["base"], market["quote"])}
    currencies = {
        code: {"id": code, "code": code, "precision": 1e-8, "networks": {}}
        for code in (*orders.ASSETS, *codes)
    }
    api.set_markets(markets, currencies)
    api.options["withdrawTagRequiredCurrencies"] = []
    api.options["createOrder"] = "privatePostTradeOrder"
    api.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
    api.nonce = lambda: clock["now"]
    api.enableRateLimit = False

    def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> None:
        if method == "GET":
            raise Sent(method, url, headers, None)
        # Its countdown is a number; the documents have a text.
        body = re.sub(r'"timeOut":(\d+)', r'"timeOut":"\1"', body)
        raise Posted(method, url, headers, body)

    api.fetch = fetch
    return api


def without_additions(sent: dict[str, Any], order: dict[str, Any], name: str) -> dict[str, Any]:
    """What ccxt adds: a name and a tag of its own, the currency of the margin, the default of
    what triggers, the unit where the venue does not read it, "type" of plain transfers; and the
    instrument in queries of triggered orders, which the venue does not read. Spot orders with a
    trigger it always sends with margin.
    """
    left = dict(sent)
    left.pop("tag", None)
    if name.startswith("place"):
        left.pop("ccy", None)
    if str(left.get("clOrdId", "")).startswith(BROKER):
        del left["clOrdId"]
    for each in ("slTriggerPxType", "tpTriggerPxType"):
        if order.get("trigger_by") is None and left.get(each) == "last":
            del left[each]
    if name.startswith("place") and "limit" in order["type"]:
        left.pop("tgtCcy", None)
    if name == "place_triggered" and is_plain_spot(order):
        left.pop("tdMode")
    if left.get("type") == "0":
        del left["type"]
    if name == "query_triggered":
        left.pop("instId", None)
    return {n: Decimal(v) if n in DECIMALS else v for n, v in left.items()}


def check_against_ccxt(
    name: str, examples: int, renderer: Renderer, clients: Any, clock: dict[str, int]
) -> None:
    def comparable(sent: dict[str, Any], order: dict[str, Any]) -> dict[str, Any]:
        found = without_additions(sent, order, name)
        if order.get("margin_mode") == "cash" and order["symbol"].count("-") == 4:
            found.pop("tdMode")  # it has no options without margin
        return found

    compare(name, examples, CCXT[name], renderer, clients, clock, comparable)


@pytest.mark.parametrize("name", CCXT)
def test_sends_what_ccxt_sends(
    renderer: Renderer, clients: Any, clock: dict[str, int], name: str
) -> None:
    check_against_ccxt(name, 50, renderer, clients, clock)


@pytest.mark.long
@pytest.mark.parametrize("name", CCXT)
def test_sends_what_ccxt_sends_500_times(
    renderer: Renderer, clients: Any, clock: dict[str, int], name: str
) -> None:
    check_against_ccxt(name, 500, renderer, clients, clock)
