"""What zcp drain does after its command: the list, sending it, the halt at its end."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress

from .._enums import Scope, Venue, label
from .._layout import reason_text
from ..errors import EngineHalted, UnitInvalid, UsageError
from ..sign import Signer
from ..units import format_duration, parse_duration
from ._drain_wait import DRAINING, HALTED, left_of, look, mode_of, wait_for_end
from ._shared import Cli, now_ns

if TYPE_CHECKING:
    # They bring the HTTP library, which no other command needs.
    from ..drain import Plan, Report
    from ..submit import Submitter

AgainOption = Annotated[
    bool, typer.Option("--again", help="It drains already: sign no command, only the list.")
]
SendOption = Annotated[
    bool, typer.Option("--send", help="Sign and send the list; else it is only shown.")
]
HaltOption = Annotated[
    bool,
    typer.Option(
        "--halt-when-done",
        help="Halt what drains once nothing is open there; without --send, wait for that.",
    ),
]
TimeoutOption = Annotated[
    str, typer.Option("--timeout", help="How long --halt-when-done waits without --send.")
]
WithinOption = Annotated[
    str, typer.Option("--within", help="How far from the mark a close with a price may trade.")
]
EndpointOption = Annotated[
    list[str] | None,
    typer.Option("--endpoint", help="VENUE=URL: send there instead: https, or the loopback."),
]
DeadlineOption = Annotated[
    str, typer.Option("--deadline", help="How long to find out what became of one order.")
]
WITHIN = "1 %"
DEADLINE = "10s"
TIMEOUT = "10min"
_EXIT_OPEN, _EXIT_UNKNOWN = 11, 12


class Sending(NamedTuple):
    """The options of the list."""

    again: bool
    send: bool
    halt_when_done: bool
    within: str
    endpoints: tuple[str, ...]
    deadline: str
    timeout: str = TIMEOUT

    @property
    def waits(self) -> bool:
        """Whether others do the work, and this waits for its end."""
        return self.halt_when_done and not self.send

    def checked(self, reason: str) -> Sending:
        """Before anything is signed. Raises UsageError."""
        if not self.again and not reason:
            raise UsageError("a drain needs a reason", next_step="--reason TEXT, or --again")
        if reason:
            reason_text(reason)
        if self.halt_when_done and not reason:
            raise UsageError(
                "--halt-when-done needs --reason", next_step="a halt has a reason: --reason TEXT"
            )
        if self.timeout != TIMEOUT and not self.waits:
            raise UsageError(
                "--timeout is of --halt-when-done without --send",
                next_step="add --halt-when-done, or leave it out",
            )
        self.timeout_ns()
        if not self.send and (self.endpoints or self.deadline != DEADLINE):
            raise UsageError(
                "--endpoint and --deadline are of --send, which is not there",
                next_step="add --send, or leave them out",
            )
        self.within_ppm()
        for row in self.endpoints:
            name, _, url = row.partition("=")
            if not url or name not in {label(venue) for venue in Venue if venue}:
                raise UsageError(
                    f"--endpoint {row}: it is VENUE=URL",
                    next_step="such as bybit=http://127.0.0.1:8080",
                )
        return self

    def within_ppm(self) -> int:
        """The span as parts of a million. Raises UsageError."""
        text = self.within.removesuffix("%").strip()
        try:
            found = Decimal(text)
        except ArithmeticError:
            found = Decimal(-1)
        if not self.within.endswith("%") or not 0 <= found <= 50:
            raise UsageError(f"--within {self.within}: 0 % to 50 %", next_step='such as "0.5 %"')
        return int(found * 10_000)

    def timeout_ns(self) -> int:
        """How long to wait. Raises UsageError."""
        try:
            return parse_duration(self.timeout)
        except UnitInvalid as error:
            raise UsageError(f"--timeout: {error}", next_step="such as 30min") from None

    def submitter(self) -> Submitter:
        """What sends."""
        from ..submit import Submitter

        try:
            seconds = float(Decimal(parse_duration(self.deadline)) / 10**9)
        except UnitInvalid as error:
            raise UsageError(f"--deadline: {error}", next_step="such as 10s") from None
        pairs = [row.partition("=") for row in self.endpoints]
        return Submitter(
            endpoints={name: url for name, _, url in pairs}, deadline_s=seconds, timeout_s=5.0
        )


def work_off(
    cli: Cli,
    sending: Sending,
    on: tuple[Scope, int, str],
    halt: Callable[[], dict[str, Any]],
) -> tuple[dict[str, Any], list[str], int]:
    """The list, and with --send what came of it: as data, for people, and the exit status."""
    if sending.waits:
        return _waited(cli, sending, on, halt)
    if not sending.send:
        plan = _shown(cli, sending, on)
        lines = ["", *plan.lines()]
        if plan.steps:
            lines.append("nothing of this is signed; --again --send signs and sends it")
        return {"plan": plan.to_json(), "sent": None}, lines, 0
    plan, report = _sent(cli, sending, on)
    data: dict[str, Any] = {"plan": plan.to_json(), "sent": report.to_json(), "halt": None}
    lines = ["", *plan.lines(), "", *report.lines()]
    if sending.halt_when_done and report.is_done:
        data["halt"] = halt()
        lines.append(f"halted: {on[2]}")
    elif sending.halt_when_done:
        lines.append("not halted: something is still open")
    status = _EXIT_UNKNOWN if report.is_unknown else 0 if report.is_done else _EXIT_OPEN
    return data, lines, status


def _shown(cli: Cli, sending: Sending, on: tuple[Scope, int, str]) -> Plan:
    return look(cli, on, sending.within_ppm())[0]


def _waited(
    cli: Cli,
    sending: Sending,
    on: tuple[Scope, int, str],
    halt: Callable[[], dict[str, Any]],
) -> tuple[dict[str, Any], list[str], int]:
    """Others cancel and close; this halts once they are done."""
    timeout_ns = sending.timeout_ns()
    within = sending.within_ppm()
    end = wait_for_end(cli, on, within, timeout_ns, given=not sending.again)
    data: dict[str, Any] = {"plan": end.plan.to_json(), "sent": None, "halt": None}
    data["waited"] = {"seconds": end.seconds, "done": end.is_done}
    if end.mode == HALTED:
        lines = [f"halted: {on[2]}: the drain's end came, or somebody halted it"]
    elif end.mode == DRAINING and end.is_done:
        data["halt"] = halt()
        lines = [f"halted: {on[2]}: nothing is open, as far as the engine knows"]
        # What was signed behind the last look is not cancelled any more.
        end = end._replace(plan=look(cli, on, within)[0])
        data["plan"] = end.plan.to_json()
    elif end.mode == DRAINING:
        lines = [f"not halted: something is still open after {format_duration(timeout_ns)}"]
    else:
        lines = ["not halted: the engine's writer has not taken the drain; zcp status"]
        return data, ["", *lines], _EXIT_OPEN
    data["waited"]["done"] = end.is_done
    lines += [f"open       {text}" for text in left_of(end.plan)]
    lines += [f"note       {text}" for text in end.plan.notes]
    return data, ["", *lines], 0 if end.is_done else _EXIT_OPEN


def _sent(cli: Cli, sending: Sending, on: tuple[Scope, int, str]) -> tuple[Plan, Report]:
    from ..drain import plan_drain, send_drain

    within = sending.within_ppm()
    with (
        sending.submitter() as submitter,
        Signer.open(
            cli.directory, passphrase=cli.passphrase(), durability="fsync", now_ns=now_ns()
        ) as signer,
        Progress(console=Console(stderr=True), transient=True, disable=cli.json) as bar,
    ):
        signer.poll()
        _must_drain(signer, on)
        plan = plan_drain(signer, on, within_ppm=within)
        tasks = {
            venue: bar.add_task(
                label(venue), total=sum(step.venue is venue for step in plan.steps) or None
            )
            for venue in plan.venues
        }
        report = send_drain(
            plan,
            signer,
            submitter,
            within_ppm=within,
            progress=lambda step, outcome: bar.advance(tasks[step.venue]),
        )
    return plan, report


def _must_drain(signer: Signer, on: tuple[Scope, int, str]) -> None:
    """What does not drain would trade on while it is closed. Raises EngineHalted, UsageError."""
    mode, path = mode_of(signer.policy, signer.status().stops, on)
    if mode == HALTED:
        raise EngineHalted(
            f"{path} is halted: nothing is signed there, not even cancels",
            next_step="cancel at the venue, or resume and drain: zcp resume --reason TEXT",
        )
    if not mode:
        raise UsageError(f"{on[2]} does not drain", next_step="zcp drain --reason TEXT --send")
