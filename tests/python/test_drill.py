"""Drills of the stop: what a report says, who may believe it, and what makes it fail.

Goal: a drill of a copy passes, changes nothing of the engine, and is refused once a byte of it is
another; a signature that passes behind a halt makes it fail. Method: few rounds, on an engine where
two of three operators resume and two approvers answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from people_desk import PASSPHRASE, Desk, Done, make_desk

from sentinel import Signer, _drill_steps
from sentinel._drill_field import copy_engine
from sentinel._drill_load import Plan, running
from sentinel._drill_report import markdown
from sentinel._drill_steps import Drill, Step, raises_risk, signed_while_stopped
from sentinel._enums import Command
from sentinel._people import SigningKeys
from sentinel.audit import RecordType, read_log, verify_log

POLICY = """\
version: 1
firm:
  allow: {actions: [message]}
  agents:
    agent: {}
    asker: {approval: {approvers: 2, within: 1h}}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
"""
MESSAGE = {"action": "message", "text": "x"}
STEPS = ["load", "halt", "restart", "attempts", "drain", "approve", "resume", "audit"]


def desk_of(top: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = make_desk(
        *(top, capsys, monkeypatch),
        *("--operators", "3", "--resume", "2", "--approvers", "2"),
    )
    policy = top / "policy.yaml"
    policy.write_text(POLICY)
    done = made.at("policy", "load", str(policy))
    assert done.status == 0, done.err
    return made


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate of the load is measured for less long."""
    monkeypatch.setattr(_drill_steps, "_LOAD_SECONDS", 0.1)


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    return desk_of(tmp_path, capsys, monkeypatch)


def keys(desk: Desk, *names: str) -> list[str]:
    return [word for name in names for word in ("--key", desk.key(name))]


def drill(desk: Desk, *words: str, people: tuple[str, ...] = ("operator-1", "operator-3")) -> Done:
    out = ("--out", desk.file("reports"), "--json")
    return desk.at("drill", "--rounds", "3", *out, *keys(desk, *people), *words)


def steps_of(done: Done) -> dict[str, Any]:
    return {step["name"]: step for step in done.json()["steps"]}


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_drill_of_a_copy_passes_and_its_report_is_the_engines(desk: Desk) -> None:
    before = files(desk.engine)
    done = drill(desk, people=("operator-1", "operator-3", "approver-1", "approver-2"))
    assert done.status == 0, done.out + done.err
    assert files(desk.engine) == before  # the engine was only read
    steps = steps_of(done)
    assert list(steps) == STEPS
    assert {step["result"] for step in steps.values()} == {"passed"}, steps
    halt = steps["halt"]["facts"]
    assert halt["signatures_above_acknowledgement"] == 0
    assert halt["acknowledgements_verified"] == halt["rounds"] == 3
    assert set(halt["command_to_last_signature_us"]) == {"p50", "p99", "max"}
    attempts = steps["attempts"]["facts"]["attempts"]
    assert {row["as"] for row in attempts} == {"agent", "one operator", "host"}
    assert steps["approve"]["facts"]["second_use"] == "duplicate"
    assert any("without a witness" in text.lower() for text in done.json()["not_proven"])
    check_report(desk, [Path(name) for name in done.json()["files"]])


def check_report(desk: Desk, paths: list[Path]) -> None:
    """Each file verifies, and none with a byte changed, nor under another engine."""
    expect = ("--expect", str(desk.engine / "expectation.json"))

    def verified(path: Path, *words: str) -> Done:
        return desk.run("drill", "verify", str(path), *words)

    other = desk.top / "other.json"
    text = (desk.engine / "expectation.json").read_text()
    digit = json.loads(text)["engine_id"][0]
    other.write_text(text.replace(f'"engine_id": "{digit}', f'"engine_id": "{(digit == "0"):d}'))
    assert {path.suffix for path in paths} == {".json", ".md", ".html"}
    for path in paths:
        done = verified(path, *expect)
        assert done.status == 0, done.err
        assert "every step held" in done.out
        assert verified(path).status == 8  # nothing was pinned
        assert verified(path, "--expect", str(other)).status == 8
        good = path.read_bytes()
        for at in range(0, len(good), 1 + len(good) // 23):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            assert verified(path, *expect).status == 8, (path, at)
        path.write_bytes(good[:-1])
        assert verified(path, *expect).status == 8
        path.write_bytes(good)


def test_a_signature_behind_the_halt_makes_it_fail(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: before the load is looked at, somebody has lifted the halt."""
    plain = _drill_steps.settle
    drills: list[Drill] = []
    round_ = _drill_steps._round

    def remembered(drill: Drill, *rest: Any) -> None:
        drills.append(drill)
        round_(drill, *rest)

    def lifted(load: Any) -> None:
        field = drills[-1].field
        field.answer(field.submit(field.signed(Command.RESUME)))
        signed = load.signed
        assert _drill_steps.wait_for(lambda: load.signed > signed, 5)
        plain(load)

    monkeypatch.setattr(_drill_steps, "_round", remembered)
    monkeypatch.setattr(_drill_steps, "settle", lifted)
    monkeypatch.setattr(_drill_steps, "_SETTLE", 0)
    done = drill(desk)
    assert done.status == 8
    assert not done.json()["passed"]
    halt = steps_of(done)["halt"]
    assert halt["result"] == "failed"
    assert halt["facts"]["signatures_above_acknowledgement"] == 3
    assert "is a signature behind the halt of record" in halt["problems"][0]
    report = next(name for name in done.json()["files"] if name.endswith(".md"))
    assert "# Drill of the stop" in Path(report).read_text()
    assert "FAILED" in Path(report).read_text().splitlines()[0]
    checked = desk.run(
        *("drill", "verify", report, "--expect", str(desk.engine / "expectation.json"))
    )
    assert checked.status == 0  # the engine did sign that it failed
    assert "the drill FAILED" in checked.out


def test_the_log_is_read_for_signatures_behind_a_halt_and_a_drain(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the log is read as if it said halt where it says resume."""
    path = desk.draft("halt")
    assert desk.sign(path, "operator-1").status == 0
    assert desk.at("command", "submit", path).status == 0
    path = desk.draft("resume")
    for name in ("operator-1", "operator-2"):
        assert desk.sign(path, name).status == 0
    assert desk.at("command", "submit", path).status == 0
    with Signer.open(desk.engine, passphrase=PASSPHRASE) as signer:
        record = signer.session("agent").sign(MESSAGE).handle.record
    field = _drill_steps.Field(desk.engine, PASSPHRASE.encode(), ())
    made = Drill(field, Plan((), {}, {}), 1, lambda *_: None)
    clean = Step("audit", "")
    assert signed_while_stopped(made, 0, clean)["signatures"] == 1
    assert not clean.problems
    for verb in ("halt", "drain"):
        monkeypatch.setattr(_drill_steps, "label", lambda _, verb=verb: verb)
        step = Step("audit", "")
        signed_while_stopped(made, 0, step)
        assert step.problems == [f"record {record} holds a signature behind a {verb}"]
    assert raises_risk(next(iter(read_log(desk.engine, record))))


@pytest.fixture
def writing(desk: Desk) -> Iterator[Desk]:
    """An engine whose writer signs all the while."""
    plan = Plan((("agent", MESSAGE),), {}, {})
    with running(desk.engine, PASSPHRASE.encode(), plan) as load:
        assert _drill_steps.wait_for(lambda: load.signed > 50, 10)
        yield desk


def test_a_copy_of_an_engine_that_signs_is_whole(writing: Desk) -> None:
    # All are taken before the first is read: the log grows faster than a slow build verifies it.
    places = [writing.top / f"copy-{number}" for number in range(8)]
    for place in places:
        copy_engine(writing.engine, place)
        time.sleep(0.02)
    for place in places:
        assert not (place / "keys" / "people").exists()
        with Signer.open(place, passphrase=PASSPHRASE) as signer:
            signer.session("agent").sign(MESSAGE)
        report = verify_log(place)
        assert report.ok, report.findings
        assert report.types["start"] > 1


def test_a_drill_beside_the_writer_and_live_without_it(writing: Desk) -> None:
    first = sum(1 for _ in read_log(writing.engine))
    done = drill(writing)
    assert done.status == 8  # the approvers are not here: said, and not passed over
    results = {name: step["result"] for name, step in steps_of(done).items()}
    assert results.pop("approve") == "not run"
    assert set(results.values()) == {"passed"}
    assert "give their key files" in steps_of(done)["approve"]["facts"]["why"]
    rows = list(read_log(writing.engine, first))
    assert rows
    assert {row.type for row in rows} <= {RecordType.ORDER, RecordType.SNAPSHOT}
    live = drill(writing, "--live", "--yes")
    assert live.status == 6, live.err


def test_a_live_drill_leaves_the_engine_running(desk: Desk) -> None:
    people = ("operator-2", "operator-3", "approver-1", "approver-2")
    done = drill(desk, "--live", "--yes", people=people)
    assert done.status == 0, done.out + done.err
    assert done.json()["on"] == "the live engine"
    assert desk.mode() == "running"
    assert sum(row.type is RecordType.COMMAND for row in read_log(desk.engine)) > 10


@pytest.mark.parametrize(
    ("verb", "scope", "says"),
    [
        ("halt", "firm", "firm is halted since "),
        ("drain", "firm/agent", "firm/agent is draining since "),
    ],
)
def test_a_live_drill_lifts_no_stop_that_was_there(
    desk: Desk, verb: str, scope: str, says: str
) -> None:
    path = desk.draft(verb, "c.cmd", "--scope", scope)
    assert desk.sign(path, "operator-1").status == 0
    assert desk.at("command", "submit", path).status == 0
    before = files(desk.engine)
    done = drill(desk, "--live", "--yes")
    assert done.status == 4, done.out + done.err
    error = done.json()["error"]
    assert says in error["message"]
    assert "without --live" in error["next_step"]
    assert files(desk.engine) == before
    assert not (desk.top / "reports").exists()
    copied = steps_of(drill(desk))
    assert copied["halt"]["result"] == "passed"  # of a copy it may be lifted
    assert files(desk.engine) == before


def test_a_live_drill_lifts_no_stop_that_lies_in_the_spool(desk: Desk) -> None:
    """The frame is there, the writer is not, and no record has it yet."""
    field = _drill_steps.Field(
        *(desk.engine, PASSPHRASE.encode()),
        (SigningKeys.open(Path(desk.key("operator-1")), PASSPHRASE.encode()),),
    )
    field.submit(field.signed(Command.DRAIN))
    done = drill(desk, "--live", "--yes")
    assert done.status == 4, done.out + done.err
    assert "firm is draining since " in done.json()["error"]["message"]
    assert desk.mode() == "draining"
    with Signer.open(desk.engine, passphrase=PASSPHRASE) as signer:
        assert signer.status().stops[0].reason == "drill"
    assert sum(row.type is RecordType.COMMAND for row in read_log(desk.engine)) == 1


def test_a_live_drill_with_fewer_keys_than_k_changes_nothing(desk: Desk) -> None:
    before = files(desk.engine)
    done = drill(desk, "--live", "--yes", people=("operator-1",))
    assert done.status == 7
    assert "it takes 2 of 3 operators to resume" in done.json()["error"]["message"]
    assert files(desk.engine) == before
    assert not (desk.top / "reports").exists()


def test_without_the_keys_of_k_it_says_what_is_needed(desk: Desk) -> None:
    done = drill(desk, people=("operator-1",))
    assert done.status == 7
    error = done.json()["error"]
    assert "it takes 2 of 3 operators to resume, and the keys of 1 are here" in error["message"]
    assert "--key FILE" in error["next_step"]
    assert drill(desk, "--live", "--keep", desk.file("x")).status == 2
    assert drill(desk, "--keep", str(desk.engine)).status == 2
    assert drill(desk, "--orders", desk.file("policy.yaml")).status == 2
    assert drill(desk, "--rounds", "0").status == 2
    assert not (desk.top / "reports").exists()


def test_what_others_wrote_breaks_no_table() -> None:
    step = Step("x", "t", facts={"why": "a | b\n# c"}).to_json()
    data = dict.fromkeys(
        ("engine_id", "environment", "on", "ended", "policy_hash", "machine"), "z"
    ) | {"began": "2026-11-26T13:15:00", "passed": True, "steps": [step], "not_proven": []}
    assert "| why | a \\| b # c |" in markdown(data)
