"""What the commands do through a session with a daemon (`--connect`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _layout
from .._enums import Command, MarkKind, Power, Scope, label
from .._frame import FrameKind
from .._layout import FedMark, FedPosition
from .._order import decimal_of
from .._record import RecordType
from .._stops import target_of
from ..ack import Ack
from ..audit import find_record
from ..errors import PolicyInvalid, UsageError
from ..heartbeat import AgentKey
from ..order import Message, from_json
from ..receipt import iso_time
from ._connect import Remote, taken_data, taken_text
from ._shared import ISSUED_BEFORE_NS, Cli, now_ns, read_input

if TYPE_CHECKING:
    from .._service import Service
    from ..client import Client, Taken
    from ..sign import SignedOrder

On = tuple[str | None, str | None, str | None]


def sign(
    cli: Cli,
    remote: Remote,
    fields: dict[str, Any] | None,
    message: str | None,
    agent: str,
    action_id: int | None,
) -> tuple[SignedOrder, str]:
    """Signs one order; what was signed, and the agent's path."""
    if not agent:
        raise UsageError("--connect: which agent signs?", next_step="name it with --agent")
    with remote.client(agent=agent, passphrase_file=cli.passphrase_file) as client:
        session = client.session()
        order = (
            Message(text=message or "")
            if fields is None
            else from_json(fields, resolve=client.resolve)
        )
        signed = session.sign(order, action_id=action_id)
        _ = signed.account  # asked for while there is somebody to ask
        return signed, session.path


def status(cli: Cli, remote: Remote, agent: str) -> None:
    """What the daemon says of itself; to an agent, or to who commands."""
    with remote.client(agent=agent, passphrase_file=cli.passphrase_file) as client:
        found, policy = client.status(), client.installed.policy_now()
    data = {
        "address": client.address,
        "engine_id": found.engine_id.hex(),
        "epoch": found.epoch,
        "records": found.records,
        "time": iso_time(found.now_ns),
        "halted": found.halted,
        "policy_version": policy.version if policy is not None else None,
        "policy_hash": found.policy_hash.hex(),
        "authority_hash": found.authority_hash.hex(),
        "sessions": found.sessions,
        "served": found.served,
        "refused_busy": found.refused_busy,
        "next_action": found.next_action,
    }
    lines = [
        f"engine     {data['engine_id']} behind {client.address}",
        f"log        {found.records} records, epoch {found.epoch}",
        f"policy     version {data['policy_version']}, hash {data['policy_hash']}",
        f"daemon     {found.sessions} sessions, {found.served} requests served,"
        f" {found.refused_busy} refused as it was full; its time is {data['time']}",
    ]
    if found.halted:
        lines.append("HALTED     it signs nothing; zcp status on its host says why")
    cli.emit(data, "\n".join(lines))


def _terms(client: Client, before_ns: int = ISSUED_BEFORE_NS) -> _layout.FrameTerms:
    now = now_ns()
    return client.installed.terms(now, now - before_ns)


def command(
    cli: Cli,
    remote: Remote,
    verb: Command,
    on: On,
    reason: str,
    severity: int,
    key: Path | None,
    until_ns: int = 0,
) -> None:
    """Halts, drains or resumes, signed with the session's own key."""
    with remote.client(role="command", key=key, passphrase_file=cli.passphrase_file) as client:
        scope, target, name = target_of(client.policy, *(text or None for text in on))
        part = _layout.command(
            *(verb, target, reason, _terms(client)),
            scope=scope,
            severity=severity,
            until_ns=until_ns,
        )
        frame = client.installed.sign(FrameKind.COMMAND, Power.OPERATOR, part)
        taken = client.hand_in(frame)
    words = {Command.HALT: "halted", Command.DRAIN: "draining", Command.RESUME: "resumed"}
    data = {"verb": label(verb), "kind": label(scope), "scope": name, "reason": reason}
    lines = [f"{words[verb]}: {name} ({taken_text(taken)})"]
    if taken.ack is not None:
        lines += taken.ack.text()[1:]
    cli.emit(data | taken_data(taken), "\n".join(lines))


def lease(cli: Cli, remote: Remote, span_ns: int | None, reason: str, key: Path | None) -> None:
    """Renews the operators' lease."""
    with remote.client(role="command", key=key, passphrase_file=cli.passphrase_file) as client:
        longest = client.policy.lease_ns
        if not longest:
            raise UsageError("the policy asks for no lease: the engine signs without")
        until = now_ns() + (longest if span_ns is None else span_ns)
        part = _layout.command(
            *(Command.LEASE, 0, reason, _terms(client)), scope=Scope.ENGINE, until_ns=until
        )
        taken = client.hand_in(client.installed.sign(FrameKind.COMMAND, Power.OPERATOR, part))
    data = {"until": iso_time(until)} | taken_data(taken)
    cli.emit(data, f"lease until {iso_time(until)} ({taken_text(taken)})")


def submit(cli: Cli, remote: Remote, frame: bytes, what: str) -> None:
    """Hands in a frame that others signed."""
    with remote.client(role="command", passphrase_file=cli.passphrase_file) as client:
        taken = client.hand_in(frame)
    lines = [f"taken: {what} ({taken_text(taken)})"]
    if taken.ack is not None:
        lines += taken.ack.text()
    cli.emit({"what": what} | taken_data(taken), "\n".join(lines))


def load_policy(cli: Cli, remote: Remote, file: Path, version: int | None) -> None:
    """Compiles, signs and loads a policy, or hands in a signed bundle."""
    with remote.client(role="command", passphrase_file=cli.passphrase_file) as client:
        text = read_input(str(file)) if not _is_bundle(file) else None
        if text is None:
            taken = client.hand_in(file.read_bytes())
            loaded = client.policy.version
        else:
            loaded, taken = client.load_policy(
                text, file=str(file), base=file.parent, version=version
            )
    data = {"version": loaded} | taken_data(taken)
    cli.emit(data, f"policy version {loaded} is in force ({taken_text(taken)})")


def _is_bundle(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(8) == b"SENTINEL"
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", next_step="name a policy file") from None


def heartbeat(
    cli: Cli, remote: Remote, agent: str, key: Path, iterations: int, running_ns: int
) -> None:
    """One heartbeat of an agent."""
    with remote.client(agent=agent, key=key, passphrase_file=cli.passphrase_file) as client:
        own = AgentKey.open(key, passphrase_file=cli.passphrase_file)
        now = time.time_ns()
        since = now - running_ns if running_ns else 0
        frame = own.frame(
            *(client.installed, client.facts.agent, iterations, since), sequence=now, now_ns=now
        )
        taken = client.hand_in(frame)
    data = {"agent": agent, "iterations": iterations} | taken_data(taken)
    cli.emit(data, f"heartbeat of {agent}: {iterations} iterations ({taken_text(taken)})")


def feed(cli: Cli, remote: Remote, key: Path, frame: Callable[[Service], bytes]) -> Taken:
    """Hands in a feeder's frame, made of what is in force."""
    with remote.client(role="feeder", key=key, passphrase_file=cli.passphrase_file) as client:
        return client.hand_in(frame(client.installed))


def position(
    cli: Cli, remote: Remote, instrument: str, quantity: str, held: tuple[int, int]
) -> None:
    """States what is held of an instrument."""
    with remote.client(role="feeder", passphrase_file=cli.passphrase_file) as client:
        now = now_ns()
        terms = client.installed.terms(now, now - ISSUED_BEFORE_NS)
        row = FedPosition(client.policy.instrument(instrument).id, held, terms.issued_ns)
        part = _layout.position_feed([row], terms)
        taken = client.hand_in(client.installed.sign(FrameKind.FEED, Power.FEED_POSITION, part))
    data = {"instrument": instrument, "quantity": quantity} | taken_data(taken)
    cli.emit(data, f"{instrument}: {quantity} is held ({taken_text(taken)})")


def withdraw(cli: Cli, remote: Remote, record: int, agent: str, action_id: int | None) -> None:
    """Takes back what the agent asked approval for."""
    if not agent or action_id is None:
        raise UsageError(
            "--connect: whose order, and which?",
            next_step="give --agent and --action-id, as the order was asked with",
        )
    with remote.client(agent=agent, passphrase_file=cli.passphrase_file) as client:
        number = client.session().withdraw(action_id)
    data = {"verb": "withdraw", "request": record, "record": number, "agent": agent}
    cli.emit(
        data | {"action_id": action_id},
        f"taken back: {record} of {agent} (record {number}); action {action_id} was not used",
    )


def receipt(remote: Remote, record: int, passphrase_file: Path | None) -> dict[str, Any]:
    """The receipt of one order."""
    with remote.client(role="command", passphrase_file=passphrase_file) as client:
        return client.receipt(record)


def ack(cli: Cli, remote: Remote, number: int) -> Ack:
    """The acknowledgement of the last command, again."""
    record = find_record(cli.directory, number)
    if record.type is not RecordType.COMMAND:
        raise UsageError(f"record {number} is no command")
    with remote.client(role="command", passphrase_file=cli.passphrase_file) as client:
        try:
            taken = client.hand_in(record.subject)
        except PolicyInvalid:
            taken = None
    if taken is None or taken.ack is None:
        raise UsageError(
            f"record {number} is not the last command, or the daemon began anew since, or no"
            " witness has confirmed it",
            next_step="zcp ack where the engine's directory is",
        )
    taken.ack.verify(cli.installed().genesis)
    return taken.ack


def mark(cli: Cli, remote: Remote, name: str, price: str, asset: bool, before_ns: int) -> None:
    """Feeds one mark."""
    with remote.client(role="feeder", passphrase_file=cli.passphrase_file) as client:
        policy = client.policy
        kind = MarkKind.ASSET if asset else MarkKind.INSTRUMENT
        id_ = policy.asset(name).id if asset else policy.instrument(name).id
        terms = _terms(client, before_ns)
        fed = [FedMark(kind, id_, decimal_of(price, name), terms.issued_ns)]
        part = _layout.mark_feed(fed, terms)
        taken = client.hand_in(client.installed.sign(FrameKind.FEED, Power.FEED_MARK, part))
    data = {"name": name, "price": price} | taken_data(taken)
    cli.emit(data, f"{name} is {price} ({taken_text(taken)})")
