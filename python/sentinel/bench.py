"""Where the time of one guarded signature goes, beside the bare libraries in the same run.

    from sentinel import bench

    report = bench.run(rounds=20_000)          # a throw-away engine in a temporary directory
    report.row("gate").p50                     # nanoseconds

Every round times the whole gate once untraced and once with the clock noted at each step's end,
then one bare Ed25519 signature (libsodium) and one bare ECDSA signature (libsecp256k1), both over
256 bytes: the four are interleaved, so that what disturbs one disturbs all. The log is written
with ``pwrite`` (durability ``write``). The process should be pinned to one core.
"""

from __future__ import annotations

import os
import platform
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sentinel._bench import STEPS

#: How many of the steps' medians may be missing from, or too many for, the gate's median.
STEPS_TOLERANCE = 0.10

LABELS = {
    "decode": "decode: form, look-ups, key",
    "policy": "policy: every constraint",
    "render": "render: the venue's request",
    "reserve": "reserve: windows, id, book",
    "sign": "sign",
    "record": "record: hash, chain, pwrite",
    "gate": "whole gate",
    "traced": "whole gate, steps timed",
    "ed25519": "bare libsodium Ed25519",
    "ecdsa": "bare libsecp256k1 ECDSA",
    "timer": "the timer itself",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Percentiles of one thing that was timed, in nanoseconds."""

    name: str
    label: str
    p50: int
    p99: int
    p999: int
    max: int


@dataclass(frozen=True, slots=True)
class Report:
    """One run: what was timed, on what, and whether the steps add up."""

    rows: tuple[Row, ...]
    rounds: int
    constraints: int
    algorithm: str
    machine: str
    pinned_to: tuple[int, ...]
    steps_over_gate: float

    def row(self, name: str) -> Row:
        """The row of this name. Raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def steps_add_up(self) -> bool:
        """Whether the sum of the steps' medians is the gate's median within STEPS_TOLERANCE."""
        return abs(self.steps_over_gate - 1) <= STEPS_TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """The report as plain data; times in nanoseconds."""
        return asdict(self) | {"steps_add_up": self.steps_add_up}


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` of an ascending sequence does not exceed."""
    rank = -(-int(share * 1_000_000) * len(ordered) // 1_000_000)
    return ordered[max(rank, 1) - 1]


def summarise(name: str, times: array[int]) -> Row:
    """The row of one array of nanoseconds."""
    ordered = sorted(times)
    p50, p99, p999 = (percentile(ordered, share) for share in (0.50, 0.99, 0.999))
    return Row(name, LABELS[name], p50, p99, p999, ordered[-1])


def machine() -> str:
    """The processor's name, as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def report(times: dict[str, array[int]], *, constraints: int, algorithm: str) -> Report:
    """Turns the arrays of `sentinel._bench.measure` into a report."""
    rows = {name: summarise(name, values) for name, values in times.items()}
    steps = sum(rows[step].p50 for step in STEPS)
    order = (*STEPS, "gate", "traced", "ed25519", "ecdsa", "timer")
    return Report(
        rows=tuple(rows[name] for name in order),
        rounds=len(times["gate"]),
        constraints=constraints,
        algorithm=algorithm,
        machine=machine(),
        pinned_to=tuple(sorted(os.sched_getaffinity(0))),
        steps_over_gate=steps / rows["gate"].p50,
    )


Progress = Callable[[int], None]
