"""Records and hashes in plain Python: what an auditor needs without our C.

Layouts: `docs/4-audit.md` and `sentinel/audit.h`. Everything is checked when it is taken apart.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final

from ._enums import ReleaseMode
from .errors import AuditCorrupt

RECORD_BYTES_MAX: Final = 24_576
HEADER_BYTES: Final = 320
_HEAD_WORDS: Final = struct.Struct("<6Q")
_HEAD_CHECK: Final = (
    (0x6A09E667F3BCC908, 0x9E3779B97F4A7C15),
    (0xBB67AE8584CAA73B, 0xD6E8FEB86659FD93),
)
_WORD_MAX: Final = (1 << 64) - 1
RESULT_BYTES: Final = 24
OUTCOME_BYTES: Final = 64
SALT_BYTES: Final = 16
RULE_IMPLICIT: Final = 0xFFFFFFFF
RESULTS_MAX: Final = 128
SUBJECT_BYTES_MAX: Final = 20_480

_HEADER = struct.Struct("<HHIQQ32sqIBBHQQIIQHHHHI4s32s32s32s96sQ")
_RESULT = struct.Struct("<IBBBBqq")
_ORDER_BYTES_MAX: Final = 384
_RULE_NUMBERS: Final = 64
_RESULT_FLAGS_ALL: Final = 3


class RecordType(IntEnum):
    """What a record is about."""

    GENESIS = 1
    START = 2
    BUNDLE = 3
    COMMAND = 4
    FEED = 5
    ORDER = 6
    SUMMARY = 7
    SNAPSHOT = 8
    REFUSED = 9
    HALT = 10
    STOP = 11
    WITHDRAWN = 12
    WITNESS = 13
    CLOCK = 14
    KEY = 15


class Verdict(IntEnum):
    """What the gate said; zero is no verdict."""

    NONE = 0
    ALLOWED = 1
    DENIED = 2
    PENDING = 3
    FAILED = 4


class RecordFlag(IntEnum):
    """Marks of a record, as bits."""

    ENDPOINT_OPEN = 1
    ENDPOINT_GRANT = 2
    UNPROVEN = 4
    CLOCK_HELD = 8
    LAB = 16
    NOTIFY = 32
    CLOCK_SET = 64


class ResultFlag(IntEnum):
    """Marks of a result, as bits."""

    SATURATED = 1
    UNKNOWN = 2


START: Final = struct.Struct("<QQQB3xI32s")
"""sentinel_start: epoch, records before, torn bytes, nonces, keys, their hash."""

# Sizes of subjects that have one size only.
_SUBJECT_BYTES: Final = {
    RecordType.GENESIS: 352,
    RecordType.START: START.size,
    RecordType.BUNDLE: 56,
    RecordType.SUMMARY: 40,
    RecordType.SNAPSHOT: 48,
    RecordType.REFUSED: 48,
    RecordType.HALT: 8,
    RecordType.WITHDRAWN: 48,
    RecordType.CLOCK: 96,
}
# Of those that a frame follows.
_LEAST_BYTES: Final = {RecordType.STOP: 40, RecordType.WITNESS: 40, RecordType.KEY: 224}


@dataclass(frozen=True, slots=True)
class RecordResult:
    """One constraint as a record holds it; `rule` is its row in the policy of the record."""

    rule: int
    kind: int
    passed: bool
    flags: int
    level: int
    value: int
    bound: int
    waits: bool = False

    @property
    def word(self) -> str:
        """PASS, FAIL or WAIT."""
        return "PASS" if self.passed else "WAIT" if self.waits else "FAIL"


@dataclass(frozen=True, slots=True)
class Record:
    """One record, taken apart and checked. Hashes are bytes, times Unix nanoseconds."""

    raw: bytes
    hash: bytes
    type: RecordType
    number: int
    epoch: int
    prev_hash: bytes
    now_ns: int
    agent: int
    verdict: Verdict
    release_mode: int
    reason: int
    reasons: int
    semantics_version: int
    key: int
    key_counter: int
    pending: int  # record of the request that this one answers; 0: none
    flags: int
    policy_hash: bytes
    limit_hash: bytes
    authority_hash: bytes
    subject: bytes
    results: tuple[RecordResult, ...]
    payload_digest: bytes
    signature_digest: bytes

    def has(self, flag: RecordFlag) -> bool:
        """Whether the record carries a mark."""
        return bool(self.flags & flag)

    @property
    def decision_digest(self) -> bytes:
        """What was decided, without the chain: equal inputs give equal digests on every engine.

        SHA-256("sentinel-decision-v1" || 0x00 || u32 semantics version || i64 now ||
        SHA-256(subject) || policy, limit and authority hash || u8 verdict || u16 reason ||
        SHA-256(results)).
        """
        results_at = HEADER_BYTES + len(self.subject)
        results = self.raw[results_at : results_at + RESULT_BYTES * len(self.results)]
        return sha256(
            b"sentinel-decision-v1\0" + struct.pack("<Iq", self.semantics_version, self.now_ns)
            + sha256(self.subject).digest() + self.policy_hash + self.limit_hash
            + self.authority_hash + struct.pack("<BH", self.verdict, self.reason)
            + sha256(results).digest()
        ).digest()  # fmt: skip

    @property
    def reason_numbers(self) -> tuple[int, ...]:
        """All reasons that apply, in precedence."""
        return tuple(n for n in range(128) if self.reasons >> n & 1)


def record_hash(header: bytes) -> bytes:
    """SHA-256(0x00 || header): the record's hash and its RFC 6962 leaf hash."""
    return sha256(b"\0" + header).digest()


def head_check(slot: bytes) -> bytes:
    """What makes a slot of a log's head intact: two sums of its first six words."""
    found = b""
    for value, factor in _HEAD_CHECK:
        for word in _HEAD_WORDS.unpack_from(slot):
            value = (value ^ word) * factor & _WORD_MAX
            value ^= value >> 32
        found += value.to_bytes(8, "little")
    return found


class BodyCorrupt(AuditCorrupt):
    """The header's form is right, and what is behind it is not what it commits to."""


def _corrupt(what: str) -> AuditCorrupt:
    return AuditCorrupt(f"the record is not intact: {what}")


def parse_record(raw: bytes) -> Record:
    """Takes one record apart; checks sizes, ranges, reserved bytes and commitments.

    Raises AuditCorrupt; BodyCorrupt where the header's form is right.
    """
    if not HEADER_BYTES + 3 * SALT_BYTES <= len(raw) <= RECORD_BYTES_MAX:
        raise _corrupt("size")
    (version, kind, size, number, epoch, prev_hash, now_ns, agent, verdict, release_mode, reason,
     reasons_low, reasons_high, semantics, key, key_counter, subject_size, result_count,
     outcome_size, reserved0, flags, reserved1, policy_hash, limit_hash, authority_hash,
     commitments, pending) = _HEADER.unpack_from(raw)  # fmt: skip
    if version != 1:
        raise _corrupt("version")
    if kind not in RecordType.__members__.values():
        raise _corrupt("type")
    if verdict not in Verdict.__members__.values() or now_ns < 0 or flags >= 128 or reason >= 128:
        raise _corrupt("range")
    if flags & RecordFlag.CLOCK_SET and kind != RecordType.COMMAND:
        raise _corrupt("range")
    if release_mode > ReleaseMode.TO_SUBMITTER or (kind == RecordType.GENESIS) != (number == 0):
        raise _corrupt("range")
    if number == 0 and any(prev_hash):
        raise _corrupt("range")
    if reserved0 or any(reserved1):
        raise _corrupt("reserved bytes")
    if pending and pending >= number:
        raise _corrupt("range")
    is_order = kind == RecordType.ORDER
    if outcome_size != (OUTCOME_BYTES if is_order else 0) or result_count > RESULTS_MAX:
        raise _corrupt("outcome or results")
    if subject_size % 8 or subject_size != _SUBJECT_BYTES.get(RecordType(kind), subject_size):
        raise _corrupt("subject size")
    if subject_size < _LEAST_BYTES.get(RecordType(kind), 0):
        raise _corrupt("subject size")
    if subject_size > (_ORDER_BYTES_MAX if is_order else SUBJECT_BYTES_MAX):
        raise _corrupt("subject size")
    sizes = (subject_size, result_count * RESULT_BYTES, outcome_size, 3 * SALT_BYTES)
    if size != len(raw) or HEADER_BYTES + sum(sizes) != size:
        raise _corrupt("size")
    parts: list[bytes] = []
    at = HEADER_BYTES
    for part_size in sizes:
        parts.append(raw[at : at + part_size])
        at += part_size
    subject, results, outcome, salts = parts
    for index, part in enumerate((subject, results, outcome)):
        salt = salts[index * SALT_BYTES : (index + 1) * SALT_BYTES]
        if commitments[index * 32 : index * 32 + 32] != sha256(salt + part).digest():
            name = ("subject", "results", "outcome")[index]
            raise BodyCorrupt(f"the record is not intact: commitment to the {name}")
    return Record(
        raw=raw, hash=record_hash(raw[:HEADER_BYTES]), type=RecordType(kind), number=number,
        epoch=epoch, prev_hash=prev_hash, now_ns=now_ns, agent=agent, verdict=Verdict(verdict),
        release_mode=release_mode, reason=reason, reasons=reasons_low | reasons_high << 64,
        semantics_version=semantics, key=key, key_counter=key_counter, pending=pending, flags=flags,
        policy_hash=policy_hash, limit_hash=limit_hash, authority_hash=authority_hash,
        subject=subject, results=_results(results), payload_digest=outcome[:32],
        signature_digest=outcome[32:64],
    )  # fmt: skip


def _results(data: bytes) -> tuple[RecordResult, ...]:
    rows = []
    for rule, kind, result, flags, level, value, bound in _RESULT.iter_unpack(data):
        if result not in (1, 2, 3) or not 0 < kind < _RULE_NUMBERS or flags > _RESULT_FLAGS_ALL:
            raise BodyCorrupt("the record is not intact: result")
        row = RecordResult(rule, kind, result == 1, flags, level, value, bound, result == 3)
        rows.append(row)
    return tuple(rows)


# ---- RFC 6962, section 2.1 ----------------------------------------------------------------------


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two below count."""
    return 1 << (count - 1).bit_length() - 1


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; SHA-256 of nothing for none."""
    if not leaves:
        return sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
    return level[0]


def tree_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion path of a leaf, from the leaf up."""
    path: list[bytes] = []
    first, count = 0, len(leaves)
    if not 0 <= index < count:
        raise IndexError(index)
    while count > 1:
        left = _split(count)
        if index - first < left:
            path.append(tree_root(leaves[first + left : first + count]))
            count = left
        else:
            path.append(tree_root(leaves[first : first + left]))
            first, count = first + left, count - left
    return path[::-1]


def tree_root_from_path(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to (RFC 9162, 2.1.3.2); None when the path has no such shape."""
    if not 0 <= index < count:
        return None
    node, last, hash_ = index, count - 1, leaf
    for step in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            hash_ = _node(step, hash_)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            hash_ = _node(hash_, step)
        node >>= 1
        last >>= 1
    return hash_ if last == 0 else None
