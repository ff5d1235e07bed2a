"""Traces of the model of who commands, done again by a real engine.

Goal: the engine answers each step as the model does. Method: Spin simulates tests/spin/humans.pml
with a fixed dozen of seeds; each printed step is done by an engine with three operators and three
approvers, whose keys this test has, at times that it gives.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engines import import_spot_key
from people_desk import PASSPHRASE, Desk, make_desk
from test_spin import MODEL

from sentinel import Message, OrderPending, PolicyDenied, Signer
from sentinel._drafts import Draft
from sentinel._enums import Command, Environment, Scope
from sentinel._frame import FrameKind
from sentinel._layout import FrameTerms, command
from sentinel._people import SigningKeys, person_id
from sentinel.audit import replay, verify_log
from sentinel.errors import SentinelError

MILLISECOND = 10**6
HOUR = 3600 * 10**9
SEEDS = range(1, 13)
POLICY = """\
version: 1
firm:
  allow: {actions: [message, place, cancel_all]}
  approval: {approvers: 2, within: 1h, when: {actions: [message]}}
  agents: {agent: {}, other: {}}
lease: 365 day
assets: {USDT: {par: 1 USD}, BTC: {}}
instruments:
  BTCUSDT: {venue: binance_spot, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
  spot: {venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}
"""
SMALL = {
    "action": "place",
    "instrument": "BTCUSDT",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "quantity": "0.01",
    "price": "65000.10",
}
LOWERS = {"action": "cancel_all", "instrument": "BTCUSDT"}
ORDERS: dict[str, dict[str, str]] = {"small": SMALL, "lowers": LOWERS}
BIG = Message(text="needs two")
VERBS = {
    "halt": (Command.HALT, (1,)),
    "drain": (Command.DRAIN, (1,)),
    "renew": (Command.LEASE, (2,)),
    "resume_one": (Command.RESUME, (1,)),
    "resume_same": (Command.RESUME, (1, 1)),
    "resume_two": (Command.RESUME, (1, 3)),
}


LEASE_ENDS = ("time", "lease")
RENEWED = ("op", "renew")
OVER = (
    ("ask", "big", "allowed"),
    ("ask", "withdraw", "ok"),
    ("by", "reject", "1", "ok"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One printed line, when it happens, and until when a lease goes that it gives."""

    words: tuple[str, ...]
    now: int
    until: int = 0


def trace(seed: int, directory: Path) -> list[tuple[str, ...]]:
    command = ("spin", "-T", f"-n{seed}", "-u12000", "-DTRACE", "-DKILLS=9", str(MODEL))
    done = subprocess.run(
        command, cwd=directory, check=True, capture_output=True, text=True, timeout=60
    )
    lines = (line.split() for line in done.stdout.splitlines())
    return [tuple(words[1:]) for words in lines if words[:1] == ["@"]]


def timed(lines: list[tuple[str, ...]], now: int) -> list[Step]:
    """The model's time runs out when it likes: a request after its hour, so the clock goes there;
    a lease is given for as long as the trace lets it last.
    """
    times, opened = [], 0
    for words in lines:
        now += MILLISECOND
        if words == ("time", "request"):
            now, opened = opened + HOUR, 0
        elif words[0] == "ask" and words[2] == "pending":
            opened = opened or now
        elif words in OVER:
            opened = 0
        times.append(now)
    ends = [*times, now + 1]
    steps = []
    for at, words in enumerate(lines):
        until = next(
            (n for n in range(at + 1, len(lines)) if lines[n][:2] in (LEASE_ENDS, RENEWED)),
            len(lines),
        )
        ended = until < len(lines) and lines[until] == LEASE_ENDS
        steps.append(Step(words, times[at], ends[until] if ended else ends[until] + 1))
    return steps


class Engine:
    """An engine, its people's keys, and what the agent and the approvers know."""

    def __init__(self, desk: Desk, now: int) -> None:
        self.desk, self.now, self.action_id = desk, now, 1
        people = [f"{power}-{n}" for power in ("operator", "approver") for n in (1, 2, 3)]
        self.keys = {
            name: SigningKeys.open(Path(desk.key(name)), PASSPHRASE.encode()) for name in people
        }
        self.requests = [(1, bytes(32))] * 2  # before the first: of nothing
        self.open()

    def open(self) -> None:
        self.signer = Signer.open(self.desk.engine, passphrase=PASSPHRASE, now_ns=self.now)
        self.session = self.signer.session("agent")
        self.other = self.signer.session("other")

    def take(self, verb: Command, people: list[str], target: int = 0, **more: Any) -> str:
        installed = self.signer.installed
        terms = FrameTerms(
            engine_id=installed.engine_id,
            environment=Environment(installed.environment),
            sequence=self.now,
            issued_ns=self.now - 1,
            expires_ns=self.now + HOUR,
        )
        draft = Draft(FrameKind.COMMAND, command(verb, target, "x", terms, **more))
        proofs = []
        for name in people:
            keys = self.keys[name]
            signature = keys.sign(next(iter(keys.ids)), FrameKind.COMMAND, draft.frame.hash)
            proofs.append((person_id(name), signature))
        frame = Draft(draft.kind, draft.signed, tuple(sorted(proofs))).raw
        try:
            self.signer.take(frame, now_ns=self.now)
        except SentinelError:
            return "refused"
        return "ok"

    def op(self, word: str, until: int) -> str:
        verb, numbers = VERBS[word]
        people = [f"operator-{n}" for n in numbers]
        if verb == Command.LEASE:
            return self.take(verb, people, scope=Scope.ENGINE, until_ns=until)
        return self.take(verb, people, self.signer.policy.nodes[0].id)

    def by(self, word: str, current: str) -> str:
        record, digest = self.requests[-1 if current == "1" else -2]
        verb = Command.REJECT if word == "reject" else Command.APPROVE
        who = "approver-1" if word == "reject" else f"approver-{word[-1]}"
        return self.take(verb, [who], scope=Scope.RECORD, record=record, record_hash=digest)

    def ask(self, word: str) -> str:
        self.action_id += word == "big_new"
        if word == "withdraw":
            try:
                self.session.withdraw(self.action_id, now_ns=self.now)
            except SentinelError:
                return "refused"
            return "ok"
        try:
            if word in ORDERS:
                self.other.sign(ORDERS[word], now_ns=self.now)
            else:
                self.session.sign(BIG, action_id=self.action_id, now_ns=self.now)
        except OrderPending as waits:
            if waits.record != self.requests[-1][0]:
                rows = self.signer._engine.state().pending
                row = next(row for row in rows if row.record == waits.record)
                self.requests.append((row.record, row.record_hash))
            return "pending"
        except PolicyDenied:
            return "denied"
        return "allowed"

    def do(self, step: Step) -> str:
        """What comes of a step, in the model's words."""
        self.now = step.now
        match step.words:
            case ("op", word, _):
                return self.op(word, step.until)
            case ("by", word, current, _):
                return self.by(word, current)
            case ("ask", word, _):
                return self.ask(word)
            case ("restart",):
                self.signer.close(self.now)
                self.open()
        return step.words[-1]


@pytest.mark.parametrize(
    "seed", [pytest.param(n, marks=[] if n < 3 else pytest.mark.long) for n in SEEDS]
)
def test_the_engine_does_what_the_model_does(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = ("--operators", "3", "--resume", "2", "--approvers", "3")
    desk = make_desk(tmp_path, capsys, monkeypatch, *people)
    import_spot_key(desk.engine)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    done = desk.at("policy", "load", str(policy))
    assert done.status == 0, done.err
    engine = Engine(desk, time.time_ns() + MILLISECOND)
    steps = timed(trace(seed, tmp_path), engine.now)
    assert len(steps) > 100
    for number, step in enumerate(steps):
        told = engine.do(step)
        assert told == step.words[-1], [each.words for each in steps[: number + 1]][-30:]
    engine.signer.close(engine.now)
    assert not verify_log(desk.engine).findings
    assert not list(replay(desk.engine).differences)
