"""Orders that wait for people: what an agent is told, how it waits, and how it takes one back.

    try:
        signed = session.sign(order)
    except OrderPending as pending:
        signed = session.wait_approval(pending, timeout=900)   # or session.withdraw(pending)

Who answers, and when an answer counts, is in docs/2-policy.md under "Approvals".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ._advice import REASON as ADVICE
from ._denied import waiting
from ._order import Order
from ._status import REASON_TEXT, Reason
from ._types import Outcome
from .errors import FailedConstraint, SentinelError
from .policy import Policy
from .receipt import iso_time

if TYPE_CHECKING:
    from . import _core
    from .sign import SignedOrder, Signer

__all__ = ["OrderPending"]

_POLL: Final = 0.25  # seconds between two questions


class OrderPending(SentinelError):
    """An order waits for approvers; nothing was signed, and nothing is used up.

    `record` and `record_hash` name the request. `needed` approvers must approve it until
    `until_ns`; `approvals` have. `waiting` are the constraints that ask for them. The very same
    `order` under the same `action_id` is signed once enough have approved.
    """

    exit_status = 13

    def __init__(
        self, order: Order, action_id: int, outcome: Outcome, waiting: tuple[FailedConstraint, ...]
    ) -> None:
        self.order = order
        self.action_id = action_id
        self.record = outcome.record
        self.record_hash = outcome.record_hash
        self.epoch = outcome.epoch
        self.needed = outcome.approvals_needed
        self.approvals = outcome.approvals
        self.until_ns = outcome.pending_until_ns
        self.waiting = waiting
        super().__init__(
            f"{REASON_TEXT[Reason.APPROVAL]}: {self.approvals} of {self.needed}"
            f" until {iso_time(self.until_ns)} (record {self.record})",
            cause="; ".join(filter(None, (_asked(each) for each in waiting))),
            next_step=ADVICE["APPROVAL"],
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data: what approvers need to find it, and what it waits for."""
        return {
            "verdict": "pending",
            "record": self.record,
            "record_hash": self.record_hash.hex(),
            "action_id": self.action_id,
            "approvals": self.approvals,
            "needed": self.needed,
            "until": iso_time(self.until_ns),
            "waiting": [
                {
                    "node": each.node,
                    "name": each.name,
                    "value": each.value_text,
                    "bound": each.bound_text,
                }
                for each in self.waiting
            ],
        }


def _asked(each: FailedConstraint) -> str:
    if not each.name:
        return f"every {each.value_text} is approved by people"
    return f"{each.name!r} of {each.node} asks people ({each.suggestion}; it is {each.value_text})"


def pending(
    policy: Policy | None, agent: int, order: Order, action_id: int, outcome: Outcome
) -> OrderPending:
    """The exception for an order that waits."""
    return OrderPending(order, action_id, outcome, waiting(policy, agent, outcome))


class Waiting:
    """What a session can do about its requests."""

    _signer: Signer
    _seat: _core.Seat

    def withdraw(self, request: OrderPending | int, *, now_ns: int | None = None) -> int:
        """Takes a request back, by its exception or its action id; the number of the record.

        The action id was not used. Raises PolicyInvalid when nothing of that id waits.
        """
        action_id = request if isinstance(request, int) else request.action_id
        return self._signer._withdraw(self._seat.session, action_id, now_ns)

    def wait_approval(
        self,
        request: OrderPending,
        *,
        timeout: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> SignedOrder:
        """Asks again until the order is signed or refused.

        `timeout`: seconds; None waits until the request expires. Raises OrderPending when that
        is over, PolicyDenied when it was rejected, expired, or is refused now.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return self._seat.sign(request.order, request.action_id, None)
            except OrderPending as still:
                if end is not None and time.monotonic() >= end:
                    raise
                request = still
            sleep(_POLL)
