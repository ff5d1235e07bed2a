"""What orders of a random scenario say that they follow from, and what is kept of that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.model.names import ID_WINDOW, Action, Kind
from tests.model.policies import World, chance, fresh_id
from tests.model.tables import Constraint, Order

if TYPE_CHECKING:
    from random import Random

    from tests.model.gate_run import GateRun


def begin(rng: Random, world: World) -> int:
    """Percent of orders that name a parent. Where most do, little is refused, so that they grow."""
    if not chance(rng, 25):
        return 6
    everything = Constraint(fresh_id(world), 0, Kind.ACTIONS, mask=0x3FE)
    world.policy = replace(
        world.policy,
        constraints=(everything,),
        oversight=(),
        approval_ns=0,
        approval_quorum=0,
        lease_ns=0,
    )
    return 85


def with_parent(run: GateRun, order: Order) -> Order:
    """Mostly the last action that was signed; else any, or one near an edge."""
    rng, policy = run.rng, run.world.policy
    agents = run.model.agents
    if not chance(rng, run.following):
        return order
    if run.following > 50 and chance(rng, 75):
        order = Order(Action.MESSAGE, order.agent, order.action_id, text="a")
    known = [(n, agent, i) for agent, ids in agents.items() for i, n in ids.seen.items()]
    if known and chance(rng, 70):
        _, agent, action = max(known)
    elif known and chance(rng, 50):
        _, agent, action = rng.choice(known)
    else:
        agent = rng.choice([*policy.chains, policy.nodes[0].id, 9999])
        highest = agents[agent].highest if agent in agents else 9
        action = highest + rng.choice((0, 1, 1 - ID_WINDOW, -ID_WINDOW))
    return replace(order, parent=(agent, max(0, action)))


def compare(run: GateRun, index: int) -> None:
    """Of each id that an agent keeps: what it follows from, and its place while that is kept."""
    row, policy = run.core.agent(index), run.world.policy
    agents = run.model.agents
    for action, step in agents[policy.nodes[index].id].follows.items():
        slot = action % ID_WINDOW
        agent, place = row.id_parent[slot], row.id_parent_slot[slot]
        run.expect(f"agent {row.node}: parent of {action}", step.agent if step else 0, agent)
        if step is None or step.record is None:
            run.expect(f"agent {row.node}: parent's action", 0, place)
        elif agent in agents:
            seen = agents[agent].seen.items()
            kept = [1 + held % ID_WINDOW for held, record in seen if record == step.record]
            run.expect(f"agent {row.node}: parent's action", kept or [place], [place])
