"""Binance spot and USD-M: what their answers mean.

From the venue's documents (developers.binance.com/docs): binance-spot-api-docs/errors and
rest-api, derivatives/usds-margined-futures/error-code and general-info. A status of 5xx means
there that the outcome is unknown, but for -1008.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    not_zero,
    quotient,
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

if TYPE_CHECKING:
    from .sign import SignedOrder

ERRORS: Final[Mapping[str, type[VenueRefused]]] = {
    "-1002": AuthenticationRefused,
    "-1003": RateLimited,
    "-1008": VenueUnavailable,
    "-1013": InvalidOrder,
    "-1014": InvalidOrder,
    "-1015": RateLimited,
    "-1016": VenueUnavailable,
    "-1021": RequestExpired,
    "-1022": AuthenticationRefused,
    "-1034": RateLimited,
    "-1100": InvalidOrder,
    "-1102": InvalidOrder,
    "-1106": InvalidOrder,
    "-1111": InvalidOrder,
    "-1115": InvalidOrder,
    "-1116": InvalidOrder,
    "-1117": InvalidOrder,
    "-1121": InvalidOrder,
    "-1122": InstrumentNotTrading,
    "-1130": InvalidOrder,
    "-1131": RequestExpired,
    "-2011": UnknownOrder,
    "-2013": UnknownOrder,
    "-2014": AuthenticationRefused,
    "-2015": AuthenticationRefused,
    "-2016": InstrumentNotTrading,
    "-2017": PermissionRefused,
    "-2018": InsufficientFunds,
    "-2019": InsufficientFunds,
    "-2021": InvalidOrder,
    "-2022": InvalidOrder,
    "-2024": InsufficientFunds,
    "-2025": InvalidOrder,
    "-2026": InvalidOrder,
    "-2027": InsufficientFunds,
    "-2028": InsufficientFunds,
    "-4001": InvalidOrder,
    "-4002": InvalidOrder,
    "-4003": InvalidOrder,
    "-4004": InvalidOrder,
    "-4005": InvalidOrder,
    "-4013": InvalidOrder,
    "-4014": InvalidOrder,
    "-4016": InvalidOrder,
    "-4023": InvalidOrder,
    "-4024": InvalidOrder,
    "-4045": InvalidOrder,
    "-4050": InsufficientFunds,
    "-4051": InsufficientFunds,
    "-4061": InvalidOrder,
    "-4087": PermissionRefused,
    "-4088": PermissionRefused,
    "-4115": DuplicateOrder,
    "-4116": DuplicateOrder,
    "-4131": InvalidOrder,
    "-4140": InstrumentNotTrading,
    "-4141": InstrumentNotTrading,
    "-4164": InvalidOrder,
    "-5021": InvalidOrder,
    "-5022": PostOnlyWouldTake,
    "-5024": InstrumentNotTrading,
    "-5025": InvalidOrder,
    "-5026": InvalidOrder,
    "-5028": RequestExpired,
    "-20121": InvalidOrder,
    "-20124": UnknownOrder,
    "-20132": DuplicateOrder,
}
UNKNOWN: Final = frozenset({"-1000", "-1001", "-1006", "-1007"})

# -2010 (an order was rejected) says why in words: binance-spot-api-docs/errors, "Messages for
# -1010 ERROR_MSG_RECEIVED, -2010 NEW_ORDER_REJECTED, and -2011 CANCEL_REJECTED".
WORDS_OF_2010: Final[Mapping[str, type[VenueRefused]]] = {
    "duplicate order sent": DuplicateOrder,
    "order would immediately match and take": PostOnlyWouldTake,
    "account has insufficient balance": InsufficientFunds,
    "market is closed": InstrumentNotTrading,
    "market is not open": InstrumentNotTrading,
    "this action is disabled on this account": PermissionRefused,
    "this symbol is not permitted for this account": PermissionRefused,
    "this symbol is restricted for this account": PermissionRefused,
    "unknown order sent": UnknownOrder,
}
STATUSES: Final[Mapping[str, ExecutionStatus]] = {
    "NEW": ExecutionStatus.ACCEPTED,
    "PENDING_NEW": ExecutionStatus.ACCEPTED,
    "PARTIALLY_FILLED": ExecutionStatus.PARTIALLY_FILLED,
    "FILLED": ExecutionStatus.FILLED,
    "CANCELED": ExecutionStatus.CANCELLED,
    "PENDING_CANCEL": ExecutionStatus.ACCEPTED,
    "REJECTED": ExecutionStatus.REJECTED,
    "EXPIRED": ExecutionStatus.EXPIRED,
    "EXPIRED_IN_MATCH": ExecutionStatus.EXPIRED,
    "NEW_INSURANCE": ExecutionStatus.ACCEPTED,
    "NEW_ADL": ExecutionStatus.ACCEPTED,
}
# derivatives/usds-margined-futures/trade/rest-api/Query-Algo-Order. What a triggered order became
# is an order of its own; here it counts as accepted.
ALGO_STATUSES: Final[Mapping[str, ExecutionStatus]] = {
    "NEW": ExecutionStatus.ACCEPTED,
    "WORKING": ExecutionStatus.ACCEPTED,
    "TRIGGERING": ExecutionStatus.ACCEPTED,
    "TRIGGERED": ExecutionStatus.ACCEPTED,
    "FINISHED": ExecutionStatus.ACCEPTED,
    "CANCELED": ExecutionStatus.CANCELLED,
    "REJECTED": ExecutionStatus.REJECTED,
    "EXPIRED": ExecutionStatus.EXPIRED,
}


def _fills(rows: Any) -> tuple[tuple[Fill, ...], str | None, str | None]:
    fills, assets = [], set()
    for item in sequence(rows, "fills"):
        row = mapping(item, "a fill")
        price, quantity = decimal(row.get("price")), decimal(row.get("qty"))
        if price is None or quantity is None:
            raise UnreadableError("a fill has no price or quantity")
        trade = identifier(row.get("tradeId", row.get("id")), "the trade id", needed=False)
        when = integer(row.get("time"))
        fills.append(Fill(price, quantity, decimal(row.get("commission")), trade, when))
        assets.add(words(row.get("commissionAsset")))
    if len(assets) != 1:
        return tuple(fills), None, None
    return tuple(fills), total([fill.fee for fill in fills]), assets.pop() or None


def _algo(row: Mapping[str, Any], status: ExecutionStatus | None = None) -> Found:
    state = status or ALGO_STATUSES[row["algoStatus"]]
    return Found(
        state,
        identifier(row.get("algoId")),
        identifier(row.get("clientAlgoId"), needed=False),
        filled_untriggered(state),
        time_ms=integer(row.get("updateTime", row.get("createTime"))),
        price=not_zero(decimal(row.get("price"))),
        quantity=decimal(row.get("quantity")),
        reason=words(row.get("rejectReason")),
    )


def _order(row: Mapping[str, Any]) -> Found:
    if "algoId" in row:
        return _algo(row)
    filled, quantity = decimal(row.get("executedQty")), decimal(row.get("origQty"))
    # An ACK has no status: the venue has taken the order, no more is known.
    status = STATUSES[row["status"]] if "status" in row else ExecutionStatus.ACCEPTED
    average = not_zero(decimal(row.get("avgPrice")))
    if average is None:
        average = quotient(decimal(row.get("cummulativeQuoteQty")), filled)
    fills, fee, asset = _fills(row["fills"]) if row.get("fills") else ((), None, None)
    return Found(
        by_fill(filled) if status is ExecutionStatus.ACCEPTED else status,
        identifier(row.get("orderId")),
        identifier(row.get("clientOrderId"), needed=False),
        filled,
        difference(quantity, filled),
        average,
        fee,
        asset,
        fills,
        time_ms=integer(row.get("transactTime", row.get("updateTime", row.get("time")))),
        price=not_zero(decimal(row.get("price"))),
        quantity=quantity,
    )


def _wait(answer: Answer, text: str) -> float | None:
    """Retry-After; a ban also says in words until when, in Unix milliseconds."""
    return retry_after(answer, 60.0 if "banned" in text.lower() else None)


def _refused(answer: Answer) -> Refusal | Unclear:
    body = mapping(answer.data)
    code, text = str(integer_code(body["code"])), words(body.get("msg"))
    if answer.status >= 500 and code != "-1008":
        return Unclear(f"HTTP {answer.status}: {text} (code {code})")
    if answer.status in (418, 429):
        return Refusal(RateLimited, code, text, _wait(answer, text))
    made = refusal(answer, ERRORS, UNKNOWN, code, text, _wait(answer, text))
    if code in ("-1010", "-2010"):
        for start, kind in WORDS_OF_2010.items():
            if text.lower().startswith(start):
                return Refusal(kind, code, text)
        return Refusal(InvalidOrder, code, text)
    return made


def integer_code(value: Any) -> int:
    """A code: a number, or one as text. Raises UnreadableError."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UnreadableError("the code is no number")
    if not re.fullmatch(r"-?[0-9]{1,9}", str(value)):
        raise UnreadableError("the code is no number")
    return int(value)


def _is_refusal(data: Any) -> bool:
    """An error has a code; a success may have 200 as one."""
    return isinstance(data, dict) and "code" in data and data["code"] not in (200, "200")


def _read(signed: SignedOrder, answer: Answer) -> Outcome:
    if answer.data is None:
        return gateway(answer)
    if _is_refusal(answer.data):
        return _refused(answer)
    if not answer.ok:
        return gateway(answer)
    return _accepted(signed, answer.data)


def _accepted(signed: SignedOrder, data: Any) -> Outcome:
    match signed.action:
        case Action.PLACE | Action.AMEND:
            found = _order(mapping(data))
            if signed.action is Action.PLACE:
                named(signed, found.client_order_id)
            return found
        case Action.CANCEL:
            row = mapping(data)
            if "algoId" in row:
                return _algo(row, ExecutionStatus.CANCELLED)
            return _order(row)
        case Action.CANCEL_ALL:
            if isinstance(data, list):
                rows = [mapping(row, "an order") for row in data]
                return Found(ids=tuple(identifier(row.get("orderId")) for row in rows))
            return Found() if mapping(data).get("code") in (200, "200") else Unclear("no code")
        case Action.CANCEL_ALL_AFTER:
            mapping(data)["countdownTime"]
            return Found()
        case Action.WITHDRAW:
            return Found(venue_order_id=identifier(mapping(data).get("id")))
        case Action.TRANSFER:
            return Found(venue_order_id=identifier(mapping(data).get("tranId")))
    if is_one_order(signed):
        return _order(mapping(data))
    rows = sequence(data, "the answer")
    if is_fills(signed):
        fills, fee, asset = _fills(rows)
        return Found(fills=fills, fee=fee, fee_asset=asset)
    return Found(ids=tuple(identifier(mapping(row, "an order").get("orderId")) for row in rows))


def _read_query(signed: SignedOrder, answer: Answer) -> Outcome:
    if answer.data is None:
        return gateway(answer)
    if _is_refusal(answer.data):
        made = _refused(answer)
        return NOT_FOUND if isinstance(made, Refusal) and made.kind is UnknownOrder else made
    return _order(mapping(answer.data)) if answer.ok else gateway(answer)


def _terms(signed: SignedOrder) -> Terms:
    query = parse_qs(urlsplit(signed.request.url if signed.request else "").query)
    return Terms(query.get("price", [None])[0], query.get("quantity", [None])[0])


BINANCE: Final = VenueAdapter(
    hosts=frozenset(
        {
            "api.binance.com",
            "fapi.binance.com",
            "testnet.binance.vision",
            "testnet.binancefuture.com",
            "demo-api.binance.com",
            "demo-fapi.binance.com",
        }
    ),
    document="developers.binance.com/docs/binance-spot-api-docs/errors",
    errors=ERRORS,
    unknown=UNKNOWN,
    read=guarded(_read),
    read_query=guarded(_read_query),
    terms=_terms,
    time_ms=lambda answer: None,
)
