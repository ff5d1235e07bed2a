"""Signed frames in plain Python: taken apart and verified without our C.

Layout: `sentinel/frame.h`. A frame that was only parsed is called `unsafe`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ._enums import Power
from .errors import PolicyInvalid, VerificationFailed

_HEADER = struct.Struct("<8sHHB3sI4s32sQqq16s")
_KEY = struct.Struct("<IIIHHq32sI68s")
_GENESIS = struct.Struct("<8sHBBB3sq32s32s256s8s")
_ROOT_KEYS_MAX: Final = 8
_PROOFS_MAX: Final = 16


class FrameKind(IntEnum):
    """What a frame carries."""

    AUTHORITY = 1
    POLICY = 2
    COMMAND = 4
    FEED = 5
    GRANT = 7
    CERTIFICATE = 8
    IMPORT = 9


@dataclass(frozen=True, slots=True)
class Proof:
    """One signature: the key's id (of a root: its index) and 64 bytes."""

    key: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class UnsafeFrame:
    """A frame of the right form. Its proofs were not verified."""

    kind: FrameKind
    environment: int
    engine_id: bytes
    sequence: int
    issued_ns: int
    expires_ns: int
    payload: bytes
    proofs: tuple[Proof, ...]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Genesis:
    """Who may say who holds which power: the subject of record 0."""

    raw: bytes
    engine_id: bytes
    environment: int
    created_ns: int
    identity_key: bytes
    root_threshold: int
    root_keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Authority:
    """Keys by id, as (powers, expiry, public key), and k by power. `nodes`: of agents' own keys;
    `peers`: user ids that stand for those (enclave/PROTOCOL.md, section 6).
    """

    keys: Mapping[int, tuple[int, int, bytes]]
    threshold: bytes
    nodes: Mapping[int, int] = field(default_factory=dict)
    peers: Mapping[int, int] = field(default_factory=dict)


def _bad(what: str) -> PolicyInvalid:
    return PolicyInvalid(
        f"the bytes do not have the documented form: {what}",
        cause="they were altered or cut short, or are of another kind",
        next_step="make the file again from its source",
    )


def parse_genesis(raw: bytes) -> Genesis:
    """Takes a genesis record's subject apart. Raises PolicyInvalid."""
    if len(raw) != _GENESIS.size:
        raise _bad("genesis size")
    (
        magic,
        version,
        environment,
        k,
        n,
        reserved0,
        created_ns,
        _random,
        identity,
        roots,
        reserved1,
    ) = _GENESIS.unpack(raw)
    keys = tuple(roots[i * 32 : i * 32 + 32] for i in range(_ROOT_KEYS_MAX))
    if magic != b"SENTGENE" or version != 1 or environment not in (1, 2, 3):
        raise _bad("genesis")
    if any(reserved0) or any(reserved1) or not 1 <= k <= n <= _ROOT_KEYS_MAX or created_ns < 0:
        raise _bad("genesis")
    if not all(map(any, keys[:n])) or any(map(any, keys[n:])) or len(set(keys[:n])) != n:
        raise _bad("root keys")
    return Genesis(raw, sha256(raw).digest(), environment, created_ns, identity, k, keys[:n])


def unsafe_parse_frame(raw: bytes, kind: FrameKind) -> UnsafeFrame:
    """Takes a frame apart and checks its form. Raises PolicyInvalid."""
    if len(raw) < _HEADER.size + 8:
        raise _bad("size")
    (
        magic,
        version,
        found,
        environment,
        reserved0,
        size,
        reserved1,
        engine_id,
        sequence,
        issued,
        expires,
        reserved2,
    ) = _HEADER.unpack_from(raw)
    if magic != b"SENTINEL" or version != 1 or found != kind:
        raise _bad("magic, version or kind")
    if any(reserved0) or any(reserved1) or any(reserved2):
        raise _bad("reserved bytes")
    if environment not in (1, 2, 3) or sequence == 0 or not 0 <= issued < expires:
        raise _bad("range")
    if size < _HEADER.size or size % 8 or size > len(raw) - 8:
        raise _bad("size")
    count, reserved = struct.unpack_from("<II", raw, size)
    if reserved or count > _PROOFS_MAX:
        raise _bad("proofs")
    proofs: list[Proof] = []
    at = size + 8
    for _ in range(count):
        if len(raw) - at < 72:
            raise _bad("proofs")
        key, scheme, proof_size = struct.unpack_from("<IHH", raw, at)
        if scheme != 1 or proof_size != 64:
            raise _bad("proof")
        proofs.append(Proof(key, raw[at + 8 : at + 72]))
        at += 72
    if at != len(raw):
        raise _bad("size")
    return UnsafeFrame(
        FrameKind(found),
        environment,
        engine_id,
        sequence,
        issued,
        expires,
        raw[_HEADER.size : size],
        tuple(proofs),
        sha256(raw[:size]).digest(),
    )


def parse_authority(payload: bytes) -> Authority:
    """Takes the payload of an authority bundle apart. Raises PolicyInvalid."""
    if len(payload) < 24:
        raise _bad("authority size")
    count, reserved = struct.unpack_from("<II", payload)
    if reserved or not 1 <= count <= 64 or len(payload) != 24 + count * _KEY.size:
        raise _bad("authority")
    keys: dict[int, tuple[int, int, bytes]] = {}
    nodes: dict[int, int] = {}
    peers: dict[int, int] = {}
    for id_, powers, node, scheme, flags, expires, public, uid, r in _KEY.iter_unpack(payload[24:]):
        if flags > 1 or (uid and not flags) or any(r) or scheme != 1 or id_ == 0 or id_ in keys:
            raise _bad("authority key")
        keys[id_] = (powers, expires, public)
        if node:
            nodes[id_] = node
        if flags:
            peers[id_] = uid
    return Authority(keys, payload[8:24], nodes, peers)


def verify_ed25519(public_key: bytes, signature: bytes, prefix: str, digest: bytes) -> None:
    """Verifies what our own keys sign: prefix, a zero byte, a digest. Raises VerificationFailed."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            signature, prefix.encode() + b"\0" + digest
        )
    except (InvalidSignature, ValueError):
        raise VerificationFailed(f"a signature ({prefix}) is wrong") from None


def _verify(frame: UnsafeFrame, keys: Mapping[int, bytes], threshold: int) -> None:
    seen: set[int] = set()
    for proof in frame.proofs:
        if proof.key not in keys or proof.key in seen:
            raise VerificationFailed(f"key {proof.key} does not hold this power, or signed twice")
        seen.add(proof.key)
        verify_ed25519(
            keys[proof.key], proof.signature, f"sentinel-{frame.kind.name.lower()}-v1", frame.hash
        )
    if threshold == 0 or len(seen) < threshold:
        raise VerificationFailed(f"{len(seen)} keys signed, {threshold or 'no'} needed")


def verify_root(frame: UnsafeFrame, genesis: Genesis) -> None:
    """Verifies an authority bundle against the genesis record. Raises VerificationFailed."""
    _verify(frame, dict(enumerate(genesis.root_keys)), genesis.root_threshold)


def verify_power(
    frame: UnsafeFrame, authority: Authority, power: Power, now_ns: int, threshold: int = 0
) -> None:
    """Verifies a frame against an authority; threshold 0 is its own. Raises VerificationFailed."""
    keys = {
        id_: public
        for id_, (powers, expires, public) in authority.keys.items()
        if powers >> power & 1 and now_ns < expires
    }
    _verify(frame, keys, threshold or authority.threshold[power])
