"""Sentineld under a steady load for long: nothing is lost, nothing comes twice, nothing grows.

    python tests/enclave/soak.py --minutes 60 --rate 60 [--seed N] [--json FILE]

Eight agents sign at a fixed rate, over the Unix socket and over rings, with TLS and as peers. They
come and go, throw answers away and ask again. People halt and resume, load policies, renew the
lease and feed marks meanwhile. What each of them was told is kept, and at the end compared with the
log (`soak_judge.py`), which the auditor verifies. Exit status 1: something is wrong.

The rate is open: an order is due at its time, whether the one before was answered or not, and its
latency counts from then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from daemon_desk import AGENT_KEYS, LIMIT_ORDER, OPERATOR, POLICY_KEY, Desk, make_desk, node_of
from daemon_desk import FEEDER as FEEDER_KEY
from raw_client import Ask, library, seed_of
from soak_judge import Sample, Seen, Told, verdict

from sentinel import PolicyDenied, _core, _layout
from sentinel._enums import Algorithm, Purpose
from sentinel._frame import FrameKind
from sentinel._people import SigningKeys
from sentinel.client import AnswerLost, Client, ServiceUnreachable

AGENTS: Final = tuple(f"bot{i}" for i in range(8))
PEERS: Final = AGENTS[::4]
"""These agents have no key in their sessions: the kernel names them."""
CAPS: Final = ("10k USD", "9k USD")
POLICY: Final = """\
version: 1
firm:
  name: firm
  allow: {{actions: [place, message]}}
  max_value: {cap}
  agents: {{{agents}}}
assets:
  USDT: {{par: 1 USD}}
  BTC: {{}}
instruments:
  BTCUSDT: {{venue: binance_spot, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}}
keys:
  message: {{purpose: message, algorithm: ed25519, for: firm}}
  spot: {{venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}}
attempts: {{limit: 10000/s}}
lease: 5min
clock: {{tolerance: 10s}}
"""
MESSAGE: Final = {"action": "message", "text": "soak"}
MIDDLE: Final = LIMIT_ORDER | {"quantity": "0.146"}  # allowed under the first cap alone
LARGE: Final = LIMIT_ORDER | {"quantity": "1"}  # above both
KINDS: Final[tuple[Mapping[str, str], ...]] = (LIMIT_ORDER, MESSAGE, MIDDLE, LARGE)
WEIGHTS: Final = (60, 20, 10, 10)

BEAT_SECONDS: Final = 3.0
BEAT_IS_OLD_SECONDS: Final = 30.0  # the policy's silence is a minute
DEADLINE_SECONDS: Final = 20.0
SAMPLES: Final = 200


def policy_of(cap: str) -> str:
    beat = "heartbeat: {silence: 60s}"
    return POLICY.format(cap=cap, agents=", ".join(f"{name}: {{{beat}}}" for name in AGENTS))


# ---- What is in force ---------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """As people's acknowledged commands left it. While one is under way, nothing is sure."""

    sure: bool = False
    halted: frozenset[str] = frozenset()
    cap: str = CAPS[0]
    resumes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(AGENTS, 0))


class Scene:
    """The state, replaced as a whole: who finds the same object again knows it did not change."""

    def __init__(self) -> None:
        self.state = State()

    @contextmanager
    def change(self, **to: Any) -> Iterator[None]:
        before = self.state
        self.state = replace(before, sure=False)
        yield
        self.state = replace(before, sure=True, **to)


class World:
    """What all threads share."""

    def __init__(self, desk: Desk, rate: float, seconds: float, seed: int) -> None:
        self.desk, self.rate, self.seed = desk, rate, seed
        self.scene = Scene()
        self.begin = time.monotonic() + 1.0
        self.end = self.begin + seconds
        self.failed = threading.Event()

    def connect(self, name: str, scheme: str) -> Client:
        words: dict[str, Any] = {"role": "feeder" if name == "feeder" else "command"}
        if name in AGENTS:
            row = AGENT_KEYS + AGENTS.index(name)
            words = {"agent": f"firm/{name}", "key_id": row}
        else:
            words["key_id"] = {"policy": POLICY_KEY, "operator": OPERATOR, "feeder": FEEDER_KEY}[
                name
            ]
        if name in PEERS:
            words["peer"] = True
        else:
            ring = _core.Keyring()
            info = ring.import_(1, Purpose.AUTHORITY, Algorithm.ED25519, seed_of(name))
            words |= {"key": SigningKeys(ring, {info.public_key: 1}), "pin": self.desk.pin}
        where = f"{scheme}://{self.desk.socket}"
        return Client.connect(where, deadline=DEADLINE_SECONDS, **words)


class Worker(threading.Thread):
    """A thread whose failure ends the whole run."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(name=name)
        self.world = world
        self.random = random.Random(f"{world.seed} {name}")
        self.failure = ""
        self.told = Told()
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.failure = f"{self.name}: {type(error).__name__}: {error}"
            self.world.failed.set()

    def work(self) -> None:
        raise NotImplementedError

    def sleep_until(self, due: float) -> None:
        if self.world.failed.wait(max(0.0, due - time.monotonic())):
            raise SystemExit("another thread failed")


# ---- Agents -------------------------------------------------------------------------------------


class Trader(Worker):
    """One agent: signs at its times, comes and goes, asks again."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.node = node_of(name)
        self.latencies: list[float] = []
        self.action = 0
        self.client: Client | None = None
        self.beaten_at = 0.0
        self.beaten_after = -1  # how many resumes lay before the last heartbeat

    def work(self) -> None:
        interval = len(AGENTS) / self.world.rate
        due = self.world.begin + interval * AGENTS.index(self.name) / len(AGENTS)
        self.reconnect()
        while due < self.world.end:
            self.sleep_until(due)
            self.counts["due"] += 1
            self.beat_if_due()
            self.one(due)
            due += interval
        assert self.client is not None
        self.client.close()

    def reconnect(self) -> None:
        if self.client is not None:
            self.client.close()
        scheme = self.random.choice(["unix", "shm"])
        self.client = self.world.connect(self.name, scheme)
        self.session = self.client.session()
        self.counts[f"sessions {scheme}"] += 1

    def beat_if_due(self) -> None:
        state = self.world.scene.state
        fresh = time.monotonic() - self.beaten_at < BEAT_SECONDS
        if fresh and (not state.sure or self.beaten_after == state.resumes[self.name]):
            return
        desk, now = self.world.desk, time.time_ns()
        terms = replace(desk.terms(f"beat {self.name}"), issued_ns=now)
        part = _layout.heartbeat(self.node, self.counts["due"], now, terms)
        key = AGENT_KEYS + AGENTS.index(self.name)
        signature = _signature(self.name, part)
        assert self.client is not None
        taken = self.client.hand_in(_layout.attach_proofs(part, [(key, signature)]))
        self.told.frames.append(taken.record)
        if state.sure and self.world.scene.state is state:
            self.beaten_at, self.beaten_after = time.monotonic(), state.resumes[self.name]

    def one(self, due: float) -> None:
        (order,) = self.random.choices(KINDS, WEIGHTS)
        self.action += 1
        state, began = self.world.scene.state, time.monotonic()
        lot = self.random.random()
        if lot < 0.02:
            self.lose(order)
            state = State()  # When the first of the two was decided is not known.
        seen = self.ask(order)
        self.latencies.append(time.monotonic() - due)
        if state is self.world.scene.state:
            self.compare(order, state, began, seen)
        if 0.02 <= lot < 0.04:
            self.reconnect()
        if seen.allowed and (lot < 0.03 or lot > 0.98):
            self.ask_again(order, seen)

    def lose(self, order: Mapping[str, str]) -> None:
        """Asks, and goes without the answer."""
        desk = self.world.desk
        is_place = order["action"] == "place"
        struct = (
            desk.place(self.name, self.action, **order)
            if is_place
            else desk.order(self.name, self.action, order["text"])
        )
        session = desk.session(self.name)
        try:
            session.send(session.frame(Ask.SIGN, struct))
            if self.random.random() < 0.5:
                time.sleep(0.002)
        finally:
            session.close()
        self.told.lost[self.node, self.action] += 1
        self.counts["answers thrown away"] += 1

    def ask(self, order: Mapping[str, str]) -> Seen:
        """The decision, however often it takes to hear of it."""
        while True:
            try:
                signed = self.session.sign(order, action_id=self.action)
            except PolicyDenied as denied:
                number = -1 if denied.record is None else denied.record  # -1 is in no log
                seen = Seen(self.node, self.action, number, reason=denied.reason)
            except (AnswerLost, ServiceUnreachable):
                self.told.lost[self.node, self.action] += 1
                self.counts["answers lost"] += 1
                self.sleep_until(time.monotonic() + 0.01)
                continue
            else:
                digests = (signed.transaction_hash, signed.signature)
                seen = Seen(self.node, self.action, signed.handle.record, *digests)
            self.told.seen.append(seen)
            return seen

    def ask_again(self, order: Mapping[str, str], first: Seen) -> None:
        """The same order once more: the same bytes, or a duplicate."""
        again = self.ask(order)
        if again.allowed:
            # No decision of its own: what was told before is told again.
            assert again == first, f"{again} is not {first}"
            self.told.seen.pop()
            self.counts["asked again: same bytes"] += 1
        else:
            assert again.reason == "duplicate", again
            self.counts["asked again: duplicate"] += 1

    def compare(self, order: Mapping[str, str], state: State, began: float, seen: Seen) -> None:
        """The decision against what was in force, where that is known."""
        beaten = self.beaten_after == state.resumes[self.name]
        if not state.sure or not beaten or began - self.beaten_at > BEAT_IS_OLD_SECONDS:
            return
        expected = ""
        if order is LARGE or (order is MIDDLE and state.cap == CAPS[1]):
            expected = "value_cap"
        if self.name in state.halted:
            expected = "kill_switch"
        assert seen.reason == expected, f"{self.name} got {seen.reason!r}, not {expected!r}"
        self.counts["decisions foreseen"] += 1


def _signature(name: str, part: bytes) -> bytes:
    ring = _core.Keyring()
    info = ring.import_(1, Purpose.AUTHORITY, Algorithm.ED25519, seed_of(name))
    keys = SigningKeys(ring, {info.public_key: 1})
    return keys.sign(info.public_key, FrameKind.FEED, _layout.frame_hash(part))


# ---- People -------------------------------------------------------------------------------------


class Staff(Worker):
    """Operator, policy officer and feeder: one after the other, so that the state is known."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "staff")
        self.clients: dict[str, Client] = {}
        self.cap = 0
        self.marks = 0

    def work(self) -> None:
        with self.world.scene.change():
            self.renew()
        turns: list[tuple[float, Callable[[], None]]] = [
            (1.0, self.feed),
            (5.0, self.renew),
            (6.0, self.halt),
            (7.0, self.load),
        ]
        due = [self.world.begin + every for every, _ in turns]
        while (now := time.monotonic()) < self.world.end - 2:
            for i, (every, do) in enumerate(turns):
                if due[i] <= now:
                    do()
                    due[i] += every
            self.sleep_until(min(due))
        for client in self.clients.values():
            client.close()

    def at(self, who: str) -> Client:
        """A person's session, now and then a new one."""
        if who in self.clients and self.random.random() < 0.2:
            self.clients.pop(who).close()
        if who not in self.clients:
            self.clients[who] = self.world.connect(who, self.random.choice(["unix", "shm"]))
            self.counts["sessions of people"] += 1
        return self.clients[who]

    def feed(self) -> None:
        self.marks += 1
        self.at("feeder").feed_marks({"BTCUSDT": str(65000 + self.marks % 10)})
        self.counts["marks"] += 1

    def renew(self) -> None:
        self.told.frames.append(self.at("operator").lease(reason="renewed"))
        self.counts["renewals"] += 1

    def halt(self) -> None:
        whole = self.random.random() < 0.2
        names = AGENTS if whole else (self.random.choice(AGENTS),)
        scope = "firm" if whole else f"firm/{names[0]}"
        scene = self.world.scene
        with scene.change(halted=frozenset(names)):
            self.told.frames.append(self.at("operator").halt("soak", scope=scope))
        self.sleep_until(time.monotonic() + self.random.uniform(0.2, 1.5))
        counted = {n: c + (n in names) for n, c in scene.state.resumes.items()}
        with scene.change(halted=frozenset(), resumes=counted):
            self.told.frames.append(self.at("operator").resume("soak", scope=scope))
        self.counts["halts and resumes"] += 1

    def load(self) -> None:
        self.cap ^= 1
        with self.world.scene.change(cap=CAPS[self.cap]):
            _, taken = self.at("policy").load_policy(policy_of(CAPS[self.cap]))
            self.told.frames.append(taken.record)
        self.counts["policies loaded"] += 1


class Gauge(Worker):
    """What the daemon's process holds."""

    def __init__(self, world: World, pid: int) -> None:
        super().__init__(world, "gauge")
        self.pid = pid
        self.samples: list[Sample] = []

    def work(self) -> None:
        every = (self.world.end - self.world.begin) / SAMPLES
        for number in range(SAMPLES):
            self.sleep_until(self.world.begin + every * (number + 1))
            self.samples.append(Sample.of(self.pid, time.monotonic() - self.world.begin))


# ---- All of it ----------------------------------------------------------------------------------


@dataclass
class Run:
    """One that is over."""

    directory: Path
    told: Told
    samples: list[Sample]
    figures: dict[str, Any]

    @property
    def wrong(self) -> list[str]:
        found: list[str] = self.figures["wrong"]
        return found


def run(top: Path, *, seconds: float, rate: float, seed: int) -> Run:
    """A whole run, judged."""
    library()  # built before threads ask for it
    desk = make_desk(top, AGENTS, peers=dict.fromkeys(PEERS, os.getuid()))
    desk.start()
    try:
        workers, wrong = drive(desk, World(desk, rate, seconds, seed))
        if (status := desk.stop()) != 0:
            wrong.append(f"the daemon ended with {status}: {desk.log.read_text()}")
    finally:
        if desk.process is not None:
            desk.stop(signal.SIGKILL)
    told, counts = Told(), Counter[str]()
    for worker in workers:
        told.add(worker.told)
        counts += worker.counts
    samples = [x for worker in workers if isinstance(worker, Gauge) for x in worker.samples]
    late = [x for worker in workers if isinstance(worker, Trader) for x in worker.latencies]
    judged, found = verdict(desk.directory, told, samples)
    if counts["decisions foreseen"] < counts["due"] // 2:
        wrong.append("few decisions were foreseen: the comparison says little")
    figures = {"seconds": seconds, "rate": rate, "seed": seed, **judged}
    figures |= {"counts": dict(sorted(counts.items())), "latency_ms": quantiles(late)}
    return Run(desk.directory, told, samples, figures | {"wrong": wrong + found})


def drive(desk: Desk, world: World) -> tuple[list[Worker], list[str]]:
    """All threads, from the first policy to the last answer; and what was wrong."""
    assert desk.process is not None
    pid = desk.process.pid
    fds = Sample.of(pid, 0).fds
    staff = Staff(world)
    staff.told.frames.append(staff.at("policy").load_policy(policy_of(CAPS[0]))[1].record)
    workers = [staff, Gauge(world, pid), *(Trader(world, name) for name in AGENTS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wrong = [worker.failure for worker in workers if worker.failure]
    until = time.monotonic() + 5
    while (left := Sample.of(pid, 0).fds) != fds and time.monotonic() < until:
        time.sleep(0.05)
    if left != fds and not wrong:
        wrong.append(f"{fds} descriptors before the first session, {left} behind the last")
    return workers, wrong


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values) or [0.0]
    places = {"median": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    last = len(ordered) - 1
    return {name: round(ordered[int(last * at)] * 1e3, 3) for name, at in places.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="sentineld under a steady load for long")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=60.0, help="orders a second, of all agents")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the figures are written as well")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        done = run(Path(top), seconds=words.minutes * 60, rate=words.rate, seed=words.seed)
    text = json.dumps(done.figures, indent=2)
    print(text)
    if words.json is not None:
        words.json.write_text(text + "\n")
    for line in done.wrong:
        print(f"soak: {line}", file=sys.stderr)
    return 1 if done.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
