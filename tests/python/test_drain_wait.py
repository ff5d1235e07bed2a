"""zcp drain --halt-when-done beside the engine's writer: it waits for the end, then it halts.

Goal: it halts when the last order and the last position that a drain can close are gone, by what
was reported, and never before; what is still open when the time is over is named, and nothing is
halted; what was resumed meanwhile is not halted. Method: the desk of the other drains; this process
is the writer, as an agent's is, and the command another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from engines import PASSPHRASE
from test_drain import Desk, Zcp, desk, zcp

from sentinel import Signer
from sentinel._enums import OrderStatus
from sentinel.audit import RecordType, read_log

__all__ = ["desk", "zcp"]  # fixtures
TOP = Path(__file__).resolve().parents[2]
WORDS = ("drain", "--reason", "end of day", "--halt-when-done")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(PASSPHRASE + b"\n")
    path.chmod(0o600)
    return path


class Waiting:
    """The command in a process of its own."""

    def __init__(self, signer: Signer, process: subprocess.Popen[str]) -> None:
        self._signer, self._process = signer, process

    def until(self, true: Callable[[], bool]) -> None:
        """The writer goes on until something holds."""
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline
            self._signer.poll()
            time.sleep(0.01)

    def waits(self) -> None:
        """It does not end, and halts nothing, over some of its looks."""
        end = time.monotonic() + 0.8
        self.until(lambda: time.monotonic() > end)
        assert self._process.poll() is None
        assert self.modes() == ["draining"]

    def modes(self) -> list[str]:
        return [stop.mode for stop in self._signer.status().stops]

    def ended(self) -> tuple[int, str, str]:
        self.until(lambda: self._process.poll() is not None)
        out, err = self._process.communicate()
        return self._process.returncode, out, err


@contextmanager
def waiting(desk: Desk, secret: Path, signer: Signer, *words: str) -> Iterator[Waiting]:
    where = ("--dir", str(desk.made.directory), "--passphrase-file", str(secret), "--wait", "30")
    with subprocess.Popen(
        [sys.executable, "-m", "sentinel", *words, *where],
        env={**os.environ, "PYTHONPATH": str(TOP / "python")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Waiting(signer, process)
        finally:
            process.kill()


def test_it_halts_behind_the_last_order_and_position(desk: Desk, secret: Path) -> None:
    with desk.open() as signer:
        first, second = desk.trade(signer, "bybit", "okx")
        desk.hold(signer, bybit="-0.1", binance_spot="1")
        words = (*WORDS, "--timeout", "60s", "--json")
        with waiting(desk, secret, signer, *words) as command:
            command.until(lambda: command.modes() == ["draining"])
            command.waits()
            desk.report(signer, first, OrderStatus.CANCELLED)
            command.waits()
            desk.hold(signer, bybit="0")
            command.waits()  # for the order at okx; spot holds nothing up
            desk.report(signer, second, OrderStatus.CANCELLED)
            status, out, err = command.ended()
        assert status == 0, out + err
        [stop] = signer.status().stops
        assert (stop.path, stop.mode, stop.reason) == ("firm", "halted", "end of day")
    data = json.loads(out)
    assert data["waited"]["done"] is True
    assert data["halt"]["applied"] is True
    assert data["halt"]["record"] == stop.record
    assert [row["instrument"] for row in data["plan"]["stays_open"]] == ["binance_spot"]
    verbs = [row for row in read_log(desk.made.directory) if row.type is RecordType.COMMAND]
    assert len(verbs) == 2  # the drain and the halt


def test_it_says_what_is_open_when_the_time_is_over(desk: Desk, secret: Path) -> None:
    with desk.open() as signer:
        desk.trade(signer, "okx")
        desk.hold(signer, bybit="0.1")
        signer.drain("end of day")
        words = (*WORDS, "--again", "--timeout", "1s")
        with waiting(desk, secret, signer, *words) as command:
            status, out, err = command.ended()
        assert command.modes() == ["draining"]
    assert status == 11, out + err
    assert "not halted: something is still open after 1s" in out
    opened = [line for line in out.splitlines() if line.startswith("open ")]
    assert len(opened) == 2
    assert "bybit: to do: sell 0.1 of bybit" in opened[0]
    assert "okx: to do: cancel" in opened[1]
    assert "waiting    1s at most: 2 open: " in err


def test_what_was_resumed_meanwhile_is_not_halted(desk: Desk, secret: Path) -> None:
    with desk.open() as signer:
        [action] = desk.trade(signer, "okx")
        signer.drain("end of day")
        with waiting(desk, secret, signer, *WORDS, "--again", "--timeout", "60s") as command:
            command.waits()
            signer.resume("it goes on")
            desk.report(signer, action, OrderStatus.CANCELLED)
            status, out, err = command.ended()
        assert command.modes() == []
    assert status == 2, out + err
    assert "firm does not drain" in err
    assert "resumed meanwhile" in err


def test_a_drain_that_ends_meanwhile_is_a_halt(desk: Desk, secret: Path) -> None:
    with desk.open() as signer:
        desk.trade(signer, "okx")
        words = (*WORDS, "--until", "3s", "--timeout", "60s", "--json")
        with waiting(desk, secret, signer, *words) as command:
            status, out, err = command.ended()
        assert command.modes() == ["halted"]
    assert status == 11, out + err
    data = json.loads(out)
    assert data["halt"] is None
    assert data["waited"]["done"] is False
    assert (
        "okx is halted" in data["plan"]["stays_open"][0]["why"]
        or "firm is halted" in (data["plan"]["stays_open"][0]["why"])
    )


def test_without_a_writer_it_halts_at_once_where_nothing_is_open(zcp: Zcp) -> None:
    status, out, err = zcp(*WORDS, "--scope", "trader")
    assert status == 0, out + err
    assert "draining: firm/trader" in out
    assert "halted: firm/trader: nothing is open, as far as the engine knows" in out
    with zcp.desk.open() as signer:
        assert [(s.path, s.mode) for s in signer.status().stops] == [("firm/trader", "halted")]


def test_a_wrong_key_is_refused_before_the_wait(desk: Desk, zcp: Zcp, tmp_path: Path) -> None:
    with desk.open() as signer:
        desk.trade(signer, "okx")
        signer.drain("end of day")
    began = time.monotonic()
    status, _, err = zcp(*WORDS, "--again", "--key", str(tmp_path / "nobody.key"))
    assert status != 0
    assert "nobody.key" in err
    assert time.monotonic() - began < 60  # not the ten minutes that it would wait


def test_it_ends_with_a_look_that_fails_only_when_the_time_is_over(
    desk: Desk, zcp: Zcp, monkeypatch: Any
) -> None:
    from sentinel._cli import _drain_wait
    from sentinel.errors import AuditError

    looked = []
    plain = _drain_wait.look

    def failing(*words: Any) -> Any:
        looked.append(words)
        if len(looked) < 3:
            raise AuditError("it is being written")
        return plain(*words)

    monkeypatch.setattr(_drain_wait, "look", failing)
    status, out, err = zcp(*WORDS)
    assert status == 0, out + err
    assert err.count("it is being written") == 1
