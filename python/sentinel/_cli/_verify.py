"""zcp verify"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..receipt import Expectation, iso_time, verify_receipt
from ._shared import Cli, JsonOption, read_input


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("verify")(verify)


def verify(
    receipt: Annotated[str, typer.Argument(help="The receipt's file, or - for stdin.")],
    expect: Annotated[
        Path | None,
        typer.Option("--expect", help="The expectation: engine id and authority root."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Verify a receipt against what you expected beforehand.

    The expectation (expectation.json of the engine) must have come by another, trusted way than
    the receipt. Without one this never succeeds.

    Example:

        zcp verify receipt.json --expect expectation.json
    """
    cli = Cli(Path(), json)
    expectation = Expectation.from_json(read_input(str(expect))) if expect else None
    proven = verify_receipt(read_input(receipt), expectation)
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
    }
    cli.emit(
        data,
        f"verified: engine {data['engine_id']} decided {data['verdict']!r} at {data['timestamp']}\n"
        f"record {record.number} of {proven.head.count}, policy version {proven.policy_version}, "
        f"{len(record.results)} constraints evaluated\n"
        f"transaction hash {data['transaction_hash']}",
    )
