"""zcp enclave"""

from __future__ import annotations

import typer

from . import (
    _enclave_doctor,
    _enclave_genesis,
    _enclave_image,
    _enclave_key,
    _enclave_keys,
    _enclave_papers,
    _enclave_release,
    _enclave_run,
    _enclave_store,
)


def register(app: typer.Typer) -> None:
    """Adds the commands; each group of verbs has a file of its own."""
    family = typer.Typer(
        help="The enclave: its image and the machine that runs it.", no_args_is_help=True
    )
    for verbs in (
        _enclave_image,
        _enclave_release,
        _enclave_doctor,
        _enclave_run,
        _enclave_keys,
        _enclave_papers,
        _enclave_store,
        _enclave_genesis,
        _enclave_key,
    ):
        verbs.register(family)
    app.add_typer(family, name="enclave")
