"""A fake of Nitro's hypervisor: it signs attestation documents under a root of its own.

Only tests know that root, and no verifier of the product takes it unless it is named. The form is
that of the genuine documents in tests/golden/attestation: a chain of five P-384 certificates,
COSE_Sign1 by ES384, no tag, an empty unprotected header.

    root = FakeRoot.make()
    payload = make_payload(pcrs, user_data=..., nonce=..., public_key=..., timestamp=ms)
    document = sign_document(payload, root)
    verify(document, expectation=..., nonce=..., now=..., root=TrustRoot.of_pem(root.pem))

An emulator (QEMU) does not sign: `unsigned_document` makes the like, and `sign_emulated` takes an
emulator's document and signs its payload, standing in for the hypervisor.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

MODULE_ID = "i-0fa4e0000000000fa-enc0fa4e0000000000f"
ES384 = {1: -35}
EMULATED = {1: -1}
PCR_BYTES = 48


def _name(common: str) -> x509.Name:
    parts = (
        (NameOID.ORGANIZATION_NAME, "Fake of Nitro, tests only"),
        (NameOID.COMMON_NAME, common),
    )
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


@dataclass(frozen=True)
class Spec:
    """One certificate of a chain. A test changes one thing in one of them."""

    common: str
    ca: bool | None
    path_length: int | None
    days: float
    critical: bool = True
    cert_sign: bool = True
    digital_signature: bool = True
    usage: bool = True
    curve: ec.EllipticCurve = field(default_factory=ec.SECP384R1)
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA384)
    issuer: str | None = None
    begins: dt.timedelta = dt.timedelta(0)
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()


ROOT = Spec("aws.nitro-enclaves (fake)", True, None, 10957)
CHAIN = (
    Spec("fake.region.nitro-enclaves", True, 2, 20),
    Spec("fake.zonal.nitro-enclaves", True, 1, 6),
    Spec("fake.instance.nitro-enclaves", True, 0, 1, digital_signature=False),
    Spec("fake.enclave", False, None, 0.125, cert_sign=False),
)
"""Below the root; the last is the document's own. Lives as Nitro's: 20 d, 6 d, 1 d, 3 h."""


@dataclass(frozen=True)
class Issuer:
    """A key, and the certificate of it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(spec: Spec, at: dt.datetime, issuer: Issuer | None) -> Issuer:
    """A certificate that begins three seconds before `at`; self-signed without an issuer."""
    key = ec.generate_private_key(spec.curve)
    name = _name(spec.common)
    above = issuer.certificate.subject if issuer is not None else name
    begin = at.replace(microsecond=0) - dt.timedelta(seconds=3) + spec.begins
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(above if spec.issuer is None else _name(spec.issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=spec.days))
    )
    if spec.ca is not None:
        constraints = x509.BasicConstraints(spec.ca, spec.path_length)
        made = made.add_extension(constraints, critical=spec.critical)
    if spec.usage:
        usage = x509.KeyUsage(
            digital_signature=spec.digital_signature,
            key_cert_sign=spec.cert_sign,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        made = made.add_extension(usage, critical=True)
    for extension, critical in spec.extra:
        made = made.add_extension(extension, critical=critical)
    signer = issuer.key if issuer is not None else key
    return Issuer(key, made.sign(signer, spec.digest))


@dataclass(frozen=True)
class FakeRoot:
    """The root. Each document gets a chain of its own below it, made for its time."""

    issuer: Issuer

    @classmethod
    def make(cls, spec: Spec = ROOT) -> FakeRoot:
        return cls(issue(spec, dt.datetime(2019, 10, 28, 13, 28, 8, tzinfo=dt.UTC), None))

    @property
    def der(self) -> bytes:
        return self.issuer.der

    @property
    def pem(self) -> bytes:
        return self.issuer.certificate.public_bytes(Encoding.PEM)

    def chain(self, at: dt.datetime, changes: Mapping[int, dict[str, Any]] | None = None) -> Chain:
        """A chain whose leaf is valid at a time. `changes`: by place below the root, from 0."""
        made = [self.issuer]
        for place, spec in enumerate(CHAIN):
            made.append(issue(replace(spec, **(changes or {}).get(place, {})), at, made[-1]))
        return Chain(made[-1], tuple(one.der for one in made[:-1]), tuple(made))


@dataclass(frozen=True)
class Chain:
    """The key that signs a document, its certificate, and the bundle, root first."""

    leaf: Issuer
    bundle: tuple[bytes, ...]
    issuers: tuple[Issuer, ...] = ()


def make_payload(
    pcrs: Mapping[int, bytes],
    user_data: bytes | None = None,
    nonce: bytes | None = None,
    public_key: bytes | None = None,
    timestamp: int = 0,
) -> dict[str, Any]:
    """A payload without certificates; `timestamp` in milliseconds. PCRs that are left out are zero
    up to PCR15, as Nitro's are.
    """
    return {
        "module_id": MODULE_ID,
        "digest": "SHA384",
        "timestamp": timestamp,
        "pcrs": {index: bytes(PCR_BYTES) for index in range(16)} | dict(pcrs),
        "public_key": public_key,
        "user_data": user_data,
        "nonce": nonce,
    }


def time_of(payload: Mapping[str, Any]) -> dt.datetime:
    """A payload's timestamp."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=payload["timestamp"])


def sign_document(
    payload: Mapping[str, Any] | bytes,
    root: FakeRoot,
    *,
    chain: Chain | None = None,
    protected: bytes = cbor2.dumps(ES384),
    encode: Callable[[Any], bytes] = cbor2.dumps,
) -> bytes:
    """Signs a payload as the hypervisor does, under a chain that is valid at its timestamp.

    A payload of bytes is signed as it stands (a chain must be given); a mapping gets the chain's
    certificates in their places first.
    """
    if not isinstance(payload, bytes):
        used = chain or root.chain(time_of(payload))
        body = dict(payload)
        body["certificate"] = used.leaf.der
        body["cabundle"] = list(used.bundle)
        payload, chain = encode(body), used
    assert chain is not None, "bytes are signed by a chain that they already name"
    message = cbor2.dumps(["Signature1", protected, b"", payload])
    signature = chain.leaf.key.sign(message, ec.ECDSA(hashes.SHA384()))
    size = (chain.leaf.key.key_size + 7) // 8
    raw = b"".join(half.to_bytes(size, "big") for half in decode_dss_signature(signature))
    return cbor2.dumps([protected, {}, payload, raw])


def unsigned_document(payload: Mapping[str, Any], signature: bytes = bytes(64)) -> bytes:
    """What an emulator makes of a payload: no key, no certificate, zeros in their places."""
    body = {**payload, "certificate": bytes(64), "cabundle": [bytes(64)]}
    return cbor2.dumps([cbor2.dumps(EMULATED), {}, cbor2.dumps(body), signature])


def sign_emulated(document: bytes, root: FakeRoot) -> bytes:
    """Signs the payload of an emulator's document: the harness stands in for the hypervisor."""
    parts = cbor2.loads(document)
    protected, _, payload, signature = parts.value if isinstance(parts, cbor2.CBORTag) else parts
    assert cbor2.loads(protected) == EMULATED, "this document is no emulator's"
    assert not any(signature), "this document is signed already"
    return sign_document(cbor2.loads(payload), root)
