"""zcp report, zcp position"""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import _layout
from .._enums import OrderStatus, label
from .._frame import FrameKind
from .._layout import FedPosition, FedReport
from .._order import decimal_of
from ..audit import restore
from ..config import AuthorityRing, os_failed, read_passphrase
from ..errors import UsageError
from ..feeder import ISSUED_BEFORE_NS, FeederKey, authority_of, row_of
from ..policy import Policy
from . import _connected
from ._connect import Remote, remote, taken_data, taken_text
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

if TYPE_CHECKING:
    from .._service import Service

FILE_BYTES_MAX = 1 << 20
REPORT_FIELDS = {"agent", "action_id", "status", "filled", "price", "time_ns"}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("report")(report)
    app.command("position")(position)


def report(
    file: Annotated[str, typer.Argument(help="JSON: one report, or up to 32 in a list. -: stdin.")],
    sequence: Annotated[
        int | None,
        typer.Option(
            "--sequence", min=1, help="The feeder's own count; else one above the last taken."
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The feeder's own key file; default: the engine's own."),
    ] = None,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Tell the engine what became of orders, signed with the feeder's key.

    A report has agent, action_id, status (acknowledged, partly_filled, filled, cancelled, rejected,
    expired), filled (in all, in the instrument's unit) and, where they are known, price (the
    average) and time_ns. What contradicts an order that was signed halts its agent; a gap in the
    sequence halts the firm. A feeder that counts its frames itself says so with --sequence, so
    that one which was lost is noticed; without it, the frame follows the last that was taken. In
    Python, sentinel.feeder does this with what venues answered.

    Example, with {"agent": "maker", "action_id": 7, "status": "filled", "filled": "0.5"} in
    filled.json:

        zcp report filled.json

        zcp report filled.json --sequence 12
    """
    if far := remote():
        _report_far(Cli.connected(json, passphrase_file), far, file, sequence, key)
        return
    cli = Cli.of(directory, json, passphrase_file)
    installed = cli.installed()
    policy = installed.policy()
    issued = now_ns() - ISSUED_BEFORE_NS
    rows = [_report_of(policy, row, issued) for row in _rows(file)]
    feeder = FeederKey.open(
        key or cli.directory / "keys" / "authority", passphrase=cli.passphrase()
    )
    authority = authority_of(installed)
    if sequence is None:
        first = feeder.ids(authority, issued)[0][0]
        sequence = restore(cli.directory).feeders().get(first, 0) + 1
    frame = feeder.frame(installed, authority, rows, sequence=sequence, issued_ns=issued)
    result = must_be_applied(deliver(cli, frame, wait=wait))
    text = f"{len(rows)} reports taken, sequence {sequence} (record {result['record']})"
    cli.emit({"reports": len(rows), "sequence": sequence, **result}, text)


def position(
    instrument: Annotated[str, typer.Argument(help="The instrument's name in the policy.")],
    quantity: Annotated[
        str, typer.Argument(help="What is held, in the instrument's unit: 1.5, or short:1.5.")
    ],
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """State what is held of an instrument now, signed with the feeder's key.

    Under a drain, a reduce-only order must close what is known to be held.

    Examples:

        zcp position BTCUSDT-PERP 1.5

        zcp position BTCUSDT-PERP short:0.25
    """
    mantissa, scale = decimal_of(quantity.removeprefix("short:"), "quantity")
    held = (-mantissa if quantity.startswith("short:") else mantissa, scale)
    if far := remote():
        far_cli = Cli.connected(json, passphrase_file)
        _connected.position(far_cli, far, instrument, quantity, held)
        return
    cli = Cli.of(directory, json, passphrase_file)
    installed = cli.installed()
    issued = now_ns() - ISSUED_BEFORE_NS
    row = FedPosition(installed.policy().instrument(instrument).id, held, issued)
    part = _layout.position_feed([row], installed.terms(now_ns(), issued))
    ring = AuthorityRing.open(cli.directory, cli.passphrase())
    result = must_be_applied(deliver(cli, ring.sign(FrameKind.FEED, part), wait=wait))
    text = f"{instrument}: {quantity} is held (record {result['record']})"
    cli.emit({"instrument": instrument, "quantity": quantity, **result}, text)


def _report_far(cli: Cli, far: Remote, file: str, sequence: int | None, key: Path | None) -> None:
    if sequence is None:
        raise UsageError(
            "--connect: which sequence?",
            cause="a feeder's session does not see what was taken before",
            next_step="give --sequence, one above your last frame's",
        )
    own = key or far.key
    if own is None:
        raise UsageError("--connect: which key feeds?", next_step="name it with --session-key")
    place = own
    given = _rows(file)

    def frame(installed: Service) -> bytes:
        issued = now_ns() - ISSUED_BEFORE_NS
        policy = installed.policy()
        rows = [_report_of(policy, row, issued) for row in given]
        secret = read_passphrase(place.parent, file=cli.passphrase_file)
        feeder = FeederKey.open(place, passphrase=secret)
        held = authority_of(installed)
        return feeder.frame(installed, held, rows, sequence=sequence, issued_ns=issued)

    taken = _connected.feed(cli, far, own, frame)
    data = {"reports": len(given), "sequence": sequence} | taken_data(taken)
    text = f"{len(given)} reports taken, sequence {sequence} ({taken_text(taken)})"
    cli.emit(data, text)


def _rows(file: str) -> list[Any]:
    try:
        if file == "-":
            text = sys.stdin.read(FILE_BYTES_MAX + 1)
        else:
            with Path(file).open(encoding="utf-8") as stream:
                text = stream.read(FILE_BYTES_MAX + 1)
        found = json_text.loads(text) if len(text) <= FILE_BYTES_MAX else None
    except OSError as error:
        raise os_failed(f"read {file}", error) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON", next_step="zcp report --help has one") from error
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{file} holds no report", next_step="zcp report --help has one")
    return rows


def _report_of(policy: Policy, row: dict[str, Any], issued_ns: int) -> FedReport:
    unknown = sorted(row.keys() - REPORT_FIELDS)
    missing = sorted({"agent", "action_id", "status", "filled"} - row.keys())
    if unknown or missing:
        what = f"has no {missing[0]}" if missing else f"has an unknown field {unknown[0]!r}"
        raise UsageError(f"a report {what}", next_step="zcp report --help has one")
    statuses = {label(status): status for status in OrderStatus if status}
    numbers = (row["action_id"], row.get("time_ns", issued_ns))
    texts = (row["agent"], row["status"], row["filled"], row.get("price", "0"))
    if any(type(n) is not int for n in numbers) or not all(isinstance(t, str) for t in texts):
        raise UsageError(
            "a report has a field of another kind",
            next_step='write numbers of actions as 7, decimals as "0.5"',
        )
    if row["status"] not in statuses:
        raise UsageError(
            f"{row['status']!r} is no status of an order",
            next_step=f"one of {', '.join(statuses)}",
        )
    agent, status, filled, price = texts
    return row_of(policy, agent, numbers[0], statuses[status], filled, price, numbers[1])
