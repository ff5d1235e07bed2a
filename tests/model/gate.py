"""What stands around policy: who asks, which id, which rows, which key, what is recorded.

The stages run in the order below. All reasons of a stage that apply are set, and a later stage
is not reached when an earlier one refused:

1. the clock: a step back within the tolerance reuses the last time, beyond it the engine halts;
2. the engine is halted (also by its clock just now), the control page says stop, no policy;
3. the order's form (not modelled: the caller gives the reason);
4. the agent;
5. the action id (the first of ID_TOO_OLD and DUPLICATE), and the parent;
6. target, instrument, environment, asset, network, venue, tick, lot;
7. the key;
8. policy;
9. rendering (not modelled: the caller gives the reason).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests.model import beats, clock, lineage, model, reports, stops, value
from tests.model.approvals import Request, Requests
from tests.model.book import Entry, Feeds, is_displaced, take_over
from tests.model.names import (
    ALL_PRODUCTS,
    ENDPOINT_GRANT,
    FORMAT_RANGE,
    ID_WINDOW,
    POLICY_APPROVAL,
    POLICY_CLOCK,
    POLICY_SCOPE,
    POLICY_SEQUENCE,
    POLICY_SIGNATURE,
    POLICY_STOPPED,
    USAGE_STATE,
    WALLET,
    Action,
    By,
    Purpose,
    Reason,
    Scope,
    Venue,
    Verb,
    Verdict,
)
from tests.model.stops import Mode, Stop
from tests.model.tables import Asset, Decimal, Instrument, Key, Order, Policy

# Whose signatures do not cover the endpoint.
OPEN_VENUES = (Venue.BINANCE_SPOT, Venue.BINANCE_USDM, Venue.BYBIT)


@dataclass
class Agent(lineage.Ids):
    """Ids and refused attempts of one agent."""

    book: dict[int, Entry] = field(default_factory=dict)  # by action id % book_entries
    since: int = 0
    attempts: int = 0
    suppressed: int = 0
    suppressed_first: int = 0
    suppressed_last: int = 0
    suppressed_reasons: set[int] = field(default_factory=set)
    beat_sequence: int = 0


class Answer(NamedTuple):
    verdict: int
    reasons: frozenset[int]
    recorded: bool
    record: int  # number; meaningful when recorded, or when a duplicate
    now: int
    decision: model.Decision | None  # when policy was reached

    @property
    def reason(self) -> int:
        return min(self.reasons, default=Reason.NONE)


class Found(NamedTuple):
    """The rows that an order means."""

    instrument: Instrument | None
    asset: Asset | None
    entry: Entry | None
    venue: int


class OpenEndpoint(Exception):
    """A bundle has a key for several products, of a venue whose signatures cover no endpoint."""


class ForeignInstrument(Exception):
    """A bundle has an instrument of another environment."""


def is_multiple(value: Decimal, step: Decimal) -> bool:
    return reports.exactly(value) % reports.exactly(step) == 0


def is_too_open(key: Key) -> bool:
    several = key.products.bit_count() > 1
    return several and key.venue in OPEN_VENUES and not key.flags & ENDPOINT_GRANT


class Gate:
    """An engine without bytes: no frames, signatures or records, only their count."""

    def __init__(self, environment: int, keyring: dict[int, bytes]) -> None:
        self.environment = environment
        self.keyring = keyring  # fingerprint by key id
        self.policy: Policy | None = None
        self.state = value.State()
        self.agents: dict[int, Agent] = {}
        self.strangers = Agent()
        self.requests = Requests()
        self.feeds = Feeds()
        self.records = 0
        self.halted = 0  # a status
        self.stop = False
        self.lease_until = 0
        self.relied = 0  # the time of the last record that something rests on

    # ---- Frames: each that is taken or refused is one record.

    def record(self, now: int, *, rests: bool = False) -> int:
        self.state.last_now = now
        self.relied = now if rests else self.relied
        self.records += 1
        return self.records - 1

    def clock(self, now: int) -> int:
        """The time at which a frame counts: it is taken on any clock, which may halt the engine."""
        self.clock_reasons(now)
        return max(now, self.state.last_now)

    def take_policy(self, policy: Policy, now: int) -> None:
        """Raises OpenEndpoint, ForeignInstrument and model.StopLost (also recorded)."""
        now = self.clock(now)
        self.flush(now)  # agents that are to go leave no denial only counted
        before, state = self.policy, self.state
        self.state = replace(state)  # what is carried over is of the time before this record
        self.record(now)
        if any(is_too_open(key) for key in policy.keys):
            raise OpenEndpoint
        carried = model.migrate(before, state, policy) if before is not None else None
        if any(row.environment != self.environment for row in policy.instruments):
            raise ForeignInstrument
        if carried is not None:
            self.state = carried
            self.state.last_now = now
        known, self.agents = self.agents, {}
        for agent in policy.chains:
            kept = self.agents[agent] = known.get(agent, Agent())
            entries = sorted(kept.book.values(), key=lambda entry: entry.action_id)
            kept.book = {entry.action_id % policy.book_entries: entry for entry in entries}
        self.policy, self.relied = policy, now
        if policy.lease_ns:
            self.lease_until = min(self.lease_until, now + policy.lease_ns)

    def take_command(
        self, verb: int, place: stops.Place, until: int, operators: int, now: int
    ) -> int:
        """The status: 0, or why it is refused. K is 2."""
        if clock.sets(verb, place, until):
            return clock.set_back(self, place, until, operators, now)
        now = self.clock(now)
        status = self.obey(verb, place, until, operators, now)
        self.relied = self.relied if status or verb == Verb.HALT else now
        return status

    def obey(self, verb: int, place: stops.Place, until: int, operators: int, now: int) -> int:
        assert self.policy is not None
        number = self.record(now)
        if verb == Verb.RESUME and operators < 2:
            return POLICY_SIGNATURE
        if verb == Verb.LEASE:
            return clock.lease(self, *place, until, now)
        if until < 0 or (until and verb != Verb.DRAIN):
            return FORMAT_RANGE
        if not stops.exists(self.policy, place):
            return POLICY_SCOPE
        mode = {Verb.HALT: Mode.HALTED, Verb.DRAIN: Mode.DRAINING, Verb.RESUME: Mode.RUNNING}
        before = self.state.stops.get(place, stops.RUNNING)
        after = Stop(mode[Verb(verb)], until, number, now)
        if verb == Verb.DRAIN:
            if stops.mode_at(before, now) == Mode.HALTED:
                return POLICY_STOPPED
            loosens = stops.strictness(after, now) < stops.strictness(before, now)
            if loosens and operators < 2:
                return POLICY_SIGNATURE
        stops.put(self.state.stops, place, after)
        if verb == Verb.RESUME and place[0] == Scope.NODE:
            self.forget_beats(place[1])
        if verb == Verb.RESUME and place == (Scope.NODE, self.policy.nodes[0].id):
            self.halted = 0  # the firm's resume lifts the engine's own halt too
        return 0

    def take_marks(self, marks: list[tuple[int, int, Decimal, int]], now: int) -> int:
        if clock.is_early(self, now):
            return clock.refuse_early(self, now)
        self.record(self.clock(now), rests=True)
        if self.policy is not None:
            for mark in marks:
                model.feed(self.policy, self.state, *mark)
        return 0

    def note(self, now: int) -> None:
        """The clock was compared: a record, and nothing else."""
        self.record(self.clock(now))

    # ---- Heartbeats.

    def start(self, now: int) -> None:
        """A new epoch: whoever must beat begins anew."""
        self.record(self.clock(now))
        self.state.beats = {}

    def take_beat(
        self, agent: int, beat: beats.Beat, sequence: int, now: int, *, own_key: bool
    ) -> int:
        """The status: 0, or why it is refused."""
        if clock.is_early(self, now):
            return clock.refuse_early(self, now)
        now = self.clock(now)
        status = 0
        if beat.running < 0 or beat.running > beat.issued:
            status = FORMAT_RANGE
        elif sequence <= self.agents[agent].beat_sequence:
            status = POLICY_SEQUENCE
        elif not own_key:
            status = POLICY_SIGNATURE
        if status:
            self.record(now)
            return status
        if self.overdue(agent, beat.issued) is not None:
            self.look(agent, now)  # a late heartbeat undoes no silence
        self.record(now, rests=True)
        before = self.state.beats.get(agent)
        self.state.beats[agent] = beats.taken(before, *beat)
        self.agents[agent].beat_sequence = sequence
        return 0

    def overdue(self, agent: int, now: int) -> beats.Overdue | None:
        assert self.policy is not None
        if self.halted or agent not in self.policy.chains:
            return None
        beat = self.state.beats.get(agent)
        return beats.overdue(self.policy, self.state.stops, beat, agent, now)

    def look(self, agent: int, now: int) -> None:
        """Stops an agent that is overdue: a record, and then the stop."""
        now = max(now, self.state.last_now)
        found = self.overdue(agent, now)
        if found is not None:
            number = self.record(now)
            stop = Stop(found.mode, 0, number, now, found.cause)
            stops.put(self.state.stops, (Scope.NODE, agent), stop)

    def tick(self, now: int) -> None:
        if self.policy is not None:
            for node in self.policy.nodes:
                self.look(node.id, now)

    def forget_beats(self, node: int) -> None:
        """Of the agents at and below a node that was resumed."""
        assert self.policy is not None
        row = self.policy.index_of[node]
        for agent, chain in self.policy.chains.items():
            if row in chain:
                self.state.beats.pop(agent, None)

    # ---- Orders.

    def sign(
        self,
        session: int,
        order: Order,
        now: int,
        *,
        malformed: Reason = Reason.NONE,
        unrendered: Reason = Reason.NONE,
    ) -> Answer:
        """One order, in the session of an agent."""
        if not self.stop:
            self.look(session, now)
        reasons = self.clock_reasons(now)
        now = max(now, self.state.last_now)
        reasons |= self.engine_reasons(now)
        if reasons or self.policy is None:
            return self.deny(session, reasons, now)
        if malformed:
            return self.deny(session, {malformed}, now)
        reasons = self.agent_reasons(session, order)
        if reasons:
            return self.deny(session, reasons, now)
        reasons = self.id_reasons(order, now)
        if reasons:
            answer = self.deny(session, reasons, now)
            first = self.agents[order.agent].seen.get(order.action_id, 0)
            if (held := self.held(order, now)) is not None:
                first = held.record
            return answer._replace(record=first) if Reason.DUPLICATE in reasons else answer
        reasons, found = self.look_up(order)
        if reasons:
            return self.deny(session, reasons, now)
        reason, key = self.choose_key(order, found)
        if key is None:
            return self.deny(session, {reason}, now)
        subject = self.subject(order, found, key)
        decision = model.evaluate(self.policy, self.state, subject, now)
        if decision.verdict == Verdict.DENIED:
            return self.deny(session, set(decision.reasons), now, decision)
        request = self.request(order)
        if request is not None and request.is_over(now):
            over = Reason.APPROVAL_REJECTED if request.rejected else Reason.APPROVAL_EXPIRED
            return self.deny(session, {over}, now, decision)
        waits = decision.verdict == Verdict.PENDING
        if waits and request is not None and decision.quorum > request.quorum:
            request = None
        if waits and request is None and self.requests.room(order, now) is False:
            return self.deny(session, {Reason.APPROVALS_FULL}, now, decision)
        waits = waits and (request is None or self.requests.count(request, now) < request.quorum)
        if unrendered:
            return self.deny(session, {unrendered}, now, decision)
        if waits:
            return self.pend(session, order, now, decision, request)
        self.requests.close(order.agent, order.action_id)
        decision = decision._replace(verdict=Verdict.ALLOWED, reason=0, reasons=frozenset())
        model.debit(self.policy, self.state, subject, decision, now)
        number = self.record(now, rests=True)
        self.remember(order, found, number)
        return Answer(Verdict.ALLOWED, frozenset(), True, number, now, decision)

    def deny(
        self, session: int, reasons: set[int], now: int, decision: model.Decision | None = None
    ) -> Answer:
        """Records the denial, or counts it where the agent has used up its attempts."""
        if self.attempt(session, reasons, now):
            number = self.record(now)
            return Answer(Verdict.DENIED, frozenset(reasons), True, number, now, decision)
        return Answer(Verdict.DENIED, frozenset(reasons), False, 0, now, decision)

    def attempt(self, session: int, reasons: set[int], now: int) -> bool:
        """Whether an attempt is recorded; else it is counted."""
        agent = self.agents.get(session, self.strangers)
        limit, interval = 0, 0
        if self.policy is not None:
            limit, interval = self.policy.attempt_limit, self.policy.attempt_interval_ns
        if now - agent.since >= interval:
            self.summarise(agent, now)
            agent.since, agent.attempts = now, 0
        if agent.attempts < limit:
            agent.attempts += 1
            return True
        if not agent.suppressed:
            agent.suppressed_first = now
        agent.suppressed += 1
        agent.suppressed_last = now
        agent.suppressed_reasons |= reasons
        return False

    # ---- Requests for approval.

    def request(self, order: Order) -> Request | None:
        """The row of this very order."""
        row = self.requests.of(order.agent, order.action_id)
        return row if row is not None and row.order == order else None

    def held(self, order: Order, now: int) -> Request | None:
        """The live row that keeps the id for another order."""
        row = self.requests.of(order.agent, order.action_id)
        return row if row and row.order != order and not row.is_over(now) else None

    def pend(
        self,
        session: int,
        order: Order,
        now: int,
        decision: model.Decision,
        request: Request | None,
    ) -> Answer:
        recorded = request is None
        if request is None:
            if not self.attempt(session, {Reason.APPROVALS_FULL}, now):
                full = frozenset({Reason.APPROVALS_FULL})
                return Answer(Verdict.DENIED, full, False, 0, now, decision)
            number = self.record(now, rests=True)
            request = self.requests.open(number, now, order, decision.quorum, decision.lives)
        waits = frozenset({Reason.APPROVAL})
        return Answer(Verdict.PENDING, waits, recorded, request.record, now, decision)

    def take_approval(self, verb: Verb, record: int, signers: list[int], now: int) -> int:
        now = self.clock(now)
        status = self.requests.take(verb, record, signers, now)
        self.record(now, rests=status == 0)
        return status

    def withdraw(self, agent: int, action_id: int, now: int) -> int:
        early = clock.is_early(self, now)
        now = self.clock(now)
        if early:
            return POLICY_CLOCK
        row = self.requests.of(agent, action_id)
        if row is None or row.is_over(now):
            return POLICY_APPROVAL
        self.record(now, rests=True)
        self.requests.close(agent, action_id)
        return 0

    def summarise(self, agent: Agent, now: int) -> None:
        """One record for all denials that were only counted."""
        if agent.suppressed:
            self.record(now)
            agent.suppressed, agent.suppressed_reasons = 0, set()
            agent.suppressed_first = agent.suppressed_last = 0

    def flush(self, now: int) -> None:
        """Before the engine closes."""
        for agent in (*self.agents.values(), self.strangers):
            self.summarise(agent, max(now, self.state.last_now))

    def clock_reasons(self, now: int) -> set[int]:
        """A step back beyond the tolerance latches the engine halted, which is a record."""
        if not clock.is_early(self, now):
            return set()
        if not self.halted:
            self.halted = USAGE_STATE
            self.record(self.state.last_now)
        return {Reason.CLOCK}

    def engine_reasons(self, now: int) -> set[int]:
        reasons: set[int] = set()
        if self.halted:
            reasons.add(Reason.ENGINE_HALTED)
        if self.stop:
            reasons.add(Reason.CONTROL_STOP)
        if self.policy is None:
            reasons.add(Reason.NO_POLICY)
        elif self.policy.lease_ns and now >= self.lease_until:
            reasons.add(Reason.LEASE)
        return reasons

    def agent_reasons(self, session: int, order: Order) -> set[int]:
        assert self.policy is not None
        reasons: set[int] = set()
        if order.agent != session:
            reasons.add(Reason.AGENT_MISMATCH)
        if session not in self.policy.chains:
            reasons.add(Reason.AGENT_UNKNOWN)
        return reasons

    def id_reasons(self, order: Order, now: int) -> set[int]:
        assert self.policy is not None
        agent = self.agents[order.agent]
        reasons: set[int] = set()
        request = self.request(order)
        if self.held(order, now) is not None or order.action_id in agent.seen:
            reasons.add(Reason.DUPLICATE)
        elif order.action in (Action.PLACE, Action.AMEND) and is_displaced(
            agent.book, self.policy.book_entries, order.action_id
        ):
            reasons.add(Reason.ID_TOO_OLD)
        elif request is not None and not request.is_over(now):
            pass  # its id does not grow too old
        elif order.action_id == 0 or order.action_id <= agent.highest - ID_WINDOW:
            reasons.add(Reason.ID_TOO_OLD)
        if order.parent is not None and order.parent[0] not in self.policy.chains:
            reasons.add(Reason.PARENT_UNKNOWN)
        return reasons

    def look_up(self, order: Order) -> tuple[set[int], Found]:
        assert self.policy is not None
        policy = self.policy
        reasons: set[int] = set()
        entry: Entry | None = None
        number = order.instrument
        if order.target is not None and order.target.by == By.ACTION:
            entry = self.entry(order.agent, order.target.action_id)
            if entry is None:
                reasons.add(Reason.TARGET_UNKNOWN)
            else:
                number = entry.instrument
                if order.action == Action.AMEND and entry.order.in_quote:
                    reasons.add(Reason.UNSUPPORTED)
        instrument = policy.instrument_of.get(number)
        if number and instrument is None:
            reasons.add(Reason.INSTRUMENT_UNKNOWN)
        if instrument is not None and instrument.environment != self.environment:
            reasons.add(Reason.ENVIRONMENT)
        asset = policy.asset_of.get(order.asset)
        if order.asset and asset is None:
            reasons.add(Reason.ASSET_UNKNOWN)
        if order.action == Action.WITHDRAW:
            network = policy.network_of.get(order.network)
            if network is None or network.asset != order.asset:
                reasons.add(Reason.NETWORK_UNKNOWN)
        if order.venue and order.venue not in set(Venue):
            reasons.add(Reason.VENUE_UNKNOWN)
        if instrument is not None:
            reasons |= self.step_reasons(order, instrument)
        venue = instrument.venue if instrument else order.venue
        return reasons, Found(instrument, asset, entry, venue)

    def step_reasons(self, order: Order, instrument: Instrument) -> set[int]:
        reasons: set[int] = set()
        for price in (order.price, order.trigger_price):
            if price is not None and not is_multiple(price, instrument.tick):
                reasons.add(Reason.TICK)
        if order.quantity is not None and not is_multiple(order.quantity, instrument.lot):
            reasons.add(Reason.LOT)
        return reasons

    def entry(self, agent: int, action_id: int) -> Entry | None:
        assert self.policy is not None
        entry = self.agents[agent].book.get(action_id % self.policy.book_entries)
        return entry if entry is not None and entry.action_id == action_id else None

    def choose_key(self, order: Order, found: Found) -> tuple[Reason, Key | None]:
        """The key, or why there is none."""
        assert self.policy is not None
        chain = self.policy.chains[order.agent]

        def fits(key: Key) -> bool:
            if key.node not in chain:
                return False
            if order.action == Action.MESSAGE:
                return key.purpose == Purpose.MESSAGE and key.venue == Venue.NONE
            if order.action in value.FUNDS:
                assert found.asset is not None
                masters = key.venue == Venue.HYPERLIQUID
                purpose = Purpose.VENUE_MASTER if masters else Purpose.VENUE
                fit = key.purpose == purpose and found.asset.venue in (0, key.venue)
                return fit and key.products & WALLET != 0
            traded = ALL_PRODUCTS & ~WALLET
            product = traded if found.instrument is None else 1 << found.instrument.contract
            fit = key.purpose == Purpose.VENUE and key.venue == found.venue
            return fit and key.products & product != 0

        candidates = [key for key in self.policy.keys if fits(key)]
        if order.key:
            candidates = [key for key in candidates if key.id == order.key]
            if not candidates:
                return Reason.KEY_NOT_GRANTED, None
        if not candidates:
            return Reason.KEY_NONE, None
        if len(candidates) > 1:
            return Reason.KEY_AMBIGUOUS, None
        key = candidates[0]
        if self.keyring.get(key.id) != key.fingerprint:
            return Reason.KEY_UNAVAILABLE, None
        return Reason.NONE, key

    def subject(self, order: Order, found: Found, key: Key) -> value.Subject:
        assert self.policy is not None
        venue = key.venue if order.action in value.FUNDS else found.venue
        amended = order.action == Action.AMEND and found.entry is not None
        first = lineage.first_step(self.agents, order)
        agents, ends = lineage.walk(self.policy, self.agents, first)
        return value.Subject(
            agent=order.agent,
            action=Action(order.action),
            venue=venue,
            instrument=found.instrument,
            asset=found.asset,
            side=found.entry.side if amended and found.entry else order.side,
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
            lineage=agents,
            lineage_ends=ends,
        )

    def remember(self, order: Order, found: Found, number: int) -> None:
        """The id is used; a place or amend goes into the book."""
        assert self.policy is not None
        agent = self.agents[order.agent]
        agent.use_up(order.action_id, number, lineage.first_step(self.agents, order))
        if order.action not in (Action.PLACE, Action.AMEND) or found.instrument is None:
            return
        client = found.entry.client_record if found.entry else number
        most = order.quote_quantity if order.quantity is None else order.quantity
        assert most is not None
        entry = Entry(
            *(order.action_id, number, found.instrument.id),
            *(found.entry.side if found.entry else order.side, order.type, order.tif),
            *(order.reduce_only or 0, client),
            reports.Order(reports.exactly(most), order.quantity is None),
        )
        if found.entry is not None and found.instrument.venue != Venue.HYPERLIQUID:
            take_over(agent.book, self.policy.book_entries, entry, found.entry)
        agent.book[order.action_id % self.policy.book_entries] = entry
