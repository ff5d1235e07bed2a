"""Receipts: proof that one decision was recorded, checked from public inputs alone.

A receipt is a Verifiable Policy Proof: JSON whose readable fields are rendered from the record
that it carries. The verifier renders them again and compares; it needs an `Expectation` that came
by another way than the receipt, and without one it never succeeds.

    receipt = signer.receipt(signed.handle)
    verify_receipt(receipt, Expectation.from_json(path.read_text()))
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from hashlib import sha256
from typing import Any, Final

from ._enums import Action, Environment, Rule, label
from ._frame import Genesis, parse_genesis, verify_ed25519
from ._receipt_enclave import EnclaveProof, check_named, readable, taken_apart
from ._record import (
    Record,
    RecordType,
    ResultFlag,
    parse_record,
    tree_path,
    tree_root,
    tree_root_from_path,
)
from ._status import REASON_CODE
from .errors import PolicyInvalid, SentinelError, VerificationFailed

__all__ = ["Expectation", "Head", "VerifiedReceipt", "build_receipt", "verify_receipt"]

FORMAT: Final = "sentinel-vpp-v1"
EXPECTATION_FORMAT: Final = "sentinel-expectation-v1"

_HEAD = struct.Struct("<32sQQ32s32s")


@dataclass(frozen=True, slots=True)
class Head:
    """What the engine signs: so many records, the last hash, the RFC 6962 root over all."""

    engine_id: bytes
    epoch: int
    count: int
    last_hash: bytes
    root: bytes
    signature: bytes = b""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the head's bytes."""
        return sha256(
            _HEAD.pack(self.engine_id, self.epoch, self.count, self.last_hash, self.root)
        ).digest()


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an auditor knows beforehand: which engine, and under whose authority."""

    engine_id: bytes
    root_threshold: int
    root_keys: tuple[bytes, ...]

    @classmethod
    def of_genesis(cls, genesis: Genesis) -> Expectation:
        """The expectation that an engine's own genesis record gives."""
        return cls(genesis.engine_id, genesis.root_threshold, genesis.root_keys)

    @classmethod
    def from_json(cls, text: str) -> Expectation:
        """Reads an expectation file. Raises VerificationFailed."""
        data = _load(text, "expectation")
        root = data.get("authority_root")
        if (
            set(data) != {"format", "engine_id", "authority_root"}
            or data["format"] != EXPECTATION_FORMAT
            or not isinstance(root, dict)
            or set(root) != {"threshold", "keys"}
            or type(root["threshold"]) is not int
            or not isinstance(root["keys"], list)
        ):
            raise VerificationFailed("the expectation does not have the documented form")
        return cls(
            _hex(data["engine_id"], 32),
            root["threshold"],
            tuple(_hex(key, 32) for key in root["keys"]),
        )

    def to_json(self) -> str:
        """The expectation file's text."""
        root = {"threshold": self.root_threshold, "keys": [key.hex() for key in self.root_keys]}
        data = {
            "format": EXPECTATION_FORMAT,
            "engine_id": self.engine_id.hex(),
            "authority_root": root,
        }
        return json.dumps(data, indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a receipt proves, after it was verified."""

    record: Record
    genesis: Genesis
    head: Head
    policy_version: int | None
    enclave: EnclaveProof | None = None


def iso_time(time_ns: int) -> str:
    """Unix nanoseconds as UTC text, every digit kept: 2026-03-01T12:00:00.000000001Z."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def _name(kind: type[IntEnum], number: int) -> str:
    return label(kind(number)) if number in kind.__members__.values() else str(number)


def describe_results(record: Record) -> list[dict[str, Any]]:
    """Every constraint that was evaluated: type, result, value, bound, and flags where any."""
    rows: list[dict[str, Any]] = []
    for result in record.results:
        row: dict[str, Any] = {
            "type": _name(Rule, result.kind),
            "result": result.word,
            "value": result.value,
            "bound": result.bound,
        }
        if result.flags:
            row["flags"] = [flag.name.lower() for flag in ResultFlag if result.flags & flag]
        rows.append(row)
    return rows


def _readable(
    record: Record, genesis: Genesis, policy_version: int | None, enclave: EnclaveProof | None
) -> dict[str, Any]:
    """Everything that a person reads in a receipt, rendered from what is proven."""
    action = struct.unpack_from("<H", record.subject, 2)[0] if len(record.subject) >= 4 else 0
    signed = any(record.signature_digest)
    return {
        "format": FORMAT,
        "engine_id": genesis.engine_id.hex(),
        "environment": _name(Environment, genesis.environment),
        "record_number": record.number,
        "record_hash": record.hash.hex(),
        "epoch": record.epoch,
        "agent": record.agent,
        "action": _name(Action, action),
        "verdict": record.verdict.name.lower(),
        "reasons": [REASON_CODE.get(n, str(n)) for n in record.reason_numbers],
        "transaction_hash": record.payload_digest.hex() if signed else None,
        "signature_hash": record.signature_digest.hex() if signed else None,
        "key": record.key,
        "policy_version": policy_version,
        "policy_hash": record.policy_hash.hex(),
        "constraints_evaluated": describe_results(record),
        "timestamp": iso_time(record.now_ns),
        "enclave_attestation": readable(enclave),
    }


def build_receipt(
    record: bytes,
    policy_record: bytes | None,
    genesis: bytes,
    head: Head,
    leaves: Sequence[bytes],
    enclave: EnclaveProof | None = None,
) -> dict[str, Any]:
    """The receipt of one order's record.

    `policy_record` is the BUNDLE record of the policy that judged it (None when there was none);
    `leaves` are the hashes of the records that `head` covers; `enclave` is of the same epoch.
    """
    parsed = parse_record(record)
    root = parse_genesis(genesis)
    version, bundle = None, None
    if policy_record is not None:
        taken = parse_record(policy_record)
        version = _bundle_version(taken, parsed)
        bundle = {
            "record": _b64(policy_record),
            "path": [step.hex() for step in tree_path(leaves, taken.number)],
        }
    receipt = _readable(parsed, root, version, enclave)
    receipt["proof"] = {
        "record": _b64(record),
        "path": [step.hex() for step in tree_path(leaves, parsed.number)],
        "policy": bundle,
        "genesis": _b64(genesis),
        "head": {
            "epoch": head.epoch,
            "count": head.count,
            "last_hash": head.last_hash.hex(),
            "root": head.root.hex(),
            "signature": head.signature.hex(),
        },
    }
    if enclave is not None:
        receipt["proof"]["enclave"] = {
            "record": _b64(enclave.record.raw),
            "path": [step.hex() for step in tree_path(leaves, enclave.record.number)],
            "document": _b64(enclave.document) if enclave.document is not None else None,
        }
    return receipt


def make_head(
    engine_id: bytes, epoch: int, leaves: Sequence[bytes], signature: bytes = b""
) -> Head:
    """The head over these records; sign its digest under "sentinel-head-v1"."""
    return Head(engine_id, epoch, len(leaves), leaves[-1], tree_root(leaves), signature)


def verify_receipt(
    receipt: str | Mapping[str, Any], expectation: Expectation | None
) -> VerifiedReceipt:
    """Verifies a receipt against what was expected beforehand.

    Raises VerificationFailed, always with what is wrong; also when there is no expectation.
    """
    if expectation is None:
        raise VerificationFailed(
            "nothing was pinned: a receipt alone proves nothing",
            cause="no expectation (engine id and authority root) was given",
            next_step="get the engine's expectation from its operator and give it with --expect",
        )
    data = _load(receipt, "receipt") if isinstance(receipt, str) else dict(receipt)
    try:
        return _verify(data, expectation)
    except VerificationFailed:
        raise
    except SentinelError as error:
        raise VerificationFailed(f"the receipt is not intact: {error.message}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, struct.error):
        raise VerificationFailed("the receipt does not have the documented form") from None


def _verify(data: dict[str, Any], expectation: Expectation) -> VerifiedReceipt:
    names = {"record", "path", "policy", "genesis", "head"}
    within = isinstance(data["proof"], dict) and "enclave" in data["proof"]
    proof = _exactly(data["proof"], names | ({"enclave"} if within else set()), "proof")
    genesis = parse_genesis(_unb64(proof["genesis"]))
    if Expectation.of_genesis(genesis) != expectation:
        raise VerificationFailed(
            "the receipt is of another engine, or under another authority, than expected"
        )
    record = parse_record(_unb64(proof["record"]))
    if record.type is not RecordType.ORDER:
        raise VerificationFailed("the record is not about an order")
    head = _verify_head(proof["head"], genesis)
    if record.epoch > head.epoch:
        raise VerificationFailed("the record is of a later epoch than the head")
    _verify_path(record, proof["path"], head)
    version = None
    if proof["policy"] is not None:
        policy = _exactly(proof["policy"], {"record", "path"}, "policy")
        taken = parse_record(_unb64(policy["record"]))
        _verify_path(taken, policy["path"], head)
        version = _bundle_version(taken, record)
    elif any(record.policy_hash):
        raise VerificationFailed("the record of the policy is missing")
    enclave = _enclave(proof["enclave"], record, head) if within else None
    expected = _readable(record, genesis, version, enclave)
    shown = {key: value for key, value in data.items() if key != "proof"}
    if set(shown) != set(expected):
        raise VerificationFailed("the receipt has other fields than a receipt has")
    for name, value in expected.items():
        # As text, so that 1, 1.0 and true are three things.
        if json.dumps(shown[name]) != json.dumps(value):
            raise VerificationFailed(f"{name!r} says something else than the record does")
    return VerifiedReceipt(record, genesis, head, version, enclave)


def _enclave(data: Any, record: Record, head: Head) -> EnclaveProof:
    """The record that names the enclave's document, under the head; the document is its own."""
    part = taken_apart(data)
    named = parse_record(_unb64(part["record"]))
    _verify_path(named, part["path"], head)
    document = _unb64(part["document"]) if part["document"] is not None else None
    found = EnclaveProof(named, document)
    check_named(found, record)
    return found


def _verify_head(data: Any, genesis: Genesis) -> Head:
    fields = _exactly(data, {"epoch", "count", "last_hash", "root", "signature"}, "head")
    if type(fields["epoch"]) is not int or type(fields["count"]) is not int:
        raise VerificationFailed("the head does not have the documented form")
    head = Head(
        genesis.engine_id,
        fields["epoch"],
        fields["count"],
        _hex(fields["last_hash"], 32),
        _hex(fields["root"], 32),
        _hex(fields["signature"], 64),
    )
    try:
        verify_ed25519(genesis.identity_key, head.signature, "sentinel-head-v1", head.digest)
    except VerificationFailed:
        raise VerificationFailed("the engine did not sign this head") from None
    return head


def _verify_path(record: Record, path: Any, head: Head) -> None:
    if not isinstance(path, list):
        raise VerificationFailed("the path does not have the documented form")
    steps = [_hex(step, 32) for step in path]
    if tree_root_from_path(record.hash, record.number, head.count, steps) != head.root:
        raise VerificationFailed(f"record {record.number} is not under the head that was signed")


def _bundle_version(taken: Record, record: Record) -> int:
    """The sequence of the policy that a BUNDLE record took, if it is the one in force."""
    kind, _, sequence, _, hash_ = struct.unpack("<H6sQQ32s", taken.subject)
    if (
        taken.type is not RecordType.BUNDLE
        or kind != 2
        or hash_ != record.policy_hash
        or taken.number >= record.number
    ):
        raise PolicyInvalid("the policy that is named is not the one that judged")
    return int(sequence)


def _load(text: str, what: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        data = dict(pairs)
        if len(data) != len(pairs):
            raise ValueError("a name occurs twice")
        return data

    try:
        data = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise VerificationFailed(f"the {what} is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise VerificationFailed(f"the {what} is no JSON object")
    return data


def _exactly(data: Any, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(data, dict) or set(data) != names:
        raise VerificationFailed(f"the {what} does not have the documented fields")
    return data


def _hex(text: Any, size: int) -> bytes:
    """Lower-case hex of one length; anything else is refused, so that one text has one form."""
    try:
        data = bytes.fromhex(text)
    except (TypeError, ValueError):
        raise VerificationFailed("a hash or key is no hex") from None
    if len(data) != size or data.hex() != text:
        raise VerificationFailed("a hash or key is not lower-case hex of its length")
    return data


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: Any) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise VerificationFailed("a part of the proof is no base64") from None
    if _b64(data) != text:
        raise VerificationFailed("a part of the proof is not canonical base64")
    return data
