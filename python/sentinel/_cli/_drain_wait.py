"""Waiting for the end of a drain beside the engine's writer: zcp drain --halt-when-done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from .._enums import Scope, label
from .._overview import status_of
from .._stops import Stop
from ..audit import restore
from ..errors import SentinelError, UsageError
from ..policy import Policy
from ..units import format_duration
from ._shared import Cli, now_ns

if TYPE_CHECKING:
    # It brings the HTTP library, which no other command needs.
    from ..drain import Plan

_EVERY_S: Final = 0.25
DRAINING: Final = "draining"
HALTED: Final = "halted"


class Waited(NamedTuple):
    """What there is at the end of a wait. `mode` is what holds there by then."""

    plan: Plan
    mode: str
    seconds: int

    @property
    def is_done(self) -> bool:
        """Nothing is open that a drain could end."""
        return not left_of(self.plan)


def mode_of(policy: Policy, stops: tuple[Stop, ...], on: tuple[Scope, int, str]) -> tuple[str, str]:
    """Mode and name of what stops a target, itself or above it; "" where nothing does."""
    scope, number, name = on
    over = {("node", policy.nodes[0].path), (label(scope), name)}
    if scope is Scope.NODE:
        over |= {("node", node.path) for node in policy.chain(policy.node(number))}
    if scope is Scope.INSTRUMENT:
        over.add(("venue", label(policy.instruments[number].venue)))
    modes = {stop.mode: stop.path for stop in stops if (stop.scope, stop.path) in over}
    mode = HALTED if HALTED in modes else DRAINING if modes else ""
    return mode, modes.get(mode, "")


def left_of(plan: Plan) -> list[str]:
    """What is open and holds up the end, a line each."""
    steps = [f"{step.name}: to do: {step.text}, as {step.agent}" for step in plan.steps]
    return steps + [stay.text() for stay in plan.stays if stay.blocks]


def look(cli: Cli, on: tuple[Scope, int, str], within_ppm: int) -> tuple[Plan, str]:
    """What there is to do, and the mode, from the log alone: it works beside a writer."""
    from ..drain import plan_of

    installed, gate, now = cli.installed(), restore(cli.directory), now_ns()
    policy = installed.policy()
    plan = plan_of(
        gate, policy, on, directory=str(cli.directory), within_ppm=within_ppm, now_ns=now
    )
    return plan, mode_of(policy, status_of(installed, gate.state(), policy, now).stops, on)[0]


def wait_for_end(
    cli: Cli, on: tuple[Scope, int, str], within_ppm: int, timeout_ns: int, *, given: bool
) -> Waited:
    """Looks until nothing is open, something halts it, or the time is over.

    `given`: the drain's command was just handed in, and the writer may not have taken it yet.
    Raises UsageError where it does not drain, or not any more.
    """
    began, told = time.monotonic(), ""
    was_draining = not given
    while True:
        passed = time.monotonic() - began
        over = passed * 10**9 >= timeout_ns
        try:
            plan, mode = look(cli, on, within_ppm)
        except (SentinelError, OSError) as error:
            if over:
                raise
            told = _tell(cli, told, f"warning: {error}")  # such as a writer that opens just now
            time.sleep(_EVERY_S)
            continue
        if mode == "" and was_draining:
            raise UsageError(
                f"{on[2]} does not drain",
                cause="nobody drained it, or it was resumed meanwhile",
                next_step="zcp status; zcp drain --reason TEXT --halt-when-done",
            )
        was_draining = was_draining or mode == DRAINING
        left = left_of(plan)
        if mode == HALTED or (mode == DRAINING and not left) or over:
            return Waited(plan, mode, int(passed))
        text = f"{len(left)} open: {'; '.join(left)}" if left else "nothing is open"
        if mode == "":
            text = "the engine's writer has not taken the drain yet"
        told = _tell(cli, told, f"waiting    {format_duration(timeout_ns)} at most: {text}")
        time.sleep(_EVERY_S)


def _tell(cli: Cli, told: str, text: str) -> str:
    """Says what it waits for, once."""
    if text != told and not cli.json:
        cli.warn(text)
    return text
