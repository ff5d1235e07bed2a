"""An engine in another process: the same calls as `sentinel.sign.Signer`, through sentineld.

    from sentinel import Message
    from sentinel.client import Client
    from sentinel.heartbeat import AgentKey

    key = AgentKey.open("maker.key", passphrase=secret)
    with Client.connect("unix:///run/sentinel/socket", agent="firm/desk/maker", key=key,
                        pin="daemon.pin", deadline=2.0) as client:
        signed = client.session().sign(Message(text="hello"))

The address is `unix://…`, `shm://…` (a ring in shared memory, for the lowest latency) or
`vsock://cid:port`. A connection that is lost is opened anew, and the same request is asked again.
docs/service.md, "Connect".
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from typing_extensions import Buffer

from . import _core, _layout
from ._client import Connection, Facts
from ._core import PreparedOrder, SignedBatch
from ._enums import FEED_MARKS_MAX, Command, MarkKind, Power, Scope, Venue
from ._frame import FrameKind
from ._layout import FedMark
from ._order import DecimalText, Order, decimal_of
from ._own_key import OwnKey
from ._people import Person, SigningKeys, person_id
from ._receipt_enclave import EnclaveProof, named_document
from ._record import Record, RecordType, parse_record
from ._service import (
    AnswerLost,
    Request,
    Role,
    Service,
    ServiceDesk,
    ServiceOrigin,
    ServiceStatus,
    ServiceUnreachable,
    ask_document,
    refuser,
)
from ._service_host import FilePiece, HostCalls
from ._session import Session
from ._signed import ReceiptHandle, SignedOrder
from ._status import Status
from ._stops import target_of
from .ack import Ack
from .config import read_passphrase
from .errors import AuditError, PolicyInvalid, UsageError, VerificationFailed
from .policy import Policy, compile_policy, stable_id
from .receipt import Head, build_receipt
from .witness import WitnessError

__all__ = [
    "AnswerLost",
    "Client",
    "FilePiece",
    "ServiceStatus",
    "ServiceUnreachable",
    "Taken",
    "ask_document",
]

_DEADLINE_SECONDS: Final = 5.0
_SEQUENCE_COMMAND: Final = 4
_HEAD: Final = struct.Struct("<32sQQ32s32s")
_TAKEN: Final = struct.Struct("<QI4x")
_RECORDS_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a frame. `held`: it is in force, and a witness has to confirm it yet. `ack`:
    the engine's acknowledgement of a command, unverified (`Ack.verify`).
    """

    record: int
    held: bool
    ack: Ack | None = None


class _Seat:
    """An agent's place at a daemon."""

    def __init__(self, service: Service, desk: ServiceDesk, origin: ServiceOrigin) -> None:
        self._sign = service.connection.sign
        self._desk = desk
        self._origin = origin
        self.agent = service.connection.facts.agent
        self.session = self

    def sign(
        self, order: Order, action_id: int | None = None, now_ns: int | None = None
    ) -> SignedOrder:
        """Signs one order, or raises its refusal."""
        if now_ns is not None:
            raise UsageError("the time is the daemon's own: leave now_ns out")
        packed, stamped = self._sign(_core.blank(order), action_id)
        if _core.is_allowed(packed):
            return _core.released(SignedOrder, packed, stamped, order, self._origin)
        used = int.from_bytes(stamped[16:24], "little")
        raise self._desk.refused(self.agent, order, used, _core.refused(packed))


class ServiceSession(Session):
    """One agent's session at a daemon: as `sentinel.sign.Session`, one order at a time."""

    def sign(
        self,
        order: Order | Mapping[str, Any],
        *,
        action_id: int | None = None,
        reasons: str | None = None,
        now_ns: int | None = None,
    ) -> SignedOrder:
        """Signs one order, or refuses it; as `Session.sign`.

        `reasons` put their digest into the record; the text stays with the caller. `now_ns` is the
        daemon's. Raises AnswerLost too: give the same `action_id` to ask again.
        """
        order = self._order(order)
        if reasons is not None:
            digest = hashlib.sha256(_layout.reason_text(reasons)).digest()
            order = replace(order, reasons_digest=digest)
        return self._sign(order, action_id, now_ns)

    def prepare(self, order: Order | Mapping[str, Any]) -> PreparedOrder:
        """Not through a daemon. Raises UsageError."""
        _embedded_only("prepare")

    def sign_many(
        self,
        orders: Buffer | Iterable[Order | Mapping[str, Any]],
        *,
        now_ns: int | None = None,
        into: SignedBatch | None = None,
    ) -> SignedBatch:
        """Not through a daemon. Raises UsageError."""
        _embedded_only("sign_many")


def _embedded_only(what: str) -> NoReturn:
    raise UsageError(f"{what} needs the engine in this process", next_step="sign one by one")


class Client(HostCalls):
    """A session with a daemon. Its methods may be called from any thread; they take turns."""

    def __init__(
        self, connection: Connection, keys: SigningKeys | None, role: Role, address: str
    ) -> None:
        """Use `Client.connect`."""
        self._connection = connection
        self._role = role
        self._service = Service(connection, keys)
        self._desk = ServiceDesk(self._service)
        self._origin: ServiceOrigin | None = None
        self.address = address

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        agent: str | int | None = None,
        key: OwnKey | SigningKeys | str | PathLike[str] | None = None,
        key_id: str | int | None = None,
        pin: bytes | str | PathLike[str] | None = None,
        deadline: float = _DEADLINE_SECONDS,
        role: str = "",
        engine_id: bytes | None = None,
        passphrase: bytes | str | None = None,
        passphrase_file: str | PathLike[str] | None = None,
        peer: bool = False,
        busy_poll: bool = False,
    ) -> Self:
        """Opens a session.

        `agent`: who signs, by its whole path or id; without one the role is "command", or
        "feeder". `key`: the session's own, as an opened key or a key file (then with its
        passphrase, as in `config.read_passphrase`). `key_id`: its row of the authority bundle, by
        number or by the person's name; default: the name in the `.pub` file beside the key file,
        then the agent's or the role's own. `pin`: SHA-256 of the daemon's public key, as 32 bytes
        or a file of 64 hex digits, which is read anew at each handshake.

        `deadline`: seconds that each call may take; a request whose turn comes later is not
        decided. `peer`: no key and no TLS, as the bundle maps this user to the agent. `busy_poll`:
        spin for answers on a ring; takes a whole processor.

        Raises ServiceUnreachable, VerificationFailed (another daemon, engine or version),
        KeyFileError, EngineHalted, UsageError.
        """
        kind = _role_of(role, agent)
        keys, found = _keys_of(key, key_id, passphrase, passphrase_file)
        if (keys is None) != peer:
            raise UsageError(
                "a peer has no key" if peer else "a key is needed: AgentKey.open, or a key file"
            )
        if not peer and pin is None:
            raise UsageError(
                "pin: which daemon is it to be?",
                next_step="give the file that sentineld --pin writes, or its 32 bytes",
            )
        if peer and key_id is None:
            raise UsageError("key_id: a peer names its row of the authority bundle")
        ring_id, row = _row_of(keys, found, key_id)
        connection = Connection(
            *(address, refuser(address)),
            role=kind,
            agent=0 if agent is None else _agent_id(agent),
            key=row,
            capsule=None if keys is None else _core.keyring_capsule(keys.ring),
            key_in_ring=ring_id,
            pin=pin if isinstance(pin, bytes) else None,
            pin_file=None if pin is None or isinstance(pin, bytes) else pin,
            engine_id=engine_id,
            timeout_ns=_nanoseconds(deadline),
            peer=peer,
            busy_poll=busy_poll,
        )
        return cls(connection, keys, kind, address)

    def close(self) -> None:
        """Ends the session. Safe to call again."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connection(self) -> Connection:
        """The C client behind it: requests by number, for what has no method here."""
        return self._connection

    @property
    def facts(self) -> Facts:
        """Of the session and its last call: engine, epoch, channel, how often it was opened."""
        return self._connection.facts

    def set_deadline(self, seconds: float) -> None:
        """How long each call may take from now on. Raises UsageError."""
        self._connection.set_timeout(_nanoseconds(seconds))

    # ---- Signing ----------------------------------------------------------

    def session(self, agent: str | int | None = None) -> ServiceSession:
        """The seat of this session's one agent. Raises UsageError for another."""
        if self._role is not Role.AGENT:
            raise UsageError("this session is no agent's", next_step="connect with agent=…")
        facts = self._connection.facts
        if agent is not None and _agent_id(agent) != facts.agent:
            found = self.policy.agent(agent)
            if found.id != facts.agent:
                raise UsageError(f"this session is not of {found.path}: connect once more")
        if self._origin is None:
            self._origin = ServiceOrigin(self._service)
        seat: Any = _Seat(self._service, self._desk, self._origin)
        known: Any = self
        return ServiceSession(known, _path_of(self.policy, facts.agent), seat)

    @property
    def policy(self) -> Policy:
        """The policy in force. Raises EngineHalted when none was loaded."""
        return self._service.policy()

    def resolve(self, kind: str, name: str) -> int:
        """The id of a name of the policy: an instrument, asset, network, key or agent."""
        policy = self.policy
        if kind == "agent":
            return policy.agent(name).id
        found: int = getattr(policy, kind)(name).id
        return found

    def _withdraw(self, session: Any, action_id: int, now_ns: int | None) -> int:
        answer = self._connection.call(Request.WITHDRAW, struct.pack("<Q", action_id))
        return int.from_bytes(answer, "little")

    # ---- What is in force ----------------------------------------------------

    def status(self) -> ServiceStatus:
        """What the daemon says of itself and its engine."""
        return self._service.status()

    @property
    def installed(self) -> Service:
        """What of the engine may be known through a session: its bundles, its terms."""
        return self._service

    def records(self, first: int = 0) -> Iterable[Record]:
        """The log's records from a number on (role "command"). Raises AuditError."""
        while True:
            try:
                raw = self._connection.call(
                    Request.RECORDS, struct.pack("<QI4x", first, _RECORDS_BYTES)
                )
            except AuditError as error:
                if error.status == Status.AUDIT_END:
                    return
                if error.status == Status.AUDIT_TRUNCATED:
                    raise AuditError(
                        f"the daemon has no record {first}",
                        cause="its enclave came back by a snapshot, with the log's end alone",
                        next_step="read it from the store of the enclave's host",
                        status=error.status,
                    ) from None
                raise
            at = 0
            while at < len(raw):
                size = int.from_bytes(raw[at : at + 4], "little")
                yield parse_record(raw[at + 4 : at + 4 + size])
                at += 4 + size
                first += 1

    def head(self) -> Head:
        """The signed head of the log."""
        raw = self._connection.call(Request.HEAD)
        if len(raw) != _HEAD.size + 64:
            raise VerificationFailed("the daemon's head has another size")
        engine_id, epoch, count, last_hash, root = _HEAD.unpack_from(raw)
        return Head(engine_id, epoch, count, last_hash, root, raw[_HEAD.size :])

    def receipt(self, handle: ReceiptHandle | int) -> dict[str, Any]:
        """The receipt of a decision, as JSON data (role "command"): made here, of the log's records
        and the signed head. Raises UsageError, AuditError.
        """
        if isinstance(handle, ReceiptHandle) and handle.engine_id != self._service.engine_id:
            raise UsageError("the receipt handle is of another engine")
        number = handle if isinstance(handle, int) else handle.record
        head = self.head()
        leaves: list[bytes] = []
        policies: dict[bytes, bytes] = {}
        genesis, wanted, named = b"", None, None
        for record in self.records():
            if len(leaves) == head.count:
                break
            leaves.append(record.hash)
            if record.number == 0:
                genesis = record.subject
            if record.type is RecordType.BUNDLE and record.subject[:2] == b"\2\0":
                policies.setdefault(record.subject[24:56], record.raw)
            if record.number == number:
                wanted = record
            elif wanted is None and named_document(record):
                named = record
        if wanted is None:
            raise AuditError(f"there is no record {number}; the log has {len(leaves)}")
        if wanted.type is not RecordType.ORDER:
            raise UsageError(f"record {number} is about no order: receipts are of orders")
        policy = policies.get(wanted.policy_hash)
        enclave = self._enclave(named) if named and named.epoch == wanted.epoch else None
        return build_receipt(wanted.raw, policy, genesis, head, leaves, enclave)

    def _enclave(self, named: Record) -> EnclaveProof:
        name = f"bundles/{named_document(named).hex()}"
        return EnclaveProof(named, self.file(name))

    def attestation(self, nonce: bytes) -> bytes:
        """The attestation document for a nonce of 32 bytes, unverified (`sentinel.attestation`).

        Raises UsageError outside an enclave.
        """
        return self._connection.call(Request.ATTEST, nonce)

    # ---- Operating --------------------------------------------------------

    def hand_in(self, frame: bytes) -> Taken:
        """Hands in a signed frame. A command that was answered already, and whose answer was lost,
        is answered again; another frame of that kind then gives PolicyInvalid (its sequence).
        """
        if self._role is Role.AGENT:
            return Taken(
                int.from_bytes(self._connection.call(Request.BEAT, frame), "little"), False
            )
        answer = self._connection.take(frame)
        if len(answer) == _TAKEN.size:
            record, held = _TAKEN.unpack(answer)
            return Taken(record, bool(held))
        ack = Ack.parse(answer)
        return Taken(ack.record, False, ack)

    def take(self, frame: bytes, *, now_ns: int | None = None) -> int:
        """As `Signer.take`: the number of its record. An agent's session takes its heartbeats.

        Raises WitnessError where a witness has to confirm it and did not yet: it is in force.
        """
        taken = self.hand_in(frame)
        if taken.held:
            raise WitnessError(
                f"record {taken.record} is in force, but not confirmed: no witness was asked yet",
                record=taken.record,
                next_step="the daemon's host asks the witness",
            )
        return taken.record

    def halt(
        self,
        reason: str,
        *,
        scope: str | int | None = None,
        venue: Venue | str | None = None,
        instrument: str | int | None = None,
        severity: int = 0,
    ) -> int:
        """As `Signer.halt`, signed with this session's own key. The reason's digest is in the
        record; its text stays with the caller.
        """
        return self._command(
            Command.HALT, reason, target_of(self.policy, scope, venue, instrument), severity
        )

    def drain(
        self,
        reason: str,
        *,
        until_ns: int = 0,
        scope: str | int | None = None,
        venue: Venue | str | None = None,
        instrument: str | int | None = None,
        severity: int = 0,
    ) -> int:
        """As `Signer.drain`, signed with this session's own key."""
        on = target_of(self.policy, scope, venue, instrument)
        return self._command(Command.DRAIN, reason, on, severity, until_ns)

    def resume(
        self,
        reason: str,
        *,
        scope: str | int | None = None,
        venue: Venue | str | None = None,
        instrument: str | int | None = None,
    ) -> int:
        """As `Signer.resume`: where k operators must sign, hand in a command that they signed."""
        return self._command(
            Command.RESUME, reason, target_of(self.policy, scope, venue, instrument)
        )

    def lease(self, for_ns: int | None = None, reason: str = "renewed") -> int:
        """As `Signer.lease`."""
        until = time.time_ns() + (self.policy.lease_ns if for_ns is None else for_ns)
        return self._command(Command.LEASE, reason, (Scope.ENGINE, 0, ""), 0, until)

    def _command(
        self,
        verb: Command,
        reason: str,
        on: tuple[Scope, int, str],
        severity: int = 0,
        until_ns: int = 0,
    ) -> int:
        now = time.time_ns()

        def taken(sequence: int) -> int:
            part = _layout.command(
                *(verb, on[1], reason, self._service.terms(sequence, now)),
                scope=on[0],
                severity=severity,
                until_ns=until_ns,
            )
            return self.take(self._service.sign(FrameKind.COMMAND, Power.OPERATOR, part))

        if verb is Command.HALT:  # It waits for no state, which needs a room that others may have.
            try:
                return taken(now)
            except PolicyInvalid as error:
                if error.status != Status.POLICY_SEQUENCE:
                    raise
        last = self._service.state()[0].sequences[_SEQUENCE_COMMAND]
        return taken(max(now, last + 1))

    def load_policy(
        self,
        source: str | bytes,
        *,
        file: str = "policy.yaml",
        base: Path | None = None,
        version: int | None = None,
    ) -> tuple[int, Taken]:
        """Compiles, signs with this session's keys and loads a policy; its version, and what became
        of it. As `Signer.load_policy`.
        """
        loaded = self._service.state()[0].sequences[FrameKind.POLICY]
        wanted = loaded + 1 if version is None else version
        keys = _core.key_infos(self._connection.call(Request.KEYS))
        terms = self._service.terms(wanted, time.time_ns())
        part = compile_policy(source, terms, keyring=keys, file=file, base=base)
        return wanted, self.hand_in(self._service.sign(FrameKind.POLICY, Power.POLICY, part))

    def feed_marks(
        self,
        instruments: Mapping[str, DecimalText] | None = None,
        *,
        assets: Mapping[str, DecimalText] | None = None,
    ) -> None:
        """As `Signer.feed_marks`, of a session with the role "feeder"."""
        policy = self.policy
        prices = [
            (MarkKind.INSTRUMENT, policy.instrument(name).id, decimal_of(price, name))
            for name, price in (instruments or {}).items()
        ] + [
            (MarkKind.ASSET, policy.asset(name).id, decimal_of(price, name))
            for name, price in (assets or {}).items()
        ]
        for first in range(0, len(prices), FEED_MARKS_MAX):
            now = time.time_ns()
            marks = [FedMark(*price, now) for price in prices[first : first + FEED_MARKS_MAX]]
            part = _layout.mark_feed(marks, self._service.terms(now, now))
            self.take(self._service.sign(FrameKind.FEED, Power.FEED_MARK, part))


def _role_of(word: str, agent: str | int | None) -> Role:
    known = {role.name.lower(): role for role in Role}
    if word and word not in known:
        raise UsageError(f"role: {word!r} is none of {', '.join(known)}")
    role = known[word] if word else Role.COMMAND if agent is None else Role.AGENT
    if (role is Role.AGENT) != (agent is not None):
        raise UsageError("an agent's session names its agent, and no other one does")
    return role


def _agent_id(agent: str | int) -> int:
    return agent if isinstance(agent, int) else stable_id("node", agent)


def _path_of(policy: Policy, agent: int) -> str:
    return next((node.path for node in policy.agents if node.id == agent), str(agent))


def _nanoseconds(seconds: float) -> int:
    nanoseconds = int(seconds * 1e9)
    if nanoseconds <= 0:
        raise UsageError("a deadline is above 0 seconds")
    return nanoseconds


def _keys_of(
    key: OwnKey | SigningKeys | str | PathLike[str] | None,
    key_id: str | int | None,
    passphrase: bytes | str | None,
    passphrase_file: str | PathLike[str] | None,
) -> tuple[SigningKeys | None, Path | None]:
    if key is None or isinstance(key, SigningKeys):
        return key, None
    if isinstance(key, OwnKey):
        return key._keys, key.path
    place = Path(key)
    if passphrase is None:
        passphrase = read_passphrase(place.parent, file=passphrase_file)
    secret = passphrase.encode() if isinstance(passphrase, str) else passphrase
    return SigningKeys.open(place, secret), place


def _row_of(
    keys: SigningKeys | None, path: Path | None, key_id: str | int | None
) -> tuple[int, int]:
    """Which key of the ring it is, and the id of its row of the authority bundle."""
    row = person_id(key_id) if isinstance(key_id, str) else key_id
    if keys is None:
        return 0, row or 0
    ids = list(keys.ids.values())
    if row is None and path is not None and path.with_suffix(".pub").is_file():
        row = person_id(Person.read(path.with_suffix(".pub")).name)
    if row is None:
        raise UsageError(
            "key_id: which row of the authority bundle is this key's?",
            next_step="give the person's name or number, or keep the .pub file beside the key",
        )
    return (ids[0] if len(ids) == 1 else row), row
