"""zcp enclave release"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from .._attestation_expectation import Release, measurements
from .._people import SigningKeys, fingerprint
from ..config import os_failed, read_passphrase, write_file
from ..errors import UsageError
from ._shared import Cli, JsonOption, PassphraseOption


def register(family: typer.Typer) -> None:
    """Adds the command."""
    family.command("release")(release)


def release(
    measured: Annotated[
        Path, typer.Argument(help="What the build measured: its measurements.json.")
    ],
    version: Annotated[str, typer.Option("--version", help="The release's name, such as 1.2.0.")],
    key: Annotated[
        Path, typer.Option("--key", help="The release key's file: zcp authority keygen makes one.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The release file to write.")],
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Sign a release file: the measurements of a published image, for who does not build it.

    Sign what your own build measured, and build twice. Publish the file beside the image, and the
    key's .pub file, or its fingerprint, by another way. Who uses it gives both to zcp attest
    expect. The release key signs releases and nothing else: make one for that.

    Example:

        zcp enclave release measurements.json --version 1.2.0 --key release.key --out release.json

        zcp attest expect --release release.json --key release.pub --engine expectation.json --out
        expect.json
    """
    try:
        made = Release(version, measurements(measured.read_bytes()))
    except OSError as error:
        raise os_failed(measured, error) from None
    ask = (lambda: getpass.getpass("Passphrase: ")) if sys.stdin.isatty() else None
    keys = SigningKeys.open(key, read_passphrase(key.parent, file=passphrase_file, ask=ask))
    if len(keys.ids) != 1:
        raise UsageError(
            f"{key} holds {len(keys.ids)} keys: which one is the release key?",
            next_step="make one of its own: zcp authority keygen release --out release.key",
        )
    public = next(iter(keys.ids))
    text = made.to_json(made.sign(keys.ring, keys.ids[public])).encode()
    Release.verify(text, public)  # also that its version and registers have their form
    write_file(out, text, mode=0o644)
    said = fingerprint(public)
    Cli(Path(), json).emit(
        {
            "file": str(out),
            "version": version,
            "measurements": {f"PCR{index}": pcr.hex() for index, pcr in made.pcrs.items()},
            "public_key": public.hex(),
            "fingerprint": said,
        },
        f"{out}: release {version}, signed by the key {said}",
    )
