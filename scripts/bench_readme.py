#!/usr/bin/env python3
"""Writes the README's table and plot from a results file of `zcp bench --out`.

    scripts/bench_readme.py bench/results/2026-01-31.json

The table stands between the marks <!-- bench --> and <!-- end -->; the plot becomes docs/bench.svg.
The file must hold the suite `gate`; `python` and `peers`, where they are, are in the plot. Below
the table stand the goals of all suites; steps, curves and the rest stay in the file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench -->\n", "<!-- end -->"
PLOT = Path("docs/bench.svg")
GROUPS = ("ours", "bare")


def micro(ns: float) -> str:
    """Microseconds, as precise as they are large."""
    value = ns / 1000
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def rows_of(result: dict[str, Any]) -> list[str]:
    """The lines of one suite; what stays in the results file is left to it."""
    lines = []
    for row in result["rows"]:
        if row["group"] in GROUPS:
            cells = " | ".join(micro(row[name]) for name in ("p50", "p99", "p999", "max"))
            lines.append(f"| {row['label']} | {cells} |")
    return lines


def shows_of(results: list[dict[str, Any]]) -> list[str]:
    """The goals, beside what was measured."""
    lines = ["| | measured | goal | met |", "|---|---:|---:|---|"]
    for show in (show for result in results for show in result["shows"]):
        sign = "≥" if show["at_least"] else "≤"
        bound = "" if show["bound"] is None else f"{sign} {show['bound']:g}"
        met = {True: "yes", False: "no", None: ""}[show["is_met"]]
        value = f"{show['value']:,.3g} {show['unit']}".strip()
        lines.append(f"| {show['what']} | {value} | {bound} | {met} |")
    return lines if len(lines) > 2 else []


def table(data: dict[str, Any], name: str) -> str:
    """What stands between the marks."""
    results = {result["suite"]: result for result in data["results"]}
    lines = [f"![medians beside the libraries and peers, on a log scale]({PLOT})", ""]
    lines += ["| microseconds | p50 | p99 | p99.9 | max |", "|---|---:|---:|---:|---:|"]
    lines += rows_of(results["gate"])
    lines += ["", *shows_of(data["results"]), ""]
    machine = data["machine"]
    lines += [
        f"{machine['processor']}, {machine['processors']} processors, {machine['system']},",
        f"{machine['compiler']},",
        f"commit {machine['commit'] or 'unknown'}, {machine['date'][:10]};"
        f" {results['gate']['rounds']:,} rounds. All of it, with the steps:",
        f"[{name}]({name}).",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command. Returns its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="a file of zcp bench --out")
    parser.add_argument("--readme", type=Path, default=TOP / "README.md")
    parser.add_argument("--plot", type=Path, default=TOP / PLOT)
    options = parser.parse_args()
    data = json.loads(options.results.read_text(encoding="utf-8"))
    if all(result["suite"] != "gate" for result in data["results"]):
        print(f"{options.results}: the suite gate is not in it", file=sys.stderr)
        return 1
    text = options.readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"{options.readme}: no marks {BEGIN.strip()} and {END}", file=sys.stderr)
        return 1
    name = os.path.relpath(options.results.resolve(), options.readme.resolve().parent)
    from sentinel.bench.plots import draw_bars

    draw_bars(data, options.plot)
    options.readme.write_text(before + BEGIN + table(data, name) + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
