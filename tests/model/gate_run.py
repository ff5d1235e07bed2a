"""One random scenario at the level of sentinel_gate_sign: frames, keys, ids, books, attempts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

from tests.model import (
    approval_run,
    beats,
    book_run,
    build,
    clock_run,
    lineage_run,
    model,
    orders,
    policies,
    report_run,
    stops,
    value,
)
from tests.model.book import Feed
from tests.model.core_gate import AGENT_KEYS, GateCore, Keys, Outcome
from tests.model.differ import Disagreement, explain, reason_names
from tests.model.gate import Answer, ForeignInstrument, Gate, OpenEndpoint, is_too_open
from tests.model.names import (
    ALL_PRODUCTS,
    DAY_NS,
    ENDPOINT_CHECKED,
    ENDPOINT_GRANT,
    FORMAT_REFERENCE,
    ID_WINDOW,
    PASS,
    POLICY_ENDPOINT,
    POLICY_ENVIRONMENT,
    Action,
    By,
    Contract,
    Environment,
    Purpose,
    Query,
    Reason,
    Scope,
    Type,
    Venue,
    Verb,
    Verdict,
)
from tests.model.policies import Style, chance
from tests.model.tables import Decimal, Instrument, Key, Order, Policy, Target

RENDERED = (Venue.BINANCE_SPOT, Venue.BINANCE_USDM)
STYLE = Style(venues=(*(4 * RENDERED), Venue.HYPERLIQUID), lots=True)
UNRENDERED = {  # what a venue may say of an order that policy allowed
    Reason.UNSUPPORTED,
    Reason.RENDER_FAILED,
    Reason.ORDER_TEXT,
    Reason.TICK,
    Reason.LOT,
    Reason.EXPIRY,
}
MALFORMED = range(Reason.ORDER_SIZE, Reason.AGENT_UNKNOWN)
NO_DECISION = model.Decision(Verdict.DENIED, 0, frozenset(), -1, (), ())


def some_keys(rng: Random, policy: Policy, keys: Keys) -> tuple[Key, ...]:
    """Mostly one key per venue; sometimes two, none, a wrong one or one that is not there."""
    rows = []
    for number, venue, purpose in (
        (11, Venue.BINANCE_SPOT, Purpose.VENUE),
        (12, Venue.BINANCE_SPOT, Purpose.VENUE),
        (13, Venue.BINANCE_USDM, Purpose.VENUE),
        (14, Venue.BINANCE_USDM, Purpose.VENUE),
        (15, Venue.NONE, Purpose.MESSAGE),
        (16, Venue.BINANCE_SPOT, Purpose.VENUE),
        (17, Venue.HYPERLIQUID, Purpose.VENUE),
        (18, Venue.HYPERLIQUID, Purpose.VENUE_MASTER),
    ):
        if not chance(rng, {12: 7, 14: 7, 16: 5, 17: 70, 18: 50}.get(number, 96)):
            continue
        fingerprint = keys.fingerprints.get(number, bytes(range(32)))
        if chance(rng, 4):
            fingerprint = fingerprint[::-1]
        node = 0 if chance(rng, 92) else rng.randrange(len(policy.nodes))
        algorithm = keys.algorithms.get(number, 4)
        products = 0 if purpose == Purpose.MESSAGE else some_products(rng)
        several = products.bit_count() > 1
        flags = ENDPOINT_GRANT if several or chance(rng, 50) else ENDPOINT_CHECKED
        if venue == Venue.NONE or (several and chance(rng, 2)):
            flags = rng.choice((0, ENDPOINT_CHECKED)) if several else 0
        row = Key(number, node, venue, purpose, algorithm, fingerprint, 5000, flags, products)
        rows.append(row)
    return tuple(rows)


def some_products(rng: Random) -> int:
    """Mostly everything; sometimes one product, or all but one."""
    one = 1 << rng.randrange(6)
    return rng.choice((*(8 * (ALL_PRODUCTS,)), one, ALL_PRODUCTS & ~one))


def amount(raw: Any) -> Fraction:
    return policies.fraction(Decimal(raw.mantissa, raw.scale))


def on_step(rng: Random, value: Decimal, step: Decimal) -> Decimal:
    """The nearest multiple at or below the value, at least one step."""
    unit = policies.fraction(step)
    count = max(1, policies.fraction(value) // unit)
    exact = policies.at_scale(count * unit, step.scale)
    return exact if chance(rng, 97) else value


class GateRun:
    """An engine in the model and in the core."""

    def __init__(self, rng: Random, counts: Counter[str], keys: Keys) -> None:
        self.rng, self.counts, self.keys = rng, counts, keys
        # Binance has withdrawals and transfers in the live environment only.
        environment = rng.choice((Environment.LIVE, Environment.LIVE, Environment.TEST))
        self.world = policies.new_world(rng, replace(STYLE, environment=environment))
        self.following = lineage_run.begin(rng, self.world)
        self.world.policy = self.complete(self.world.policy)
        start = rng.choice((DAY_NS, 20_000 * DAY_NS, 1_700_000_000 * 10**9))
        self.now = start + rng.choice((-1, 0))
        self.core = GateCore(keys, environment, self.now, rng.randrange(2**60))
        self.model = Gate(environment, keys.fingerprints)
        for _ in range(2):  # genesis and authority
            self.model.record(self.now, rests=True)
        self.load(self.world.policy)
        self.core.start(self.now)
        self.model.record(self.now)
        self.done = False
        self.after_halt = 0
        self.last_agent = 0
        self.last_feeds: dict[int, Feed] = {}  # the last frame of each feeder
        for kind, row in sorted(self.world.typical):
            if chance(rng, 90):
                self.take_marks([(kind, row, self.world.typical[kind, row], self.now)])

    def complete(self, policy: Policy) -> Policy:
        """With keys; seldom, and not in the first version, one that is refused."""
        keys = some_keys(self.rng, policy, self.keys)
        if not policy.keys:
            keys = tuple(key for key in keys if not is_too_open(key))
        return replace(policy, keys=keys)

    # ---- Steps

    def step(self) -> None:
        rng = self.rng
        self.now = max(self.now, self.model.state.last_now)
        self.world.retries += approval_run.edges(self)
        self.now = orders.next_time(rng, self.world, self.model.state, self.now)
        draw = rng.randrange(100)
        if draw < 12 and chance(rng, 4):  # a frame on a clock that stepped back
            tolerance = self.world.policy.clock_tolerance_ns
            self.now = self.model.state.last_now - tolerance - rng.choice((0, 0, 1))
        if draw < 10:
            count = rng.choice((1, 3))
            self.take_marks([orders.some_mark(rng, self.world, self.now) for _ in range(count)])
        elif draw < (32 if self.model.state.stops else 14):
            self.command()
        elif draw >= 92:
            self.watch()
        elif draw < (55 if self.model.requests.rows else 33):
            approval_run.step(self)
        elif draw >= 76:
            (report_run if draw < 85 else book_run).step(self)
        elif draw < 65 and chance(rng, 4):
            policy = self.complete(policies.revised(rng, self.world, self.model.state))
            if chance(rng, 20):
                policy = replace(policy, lease_ns=policies.some_lease(rng, self.world))
            if chance(rng, 8):
                first, *others = policy.instruments
                others_of = [each for each in Environment if each != first.environment]
                first = replace(first, environment=rng.choice(others_of))
                policy = replace(policy, instruments=(first, *others))
            self.load(policy)
        else:
            self.order()
        self.compare_state()
        self.counts["steps"] += 1

    def load(self, policy: Policy) -> None:
        status = self.core.take_policy(policy, self.now)
        try:
            self.model.take_policy(policy, self.now)
        except OpenEndpoint:
            self.expect("status of a key that is too open", POLICY_ENDPOINT, status)
            return
        except ForeignInstrument:
            self.expect("status of a version of two environments", POLICY_ENVIRONMENT, status)
            return
        except model.StopLost:
            self.expect("status of a version that lifts a stop", FORMAT_REFERENCE, status)
            return
        self.expect("status of a policy", 0, status)
        self.world.policy = policy
        self.world.typical = {
            (kind, row): price
            for (kind, row), price in self.world.typical.items()
            if row in (policy.instrument_of if kind == 1 else policy.asset_of)
        }
        self.counts["versions"] += 1
        self.compare_state(everything=True)

    def take_marks(self, marks: list[tuple[int, int, Decimal, int]]) -> None:
        status = self.core.take_marks(marks, self.now)
        self.expect("status of a feed", self.model.take_marks(marks, self.now), status)
        self.counts["marks"] += len(marks)

    def watch(self) -> None:
        """The writer looks for agents that are overdue, or starts anew."""
        if chance(self.rng, 10):
            self.core.start(self.now)
            self.model.start(self.now)
        elif chance(self.rng, 25):
            clock_run.step(self)
        else:
            self.core.tick(self.now)
            self.model.tick(self.now)
        self.compare_stops()

    def beat(self, agent: int) -> None:
        """A heartbeat where a rule wants one: well, late, by another's key or replayed."""
        rng = self.rng
        beat = orders.some_beat(rng, self.world, agent, self.now)
        if beat is None or agent not in AGENT_KEYS:
            return
        sequence = self.model.agents[agent].beat_sequence + rng.choice((1, 1, 1, 1, 1, 1, 2, 0))
        signer = agent if chance(rng, 95) else rng.choice(sorted(AGENT_KEYS))
        if sequence == 0:
            return
        if chance(rng, 3):
            beat = beat._replace(running=rng.choice((-1, beat.issued + 1)))
        status = self.core.take_beat(agent, beat, sequence, self.now, signer=signer)
        expected = self.model.take_beat(agent, beat, sequence, self.now, own_key=signer == agent)
        self.expect("status of a heartbeat", expected, status)
        self.counts["heartbeats"] += 1
        self.compare_stops()

    def command(self) -> None:
        """Any one operator tightens; two loosen; what does not exist is refused."""
        rng, held = self.rng, sorted(self.model.state.stops)
        place = orders.some_place(rng, self.world)
        if held and chance(rng, 80):
            place = rng.choice(held)
        if self.model.halted and chance(rng, 50):
            place = (Scope.NODE, self.world.policy.nodes[0].id)
        verb = rng.choice((Verb.HALT, Verb.DRAIN, Verb.DRAIN))
        if self.model.halted or (held and chance(rng, 60)):
            verb = Verb.RESUME
        until = orders.some_stop(rng, self.now).until if verb == Verb.DRAIN else 0
        if chance(rng, 4):
            place = place[0], rng.choice((0, 9999, 0x10001))
        if chance(rng, 2):
            until = rng.choice((-1, 1))
        if chance(rng, 10):
            verb, place, until = self.some_lease()
        operators = rng.choice((1, 1, 2)) if verb != Verb.RESUME or chance(rng, 10) else 2
        status = self.core.take_command(verb, place, until, operators, self.now)
        expected = self.model.take_command(verb, place, until, operators, self.now)
        self.expect("status of a command", expected, status)
        self.counts["halts and resumes"] += 1
        self.compare_stops()

    def some_lease(self) -> tuple[Verb, stops.Place, int]:
        """Mostly as long as it may be, or one nanosecond longer."""
        rng, longest = self.rng, self.world.policy.lease_ns
        now = max(self.now, self.model.state.last_now)
        until = now + rng.choice((longest, longest, longest, longest + 1, 1, 0))
        place = (Scope.ENGINE, 0)
        if chance(rng, 10):
            place, until = rng.choice(((Scope.ENGINE, 1), (Scope.NODE, 0))), rng.choice((0, until))
        return Verb.LEASE, place, until

    def lease_perhaps(self) -> None:
        """Where the operators' lease is over, or ends soon."""
        left = self.model.lease_until - max(self.now, self.model.state.last_now)
        if self.world.policy.lease_ns and left < self.world.unit_ns and chance(self.rng, 50):
            verb, place, until = self.some_lease()
            status = self.core.take_command(verb, place, until, 1, self.now)
            expected = self.model.take_command(verb, place, until, 1, self.now)
            self.expect("status of a lease", expected, status)
            if expected == 0 and chance(self.rng, 15):  # a version that allows less
                policy = self.world.policy
                self.load(replace(policy, lease_ns=max(1, policy.lease_ns // 2)))

    def compare_stops(self) -> None:
        policy, held = self.world.policy, self.model.state.stops
        places = [(Scope.NODE, node.id) for node in policy.nodes]
        places += [(Scope.VENUE, venue) for venue in Venue if venue]
        places += [(Scope.INSTRUMENT, row.id) for row in policy.instruments]
        for place in places:
            ours = held.get(place, stops.RUNNING)
            self.expect(f"stop of {place}", ours, self.core.stop(policy, place))

    # ---- Orders

    def flush(self) -> None:
        """The end: what was counted but not recorded becomes summaries."""
        self.core.flush(self.now)
        self.model.flush(self.now)
        self.compare_state(everything=True)

    def order(self) -> None:
        rng = self.rng
        agent = self.last_agent = rng.choice(sorted(self.world.policy.chains))
        if chance(rng, 50):
            self.beat(agent)
        self.lease_perhaps()
        order = self.some_order(agent)
        marks = orders.marks_for(rng, self.world, order, self.now)
        if marks and chance(rng, 70):
            self.take_marks(marks)
        order = self.aim(order)
        session = agent
        if chance(rng, 2):
            session = rng.choice(sorted(self.world.policy.chains))
        elif chance(rng, 2) and self.core.sessions:
            session = rng.choice(sorted(self.core.sessions))  # perhaps of an agent that is gone
        now = self.now
        tolerance = self.world.policy.clock_tolerance_ns
        if chance(rng, 3):
            now = self.model.state.last_now - rng.choice((tolerance, min(tolerance, 1)))
        elif chance(rng, 1) and chance(rng, 30):
            now = self.model.state.last_now - tolerance - 1
        overdue = self.model.overdue(session, now) is not None
        self.set_stop(chance(rng, 40 if overdue else 1))
        data = build.order_bytes(order)
        wrong = chance(rng, 3)
        self.ask(session, order, self.corrupt(data) if wrong else data, now, wrong)

    def set_stop(self, stop: bool) -> None:
        """By the word itself, or by commands that wait."""
        control = self.core.control
        control.stop = control.spool_submitted = 0
        if stop and chance(self.rng, 50):
            control.stop = 1
        elif stop:
            control.spool_submitted = 1
        self.model.stop = stop

    def corrupt(self, data: bytes) -> bytes:
        """A form that no version of an order has."""
        wrong = bytearray(data)
        match self.rng.randrange(5):
            case 0:
                wrong[0] ^= 1 << self.rng.randrange(8)  # version
            case 1:
                wrong[4] ^= 1 << self.rng.randrange(8)  # size
            case 2:
                wrong[90 + self.rng.randrange(6)] = self.rng.randint(1, 255)  # reserved
            case 3:
                wrong[88] = self.rng.choice((0, 2, 3))  # release mode
            case _:
                wrong = wrong[: self.rng.randrange(len(wrong))]
        return bytes(wrong)

    def ask(self, session: int, order: Order, data: bytes, now: int, wrong: bool) -> None:
        found = self.core.sign(session, data, now)
        malformed = unrendered = Reason.NONE
        if wrong:
            form = sorted(reason for reason in found.decision.reasons if reason in MALFORMED)
            malformed = Reason(form[0]) if form else Reason.ORDER_FIELDS
        refused = found.decision.reasons & UNRENDERED
        if found.decision.results and refused and not self.must_render(order):
            unrendered = Reason(min(refused))
        policy, state = self.world.policy, self.model.state
        expected = self.model.sign(session, order, now, malformed=malformed, unrendered=unrendered)
        self.compare(session, order, now, expected, found, policy, state)
        self.tally(expected)
        if self.model.halted:
            self.after_halt += 1
            self.done = self.after_halt > 12

    def some_order(self, agent: int) -> Order:
        rng, policy = self.rng, self.world.policy
        held = self.model.agents[agent]
        placed = sorted(entry.action_id for entry in held.book.values())
        order = orders.some_order(rng, self.world, agent, self.some_id(agent))
        while not placed and order.action in (Action.AMEND, Action.CANCEL) and chance(rng, 90):
            order = orders.some_order(rng, self.world, agent, order.action_id)
        if order.action == Action.QUERY and placed and chance(rng, 50):
            order = replace(order, instrument=0, venue=0, what=Query.ORDER)
            order = replace(order, target=Target(By.ACTION))
        if order.target is not None and (order.action != Action.CANCEL or chance(rng, 70)):
            known = rng.choice(placed) if placed and chance(rng, 85) else order.action_id + 7
            order = replace(order, instrument=0, side=0, target=Target(By.ACTION, action_id=known))
        order = lineage_run.with_parent(self, self.on_grid(order))
        if order.action in value.FUNDS and chance(rng, 85):
            venue = policy.asset_of[order.asset].venue or rng.choice(STYLE.venues)
            keys = {Venue.BINANCE_SPOT: 11, Venue.BINANCE_USDM: 13, Venue.HYPERLIQUID: 18}
            order = replace(order, key=keys[Venue(venue)])
        if chance(rng, 4):
            order = replace(order, key=rng.choice((11, 12, 13, 15, 99)))
        if chance(rng, 1):
            order = replace(order, instrument=order.instrument and 9999)
        if chance(rng, 1):
            order = replace(order, asset=order.asset and 9999)
        if chance(rng, 1):
            order = replace(order, network=order.network and 9999)
        return order

    def some_id(self, agent: int) -> int:
        """Mostly the next; sometimes used before, or at the edge of the window."""
        rng, held = self.rng, self.model.agents[agent]
        highest = held.highest
        if not chance(rng, 13):
            return highest + rng.choice((1, 1, 1, 1, 2, 3, ID_WINDOW, 70))
        edges = [0, highest, highest - ID_WINDOW, highest - ID_WINDOW + 1, highest - ID_WINDOW + 2]
        edges += [rng.choice(sorted(held.seen))] if held.seen else []
        edges += [highest - rng.randint(0, ID_WINDOW), highest + ID_WINDOW]
        edges += [highest - self.world.policy.book_entries + rng.choice((0, 0, 1))]
        return max(0, rng.choice(edges))

    def instrument(self, order: Order) -> Instrument | None:
        number = order.instrument
        if order.target is not None and order.target.by == By.ACTION:
            entry = self.model.entry(order.agent, order.target.action_id)
            number = entry.instrument if entry else 0
        return self.world.policy.instrument_of.get(number)

    def on_grid(self, order: Order) -> Order:
        """Prices and quantities as the instrument has them, mostly."""
        instrument = self.instrument(order)
        if instrument is None:
            return order
        steps = {
            "quantity": instrument.lot,
            "price": instrument.tick,
            "trigger_price": instrument.tick,
        }
        moved: dict[str, Any] = {
            name: on_step(self.rng, getattr(order, name), step)
            for name, step in steps.items()
            if getattr(order, name) is not None
        }
        return replace(order, **moved)

    def aim(self, order: Order) -> Order:
        """Towards an edge of policy, where the order gets that far."""
        gate = self.model
        reasons, found = gate.look_up(order)
        if reasons:
            return order
        _, key = gate.choose_key(order, found)
        if key is None:
            return order
        for _ in range(self.rng.choice((0, 1, 1))):
            subject = gate.subject(order, found, key)
            order = self.on_grid(
                orders.aimed(self.rng, self.world, gate.state, order, subject, self.now)
            )
        return order

    # ---- Comparing

    def expect(self, what: str, ours: object, core: object) -> None:
        if ours != core:
            raise Disagreement(f"{what}: model {ours}, core {core}")

    def compare(
        self,
        session: int,
        order: Order,
        now: int,
        expected: Answer,
        found: Outcome,
        policy: Policy,
        state: value.State,
    ) -> None:
        policy_part = expected.decision or NO_DECISION
        ours = policy_part._replace(
            verdict=expected.verdict, reason=expected.reason, reasons=expected.reasons
        )
        core = found.decision._replace(verdict=found.verdict, reason=found.reason)
        if expected.decision is None:
            core = core._replace(value=ours.value)  # means nothing without policy's part
        has_record = expected.recorded or bool(
            expected.reasons & {Reason.DUPLICATE, Reason.APPROVAL}
        )
        allowed = expected.verdict == Verdict.ALLOWED
        parts = {
            "decision": (ours, core),
            "recorded": (expected.recorded, found.recorded),
            "record": (expected.record, found.record if has_record else 0),
            "time": (expected.now, found.now),
            "signature and request": ((allowed, allowed), self.core.released()),
        }
        if all(a == b for a, b in parts.values()):
            return
        lines = [f"session {session}, now {now}, last {state.last_now}"]
        lines += [f"! {name}: model {a}, core {b}" for name, (a, b) in parts.items() if a != b]
        lines.append(f"model: {reason_names(expected.reasons)}; core: {reason_names(core.reasons)}")
        if order.agent in policy.chains:
            instrument = self.instrument(order)
            shown = replace(order, instrument=instrument.id if instrument else 0)
            lines.append(explain(policy, state, shown, now, ours, core))
        raise Disagreement("\n".join(lines))

    def compare_state(self, *, everything: bool = False) -> None:
        """What the gate keeps; of agents only the last that asked, unless everything is."""
        ours, core = self.model, self.core.state
        self.expect("records", ours.records, core.record_count)
        times = ours.state.last_now, ours.relied
        self.expect("last now, relied", times, (core.last_now_ns, core.relied_ns))
        self.expect("engine's halt", ours.halted, core.halted)
        approval_run.compare_rows(self)
        report_run.compare(self)
        self.expect("end of the lease", ours.lease_until, core.lease_until_ns)
        if everything:
            self.compare_stops()
        for index, node in enumerate(self.world.policy.nodes):
            if node.id not in ours.agents or not (everything or node.id == self.last_agent):
                continue
            held, row = ours.agents[node.id], self.core.agent(index)
            seen = sum(1 << (held.highest - number) for number in held.seen)
            reasons = sum(1 << reason for reason in held.suppressed_reasons)
            first, last = held.suppressed_first, held.suppressed_last
            self.expect(
                f"agent {node.id}: highest, seen, attempts, suppressed, first, last, reasons",
                (held.highest, seen, held.attempts, held.suppressed, first, last, reasons),
                (
                    *(row.id_highest, row.id_seen, row.attempts, row.suppressed),
                    *(row.suppressed_first_ns, row.suppressed_last_ns),
                    row.suppressed_reasons[0] | row.suppressed_reasons[1] << 64,
                ),
            )
            beat = ours.state.beats.get(node.id)
            due = beats.deadline(self.world.policy, ours.state.stops, beat, node.id)
            self.expect(
                f"agent {node.id}: sequence, beat, iterations, begin, deadline",
                (held.beat_sequence, *(beat or (0, 0, 0)), due),
                (
                    *(row.beat_sequence, row.beat_ns, row.iterations, row.running_since_ns),
                    row.beat_deadline_ns,
                ),
            )
            lineage_run.compare(self, index)
            for entry in held.book.values():
                self.compare_entry(index, entry.action_id)

    def compare_entry(self, index: int, action_id: int) -> None:
        policy = self.world.policy
        entry = self.model.entry(policy.nodes[index].id, action_id)
        row = self.core.book(index, action_id)
        if entry is not None:
            self.expect(
                f"book: action, record, instrument, terms, client record of {action_id}",
                (
                    *(entry.action_id, entry.record, entry.instrument, entry.side, entry.type),
                    *(entry.tif, entry.reduce_only, entry.client_record),
                ),
                (
                    *(row.action_id, row.record, row.instrument, row.side, row.type),
                    *(row.time_in_force, row.reduce_only, row.client_record),
                ),
            )
            order = entry.order
            self.expect(
                f"book: most, in quote, filled, status, reported, amended by of {action_id}",
                (*order, entry.reported, entry.amended_by),
                (
                    *(amount(row.quantity), bool(row.in_quote), amount(row.filled), row.status),
                    *(row.reported_ns, row.amended_by),
                ),
            )

    def tally(self, answer: Answer) -> None:
        self.counts["decisions"] += 1
        self.counts["allowed"] += answer.verdict == Verdict.ALLOWED
        self.counts["suppressed"] += not answer.recorded
        self.counts["pending"] += answer.verdict == Verdict.PENDING
        for reason in answer.reasons:
            self.counts[f"reason {reason}"] += 1
        decision = answer.decision or NO_DECISION
        self.counts["results"] += len(decision.results)
        for result in decision.results:
            self.counts["at the edge"] += result.result == PASS and 0 < result.value == result.bound
        self.world.retries = [time for time in decision.retry_at if time]

    def must_render(self, order: Order) -> bool:
        """What both Binance products have, whatever else they lack."""
        if order.action == Action.MESSAGE:
            return True
        instrument = self.instrument(order)
        if instrument is None or instrument.venue not in RENDERED:
            return False
        if instrument.venue == Venue.BINANCE_SPOT and instrument.contract != Contract.SPOT:
            return False  # in another version it was one
        if order.action == Action.PLACE:
            plain = order.type == Type.LIMIT or (order.type == Type.MARKET and order.price is None)
            plain = plain and order.reduce_only is None and order.position_side == 0
            return plain and order.quantity is not None
        return order.action == Action.CANCEL
