"""The list of a drain: what is planned, what is sent, and what the report says is left.

Goal: every order that may be open is cancelled and every known position closed, venue by venue,
by cancel-all where there is one; a venue that is dead, refuses or keeps something holds up no
other and is named. Method: an engine with real signatures, and loopback venues on 127.0.0.1.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import fault_desk
import pytest
from engines import PASSPHRASE, Made
from venue_fakes import VENUES, make

from sentinel import _drain_send, _layout
from sentinel._cli import main
from sentinel._enums import Action, MarginMode, OrderStatus, Side
from sentinel._frame import FrameKind
from sentinel._layout import FedPosition, FedReport
from sentinel._order import decimal_of
from sentinel.audit import read_log, replay, restore
from sentinel.config import AuthorityRing, Installed
from sentinel.drain import Plan, Report, plan_drain, plan_of, send_drain, worst_price
from sentinel.order import OrderType, Place, TimeInForce, unpack
from sentinel.sign import Signer
from sentinel.submit import Submitter
from tests.venues.loopback import LoopbackVenue, Request

POLICY = (
    fault_desk.POLICY.replace(
        "[place, amend, cancel, query]", "[place, amend, cancel, cancel_all, query]"
    )
    .replace(
        """{venue: okx, contract: spot, symbol: BTC-USDT, base: BTC, quote: USDT, tick: 0.1,
        lot: 0.00001}""",
        """{venue: okx, contract: linear, symbol: BTC-USDT-SWAP, base: BTC, quote: USDT,
        unit: contracts, multiplier: 0.01, tick: 0.1, lot: 0.01}""",
    )
    .replace("products: [spot]", "products: [linear]")
    .replace("entries: 65536", "entries: 64")
)
ALL_AT_ONCE = ("binance_spot", "binance_usdm", "bybit", "deribit")
"""Venues that cancel everything of an instrument by one request."""
SIZES = dict.fromkeys(VENUES, "0.01") | {"deribit": "100", "okx": "1", "hyperliquid": "0.1"}
CLOSED = tuple(name for name in VENUES if name != "binance_spot")


@dataclass
class Desk:
    """An engine that drains, and its venues."""

    made: Made
    venues: dict[str, LoopbackVenue]
    dead: set[str] = field(default_factory=set)
    reports: int = 0

    @property
    def urls(self) -> dict[str, str]:
        # Nothing listens at port 1.
        dead = dict.fromkeys(self.dead, "http://127.0.0.1:1")
        return {name: venue.url for name, venue in self.venues.items()} | dead

    def open(self) -> Signer:
        return self.made.open()

    def submitter(self) -> Submitter:
        return Submitter(endpoints=self.urls, timeout_s=2, deadline_s=3, http2=False)

    def trade(self, signer: Signer, *names: str, **terms: Any) -> list[int]:
        """One resting order at each of these venues."""
        session, made = signer.session("trader"), []
        with Submitter(
            endpoints={name: venue.url for name, venue in self.venues.items()}, http2=False
        ) as submitter:
            for name in names:
                signed = session.sign(self.order(signer, name, **terms))
                submitter.submit(signed, session=session)
                made.append(signed.action_id)
        return made

    def order(self, signer: Signer, name: str, **terms: Any) -> Place:
        fields: dict[str, Any] = {
            "instrument": signer.policy.instrument(name).id,
            "side": Side.BUY,
            "type": OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "quantity": SIZES[name],
            "price": fault_desk.PRICES[name][0],
            "margin_mode": MarginMode.ISOLATED if name == "okx" else None,
        }
        return Place(**(fields | terms))

    def feed(self, signer: Signer, part: bytes) -> None:
        ring = AuthorityRing.open(self.made.directory, PASSPHRASE)
        signer.take(ring.sign(FrameKind.FEED, part))

    def hold(self, signer: Signer, **held: str) -> None:
        """States positions; "-1" is short."""
        now = time.time_ns()
        rows = []
        for name, text in held.items():
            mantissa, scale = decimal_of(text.removeprefix("-"), name)
            sign = -1 if text.startswith("-") else 1
            id_ = signer.policy.instrument(name).id
            rows.append(FedPosition(id_, (sign * mantissa, scale), now))
        self.feed(signer, _layout.position_feed(rows, signer.installed.terms(now, now)))

    def report(self, signer: Signer, action: int, status: OrderStatus, filled: str = "0") -> None:
        now = time.time_ns()
        self.reports += 1
        agent = signer.policy.agent("trader").id
        row = FedReport(agent, status, action, decimal_of(filled, "filled"), (0, 0), now)
        terms = signer.installed.terms(self.reports, now)
        self.feed(signer, _layout.report_feed([row], terms))

    def send(self, signer: Signer, plan: Plan | None = None) -> Report:
        with self.submitter() as submitter:
            todo = plan or plan_drain(signer)
            return send_drain(todo, signer, submitter, tries=2, pause_s=0.01)

    def live(self) -> dict[str, int]:
        return {name: len(venue.live()) for name, venue in self.venues.items() if venue.live()}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = fault_desk.make_desk(tmp_path / "engine", POLICY)
    venues = {name: make(name).start() for name in VENUES}
    with made.open() as signer:
        signer.feed_marks(fault_desk.MARKS, assets={"BTC": "65000", "ETH": "3000"})
    yield Desk(made, venues)
    for venue in venues.values():
        venue.stop()


def kinds(plan: Plan) -> list[tuple[str, str]]:
    return [(step.venue.name.lower(), step.kind) for step in plan.steps]


def test_the_plan_goes_venue_by_venue_and_signs_nothing(desk: Desk) -> None:
    with desk.open() as signer:
        actions = desk.trade(signer, *VENUES, *VENUES)
        desk.hold(signer, **dict.fromkeys(VENUES, "0.1") | {"deribit": "-200", "okx": "3"})
        signer.drain("end of day")
        before = signer.status().records, {n: v.requests for n, v in desk.venues.items()}
        plan = plan_drain(signer)
        assert before == (
            signer.status().records,
            {n: v.requests for n, v in desk.venues.items()},
        )
    expected = []
    for name in VENUES:
        expected += [(name, "cancel_all")] if name in ALL_AT_ONCE else [(name, "cancel")] * 2
        expected += [(name, "close")] if name in CLOSED else []
    assert kinds(plan) == expected
    assert [step.number for step in plan.steps] == list(range(1, len(expected) + 1))
    assert sorted(a for step in plan.steps for a in step.targets) == sorted(actions)
    [stay] = plan.stays
    assert (stay.name, stay.blocks) == ("binance_spot", False)
    assert "reduce-only" in stay.why
    closes = {step.name: step.order for step in plan.steps if step.kind == "close"}
    assert closes["deribit"].side is Side.BUY
    assert closes["deribit"].quantity == "200"
    assert closes["okx"].margin_mode is MarginMode.ISOLATED  # as its last order had it
    assert closes["hyperliquid"].price == "2970.0"
    assert all(order.reduce_only for order in closes.values())
    # The same from the log alone, as the command reads it.
    where = desk.made.directory
    again = plan_of(restore(where), Installed(where).policy(), directory=str(where))
    assert again.to_json() == plan.to_json()


def test_everything_is_cancelled_and_closed(desk: Desk) -> None:
    with desk.open() as signer:
        desk.trade(signer, *VENUES, *VENUES)
        desk.hold(signer, **dict.fromkeys(VENUES, "0.1") | {"deribit": "-200", "okx": "3"})
        signer.drain("end of day")
        heard: list[str] = []
        with desk.submitter() as submitter:
            report = send_drain(
                plan_drain(signer),
                signer,
                submitter,
                pause_s=0.01,
                progress=lambda step, outcome: heard.append(outcome),
            )
    assert desk.live() == {}
    assert report.is_done, report.lines()
    assert not report.is_unknown
    for name, one in report.venues.items():
        assert {row.outcome for row in one.done} <= {"cancelled", "closed"}, one.lines()
        assert one.checked or name == "hyperliquid"
        closed = [order for order in desk.venues[name].orders if order.state == "filled"]
        assert len(closed) == (name in CLOSED)
    assert len(heard) == sum(len(one.done) for one in report.venues.values())
    assert report.lines()[-1] == "done: nothing is open"
    assert not list(replay(desk.made.directory).differences)


def test_a_dead_venue_holds_up_no_other_and_is_named(desk: Desk) -> None:
    with desk.open() as signer:
        actions = desk.trade(signer, *VENUES)
        desk.hold(signer, bybit="0.1", deribit="200")
        signer.drain("end of day")
        desk.dead = {"bybit"}
        report = desk.send(signer)
    assert desk.live() == {"bybit": 1}
    assert not report.is_done
    bybit = report.venues["bybit"]
    assert "127.0.0.1:1" in bybit.dead
    assert [row.outcome for row in bybit.done] == ["not_sent", "not_sent"]
    left = [row.text() for row in bybit.still_open]
    assert f"orders {actions[2]} of firm/trader" in left[0]
    assert "position" in left[1]
    for name in set(VENUES) - {"bybit"}:
        assert not report.venues[name].dead
        assert not [row for row in report.venues[name].still_open if row.blocks]
    text = "\n".join(report.lines())
    assert "DEAD" in text
    assert text.endswith("NOT DONE: something is still open")


def test_a_venue_without_answers_is_dead_too(desk: Desk) -> None:
    with desk.open() as signer:
        desk.trade(signer, "okx", "okx", "okx", "deribit")
        signer.drain("incident")
        desk.venues["okx"].handle = mute  # type: ignore[method-assign]
        with Submitter(
            endpoints=desk.urls, timeout_s=0.1, deadline_s=0.3, http2=False
        ) as submitter:
            report = send_drain(plan_drain(signer), signer, submitter, tries=1, pause_s=0.01)
    okx = report.venues["okx"]
    assert [row.outcome for row in okx.done] == ["unknown", "unknown", "not_sent"]
    assert "does not answer" in okx.dead
    assert report.is_unknown
    assert len(okx.still_open) == 3
    assert not report.venues["deribit"].still_open


def test_a_close_that_nobody_knows_of_is_signed_once(desk: Desk) -> None:
    with desk.open() as signer:
        desk.hold(signer, bybit="0.1")
        signer.drain("incident")
        desk.venues["bybit"].handle = mute  # type: ignore[method-assign]
        with Submitter(
            endpoints=desk.urls, timeout_s=0.1, deadline_s=0.3, http2=False
        ) as submitter:
            report = send_drain(plan_drain(signer), signer, submitter, tries=3, pause_s=0.01)
    [done] = report.venues["bybit"].done
    assert (done.outcome, done.tries) == ("unknown", 1)
    assert report.is_unknown
    assert "position" in report.venues["bybit"].still_open[0].what
    closes = [
        record
        for record in read_log(desk.made.directory)
        if record.type.name == "ORDER" and unpack(record.subject).order.ACTION is Action.PLACE
    ]
    assert len(closes) == 1


def test_a_fault_of_ours_at_one_venue_costs_no_report(desk: Desk, monkeypatch: Any) -> None:
    def broken(self: Any, step: Any) -> None:
        if step.name == "okx":
            raise ZeroDivisionError("a fault")
        cancel(self, step)

    cancel = _drain_send._VenueWork._cancel
    monkeypatch.setattr(_drain_send._VenueWork, "_cancel", broken)
    with desk.open() as signer:
        desk.trade(signer, "okx", "deribit")
        signer.drain("end of day")
        report = desk.send(signer)
    okx = report.venues["okx"]
    assert [row.outcome for row in okx.done] == ["not_sent"]
    assert "a fault" in okx.dead
    assert okx.still_open
    assert desk.live() == {"okx": 1}
    assert not report.venues["deribit"].still_open


def mute(request: Request) -> Any:
    raise ConnectionError("the venue says nothing")


def test_where_cancel_all_is_refused_it_goes_one_by_one(desk: Desk) -> None:
    with desk.open() as signer:
        signer.load_policy(POLICY.replace(" cancel_all,", ""))
        desk.trade(signer, "bybit", "bybit", "deribit")
        signer.drain("end of day")
        plan = plan_drain(signer)
        assert kinds(plan) == [("bybit", "cancel")] * 2 + [("deribit", "cancel")]
        # The list was made before the policy took the right away: the core refuses, and then too.
        signer.load_policy(POLICY)
        early = plan_drain(signer)
        assert kinds(early) == [("bybit", "cancel_all"), ("deribit", "cancel_all")]
        signer.load_policy(POLICY.replace(" cancel_all,", ""))
        report = desk.send(signer, early)
    outcomes = [row.outcome for row in report.venues["bybit"].done]
    assert outcomes == ["refused_by_policy", "cancelled", "cancelled"]
    assert "action_not_allowed" in report.venues["bybit"].done[0].why
    assert desk.live() == {}
    assert report.is_done, report.lines()


def test_orders_with_a_trigger_are_cancelled_by_name_where_they_are_apart(desk: Desk) -> None:
    with desk.open() as signer:
        desk.trade(signer, "binance_usdm")
        [stop] = desk.trade(
            signer,
            "binance_usdm",
            type=OrderType.STOP_MARKET,
            time_in_force=TimeInForce.NONE,
            price=None,
            trigger_price="64000",
            side=Side.SELL,
        )
        signer.drain("end of day")
        plan = plan_drain(signer)
        assert kinds(plan) == [("binance_usdm", "cancel_all"), ("binance_usdm", "cancel")]
        assert plan.steps[1].targets == (stop,)
        assert "with a trigger" in plan.steps[1].text
        assert any("does not reach orders with a trigger" in note for note in plan.notes)
        report = desk.send(signer, plan)
    assert desk.live() == {}
    assert report.is_done, report.lines()


def test_what_has_ended_or_never_rests_is_no_step(desk: Desk) -> None:
    with desk.open() as signer:
        first, second, third = desk.trade(signer, "okx", "okx", "okx")
        desk.trade(signer, "okx", time_in_force=TimeInForce.IOC)
        desk.report(signer, first, OrderStatus.FILLED, "1")
        desk.report(signer, second, OrderStatus.CANCELLED)
        desk.report(signer, third, OrderStatus.PARTLY_FILLED, "0.4")
        signer.drain("end of day")
        plan = plan_drain(signer)
    assert kinds(plan) == [("okx", "cancel"), ("okx", "close")]
    assert plan.steps[0].targets == (third,)
    assert plan.steps[1].order.quantity == "1.4"  # bought, as reported


def test_what_is_halted_stays_and_says_so(desk: Desk) -> None:
    with desk.open() as signer:
        desk.trade(signer, "okx", "bybit")
        desk.hold(signer, okx="1")
        signer.halt("incident", venue="okx")
        signer.drain("end of day")
        plan = plan_drain(signer)
        assert kinds(plan) == [("bybit", "cancel_all")]
        assert [stay.blocks for stay in plan.stays] == [True, True]
        assert all("okx is halted" in stay.why for stay in plan.stays)
        report = desk.send(signer, plan)
    assert not report.is_done
    assert len(report.venues["okx"].still_open) == 2


def test_a_position_of_others_too_is_left_to_them(desk: Desk) -> None:
    with desk.open() as signer:
        signer.load_policy(POLICY.replace("{trader: {}}", "{trader: {}, other: {}}"))
        desk.trade(signer, "deribit", "okx")
        desk.hold(signer, deribit="100")
        signer.drain("this one only", scope="trader")
        on = target(signer, node="trader")
        plan = plan_drain(signer, on)
        # Cancel-all would reach what the other agent has with the same key.
        assert kinds(plan) == [("okx", "cancel"), ("deribit", "cancel")]
        assert "firm/other" in plan.stays[0].why
        venue = plan_drain(signer, target(signer, venue="deribit"))
        assert kinds(venue) == [("deribit", "cancel_all"), ("deribit", "close")]


def target(signer: Signer, **on: Any) -> Any:
    from sentinel._stops import target_of

    return target_of(signer.policy, **on)


def test_a_close_is_refused_with_the_reason_and_the_position_stays(desk: Desk) -> None:
    with desk.open() as signer:
        signer.load_policy(POLICY.replace("max_value: 100k USD", "max_value: 1k USD"))
        desk.hold(signer, bybit="0.5")
        signer.drain("end of day")
        report = desk.send(signer)
    [done] = report.venues["bybit"].done
    assert done.outcome == "refused_by_policy"
    assert done.why.startswith("value_cap")
    assert not report.is_done
    assert "value_cap" in report.venues["bybit"].still_open[0].why


@pytest.mark.parametrize(
    ("name", "side", "mark", "price"),
    [
        ("hyperliquid", Side.SELL, "3000", "2970.0"),
        ("hyperliquid", Side.BUY, "3001.37", "3031.3"),
        ("hyperliquid", Side.BUY, "101234", "102246"),
        ("bybit", Side.SELL, "65000.03", "64350.1"),
        ("deribit", Side.BUY, "65000.03", "65650.0"),
    ],
)
def test_prices_are_on_the_grid_and_not_further(
    desk: Desk, name: str, side: Side, mark: str, price: str
) -> None:
    with desk.open() as signer:
        instrument = signer.policy.instrument(name)
    found = worst_price(instrument, side, Decimal(mark), Decimal("0.01"))
    assert found == Decimal(price)


# ---- The command ------------------------------------------------------------------


@dataclass
class Zcp:
    desk: Desk
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> tuple[int, str, str]:
        try:
            status = main([*words, "--dir", str(self.desk.made.directory)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        shown = self.capsys.readouterr()
        return status, shown.out, shown.err

    def endpoints(self) -> list[str]:
        return [f"--endpoint={name}={url}" for name, url in self.desk.urls.items()]


@pytest.fixture
def zcp(desk: Desk, tmp_path: Path, capsys: Any, monkeypatch: Any) -> Zcp:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return Zcp(desk, capsys)


def test_the_command_shows_the_list_and_sends_it_when_asked(desk: Desk, zcp: Zcp) -> None:
    with desk.open() as signer:
        desk.trade(signer, "bybit", "okx")
        desk.hold(signer, bybit="-0.1")
    status, out, err = zcp("drain", "--reason", "end of day")
    assert status == 0, err
    for words in (
        "draining: firm",
        "cancel all orders of bybit",
        "buy 0.1 of bybit at market",
        "reduce only",
        "nothing of this is signed",
    ):
        assert words in out
    assert len(desk.venues["bybit"].live()) == 1
    signed = sum(record.type.name == "ORDER" for record in read_log(desk.made.directory))
    assert signed == 2
    status, out, err = zcp("drain", "--again", "--send", *zcp.endpoints(), "--json")
    assert status == 0, out + err
    data = json.loads(out)
    assert data["sent"]["done"] is True
    assert [row["outcome"] for row in data["sent"]["venues"][0]["steps"]] == ["cancelled", "closed"]
    assert desk.live() == {}


def test_the_command_halts_when_it_is_done_and_not_before(desk: Desk, zcp: Zcp) -> None:
    with desk.open() as signer:
        desk.trade(signer, "bybit", "okx")
    desk.dead = {"okx"}
    words = ("drain", "--reason", "end of day", "--send", "--halt-when-done", "--deadline", "2s")
    status, out, err = zcp(*words, *zcp.endpoints())
    assert status == 11, out + err
    assert "DEAD" in out
    assert "not halted: something is still open" in out
    assert desk.live() == {"okx": 1}
    desk.dead = set()
    status, out, err = zcp(*words, *zcp.endpoints())
    assert status == 0, out + err
    assert "halted: firm" in out
    with desk.open() as signer:
        assert signer.status().stops[0].mode == "halted"
    status, out, err = zcp("drain", "--again", "--send", *zcp.endpoints())
    assert status == 4
    assert "not even cancels" in err


def test_beside_a_writer_the_list_is_shown_and_not_sent(desk: Desk, zcp: Zcp) -> None:
    with desk.open() as signer:
        desk.trade(signer, "bybit")
        signer.drain("end of day")
        status, out, err = zcp("drain", "--again")
        assert status == 0, err
        assert "cancel all orders of bybit" in out
        status, _, err = zcp("drain", "--again", "--send", *zcp.endpoints())
        assert status == 6
    assert desk.live() == {"bybit": 1}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "a drain needs a reason"),
        (("--again", "--halt-when-done"), "a halt has a reason"),
        (("--again", "--timeout", "2s"), "--timeout is of --halt-when-done"),
        (("--reason", "x", "--halt-when-done", "--timeout", "soon"), "--timeout"),
        (("--again", "--reason", "x", "--halt-when-done"), "does not drain"),
        (("--again", "--deadline", "2s"), "add --send"),
        (("--again", "--send", "--endpoint", "nowhere=http://127.0.0.1:1"), "VENUE=URL"),
        (("--again", "--send", "--deadline", "soon"), "--deadline"),
        (("--again", "--within", "70 %"), "0 % to 50 %"),
        (("--again", "--until", "1h"), "--again signs none"),
        (("--again", "--send"), "does not drain"),
    ],
)
def test_wrong_words_sign_nothing(zcp: Zcp, words: tuple[str, ...], says: str) -> None:
    before = [
        record.number
        for record in read_log(zcp.desk.made.directory)
        if record.type.name in ("ORDER", "COMMAND")
    ]
    status, _, err = zcp("drain", *words)
    assert status == 2
    assert says in err
    after = [
        record.number
        for record in read_log(zcp.desk.made.directory)
        if record.type.name in ("ORDER", "COMMAND")
    ]
    assert after == before
