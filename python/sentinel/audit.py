"""Reading, verifying and replaying an engine's log.

report = verify_log("engine")       # needs no key; plain=True: none of our C either
assert report.ok, report.findings
for record in read_log("engine"):
    print(record.number, record.type.name, record.verdict.name)
differences = list(replay("engine").differences)    # every decision, made again by the core
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import _core
from ._audit_verify import LogReport, verify_log
from ._log import Finding
from ._notes import ClockNote, KeyNote
from ._record import Record, RecordType, Verdict, parse_record
from ._types import EngineState
from .errors import AuditError, SentinelError, StorageError

__all__ = [
    "ClockNote",
    "Difference",
    "Finding",
    "KeyNote",
    "LogReport",
    "Record",
    "RecordType",
    "Replay",
    "Verdict",
    "find_record",
    "last_of",
    "last_record",
    "read_log",
    "replay",
    "restore",
    "verify_log",
]


def read_log(directory: str | os.PathLike[str], first: int = 0) -> Iterator[Record]:
    """Records from `first` on, each checked by the core's reader and again here.

    Raises AuditCorrupt at the first record that is not intact.
    """
    reader = _open_reader(directory, first)
    for raw in reader or ():
        yield parse_record(raw.bytes)


def _open_reader(directory: str | os.PathLike[str], first: int) -> _core.LogReader | None:
    log = Path(directory) / "log"
    if not log.is_dir():
        raise StorageError(
            f"{directory}: there is no engine here",
            cause="--dir or ZCP_DIR names another place",
            next_step="make one with zcp init, or name the engine's directory",
        )
    try:
        return _core.LogReader(log, first=first)
    except AuditError as error:
        if error.status == 0x0405:  # The log has no such record yet.
            return None
        raise


def find_record(directory: str | os.PathLike[str], number: int) -> Record:
    """One record by its number. Raises AuditError when the log has none such."""
    for record in read_log(directory, number):
        return record
    raise AuditError(
        f"{directory}: there is no record {number}", next_step="zcp audit verify shows how many"
    )


def last_of(
    directory: str | os.PathLike[str], kind: RecordType, count: int, piece: int = 1024
) -> Record | None:
    """The last record of a type among the first `count`; None where there is none.

    From the end, in ever longer pieces, `piece` records first: what is asked for is near it.
    """
    size, end = piece, count
    while end > 0:
        first, found = max(end - size, 0), b""
        for raw in _open_reader(directory, first) or ():
            if raw.number >= end:
                break
            if struct.unpack_from("<H", raw.bytes, 2)[0] == kind:
                found = raw.bytes
        if found:
            return parse_record(found)
        size, end = size * 4, first
    return None


def last_record(directory: str | os.PathLike[str]) -> Record:
    """The last record of a log."""
    first = max(_core.log_head(Path(directory) / "log").count - 1, 0)
    last: Record | None = None
    for record in read_log(directory, first):
        last = record
    if last is None:
        raise AuditError(f"{directory}: the log is empty")
    return last


def policy_after(record: Record) -> bytes:
    """The hash of the policy in force after a record; zeros when there is none."""
    if record.type is RecordType.BUNDLE and record.subject[:2] == b"\2\0":
        return record.subject[24:56]
    return record.policy_hash


def authority_after(record: Record) -> bytes:
    """The hash of the authority in force after a record; zeros when there is none."""
    if record.type is RecordType.BUNDLE and record.subject[:2] == b"\1\0":
        return record.subject[24:56]
    return record.authority_hash


# ---- replay -------------------------------------------------------------------------------------

REPLAY_PIECE: Final = 4096
"""Records that the core decides again at once; between two pieces the caller can interrupt."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that comes out otherwise when it is decided again."""

    record: int
    field: str


@dataclass(slots=True)
class Replay:
    """A log, decided again by the core. Iterate over `differences` to run it.

    `progress` is told now and then how many records are done; `of`: how many the log's head counts.
    """

    context: _core.Context
    records: int = 0
    decisions: int = 0
    of: int | None = None
    progress: Callable[[int], None] | None = None
    _differences: Iterator[Difference] | None = None

    @property
    def differences(self) -> Iterator[Difference]:
        """Runs the replay; ends at the first difference, for nothing after it means anything."""
        assert self._differences is not None
        return self._differences

    @property
    def state(self) -> EngineState:
        """The state as far as the replay has come."""
        return self.context.state()


def _context(
    directory: Path, hashes: Sequence[str], keyring: _core.Keyring | None, receipt_key: int
) -> _core.Context:
    """A context with room for each of these policies."""
    bundle_bytes, state_bytes = 1 << 16, 1 << 20
    for name in hashes:
        raw = (directory / "bundles" / name).read_bytes()
        layout, state = _core.bundle_memory(raw)
        bundle_bytes = max(bundle_bytes, len(raw) + layout + 64)
        state_bytes = max(state_bytes, state)
    return _core.Context(
        (directory / "genesis").read_bytes(),
        keyring,
        receipt_key=receipt_key,
        bundle_bytes=bundle_bytes,
        state_bytes=state_bytes,
    )


def _policy_files(directory: Path) -> list[str]:
    """Names of the policy bundles that are kept; others are of no size that matters."""
    names = []
    for path in sorted((directory / "bundles").glob("*")):
        with path.open("rb") as file:
            head = file.read(12)
        if head[10:12] == b"\2\0":
            names.append(path.name)
    return names


def replay(
    directory: str | os.PathLike[str],
    *,
    keyring: _core.Keyring | None = None,
    receipt_key: int = 0,
) -> Replay:
    """Decides every record of a log again, from the genesis record on.

    With a keyring (`keys/engine`) each request is rendered again too and must give the digest
    that the record holds. Nothing is changed.
    """
    top = Path(directory)
    walk = Replay(_context(top, _policy_files(top), keyring, receipt_key))
    walk._differences = _replay(walk, top, 0)
    with suppress(SentinelError, OSError):
        walk.of = _core.log_head(top / "log").count
    return walk


def _replay(
    walk: Replay, directory: Path, first: int, last: int | None = None
) -> Iterator[Difference]:
    reader = _open_reader(directory, first)
    while reader is not None:
        records, decisions, raw, difference = walk.context.replay_log(
            reader, (1 << 64) - 1 if last is None else last, REPLAY_PIECE
        )
        walk.records += records
        walk.decisions += decisions
        if raw is None and records < REPLAY_PIECE:
            return
        if raw is not None and difference is None:  # A bundle, which is a file of its own.
            path = directory / "bundles" / raw.bytes[320 + 24 : 320 + 56].hex()
            try:
                difference = walk.context.replay(
                    raw.bytes, path.read_bytes() if path.exists() else b""
                )
            except SentinelError as error:
                difference = error.message
            walk.records += difference is None
        if raw is not None and difference is not None:
            yield Difference(raw.number, difference)
            return
        if walk.progress is not None:
            walk.progress(walk.records)


def restore(directory: str | os.PathLike[str], at: int | None = None) -> _core.Context:
    """The engine's present state, from the last snapshot and the records after it.

    `at`: that of another time, right behind the record of that number. Reads only, so it works
    beside a writer and without a key. Raises AuditError where the records cannot be decided again.
    """
    top = Path(directory)
    hashes = _policy_files(top)
    walk: Replay | None = None
    for path in sorted((top / "snapshots").glob("[0-9]*"), reverse=True):
        if at is not None and int(path.name) >= at:
            continue
        try:
            walk = _restore_from(top, path, hashes, at)
            break
        except (SentinelError, OSError, ValueError):
            continue  # An older one, or the whole log, gives the same state.
    if walk is None:
        walk = replay(top)
        walk._differences = _replay(walk, top, 0, at)
    for difference in walk.differences:
        raise AuditError(
            f"{directory}: record {difference.record} is decided otherwise: {difference.field}",
            next_step="zcp audit verify, then zcp audit replay",
        )
    return walk.context


def _restore_from(
    top: Path, snapshot: Path, hashes: Sequence[str], at: int | None = None
) -> Replay:
    number = int(snapshot.name)
    record = find_record(top, number)
    bundles = top / "bundles"
    walk = Replay(_context(top, hashes, None, 0))
    walk.context.restore(
        record.raw,
        (bundles / record.authority_hash.hex()).read_bytes(),
        (bundles / record.policy_hash.hex()).read_bytes(),
        snapshot.read_bytes(),
    )
    walk._differences = _replay(walk, top, number + 1, at)
    return walk
