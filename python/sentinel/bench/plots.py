"""Plots of a run: bars beside the libraries and peers, the latency's distribution, curves.

They are drawn from the plain data of a results file, so an old file can be drawn again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ..config import os_failed

__all__ = ["draw", "draw_bars"]

COLOURS: Final = {"ours": "#1b6ca8", "bare": "#8a8f98", "peer": "#d07b2c"}
BARS: Final = ("ours", "bare", "peer")
MICRO: Final = 1e-3


def draw(data: dict[str, Any], folder: Path, *, kind: str = "svg") -> list[Path]:
    """Writes every plot that the data gives; their paths.

    Raises ModuleNotFoundError without matplotlib, StorageError where nothing can be written.
    """
    _set_up()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_write(figure, folder / f"{name}.{kind}", data) for name, figure in _figures(data)]
    except OSError as error:
        raise os_failed(folder, error) from None


def draw_bars(data: dict[str, Any], path: Path) -> None:
    """Writes the plot beside libraries and peers alone. Raises ValueError without such rows."""
    _set_up()
    for name, figure in _figures(data):
        if name == "peers":
            _write(figure, path, data)
            return
    raise ValueError("there are no rows to compare")


def _set_up() -> None:
    os.environ.setdefault("MPLBACKEND", "agg")  # no window, and no display needed
    import matplotlib

    # The same data gives the same file; text stays text.
    matplotlib.rcParams.update({"svg.hashsalt": "sentinel", "svg.fonttype": "none"})


def _figures(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    results = {result["suite"]: result for result in data["results"]}
    bars = [
        row
        for name in ("gate", "peers", "python")
        for row in results.get(name, {}).get("rows", ())
        if row["group"] in BARS
    ]
    if bars:
        yield "peers", _bars(bars)
    for name in ("gate", "load"):
        found = [row for row in results.get(name, {}).get("rows", ()) if row["group"] == "ours"]
        if found:
            yield f"{name}-latency", _distribution(found)
    for result in results.values():
        for unit in dict.fromkeys(curve["y"] for curve in result["curves"]):
            curves = [curve for curve in result["curves"] if curve["y"] == unit]
            yield f"{result['suite']}-{unit.replace(' ', '-').lower()}", _curves(curves)


def _write(figure: Any, path: Path, data: dict[str, Any]) -> Path:
    from matplotlib import pyplot

    machine = data["machine"]
    words = f"{machine['processor']}, {machine['date'][:10]}, {machine['commit'] or 'no commit'}"
    figure.text(0.99, -0.02, words, ha="right", va="top", fontsize=7, color="#666666")
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    figure.savefig(path, bbox_inches="tight", metadata=metadata)
    pyplot.close(figure)
    return path


def _bars(rows: Sequence[dict[str, Any]]) -> Any:
    """Medians on a log scale, the fastest on top; the thin line ends at p99."""
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    ordered = sorted(rows, key=lambda row: -row["p50"])
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.28 * len(ordered)))
    for at, row in enumerate(ordered):
        colour, p50 = COLOURS[row["group"]], max(row["p50"], 1) * MICRO
        axes.barh(at, p50, color=colour, height=0.7)
        axes.plot([p50, row["p99"] * MICRO], [at, at], color=colour, linewidth=1)
        axes.text(p50 * 1.08, at + 0.02, _short(p50), va="bottom", fontsize=7)
    axes.set_yticks(range(len(ordered)), [row["label"] for row in ordered], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("microseconds (log scale): bar p50, line to p99")
    axes.spines[["top", "right"]].set_visible(False)
    present = [group for group in BARS if any(row["group"] == group for row in ordered)]
    words = {"ours": "guarded, ours", "bare": "bare library", "peer": "unguarded peer"}
    handles = [Patch(color=COLOURS[group]) for group in present]
    axes.legend(handles, [words[group] for group in present], frameon=False, fontsize=8)
    return figure


def _short(micro: float) -> str:
    return f"{micro:.2f}" if micro < 10 else f"{micro:,.0f}"


def _distribution(rows: Sequence[dict[str, Any]]) -> Any:
    """Latency by share of the calls; the axis of shares is stretched towards 1."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5))
    for row in rows:
        shares = [1 / (1 - share) for share, _ in row["cdf"]]
        axes.plot(shares, [max(ns, 1) * MICRO for _, ns in row["cdf"]], label=row["label"])
    ticks = {2: "50 %", 10: "90 %", 100: "99 %", 1_000: "99.9 %", 10_000: "99.99 %"}
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_xlabel("share of calls that took no longer")
    axes.set_ylabel("microseconds")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=7)
    return figure


def _curves(curves: Sequence[dict[str, Any]]) -> Any:
    """One panel for each."""
    from matplotlib import pyplot

    columns = min(len(curves), 3)
    lines = -(-len(curves) // columns)
    figure, panels = pyplot.subplots(
        lines, columns, figsize=(4.2 * columns, 3.2 * lines), squeeze=False, layout="constrained"
    )
    for axes in panels.flat:
        axes.set_visible(False)
    for axes, curve in zip(panels.flat, curves, strict=False):
        axes.set_visible(True)
        scale = MICRO if curve["y"] == "ns" else 1
        xs, ys = [x for x, _ in curve["points"]], [y * scale for _, y in curve["points"]]
        axes.plot(xs, ys, marker="o" if len(xs) < 20 else None, color=COLOURS["ours"])
        if curve["is_log"]:
            axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(curve["x"], fontsize=8)
        axes.set_ylabel("microseconds, p50" if curve["y"] == "ns" else curve["y"], fontsize=8)
        axes.set_title(curve["label"], fontsize=9)
        axes.grid(alpha=0.3)
    return figure
