"""zcp enclave key generate | import | list"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import _enclave_genesis as steps
from .._enclave_store import Store
from .._enums import Algorithm
from .._frame import FrameKind
from ..config import NamedKey
from ._enclave_genesis import lobby_for
from ._enclave_store import LOBBY, LobbyOption, StoreOption
from ._key import (
    AccountOption,
    AlgorithmOption,
    ApiKeyOption,
    MasterOption,
    NameArgument,
    PurposeOption,
    VaultOption,
    VenueOption,
    fields_of_options,
)
from ._shared import Cli, JsonOption, table


def register(family: typer.Typer) -> None:
    """Adds the commands."""
    verbs = typer.Typer(
        help="The keys inside, before the engine runs: made there, or brought in sealed.",
        no_args_is_help=True,
    )
    verbs.command("generate")(generate)
    verbs.command("import")(import_key)
    verbs.command("list")(list_keys)
    family.add_typer(verbs, name="key")


def generate(
    name: NameArgument,
    store: StoreOption,
    algorithm: AlgorithmOption = "",
    venue: VenueOption = "none",
    purpose: PurposeOption = "",
    api_key: ApiKeyOption = "",
    account: AccountOption = "",
    vault: VaultOption = "",
    master: MasterOption = False,
    lobby: LobbyOption = LOBBY,
    json: JsonOption = False,
) -> None:
    """Make a key inside. Nobody sees its secret; give the venue the public half.

    Example:

        zcp enclave key generate spot --venue binance_spot --store STORE
    """
    fields = fields_of_options(
        *(algorithm or Algorithm.ED25519, venue, purpose, api_key, account, vault, master)
    )
    with lobby_for(store, lobby) as (stream, kept):
        made = steps.generate_key(
            *(stream, kept, name, fields.purpose, fields.algorithm, fields.venue, fields.api_key)
        )
    _tell(Cli(Path(), json), made)


def import_key(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(help="What zcp enclave import made, signed.")],
    store: StoreOption,
    lobby: LobbyOption = LOBBY,
    json: JsonOption = False,
) -> None:
    """Hand in a key that was sealed to this enclave and signed for (zcp enclave import).

    Example:

        zcp enclave key import okx okx.import --store STORE
    """
    raw, _ = steps.frame_of(file, FrameKind.IMPORT)
    with lobby_for(store, lobby) as (stream, kept):
        made = steps.import_key(stream, kept, name, raw)
    _tell(Cli(Path(), json), made)


def list_keys(store: StoreOption, json: JsonOption = False) -> None:
    """List the keys that are inside, by what the store knows of them.

    Example:

        zcp enclave key list --store STORE
    """
    rows = [key.to_json() for key in steps.keys_of(Store(store))]

    def text(console: Any) -> None:
        lines = table("name", "purpose", "venue", "algorithm", "API key", "public key or address")
        for row in rows:
            lines.add_row(
                *(row[column] for column in ("name", "purpose", "venue", "algorithm", "api_key")),
                row["address"] or row["public_key"],
            )
        console.print(lines)

    Cli(Path(), json).emit({"keys": rows}, text)


def _tell(cli: Cli, made: NamedKey) -> None:
    row = made.to_json()
    shown = row["address"] or row["public_key"]
    cli.emit(row, f"{made.name} is inside: {row['algorithm']}, {shown or 'a secret of the venue'}")
