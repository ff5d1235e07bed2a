"""Checking a log and deciding it again, by its length.

One log grows from size to size. At each, the engine is closed and the log is hashed as it lies
(SHA-256 of OpenSSL), verified and replayed, one behind the other, from the page cache; short logs
several times, of which the median counts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

from .. import _bench
from ..audit import last_record, replay, verify_log
from ..errors import AuditError
from .machine import pinned
from .result import Curve, Result, Show
from .suite import Settings
from .world import World, make_world

__all__ = ["RECORD_BYTES", "run", "sizes_of"]

DESK: Final = "binance_spot.hmac_sha256"
SIZES: Final = (10_000, 100_000)
SIZES_FULL: Final = (10_000, 100_000, 1_000_000)
RECORD_BYTES: Final = 1_024
"""About, with twelve constraints: for what a size is said to take."""
ONCE_FROM: Final = 200_000
"""Records from which each is timed once."""
READ_BYTES: Final = 1 << 20
CHUNK: Final = 4_096


def sizes_of(settings: Settings) -> tuple[int, ...]:
    """Ascending; `settings.records` is one more."""
    sizes = SIZES_FULL if settings.is_full else SIZES
    more = {settings.records} if settings.records else set()
    return tuple(sorted({*sizes, *more}))


def segments(directory: Path) -> list[tuple[Path, int]]:
    """The log's files, and how many bytes of each are used: zeros follow."""
    found = []
    for path in sorted((directory / "log").iterdir()):
        if path.name == "head":
            continue
        size = path.stat().st_size
        with path.open("rb") as file:
            while size > 0:  # from the end, for only the last file has such zeros
                begin = max(size - READ_BYTES, 0)
                file.seek(begin)
                if used := len(file.read(size - begin).rstrip(b"\0")):
                    size = begin + used
                    break
                size = begin
        found.append((path, size))
    return found


def hash_bare(files: list[tuple[Path, int]]) -> None:
    """SHA-256 of every used byte."""
    digest = hashlib.sha256()
    for path, size in files:
        with path.open("rb") as file:
            left = size
            while left > 0:
                part = file.read(min(left, READ_BYTES))
                digest.update(part)
                left -= len(part)
    digest.digest()


def verify(directory: Path) -> None:
    """As `zcp audit verify`. Raises AuditError for any finding."""
    report = verify_log(directory)
    if not report.ok:
        raise AuditError(f"the benchmark's own log is not intact: {report.findings[0]}")


def replay_all(directory: Path) -> None:
    """As `zcp audit replay`, without keys, so nothing is rendered. Raises AuditError."""
    for difference in replay(directory).differences:
        raise AuditError(f"the benchmark's own log differs: {difference}")


def seconds(call: Callable[[], None], times: int) -> float:
    """The median of some runs."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        took.append(time.perf_counter() - begin)
    return median(took)


def grow(world: World, count: int, begun: tuple[int, int]) -> tuple[int, int]:
    """Signs until the log has `count` records. `begun`: next action id and time; the new ones."""
    action_id, now_ns = begun
    left = count - last_record(world.directory).number - 3  # START, SNAPSHOT, and one for one
    engine = world.open(now_ns=now_ns, first_action_id=action_id)
    with closing(engine):
        _bench.measure([world.gate(engine, DESK, "gate")], 0, max(left, 0), block=CHUNK)
    return action_id + max(left, 0), engine.now_ns


def gate_without_signing(world: World, rounds: int) -> float:
    """Nanoseconds of a gate that records but does not sign: all steps but that one."""
    with closing(world.open("steps")) as engine:
        gate = world.gate(engine, DESK, "gate", is_traced=True)
        times = _bench.measure([gate, _bench.Timer()], rounds, rounds // 10, block=32)
    timer = median(times["timer"])
    steps = [step for step in _bench.STEPS if step != "sign"]
    return sum(median(times[f"gate.{step}"]) - timer for step in steps)


def run(settings: Settings) -> Result:
    """Raises what making an engine raises; AuditError when its log were wrong."""
    sizes = sizes_of(settings)
    result = Result(
        suite="audit", title="verify and replay, by size of the log", pinned_to=pinned()
    )
    points: dict[str, list[tuple[float, float]]] = {"verify": [], "replay": [], "sha256": []}
    ratio = decided = 0.0
    with make_world([DESK]) as world:
        gate_ns = gate_without_signing(world, min(settings.rounds, 10_000))
        begun = (1, 0)
        for at, size in enumerate(sizes):

            def progress(share: float, at: int = at) -> None:
                settings.progress((at + share) / len(sizes))

            begun = grow(world, size, begun)
            progress(0.25)
            files = segments(world.directory)
            used = sum(bytes_ for _, bytes_ in files)
            times = 1 if size >= ONCE_FROM else 3
            hash_bare(files)  # reads it into the page cache
            bare = seconds(lambda files=files: hash_bare(files), times)  # type: ignore[misc]
            verified = seconds(lambda: verify(world.directory), times)
            progress(0.7)
            replayed = seconds(lambda: replay_all(world.directory), times)
            records = last_record(world.directory).number + 1
            points["sha256"].append((float(records), used / bare / 1e6))
            points["verify"].append((float(records), used / verified / 1e6))
            points["replay"].append((float(records), records / replayed))
            ratio, decided = bare / verified, records / replayed
            result.facts["log_bytes"] = used
            progress(1)
    labels = {
        "verify": ("verify", "MB a second"),
        "sha256": ("bare SHA-256 of the same bytes", "MB a second"),
        "replay": ("replay, without rendering", "records a second"),
    }
    for name, (label, y) in labels.items():
        result.curves.append(Curve(name=name, label=label, x="records", y=y, points=points[name]))
    result.facts["gate_without_signing_ns"] = round(gate_ns)
    result.shows += [
        Show(
            name="7",
            what=f"verify over bare SHA-256, {sizes[-1]:,} records",
            value=ratio,
            bound=0.8,
            at_least=True,
        ),
        Show(
            name="7",
            what="replay over the gate's rate without signing",
            value=decided / (1e9 / gate_ns),
            bound=0.7,
            at_least=True,
        ),
    ]
    return result
