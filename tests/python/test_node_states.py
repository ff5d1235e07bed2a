"""The states of nodes: what counts where nodes above are stopped too, and thousands in few lines.

Method: trees made here, the expected state of each by the strictest of its chain; then the command
on an engine that is stopped in each way.
"""

from __future__ import annotations

import itertools
import json
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from engines import Made
from test_status import Zcp, made, step_back, zcp

from sentinel._enums import NodeKind
from sentinel._node_states import LINES, NodeState, node_lines, node_states
from sentinel._policy_bundle import Node

__all__ = ["made", "zcp"]


def tree(groups: int, agents: int) -> Any:
    """A firm with groups of as many agents each; what node_states reads of a policy."""
    nodes = [Node(0, 1, NodeKind.FIRM, "firm", "firm", 0, None)]

    def add(kind: NodeKind, name: str, parent: Node) -> Node:
        path = f"{parent.path}/{name}"
        nodes.append(
            Node(len(nodes), len(nodes) + 1, kind, name, path, parent.depth + 1, parent.index)
        )
        return nodes[-1]

    for g in range(groups):
        group = add(NodeKind.GROUP, f"g{g}", nodes[0])
        for a in range(agents):
            add(NodeKind.AGENT, f"a{a}", group)
    return SimpleNamespace(nodes=nodes)


def stop(path: str, mode: str, scope: str = "node") -> Any:
    return SimpleNamespace(path=path, mode=mode, scope=scope)


def at(states: tuple[NodeState, ...], path: str) -> NodeState:
    return next(state for state in states if state.path == path)


MODES = ("running", "draining", "halted")


@pytest.mark.parametrize("modes", list(itertools.product(MODES, repeat=3)))
def test_the_strictest_of_the_chain_counts(modes: tuple[str, str, str]) -> None:
    paths = ("firm", "firm/g0", "firm/g0/a0")
    stops = [stop(path, mode) for path, mode in zip(paths, modes, strict=True) if mode != "running"]
    states = node_states(tree(2, 2), stops)
    for n, path in enumerate(paths):
        counts = max(modes[: n + 1], key=MODES.index)
        found = at(states, path)
        assert (found.mode, found.itself) == (counts, modes[n])
        above = [p for p, mode in zip(paths[:n], modes, strict=False) if mode == counts]
        assert list(found.by) == (above if counts != "running" else [])
    beside = at(states, "firm/g1/a0")
    assert (beside.mode, beside.itself) == (modes[0], "running")


def test_words() -> None:
    states = node_states(
        tree(1, 1),
        [stop("firm", "draining"), stop("firm/g0", "halted"), stop("bybit", "x", "venue")],
    )
    texts = [state.text() for state in states]
    assert texts == ["draining", "halted", "halted by firm/g0"]
    both = node_states(tree(1, 1), [stop("firm", "halted"), stop("firm/g0", "halted")])
    assert [s.text() for s in both][1:] == ["halted, also by firm", "halted by firm, firm/g0"]
    less = node_states(tree(1, 1), [stop("firm", "halted"), stop("firm/g0/a0", "draining")])
    assert less[2].text() == "halted by firm, itself draining"
    whole = node_states(tree(1, 1), [], ["the engine itself"])
    assert {s.text() for s in whole} == {"halted by the engine itself"}
    assert node_states(None, []) == ()


@pytest.mark.parametrize("more", [0, 1])
def test_as_many_as_are_read_one_by_one_are_listed(more: int) -> None:
    states = node_states(tree(1, LINES - 2 + more), [])
    lines = node_lines(states)
    if more:
        assert lines == [
            "firm: running",
            f"firm/g0: running; below: {LINES - 1} agents running",
            f"{LINES + 1} nodes in all; --all lists each",
        ]
    else:
        assert lines == [f"{state.path}: running" for state in states]
    assert node_lines(states, every=True) == [f"{state.path}: running" for state in states]


def test_thousands_stay_readable() -> None:
    policy = tree(5, 1000)
    lines = node_lines(
        node_states(policy, [stop("firm/g1", "halted"), stop("firm/g2/a7", "halted")])
    )
    assert lines == [
        "firm: running",
        "firm/g0: running; below: 1,000 agents running",
        "firm/g1: halted; below: 1,000 agents halted by firm/g1",
        "firm/g2: running; below: 999 agents running",
        "firm/g2/a7: halted",
        "firm/g3: running; below: 1,000 agents running",
        "firm/g4: running; below: 1,000 agents running",
        "5,006 nodes in all; --all lists each",
    ]
    # An outage that stops more than are read one by one, each for itself.
    many = [stop(f"firm/g0/a{n}", "halted") for n in range(LINES + 1)]
    assert f"firm/g0: running; below: {LINES + 1} agents halted, 975 agents running" in node_lines(
        node_states(policy, many)
    )
    assert len(node_lines(node_states(policy, many[1:]))) == 1 + 5 + LINES + 1
    # More groups than are read: one that stops, and those above it.
    wide = node_states(tree(LINES + 1, 2), [stop("firm/g3/a1", "halted")])
    assert node_lines(wide) == [
        f"firm: running; below: {LINES} groups running, {2 * LINES} agents running",
        "firm/g3: running; below: 1 agent running",
        "firm/g3/a1: halted",
        f"{1 + 3 * (LINES + 1)} nodes in all; --all lists each",
    ]


def test_status_shows_every_node(made: Made, zcp: Zcp) -> None:
    zcp("halt", "--scope", "firm/desk", "--reason", "x")
    rows = {row["path"]: row for row in json.loads(zcp("status", "--json"))["nodes"]}
    assert rows["firm/desk/maker"] == {
        "path": "firm/desk/maker",
        "kind": "agent",
        "mode": "halted",
        "itself": "running",
        "by": ["firm/desk"],
    }
    text = zcp("status")
    for line in (
        *("firm: running", "firm/desk: halted", "firm/desk/maker: halted by firm/desk"),
        "firm/notes: running",
    ):
        assert f"node       {line}\n" in text
    zcp("resume", "--scope", "firm/desk", "--reason", "x")
    assert {row["mode"] for row in json.loads(zcp("status", "--json"))["nodes"]} == {"running"}


def test_nothing_runs_under_the_engines_own_halt_or_a_stop_word(made: Made, zcp: Zcp) -> None:
    step_back(made)
    assert "node       firm/desk/maker: halted by the engine itself\n" in zcp("status")
    control = made.directory / "control"
    page = bytearray(control.read_bytes())
    page[40:48] = struct.pack("<IHH", 1, 2, 1)
    control.write_bytes(page)
    rows = json.loads(zcp("status", "--json"))["nodes"]
    assert {tuple(row["by"]) for row in rows} == {("the engine itself", "the stop word")}


def test_agents_of_a_large_firm_are_counted(made: Made, zcp: Zcp, monkeypatch: Any) -> None:
    assert "agent      firm/desk/maker: last action 0\n" in zcp("status")
    monkeypatch.setattr("sentinel._cli._status.LINES", 3)
    assert "agent      4 agents; --all lists the last action of each\n" in zcp("status")
    assert "agent      firm/desk/maker: last action 0\n" in zcp("status", "--all")
