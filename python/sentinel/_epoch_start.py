"""What the last start of an engine says in its log: where the nonces of signatures come from."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from ._record import START, RecordType
from ._types import EngineState
from .audit import find_record
from .config import Installed
from .errors import SentinelError
from .receipt import iso_time

_NEAR = 16
"""Records of an epoch among which its start stands; it is the first."""


@dataclass(frozen=True, slots=True)
class NonceSource:
    """`made_ahead`: the engine opened with pools, the risk of a copied machine accepted."""

    made_ahead: bool
    record: int
    since_ns: int

    def to_json(self) -> dict[str, Any]:
        """Plain data for `zcp status --json`."""
        return {
            "made_ahead": self.made_ahead,
            "snapshot_risk_accepted": self.made_ahead,
            "record": self.record,
            "since": iso_time(self.since_ns),
        }

    def lines(self) -> list[str]:
        """One line for people; nothing where signatures are deterministic."""
        if not self.made_ahead:
            return []
        return [
            f"nonces     made ahead since {iso_time(self.since_ns)}, record {self.record}: the risk"
            " of a copied machine was accepted"
        ]


def nonce_source_of(installed: Installed, state: EngineState) -> NonceSource | None:
    """By the record START of this epoch; None where there is none that can be read."""
    with contextlib.suppress(SentinelError):
        first = _first_of_epoch(installed, state)
        for number in range(first, min(first + _NEAR, state.record_count)):
            record = find_record(installed.directory, number)
            if record.type is RecordType.START:
                _, _, _, nonces, _, _ = START.unpack(record.subject)
                return NonceSource(bool(nonces), record.number, record.now_ns)
    return None


def _first_of_epoch(installed: Installed, state: EngineState) -> int:
    """By halves: along a log, epochs never fall."""
    low, high = 0, state.record_count
    while low < high:
        middle = (low + high) // 2
        if find_record(installed.directory, middle).epoch < state.epoch:
            low = middle + 1
        else:
            high = middle
    return low
