"""zcp halt, zcp drain, zcp resume, and zcp kill-switch activate|deactivate, their aliases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import _layout
from .._drafts import Draft, need_of, sign_draft
from .._enums import Command, Scope, label
from .._frame import FrameKind
from .._holds import released_rows, released_texts
from .._overview import usable_until_ms
from .._people import Public, SigningKeys
from .._stops import OPTION, target_of
from .._types import GrantState
from ..audit import restore
from ..config import AuthorityRing, Installed
from ..errors import UsageError
from ..receipt import iso_time
from ..units import parse_duration
from . import _connected
from ._connect import remote
from ._drain import (
    DEADLINE,
    TIMEOUT,
    WITHIN,
    AgainOption,
    DeadlineOption,
    EndpointOption,
    HaltOption,
    Sending,
    SendOption,
    TimeoutOption,
    WithinOption,
    work_off,
)
from ._shared import (
    ISSUED_BEFORE_NS,
    WAIT_SECONDS,
    AckOption,
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    ReasonOption,
    WaitOption,
    deliver,
    must_be_applied,
    now_ns,
    tell_ack,
)

ScopeOption = Annotated[
    str | None, typer.Option("--scope", help="Path of a group or agent; default: the whole firm.")
]
VenueOption = Annotated[str | None, typer.Option("--venue", help="A venue instead, such as bybit.")]
InstrumentOption = Annotated[
    str | None, typer.Option("--instrument", help="An instrument of the policy instead.")
]
SeverityOption = Annotated[int, typer.Option("--severity", min=0, max=3, help="0 to 3.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Your key file; default: the engine's own.")
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", help="Then it is a halt: a time (ISO 8601), or a span such as 30min."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("halt")(halt)
    app.command("drain")(drain)
    app.command("resume")(resume)
    switch = typer.Typer(
        help="The kill switch: halt and resume under their common name.", no_args_is_help=True
    )
    switch.command("activate")(halt)
    switch.command("deactivate")(resume)
    app.add_typer(switch, name="kill-switch")


def halt(
    reason: ReasonOption,
    scope: ScopeOption = None,
    venue: VenueOption = None,
    instrument: InstrumentOption = None,
    severity: SeverityOption = 0,
    wait: WaitOption = WAIT_SECONDS,
    key: KeyOption = None,
    ack: AckOption = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Stop signing: for the whole firm, for one node and all below it, for a venue or for an
    instrument.

    It binds at once, also while another process signs, and stays until it is lifted. Signatures
    released before can still be used at each venue until the time that is shown.

    Examples:

        zcp kill-switch activate --reason "Compliance test"

        zcp halt --scope firm/desk --reason "fat finger" --severity 3

        zcp halt --venue bybit --reason "venue incident"
    """
    on = (scope, venue, instrument)
    if far := remote():
        cli = Cli.connected(json, passphrase_file)
        _connected.command(cli, far, Command.HALT, on, reason, severity, key)
        return
    cli = Cli.of(directory, json, passphrase_file)
    result = _command(cli, Command.HALT, on, reason, severity, wait, key)
    cli.emit(result, "\n".join(_stopped(cli, "halted", result, ack)))


def drain(
    reason: Annotated[str, typer.Option("--reason", help="Why; kept beside the log.")] = "",
    scope: ScopeOption = None,
    venue: VenueOption = None,
    instrument: InstrumentOption = None,
    until: UntilOption = None,
    severity: SeverityOption = 0,
    again: AgainOption = False,
    send: SendOption = False,
    halt_when_done: HaltOption = False,
    within: WithinOption = WITHIN,
    endpoint: EndpointOption = None,
    deadline: DeadlineOption = DEADLINE,
    timeout: TimeoutOption = TIMEOUT,
    wait: WaitOption = WAIT_SECONDS,
    key: KeyOption = None,
    ack: AckOption = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Sign only what lowers risk: cancels, queries, and reduce-only orders that close known
    positions of linear and inverse contracts; for the whole firm, one node and all below it, a
    venue or an instrument. With an end it becomes a halt then. What is halted is not drained.

    Then shows what there is to do, venue by venue: cancels of the orders that may be open, and
    closes of the known positions. Nothing of that is signed without --send; with it, the list is
    signed, sent and reported on, and this command has to be the engine's writer. It exits with 11
    when something is still open, with 12 when nobody knows.

    --halt-when-done without --send works beside another writer, while others cancel and close: it
    waits until nothing is open, as far as reports tell, then halts; or says at --timeout what is.

    Examples:

        zcp drain --reason "end of day" --until 30min

        zcp drain --again --send

        zcp drain --venue bybit --reason "venue incident" --send --halt-when-done

        zcp drain --reason "end of day" --halt-when-done --timeout 30min
    """
    on, until_ns = (scope, venue, instrument), end_of(until) if until is not None else 0
    if (far := remote()) and not (again or send or halt_when_done):
        cli = Cli.connected(json, passphrase_file)
        _connected.command(cli, far, Command.DRAIN, on, reason, severity, key, until_ns)
        return
    cli, ends = Cli.of(directory, json, passphrase_file), tuple(endpoint or ())
    sending = Sending(again, send, halt_when_done, within, ends, deadline, timeout).checked(reason)
    target = target_of(cli.installed().policy(), *(text or None for text in on))
    if again and (until_ns or ack):
        raise UsageError("--until and --ack are of the command, and --again signs none")
    cli = _ready_to_halt(cli, key) if sending.waits else cli
    result: dict[str, Any] = {"verb": "drain", "kind": label(target[0]), "scope": target[2]}
    lines: list[str] = []
    if not again:
        result = _command(cli, Command.DRAIN, on, reason, severity, wait, key, until_ns)
        lines = _draining(cli, result, ack, until_ns)
    lines = _told_before(cli, sending, lines)

    def halted() -> dict[str, Any]:
        end = _command(cli, Command.HALT, on, reason, severity, wait, key)
        tell_ack(cli, end, None)
        return end

    data, more, status = work_off(cli, sending, target, halted)
    cli.emit({**result, **data}, "\n".join([*lines, *more]).lstrip("\n"))
    if status:
        raise SystemExit(status)


def _told_before(cli: Cli, sending: Sending, lines: list[str]) -> list[str]:
    """Says at once what would be said behind a wait; what is left to say."""
    if lines and sending.waits and not cli.json:
        cli.emit({}, "\n".join(lines))
        return []
    return lines


def _draining(cli: Cli, result: dict[str, Any], ack: Path | None, until_ns: int) -> list[str]:
    """What the command did, and its end, in words."""
    lines = _stopped(cli, "draining", result, ack)
    if until_ns:
        result["until"] = iso_time(until_ns)
        lines.insert(1, f"until      {result['until']}, then it is a halt")
    return lines


def _ready_to_halt(cli: Cli, key: Path | None) -> Cli:
    """Nobody is there to be asked, or told that a key is none, when it halts after a long wait."""
    ready = replace(cli, secret=cli.passphrase())
    SigningKeys.open(key or cli.directory / "keys" / "authority", ready.passphrase())
    return ready


def resume(
    reason: ReasonOption,
    scope: ScopeOption = None,
    venue: VenueOption = None,
    instrument: InstrumentOption = None,
    severity: SeverityOption = 0,
    wait: WaitOption = WAIT_SECONDS,
    gap: Annotated[
        bool, typer.Option("--gap", help="Accept that records which a witness confirmed are lost.")
    ] = False,
    key: KeyOption = None,
    ack: AckOption = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Lift a halt or drain of one node, venue or instrument. Resuming the firm also lifts a halt
    of the engine's own. With --gap: lift the halt of an old copy, whose gap a witness named.

    Examples:

        zcp kill-switch deactivate --reason "Test complete"

        zcp resume --scope firm/desk --reason "limits corrected"

        zcp resume --venue bybit --reason "incident over"
    """
    on = (scope, venue, instrument)
    if (far := remote()) and not gap:
        cli = Cli.connected(json, passphrase_file)
        _connected.command(cli, far, Command.RESUME, on, reason, severity, key)
        return
    cli = Cli.of(directory, json, passphrase_file)
    if gap:
        if any(on):
            raise UsageError("--gap is about the engine", next_step="name nothing else with it")
        result = must_be_applied(_accept_gap(cli, reason, wait, key))
        lines = [f"accepted: {result['gap']} are lost (record {result['record']})"]
        if known := tell_ack(cli, result, ack):
            lines.append(known[0])
        cli.emit(result, "\n".join(lines))
        return
    result = must_be_applied(_command(cli, Command.RESUME, on, reason, severity, wait, key))
    lines = [f"resumed: {result['scope']} (record {result['record']})"]
    if known := tell_ack(cli, result, ack):
        lines += [known[0], *known[1 + len(result["acknowledged"]["released"]) :]]
    cli.emit(result, "\n".join(lines))


def end_of(text: str) -> int:
    """A time, or a span from now on, in Unix nanoseconds."""
    now = now_ns()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return now + parse_duration(text)
    if found.tzinfo is None:
        raise UsageError(f"--until {text}: no time zone", next_step="end it in Z for UTC")
    end = round(found.timestamp() * 10**6) * 1000
    if end <= now:
        raise UsageError(f"--until {text}: that has passed", next_step="zcp halt halts at once")
    return end


def _stopped(cli: Cli, word: str, result: dict[str, Any], ack: Path | None) -> list[str]:
    """What a halt and a drain say for people; the released signatures go into the result."""
    note = f"record {result['record']}"
    if not result["applied"]:
        note = f"it binds already; the engine's writer records it next (ticket {result['ticket']})"
        if result.get("confirmed") is False:
            note = f"it is in force and recorded, and waits for the witness ({result['ticket']})"
    result["released"] = released_rows(usable_until_ms(restore(cli.directory).state()))
    lines = [f"{word}: {result['scope']} ({note})"]
    if known := tell_ack(cli, result, ack):
        result["released"] = result["acknowledged"]["released"]
        lines += [known[0], *known[1 + len(result["released"]) :]]
    lines += [
        f"released   {text}" for text in released_texts(result["released"], now_ns() // 10**6)
    ]
    option = f"{OPTION[Scope[result['kind'].upper()]]} {result['scope']} "
    whole = result["whole"]
    return [*lines, f"lift it: zcp resume {'' if whole else option}--reason TEXT"]


def signed_by(installed: Installed, key: Path, passphrase: bytes, part: bytes) -> bytes:
    """The frame, signed with a person's own key file alone. Raises UsageError where k are more."""
    keys, public = SigningKeys.open(key, passphrase), Public.of_engine(installed)
    draft = Draft(FrameKind.COMMAND, part)
    signed, name = sign_draft(draft, keys, public, now_ns())
    need = need_of(draft, public, now_ns())
    if need.k > 1:
        raise UsageError(
            f"it takes {need.k} {need.word}s to {label(draft.verb)}, and {name} is one",
            next_step=f"zcp command draft {label(draft.verb)}, which {need.k} sign; then submit",
        )
    return signed.raw


def gap_of(cli: Cli) -> GrantState:
    """What a witness said is missing here. Raises UsageError when nothing is."""
    grant = restore(cli.directory).state().grant
    if not grant.gap_to:
        raise UsageError(
            "no records are missing, as far as a witness told", next_step="zcp status says more"
        )
    return grant


def _accept_gap(cli: Cli, reason: str, wait: float, key: Path | None) -> dict[str, Any]:
    installed, grant = cli.installed(), gap_of(cli)
    part = _layout.command(
        *(Command.RESUME, 0, reason, installed.terms(now_ns(), now_ns() - ISSUED_BEFORE_NS)),
        scope=Scope.ENGINE,
        record=grant.gap_to,
        record_hash=grant.gap_hash,
    )
    if key is not None:
        frame = signed_by(installed, key, cli.passphrase(), part)
    else:
        frame = AuthorityRing.open(cli.directory, cli.passphrase()).sign(FrameKind.COMMAND, part)
    gap = f"records {grant.gap_from} to {grant.gap_to - 1}"
    result = deliver(cli, frame, wait=wait, reason=reason)
    return {"verb": "resume", "gap": gap, "reason": reason} | result


def _command(
    cli: Cli,
    verb: Command,
    on: tuple[str | None, str | None, str | None],
    reason: str,
    severity: int,
    wait: float,
    key: Path | None,
    until_ns: int = 0,
) -> dict[str, Any]:
    installed = cli.installed()
    policy = installed.policy()
    scope, target, name = target_of(policy, *(text or None for text in on))
    issued = now_ns() - ISSUED_BEFORE_NS
    part = _layout.command(
        *(verb, target, reason, installed.terms(now_ns(), issued)),
        scope=scope,
        severity=severity,
        until_ns=until_ns,
    )
    if key is not None:
        frame = signed_by(installed, key, cli.passphrase(), part)
    else:
        frame = AuthorityRing.open(cli.directory, cli.passphrase()).sign(FrameKind.COMMAND, part)
    first = verb is not Command.RESUME
    result = deliver(cli, frame, wait=wait, spool_first=first, reason=reason)
    return {
        "verb": label(verb),
        "kind": label(scope),
        "scope": name,
        "whole": scope is Scope.NODE and target == policy.nodes[0].id,
        "reason": reason,
        **result,
    }
