"""The list that a drain leaves to do: cancels, then closes, venue by venue.

    from sentinel.drain import plan_drain, send_drain

    signer.drain("end of day")
    plan = plan_drain(signer)
    with Submitter() as submitter:
        report = send_drain(plan, signer, submitter)
    report.is_done, report.venues["bybit"].still_open

A plan is made of what the engine knows: its book, as far as execution reports tell, and the
positions that were fed. Nothing is signed before `send_drain`, and there each step is judged like
any other order. docs/submit.md, "Draining", has the rules.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from . import _core
from ._drain_rights import Rights
from ._drain_send import Done, Progress, Report, Sender, VenueReport
from ._drain_steps import CANCEL, CANCEL_ALL, CLOSE, Plan, Stay, Step
from ._enums import (
    Action,
    Contract,
    MarginMode,
    MarkKind,
    OrderType,
    Scope,
    Side,
    Venue,
    label,
)
from ._holdings import is_open
from ._order import Order
from ._types import BookEntry, PositionState
from .errors import SentinelError
from .order import Cancel, CancelAll, Place, unpack
from .policy import Instrument, Node, Policy
from .sign import Signer
from .submit import Submitter

__all__ = [
    "Done",
    "Plan",
    "Report",
    "Stay",
    "Step",
    "VenueReport",
    "plan_drain",
    "plan_of",
    "send_drain",
]

WITHIN_PPM: Final = 10_000
"""How far from the mark a close with a price may trade, unless it is said: 1 %."""
_TRIGGERED: Final = (
    OrderType.STOP_MARKET,
    OrderType.STOP_LIMIT,
    OrderType.TAKE_PROFIT_MARKET,
    OrderType.TAKE_PROFIT_LIMIT,
)
_FIRM: Final = (Scope.NODE, 0, "")


class _Group(NamedTuple):
    """Orders that one cancel-all reaches, if there is one."""

    agent: Node
    instrument: Instrument
    key: int


def plan_drain(
    signer: Signer,
    on: tuple[Scope, int, str] | None = None,
    *,
    within_ppm: int = WITHIN_PPM,
    now_ns: int | None = None,
) -> Plan:
    """What is to do now, by this process's own engine. `on`: as `target_of` gives it; the firm."""
    return plan_of(
        signer._engine,
        signer.policy,
        on,
        directory=str(signer.installed.directory),
        within_ppm=within_ppm,
        now_ns=now_ns,
    )


def plan_of(
    gate: _core.Gate,
    policy: Policy,
    on: tuple[Scope, int, str] | None = None,
    *,
    directory: str = "",
    within_ppm: int = WITHIN_PPM,
    now_ns: int | None = None,
) -> Plan:
    """The same of any gate, such as the state that `audit.restore` reads."""
    now = time.time_ns() if now_ns is None else now_ns
    scope = on or _FIRM
    return _Planner(gate, policy, scope, directory, within_ppm, now).plan()


def send_drain(
    plan: Plan,
    signer: Signer,
    submitter: Submitter,
    *,
    tries: int = 3,
    pause_s: float = 0.5,
    within_ppm: int = WITHIN_PPM,
    progress: Progress | None = None,
) -> Report:
    """Signs and sends a plan; what came of it, venue by venue.

    Each step is tried so often at most: again where nothing came to the venue, and of a cancel
    also where nobody knows; a close whose outcome is not known is never signed again. `progress`
    hears of each step that ended, and how. Raises nothing for what a venue says or does not say.
    """

    def fresh() -> Plan:
        return plan_drain(signer, plan.on, within_ppm=within_ppm)

    sender = Sender(signer, submitter, fresh, tries=tries, pause_s=pause_s, progress=progress)
    return sender.run(plan)


class _Planner:
    """One look at an engine's state."""

    def __init__(
        self,
        gate: _core.Gate,
        policy: Policy,
        on: tuple[Scope, int, str],
        directory: str,
        within_ppm: int,
        now_ns: int,
    ) -> None:
        self._policy, self._on, self._directory, self._now = policy, on, directory, now_ns
        self._within = Decimal(within_ppm) / 10**6
        state = gate.state()
        self._marks = {
            row.id: Decimal(row.mantissa).scaleb(-row.scale)
            for row in state.marks
            if row.kind == MarkKind.INSTRUMENT
        }
        self._rights = Rights(policy, state, on, now_ns)
        self._book, self._positions = gate.book()
        self._stays: list[Stay] = []

    def plan(self) -> Plan:
        made: list[Step] = []
        for venue in Venue:
            if venue is Venue.NONE:
                continue
            for step in (*self._cancels(venue), *self._closes(venue)):
                made.append(step.numbered(len(made) + 1))
        notes = self._notes()
        return Plan(self._on, tuple(made), tuple(self._stays), notes, self._directory)

    # ---- Orders -------------------------------------------------------------

    def _cancels(self, venue: Venue) -> Iterator[Step]:
        for group, entries in self._groups(venue).items():
            agent, instrument, _ = group
            why = self._rights.stopped(agent, instrument) or self._rights.keyless(agent, instrument)
            if why:
                what = f"orders of {agent.path}: " + _actions(entries)
                self._stay(instrument, what, why)
                continue
            apart = [row for row in entries if is_apart(instrument, row.type)]
            together = [row for row in entries if row not in apart]
            if together and self._rights.cancels_all(agent, instrument, group.key):
                yield self._cancel_all(group, together)
            else:
                apart = entries
            for row in apart:
                denied = self._rights.denied(agent, Action.CANCEL, instrument)
                if denied:
                    self._stay(instrument, f"order {row.action_id} of {agent.path}", denied)
                else:
                    yield self._cancel(group, row)

    def _groups(self, venue: Venue) -> dict[_Group, list[BookEntry]]:
        agents = {node.id: node for node in self._rights.agents}
        found: dict[_Group, list[BookEntry]] = {}
        for row in self._book:
            instrument = self._policy.instruments.get(row.instrument)
            if row.agent not in agents or instrument is None or instrument.venue is not venue:
                continue
            if is_open(row) and self._rights.touches(instrument):
                agent = agents[row.agent]
                group = _Group(agent, instrument, self._key(agent, instrument, row))
                found.setdefault(group, []).append(row)
        return found

    def _key(self, agent: Node, instrument: Instrument, row: BookEntry) -> int:
        """0 where the agent has one key for it; else the key that signed the order."""
        if len(self._rights.keys(agent, instrument)) < 2:
            return 0
        order = self._order(row)
        return order.key if order is not None else 0

    def _order(self, row: BookEntry) -> Any:
        """The order itself, from its record; None where the log does not give it."""
        from .audit import find_record

        try:
            return unpack(find_record(self._directory, row.record).subject).order
        except (SentinelError, OSError, ValueError):
            return None

    def _cancel_all(self, group: _Group, rows: list[BookEntry]) -> Step:
        order = CancelAll(instrument=group.instrument.id, key=group.key)
        each = tuple(self._cancel(group, row) for row in rows)
        return self._step(CANCEL_ALL, group, order, each)

    def _cancel(self, group: _Group, row: BookEntry) -> Step:
        order = Cancel(target_action=row.action_id, key=group.key)
        triggered = row.type in _TRIGGERED
        return self._step(CANCEL, group, order, triggered=triggered)

    def _step(
        self,
        kind: str,
        group: _Group,
        order: Order,
        instead: tuple[Step, ...] = (),
        *,
        triggered: bool = False,
    ) -> Step:
        text = order.describe(self._name)
        if kind == CANCEL:
            text += f" ({group.instrument.name}{', with a trigger' if triggered else ''})"
        if kind == CANCEL_ALL:
            text += f" (known: {', '.join(str(step.target) for step in instead)})"
        return Step(
            number=0,
            venue=group.instrument.venue,
            kind=kind,
            agent=group.agent.path,
            instrument=group.instrument.id,
            name=group.instrument.name,
            order=order,
            text=text,
            instead=instead,
            triggered=triggered,
        )

    def _name(self, kind: str, number: int) -> str:
        table: Mapping[int, Any] = getattr(self._policy, f"{kind}s", {})
        return str(table[number].name) if number in table else str(number)

    # ---- Positions ----------------------------------------------------------

    def _closes(self, venue: Venue) -> Iterator[Step]:
        for row in self._positions:
            instrument = self._policy.instruments.get(row.instrument)
            if row.mantissa == 0 or instrument is None or instrument.venue is not venue:
                continue
            if self._rights.touches(instrument):
                yield from self._close(instrument, row)

    def _close(self, instrument: Instrument, row: PositionState) -> Iterator[Step]:
        held = Decimal(row.mantissa).scaleb(-row.scale)
        what = f"position {held:f}"
        if instrument.contract not in (Contract.LINEAR, Contract.INVERSE):
            why = f"{label(instrument.contract)} has no reduce-only that every venue holds to"
            self._stay(instrument, what, why, blocks=False)
            return
        outside = self._rights.outside(instrument)
        if outside:
            self._stay(instrument, what, f"it is of {', '.join(outside)} too, who do not drain")
            return
        lot = Decimal(instrument.lot.mantissa).scaleb(-instrument.lot.scale)
        quantity = (abs(held) // lot * lot if lot else abs(held)).normalize()
        if quantity == 0:
            self._stay(instrument, what, f"it is below the lot, {lot:f}", blocks=False)
            return
        side = Side.SELL if held > 0 else Side.BUY
        agent, why = self._closer(instrument, side)
        if agent is None:
            self._stay(instrument, what, why)
            return
        order, why = self._closing(agent, instrument, side, quantity)
        if order is None:
            self._stay(instrument, what, why)
            return
        if quantity != abs(held):
            rest = f"{abs(held) - quantity:f} of the {what}"
            self._stay(instrument, rest, f"it is below the lot, {lot:f}", blocks=False)
        yield self._step(CLOSE, _Group(agent, instrument, order.key), order)

    def _closer(self, instrument: Instrument, side: Side) -> tuple[Node | None, str]:
        """Who may close: first those who traded it last. Else why nobody may."""
        last = {row.agent: row.record for row in self._book if row.instrument == instrument.id}
        agents = sorted(self._rights.agents, key=lambda node: -last.get(node.id, -1))
        why = "the policy has no agent here"
        first = ""
        for node in agents:
            why = (
                self._rights.keyless(node, instrument)
                or self._rights.stopped(node, instrument)
                or self._rights.denied(node, Action.PLACE, instrument, side=side)
            )
            if not why:
                return node, ""
            first = first or f"{node.path}: {why}"
        return None, first or why

    def _closing(
        self, agent: Node, instrument: Instrument, side: Side, quantity: Decimal
    ) -> tuple[Place | None, str]:
        """The order that closes; else why there is none."""
        rows = [
            row for row in self._book if (row.agent, row.instrument) == (agent.id, instrument.id)
        ]
        last = self._order(rows[-1]) if rows else None
        keys = self._rights.keys(agent, instrument)
        key = getattr(last, "key", 0) if len(keys) > 1 else 0
        if len(keys) > 1 and not key:
            return None, f"{agent.path} has several keys: in whose account it is, is not known"
        type_, tif = self._rights.way_out(agent, instrument)
        price = None
        if type_ is OrderType.LIMIT or instrument.venue is Venue.HYPERLIQUID:
            mark = self._marks.get(instrument.id)
            if mark is None:
                return None, "it closes at a price, and there is no mark to go by: zcp mark set"
            price = worst_price(instrument, side, mark, self._within)
        margin = None
        if instrument.venue is Venue.OKX:
            margin = getattr(last, "margin_mode", None) or MarginMode.CROSS
        return (
            Place(
                instrument=instrument.id,
                side=side,
                type=type_,
                time_in_force=tif,
                quantity=quantity,
                price=price,
                reduce_only=True,
                margin_mode=margin,
                key=key,
            ),
            "",
        )

    # ---- What is said beside -------------------------------------------------

    def _stay(self, instrument: Instrument, what: str, why: str, *, blocks: bool = True) -> None:
        self._stays.append(Stay(instrument.venue, instrument.name, what, why, blocks))

    def _notes(self) -> tuple[str, ...]:
        notes = []
        for node in self._rights.agents:
            count = sum(row.agent == node.id for row in self._book)
            if count >= self._policy.book_entries:
                notes.append(
                    f"the book of {node.path} is full ({count} actions): what it displaced may be"
                    " open and is not listed; look at the venue"
                )
        for venue, contract in _APART:
            for row in self._policy.instruments.values():
                if (row.venue, row.contract) == (venue, contract) and self._rights.touches(row):
                    kind = label(venue) + (" spot" if venue is Venue.BYBIT else "")
                    notes.append(
                        f"{kind}: cancel-all does not reach orders with a trigger; those that the"
                        " book knows are cancelled one by one"
                    )
                    break
        return tuple(notes)


_APART: Final = ((Venue.BINANCE_USDM, Contract.LINEAR), (Venue.BYBIT, Contract.SPOT))
"""Where orders with a trigger are kept apart: neither cancel-all nor a query of open orders reach
them there (docs/venues)."""


def is_apart(instrument: Instrument, type_: int) -> bool:
    """An order that a cancel-all of its instrument does not reach."""
    return type_ in _TRIGGERED and (
        instrument.venue is Venue.BINANCE_USDM or (instrument.venue, instrument.contract) in _APART
    )


def worst_price(instrument: Instrument, side: Side, mark: Decimal, within: Decimal) -> Decimal:
    """A price on the venue's grid, not further from the mark than `within`."""
    wanted = mark * (1 - within if side is Side.SELL else 1 + within)
    step = Decimal(instrument.tick.mantissa).scaleb(-instrument.tick.scale)
    if instrument.venue is Venue.HYPERLIQUID:  # five significant figures, or an integer
        step = max(step, min(Decimal(1), Decimal(1).scaleb(wanted.adjusted() - 4)))
    whole = wanted // step * step
    if side is Side.SELL and whole != wanted:
        whole += step
    return whole


def _actions(rows: list[BookEntry]) -> str:
    return "actions " + ", ".join(str(row.action_id) for row in rows)
