"""A fake of Deribit v2 over HTTP GET: orders, edits, cancels, queries, withdrawals, transfers.

Facts: the venue's API v2 documents (Deribit signature credentials, RPC error codes, the methods'
pages). A nonce is taken once; a label is not unique, so that nothing but the nonce stops a replay.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.venues.fields import (
    Check,
    address,
    boolean_text,
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
    pairs,
)

TIMESTAMP_MS_MAX = 60_000
Fields = dict[str, str]
CODES = {
    10004: "order_not_found",
    10009: "not_enough_funds",
    10021: "invalid_amount",
    10028: "too_many_requests",
    10043: "price_wrong_tick",
    11044: "not_open_order",
    11050: "bad_request",
    11094: "internal_server_error",
    13004: "invalid_credentials",
    13009: "unauthorized",
    13020: "not_found",
    13021: "forbidden",
    13888: "timed_out",
    -32601: "Method not found",
    -32602: "Invalid params",
}
STATUSES = {10028: 429, 11094: 500, 13009: 401, 13021: 403}
AUTHORIZATION = re.compile(r"deri-hmac-sha256 (\w+=[^,\s]+(?:,\w+=[^,\s]+)*)")
NEEDS = {
    "limit": {"price"},
    "market": set[str](),
    "stop_limit": {"price", "trigger", "trigger_price"},
    "stop_market": {"trigger", "trigger_price"},
    "take_limit": {"price", "trigger", "trigger_price"},
    "take_market": {"trigger", "trigger_price"},
}


class Deribit(LoopbackVenue):
    name = "deribit"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.nonces: dict[tuple[str, str], int] = {}

    def _frame(self) -> dict[str, Any]:
        now = self.now_ms() * 1000
        return {"usIn": now, "usOut": now + 1, "usDiff": 1, "testnet": True}

    def _error(self, code: int, data: object = None) -> Answer:
        error: dict[str, Any] = {"message": CODES[code], "code": code}
        if data is not None:
            error["data"] = data
        body = {"jsonrpc": "2.0", "error": error, **self._frame()}
        return Answer(body, STATUSES.get(code, 400))

    def refusal(self, code: int, data: object = None) -> Refused:
        return Refused(str(code), self._error(code, data))

    def rate_limited(self) -> Answer:
        return Answer(self._error(10028).body, 429, (("Retry-After", "1"),))

    def broken(self) -> Answer:
        return self._error(11094)

    def in_doubt(self) -> Answer:
        return self._error(11094)

    # From bytes to checked fields.

    def handle(self, request: Request) -> Answer:
        method = METHODS.get(request.path.removeprefix("/api/v2/private/"))
        if request.method != "GET" or not request.path.startswith("/api/v2/private/"):
            raise self.refusal(11050)
        if method is None:
            raise self.refusal(-32601)
        answer, table, required = method
        client = self._authenticate(request)
        both = pairs(request.query)
        fields = dict(both)
        if len(fields) != len(both):
            raise self.refusal(11050, {"reason": "a parameter appears twice"})
        wrong = first_wrong(fields, table, required)
        if wrong is not None:
            kind, name = wrong
            raise self.refusal(-32602, {"reason": f"{kind} parameter", "param": name})
        # "Only before given timestamp": at that very moment it is late.
        if "valid_until" in fields and self.now_ms() >= int(fields["valid_until"]):
            raise self.refusal(13888)
        if answer is Deribit.withdraw and not client.may_withdraw:
            raise self.refusal(13021, {"reason": "scope wallet:read_write is missing"})
        result = answer(self, request, fields)
        return Answer({"jsonrpc": "2.0", "result": result, **self._frame()})

    def _authenticate(self, request: Request) -> Any:
        match = AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            raise self.refusal(13009)
        members = [part.partition("=") for part in match[1].split(",")]
        given = {name: value for name, _, value in members}
        if set(given) != {"id", "ts", "sig", "nonce"} or len(members) != 4:
            raise self.refusal(13009)
        key = self.keys.get(given["id"])
        if key is None or not integer_text(given["ts"]):
            raise self.refusal(13004)
        now = self.now_ms()
        if abs(now - int(given["ts"])) > TIMESTAMP_MS_MAX:
            raise self.refusal(13004, {"reason": "timestamp"})
        origin = "\n".join([given["ts"], given["nonce"], request.method, request.target, ""])
        whole = origin.encode() + request.body + b"\n"
        digest = hmac.digest(key.hmac_secret, whole, hashlib.sha256).hex()
        if not hmac.compare_digest(digest, given["sig"]):
            raise self.refusal(13009, {"reason": "signature"})
        used = (given["id"], given["nonce"])
        if used in self.nonces:
            self.duplicates["nonce"] += 1
            raise self.refusal(13009, {"reason": "nonce"})
        # Kept for as long as a timestamp could be within its minute.
        if len(self.nonces) > 4096:
            old = now - 2 * TIMESTAMP_MS_MAX
            self.nonces = {name: at for name, at in self.nonces.items() if at > old}
        self.nonces[used] = now
        return key

    # Orders.

    def _instrument(self, fields: Fields) -> Instrument:
        row = self.instruments.get(fields["instrument_name"])
        if row is None:
            raise self.refusal(13020, {"reason": "instrument_name"})
        return row

    def _check_numbers(self, row: Instrument, fields: Fields) -> None:
        for name in ("price", "trigger_price"):
            if name in fields:
                value = Decimal(fields[name])
                if value <= 0 or not is_multiple(value, row.tick):
                    raise self.refusal(10043, {"param": name})
        amount = Decimal(fields["amount"])
        if amount <= 0 or not is_multiple(amount, row.lot):
            raise self.refusal(10021, {"reason": "must be a multiple of the contract size"})

    def _place(self, request: Request, fields: Fields, side: str) -> dict[str, Any]:
        row = self._instrument(fields)
        kind = fields.get("type", "limit")
        for name in ("price", "trigger", "trigger_price"):
            if (name in fields) != (name in NEEDS[kind]):
                raise self.refusal(-32602, {"reason": f"with type {kind}", "param": name})
        if fields.get("reject_post_only") == "true" and fields.get("post_only") != "true":
            raise self.refusal(-32602, {"reason": "without post_only", "param": "reject_post_only"})
        self._check_numbers(row, fields)
        own = fields.get("label", "")
        if own and own in self.by_client_id:
            self.duplicates["client id"] += 1  # the venue allows it
        number, now = len(self.orders) + 331562, self.now_ms()
        triggered = "trigger_price" in fields
        letters = "SL" if kind.startswith("stop") else "TP"
        mark = f"{letters}{'S' if side == 'sell' else 'B'}-" if triggered else ""
        order = BookOrder(
            number,
            f"{row.symbol.partition('-')[0]}-{mark}{number}",
            own,
            row.symbol,
            side,
            kind,
            fields.get("time_in_force", "good_til_cancelled"),
            Decimal(fields["amount"]),
            Decimal(fields["price"]) if "price" in fields else None,
            Decimal(fields["trigger_price"]) if triggered else None,
            now,
            now,
            terms=dict(fields),
        )
        self.enter(order)
        if triggered:
            order.state = "untriggered"
        elif kind == "market" or order.time_in_force != "good_til_cancelled":
            self.fill(order)
        terms = terms_of(fields) | {"side": side}
        self.accept(request, "place", terms, own, order.id)
        return {"order": self._row(order), "trades": self._trades_of(order)}

    def buy(self, request: Request, fields: Fields) -> dict[str, Any]:
        return self._place(request, fields, "buy")

    def sell(self, request: Request, fields: Fields) -> dict[str, Any]:
        return self._place(request, fields, "sell")

    def _labelled(self, fields: Fields) -> list[BookOrder]:
        return [order for order in self.live() if order.client_id == fields["label"]]

    def _edit(self, request: Request, fields: Fields, order: BookOrder) -> dict[str, Any]:
        row = self.instruments[order.symbol]
        self._check_numbers(row, fields)
        if ("price" in fields) != (order.price is not None):
            raise self.refusal(-32602, {"reason": f"with type {order.type}", "param": "price"})
        if "trigger_price" in fields and order.trigger_price is None:
            raise self.refusal(-32602, {"reason": "of no trigger", "param": "trigger_price"})
        order.quantity = Decimal(fields["amount"])
        if "price" in fields:
            order.price = Decimal(fields["price"])
        if "trigger_price" in fields:
            order.trigger_price = Decimal(fields["trigger_price"])
        order.amends += 1
        order.updated_ms = self.now_ms()
        self.accept(request, "amend", terms_of(fields), order.client_id, order.id)
        return {"order": self._row(order), "trades": []}

    def edit(self, request: Request, fields: Fields) -> dict[str, Any]:
        return self._edit(request, fields, self._by_id(fields, must_live=True))

    def edit_by_label(self, request: Request, fields: Fields) -> dict[str, Any]:
        self._instrument(fields)
        found = [o for o in self._labelled(fields) if o.symbol == fields["instrument_name"]]
        if len(found) != 1:  # "works only when there is one open order with this label"
            raise self.refusal(10004)
        return self._edit(request, fields, found[0])

    def _by_id(self, fields: Fields, *, must_live: bool) -> BookOrder:
        order = self.by_id.get(fields["order_id"])
        if order is None:
            raise self.refusal(10004)
        if must_live and not order.is_live:
            raise self.refusal(11044)
        return order

    def cancel_one(self, request: Request, fields: Fields) -> dict[str, Any]:
        order = self._by_id(fields, must_live=True)
        self.cancel(order)
        self.accept(request, "cancel", terms_of(fields), order.client_id, order.id)
        return self._row(order)

    def cancel_by_label(self, request: Request, fields: Fields) -> int:
        """How many it were: none is no error."""
        found = [o for o in self._labelled(fields) if self._has_currency(o, fields)]
        for order in found:
            self.cancel(order)
        self.accept(request, "cancel" if found else "cancel_nothing", fields, fields["label"])
        return len(found)

    def _has_currency(self, order: BookOrder, fields: Fields) -> bool:
        """The first part of an instrument's name, or its second after "_" (linear)."""
        base, _, settle = order.symbol.partition("-")[0].partition("_")
        return fields.get("currency", "any") in ("any", settle or base)

    def cancel_all(self, request: Request, fields: Fields) -> int:
        if "instrument_name" in fields:
            self._instrument(fields)
        found = [
            order
            for order in self.live(fields.get("instrument_name"))
            if self._has_currency(order, fields)
        ]
        for order in found:
            self.cancel(order)
        self.accept(request, "cancel_all", terms_of(fields))
        return len(found)

    def query_one(self, request: Request, fields: Fields) -> dict[str, Any]:
        order = self._by_id(fields, must_live=False)
        self.accept(request, "query", terms_of(fields))
        return self._row(order)

    def query_by_label(self, request: Request, fields: Fields) -> list[dict[str, Any]]:
        self.accept(request, "query", terms_of(fields))
        return [
            self._row(order)
            for order in self.orders
            if order.client_id == fields["label"] and self._has_currency(order, fields)
        ]

    def query_open(self, request: Request, fields: Fields) -> list[dict[str, Any]]:
        self.accept(request, "query", terms_of(fields))
        live = self.live(fields.get("instrument_name"))
        return [self._row(order) for order in live if self._has_currency(order, fields)]

    def query_trades(self, request: Request, fields: Fields) -> dict[str, Any]:
        self._instrument(fields)
        start = int(fields.get("start_timestamp", "0"))
        end = int(fields.get("end_timestamp", "9" * 15))
        self.accept(request, "query", terms_of(fields))
        rows = [
            row
            for order in reversed(self.orders)
            if order.symbol == fields["instrument_name"]
            for row in self._trades_of(order)
            if start <= row["timestamp"] <= end
        ]
        count = int(fields.get("count", "10"))
        return {"trades": rows[:count], "has_more": len(rows) > count}

    def _trades_of(self, order: BookOrder) -> list[dict[str, Any]]:
        return [
            {
                "trade_id": f"{order.id.partition('-')[0]}-{fill.number}",
                "trade_seq": fill.number,
                "order_id": order.id,
                "label": order.client_id,
                "instrument_name": order.symbol,
                "direction": order.side,
                "order_type": order.type,
                "state": order.state,
                "amount": float(fill.quantity),
                "price": float(fill.price),
                "fee": 0.0,
                "fee_currency": order.symbol.partition("-")[0],
                "liquidity": "T",
                "timestamp": fill.at_ms,
            }
            for fill in self.fills
            if fill.order is order
        ]

    def _row(self, order: BookOrder) -> dict[str, Any]:
        row: dict[str, Any] = {
            "web": False,
            "api": True,
            "time_in_force": order.time_in_force,
            "replaced": order.amends > 0,
            "reduce_only": order.terms.get("reduce_only") == "true",
            "post_only": order.terms.get("post_only") == "true",
            "price": "market_price" if order.price is None else float(order.price),
            "order_type": order.type,
            "order_state": order.state,
            "order_id": order.id,
            "label": order.client_id,
            "instrument_name": order.symbol,
            "direction": order.side,
            "amount": float(order.quantity),
            "max_show": float(order.quantity),
            "filled_amount": float(order.filled),
            "average_price": float(order.average),
            "is_liquidation": False,
            "creation_timestamp": order.created_ms,
            "last_update_timestamp": order.updated_ms,
        }
        if order.trigger_price is not None:
            row |= {"trigger": order.terms["trigger"], "triggered": False}
            row["trigger_price"] = float(order.trigger_price)
        return row

    # The wallet.

    def _moved(self, request: Request, fields: Fields, action: str) -> dict[str, Any]:
        if not self.debit(fields["currency"], Decimal(fields["amount"])):
            raise self.refusal(10009)
        self.accept(request, action, terms_of(fields))
        now = self.now_ms()
        times = {"created_timestamp": now, "updated_timestamp": now}
        money = {"currency": fields["currency"], "amount": float(fields["amount"])}
        return {"id": len(self.log), **money, **times}

    def withdraw(self, request: Request, fields: Fields) -> dict[str, Any]:
        return self._moved(request, fields, "withdraw") | {
            "address": fields["address"],
            "fee": 0.0,
            "priority": 1.0,
            "state": "unconfirmed",
            "confirmed_timestamp": None,
            "transaction_id": None,
        }

    def transfer(self, request: Request, fields: Fields) -> dict[str, Any]:
        return self._moved(request, fields, "transfer") | {
            "direction": "payment",
            "other_side": fields["destination"],
            "state": "prepared",
            "type": "subaccount",
        }


def terms_of(fields: Fields) -> Fields:
    own = ("label", "valid_until")
    return {name: value for name, value in fields.items() if name not in own}


Handler = Callable[[Deribit, Request, Fields], Any]
instrument = like(r"[A-Z0-9_-]{3,40}")
currency = like(r"[A-Z]{3,5}")
label = like(r"[ -~]{1,64}")
order_id = like(r"[A-Za-z0-9-]{1,40}")
_terms: dict[str, Check] = {
    "amount": decimal_text,
    "price": decimal_text,
    "post_only": boolean_text,
    "reject_post_only": boolean_text,
    "reduce_only": boolean_text,
    "trigger_price": decimal_text,
    "valid_until": integer_text,
}
_place = _terms | {
    "instrument_name": instrument,
    "type": word(*NEEDS),
    "label": label,
    "time_in_force": word("good_til_cancelled", "fill_or_kill", "immediate_or_cancel"),
    "trigger": word("index_price", "mark_price", "last_price"),
}
_kinds: dict[str, Check] = {"kind": text, "type": text}
_period: dict[str, Check] = {"start_timestamp": integer_text, "end_timestamp": integer_text}
_page: dict[str, Check] = {"count": integer_text, "sorting": text, "historical": boolean_text}
_name: dict[str, Check] = {"instrument_name": instrument}
_money: dict[str, Check] = {"currency": like(r"[A-Z0-9]{2,10}"), "amount": decimal_text}
_priorities = word("insane", "extreme_high", "very_high", "high", "mid", "low", "very_low")
METHODS: dict[str, tuple[Handler, dict[str, Check], tuple[str, ...]]] = {
    "buy": (Deribit.buy, _place, ("instrument_name", "amount")),
    "sell": (Deribit.sell, _place, ("instrument_name", "amount")),
    "edit": (Deribit.edit, _terms | {"order_id": order_id}, ("order_id", "amount")),
    "edit_by_label": (
        Deribit.edit_by_label,
        _terms | _name | {"label": label},
        ("label", "instrument_name", "amount"),
    ),
    "cancel": (Deribit.cancel_one, {"order_id": order_id}, ("order_id",)),
    "cancel_by_label": (
        Deribit.cancel_by_label,
        {"label": label, "currency": currency},
        ("label",),
    ),
    "cancel_all": (Deribit.cancel_all, {"detailed": boolean_text}, ()),
    "cancel_all_by_instrument": (
        Deribit.cancel_all,
        _name | _kinds | {"detailed": boolean_text},
        ("instrument_name",),
    ),
    "cancel_all_by_currency": (
        Deribit.cancel_all,
        _kinds | {"currency": currency, "detailed": boolean_text},
        ("currency",),
    ),
    "get_order_state": (Deribit.query_one, {"order_id": order_id}, ("order_id",)),
    "get_order_state_by_label": (
        Deribit.query_by_label,
        {"currency": currency, "label": label},
        ("currency", "label"),
    ),
    "get_open_orders": (Deribit.query_open, _kinds, ()),
    "get_open_orders_by_instrument": (
        Deribit.query_open,
        _name | {"type": text},
        ("instrument_name",),
    ),
    "get_open_orders_by_currency": (
        Deribit.query_open,
        _kinds | {"currency": currency},
        ("currency",),
    ),
    "get_user_trades_by_instrument": (
        Deribit.query_trades,
        _name | _page | _period,
        ("instrument_name",),
    ),
    "get_user_trades_by_instrument_and_time": (
        Deribit.query_trades,
        _name | _page | _period,
        ("instrument_name", "start_timestamp", "end_timestamp"),
    ),
    "withdraw": (
        Deribit.withdraw,
        _money | {"address": address, "priority": _priorities},
        ("currency", "address", "amount"),
    ),
    "submit_transfer_to_subaccount": (
        Deribit.transfer,
        _money | {"destination": integer_text},
        ("currency", "amount", "destination"),
    ),
}
