"""What a policy says of people: the key `approval:` of a node, and the section `oversight:`."""

from __future__ import annotations

from typing import Any, Final

from . import units
from ._enums import FUND_ACTIONS, VALUE_ACTIONS, Action, Ask, Oversight, label
from ._policy_tables import Tables, member
from ._policy_yaml import Path

OVERSIGHT_BYTES: Final = 16
_LISTS: Final = (("approve", Oversight.APPROVE), ("notify", Oversight.NOTIFY))


def read_approval(tables: Tables, item: Path) -> dict[str, Any]:
    """An item of `approval:`, as fields of a constraint.

    Without `above` and `new_destination` it asks about everything.
    """
    mask = bound = 0
    actions: tuple[Action, ...] = tuple(Action)
    if tables._get((*item, "new_destination")) is not None:
        mask |= Ask.DESTINATION
        actions = FUND_ACTIONS
    if tables._get((*item, "above")) is not None:
        mask |= Ask.VALUE
        bound = tables._unit((*item, "above"), units.parse_money)
        actions = VALUE_ACTIONS
    named = tables._get((*item, "when", "actions")) or ()
    for position, name in enumerate(named):
        if member(Action, name) not in actions:
            tables._fail(
                (*item, "when", "actions", position),
                f"nobody is ever asked about {name!r} here",
                f"it asks about {', '.join(map(label, actions))}; drop what narrows it",
            )
    window = tables._unit((*item, "within"), units.parse_duration)
    quorum = tables._get((*item, "approvers"))
    return {
        "actions": actions,
        "mask": mask,
        "bound": bound,
        "quorum": quorum,
        "window_ns": window,
    }


def read_oversight(tables: Tables) -> dict[str, Any]:
    """The section `oversight:`, as fields of a draft."""
    modes = bytearray(OVERSIGHT_BYTES)
    for key, mode in _LISTS:
        for position, name in enumerate(tables._get(("oversight", key)) or ()):
            action = member(Action, name)
            if modes[action]:
                tables._fail(("oversight", key, position), f"{name!r} has a mode already")
            modes[action] = mode
    asks = Oversight.APPROVE in modes
    for key in ("approvers", "within"):
        given = tables._get(("oversight", key)) is not None
        if given and not asks:
            tables._fail(("oversight", key), "nothing is approved", "add `approve: [...]`")
        if asks and not given:
            tables._fail(("oversight",), f"`approve` needs `{key}`", "such as 2, and 1h", key=True)
    return {
        "oversight": bytes(modes),
        "approval_quorum": tables._get(("oversight", "approvers"), 0),
        "approval_ns": tables._unit(("oversight", "within"), units.parse_duration) if asks else 0,
    }


def actions_of(oversight: bytes, mode: Oversight) -> tuple[Action, ...]:
    """The actions that have a mode."""
    return tuple(action for action in Action if oversight[action] == mode)


def oversight_text(oversight: bytes, quorum: int, window_ns: int) -> str:
    """All modes that are not autonomous, in words; "" when there is none."""
    parts = []
    for mode, words in ((Oversight.APPROVE, "approved"), (Oversight.NOTIFY, "marked for people")):
        actions = ", ".join(map(label, actions_of(oversight, mode)))
        if actions and mode is Oversight.APPROVE:
            people = f"{quorum} approver{'s' if quorum != 1 else ''}"
            words = f"{words} by {people} within {units.format_duration(window_ns)}"
        if actions:
            parts.append(f"each {actions} is {words}")
    return "; ".join(parts)
