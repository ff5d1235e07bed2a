"""Drills: the stop, proven end to end on a copy of an engine, and a report that the engine signs.

    report = run_drill("engine", passphrase, keys=keys, rounds=100)
    report.passed, report.write(Path("reports"))
    verify_drill(Path("reports/drill-….json"), expectation)

Nothing is sent anywhere: what is signed under load is counted and dropped.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._drill_attempts import step_approve, step_attempts, step_audit, step_resume
from ._drill_field import Field, copy_engine
from ._drill_load import Plan
from ._drill_report import Report, verify_drill
from ._drill_steps import (
    NOT_IN_POLICY,
    NOT_RUN,
    PASSED,
    Drill,
    Step,
    step_halt,
    step_load,
    step_restart,
)
from ._drill_witness import OwnWitness, needs_witness, own_witness, roots_here
from ._enums import Command, Environment, label
from ._log import writer_is_alive
from ._overview import Status as Engine
from ._overview import status_of
from ._people import SigningKeys
from ._stops import stop_word_of
from .audit import last_record, restore
from .bench.machine import processor
from .config import Installed, KeyFile
from .errors import EngineHalted, EngineLocked, SentinelError, UsageError
from .receipt import iso_time

__all__ = ["Options", "Plan", "Report", "run_drill", "verify_drill"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a drill is made.

    `plan`: what is signed under load; None: a message of the first agent that may sign one.
    `approval_order`: (agent, order) that must wait for approvers. `keep`: a new directory for the
    copy, which else goes. `live`: the engine itself, not a copy.
    """

    rounds: int = 100
    plan: Plan | None = None
    agent: str | None = None
    approval_order: tuple[str, Any] | None = None
    keep: Path | None = None
    live: bool = False
    progress: Callable[[str, int, int], None] = lambda _step, _done, _all: None


def run_drill(
    directory: Path, passphrase: bytes, keys: Sequence[SigningKeys], options: Options
) -> Report:
    """Makes the drill; the report says of each step whether it held.

    Raises KeyFileError when those who are there cannot resume, EngineLocked (live, and another
    process is the writer), EngineHalted (live, and something is stopped there), UsageError,
    StorageError.
    """
    if options.rounds < 1:
        raise UsageError("a drill has one round at least", next_step="give --rounds 1 or more")
    if options.live and writer_is_alive(directory):
        raise EngineLocked(
            "another process is the engine's writer, and a live drill has to be that itself",
            cause="it kills the writer while halted, and starts it again",
            next_step="stop that process first, or leave --live out: a copy is drilled beside it",
        )
    source = Field(directory, passphrase, tuple(keys))
    source.check_people()
    if options.live:
        _must_run(directory)
    if not options.live and needs_witness(source.public):
        roots_here(source.public, keys)
    with tempfile.TemporaryDirectory(prefix="zcp-drill-") as temporary, ExitStack() as stack:
        scratch = Path(temporary)
        place = directory if options.live else options.keep or scratch / "engine"
        if not options.live:
            if place.exists():
                raise UsageError(
                    f"{place}: there is something here already", next_step="name a new directory"
                )
            copy_engine(directory, place)
        own: OwnWitness | None = None
        if not options.live and needs_witness(source.public):
            own = stack.enter_context(own_witness(place, scratch / "witness", keys, passphrase))
        return _Course(place, scratch, passphrase, tuple(keys), options, own).run(directory)


def _must_run(directory: Path) -> None:
    """Whether nothing is stopped, from the files alone. Raises EngineHalted."""
    installed, state = Installed(directory), restore(directory).state()
    status = status_of(installed, state, installed.policy())
    word = stop_word_of(installed, installed.policy())
    _refuse_stops([*_stops_in(status), *([word] if word else [])])


def _stops_in(status: Engine) -> list[str]:
    """What does not run, a line each."""
    found = [
        f"{one.path} is {one.mode} since {iso_time(one.since_ns)} (record {one.record})"
        for one in status.stops
    ]
    if status.engine_halted:
        found.insert(0, f"the engine halted itself: {status.engine_halted}")
    return found


def _refuse_stops(stops: list[str]) -> None:
    """A live drill ends with everything lifted: it must not begin where somebody stopped a thing.
    Raises EngineHalted.
    """
    if stops:
        raise EngineHalted(
            f"stops are in force, and a live drill would lift them: {'; '.join(stops)}",
            cause="whoever stopped it did not mean a drill to lift that",
            next_step="drill a copy instead: the same command without --live; or first lift them:"
            " zcp resume --reason TEXT",
        )


class _Course:
    """One drill, from its first step to its report."""

    def __init__(
        self,
        place: Path,
        scratch: Path,
        passphrase: bytes,
        keys: tuple[SigningKeys, ...],
        options: Options,
        own: OwnWitness | None,
    ) -> None:
        self.scratch, self.options, self.passphrase = scratch, options, passphrase
        self.field = Field(place, passphrase, keys, options.live, own)
        self.steps: list[Step] = []
        self.first = last_record(place).number + 1
        self.began_ns = time.time_ns()

    def run(self, source: Path) -> Report:
        field, options = self.field, self.options
        if options.live:
            with field.writer() as signer:  # What lay in the spool is applied now.
                _refuse_stops(_stops_in(signer.status()))
        field.renew()
        plan = options.plan or self._message()
        drill = Drill(field, plan, options.rounds, options.progress, self.first)
        if not options.live and field.stopped():
            drill.resume(everything=True)  # Of a copy of what is stopped.
        before = self.scratch / "before"
        field.copy(field.directory, before)
        try:
            self._steps(drill, before)
        except SentinelError as error:
            broken = Step("drill", "The drill itself")
            broken.problem(f"it could not go on: {error}")
            self.steps.append(broken)
        finally:
            if options.live and field.stopped():
                with suppress(SentinelError):
                    drill.resume()
        return self._report(drill, source)

    def _steps(self, drill: Drill, before: Path) -> None:
        with drill.load() as load:
            self._add(step_load(drill, load))
            if not load.signed:
                return
            self._add(step_halt(drill, load))
            self._add(step_restart(drill, load))
        self._add(step_attempts(drill, before, self.scratch))
        drill.resume()
        with drill.load() as load:
            self._add(step_halt(drill, load, Command.DRAIN))
        self._add(step_approve(drill, self.options.approval_order))
        self._add(step_resume(drill))
        self._add(step_audit(drill, self.first))

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self.options.progress(step.name, 1, 1)

    def _message(self) -> Plan:
        """A message of an agent that may sign one: it is good at no venue."""
        policy = self.field.public.policy
        assert policy is not None
        wanted = self.options.agent
        agents = [policy.agent(wanted).path] if wanted else [node.path for node in policy.agents]
        for agent in agents:
            order = (agent, {"action": "message", "text": "drill"})
            if not self.field.stopped() and self.field.asks([order]) == "":
                return Plan((order,), {}, {})
        return Plan(tuple((a, {"action": "message", "text": "drill"}) for a in agents[:1]), {}, {})

    def _report(self, drill: Drill, source: Path) -> Report:
        field = self.field
        installed = Installed(field.directory)
        ring = KeyFile(field.directory / "keys" / "engine", self.passphrase).ring
        data = {
            "engine_id": installed.engine_id.hex(),
            "environment": label(Environment(installed.environment)),
            "began": iso_time(self.began_ns),
            "ended": iso_time(time.time_ns()),
            "on": "the live engine" if field.live else "a copy",
            "policy_hash": field.public.policy.hash.hex() if field.public.policy else None,
            "first_record": self.first,
            "machine": processor(),
            "python": platform.python_version(),
            "passed": self._passed(),
            "steps": [step.to_json() for step in self.steps],
            "not_proven": self._not_proven(drill),
        }
        return Report.sign(data, ring, installed.genesis.raw)

    def _passed(self) -> bool:
        names = [step.name for step in self.steps]
        whole = names[-1:] == ["audit"]
        return whole and all(step.result in (PASSED, NOT_IN_POLICY) for step in self.steps)

    def _not_proven(self, drill: Drill) -> list[str]:
        texts = [
            "Times are those of this machine under this load; another machine has others.",
            "A signature that left the process before the halt may still be used at its venue "
            "until the time that zcp status and the acknowledgement name.",
            "Commands were signed before their time was taken: opening key files, and people, "
            "come on top.",
            "Who holds the process' memory or k key files can sign without this engine.",
        ]
        if not self.field.live:
            texts.append("This was a copy: that the live process obeys is shown by --live.")
        if self.field.own is not None:
            texts.append(
                "The copy had a witness of the drill's own: that the engine's is up, and out of "
                "the host's reach, was not tried. What a kill may hide was charged to no limit."
            )
        for step in self.steps:
            if step.facts.get("old_copy_comes_back"):
                texts.append(
                    "Without a witness an old copy of the whole directory starts as it was; "
                    "that start is recorded as unproven."
                )
            if "one_operator_alone" in step.facts:
                texts.append("One operator resumes alone here, so that one too few was not tried.")
            if step.result in (NOT_RUN, NOT_IN_POLICY):
                texts.append(f"{step.title}: {step.result}. {step.facts.get('why', '')}".strip())
            if step.facts.get("rounds_without_load"):
                count = step.facts["rounds_without_load"]
                texts.append(f"{step.title}: in {count} rounds nothing was being signed.")
        return texts
