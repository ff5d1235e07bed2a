"""What goes into an enclave and comes out of it, beside orders: certificates, wrapped roots, keys.

Layouts: `enclave/daemon/{certificate,root,import,sealed}.h`; docs/enclave-keys.md says what they
are for. A certificate and an import are made here from a document that was verified
(`sentinel.attestation.verify`), never from one that was only parsed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NoReturn

from . import _core
from ._enums import Algorithm, Environment, Purpose, Venue
from ._frame import FrameKind, UnsafeFrame
from ._layout import FrameTerms, Layout, frame
from ._types import KeyInfo
from .attestation import Attestation, Binding
from .attestation import Purpose as DocumentPurpose
from .errors import ConfigError, EnclaveError, SentinelError, UsageError

CERTIFICATE: Final = Layout(
    "certificate",
    160,
    "version:H _:6 authority_root32:32s attestation_digest32:32s commitment32:32s"
    " kms_key_hash32:32s _:24",
)
WRAPPED_ROOT: Final = Layout(
    "wrapped_root",
    336,
    "magic:8s version:H curve:H public_key_size:H _:2 engine_id32:32s kms_key_hash32:32s"
    " commitment32:32s public_key:160s nonce12:12s _:4 sealed32:32s tag16:16s",
)
KEY_INFO: Final = Layout(
    "key_info",
    216,
    "id:I purpose:B algorithm:B venue:H public_key_size:B api_key_size:B lab:B _:5 public_key:40s"
    " fingerprint32:32s api_key:128s",
)
IMPORT: Final = Layout(
    "import",
    1000,
    "version:H wrapped_size:H _:4 attestation_digest32:32s info:216s nonce12:12s _:4 tag16:16s"
    " sealed:200s wrapped:512s",
)
IMPORT_SECRET: Final = Layout(
    "import_secret", 200, "secret_size:I passphrase_size:I secret:128s passphrase:64s"
)
SEALED: Final = Layout(
    "sealed",
    128,
    "magic:8s version:H type:H size:I engine_id32:32s epoch:Q number:Q head_number:Q"
    " head_hash32:32s nonce12:12s _:4 from_record:Q",
)
_IMPORT_LABEL: Final = b"sentinel-import-v1"
_BESIDE: Final = IMPORT.offsets["nonce12"]


def binding_of(document: Attestation, purpose: DocumentPurpose) -> Binding:
    """What a verified document binds, if it was made for this. Raises EnclaveError."""
    if document.binding is None or not document.nonce_checked:
        raise EnclaveError(
            "the document was not verified against an engine and a nonce",
            next_step="verify it with an expectation that names the engine, and your own nonce",
        )
    if document.binding.purpose is not purpose:
        raise EnclaveError(
            f"the document was made for {document.binding.purpose.name.lower()}, not for"
            f" {purpose.name.lower()}",
            next_step="ask the enclave for one that is made for this",
        )
    return document.binding


# ---- Certificates -------------------------------------------------------------------------------


def certificate_part(document: Attestation, kms_spki: bytes, terms: FrameTerms) -> bytes:
    """The signed part of an engine's certificate, for operators to sign.

    `kms_spki`: the DER public key of the KMS key that may hold the root. Raises EnclaveError.
    """
    binding = binding_of(document, DocumentPurpose.GENESIS)
    if binding.engine_id != terms.engine_id:
        raise EnclaveError("the document is of another engine than the certificate is for")
    if not any(binding.root_commitment):
        raise EnclaveError(
            "the document commits to no root",
            next_step="let the enclave make its root first (genesis)",
        )
    must_be_kms_key(kms_spki)
    payload = CERTIFICATE.pack(
        version=1,
        authority_root32=binding.authority_root,
        attestation_digest32=document.digest,
        commitment32=binding.root_commitment,
        kms_key_hash32=sha256(kms_spki).digest(),
    )
    return frame(FrameKind.CERTIFICATE, payload, terms)


def must_be_kms_key(spki: bytes) -> None:
    """A public key on P-256 or P-384, in the one DER form that its hash is over.

    Raises ConfigError.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_der_public_key,
    )

    try:
        key = load_der_public_key(spki)
        again = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        _no_kms_key("it is no public key in DER")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in (
        "secp256r1",
        "secp384r1",
    ):
        _no_kms_key("it is not on P-256 or P-384")
    if again != spki:
        _no_kms_key("it is not in the form that KMS gives")


def _no_kms_key(why: str) -> NoReturn:
    raise ConfigError(
        f"this is no public key of a KMS key for agreement: {why}",
        next_step="create it with --key-usage KEY_AGREEMENT --key-spec ECC_NIST_P256, and fetch its"
        " public key with get-public-key",
    )


@dataclass(frozen=True, slots=True)
class WrappedRoot:
    """An engine's root as it lies on the host, taken apart. `public_key`: what KMS agrees with."""

    raw: bytes
    engine_id: bytes
    kms_key_hash: bytes
    commitment: bytes
    public_key: bytes


def parse_wrapped_root(raw: bytes) -> WrappedRoot:
    """Takes a wrapped root apart. Raises PolicyInvalid, EnclaveError."""
    found = WRAPPED_ROOT.unpack(raw)
    size = found["public_key_size"]
    key: bytes = found["public_key"]
    if (
        len(raw) != WRAPPED_ROOT.size
        or (found["magic"], found["version"]) != (b"SENTROOT", 1)
        or not 0 < size <= len(key)
        or any(key[size:])
    ):
        raise EnclaveError(
            "this is no wrapped root",
            cause="it is another file, or was altered",
            next_step="give the file that the enclave handed out at its genesis",
        )
    return WrappedRoot(
        raw, found["engine_id32"], found["kms_key_hash32"], found["commitment32"], key[:size]
    )


# ---- Keys ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that is to get into an enclave. Its repr shows no secret."""

    id: int
    purpose: Purpose
    algorithm: Algorithm
    venue: Venue
    api_key: str
    secret: bytes
    passphrase: str = ""

    def __repr__(self) -> str:
        return f"NewKey(id={self.id}, {self.purpose.name}, {self.algorithm.name})"


def import_part(document: Attestation, key: NewKey, terms: FrameTerms) -> bytes:
    """The signed part of an import: the key, sealed to the enclave of a verified document.

    What the enclave will have (public key, fingerprint, account) is worked out here and signed with
    it. Raises EnclaveError, KeyFileError, UsageError.
    """
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    binding = binding_of(document, DocumentPurpose.IMPORT)
    if binding.engine_id != terms.engine_id:
        raise EnclaveError("the document is of another engine than the import is for")
    spki = document.public_key
    if spki is None or sha256(spki).digest() != binding.import_key_hash:
        raise EnclaveError("the document vouches for no import key")
    to = load_der_public_key(spki)
    if not isinstance(to, RSAPublicKey):
        raise EnclaveError("the import key is not RSA")
    lab = terms.environment is Environment.LAB
    fields = {
        "version": 1,
        "wrapped_size": to.key_size // 8,
        "attestation_digest32": document.digest,
        "info": _info_bytes(_info_of(key, lab), lab),
        "nonce12": os.urandom(12),
    }
    inside = IMPORT_SECRET.pack(
        secret_size=len(key.secret),
        passphrase_size=len(key.passphrase.encode()),
        secret=key.secret,
        passphrase=key.passphrase.encode(),
    )
    secret = os.urandom(32)
    beside = terms.engine_id + IMPORT.pack(**fields)[:_BESIDE]
    sealed = AESGCM(secret).encrypt(fields["nonce12"], inside, beside)  # type: ignore[arg-type]
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), _IMPORT_LABEL)
    payload = IMPORT.pack(
        **fields, sealed=sealed[:-16], tag16=sealed[-16:], wrapped=to.encrypt(secret, oaep)
    )
    return frame(FrameKind.IMPORT, payload, terms)


def _info_of(key: NewKey, lab: bool) -> KeyInfo:
    if key.purpose in (Purpose.RECEIPT, Purpose.AUTHORITY):
        raise UsageError(
            "an engine's own key and people's keys are not imported",
            next_step="the enclave makes its own; people make theirs with zcp authority keygen",
        )
    ring = _core.Keyring()
    info = ring.import_(
        key.id,
        key.purpose,
        key.algorithm,
        key.secret,
        venue=key.venue,
        api_key=key.api_key,
        lab=lab,
    )
    if key.passphrase:
        ring.set_passphrase(key.id, key.passphrase)
    return info


def _info_bytes(info: KeyInfo, lab: bool) -> bytes:
    return KEY_INFO.pack(
        id=info.id,
        purpose=info.purpose,
        algorithm=info.algorithm,
        venue=info.venue,
        public_key_size=len(info.public_key),
        api_key_size=len(info.api_key.encode()),
        lab=int(lab),
        public_key=info.public_key,
        fingerprint32=info.fingerprint,
        api_key=info.api_key.encode(),
    )


@dataclass(frozen=True, slots=True)
class Paper:
    """What a certificate or an import says, in words: rows of label and text."""

    rows: tuple[tuple[str, str], ...]


def tell_paper(found: UnsafeFrame) -> Paper:
    """The fields of a certificate or an import, for people who are about to sign it.

    Raises PolicyInvalid, SentinelError.
    """
    if found.kind is FrameKind.CERTIFICATE:
        fields = CERTIFICATE.unpack(found.payload)
        names = {
            "authority_root32": "authority root",
            "attestation_digest32": "document",
            "commitment32": "root commitment",
            "kms_key_hash32": "KMS key (SHA-256)",
        }
        return Paper(tuple((text, fields[name].hex()) for name, text in names.items()))
    if found.kind is not FrameKind.IMPORT:
        raise SentinelError("this is neither a certificate nor an import")
    fields = IMPORT.unpack(found.payload)
    info = KEY_INFO.unpack(fields["info"])
    public: bytes = info["public_key"][: info["public_key_size"]]
    account = info["api_key"][: info["api_key_size"]].decode("ascii", "replace")
    rows = [
        ("key", str(info["id"])),
        ("purpose", _member(Purpose, info["purpose"])),
        ("venue", _member(Venue, info["venue"])),
        ("algorithm", _member(Algorithm, info["algorithm"])),
        ("account", account or "none"),
        ("public key", public.hex() or "none: its fingerprint is of the secret"),
        ("fingerprint", info["fingerprint32"].hex()),
        ("document", fields["attestation_digest32"].hex()),
        ("ciphertext", sha256(found.payload[_BESIDE:]).hexdigest()),
    ]
    return Paper(tuple(rows))


def _member(kind: type[Purpose] | type[Venue] | type[Algorithm], number: int) -> str:
    return kind(number).name.lower() if number in set(kind) else f"unknown {number}"
