"""What the bindings hand out: plain records, frozen, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "AgentState",
    "BundleCounts",
    "EngineState",
    "Frame",
    "Head",
    "Hold",
    "KeyInfo",
    "Mark",
    "Outcome",
    "PendingState",
    "RawRecord",
    "Request",
    "Result",
    "Signature",
    "StopState",
]


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be known of a key; enumerations are the core's numbers."""

    id: int
    purpose: int
    algorithm: int
    venue: int
    api_key: str
    public_key: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """One constraint, evaluated. `retry_at_ns` is 0 where time does not help."""

    rule: int
    kind: int
    passed: bool
    flags: int
    level: int
    value: int
    bound: int
    retry_at_ns: int
    waits: bool = False

    @property
    def word(self) -> str:
        """PASS, FAIL or WAIT."""
        return "PASS" if self.passed else "WAIT" if self.waits else "FAIL"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature; `recovery_id` is of ECDSA only."""

    algorithm: int
    recovery_id: int
    bytes: bytes


@dataclass(frozen=True, slots=True)
class Nonces:
    """Pools of nonces made ahead: how many fit, are ready, and were ever made; how many signed,
    were claimed but not good for their message, and how often a pool was empty.
    """

    capacity: int
    ready: int
    made: int
    used: int
    burnt: int
    missed: int


@dataclass(frozen=True, slots=True)
class Request:
    """A venue's request as the core rendered it. A message has only `string_to_sign`."""

    method: str
    host: str
    path: str
    query: str = field(repr=False)
    body: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    string_to_sign: bytes = field(repr=False)
    endpoint_covered: bool
    prehashed: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """What becomes of a signature of one venue and action that was released and not used.

    `expiry`: 0 nothing but `window_ms` limits it, 1 the key's validity is signed with it, 2 it is
    sent beside it. `once`: the venue takes the bytes at most once. `floor_ms`: a carrier can make
    any validity this long.
    """

    expiry: int
    once: bool
    endpoint_covered: bool
    floor_ms: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The gate's answer to one order; signature, request and what follows only when it was
    allowed.

    `reasons` is the bitmap of all reasons; `value_micro_usd` is -1 when not known or needed.
    `client_id`: how the venue knows the order. `usable_until_ms`: when the request stops being
    usable, 2^63-1 for never. PENDING: `pending_until_ns` is when the request expires,
    `approvals_needed` and `approvals` how many approvers it needs and has.
    """

    verdict: int
    recorded: bool
    reason: int
    status: int
    record: int
    epoch: int
    now_ns: int
    record_hash: bytes
    reasons: int
    value_micro_usd: int
    results: tuple[Result, ...]
    signature: Signature | None
    request: Request | None
    venue: int
    key: int
    client_id: str
    usable_until_ms: int
    pending_until_ns: int
    approvals_needed: int
    approvals: int


@dataclass(frozen=True, slots=True)
class StopState:
    """A node, venue or instrument that does not run. `mode`: 1 draining, 2 halted."""

    scope: int
    id: int
    mode: int
    severity: int
    cause: int
    record: int
    since_ns: int
    until_ns: int
    reason_digest: bytes


@dataclass(frozen=True, slots=True)
class PendingState:
    """An order that waits for approvers; `approvers` are ids of keys."""

    record: int
    record_hash: bytes
    expires_ns: int
    action_id: int
    agent: int
    rejected: bool
    quorum: int
    approvers: tuple[int, ...]
    order_digest: bytes


@dataclass(frozen=True, slots=True)
class AgentState:
    """What the engine keeps about an agent.

    `beat_ns`: when its last heartbeat was made, 0 when it has not beaten since the start or a
    resume; `beat_deadline_ns`: after it, a rule stops the agent; 0: none does.
    """

    node: int
    id_highest: int
    attempts: int
    suppressed: int
    beat_sequence: int
    beat_ns: int
    iterations: int
    running_since_ns: int
    beat_deadline_ns: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The last mark of an instrument or asset."""

    kind: int
    id: int
    mantissa: int
    scale: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class GrantState:
    """What a witness confirmed and granted; records `gap_from` to `gap_to` - 1 are missing."""

    epoch: int
    count: int
    hash: bytes
    record_end: int
    spend_end: int
    spent: int
    gap_from: int
    gap_to: int
    gap_hash: bytes


@dataclass(frozen=True, slots=True)
class BookEntry:
    """A signed place or amend, and what was reported of it (`status`, an `OrderStatus`).

    `amended_by`: the action that stands for the order now; 0: this one.
    """

    record: int
    agent: int
    action_id: int
    instrument: int
    type: int
    time_in_force: int
    amended_by: int
    status: int


@dataclass(frozen=True, slots=True)
class PositionState:
    """What is held of an instrument, as far as it was fed; below 0: short."""

    instrument: int
    mantissa: int
    scale: int


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine's state. `halted` is the status of its own halt, 0 when there is none.

    `usable_until_ms`: by venue, when the last released bytes that add risk stop being usable.
    """

    engine_id: bytes
    halted: int
    record_count: int
    epoch: int
    last_now_ns: int
    sequences: tuple[int, ...]
    last_hash: bytes
    policy_hash: bytes
    authority_hash: bytes
    stops: tuple[StopState, ...]
    agents: tuple[AgentState, ...]
    marks: tuple[Mark, ...]
    nonce_next: int
    usable_until_ms: tuple[int, ...]
    pending: tuple[PendingState, ...]
    lease_until_ns: int
    relied_ns: int
    grant: GrantState


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's header, payload and hash; its proofs were not verified."""

    kind: int
    environment: int
    engine_id: bytes
    sequence: int
    issued_ns: int
    expires_ns: int
    payload: bytes
    proof_count: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class BundleCounts:
    """Rows of a checked policy bundle, and its hash."""

    nodes: int
    assets: int
    networks: int
    instruments: int
    keys: int
    constraints: int
    ids: int
    destinations: int
    sanctions: int
    text_bytes: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record's bytes, number and hash, as the log's reader checked them."""

    number: int
    hash: bytes
    bytes: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The log's head page: records committed and synced, epoch."""

    count: int
    synced: int
    epoch: int
