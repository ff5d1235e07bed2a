"""A lease and two approvals as files, from the draft to what they do in the engine.

Goal: what one operator and two approvers sign apart, with key files of their own, takes effect,
and nothing else does. Method: the command itself, on an engine whose policy asks for both.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from people_desk import Desk, make_desk

POLICY = """\
version: 1
firm:
  name: firm
  allow: {actions: [message]}
  agents:
    agent: {}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
"""


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    words = ("--operators", "3", "--resume", "2", "--approvers", "3")
    return make_desk(tmp_path, capsys, monkeypatch, *words)


def _load(desk: Desk, source: str) -> None:
    path = Path(desk.file("policy.yaml"))
    path.write_text(source)
    done = desk.at("policy", "load", str(path))
    assert done.status == 0, done.err


def _send(desk: Desk, path: str, *names: str) -> int:
    for name in names:
        done = desk.sign(path, name)
        assert done.status == 0, done.err
    return desk.at("command", "submit", path).status


def test_one_operator_gives_a_lease(desk: Desk) -> None:
    _load(desk, POLICY + "lease: 1h\n")
    message = ("sign", "--message", "x", "--agent", "agent")
    assert "lease_expired" in desk.at(*message).err
    assert _send(desk, desk.draft("lease", "l.cmd", "--until", "30min"), "operator-3") == 0
    assert desk.at(*message).status == 0
    long = desk.draft("lease", "long.cmd", "--until", "2h")
    assert _send(desk, long, "operator-1") == 2  # longer than the policy lets
    refused = desk.sign(desk.draft("lease", "a.cmd", "--until", "30min"), "approver-1")
    assert "it is no operator, but approver" in refused.err


def test_two_approvers_approve_by_two_files(desk: Desk) -> None:
    rule = "  approval: {approvers: 2, within: 1h}\n"
    _load(desk, POLICY.replace("  agents:\n", f"{rule}  agents:\n"))
    message = ("sign", "--message", "x", "--agent", "agent", "--action-id", "7")
    asked = desk.at(*message, "--json")
    assert asked.status != 0
    record = str(asked.json()["error"]["record"])
    for number, name in enumerate(("approver-1", "approver-3")):
        assert desk.at(*message).status == asked.status  # too few
        path = desk.draft("approve", f"{number}.cmd", "--record", record)
        assert "says yes to the pending order" in desk.away("command", "show", path).out
        assert "is no approver, but operator" in desk.sign(path, "operator-1").err
        assert _send(desk, path, name) == 0
    assert desk.at(*message).status == 0
    assert desk.at("audit", "replay").status == 0
