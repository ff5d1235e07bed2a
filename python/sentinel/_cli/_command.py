"""zcp command draft | show | sign | combine | submit"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import _layout
from .._drafts import Draft
from .._enums import Command, Environment, Scope, label
from .._frame import FrameKind
from .._overview import status_of
from .._people import Public
from .._stops import target_of
from ..audit import find_record, restore
from ..config import keep_text
from ..errors import UsageError
from ..policy import Policy
from ..receipt import iso_time
from ..units import parse_duration
from . import _connected
from ._connect import remote
from ._drafts import (
    FilesArgument,
    KeyOption,
    OutOption,
    OutOrSameOption,
    PublicOption,
    ValidOption,
    YesOption,
    combine_files,
    no_extra,
    public_of,
    show_draft,
    sign_file,
    submit_file,
    told,
    waiting_text,
)
from ._halt import InstrumentOption, ScopeOption, SeverityOption, VenueOption, end_of, gap_of
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
    now_ns,
    tell_ack,
)

FileArgument = Annotated[Path, typer.Argument(help="The command: a file that draft made.")]
_KIND = FrameKind.COMMAND


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(
        help="Commands that several people sign on several machines. One drafts it, each looks at"
        " it and signs it with an own key file, anybody submits it. The engine counts k of n.",
        no_args_is_help=True,
    )
    family.command("draft")(draft)
    family.command("show")(show)
    family.command("sign")(sign)
    family.command("combine")(combine)
    family.command("submit")(submit)
    app.add_typer(family, name="command")


RecordOption = Annotated[
    int | None, typer.Option("--record", min=1, help="approve, reject: the pending record.")
]
RecordHashOption = Annotated[
    str | None,
    typer.Option("--record-hash", help="And its hash, on a machine without the log."),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", help="drain: then it is a halt; lease: its end. A time or a span."),
]
GapOption = Annotated[
    bool,
    typer.Option("--gap", help="resume: accept that records which a witness confirmed are lost."),
]
ClockOption = Annotated[
    bool,
    typer.Option("--clock", help="resume: also set the log's time, which is ahead, back to now."),
]


def draft(
    verb: Annotated[str, typer.Argument(help="halt, drain, resume, lease, approve or reject.")],
    reason: ReasonOption,
    out: OutOption,
    scope: ScopeOption = None,
    venue: VenueOption = None,
    instrument: InstrumentOption = None,
    record: RecordOption = None,
    record_hash: RecordHashOption = None,
    until: UntilOption = None,
    gap: GapOption = False,
    clock: ClockOption = False,
    severity: SeverityOption = 0,
    valid: ValidOption = "1h",
    public: PublicOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Write a command into a file, unsigned. It does nothing until it is signed and submitted.

    It names the engine, a sequence (the time), an end and a reason. The engine takes commands in
    the order of their sequences: one that is drafted before another was taken is refused then.

    Examples:

        zcp command draft resume --reason "limits corrected" --out resume.cmd

        zcp command draft resume --venue bybit --reason "over" --valid 8h --out bybit.cmd

        zcp command draft resume --gap --reason "the disk is lost" --out gap.cmd

        zcp command draft resume --clock --reason "the host began in 2036" --out clock.cmd

        zcp command draft approve --record 812 --reason "known counterparty" --out yes.cmd
    """
    cli = Cli.of(directory, json, copies=True)
    which, known = _verb(verb, reason, until), public_of(cli, public)
    if gap:
        on = _gap_of(cli, which, known, (scope, venue, instrument, record, record_hash))
    else:
        on = _scope_of(cli, which, known, (scope, venue, instrument), record, record_hash)
    now = now_ns()
    until_ns = end_of(until) if until is not None else 0
    if clock:
        until_ns = _log_time(cli, which, known, now, gap or scope or venue or instrument)
    issued = now - ISSUED_BEFORE_NS
    terms = _layout.FrameTerms(
        engine_id=known.genesis.engine_id,
        environment=Environment(known.genesis.environment),
        sequence=now,
        issued_ns=issued,
        expires_ns=now + parse_duration(valid),
    )
    part = _layout.command(
        *(which, on[1], reason, terms),
        scope=on[0],
        severity=severity,
        until_ns=until_ns,
        record=on[2],
        record_hash=on[3],
    )
    made = Draft(_KIND, part, reason=reason, names=known.names)
    made.write(out)
    if known.directory is not None:
        keep_text(known.directory, reason)
    found = told(made, known, no_extra)
    cli.emit(
        {"file": str(out), **found.data},
        f"{found.text()}\nnext: zcp command sign {out} --key KEYFILE, by each who signs",
    )


def _verb(text: str, reason: str, until: str | None) -> Command:
    verbs = {label(member): member for member in Command}
    if text not in verbs:
        raise UsageError(f"there is no command {text!r}", next_step=f"one of {', '.join(verbs)}")
    _layout.reason_text(reason)
    verb = verbs[text]
    if until is not None and verb not in (Command.DRAIN, Command.LEASE):
        raise UsageError(f"a {text} has no end", next_step="leave --until out")
    if until is None and verb is Command.LEASE:
        raise UsageError("a lease has an end", next_step="give --until, such as --until 8h")
    return verb


def _scope_of(
    cli: Cli,
    verb: Command,
    public: Public,
    on: tuple[str | None, str | None, str | None],
    record: int | None,
    record_hash: str | None,
) -> tuple[Scope, int, int, bytes]:
    """Scope, target, record and its hash."""
    decides = verb in (Command.APPROVE, Command.REJECT)
    if not decides and (record is not None or record_hash is not None):
        raise UsageError(
            "only approve and reject are about a record", next_step="leave --record out"
        )
    if decides or verb is Command.LEASE:
        if any(on):
            raise UsageError(
                f"a {label(verb)} is not about a node, a venue or an instrument",
                next_step="leave --scope, --venue and --instrument out",
            )
        if not decides:
            return Scope.ENGINE, 0, 0, bytes(32)
        if record is None:
            raise UsageError("which pending order?", next_step="give the number of its record")
        return Scope.RECORD, 0, record, _record_hash(cli, public, record, record_hash)
    policy: Policy | None = public.policy
    if policy is None:
        raise UsageError("no policy was loaded, so no node has a name")
    scope, target, _ = target_of(policy, *(text or None for text in on))
    return scope, target, 0, bytes(32)


def _gap_of(
    cli: Cli, verb: Command, public: Public, others: tuple[str | int | None, ...]
) -> tuple[Scope, int, int, bytes]:
    """The same of a resume that accepts what an old copy lacks."""
    if verb is not Command.RESUME or any(others):
        raise UsageError("--gap is about the engine", next_step="draft a resume, and no more")
    if public.directory is None:
        raise UsageError("the gap is not known here", next_step="draft it where the engine is")
    grant = gap_of(cli)
    return Scope.ENGINE, 0, grant.gap_to, grant.gap_hash


def _log_time(cli: Cli, verb: Command, public: Public, now: int, other: str | bool | None) -> int:
    """The log's time, which is ahead and may be set back."""
    if other:
        raise UsageError("--clock is of the firm's resume", next_step="name nothing else")
    if verb is not Command.RESUME:
        raise UsageError("only a resume sets the clock back", next_step="draft a resume, and sign")
    if public.directory is None:
        raise UsageError("the log's time is not known here", next_step="draft it at the engine")
    found = status_of(cli.installed(), restore(cli.directory).state(), public.policy, now)
    if found.last_ns <= now:
        raise UsageError(
            f"the log's time is {iso_time(found.last_ns)}, which is not ahead of this clock",
            next_step="a plain resume lifts what is stopped",
        )
    if now < found.relied_ns:
        raise UsageError(
            f"the log's time is {iso_time(found.last_ns)}, and cannot be set back to now:"
            f" something was signed or taken at {iso_time(found.relied_ns)}",
            cause="the engine worked on while its clock was ahead, or this clock is behind",
            next_step="where this clock is right, wait until that time, or make a new engine with"
            " zcp init in another directory, with new keys of the venues",
        )
    return found.last_ns


def _record_hash(cli: Cli, public: Public, record: int, text: str | None) -> bytes:
    if text is None:
        if public.directory is None:
            raise UsageError(
                "the record's hash is not known here",
                cause="there is no log on this machine",
                next_step="give --record-hash, as zcp audit show has it",
            )
        return find_record(cli.directory, record).hash
    try:
        digest = bytes.fromhex(text)
        if len(digest) == 32:
            return digest
    except ValueError:
        pass
    raise UsageError("--record-hash: 64 hex digits are needed", next_step="copy it again")


def show(
    file: FileArgument,
    public: PublicOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Say in plain words what a command does, for which engine, who has signed it and how many
    must.

    Needs no key and no passphrase. Names come from the engine's directory, or from --public.

    Examples:

        zcp command show resume.cmd

        zcp command show resume.cmd --public desk.public
    """
    show_draft(Cli.of(directory, json, copies=True), file, _KIND, public, no_extra)


def sign(
    file: FileArgument,
    key: KeyOption = None,
    public: PublicOption = None,
    out: OutOrSameOption = None,
    yes: YesOption = False,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Show a command, ask, and sign it with your own key file. It is not submitted.

    Needs no engine on this machine: --public names what is public of it (zcp authority export).
    Compare the engine's id and the key's fingerprint by another way before the first signature.

    Examples:

        zcp command sign resume.cmd --key alice.key --public desk.public

        zcp command sign resume.cmd --key bob.key --out resume-bob.cmd --yes
    """
    cli = Cli.of(directory, json, passphrase_file, copies=True)
    sign_file(*(cli, file, _KIND), key=key, file=public, out=out, yes=yes, extra=no_extra)


def combine(
    files: FilesArgument,
    out: OutOption,
    public: PublicOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Join the signatures of copies that were signed apart.

    What no longer counts (a revoked or expired key) is left out, and said.

    Example:

        zcp command combine resume-alice.cmd resume-bob.cmd --out resume.cmd
    """
    combine_files(Cli.of(directory, json, copies=True), files, _KIND, out, public, no_extra)


def submit(
    file: FileArgument,
    wait: WaitOption = WAIT_SECONDS,
    ack: AckOption = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Bring a signed command to the engine. Whoever can write its spool may; no key is needed.

    The engine judges it and records what it took, or what it refused and why. With nobody at the
    engine and no passphrase it waits in the spool; a halt binds from then on.

    Example:

        zcp command submit resume.cmd
    """
    if far := remote():
        drafted = Draft.read(file, _KIND)
        cli = Cli.connected(json, passphrase_file)
        _connected.submit(cli, far, drafted.raw, label(drafted.verb))
        return
    cli = Cli.of(directory, json, passphrase_file)
    made, result = submit_file(cli, file, _KIND, wait)
    known = tell_ack(cli, result, ack)
    data = {"verb": label(made.verb), "reason": made.reason, **result}
    if result["applied"]:
        taken = f"taken: {label(made.verb)} (record {result['record']})"
        cli.emit(data, "\n".join([taken, *known]))
        return
    cli.emit(data, f"{label(made.verb)} {waiting_text(result)}")
    if made.verb is not Command.HALT:
        raise typer.Exit(6)
