"""What becomes of a signature that was released and not used: the core's table, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    shorter validity is signed, sent beside the signature, or none; `floor_ms`: how long a carrier
    can make any validity, 0 where it cannot; `once`: whether the venue takes the bytes at most
    once; `endpoint_covered`: whether the signature covers method and path.
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
        "floor_ms": hold.floor_ms,
        "once": hold.once,
        "endpoint_covered": hold.endpoint_covered,
    }


def describe_hold(row: Mapping[str, Any]) -> str:
    """Such as "usable for up to 1min, at most once; a shorter validity is signed; the signature
    covers the endpoint".
    """
    window = row["window_ms"]
    usable = "for ever" if window is None else f"for up to {format_duration(window * 10**6)}"
    expiry = {
        "none": "no validity can be set",
        "signed": "a shorter validity is signed",
        "unsigned": "a shorter validity is sent, but not signed",
    }[row["expiry"]]
    if row["floor_ms"]:
        expiry += f" (relied on from {format_duration(row['floor_ms'] * 10**6)} up)"
    once = "at most once" if row["once"] else "again and again"
    covered = "covers" if row["endpoint_covered"] else "does not cover"
    return f"usable {usable}, {once}; {expiry}; the signature {covered} the endpoint"


def hold_texts(venues: Iterable[Venue]) -> list[str]:
    """The same rows in columns, one line for each venue and kind of hold."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in hold_rows(venues):
        alike.setdefault(_columns(row), []).append(row["action"])
    return _aligned([(*columns, ", ".join(actions)) for columns, actions in alike.items()])


def _columns(row: Mapping[str, Any]) -> tuple[str, ...]:
    window = row["window_ms"]
    return (
        row["venue"],
        "for ever" if window is None else f"up to {format_duration(window * 10**6)}",
        {"none": "no validity", "signed": "validity signed", "unsigned": "validity unsigned"}[
            row["expiry"]
        ],
        "once" if row["once"] else "repeatable",
        "endpoint covered" if row["endpoint_covered"] else "endpoint open",
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


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


def released_texts(rows: Sequence[Mapping[str, Any]], now_ms: int) -> list[str]:
    """The same in words, one line for each venue."""
    return _aligned([(row["venue"], _released(row["usable_until_ms"], now_ms)) for row in rows])


def _released(until_ms: int, now_ms: int) -> str:
    what = "the last released signature is"
    if until_ms == _NEVER_MS:
        return f"{what} usable for ever"
    time = iso_time(until_ms * 10**6)[:-7] + "Z"  # to the millisecond
    if until_ms < now_ms:
        return f"{what} unusable since {time} ({_about(now_ms - until_ms)} ago)"
    return f"{what} unusable after {time} (in {_about(until_ms - now_ms)})"


def _about(span_ms: int) -> str:
    """How long, as one speaks of it."""
    seconds = span_ms // 1000
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
