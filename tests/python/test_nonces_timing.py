"""Constant time on the native build: fixed against random secrets, in the manner of dudect."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / "build" / "core" / "release" / "nonces_timing"


@pytest.mark.long
def test_time_tells_nothing_of_a_nonce_or_a_key_and_a_planted_leak_is_seen() -> None:
    make = ["make", "-s", "-C", "core", f"../{PROGRAM.relative_to(TOP)}"]
    subprocess.run(make, cwd=TOP, check=True)
    command = [PROGRAM, "--json", "--seconds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    parts = json.loads(done.stdout)
    assert [part["part"] for part in parts if part["leaks"]] == ["planted leak"], parts
    assert done.returncode == 0
    assert len(parts) == 9
    assert all(part["calls"] >= 3 * 4096 for part in parts)
