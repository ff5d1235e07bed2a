"""Requests for approval in words: what waits, for whom, until when, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import units
from ._enums import Command, Power, label
from ._frame import FrameKind, unsafe_parse_frame
from ._layout import COMMAND
from ._people import Public
from ._record import RecordFlag, RecordType, Verdict
from ._types import EngineState, PendingState
from ._value import value_of
from .audit import find_record, read_log, restore
from .config import Installed, find_text
from .errors import UsageError
from .receipt import iso_time
from .story import describe_record

STATES = ("open", "approved", "rejected", "expired")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command said of a request."""

    verb: str
    by: tuple[str, ...]
    reason: str
    record: int
    time_ns: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "verb": self.verb,
            "by": list(self.by),
            "reason": self.reason,
            "record": self.record,
            "time": iso_time(self.time_ns),
        }


@dataclass(frozen=True, slots=True)
class Request:
    """An order that waits, or waited until just now.

    `state`: "open", "approved" (the agent may ask again, and it is judged again), "rejected" or
    "expired". `approvals`: how many approvers count now, of `needed`; `approved_by` names them.
    `constraints`: what each rule said when the request was made; `value`: what it was worth then,
    whether a rule asked for it or not, or why that is not known (`value_micro_usd` is None).
    """

    record: int
    record_hash: bytes
    state: str
    agent: str
    action_id: int
    text: str
    value: str
    value_micro_usd: int | None
    asked_ns: int
    expires_ns: int
    needed: int
    approvals: int
    approved_by: tuple[str, ...]
    constraints: tuple[Mapping[str, Any], ...]
    order: Mapping[str, Any]
    stated_reasons: str

    def to_json(self, now_ns: int) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "record": self.record,
            "record_hash": self.record_hash.hex(),
            "state": self.state,
            "agent": self.agent,
            "action_id": self.action_id,
            "text": self.text,
            "value": self.value,
            "value_micro_usd": self.value_micro_usd,
            "asked": iso_time(self.asked_ns),
            "age_s": max(now_ns - self.asked_ns, 0) // 10**9,
            "expires": iso_time(self.expires_ns),
            "needed": self.needed,
            "approvals": self.approvals,
            "approved_by": list(self.approved_by),
            "constraints": list(self.constraints),
            "order": dict(self.order),
            "stated_reasons": self.stated_reasons,
        }

    def waits(self, now_ns: int) -> str:
        """How long it has waited, and how long it may, in words."""
        age = span(now_ns - self.asked_ns)
        left = self.expires_ns - now_ns
        until = f"expires in {span(left)}" if left > 0 else "expired"
        return f"asked {age} ago, {until}"

    def lines(self, now_ns: int) -> list[str]:
        """The whole context, for people."""
        by = f" by {', '.join(self.approved_by)}" if self.approved_by else ""
        lines = [
            f"record     {self.record}, hash {self.record_hash.hex()}",
            f"order      {self.text}",
            f"agent      {self.agent}, action {self.action_id}",
            f"value      {self.value}",
            f"state      {self.state}: {self.approvals} of {self.needed} approvals{by}",
            f"time       {self.waits(now_ns)} ({iso_time(self.expires_ns)})",
        ]
        if self.stated_reasons:
            lines.append(f"reasons    {self.stated_reasons}")
        return lines + [f"rule       {rule_text(row)}" for row in self.constraints]


def rule_text(row: Mapping[str, Any]) -> str:
    """What one constraint said, on one line."""
    name = f" {row['name']!r}" if row["name"] else ""
    value, bound = row.get("value_text", row["value"]), row.get("bound_text", row["bound"])
    return f"{row['result']} {row['type']}{name}: {value}, bound {bound}"


def span(ns: int) -> str:
    """A time that passes, to the second."""
    seconds = max(ns, 0) // 10**9
    return units.format_duration(seconds * 10**9) if seconds else "less than 1s"


def requests_of(
    installed: Installed, state: EngineState, public: Public, now_ns: int
) -> tuple[Request, ...]:
    """Every row of the engine's state, the oldest first."""
    return tuple(_request(installed, row, public, now_ns) for row in state.pending)


def request_of(
    installed: Installed, state: EngineState, public: Public, record: int, now_ns: int
) -> Request:
    """One of them. Raises UsageError when that record is none that waits."""
    for row in state.pending:
        if row.record == record:
            return _request(installed, row, public, now_ns)
    raise UsageError(
        f"record {record} is no order that waits",
        cause="it was signed, withdrawn or replaced, or never waited",
        next_step=f"zcp approvals list shows what waits; zcp audit show {record} what it is",
    )


def _request(installed: Installed, row: PendingState, public: Public, now_ns: int) -> Request:
    record = find_record(installed.directory, row.record)
    told, value = describe_record(installed, record), value_of(installed, record)
    in_force = public.holders(Power.APPROVER, now_ns)
    counted = [key for key in row.approvers if key in in_force]
    state = "approved" if len(counted) >= row.quorum else "open"
    if row.rejected:
        state = "rejected"
    elif now_ns >= row.expires_ns:
        state = "expired"
    return Request(
        record=row.record,
        record_hash=row.record_hash,
        state=state,
        agent=told.get("agent", str(row.agent)),
        action_id=row.action_id,
        text=told.get("text", "unreadable"),
        value=value.text,
        value_micro_usd=value.micro_usd,
        asked_ns=record.now_ns,
        expires_ns=row.expires_ns,
        needed=row.quorum,
        approvals=len(counted),
        approved_by=tuple(public.name(key) for key in counted),
        constraints=tuple(told.get("constraints", ())),
        order=told.get("order", {}),
        stated_reasons=told.get("stated_reasons", ""),
    )


def answers_of(installed: Installed, record: int, public: Public) -> Iterator[Answer]:
    """What approvers said of a record, and that the agent took it back, from the log."""
    for found in read_log(installed.directory, record):
        if found.type is RecordType.WITHDRAWN and found.pending == record:
            yield Answer("withdraw", (), "", found.number, found.now_ns)
        if found.type is not RecordType.COMMAND:
            continue
        frame = unsafe_parse_frame(found.subject, FrameKind.COMMAND)
        command = COMMAND.unpack(frame.payload)
        if command["record"] == record and command["verb"] in (Command.APPROVE, Command.REJECT):
            yield Answer(
                label(Command(command["verb"])),
                tuple(public.name(proof.key) for proof in frame.proofs),
                find_text(installed.directory, command["reason_digest32"]) or "",
                found.number,
                found.now_ns,
            )


def outcome_of(installed: Installed, record: int) -> str:
    """What became of a request that waits no more."""
    for found in read_log(installed.directory, record + 1):
        if found.pending != record:
            continue
        if found.type is RecordType.WITHDRAWN:
            return f"withdrawn (record {found.number})"
        if found.verdict is Verdict.ALLOWED:
            return f"signed (record {found.number})"
    return "not signed"


@dataclass(frozen=True, slots=True)
class Event:
    """What a stretch of the log says: an order began to wait (`notice` is None), or one was signed
    of an action that people want to know of.
    """

    record: int
    time_ns: int
    notice: str | None


def events_of(installed: Installed, first: int, end: int) -> Iterator[Event]:
    """The events from a record on, up to before another."""
    for record in read_log(installed.directory, first) if first < end else ():
        if record.number >= end:
            return
        if record.verdict is Verdict.PENDING:
            yield Event(record.number, record.now_ns, None)
        elif record.has(RecordFlag.NOTIFY) and record.verdict is Verdict.ALLOWED:
            text = str(describe_record(installed, record).get("text", ""))
            yield Event(record.number, record.now_ns, text)


def request_as_asked(installed: Installed, public: Public, asked: Event) -> Request:
    """A request as it was when it was made, also one that waits no more."""
    state = restore(installed.directory, asked.record).state()
    return request_of(installed, state, public, asked.record, asked.time_ns)
