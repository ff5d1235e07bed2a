"""Results files and plots of `zcp bench`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from .. import bench
from ..config import os_failed
from ..errors import UsageError
from ._shared import Cli

FORMATS: Final = ("svg", "png")


def check_plots(kind: str) -> None:
    """Before minutes of measuring, not behind them. Raises UsageError."""
    if kind not in FORMATS:
        raise UsageError(f"--plot-format: {kind!r} is none of {', '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(
            "plots: the package 'matplotlib' is not installed", next_step=bench.INSTALL
        ) from None


def draw(cli: Cli, data: dict[str, Any], folder: Path, kind: str) -> None:
    """Draws what the data gives, and names the files."""
    from ..bench.plots import draw as draw_plots

    for path in draw_plots(data, folder, kind=kind):
        cli.warn(f"plot: {path}")


def read(path: Path) -> dict[str, Any]:
    """A results file. Raises UsageError for another, StorageError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise os_failed(path, error) from None
    except ValueError:
        data = None
    if not isinstance(data, dict) or not {"machine", "results"} <= data.keys():
        raise UsageError(
            f"{path}: this is no results file of zcp bench", next_step="make one with --out"
        )
    return data


def write(folder: Path, data: dict[str, Any]) -> Path:
    """A file of its own for each run: the date, and a number where there is one already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        names = (folder / f"{day}{f'-{n}' if n else ''}.json" for n in range(10_000))
        path = next(name for name in names if not name.exists())
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise os_failed(folder, error) from None
    return path
