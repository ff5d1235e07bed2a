"""The suite `service`: a daemon of its own over a ring and a socket, and one that runs already.

Goal: it runs, and its rows and shows are there; figures are nobody's business here. Method: few
rounds, with the daemon of this source tree.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from daemon_desk import make_desk
from raw_client import build, seed_of

from sentinel import _core
from sentinel._cli import main
from sentinel._enums import Algorithm, Purpose
from sentinel.bench import Settings, run_suite
from sentinel.bench.service import PROGRAM_VARIABLE
from sentinel.bench.suite import SUITES


def test_a_ring_and_a_socket_stand_beside_gate_and_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM_VARIABLE, str(build("sentineld")))
    found = run_suite(SUITES["service"], Settings(rounds=40))
    names = [row.name for row in found.rows]
    beside = ["unix", "echo", "gate.beside", "unix.rare", "echo.rare", "gate.rare"]
    assert names == ["ring.poll", "gate", *beside]
    assert all(row.p50 > 0 for row in found.rows)
    assert [show.bound for show in found.shows] == [2, 1.3, None, None]


def test_without_a_daemon_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM_VARIABLE, "/nowhere/sentineld")
    found = run_suite(SUITES["service"], Settings(rounds=1))
    assert found.rows == []
    assert "make -C enclave/daemon" in found.missing[0]


def test_a_daemon_that_runs_already_is_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(tmp_path)
    secret, key = tmp_path / "passphrase", tmp_path / "maker.key"
    secret.write_bytes(b"of the key")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    ring = _core.Keyring()
    ring.import_(1, Purpose.AUTHORITY, Algorithm.ED25519, seed_of("maker"))
    key.write_bytes(ring.seal(b"of the key", opslimit=1, memlimit=8192))
    desk.start()
    try:
        where = ["--connect", f"unix://{desk.socket}", "--pin", str(desk.pin)]
        who = ["--session-key", str(key), "--key-id", "100", "--agent", "firm/maker"]
        assert main(["bench", "service", "--rounds", "20", "--json", *where, *who]) == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert [row["name"] for row in result["rows"]] == ["connect"]
        assert main(["bench", "gate", *where, *who]) == 2
    finally:
        desk.stop(signal.SIGKILL)
