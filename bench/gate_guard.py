#!/usr/bin/env python3
"""The instructions that the gate executes for one order, and the budget they must keep.

    bench/gate_guard.py                 count, and compare with the budget (exit 1: above it)
    bench/gate_guard.py --functions     the same, with what each function takes
    bench/gate_guard.py --tree DIR      count another checkout of the core with the same program
    bench/gate_guard.py --record        write what was counted as the new budget

Time is noisy where others share the machine; a count of instructions is not. The core is compiled
as for a release, gate_guard.c signs orders under valgrind's callgrind, and what is executed between
entering and leaving sentinel_gate_sign is summed up by function. Others' code is told apart, and
has no budget, for it takes other instructions on another processor: the hash and curve functions
(those of libcrypto, libsodium and libsecp256k1), and the C library (memset, memcpy). Another
compiler gives other counts, too: the budget names its own, and has a margin.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUDGET = Path(__file__).with_suffix(".json")
ORDERS = 64  # COUNTED of gate_guard.c
HASH_AND_CURVE = ("libcrypto", "libsodium", "libsecp256k1")
C_LIBRARY = ("libc.so", "ld-linux")
FLAGS = ["-std=c11", "-O2", "-g", "-fstack-protector-strong", "-Wno-unused-function"]
FLAGS += ["-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE"]
POSITION = re.compile(r"(?:\+|-|\*)?\d*\s")


def build(tree: Path, program: Path) -> None:
    """Compiles gate_guard.c with the core of `tree`. Raises: CalledProcessError."""
    sources = [str(path) for path in sorted((tree / "core/src").glob("*.c"))]
    places = ["core/include", "core/src", "tests/c"]
    command = [os.environ.get("CC", "cc"), *FLAGS]
    command += [f"-I{tree / place}" for place in places]
    command += ["-o", str(program), str(TOP / "bench/gate_guard.c"), *sources]
    command += ["-lsodium", "-lsecp256k1", "-lcrypto"]
    subprocess.run(command, check=True)


def read_costs(text: str) -> Counter[tuple[str, str]]:
    """Self costs by (object, function) of one callgrind file.

    The format is valgrind's manual, "Callgrind Format Specification": names are given once as
    "(id) name"; the line after "calls=" is the cost of the callee, which has lines of its own.
    """
    names: dict[str, dict[str, str]] = {"ob": {}, "fn": {}}
    costs: Counter[tuple[str, str]] = Counter()
    at = {"ob": "", "fn": ""}
    callee = False
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and key in ("ob", "fn", "cob", "cfn"):
            number, _, name = value.partition(" ")
            table = names[key[-2:]]
            if name:
                table[number] = name
            if key in at:
                at[key] = table[number]
        elif key == "calls":
            callee = True
        elif POSITION.match(line):
            if not callee:
                costs[at["ob"], at["fn"]] += int(line.split()[-1])
            callee = False
    return costs


def count(tree: Path) -> Counter[tuple[str, str]]:
    """What all counted orders executed, by (object, function).

    Raises: CalledProcessError: it does not compile, or an order was not signed.
    """
    with tempfile.TemporaryDirectory() as name:
        program, out = Path(name, "gate_guard"), Path(name, "out")
        build(tree, program)
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=sentinel_gate_sign"]
        command += [f"--callgrind-out-file={out}", "--quiet", str(program)]
        environment = dict(os.environ, LD_BIND_NOW="1")
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        # The requested dump is the first part; what follows it is empty.
        return read_costs(Path(f"{out}.1").read_text())


def is_in(place: str, libraries: tuple[str, ...]) -> bool:
    """True when the object file is one of these libraries."""
    return any(library in Path(place).name for library in libraries)


def per_order(costs: Counter[tuple[str, str]], libraries: tuple[str, ...] | None) -> int:
    """Instructions of one order in these libraries; None: in the core itself."""
    others = (*HASH_AND_CURVE, *C_LIBRARY)
    total = sum(
        cost
        for (place, _), cost in costs.items()
        if (is_in(place, libraries) if libraries else not is_in(place, others))
    )
    return round(total / ORDERS)


def main() -> int:
    """The command. Returns its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tree", type=Path, default=TOP, help="the checkout to count")
    parser.add_argument("--functions", action="store_true", help="list every function")
    parser.add_argument("--record", action="store_true", help="write the budget")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    costs = count(options.tree)
    result = {
        "instructions": per_order(costs, None),
        "c_library": per_order(costs, C_LIBRARY),
        "hash_and_curve": per_order(costs, HASH_AND_CURVE),
        "compiler": subprocess.run(
            [os.environ.get("CC", "cc"), "--version"], check=True, capture_output=True, text=True
        ).stdout.splitlines()[0],
    }
    if options.record:
        BUDGET.write_text(json.dumps({**result, "margin_percent": 5}, indent=2) + "\n")
    budget = json.loads(BUDGET.read_text())
    most = budget["instructions"] * (100 + budget["margin_percent"]) // 100
    if options.json:
        print(json.dumps({**result, "budget": most}))
    else:
        print(
            f"the gate executes {result['instructions']:,} instructions for an order "
            f"(budget {most:,}), {result['c_library']:,} in the C library and "
            f"{result['hash_and_curve']:,} in hash and curve functions"
        )
    if options.functions:
        for (place, function), cost in sorted(costs.items(), key=lambda item: -item[1]):
            print(f"{cost / ORDERS:10.1f}  {function}  ({Path(place).name})")
    if result["instructions"] > most:
        print("above the budget: see --functions, or --record a new one and say why")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
