"""What the tests of policies share: terms, tables, and errors asked for at a mark in the text."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from core_abi import ffi, lib

from sentinel import _layout
from sentinel._enums import Environment
from sentinel.errors import ConfigError
from sentinel.policy_compile import FrameTerms, check_policy, compile_policy

TOP = Path(__file__).resolve().parents[2]
FIRM = TOP / "examples" / "firm.yaml"
TERMS = FrameTerms(
    engine_id=bytes(range(32)),
    environment=Environment.TEST,
    sequence=3,
    issued_ns=1_700_000_000 * 10**9,
    expires_ns=1_800_000_000 * 10**9,
)
TABLES = """
assets:
  BTC: {}
  USDT: {decimals: 6, par: 1 USD}
networks:
  TRX: {asset: USDT}
instruments:
  BTCUSDT: {venue: binance_spot, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}
destinations:
  cold: {network: TRX, address: TAddress}
"""


def refused(source: str, **options: Any) -> ConfigError:
    """Compiles a text in which ‸ stands before the place of the error."""
    source = textwrap.dedent(source).lstrip("\n")
    at = source.index("‸")
    with pytest.raises(ConfigError) as caught:
        check_policy(source.replace("‸", ""), file="p.yaml", **options)
    error = caught.value
    expected = source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)
    assert (error.line, error.column) == expected, error.diagnostics()
    assert error.file == "p.yaml"
    assert str(error).startswith(f"p.yaml:{expected[0]}:{expected[1]}: ")
    return error


def firm(constraints: str, tables: str = TABLES) -> str:
    """A policy whose firm has these lines."""
    lines = textwrap.indent(textwrap.dedent(constraints).strip("\n"), "  ")
    return f"version: 1\nfirm:\n  name: firm\n{lines}\n{tables}"


def checked(part: bytes) -> tuple[Any, Any]:
    data = _layout.attach_proofs(part, [])
    memory = ffi.new("uint64_t[]", (len(data) + 7) // 8)
    ffi.memmove(memory, data, len(data))
    bundle = ffi.new("sentinel_bundle *")
    status = lib.sentinel_bundle_check(bundle, memory, len(data))
    assert status == 0, hex(status)
    return bundle, memory


def compiled(source: str, base: Path | None = None) -> tuple[Any, Any]:
    return checked(compile_policy(source, TERMS, keyring=None, base=base))
