"""Which request fails, and how: from a seed, or from a list."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable


class Fault(enum.Enum):
    """What happens to one request. Before and after mean: before and after it was accepted."""

    NONE = enum.auto()
    TIMEOUT_BEFORE = enum.auto()  # never accepted, never answered
    TIMEOUT_AFTER = enum.auto()  # accepted; the client does not hear of it in time
    DROP_BEFORE = enum.auto()
    DROP_AFTER = enum.auto()
    RATE_LIMIT = enum.auto()  # 429 with Retry-After
    ERROR_BEFORE = enum.auto()  # 5xx
    ERROR_AFTER = enum.auto()
    HALF_ANSWER = enum.auto()  # accepted; the answer breaks off
    DELAYED = enum.auto()  # not answered, and comes in later by the venue's clock


FAULTS: tuple[Fault, ...] = tuple(fault for fault in Fault if fault is not Fault.NONE)


# Inside of the shortest windows, just past them, and where only the longest still take it.
LATE_MS = (1, 40, 300, 1_500, 4_000, 5_500, 20_000, 45_000)


class Schedule:
    """One fault a request, in the order in which requests come.

    An integer is a seed: `rate` of the requests fail, each in a way drawn from it. A list is taken
    as it is; after its end nothing fails.
    """

    def __init__(
        self,
        plan: int | Iterable[Fault],
        *,
        rate: float = 0.4,
        late_ms: tuple[int, ...] = LATE_MS,
    ) -> None:
        seed = plan if isinstance(plan, int) else 0
        self._random = random.Random(seed)
        self._list = None if isinstance(plan, int) else list(plan)
        self._rate = rate
        self._late_ms = late_ms

    def next(self) -> tuple[Fault, int]:
        """The fault of the next request, and by how much it is late if it is delayed."""
        # All are drawn each time, so that a request's fault depends on nothing but its number.
        failing = self._random.random() < self._rate
        fault: Fault = self._random.choice(FAULTS)
        late_ms = self._random.choice(self._late_ms)
        if self._list is not None:
            fault, failing = (self._list.pop(0) if self._list else Fault.NONE), True
        return (fault if failing else Fault.NONE), late_ms
