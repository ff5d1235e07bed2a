"""Nonces made ahead, at length: half a million signatures amid kills and forks, no nonce twice;
what other libraries say of a sample; and the statistics of a million nonces of each algorithm.

`SENTINEL_SOAK=10000000 pytest -m long tests/python/test_nonces_soak.py` makes ten million;
`SENTINEL_NONCES` says how many nonces the statistics are of.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from itertools import accumulate
from pathlib import Path

import coincurve
import nacl.bindings
import nacl.signing
import numpy
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / "build" / "core" / "release" / "nonces_soak"
COUNT = int(os.environ.get("SENTINEL_SOAK", "500000"))
NONCES = int(os.environ.get("SENTINEL_NONCES", "1048576"))
ED25519, ECDSA, BIP340 = range(3)
L = 2**252 + 27742317777372353535851937790883648493
N = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
MASK = (1 << 64) - 1


@pytest.fixture(scope="module", autouse=True)
def program() -> None:
    subprocess.run(
        ["make", "-s", "-C", "core", f"../{PROGRAM.relative_to(TOP)}"], cwd=TOP, check=True
    )


def soak(*arguments: str | Path) -> tuple[int, dict[str, int]]:
    command = [PROGRAM, "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


# ---- no nonce twice, and all verify --------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_show_8_no_nonce_repeats_amid_kills_and_forks_and_all_verify(tmp_path: Path) -> None:
    status, said = soak("--count", str(COUNT), "--sample", tmp_path / "sample")
    assert (status, said["passed"]) == (0, True)
    assert said["signatures"] >= COUNT
    assert said["repeated_nonces"] == said["failed_to_verify"] == 0
    assert min(said[name] for name in ("ed25519", "ecdsa", "bip340")) > COUNT // 4
    assert min(said["openssl_ed25519"], said["openssl_ecdsa"]) >= 10_000
    assert min(said["kills"], said["child_kills"]) >= 10
    assert said["forks"] >= 50
    assert min(verified_elsewhere((tmp_path / "sample").read_bytes())) >= 10_000


@pytest.mark.parametrize(
    ("plant", "found"), [("repeat", "repeated_nonces"), ("forge", "failed_to_verify")]
)
def test_one_that_repeats_or_is_wrong_is_seen(plant: str, found: str) -> None:
    status, said = soak("--count", "3000", "--plant", plant)
    assert (status, said["passed"]) == (1, False)
    assert said[found] == 1
    assert said["repeated_nonces"] + said["failed_to_verify"] == 1


def verified_elsewhere(sample: bytes) -> list[int]:
    """How many of each algorithm PyNaCl, `cryptography` and coincurve verified: all of them."""
    keys = [sample[33 * i : 33 * (i + 1)] for i in range(3)]
    sodium = nacl.signing.VerifyKey(keys[ED25519][:32])
    edwards = ed25519.Ed25519PublicKey.from_public_bytes(keys[ED25519][:32])
    koblitz = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), keys[ECDSA])
    xonly = coincurve.PublicKeyXOnly(keys[BIP340][:32])
    counts = [0, 0, 0]
    for at in range(99, len(sample), 144):
        row = sample[at : at + 144]
        algorithm, recovery_id = row[8], row[9]
        signature, message = row[16:80], row[80:]
        counts[algorithm] += 1
        if algorithm == ED25519:
            sodium.verify(message, signature)
            edwards.verify(signature, message)
        elif algorithm == ECDSA:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            assert s <= N // 2
            der = utils.encode_dss_signature(r, s)
            koblitz.verify(der, message, ec.ECDSA(hashes.SHA256()))
            key = coincurve.PublicKey.from_signature_and_message(
                signature + bytes([recovery_id]), message
            )
            assert key.format() == keys[ECDSA]
            assert key.verify(der, message)
        else:
            assert xonly.verify(signature, hashlib.sha256(message).digest())
    return counts


# ---- statistics ----------------------------------------------------------------------------------


def scramble(x: int) -> int:
    x = x + 0x9E3779B97F4A7C15 & MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def message(number: int) -> bytes:
    """As the program makes it."""
    words = [number, *(scramble(number * 8 + i & MASK) for i in range(8, 64, 8))]
    return b"".join(word.to_bytes(8, "little") for word in words)


def inverses(values: list[int], modulus: int) -> list[int]:
    """By one inversion."""
    products = list(accumulate(values, lambda a, b: a * b % modulus))
    inverse, found = pow(products[-1], -1, modulus), []
    for i in range(len(values) - 1, 0, -1):
        found.append(inverse * products[i - 1] % modulus)
        inverse = inverse * values[i] % modulus
    return [inverse, *reversed(found)][: len(values)]


def nonces_of(algorithm: int, rows: bytes) -> list[int]:
    """The nonce of each signature, from it, its message and the program's test key."""
    signatures = [(rows[at : at + 32], rows[at + 32 : at + 64]) for at in range(0, len(rows), 64)]
    messages = (message(8 * i + 1) for i in range(len(signatures)))
    secret = bytes([0x41 + algorithm]) * 32
    d = int.from_bytes(secret, "big")
    if algorithm == ED25519:
        head = int.from_bytes(hashlib.sha512(secret).digest()[:32], "little")
        scalar = head & (1 << 254) - 8 | 1 << 254
        key = bytes(nacl.signing.SigningKey(secret).verify_key)
        hashed = (
            int.from_bytes(hashlib.sha512(shown + key + text).digest(), "little")
            for (shown, _), text in zip(signatures, messages, strict=True)
        )
        return [
            (int.from_bytes(s, "little") - h * scalar) % L
            for (_, s), h in zip(signatures, hashed, strict=True)
        ]
    digests = [hashlib.sha256(text).digest() for text in messages]
    numbers = [int.from_bytes(s, "big") for _, s in signatures]
    if algorithm == ECDSA:
        z = [int.from_bytes(digest, "big") for digest in digests]
        r = [int.from_bytes(shown, "big") for shown, _ in signatures]
        turned = inverses(numbers, N)
        return [turned[i] * (z[i] + r[i] * d) % N for i in range(len(z))]
    public = coincurve.PrivateKey(secret).public_key.format()
    d = d if public[0] == 2 else N - d
    tag = hashlib.sha256(b"BIP0340/challenge").digest()
    start = hashlib.sha256(tag + tag)
    challenges = []
    for (shown, _), digest in zip(signatures, digests, strict=True):
        hashing = start.copy()
        hashing.update(shown + public[1:] + digest)
        challenges.append(int.from_bytes(hashing.digest(), "big"))
    return [(s - e * d) % N for s, e in zip(numbers, challenges, strict=True)]


def point(algorithm: int, nonce: int) -> bytes:
    """What a signature shows of its nonce."""
    if algorithm == ED25519:
        return nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    return coincurve.PrivateKey(nonce.to_bytes(32, "big")).public_key.format()[1:]


def z_scores(nonces: list[int], bits: int) -> dict[str, float]:
    """For each test, how many standard deviations the worst of it is from what chance gives.

    About 3,000 of them are looked at; each is normal, or very nearly, for a million even nonces.
    """
    count = len(nonces)
    packed = b"".join(nonce.to_bytes(32, "little") for nonce in nonces)
    octets = numpy.frombuffer(packed, dtype=numpy.uint8).reshape(count, 32)
    ones = numpy.unpackbits(octets, axis=1, bitorder="little")[:, :bits].astype(numpy.int8)
    found = {}
    per_bit = ones.sum(axis=0, dtype=numpy.int64)
    sigma = (count / 4) ** 0.5
    found["monobit"] = abs(per_bit.sum() - count * bits / 2) / (count * bits / 4) ** 0.5
    found["bias of a bit"] = float(abs(per_bit - count / 2).max() / sigma)
    for name, step in (("serial", 1), ("serial, a batch apart", 64)):
        same = (ones[step:] == ones[:-step]).sum(axis=0, dtype=numpy.int64)
        found[name] = float(abs(same - (count - step) / 2).max() / ((count - step) / 4) ** 0.5)
    same = (ones[:, 1:] == ones[:, :-1]).sum(axis=0, dtype=numpy.int64)
    found["neighbouring bits"] = float(abs(same - count / 2).max() / sigma)
    for name, low in (("top 10 bits", bits - 10), ("low 10 bits", 0)):
        values = numpy.array([nonce >> low & 1023 for nonce in nonces])
        counts = numpy.bincount(values, minlength=1024)
        chi_squared = float(((counts - count / 1024) ** 2 / (count / 1024)).sum())
        # Wilson and Hilferty: its cube root is very nearly normal.
        share = 2 / (9 * 1023)
        found[name] = abs(((chi_squared / 1023) ** (1 / 3) - (1 - share)) / share**0.5)
    words = numpy.sort(numpy.array([nonce >> bits - 64 & MASK for nonce in nonces], numpy.uint64))
    low = numpy.sort(numpy.array([nonce & MASK for nonce in nonces], numpy.uint64))
    # Of a million 64-bit words, two are alike once in 2^25 runs; 40-bit heads make a Poisson count.
    found["equal words"] = 99.0 * float(
        (words[1:] == words[:-1]).any() or (low[1:] == low[:-1]).any()
    )
    heads = words >> numpy.uint64(24)
    pairs, expected = int((heads[1:] == heads[:-1]).sum()), count * (count - 1) / 2 / 2**40
    # Too few cannot be told from chance; too many: Anscombe's root of a Poisson count is normal.
    found["shared heads"] = max(0.0, 2 * ((pairs + 3 / 8) ** 0.5 - (expected + 3 / 8) ** 0.5))
    return found


BOUND = 8.0
"""Standard deviations. One test passes it once in 10^15 runs; 3,000 tests of three algorithms, once
in 10^11 (the Poisson count, whose tail is heavier: 10^-9)."""


def even(nonces: list[int], bits: int) -> None:
    scores = z_scores(nonces, bits)
    assert max(scores.values()) < BOUND, scores


@pytest.mark.long
@pytest.mark.parametrize("algorithm", [ED25519, ECDSA, BIP340], ids=["ed25519", "ecdsa", "bip340"])
def test_a_million_nonces_are_even(algorithm: int, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    command = [PROGRAM, "--count", str(NONCES), "--rows", str(algorithm), path]
    subprocess.run(command, check=True)
    nonces = nonces_of(algorithm, path.read_bytes())
    assert len(nonces) == NONCES
    for i in range(100):  # They are the nonces.
        shown = path.read_bytes()[64 * i : 64 * i + 32]
        assert shown == point(algorithm, nonces[i])
    if algorithm == ED25519:
        even(nonces, 252)  # The order is 2^252 (1 + 2^-127).
        top = 251
    else:
        # k and n - k sign alike, and which of them it was nobody can tell.
        nonces = [min(k, N - k) for k in nonces]
        even(nonces, 255)
        top = 254
    with pytest.raises(AssertionError, match="bias of a bit"):  # One in 20 has its top bit set.
        even([k | (i % 20 == 0) << top for i, k in enumerate(nonces)], top + 1)
    with pytest.raises(AssertionError):  # One in a thousand is its predecessor plus one.
        even([nonces[i - (i % 1000 == 0)] + (i % 1000 == 0) for i in range(NONCES)], top + 1)
