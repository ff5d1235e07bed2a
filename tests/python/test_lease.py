"""The operators' lease: zcp lease, Signer.lease, and what zcp status says of it.

Goal: an engine whose policy asks for a lease signs nothing without one, and any one operator gives
it, as long as the policy allows. Method: the library with times that are given, and the command.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from engines import PASSPHRASE, POLICY, SECOND, Made

from sentinel import Message, PolicyDenied, Signer
from sentinel._cli import main
from sentinel.audit import replay, verify_log
from sentinel.errors import PolicyInvalid

LEASED = POLICY + "lease: 30s\n"


def says(signer: Signer, now_ns: int) -> str:
    try:
        signer.session("maker").sign(Message(text="x"), now_ns=now_ns)
    except PolicyDenied as denied:
        return denied.reason
    return "allowed"


def test_nothing_is_signed_without_a_lease(engine: Made) -> None:
    with engine.open() as signer:
        now = time.time_ns() + SECOND
        signer.load_policy(LEASED, now_ns=now)
        assert says(signer, now) == "lease_expired"
        signer.lease(now_ns=now)
        assert says(signer, now + 30 * SECOND - 1) == "allowed"
        assert says(signer, now + 30 * SECOND) == "lease_expired"
        now += 31 * SECOND
        with pytest.raises(PolicyInvalid):
            signer.lease(30 * SECOND + 1, now_ns=now)
        signer.lease(SECOND, "one more second", now_ns=now)
        assert says(signer, now) == "allowed"
        status = signer.status(now)
        assert status.lease_json(now) == {
            "needed": True,
            "until": status.lease_json(now)["until"],
            "valid": True,
        }
        assert "over since" in status.lease_lines(now + SECOND)[0]
    assert not verify_log(engine.directory).findings
    assert not list(replay(engine.directory).differences)


def test_the_command(engine: Made, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    def zcp(*words: str) -> tuple[int, str, str]:
        status = main([*words, "--dir", str(engine.directory)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    status, _, err = zcp("lease")
    assert status == 2
    assert "asks for no lease" in err
    with engine.open() as signer:
        signer.load_policy(LEASED)
    assert json.loads(zcp("status", "--json")[1])["lease"]["valid"] is False
    assert "lease      none: nothing is signed" in zcp("status")[1]
    status, _, err = zcp("lease", "--for", "31s")
    assert status == 2
    assert "the longest lease is 30s" in err
    status, out, err = zcp("lease", "--for", "20s")
    assert status == 0, err
    assert "lease until " in out
    lease = json.loads(zcp("status", "--json")[1])["lease"]
    assert (lease["needed"], lease["valid"]) == (True, True)
    assert "any one operator renews it: zcp lease" in zcp("status")[1]
