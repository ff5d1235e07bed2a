"""What a soak was told, against what the log says; and what the daemon's process held meanwhile."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from sentinel._record import Record, RecordType, Verdict
from sentinel._status import REASON_CODE
from sentinel.audit import read_log

GROWTH_KILOBYTES: Final = 512
"""What the median of the last fifth may be above that of the fifth behind the warm-up."""
WARM_UP: Final = 0.1
DUPLICATE: Final = "duplicate"
SHOWN: Final = 5


@dataclass(frozen=True)
class Seen:
    """A decision as its agent was told it. `reason` is empty where it was allowed."""

    agent: int
    action: int
    record: int
    signed: bytes = b""
    signature: bytes = b""
    reason: str = ""

    @property
    def allowed(self) -> bool:
        return not self.reason

    @property
    def is_duplicate(self) -> bool:
        return self.reason == DUPLICATE


@dataclass
class Told:
    """All that clients know. `lost`: of which actions how many answers did not arrive."""

    seen: list[Seen] = field(default_factory=list)
    lost: Counter[tuple[int, int]] = field(default_factory=Counter)
    frames: list[int] = field(default_factory=list)
    """Records of the commands, bundles and heartbeats that were taken."""

    def add(self, other: Told) -> None:
        self.seen += other.seen
        self.lost += other.lost
        self.frames += other.frames


@dataclass(frozen=True)
class Sample:
    """Of a process, at a time."""

    seconds: float
    resident: int
    own: int  # resident and anonymous: no file's pages, which the kernel may drop
    fds: int

    @classmethod
    def of(cls, pid: int, seconds: float) -> Self:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        kilobytes = [int(facts[name].split()[0]) for name in ("VmRSS", "RssAnon")]
        return cls(seconds, *kilobytes, len(os.listdir(f"/proc/{pid}/fd")))


def verdict(
    directory: Path, told: Told, samples: Sequence[Sample]
) -> tuple[dict[str, Any], list[str]]:
    """Figures, and what is wrong."""
    command = [sys.executable, "-m", "sentinel", "audit", "verify", "--dir", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wrong = [] if done.returncode == 0 else [f"the auditor says: {done.stdout}{done.stderr}"]
    decided, found = compare(read_log(directory), told)
    memory, grown = memory_of(samples)
    return {"decisions": decided, "memory": memory}, wrong + found + grown


# ---- Decisions ----------------------------------------------------------------------------------


def action_of(record: Record) -> int:
    """The action id of an order's struct."""
    return int.from_bytes(record.subject[16:24], "little")


def key_of(record: Record) -> tuple[int, int]:
    """Which action it is about."""
    return record.agent, action_of(record)


def differs(seen: Seen, record: Record | None) -> str:
    """In what a record is not what its agent was told. A duplicate was told the record of what has
    its action id, which has to be allowed.
    """
    if record is None:
        return "is no record about an order"
    if (record.agent, action_of(record)) != (seen.agent, seen.action):
        return "is another order's"
    if (record.verdict is Verdict.ALLOWED) != (seen.allowed or seen.is_duplicate):
        return f"says {record.verdict.name}"
    if not seen.allowed:
        said = REASON_CODE[record.reason]
        return "" if said == seen.reason or seen.is_duplicate else f"says {said}"
    same = (record.payload_digest, record.signature_digest) == (
        seen.signed,
        sha256(seen.signature).digest(),
    )
    return "" if same else "is of other bytes"


def compare(log: Iterable[Record], told: Told) -> tuple[dict[str, int], list[str]]:
    """Every decision that was told is in the log once, and the log has no others, but those whose
    answer was lost: of each action no more than there were lost answers.
    """
    orders: dict[int, Record] = {}
    others: set[int] = set()
    for record in log:
        if record.type is RecordType.ORDER:
            orders[record.number] = record
        else:
            others.add(record.number)
    wrong = [
        f"lost: record {seen.record}, told for action {seen.action}: {says}"
        for seen in told.seen
        if (says := differs(seen, orders.get(seen.record)))
    ]
    numbers = Counter(seen.record for seen in told.seen if not seen.is_duplicate)
    wrong += [
        f"record {n} was told as {count} decisions" for n, count in numbers.items() if count > 1
    ]
    allowed = Counter(key_of(r) for r in orders.values() if r.verdict is Verdict.ALLOWED)
    wrong += [f"action {key} was allowed {n} times" for key, n in allowed.items() if n > 1]
    # Of a duplicate its agent knows no number: its records are counted.
    duplicates = Counter((seen.agent, seen.action) for seen in told.seen if seen.is_duplicate)
    heard_by_nobody: Counter[tuple[int, int]] = Counter()
    for number, record in orders.items():
        if REASON_CODE.get(record.reason) == DUPLICATE and duplicates[key_of(record)]:
            duplicates[key_of(record)] -= 1
        elif number not in numbers:
            heard_by_nobody[key_of(record)] += 1
    wrong += [f"lost: the refusal of a duplicate of {key}" for key, n in duplicates.items() if n]
    for key, count in heard_by_nobody.items():
        if count > told.lost[key]:
            wrong.append(f"{count} decisions of action {key} were told to nobody")
    if missing := set(told.frames) - others:
        wrong.append(f"lost: frames that were taken as records {sorted(missing)[:SHOWN]}")
    if len(told.frames) != len(set(told.frames)):
        wrong.append("two frames have one record")
    figures = {
        "told": len(told.seen),
        "allowed": sum(seen.allowed for seen in told.seen),
        "orders_in_log": len(orders),
        "heard_by_nobody_and_decided_again": sum(heard_by_nobody.values()),
        "frames": len(told.frames),
        "records": len(orders) + len(others),
        "lost_or_duplicated": len(wrong),
    }
    more = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
    return figures, wrong[:SHOWN] + more


# ---- Memory -------------------------------------------------------------------------------------


def memory_of(samples: Sequence[Sample]) -> tuple[dict[str, Any], list[str]]:
    """Flat, behind the warm-up; the slope is of a straight line through all that is behind it."""
    warm = samples[int(len(samples) * WARM_UP) :]
    if len(warm) < 10:
        return {}, ["there are too few samples of the daemon's memory"]
    fifth = len(warm) // 5
    at = [sample.seconds / 3600 for sample in warm]
    figures: dict[str, Any] = {"samples": len(samples), "bound_kilobytes": GROWTH_KILOBYTES}
    wrong = []
    for name in ("resident", "own"):
        values = [getattr(sample, name) for sample in warm]
        begins, ends = statistics.median(values[:fifth]), statistics.median(values[-fifth:])
        slope = statistics.linear_regression(at, values).slope
        figures[f"{name}_kilobytes"] = {
            "begins": begins,
            "ends": ends,
            "most": max(values),
            "an_hour": round(slope, 1),
        }
        if ends - begins > GROWTH_KILOBYTES:
            wrong.append(f"the daemon's memory ({name}) grew from {begins} to {ends} KiB")
    figures["descriptors"] = {"least": min(s.fds for s in warm), "most": max(s.fds for s in warm)}
    return figures, wrong
