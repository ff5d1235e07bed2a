"""Acknowledgements: each command that is taken gives one, and it proves what it says.

Goal: the engine's signature, every field and the engine's id bind; the log makes the same again.
Method: the command itself on a small engine, and every part of its file altered.
"""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from engines import LIMIT, MARKS, PASSPHRASE, Made

from sentinel._cli import main
from sentinel.ack import ack_again, verify_ack
from sentinel.config import Installed, KeyFile
from sentinel.errors import UsageError, VerificationFailed
from sentinel.receipt import Expectation


@pytest.fixture
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))


def _expectation(engine: Made) -> Expectation:
    return Installed(engine.directory).expectation


def _halt(engine: Made, file: Path) -> dict[str, Any]:
    words = ["halt", "--reason", "fat finger", "--ack", str(file)]
    assert main([*words, "--dir", str(engine.directory)]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_a_halt_is_acknowledged_and_the_log_makes_the_same_again(
    engine: Made, tmp_path: Path, passphrase: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with engine.open() as signer:
        signer.feed_marks(MARKS)
        until = signer.session("firm/desk/maker").sign(LIMIT, action_id=1).usable_until_ms
    file = tmp_path / "ack.json"
    saved = _halt(engine, file)
    out = capsys.readouterr().out
    assert f"took effect at record {saved['record']} at {saved['timestamp']}" in out
    assert saved["released"][0]["venue"] == "binance_spot"
    assert saved["released"][0]["usable_until_ms"] == until
    assert saved["records"] == saved["record"] + 1
    found = verify_ack(file.read_text(), _expectation(engine))
    assert (found.record, found.verb.name) == (saved["record"], "HALT")
    # A resume, and a start, come behind it; the log still says the same.
    main(["resume", "--reason", "over", "--dir", str(engine.directory)])
    again = ack_again(
        Installed(engine.directory),
        KeyFile(engine.directory / "keys" / "engine", PASSPHRASE).ring,
        found.record,
    )
    assert again == found
    capsys.readouterr()
    expect = str(engine.directory / "expectation.json")
    assert main(["verify", str(file), "--expect", expect]) == 0
    assert "verified: a halt" in capsys.readouterr().out


def test_whatever_is_altered_is_found(engine: Made, tmp_path: Path, passphrase: None) -> None:
    saved = _halt(engine, tmp_path / "ack.json")
    expectation = _expectation(engine)
    verify_ack(saved, expectation)
    for name, value in saved.items():
        if name == "proof":
            continue
        altered = copy.deepcopy(saved)
        altered[name] = "x" if isinstance(value, str) else [value]
        with pytest.raises(VerificationFailed):
            verify_ack(altered, expectation)
        del altered[name]
        with pytest.raises(VerificationFailed):
            verify_ack(altered, expectation)
    raw = base64.b64decode(saved["proof"]["ack"])
    for at in range(len(raw)):
        altered = copy.deepcopy(saved)
        bad = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        altered["proof"]["ack"] = base64.b64encode(bad).decode()
        with pytest.raises((VerificationFailed, ValueError)):
            verify_ack(altered, expectation)
    with pytest.raises(VerificationFailed, match="nothing was pinned"):
        verify_ack(saved, None)
    other = Expectation(bytes(32), expectation.root_threshold, expectation.root_keys)
    with pytest.raises(VerificationFailed, match="another engine"):
        verify_ack(saved, other)


def test_only_commands_are_acknowledged(engine: Made) -> None:
    ring = KeyFile(engine.directory / "keys" / "engine", PASSPHRASE).ring
    with pytest.raises(UsageError, match="of the type genesis"):
        ack_again(Installed(engine.directory), ring, 0)
