"""Bybit v5: what its answers mean.

From the venue's documents (bybit-exchange.github.io/docs/v5): error, order/create-order,
order/open-order, rate-limit, enum. An answer to an order says that the request was taken; how far
it got is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ._enums import Action, QueryWhat
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
    gateway,
    guarded,
    identifier,
    integer,
    is_fills,
    is_one_order,
    mapping,
    named,
    not_zero,
    only,
    refusal,
    retry_after,
    sequence,
    total,
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
from .order import Query

if TYPE_CHECKING:
    from .sign import SignedOrder

ERRORS: Final[Mapping[str, type[VenueRefused]]] = {
    "429": RateLimited,
    "10001": InvalidOrder,
    "10002": RequestExpired,
    "10003": AuthenticationRefused,
    "10004": AuthenticationRefused,
    "10005": PermissionRefused,
    "10006": RateLimited,
    "10007": AuthenticationRefused,
    "10008": PermissionRefused,
    "10009": PermissionRefused,
    "10010": PermissionRefused,
    "10014": DuplicateOrder,
    "10017": InvalidOrder,
    "10018": RateLimited,
    "10024": PermissionRefused,
    "10027": PermissionRefused,
    "10028": PermissionRefused,
    "10029": PermissionRefused,
    "10429": RateLimited,
    "12141": DuplicateOrder,
    "33004": AuthenticationRefused,
    "110001": UnknownOrder,
    "110003": InvalidOrder,
    "110004": InsufficientFunds,
    "110006": InsufficientFunds,
    "110007": InsufficientFunds,
    "110008": UnknownOrder,
    "110009": InvalidOrder,
    "110010": UnknownOrder,
    "110011": InvalidOrder,
    "110012": InsufficientFunds,
    "110014": InsufficientFunds,
    "110016": InvalidOrder,
    "110017": InvalidOrder,
    "110020": InvalidOrder,
    "110021": InvalidOrder,
    "110022": InvalidOrder,
    "110023": InstrumentNotTrading,
    "110030": DuplicateOrder,
    "110032": InvalidOrder,
    "110042": InstrumentNotTrading,
    "110044": InsufficientFunds,
    "110045": InsufficientFunds,
    "110051": InsufficientFunds,
    "110052": InsufficientFunds,
    "110053": InsufficientFunds,
    "110063": InstrumentNotTrading,
    "110066": InstrumentNotTrading,
    "110072": DuplicateOrder,
    "110074": InstrumentNotTrading,
    "110092": InvalidOrder,
    "110093": InvalidOrder,
    "110094": InvalidOrder,
    "131001": InsufficientFunds,
    "131002": InvalidOrder,
    "131004": PermissionRefused,
    "131085": InsufficientFunds,
    "131093": PermissionRefused,
    "131097": InstrumentNotTrading,
    "131212": InsufficientFunds,
    "131214": DuplicateOrder,
    "170005": RateLimited,
    "170031": VenueUnavailable,
    "170033": InsufficientFunds,
    "170115": InvalidOrder,
    "170116": InvalidOrder,
    "170117": InvalidOrder,
    "170121": InvalidOrder,
    "170124": InvalidOrder,
    "170130": InvalidOrder,
    "170131": InsufficientFunds,
    "170132": InvalidOrder,
    "170133": InvalidOrder,
    "170134": InvalidOrder,
    "170135": InvalidOrder,
    "170136": InvalidOrder,
    "170137": InvalidOrder,
    "170139": UnknownOrder,
    "170140": InvalidOrder,
    "170141": DuplicateOrder,
    "170142": UnknownOrder,
    "170143": UnknownOrder,
    "170148": InvalidOrder,
    "170151": InstrumentNotTrading,
    "170157": InstrumentNotTrading,
    "170190": UnknownOrder,
    "170192": InvalidOrder,
    "170193": InvalidOrder,
    "170194": InvalidOrder,
    "170201": PermissionRefused,
    "170213": UnknownOrder,
    "170218": PostOnlyWouldTake,
}
# Server errors and time-outs, and orders that are still being worked on.
UNKNOWN: Final = frozenset(
    {
        *("5004", "10000", "10016", "10019", "110079", "131003", "131200", "131201", "131206"),
        *("170001", "170007", "170032", "170035", "170146", "170147", "170149", "170150", "170191"),
    }
)
STATUSES: Final[Mapping[str, ExecutionStatus]] = {
    "Created": ExecutionStatus.ACCEPTED,
    "New": ExecutionStatus.ACCEPTED,
    "PartiallyFilled": ExecutionStatus.PARTIALLY_FILLED,
    "Untriggered": ExecutionStatus.ACCEPTED,
    "Triggered": ExecutionStatus.ACCEPTED,
    "Active": ExecutionStatus.ACCEPTED,
    "PendingCancel": ExecutionStatus.ACCEPTED,
    "Rejected": ExecutionStatus.REJECTED,
    "PartiallyFilledCanceled": ExecutionStatus.CANCELLED,
    "Filled": ExecutionStatus.FILLED,
    "Cancelled": ExecutionStatus.CANCELLED,
    "Deactivated": ExecutionStatus.CANCELLED,
}
# docs/v5/enum, "rejectReason"
REJECTS: Final[Mapping[str, type[VenueRefused]]] = {
    "EC_PostOnlyWillTakeLiquidity": PostOnlyWouldTake,
    "EC_DuplicateOrder": DuplicateOrder,
    "EC_NoEnoughQtyToFill": InvalidOrder,
    "EC_NoImmediateQtyToFill": InvalidOrder,
    "EC_BySelfMatch": InvalidOrder,
    "EC_ReachMaxTradeNum": InvalidOrder,
    "EC_InvalidSymbolStatus": InstrumentNotTrading,
    "EC_LoadOrderFailed": VenueUnavailable,
}
FILLS_MAX: Final = 100
CLOCKS_APART_MS: Final = 5_000
BANNED_S: Final = 600.0
"""docs/v5/rate-limit: after "403, access too frequent" an address waits for ten minutes."""


def _wait(answer: Answer, code: str) -> float | None:
    if code == "10018" or answer.status == 403:
        return BANNED_S
    reset = answer.headers.get("x-bapi-limit-reset-timestamp", "")
    now = time_ms(answer)
    if reset.isdigit() and len(reset) < 16 and now is not None:
        return retry_after(answer, max(0.0, (int(reset) - now) / 1000) or None)
    return retry_after(answer)


def time_ms(answer: Answer) -> int | None:
    """The venue's clock."""
    return clock_ms(answer, "time")


def _without_body(answer: Answer) -> Refusal | Unclear:
    if answer.status == 403 and "access too frequent" in answer.text.lower():
        return Refusal(RateLimited, "403", "access too frequent", BANNED_S)
    return gateway(answer)


def _result(answer: Answer) -> Mapping[str, Any] | Refusal | Unclear:
    if not isinstance(answer.data, dict) or "retCode" not in answer.data:
        return _without_body(answer)
    code = answer.data["retCode"]
    if isinstance(code, bool) or not isinstance(code, int):
        raise UnreadableError("retCode is no number")
    if code != 0:
        text = words(answer.data.get("retMsg"))
        return refusal(answer, ERRORS, UNKNOWN, str(code), text, _wait(answer, str(code)))
    if not answer.ok:
        return _without_body(answer)
    return mapping(answer.data.get("result"), "result")


def _order(row: Mapping[str, Any]) -> Found:
    filled = decimal(row.get("cumExecQty"))
    status = STATUSES[row["orderStatus"]]
    asset = row.get("feeCurrency")
    return Found(
        by_fill(filled) if status is ExecutionStatus.ACCEPTED else status,
        identifier(row.get("orderId")),
        identifier(row.get("orderLinkId"), needed=False),
        filled,
        decimal(row.get("leavesQty")),
        not_zero(decimal(row.get("avgPrice"))),
        decimal(row.get("cumExecFee")),
        words(asset) or None,
        time_ms=integer(row.get("updatedTime")),
        price=not_zero(decimal(row.get("price"))),
        quantity=decimal(row.get("qty")),
        reason=words(row.get("rejectReason")),
    )


def _fill(item: Any) -> Fill:
    row = mapping(item, "a fill")
    price, quantity = decimal(row.get("execPrice")), decimal(row.get("execQty"))
    if price is None or quantity is None:
        raise UnreadableError("a fill has no price or quantity")
    return Fill(
        price,
        quantity,
        decimal(row.get("execFee")),
        identifier(row.get("execId"), "the trade id", needed=False),
        integer(row.get("execTime")),
    )


def _read(signed: SignedOrder, answer: Answer) -> Outcome:
    if is_one_order(signed):
        return _read_query(signed, answer)
    result = _result(answer)
    if isinstance(result, Refusal | Unclear):
        return result
    now = time_ms(answer)
    match signed.action:
        case Action.PLACE | Action.AMEND | Action.CANCEL:
            name = identifier(result.get("orderLinkId"), needed=False)
            if signed.action is Action.PLACE:
                named(signed, name)
            cancelled = signed.action is Action.CANCEL
            status = ExecutionStatus.CANCELLED if cancelled else ExecutionStatus.ACCEPTED
            return Found(status, identifier(result.get("orderId")), name, time_ms=now)
        case Action.CANCEL_ALL:
            rows = sequence(result.get("list", []), "list")
            ids = tuple(identifier(mapping(row, "an order").get("orderId")) for row in rows)
            return Found(ids=ids, time_ms=now)
        case Action.CANCEL_ALL_AFTER:
            return Found(time_ms=now)
        case Action.WITHDRAW:
            return Found(venue_order_id=identifier(result.get("id")), time_ms=now)
        case Action.TRANSFER:
            return _transfer(result)
    rows = sequence(result.get("list"), "list")
    if not is_fills(signed):
        return Found(ids=tuple(identifier(mapping(row).get("orderId")) for row in rows))
    fills = tuple(_fill(row) for row in rows)
    return Found(fills=fills, fee=total([fill.fee for fill in fills]), time_ms=now)


def _transfer(result: Mapping[str, Any]) -> Outcome:
    status = result.get("status", "SUCCESS")
    if status == "FAILED":
        return Refusal(VenueRefused, "FAILED", "the transfer failed")
    if status not in ("SUCCESS", "PENDING"):
        return Unclear("the venue does not know the transfer's state itself")
    return Found(venue_order_id=identifier(result.get("transferId")))


def _read_query(signed: SignedOrder, answer: Answer) -> Outcome:
    result = _result(answer)
    if isinstance(result, Refusal | Unclear):
        is_none = isinstance(result, Refusal) and result.kind is UnknownOrder
        return NOT_FOUND if is_none else result
    rows = sequence(result.get("list"), "list")
    return _order(only(rows, "list")) if rows else NOT_FOUND


def _fills_since(signed: SignedOrder) -> Query:
    """Open orders are always listed; of closed ones the list keeps the newest 500, and none over a
    restart (docs/v5/order/open-order). What those traded is among the fills.
    """
    order: Any = signed.order
    start_ms = signed.now_ns // 1_000_000 - CLOCKS_APART_MS
    return Query(
        what=QueryWhat.FILLS, instrument=order.instrument, start_ms=start_ms, limit=FILLS_MAX
    )


def _read_fills(signed: SignedOrder, answer: Answer) -> Outcome:
    result = _result(answer)
    if isinstance(result, Refusal | Unclear):
        return result
    rows = [mapping(row, "a fill") for row in sequence(result.get("list"), "list")]
    own = [row for row in rows if row.get("orderLinkId") == signed.client_order_id]
    if not own:
        more = len(rows) >= FILLS_MAX
        return Unclear("there are more fills than one answer holds") if more else NOT_FOUND
    fills = tuple(_fill(row) for row in own)
    filled = total([fill.quantity for fill in fills])
    remaining = decimal(own[0].get("leavesQty"))
    # The list is from newest to oldest; what is neither open nor filled was cancelled.
    is_filled = remaining is not None and not_zero(remaining) is None
    return Found(
        ExecutionStatus.FILLED if is_filled else ExecutionStatus.CANCELLED,
        identifier(own[0].get("orderId")),
        signed.client_order_id,
        filled,
        remaining,
        fee=total([fill.fee for fill in fills]),
        fills=fills,
        time_ms=fills[0].time_ms,
    )


def _terms(signed: SignedOrder) -> Terms:
    body = json.loads(signed.request.body) if signed.request and signed.request.body else {}
    return Terms(body.get("price"), body.get("qty"))


BYBIT: Final = VenueAdapter(
    hosts=frozenset({"api.bybit.com", "api-testnet.bybit.com", "api-demo.bybit.com"}),
    document="bybit-exchange.github.io/docs/v5/error",
    errors=ERRORS,
    unknown=UNKNOWN,
    read=guarded(_read),
    read_query=guarded(_read_query),
    terms=_terms,
    time_ms=time_ms,
    reject=lambda reason: REJECTS.get(reason, VenueRefused),
    second_query=_fills_since,
    read_second=guarded(_read_fills),
)
