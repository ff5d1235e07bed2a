"""zcp init"""

from __future__ import annotations

import getpass
import secrets
import sys
from typing import Annotated, Any

import typer

from .._enums import Environment, label
from .._people import Founders
from ..config import Created, create_engine, read_passphrase
from ..errors import KeyFileError, UsageError
from ._shared import Cli, DirOption, JsonOption, PassphraseOption, now_ns

OperatorsOption = Annotated[
    int, typer.Option("--operators", help="How many operators; with 2 or more, a key file each.")
]
ResumeOption = Annotated[
    int | None, typer.Option("--resume", help="How many of them resume; default: most of them.")
]
ApproversOption = Annotated[
    int, typer.Option("--approvers", help="A key file each; the policy says how many it takes.")
]
PolicySignersOption = Annotated[
    int, typer.Option("--policy-signers", help="The same for those who sign policies.")
]
PolicyThresholdOption = Annotated[
    int | None, typer.Option("--policy-threshold", help="How many of them; default: most of them.")
]
RootsOption = Annotated[
    int, typer.Option("--roots", help="The same for the root, which says who has which power.")
]
RootThresholdOption = Annotated[
    int | None, typer.Option("--root-threshold", help="How many of them; fixed for ever.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("init")(init)


def init(
    environment: Annotated[
        str, typer.Option("--environment", help="live, test or lab; fixed for ever.")
    ] = "live",
    operators: OperatorsOption = 1,
    resume: ResumeOption = None,
    approvers: ApproversOption = 0,
    policy_signers: PolicySignersOption = 1,
    policy_threshold: PolicyThresholdOption = None,
    roots: RootsOption = 1,
    root_threshold: RootThresholdOption = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a new engine: its keys, its authority, and a first policy that allows only messages.

    Without a terminal and without a passphrase file, a passphrase is made and kept beside the
    keys, readable by you only.

    Where several people hold a power, each gets a key file in keys/people, sealed under the same
    passphrase: move it to its owner's machine and seal it anew there (zcp authority passphrase).
    The root is fixed for ever; everything else changes with zcp authority draft.

    Examples:

        zcp init

        zcp init --dir /srv/desk --environment test --passphrase-file /run/secrets/desk

        zcp init --operators 3 --resume 2 --roots 3 --root-threshold 2
    """
    cli = Cli.of(directory, json, passphrase_file)
    kinds = {label(kind): kind for kind in Environment}
    if environment not in kinds:
        raise UsageError(f"--environment: {environment!r} is none of {', '.join(kinds)}")
    authority = Founders.of(
        operators=_quorum(operators, resume),
        approvers=(approvers, min(approvers, 1)),
        policy=_quorum(policy_signers, policy_threshold),
        roots=_quorum(roots, root_threshold),
    )
    passphrase, made = _passphrase(cli)
    created = create_engine(
        cli.directory,
        passphrase,
        now_ns=now_ns(),
        environment=kinds[environment],
        keep_passphrase=made,
        authority=authority,
    )
    if made:
        cli.warn(
            f"warning: there is no terminal and no passphrase file, so a passphrase was made and "
            f"kept in {cli.directory}/keys/passphrase; whoever reads that file has the keys"
        )
    _report(cli, created, authority.people, made)


def _report(cli: Cli, created: Created, people: tuple[str, ...], made: bool) -> None:
    """What was made, and what to do next."""
    data: dict[str, Any] = {
        "directory": str(created.directory),
        "engine_id": created.engine_id.hex(),
        "environment": label(created.environment),
        "expectation": str(created.directory / "expectation.json"),
        "passphrase_made": made,
        "people": [str(created.directory / "keys" / "people" / f"{name}.key") for name in people],
    }
    moves = "".join(f"{path}: move it to its owner\n" for path in data["people"])
    cli.emit(
        data,
        f"engine {created.engine_id.hex()} ({data['environment']}) in {created.directory}\n"
        f"policy 1 allows messages and nothing else\n"
        f"auditors pin {created.directory}/expectation.json: hand it over by a trusted way\n"
        f"{moves}"
        f"next: zcp policy status; zcp sign --message TEXT; zcp policy load FILE",
    )


def _quorum(count: int, threshold: int | None) -> tuple[int, int]:
    """N and k; k is most of n when it is not said."""
    return count, threshold if threshold is not None else (count // 2 + 1 if count else 0)


def _passphrase(cli: Cli) -> tuple[bytes, bool]:
    """The passphrase, and whether it was made here."""
    if sys.stdin.isatty():
        return read_passphrase(cli.directory, file=cli.passphrase_file, ask=_ask_twice), False
    try:
        return read_passphrase(cli.directory, file=cli.passphrase_file), False
    except KeyFileError as error:
        if error.status is None and "no passphrase was given" in error.message:
            return secrets.token_urlsafe(24).encode(), True
        raise


def _ask_twice() -> str:
    first = getpass.getpass("New passphrase: ")
    if getpass.getpass("Again: ") != first:
        raise KeyFileError("the two passphrases differ", next_step="start zcp init again")
    return first
