"""zcp key generate | import | list"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .._enums import Algorithm, Environment, Purpose, Venue, label
from .._log import writer_is_alive
from .._types import KeyInfo
from ..config import KeyFile, NamedKey, os_failed, public_keys
from ..errors import KeyFileError, UsageError
from ..lab import seed_of_pem
from ..policy import stable_id
from ._shared import Cli, DirOption, JsonOption, PassphraseOption, table

NameArgument = Annotated[str, typer.Argument(help="What policies call the key.")]
VenueOption = Annotated[str, typer.Option("--venue", help="The venue; none for messages.")]
AlgorithmOption = Annotated[
    str, typer.Option("--algorithm", help="ed25519, hmac_sha256, ecdsa_secp256k1 or bip340.")
]
PurposeOption = Annotated[
    str, typer.Option("--purpose", help="venue, venue_master or message; fixed for ever.")
]
ApiKeyOption = Annotated[
    str, typer.Option("--api-key", help="The venue's name of the key; not secret.")
]
_PURPOSES = (Purpose.VENUE, Purpose.VENUE_MASTER, Purpose.MESSAGE)
_SECRET_BYTES_MAX = 4096


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(
        help="Make, import and list the engine's keys. Secrets come from stdin or a file only.",
        no_args_is_help=True,
    )
    family.command("generate")(generate)
    family.command("import")(import_key)
    family.command("list")(list_keys)
    app.add_typer(family, name="key")


def generate(
    name: NameArgument,
    algorithm: AlgorithmOption = "ed25519",
    venue: VenueOption = "none",
    purpose: PurposeOption = "",
    api_key: ApiKeyOption = "",
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key in the engine's keyring. Its secret is never shown; give the venue the public one.

    Examples:

        zcp key generate notes --purpose message

        zcp key generate spot --venue binance_spot --algorithm ed25519
    """
    cli = Cli.of(directory, json, passphrase_file)
    fields = _fields(algorithm, venue, purpose)
    keys, names = _open(cli, name)
    info = keys.ring.generate(
        stable_id("key", name),
        fields[0],
        fields[1],
        venue=fields[2],
        api_key=api_key,
        lab=cli.installed().environment is Environment.LAB,
    )
    keys.save(names | {info.id: name})
    _report(cli, name, info, "made")


def import_key(
    name: NameArgument,
    algorithm: AlgorithmOption = "hmac_sha256",
    venue: VenueOption = "none",
    purpose: PurposeOption = "",
    api_key: ApiKeyOption = "",
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="File of the secret; default: stdin.")
    ] = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Import a key that a venue made. The secret is read from a file or the standard input.

    HMAC: the secret's own text. Ed25519 and secp256k1: 64 hex digits; Ed25519 also PKCS #8 PEM.

    Examples:

        zcp key import spot --venue binance_spot --api-key vmPUZE6m --secret-file secret.txt

        pass show binance | zcp key import spot --venue binance_spot --api-key vmPUZE6m
    """
    cli = Cli.of(directory, json, passphrase_file)
    fields = _fields(algorithm, venue, purpose)
    secret = _read_secret(secret_file, fields[1])
    keys, names = _open(cli, name)
    info = keys.ring.import_(
        stable_id("key", name),
        fields[0],
        fields[1],
        secret,
        venue=fields[2],
        api_key=api_key,
        lab=cli.installed().environment is Environment.LAB,
    )
    keys.save(names | {info.id: name})
    _report(cli, name, info, "imported")


def list_keys(directory: DirOption = None, json: JsonOption = False) -> None:
    """List the engine's keys: names and public halves. Needs no passphrase.

    Example:

        zcp key list
    """
    cli = Cli.of(directory, json)
    cli.installed()
    keys = public_keys(cli.directory)

    def text(console: Any) -> None:
        rows = table("name", "purpose", "venue", "algorithm", "API key", "public key")
        for key in keys:
            row = key.to_json()
            rows.add_row(
                row["name"],
                row["purpose"],
                row["venue"],
                row["algorithm"],
                row["api_key"],
                row["public_key"],
            )
        console.print(rows)

    cli.emit({"keys": [key.to_json() for key in keys]}, text)


def _fields(algorithm: str, venue: str, purpose: str) -> tuple[Purpose, Algorithm, Venue]:
    chosen_venue: Venue = _member("--venue", venue, Venue)
    default = Purpose.MESSAGE if chosen_venue is Venue.NONE else Purpose.VENUE
    chosen: Purpose = _member("--purpose", purpose, Purpose) if purpose else default
    if chosen not in _PURPOSES:
        raise UsageError(f"--purpose: {purpose} keys are not made by hand")
    if (chosen is Purpose.MESSAGE) != (chosen_venue is Venue.NONE):
        raise UsageError(
            "a message key has no venue, and every other key has one",
            next_step="give --venue, or --purpose message without it",
        )
    return chosen, _member("--algorithm", algorithm, Algorithm), chosen_venue


def _member(option: str, text: str, kind: Any) -> Any:
    known = {label(member): member for member in kind}
    if text not in known:
        raise UsageError(f"{option}: {text!r} is none of {', '.join(known)}")
    return known[text]


def _open(cli: Cli, name: str) -> tuple[KeyFile, dict[int, str]]:
    if (
        not name
        or len(name) > 64
        or not name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        or not name.isascii()
    ):
        raise UsageError("a key's name is 1 to 64 letters, digits, '.', '_' or '-'")
    cli.installed()
    keys = KeyFile(cli.directory / "keys" / "engine", cli.passphrase())
    return keys, {key.info.id: key.name for key in public_keys(cli.directory)}


def _read_secret(file: Path | None, algorithm: Algorithm) -> bytes:
    """The secret's bytes. No error repeats any part of it."""
    try:
        if file is None:
            if sys.stdin.isatty():
                raise UsageError(
                    "the secret is read from the standard input, and that is a terminal",
                    next_step="give --secret-file FILE, or pipe it in",
                )
            raw = sys.stdin.buffer.read(_SECRET_BYTES_MAX + 1)
        else:
            raw = file.read_bytes()
    except OSError as error:
        raise os_failed("the secret's file", error) from None
    text = raw.strip()
    if not 0 < len(text) <= _SECRET_BYTES_MAX:
        raise KeyFileError("the secret is empty, or too long")
    if algorithm is Algorithm.HMAC_SHA256:
        return text
    try:
        if text.startswith(b"-----BEGIN"):
            if algorithm is not Algorithm.ED25519:
                raise ValueError
            return seed_of_pem(text)
        secret = bytes.fromhex(text.decode("ascii").removeprefix("0x"))
        if len(secret) != 32:
            raise ValueError
        return secret
    except ValueError:
        raise KeyFileError(
            f"the secret is no {label(algorithm)} key",
            next_step="give 64 hex digits, or for ed25519 the PKCS #8 PEM text",
        ) from None


def _report(cli: Cli, name: str, info: KeyInfo, what: str) -> None:
    row = NamedKey(name, info).to_json()
    lines = [f"{what}: key {name} ({row['algorithm']}, {row['purpose']}, venue {row['venue']})"]
    if row["public_key"]:
        lines.append(f"public key {row['public_key']}")
    if writer_is_alive(cli.directory):
        lines.append("the process that has the engine open sees it when it opens it again")
    lines.append("a policy must name it before it can be used")
    cli.emit(row, "\n".join(lines))
