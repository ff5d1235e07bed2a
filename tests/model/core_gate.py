"""A whole engine of the core in memory: real frames, keys and signatures, no log."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.model import beats, build, model, reports, stops
from tests.model.approvals import Approver
from tests.model.core import aligned, decision_of, must, position_at, stop_at
from tests.model.names import (
    INT64_MAX,
    Algorithm,
    Cause,
    FrameKind,
    Purpose,
    Venue,
)
from tests.model.tables import Decimal, Policy
from tests.python.core_abi import ffi, lib

ROOT, POLICY, OPERATOR_A, OPERATOR_B, FEEDER = (
    Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name).digest())
    for name in (b"root", b"policy", b"operator a", b"operator b", b"feeder")
)
APPROVERS = tuple(
    Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"approver %d" % number).digest())
    for number in range(4)
)
RECEIPT_KEY = 1
# The engine's keyring: id, venue, purpose, algorithm.
KEYRING = (
    (RECEIPT_KEY, Venue.NONE, Purpose.RECEIPT, Algorithm.ED25519),
    (11, Venue.BINANCE_SPOT, Purpose.VENUE, Algorithm.HMAC_SHA256),
    (12, Venue.BINANCE_SPOT, Purpose.VENUE, Algorithm.ED25519),
    (13, Venue.BINANCE_USDM, Purpose.VENUE, Algorithm.HMAC_SHA256),
    (14, Venue.BINANCE_USDM, Purpose.VENUE, Algorithm.ED25519),
    (15, Venue.NONE, Purpose.MESSAGE, Algorithm.ED25519),
    (17, Venue.HYPERLIQUID, Purpose.VENUE, Algorithm.ECDSA_SECP256K1),
    (18, Venue.HYPERLIQUID, Purpose.VENUE_MASTER, Algorithm.ECDSA_SECP256K1),
)
AGENT_KEYS = {  # by the agent's id; those of later versions may have none
    agent: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"agent %d" % agent).digest())
    for agent in range(2, 18)
}
FEEDERS = {  # of reports and positions, by the key's id
    number: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"feeder %d" % number).digest())
    for number in range(20, 58)
}
FEED_EXECUTION, FEED_POSITION = 1 << 5, 1 << 6
THRESHOLDS = {0: 1, 2: 2, 3: 1, 4: 1, 5: 1, 6: 1, 9: 1}  # by power
BUNDLE_BYTES_MAX = 256 << 10
STATE_BYTES_MAX = 256 << 10


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


class Keys(NamedTuple):
    """A keyring, which no scenario changes, and its fingerprints by id."""

    ring: Any
    fingerprints: dict[int, bytes]
    algorithms: dict[int, int]
    identity: bytes


def make_keys() -> Keys:
    slot = ffi.new("sentinel_keyring **")
    must("sentinel_keyring_new", lib.sentinel_keyring_new(slot))
    fingerprints: dict[int, bytes] = {}
    algorithms: dict[int, int] = {}
    identity = b""
    for number, venue, purpose, algorithm in KEYRING:
        info = ffi.new("sentinel_key_info *")
        info.id, info.venue, info.purpose, info.algorithm = number, venue, purpose, algorithm
        if purpose == Purpose.VENUE and venue != Venue.HYPERLIQUID:
            name = f"api-key-{number}".encode()
            info.api_key_size = len(name)
            ffi.memmove(info.api_key, name, len(name))
        secret = hashlib.sha256(b"key %d" % number).digest()
        must("import", lib.sentinel_keyring_import(slot[0], info, secret, len(secret)))
        fingerprints[number] = bytes(info.fingerprint32)
        algorithms[number] = algorithm
        if number == RECEIPT_KEY:
            identity = bytes(info.public_key)[:32]
    return Keys(slot[0], fingerprints, algorithms, identity)


class Outcome(NamedTuple):
    verdict: int
    reason: int
    recorded: bool
    record: int
    now: int
    decision: model.Decision


class GateCore:
    """An engine that was begun at a time, with its authority bundle but no policy."""

    def __init__(self, keys: Keys, environment: int, now: int, salt: int) -> None:
        self.environment = environment
        genesis = build.genesis_bytes(self.environment, [public(ROOT)], keys.identity, salt)
        self.engine_id = hashlib.sha256(genesis).digest()
        self.sequences: dict[FrameKind, int] = {}
        config = ffi.new("sentinel_config *")
        ffi.memmove(ffi.addressof(config.genesis), genesis, len(genesis))
        config.bundle_bytes_max, config.state_bytes_max = BUNDLE_BYTES_MAX, STATE_BYTES_MAX
        config.receipt_key = RECEIPT_KEY
        self.config = config
        size = lib.sentinel_context_bytes(config)
        self.memory = ffi.new("uint8_t[]", size + 64)
        start = ffi.cast("uintptr_t", self.memory)
        slot = ffi.new("sentinel_context **")
        self.control = ffi.new("sentinel_control *")
        self.control.magic = b"SENTCTRL"
        self.control.version = 1
        place = ffi.cast("void *", (int(start) + 63) // 64 * 64)
        must(
            "sentinel_context_init",
            lib.sentinel_context_init(slot, place, size, config, keys.ring, ffi.NULL, self.control),
        )
        self.context = slot[0]
        self.outcome = ffi.new("sentinel_outcome *")
        self.number = ffi.new("uint64_t *")
        self.sessions: dict[int, Any] = {}
        self.approvers: dict[int, Approver] = {}
        self.feeders = {20: FEED_EXECUTION | FEED_POSITION}  # powers by id
        must("sentinel_gate_genesis", lib.sentinel_gate_genesis(self.context, now))
        must("authority", self.take_authority({10: Approver(0, INT64_MAX)}, now))

    def start(self, now: int) -> None:
        must("sentinel_gate_start", lib.sentinel_gate_start(self.context, 0, now))

    def authority(self) -> bytes:
        rows = [
            (1, 1 << 0, 0, public(POLICY), INT64_MAX),
            (2, 1 << 2, 0, public(OPERATOR_A), INT64_MAX),
            (3, 1 << 2, 0, public(OPERATOR_B), INT64_MAX),
            (4, 1 << 4, 0, public(FEEDER), INT64_MAX),
        ]
        for number, approver in sorted(self.approvers.items()):
            rows.append((number, 1 << 3, 0, public(APPROVERS[approver.secret]), approver.expires))
        for number, powers in sorted(self.feeders.items()):
            rows.append((number, powers, 0, public(FEEDERS[number]), INT64_MAX))
        for agent, key in AGENT_KEYS.items():
            rows.append((100 + agent, 1 << 9, agent, public(key), INT64_MAX))
        return build.authority_payload(rows, THRESHOLDS)

    def take_authority(self, approvers: dict[int, Approver], now: int) -> int:
        self.approvers = approvers
        return self.take(FrameKind.AUTHORITY, self.authority(), now)

    def take_approval(
        self, verb: int, record: int, digest: bytes, signers: list[tuple[int, int]], now: int
    ) -> int:
        """signers: id that is named, and number of the key pair that signs."""
        signs = [(number, APPROVERS[secret].sign) for number, secret in signers]
        payload = build.approval_payload(verb, record, digest)
        return self.take(FrameKind.COMMAND, payload, now, signers=signs)

    def withdraw(self, session: int, action_id: int, now: int) -> int:
        return int(
            lib.sentinel_gate_withdraw(
                self.context, self.number, self.session(session), action_id, now
            )
        )

    def take(
        self,
        kind: FrameKind,
        payload: bytes,
        now: int,
        *,
        operators: int = 2,
        signers: Sequence[tuple[int, build.Sign]] | None = None,
    ) -> int:
        """Signs and hands in a frame; gives the core's status."""
        usual: dict[FrameKind, Sequence[tuple[int, build.Sign]]] = {
            FrameKind.AUTHORITY: [(0, ROOT.sign)],
            FrameKind.POLICY: [(1, POLICY.sign)],
            FrameKind.COMMAND: [(2, OPERATOR_A.sign), (3, OPERATOR_B.sign)][:operators],
            FrameKind.FEED: [(4, FEEDER.sign)],
        }
        sequence = self.sequences.get(kind, 0) + 1
        frame = build.frame(
            kind,
            payload,
            usual[kind] if signers is None else signers,
            environment=self.environment,
            engine_id=self.engine_id,
            sequence=sequence,
            issued_ns=now,
            expires_ns=INT64_MAX,
        )
        status = int(
            lib.sentinel_gate_take(self.context, self.number, aligned(frame), len(frame), now)
        )
        if status == 0:
            self.sequences[kind] = sequence
        return status

    def take_policy(self, policy: Policy, now: int) -> int:
        return self.take(FrameKind.POLICY, build.policy_payload(policy), now)

    def take_command(
        self, verb: int, place: stops.Place, until: int, operators: int, now: int
    ) -> int:
        payload = build.command_payload(verb, *place, until, "a reason")
        return self.take(FrameKind.COMMAND, payload, now, operators=operators)

    def take_beat(
        self, agent: int, beat: beats.Beat, sequence: int, now: int, *, signer: int
    ) -> int:
        """A heartbeat of an agent by the key of the same or of another."""
        frame = build.frame(
            FrameKind.FEED,
            build.beat_payload(agent, beat.iterations, beat.running),
            [(100 + signer, AGENT_KEYS[signer].sign)],
            environment=self.environment,
            engine_id=self.engine_id,
            sequence=sequence,
            issued_ns=beat.issued,
            expires_ns=INT64_MAX,
        )
        return int(
            lib.sentinel_gate_take(self.context, self.number, aligned(frame), len(frame), now)
        )

    def feed(
        self, payload: bytes, signers: Sequence[int], sequence: int, issued: int, now: int
    ) -> int:
        """Reports or positions, by the keys of feeders."""
        frame = build.frame(
            FrameKind.FEED,
            payload,
            [(number, FEEDERS[number].sign) for number in signers],
            environment=self.environment,
            engine_id=self.engine_id,
            sequence=sequence,
            issued_ns=issued,
            expires_ns=INT64_MAX,
        )
        return int(
            lib.sentinel_gate_take(self.context, self.number, aligned(frame), len(frame), now)
        )

    def feeder_rows(self) -> list[tuple[int, int]]:
        """Key and last sequence, as they lie in the state."""
        return [(row.key, row.sequence) for row in self.state.feeders if row.key]

    def last_record_has(self, subject: bytes) -> bool:
        """Without a log, the last record lies where it was made: in the engine's own memory."""
        return subject in bytes(ffi.buffer(self.memory))

    def position(self, instrument: int) -> reports.Held:
        row = position_at(lib.sentinel_gate_view(self.context), instrument)
        quantity = reports.exactly(Decimal(row.mantissa, row.scale))
        return reports.Held(quantity, row.time_ns, row.stated_ns)

    def tick(self, now: int) -> None:
        must("sentinel_gate_tick", lib.sentinel_gate_tick(self.context, now))

    def note(self, now: int) -> None:
        """A comparison of the clock."""
        clock = ffi.new("sentinel_clock *", {"source": 1, "result": 1, "until_ns": now})
        size = ffi.sizeof("sentinel_clock")
        must("note", lib.sentinel_gate_note(self.context, self.number, 14, clock, size, now))

    def take_marks(self, marks: list[tuple[int, int, Decimal, int]], now: int) -> int:
        return self.take(FrameKind.FEED, build.feed_payload(marks), now)

    def session(self, agent: int) -> Any:
        """Opened when it is first used."""
        if agent not in self.sessions:
            fresh = ffi.new("sentinel_session *")
            must("session", lib.sentinel_session_open(fresh, self.context, agent))
            self.sessions[agent] = fresh
        return self.sessions[agent]

    def sign(self, session: int, data: bytes, now: int) -> Outcome:
        raw = self.outcome
        must(
            "sentinel_gate_sign",
            lib.sentinel_gate_sign(
                *(self.context, raw, self.session(session), data, len(data), now)
            ),
        )
        return Outcome(
            raw.verdict,
            raw.reason,
            raw.recorded == 1,
            raw.record,
            raw.now_ns,
            decision_of(ffi.addressof(raw, "decision")),
        )

    def request_hash(self, record: int) -> bytes:
        rows = self.state.pending
        found = [bytes(row.record_hash32) for row in rows if row.status and row.record == record]
        return found[0] if found else bytes(32)

    def requests(self) -> list[tuple[Any, ...]]:
        """The rows in use, as approval_run.compare_rows writes them."""
        return sorted(
            (
                *(row.record, row.expires_ns, row.agent, row.action_id),
                *(row.status, row.quorum, tuple(row.approvers)[: row.approver_count]),
            )
            for index, row in enumerate(self.state.pending)
            if self.state.pending_used >> index & 1
        )

    def flush(self, now: int) -> None:
        must("sentinel_gate_flush", lib.sentinel_gate_flush(self.context, now))

    def released(self) -> tuple[bool, bool]:
        """Whether the last outcome carries any byte of a signature, and of a request."""
        signature = ffi.buffer(ffi.addressof(self.outcome, "signature"))
        request = ffi.buffer(ffi.addressof(self.outcome, "request"))
        return any(bytes(signature)), any(bytes(request))

    @property
    def state(self) -> Any:
        return lib.sentinel_gate_state(self.context)

    def agent(self, index: int) -> Any:
        """sentinel_agent_state of a node."""
        return lib.sentinel_view_agent(lib.sentinel_gate_view(self.context), index)

    def stop(self, policy: Policy, place: stops.Place) -> stops.Stop:
        row = stop_at(lib.sentinel_gate_view(self.context), policy, place)
        return stops.Stop(
            *(stops.Mode(row.mode), row.until_ns, row.record, row.since_ns, Cause(row.cause))
        )

    def book(self, index: int, action_id: int) -> Any:
        """The sentinel_book_entry where an action of a node would stand."""
        return lib.sentinel_view_book(lib.sentinel_gate_view(self.context), index, action_id)
