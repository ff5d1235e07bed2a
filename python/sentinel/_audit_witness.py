"""What an auditor checks of a witness's answers: who signed, of which engine, epoch and head.

The rules are those of docs/4-audit.md, "Freshness". Plain Python: needs no key and none of our C.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final, Protocol

from . import _layout
from ._enums import Power
from ._frame import Authority, FrameKind, Genesis, UnsafeFrame, unsafe_parse_frame, verify_power
from ._record import Record
from .errors import AuditError, SentinelError

_SUBJECT: Final = struct.Struct("<B7sQQQQ")


class Hashes(Protocol):
    """The hashes of the records so far."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> bytes:
        """One of them, from 0."""


class Outcome(IntEnum):
    """What a WITNESS record says that followed."""

    GRANTED = 1
    KNOWN = 2
    EPOCH = 3
    GAP = 4


class Witnesses:
    """The witnesses' answers of a log, in their order. `counts`: those that are right, by outcome.

    `confirmed`: records of the last head that a witness confirmed.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.confirmed = 0
        self._sequence = 0

    def problems(
        self,
        record: Record,
        before: Hashes,
        genesis: Genesis | None,
        authority: Authority | None,
    ) -> Iterator[tuple[str, str]]:
        """What is wrong with one WITNESS record, as kind and text.

        `before`: the hashes of the records before it; `authority`: in force at this record.
        """
        try:
            frame = unsafe_parse_frame(record.subject[_SUBJECT.size :], FrameKind.GRANT)
            if authority is None:
                raise AuditError("no authority was loaded before")
            verify_power(frame, authority, Power.WITNESS, record.now_ns)
        except SentinelError as error:
            yield "signature", f"the witness's grant: {error.message}"
            return
        if len(frame.payload) != _layout.GRANT.size:
            yield "witness", f"a grant of {len(frame.payload)} bytes, not {_layout.GRANT.size}"
            return
        grant = _layout.GRANT.unpack(frame.payload)
        found = [*self._place(record, frame, grant, genesis), *_follows(record, grant, before)]
        yield from (("witness", text) for text in found)
        self._sequence = max(self._sequence, frame.sequence)
        if not found:
            self.counts[Outcome(record.subject[0]).name.lower()] += 1
            self.confirmed = max(self.confirmed, grant["count"])

    def _place(
        self, record: Record, frame: UnsafeFrame, grant: dict[str, Any], genesis: Genesis | None
    ) -> Iterator[str]:
        """Whether a grant that a witness did sign belongs to this record."""
        if genesis is not None and frame.engine_id != genesis.engine_id:
            yield f"the grant is for engine {frame.engine_id.hex()}"
        if grant["epoch"] != record.epoch:
            yield f"the grant is for epoch {grant['epoch']}, the record is of epoch {record.epoch}"
        if frame.sequence <= self._sequence:
            yield "the grant is not newer than the one before"
        if record.now_ns >= frame.expires_ns:
            yield "the grant had expired"


def _follows(record: Record, grant: dict[str, Any], before: Hashes) -> Iterator[str]:
    """Whether what the record says that followed does follow from the grant and the log."""
    outcome, reserved, _, _, _, gap_to = _SUBJECT.unpack_from(record.subject)
    if outcome not in set(Outcome) or any(reserved):
        yield f"no outcome of a witness's answer: {outcome}"
        return
    if (outcome == Outcome.GRANTED) != (grant["count"] != 0):
        yield f"recorded as {Outcome(outcome).name.lower()}, and the grant says otherwise"
    if grant["count"] and not _has(before, grant["count"], grant["hash32"]):
        yield f"the head of {grant['count']} records that was confirmed is not that of this log"
    known = _has(before, grant["known_count"], grant["known_hash32"])
    if outcome == Outcome.KNOWN and not known:
        yield f"the head of {grant['known_count']} records that is called known is not in this log"
    if outcome == Outcome.GAP and known:
        yield f"records up to {grant['known_count'] - 1} are called missing, and are here"
    if gap_to != (grant["known_count"] if outcome == Outcome.GAP else 0):
        yield "the gap that is recorded is not the one that the witness named"


def _has(before: Hashes, count: int, hash_: bytes) -> bool:
    return 0 < count <= len(before) and before[count - 1] == hash_
