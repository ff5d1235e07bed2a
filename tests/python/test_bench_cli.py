"""zcp bench: what it prints, writes and draws, and what it says when it cannot.

Goal: a user gets a table, a file and plots from one command, and a sentence where not. Method: the
command runs in this process with few rounds; its files are read back; packages are made missing.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sentinel import bench
from sentinel._cli import main
from sentinel._cli._shared import EXIT_STATUSES

TOP = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((TOP / "bench/results.schema.json").read_text(encoding="utf-8"))


def run(capsys: pytest.CaptureFixture[str], *words: str | Path, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    got = main(["bench", *map(str, words)])
    captured = capsys.readouterr()
    assert got == status, captured.err
    assert got in EXIT_STATUSES
    assert "Traceback" not in captured.err + captured.out
    return captured.out, captured.err


def test_a_run_prints_writes_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = os.sched_getaffinity(0)
    words = ("gate", "load", "--rounds", "64", "--out", tmp_path / "r", "--plots", tmp_path / "p")
    out, err = run(capsys, *words)
    assert os.sched_getaffinity(0) == before
    assert "libsodium Ed25519, the same bytes" in out
    assert "≤ 0.14" in out
    assert "2 suites, about" in err
    (path,) = (tmp_path / "r").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.json", path.name)
    data = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(data, SCHEMA)
    assert [result["suite"] for result in data["results"]] == ["gate", "load"]
    assert data["results"][0]["pinned_to"] == [max(before)]
    drawn = {plot.name: plot.read_text(encoding="utf-8") for plot in (tmp_path / "p").iterdir()}
    assert set(drawn) == {"peers.svg", "gate-latency.svg", "load-latency.svg"}
    assert all(text.startswith("<?xml") for text in drawn.values())
    assert "libsecp256k1 ECDSA, the same digest" in drawn["peers.svg"]
    assert "SHA-256 of the same bytes" not in drawn["peers.svg"]


def test_a_second_run_of_a_day_has_a_file_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        run(capsys, "venues", "--rounds", "2", "--out", tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert names[0].replace("-1.json", ".json") == names[1].replace("-1.json", ".json")


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "venues", "--rounds", "3", "--json", "--pin", min(os.sched_getaffinity(0)))
    data = json.loads(out)
    jsonschema.validate(data, SCHEMA)
    assert data["results"][0]["pinned_to"] == [min(os.sched_getaffinity(0))]


def test_an_old_file_is_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curve = {"name": "c", "label": "C", "x": "agents", "y": "ns", "points": [[1, 2], [10, 3]]}
    result: dict[str, Any] = bench.Result(suite="growth", title="t").to_json()
    result["curves"] = [curve | {"is_log": True}]
    machine = {"processor": "P", "date": "2026-01-02T03:04:05Z", "commit": ""}
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"machine": machine, "results": [result]}), encoding="utf-8")
    _, err = run(capsys, "--draw", path, "--plot-format", "png", "--plots", tmp_path / "p")
    assert "growth-ns.png" in err
    assert (tmp_path / "p" / "growth-ns.png").read_bytes()[:4] == b"\x89PNG"


def test_suites_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, "--list")
    assert all(name in out for name in bench.SUITES)
    data = json.loads(run(capsys, "--list", "--json")[0])
    assert [row["name"] for row in data["suites"]] == list(bench.SUITES)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gates"], "there is no suite 'gates'"),
        (["--pin", "4095"], "--pin: this process may not run on processor 4095"),
        (["--rounds", "0"], "--rounds"),
        (["--draw", "README.md"], "README.md: this is no results file"),
        (["--draw", "absent.json"], "absent.json: No such file"),
        (["gate", "--plots", "x", "--plot-format", "pdf"], "'pdf' is none of svg, png"),
        (["peers", "--against", "ftp://x"], "ftp"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    capsys.readouterr()
    assert main(["bench", *words]) in (2, 9)
    err = capsys.readouterr().err
    assert says in err
    assert "Traceback" not in err


def test_plots_without_matplotlib_are_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out, err = run(capsys, "gate", "--plots", tmp_path, status=2)
    assert "matplotlib" in err
    assert "pip install 'zcp-sentinel[bench]'" in err
    assert out == ""


def test_a_missing_package_leaves_one_suite_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hdrh", None)
    monkeypatch.delitem(sys.modules, "hdrh.histogram", raising=False)
    monkeypatch.delitem(sys.modules, "sentinel.bench.load", raising=False)
    out, _ = run(capsys, "venues", "load", "--rounds", "2")
    assert "load: the package 'hdrh' is not installed" in out
    assert "Hyperliquid, ECDSA" in out


def test_a_long_log_says_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.SUITES["audit"]
    done = bench.Result(suite="audit", title="audit")
    monkeypatch.setattr(bench, "run_suite", lambda suite, settings: done)
    _, err = run(capsys, suite.name, "--records", "10000000")
    assert "a log of 10,000,000 records takes 10.0 GB" in err
