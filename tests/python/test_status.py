"""zcp status where nothing is signed: the engine's own halt.

Goal: whoever reads it in an incident knows since when, why, and what lifts it. Method: engines that
come to be so, and the command itself; what cannot come to be here, from a state.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engines import PASSPHRASE, SECOND, Made, make_engine

from sentinel import Message
from sentinel._cli import main
from sentinel._engine_halt import engine_halt_of
from sentinel._status import Status
from sentinel.audit import RecordType, last_of, read_log, restore
from sentinel.config import Installed
from sentinel.errors import EngineHalted
from sentinel.receipt import iso_time

Zcp = Callable[..., str]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """An engine of an hour ago, so that its log is not ahead of any clock."""
    return make_engine(tmp_path / "engine", now_ns=time.time_ns() - 3600 * SECOND)


@pytest.fixture
def zcp(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Zcp:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))

    def run(*words: str) -> str:
        capsys.readouterr()
        with contextlib.suppress(SystemExit):
            assert main([*words, "--dir", str(made.directory)]) == 0
        return capsys.readouterr().out

    return run


def step_back(made: Made) -> None:
    """The clock steps back by 8 seconds, and the engine halts itself."""
    start = made.now_ns + 10 * SECOND
    with made.open(start) as signer:
        session = signer.session("notes")
        session.sign(Message(text="x"), now_ns=start)
        for _ in range(3):
            with pytest.raises(EngineHalted):
                session.sign(Message(text="x"), now_ns=start - 8 * SECOND)
        signer.close(start)


def test_a_clock_that_stepped_says_since_when_and_what_lifts_it(made: Made, zcp: Zcp) -> None:
    assert json.loads(zcp("status", "--json"))["engine_halt"] is None
    step_back(made)
    (record,) = (r for r in read_log(made.directory) if r.type is RecordType.HALT)
    halt = json.loads(zcp("status", "--json"))["engine_halt"]
    assert halt == {
        "status": f"{int(Status.USAGE_STATE):#06x}",
        "why": "the clock stepped by more than the tolerance, back or ahead",
        "record": record.number,
        "since": iso_time(record.now_ns),
        "missing": None,
        "first": "set the clock right",
        "lift": {"command": "zcp resume --reason TEXT", "operators": 1, "of": 1, "enough": True},
    }
    text = zcp("status")
    assert (
        f"HALTED     the engine itself, since {iso_time(record.now_ns)}, record {record.number}:"
        " the clock stepped by more than the tolerance, back or ahead"
    ) in text
    assert "set the clock right; 1 of 1 operators lift it: zcp resume --reason TEXT" in text
    zcp("resume", "--reason", "the clock is right")  # What it says is what lifts it.
    assert json.loads(zcp("status", "--json"))["engine_halt"] is None


def test_the_last_record_of_a_type_is_found_from_the_end(made: Made) -> None:
    step_back(made)
    rows = list(read_log(made.directory))
    for kind in RecordType:
        for count in (0, 1, len(rows) - 1, len(rows), len(rows) + 1):
            numbers = [r.number for r in rows[:count] if r.type is kind]
            for piece in (1, 2, 1024):
                found = last_of(made.directory, kind, count, piece)
                assert (None if found is None else found.number) == max(numbers, default=None)


@pytest.mark.parametrize(
    ("status", "first", "lift"),
    [
        (Status.AUDIT_CORRUPT, "nothing is written behind", ""),
        (Status.AUDIT_TRUNCATED, "nothing is written behind", ""),
        (Status.IO_SPACE, "mend the cause", "zcp resume --reason TEXT"),
        (Status.AUDIT_FRESHNESS, "find the newer copy", "zcp resume --gap --reason TEXT"),
    ],
)
def test_each_cause_has_its_remedy(made: Made, status: Status, first: str, lift: str) -> None:
    state = restore(made.directory).state()
    grant = replace(state.grant, gap_from=40, gap_to=43)
    halted = replace(state, halted=int(status), grant=grant)
    found = engine_halt_of(Installed(made.directory), halted, time.time_ns(), SECOND)
    assert found is not None
    assert found.record is None  # There is no HALT record.
    assert first in found.first
    assert found.lift == lift
    assert "by no record that can be read" in found.lines()[0]
    assert ("nothing lifts it" in found.lines()[1]) is (lift == "")
    assert found.to_json()["missing"] == (
        {"from": 40, "to": 42} if status is Status.AUDIT_FRESHNESS else None
    )


def test_a_log_that_is_ahead_is_set_back_or_waited_for(made: Made) -> None:
    installed, state = Installed(made.directory), restore(made.directory).state()
    halted = replace(
        state, halted=int(Status.USAGE_STATE), relied_ns=state.last_now_ns - 5 * SECOND
    )
    for now, says in (
        (state.last_now_ns - SECOND, "set the clock right"),  # Within the tolerance.
        (halted.relied_ns, "set the clock right"),
        (halted.relied_ns - 1, f"wait until {iso_time(halted.relied_ns)}"),
    ):
        found = engine_halt_of(installed, halted, now, SECOND)
        assert found is not None
        assert says in found.first
        assert ("--clock" in found.lift) is (now < state.last_now_ns - SECOND)
