"""What every suite gives back: rows, curves and comparisons, as plain data.

The table, the plots and the JSON know these alone, so a new suite needs nothing of its own there.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

__all__ = ["Curve", "Result", "Row", "Show", "percentile", "summarise"]

#: The shares of a row's cumulative distribution, for plots.
CDF: Final = (0.01, 0.05, *(n / 20 for n in range(2, 19)), 0.95, 0.99, 0.995, 0.999, 0.9999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Percentiles of one thing that was timed, in nanoseconds, the timer's own median taken off."""

    name: str
    label: str
    count: int
    p50: float
    p99: float
    p999: float
    max: float
    group: str = ""
    """"ours", "step", "bare", "peer" or "": what it stands for in tables and plots."""
    cdf: list[tuple[float, float]] = field(default_factory=list)
    """Pairs of share and nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How one figure changes with another: pairs of x and y."""

    name: str
    label: str
    x: str
    y: str
    points: list[tuple[float, float]]
    is_log: bool = True
    """Whether x grows by factors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """A figure beside the bound that it should keep; no bound: reported only."""

    name: str
    what: str
    value: float
    bound: float | None = None
    at_least: bool = False
    """True: the value should reach the bound; else it should not exceed it."""
    unit: str = ""

    @property
    def is_met(self) -> bool | None:
        """None where there is no bound."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(slots=True, kw_only=True)
class Result:
    """One suite's run."""

    suite: str
    title: str
    rounds: int = 0
    pinned_to: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    shows: list[Show] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What could not be measured here, and what to install or to give."""

    def row(self, name: str) -> Row:
        """The row of this name. Raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain data; times in nanoseconds."""
        data = asdict(self)
        for show, told in zip(self.shows, data["shows"], strict=True):
            told["is_met"] = show.is_met
        return data


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` of an ascending sequence does not exceed."""
    rank = -(-int(share * 1_000_000) * len(ordered) // 1_000_000)
    return ordered[max(rank, 1) - 1]


def summarise(name: str, label: str, times: array[int], *, timer: int = 0, group: str = "") -> Row:
    """The row of one array of nanoseconds; `timer`: what one reading of the clock costs."""
    ordered = sorted(times)
    values = [max(percentile(ordered, share) - timer, 0) for share in (0.50, 0.99, 0.999, 1.0)]
    return Row(
        name=name,
        label=label,
        group=group,
        count=len(ordered),
        p50=values[0],
        p99=values[1],
        p999=values[2],
        max=values[3],
        cdf=[(share, max(percentile(ordered, share) - timer, 0)) for share in CDF],
    )
