"""Attestation documents of AWS Nitro enclaves: who runs there, and with which keys.

    from datetime import UTC, datetime
    import secrets

    expectation = Expectation.from_json(Path("enclave.json").read_bytes())
    nonce = secrets.token_bytes(32)
    document = ...  # what the enclave answers to the nonce
    found = verify(document, expectation=expectation, nonce=nonce, now=datetime.now(UTC))
    found.binding.must_hold_session_key(peer)

A document is verified against an `Expectation` that was made before the enclave was asked: its
measurements come from a reproducible build or a signed release. Every refusal is an exception with
a stable `code`; docs/enclave-attestation.md has them all.

>>> from sentinel.attestation import unsafe_parse_without_verification
>>> try:
...     unsafe_parse_without_verification(bytes.fromhex("9fff"))
... except DocumentMalformed as error:
...     print(error.code)
cbor_indefinite
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from ._attestation_binding import (
    USER_DATA_BYTES,
    Binding,
    Purpose,
    authority_root,
    check_keys,
    parse_binding,
)
from ._attestation_document import (
    DOCUMENT_BYTES_MAX,
    NONCE_BYTES_MAX,
    UnverifiedDocument,
    must_be_es384,
    parse,
)
from ._attestation_errors import (
    AttestationRefused,
    BindingRefused,
    ChainRefused,
    DebugModeRefused,
    DocumentMalformed,
    ExpectationInvalid,
    MeasurementRefused,
    NotFresh,
    SignatureRefused,
    refuse,
)
from ._attestation_expectation import (
    EngineExpectation,
    Expectation,
    Release,
    measured_text,
    measurements,
    schema,
    source_of,
)
from .errors import UsageError

__all__ = [
    "AWS_ROOT_G1",
    "DOCUMENT_BYTES_MAX",
    "FUTURE_TOLERANCE",
    "MAX_AGE",
    "PCR_MEANS",
    "USER_DATA_BYTES",
    "Attestation",
    "AttestationRefused",
    "Binding",
    "BindingRefused",
    "ChainRefused",
    "DebugModeRefused",
    "DocumentMalformed",
    "EngineExpectation",
    "Expectation",
    "ExpectationInvalid",
    "MeasurementRefused",
    "NotFresh",
    "Purpose",
    "Release",
    "SignatureRefused",
    "TrustRoot",
    "UnverifiedDocument",
    "authority_root",
    "measured_text",
    "measurements",
    "parse_binding",
    "schema",
    "source_of",
    "statement_digest",
    "unsafe_parse_without_verification",
    "verify",
]

MAX_AGE: Final = timedelta(minutes=5)
"""A document that is older is refused, unless the caller says otherwise."""
FUTURE_TOLERANCE: Final = timedelta(seconds=30)
"""So far may the hypervisor's clock be ahead of the verifier's."""
NONCE_BYTES_MIN: Final = 16

PCR_MEANS: Final = {
    0: "the image",
    1: "kernel and boot",
    2: "the application",
    3: "the instance's role",
    4: "the instance",
    8: "the image's signer",
}
"""What each PCR that can be expected measures."""


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """A root certificate, pinned by the SHA-256 of its DER."""

    name: str
    sha256: bytes

    @classmethod
    def of_pem(cls, pem: bytes, name: str = "another root") -> TrustRoot:
        """Of a certificate in PEM. Raises ExpectationInvalid."""
        from ._attestation_chain import root_of_pem

        return cls(name, sha256(root_of_pem(pem)).digest())


AWS_ROOT_G1: Final = TrustRoot(
    "AWS Nitro Enclaves root G1",
    bytes.fromhex("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"),
)
"""The root of every Nitro enclave outside of China and GovCloud."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A document that was verified: all of it is proven.

    `binding` is None where the expectation names no engine. `nonce_checked` is False where the
    caller had none: such a document may be an answer to somebody else's question.
    """

    digest: bytes
    """What operators sign for: `statement_digest`. Not of the whole document, which has more forms
    that verify: an ECDSA signature has two, and the tag may be there or not."""
    module_id: str
    time: datetime
    pcrs: Mapping[int, bytes]
    pcrs_checked: tuple[int, ...]
    """Those that the expectation names."""
    binding: Binding | None
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    nonce_checked: bool
    root: TrustRoot


def verify(
    document: bytes,
    *,
    expectation: Expectation,
    nonce: bytes | None,
    now: datetime,
    root: TrustRoot = AWS_ROOT_G1,
    max_age: timedelta = MAX_AGE,
) -> Attestation:
    """Verifies a document: its form, its chain and signature, its time, and what it says.

    The chain must hold at the document's own time and at `now`. `nonce` is what the enclave was
    asked with; None where the document is judged later, by one who did not ask.

    Raises AttestationRefused, one of its classes for each group of causes; UsageError for a `now`
    without a time zone, a `max_age` below zero, or a nonce that is too short to be one.
    """
    if now.tzinfo is None:
        raise UsageError("`now` has no time zone", next_step="give datetime.now(UTC)")
    if max_age < timedelta(0):
        raise UsageError("max_age is below zero", next_step="leave it out for five minutes")
    if nonce is not None and not NONCE_BYTES_MIN <= len(nonce) <= NONCE_BYTES_MAX:
        raise UsageError(
            f"a nonce of {len(nonce)} bytes",
            next_step=f"give {NONCE_BYTES_MIN} to {NONCE_BYTES_MAX} random ones; 32 are usual",
        )
    found = parse(document)
    must_be_es384(found)
    time = _time(found)
    _verify_signature(found, root, (time, now))
    # From here on, Nitro's hypervisor said it.
    _must_not_be_debug(found)
    _must_be_fresh(time, now, max_age)
    _must_answer(found, nonce)
    _must_measure(found, expectation)
    return Attestation(
        digest=statement_digest(found),
        module_id=found.module_id,
        time=time,
        pcrs=found.pcrs,
        pcrs_checked=tuple(expectation.pcrs),
        binding=_binding(found, expectation.engine),
        public_key=found.public_key,
        user_data=found.user_data,
        nonce=found.nonce,
        nonce_checked=nonce is not None,
        root=root,
    )


def unsafe_parse_without_verification(document: bytes) -> UnverifiedDocument:
    """What a document says, for looking. Nothing is proven; never decide by it.

    Raises DocumentMalformed.
    """
    return parse(document)


def statement_digest(found: UnverifiedDocument) -> bytes:
    """What a document states of its enclave, without certificates and signature, in 32 bytes.

    SHA-256("sentinel-statement-v1" ‖ 0 ‖ u64 milliseconds ‖ sized module id ‖ u8 count ‖ count ×
    {u8 index ‖ 48 bytes} ‖ sized user_data ‖ sized nonce ‖ sized public key), each size a u32, all
    little-endian, what is absent of size 0. So the enclave itself knows it (`document.digest32`).
    """
    digest = sha256(b"sentinel-statement-v1\0" + found.timestamp_ms.to_bytes(8, "little"))
    digest.update(_sized(found.module_id.encode()) + bytes([len(found.pcrs)]))
    for index, value in sorted(found.pcrs.items()):
        digest.update(bytes([index]) + value)
    for part in (found.user_data, found.nonce, found.public_key):
        digest.update(_sized(part or b""))
    return digest.digest()


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(4, "little") + part


def _time(found: UnverifiedDocument) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=found.timestamp_ms)


def _verify_signature(
    found: UnverifiedDocument, root: TrustRoot, times: tuple[datetime, ...]
) -> None:
    # Late: the command starts, and a document is looked at, without a cryptographic library.
    from ._attestation_chain import check_signature, leaf_key

    key = leaf_key(found.cabundle, found.certificate, root.sha256, times)
    check_signature(key, found.signature, found.signed_bytes)


def _must_not_be_debug(found: UnverifiedDocument) -> None:
    for index in (0, 1, 2):
        if index in found.pcrs and not any(found.pcrs[index]):
            refuse("debug_mode", f"PCR{index} is zeros: the enclave runs in debug mode")


def _must_be_fresh(time: datetime, now: datetime, max_age: timedelta) -> None:
    age = now - time
    if age > max_age:
        refuse("stale", f"the document is {age} old, and {max_age} are allowed")
    if -age > FUTURE_TOLERANCE:
        refuse("future", f"the document is {-age} ahead of this clock")


def _must_answer(found: UnverifiedDocument, nonce: bytes | None) -> None:
    if nonce is None:
        return
    if found.nonce is None:
        refuse("nonce_missing", "the document has no nonce")
    if not hmac.compare_digest(found.nonce, nonce):
        refuse("nonce", "the document has another nonce than the one that was asked with")


def _must_measure(found: UnverifiedDocument, expectation: Expectation) -> None:
    for index, expected in expectation.pcrs.items():
        if index not in found.pcrs:
            refuse("pcr_missing", f"the document has no PCR{index}")
        if not hmac.compare_digest(found.pcrs[index], expected):
            refuse(
                "pcr",
                f"PCR{index} ({PCR_MEANS[index]}) is {found.pcrs[index].hex()}, expected is"
                f" {expected.hex()}",
            )


def _binding(found: UnverifiedDocument, engine: EngineExpectation | None) -> Binding | None:
    if engine is None:
        return None
    binding = parse_binding(found.user_data)
    if binding.purpose not in engine.purposes:
        refuse("purpose", f"the document is for {binding.purpose.name.lower()}")
    if engine.id is not None and not hmac.compare_digest(binding.engine_id, engine.id):
        refuse("engine", f"the enclave runs engine {binding.engine_id.hex()}")
    if not hmac.compare_digest(binding.authority_root, engine.authority_root):
        refuse("authority_root", "the enclave obeys another authority root")
    check_keys(binding, found.public_key)
    return binding
