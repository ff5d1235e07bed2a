"""What a drain's plan is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from ._enums import Scope, Venue, label
from ._order import Order

CANCEL_ALL: Final = "cancel_all"
CANCEL: Final = "cancel"
CLOSE: Final = "close"


@dataclass(frozen=True, slots=True)
class Step:
    """One order to sign. `instrument` is an id, `name` its name.

    `instead`: of a cancel-all, the cancels that do the same one by one. `triggered`: the order
    that it cancels has a trigger.
    """

    number: int
    venue: Venue
    kind: str
    agent: str
    instrument: int
    name: str
    order: Order
    text: str
    instead: tuple[Step, ...] = ()
    triggered: bool = False

    @property
    def target(self) -> int:
        """The action that it cancels; 0 for what names none."""
        found: int | None = getattr(self.order, "target_action", None)
        return found or 0

    @property
    def targets(self) -> tuple[int, ...]:
        """The actions of the book that it cancels."""
        return tuple(step.target for step in self.instead) or ((self.target,) * (self.target > 0))

    def numbered(self, number: int) -> Step:
        """The same at its place in the list."""
        return replace(self, number=number)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp drain --json`."""
        return {
            "number": self.number,
            "venue": label(self.venue),
            "kind": self.kind,
            "agent": self.agent,
            "instrument": self.name,
            "text": self.text,
            "actions": list(self.targets),
        }


@dataclass(frozen=True, slots=True)
class Stay:
    """What no step of the plan ends, and why. `blocks`: the drain is not done while it is there;
    what a drain cannot close at all does not hold it up.
    """

    venue: Venue
    name: str
    what: str
    why: str
    blocks: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp drain --json`."""
        return {
            "venue": label(self.venue),
            "instrument": self.name,
            "what": self.what,
            "why": self.why,
            "blocks": self.blocks,
        }

    def text(self) -> str:
        """One line for people."""
        return f"{self.name}: {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered list. `on`: what drains; `stays`: what is still open after it, and why."""

    on: tuple[Scope, int, str]
    steps: tuple[Step, ...]
    stays: tuple[Stay, ...]
    notes: tuple[str, ...]
    directory: str = ""

    @property
    def venues(self) -> tuple[Venue, ...]:
        """The venues with something to do or something that stays."""
        found = {step.venue for step in self.steps} | {stay.venue for stay in self.stays}
        return tuple(sorted(found))

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp drain --json`."""
        return {
            "steps": [step.to_json() for step in self.steps],
            "stays_open": [stay.to_json() for stay in self.stays],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The list for people."""
        lines = []
        for venue in self.venues:
            lines.append(label(venue))
            lines += [
                f"  {step.number:>3}  {step.text}, as {step.agent}"
                for step in self.steps
                if step.venue is venue
            ]
            lines += [f"    -  stays open: {s.text()}" for s in self.stays if s.venue is venue]
        if not lines:
            lines.append("nothing is open, as far as the engine knows")
        return lines + [f"note       {text}" for text in self.notes]
