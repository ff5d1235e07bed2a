"""zcp order show"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .. import _core
from .._status import REASON_CODE, REASON_TEXT
from ..errors import OrderInvalid
from ..order import from_json
from ._shared import Cli, DirOption, JsonOption
from ._sign import read_order


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(help="Read orders.", no_args_is_help=True)
    family.command("show")(show)
    app.add_typer(family, name="order")


def show(
    file: Annotated[str, typer.Argument(help="An order as JSON, or - for the standard input.")],
    agent: Annotated[str, typer.Option("--agent", help="Who would ask.")] = "",
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Say what an order means, and check its form, without asking for a signature.

    Example:

        zcp order show order.json
    """
    cli = Cli.of(directory, json, copies=True)
    installed = cli.installed()
    policy = installed.policy()

    def resolve(kind: str, name: str) -> int:
        found: int = getattr(policy, kind)(name).id
        return found

    def named(kind: str, number: int) -> str:
        table: Any = getattr(policy, f"{kind}s", {})
        return str(table[number].name) if number in table else str(number)

    order = from_json(read_order(file), resolve=resolve)
    packed = order.pack(agent=policy.agent(agent).id if agent else 1, action_id=1)
    reason = _core.order_check(packed, installed.environment)
    if reason:
        raise OrderInvalid(f"{REASON_TEXT[reason]} ({REASON_CODE[reason]})", reason=reason)
    cli.emit(
        {"text": order.describe(named), "order": order.to_json(named), "bytes": packed.hex()},
        f"{order.describe(named)}\nwell formed, {len(packed)} bytes",
    )
