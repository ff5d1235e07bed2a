"""zcp enclave begin | ask | public | certify | compile | create"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .. import _enclave_genesis as steps
from .._enclave_follow import only_keeper
from .._enclave_lobby import Lobby
from .._enclave_store import SESSION, Store, connect_lobby
from .._enums import Environment, label
from .._frame import FrameKind
from .._layout import attach_proofs
from .._people import Person
from ..attestation import Purpose
from ..config import write_file
from ..errors import UsageError
from ..units import parse_duration
from ._drafts import ValidOption
from ._enclave_keys import OutFileOption, read_small
from ._enclave_store import LOBBY, LobbyOption, StoreOption
from ._shared import Cli, JsonOption, read_input

_PURPOSES = {purpose.name.lower(): purpose for purpose in Purpose}


def register(family: typer.Typer) -> None:
    """Adds the commands."""
    for command in (begin, ask, public, certify, create):
        family.command(command.__name__)(command)
    family.command("compile")(compile_file)


@contextmanager
def lobby_for(store: Path, lobby: str) -> Iterator[tuple[Lobby, Store]]:
    """The store, which is nobody else's meanwhile, and the enclave's lobby."""
    with only_keeper(store), closing(connect_lobby(lobby)) as stream:
        yield stream, Store(store)


def begin(
    store: StoreOption,
    roots: Annotated[
        list[Path], typer.Option("--root-key", help="A root key's .pub file; repeat it.")
    ],
    threshold: Annotated[
        int, typer.Option("--root-threshold", min=1, max=8, help="Of those, how many must sign.")
    ] = 1,
    environment: Annotated[
        str, typer.Option("--environment", help="Of the engine: live, test or lab.")
    ] = "live",
    lobby: LobbyOption = LOBBY,
    json: JsonOption = False,
) -> None:
    """Begin an engine in an enclave that was just started: its root secret is made inside.

    The genesis record is then in the store, and what people need to sign with (engine.public). An
    enclave that ends before `create` took this engine with it: begin again, in an empty store.

    Example:

        zcp enclave begin --store STORE --root-key r1.pub --root-key r2.pub --root-threshold 2
    """
    kinds = {label(kind): kind for kind in Environment}
    if environment not in kinds:
        raise UsageError(f"--environment: {environment!r} is none of {', '.join(kinds)}")
    people = [Person.read(path) for path in roots]
    if len({one.public_key for one in people}) != len(people) or not threshold <= len(people) <= 8:
        raise UsageError(
            f"a root of {threshold} of {len(people)} keys cannot be",
            next_step="give 1 to 8 different --root-key, and at most so many for --root-threshold",
        )
    if steps.has(Store(store), "genesis"):
        steps.must_not_run(Store(store))
        raise UsageError(
            f"{store} has a genesis record already",
            cause="an engine was begun here, and did not run yet",
            next_step="go on with it; where its enclave ended, take an empty store",
        )
    with lobby_for(store, lobby) as (stream, kept):
        keys = [one.public_key for one in people]
        found = steps.begin(stream, kept, kinds[environment], threshold, keys)
    data = {
        "engine_id": found.engine_id.hex(),
        "genesis": str(store / "genesis"),
        "public": str(store / steps.PUBLIC),
        "expectation": str(store / steps.EXPECTATION),
    }
    Cli(Path(), json).emit(
        data,
        f"engine {data['engine_id']}\nnext: the first authority bundle: zcp authority draft"
        f" --public {data['public']} --add FILE.pub:operator … ; then zcp authority sign",
    )


def ask(
    out: OutFileOption,
    purpose: Annotated[str, typer.Option("--for", help="genesis, boot, import or session.")],
    nonce: Annotated[
        str, typer.Option("--nonce", help="32 bytes in hex, of who will verify it; else random.")
    ] = "",
    lobby: LobbyOption = LOBBY,
    json: JsonOption = False,
) -> None:
    """Ask an enclave that has no engine yet for its document: unverified.

    Whoever verifies it gives the nonce, and looks at the document with zcp attest verify, or by
    the drafts that need one (certificate, import).

    Example:

        zcp enclave ask --for genesis --nonce 5f1c… --out genesis.cose
    """
    if purpose not in _PURPOSES:
        raise UsageError(f"--for: {purpose!r} is none of {', '.join(_PURPOSES)}")
    try:
        asked = bytes.fromhex(nonce) if nonce else secrets.token_bytes(32)
    except ValueError:
        asked = b""
    if len(asked) != 32:
        raise UsageError("--nonce: 64 hex digits are needed", next_step="copy it again")
    with closing(connect_lobby(lobby)) as stream:
        write_file(out, stream.attest(_PURPOSES[purpose], asked), mode=0o644)
    data = {"document": str(out), "nonce": asked.hex(), "verified": False}
    Cli(Path(), json).emit(data, f"{out}: UNVERIFIED; its nonce is {asked.hex()}")


def public(
    store: StoreOption,
    authority: Annotated[
        Path | None,
        typer.Option("--authority", help="Take the first authority bundle, signed by the root."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write what is public of the engine into the store (engine.public); with --authority, take its
    first authority bundle before. Nothing is asked of the enclave.

    Example:

        zcp enclave public --store STORE --authority first.authority
    """
    with only_keeper(store):
        kept = Store(store)
        if authority is None:
            found = steps.write_public(kept)
        else:
            found = steps.take_authority(kept, *steps.frame_of(authority, FrameKind.AUTHORITY))
    file = store / steps.PUBLIC
    Cli(Path(), json).emit(
        {"public": str(file), "engine_id": found.genesis.engine_id.hex()},
        f"{file}: engine {found.engine}, authority bundle {found.sequence}",
    )


def certify(
    store: StoreOption,
    certificate: Annotated[
        Path, typer.Option("--certificate", help="Signed by k of n: draft, or as exported.")
    ],
    kms_key: Annotated[
        Path, typer.Option("--kms-key", help="The KMS key's public half: zcp enclave kms-key.")
    ],
    lobby: LobbyOption = LOBBY,
    json: JsonOption = False,
) -> None:
    """Hand the engine's certificate in; the root secret comes out wrapped to the certified key.

    Example:

        zcp enclave certify --store STORE --certificate engine.certificate --kms-key kms.der
    """
    raw, _ = steps.frame_of(certificate, FrameKind.CERTIFICATE)
    spki = read_small(kms_key)
    steps.must_not_run(Store(store))
    with lobby_for(store, lobby) as (stream, kept):
        steps.certify(stream, kept, raw, spki)
    wrapped = store / "root.wrapped"
    Cli(Path(), json).emit(
        {"certificate": str(store / "certificate"), "root": str(wrapped)},
        f"certified; the wrapped root is in {wrapped}\n"
        "next: zcp enclave key generate | import; then zcp enclave compile",
    )


def compile_file(
    file: Annotated[Path, typer.Argument(help="The policy.")],
    store: StoreOption,
    out: OutFileOption,
    valid: ValidOption = "1h",
    json: JsonOption = False,
) -> None:
    """Compile the engine's first policy with the keys that are inside, for people to sign.

    Example:

        zcp enclave compile policy.yaml --store STORE --out policy.bundle
    """
    source = read_input(str(file))
    part = steps.compile_first(Store(store), source, file, parse_duration(valid))
    frame = attach_proofs(part, [])
    write_file(out, frame, mode=0o644)
    Cli(Path(), json).emit(
        {"file": str(out), "bytes": len(frame)},
        f"{out}: version 1, unsigned\nnext: zcp policy sign {out} --key KEYFILE --public"
        f" {store / steps.PUBLIC}, then zcp enclave create --policy {out}",
    )


def create(
    store: StoreOption,
    policy: Annotated[Path, typer.Option("--policy", help="The first policy, signed.")],
    lobby: LobbyOption = LOBBY,
    json: JsonOption = False,
) -> None:
    """Let the engine run: the lobby ends, sessions begin. Once in an engine's life.

    It signs nothing before its keeper brought a grant of its witness, and an operator a lease.

    Example:

        zcp enclave create --store STORE --policy policy.bundle
    """
    raw, _ = steps.frame_of(policy, FrameKind.POLICY)
    steps.must_not_run(Store(store))
    with lobby_for(store, lobby) as (stream, kept):
        nonce = steps.create(stream, kept, raw)
    document = store / SESSION
    Cli(Path(), json).emit(
        {"document": str(document), "nonce": nonce.hex()},
        f"the engine runs; its document for sessions is {document}, with the nonce {nonce.hex()}\n"
        "next: zcp enclave keep --follow, a lease (zcp lease), and copies of the store elsewhere",
    )
