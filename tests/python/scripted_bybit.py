"""Bybit's answers, for a scripted venue: what the tests of submitting itself take for any."""

from __future__ import annotations

from typing import Any

from scripted import (
    CLIENT_ID,
    Scripted,
    endpoints,
    now_ms,
)

from sentinel._enums import Venue
from sentinel.submit import Submitter

BYBIT = Venue.BYBIT
ACK = {
    "retCode": 0,
    "retMsg": "OK",
    "result": {"orderId": "1321003749386327552", "orderLinkId": CLIENT_ID},
    "retExtInfo": {},
    "time": 1672211918471,
}


def state(status: str = "New", at_ms: int | None = None, **more: Any) -> dict[str, Any]:
    row = {
        "orderId": "1321003749386327552",
        "orderLinkId": CLIENT_ID,
        "orderStatus": status,
        "cumExecQty": "0",
        "leavesQty": "0.010",
        "qty": "0.010",
        "price": "65000.10",
        "avgPrice": "",
        "updatedTime": "1672211918471",
    } | more
    return {
        "retCode": 0,
        "retMsg": "OK",
        "result": {"list": [row]},
        "time": now_ms() if at_ms is None else at_ms,
    }


def nothing(at_ms: int | None = None) -> dict[str, Any]:
    made = state(at_ms=at_ms)
    made["result"]["list"] = []
    return made


def refused(code: int, text: str = "no") -> dict[str, Any]:
    return {"retCode": code, "retMsg": text, "result": {}, "time": 1672211918471}


def orders(venue: Scripted) -> int:
    """How often an order arrived: everything but queries."""
    return sum(not r.target.startswith("/query") for r in venue.requests)


def submitter(venue: Scripted, **more: Any) -> Submitter:
    given: dict[str, Any] = {"timeout_s": 0.3, "deadline_s": 3.0} | more
    return Submitter(endpoints=endpoints(BYBIT, venue), **given)
