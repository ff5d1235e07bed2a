"""A compiled policy in plain words, and what changed between two versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from . import units
from ._enums import (
    INSTRUMENT_ACTIONS,
    MASK_ENUMS,
    RULE_ACTIONS,
    Action,
    Ask,
    Mode,
    Product,
    Purpose,
    Rule,
    Venue,
    label,
    mask_of,
    members_of,
)
from ._policy_bundle import Constraint, Instrument, Key, Node, Policy
from ._policy_draft import ENDPOINT_GRANTED
from ._policy_people import oversight_text

_MONEY: Final = (Rule.VALUE_CAP, Rule.DAILY_LIMIT, Rule.ROLLING_CAP)
_ALL_VENUES: Final = mask_of(Venue)
_SATURATED, _UNKNOWN = 1, 2


@dataclass(frozen=True, slots=True)
class Explained:
    """One constraint in words."""

    node: str
    """Path of the node that it is attached to."""
    name: str
    type: str
    text: str
    applies: str
    """To what it applies."""


@dataclass(frozen=True, slots=True)
class ExplainedKey:
    """One key in words."""

    node: str
    """Path of the node whose agents may use it."""
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions."""

    what: str
    """"added", "removed" or "changed"."""
    kind: str
    """"constraint", "agent", "instrument", "setting", …"""
    name: str
    before: str
    after: str


def value_text(
    policy: Policy, kind: Rule, value: int, constraint: Constraint | None, *, flags: int = 0
) -> str:
    """The value of a result as people read it."""
    if flags & _UNKNOWN:
        return "not known"
    if flags & _SATURATED:
        return "too large to count"
    if kind in _MONEY:
        return units.format_money(value)
    if kind is Rule.PRICE_COLLAR:
        return units.format_ratio(value)
    if kind is Rule.QUANTITY_CAP and constraint is not None:
        return units.format_quantity((value, constraint.bound_scale))
    if kind is Rule.INSTRUMENTS:
        row = policy.instruments.get(value)
        return row.name if row else "no instrument"
    if kind in MASK_ENUMS:
        names = {int(member): label(member) for member in MASK_ENUMS[kind]}
        return names.get(value, str(value))
    if kind in {Rule.DESTINATIONS, Rule.SANCTIONS}:
        return "on the list" if value else "not on the list"
    if kind is Rule.HEARTBEAT:
        return units.format_duration(value)
    if kind is Rule.KILL_SWITCH:
        return f"{value} stops" if value != 1 else "1 stop"
    if kind is Rule.APPROVAL:
        return _asked(value, constraint)
    return str(value)


def _asked(value: int, constraint: Constraint | None) -> str:
    if constraint is None:  # of oversight: the action
        return label(Action(value)) if value else "no such action"
    if constraint.mask & Ask.VALUE:
        return units.format_money(value)
    return "asks" if value else "asks nobody"


def asks_text(row: Constraint) -> str:
    """When an approval asks people."""
    when = []
    if row.mask & Ask.VALUE:
        when.append(f"above {units.format_money(row.bound)}")
    if row.mask & Ask.DESTINATION:
        when.append("to a destination that is used for the first time")
    return " or ".join(when) or "always"


def bound_text(policy: Policy, kind: Rule, bound: int, constraint: Constraint | None) -> str:
    """The bound of a result as people read it."""
    if kind is Rule.RATE_LIMIT and constraint is not None:
        return units.format_rate((bound, constraint.window_ns))
    if kind is Rule.INSTRUMENTS and constraint is not None:
        return ", ".join(sorted(_instrument(policy, id_) for id_ in constraint.instruments))
    if kind in MASK_ENUMS:
        return ", ".join(label(m) for m in members_of(bound, MASK_ENUMS[kind])) or "nothing"
    return value_text(policy, kind, bound, constraint)


def _instrument(policy: Policy, id_: int) -> str:
    row = policy.instruments.get(id_)
    return row.name if row else f"instrument {id_}"


def constraint_text(policy: Policy, row: Constraint) -> str:
    """What a constraint demands, in words."""
    bound = bound_text(policy, row.kind, row.bound, row)
    if row.kind in MASK_ENUMS:
        allowed = ", ".join(label(m) for m in members_of(row.mask, MASK_ENUMS[row.kind]))
        return f"only {allowed or 'nothing'}"
    shared = ", each agent for itself" if row.each else ""
    if row.kind is Rule.RATE_LIMIT:
        return f"at most {bound}{shared}"
    if row.kind is Rule.INSTRUMENTS:
        return f"only {bound or 'nothing'}"
    if row.kind is Rule.DESTINATIONS:
        names = ", ".join(sorted(map(policy.destination_name, row.destinations)))
        return f"only to {names or 'nowhere'}"
    if row.kind is Rule.SANCTIONS:
        return f"never to the {policy.sanction_count} addresses of the sanctions list"
    if row.kind is Rule.VALUE_CAP:
        return f"at most {bound} by one action"
    if row.kind is Rule.QUANTITY_CAP:
        return f"at most {bound} in one order"
    if row.kind is Rule.APPROVAL:
        people = f"{row.quorum} approver{'s' if row.quorum != 1 else ''}"
        return f"{asks_text(row)}: {people} within {units.format_duration(row.window_ns)}"
    if row.kind is Rule.PRICE_COLLAR:
        age = units.format_duration(row.max_age_ns)
        return f"within {bound} of the mark, which is at most {age} old"
    if row.kind is Rule.HEARTBEAT:
        return heartbeat_text(row)
    if row.kind is Rule.DAILY_LIMIT:
        return f"at most {bound} in a day (UTC){shared}"
    return f"at most {bound} in any {units.format_duration(row.window_ns)}{shared}"


def heartbeat_text(row: Constraint) -> str:
    """What a rule of heartbeats demands, in words."""
    then = "drained" if row.mask == 1 << Mode.DRAINING else "halted"
    longest = f", or an iteration above {units.format_duration(row.bound)}" if row.bound else ""
    return f"each agent is {then} after {units.format_duration(row.window_ns)} of silence{longest}"


def applies_text(policy: Policy, row: Constraint) -> str:
    """To what a constraint applies, in words."""
    actions = row.actions & mask_of(RULE_ACTIONS[row.kind])
    if row.instrument:
        actions &= mask_of(INSTRUMENT_ACTIONS)
    parts = [
        "all actions"
        if actions == mask_of(Action)
        else ", ".join(label(member) for member in members_of(actions, Action))
    ]
    if row.venues & _ALL_VENUES != _ALL_VENUES:
        parts.append("on " + ", ".join(label(m) for m in members_of(row.venues, Venue)))
    if row.instrument:
        parts.append(f"of {_instrument(policy, row.instrument)}")
    return " ".join(parts)


def explain(policy: Policy, agent: str | int | Node) -> tuple[Explained, ...]:
    """Every constraint that can apply to an agent, firm first: the order of evaluation.

    Raises UsageError when there is no such agent.
    """
    node = agent if isinstance(agent, Node) else policy.agent(agent)
    first = Explained(
        policy.nodes[0].path,
        "",
        "kill_switch",
        "refused while the agent, a node above it, the venue or the instrument is stopped",
        "all actions",
    )
    rows = [
        Explained(
            policy.nodes[row.node].path,
            row.name,
            row.type,
            constraint_text(policy, row),
            applies_text(policy, row),
        )
        for row in policy.constraints_of(node)
    ]
    people = oversight_text(policy.oversight, policy.approval_quorum, policy.approval_ns)
    if people:
        asked = [a for a in Action if policy.oversight[a]]
        applies = ", ".join(map(label, asked))
        rows.append(Explained(policy.nodes[0].path, "", "oversight", people, applies))
    return (first, *rows)


def keys_of(policy: Policy, agent: str | int | Node) -> tuple[ExplainedKey, ...]:
    """Every key that an agent may use, firm first. Raises UsageError: there is no such agent."""
    node = agent if isinstance(agent, Node) else policy.agent(agent)
    return tuple(
        ExplainedKey(above.path, key.name, key_text(key))
        for above in policy.chain(node)
        for key in policy.keys.values()
        if key.node == above.index
    )


def key_text(key: Key) -> str:
    """What a key is good for, in words."""
    if not key.products:
        return f"{label(key.algorithm)}, for messages"
    products = members_of(key.products, Product)
    parts = [
        f"{label(key.algorithm)} of {label(key.venue)}, for"
        f" {', '.join(label(product) for product in products)}"
    ]
    if key.purpose is Purpose.VENUE_MASTER:
        parts.append("master key")
    if key.flags & ENDPOINT_GRANTED:
        parts.append("a host could send what it signs to another product, which is granted")
    if key.expiry_ms:
        parts.append(f"validity {units.format_duration(key.expiry_ms * 10**6)}")
    return "; ".join(parts)


def diff(before: Policy, after: Policy) -> tuple[Change, ...]:
    """What changed between two versions of a policy, in words."""
    out: list[Change] = []
    out += _settings(before, after)
    out += _tables("node", _by_id(before.nodes), _by_id(after.nodes), _node_text, "path")
    for kind in ("asset", "network", "instrument", "key"):
        tables = [getattr(policy, f"{kind}s") for policy in (before, after)]
        out += _tables(kind, tables[0], tables[1], _row_text, "name")
    old = {row.id: row for row in before.constraints}
    new = {row.id: row for row in after.constraints}
    for id_ in [*old, *(id_ for id_ in new if id_ not in old)]:
        texts = [
            _constraint_line(policy, table[id_]) if id_ in table else ""
            for policy, table in ((before, old), (after, new))
        ]
        row, policy = (new[id_], after) if id_ in new else (old[id_], before)
        out += _change("constraint", f"{policy.nodes[row.node].path}/{row.name}", *texts)
    return tuple(out)


def _constraint_line(policy: Policy, row: Constraint) -> str:
    return f"{row.type}: {constraint_text(policy, row)} ({applies_text(policy, row)})"


def _change(kind: str, name: str, before: str, after: str) -> list[Change]:
    if before == after:
        return []
    what = "changed" if before and after else "added" if after else "removed"
    return [Change(what, kind, name, before, after)]


def _by_id(rows: Iterable[Node]) -> dict[int, Node]:
    return {row.id: row for row in rows}


def _node_text(row: Any) -> str:
    return f"{row.kind.name.lower()} {row.path}"


def _row_text(row: Any) -> str:
    """Every field of a row but its id, which names it."""
    parts: list[str] = []
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name == "id" or (field.name == "environment" and isinstance(row, Instrument)):
            continue
        if field.name == "products":
            value = "/".join(label(product) for product in members_of(value, Product)) or "none"
        elif isinstance(value, units.Quantity):
            value = units.format_quantity(value)
        elif isinstance(value, bytes):
            value = value.hex()[:16]
        elif hasattr(value, "name"):
            value = value.name.lower()
        parts.append(f"{field.name} {value}")
    return ", ".join(parts)


def _tables(
    kind: str, before: Mapping[int, Any], after: Mapping[int, Any], text: Any, name: str
) -> list[Change]:
    out: list[Change] = []
    for id_ in [*before, *(id_ for id_ in after if id_ not in before)]:
        old = text(before[id_]) if id_ in before else ""
        new = text(after[id_]) if id_ in after else ""
        out += _change(kind, getattr(after.get(id_) or before[id_], name), old, new)
    return out


def _settings(before: Policy, after: Policy) -> list[Change]:
    def texts(policy: Policy) -> dict[str, str]:
        rate = (policy.attempt_limit, policy.attempt_interval_ns)
        return {
            "attempts.limit": units.format_rate(rate),
            "clock.tolerance": units.format_duration(policy.clock_tolerance_ns),
            "lease": units.format_duration(policy.lease_ns) if policy.lease_ns else "none",
            "marks.max_age": units.format_duration(policy.mark_max_age_ns),
            "marks.market_band": units.format_ratio(policy.market_band_ppm),
            "book.entries": str(policy.book_entries),
            "sanctions": f"{policy.sanction_count} addresses",
            "oversight": oversight_text(
                policy.oversight, policy.approval_quorum, policy.approval_ns
            )
            or "none",
        }

    old, new = texts(before), texts(after)
    out = [change for name in old for change in _change("setting", name, old[name], new[name])]
    if before.sanctions != after.sanctions and old["sanctions"] == new["sanctions"]:
        out.append(
            Change("changed", "setting", "sanctions", old["sanctions"], "as many, but others")
        )
    return out
