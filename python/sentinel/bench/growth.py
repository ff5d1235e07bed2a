"""How the gate's cost grows: agents, constraints, sanctions, windows, groups.

For each of these, engines that differ in it alone are open at once and are timed in turn, so that
the ratio of two sizes is of one run. Ed25519, nonces made ahead, orders and agents drawn at random.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from .. import _bench
from .._enums import Algorithm, Environment, Purpose, Venue
from .._policy_draft import Draft, stable_id
from ..config import KeyFile
from . import growth_policy as policies
from .gate import BLOCK, POOL
from .machine import pinned
from .result import Curve, Result, Show, percentile, summarise
from .suite import Settings
from .world import World, make_world

__all__ = ["AXES", "Axis", "run"]

STATE_BYTES: Final = 2 << 30
"""Room for the state of 100,000 agents; what is not used costs nothing."""
NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that grows: its sizes, and the policy of a size."""

    name: str
    label: str
    sizes: tuple[int, ...]
    sizes_full: tuple[int, ...]
    make: Callable[[Draft, int], Draft]
    show: tuple[int, int, float] | None = None
    """Two sizes, and the bound of the second's median over the first's."""
    who: str = "trader"

    def warm_up(self, size: int) -> int:
        """Calls until the state is what it will be: each agent met, each window filled."""
        return {"agents": 2 * size, "windows": size}.get(self.name, 0)


AXES: Final = (
    Axis(
        *("agents", "agents, drawn uniformly", (5, 1_000, 100_000)),
        (5, 100, 1_000, 10_000, 100_000),
        policies.agents,
        (5, 100_000, 2.0),
    ),
    Axis(
        *("constraints", "constraints of one agent", (1, 8, 64), (1, 2, 4, 8, 16, 32, 64)),
        policies.constraints,
        (8, 64, 5.0),
    ),
    Axis(
        *("sanctions", "entries of the sanctions list", (10, 1_000, 1_000_000)),
        (10, 100, 1_000, 10_000, 100_000, 1_000_000),
        policies.sanctions,
        (10, 1_000_000, 1.3),
        who="treasurer",
    ),
    Axis(
        *("windows", "events in the window of a rate", (10, 1_000, 100_000)),
        (10, 100, 1_000, 10_000, 100_000),
        policies.window,
    ),
    Axis(
        *("groups", "groups, one in the other", (1, 4, 8), (1, 2, 3, 4, 5, 6, 7, 8)),
        policies.groups,
    ),
)


def open_size(
    world: World, axis: Axis, size: int, template: Draft, stack: ExitStack
) -> _bench.Gate:
    """An engine of its own for one size, and the lane that signs by it."""
    draft = axis.make(template, size)
    name = f"{axis.name}.{size}"
    engine = world.open(
        name,
        log="mapped",
        step_ns=policies.STEP_NS,
        nonces=POOL,
        state_bytes=STATE_BYTES,
        snapshot_every=NEVER,
    )
    stack.callback(shutil.rmtree, world.directory.with_name(name), ignore_errors=True)
    stack.callback(engine.close)
    for frame in policies.frames(world.directory, world.passphrase, draft, world.now_ns):
        engine.take(frame)
    orders = policies.withdrawals(draft) if axis.who == "treasurer" else policies.places(draft)
    nodes = None
    if axis.name == "agents":
        agents = policies.agent_ids(size)
        first = policies.first_agent_index(draft)
        nodes = list(range(first, first + size))
    elif axis.name == "groups":
        agents = policies.agent_ids(1)
    else:
        agents = [policies.agent_id(draft, axis.who)]
    gate = _bench.Gate(engine, agents, orders, name=name, nodes=nodes)
    _bench.measure([gate], 0, axis.warm_up(size))
    return gate


def run_axis(
    world: World, axis: Axis, template: Draft, settings: Settings, progress: Callable[[float], None]
) -> Result:
    """All sizes of one axis, in turn."""
    result = Result(suite="growth", title=axis.label)
    sizes = axis.sizes_full if settings.is_full else axis.sizes
    with ExitStack() as stack:
        lanes: list[_bench.Lane] = []
        for at, size in enumerate(sizes):
            lanes.append(open_size(world, axis, size, template, stack))
            progress((at + 1) / (len(sizes) + 1))
        times = _bench.measure(
            [*lanes, _bench.Timer()],
            settings.rounds,
            min(settings.rounds, 1_000),
            block=BLOCK,
        )
    timer = percentile(sorted(times["timer"]), 0.5)
    for size in sizes:
        name = f"{axis.name}.{size}"
        label = f"{size:,} {axis.label}"
        result.rows.append(summarise(name, label, times[name], timer=timer, group="ours"))
    points = [(float(size), result.row(f"{axis.name}.{size}").p50) for size in sizes]
    result.curves.append(
        Curve(name=axis.name, label=axis.label, x=axis.label, y="ns", points=points)
    )
    if axis.show is not None:
        few, many, bound = axis.show
        ratio = result.row(f"{axis.name}.{many}").p50 / result.row(f"{axis.name}.{few}").p50
        what = f"{many:,} {axis.label} over {few:,}"
        result.shows.append(Show(name="6", what=what, value=ratio, bound=bound))
    return result


def add_funds_key(world: World) -> None:
    """The key that withdraws: trading keys may not."""
    file = KeyFile(world.directory / "keys" / "engine", world.passphrase)
    key = stable_id("key", policies.FUNDS_KEY)
    file.ring.generate(
        key, Purpose.VENUE, Algorithm.ED25519, venue=Venue.BINANCE_SPOT, api_key="bench-funds"
    )
    names = {stable_id("key", name): name for name in ("identity", "message", policies.TRADE_KEY)}
    file.save(names | {key: policies.FUNDS_KEY})


def run(settings: Settings) -> Result:
    """Every axis, one behind the other. Raises what making an engine raises."""
    result = Result(
        suite="growth",
        title="how cost grows with agents, rules, lists and windows",
        rounds=settings.rounds,
        pinned_to=pinned(),
    )
    live = Environment.LIVE  # No test network withdraws.
    with make_world([policies.TRADE_KEY], instruments=1, agents=1, environment=live) as world:
        add_funds_key(world)
        template = policies.template(world.directory.parent)
        for at, axis in enumerate(AXES):

            def progress(share: float, at: int = at) -> None:
                settings.progress((at + share) / len(AXES))

            found = run_axis(world, axis, template, settings, progress)
            result.rows += found.rows
            result.curves += found.curves
            result.shows += found.shows
            progress(1)
    return result
