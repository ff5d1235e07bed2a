"""A feeder: what venues answered becomes reports, and reports become frames without gaps.

Goal: each status is reported as the venue said it, what is not definite is not reported, and no
frame is lost, fed twice or counted when the engine refused it. Method: an engine with the engine's
own feeder key; answers made here; the book, the positions and the stops read back from the log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engines import LIMIT, MARKS, PASSPHRASE, Made

from sentinel._enums import FEED_REPORTS_MAX, Environment, OrderStatus, Venue
from sentinel._feeder_rows import Rows, down, exact
from sentinel._people import Founders
from sentinel._status import Status
from sentinel.audit import replay, restore, verify_log
from sentinel.config import create_engine
from sentinel.errors import (
    DuplicateOrder,
    KeyFileError,
    NeverArrived,
    NotSent,
    OutcomeUnknown,
    PolicyInvalid,
    RateLimited,
    SentinelError,
    UnknownOrder,
    UsageError,
    VenueRefused,
)
from sentinel.feeder import Feeder, FeederKey
from sentinel.order import Amend, Cancel, OrderType, Query, QueryWhat, TimeInForce
from sentinel.sign import Session, SignedOrder, Signer
from sentinel.submit import ExecutionReport, ExecutionStatus

S = ExecutionStatus
NOW = 2 * 10**18


def key_of(directory: Path) -> FeederKey:
    return FeederKey.open(directory / "keys" / "authority", passphrase=PASSPHRASE)


@dataclass(frozen=True, slots=True)
class Desk:
    """A signer, a session and a feeder of one engine."""

    directory: Path
    signer: Signer
    session: Session
    feeder: Feeder

    def place(self, **more: Any) -> SignedOrder:
        return self.session.sign(LIMIT | more)

    def book(self) -> dict[int, int]:
        """Status by action."""
        return {row.action_id: row.status for row in restore(self.directory).book()[0]}

    def position(self) -> Decimal:
        (row,) = restore(self.directory).book()[1] or (None,)
        return Decimal(0) if row is None else Decimal(row.mantissa).scaleb(-row.scale)


@pytest.fixture
def desk(engine: Made) -> Iterator[Desk]:
    with engine.open() as signer:
        signer.feed_marks(MARKS)
        feeder = Feeder(signer, key_of(engine.directory))
        yield Desk(engine.directory, signer, signer.session("maker"), feeder)


def answer(status: S, filled: str | None = None, price: str | None = None, **more: Any) -> Any:
    given = {"venue": "binance_spot", "action": "place", "action_id": 1, "client_order_id": "x"}
    return ExecutionReport(
        **(given | {"venue_order_id": "28"} | more),
        status=status,
        filled_quantity=filled,
        average_price=price,
    )


# ---- What an answer says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "filled", "becomes", "held"),
    [
        (S.ACCEPTED, None, OrderStatus.ACKNOWLEDGED, "0"),
        (S.ACCEPTED, "0.000", OrderStatus.ACKNOWLEDGED, "0"),
        (S.PARTIALLY_FILLED, "0.004", OrderStatus.PARTLY_FILLED, "0.004"),
        (S.FILLED, "0.0100", OrderStatus.FILLED, "0.01"),
        (S.CANCELLED, "0", OrderStatus.CANCELLED, "0"),
        (S.CANCELLED, "0.003", OrderStatus.CANCELLED, "0.003"),
        (S.EXPIRED, "0.003", OrderStatus.EXPIRED, "0.003"),
        (S.REJECTED, None, OrderStatus.REJECTED, "0"),
        (S.REJECTED, "0.003", OrderStatus.CANCELLED, "0.003"),
    ],
)
def test_each_status_is_reported_as_it_was_said(
    desk: Desk, status: S, filled: str | None, becomes: OrderStatus, held: str
) -> None:
    signed = desk.place()
    assert desk.feeder.hear(desk.session, signed, answer(status, filled, "65000.10"))
    assert desk.feeder.flush() == 1
    assert desk.book()[signed.action_id] == becomes
    assert desk.position() == Decimal(held)
    assert (desk.feeder.reports, desk.feeder.frames, desk.feeder.waiting) == (1, 1, ())


@pytest.mark.parametrize(
    ("status", "filled"),
    [
        (S.PARTIALLY_FILLED, None),
        (S.PARTIALLY_FILLED, "0"),
        (S.FILLED, None),
        (S.FILLED, "0"),
        (S.FILLED, "-1"),
        (S.FILLED, "0.0033333333333333333333"),  # more digits than there are
        (S.CANCELLED, None),
        (S.EXPIRED, None),
        (S.UNKNOWN, "0.01"),
    ],
)
def test_what_is_not_said_is_not_reported(desk: Desk, status: S, filled: str | None) -> None:
    signed = desk.place()
    assert not desk.feeder.hear(desk.session, signed, answer(status, filled))
    assert desk.feeder.flush() == 0
    assert desk.book()[signed.action_id] == OrderStatus.SIGNED


def test_refusals_end_a_place_and_unknown_outcomes_say_nothing(desk: Desk) -> None:
    silent: list[SentinelError] = [
        NotSent("no connection"),
        RateLimited("wait", retry_after_s=1.0, sent=False),
        DuplicateOrder("there is one"),
        OutcomeUnknown(
            "who knows", venue="", client_order_id="", action_id=1, record=1, usable_until_ms=None
        ),
    ]
    signed = desk.place()
    for error in silent:
        assert not desk.feeder.hear(desk.session, signed, error)
    assert desk.feeder.hear(desk.session, signed, VenueRefused("no"))
    other, heard = desk.place(), desk.place()
    assert desk.feeder.hear(desk.session, other, NeverArrived("gone"))
    assert desk.feeder.hear(desk.session, heard, answer(S.ACCEPTED))
    assert not desk.feeder.hear(desk.session, heard, NeverArrived("gone"))  # it did arrive
    desk.feeder.flush()
    book = desk.book()
    assert book[signed.action_id] == OrderStatus.REJECTED
    assert book[other.action_id] == OrderStatus.EXPIRED
    assert book[heard.action_id] == OrderStatus.ACKNOWLEDGED


def test_a_cancel_reports_the_order_that_it_means(desk: Desk) -> None:
    placed = desk.place()
    desk.feeder.hear(desk.session, placed, answer(S.PARTIALLY_FILLED, "0.002"))
    cancel = desk.session.sign(Cancel(target_action=placed.action_id))
    acknowledged = answer(S.CANCELLED, None, action="cancel")
    assert not desk.feeder.hear(desk.session, cancel, acknowledged)  # filled is not known
    assert not desk.feeder.hear(desk.session, cancel, UnknownOrder("too late"))
    query = desk.session.sign(Query(what=QueryWhat.ORDER, target_action=placed.action_id))
    assert desk.feeder.hear(desk.session, query, answer(S.PARTIALLY_FILLED, "0.003"))
    assert desk.feeder.hear(desk.session, cancel, answer(S.CANCELLED, "0.004"))
    assert desk.feeder.flush() == 3  # of one order, in one frame
    assert desk.book()[placed.action_id] == OrderStatus.CANCELLED
    assert desk.position() == Decimal("0.004")


def test_an_amended_order_of_hyperliquid_is_two(desk: Desk) -> None:
    """There an amend ends the order and begins another of the same name."""
    rows, agent = Rows(), desk.session.agent
    placed = replace(desk.place(), venue=Venue.HYPERLIQUID)
    order = Amend(type=OrderType.LIMIT, quantity="0.01", target_action=placed.action_id)
    amend = replace(placed, order=order, action_id=placed.action_id + 1)
    cancel = replace(placed, order=Cancel(target_action=placed.action_id), action_id=99)

    def said(signed: SignedOrder, what: Any) -> tuple[int, OrderStatus] | None:
        row = rows.of(agent, signed, what, NOW)
        return None if row is None else (row.action_id, row.status)

    old, new = {"venue_order_id": "7"}, {"venue_order_id": "8"}
    first, second = placed.action_id, amend.action_id
    assert said(placed, answer(S.ACCEPTED, **old)) == (first, OrderStatus.ACKNOWLEDGED)
    assert said(amend, VenueRefused("no")) == (second, OrderStatus.REJECTED)
    assert said(amend, answer(S.ACCEPTED, **new)) == (second, OrderStatus.ACKNOWLEDGED)
    # By the old number the old order, by the name the new one.
    assert said(placed, answer(S.CANCELLED, "0", **old)) == (first, OrderStatus.CANCELLED)
    assert said(placed, answer(S.CANCELLED, "0.002", **new)) == (second, OrderStatus.CANCELLED)
    assert said(cancel, answer(S.CANCELLED, "0.002", **new)) == (second, OrderStatus.CANCELLED)
    stranger = {"venue_order_id": "9"}
    assert said(cancel, answer(S.CANCELLED, "0.002", **stranger)) is None
    assert said(placed, answer(S.CANCELLED, "0.002", **stranger)) is None


def test_an_immediate_order_of_hyperliquid_has_no_rest(desk: Desk) -> None:
    rows, agent = Rows(), desk.session.agent
    placed = desk.place()
    at_once = replace(
        placed,
        venue=Venue.HYPERLIQUID,
        order=replace(placed.order, time_in_force=TimeInForce.IOC),  # type: ignore[call-arg]
    )
    for said in (
        answer(S.PARTIALLY_FILLED, "0.004", remaining_quantity="0.006"),
        answer(S.FILLED, "0.004", remaining_quantity="0.006"),
    ):
        row = rows.of(agent, at_once, said, NOW)
        assert row is not None
        assert row.status == OrderStatus.CANCELLED
    row = rows.of(agent, at_once, answer(S.FILLED, "0.01", remaining_quantity="0"), NOW)
    assert row is not None
    assert row.status == OrderStatus.FILLED


def test_an_average_that_a_venue_rounded_up_is_no_contradiction(desk: Desk) -> None:
    spend = {"type": "market", "quote_quantity": "100", "quantity": None, "price": None}
    order = {k: v for k, v in (LIMIT | spend).items() if v is not None and k != "time_in_force"}
    signed = desk.session.sign(order)
    assert not desk.feeder.hear(desk.session, signed, answer(S.FILLED, "0.00153"))  # no price
    # 100 / 0.00153 is 65359.477124183…: its last digit is rounded up here.
    desk.feeder.hear(desk.session, signed, answer(S.FILLED, "0.00153", "65359.47712419"))
    assert desk.feeder.flush() == 1
    assert desk.book()[signed.action_id] == OrderStatus.FILLED
    other = desk.session.sign(order)
    # More than rounding is not made to fit: the engine has to see it.
    desk.feeder.hear(desk.session, other, answer(S.FILLED, "0.00153", "65360.48"))
    with pytest.raises(PolicyInvalid) as refused:
        desk.feeder.flush()
    assert refused.value.status == Status.POLICY_REPORT


def test_decimals_are_exact_or_cut_off() -> None:
    assert exact(Decimal("0.0100")) == (1, 2)
    assert exact(Decimal("9223372036854775807")) == (2**63 - 1, 0)
    assert exact(Decimal("9223372036854775808")) is None
    assert exact(Decimal("0.0000000000000000001")) is None
    assert down(Decimal("65359.4771241830065359477")) == (6535947712418300653, 14)
    assert down(Decimal(10) ** 19) is None


def test_times_are_the_venues_and_not_after_ours(desk: Desk) -> None:
    rows, signed = Rows(), desk.place()
    for said_ms, expected in ((1_000, 10**9), (None, NOW), (NOW // 10**6 + 1, NOW)):
        row = rows.of(1, signed, answer(S.FILLED, "1", time_ms=said_ms), NOW)
        assert row is not None
        assert row.time_ns == expected


# ---- Frames --------------------------------------------------------------------------------------


def test_up_to_32_reports_are_one_frame(desk: Desk) -> None:
    signed = desk.place()
    for count in range(FEED_REPORTS_MAX - 1):
        desk.feeder.hear(desk.session, signed, answer(S.ACCEPTED))
        assert len(desk.feeder.waiting) == count + 1
    assert desk.feeder.frames == 0
    desk.feeder.hear(desk.session, signed, answer(S.ACCEPTED))  # the 32nd
    assert (desk.feeder.frames, desk.feeder.reports, desk.feeder.waiting) == (1, 32, ())
    desk.feeder.tell("maker", signed.action_id, OrderStatus.FILLED, "0.01", price="65000")
    desk.feeder.close()
    assert desk.feeder.frames == 2
    assert desk.signer.feeders() == {4: 2}


def test_a_restart_goes_on_with_the_next_sequence(engine: Made) -> None:
    actions = []
    for sequence in (1, 2, 3):
        with engine.open() as signer, Feeder(signer, key_of(engine.directory)) as feeder:
            signer.feed_marks(MARKS)
            session = signer.session("maker")
            signed = session.sign(LIMIT)
            feeder.hear(session, signed, answer(S.FILLED, "0.01", "65000.10"))
            actions.append(signed.action_id)
        assert restore(engine.directory).feeders() == {4: sequence}
    assert verify_log(engine.directory).ok
    assert list(replay(engine.directory).differences) == []


def test_a_gap_halts_the_firm_and_a_new_feeder_goes_on(desk: Desk) -> None:
    signed = desk.place()
    desk.feeder.tell("maker", signed.action_id, OrderStatus.ACKNOWLEDGED)
    desk.feeder.flush()
    desk.feeder._sequences[4] += 1  # the frame between is lost
    desk.feeder.tell("maker", signed.action_id, OrderStatus.FILLED, "0.01")
    with pytest.raises(PolicyInvalid) as refused:
        desk.feeder.flush()
    assert refused.value.status == Status.POLICY_REPORT
    (stop,) = desk.signer.status().stops
    assert stop.path == "firm"
    assert len(desk.feeder.waiting) == 1
    desk.signer.resume("found it")
    again = Feeder(desk.signer, key_of(desk.directory))
    again.tell("maker", signed.action_id, OrderStatus.FILLED, "0.01")
    assert again.flush() == 1
    assert desk.signer.feeders() == {4: 2}


def test_a_replayed_frame_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    frames: list[bytes] = []
    take = desk.signer.take

    def kept(frame: bytes, **more: Any) -> int:
        frames.append(frame)
        return take(frame, **more)

    monkeypatch.setattr(desk.signer, "take", kept)
    signed = desk.place()
    for filled in ("0.002", "0.004"):
        desk.feeder.tell("maker", signed.action_id, OrderStatus.PARTLY_FILLED, filled)
        desk.feeder.flush()
    with pytest.raises(PolicyInvalid) as same:
        take(frames[1])
    assert same.value.status == Status.POLICY_SEQUENCE  # asked again by who heard no answer
    assert not desk.signer.status().stops
    with pytest.raises(PolicyInvalid) as old:
        take(frames[0])
    assert old.value.status == Status.POLICY_REPORT
    assert [stop.path for stop in desk.signer.status().stops] == ["firm"]
    assert desk.signer.feeders() == {4: 2}
    assert desk.position() == Decimal("0.004")


def test_a_refused_frame_changes_nothing_and_its_sequence_is_used_again(desk: Desk) -> None:
    good, bad = desk.place(), desk.place()
    desk.feeder.hear(desk.session, good, answer(S.FILLED, "0.01"))
    desk.feeder.hear(desk.session, bad, answer(S.FILLED, "0.02"))  # above its order
    with pytest.raises(PolicyInvalid) as refused:
        desk.feeder.flush()
    assert refused.value.status == Status.POLICY_REPORT
    assert [stop.path for stop in desk.signer.status().stops] == ["firm/desk/maker"]
    assert desk.book() == {good.action_id: 0, bad.action_id: 0}
    assert (desk.position(), desk.signer.feeders()) == (0, {})
    assert [row.action_id for row in desk.feeder.waiting] == [good.action_id, bad.action_id]
    desk.signer.resume("looked at the venue")
    assert desk.feeder.leave_out("maker", bad.action_id) == 1
    assert desk.feeder.flush() == 1
    assert desk.signer.feeders() == {4: 1}
    assert desk.position() == Decimal("0.01")


def test_what_waited_behind_a_refusal_is_fed_in_several_frames(desk: Desk) -> None:
    good, bad = desk.place(), desk.place()
    desk.feeder.tell("maker", bad.action_id, OrderStatus.FILLED, "0.02")
    for _ in range(FEED_REPORTS_MAX - 2):
        desk.feeder.tell("maker", good.action_id, OrderStatus.ACKNOWLEDGED)
    for _ in range(8):
        with pytest.raises(PolicyInvalid):
            desk.feeder.tell("maker", good.action_id, OrderStatus.ACKNOWLEDGED)
    desk.signer.resume("looked at the venue")
    assert desk.feeder.leave_out(desk.session, bad.action_id) == 1
    assert desk.feeder.flush() == FEED_REPORTS_MAX + 6
    assert (desk.feeder.frames, desk.feeder.waiting) == (2, ())
    assert desk.signer.feeders() == {4: 2}


def test_what_has_no_form_is_refused_before_it_waits(desk: Desk) -> None:
    for wrong in ({"action_id": 0}, {"status": OrderStatus.SIGNED}, {"agent": "nobody"}):
        given = {"agent": "maker", "action_id": 1, "status": OrderStatus.FILLED, "filled": "1"}
        with pytest.raises(UsageError):
            desk.feeder.tell(**(given | wrong))  # type: ignore[arg-type]
    assert desk.feeder.waiting == ()


def test_a_key_that_may_not_feed_is_told_so(tmp_path: Path) -> None:
    place = tmp_path / "engine"
    create_engine(
        *(place, PASSPHRASE),
        now_ns=time.time_ns(),
        environment=Environment.TEST,
        authority=Founders.of(operators=(2, 2)),
    )
    operator = FeederKey.open(place / "keys/people/operator-1.key", passphrase=PASSPHRASE)
    with pytest.raises(KeyFileError, match="takes no reports from this key file"):
        Feeder(place, operator)
    Feeder(place, key_of(place)).close()


# ---- Beside the writer ---------------------------------------------------------------------------


def test_through_the_spool_each_answer_is_waited_for(engine: Made) -> None:
    with engine.open() as signer:
        signer.feed_marks(MARKS)
        session = signer.session("maker")
        signed = session.sign(LIMIT)
        ended = threading.Event()

        def write() -> None:
            while not ended.wait(0.005):
                signer.poll()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            with Feeder(engine.directory, key_of(engine.directory), wait_s=30) as feeder:
                feeder.tell("maker", signed.action_id, OrderStatus.PARTLY_FILLED, "0.004")
                assert feeder.flush() == 1
                feeder.tell("maker", signed.action_id, OrderStatus.FILLED, "0.02")
                with pytest.raises(PolicyInvalid) as refused:
                    feeder.flush()
                assert refused.value.status == Status.POLICY_REPORT
                assert len(feeder.waiting) == 1
                feeder.leave_out("maker", signed.action_id)
                signer.resume("looked")
                feeder.tell("maker", signed.action_id, OrderStatus.FILLED, "0.01")
            assert feeder.reports == 2
        finally:
            ended.set()
            writer.join()
        assert signer.feeders() == {4: 2}


def test_a_frame_that_waits_in_the_spool_is_not_fed_over(engine: Made) -> None:
    with engine.open() as signer:
        signer.feed_marks(MARKS)
        signed = signer.session("maker").sign(LIMIT)
    first = Feeder(engine.directory, key_of(engine.directory))
    first.tell("maker", signed.action_id, OrderStatus.PARTLY_FILLED, "0.004")
    assert first.flush() == 0  # nobody writes: it waits
    assert first.leave_out("maker", signed.action_id) == 0  # it is on its way
    second = Feeder(engine.directory, key_of(engine.directory))  # a process after a crash
    second.tell("maker", signed.action_id, OrderStatus.FILLED, "0.01")
    assert second.flush() == 0
    with engine.open() as signer:
        signer.poll()
        assert signer.feeders() == {4: 1}
        assert second.flush() == 0  # its frame is in the spool now
        signer.poll()
        assert second.flush() == 1
        assert signer.feeders() == {4: 2}
        assert not signer.status().stops
