"""Reading, verifying and replaying an engine's log.

report = verify_log("engine")       # plain Python: needs no key and none of our C
assert report.ok, report.findings
for record in read_log("engine"):
    print(record.number, record.type.name, record.verdict.name)
differences = list(replay("engine").differences)    # every decision, made again by the core
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from . import _core
from ._audit_witness import Witnesses
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
from ._log import Finding, Located, Walk
from ._record import Record, RecordFlag, RecordType, Verdict, parse_record, tree_root
from ._types import EngineState
from .errors import AuditError, SentinelError, StorageError

__all__ = [
    "Difference",
    "Finding",
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


@dataclass(slots=True)
class LogReport:
    """What a log says, and everything that is wrong with it.

    `witness`: how many answers of witnesses are right, by what followed; `witness_confirmed`:
    how many records the last head has that one of them confirmed.
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
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing at all is wrong."""
        return not self.findings


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


# ---- verify -------------------------------------------------------------------------------------


class _Verifier:
    """What the chain does not prove by itself: signatures, bundles, epochs, counters."""

    def __init__(self, directory: Path, report: LogReport, genesis: Genesis | None) -> None:
        self.directory = directory
        self.report = report
        self.genesis = genesis
        self.authority: Authority | None = None
        self.policy_hash = bytes(32)
        self.authority_hash = bytes(32)
        self.epoch = 0
        self.now_ns = self.last_ns = 0
        self.counters: dict[int, int] = {}
        self.witnesses = Witnesses()

    def step(self, located: Located, before: Sequence[bytes]) -> None:
        """Checks one record. `before`: the hashes of those before it."""
        record = located.record
        problems = list(self._header(record))
        if record.type is RecordType.WITNESS:
            found = list(self.witnesses.problems(record, before, self.genesis, self.authority))
            self.report.signatures_verified += all(kind != "signature" for kind, _ in found)
            problems += found
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
        if record.key_counter:
            if record.key_counter != self.counters.get(record.key, 0) + 1:
                yield "chain", f"the counter of key {record.key} does not grow by one"
            self.counters[record.key] = record.key_counter

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


def verify_log(directory: str | os.PathLike[str], *, engine_id: bytes | None = None) -> LogReport:
    """Checks everything that public inputs can prove about an engine's directory.

    Frames, chain and commitments of every record; signatures of bundles, commands, feeds and
    witnesses up to the genesis record; the heads that witnesses confirmed; snapshots, texts, the
    head. `engine_id`: which engine it must be; None takes the directory's own word. Raises
    StorageError when there is nothing to read; whatever is wrong is a finding.
    """
    top = Path(directory)
    if not (top / "log").is_dir():
        raise StorageError(
            f"{directory}: there is no engine here",
            next_step="name the engine's directory with --dir or ZCP_DIR",
        )
    report = LogReport(str(directory))
    genesis = _read_genesis(top, report)
    walk = Walk(top, report.findings, genesis.engine_id if genesis else None)
    verifier = _Verifier(top, report, genesis)
    leaves: list[bytes] = []
    for located in walk.records():
        record = located.record
        verifier.step(located, leaves)
        leaves.append(record.hash)
        named_last = walk.head is not None and walk.count == walk.head.count
        if walk.head is not None and named_last and record.hash[:16] != walk.head.last_hash:
            report.findings.append(
                Finding("corrupt", "log/head", "the head names another last record", record.number)
            )
        report.types[record.type.name.lower()] += 1
        if record.type is RecordType.ORDER:
            report.verdicts[record.verdict.name.lower()] += 1
        report.first_ns = report.first_ns if len(leaves) > 1 else record.now_ns
        report.last_ns, report.epochs = record.now_ns, record.epoch
    report.witness, report.witness_confirmed = (
        verifier.witnesses.counts,
        verifier.witnesses.confirmed,
    )
    report.records, report.last_hash, report.root = len(leaves), walk.last_hash, tree_root(leaves)
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


# ---- replay -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that comes out otherwise when it is decided again."""

    record: int
    field: str


@dataclass(slots=True)
class Replay:
    """A log, decided again by the core. Iterate over `differences` to run it."""

    context: _core.Context
    records: int = 0
    decisions: int = 0
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
    return walk


def _replay(
    walk: Replay, directory: Path, first: int, last: int | None = None
) -> Iterator[Difference]:
    for raw in _open_reader(directory, first) or ():
        if last is not None and raw.number > last:
            return
        kind = struct.unpack_from("<H", raw.bytes, 2)[0]
        bundle = b""
        if kind == RecordType.BUNDLE:
            path = directory / "bundles" / raw.bytes[320 + 24 : 320 + 56].hex()
            bundle = path.read_bytes() if path.exists() else b""
        try:
            difference = walk.context.replay(raw.bytes, bundle)
        except SentinelError as error:
            difference = error.message
        if difference is not None:
            yield Difference(raw.number, difference)
            return
        walk.records += 1
        walk.decisions += kind == RecordType.ORDER


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
