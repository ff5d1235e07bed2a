"""YAML as plain data, with the place of every key and value; nothing is ever constructed.

Refused: anchors, aliases, tags, merge keys, duplicate keys, several documents, deep nesting and
large files. Scalars keep their text: a plain 0.10 becomes Decimal("0.10"), never a float.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import yaml

from .errors import ConfigError

SOURCE_BYTES_MAX: Final = 16 * 1024 * 1024
DEPTH_MAX: Final = 40

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_FORBIDDEN: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
"""What YAML 1.2 (production 1, c-printable) does not allow."""
_WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: line and column from 1, offsets in characters from 0."""

    line: int
    column: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: `data`, and the place of each value and each key by path."""

    file: str
    text: str
    data: Any
    values: dict[Path, Place] = field(repr=False)
    keys: dict[Path, Place] = field(repr=False)

    def error(
        self, path: Path, message: str, *, key: bool = False, next_step: str = ""
    ) -> ConfigError:
        """An error at a value, or (key) at the key that names it."""
        places = self.keys if key else self.values
        place = places.get(path) or self.values.get(path)
        while place is None and path:
            path = path[:-1]
            place = self.values.get(path)
        return ConfigError(
            message,
            file=self.file,
            line=place.line if place else 0,
            column=place.column if place else 0,
            next_step=next_step,
        )


def _at(file: str, mark: Any, message: str, next_step: str = "") -> ConfigError:
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return ConfigError(message, file=file, line=line, column=column, next_step=next_step)


def _text(source: str | bytes, file: str) -> str:
    """The text of a file, without a byte order mark."""
    size = len(source) if isinstance(source, bytes) else len(source.encode(errors="replace"))
    if size > SOURCE_BYTES_MAX:
        raise ConfigError(f"the file is larger than {SOURCE_BYTES_MAX} bytes", file=file)
    text = source if isinstance(source, str) else source.decode("utf-8", "surrogateescape")
    found = _FORBIDDEN.search(text)
    if found is not None:
        encoded = isinstance(source, bytes) and "\udc80" <= found[0] <= "\udcff"
        raise ConfigError(
            "the text is not UTF-8" if encoded else f"the character {found[0]!a} is not allowed",
            file=file,
            line=text.count("\n", 0, found.start()) + 1,
            column=found.start() - text.rfind("\n", 0, found.start()),
            next_step="save the file as UTF-8" if encoded else "remove it",
        )
    return text.removeprefix("\ufeff")


def load(source: str | bytes, file: str) -> Document:
    """Reads one YAML document. Raises ConfigError."""
    text = _text(source, file)
    document = Document(file, text, None, {}, {})
    reader = _Reader(document, _events(text, file))
    data = reader.document()
    return Document(file, text, data, document.values, document.keys)


def _events(text: str, file: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        if "nesting" in problem:  # the parser's own limit, which is above ours
            raise _at(file, mark, f"nested deeper than {DEPTH_MAX} levels") from None
        raise _at(
            file,
            mark,
            f"this is not YAML: {problem}",
            "check indentation (spaces only), colons, quotes and brackets near this place",
        ) from None


class _Reader:
    """Builds data from events; recursion is bounded by DEPTH_MAX."""

    def __init__(self, document: Document, events: Iterator[Any]) -> None:
        self._document = document
        self._events = events

    def document(self) -> Any:
        file = self._document.file
        next(self._events)  # the stream begins
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise ConfigError("the file is empty", file=file, line=1, column=1)
        data = self._value(next(self._events), (), 0)
        next(self._events)  # the document ends
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _at(file, event.start_mark, "there is more than one YAML document")
        return data

    def _refuse_extras(self, event: Any) -> None:
        file, mark = self._document.file, event.start_mark
        step = "write the values out, so that each reader sees the same policy"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _at(file, mark, "anchors and aliases are not allowed", step)
        if getattr(event, "tag", None):
            raise _at(file, mark, f"the tag {event.tag} is not allowed", "remove the tag")

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        self._refuse_extras(event)
        if depth > DEPTH_MAX:
            raise _at(
                self._document.file, event.start_mark, f"nested deeper than {DEPTH_MAX} levels"
            )
        data: Any
        last: Any
        if isinstance(event, yaml.ScalarEvent):
            data = _scalar(event)
            last = event
        elif isinstance(event, yaml.MappingStartEvent):
            data, last = self._mapping(path, depth)
        else:
            data, last = self._sequence(path, depth)
        start: Any = event.start_mark
        end: Any = last.end_mark
        self._document.values[path] = Place(
            start.line + 1, start.column + 1, start.index, end.index
        )
        return data

    def _mapping(self, path: Path, depth: int) -> tuple[dict[str, Any], Any]:
        data: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._refuse_extras(event)
            file = self._document.file
            mark: Any = event.start_mark
            end: Any = event.end_mark
            if not isinstance(event, yaml.ScalarEvent):
                raise _at(file, mark, "a key must be a name")
            key = str(event.value)
            if key == "<<":
                raise _at(file, mark, "merge keys are not allowed", "write the values out")
            if key in data:
                first = self._document.keys[(*path, key)]
                raise _at(
                    file,
                    mark,
                    f"the key {key!r} stands twice; first in line {first.line}",
                    "keep one of the two",
                )
            self._document.keys[(*path, key)] = Place(
                mark.line + 1, mark.column + 1, mark.index, end.index
            )
            data[key] = self._value(next(self._events), (*path, key), depth + 1)
        return data, event

    def _sequence(self, path: Path, depth: int) -> tuple[list[Any], Any]:
        data: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            data.append(self._value(event, (*path, len(data)), depth + 1))
        return data, event


def _scalar(event: Any) -> Any:
    text = str(event.value)
    if not event.implicit[0]:  # quoted, or a block: text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > 64:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if _DECIMAL.fullmatch(text) else text
