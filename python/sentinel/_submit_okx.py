"""OKX v5: what its answers mean.

From the venue's documents (www.okx.com/docs-v5/en): error-code, order-book-trading-trade, and
overview-rest-authentication. The code of an order is inside of the answer (`sCode`); an answer
says that the request was taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ._enums import Action
from ._submit_report import (
    NOT_FOUND,
    Answer,
    ExecutionStatus,
    Fill,
    Found,
    Outcome,
    Refusal,
    Terms,
    Unclear,
    UnreadableError,
    VenueAdapter,
    by_fill,
    clock_ms,
    decimal,
    difference,
    filled_untriggered,
    gateway,
    guarded,
    identifier,
    integer,
    is_fills,
    is_one_order,
    mapping,
    named,
    negated,
    not_zero,
    only,
    refusal,
    retry_after,
    sequence,
    words,
)
from .errors import (
    AuthenticationRefused,
    DuplicateOrder,
    InstrumentNotTrading,
    InsufficientFunds,
    InvalidOrder,
    PermissionRefused,
    PostOnlyWouldTake,
    RateLimited,
    RequestExpired,
    UnknownOrder,
    VenueRefused,
    VenueUnavailable,
)

if TYPE_CHECKING:
    from .sign import SignedOrder

ERRORS: Final[Mapping[str, type[VenueRefused]]] = {
    "50001": VenueUnavailable,
    "50002": InvalidOrder,
    "50005": VenueUnavailable,
    "50007": PermissionRefused,
    "50008": AuthenticationRefused,
    "50009": PermissionRefused,
    "50011": RateLimited,
    "50014": InvalidOrder,
    "50016": InvalidOrder,
    "50027": PermissionRefused,
    "50030": PermissionRefused,
    "50035": PermissionRefused,
    "50036": RequestExpired,
    "50037": InvalidOrder,
    "50038": PermissionRefused,
    "50040": RateLimited,
    "50061": RateLimited,
    "50100": AuthenticationRefused,
    "50101": AuthenticationRefused,
    "50102": RequestExpired,
    "50103": AuthenticationRefused,
    "50104": AuthenticationRefused,
    "50105": AuthenticationRefused,
    "50106": AuthenticationRefused,
    "50107": AuthenticationRefused,
    "50110": PermissionRefused,
    "50111": AuthenticationRefused,
    "50112": RequestExpired,
    "50113": AuthenticationRefused,
    "50114": AuthenticationRefused,
    "50119": AuthenticationRefused,
    "50120": PermissionRefused,
    "51000": InvalidOrder,
    "51001": InvalidOrder,
    "51004": InvalidOrder,
    "51005": InvalidOrder,
    "51006": InvalidOrder,
    "51007": InvalidOrder,
    "51008": InsufficientFunds,
    "51009": PermissionRefused,
    "51010": PermissionRefused,
    "51011": DuplicateOrder,
    "51015": InvalidOrder,
    "51016": DuplicateOrder,
    "51020": InvalidOrder,
    "51021": InstrumentNotTrading,
    "51022": InstrumentNotTrading,
    "51023": InvalidOrder,
    "51024": PermissionRefused,
    "51025": InvalidOrder,
    "51027": InstrumentNotTrading,
    "51028": InstrumentNotTrading,
    "51029": InstrumentNotTrading,
    "51030": InstrumentNotTrading,
    "51031": InvalidOrder,
    "51087": InstrumentNotTrading,
    "51103": InvalidOrder,
    "51108": InvalidOrder,
    "51111": InvalidOrder,
    "51116": InvalidOrder,
    "51119": InsufficientFunds,
    "51120": InvalidOrder,
    "51121": InvalidOrder,
    "51127": InsufficientFunds,
    "51131": InsufficientFunds,
    "51136": InvalidOrder,
    "51137": InvalidOrder,
    "51138": InvalidOrder,
    "51155": PermissionRefused,
    "51400": UnknownOrder,
    "51401": UnknownOrder,
    "51402": UnknownOrder,
    "51410": UnknownOrder,
    "51502": InsufficientFunds,
    "51503": UnknownOrder,
    "51509": UnknownOrder,
    "51510": UnknownOrder,
    "51511": PostOnlyWouldTake,
    "51603": UnknownOrder,
    "54072": InstrumentNotTrading,
    "58110": PermissionRefused,
    "58203": PermissionRefused,
    "58204": PermissionRefused,
    "58207": PermissionRefused,
    "58209": PermissionRefused,
    "58350": InsufficientFunds,
    "59200": InsufficientFunds,
}
# 50004: "does not indicate success or failure of order, please check order status"; 50013, 50026:
# a busy or broken system; 51054, 51149: an order that timed out.
UNKNOWN: Final = frozenset({"50004", "50013", "50026", "51054", "51149"})
STATUSES: Final[Mapping[str, ExecutionStatus]] = {
    "live": ExecutionStatus.ACCEPTED,
    "partially_filled": ExecutionStatus.PARTIALLY_FILLED,
    "filled": ExecutionStatus.FILLED,
    "canceled": ExecutionStatus.CANCELLED,
    "mmp_canceled": ExecutionStatus.CANCELLED,
}
# Triggered orders: what one became is an order of its own; here it counts as accepted.
ALGO_STATUSES: Final[Mapping[str, ExecutionStatus]] = {
    "live": ExecutionStatus.ACCEPTED,
    "pause": ExecutionStatus.ACCEPTED,
    "partially_effective": ExecutionStatus.ACCEPTED,
    "effective": ExecutionStatus.ACCEPTED,
    "canceled": ExecutionStatus.CANCELLED,
    "order_failed": ExecutionStatus.REJECTED,
    "partially_failed": ExecutionStatus.REJECTED,
}
REJECTS: Final[Mapping[str, type[VenueRefused]]] = {"31": PostOnlyWouldTake}
"""By `cancelSource`: 31 is a post-only order that would have taken."""
LIMIT_S: Final = 2.0
"""Limits count over two seconds (overview-rate-limit)."""


def time_ms(answer: Answer) -> int | None:
    """The venue's clock: microseconds beside some answers."""
    return clock_ms(answer, "outTime", 1000)


def _code(value: Any) -> str:
    if not isinstance(value, str) or not value.isdecimal() or len(value) > 9:
        raise UnreadableError("the code is no number")
    return value


def _refused(answer: Answer, code: str, text: str) -> Refusal | Unclear:
    return refusal(answer, ERRORS, UNKNOWN, code, text, retry_after(answer, LIMIT_S))


def _rows(answer: Answer) -> list[Any] | Refusal | Unclear:
    if not isinstance(answer.data, dict) or "code" not in answer.data:
        return gateway(answer)
    code, rows = _code(answer.data["code"]), answer.data.get("data", [])
    if code in ("0", "1", "2") and isinstance(rows, list) and len(rows) == 1:
        row = mapping(rows[0], "data")
        inner = _code(row.get("sCode", "0"))
        if inner != "0":
            return _refused(answer, inner, words(row.get("sMsg")))
    if code != "0":
        return _refused(answer, code, words(answer.data.get("msg")))
    return sequence(rows, "data") if answer.ok else gateway(answer)


def _order(row: Mapping[str, Any]) -> Found:
    if row.get("algoId") and not row.get("ordId"):
        return _algo(row)
    filled, quantity = decimal(row.get("accFillSz")), decimal(row.get("sz"))
    status = STATUSES[row["state"]]
    # What is in quote currency does not tell how much is left.
    in_quote = row.get("tgtCcy") == "quote_ccy"
    return Found(
        by_fill(filled) if status is ExecutionStatus.ACCEPTED else status,
        identifier(row.get("ordId")),
        identifier(row.get("clOrdId"), needed=False),
        filled,
        None if in_quote else difference(quantity, filled),
        not_zero(decimal(row.get("avgPx"))),
        negated(decimal(row.get("fee"))),
        words(row.get("feeCcy")) or None,
        time_ms=integer(row.get("uTime")),
        price=not_zero(decimal(row.get("px"))),
        quantity=quantity,
        reason=words(row.get("cancelSource")),
    )


def _algo(row: Mapping[str, Any]) -> Found:
    state = ALGO_STATUSES[row["state"]]
    return Found(
        state,
        identifier(row.get("algoId")),
        identifier(row.get("algoClOrdId"), needed=False),
        filled_untriggered(state),
        time_ms=integer(row.get("uTime", row.get("cTime"))),
        price=not_zero(decimal(row.get("ordPx"))),
        quantity=decimal(row.get("sz")),
        reason=words(row.get("failCode")),
    )


def _fill(item: Any) -> Fill:
    row = mapping(item, "a fill")
    price, quantity = decimal(row.get("fillPx")), decimal(row.get("fillSz"))
    if price is None or quantity is None:
        raise UnreadableError("a fill has no price or quantity")
    return Fill(
        price,
        quantity,
        negated(decimal(row.get("fee"))),
        identifier(row.get("tradeId"), "the trade id", needed=False),
        integer(row.get("fillTime", row.get("ts"))),
    )


def _read(signed: SignedOrder, answer: Answer) -> Outcome:
    if is_one_order(signed):
        return _read_query(signed, answer)
    rows = _rows(answer)
    if not isinstance(rows, list):
        return rows
    match signed.action:
        case Action.PLACE | Action.AMEND | Action.CANCEL:
            row = only(rows, "data")
            algo = bool(row.get("algoId"))
            name = row.get("algoClOrdId" if algo else "clOrdId")
            found = identifier(name, needed=False)
            if signed.action is Action.PLACE:
                named(signed, found)
            cancelled = signed.action is Action.CANCEL
            return Found(
                ExecutionStatus.CANCELLED if cancelled else ExecutionStatus.ACCEPTED,
                identifier(row.get("algoId" if algo else "ordId")),
                found,
                time_ms=integer(row.get("ts")),
            )
        case Action.CANCEL_ALL | Action.CANCEL_ALL_AFTER:
            row = only(rows, "data")
            if row.get("result") is False:
                return Refusal(VenueRefused, "0", "result is false")
            return Found(time_ms=integer(row.get("ts")))
        case Action.WITHDRAW:
            return Found(venue_order_id=identifier(only(rows, "data").get("wdId")))
        case Action.TRANSFER:
            return Found(venue_order_id=identifier(only(rows, "data").get("transId")))
    if is_fills(signed):
        return Found(fills=tuple(_fill(row) for row in rows))
    return Found(ids=tuple(identifier(mapping(row).get("ordId")) for row in rows))


def _read_query(signed: SignedOrder, answer: Answer) -> Outcome:
    rows = _rows(answer)
    if not isinstance(rows, list):
        is_none = isinstance(rows, Refusal) and rows.kind is UnknownOrder
        return NOT_FOUND if is_none else rows
    return _order(only(rows, "data")) if rows else NOT_FOUND


def _terms(signed: SignedOrder) -> Terms:
    body = json.loads(signed.request.body) if signed.request and signed.request.body else {}
    return Terms(body.get("newPx"), body.get("newSz"))


OKX: Final = VenueAdapter(
    hosts=frozenset({"www.okx.com", "eea.okx.com", "us.okx.com", "my.okx.com", "app.okx.com"}),
    document="www.okx.com/docs-v5/en/#error-code",
    errors=ERRORS,
    unknown=UNKNOWN,
    read=guarded(_read),
    read_query=guarded(_read_query),
    terms=_terms,
    time_ms=time_ms,
    reject=lambda reason: REJECTS.get(reason, ERRORS.get(reason, VenueRefused)),
)
