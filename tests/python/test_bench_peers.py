"""The suite `peers`: what stands beside ours signs truly, and nothing is asked that was not given.

Goal: a peer that signed nothing, or something else, would be a wrong figure. Method: a signature of
every peer is checked by a library that did not make it; SoftHSM and moto's server run for real; a
user's own HTTP signer is a server on loopback; AWS is a server on loopback that refuses.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sys
from typing import Any

import peer_checks as check
import pytest
from cryptography.hazmat.primitives import serialization

from sentinel.bench import Settings, peers, peers_kms, peers_pkcs11, peers_python
from sentinel.bench.peer import Peer, PeerMissing

MESSAGE = bytes(range(256))


def verdict(peer: Any, signature: bytes, message: bytes) -> bool:
    """Of a library's peer, by what it is called."""
    name, public = peer.name, peer.public
    if name == "pynacl_ed25519":
        return signature[64:] == message and check.ed25519_ok(public, message, signature[:64])
    if name == "coincurve_recoverable":
        key = check.point("ecdsa_secp256k1", public)
        return check.raw_ok(key, message, signature[:64])
    if name == "coincurve_schnorr":
        return check.bip340_ok(public, hashlib.sha256(message).digest(), signature)
    if name == "cryptography_ed25519":
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return check.ed25519_ok(raw, message, signature)
    if name == "cryptography_secp256k1":
        return check.coincurve_ok(public, message, signature)
    if name == "cryptography_p256":
        return check.der_ok(public, message, signature)
    if name == "eth_account_eip712":
        digest = check.phantom_digest(hashlib.sha256(message).digest())
        return check.address_of(digest, signature) == str(public).lower()
    return check.hmac_ok(public, message, signature)


def test_signatures_of_the_libraries_verify_elsewhere() -> None:
    made = [peer for make in peers_python.python_peers().values() for peer in make()]
    assert len({peer.name for peer in made}) == len(made) == 10
    for peer in made:
        signature = bytes(peer.sign(MESSAGE))
        assert verdict(peer, signature, MESSAGE), peer.name
        if peer.name != "pynacl_ed25519":  # the message is part of what it gives
            assert not verdict(peer, signature, MESSAGE[1:]), peer.name
        assert peer.version, peer.name
        peer.close()


@pytest.mark.long  # needs softhsm2, as `make check` does
def test_softhsm_signs_by_every_algorithm_and_leaves_nothing() -> None:
    made = {peer.algorithm: peer for peer in peers_pkcs11.softhsm_peers()}
    assert made.keys() == {
        "ed25519",
        "ecdsa_secp256k1",
        "ecdsa_p256",
        "rsa_sha256",
        "hmac_sha256",
    }
    for algorithm, peer in made.items():
        signature = peer.sign(MESSAGE)
        if algorithm == "ed25519":
            ok = check.ed25519_ok(peer.public[2:], MESSAGE, signature)
        elif algorithm == "rsa_sha256":
            ok = check.rsa_ok(*peer.public, MESSAGE, signature)
        elif algorithm == "hmac_sha256":
            ok = check.hmac_ok(peer.public, MESSAGE, signature)
        else:  # the point stands in an OCTET STRING
            ok = check.raw_ok(check.point(algorithm, peer.public[2:]), MESSAGE, signature)
        assert ok, algorithm
        assert peer.version.startswith("SoftHSM")
    for peer in made.values():
        peer.close()
        peer.close()
    again = peers_pkcs11.softhsm_peers()
    assert len(again) == len(made)
    for peer in again:
        peer.close()


def test_motos_kms_signs_in_a_process_that_ends() -> None:
    made = {peer.algorithm: peer for peer in peers_kms.moto_peers()}
    assert made.keys() == {"ecdsa_secp256k1", "ecdsa_p256", "hmac_sha256"}
    for algorithm in ("ecdsa_secp256k1", "ecdsa_p256"):
        peer = made[algorithm]
        assert check.der_ok(check.spki(peer.public), MESSAGE, peer.sign(MESSAGE))
    peer = made["hmac_sha256"]
    client, key = peer.public
    told = client.verify_mac(
        KeyId=key, Message=MESSAGE, MacAlgorithm="HMAC_SHA_256", Mac=peer.sign(MESSAGE)
    )
    assert told["MacValid"] is True
    port = int(client.meta.endpoint_url.rpartition(":")[2])
    for peer in made.values():
        peer.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little time for each peer: the figures do not matter here."""
    for name, value in (("SECONDS", 0.01), ("WARM_UP_S", 0.005), ("CALLS_MIN", 8)):
        monkeypatch.setattr(peers, name, value)


@pytest.mark.long  # needs softhsm2, as `make check` does
def test_without_against_nobody_but_loopback_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and a profile stand in the environment, and are not looked at."""
    quick(monkeypatch)
    called: list[Any] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        called.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setenv("AWS_PROFILE", "there is no such profile")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:2")
    shares: list[float] = []
    result = peers.run(Settings(rounds=8, progress=shares.append))
    assert result.missing == []
    hosts = {address[0] for address in called if isinstance(address, tuple)}
    ports = {address[1] for address in called if isinstance(address, tuple)}
    assert hosts == {"127.0.0.1"}
    assert len(ports) == 1
    assert ports.isdisjoint({1, 2})
    names = {row.name for row in result.rows}
    assert names >= {"ours_ed25519", "ours_ecdsa", "ours_hmac", "pynacl_ed25519", "python_call"}
    assert names >= {"softhsm_ed25519", "moto_ecdsa_secp256k1"}
    assert not any(name.startswith("own_") for name in names)
    moto = next(row for row in result.rows if row.name == "moto_ecdsa_p256")
    assert "an emulation; no HSM, no network" in moto.label
    assert result.facts["versions"].keys() == result.facts["algorithms"].keys()
    signed = result.facts["ours_signed_bytes"]
    assert signed.keys() == {"ours_ed25519", "ours_ecdsa", "ours_hmac"}
    assert all(32 <= size <= 512 for size in signed.values())
    assert shares[-1] == 1.0


def test_what_is_not_installed_is_named_and_nothing_else_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("nacl.signing", "coincurve", "boto3", "eth_account"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(peers_pkcs11, "SOFTHSM", ("/nowhere/libsofthsm2.so",))
    missing: list[str] = []
    with contextlib.ExitStack() as stack:
        found = list(peers.make_peers(stack, missing))
    assert {peer.name.partition("_")[0] for peer in found} == {"cryptography", "hmac"}
    told = dict(text.split(": ", 1) for text in missing)
    assert "pip install PyNaCl" in told["PyNaCl"]
    assert "pip install coincurve" in told["coincurve"]
    assert "pip install eth-account" in told["eth-account"]
    assert "apt install softhsm2" in told["SoftHSM2"]
    assert "pip install boto3" in told["moto's KMS"]


def test_a_peer_that_cannot_be_made_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Any]:
        raise RuntimeError("no slot")

    monkeypatch.setattr(peers, "softhsm_peers", broken)
    monkeypatch.setattr(peers, "moto_peers", lambda allowed: [])
    missing: list[str] = []
    with contextlib.ExitStack() as stack:
        found = list(peers.make_peers(stack, missing))
    assert missing == ["SoftHSM2: left out: RuntimeError: no slot"]
    assert len(found) == 10


def test_a_maker_of_tokens_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PeerMissing, match="apt install softhsm2"):
        peers_pkcs11.softhsm_peers()


def fake(name: str, **more: Any) -> Any:
    return peers_python.CallPeer(name=name, label=name, algorithm="none", version="", **more)


def test_turns_are_spread_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    seen: list[bytes] = []
    calls = {"fast": 0, "own": 0}
    order: list[str] = []

    def counted(name: str) -> Any:
        def sign(message: bytes) -> bytes:
            seen.append(message)
            calls[name] += 1
            order.append(name)
            return message

        return fake(name, sign=sign, calls_max=59 if name == "own" else None)

    all_peers: list[Peer] = [counted("fast"), counted("own")]
    lanes = peers.turns_of(all_peers)
    peers.take_turns(lanes, 400, 1.0, lambda share: None)
    fast, own = lanes
    assert len(fast.times) == 400
    assert own.calls == calls["own"] == 59 - (59 - 5) % 9
    assert len(own.times) == 8 * ((59 - 5) // 9)
    assert fast.calls == calls["fast"]
    assert len(set(seen)) == len(seen), "every call has a request of its own"
    assert all(len(message) == 256 for message in seen)
    assert all(message.startswith(b"zcp bench: a made-up request") for message in seen)
    taken = "".join(name[0] for name in order[order.index("own") + 5 :])
    assert taken.count("o" * 9) == 6
    gaps = [len(gap) for gap in taken.split("o" * 9)]
    assert max(gaps) - min(gaps[1:-1]) <= 9 * 3, "its turns lie evenly over the run"


def test_a_peer_that_fails_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    count = 0

    def sign(message: bytes) -> bytes:
        nonlocal count
        count += 1
        if count > 30:
            raise RuntimeError("the token was pulled")
        return message

    broken, sound = peers.turns_of([fake("broken", sign=sign), fake("sound", sign=bytes)])
    peers.take_turns([broken, sound], 200, 1.0, lambda share: None)
    assert broken.failed == "RuntimeError: the token was pulled"
    assert count == 31
    assert sound.failed == ""
    assert len(sound.times) == 200
