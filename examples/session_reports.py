"""What the venues said of the session's orders, fed to the engine: reports, and questions.

Some answers do not say what became of an order: a venue acknowledges first and matches later, or
says "cancelled" without what was filled until then. There the venue is asked, and what it says then
is what is reported. At the session's end every order that still rests is cancelled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from examples.six_venues import SixVenues
from sentinel import PolicyDenied, Signer
from sentinel._enums import Action, OrderType, TimeInForce, Venue, label
from sentinel.errors import SubmitError
from sentinel.feeder import Feeder
from sentinel.order import Cancel
from sentinel.sign import Session, SignedOrder
from sentinel.submit import ExecutionReport, ExecutionStatus

_OPEN: Final = (ExecutionStatus.ACCEPTED, ExecutionStatus.PARTIALLY_FILLED)
CANCEL_EVERY_MS: Final = 50


@dataclass
class Resting:
    """An order that may rest at its venue; `number` is the venue's."""

    session: Session
    signed: SignedOrder
    instrument: int
    number: str


class Reports:
    """Sends what was signed, and feeds what comes back."""

    def __init__(self, signer: Signer, feeder: Feeder, venues: SixVenues) -> None:
        self._signer, self._feeder, self._venues = signer, feeder, venues
        self._resting: dict[tuple[int, int], Resting] = {}
        self.asked: Counter[str] = Counter()
        self.silent = 0

    @property
    def _now_ns(self) -> int:
        return self._venues.clock.ms * 1_000_000

    def send(self, signed: SignedOrder, session: Session) -> ExecutionReport:
        """Sends one order and feeds what is said of it. Raises SubmitError."""
        try:
            report = self._venues.send(signed, session)
        except SubmitError as error:
            self._feeder.hear(session, signed, error, now_ns=self._now_ns)
            raise
        self._count(signed, report)
        self._feeder.hear(session, signed, report, now_ns=self._now_ns)
        self._follow(session, signed, report)
        return report

    def flush(self) -> None:
        """Feeds what waits."""
        self._feeder.flush(now_ns=self._now_ns)

    def _count(self, signed: SignedOrder, report: ExecutionReport) -> None:
        self.asked[label(signed.venue)] += report.asked

    def _ask(self, session: Session, signed: SignedOrder, number: str = "") -> bool:
        """Whether the order has ended; what the venue says of it is fed."""
        try:
            report = self._venues.ask(signed, session, number)
        except SubmitError:  # Nobody knows: there is nothing to report.
            self.silent += 1
            return False
        self._count(signed, report)
        self._feeder.hear(session, signed, report, now_ns=self._now_ns)
        return report.status not in _OPEN

    def _follow(self, session: Session, signed: SignedOrder, report: ExecutionReport) -> None:
        order: Any = signed.order
        key = (session.agent, signed.action_id)
        if signed.action is Action.PLACE:
            if report.status not in _OPEN:
                return
            if _ends_at_once(order) and self._ask(session, signed):
                return
            self._resting[key] = Resting(session, signed, order.instrument, report.venue_order_id)
        elif signed.action is Action.AMEND and signed.venue is Venue.HYPERLIQUID:
            self._amended(session, signed, report)
        elif signed.action is Action.CANCEL:
            if report.filled_quantity is not None or self._ask(session, signed):
                self._resting.pop((session.agent, order.target_action), None)
        elif signed.action is Action.CANCEL_ALL:
            # It is of the account, which agents may share.
            for at, row in list(self._resting.items()):
                is_meant = (row.signed.account, row.instrument) == (
                    signed.account,
                    order.instrument,
                )
                if is_meant and self._ask(row.session, row.signed):
                    del self._resting[at]

    def _amended(self, session: Session, signed: SignedOrder, report: ExecutionReport) -> None:
        """The order has ended there, and another one of its name rests."""
        order: Any = signed.order
        row = self._resting.get((session.agent, order.target_action))
        if row is not None:
            self._ask(session, row.signed, row.number)
            row.signed, row.number = signed, report.venue_order_id

    def close_out(self) -> int:
        """Cancels all that rests, one order every few milliseconds; how many were cancelled."""
        cancelled = 0
        for agent, action_id in list(self._resting):
            self._venues.clock.ms += CANCEL_EVERY_MS
            session = self._resting[agent, action_id].session
            try:
                cancel = session.sign(Cancel(target_action=action_id), now_ns=self._now_ns)
            except PolicyDenied:
                continue
            self._venues.cancels[label(cancel.venue)] += 1
            try:
                self.send(cancel, session)
            except SubmitError:
                continue
            cancelled += 1
        self.flush()
        return cancelled


def _ends_at_once(order: Any) -> bool:
    return order.type is OrderType.MARKET or (
        order.type is OrderType.LIMIT and order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    )
