"""Python libraries that a user would sign with instead, each as its own documentation calls it.

`sign` of a peer is the library's own method wherever that takes a message, so that nothing of ours
is timed with it. What each does in that call is in its label: some verify what they signed, some
parse a document first.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib
import importlib.metadata
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .peer import PeerMissing

__all__ = ["CallPeer", "end_together", "need", "python_peers"]

EXTRA: Final = "zcp-sentinel[bench]"
"""The extra that brings every package of the peers."""


def _nothing() -> None:
    pass


@dataclass(slots=True, kw_only=True)
class CallPeer:
    """A peer (see peer.py) whose `sign` is a callable that somebody else made."""

    name: str
    label: str
    algorithm: str
    sign: Callable[[bytes], bytes]
    version: str
    takes: str = "message"
    end: Callable[[], None] = _nothing
    public: Any = None
    """What verifies its signatures, in the peer's own form; HMAC: the secret."""
    calls_max: int | None = None
    """At most so many calls, warm-up included, where calls cost money or somebody's patience."""

    def close(self) -> None:
        """Ends what the peer holds; a second time nothing happens."""
        end, self.end = self.end, _nothing
        end()


def end_together(peers: list[CallPeer], stack: contextlib.ExitStack) -> None:
    """What the peers share ends when the last of them is closed."""
    open_ones = [len(peers)]

    def end() -> None:
        open_ones[0] -= 1
        if not open_ones[0]:
            stack.close()

    for peer in peers:
        peer.end = end


def need(module: str, package: str, install: str = "") -> tuple[Any, str]:
    """A module and the version of its package. Raises PeerMissing, which says what to install."""
    try:
        return importlib.import_module(module), importlib.metadata.version(package)
    except ImportError as absent:
        raise PeerMissing(f"pip install {install or package}, or all of {EXTRA}") from absent


def _pynacl() -> list[CallPeer]:
    signing, version = need("nacl.signing", "PyNaCl")
    key = signing.SigningKey(secrets.token_bytes(32))
    return [
        CallPeer(
            name="pynacl_ed25519",
            label="PyNaCl sign",
            algorithm="ed25519",
            sign=key.sign,  # gives signature and message, together
            version=version,
            public=key.verify_key.encode(),
        )
    ]


def _coincurve() -> list[CallPeer]:
    coincurve, version = need("coincurve", "coincurve")
    key, sha256 = coincurve.PrivateKey(secrets.token_bytes(32)), hashlib.sha256

    def schnorr(message: bytes) -> bytes:
        signature: bytes = key.sign_schnorr(sha256(message).digest())
        return signature

    public = key.public_key.format(compressed=False)
    return [
        CallPeer(
            name="coincurve_recoverable",
            label="coincurve sign_recoverable",
            algorithm="ecdsa_secp256k1",
            sign=key.sign_recoverable,  # SHA-256 inside
            version=version,
            public=public,
        ),
        CallPeer(
            name="coincurve_schnorr",
            label="coincurve sign_schnorr (makes the key pair and verifies, each time)",
            algorithm="bip340",
            sign=schnorr,
            version=version,
            public=key.public_key_xonly.format(),
        ),
    ]


def _cryptography() -> list[CallPeer]:
    _, version = need("cryptography", "cryptography")
    hashes = importlib.import_module("cryptography.hazmat.primitives.hashes")
    mac = importlib.import_module("cryptography.hazmat.primitives.hmac")
    ec = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
    ed25519 = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    edwards = ed25519.Ed25519PrivateKey.generate()
    koblitz = ec.generate_private_key(ec.SECP256K1())
    prime = ec.generate_private_key(ec.SECP256R1())
    how, sha256, secret = ec.ECDSA(hashes.SHA256()), hashes.SHA256(), secrets.token_bytes(32)

    def with_hmac(message: bytes) -> bytes:
        state = mac.HMAC(secret, sha256)
        state.update(message)
        tag: bytes = state.finalize()
        return tag

    def peer(name: str, algorithm: str, sign: Callable[[bytes], bytes], public: Any) -> CallPeer:
        return CallPeer(
            name=f"cryptography_{name}",
            label=f"cryptography {name} (its own OpenSSL)",
            algorithm=algorithm,
            sign=sign,
            version=version,
            public=public,
        )

    return [
        peer("ed25519", "ed25519", edwards.sign, edwards.public_key()),
        peer("secp256k1", "ecdsa_secp256k1", lambda m: koblitz.sign(m, how), koblitz.public_key()),
        peer("p256", "ecdsa_p256", lambda m: prime.sign(m, how), prime.public_key()),
        peer("hmac", "hmac_sha256", with_hmac, secret),
    ]


def phantom_agent(connection_id: bytes) -> dict[str, Any]:
    """The EIP-712 document that Hyperliquid's agent keys sign for an action with this hash."""
    domain = [("name", "string"), ("version", "string"), ("chainId", "uint256")]
    domain.append(("verifyingContract", "address"))
    agent = [("source", "string"), ("connectionId", "bytes32")]
    return {
        "domain": {
            "chainId": 1337,
            "name": "Exchange",
            "verifyingContract": "0x" + "00" * 20,
            "version": "1",
        },
        "types": {
            "Agent": [{"name": name, "type": kind} for name, kind in agent],
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain],
        },
        "primaryType": "Agent",
        "message": {"source": "a", "connectionId": connection_id},
    }


def _eth_account() -> list[CallPeer]:
    eth, version = need("eth_account", "eth-account")
    encode = importlib.import_module("eth_account.messages").encode_typed_data
    keys = importlib.import_module("eth_keys.backends")
    account, sha256 = eth.Account.create(), hashlib.sha256
    fast = keys.get_backend_class() is keys.CoinCurveECCBackend

    def sign(message: bytes) -> bytes:
        document = encode(full_message=phantom_agent(sha256(message).digest()))
        signature: bytes = account.sign_message(document).signature
        return signature

    return [
        CallPeer(
            name="eth_account_eip712",
            label="eth-account, a Hyperliquid action's EIP-712"
            f" ({'through coincurve' if fast else 'in pure Python'})",
            algorithm="ecdsa_secp256k1",
            sign=sign,
            version=version,
            public=account.address,
        )
    ]


def _hashlib() -> list[CallPeer]:
    secret, version = secrets.token_bytes(32), importlib.import_module("ssl").OPENSSL_VERSION

    def peer(name: str, label: str, sign: Callable[[bytes], bytes]) -> CallPeer:
        return CallPeer(
            name=name,
            label=label,
            algorithm="hmac_sha256",
            sign=sign,
            version=version,
            public=secret,
        )

    return [
        peer("hmac_digest", "hmac.digest", lambda m: hmac.digest(secret, m, "sha256")),
        peer("hmac_new", "hmac.new", lambda m: hmac.new(secret, m, hashlib.sha256).digest()),
    ]


def python_peers() -> dict[str, Callable[[], list[CallPeer]]]:
    """Who makes the peers of each library, by its name; a maker raises PeerMissing."""
    return {
        "PyNaCl": _pynacl,
        "coincurve": _coincurve,
        "cryptography": _cryptography,
        "eth-account": _eth_account,
        "hmac": _hashlib,
    }
