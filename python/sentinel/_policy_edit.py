"""Edits of a policy's text: only the values that change are touched, so comments stay."""

from __future__ import annotations

from pathlib import Path as FilePath

from . import units
from ._policy_check import validate
from ._policy_resolve import Resolver
from ._policy_yaml import Document, Path, load


def configure_policy(
    text: str,
    *,
    max_rate: str | int | None = None,
    max_value: str | int | None = None,
    daily_limit: str | int | None = None,
    file: str = "policy.yaml",
    base: FilePath | None = None,
) -> str:
    """The text of the next version, with these limits set for the firm.

    A limit that exists (the one without `when:`) gets the new number; one that does not is
    added. Raises UnitInvalid for a limit, ConfigError for the text.
    """
    wanted: list[tuple[str, str, str]] = []
    if max_rate is not None:
        rate = units.parse_rate(max_rate)
        wanted.append(("rate", "limit", units.format_rate(rate)))
    for key, value in (("max_value", max_value), ("daily_limit", daily_limit)):
        if value is not None:
            wanted.append((key, "cap", units.format_money(units.parse_money(value))))
    _check(text, file, base)
    for key, field, value in reversed(wanted):  # each is added before the last one added
        text = _set(load(text, file), key, field, value)
        _check(text, file, base)
    return text


def _check(text: str, file: str, base: FilePath | None) -> None:
    document = load(text, file)
    validate(document)
    Resolver(document, base if base is not None else FilePath(file).parent).draft()


def _set(document: Document, key: str, field: str, value: str) -> str:
    path: Path = ("firm", key)
    firm = document.data["firm"]
    if key not in firm:
        return _insert(document, f"{key}: {value}")
    present = firm[key]
    items: list[tuple[Path, object]] = [(path, present)]
    if isinstance(present, list):
        items = [((*path, position), item) for position, item in enumerate(present)]
    for at, item in items:
        if not isinstance(item, dict):
            return _replace(document, at, value)
        if "when" not in item:
            return _replace(document, (*at, field), value)
    raise document.error(
        path,
        f"each `{key}` of the firm has a `when:`, so none is for everything",
        key=True,
        next_step=f"add one without `when:` to the file: - {{name: all, {field}: {value}}}",
    )


def _replace(document: Document, path: Path, value: str) -> str:
    place = document.values[path]
    return document.text[: place.start] + value + document.text[place.end :]


def _insert(document: Document, line: str) -> str:
    """Adds a key to the firm: after its name, else before its first key."""
    text, firm = document.text, document.values["firm",]
    keys = [place for path, place in document.keys.items() if path[:-1] == ("firm",)]
    if text[firm.start] == "{":
        if not keys:
            return text[: firm.start] + "{" + line + "}" + text[firm.end :]
        at = min(place.start for place in keys)
        return f"{text[:at]}{line}, {text[at:]}"
    first = min(keys, key=lambda place: place.start)
    indent = " " * (first.column - 1)
    name = document.values.get(("firm", "name"))
    if name is not None:
        end = text.find("\n", name.end)
        end = len(text) if end < 0 else end
        return f"{text[:end]}\n{indent}{line}{text[end:]}"
    return f"{text[: first.start]}{line}\n{indent}{text[first.start :]}"
