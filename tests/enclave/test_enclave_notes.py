"""The enclave's clock and its keys, in the log: compared, bounded, recorded, and checked later.

Method: the daemon's own code, with a module whose time a file shifts, and comparisons that come
many times a second; the auditor's half is that of `zcp audit verify`, on what the host kept.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from engine_life import AGENT, ALICE, BOB, MADE, ROOT, Engine, FakeMachine, Machines
from fake_nitro import FakeRoot, sign_emulated
from key_life import TOP
from life_steps import message, signs
from typer.testing import CliRunner

from sentinel import _layout, audit
from sentinel._cli import app
from sentinel._enclave_papers import KEY_INFO
from sentinel._enums import Algorithm, Command, Purpose
from sentinel._frame import FrameKind, parse_genesis
from sentinel._notes import ClockNote, ClockResult, ClockSource, KeyOrigin, parse_clock
from sentinel._receipt_enclave import verify_enclave
from sentinel._record import Record, RecordType
from sentinel.attestation import AttestationRefused, EngineExpectation, Expectation, TrustRoot
from sentinel.attestation import Purpose as For
from sentinel.errors import EngineHalted, SentinelError, VerificationFailed
from sentinel.policy import stable_id
from sentinel.receipt import Expectation as ReceiptExpectation
from sentinel.receipt import verify_receipt

EVERY_MS = 200
MAGIC = b"SENT"


@pytest.fixture(scope="module", autouse=True)
def _program() -> None:
    command = ["make", "-s", "-C", "enclave/daemon", "../../build/daemon/release/fake_sentineld"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


class Skew:
    """How far the module's time is ahead of the machine's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0)

    def set(self, milliseconds: int | None) -> None:
        """None: the module has no time."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text("-\n" if milliseconds is None else f"{milliseconds}\n")
        fresh.rename(self.path)


@pytest.fixture
def skew(tmp_path: Path) -> Skew:
    return Skew(tmp_path / "skew")


def begin(engine: Engine, machines: Machines, skew: Skew, **settings: object) -> FakeMachine:
    """An engine that may sign."""
    machine = machines.boot(FAKE_SKEW=skew.path, **settings)
    lobby = engine.begin(machine)
    engine.make_keys(lobby)
    engine.import_keys(lobby, machine)
    engine.create(lobby, machine)
    allow(engine, machine)
    return machine


def allow(engine: Engine, machine: FakeMachine) -> None:
    with engine.client(machine, ALICE) as people:
        engine.grant(people)
        engine.lease(people)


def kept(engine: Engine, machine: FakeMachine, folder: Path) -> Path:
    """What the host copied, as an auditor gets it: documents are the hypervisor's, signed."""
    engine.keep(machine)
    for name, raw in engine.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_document = name.startswith("bundles/") and not raw.startswith(MAGIC)
        path.write_bytes(sign_emulated(raw, engine.hypervisor) if is_document else raw)
    (folder / "genesis").write_bytes(engine.genesis)
    return folder


def clocks(folder: Path) -> list[ClockNote]:
    records: list[Record] = list(audit.read_log(folder))
    return [parse_clock(record) for record in records if record.type is RecordType.CLOCK]


def test_the_clock_is_compared_again_and_again(
    engine: Engine, machines: Machines, skew: Skew, tmp_path: Path
) -> None:
    machine = begin(engine, machines, skew, FAKE_EVERY_MS=EVERY_MS)
    assert signs(engine, machine)
    time.sleep(10 * EVERY_MS / 1000)
    assert signs(engine, machine)
    folder = kept(engine, machine, tmp_path / "audit")
    report = audit.verify_log(folder)
    assert not report.findings
    assert report.clocks["good"] >= 2
    assert 0 < report.clock_bound_ns < 600_000_000
    first, *later = clocks(folder)
    assert first.source is ClockSource.NSM
    assert first.document
    assert not any(note.document for note in later)  # the first one is kept, of each boot
    assert (first.drift_ppm, first.until_ns > first.now_ns) == (1000, True)
    start = next(r for r in audit.read_log(folder) if r.type is RecordType.START)
    assert first.record == start.number + 1
    assert not list(audit.replay(folder).differences)


def test_a_clock_that_is_a_little_off_is_corrected(
    engine: Engine, machines: Machines, skew: Skew, tmp_path: Path
) -> None:
    skew.set(5)
    machine = begin(engine, machines, skew, FAKE_EVERY_MS=EVERY_MS)
    offsets = [note.offset_ns for note in clocks(kept(engine, machine, tmp_path / "early"))]
    assert abs(offsets[0]) > 3_000_000
    time.sleep(6)
    notes = clocks(kept(engine, machine, tmp_path / "late"))
    assert abs(notes[-1].offset_ns) < abs(offsets[0]) - 1_000_000
    assert signs(engine, machine)


@pytest.mark.parametrize("milliseconds", [700, -700])
def test_a_clock_that_runs_off_halts_the_engine(
    engine: Engine, machines: Machines, skew: Skew, tmp_path: Path, milliseconds: int
) -> None:
    machine = begin(engine, machines, skew, FAKE_EVERY_MS=EVERY_MS)
    assert signs(engine, machine)
    skew.set(milliseconds)
    time.sleep(3)
    assert is_halted(engine, machine)
    folder = kept(engine, machine, tmp_path / "audit")
    report = audit.verify_log(folder)
    assert not report.findings
    assert report.clocks["exceeded"] == 1  # once, however often it is compared
    last = [note for note in clocks(folder) if note.result is ClockResult.EXCEEDED]
    assert abs(last[0].offset_ns + milliseconds * 10**6) < 200_000_000
    # People resume, and it halts again; where the time is right again, it stays.
    resume(engine, machine)
    time.sleep(3)
    assert is_halted(engine, machine)
    skew.set(0)
    time.sleep(3)
    resume(engine, machine)
    time.sleep(2)
    assert signs(engine, machine)


def test_a_module_that_answers_no_more_halts_the_engine(
    engine: Engine, machines: Machines, skew: Skew, tmp_path: Path
) -> None:
    machine = begin(engine, machines, skew, FAKE_EVERY_MS=EVERY_MS)
    assert signs(engine, machine)
    skew.set(None)
    time.sleep(10 * EVERY_MS / 1000 + 1.5)
    assert is_halted(engine, machine)
    assert not audit.verify_log(kept(engine, machine, tmp_path / "audit")).findings
    skew.set(0)
    time.sleep(3)
    resume(engine, machine)
    assert signs(engine, machine)


def test_a_start_without_a_comparison_is_none(
    engine: Engine, machines: Machines, skew: Skew
) -> None:
    machine = begin(engine, machines, skew)
    engine.keep(machine)
    machine.end()
    machine = machines.boot(FAKE_SKEW=skew.path)
    lobby = engine.bring_back(machine)
    skew.set(None)
    with pytest.raises(SentinelError, match="security module"):
        lobby.resume()
    skew.set(0)
    engine.pin = engine.attested(lobby, machine, For.SESSION).binding.session_key_hash
    engine.sealed, _ = lobby.resume()
    lobby.close()
    allow(engine, machine)
    assert signs(engine, machine)


def test_every_key_is_in_the_log(
    engine: Engine, machines: Machines, skew: Skew, tmp_path: Path
) -> None:
    machine = begin(engine, machines, skew)
    report = audit.verify_log(kept(engine, machine, tmp_path / "audit"))
    assert not report.findings
    found = {note.id: note for note in report.keys}
    assert {stable_id("key", name) for name in (*MADE, "spot", "okx")} == set(found)
    made = found[stable_id("key", "usdm")]
    assert (made.origin, made.account) == (KeyOrigin.MADE, "account-usdm")
    assert made.public_key == engine.keys["usdm"].public_key
    brought = found[stable_id("key", "okx")]
    assert (brought.origin, brought.account) == (KeyOrigin.IMPORTED, "account-okx")
    assert brought.frame is not None
    assert {proof.key for proof in brought.frame.proofs} == {ALICE, BOB}
    assert brought.fingerprint == engine.keys["okx"].fingerprint
    assert any(brought.document)


def test_a_key_of_a_later_boot_is_too_and_one_of_lost_records_is_told(
    engine: Engine, machines: Machines, skew: Skew, tmp_path: Path
) -> None:
    machine = begin(engine, machines, skew)
    engine.keep(machine)
    machine.end()
    before = dict(engine.files)
    machine = machines.boot(FAKE_SKEW=skew.path)
    lobby = engine.bring_back(machine)
    late = stable_id("key", "late")
    lobby.make(KEY_INFO.pack(id=late, purpose=Purpose.MESSAGE, algorithm=Algorithm.ED25519))
    engine.pin = engine.attested(lobby, machine, For.SESSION).binding.session_key_hash
    engine.sealed, _ = lobby.resume()
    lobby.close()
    report = audit.verify_log(kept(engine, machine, tmp_path / "second"))
    assert [(key.id, key.origin) for key in report.keys][-1] == (late, KeyOrigin.MADE)
    machine.end()
    # The host brings the sealed keys back, and a log from before they were.
    engine.files = before
    machine = machines.boot(FAKE_SKEW=skew.path)
    engine.resume(machine)
    report = audit.verify_log(kept(engine, machine, tmp_path / "third"))
    assert not report.findings
    found = [key.id for key in report.keys if key.origin is KeyOrigin.FOUND]
    assert late in found


def is_halted(engine: Engine, machine: FakeMachine) -> bool:
    with pytest.raises(EngineHalted):
        signs(engine, machine)
    return True


def resume(engine: Engine, machine: FakeMachine) -> None:
    """Two operators lift what halted the firm's engine."""
    with engine.client(machine, ALICE) as people:
        part = _layout.command(Command.RESUME, stable_id("node", "firm"), "go on", engine.terms())
        people.hand_in(engine.signed(FrameKind.COMMAND, part, ALICE, BOB))
        engine.grant(people)


def told(receipt: dict[str, Any], document: bytes | None) -> dict[str, Any]:
    """The receipt with another document."""
    raw = base64.b64encode(document).decode() if document is not None else None
    enclave = {**receipt["proof"]["enclave"], "document": raw}
    return {**receipt, "proof": {**receipt["proof"], "enclave": enclave}}


def test_a_receipt_is_of_the_enclave_that_the_log_names(
    engine: Engine, machines: Machines, skew: Skew, tmp_path: Path
) -> None:
    machine = begin(engine, machines, skew)
    with engine.client(machine, AGENT) as maker:
        signed = message(maker)
    with engine.client(machine, ALICE) as people:
        receipt = people.receipt(signed.handle)
    expected = ReceiptExpectation.of_genesis(parse_genesis(engine.genesis))
    known = EngineExpectation(engine.engine_id, 1, (engine.public[ROOT],), frozenset({For.SESSION}))
    image = Expectation(machine.pcrs, known)
    root = TrustRoot.of_pem(engine.hypervisor.pem)

    def attested(data: dict[str, Any], image: Expectation = image, **words: Any) -> Any:
        proven = verify_receipt(data, expected)
        return verify_enclave(proven.enclave, proven.genesis, image, **{"root": root} | words)

    raw = base64.b64decode(receipt["proof"]["enclave"]["document"])
    with pytest.raises(AttestationRefused, match="field_size"):
        attested(receipt)  # an emulator's, and this stand-in's
    good = told(receipt, sign_emulated(raw, engine.hypervisor))
    found = attested(good)
    assert found.digest.hex() == good["enclave_attestation"]["document"]
    assert found.binding.epoch == good["epoch"]
    with pytest.raises(AttestationRefused, match="root"):
        attested(good, root=TrustRoot.of_pem(FakeRoot.make().pem))
    other = Expectation({**machine.pcrs, 0: bytes(range(48))}, known)
    with pytest.raises(AttestationRefused, match="PCR0"):
        attested(good, other)
    # Another document of the same enclave, one that is left out, and no word of an enclave.
    with engine.client(machine, ALICE) as people:
        session = sign_emulated(people.attestation(os.urandom(32)), engine.hypervisor)
    with pytest.raises(VerificationFailed, match="not the one that the log names"):
        attested(told(receipt, session))
    bare = told(receipt, None)
    with pytest.raises(VerificationFailed, match="did not come"):
        attested(bare)
    assert attested(bare, document=sign_emulated(raw, engine.hypervisor)).digest == found.digest
    with pytest.raises(VerificationFailed, match="not the one that the log names"):
        attested(bare, document=session)
    proof = {name: part for name, part in receipt["proof"].items() if name != "enclave"}
    with pytest.raises(VerificationFailed, match="enclave_attestation"):
        attested({**receipt, "proof": proof})
    silent = {**receipt, "proof": proof, "enclave_attestation": None}
    assert verify_receipt(silent, expected).enclave is None
    with pytest.raises(VerificationFailed, match="says nothing of one"):
        attested(silent)
    _by_the_command(tmp_path, good, expected, image, engine)


def _by_the_command(
    folder: Path,
    receipt: dict[str, Any],
    expected: ReceiptExpectation,
    image: Expectation,
    engine: Engine,
) -> None:
    files = {
        "receipt.json": json.dumps(receipt),
        "expectation.json": expected.to_json(),
        "enclave.json": image.to_json(),
        "root.pem": engine.hypervisor.pem.decode(),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    command = ["verify", str(folder / "receipt.json"), "--expect", str(folder / "expectation.json")]
    enclave = ["--enclave", str(folder / "enclave.json"), "--root", str(folder / "root.pem")]
    done = CliRunner().invoke(app, [*command, *enclave])
    assert done.exit_code == 0, done.output
    assert image.pcrs[0].hex() in done.output
    done = CliRunner().invoke(app, command)
    assert "was not judged" in done.output
