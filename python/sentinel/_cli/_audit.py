"""zcp audit verify | replay | show | trace | receipt"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import audit
from .._enums import Environment, Purpose, label
from ..config import KeyFile, write_file
from ..errors import AuditError, UsageError, VerificationFailed
from ..receipt import iso_time
from ..story import describe_record, trace_record
from . import _connected
from ._connect import remote
from ._shared import Cli, DirOption, JsonOption, PassphraseOption, counting

RecordArgument = Annotated[int, typer.Argument(min=0, help="Number of a record.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(help="Read, verify and replay the log.", no_args_is_help=True)
    family.command("verify")(verify)
    family.command("replay")(replay)
    family.command("show")(show)
    family.command("trace")(trace)
    family.command("receipt")(receipt)
    app.add_typer(family, name="audit")


def verify(
    engine: Annotated[
        str, typer.Option("--engine", help="The engine's id that it must be, in hex.")
    ] = "",
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Without the core: by Python alone, about 40 times slower."),
    ] = False,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Check the whole log: frames, chain, commitments, signatures, bundles, the head.

    Where a witness confirmed heads, its signatures count as others do, and each head must be that
    of this log. Needs no key. Exits with 8 when anything is wrong, and says where.

    Examples:

        zcp audit verify

        zcp audit verify --plain --json
    """
    cli = Cli.of(directory, json, copies=True)
    try:
        expected = bytes.fromhex(engine) if engine else None
    except ValueError:
        raise UsageError("--engine: not an id in hex") from None
    with counting(cli, "records") as progress:
        report = audit.verify_log(cli.directory, engine_id=expected, plain=plain, progress=progress)
    data: dict[str, Any] = {
        "ok": report.ok,
        "engine_id": report.engine_id.hex(),
        "environment": label(Environment(report.environment)) if report.environment else None,
        "records": report.records,
        "epochs": report.epochs,
        "first": iso_time(report.first_ns),
        "last": iso_time(report.last_ns),
        "last_hash": report.last_hash.hex(),
        "root": report.root.hex(),
        "types": dict(report.types),
        "verdicts": dict(report.verdicts),
        "policy_versions": report.policy_versions,
        "signatures_verified": report.signatures_verified,
        "witness": {
            "answers_verified": report.witness.total(),
            "outcomes": dict(report.witness),
            "records_confirmed": report.witness_confirmed,
        },
        "clock": {
            "comparisons": dict(report.clocks),
            "bound_ns": report.clock_bound_ns if report.clocks["good"] else None,
        },
        "keys": [{"record": note.record, **note.to_json()} for note in report.keys],
        "writer_alive": report.writer_alive,
        "findings": [
            {
                "kind": f.kind,
                "file": f.file,
                "offset": f.offset,
                "record": f.record,
                "text": f.text,
            }
            for f in report.findings
        ],
    }
    lines = [*_told(report, data), *(str(finding) for finding in report.findings)]
    lines.append("intact" if report.ok else f"NOT INTACT: {len(report.findings)} findings")
    cli.emit(data, "\n".join(lines))
    if not report.ok:
        raise typer.Exit(VerificationFailed.exit_status)


def _told(report: audit.LogReport, data: dict[str, Any]) -> list[str]:
    """What a log says, for people."""
    lines = [
        f"engine    {data['engine_id']} ({data['environment']})",
        f"records   {report.records} in {report.epochs} epochs, {data['first']} to {data['last']}",
        "orders    " + (", ".join(f"{n} {v}" for v, n in report.verdicts.items()) or "none"),
        f"root      {data['root']}",
        f"verified  {report.signatures_verified} signatures of bundles, commands, feeds, witnesses,"
        " imports",
    ]
    if report.clocks:
        times = ", ".join(f"{n} {word}" for word, n in report.clocks.items())
        lines.append(
            f"clock     compared {report.clocks.total()} times ({times}); where that holds it was"
            f" off by {report.clock_bound_ns / 1e6:.1f} ms at most"
        )
    lines += [f"key       {_key_line(note)}" for note in report.keys]
    if report.types["witness"]:
        outcomes = ", ".join(f"{n} {word}" for word, n in report.witness.items()) or "none is right"
        lines.append(
            f"witness   {report.witness.total()} of {report.types['witness']} answers verified"
            f" ({outcomes}), {report.witness_confirmed} records confirmed"
        )
    return lines


def _key_line(note: audit.KeyNote) -> str:
    said = note.to_json()
    account = f" ({note.account})" if note.account else ""
    signers = [str(proof.key) for proof in note.frame.proofs] if note.frame else []
    by = f", signed by {', '.join(signers)}" if signers else ""
    where = said["venue"] or said["purpose"]
    return f"{note.id} {said['origin']}, record {note.record}: {where}{account}{by}"


def replay(
    render: Annotated[
        bool, typer.Option("--render", help="Render each request again too; needs the keys.")
    ] = False,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Decide every record again, from the first, and compare bit for bit.

    Examples:

        zcp audit replay

        zcp audit replay --render --passphrase-file /run/secrets/desk
    """
    cli = Cli.of(directory, json, passphrase_file, copies=True)
    cli.installed()
    ring, receipt_key = None, 0
    if render and cli.far is not None:
        raise UsageError("--render needs the engine's keys, which do not leave its daemon")
    if render:
        ring = KeyFile(cli.directory / "keys" / "engine", cli.passphrase()).ring
        receipt_key = next(key.id for key in ring.list() if key.purpose == Purpose.RECEIPT)
    walk = audit.replay(cli.directory, keyring=ring, receipt_key=receipt_key)
    with counting(cli, "records") as progress:
        walk.progress = lambda done: progress(done, walk.of)
        differences = list(walk.differences)
    data = {
        "ok": not differences,
        "records": walk.records,
        "decisions": walk.decisions,
        "rendered": render,
        "differences": [{"record": d.record, "field": d.field} for d in differences],
    }
    text = f"{walk.records} records, {walk.decisions} decisions made again"
    for difference in differences:
        text += f"\nrecord {difference.record} differs: {difference.field}"
    cli.emit(data, text + ("\nall equal" if not differences else "\nNOT EQUAL"))
    if differences:
        raise typer.Exit(AuditError.exit_status)


def show(
    record: RecordArgument,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Show one record: what was asked, each constraint with value and bound, the verdict.

    Example:

        zcp audit show 17
    """
    cli = Cli.of(directory, json, copies=True)
    data = describe_record(cli.installed(), audit.find_record(cli.directory, record))
    cli.emit(data, _lines(data))


def trace(
    record: RecordArgument,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Tell one decision's whole story: its policy, its parents, marks, halts, what followed.

    Example:

        zcp audit trace 17
    """
    cli = Cli.of(directory, json, copies=True)
    data = trace_record(cli.installed(), record)
    cli.emit(data, _lines(data))


def receipt(
    record: RecordArgument,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it to this file instead.")
    ] = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Make the receipt of one order: the proof that this decision was recorded.

    Example:

        zcp audit receipt 17 --out receipt.json
    """
    from .._receipts import make_receipt

    if far := remote():
        cli = Cli.connected(json, passphrase_file)
        made = _connected.receipt(far, record, passphrase_file)
    else:
        cli = Cli.of(directory, json, passphrase_file)
        ring = KeyFile(cli.directory / "keys" / "engine", cli.passphrase()).ring
        made = make_receipt(cli.installed(), ring, record)
    text = json_module.dumps(made, indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    write_file(out, text.encode(), mode=0o644)
    cli.emit({"receipt": str(out), "record": record}, f"receipt of record {record} in {out}")


def _lines(data: dict[str, Any], indent: str = "") -> str:
    """Nested data as indented lines."""
    lines: list[str] = []
    for name, value in data.items():
        if value in (None, [], {}, ""):
            continue
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", _lines(value, indent + "  ")]
        elif isinstance(value, list) and isinstance(value[0], dict):
            lines.append(f"{indent}{name}:")
            for item in value:
                lines.append(f"{indent}  - " + _lines(item, indent + "    ").lstrip())
        elif isinstance(value, list):
            lines.append(f"{indent}{name}: " + ", ".join(map(str, value)))
        else:
            lines.append(f"{indent}{name}: {value}")
    return "\n".join(lines)
