"""zcp ack"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..ack import ack_again, write_ack
from ..config import KeyFile
from . import _connected
from ._shared import Cli, DirOption, JsonOption, PassphraseOption


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("ack")(ack)


def ack(
    record: Annotated[int, typer.Argument(min=0, help="The number of a command's record.")],
    out: Annotated[Path | None, typer.Option("--out", help="Save it to a file.")] = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a command's signed acknowledgement again, from the log: what the engine answered.

    It is the same to the last byte as the one that the engine gave when it took the command.
    Through --connect, of the last command alone: the daemon answers it again.

    Example:

        zcp ack 812 --out ack.json
    """
    cli = Cli.of(directory, json, passphrase_file, copies=True)
    installed = cli.installed()
    if cli.far is not None:
        found = _connected.ack(cli, cli.far, record)
    else:
        ring = KeyFile(cli.directory / "keys" / "engine", cli.passphrase()).ring
        found = ack_again(installed, ring, record)
    if out is not None:
        write_ack(out, found, installed.genesis.raw)
    lines = found.text() + ([f"saved: {out}"] if out else [])
    cli.emit(found.to_json(installed.genesis.raw), "\n".join(lines))
