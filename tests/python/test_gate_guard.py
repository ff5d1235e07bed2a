"""The gate executes no more instructions than its budget, and the guard would see it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import gate_guard

TOP = Path(__file__).resolve().parent.parent.parent

SAMPLE = """\
version: 1
events: Ir

ob=(1) /somewhere/gate_guard
fl=(1) gate.c
fn=(1) sentinel_gate_sign
10 5
+2 7
cob=(2) /lib/libcrypto.so.3
cfn=(2) SHA256_Update
calls=3 0
12 900
13 1

ob=(2)
fn=(2)
0 400
+3 500
"""


def test_costs_are_each_functions_own() -> None:
    costs = gate_guard.read_costs(SAMPLE)
    assert costs == {
        ("/somewhere/gate_guard", "sentinel_gate_sign"): 13,
        ("/lib/libcrypto.so.3", "SHA256_Update"): 900,
    }
    assert gate_guard.per_order(costs, gate_guard.HASH_AND_CURVE) == round(900 / gate_guard.ORDERS)


@pytest.mark.long
def test_the_gate_keeps_its_budget(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, TOP / "bench/gate_guard.py", "--json"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(done.stdout)
    for case in gate_guard.CASES:  # All of the gate was counted, not a part of it.
        assert counted[case]["instructions"] > 5000
        assert counted[case]["hash_and_curve"] > 5000
    before, beside = (counted[case]["instructions"] for case in gate_guard.CASES)
    assert before < beside < before + 400


def test_above_the_budget_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = {"instructions": 1000, "c_library": 0, "hash_and_curve": 0}
    compiler = subprocess.run(["cc", "--version"], check=True, capture_output=True, text=True)
    named = compiler.stdout.splitlines()[0]
    budget = tmp_path / "budget.json"
    budget.write_text(json.dumps({**dict.fromkeys(gate_guard.CASES, case), "compiler": named}))
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setattr(gate_guard, "BUDGET", budget)
    monkeypatch.setattr(sys, "argv", ["gate_guard.py"])
    for more, status in ((gate_guard.MARGIN, 0), (gate_guard.MARGIN + 1, 1)):
        costs = gate_guard.Counter({("core", "f"): (1000 + more) * gate_guard.ORDERS})
        monkeypatch.setattr(gate_guard, "count", lambda tree, case, costs=costs: costs)
        assert gate_guard.main() == status
        assert ("above the budget" in capsys.readouterr().out) == bool(status)
