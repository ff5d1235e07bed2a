"""Signed frames, taken apart and verified in plain Python and by the core: both must agree.

Method: frames built from `sentinel/frame.h` with keys of `cryptography`; each rule of verifying
broken once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sentinel import _core
from sentinel._enums import Power
from sentinel._frame import (
    FrameKind,
    parse_authority,
    parse_genesis,
    unsafe_parse_frame,
    verify_power,
    verify_root,
)
from sentinel.errors import PolicyInvalid, SentinelError, VerificationFailed

NOW = 1_700_000_000 * 10**9
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 5)]


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def signed_part(kind: int, payload: bytes = bytes(8), **changes: int) -> bytes:
    fields = {
        "version": 1, "environment": 2, "sequence": 1, "issued": NOW, "expires": NOW + 10,
    } | changes  # fmt: skip
    return struct.pack(
        "<8sHHB3xI4x32sQqq16x", b"SENTINEL", fields["version"], kind, fields["environment"],
        96 + len(payload), bytes(32), fields["sequence"], fields["issued"], fields["expires"],
    ) + payload  # fmt: skip


def prove(part: bytes, kind: str, signers: Sequence[tuple[int, Ed25519PrivateKey]]) -> bytes:
    message = f"sentinel-{kind}-v1".encode() + b"\0" + sha256(part).digest()
    proofs = b"".join(struct.pack("<IHH", id_, 1, 64) + key.sign(message) for id_, key in signers)
    return part + struct.pack("<II", len(signers), 0) + proofs


def authority(threshold: int = 2, expires: int = NOW + 1) -> bytes:
    thresholds = bytearray(16)
    thresholds[Power.OPERATOR] = threshold
    thresholds[Power.POLICY] = 1
    rows = [
        (1, 1 << Power.OPERATOR, public(KEYS[0])),
        (2, 1 << Power.OPERATOR, public(KEYS[1])),
        (3, 1 << Power.POLICY, public(KEYS[2])),
    ]
    data = struct.pack("<I4x16s", len(rows), bytes(thresholds))
    for id_, powers, key in rows:
        data += struct.pack("<IIIH2xq32s72x", id_, powers, 0, 1, expires, key)
    return data


def both(frame: bytes, rows: bytes, power: Power, now: int = NOW, threshold: int = 0) -> bool:
    """Whether a command verifies; the core and plain Python must say the same."""
    try:
        parsed = unsafe_parse_frame(frame, FrameKind.COMMAND)
        verify_power(parsed, parse_authority(rows), power, now, threshold)
        python = True
    except (VerificationFailed, PolicyInvalid):
        python = False
    try:
        _core.verify_frame(frame, FrameKind.COMMAND, rows, power, threshold, now)
        core = True
    except SentinelError:
        core = False
    assert python == core
    return python


PART = signed_part(FrameKind.COMMAND)
ONE, TWO, POLICY_KEY, STRANGER = (1, KEYS[0]), (2, KEYS[1]), (3, KEYS[2]), (1, KEYS[3])


@pytest.mark.parametrize(
    ("signers", "threshold", "passes"),
    [
        ([ONE, TWO], 0, True),
        ([TWO, ONE], 0, True),
        ([ONE], 0, False),
        ([ONE], 1, True),
        ([], 1, False),
        ([ONE, ONE], 0, False),
        ([ONE, TWO, TWO], 0, False),
        ([ONE, POLICY_KEY], 0, False),
        ([POLICY_KEY], 1, False),
        ([STRANGER], 1, False),
        ([ONE, (2, KEYS[3])], 0, False),
        ([(9, KEYS[0])], 1, False),
    ],
)
def test_enough_distinct_keys_of_the_power_must_have_signed(
    signers: list[tuple[int, Ed25519PrivateKey]], threshold: int, passes: bool
) -> None:
    frame = prove(PART, "command", signers)
    assert both(frame, authority(), Power.OPERATOR, threshold=threshold) is passes


def test_a_key_does_not_count_at_and_after_its_expiry() -> None:
    frame = prove(PART, "command", [ONE, TWO])
    assert both(frame, authority(expires=NOW + 1), Power.OPERATOR)
    assert not both(frame, authority(expires=NOW), Power.OPERATOR)


def test_a_power_that_nobody_holds_verifies_nothing() -> None:
    assert not both(prove(PART, "command", []), authority(), Power.FEED_MARK)


def test_a_proof_of_another_kind_of_frame_does_not_count() -> None:
    assert not both(prove(PART, "policy", [ONE, TWO]), authority(), Power.OPERATOR)


def broken(change: Callable[[bytearray], None]) -> bytes:
    frame = bytearray(prove(PART, "command", [ONE, TWO]))
    change(frame)
    return bytes(frame)


@pytest.mark.parametrize("offset", [0, 8, 10, 12, 13, 16, 20, 80, 96, 104, 108, 112, 116, 118, 120])
def test_a_changed_byte_is_refused_by_both(offset: int) -> None:
    frame = broken(lambda data: data.__setitem__(offset, data[offset] ^ 1))
    assert not both(frame, authority(), Power.OPERATOR)


@pytest.mark.parametrize("length", [0, 95, 103, 111, 200])
def test_a_frame_cut_short_or_too_long_is_refused_by_both(length: int) -> None:
    whole = prove(PART, "command", [ONE, TWO])
    assert not both(whole[:length], authority(), Power.OPERATOR)
    assert not both(whole + bytes(8), authority(), Power.OPERATOR)


@pytest.mark.parametrize(
    "changes",
    [{"version": 2}, {"environment": 0}, {"environment": 4}, {"sequence": 0}, {"issued": -1},
     {"expires": NOW}],
)  # fmt: skip
def test_a_field_outside_its_range_is_refused_by_both(changes: dict[str, int]) -> None:
    part = signed_part(FrameKind.COMMAND, **changes)
    assert not both(prove(part, "command", [ONE, TWO]), authority(), Power.OPERATOR)


def genesis(
    threshold: int = 2, keys: Sequence[bytes] = (public(KEYS[0]), public(KEYS[1]))
) -> bytes:
    roots = b"".join(keys).ljust(256, b"\0")
    return struct.pack(
        "<8sHBBB3xq32s32s256s8x", b"SENTGENE", 1, 2, threshold, len(keys), NOW, bytes(32),
        public(KEYS[2]), roots,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("signers", "passes"),
    [
        ([(0, KEYS[0]), (1, KEYS[1])], True),
        ([(0, KEYS[0])], False),
        ([(0, KEYS[0]), (0, KEYS[0])], False),
        ([(0, KEYS[0]), (2, KEYS[2])], False),
    ],
)
def test_an_authority_bundle_needs_the_root(
    signers: list[tuple[int, Ed25519PrivateKey]], passes: bool
) -> None:
    frame = prove(signed_part(FrameKind.AUTHORITY, authority()), "authority", signers)
    try:
        verify_root(unsafe_parse_frame(frame, FrameKind.AUTHORITY), parse_genesis(genesis()))
        python = True
    except VerificationFailed:
        python = False
    try:
        _core.verify_authority_frame(frame, genesis())
        core = True
    except SentinelError:
        core = False
    assert (python, core) == (passes, passes)


@pytest.mark.parametrize(
    "raw",
    [
        genesis(threshold=0),
        genesis(threshold=3),
        genesis(keys=[]),
        genesis(keys=[public(KEYS[0])] * 2),
        genesis()[:-1],
        genesis() + b"\0",
        b"SENTGENX" + genesis()[8:],
        genesis()[:13] + b"\1" + genesis()[14:],
        genesis()[:-1] + b"\1",
    ],
    ids=range(9),
)
def test_a_genesis_record_of_the_wrong_form_is_refused_by_both(raw: bytes) -> None:
    with pytest.raises(PolicyInvalid):
        parse_genesis(raw)
    with pytest.raises(SentinelError):
        _core.genesis_check(raw)


def test_a_genesis_record_names_its_engine_by_its_hash() -> None:
    assert parse_genesis(genesis()).engine_id == sha256(genesis()).digest()
    assert _core.genesis_check(genesis()) == sha256(genesis()).digest()
