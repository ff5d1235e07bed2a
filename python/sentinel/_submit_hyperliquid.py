"""Hyperliquid: what its answers mean.

From the venue's documents (hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api):
exchange-endpoint, error-responses, info-endpoint ("Query order status by oid or cloid"),
nonces-and-api-wallets, rate-limits-and-user-limits. Errors are words; whether an order exists is
public, so it is asked without a signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from ._enums import Action
from ._submit_report import (
    NOT_FOUND,
    Answer,
    ExecutionStatus,
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
    gateway,
    guarded,
    identifier,
    integer,
    mapping,
    named,
    not_zero,
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
)

if TYPE_CHECKING:
    from .sign import HttpRequest, SignedOrder

# By how the text begins, in lower case.
ERRORS: Final[Mapping[str, type[VenueRefused]]] = {
    "price must be divisible by tick size": InvalidOrder,
    "order must have minimum value": InvalidOrder,
    "insufficient margin to place order": InsufficientFunds,
    "reduce only order would increase position": InvalidOrder,
    "post only order would have immediately matched": PostOnlyWouldTake,
    "order could not immediately match against any resting orders": InvalidOrder,
    "invalid tp/sl price": InvalidOrder,
    "no liquidity available for market order": InvalidOrder,
    "order was never placed, already canceled, or filled": UnknownOrder,
    "cannot modify canceled or filled order": UnknownOrder,
    "order has invalid size": InvalidOrder,
    "order has invalid price": InvalidOrder,
    "order has zero size": InvalidOrder,
    "order price cannot be more than 80% away": InvalidOrder,
    "asset 0": InvalidOrder,
    "order would increase open interest": InvalidOrder,
    "trading is halted": InstrumentNotTrading,
    "insufficient spot balance": InsufficientFunds,
    "insufficient balance for withdrawal": InsufficientFunds,
    "insufficient balance for token transfer": InsufficientFunds,
    "insufficient balance": InsufficientFunds,
    "too many cumulative requests sent": RateLimited,
    "invalid nonce: duplicate nonce": DuplicateOrder,
    "invalid nonce": RequestExpired,
    "action expired": RequestExpired,
    "duplicate cloid": DuplicateOrder,
    "user or api wallet": AuthenticationRefused,
    "l1 error: user or api wallet": AuthenticationRefused,
    "must deposit before performing actions": AuthenticationRefused,
    "l1 error: must deposit before performing actions": AuthenticationRefused,
    "vault not registered": PermissionRefused,
    "failed to deserialize the json body": InvalidOrder,
}
CUMULATIVE_S: Final = 10.0
"""An address over its limit gets one request every ten seconds (rate-limits-and-user-limits)."""
STATUSES: Final[Mapping[str, ExecutionStatus]] = {
    "open": ExecutionStatus.ACCEPTED,
    "triggered": ExecutionStatus.ACCEPTED,
    "filled": ExecutionStatus.FILLED,
    "canceled": ExecutionStatus.CANCELLED,
    "scheduledCancel": ExecutionStatus.CANCELLED,
    "rejected": ExecutionStatus.REJECTED,
}
# info-endpoint, the statuses that end in "Rejected".
REJECTS: Final[Mapping[str, type[VenueRefused]]] = {
    "tickRejected": InvalidOrder,
    "minTradeNtlRejected": InvalidOrder,
    "minTradeSpotNtlRejected": InvalidOrder,
    "perpMarginRejected": InsufficientFunds,
    "reduceOnlyRejected": InvalidOrder,
    "badAloPxRejected": PostOnlyWouldTake,
    "iocCancelRejected": InvalidOrder,
    "badTriggerPxRejected": InvalidOrder,
    "marketOrderNoLiquidityRejected": InvalidOrder,
    "positionIncreaseAtOpenInterestCapRejected": InvalidOrder,
    "positionFlipAtOpenInterestCapRejected": InvalidOrder,
    "tooAggressiveAtOpenInterestCapRejected": InvalidOrder,
    "openInterestIncreaseRejected": InvalidOrder,
    "insufficientSpotBalanceRejected": InsufficientFunds,
    "oracleRejected": InvalidOrder,
    "perpMaxPositionRejected": InvalidOrder,
}


def _refused(answer: Answer, text: str) -> Refusal:
    lowered = text.lower()
    starts = sorted(ERRORS, key=len, reverse=True)
    kind = next((ERRORS[s] for s in starts if lowered.startswith(s)), VenueRefused)
    wait = retry_after(answer, CUMULATIVE_S) if kind is RateLimited else None
    return Refusal(kind, "", text, wait)


def _response(answer: Answer) -> Mapping[str, Any] | Refusal | Unclear:
    if answer.status == 422 and answer.text.lower().startswith("failed to deserialize"):
        return _refused(answer, answer.text)
    if not isinstance(answer.data, dict) or "status" not in answer.data or not answer.ok:
        return gateway(answer)
    if answer.data["status"] == "err":
        text = words(answer.data.get("response"))
        return _refused(answer, text) if text else Unclear("an error without words")
    if answer.data["status"] != "ok":
        raise UnreadableError("the status is neither ok nor err")
    return mapping(answer.data.get("response"), "response")


def _status(response: Mapping[str, Any]) -> Any:
    """What became of the one order or cancel of the action."""
    rows = sequence(mapping(response.get("data"), "data").get("statuses"), "statuses")
    if len(rows) != 1:
        raise UnreadableError(f"{len(rows)} statuses")
    return rows[0]


def _placed(signed: SignedOrder, status: Any) -> Found:
    if status in ("waitingForFill", "waitingForTrigger"):
        return Found(client_order_id=signed.client_order_id)
    row = mapping(status, "the status")
    if "resting" in row:
        inner, state = mapping(row["resting"], "resting"), ExecutionStatus.ACCEPTED
    else:
        inner, state = mapping(row.get("filled"), "filled"), ExecutionStatus.FILLED
    name = identifier(inner.get("cloid"), needed=False)
    if signed.action is Action.PLACE:
        named(signed, name)
    filled = decimal(inner.get("totalSz"))
    if state is ExecutionStatus.FILLED and filled is None:
        raise UnreadableError("a fill without its size")
    wanted = _terms(signed).quantity
    left = difference(wanted, filled)
    if state is ExecutionStatus.FILLED and left is not None and Decimal(left) > 0:
        # What an immediate order could not fill is cancelled, and the venue says "filled".
        state = ExecutionStatus.PARTIALLY_FILLED
    return Found(
        state,
        identifier(inner.get("oid")),
        name or signed.client_order_id,
        filled,
        left,
        decimal(inner.get("avgPx")),
        quantity=wanted,
    )


def _read(signed: SignedOrder, answer: Answer) -> Outcome:
    response = _response(answer)
    if isinstance(response, Refusal | Unclear):
        return response
    if signed.action not in (Action.PLACE, Action.AMEND, Action.CANCEL):
        return Found()
    if response.get("type") == "default":
        if signed.action is Action.PLACE:
            raise UnreadableError("an order without its status")
        return Found(_ACKNOWLEDGED[signed.action], client_order_id=signed.client_order_id)
    status = _status(response)
    if isinstance(status, dict) and "error" in status:
        text = words(status["error"])
        return _refused(answer, text) if text else Unclear("an error without words")
    if signed.action is Action.CANCEL:
        if status != "success":
            raise UnreadableError("a cancel is neither success nor error")
        return Found(ExecutionStatus.CANCELLED, client_order_id=signed.client_order_id)
    return _placed(signed, status)


_ACKNOWLEDGED: Final = {
    Action.AMEND: ExecutionStatus.ACCEPTED,
    Action.CANCEL: ExecutionStatus.CANCELLED,
}


def _state(name: str, filled: str | None) -> ExecutionStatus:
    if name.endswith("Rejected"):
        return ExecutionStatus.REJECTED
    if name.endswith("Canceled"):
        return ExecutionStatus.CANCELLED
    status = STATUSES[name]
    return by_fill(filled) if status is ExecutionStatus.ACCEPTED else status


def _read_query(signed: SignedOrder, answer: Answer) -> Outcome:
    if not isinstance(answer.data, dict) or "status" not in answer.data or not answer.ok:
        return gateway(answer)
    if answer.data["status"] == "unknownOid":
        return NOT_FOUND
    if answer.data["status"] != "order":
        raise UnreadableError("the status is neither order nor unknownOid")
    outer = mapping(answer.data.get("order"), "order")
    row, name = mapping(outer.get("order"), "order"), words(outer.get("status"))
    cloid = identifier(row.get("cloid"), needed=False)
    named(signed, cloid)
    left, size = decimal(row.get("sz")), decimal(row.get("origSz"))
    filled = difference(size, left)
    return Found(
        _state(name, filled),
        identifier(row.get("oid")),
        cloid,
        filled,
        left,
        time_ms=integer(outer.get("statusTimestamp")),
        price=not_zero(decimal(row.get("limitPx"))),
        quantity=size,
        reason=name,
    )


def _action(signed: SignedOrder) -> Mapping[str, Any]:
    body = json.loads(signed.request.body) if signed.request and signed.request.body else {}
    found: Mapping[str, Any] = body.get("action", {})
    return found


def _terms(signed: SignedOrder) -> Terms:
    action = _action(signed)
    orders = action.get("orders") or [row.get("order", {}) for row in action.get("modifies", [])]
    order = orders[0] if orders else action.get("order", {})
    return Terms(order.get("p"), order.get("s"))


def _target(signed: SignedOrder) -> str | int | None:
    """The order that a request means: its cloid, else the venue's own number."""
    if signed.client_order_id:
        return signed.client_order_id
    action = _action(signed)
    rows = action.get("cancels") or action.get("modifies") or [{}]
    found: str | int | None = rows[0].get("cloid", rows[0].get("o", rows[0].get("oid")))
    return found


def _query(signed: SignedOrder, number: str) -> HttpRequest | None:
    """The public query of one order; None where the request means none."""
    from .sign import HttpRequest

    target = int(number) if number else _target(signed)
    if signed.request is None or target is None or not signed.account:
        return None
    body = json.dumps(
        {"type": "orderStatus", "user": signed.account, "oid": target}, separators=(",", ":")
    )
    url = signed.request.url.removesuffix("/exchange") + "/info"
    return HttpRequest("POST", url, {"Content-Type": "application/json"}, body)


HYPERLIQUID: Final = VenueAdapter(
    hosts=frozenset({"api.hyperliquid.xyz", "api.hyperliquid-testnet.xyz"}),
    document="hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/error-responses",
    errors=ERRORS,
    unknown=frozenset(),
    read=guarded(_read),
    read_query=guarded(_read_query),
    terms=_terms,
    time_ms=lambda answer: None,
    reject=lambda reason: REJECTS.get(reason, VenueRefused),
    public_query=_query,
)
