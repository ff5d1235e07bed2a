"""Every node of the policy with the state that counts for it, and the same in few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ._enums import NodeKind, label
from ._stops import MODES, Stop
from .policy import Policy

LINES: Final = 24
"""As many nodes of a sort are listed one by one; more are counted."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """What counts for one node: the strictest of its own stop and of those above it.

    `mode`: running, draining or halted. `itself`: by its own stop alone. `by`: what else makes it
    so, from above: paths of nodes, or what stops the whole engine.
    """

    path: str
    kind: str
    parent: int | None
    mode: str
    itself: str
    by: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp status --json`."""
        return {
            "path": self.path,
            "kind": self.kind,
            "mode": self.mode,
            "itself": self.itself,
            "by": list(self.by),
        }

    def text(self) -> str:
        """The state in a few words."""
        by = ", ".join(self.by)
        if not by:
            return self.mode
        if self.itself == self.mode:
            return f"{self.mode}, also by {by}"
        own = f", itself {self.itself}" if self.itself != MODES[0] else ""
        return f"{self.mode} by {by}{own}"


def node_states(
    policy: Policy | None, stops: Iterable[Stop], engine: Sequence[str] = ()
) -> tuple[NodeState, ...]:
    """The states of all nodes, each behind the one above it. `engine`: what halts all of it."""
    if policy is None:
        return ()
    own = {stop.path: MODES.index(stop.mode) for stop in stops if stop.scope == "node"}
    everything = (2, tuple(engine)) if engine else (0, ())
    reach: list[tuple[int, tuple[str, ...]]] = []
    found = []
    for node in policy.nodes:
        above, by = everything if node.parent is None else reach[node.parent]
        itself = own.get(node.path, 0)
        mode = max(above, itself)
        by = by if above == mode else ()
        reach.append((mode, (*by, node.path) if itself == mode > 0 else by))
        found.append(
            NodeState(
                *(node.path, label(NodeKind(node.kind)), node.parent),
                *(MODES[mode], MODES[itself], by),
            )
        )
    return tuple(found)


def node_lines(nodes: Sequence[NodeState], *, every: bool = False) -> list[str]:
    """A line for each node of a small policy; of a large one, what runs is counted.

    Each node that is itself stopped has a line, with those above it, and so has each group, unless
    there are more than `LINES` of them. The others are counted behind the next node above them
    that has one, by their state.
    """
    shown = _shown(nodes, every)
    counts: dict[int, Counter[tuple[str, str]]] = {index: Counter() for index in shown}
    for index, node in enumerate(nodes):
        at = index
        while at not in shown:
            at = nodes[at].parent or 0
        if at != index:
            counts[at][node.text(), node.kind] += 1
    lines = []
    for index in sorted(shown):
        below = ", ".join(
            f"{count:,} {kind}{'s' if count > 1 else ''} {text}"
            for (text, kind), count in counts[index].items()
        )
        node = nodes[index]
        lines.append(f"{node.path}: {node.text()}{'; below: ' + below if below else ''}")
    if len(shown) < len(nodes):
        lines.append(f"{len(nodes):,} nodes in all; --all lists each")
    return lines


def _shown(nodes: Sequence[NodeState], every: bool) -> set[int]:
    if every or len(nodes) <= LINES:
        return set(range(len(nodes)))
    shown = {0}
    stopped = [index for index, node in enumerate(nodes) if node.itself != MODES[0]]
    groups = [index for index, node in enumerate(nodes) if node.kind == "group"]
    for some in (stopped, groups):
        if len(some) <= LINES:
            shown.update(some)
    for index in tuple(shown):
        above = nodes[index].parent
        while above is not None:
            shown.add(above)
            above = nodes[above].parent
    return shown
