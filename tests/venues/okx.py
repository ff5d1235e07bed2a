"""A fake of OKX v5: orders, conditional orders, amends, cancels, queries, withdrawals, transfers.

Facts: the venue's v5 documents (REST authentication, transaction timeouts, order book trading,
funding account, error codes). An empty text or null means what leaving it out means.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.venues.fields import (
    Check,
    address,
    boolean,
    decimal_text,
    first_wrong,
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

TIMESTAMP_MS_MAX = 30_000
Fields = dict[str, Any]
Rows = list[Fields]
MESSAGES = {
    50002: "Incorrect json data format",
    50006: "Invalid Content-Type, please use \"application/json\".",
    50014: "Parameter {0} cannot be empty.",
    50036: "The expTime can't be earlier than the current system time. Please adjust the expTime "
           "and try again.",
    50102: "Timestamp request expired",
    50103: "Request header OK-ACCESS-KEY cannot be empty",
    50104: "Request header OK-ACCESS-PASSPHRASE cannot be empty",
    50105: "Request header OK-ACCESS-PASSPHRASE incorrect.",
    50106: "Request header OK-ACCESS-SIGN cannot be empty",
    50107: "Request header OK-ACCESS-TIMESTAMP cannot be empty",
    50111: "Invalid OK-ACCESS-KEY",
    50112: "Invalid OK-ACCESS-TIMESTAMP",
    50113: "Invalid Sign",
    50120: "This API key doesn't have permission to use this function",
    51000: "Parameter {0} error",
    51001: "Instrument ID, Instrument ID code, or Spread ID doesn't exist.",
    51003: "Either client order ID or order ID is required.",
    51016: "Client order ID already exists.",
    51121: "Order quantity must be a multiple of the lot size.",
    51400: "Cancellation failed as the order has been filled, canceled or does not exist.",
    51503: "Your order has already been filled or canceled.",
    51603: "Order does not exist",
    58350: "Insufficient balance",
}  # fmt: skip

inst_id = like(r"[A-Z0-9-]{3,40}")
own_id = like(r"[A-Za-z0-9]{1,32}")
ccy = like(r"[A-Z0-9]{1,20}")
STATES = {"open": "live", "untriggered": "live", "filled": "filled", "cancelled": "canceled"}


class Okx(LoopbackVenue):
    name = "okx"

    def refusal(self, code: int, about: str = "", status: int = 200) -> Refused:
        """A request that is refused as a whole."""
        body = {"code": str(code), "msg": MESSAGES[code].format(about), "data": []}
        return Refused(str(code), Answer(body, status))

    def row_refusal(self, code: int, fields: Fields, about: str = "") -> Refused:
        """An order that is refused: the request as such was fine."""
        own = fields.get("clOrdId", fields.get("algoClOrdId", ""))
        row = {"clOrdId": own, "ordId": "", "tag": "", "ts": str(self.now_ms())}
        row |= {"sCode": str(code), "sMsg": MESSAGES[code].format(about)}
        return Refused(str(code), Answer({"code": "1", "msg": ALL_FAILED, "data": [row]}))

    def rate_limited(self) -> Answer:
        body = {"code": "50011", "msg": "Too Many Requests", "data": []}
        return Answer(body, 429, (("Retry-After", "1"),))

    def broken(self) -> Answer:
        text = "Service temporarily unavailable. Try again later."
        return Answer({"code": "50001", "msg": text, "data": []}, 503)

    def in_doubt(self) -> Answer:
        text = "API endpoint request timeout (does not mean that the request was successful or "
        body = {
            "code": "50004",
            "msg": text + "failed, please check the request result).",
            "data": [],
        }
        return Answer(body, 400)

    # From bytes to checked fields.

    def handle(self, request: Request) -> Answer:
        endpoint = ENDPOINTS.get((request.method, request.path))
        if endpoint is None:
            body = {"code": "404", "msg": "Not Found", "data": {}}
            raise Refused("404", Answer(body, 404))
        answer, table, required = endpoint
        self._authenticate(request)
        fields = self._fields(request)
        fields = {name: value for name, value in fields.items() if value not in ("", None)}
        wrong = first_wrong(fields, table, required)
        if wrong is not None:
            kind, name = wrong
            raise self.refusal(50014 if kind == "missing" else 51000, name)
        if (
            request.path in EXPIRES
            and "exptime" in request.headers
            and int(request.headers["exptime"]) < self.now_ms()
        ):
            raise self.row_refusal(50036, fields)
        now_us = str(self.now_ms() * 1000)
        rows = answer(self, request, fields)
        return Answer({"code": "0", "msg": "", "data": rows, "inTime": now_us, "outTime": now_us})

    def _authenticate(self, request: Request) -> None:
        headers = request.headers
        names = ("ok-access-key", "ok-access-passphrase", "ok-access-sign", "ok-access-timestamp")
        given, passphrase, sign, then_text = (headers.get(name, "") for name in names)
        for value, code in ((given, 50103), (passphrase, 50104), (sign, 50106), (then_text, 50107)):
            if not value:
                raise self.refusal(code, status=401)
        key = self.keys.get(given)
        if key is None:
            raise self.refusal(50111, status=401)
        if not TIMESTAMP(then_text):
            raise self.refusal(50112, status=401)
        then = datetime.strptime(then_text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        if abs(self.now_ms() - int(then.timestamp() * 1000)) > TIMESTAMP_MS_MAX:
            raise self.refusal(50102, status=401)
        origin = f"{then_text}{request.method}{request.target}".encode() + request.body
        digest = base64.b64encode(hmac.digest(key.hmac_secret, origin, hashlib.sha256))
        if not hmac.compare_digest(digest, sign.encode()):
            raise self.refusal(50113, status=401)
        if passphrase != key.passphrase:
            raise self.refusal(50105, status=401)
        if headers.get("x-simulated-trading", "0") not in ("0", "1"):
            raise self.refusal(51000, "x-simulated-trading")
        if "exptime" in headers and not integer_text(headers["exptime"]):
            raise self.refusal(51000, "expTime")
        if request.path == "/api/v5/asset/withdrawal" and not key.may_withdraw:
            raise self.refusal(50120, status=401)

    def _fields(self, request: Request) -> Fields:
        if request.method == "GET":
            both = pairs(request.query)
            if len(dict(both)) != len(both):
                raise self.refusal(51000, both[-1][0])
            return dict(both)
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise self.refusal(50006, status=400)
        body = request.body
        if request.path == "/api/v5/trade/cancel-algos":  # a list of one is all that we take
            body = body.strip().removeprefix(b"[").removesuffix(b"]")
        fields = load_object(body)
        if fields is None or request.query:
            raise self.refusal(50002, status=400)
        return fields

    # Orders.

    def _instrument(self, fields: Fields) -> Instrument:
        row = self.instruments.get(fields["instId"])
        if row is None:
            raise self.row_refusal(51001, fields)
        return row

    def _check_numbers(self, row: Instrument, fields: Fields) -> None:
        for name in ("px", "newPx", "slTriggerPx", "tpTriggerPx", "slOrdPx", "tpOrdPx"):
            given = fields.get(name)
            if given is not None and given != "-1":
                value = Decimal(given)
                if value <= 0 or not is_multiple(value, row.tick):
                    raise self.row_refusal(51000, fields, name)
        for name in ("sz", "newSz"):
            if name in fields:
                value = Decimal(fields[name])
                quote = fields.get("tgtCcy") == "quote_ccy"
                if value <= 0 or not (quote or is_multiple(value, row.lot)):
                    raise self.row_refusal(51121, fields)

    def _check_place(self, row: Instrument, fields: Fields, own: str) -> None:
        if (row.category == "spot") != (fields["tdMode"] == "cash"):
            raise self.row_refusal(51000, fields, "tdMode")
        if row.category == "spot" and {"posSide", "reduceOnly"} & set(fields):
            raise self.row_refusal(51000, fields, "posSide")
        self._check_numbers(row, fields)
        if own and own in self.by_client_id:
            self.duplicates["client id"] += 1
            raise self.row_refusal(51016, fields)

    def place(self, request: Request, fields: Fields) -> Rows:
        row = self._instrument(fields)
        own = fields.get("clOrdId", "")
        market = fields["ordType"] == "market"
        if market == ("px" in fields):
            raise self.row_refusal(51000, fields, "px")
        if not market:  # "only applicable to SPOT Market Orders": elsewhere it is not looked at
            fields.pop("tgtCcy", None)
        self._check_place(row, fields, own)
        order = self._new(fields, own, fields.get("px"), None)
        if market or fields["ordType"] in ("ioc", "fok", "optimal_limit_ioc"):
            self.fill(order)
        self.accept(request, "place", terms_of(fields), own, order.id)
        return [self._done(order)]

    def place_algo(self, request: Request, fields: Fields) -> Rows:
        row = self._instrument(fields)
        own = fields.get("algoClOrdId", "")
        kinds = [side for side in ("sl", "tp") if f"{side}TriggerPx" in fields]
        if len(kinds) != 1 or f"{kinds[0]}OrdPx" not in fields:
            raise self.row_refusal(51000, fields, "slTriggerPx")
        self._check_place(row, fields, own)
        price = fields[f"{kinds[0]}OrdPx"]
        trigger = fields[f"{kinds[0]}TriggerPx"]
        order = self._new(fields, own, None if price == "-1" else price, trigger)
        order.state = "untriggered"
        self.accept(request, "place", terms_of(fields), own, order.id)
        return [self._algo_done(order)]

    def _new(self, fields: Fields, own: str, price: str | None, trigger: str | None) -> BookOrder:
        number = 312269865356374016 + len(self.orders)
        quantity, now = Decimal(fields["sz"]), self.now_ms()
        if fields.get("tgtCcy") == "quote_ccy":
            quantity /= self.marks[fields["instId"]]
        order = BookOrder(
            number,
            str(number),
            own,
            fields["instId"],
            fields["side"],
            fields["ordType"],
            "",
            quantity,
            Decimal(price) if price else None,
            Decimal(trigger) if trigger else None,
            now,
            now,
            terms=dict(fields),
        )
        return self.enter(order)

    def _done(self, order: BookOrder) -> Fields:
        own = {"clOrdId": order.client_id, "ordId": order.id, "tag": ""}
        return own | {"ts": str(order.updated_ms), "sCode": "0", "sMsg": ""}

    def _algo_done(self, order: BookOrder) -> Fields:
        own = {"algoId": order.id, "algoClOrdId": order.client_id, "clOrdId": "", "tag": ""}
        return own | {"sCode": "0", "sMsg": ""}

    def _find(self, fields: Fields, algo: bool = False) -> BookOrder | None:
        """The order that is meant; the venue's own id goes before the client's."""
        venue_id, client_id = ("algoId", "algoClOrdId") if algo else ("ordId", "clOrdId")
        if venue_id not in fields and client_id not in fields:
            raise self.refusal(51003)
        if venue_id in fields:
            order = self.by_id.get(fields[venue_id])
        else:
            order = self.by_client_id.get(fields[client_id])
        if order is None or (order.trigger_price is not None) != algo:
            return None
        return order if fields.get("instId", order.symbol) == order.symbol else None

    def amend(self, request: Request, fields: Fields) -> Rows:
        row = self._instrument(fields)
        order = self._find(fields)
        if order is None or not order.is_live:
            raise self.row_refusal(51503, fields)
        if "newSz" not in fields and "newPx" not in fields:
            raise self.row_refusal(51000, fields, "newSz")
        self._check_numbers(row, fields)
        order.quantity = Decimal(fields.get("newSz", order.quantity))
        if "newPx" in fields:
            order.price = Decimal(fields["newPx"])
        order.amends += 1
        order.updated_ms = self.now_ms()
        self.accept(request, "amend", terms_of(fields), order.client_id, order.id)
        return [self._done(order) | {"reqId": fields.get("reqId", "")}]

    def cancel_one(self, request: Request, fields: Fields) -> Rows:
        self._instrument(fields)
        order = self._find(fields)
        if order is None or not order.is_live:
            raise self.row_refusal(51400, fields)
        self.cancel(order)
        self.accept(request, "cancel", terms_of(fields), order.client_id, order.id)
        return [self._done(order)]

    def cancel_algo(self, request: Request, fields: Fields) -> Rows:
        self._instrument(fields)
        order = self._find(fields, algo=True)
        if order is None or not order.is_live:
            raise self.row_refusal(51400, fields)
        self.cancel(order)
        self.accept(request, "cancel", terms_of(fields), order.client_id, order.id)
        return [self._algo_done(order)]

    def cancel_all_after(self, request: Request, fields: Fields) -> Rows:
        seconds = int(fields["timeOut"])
        if seconds != 0 and not 10 <= seconds <= 120:
            raise self.refusal(51000, "timeOut")
        self.set_timer("", seconds * 1000)
        self.accept(request, "cancel_all_after", terms_of(fields))
        at = str(self.timers[""]) if seconds else "0"
        return [{"triggerTime": at, "tag": "", "ts": str(self.now_ms())}]

    def query_one(self, request: Request, fields: Fields) -> Rows:
        if fields["instId"] not in self.instruments:
            raise self.refusal(51001)
        order = self._find(fields)
        if order is None:
            raise self.refusal(51603)
        self.accept(request, "query", terms_of(fields))
        return [self._row(order)]

    def query_algo(self, request: Request, fields: Fields) -> Rows:
        order = self._find(fields, algo=True)
        if order is None:
            raise self.refusal(51603)
        self.accept(request, "query", terms_of(fields))
        return [self._algo_row(order)]

    def query_open(self, request: Request, fields: Fields) -> Rows:
        self.accept(request, "query", terms_of(fields))
        live = [o for o in self.live(fields.get("instId")) if o.trigger_price is None]
        return [self._row(order) for order in reversed(live)][: int(fields.get("limit", "100"))]

    def _row(self, order: BookOrder) -> Fields:
        filled = order.filled > 0
        return {
            "instType": self._type(order),
            "instId": order.symbol,
            "ordId": order.id,
            "clOrdId": order.client_id,
            "px": text_of(order.price) if order.price else "",
            "sz": order.terms["sz"] if order.amends == 0 else text_of(order.quantity),
            "ordType": order.type,
            "side": order.side,
            "posSide": order.terms.get("posSide", "net"),
            "tdMode": order.terms["tdMode"],
            "accFillSz": text_of(order.filled),
            "fillPx": text_of(order.average) if filled else "",
            "fillSz": text_of(order.filled) if filled else "0",
            "fillTime": str(order.updated_ms) if filled else "",
            "tradeId": order.id[-6:] if filled else "",
            "avgPx": text_of(order.average) if filled else "",
            "state": STATES[order.state],
            "fee": "0",
            "feeCcy": "USDT",
            "reduceOnly": str(order.terms.get("reduceOnly", False)).lower(),
            "tgtCcy": order.terms.get("tgtCcy", ""),
            "cancelSource": "1" if order.state == "cancelled" else "",
            "cTime": str(order.created_ms),
            "uTime": str(order.updated_ms),
        }

    def _type(self, order: BookOrder) -> str:
        return self.instruments[order.symbol].category.upper()

    def _algo_row(self, order: BookOrder) -> Fields:
        kinds = ("TriggerPx", "OrdPx", "TriggerPxType")
        names = [side + kind for side in ("sl", "tp") for kind in kinds]
        return {
            "instType": self._type(order),
            "instId": order.symbol,
            "algoId": order.id,
            "algoClOrdId": order.client_id,
            "ordType": order.type,
            "side": order.side,
            "sz": order.terms["sz"],
            "state": {"cancelled": "canceled"}.get(order.state, "live"),
            "actualSz": "",
            "actualPx": "",
            "cTime": str(order.created_ms),
            "uTime": str(order.updated_ms),
            **{name: order.terms.get(name, "") for name in names},
        }

    def query_fills(self, request: Request, fields: Fields) -> Rows:
        start, end = int(fields.get("begin", "0")), int(fields.get("end", 1 << 62))
        self.accept(request, "query", terms_of(fields))
        rows = [
            {
                "instType": self._type(fill.order),
                "instId": fill.order.symbol,
                "tradeId": str(fill.number),
                "ordId": fill.order.id,
                "clOrdId": fill.order.client_id,
                "billId": str(1111 + fill.number),
                "fillPx": text_of(fill.price),
                "fillSz": text_of(fill.quantity),
                "side": fill.order.side,
                "posSide": fill.order.terms.get("posSide", "net"),
                "execType": "T",
                "fee": "0",
                "feeCcy": "USDT",
                "ts": str(fill.at_ms),
                "fillTime": str(fill.at_ms),
            }
            for fill in reversed(self.fills)
            if fields.get("instId", fill.order.symbol) == fill.order.symbol
            and fields.get("ordId", fill.order.id) == fill.order.id
            and start <= fill.at_ms <= end
        ]
        return rows[: int(fields.get("limit", "100"))]

    # The wallet.

    def _moved(self, request: Request, fields: Fields, action: str) -> str:
        own = str(fields.get("clientId", ""))
        if own and any(e.action == action and e.client_id == own for e in self.log):
            self.duplicates["client id"] += 1  # the documents do not promise that it is refused
        if not self.debit(fields["ccy"], Decimal(fields["amt"])):
            raise self.refusal(58350)
        self.accept(request, action, terms_of(fields), own)
        return str(67485 + len(self.log))

    def withdraw(self, request: Request, fields: Fields) -> Rows:
        number = self._moved(request, fields, "withdraw")
        names = ("amt", "ccy", "clientId", "chain")
        return [{"wdId": number, **{name: fields.get(name, "") for name in names}}]

    def transfer(self, request: Request, fields: Fields) -> Rows:
        if fields["from"] == fields["to"] and fields.get("type", "0") == "0":
            raise self.refusal(51000, "to")
        if fields.get("type", "0") in ("1", "2", "4") and "subAcct" not in fields:
            raise self.refusal(50014, "subAcct")
        number = self._moved(request, fields, "transfer")
        names = ("ccy", "clientId", "from", "amt", "to")
        return [{"transId": number, **{name: fields.get(name, "") for name in names}}]


ALL_FAILED = "All operations failed"
TIMESTAMP = like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# The endpoints that look at expTime ("Transaction Timeouts"); the others do not.
EXPIRES = {"/api/v5/trade/order", "/api/v5/trade/amend-order"}


def terms_of(fields: Fields) -> Fields:
    own = ("clOrdId", "algoClOrdId", "clientId", "reqId")
    return {name: value for name, value in fields.items() if name not in own}


def order_price(value: Any) -> bool:
    return value == "-1" or decimal_text(value)


def flag(value: Any) -> bool:
    return boolean(value) or value in ("true", "false")


Handler = Callable[[Okx, Request, Fields], Rows]
_head: dict[str, Check] = {
    "instId": inst_id,
    "tdMode": word("cash", "cross", "isolated"),
    "ccy": ccy,
    "side": word("buy", "sell"),
    "posSide": word("net", "long", "short"),
    "sz": decimal_text,
    "reduceOnly": flag,
    "tgtCcy": word("base_ccy", "quote_ccy"),
    "tag": own_id,
}
_place = _head | {
    "clOrdId": own_id,
    "ordType": word("market", "limit", "post_only", "fok", "ioc", "optimal_limit_ioc"),
    "px": decimal_text,
}
_algo = _head | {
    "algoClOrdId": own_id,
    "ordType": word("conditional"),
    **{f"{side}TriggerPx": decimal_text for side in ("sl", "tp")},
    **{f"{side}OrdPx": order_price for side in ("sl", "tp")},
    **{f"{side}TriggerPxType": word("last", "mark", "index") for side in ("sl", "tp")},
}
_one: dict[str, Check] = {"instId": inst_id, "ordId": integer_text, "clOrdId": own_id}
_algo_id: dict[str, Check] = {"instId": inst_id, "algoId": integer_text, "algoClOrdId": own_id}
_page: dict[str, Check] = {"limit": integer_text, "before": text, "after": text}
_inst: dict[str, Check] = {
    "instType": word("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"),
    "instId": inst_id,
    "ordId": integer_text,
}
_period: dict[str, Check] = {"begin": integer_text, "end": integer_text}
_money: dict[str, Check] = {"ccy": ccy, "amt": decimal_text, "clientId": own_id}
_withdraw = _money | {"dest": word("3", "4"), "toAddr": address, "chain": text}
_transfer = _money | {
    "from": integer_text,
    "to": integer_text,
    "type": word("0", "1", "2", "3", "4"),
    "subAcct": text,
}
_terms = ("instId", "tdMode", "side", "ordType", "sz")
ENDPOINTS: dict[tuple[str, str], tuple[Handler, dict[str, Check], tuple[str, ...]]] = {
    ("POST", "/api/v5/trade/order"): (Okx.place, _place, _terms),
    ("POST", "/api/v5/trade/order-algo"): (Okx.place_algo, _algo, _terms),
    ("POST", "/api/v5/trade/amend-order"): (
        Okx.amend,
        _one | {"newSz": decimal_text, "newPx": decimal_text, "reqId": own_id, "cxlOnFail": flag},
        ("instId",),
    ),
    ("POST", "/api/v5/trade/cancel-order"): (Okx.cancel_one, _one, ("instId",)),
    ("POST", "/api/v5/trade/cancel-algos"): (Okx.cancel_algo, _algo_id, ("instId",)),
    ("POST", "/api/v5/trade/cancel-all-after"): (
        Okx.cancel_all_after,
        {"timeOut": integer_text, "tag": own_id},
        ("timeOut",),
    ),
    ("GET", "/api/v5/trade/order"): (Okx.query_one, _one, ("instId",)),
    ("GET", "/api/v5/trade/order-algo"): (Okx.query_algo, _algo_id, ()),
    ("GET", "/api/v5/trade/orders-pending"): (
        Okx.query_open,
        _inst | _page | {"ordType": text, "state": text},
        (),
    ),
    ("GET", "/api/v5/trade/fills"): (Okx.query_fills, _inst | _page | _period, ()),
    ("POST", "/api/v5/asset/withdrawal"): (
        Okx.withdraw,
        _withdraw,
        ("ccy", "amt", "dest", "toAddr"),
    ),
    ("POST", "/api/v5/asset/transfer"): (Okx.transfer, _transfer, ("ccy", "amt", "from", "to")),
}
