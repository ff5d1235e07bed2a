"""zcp key generate | import | list"""

from __future__ import annotations

import getpass
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .._enums import (
    API_KEY_BYTES_MAX,
    API_PASSPHRASE_BYTES_MAX,
    Algorithm,
    Environment,
    Purpose,
    Venue,
    label,
)
from .._log import writer_is_alive
from .._types import KeyInfo
from .._venue_rows import algorithm_refusal, rsa_refusal
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
AccountOption = Annotated[
    str, typer.Option("--account", help="Hyperliquid: the account that an agent key acts for, 0x….")
]
VaultOption = Annotated[
    str, typer.Option("--vault", help="Hyperliquid: the vault that the key trades for, 0x….")
]
MasterOption = Annotated[
    bool, typer.Option("--master", help="Hyperliquid: a master key, which moves funds alone.")
]
_PURPOSES = (Purpose.VENUE, Purpose.VENUE_MASTER, Purpose.MESSAGE)
_SECRET_BYTES_MAX = 4096
_API_KEY: Final = re.compile(f"[A-Za-z0-9._-]{{1,{API_KEY_BYTES_MAX}}}")
_ADDRESS: Final = re.compile("0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class _Fields:
    """What a key is for, from the options."""

    purpose: Purpose
    algorithm: Algorithm
    venue: Venue
    api_key: str


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
    algorithm: AlgorithmOption = "",
    venue: VenueOption = "none",
    purpose: PurposeOption = "",
    api_key: ApiKeyOption = "",
    account: AccountOption = "",
    vault: VaultOption = "",
    master: MasterOption = False,
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
    own = Algorithm.ED25519
    fields = fields_of_options(algorithm or own, venue, purpose, api_key, account, vault, master)
    keys, names = _open(cli, name)
    info = keys.ring.generate(
        stable_id("key", name),
        fields.purpose,
        fields.algorithm,
        venue=fields.venue,
        api_key=fields.api_key,
        lab=cli.installed().environment is Environment.LAB,
    )
    keys.save(names | {info.id: name})
    _report(cli, name, info, "made")


def import_key(
    name: NameArgument,
    algorithm: AlgorithmOption = "",
    venue: VenueOption = "none",
    purpose: PurposeOption = "",
    api_key: ApiKeyOption = "",
    account: AccountOption = "",
    vault: VaultOption = "",
    master: MasterOption = False,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="File of the secret; default: stdin.")
    ] = None,
    api_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--api-passphrase-file", help="OKX: file of the API key's passphrase; default: ask."
        ),
    ] = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Import a key that a venue made. The secret is read from a file or the standard input.

    HMAC: the secret's own text. Ed25519 and secp256k1: 64 hex digits; Ed25519 also PKCS #8 PEM.
    RSA keys are refused: at Binance make an Ed25519 or HMAC key, at Bybit an HMAC key.

    Examples:

        zcp key import spot --venue binance_spot --api-key vmPUZE6m --secret-file secret.txt

        pass show binance | zcp key import spot --venue binance_spot --api-key vmPUZE6m

        zcp key import okx --venue okx --api-key 9b1c --secret-file s --api-passphrase-file p

        zcp key import perps --venue hyperliquid --secret-file agent.hex --account 0x5f3c...
    """
    cli = Cli.of(directory, json, passphrase_file)
    fields, secret, words = key_of_options(
        *(algorithm, venue, purpose, api_key, account, vault, master),
        secret_file,
        api_passphrase_file,
    )
    keys, names = _open(cli, name)
    info = keys.ring.import_(
        stable_id("key", name),
        fields.purpose,
        fields.algorithm,
        secret,
        venue=fields.venue,
        api_key=fields.api_key,
        lab=cli.installed().environment is Environment.LAB,
    )
    if words:
        keys.ring.set_passphrase(info.id, words)
    keys.save(names | {info.id: name})
    _report(cli, name, info, "imported")


def key_of_options(
    algorithm: str,
    venue: str,
    purpose: str,
    api_key: str,
    account: str,
    vault: str,
    master: bool,
    secret_file: Path | None,
    api_passphrase_file: Path | None,
) -> tuple[_Fields, bytes, str]:
    """What a key from outside is for, its secret, and OKX's passphrase beside it.

    Raises UsageError, KeyFileError, StorageError.
    """
    own = Algorithm.HMAC_SHA256
    fields = fields_of_options(algorithm or own, venue, purpose, api_key, account, vault, master)
    words = _api_passphrase(api_passphrase_file, fields.venue)
    secret = _read_secret(secret_file, fields)
    if fields.venue and fields.algorithm is Algorithm.HMAC_SHA256 and not fields.api_key:
        raise UsageError(
            f"--api-key is missing: {label(fields.venue)} made one with the secret",
            next_step="give the venue's name of the key (Deribit: the client id); it is not secret",
        )
    return fields, secret, words


def list_keys(directory: DirOption = None, json: JsonOption = False) -> None:
    """List the engine's keys: names and public halves. Needs no passphrase.

    Example:

        zcp key list
    """
    cli = Cli.of(directory, json, copies=True)
    cli.installed()
    keys = public_keys(cli.directory)

    def text(console: Any) -> None:
        rows = table("name", "purpose", "venue", "algorithm", "API key", "public key or address")
        for key in keys:
            row = key.to_json()
            rows.add_row(
                row["name"],
                row["purpose"],
                row["venue"],
                row["algorithm"],
                row["api_key"],
                row["address"] or row["public_key"],
            )
        console.print(rows)

    cli.emit({"keys": [key.to_json() for key in keys]}, text)


def fields_of_options(
    algorithm: str | Algorithm,
    venue: str,
    purpose: str,
    api_key: str,
    account: str,
    vault: str,
    master: bool,
) -> _Fields:
    """The options, checked. An algorithm that is no text is only the default."""
    chosen_venue: Venue = _member("--venue", venue, Venue)
    default = Purpose.MESSAGE if chosen_venue is Venue.NONE else Purpose.VENUE
    chosen: Purpose = _member("--purpose", purpose, Purpose) if purpose else default
    if master and purpose not in ("", label(Purpose.VENUE_MASTER)):
        raise UsageError(f"--master and --purpose {purpose} exclude each other")
    if master:
        chosen = Purpose.VENUE_MASTER
    if chosen not in _PURPOSES:
        raise UsageError(f"--purpose: {purpose} keys are not made by hand")
    if (chosen is Purpose.MESSAGE) != (chosen_venue is Venue.NONE):
        raise UsageError(
            "a message key has no venue, and every other key has one",
            next_step="give --venue, or --purpose message without it",
        )
    if chosen is Purpose.VENUE_MASTER and chosen_venue is not Venue.HYPERLIQUID:
        raise UsageError("only hyperliquid has master keys", next_step="give --venue hyperliquid")
    if algorithm == "rsa":
        why, instead = rsa_refusal(chosen_venue)
        raise UsageError(why, next_step=instead)
    if isinstance(algorithm, Algorithm):
        is_chain = chosen_venue is Venue.HYPERLIQUID
        method = Algorithm.ECDSA_SECP256K1 if is_chain else algorithm
    else:
        method = _member("--algorithm", algorithm, Algorithm)
    acts_for = _acts_for(chosen_venue, chosen, api_key, account, vault)
    refusal = algorithm_refusal(chosen_venue, method)
    if refusal is not None:
        raise UsageError(f"--algorithm: {refusal[0]}", next_step=refusal[1])
    return _Fields(chosen, method, chosen_venue, acts_for)


def _acts_for(venue: Venue, purpose: Purpose, api_key: str, account: str, vault: str) -> str:
    """The venue's name of the key; at Hyperliquid, whom it acts for."""
    if venue is not Venue.HYPERLIQUID:
        if account or vault:
            raise UsageError("--account and --vault are of hyperliquid", next_step="use --api-key")
        if api_key and _API_KEY.fullmatch(api_key) is None:
            raise UsageError(
                f"--api-key: it is not 1 to {API_KEY_BYTES_MAX} letters, digits, '.', '_' or '-'",
                next_step="copy it from the venue again; the secret is another text",
            )
        return api_key
    if sum(map(bool, (api_key, account, vault))) > 1:
        raise UsageError(
            "--account, --vault and --api-key exclude each other",
            next_step="give --account for an agent key, or --vault for one that trades a vault",
        )
    if purpose is Purpose.VENUE_MASTER and (account or vault or api_key):
        raise UsageError(
            "a master key acts for its own account alone",
            next_step="leave --account and --vault out",
        )
    for option, address in (("--account", account), ("--vault", vault)):
        if address and _ADDRESS.fullmatch(address) is None:
            raise UsageError(
                f"{option}: {address[:64]!r} is no address",
                next_step="give 0x and 40 hex digits",
            )
    return f"vault-{vault.lower()}" if vault else account.lower() or api_key


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


def _read_secret(file: Path | None, fields: _Fields) -> bytes:
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
    is_pem = text.startswith(b"-----BEGIN")
    if is_pem and _is_rsa(text):
        why, instead = rsa_refusal(fields.venue)
        raise KeyFileError(why, next_step=instead)
    if fields.algorithm is Algorithm.HMAC_SHA256:
        if is_pem:
            raise KeyFileError(
                "a PEM text is no HMAC secret",
                next_step="give --algorithm ed25519, if the venue has its public half",
            )
        return text
    try:
        if is_pem:
            if fields.algorithm is not Algorithm.ED25519:
                raise ValueError
            return seed_of_pem(text)
        secret = bytes.fromhex(text.decode("ascii").removeprefix("0x"))
        if len(secret) != 32:
            raise ValueError
        return secret
    except ValueError:
        raise KeyFileError(
            f"the secret is no {label(fields.algorithm)} key",
            next_step="give 64 hex digits, or for ed25519 the PKCS #8 PEM text",
        ) from None


def _is_rsa(pem: bytes) -> bool:
    if b"RSA PRIVATE KEY" in pem:
        return True
    try:
        return isinstance(load_pem_private_key(pem, password=None), RSAPrivateKey)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _api_passphrase(file: Path | None, venue: Venue) -> str:
    """The passphrase that OKX wants beside its key; never from the command line."""
    if venue is not Venue.OKX:
        if file is not None:
            raise UsageError("--api-passphrase-file is of okx: no other venue has passphrases")
        return ""
    try:
        if file is None:
            if not sys.stderr.isatty():
                raise UsageError(
                    "an OKX key has a passphrase, and there is no terminal to ask for it",
                    next_step="give --api-passphrase-file FILE",
                )
            text = getpass.getpass("passphrase of the API key: ")  # from the terminal itself
        else:
            text = file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise KeyFileError("the API key's passphrase is not text") from None
    except OSError as error:
        raise os_failed("the file of the API key's passphrase", error) from None
    good = text.isascii() and text.isprintable() and text == text.strip()
    if not 0 < len(text) <= API_PASSPHRASE_BYTES_MAX or not good:
        raise KeyFileError(
            "the API key's passphrase is empty, too long or has characters that no header has",
            next_step=f"give 1 to {API_PASSPHRASE_BYTES_MAX} printable ASCII characters, without a"
            " space at either end; at OKX it was chosen when the key was made",
        )
    return text


def _report(cli: Cli, name: str, info: KeyInfo, what: str) -> None:
    row = NamedKey(name, info).to_json()
    lines = [f"{what}: key {name} ({row['algorithm']}, {row['purpose']}, venue {row['venue']})"]
    if row["public_key"]:
        lines.append(f"public key {row['public_key']}")
    if row["address"]:
        lines.append(f"address    {row['address']}")
    if writer_is_alive(cli.directory):
        lines.append("the process that has the engine open sees it when it opens it again")
    lines.append("a policy must name it before it can be used")
    cli.emit(row, "\n".join(lines))
