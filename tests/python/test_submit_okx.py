"""OKX's answers: every code of the table, and the answers of its documents.

Goal and method as in test_submit_binance.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from scripted import CLIENT_ID, Asker, Reply, asks, refused, submit

from sentinel._enums import Account, QueryWhat, Venue
from sentinel._submit_okx import ALGO_STATUSES, ERRORS, STATUSES, UNKNOWN
from sentinel.errors import RateLimited, UnknownOrder, VenueRefused
from sentinel.order import (
    Amend,
    Cancel,
    CancelAllAfter,
    OrderType,
    Query,
    Transfer,
    Withdraw,
)
from sentinel.submit import ExecutionStatus, Fill

OKX = Venue.OKX
QUERY = Query(what=QueryWhat.ORDER, target_action=1)
AMEND = Amend(type=OrderType.LIMIT, quantity="2", price="65001", target_action=5)
TIMES = {"inTime": "1695190491421339", "outTime": "1695190491423240"}
ACK = {
    "clOrdId": CLIENT_ID,
    "ordId": "312269865356374016",
    "tag": "",
    "ts": "1695190491421",
    "sCode": "0",
    "sMsg": "",
}
# docs-v5/en/#order-book-trading-trade-get-order-details
ORDER = {
    "accFillSz": "0.00192834",
    "avgPx": "51858",
    "cTime": "1708587373361",
    "cancelSource": "",
    "clOrdId": CLIENT_ID,
    "fee": "-0.00000192834",
    "feeCcy": "BTC",
    "fillPx": "51858",
    "fillSz": "0.00192834",
    "fillTime": "1708587373361",
    "instId": "BTC-USDT",
    "ordId": "680800019749904384",
    "ordType": "market",
    "px": "",
    "state": "filled",
    "sz": "0.00192834",
    "tgtCcy": "",
    "uTime": "1708587373362",
}
ALGO = {
    "algoId": "681096944655273984",
    "algoClOrdId": CLIENT_ID,
    "ordId": "",
    "state": "live",
    "sz": "1",
    "ordPx": "65001",
    "cTime": "1708658165774",
}


def ok(*rows: Any) -> Reply:
    return Reply({"code": "0", "msg": "", "data": list(rows)} | TIMES)


def inner(code: str, text: str = "Because.") -> Reply:
    row = {"clOrdId": CLIENT_ID, "ordId": "", "tag": "", "sCode": code, "sMsg": text}
    return Reply({"code": "1", "msg": "All operations failed", "data": [row]} | TIMES)


def outer(code: str, text: str = "Because.", status: int = 400) -> Reply:
    return Reply({"code": code, "msg": text, "data": []}, status)


@pytest.mark.parametrize(("code", "kind"), ERRORS.items(), ids=ERRORS)
def test_a_code_is_its_error(code: str, kind: type[VenueRefused]) -> None:
    for reply in (inner(code), outer(code), outer(code, status=200)):
        caught = refused(OKX, reply)
        assert (type(caught), caught.code, caught.text) == (kind, code, "Because.")


@pytest.mark.parametrize("code", sorted(UNKNOWN))
def test_a_code_that_means_unknown_is_asked_about(code: str) -> None:
    asks(OKX, inner(code))
    asks(OKX, outer(code))


def test_other_codes_are_plain_refusals() -> None:
    assert type(refused(OKX, inner("59999"))) is VenueRefused
    assert type(refused(OKX, outer("1", "Operation failed."))) is VenueRefused


def test_a_rate_limit_lasts_two_seconds() -> None:
    caught = refused(OKX, outer("50011", "Too Many Requests", 429))
    assert isinstance(caught, RateLimited)
    assert caught.retry_after_s == 2.0


@pytest.mark.parametrize(("word", "status"), STATUSES.items(), ids=STATUSES)
def test_a_state_is_its_status(word: str, status: ExecutionStatus) -> None:
    report = submit(OKX, [ok(ORDER | {"state": word})], QUERY)
    live = ExecutionStatus.PARTIALLY_FILLED if word == "live" else status
    assert report.status is live


@pytest.mark.parametrize(("word", "status"), ALGO_STATUSES.items(), ids=ALGO_STATUSES)
def test_a_triggered_orders_state_is_its_status(word: str, status: ExecutionStatus) -> None:
    assert submit(OKX, [ok(ALGO | {"state": word})], QUERY).status is status


def test_place_amend_and_cancel_are_acknowledged_by_id() -> None:
    for order, status in (
        (None, "accepted"),
        (AMEND, "accepted"),
        (Cancel(target_action=5), "cancelled"),
    ):
        report = submit(OKX, [ok(ACK)], order)
        assert (report.status, report.venue_order_id) == (status, "312269865356374016")
        assert report.time_ms == 1695190491421


def test_triggered_orders_have_ids_of_their_own() -> None:
    row = {"algoId": "12345689", "clOrdId": "", "algoClOrdId": CLIENT_ID, "sCode": "0", "sMsg": ""}
    report = submit(OKX, [ok(row)])
    assert (report.status, report.venue_order_id) == ("accepted", "12345689")


def test_an_order_has_fee_and_average() -> None:
    report = submit(OKX, [Reply(drop=True), ok(ORDER)], session=Asker(OKX))
    assert (report.status, report.average_price) == (ExecutionStatus.FILLED, "51858")
    assert (report.fee, report.fee_asset) == ("0.00000192834", "BTC")
    assert report.remaining_quantity == "0.00000000"
    quote = ORDER | {"tgtCcy": "quote_ccy", "sz": "100"}
    assert submit(OKX, [ok(quote)], QUERY).remaining_quantity is None


def test_an_order_that_is_not_there() -> None:
    for reply in (outer("51603", "Order does not exist", 200), ok()):
        assert type(refused(OKX, reply, QUERY)) is UnknownOrder


def test_an_amend_is_done_when_the_order_has_its_terms() -> None:
    body = '{"instId":"BTC-USDT","newSz":"2","newPx":"65001"}'
    old = ORDER | {"state": "live", "sz": "1", "px": "65000", "accFillSz": "0"}
    script = [Reply(drop=True), ok(old), ok(old | {"sz": "2.0", "px": "65001.0"})]
    report = submit(OKX, script, AMEND, Asker(OKX), body=body)
    assert (report.status, report.asked) == ("accepted", 2)


def test_wallet_timer_lists_and_fills() -> None:
    withdraw = Withdraw(asset=1, network=2, amount="1", address="a")
    row = {"amt": "0.1", "wdId": "67485", "ccy": "BTC", "clientId": "", "chain": "BTC-Bitcoin"}
    assert submit(OKX, [ok(row)], withdraw).venue_order_id == "67485"
    transfer = Transfer(
        asset=1, from_account=Account.UNIFIED, to_account=Account.FUNDING, amount="1"
    )
    row = {"transId": "754147", "ccy": "USDT", "clientId": "", "from": "6", "amt": "1", "to": "18"}
    assert submit(OKX, [ok(row)], transfer).venue_order_id == "754147"
    timer = CancelAllAfter(venue=OKX, timeout_ms=10_000)
    row = {"triggerTime": "1587971460", "tag": "", "ts": "1587971400"}
    assert submit(OKX, [ok(row)], timer).status == "accepted"
    query = Query(what=QueryWhat.OPEN_ORDERS, instrument=3)
    assert submit(OKX, [ok(ORDER)], query).venue_order_ids == ("680800019749904384",)
    row = {"fillPx": "51858", "fillSz": "1", "fee": "-0.1", "tradeId": "9", "fillTime": "17"}
    report = submit(OKX, [ok(row)], Query(what=QueryWhat.FILLS, instrument=3))
    assert report.fills == (Fill("51858", "1", "0.1", "9", 17),)
