"""Bybit's answers: every code of the table, and the answers of its documents.

Goal and method as in test_submit_binance.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from scripted import CLIENT_ID, Asker, LateClock, Received, Reply, asks, now_ms, refused, submit

from sentinel._enums import Account, QueryWhat, Venue
from sentinel._submit_bybit import ERRORS, REJECTS, STATUSES, UNKNOWN
from sentinel.errors import OutcomeUnknown, RateLimited, UnknownOrder, VenueRefused
from sentinel.order import Amend, Cancel, CancelAll, OrderType, Query, Transfer, Withdraw
from sentinel.submit import ExecutionStatus, Fill

BYBIT = Venue.BYBIT
QUERY = Query(what=QueryWhat.ORDER, target_action=1)
# docs/v5/order/open-order
ORDER = {
    "orderId": "fd4300ae-7847-404e-b947-b46980a4d140",
    "orderLinkId": CLIENT_ID,
    "blockTradeId": "",
    "symbol": "ETHUSDT",
    "price": "1600.00",
    "qty": "0.10",
    "side": "Buy",
    "isLeverage": "",
    "positionIdx": 1,
    "orderStatus": "New",
    "cancelType": "UNKNOWN",
    "rejectReason": "EC_NoError",
    "avgPrice": "0",
    "leavesQty": "0.10",
    "leavesValue": "160",
    "cumExecQty": "0.00",
    "cumExecValue": "0",
    "cumExecFee": "0",
    "timeInForce": "GTC",
    "orderType": "Limit",
    "createdTime": "1684738540559",
    "updatedTime": "1684738540561",
}


def ok(result: Any, ahead_ms: int = 0) -> Reply:
    now = now_ms() + ahead_ms
    return Reply({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now})


def error(code: int | str, text: str = "Because.") -> dict[str, Any]:
    return {
        "retCode": int(code),
        "retMsg": text,
        "result": {},
        "retExtInfo": {},
        "time": 1684738540559,
    }


@pytest.mark.parametrize(("code", "kind"), ERRORS.items(), ids=ERRORS)
def test_a_code_is_its_error(code: str, kind: type[VenueRefused]) -> None:
    caught = refused(BYBIT, Reply(error(code)))
    assert (type(caught), caught.code, caught.text) == (kind, code, "Because.")


@pytest.mark.parametrize("code", sorted(UNKNOWN))
def test_a_code_that_means_unknown_is_asked_about(code: str) -> None:
    asks(BYBIT, Reply(error(code)))


def test_other_codes_are_plain_refusals() -> None:
    assert type(refused(BYBIT, Reply(error(3)))) is VenueRefused


def test_rate_limits_say_when() -> None:
    reset = (("X-Bapi-Limit-Reset-Timestamp", "1684738542059"),)
    for reply, seconds in (
        (Reply(error(10006, "Too many visits!"), 200, reset), 1.5),
        (Reply(error(10006, "Too many visits!")), 1.0),
        (Reply(error(10018, "Exceeded the IP Rate Limit.")), 600.0),
        (Reply(b"403, access too frequent", 403), 600.0),
    ):
        caught = refused(BYBIT, reply)
        assert isinstance(caught, RateLimited)
        assert caught.retry_after_s == seconds
    asks(BYBIT, Reply(b"<html>403 Forbidden, by where you are</html>", 403))


@pytest.mark.parametrize(("word", "status"), STATUSES.items(), ids=STATUSES)
def test_a_state_is_its_status(word: str, status: ExecutionStatus) -> None:
    assert submit(BYBIT, [ok({"list": [ORDER | {"orderStatus": word}]})], QUERY).status is status


@pytest.mark.parametrize(("reason", "kind"), REJECTS.items(), ids=REJECTS)
def test_a_rejected_order_has_its_reasons_error(reason: str, kind: type[VenueRefused]) -> None:
    row = ORDER | {"orderStatus": "Rejected", "rejectReason": reason}
    with pytest.raises(VenueRefused) as caught:
        submit(BYBIT, [Reply(drop=True), ok({"list": [row]})], session=Asker(BYBIT))
    assert (type(caught.value), caught.value.code) == (kind, reason)


def test_place_amend_and_cancel_are_acknowledged_by_id() -> None:
    done = ok({"orderId": "c6f055d9-7f21-4079-913d-e6523a9cfffa", "orderLinkId": CLIENT_ID})
    amend = Amend(type=OrderType.LIMIT, quantity="0.02", price="65001", target_action=5)
    for order, status in (
        (None, "accepted"),
        (amend, "accepted"),
        (Cancel(target_action=5), "cancelled"),
    ):
        report = submit(BYBIT, [done], order)
        assert (report.status, report.venue_order_id) == (
            status,
            "c6f055d9-7f21-4079-913d-e6523a9cfffa",
        )


def test_cancels_of_everything_name_what_they_cancel() -> None:
    rows = [
        {"orderId": "f6a73e1f-39b5-4dee-af21-1460b2e3b27c", "orderLinkId": "a001"},
        {"orderId": "b", "orderLinkId": ""},
    ]
    report = submit(BYBIT, [ok({"list": rows, "success": "1"})], CancelAll(venue=BYBIT))
    assert report.venue_order_ids == ("f6a73e1f-39b5-4dee-af21-1460b2e3b27c", "b")
    assert submit(BYBIT, [ok({"success": "1"})], CancelAll(venue=BYBIT)).status == "accepted"


def test_wallet() -> None:
    withdraw = Withdraw(asset=1, network=2, amount="1", address="a")
    assert submit(BYBIT, [ok({"id": "10195"})], withdraw).venue_order_id == "10195"
    transfer = Transfer(
        asset=1, from_account=Account.UNIFIED, to_account=Account.FUNDING, amount="1"
    )
    name = {"transferId": "42c0cfb0-6bca-c242-bc76-4e6df6cbab16"}
    for status in ("SUCCESS", "PENDING"):
        report = submit(BYBIT, [ok(name | {"status": status})], transfer)
        assert report.venue_order_id == name["transferId"]
    refused(BYBIT, ok(name | {"status": "FAILED"}), transfer)
    with pytest.raises(Exception, match="may have transfer"):
        submit(BYBIT, [ok(name | {"status": "STATUS_UNKNOWN"})], transfer)


def test_lists_and_fills() -> None:
    query = Query(what=QueryWhat.OPEN_ORDERS, instrument=3)
    assert submit(BYBIT, [ok({"list": [ORDER]})], query).venue_order_ids == (ORDER["orderId"],)
    row = {
        "execId": "e0cbe81d-0f18-5866-9415-cf319b5dab3b",
        "execPrice": "28.5",
        "execQty": "10",
        "execFee": "0.1",
        "execTime": "1672282722429",
    }
    report = submit(BYBIT, [ok({"list": [row, row]})], Query(what=QueryWhat.FILLS, instrument=3))
    fill = Fill("28.5", "10", "0.1", "e0cbe81d-0f18-5866-9415-cf319b5dab3b", 1672282722429)
    assert (report.fills, report.fee) == ((fill, fill), "0.2")


def test_an_order_that_is_not_there() -> None:
    for reply in (ok({"list": []}), Reply(error(110001, "order not exists or too late"))):
        assert type(refused(BYBIT, reply, QUERY)) is UnknownOrder


def test_an_answer_with_several_orders_says_nothing() -> None:
    script = [Reply(drop=True), ok({"list": [ORDER, ORDER]}), ok({"list": [ORDER]})]
    report = submit(BYBIT, script, session=Asker(BYBIT))
    assert (report.asked, report.filled_quantity, report.average_price) == (2, "0.00", None)


LATER_MS = 120_000  # the venue's clock and ours say that no request of the test is usable any more
FILL = {
    "orderId": "fd4300ae-7847-404e-b947-b46980a4d140",
    "orderLinkId": CLIENT_ID,
    "execId": "e0cbe81d",
    "execPrice": "1600.00",
    "execQty": "0.04",
    "execFee": "0.01",
    "execTime": "1684738540561",
    "leavesQty": "0.06",
}


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([FILL | {"leavesQty": "0.00", "execQty": "0.06"}, FILL], ExecutionStatus.FILLED),
        ([FILL | {"orderLinkId": "other"}, FILL], ExecutionStatus.CANCELLED),
    ],
)
def test_an_order_that_only_its_fills_know_was_accepted(
    rows: list[Any], status: ExecutionStatus
) -> None:
    asker = Asker(BYBIT)
    script = [Reply(drop=True), ok({"list": []}, LATER_MS), ok({"list": rows})]
    report = submit(BYBIT, script, session=asker, clock=LateClock(LATER_MS))
    assert (report.status, report.asked) == (status, 2)
    assert report.filled_quantity == ("0.10" if status is ExecutionStatus.FILLED else "0.04")
    assert asker.queries[1].start_ms is not None


@pytest.mark.parametrize(
    "fills",
    [
        Reply(drop=True),
        Reply(b"?"),
        Reply(error(10016)),
        Reply(error(10006)),
        ok({"list": [FILL | {"orderLinkId": "other"}] * 100}),
        ok({"list": [FILL | {"execPrice": True}]}),
    ],
)
def test_without_its_fills_an_order_that_is_not_there_is_unknown(fills: Reply) -> None:
    gone = ok({"list": []}, LATER_MS)
    asker = Asker(BYBIT)

    def script(request: Received, number: int) -> Reply:
        if number == 0:
            return Reply(drop=True)
        return fills if asker.queries[-1].what is QueryWhat.FILLS else gone

    with pytest.raises(OutcomeUnknown, match="may have place"):
        submit(BYBIT, script, session=asker, deadline_s=2.5, clock=LateClock(LATER_MS))
    assert len(asker.queries) > 2

    rows = [FILL | {"leavesQty": "0"}]
    again = [Reply(drop=True), gone, fills, gone, ok({"list": rows})]
    report = submit(BYBIT, again, session=Asker(BYBIT), clock=LateClock(LATER_MS))
    assert report.status is ExecutionStatus.FILLED
