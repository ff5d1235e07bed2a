"""zcp enclave doctor"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from .._doctor import CPUS, MEMORY_MIB, STORE, Finding, State, Wanted, examine
from .._doctor_machine import Machine
from ..errors import StorageError
from ._shared import Cli, JsonOption, table

_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


def register(family: typer.Typer) -> None:
    """Adds the command."""
    family.command("doctor")(doctor)


def doctor(
    eif: Annotated[Path | None, typer.Option("--eif", help="The image that is to run.")] = None,
    memory: Annotated[
        int, typer.Option("--memory", min=64, help="The enclave's memory, in MiB.")
    ] = MEMORY_MIB,
    cpus: Annotated[int, typer.Option("--cpus", min=1, help="Its processors.")] = CPUS,
    store: Annotated[
        Path, typer.Option("--store", help="Where the host keeps records and sealed state.")
    ] = STORE,
    region: Annotated[str, typer.Option("--region", help="Of KMS; else AWS_REGION.")] = "",
    online: Annotated[
        bool, typer.Option("--online", help="Also ask the metadata service and reach KMS.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check the parent machine: can it run the enclave, and keep what it records?

    Each check says ok, warn or fail, what that means and what to do. Nothing is changed, and
    nothing of credentials is read but that they are there. Exit status 9 when a check failed.

    Examples:

        zcp enclave doctor --eif sentinel.eif

        zcp enclave doctor --online --region eu-central-1 --json
    """
    image = None if eif is None else eif.absolute()
    wanted = Wanted(memory, cpus, image, store.absolute(), region, online)
    findings = list(examine(Machine(), wanted))
    counts = Counter(finding.state.value for finding in findings)
    told = ", ".join(f"{counts[state.value]} {state.value}" for state in State)
    data = {
        "ok": not counts[State.FAIL.value],
        "counts": {state.value: counts[state.value] for state in State},
        "checks": [_described(finding) for finding in findings],
    }
    Cli(Path(), json).emit(data, lambda console: _show(console, findings, told))
    if counts[State.FAIL.value]:
        raise typer.Exit(StorageError.exit_status)


def _described(finding: Finding) -> dict[str, str]:
    return {
        "name": finding.name,
        "state": finding.state.value,
        "found": finding.found,
        "meaning": finding.meaning,
        "remedy": finding.remedy,
    }


def _show(console: Console, findings: list[Finding], told: str) -> None:
    rows = table("check", "", "found")
    for finding in findings:
        lines = [finding.found]
        lines += [f"means: {finding.meaning}"] * bool(finding.meaning)
        lines += [f"do: {finding.remedy}"] * bool(finding.remedy)
        state = Text(finding.state.value, style=_COLOURS[finding.state])
        rows.add_row(finding.name, state, Text("\n".join(lines)))
    console.print(rows)
    console.print(told)
