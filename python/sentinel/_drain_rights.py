"""Who may do what a drain leaves to do, as the policy's own rows say it.

This chooses orders; the core judges each of them again.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import _core
from ._enums import (
    Action,
    NodeKind,
    OrderType,
    Purpose,
    Rule,
    Scope,
    Side,
    TimeInForce,
    label,
)
from ._types import EngineState, StopState
from .policy import Constraint, Instrument, Key, Node, Policy

_DRAINING = 1


class Rights:
    """A policy and the stops of one moment."""

    def __init__(
        self, policy: Policy, state: EngineState, on: tuple[Scope, int, str], now_ns: int
    ) -> None:
        self._policy = policy
        self._scope, self._target = on[0], on[1]
        if self._scope is Scope.NODE and not self._target:
            self._target = policy.nodes[0].id
        self._halted = state.halted
        self._stops = {
            (row.scope, row.id): row
            for row in state.stops
            if row.mode != _DRAINING or (row.until_ns and now_ns >= row.until_ns)
        }
        self.agents = tuple(
            node for node in policy.nodes if node.kind is NodeKind.AGENT and self._is_below(node)
        )

    def _is_below(self, agent: Node) -> bool:
        return self._scope is not Scope.NODE or self._target in (
            node.id for node in self._policy.chain(agent)
        )

    def touches(self, instrument: Instrument) -> bool:
        """Whether the drain is about this instrument."""
        if self._scope is Scope.VENUE:
            return instrument.venue == self._target
        return self._scope is not Scope.INSTRUMENT or instrument.id == self._target

    def stopped(self, agent: Node, instrument: Instrument) -> str:
        """Why not even a cancel is signed; "" where one is."""
        if self._halted:
            return "the engine halted itself: zcp status says why"
        for node in self._policy.chain(agent):
            if row := self._stops.get((Scope.NODE, node.id)):
                return f"{node.path} is halted{_since(row)}"
        if row := self._stops.get((Scope.VENUE, instrument.venue)):
            return f"{label(instrument.venue)} is halted{_since(row)}"
        if row := self._stops.get((Scope.INSTRUMENT, instrument.id)):
            return f"{instrument.name} is halted{_since(row)}"
        return ""

    def keys(self, agent: Node, instrument: Instrument) -> list[Key]:
        """The keys with which an agent may trade an instrument."""
        chain = {node.index for node in self._policy.chain(agent)}
        return [
            key
            for key in self._policy.keys.values()
            if key.purpose is Purpose.VENUE
            and key.venue is instrument.venue
            and key.products >> instrument.contract & 1
            and key.node in chain
        ]

    def keyless(self, agent: Node, instrument: Instrument) -> str:
        """Says so where an agent has no key for an instrument."""
        return "" if self.keys(agent, instrument) else "no key of the policy is good for it"

    def outside(self, instrument: Instrument) -> list[str]:
        """Agents that may trade the instrument and that the drain is not about."""
        if self._scope is not Scope.NODE:
            return []
        return [
            node.path
            for node in self._policy.agents
            if not self._is_below(node) and self.keys(node, instrument)
        ]

    def denied(
        self, agent: Node, action: Action, instrument: Instrument, *, side: Side | None = None
    ) -> str:
        """The allowlist that refuses it, as the core says it; "" where none does."""
        rows = list(self._rows(agent, action, instrument))
        if not any(row.kind is Rule.ACTIONS for row in rows):
            return "refused by policy: no_grant"
        for row in rows:
            if row.kind is Rule.ACTIONS and not row.mask >> action & 1:
                return "refused by policy: action_not_allowed"
            if row.kind is Rule.VENUES and not row.mask >> instrument.venue & 1:
                return "refused by policy: venue_not_allowed"
            if row.kind is Rule.INSTRUMENTS and instrument.id not in row.instruments:
                return "refused by policy: instrument_not_allowed"
            if side is not None and row.kind is Rule.SIDES and not row.mask >> side & 1:
                return "refused by policy: side_not_allowed"
        return ""

    def _rows(self, agent: Node, action: Action, instrument: Instrument) -> Iterator[Constraint]:
        for row in self._policy.constraints_of(agent):
            named = row.instrument in (0, instrument.id)
            if named and row.applies_to(action) and row.venues >> instrument.venue & 1:
                yield row

    def cancels_all(self, agent: Node, instrument: Instrument, key: int) -> bool:
        """Whether one order may cancel all of the agent's there, and nobody else's but those of
        agents that drain too.
        """
        if _core.hold(instrument.venue, Action.CANCEL_ALL) is None:
            return False
        mine = {row.id for row in self.keys(agent, instrument) if key in (0, row.id)}
        shared = any(
            not self._is_below(node) and mine & {row.id for row in self.keys(node, instrument)}
            for node in self._policy.agents
        )
        return not shared and not self.denied(agent, Action.CANCEL_ALL, instrument)

    def way_out(self, agent: Node, instrument: Instrument) -> tuple[OrderType, TimeInForce]:
        """At the market where the policy lets the agent; else with a price, at once or resting."""
        rows = list(self._rows(agent, Action.PLACE, instrument))

        def passes(rule: Rule, member: int) -> bool:
            return all(row.mask >> member & 1 for row in rows if row.kind is rule)

        market = passes(Rule.ORDER_TYPES, OrderType.MARKET)
        if market and passes(Rule.TIMES_IN_FORCE, TimeInForce.NONE):
            return OrderType.MARKET, TimeInForce.NONE
        if not passes(Rule.ORDER_TYPES, OrderType.LIMIT):
            return OrderType.MARKET, TimeInForce.NONE  # the core says why not
        if passes(Rule.TIMES_IN_FORCE, TimeInForce.IOC):
            return OrderType.LIMIT, TimeInForce.IOC
        return OrderType.LIMIT, TimeInForce.GTC


def _since(row: StopState) -> str:
    return f" (record {row.record})"
