"""The soak of `soak.py`, for ten seconds; and that its judge sees what it is there to see.

Goal: nothing that a client was told is lost or twofold in the log, and the daemon's memory is flat.
Method: a run that must be well, then the same run with one thing planted at a time. `make check`
runs the soak for five minutes beside its lanes.
"""

from __future__ import annotations

import gc
import mmap
import os
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from soak import Run, run
from soak_judge import GROWTH_KILOBYTES, Sample, Told, compare, memory_of

from sentinel._record import Record, RecordType, Verdict
from sentinel.audit import read_log

Log = list[Record]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("soak"), seconds=10, rate=100, seed=random.randrange(10**6))


@pytest.mark.long
def test_a_short_run_is_well(short: Run) -> None:
    assert short.wrong == [], short.figures
    counts, decided = short.figures["counts"], short.figures["decisions"]
    assert decided["told"] >= 1000
    assert decided["lost_or_duplicated"] == 0
    for what in ("halts and resumes", "policies loaded", "renewals", "answers thrown away"):
        assert counts[what] >= 1, what
    assert min(counts["sessions shm"], counts["sessions unix"]) >= 4


def a_decision_is_not_in_the_log(log: Log, told: Told) -> None:
    number = next(seen.record for seen in told.seen if seen.allowed)
    log[:] = [record for record in log if record.number != number]


def a_decision_was_told_to_nobody(log: Log, told: Told) -> None:
    at = next(i for i, seen in enumerate(told.seen) if told.lost[seen.agent, seen.action] == 0)
    del told.seen[at]


def a_decision_was_told_twice(log: Log, told: Told) -> None:
    told.seen.append(next(seen for seen in told.seen if seen.allowed))


def a_refusal_was_told_as_a_signature(log: Log, told: Told) -> None:
    at = next(i for i, seen in enumerate(told.seen) if seen.reason == "value_cap")
    told.seen[at] = replace(told.seen[at], reason="", signature=b"s", signed=b"s")


def another_reason_was_told(log: Log, told: Told) -> None:
    at = next(i for i, seen in enumerate(told.seen) if seen.reason == "value_cap")
    told.seen[at] = replace(told.seen[at], reason="kill_switch")


def another_signature_was_told(log: Log, told: Told) -> None:
    at = next(i for i, seen in enumerate(told.seen) if seen.allowed)
    told.seen[at] = replace(told.seen[at], signature=bytes(64))


def an_action_was_allowed_twice(log: Log, told: Told) -> None:
    one = next(r for r in log if r.type is RecordType.ORDER and r.verdict is Verdict.ALLOWED)
    log.append(replace(one, number=log[-1].number + 1))


def a_command_is_not_in_the_log(log: Log, told: Told) -> None:
    told.frames.append(log[-1].number + 1)


def a_command_was_taken_twice(log: Log, told: Told) -> None:
    told.frames.append(told.frames[0])


@pytest.mark.long
@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (a_decision_is_not_in_the_log, "is no record about an order"),
        (a_decision_was_told_to_nobody, "told to nobody"),
        (a_decision_was_told_twice, "told as 2 decisions"),
        (a_refusal_was_told_as_a_signature, "says DENIED"),
        (another_reason_was_told, "says value_cap"),
        (another_signature_was_told, "is of other bytes"),
        (an_action_was_allowed_twice, "was allowed 2 times"),
        (a_command_is_not_in_the_log, "frames that were taken"),
        (a_command_was_taken_twice, "two frames have one record"),
    ],
)
def test_the_judge_sees(short: Run, plant: Callable[[Log, Told], None], said: str) -> None:
    log, told = list(read_log(short.directory)), deepcopy(short.told)
    assert compare(log, told)[1] == []
    plant(log, told)
    wrong = compare(log, told)[1]
    assert any(said in line for line in wrong), wrong


def samples(grown: float, *, own: bool = True, warm_up: int = 0) -> list[Sample]:
    """Two hundred, with so many KiB more from the first to the last, and at the beginning."""
    out = []
    for i in range(200):
        more = int(grown * i / 199) + (warm_up * min(i, 15) // 15)
        out.append(Sample(i * 1.5, 30_000 + more, 22_000 + (more if own else 0), 20))
    return out


def test_memory_is_flat_or_not() -> None:
    assert memory_of(samples(0))[1] == []
    assert memory_of(samples(GROWTH_KILOBYTES))[1] == []
    assert memory_of(samples(0, warm_up=5_000))[1] == []
    assert len(memory_of(samples(2 * GROWTH_KILOBYTES))[1]) == 2
    assert len(memory_of(samples(2 * GROWTH_KILOBYTES, own=False))[1]) == 1
    assert memory_of(samples(0)[:5])[1] == ["there are too few samples of the daemon's memory"]
    figures = memory_of(samples(1_000))[0]
    assert figures["own_kilobytes"]["an_hour"] == pytest.approx(1_000 / (298.5 / 3600), rel=0.01)


def test_a_process_is_measured(tmp_path: Path) -> None:
    gc.collect()  # files that nobody holds any more are not closed in between
    before = Sample.of(os.getpid(), 0)
    # Pages of its own: what Python allocates may be of pages that were there.
    with mmap.mmap(-1, 8 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held[:] = os.urandom(8 << 20)
        with (tmp_path / "file").open("wb"):
            after = Sample.of(os.getpid(), 1)
    assert after.own - before.own > 7_000
    assert after.fds == before.fds + 1
