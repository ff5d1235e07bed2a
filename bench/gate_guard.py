#!/usr/bin/env python3
"""The instructions that the gate executes for one order, and the budget they must keep.

    bench/gate_guard.py                 count, and compare with the budget (exit 1: another count)
    bench/gate_guard.py --functions     the same, with what each function takes
    bench/gate_guard.py --tree DIR      count another checkout of the core with the same program
    bench/gate_guard.py --record        write what was counted as the new budget

Time is noisy where others share the machine; a count of instructions is not. The core is compiled
as for a release, gate_guard.c signs orders under valgrind's callgrind, and what is executed between
entering and leaving sentinel_gate_sign is summed up by function, in three parts:

- the gate: all of the core but its hash functions. It must stay within 100 instructions of the
  budget, on both sides: a budget that is no longer near would let later ones slip in;
- the core's hash functions (hash.c, hash_two.c, keccak.c), which pad and call the libraries: the
  same. valgrind's processor has no SHA extensions, so two hashes are counted one behind the other;
- the libraries' hash and curve functions. Their instructions are told and have no budget, for they
  are others on another processor. Instead their calls, and the bytes that those hash, must be
  exactly what was recorded: a hash or a multiplication more is a change that has to be said.

What the C library takes (memset, memcpy) must stay within 100, too. Another compiler gives other
counts: the budget names its own, and 5 % more are let through where another one is used.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
BUDGET = Path(__file__).with_suffix(".json")
ORDERS = 64  # COUNTED of gate_guard.c
HASH_AND_CURVE = ("libcrypto", "libsodium", "libsecp256k1")
HASH_SOURCES = ("hash.c", "hash_two.c", "keccak.c")
C_LIBRARY = ("libc.so", "ld-linux")
CASES = {
    "nothing_in_force": "an order",
    "people_in_force": "an order beside a halt, a lease and a bound for approvals",
    "ed25519_ahead": "an order signed by Ed25519 with a nonce made ahead",
    "ecdsa_ahead": "a Hyperliquid order signed by ECDSA with a nonce made ahead",
}
PARTS = {
    "instructions": "the gate",
    "hash_functions": "the core's hash functions",
    "c_library": "the C library",
}
MARGIN = 100  # instructions
MARGIN_PERCENT = 5  # with another compiler than the budget's
# Functions that are given a size. All others that hash at all take one block.
SIZED = ("SHA256_Update", "SHA512_Update", "crypto_sign_detached")
BLOCKS = {"SHA256_Transform": 64, "SHA512_Transform": 128}
# Called or not, as the nonce falls out: it makes s low.
AT_RANDOM = ("secp256k1_ec_seckey_negate",)
FLAGS = ["-std=c11", "-O2", "-g", "-fstack-protector-strong", "-Wno-unused-function"]
FLAGS += ["-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE"]
FLAGS += [f"-Wl,--wrap={name}" for name in SIZED]
POSITION = re.compile(r"(?:\+|-|\*)?\d*\s")
BYTES = re.compile(r"^bytes (\w+) (\d+)$", re.MULTILINE)

Place = tuple[str, str, str]  # object, source, function


@dataclass
class Counts:
    """What all counted orders of a case executed: by function, and between objects."""

    costs: Counter[Place] = field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)  # object, function
    bytes: Counter[str] = field(default_factory=Counter)


def build(tree: Path, program: Path) -> None:
    """Compiles gate_guard.c with the core of `tree`. Raises: CalledProcessError."""
    sources = [str(path) for path in sorted((tree / "core/src").glob("*.c"))]
    places = ["core/include", "core/src", "tests/c"]
    command = [os.environ.get("CC", "cc"), *FLAGS]
    command += [f"-I{tree / place}" for place in places]
    command += ["-o", str(program), str(TOP / "bench/gate_guard.c"), *sources]
    command += ["-lsodium", "-lsecp256k1", "-lcrypto"]
    subprocess.run(command, check=True)


def read_counts(text: str) -> Counts:
    """One callgrind file: what each function took itself, and calls from one object to another.

    The format is valgrind's manual, "Callgrind Format Specification": names are given once as
    "(id) name"; the line after "calls=" is the cost of the callee, which has lines of its own.
    """
    names: dict[str, dict[str, str]] = {"ob": {}, "fn": {}, "fl": {}}
    tables = {"fi": "fl", "fe": "fl"}
    at = {"ob": "", "fn": "", "fl": ""}
    counts = Counts()
    target = {"ob": "", "fn": ""}
    callee = False
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        own = key.removeprefix("c") if key not in ("calls", "cfi", "cfl") else ""
        if equals and tables.get(key[-2:], own) in names:
            number, _, name = value.partition(" ")
            table = names[tables.get(key[-2:], own)]
            if name:
                table[number] = name
            if key in at:
                at[key] = table[number]
                target["ob"] = at["ob"]
            elif key in ("cob", "cfn"):
                target[own] = table[number]
        elif key in ("cfi", "cfl") and equals:
            number, _, name = value.partition(" ")
            if name:
                names["fl"][number] = name
        elif key == "calls":
            callee = True
            if target["ob"] != at["ob"]:
                counts.calls[target["ob"], target["fn"]] += int(value.split()[0])
            target["ob"] = at["ob"]
        elif POSITION.match(line):
            if not callee:
                counts.costs[at["ob"], at["fl"], at["fn"]] += int(line.split()[-1])
            callee = False
    return counts


def count(program: Path, case: str) -> Counts:
    """All counted orders of a case. Raises: CalledProcessError: one was not signed."""
    out = program.with_name("out")
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=sentinel_gate_sign"]
    command += [f"--callgrind-out-file={out}", "--quiet", str(program), case]
    environment = dict(os.environ, LD_BIND_NOW="1")
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    # The requested dump is the first part; what follows it is empty.
    counts = read_counts(Path(f"{out}.1").read_text())
    counts.bytes = Counter({name: int(size) for name, size in BYTES.findall(done.stdout)})
    return counts


def count_all(tree: Path) -> dict[str, Counts]:
    """Every case, with one program. Raises: CalledProcessError: as build and count."""
    with tempfile.TemporaryDirectory() as name:
        program = Path(name, "gate_guard")
        build(tree, program)
        return {case: count(program, case) for case in CASES}


def is_in(place: str, libraries: tuple[str, ...]) -> bool:
    """True when the object file is one of these libraries."""
    return any(library in Path(place).name for library in libraries)


def part_of(place: Place) -> str | None:
    """Where an instruction counts; None: nowhere, for it is the guard's own."""
    library, source, function = place
    if is_in(library, HASH_AND_CURVE):
        return "hash_and_curve"
    if is_in(library, C_LIBRARY):
        return "c_library"
    if function.startswith("__wrap_"):
        return None
    return "hash_functions" if Path(source).name in HASH_SOURCES else "instructions"


def summary(counts: Counts) -> dict[str, Any]:
    """The parts, an order; the libraries' calls and their bytes, of all orders."""
    total: Counter[str] = Counter()
    for place, cost in counts.costs.items():
        part = part_of(place)
        if part is not None:
            total[part] += cost
    calls = {
        name: number
        for (library, name), number in sorted(counts.calls.items())
        if is_in(library, HASH_AND_CURVE) and not (name in AT_RANDOM and number <= ORDERS)
    }
    hashed = {name: size * calls[name] for name, size in BLOCKS.items() if name in calls}
    hashed |= {name: counts.bytes[name] for name in SIZED if counts.bytes[name]}
    parts = {part: round(total[part] / ORDERS) for part in (*PARTS, "hash_and_curve")}
    return {**parts, "calls": calls, "bytes": hashed}


def faults(case: str, result: dict[str, Any], budget: dict[str, Any]) -> list[str]:
    """How a case is not what was recorded, in words."""
    counted, recorded = result[case], budget[case]
    same = result["compiler"] == budget["compiler"]
    found = []
    for part, name in PARTS.items():
        more = 0 if same else recorded[part] * MARGIN_PERCENT // 100
        if counted[part] > recorded[part] + MARGIN + more:
            found.append(f"{name}: {counted[part]:,} instructions, above {recorded[part]:,}")
        elif same and counted[part] < recorded[part] - MARGIN:
            found.append(f"{name}: {counted[part]:,} instructions, far below {recorded[part]:,}")
    for what in ("calls", "bytes"):
        for name in sorted({*counted[what], *recorded[what]}):
            now, then = counted[what].get(name, 0), recorded[what].get(name, 0)
            if now != then:
                found.append(f"{name}: {now:,} {what} in {ORDERS} orders, not {then:,}")
    return found


def tell(case: str, counted: dict[str, Any]) -> None:
    """Prints what a case took."""
    print(
        f"{CASES[case]}: {counted['instructions']:,} instructions of the gate, "
        f"{counted['hash_functions']:,} of its hash functions, {counted['c_library']:,} in the C "
        f"library; {counted['hash_and_curve']:,} in hash and curve functions, "
        f"{sum(counted['bytes'].values()) / ORDERS:,.0f} bytes hashed"
    )


def tell_functions(counts: Counts) -> None:
    """Prints what each function took of an order."""
    for (library, source, function), cost in counts.costs.most_common():
        print(f"{cost / ORDERS:10.1f}  {function}  ({Path(library).name}, {Path(source).name})")


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
    all_counts = count_all(options.tree)
    result: dict[str, Any] = {case: summary(counts) for case, counts in all_counts.items()}
    result["compiler"] = subprocess.run(
        [os.environ.get("CC", "cc"), "--version"], check=True, capture_output=True, text=True
    ).stdout.splitlines()[0]
    if options.record:
        BUDGET.write_text(json.dumps(result, indent=2) + "\n")
    if options.json:
        print(json.dumps(result))
    else:
        for case in CASES:
            tell(case, result[case])
    if options.functions:
        tell_functions(all_counts["nothing_in_force"])
    budget = json.loads(BUDGET.read_text())
    found = [f"{case}: {fault}" for case in CASES for fault in faults(case, result, budget)]
    if found:
        print("not what the budget says; see --functions, or --record a new one and say why:")
        print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
