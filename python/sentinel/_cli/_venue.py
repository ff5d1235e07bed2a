"""zcp venue render | instruments"""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..lab import render as render_line
from ..listing import LISTING_BYTES_MAX, listing_venue, read_listing
from ._shared import JsonOption, read_input

SymbolOption = Annotated[
    list[str] | None,
    typer.Option("--symbol", help="Only these; * and ? stand for any. Repeatable."),
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option("--exclude", help="Not these; as --symbol. Repeatable.")
]
QuoteOption = Annotated[
    list[str] | None, typer.Option("--quote", help="Only quoted in this asset. Repeatable.")
]
ContractOption = Annotated[
    list[str] | None,
    typer.Option("--contract", help="Only spot, linear, inverse, quanto or option. Repeatable."),
]
NamesOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="How to name them, of {venue}, {symbol}, {contract}, {base}, {quote}. Default:"
        " {venue}.{symbol}; Bybit: {venue}.{contract}.{symbol}.",
    ),
]
BesideOption = Annotated[
    Path | None,
    typer.Option("--beside", help="The policy for which they are: its assets are left out."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(help="What venues are sent.", no_args_is_help=True)
    family.command("render")(render)
    family.command("instruments")(instruments)
    app.add_typer(family, name="venue")


def render(
    file: Annotated[str, typer.Argument(help="Lines of JSON, or - for the standard input.")],
    json: JsonOption = False,
) -> None:
    """Render and sign neutral orders, each by a throw-away engine of the environment lab.

    Reads lines with the fields id, venue, scheme, key and order; prints one line of JSON for each:
    the request and its signature, or id, error, reason and next_step. With --json: one JSON array.
    Nothing is sent. Use test keys only. docs/cli.md ("Rendering in the lab") has every field.

    venue: binance_spot, binance_usdm, bybit, okx, deribit or hyperliquid.

    scheme: HMAC-SHA256; Ed25519 (Binance); secp256k1, or a text with that word (Hyperliquid).

    key: api_key and secret, of OKX a passphrase too; client_id and client_secret (Deribit);
    private_key_seed_hex or private_key_pem (Ed25519); private_key (Hyperliquid).

    Examples:

        zcp venue render orders.jsonl

        zcp venue render - < orders.jsonl | grep '"error"'

    where a line of orders.jsonl is such as

        {"id": "1", "venue": "bybit", "scheme": "HMAC-SHA256", "key": {"api_key": "k", "secret":
        "s"}, "order": {"market": "linear", "action": "cancel", "symbol": "BTCUSDT", "order_id":
        "7", "timestamp_ms": 1700000000000, "recv_window": 5000}}
    """
    lines = (line for line in read_input(file).splitlines() if line.strip())
    rendered = (_rendered(line, number) for number, line in enumerate(lines, 1))
    if json:
        print(json_module.dumps(list(rendered), indent=2, ensure_ascii=False))
        return
    _print_lines(rendered)


def _print_lines(rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        print(json_module.dumps(row, ensure_ascii=False))


def _unread(error: str) -> dict[str, Any]:
    step = "write one JSON object a line: id, venue, scheme, key, order"
    return {"id": None, "error": error, "reason": "input", "next_step": step}


def _rendered(line: str, number: int) -> dict[str, Any]:
    try:
        data = json_module.loads(line, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        return _unread(f"line {number}: no JSON: {error}")
    if not isinstance(data, dict):
        return _unread(f"line {number}: no JSON object")
    return render_line(data)


def instruments(
    venue: Annotated[
        str,
        typer.Argument(
            help="binance_spot, binance_usdm, bybit, okx, deribit or hyperliquid.",
            metavar="VENUE",
        ),
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            help="The venue's answers, as downloaded; - for the standard input.", metavar="FILE..."
        ),
    ],
    symbol: SymbolOption = None,
    exclude: ExcludeOption = None,
    quote: QuoteOption = None,
    contract: ContractOption = None,
    not_trading: Annotated[
        bool, typer.Option("--all", help="Also what is halted, delisted or not yet launched.")
    ] = False,
    name: NamesOption = None,
    beside: BesideOption = None,
    json: JsonOption = False,
) -> None:
    """Turn a venue's own public instrument listing into `assets:` and `instruments:` of a policy.

    Prints YAML that goes into a policy, one instrument a line, after a comment with the file's
    SHA-256 and counts. Nothing is asked of the network: download the listing yourself. What the
    venue does not trade is left out and counted. What is not as the venue documents it is an
    error with its place, and nothing is printed then. docs/venues/listings.md says where each
    venue has its listing, and what becomes of each field.

    Example, with GET /v5/market/instruments-info?category=linear of Bybit in linear.json:

        zcp venue instruments bybit linear.json --quote USDT --symbol 'BTC*'
    """
    listing = read_listing(
        listing_venue(venue),
        [_document(file) for file in _once(files)],
        symbols=symbol or (),
        exclude=exclude or (),
        quotes=quote or (),
        contracts=contract or (),
        not_trading=not_trading,
        names=name,
        beside=None if beside is None else _document(str(beside)),
    )
    if json:
        print(json_module.dumps(listing.to_data(), indent=2))
    else:
        sys.stdout.write(listing.to_yaml())


def _once(files: list[str]) -> list[str]:
    if files.count("-") > 1:
        raise UsageError("the standard input is named twice", next_step="name - once")
    return files


def _document(file: str) -> tuple[str, bytes]:
    if file == "-":
        return "standard input", sys.stdin.buffer.read(LISTING_BYTES_MAX + 1)
    try:
        with Path(file).open("rb") as opened:
            return Path(file).name, opened.read(LISTING_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"{file}: {error.strerror}", next_step="name a file that exists, or - for stdin"
        ) from None
