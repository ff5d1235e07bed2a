"""A host that does what it likes gets no signature beyond the grant, and no byte of a key.

Goal: issue 6, Part 6. Method: seeded schedules (hostile_host.py) against the daemon's own code;
everything that came of one is judged (hostile_judge.py): each signature that any client got is of
a record, under a grant of the witness, before the end of a lease, behind no halt; what no auditor
could find is charged; what people did not sign is in no log; no secret is in anything that left; no
boot died. A few schedules here; SENTINEL_HOST_SCHEDULES says how many instead, and
`hostile_run.py` runs ten thousand. A failure prints its seed, and the seed makes it again.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hostile_judge import judge
from hostile_run import FIRST_SEED, Desk, Shown, run
from leaks import leaks

ASKED = os.environ.get("SENTINEL_HOST_SCHEDULES")
SCHEDULES = int(ASKED or "100")
SECONDS = 1e9 if ASKED else 30.0
"""As many of them as there is time for, unless somebody says how many."""


def check(shown: Shown) -> None:
    tally = shown.tally
    print(f"{shown.schedules} schedules in {shown.seconds:.1f} s, {tally['boots']} boots")
    assert not shown.problems, "\n".join(shown.problems[:10])
    # It was a test: engines ran, starts were refused, and clients got signatures.
    assert shown.schedules >= min(SCHEDULES, 10)
    assert tally["starts"] >= shown.schedules
    assert tally["signatures"] >= shown.schedules / 2
    assert tally["starts that were refused"] > 0
    assert tally["records audited"] > tally["starts"]
    assert tally["bytes searched for secrets"] > 10_000 * shown.schedules


def test_schedules_of_a_hostile_host() -> None:
    check(run(FIRST_SEED, SCHEDULES, within=SECONDS))


@pytest.mark.long
def test_under_sanitizers_it_neither_crashes_nor_hangs() -> None:
    check(run(FIRST_SEED + 1_000_000, SCHEDULES, sanitize=True, within=2 * SECONDS))


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def test_a_seed_makes_the_same_again(desk: Desk) -> None:
    first, second = Shown(), Shown()
    one = desk.run(77, first)
    other = desk.run(77, second)
    assert first.tally == second.tally
    assert one.told == other.told
    assert [s.record_hash for s in one.signed] == [s.record_hash for s in other.signed]
    assert [s.signature for s in one.signed] == [s.signature for s in other.signed]


@pytest.mark.parametrize(
    "written",
    [
        lambda secret: secret[8:16],
        lambda secret: secret[::-1],
        lambda secret: secret.hex().encode()[10:26],
        lambda secret: secret.hex().upper().encode(),
        lambda secret: base64.b64encode(b"xy" + secret),
        lambda secret: base64.urlsafe_b64encode(secret)[4:20],
    ],
)
def test_eight_bytes_of_a_secret_are_found_however_they_are_written(written: object) -> None:
    secret, other = os.urandom(32), os.urandom(32)
    assert callable(written)
    noise = os.urandom(5000)
    assert not list(leaks([secret, other], noise))
    found = list(leaks([secret, other], noise + written(secret) + noise))
    assert found
    assert {one for _, one in found} == {secret}


def test_a_judge_that_is_shown_a_signature_too_many_says_so(desk: Desk) -> None:
    """Would it notice? One number is changed in what a witness granted."""
    for seed in range(300, 320):
        shown = Shown()
        schedule = desk.run(seed, shown, keep=True)
        if not schedule.signed:
            continue
        assert not shown.problems
        witness = schedule.hosted.witness
        assert witness is not None
        least = min(one.number for one in schedule.signed)
        witness.given = [replace(one, record_end=least) for one in witness.given]
        assert any("beyond every grant" in text for text in judge(schedule))
        schedule.hosted.people.lease_end_ns = 0
        schedule.hosted.people.made.clear()
        schedule.copies.clear()
        said = "\n".join(judge(schedule))
        assert "behind the end of every lease" in said
        assert "a frame that nobody signed" in said
        return
    raise AssertionError("no schedule signed anything")
