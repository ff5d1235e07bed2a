"""What approvers see of an order's value, where no rule asks for it.

Goal: list and show say what an order was worth when it was asked for, whatever made it wait, and
that it is not known only where that is so. Method: an engine with test keys of venues; one order of
each kind waits, and other marks are fed before anybody looks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fault_desk
import pytest
from engines import Made

from sentinel import OrderPending, Signer
from sentinel._approvals import Request, request_of
from sentinel._people import Public
from sentinel.audit import restore
from sentinel.config import Installed
from sentinel.units import parse_money

HOUR = 3600 * 10**9
PLACE = {
    "action": "place",
    "instrument": "bybit",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "quantity": "0.010",
    "price": "64000",
}
MARKET = PLACE | {"type": "market", "time_in_force": "none", "price": None}
SEND = {
    "action": "withdraw",
    "asset": "BTC",
    "network": "BTC",
    "amount": "0.5",
    "from_account": "funding",
    "address": "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
}
ASK = "approval: {approvers: 1, within: 1h"
POLICY = (
    fault_desk.POLICY.replace("  max_value: 100k USD\n", "")
    .replace("[place, amend, cancel, query]", "[place, amend, cancel, query, withdraw]")
    .replace("instruments:", "networks:\n  BTC: {asset: BTC, code: BTC}\ninstruments:")
    .replace("[linear], endpoint: checked}", "[linear, wallet], endpoint: granted}")
    .replace("marks: {max_age: 1h}", "marks: {max_age: 1h, market_band: 1 %}")
)


@dataclass
class Desk:
    made: Made

    def load(self, rules: str, tables: str = "") -> None:
        with self.made.open() as signer:
            signer.load_policy(POLICY.replace("{trader: {}}", f"{{trader: {{{rules}}}}}") + tables)

    def feed(self, price: str) -> None:
        with self.made.open() as signer:
            signer.feed_marks({"bybit": price}, assets={"BTC": price})

    def ask(self, order: dict[str, Any], now_ns: int | None = None) -> int:
        with self.made.open() as signer:
            return asked(signer, order, now_ns)

    def seen(self, record: int) -> Request:
        installed = Installed(self.made.directory)
        state = restore(self.made.directory).state()
        public = Public.of_engine(installed)
        return request_of(installed, state, public, record, time.time_ns())


def asked(signer: Signer, order: dict[str, Any], now_ns: int | None = None) -> int:
    given = {name: value for name, value in order.items() if value is not None}
    with pytest.raises(OrderPending) as raised:
        signer.session("trader").sign(given, now_ns=now_ns)
    return raised.value.record


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(fault_desk.make_desk(tmp_path / "engine", POLICY))


@pytest.mark.parametrize(
    ("rules", "tables", "order", "value"),
    [
        ("", "oversight: {approve: [place], approvers: 1, within: 1h}\n", PLACE, "640 USD"),
        (ASK + ", when: {actions: [place]}}", "", PLACE, "640 USD"),
        (ASK + ", above: 0 USD}", "", PLACE, "640 USD"),
        (ASK + ", above: 1 USD}", "", PLACE, "640 USD"),
        (ASK + "}, max_value: 1M USD", "", PLACE, "640 USD"),
        (ASK + "}, daily_limit: 1M USD", "", PLACE, "640 USD"),
        (ASK + "}, rolling: {cap: 1M USD, window: 1h}", "", PLACE, "640 USD"),
        (ASK + "}", "", MARKET, "656.50 USD"),
        (ASK + "}", "", PLACE | {"side": "sell"}, "650 USD"),
        (ASK + ", new_destination: true}, destinations: [cold]", "", SEND, "32.5k USD"),
    ],
)
def test_the_value_is_there_whatever_makes_it_wait(
    desk: Desk, rules: str, tables: str, order: dict[str, Any], value: str
) -> None:
    cold = f'destinations:\n  cold: {{network: BTC, address: "{SEND["address"]}"}}\n'
    desk.load(rules, tables + (cold if order is SEND else ""))
    desk.feed("65000")
    record = desk.ask(order)
    desk.feed("30000")
    found = desk.seen(record)
    assert found.value == value
    told = found.to_json(time.time_ns())
    assert told["value"] == value
    assert told["value_micro_usd"] == parse_money(value)
    assert f"value      {value}" in found.lines(time.time_ns())


def test_spent_before_is_no_part_of_it(desk: Desk) -> None:
    """A daily limit's row holds both together."""
    desk.load("daily_limit: 1M USD")
    desk.feed("65000")
    with desk.made.open() as signer:
        signer.session("trader").sign(PLACE)
    desk.load(ASK + "}, daily_limit: 1M USD")
    found = desk.seen(desk.ask(PLACE))
    [row] = [row for row in found.constraints if row["type"] == "daily_limit"]
    assert (row["value_text"], found.value) == ("1.28k USD", "640 USD")


def test_an_amend_by_action_is_valued_by_what_it_amends(desk: Desk) -> None:
    desk.feed("65000")
    with desk.made.open() as signer:
        session = signer.session("trader")
        first = session.sign(PLACE | {"side": "sell"}).action_id
        amend = {
            "action": "amend",
            "target_action": first,
            "type": "limit",
            "time_in_force": "gtc",
            "quantity": "0.02",
            "price": "64000",
        }
        second = session.sign(amend).action_id
    desk.load(ASK + "}")
    for target in (first, second):
        found = desk.seen(desk.ask(amend | {"target_action": target}))
        assert found.value == "1.3k USD"  # a sell: the mark is above its price


def test_what_is_not_known_says_why(desk: Desk) -> None:
    desk.load(ASK + "}")
    found = desk.seen(desk.ask(MARKET))
    assert found.value == "not known: no mark of bybit when it was asked for"
    assert found.to_json(0)["value_micro_usd"] is None
    assert desk.seen(desk.ask(PLACE)).value == "640 USD"  # a buy with a price needs none
    desk.feed("65000")
    assert desk.seen(found.record).value == found.value
    late = desk.ask(MARKET, time.time_ns() + HOUR + 60 * 10**9)
    assert desk.seen(late).value == "not known: the mark of bybit was stale when it was asked for"


def test_what_moves_nothing_has_no_value(desk: Desk) -> None:
    desk.load("")
    with desk.made.open() as signer:
        action = signer.session("trader").sign(PLACE).action_id
    desk.load(ASK + ", when: {actions: [cancel]}}")
    found = desk.seen(desk.ask({"action": "cancel", "target_action": action}))
    assert found.value == "none: it is a cancel"
