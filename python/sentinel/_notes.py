"""Records of what decides nothing: how far off the clock can be, and keys that came to be.

Layouts: `sentinel_clock` and `sentinel_key_record` of `sentinel/audit.h`, docs/4-audit.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ._enclave_papers import IMPORT, KEY_INFO
from ._enums import Algorithm, Purpose, Venue, label
from ._frame import FrameKind, UnsafeFrame, unsafe_parse_frame
from ._layout import Layout
from ._record import Record
from .errors import AuditError

CLOCK: Final = Layout(
    "clock",
    96,
    "source:B result:B _:2 drift_ppm:I source_ns:q offset_ns:q bound_ns:q until_ns:q name:24s"
    " document32:32s",
)
KEY_RECORD: Final = Layout("key_record", 224, "origin:B _:7 info:216s")


class ClockSource(IntEnum):
    """Whose word the clock was compared with."""

    NSM = 1
    KERNEL = 2


class ClockResult(IntEnum):
    """What a comparison gave."""

    GOOD = 1
    EXCEEDED = 2
    UNSYNCED = 3


class KeyOrigin(IntEnum):
    """How a key came to be in an enclave."""

    MADE = 1
    IMPORTED = 2
    FOUND = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockNote:
    """A comparison of the clock. Nanoseconds; `document`: of the statement; empty: not kept."""

    record: int
    epoch: int
    now_ns: int
    source: ClockSource
    result: ClockResult
    drift_ppm: int
    source_ns: int
    offset_ns: int
    bound_ns: int
    until_ns: int
    name: str
    document: bytes

    def bound_at(self, now_ns: int) -> int:
        """How far off the clock can be at a later time that the comparison holds for."""
        return self.bound_ns + -(-max(0, now_ns - self.now_ns) * self.drift_ppm // 10**6)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNote:
    """A key that came to be. `frame`: what brought it in, as it was signed; None: made inside."""

    record: int
    origin: KeyOrigin
    id: int
    purpose: int
    algorithm: int
    venue: int
    account: str
    public_key: bytes
    fingerprint: bytes
    frame: UnsafeFrame | None
    document: bytes

    def to_json(self) -> dict[str, object]:
        """For people and programs."""
        return {
            "origin": label(self.origin),
            "key": self.id,
            "purpose": _word(Purpose, self.purpose),
            "algorithm": _word(Algorithm, self.algorithm),
            "venue": _word(Venue, self.venue) if self.venue else None,
            "account": self.account or None,
            "public_key": self.public_key.hex() or None,
            "fingerprint": self.fingerprint.hex(),
            "signed_by": [proof.key for proof in self.frame.proofs] if self.frame else [],
            "import_hash": self.frame.hash.hex() if self.frame else None,
            "document": self.document.hex() or None,
        }


def _word(kind: type[IntEnum], number: int) -> str:
    return label(kind(number)) if number in kind.__members__.values() else str(number)


def parse_clock(record: Record) -> ClockNote:
    """Takes a CLOCK record apart. Raises AuditError."""
    found = CLOCK.unpack(record.subject)
    name = bytes(found["name"])
    text = name.rstrip(b"\0")
    wrong = (
        found["source"] not in set(ClockSource)
        or found["result"] not in set(ClockResult)
        or min(found["source_ns"], found["until_ns"]) < 0
        or found["bound_ns"] < abs(found["offset_ns"])
        or len(text) == len(name)
        or not all(0x20 < byte < 0x7F for byte in text)
    )
    if wrong:
        raise AuditError("a comparison of the clock does not have its form")
    return ClockNote(
        record=record.number,
        epoch=record.epoch,
        now_ns=record.now_ns,
        source=ClockSource(found["source"]),
        result=ClockResult(found["result"]),
        drift_ppm=found["drift_ppm"],
        source_ns=found["source_ns"],
        offset_ns=found["offset_ns"],
        bound_ns=found["bound_ns"],
        until_ns=found["until_ns"],
        name=text.decode("ascii"),
        document=found["document32"] if any(found["document32"]) else b"",
    )


def parse_key(record: Record) -> KeyNote:
    """Takes a KEY record apart; verifies no signature. Raises SentinelError."""
    head, rest = record.subject[: KEY_RECORD.size], record.subject[KEY_RECORD.size :]
    found = KEY_RECORD.unpack(head)
    if found["origin"] not in set(KeyOrigin):
        raise AuditError("a key's record does not have its form")
    frame, document = None, b""
    if found["origin"] == KeyOrigin.IMPORTED:
        frame = unsafe_parse_frame(rest, FrameKind.IMPORT)
        paper = IMPORT.unpack(frame.payload)
        document = paper["attestation_digest32"]
        if paper["info"] != found["info"]:
            raise AuditError("the key is not the one that the import names")
    elif rest:
        raise AuditError("a key that nobody imported has a frame behind it")
    info = KEY_INFO.unpack(found["info"])
    return KeyNote(
        record=record.number,
        origin=KeyOrigin(found["origin"]),
        id=info["id"],
        purpose=info["purpose"],
        algorithm=info["algorithm"],
        venue=info["venue"],
        account=info["api_key"][: info["api_key_size"]].decode("ascii", "replace"),
        public_key=info["public_key"][: info["public_key_size"]],
        fingerprint=info["fingerprint32"],
        frame=frame,
        document=document,
    )
