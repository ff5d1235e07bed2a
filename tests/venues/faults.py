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
    DELAYED = enum.auto()  # accepted after the client gave up and asked once


FAULTS = tuple(fault for fault in Fault if fault is not Fault.NONE)


class Schedule:
    """One fault a request, in the order in which requests come.

    An integer is a seed: `rate` of the requests fail, each in a way drawn from it. A list is taken
    as it is; after its end nothing fails.
    """

    def __init__(self, plan: int | Iterable[Fault], *, rate: float = 0.4, late_s: float = 0.02):
        self.late_s = late_s  # the longest that DELAYED waits for a next request
        self._random = random.Random(plan) if isinstance(plan, int) else None
        self._list = [] if isinstance(plan, int) else list(plan)
        self._rate = rate

    def next(self) -> Fault:
        if self._random is None:
            return self._list.pop(0) if self._list else Fault.NONE
        # Both are drawn each time, so that a fault's number depends on nothing but the seed.
        failing, fault = self._random.random() < self._rate, self._random.choice(FAULTS)
        return fault if failing else Fault.NONE
