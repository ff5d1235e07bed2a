"""zcp sign"""

from __future__ import annotations

import json as json_module
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from ..config import write_file
from ..errors import OrderInvalid, UsageError
from ..order import Message, Order, from_json
from ..sign import SignedOrder, Signer
from ._shared import Cli, DirOption, JsonOption, PassphraseOption, now_ns, read_input


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
    """
    cli = Cli.of(directory, json, passphrase_file)
    if (message is None) == (not file):
        raise UsageError("give either --message TEXT or the FILE of an order")
    if durability not in ("write", "fsync"):
        raise UsageError(f"--durability: {durability!r} is none of write, fsync")
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
    data = _data(signed, session.path, made)
    cli.emit(data, _text(signed, session.path, made, receipt))


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


def _data(signed: SignedOrder, agent: str, receipt: dict[str, Any]) -> dict[str, Any]:
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


def _text(signed: SignedOrder, agent: str, receipt: dict[str, Any], file: Path | None) -> str:
    lines = [f"signed for {agent}, action {signed.action_id}"]
    if signed.request is not None:
        lines += [f"{signed.request.method} {signed.request.url}"]
        lines += [f"{name}: {value}" for name, value in signed.request.headers.items()]
        lines += [signed.request.body] if signed.request.body else []
    lines += [
        f"signature         {signed.signature.hex()} ({signed.algorithm.name.lower()})",
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
