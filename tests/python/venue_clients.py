"""Clients that we did not write, aimed at the loopback venues: ccxt and the venues' own libraries.

Each is a function that makes, for one venue and one set of secrets, a way to place a limit buy and
a way to cancel it by client id. What they raise is not looked at: the venue's book and counters say
what happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ccxt
import pybit.unified_trading
from binance_common.configuration import ConfigurationRestAPI
from binance_sdk_derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from binance_sdk_spot import Spot
from eth_account import Account as EthAccount
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid
from okx.Trade import TradeAPI
from venue_fakes import ACCOUNT, API_KEY, PASSPHRASE

from tests.venues.loopback import LoopbackVenue

CCXT_BUILDER = "0x6530512a6c89c7cfcebc3ba7fcd9ada5f30827a6"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit buy in the venue's words."""

    symbol: str
    quantity: str
    price: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Client:
    place: Callable[[Limit], Any]
    cancel: Callable[[Limit], Any]
    close: Callable[[], Any]


def ccxt_client(venue: LoopbackVenue, secret: Any) -> Client:
    """ccxt with the venue's URLs, knowing any symbol and rounding nothing."""
    names = {"binance_spot": "binance", "binance_usdm": "binanceusdm"}
    api = getattr(ccxt, names.get(venue.name, venue.name))(
        {"apiKey": API_KEY, "secret": secret, "password": PASSPHRASE, "enableRateLimit": False}
    )
    if venue.name == "hyperliquid":
        api.privateKey, api.walletAddress = "0x" + secret.hex(), ACCOUNT
        api.options |= {"builderFee": False, "sandboxMode": True, "approvedBuilderFee": True}
        api.options["builder"] = CCXT_BUILDER
        api.initialize_client = lambda *_: True
        # Its rounding would hide from the venue what the venue must refuse.
        api.price_to_precision = lambda symbol, price: api.number_to_string(price)
        api.amount_to_precision = lambda symbol, amount: api.number_to_string(amount)
    if venue.name == "bybit":
        api.options |= {"enableUnifiedMargin": False, "enableUnifiedAccount": True}
    if venue.name == "okx":
        api.options["createOrder"] = "privatePostTradeOrder"
        api.options["cancelOrder"] = "privatePostTradeCancelOrder"
    urls = api.urls["api"]
    api.urls["api"] = {name: _aim(url, venue.url, api) for name, url in urls.items()}
    contract = venue.name in ("binance_usdm", "deribit", "hyperliquid", "bybit")

    def market(symbol: str) -> str:
        unified = f"{symbol}/X:X" if contract else f"{symbol}/X"
        row = venue.instruments.get(symbol)
        made = {
            "id": symbol,
            "symbol": unified,
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
            "contractSize": 1 if contract else None,
            "baseId": str(row.index) if row else "99",
            "precision": {"amount": 1e-8, "price": 1e-8},
            "info": {"orderTypes": ["LIMIT"]},
        }
        api.set_markets([api.safe_market_structure(made)], {})
        return unified

    def place(order: Limit) -> Any:
        own = {"deribit": "label"}.get(venue.name, "clientOrderId")
        quantity, price = order.quantity, order.price
        if venue.name in ("deribit", "hyperliquid"):
            quantity, price = float(quantity), float(price)  # type: ignore[assignment]
        return api.create_order(
            market(order.symbol), "limit", "buy", quantity, price, {own: order.client_id}
        )

    def cancel(order: Limit) -> Any:
        own = {"clientOrderId": order.client_id}
        if venue.name == "bybit":
            own = {"orderLinkId": order.client_id}
        if venue.name == "deribit":
            return api.cancel_order(venue.orders[-1].id, market(order.symbol))
        return api.cancel_order(None, market(order.symbol), own)

    return Client(place, cancel, api.session.close)


def _aim(url: Any, base: str, api: Any) -> str:
    """The same path at our host."""
    path = str(url).partition("://")[2].partition("/")[2]
    return f"{base}/{path}" if path else base


def binance_client(venue: LoopbackVenue, secret: Any) -> Client:
    """Binance's own libraries; `secret` is an HMAC secret or the PEM of an Ed25519 key."""
    usdm = venue.name == "binance_usdm"
    options: dict[str, Any] = {"api_key": API_KEY, "api_secret": secret}
    if isinstance(secret, tuple):
        options = {"api_key": secret[0], "private_key": secret[1]}
    configuration = ConfigurationRestAPI(base_path=venue.url, retries=0, **options)
    library = DerivativesTradingUsdsFutures if usdm else Spot
    api = library(config_rest_api=configuration).rest_api
    cancel_order = api.cancel_order if usdm else api.delete_order

    def place(order: Limit) -> Any:
        return api.new_order(
            symbol=order.symbol,
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            quantity=order.quantity,
            price=order.price,
            new_client_order_id=order.client_id,
        )

    def cancel(order: Limit) -> Any:
        return cancel_order(symbol=order.symbol, orig_client_order_id=order.client_id)

    return Client(place, cancel, api._session.close)


def pybit_client(venue: LoopbackVenue, secret: Any) -> Client:
    api = pybit.unified_trading.HTTP(api_key=API_KEY, api_secret=secret, max_retries=1)
    api.endpoint = venue.url
    api.retry_codes = {0}  # none that the venue says when it refuses

    def place(order: Limit) -> Any:
        return api.place_order(
            category="linear",
            symbol=order.symbol,
            side="Buy",
            orderType="Limit",
            qty=order.quantity,
            price=order.price,
            timeInForce="GTC",
            orderLinkId=order.client_id,
        )

    def cancel(order: Limit) -> Any:
        return api.cancel_order(category="linear", symbol=order.symbol, orderLinkId=order.client_id)

    return Client(place, cancel, api.client.close)


def python_okx_client(venue: LoopbackVenue, secret: Any) -> Client:
    api = TradeAPI(API_KEY, secret, PASSPHRASE, flag="1", domain=venue.url)

    def place(order: Limit) -> Any:
        return api.place_order(
            instId=order.symbol,
            tdMode="cash",
            side="buy",
            ordType="limit",
            px=order.price,
            sz=order.quantity,
            clOrdId=order.client_id,
        )

    def cancel(order: Limit) -> Any:
        return api.cancel_order(instId=order.symbol, clOrdId=order.client_id)

    return Client(place, cancel, api.close)


def hyperliquid_client(venue: LoopbackVenue, secret: Any) -> Client:
    """The venue's own SDK; its listing is ours, so that it asks for none."""
    rows = sorted(venue.instruments.values(), key=lambda row: row.index)
    meta = {"universe": [{"name": r.symbol, "szDecimals": r.size_decimals} for r in rows]}
    meta["universe"].append({"name": "NONE", "szDecimals": 4})
    wallet = EthAccount.from_key(secret)
    api = Exchange(
        wallet,
        base_url=venue.url,
        meta=meta,
        account_address=ACCOUNT,
        spot_meta={"universe": [], "tokens": []},
    )
    assert isinstance(api.info, Info)

    def place(order: Limit) -> Any:
        return api.order(
            order.symbol,
            True,
            float(order.quantity),
            float(order.price),
            {"limit": {"tif": "Gtc"}},
            cloid=Cloid.from_str(order.client_id),
        )

    def cancel(order: Limit) -> Any:
        return api.cancel_by_cloid(order.symbol, Cloid.from_str(order.client_id))

    def close() -> None:
        api.session.close()
        api.info.session.close()

    return Client(place, cancel, close)


CLIENTS: dict[str, Callable[[LoopbackVenue, Any], Client]] = {
    "binance_spot-ccxt": ccxt_client,
    "binance_spot-binance-sdk": binance_client,
    "binance_usdm-ccxt": ccxt_client,
    "binance_usdm-binance-sdk": binance_client,
    "bybit-ccxt": ccxt_client,
    "bybit-pybit": pybit_client,
    "okx-ccxt": ccxt_client,
    "okx-python-okx": python_okx_client,
    "deribit-ccxt": ccxt_client,
    "hyperliquid-ccxt": ccxt_client,
    "hyperliquid-sdk": hyperliquid_client,
}
