"""zcp venue render"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

import typer

from ..lab import render as render_line
from ._shared import JsonOption, read_input


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(help="What venues are sent.", no_args_is_help=True)
    family.command("render")(render)
    app.add_typer(family, name="venue")


def render(
    file: Annotated[str, typer.Argument(help="Lines of JSON, or - for the standard input.")],
    json: JsonOption = False,
) -> None:
    """Render and sign neutral orders, each by a throw-away engine of the environment lab.

    Reads lines with the fields id, venue, scheme (HMAC-SHA256 or Ed25519), key and order; prints
    one line of JSON for each: the request and its signature, or id, error and reason. With
    --json: one JSON array. Use test keys only.

    Example:

        zcp venue render orders.jsonl
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


def _rendered(line: str, number: int) -> dict[str, Any]:
    try:
        data = json_module.loads(line, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        return {"id": None, "error": f"line {number}: no JSON: {error}", "reason": "input"}
    if not isinstance(data, dict):
        return {"id": None, "error": f"line {number}: no JSON object", "reason": "input"}
    return render_line(data)
