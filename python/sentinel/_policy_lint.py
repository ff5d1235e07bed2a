"""Warnings about a policy that is valid, but perhaps not meant so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from . import _core, units
from ._enums import (
    CANCEL_ACTIONS,
    FUND_ACTIONS,
    Action,
    Ask,
    Contract,
    NodeKind,
    OrderType,
    Oversight,
    Product,
    Rule,
    TimeInForce,
    Venue,
    label,
    mask_of,
    members_of,
)
from ._policy_draft import (
    ENDPOINT_GRANTED,
    Draft,
    DraftConstraint,
    DraftInstrument,
    DraftKey,
    DraftNode,
    sanction_digest,
)
from ._policy_people import actions_of
from ._policy_yaml import Path
from ._venue_rows import not_traded

_ALL_VENUES: Final = mask_of(Venue)
CODES: Final = frozenset(
    {
        "agent-can-do-nothing",
        "approval-never-asks",
        "cancels-share-budget",
        "cancels-slower-than-orders",
        "cancels-unlimited",
        "cancels-wait",
        "cap-above-limit",
        "destination-sanctioned",
        "endpoint-granted",
        "no-agent",
        "no-instrument",
        "no-key",
        "no-value-limit",
        "not-traded",
        "quote-needs-marks",
        "replayable",
        "several-keys",
        "unreachable",
        "unused",
        "withdraw-without-destinations",
        "withdraw-without-sanctions",
        "zero-limit",
    }
)
"""Every code of a warning."""
_CANCELS: Final = mask_of(CANCEL_ACTIONS)
_SPENDING: Final = (Rule.VALUE_CAP, Rule.DAILY_LIMIT, Rule.ROLLING_CAP)
_LIMIT_TYPES: Final = mask_of((OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT))
_FILLING_TIMES: Final = mask_of((TimeInForce.IOC, TimeInForce.FOK))
_EXPIRY_SIGNED: Final = 1
"""SENTINEL_HOLD_EXPIRY_SIGNED"""
_REPLAYABLE_MS: Final = 1_000
"""A validity up to this is as short as a request's way to the venue may take."""


@dataclass(frozen=True, slots=True)
class Warning:
    """One thing to look at; `code` is stable."""

    code: str
    message: str
    next_step: str
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Place, code and message."""
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Reach:
    """What an agent can do at most."""

    actions: int
    venues: int
    instruments: frozenset[str]


def lint(draft: Draft) -> tuple[Warning, ...]:
    """Every warning, in the order of the places."""
    linter = _Linter(draft)
    found = [warning for check in _CHECKS for warning in check(linter)]
    return tuple(sorted(set(found), key=lambda w: (w.line, w.column, w.code)))


class _Linter:
    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self._rows: list[list[DraftConstraint]] = [[] for _ in draft.nodes]
        for row in draft.constraints:
            self._rows[row.node].append(row)
        self.agents = draft.agents()
        self.reach = {agent.index: self._reach(agent) for agent in self.agents}
        self._below: list[list[DraftNode]] = [[] for _ in draft.nodes]
        for agent in self.agents:
            for node in draft.chain(agent):
                self._below[node.index].append(agent)

    def rows(self, node: DraftNode, *kinds: Rule) -> Iterator[DraftConstraint]:
        """Constraints of a node's chain, of these kinds."""
        for above in self.draft.chain(node):
            yield from (row for row in self._rows[above.index] if row.kind in kinds)

    def warn(
        self, code: str, at: Path, message: str, next_step: str, *, key: bool = True
    ) -> Warning:
        """A warning at a key, or at a value."""
        if code not in CODES:
            raise AssertionError(code)
        error = self.draft.document.error(at, message, key=key)
        return Warning(code, message, next_step, error.file, error.line, error.column)

    def _reach(self, agent: DraftNode) -> _Reach:
        grants = list(self.rows(agent, Rule.ACTIONS))
        actions = 0
        for action in Action:
            bit = 1 << action
            some = any(row.actions & bit and row.mask & bit for row in grants)
            if some and all(row.mask & bit for row in grants if _always(row) & bit):
                actions |= bit
        venues = _ALL_VENUES
        for row in self.rows(agent, Rule.VENUES):
            if row.instrument is None and row.venues == _ALL_VENUES:
                venues &= row.mask | 1 << Venue.NONE
        instruments = frozenset(
            item.name
            for item in self.draft.instruments.values()
            if venues >> item.venue & 1
            and all(
                item.id in row.ids
                for row in self.rows(agent, Rule.INSTRUMENTS)
                if row.venues >> item.venue & 1 and row.instrument in (None, item.name)
            )
        )
        return _Reach(actions, venues, instruments)

    def may(self, agent: DraftNode, *actions: Action) -> bool:
        """Whether an allowlist grants one of the actions."""
        return bool(self.reach[agent.index].actions & mask_of(actions))

    def below(self, node: DraftNode) -> list[DraftNode]:
        """The agents at or below a node."""
        return self._below[node.index]

    def own(self, node: DraftNode) -> list[DraftConstraint]:
        """The constraints of a node itself."""
        return self._rows[node.index]


def _always(row: DraftConstraint) -> int:
    """The actions to which a constraint applies whatever venue and instrument."""
    return row.actions if row.venues == _ALL_VENUES and row.instrument is None else 0


def _agents(linter: _Linter) -> Iterator[Warning]:
    if not linter.agents:
        yield linter.warn("no-agent", ("firm",), "the firm has no agent", "add `agents:`")
    for agent in linter.agents:
        at = agent.at
        if not any(True for _ in linter.rows(agent, Rule.ACTIONS)):
            yield linter.warn(
                "agent-can-do-nothing",
                at,
                f"no allowlist of actions applies to {agent.path!r}, so it can do nothing",
                "add `allow: {actions: [...]}` to it or to a node above it",
            )
        elif not linter.reach[agent.index].actions:
            yield linter.warn(
                "agent-can-do-nothing",
                at,
                f"the allowlists above {agent.path!r} have no action in common",
                "let each of them name the actions that are meant",
            )
        if linter.may(agent, Action.PLACE) and not linter.reach[agent.index].instruments:
            yield linter.warn(
                "no-instrument",
                at,
                f"{agent.path!r} may place orders, but no instrument is left to it",
                "add instruments, or correct the allowlists of instruments and venues",
            )
        if linter.may(agent, Action.PLACE, Action.WITHDRAW) and not any(
            _always(row) for row in linter.rows(agent, *_SPENDING)
        ):
            yield linter.warn(
                "no-value-limit",
                at,
                f"nothing limits what {agent.path!r} may spend",
                "add `max_value:` and `daily_limit:` to it or to a node above it",
            )


def _funds(linter: _Linter) -> Iterator[Warning]:
    for agent in linter.agents:
        if not linter.may(agent, Action.WITHDRAW):
            continue
        if not any(True for _ in linter.rows(agent, Rule.DESTINATIONS)):
            yield linter.warn(
                "withdraw-without-destinations",
                agent.at,
                f"{agent.path!r} may withdraw, but no list names a destination",
                "add `destinations: [...]`, or take `withdraw` from its allowlist",
            )
        if not any(True for _ in linter.rows(agent, Rule.SANCTIONS)):
            yield linter.warn(
                "withdraw-without-sanctions",
                agent.at,
                f"{agent.path!r} may withdraw, but the sanctions list is not checked",
                "add `sanctions: true` to it or to the firm",
            )


def _destinations(linter: _Linter) -> Iterator[Warning]:
    used = {digest for row in linter.draft.constraints for digest in row.digests}
    sanctions = set(linter.draft.sanctions)
    for item in linter.draft.destinations.values():
        if item.digest not in used:
            yield linter.warn(
                "unused",
                item.at,
                f"no list names the destination {item.name!r}",
                "remove it, or add it to a list",
            )
        elif sanction_digest(item.address) in sanctions:
            yield linter.warn(
                "destination-sanctioned",
                item.at,
                f"the destination {item.name!r} is on the sanctions list",
                "remove it from the lists",
            )


def _limits(linter: _Linter) -> Iterator[Warning]:
    for row in linter.draft.constraints:
        node = linter.draft.nodes[row.node]
        if row.kind in (*_SPENDING, Rule.QUANTITY_CAP) and row.bound == 0:
            yield linter.warn(
                "zero-limit",
                row.at,
                f"{row.name!r} of {node.path!r} is 0: nothing passes",
                "raise it, or take the action from the allowlist",
                key=False,
            )
        if row.kind is not Rule.VALUE_CAP:
            continue
        for sum_ in linter.rows(node, Rule.DAILY_LIMIT, Rule.ROLLING_CAP):
            if _always(sum_) & row.actions == row.actions and sum_.bound < row.bound:
                yield linter.warn(
                    "cap-above-limit",
                    row.at,
                    f"{row.name!r} of {node.path!r} ({units.format_money(row.bound)}) is above"
                    f" {sum_.name!r} ({units.format_money(sum_.bound)}), which refuses first",
                    "lower the cap or raise the limit",
                    key=False,
                )


def _approvals(linter: _Linter) -> Iterator[Warning]:
    for row in linter.draft.constraints:
        if row.kind is not Rule.APPROVAL:
            continue
        node = linter.draft.nodes[row.node]
        if not row.mask and row.actions & _CANCELS:
            yield linter.warn(
                "cancels-wait",
                row.at,
                f"{row.name!r} of {node.path!r} lets cancels wait for people",
                "name what it is about: `when: {actions: …}`",
                key=False,
            )
        caps = [cap for cap in linter.rows(node, Rule.VALUE_CAP) if cap.bound <= row.bound]
        if row.mask == Ask.VALUE and any(_always(cap) & row.actions == row.actions for cap in caps):
            yield linter.warn(
                "approval-never-asks",
                row.at,
                f"{row.name!r} of {node.path!r} asks above {units.format_money(row.bound)}, and"
                f" {caps[0].name!r} refuses all that is",
                "raise the cap, or ask below it",
                key=False,
            )
    waiting = actions_of(linter.draft.oversight, Oversight.APPROVE)
    if mask_of(waiting) & _CANCELS:
        yield linter.warn(
            "cancels-wait",
            ("oversight", "approve"),
            "`oversight` lets cancels wait for people",
            "take them from the list",
        )


def _rates(linter: _Linter) -> Iterator[Warning]:
    cancel, place = 1 << Action.CANCEL, 1 << Action.PLACE
    for row in linter.draft.constraints:
        if row.kind is not Rule.RATE_LIMIT or not row.actions & place:
            continue
        node = linter.draft.nodes[row.node]
        if row.actions & cancel:
            yield linter.warn(
                "cancels-share-budget",
                row.at,
                f"cancels share {row.name!r} of {node.path!r} with other actions",
                "take the cancels from `when: {actions: …}` and give them `cancel_rate:`",
                key=False,
            )
        for other in linter.own(node):
            if (
                other.kind is Rule.RATE_LIMIT
                and other.actions & cancel
                and not other.actions & place
                and other.bound * row.window_ns < row.bound * other.window_ns
            ):
                yield linter.warn(
                    "cancels-slower-than-orders",
                    other.at,
                    f"{node.path!r} may place orders faster than it may cancel them",
                    "raise `cancel_rate:` to the rate of orders at least",
                    key=False,
                )
    for agent in linter.agents:
        rates = list(linter.rows(agent, Rule.RATE_LIMIT))
        if (
            linter.may(agent, Action.CANCEL)
            and any(row.actions & place for row in rates)
            and not any(row.actions & cancel for row in rates)
        ):
            yield linter.warn(
                "cancels-unlimited",
                agent.at,
                f"{agent.path!r} has a rate for orders and none for cancels",
                "add `cancel_rate:`",
            )


def _unreachable(linter: _Linter) -> Iterator[Warning]:
    skipped = (Rule.ACTIONS, Rule.VENUES, Rule.INSTRUMENTS)
    for row in linter.draft.constraints:
        if row.kind in skipped or row.derived:
            continue
        node = linter.draft.nodes[row.node]
        reached = any(
            row.actions & reach.actions
            and row.venues & reach.venues
            and (row.instrument is None or row.instrument in reach.instruments)
            for reach in (linter.reach[agent.index] for agent in linter.below(node))
        )
        if not reached:
            yield linter.warn(
                "unreachable",
                row.at,
                f"{row.name!r} of {node.path!r} never applies: allowlists refuse all it is about",
                "remove it, or correct the allowlists",
                key=False,
            )
    for node in linter.draft.nodes:
        if node.kind is NodeKind.GROUP and not linter.below(node):
            yield linter.warn("unused", node.at, f"{node.path!r} has no agent", "remove it")


def _marks(linter: _Linter) -> Iterator[Warning]:
    assets = linter.draft.assets
    for item in linter.draft.instruments.values():
        legs = {Contract.QUANTO: (item.settle,), Contract.OPTION: (item.quote, item.base)}
        for name in legs.get(item.contract, (item.quote,)):
            source = assets[assets[name].mark or name]
            if not source.par_micro_usd:
                yield linter.warn(
                    "quote-needs-marks",
                    source.at,
                    f"orders in {name} are refused while no fresh mark of {source.name} is fed",
                    "feed its mark in USD, or set `par: 1 USD` or `mark: ASSET`",
                )


def _traded(linter: _Linter) -> Iterator[Warning]:
    for item in linter.draft.instruments.values():
        found = not_traded(item.name, item.venue, item.contract, item.unit)
        if found is not None:
            yield linter.warn("not-traded", item.at, f"{found[0]}: orders are refused", found[1])


def _wanted(linter: _Linter, agent: DraftNode) -> dict[tuple[Venue, int], str]:
    """For what an agent needs a key: venue and product, in words."""
    wanted: dict[tuple[Venue, int], str] = {}
    reach = linter.reach[agent.index]
    if linter.may(agent, Action.PLACE, Action.CANCEL, Action.CANCEL_ALL):
        for name in reach.instruments:
            row = linter.draft.instruments[name]
            product = Product(row.contract)
            wanted[row.venue, 1 << product] = f"{label(row.venue)} ({label(product)})"
    if linter.may(agent, *FUND_ACTIONS):
        wallets = {
            key.venue
            for key in linter.draft.keys.values()
            if key.products >> Product.WALLET & 1 and reach.venues >> key.venue & 1
        }
        for venue in wallets or {Venue.NONE}:
            words = f"{label(venue)} (wallet)" if venue else "moving funds (products: [wallet])"
            wanted[venue, 1 << Product.WALLET] = words
    if linter.may(agent, Action.MESSAGE):
        wanted[Venue.NONE, 0] = "messages"
    return wanted


def _keys(linter: _Linter) -> Iterator[Warning]:
    draft = linter.draft
    for key in draft.keys.values():
        if key.flags & ENDPOINT_GRANTED:
            good = ", ".join(label(product) for product in members_of(key.products, Product))
            yield linter.warn(
                "endpoint-granted",
                key.at,
                f"a host could send what {key.name!r} (for {good}) signs to another product of"
                " the venue",
                "have one key for each product, limit it at the venue, write `endpoint: checked`",
            )
    for agent in linter.agents:
        chain = {node.index for node in draft.chain(agent)}
        for (venue, product), words in sorted(_wanted(linter, agent).items()):
            mine = [
                key.name
                for key in draft.keys.values()
                if key.node in chain
                and key.venue is venue
                and (key.products & product or not product)
            ]
            if not mine:
                yield linter.warn(
                    "no-key",
                    agent.at,
                    f"{agent.path!r} has no key for {words}",
                    "add one under `keys:` whose `for:` is the agent or a node above it",
                )
            elif len(mine) > 1:
                yield linter.warn(
                    "several-keys",
                    agent.at,
                    f"{agent.path!r} has several keys for {words} ({', '.join(mine)}):"
                    " its orders must name one",
                    "keep one, or name the key in each order",
                )


def _fills_at_once(linter: _Linter, agent: DraftNode, item: DraftInstrument) -> bool:
    """Whether a market, IOC or FOK order in an instrument passes the allowlists."""

    def left(kind: Rule) -> int:
        masks = -1
        for row in linter.rows(agent, kind):
            if (
                row.actions >> Action.PLACE & 1
                and row.venues >> item.venue & 1
                and row.instrument in (None, item.name)
            ):
                masks &= row.mask
        return masks

    types, times = left(Rule.ORDER_TYPES), left(Rule.TIMES_IN_FORCE)
    market = types & mask_of(OrderType) & ~_LIMIT_TYPES and times >> TimeInForce.NONE & 1
    return bool(market or (types & _LIMIT_TYPES and times & _FILLING_TIMES))


def _replaying(linter: _Linter, key: DraftKey) -> list[str]:
    """The agents with whose orders a key signs what fills at once."""
    items = linter.draft.instruments
    return [
        agent.path
        for agent in linter.below(linter.draft.nodes[key.node])
        if linter.may(agent, Action.PLACE)
        and any(
            items[name].venue is key.venue
            and key.products >> Product(items[name].contract) & 1
            and _fills_at_once(linter, agent, items[name])
            for name in linter.reach[agent.index].instruments
        )
    ]


def _replays(linter: _Linter) -> Iterator[Warning]:
    for key in linter.draft.keys.values():
        hold = _core.hold(key.venue, Action.PLACE) if key.venue else None
        if hold is None or hold.once:
            continue
        signed = hold.expiry == _EXPIRY_SIGNED
        agents = _replaying(linter, key)
        if not agents or (signed and key.expiry_ms <= _REPLAYABLE_MS):
            continue
        usable_ms = max(key.expiry_ms, hold.floor_ms) if signed else hold.window_ms
        still = f" (up to {_duration(hold.floor_ms)} may count there)" if hold.floor_ms else ""
        yield linter.warn(
            "replayable",
            key.at,
            f"an order that fills at once, signed with {key.name!r} for {', '.join(agents)}, can be"
            f" sent again for {_duration(usable_ms)} by who carries it; limits count it once",
            f"set `validity: 1s`{still}, or allow only gtc and post_only orders there"
            if signed
            else "allow only gtc and post_only orders there: a validity is not signed",
        )


def _duration(ms: int) -> str:
    return units.format_duration(ms * 10**6)


_CHECKS: Final[tuple[Callable[[_Linter], Iterator[Warning]], ...]] = (
    _agents,
    _funds,
    _destinations,
    _limits,
    _rates,
    _approvals,
    _unreachable,
    _marks,
    _traded,
    _keys,
    _replays,
)
