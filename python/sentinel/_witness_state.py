"""The witness that an authority bundle asks for, as zcp status tells of it."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ._enums import Power
from ._stops import authority_of
from ._types import EngineState
from .config import Installed
from .errors import SentinelError
from .witness import configured

PROBE_SECONDS: Final = 1.0
_REFUSED: Final = "nothing is signed"


@dataclass(frozen=True, slots=True)
class WitnessState:
    """Whether orders are signed, as far as the witness goes; without one that is asked for, none.

    `url`: what `zcp witness use` wrote, None where nothing is named. `answers`: whether somebody
    takes connections there; None where nobody looked. `confirmed`: it granted this epoch, so that
    the start is confirmed. `records_left`, `spend_left`: of the grant, the second in micro-USD.
    `missing`: it named records that are not here.
    """

    url: str | None
    answers: bool | None
    confirmed: bool
    records_left: int
    spend_left: int
    missing: bool

    @property
    def signs(self) -> bool:
        """Whether an order without value can be signed now without another answer."""
        return self.confirmed and self.records_left > 0 and not self.missing

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp status --json`."""
        return {
            "url": self.url,
            "answers": self.answers,
            "confirmed": self.confirmed,
            "records_left": self.records_left,
            "spend_left_micro_usd": self.spend_left,
            "signs": self.signs,
        }

    def lines(self) -> list[str]:
        """Two lines for people: where it is and what is left; what that means."""
        where = self.url or "none is named here (zcp witness use URL)"
        if self.url and self.answers is not None:
            where += ": somebody answers there" if self.answers else ": IT IS DOWN"
        start = "this start is confirmed" if self.confirmed else "this start is NOT CONFIRMED"
        whole, part = divmod(self.spend_left, 10**6)
        money = f"{whole:,}.{part // 10**4:02} USD"
        left = f"left of the grant: {self.records_left:,} records, {money}"
        if not self.signs:
            left = "nothing is left of the grant" if self.confirmed else "there is no grant"
        return [f"witness    {where}; {start}; {left}", f"           {self._means()}"]

    def _means(self) -> str:
        down = self.answers is False or self.url is None
        if self.missing:
            return f"records that it confirmed are missing: {_REFUSED} before people accept that"
        if not self.signs:
            return f"{_REFUSED} until it answers (grant_exhausted); a writer asks again by itself"
        if self.spend_left == 0:
            return "nothing that has a value is signed until it answers (grant_exhausted)"
        if down:
            return f"what is left can be signed, then {_REFUSED} until it answers (grant_exhausted)"
        return "what is left can be signed without it; a writer asks when half is used"


def witness_of(
    installed: Installed, state: EngineState, *, probe: bool = False
) -> WitnessState | None:
    """The witness that the authority in force asks for; None where it asks for none.

    `probe`: also whether its address takes a connection, over which nothing is sent.
    """
    found = authority_of(installed, state)
    if found is None or not found.threshold[Power.WITNESS]:
        return None
    url: str | None = None
    with contextlib.suppress(SentinelError):
        url = configured(installed.directory)
    grant = state.grant
    confirmed = bool(state.epoch) and grant.epoch == state.epoch and not grant.gap_to
    return WitnessState(
        url=url,
        answers=_answers(url) if probe and url is not None else None,
        confirmed=confirmed,
        records_left=max(grant.record_end - state.record_count, 0) if confirmed else 0,
        spend_left=max(grant.spend_end - grant.spent, 0) if confirmed else 0,
        missing=grant.gap_to != 0,
    )


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), PROBE_SECONDS).close()
    except OSError:
        return False
    return True
