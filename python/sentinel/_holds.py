"""What becomes of a signature that was released and not used: the core's table, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from . import _core
from ._enums import Action, Venue, label
from ._types import Hold
from .receipt import iso_time
from .units import format_duration

__all__ = ["describe_hold", "hold_rows", "hold_texts", "released_rows", "released_texts"]

_NEVER_MS: Final = 2**63 - 1
_EXPIRY: Final = ("none", "signed", "unsigned")


def hold_rows(venues: Iterable[Venue]) -> list[dict[str, Any]]:
    """One row for each action that a venue has.

    `window_ms`: how long the released bytes are usable at most, None for ever; `expiry`: whether a
    shorter validity is signed, sent beside the signature, or none; `once`: whether the venue takes
    the bytes at most once; `endpoint_covered`: whether the signature covers method and path.
    """
    rows = []
    for venue in venues:
        for action in Action:
            hold = _core.hold(venue, action)
            if hold is not None:
                rows.append({"venue": label(venue), "action": label(action), **_data(hold)})
    return rows


def _data(hold: Hold) -> dict[str, Any]:
    return {
        "window_ms": None if hold.window_ms == _NEVER_MS else hold.window_ms,
        "expiry": _EXPIRY[hold.expiry],
        "once": hold.once,
        "endpoint_covered": hold.endpoint_covered,
    }


def describe_hold(row: Mapping[str, Any]) -> str:
    """Such as "usable for up to 1min, a validity is signed; at most once; endpoint open"."""
    window = row["window_ms"]
    usable = "for ever" if window is None else f"for up to {format_duration(window * 10**6)}"
    expiry = {
        "none": "no validity can be set",
        "signed": "a shorter validity is signed",
        "unsigned": "a shorter validity is sent, but not signed",
    }[row["expiry"]]
    once = "at most once" if row["once"] else "again and again"
    covered = "covers" if row["endpoint_covered"] else "does not cover"
    return f"usable {usable}, {once}; {expiry}; the signature {covered} the endpoint"


def hold_texts(venues: Iterable[Venue]) -> list[str]:
    """The same rows in words, actions that are alike together."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row in hold_rows(venues):
        alike.setdefault((row["venue"], describe_hold(row)), []).append(row["action"])
    return [f"{venue}: {', '.join(actions)}: {text}" for (venue, text), actions in alike.items()]


def released_rows(usable_until_ms: Mapping[str, int]) -> list[dict[str, Any]]:
    """By venue: until when something that was released and adds risk can still be used there."""
    return [
        {
            "venue": venue,
            "usable_until_ms": until,
            "usable_until": "never ends" if until == _NEVER_MS else iso_time(until * 10**6),
        }
        for venue, until in usable_until_ms.items()
    ]


def released_texts(rows: Iterable[Mapping[str, Any]], now_ms: int) -> list[str]:
    """The same in words."""
    return [
        f"{row['venue']}: the last released signature "
        + ("is unusable since" if row["usable_until_ms"] < now_ms else "is unusable after")
        + f" {row['usable_until']}"
        for row in rows
    ]
