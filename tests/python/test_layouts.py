"""The ABI as frozen: tests/golden/layouts.json against what cffi sees, and both against Python.

Goal: a field that moves, grows or vanishes turns a test red, from C and from Python. Method: the
golden file was written by a C program; cffi parses the headers on its own; `sentinel.order` and
`sentinel._enums` are written by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from core_abi import asserted_offsets, asserted_sizes, constants, ffi, lib

from sentinel import _enums
from sentinel.order import ORDERS

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
LAYOUTS: dict[str, Any] = json.loads((GOLDEN / "layouts.json").read_text())
SAY = "the ABI changed: python tests/golden/make_layouts.py, and say so in CHANGELOG.md"


def flat(struct: str) -> dict[str, int]:
    """Offsets of a struct's fields, those inside its structs with dots, or `parent_field`."""
    out: dict[str, int] = {}
    for name, field in ffi.typeof(struct).fields:
        if field.type.kind == "struct" and field.type.cname != "sentinel_decimal":
            prefix = "" if name == "header" else f"{name}_"
            out |= {f"{prefix}{n}": field.offset + at for n, at in flat(field.type.cname).items()}
        else:
            out[name] = field.offset
    return out


def test_golden_layouts_are_those_of_the_compiler() -> None:
    command = [sys.executable, GOLDEN / "make_layouts.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + SAY


def test_golden_file_names_every_public_struct() -> None:
    unnamed = {name for name in ffi.list_types()[0] + ffi.list_types()[2] if name in LAYOUTS}
    described = {
        name
        for kind in ffi.list_types()
        for name in kind
        if ffi.typeof(name).kind in ("struct", "union") and ffi.typeof(name).fields
    }
    assert unnamed == described == set(LAYOUTS)
    assert set(asserted_sizes) <= set(LAYOUTS)


@pytest.mark.parametrize("struct", LAYOUTS)
def test_cffi_sees_the_golden_layout(struct: str) -> None:
    seen = ffi.typeof(struct)
    assert ffi.sizeof(seen) == LAYOUTS[struct]["bytes"], SAY
    fields = {name: [f.offset, ffi.sizeof(f.type)] for name, f in seen.fields}
    assert fields == LAYOUTS[struct]["fields"], SAY


@pytest.mark.parametrize("struct", [name for name in LAYOUTS if name in asserted_sizes])
def test_fixed_layouts_have_no_padding_and_name_their_reserved_bytes(struct: str) -> None:
    if ffi.typeof(struct).kind == "union":
        return
    end = 0
    for name, (offset, size) in LAYOUTS[struct]["fields"].items():
        assert offset == end, f"{struct}: implicit padding before {name}"
        end = offset + size
    assert end == LAYOUTS[struct]["bytes"], f"{struct}: implicit padding at its end"


def test_asserted_numbers_are_the_golden_ones() -> None:
    assert len(asserted_sizes) > 40
    for struct, size in asserted_sizes.items():
        assert LAYOUTS[struct]["bytes"] == size
    for (struct, field), offset in asserted_offsets.items():
        assert LAYOUTS[struct]["fields"][field][0] == offset


@pytest.mark.parametrize("order", ORDERS.values(), ids=lambda order: order.__name__)
def test_python_packs_orders_at_the_same_offsets(order: Any) -> None:
    struct = f"sentinel_order_{_enums.label(order.ACTION)}"
    assert order.LAYOUT.size == ffi.sizeof(struct) == lib.sentinel_order_bytes(order.ACTION)
    expected = {name: at for name, at in flat(struct).items() if "reserved" not in name}
    ours = {
        name.replace("reasons_digest", "reasons_digest32"): at
        for name, at in order.LAYOUT.offsets.items()
    }
    assert ours == expected


PREFIXES: dict[type[IntEnum], str] = {
    _enums.Environment: "ENVIRONMENT",
    _enums.Venue: "VENUE",
    _enums.Action: "ACTION",
    _enums.Side: "SIDE",
    _enums.OrderType: "TYPE",
    _enums.TimeInForce: "TIF",
    _enums.PositionSide: "POSITION",
    _enums.MarginMode: "MARGIN",
    _enums.TriggerBy: "TRIGGER_BY",
    _enums.TriggerDirection: "TRIGGER",
    _enums.Account: "ACCOUNT",
    _enums.ReleaseMode: "RELEASE",
    _enums.TargetBy: "TARGET",
    _enums.QueryWhat: "QUERY",
    _enums.Contract: "CONTRACT",
    _enums.Unit: "UNIT",
    _enums.Algorithm: "ALGORITHM",
    _enums.Purpose: "PURPOSE",
}


@pytest.mark.parametrize("enum", PREFIXES, ids=lambda enum: enum.__name__)
def test_python_enumerations_are_the_cores(enum: type[IntEnum]) -> None:
    prefix = f"SENTINEL_{PREFIXES[enum]}_"
    for member in enum:
        assert getattr(lib, prefix + member.name) == member
    counted = "TRIGGER_DIRECTION" if enum is _enums.TriggerDirection else PREFIXES[enum]
    count = getattr(lib, f"SENTINEL_{counted}_COUNT", None)
    if count is not None:
        assert max(enum) == count - 1, "a member is missing"


def test_python_presence_bits_are_the_cores() -> None:
    bits = {name: getattr(lib, name) for name in dir(lib) if name.startswith("SENTINEL_PRESENT_")}
    assert bits == {f"SENTINEL_PRESENT_{bit.name}": bit.value for bit in _enums.Present}


@pytest.mark.parametrize(
    "name",
    [
        "ORDER_VERSION",
        "ORDER_BYTES_MAX",
        "TAG_BYTES_MAX",
        "ID_BYTES_MAX",
        "ADDRESS_BYTES_MAX",
        "MEMO_BYTES_MAX",
        "MESSAGE_BYTES_MAX",
    ],
)
def test_python_limits_are_the_cores(name: str) -> None:
    assert getattr(_enums, name) == constants[f"SENTINEL_{name}"]
