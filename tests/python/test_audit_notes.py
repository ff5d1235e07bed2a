"""CLOCK and KEY records: told, verified and replayed; what does not fit is found.

Method: a writer that is driven through the C interface notes what a daemon would, and signs in
between; imports are signed by keys of the test's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from core_abi import ffi, lib
from engines import PASSPHRASE, Made, make_engine
from typer.testing import CliRunner

from sentinel import _core, audit
from sentinel._cli import app
from sentinel._enclave_papers import IMPORT, KEY_INFO
from sentinel._enums import Algorithm, Environment, Power, Purpose
from sentinel._frame import FrameKind, parse_authority, unsafe_parse_frame
from sentinel._layout import FrameTerms, attach_proofs, frame, frame_hash, proof_prefix
from sentinel._notes import CLOCK, KEY_RECORD, ClockResult, ClockSource, KeyOrigin
from sentinel._record import RecordType
from sentinel.attestation import statement_digest, unsafe_parse_without_verification
from sentinel.config import KeyFile
from sentinel.order import Message
from sentinel.policy import stable_id

CLOCK_TYPE, KEY_TYPE = 14, 15
SECOND, MILLISECOND = 10**9, 10**6


class Writer:
    """The engine's writer, at times of the test's own."""

    def __init__(self, made: Made) -> None:
        self.now = made.now_ns + SECOND
        self._word = ffi.new("char[]", PASSPHRASE)
        options = ffi.new(
            "sentinel_engine_options *",
            {
                "passphrase": self._word,
                "passphrase_size": len(PASSPHRASE),
                "durability": 2,
                "segment_bytes": 1 << 16,
            },
        )
        out = ffi.new("sentinel_engine **")
        status = lib.sentinel_engine_open(out, str(made.directory).encode(), options, self.now)
        assert status == 0
        self.engine = out[0]
        self.session = ffi.new("sentinel_session *")
        self.agent = stable_id("node", "firm/notes")
        context = lib.sentinel_engine_context(self.engine)
        assert lib.sentinel_session_open(self.session, context, self.agent) == 0
        self.actions = 0

    def close(self) -> None:
        lib.sentinel_engine_close(self.engine, self.now)

    def note(self, kind: int, subject: bytes) -> int:
        words = ffi.new("uint64_t[]", -(-len(subject) // 8))
        ffi.memmove(words, subject, len(subject))
        number = ffi.new("uint64_t *")
        status = lib.sentinel_engine_note(self.engine, number, kind, words, len(subject), self.now)
        assert status == 0, hex(status)
        return int(number[0])

    def clock(self, **changes: Any) -> int:
        values: dict[str, Any] = {
            "source": ClockSource.NSM,
            "result": ClockResult.GOOD,
            "drift_ppm": 1000,
            "source_ns": self.now,
            "offset_ns": MILLISECOND,
            "bound_ns": 3 * MILLISECOND,
            "until_ns": self.now + 300 * SECOND,
            "name": b"kvm-clock",
        }
        return self.note(CLOCK_TYPE, CLOCK.pack(**(values | changes)))

    def sign(self) -> None:
        self.actions += 1
        order = Message(text=f"note {self.actions}").pack(agent=self.agent, action_id=self.actions)
        outcome = ffi.new("sentinel_outcome *")
        status = lib.sentinel_engine_sign(
            self.engine, outcome, self.session, order, len(order), self.now
        )
        assert status == 0
        assert outcome.recorded


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_engine(tmp_path / "engine")


@pytest.fixture
def writer(made: Made) -> Iterator[Writer]:
    opened = Writer(made)
    yield opened
    opened.close()


def verified(made: Made, *, plain: bool = False) -> audit.LogReport:
    return audit.verify_log(made.directory, plain=plain)


def findings(made: Made) -> list[tuple[str, str]]:
    """The same by the core and by Python alone."""
    found = [(each.kind, each.text) for each in verified(made).findings]
    assert found == [(each.kind, each.text) for each in verified(made, plain=True).findings]
    return found


def test_decisions_within_a_comparison_are_in_order(made: Made, writer: Writer) -> None:
    number = writer.clock()
    writer.now += 60 * SECOND
    for _ in range(3):
        writer.sign()
    report = verified(made)
    assert not report.findings
    assert report.clocks == {"good": 1}
    assert report.clock_bound_ns == 3 * MILLISECOND + 60 * MILLISECOND
    assert not list(audit.replay(made.directory).differences)
    record = audit.find_record(made.directory, number)
    assert record.type is RecordType.CLOCK


def test_a_decision_past_it_is_found(made: Made, writer: Writer) -> None:
    number = writer.clock()
    writer.sign()
    writer.now += 300 * SECOND
    writer.sign()
    assert not findings(made)
    writer.now += 1
    writer.sign()
    assert findings(made) == [("clock", f"it is later than record {number} holds for")]


def test_a_decision_before_the_first_comparison_is_found(made: Made, writer: Writer) -> None:
    writer.sign()
    assert not findings(made)  # an engine that is in no enclave compares nothing
    writer.clock()
    assert findings(made) == [("clock", "orders of this epoch came before its first comparison")]


def test_a_bound_that_did_not_hold_is_found(made: Made, writer: Writer) -> None:
    number = writer.clock()
    writer.now += 10 * SECOND  # by then 13 ms
    writer.clock(offset_ns=15 * MILLISECOND, bound_ns=17 * MILLISECOND)
    assert not findings(made)
    writer.clock(offset_ns=-20 * MILLISECOND, bound_ns=21 * MILLISECOND)
    assert findings(made) == [("clock", f"the bound of record {number + 1} did not hold")]


def test_that_it_was_exceeded_is_told(made: Made, writer: Writer) -> None:
    writer.clock()
    writer.clock(
        result=ClockResult.EXCEEDED, offset_ns=SECOND, bound_ns=SECOND, until_ns=writer.now
    )
    report = verified(made)
    assert not report.findings
    assert report.clocks == {"good": 1, "exceeded": 1}


def test_a_comparison_that_holds_for_no_time_or_is_no_bound_is_found(
    made: Made, writer: Writer
) -> None:
    writer.clock(until_ns=writer.now)
    writer.clock(bound_ns=MILLISECOND - 1)
    assert findings(made) == [
        ("clock", "it holds for no time at all"),
        ("clock", "a comparison of the clock does not have its form"),
    ]


def test_a_document_that_is_named_must_be_there(made: Made, writer: Writer) -> None:
    golden = Path(__file__).resolve().parents[1] / "golden" / "attestation"
    documents = sorted(golden.glob("*.cose"))
    raw = documents[0].read_bytes()
    digest = statement_digest(unsafe_parse_without_verification(raw))
    writer.clock(document32=digest)
    kept = made.directory / "bundles" / digest.hex()
    assert [kind for kind, _ in findings(made)] == ["missing"]
    kept.write_bytes(raw)
    assert not findings(made)
    kept.write_bytes(documents[1].read_bytes())
    assert findings(made) == [
        ("corrupt", f"bundles/{digest.hex()} is not the document that was recorded")
    ]
    kept.write_bytes(b"\x80")
    assert [kind for kind, _ in findings(made)] == ["corrupt"]


def info(number: int) -> bytes:
    return KEY_INFO.pack(
        id=number,
        purpose=Purpose.MESSAGE,
        algorithm=Algorithm.ED25519,
        public_key_size=32,
        public_key=bytes(range(32)),
        fingerprint32=bytes(range(32, 64)),
    )


def import_frame(made: Made, ring: _core.Keyring, key: int, number: int, **terms: Any) -> bytes:
    now = made.now_ns
    values: dict[str, Any] = {
        "engine_id": made.created.engine_id,
        "environment": Environment.TEST,
        "sequence": 1,
        "issued_ns": now,
        "expires_ns": now + SECOND,
    }
    paper = IMPORT.pack(version=1, attestation_digest32=bytes(range(32)), info=info(number))
    part = frame(FrameKind.IMPORT, paper, FrameTerms(**(values | terms)))
    prefix, digest = proof_prefix(FrameKind.IMPORT), frame_hash(part)
    return attach_proofs(part, [(key, ring.sign_frame(key, prefix, digest))])


def test_keys_are_told_and_who_signed(made: Made, writer: Writer) -> None:
    ring, operator = operators(made)
    brought = import_frame(made, ring, operator, 8)
    writer.note(KEY_TYPE, KEY_RECORD.pack(origin=KeyOrigin.MADE, info=info(7)))
    head = KEY_RECORD.pack(origin=KeyOrigin.IMPORTED, info=info(8))
    imported = writer.note(KEY_TYPE, head + brought)
    writer.note(KEY_TYPE, KEY_RECORD.pack(origin=KeyOrigin.FOUND, info=info(9)))
    report = verified(made)
    assert not report.findings
    assert [(key.id, key.origin.name.lower()) for key in report.keys] == [
        (7, "made"),
        (8, "imported"),
        (9, "found"),
    ]
    assert not list(audit.replay(made.directory).differences)
    done = CliRunner().invoke(
        app, ["audit", "show", str(imported), "--dir", str(made.directory), "--json"]
    )
    told = json.loads(done.stdout)
    assert (told["origin"], told["key"], told["signed_by"]) == ("imported", 8, [operator])
    assert told["import_hash"] == unsafe_parse_frame(brought, FrameKind.IMPORT).hash.hex()
    assert told["document"] == bytes(range(32)).hex()
    done = CliRunner().invoke(app, ["audit", "verify", "--dir", str(made.directory)])
    assert f"8 imported, record {imported}: message, signed by {operator}" in done.stdout


@pytest.mark.parametrize("wrong", ["signature", "engine", "key"])
def test_an_import_that_nobody_signed_is_found(made: Made, writer: Writer, wrong: str) -> None:
    ring, operator = operators(made)
    terms = {"engine_id": bytes(32)} if wrong == "engine" else {}
    brought = bytearray(import_frame(made, ring, operator, 8, **terms))
    if wrong == "signature":
        brought[-1] ^= 1
    named = info(9 if wrong == "key" else 8)
    writer.note(KEY_TYPE, KEY_RECORD.pack(origin=KeyOrigin.IMPORTED, info=named) + bytes(brought))
    ((kind, text),) = findings(made)
    assert kind == "key"
    words = {"signature": "sign", "engine": "another engine", "key": "not the one"}
    assert words[wrong] in text


def operators(made: Made) -> tuple[_core.Keyring, int]:
    """The embedded engine's own authority keys, and the id of the one that may command."""
    ring = KeyFile(made.directory / "keys" / "authority", PASSPHRASE).ring
    bundle = next(
        record.subject[24:56].hex()
        for record in audit.read_log(made.directory)
        if record.type is RecordType.BUNDLE and record.subject[:2] == b"\1\0"
    )
    raw = (made.directory / "bundles" / bundle).read_bytes()
    known = parse_authority(unsafe_parse_frame(raw, FrameKind.AUTHORITY).payload)
    held = {key.id for key in ring.list()}
    return ring, next(
        id_
        for id_, (powers, _, _) in known.keys.items()
        if id_ in held and powers >> Power.OPERATOR & 1
    )
