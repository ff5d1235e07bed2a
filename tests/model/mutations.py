"""The mistakes that tests/model/mutate.py plants."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """`before` stands exactly once in core/src/`file`."""

    name: str
    level: str  # of the comparison that must find it
    file: str
    before: str
    after: str


MUTATIONS: tuple[Mutation, ...] = ()
