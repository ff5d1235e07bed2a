"""Execution reports for the engine: what venues answered, signed with a feeder's own key.

    from sentinel import Signer
    from sentinel.feeder import Feeder, FeederKey
    from sentinel.submit import Submitter

    key = FeederKey.open("engine/keys/authority", passphrase=secret)
    with Signer.open("engine") as signer, Submitter() as submitter, Feeder(signer, key) as feeder:
        session = signer.session("maker")
        signed = session.sign(order)
        try:
            feeder.hear(session, signed, submitter.submit(signed, session=session))
        except SubmitError as error:
            feeder.hear(session, signed, error)
            raise

Reports are gathered, up to 32 a frame, and each frame has the sequence behind the last that the
engine took. docs/2-policy.md, "Reports", says what the engine makes of them; docs/submit.md,
"Feeding reports", what of an answer becomes one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from . import _core
from ._enums import FEED_REPORTS_MAX, FeedKind, OrderStatus, Power
from ._feeder_rows import Rows
from ._frame import Authority, FrameKind, parse_authority, unsafe_parse_frame
from ._layout import FEED, FedReport, attach_proofs, frame_hash, report_feed
from ._log import spool_answer, writer_is_alive
from ._order import DecimalText, decimal_of
from ._own_key import OwnKey
from ._status import Status
from ._submit_report import ExecutionReport
from .audit import restore
from .config import Installed
from .errors import KeyFileError, PolicyInvalid, SentinelError, raise_status
from .policy import Policy
from .sign import Session, SignedOrder, Signer

if TYPE_CHECKING:
    from ._service import Service

__all__ = ["Feeder", "FeederKey"]

ISSUED_BEFORE_NS: Final = 100_000_000
"""Through the spool a frame is dated back so much: the writer's clock reading may be older."""
_WAIT_S: Final = 5.0
_POLL_S: Final = 0.01


class FeederKey(OwnKey):
    """A feeder's own key, from its key file (`zcp authority keygen`, or `keys/authority`)."""

    def ids(self, authority: Authority, now_ns: int) -> tuple[tuple[int, bytes], ...]:
        """Id and public half of the keys that sign; the first one's sequence counts.

        Raises KeyFileError when the authority gives too few of this file's keys the power.
        """
        held = tuple(
            (id_, public)
            for id_, (powers, expires, public) in sorted(authority.keys.items())
            if public in self._keys.ids and powers >> Power.FEED_EXECUTION & 1 and now_ns < expires
        )
        needed = authority.threshold[Power.FEED_EXECUTION]
        if not needed or len(held) < needed:
            raise KeyFileError(
                f"{self.path}: the engine's authority takes no reports from this key file",
                cause=f"{len(held)} keys of it may feed executions now, {needed or 1} must sign",
                next_step="zcp authority show lists who feeds;"
                " zcp authority draft --add FILE.pub:feed_execution adds one",
            )
        return held[:needed]

    def frame(
        self,
        installed: Installed | Service,
        authority: Authority,
        reports: Sequence[FedReport],
        *,
        sequence: int,
        issued_ns: int,
    ) -> bytes:
        """A signed frame of 1 to 32 reports. Raises KeyFileError, UsageError."""
        rows = [replace(row, time_ns=min(row.time_ns, issued_ns)) for row in reports]
        part = report_feed(rows, installed.terms(sequence, issued_ns))
        digest = frame_hash(part)
        return attach_proofs(
            part,
            [
                (id_, self._keys.sign(public, FrameKind.FEED, digest))
                for id_, public in self.ids(authority, issued_ns)
            ],
        )


def authority_of(installed: Installed | Service) -> Authority:
    """The authority in force. Raises StorageError, AuditError."""
    return parse_authority(unsafe_parse_frame(installed.authority(), FrameKind.AUTHORITY).payload)


def row_of(
    policy: Policy,
    agent: str | int,
    action_id: int,
    status: OrderStatus,
    filled: DecimalText,
    price: DecimalText | None,
    time_ns: int,
) -> FedReport:
    """One report. Raises UsageError, OrderInvalid."""
    return FedReport(
        policy.agent(agent).id,
        status,
        action_id,
        decimal_of(filled, "filled"),
        decimal_of("0" if price is None else price, "price"),
        time_ns,
    )


class Feeder:
    """Gathers reports, and feeds them in frames that follow each other.

    `engine` is the process's own Signer, or the engine's directory when another process is the
    writer: then frames go through the spool, one at a time, and each answer is waited for, at most
    `wait_s` seconds. One key is for one feeder at a time: two that count with one key look like a
    replay, and the engine halts. Its methods may be called from any thread.

    What the engine refuses, it has not taken: the rows stay in `waiting`, and the sequence is used
    again. `leave_out` takes back what cannot be fed.
    """

    def __init__(
        self, engine: Signer | str | PathLike[str], key: FeederKey, *, wait_s: float = _WAIT_S
    ) -> None:
        self._signer = engine if isinstance(engine, Signer) else None
        self._installed = (
            engine.installed if isinstance(engine, Signer) else Installed(Path(engine))
        )
        self._key = key
        self._wait_s = wait_s
        self._lock = threading.RLock()
        self._rows = Rows()
        self._waiting: list[FedReport] = []
        self._authority = authority_of(self._installed)
        self._sequences: dict[int, int] = {}
        self._ticket: tuple[int, int] | None = None  # in the spool: ticket, how many rows
        self.reports = 0
        self.frames = 0
        first = key.ids(self._authority, time.time_ns())[0][0]
        if self._signer is None:
            self._adopt(first)

    # ---- What was heard ---------------------------------------------------

    def hear(
        self,
        agent: Session | str | int,
        signed: SignedOrder,
        outcome: ExecutionReport | SentinelError,
        *,
        now_ns: int | None = None,
    ) -> bool:
        """What `Submitter.submit` returned or raised, in the order in which it did; whether that
        is a report. The frame is fed once 32 wait, else by `flush`. Raises what `flush` raises.
        """
        now = time.time_ns() if now_ns is None else now_ns
        with self._lock:
            row = self._rows.of(self._agent(agent), signed, outcome, now)
            if row is not None:
                self._add(row, now_ns)
        return row is not None

    def tell(
        self,
        agent: Session | str | int,
        action_id: int,
        status: OrderStatus,
        filled: DecimalText = "0",
        *,
        price: DecimalText | None = None,
        time_ns: int | None = None,
        now_ns: int | None = None,
    ) -> None:
        """What is known in another way, such as from a venue's stream: `filled` is in all, in the
        instrument's unit. Raises UsageError, OrderInvalid, and what `flush` raises.
        """
        now = time.time_ns() if now_ns is None else now_ns
        when = now if time_ns is None else min(time_ns, now)
        with self._lock:
            node = self._agent(agent)
            self._add(row_of(self._policy(), node, action_id, status, filled, price, when), now_ns)

    def _add(self, row: FedReport, now_ns: int | None) -> None:
        report_feed([row], self._installed.terms(1, row.time_ns))  # Its form, before it waits.
        self._waiting.append(row)
        if len(self._waiting) >= FEED_REPORTS_MAX:
            self.flush(now_ns=now_ns)

    def _policy(self) -> Policy:
        return self._installed.policy() if self._signer is None else self._signer.policy

    def _agent(self, agent: Session | str | int) -> int:
        return agent.agent if isinstance(agent, Session) else self._policy().agent(agent).id

    @property
    def waiting(self) -> tuple[FedReport, ...]:
        """What is not taken yet, the oldest first."""
        with self._lock:
            return tuple(self._waiting)

    def leave_out(self, agent: Session | str | int, action_id: int) -> int:
        """Takes back what waits of one action; how many reports that are. What is on its way in the
        spool stays.
        """
        with self._lock:
            node, sent = self._agent(agent), self._ticket[1] if self._ticket else 0
            left = [
                row
                for at, row in enumerate(self._waiting)
                if at < sent or (row.agent, row.action_id) != (node, action_id)
            ]
            gone = len(self._waiting) - len(left)
            self._waiting = left
            return gone

    # ---- Feeding ----------------------------------------------------------

    def flush(self, *, now_ns: int | None = None) -> int:
        """Feeds all that waits; how many reports the engine took.

        Raises PolicyInvalid: POLICY_REPORT where a report contradicts what was signed, and the
        engine has stopped the agent, or the firm. Through the spool fewer are taken than wait where
        the writer did not answer in time: the next `flush` goes on there.
        """
        taken = 0
        with self._lock:
            while self._waiting or self._ticket is not None:
                if self._signer is None:
                    count = self._feed_by_spool()
                    if count is None:
                        break
                else:
                    count = self._feed_by(self._signer, now_ns)
                taken += count
        return taken

    def _frame(self, now_ns: int) -> tuple[bytes, int, int]:
        """The next frame, its key and how many rows it has."""
        rows = self._waiting[:FEED_REPORTS_MAX]
        key = self._key.ids(self._authority, now_ns)[0][0]
        if key not in self._sequences:
            engine = self._signer or restore(self._installed.directory)
            self._sequences[key] = engine.feeders().get(key, 0)
        sequence = self._sequences[key] + 1
        frame = self._key.frame(
            *(self._installed, self._authority, rows), sequence=sequence, issued_ns=now_ns
        )
        return frame, key, len(rows)

    def _done(self, key: int, count: int) -> int:
        self._sequences[key] += 1
        del self._waiting[:count]
        self.reports += count
        self.frames += 1
        return count

    def _feed_by(self, signer: Signer, now_ns: int | None) -> int:
        now = time.time_ns() if now_ns is None else now_ns
        frame, key, count = self._frame(now)
        try:
            signer.take(frame, now_ns=now)
        except PolicyInvalid as error:
            if error.status != Status.POLICY_SIGNATURE or not self._renewed():
                raise
            return 0  # The authority has changed since: signed anew.
        return self._done(key, count)

    def _renewed(self) -> bool:
        """Whether the authority in force is another one than it was."""
        before, self._authority = self._authority, authority_of(self._installed)
        return self._authority != before

    def _feed_by_spool(self) -> int | None:
        directory = self._installed.directory
        if self._ticket is None:
            frame, self._spooled_by, count = self._frame(time.time_ns() - ISSUED_BEFORE_NS)
            self._ticket = (_core.spool_submit(directory, frame), count)
        ticket, count = self._ticket
        end = time.monotonic() + self._wait_s
        while not (answer := spool_answer(directory, ticket)):
            if time.monotonic() >= end or not writer_is_alive(directory):
                return None
            time.sleep(_POLL_S)
        self._ticket = None
        status = int.from_bytes(answer[:4], "little")
        if status:
            self._sequences.clear()
            if status == Status.POLICY_SIGNATURE and self._renewed():
                return 0
            raise_status(status, "the engine's writer did not take the reports")
        if not count:  # Of the process before: the engine knows how far it came.
            self._sequences.clear()
            return 0
        return self._done(self._spooled_by, count)

    def _adopt(self, key: int) -> None:
        """A frame that a process before this one left in the spool comes first."""
        for path in sorted((self._installed.directory / "spool").glob("[0-9]" * 20)):
            with contextlib.suppress(SentinelError, OSError):
                frame = unsafe_parse_frame(path.read_bytes(), FrameKind.FEED)
                fed = FEED.unpack(frame.payload[: FEED.size])
                by = frame.proofs[0].key if frame.proofs else 0
                if fed["kind"] == FeedKind.EXECUTION and by == key:
                    self._ticket = (int(path.name), 0)

    # ---- Its life ---------------------------------------------------------

    def close(self, now_ns: int | None = None) -> None:
        """Feeds what waits. Raises what `flush` raises."""
        self.flush(now_ns=now_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        with contextlib.suppress(SentinelError):  # What went wrong first is what is told.
            self.close()
