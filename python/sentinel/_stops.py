"""Halts and drains in words: what is stopped, since when, by whom, why, and what lifts it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ._enums import Cause, Power, Scope, Venue, label
from ._frame import Authority, FrameKind, parse_authority, unsafe_parse_frame
from ._in_force import stop_word
from ._layout import AUTO_STOP
from ._people import name_of_key, names_of
from ._record import Record, RecordType
from ._story_feed import describe_stop
from ._types import EngineState, StopState
from .config import Installed, find_text
from .errors import SentinelError, UsageError
from .policy import Policy
from .receipt import iso_time

MODES: Final = ("running", "draining", "halted")
OPTION: Final = {Scope.NODE: "--scope", Scope.VENUE: "--venue", Scope.INSTRUMENT: "--instrument"}


@dataclass(frozen=True, slots=True)
class Stop:
    """What stops a node, a venue or an instrument.

    `mode` is the one that counts: a drain is a halt from `until_ns` (0: it has no end). `path` is
    the node's path, or the name of the venue or instrument. `cause`: who or what did it;
    `signed_by`: ids of the operators' keys, as the command in `record` has them; `signers`: their
    names, or "key N". `fault`: what a report did wrong, as one word ("gap", "above", ...), and
    `fault_text` what that means and which report it was; "" of other causes. `lift` is the
    command that would lift it; `operators`: how many must sign that, and how many have a key that
    has not ended; (0, 0) when not known.
    """

    scope: str
    path: str
    mode: str
    severity: int
    cause: str
    record: int
    since_ns: int
    until_ns: int
    reason: str
    signed_by: tuple[int, ...]
    operators: tuple[int, int]
    lift: str
    signers: tuple[str, ...] = ()
    fault: str = ""
    fault_text: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp status --json`."""
        k, n = self.operators
        return {
            "scope": self.scope,
            "path": self.path,
            "mode": self.mode,
            "since": iso_time(self.since_ns),
            "until": iso_time(self.until_ns) if self.until_ns else None,
            "cause": self.cause,
            "signed_by": list(self.signed_by),
            "signers": list(self.signers),
            "fault": self.fault or None,
            "fault_text": self.fault_text or None,
            "reason": self.reason,
            "severity": self.severity,
            "record": self.record,
            "lift": {"command": self.lift, "operators": k, "of": n, "enough": n >= k > 0},
        }

    def text(self) -> str:
        """One line for people."""
        end = f", until {iso_time(self.until_ns)}" if self.until_ns else ""
        by = ", ".join(self.signers)
        if not by and self.cause == label(Cause.OPERATOR):
            by = "not known"
        reason = self.reason or ("no text kept" if by else "the engine stopped it by itself")
        if self.fault:
            reason, by = self.fault_text, self.fault
        return (
            f"{self.path} since {iso_time(self.since_ns)}{end}: {reason}"
            f" ({self.cause}{': ' if by else ''}{by}; record {self.record});"
            f" {who_lifts(self.operators)}: {self.lift}"
        )


def who_lifts(operators: tuple[int, int]) -> str:
    """How many must sign of how many whose keys count, and what to do where they are too few."""
    k, n = operators
    if not k:
        return "nobody knows how many operators lift it, for the authority bundle cannot be read"
    if n < k:
        return (
            f"{k} operators must sign, and the keys of {n} still count: NOBODY CAN LIFT IT before"
            " the root names more (zcp authority draft)"
        )
    return f"{k} of {n} operators lift it"


def target_of(
    policy: Policy,
    node: str | int | None = None,
    venue: Venue | str | None = None,
    instrument: str | int | None = None,
) -> tuple[Scope, int, str]:
    """Scope, number and name of what a command is about; the firm when nothing is named.

    Raises UsageError.
    """
    if sum(name is not None for name in (node, venue, instrument)) > 1:
        raise UsageError(
            "a command is about one thing", next_step="name a node, a venue or an instrument"
        )
    if venue is not None:
        names = {label(row): row for row in Venue if row is not Venue.NONE}
        row = venue if isinstance(venue, Venue) else names.get(venue)
        if row is None or row is Venue.NONE:
            raise UsageError(f"there is no venue {venue!r}", next_step=f"one of {', '.join(names)}")
        return Scope.VENUE, int(row), label(row)
    if instrument is not None:
        for found in policy.instruments.values():
            if instrument in (found.name, found.id):
                return Scope.INSTRUMENT, found.id, found.name
        raise UsageError(
            f"there is no instrument {instrument!r} in the policy",
            next_step="zcp policy show lists them",
        )
    found_node = policy.nodes[0] if node is None else policy.node(node)
    return Scope.NODE, found_node.id, found_node.path


def name_of(policy: Policy | None, scope: int, number: int) -> str:
    """The name of a command's target; its number when there is none."""
    if scope == Scope.VENUE and number in set(Venue):
        return label(Venue(number))
    if policy is not None and scope == Scope.INSTRUMENT and number in policy.instruments:
        return policy.instruments[number].name
    if policy is not None and scope == Scope.NODE:
        return next((node.path for node in policy.nodes if node.id == number), str(number))
    return str(number)


def stop_word_of(installed: Installed, policy: Policy | None) -> str:
    """What the stop word was set for, and what clears it; "" where there is none."""
    target, scope, count = stop_word(installed.directory)
    if not (target or scope or count):
        return ""
    path, option = name_of(policy, scope, target), ""
    if scope in set(OPTION) and path != str(target):
        option, what = f" {OPTION[Scope(scope)]} {path}", f"a halt of {path}"
    else:
        what = "a halt of nobody knows what"
    return (
        f"{what} is in no record: nothing is signed; zcp halt{option} records it,"
        f" or zcp resume{option} lifts it"
    )


def stops_of(
    installed: Installed, state: EngineState, policy: Policy | None, now_ns: int
) -> tuple[Stop, ...]:
    """Everything that does not run, with the modes that count at a time."""
    operators = operators_of(installed, state, now_ns) if state.stops else (0, 0)
    return tuple(_stop(installed, row, policy, operators, now_ns) for row in state.stops)


def _stop(
    installed: Installed,
    row: StopState,
    policy: Policy | None,
    operators: tuple[int, int],
    now_ns: int,
) -> Stop:
    scope, path = Scope(row.scope), name_of(policy, row.scope, row.id)
    ended = row.until_ns != 0 and now_ns >= row.until_ns
    record = _record(installed, row.record)
    keys, names = _signers(record), names_of(installed.directory)
    fault, fault_text = "", ""
    if row.cause == Cause.REPORT:
        fault, fault_text = _fault(record, policy, names)
    return Stop(
        scope=label(scope),
        path=path,
        mode=MODES[2] if ended else MODES[row.mode],
        severity=row.severity,
        cause=label(Cause(row.cause)),
        record=row.record,
        since_ns=row.since_ns,
        until_ns=row.until_ns,
        reason=find_text(installed.directory, row.reason_digest) or "",
        signed_by=keys,
        operators=operators,
        lift=f"zcp resume {OPTION[scope]} {path} --reason TEXT",
        signers=tuple(name_of_key(key, names) for key in keys),
        fault=fault,
        fault_text=fault_text,
    )


def _record(installed: Installed, number: int) -> Record | None:
    with contextlib.suppress(SentinelError):
        return installed.record(number)
    return None


def _fault(
    record: Record | None, policy: Policy | None, names: Iterable[str] = ()
) -> tuple[str, str]:
    """What was wrong with a report, as its STOP record has it."""
    if record is None or record.type is not RecordType.STOP:
        return "unknown", "a report contradicts what was signed, or one is missing"
    told = describe_stop(record, lambda id_: name_of(policy, Scope.NODE, id_))
    stop = AUTO_STOP.unpack(record.subject)
    text = f"{told['why']}: frame {stop['sequence']} of {name_of_key(stop['key'], names)}"
    if "report" in told:
        report = told["report"]
        text += f", action {report['action_id']} of {report['agent']}"
        text += f" {report['status']}, filled {report['filled']}"
    return told["fault"], text


def _signers(record: Record | None) -> tuple[int, ...]:
    if record is None:
        return ()
    with contextlib.suppress(SentinelError):
        frame = unsafe_parse_frame(record.subject, FrameKind.COMMAND)
        return tuple(proof.key for proof in frame.proofs)
    return ()


def authority_of(installed: Installed, state: EngineState) -> Authority | None:
    """The authority bundle in force; None where it cannot be read."""
    with contextlib.suppress(SentinelError):
        raw = installed.bundle(state.authority_hash)
        return parse_authority(unsafe_parse_frame(raw, FrameKind.AUTHORITY).payload)
    return None


def operators_of(installed: Installed, state: EngineState, now_ns: int) -> tuple[int, int]:
    """How many operators must sign what loosens, and how many have a key that counts.

    A key counts before its end, by the engine's time, which is never before that of its log.
    """
    found = authority_of(installed, state)
    if found is None:
        return 0, 0
    now_ns = max(now_ns, state.last_now_ns)
    held = sum(
        powers >> Power.OPERATOR & 1 and now_ns < expires
        for powers, expires, _ in found.keys.values()
    )
    return found.threshold[Power.OPERATOR], held
