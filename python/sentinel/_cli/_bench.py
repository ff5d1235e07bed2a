"""zcp bench: what a guarded signature costs here, beside what a user would pick instead."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .. import bench
from ..bench import machine, peers
from ..bench.peer import OPENERS
from ..bench.peers_pkcs11 import PIN_VARIABLE, open_pkcs11
from ..errors import UsageError
from . import _bench_files as files
from ._bench_show import show
from ._connect import remote
from ._shared import Cli, JsonOption, table

SuiteArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[SUITE]...", help="Which; `all`; see --list.")
]
ListOption = Annotated[bool, typer.Option("--list", help="List the suites and end.")]
FullOption = Annotated[bool, typer.Option("--full", help="Also what takes minutes.")]
RoundsOption = Annotated[
    int, typer.Option("--rounds", min=1, max=10_000_000, help="How often each thing is timed.")
]
PinOption = Annotated[
    int | None, typer.Option("--pin", help="Processor to stay on; default the last one allowed.")
]
AgainstOption = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        metavar="WHERE",
        help="A signer of your own: pkcs11:…, aws-kms:KEY_ID, http://…; may be repeated.",
    ),
]
RecordsOption = Annotated[
    int,
    typer.Option(
        "--records", min=0, max=100_000_000, help="audit: also a log of so many, 1 KB each."
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder for the results: JSON, named by date.")
]

SECONDS_A_RECORD = 12e-6
"""To sign it, verify it and decide it again."""
PlotsOption = Annotated[Path | None, typer.Option("--plots", help="Folder for plots.")]
FormatOption = Annotated[str, typer.Option("--plot-format", help="svg or png.")]
DrawOption = Annotated[
    Path | None, typer.Option("--draw", help="Draw this results file again; nothing is timed.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench")(run)


def run(
    suites: SuiteArgument = None,
    list_: ListOption = False,
    full: FullOption = False,
    rounds: RoundsOption = 20_000,
    pin: PinOption = None,
    against: AgainstOption = None,
    records: RecordsOption = 0,
    out: OutOption = None,
    plots: PlotsOption = None,
    plot_format: FormatOption = "svg",
    draw: DrawOption = None,
    agent: Annotated[str, typer.Option("--agent", help="With --connect: who signs.")] = "",
    json: JsonOption = False,
) -> None:
    """Time the gate on this machine, beside bare libraries and what else would sign.

    Without a suite: the quick ones, in about a minute; `all` runs every one. Everything is timed in
    C, or in Python where Python is the question, in turn, on one processor. The engines are
    throw-away ones in a temporary directory (TMPDIR), with keys that sign for nobody. So the risk
    that --accept-snapshot-risk accepts elsewhere is none here, and is accepted unasked.

    Examples:

        zcp bench

        zcp bench gate venues --rounds 50000 --out results --plots results

        zcp bench peers --against "pkcs11:/usr/lib/softhsm/libsofthsm2.so?token=T&key=K"

        zcp bench peers --against aws-kms:alias/trading --against http://127.0.0.1:9000/sign

    --against: an RFC 7512 URI, or pkcs11:MODULE?token=LABEL&key=LABEL, whose PIN stands in
    ZCP_BENCH_PIN or is asked for; a key of AWS KMS, with the credentials and region that boto3
    finds, at most 200 signatures (?calls=N: N), which AWS bills; a URL that takes POST
    {"data": "0x…"} and answers with a signature (raw+http:// sends the bytes instead; a header of
    your own stands in ZCP_BENCH_HTTP_HEADER, "Name: value").
    """
    cli = Cli.connected(json)
    if list_:
        return _list(cli)
    if plots is not None or draw is not None:
        files.check_plots(plot_format)
    if draw is not None:
        files.draw(cli, files.read(draw), plots or draw.parent, plot_format)
        return
    wanted = bench.chosen(suites or [])
    if against:  # first, so that a signer that is not to be had is told of at once
        others = [suite for suite in wanted if suite.name != "peers"]
        wanted = [bench.SUITES["peers"], *others]
    _prepare(cli, against or [])
    settings = bench.Settings(
        connect=_connect_of(wanted, agent),
        rounds=rounds,
        is_full=full or "all" in (suites or []),
        records=records,
        against=tuple(against or ()),
        allowed=tuple(sorted(os.sched_getaffinity(0))),
    )
    _announce(cli, wanted, settings)
    data: dict[str, Any] = {"machine": machine.about(), "results": []}
    try:
        _measure(cli, wanted, settings, pin, data["results"])
    finally:  # What was measured is kept, also where a later suite fails.
        if out is not None and data["results"]:
            cli.warn(f"results: {files.write(out, data)}")
    if plots is not None:
        files.draw(cli, data, plots, plot_format)
    if json:
        cli.emit(data, "")


def _connect_of(wanted: list[bench.Suite], agent: str) -> bench.Connect | None:
    """The daemon that --connect names. Raises UsageError where it is no suite's."""
    far = remote()
    if far is None:
        return None
    if [suite.name for suite in wanted] != ["service"] or not agent:
        raise UsageError(
            "--connect is of the suite service, and an agent signs",
            next_step="zcp bench service --connect ADDRESS --agent PATH",
        )
    if far.key is None or far.pin is None:
        raise UsageError("--connect: --session-key and --pin are needed here")
    row = far.key_id
    return bench.Connect(
        address=far.address,
        agent=agent,
        key=str(far.key),
        key_id=int(row) if row is not None and row.isdigit() else row,
        pin=str(far.pin),
        busy_poll=far.address.startswith("shm:"),
    )


def _announce(cli: Cli, wanted: list[bench.Suite], settings: bench.Settings) -> None:
    """How long it takes, and what it needs."""
    seconds = sum(s.seconds_full if settings.is_full else s.seconds for s in wanted)
    cli.warn(f"{len(wanted)} suites, about {_span(seconds)} on a quiet machine")
    if records := settings.records:
        size, minutes = records / 10**6, records * SECONDS_A_RECORD / 60
        cli.warn(f"a log of {records:,} records takes {size:.1f} GB and about {minutes:.0f} min")


def _measure(
    cli: Cli,
    wanted: list[bench.Suite],
    settings: bench.Settings,
    pin: int | None,
    results: list[dict[str, Any]],
) -> None:
    """Runs the suites on one processor; adds what a results file holds of each."""
    os.sched_setaffinity(0, {_processor(set(settings.allowed), pin)})
    try:
        for suite in wanted:
            results.append(_run_one(cli, suite, settings).to_json())
    finally:
        os.sched_setaffinity(0, settings.allowed)


def _prepare(cli: Cli, against: list[str]) -> None:
    """Finds mistakes before anything runs; says what will be asked of whom; asks for a PIN."""
    for where in against:
        cli.warn(peers.check_against(where))
    wants_pin = any(where.startswith("pkcs11:") for where in against)
    if wants_pin and PIN_VARIABLE not in os.environ and sys.stdin.isatty():
        pin = typer.prompt("PIN of the token", hide_input=True, default="", show_default=False)
        OPENERS["pkcs11"] = partial(open_pkcs11, ask=lambda text: pin)


def _run_one(cli: Cli, suite: bench.Suite, settings: bench.Settings) -> bench.Result:
    """Runs a suite beside a bar; tells people what it found at once."""
    with _bar() as bar:
        task = bar.add_task(suite.name, total=1.0)

        def progress(share: float) -> None:
            bar.update(task, completed=share)

        result = bench.run_suite(suite, replace(settings, progress=progress))
    if not cli.json:
        cli.emit({}, lambda console: show(console, result))
    return result


def _processor(allowed: set[int], pin: int | None) -> int:
    chosen = max(allowed) if pin is None else pin
    if chosen not in allowed:
        raise UsageError(
            f"--pin: this process may not run on processor {chosen}",
            next_step=f"name one of {', '.join(map(str, sorted(allowed)))}",
        )
    return chosen


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"


def _list(cli: Cli) -> None:
    suites = list(bench.SUITES.values())
    rows = table("suite", "measures", "quick", "--full", "by default")
    for suite in suites:
        rows.add_row(
            *(suite.name, suite.title, _span(suite.seconds), _span(suite.seconds_full)),
            "yes" if suite.is_quick else "",
        )
    data = [
        {
            "name": suite.name,
            "title": suite.title,
            "seconds": suite.seconds,
            "seconds_full": suite.seconds_full,
            "is_quick": suite.is_quick,
        }
        for suite in suites
    ]
    cli.emit({"suites": data}, lambda console: console.print(rows))
