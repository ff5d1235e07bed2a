"""Binance's answers: every code of the table, and the answers of its documents.

Goal: each means what the venue says that it means. Method: answers copied from the venue's
documents, over real HTTP, with our own ids in them.
"""

from __future__ import annotations

from typing import Any

import pytest
from scripted import CLIENT_ID, Asker, Reply, asks, refused, signed_order, submit

from sentinel._enums import Account, QueryWhat, Venue
from sentinel._submit_binance import ALGO_STATUSES, ERRORS, STATUSES, UNKNOWN, WORDS_OF_2010
from sentinel._submit_report import Terms
from sentinel.errors import InvalidOrder, RateLimited, UnknownOrder, VenueRefused
from sentinel.order import Amend, Cancel, CancelAll, OrderType, Query, Transfer, Withdraw
from sentinel.submit import ADAPTERS, ExecutionStatus, Fill

SPOT, USDM = Venue.BINANCE_SPOT, Venue.BINANCE_USDM
FULL = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "orderListId": -1,
    "clientOrderId": CLIENT_ID,
    "transactTime": 1507725176595,
    "price": "0.00000000",
    "origQty": "10.00000000",
    "executedQty": "10.00000000",
    "origQuoteOrderQty": "0.000000",
    "cummulativeQuoteQty": "39988.00000000",
    "status": "FILLED",
    "timeInForce": "GTC",
    "type": "MARKET",
    "side": "SELL",
    "workingTime": 1507725176595,
    "selfTradePreventionMode": "NONE",
    "fills": [
        {
            "price": "4000.00000000",
            "qty": "1.00000000",
            "commission": "4.00000000",
            "commissionAsset": "USDT",
            "tradeId": 56,
        },
        {
            "price": "3998.66666667",
            "qty": "9.00000000",
            "commission": "19.99500000",
            "commissionAsset": "USDT",
            "tradeId": 57,
        },
    ],
}
ACK = {
    "symbol": "BTCUSDT",
    "orderId": 28,
    "orderListId": -1,
    "clientOrderId": CLIENT_ID,
    "transactTime": 1507725176595,
}
USDM_ORDER = {
    "clientOrderId": CLIENT_ID,
    "cumQty": "0",
    "cumQuote": "0",
    "executedQty": "0",
    "orderId": 22542179,
    "avgPrice": "0.00000",
    "origQty": "10",
    "price": "65000.10",
    "reduceOnly": False,
    "side": "BUY",
    "positionSide": "SHORT",
    "status": "NEW",
    "stopPrice": "9300",
    "closePosition": False,
    "symbol": "BTCUSDT",
    "timeInForce": "GTD",
    "type": "LIMIT",
    "origType": "LIMIT",
    "updateTime": 1566818724722,
}
ALGO = {
    "algoId": 2146760,
    "clientAlgoId": CLIENT_ID,
    "algoType": "CONDITIONAL",
    "orderType": "TAKE_PROFIT",
    "symbol": "BNBUSDT",
    "side": "SELL",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "algoStatus": "NEW",
    "triggerPrice": "750.000",
    "price": "750.000",
    "createTime": 1750485492076,
    "updateTime": 1750485492076,
}


def error(code: int | str, text: str = "Because.") -> dict[str, Any]:
    return {"code": int(code), "msg": text}


@pytest.mark.parametrize("venue", [SPOT, USDM])
@pytest.mark.parametrize(("code", "kind"), ERRORS.items(), ids=ERRORS)
def test_a_code_is_its_error(venue: Venue, code: str, kind: type[VenueRefused]) -> None:
    caught = refused(venue, Reply(error(code), 400))
    assert (type(caught), caught.code, caught.text) == (kind, code, "Because.")


@pytest.mark.parametrize("code", sorted(UNKNOWN))
def test_a_code_that_means_unknown_is_asked_about(code: str) -> None:
    asks(SPOT, Reply(error(code), 400))


@pytest.mark.parametrize("code", ["-2010", "-1010"])
@pytest.mark.parametrize(("words", "kind"), WORDS_OF_2010.items(), ids=WORDS_OF_2010)
def test_a_rejected_order_says_why_in_words(
    code: str, words: str, kind: type[VenueRefused]
) -> None:
    caught = refused(SPOT, Reply(error(code, f"{words.capitalize()}."), 400))
    assert (type(caught), caught.code) == (kind, code)


def test_other_words_and_codes_are_plain_refusals() -> None:
    assert type(refused(SPOT, Reply(error(-2010, "Something new."), 400))) is InvalidOrder
    assert type(refused(SPOT, Reply(error(-9999, "Something new."), 400))) is VenueRefused


def test_five_hundreds_mean_unknown_but_for_overload() -> None:
    for status, code in ((500, -1000), (503, -2010), (504, -1007), (502, -1121)):
        asks(USDM, Reply(error(code, "Unknown error, please check your request"), status))
    caught = refused(
        USDM, Reply(error(-1008, "Request throttled by system-level protection."), 503)
    )
    assert type(caught).__name__ == "VenueUnavailable"


def test_rate_limits_say_when() -> None:
    banned = error(-1003, "Way too much request weight used; IP banned until 1573448580000.")
    for status, headers, seconds in (
        (429, (("Retry-After", "11"),), 11.0),
        (418, (("Retry-After", "300"),), 300.0),
        (418, (), 60.0),
        (429, (), 60.0),
    ):
        caught = refused(SPOT, Reply(banned, status, headers))
        assert isinstance(caught, RateLimited)
        assert caught.retry_after_s == seconds


def test_a_full_answer_has_fills_average_and_fee() -> None:
    report = submit(SPOT, [Reply(FULL)])
    assert (report.status, report.venue_order_id) == (ExecutionStatus.FILLED, "28")
    assert (report.filled_quantity, report.remaining_quantity) == ("10.00000000", "0.00000000")
    assert (report.average_price, report.fee, report.fee_asset) == (
        "3998.8",
        "23.99500000",
        "USDT",
    )
    assert report.fills[0] == Fill("4000.00000000", "1.00000000", "4.00000000", "56")
    assert report.time_ms == 1507725176595


def test_an_acknowledgement_says_no_more_than_accepted() -> None:
    report = submit(SPOT, [Reply(ACK)])
    assert (report.status, report.filled_quantity) == (ExecutionStatus.ACCEPTED, None)


def test_usdm_and_triggered_orders() -> None:
    report = submit(USDM, [Reply(USDM_ORDER)])
    assert (report.status, report.venue_order_id) == (ExecutionStatus.ACCEPTED, "22542179")
    assert (report.filled_quantity, report.remaining_quantity) == ("0", "10")
    assert report.average_price is None
    report = submit(USDM, [Reply(ALGO)])
    assert (report.status, report.venue_order_id) == (ExecutionStatus.ACCEPTED, "2146760")


@pytest.mark.parametrize(("word", "status"), STATUSES.items(), ids=STATUSES)
def test_a_state_is_its_status(word: str, status: ExecutionStatus) -> None:
    query = Query(what=QueryWhat.ORDER, target_action=1)
    report = submit(USDM, [Reply(USDM_ORDER | {"status": word})], query)
    assert report.status is status


@pytest.mark.parametrize(("word", "status"), ALGO_STATUSES.items(), ids=ALGO_STATUSES)
def test_a_triggered_orders_state_is_its_status(word: str, status: ExecutionStatus) -> None:
    query = Query(what=QueryWhat.ORDER, target_action=1)
    assert submit(USDM, [Reply(ALGO | {"algoStatus": word})], query).status is status


def test_cancels() -> None:
    cancelled = FULL | {"status": "CANCELED", "origClientOrderId": CLIENT_ID, "fills": []}
    cancel = Cancel(target_action=5)
    assert submit(SPOT, [Reply(cancelled)], cancel).status is ExecutionStatus.CANCELLED
    algo = {"algoId": 2146760, "clientAlgoId": CLIENT_ID, "code": "200", "msg": "success"}
    assert submit(USDM, [Reply(algo)], cancel).status is ExecutionStatus.CANCELLED
    gone = Reply(error(-2011, "Unknown order sent."), 400)
    assert type(refused(SPOT, gone, cancel)) is UnknownOrder


def test_cancels_of_everything() -> None:
    report = submit(SPOT, [Reply([FULL, FULL | {"orderId": 29}])], CancelAll(instrument=3))
    assert (report.status, report.venue_order_ids) == (ExecutionStatus.ACCEPTED, ("28", "29"))
    done = {"code": 200, "msg": "The operation of cancel all open order is done."}
    assert submit(USDM, [Reply(done)], CancelAll(instrument=3)).status == "accepted"


def test_wallet_lists_and_fills() -> None:
    withdraw = Withdraw(asset=1, network=2, amount="1", address="a")
    report = submit(SPOT, [Reply({"id": "7213fea8e94b4a5593d507237e5a555b"})], withdraw)
    assert report.venue_order_id == "7213fea8e94b4a5593d507237e5a555b"
    transfer = Transfer(asset=1, from_account=Account.SPOT, to_account=Account.USDM, amount="1")
    assert submit(SPOT, [Reply({"tranId": 13526853623})], transfer).venue_order_id == "13526853623"
    query = Query(what=QueryWhat.OPEN_ORDERS, instrument=3)
    assert submit(SPOT, [Reply([FULL])], query).venue_order_ids == ("28",)
    trade = {"id": 28457, "price": "4.1", "qty": "12", "commission": "1", "commissionAsset": "BNB"}
    report = submit(
        SPOT,
        [Reply([trade | {"time": 1499865549590}])],
        Query(what=QueryWhat.FILLS, instrument=3),
    )
    assert report.fills == (Fill("4.1", "12", "1", "28457", 1499865549590),)


def test_asking_for_an_order() -> None:
    found = FULL | {"status": "PARTIALLY_FILLED", "executedQty": "4.0", "time": 1}
    del found["fills"]
    report = submit(SPOT, [Reply(drop=True), Reply(found)], session=Asker(SPOT))
    assert (report.status, report.remaining_quantity) == ("partially_filled", "6.00000000")


def test_the_terms_of_an_amend_are_those_in_its_query() -> None:
    amend = Amend(type=OrderType.LIMIT, quantity="0.02", price="65001", target_action=5)
    target = "/fapi/v1/order?symbol=BTCUSDT&side=BUY&quantity=0.02&price=65001&signature=x"
    new = USDM_ORDER | {"origQty": "0.020", "price": "65001.00"}
    script = [Reply(drop=True), Reply(USDM_ORDER), Reply(new)]
    report = submit(USDM, script, amend, Asker(USDM), method="PUT", target=target)
    assert (report.action, report.status, report.asked) == ("amend", "accepted", 2)


def test_a_request_without_terms_has_none() -> None:
    assert ADAPTERS[SPOT].terms(signed_order(SPOT)) == Terms(None, None)
