"""What Binance's two markets share: the signed query, its errors, the way of an order.

Facts: the venue's REST documents (request security, error codes, filters); the forms of the answers
from the same pages. A client order id is unique among open orders alone: that is what they promise.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.venues.fields import Check, decimal_text, first_wrong, integer_text, like
from tests.venues.loopback import (
    Answer,
    BookOrder,
    Instrument,
    Key,
    LoopbackVenue,
    Refused,
    Request,
    is_multiple,
    pairs,
    text_of,
)

RECV_WINDOW_MS = 5_000
RECV_WINDOW_MS_MAX = 60_000
AHEAD_MS_MAX = 1_000
client_id = like(r"[.A-Z:/a-z0-9_-]{1,36}")
symbol_text = like(r"[A-Z0-9_-]{1,20}")

Fields = dict[str, str]
SIGNED: dict[str, Check] = {"recvWindow": decimal_text, "timestamp": integer_text}


class Action:
    """One endpoint: what it takes and who answers it."""

    def __init__(
        self,
        name: str,
        answer: Callable[[Any, Request, Fields], Any],
        table: dict[str, Check],
        required: tuple[str, ...],
    ) -> None:
        self.name, self.answer = name, answer
        self.table, self.required = table | SIGNED, (*required, "timestamp")


class Binance(LoopbackVenue):
    """Both markets; a market adds its endpoints and its words."""

    endpoints: ClassVar[dict[tuple[str, str], Action]] = {}

    def refusal(self, code: int, text: str, status: int = 400) -> Refused:
        return Refused(str(code), Answer({"code": code, "msg": text}, status))

    def rate_limited(self) -> Answer:
        text = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
        return Answer({"code": -1003, "msg": text}, 429, (("Retry-After", "1"),))

    def broken(self) -> Answer:
        text = "Unknown error, please check your request or try again later."
        return Answer({"code": -1000, "msg": text}, 503)

    def in_doubt(self) -> Answer:
        text = "Timeout waiting for response from backend server. Send status unknown; "
        return Answer({"code": -1007, "msg": text + "execution status unknown."}, 408)

    # From bytes to checked fields.

    def handle(self, request: Request) -> Answer:
        action = self.endpoints.get((request.method, request.path))
        if action is None:
            raise Refused("404", Answer("<html><body>404 Not found</body></html>", 404))
        key = self.keys.get(request.headers.get("x-mbx-apikey", ""))
        if "x-mbx-apikey" not in request.headers:
            raise self.refusal(-2014, "API-key format invalid.", 401)
        if key is None:
            raise self.refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        fields = self._fields(request)
        signature = fields.pop("signature", None)
        if signature is None:
            raise self._missing("signature")
        self._check_fields(action, fields)
        self._check_time(fields)
        self._check_signature(request, key, signature)
        if action.name in ("withdraw", "transfer") and not key.may_withdraw:
            raise self.refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return Answer(action.answer(self, request, fields))

    def _fields(self, request: Request) -> Fields:
        both = pairs(request.query) + pairs(request.body.decode("ascii", "replace"))
        fields = dict(both)
        if len(fields) != len(both):
            raise self.refusal(-1101, "Duplicate values for a parameter detected.")
        return fields

    def _missing(self, name: str) -> Refused:
        text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        return self.refusal(-1102, text)

    def _check_fields(self, action: Action, fields: Fields) -> None:
        wrong = first_wrong(fields, action.table, action.required)
        if wrong is None:
            return
        kind, name = wrong
        if kind == "unknown":
            read = len(fields) - 1
            text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent "
            raise self.refusal(-1104, f"{text}'{len(fields)}'.")
        if kind == "missing" or fields[name] == "":
            raise self._missing(name)
        codes = {
            "timeInForce": (-1115, "Invalid timeInForce."),
            "type": (-1116, "Invalid orderType."),
            "side": (-1117, "Invalid side."),
            "symbol": (-1121, "Invalid symbol."),
        }
        illegal = (-1100, f"Illegal characters found in parameter '{name}'.")
        raise self.refusal(*(illegal if action.name == "transfer" else codes.get(name, illegal)))

    def _check_time(self, fields: Fields) -> None:
        window = Decimal(fields.get("recvWindow", RECV_WINDOW_MS))
        if window > RECV_WINDOW_MS_MAX:
            raise self.refusal(-1131, "recvWindow must be less than 60000.")
        now, then = self.now_ms(), int(fields["timestamp"])
        if then >= now + AHEAD_MS_MAX:
            text = "Timestamp for this request was 1000ms ahead of the server's time."
            raise self.refusal(-1021, text)
        if now - then > window:
            raise self.refusal(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _check_signature(self, request: Request, key: Key, signature: str) -> None:
        """Over query and body, joined by nothing, up to the signature, which comes last."""
        whole = request.query.encode() + request.body
        payload, _, last = whole.rpartition(b"signature=")
        payload = payload.removesuffix(b"&")
        good = False
        if b"&" not in last and unquote(last.decode("ascii", "replace")) == signature:
            if key.ed25519_public:
                good = _ed25519(key.ed25519_public, signature, payload)
            else:
                digest = hmac.digest(key.hmac_secret, payload, hashlib.sha256).hex()
                good = hmac.compare_digest(digest, signature.lower())
        if not good:
            raise self.refusal(-1022, "Signature for this request is not valid.")

    # Orders.

    def instrument(self, fields: Fields) -> Instrument:
        row = self.instruments.get(fields["symbol"])
        if row is None:
            raise self.refusal(-1121, "Invalid symbol.")
        return row

    def wrong_tick(self) -> Refused:
        raise NotImplementedError

    def wrong_lot(self) -> Refused:
        raise NotImplementedError

    def duplicate(self) -> Refused:
        raise NotImplementedError

    def check_numbers(self, row: Instrument, fields: Fields) -> None:
        for name in ("price", "stopPrice", "triggerPrice"):
            if name in fields:
                value = Decimal(fields[name])
                if value <= 0 or not is_multiple(value, row.tick):
                    raise self.wrong_tick()
        if "quantity" in fields:
            value = Decimal(fields["quantity"])
            if value <= 0 or not is_multiple(value, row.lot):
                raise self.wrong_lot()

    def check_required(self, fields: Fields, needed: tuple[str, ...], never: set[str]) -> None:
        for name in needed:
            if name not in fields:
                raise self._missing(name)
        for name in fields:
            if name in never and name not in needed:
                raise self.refusal(-1106, f"Parameter '{name}' sent when not required.")

    def check_client_id(self, given: str) -> None:
        known = self.by_client_id.get(given)
        if given and known is not None:
            self.duplicates["client id"] += 1
            if known.is_live:
                raise self.duplicate()

    def new_order(self, fields: Fields, given: str, *, triggered: bool) -> BookOrder:
        number = len(self.orders) + 28457
        now = self.now_ms()
        price = fields.get("price")
        trigger = fields.get("stopPrice", fields.get("triggerPrice"))
        mark = self.marks[fields["symbol"]]
        if "quantity" in fields:
            quantity = Decimal(fields["quantity"])
        else:  # as many lots as the amount buys
            lot = self.instruments[fields["symbol"]].lot
            quantity = (Decimal(fields.get("quoteOrderQty", 0)) / mark // lot * lot).normalize()
        order = BookOrder(
            number,
            str(number),
            given or f"x-{number}",
            fields["symbol"],
            fields["side"].lower(),
            fields["type"],
            fields.get("timeInForce", "GTC"),
            quantity,
            Decimal(price) if price else None,
            Decimal(trigger) if trigger else None,
            now,
            now,
            terms=dict(fields),
        )
        self.enter(order)
        if triggered:
            order.state = "untriggered"
        elif fields["type"] == "MARKET" or fields.get("timeInForce") in ("IOC", "FOK"):
            self.fill(order)
        return order

    def target(self, fields: Fields, venue_id: str, own_id: str, code: int, text: str) -> BookOrder:
        """The order that a cancel, an amend or a query means."""
        if venue_id not in fields and own_id not in fields:
            raise self.refusal(-1102, f"Param '{own_id}' or '{venue_id}' must be sent, but both "
                                      "were empty/null!")  # fmt: skip
        order = (
            self.by_id.get(fields[venue_id])
            if venue_id in fields
            else self.by_client_id.get(fields[own_id])
        )
        if order is None or order.symbol != fields.get("symbol", order.symbol):
            raise self.refusal(code, text)
        return order

    def trades(self, fields: Fields) -> list[dict[str, Any]]:
        limit = int(fields.get("limit", "500"))
        start, end = int(fields.get("startTime", "0")), int(fields.get("endTime", 1 << 62))
        found = [
            fill
            for fill in self.fills
            if fill.order.symbol == fields["symbol"]
            and start <= fill.at_ms <= end
            and fields.get("orderId", fill.order.id) == fill.order.id
        ]
        return [
            {
                "symbol": fill.order.symbol,
                "id": fill.number,
                "orderId": fill.order.number,
                "price": text_of(fill.price),
                "qty": text_of(fill.quantity),
                "quoteQty": text_of(fill.price * fill.quantity),
                "commission": "0",
                "commissionAsset": "USDT",
                "time": fill.at_ms,
                **self.trade_words(fill.order),
            }
            for fill in found[-limit:]
        ]

    def trade_words(self, order: BookOrder) -> dict[str, Any]:
        raise NotImplementedError


STATES = {"open": "NEW", "untriggered": "NEW", "filled": "FILLED", "cancelled": "CANCELED"}


def terms_of(fields: Fields) -> Fields:
    """What was asked for, without the names and times that differ between two of the same."""
    own = ("newClientOrderId", "clientAlgoId", "withdrawOrderId", "timestamp", "recvWindow")
    return {name: value for name, value in fields.items() if name not in own}


def _ed25519(public: bytes, signature: str, payload: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            base64.b64decode(signature, validate=True), payload
        )
    except (InvalidSignature, ValueError):
        return False
    return True
