"""Deribit's answers: every code of the table, and the answers of its documents.

Goal and method as in test_submit_binance.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from scripted import CLIENT_ID, Asker, Reply, asks, now_ms, refused, submit

from sentinel._enums import Account, QueryWhat, Venue
from sentinel._submit_deribit import ERRORS, REJECTS, STATUSES, UNKNOWN
from sentinel.errors import RateLimited, UnknownOrder, VenueRefused
from sentinel.order import Amend, Cancel, CancelAll, OrderType, Query, Transfer, Withdraw
from sentinel.submit import ExecutionStatus, Fill

DERIBIT = Venue.DERIBIT
QUERY = Query(what=QueryWhat.ORDER, target_action=1)
# docs.deribit.com, private/buy
ORDER = {
    "web": False,
    "time_in_force": "good_til_cancelled",
    "replaced": False,
    "reduce_only": False,
    "price": 207.3,
    "post_only": False,
    "order_type": "limit",
    "order_state": "open",
    "order_id": "ETH-349249",
    "max_show": 40,
    "last_update_timestamp": 1590083476500,
    "label": CLIENT_ID,
    "is_rebalance": False,
    "is_liquidation": False,
    "instrument_name": "ETH-PERPETUAL",
    "filled_amount": 0,
    "direction": "buy",
    "creation_timestamp": 1590083476500,
    "average_price": 0,
    "api": True,
    "amount": 40,
}
TRADE = {
    "trade_seq": 1966056,
    "trade_id": "ETH-2696083",
    "timestamp": 1590083476596,
    "price": 203.3,
    "order_id": "ETH-349249",
    "fee_currency": "ETH",
    "fee": 0.00014757,
    "direction": "buy",
    "amount": 40,
}


def ok(result: Any) -> Reply:
    now = now_ms() * 1000
    return Reply(
        {
            "jsonrpc": "2.0",
            "id": 5275,
            "result": result,
            "usIn": now,
            "usOut": now,
            "usDiff": 0,
            "testnet": False,
        }
    )


def error(code: int | str, text: str = "because", data: Any = None) -> Reply:
    made: dict[str, Any] = {"code": int(code), "message": text}
    if data is not None:
        made["data"] = data
    return Reply({"jsonrpc": "2.0", "error": made, "usIn": 1, "usOut": 2, "usDiff": 1}, 400)


@pytest.mark.parametrize(("code", "kind"), ERRORS.items(), ids=ERRORS)
def test_a_code_is_its_error(code: str, kind: type[VenueRefused]) -> None:
    caught = refused(DERIBIT, error(code))
    assert (type(caught), caught.code, caught.text) == (kind, code, "because")


@pytest.mark.parametrize("code", sorted(UNKNOWN))
def test_a_code_that_means_unknown_is_asked_about(code: str) -> None:
    asks(DERIBIT, error(code))


def test_other_codes_are_plain_refusals_with_their_reason() -> None:
    caught = refused(DERIBIT, error(9, "bad", {"reason": "wrong format", "param": "label"}))
    assert (type(caught), caught.text) == (VenueRefused, "bad: wrong format")


def test_a_rate_limit_is_one() -> None:
    caught = refused(DERIBIT, error(10028, "too_many_requests"))
    assert isinstance(caught, RateLimited)
    assert caught.retry_after_s == 1.0


@pytest.mark.parametrize(("word", "status"), STATUSES.items(), ids=STATUSES)
def test_a_state_is_its_status(word: str, status: ExecutionStatus) -> None:
    for result in (ORDER | {"order_state": word}, [ORDER | {"order_state": word}]):
        assert submit(DERIBIT, [ok(result)], QUERY).status is status


@pytest.mark.parametrize(("reason", "kind"), REJECTS.items(), ids=REJECTS)
def test_a_rejected_order_has_its_reasons_error(reason: str, kind: type[VenueRefused]) -> None:
    row = ORDER | {"order_state": "rejected", "reject_reason": reason}
    assert type(refused(DERIBIT, ok({"order": row, "trades": []}))) is kind


def test_an_order_has_its_trades() -> None:
    filled = ORDER | {"order_state": "filled", "filled_amount": 40, "average_price": 203.3}
    report = submit(DERIBIT, [ok({"order": filled, "trades": [TRADE]})])
    assert (report.status, report.venue_order_id) == (ExecutionStatus.FILLED, "ETH-349249")
    assert (report.filled_quantity, report.remaining_quantity) == ("40", "0")
    assert (report.average_price, report.fee, report.fee_asset) == ("203.3", "0.00014757", "ETH")
    assert report.fills == (Fill("203.3", "40", "0.00014757", "ETH-2696083", 1590083476596),)


def test_an_open_order_with_fills_is_partially_filled() -> None:
    row = ORDER | {"filled_amount": 1, "price": "market_price"}
    report = submit(DERIBIT, [Reply(drop=True), ok([row])], session=Asker(DERIBIT))
    assert (report.status, report.remaining_quantity) == ("partially_filled", "39")


def test_cancels() -> None:
    cancel = Cancel(target_action=5)
    report = submit(DERIBIT, [ok(ORDER | {"order_state": "cancelled"})], cancel)
    assert (report.status, report.venue_order_id) == ("cancelled", "ETH-349249")
    assert submit(DERIBIT, [ok(1)], cancel).status is ExecutionStatus.CANCELLED
    assert type(refused(DERIBIT, ok(0), cancel)) is UnknownOrder
    assert submit(DERIBIT, [ok(4)], CancelAll(venue=DERIBIT)).status == "accepted"


def test_an_order_that_is_not_there() -> None:
    for reply in (ok([]), error(10004, "order_not_found")):
        assert type(refused(DERIBIT, reply, QUERY)) is UnknownOrder


def test_several_orders_of_one_label_say_nothing() -> None:
    script = [Reply(drop=True), ok([ORDER, ORDER]), ok([ORDER])]
    assert submit(DERIBIT, script, session=Asker(DERIBIT)).asked == 2


def test_an_amend_is_done_when_the_order_has_its_terms() -> None:
    amend = Amend(type=OrderType.LIMIT, quantity="50", price="207.35", target_action=5)
    target = "/api/v2/private/edit_by_label?label=a&amount=50&price=207.35"
    script = [Reply(drop=True), ok([ORDER]), ok([ORDER | {"amount": 50, "price": 207.35}])]
    report = submit(DERIBIT, script, amend, Asker(DERIBIT), method="GET", target=target)
    assert (report.status, report.asked) == ("accepted", 2)
    done = submit(DERIBIT, [ok({"order": ORDER, "trades": []})], amend)
    assert done.status is ExecutionStatus.ACCEPTED


def test_wallet_lists_and_fills() -> None:
    withdraw = Withdraw(asset=1, network=2, amount="1", address="a")
    row = {"address": "a", "amount": 0.4, "currency": "BTC", "id": 1, "state": "unconfirmed"}
    assert submit(DERIBIT, [ok(row)], withdraw).venue_order_id == "1"
    transfer = Transfer(
        asset=1, from_account=Account.UNIFIED, to_account=Account.SUBACCOUNT, amount="1"
    )
    assert submit(DERIBIT, [ok(row | {"id": 2})], transfer).venue_order_id == "2"
    query = Query(what=QueryWhat.OPEN_ORDERS, instrument=3)
    assert submit(DERIBIT, [ok([ORDER])], query).venue_order_ids == ("ETH-349249",)
    fills = Query(what=QueryWhat.FILLS, instrument=3)
    report = submit(DERIBIT, [ok({"trades": [TRADE], "has_more": False})], fills)
    assert report.fills[0].trade_id == "ETH-2696083"
