"""zcp enclave run"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import _enclave_run
from .._doctor import CPUS, MEMORY_MIB
from .._enclave_run import CID_LOWEST, Enclave
from ..errors import StorageError
from ._shared import Cli, JsonOption, until_signal


def register(family: typer.Typer) -> None:
    """Adds the command."""
    family.command("run")(run)


def run(
    eif: Annotated[Path, typer.Argument(help="The image.")],
    memory: Annotated[
        int, typer.Option("--memory", min=64, help="The enclave's memory, in MiB.")
    ] = MEMORY_MIB,
    cpus: Annotated[int, typer.Option("--cpus", min=1, help="Its processors.")] = CPUS,
    cid: Annotated[
        int, typer.Option("--cid", min=CID_LOWEST, max=0xFFFFFFFE, help="Its vsock address.")
    ] = 16,
    name: Annotated[str, typer.Option("--name", help="Its name for nitro-cli.")] = "sentinel",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show nitro-cli's configuration; start nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run an enclave by nitro-cli, and stay until it ends; for a service manager.

    Never in debug mode. One of that name that runs already is watched, not started again. At
    SIGTERM the enclave is ended (drain the engine before). When it ended by itself, exit status 9.

    Examples:

        zcp enclave run sentinel.eif --memory 512

        zcp enclave run sentinel.eif --dry-run >enclave.json
    """
    cli = Cli(Path(), json)
    enclave = Enclave(eif.absolute(), memory, cpus, cid, name)
    if dry_run:
        Cli(Path(), True).emit(enclave.config(), "")
        return
    with until_signal() as ended:
        found = _enclave_run.start(enclave)
        data = {"name": name, "cid": cid, "enclave_id": found.get("EnclaveID"), "state": "running"}
        cli.emit(data, f"{name} runs at CID {cid} ({found.get('EnclaveID')})")
        if not _enclave_run.watch(enclave, ended.wait):
            raise StorageError(
                f"the enclave {name} has ended",
                cause="the daemon or its kernel stopped, or somebody terminated it",
                next_step="start it again; docs/enclave.md says what to look at first",
            )
        _enclave_run.stop(enclave)
