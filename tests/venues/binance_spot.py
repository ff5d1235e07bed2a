"""A fake of Binance spot and its wallet: orders, cancels, queries, withdrawals, transfers."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

from tests.venues.binance import (
    STATES,
    Action,
    Binance,
    Fields,
    client_id,
    symbol_text,
    terms_of,
)
from tests.venues.fields import address, decimal_text, integer_text, like, text, word
from tests.venues.loopback import BookOrder, Refused, Request, text_of

# What each type needs; what it does not name here it may not have.
NEEDS = {
    "LIMIT": ("timeInForce", "quantity", "price"),
    "LIMIT_MAKER": ("quantity", "price"),
    "MARKET": (),
    "STOP_LOSS": ("quantity", "stopPrice"),
    "STOP_LOSS_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
    "TAKE_PROFIT": ("quantity", "stopPrice"),
    "TAKE_PROFIT_LIMIT": ("timeInForce", "quantity", "price", "stopPrice"),
}
NUMBERS = {"timeInForce", "price", "stopPrice", "quoteOrderQty"}
WALLETS = ("MAIN", "UMFUTURE", "CMFUTURE", "MARGIN", "FUNDING", "OPTION")


class BinanceSpot(Binance):
    name = "binance_spot"

    def wrong_tick(self) -> Refused:
        return self.refusal(-1013, "Filter failure: PRICE_FILTER")

    def wrong_lot(self) -> Refused:
        return self.refusal(-1013, "Filter failure: LOT_SIZE")

    def duplicate(self) -> Refused:
        return self.refusal(-2010, "Duplicate order sent.")

    def place(self, request: Request, fields: Fields) -> dict[str, Any]:
        row = self.instrument(fields)
        needed = NEEDS[fields["type"]]
        if fields["type"] == "MARKET":
            needed = ("quoteOrderQty",) if "quoteOrderQty" in fields else ("quantity",)
            if "quoteOrderQty" in fields and "quantity" in fields:
                text = "Parameter 'quoteOrderQty' sent when not required."
                raise self.refusal(-1106, text)
        self.check_required(fields, needed, NUMBERS)
        self.check_numbers(row, fields)
        own = fields.get("newClientOrderId", "")
        self.check_client_id(own)
        order = self.new_order(fields, own, triggered="stopPrice" in fields)
        self.accept(request, "place", terms_of(fields), own, order.id)
        kind = fields.get("newOrderRespType", "FULL" if order.type in FULL else "ACK")
        answer = {
            "symbol": order.symbol,
            "orderId": order.number,
            "orderListId": -1,
            "clientOrderId": order.client_id,
            "transactTime": order.created_ms,
        }
        if kind == "ACK":
            return answer
        answer |= {**self._row(order), "workingTime": order.created_ms}
        if kind == "FULL":
            answer["fills"] = [
                {
                    "price": text_of(fill.price),
                    "qty": text_of(fill.quantity),
                    "commission": "0",
                    "commissionAsset": "USDT",
                    "tradeId": fill.number,
                }
                for fill in self.fills
                if fill.order is order
            ]
        return answer

    def _row(self, order: BookOrder) -> dict[str, Any]:
        row = {
            "symbol": order.symbol,
            "orderId": order.number,
            "orderListId": -1,
            "clientOrderId": order.client_id,
            "price": text_of(order.price or Decimal(0)),
            "origQty": text_of(order.quantity),
            "executedQty": text_of(order.filled),
            "origQuoteOrderQty": order.terms.get("quoteOrderQty", "0"),
            "cummulativeQuoteQty": text_of(order.filled * order.average),
            "status": STATES[order.state],
            "timeInForce": order.time_in_force,
            "type": order.type,
            "side": order.side.upper(),
            "selfTradePreventionMode": "NONE",
        }
        if order.trigger_price is not None:
            row["stopPrice"] = text_of(order.trigger_price)
        return row

    def _known(self, order: BookOrder) -> dict[str, Any]:
        return self._row(order) | {
            "stopPrice": text_of(order.trigger_price or Decimal(0)),
            "icebergQty": "0",
            "time": order.created_ms,
            "updateTime": order.updated_ms,
            "isWorking": order.state != "untriggered",
            "workingTime": order.created_ms,
        }

    def _cancelled(self, order: BookOrder) -> dict[str, Any]:
        self.cancel(order)
        return self._row(order) | {
            "origClientOrderId": order.client_id,
            "clientOrderId": f"cancel-{order.number}",
            "transactTime": order.updated_ms,
        }

    def cancel_one(self, request: Request, fields: Fields) -> dict[str, Any]:
        self.instrument(fields)
        args = (fields, "orderId", "origClientOrderId", -2011, "Unknown order sent.")
        order = self.target(*args)
        if not order.is_live:
            raise self.refusal(-2011, "Unknown order sent.")
        self.accept(request, "cancel", terms_of(fields), order.client_id, order.id)
        return self._cancelled(order)

    def cancel_symbol(self, request: Request, fields: Fields) -> list[dict[str, Any]]:
        self.instrument(fields)
        live = self.live(fields["symbol"])
        if not live:
            raise self.refusal(-2011, "Unknown order sent.")
        self.accept(request, "cancel_all", terms_of(fields))
        return [self._cancelled(order) for order in live]

    def query_one(self, request: Request, fields: Fields) -> dict[str, Any]:
        self.instrument(fields)
        args = (fields, "orderId", "origClientOrderId", -2013, "Order does not exist.")
        order = self.target(*args)
        self.accept(request, "query", terms_of(fields))
        return self._known(order)

    def query_open(self, request: Request, fields: Fields) -> list[dict[str, Any]]:
        if "symbol" in fields:
            self.instrument(fields)
        self.accept(request, "query", terms_of(fields))
        return [self._known(order) for order in self.live(fields.get("symbol"))]

    def query_fills(self, request: Request, fields: Fields) -> list[dict[str, Any]]:
        self.instrument(fields)
        self.accept(request, "query", terms_of(fields))
        return self.trades(fields)

    def trade_words(self, order: BookOrder) -> dict[str, Any]:
        maker = order.type == "LIMIT_MAKER"
        return {
            "orderListId": -1,
            "isBuyer": order.side == "buy",
            "isMaker": maker,
            "isBestMatch": True,
        }

    def withdraw(self, request: Request, fields: Fields) -> dict[str, Any]:
        if not self.debit(fields["coin"], Decimal(fields["amount"])):
            raise self.refusal(-4026, "You have insufficient balance.")
        own = fields.get("withdrawOrderId", "")
        if own and any(e.action == "withdraw" and e.client_id == own for e in self.log):
            self.duplicates["client id"] += 1  # the documents do not promise that it is refused
        self.accept(request, "withdraw", terms_of(fields), own)
        return {"id": hashlib.sha256(request.digest.encode()).hexdigest()[:32]}

    def transfer(self, request: Request, fields: Fields) -> dict[str, Any]:
        if not self.debit(fields["asset"], Decimal(fields["amount"])):
            raise self.refusal(-8012, "You have insufficient balance.")
        self.accept(request, "transfer", terms_of(fields))
        return {"tranId": 13526853623 + len(self.log)}


FULL = ("LIMIT", "MARKET")
ORDER_ID = {"symbol": symbol_text, "orderId": integer_text, "origClientOrderId": client_id}
PERIOD = {"startTime": integer_text, "endTime": integer_text, "limit": integer_text}
_one = {**ORDER_ID, "newClientOrderId": client_id, "cancelRestrictions": text}
BinanceSpot.endpoints = {
    ("POST", "/api/v3/order"): Action(
        "place",
        BinanceSpot.place,
        {
            "symbol": symbol_text,
            "side": word("BUY", "SELL"),
            "type": word(*NEEDS),
            "timeInForce": word("GTC", "IOC", "FOK"),
            "quantity": decimal_text,
            "quoteOrderQty": decimal_text,
            "price": decimal_text,
            "newClientOrderId": client_id,
            "stopPrice": decimal_text,
            "newOrderRespType": word("ACK", "RESULT", "FULL"),
            "selfTradePreventionMode": text,
        },
        ("symbol", "side", "type"),
    ),
    ("DELETE", "/api/v3/order"): Action("cancel", BinanceSpot.cancel_one, _one, ("symbol",)),
    ("GET", "/api/v3/order"): Action("query", BinanceSpot.query_one, ORDER_ID, ("symbol",)),
    ("DELETE", "/api/v3/openOrders"): Action(
        "cancel_all", BinanceSpot.cancel_symbol, {"symbol": symbol_text}, ("symbol",)
    ),
    ("GET", "/api/v3/openOrders"): Action(
        "query", BinanceSpot.query_open, {"symbol": symbol_text}, ()
    ),
    ("GET", "/api/v3/myTrades"): Action(
        "query",
        BinanceSpot.query_fills,
        {"symbol": symbol_text, "orderId": integer_text, "fromId": integer_text, **PERIOD},
        ("symbol",),
    ),
    ("POST", "/sapi/v1/capital/withdraw/apply"): Action(
        "withdraw",
        BinanceSpot.withdraw,
        {
            "coin": like(r"[A-Z0-9]{1,20}"),
            "withdrawOrderId": client_id,
            "network": like(r"[A-Z0-9]{1,20}"),
            "address": address,
            "addressTag": text,
            "amount": decimal_text,
            "walletType": word("0", "1"),
        },
        ("coin", "address", "amount"),
    ),
    ("POST", "/sapi/v1/asset/transfer"): Action(
        "transfer",
        BinanceSpot.transfer,
        {
            "type": word(*(f"{a}_{b}" for a in WALLETS for b in WALLETS if a != b)),
            "asset": like(r"[A-Z0-9]{1,20}"),
            "amount": decimal_text,
        },
        ("type", "asset", "amount"),
    ),
}
