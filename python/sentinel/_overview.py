"""An engine's state in words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._engine_halt import EngineHalt, engine_halt_of
from ._enums import Environment, Rule, Venue, label
from ._epoch_start import NonceSource, nonce_source_of
from ._node_states import NodeState, node_states
from ._stops import Stop, stop_word_of, stops_of
from ._types import EngineState
from ._witness_state import WitnessState, witness_of
from .config import Installed
from .policy import Constraint, Policy
from .receipt import iso_time


@dataclass(frozen=True, slots=True)
class Beat:
    """The heartbeats of one agent that beats, or that a rule wants to beat.

    `beat_ns`: when the last one was made; 0: none since the start or a resume, and with `rule`
    its orders are refused until there is one. `deadline_ns`: after it, it is stopped; 0: never.
    """

    path: str
    rule: bool
    beat_ns: int
    iterations: int
    running_since_ns: int
    deadline_ns: int

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp status --json`."""

        def time_of(ns: int) -> str | None:
            return iso_time(ns) if ns else None

        return {
            "path": self.path,
            "rule": self.rule,
            "beat": time_of(self.beat_ns),
            "iterations": self.iterations,
            "running_since": time_of(self.running_since_ns),
            "stops_after": time_of(self.deadline_ns),
        }

    def text(self) -> str:
        """One line for people."""
        if not self.beat_ns:
            return f"{self.path}: none since the start or its resume; refused until it beats"
        loop = f"{self.iterations} iterations done"
        if self.running_since_ns:
            loop += f", one runs since {iso_time(self.running_since_ns)}"
        end = f"; stopped after {iso_time(self.deadline_ns)}" if self.deadline_ns else ""
        return f"{self.path}: last {iso_time(self.beat_ns)}, {loop}{end}"


def beat_rules(policy: Policy | None, agent: int) -> list[Constraint]:
    """The rules of heartbeats that hold for an agent, by its id."""
    if policy is None:
        return []
    chain = {node.index for node in policy.chain(policy.node(agent))}
    return [row for row in policy.constraints if row.kind is Rule.HEARTBEAT and row.node in chain]


def _beats(state: EngineState, policy: Policy | None, names: Mapping[int, str]) -> tuple[Beat, ...]:
    found = []
    ruled = policy is not None and any(row.kind is Rule.HEARTBEAT for row in policy.constraints)
    for row in state.agents:
        rule = ruled and row.node in names and bool(beat_rules(policy, row.node))
        if rule or row.beat_ns:
            found.append(
                Beat(
                    *(names.get(row.node, str(row.node)), rule, row.beat_ns, row.iterations),
                    *(row.running_since_ns, row.beat_deadline_ns),
                )
            )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Status:
    """An engine's state in words. `engine_halted` is why it halted itself, "" when it did not;
    `engine_halt` is that with its record and what lifts it, None when it did not.
    `stop_word`: what a stop word is of that no record covers, and what clears it. `nodes`: every
    node of the policy with the state that counts for it. `witness`: None where the authority asks
    for none.

    `usable_until_ms`: by venue, when the last signature that adds risk stops being usable there,
    Unix milliseconds; no venue that was given none.
    `lease_ns`: the longest operators' lease; 0: the policy asks for none. `lease_until_ns`: from
    then on nothing is signed where it asks for one; 0: none was given.
    `relied_ns`: the time of the last record that something rests on; the log's clock is never set
    back before it. `tolerance_ns`: how far a clock may step back.
    `freshness` is "unproven" without a witness: nothing proves that no newer state ever was. It is
    "confirmed" when one granted this epoch, "gap" when it named records that are missing.
    `nonces`: what the last start says of the nonces of signatures; None: it cannot be read.
    """

    directory: str
    engine_id: bytes
    environment: str
    records: int
    epoch: int
    last_ns: int
    policy_version: int | None
    policy_hash: bytes
    engine_halted: str
    stops: tuple[Stop, ...]
    agents: Mapping[str, int]
    usable_until_ms: Mapping[str, int]
    beats: tuple[Beat, ...]
    lease_ns: int
    lease_until_ns: int
    freshness: str = "unproven"
    relied_ns: int = 0
    tolerance_ns: int = 0
    engine_halt: EngineHalt | None = None
    stop_word: str = ""
    nodes: tuple[NodeState, ...] = ()
    witness: WitnessState | None = None
    nonces: NonceSource | None = None

    def clock_json(self, now_ns: int) -> dict[str, Any] | None:
        """How far the log's time is ahead of the clock, beyond the tolerance; None: it is not."""
        ahead = self.last_ns - now_ns
        if ahead <= self.tolerance_ns:
            return None
        return {
            "ahead_ns": ahead,
            "relied_until": iso_time(self.relied_ns),
            "can_be_set_back": now_ns >= self.relied_ns,
        }

    def clock_lines(self, now_ns: int) -> list[str]:
        """The same for people, and what to do; nothing where the log is not ahead."""
        found = self.clock_json(now_ns)
        if found is None:
            return []
        last = iso_time(self.last_ns)
        lines = [
            f"AHEAD      the log's time is {last}, and this clock says {iso_time(now_ns)}: commands"
            " look expired",
        ]
        if found["can_be_set_back"]:
            return [
                *lines,
                "           where this clock is right, k of n operators set the log back: zcp"
                " command draft resume --clock",
            ]
        return [
            *lines,
            f"           it cannot be set back: what was signed or taken at {found['relied_until']}"
            " rests on it. Where this clock is right,",
            "           wait until then, or give the engine up and make a new one: zcp init in"
            " another directory,",
            "           with new keys of the venues (docs/2-policy.md, Setting the clock back)",
        ]

    def lease_json(self, now_ns: int) -> dict[str, Any]:
        """The operators' lease for `zcp status --json`."""
        return {
            "needed": bool(self.lease_ns),
            "until": iso_time(self.lease_until_ns) if self.lease_until_ns else None,
            "valid": not self.lease_ns or now_ns < self.lease_until_ns,
        }

    def lease_lines(self, now_ns: int) -> list[str]:
        """The operators' lease for people; nothing where none is needed."""
        if not self.lease_ns:
            return []
        until = iso_time(self.lease_until_ns) if self.lease_until_ns else ""
        state = f"over since {until}: nothing is signed" if until else "none: nothing is signed"
        if now_ns < self.lease_until_ns:
            state = f"until {until}"
        return [f"lease      {state}; any one operator renews it: zcp lease"]

    @property
    def halted(self) -> tuple[Stop, ...]:
        """The nodes that are halted, also by the end of a drain."""
        return tuple(s for s in self.stops if (s.scope, s.mode) == ("node", "halted"))


def usable_until_ms(state: EngineState) -> dict[str, int]:
    """By venue: when the last signature that adds risk stops being usable (`Status`)."""
    return {
        label(Venue(venue)): until for venue, until in enumerate(state.usable_until_ms) if until
    }


def _freshness(state: EngineState) -> str:
    if state.grant.gap_to:
        return "gap"
    return "confirmed" if state.epoch and state.grant.epoch == state.epoch else "unproven"


def status_of(
    installed: Installed,
    state: EngineState,
    policy: Policy | None,
    now_ns: int | None = None,
    *,
    probe: bool = False,
) -> Status:
    """A state in words, with the policy's names. `probe`: also whether the witness is up."""
    names = {node.id: node.path for node in policy.nodes} if policy is not None else {}
    now_ns = time.time_ns() if now_ns is None else now_ns
    tolerance_ns = policy.clock_tolerance_ns if policy is not None else 10**9
    halt = engine_halt_of(installed, state, now_ns, tolerance_ns)
    stops, word = stops_of(installed, state, policy, now_ns), stop_word_of(installed, policy)
    causes = (("the engine itself", halt), ("the stop word", word))
    everything = [what for what, is_so in causes if is_so]
    return Status(
        directory=str(installed.directory),
        engine_id=state.engine_id,
        environment=Environment(installed.environment).name.lower(),
        records=state.record_count,
        epoch=state.epoch,
        last_ns=state.last_now_ns,
        policy_version=policy.version if policy is not None else None,
        policy_hash=state.policy_hash,
        engine_halted=halt.why if halt is not None else "",
        stops=stops,
        agents={names.get(row.node, str(row.node)): row.id_highest for row in state.agents},
        usable_until_ms=usable_until_ms(state),
        freshness=_freshness(state),
        beats=_beats(state, policy, names),
        lease_ns=policy.lease_ns if policy is not None else 0,
        lease_until_ns=state.lease_until_ns,
        relied_ns=state.relied_ns,
        tolerance_ns=tolerance_ns,
        engine_halt=halt,
        stop_word=word,
        nodes=node_states(policy, stops, everything),
        witness=witness_of(installed, state, probe=probe),
        nonces=nonce_source_of(installed, state),
    )
