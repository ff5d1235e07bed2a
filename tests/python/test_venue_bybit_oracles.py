"""Bybit's own library and ccxt as live oracles: what would they send for the same order?

Goal: for random orders of every category, with each field present, absent and varied, our method,
host, path, headers and members are those of pybit and of ccxt; the bytes, read back by a parser
that shares no code with the core, say the order and nothing else; and the signature is right over
what is sent. Method: the libraries' HTTP layer is replaced, so that nothing leaves the machine; our
bytes come from the core's C interface. `make test` draws 50 orders per action, `make check` 500.

ccxt brings decimals to its own text, so they are compared by value. It names what is the venue's
default anyway: the filter of plain spot orders, the kind of fills, the price of an amended trigger.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import bybit_orders as orders
import ccxt
import pybit._helpers
import pytest
from binance_orders import short_decimals
from bybit_orders import FUTURES, INVERSE, LINEAR, OPTION, SPOT
from hypothesis import strategies as st
from pybit.unified_trading import HTTP
from venue_core import Renderer
from venue_oracle import given_fields, run

from sentinel.order import OrderType

API_KEY = "XXXXXXXXXX"
SECRET = "T1yBXcWqEXJmCe6zkXnQpGgvJ5zkV9cTestS"  # a test key
KEY = {"api_key": API_KEY, "secret": SECRET}
TIFS = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK", "post_only": "PostOnly"}
TRIGGER_BY = {"last": "LastPrice", "mark": "MarkPrice", "index": "IndexPrice"}
POSITIONS = {"both": 0, "long": 1, "short": 2}
HEADERS = ("X-BAPI-API-KEY", "X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW")


class Sent(BaseException):
    """A request that a library wanted to send. Not an Exception, so that none swallows it."""

    def __init__(self, method: str, url: str, headers: Any, body: Any) -> None:
        super().__init__(url)
        parts = urlsplit(url)
        self.method, self.host, self.path = method, parts.netloc, parts.path
        self.headers = {name.lower(): str(value) for name, value in dict(headers).items()}
        self.members = members(parts.query, body.decode() if isinstance(body, bytes) else body)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a name stands twice"
    return found


def members(query: str, body: str | None) -> dict[str, Any]:
    """What a query or a body says. Queries are read as they stand: nothing in them is escaped."""
    assert not (query and body)
    if body:
        found: dict[str, Any] = json.loads(body, object_pairs_hook=once, parse_float=Decimal)
        return found
    pairs = [pair.split("=") for pair in query.split("&")]
    assert "%" not in query
    return once([(name, value) for name, value in pairs])


# The neutral order in the venue's words, which this file has on its own.


def category(order: dict[str, Any]) -> str:
    return str(order["market"] or LINEAR)


def id_words(order: dict[str, Any]) -> dict[str, Any]:
    return given_fields(
        category=category(order),
        symbol=order["symbol"],
        orderId=order.get("order_id"),
        orderLinkId=order.get("client_order_id"),
    )


def place_words(order: dict[str, Any]) -> dict[str, Any]:
    of = category(order)
    triggered = order.get("stop_price") is not None
    is_limit = order["type"].endswith("limit")
    unit = "quoteCoin" if order.get("quote_qty") else "baseCoin"
    tif = "post_only" if order.get("post_only") else order.get("tif")
    return id_words(order) | given_fields(
        side=order["side"].capitalize(),
        orderType="Limit" if is_limit else "Market",
        qty=order.get("qty") or order.get("quote_qty"),
        marketUnit=unit if of == SPOT and not is_limit else None,
        price=order.get("price"),
        timeInForce=TIFS[tif] if tif else None,
        orderFilter="StopOrder" if triggered and of == SPOT else None,
        triggerDirection=orders.direction(order) if triggered and of != SPOT else None,
        triggerPrice=order.get("stop_price"),
        triggerBy=TRIGGER_BY.get(order.get("trigger_by") or ""),
        positionIdx=POSITIONS.get(order.get("position_side") or ""),
        reduceOnly=order.get("reduce_only"),
        closeOnTrigger=order.get("close_on_trigger"),
    )


def amend_words(order: dict[str, Any]) -> dict[str, Any]:
    return id_words(order) | given_fields(
        qty=order["qty"], price=order.get("price"), triggerPrice=order.get("stop_price")
    )


def cancel_triggered_words(order: dict[str, Any]) -> dict[str, Any]:
    return id_words(order) | ({"orderFilter": "StopOrder"} if category(order) == SPOT else {})


def scope_words(order: dict[str, Any]) -> dict[str, Any]:
    return id_words(order) | given_fields(
        settleCoin=order.get("asset"),
        startTime=order.get("start_ms"),
        endTime=order.get("end_ms"),
        limit=order.get("limit"),
    )


def withdraw_words(order: dict[str, Any]) -> dict[str, Any]:
    return given_fields(
        coin=order["asset"],
        chain=order["network"],
        address=order["address"],
        tag=order["memo"],
        amount=order["amount"],
        timestamp=order["timestamp_ms"],
        forceChain=1,
        accountType={"funding": "FUND", "unified": "UTA"}[order["from_account"]],
        requestId=order["client_order_id"],
    )


def transfer_words(order: dict[str, Any]) -> dict[str, Any]:
    wallets = {"funding": "FUND", "unified": "UNIFIED"}
    hexes = order["transfer_id"].replace("-", "")
    ends = (0, 8, 12, 16, 20, 32)
    return {
        "transferId": "-".join(hexes[a:b] for a, b in pairwise(ends)),
        "coin": order["asset"],
        "amount": order["amount"],
        "fromAccountType": wallets[order["from_account"]],
        "toAccountType": wallets[order["to_account"]],
    }


# ccxt: the same in its own, unified words.


def unified(order: dict[str, Any]) -> str | None:
    if order["symbol"] is None:
        return None
    of = category(order)
    return f"{order['symbol']}/X" + ("" if of == SPOT else ":X" if of != OPTION else ":X-O")


def scope(order: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Which category is meant where no market says it."""
    of = category(order)
    kind = {"type": "swap", "subType": of} if of in FUTURES else {"type": of}
    return (kind if order["symbol"] is None else {}) | given_fields(**more)


def ccxt_place(api: Any, order: dict[str, Any]) -> Any:
    words = place_words(order)
    post_only = words.get("timeInForce") == "PostOnly"
    direction = {None: None, 1: "ascending", 2: "descending"}[words.get("triggerDirection")]
    params = given_fields(
        clientOrderId=order["client_order_id"],
        timeInForce=None if post_only else words.get("timeInForce"),
        postOnly=post_only or None,
        cost=order.get("quote_qty"),
        marketUnit="quoteCoin" if order.get("quote_qty") else None,
        triggerPrice=order.get("stop_price"),
        triggerDirection=direction,
        **{
            name: words.get(name)
            for name in ("triggerBy", "positionIdx", "reduceOnly", "closeOnTrigger")
        },
    )
    kind = words["orderType"].lower()
    return api.create_order(
        unified(order), kind, order["side"], order.get("qty", "1"), order.get("price"), params
    )


def ccxt_amend(api: Any, order: dict[str, Any]) -> Any:
    params = given_fields(
        orderLinkId=order.get("client_order_id"), triggerPrice=order.get("stop_price")
    )
    kind = "limit" if order.get("price") else "market"
    return api.edit_order(
        order.get("order_id"), unified(order), kind, "buy", order["qty"], order.get("price"), params
    )


def ccxt_cancel(api: Any, order: dict[str, Any], **more: Any) -> Any:
    params = given_fields(orderLinkId=order.get("client_order_id"), **more)
    return api.cancel_order(order.get("order_id"), unified(order), params)


def ccxt_query(api: Any, order: dict[str, Any]) -> Any:
    params = given_fields(orderLinkId=order.get("client_order_id"), orderId=order.get("order_id"))
    return api.fetch_open_orders(unified(order), params=params)


def ccxt_fills(api: Any, order: dict[str, Any]) -> Any:
    params = scope(order, endTime=order["end_ms"])
    return api.fetch_my_trades(unified(order), order["start_ms"], order["limit"], params)


def ccxt_withdraw(api: Any, order: dict[str, Any]) -> Any:
    words = withdraw_words(order)
    names = ("tag", "chain", "forceChain", "accountType", "requestId")
    params = {name: words[name] for name in names if name in words}
    return api.withdraw(order["asset"], order["amount"], order["address"], params)


def ccxt_transfer(api: Any, order: dict[str, Any]) -> Any:
    params = {"transferId": transfer_words(order)["transferId"]}
    ends = (order["from_account"], order["to_account"])
    return api.transfer(order["asset"], order["amount"], *ends, params)


@dataclass
class Case:
    """One action: orders, our words for them, the libraries' calls, what the book would say."""

    exact: st.SearchStrategy[dict[str, Any]]
    words: Callable[[dict[str, Any]], dict[str, Any]]
    method: str
    ccxt_call: Callable[[Any, dict[str, Any]], Any]
    short: st.SearchStrategy[dict[str, Any]] | None = None
    """What ccxt can say, if it is less: fewer digits, no inverse orders of all assets at once."""
    target_type: int = 0


CASES = {
    "place": Case(
        orders.place(), place_words, "place_order", ccxt_place, orders.place(short_decimals)
    ),
    "place_triggered": Case(
        orders.place_triggered(),
        place_words,
        "place_order",
        ccxt_place,
        orders.place_triggered(short_decimals),
    ),
    "amend": Case(
        orders.amend(), amend_words, "amend_order", ccxt_amend, orders.amend(short_decimals)
    ),
    "cancel": Case(orders.one_order("cancel"), id_words, "cancel_order", ccxt_cancel),
    "cancel_triggered": Case(
        orders.one_order("cancel", (SPOT, LINEAR, INVERSE)),
        cancel_triggered_words,
        "cancel_order",
        lambda api, order: ccxt_cancel(api, order, trigger=category(order) == SPOT or None),
        target_type=OrderType.STOP_LIMIT,
    ),
    "cancel_all": Case(
        orders.cancel_all(),
        scope_words,
        "cancel_all_orders",
        lambda api, order: api.cancel_all_orders(
            unified(order), scope(order, settleCoin=order.get("asset"))
        ),
    ),
    "query": Case(orders.one_order("query"), id_words, "get_open_orders", ccxt_query),
    "open_orders": Case(
        orders.open_orders(),
        scope_words,
        "get_open_orders",
        lambda api, order: api.fetch_open_orders(unified(order), params=scope(order)),
        orders.open_orders().filter(lambda order: order["symbol"] or order["market"] != INVERSE),
    ),
    "fills": Case(orders.fills(), scope_words, "get_executions", ccxt_fills),
    "withdraw": Case(
        orders.withdraw(),
        withdraw_words,
        "withdraw",
        ccxt_withdraw,
        orders.withdraw(short_decimals),
    ),
    "transfer": Case(
        orders.transfer(),
        transfer_words,
        "create_internal_transfer",
        ccxt_transfer,
        orders.transfer(short_decimals),
    ),
}


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


def rendered(renderer: Renderer, order: dict[str, Any], target_type: int = 0) -> dict[str, Any]:
    """Our request, whose signature is right over what is sent, and stands in the last header."""
    line = {"id": "x", "scheme": "HMAC-SHA256", "key": KEY, "order": order}
    ours = renderer.render(line, target_type=target_type)
    sent = ours["query"] + ours["body"]
    headers = dict(ours["headers"])
    assert list(headers)[-1] == "X-BAPI-SIGN"
    signature = headers.pop("X-BAPI-SIGN")
    assert headers.pop("Content-Type", None) == ("application/json" if ours["body"] else None)
    assert headers == given_fields(
        **{
            "X-BAPI-API-KEY": API_KEY,
            "X-BAPI-TIMESTAMP": str(order["timestamp_ms"]),
            "X-BAPI-RECV-WINDOW": order["recv_window"] and str(order["recv_window"]),
        }
    )
    text = "".join(headers.get(name, "") for name in (HEADERS[1], HEADERS[0], HEADERS[2])) + sent
    assert ours["string_to_sign"] == text
    assert signature == hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert signature == ours["signature"]
    return ours


def as_sent(words: dict[str, Any], is_query: bool) -> dict[str, Any]:
    return {name: str(value) for name, value in words.items()} if is_query else words


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Equal values of equal types: true is not 1, and no text is a number."""
    assert ours == theirs
    assert {n: type(v) for n, v in ours.items()} == {n: type(v) for n, v in theirs.items()}


def check_sent(ours: dict[str, Any], sent: Sent, order: dict[str, Any]) -> None:
    assert (ours["method"], ours["host"], ours["path"]) == (sent.method, sent.host, sent.path)
    for name in HEADERS:
        if name in ours["headers"]:
            assert ours["headers"][name] == sent.headers[name.lower()]
    assert order["recv_window"] is None or "X-BAPI-RECV-WINDOW" in ours["headers"]


def sent_by(call: Callable[[], Any]) -> Sent:
    try:
        call()
    except Sent as sent:
        return sent
    raise AssertionError("the library sent nothing")


def check_against_pybit(name: str, examples: int, renderer: Renderer) -> None:
    """Also holds the parsed bytes against the order's own words."""
    case = CASES[name]
    session = HTTP(api_key=API_KEY, api_secret=SECRET)

    def send(request: Any, **_: Any) -> None:
        raise Sent(request.method, request.url, request.headers, request.body)

    session.client.send = send

    def check(order: dict[str, Any], _: str) -> None:
        ours = rendered(renderer, order, case.target_type)
        words = case.words(order)
        same(members(ours["query"], ours["body"]), as_sent(words, bool(ours["query"])))
        session.recv_window = order["recv_window"] or 5000
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pybit._helpers, "generate_timestamp", lambda: order["timestamp_ms"])
            sent = sent_by(lambda: getattr(session, case.method)(**words))
        same(members(ours["query"], ours["body"]), sent.members)
        check_sent(ours, sent, order)

    run(examples, case.exact, check)


@pytest.mark.parametrize("name", CASES)
def test_sends_what_pybit_sends(renderer: Renderer, name: str) -> None:
    check_against_pybit(name, 50, renderer)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_sends_what_pybit_sends_500_times(renderer: Renderer, name: str) -> None:
    check_against_pybit(name, 500, renderer)


DECIMALS = ("qty", "price", "triggerPrice", "amount")


def ccxt_market(api: Any, of: str, symbol: str) -> Any:
    contract = of != SPOT
    name = unified({"market": of, "symbol": symbol})
    kind = {SPOT: "spot", OPTION: "option"}.get(of, "swap")
    return api.safe_market_structure(
        {
            "id": symbol,
            "symbol": name,
            "base": symbol,
            "quote": "X",
            "settle": "X" if contract else None,
            "type": kind,
            "spot": not contract,
            "swap": kind == "swap",
            "future": False,
            "option": of == OPTION,
            "contract": contract,
            "linear": of == LINEAR if contract else None,
            "inverse": of == INVERSE if contract else None,
            "active": True,
            "precision": {"amount": 1e-8, "price": 1e-8},
        }
    )


@pytest.fixture(scope="module")
def api() -> Any:
    client = ccxt.bybit({"apiKey": API_KEY, "secret": SECRET})
    markets = [
        ccxt_market(client, of, symbol) for of, names in orders.SYMBOLS.items() for symbol in names
    ]
    symbols = [symbol for names in orders.SYMBOLS.values() for symbol in names]
    client.set_markets(
        markets,
        {
            code: {"id": code, "code": code, "precision": 1e-8, "networks": {}}
            for code in (*orders.ASSETS, *symbols, "X")
        },
    )
    client.options |= {"enableUnifiedMargin": False, "enableUnifiedAccount": True}
    client.enableRateLimit = False

    def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> None:
        raise Sent(method, url, headers, body)

    client.fetch = fetch
    return client


def comparable(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Without what ccxt says though it is the default; decimals by value."""
    drop = {"fills": ("execType",), "amend": ("triggerBy",)}.get(name, ())
    return {
        key: Decimal(value) if key in DECIMALS else value
        for key, value in found.items()
        if key not in drop and (key, value) != ("orderFilter", "Order")
    }


def check_against_ccxt(name: str, examples: int, renderer: Renderer, api: Any) -> None:
    case = CASES[name]

    def check(order: dict[str, Any], _: str) -> None:
        ours = rendered(renderer, order, case.target_type)
        api.options["recvWindow"] = order["recv_window"] or 5000
        api.nonce = api.milliseconds = lambda: order["timestamp_ms"]
        sent = sent_by(lambda: case.ccxt_call(api, order))
        same(comparable(members(ours["query"], ours["body"]), name), comparable(sent.members, name))
        check_sent(ours, sent, order)

    run(examples, case.exact if case.short is None else case.short, check)


@pytest.mark.parametrize("name", CASES)
def test_sends_what_ccxt_sends(renderer: Renderer, api: Any, name: str) -> None:
    check_against_ccxt(name, 50, renderer, api)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_sends_what_ccxt_sends_500_times(renderer: Renderer, api: Any, name: str) -> None:
    check_against_ccxt(name, 500, renderer, api)
