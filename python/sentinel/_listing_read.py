"""A venue's listing as plain data that knows its places; numbers keep their text.

Refused: bytes that are not UTF-8, a byte order mark, duplicate keys, NaN, large files. Every value
is asked for by key and kind, so that what is missing or of another kind is an error with its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from .errors import ConfigError
from .units import INT64_MAX, SCALE_MAX, Quantity

BYTES_MAX: Final = 256 * 1024 * 1024
SHOWN_MAX: Final = 60
EXPONENT_MAX: Final = 40
DIGITS_MAX: Final = 64

_DECIMAL: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?")
_AGAIN: Final = "download the listing again, and give the file as it came"


class Number(str):
    """A number of JSON, as it was written."""

    __slots__ = ()


class Node:
    """A value and its place, such as `result.list[3].priceFilter.tickSize`."""

    __slots__ = ("file", "place", "value")

    def __init__(self, value: Any, file: str, place: str = "") -> None:
        self.value = value
        self.file = file
        self.place = place

    def fail(self, problem: str, next_step: str = _AGAIN) -> NoReturn:
        """Raises ConfigError, naming file and place."""
        at = f"{self.place}: " if self.place else ""
        raise ConfigError(f"{at}{problem}", file=self.file, next_step=next_step)

    def kind(self) -> str:
        """What the value is, in words."""
        if isinstance(self.value, Number):
            return f"the number {_short(self.value)}"
        if isinstance(self.value, str):
            return f"the text {_short(ascii(self.value))}"
        words = {dict: "an object", list: "a list", bool: "true or false"}
        return words.get(type(self.value), "null")

    def _of(self, kind: type, wanted: str) -> Any:
        if type(self.value) is not kind:
            self.fail(f"{self.kind()} stands where {wanted} belongs")
        return self.value

    def find(self, key: str) -> Node | None:
        """The value of a key; None when it is absent or null."""
        value = self._of(dict, "an object").get(key)
        place = f"{self.place}.{key}" if self.place else key
        return None if value is None else Node(value, self.file, place)

    def get(self, key: str) -> Node:
        """The value of a key that must be there."""
        found = self.find(key)
        if found is None:
            self.fail(f"the field {key!r} is missing")
        return found

    def items(self) -> Iterator[Node]:
        """The members of a list."""
        for index, value in enumerate(self._of(list, "a list")):
            yield Node(value, self.file, f"{self.place}[{index}]")

    def text(self) -> str:
        """A text that is not empty."""
        value: str = self._of(str, "a text")
        if not value:
            self.fail("it is empty")
        return value

    def maybe(self, key: str) -> str:
        """The text of a key; empty where it is absent or empty."""
        found = self.find(key)
        return "" if found is None or found.value == "" else found.text()

    def flag(self) -> bool:
        """True or false."""
        return bool(self._of(bool, "true or false"))

    def whole(self) -> int:
        """A whole number of JSON, not negative and below 2^63."""
        return self._whole(self._of(Number, "a number"))

    def whole_text(self) -> int:
        """A whole number that stands in a text, as some venues write times."""
        return self._whole(self.text())

    def _whole(self, value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,19}", value) or int(value) > INT64_MAX:
            self.fail(f"{_short(ascii(str(value)))} is not a whole number from 0 to 2^63-1")
        return int(value)

    def positive(self) -> Quantity:
        """A number of JSON above zero, without trailing zeros."""
        return self._positive(self._of(Number, "a number"))

    def positive_text(self) -> Quantity:
        """A decimal above zero that stands in a text, without trailing zeros."""
        text = self.text()
        if "e" in text.lower():
            self.fail(f"{_short(ascii(text))} is not a decimal")
        return self._positive(text)

    def _positive(self, text: str) -> Quantity:
        shown = _short(ascii(str(text)))
        match = _DECIMAL.fullmatch(text) if len(text) <= DIGITS_MAX else None
        if match is None:
            self.fail(f"{shown} is not a decimal")
        sign, digits, fraction, exponent = match.groups(default="")
        shift = int(exponent or 0)
        if abs(shift) > EXPONENT_MAX:
            self.fail(f"{shown} does not fit a decimal of the policy")
        if sign:
            self.fail(f"{shown} is negative")
        mantissa, scale = int(digits + fraction), len(fraction) - shift
        if mantissa == 0:
            self.fail(f"{shown} is not above 0")
        return self.fitting(mantissa, scale)

    def fitting(self, mantissa: int, scale: int) -> Quantity:
        """A decimal without trailing zeros, if a policy can hold it."""
        while scale > 0 and mantissa % 10 == 0:
            mantissa, scale = mantissa // 10, scale - 1
        if scale < 0:
            mantissa, scale = mantissa * int(10**-scale), 0
        if scale > SCALE_MAX or mantissa > INT64_MAX:
            self.fail(
                f"the decimal has more than {SCALE_MAX} digits after the point, or is above"
                f" {INT64_MAX} without its point",
                "leave this instrument out with --exclude: a policy cannot hold the number",
            )
        return Quantity(mantissa, scale)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def load(data: bytes, file: str) -> Node:
    """Reads one JSON document. Raises ConfigError."""
    top = Node(None, file)
    if len(data) > BYTES_MAX:
        top.fail(f"the file is larger than {BYTES_MAX} bytes", "a listing is smaller; look at it")
    if not data.strip():
        top.fail("the file is empty")
    if data.startswith(b"\xef\xbb\xbf"):
        top.fail("it begins with a byte order mark, which JSON does not have", "save it without")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        top.fail(f"byte {error.start} is not UTF-8")
    try:
        value = json.loads(
            text,
            parse_float=Number,
            parse_int=Number,
            parse_constant=lambda word: _refuse(f"{word} is not a number of JSON"),
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        problem = f"this is not JSON: {error.msg}"
        raise ConfigError(
            problem, file=file, line=error.lineno, column=error.colno, next_step=_AGAIN
        ) from None
    except RecursionError:
        top.fail("it is nested too deep to be a listing")
    except _RefusedError as error:
        top.fail(str(error))
    return Node(value, file)


class _RefusedError(Exception):
    pass


def _refuse(problem: str) -> NoReturn:
    raise _RefusedError(problem)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                _refuse(f"the key {_short(ascii(key))} stands twice in one object")
            seen.add(key)
    return made
