"""Second opinions on what the peers of `zcp bench` sign: each by a library that did not sign it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from coincurve import PublicKey
from Crypto.Hash import keccak
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

CURVES = {"ecdsa_secp256k1": ec.SECP256K1(), "ecdsa_p256": ec.SECP256R1()}

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
G = (
    0x79BE667E_F9DCBBAC_55A06295_CE870B07_029BFCDB_2DCE28D9_59F2815B_16F81798,
    0x483ADA77_26A3C465_5DA4FBFC_0E1108A8_FD17B448_A6855419_9C47D08F_FB10D4B8,
)
Point = tuple[int, int] | None


def fails(call: Callable[[], Any]) -> bool:
    try:
        call()
    except (InvalidSignature, BadSignatureError):
        return True
    return False


def ed25519_ok(public: bytes, message: bytes, signature: bytes) -> bool:
    """By `cryptography` and by PyNaCl."""
    key = ed25519.Ed25519PublicKey.from_public_bytes(public)
    return not fails(lambda: key.verify(signature, message)) and not fails(
        lambda: VerifyKey(public).verify(message, signature)
    )


def der_ok(public: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    return not fails(lambda: public.verify(signature, message, ec.ECDSA(hashes.SHA256())))


def raw_ok(public: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    """r and s, 32 bytes each."""
    assert len(signature) == 64
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    return der_ok(public, message, encode_dss_signature(r, s))


def point(algorithm: str, encoded: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVES[algorithm], encoded)


def rsa_ok(modulus: bytes, exponent: bytes, message: bytes, signature: bytes) -> bool:
    numbers = rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big"))
    key = numbers.public_key()
    return not fails(lambda: key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256()))


def hmac_ok(secret: bytes, message: bytes, tag: bytes) -> bool:
    return hmac.new(secret, message, hashlib.sha256).digest() == tag


def spki(der: bytes) -> Any:
    return serialization.load_der_public_key(der)


def coincurve_ok(public: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    """libsecp256k1 takes the lower s alone, so that is made of it first."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(signature)
    encoded = public.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return PublicKey(encoded).verify(encode_dss_signature(r, min(s, N - s)), message)


def add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    if a == b:
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(scalar: int, base: Point) -> Point:
    total: Point = None
    while scalar:
        if scalar & 1:
            total = add(total, base)
        base, scalar = add(base, base), scalar >> 1
    return total


def bip340_ok(public: bytes, digest: bytes, signature: bytes) -> bool:
    """As BIP340 writes it down."""
    x, r = int.from_bytes(public, "big"), int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    y = pow(x**3 + 7, (P + 1) // 4, P)
    tag = hashlib.sha256(b"BIP0340/challenge").digest()
    hashed = hashlib.sha256(tag + tag + signature[:32] + public + digest).digest()
    challenge = int.from_bytes(hashed, "big") % N
    found = add(times(s, G), times(N - challenge, (x, y if y % 2 == 0 else P - y)))
    return s < N and found is not None and found[1] % 2 == 0 and found[0] == r


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def phantom_digest(connection_id: bytes) -> bytes:
    """EIP-712 by hand, of the document that Hyperliquid's agent keys sign."""
    domain = keccak256(
        keccak256(
            b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        )
        + keccak256(b"Exchange")
        + keccak256(b"1")
        + (1337).to_bytes(32, "big")
        + bytes(32)
    )
    struct = keccak256(
        keccak256(b"Agent(string source,bytes32 connectionId)") + keccak256(b"a") + connection_id
    )
    return keccak256(b"\x19\x01" + domain + struct)


def address_of(digest: bytes, signature: bytes) -> str:
    """Who made a recoverable signature, as an address in lower case."""
    recovery = signature[64] - 27 if signature[64] >= 27 else signature[64]
    public = PublicKey.from_signature_and_message(
        signature[:64] + bytes([recovery]), digest, hasher=None
    )
    return "0x" + keccak256(public.format(compressed=False)[1:])[-20:].hex()
