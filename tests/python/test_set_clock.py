"""A log that ran ahead: zcp status says so, and k of n operators set it back.

Goal: an engine that was opened while the machine's clock was far ahead is not lost, and nobody but
k of n, who saw both times in words, gets it back; where something was signed in the wrong time, the
text says what to do instead. Method: the library opens the engine ahead, people use the command.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from people_desk import PASSPHRASE, Desk, make_desk
from test_people_verbs import POLICY

from sentinel import Message, Signer
from sentinel._record import RecordFlag
from sentinel.audit import read_log, replay, verify_log
from sentinel.receipt import iso_time

YEAR = 365 * 86400 * 10**9


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    made = make_desk(tmp_path, capsys, monkeypatch, "--operators", "3", "--resume", "2")
    path = Path(made.file("policy.yaml"))
    path.write_text(POLICY)
    done = made.at("policy", "load", str(path))
    assert done.status == 0, done.err
    return made


def open_ahead(desk: Desk, by_ns: int, *, sign: bool = False) -> int:
    """The engine is opened, and used, by a clock that is ahead; gives the log's time."""
    now = time.time_ns() + by_ns
    with Signer.open(desk.engine, passphrase=PASSPHRASE.encode(), now_ns=now) as signer:
        if sign:
            signer.session("agent").sign(Message(text="x"), now_ns=now)
        signer.close(now)
    return max(record.now_ns for record in read_log(desk.engine))


def message(desk: Desk) -> tuple[int, str]:
    done = desk.at("sign", "--message", "x", "--agent", "agent")
    return done.status, done.err


def test_two_of_three_set_it_back(desk: Desk) -> None:
    assert message(desk)[0] == 0
    assert desk.at("status", "--json").json()["log_ahead"] is None
    last = open_ahead(desk, YEAR)
    refused = desk.at("sign", "--message", "x", "--agent", "agent")
    assert "zcp status says that the log's time is ahead" in refused.err
    status = desk.at("status")
    assert f"the log's time is {iso_time(last)}" in status.out
    assert "zcp command draft resume --clock" in status.out
    ahead = desk.at("status", "--json").json()["log_ahead"]
    assert ahead["can_be_set_back"] is True
    assert YEAR - 600 * 10**9 < ahead["ahead_ns"] <= YEAR
    plain = desk.draft("resume", "plain.cmd")
    assert desk.sign(plain, "operator-1").status == 0
    assert desk.sign(plain, "operator-2").status == 0
    refused = desk.at("command", "submit", plain)
    assert "the frame has expired" in refused.err
    assert "where zcp status says that the log's time is ahead" in refused.err

    path = desk.draft("resume", "clock.cmd", "--clock", reason="the host began a year ahead")
    shown = desk.away("command", "show", path)
    assert f"sets the log's time back from {iso_time(last)} to the real time" in shown.out
    assert "the engine's own is lifted too" in shown.out
    data = desk.away("command", "show", path, "--json").json()
    assert data["log_time"] == iso_time(last)
    assert data["until"] is None
    assert (data["needed"], data["of"]) == (2, 3)
    assert desk.sign(path, "operator-1").status == 0
    assert desk.at("command", "submit", path).status != 0  # one of two
    assert desk.at("status", "--json").json()["log_ahead"] is not None
    path = desk.draft("resume", "again.cmd", "--clock", reason="the host began a year ahead")
    assert desk.sign(path, "operator-1").status == 0
    assert desk.sign(path, "operator-3").status == 0
    ack = Path(desk.file("clock.ack"))
    done = desk.at("command", "submit", path, "--ack", str(ack))
    assert done.status == 0, done.err
    assert json.loads(ack.read_text())["clock_set_from"] == iso_time(last)
    expectation = str(desk.engine / "expectation.json")
    assert desk.run("verify", str(ack), "--expect", expectation).status == 0
    assert desk.at("status", "--json").json()["log_ahead"] is None
    assert message(desk) == (0, "")
    assert desk.at("command", "submit", path).status != 0  # taken before
    assert verify_log(desk.engine).findings == []
    assert list(replay(desk.engine).differences) == []
    flags = [record.has(RecordFlag.CLOCK_SET) for record in read_log(desk.engine)]
    assert flags.count(True) == 1
    number = flags.index(True)
    traced = desk.at("audit", "show", str(number), "--json")
    assert f'"clock_set_from": "{iso_time(last)}"' in traced.out
    assert "clock_set" in traced.out


def test_not_over_what_was_signed_in_the_wrong_time(desk: Desk) -> None:
    last = open_ahead(desk, YEAR, sign=True)
    status = desk.at("status")
    assert f"it cannot be set back: what was signed or taken at {iso_time(last)}" in status.out
    assert "zcp init" in status.out
    assert desk.at("status", "--json").json()["log_ahead"]["can_be_set_back"] is False
    out = Path(desk.file("clock.cmd"))
    words = ("--reason", "because", "--out", str(out), "--clock")
    refused = desk.at("command", "draft", "resume", *words)
    assert refused.status == 2
    assert "cannot be set back to now" in refused.err
    assert "zcp init" in refused.err
    assert not out.exists()


def test_it_is_drafted_where_the_log_is_ahead_and_for_the_firm(desk: Desk) -> None:
    words = ("--reason", "because", "--out", desk.file("c.cmd"), "--clock")
    assert "not ahead of this clock" in desk.at("command", "draft", "resume", *words).err
    assert "only a resume" in desk.at("command", "draft", "halt", *words).err
    scoped = desk.at("command", "draft", "resume", *words, "--scope", "firm/agent")
    assert "name nothing else" in scoped.err
    assert "draft it at the engine" in desk.away("command", "draft", "resume", *words).err


def test_keys_that_ended_before_the_logs_time_do_not_sign(desk: Desk) -> None:
    open_ahead(desk, 11 * YEAR)  # keys last ten
    path = desk.draft("resume", "clock.cmd", "--clock")
    refused = desk.sign(path, "operator-1")
    assert refused.status != 0
    assert "the key has expired" in refused.err
