"""What a parameter may be: one function each, true for what the venue takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Check = Callable[[Any], bool]
_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?")
_INTEGER = re.compile(r"0|[1-9][0-9]*")


def decimal_text(value: Any) -> bool:
    """Plain digits in a text; numbers, exponents and signs are not."""
    return isinstance(value, str) and _DECIMAL.fullmatch(value) is not None


def integer_text(value: Any) -> bool:
    return isinstance(value, str) and _INTEGER.fullmatch(value) is not None


def integer(value: Any) -> bool:
    return type(value) is int and value >= 0


def boolean(value: Any) -> bool:
    return type(value) is bool


def boolean_text(value: Any) -> bool:
    return value in ("true", "false") and isinstance(value, str)


def word(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def like(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


text = like(r"[ -~]+")
address = like(r"[A-Za-z0-9:_.-]{8,128}")


def first_wrong(
    values: dict[str, Any], table: dict[str, Check], required: tuple[str, ...]
) -> tuple[str, str] | None:
    """The first fault as (kind, name): "unknown", "missing" or "wrong"."""
    for name in values:
        if name not in table:
            return "unknown", name
    for name in required:
        if name not in values:
            return "missing", name
    for name, value in values.items():
        if not table[name](value):
            return "wrong", name
    return None
