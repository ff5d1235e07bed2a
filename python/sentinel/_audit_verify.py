"""Checking a log: what public inputs can prove about an engine's directory.

`sentinel.audit.verify_log` is this. Orders are stepped over by the core; `plain` leaves it out.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from . import _core
from ._audit_notes import Notes
from ._audit_witness import Hashes, Witnesses
from ._enums import FEED_POWERS, Command, FeedKind, Power
from ._frame import (
    Authority,
    FrameKind,
    Genesis,
    UnsafeFrame,
    parse_authority,
    parse_genesis,
    unsafe_parse_frame,
    verify_power,
    verify_root,
)
from ._layout import AUTO_STOP, COMMAND
from ._log import PIECE_BYTES, Finding, Located, Walk
from ._notes import KeyNote
from ._record import Record, RecordFlag, RecordType, Verdict, tree_root
from .errors import AuditError, SentinelError, StorageError

_SHARED_BYTES: Final = 8 << 20
"""Read at once where several processors share what is in it."""


@dataclass(slots=True)
class LogReport:
    """What a log says, and everything that is wrong with it.

    `witness`: how many answers of witnesses are right, by what followed; `witness_confirmed`:
    how many records the last head has that one of them confirmed. `clocks`: comparisons of the
    clock, by result; `clock_bound_ns`: how far off it can have been where one covers a record.
    `keys`: those that came to be in an enclave.
    """

    directory: str
    engine_id: bytes = b""
    environment: int = 0
    records: int = 0
    epochs: int = 0
    first_ns: int = 0
    last_ns: int = 0
    last_hash: bytes = bytes(32)
    root: bytes = b""
    writer_alive: bool = False
    types: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    policy_versions: list[int] = field(default_factory=list)
    signatures_verified: int = 0
    witness: Counter[str] = field(default_factory=Counter)
    witness_confirmed: int = 0
    clocks: Counter[str] = field(default_factory=Counter)
    clock_bound_ns: int = 0
    keys: list[KeyNote] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing at all is wrong."""
        return not self.findings


class _Scan(Hashes, Protocol):
    """The hashes of all records so far, and how often each key has signed."""

    def append(self, hash32: bytes) -> None: ...
    def root(self) -> bytes: ...
    def use(self, key: int, counter: int) -> bool: ...


class _Verifier:
    """What the chain does not prove by itself: signatures, bundles, epochs, counters."""

    def __init__(
        self, directory: Path, report: LogReport, genesis: Genesis | None, scan: _Scan
    ) -> None:
        self.directory = directory
        self.report = report
        self.genesis = genesis
        self.authority: Authority | None = None
        self.policy_hash = bytes(32)
        self.authority_hash = bytes(32)
        self.epoch = 0
        self.now_ns = self.last_ns = 0
        self.scan = scan
        self.witnesses = Witnesses()
        self.notes = Notes(directory)

    def step(self, located: Located) -> None:
        """Checks one record; those before it were."""
        record, before = located.record, self.scan
        problems = list(self._header(record))
        if record.type is RecordType.WITNESS:
            found = list(self.witnesses.problems(record, before, self.genesis, self.authority))
            self.report.signatures_verified += all(kind != "signature" for kind, _ in found)
            problems += found
        if record.type in (RecordType.CLOCK, RecordType.KEY):
            problems += self.notes.problems(record, self.genesis, self.authority)
        elif record.type is RecordType.START:
            self.notes.epoch()
        elif record.type is RecordType.ORDER:
            taken = record.verdict is not Verdict.DENIED
            problems += self.notes.orders(record.now_ns, taken=taken)
        elif record.type is RecordType.HALT:
            self.notes.halt()
        try:
            self._subject(record)
        except SentinelError as error:
            problems.append(("signature", error.message))
        except OSError as error:
            problems.append(("missing", f"a bundle cannot be read: {error.strerror}"))
        for kind, text in problems:
            self.report.findings.append(
                Finding(kind, located.file, text, record.number, located.offset)
            )

    def _header(self, record: Record) -> Iterator[tuple[str, str]]:
        start = record.type is RecordType.START
        # A witness may have told of later epochs, which a start then skips.
        if record.epoch <= self.epoch if start else record.epoch != self.epoch:
            yield "chain", f"epoch {record.epoch} after epoch {self.epoch}"
        self.epoch = record.epoch
        self.last_ns = self.now_ns
        if record.now_ns < self.now_ns and not record.has(RecordFlag.CLOCK_SET):
            yield "chain", "the time is before that of the record before"
        self.now_ns = record.now_ns
        if (record.number == 0) != (record.type is RecordType.GENESIS):
            yield "chain", "the first record, and no other, is the genesis record"
        if record.policy_hash != self.policy_hash or record.authority_hash != self.authority_hash:
            yield "chain", "the bundles in force are not those that were taken last"
        if record.key_counter and not self.scan.use(record.key, record.key_counter):
            yield "chain", f"the counter of key {record.key} does not grow by one"

    def _subject(self, record: Record) -> None:
        if record.type is RecordType.GENESIS:
            if self.genesis is not None and record.subject != self.genesis.raw:
                raise AuditError("the genesis record is not that of the file genesis")
            self.genesis = parse_genesis(record.subject)
        elif record.type is RecordType.BUNDLE:
            self._bundle(record)
        elif record.type is RecordType.COMMAND:
            frame = unsafe_parse_frame(record.subject, FrameKind.COMMAND)
            verb = int.from_bytes(frame.payload[:2], "little")
            # One tightens, or speaks for itself; a drain that loosens: the replay sees it.
            asked = verb in (Command.APPROVE, Command.REJECT)
            power = Power.APPROVER if asked else Power.OPERATOR
            k = 0 if verb == Command.RESUME else 1
            now_ns = record.now_ns
            if record.has(RecordFlag.CLOCK_SET):
                if COMMAND.unpack(frame.payload)["until_ns"] != self.last_ns:
                    raise AuditError("it sets back another time than that of the record before")
                now_ns = self.last_ns  # by which its keys must not have ended
            verify_power(frame, self._known(), power, now_ns, k)
            self.report.signatures_verified += 1
        elif record.type is RecordType.FEED:
            frame = unsafe_parse_frame(record.subject, FrameKind.FEED)
            self._feed(frame, record.now_ns)
            self.report.signatures_verified += 1
        elif record.type is RecordType.STOP and len(record.subject) > AUTO_STOP.size:
            frame = unsafe_parse_frame(record.subject[AUTO_STOP.size :], FrameKind.FEED)
            self._feed(frame, record.now_ns)
            self.report.signatures_verified += 1
        elif record.type is RecordType.SNAPSHOT:
            self._snapshot(record)

    def _feed(self, frame: UnsafeFrame, now_ns: int) -> None:
        kind = int.from_bytes(frame.payload[:2], "little")
        if kind not in set(FeedKind):
            raise AuditError(f"a feed of kind {kind}")
        power = FEED_POWERS[FeedKind(kind)]
        verify_power(frame, self._known(), power, now_ns)
        agent = int.from_bytes(frame.payload[8:12], "little")
        nodes = self._known().nodes
        if power is Power.AGENT and any(nodes.get(p.key) != agent for p in frame.proofs):
            raise AuditError("a heartbeat is signed by another agent's key")

    def _known(self) -> Authority:
        if self.authority is None:
            raise AuditError("no authority was loaded before")
        return self.authority

    def _bundle(self, record: Record) -> None:
        kind, _, sequence, size, hash_ = struct.unpack("<H6sQQ32s", record.subject)
        raw = (self.directory / "bundles" / hash_.hex()).read_bytes()
        frame = unsafe_parse_frame(raw, FrameKind(kind))
        if len(raw) != size or frame.hash != hash_ or frame.sequence != sequence:
            raise AuditError(f"bundles/{hash_.hex()} is not the bundle that was taken")
        if self.genesis is None or frame.engine_id != self.genesis.engine_id:
            raise AuditError(f"bundles/{hash_.hex()} is of another engine")
        # From here on it is what counts; a bad signature is named once, not at each record.
        if frame.kind is FrameKind.AUTHORITY:
            self.authority_hash = hash_
            verify_root(frame, self.genesis)
            self.authority = parse_authority(frame.payload)
        else:
            self.policy_hash = hash_
            self.report.policy_versions.append(sequence)
            verify_power(frame, self._known(), Power.POLICY, record.now_ns)
        self.report.signatures_verified += 1

    def _snapshot(self, record: Record) -> None:
        size, digest, _, _ = struct.unpack("<Q32sI4s", record.subject)
        path = self.directory / "snapshots" / f"{record.number:020d}"
        try:
            state = path.read_bytes()
        except FileNotFoundError:
            return  # Only the last two are kept.
        if len(state) != size or sha256(state).digest() != digest:
            self.report.findings.append(
                Finding(
                    "corrupt",
                    f"snapshots/{path.name}",
                    "not the state that was recorded",
                    record.number,
                )
            )


class _PlainScan:
    """What `_core.OrderScan` keeps, without our C: it steps over nothing."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self.counters: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.hashes)

    def __getitem__(self, index: int) -> bytes:
        return self.hashes[index]

    def append(self, hash32: bytes) -> None:
        self.hashes.append(hash32)

    def root(self) -> bytes:
        return tree_root(self.hashes)

    def use(self, key: int, counter: int) -> bool:
        grows = counter == self.counters.get(key, 0) + 1
        self.counters[key] = counter
        return grows


def verify_log(
    directory: str | os.PathLike[str],
    *,
    engine_id: bytes | None = None,
    plain: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> LogReport:
    """Checks everything that public inputs can prove about an engine's directory.

    Frames, chain and commitments of every record; signatures of bundles, commands, feeds and
    witnesses up to the genesis record; the heads that witnesses confirmed; snapshots, texts, the
    head. `engine_id`: which engine it must be; None takes the directory's own word. Raises
    StorageError when there is nothing to read; whatever is wrong is a finding.

    Orders are stepped over by the core, on all processors; it steps over nothing but what is
    right, and all else is judged in Python. `plain` leaves the core out: every record is then
    judged by code that shares nothing with what wrote it, about forty times slower.

    `progress` is told how many records are done, and how many the head counts.
    """
    top = Path(directory)
    if not (top / "log").is_dir():
        raise StorageError(
            f"{directory}: there is no engine here",
            next_step="name the engine's directory with --dir or ZCP_DIR",
        )
    report = LogReport(str(directory))
    if plain:
        return _verify(top, report, engine_id, _PlainScan(), progress)
    threads = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(threads) as pool:
        scan = _core.OrderScan(pool if threads > 1 else None)
        return _verify(
            top, report, engine_id, scan, progress, _SHARED_BYTES if threads > 1 else PIECE_BYTES
        )


def _verify(
    top: Path,
    report: LogReport,
    engine_id: bytes | None,
    scan: _Scan,
    progress: Callable[[int, int | None], None] | None,
    piece_bytes: int = PIECE_BYTES,
) -> LogReport:
    genesis = _read_genesis(top, report)
    verifier = _Verifier(top, report, genesis, scan)
    walk = Walk(top, report.findings, genesis.engine_id if genesis else None)
    walk.piece_bytes = piece_bytes

    def skip(data: bytes, at: int) -> tuple[int, int, bytes]:
        assert isinstance(scan, _core.OrderScan)
        before, denied = len(scan), scan.verdict_counts()[Verdict.DENIED]
        at, verifier.now_ns = scan.run(
            data,
            at,
            verifier.epoch,
            verifier.now_ns,
            verifier.policy_hash,
            verifier.authority_hash,
        )
        if progress is not None:
            progress(len(scan), walk.head.count if walk.head is not None else None)
        if len(scan) > before:
            # Their times only grow: the last one's is the one that counts.
            taken = scan.verdict_counts()[Verdict.DENIED] - denied != len(scan) - before
            for kind, text in verifier.notes.orders(verifier.now_ns, taken=taken):
                report.findings.append(Finding(kind, "log", text, len(scan) - 1))
        return at, len(scan) - before, scan[len(scan) - 1]

    if isinstance(scan, _core.OrderScan):
        walk.skip = skip
    for located in walk.records():
        record = located.record
        verifier.step(located)
        scan.append(record.hash)
        report.types[record.type.name.lower()] += 1
        if record.type is RecordType.ORDER:
            report.verdicts[record.verdict.name.lower()] += 1
        report.first_ns = report.first_ns if len(scan) > 1 else record.now_ns
        if progress is not None:
            progress(len(scan), walk.head.count if walk.head is not None else None)
    if isinstance(scan, _core.OrderScan):
        _count_skipped(report, scan)
    if walk.head is not None and 0 < walk.head.count <= len(scan):
        last = walk.head.count - 1
        if scan[last][:16] != walk.head.last_hash:
            report.findings.append(
                Finding("corrupt", "log/head", "the head names another last record", last)
            )
    _count_answers(report, verifier)
    report.last_ns, report.epochs = verifier.now_ns, verifier.epoch
    report.records, report.last_hash, report.root = len(scan), walk.last_hash, scan.root()
    report.writer_alive = walk.writer_alive
    if verifier.genesis is not None:
        report.engine_id = verifier.genesis.engine_id
        report.environment = verifier.genesis.environment
    if engine_id is not None and report.engine_id != engine_id:
        report.findings.append(
            Finding("foreign", "genesis", f"this is engine {report.engine_id.hex()}", 0)
        )
    _check_texts(top, report)
    return report


def _count_answers(report: LogReport, verifier: _Verifier) -> None:
    witnesses, notes = verifier.witnesses, verifier.notes
    report.witness, report.witness_confirmed = witnesses.counts, witnesses.confirmed
    report.clocks, report.clock_bound_ns, report.keys = notes.clocks, notes.bound_ns, notes.keys
    report.signatures_verified += notes.signatures


def _count_skipped(report: LogReport, scan: _core.OrderScan) -> None:
    for verdict, count in zip(Verdict, scan.verdict_counts(), strict=True):
        if count:
            report.types["order"] += count
            report.verdicts[verdict.name.lower()] += count


def _read_genesis(directory: Path, report: LogReport) -> Genesis | None:
    try:
        return parse_genesis((directory / "genesis").read_bytes())
    except FileNotFoundError:
        report.findings.append(Finding("missing", "genesis", "the file is missing"))
    except SentinelError as error:
        report.findings.append(Finding("corrupt", "genesis", error.message))
    return None


def _check_texts(directory: Path, report: LogReport) -> None:
    for path in sorted((directory / "texts").glob("*")):
        if path.is_file() and sha256(path.read_bytes()).hexdigest() != path.name:
            report.findings.append(
                Finding("corrupt", f"texts/{path.name}", "not the text of this digest")
            )
