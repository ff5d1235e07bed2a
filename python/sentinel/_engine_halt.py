"""The engine's own halt in words: why, since when, and what lifts it."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from typing import Any, Final

from ._record import RecordType
from ._status import STATUS_TEXT
from ._status import Status as StatusCode
from ._stops import operators_of, who_lifts
from ._types import EngineState
from .audit import last_of
from .config import Installed
from .errors import SentinelError
from .receipt import iso_time

DAMAGE: Final = (StatusCode.AUDIT_CORRUPT, StatusCode.AUDIT_TRUNCATED)
"""Nothing is written behind such a log, so that no record halts it and none can lift that."""


@dataclass(frozen=True, slots=True)
class EngineHalt:
    """Why an engine halted itself, and what lifts it.

    `record`: the HALT record, with its time `since_ns`; None where none could be written, or it
    cannot be read. `missing`: the first and the last record that a witness confirmed and that are
    not here. `first`: what has to be done before; `lift`: the command, "" where none lifts it.
    `operators`: as of a `Stop`.
    """

    status: int
    why: str
    record: int | None
    since_ns: int
    missing: tuple[int, int] | None
    first: str
    lift: str
    operators: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp status --json`."""
        k, n = self.operators
        lift = {"command": self.lift, "operators": k, "of": n, "enough": n >= k > 0}
        return {
            "status": f"{self.status:#06x}",
            "why": self.why,
            "record": self.record,
            "since": None if self.record is None else iso_time(self.since_ns),
            "missing": dict(zip(("from", "to"), self.missing, strict=True))
            if self.missing
            else None,
            "first": self.first,
            "lift": lift if self.lift else None,
        }

    def lines(self) -> list[str]:
        """Two lines for people."""
        since = f"since {iso_time(self.since_ns)}, record {self.record}"
        if self.record is None:
            since = "by no record that can be read"
        lift = f"{who_lifts(self.operators)}: {self.lift}" if self.lift else "nothing lifts it"
        return [
            f"HALTED     the engine itself, {since}: {self.why}",
            f"           {self.first + '; ' if self.first else ''}{lift}",
        ]


def why_halted(status: int) -> str:
    """Why an engine halted itself: the status behind it."""
    if status == StatusCode.USAGE_STATE:
        return "the clock stepped by more than the tolerance, back or ahead"
    return STATUS_TEXT.get(status, f"status {status:#06x}")


def engine_halt_of(
    installed: Installed, state: EngineState, now_ns: int, tolerance_ns: int
) -> EngineHalt | None:
    """The engine's own halt; None where it did not halt itself."""
    if not state.halted:
        return None
    record, since_ns = _record(installed, state)
    grant, why, missing = state.grant, why_halted(state.halted), None
    operators = operators_of(installed, state, now_ns)
    if state.halted == StatusCode.AUDIT_FRESHNESS and grant.gap_to:
        missing = (grant.gap_from, grant.gap_to - 1)
        why = f"a witness confirmed records {missing[0]} to {missing[1]}, and they are not here"
    first, lift = _lift(state, now_ns, tolerance_ns, alone=operators[0] == 1)
    return EngineHalt(state.halted, why, record, since_ns, missing, first, lift, operators)


def _record(installed: Installed, state: EngineState) -> tuple[int | None, int]:
    if state.halted in DAMAGE:
        return None, 0
    with contextlib.suppress(SentinelError):
        found = last_of(installed.directory, RecordType.HALT, state.record_count)
        if found is not None and struct.unpack_from("<I", found.subject)[0] == state.halted:
            return found.number, found.now_ns
    return None, 0


def _lift(state: EngineState, now_ns: int, tolerance_ns: int, *, alone: bool) -> tuple[str, str]:
    """What has to be done first, and the command."""
    if state.halted in DAMAGE:
        return (
            "zcp audit verify says where; nothing is written behind a log that is not intact: keep"
            " it as evidence, and put a whole copy in its place or make a new engine",
            "",
        )
    verb = "zcp resume" if alone else "zcp command draft resume"
    end = "--reason TEXT" if alone else "--reason TEXT --out FILE"
    if state.halted == StatusCode.AUDIT_FRESHNESS and state.grant.gap_to:
        return "find the newer copy, or accept that these records are lost", f"{verb} --gap {end}"
    if state.halted != StatusCode.USAGE_STATE:
        return "mend the cause", f"{verb} {end}"
    if state.last_now_ns - now_ns <= tolerance_ns:
        return "set the clock right", f"{verb} {end}"
    first = "the log's time is ahead, and commands look expired (AHEAD): set the clock right"
    if now_ns < state.relied_ns:
        first = f"the log's time is ahead (AHEAD): wait until {iso_time(state.relied_ns)}"
    return first, "zcp command draft resume --clock --reason TEXT --out FILE"
