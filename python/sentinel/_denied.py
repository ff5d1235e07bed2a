"""A refusal in words: which constraints failed, and what would lift each."""

from __future__ import annotations

from typing import Final

from . import units
from ._advice import REASON as ADVICE
from ._advice import Advice
from ._enums import Rule
from ._order import Order
from ._policy_explain import asks_text
from ._record import RULE_IMPLICIT, ResultFlag
from ._status import REASON_CODE, Reason
from ._types import Outcome, Result
from ._why import case_of, why
from .errors import FailedConstraint, PolicyDenied
from .policy import Constraint, Node, Policy, bound_text, value_text

_REASON_OF: Final = {
    Rule.KILL_SWITCH: Reason.KILL_SWITCH,
    Rule.ACTIONS: Reason.ACTION_NOT_ALLOWED,
    Rule.VENUES: Reason.VENUE_NOT_ALLOWED,
    Rule.INSTRUMENTS: Reason.INSTRUMENT_NOT_ALLOWED,
    Rule.ORDER_TYPES: Reason.ORDER_TYPE_NOT_ALLOWED,
    Rule.SIDES: Reason.SIDE_NOT_ALLOWED,
    Rule.TIMES_IN_FORCE: Reason.TIF_NOT_ALLOWED,
    Rule.DESTINATIONS: Reason.DESTINATION_NOT_ALLOWED,
    Rule.SANCTIONS: Reason.SANCTIONED,
    Rule.VALUE_CAP: Reason.VALUE_CAP,
    Rule.QUANTITY_CAP: Reason.QUANTITY_CAP,
    Rule.PRICE_COLLAR: Reason.PRICE_COLLAR,
    Rule.DAILY_LIMIT: Reason.DAILY_LIMIT,
    Rule.ROLLING_CAP: Reason.ROLLING_CAP,
    Rule.RATE_LIMIT: Reason.RATE_LIMIT,
    Rule.HEARTBEAT: Reason.HEARTBEAT,
    Rule.APPROVAL: Reason.APPROVAL,
}
_NOT_KNOWN: Final = (Reason.MARK_ABSENT, Reason.MARK_STALE, Reason.VALUE_OVERFLOW)
_NOT_FOLLOWED: Final = (Reason.PARENT_UNKNOWN, Reason.LINEAGE)
_STOPS: Final = (
    *(Reason.VENUE_HALTED, Reason.INSTRUMENT_HALTED, Reason.DRAINING, Reason.KILL_SWITCH),
)
_SUMS: Final = (Rule.DAILY_LIMIT, Rule.ROLLING_CAP)


def denial(
    policy: Policy | None, agent: int, order: Order | None, outcome: Outcome, cause: str = ""
) -> PolicyDenied:
    """The exception for a denied order; `policy` is the one that judged it, where there is one.
    `order`: None for bytes that are none. `cause`: what is known better than the advice.
    """
    codes = [REASON_CODE.get(n, str(n)) for n in range(128) if outcome.reasons >> n & 1]
    failed: list[FailedConstraint] = []
    advice: Advice | None = None
    if policy is not None and order is not None:
        chain = policy.chain(policy.node(agent)) if _knows(policy, agent) else ()
        if chain:
            advice = why(outcome.reason, case_of(policy, chain[-1], order, outcome.now_ns // 10**6))
        failed = [
            _failed(policy, chain, result, outcome)
            for result in outcome.results
            if not result.passed and not result.waits
        ]
    kept = outcome.recorded or outcome.reason == Reason.DUPLICATE
    return PolicyDenied(
        REASON_CODE.get(outcome.reason, str(outcome.reason)),
        record=outcome.record if kept else None,
        epoch=outcome.epoch,
        failed=failed,
        reasons=codes,
        number=outcome.reason,
        cause=cause or (advice.cause if advice is not None else ""),
        next_step=advice.next_step if advice is not None else "",
    )


def waiting(policy: Policy | None, agent: int, outcome: Outcome) -> tuple[FailedConstraint, ...]:
    """The constraints for which an order waits."""
    if policy is None or not _knows(policy, agent):
        return ()
    chain = policy.chain(policy.node(agent))
    return tuple(_failed(policy, chain, row, outcome) for row in outcome.results if row.waits)


def _knows(policy: Policy, agent: int) -> bool:
    return any(node.id == agent for node in policy.nodes)


def _failed(
    policy: Policy, chain: tuple[Node, ...], result: Result, outcome: Outcome
) -> FailedConstraint:
    kind = Rule(result.kind)
    row = policy.constraints[result.rule] if result.rule != RULE_IMPLICIT else None
    node = chain[result.level].path if result.level < len(chain) else ""
    room = _room(policy, row, result, outcome)
    wait = result.retry_at_ns - outcome.now_ns if result.retry_at_ns > outcome.now_ns else None
    return FailedConstraint(
        type=kind.name.lower(),
        node=node,
        name=row.name if row is not None else "",
        value=result.value,
        bound=result.bound,
        value_text=value_text(policy, kind, result.value, row, flags=result.flags),
        bound_text=_bound(policy, kind, row, result),
        suggestion=_suggestion(kind, row, result, outcome, room, wait),
        max_allowed=room,
        retry_after_ns=wait,
    )


def _bound(policy: Policy, kind: Rule, row: Constraint | None, result: Result) -> str:
    if row is None:
        return "nothing is allowed" if kind is not Rule.KILL_SWITCH else "0"
    return bound_text(policy, kind, result.bound, row)


def _room(policy: Policy, row: Constraint | None, result: Result, outcome: Outcome) -> str | None:
    """The most that would pass now; None for what is no amount."""
    if row is None:
        return None
    if row.kind in (Rule.VALUE_CAP, Rule.QUANTITY_CAP):
        return bound_text(policy, row.kind, result.bound, row)
    if row.kind in _SUMS and not result.flags and outcome.value_micro_usd >= 0:
        spent = result.value - outcome.value_micro_usd
        return units.format_money(max(result.bound - spent, 0))
    return None


def _suggestion(
    kind: Rule,
    row: Constraint | None,
    result: Result,
    outcome: Outcome,
    room: str | None,
    wait: int | None,
) -> str:
    if kind is Rule.HEARTBEAT:
        hangs = row is not None and result.bound != row.window_ns
        return ADVICE[(Reason.PROGRESS if hangs else Reason.HEARTBEAT).name]
    if result.flags & ResultFlag.UNKNOWN:
        known = _NOT_FOLLOWED if kind is Rule.KILL_SWITCH else _NOT_KNOWN
        reasons = [n for n in known if outcome.reasons >> n & 1]
        return ADVICE[reasons[0].name] if reasons else ADVICE["UNSUPPORTED"]
    if kind is Rule.APPROVAL and result.waits:
        return asks_text(row) if row is not None else ADVICE["APPROVAL"]
    if row is None and kind is not Rule.KILL_SWITCH:
        return ADVICE["NO_GRANT"]
    reason = _REASON_OF[kind]
    if kind is Rule.KILL_SWITCH:
        reason = next((stop for stop in _STOPS if outcome.reasons >> stop & 1), reason)
    advice = ADVICE[reason.name]
    if room is not None:
        advice = f"at most {room} passes now; {advice}"
    if wait is not None:
        advice = f"passes in {units.format_duration(-(-wait // 10**6) * 10**6)}; {advice}"
    return advice
