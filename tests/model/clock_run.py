"""A log that runs ahead in a random scenario at the gate, and is set back."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tests.model import orders, report_run
from tests.model.names import Scope, Verb
from tests.model.policies import chance

if TYPE_CHECKING:
    from tests.model.gate_run import GateRun


def step(run: GateRun) -> None:
    """A start that is ahead; perhaps something rests on it; the right time, or one before it."""
    rng, model = run.rng, run.model
    if chance(Random(run.now), 20):  # compared, which decides nothing; all else is as without
        run.core.note(run.now)
        model.note(run.now)
    right = run.now
    ends = [stop.until for stop in model.state.stops.values() if stop.until]
    ends += [row.expires for row in model.requests.rows] + [model.lease_until]
    ends = [end for end in ends if right < end < right + 10**6 * run.world.unit_ns]
    ahead = run.world.unit_ns * rng.choice((1, 100, 10**5))
    if ends and chance(rng, 85):
        ahead = max(1, rng.choice(ends) - right - rng.choice((0, 0, 1)))
    run.now = right + ahead
    run.core.start(run.now)
    model.start(run.now)
    if chance(rng, 25):
        run.order()
    run.now = rng.choice((right, right, right, model.relied, max(1, model.relied - 1)))
    if chance(rng, 30):
        speak(run)
    if chance(rng, 20):  # a halt gets through, and leaves the clock to be set back
        place = (Scope.NODE, rng.choice(sorted(run.world.policy.chains)))
        status = run.core.take_command(Verb.HALT, place, 0, 1, run.now)
        run.expect("halt", run.model.take_command(Verb.HALT, place, 0, 1, run.now), status)
    give(run)
    if model.state.last_now > run.now:  # refused: that time has to come
        run.now = model.state.last_now
        command(run, (Scope.NODE, run.world.policy.nodes[0].id), 0, 2)
    run.compare_state(everything=True)


def speak(run: GateRun) -> None:
    """What is not of people, before they set the clock back: nothing is to rest on it."""
    rng, world = run.rng, run.world
    draw = rng.randrange(4)
    if draw == 0:
        run.take_marks([orders.some_mark(rng, world, run.now)])
    elif draw == 1:
        run.beat(rng.choice(sorted(world.policy.chains)))
    elif draw == 2:
        report_run.state(run)
    elif run.model.requests.rows:
        row = rng.choice(run.model.requests.rows)
        status = run.core.withdraw(row.order.agent, row.order.action_id, run.now)
        expected = run.model.withdraw(row.order.agent, row.order.action_id, run.now)
        run.expect("status of a withdrawal", expected, status)


def give(run: GateRun) -> None:
    rng, firm = run.rng, run.world.policy.nodes[0].id
    before, operators, node = run.model.state.last_now, 2, firm
    if chance(rng, 10):
        before += rng.choice((-1, 1))
    if chance(rng, 10):
        operators = 1
    if chance(rng, 5):
        node = rng.choice([each.id for each in run.world.policy.nodes] + [9999])
    if command(run, (Scope.NODE, node), before, operators) == 0:
        run.counts["clocks set back"] += 1
        if chance(rng, 20):
            command(run, (Scope.NODE, node), before, operators)  # once more


def command(run: GateRun, place: tuple[int, int], until: int, operators: int) -> int:
    status = run.core.take_command(Verb.RESUME, place, until, operators, run.now)
    expected = run.model.take_command(Verb.RESUME, place, until, operators, run.now)
    run.expect("status of a resume", expected, status)
    return status
