"""Submitting when the answer is lost or unclear: it asks, and never sends again.

Goal and method as in test_submit.py: each fault in turn, and how often the order arrived.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from scripted import (
    CLIENT_ID,
    Asker,
    FastClock,
    LateClock,
    Received,
    Reply,
    Scripted,
    endpoints,
    now_ms,
    signed_order,
)
from scripted_bybit import ACK, BYBIT, nothing, orders, refused, state, submitter

from sentinel._enums import QueryWhat, Venue
from sentinel._submit_report import ANSWER_BYTES_MAX
from sentinel.errors import (
    DuplicateOrder,
    NeverArrived,
    NotSent,
    OutcomeUnknown,
    PolicyDenied,
    SubmitError,
    UnknownOrder,
    VenueUnavailable,
)
from sentinel.order import Amend, Cancel, CancelAll, OrderType, Query, Withdraw
from sentinel.sign import HttpRequest, ReceiptHandle, SignedOrder
from sentinel.submit import ExecutionStatus, Submitter

# ---- Unclear: asks, and never sends again ---------------------------------------

FAULTS = {
    "read time-out": Reply(ACK, hang_s=0.6),
    "dropped before the answer": Reply(drop=True),
    "head cut": Reply(ACK, cut=20),
    "body cut": Reply(ACK, cut=90),
    "bad gateway": Reply(b"<html>502 Bad Gateway</html>", 502),
    "service unavailable": Reply(b"", 503),
    "internal error": Reply({"error": "oops"}, 500),
    "not JSON": Reply(b"OK"),
    "half JSON": Reply(b'{"retCode":0'),
    "not UTF-8": Reply(b'{"retCode":0,"retMsg":"\xff"}'),
    "NaN": Reply(b'{"retCode":NaN}'),
    "infinity": Reply(b'{"retCode":-Infinity}'),
    "a name twice": Reply(b'{"retCode":10001,"retCode":0,"result":{"orderId":"1"}}'),
    "deep nesting": Reply(b"[" * 100_000),
    "a huge number": Reply(b'{"retCode":' + b"9" * 5000 + b"}"),
    "a huge exponent": Reply(b'{"retCode":1e99999999999999999999}'),
    "another type": Reply(["retCode", 0]),
    "a code as text": Reply({"retCode": "0", "result": {"orderId": "1"}}),
    "a code that is true": Reply({"retCode": False, "result": {"orderId": "1"}}),
    "no result": Reply({"retCode": 0, "retMsg": "OK"}),
    "no order id": Reply({"retCode": 0, "result": {}}),
    "an id of another type": Reply({"retCode": 0, "result": {"orderId": {"a": 1}}}),
    "another order": Reply({"retCode": 0, "result": {"orderId": "1", "orderLinkId": "other"}}),
    "too long": Reply(b" " * (ANSWER_BYTES_MAX + 1)),
    "compressed": Reply(ACK, headers=(("Content-Encoding", "gzip"),)),
    "no HTTP": Reply(b"", cut=0),
    "the venue's own doubt": Reply(refused(10016, "Internal server error")),
    "the venue's own time-out": Reply(refused(10000, "Server Timeout")),
    "head in drips": Reply(ACK, drip_s=0.02),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_after_an_unclear_answer_it_asks_and_never_sends_again(fault: Reply) -> None:
    asker = Asker(BYBIT)
    found = state("PartiallyFilled", cumExecQty="0.004", leavesQty="0.006", avgPrice="65000.05")
    with Scripted([fault, Reply(found)]) as venue, submitter(venue) as sender:
        signed = signed_order(BYBIT)
        report = sender.submit(signed, session=asker)
        assert orders(venue) == 1
    assert asker.queries == [Query(what=QueryWhat.ORDER, target_action=signed.action_id)]
    assert report.asked == 1
    assert report.status is ExecutionStatus.PARTIALLY_FILLED
    assert report.venue_order_id == "1321003749386327552"
    assert (report.filled_quantity, report.remaining_quantity) == ("0.004", "0.006")
    assert report.average_price == "65000.05"


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_answer_to_a_query_is_taken_for_one_about_the_order(fault: Reply) -> None:
    with Scripted([Reply(drop=True), fault, Reply(state())]) as venue, submitter(venue) as sender:
        report = sender.submit(signed_order(BYBIT), session=Asker(BYBIT))
        assert orders(venue) == 1
    assert (report.status, report.asked) == (ExecutionStatus.ACCEPTED, 2)


def test_the_same_signed_order_is_never_sent_twice() -> None:
    signed = signed_order(BYBIT)
    with Scripted([Reply(ACK), Reply(state())]) as venue, submitter(venue) as sender:
        first = sender.submit(signed)
        again = sender.submit(signed, session=Asker(BYBIT))
        assert orders(venue) == 1
    assert first.venue_order_id == again.venue_order_id
    assert again.asked == 1


def test_threads_that_submit_one_order_send_it_once() -> None:
    signed = signed_order(BYBIT)

    def script(request: Received, number: int) -> Reply:
        return Reply(state() if request.target.startswith("/query") else ACK)

    with Scripted(script) as venue, submitter(venue) as sender:
        found: list[str] = []

        def run() -> None:
            found.append(sender.submit(signed, session=Asker(BYBIT)).venue_order_id)

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert orders(venue) == 1
    assert found == ["1321003749386327552"] * 8


def test_not_found_is_no_answer_while_the_request_may_still_arrive() -> None:
    clock = FastClock()

    def script(request: Received, number: int) -> Reply:
        if number == 0:
            return Reply(drop=True)
        return Reply(state(at_ms=clock.ms) if number == 4 else nothing(clock.ms))

    with Scripted(script) as venue, submitter(venue, clock=clock, deadline_s=60) as sender:
        report = sender.submit(signed_order(BYBIT), session=Asker(BYBIT))
        assert orders(venue) == 1
    assert (report.status, report.asked) == (ExecutionStatus.ACCEPTED, 4)
    assert clock.slept == [0.1, 0.2, 0.4]


def test_not_found_is_definite_once_the_venue_takes_it_no_longer() -> None:
    clock = FastClock()

    def script(request: Received, number: int) -> Reply:
        return Reply(drop=True) if number == 0 else Reply(nothing(clock.ms))

    with Scripted(script) as venue, submitter(venue, clock=clock, deadline_s=60) as sender:
        signed = signed_order(BYBIT, usable_ms=5_000)
        asker = Asker(BYBIT)
        with pytest.raises(NeverArrived) as caught:
            sender.submit(signed, session=asker)
        assert orders(venue) == 1
    assert "safe to sign again" in caught.value.diagnostics()
    assert isinstance(caught.value, NotSent)
    assert [query.what for query in asker.queries[-2:]] == [QueryWhat.ORDER, QueryWhat.FILLS]
    assert signed.usable_until_ms is not None
    assert 2_000 <= clock.ms - signed.usable_until_ms < 5_000


def test_the_venues_clock_decides_what_is_definite() -> None:
    """Ours is a minute ahead: by it, the request has long expired."""
    clock = FastClock()
    slow = clock.ms

    def script(request: Received, number: int) -> Reply:
        return Reply(drop=True) if number == 0 else Reply(nothing(slow))

    with Scripted(script) as venue, submitter(venue, clock=clock, deadline_s=90) as sender:
        with pytest.raises(OutcomeUnknown):
            sender.submit(signed_order(BYBIT, usable_ms=5_000), session=Asker(BYBIT))
        assert orders(venue) == 1


def test_the_date_header_stands_for_the_venues_clock() -> None:
    clock = FastClock()

    def script(request: Received, number: int) -> Reply:
        if number == 0:
            return Reply(drop=True)
        date = (("Date", formatdate(clock.ms / 1000, usegmt=True)),)
        return Reply({"code": -2013, "msg": "Order does not exist."}, 400, date)

    spot = Venue.BINANCE_SPOT
    with Scripted(script) as venue:
        sender = Submitter(endpoints=endpoints(spot, venue), clock=clock, timeout_s=0.3)
        signed = signed_order(spot, usable_ms=5_000)
        with sender, pytest.raises(NeverArrived):
            sender.submit(signed, session=Asker(spot))
        assert orders(venue) == 1
    assert signed.usable_until_ms is not None
    assert 2_000 <= clock.ms - signed.usable_until_ms < 6_000


AWRY = [10**4000, -(10**4000), 1 << 63, True, 1.5, "9" * 5000, "\u0661", [1], {}]


@pytest.mark.parametrize("name", ["bybit", "okx", "deribit"])
@pytest.mark.parametrize("awry", AWRY, ids=range(len(AWRY)))
def test_a_clock_that_is_none_says_nothing(awry: Any, name: str) -> None:
    answers = {
        "bybit": nothing() | {"time": awry},
        "okx": {"code": "0", "data": [], "outTime": awry},
        "deribit": {"result": [], "usOut": awry},
    }
    which = Venue[name.upper()]
    with Scripted([Reply(drop=True), Reply(answers[name])]) as venue:
        sender = Submitter(endpoints=endpoints(which, venue), timeout_s=2, deadline_s=0.3)
        with sender, pytest.raises(OutcomeUnknown):
            sender.submit(signed_order(which), session=Asker(which))
        assert orders(venue) == 1


@pytest.mark.parametrize("date", ["{} GMT", "{} -0000", "{}", "{} GMT, {} GMT", "GMT"])
def test_a_venues_clock_ahead_of_ours_ends_no_request_early(
    date: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway's clock may be wrong, and a time without its zone is none."""
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    clock = FastClock()

    def script(request: Received, number: int) -> Reply:
        if number == 0:
            return Reply(drop=True)
        shown = date.replace("{}", formatdate(clock.ms / 1000 + 3600, usegmt=True)[:-4])
        return Reply({"code": -2013, "msg": "no"}, 400, (("Date", shown),))

    spot = Venue.BINANCE_SPOT
    try:
        with Scripted(script) as venue:
            sender = Submitter(endpoints=endpoints(spot, venue), clock=clock, timeout_s=0.3)
            signed = signed_order(spot, usable_ms=5_000)
            with sender, pytest.raises(NeverArrived):
                sender.submit(signed, session=Asker(spot))
            assert orders(venue) == 1
    finally:
        monkeypatch.undo()
        time.tzset()
    assert signed.usable_until_ms is not None
    assert clock.ms >= signed.usable_until_ms + (0 if date == "{} GMT" else 10_000)


@pytest.mark.parametrize(
    "other",
    [
        {"account": "another key"},
        {"client_order_id": "another order"},
        {"handle": ReceiptHandle(b"f" * 32, 1, 1)},
        {"venue": Venue.OKX},
        {"request": HttpRequest("GET", "https://api-testnet.bybit.com/query?q=1", {}, "")},
        {"request": HttpRequest("GET", "https://localhost/query?q=1", {}, "")},
    ],
    ids=str,
)
def test_a_query_of_another_account_or_order_is_not_asked(other: dict[str, Any]) -> None:
    """What another account does not have says nothing about this one."""

    class Astray(Asker):
        def sign(self, order: Query, *, now_ns: int | None = None) -> SignedOrder:
            return replace(Asker.sign(self, order, now_ns=now_ns), **other)

    clock = LateClock(120_000)
    with Scripted([Reply(drop=True), Reply(nothing(now_ms() + 120_000))]) as venue:
        with submitter(venue, clock=clock) as sender, pytest.raises(OutcomeUnknown) as caught:
            sender.submit(signed_order(BYBIT), session=Astray(BYBIT))
        assert len(venue.requests) == 1
    assert "another account, venue or order" in caught.value.cause


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_code_that_no_table_has_counts_for_nothing_beside_a_5xx(status: int) -> None:
    answers = {
        Venue.BYBIT: refused(99_999),
        Venue.OKX: {"code": "99999", "msg": "no", "data": []},
        Venue.DERIBIT: {"error": {"code": -32603, "message": "internal error"}},
        Venue.BINANCE_SPOT: {"code": -99_999, "msg": "no"},
    }
    for which, answer in answers.items():
        with Scripted([Reply(answer, status)]) as venue:
            sender = Submitter(endpoints=endpoints(which, venue), timeout_s=2)
            with sender, pytest.raises(OutcomeUnknown):
                sender.submit(signed_order(which))


def test_unknown_names_everything_that_one_needs_to_find_it() -> None:
    with Scripted([Reply(drop=True)]) as venue, submitter(venue, deadline_s=0.5) as sender:
        signed = signed_order(BYBIT)
        with pytest.raises(OutcomeUnknown) as caught:
            sender.submit(signed, session=Asker(BYBIT))
        assert orders(venue) == 1
    error = caught.value
    assert (error.client_order_id, error.action_id) == (CLIENT_ID, signed.action_id)
    assert (error.record, error.usable_until_ms) == (signed.handle.record, signed.usable_until_ms)
    for text in (CLIENT_ID, f"record {signed.handle.record}", "until 2", "asked", "next step:"):
        assert text in error.diagnostics()
    assert isinstance(error, SubmitError)


def test_without_a_session_an_unclear_outcome_is_unknown_at_once() -> None:
    with Scripted([Reply(drop=True)]) as venue, submitter(venue) as sender:
        with pytest.raises(OutcomeUnknown, match="may have place"):
            sender.submit(signed_order(BYBIT, usable_ms=None))
        assert len(venue.requests) == 1


def test_a_query_that_policy_denies_leaves_the_outcome_unknown() -> None:
    class Denied(Asker):
        def sign(self, order: Query, *, now_ns: int | None = None) -> SignedOrder:
            raise PolicyDenied("action_not_allowed")

    with Scripted([Reply(drop=True)]) as venue, submitter(venue) as sender:
        with pytest.raises(OutcomeUnknown) as caught:
            sender.submit(signed_order(BYBIT), session=Denied(BYBIT))
        assert len(venue.requests) == 1
    assert "action_not_allowed" in caught.value.cause


def test_a_query_that_the_venue_does_not_authenticate_ends_the_asking() -> None:
    script = [Reply(drop=True), Reply(refused(10003, "API key is invalid."))]
    with Scripted(script) as venue, submitter(venue) as sender:
        with pytest.raises(OutcomeUnknown) as caught:
            sender.submit(signed_order(BYBIT), session=Asker(BYBIT))
        assert (orders(venue), len(venue.requests)) == (1, 2)
    assert "API key is invalid" in caught.value.cause


def test_a_rejected_order_is_a_refusal_that_comes_late() -> None:
    rejected = state("Rejected", rejectReason="EC_PostOnlyWillTakeLiquidity")
    with Scripted([Reply(drop=True), Reply(rejected)]) as venue, submitter(venue) as sender:
        with pytest.raises(SubmitError, match="EC_PostOnlyWillTakeLiquidity") as caught:
            sender.submit(signed_order(BYBIT), session=Asker(BYBIT))
        assert orders(venue) == 1
    assert type(caught.value).__name__ == "PostOnlyWouldTake"


def test_a_duplicate_says_that_the_venue_has_it() -> None:
    with Scripted([Reply(refused(110072, "OrderLinkedID is duplicate"))]) as venue:
        with submitter(venue) as sender, pytest.raises(DuplicateOrder) as caught:
            sender.submit(signed_order(BYBIT), session=Asker(BYBIT))
        assert len(venue.requests) == 1
    assert "do not sign again" in caught.value.next_step


# ---- Cancels, amends, and what cannot be asked for -------------------------------


def unclear(order: Any, found: list[Reply], usable_ms: int = 60_000, **more: Any) -> Any:
    """Submits an order whose first answer is lost; what asking for it gives."""
    clock = FastClock()

    def script(request: Received, number: int) -> Reply:
        if number == 0:
            return Reply(drop=True)
        reply = found[min(number, len(found)) - 1]
        body = reply.body | {"time": clock.ms}
        return Reply(body, reply.status, reply.headers)

    with Scripted(script) as venue, submitter(venue, clock=clock, deadline_s=30) as sender:
        try:
            return sender.submit(
                signed_order(BYBIT, order, usable_ms=usable_ms, **more), session=Asker(BYBIT)
            )
        finally:
            assert orders(venue) == 1


@pytest.mark.parametrize(
    ("word", "status"),
    [("Cancelled", "cancelled"), ("Filled", "filled"), ("Rejected", "rejected")],
)
def test_a_cancel_whose_order_is_closed_is_done(word: str, status: str) -> None:
    report = unclear(Cancel(target_action=5), [Reply(state()), Reply(state(word))])
    assert (report.action, report.status, report.asked) == ("cancel", status, 2)


def test_a_cancel_whose_order_stays_open_never_arrived() -> None:
    with pytest.raises(NeverArrived, match="still open"):
        unclear(Cancel(target_action=5), [Reply(state())], usable_ms=5_000)


def test_a_cancel_of_an_order_that_the_venue_does_not_know() -> None:
    with pytest.raises(UnknownOrder):
        unclear(Cancel(target_action=5), [Reply(nothing())], usable_ms=5_000)


AMEND = Amend(type=OrderType.LIMIT, quantity="0.02", price="65001", target_action=5)
AMEND_BODY = '{"category":"linear","qty":"0.02","price":"65001"}'
NEW_TERMS = {"qty": "0.020", "price": "65001.00"}


def test_an_amend_is_done_when_the_order_has_its_terms() -> None:
    found = [Reply(state()), Reply(state("PartiallyFilled", **NEW_TERMS))]
    report = unclear(AMEND, found, body=AMEND_BODY)
    assert (report.action, report.status, report.asked) == ("amend", "partially_filled", 2)


@pytest.mark.parametrize("word", ["New", "Filled", "Cancelled"])
def test_an_amend_never_arrived_when_the_order_keeps_its_old_terms(word: str) -> None:
    with pytest.raises(NeverArrived, match="old terms"):
        unclear(AMEND, [Reply(state(word))], usable_ms=5_000, body=AMEND_BODY)


def test_an_amend_is_unknown_when_the_terms_cannot_be_compared() -> None:
    with pytest.raises(OutcomeUnknown):
        unclear(AMEND, [Reply(state(price=""))], usable_ms=5_000, body=AMEND_BODY)


@pytest.mark.parametrize(
    ("order", "check"),
    [
        (Withdraw(asset=1, network=2, amount="1", address="a"), "withdrawal history"),
        (CancelAll(venue=BYBIT), "open orders"),
    ],
)
def test_what_no_query_finds_is_unknown_at_once(order: Any, check: str) -> None:
    with Scripted([Reply(drop=True)]) as venue, submitter(venue) as sender:
        with pytest.raises(OutcomeUnknown) as caught:
            sender.submit(signed_order(BYBIT, order), session=Asker(BYBIT))
        assert len(venue.requests) == 1
    assert check in caught.value.next_step


def test_a_query_of_ones_own_is_reported_and_may_be_repeated() -> None:
    query = signed_order(BYBIT, Query(what=QueryWhat.ORDER, target_action=1), target="/query")
    script = [Reply(state("Filled")), Reply(nothing()), Reply(b"?")]
    with Scripted(script) as venue, submitter(venue) as sender:
        assert sender.submit(query).status is ExecutionStatus.FILLED
        with pytest.raises(UnknownOrder):
            sender.submit(query)
        with pytest.raises(VenueUnavailable, match="no readable answer"):
            sender.submit(query)
        assert len(venue.requests) == 3
