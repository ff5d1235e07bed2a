"""A fake of Binance USD-M futures: orders, amends, conditional orders, cancels, queries."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.venues.binance import STATES, Action, Binance, Fields, client_id, symbol_text, terms_of
from tests.venues.fields import boolean_text, decimal_text, integer_text, text, word
from tests.venues.loopback import BookOrder, Refused, Request, text_of

NEEDS = {
    "LIMIT": ("timeInForce", "quantity", "price"),
    "MARKET": ("quantity",),
    "STOP": ("quantity", "price", "triggerPrice"),
    "TAKE_PROFIT": ("quantity", "price", "triggerPrice"),
    "STOP_MARKET": ("quantity", "triggerPrice"),
    "TAKE_PROFIT_MARKET": ("quantity", "triggerPrice"),
}
# Only limit orders, triggered or not, have these.
MARKET_NEVER = {"timeInForce", "price"}
GONE = "Unknown order sent."
ABSENT = "Order does not exist."


class BinanceUsdm(Binance):
    name = "binance_usdm"

    def wrong_tick(self) -> Refused:
        return self.refusal(-4014, "Price not increased by tick size.")

    def wrong_lot(self) -> Refused:
        return self.refusal(-4023, "Qty not increased by step size.")

    def duplicate(self) -> Refused:
        return self.refusal(-4116, "ClientOrderId is duplicated.")

    def place(self, request: Request, fields: Fields) -> dict[str, Any]:
        return self._place(request, fields, "newClientOrderId", self._row)

    def place_algo(self, request: Request, fields: Fields) -> dict[str, Any]:
        return self._place(request, fields, "clientAlgoId", self._algo)

    def _place(self, request: Request, fields: Fields, own_id: str, row: Any) -> dict[str, Any]:
        instrument = self.instrument(fields)
        never = set() if "price" in NEEDS[fields["type"]] else MARKET_NEVER
        self.check_required(fields, NEEDS[fields["type"]], never)
        if (fields.get("timeInForce") == "GTD") != ("goodTillDate" in fields):
            raise self._missing("goodTillDate")
        if "goodTillDate" in fields and int(fields["goodTillDate"]) <= self.now_ms() + 600_000:
            raise self.refusal(-5040, "The goodTillDate is invalid.")
        self.check_numbers(instrument, fields)
        own = fields.get(own_id, "")
        self.check_client_id(own)
        order = self.new_order(fields, own, triggered="triggerPrice" in fields)
        self.accept(request, "place", terms_of(fields), own, order.id)
        answer: dict[str, Any] = row(order)
        return answer

    def _row(self, order: BookOrder) -> dict[str, Any]:
        return {
            "orderId": order.number,
            "symbol": order.symbol,
            "status": STATES[order.state],
            "clientOrderId": order.client_id,
            "price": text_of(order.price or Decimal(0)),
            "avgPrice": text_of(order.average),
            "origQty": text_of(order.quantity),
            "executedQty": text_of(order.filled),
            "cumQty": text_of(order.filled),
            "cumQuote": text_of(order.filled * order.average),
            "timeInForce": order.time_in_force,
            "type": order.type,
            "reduceOnly": order.terms.get("reduceOnly") == "true",
            "closePosition": False,
            "side": order.side.upper(),
            "positionSide": order.terms.get("positionSide", "BOTH"),
            "stopPrice": "0",
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "origType": order.type,
            "priceMatch": "NONE",
            "selfTradePreventionMode": "NONE",
            "goodTillDate": int(order.terms.get("goodTillDate", 0)),
            "time": order.created_ms,
            "updateTime": order.updated_ms,
        }

    def _algo(self, order: BookOrder) -> dict[str, Any]:
        states = {"untriggered": "NEW", "cancelled": "CANCELED"}
        return {
            "algoId": order.number,
            "clientAlgoId": order.client_id,
            "algoType": "CONDITIONAL",
            "orderType": order.type,
            "symbol": order.symbol,
            "side": order.side.upper(),
            "positionSide": order.terms.get("positionSide", "BOTH"),
            "timeInForce": order.time_in_force,
            "quantity": text_of(order.quantity),
            "algoStatus": states[order.state],
            "triggerPrice": text_of(order.trigger_price or Decimal(0)),
            "price": text_of(order.price or Decimal(0)),
            "icebergQuantity": None,
            "selfTradePreventionMode": "NONE",
            "workingType": order.terms.get("workingType", "CONTRACT_PRICE"),
            "priceMatch": "NONE",
            "closePosition": False,
            "priceProtect": False,
            "reduceOnly": order.terms.get("reduceOnly") == "true",
            "createTime": order.created_ms,
            "updateTime": order.updated_ms,
            "triggerTime": 0,
            "goodTillDate": int(order.terms.get("goodTillDate", 0)),
        }

    def _find(self, fields: Fields, code: int, text: str) -> BookOrder:
        order = self.target(fields, "orderId", "origClientOrderId", code, text)
        if order.trigger_price is not None:
            raise self.refusal(code, text)  # it is kept elsewhere
        return order

    def _find_algo(self, fields: Fields, code: int, text: str) -> BookOrder:
        order = self.target(fields, "algoId", "clientAlgoId", code, text)
        if order.trigger_price is None:
            raise self.refusal(code, text)
        return order

    def amend(self, request: Request, fields: Fields) -> dict[str, Any]:
        instrument = self.instrument(fields)
        order = self._find(fields, -2013, ABSENT)
        if not order.is_live or order.side != fields["side"].lower():
            raise self.refusal(-2013, ABSENT)
        self.check_numbers(instrument, fields)
        price, quantity = Decimal(fields["price"]), Decimal(fields["quantity"])
        if (price, quantity) == (order.price, order.quantity):
            raise self.refusal(-5027, "No need to modify the order.")
        order.price, order.quantity = price, quantity
        order.amends += 1
        order.updated_ms = self.now_ms()
        self.accept(request, "amend", terms_of(fields), order.client_id, order.id)
        return self._row(order)

    def cancel_one(self, request: Request, fields: Fields) -> dict[str, Any]:
        self.instrument(fields)
        order = self._find(fields, -2011, GONE)
        if not order.is_live:
            raise self.refusal(-2011, GONE)
        self.cancel(order)
        self.accept(request, "cancel", terms_of(fields), order.client_id, order.id)
        return self._row(order)

    def cancel_algo(self, request: Request, fields: Fields) -> dict[str, Any]:
        order = self._find_algo(fields, -2011, GONE)
        if not order.is_live:
            raise self.refusal(-2011, GONE)
        self.cancel(order)
        self.accept(request, "cancel", terms_of(fields), order.client_id, order.id)
        own = {"algoId": order.number, "clientAlgoId": order.client_id}
        return {**own, "code": "200", "msg": "success"}

    def cancel_symbol(self, request: Request, fields: Fields) -> dict[str, Any]:
        self.instrument(fields)
        for order in self.live(fields["symbol"]):
            if order.trigger_price is None:
                self.cancel(order)
        self.accept(request, "cancel_all", terms_of(fields))
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def countdown(self, request: Request, fields: Fields) -> dict[str, Any]:
        self.instrument(fields)
        self.set_timer(fields["symbol"], int(fields["countdownTime"]))
        self.accept(request, "cancel_all_after", terms_of(fields))
        return {"symbol": fields["symbol"], "countdownTime": fields["countdownTime"]}

    def query_one(self, request: Request, fields: Fields) -> dict[str, Any]:
        self.instrument(fields)
        order = self._find(fields, -2013, ABSENT)
        self.accept(request, "query", terms_of(fields))
        return self._row(order)

    def query_algo(self, request: Request, fields: Fields) -> dict[str, Any]:
        order = self._find_algo(fields, -2013, ABSENT)
        self.accept(request, "query", terms_of(fields))
        return self._algo(order)

    def query_open(self, request: Request, fields: Fields) -> list[dict[str, Any]]:
        if "symbol" in fields:
            self.instrument(fields)
        self.accept(request, "query", terms_of(fields))
        return [self._row(o) for o in self.live(fields.get("symbol")) if o.trigger_price is None]

    def query_fills(self, request: Request, fields: Fields) -> list[dict[str, Any]]:
        self.instrument(fields)
        self.accept(request, "query", terms_of(fields))
        return self.trades(fields)

    def trade_words(self, order: BookOrder) -> dict[str, Any]:
        return {
            "buyer": order.side == "buy",
            "maker": order.time_in_force == "GTX",
            "side": order.side.upper(),
            "positionSide": order.terms.get("positionSide", "BOTH"),
            "realizedPnl": "0",
        }


TERMS = {
    "symbol": symbol_text,
    "side": word("BUY", "SELL"),
    "positionSide": word("BOTH", "LONG", "SHORT"),
    "timeInForce": word("GTC", "IOC", "FOK", "GTX", "GTD"),
    "quantity": decimal_text,
    "reduceOnly": boolean_text,
    "price": decimal_text,
    "newOrderRespType": word("ACK", "RESULT"),
    "selfTradePreventionMode": text,
    "goodTillDate": integer_text,
}
ORDER_ID = {"symbol": symbol_text, "orderId": integer_text, "origClientOrderId": client_id}
ALGO_ID = {"algoId": integer_text, "clientAlgoId": client_id}
PERIOD = {"startTime": integer_text, "endTime": integer_text, "limit": integer_text}
_algo_terms = TERMS | {
    "algoType": word("CONDITIONAL"),
    "type": word("STOP", "TAKE_PROFIT", "STOP_MARKET", "TAKE_PROFIT_MARKET"),
    "triggerPrice": decimal_text,
    "workingType": word("MARK_PRICE", "CONTRACT_PRICE"),
    "clientAlgoId": client_id,
}
_amend = {**ORDER_ID, "side": word("BUY", "SELL"), "quantity": decimal_text, "price": decimal_text}
_symbol = {"symbol": symbol_text}
BinanceUsdm.endpoints = {
    ("POST", "/fapi/v1/order"): Action(
        "place",
        BinanceUsdm.place,
        TERMS | {"type": word("LIMIT", "MARKET"), "newClientOrderId": client_id},
        ("symbol", "side", "type"),
    ),
    ("PUT", "/fapi/v1/order"): Action(
        "amend", BinanceUsdm.amend, _amend, ("symbol", "side", "quantity", "price")
    ),
    ("DELETE", "/fapi/v1/order"): Action("cancel", BinanceUsdm.cancel_one, ORDER_ID, ("symbol",)),
    ("GET", "/fapi/v1/order"): Action("query", BinanceUsdm.query_one, ORDER_ID, ("symbol",)),
    ("POST", "/fapi/v1/algoOrder"): Action(
        "place", BinanceUsdm.place_algo, _algo_terms, ("algoType", "symbol", "side", "type")
    ),
    ("DELETE", "/fapi/v1/algoOrder"): Action("cancel", BinanceUsdm.cancel_algo, ALGO_ID, ()),
    ("GET", "/fapi/v1/algoOrder"): Action("query", BinanceUsdm.query_algo, ALGO_ID, ()),
    ("DELETE", "/fapi/v1/allOpenOrders"): Action(
        "cancel_all", BinanceUsdm.cancel_symbol, _symbol, ("symbol",)
    ),
    ("POST", "/fapi/v1/countdownCancelAll"): Action(
        "cancel_all_after",
        BinanceUsdm.countdown,
        {**_symbol, "countdownTime": integer_text},
        ("symbol", "countdownTime"),
    ),
    ("GET", "/fapi/v1/openOrders"): Action("query", BinanceUsdm.query_open, _symbol, ()),
    ("GET", "/fapi/v1/userTrades"): Action(
        "query",
        BinanceUsdm.query_fills,
        {**_symbol, "orderId": integer_text, "fromId": integer_text, **PERIOD},
        ("symbol",),
    ),
}
