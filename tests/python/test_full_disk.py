"""Halts on a full disk: they bind, whatever else finds no room.

Goal: behind a halt nothing is signed, also where its reason, its record or its frame found no room;
who halts is told what is so and what to do. Method: processes of their own with a limit on the
size of files, below which nothing can be written, as on a full disk; and a place for the texts
that takes none.
"""

from __future__ import annotations

import io
import json
import logging
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engines import PASSPHRASE, POLICY, Made

from sentinel import Message, PolicyDenied
from sentinel._cli import main
from sentinel.audit import RecordType, read_log, restore

NO_FRAME = 100  # bytes: less than any frame, record, or reason below
NO_RECORD = 2_000  # a frame finds room, but no record: the log is longer than that already
LONG = "x" * 4_096  # a reason that finds no room with either


class Done(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Zcp:
    """The command, in this process, or in one of its own on a full disk."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.capsys = capsys

    def __call__(self, *words: str | Path) -> Done:
        self.capsys.readouterr()
        status = main([*map(str, words), "--dir", str(self.directory)])
        captured = self.capsys.readouterr()
        return Done(status, captured.out, captured.err)

    def full(self, room: int, *words: str | Path) -> Done:
        words = ("-m", "sentinel", *words, "--dir", self.directory)
        return full_disk(room, *words)

    def signs(self) -> bool:
        return self("sign", "--message", "x", "--agent", "notes").status == 0


def full_disk(room: int, *words: str | Path) -> Done:
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def zcp(engine: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Zcp:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return Zcp(engine.directory, capsys)


def take_no_texts(directory: Path) -> None:
    shutil.rmtree(directory / "texts")
    (directory / "texts").write_bytes(b"")


def commands(directory: Path) -> list[Any]:
    return [r for r in read_log(directory) if r.type is RecordType.COMMAND]


# ---- The reason finds no room -------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["halt", "drain"])
def test_a_stop_whose_reason_cannot_be_kept_binds_with_a_warning(zcp: Zcp, verb: str) -> None:
    take_no_texts(zcp.directory)
    done = zcp(verb, "--reason", "why", "--json")
    assert done.status == 0, done.err
    assert done.json()["applied"] is True
    assert "its reason is not kept" in done.err
    assert not zcp.signs()
    resumed = zcp("resume", "--reason", "over")
    assert resumed.status == 0, resumed.err
    assert "its reason is not kept" in resumed.err
    assert zcp.signs()


def test_a_submitted_halt_whose_texts_cannot_be_kept_is_taken(zcp: Zcp, tmp_path: Path) -> None:
    file = tmp_path / "halt.cmd"
    assert zcp("command", "draft", "halt", "--reason", "why", "--out", file).status == 0
    assert zcp("command", "sign", file, "--yes").status == 0
    take_no_texts(zcp.directory)
    done = zcp("command", "submit", file)
    assert done.status == 0, done.err
    assert "its reason is not kept" in done.err
    assert not zcp.signs()


@pytest.mark.parametrize("verb", ["halt", "drain"])
def test_a_signers_stop_whose_reason_cannot_be_kept_binds_with_a_warning(
    engine: Made, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    take_no_texts(engine.directory)
    with engine.open() as signer, caplog.at_level(logging.WARNING, logger="sentinel"):
        session = signer.session("notes")
        record = getattr(signer, verb)("why")
        assert record == restore(engine.directory).state().record_count - 1
        assert "its reason is not kept" in caplog.text
        with pytest.raises(PolicyDenied):
            session.sign(Message(text="x"))
        signer.resume("over")
        session.sign(Message(text="x"))


def test_a_lease_whose_reason_cannot_be_kept_is_given(zcp: Zcp, engine: Made) -> None:
    with engine.open() as signer:
        signer.load_policy(POLICY + "lease: 1h\n")
    take_no_texts(zcp.directory)
    done = zcp("lease")
    assert done.status == 0, done.err
    assert "its reason is not kept" in done.err
    assert zcp.signs()


# ---- Nothing finds room -------------------------------------------------------------------------


def test_a_halt_whose_record_finds_no_room_binds_by_its_ticket(zcp: Zcp) -> None:
    assert zcp.signs()
    before = commands(zcp.directory)
    done = zcp.full(NO_RECORD, "halt", "--reason", LONG, "--json")
    assert done.status == 9, done.err
    error = done.json()["error"]
    assert (error["in_force_by"], error["ticket"], error["status"]) == ("ticket", 1, "IO_SPACE")
    assert "nothing is signed until the engine has answered it" in error["message"]
    assert error["next_step"].startswith("make room: ")
    assert commands(zcp.directory) == before
    assert not zcp.signs()  # this one had room, and recorded the halt
    assert len(commands(zcp.directory)) == len(before) + 1
    assert zcp("resume", "--reason", "over").status == 0
    assert zcp.signs()


def test_a_halt_that_finds_no_room_at_all_binds_by_the_stop_word(zcp: Zcp) -> None:
    assert zcp.signs()
    before = commands(zcp.directory)
    done = zcp.full(NO_FRAME, "halt", "--reason", LONG)
    assert done.status == 9, done.err
    assert "the halt is in force by the stop word, but in no record yet" in done.err
    assert "next step: make room, then halt again" in done.err
    error = zcp.full(NO_FRAME, "kill-switch", "activate", "--reason", LONG, "--json").json()[
        "error"
    ]
    assert (error["exit_status"], error["in_force_by"]) == (9, "stop_word")
    assert "ticket" not in error
    assert not zcp.signs()
    assert commands(zcp.directory) == before
    assert zcp("halt", "--reason", "why").status == 0
    assert zcp("status", "--json").json()["stop_word"] == ""
    assert zcp("resume", "--reason", "over").status == 0
    assert zcp.signs()


def test_a_submitted_halt_without_room_says_what_it_binds_by(zcp: Zcp, tmp_path: Path) -> None:
    file = tmp_path / "halt.cmd"
    assert zcp("command", "draft", "halt", "--reason", "why", "--out", file).status == 0
    assert zcp("command", "sign", file, "--yes").status == 0
    for room, by in ((NO_FRAME, "stop_word"), (NO_RECORD, "ticket")):
        done = zcp.full(room, "command", "submit", file, "--json")
        assert done.status == 9, done.err
        assert done.json()["error"]["in_force_by"] == by
        assert not zcp.signs()


@pytest.mark.parametrize("verb", ["drain", "resume"])
def test_what_binds_by_nothing_says_nothing_of_it(zcp: Zcp, verb: str) -> None:
    done = zcp.full(NO_FRAME, verb, "--reason", LONG, "--json")
    assert done.status == 9, done.err
    assert "in_force_by" not in done.json()["error"]
    assert zcp.signs()


def test_a_halt_without_room_stops_a_writer_that_has_room(zcp: Zcp, engine: Made) -> None:
    with engine.open() as signer:
        session = signer.session("notes")
        session.sign(Message(text="x"))
        assert zcp.full(NO_FRAME, "halt", "--reason", LONG).status == 9
        with pytest.raises(PolicyDenied) as denied:
            session.sign(Message(text="x"))
        assert denied.value.reason == "control_stop"


def test_a_signers_halt_on_a_full_disk_binds_over_the_restart(zcp: Zcp) -> None:
    assert zcp.signs()
    program = f"""
import resource
from sentinel import EngineHalted, Message, PolicyDenied, Signer, SigningFailed
from sentinel.errors import StorageError
with Signer.open({str(zcp.directory)!r}, passphrase={PASSPHRASE!r}) as signer:
    session = signer.session("notes")
    session.sign(Message(text="x"))
    resource.setrlimit(resource.RLIMIT_FSIZE, ({NO_FRAME}, {NO_FRAME}))
    try:
        signer.halt({LONG!r})
    except StorageError as error:
        print(error.in_force_by, error)
    try:
        session.sign(Message(text="x"))
        print("signed")
    except (EngineHalted, PolicyDenied, SigningFailed) as error:
        print("then", error)
"""
    before = commands(zcp.directory)
    done = full_disk(resource.RLIM_INFINITY, "-c", program)
    assert done.status == 0, done.err
    said, then = done.out.splitlines()
    assert said.startswith("stop_word the halt is in force by the stop word, but in no record yet")
    assert "the device is full" in said
    assert then.startswith("then ")
    assert not zcp.signs()
    assert commands(zcp.directory) == before
    assert zcp("halt", "--reason", "why").status == 0
    assert zcp("resume", "--reason", "over").status == 0
    assert zcp.signs()
