"""What a client knows of its daemon: statuses in words, the bundles in force, refusals."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Self

from . import _core
from ._client import Connection, Facts
from ._desk import Desk
from ._dial import dial
from ._enums import Algorithm, Environment, Power, label
from ._frame import Authority, FrameKind, UnsafeFrame, parse_authority, unsafe_parse_frame
from ._layout import FrameTerms, attach_proofs, frame_hash
from ._people import SigningKeys
from ._status import Status
from ._types import EngineState, KeyInfo
from .config import terms as terms_of
from .errors import (
    EngineHalted,
    KeyFileError,
    SentinelError,
    StorageError,
    UsageError,
    VerificationFailed,
    exception_of,
    raise_status,
)
from .policy import Policy, decode_policy

_VSOCK_PORT: Final = 5700


class Role(IntEnum):
    """What a session is for; its key must have a power of it."""

    AGENT = 1
    COMMAND = 2
    FEEDER = 3
    KEEPER = 4


class Request(IntEnum):
    """The requests of enclave/PROTOCOL.md, section 5."""

    SIGN = 1
    WITHDRAW = 2
    BEAT = 3
    TAKE = 4
    STATUS = 5
    BUNDLE = 6
    RECORDS = 7
    HEAD = 8
    ATTEST = 9
    ASK = 10
    STATE = 11
    KEYS = 12
    FILE = 13
    PUT = 14


class ServiceUnreachable(StorageError):
    """The daemon is not there, is full, or did not answer. Nothing was asked of its engine."""


class AnswerLost(StorageError):
    """The request may have been served, and no answer came within the deadline.

    The same order with the same `action_id` asks again: it gives the same bytes, or is denied as a
    duplicate with the number of the record; it is never signed twice.
    """


_OPENING: Final[dict[int, tuple[type[SentinelError], str, str]]] = {
    Status.CRYPTO_VERIFY: (
        VerificationFailed,
        "its key is not the pinned one: this is another daemon, or it began anew",
        "get its pin anew from a place that you trust: the file that sentineld --pin writes, or"
        " an attestation document that was verified",
    ),
    Status.CRYPTO_FAILED: (
        ServiceUnreachable,
        "the TLS handshake failed",
        "see that the address is that of a sentineld",
    ),
    Status.FORMAT_VERSION: (
        VerificationFailed,
        "it speaks another version of the protocol",
        "install the same version on both sides",
    ),
    Status.POLICY_ENGINE: (VerificationFailed, "it serves another engine", ""),
    Status.POLICY_SIGNATURE: (
        KeyFileError,
        "it knows no such key: none of its authority bundle, another row's, or expired",
        "zcp authority show lists the keys; a client names its own by --key-id or the .pub file",
    ),
    Status.POLICY_SCOPE: (
        KeyFileError,
        "the key has no power for this role, or is another agent's",
        "zcp authority show lists the powers",
    ),
    Status.USAGE_CAPACITY: (
        ServiceUnreachable,
        "it has no room for another session",
        "close sessions that are not used; one key may hold 16",
    ),
    Status.USAGE_STATE: (
        EngineHalted,
        "it has no policy yet, or is about to end",
        "load a policy: zcp policy load FILE; or try again",
    ),
    Status.USAGE_ARGUMENT: (
        UsageError,
        "no such address, or its options do not fit together",
        "unix:///path, shm:///path or vsock://CID:PORT",
    ),
}
_NOT_DECIDED: Final = {
    Status.POLICY_EXPIRED: "its turn came after the deadline, and it was not decided",
    Status.USAGE_CAPACITY: "its queue is full, and it was not decided",
    Status.POLICY_SCOPE: "a session of this role or key may not ask for that",
}


def refuser(address: str) -> Callable[[int, Facts | None, int], SentinelError]:
    """Makes exceptions of what the C client says."""

    def refused(status: int, facts: Facts | None, errno: int) -> SentinelError:
        errno = errno if facts is None else facts.errno
        if facts is not None and facts.is_answer:
            again = " (it was asked twice, as a connection was lost)" if facts.is_resent else ""
            text = _NOT_DECIDED.get(Status(status), _core.status_text(status))
            return exception_of(status)(f"{address}: {text}{again}", status=status)
        if facts is not None and facts.is_sent:
            return AnswerLost(
                f"{address}: no answer to a request that may have been served",
                status=status,
                cause=os.strerror(errno) if errno else _core.status_text(status),
                next_step="ask again with the same action id: nothing is signed twice",
            )
        if status in (Status.IO_OPEN, Status.IO_READ, Status.IO_WRITE):
            return ServiceUnreachable(
                f"{address}: {os.strerror(errno) if errno else _core.status_text(status)}",
                status=status,
                next_step="see that sentineld runs and listens there",
            )
        kind, text, step = _OPENING.get(
            status, (exception_of(status), _core.status_text(status), "")
        )
        return kind(f"{address}: {text}", status=status, next_step=step)

    return refused


_STATUS: Final = struct.Struct("<32sQQ32sqQQIII4xQ32s32sQQQqqI4x")


_GRANT: Final = ("grant_epoch", "confirmed", "record_end", "spend_end", "spent")


class WitnessFlag(IntFlag):
    """`SENTINEL_WITNESS_*`."""

    NEEDED = 1
    HELD = 2
    MISSING = 4


_NO_FLAGS: Final = WitnessFlag(0)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What a daemon says of itself and its engine. `next_action`: None for who is no agent.

    The witness's part, from `grant_epoch` on, is told to the roles "command" and "keeper" alone.
    `confirmed`: records of the head that it confirmed last; `witness`: of `WitnessFlag`.
    """

    engine_id: bytes
    epoch: int
    records: int
    last_hash: bytes
    now_ns: int
    served: int
    refused_busy: int
    sessions: int
    halted: bool
    next_action: int | None
    policy_hash: bytes
    authority_hash: bytes
    grant_epoch: int = 0
    confirmed: int = 0
    record_end: int = 0
    spend_end: int = 0
    spent: int = 0
    witness: WitnessFlag = _NO_FLAGS

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """From an answer."""
        if len(raw) != _STATUS.size:
            raise VerificationFailed("the daemon's status has another size")
        found = _STATUS.unpack(raw)
        (engine_id, epoch, records, last_hash, now_ns, served, busy, sessions, halted,
         known, next_action, policy_hash, authority_hash, *grant, witness) = found  # fmt: skip
        return cls(
            *(engine_id, epoch, records, last_hash, now_ns, served, busy, sessions, bool(halted)),
            next_action=next_action if known else None,
            policy_hash=policy_hash,
            authority_hash=authority_hash,
            **dict(zip(_GRANT, grant, strict=True)),
            witness=WitnessFlag(witness),
        )


class Service:
    """The daemon, as far as names and signatures need it: bundles, terms, state."""

    def __init__(self, connection: Connection, keys: SigningKeys | None) -> None:
        self.connection = connection
        self._keys = keys
        self._policy: Policy | None = None
        self._authority: tuple[bytes, UnsafeFrame] | None = None

    def status(self) -> ServiceStatus:
        """Asks for the status."""
        return ServiceStatus.parse(self.connection.call(Request.STATUS))

    def state(self) -> tuple[EngineState, dict[int, int]]:
        """The engine's state (role COMMAND), and the feeders' sequences."""
        return _core.state_of(self.connection.state())

    def state_bytes(self) -> bytes:
        """Its bytes: with the books, where they are not too large for that."""
        try:
            return self.connection.state(books=True)
        except SentinelError as error:
            if error.status != Status.USAGE_CAPACITY:
                raise
        return self.connection.state()

    def _bundle(self, kind: FrameKind) -> bytes:
        return self.connection.bundle(kind)

    def policy_now(self) -> Policy | None:
        """The policy in force; the same object until there is another one."""
        digest = self.status().policy_hash
        if not any(digest):
            return None
        if self._policy is None or self._policy.hash != digest:
            self._policy = decode_policy(self._bundle(FrameKind.POLICY))
        return self._policy

    def policy(self) -> Policy:
        """As `policy_now`. Raises EngineHalted when none is loaded."""
        found = self.policy_now()
        if found is None:
            raise EngineHalted("no policy is loaded", next_step="load one: zcp policy load FILE")
        return found

    def authority(self) -> bytes:
        """The authority bundle in force."""
        digest = self.status().authority_hash
        if self._authority is None or self._authority[1].hash != digest:
            raw = self._bundle(FrameKind.AUTHORITY)
            self._authority = raw, unsafe_parse_frame(raw, FrameKind.AUTHORITY)
        return self._authority[0]

    def _held(self) -> Authority:
        return parse_authority(unsafe_parse_frame(self.authority(), FrameKind.AUTHORITY).payload)

    @property
    def engine_id(self) -> bytes:
        """Of the engine behind the daemon."""
        return self.connection.facts.engine_id

    @property
    def environment(self) -> Environment:
        """As the authority bundle names it."""
        return Environment(unsafe_parse_frame(self.authority(), FrameKind.AUTHORITY).environment)

    def terms(self, sequence: int, issued_ns: int) -> FrameTerms:
        """Terms of a frame for this engine."""
        return terms_of(self.engine_id, self.environment, sequence, issued_ns)

    def sign(self, kind: FrameKind, power: Power, part: bytes) -> bytes:
        """The whole frame, signed by every key of ours that has the power. Raises KeyFileError."""
        keys = self._keys
        held = self._held().keys if keys is not None else {}
        proofs = [
            (id_, keys.sign(public, kind, frame_hash(part)))
            for id_, (powers, expires, public) in held.items()
            if keys is not None and powers >> power & 1 and public in keys.ids
            and time.time_ns() < expires
        ]  # fmt: skip
        if not proofs:
            raise KeyFileError(
                f"none of this client's keys may do that: the power {label(power)} is needed",
                next_step="connect with a key that has it (zcp authority show)",
            )
        return attach_proofs(part, proofs)


class ServiceOrigin:
    """Which engine a signature is of, and what its venues call the key."""

    __slots__ = ("_accounts", "_service", "engine_id", "environment")

    def __init__(self, service: Service) -> None:
        self.engine_id = service.engine_id
        self.environment = service.environment
        self._service = service
        self._accounts: dict[int, str] = {}

    def account(self, key: int) -> str:
        """The venue's name of a key."""
        if key not in self._accounts:
            rows = _core.key_infos(self._service.connection.call(Request.KEYS))
            self._accounts = {row.id: row.api_key or _address(row) for row in rows}
        return self._accounts.get(key, "").removeprefix("vault-")


def _address(info: KeyInfo) -> str:
    is_ecdsa = info.algorithm == Algorithm.ECDSA_SECP256K1
    return _core.key_address(info.public_key) if is_ecdsa else ""


class _ItsWitness:
    """The daemon's host asks the witness, not a client."""

    error = "the witness has granted the daemon's engine no more; its host asks it"

    def before_order(self, now_ns: int | None) -> None:
        """Nothing to do here."""


class ServiceDesk(Desk):
    """Refusals in words, by the policy that the daemon has in force."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._policy = None
        self._witness = _ItsWitness()

    def policy(self) -> Policy | None:
        """The policy in force."""
        return self._service.policy_now()

    def _halted(self) -> EngineHalted:
        return EngineHalted(
            "the engine halted itself",
            next_step="zcp status on its host says why, and what lifts it",
        )


def ask_document(address: str, nonce: bytes, *, deadline: float = 5.0) -> bytes:
    """An enclave's attestation document for this nonce of 32 bytes, from whoever is at an address:
    unverified. What pins the daemon is in it, once it is verified:

        nonce = secrets.token_bytes(32)
        found = sentinel.attestation.verify(ask_document(address, nonce), nonce=nonce, ...)
        Client.connect(address, pin=found.binding.session_key_hash, ...)

    Raises ServiceUnreachable; UsageError where there is no enclave.
    """
    if len(nonce) != 32:
        raise UsageError(f"a nonce has 32 bytes, not {len(nonce)}")
    try:
        with dial(
            *(address, deadline),
            paths=("unix", "shm"),
            what="address",
            give="unix://PATH or vsock://CID:PORT",
            port=_VSOCK_PORT,
        ) as stream:
            stream.sendall(b"DOCUMENT" + nonce)
            with stream.makefile("rb") as reader:
                status, size = struct.unpack("<II", reader.read(8))
                document = reader.read(size)
    except (OSError, struct.error) as error:
        raise ServiceUnreachable(
            f"{address} gave no document ({error})",
            next_step="see that the daemon is up, and ask again in a moment",
        ) from None
    if status:
        raise_status(status, f"{address}: its attestation document")
    if len(document) != size:
        raise ServiceUnreachable(f"{address} gave half a document: ask again")
    return document
