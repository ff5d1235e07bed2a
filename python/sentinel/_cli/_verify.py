"""zcp verify"""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated, Any

import typer

from .._enums import label
from .._receipt_enclave import verify_enclave
from ..ack import FORMAT as ACK_FORMAT
from ..ack import verify_ack
from ..attestation import AWS_ROOT_G1, Attestation, TrustRoot
from ..attestation import Expectation as EnclaveExpectation
from ..receipt import Expectation, VerifiedReceipt, iso_time, verify_receipt
from ._shared import Cli, JsonOption, read_input


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("verify")(verify)


def verify(
    receipt: Annotated[
        str, typer.Argument(help="A receipt's or an acknowledgement's file, or - for stdin.")
    ],
    expect: Annotated[
        Path | None,
        typer.Option("--expect", help="The expectation: engine id and authority root."),
    ] = None,
    enclave: Annotated[
        Path | None,
        typer.Option("--enclave", help="An enclave's expectation (zcp attest expect): it must be."),
    ] = None,
    document: Annotated[
        Path | None,
        typer.Option("--document", help="The enclave's document, where the receipt lacks it."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Another root than AWS's, in PEM; for tests.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Verify a receipt, or a command's acknowledgement, against what you expected beforehand.

    The expectation (expectation.json of the engine) must have come by another, trusted way than
    the receipt. Without one this never succeeds.

    With --enclave the decision must have been made in that enclave: the receipt names its
    attestation document, which is verified as of its own time, and binds the receipt's key.

    Examples:

        zcp verify receipt.json --expect expectation.json

        zcp verify receipt.json --expect expectation.json --enclave enclave.json

        zcp halt --reason "fat finger" --ack ack.json

        zcp verify ack.json --expect expectation.json
    """
    cli = Cli(Path(), json)
    expectation = Expectation.from_json(read_input(str(expect))) if expect else None
    text = read_input(receipt)
    if _format(text) == ACK_FORMAT:
        ack = verify_ack(text, expectation)
        lines = [f"verified: a {label(ack.verb)} that engine {ack.engine_id.hex()} took"]
        cli.emit({"verified": True, **ack.readable()}, "\n".join([*lines, *ack.text()]))
        return
    proven = verify_receipt(text, expectation)
    attested = _attested(proven, enclave, document, root) if enclave is not None else None
    record = proven.record
    data = {
        "verified": True,
        "engine_id": proven.genesis.engine_id.hex(),
        "record": record.number,
        "records_in_head": proven.head.count,
        "verdict": record.verdict.name.lower(),
        "policy_version": proven.policy_version,
        "transaction_hash": record.payload_digest.hex(),
        "timestamp": iso_time(record.now_ns),
        "enclave": _enclave_words(attested),
    }
    cli.emit(
        data,
        f"verified: engine {data['engine_id']} decided {data['verdict']!r} at {data['timestamp']}\n"
        f"record {record.number} of {proven.head.count}, policy version {proven.policy_version}, "
        f"{len(record.results)} constraints evaluated\n"
        f"transaction hash {data['transaction_hash']}\n{_enclave_line(proven, attested)}",
    )


def _attested(
    proven: VerifiedReceipt, expect: Path, document: Path | None, root: Path | None
) -> Attestation:
    return verify_enclave(
        proven.enclave,
        proven.genesis,
        EnclaveExpectation.from_json(read_input(str(expect))),
        document=document.read_bytes() if document is not None else None,
        root=TrustRoot.of_pem(root.read_bytes()) if root is not None else AWS_ROOT_G1,
    )


def _enclave_words(attested: Attestation | None) -> dict[str, Any] | None:
    if attested is None:
        return None
    return {
        "document": attested.digest.hex(),
        "time": attested.time.isoformat(),
        "pcr0": attested.pcrs[0].hex(),
    }


def _enclave_line(proven: VerifiedReceipt, attested: Attestation | None) -> str:
    if attested is not None:
        return f"enclave PCR0 {attested.pcrs[0].hex()}, attested at {attested.time.isoformat()}"
    named = "names a document, which was not judged" if proven.enclave else "names none"
    return f"enclave: the receipt {named}"


def _format(text: str) -> Any:
    """What the file says that it is; the verifiers say what is wrong with any other."""
    try:
        data = json_text.loads(text)
    except (ValueError, RecursionError):
        return None
    return data.get("format") if isinstance(data, dict) else None
