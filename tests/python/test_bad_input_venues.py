"""Orders that a venue would not take, from a user's chair: what `zcp sign` exits with and says.

Goal: every mistake that a firm makes with venues is a clear error with its cause and remedy before
anything is signed, and nothing is charged. Method: the command, on an engine that may trade on six
venues; signatures, ids, nonces and what is released are compared before and after.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from engines import Made
from six_venues import ADDRESS, INSTRUMENTS, MASTER_KEY, POLICY, make_six, order_of
from venue_desk import BAD_TAGS, PAST_MS, VENUES, Desk, seat

from sentinel._enums import Environment
from sentinel.audit import read_log

WITHDRAW = {
    "action": "withdraw",
    "asset": "USDC",
    "network": "ARBITRUM",
    "amount": "5",
    "address": ADDRESS,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_six(tmp_path_factory.mktemp("six") / "engine")


@pytest.fixture
def desk(
    made: Made,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    return seat(made, tmp_path, capsys, monkeypatch)


# ---- Orders ---------------------------------------------------------------------------------


def ids(value: object) -> str:
    return str(value)[:40] if isinstance(value, str) else ""


@pytest.mark.parametrize("venue", VENUES)
def test_a_price_between_two_ticks(desk: Desk, venue: str) -> None:
    name = INSTRUMENTS[venue]
    order = order_of(name, price="65000.001")
    cause = "price 65000.001 is no multiple of"
    desk.is_refused(order, "tick", cause, "round it: 65000.0")


@pytest.mark.parametrize("venue", VENUES)
def test_a_quantity_between_two_lots(desk: Desk, venue: str) -> None:
    order = order_of(INSTRUMENTS[venue], quantity="0.0000000001")
    desk.is_refused(order, "lot", f"the lot of {INSTRUMENTS[venue]}", "round it: ")


def test_the_next_multiples_are_named(desk: Desk) -> None:
    order = order_of("USDM", price="65000.17", quantity="0.0123")
    desk.is_refused(order, "tick", "of 0.10, the tick of USDM", "65000.10 or 65000.20")
    order = order_of("USDM", quantity="0.0123")
    desk.is_refused(order, "lot", "quantity 0.0123", "0.012 or 0.013")
    order = order_of("DERIBIT", quantity="4")
    desk.is_refused(order, "lot", "no multiple of 10", "round it: 10")
    order = order_of("HL", price="65000.1")
    desk.is_refused(order, "tick", "five significant figures", "five significant figures")
    order = order_of("HL", type="stop_market", time_in_force=None, trigger_price="1.01")
    desk.is_refused(order, "tick", "trigger_price 1.01", "1.0 or 1.1")


@pytest.mark.parametrize("venue", VENUES)
def test_good_till_a_date_that_has_passed(desk: Desk, venue: str) -> None:
    order = order_of(INSTRUMENTS[venue], time_in_force="gtd", expire_ms=PAST_MS)
    cause = f"expire_ms {PAST_MS} (2020-09-13T12:26:40Z) had passed at 1"
    desk.is_refused(order, "expiry", cause, "give a later expire_ms, in Unix milliseconds")


@pytest.mark.parametrize("venue", [venue for venue in VENUES if venue != "binance_usdm"])
def test_good_till_a_date_where_there_is_no_such_order(desk: Desk, venue: str) -> None:
    later = time.time_ns() // 10**6 + 10**6
    order = order_of(INSTRUMENTS[venue], time_in_force="gtd", expire_ms=later)
    desk.is_refused(order, "unsupported", f"{venue} has no good-till-date orders", "use gtc")


STOP = {"type": "stop_limit", "trigger_price": "60000"}
UNSUPPORTED: list[tuple[str, dict[str, Any], str, str]] = [
    ("HL", {"type": "market", "time_in_force": None, "price": None},
     "hyperliquid has no order without a price", "give `price`, the worst that you would take"),
    ("HL", {"time_in_force": "fok"}, "no fill-or-kill", "use ioc"),
    ("HL", {"quantity": None, "quote_quantity": "50", "type": "market", "time_in_force": None,
            "price": None},
     "no parameter for quote_quantity", "leave it out"),
    ("HL", {"margin_mode": "cross"}, "no parameter for margin_mode; that is of okx", "leave it"),
    ("SPOT", {"reduce_only": True}, "no position that could be reduced", "leave it out"),
    ("USDM", {"quantity": None, "quote_quantity": "50", "type": "market", "time_in_force": None,
              "price": None}, "no parameter for quote_quantity", "leave it out"),
    ("OKX", {"margin_mode": None}, "okx wants the margin mode", "`margin_mode`: cross or isolated"),
    ("OKX", STOP | {"trigger_direction": "rise"}, "that is of bybit", "leave it out"),
    ("DERIBIT", STOP, "which price triggers",
     "`trigger_by`: last, mark or index"),
    ("DERIBIT", {"position_side": "long"}, "no parameter for position_side", "leave it out"),
    ("DERIBIT", STOP | {"close_on_trigger": True}, "that is of bybit", "leave it out"),
    ("BYBIT", {"margin_mode": "isolated"}, "that is of okx", "leave it out"),
    *((name, {"type": "market", "time_in_force": None}, "a worst price is for hyperliquid alone",
       "leave `price` out, or place a limit order with ioc")
      for name in ("SPOT", "USDM", "BYBIT", "OKX", "DERIBIT")),
]  # fmt: skip


@pytest.mark.parametrize(("instrument", "changes", "cause", "remedy"), UNSUPPORTED, ids=ids)
def test_what_the_venue_has_no_parameter_for(
    desk: Desk, instrument: str, changes: dict[str, Any], cause: str, remedy: str
) -> None:
    desk.is_refused(order_of(instrument, **changes), "unsupported", cause, remedy)


@pytest.mark.parametrize(
    ("order", "cause", "remedy"),
    [
        ({"action": "cancel_all", "instrument": "OKX"}, "okx has no cancel_all", "_after"),
        ({"action": "cancel_all", "instrument": "HL"}, "has no cancel_all", "each order"),
        ({"action": "cancel_all", "venue": "bybit"}, "kind of contract", "give `contract`"),
        ({"action": "cancel_all", "venue": "binance_spot"}, "one instrument", "give `instrument`"),
        ({"action": "cancel_all", "venue": "deribit", "contract": "inverse"},
         "no parameter for contract", "leave it out"),
        ({"action": "cancel_all_after", "instrument": "HL", "timeout_ms": 60000},
         "the whole account", '"venue": "hyperliquid"'),
        ({"action": "cancel_all_after", "instrument": "SPOT", "timeout_ms": 60000},
         "binance_spot has no cancel_all_after", "it has place"),
        ({"action": "query", "what": "open_orders", "instrument": "HL"}, "no signed", "info"),
    ],
    ids=ids,
)  # fmt: skip
def test_an_action_that_the_venue_has_not(
    desk: Desk, order: dict[str, Any], cause: str, remedy: str
) -> None:
    desk.is_refused(order, "unsupported", cause, remedy)


def test_an_amend_that_would_change_more_than_quantity_and_price(desk: Desk) -> None:
    assert desk.run("sign", desk.write("o.json", json.dumps(order_of("BYBIT")))).status == 2
    placed = desk.run(
        "sign", desk.write("o.json", json.dumps(order_of("BYBIT"))), "--agent", "maker", "--json"
    )
    assert placed.status == 0, placed
    amend = {
        "action": "amend",
        "target_action": json.loads(placed.out)["action_id"],
        "type": "limit",
        "time_in_force": "ioc",
        "quantity": "0.010",
        "price": "64000.00",
    }
    desk.is_refused(amend, "unsupported", "not its type, time in force", "place a new one")


@pytest.mark.parametrize(
    ("order", "reason", "cause", "remedy"),
    [
        (order_of("BYBIT-SPOT"), "key_none", "good for spot at bybit; it has bybit (bybit: linear)",
         "`products:`"),
        (order_of("OKX-SPOT"), "key_none", "good for spot at okx; it has okx", "`products:`"),
        (order_of("BYBIT-SPOT", key="bybit"), "key_not_granted",
         "bybit (bybit: linear) is not good for spot", "leave `key` out, or name one of"),
        (order_of("OKX", key="bybit"), "key_not_granted", "is not of okx", "leave `key` out"),
        (order_of("SPOT", key="wallet"), "key_not_granted",
         "wallet (binance_spot: wallet) is for firm/treasurer, not firm/maker", "name one of"),
    ],
    ids=ids,
)  # fmt: skip
def test_a_product_that_the_key_is_not_good_for(
    desk: Desk, order: dict[str, Any], reason: str, cause: str, remedy: str
) -> None:
    desk.is_refused(order, reason, cause, remedy)


def test_an_agent_key_of_hyperliquid_cannot_withdraw(desk: Desk) -> None:
    cause = "only a master key moves funds"
    for order, reason in ((WITHDRAW, "key_none"), (WITHDRAW | {"key": "hl"}, "key_not_granted")):
        desk.is_refused(order, reason, cause, "--master", agent="treasurer")


def test_a_master_key_of_hyperliquid_cannot_trade(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    made = make_six(tmp_path / "engine", policy=POLICY.replace("marks:", MASTER_KEY + "marks:", 1))
    desk = seat(made, tmp_path, capsys, monkeypatch)
    order = order_of("HL", key="master")
    desk.is_refused(order, "key_not_granted", "moves funds and nothing else", "agent key")
    file = desk.write("withdraw.json", json.dumps(WITHDRAW))
    assert desk.run("sign", file, "--agent", "treasurer").status == 0


def test_a_test_network_has_no_wallet(desk: Desk) -> None:
    order = {"action": "withdraw", "asset": "USDT", "network": "ETH", "amount": "5",
             "address": ADDRESS}  # fmt: skip
    cause = "the test network of binance_spot has no withdraw"
    desk.is_refused(order, "unsupported", cause, "environment live", agent="treasurer")


def test_a_sub_account_that_the_policy_does_not_name(desk: Desk) -> None:
    order = {"action": "transfer", "asset": "USDT", "amount": "5", "from_account": "spot",
             "to_account": "subaccount", "destination": "sub-9"}  # fmt: skip
    before = desk.state()
    text, error = desk.sign(order, "treasurer")
    assert (text.status, error["reason"]) == (3, "destination_not_allowed")
    assert "use one that the list names" in text.err
    assert desk.state() == before


def test_an_order_by_a_hostile_id_of_the_venue(desk: Desk) -> None:
    for id_ in ("1&symbol=ETHUSDT", '1","sz":"9', "../x", "1\n2", "é", "a" * 65, ""):
        for name in INSTRUMENTS.values():
            order = {"action": "cancel", "instrument": name, "target_venue_id": id_}
            before = desk.state()
            text, error = desk.sign(order)
            assert text.status in (2, 3), text
            assert error["kind"] in ("OrderInvalid", "PolicyDenied")
            assert error["next_step"]
            if id_:
                assert "letters, digits, '.', '_' or '-'" in error["message"]
            assert desk.state() == before
    for id_ in ("abc", "0123", "99999999999999999999"):
        order = {"action": "cancel", "instrument": "HL", "target_venue_id": id_}
        desk.is_refused(order, "order_text", "order ids are whole numbers", "without leading zeros")


def test_an_instrument_that_the_policy_lacks(desk: Desk) -> None:
    file = desk.write("order.json", json.dumps(order_of("OKXX")))
    words = ("sign", file, "--agent", "maker")
    desk.is_wrong(2, *words, says="no instrument 'OKXX' in the policy", remedy="name another")


@pytest.mark.parametrize("field", ["lab_nonce", "lab_expiry"])
def test_times_and_nonces_are_the_engines_own(desk: Desk, field: str) -> None:
    order = order_of("HL", **{field: 5})
    desk.is_refused(order, "order_lab_only", f"{field}: outside of the environment lab", "leave it")
    file = desk.write("order.json", json.dumps(order_of("HL", **{field: -5})))
    words = ("sign", file, "--agent", "maker")
    desk.is_wrong(2, *words, says=f"{field}: -5 is negative", remedy="not below 0")


def test_a_refusal_costs_no_use_of_the_key_and_no_nonce(desk: Desk) -> None:
    def placed() -> tuple[int, int, str]:
        file = desk.write("order.json", json.dumps(order_of("HL")))
        answer = desk.run("sign", file, "--agent", "maker", "--json")
        assert answer.status == 0, answer
        data = json.loads(answer.out)
        [record] = [r for r in read_log(desk.made.directory) if r.number == data["record"]]
        [daily] = [
            row["value"]
            for row in data["receipt"]["constraints_evaluated"]
            if row["type"] == "daily_limit"
        ]
        return record.key_counter, data["action_id"], daily

    before = placed()
    for changes in ({"price": "65000.001"}, {"time_in_force": "fok"}, {"key": "okx"}):
        assert desk.sign(order_of("HL", **changes))[0].status == 3
    after = placed()
    assert (after[0], after[1]) == (before[0] + 1, before[1] + 1)
    assert int(after[2]) - int(before[2]) == 650 * 10**6


# ---- The environment lab, where times, ids and nonces are given -------------------------------


@pytest.fixture(scope="module")
def lab_made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_six(tmp_path_factory.mktemp("lab") / "engine", environment=Environment.LAB)


@pytest.fixture
def lab(lab_made: Made, tmp_path: Path, capsys: Any, monkeypatch: Any) -> Desk:
    return seat(lab_made, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize("venue", BAD_TAGS)
def test_a_client_id_outside_the_venues_characters(lab: Desk, venue: str) -> None:
    for tag in BAD_TAGS[venue]:
        order = order_of(INSTRUMENTS[venue], tag=tag, lab_client_id=True)
        cause = f"a client order id of {venue} has "
        lab.is_refused(order, "order_text", cause, "give such a one")


@pytest.mark.parametrize("venue", VENUES)
def test_a_tag_with_characters_that_need_escaping(desk: Desk, venue: str) -> None:
    for tag in ("it's", "a&b=c", 'a"b', "a b", "é", "x" * 65):
        file = desk.write("order.json", json.dumps(order_of(INSTRUMENTS[venue], tag=tag)))
        words = ("sign", file, "--agent", "maker")
        desk.is_wrong(2, *words, says=f"tag: {tag!r} is not 1 to 64 letters", remedy="'.', '_'")


@pytest.mark.parametrize(
    ("venue", "expiry", "cause"),
    [
        ("binance_spot", 0, "recvWindow 0 is not 1 to 60000"),
        ("binance_spot", 60001, "recvWindow 60001"),
        ("binance_usdm", 60001, "recvWindow 60001"),
        ("bybit", 60001, "recvWindow 60001"),
        ("okx", PAST_MS, "is not after the timestamp"),
        ("deribit", PAST_MS, "is not after the timestamp"),
        ("hyperliquid", PAST_MS, "is not after the timestamp"),
        ("hyperliquid", 10**15, "further from it than hyperliquid takes"),
    ],
)
def test_an_expiry_that_has_passed_or_is_too_far_away(
    lab: Desk, venue: str, expiry: int, cause: str
) -> None:
    order = order_of(INSTRUMENTS[venue], lab_expiry=expiry)
    lab.is_refused(order, "expiry", cause, "leave it out")


@pytest.mark.parametrize("venue", ["deribit", "hyperliquid"])
def test_a_nonce_that_goes_back(lab: Desk, venue: str) -> None:
    order = order_of(INSTRUMENTS[venue])
    file = lab.write("order.json", json.dumps(order))
    assert lab.run("sign", file, "--agent", "maker").status == 0
    cause = f"the nonce {PAST_MS} is not above the last one of this engine; {venue} takes each once"
    lab.is_refused(order | {"lab_nonce": PAST_MS}, "nonce", cause, "give a higher one, or leave it")


def test_a_nonce_where_there_is_none(lab: Desk) -> None:
    order = order_of("SPOT", lab_nonce=1)
    lab.is_refused(order, "unsupported", "no parameter for nonce; that is of deribit", "leave it")
