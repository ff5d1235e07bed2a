"""Requests for approval, as docs/2-policy.md has them under "Approvals"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.names import INT64_MAX, POLICY_APPROVAL, POLICY_SIGNATURE, Verb
from tests.model.tables import Order

AGENT_ROWS, ROWS, APPROVERS_OF_ROW, DESTINATIONS = 8, 64, 8, 256
Kept = tuple[int, int, str, str]  # venue, then a destination in its canonical form


class Approver(NamedTuple):
    """A key of the authority bundle with the power to approve."""

    secret: int  # which key pair
    expires: int


@dataclass
class Request:
    record: int
    expires: int
    order: Order
    quorum: int
    rejected: bool = False
    approvers: list[int] = field(default_factory=list)

    def is_over(self, now: int) -> bool:
        return self.rejected or now >= self.expires


class Requests:
    """All rows, and who may approve."""

    def __init__(self) -> None:
        self.rows: list[Request] = []
        self.approvers: dict[int, Approver] = {}

    def of(self, agent: int, action_id: int) -> Request | None:
        found = [r for r in self.rows if (r.order.agent, r.order.action_id) == (agent, action_id)]
        return found[0] if found else None

    def named(self, record: int) -> Request | None:
        return next((row for row in self.rows if row.record == record), None)

    def count(self, row: Request, now: int) -> int:
        """Approvers whose keys are in force."""
        known = self.approvers
        return sum(key in known and now < known[key].expires for key in row.approvers)

    def room(self, order: Order, now: int) -> Request | bool | None:
        """The row that makes room; None: a free one; False: there is no room."""
        own = self.of(order.agent, order.action_id)
        live = [row for row in self.rows if row is not own and not row.is_over(now)]
        if sum(row.order.agent == order.agent for row in live) >= AGENT_ROWS:
            return False
        if own is not None:
            return own
        if len(live) >= ROWS:
            return False
        if len(self.rows) < ROWS:
            return None
        return min((row for row in self.rows if row not in live), key=lambda row: row.record)

    def open(self, record: int, now: int, order: Order, quorum: int, lives: int) -> Request:
        place = self.room(order, now)
        assert place is not False
        if isinstance(place, Request):
            self.rows.remove(place)
        row = Request(record, min(now + lives, INT64_MAX), order, quorum)
        self.rows.append(row)
        return row

    def close(self, agent: int, action_id: int) -> None:
        row = self.of(agent, action_id)
        if row is not None:
            self.rows.remove(row)

    def take(self, verb: Verb, record: int, signers: list[int], now: int) -> int:
        """APPROVE or REJECT: the status."""
        known = self.approvers
        if not signers or any(key not in known or now >= known[key].expires for key in signers):
            return POLICY_SIGNATURE
        row = self.named(record)
        if row is None or row.is_over(now):
            return POLICY_APPROVAL
        if verb == Verb.REJECT:
            row.rejected = True
            return 0
        if self.count(row, now) >= row.quorum or set(signers) & set(row.approvers):
            return POLICY_APPROVAL
        if len(row.approvers) + len(signers) > APPROVERS_OF_ROW:
            return POLICY_APPROVAL
        row.approvers += signers
        return 0

    def take_authority(self, approvers: dict[int, Approver]) -> None:
        """What was given by a key that is gone, or is another's now, is taken back."""
        for row in self.rows:
            row.approvers = [
                key
                for key in row.approvers
                if key in approvers and approvers[key].secret == self.approvers[key].secret
            ]
        self.approvers = approvers
