"""The steps of a drill up to the restart: load, halts and how long they take, kill -9."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from ._drill_beats import beating
from ._drill_field import Answer, Field, holds
from ._drill_load import Load, Plan, running
from ._drill_witness import needs_witness
from ._enums import Action, Cause, Command, Scope, label
from ._frame import FrameKind, unsafe_parse_frame
from ._layout import COMMAND
from ._record import Record, RecordType
from .ack import Ack
from .audit import read_log
from .bench import percentile
from .errors import SentinelError
from .order import unpack

PASSED: Final = "passed"
FAILED: Final = "failed"
NOT_IN_POLICY: Final = "not in the policy"
NOT_RUN: Final = "not run"
_LOAD_SECONDS: Final = 1.0
_WARM_SECONDS: Final = 3.0
_JITTER_S: Final = 0.004
_SETTLE: Final = 3
_LOWERS: Final = (Action.CANCEL, Action.CANCEL_ALL, Action.QUERY)
_PROBLEMS_MAX: Final = 20
_SILENCE: Final = (Cause.HEARTBEAT, Cause.PROGRESS)


@dataclass(slots=True)
class Step:
    """What a step did. It failed when there is a problem."""

    name: str
    title: str
    result: str = PASSED
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        """Something that must not be."""
        self.result = FAILED
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(text)

    def must(self, true: bool, text: str) -> None:
        """A problem unless it is so."""
        if not true:
            self.problem(text)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "result": self.result,
            "facts": self.facts,
            "problems": self.problems,
        }


@dataclass(slots=True)
class Drill:
    """What all steps share."""

    field: Field
    plan: Plan
    rounds: int
    progress: Callable[[str, int, int], None]
    first: int = 0
    """The first record of the drill."""
    resumed: bytes = b""
    """A resume that was taken: it must not be taken again."""

    def resume(self, *, everything: bool = False) -> None:
        """As the writer, by k of n; also what the engine stopped meanwhile for silence.
        `everything`: and what else is stopped, which a drill does to a copy alone.
        """
        frame = self.field.signed(Command.RESUME)
        with self.field.writer() as signer:
            signer.take(frame)
            for stop in signer._engine.state().stops:
                silent = stop.cause in _SILENCE and stop.record >= self.first
                if everything or silent:
                    signer.take(self.field.signed(Command.RESUME, on=(stop.scope, stop.id)))
        self.resumed = frame

    @contextmanager
    def load(self) -> Iterator[Load]:
        """The load, with a lease and with heartbeats where the policy wants them."""
        field_ = self.field
        field_.renew()
        with (
            running(field_.directory, field_.passphrase, self.plan) as load,
            beating(lambda: field_.beat() if load.alive() else None, field_.beating()),
        ):
            yield load


def wait_for(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0002)
    return True


def settle(load: Load) -> None:
    """Lets the load ask again: what it would still get, it gets now."""
    asked = load.refused + load.failed
    wait_for(lambda: load.refused + load.failed >= asked + _SETTLE, _WARM_SECONDS)


# ---- 1 and 2 ------------------------------------------------------------------------------------


def step_load(drill: Drill, load: Load) -> Step:
    """How much is signed when nothing stops it."""
    step = Step("load", "A process signs under load")
    silent = drill.field.silent(agent for agent, _ in drill.plan.orders)
    wait_for(lambda: load.signed > 0, _WARM_SECONDS)
    signed, began = load.signed, time.monotonic()
    time.sleep(_LOAD_SECONDS)
    rate = (load.signed - signed) / (time.monotonic() - began)
    step.facts = {
        "signatures_per_second": round(rate, 1),
        "agents": sorted({agent for agent, _ in drill.plan.orders}),
        "actions": sorted({str(order["action"]) for _, order in drill.plan.orders}),
        "refused_meanwhile": load.refused,
        "witness": _witness(drill.field),
    }
    if beats := drill.field.beating():
        step.facts["heartbeats"] = f"the drill beats for {', '.join(one.path for one in beats)}"
    if drill.field.renewed:
        step.facts["lease"] = "renewed by one operator whenever half of it is over"
    for path in silent:
        step.problem(f"{path} must beat, and its key is not here: give it with --key")
    step.must(load.signed > 0, "nothing was signed: the policy lets none of these orders through")
    step.must(load.alive(), "the process that signs has ended")
    return step


def _witness(field_: Field) -> str:
    """Which witness the drill has."""
    if not needs_witness(field_.public):
        return "the authority asks for none"
    if field_.own is not None:
        return "the drill's own, named in the copy alone; the engine's was not asked"
    return "the engine's own; copies of it ask none"


@dataclass(slots=True)
class _Times:
    """Of each round, in nanoseconds."""

    last: list[int] = field(default_factory=list)
    ack: list[int] = field(default_factory=list)
    idle: int = 0
    meanwhile: int = 0
    above: int = 0
    verified: int = 0


def step_halt(drill: Drill, load: Load, verb: Command = Command.HALT) -> Step:
    """Halts (or drains) from another process, again and again, and what is signed behind them."""
    what = label(verb)
    titles = {"halt": "Halts from another process", "drain": "Drains from another process"}
    step, times = Step(what, titles[what]), _Times()
    rounds = drill.rounds if verb is Command.HALT else max(3, drill.rounds // 10)
    for number in range(rounds):
        drill.progress(what, number, rounds)
        try:
            _round(drill, load, verb, times, step)
        except SentinelError as error:
            step.problem(f"round {number + 1}: {error}")
            break
    drill.progress(what, rounds, rounds)
    step.facts = {
        "rounds": len(times.ack),
        "rounds_without_load": times.idle,
        "signatures_between_command_and_acknowledgement": times.meanwhile,
        "acknowledgements_verified": times.verified,
    }
    if times.ack:
        if verb is Command.HALT:
            step.facts["signatures_above_acknowledgement"] = times.above
            step.facts["command_to_last_signature_us"] = spread(times.last)
        step.facts["command_to_acknowledgement_us"] = spread(times.ack)
    step.must(len(times.ack) == rounds, f"{len(times.ack)} of {rounds} rounds were made")
    step.must(times.idle < rounds, "no round was under load: nothing was being signed")
    return step


def _round(drill: Drill, load: Load, verb: Command, times: _Times, step: Step) -> None:
    field_, before = drill.field, load.signed
    field_.renew(spool=True)
    times.idle += not wait_for(lambda: load.signed > before, _WARM_SECONDS)
    time.sleep(random.random() * _JITTER_S)  # not always at the same place of the load's loop
    frame = field_.signed(verb, 1)
    signed, began = load.signed, time.monotonic_ns()
    answer = field_.answer(field_.submit(frame))
    settle(load)
    at, record = load.last
    if verb is Command.HALT and record > answer.record:
        times.above += 1
        step.problem(f"record {record} is a signature behind the halt of record {answer.record}")
    times.verified += _acknowledged(field_, answer, step)
    times.meanwhile += load.signed - signed
    times.last.append(max(at - began, 0))
    times.ack.append(answer.seen_ns - began)
    frame = field_.signed(Command.RESUME)
    field_.answer(field_.submit(frame))
    field_.beat()
    drill.resumed = frame


def _acknowledged(field_: Field, answer: Answer, step: Step) -> int:
    """1 where the engine signed what it answered."""
    if not answer.raw:
        step.problem(f"record {answer.record} was not acknowledged")
        return 0
    ack = Ack.parse(answer.raw)
    ack.verify(field_.public.genesis)
    step.must(ack.record == answer.record, f"the acknowledgement of {answer.record} is of another")
    return 1


def spread(times: Sequence[int]) -> dict[str, float]:
    """p50, p99 and the longest, in microseconds."""
    ordered = sorted(times)
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: percentile(ordered, share) / 1000 for name, share in shares.items()}


# ---- 3 ------------------------------------------------------------------------------------------


def step_restart(drill: Drill, load: Load) -> Step:
    """Kill -9 behind a halt that was acknowledged, then restart; and before it was."""
    step = Step("restart", "kill -9 of the writer, and a restart while halted")
    field_ = drill.field
    answer = field_.answer(field_.submit(field_.signed(Command.HALT, 1)))
    load.kill()
    field_.killed()
    why = field_.asks(drill.plan.orders)
    step.facts["killed_behind_the_acknowledgement"] = why
    step.must(holds(why), f"the next order behind the halt of record {answer.record}: {_told(why)}")
    drill.resume()
    with drill.load() as again:
        wait_for(lambda: again.signed > 0, _WARM_SECONDS)
        step.must(again.signed > 0, "nothing was signed behind the resume")
        field_.submit(field_.signed(Command.HALT, 1))
        again.kill()
    field_.killed()
    why = field_.asks(drill.plan.orders)
    step.facts["killed_before_the_acknowledgement"] = why
    step.must(holds(why), f"the next order behind a halt that had been submitted: {_told(why)}")
    return step


def _told(why: str) -> str:
    return f"refused for another reason: {why}" if why else "SIGNED"


# ---- What the log says --------------------------------------------------------------------------


def raises_risk(record: Record) -> bool:
    """Whether a signed order is more than a cancel, a query or a reduction."""
    order = unpack(record.subject).order
    return order.ACTION not in _LOWERS and not getattr(order, "reduce_only", False)


def signed_while_stopped(drill: Drill, first: int, step: Step) -> dict[str, int]:
    """Reads the log: no signature between a halt of the firm and the resume behind it."""
    policy = drill.field.public.policy
    assert policy is not None
    firm = policy.nodes[0].id
    mode, counts = "", {"halts": 0, "drains": 0, "resumes": 0, "signatures": 0}
    counts |= {"reductions_signed_while_draining": 0, "frames_refused": 0}
    for record in read_log(drill.field.directory, first):
        if record.type is RecordType.COMMAND:
            frame = unsafe_parse_frame(record.subject, FrameKind.COMMAND)
            command = COMMAND.unpack(frame.payload)
            if (command["scope"], command["target"]) != (Scope.NODE, firm):
                continue
            verb = label(Command(command["verb"]))
            mode = "" if verb == "resume" else verb
            counts[f"{verb}s"] += 1
        elif record.type is RecordType.REFUSED:
            counts["frames_refused"] += 1
        elif record.type is RecordType.ORDER and any(record.signature_digest):
            counts["signatures"] += 1
            counts["reductions_signed_while_draining"] += mode == "drain"
            if mode == "halt" or (mode == "drain" and raises_risk(record)):
                step.problem(f"record {record.number} holds a signature behind a {mode}")
    return counts
