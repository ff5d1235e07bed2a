"""What `zcp command`, `zcp authority` and `zcp policy` share: show, sign, combine, submit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .. import _core
from .._draft_words import Told, tell
from .._drafts import (
    WORDS,
    Draft,
    check_engine,
    check_time,
    combine_drafts,
    count_of,
    dropped,
    need_of,
    sign_draft,
    signatures_of,
)
from .._frame import FrameKind
from .._in_force import ticket_told
from .._log import writer_is_alive
from .._people import Public, SigningKeys, keep_names
from .._status import Status
from ..client import Taken
from ..config import Installed, read_passphrase
from ..errors import (
    EngineLocked,
    KeyFileError,
    PolicyInvalid,
    SentinelError,
    StorageError,
    UsageError,
)
from ._connect import Remote
from ._shared import Cli, await_ticket, now_ns, spooled, submit

FilesArgument = Annotated[list[Path], typer.Argument(help="Copies that were signed apart.")]
PublicOption = Annotated[
    Path | None,
    typer.Option("--public", help="What is public of the engine, on a machine without it."),
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Your key file; default: the engine's own.")
]
OutOption = Annotated[Path, typer.Option("--out", help="Where the file goes.")]
OutOrSameOption = Annotated[
    Path | None, typer.Option("--out", help="Where the signed copy goes; default: the same file.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask: sign what was shown.")]
ValidOption = Annotated[
    str, typer.Option("--valid", help="How long there is to sign and submit it, such as 2h.")
]

Extra = Callable[[Draft, Public, Any], tuple[tuple[tuple[str, str], ...], dict[str, Any]]]
"""What a kind adds to the words of a draft: rows and data, by the keys that would sign."""


def no_extra(
    _draft: Draft, _public: Public, _keys: SigningKeys | None
) -> tuple[tuple[tuple[str, str], ...], dict[str, Any]]:
    """Nothing to add."""
    return (), {}


def public_of(cli: Cli, file: Path | None) -> Public:
    """What is public of the engine: the file, else the engine's directory.

    Raises StorageError, ConfigError, VerificationFailed.
    """
    return Public.read(file) if file is not None else Public.of_engine(cli.installed())


def named(draft: Draft, public: Public) -> Public:
    """With the names that travel with a draft; each counts only for the id that follows from it."""
    return replace(public, names=(*public.names, *draft.names))


def told(
    draft: Draft, public: Public | None, extra: Extra, keys: SigningKeys | None = None
) -> Told:
    """A draft in words."""
    if public is None:
        return tell(draft, None, now_ns())
    rows, data = extra(draft, public, keys)
    found = tell(draft, public, now_ns(), rows)
    return Told(found.rows, {**found.data, **data})


def show_draft(cli: Cli, path: Path, kind: FrameKind, file: Path | None, extra: Extra) -> None:
    """Shows a draft; without the engine's public material, what it says of itself."""
    draft = Draft.read(path, kind)
    public: Public | None = None
    if file is not None or (cli.directory / "genesis").exists():
        public = named(draft, public_of(cli, file))
        check_engine(draft, public)
    found = told(draft, public, extra)
    cli.emit({"file": str(path), **found.data}, found.text())


def sign_file(
    cli: Cli,
    path: Path,
    kind: FrameKind,
    *,
    key: Path | None,
    file: Path | None,
    out: Path | None,
    yes: bool,
    extra: Extra,
) -> None:
    """Shows a draft, asks, and adds a signature."""
    draft = Draft.read(path, kind)
    public = named(draft, public_of(cli, file))
    check_engine(draft, public)
    check_time(draft, now_ns())
    draft, gone = dropped(draft, public, now_ns())
    for one in gone:
        cli.warn(f"warning: the signature of {one.name} is left out: {one.problem}")
    keys = SigningKeys.open(cli.own_key(key), cli.passphrase())
    # Before the question: nobody is asked about what would then be refused.
    signed, name = sign_draft(draft, keys, public, now_ns())
    found = told(draft, public, extra, keys)
    if not cli.json:
        print(found.text())
    confirm(f"sign this as {name}?", yes=yes)
    target = out or path
    signed.write(target)
    after = told(signed, public, extra, keys)
    done = bool(after.data["complete"])
    data = {"file": str(target), "signed_as": name, **after.data}
    missing = after.data["needed"] - sum(one["counts"] for one in after.data["signed"])
    word = f"zcp {_family(kind)}"
    cli.emit(
        data,
        f"signed as {name}: {target}\nnext: "
        + (
            f"{word} {_LAST.get(kind, 'submit')} {target}"
            if done
            else f"{missing} more must sign: {word} sign {target} --key KEYFILE"
        ),
    )


_LAST: Final = {
    FrameKind.POLICY: "load",
    FrameKind.CERTIFICATE: "export",
    FrameKind.IMPORT: "export",
}


def _family(kind: FrameKind) -> str:
    inside = kind in (FrameKind.CERTIFICATE, FrameKind.IMPORT)
    return f"enclave {kind.name.lower()}" if inside else kind.name.lower()


def confirm(question: str, *, yes: bool) -> None:
    """Asks at the terminal. Raises UsageError without one, typer.Abort on anything but yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "nobody is there to confirm it",
            cause="there is no terminal to ask at",
            next_step="look at it with show, then give --yes",
        )
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


def combine_files(
    cli: Cli, paths: list[Path], kind: FrameKind, out: Path, file: Path | None, extra: Extra
) -> None:
    """Joins the signatures of several copies into one file."""
    draft = combine_drafts([Draft.read(path, kind) for path in paths])
    public: Public | None = None
    if file is not None or (cli.directory / "genesis").exists():
        public = named(draft, public_of(cli, file))
        check_engine(draft, public)
        draft, gone = dropped(draft, public, now_ns())
        for one in gone:
            cli.warn(f"warning: the signature of {one.name} is left out: {one.problem}")
    draft.write(out)
    found = told(draft, public, extra)
    lines = [f"{len(draft.proofs)} signatures in {out}", found.text()]
    cli.emit({"file": str(out), **found.data}, "\n".join(lines))


def submit_file(cli: Cli, path: Path, kind: FrameKind, wait: float) -> tuple[Draft, dict[str, Any]]:
    """Brings a signed draft to the engine, which judges it and records what it says.

    Anybody may who can write the engine's spool; a passphrase is used only where there is one and
    nobody has the engine open. Raises what the engine refuses with, in words of this draft.
    """
    draft = Draft.read(path, kind)
    public = named(draft, Public.of_engine(cli.installed()))
    ticket = submit(cli, draft.raw)
    try:
        with ticket_told(cli.directory, ticket):
            result = _hand_over(cli, ticket, wait)
    except SentinelError as error:
        if error.in_force_by:
            cli.keep_reason(draft.reason)
        elif isinstance(error, PolicyInvalid):
            raise _refused(draft, public, error) from None
        raise
    cli.keep_reason(draft.reason)
    if result["applied"]:
        try:
            keep_names(cli.directory, draft.names)
        except StorageError as error:
            cli.warn(f"warning: it stands, but the names that came with it are not kept: {error}")
    return draft, result


def submit_far(
    far: Remote, path: Path, kind: FrameKind, passphrase_file: Path | None
) -> tuple[Draft, Taken]:
    """The same through a daemon. Only a refusal is told with what the engine keeps, which is copied
    for that; one that has the end of its log alone refuses in its own words.
    """
    draft = Draft.read(path, kind)
    with far.client(role="command", passphrase_file=passphrase_file) as client:
        try:
            return draft, client.hand_in(draft.raw)
        except PolicyInvalid as error:
            try:
                copy = Installed(far.copied(passphrase_file))
            except SentinelError:
                raise error from None
            raise _refused(draft, named(draft, Public.of_engine(copy)), error) from None


def _hand_over(cli: Cli, ticket: int, wait: float) -> dict[str, Any]:
    if writer_is_alive(cli.directory):
        return await_ticket(cli, ticket, wait)
    try:
        passphrase = read_passphrase(cli.directory, file=cli.passphrase_file)  # never asks
        engine = _core.Engine.open(cli.directory, passphrase, now_ns())
    except EngineLocked:
        return await_ticket(cli, ticket, wait)
    except KeyFileError as error:
        if error.status is not None:
            raise
        return {"record": None, "applied": False, "ticket": ticket}
    try:
        return spooled(cli, engine, ticket)
    finally:
        engine.close(now_ns())


_WHY: Final = {
    Status.POLICY_EXPIRED: (
        "it took longer to be signed than it was made for, the clocks disagree, or the log ran"
        " ahead of them",
        "draft it again, with a longer --valid if signing takes long; where zcp status says that"
        " the log's time is ahead, it says what to do",
    ),
    Status.POLICY_ENGINE: (
        "it was drafted for another engine",
        "name that engine with --dir, or draft it again for this one",
    ),
}


def _refused(draft: Draft, public: Public, error: PolicyInvalid) -> SentinelError:
    """The engine's refusal, with what is wrong with this draft. The refusal is recorded."""
    word = WORDS[draft.kind]
    status = error.status
    message = f"the engine refused the {word}, and recorded that: {error.message}"
    cause, step = error.cause, error.next_step
    if status == Status.POLICY_SIGNATURE:
        cause, step = _unsigned(draft, public)
    elif status == Status.POLICY_SEQUENCE:
        cause = f"it was taken before, or a later {word} was taken since it was drafted"
        step = "zcp status shows what is in force; then draft it again if it is still wanted"
    elif status in _WHY:
        cause, step = _WHY[Status(status)]
    return PolicyInvalid(message, status=status, cause=cause, next_step=step)


def _unsigned(draft: Draft, public: Public) -> tuple[str, str]:
    now = now_ns()
    need = need_of(draft, public, now)
    found = signatures_of(draft, public, now)
    family = _family(draft.kind)
    for one in found:
        if one.problem:
            return (
                f"the signature of {one.name} does not count: {one.problem}",
                f"zcp {family} combine FILE --out NEW leaves out what does not count"
                if not one.bad
                else "draft it again and let everybody sign that",
            )
    have = count_of(found)
    return (
        f"{have} of {need.k} {need.word}s signed it",
        f"let {max(need.k - have, 1)} more sign it: zcp {family} sign FILE --key KEYFILE",
    )


def waiting_text(result: dict[str, Any]) -> str:
    """What is said of a frame that nobody answered yet."""
    if result.get("confirmed") is False:
        return (
            "not acknowledged yet: it is in force and recorded, and waits for the witness"
            f" (ticket {result['ticket']})"
        )
    return (
        f"not taken yet: it is in the spool (ticket {result['ticket']}) and is applied before the"
        " engine decides anything else; zcp status shows when it was"
    )
