"""The reason of a command: blanks alone are none, wherever one is given.

Goal: each verb refuses an empty reason, one of blanks, one that is too long and one that is no
text, and nothing changes. Method: the command and the library on a small engine.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from desk import files
from engines import PASSPHRASE, POLICY, Made

from sentinel._cli import main
from sentinel.audit import restore
from sentinel.errors import UsageError

BLANKS = ["", " ", "\t \n", "\u00a0\u2003"]
VERBS = [
    ("halt",),
    ("halt", "--venue", "binance_spot"),
    ("resume",),
    ("drain",),
    ("drain", "--again"),
    ("drain", "--again", "--send", "--halt-when-done"),
    ("lease",),
    ("kill-switch", "activate"),
    ("kill-switch", "deactivate"),
    ("command", "draft", "halt", "--out", "never.cmd"),
    ("approvals", "approve", "1", "--yes"),
    ("approvals", "reject", "1", "--yes"),
]


@pytest.fixture
def leased(engine: Made, tmp_path: Path, monkeypatch: Any) -> Made:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.chdir(tmp_path)
    with engine.open() as signer:
        signer.load_policy(POLICY + "lease: 1h\n")
    return engine


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_command_without_a_reason_is_refused_and_changes_nothing(
    leased: Made, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    before = files(leased.directory)
    for reason in (*BLANKS, "x" * 4_097, "\udcff"):
        if verb == ("drain", "--again") and not reason:
            continue  # it signs no command, and shows the list
        assert main([*verb, "--reason", reason, "--dir", str(leased.directory)]) == 2, reason
        err = capsys.readouterr().err
        assert "reason" in err
        assert "next step:" in err
    assert files(leased.directory) == before
    assert not Path("never.cmd").exists()


@pytest.mark.parametrize("verb", ["halt", "drain", "resume", "lease"])
def test_a_signers_command_without_a_reason_is_refused_and_changes_nothing(
    leased: Made, verb: str
) -> None:
    with leased.open() as signer:
        before = files(leased.directory)
        for reason in (*BLANKS, "x" * 4_097, "\udcff"):
            with pytest.raises(UsageError, match="the reason"):
                signer.lease(reason=reason) if verb == "lease" else getattr(signer, verb)(reason)
        assert files(leased.directory) == before
        state = restore(leased.directory).state()
        signer.lease(reason="x" * 4_096) if verb == "lease" else getattr(signer, verb)("x" * 4_096)
        assert restore(leased.directory).state().record_count == state.record_count + 1
