"""Certificates that no builder makes: signed by the right issuer, and wrong in their DER.

Goal: what a lenient reader of X.509 would take is refused. Method: the signed part of a good
certificate is changed byte by byte and signed again by its issuer, so the signature always holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier
from fake_nitro import Chain, FakeRoot, Issuer, sign_document
from test_attestation import NOW, code_of, options, payload

from sentinel.attestation import verify

SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
VERSION_3 = bytes.fromhex("a003020102")
BASIC_CONSTRAINTS = bytes.fromhex("551d13")
KEY_USAGE = bytes.fromhex("551d0f")
STAND_IN = bytes.fromhex("551d7f")
"""An extension that nobody has; the tests turn it into another one."""
EXTRA = x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.127"), bytes.fromhex("30030101ff"))


def sequence(*parts: bytes, tag: int = 0x30) -> bytes:
    body = b"".join(parts)
    size = len(body).to_bytes(2, "big").lstrip(b"\0") or b"\0"
    head = bytes([len(body)]) if len(body) < 128 else bytes([0x80 | len(size)]) + size
    return bytes([tag]) + head + body


def inside(element: bytes) -> bytes:
    """The content of a DER element with a length of two or three bytes."""
    return element[2 + (element[1] & 0x7F if element[1] & 0x80 else 0) :]


def signed_again(
    issuer: Issuer, tbs: bytes, algorithm: bytes = SHA384, behind: bytes = b""
) -> bytes:
    digest = hashes.SHA384() if algorithm == SHA384 else hashes.SHA256()
    signature = issuer.key.sign(tbs, ec.ECDSA(digest))
    return sequence(tbs, algorithm, sequence(b"\0" + signature, tag=0x03), behind)


@pytest.fixture(scope="module")
def root() -> FakeRoot:
    return FakeRoot.make()


@pytest.fixture(scope="module")
def chain(root: FakeRoot) -> Chain:
    return root.chain(NOW, {3: {"extra": ((EXTRA, False),)}})


Change = Callable[[bytes], bytes]


def swap(old: bytes, new: bytes, count: int = 1) -> Change:
    def change(tbs: bytes) -> bytes:
        assert old in tbs
        return sequence(inside(tbs).replace(old, new, count))

    return change


def with_leaf(root: FakeRoot, chain: Chain, der: bytes) -> bytes:
    """A document of the chain whose own certificate is these bytes."""
    leaf = Leaf(chain.leaf.key, chain.leaf.certificate, der)
    return sign_document(payload(), root, chain=replace(chain, leaf=leaf))


class Leaf(Issuer):
    """A key and the bytes that stand for its certificate."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, made: x509.Certificate, der: bytes) -> None:
        super().__init__(key, made)
        object.__setattr__(self, "raw", der)

    @property
    def der(self) -> bytes:
        return self.raw


def tbs_of(chain: Chain) -> bytes:
    return chain.leaf.certificate.tbs_certificate_bytes


def test_the_certificate_that_is_changed_below_is_good(root: FakeRoot, chain: Chain) -> None:
    der = signed_again(chain.issuers[-2], sequence(inside(tbs_of(chain))))
    assert verify(with_leaf(root, chain, der), **options(root)).nonce_checked


def serial_of(chain: Chain) -> bytes:
    return inside(tbs_of(chain))[5:][: 2 + inside(tbs_of(chain))[6]]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (swap(VERSION_3, b""), "malformed"),
        (swap(VERSION_3, bytes.fromhex("a003020101")), "malformed"),
        (swap(VERSION_3, bytes.fromhex("a003020100")), "malformed"),
        (swap(SHA384, SHA256), "malformed"),
        (swap(SHA384, sequence(SHA384[2:], b"\x05\x00")), "malformed"),
        (swap(STAND_IN, BASIC_CONSTRAINTS), "malformed"),
        (swap(STAND_IN, KEY_USAGE), "malformed"),
        (swap(BASIC_CONSTRAINTS, bytes.fromhex("551d7e")), "extension"),
        (swap(KEY_USAGE, bytes.fromhex("551d7e")), "extension"),
        (lambda tbs: sequence(inside(tbs), b"\x05\x00"), "malformed"),
        (lambda tbs: b"\x30\x84" + len(inside(tbs)).to_bytes(4, "big") + inside(tbs), "malformed"),
        (lambda tbs: b"\x30\x80" + inside(tbs) + b"\0\0", "malformed"),
    ],
)
def test_a_signed_part_of_another_form(
    root: FakeRoot, chain: Chain, change: Change, code: str
) -> None:
    der = signed_again(chain.issuers[-2], change(tbs_of(chain)))
    assert code_of(with_leaf(root, chain, der), **options(root)) == f"certificate_{code}"


@pytest.mark.parametrize("serial", [b"\x02\x01\x00", b"\x02\x01\xff", b"\x02\x00"])
def test_a_serial_number_of_zero_or_below(root: FakeRoot, chain: Chain, serial: bytes) -> None:
    der = signed_again(chain.issuers[-2], swap(serial_of(chain), serial)(tbs_of(chain)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = code_of(with_leaf(root, chain, der), **options(root))
    assert code == "certificate_malformed"


def test_a_whole_of_another_form(root: FakeRoot, chain: Chain) -> None:
    issuer, tbs = chain.issuers[-2], tbs_of(chain)
    good = signed_again(issuer, tbs)
    for der in (
        signed_again(issuer, tbs, behind=b"\x05\x00"),
        good + b"\0",
        b"\0" + good,
        b"\x30\x80" + inside(good) + b"\0\0",
        sequence(tbs, SHA384),
        sequence(tbs, SHA384, sequence(b"\0", tag=0x03)),
    ):
        found = code_of(with_leaf(root, chain, der), **options(root))
        assert found in {"certificate_malformed", "certificate_signature"}
    # The algorithm is said twice, and must be the same twice.
    mixed = code_of(with_leaf(root, chain, signed_again(issuer, tbs, SHA256)), **options(root))
    assert mixed in {"certificate_malformed", "certificate_algorithm"}


def test_the_other_form_of_a_signature_is_covered_by_the_documents(
    root: FakeRoot, chain: Chain
) -> None:
    """(r, n - s) holds for a certificate, too; its bytes are in the payload, which is signed."""
    again = signed_again(chain.issuers[-2], tbs_of(chain))
    document = with_leaf(root, chain, again)
    other = signed_again(chain.issuers[-2], tbs_of(chain))
    assert len({again, other}) == 2
    if len(again) == len(other):
        assert code_of(document.replace(again, other), **options(root)) == "signature"
