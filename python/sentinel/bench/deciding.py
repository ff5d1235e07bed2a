"""Policy alone: ours beside Cedar and Rego, on the same stateless rules and inputs, in one run.

Ours is `sentinel_policy_evaluate` of the C core, in C and through Cython; Cedar is cedarpy with a
parsed PolicySet and parsed entities, Rego is regopy with a module that was compiled once (`build`)
and one interpreter. Two forms of input, fresh for each call:

- prepared: what each engine takes with the least work left (ours a packed order, Cedar's request
  with its context as JSON text, Rego's `Input`), all made before the clock runs;
- values: plain Python values of an order, so that bringing them into that form is timed as well.
  For Cedar and Rego these are a dict, which is made beforehand; for ours an object of such values,
  stamped onto an order that was packed once.

An answer is a Python bool of each. All three judge every input before anything is timed, and must
agree. More than half of the inputs are allowed.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .. import _bench
from .._enums import Environment, OrderType
from ..config import create_engine
from ..errors import SentinelError
from ..sign import Signer
from .deciding_rules import (
    CEDAR,
    INSTRUMENTS,
    MARKS,
    REGO,
    TICK,
    Input,
    data,
    entities,
    make_inputs,
    ours,
)
from .machine import pinned
from .peer import PeerMissing
from .peers_python import need
from .result import Result, Show, summarise
from .suite import Settings
from .world import light_keys, make_world

__all__ = ["Judges", "cedar", "make_judges", "rego", "run"]

TITLE: Final = "policy alone, beside Cedar and Rego"
INPUTS: Final = 512
BLOCK: Final = 32
RATIO: Final = 20.0
POLICY_NS: Final = 250.0

#: From the instrument to the trigger price of a packed order: what differs between two orders.
TERMS: Final = struct.Struct("<IBBB9x8xqB7x16xqB7x")
TERMS_AT: Final = 160

NOTES: Final = (
    "These are figures of Python packages: cedarpy passes request and answer as JSON, regopy is"
    " rego-cpp, not OPA. What cedarpy says of its evaluator alone is cedar_evaluator_us.",
    "Cedar and Rego judge what needs no state; ours also looks at the kill switch, and says every"
    " constraint's value and bound.",
    "One policy per agent in place of one per level makes Cedar a sixth faster; nobody could then"
    " write a level's rules without the others'.",
)


@dataclass(frozen=True, slots=True)
class Judges:
    """One engine: how it is asked, and how its inputs are made. An answer is: allowed?"""

    name: str
    label: str
    version: str
    ask: Callable[[Any], bool]
    prepare: Callable[[Input], Any]
    from_values: Callable[[Any], bool]
    values: Callable[[Input], Any]


def cedar() -> Judges:
    """Raises PeerMissing."""
    cedarpy, version = need("cedarpy", "cedarpy")
    policies = cedarpy.PolicySet.from_str(CEDAR)
    known = cedarpy.Entities.from_json_str(json.dumps(entities()))
    authorize = cedarpy.is_authorized

    def ask(request: dict[str, Any]) -> bool:
        allowed: bool = authorize(request, policies, known).allowed
        return allowed

    def prepare(order: Input) -> dict[str, Any]:
        request = order.cedar()
        return {**request, "context": json.dumps(request["context"])}

    return Judges(
        name="cedar",
        label="Cedar (cedarpy, parsed policies and entities)",
        version=version,
        ask=ask,
        prepare=prepare,
        from_values=ask,
        values=Input.cedar,
    )


def rego() -> Judges:
    """Raises PeerMissing."""
    regopy, version = need("regopy", "regopy")
    interpreter = regopy.Interpreter()
    interpreter.add_data(data())
    interpreter.add_module("bench", REGO)
    compiled = interpreter.build(None, ["bench/allow"])
    set_input, query = interpreter.set_input, interpreter.query_bundle_entrypoint

    def ask(document: Any) -> bool:
        set_input(document)
        allowed: bool = query(compiled, "bench/allow").results[0].expressions[0]
        return allowed

    return Judges(
        name="rego",
        label="Rego (regopy, a module compiled once)",
        version=version,
        ask=ask,
        prepare=lambda order: regopy.Input(order.rego()),
        from_values=ask,
        values=Input.rego,
    )


def cedar_evaluator_us(inputs: list[Input]) -> float:
    """What cedarpy's own clock says of evaluation alone, at the median, in whole microseconds."""
    cedarpy, _ = need("cedarpy", "cedarpy")
    policies = cedarpy.PolicySet.from_str(CEDAR)
    known = cedarpy.Entities.from_json_str(json.dumps(entities()))
    told = (cedarpy.is_authorized(order.cedar(), policies, known).metrics for order in inputs)
    return float(statistics.median(metrics["authz_duration_micros"] for metrics in told))


class Sentinel:
    """Ours, of an engine with the policy of `deciding_rules`."""

    def __init__(self, engine: _bench.Engine, policy: Any) -> None:
        agents = {agent.name: agent.id for agent in policy.agents}
        self.instruments = {name: policy.instrument(name).id for name in INSTRUMENTS}
        self.agents = agents
        self.policy = {
            name: _bench.Policy(engine, id_, int(Environment.TEST)) for name, id_ in agents.items()
        }
        self.decide = {name: policy.decide for name, policy in self.policy.items()}
        #: An order with a price and one without, by agent, to be stamped.
        self.limit = {name: bytearray(self._packed(name, 100)) for name in agents}
        self.market = {name: bytearray(self._packed(name, None)) for name in agents}

    def _packed(self, agent: str, price: int | None) -> bytes:
        order = make_inputs(1)[0]
        type_ = OrderType.LIMIT if price else OrderType.MARKET
        shaped = Input(agent, order.instrument, order.side, type_, order.time_in_force, 1, price)
        return self.pack(shaped)

    def pack(self, order: Input) -> bytes:
        """As bytes, through the package's own `Place`."""
        placed = order.order(self.instruments[order.instrument])
        return placed.pack(agent=self.agents[order.agent], action_id=1)

    def ask(self, prepared: tuple[str, bytes]) -> bool:
        """Of an order that is packed."""
        return not self.decide[prepared[0]](prepared[1])

    def from_values(self, order: Input) -> bool:
        """Stamps the terms onto an order made once."""
        agent, price = order.agent, order.price
        packed = (self.limit if price is not None else self.market)[agent]
        TERMS.pack_into(
            packed,
            TERMS_AT,
            self.instruments[order.instrument],
            order.side,
            order.type,
            order.time_in_force,
            order.quantity,
            5,
            price or 0,
            2 if price is not None else 0,
        )
        return not self.decide[agent](packed)

    def from_place(self, order: Input) -> bool:
        """Builds and packs a `Place`, with texts for decimals, as an application may."""
        return not self.decide[order.agent](self.pack(order))

    def judges(self) -> Judges:
        """As the others."""
        return Judges(
            name="ours",
            label="ours (C core through Cython)",
            version="",
            ask=self.ask,
            prepare=lambda order: (order.agent, self.pack(order)),
            from_values=self.from_values,
            values=lambda order: order,
        )


@contextlib.contextmanager
def sentinel() -> Iterator[Sentinel]:
    """Ours, with an engine in a temporary directory, which is removed."""
    with tempfile.TemporaryDirectory(prefix="zcp-bench-") as place, light_keys():
        directory, passphrase = Path(place) / "engine", secrets.token_hex(16).encode()
        now_ns = time.time_ns()
        create_engine(directory, passphrase, now_ns=now_ns, environment=Environment.TEST)
        with Signer.open(directory, passphrase=passphrase) as signer:
            signer.load_policy(ours())
            marks = {name: f"{mark // TICK}.{mark % TICK:02d}" for name, mark in MARKS.items()}
            signer.feed_marks(marks)
            policy = signer.policy
        engine = _bench.Engine(directory, passphrase, time.time_ns(), durability=1)
        try:
            yield Sentinel(engine, policy)
        finally:
            engine.close()


def make_judges(mine: Sentinel, missing: list[str]) -> list[Judges]:
    """Ours and those that are installed; what is missing goes into a list."""
    found = [mine.judges()]
    for name, make in (("Cedar", cedar), ("Rego", rego)):
        try:
            found.append(make())
        except PeerMissing as absent:
            missing.append(f"{name}: {absent}")
    return found


def agree(judges: list[Judges], inputs: list[Input]) -> int:
    """How many inputs are allowed. Raises SentinelError where two engines differ on one."""
    allowed = 0
    for order in inputs:
        answers = {
            (judge.name, form): ask(make(order))
            for judge in judges
            for form, ask, make in (
                ("prepared", judge.ask, judge.prepare),
                ("values", judge.from_values, judge.values),
            )
        }
        if len(set(answers.values())) != 1:
            told = ", ".join(f"{name} {form}: {said}" for (name, form), said in answers.items())
            raise SentinelError(f"the engines differ on {order}: {told}")
        allowed += answers[judges[0].name, "prepared"]
    return allowed


def _lane(name: str, ask: Callable[[Any], bool], inputs: list[Any]) -> _bench.Call:
    """A call whose input is another one each time."""
    at = 0

    def following() -> Any:
        nonlocal at
        at = (at + 1) % len(inputs)
        return inputs[at]

    return _bench.Call(ask, name=name, prepare=following)


def _lanes(mine: Sentinel, judges: list[Judges], inputs: list[Input]) -> dict[str, _bench.Lane]:
    """Each lane under its label."""
    lanes: dict[str, _bench.Lane] = {}
    for judge in judges:
        lanes[f"{judge.label}, prepared input"] = _lane(
            f"{judge.name}_prepared", judge.ask, [judge.prepare(order) for order in inputs]
        )
        lanes[f"{judge.label}, from Python values"] = _lane(
            f"{judge.name}_values", judge.from_values, [judge.values(order) for order in inputs]
        )
    lanes["ours, from values through Place and pack"] = _lane("ours_place", mine.from_place, inputs)
    allowed = [mine.pack(order) for order in inputs if order.agent == "maker"]
    allowed = [order for order in allowed if not mine.decide["maker"](order)]
    lanes["ours in C, the same rules, allowed inputs"] = _bench.Judge(
        [mine.policy["maker"]], allowed, name="ours_c"
    )
    lanes["an empty Python function"] = _lane("python_call", lambda order: True, inputs)
    lanes["the timer itself"] = _bench.Timer()
    return lanes


def _add_policy_in_c(result: Result, rounds: int) -> None:
    """Ours in C, with what needs state as well: the twelve constraints of the other suites."""
    desk = "binance_spot.ed25519"
    with make_world([desk], instruments=200) as world:
        engine = world.open(log="none")
        try:
            policies = [
                _bench.Policy(engine, agent, int(Environment.TEST)) for agent in world.agents[desk]
            ]
            lane = _bench.Judge(policies, world.orders[desk], name="policy_c")
            lanes = [lane, _bench.Timer()]
            times = _bench.measure(lanes, rounds, 2_000, block=BLOCK)
            constraints = lane.constraints - 1  # beside the kill switch
        finally:
            engine.close()
    timer = int(statistics.median(times["timer"]))
    label = f"ours in C, {constraints} constraints at three levels, windows and marks among them"
    row = summarise("policy_c", label, times["policy_c"], timer=timer, group="ours")
    result.rows.append(row)
    result.facts["policy_c_constraints"] = constraints
    result.shows.append(
        Show(
            name="4",
            what=f"policy alone, in C, {constraints} constraints",
            value=row.p50,
            bound=POLICY_NS,
            unit="ns",
        )
    )


def _add_ratios(result: Result, judges: list[Judges]) -> None:
    for judge in judges[1:]:
        for form in ("prepared", "values"):
            ratio = result.row(f"{judge.name}_{form}").p50 / result.row(f"ours_{form}").p50
            result.shows.append(
                Show(
                    name="4",
                    what=f"{judge.label} over ours, Python to Python, {form} input",
                    value=ratio,
                    bound=RATIO,
                    at_least=True,
                )
            )


def run(settings: Settings) -> Result:
    """The suite. Raises what making an engine raises, and SentinelError where engines differ."""
    result = Result(suite="deciding", title=TITLE, notes=list(NOTES), pinned_to=pinned())
    inputs = make_inputs(INPUTS)
    rounds = result.rounds = min(settings.rounds, 20_000 if settings.is_full else 4_000)
    with sentinel() as mine:
        judges = make_judges(mine, result.missing)
        allowed = agree(judges, inputs)
        lanes = _lanes(mine, judges, inputs)
        times = _bench.measure(
            list(lanes.values()),
            rounds,
            200,
            lambda done: settings.progress(done / rounds),
            block=BLOCK,
        )
    timer = int(statistics.median(times["timer"]))
    for label, lane in lanes.items():
        group = "ours" if lane.name.startswith("ours") else "peer"
        plain = lane.name in ("python_call", "timer")
        result.rows.append(
            summarise(
                lane.name,
                label,
                times[lane.name],
                timer=0 if lane.name == "timer" else timer,
                group="" if plain else group,
            )
        )
    result.facts = {
        "inputs": len(inputs),
        "allowed": allowed,
        "constraints": 12,
        "versions": {judge.name: judge.version for judge in judges if judge.version},
        "timer_ns": timer,
    }
    if "cedar" in result.facts["versions"]:
        result.facts["cedar_evaluator_us"] = cedar_evaluator_us(inputs)
    _add_ratios(result, judges)
    _add_policy_in_c(result, min(settings.rounds, 20_000))
    return result
