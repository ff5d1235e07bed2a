"""What a policy says of watching over agents: heartbeats, the lease."""

from __future__ import annotations

from typing import Final, TypedDict

from . import units
from ._enums import Mode
from ._policy_tables import Tables
from ._policy_yaml import Path

_FACTOR: Final = 3
_NS_MAX: Final = 2**63 - 1


class HeartbeatRow(TypedDict):
    """The fields of a constraint of heartbeats."""

    window_ns: int
    bound: int
    mask: int


class Watch(Tables):
    """Reads rules of heartbeats, and the operators' lease."""

    def _lease_ns(self) -> int:
        """The longest one; 0: none is needed."""
        if self._get(("lease",)) is None:
            return 0
        return self._unit(("lease",), units.parse_duration)

    def _heartbeat(self, item: Path) -> HeartbeatRow:
        longest = 0
        if self._get((*item, "iteration")) is not None:
            expected = self._unit((*item, "iteration"), units.parse_duration)
            longest = expected * int(self._get((*item, "factor"), _FACTOR))
            if longest > _NS_MAX:
                self._fail((*item, "factor"), "the longest iteration does not fit", "lower it")
        mode = Mode.DRAINING if self._get((*item, "then"), "halt") == "drain" else Mode.HALTED
        return HeartbeatRow(
            window_ns=self._unit((*item, "silence"), units.parse_duration),
            bound=longest,
            mask=1 << mode,
        )
