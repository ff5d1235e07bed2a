"""zcp attest ask | verify | show | expect"""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import receipt
from .._people import Person
from ..attestation import (
    AWS_ROOT_G1,
    DOCUMENT_BYTES_MAX,
    MAX_AGE,
    PCR_MEANS,
    Attestation,
    AttestationRefused,
    Binding,
    EngineExpectation,
    Expectation,
    Purpose,
    Release,
    TrustRoot,
    measured_text,
    measurements,
    parse_binding,
    source_of,
    unsafe_parse_without_verification,
    verify,
)
from ..client import ask_document
from ..config import os_failed, write_file
from ..errors import UsageError
from ..units import parse_duration
from ._shared import Cli, JsonOption

_PURPOSES = {purpose.name.lower(): purpose for purpose in Purpose}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(
        help="Attestation documents of Nitro enclaves: who runs there, and with which keys.",
        no_args_is_help=True,
    )
    family.command("ask")(ask)
    family.command("verify")(verify_document)
    family.command("show")(show)
    family.command("expect")(expect)
    app.add_typer(family, name="attest")


FileArgument = Annotated[str, typer.Argument(help="The document, or - for stdin.")]


def ask(
    address: Annotated[
        str, typer.Argument(help="Where the enclave holds sessions: vsock://CID:5700.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the document goes.")],
    nonce: Annotated[
        str | None,
        typer.Option("--nonce", help="Ask with this, 32 bytes in hex; default: random ones."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Ask a running enclave who it is: a document for a fresh nonce, unverified.

    No key and no pin are needed. Give the nonce that it shows to zcp attest verify; the
    session_key_hash that is verified there is what to pin.

    Example:

        zcp attest ask vsock://16:5700 --out session.cose
    """
    asked = secrets.token_bytes(32) if nonce is None else _hex(nonce, "--nonce")
    document = ask_document(address, asked)
    write_file(out, document, mode=0o644)
    data = {"document": str(out), "nonce": asked.hex(), "verified": False}
    text = f"{out}: UNVERIFIED; zcp attest verify {out} --nonce {asked.hex()} --expect …"
    Cli(Path(), json).emit(data, text)


def verify_document(
    file: FileArgument,
    expectation: Annotated[
        Path, typer.Option("--expect", help="What the enclave must be; zcp attest expect makes it.")
    ],
    nonce: Annotated[
        str | None, typer.Option("--nonce", help="What the enclave was asked with, in hex.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="Judge as of this time, such as 2026-03-01T12:00:00Z."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Another root than AWS's, in PEM: for tests."),
    ] = None,
    max_age: Annotated[
        str, typer.Option("--max-age", help="How old the document may be.")
    ] = f"{MAX_AGE.seconds // 60}min",
    pin_out: Annotated[
        Path | None,
        typer.Option("--pin-out", help="Write the verified session key's hash: a file for --pin."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Verify a document: its form, its chain to AWS's root, its signature, its time, and that it
    speaks of the image, the engine and the question that you expected.

    The first thing that is wrong is named, with a code and a remedy (docs/enclave-attestation.md),
    and the exit status is 8. Without --nonce, the document may be an answer to somebody else.

    Examples:

        zcp attest verify document.cose --expect enclave.json --nonce 5f1c…

        zcp attest verify old.cose --expect enclave.json --at 2026-03-01T12:00:00Z --json
    """
    now = datetime.now(UTC) if at is None else _time(at)
    found = verify(
        _document(file),
        expectation=Expectation.from_json(_read(expectation)),
        nonce=None if nonce is None else _hex(nonce, "--nonce"),
        now=now,
        root=AWS_ROOT_G1 if root is None else TrustRoot.of_pem(_read(root), f"{root}, not AWS's"),
        max_age=timedelta(microseconds=parse_duration(max_age) // 1000),
    )
    if pin_out is not None:
        if found.binding is None or found.binding.purpose is not Purpose.SESSION:
            raise UsageError(
                "the document was not made for sessions, or --expect names no engine",
                next_step="zcp attest ask gets one that is made for them",
            )
        write_file(pin_out, found.binding.session_key_hash.hex().encode() + b"\n", mode=0o644)
    data = {"verified": True, "judged_at": _text(now), **_describe(found)}
    Cli(Path(), json).emit(data, "\n".join(_lines(found, None if at is None else now)))


def show(file: FileArgument, json: JsonOption = False) -> None:
    """Show what a document says, without verifying any of it. Never decide by what it shows.

    Example:

        zcp attest show document.cose
    """
    found = unsafe_parse_without_verification(_document(file))
    binding: Binding | None = None
    problem = "no user_data"
    if found.user_data is not None:
        try:
            binding = parse_binding(found.user_data)
        except AttestationRefused:
            problem = f"{len(found.user_data)} bytes of user_data, not of this product"
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=found.timestamp_ms)
    data = {
        "verified": False,
        "warning": "UNVERIFIED: anybody can write such a file",
        "signed": found.is_signed,
        "module_id": found.module_id,
        "time": _text(time),
        "pcrs": {str(index): pcr.hex() for index, pcr in sorted(found.pcrs.items())},
        "nonce": _hex_or_none(found.nonce),
        "public_key": _hex_or_none(found.public_key),
        "user_data": _hex_or_none(found.user_data),
        "engine": None if binding is None else _describe_binding(binding),
        "certificates": len(found.cabundle) + 1,
    }
    mark = "UNVERIFIED. Anybody can write such a file: nothing below is proven."
    lines = [mark, f"module {found.module_id} at {data['time']}"]
    if not found.is_signed:
        lines.append("it is not even signed: an emulator made it")
    zeros = [index for index, pcr in sorted(found.pcrs.items()) if not any(pcr)]
    lines += [f"PCR{index:<2} {pcr.hex()}" for index, pcr in sorted(found.pcrs.items()) if any(pcr)]
    if zeros:
        lines.append(f"zeros: PCR{', PCR'.join(map(str, zeros))}")
    lines.append(f"nonce {_hex_or_none(found.nonce) or 'none'}")
    lines += [problem] if binding is None else _binding_lines(binding)
    lines.append("UNVERIFIED. To rely on it: zcp attest verify FILE --expect EXPECTATION")
    Cli(Path(), json).emit(data, "\n".join(lines))


def expect(
    out: Annotated[Path, typer.Option("--out", help="The expectation file to write.")],
    build: Annotated[
        Path | None,
        typer.Option("--measurements", help="What your own, reproducible build measured (JSON)."),
    ] = None,
    release: Annotated[
        Path | None, typer.Option("--release", help="A signed release file; needs --key.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", help="The release key: its .pub file, or 64 hex digits."),
    ] = None,
    engine: Annotated[
        Path | None,
        typer.Option("--engine", help="The engine's expectation.json: its id and authority root."),
    ] = None,
    root_keys: Annotated[
        list[Path] | None,
        typer.Option("--root-key", help="Before genesis: a root key's .pub file; repeat it."),
    ] = None,
    root_threshold: Annotated[
        int, typer.Option("--root-threshold", min=1, max=8, help="Of those, how many must sign.")
    ] = 1,
    purposes: Annotated[
        list[str] | None,
        typer.Option("--purpose", help="boot, session, import, genesis or log; repeat it."),
    ] = None,
    any_engine: Annotated[
        bool, typer.Option("--any-engine", help="Judge the image alone, not user_data.")
    ] = False,
    role: Annotated[
        str | None, typer.Option("--role", help="ARN of the parent instance's role (PCR3).")
    ] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", help="Id of the parent instance (PCR4).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write down what an enclave must be, before it is asked.

    The measurements come from your own build of the image, which is the same to the last byte
    wherever it is made, or from a release file under the release key. They never come from a
    document: that would trust whoever answers first.

    Examples:

        zcp attest expect --measurements pcrs.json --engine expectation.json --out enclave.json

        zcp attest expect --release r.json --key r.pub --engine expectation.json --out enclave.json

        zcp attest expect --measurements pcrs.json --root-key a.pub --purpose genesis --out g.json
    """
    pcrs, source = _measured(build, release, key)
    for index, text in ((3, role), (4, instance)):
        if text is not None:
            pcrs[index] = measured_text(text)
    made = Expectation(
        pcrs,
        None if any_engine else _engine(engine, root_keys or [], root_threshold, purposes or []),
        source,
    )
    if any_engine and (engine or root_keys or purposes):
        raise UsageError("--any-engine leaves no engine to name", next_step="leave it out")
    write_file(out, made.to_json().encode(), mode=0o644)
    _tell(Cli(Path(), json), out, made)


def _tell(cli: Cli, out: Path, made: Expectation) -> None:
    lines = [f"PCR{index} {pcr.hex()} ({PCR_MEANS[index]})" for index, pcr in made.pcrs.items()]
    if made.engine is None:
        lines.append("any engine: what the enclave says of itself will not be judged")
    else:
        lines.append(f"engine {_hex_or_none(made.engine.id) or 'not known before genesis'}")
        lines.append(f"for {', '.join(p.name.lower() for p in sorted(made.engine.purposes))}")
    lines += [f"saved: {out}", f"next: zcp attest verify DOCUMENT --expect {out} --nonce HEX"]
    data = {
        "file": str(out),
        "pcrs": {str(index): pcr.hex() for index, pcr in made.pcrs.items()},
        "engine_id": None if made.engine is None else _hex_or_none(made.engine.id),
        "source": dict(made.source),
    }
    cli.emit(data, "\n".join(lines))


def _measured(
    build: Path | None, release: Path | None, key: str | None
) -> tuple[dict[int, bytes], dict[str, str]]:
    if (build is None) == (release is None):
        raise UsageError(
            "where do the measurements come from?",
            next_step="give --measurements of your own build, or --release with --key",
        )
    if build is not None:
        if key is not None:
            raise UsageError("--key is of a release", next_step="leave it out")
        text = _read(build)
        return measurements(text), source_of("measurements", text)
    assert release is not None
    if key is None:
        raise UsageError("whose release is it?", next_step="give the release key with --key")
    public = bytes.fromhex(key) if _is_key(key) else Person.read(Path(key)).public_key
    text = _read(release)
    found = Release.verify(text, public)
    return dict(found.pcrs), source_of("release", text, found.version)


def _engine(
    engine: Path | None, root_keys: list[Path], threshold: int, names: list[str]
) -> EngineExpectation:
    for name in names:
        if name not in _PURPOSES:
            raise UsageError(
                f"there is no purpose {name!r}", next_step=f"one of {', '.join(_PURPOSES)}"
            )
    purposes = frozenset(_PURPOSES[name] for name in names)
    if (engine is None) == (not root_keys):
        raise UsageError(
            "whose enclave is it?",
            next_step="give --engine with the engine's expectation.json; before genesis, --root-key"
            " and --purpose genesis",
        )
    if engine is not None:
        found = receipt.Expectation.from_json(_read(engine).decode("utf-8", "replace"))
        return EngineExpectation(
            found.engine_id,
            found.root_threshold,
            found.root_keys,
            purposes or frozenset({Purpose.BOOT, Purpose.SESSION, Purpose.IMPORT}),
        )
    keys = tuple(Person.read(path).public_key for path in root_keys)
    return EngineExpectation(None, threshold, keys, purposes)


def _describe(found: Attestation) -> dict[str, Any]:
    return {
        "statement_sha256": found.digest.hex(),
        "module_id": found.module_id,
        "time": _text(found.time),
        "root": {"name": found.root.name, "sha256": found.root.sha256.hex()},
        "pcrs": {str(index): pcr.hex() for index, pcr in sorted(found.pcrs.items())},
        "pcrs_checked": list(found.pcrs_checked),
        "nonce_checked": found.nonce_checked,
        "engine": None if found.binding is None else _describe_binding(found.binding),
        "public_key": _hex_or_none(found.public_key),
    }


def _describe_binding(binding: Binding) -> dict[str, Any]:
    return {
        "purpose": binding.purpose.name.lower(),
        "engine_id": binding.engine_id.hex(),
        "epoch": binding.epoch,
        "head_number": binding.head_number,
        "head_hash": binding.head_hash.hex(),
        "receipt_key_hash": binding.receipt_key_hash.hex(),
        "session_key_hash": binding.session_key_hash.hex(),
        "import_key_hash": binding.import_key_hash.hex(),
        "authority_root": binding.authority_root.hex(),
        "root_commitment": binding.root_commitment.hex(),
    }


def _lines(found: Attestation, at: datetime | None) -> list[str]:
    lines = [
        f"verified: enclave {found.module_id}, at {_text(found.time)}",
        f"root: {found.root.name}",
        *(f"PCR{n} as expected: {PCR_MEANS[n]} {found.pcrs[n].hex()}" for n in found.pcrs_checked),
    ]
    if found.binding is None:
        lines.append("NOT judged: what the enclave says of itself (the expectation has no engine)")
    else:
        lines += _binding_lines(found.binding)
    lines.append(
        "nonce: the one that was asked with"
        if found.nonce_checked
        else "NOT judged: the nonce; this may be an answer to another question (--nonce)"
    )
    if at is not None:
        lines.append(f"judged as of {_text(at)} (--at), not as of now")
    return [*lines, f"statement SHA-256 {found.digest.hex()}"]


def _binding_lines(binding: Binding) -> list[str]:
    return [
        f"engine {binding.engine_id.hex()}, epoch {binding.epoch}, for"
        f" {binding.purpose.name.lower()}",
        f"head: record {binding.head_number}, {binding.head_hash.hex()}",
        f"root secret's commitment {_or_none(binding.root_commitment)}",
        *(
            f"{name} key (SHA-256) {_or_none(digest)}"
            for name, digest in (
                ("receipt", binding.receipt_key_hash),
                ("session", binding.session_key_hash),
                ("import", binding.import_key_hash),
            )
        ),
    ]


def _document(file: str) -> bytes:
    """At most one byte more than a document can have: the reader refuses that by its size."""
    if file == "-":
        return sys.stdin.buffer.read(DOCUMENT_BYTES_MAX + 1)
    try:
        with Path(file).open("rb") as stream:
            return stream.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as error:
        raise os_failed(file, error) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(1 << 20)
    except OSError as error:
        raise os_failed(path, error) from None


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--at {text}: that is no time", next_step="such as 2026-03-01T12:00:00Z"
        ) from None
    if found.tzinfo is None:
        raise UsageError(f"--at {text}: no time zone", next_step="end it in Z for UTC")
    return found.astimezone(UTC)


def _is_key(text: str) -> bool:
    return len(text) == 64 and not text.strip("0123456789abcdefABCDEF")


def _hex(text: str, name: str) -> bytes:
    try:
        if text.split() == [text]:
            return bytes.fromhex(text)
    except ValueError:
        pass
    raise UsageError(f"{name}: hex digits are needed", next_step="copy it again")


def _or_none(digest: bytes) -> str:
    return digest.hex() if any(digest) else "none"


def _hex_or_none(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
