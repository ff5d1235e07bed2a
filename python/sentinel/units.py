"""Amounts, ratios, rates, durations and quantities: text to exact integers and back.

No floating point anywhere: text is split into digits, and what does not fit is an error.

>>> parse_money("500k USD"), parse_money("1.5M"), parse_money(500000)
(500000000000, 1500000000000, 500000000000)
>>> parse_ratio("30 bps"), parse_ratio("0.3 %"), parse_ratio("3000 ppm")
(3000, 3000, 3000)
>>> parse_rate("1000/min")
Rate(limit=1000, window_ns=60000000000)
>>> parse_duration("250 ms"), parse_duration("1 day")
(250000000, 86400000000000)
>>> parse_quantity("0.10")
Quantity(mantissa=10, scale=2)
>>> format_money(500_000_000_000), format_ratio(3000), format_duration(90_000_000_000)
('500k USD', '30 bps', '90s')
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from .errors import UnitInvalid

__all__ = [
    "INT64_MAX",
    "SCALE_MAX",
    "Quantity",
    "Rate",
    "did_you_mean",
    "format_duration",
    "format_money",
    "format_quantity",
    "format_rate",
    "format_ratio",
    "parse_duration",
    "parse_money",
    "parse_quantity",
    "parse_rate",
    "parse_ratio",
]

INT64_MAX: Final = 2**63 - 1
SCALE_MAX: Final = 18
RATE_EVENTS_MAX: Final = 131_072
WINDOW_NS_MAX: Final = 400 * 86_400 * 10**9
TEXT_MAX: Final = 64
"""Characters of the longest text that is looked at."""

_MONEY: Final = "an amount in USD such as 500000, 500k USD, 1.5M USD or 2B"
_RATIO: Final = "a ratio such as 30 bps, 0.3 % or 3000 ppm"
_RATE: Final = "a rate such as 1000/min, 10/s, 5000/h, 200/day or 300/5min"
_DURATION: Final = "a duration such as 250ms, 5s, 10 min, 24h or 1 day"
_QUANTITY: Final = "a decimal such as 5, 0.10 or 1250.5"

_NUMBER: Final = re.compile(r"([1-9][0-9]{0,2}(?:_[0-9]{3})+|0|[1-9][0-9]*)(?:\.([0-9]+))?")
_MULTIPLIERS: Final = {"": 0, "k": 3, "M": 6, "B": 9}
_RATIOS: Final = {"ppm": 0, "bps": 2, "%": 4}
_DURATIONS: Final = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "sec": 10**9,
    "second": 10**9,
    "seconds": 10**9,
    "min": 60 * 10**9,
    "minute": 60 * 10**9,
    "minutes": 60 * 10**9,
    "h": 3600 * 10**9,
    "hour": 3600 * 10**9,
    "hours": 3600 * 10**9,
    "day": 86_400 * 10**9,
    "days": 86_400 * 10**9,
}
_CANONICAL: Final = ("day", "h", "min", "s", "ms", "us", "ns")


class Rate(NamedTuple):
    """So many events within any window of so many nanoseconds."""

    limit: int
    window_ns: int


class Quantity(NamedTuple):
    """A decimal that keeps its text: 65000.10 is (6500010, 2)."""

    mantissa: int
    scale: int


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest known word, or an empty text."""
    names = list(known)
    folded = {name.lower(): name for name in names}
    if word.lower() in folded:
        return f"; did you mean {folded[word.lower()]!r}?"
    close = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def _refuse(value: object, accepted: str, problem: str = "") -> UnitInvalid:
    shown = repr(value) if isinstance(value, str) else str(value)
    if len(shown) > TEXT_MAX:
        shown = shown[:TEXT_MAX] + "…"
    return UnitInvalid(
        f"{shown} is not {accepted.split(' such as ', maxsplit=1)[0]}"
        + (f": {problem}" if problem else ""),
        next_step=f"write {accepted}",
    )


def _split(value: str | int, accepted: str) -> tuple[int, int, str]:
    """Mantissa, scale and what follows the number, stripped."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _refuse(value, accepted, "give it as text, never as a float")
    text = str(value).strip(" ")
    if len(text) > TEXT_MAX:
        raise _refuse(value, accepted, f"it is longer than {TEXT_MAX} characters")
    if text.startswith("-"):
        raise _refuse(value, accepted, "it is negative")
    match = _NUMBER.match(text)
    if match is None:
        raise _refuse(value, accepted, "it does not begin with a number")
    rest = text[match.end() :]
    if rest[:1].isdigit() or rest[:1] in {",", ".", "_"} or re.match(r"[eE][-+]?[0-9]", rest):
        problem = "commas, exponents, leading zeros and bare points are not read"
        raise _refuse(value, accepted, problem)
    fraction = match.group(2) or ""
    return int(match.group(1).replace("_", "") + fraction), len(fraction), rest.strip(" ")


def _scale(value: str | int, accepted: str, mantissa: int, shift: int, unit: str) -> int:
    """The mantissa × 10^shift, exact and within 63 bits."""
    if shift < 0:
        quotient, remainder = divmod(mantissa, int(10**-shift))
        if remainder:
            raise _refuse(value, accepted, f"it is finer than one {unit}")
        mantissa, shift = quotient, 0
    result = mantissa * int(10**shift)
    if result > INT64_MAX:
        raise _refuse(value, accepted, f"it is above {INT64_MAX} {unit}")
    return result


def parse_money(value: str | int) -> int:
    """An amount in USD, as micro-USD. A bare number is USD.

    Raises UnitInvalid.
    """
    mantissa, scale, rest = _split(value, _MONEY)
    match = re.fullmatch(r"([A-Za-z]*?) *(USD)?", rest)
    suffix = match.group(1) if match else rest
    if suffix not in _MULTIPLIERS:
        words = [*_MULTIPLIERS, "USD"]
        guess = did_you_mean(suffix, [word for word in words if word and word != suffix])
        raise _refuse(value, _MONEY, f"{rest!r} is not k, M, B or USD{guess}")
    return _scale(value, _MONEY, mantissa, 6 + _MULTIPLIERS[suffix] - scale, "micro-USD")


def parse_ratio(value: str | int) -> int:
    """A ratio, as parts per million. The unit is never left out.

    Raises UnitInvalid.
    """
    mantissa, scale, unit = _split(value, _RATIO)
    if unit not in _RATIOS:
        problem = f"{unit!r} is not %, bps or ppm{did_you_mean(unit, _RATIOS)}"
        raise _refuse(value, _RATIO, problem if unit else "its unit is missing")
    return _scale(value, _RATIO, mantissa, _RATIOS[unit] - scale, "ppm")


def _unit_ns(value: str | int, accepted: str, unit: str) -> int:
    if unit not in _DURATIONS:
        known = "ms, s, min, h, day"
        guess = did_you_mean("min" if unit == "m" else unit, _DURATIONS)
        problem = f"{unit!r} is not a unit of time ({known}){guess}"
        raise _refuse(
            value, accepted, problem if unit else f"its unit of time ({known}) is missing"
        )
    return _DURATIONS[unit]


def parse_duration(value: str | int) -> int:
    """A duration above zero, as nanoseconds, at most 400 days.

    Raises UnitInvalid.
    """
    return _duration(value, value, _DURATION)


def _duration(text: str | int, value: str | int, accepted: str) -> int:
    mantissa, scale, unit = _split(text, accepted)
    product = mantissa * _unit_ns(value, accepted, unit)
    result = _scale(value, accepted, product, -scale, "nanosecond")
    if not 0 < result <= WINDOW_NS_MAX:
        raise _refuse(value, accepted, "it is not above 0 and at most 400 days")
    return result


def parse_rate(value: str | int) -> Rate:
    """A rate: a count, a slash, and a unit of time or a duration.

    Raises UnitInvalid.
    """
    mantissa, scale, rest = _split(value, _RATE)
    if not rest.startswith("/"):
        raise _refuse(value, _RATE, "a count, '/' and a unit of time are needed")
    if scale:
        raise _refuse(value, _RATE, "the count is not a whole number")
    if not 0 < mantissa <= RATE_EVENTS_MAX:
        raise _refuse(value, _RATE, f"the count is not from 1 to {RATE_EVENTS_MAX}")
    per = rest[1:].strip(" ")
    return Rate(mantissa, _duration(per if per[:1].isdigit() else f"1 {per}", value, _RATE))


def parse_quantity(value: str | int) -> Quantity:
    """A decimal without sign, exponent or unit; trailing zeros are kept.

    Raises UnitInvalid.
    """
    mantissa, scale, rest = _split(value, _QUANTITY)
    if rest:
        raise _refuse(value, _QUANTITY, f"{rest!r} follows the number")
    if scale > SCALE_MAX:
        raise _refuse(value, _QUANTITY, f"it has more than {SCALE_MAX} digits after the point")
    if mantissa > INT64_MAX:
        raise _refuse(value, _QUANTITY, f"its digits are above {INT64_MAX}")
    return Quantity(mantissa, scale)


def format_quantity(quantity: tuple[int, int]) -> str:
    """The text of a decimal, every trailing zero kept."""
    mantissa, scale = quantity
    digits = str(mantissa).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits


def _trimmed(mantissa: int, scale: int) -> str:
    text = format_quantity((mantissa, scale))
    return text.rstrip("0").rstrip(".") if scale else text


def format_money(micro_usd: int) -> str:
    """The shortest exact text that parse_money reads back."""
    if micro_usd < 0:
        return f"-{format_money(-micro_usd)}"
    for suffix, digits in (("B", 15), ("M", 12), ("k", 9)):
        if micro_usd >= 10**digits and micro_usd % 10 ** (digits - 2) == 0:
            return f"{_trimmed(micro_usd, digits)}{suffix} USD"
    if micro_usd % 10**4 == 0 and micro_usd % 10**6:
        return f"{format_quantity((micro_usd // 10**4, 2))} USD"
    return f"{_trimmed(micro_usd, 6)} USD"


def format_ratio(ppm: int) -> str:
    """The shortest exact text that parse_ratio reads back."""
    if ppm >= 10**4 and ppm % 10**2 == 0:
        return f"{_trimmed(ppm, 4)} %"
    if ppm % 10 == 0:
        return f"{_trimmed(ppm, 2)} bps"
    return f"{ppm} ppm"


def format_duration(ns: int) -> str:
    """The duration in the largest unit in which it is a whole number."""
    for unit in _CANONICAL:
        if ns % _DURATIONS[unit] == 0 and (ns or unit == "s"):
            count = ns // _DURATIONS[unit]
            return (
                f"{count} {unit}{'s' if count > 1 else ''}" if unit == "day" else f"{count}{unit}"
            )
    raise AssertionError("every integer is a whole number of nanoseconds")


def format_rate(rate: tuple[int, int]) -> str:
    """The text that parse_rate reads back."""
    limit, window_ns = rate
    per = format_duration(window_ns)
    single = re.fullmatch(r"1 ?([a-z]+)", per)
    return f"{limit}/{single.group(1) if single else per}"
