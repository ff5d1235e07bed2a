"""zcp bench: where the time of one guarded signature goes."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from .. import bench
from .._bench import STEPS
from .._enums import Algorithm
from ..errors import UsageError
from ._shared import Cli, JsonOption, table

RoundsOption = Annotated[
    int, typer.Option("--rounds", min=1, max=bench.ROUNDS_MAX, help="How often each is timed.")
]
AlgorithmOption = Annotated[
    str, typer.Option("--algorithm", help="Of the venue key: ed25519 or hmac_sha256.")
]
PinOption = Annotated[
    int | None, typer.Option("--pin", help="Processor to stay on; default the last one allowed.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench")(run)


def run(
    rounds: RoundsOption = 20_000,
    algorithm: AlgorithmOption = "ed25519",
    pin: PinOption = None,
    json: JsonOption = False,
) -> None:
    """Time the gate and its steps beside the bare libraries, in one run, on this machine.

    Every round times the whole gate, the gate with its steps noted, one bare Ed25519 signature
    (libsodium) and one bare ECDSA signature (libsecp256k1), in turn, in C. The engine is a
    throw-away one in a temporary directory; its log is written (durability "write").

    Examples:

        zcp bench

        zcp bench --algorithm hmac_sha256 --rounds 40000 --json
    """
    cli = Cli.of(None, json)
    known = {"ed25519": Algorithm.ED25519, "hmac_sha256": Algorithm.HMAC_SHA256}
    if algorithm not in known:
        raise UsageError(f"--algorithm: {algorithm!r} is none of {', '.join(known)}")
    allowed = os.sched_getaffinity(0)
    chosen = max(allowed) if pin is None else pin
    if chosen not in allowed:
        raise UsageError(
            f"--pin: this process may not run on processor {chosen}",
            next_step=f"name one of {', '.join(map(str, sorted(allowed)))}",
        )
    os.sched_setaffinity(0, {chosen})
    try:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("measuring", total=rounds)
            report = bench.run(
                rounds=rounds,
                algorithm=known[algorithm],
                progress=lambda done: bar.update(task, completed=done),
            )
    finally:
        os.sched_setaffinity(0, allowed)
    cli.emit(report.to_json(), lambda console: _show(console, report))


def _show(console: Console, report: bench.Report) -> None:
    rows = table("nanoseconds", "p50", "p99", "p99.9", "max", "of bare Ed25519")
    bare = report.row("ed25519").p50
    for row in report.rows:
        label = f"  {row.label}" if row.name in STEPS else row.label
        cells = (f"{number:,}" for number in (row.p50, row.p99, row.p999, row.max))
        rows.add_row(label, *cells, f"{row.p50 / bare:.2f}")
    for column in rows.columns[1:]:
        column.justify = "right"
    console.print(rows)
    console.print(
        f"\n{report.rounds:,} rounds, {report.constraints} constraints at three levels, venue key "
        f"{report.algorithm}, log written with pwrite.\n"
        f"The steps' medians add up to {report.steps_over_gate:.1%} of the gate's"
        f"{'' if report.steps_add_up else ' (more than 10 % off: the machine was not quiet)'}.\n"
        f"{report.machine}, pinned to processor {', '.join(map(str, report.pinned_to))}."
    )
