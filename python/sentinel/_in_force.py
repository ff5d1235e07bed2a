"""Commands that failed and bind all the same: what their errors say (docs/4-audit.md, "The stop
word").
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ._log import spool_answer
from ._status import Status
from .errors import SentinelError

_WORD: Final = struct.Struct("<IHH")
_WORD_AT: Final = 40


def stop_word(directory: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Target, scope and count of the control page's stop word; all 0: there is none."""
    try:
        page = (Path(directory) / "control").read_bytes()
        target, scope, count = _WORD.unpack_from(page, _WORD_AT)
    except (OSError, struct.error):
        return 0, 0, 0
    return target, scope, count


@contextlib.contextmanager
def word_told(directory: str | os.PathLike[str], *, writer: bool = False) -> Iterator[None]:
    """Around what hands a command over: an error says it where the stop word was set instead.

    Only a halt sets it, and its count is another one then. `writer`: this process has the engine
    open, and its log takes nothing more.
    """
    before = stop_word(directory)
    try:
        yield
    except SentinelError as error:
        word = stop_word(directory)
        if not any(word) or word == before:
            raise
        raise error.binding(
            "stop_word",
            f"the halt is in force by the stop word, but in no record yet: {error}",
            f"{_first(error, writer)}, then halt again: that records it;"
            " zcp status shows the stop word until then",
        ) from None


@contextlib.contextmanager
def ticket_told(directory: str | os.PathLike[str], ticket: int | None) -> Iterator[None]:
    """Around what is done behind a ticket: an error says it where that waits on, unanswered."""
    try:
        yield
    except SentinelError as error:
        if ticket is None or spool_answer(directory, ticket):
            raise
        raise error.binding(
            "ticket",
            f"it is in the spool (ticket {ticket}), and nothing is signed until the"
            f" engine has answered it; but this failed: {error}",
            f"{_first(error, False)}: whoever opens the engine next has it taken first; zcp status"
            " shows what is in force then",
            ticket,
        ) from None


def _first(error: SentinelError, writer: bool) -> str:
    if error.status == Status.IO_SPACE and not writer:
        return "make room"
    return error.next_step or "put right what failed"
