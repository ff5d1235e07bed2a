"""zcp policy configure | status | lint | compile | sign | combine | explain | load | history"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .._drafts import Draft
from .._enums import label
from .._frame import FrameKind
from .._layout import attach_proofs
from .._overview import status_of
from .._people import Public, SigningKeys
from .._record import RecordType
from .._status import Status
from ..audit import read_log, restore
from ..config import AuthorityRing, find_text, keep_text, public_keys, write_file
from ..errors import UnitInvalid, UsageError, raise_status
from ..policy import (
    Policy,
    check_policy,
    compile_policy,
    configure_policy,
    constraint_text,
    decode_policy,
    diff,
    explain,
    keys_of,
    lint,
)
from ..policy import (
    applies_text as applies,
)
from ..receipt import iso_time
from ..units import parse_duration
from . import _connected
from ._connect import remote
from ._drafts import (
    FilesArgument,
    KeyOption,
    OutOption,
    OutOrSameOption,
    PublicOption,
    ValidOption,
    YesOption,
    combine_files,
    sign_file,
)
from ._shared import (
    ISSUED_BEFORE_NS,
    WAIT_SECONDS,
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    WaitOption,
    deliver,
    must_be_applied,
    now_ns,
    read_input,
    table,
)

FileArgument = Annotated[Path, typer.Argument(help="The policy: a YAML file.")]
BundleArgument = Annotated[Path, typer.Argument(help="A bundle made by compile.")]
VersionOption = Annotated[
    int | None, typer.Option("--version", min=1, help="Default: one above the loaded one.")
]
_SHOWN_AT_LOAD = ("not-traded",)
"""Warnings that whoever loads a policy must see: orders will be refused."""
SETTINGS = ("--max-rate", "--max-value", "--daily-limit")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(help="Write, check, load and read policies.", no_args_is_help=True)
    family.command("configure")(configure)
    family.command("status")(status)
    family.command("lint")(lint_file)
    family.command("compile")(compile_file)
    family.command("sign")(sign)
    family.command("combine")(combine)
    family.command("explain")(explain_agent)
    family.command("load")(load)
    family.command("history")(history)
    app.add_typer(family, name="policy")


def configure(
    max_rate: Annotated[str | None, typer.Option("--max-rate", help="Such as 1000/min.")] = None,
    max_value: Annotated[
        str | None, typer.Option("--max-value", help="Of one action: 500000, 500k USD.")
    ] = None,
    daily_limit: Annotated[
        str | None, typer.Option("--daily-limit", help="Of a UTC day: 10000000, 10M USD.")
    ] = None,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Set limits of the whole firm: writes, signs and loads the next version of the policy.

    The rest of the policy and its comments stay as they are.

    Example:

        zcp policy configure --max-rate 1000/min --max-value 500000 --daily-limit 10000000
    """
    cli = Cli.of(directory, json, passphrase_file)
    given = (max_rate, max_value, daily_limit)
    if all(value is None for value in given):
        raise UsageError("nothing to configure", next_step=f"give {', '.join(SETTINGS)}")
    before = cli.installed().policy()
    source = _source(cli, before)
    for option, value in zip(SETTINGS, given, strict=True):
        if value is None:
            continue
        try:
            name = option[2:].replace("-", "_")
            source = configure_policy(source, **{name: value}, base=Path.cwd())
        except UnitInvalid as error:
            raise UnitInvalid(f"{option}: {error.message}", next_step=error.next_step) from None
    _load_source(cli, source, "policy", Path.cwd(), None, before, wait)


def status(directory: DirOption = None, json: JsonOption = False) -> None:
    """Show the policy in force: version, every node with its constraints, what is halted.

    Example:

        zcp policy status
    """
    cli = Cli.of(directory, json, copies=True)
    installed = cli.installed()
    policy = installed.policy()
    state = status_of(installed, restore(cli.directory).state(), policy)
    stops = {stop.path: stop for stop in state.stops if stop.scope == "node"}
    nodes: list[dict[str, Any]] = [
        {
            "path": node.path,
            "kind": label(node.kind),
            "id": node.id,
            "halted": node.path in stops and stops[node.path].mode == "halted",
            "mode": stops[node.path].mode if node.path in stops else "running",
            "constraints": [
                {
                    "name": row.name,
                    "type": row.type,
                    "text": constraint_text(policy, row),
                    "applies": applies(policy, row),
                }
                for row in policy.constraints
                if row.node == node.index
            ],
        }
        for node in policy.nodes
    ]
    data = {
        "version": policy.version,
        "hash": policy.hash.hex(),
        "engine_id": policy.engine_id.hex(),
        "environment": label(policy.environment),
        "issued": iso_time(policy.issued_ns),
        "engine_halted": state.engine_halted,
        "halted": [{"path": n.path, "reason": n.reason, "record": n.record} for n in state.halted],
        "instruments": len(policy.instruments),
        "keys": [
            {"name": key.name, "node": policy.nodes[key.node].path, "venue": label(key.venue)}
            for key in policy.keys.values()
        ],
        "nodes": nodes,
    }

    def text(console: Console) -> None:
        console.print(f"policy version {policy.version} ({data['environment']})")
        console.print(f"hash {policy.hash.hex()}, issued {data['issued']}")
        if state.engine_halted:
            console.print(f"ENGINE HALTED: {state.engine_halted}", markup=False)
        rows = table("node", "constraint", "what", "applies to")
        for node in nodes:
            mark = "" if node["mode"] == "running" else f"  {node['mode'].upper()}"
            rows.add_row(node["path"] + mark, "", "", "")
            for row in node["constraints"]:
                rows.add_row("", row["name"], row["text"], row["applies"])
        console.print(rows)
        for stop in state.stops:
            console.print(
                f"{stop.mode}: {stop.path}: {stop.reason or '?'} (record {stop.record})",
                markup=False,
            )

    cli.emit(data, text)


def lint_file(
    file: FileArgument,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    json: JsonOption = False,
) -> None:
    """Check a policy file: errors with line and column, and what may not be meant so.

    Example:

        zcp policy lint policy.yaml
    """
    cli = Cli(Path(), json)
    warnings = lint(check_policy(read_input(str(file)), file=str(file)))
    data = {
        "ok": True,
        "warnings": [
            {
                "code": w.code,
                "message": w.message,
                "file": w.file,
                "line": w.line,
                "column": w.column,
                "next_step": w.next_step,
            }
            for w in warnings
        ],
    }
    lines = [f"{warning}\n  {warning.next_step}" for warning in warnings]
    lines.append(f"{file}: valid, {len(warnings)} warnings")
    cli.emit(data, "\n".join(lines))
    if warnings and strict:
        raise typer.Exit(UsageError.exit_status)


def compile_file(
    file: FileArgument,
    out: Annotated[Path, typer.Option("--out", help="Where the bundle goes.")],
    version: VersionOption = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Without a signature, for zcp policy sign.")
    ] = False,
    valid: ValidOption = "1h",
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Compile and sign a policy into a bundle file, without loading it.

    Where k of n people sign policies, compile it unsigned, and let each sign the file.

    Examples:

        zcp policy compile policy.yaml --out policy-7.bundle

        zcp policy compile policy.yaml --unsigned --valid 8h --out policy-7.bundle
    """
    cli = Cli.of(directory, json, passphrase_file)
    before = cli.installed().policy()
    source = read_input(str(file))
    part = _part(cli, source, str(file), file.parent, version, before, parse_duration(valid))
    frame = attach_proofs(part, []) if unsigned else _sign(cli, part)
    write_file(out, frame, mode=0o644)
    keep_text(cli.directory, source)
    made = decode_policy(frame)
    verb = f"next: zcp policy sign {out} --key KEYFILE" if unsigned else f"zcp policy load {out}"
    cli.emit(
        {"file": str(out), "version": made.version, "hash": made.hash.hex(), "bytes": len(frame)},
        f"version {made.version} in {out} ({len(frame)} bytes), hash {made.hash.hex()}\n"
        f"load it within {valid}: {verb}",
    )


def sign(
    file: BundleArgument,
    key: KeyOption = None,
    public: PublicOption = None,
    out: OutOrSameOption = None,
    yes: YesOption = False,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a bundle changes against the policy in force, ask, and sign it with your key file.

    Example:

        zcp policy sign policy-7.bundle --key alice.key --public desk.public
    """
    cli = Cli.of(directory, json, passphrase_file, copies=True)
    sign_file(*(cli, file, FrameKind.POLICY), key=key, file=public, out=out, yes=yes, extra=_words)


def combine(
    files: FilesArgument,
    out: OutOption,
    public: PublicOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Join the signatures of copies of one bundle that were signed apart.

    Example:

        zcp policy combine policy-7a.bundle policy-7b.bundle --out policy-7.bundle
    """
    combine_files(
        Cli.of(directory, json, copies=True), files, FrameKind.POLICY, out, public, _words
    )


def _words(
    draft: Draft, public: Public, _keys: SigningKeys | None
) -> tuple[tuple[tuple[str, str], ...], dict[str, Any]]:
    """What a policy bundle changes."""
    after = decode_policy(draft.raw)
    changes = _changes(public.policy, after) if public.policy is not None else []
    in_force = public.policy.version if public.policy is not None else "none"
    rows = [("policy", f"version {after.version}; in force is {in_force}")]
    rows += [("changes", change) for change in changes] or [("changes", "nothing")]
    return tuple(rows), {"version": after.version, "changes": changes}


def _changes(before: Policy, after: Policy) -> list[str]:
    return [f"{c.what} {c.kind} {c.name}: {c.after or c.before}" for c in diff(before, after)]


def explain_agent(
    agent: Annotated[str, typer.Argument(help="An agent's path or name.")] = "",
    file: Annotated[
        Path | None, typer.Option("--file", help="A policy file instead of the one in force.")
    ] = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Say in words what an agent may do: every constraint in the order of evaluation, every key.

    Examples:

        zcp policy explain agent

        zcp policy explain maker --file policy.yaml
    """
    cli = Cli.of(directory, json, copies=True)
    policy = _of_file(cli, file) if file else cli.installed().policy()
    agents = [policy.agent(agent)] if agent else list(policy.agents)
    data: dict[str, Any] = {"version": policy.version, "agents": []}

    def text(console: Console) -> None:
        for entry in data["agents"]:
            console.print(entry["agent"], style="bold")
            rows = table("node", "constraint", "what", "applies to")
            for row in entry["constraints"]:
                rows.add_row(row["node"], row["name"] or row["type"], row["text"], row["applies"])
            console.print(rows)
            for key in entry["keys"]:
                console.print(f"key {key['name']} ({key['node']}): {key['text']}")

    for node in agents:
        rows = [
            {"node": r.node, "name": r.name, "type": r.type, "text": r.text, "applies": r.applies}
            for r in explain(policy, node)
        ]
        keys = [
            {"node": key.node, "name": key.name, "text": key.text} for key in keys_of(policy, node)
        ]
        data["agents"].append({"agent": node.path, "constraints": rows, "keys": keys})
    cli.emit(data, text)


def load(
    file: Annotated[Path, typer.Argument(help="A YAML policy, or a bundle made by compile.")],
    version: VersionOption = None,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Load a policy: compile and sign a YAML file, or take a signed bundle.

    Spent amounts, rates and halts are carried over. A version must be above the loaded one.

    Example:

        zcp policy load policy.yaml
    """
    if far := remote():
        _connected.load_policy(Cli.connected(json, passphrase_file), far, file, version)
        return
    cli = Cli.of(directory, json, passphrase_file)
    before = cli.installed().policy()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", next_step="name a policy file") from None
    if data.startswith(b"SENTINEL"):
        _deliver(cli, data, before, wait)
        return
    _load_source(cli, read_input(str(file)), str(file), file.parent, version, before, wait)


def history(directory: DirOption = None, json: JsonOption = False) -> None:
    """Show every version of the policy that was loaded, and what each changed.

    Example:

        zcp policy history
    """
    cli = Cli.of(directory, json, copies=True)
    installed = cli.installed()
    versions: list[dict[str, Any]] = []
    last: Policy | None = None
    for record in read_log(cli.directory):
        if record.type is not RecordType.BUNDLE or record.subject[:2] != b"\2\0":
            continue
        policy = decode_policy(installed.bundle(record.subject[24:56]))
        changes = diff(last, policy) if last is not None else ()
        versions.append(
            {
                "version": policy.version,
                "hash": policy.hash.hex(),
                "record": record.number,
                "time": iso_time(record.now_ns),
                "changes": [
                    {
                        "what": c.what,
                        "kind": c.kind,
                        "name": c.name,
                        "before": c.before,
                        "after": c.after,
                    }
                    for c in changes
                ],
            }
        )
        last = policy

    def text(console: Console) -> None:
        for entry in versions:
            console.print(
                f"version {entry['version']}, {entry['time']}, record {entry['record']}",
                style="bold",
            )
            for c in entry["changes"]:
                line = f"  {c['what']} {c['kind']} {c['name']}: {c['before']} -> {c['after']}"
                console.print(line, markup=False)

    cli.emit({"versions": versions}, text)


def _source(cli: Cli, policy: Policy) -> str:
    """The text that a policy was compiled from. Raises UsageError when it was not kept."""
    text = find_text(cli.directory, policy.source_digest)
    if text is None:
        raise UsageError(
            "the text of the policy in force was not kept, so it cannot be edited",
            cause="it was loaded as a bundle that was compiled elsewhere",
            next_step="edit its file and load that: zcp policy load FILE",
        )
    return text


def _part(
    cli: Cli,
    source: str,
    file: str,
    base: Path,
    version: int | None,
    before: Policy,
    valid_ns: int = 3_600 * 10**9,
) -> bytes:
    """The signed part of a bundle."""
    wanted = before.version + 1 if version is None else version
    _check_version(wanted, before)
    keys = [key.info for key in public_keys(cli.directory)]
    terms = cli.installed().terms(wanted, now_ns() - ISSUED_BEFORE_NS)
    terms = replace(terms, expires_ns=terms.issued_ns + valid_ns)
    return compile_policy(source, terms, keyring=keys, file=file, base=base)


def _sign(cli: Cli, part: bytes) -> bytes:
    return AuthorityRing.open(cli.directory, cli.passphrase()).sign(FrameKind.POLICY, part)


def _check_version(version: int, before: Policy) -> None:
    if version <= before.version:
        raise_status(
            Status.POLICY_SEQUENCE, f"policy version {version}, loaded is {before.version}"
        )


def _load_source(
    cli: Cli, source: str, file: str, base: Path, version: int | None, before: Policy, wait: float
) -> None:
    frame = _sign(cli, _part(cli, source, file, base, version, before))
    for warning in lint(check_policy(source, file=file, base=base)):
        if warning.code in _SHOWN_AT_LOAD:
            cli.warn(f"{warning}\nnext step: {warning.next_step}")
    _deliver(cli, frame, before, wait, source)


def _deliver(
    cli: Cli, frame: bytes, before: Policy, wait: float, source: str | None = None
) -> None:
    after = decode_policy(frame)
    if after.engine_id != before.engine_id:
        raise_status(Status.POLICY_ENGINE, "policy bundle")
    _check_version(after.version, before)
    result = must_be_applied(deliver(cli, frame, wait=wait))
    if source is not None:
        keep_text(cli.directory, source)
    data = {
        "version": after.version,
        "hash": after.hash.hex(),
        "record": result["record"],
        "changes": _changes(before, after),
    } | {name: result[name] for name in ("confirmed",) if name in result}
    lines = [f"policy version {after.version} is in force (record {result['record']})"]
    lines += [f"  {change}" for change in data["changes"]]
    cli.emit(data, "\n".join(lines))


def _of_file(cli: Cli, file: Path) -> Policy:
    """A policy file, compiled for a look only."""
    from .._enums import Environment
    from .._layout import FrameTerms

    terms = FrameTerms(
        engine_id=bytes(32), environment=Environment.LIVE, sequence=1, issued_ns=0, expires_ns=1
    )
    part = compile_policy(read_input(str(file)), terms, keyring=None, file=str(file))
    return decode_policy(part + bytes(8))
