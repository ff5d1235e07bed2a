"""Why an attestation document is refused: one stable code for each cause, with its remedy.

The codes are for programs and never change their meaning; docs/enclave-attestation.md has the
table, and a test that it is this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn

from .errors import VerificationFailed


class AttestationRefused(VerificationFailed):
    """Base of every refusal. `code` names the cause; `next_step` says the remedy."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"attestation refused ({code}): {detail}", next_step=REFUSALS[code].remedy)
        self.code = code


class DocumentMalformed(AttestationRefused):
    """Not the bytes of an attestation document: CBOR, COSE or a field has another form."""


class ChainRefused(AttestationRefused):
    """The certificates do not lead from the pinned root to the document's key."""


class SignatureRefused(AttestationRefused):
    """Not signed, or not by the key of the document's certificate."""


class DebugModeRefused(AttestationRefused):
    """An enclave in debug mode: its parent reads its console, its measurements are zero."""


class NotFresh(AttestationRefused):
    """Too old, of the future, or not made for this question."""


class MeasurementRefused(AttestationRefused):
    """Another image, instance, role or signer than was expected."""


class BindingRefused(AttestationRefused):
    """What the enclave says of itself, its engine and its keys, is not what was expected."""


class ExpectationInvalid(AttestationRefused):
    """The expectation, or what it is to be made from, cannot be relied on."""

    exit_status = 2


_AGAIN: Final = "ask the enclave for a new document, and carry it unaltered"
_AWS: Final = "use a document of a real Nitro enclave; AWS's own have this form"
_CHAIN: Final = (
    "ask for a new document; if it repeats, do not use that enclave: AWS's hypervisor makes no"
    " such chain"
)
_FILE: Final = "make it again with zcp attest expect"
_BUILD: Final = (
    "do not use that enclave; if the image was renewed, take its measurements from the build or"
    " the signed release: zcp attest expect"
)
_ENGINE: Final = (
    "do not use that enclave; check that the document and the expectation belong together"
)

_NEWER: Final = "renew zcp; if it is the newest, report the document"
_EMULATOR: Final = "an emulator does not sign: run the image on AWS Nitro, and attest it there"
_ROOT: Final = "production takes AWS's root G1 alone; a test root must be named with --root"
_EXPIRED: Final = (
    "ask for a new document: a Nitro certificate lives three hours; to judge an old one as of its"
    " own time, say --at"
)
_CLOCK: Final = "set this machine's clock right; then ask for a new document"
_DEBUG: Final = "start the enclave without --debug-mode; a debug enclave protects nothing"
_STALE: Final = "ask for a new document; --max-age says how old one may be"
_NONCE: Final = "ask the enclave with 32 new random bytes: this document answers another question"
_LAYOUT: Final = "use a zcp of the same release as the image"
_PURPOSE: Final = "ask for a document of the purpose that the expectation names"
_SESSION: Final = "drop the connection: whoever answers it is not the enclave of the document"
_GENESIS: Final = "let the enclave make its root secret first, then ask for the document"
_RECEIPT: Final = "do not rely on the receipt: another key signed it"
_MEASURE: Final = "give the JSON that the image's build, or nitro-cli, prints"
_RELEASE: Final = "get the release file again from where it was published"
_KEY: Final = "check the release key by another way; do not use the file"
_PEM: Final = "give one certificate in PEM, the root's own"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of the table: the exception, what is wrong, what to do."""

    exception: type[AttestationRefused]
    wrong: str
    remedy: str


REFUSALS: Final[dict[str, Refusal]] = {
    "document_size": Refusal(
        DocumentMalformed, "no bytes, or more than a document can have", _AGAIN
    ),
    "cbor_truncated": Refusal(DocumentMalformed, "the bytes end within an item", _AGAIN),
    "cbor_trailing": Refusal(
        DocumentMalformed, "bytes follow the document, or its payload", _AGAIN
    ),
    "cbor_indefinite": Refusal(DocumentMalformed, "an item of indefinite length", _AWS),
    "cbor_not_shortest": Refusal(
        DocumentMalformed, "a number or a length in more bytes than it needs", _AWS
    ),
    "cbor_duplicate_key": Refusal(DocumentMalformed, "a map has a key twice", _AWS),
    "cbor_type": Refusal(
        DocumentMalformed, "a float, tag, boolean or other item that no document has", _AWS
    ),
    "cbor_text": Refusal(DocumentMalformed, "text that is not UTF-8", _AWS),
    "cbor_depth": Refusal(
        DocumentMalformed, "more arrays and maps within each other than a document has", _AWS
    ),
    "cose_shape": Refusal(
        DocumentMalformed, "not a COSE_Sign1 of bytes, map, bytes and 96 bytes", _AWS
    ),
    "cose_algorithm": Refusal(
        DocumentMalformed, "the protected header is not {1: -35}, which is ES384", _AWS
    ),
    "cose_unprotected": Refusal(DocumentMalformed, "the unprotected header is not empty", _AWS),
    "field_missing": Refusal(DocumentMalformed, "a required field is not there", _AWS),
    "field_unknown": Refusal(DocumentMalformed, "a field that AWS does not document", _NEWER),
    "field_type": Refusal(DocumentMalformed, "a field of another type", _AWS),
    "field_size": Refusal(DocumentMalformed, "a field that is too short or too long", _AWS),
    "field_value": Refusal(DocumentMalformed, "a field out of its range", _AWS),
    "unsigned": Refusal(
        SignatureRefused, "the signature is zeros: an emulator made the document", _EMULATOR
    ),
    "signature": Refusal(
        SignatureRefused, "the key of the document's certificate did not sign it", _AGAIN
    ),
    "root": Refusal(ChainRefused, "the chain begins at another root than the pinned one", _ROOT),
    "certificate_malformed": Refusal(ChainRefused, "a certificate cannot be read", _CHAIN),
    "certificate_algorithm": Refusal(
        ChainRefused, "a key or signature that is not ECDSA on P-384 with SHA-384", _CHAIN
    ),
    "certificate_issuer": Refusal(
        ChainRefused, "a certificate names another issuer than the one before it", _CHAIN
    ),
    "certificate_signature": Refusal(
        ChainRefused, "a certificate is not signed by the one before it", _CHAIN
    ),
    "certificate_constraints": Refusal(
        ChainRefused, "an issuer that is no authority, or a leaf that is", _CHAIN
    ),
    "certificate_path_length": Refusal(
        ChainRefused, "more authorities below an issuer than it allows", _CHAIN
    ),
    "certificate_key_usage": Refusal(
        ChainRefused, "a key that may not do what it did, or may do more", _CHAIN
    ),
    "certificate_extension": Refusal(
        ChainRefused, "a critical extension that is not understood", _CHAIN
    ),
    "certificate_expired": Refusal(
        ChainRefused, "a certificate had ended, at the document's time or now", _EXPIRED
    ),
    "certificate_not_yet_valid": Refusal(
        ChainRefused, "a certificate had not begun, at the document's time or now", _CLOCK
    ),
    "debug_mode": Refusal(
        DebugModeRefused, "PCR0, 1 or 2 is zeros: the enclave runs in debug mode", _DEBUG
    ),
    "stale": Refusal(NotFresh, "the document is older than it may be", _STALE),
    "future": Refusal(NotFresh, "the document is from the future", _CLOCK),
    "nonce_missing": Refusal(NotFresh, "the document has no nonce, and one was asked with", _NONCE),
    "nonce": Refusal(NotFresh, "the document has another nonce", _NONCE),
    "pcr_missing": Refusal(MeasurementRefused, "the document lacks a PCR that is expected", _BUILD),
    "pcr": Refusal(
        MeasurementRefused,
        "a PCR is not the expected one: another image, role, instance or signer",
        _BUILD,
    ),
    "user_data_missing": Refusal(BindingRefused, "the document says nothing of an engine", _ENGINE),
    "user_data_layout": Refusal(
        BindingRefused, "`user_data` has another size, version, purpose or reserved bytes", _LAYOUT
    ),
    "purpose": Refusal(BindingRefused, "the document was made for another purpose", _PURPOSE),
    "engine": Refusal(BindingRefused, "the enclave runs another engine", _ENGINE),
    "authority_root": Refusal(BindingRefused, "the enclave obeys another root authority", _ENGINE),
    "public_key": Refusal(
        BindingRefused, "the import key is missing, or is not RSA of 2048 to 4096 bits", _ENGINE
    ),
    "import_key": Refusal(
        BindingRefused, "the document's public key is not the import key of `user_data`", _ENGINE
    ),
    "session_key": Refusal(
        BindingRefused, "the session's key is not the one of `user_data`", _SESSION
    ),
    "root_commitment": Refusal(
        BindingRefused, "a document for genesis commits to no root secret", _GENESIS
    ),
    "receipt_key": Refusal(
        BindingRefused, "the receipt's key is not the one of `user_data`", _RECEIPT
    ),
    "expectation": Refusal(
        ExpectationInvalid, "the expectation does not have its form, or names a debug image", _FILE
    ),
    "measurements": Refusal(ExpectationInvalid, "the measurements are not a build's", _MEASURE),
    "release": Refusal(ExpectationInvalid, "the release file does not have its form", _RELEASE),
    "release_signature": Refusal(
        ExpectationInvalid, "the release file is not signed by the release key", _KEY
    ),
    "root_certificate": Refusal(ExpectationInvalid, "the root is not one certificate in PEM", _PEM),
}
"""By code, in the order in which a document is judged."""


def refuse(code: str, detail: str) -> NoReturn:
    """Raises the exception of a code."""
    raise REFUSALS[code].exception(code, detail)
