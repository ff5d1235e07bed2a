"""A fake of Bybit v5: orders of four categories, amends, cancels, queries, withdrawals, transfers.

Facts: the venue's v5 documents (guide, order, asset, error). The HTTP status is 200 for nearly
everything; `retCode` says what happened.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.venues.fields import (
    Check,
    address,
    boolean,
    decimal_text,
    first_wrong,
    integer,
    integer_text,
    like,
    text,
    word,
)
from tests.venues.loopback import (
    Answer,
    BookOrder,
    Instrument,
    LoopbackVenue,
    Refused,
    Request,
    is_multiple,
    load_object,
    pairs,
    text_of,
)

RECV_WINDOW_MS = 5_000
AHEAD_MS_MAX = 1_000
Fields = dict[str, Any]

category = word("spot", "linear", "inverse", "option")
symbol = like(r"[A-Z0-9-]{1,40}")
coin = like(r"[A-Z0-9]{1,20}")
link_id = like(r"[A-Za-z0-9_-]{1,36}")
request_id = like(r"[A-Za-z0-9]{1,32}")
transfer_id = like(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
account = word("UNIFIED", "FUND", "SPOT", "CONTRACT", "OPTION")
STATES = {
    "open": "New",
    "untriggered": "Untriggered",
    "filled": "Filled",
    "cancelled": "Cancelled",
}


class Bybit(LoopbackVenue):
    name = "bybit"
    # "After a server release or restart, filled, cancelled, and rejected orders of Unified account
    # should only be queried through order history" (order/open-order).
    has_restarted = False

    def wrap(self, code: int, message: str, result: object, status: int = 200) -> Answer:
        body = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}}
        return Answer({**body, "time": self.now_ms()}, status)

    def refusal(self, code: int, message: str, status: int = 200) -> Refused:
        return Refused(str(code), self.wrap(code, message, {}, status))

    def rate_limited(self) -> Answer:
        answer = self.wrap(10006, "Too many visits. Exceeded the API Rate Limit.", {}, 429)
        reset = ("X-Bapi-Limit-Reset-Timestamp", str(self.now_ms() + 1000))
        return Answer(answer.body, 429, (("Retry-After", "1"), reset))

    # From bytes to checked fields.

    def handle(self, request: Request) -> Answer:
        endpoint = ENDPOINTS.get((request.method, request.path))
        if endpoint is None:
            raise Refused("404", Answer("<html><body>404 page not found</body></html>", 404))
        answer, table, required = endpoint
        self._authenticate(request)
        if request.method == "GET":
            both = pairs(request.query)
            fields: Fields | None = dict(both) if len(dict(both)) == len(both) else None
        else:
            typed = request.headers.get("content-type", "").startswith("application/json")
            fields = load_object(request.body) if typed and not request.query else None
        if fields is None:
            raise self.refusal(10001, "Request parameter error.")
        wrong = first_wrong(fields, table, required)
        if wrong is not None:
            kind, name = wrong
            raise self.refusal(10001, f"params error: {kind} parameter {name}")
        return self.wrap(0, "OK", answer(self, request, fields))

    def _authenticate(self, request: Request) -> None:
        headers = request.headers
        given = headers.get("x-bapi-api-key", "")
        key = self.keys.get(given)
        if key is None:
            raise self.refusal(10003, "API key is invalid.")
        then_text = headers.get("x-bapi-timestamp", "")
        window_text = headers.get("x-bapi-recv-window", str(RECV_WINDOW_MS))
        if not integer_text(then_text) or not integer_text(window_text):
            raise self.refusal(10001, "params error: timestamp or recv_window")
        now, then, window = self.now_ms(), int(then_text), int(window_text)
        if not now - window <= then < now + AHEAD_MS_MAX:
            raise self.refusal(
                10002,
                "invalid request, please check your server timestamp or recv_window param. "
                f"req_timestamp[{then}],server_timestamp[{now}],recv_window[{window}]",
            )
        sent = request.query.encode() if request.method == "GET" else request.body
        origin = f"{then_text}{given}{headers.get('x-bapi-recv-window', '')}".encode() + sent
        digest = hmac.digest(key.hmac_secret, origin, hashlib.sha256).hex()
        if not hmac.compare_digest(digest, headers.get("x-bapi-sign", "")):
            shown = origin.decode("ascii", "replace")
            raise self.refusal(10004, f"error sign! origin_string[{shown}]")
        if request.path == "/v5/asset/withdraw/create" and not key.may_withdraw:
            raise self.refusal(10005, "Permission denied, please check your API key permissions.")

    # Orders.

    def _instrument(self, fields: Fields) -> Instrument:
        row = self.instruments.get(fields["symbol"])
        if row is None or row.category != fields["category"]:
            spot = fields["category"] == "spot"
            code, message = (170121, "Invalid symbol.") if spot else (10001, "symbol invalid")
            raise self.refusal(code, message)
        return row

    def _check_numbers(self, row: Instrument, fields: Fields) -> None:
        spot = row.category == "spot"
        for name in ("price", "triggerPrice"):
            if name in fields:
                value = Decimal(fields[name])
                if value <= 0 or not is_multiple(value, row.tick):
                    long = "Order price has too many decimals."
                    raise self.refusal(*((170134, long) if spot else (10001, "Price invalid")))
        if "qty" in fields:
            step = row.lot if fields.get("marketUnit") != "quoteCoin" else Decimal("0.00000001")
            value = Decimal(fields["qty"])
            if value <= 0 or not is_multiple(value, step):
                long = "Order quantity has too many decimals."
                raise self.refusal(*((170137, long) if spot else (10001, "Qty invalid")))

    def place(self, request: Request, fields: Fields) -> Fields:
        row = self._instrument(fields)
        kind = fields["category"]
        limit = fields["orderType"] == "Limit"
        spot_only = {"isLeverage", "marketUnit"} & set(fields)
        contract_only = {"positionIdx", "closeOnTrigger", "triggerDirection"} & set(fields)
        if (
            limit != ("price" in fields)
            or (spot_only and kind != "spot")
            or (contract_only and kind == "spot")
            or (kind == "option" and "orderLinkId" not in fields)
            or (kind == "option" and "triggerPrice" in fields)
            or ("triggerPrice" in fields and kind in ("linear", "inverse"))
            != ("triggerDirection" in fields)
        ):
            raise self.refusal(10001, "Request parameter error.")
        if fields.get("marketUnit") == "quoteCoin" and limit:
            raise self.refusal(10001, "Request parameter error.")
        self._check_numbers(row, fields)
        own = fields.get("orderLinkId", "")
        if own and own in self.by_client_id:
            self.duplicates["client id"] += 1
            spot = kind == "spot"
            twice = (170141, "Duplicate clientOrderId.") if spot else (110072, DUPLICATE)
            raise self.refusal(*twice)
        order = self._new(fields, own)
        self.accept(request, "place", terms_of(fields), own, order.id)
        return {"orderId": order.id, "orderLinkId": own}

    def _new(self, fields: Fields, own: str) -> BookOrder:
        number = len(self.orders) + 1
        identity = str(uuid.UUID(int=number << 64 | number))
        quantity = Decimal(fields["qty"])
        if fields.get("marketUnit") == "quoteCoin":
            quantity /= self.marks[fields["symbol"]]
        now = self.now_ms()
        price, trigger = fields.get("price"), fields.get("triggerPrice")
        limit = fields["orderType"] == "Limit"
        order = BookOrder(
            number,
            identity,
            own,
            fields["symbol"],
            fields["side"].lower(),
            fields["orderType"],
            fields.get("timeInForce", "GTC") if limit else "IOC",
            quantity,
            Decimal(price) if price else None,
            Decimal(trigger) if trigger else None,
            now,
            now,
            terms=dict(fields),
        )
        self.enter(order)
        if trigger:
            order.state = "untriggered"
        elif order.time_in_force in ("IOC", "FOK"):
            self.fill(order)
        return order

    def _target(self, fields: Fields) -> BookOrder:
        """The order that is meant; the venue's own id goes before the client's."""
        if "orderId" not in fields and "orderLinkId" not in fields:
            raise self.refusal(10001, "params error: orderId or orderLinkId is required")
        if "orderId" in fields:
            order = self.by_id.get(fields["orderId"])
        else:
            order = self.by_client_id.get(fields["orderLinkId"])
        spot = fields["category"] == "spot"
        if order is None or order.symbol != fields["symbol"] or not order.is_live:
            absent = "Order does not exist."
            late = "order not exists or too late to cancel"
            raise self.refusal(*((170213, absent) if spot else (110001, late)))
        return order

    def amend(self, request: Request, fields: Fields) -> Fields:
        row = self._instrument(fields)
        order = self._target(fields)
        self._check_numbers(row, fields)
        if "triggerPrice" in fields and order.trigger_price is None:
            raise self.refusal(10001, "Request parameter error.")
        if "price" in fields and order.price is None:
            raise self.refusal(10001, "Request parameter error.")
        before = (order.quantity, order.price, order.trigger_price)
        quantity = Decimal(fields.get("qty", order.quantity))
        price = Decimal(fields["price"]) if "price" in fields else order.price
        trigger = fields.get("triggerPrice")
        after = (quantity, price, Decimal(trigger) if trigger else order.trigger_price)
        if after == before:
            raise self.refusal(10001, "The order remains unchanged as the parameters entered match "
                                      "the existing ones.")  # fmt: skip
        order.quantity, order.price, order.trigger_price = after
        order.amends += 1
        order.updated_ms = self.now_ms()
        self.accept(request, "amend", terms_of(fields), order.client_id, order.id)
        return {"orderId": order.id, "orderLinkId": order.client_id}

    def cancel_one(self, request: Request, fields: Fields) -> Fields:
        self._instrument(fields)
        order = self._target(fields)
        # Spot keeps conditional orders apart, and looks for them only when told to.
        asked = fields.get("orderFilter") in ("StopOrder", "tpslOrder")
        if fields["category"] == "spot" and asked != (order.trigger_price is not None):
            raise self.refusal(170213, "Order does not exist.")
        self.cancel(order)
        self.accept(request, "cancel", terms_of(fields), order.client_id, order.id)
        return {"orderId": order.id, "orderLinkId": order.client_id}

    def cancel_all(self, request: Request, fields: Fields) -> Fields:
        kind = fields["category"]
        scoped = {"symbol", "baseCoin", "settleCoin"} & set(fields)
        if kind in ("linear", "inverse") and not scoped:
            raise self.refusal(10001, "params error: symbol, baseCoin or settleCoin is required")
        if "symbol" in fields:
            self._instrument(fields)
        done = []
        for order in self.live(fields.get("symbol")):
            row = self.instruments[order.symbol]
            coins = fields.get("settleCoin", ""), fields.get("baseCoin", "")
            if row.category == kind and all(word in order.symbol for word in coins):
                self.cancel(order)
                done.append({"orderId": order.id, "orderLinkId": order.client_id})
        self.accept(request, "cancel_all", terms_of(fields))
        return {"list": done, "success": "1"}

    def query(self, request: Request, fields: Fields) -> Fields:
        """By id whatever its state is; else the open ones (`openOnly`, the page's first lines)."""
        named = fields.get("orderId") or fields.get("orderLinkId")
        kind = fields["category"]
        shows_closed = named or fields.get("openOnly") == "1"
        scoped = {"symbol", "baseCoin", "settleCoin", "orderId", "orderLinkId"} & set(fields)
        if kind == "linear" and not scoped:
            raise self.refusal(10001, "params error: symbol, baseCoin or settleCoin is required")
        if "symbol" in fields:
            self._instrument(fields)
        found = [
            order
            for order in reversed(self.orders)
            if self.instruments[order.symbol].category == kind
            and fields.get("symbol", order.symbol) == order.symbol
            and fields.get("orderId", order.id) == order.id
            and fields.get("orderLinkId", order.client_id) == order.client_id
            and (order.is_live or (shows_closed and not self.has_restarted))
        ]
        self.accept(request, "query", terms_of(fields))
        rows = [self._row(order) for order in found[: int(fields.get("limit", "20"))]]
        return {"list": rows, "nextPageCursor": "", "category": kind}

    def _row(self, order: BookOrder) -> Fields:
        left = order.quantity - order.filled if order.is_live else Decimal(0)
        return {
            "orderId": order.id,
            "orderLinkId": order.client_id,
            "blockTradeId": "",
            "symbol": order.symbol,
            "price": text_of(order.price or Decimal(0)),
            "qty": text_of(order.quantity),
            "side": order.side.title(),
            "isLeverage": "",
            "positionIdx": order.terms.get("positionIdx", 0),
            "orderStatus": STATES[order.state],
            "cancelType": "CancelByUser" if order.state == "cancelled" else "UNKNOWN",
            "rejectReason": "EC_NoError",
            "avgPrice": text_of(order.average) if order.filled else "",
            "leavesQty": text_of(left),
            "leavesValue": text_of(left * (order.price or Decimal(0))),
            "cumExecQty": text_of(order.filled),
            "cumExecValue": text_of(order.filled * order.average),
            "cumExecFee": "0",
            "timeInForce": order.time_in_force,
            "orderType": order.type,
            "stopOrderType": "Stop" if order.trigger_price else "",
            "triggerPrice": text_of(order.trigger_price) if order.trigger_price else "",
            "triggerDirection": order.terms.get("triggerDirection", 0),
            "reduceOnly": order.terms.get("reduceOnly", False),
            "closeOnTrigger": order.terms.get("closeOnTrigger", False),
            "createdTime": str(order.created_ms),
            "updatedTime": str(order.updated_ms),
        }

    def executions(self, request: Request, fields: Fields) -> Fields:
        start, end = int(fields.get("startTime", "0")), int(fields.get("endTime", 1 << 62))
        rows = [
            {
                "symbol": fill.order.symbol,
                "orderId": fill.order.id,
                "orderLinkId": fill.order.client_id,
                "side": fill.order.side.title(),
                "orderPrice": text_of(fill.order.price or Decimal(0)),
                "orderQty": text_of(fill.order.quantity),
                "leavesQty": "0",
                "orderType": fill.order.type,
                "execFee": "0",
                "execId": str(uuid.UUID(int=fill.number)),
                "execPrice": text_of(fill.price),
                "execQty": text_of(fill.quantity),
                "execType": "Trade",
                "execValue": text_of(fill.price * fill.quantity),
                "execTime": str(fill.at_ms),
                "isMaker": False,
            }
            for fill in reversed(self.fills)
            if self.instruments[fill.order.symbol].category == fields["category"]
            and fields.get("symbol", fill.order.symbol) == fill.order.symbol
            and fields.get("orderId", fill.order.id) == fill.order.id
            and fields.get("orderLinkId", fill.order.client_id) == fill.order.client_id
            and start <= fill.at_ms <= end
        ]
        self.accept(request, "query", terms_of(fields))
        found = rows[: int(fields.get("limit", "50"))]
        return {"list": found, "nextPageCursor": "", "category": fields["category"]}

    # The wallet.

    def withdraw(self, request: Request, fields: Fields) -> Fields:
        own = fields.get("requestId", "")
        if own and any(e.action == "withdraw" and e.client_id == own for e in self.log):
            self.duplicates["client id"] += 1
            raise self.refusal(10014, "Invalid duplicate request.")
        if not self.debit(fields["coin"], Decimal(fields["amount"])):
            raise self.refusal(131001, "openapi WithdrawCreate error: balance not sufficient")
        self.accept(request, "withdraw", terms_of(fields), own)
        return {"id": str(10195 + len(self.log))}

    def transfer(self, request: Request, fields: Fields) -> Fields:
        inner = "fromMemberId" not in fields
        if inner and fields["fromAccountType"] == fields["toAccountType"]:
            raise self.refusal(131211, "fromAccountType can't be the same as toAccountType")
        own = fields["transferId"]
        if any(e.action == "transfer" and e.client_id == own for e in self.log):
            self.duplicates["client id"] += 1
            raise self.refusal(131214, "TransferId exist")
        if not self.debit(fields["coin"], Decimal(fields["amount"])):
            raise self.refusal(131212, "Insufficient balance")
        self.accept(request, "transfer", terms_of(fields), own)
        return {"transferId": own, "status": "SUCCESS"}


DUPLICATE = "OrderLinkedID is duplicate"


def terms_of(fields: Fields) -> Fields:
    own = ("orderLinkId", "requestId", "transferId", "timestamp")
    return {name: value for name, value in fields.items() if name not in own}


Handler = Callable[[Bybit, Request, Fields], Fields]
_one: dict[str, Check] = {
    "category": category,
    "symbol": symbol,
    "orderId": text,
    "orderLinkId": link_id,
}
_place: dict[str, Check] = {
    "category": category,
    "symbol": symbol,
    "isLeverage": integer,
    "side": word("Buy", "Sell"),
    "orderType": word("Market", "Limit"),
    "qty": decimal_text,
    "marketUnit": word("baseCoin", "quoteCoin"),
    "price": decimal_text,
    "triggerDirection": lambda value: type(value) is int and value in (1, 2),
    "orderFilter": word("Order", "StopOrder", "tpslOrder"),
    "triggerPrice": decimal_text,
    "triggerBy": word("LastPrice", "IndexPrice", "MarkPrice"),
    "timeInForce": word("GTC", "IOC", "FOK", "PostOnly"),
    "positionIdx": lambda value: type(value) is int and value in (0, 1, 2),
    "orderLinkId": link_id,
    "reduceOnly": boolean,
    "closeOnTrigger": boolean,
}
_scope: dict[str, Check] = {
    "category": category,
    "symbol": symbol,
    "baseCoin": coin,
    "settleCoin": coin,
    "orderFilter": word("Order", "StopOrder", "tpslOrder"),
}
_page: dict[str, Check] = {"limit": integer_text, "cursor": text}
_period: dict[str, Check] = {"startTime": integer_text, "endTime": integer_text}
_transfer: dict[str, Check] = {
    "transferId": transfer_id,
    "coin": coin,
    "amount": decimal_text,
    "fromAccountType": account,
    "toAccountType": account,
}
_members: dict[str, Check] = {"fromMemberId": integer, "toMemberId": integer}
_withdraw: dict[str, Check] = {
    "coin": coin,
    "chain": text,
    "address": address,
    "tag": text,
    "amount": decimal_text,
    "timestamp": integer,
    "forceChain": lambda value: type(value) is int and value in (0, 1, 2),
    "accountType": word("FUND", "UTA", "SPOT"),
    "feeType": integer,
    "requestId": request_id,
}
ENDPOINTS: dict[tuple[str, str], tuple[Handler, dict[str, Check], tuple[str, ...]]] = {
    ("POST", "/v5/order/create"): (
        Bybit.place,
        _place,
        ("category", "symbol", "side", "orderType", "qty"),
    ),
    ("POST", "/v5/order/amend"): (
        Bybit.amend,
        _one | {"qty": decimal_text, "price": decimal_text, "triggerPrice": decimal_text},
        ("category", "symbol"),
    ),
    ("POST", "/v5/order/cancel"): (
        Bybit.cancel_one,
        _one | {"orderFilter": word("Order", "StopOrder", "tpslOrder")},
        ("category", "symbol"),
    ),
    ("POST", "/v5/order/cancel-all"): (Bybit.cancel_all, _scope, ("category",)),
    ("GET", "/v5/order/realtime"): (
        Bybit.query,
        _one | _scope | _page | {"openOnly": word("0", "1", "2")},
        ("category",),
    ),
    ("GET", "/v5/execution/list"): (
        Bybit.executions,
        _one | _page | _period | {"baseCoin": coin, "execType": text},
        ("category",),
    ),
    ("POST", "/v5/asset/withdraw/create"): (
        Bybit.withdraw,
        _withdraw,
        ("coin", "address", "amount", "timestamp", "accountType"),
    ),
    ("POST", "/v5/asset/transfer/inter-transfer"): (Bybit.transfer, _transfer, tuple(_transfer)),
    ("POST", "/v5/asset/transfer/universal-transfer"): (
        Bybit.transfer,
        _transfer | _members,
        tuple(_transfer | _members),
    ),
}
