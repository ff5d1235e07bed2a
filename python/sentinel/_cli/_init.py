"""zcp init"""

from __future__ import annotations

import getpass
import secrets
import sys
from typing import Annotated

import typer

from .._enums import Environment, label
from ..config import create_engine, read_passphrase
from ..errors import KeyFileError, UsageError
from ._shared import Cli, DirOption, JsonOption, PassphraseOption, now_ns


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("init")(init)


def init(
    environment: Annotated[
        str, typer.Option("--environment", help="live, test or lab; fixed for ever.")
    ] = "live",
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a new engine: its keys, its authority, and a first policy that allows only messages.

    Without a terminal and without a passphrase file, a passphrase is made and kept beside the
    keys, readable by you only.

    Examples:

        zcp init

        zcp init --dir /srv/desk --environment test --passphrase-file /run/secrets/desk
    """
    cli = Cli.of(directory, json, passphrase_file)
    kinds = {label(kind): kind for kind in Environment}
    if environment not in kinds:
        raise UsageError(f"--environment: {environment!r} is none of {', '.join(kinds)}")
    passphrase, made = _passphrase(cli)
    created = create_engine(
        cli.directory,
        passphrase,
        now_ns=now_ns(),
        environment=kinds[environment],
        keep_passphrase=made,
    )
    if made:
        cli.warn(
            f"warning: there is no terminal and no passphrase file, so a passphrase was made and "
            f"kept in {cli.directory}/keys/passphrase; whoever reads that file has the keys"
        )
    data = {
        "directory": str(created.directory),
        "engine_id": created.engine_id.hex(),
        "environment": label(created.environment),
        "expectation": str(created.directory / "expectation.json"),
        "passphrase_made": made,
    }
    cli.emit(
        data,
        f"engine {created.engine_id.hex()} ({environment}) in {created.directory}\n"
        f"policy 1 allows messages and nothing else\n"
        f"auditors pin {created.directory}/expectation.json: hand it over by a trusted way\n"
        f"next: zcp policy status; zcp sign --message TEXT; zcp policy load FILE",
    )


def _passphrase(cli: Cli) -> tuple[bytes, bool]:
    """The passphrase, and whether it was made here."""
    if sys.stdin.isatty():
        return read_passphrase(cli.directory, file=cli.passphrase_file, ask=_ask_twice), False
    try:
        return read_passphrase(cli.directory, file=cli.passphrase_file), False
    except KeyFileError as error:
        if error.status is None and "no passphrase was given" in error.message:
            return secrets.token_urlsafe(24).encode(), True
        raise


def _ask_twice() -> str:
    first = getpass.getpass("New passphrase: ")
    if getpass.getpass("Again: ") != first:
        raise KeyFileError("the two passphrases differ", next_step="start zcp init again")
    return first
