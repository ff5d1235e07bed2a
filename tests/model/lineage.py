"""Action ids and what they follow from, as docs/2-policy.md has it: "Lineage"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.model.names import ID_WINDOW, Reason

if TYPE_CHECKING:
    from tests.model.tables import Order, Policy

STEPS = 8


class Step(NamedTuple):
    """An action of another agent."""

    agent: int
    record: int | None  # that signed it; None: it is unknown


@dataclass
class Ids:
    """The actions of one agent that are kept."""

    highest: int = 0
    seen: dict[int, int] = field(default_factory=dict)  # action id: record that signed it
    follows: dict[int, Step | None] = field(default_factory=dict)  # of the same ids

    def use_up(self, action: int, record: int, step: Step | None) -> None:
        self.highest = max(self.highest, action)
        self.seen[action], self.follows[action] = record, step
        for old in [each for each in self.seen if each <= self.highest - ID_WINDOW]:
            del self.seen[old], self.follows[old]

    def of_record(self, record: int | None) -> Step | None:
        """What the action that a record signed follows from; None where it is not kept."""
        return next((self.follows[i] for i, n in self.seen.items() if n == record), None)


def first_step(agents: Mapping[int, Ids], order: Order) -> Step | None:
    """What an order follows from; of an own action, what is kept of that one."""
    if order.parent is None:
        return None
    agent, action = order.parent
    ids = agents.get(agent, Ids())
    if agent == order.agent:
        return ids.follows.get(action)
    return Step(agent, ids.seen.get(action))


def walk(
    policy: Policy, agents: Mapping[int, Ids], step: Step | None
) -> tuple[tuple[int, ...], Reason]:
    """The agents, nearest first, and why there is no next one, where that is refused."""
    found: tuple[int, ...] = ()
    while step is not None:
        if step.agent not in policy.chains:
            return found, Reason.PARENT_UNKNOWN
        if len(found) == STEPS:
            return found, Reason.LINEAGE
        found = (*found, step.agent)
        step = agents[step.agent].of_record(step.record)
    return found, Reason.NONE
