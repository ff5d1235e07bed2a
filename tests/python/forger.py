"""A forger who changes one record of a log and makes everything that depends on it fit again."""

from __future__ import annotations

import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from sentinel._record import head_check

SEGMENT = "log/00000000000000000000.log"


def frames(data: bytes) -> list[tuple[int, int]]:
    """Offset and size of each frame of a segment, by its layout."""
    found, at = [], 64
    while size := int.from_bytes(data[at : at + 8], "little"):
        length = 16 + size + -size % 8
        found.append((at, length))
        at += length
    return found


def part_commitment(salt: bytes, part: bytes) -> bytes:
    return sha256(salt + part).digest()


def rebuild(raw: bytes, prev: bytes, change: Callable[[bytearray], None]) -> bytes:
    """A record with a change, and everything that depends on it made to fit again."""
    out = bytearray(raw)
    change(out)
    out[24:56] = prev
    subject_size, result_count, outcome_size = struct.unpack_from("<HHH", out, 104)
    results_at = 320 + subject_size
    outcome_at = results_at + 24 * result_count
    salts_at = outcome_at + outcome_size
    parts = (out[320:results_at], out[results_at:outcome_at], out[outcome_at:salts_at])
    for index, part in enumerate(parts):
        salt = bytes(out[salts_at + 16 * index : salts_at + 16 * index + 16])
        out[216 + 32 * index : 248 + 32 * index] = part_commitment(salt, bytes(part))
    return bytes(out)


def forge(directory: Path, number: int, change: Callable[[bytearray], None]) -> None:
    """Changes one record and rehashes all that come after, head included."""
    data = bytearray((directory / SEGMENT).read_bytes())
    prev = bytes(32)
    spans = frames(data)
    for n, (at, _) in enumerate(spans):
        size = int.from_bytes(data[at : at + 8], "little")
        raw = bytes(data[at + 8 : at + 8 + size])
        raw = rebuild(raw, prev, change if n == number else lambda out: None)
        data[at + 8 : at + 8 + size] = raw
        word_at = at + 8 + size + -size % 8
        prev = sha256(b"\0" + raw[:320]).digest()
        data[word_at : word_at + 8] = prev[:8]
    (directory / SEGMENT).write_bytes(data)
    page = bytearray((directory / "log/head").read_bytes())
    for slot in (0, 2048):
        page[slot + 32 : slot + 48] = prev[:16]
        page[slot + 48 : slot + 64] = head_check(page[slot : slot + 48])
    (directory / "log/head").write_bytes(page)
    for path in (directory / "snapshots").iterdir():
        path.unlink()
