"""zcp enclave resume | keep"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._enclave_kms import kms_client
from .._enclave_lobby import kept_files
from .._enclave_store import SESSION, Store, bring_up, connect_lobby
from ..errors import UsageError
from ._connect import remote
from ._enclave_keys import KeyIdOption, RegionOption
from ._shared import Cli, JsonOption, PassphraseOption

StoreOption = Annotated[
    Path, typer.Option("--store", help="Where the host keeps the engine's papers and files.")
]


def register(family: typer.Typer) -> None:
    """Adds the commands."""
    family.command("resume")(resume)
    family.command("keep")(keep)


def resume(
    store: StoreOption,
    key_id: KeyIdOption,
    lobby: Annotated[
        str, typer.Option("--lobby", help="Where the enclave's lobby is.")
    ] = "vsock://16:5701",
    region: RegionOption = "",
    json: JsonOption = False,
) -> None:
    """Bring an engine up again in an enclave that was started: root by KMS, keys and files.

    The engine then waits for its witness and its lease. Clients verify a new document of it.

    Example:

        zcp enclave resume --store /var/lib/sentinel --key-id KEY --region eu-central-1
    """
    cli = Cli(Path(), json)
    stream = connect_lobby(lobby)
    try:
        nonce = bring_up(stream, Store(store), kms_client(region), key_id)
    finally:
        stream.close()
    document = store / SESSION
    cli.emit(
        {"store": str(store), "document": str(document), "nonce": nonce.hex()},
        "the engine runs; next: a grant of its witness, and a lease\n"
        f"who connects verifies it first: zcp attest verify {document} --expect FILE"
        f" --nonce {nonce.hex()}",
    )


def keep(
    store: StoreOption,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Copy a running engine's log and bundles into the store, through --connect.

    What is kept last is what can come back: run it often, and after every command.

    Example:

        zcp --connect vsock://16:5700 --session-key ops.key --key-id ops --pin daemon.pin
        enclave keep --store /var/lib/sentinel
    """
    where = remote()
    if where is None:
        raise UsageError(
            "which daemon?", next_step="zcp --connect vsock://16:5700 … enclave keep --store DIR"
        )
    cli = Cli.connected(json, passphrase_file)
    with where.client(role="command", passphrase_file=passphrase_file) as client:
        count = Store(store).keep_files(kept_files(client.connection.call))
    cli.emit({"store": str(store), "files": count}, f"{count} files kept in {store}")
