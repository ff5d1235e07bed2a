"""zcp enclave check-policy | kms-key | ask-kms"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .._enclave_kms import derive_shared_secret, kms_client, public_key_of
from .._enclave_papers import parse_wrapped_root
from .._enclave_policy import check_policy
from ..attestation import DOCUMENT_BYTES_MAX, Expectation
from ..config import os_failed, write_file
from ..errors import UsageError, VerificationFailed
from ._shared import Cli, JsonOption

KeyIdOption = Annotated[str, typer.Option("--key-id", help="The KMS key: its id or ARN.")]
RegionOption = Annotated[str, typer.Option("--region", help="Of KMS; else AWS_REGION.")]
OutFileOption = Annotated[Path, typer.Option("--out", help="Where it goes.")]
FILE_BYTES_MAX = 65536


def register(family: typer.Typer) -> None:
    """Adds the commands."""
    family.command("check-policy")(check)
    family.command("kms-key")(kms_key)
    family.command("ask-kms")(ask_kms)


def read_small(path: Path, most: int = FILE_BYTES_MAX) -> bytes:
    """A file's bytes. Raises StorageError, UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise os_failed(path, error) from None
    if len(data) > most:
        raise UsageError(f"{path}: more than {most} bytes; it is another file")
    return data


def check(
    file: Annotated[Path, typer.Argument(help="The policy: JSON, or what get-key-policy prints.")],
    expectation: Annotated[
        Path | None, typer.Option("--expect", help="And pinned to the PCRs of this expectation.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check a KMS key policy: would it open to anybody but the pinned enclave image?

    Each way around the image is named, with its remedy; a Deny is not counted on, and what is not
    known is a finding. Exit status 8 when there is one.

    Examples:

        zcp enclave check-policy policy.json --expect enclave.json

        aws kms get-key-policy --key-id KEY --output json >policy.json
    """
    cli = Cli(Path(), json)
    pcrs = None
    if expectation is not None:
        pcrs = Expectation.from_json(read_small(expectation)).pcrs
    found = check_policy(read_small(file), pcrs)
    lines = [f"{one.code} (statement {one.statement}): {one.text}\n  {one.remedy}" for one in found]
    cli.emit(
        {
            "ok": not found,
            "findings": [
                {
                    "code": one.code,
                    "statement": one.statement,
                    "text": one.text,
                    "remedy": one.remedy,
                }
                for one in found
            ],
        },
        "\n".join(lines) if found else f"{file}: it opens to the pinned image alone",
    )
    if found:
        raise typer.Exit(VerificationFailed.exit_status)


def kms_key(
    out: OutFileOption, key_id: KeyIdOption, region: RegionOption = "", json: JsonOption = False
) -> None:
    """Fetch the public half of a KMS key that is to hold a root, and check what the key is.

    KMS must have made it, for key agreement, on P-256 or P-384, in one region. Operators compare
    its SHA-256 with the certificate that they sign.

    Example:

        zcp enclave kms-key --key-id KEY --region eu-central-1 --out kms.der
    """
    from hashlib import sha256

    cli = Cli(Path(), json)
    spki = public_key_of(kms_client(region), key_id)
    write_file(out, spki, mode=0o644)
    digest = sha256(spki).hexdigest()
    cli.emit({"file": str(out), "sha256": digest}, f"public half in {out}\nSHA-256 {digest}")


def ask_kms(
    wrapped: Annotated[Path, typer.Argument(help="The wrapped root that the enclave gave.")],
    document: Annotated[Path, typer.Argument(help="The enclave's document for `boot`.")],
    key_id: KeyIdOption,
    out: OutFileOption,
    region: RegionOption = "",
    json: JsonOption = False,
) -> None:
    """Ask KMS for the shared secret of an enclave that boots; only the enclave can read the answer.

    Example:

        zcp enclave ask-kms root.wrapped boot.cose --key-id KEY --out kms.answer
    """
    cli = Cli(Path(), json)
    found = parse_wrapped_root(read_small(wrapped))
    told = read_small(document, DOCUMENT_BYTES_MAX)
    answer = derive_shared_secret(kms_client(region), key_id, found, told)
    write_file(out, answer, mode=0o644)
    cli.emit(
        {"file": str(out), "engine_id": found.engine_id.hex(), "bytes": len(answer)},
        f"answer for engine {found.engine_id.hex()[:16]}… in {out}: the enclave takes it once",
    )
