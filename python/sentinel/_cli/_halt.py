"""zcp halt, zcp resume, and zcp kill-switch activate|deactivate, their aliases."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .. import _layout
from .._enums import Command
from .._frame import FrameKind
from .._holds import released_rows, released_texts
from ..audit import restore
from ..config import AuthorityRing, keep_text
from ..sign import usable_until_ms
from ._shared import (
    ISSUED_BEFORE_NS,
    WAIT_SECONDS,
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    ReasonOption,
    WaitOption,
    deliver,
    must_be_applied,
    now_ns,
)

ScopeOption = Annotated[
    str, typer.Option("--scope", help="Path of a group or agent; default: the whole firm.")
]
SeverityOption = Annotated[int, typer.Option("--severity", min=0, max=3, help="0 to 3.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("halt")(halt)
    app.command("resume")(resume)
    switch = typer.Typer(
        help="The kill switch: halt and resume under their common name.", no_args_is_help=True
    )
    switch.command("activate")(halt)
    switch.command("deactivate")(resume)
    app.add_typer(switch, name="kill-switch")


def halt(
    reason: ReasonOption,
    scope: ScopeOption = "",
    severity: SeverityOption = 0,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Stop signing: for the whole firm, or for one node and all below it.

    It binds at once, also while another process signs, and stays until it is lifted. Signatures
    released before can still be used at each venue until the time that is shown.

    Examples:

        zcp kill-switch activate --reason "Compliance test"

        zcp halt --scope firm/desk --reason "fat finger" --severity 3
    """
    cli = Cli.of(directory, json, passphrase_file)
    result = _command(cli, Command.HALT, scope, reason, severity, wait)
    note = f"record {result['record']}"
    if not result["applied"]:
        note = f"it binds already; the engine's writer records it next (ticket {result['ticket']})"
    result["released"] = released_rows(usable_until_ms(restore(cli.directory).state()))
    lines = [f"halted: {result['scope']} ({note})"]
    lines += [
        f"released   {text}" for text in released_texts(result["released"], now_ns() // 10**6)
    ]
    cli.emit(result, "\n".join([*lines, "lift it: zcp resume --reason TEXT"]))


def resume(
    reason: ReasonOption,
    scope: ScopeOption = "",
    severity: SeverityOption = 0,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Lift a halt of one node. Resuming the firm also lifts a halt of the engine's own.

    Examples:

        zcp kill-switch deactivate --reason "Test complete"

        zcp resume --scope firm/desk --reason "limits corrected"
    """
    cli = Cli.of(directory, json, passphrase_file)
    result = must_be_applied(_command(cli, Command.RESUME, scope, reason, severity, wait))
    cli.emit(result, f"resumed: {result['scope']} (record {result['record']})")


def _command(
    cli: Cli, verb: Command, scope: str, reason: str, severity: int, wait: float
) -> dict[str, Any]:
    installed = cli.installed()
    policy = installed.policy()
    node = policy.node(scope) if scope else policy.nodes[0]
    issued = now_ns() - ISSUED_BEFORE_NS
    part = _layout.command(
        verb, node.id, reason, installed.terms(now_ns(), issued), severity=severity
    )
    ring = AuthorityRing.open(cli.directory, cli.passphrase())
    frame = ring.sign(FrameKind.COMMAND, part)
    keep_text(cli.directory, reason)
    result = deliver(cli, frame, wait=wait, spool_first=verb is Command.HALT)
    return {"verb": verb.name.lower(), "scope": node.path, "reason": reason, **result}
