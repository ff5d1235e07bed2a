"""zcp drill, and zcp drill verify"""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from .._people import SigningKeys
from ..config import read_passphrase
from ..drill import Options, Plan, Report, run_drill, verify_drill
from ..errors import UsageError
from ..receipt import Expectation
from ._drafts import YesOption, confirm
from ._shared import Cli, DirOption, JsonOption, PassphraseOption, read_input, table

KeyOption = Annotated[
    list[Path] | None, typer.Option("--key", help="A person's key file; once for each who is here.")
]
KeyPassphraseOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--key-passphrase-file",
        help="Passphrase of the key files, one for all or one for each, in their order;"
        " default: the engine's.",
    ),
]
RoundsOption = Annotated[int, typer.Option("--rounds", min=1, help="How many halts are timed.")]
AgentOption = Annotated[
    str | None, typer.Option("--agent", help="Whose session signs; default: one that may.")
]
OrdersOption = Annotated[
    str | None,
    typer.Option("--orders", help="JSON lines of orders that are signed under load; -: stdin."),
]
ApprovalOption = Annotated[
    str | None,
    typer.Option("--approval-order", help='JSON {"agent", "order"} of what waits for approvers.'),
]
KeepOption = Annotated[
    Path | None, typer.Option("--keep", help="A new directory for the copy, which else goes.")
]
OutOption = Annotated[Path, typer.Option("--out", help="The directory of the reports.")]
LiveOption = Annotated[
    bool, typer.Option("--live", help="Drill the engine itself, not a copy of it.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(no_args_is_help=False)
    family.callback(invoke_without_command=True)(drill)
    family.command("verify")(verify)
    app.add_typer(family, name="drill")


def drill(
    context: typer.Context,
    rounds: RoundsOption = 100,
    key: KeyOption = None,
    key_passphrase: KeyPassphraseOption = None,
    agent: AgentOption = None,
    orders: OrdersOption = None,
    approval_order: ApprovalOption = None,
    out: OutOption = Path(),
    keep: KeepOption = None,
    live: LiveOption = False,
    yes: YesOption = False,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Prove the stop end to end, on a copy of the engine: load, halts timed, kill -9, attempts to
    lift it, drain, approval, resume, audit. Writes a report that the engine signs.

    The engine itself may go on signing meanwhile; it is only read. Nothing is sent anywhere. It
    takes the key files of k operators, of approvers where the policy asks them, of the root where
    the engine needs a witness (the copy gets another one), and of agents that must beat. With
    --live it is refused where anything is stopped, which it would lift at its end.

    Examples:

        zcp drill --key alice.key --key bob.key

        zcp drill --rounds 1000 --orders session.jsonl --out reports --key alice.key --key bob.key

        zcp drill verify reports/drill-2026-11-26T131500Z.md --expect expectation.json
    """
    if context.invoked_subcommand is not None:
        return
    cli = Cli.of(directory, json, passphrase_file)
    cli.installed()
    if live and keep is not None:
        raise UsageError("--live drills no copy", next_step="leave --keep or --live out")
    passphrase = cli.passphrase()
    keys = _keys(cli, key, key_passphrase, passphrase)
    if live:
        confirm("The live engine is halted, killed and resumed. Go on?", yes=yes)
    with _Shown(cli) as shown:
        options = Options(
            rounds=rounds,
            plan=_plan(orders, agent),
            agent=agent,
            approval_order=_approval(approval_order),
            keep=keep,
            live=live,
            progress=shown.step,
        )
        report = run_drill(cli.directory, passphrase, keys, options)
    paths = report.write(out)
    cli.emit(report.data | {"files": list(map(str, paths))}, lambda to: _tell(report, paths, to))
    if not report.passed:
        raise typer.Exit(8)


def verify(
    file: Annotated[Path, typer.Argument(help="A report: its .md, .html or .json.")],
    expect: Annotated[
        Path | None,
        typer.Option("--expect", help="The expectation: engine id and authority root."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check a drill's report against the engine that you expected beforehand.

    The three files stand beside each other. One changed byte, and it is refused.

    Example:

        zcp drill verify drill-2026-11-26T131500Z.md --expect expectation.json
    """
    cli = Cli(Path(), json)
    expectation = Expectation.from_json(read_input(str(expect))) if expect else None
    data = verify_drill(file, expectation).data
    told = {"verified": True, **{name: data[name] for name in ("engine_id", "began", "passed")}}
    held = "every step held" if data["passed"] else "the drill FAILED"
    cli.emit(
        told,
        f"verified: a drill of engine {data['engine_id']} at {data['began']}, on {data['on']}: "
        f"{held}",
    )


def _keys(
    cli: Cli, files: list[Path] | None, secrets: list[Path] | None, passphrase: bytes
) -> list[SigningKeys]:
    if not files:
        return [SigningKeys.open(cli.directory / "keys" / "authority", passphrase)]
    named = secrets or []
    if len(named) not in (0, 1, len(files)):
        raise UsageError(
            f"{len(named)} passphrase files for {len(files)} key files",
            next_step="give one for all, or one for each in their order",
        )
    found = [read_passphrase(cli.directory, file=path) for path in named] or [passphrase]
    found = found * len(files) if len(found) == 1 else found
    people = [SigningKeys.open(*pair) for pair in zip(files, found, strict=True)]
    own = cli.directory / "keys" / "authority"
    return [*people, *([SigningKeys.open(own, passphrase)] if own.exists() else [])]


def _plan(orders: str | None, agent: str | None) -> Plan | None:
    if orders is None:
        return None
    try:
        plan = Plan.read([line for line in read_input(orders).splitlines() if line.strip()], agent)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UsageError(f"{orders}: not JSON lines of orders") from None
    if not plan.orders:
        raise UsageError(
            f"{orders}: no order that can be asked for",
            cause="each needs an agent (--agent, or the line's), and none may mean an earlier one",
            next_step="docs/drill.md has an example",
        )
    return plan


def _approval(text: str | None) -> tuple[str, Any] | None:
    if text is None:
        return None
    try:
        row = json_text.loads(text)
        return row["agent"], dict(row["order"])
    except (ValueError, TypeError, KeyError):
        raise UsageError('--approval-order: give {"agent": NAME, "order": {...}}') from None


class _Shown:
    """What is going on, on the standard error."""

    def __init__(self, cli: Cli) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            disable=cli.json,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Shown:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, name: str, done: int, total: int) -> None:
        """How far a step is; a step that says 1 of 1 is over."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        if total > 1 or self._progress.tasks[self._tasks[name]].total == 1:
            self._progress.update(self._tasks[name], completed=done, total=total)


def _tell(report: Report, paths: list[Path], console: Console) -> None:
    rows = table("step", "result", "")
    for step in report.data["steps"]:
        rows.add_row(step["title"], step["result"], "; ".join(step["problems"]))
    console.print(rows)
    for step in report.data["steps"]:
        if times := step["facts"].get("command_to_last_signature_us"):
            console.print(
                f"from command to last signature, {step['facts']['rounds']:,} halts: "
                + ", ".join(f"{name} {value:,.1f} us" for name, value in times.items())
                + f"; behind the acknowledgement: "
                f"{step['facts']['signatures_above_acknowledgement']} signatures",
                markup=False,
            )
    console.print("the drill passed" if report.passed else "the drill FAILED", style="bold")
    for path in paths:
        console.print(f"report: {path}", markup=False)
