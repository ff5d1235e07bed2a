"""Nonces made ahead: what other libraries say of the signatures, and what the nonces look like.

The nonces are computed back from signatures and the test's own key, with Python's integers.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import signal
import threading
import time
from typing import Any

import coincurve
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from engines import PASSPHRASE, Made

from sentinel import Message, Signer, _core
from sentinel._enums import Algorithm, Purpose
from sentinel._overview import Status, status_of
from sentinel.audit import RecordType, read_log, replay, restore, verify_log
from sentinel.config import Installed, KeyFile, public_keys
from sentinel.errors import SentinelError, UsageError
from sentinel.story import describe_record, trace_record

COUNT = 2048
SECRET = bytes(range(1, 33))  # a test key
L = 2**252 + 27742317777372353535851937790883648493
N = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def ring_of(algorithm: Algorithm) -> tuple[_core.Keyring, bytes]:
    """A keyring whose key 1 has a full pool; and its public key."""
    ring = _core.Keyring()
    info = ring.import_(1, Purpose.MESSAGE, algorithm, SECRET)
    ring.nonces_start(1, COUNT)
    while ring.nonces_fill(1):
        pass
    assert ring.nonces(1).ready == COUNT
    return ring, info.public_key


def messages() -> list[bytes]:
    return [f"order {i}".encode() for i in range(COUNT)]


def signed(algorithm: Algorithm) -> tuple[list[tuple[bytes, bytes, int]], bytes]:
    """Message, signature and recovery id of as many as there are nonces; and the public key."""
    ring, public = ring_of(algorithm)
    rows = []
    for message in messages():
        signature = ring.sign(1, message)
        rows.append((message, signature.bytes, signature.recovery_id))
    figures = ring.nonces(1)
    assert (figures.used, figures.burnt, figures.missed, figures.ready) == (COUNT, 0, 0, 0)
    return rows, public


def assert_even(nonces: list[int], bits: int) -> None:
    """No value comes twice; in each bit, and in each byte's values, zeros and ones are as many as
    chance lets them be. The bounds are 6 and 8 standard deviations: red once in 10^7 runs.
    """
    assert len(set(nonces)) == len(nonces)
    for bit in range(bits):
        ones = sum(nonce >> bit & 1 for nonce in nonces)
        assert abs(ones - len(nonces) / 2) < 6 * (len(nonces) / 4) ** 0.5, f"bit {bit}: {ones} ones"
    counts = [0] * 256
    for nonce in nonces:
        for byte in nonce.to_bytes(32, "little")[: bits // 8]:
            counts[byte] += 1
    mean = sum(counts) / 256
    chi_squared = sum((count - mean) ** 2 / mean for count in counts)
    assert abs(chi_squared - 255) < 8 * (2 * 255) ** 0.5, f"chi squared {chi_squared}"


@pytest.mark.parametrize("mask", [(1 << 248) - 1, ((1 << 256) - 1) ^ 0xFF, (1 << 251) - 1])
def test_a_bias_is_seen(mask: int) -> None:
    drawn = [int.from_bytes(os.urandom(32), "little") % L for _ in range(COUNT)]
    assert_even(drawn, 252)
    with pytest.raises(AssertionError):
        assert_even([nonce & mask for nonce in drawn], 252)


def test_ed25519_verifies_elsewhere_and_its_nonces_are_even() -> None:
    rows, public = signed(Algorithm.ED25519)
    key = ed25519.Ed25519PublicKey.from_public_bytes(public)
    head = int.from_bytes(hashlib.sha512(SECRET).digest()[:32], "little")
    scalar = head & (1 << 254) - 8 | 1 << 254
    nonces = []
    for message, signature, _ in rows:
        key.verify(signature, message)
        challenge = hashlib.sha512(signature[:32] + public + message).digest()
        s = int.from_bytes(signature[32:], "little")
        nonces.append((s - int.from_bytes(challenge, "little") * scalar) % L)
    assert_even(nonces, 252)


def test_ecdsa_verifies_elsewhere_and_its_nonces_are_even() -> None:
    rows, public = signed(Algorithm.ECDSA_SECP256K1)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public)
    d, nonces = int.from_bytes(SECRET, "big"), []
    for message, signature, recovery_id in rows:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        assert 0 < s <= N // 2
        der = utils.encode_dss_signature(r, s)
        key.verify(der, message, ec.ECDSA(hashes.SHA256()))
        recovered = coincurve.PublicKey.from_signature_and_message(
            signature + bytes([recovery_id]), message
        )
        assert recovered.format() == public
        z = int.from_bytes(hashlib.sha256(message).digest(), "big")
        k = pow(s, -1, N) * (z + r * d) % N
        nonces.append(k)  # or n - k, where s was negated
    assert_even([min(k, N - k) for k in nonces], 255)


def test_bip340_verifies_elsewhere_and_its_nonces_are_even() -> None:
    rows, public = signed(Algorithm.BIP340)
    key, d, nonces = coincurve.PublicKeyXOnly(public), int.from_bytes(SECRET, "big"), []
    if coincurve.PrivateKey(SECRET).public_key.format()[0] == 3:
        d = N - d
    tag = hashlib.sha256(b"BIP0340/challenge").digest()
    for message, signature, _ in rows:
        digest = hashlib.sha256(message).digest()
        assert key.verify(signature, digest)
        challenge = hashlib.sha256(tag + tag + signature[:32] + public + digest).digest()
        s = int.from_bytes(signature[32:], "big")
        nonces.append((s - int.from_bytes(challenge, "big") * d) % N)
    assert_even([min(k, N - k) for k in nonces], 255)


# ---- an engine ----------------------------------------------------------------------------------


def open_with(made: Made, **options: Any) -> Signer:
    return Signer.open(made.directory, passphrase=PASSPHRASE, **options)


def status_now(made: Made) -> Status:
    return status_of(Installed(made.directory), restore(made.directory).state(), None)


def wait_until_full(signer: Signer) -> None:
    deadline = time.monotonic() + 60
    while signer.nonces.ready < signer.nonces.capacity:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_engine_signs_with_them_and_its_log_says_so(engine: Made) -> None:
    with open_with(engine, nonces=64, accept_snapshot_risk=True) as signer:
        notes = signer.session("notes")
        wait_until_full(signer)
        signed_order = notes.sign(Message(text="one"))
        (key,) = [row for row in public_keys(engine.directory) if row.name == "message"]
        public = key.info.public_key
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(
            signed_order.signature, signed_order.signed_bytes
        )
        deterministic = KeyFile(engine.directory / "keys/engine", PASSPHRASE).ring.sign(
            key.info.id, signed_order.signed_bytes
        )
        assert signed_order.signature != deterministic.bytes
        assert signer.nonces.used == 1
        texts = [Message(text=str(i)) for i in range(3)]
        threads = [threading.Thread(target=notes.sign, args=(text,)) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        figures = signer.nonces
        assert (figures.used, figures.missed, figures.burnt) == (4, 0, 0)
    verified = verify_log(engine.directory)
    assert not verified.findings
    assert not list(replay(engine.directory).differences)
    starts = [r for r in read_log(engine.directory) if r.type is RecordType.START]
    told = [json.dumps(describe_record(Installed(engine.directory), r)) for r in starts]
    assert "risk of a copied machine" in told[-1]
    assert not any("risk of a copied machine" in text for text in told[:-1])
    order = next(r for r in read_log(engine.directory) if r.type is RecordType.ORDER)
    trace = json.dumps(trace_record(Installed(engine.directory), order.number)["epoch_started"])
    assert "risk of a copied machine" in trace
    source = status_now(engine).nonces
    assert source is not None
    assert (source.made_ahead, source.record) == (True, starts[-1].number)
    assert "the risk of a copied machine was accepted" in source.lines()[0]
    open_with(engine).close()
    source = status_now(engine).nonces
    assert source is not None
    assert not source.made_ahead
    assert source.lines() == []
    assert source.to_json()["snapshot_risk_accepted"] is False


@pytest.mark.parametrize(
    "options",
    [
        {"nonces": 64},
        {"accept_snapshot_risk": True},
        {"nonces": 63, "accept_snapshot_risk": True},
        {"nonces": 96, "accept_snapshot_risk": True},
        {"nonces": 1 << 21, "accept_snapshot_risk": True},
    ],
)
def test_they_are_not_made_unasked(engine: Made, options: dict[str, Any]) -> None:
    before = len(list(read_log(engine.directory)))
    with pytest.raises(UsageError, match="accept_snapshot_risk") as caught:
        open_with(engine, **options)
    assert "power of two from 64" in caught.value.next_step
    assert len(list(read_log(engine.directory))) == before
    with open_with(engine) as signer:
        assert signer.nonces.capacity == 0


def test_a_child_forked_amid_a_fill_can_close(engine: Made) -> None:
    with open_with(engine, nonces=1 << 16, accept_snapshot_risk=True) as signer:
        child = os.fork()
        if child == 0:
            signer.close()
            os._exit(7)
        deadline = time.monotonic() + 30
        ended, status = 0, 0
        while not ended and time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.01)
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert ended == child
        assert os.waitstatus_to_exitcode(status) == 7


def test_one_that_is_dropped_unclosed_ends(engine: Made) -> None:
    signer = open_with(engine, nonces=64, accept_snapshot_risk=True)
    del signer
    deadline = time.monotonic() + 30
    while any(thread.name == "sentinel-ahead" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        gc.collect()
        time.sleep(0.01)
    open_with(engine).close()  # its lock is free


def test_closing_ends_the_thread_that_fills(engine: Made) -> None:
    signer = open_with(engine, nonces=1 << 16, accept_snapshot_risk=True)
    assert any(thread.name == "sentinel-ahead" for thread in threading.enumerate())
    signer.close()  # amid its work
    assert not any(thread.name == "sentinel-ahead" for thread in threading.enumerate())


def test_a_forked_child_has_none(engine: Made) -> None:
    with open_with(engine, nonces=64, accept_snapshot_risk=True) as signer:
        wait_until_full(signer)
        child = os.fork()
        if child == 0:
            try:
                signer.nonces  # noqa: B018
            except SentinelError:
                os._exit(7)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7
        assert signer.nonces.ready == 64
