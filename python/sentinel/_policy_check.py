"""Form of a policy: the published JSON Schema, with errors that name place and remedy.

`error: Any` below: jsonschema types each attribute of its errors as possibly unset.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from decimal import Decimal
from importlib import resources
from typing import Any, Final

from jsonschema import Draft202012Validator

from . import units
from ._policy_yaml import Document, Path
from .errors import ConfigError, UnitInvalid

ERRORS_MAX: Final = 20
"""Errors of one file that are reported at once."""

_TYPES: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
}
_PARSERS: Final = {
    "money": units.parse_money,
    "ratio": units.parse_ratio,
    "rate": units.parse_rate,
    "duration": units.parse_duration,
    "quantity": units.parse_quantity,
}


@functools.cache
def schema() -> dict[str, Any]:
    """The published JSON Schema of the policy language."""
    text = resources.files(__package__).joinpath("policy_schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@functools.cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def text_of(value: Any) -> str:
    """The text of a scalar as it stood in the file."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"{text_of(value)!r}" if isinstance(value, str) else f"the number {text_of(value)}"


def validate(document: Document) -> None:
    """Checks a document against the schema. Raises ConfigError; `also` holds further errors."""
    found: list[ConfigError] = []
    for error in _validator().iter_errors(document.data):
        found.extend(_explain(document, error, tuple(error.absolute_path)))
        if len(found) >= ERRORS_MAX:
            break
    if found:
        found.sort(key=lambda error: (error.line, error.column))
        first = found[0]
        first.also = tuple(found[1:ERRORS_MAX])
        raise first


def _explain(document: Document, error: Any, path: Path) -> Iterator[ConfigError]:
    keyword = str(error.validator)
    if keyword == "anyOf":
        yield from _explain_any(document, error, path)
    elif keyword == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        for key in error.instance:
            if key not in known:
                yield document.error(
                    (*path, key),
                    f"unknown key {key!r}{units.did_you_mean(key, known)}",
                    key=True,
                    next_step=f"known here: {', '.join(known)}",
                )
    elif keyword == "required":
        unknown = [key for key in error.instance if key not in error.schema["properties"]]
        for key in error.schema["required"]:
            missing = key not in error.instance and f"'{key}'" in error.message
            if missing and not units.did_you_mean(key, unknown):  # else it is only misspelt
                yield document.error(path, f"the key {key!r} is missing", key=True)
    elif "propertyNames" in error.absolute_schema_path:
        yield document.error(
            (*path, error.instance),
            f"{error.instance!r} is not a name",
            key=True,
            next_step="use 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first",
        )
    else:
        message, next_step = _plain(error, keyword)
        yield document.error(path, message, next_step=next_step)


def _plain(error: Any, keyword: str) -> tuple[str, str]:
    value, title = error.instance, str(error.schema.get("title", ""))
    if title in _PARSERS and not isinstance(value, dict | list) and value is not None:
        try:
            _PARSERS[title](value if isinstance(value, bool) else text_of(value))
        except UnitInvalid as refusal:
            return refusal.message, refusal.next_step
    description = str(error.schema.get("description", ""))
    if keyword == "type":
        wanted = _wanted(error.schema)
        return f"expected {wanted}, found {_kind(value)}", description
    if keyword in {"enum", "const"}:
        options = error.validator_value if keyword == "enum" else [error.validator_value]
        shown = ", ".join(str(json.dumps(o)) if not isinstance(o, str) else o for o in options)
        guess = units.did_you_mean(str(value), [o for o in options if isinstance(o, str)])
        return f"{_kind(value)} is not known here{guess}", f"use {shown}"
    if keyword == "pattern":
        return f"{_kind(value)} has a character or a length that is not allowed", (
            f"it must match {error.validator_value}"
        )
    if keyword in {"minItems", "minProperties", "minLength"}:
        return f"{_kind(value)} is empty", description
    if keyword == "uniqueItems":
        return "the same entry stands twice in this list", "keep one of them"
    if keyword in {"minimum", "maximum"}:
        sign = "below" if keyword == "minimum" else "above"
        return f"{text_of(value)} is {sign} {error.validator_value}", description
    return f"{_kind(value)} is not allowed here", description


def _wanted(node: dict[str, Any]) -> str:
    if str(node.get("title", "")) in _PARSERS:
        return f"a {node['title']}" if node["title"] != "money" else "an amount"
    types = node["type"]
    return " or ".join(_TYPES[t] for t in ([types] if isinstance(types, str) else types))


def _explain_any(document: Document, error: Any, path: Path) -> Iterator[ConfigError]:
    """Follows the branch that is of the value's kind; the others are noise."""
    branches: dict[Any, list[Any]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    scalars: list[Any] = []
    wanted: list[str] = []
    for inners in branches.values():
        top = [inner for inner in inners if not inner.relative_path]
        if all(inner.validator not in {"type", "const"} for inner in top):
            for inner in inners:
                yield from _explain(document, inner, (*path, *inner.relative_path))
            return
        scalars += [inner for inner in top if inner.schema.get("title") in _PARSERS]
        wanted += [
            _wanted(inner.schema)
            if inner.validator == "type"
            else json.dumps(inner.schema["const"])
            for inner in top
        ]
    if scalars and not isinstance(error.instance, dict | list | bool | None):
        message, next_step = _plain(scalars[0], str(scalars[0].validator))
    else:
        message = f"expected {' or '.join(wanted)}, found {_kind(error.instance)}"
        next_step = str(error.schema.get("description", ""))
    yield document.error(path, message, next_step=next_step)
