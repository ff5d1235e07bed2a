"""What a receipt says of the enclave that made it: the document that the log names.

The first CLOCK record of an epoch names an attestation document by its statement digest. So the
document stands in the chain, under the head that the receipt's key signed; and the document binds
that key, the engine and the log's head to an image. docs/4-audit.md, "The receipt as JSON".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ._frame import Genesis
from ._notes import ClockNote, parse_clock
from ._record import Record, RecordType
from .attestation import (
    AWS_ROOT_G1,
    Attestation,
    Expectation,
    Purpose,
    TrustRoot,
    statement_digest,
    unsafe_parse_without_verification,
    verify,
)
from .errors import VerificationFailed

FIELDS: Final = {"record", "path", "document"}


@dataclass(frozen=True, slots=True)
class EnclaveProof:
    """The record that names a document, and the document itself where it came along."""

    record: Record
    document: bytes | None


def named_document(record: Record) -> bytes:
    """The statement digest of the document that a record names; empty: none."""
    return parse_clock(record).document if record.type is RecordType.CLOCK else b""


def readable(proof: EnclaveProof | None) -> dict[str, Any] | None:
    """The field `enclave_attestation`, rendered from the record that is proven."""
    if proof is None:
        return None
    return {"document": named_document(proof.record).hex(), "record": proof.record.number}


def check_named(proof: EnclaveProof, record: Record) -> ClockNote:
    """The record names a document of the epoch of the receipt's record. Raises."""
    if proof.record.type is not RecordType.CLOCK:
        raise VerificationFailed("the record that should name the enclave's document is none")
    note = parse_clock(proof.record)
    if not note.document:
        raise VerificationFailed("the record that should name the enclave's document names none")
    if note.epoch != record.epoch or note.record >= record.number:
        raise VerificationFailed("the enclave's document is of another epoch than the decision")
    if proof.document is not None:
        found = unsafe_parse_without_verification(proof.document)
        if statement_digest(found) != note.document:
            raise VerificationFailed("the enclave's document is not the one that the log names")
    return note


def verify_enclave(
    proof: EnclaveProof | None,
    genesis: Genesis,
    expectation: Expectation,
    *,
    document: bytes | None = None,
    root: TrustRoot = AWS_ROOT_G1,
) -> Attestation:
    """Verifies the document of a receipt whose chain was verified, as of the document's own time.

    `document`: where the receipt does not carry it. Raises VerificationFailed; what is wrong with
    the document itself is an AttestationRefused with its code.
    """
    if expectation.engine is None:
        raise VerificationFailed("the expectation names no engine: of which would the receipt be?")
    if proof is None:
        raise VerificationFailed(
            "an enclave was expected, and the receipt says nothing of one",
            next_step="ask for a receipt of an order of the engine in the enclave",
        )
    raw = proof.document if proof.document is not None else document
    if raw is None:
        raise VerificationFailed(
            "the enclave's document did not come with the receipt",
            next_step=f"give bundles/{named_document(proof.record).hex()} with --document",
        )
    found = unsafe_parse_without_verification(raw)
    if statement_digest(found) != named_document(proof.record):
        raise VerificationFailed("the enclave's document is not the one that the log names")
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=found.timestamp_ms)
    engine = replace(expectation.engine, purposes=frozenset({Purpose.LOG}))
    proven = verify(
        raw,
        expectation=replace(expectation, engine=engine),
        nonce=proof.record.prev_hash,
        now=at,
        root=root,
    )
    binding = proven.binding
    assert binding is not None
    binding.must_hold_receipt_key(genesis.identity_key)
    where = (binding.epoch, binding.head_number, binding.head_hash)
    if where != (proof.record.epoch, proof.record.number, proof.record.prev_hash):
        raise VerificationFailed("the enclave's document is of another place in the log")
    return proven


def taken_apart(data: Any) -> Mapping[str, Any]:
    """The part of a proof that is about the enclave. Raises VerificationFailed."""
    if not isinstance(data, dict) or set(data) != FIELDS:
        raise VerificationFailed("the enclave's part does not have the documented fields")
    return data
