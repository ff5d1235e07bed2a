"""zcp --connect: the commands that make sense through a session, and the others' refusal.

Goal: what `zcp` does with an engine's directory it does with a daemon, with a key of one's own.
Method: the command in this process, the real daemon in another one. docs/service.md, "Connect".
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import Desk, make_desk

from sentinel._cli import main
from sentinel._drafts import Draft
from sentinel._enums import Command
from sentinel._frame import FrameKind, unsafe_parse_frame

ROWS = {"maker": 100, "operator": 3, "feeder": 4, "policy": 2}
Run = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(tmp_path_factory.mktemp("desk"))
    made.key_files(*ROWS)
    made.start()
    yield made
    made.stop(signal.SIGKILL)


@pytest.fixture
def zcp(desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(desk.top / "passphrase"))

    def run(who: str, *words: str, scheme: str = "unix") -> tuple[int, Any]:
        capsys.readouterr()
        session = ["--session-key", str(desk.top / f"{who}.key"), "--key-id", str(ROWS[who])]
        status = main(
            [
                *(*words, "--connect", f"{scheme}://{desk.socket}", "--pin", str(desk.pin)),
                *(*session, "--json"),
            ]
        )
        return status, json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("scheme", ["unix", "shm"])
def test_sign_and_status(zcp: Run, scheme: str) -> None:
    agent = ("--agent", "firm/maker")
    status, signed = zcp("maker", "sign", "--message", "hello", *agent, scheme=scheme)
    assert status == 0
    assert signed["verdict"] == "allowed"
    assert len(bytes.fromhex(signed["signature"])) == 64
    status, found = zcp("maker", "status", *agent, scheme=scheme)
    assert status == 0
    assert found["records"] == signed["record"] + 1
    assert found["next_action"] == signed["action_id"] + 1


def test_a_refused_order_exits_with_three(zcp: Run, tmp_path: Path) -> None:
    order = tmp_path / "order.json"
    order.write_text(
        '{"action": "place", "instrument": "BTCUSDT", "side": "buy", "type": "limit",'
        ' "time_in_force": "gtc", "quantity": "1", "price": "65000.10"}'
    )
    status, said = zcp("maker", "sign", str(order), "--agent", "firm/maker")
    assert status == 3
    assert said["error"]["reason"] == "value_cap"


def test_halt_and_resume_and_drain(zcp: Run) -> None:
    on = ("--scope", "firm/maker", "--reason", "a test")
    status, halted = zcp("operator", "halt", *on)
    assert status == 0
    assert halted["acknowledged"]["verb"] == "halt"
    status, said = zcp("maker", "sign", "--message", "x", "--agent", "firm/maker")
    assert (status, said["error"]["reason"]) == (3, "kill_switch")
    assert zcp("operator", "resume", *on)[0] == 0
    assert zcp("operator", "drain", *on)[0] == 0
    assert zcp("operator", "kill-switch", "deactivate", *on)[0] == 0
    assert zcp("maker", "sign", "--message", "x", "--agent", "firm/maker")[0] == 0


def test_marks_policies_and_signed_commands(zcp: Run, desk: Desk, tmp_path: Path) -> None:
    assert zcp("feeder", "mark", "set", "BTCUSDT", "65000.10")[0] == 0
    bundle = tmp_path / "policy.bundle"
    bundle.write_bytes(desk.policy())
    status, loaded = zcp("policy", "policy", "load", str(bundle))
    assert status == 0, loaded
    frame = desk.command(Command.RESUME)
    parsed = unsafe_parse_frame(frame, FrameKind.COMMAND)
    size = int.from_bytes(frame[16:20], "little")
    proofs = tuple((proof.key, proof.signature) for proof in parsed.proofs)
    draft = Draft(FrameKind.COMMAND, frame[:size], proofs, reason="a test")
    draft.write(tmp_path / "resume.cmd")
    status, said = zcp("operator", "command", "submit", str(tmp_path / "resume.cmd"))
    assert status == 0
    assert said["acknowledged"]["verb"] == "resume"
    status, said = zcp("operator", "lease")
    assert status == 2
    assert "no lease" in said["error"]["message"]


def test_what_is_missing_is_named(desk: Desk, capsys: pytest.CaptureFixture[str], zcp: Run) -> None:
    where = ["--connect", f"unix://{desk.socket}"]
    for words, said in (
        (["halt", "--reason", "x", *where], "which key"),
        (["sign", "--message", "x", *where, "--session-key", str(desk.top / "maker.key")], "agent"),
        (["status", *where, "--session-key", str(desk.top / "maker.key")], "which daemon"),
        (["--pin", str(desk.pin), "status"], "go with --connect"),
    ):
        capsys.readouterr()
        assert main(words) == 2
        assert said in capsys.readouterr().err
