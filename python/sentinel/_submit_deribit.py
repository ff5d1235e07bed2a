"""Deribit: what its answers mean.

From the venue's documents (docs.deribit.com): articles/errors ("RPC error codes"),
api-reference/trading, articles/rate-limits. Numbers in answers are JSON numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

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
    gateway,
    guarded,
    identifier,
    integer,
    is_fills,
    is_one_order,
    mapping,
    named,
    not_zero,
    refusal,
    retry_after,
    sequence,
    total,
    words,
)
from .errors import (
    AuthenticationRefused,
    InstrumentNotTrading,
    InsufficientFunds,
    InvalidOrder,
    PermissionRefused,
    PostOnlyWouldTake,
    RateLimited,
    UnknownOrder,
    VenueRefused,
    VenueUnavailable,
)

if TYPE_CHECKING:
    from .sign import SignedOrder

ERRORS: Final[Mapping[str, type[VenueRefused]]] = {
    "9999": PermissionRefused,
    "10000": AuthenticationRefused,
    "10002": InvalidOrder,
    "10003": InvalidOrder,
    "10004": UnknownOrder,
    "10005": InvalidOrder,
    "10006": InvalidOrder,
    "10007": InvalidOrder,
    "10008": InvalidOrder,
    "10009": InsufficientFunds,
    "10010": UnknownOrder,
    "10011": InvalidOrder,
    "10012": InstrumentNotTrading,
    "10019": PermissionRefused,
    "10020": InvalidOrder,
    "10021": InvalidOrder,
    "10022": InvalidOrder,
    "10023": InvalidOrder,
    "10025": InvalidOrder,
    "10026": InvalidOrder,
    "10027": InvalidOrder,
    "10028": RateLimited,
    "10029": UnknownOrder,
    "10031": InvalidOrder,
    "10032": InvalidOrder,
    "10034": InvalidOrder,
    "10035": InvalidOrder,
    "10039": InsufficientFunds,
    "10040": VenueUnavailable,
    "10041": InstrumentNotTrading,
    "10043": InvalidOrder,
    "10044": InvalidOrder,
    "10047": RateLimited,
    "10066": RateLimited,
    "11008": UnknownOrder,
    "11029": InvalidOrder,
    "11035": InvalidOrder,
    "11036": InvalidOrder,
    "11037": InstrumentNotTrading,
    "11042": PermissionRefused,
    "11043": InvalidOrder,
    "11044": UnknownOrder,
    "11046": InstrumentNotTrading,
    "11047": InvalidOrder,
    "11049": InvalidOrder,
    "11050": InvalidOrder,
    "11051": VenueUnavailable,
    "11054": PostOnlyWouldTake,
    "11055": InvalidOrder,
    "11090": InvalidOrder,
    "11091": InvalidOrder,
    "12100": PermissionRefused,
    "13002": PermissionRefused,
    "13004": AuthenticationRefused,
    "13009": AuthenticationRefused,
    "13010": InvalidOrder,
    "13012": PermissionRefused,
    "13016": InvalidOrder,
    "13019": InstrumentNotTrading,
    "13020": InvalidOrder,
    "13021": PermissionRefused,
    "13025": VenueUnavailable,
    "13031": PermissionRefused,
    "-32602": InvalidOrder,
    "-32601": InvalidOrder,
    "-32700": InvalidOrder,
    "-32000": InvalidOrder,
}
# 10001: "some general failure, no public information available"; 11094: "some unhandled error on
# server"; 13008: "invalid input or internal failure"; 13028: "not responding or takes too long";
# 13888: timed out.
UNKNOWN: Final = frozenset({"10001", "11030", "11031", "11094", "13008", "13028", "13888"})
STATUSES: Final[Mapping[str, ExecutionStatus]] = {
    "open": ExecutionStatus.ACCEPTED,
    "untriggered": ExecutionStatus.ACCEPTED,
    "triggered": ExecutionStatus.ACCEPTED,
    "filled": ExecutionStatus.FILLED,
    "rejected": ExecutionStatus.REJECTED,
    "cancelled": ExecutionStatus.CANCELLED,
}
REJECTS: Final[Mapping[str, type[VenueRefused]]] = {"post_only_reject": PostOnlyWouldTake}


def time_ms(answer: Answer) -> int | None:
    """The venue's clock: microseconds beside every answer."""
    return clock_ms(answer, "usOut", 1000)


def _result(answer: Answer) -> Any:
    """The result; a refusal or an Unclear where there is none."""
    data = answer.data
    if not isinstance(data, dict) or ("error" not in data and "result" not in data):
        return gateway(answer)
    if data.get("error") is None:
        return data["result"] if answer.ok else gateway(answer)
    error = mapping(data["error"], "error")
    code = error.get("code")
    if isinstance(code, bool) or not isinstance(code, int):
        raise UnreadableError("the code is no number")
    more = error.get("data")
    reason = words(more.get("reason")) if isinstance(more, dict) else words(more)
    text = words(error.get("message")) + (f": {reason}" if reason else "")
    return refusal(answer, ERRORS, UNKNOWN, str(code), text, retry_after(answer))


def _order(row: Mapping[str, Any]) -> Found:
    filled, amount = decimal(row.get("filled_amount")), decimal(row.get("amount"))
    status = STATUSES[row["order_state"]]
    price = row.get("price")
    return Found(
        by_fill(filled) if status is ExecutionStatus.ACCEPTED else status,
        identifier(row.get("order_id")),
        identifier(row.get("label"), "the label", needed=False),
        filled,
        difference(amount, filled),
        not_zero(decimal(row.get("average_price"))),
        time_ms=integer(row.get("last_update_timestamp")),
        # Market orders say "market_price" here.
        price=decimal(price) if isinstance(price, int | Decimal) else None,
        quantity=amount,
        reason=words(row.get("reject_reason", row.get("cancel_reason"))),
    )


def _fills(rows: Any) -> tuple[tuple[Fill, ...], str | None, str | None]:
    fills, assets = [], set()
    for item in sequence(rows, "trades"):
        row = mapping(item, "a trade")
        price, amount = decimal(row.get("price")), decimal(row.get("amount"))
        if price is None or amount is None:
            raise UnreadableError("a trade has no price or amount")
        trade = identifier(row.get("trade_id"), "the trade id", needed=False)
        when = integer(row.get("timestamp"))
        fills.append(Fill(price, amount, decimal(row.get("fee")), trade, when))
        assets.add(words(row.get("fee_currency")))
    if len(assets) != 1:
        return tuple(fills), None, None
    return tuple(fills), total([fill.fee for fill in fills]), assets.pop() or None


def _count(result: Any) -> int:
    if isinstance(result, bool) or not isinstance(result, int) or result < 0:
        raise UnreadableError("the result is no count")
    return result


def _read(signed: SignedOrder, answer: Answer) -> Outcome:
    if is_one_order(signed):
        return _read_query(signed, answer)
    result = _result(answer)
    if isinstance(result, Refusal | Unclear):
        return result
    match signed.action:
        case Action.PLACE | Action.AMEND:
            body = mapping(result, "result")
            found = _order(mapping(body.get("order"), "order"))
            if signed.action is Action.PLACE:
                named(signed, found.client_order_id)
            fills, fee, asset = _fills(body.get("trades", []))
            return _with(found, fills, fee, asset)
        case Action.CANCEL:
            return _cancelled(result)
        case Action.CANCEL_ALL:
            _count(result)
            return Found(time_ms=time_ms(answer))
        case Action.CANCEL_ALL_AFTER:
            return Found(time_ms=time_ms(answer))
        case Action.WITHDRAW | Action.TRANSFER:
            return Found(venue_order_id=identifier(mapping(result, "result").get("id")))
    if is_fills(signed):
        fills, fee, asset = _fills(mapping(result, "result").get("trades"))
        return Found(fills=fills, fee=fee, fee_asset=asset)
    rows = sequence(result, "result")
    return Found(ids=tuple(identifier(mapping(row).get("order_id")) for row in rows))


def _with(found: Found, fills: tuple[Fill, ...], fee: str | None, asset: str | None) -> Found:
    return Found(
        found.status,
        found.venue_order_id,
        found.client_order_id,
        found.filled,
        found.remaining,
        found.average,
        fee,
        asset,
        fills,
        time_ms=found.time_ms,
        price=found.price,
        quantity=found.quantity,
        reason=found.reason,
    )


def _cancelled(result: Any) -> Outcome:
    """By id, the order; by label, how many orders."""
    if not isinstance(result, int):
        return _order(mapping(result, "result"))
    if _count(result) == 0:
        return Refusal(UnknownOrder, "0", "no open order has this label")
    return Found(ExecutionStatus.CANCELLED)


def _read_query(signed: SignedOrder, answer: Answer) -> Outcome:
    result = _result(answer)
    if isinstance(result, Refusal | Unclear):
        is_none = isinstance(result, Refusal) and result.kind is UnknownOrder
        return NOT_FOUND if is_none else result
    if isinstance(result, dict):
        return _order(result)
    rows = sequence(result, "result")
    if not rows:
        return NOT_FOUND
    if len(rows) > 1:
        # Labels need not be unique there; ours are, so these are not all ours.
        raise UnreadableError("several orders have this label")
    return _order(mapping(rows[0], "an order"))


def _terms(signed: SignedOrder) -> Terms:
    query = parse_qs(urlsplit(signed.request.url if signed.request else "").query)
    return Terms(query.get("price", [None])[0], query.get("amount", [None])[0])


DERIBIT: Final = VenueAdapter(
    hosts=frozenset({"www.deribit.com", "test.deribit.com"}),
    document="docs.deribit.com/articles/errors",
    errors=ERRORS,
    unknown=UNKNOWN,
    read=guarded(_read),
    read_query=guarded(_read_query),
    terms=_terms,
    time_ms=time_ms,
    reject=lambda reason: REJECTS.get(reason, VenueRefused),
)
