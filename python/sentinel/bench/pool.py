"""Nonces made ahead: a rate that lasts, a pool that runs dry, and what all of it costs.

One processor signs without a pause while another fills the pool; then nobody fills it. The
processor time of one signature, filling included, is not less than without a pool.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Final

from .. import _bench, _core
from .._enums import Algorithm, Purpose
from .filling import filled, other_processor
from .machine import pinned
from .result import Curve, Result, Row, summarise
from .suite import Settings
from .world import World, make_world

__all__ = ["run"]

DESKS: Final = {
    "ed25519": ("binance_spot.ed25519", "Ed25519"),
    "ecdsa": ("hyperliquid.ecdsa_secp256k1", "ECDSA"),
}
ALGORITHMS: Final = {"ed25519": Algorithm.ED25519, "ecdsa": Algorithm.ECDSA_SECP256K1}
CAPACITY: Final = 4096
CAPACITY_FULL: Final = 65_536
WINDOW: Final = 64
"""Calls in each point of the curve: their median."""


@dataclass(frozen=True, slots=True)
class Sustained:
    """A run without a pause."""

    row: Row
    per_second: float
    cpu_ns: float
    """Processor time for one signature, all threads."""
    missed: float
    """Share of the signatures that found the pool empty."""


def sustain(
    world: World, algorithm: str, count: int, capacity: int, settings: Settings
) -> Sustained:
    """Signs `count` times without a pause, beside a thread that fills and keeps the log ahead."""
    desk, label = DESKS[algorithm]
    name = f"{algorithm}.{'pool' if capacity else 'spot'}"
    options = {"nonces": capacity, "is_filled": False}
    with closing(world.open(f"sustained-{name}", log="mapped", **options)) as engine:
        gate = world.gate(engine, desk, name)
        before = engine.nonces
        with filled(engine, settings.allowed):
            cpu, begin = _bench.process_cpu_ns(), time.perf_counter_ns()
            times = _bench.measure([gate], count)[name]
            took, cpu = time.perf_counter_ns() - begin, _bench.process_cpu_ns() - cpu
        missed = (engine.nonces.missed - before.missed) / count
    words = "pool refilled meanwhile" if capacity else "nonces on the spot"
    row = summarise(name, f"{label}, {words}", times, group="ours")
    return Sustained(row, count / (took / 1e9), cpu / count, missed)


def run_dry(world: World, algorithm: str, capacity: int) -> Curve:
    """Twice as many signatures as the pool holds; nobody fills it."""
    desk, label = DESKS[algorithm]
    with closing(world.open(f"dry-{algorithm}", nonces=capacity, is_filled=False)) as engine:
        times = _bench.measure([world.gate(engine, desk, algorithm)], 2 * capacity)[algorithm]
    points = [
        (float(i + WINDOW // 2), float(median(times[i : i + WINDOW])))
        for i in range(0, len(times), WINDOW)
    ]
    return Curve(
        name=f"dry.{algorithm}",
        label=f"{label}: a pool of {capacity:,} nonces that nobody fills",
        x="signature",
        y="ns",
        points=points,
        is_log=False,
    )


def refill(algorithm: Algorithm, capacity: int) -> float:
    """Nonces a second that one processor makes."""
    ring = _core.Keyring()
    ring.generate(1, Purpose.MESSAGE, algorithm)
    ring.nonces_start(1, capacity)
    begin = _bench.thread_cpu_ns()
    while ring.nonces_fill(1):
        pass
    return ring.nonces(1).made / ((_bench.thread_cpu_ns() - begin) / 1e9)


def run(settings: Settings) -> Result:
    """Raises what making an engine raises."""
    capacity = CAPACITY_FULL if settings.is_full else CAPACITY
    count = max(settings.rounds, 2 * WINDOW)
    result = Result(
        suite="pool",
        title="sustained rate, and a pool of nonces that runs dry",
        rounds=count,
        pinned_to=pinned(),
    )
    result.facts["capacity"] = capacity
    other = other_processor(settings.allowed)
    result.facts["filled_from_processor"] = "the same" if other is None else str(other)
    with make_world([desk for desk, _ in DESKS.values()]) as world:
        for name, made_for in ALGORITHMS.items():
            made = round(refill(made_for, capacity))
            result.facts[f"{name}.refill_per_second_and_processor"] = made
        for at, algorithm in enumerate(DESKS):
            for kind, size in (("pool", capacity), ("spot", 0)):
                found = sustain(world, algorithm, count, size, settings)
                result.rows.append(found.row)
                result.facts |= {
                    f"{algorithm}.{kind}.per_second": round(found.per_second),
                    f"{algorithm}.{kind}.cpu_ns_per_signature": round(found.cpu_ns),
                }
                if size:
                    result.facts[f"{algorithm}.{kind}.found_the_pool_empty"] = round(
                        found.missed, 4
                    )
            settings.progress((2 * at + 1) / (2 * len(DESKS)))
            result.curves.append(run_dry(world, algorithm, capacity))
        settings.progress(1)
    return result
