"""What an enclave of ours says of itself in a document: `user_data`, 256 bytes, fixed.

    u32 version = 1          u32 purpose
    u8  engine_id[32]        u64 epoch
    u64 head_number          u8  head_hash[32]
    u8  receipt_key_hash[32] u8  session_key_hash[32]
    u8  import_key_hash[32]  u8  authority_root[32]
    u8  root_commitment[32]  u8  reserved[8] = 0

Little-endian, as `sentinel_user_data` of enclave/daemon/document.h. The hashes are SHA-256: of the
raw 32 bytes of the receipt key (Ed25519), of the DER SubjectPublicKeyInfo of the session key and of
the import key. Zero: there is no such key, or no root secret yet.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final

from ._attestation_errors import refuse

USER_DATA_VERSION: Final = 1
USER_DATA_BYTES: Final = 256
IMPORT_KEY_BITS: Final = (2048, 4096)
_LAYOUT: Final = struct.Struct("<II32sQQ32s32s32s32s32s32s8s")
_ZERO: Final = bytes(32)
_ROOT_LABEL: Final = b"sentinel-authority-root-v1\0"


class Purpose(IntEnum):
    """What a document was asked for; one made for one purpose is refused for another."""

    BOOT = 1
    SESSION = 2
    IMPORT = 3
    GENESIS = 4
    LOG = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """`user_data`, taken apart."""

    purpose: Purpose
    engine_id: bytes
    epoch: int
    head_number: int
    head_hash: bytes
    receipt_key_hash: bytes
    session_key_hash: bytes
    import_key_hash: bytes
    authority_root: bytes
    root_commitment: bytes

    def pack(self) -> bytes:
        """The 256 bytes."""
        return _LAYOUT.pack(
            USER_DATA_VERSION,
            self.purpose,
            self.engine_id,
            self.epoch,
            self.head_number,
            self.head_hash,
            self.receipt_key_hash,
            self.session_key_hash,
            self.import_key_hash,
            self.authority_root,
            self.root_commitment,
            bytes(8),
        )

    def must_hold_session_key(self, subject_public_key_info: bytes) -> None:
        """The peer of a TLS session is the enclave. Raises BindingRefused."""
        if not _is_hash(self.session_key_hash, subject_public_key_info):
            refuse("session_key", "the peer's key is not the one that the document binds")

    def must_hold_receipt_key(self, public_key: bytes) -> None:
        """A receipt's key is the enclave's. Raises BindingRefused."""
        if len(public_key) != 32 or not _is_hash(self.receipt_key_hash, public_key):
            refuse("receipt_key", "the receipt's key is not the one that the document binds")


def authority_root(threshold: int, keys: Sequence[bytes]) -> bytes:
    """The root authority in 32 bytes, as `user_data` has it.

    SHA-256("sentinel-authority-root-v1" ‖ 0 ‖ k ‖ n ‖ n keys of 32 bytes), k and n a byte each, the
    keys in the order of the genesis record.
    """
    return sha256(_ROOT_LABEL + bytes([threshold, len(keys)]) + b"".join(keys)).digest()


def parse_binding(user_data: bytes | None) -> Binding:
    """Takes `user_data` apart. Raises BindingRefused."""
    if user_data is None:
        refuse("user_data_missing", "the document has no user_data, so it is of no engine")
    if len(user_data) != USER_DATA_BYTES:
        refuse("user_data_layout", f"user_data has {len(user_data)} bytes, not {USER_DATA_BYTES}")
    version, purpose, *fields, reserved = _LAYOUT.unpack(user_data)
    if version != USER_DATA_VERSION:
        refuse("user_data_layout", f"user_data is of version {version}, not {USER_DATA_VERSION}")
    if purpose not in Purpose.__members__.values():
        refuse("user_data_layout", f"there is no purpose {purpose}")
    if any(reserved):
        refuse("user_data_layout", "a reserved byte of user_data is not zero")
    engine_id, epoch, head_number, head_hash, receipt, session, import_, root, commitment = fields
    return Binding(
        purpose=Purpose(purpose),
        engine_id=engine_id,
        epoch=epoch,
        head_number=head_number,
        head_hash=head_hash,
        receipt_key_hash=receipt,
        session_key_hash=session,
        import_key_hash=import_,
        authority_root=root,
        root_commitment=commitment,
    )


def check_keys(binding: Binding, public_key: bytes | None) -> None:
    """The document's own public key is the import key, and a purpose has what it needs.

    Raises BindingRefused.
    """
    if binding.purpose is Purpose.SESSION and binding.session_key_hash == _ZERO:
        refuse("session_key", "a document for a session binds no session key")
    if binding.purpose is Purpose.GENESIS and binding.root_commitment == _ZERO:
        refuse("root_commitment", "a document for genesis commits to no root secret")
    if public_key is None:
        if binding.purpose is Purpose.IMPORT or binding.import_key_hash != _ZERO:
            refuse("public_key", "the document has no public key, and should")
        return
    if not _is_hash(binding.import_key_hash, public_key):
        refuse("import_key", "the document's public key is not the import key of user_data")
    _must_be_rsa(public_key)


def _is_hash(expected: bytes, data: bytes) -> bool:
    return expected != _ZERO and hmac.compare_digest(expected, sha256(data).digest())


def _must_be_rsa(spki: bytes) -> None:
    """RSA, as KMS encrypts to it; in the one DER form, so that no second bytes have its hash."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_der_public_key,
    )

    try:
        key = load_der_public_key(spki)
        again = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception as error:
        refuse("public_key", f"the public key cannot be read ({type(error).__name__})")
    low, high = IMPORT_KEY_BITS
    if not isinstance(key, RSAPublicKey) or not low <= key.key_size <= high:
        refuse("public_key", f"the public key is not RSA of {low} to {high} bits")
    if key.public_numbers().e != 65537 or again != spki:
        refuse("public_key", "the public key is not in the form that KMS makes")
