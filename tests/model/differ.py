"""Says how two decisions differ, with as little around it as explains them."""

from __future__ import annotations

from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from tests.model import model, value
from tests.model.names import IMPLICIT, Kind, Reason
from tests.model.tables import Order, Policy


class Disagreement(Exception):
    """Core and model decided differently; the text is the whole context."""


def brief(row: Any) -> str:
    """A record without its absent fields."""
    fields = asdict(row).items()
    shown = [f"{name}={value!r}" for name, value in fields if value not in (None, 0, "", ())]
    return f"{type(row).__name__}({', '.join(shown)})"


def reason_names(reasons: frozenset[int]) -> str:
    return ", ".join(Reason(reason).name.lower() for reason in sorted(reasons)) or "none"


def explain(
    policy: Policy,
    state: value.State,
    order: Order,
    now: int,
    expected: model.Decision,
    found: model.Decision,
) -> str:
    lines = [f"now {now}, {brief(order)}"]
    if order.instrument:
        lines.append(brief(policy.instrument_of[order.instrument]))
    lines.append(
        f"chain {[policy.nodes[row].id for row in policy.chains[order.agent]]}, "
        f"stops {state.stops}, band {policy.market_band_ppm}, "
        f"mark age {policy.mark_max_age_ns}"
    )
    lines += [f"mark of {kind}/{row}: {mark}" for (kind, row), mark in sorted(state.marks.items())]
    for name in ("verdict", "reason", "value"):
        ours, core = getattr(expected, name), getattr(found, name)
        lines.append(f"{'  ' if ours == core else '! '}{name}: model {ours}, core {core}")
    if expected.reasons != found.reasons:
        lines.append(
            f"! reasons: model {reason_names(expected.reasons)}; core {reason_names(found.reasons)}"
        )
    rows = zip_longest(expected.results, found.results, expected.retry_at, found.retry_at)
    for number, (ours, core, ours_retry, core_retry) in enumerate(rows):
        if (ours, ours_retry) == (core, core_retry):
            continue
        lines.append(f"! result {number}: model {ours} retry {ours_retry}")
        lines.append(f"             core  {core} retry {core_retry}")
        rule = (ours or core).rule
        if rule != IMPLICIT:
            row = policy.constraints[rule]
            events = state.windows.get(model.window_key(row, order.agent), [])
            lines.append(f"    {Kind(row.kind).name}: {brief(row)}")
            lines.append(f"    events: {events[-20:]}")
    return "\n".join(lines)
