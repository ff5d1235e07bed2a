"""Signing orders: an engine, its sessions, and what comes back.

    from sentinel import Signer
    from sentinel.order import Message

    with Signer.open("engine") as signer:
        signed = signer.session("agent").sign(Message(text="hello"))
        signed.signature, signed.handle.record
        receipt = signer.receipt(signed.handle)

A refusal is the exception `PolicyDenied`. Embedded, the caller supplies the time (`now_ns`,
default: this machine's clock) and shares its memory with the keys; docs/threat-model.md says what
that means.
"""

from __future__ import annotations

import contextlib
import logging
import time
import weakref
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from . import _core, _layout
from ._core import SIGN_MANY_MAX, PreparedOrder, SignedBatch
from ._desk import Desk, Origin
from ._enums import (
    FEED_MARKS_MAX,
    Command,
    MarkKind,
    Scope,
    Venue,
)
from ._frame import FrameKind
from ._in_force import word_told
from ._layout import FedMark
from ._nonces import Filler, check_nonces
from ._order import DecimalText, decimal_of
from ._overview import Status, status_of
from ._receipts import ReceiptMaker
from ._session import Session
from ._signed import HttpRequest, ReceiptHandle, SignedOrder
from ._stops import Stop, target_of
from ._types import Nonces
from .config import (
    AuthorityRing,
    Installed,
    engine_dir,
    keep_reason,
    keep_text,
    public_keys,
    read_passphrase,
)
from .errors import EngineHalted, SentinelError, UsageError, raise_status
from .pending import OrderPending
from .policy import Policy, compile_policy
from .witness import Client, WitnessError, check_url, configured

__all__ = [
    "SIGN_MANY_MAX",
    "HttpRequest",
    "Nonces",
    "OrderPending",
    "PreparedOrder",
    "ReceiptHandle",
    "Session",
    "SignedBatch",
    "SignedOrder",
    "Signer",
    "Status",
    "Stop",
]

_DURABILITY: Final = {"none": 1, "write": 2, "fsync": 3, "mapped": 4}
_NEVER: Final = 2**63 - 1
_SEQUENCE_COMMAND: Final = 4
_SEQUENCE_FEED_MARK: Final = 9


class Signer:
    """An engine's one writer in this process. Its methods may be called from any thread."""

    def __init__(
        self,
        installed: Installed,
        engine: _core.Engine,
        unlock: Callable[[], bytes],
        witness: str | None = None,
    ) -> None:
        """Use `Signer.open`."""
        self._witness = Client(engine, witness)
        self._installed = installed
        self._engine = engine
        self._unlock = unlock
        self._lock = _core.Turn()
        self._filler = Filler(engine)
        self._authority: AuthorityRing | None = None
        self._desk = Desk(engine, self._witness)
        self._origin = Origin(installed)
        self._ids: dict[int, _core.Ids] = {}
        self._receipts = ReceiptMaker(
            installed.directory, installed.genesis.raw, installed.engine_id
        )

    @classmethod
    def open(
        cls,
        directory: str | PathLike[str] | None = None,
        *,
        passphrase: bytes | str | None = None,
        passphrase_file: str | PathLike[str] | None = None,
        durability: str = "write",
        now_ns: int | None = None,
        witness: str | None = None,
        nonces: int = 0,
        accept_snapshot_risk: bool = False,
    ) -> Self:
        """Becomes the writer of an engine.

        `directory` as in `config.engine_dir`, the passphrase as in `config.read_passphrase`.
        `durability`: "none" (keeps nothing: simulation only), "write" (survives the process),
        "fsync" (survives the machine), "mapped" (survives the process; records are stored into
        mapped pages, which a thread of its own prepares). Raises EngineLocked when another process
        is the writer, KeyFileError, StorageError, AuditError. A log that is damaged opens halted:
        `status()` says why, and there are no sessions.

        `witness`: where the witness is that the authority names, such as http://127.0.0.1:8700;
        default: what `zcp witness use` wrote. One that is down keeps nothing from opening: orders
        are refused `grant_exhausted`.

        `nonces`: how many to make ahead for each key that signs for a venue, a power of two from 64
        to 2^20, each 128 bytes of locked memory; a thread of its own keeps the pools full, and a
        signature then takes about a microsecond. Two copies of a running machine would share them,
        and an observer of both could compute the key: so it needs `accept_snapshot_risk`, which the
        log records. docs/3-sign.md, "Nonces made ahead".
        """
        check_nonces(nonces, accept_snapshot_risk)
        if durability not in _DURABILITY:
            raise UsageError(f"durability: {durability!r} is none of {', '.join(_DURABILITY)}")
        installed = Installed(engine_dir(directory))
        url = configured(installed.directory) if witness is None else check_url(witness)

        def unlock() -> bytes:
            if passphrase is None:
                return read_passphrase(installed.directory, file=passphrase_file)
            return passphrase.encode() if isinstance(passphrase, str) else passphrase

        engine = _core.Engine.open(
            *(installed.directory, unlock(), _now(now_ns)),
            durability=_DURABILITY[durability],
            nonces=nonces,
            snapshot_risk=accept_snapshot_risk,
        )
        made = cls(installed, engine, unlock, url)
        if not engine.open_status:
            made._witness.try_ask(now_ns)
        if nonces or durability == "mapped":
            made._filler.start()
            weakref.finalize(made, made._filler.end)  # One that is dropped unclosed ends, too.
        return made

    def close(self, now_ns: int | None = None) -> None:
        """Records what is pending, takes a snapshot, wipes the keys. Safe to call again.

        A grant that is left is given back to the witness.
        """
        with self._lock:
            with contextlib.suppress(SentinelError):  # Closed already; or it counts as used.
                if not self._witness.error:
                    self._witness.ask(now_ns, final=True)
            self._filler.stop()
            self._engine.close(_now(now_ns))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- Signing ----------------------------------------------------------

    def session(self, agent: str | int) -> Session:
        """Who asks: an agent by path, name or id.

        Raises UsageError when there is no such agent, AuditCorrupt when the log is damaged: such
        an engine signs nothing.
        """
        if self._engine.open_status:
            raise_status(self._engine.open_status, str(self._installed.directory))
        node = self.policy.agent(agent)
        seat = _core.Seat(
            self._engine.session(node.id),
            self._lock,
            self._ids.setdefault(node.id, _core.Ids()),
            self._desk,
            self._origin,
            SignedOrder,
        )
        return Session(self, node.path, seat)

    @property
    def nonces(self) -> Nonces:
        """The pools of nonces that were made ahead; all figures are 0 where there are none.

        Raises what keeps them from being filled; signatures are deterministic meanwhile.
        """
        if self._filler.error is not None:
            raise self._filler.error
        return self._engine.nonces()

    @property
    def policy(self) -> Policy:
        """The policy in force. Raises EngineHalted when none was loaded."""
        policy = self._desk.policy()
        if policy is None:
            raise EngineHalted("no policy is loaded", next_step="load one: zcp policy load FILE")
        return policy

    def resolve(self, kind: str, name: str) -> int:
        """The id of a name of the policy: an instrument, asset, network, key or agent."""
        policy = self.policy
        if kind == "agent":
            return policy.agent(name).id
        found: int = getattr(policy, kind)(name).id
        return found

    def _withdraw(self, session: _core.Session, action_id: int, now_ns: int | None) -> int:
        with self._lock:
            return self._engine.withdraw(session, action_id, _now(now_ns))

    # ---- Receipts, status -------------------------------------------------

    def receipt(self, handle: ReceiptHandle | int) -> dict[str, Any]:
        """The receipt of a decision, as JSON data (`sentinel.receipt`).

        Raises UsageError for a handle of another engine, AuditError when there is no such record.
        """
        if isinstance(handle, int):
            number = handle
        elif handle.engine_id != self._installed.engine_id:
            raise UsageError("the receipt handle is of another engine")
        else:
            number = handle.record
        return self._receipts.make(
            number,
            lambda head: self._engine.sign_head(head.epoch, head.count, head.last_hash, head.root)[
                1
            ],
        )

    def status(self, now_ns: int | None = None) -> Status:
        """The engine's state, in words; a drain past its end counts as a halt."""
        return status_of(self._installed, self._engine.state(), self._desk.policy(), now_ns)

    # ---- Operating --------------------------------------------------------

    def poll(self, now_ns: int | None = None) -> None:
        """Applies what other processes handed in. Every `sign` does this first by itself."""
        with self._lock:
            self._engine.spool(_now(now_ns))
            if self._engine.is_held:
                self._witness.try_ask(now_ns)

    def take(self, frame: bytes, *, now_ns: int | None = None) -> int:
        """Takes a frame that was signed elsewhere: a command, a bundle, a heartbeat; the number of
        its record.

        Raises WitnessError where a witness has to confirm it and did not: it is taken, and in
        force. So do `halt`, `drain`, `resume`, `lease` and `load_policy`.
        """
        with self._lock, word_told(self._installed.directory, writer=True):
            return self._witness.take(frame, now_ns)

    def feeders(self) -> Mapping[int, int]:
        """The last sequence of execution reports that was taken, by the feeder's key."""
        return self._engine.feeders()

    @property
    def installed(self) -> Installed:
        """What anybody may read of the engine."""
        return self._installed

    def halt(
        self,
        reason: str,
        *,
        scope: str | int | None = None,
        venue: Venue | str | None = None,
        instrument: str | int | None = None,
        severity: int = 0,
        now_ns: int | None = None,
    ) -> int:
        """Halts the firm, the node `scope` and all below it, a venue or an instrument; the number
        of the record. A reason that cannot be kept is a warning in the log of `logging`.

        Raises StorageError where the disk is full: the halt is in force all the same, by the stop
        word (`error.in_force_by`), but in no record until it is given again.
        """
        on = target_of(self.policy, scope, venue, instrument)
        return self._command(Command.HALT, reason, on, severity, 0, now_ns)

    def drain(
        self,
        reason: str,
        *,
        until_ns: int = 0,
        scope: str | int | None = None,
        venue: Venue | str | None = None,
        instrument: str | int | None = None,
        severity: int = 0,
        now_ns: int | None = None,
    ) -> int:
        """Lets only cancels, queries and reduce-only orders through; from `until_ns` (0: never)
        on, nothing. Raises PolicyInvalid when it is halted already.
        """
        on = target_of(self.policy, scope, venue, instrument)
        return self._command(Command.DRAIN, reason, on, severity, until_ns, now_ns)

    def resume(
        self,
        reason: str,
        *,
        scope: str | int | None = None,
        venue: Venue | str | None = None,
        instrument: str | int | None = None,
        now_ns: int | None = None,
    ) -> int:
        """Lifts a halt or drain of one thing; of the firm, also a halt of the engine's own."""
        on = target_of(self.policy, scope, venue, instrument)
        return self._command(Command.RESUME, reason, on, 0, 0, now_ns)

    def lease(
        self, for_ns: int | None = None, reason: str = "renewed", *, now_ns: int | None = None
    ) -> int:
        """Lets the engine go on signing for so long, where the policy asks for an operators' lease;
        default: the longest one. Raises PolicyInvalid.
        """
        now = _now(now_ns)
        until = now + (self.policy.lease_ns if for_ns is None else for_ns)
        return self._command(Command.LEASE, reason, (Scope.ENGINE, 0, ""), 0, until, now)

    def _command(
        self,
        verb: Command,
        reason: str,
        on: tuple[Scope, int, str],
        severity: int,
        until_ns: int,
        now_ns: int | None,
    ) -> int:
        with self._lock:
            authorities = self._authorities()
            now = _now(now_ns)
            terms = self._terms(_SEQUENCE_COMMAND, now)
            part = _layout.command(
                *(verb, on[1], reason, terms),
                scope=on[0],
                severity=severity,
                until_ns=until_ns,
            )
            frame = authorities.sign(FrameKind.COMMAND, part)
            try:
                with word_told(self._installed.directory, writer=True):
                    record = self._witness.take(frame, now)
            except WitnessError:  # It is in force, and only not confirmed.
                self._keep_reason(reason)
                raise
            self._keep_reason(reason)
            return record

    def _keep_reason(self, reason: str) -> None:
        if warning := keep_reason(self._installed.directory, reason):
            logging.getLogger(__name__).warning(warning)

    def load_policy(
        self,
        source: str | bytes,
        *,
        file: str = "policy.yaml",
        base: Path | None = None,
        version: int | None = None,
        now_ns: int | None = None,
    ) -> int:
        """Compiles, signs and loads a policy; its version.

        `version`: default one above the loaded one. Raises ConfigError with file, line and
        column; PolicyInvalid when the engine does not take it, and then nothing has changed.
        """
        with self._lock:
            authorities = self._authorities()
            now = _now(now_ns)
            loaded = self._engine.state().sequences[FrameKind.POLICY]
            wanted = loaded + 1 if version is None else version
            terms = self._installed.terms(wanted, now)
            keys = [key.info for key in public_keys(self._installed.directory)]
            part = compile_policy(source, terms, keyring=keys, file=file, base=base)
            frame = authorities.sign(FrameKind.POLICY, part)
            text = source if isinstance(source, str) else source.decode()
            keep_text(self._installed.directory, text)
            self._witness.take(frame, now)
            return wanted

    def feed_marks(
        self,
        instruments: Mapping[str, DecimalText] | None = None,
        *,
        assets: Mapping[str, DecimalText] | None = None,
        now_ns: int | None = None,
    ) -> None:
        """Feeds marks by name: instruments in their quote asset, assets in USD.

        Raises UsageError for an unknown name, OrderInvalid for what is no decimal.
        """
        policy = self.policy
        prices = [
            (MarkKind.INSTRUMENT, policy.instrument(name).id, decimal_of(price, name))
            for name, price in (instruments or {}).items()
        ] + [
            (MarkKind.ASSET, policy.asset(name).id, decimal_of(price, name))
            for name, price in (assets or {}).items()
        ]
        for first in range(0, len(prices), FEED_MARKS_MAX):
            with self._lock:
                authorities = self._authorities()
                now = _now(now_ns)
                marks = [FedMark(*price, now) for price in prices[first : first + FEED_MARKS_MAX]]
                part = _layout.mark_feed(marks, self._terms(_SEQUENCE_FEED_MARK, now))
                self._witness.take(authorities.sign(FrameKind.FEED, part), now)

    def _authorities(self) -> AuthorityRing:
        """Opened at the first use: Argon2id takes its time."""
        if self._authority is None:
            self._authority = AuthorityRing.open(self._installed.directory, self._unlock())
        return self._authority

    def _terms(self, index: int, now_ns: int) -> _layout.FrameTerms:
        """Sequences are times, so that several processes never agree on one by accident."""
        last = self._engine.state().sequences[index]
        return self._installed.terms(max(now_ns, last + 1), now_ns)


def _now(now_ns: int | None) -> int:
    return time.time_ns() if now_ns is None else now_ns
