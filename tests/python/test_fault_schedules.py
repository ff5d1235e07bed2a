"""One order is never accepted twice, whatever fails in between; and none is lost without a word.

Goal: the two zeros of issue 3. Method: for each venue, seeded schedules of faults; an engine signs
a few orders, the submitter sends them through a loopback venue that fails as the schedule says, and
the venue's book is compared with what the submitter said of each order. 40 schedules a venue here,
1,000 in `make check`; SENTINEL_FAULT_SCHEDULES says how many instead. A failure prints its seed:
`Desk.run(seed)` does the same again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from engines import PASSPHRASE, Made
from fault_desk import Desk, DeskClock, make_desk
from venue_fakes import VENUES

from sentinel._enums import Action
from sentinel._submit_http import NoAnswerError, NotBegunError
from sentinel._submit_report import Unclear
from sentinel.errors import NotSent
from sentinel.sign import Signer
from sentinel.submit import ExecutionReport, ExecutionStatus, Submitter
from tests.venues.faults import FAULTS

FIRST_SEED = 20_260_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_desk(tmp_path_factory.mktemp("desk") / "engine")


@pytest.fixture(scope="module")
def clock() -> DeskClock:
    return DeskClock()


@pytest.fixture(scope="module")
def signer(made: Made, clock: DeskClock) -> Iterator[Signer]:
    now_ns = clock.now_ms() * 1_000_000
    signer = Signer.open(made.directory, passphrase=PASSPHRASE, durability="none", now_ns=now_ns)
    yield signer
    signer.close(clock.now_ms() * 1_000_000)


def run(
    signer: Signer,
    clock: DeskClock,
    name: str,
    schedules: int,
    submitter: type[Submitter] = Submitter,
) -> Desk:
    """All schedules of a venue, and the line that says what they showed."""
    desk = Desk(signer, name, clock, submitter)
    try:
        for seed in range(FIRST_SEED, FIRST_SEED + schedules):
            desk.tally.problems += [f"seed {seed}: {text}" for text in desk.run(seed)]
    finally:
        desk.close()
    print(desk.tally.line(name))
    return desk


def check(desk: Desk) -> None:
    tally = desk.tally
    assert not tally.problems, "\n".join([tally.line(desk.name), *tally.problems[:10]])
    assert (tally.duplicates, tally.lost, tally.wrong) == (0, 0, 0)
    # It was a test: orders went through, and some did not.
    assert tally.accepted > tally.sent / 4
    assert tally.refused > 0


@pytest.mark.parametrize("name", VENUES)
def test_no_order_is_accepted_twice_or_lost(signer: Signer, clock: DeskClock, name: str) -> None:
    schedules = int(os.environ.get("SENTINEL_FAULT_SCHEDULES", "40"))
    desk = run(signer, clock, name, schedules)
    check(desk)
    if schedules >= 40:
        assert set(desk.tally.faults) == {fault.name.lower() for fault in FAULTS}


@pytest.mark.long
@pytest.mark.parametrize("name", VENUES)
def test_no_order_is_accepted_twice_or_lost_in_a_thousand_schedules(
    signer: Signer, clock: DeskClock, name: str
) -> None:
    check(run(signer, clock, name, int(os.environ.get("SENTINEL_FAULT_SCHEDULES", "1000"))))


# Would these tests notice? Four submitters that do what must not be done.


class SendsAgain(Submitter):
    """After an unclear outcome it sends the same bytes once more."""

    def _unclear(self, asking: Any, outcome: Unclear) -> ExecutionReport:
        request = asking.signed.request
        if asking.signed.action is Action.QUERY:
            return super()._unclear(asking, outcome)
        try:
            answer = self._wire.send(request, asking.base, 1.0)
        except (NotBegunError, NoAnswerError):
            return super()._unclear(asking, outcome)
        again = asking.adapter.read(asking.signed, answer)
        if isinstance(again, Unclear):
            return super()._unclear(asking, again)
        return self._definite(asking, again, answer)


class Despairs(Submitter):
    """It takes an unclear outcome for a failure."""

    def _unclear(self, asking: Any, outcome: Unclear) -> ExecutionReport:
        raise NotSent(outcome.why)


class Hopes(Submitter):
    """It takes an unclear outcome for an acceptance."""

    def _unclear(self, asking: Any, outcome: Unclear) -> ExecutionReport:
        return ExecutionReport(
            venue="",
            action="place",
            action_id=asking.signed.action_id,
            client_order_id=asking.signed.client_order_id,
            venue_order_id="",
            status=ExecutionStatus.ACCEPTED,
        )


class IsHasty(Submitter):
    """It takes "the venue does not have it" for "and never will"."""

    def _window(self, *args: Any) -> tuple[bool, float]:
        return True, 0.0


@pytest.mark.parametrize("name", VENUES)
@pytest.mark.parametrize("mutant", [SendsAgain, Despairs, Hopes, IsHasty])
def test_a_submitter_that_guesses_is_caught(
    signer: Signer, clock: DeskClock, name: str, mutant: type[Submitter]
) -> None:
    # Only a request that comes in late tells the hasty one.
    schedules = 30 if mutant is IsHasty else 12
    tally = run(signer, clock, name, schedules, mutant).tally
    assert tally.problems
    if mutant is SendsAgain:
        # Twice where only an open order guards its id; elsewhere the second answer, a refusal,
        # is taken for the order's fate.
        assert tally.duplicates + tally.lost > 0
        if name.startswith("binance"):
            assert tally.duplicates > 0
    elif mutant in (Despairs, IsHasty):
        assert tally.lost > 0
    else:
        assert tally.wrong > 0
