"""What a suite found, as tables."""

from __future__ import annotations

from rich.console import Console

from ..bench import Curve, Result
from ._shared import table

_INDENT = {"step": "  ", "cold": "  "}


def show(console: Console, result: Result) -> None:
    """Prints one suite's rows, curves, comparisons and remarks."""
    console.print(f"\n[bold]{result.suite}[/bold]: {result.title}\n")
    if result.rows:
        _rows(console, result)
    for curve in result.curves:
        _curve(console, curve)
    if result.shows:
        _shows(console, result)
    for name, value in result.facts.items():
        if isinstance(value, int | float | str):
            console.print(f"{name.replace('_', ' ')}: {value}", markup=False)
    for text in (*result.notes, *result.missing):
        console.print(text, markup=False)
    if result.rounds:
        on = ", ".join(map(str, result.pinned_to))
        console.print(f"{result.rounds:,} rounds on processor {on}")


def _right(rows: object) -> None:
    for column in rows.columns[1:]:  # type: ignore[attr-defined]
        column.justify = "right"


def _rows(console: Console, result: Result) -> None:
    rows = table("nanoseconds", "p50", "p99", "p99.9", "max")
    for row in result.rows:
        if row.group != "traced":
            values = (f"{value:,.0f}" for value in (row.p50, row.p99, row.p999, row.max))
            rows.add_row(_INDENT.get(row.group, "") + row.label, *values)
    _right(rows)
    console.print(rows)


def _curve(console: Console, curve: Curve) -> None:
    rows = table(curve.x, curve.y)
    points = curve.points
    if len(points) > 16:  # A long one is for the plot; here its shape.
        points = points[:: -(-len(points) // 16)]
    for x, y in points:
        rows.add_row(f"{x:,.10g}", f"{y:,.4g}" if abs(y) < 1000 else f"{y:,.0f}")
    _right(rows)
    console.print(f"\n{curve.label}", markup=False)
    console.print(rows)


def _shows(console: Console, result: Result) -> None:
    rows = table("show", "what", "value", "bound", "met")
    for line in result.shows:
        bound = "" if line.bound is None else f"{'≥' if line.at_least else '≤'} {line.bound:g}"
        met = {True: "yes", False: "NO", None: ""}[line.is_met]
        rows.add_row(line.name, line.what, f"{line.value:,.4g} {line.unit}".rstrip(), bound, met)
    console.print()
    console.print(rows)
