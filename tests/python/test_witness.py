"""Witnesses on the loopback: old copies halt, second engines end, liars are not believed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from engines import LIMIT, MARKS, PASSPHRASE, Made, make_engine
from people_desk import Desk, make_desk
from witness_desk import (
    LIGHT,
    authority_frame,
    check,
    kept,
    name_witness,
    open_with,
    says,
    serving,
    why,
    witness_at,
)

from sentinel import Message, PolicyDenied, _layout
from sentinel import _witness_store as store
from sentinel._authority_edit import Wish
from sentinel._enums import Command, Power, Scope
from sentinel._frame import FrameKind, unsafe_parse_frame
from sentinel._people import Person, person_id
from sentinel._witness_state import witness_of
from sentinel.audit import restore, verify_log
from sentinel.config import Installed
from sentinel.errors import ConfigError, EngineHalted, EngineLocked, UsageError, VerificationFailed
from sentinel.witness import WitnessError, configure


def test_grants_are_asked_for_and_given_back(engine: Made, place: Path) -> None:
    with witness_at(place, records=3) as url:
        with open_with(engine.directory, url) as signer:
            assert [says(signer) for _ in range(9)] == ["allowed"] * 9
            assert signer.status().freshness == "confirmed"
            assert kept(place).count > 0
        given = kept(place)
        assert given.record_end == given.count  # closed cleanly: nothing is left
        with open_with(engine.directory, url) as signer:
            assert says(signer) == "allowed"
            assert kept(place).epoch > given.epoch
    check(engine.directory)


def test_status_says_what_the_witness_leaves(engine: Made, place: Path) -> None:
    installed = Installed(engine.directory)
    with witness_at(place, records=5, spend=1_000) as url:
        with open_with(engine.directory, url) as signer:
            signer.feed_marks(MARKS)
            state = signer._engine.state()
            told = signer.status().witness
            assert told is not None
            assert (told.confirmed, told.signs, told.answers) == (True, True, None)
            assert told.records_left == state.grant.record_end - state.record_count > 0
            assert told.spend_left == 1_000 * 10**6
            assert "1,000.00 USD" in told.lines()[0]
        configure(engine.directory, url)
        asked = witness_of(installed, state, probe=True)
        assert asked is not None
        assert "what is left can be signed without it" in asked.lines()[1]
        assert "somebody answers there" in asked.lines()[0]
    for change, means in (
        ({}, "what is left can be signed, then nothing is signed until it answers"),
        ({"spent": state.grant.spend_end}, "nothing that has a value is signed until it answers"),
        ({"record_end": state.record_count}, "nothing is signed until it answers (grant_exh"),
        ({"record_end": state.record_count + 1}, "what is left can be signed, then nothing"),
        ({"epoch": state.epoch - 1}, "nothing is signed until it answers (grant_exhausted)"),
        ({"gap_from": 3, "gap_to": 5}, "missing: nothing is signed before people accept that"),
    ):
        grant = replace(state.grant, **change)
        told = witness_of(installed, replace(state, grant=grant), probe=True)
        assert told is not None
        assert "IT IS DOWN" in told.lines()[0]
        assert means in told.lines()[1]
        assert told.signs is ("what is left" in means or "value" in means)
    (engine.directory / "witness").unlink()
    told = witness_of(installed, state, probe=True)
    assert told is not None
    assert "none is named here (zcp witness use URL)" in told.lines()[0]


def test_without_one_that_is_asked_for_there_is_nothing_to_tell(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "plain")
    assert witness_of(Installed(made.directory), restore(made.directory).state()) is None


def test_a_grant_of_one_record_confirms_each(engine: Made, place: Path) -> None:
    with witness_at(place, records=1) as url, open_with(engine.directory, url) as signer:
        for _ in range(4):
            before = kept(place).count
            assert says(signer) == "allowed"
            state = signer._engine.state()
            assert state.record_count == state.grant.record_end
            assert kept(place).count >= before
        assert kept(place).count + 2 == signer._engine.state().record_count


def test_money_runs_out_too(engine: Made, place: Path) -> None:
    with witness_at(place, spend=600) as url, open_with(engine.directory, url) as signer:
        signer.feed_marks(MARKS)
        maker = signer.session("maker")
        with pytest.raises(PolicyDenied) as caught:  # 650 USD
            maker.sign(LIMIT)
        assert caught.value.reason == "grant_exhausted"
        for _ in range(3):  # 390 USD each: more than half of the grant
            maker.sign({**LIMIT, "quantity": "0.006"})


def test_a_witness_that_is_down_is_named(engine: Made, place: Path) -> None:
    with witness_at(place, records=4) as url:
        signer = open_with(engine.directory, url)
        assert says(signer) == "allowed"
    with signer:
        assert says(signer) == "allowed"  # within the grant
        while says(signer) == "allowed":
            pass
        assert f"the witness {url}" in why(signer)
        with pytest.raises(WitnessError, match="witness"):
            signer.halt("a halt binds without a witness")
        assert signer.status().stops
    started = time.monotonic()
    with open_with(engine.directory, url) as signer:
        assert signer.status().freshness == "unproven"
        assert says(signer) == "kill_switch"
    assert time.monotonic() - started < 10
    check(engine.directory)


def test_without_an_address_the_error_says_so(engine: Made, place: Path) -> None:
    with open_with(engine.directory, None) as signer:
        assert "none is named" in why(signer)
        assert "zcp witness use" in why(signer)
    with witness_at(place) as url:
        configure(engine.directory, url)
        with open_with(engine.directory, None) as signer:
            assert says(signer) == "allowed"
    with pytest.raises(UsageError):
        open_with(engine.directory, "https://127.0.0.1")


def test_two_witnesses_of_two_are_not_served(engine: Made, place: Path, tmp_path: Path) -> None:
    """The core counts two proofs, and the program gives one: nothing is signed, and it says why."""
    person = store.init(tmp_path / "second", "second", PASSPHRASE, LIGHT)
    frame = authority_frame(
        engine.directory,
        Wish("add", "second", person=person, powers=frozenset({Power.WITNESS})),
        Wish("k", threshold=(Power.WITNESS, 2)),
    )
    with witness_at(place) as url, open_with(engine.directory, url) as signer:
        assert says(signer) == "allowed"
        with pytest.raises(WitnessError, match="above 1 is not served") as caught:
            signer.take(frame)
        assert "the threshold for witness must be 1" in caught.value.next_step
    with witness_at(place) as url, open_with(engine.directory, url) as signer:
        assert "a threshold above 1 is not served" in why(signer)
    check(engine.directory)


def test_a_silent_witness_does_not_hold_the_engine_up(engine: Made, place: Path) -> None:
    over = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            over.wait(60)

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Silent)) as url:
        started = time.monotonic()
        with open_with(engine.directory, url) as signer:
            assert "timed out" in why(signer)
        assert time.monotonic() - started < 30
        over.set()


# ---- Show 2 -------------------------------------------------------------------------------------

HALT_AND_DIE = """
import os, signal, sys
from sentinel import Message, Signer
signer = Signer.open(sys.argv[1], passphrase="correct horse", witness=sys.argv[2] or None)
signer.session("maker").sign(Message(text="x"))
signer.halt("stop")
os.kill(os.getpid(), signal.SIGKILL)
"""


def halt_and_die(directory: Path, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HALT_AND_DIE, directory, url], env=os.environ, check=False
    )
    assert done.returncode == -signal.SIGKILL


def test_a_halt_outlives_kill_9_and_a_start_without_a_witness_is_unproven(engine: Made) -> None:
    halt_and_die(engine.directory, "")
    with engine.open() as signer:
        assert says(signer) == "kill_switch"
        assert signer.status().freshness == "unproven"


def test_yesterdays_copy_starts_halted_and_names_the_gap(
    engine: Made, place: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    with witness_at(place) as url:
        with open_with(engine.directory, url) as signer:
            assert says(signer) == "allowed"
        shutil.copytree(engine.directory, copy)
        halt_and_die(engine.directory, url)
        with open_with(engine.directory, url) as signer:
            assert says(signer) == "kill_switch"
        head = kept(place)
        with open_with(copy, url) as signer:
            assert says(signer) == "halted"
            assert signer.status().freshness == "gap"
            assert f" to {head.count - 1} were confirmed" in signer._witness.error
            with pytest.raises(EngineHalted, match="not here"):
                signer.session("maker").sign(Message(text="x"))
        # A restart lifts nothing, nor does a resume of the firm.
        with open_with(copy, url) as signer:
            with contextlib.suppress(WitnessError):
                signer.resume("a resume of the firm")
            assert says(signer) == "halted"
        assert kept(place) == replace(head, sequence=kept(place).sequence)
    check(copy)


def test_two_copies_the_second_epoch_wins(engine: Made, place: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with witness_at(place, records=2) as url, open_with(engine.directory, url) as first:
        shutil.copytree(engine.directory, copy)  # as it runs, with the grant of its epoch
        with open_with(copy, url) as second:
            assert says(second) == "allowed"
            answers = [says(first) for _ in range(4)]
            assert set(answers[:2]) <= {"allowed", "halted"}
            assert answers[2:] == ["halted"] * 2  # at most its grant, and never again
            assert "were confirmed" in first._witness.error
            assert [says(second) for _ in range(5)] == ["allowed"] * 5


def test_an_epoch_that_was_taken_is_told_and_recorded(
    engine: Made, place: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    with witness_at(place, records=2) as url:
        with open_with(engine.directory, url) as first:
            shutil.copytree(engine.directory, copy)
            with open_with(copy, url) as second:
                assert says(second) == "allowed"
            assert "halted" in [says(first) for _ in range(4)]
            # Who accepts the gap in the old epoch has a head that is known, and no epoch.
            grant, now = first._engine.state().grant, time.time_ns()
            part = _layout.command(
                *(Command.RESUME, 0, "lost", first._terms(FrameKind.COMMAND, now)),
                scope=Scope.ENGINE,
                record=grant.gap_to,
                record_hash=grant.gap_hash,
            )
            with contextlib.suppress(WitnessError):
                first.take(first._authorities().sign(FrameKind.COMMAND, part))
            assert [says(first) for _ in range(2)] == ["grant_exhausted"] * 2
        report = verify_log(engine.directory)
        assert report.witness["epoch"] >= 1
        assert report.witness["gap"] == 1
        with open_with(engine.directory, url) as first:  # a start takes the next one
            assert says(first) == "allowed"
    check(engine.directory)


def test_a_copy_that_lacks_the_confirmed_start_halts(
    engine: Made, place: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    with witness_at(place, records=2) as url:
        with open_with(engine.directory, url) as signer:
            assert says(signer) == "allowed"
        shutil.copytree(engine.directory, copy)
        with open_with(engine.directory, url) as first:
            with open_with(copy, url) as second:
                assert says(second) == "halted"
            assert [says(first) for _ in range(5)] == ["allowed"] * 5


# ---- Liars --------------------------------------------------------------------------------------

Lie = Callable[[dict[str, Any]], None]


def older(grant: dict[str, Any]) -> None:
    grant.update(known_count=grant["known_count"] - 1)


LIES: dict[str, Lie] = {
    "nonce": lambda grant: grant.update(nonce32=bytes(32)),
    "epoch": lambda grant: grant.update(epoch=grant["epoch"] + 1),
    "head": lambda grant: grant.update(hash32=b"\1" * 32),
    "older head": older,
}


@pytest.mark.parametrize("lie", [*LIES, "engine", "key"])
def test_a_witness_that_lies_is_not_believed(
    lie: str, engine: Made, place: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    with witness_at(place) as url, open_with(engine.directory, url) as signer:
        assert says(signer) == "allowed"
    if lie == "key":
        other = tmp_path / "other"
        store.init(other, "witness", PASSPHRASE, LIGHT)
        shutil.copytree(place / "engines", other / "engines", dirs_exist_ok=True)
        place = other
    elif lie == "engine":
        made = make_engine(tmp_path / "foreign", policy=None)
        raw = (made.directory / "genesis").read_bytes()
        honest_frame = store.Witness._frame
        genesis = store.parse_genesis(raw)
        monkeypatch.setattr(
            store.Witness,
            "_frame",
            lambda self, _genesis, *rest: honest_frame(self, genesis, *rest),
        )
    else:
        honest = store.answer

        def answer(*given: Any) -> tuple[store.Kept, dict[str, Any]]:
            after, grant = honest(*given)
            LIES[lie](grant)
            return after, grant

        monkeypatch.setattr(store, "answer", answer)
    with witness_at(place) as url, open_with(engine.directory, url) as signer:
        assert f"the witness {url}" in why(signer)
    check(engine.directory)


# ---- The program --------------------------------------------------------------------------------


def question(**fields: Any) -> dict[str, Any]:
    blank = {"nonce32": bytes(32), "start_hash32": bytes(32), "hash32": bytes(32), "flags": 0}
    known = {"known_count": 0, "known_hash32": bytes(32), "spent": 0}
    return blank | known | {"epoch": 1, "count": 5} | fields


def test_what_is_kept_never_goes_back() -> None:
    first, grant = store.answer(store.Kept(""), question(), 10, 7)
    assert (first.epoch, first.count, grant["record_end"], grant["spend_end"]) == (1, 5, 16, 7)
    for asked in (
        question(),  # does not know of the first
        question(known_count=5, count=4),
        question(known_count=5, epoch=1, start_hash32=b"\1" * 32),
        question(known_count=5, epoch=0),
        question(known_count=5, epoch=2, known_hash32=b"\1" * 32),
    ):
        after, grant = store.answer(first, asked, 10, 7)
        assert after == first
        assert grant.get("count") is None
        assert (grant["known_epoch"], grant["known_count"]) == (1, 5)
    after, grant = store.answer(first, question(known_count=5, epoch=2, count=6), 1, 7)
    assert (grant["known_record_end"], after.record_end, after.record_granted) == (16, 16, 8)
    after, grant = store.answer(after, question(known_count=6, epoch=2, count=7, flags=1), 1, 7)
    assert (after.record_end, grant["record_end"]) == (7, 7)


def test_only_a_pinned_engine_that_signs_is_answered(engine: Made, place: Path) -> None:
    with engine.open() as signer, contextlib.closing(store.Witness(place, PASSPHRASE)) as witness:
        ask, signature = signer._engine.ask()
        other = bytes((ask[0] ^ 1,)) + ask[1:]
        for bad in (ask + bytes(64), ask[:-1] + signature, other + signature):
            with pytest.raises(VerificationFailed):
                witness.grant(bad)
        before = kept(place)
        assert before.count == 0
        frame = unsafe_parse_frame(witness.grant(ask + signature), FrameKind.GRANT)
        assert frame.proofs[0].key == person_id("witness")
        assert _layout.GRANT.unpack(frame.payload)["count"] == kept(place).count
        with pytest.raises(EngineLocked):
            store.Witness(place, PASSPHRASE)
        with pytest.raises(UsageError):
            store.pin(place, (engine.directory / "genesis").read_bytes())
        (path,) = (place / "engines").iterdir()
        path.write_text("{}")
        with pytest.raises(ConfigError):
            witness.grant(ask + signature)


@pytest.fixture
def desk(tmp_path: Path, capsys: Any, monkeypatch: Any) -> Desk:
    return make_desk(tmp_path, capsys, monkeypatch)


def lose_records(desk: Desk, *key: str) -> None:
    """An old copy of the engine's directory takes the place of the newest."""
    old = desk.top / "old"
    shutil.copytree(desk.engine, old)
    for _ in range(2):
        assert desk.at("halt", "--reason", "more", *key).status == 0
    shutil.rmtree(desk.engine)
    old.rename(desk.engine)


def test_the_commands(desk: Desk, tmp_path: Path) -> None:
    place = str(tmp_path / "w")
    done = desk.run("witness", "init", place, "--environment", "test", "--json")
    assert done.status == 0, done.err
    assert done.json()["public_key"] == Person.read(tmp_path / "w" / "witness.pub").public_key.hex()
    assert desk.run("witness", "init", place, "--environment", "test").status == 2
    assert "no engine yet" in desk.run("witness", "status", place).out
    assert desk.run("witness", "pin", place, str(desk.engine)).status == 0
    made = Made(desk.engine, None, 0)  # type: ignore[arg-type]
    name_witness(made, Person.read(tmp_path / "w" / "witness.pub"))
    with witness_at(tmp_path / "w") as url:
        assert desk.at("witness", "use", "nonsense").status == 2
        assert desk.at("witness", "use", url).status == 0
        told = desk.at("status", "--json").json()["witness"]
        assert (told["url"], told["answers"], told["signs"]) == (url, True, False)
        assert "this start is NOT CONFIRMED; there is no grant" in desk.at("status").out
        done = desk.at("halt", "--reason", "test")
        assert done.status == 0, done.err
        assert "not confirmed" not in done.err
        (row,) = desk.run("witness", "status", place, "--json").json()["engines"]
        assert row["records"] == row["record_end"] > 0
        assert "records confirmed" in desk.run("witness", "status", place).out
        assert desk.at("resume", "--reason", "test").status == 0
        assert desk.at("resume", "--gap", "--reason", "none").status == 2
        # An old copy, and people who accept what it lost.
        lose_records(desk)
        with made.open() as signer:
            assert signer.status().freshness == "gap"
        text = desk.at("status").out
        assert "records that it confirmed are missing: nothing is signed before people" in text
        assert desk.at("status", "--json").json()["witness"]["signs"] is False
        grant = restore(desk.engine).state().grant
        halt = desk.at("status", "--json").json()["engine_halt"]
        assert halt["missing"] == {"from": grant.gap_from, "to": grant.gap_to - 1}
        assert halt["lift"]["command"] == "zcp resume --gap --reason TEXT"
        assert desk.at("audit", "show", str(halt["record"]), "--json").json()["type"] == "halt"
        missing = f"records {grant.gap_from} to {grant.gap_to - 1}, and they are not here"
        assert missing in desk.at("status").out
        assert desk.at("resume", "--gap", "--scope", "firm", "--reason", "x").status == 2
        done = desk.at("resume", "--gap", "--reason", "the disk is lost", "--json")
        assert done.status == 0, done.err
        assert restore(desk.engine).state().halted == 0
        with made.open() as signer:
            assert signer.status().freshness == "confirmed"
    assert f"{url}: IT IS DOWN; this start is confirmed; nothing is left" in desk.at("status").out
    done = desk.at("halt", "--reason", "no witness")
    assert "not confirmed" in done.err
    text = desk.at("status").out
    assert "freshness  unproven: the witness that the authority asks for has not" in text
    assert f"witness    {url}: IT IS DOWN; this start is NOT CONFIRMED; there is no grant" in text
    assert "nothing is signed until it answers (grant_exhausted)" in text
    assert "halt" in json.dumps(desk.at("status", "--json").json()["stops"])
    check(desk.engine)


def test_two_of_three_accept_a_gap(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    desk = make_desk(tmp_path, capsys, monkeypatch, "--operators", "3", "--resume", "2")
    person = store.init(tmp_path / "w", "witness", PASSPHRASE, LIGHT)
    store.pin(tmp_path / "w", (desk.engine / "genesis").read_bytes())
    made = Made(desk.engine, None, 0)  # type: ignore[arg-type]
    name_witness(made, person)
    no_gap = ("command", "draft", "resume", "--gap", "--reason", "x", "--out", desk.file("x.cmd"))
    assert desk.at(*no_gap).status == 2
    with witness_at(tmp_path / "w") as url:
        assert desk.at("witness", "use", url).status == 0
        lose_records(desk, "--key", desk.key("operator-3"))
        with made.open() as signer:
            assert signer.status().freshness == "gap"
        last = restore(desk.engine).state().grant.gap_to - 1
        halt = ("command", "draft", "halt", "--gap", "--reason", "x", "--out", desk.file("x.cmd"))
        assert desk.at(*halt).status == 2
        halted = desk.at("status", "--json").json()["engine_halt"]["lift"]
        assert halted["command"].startswith("zcp command draft resume --gap")
        assert (halted["operators"], halted["of"]) == (2, 3)
        path = desk.draft("resume", "gap.cmd", "--gap")
        assert f"records up to {last}, which a witness" in desk.away("command", "show", path).out
        one, two = desk.file("one.cmd"), desk.file("two.cmd")
        assert desk.sign(path, "operator-1", "one.cmd").status == 0
        assert desk.at("command", "submit", one).status != 0
        assert restore(desk.engine).state().grant.gap_to == last + 1
        assert desk.sign(one, "operator-2", "two.cmd").status == 0
        done = desk.at("command", "submit", two)
        assert done.status == 0, done.err
        with made.open() as signer:
            assert signer.status().freshness == "confirmed"
    check(desk.engine)
