"""A log's records by a few lines of its own, which share nothing with our readers.

As far as they are whole; layouts: docs/4-audit.md.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

START, BUNDLE, COMMAND, FEED, ORDER, STOP, WITNESS = 2, 3, 4, 5, 6, 11, 13
ALLOWED = 1


@dataclass(frozen=True)
class Plain:
    """What is wanted of a record."""

    number: int
    type: int
    epoch: int
    hash: bytes
    previous: bytes
    now_ns: int
    agent: int
    verdict: int
    raw: bytes

    @property
    def action_id(self) -> int:
        return int(struct.unpack_from("<Q", self.raw, 320 + 16)[0])

    @property
    def signature_digest(self) -> bytes:
        return self.raw[-48 - 64 : -48][32:64]


def records_of(files: Mapping[str, bytes]) -> Iterator[Plain]:
    """Of all segments, in order of their names."""
    for name in sorted(files):
        if name.startswith("log/") and name.endswith(".log"):
            yield from segment_records(files[name])


def segment_records(data: bytes) -> Iterator[Plain]:
    at = 64
    while at + 16 <= len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        raw = data[at + 8 : at + 8 + size]
        if size < 320 or len(raw) != size:
            return
        found = hashlib.sha256(b"\0" + raw[:320]).digest()
        if data[at + 8 + size : at + 16 + size] != found[:8]:
            return
        kind = struct.unpack_from("<H", raw, 2)[0]
        number, epoch = struct.unpack_from("<QQ", raw, 8)
        now_ns, agent, verdict = struct.unpack_from("<qIB", raw, 56)
        yield Plain(number, kind, epoch, found, raw[24:56], now_ns, agent, verdict, raw)
        at += size + 16
