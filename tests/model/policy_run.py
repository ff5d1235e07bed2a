"""One random scenario at the level of sentinel_policy_evaluate and sentinel_policy_debit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from tests.model import model, orders, policies, reports, stops, value
from tests.model.core import PolicyCore, Refused
from tests.model.differ import Disagreement, explain
from tests.model.names import (
    DAY_NS,
    FORMAT_REFERENCE,
    PASS,
    Action,
    MarkKind,
    NodeKind,
    Scope,
    Venue,
    Verdict,
)
from tests.model.policies import Style, chance
from tests.model.tables import Decimal, Order, Policy


def subject_of(policy: Policy, order: Order, venue: int) -> value.Subject:
    """An order with its rows looked up; `venue` is that of the key of a withdrawal or transfer."""
    instrument = policy.instrument_of.get(order.instrument)
    if order.action == Action.MESSAGE:
        venue = Venue.NONE
    elif order.action not in value.FUNDS:
        venue = instrument.venue if instrument else order.venue
    return value.Subject(
        agent=order.agent,
        action=Action(order.action),
        venue=venue,
        instrument=instrument,
        asset=policy.asset_of.get(order.asset),
        side=order.side,
        type=order.type,
        tif=order.tif,
        quantity=order.quantity,
        quote_quantity=order.quote_quantity,
        price=order.price,
        trigger_price=order.trigger_price,
        amount=order.amount,
        destination=(order.network, order.address, order.memo) if order.address else None,
        reduce_only=order.reduce_only,
        position_side=order.position_side,
        lineage=(order.parent[0],) if order.parent else (),
    )


class PolicyRun:
    """A policy, its state in the model and in the core, and a clock."""

    def __init__(self, rng: Random, counts: Counter[str]) -> None:
        self.rng = rng
        self.counts = counts
        self.world = policies.new_world(rng, Style())
        self.state = value.State()
        self.core = PolicyCore(self.world.policy)
        self.action_id = 0
        self.calm = 0
        start = rng.choice((0, 0, DAY_NS, 20_000 * DAY_NS, 1_700_000_000 * 10**9))
        self.now = max(0, start + rng.choice((-1, 0, 1, 5 * self.world.unit_ns)))
        assets = [row for row in sorted(self.world.typical) if row[0] == MarkKind.ASSET]
        self.unfed = set(rng.sample(assets, 2)) if chance(rng, 30) else set()  # for ever absent
        for kind, row in sorted(self.world.typical):
            if chance(rng, 90):
                self.take_marks([(kind, row, self.world.typical[kind, row], self.now)])

    def step(self) -> None:
        rng = self.rng
        if self.calm:  # what a new version carried over still counts
            self.calm -= 1
            self.now += rng.choice((0, 0, 1, self.world.unit_ns))
        else:
            self.now = orders.next_time(rng, self.world, self.state, self.now)
        self.state.last_now = self.now
        self.core.set_last_now(self.now)
        draw = 99 if self.calm else rng.randrange(100)
        if draw < 14:
            count = rng.choice((1, 3))
            self.take_marks([orders.some_mark(rng, self.world, self.now) for _ in range(count)])
        elif draw < (30 if self.state.stops else 18):
            self.halt_or_resume()
        elif draw < 36 and chance(rng, 40):
            self.hold()
        elif draw < 42 and chance(rng, 60 if len(self.state.stops) > 1 else 12):
            self.load_next_version()
        else:
            self.decide()
        self.counts["steps"] += 1

    def take_marks(self, marks: list[tuple[int, int, Decimal, int]]) -> None:
        marks = [mark for mark in marks if mark[:2] not in self.unfed]
        if not marks:
            return
        for mark in marks:
            model.feed(self.world.policy, self.state, *mark)
        self.core.feed(marks)
        self.counts["marks"] += len(marks)

    def hold(self) -> None:
        """A position of something, long, short or none, at any scale."""
        rng = self.rng
        instrument = rng.choice(self.world.policy.instruments).id
        held = orders.some_holding(rng)
        self.state.positions[instrument] = reports.Held(reports.exactly(held))
        self.core.hold(instrument, held)

    def halt_or_resume(self) -> None:
        rng, held = self.rng, self.state.stops
        if held and not chance(rng, 15):
            self.put(rng.choice(sorted(held)), stops.RUNNING)
        else:
            places = [orders.some_place(rng, self.world) for _ in range(rng.choice((1, 1, 2, 3)))]
            if chance(rng, 30):  # groups that stop unalike, for agents that move
                nodes = self.world.policy.nodes
                places = [(Scope.NODE, n.id) for n in nodes if n.kind == NodeKind.GROUP]
                for place in places:
                    self.put(place, orders.some_stop(rng, self.now, halts=10))
                if len(places) > 1 and chance(rng, 70):
                    self.load_next_version()
                return
            for place in places:
                self.put(place, orders.some_stop(rng, self.now))
        self.counts["halts and resumes"] += 1

    def put(self, place: stops.Place, stop: stops.Stop) -> None:
        stops.put(self.state.stops, place, stop)
        self.core.stop(place, stop)

    def load_next_version(self) -> None:
        """The next version; one that lifts a stop must be refused by both."""
        policy = policies.revised(self.rng, self.world, self.state)
        self.counts["versions"] += 1
        try:
            state = model.migrate(self.world.policy, self.state, policy)
        except model.StopLost:
            try:
                PolicyCore(policy, self.core)
            except Refused as refused:
                if refused.status == FORMAT_REFERENCE:
                    return
            raise Disagreement("a version that lifts a stop was not refused") from None
        self.core = PolicyCore(policy, self.core)
        self.world.policy, self.state = policy, state
        self.calm = 8
        known = policy.instrument_of
        self.world.typical = {
            (kind, row): price
            for (kind, row), price in self.world.typical.items()
            if row in (known if kind == 1 else policy.asset_of)
        }

    def decide(self) -> None:
        rng, policy = self.rng, self.world.policy
        self.action_id += 1
        agent = rng.choice(sorted(policy.chains))
        order = orders.some_order(rng, self.world, agent, self.action_id)
        order = orders.closing(rng, self.state, order)
        if chance(rng, 70) and (marks := orders.marks_for(rng, self.world, order, self.now)):
            self.take_marks(marks)
        beat = orders.some_beat(rng, self.world, agent, self.now)
        if beat is not None and chance(rng, 60):
            self.state.beats[agent] = beat
            self.core.beat(agent, beat)
        if chance(rng, 15):
            order = replace(order, parent=(rng.choice(sorted(policy.chains)), 1))
        asset = policy.asset_of.get(order.asset)
        venue = asset.venue if asset and asset.venue else rng.randint(1, 6)
        subject = subject_of(policy, order, venue)
        for _ in range(rng.choice((0, 1, 1, 2))):
            order = orders.aimed(rng, self.world, self.state, order, subject, self.now)
            subject = subject_of(policy, order, venue)
        self.core.set_subject(order, subject)
        expected = self.judge(order, subject)
        if expected.verdict == Verdict.PENDING and chance(rng, 50):  # as if it were approved
            expected = expected._replace(verdict=Verdict.ALLOWED)
            self.core.decision.verdict = Verdict.ALLOWED
        if expected.verdict == Verdict.ALLOWED:
            model.debit(policy, self.state, subject, expected, self.now)
            self.core.debit(self.now)
            self.judge(order, subject)  # the same again: what was debited counts
        self.tally(expected)

    def judge(self, order: Order, subject: value.Subject) -> model.Decision:
        policy = self.world.policy
        expected = model.evaluate(policy, self.state, subject, self.now)
        found = self.core.evaluate(self.now)
        if found != expected:
            raise Disagreement(explain(policy, self.state, order, self.now, expected, found))
        return expected

    def tally(self, decision: model.Decision) -> None:
        self.counts["decisions"] += 1
        self.counts["allowed"] += decision.verdict == Verdict.ALLOWED
        self.counts["results"] += len(decision.results)
        for result in decision.results:
            self.counts["at the edge"] += result.result == PASS and 0 < result.value == result.bound
        for reason in decision.reasons:
            self.counts[f"reason {reason}"] += 1
        self.world.retries = [time for time in decision.retry_at if time]
