"""Signing and sending a drain's plan: one thread a venue, so that none waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

from . import _core
from ._drain_steps import CANCEL_ALL, CLOSE, Plan, Stay, Step
from ._enums import Action, QueryWhat, label
from ._submit_report import OPEN, ExecutionReport, ExecutionStatus
from .errors import (
    NeverArrived,
    NotSent,
    OutcomeUnknown,
    PolicyDenied,
    RateLimited,
    RequestExpired,
    SentinelError,
    UnknownOrder,
    VenueUnavailable,
)
from .order import Query
from .pending import OrderPending
from .sign import Session, SignedOrder, Signer
from .submit import Submitter

CANCELLED: Final = "cancelled"
GONE: Final = "gone"
CLOSED: Final = "closed"
PARTLY: Final = "partly_closed"
RESTING: Final = "resting"
POLICY: Final = "refused_by_policy"
VENUE: Final = "refused_by_venue"
UNKNOWN: Final = "unknown"
NOT_SENT: Final = "not_sent"
_ENDED: Final = (CANCELLED, GONE, CLOSED)
_SILENT_MAX: Final = 2
"""So many orders in a row without any answer, and the venue counts as dead."""
_WAIT_LONGEST_S: Final = 10.0

Progress = Callable[[Step, str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one step. `why`: in words where it did not come to its end; `record`: of the
    last order that was signed for it, 0 for none; `tries`: how many were.
    """

    step: Step
    outcome: str
    why: str = ""
    record: int = 0
    tries: int = 0
    venue_order_ids: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp drain --json`."""
        return {
            **self.step.to_json(),
            "outcome": self.outcome,
            "why": self.why,
            "record": self.record or None,
            "tries": self.tries,
            "venue_order_ids": list(self.venue_order_ids),
        }


@dataclass(frozen=True, slots=True)
class _Again:
    """A try without an end. `again`: it may be signed again; `dead`: the venue was not reached, or
    says that it is down; `silent`: it did not say what came of it.
    """

    outcome: str
    why: str
    again: bool = True
    dead: bool = False
    silent: bool = False


@dataclass(slots=True)
class VenueReport:
    """What came of a venue's steps. `dead`: why it counts as dead, "" when it answers. `checked`:
    instruments whose open orders the venue was asked for, after the cancels. `still_open` is
    empty when nothing that the engine or the venue knows of is left there.
    """

    venue: str
    dead: str = ""
    done: list[Done] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    still_open: list[Stay] = field(default_factory=list)

    def of(self, *outcomes: str) -> list[Done]:
        """The steps that ended so."""
        return [row for row in self.done if row.outcome in outcomes]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp drain --json`."""
        return {
            "venue": self.venue,
            "dead": self.dead or None,
            "steps": [row.to_json() for row in self.done],
            "checked": list(self.checked),
            "still_open": [row.to_json() for row in self.still_open],
        }

    def lines(self) -> list[str]:
        """The report for people."""
        counts = [
            f"{len(self.of(outcome))} {outcome.replace('_', ' ')}"
            for outcome in dict.fromkeys(row.outcome for row in self.done)
        ]
        lines = [f"{self.venue}: {', '.join(counts) or 'nothing to do'}"]
        lines += [f"  DEAD       {self.dead}"] if self.dead else []
        lines += [
            f"  {row.step.number:>3}  {row.outcome.replace('_', ' ')}: {row.step.text}: {row.why}"
            for row in self.done
            if row.outcome not in _ENDED
        ]
        lines += [f"  still open {row.text()}" for row in self.still_open]
        return lines


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a plan, by name of the venue."""

    venues: Mapping[str, VenueReport]

    @property
    def is_done(self) -> bool:
        """Nothing is open but what a drain cannot close."""
        return not any(row.blocks for one in self.venues.values() for row in one.still_open)

    @property
    def is_unknown(self) -> bool:
        """Of some step, nobody knows what came."""
        return any(one.of(UNKNOWN) for one in self.venues.values())

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp drain --json`."""
        return {"done": self.is_done, "venues": [one.to_json() for one in self.venues.values()]}

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [line for one in self.venues.values() for line in one.lines()]
        end = "done: nothing is open" if self.is_done else "NOT DONE: something is still open"
        return [*lines, end]


class Sender:
    """Works a plan off. `fresh` makes the plan again: closes are by the position of that moment."""

    def __init__(
        self,
        signer: Signer,
        submitter: Submitter,
        fresh: Callable[[], Plan],
        *,
        tries: int,
        pause_s: float,
        progress: Progress | None,
    ) -> None:
        self._signer, self._submitter, self._fresh = signer, submitter, fresh
        self._tries, self._pause_s = tries, pause_s
        self._progress = progress
        self._lock = threading.Lock()

    def run(self, plan: Plan) -> Report:
        """Every venue at the same time; inside one, step after step."""
        made = {venue: VenueReport(label(venue)) for venue in plan.venues}
        for stay in plan.stays:
            made[stay.venue].still_open.append(stay)
        busy = {
            venue: [step for step in plan.steps if step.venue is venue]
            for venue in made
            if any(step.venue is venue for step in plan.steps)
        }
        with ThreadPoolExecutor(max(1, len(busy))) as threads:
            works = [_VenueWork(self, made[venue], steps) for venue, steps in busy.items()]
            runs = [(work, threads.submit(work.run)) for work in works]
        for work, run in runs:
            if error := run.exception():  # of one venue: what came of the others is told
                work.give_up(f"{type(error).__name__}: {error}")
        return Report({one.venue: one for one in made.values()})

    def session(self, agent: str) -> Session:
        """The agent's session."""
        return self._signer.session(agent)

    def tell(self, step: Step, outcome: str) -> None:
        """Progress, from one thread at a time."""
        if self._progress is not None:
            with self._lock:
                self._progress(step, outcome)

    def close_now(self, step: Step) -> Step | None:
        """The close of the position as it is now; None when there is none left."""
        for one in self._fresh().steps:
            if (one.kind, one.instrument) == (CLOSE, step.instrument):
                return one.numbered(step.number)
        return None

    @property
    def submitter(self) -> Submitter:
        """What sends."""
        return self._submitter

    @property
    def tries(self) -> int:
        """How often one step is tried."""
        return self._tries

    def pause(self, seconds: float | None = None) -> None:
        """Waits between two tries."""
        time.sleep(self._pause_s if seconds is None else min(seconds, _WAIT_LONGEST_S))


class _VenueWork:
    """One venue's steps, in one thread."""

    def __init__(self, sender: Sender, report: VenueReport, steps: list[Step]) -> None:
        self._sender, self._report, self._steps = sender, report, steps
        self._silent = 0
        self._open: dict[int, list[Stay]] = {}  # by instrument, for as long as it is not checked

    def run(self) -> None:
        cancels = [step for step in self._steps if step.kind != CLOSE]
        for step in cancels:
            self._cancel(step)
        self._check(cancels)
        self._tell_open()
        for step in self._steps:
            if step.kind == CLOSE:
                self._close(step)

    def give_up(self, why: str) -> None:
        """Says what was not done, after a fault of this program."""
        self._report.dead = f"given up: {why}"
        ended = {row.step.number for row in self._report.done}
        for step in self._steps:
            if step.number not in ended:
                self._note(Done(step, NOT_SENT, why))
                self._left(step, why)
        self._tell_open()

    def _tell_open(self) -> None:
        for rows in self._open.values():
            self._report.still_open += rows
        self._open.clear()

    # ---- Steps ----------------------------------------------------------------

    def _cancel(self, step: Step) -> None:
        done = self._try(step)
        if step.kind == CANCEL_ALL and done.outcome in (POLICY, VENUE):
            # One by one they may still go: another right, or another endpoint of the venue.
            self._note(done)
            for one in step.instead:
                self._cancel(one.numbered(step.number))
            return
        self._note(done)
        if done.outcome not in _ENDED:
            self._left(step, done.why)

    def _left(self, step: Step, why: str) -> None:
        what = f"orders {', '.join(map(str, step.targets))} of {step.agent}"
        if step.kind == CLOSE:
            what = f"its position, which was to be closed by: {step.text}"
        row = Stay(step.venue, step.name, what, why)
        if step.kind == CLOSE or step.triggered:
            self._report.still_open.append(row)
        else:
            self._open.setdefault(step.instrument, []).append(row)

    def _close(self, step: Step) -> None:
        now = self._sender.close_now(step)
        if now is None:
            self._note(Done(step, GONE, "the engine knows of no position any more"))
            return
        done = self._try(now)
        self._note(done)
        if done.outcome not in _ENDED:
            self._left(now, done.why)

    def _note(self, done: Done) -> None:
        self._report.done.append(done)
        self._sender.tell(done.step, done.outcome)

    # ---- One step ---------------------------------------------------------------

    def _try(self, step: Step) -> Done:
        """Signs and sends until it is definite, at most so often as is asked for."""
        last, record = _Again(NOT_SENT, ""), 0
        for count in range(1, self._sender.tries + 1):
            if self._report.dead:
                return Done(step, NOT_SENT, f"dead: {self._report.dead}", record, count - 1)
            if count > 1:
                self._sender.pause()
            try:
                session = self._sender.session(step.agent)
                signed = session.sign(step.order)
            except PolicyDenied as error:
                why = f"{error.reason}: {error}"
                if error.retry_after is None:
                    return Done(step, POLICY, why, record, count)
                last = _Again(POLICY, why)
                self._sender.pause(error.retry_after.total_seconds())
                continue
            except OrderPending as error:
                return Done(step, POLICY, f"it waits for approvers: {error}", record, count)
            except SentinelError as error:
                return Done(step, POLICY, str(error), record, count)
            record = signed.handle.record
            found = self._submit(step, signed, session)
            if isinstance(found, Done):
                self._silent = 0
                return replace(found, record=record, tries=count)
            last = found
            if not found.again:
                break
        self._judge(last)
        return Done(step, last.outcome, last.why, record, count)

    def _judge(self, last: _Again) -> None:
        """A venue that cannot be reached, or keeps silent, is left alone from here on."""
        self._silent = self._silent + 1 if last.silent else 0
        if last.dead:
            self._report.dead = last.why
        elif self._silent >= _SILENT_MAX:
            self._report.dead = f"it does not answer: {last.why}"

    def _submit(self, step: Step, signed: SignedOrder, session: Session) -> Done | _Again:
        """What came of it."""
        try:
            report = self._sender.submitter.submit(signed, session=session)
        except UnknownOrder as error:
            return Done(step, VENUE if step.kind == CLOSE else GONE, str(error))
        except RateLimited as error:
            self._sender.pause(error.retry_after_s)
            return _Again(NOT_SENT, str(error))
        except (NeverArrived, RequestExpired) as error:
            return _Again(NOT_SENT, str(error))
        except (NotSent, VenueUnavailable) as error:
            return _Again(NOT_SENT, str(error), dead=True)
        except OutcomeUnknown as error:
            # A cancel twice does no harm; a close twice might.
            why = f"{error}; {error.cause}"
            return _Again(UNKNOWN, why, again=step.kind != CLOSE, silent=True)
        except SentinelError as error:
            return Done(step, VENUE, str(error))
        if step.kind == CLOSE:
            return self._settled(step, signed, session, report)
        return Done(step, CANCELLED, "", venue_order_ids=_ids(report))

    def _settled(
        self, step: Step, signed: SignedOrder, session: Session, report: ExecutionReport
    ) -> Done:
        """What a close ended as: some venues first say only that they took it, and are asked."""
        for _ in range(self._sender.tries):
            if report.status not in OPEN:
                break
            self._sender.pause()
            try:
                report = self._sender.submitter.submit(signed, session=session)
            except SentinelError as error:
                return Done(step, UNKNOWN, f"{report.status}, and then: {error}")
        ids = _ids(report)
        if report.status is ExecutionStatus.FILLED:
            return Done(step, CLOSED, venue_order_ids=ids)
        if report.status in OPEN:
            return Done(step, RESTING, f"the order is {report.status}", venue_order_ids=ids)
        filled = report.filled_quantity or "nothing that is known"
        why = f"{report.status}, filled {filled}"
        return Done(step, PARTLY, why, venue_order_ids=ids)

    # ---- What the venue says is open ----------------------------------------------

    def _check(self, cancels: list[Step]) -> None:
        """Asks for what is open, where that can be signed: some cancels are taken before they are
        done, and what the book does not know may be open, too.
        """
        if self._report.dead:
            return
        seen: set[tuple[str, int, int]] = set()
        for step in cancels:
            place = (step.agent, step.instrument, step.order.key)
            if place in seen or _core.hold(step.venue, Action.QUERY) is None:
                continue
            seen.add(place)
            ids = self._ask(step)
            if ids is None:
                continue
            self._report.checked.append(step.name)
            self._open.pop(step.instrument, None)
            if ids:
                what = f"orders {', '.join(ids)} of the venue"
                why = "the venue says that they are open"
                row = Stay(step.venue, step.name, what, why)
                self._open.setdefault(step.instrument, []).append(row)

    def _ask(self, step: Step) -> tuple[str, ...] | None:
        """Ids of the venue's own; None where it cannot be asked."""
        query = Query(what=QueryWhat.OPEN_ORDERS, instrument=step.instrument, key=step.order.key)
        found: tuple[str, ...] | None = None
        for count in range(self._sender.tries):
            if count:
                self._sender.pause()
            try:
                session = self._sender.session(step.agent)
                report = self._sender.submitter.submit(session.sign(query), session=session)
            except (PolicyDenied, OrderPending):
                return found
            except SentinelError:
                continue
            found = report.venue_order_ids
            if not found:
                break
        return found


def _ids(report: ExecutionReport) -> tuple[str, ...]:
    return report.venue_order_ids or ((report.venue_order_id,) if report.venue_order_id else ())
