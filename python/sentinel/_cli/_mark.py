"""zcp mark set"""

from __future__ import annotations

from typing import Annotated

import typer

from .. import _layout
from .._enums import MarkKind
from .._frame import FrameKind
from .._layout import FedMark
from .._order import decimal_of
from ..config import AuthorityRing
from . import _connected
from ._connect import remote
from ._shared import (
    WAIT_SECONDS,
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    WaitOption,
    deliver,
    must_be_applied,
    now_ns,
)

ISSUED_BEFORE_NS = 100_000_000
"""A feed is dated back so much: the writer's clock reading may be a little older than ours."""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(help="Feed marks: the prices that limits refer to.", no_args_is_help=True)
    family.command("set")(set_mark)
    app.add_typer(family, name="mark")


def set_mark(
    name: Annotated[str, typer.Argument(help="An instrument's or asset's name in the policy.")],
    price: Annotated[
        str, typer.Argument(help="In the quote asset; of an asset, in USD. Such as 65000.10.")
    ],
    asset: Annotated[bool, typer.Option("--asset", help="The name is an asset's.")] = False,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Feed one mark, signed with the feeder's key.

    Examples:

        zcp mark set BTCUSDT 65000.10

        zcp mark set --asset BTC 65000
    """
    if far := remote():
        cli = Cli.connected(json, passphrase_file)
        _connected.mark(cli, far, name, price, asset, ISSUED_BEFORE_NS)
        return
    cli = Cli.of(directory, json, passphrase_file)
    installed = cli.installed()
    policy = installed.policy()
    issued = now_ns() - ISSUED_BEFORE_NS
    kind = MarkKind.ASSET if asset else MarkKind.INSTRUMENT
    id_ = policy.asset(name).id if asset else policy.instrument(name).id
    part = _layout.mark_feed(
        [FedMark(kind, id_, decimal_of(price, name), issued)], installed.terms(now_ns(), issued)
    )
    ring = AuthorityRing.open(cli.directory, cli.passphrase())
    result = must_be_applied(deliver(cli, ring.sign(FrameKind.FEED, part), wait=wait))
    cli.emit(
        {"name": name, "price": price, **result}, f"{name} is {price} (record {result['record']})"
    )
