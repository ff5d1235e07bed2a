"""One planted mistake."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """`before` stands exactly once in core/src/`file`."""

    name: str
    level: str  # of the comparison that must find it
    file: str
    before: str
    after: str


def policy(name: str, file: str, before: str, after: str) -> Mutation:
    return Mutation(name, "policy", file, before, after)


def gate(name: str, file: str, before: str, after: str) -> Mutation:
    return Mutation(name, "gate", file, before, after)
