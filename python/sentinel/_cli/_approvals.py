"""zcp approvals list | show | approve | reject | withdraw | watch"""

from __future__ import annotations

import json as json_text
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from .. import _layout
from .._approvals import (
    Request,
    answers_of,
    events_of,
    outcome_of,
    request_as_asked,
    request_of,
    requests_of,
)
from .._drafts import Draft, sign_draft
from .._enums import Command, Scope, label
from .._frame import FrameKind
from .._people import Public, SigningKeys
from .._status import Status
from ..audit import restore
from ..config import Installed
from ..errors import EngineLocked, PolicyInvalid, SentinelError, UsageError
from ..receipt import iso_time
from ..sign import Signer
from ..units import parse_duration
from . import _connected
from ._connect import remote
from ._drafts import YesOption, confirm
from ._shared import (
    ISSUED_BEFORE_NS,
    WAIT_SECONDS,
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    ReasonOption,
    WaitOption,
    deliver,
    must_be_applied,
    now_ns,
    table,
    tell_ack,
)

_TRIES: Final = 5

RecordArgument = Annotated[int, typer.Argument(min=1, help="The pending record's number.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Your approver's key file; default: the engine's own.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Also what was rejected or has expired.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(
        help="Orders that wait for people. Approvers see them in full, and approve or reject each"
        " with a key file of their own; the agent then asks again, and the order is judged again.",
        no_args_is_help=True,
    )
    family.command("list")(list_)
    family.command("show")(show)
    family.command("approve")(approve)
    family.command("reject")(reject)
    family.command("withdraw")(withdraw)
    family.command("watch")(watch)
    app.add_typer(family, name="approvals")


def _read(cli: Cli) -> tuple[Installed, Any, Public]:
    installed = cli.installed()
    return installed, restore(cli.directory).state(), Public.of_engine(installed)


def list_(
    everything: AllOption = False, directory: DirOption = None, json: JsonOption = False
) -> None:
    """List the orders that wait for approvers, the oldest first.

    Needs no key, and works beside the engine's writer.

    Examples:

        zcp approvals list

        zcp approvals list --all --json
    """
    cli = Cli.of(directory, json, copies=True)
    now = now_ns()
    found = [
        each
        for each in requests_of(*_read(cli), now)
        if everything or each.state in ("open", "approved")
    ]

    def shown(console: Console) -> None:
        if not found:
            console.print("nothing waits for approval", markup=False)
            return
        rows = table("record", "state", "agent", "order", "value", "approvals", "time")
        for each in found:
            count = f"{each.approvals} of {each.needed}"
            rows.add_row(
                *(str(each.record), each.state, each.agent, each.text, each.value, count),
                each.waits(now),
            )
        console.print(rows)

    cli.emit({"requests": [each.to_json(now) for each in found]}, shown)


def show(record: RecordArgument, directory: DirOption = None, json: JsonOption = False) -> None:
    """Show one request in full: the order, its value when it was asked for, what each rule said,
    who has answered, until when.

    Example:

        zcp approvals show 812
    """
    cli = Cli.of(directory, json, copies=True)
    now = now_ns()
    installed, state, public = _read(cli)
    answers = list(answers_of(installed, record, public))
    try:
        found = request_of(installed, state, public, record, now)
    except UsageError:
        if not answers:
            raise
        became = outcome_of(installed, record)
        data: dict[str, Any] = {"record": record, "state": became}
        lines = [f"record     {record} waits no more: {became}"]
    else:
        data, lines = found.to_json(now), found.lines(now)
    for answer in answers:
        by = ", ".join(answer.by) or "the agent"
        why = f": {answer.reason}" if answer.reason else ""
        lines.append(f"answer     {answer.verb} by {by}{why} (record {answer.record})")
    data["answers"] = [answer.to_json() for answer in answers]
    cli.emit(data, "\n".join(lines))


def approve(
    record: RecordArgument,
    reason: ReasonOption,
    key: KeyOption = None,
    yes: YesOption = False,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Approve one pending order, with your own key file.

    It is shown in full first. The signature names the record and its hash, so it is good for this
    very order alone, once. On a machine without the engine: zcp command draft approve.

    Examples:

        zcp approvals approve 812 --reason "known counterparty" --key alice.key

        zcp approvals approve 812 --reason "hedge of 805" --key bob.key --yes
    """
    cli = Cli.of(directory, json, passphrase_file, copies=True, key=key)
    _answer(cli, Command.APPROVE, record, reason, key, yes, wait)


def reject(
    record: RecordArgument,
    reason: ReasonOption,
    key: KeyOption = None,
    yes: YesOption = False,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Reject one pending order, with your own key file. One approver is enough, also after others
    have approved it.

    Example:

        zcp approvals reject 812 --reason "wrong address" --key alice.key
    """
    cli = Cli.of(directory, json, passphrase_file, copies=True, key=key)
    _answer(cli, Command.REJECT, record, reason, key, yes, wait)


def _answer(
    cli: Cli, verb: Command, record: int, reason: str, key: Path | None, yes: bool, wait: float
) -> None:
    _layout.reason_text(reason)
    now = now_ns()
    installed, state, public = _read(cli)
    found = _live(request_of(installed, state, public, record, now), "answered")
    keys = SigningKeys.open(cli.own_key(key), cli.passphrase())

    def signed() -> tuple[Draft, str]:
        at = now_ns()
        part = _layout.command(
            *(verb, 0, reason, installed.terms(at, at - ISSUED_BEFORE_NS)),
            scope=Scope.RECORD,
            record=record,
            record_hash=found.record_hash,
        )
        return sign_draft(Draft(FrameKind.COMMAND, part, reason=reason), keys, public, at)

    _, name = signed()  # Before the question: nobody is asked about what would be refused.
    if not cli.json:
        print("\n".join(found.lines(now)))
    confirm(f"{label(verb)} this as {name}?", yes=yes)
    result = must_be_applied(_deliver(cli, lambda: signed()[0].raw, wait, reason))
    tell_ack(cli, result, None)
    after = _after(cli, record)
    data = {"verb": label(verb), "request": record, "by": name, "reason": reason, **result, **after}
    left = data["needed"] - data["approvals"]
    what = f"{label(verb)} of {record} by {name} (record {result['record']})"
    if verb is Command.REJECT:
        cli.emit(data, f"taken: {what}; the order is not signed")
    elif left > 0:
        cli.emit(data, f"taken: {what}; {left} more needed until {data['expires']}")
    else:
        cli.emit(data, f"taken: {what}; approved: the agent asks again, and it is judged again")


def _live(found: Request, done: str) -> Request:
    if found.state in ("rejected", "expired"):
        raise UsageError(
            f"record {found.record} is {found.state}; it cannot be {done} any more",
            next_step="the agent asks anew under a new action id",
        )
    return found


def withdraw(
    record: RecordArgument,
    agent: Annotated[str, typer.Option("--agent", help="With --connect: whose order it is.")] = "",
    action_id: Annotated[
        int | None, typer.Option("--action-id", min=1, help="With --connect: its action id.")
    ] = None,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Take one pending order back, for the agent that asked.

    Nothing was signed and the action id is not used, so that the agent may ask again. It takes the
    engine's passphrase and its one writer, like zcp sign: while an agent's own process is the
    writer, that process takes it back (Session.withdraw), or one approver rejects it. Through
    --connect it is the agent's own session that takes it back, by --agent and --action-id.

    Examples:

        zcp approvals withdraw 812

        zcp approvals withdraw 812 --json
    """
    if far := remote():
        _connected.withdraw(Cli.connected(json, passphrase_file), far, record, agent, action_id)
        return
    cli = Cli.of(directory, json, passphrase_file)
    now = now_ns()
    found = _live(request_of(*_read(cli), record, now), "taken back")
    try:
        with Signer.open(cli.directory, passphrase=cli.passphrase(), durability="fsync") as signer:
            number = signer.session(found.agent).withdraw(found.action_id)
    except EngineLocked as error:
        raise EngineLocked(
            f"{record} was not taken back: {error.message}",
            cause="another process is the engine's writer: most likely the agent's own",
            next_step="let that process take it back (Session.withdraw), or an approver reject it:"
            f" zcp approvals reject {record}",
        ) from None
    data = {
        "verb": "withdraw",
        "request": record,
        "record": number,
        "agent": found.agent,
        "action_id": found.action_id,
        "text": found.text,
    }
    cli.emit(
        data,
        f"taken back: {record} of {found.agent}: {found.text} (record {number}); action"
        f" {found.action_id} was not used",
    )


def _deliver(cli: Cli, frame: Callable[[], bytes], wait: float, reason: str) -> dict[str, Any]:
    """Signed anew where somebody else's command, drafted later, was taken first."""
    for _ in range(_TRIES - 1):
        try:
            return deliver(cli, frame(), wait=wait, reason=reason)
        except PolicyInvalid as error:
            if error.status != Status.POLICY_SEQUENCE:
                raise
    return deliver(cli, frame(), wait=wait, reason=reason)


def _after(cli: Cli, record: int) -> dict[str, Any]:
    """How it stands behind the answer; the agent may have used it since."""
    now = now_ns()
    cli.refresh()
    installed, state, public = _read(cli)
    try:
        found = request_of(installed, state, public, record, now)
    except UsageError:
        return {"state": outcome_of(installed, record), "approvals": 0, "needed": 0}
    whole = found.to_json(now)
    return {name: whole[name] for name in ("state", "approvals", "needed", "expires")}


def watch(
    every: Annotated[str, typer.Option("--every", help="How often to look.")] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Look once, and stop.")] = False,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Say what begins to wait, changes and ends, and what was signed under notice, as it happens.

    One line each (with --json one object each: "event" is request, ended or notice). What begins
    and ends between two looks is told, too. Interrupt it to stop.

    Examples:

        zcp approvals watch

        zcp approvals watch --every 5s --json
    """
    cli = Cli.of(directory, json, copies=True)
    pause = parse_duration(every) / 10**9
    known: dict[int, tuple[str, int]] = {}
    seen = -1
    while True:
        try:
            seen = _look(cli, known, seen)
        except SentinelError as error:
            if once:
                raise
            cli.warn(f"warning: {error}")  # a writer that is just opening; look again
        if once:
            return
        time.sleep(pause)


def _look(cli: Cli, known: dict[int, tuple[str, int]], seen: int) -> int:
    """Tells what changed since the last look; the next record that was not looked at.

    What is there now is compared with what was there; what came and went in between, and what was
    signed under notice, is in the records.
    """
    now = now_ns()
    if seen >= 0:
        cli.refresh()
    installed, state, public = _read(cli)
    count = int(state.record_count)
    events = list(events_of(installed, seen, count)) if seen >= 0 else []
    began = {event.record: event for event in events if event.notice is None}
    here = {each.record: each for each in requests_of(installed, state, public, now)}
    for record, event in began.items():
        if record not in here:
            _say(cli, request_as_asked(installed, public, event), now)
            known[record] = ("open", 0)
    for record, each in here.items():
        stands = (each.state, each.approvals)
        is_told = record in known or record in began or each.state in ("open", "approved")
        if is_told and known.get(record) != stands:
            known[record] = stands
            _say(cli, each, now)
    for record in [record for record in known if record not in here]:
        del known[record]
        became = outcome_of(installed, record)
        _tell(cli, {"event": "ended", "record": record, "state": became}, f"{record} {became}")
    for event in events:
        if event.notice is not None:
            data = {"event": "notice", "record": event.record, "text": event.notice}
            line = f"{event.record} notice: {event.notice}"
            _tell(cli, {**data, "time": iso_time(event.time_ns)}, line)
    return count


def _say(cli: Cli, each: Request, now: int) -> None:
    count = f"{each.approvals} of {each.needed}"
    line = f"{each.record} {each.state} ({count}): {each.agent}: {each.text}; {each.value}"
    _tell(cli, {"event": "request", **each.to_json(now)}, f"{line}; {each.waits(now)}")


def _tell(cli: Cli, data: dict[str, Any], text: str) -> None:
    print(json_text.dumps(data, ensure_ascii=False) if cli.json else text, flush=True)
