"""Why an attestation document is refused: one stable code for each cause, with its remedy.

The codes are for programs and never change their meaning; docs/enclave-attestation.md has the
table, and a test that it is this one.
"""

from __future__ import annotations

from typing import Final, NoReturn

from .errors import VerificationFailed


class AttestationRefused(VerificationFailed):
    """Base of every refusal. `code` names the cause; `next_step` says the remedy."""

    def __init__(self, code: str, detail: str, *, next_step: str = "") -> None:
        super().__init__(
            f"attestation refused ({code}): {detail}", next_step=next_step or REMEDIES[code][1]
        )
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

REMEDIES: Final[dict[str, tuple[type[AttestationRefused], str]]] = {
    # The bytes.
    "document_size": (DocumentMalformed, _AGAIN),
    "cbor_truncated": (DocumentMalformed, _AGAIN),
    "cbor_trailing": (DocumentMalformed, _AGAIN),
    "cbor_indefinite": (DocumentMalformed, _AWS),
    "cbor_not_shortest": (DocumentMalformed, _AWS),
    "cbor_duplicate_key": (DocumentMalformed, _AWS),
    "cbor_type": (DocumentMalformed, _AWS),
    "cbor_text": (DocumentMalformed, _AWS),
    "cbor_depth": (DocumentMalformed, _AWS),
    "cose_shape": (DocumentMalformed, _AWS),
    "cose_algorithm": (DocumentMalformed, _AWS),
    "cose_unprotected": (DocumentMalformed, _AWS),
    "field_missing": (DocumentMalformed, _AWS),
    "field_unknown": (DocumentMalformed, "renew zcp; if it is the newest, report the document"),
    "field_type": (DocumentMalformed, _AWS),
    "field_size": (DocumentMalformed, _AWS),
    "field_value": (DocumentMalformed, _AWS),
    # Who signed.
    "unsigned": (
        SignatureRefused,
        "an emulator does not sign: run the image on AWS Nitro, and attest it there",
    ),
    "signature": (SignatureRefused, _AGAIN),
    "root": (
        ChainRefused,
        "production takes AWS's root G1 alone; a test root must be named with --root",
    ),
    "certificate_malformed": (ChainRefused, _CHAIN),
    "certificate_algorithm": (ChainRefused, _CHAIN),
    "certificate_issuer": (ChainRefused, _CHAIN),
    "certificate_signature": (ChainRefused, _CHAIN),
    "certificate_constraints": (ChainRefused, _CHAIN),
    "certificate_path_length": (ChainRefused, _CHAIN),
    "certificate_key_usage": (ChainRefused, _CHAIN),
    "certificate_extension": (ChainRefused, _CHAIN),
    "certificate_expired": (
        ChainRefused,
        "ask for a new document: a Nitro certificate lives three hours; to judge an old one as of"
        " its own time, say --at",
    ),
    "certificate_not_yet_valid": (ChainRefused, "set this machine's clock right, or --at"),
    # What it says.
    "debug_mode": (
        DebugModeRefused,
        "start the enclave without --debug-mode; a debug enclave protects nothing",
    ),
    "stale": (NotFresh, "ask for a new document; --max-age says how old one may be"),
    "future": (NotFresh, "set this machine's clock right; then ask for a new document"),
    "nonce_missing": (NotFresh, "ask the enclave with a nonce of 32 random bytes, new each time"),
    "nonce": (NotFresh, "ask again with a new nonce: this document answers another question"),
    "pcr_missing": (MeasurementRefused, _BUILD),
    "pcr": (MeasurementRefused, _BUILD),
    "user_data_missing": (BindingRefused, _ENGINE),
    "user_data_layout": (BindingRefused, "use a zcp of the same release as the image"),
    "purpose": (BindingRefused, "ask for a document of the purpose that the expectation names"),
    "engine": (BindingRefused, _ENGINE),
    "authority_root": (BindingRefused, _ENGINE),
    "public_key": (BindingRefused, _ENGINE),
    "import_key": (BindingRefused, _ENGINE),
    "session_key": (
        BindingRefused,
        "drop the connection: whoever answers it is not the enclave of the document",
    ),
    "receipt_key": (BindingRefused, "do not rely on the receipt: another key signed it"),
    # What is expected.
    "expectation": (ExpectationInvalid, _FILE),
    "measurements": (
        ExpectationInvalid,
        "give the JSON that zcp enclave measure, the image's build or nitro-cli prints",
    ),
    "release": (ExpectationInvalid, "get the release file again from where it was published"),
    "release_signature": (
        ExpectationInvalid,
        "check the release key by another way; do not use the file",
    ),
    "root_certificate": (ExpectationInvalid, "give one certificate in PEM, the root's own"),
}
"""Code: the exception's class, and the remedy."""


def refuse(code: str, detail: str) -> NoReturn:
    """Raises the exception of a code."""
    raise REMEDIES[code][0](code, detail)
