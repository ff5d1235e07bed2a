"""The core's layouts as bytes, and the signed frames that are made of them.

A frame is built in three steps: a function of this module gives its *signed part*; the keys
sign `proof_message(kind, frame_hash(signed_part))`; `attach_proofs` joins both.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ._enums import (
    AUTHORITY_KEYS_MAX,
    FEED_MARKS_MAX,
    FEED_POSITIONS_MAX,
    FEED_REPORTS_MAX,
    PROOFS_MAX,
    ROOT_KEYS_MAX,
    Command,
    Environment,
    FeedKind,
    MarkKind,
    OrderStatus,
    Power,
    Scope,
)
from ._frame import FrameKind
from ._status import Status
from .errors import UsageError, raise_status

Decimal = tuple[int, int]
"""Mantissa and scale."""


class Layout:
    """One C struct: `"name:format ..."` with the formats of `struct`, `D` for a decimal, and
    `_:n` for n reserved bytes, which are zero and checked.
    """

    __slots__ = ("_fields", "_reserved", "_struct", "name", "offsets", "size")

    def __init__(self, name: str, size: int, fields: str) -> None:
        self.name = name
        self._fields: list[tuple[str, str]] = []
        self._reserved: list[tuple[int, int]] = []
        self.offsets: dict[str, int] = {}
        codes = "<"
        for field in fields.split():
            label, _, code = field.partition(":")
            at = struct.calcsize(codes)
            if label == "_":
                self._reserved.append((at, int(code)))
                codes += f"{code}x"
                continue
            if code == "D":
                self._reserved.append((at + 9, 7))
            codes += "qB7x" if code == "D" else code
            self._fields.append((label, code))
            self.offsets[label] = at
        self._struct = struct.Struct(codes)
        self.size = self._struct.size
        if self.size != size:
            raise AssertionError(f"{name} has {self.size} bytes, not {size}")

    def pack(self, **values: Any) -> bytes:
        """The struct's bytes; a field that is not given is zero.

        Raises UsageError for an unknown field or one that does not fit.
        """
        flat: list[Any] = []
        for field, code in self._fields:
            value = values.pop(field, None)
            if code == "D":
                flat += value or (0, 0)
            elif code.endswith("s"):
                text = value if value is not None else b""
                if len(text) > int(code[:-1] or 1):
                    raise UsageError(f"{self.name}.{field}: {len(text)} bytes do not fit")
                flat.append(text)
            elif code[:-1].isdigit():
                flat += value or [0] * int(code[:-1])
            else:
                flat.append(value or 0)
        if values:
            raise UsageError(f"{self.name} has no field {sorted(values)}")
        try:
            return self._struct.pack(*flat)
        except struct.error as error:
            raise UsageError(f"{self.name}: {error}") from None

    def columns(self) -> dict[str, Any]:
        """What `numpy.dtype` takes: little-endian, a decimal as mantissa and scale; the reserved
        bytes belong to no field.
        """
        kinds = {"B": "u1", "H": "<u2", "I": "<u4", "Q": "<u8", "q": "<i8"}
        decimal = {"names": ("mantissa", "scale"), "formats": ("<i8", "u1"), "itemsize": 16}
        formats: list[Any] = []
        for _, code in self._fields:
            if code == "D":
                formats.append(decimal)
            elif code.endswith("s"):
                formats.append(f"S{code[:-1]}")
            else:
                formats.append((kinds[code[-1]], int(code[:-1])) if code[:-1] else kinds[code])
        return {
            "names": [name for name, _ in self._fields],
            "formats": formats,
            "offsets": [self.offsets[name] for name, _ in self._fields],
            "itemsize": self.size,
        }

    def number(self, name: str) -> tuple[int, int]:
        """How many bytes an integer has and the most that fits; zeros for any other field."""
        code = dict(self._fields)[name]
        width = {"B": 1, "H": 2, "I": 4, "Q": 8, "q": 8}.get(code, 0)
        return width, (1 << (63 if code == "q" else 8 * width)) - 1

    def unpack(self, data: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
        """The fields of the struct at an offset.

        Raises PolicyInvalid: FORMAT_SIZE, FORMAT_RESERVED.
        """
        if offset < 0 or len(data) - offset < self.size:
            raise_status(Status.FORMAT_SIZE, self.name)
        for at, count in self._reserved:
            if any(data[offset + at : offset + at + count]):
                raise_status(Status.FORMAT_RESERVED, f"{self.name}, byte {at}")
        flat = iter(self._struct.unpack_from(data, offset))
        out: dict[str, Any] = {}
        for field, code in self._fields:
            if code == "D":
                out[field] = (next(flat), next(flat))
            elif code[:-1].isdigit() and not code.endswith("s"):
                out[field] = [next(flat) for _ in range(int(code[:-1]))]
            else:
                out[field] = next(flat)
        return out


FRAME_HEADER: Final = Layout(
    "frame_header",
    96,
    "magic:8s version:H kind:H environment:B _:3 size_bytes:I _:4 engine_id32:32s sequence:Q"
    " issued_ns:q expires_ns:q _:16",
)
PROOF: Final = Layout("proof", 8, "key:I scheme:H size:H")
AUTHORITY_KEY: Final = Layout(
    "authority_key",
    128,
    "id:I powers:I node:I scheme:H flags:H expires_ns:q public_key32:32s uid:I _:68",
)
AUTHORITY: Final = Layout("authority", 24, "key_count:I _:4 threshold:16s")
GENESIS: Final = Layout(
    "genesis",
    352,
    "magic:8s version:H environment:B root_threshold:B root_count:B _:3 created_ns:q random32:32s"
    " identity_key32:32s root_keys:256s _:8",
)
COMMAND: Final = Layout(
    "command",
    128,
    "verb:H scope:H target:I reason_size:H severity:B _:5 until_ns:q record:Q record_hash32:32s"
    " reason_digest32:32s _:32",
)
ACK: Final = Layout(
    "ack",
    280,
    "engine_id32:32s frame_hash32:32s record_hash32:32s record:Q count:Q epoch:Q now_ns:q"
    " until_ns:q subject_record:Q target:I verb:H scope:H environment:B _:7 usable_until_ms:15q",
)
FEED: Final = Layout("feed", 8, "kind:H count:H _:4")
REPORT: Final = Layout(
    "report", 64, "agent:I status:B _:3 action_id:Q filled:D price:D time_ns:q _:8"
)
HEARTBEAT: Final = Layout("heartbeat", 32, "agent:I _:4 iterations:Q running_since_ns:q _:8")
ASK: Final = Layout(
    "ask",
    200,
    "engine_id32:32s nonce32:32s epoch:Q count:Q hash32:32s start_hash32:32s known_count:Q"
    " known_hash32:32s spent:q flags:I _:4",
)
GRANT: Final = Layout(
    "grant",
    160,
    "nonce32:32s epoch:Q known_epoch:Q known_count:Q known_hash32:32s known_record_end:Q"
    " known_spend_end:q count:Q hash32:32s record_end:Q spend_end:q",
)
POSITION: Final = Layout("position", 32, "instrument:I _:4 quantity:D time_ns:q")
AUTO_STOP: Final = Layout(
    "auto_stop",
    40,
    "scope:H mode:B cause:B target:I deadline_ns:q sequence:Q rule:I key:I detail:H row:H _:4",
)
MARK: Final = Layout("mark", 32, "kind:H _:2 id:I price:D time_ns:q")

POLICY: Final = Layout(
    "policy",
    192,
    "semantics_version:I attempt_limit:I attempt_interval_ns:q clock_tolerance_ns:q"
    " mark_max_age_ns:q market_band_ppm:I book_entries:I source_digest32:32s sections:20I"
    " oversight:16s lease_ns:q approval_ns:q approval_quorum:B _:7",
)
NODE: Final = Layout(
    "node",
    32,
    "id:I parent:I kind:B depth:B name_size:H name:I constraint_first:I constraint_count:I _:8",
)
ASSET: Final = Layout(
    "asset",
    64,
    "id:I venue:H decimals:B code_size:B code:24s mark_asset:I _:4 par_micro_usd:q token16:16s",
)
NETWORK: Final = Layout("network", 64, "id:I asset:I decimals:B code_size:B code:38s _:16")
INSTRUMENT: Final = Layout(
    "instrument",
    160,
    "id:I venue:H environment:B contract:B base:I quote:I settle:I venue_index:I quantity_unit:B"
    " symbol_size:B market:B _:5 symbol:48s multiplier:D tick:D lot:D expiry_ms:q strike:D _:8",
)
KEY: Final = Layout(
    "key",
    64,
    "id:I node:I venue:H purpose:B algorithm:B expiry_ms:I flags:I products:H _:2"
    " fingerprint32:32s _:8",
)
CONSTRAINT: Final = Layout(
    "constraint",
    96,
    "id:I node:I kind:B each:B bound_scale:B quorum:B actions:I venues:I instrument:I mask:I"
    " list_first:I list_count:I name:I bound:q window_ns:q max_age_ns:q name_size:H _:30",
)

FRAME_MAGIC: Final = b"SENTINEL"
GENESIS_MAGIC: Final = b"SENTGENE"
PROOF_ED25519: Final = 1
AUTHORITY_PEER: Final = 1
UID_NONE: Final = 2**32 - 1
"""What chown(2) takes for nobody: no user has it."""
_PREFIX: Final = {
    FrameKind.AUTHORITY: "sentinel-authority-v1",
    FrameKind.POLICY: "sentinel-policy-v1",
    FrameKind.COMMAND: "sentinel-command-v1",
    FrameKind.FEED: "sentinel-feed-v1",
    FrameKind.GRANT: "sentinel-grant-v1",
    FrameKind.CERTIFICATE: "sentinel-certificate-v1",
    FrameKind.IMPORT: "sentinel-import-v1",
}


def pad8(data: bytes) -> bytes:
    """The bytes, with zeros up to a multiple of 8."""
    return data + bytes(-len(data) % 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTerms:
    """What every frame names. Times in Unix nanoseconds; it is refused at `expires_ns`."""

    engine_id: bytes
    environment: Environment
    sequence: int
    issued_ns: int
    expires_ns: int


def frame(kind: FrameKind, payload: bytes, terms: FrameTerms) -> bytes:
    """The signed part of a frame. Raises UsageError."""
    if len(terms.engine_id) != 32:
        raise UsageError("an engine's id has 32 bytes")
    if terms.sequence < 1 or not 0 <= terms.issued_ns < terms.expires_ns:
        raise UsageError("a frame's sequence starts at 1, and it expires after it is issued")
    body = pad8(payload)
    return (
        FRAME_HEADER.pack(
            magic=FRAME_MAGIC,
            version=1,
            kind=kind,
            environment=terms.environment,
            size_bytes=FRAME_HEADER.size + len(body),
            engine_id32=terms.engine_id,
            sequence=terms.sequence,
            issued_ns=terms.issued_ns,
            expires_ns=terms.expires_ns,
        )
        + body
    )


def frame_hash(signed_part: bytes) -> bytes:
    """SHA-256 of the signed part: the frame's name everywhere."""
    return hashlib.sha256(signed_part).digest()


def proof_prefix(kind: FrameKind) -> str:
    """What a proof is over begins with this text (`sentinel_sign_frame` takes it)."""
    return _PREFIX[kind]


def proof_message(kind: FrameKind, digest: bytes) -> bytes:
    """The bytes that a key signs: prefix, zero byte, frame hash."""
    return _PREFIX[kind].encode() + b"\0" + digest


def attach_proofs(signed_part: bytes, proofs: Sequence[tuple[int, bytes]]) -> bytes:
    """The whole frame: signed part and proofs (key id, Ed25519 signature).

    Raises UsageError.
    """
    if len(signed_part) % 8 or len(proofs) > PROOFS_MAX:
        raise UsageError(f"a frame has at most {PROOFS_MAX} proofs, and its signed part is padded")
    out = bytearray(signed_part)
    out += struct.pack("<II", len(proofs), 0)
    for key, signature in proofs:
        if len(signature) != 64:
            raise UsageError("an Ed25519 signature has 64 bytes")
        out += PROOF.pack(key=key, scheme=PROOF_ED25519, size=64) + signature
    return bytes(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityKey:
    """A key of an authority bundle. `node` is set for an agent's own key only.

    `peer_uid`: of an agent, the user id whose processes, on the daemon's own host, are the agent
    without a key (enclave/PROTOCOL.md, section 6); None: none are.
    """

    id: int
    powers: frozenset[Power]
    public_key: bytes
    expires_ns: int
    node: int = 0
    peer_uid: int | None = None


def authority_bundle(
    keys: Iterable[AuthorityKey], thresholds: Mapping[Power, int], terms: FrameTerms
) -> bytes:
    """The signed part of an authority bundle. Raises UsageError."""
    rows = sorted(keys, key=lambda key: key.id)
    if not 0 < len(rows) <= AUTHORITY_KEYS_MAX:
        raise UsageError(f"an authority bundle has 1 to {AUTHORITY_KEYS_MAX} keys")
    if any(key.id == 0 for key in rows) or len({key.id for key in rows}) != len(rows):
        raise UsageError("authority keys have ids of their own, above 0")
    if any(
        key.peer_uid is not None
        and (Power.AGENT not in key.powers or not 0 <= key.peer_uid < UID_NONE)
        for key in rows
    ):
        raise UsageError("only an agent's key names a user id, and it is below 2^32 - 1")
    counts = {power: sum(power in key.powers for key in rows) for power in Power}
    for power in Power:
        if not (bool(counts[power]) <= thresholds.get(power, 0) <= counts[power]):
            raise UsageError(f"the threshold of {power.name} is not from 1 to {counts[power]}")
    payload = AUTHORITY.pack(
        key_count=len(rows), threshold=bytes(thresholds.get(power, 0) for power in Power)
    )
    for key in rows:
        payload += AUTHORITY_KEY.pack(
            id=key.id,
            powers=sum(1 << power for power in key.powers),
            node=key.node,
            scheme=PROOF_ED25519,
            flags=AUTHORITY_PEER if key.peer_uid is not None else 0,
            expires_ns=key.expires_ns,
            public_key32=key.public_key,
            uid=key.peer_uid or 0,
        )
    return frame(FrameKind.AUTHORITY, payload, terms)


_TIMED: Final = (Command.DRAIN, Command.LEASE, Command.RESUME)
_REASON_BYTES_MAX: Final = 4096


def reason_text(reason: str) -> bytes:
    """A command's reason as its digest takes it: 1 to 4,096 bytes of UTF-8, not of blanks alone.

    Raises UsageError.
    """
    if not reason.strip():
        raise UsageError(
            "the reason is empty", next_step="say why: it is signed, recorded and shown with it"
        )
    try:
        text = reason.encode()
    except UnicodeEncodeError:
        raise UsageError("the reason is not UTF-8", next_step="say it in other words") from None
    if len(text) > _REASON_BYTES_MAX:
        raise UsageError(
            f"the reason has {len(text)} bytes, and {_REASON_BYTES_MAX} is the most",
            next_step="say it in fewer words",
        )
    return text


def command(
    verb: Command,
    target: int,
    reason: str,
    terms: FrameTerms,
    *,
    scope: Scope = Scope.NODE,
    severity: int = 0,
    until_ns: int = 0,
    record: int = 0,
    record_hash: bytes = bytes(32),
) -> bytes:
    """The signed part of a command. The reason is as `reason_text` takes it.

    `until_ns`: when a drain becomes a halt, or a lease ends; 0 for never. Of a resume of the firm:
    the log's time, which it sets back; 0: it does not. 0 for other verbs.
    `record` and its hash: what is approved or rejected.

    Raises UsageError.
    """
    text = reason_text(reason)
    if not 0 <= severity <= 3:
        raise UsageError("a severity is from 0 to 3")
    if not 0 <= until_ns < 1 << 63 or (until_ns and verb not in _TIMED):
        raise UsageError(
            "only a drain and a lease have an end, and it is a time from 1970 up to 2262"
        )
    payload = COMMAND.pack(
        verb=verb,
        scope=scope,
        target=target,
        reason_size=len(text),
        severity=severity,
        until_ns=until_ns,
        record=record,
        record_hash32=record_hash,
        reason_digest32=hashlib.sha256(text).digest(),
    )
    return frame(FrameKind.COMMAND, payload, terms)


@dataclass(frozen=True, slots=True)
class FedMark:
    """A price to feed: of an instrument in its quote asset, or of an asset in USD."""

    kind: MarkKind
    id: int
    price: Decimal
    time_ns: int


def mark_feed(marks: Sequence[FedMark], terms: FrameTerms) -> bytes:
    """The signed part of a feed of 1 to 64 marks. Raises UsageError."""
    if not 0 < len(marks) <= FEED_MARKS_MAX:
        raise UsageError(f"a feed has 1 to {FEED_MARKS_MAX} marks")
    payload = FEED.pack(kind=1, count=len(marks))
    for mark in marks:
        if mark.price[0] <= 0:
            raise UsageError("a mark's price is above 0")
        if mark.time_ns > terms.issued_ns:
            raise UsageError("a mark's time is not after its frame's")
        payload += MARK.pack(kind=mark.kind, id=mark.id, price=mark.price, time_ns=mark.time_ns)
    return frame(FrameKind.FEED, payload, terms)


@dataclass(frozen=True, slots=True)
class FedReport:
    """What became of an order: of `action_id`, `filled` in all; `price` is the average, or 0."""

    agent: int
    status: OrderStatus
    action_id: int
    filled: tuple[int, int]
    price: tuple[int, int]
    time_ns: int


@dataclass(frozen=True, slots=True)
class FedPosition:
    """What is held of an instrument (by id); below 0: short."""

    instrument: int
    quantity: tuple[int, int]
    time_ns: int


def _feed(kind: FeedKind, most: int, rows: Sequence[bytes], terms: FrameTerms) -> bytes:
    if not 0 < len(rows) <= most:
        raise UsageError(f"a feed of this kind has 1 to {most} rows")
    return frame(FrameKind.FEED, FEED.pack(kind=kind, count=len(rows)) + b"".join(rows), terms)


def report_feed(reports: Sequence[FedReport], terms: FrameTerms) -> bytes:
    """The signed part of a feed of 1 to 32 execution reports. Raises UsageError."""
    for report in reports:
        if report.status == OrderStatus.SIGNED or not 0 < report.action_id < 1 << 64:
            raise UsageError("a report names an action above 0 and what became of it")
        if not 0 < report.time_ns <= terms.issued_ns:
            raise UsageError("a report's time is above 0 and not after its frame's")
        if report.filled[0] < 0 or report.price[0] < 0:
            raise UsageError("what is filled, and its price, are not below 0")
    rows = [
        REPORT.pack(
            agent=report.agent,
            status=report.status,
            action_id=report.action_id,
            filled=report.filled,
            price=report.price,
            time_ns=report.time_ns,
        )
        for report in reports
    ]
    return _feed(FeedKind.EXECUTION, FEED_REPORTS_MAX, rows, terms)


def position_feed(positions: Sequence[FedPosition], terms: FrameTerms) -> bytes:
    """The signed part of a feed of 1 to 64 positions. Raises UsageError."""
    if any(not 0 < position.time_ns <= terms.issued_ns for position in positions):
        raise UsageError("a position's time is above 0 and not after its frame's")
    rows = [
        POSITION.pack(
            instrument=position.instrument, quantity=position.quantity, time_ns=position.time_ns
        )
        for position in positions
    ]
    return _feed(FeedKind.POSITION, FEED_POSITIONS_MAX, rows, terms)


def heartbeat(agent: int, iterations: int, running_since_ns: int, terms: FrameTerms) -> bytes:
    """The signed part of an agent's heartbeat. Raises UsageError."""
    if not 0 <= running_since_ns <= terms.issued_ns:
        raise UsageError("an iteration does not begin after the heartbeat that tells of it")
    payload = FEED.pack(kind=FeedKind.HEARTBEAT, count=1) + HEARTBEAT.pack(
        agent=agent, iterations=iterations, running_since_ns=running_since_ns
    )
    return frame(FrameKind.FEED, payload, terms)


def genesis(
    *,
    environment: Environment,
    root_threshold: int,
    root_keys: Sequence[bytes],
    identity_key: bytes,
    created_ns: int,
    random32: bytes,
) -> bytes:
    """The genesis record's subject. Raises UsageError."""
    if not 0 < root_threshold <= len(root_keys) <= ROOT_KEYS_MAX:
        raise UsageError(f"a root has 1 to {ROOT_KEYS_MAX} keys and a threshold of 1 to as many")
    if any(len(key) != 32 for key in [*root_keys, identity_key, random32]):
        raise UsageError("keys and the random value have 32 bytes")
    return GENESIS.pack(
        magic=GENESIS_MAGIC,
        version=1,
        environment=environment,
        root_threshold=root_threshold,
        root_count=len(root_keys),
        created_ns=created_ns,
        random32=random32,
        identity_key32=identity_key,
        root_keys=b"".join(root_keys),
    )


def engine_id(genesis_bytes: bytes) -> bytes:
    """SHA-256 of the genesis record's subject."""
    return hashlib.sha256(genesis_bytes).digest()
