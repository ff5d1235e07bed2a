"""zcp witness init | pin | serve | status | use"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import _witness_store as store
from .._enums import Environment, label
from .._people import check_name, fingerprint, person_id
from ..config import Installed, argon_limits, read_passphrase
from ..errors import UsageError
from ..witness import Server, configure
from ._shared import Cli, DirOption, JsonOption, PassphraseOption, _ask

PlaceArgument = Annotated[Path, typer.Argument(help="The witness's own directory.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(
        help="A witness: it confirms how far an engine's log goes, so that no old copy signs.",
        no_args_is_help=True,
    )
    family.command("init")(init)
    family.command("pin")(pin)
    family.command("serve")(serve)
    family.command("status")(status)
    family.command("use")(use)
    app.add_typer(family, name="witness")


def _passphrase(place: Path, file: Path | None) -> bytes:
    return read_passphrase(place, file=file, ask=_ask if sys.stdin.isatty() else None)


def init(
    place: PlaceArgument,
    name: Annotated[str, typer.Option("--name", help="The witness's name.")] = "witness",
    environment: Annotated[
        str, typer.Option("--environment", help="Of its engines: live, test or lab.")
    ] = "live",
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a witness: its key, and the public half that an authority bundle names.

    Keep it out of reach of the engine's host, on another machine or device: a witness that can be
    set back together with the engine proves nothing.

    Example:

        zcp witness init /srv/witness
    """
    kinds = {label(kind): kind for kind in Environment}
    if environment not in kinds:
        raise UsageError(f"--environment: {environment!r} is none of {', '.join(kinds)}")
    check_name(name)
    secret = _passphrase(place, passphrase_file)
    person = store.init(place, name, secret, argon_limits(kinds[environment]))
    public = place / "witness.pub"
    data = {
        "name": name,
        "id": person_id(name),
        "public_file": str(public),
        "public_key": person.public_key.hex(),
        "fingerprint": fingerprint(person.public_key),
    }
    Cli(Path(), json).emit(
        data,
        f"witness {name}: public key {data['public_key']}\n"
        f"public half in {public}, fingerprint {data['fingerprint']}\n"
        f"next: zcp witness pin {place} ENGINE; then zcp authority draft --add {public}:witness",
    )


def pin(
    place: PlaceArgument,
    engine: Annotated[Path, typer.Argument(help="The engine's directory, or a copy of it.")],
    json: JsonOption = False,
) -> None:
    """Let the witness serve an engine: the one whose genesis record is in a directory.

    Only the file `genesis` is read. It names the engine's identity key, and its hash is the
    engine's id, so nothing else can be put in its place later.

    Example:

        zcp witness pin /srv/witness engine
    """
    found = store.pin(place, Installed(engine).genesis.raw)
    engine_id = found.engine_id.hex()
    Cli(Path(), json).emit({"engine_id": engine_id}, f"serves engine {engine_id}")


def serve(
    place: PlaceArgument,
    listen: Annotated[
        str, typer.Option("--listen", help="Address and port; port 0 takes a free one.")
    ] = "127.0.0.1:8700",
    records: Annotated[
        int, typer.Option("--records", min=1, help="Orders that one grant is for.")
    ] = store.RECORDS,
    spend: Annotated[
        int, typer.Option("--spend", min=0, help="USD that one grant is for.")
    ] = store.SPEND_USD,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Answer the questions of the engines that are pinned, until it is interrupted.

    A crash of an engine can hide one grant at most, and that much is counted against its limits
    at the next start. --records 1 hides nothing, at the price of one round trip a signature.

    Example:

        zcp witness serve /srv/witness --listen 127.0.0.1:8700 --records 100 --spend 50000
    """
    witness = store.Witness(place, _passphrase(place, passphrase_file), records, spend)
    try:
        with Server(witness, listen) as server:
            host, port = server.server_address[:2]
            url = f"http://{host!s}:{port}"
            Cli(Path(), json).emit({"url": url}, f"serving at {url}")
            sys.stdout.flush()
            server.serve_forever()
    finally:
        witness.close()


def status(place: PlaceArgument, json: JsonOption = False) -> None:
    """Show the engines that the witness serves, and the last head that it confirmed of each.

    Example:

        zcp witness status /srv/witness
    """
    rows: list[dict[str, Any]] = [
        {
            "engine_id": engine_id,
            "epoch": kept.epoch,
            "records": kept.count,
            "last_hash": kept.hash,
            "record_end": kept.record_end,
            "spend_end_micro_usd": kept.spend_end,
        }
        for engine_id, kept in store.entries(place).items()
    ]
    lines = [
        f"{row['engine_id'][:16]}: epoch {row['epoch']}, {row['records']} records confirmed,"
        f" granted below record {row['record_end']}"
        for row in rows
    ]
    Cli(Path(), json).emit({"engines": rows}, "\n".join(lines) or "serves no engine yet")


def use(
    url: Annotated[str, typer.Argument(help="The witness, such as http://127.0.0.1:8700.")],
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Write down in the engine's directory which witness it asks, from its next start on.

    Example:

        zcp witness use http://127.0.0.1:8700
    """
    cli = Cli.of(directory, json)
    configure(cli.installed().directory, url)
    cli.emit({"witness": url}, f"from its next start on, the engine asks {url}")
