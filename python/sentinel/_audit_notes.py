"""What an auditor checks of the clock's comparisons and of keys that came to be.

The rules are those of docs/4-audit.md, "The clock" and "Keys". Plain Python: needs no key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ._enums import Power
from ._frame import Authority, Genesis, verify_power
from ._notes import ClockNote, ClockResult, ClockSource, KeyNote, parse_clock, parse_key
from ._record import Record, RecordType
from .errors import AuditError, SentinelError

Problem = tuple[str, str]


class Notes:
    """The comparisons and the keys of a log, in their order.

    `clocks`: comparisons by result; `bound_ns`: the farthest that the clock can have been off at a
    record that a comparison covers; `keys`: those that came to be, each with who signed for it.
    """

    def __init__(self, directory: Path) -> None:
        self._bundles = directory / "bundles"
        self.clocks: Counter[str] = Counter()
        self.bound_ns = 0
        self.keys: list[KeyNote] = []
        self.signatures = 0
        self._clock: ClockNote | None = None
        self._early = False  # orders of this epoch that came before any comparison
        self._halted = False  # since then: the engine halts where nothing holds any more

    def epoch(self) -> None:
        """A new epoch: nothing was compared in it yet."""
        self._clock, self._early = None, False

    def halt(self) -> None:
        """The engine halted itself."""
        self._halted = True

    def orders(self, now_ns: int, *, taken: bool) -> Iterator[Problem]:
        """What is wrong with orders up to this time, by the comparison before them.

        `taken`: one of them was not refused.
        """
        if self._clock is None:
            self._early = True
            return
        if self._clock.result is ClockResult.GOOD:
            if now_ns > self._clock.until_ns:
                if self._halted and not taken:
                    return
                yield "clock", f"it is later than record {self._clock.record} holds for"
            elif self._clock.source is ClockSource.NSM or self._clock.bound_ns:
                self.bound_ns = max(self.bound_ns, self._clock.bound_at(now_ns))

    def problems(
        self, record: Record, genesis: Genesis | None, authority: Authority | None
    ) -> Iterator[Problem]:
        """What is wrong with one CLOCK or KEY record, as kind and text."""
        try:
            if record.type is RecordType.CLOCK:
                yield from self._clock_problems(parse_clock(record))
            else:
                self._key(parse_key(record), genesis, authority)
        except SentinelError as error:
            yield "clock" if record.type is RecordType.CLOCK else "key", error.message

    def _clock_problems(self, note: ClockNote) -> Iterator[Problem]:
        before, self._clock, self._halted = self._clock, note, False
        self.clocks[note.result.name.lower()] += 1
        if note.result is ClockResult.GOOD and note.until_ns <= note.now_ns:
            yield "clock", "it holds for no time at all"
        if before is None and self._early and note.source is ClockSource.NSM:
            yield "clock", "orders of this epoch came before its first comparison"
        if before is not None and before.result is note.result is ClockResult.GOOD:
            # What was said before has held, unless this record says that it did not.
            yield from _held(before, note)
        if note.document:
            yield from self._document(note)

    def _document(self, note: ClockNote) -> Iterator[Problem]:
        # Late: most logs name no document.
        from .attestation import statement_digest, unsafe_parse_without_verification

        name = note.document.hex()
        try:
            raw = (self._bundles / name).read_bytes()
        except OSError as error:
            yield "missing", f"the document bundles/{name} cannot be read: {error.strerror}"
            return
        try:
            found = unsafe_parse_without_verification(raw)
        except SentinelError as error:
            yield "corrupt", f"bundles/{name} is no document: {error.message}"
            return
        if statement_digest(found) != note.document:
            yield "corrupt", f"bundles/{name} is not the document that was recorded"

    def _key(self, note: KeyNote, genesis: Genesis | None, authority: Authority | None) -> None:
        self.keys.append(note)
        if note.frame is None:
            return
        if genesis is None or note.frame.engine_id != genesis.engine_id:
            raise AuditError("the import is of another engine")
        if authority is None:
            raise AuditError("no authority was loaded before")
        # It was judged when it came, before there was a log to record it in.
        verify_power(note.frame, authority, Power.OPERATOR, note.frame.issued_ns)
        self.signatures += 1


def _held(before: ClockNote, note: ClockNote) -> Iterator[Problem]:
    half = note.bound_ns - abs(note.offset_ns)
    if abs(note.offset_ns) - half > before.bound_at(note.now_ns):
        yield "clock", f"the bound of record {before.record} did not hold"
