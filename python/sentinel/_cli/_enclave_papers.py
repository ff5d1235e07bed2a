"""zcp enclave certificate | import: draft, show, sign, combine, export"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .._drafts import Draft, need_of
from .._enclave_papers import NewKey, certificate_part, import_part, tell_paper
from .._enums import Environment
from .._frame import FrameKind
from .._layout import FrameTerms
from .._people import Public, SigningKeys
from ..attestation import (
    AWS_ROOT_G1,
    DOCUMENT_BYTES_MAX,
    Attestation,
    Expectation,
    TrustRoot,
    verify,
)
from ..config import write_file
from ..errors import UsageError
from ..policy import stable_id
from ..units import parse_duration
from ._drafts import (
    FilesArgument,
    KeyOption,
    OutOption,
    OutOrSameOption,
    PublicOption,
    ValidOption,
    YesOption,
    combine_files,
    public_of,
    show_draft,
    sign_file,
    told,
)
from ._enclave_keys import read_small
from ._key import (
    AccountOption,
    AlgorithmOption,
    ApiKeyOption,
    MasterOption,
    NameArgument,
    PurposeOption,
    VaultOption,
    VenueOption,
    key_of_options,
)
from ._shared import ISSUED_BEFORE_NS, Cli, DirOption, JsonOption, PassphraseOption, now_ns

FileArgument = Annotated[Path, typer.Argument(help="A file that draft made.")]
DocumentOption = Annotated[
    Path, typer.Option("--document", help="The enclave's document, made for this.")
]
ExpectOption = Annotated[
    Path, typer.Option("--expect", help="What the enclave must be; zcp attest expect makes it.")
]
NonceOption = Annotated[
    str, typer.Option("--nonce", help="What you asked the enclave with, in hex.")
]
RootOption = Annotated[
    Path | None, typer.Option("--root", help="Another root than AWS's, in PEM: for tests.")
]
_HELP = {
    FrameKind.CERTIFICATE: "Which root this engine has, and which KMS key may hold it: k of n"
    " operators sign that at genesis, each after looking at the enclave's document.",
    FrameKind.IMPORT: "Bring a key into an enclave: sealed to the enclave of a document that is"
    " verified first, and signed by k of n operators.",
}


def register(family: typer.Typer) -> None:
    """Adds both families."""
    for kind, draft in (
        (FrameKind.CERTIFICATE, draft_certificate),
        (FrameKind.IMPORT, draft_import),
    ):
        verbs = typer.Typer(help=_HELP[kind], no_args_is_help=True)
        verbs.command("draft")(draft)
        for name, (make, words) in _VERBS.items():
            made = make(kind)
            example = f"zcp enclave {kind.name.lower()} {name} {words}"
            text = f"{made.__doc__}\n\nExample:\n\n    {example}"
            verbs.command(name, help=text)(made)
        family.add_typer(verbs, name=kind.name.lower())


# ---- Drafting -----------------------------------------------------------------------------------


def _verified(document: Path, expect: Path, nonce: str, root: Path | None) -> Attestation:
    try:
        asked = bytes.fromhex(nonce)
    except ValueError:
        raise UsageError("--nonce: hex digits are needed", next_step="copy it again") from None
    return verify(
        read_small(document, DOCUMENT_BYTES_MAX),
        expectation=Expectation.from_json(read_small(expect)),
        nonce=asked,
        now=datetime.now(UTC),
        root=AWS_ROOT_G1 if root is None else TrustRoot.of_pem(read_small(root)),
    )


def _terms(public: Public, valid: str) -> FrameTerms:
    now = now_ns()
    return FrameTerms(
        engine_id=public.genesis.engine_id,
        environment=Environment(public.genesis.environment),
        sequence=now,
        issued_ns=now - ISSUED_BEFORE_NS,
        expires_ns=now + parse_duration(valid),
    )


def _drafted(cli: Cli, kind: FrameKind, part: bytes, public: Public, out: Path) -> None:
    draft = Draft(kind, part, names=tuple(sorted(public.names)))
    draft.write(out)
    found = told(draft, public, _extra)
    need = need_of(draft, public, now_ns())
    word = f"zcp enclave {kind.name.lower()}"
    cli.emit(
        {"file": str(out), **found.data},
        f"{found.text()}\ndrafted in {out}\nnext: {need.k} of {len(need.holders)} operators sign"
        f" it: {word} sign {out} --key KEYFILE",
    )


def _extra(
    draft: Draft, _public: Public, _keys: SigningKeys | None
) -> tuple[tuple[tuple[str, str], ...], dict[str, Any]]:
    rows = tell_paper(draft.frame).rows
    return rows, {"paper": dict(rows)}


def draft_certificate(
    document: DocumentOption,
    expect: ExpectOption,
    nonce: NonceOption,
    kms_key: Annotated[
        Path, typer.Option("--kms-key", help="The KMS key's public half: zcp enclave kms-key.")
    ],
    out: OutOption,
    valid: ValidOption = "1h",
    public: PublicOption = None,
    root: RootOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Draft an engine's certificate from the enclave's document for genesis, which is verified.

    Example:

        zcp enclave certificate draft --document g.cose --expect e.json --nonce 5f… --kms-key k.der
        --public desk.public --out desk.certificate
    """
    cli = Cli.of(directory, json)
    known = public_of(cli, public)
    attested = _verified(document, expect, nonce, root)
    part = certificate_part(attested, read_small(kms_key), _terms(known, valid))
    _drafted(cli, FrameKind.CERTIFICATE, part, known, out)


def draft_import(
    name: NameArgument,
    document: DocumentOption,
    expect: ExpectOption,
    nonce: NonceOption,
    out: OutOption,
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
        typer.Option("--api-passphrase-file", help="OKX: file of the API key's passphrase."),
    ] = None,
    valid: ValidOption = "15min",
    public: PublicOption = None,
    root: RootOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Seal a key to the enclave of a document that is verified first, for operators to sign.

    The secret leaves this machine sealed only; what operators see is its purpose, account and
    public half. Run it where the secret may be, not on the enclave's host.

    Example:

        zcp enclave import draft okx --venue okx --api-key 9b1c --document i.cose --expect e.json
        --nonce 5f… --public desk.public --out okx.import
    """
    cli = Cli.of(directory, json)
    known = public_of(cli, public)
    attested = _verified(document, expect, nonce, root)
    fields, secret, passphrase = key_of_options(
        *(algorithm, venue, purpose, api_key, account, vault, master),
        secret_file,
        api_passphrase_file,
    )
    key = NewKey(
        id=stable_id("key", name),
        purpose=fields.purpose,
        algorithm=fields.algorithm,
        venue=fields.venue,
        api_key=fields.api_key,
        secret=secret,
        passphrase=passphrase,
    )
    part = import_part(attested, key, _terms(known, valid))
    _drafted(cli, FrameKind.IMPORT, part, known, out)


# ---- What both have -----------------------------------------------------------------------------


def _show(kind: FrameKind) -> Callable[..., None]:
    def show(
        file: FileArgument,
        public: PublicOption = None,
        directory: DirOption = None,
        json: JsonOption = False,
    ) -> None:
        """Show what it says, and who signed it."""
        show_draft(Cli.of(directory, json), file, kind, public, _extra)

    return show


def _sign(kind: FrameKind) -> Callable[..., None]:
    def sign(
        file: FileArgument,
        key: KeyOption = None,
        public: PublicOption = None,
        out: OutOrSameOption = None,
        yes: YesOption = False,
        directory: DirOption = None,
        passphrase_file: PassphraseOption = None,
        json: JsonOption = False,
    ) -> None:
        """Look at it, verify the document that it names, and sign it with your own key."""
        cli = Cli.of(directory, json, passphrase_file)
        sign_file(cli, file, kind, key=key, file=public, out=out, yes=yes, extra=_extra)

    return sign


def _combine(kind: FrameKind) -> Callable[..., None]:
    def combine(
        files: FilesArgument,
        out: OutOption,
        public: PublicOption = None,
        directory: DirOption = None,
        json: JsonOption = False,
    ) -> None:
        """Join the signatures of copies that were signed apart."""
        combine_files(Cli.of(directory, json), files, kind, out, public, _extra)

    return combine


def _export(kind: FrameKind) -> Callable[..., None]:
    def export(file: FileArgument, out: OutOption, json: JsonOption = False) -> None:
        """Write the signed frame itself, as the enclave takes it."""
        draft = Draft.read(file, kind)
        write_file(out, draft.raw, mode=0o644)
        data = {"file": str(out), "hash": draft.frame.hash.hex(), "proofs": len(draft.proofs)}
        Cli(Path(), json).emit(data, f"frame with {len(draft.proofs)} signatures in {out}")

    return export


_VERBS: Final = {
    "show": (_show, "FILE --public desk.public"),
    "sign": (_sign, "FILE --key alice.key --public desk.public"),
    "combine": (_combine, "FILE FILE --out NEW"),
    "export": (_export, "FILE --out frame"),
}
