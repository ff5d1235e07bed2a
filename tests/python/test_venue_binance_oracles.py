"""Binance's own libraries as live oracles: what would they send for the same order?

Goal: for random orders, with each field present, absent and varied, our method, host, path, key
header and set of parameters are those of the venue's own library, and the signature over our own
bytes is right. Method: their HTTP layer is replaced, so that nothing leaves the machine; our
bytes come from the core's C interface; signatures are computed here with hmac and cryptography.
`make test` draws 50 orders per venue and action, `make check` 500.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import binance_common.utils
import binance_orders as orders
import pytest
import requests
from binance_common.configuration import ConfigurationRestAPI
from binance_orders import SPOT, USDM
from binance_sdk_derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from binance_sdk_spot import Spot
from binance_sdk_wallet import Wallet
from venue_core import Renderer
from venue_oracle import (
    API_KEY,
    CONTRACT_TYPES,
    KEYS,
    PEM,
    SECRET,
    SPOT_TYPES,
    WALLETS,
    Case,
    Sent,
    compare,
    given_fields,
    time_in_force,
)

from sentinel.order import OrderType


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.fixture(scope="module")
def clock() -> dict[str, int]:
    """The time that the libraries see, in milliseconds."""
    return {"now": 0}


@pytest.fixture(scope="module", autouse=True)
def caught(clock: dict[str, int]) -> Iterator[None]:
    """Requests end in `Sent`; the official libraries read `clock`."""

    def send(self: Any, method: str, url: str, **rest: Any) -> None:
        request = requests.Request(method, url, rest["headers"], params=rest["params"]).prepare()
        raise Sent(method, str(request.url), request.headers, rest.get("data"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "request", send)
        patch.setattr(binance_common.utils, "get_timestamp", lambda: clock["now"])
        yield


# The official libraries: the neutral order in their words, which this file has on its own.


def sdk_place_spot(api: Any, order: dict[str, Any]) -> Any:
    maker = order.get("tif") == "post_only"
    return api.new_order(
        **given_fields(
            symbol=order["symbol"],
            side=order["side"].upper(),
            type="LIMIT_MAKER" if maker else SPOT_TYPES[order["type"]],
            time_in_force=None if maker else time_in_force(order),
            quantity=order.get("qty"),
            quote_order_qty=order.get("quote_qty"),
            price=order.get("price"),
            new_client_order_id=order["client_order_id"],
            stop_price=order.get("stop_price"),
            recv_window=order["recv_window"],
        )
    )


def sdk_place_usdm(api: Any, order: dict[str, Any]) -> Any:
    algo = order.get("stop_price") is not None
    reduce_only = {True: "true", False: "false", None: None}[order["reduce_only"]]
    position_side = order["position_side"]
    fields = given_fields(
        symbol=order["symbol"],
        side=order["side"].upper(),
        type=CONTRACT_TYPES[order["type"]],
        position_side=position_side and position_side.upper(),
        time_in_force=time_in_force(order),
        reduce_only=reduce_only,
        quantity=order["qty"],
        price=order.get("price"),
        good_till_date=order.get("expire_ms"),
        recv_window=order["recv_window"],
    )
    name = order["client_order_id"]
    if not algo:
        return api.new_order(**fields, **given_fields(new_client_order_id=name))
    working = {"last": "CONTRACT_PRICE", "mark": "MARK_PRICE", None: None}[order["trigger_by"]]
    return api.new_algo_order(
        algo_type="CONDITIONAL",
        trigger_price=order["stop_price"],
        **fields,
        **given_fields(client_algo_id=name, working_type=working),
    )


def sdk_by_id(spot_name: str, usdm_name: str) -> Callable[[Any, dict[str, Any]], Any]:
    def call(api: Any, order: dict[str, Any]) -> Any:
        method = getattr(api, spot_name if order["venue"] == SPOT else usdm_name)
        return method(
            **given_fields(
                symbol=order["symbol"],
                order_id=order.get("order_id"),
                orig_client_order_id=order.get("client_order_id"),
                recv_window=order["recv_window"],
            )
        )

    return call


def sdk_by_symbol(spot_name: str, usdm_name: str) -> Callable[[Any, dict[str, Any]], Any]:
    def call(api: Any, order: dict[str, Any]) -> Any:
        method = getattr(api, spot_name if order["venue"] == SPOT else usdm_name)
        return method(
            **given_fields(
                symbol=order["symbol"],
                start_time=order.get("start_ms"),
                end_time=order.get("end_ms"),
                limit=order.get("limit"),
                recv_window=order["recv_window"],
            )
        )

    return call


def sdk_countdown(api: Any, order: dict[str, Any]) -> Any:
    return api.auto_cancel_all_open_orders(
        **given_fields(
            symbol=order["symbol"],
            countdown_time=int(order["timeout_s"]) * 1000,
            recv_window=order["recv_window"],
        )
    )


def sdk_withdraw(api: Any, order: dict[str, Any]) -> Any:
    return api.withdraw(
        **given_fields(
            coin=order["asset"],
            address=order["address"],
            amount=order["amount"],
            withdraw_order_id=order["client_order_id"],
            network=order["network"],
            address_tag=order["memo"],
            wallet_type={"spot": 0, "funding": 1, None: None}[order["from_account"]],
            recv_window=order["recv_window"],
        )
    )


def sdk_transfer(api: Any, order: dict[str, Any]) -> Any:
    pair = f"{WALLETS[order['from_account']]}_{WALLETS[order['to_account']]}"
    return api.user_universal_transfer(
        **given_fields(
            type=pair,
            asset=order["asset"],
            amount=order["amount"],
            recv_window=order["recv_window"],
        )
    )


def sdk_amend(api: Any, order: dict[str, Any]) -> Any:
    return api.modify_order(
        **given_fields(
            symbol=order["symbol"],
            side=order["side"].upper(),
            quantity=order["qty"],
            price=order["price"],
            order_id=order.get("order_id"),
            orig_client_order_id=order.get("client_order_id"),
            reduce_only={True: "true", False: "false", None: None}[order["reduce_only"]],
            recv_window=order["recv_window"],
        )
    )


def sdk_by_algo_id(method: str) -> Callable[[Any, dict[str, Any]], Any]:
    """Triggered USD-M orders live apart, under ids of their own and without a symbol."""
    return lambda api, order: getattr(api, method)(
        **given_fields(
            algo_id=order.get("order_id"),
            client_algo_id=order.get("client_order_id"),
            recv_window=order["recv_window"],
        )
    )


def sdk_cases(venue: str) -> dict[str, Case]:
    place = sdk_place_spot if venue == SPOT else sdk_place_usdm
    return {
        "place": Case(orders.place_strategy(venue, False), place),
        "place_triggered": Case(orders.place_strategy(venue, True), place),
        "cancel": Case(orders.by_id(venue, "cancel"), sdk_by_id("delete_order", "cancel_order")),
        "query": Case(orders.by_id(venue, "query"), sdk_by_id("get_order", "query_order")),
        "cancel_all": Case(
            orders.cancel_all(venue), sdk_by_symbol("delete_open_orders", "cancel_all_open_orders")
        ),
        "open_orders": Case(
            orders.open_orders(venue), sdk_by_symbol("get_open_orders", "current_all_open_orders")
        ),
        "fills": Case(orders.fills(venue), sdk_by_symbol("my_trades", "account_trade_list")),
    }


SDK = {
    **{
        f"{venue}-{name}": case for venue in (SPOT, USDM) for name, case in sdk_cases(venue).items()
    },
    f"{SPOT}-withdraw": Case(orders.withdraw(), sdk_withdraw),
    f"{SPOT}-transfer": Case(orders.transfer(), sdk_transfer),
    f"{USDM}-amend": Case(orders.amend(), sdk_amend),
    f"{USDM}-cancel_all_after": Case(orders.cancel_all_after(USDM), sdk_countdown),
    f"{USDM}-cancel_triggered": Case(
        orders.by_id(USDM, "cancel"), sdk_by_algo_id("cancel_algo_order"), OrderType.STOP_MARKET
    ),
    f"{USDM}-query_triggered": Case(
        orders.by_id(USDM, "query"), sdk_by_algo_id("query_algo_order"), OrderType.STOP_LIMIT
    ),
}


@pytest.fixture(scope="module")
def sdk() -> dict[tuple[str, str], Any]:
    """The libraries' clients, by our venue ("wallet" beside it) and scheme."""
    clients: dict[tuple[str, str], Any] = {}
    for scheme in KEYS:
        secret = {"api_secret": SECRET} if scheme == "HMAC-SHA256" else {"private_key": PEM}
        for name, library in (
            (SPOT, Spot),
            (USDM, DerivativesTradingUsdsFutures),
            ("wallet", Wallet),
        ):
            configuration = ConfigurationRestAPI(api_key=API_KEY, **secret)
            clients[name, scheme] = library(config_rest_api=configuration).rest_api
    return clients


def check_against_sdk(
    name: str, examples: int, renderer: Renderer, sdk: Any, clock: dict[str, int]
) -> None:
    def client_of(order: dict[str, Any], scheme: str) -> Any:
        wallet = order["action"] in ("withdraw", "transfer")
        return sdk["wallet" if wallet else order["venue"], scheme]

    compare(name, examples, SDK[name], renderer, clock, client_of, dict)


@pytest.mark.parametrize("name", SDK)
def test_sends_what_the_official_library_sends(
    renderer: Renderer, sdk: Any, clock: dict[str, int], name: str
) -> None:
    check_against_sdk(name, 50, renderer, sdk, clock)


@pytest.mark.long
@pytest.mark.parametrize("name", SDK)
def test_sends_what_the_official_library_sends_500_times(
    renderer: Renderer, sdk: Any, clock: dict[str, int], name: str
) -> None:
    check_against_sdk(name, 500, renderer, sdk, clock)
