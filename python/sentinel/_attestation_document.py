"""The parts of an attestation document: COSE_Sign1 (RFC 9052) around a payload of known fields.

Sizes are those of AWS, docs/attestation_process.md of aws-nitro-enclaves-nsm-api. Its "no field
can be null" is not so: Nitro writes null where an optional field was not asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ._attestation_cbor import Value, byte_string, decode
from ._attestation_errors import refuse

PAYLOAD_BYTES_MAX: Final = 16384
DOCUMENT_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 128
CERTIFICATE_BYTES_MAX: Final = 1024
CHAIN_MAX: Final = 8
"""Certificates of the bundle; Nitro's has four."""
PCR_COUNT: Final = 32
PCR_BYTES: Final = 48
NONCE_BYTES_MAX: Final = 512
ES384: Final = bytes.fromhex("a1013822")
"""The protected header {1: -35}, in its one shortest form."""

_SIGN1_TAG: Final = 0xD2
_SIGNATURE_BYTES: Final = 96
_MODULE_BYTES_MAX: Final = 256
_OPTIONAL: Final = {
    "public_key": (1, 1024),
    "user_data": (0, 512),
    "nonce": (0, NONCE_BYTES_MAX),
}
_REQUIRED: Final = ("module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle")
_TIMESTAMP_END: Final = 253402300800000
"""The year 10000, in milliseconds: what a datetime can hold ends there."""


@dataclass(frozen=True, slots=True)
class UnverifiedDocument:
    """What a document says. Nothing of it is proven: anybody can write such bytes."""

    protected: bytes
    payload: bytes
    signature: bytes
    module_id: str
    timestamp_ms: int
    pcrs: Mapping[int, bytes]
    certificate: bytes
    cabundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None

    @property
    def is_signed(self) -> bool:
        """False for what an emulator makes: another algorithm, or zeros for a signature."""
        return self.protected == ES384 and any(self.signature)

    @property
    def signed_bytes(self) -> bytes:
        """The Sig_structure of RFC 9052, section 4.4, which the signature is over."""
        return (
            b"\x84\x6aSignature1"
            + byte_string(self.protected)
            + byte_string(b"")
            + byte_string(self.payload)
        )


def parse(document: bytes) -> UnverifiedDocument:
    """Takes a document apart, strictly. Raises DocumentMalformed."""
    if not 0 < len(document) <= DOCUMENT_BYTES_MAX:
        refuse("document_size", f"{len(document)} bytes; 1 to {DOCUMENT_BYTES_MAX} are possible")
    tagged = document[0] == _SIGN1_TAG
    parts = decode(document[1:] if tagged else document)
    if not isinstance(parts, list) or len(parts) != 4:
        refuse("cose_shape", "not a COSE_Sign1, which is an array of four")
    protected, unprotected, payload, signature = parts
    if not (
        isinstance(protected, bytes)
        and isinstance(unprotected, dict)
        and isinstance(payload, bytes)
        and isinstance(signature, bytes)
    ):
        refuse("cose_shape", "not the parts of a COSE_Sign1: bytes, map, bytes, bytes")
    if unprotected:
        refuse("cose_unprotected", "the unprotected header, which nobody signs, is not empty")
    if not 0 < len(payload) <= PAYLOAD_BYTES_MAX:
        refuse("field_size", f"a payload of {len(payload)} bytes")
    return _fields(protected, payload, signature)


def must_be_es384(document: UnverifiedDocument) -> None:
    """Raises SignatureRefused (an emulator's document) or DocumentMalformed."""
    if not any(document.signature):
        refuse("unsigned", "the signature is zeros: an emulator made this document")
    if document.protected != ES384:
        refuse(
            "cose_algorithm", f"the protected header is {document.protected.hex():.60}, not ES384"
        )
    if len(document.signature) != _SIGNATURE_BYTES:
        refuse("cose_shape", f"a signature of {len(document.signature)} bytes; ES384 has 96")


def _fields(protected: bytes, payload: bytes, signature: bytes) -> UnverifiedDocument:
    found = decode(payload)
    if not isinstance(found, dict):
        refuse("field_type", "the payload is no map")
    for name in _REQUIRED:
        if name not in found:
            refuse("field_missing", f"there is no {name}")
    for key in found:
        if key not in _REQUIRED and key not in _OPTIONAL:
            refuse("field_unknown", f"a field {key!r:.60}")
    digest, timestamp = found["digest"], found["timestamp"]
    if digest != "SHA384":
        refuse("field_value", f"the digest is {digest!r:.60}, not SHA384")
    if type(timestamp) is not int:
        refuse("field_type", "the timestamp is no whole number")
    if not 0 < timestamp < _TIMESTAMP_END:
        refuse("field_value", f"the timestamp is {timestamp}")
    module = found["module_id"]
    if not isinstance(module, str):
        refuse("field_type", "module_id is no text")
    if not 0 < len(module) <= _MODULE_BYTES_MAX or not module.isascii() or not module.isprintable():
        refuse("field_value", "module_id is no name of a module")
    optional = {name: _optional(found, name, *size) for name, size in _OPTIONAL.items()}
    return UnverifiedDocument(
        protected=protected,
        payload=payload,
        signature=signature,
        module_id=module,
        timestamp_ms=timestamp,
        pcrs=_pcrs(found["pcrs"]),
        certificate=_sized(found["certificate"], "certificate", 1, CERTIFICATE_BYTES_MAX),
        cabundle=_bundle(found["cabundle"]),
        **optional,
    )


def _sized(value: Value, name: str, low: int, high: int) -> bytes:
    if not isinstance(value, bytes):
        refuse("field_type", f"{name} is no byte string")
    if not low <= len(value) <= high:
        refuse("field_size", f"{name} has {len(value)} bytes; {low} to {high} are possible")
    return value


def _optional(found: dict[int | str, Value], name: str, low: int, high: int) -> bytes | None:
    value = found.get(name)
    return None if value is None else _sized(value, name, low, high)


def _pcrs(value: Value) -> Mapping[int, bytes]:
    if not isinstance(value, dict):
        refuse("field_type", "pcrs is no map")
    if not 0 < len(value) <= PCR_COUNT:
        refuse("field_size", f"{len(value)} PCRs; 1 to {PCR_COUNT} are possible")
    made: dict[int, bytes] = {}
    for index, pcr in value.items():
        if not isinstance(index, int):
            refuse("field_type", f"the index of a PCR is {index!r:.60}")
        if not 0 <= index < PCR_COUNT:
            refuse("field_value", f"there is no PCR{index}")
        made[index] = _sized(pcr, f"PCR{index}", PCR_BYTES, PCR_BYTES)
    return MappingProxyType(made)


def _bundle(value: Value) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        refuse("field_type", "cabundle is no array")
    if not 0 < len(value) <= CHAIN_MAX:
        refuse("field_size", f"{len(value)} certificates in cabundle; 1 to {CHAIN_MAX} may be")
    names = (f"cabundle[{index}]" for index in range(len(value)))
    return tuple(
        _sized(one, name, 1, CERTIFICATE_BYTES_MAX) for one, name in zip(value, names, strict=True)
    )
