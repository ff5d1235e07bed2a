"""Where a drill takes place: a copy of an engine, the people's keys, and the way to its writer."""

from __future__ import annotations

import shutil
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from . import _core, _layout
from ._drafts import Draft, need_of, sign_draft
from ._drill_beats import Beats, beats_of, must_beat
from ._drill_witness import OwnWitness, forget_witness
from ._enums import Command, Power, Scope
from ._frame import FrameKind
from ._log import Walk
from ._people import Public, SigningKeys
from ._record import parse_record
from .config import Installed, keep_text, os_failed
from .errors import (
    AuditCorrupt,
    EngineHalted,
    KeyFileError,
    PolicyDenied,
    SentinelError,
    StorageError,
    UsageError,
    raise_status,
)
from .sign import Signer

REASON: Final = "drill"
_VALID_NS: Final = 3_600 * 10**9
_BACK_NS: Final = 5 * 10**9
_SEGMENT_HEADER: Final = 64
_POLL_S: Final = 0.0002


_STOPS: Final = (
    *("engine_halted", "control_stop", "venue_halted", "instrument_halted", "draining"),
    "kill_switch",
)
_EXCUSES: Final = ("", "lease_expired", "grant_exhausted", "heartbeat_missing", "progress_stalled")
"""Refusals that say nothing of a stop: it may have been lifted for all that."""


def holds(why: str) -> bool:
    """Whether the answer to an order shows that a stop holds."""
    return why not in _EXCUSES


# ---- The copy -----------------------------------------------------------------------------------


def copy_engine(source: Path, target: Path) -> Installed:
    """Copies an engine's directory, also while a writer appends to its log. `target` is new.

    In this order: spool and control page (a frame that is taken meanwhile is there twice, which
    the engine refuses or answers as taken), snapshots, the head, the log up to its last committed
    record, and last what records name: bundles and texts. People's key files stay where they are.
    Raises StorageError, AuditError.
    """
    installed = Installed(source)
    try:
        target.mkdir(mode=0o700, parents=True)
        for name in ("genesis", "control", "expectation.json"):
            if (source / name).exists():
                shutil.copy2(source / name, target / name)
        (target / "lock").touch(mode=0o600)
        _copy_files(source / "keys", target / "keys")
        _copy_files(source / "spool", target / "spool")
        _copy_files(source / "snapshots", target / "snapshots")
        _copy_log(source / "log", target / "log")
        _copy_files(source / "bundles", target / "bundles")
        _copy_files(source / "texts", target / "texts")
    except OSError as error:
        raise os_failed(error.filename or source, error) from None
    found = Walk(target, [], installed.engine_id)
    for _ in found.records():
        pass
    for path in (target / "snapshots").iterdir():
        if path.name.isdigit() and int(path.name) >= found.count:
            path.unlink()  # Taken while the log was copied: its record is not in the copy.
    if found.findings:
        raise StorageError(
            f"{source}: the copy of it is not intact: {found.findings[0]}",
            cause="the log itself is damaged",
            next_step="zcp audit verify",
        )
    return Installed(target)


def _copy_files(source: Path, target: Path) -> None:
    """The files of one directory; those that go meanwhile are not needed any more."""
    target.mkdir(mode=0o700)
    if not source.is_dir():
        return
    for path in sorted(source.iterdir()):
        if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            try:
                shutil.copy2(path, target / path.name)
            except FileNotFoundError:
                (target / path.name).unlink(missing_ok=True)


def _copy_log(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    (target / "head").write_bytes((source / "head").read_bytes())
    (target / "head").chmod(0o600)
    segments = sorted(source.glob("*.log"))
    for path in segments:
        data = bytearray(path.read_bytes())
        if path == segments[-1]:
            end = _committed(data)
            data[end:] = bytes(len(data) - end)
        (target / path.name).write_bytes(data)
        (target / path.name).chmod(0o600)


def _committed(data: bytearray) -> int:
    """Where the last committed record ends: u64 size, record, commit word (docs/4-audit.md)."""
    at = _SEGMENT_HEADER
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        end = at + 8 + size
        if not size or end + 8 > len(data):
            break
        try:
            record = parse_record(bytes(data[at + 8 : end]))
        except AuditCorrupt:
            break
        if record.hash[:8] != data[end : end + 8]:
            break
        at = end + 8
    return at


# ---- People -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What the writer answered to a command: the record, and when the answer was seen."""

    record: int
    seen_ns: int
    raw: bytes


@dataclass(slots=True)
class Field:
    """An engine's directory in a drill, and the keys of those who take part."""

    directory: Path
    passphrase: bytes = field(repr=False)
    keys: tuple[SigningKeys, ...] = field(repr=False)
    live: bool = False
    own: OwnWitness | None = None
    public: Public = field(init=False)
    renewed: int = 0
    """How often the operators' lease was renewed."""
    _last: int = 0
    _lease_until_ns: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.public = Public.of_engine(Installed(self.directory))

    def holders(self, power: Power) -> list[SigningKeys]:
        """Those who are there and hold a power, each person once."""
        held = {row[2]: id_ for id_, row in self.public.authority.keys.items()
                if row[0] >> power & 1 and time.time_ns() < row[1]}  # fmt: skip
        found: dict[int, SigningKeys] = {}
        for keys in self.keys:
            for public_key in keys.ids:
                if public_key in held:
                    found.setdefault(held[public_key], keys)
        return list(found.values())

    def need(self, power: Power) -> tuple[int, int]:
        """How many it takes, and how many there are."""
        count = len(self.public.holders(power, time.time_ns()))
        return self.public.authority.threshold[power], count

    def check_people(self) -> None:
        """Raises KeyFileError when those who are there cannot resume."""
        k, n = self.need(Power.OPERATOR)
        there = len(self.holders(Power.OPERATOR))
        if there < k:
            raise KeyFileError(
                f"it takes {k} of {n} operators to resume, and the keys of {there} are here",
                cause="a drill halts the engine and must be able to lift that again",
                next_step=f"give {k} operators' key files: --key FILE, once for each",
            )

    # ---- Commands ----

    def draft(self, verb: Command, on: tuple[int, int] | None = None, **more: Any) -> Draft:
        """A command that nobody has signed yet; on the firm, unless another target is named."""
        policy = self.public.policy
        if policy is None:
            raise EngineHalted("no policy is loaded", next_step="zcp policy load FILE")
        now = time.time_ns()
        with self._turn:
            self._last = max(now, self._last + 1)
        terms = _layout.FrameTerms(
            engine_id=self.public.genesis.engine_id,
            environment=Installed(self.directory).environment,
            sequence=self._last,
            issued_ns=now - _BACK_NS,
            expires_ns=now + _VALID_NS,
        )
        asked = verb in (Command.APPROVE, Command.REJECT)
        scope, target = (Scope.RECORD, 0) if asked else (Scope.NODE, policy.nodes[0].id)
        if verb is Command.LEASE:
            scope = Scope.ENGINE
            target = 0
        if on is not None:
            scope, target = Scope(on[0]), on[1]
        keep_text(self.directory, REASON)
        part = _layout.command(verb, target, REASON, terms, scope=scope, **more)
        return Draft(FrameKind.COMMAND, part, reason=REASON)

    def signed(
        self,
        verb: Command,
        count: int | None = None,
        on: tuple[int, int] | None = None,
        **more: Any,
    ) -> bytes:
        """A command, signed by as many as it takes, or by so many."""
        draft = self.draft(verb, on, **more)
        need = need_of(draft, self.public, time.time_ns())
        assert need.power is not None
        wanted = need.k if count is None else count
        for keys in self.holders(need.power)[:wanted]:
            draft, _ = sign_draft(draft, keys, self.public, time.time_ns())
        return draft.raw

    def submit(self, frame: bytes) -> int:
        """Hands a frame to the writer, as any other process does; the ticket."""
        return _core.spool_submit(self.directory, frame)

    def answer(self, ticket: int, seconds: float = 10.0) -> Answer:
        """What the writer answers. Raises what it refused with, UsageError where nothing came."""
        done = self.directory / "spool" / f"{ticket:020d}.done"
        deadline = time.monotonic() + seconds
        while True:
            try:
                raw = done.read_bytes()
            except FileNotFoundError:
                raw = b""
            seen = time.monotonic_ns()
            if len(raw) >= 16:
                status, record = struct.unpack_from("<I4xQ", raw)
                if status:
                    raise_status(status, "the engine's writer did not take it")
                return Answer(record, seen, raw[16:])
            if time.monotonic() >= deadline:
                raise UsageError(f"the engine's writer does not answer (ticket {ticket})")
            time.sleep(_POLL_S)

    # ---- What else lets orders through: the lease, heartbeats ----

    def renew(self, *, spool: bool = False) -> None:
        """Renews the operators' lease where the policy asks for one and half of it is over: through
        the spool where another process is the writer, else as the writer.
        """
        lease = self.public.policy.lease_ns if self.public.policy is not None else 0
        now = time.time_ns()
        if not lease or now < self._lease_until_ns - lease // 2:
            return
        frame = self.signed(Command.LEASE, 1, until_ns=now + lease)
        if spool:
            self.answer(self.submit(frame))
        else:
            self.take(frame)
        self._lease_until_ns = now + lease
        self.renewed += 1

    def beating(self) -> list[Beats]:
        """The agents that must beat and whose keys are here."""
        return beats_of(self.public, self.keys)

    def silent(self, agents: Iterable[str]) -> list[str]:
        """Those of these agents that must beat, and whose keys are not here."""
        here = {one.path for one in self.beating()}
        return sorted({path for path in agents if must_beat(self.public, path)} - here)

    def beat(self, signer: Signer | None = None) -> None:
        """One heartbeat of each agent that must beat: to the writer that is given, or through the
        spool.
        """
        for one in self.beating():
            with self._turn:
                now = time.time_ns()
                self._last = max(now, self._last + 1)
                frame = one.frame(Installed(self.directory), self._last, now)
                if signer is None:
                    self.submit(frame)
            if signer is not None:
                signer.take(frame)

    def refusal(self, signer: Signer, orders: Sequence[tuple[str, Any]]) -> str:
        """As `refusal`, behind a heartbeat."""
        self.beat(signer)
        return refusal(signer, orders)

    # ---- As the writer ----

    @contextmanager
    def writer(self) -> Iterator[Signer]:
        """Becomes the writer, for a while."""
        with Signer.open(self.directory, passphrase=self.passphrase) as signer:
            yield signer

    def take(self, frame: bytes) -> int:
        """Takes a frame as the writer; the number of its record. Raises what refuses it."""
        with self.writer() as signer:
            return signer.take(frame)

    def stopped(self) -> bool:
        """Whether anything is stopped, or the engine does not even open."""
        try:
            with self.writer() as signer:
                status = signer.status()
        except SentinelError:
            return True
        return bool(status.stops)

    def asks(self, orders: Sequence[tuple[str, Any]]) -> str:
        """Opens the engine and asks for signatures; "" when one was given, else why not."""
        try:
            with self.writer() as signer:
                return self.refusal(signer, orders)
        except SentinelError as error:
            return error.message

    def copy(self, source: Path, target: Path) -> None:
        """Copies a drilled directory. The copy asks the drill's own witness, or none: never that
        of a live engine.
        """
        shutil.copytree(source, target)
        if self.own is None:
            forget_witness(target)

    def apart(self) -> AbstractContextManager[None]:
        """While something is done to another copy: the drill's witness forgets that."""
        return nullcontext() if self.own is None else self.own.apart()

    def killed(self) -> None:
        """What follows a kill: see `OwnWitness.forgive`."""
        if self.own is not None:
            self.own.forgive()


def asks_at(directory: Path, passphrase: bytes, orders: Sequence[tuple[str, Any]]) -> str:
    """Opens a copy and asks for signatures; "" when one was given, else why not."""
    try:
        with Signer.open(directory, passphrase=passphrase) as signer:
            return refusal(signer, orders)
    except SentinelError as error:
        return error.message


def refusal(signer: Signer, orders: Sequence[tuple[str, Any]]) -> str:
    """Asks for signatures; "" as soon as one was given, else why the last was refused."""
    why = "nothing was asked for"
    for agent, order in orders:
        try:
            signer.session(agent).sign(order)
        except PolicyDenied as denied:
            # Where several reasons apply, a stop is the one that a drill is about.
            why = next((one for one in _STOPS if one in denied.reasons), denied.reason)
        except SentinelError as error:
            why = error.message
        else:
            return ""
    return why
