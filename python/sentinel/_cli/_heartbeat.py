"""zcp heartbeat"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import _core
from .._log import writer_is_alive
from ..errors import UsageError
from ..heartbeat import AgentKey
from ..receipt import iso_time
from ..units import parse_duration
from . import _connected
from ._connect import remote
from ._shared import (
    WAIT_SECONDS,
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    WaitOption,
    await_ticket,
    now_ns,
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("heartbeat")(heartbeat)


def heartbeat(
    agent: Annotated[str, typer.Argument(help="The agent's path or name.")],
    key: Annotated[Path, typer.Option("--key", help="The agent's own key file.")],
    iterations: Annotated[
        int, typer.Option("--iterations", min=0, help="Rounds of the agent's loop that are done.")
    ],
    running_for: Annotated[
        str | None,
        typer.Option("--running-for", help="How long the present round runs; default: none does."),
    ] = None,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Send one heartbeat of an agent to the process that has the engine open.

    For agents that are no Python program (those use sentinel.heartbeat), once per round or by a
    timer. After silence, or a round that runs for too long, the policy's `heartbeat` halts or
    drains the agent, and only zcp resume lifts that.

    Example:

        zcp heartbeat desk/maker --key maker.key --iterations 17 --running-for 250ms
    """
    if far := remote():
        running = parse_duration(running_for) if running_for is not None else 0
        cli = Cli.connected(json, passphrase_file)
        _connected.heartbeat(cli, far, agent, key, iterations, running)
        return
    cli = Cli.of(directory, json, passphrase_file)
    installed = cli.installed()
    node = installed.policy().agent(agent)
    own = AgentKey.open(key, passphrase=cli.passphrase())
    if not writer_is_alive(cli.directory):
        raise UsageError(
            "no process has the engine open: there is nobody to beat for",
            next_step="start what signs; every agent begins anew with it",
        )
    now = now_ns()
    since = now - parse_duration(running_for) if running_for is not None else 0
    frame = own.frame(installed, node.id, iterations, since, sequence=now, now_ns=now)
    result: dict[str, Any] = {
        "agent": node.path,
        "iterations": iterations,
        "running_since": iso_time(since) if since else None,
        **await_ticket(cli, _core.spool_submit(cli.directory, frame), wait),
    }
    note = f"record {result['record']}" if result["applied"] else f"ticket {result['ticket']}"
    cli.emit(result, f"heartbeat of {node.path}: {iterations} iterations ({note})")
