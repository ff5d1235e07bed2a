"""Goal: what Python packs is what the core reads, and every number is the header's.

Method: sizes, offsets and enumerations from the headers through cffi; frames are parsed and
verified by the core, and signed by `cryptography`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from core_abi import asserted_sizes, constants, ffi, lib
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sentinel import _enums, _layout
from sentinel._frame import FrameKind
from sentinel._layout import AuthorityKey, FedMark, FrameTerms, Layout
from sentinel._status import Status
from sentinel.errors import PolicyInvalid, UsageError

TOP = Path(__file__).resolve().parents[2]
LAYOUTS = [value for value in vars(_layout).values() if isinstance(value, Layout)]
PREFIX = {
    "FeedKind": "FEED",
    "OrderType": "TYPE",
    "OrderStatus": "ORDER",
    "Product": "CONTRACT",
    "TimeInForce": "TIF",
    "NodeKind": "NODE",
    "MarkKind": "MARK",
    "PositionSide": "POSITION",
    "MarginMode": "MARGIN",
    "TriggerBy": "TRIGGER_BY",
    "TriggerDirection": "TRIGGER",
    "QueryWhat": "QUERY",
    "ReleaseMode": "RELEASE",
    "TargetBy": "TARGET",
}
LIMITS = [name for name, value in vars(_enums).items() if isinstance(value, int)]
NOW = 1_700_000_000 * 10**9
TERMS = FrameTerms(
    engine_id=bytes(range(32)),
    environment=_enums.Environment.TEST,
    sequence=7,
    issued_ns=NOW,
    expires_ns=NOW + 1,
)


def enumerations() -> Iterable[type[IntEnum]]:
    for value in vars(_enums).values():
        if isinstance(value, type) and issubclass(value, IntEnum) and value is not IntEnum:
            yield value


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_layouts_have_the_sizes_and_offsets_of_the_headers(layout: Layout) -> None:
    ctype = ffi.typeof(f"sentinel_{layout.name}")
    assert layout.size == ffi.sizeof(ctype) == asserted_sizes[f"sentinel_{layout.name}"]
    fields = {name: field for name, field in ctype.fields if not name.startswith("reserved")}
    assert layout.offsets == {name: field.offset for name, field in fields.items()}


def test_there_are_layouts() -> None:
    assert {layout.name for layout in LAYOUTS} >= {
        *("frame_header", "proof", "authority", "authority_key", "genesis", "command", "feed"),
        *("report", "heartbeat"),
        *("mark", "policy", "node", "asset", "network", "instrument", "key", "constraint"),
    }


def sample(ctype: Any, seed: int) -> bytes:
    """Bytes of a struct whose named fields are all different, and whose reserved are zero."""
    value = ffi.new(ffi.getctype(ctype, "*"))
    raw = ffi.buffer(value)
    for name, field in ctype.fields:
        if name.startswith("reserved"):
            continue
        size = 9 if field.type.cname == "sentinel_decimal" else ffi.sizeof(field.type)
        for i in range(size):
            raw[field.offset + i] = bytes([(seed + 37 * field.offset + i) % 127 + 1])
    return bytes(raw)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@given(seed=st.integers(0, 126))
def test_packing_what_was_unpacked_gives_the_same_bytes(layout: Layout, seed: int) -> None:
    data = sample(ffi.typeof(f"sentinel_{layout.name}"), seed)
    assert layout.pack(**layout.unpack(data)) == data


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_reserved_byte_is_checked(layout: Layout) -> None:
    ctype = ffi.typeof(f"sentinel_{layout.name}")
    data = sample(ctype, 1)
    named = {i for i in range(layout.size) if data[i]}
    for at in set(range(layout.size)) - named:
        changed = bytearray(data)
        changed[at] = 1
        with pytest.raises(PolicyInvalid) as caught:
            layout.unpack(bytes(changed))
        assert caught.value.status == Status.FORMAT_RESERVED


def test_a_struct_that_is_cut_short_is_refused() -> None:
    with pytest.raises(PolicyInvalid) as caught:
        _layout.NODE.unpack(bytes(31))
    assert caught.value.status == Status.FORMAT_SIZE
    with pytest.raises(PolicyInvalid):
        _layout.NODE.unpack(bytes(64), 33)


@pytest.mark.parametrize(
    "fields", [{"nothing": 1}, {"id": 2**32}, {"id": -1}, {"code": b"x" * 25}, {"id": "text"}]
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        _layout.ASSET.pack(**fields)


@pytest.mark.parametrize("kind", list(enumerations()), ids=lambda kind: kind.__name__)
def test_enumerations_are_the_headers(kind: type[IntEnum]) -> None:
    prefix = PREFIX.get(kind.__name__, kind.__name__.upper())
    names = {
        name.removeprefix(f"SENTINEL_{prefix}_"): getattr(lib, name)
        for name in dir(lib)
        if name.startswith(f"SENTINEL_{prefix}_") and isinstance(getattr(lib, name), int)
    }
    if kind is _enums.Product:
        assert constants["SENTINEL_PRODUCT_WALLET"] == 1 << kind.WALLET
        names["WALLET"] = kind.WALLET
    if kind is _enums.Mode:
        names |= {member.name: getattr(lib, f"SENTINEL_{member.name}") for member in _enums.Mode}
    assert names.items() >= {member.name: member.value for member in kind}.items()
    if "COUNT" in names and kind.__name__ not in {"Power", "TriggerDirection"}:
        # What is new in the header is missing here.
        assert names["COUNT"] == max(kind) + 1


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_the_headers(name: str) -> None:
    assert getattr(_enums, name) == constants[f"SENTINEL_{name}"]


def test_constraints_apply_to_the_actions_that_the_page_says() -> None:
    page = (TOP / "docs" / "2-policy.md").read_text()
    table = page.split("| Kind | Actions |")[1].split("\n\n")[0]
    words = {action.name.lower().replace("_", "-"): action for action in _enums.Action}
    found: dict[str, set[_enums.Action]] = {}
    for line in table.splitlines()[2:]:
        kinds, actions = (cell.strip() for cell in line.strip("|").split("|"))
        named = {
            words.get(word.strip().split(" ")[0]) for word in actions.replace(";", ",").split(",")
        }
        for kind in kinds.replace("`", "").split(", "):
            found[kind] = set(_enums.Action) if actions == "all" else named
    assert found == {
        rule.name.lower(): set(actions) for rule, actions in _enums.RULE_ACTIONS.items()
    }


# ---- Frames: the core reads what Python made ---------------------------------


def aligned(data: bytes) -> Any:
    memory = ffi.new("uint64_t[]", (len(data) + 7) // 8)
    ffi.memmove(memory, data, len(data))
    return memory


def parsed(data: bytes, kind: FrameKind) -> tuple[Any, Any]:
    memory, frame = aligned(data), ffi.new("sentinel_frame *")
    assert lib.sentinel_frame_parse(frame, memory, len(data), kind) == 0
    return frame, memory


def signer(seed: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def public(seed: int) -> bytes:
    return signer(seed).public_key().public_bytes_raw()


def signed(part: bytes, kind: FrameKind, *seeds: int, ids: Iterable[int] | None = None) -> bytes:
    message = _layout.proof_message(kind, _layout.frame_hash(part))
    keys = list(ids) if ids is not None else list(seeds)
    return _layout.attach_proofs(
        part, [(key, signer(seed).sign(message)) for key, seed in zip(keys, seeds, strict=True)]
    )


POWERS = frozenset({_enums.Power.POLICY, _enums.Power.OPERATOR, _enums.Power.FEED_MARK})


def authority() -> bytes:
    keys = [
        AuthorityKey(id=2, powers=POWERS, public_key=public(2), expires_ns=NOW + 100),
        AuthorityKey(id=1, powers=POWERS, public_key=public(1), expires_ns=NOW + 100),
    ]
    return _layout.authority_bundle(keys, dict.fromkeys(POWERS, 2), TERMS)


def test_the_core_takes_an_authority_bundle_and_its_root() -> None:
    genesis = _layout.genesis(
        environment=_enums.Environment.TEST,
        root_threshold=1,
        root_keys=[public(9), public(8)],
        identity_key=public(7),
        created_ns=NOW,
        random32=bytes(32),
    )
    engine = ffi.new("uint8_t[32]")
    assert lib.sentinel_genesis_check(engine, genesis, len(genesis)) == 0
    assert bytes(engine) == _layout.engine_id(genesis) == hashlib.sha256(genesis).digest()
    root = ffi.new("sentinel_genesis *")
    ffi.memmove(root, genesis, len(genesis))
    frame, memory = parsed(
        signed(authority(), FrameKind.AUTHORITY, 8, ids=[1]), FrameKind.AUTHORITY
    )
    assert lib.sentinel_authority_check(frame.payload, frame.payload_size) == 0
    assert lib.sentinel_frame_verify_root(frame, root) == 0
    frame, memory = parsed(
        signed(authority(), FrameKind.AUTHORITY, 8, ids=[0]), FrameKind.AUTHORITY
    )
    assert lib.sentinel_frame_verify_root(frame, root) == Status.POLICY_SIGNATURE
    del memory


@pytest.mark.parametrize(("seeds", "status"), [((1, 2), 0), ((1,), Status.POLICY_SIGNATURE)])
def test_the_core_verifies_proofs_of_commands_and_feeds(
    seeds: tuple[int, ...], status: int
) -> None:
    holder, keep = parsed(_layout.attach_proofs(authority(), []), FrameKind.AUTHORITY)
    command = _layout.command(_enums.Command.HALT, 42, "Compliance test", TERMS, severity=2)
    mark = FedMark(_enums.MarkKind.ASSET, 5, (6500010, 2), NOW)
    feed = _layout.mark_feed([mark], TERMS)
    for part, kind, power in (
        (command, FrameKind.COMMAND, _enums.Power.OPERATOR),
        (feed, FrameKind.FEED, _enums.Power.FEED_MARK),
    ):
        frame, memory = parsed(signed(part, kind, *seeds), kind)
        found = lib.sentinel_frame_verify(frame, holder.payload, holder.payload_size, power, 0, NOW)
        assert found == status
        assert bytes(frame.hash32) == hashlib.sha256(part).digest()
        del memory
    del keep


def test_the_core_reads_the_fields_of_commands_and_feeds() -> None:
    command = _layout.command(_enums.Command.RESUME, 42, "Test complete", TERMS, severity=3)
    frame, memory = parsed(_layout.attach_proofs(command, []), FrameKind.COMMAND)
    row = ffi.cast("sentinel_command *", frame.payload)
    assert (row.verb, row.scope, row.target, row.severity) == (2, 1, 42, 3)
    assert row.reason_size == len("Test complete")
    assert bytes(row.reason_digest32) == hashlib.sha256(b"Test complete").digest()
    assert (frame.header.sequence, frame.header.issued_ns) == (7, NOW)
    marks = [FedMark(_enums.MarkKind.INSTRUMENT, i, (i, 3), NOW - i) for i in range(1, 65)]
    frame, memory = parsed(
        _layout.attach_proofs(_layout.mark_feed(marks, TERMS), []), FrameKind.FEED
    )
    feed = ffi.cast("sentinel_feed *", frame.payload)
    assert (feed.kind, feed.count) == (lib.SENTINEL_FEED_MARK, 64)
    rows = ffi.cast("sentinel_mark *", frame.payload + ffi.sizeof("sentinel_feed"))
    assert [(rows[i].id, rows[i].price.mantissa, rows[i].price.scale) for i in range(64)] == [
        (mark.id, *mark.price) for mark in marks
    ]
    assert rows[63].time_ns == NOW - 64
    del memory


def terms(**changes: Any) -> FrameTerms:
    base = {name: getattr(TERMS, name) for name in TERMS.__slots__}
    return FrameTerms(**{**base, **changes})


@pytest.mark.parametrize(
    "wrong",
    [
        {"engine_id": bytes(31)},
        {"sequence": 0},
        {"expires_ns": NOW},
        {"issued_ns": -1},
        {"sequence": 2**64},
    ],
)
def test_frames_with_wrong_terms_are_not_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        _layout.command(_enums.Command.HALT, 1, "why", terms(**wrong))


def test_the_core_reads_scope_and_end_of_a_drain() -> None:
    drain = _enums.Command.DRAIN
    part = _layout.command(drain, 3, "x", TERMS, scope=_enums.Scope.VENUE, until_ns=NOW + 1)
    frame, memory = parsed(_layout.attach_proofs(part, []), FrameKind.COMMAND)
    row = ffi.cast("sentinel_command *", frame.payload)
    assert (row.verb, row.scope, row.target, row.until_ns) == (3, 2, 3, NOW + 1)
    del memory
    for verb, until_ns in ((drain, -1), (_enums.Command.HALT, 1), (_enums.Command.APPROVE, 1)):
        with pytest.raises(UsageError):
            _layout.command(verb, 3, "x", TERMS, until_ns=until_ns)


def test_wrong_commands_are_not_made() -> None:
    halt = _enums.Command.HALT
    assert _layout.command(halt, 1, "x" * 4096, TERMS)
    for reason, severity in (("", 0), ("x" * 4097, 0), ("why", 4), ("why", -1)):
        with pytest.raises(UsageError):
            _layout.command(halt, 1, reason, TERMS, severity=severity)


def test_wrong_feeds_are_not_made() -> None:
    mark = FedMark(_enums.MarkKind.ASSET, 5, (1, 0), NOW)
    late = FedMark(_enums.MarkKind.ASSET, 5, (1, 0), NOW + 1)
    free = FedMark(_enums.MarkKind.ASSET, 5, (0, 0), NOW)
    for marks in ([], [mark] * 65, [late], [free]):
        with pytest.raises(UsageError):
            _layout.mark_feed(marks, TERMS)


def test_wrong_authorities_are_not_made() -> None:
    def key(id_: int) -> AuthorityKey:
        return AuthorityKey(id=id_, powers=POWERS, public_key=public(1), expires_ns=NOW)

    for keys, k in (([], 1), ([key(0)], 1), ([key(1), key(1)], 1), ([key(1)], 2), ([key(1)], 0)):
        with pytest.raises(UsageError):
            _layout.authority_bundle(keys, dict.fromkeys(POWERS, k), TERMS)
    many = [key(i) for i in range(1, 66)]
    with pytest.raises(UsageError):
        _layout.authority_bundle(many, dict.fromkeys(POWERS, 1), TERMS)


def test_wrong_genesis_records_are_not_made() -> None:
    good: dict[str, Any] = {
        "environment": _enums.Environment.LAB,
        "root_threshold": 1,
        "root_keys": [public(1)],
        "identity_key": public(2),
        "created_ns": 0,
        "random32": bytes(32),
    }
    assert len(_layout.genesis(**good)) == 352
    for wrong in (
        {"root_threshold": 0},
        {"root_threshold": 2},
        {"root_keys": []},
        {"root_keys": [public(i) for i in range(9)]},
        {"root_keys": [b"short"]},
        {"identity_key": b""},
        {"random32": bytes(31)},
    ):
        with pytest.raises(UsageError):
            _layout.genesis(**{**good, **wrong})


def test_wrong_proofs_are_not_attached() -> None:
    part = authority()
    assert _layout.attach_proofs(part, [(i, bytes(64)) for i in range(16)])
    for data, proofs in (
        (part, [(i, bytes(64)) for i in range(17)]),
        (part, [(1, bytes(63))]),
        (part[:-1], []),
    ):
        with pytest.raises(UsageError):
            _layout.attach_proofs(data, proofs)
