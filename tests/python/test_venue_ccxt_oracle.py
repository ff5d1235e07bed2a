"""ccxt as a live oracle for Binance: what would it send for the same order?

Goal and method are those of test_venue_binance_oracles.py. ccxt brings decimals to its own text,
so they are compared by value; it puts the parameters of a POST into the body, which the venue
allows too; times pass through floats there; and it always adds a name of its own where none is
given, so one is always given.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import binance_orders as orders
import ccxt
import pytest
from binance_orders import SPOT, USDM
from venue_core import Renderer
from venue_oracle import (
    API_KEY,
    CONTRACT_TYPES,
    KEYS,
    PEM,
    SECRET,
    SPOT_TYPES,
    Case,
    Sent,
    compare,
    given_fields,
    time_in_force,
)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.fixture(scope="module")
def clock() -> dict[str, int]:
    """The time that the libraries see, in milliseconds."""
    return {"now": 0}


def unified(order: dict[str, Any]) -> str:
    return f"{order['symbol']}/X" if order["venue"] == SPOT else f"{order['symbol']}/X:X"


def ccxt_params(order: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return given_fields(recvWindow=order["recv_window"], **fields)


def ccxt_place(api: Any, order: dict[str, Any]) -> Any:
    kind = "limit" if "limit" in order["type"] else "market"
    trigger = "takeProfitPrice" if "take_profit" in order["type"] else "stopLossPrice"
    working = {"last": "CONTRACT_PRICE", "mark": "MARK_PRICE"}.get(order.get("trigger_by") or "")
    position_side = order.get("position_side")
    post_only = order.get("tif") == "post_only"
    params = ccxt_params(
        order,
        clientOrderId=order["client_order_id"],
        timeInForce=None if post_only else time_in_force(order),
        postOnly=post_only or None,
        cost=order.get("quote_qty"),
        reduceOnly=order.get("reduce_only"),
        positionSide=position_side and position_side.upper(),
        goodTillDate=order.get("expire_ms"),
        workingType=working,
        **{trigger: order.get("stop_price")},
    )
    return api.create_order(
        unified(order), kind, order["side"], order.get("qty", "1"), order.get("price"), params
    )


def ccxt_by_id(method: str) -> Callable[[Any, dict[str, Any]], Any]:
    def call(api: Any, order: dict[str, Any]) -> Any:
        params = ccxt_params(order, clientOrderId=order.get("client_order_id"))
        return getattr(api, method)(order.get("order_id"), unified(order), params)

    return call


def ccxt_amend(api: Any, order: dict[str, Any]) -> Any:
    """By an id of the venue's own: ccxt sends one in any case."""
    reduce_only = {True: "true", False: "false", None: None}[order["reduce_only"]]
    params = ccxt_params(order, reduceOnly=reduce_only)
    terms = (order["side"], order["qty"], order["price"])
    return api.edit_order(order["order_id"], unified(order), "limit", *terms, params)


def ccxt_fills(api: Any, order: dict[str, Any]) -> Any:
    params = ccxt_params(order, startTime=order["start_ms"], endTime=order["end_ms"])
    return api.fetch_my_trades(unified(order), None, order["limit"], params)


def ccxt_withdraw(api: Any, order: dict[str, Any]) -> Any:
    params = ccxt_params(
        order,
        withdrawOrderId=order["client_order_id"],
        network=order["network"],
        tag=order["memo"],
        walletType={"spot": 0, "funding": 1, None: None}[order["from_account"]],
    )
    return api.withdraw(order["asset"], order["amount"], order["address"], params)


def ccxt_transfer(api: Any, order: dict[str, Any]) -> Any:
    names = {"usdm": "linear", "coinm": "inverse"}
    accounts = [names.get(order[end], order[end]) for end in ("from_account", "to_account")]
    return api.transfer(order["asset"], order["amount"], *accounts, ccxt_params(order))


def ccxt_cases(venue: str) -> dict[str, Case]:
    def symbol_call(method: str) -> Callable[[Any, dict[str, Any]], Any]:
        return lambda api, order: getattr(api, method)(
            *([unified(order)] if order["symbol"] else []), params=ccxt_params(order)
        )

    def named(order: dict[str, Any]) -> bool:
        # ccxt makes up a name, with its own prefix, where none is given.
        return order["client_order_id"] is not None

    amounts = orders.short_decimals
    return {
        "place": Case(orders.place_strategy(venue, False, amounts).filter(named), ccxt_place),
        "place_triggered": Case(
            orders.place_strategy(venue, True, amounts).filter(named), ccxt_place
        ),
        "cancel": Case(orders.by_id(venue, "cancel"), ccxt_by_id("cancel_order")),
        "query": Case(orders.by_id(venue, "query"), ccxt_by_id("fetch_order")),
        "cancel_all": Case(orders.cancel_all(venue), symbol_call("cancel_all_orders")),
        "open_orders": Case(orders.open_orders(venue), symbol_call("fetch_open_orders")),
        "fills": Case(orders.fills(venue, 2**53), ccxt_fills),
    }


CCXT = {
    **{
        f"{venue}-{name}": case
        for venue in (SPOT, USDM)
        for name, case in ccxt_cases(venue).items()
    },
    f"{SPOT}-withdraw": Case(orders.withdraw(orders.short_decimals), ccxt_withdraw),
    f"{SPOT}-transfer": Case(orders.transfer(orders.short_decimals), ccxt_transfer),
    f"{USDM}-amend": Case(
        orders.amend(orders.short_decimals).filter(lambda order: "order_id" in order),
        ccxt_amend,
    ),
    f"{USDM}-cancel_all_after": Case(
        orders.cancel_all_after(USDM),
        lambda api, order: api.fapiPrivatePostCountdownCancelAll(
            ccxt_params(order, symbol=order["symbol"], countdownTime=int(order["timeout_s"]) * 1000)
        ),
    ),
}
DECIMALS = ("quantity", "price", "stopPrice", "triggerPrice", "quoteOrderQty", "amount")
CCXT_ADDS = ("newOrderRespType",)


def ccxt_client(venue: str, scheme: str, clock: dict[str, int]) -> Any:
    secret = SECRET if scheme == "HMAC-SHA256" else PEM
    api = (ccxt.binance if venue == SPOT else ccxt.binanceusdm)(
        {"apiKey": API_KEY, "secret": secret}
    )
    contract = venue == USDM
    markets = [
        api.safe_market_structure(
            {
                "id": symbol,
                "symbol": f"{symbol}/X:X" if contract else f"{symbol}/X",
                "base": symbol,
                "quote": "X",
                "settle": "X" if contract else None,
                "type": "swap" if contract else "spot",
                "spot": not contract,
                "swap": contract,
                "future": False,
                "option": False,
                "contract": contract,
                "linear": contract or None,
                "inverse": False if contract else None,
                "active": True,
                "precision": {"amount": 1e-8, "price": 1e-8},
                "info": {
                    "orderTypes": [*SPOT_TYPES.values(), *CONTRACT_TYPES.values(), "LIMIT_MAKER"]
                },
            }
        )
        for symbol in orders.SYMBOLS
    ]
    currencies = {
        code: {"id": code, "code": code, "precision": 1e-8, "networks": {}}
        for code in (*orders.ASSETS, *orders.SYMBOLS, "X")
    }
    api.set_markets(markets, currencies)
    api.options["recvWindow"] = None
    api.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
    api.nonce = lambda: clock["now"]

    def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> None:
        raise Sent(method, url, headers, body)

    api.fetch = fetch
    api.enableRateLimit = False
    return api


@pytest.fixture(scope="module")
def clients(clock: dict[str, int]) -> dict[tuple[str, str], Any]:
    return {(v, s): ccxt_client(v, s, clock) for v in (SPOT, USDM) for s in KEYS}


def check_against_ccxt(
    name: str, examples: int, renderer: Renderer, clients: Any, clock: dict[str, int]
) -> None:
    def comparable(parameters: dict[str, str]) -> dict[str, Any]:
        return {
            name: Decimal(value) if name in DECIMALS else value
            for name, value in parameters.items()
            if name not in CCXT_ADDS
        }

    def client_of(order: dict[str, Any], scheme: str) -> Any:
        return clients[order["venue"], scheme]

    compare(name, examples, CCXT[name], renderer, clock, client_of, comparable)


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
