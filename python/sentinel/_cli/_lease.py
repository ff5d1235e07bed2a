"""zcp lease"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .. import _layout
from .._enums import Command, Scope
from .._frame import FrameKind
from ..config import AuthorityRing
from ..errors import UsageError
from ..receipt import iso_time
from ..units import format_duration, parse_duration
from . import _connected
from ._connect import remote
from ._halt import KeyOption, signed_by
from ._shared import (
    ISSUED_BEFORE_NS,
    WAIT_SECONDS,
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    WaitOption,
    deliver,
    now_ns,
    tell_ack,
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("lease")(lease)


def lease(
    span: Annotated[
        str | None,
        typer.Option("--for", help="How long, such as 30s; default: the longest allowed."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Kept with the record.")] = "renewed",
    wait: WaitOption = WAIT_SECONDS,
    key: KeyOption = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Let the engine go on signing, where its policy asks for an operators' lease.

    Without one, or once it is over, nothing is signed. Any one operator renews it, as often as
    needed; it lifts no halt and no drain. The policy's `lease` says how long one may be.

    Examples:

        zcp lease

        zcp lease --for 30s
    """
    if far := remote():
        spoken = parse_duration(span) if span is not None else None
        _connected.lease(Cli.connected(json, passphrase_file), far, spoken, reason, key)
        return
    cli = Cli.of(directory, json, passphrase_file)
    installed = cli.installed()
    longest = installed.policy().lease_ns
    if not longest:
        raise UsageError(
            "the policy asks for no lease: the engine signs without", next_step="nothing is to do"
        )
    spoken = parse_duration(span) if span is not None else longest
    if spoken > longest:
        raise UsageError(
            f"--for {span}: the longest lease is {format_duration(longest)}",
            next_step="give a shorter one, and renew it in time",
        )
    now = now_ns()
    until = now + spoken
    part = _layout.command(
        *(Command.LEASE, 0, reason, installed.terms(now, now - ISSUED_BEFORE_NS)),
        scope=Scope.ENGINE,
        until_ns=until,
    )
    if key is not None:
        frame = signed_by(installed, key, cli.passphrase(), part)
    else:
        frame = AuthorityRing.open(cli.directory, cli.passphrase()).sign(FrameKind.COMMAND, part)
    given = deliver(cli, frame, wait=wait, reason=reason)
    result: dict[str, Any] = {"until": iso_time(until), **given}
    known = tell_ack(cli, result, None)
    note = f"record {result['record']}"
    if not result["applied"]:
        note = f"the engine's writer takes it before its next decision (ticket {result['ticket']})"
    cli.emit(result, "\n".join([f"lease until {result['until']} ({note})", *known[:1]]))
