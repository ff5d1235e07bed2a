"""One pass over the files of a log: frames, chain, head. Plain Python.

Layout: `sentinel/audit.h`, docs/4-audit.md.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ._record import (
    HEADER_BYTES,
    RECORD_BYTES_MAX,
    BodyCorrupt,
    Record,
    head_check,
    parse_record,
    record_hash,
)
from .errors import AuditCorrupt

_SEGMENT = struct.Struct("<8sH6s32sQQ")
_HEAD = struct.Struct("<QQQQ16s16s")
_HEAD_PAGE_BYTES: Final = 4096
_HEAD_SLOTS: Final = (0, 2048)
_ORDER_BYTES: Final = 4096
"""No order's frame is longer."""
PIECE_BYTES: Final = 512 * 1024
_ZEROS: Final = bytes(PIECE_BYTES)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and where.

    `kind`: "torn" (uncommitted bytes at the end; the next start sets them aside), "corrupt",
    "truncated", "foreign", "missing", "chain", "signature", "witness" (a grant that a witness
    signed, and that does not belong there). `record` is the number of the record there (or that
    should be there), `offset` is in bytes from the file's beginning.
    """

    kind: str
    file: str
    text: str
    record: int | None = None
    offset: int | None = None

    def __str__(self) -> str:
        """One line."""
        place = self.file
        if self.offset is not None:
            place += f", offset {self.offset}"
        if self.record is not None:
            place += f", record {self.record}"
        return f"{self.kind}: {place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Located:
    record: Record
    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class _HeadSlot:
    count: int
    generation: int
    last_hash: bytes


class _Bytes:
    """A file's bytes, a piece at a time: so they are judged while they are in the cache."""

    def __init__(self, handle: int, piece_bytes: int) -> None:
        self.handle = handle
        self.size = os.fstat(handle).st_size
        self.piece_bytes = piece_bytes
        self.begin = 0
        self.piece = b""

    def ahead(self, offset: int, least: int) -> tuple[bytes, int]:
        """A piece that has so many bytes from `offset` on, if the file has, and the place there."""
        place = offset - self.begin
        if not 0 <= place <= len(self.piece) - min(least, self.size - offset):
            self.begin, place = offset, 0
            self.piece = os.pread(self.handle, max(least, self.piece_bytes), offset)
        return self.piece, place

    def take(self, offset: int, size: int) -> bytes:
        """Fewer where the file ends."""
        piece, place = self.ahead(offset, size)
        return piece[place : place + size]

    def after_zeros(self, offset: int) -> int | None:
        """Where the first byte is that is not zero; None: there is none."""
        while offset < self.size:
            try:
                offset = os.lseek(self.handle, offset, os.SEEK_DATA)
            except OSError:
                return None  # nothing was ever written there: what is read is zeros
            piece = os.pread(self.handle, PIECE_BYTES, offset)
            if not _ZEROS.startswith(piece):
                return offset + len(piece) - len(piece.lstrip(b"\0"))
            if not piece:
                return None
            offset += len(piece)
        return None


class Walk:
    """One pass over the segments. Ends at the first record that is not intact.

    `skip`, where it is set, steps over records that are right: of some of a segment's bytes and a
    place in them it gives the place behind those, how many they are and the hash of the last.
    """

    skip: Callable[[bytes, int], tuple[int, int, bytes]] | None = None
    piece_bytes = PIECE_BYTES

    def __init__(self, directory: Path, findings: list[Finding], engine_id: bytes | None) -> None:
        self.log = directory / "log"
        self.findings = findings
        self.engine_id = engine_id
        self.writer_alive = writer_is_alive(directory)
        self.count = 0
        self.last_hash = bytes(32)
        self.broken = False
        self.head = self._read_head()

    def _add(
        self,
        kind: str,
        file: Path,
        text: str,
        *,
        record: int | None = None,
        offset: int | None = None,
    ) -> None:
        self.findings.append(Finding(kind, f"log/{file.name}", text, record, offset))

    def _read_head(self) -> _HeadSlot | None:
        path = self.log / "head"
        try:
            page = path.read_bytes()
        except FileNotFoundError:
            self._add("missing", path, "the head page is missing")
            return None
        if len(page) != _HEAD_PAGE_BYTES:
            self._add("corrupt", path, f"{len(page)} bytes, not {_HEAD_PAGE_BYTES}")
        rest = bytearray(page)
        slots: list[_HeadSlot] = []
        for offset in _HEAD_SLOTS:
            raw = page[offset : offset + _HEAD.size]
            rest[offset : offset + _HEAD.size] = bytes(len(raw))
            if not any(raw) or len(raw) != _HEAD.size:
                continue
            count, _synced, _epoch, generation, last_hash, check = _HEAD.unpack(raw)
            if head_check(raw) == check:
                slots.append(_HeadSlot(count, generation, last_hash))
            elif not self.writer_alive:
                self._add("torn", path, "a slot of the head is not intact", offset=offset)
        if any(rest):
            at = next(i for i, byte in enumerate(rest) if byte)
            self._add("corrupt", path, "a byte that must be zero is not", offset=at)
        if not slots:
            self._add("corrupt", path, "no slot of the head is intact")
        return max(slots, key=lambda slot: slot.generation, default=None)

    def records(self) -> Iterator[Located]:
        """Every record up to the first that is not intact."""
        segments = sorted(self.log.glob("*.log"))
        if not segments:
            self.findings.append(Finding("missing", "log", "there is no segment"))
        for path in segments:
            if self.broken:
                break
            yield from self._segment(path, is_last=path == segments[-1])
        self._compare_with_head()

    def _segment(self, path: Path, *, is_last: bool) -> Iterator[Located]:
        with path.open("rb", buffering=0) as file:
            data = _Bytes(file.fileno(), self.piece_bytes)
            self._check_segment_header(path, data)
            at = _SEGMENT.size
            while not self.broken and at + 8 <= data.size:
                at = self._skip(data, at)
                size = int.from_bytes(data.take(at, 8), "little")
                if size == 0:
                    break
                located = self._frame(path, data, at, size, is_last=is_last)
                if located is not None:
                    yield located
                    at += 16 + size
            if self.broken or (is_last and self.writer_alive):
                return
            offset = data.after_zeros(at)
        if offset is not None:
            kind = "torn" if is_last else "corrupt"
            self._add(kind, path, "bytes behind the last record", record=self.count, offset=offset)

    def _skip(self, data: _Bytes, at: int) -> int:
        skipped = self.count
        while skipped and self.skip is not None:
            piece, place = data.ahead(at, _ORDER_BYTES)
            end, skipped, last_hash = self.skip(piece, place)
            if skipped:
                at += end - place
                self.count += skipped
                self.last_hash = last_hash
        return at

    def _check_segment_header(self, path: Path, data: _Bytes) -> None:
        if data.size < _SEGMENT.size:
            self._add("corrupt", path, "the segment is cut short", record=self.count, offset=0)
            self.broken = True
            return
        magic, version, reserved, engine_id, first, size = _SEGMENT.unpack(
            data.take(0, _SEGMENT.size)
        )
        if magic != b"SENTSEGM" or version != 1 or any(reserved):
            self._add("corrupt", path, "the segment's header is not intact", offset=0)
        if self.engine_id is None:
            self.engine_id = engine_id
        elif engine_id != self.engine_id:
            self._add("foreign", path, f"the segment is of engine {engine_id.hex()}", offset=16)
        if first != self.count or path.name != f"{first:020d}.log":
            self._add(
                "corrupt",
                path,
                f"the segment begins with record {first}, {self.count} is due",
                record=self.count,
                offset=48,
            )
        if size != data.size:
            self._add("corrupt", path, f"{data.size} bytes, not {size}", offset=56)

    def _frame(
        self, path: Path, data: _Bytes, at: int, size: int, *, is_last: bool
    ) -> Located | None:
        problem, forged = "", False
        frame = data.take(at, size + 16) if size <= RECORD_BYTES_MAX else b""
        if size % 8 or len(frame) != size + 16:
            problem = "the length of the record is not intact"
        else:
            try:
                record = parse_record(frame[8:-8])
            except AuditCorrupt as error:
                problem = error.message
                forged = not isinstance(error, BodyCorrupt) and _is_committed(frame)
            else:
                forged = record.hash[:8] == frame[-8:]
                if not forged:
                    problem = "the record differs from its commit word"
                elif record.number != self.count:
                    problem = f"the record says that it is number {record.number}"
                elif record.prev_hash != self.last_hash:
                    problem = "the record does not follow the one before"
        if problem:
            self._break(path, at, problem, is_last=is_last, forged=forged)
            return None
        self.count += 1
        self.last_hash = record.hash
        return Located(record, f"log/{path.name}", at)

    def _break(
        self, path: Path, at: int, problem: str, *, is_last: bool, forged: bool = False
    ) -> None:
        """`forged`: no power loss and no write that was cut off leaves this."""
        self.broken = True
        committed = forged or self.head is None or self.count < self.head.count or not is_last
        if not committed and self.writer_alive:
            return  # It is being written right now.
        kind = "corrupt" if committed else "torn"
        self._add(kind, path, problem, record=self.count, offset=at)

    def _compare_with_head(self) -> None:
        if self.head is not None and not self.broken and self.count < self.head.count:
            self._add(
                "truncated",
                self.log / "head",
                f"the head counts {self.head.count} records, the log has {self.count}",
                record=self.count,
            )


def _is_committed(frame: bytes) -> bool:
    """Whether a frame's commit word is that of its header, whatever form that has."""
    header = frame[8 : 8 + HEADER_BYTES]
    if len(header) < HEADER_BYTES or int.from_bytes(header[4:8], "little") != len(frame) - 16:
        return False
    return record_hash(header)[:8] == frame[-8:]


def spool_answer(directory: str | os.PathLike[str], ticket: int) -> bytes:
    """What the writer answered to a frame in the spool; empty where it has not yet."""
    try:
        # It is there as a whole or not at all.
        return (Path(directory) / "spool" / f"{ticket:020d}.done").read_bytes()
    except FileNotFoundError:
        return b""


def writer_is_alive(directory: str | os.PathLike[str]) -> bool:
    """Whether some process holds the engine's lock."""
    try:
        handle = os.open(Path(directory) / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
