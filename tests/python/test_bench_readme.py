"""scripts/bench_readme.py: the README's table is of the results file, and nothing else changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from sentinel.bench.result import Result, Row, Show

TOP = Path(__file__).resolve().parents[2]


def script(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOP / "scripts/bench_readme.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def results(path: Path, suite: str) -> Path:
    times: dict[str, Any] = {"count": 9, "p50": 2345, "p99": 123_456, "p999": 2e6, "max": 3e6}
    result = Result(suite=suite, title="t", rounds=9)
    result.rows = [
        Row(name="a", label="whole gate", group="ours", **times),
        Row(name="a.policy", label="policy", group="step", **times),
        Row(name="timer", label="the clock", group="timer", **times),
    ]
    result.shows = [Show(name="1", what="ratio", value=0.123, bound=0.14)]
    machine = {"processor": "P", "processors": 2, "system": "S", "compiler": "gcc 1"}
    machine |= {"commit": "0123456789ab", "date": "2026-01-02T03:04:05Z"}
    path.write_text(json.dumps({"machine": machine, "results": [result.to_json()]}))
    return path


def test_the_table_stands_between_the_marks(tmp_path: Path) -> None:
    readme, plot = tmp_path / "README.md", tmp_path / "plot.svg"
    readme.write_text("before\n<!-- bench -->\nold\n<!-- end -->\nafter\n")
    data = results(tmp_path / "r.json", "gate")
    done = script(data, "--readme", readme, "--plot", plot)
    assert done.returncode == 0, done.stderr
    text = readme.read_text()
    assert text.startswith("before\n<!-- bench -->\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "| whole gate | 2.35 | 123 | 2,000 | 3,000 |" in text
    assert "| ratio | 0.123 | ≤ 0.14 | yes |" in text
    assert (
        "commit 0123456789ab, 2026-01-02; 9 rounds. All of it, with the steps:\n[r.json](r.json)."
        in text
    )
    assert "policy" not in text
    assert "old" not in text
    assert "the clock" not in text
    assert "whole gate" in plot.read_text()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks\n")
    plot = ("--plot", tmp_path / "plot.svg")
    done = script(results(tmp_path / "g.json", "gate"), "--readme", readme, *plot)
    assert (done.returncode, "no marks" in done.stderr) == (1, True)
    done = script(results(tmp_path / "v.json", "venues"), "--readme", readme, *plot)
    assert (done.returncode, "gate is not in it" in done.stderr) == (1, True)
    assert readme.read_text() == "no marks\n"
