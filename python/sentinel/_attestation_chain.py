"""From a pinned root to the key that signed a document: RFC 5280, as much as Nitro's chain has.

The bundle is [root, intermediate, ...]; each certificate issues the next, the last one the
document's. Nothing is looked for or left out: a certificate too many breaks the chain. There is no
revocation, as AWS asks for; the leaf lives for three hours.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from ._attestation_errors import refuse

_UNDERSTOOD: Final = (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE)


@dataclass(frozen=True, slots=True)
class _Link:
    """One certificate, and its place: 0 is the root."""

    name: str
    certificate: x509.Certificate
    key: EllipticCurvePublicKey
    constraints: x509.Extension[x509.BasicConstraints] | None
    usage: x509.KeyUsage


def leaf_key(
    bundle: Sequence[bytes], leaf: bytes, root_sha256: bytes, times: Sequence[datetime]
) -> EllipticCurvePublicKey:
    """The key of the document's certificate, once the chain holds at each of the times.

    Raises ChainRefused.
    """
    if not hmac.compare_digest(sha256(bundle[0]).digest(), root_sha256):
        refuse("root", f"the chain begins at {sha256(bundle[0]).hexdigest()}, another root")
    names = ["the root", *(f"intermediate {n}" for n in range(1, len(bundle))), "the leaf"]
    links = [_link(name, der) for name, der in zip(names, [*bundle, leaf], strict=True)]
    for link in links:
        _valid_at(link, times)
    for place, link in enumerate(links[:-1]):
        # Below it, before the leaf, so many certificates of authorities follow.
        _may_issue(link, len(links) - place - 2)
    _is_leaf(links[-1])
    for issuer, issued in zip([links[0], *links], links, strict=False):
        _issued_by(issued, issuer)
    return links[-1].key


def check_signature(key: EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    """ES384: r and s, 48 bytes each. Raises SignatureRefused."""
    r, s = (int.from_bytes(half, "big") for half in (signature[:48], signature[48:]))
    try:
        key.verify(encode_dss_signature(r, s), message, ECDSA(SHA384()))
    except InvalidSignature:
        refuse("signature", "the document is not what its certificate's key signed")


def root_of_pem(pem: bytes) -> bytes:
    """The DER of the one certificate in a PEM text. Raises ExpectationInvalid."""
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        found = []
    if len(found) != 1:
        refuse("root_certificate", f"{len(found) or 'no'} certificates are in the PEM text")
    return found[0].public_bytes(Encoding.DER)


def _link(name: str, der: bytes) -> _Link:
    try:
        certificate = x509.load_der_x509_certificate(der)
        version = certificate.version
        algorithm = certificate.signature_algorithm_oid
        extensions = certificate.extensions
        # Each is parsed when it is first read.
        _ = (certificate.issuer, certificate.subject, certificate.not_valid_after_utc)
        key = certificate.public_key()
    except Exception as error:
        # The library has a dozen of exceptions for what cannot be parsed; each means no.
        refuse("certificate_malformed", f"{name} cannot be read ({type(error).__name__})")
    if version is not x509.Version.v3 or certificate.serial_number <= 0:
        refuse("certificate_malformed", f"{name} is not of version 3, or has no serial number")
    if algorithm != SignatureAlgorithmOID.ECDSA_WITH_SHA384:
        refuse("certificate_algorithm", f"{name} is not signed by ECDSA with SHA-384")
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
        refuse("certificate_algorithm", f"the key of {name} is not on P-384")
    constraints: x509.Extension[x509.BasicConstraints] | None = None
    usage: x509.KeyUsage | None = None
    for extension in extensions:
        if isinstance(extension.value, x509.BasicConstraints):
            constraints = extension
        elif isinstance(extension.value, x509.KeyUsage):
            usage = extension.value
        if extension.critical and extension.oid not in _UNDERSTOOD:
            refuse(
                "certificate_extension",
                f"{name} has a critical extension {extension.oid.dotted_string}",
            )
    if usage is None:
        refuse("certificate_key_usage", f"{name} does not say what its key is for")
    return _Link(name, certificate, key, constraints, usage)


def _valid_at(link: _Link, times: Sequence[datetime]) -> None:
    begin, end = link.certificate.not_valid_before_utc, link.certificate.not_valid_after_utc
    for time in times:
        if time < begin:
            refuse(
                "certificate_not_yet_valid",
                f"{link.name} is valid from {begin:%Y-%m-%dT%H:%M:%SZ} on; it is judged at"
                f" {time:%Y-%m-%dT%H:%M:%SZ}",
            )
        if time > end:
            refuse(
                "certificate_expired",
                f"{link.name} was valid until {end:%Y-%m-%dT%H:%M:%SZ}; it is judged at"
                f" {time:%Y-%m-%dT%H:%M:%SZ}",
            )


def _may_issue(link: _Link, below: int) -> None:
    found = link.constraints
    if found is None or not found.critical or not found.value.ca:
        refuse("certificate_constraints", f"{link.name} is no certificate of an authority")
    length = found.value.path_length
    if length is not None and length < below:
        refuse(
            "certificate_path_length",
            f"{below} authorities are below {link.name}, which allows {length}",
        )
    if not link.usage.key_cert_sign:
        refuse("certificate_key_usage", f"the key of {link.name} may not sign certificates")


def _is_leaf(link: _Link) -> None:
    if link.constraints is None or link.constraints.value.ca:
        refuse("certificate_constraints", f"{link.name} is not marked as no authority")
    if not link.usage.digital_signature or link.usage.key_cert_sign:
        refuse("certificate_key_usage", f"the key of {link.name} is not one for documents alone")


def _issued_by(link: _Link, issuer: _Link) -> None:
    own = link.certificate.issuer == link.certificate.subject
    if own and link is not issuer:
        # RFC 5280 allows it; then a bundle could repeat the root, and have several forms.
        refuse("certificate_issuer", f"{link.name} was issued by itself")
    if link.certificate.issuer.public_bytes() != issuer.certificate.subject.public_bytes():
        refuse("certificate_issuer", f"{link.name} was issued by another name than {issuer.name}")
    try:
        link.certificate.verify_directly_issued_by(issuer.certificate)
    except InvalidSignature:
        refuse("certificate_signature", f"{link.name} is not signed by {issuer.name}")
    except (ValueError, TypeError) as error:
        refuse("certificate_malformed", f"{link.name}: {error}")
