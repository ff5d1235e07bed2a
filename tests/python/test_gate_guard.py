"""The gate executes no more instructions than its budget, and the guard would see it."""

from __future__ import annotations

import json
import shutil
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
cfi=(2) core/src/hash.c
cfn=(3) hash_rest
calls=2 0
12 800
13 1

fl=(2)
fn=(3)
20 40
cob=(2) /lib/libcrypto.so.3
cfi=(3) ???
cfn=(2) SHA256_Update
calls=3 0
21 900
cob=(2)
cfi=(3)
cfn=(2)
calls=2 0
22 100

ob=(2)
fl=(3)
fn=(2)
0 400
+3 500
"""

COUNTED = {
    "instructions": 1000,
    "hash_functions": 500,
    "c_library": 100,
    "hash_and_curve": 9000,
    "calls": {"SHA256_Transform": 64},
    "bytes": {"SHA256_Transform": 4096},
}


def test_costs_are_each_functions_own() -> None:
    counts = gate_guard.read_counts(SAMPLE)
    assert counts.costs == {
        ("/somewhere/gate_guard", "gate.c", "sentinel_gate_sign"): 13,
        ("/somewhere/gate_guard", "core/src/hash.c", "hash_rest"): 40,
        ("/lib/libcrypto.so.3", "???", "SHA256_Update"): 900,
    }
    assert counts.calls == {("/lib/libcrypto.so.3", "SHA256_Update"): 5}
    counts.bytes["SHA256_Update"] = 320
    summary = gate_guard.summary(counts)
    assert summary["calls"] == {"SHA256_Update": 5}
    assert summary["bytes"] == {"SHA256_Update": 320}
    assert summary["hash_and_curve"] == round(900 / gate_guard.ORDERS)
    assert summary["hash_functions"] == round(40 / gate_guard.ORDERS)


def guard(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOP / "bench/gate_guard.py"), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.long
def test_the_gate_keeps_its_budget() -> None:
    done = guard("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(done.stdout)
    for case in gate_guard.CASES:  # All of the gate was counted, not a part of it.
        assert counted[case]["instructions"] > 3000
        assert counted[case]["hash_and_curve"] > 5000
        assert counted[case]["bytes"]["SHA256_Transform"] > 0
    before, beside = (
        counted[case]["instructions"] for case in ("nothing_in_force", "people_in_force")
    )
    assert before < beside < before + 400


@pytest.mark.long
def test_the_guard_is_red_when_the_gate_does_more(tmp_path: Path) -> None:
    """200 instructions more; and, in the same copy, a hash of one block more."""
    for part in ("core", "tests/c"):
        shutil.copytree(TOP / part, tmp_path / part)
    gate = tmp_path / "core/src/gate.c"
    before = "    clear(outcome);\n"
    more = '    __asm__ volatile(".rept 200\\n nop\\n.endr");\n'
    more += "    uint8_t spare32[32];\n    hash_bytes(spare32, order_bytes, 8);\n"
    text = gate.read_text()
    assert before in text
    gate.write_text(text.replace(before, before + more))
    done = guard("--tree", str(tmp_path))
    assert done.returncode == 1
    for case in gate_guard.CASES:
        assert f"\n{case}: the gate: " in done.stdout
        assert f"\n{case}: SHA256_Transform: " in done.stdout
    assert "above" in done.stdout


def test_another_count_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = subprocess.run(["cc", "--version"], check=True, capture_output=True, text=True)
    named = compiler.stdout.splitlines()[0]
    budget = tmp_path / "budget.json"
    budget.write_text(json.dumps({**dict.fromkeys(gate_guard.CASES, COUNTED), "compiler": named}))
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setattr(gate_guard, "BUDGET", budget)
    monkeypatch.setattr(sys, "argv", ["gate_guard.py"])
    monkeypatch.setattr(
        gate_guard, "count_all", lambda _: dict.fromkeys(gate_guard.CASES, gate_guard.Counts())
    )
    for change, told in (
        ({}, ""),
        ({"instructions": 1000 + gate_guard.MARGIN}, ""),
        ({"instructions": 1001 + gate_guard.MARGIN}, "the gate: 1,101 instructions, above 1,000"),
        ({"instructions": 999 - gate_guard.MARGIN}, "the gate: 899 instructions, far below 1,000"),
        ({"hash_functions": 601}, "hash functions: 601 instructions, above 500"),
        ({"c_library": 201}, "the C library: 201 instructions, above 100"),
        ({"hash_and_curve": 20000}, ""),
        ({"calls": {"SHA256_Transform": 65}}, "SHA256_Transform: 65 calls in 64 orders, not 64"),
        ({"calls": {}}, "SHA256_Transform: 0 calls in 64 orders, not 64"),
        ({"bytes": {"SHA256_Transform": 4095}}, "SHA256_Transform: 4,095 bytes"),
        ({"calls": {**COUNTED["calls"], "SHA1": 1}}, "SHA1: 1 calls in 64 orders, not 0"),
    ):
        counted = {**COUNTED, **change}
        monkeypatch.setattr(gate_guard, "summary", lambda _, counted=counted: counted)
        assert gate_guard.main() == (1 if told else 0), change
        assert told in capsys.readouterr().out
