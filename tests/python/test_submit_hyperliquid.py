"""Hyperliquid's answers: every text of the table, and the answers of its documents.

Goal and method as in test_submit_binance.py. Its query is public: no session, no signature.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted import Received, Reply, Scripted, asks, endpoints, refused, signed_order, submit

from sentinel._enums import QueryWhat, Venue
from sentinel._submit_hyperliquid import ERRORS, REJECTS, STATUSES
from sentinel.errors import OutcomeUnknown, RateLimited, UnknownOrder, UsageError, VenueRefused
from sentinel.order import Amend, Cancel, CancelAllAfter, OrderType, Query, Withdraw
from sentinel.submit import ExecutionStatus, Submitter

HL = Venue.HYPERLIQUID
ACCOUNT = "0x" + "ab" * 20
CLOID = "0x1234567890abcdef1234567890abcdef"
PLACE = {
    "action": {
        "type": "order",
        "orders": [
            {
                "a": 4,
                "b": True,
                "p": "1891.4",
                "s": "0.02",
                "r": False,
                "t": {"limit": {"tif": "Gtc"}},
                "c": CLOID,
            }
        ],
        "grouping": "na",
    },
    "nonce": 1,
}
QUERY = Query(what=QueryWhat.ORDER, target_action=1)


def given(body: Any = PLACE, **more: Any) -> dict[str, Any]:
    """What a request of the venue looks like."""
    return {
        "target": "/exchange",
        "body": json.dumps(body),
        "client_order_id": CLOID,
        "account": ACCOUNT,
    } | more


def statuses(*rows: Any, kind: str = "order") -> Reply:
    return Reply({"status": "ok", "response": {"type": kind, "data": {"statuses": list(rows)}}})


DEFAULT = Reply({"status": "ok", "response": {"type": "default"}})


def order(status: str = "open", left: str = "0.02", **more: Any) -> Reply:
    """info-endpoint, orderStatus"""
    row = {
        "coin": "ETH",
        "side": "A",
        "limitPx": "1891.4",
        "sz": left,
        "oid": 91490942,
        "timestamp": 1724361546645,
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": True,
        "orderType": "Limit",
        "origSz": "0.02",
        "tif": "Gtc",
        "cloid": CLOID,
    } | more
    inner = {"order": row, "status": status, "statusTimestamp": 1724361546647}
    return Reply({"status": "order", "order": inner})


@pytest.mark.parametrize(("text", "kind"), ERRORS.items(), ids=ERRORS)
def test_a_text_is_its_error(text: str, kind: type[VenueRefused]) -> None:
    said = text.capitalize() + " asset=4"
    for reply in (statuses({"error": said}), Reply({"status": "err", "response": said})):
        caught = refused(HL, reply, **given())
        assert (type(caught), caught.text) == (kind, said)


def test_other_texts_are_plain_refusals() -> None:
    said = Reply({"status": "err", "response": "Something new."})
    assert type(refused(HL, said, **given())) is VenueRefused
    broken = Reply(b"Failed to deserialize the JSON body into the target type", 422)
    assert type(refused(HL, broken, **given())).__name__ == "InvalidOrder"


def test_rate_limits_say_when() -> None:
    text = "Too many cumulative requests sent (37986 > 10436) for cumulative volume traded $437.92."
    caught = refused(HL, Reply({"status": "err", "response": text}), **given())
    assert isinstance(caught, RateLimited)
    assert caught.retry_after_s == 10.0
    assert isinstance(refused(HL, Reply(None, 429), **given()), RateLimited)


def test_an_order_rests_or_fills() -> None:
    report = submit(HL, [statuses({"resting": {"oid": 77738308, "cloid": CLOID}})], **given())
    assert (report.status, report.venue_order_id) == (ExecutionStatus.ACCEPTED, "77738308")
    filled = {"totalSz": "0.02", "avgPx": "1891.4", "oid": 77747314}
    report = submit(HL, [statuses({"filled": filled})], **given())
    assert (report.status, report.average_price) == (ExecutionStatus.FILLED, "1891.4")
    assert (report.filled_quantity, report.remaining_quantity) == ("0.02", "0.00")
    report = submit(HL, [statuses({"filled": filled | {"totalSz": "0.01"}})], **given())
    assert (report.status, report.remaining_quantity) == ("partially_filled", "0.01")
    assert submit(HL, [statuses("waitingForTrigger")], **given()).status == "accepted"


@pytest.mark.parametrize(
    "reply",
    [
        statuses(),
        statuses({"resting": {"oid": 1}}, {"resting": {"oid": 2}}),
        statuses("success"),
        statuses({"resting": {"oid": 1, "cloid": "0x" + "0" * 32}}),
        statuses({"filled": {"oid": 1}}),
        statuses({"error": 7}),
        DEFAULT,
        Reply({"status": "maybe"}),
        Reply({"status": "ok"}),
    ],
)
def test_what_is_not_documented_is_asked_about(reply: Reply) -> None:
    asks(HL, reply, **given(account=""))


def test_asks_in_public_by_cloid() -> None:
    def script(request: Received, number: int) -> Reply:
        return Reply(drop=True) if number == 0 else order("filled", "0.0")

    with Scripted(script) as venue:
        with Submitter(endpoints=endpoints(HL, venue), timeout_s=2) as sender:
            report = sender.submit(signed_order(HL, **given()))
        first, second = venue.requests
    assert (first.target, second.target, second.method) == ("/exchange", "/info", "POST")
    assert json.loads(second.body) == {"type": "orderStatus", "user": ACCOUNT, "oid": CLOID}
    assert (report.status, report.filled_quantity) == (ExecutionStatus.FILLED, "0.02")
    assert report.venue_order_id == "91490942"


def test_asks_by_number_for_an_order_that_was_amended() -> None:
    with Scripted([order("canceled", "0.02", oid=7)]) as venue:
        with Submitter(endpoints=endpoints(HL, venue), timeout_s=2) as sender:
            report = sender.ask(signed_order(HL, **given()), venue_order_id="7")
            with pytest.raises(UsageError, match="asked by the name"):
                sender.ask(signed_order(HL, **given()), venue_order_id="seven")
        (only,) = venue.requests
    assert json.loads(only.body) == {"type": "orderStatus", "user": ACCOUNT, "oid": 7}
    assert (report.status, report.venue_order_id) == (ExecutionStatus.CANCELLED, "7")


def test_without_an_address_nothing_can_be_asked() -> None:
    with pytest.raises(OutcomeUnknown, match="may have place"):
        submit(HL, [Reply(drop=True)], **given(account=""))


WORDS = STATUSES | {
    "marginCanceled": ExecutionStatus.CANCELLED,
    "selfTradeCanceled": ExecutionStatus.CANCELLED,
    "tickRejected": ExecutionStatus.REJECTED,
}


@pytest.mark.parametrize(("word", "status"), WORDS.items(), ids=WORDS)
def test_a_state_is_its_status(word: str, status: ExecutionStatus) -> None:
    cancel = Cancel(target_action=5)
    open_ = status is ExecutionStatus.ACCEPTED
    script = [Reply(drop=True), order(word)] + ([order("canceled")] if open_ else [])
    report = submit(HL, script, cancel, **given())
    assert report.status is (ExecutionStatus.CANCELLED if open_ else status)
    assert report.asked == (2 if open_ else 1)


@pytest.mark.parametrize(("reason", "kind"), REJECTS.items(), ids=REJECTS)
def test_a_rejected_order_has_its_reasons_error(reason: str, kind: type[VenueRefused]) -> None:
    with pytest.raises(VenueRefused) as caught:
        submit(HL, [Reply(drop=True), order(reason)], **given())
    assert (type(caught.value), caught.value.code) == (kind, reason)


def test_cancels_by_cloid_and_by_number() -> None:
    cancel = Cancel(target_action=5)
    report = submit(HL, [statuses("success", kind="cancel")], cancel, **given())
    assert (report.status, report.client_order_id) == (ExecutionStatus.CANCELLED, CLOID)
    gone = statuses({"error": "Order was never placed, already canceled, or filled."})
    assert type(refused(HL, gone, cancel, **given())) is UnknownOrder
    body = {"action": {"type": "cancel", "cancels": [{"a": 4, "o": 91490942}]}}

    def script(request: Received, number: int) -> Reply:
        if number == 0:
            return Reply(drop=True)
        assert json.loads(request.body)["oid"] == 91490942
        return order("canceled")

    by_number = Cancel(target_venue_id="91490942", instrument=3)
    report = submit(HL, script, by_number, **given(body, client_order_id=""))
    assert report.status is ExecutionStatus.CANCELLED


def test_an_amend_is_done_when_the_order_has_its_terms() -> None:
    amend = Amend(type=OrderType.LIMIT, quantity="0.03", price="1892", target_action=5)
    new = {"a": 4, "b": True, "p": "1892", "s": "0.03", "r": False, "c": CLOID}
    body = {"action": {"type": "batchModify", "modifies": [{"oid": CLOID, "order": new}]}}
    script = [Reply(drop=True), order(), order(left="0.03", origSz="0.03", limitPx="1892.0")]
    report = submit(HL, script, amend, **given(body))
    assert (report.status, report.asked) == ("accepted", 2)
    assert (
        submit(HL, [statuses({"resting": {"oid": 2}})], amend, **given(body)).status == "accepted"
    )


def test_wallet_and_timer_are_acknowledged() -> None:
    withdraw = Withdraw(asset=1, network=2, amount="1", address="a")
    for action in (withdraw, CancelAllAfter(venue=HL, timeout_ms=10_000)):
        assert submit(HL, [DEFAULT], action, **given()).status is ExecutionStatus.ACCEPTED
