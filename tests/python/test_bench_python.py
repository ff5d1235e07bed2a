"""The suite `python`: what it times is what it says, and it does without what is not there."""

from __future__ import annotations

import sys

import pytest

from sentinel.bench import Settings
from sentinel.bench import python as suite

WAYS = {"sign", "looked_at", "fresh", "prepared", "many", "c"}


def test_the_suite_gives_rows_and_ratios() -> None:
    shares: list[float] = []
    result = suite.run(Settings(rounds=40, progress=shares.append))
    rows = {row.name: row for row in result.rows}
    ours = {f"{algorithm}.{way}" for algorithm in ("ed25519", "ecdsa") for way in WAYS}
    assert rows.keys() >= {*ours, "ed25519.peer", "ecdsa.peer", "cython.check", "timer"}
    assert [rows[name].count for name in ours] == [40] * len(ours)
    assert {show.name for show in result.shows} == {"3"}
    bounds = [show.bound for show in result.shows]
    assert bounds == [0.25, 0.25, 1.3, None, 0.15, None, 0.15, 1.3, 0.15]
    assert result.facts["nonces_missed"] == 0
    assert result.facts["signed_bytes"]["ed25519"] > 100
    assert shares[-1] == 1.0


def test_cffi_signs_what_cython_signs() -> None:
    result = suite.run(Settings(rounds=8))
    if result.missing:  # No library was built in this tree; then it says how to get one.
        assert "SENTINEL_LIB" in result.missing[0]
        return
    assert {row.name for row in result.rows} >= {"cffi.check", "cffi.sign"}


def test_what_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_LIB", "/nowhere/libsentinel.so")
    for module in ("nacl", "nacl.signing", "coincurve"):
        monkeypatch.setitem(sys.modules, module, None)
    result = suite.run(Settings(rounds=8))
    assert [text.partition(":")[0] for text in result.missing] == [
        "PyNaCl sign",
        "coincurve sign_recoverable",
        "cffi",
    ]
    assert "pip install PyNaCl" in result.missing[0]
    assert {row.name for row in result.rows} >= {"ed25519.sign", "cython.check"}
    assert [show.bound for show in result.shows] == [1.3, 1.3]
