"""zcp enclave build | measure | inspect | sign"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ..errors import UsageError, VerificationFailed
from ._shared import Cli, JsonOption, table

ImageArgument = Annotated[Path, typer.Argument(help="An enclave image (.eif).")]
OutArgument = Annotated[Path, typer.Argument(help="The image to write.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="The private key that signs: PEM, EC P-384.")
]
CertificateOption = Annotated[
    Path | None, typer.Option("--certificate", help="That key's certificate: PEM.")
]

BUILT_AT: Final = "1970-01-01T00:00:00+00:00"
"""No clock is asked: an image built twice has the same bytes."""


def register(family: typer.Typer) -> None:
    """Adds the commands."""
    family.command("build")(build)
    family.command("measure")(measure)
    family.command("inspect")(inspect)
    family.command("sign")(sign)


def build(
    out: OutArgument,
    kernel: Annotated[Path, typer.Option("--kernel", help="The kernel: a bzImage.")],
    cmdline: Annotated[Path, typer.Option("--cmdline", help="File with its command line.")],
    ramdisk: Annotated[
        list[Path],
        typer.Option("--ramdisk", help="PCR1 measures the first, PCR2 the others. Repeatable."),
    ],
    kernel_version: Annotated[str, typer.Option("--kernel-version", help="For the metadata.")],
    name: Annotated[str, typer.Option("--name", help="For the metadata.")] = "sentinel",
    version: Annotated[str, typer.Option("--version", help="For the metadata.")] = "0",
    built_at: Annotated[
        str, typer.Option("--built-at", help="A time for the metadata, which PCRs do not measure.")
    ] = BUILT_AT,
    key: KeyOption = None,
    certificate: CertificateOption = None,
    json: JsonOption = False,
) -> None:
    """Build an image from a kernel and ramdisks, and print its measurements.

    The same files give the same bytes, whenever and wherever; but a signature differs each time.

    Example:

        zcp enclave build sentinel.eif --kernel bzImage --cmdline cmdline
        --ramdisk init.cpio --ramdisk daemon.cpio --kernel-version 6.12.95
    """
    with _image_errors() as eif:
        found = eif.build(
            out,
            kernel=kernel,
            cmdline=_text(cmdline).strip("\n"),
            ramdisks=ramdisk,
            name=name,
            version=version,
            kernel_version=kernel_version,
            built_at=built_at,
            key=key,
            certificate=certificate,
        )
    _show(json, {"image": str(out), "measurements": found})


def measure(image: ImageArgument, json: JsonOption = False) -> None:
    """Print the measurements (PCRs) that an enclave started from an image will have.

    An image whose checksum or signature is not right is refused.

    Example:

        zcp enclave measure sentinel.eif --json
    """
    with _image_errors() as eif:
        found = eif.measure(image)
    _show(json, {"image": str(image), "measurements": found})


def inspect(image: ImageArgument, json: JsonOption = False) -> None:
    """Print all that an image says of itself, and its measurements.

    Example:

        zcp enclave inspect sentinel.eif
    """
    with _image_errors() as eif:
        found: dict[str, Any] = eif.inspect(str(image))
    _show(json, {"image": str(image), **found})


def sign(
    image: ImageArgument,
    out: OutArgument,
    key: KeyOption = None,
    certificate: CertificateOption = None,
    json: JsonOption = False,
) -> None:
    """Sign an image into a new file. It gets PCR8, which names the certificate.

    Example:

        zcp enclave sign sentinel.eif signed.eif --key image.key --certificate image.pem
    """
    if key is None or certificate is None:
        raise UsageError("a signature needs --key and --certificate")
    with _image_errors() as eif:
        found = eif.sign(image, out, key=key, certificate=certificate)
    _show(json, {"image": str(out), "measurements": found})


@contextmanager
def _image_errors() -> Iterator[ModuleType]:
    """The module that knows the format; what it refuses becomes an error of ours."""
    try:
        import sentinel_eif  # Most installations have no need of it.
    except ImportError:
        raise UsageError(
            "zcp enclave needs the module sentinel_eif, which is not installed",
            cause="it is a package of its own, made from enclave/eif",
            next_step="in a clone, with Rust: enclave/eif/build.sh (docs/enclave.md, 3)",
        ) from None
    try:
        yield sentinel_eif
    except sentinel_eif.EifError as error:
        raise VerificationFailed(
            str(error), next_step="correct what is named; nothing was written"
        ) from None


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not ASCII") from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", next_step="name a file that exists") from None


def _show(json: bool, data: dict[str, Any]) -> None:
    def text(console: Console) -> None:
        for name, value in data.items():
            if name == "measurements":
                rows = table("register", "value")
                for register_name, register in value.items():
                    rows.add_row(register_name, register)
                console.print(rows)
            else:
                shown = value if isinstance(value, str) else json_module.dumps(value)
                console.print(f"{name}: {shown}", markup=False)

    Cli(Path(), json).emit(data, text)
