"""Open orders, positions and feeders of an engine's state, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ._enums import OrderStatus, OrderType, TimeInForce
from ._story_feed import signed_text
from ._types import BookEntry, PositionState
from .policy import Policy

_OPEN: Final = (OrderStatus.SIGNED, OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What may rest at the venues, as far as reports tell, and what is held.

    `open_orders`: how many by agent and instrument. `oldest`: the record that signed the oldest of
    them. `positions`: instrument and quantity (below 0: short). `feeders`: the last sequence
    of reports that was taken, by key.
    """

    open_orders: Mapping[tuple[str, str], int]
    oldest: int | None
    positions: tuple[tuple[str, str], ...]
    feeders: Mapping[int, int]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp status --json`."""
        return {
            "open_orders": {
                "count": sum(self.open_orders.values()),
                "oldest_record": self.oldest,
                "by": [
                    {"agent": agent, "instrument": instrument, "count": count}
                    for (agent, instrument), count in self.open_orders.items()
                ],
            },
            "positions": [
                {"instrument": name, "quantity": quantity} for name, quantity in self.positions
            ],
            "feeders": [
                {"key": key, "sequence": sequence} for key, sequence in self.feeders.items()
            ],
        }

    def lines(self) -> list[str]:
        """Lines for people."""
        found = []
        if self.open_orders:
            by = ", ".join(f"{a} {i}: {count}" for (a, i), count in self.open_orders.items())
            count = sum(self.open_orders.values())
            found.append(f"open       {count} orders ({by}), the oldest of record {self.oldest}")
        found += [
            f"position   {name}: {quantity} is known to be held"
            for name, quantity in self.positions
        ]
        found += [f"feeder     key {key}: reports up to {n}" for key, n in self.feeders.items()]
        return found


class _Gate(Protocol):
    def book(self) -> tuple[tuple[BookEntry, ...], tuple[PositionState, ...]]: ...
    def feeders(self) -> dict[int, int]: ...


def is_open(row: BookEntry) -> bool:
    """Whether an order may rest at its venue: no end was reported, and its kind does rest."""
    passes = row.type == OrderType.MARKET or (
        row.type == OrderType.LIMIT and row.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    )
    return row.amended_by == 0 and row.status in _OPEN and not passes


def holdings_of(gate: _Gate, policy: Policy | None) -> Holdings:
    """Of a gate, such as `audit.restore` gives."""
    nodes = {node.id: node.path for node in policy.nodes} if policy is not None else {}
    names = {row.id: row.name for row in policy.instruments.values()} if policy is not None else {}
    book, positions = gate.book()
    entries = [entry for entry in book if is_open(entry)]
    counts = Counter(
        (nodes.get(row.agent, str(row.agent)), names.get(row.instrument, str(row.instrument)))
        for row in entries
    )
    return Holdings(
        open_orders=dict(sorted(counts.items())),
        oldest=min((row.record for row in entries), default=None),
        positions=tuple(
            (
                names.get(row.instrument, str(row.instrument)),
                signed_text(row.mantissa, row.scale),
            )
            for row in positions
        ),
        feeders=dict(sorted(gate.feeders().items())),
    )
