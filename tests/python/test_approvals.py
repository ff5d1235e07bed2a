"""Orders that wait for people, from the policy's text to the signature.

Goal: an order above the gate is PENDING, two approvers approve it from two processes, it is signed
once; a second use, a third approver and an expired one are refused. Who answers sees the order in
full first. Method: an engine with three approvers' key files, the agent in this process, the
approvers in processes of their own.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from people_desk import PASSPHRASE, Desk, make_desk

from sentinel import Message, OrderPending, PolicyDenied, Signer
from sentinel._cli._approvals import _look
from sentinel._cli._shared import Cli
from sentinel.errors import PolicyInvalid

TOP = Path(__file__).resolve().parents[2]
POLICY = """\
version: 1
firm:
  allow: {actions: [message, place]}
  approval: {approvers: 2, within: 1h, when: {actions: [message]}}
  agents: {agent: {}, other: {}}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
"""


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    made = make_desk(tmp_path, capsys, monkeypatch, "--approvers", "3")
    load(made, POLICY)
    return made


def load(desk: Desk, text: str) -> None:
    path = Path(desk.file("policy.yaml"))
    path.write_text(text)
    done = desk.at("policy", "load", str(path))
    assert done.status == 0, done.err


def opened(desk: Desk) -> Signer:
    return Signer.open(desk.engine, passphrase=PASSPHRASE)


INTERRUPTIBLE = """\
import signal, sys
from sentinel._cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""


def process(desk: Desk, *words: str) -> subprocess.Popen[str]:
    """The command in a process of its own. A process in the background of a shell ignores
    interrupts, and so would what it starts; this one does not.
    """
    return subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *words, "--dir", str(desk.engine)],
        env={**os.environ, "PYTHONPATH": str(TOP / "python")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(signer: Signer, text: str = "buy the farm", agent: str = "agent") -> OrderPending:
    with pytest.raises(OrderPending) as raised:
        signer.session(agent).sign(Message(text=text), reasons="the plan says so")
    return raised.value


def test_an_order_of_a_batch_that_waits_is_said_in_its_place(desk: Desk) -> None:
    with opened(desk) as signer:
        batch = signer.session("agent").sign_many([Message(text="buy"), Message(text="sell")])
        for asked, text in zip(batch, ("buy", "sell"), strict=True):
            assert isinstance(asked, OrderPending)
            assert asked.order == Message(text=text)
            assert (asked.needed, asked.approvals) == (2, 0)
            assert [each.name for each in asked.waiting] == ["approval"]
        assert batch.allowed == 0


def answer(desk: Desk, verb: str, record: int, who: str, *more: str) -> Any:
    key = ("--key", desk.key(who), "--yes", *more)
    return desk.at("approvals", verb, str(record), "--reason", "known", *key)


def test_show_5_two_approve_from_two_processes_and_it_is_signed_once(desk: Desk) -> None:
    with opened(desk) as signer:
        session = signer.session("agent")
        asked = ask(signer)
        assert (asked.needed, asked.approvals) == (2, 0)
        assert ask_again(session, asked).record == asked.record
        people = [
            process(desk, *("approvals", "approve", str(asked.record), "--reason", f"by {who}"),
                    *("--key", desk.key(who), "--yes", "--wait", "30"))
            for who in ("approver-1", "approver-2")
        ]  # fmt: skip
        done: list[tuple[str, str]] = []
        waiting = threading.Thread(target=lambda: done.extend(p.communicate(30) for p in people))
        waiting.start()
        while waiting.is_alive():  # the writer applies what comes
            signer.poll()
            time.sleep(0.01)
        assert [each.returncode for each in people] == [0, 0], done
        signed = session.wait_approval(asked, timeout=5)
        assert signed.action_id == asked.action_id
        assert signer.receipt(signed.handle)["verdict"] == "allowed"
        with pytest.raises(PolicyDenied, match="duplicate") as second:
            session.sign(asked.order, action_id=asked.action_id)
        assert second.value.record == signed.handle.record  # the signature's
        late = ask(signer, "once more")
    # A third approver: of what was signed, and of what has enough.
    third = answer(desk, "approve", asked.record, "approver-3")
    assert third.status == 2
    assert "is no order that waits" in third.err
    assert answer(desk, "approve", late.record, "approver-1").status == 0
    twice = answer(desk, "approve", late.record, "approver-1")
    assert twice.status == 2
    assert "that approver has approved it before" in twice.err
    assert answer(desk, "approve", late.record, "approver-2").status == 0
    third = answer(desk, "approve", late.record, "approver-3")
    assert third.status == 2
    assert "no such open request" in third.err
    # An expired one: approved, and asked for too late.
    with opened(desk) as signer, pytest.raises(PolicyDenied, match="approval_expired"):
        signer.session("agent").sign(late.order, action_id=late.action_id, now_ns=late.until_ns)
    assert desk.at("audit", "replay").status == 0
    assert desk.at("audit", "verify").status == 0


def ask_again(session: Any, asked: OrderPending) -> OrderPending:
    with pytest.raises(OrderPending) as raised:
        session.sign(asked.order, action_id=asked.action_id)
    return raised.value


def test_an_answer_after_expiry_is_refused_and_says_so(desk: Desk) -> None:
    load(desk, POLICY.replace("within: 1h", "within: 50ms"))
    with opened(desk) as signer:
        asked = ask(signer)
    time.sleep(0.06)
    late = answer(desk, "approve", asked.record, "approver-1")
    assert late.status == 2
    assert "is expired; it cannot be answered any more" in late.err
    assert "asks anew" in late.err
    (row,) = desk.at("approvals", "list", "--all", "--json").json()["requests"]
    assert row["state"] == "expired"
    assert desk.at("approvals", "list", "--json").json()["requests"] == []
    with opened(desk) as signer, pytest.raises(PolicyDenied, match="approval_expired"):
        signer.session("agent").sign(asked.order, action_id=asked.action_id)


def test_who_answers_sees_everything_first(desk: Desk) -> None:
    with opened(desk) as signer:
        asked = ask(signer)
    (row,) = desk.at("approvals", "list", "--json").json()["requests"]
    assert row["record"] == asked.record
    assert row["record_hash"] == asked.record_hash.hex()
    assert row["agent"] == "firm/agent"
    assert (row["needed"], row["approvals"], row["state"]) == (2, 0, "open")
    assert row["order"]["text"] == "buy the farm"
    assert row["stated_reasons"] == "the plan says so"
    assert {"result": "WAIT", "type": "approval", "name": "approval"}.items() <= row["constraints"][
        -1
    ].items()
    shown = desk.at("approvals", "show", str(asked.record)).out
    for text in ("buy the farm", "firm/agent", "0 of 2", "expires in", "WAIT approval 'approval'",
                 "the plan says so", "PASS actions"):  # fmt: skip
        assert text in shown
    assert "buy the farm" in desk.at("approvals", "list").out
    assert desk.at("status", "--json").json()["waiting"] == [asked.record]
    assert f"for approvers: record {asked.record}" in desk.at("status").out
    unasked = desk.at("approvals", "approve", str(asked.record), "--reason", "x", "--key",
                      desk.key("approver-1"))  # fmt: skip
    assert unasked.status == 2
    assert "nobody is there to confirm it" in unasked.err
    done = answer(desk, "approve", asked.record, "approver-1", "--json").json()
    assert (done["by"], done["approvals"], done["needed"]) == ("approver-1", 1, 2)
    data = desk.at("approvals", "show", str(asked.record), "--json").json()
    assert data["approved_by"] == ["approver-1"]
    assert data["answers"][0]["reason"] == "known"
    (followed,) = desk.at("audit", "trace", str(asked.record), "--json").json()["followed"]
    assert (followed["verb"], followed["stated_reason"]) == ("approve", "known")
    told = desk.at("audit", "show", str(asked.record), "--json").json()
    assert (told["verdict"], told["reason"]) == ("pending", "approval_needed")


def test_one_rejects_and_it_stays_so(desk: Desk) -> None:
    with opened(desk) as signer:
        asked = ask(signer)
    assert answer(desk, "approve", asked.record, "approver-1").status == 0
    assert answer(desk, "approve", asked.record, "approver-2").status == 0
    done = answer(desk, "reject", asked.record, "approver-3")
    assert done.status == 0, done.err
    assert "the order is not signed" in done.out
    again = answer(desk, "approve", asked.record, "approver-3")
    assert "is rejected; it cannot be answered" in again.err
    with opened(desk) as signer:
        with pytest.raises(PolicyDenied, match="approval_rejected") as refused:
            signer.session("agent").wait_approval(asked, timeout=1)
        assert "approvals show" in refused.value.next_step
        anew = ask(signer)
        assert anew.action_id == asked.action_id + 1


def test_an_agent_takes_its_own_back(desk: Desk) -> None:
    with opened(desk) as signer:
        session = signer.session("agent")
        asked = ask(signer)
        with pytest.raises(PolicyInvalid):
            signer.session("other").withdraw(asked)
        record = session.withdraw(asked)
        with pytest.raises(PolicyInvalid):
            session.withdraw(asked.action_id)
        assert ask_again(session, asked).record > record  # the id was not used
        session.withdraw(asked)
    gone = answer(desk, "approve", asked.record, "approver-1")
    assert gone.status == 2
    shown = desk.at("approvals", "show", str(asked.record)).out
    assert f"waits no more: withdrawn (record {record})" in shown
    assert desk.at("audit", "show", str(record), "--json").json()["request"] == asked.record


def test_the_command_takes_a_request_back(desk: Desk) -> None:
    with opened(desk) as signer:
        asked, other = ask(signer), ask(signer, "another")
        locked = desk.at("approvals", "withdraw", str(asked.record))
        assert locked.status == 6
        assert f"zcp approvals reject {asked.record}" in locked.err
    done = desk.at("approvals", "withdraw", str(asked.record), "--json")
    assert done.status == 0, done.err
    told = done.json()
    assert (told["verb"], told["request"], told["agent"]) == (
        "withdraw",
        asked.record,
        "firm/agent",
    )
    assert told["action_id"] == asked.action_id
    shown = desk.at("approvals", "show", str(asked.record), "--json").json()
    assert shown["state"] == f"withdrawn (record {told['record']})"
    assert [row["verb"] for row in shown["answers"]] == ["withdraw"]
    twice = desk.at("approvals", "withdraw", str(asked.record))
    assert (twice.status, "is no order that waits" in twice.err) == (2, True)
    assert answer(desk, "reject", other.record, "approver-1").status == 0
    over = desk.at("approvals", "withdraw", str(other.record))
    assert (over.status, "it cannot be taken back any more" in over.err) == (2, True)
    with opened(desk) as signer:
        again = ask_again(signer.session("agent"), asked)  # the id was not used
        assert again.record > asked.record
    text = desk.at("approvals", "withdraw", str(again.record)).out
    assert f"taken back: {again.record} of firm/agent: " in text
    assert f"action {asked.action_id} was not used" in text
    assert desk.at("approvals", "list", "--json").json()["requests"] == []
    assert desk.at("audit", "replay").status == 0


def test_an_approved_request_is_taken_back_too(desk: Desk) -> None:
    with opened(desk) as signer:
        asked = ask(signer)
    for who in ("approver-1", "approver-2"):
        assert answer(desk, "approve", asked.record, who).status == 0
    assert desk.at("approvals", "withdraw", str(asked.record)).status == 0
    with opened(desk) as signer:
        assert ask_again(signer.session("agent"), asked).approvals == 0


def test_wait_gives_up_in_time_and_the_request_stays(desk: Desk) -> None:
    with opened(desk) as signer:
        asked = ask(signer)
        slept: list[float] = []
        with pytest.raises(OrderPending) as still:
            signer.session("agent").wait_approval(asked, timeout=0, sleep=slept.append)
        assert still.value.record == asked.record
        assert slept == []


def test_requests_survive_the_writer(desk: Desk) -> None:
    with opened(desk) as signer:
        asked = ask(signer)
    assert answer(desk, "approve", asked.record, "approver-2").status == 0
    with opened(desk) as signer:
        session = signer.session("agent")
        assert ask_again(session, asked).approvals == 1
        other = ask(signer, "another")  # gets an id of its own
        assert other.action_id > asked.action_id
    assert answer(desk, "approve", asked.record, "approver-3").status == 0
    with opened(desk) as signer:
        assert signer.session("agent").wait_approval(asked, timeout=1).signature
    assert desk.at("audit", "replay").status == 0


def test_only_approvers_answer(desk: Desk) -> None:
    with opened(desk) as signer:
        asked = ask(signer)
    own = desk.at("approvals", "approve", str(asked.record), "--reason", "x", "--yes")
    assert own.status == 7  # the engine's own keys are no approver's
    for record, text in ((1, "is no order that waits"), (9999, "record 9999")):
        none = answer(desk, "approve", record, "approver-1")
        assert none.status != 0
        assert text in none.err
    empty = desk.at("approvals", "approve", str(asked.record), "--reason", " ", "--yes")
    assert "the reason is empty" in empty.err


def test_a_command_that_several_signed_answers_too(desk: Desk) -> None:
    with opened(desk) as signer:
        asked = ask(signer)
    path = desk.draft("approve", "yes.cmd", "--record", str(asked.record))
    assert desk.sign(path, "approver-1", "one.cmd").status == 0
    assert desk.sign(desk.file("one.cmd"), "approver-3").status == 0
    done = desk.at("command", "submit", desk.file("one.cmd"))
    assert done.status == 0, done.err
    with opened(desk) as signer:
        assert signer.session("agent").wait_approval(asked, timeout=1).signature


def test_sign_says_what_it_waits_for(desk: Desk) -> None:
    words = ("sign", "--message", "hello", "--agent", "agent")
    done = desk.at(*words)
    assert done.status == 13
    for text in ("it waits for approvers: 0 of 2", "zcp approvals list", "asks people (always"):
        assert text in done.err
    data = desk.at(*words, "--json").json()["error"]
    assert (data["kind"], data["needed"], data["exit_status"]) == ("OrderPending", 2, 13)
    assert data["waiting"][0]["type"] == "approval"
    assert len(data["record_hash"]) == 64


def test_watch_tells_each_change_once(desk: Desk) -> None:
    with opened(desk) as signer:
        asked = ask(signer)
    assert answer(desk, "reject", asked.record, "approver-1").status == 0
    with opened(desk) as signer:
        asked = ask(signer, "another")
    (line,) = desk.at("approvals", "watch", "--once", "--json").out.splitlines()
    assert json.loads(line)["record"] == asked.record
    assert f"{asked.record} open (0 of 2)" in desk.at("approvals", "watch", "--once").out
    wrong = desk.at("approvals", "watch", "--every", "soon", "--once")
    assert wrong.status == 2


WATCHED = """\
version: 1
firm:
  allow: {actions: [message]}
  agents: {agent: {approval: {approvers: 2, within: 1h}}, other: {}}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
oversight: {notify: [message]}
"""


def next_of(lines: queue.Queue[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lines.get(timeout=20))
    return found


@contextmanager
def watching(desk: Desk) -> Iterator[queue.Queue[str]]:
    """The lines of a watch in a process of its own, which is interrupted in the end."""
    lines: queue.Queue[str] = queue.Queue()
    with process(desk, "approvals", "watch", "--every", "20ms", "--json") as watcher:
        out = watcher.stdout
        assert out is not None
        reader = threading.Thread(target=lambda: [lines.put(line) for line in out])
        reader.start()
        try:
            yield lines
            assert watcher.poll() is None  # it goes on until then
        finally:
            watcher.send_signal(signal.SIGINT)
            try:
                status = watcher.wait(20)
            finally:
                watcher.kill()
            reader.join(20)
        assert status == 130


def stands(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["event"], row["record"], row.get("state"), row.get("approvals")


def test_watch_goes_on_and_tells_as_it_happens(desk: Desk) -> None:
    load(desk, WATCHED)
    with opened(desk) as signer:
        first = ask(signer, "there before")
    with watching(desk) as lines:
        assert stands(next_of(lines)) == ("request", first.record, "open", 0)
        with opened(desk) as signer:
            asked = ask(signer)
        told = next_of(lines)
        assert stands(told) == ("request", asked.record, "open", 0)
        assert "buy the farm" in told["text"]
        for who, state, count in (("approver-1", "open", 1), ("approver-2", "approved", 2)):
            assert answer(desk, "approve", asked.record, who).status == 0
            assert stands(next_of(lines)) == ("request", asked.record, state, count)
        with opened(desk) as signer:
            number = signer.session("agent").wait_approval(asked, timeout=1).handle.record
        state = f"signed (record {number})"
        assert next_of(lines) == {"event": "ended", "record": asked.record, "state": state}
        # All messages are under notice, this one, too.
        assert stands(next_of(lines)) == ("notice", number, None, None)
        with opened(desk) as signer:
            noted = signer.session("other").sign(Message(text="hello")).handle.record
        told = next_of(lines)
        assert stands(told) == ("notice", noted, None, None)
        assert "hello" in told["text"]
        assert answer(desk, "reject", first.record, "approver-3").status == 0
        assert stands(next_of(lines)) == ("request", first.record, "rejected", 0)
        time.sleep(0.1)  # some more looks
    assert lines.empty()  # nothing was said twice


def looked(desk: Desk, capsys: pytest.CaptureFixture[str], known: Any, seen: int) -> Any:
    """One more look; what it says, and where it ended."""
    capsys.readouterr()
    end = _look(Cli(desk.engine, json=True), known, seen)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()], end


def test_watch_tells_what_came_and_went_between_two_looks(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    load(desk, WATCHED)
    known: dict[int, tuple[str, int]] = {}
    told, seen = looked(desk, capsys, known, -1)
    assert told == []
    with opened(desk) as signer:
        noted = signer.session("other").sign(Message(text="hello")).handle.record
        taken_back, signed = ask(signer, "taken back"), ask(signer, "signed")
        rejected = ask(signer, "rejected")
        withdrawn = signer.session("agent").withdraw(taken_back)
    for who in ("approver-1", "approver-2"):
        assert answer(desk, "approve", signed.record, who).status == 0
    assert answer(desk, "reject", rejected.record, "approver-1").status == 0
    with opened(desk) as signer:
        number = signer.session("agent").wait_approval(signed, timeout=1).handle.record
    told, seen = looked(desk, capsys, known, seen)
    rows = [(row["event"], row["record"], row.get("state", "")) for row in told]
    assert rows == [
        ("request", taken_back.record, "open"),
        ("request", signed.record, "open"),
        ("request", rejected.record, "rejected"),
        ("ended", taken_back.record, f"withdrawn (record {withdrawn})"),
        ("ended", signed.record, f"signed (record {number})"),
        ("notice", noted, ""),
        ("notice", number, ""),
    ]
    assert "signed" in told[1]["text"]
    assert (told[1]["approvals"], told[1]["needed"]) == (0, 2)  # as it was asked
    assert looked(desk, capsys, known, seen) == ([], seen)


def test_oversight_is_explained_and_notices_are_marked(desk: Desk) -> None:
    kept = [line for line in POLICY.splitlines() if "approval" not in line]
    load(desk, "\n".join([*kept, "oversight: {notify: [message]}", ""]))
    explained = desk.at("policy", "explain", "agent").out
    assert "each message is marked for people" in explained
    done = desk.at("sign", "--message", "hello", "--agent", "agent", "--json").json()
    told = desk.at("audit", "show", str(done["record"]), "--json").json()
    assert "notify" in told["flags"]
    load(desk, POLICY)
    assert "always: 2 approvers within 1h" in desk.at("policy", "explain", "agent").out
