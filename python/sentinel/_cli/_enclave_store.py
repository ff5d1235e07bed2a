"""zcp enclave resume | keep"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .._enclave_follow import EVERY_SECONDS, Follower, Revival, only_keeper
from .._enclave_keeper import Say
from .._enclave_kms import kms_client
from .._enclave_store import SESSION, Store, bring_up, connect_lobby
from .._status import Status
from ..attestation import AWS_ROOT_G1, Expectation, Purpose, TrustRoot, parse_binding, verify
from ..client import Client, ask_document
from ..errors import KeyFileError, UsageError, VerificationFailed
from ..witness import check_url
from ._connect import Remote, remote
from ._enclave_keys import KeyIdOption, RegionOption, read_small
from ._enclave_papers import RootOption
from ._shared import Cli, JsonOption, PassphraseOption, now_ns, until_signal

LOBBY: Final = "vsock://16:5701"
LobbyOption = Annotated[str, typer.Option("--lobby", help="Where the enclave's lobby is.")]

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
    lobby: LobbyOption = LOBBY,
    region: RegionOption = "",
    json: JsonOption = False,
) -> None:
    """Bring an engine up again in an enclave that was started: root by KMS, keys and files.

    The engine then waits for its witness and its lease. Clients verify a new document of it.

    Example:

        zcp enclave resume --store /var/lib/sentinel --key-id KEY --region eu-central-1
    """
    cli = Cli(Path(), json)
    with only_keeper(store), closing(connect_lobby(lobby)) as stream:
        nonce = bring_up(stream, Store(store), kms_client(region), key_id)
    document = store / SESSION
    cli.emit(
        {"store": str(store), "document": str(document), "nonce": nonce.hex()},
        "the engine runs; next: a grant of its witness, and a lease\n"
        f"who connects verifies it first: zcp attest verify {document} --expect FILE"
        f" --nonce {nonce.hex()}",
    )


def keep(
    store: StoreOption,
    expect: Annotated[
        Path | None,
        typer.Option(
            "--expect", help="Pin the daemon by its document, verified against this; at each start."
        ),
    ] = None,
    witness: Annotated[
        str | None,
        typer.Option("--witness", help="Carry grants from here: such as http://127.0.0.1:8700."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--once", help="Go on until SIGTERM, or look once.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.01, max=60, help="Seconds between two looks.")
    ] = EVERY_SECONDS,
    resume_too: Annotated[
        bool, typer.Option("--resume", help="Bring the engine up in an enclave that began anew.")
    ] = False,
    key_id: Annotated[
        str, typer.Option("--kms-key-id", help="With --resume: the KMS key, its id or ARN.")
    ] = "",
    lobby: LobbyOption = LOBBY,
    region: RegionOption = "",
    root: RootOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Copy what a running engine keeps into the store, through --connect; the host's own process.

    The session's key needs the power keeper alone, which can copy files and carry grants and
    nothing else. What the witness is to confirm is in the store before it is asked. With --follow
    it goes on: it copies what is new, carries a grant when half of the last one is gone or a
    command waits for it, connects anew after every end, and with --resume brings the engine up
    when the enclave was started again. It tells systemd when it is ready; --json: a line an event.

    Examples:

        zcp --connect vsock://16:5700 --session-key keeper.key enclave keep --store STORE
        --expect enclave.json --witness http://127.0.0.1:8700 --follow

        zcp --connect unix:///run/sentinel/socket --session-key keeper.key --pin daemon.pin
        enclave keep --store STORE
    """
    where = _reached(expect)
    if resume_too and not (follow and key_id):
        raise UsageError("--resume goes with --follow and --kms-key-id")
    cli, told = Cli.connected(json, passphrase_file), _expected(expect, root)

    follower = Follower(
        *(Store(store), connector(where, passphrase_file, told), _teller(cli, follow=follow)),
        witness=None if witness is None else check_url(witness),
        revival=Revival(lobby, lambda: kms_client(region), key_id) if resume_too else None,
        every=every,
    )
    with only_keeper(store):
        if follow:
            with until_signal() as ended:
                follower.run(ended.wait)
            return
        copied = follower.once()
    cli.emit(
        {"store": str(store), "files": copied.files, "records": copied.records},
        f"{copied.records} records are in {store}, {copied.files} files written",
    )


# ---- Of keep ------------------------------------------------------------------------------------


def _reached(expect: Path | None) -> Remote:
    where = remote()
    if where is None:
        raise UsageError(
            "which daemon?", next_step="zcp --connect vsock://16:5700 … enclave keep --store DIR"
        )
    if (where.pin is None) == (expect is None):
        raise UsageError(
            "what pins the daemon: --pin, or --expect?",
            next_step="an enclave is pinned by its document: give --expect, and no --pin",
        )
    return where


def _expected(expect: Path | None, root: Path | None) -> tuple[Expectation, TrustRoot] | None:
    if expect is None:
        return None
    trusted = AWS_ROOT_G1 if root is None else TrustRoot.of_pem(read_small(root))
    return Expectation.from_json(read_small(expect)), trusted


def attested_pin(address: str, expectation: Expectation, root: TrustRoot) -> bytes:
    """What pins the sessions of the enclave at an address, by its document, verified now."""
    nonce = secrets.token_bytes(32)
    found = verify(
        ask_document(address, nonce),
        expectation=expectation,
        nonce=nonce,
        now=datetime.now(UTC),
        root=root,
    )
    if found.user_data is None:
        raise VerificationFailed(f"{address}: the document binds nothing")
    binding = parse_binding(found.user_data)
    if binding.purpose is not Purpose.SESSION:
        raise VerificationFailed(f"{address}: the document was not made for sessions")
    return binding.session_key_hash


def connector(
    where: Remote, file: Path | None, told: tuple[Expectation, TrustRoot] | None
) -> Callable[[], AbstractContextManager[Client]]:
    """Opens sessions with the role "keeper", or "command" where the key has that power instead."""

    @contextmanager
    def connect() -> Iterator[Client]:
        pin = None if told is None else attested_pin(where.address, *told)
        with ExitStack() as opened:
            try:
                made = where.client(role="keeper", passphrase_file=file, pin=pin)
                client = opened.enter_context(made)
            except KeyFileError as error:
                if error.status != Status.POLICY_SCOPE:
                    raise
                made = where.client(role="command", passphrase_file=file, pin=pin)
                client = opened.enter_context(made)
            yield client

    return connect


def _teller(cli: Cli, *, follow: bool) -> Say:
    def say(event: str, text: str, data: dict[str, Any]) -> None:
        if not follow:
            cli.warn(text)
        elif cli.json:
            print(dumps({"event": event, "time": now_ns(), **data}), flush=True)
        else:
            print(f"{event}: {text}", flush=True)

    return say
