"""zcp sign"""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .._enums import label
from ..config import write_file
from ..errors import OrderInvalid, OutcomeUnknown, SentinelError, UnitInvalid, UsageError
from ..order import Message, Order, from_json
from ..sign import Session, SignedOrder, Signer
from ..units import parse_duration
from . import _connected
from ._connect import Remote, remote
from ._shared import (
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    describe_error,
    now_ns,
    read_input,
)

if TYPE_CHECKING:
    # It brings the HTTP library, which no other command needs.
    from ..submit import ExecutionReport, Submitter


_TIMEOUT: Final = "5s"
_DEADLINE: Final = "30s"
_SubmitOption = Annotated[
    bool, typer.Option("--submit", help="Send it to the venue, and say what became of it.")
]
_EndpointOption = Annotated[
    str, typer.Option("--endpoint", help="Send there instead: https, or the loopback.")
]
_TimeoutOption = Annotated[str, typer.Option("--timeout", help="How long to wait for one answer.")]
_DeadlineOption = Annotated[
    str, typer.Option("--deadline", help="How long to find out what became of it.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("sign")(sign)


def sign(
    file: Annotated[
        str, typer.Argument(help="An order as JSON, or - for the standard input.")
    ] = "",
    message: Annotated[str | None, typer.Option("--message", help="Sign this text.")] = None,
    agent: Annotated[
        str, typer.Option("--agent", help="Who asks; default: the policy's only agent.")
    ] = "",
    action_id: Annotated[
        int | None, typer.Option("--action-id", min=1, help="Default: the agent's next.")
    ] = None,
    reasons: Annotated[
        str | None, typer.Option("--reasons", help="Why the agent asks; kept beside the log.")
    ] = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="Also write the receipt to this file.")
    ] = None,
    durability: Annotated[str, typer.Option("--durability", help="write or fsync.")] = "fsync",
    submit: _SubmitOption = False,
    endpoint: _EndpointOption = "",
    timeout: _TimeoutOption = _TIMEOUT,
    deadline: _DeadlineOption = _DEADLINE,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Sign an order or a message, if policy allows it. A refusal exits with 3 and says why.

    Examples:

        zcp sign --message "test"

        zcp sign order.json --agent maker --receipt receipt.json

    where order.json is such as

        {"action": "place", "instrument": "BTCUSDT", "side": "buy", "type": "limit",
        "time_in_force": "gtc", "quantity": "0.010", "price": "65000.10"}

        zcp sign order.json --agent maker --submit --deadline 20s
    """
    far = remote()
    cli = Cli.connected(json, passphrase_file) if far else Cli.of(directory, json, passphrase_file)
    _check(file, message, durability, submit)
    submitter = _submitter(submit, endpoint, timeout, deadline)
    if far:
        if submit or receipt is not None or reasons is not None:
            raise UsageError("--connect signs only: no --submit, --receipt or --reasons with it")
        _sign_far(cli, far, file, message, agent, action_id)
        return
    cli.installed()
    fields = None if message is not None else read_order(file)
    with Signer.open(
        cli.directory, passphrase=cli.passphrase(), durability=durability, now_ns=now_ns()
    ) as signer:
        order: Order = Message(text=message or "")
        if fields is not None:
            order = from_json(fields, resolve=signer.resolve)
        session = signer.session(agent or _only_agent(signer))
        signed = session.sign(order, action_id=action_id, reasons=reasons)
        made = signer.receipt(signed.handle)
        if receipt is not None:
            write_file(receipt, (json_module.dumps(made, indent=2) + "\n").encode(), mode=0o644)
        shown = signed if submitter is None else _without_headers(signed)
        data, text = _data(shown, session.path, made), _text(shown, session.path, made, receipt)
        # The engine stays open: what became of an order is asked with signed queries.
        sent = _send(submitter, signed, session) if submitter is not None else None
    _show(cli, data, text, sent)


def _check(file: str, message: str | None, durability: str, submit: bool) -> None:
    """Raises UsageError for options that do not fit together."""
    if (message is None) == (not file):
        raise UsageError("give either --message TEXT or the FILE of an order")
    if durability not in ("write", "fsync"):
        raise UsageError(f"--durability: {durability!r} is none of write, fsync")
    if submit and message is not None:
        raise UsageError("--submit: a message goes to no venue", next_step="leave --submit out")


def _sign_far(
    cli: Cli, far: Remote, file: str, message: str | None, agent: str, action_id: int | None
) -> None:
    fields = None if message is not None else read_order(file)
    signed, path = _connected.sign(cli, far, fields, message, agent, action_id)
    cli.emit(_data(signed, path, None), _text(signed, path, None, None))


def _submitter(submit: bool, endpoint: str, timeout: str, deadline: str) -> Submitter | None:
    """Made before anything is signed, so that a wrong option signs nothing."""
    if not submit:
        if endpoint or timeout != _TIMEOUT or deadline != _DEADLINE:
            raise UsageError(
                "--endpoint, --timeout and --deadline are of --submit, which is not there",
                next_step="add --submit, or leave them out",
            )
        return None
    from ..submit import ADAPTERS, Submitter

    return Submitter(
        endpoints={label(venue): endpoint for venue in ADAPTERS} if endpoint else None,
        timeout_s=_seconds(timeout, "--timeout"),
        deadline_s=_seconds(deadline, "--deadline"),
    )


def _without_headers(signed: SignedOrder) -> SignedOrder:
    """What is sent from here is sent by nobody else: its headers have the API key, of OKX the
    passphrase, and need not end up in a terminal's history.
    """
    if signed.request is None:
        return signed
    hidden = dict.fromkeys(signed.request.headers, "(not shown)")
    return replace(signed, request=replace(signed.request, headers=hidden))


def _send(
    submitter: Submitter, signed: SignedOrder, session: Session
) -> ExecutionReport | SentinelError:
    """The venue's answer, or why there is none: the receipt is shown whatever it says."""
    try:
        with submitter:
            return submitter.submit(signed, session=session)
    except SentinelError as error:
        return error
    except KeyboardInterrupt:
        return OutcomeUnknown(
            f"interrupted: {label(signed.venue)} may have {label(signed.action)} {signed.action_id}"
            f" (client order id {signed.client_order_id or 'none'})",
            venue=label(signed.venue),
            client_order_id=signed.client_order_id,
            action_id=signed.action_id,
            record=signed.handle.record,
            usable_until_ms=signed.usable_until_ms,
            next_step="query it by its action before anything like it is signed again",
        )


def _seconds(text: str, option: str) -> float:
    try:
        return float(Decimal(parse_duration(text)) / 10**9)
    except UnitInvalid as error:
        raise UsageError(f"{option}: {error}", next_step="write it such as 5s or 500ms") from None


def _show(
    cli: Cli, data: dict[str, Any], text: str, sent: ExecutionReport | SentinelError | None
) -> None:
    if isinstance(sent, SentinelError):
        cli.emit({**data, "execution": None, "error": describe_error(sent)}, text)
        if not cli.json:
            print(sent.diagnostics(), file=sys.stderr)
        raise SystemExit(sent.exit_status)
    if sent is None:
        cli.emit(data, text)
        return
    cli.emit({**data, "execution": execution(sent)}, f"{text}\n{_execution_text(sent)}")


def execution(report: ExecutionReport) -> dict[str, Any]:
    """A report as data."""
    data = asdict(report)
    data["digest"] = report.digest.hex()
    return data


def _execution_text(report: ExecutionReport) -> str:
    rows = {
        "order": report.venue_order_id,
        "client order id": report.client_order_id,
        "filled": report.filled_quantity,
        "remaining": report.remaining_quantity,
        "average price": report.average_price,
        "fee": None if report.fee is None else f"{report.fee} {report.fee_asset or ''}".strip(),
        "fills": str(len(report.fills)) if report.fills else None,
        "orders": ", ".join(report.venue_order_ids) or None,
        "answer": report.digest.hex(),
    }
    lines = [f"{report.status} by {report.venue}"]
    return "\n".join(lines + [f"  {name:<16} {value}" for name, value in rows.items() if value])


def read_order(file: str) -> dict[str, Any]:
    """The JSON of an order; decimals keep their text. Raises OrderInvalid."""
    try:
        fields = json_module.loads(read_input(file), parse_float=Decimal)
    except ValueError as error:
        raise OrderInvalid(f"{file}: no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise OrderInvalid(f"{file}: an order is a JSON object")
    return fields


def _only_agent(signer: Signer) -> str:
    agents = signer.policy.agents
    if len(agents) != 1:
        raise UsageError(
            "the policy has several agents" if agents else "the policy has no agent",
            next_step="name one with --agent: " + ", ".join(agent.path for agent in agents),
        )
    return agents[0].path


def _data(signed: SignedOrder, agent: str, receipt: dict[str, Any] | None) -> dict[str, Any]:
    request = signed.request
    return {
        "verdict": "allowed",
        "agent": agent,
        "action_id": signed.action_id,
        "record": signed.handle.record,
        "epoch": signed.handle.epoch,
        "algorithm": signed.algorithm.name.lower(),
        "signature": signed.signature.hex(),
        "transaction_hash": signed.transaction_hash.hex(),
        "request": None
        if request is None
        else {
            "method": request.method,
            "url": request.url,
            "headers": dict(request.headers),
            "body": request.body,
        },
        "receipt": receipt,
    }


def _text(
    signed: SignedOrder, agent: str, receipt: dict[str, Any] | None, file: Path | None
) -> str:
    lines = [f"signed for {agent}, action {signed.action_id}"]
    if signed.request is not None:
        lines += [f"{signed.request.method} {signed.request.url}"]
        lines += [f"{name}: {value}" for name, value in signed.request.headers.items()]
        lines += [signed.request.body] if signed.request.body else []
    lines.append(f"signature         {signed.signature.hex()} ({signed.algorithm.name.lower()})")
    if receipt is None:
        return "\n".join([*lines, f"record            {signed.handle.record}"])
    lines += [
        "receipt",
        f"  record           {receipt['record_number']} of {receipt['proof']['head']['count']}, "
        f"epoch {receipt['epoch']}",
        f"  transaction hash {receipt['transaction_hash']}",
        f"  policy version   {receipt['policy_version']}",
        f"  timestamp        {receipt['timestamp']}",
    ]
    lines += [
        f"  {row['result']}             {row['type']}: value {row['value']}, bound {row['bound']}"
        for row in receipt["constraints_evaluated"]
    ]
    if file is not None:
        lines.append(f"  whole receipt    {file}")
    else:
        lines.append(f"  whole receipt    zcp audit receipt {receipt['record_number']}")
    return "\n".join(lines)
