"""zcp status"""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Final

import typer

from .. import _core
from .._enums import Venue
from .._holdings import Holdings, holdings_of
from .._holds import hold_rows, hold_texts, released_rows, released_texts
from .._log import writer_is_alive
from .._node_states import LINES, node_lines
from .._overview import Status, status_of
from .._types import EngineState
from ..audit import restore
from ..errors import SentinelError
from ..policy import Policy
from ..receipt import iso_time
from . import _connected
from ._connect import Remote, remote
from ._far import FarGate, FarInstalled
from ._shared import Cli, DirOption, JsonOption, now_ns

AllOption = Annotated[
    bool, typer.Option("--all", help="List every node and agent, however many there are.")
]

_FRESHNESS: Final = {
    "unproven": "unproven: no witness says that no newer state ever was",
    "confirmed": "confirmed: a witness knows of nothing newer than this epoch's start",
    "gap": "gap: a witness confirmed records that are not here",
}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("status")(status)


def status(
    directory: DirOption = None,
    every: AllOption = False,
    agent: Annotated[str, typer.Option("--agent", help="With --connect: an agent's session.")] = "",
    json: JsonOption = False,
) -> None:
    """Show the engine: who it is, its log, its policy, each node's state, what is stopped and what
    lifts that, whether it is open, and until when signatures that were released can still be used
    at each venue.

    Reads only; works beside a writer and without a key. Where the authority asks for a witness, it
    connects to that one's address, sends nothing, and says whether anybody is there. Of a large
    firm, what runs is counted per group, and agents are not listed. Through --connect it shows what
    the daemon's engine has, but for what only its directory keeps: reasons' texts, people's names.

    Examples:

        zcp status

        zcp status --all
    """
    if far := remote():
        if agent:
            _connected.status(Cli.connected(json), far, agent)
        else:
            _far(Cli.connected(json), far, every)
        return
    cli = Cli.of(directory, json)
    installed = cli.installed()
    context = restore(cli.directory)
    policy = installed.policy() if context.policy() is not None else None
    found = status_of(installed, context.state(), policy, now_ns(), probe=True)
    synced: int | None = None
    with contextlib.suppress(SentinelError):
        synced = _core.log_head(cli.directory / "log").synced
    asked, held = _asked(context.state()), holdings_of(context, policy)
    venues = _venues(policy)
    data: dict[str, Any] = {
        "directory": found.directory,
        "writer_alive": writer_is_alive(cli.directory),
        "records_synced": synced,
        **_data(found, asked, held, venues),
    }
    lines = [
        f"engine     {data['engine_id']} ({found.environment}) in {found.directory}",
        f"writer     {'another process has it open' if data['writer_alive'] else 'none'}",
        *_head(found, data),
        *_lines(found, data, held, venues, every),
    ]
    cli.emit(data, "\n".join(lines))


def _far(cli: Cli, far: Remote, every: bool) -> None:
    """The same of the engine behind a daemon, at one moment of it."""
    with far.client(role="command") as client:
        daemon, policy = client.status(), client.installed.policy_now()
        gate = FarGate(client)
        found = status_of(FarInstalled(client), gate.state, policy, now_ns())
    held, venues = holdings_of(gate, policy), _venues(policy)
    data: dict[str, Any] = {
        "address": client.address,
        "time": iso_time(daemon.now_ns),
        "sessions": daemon.sessions,
        "served": daemon.served,
        "refused_busy": daemon.refused_busy,
        "authority_hash": daemon.authority_hash.hex(),
        **_data(found, _asked(gate.state), held, venues),
    }
    del data["stop_word"], data["nonces"]  # of the engine's own directory
    if not gate.has_book:
        data["open_orders"] = None
    lines = [
        f"engine     {data['engine_id']} ({found.environment}) behind {client.address}",
        f"daemon     {daemon.sessions} sessions, {daemon.served} requests served,"
        f" {daemon.refused_busy} refused as it was full; its time is {data['time']}",
        *_head(found, data),
        *_lines(found, data, held, venues, every),
    ]
    if not gate.has_book:
        lines.append("open       not counted: the books are too large for a session")
    cli.emit(data, "\n".join(lines))


def _data(found: Status, asked: list[int], held: Holdings, venues: list[Venue]) -> dict[str, Any]:
    return {
        "engine_id": found.engine_id.hex(),
        "environment": found.environment,
        "records": found.records,
        "epoch": found.epoch,
        "last": iso_time(found.last_ns),
        "policy_version": found.policy_version,
        "policy_hash": found.policy_hash.hex(),
        "engine_halted": found.engine_halted,
        "engine_halt": found.engine_halt.to_json() if found.engine_halt else None,
        "halted": _halted(found),
        "nodes": [node.to_json() for node in found.nodes],
        "stops": [stop.to_json() for stop in found.stops],
        "stop_word": found.stop_word,
        "waiting": asked,
        "agents": dict(found.agents),
        **held.to_json(),
        "lease": found.lease_json(now_ns()),
        "log_ahead": found.clock_json(now_ns()),
        "beats": [beat.to_json() for beat in found.beats],
        "released": released_rows(found.usable_until_ms),
        "holds": hold_rows(venues),
        "freshness": found.freshness,
        "witness": found.witness.to_json() if found.witness else None,
        "nonces": found.nonces.to_json() if found.nonces else None,
    }


def _lines(
    found: Status, data: dict[str, Any], held: Holdings, venues: list[Venue], every: bool
) -> list[str]:
    lines = found.witness.lines() if found.witness else []
    lines += found.nonces.lines() if found.nonces else []
    lines += [f"node       {text}" for text in node_lines(found.nodes, every=every)]
    lines += _agents(found, every)
    lines += [*held.lines(), *found.lease_lines(now_ns())]
    lines += [f"hold       {text}" for text in hold_texts(venues)]
    lines += [f"released   {text}" for text in released_texts(data["released"], now_ns() // 10**6)]
    lines += [
        f"waiting    for approvers: record {n} (zcp approvals show {n})" for n in data["waiting"]
    ]
    lines += found.engine_halt.lines() if found.engine_halt else []
    lines += [f"STOP WORD  {found.stop_word}"] if found.stop_word else []
    lines += found.clock_lines(now_ns())
    lines += [f"{stop.mode.upper():10} {stop.text()}" for stop in found.stops]
    return lines


def _head(found: Status, data: dict[str, Any]) -> list[str]:
    return [
        f"log        {found.records} records, epoch {found.epoch}, last {data['last']}",
        f"policy     version {found.policy_version}, hash {data['policy_hash']}",
        f"freshness  {_freshness(found)}",
    ]


def _freshness(found: Status) -> str:
    if found.witness is not None and found.freshness == "unproven":
        return "unproven: the witness that the authority asks for has not confirmed this start"
    return _FRESHNESS[found.freshness]


def _agents(found: Status, every: bool) -> list[str]:
    """What each did last; of more than are read one by one, those without a heartbeat."""
    few = every or len(found.agents) <= LINES
    last = [f"agent      {path}: last action {last}" for path, last in found.agents.items()]
    beats = [f"heartbeat  {beat.text()}" for beat in found.beats]
    if few:
        return last + beats
    silent = [f"heartbeat  {beat.text()}" for beat in found.beats if not beat.beat_ns]
    lines = [f"agent      {len(last):,} agents; --all lists the last action of each"]
    if len(beats) > len(silent):
        lines.append(f"heartbeat  {len(beats) - len(silent):,} agents beat; --all lists each")
    if len(silent) > LINES:
        return [*lines, f"heartbeat  {len(silent):,} agents: none; refused until they beat"]
    return lines + silent


def _halted(found: Status) -> list[dict[str, Any]]:
    return [
        {
            "path": node.path,
            "reason": node.reason,
            "severity": node.severity,
            "record": node.record,
            "since": iso_time(node.since_ns),
        }
        for node in found.halted
    ]


def _asked(state: EngineState) -> list[int]:
    """Records of the orders that wait for approvers."""
    now = now_ns()
    return [row.record for row in state.pending if not row.rejected and now < row.expires_ns]


def _venues(policy: Policy | None) -> list[Venue]:
    keys = policy.keys.values() if policy is not None else ()
    return sorted({key.venue for key in keys if key.venue})
