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
(those of libcrypto, libsodium and libsecp256k1), and the C library (memset, memcpy). Each case has
a budget: 100 instructions above what was recorded are let through. Another compiler gives other
counts, too: the budget names its own, and 5 % are let through where another one is used.
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
from typing import Any

TOP = Path(__file__).resolve().parent.parent
BUDGET = Path(__file__).with_suffix(".json")
ORDERS = 64  # COUNTED of gate_guard.c
HASH_AND_CURVE = ("libcrypto", "libsodium", "libsecp256k1")
C_LIBRARY = ("libc.so", "ld-linux")
CASES = {
    "nothing_in_force": "an order",
    "people_in_force": "an order beside a halt, a lease and a bound for approvals",
}
MARGIN = 100  # instructions
MARGIN_PERCENT = 5  # with another compiler than the budget's
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


def count(tree: Path, case: str) -> Counter[tuple[str, str]]:
    """What all counted orders of a case executed, by (object, function).

    Raises: CalledProcessError: it does not compile, or an order was not signed.
    """
    with tempfile.TemporaryDirectory() as name:
        program, out = Path(name, "gate_guard"), Path(name, "out")
        build(tree, program)
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=sentinel_gate_sign"]
        command += [f"--callgrind-out-file={out}", "--quiet", str(program), case]
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


def most(case: str, budget: dict[str, Any], compiler: str) -> int:
    """How many instructions a case may take."""
    recorded: int = budget[case]["instructions"]
    if compiler == budget["compiler"]:
        return recorded + MARGIN
    return recorded * (100 + MARGIN_PERCENT) // 100


def tell(case: str, result: dict[str, Any], budget: dict[str, Any], *, quiet: bool) -> bool:
    """Prints what a case took; whether that is within its budget."""
    counted, bound = result[case], most(case, budget, result["compiler"])
    if not quiet:
        print(
            f"the gate executes {counted['instructions']:,} instructions for {CASES[case]} "
            f"(budget {bound:,}), {counted['c_library']:,} in the C library and "
            f"{counted['hash_and_curve']:,} in hash and curve functions"
        )
    return bool(counted["instructions"] <= bound)


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
    costs = {case: count(options.tree, case) for case in CASES}
    result: dict[str, Any] = {
        case: {
            "instructions": per_order(counted, None),
            "c_library": per_order(counted, C_LIBRARY),
            "hash_and_curve": per_order(counted, HASH_AND_CURVE),
        }
        for case, counted in costs.items()
    }
    result["compiler"] = subprocess.run(
        [os.environ.get("CC", "cc"), "--version"], check=True, capture_output=True, text=True
    ).stdout.splitlines()[0]
    if options.record:
        BUDGET.write_text(json.dumps(result, indent=2) + "\n")
    budget = json.loads(BUDGET.read_text())
    within = [tell(case, result, budget, quiet=options.json) for case in CASES]
    if options.json:
        print(json.dumps(result))
    if options.functions:
        for (place, function), cost in sorted(
            costs["nothing_in_force"].items(), key=lambda item: -item[1]
        ):
            print(f"{cost / ORDERS:10.1f}  {function}  ({Path(place).name})")
    if not all(within):
        print("above the budget: see --functions, or --record a new one and say why")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
