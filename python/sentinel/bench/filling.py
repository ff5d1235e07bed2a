"""A thread that keeps pools of nonces full, and a mapped log ahead, from another processor."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence

from .. import _bench

__all__ = ["Filled", "filled", "other_processor"]

IDLE_SECONDS = 0.001
"""How long it sleeps when all pools are full."""


class Filled:
    """What the thread did."""

    def __init__(self, processor: int | None) -> None:
        self.processor = processor
        """None: it shares the one that is measured."""
        self.made = 0
        self.cpu_ns = 0
        self.error: BaseException | None = None


def other_processor(allowed: Sequence[int]) -> int | None:
    """One that the measuring thread is not on; None where there is none."""
    free = sorted(set(allowed) - os.sched_getaffinity(0))
    return free[0] if free else None


@contextlib.contextmanager
def filled(engine: _bench.Engine, allowed: Sequence[int]) -> Iterator[Filled]:
    """Fills while the body runs. Raises what filling raises."""
    told, stop = Filled(other_processor(allowed)), threading.Event()

    def work() -> None:
        try:
            if told.processor is not None:
                os.sched_setaffinity(0, {told.processor})  # of this thread alone
            begin = _bench.thread_cpu_ns()
            while not stop.is_set():
                made = engine.fill()
                told.made += made
                if made == 0:
                    time.sleep(IDLE_SECONDS)
            told.cpu_ns = _bench.thread_cpu_ns() - begin
        except BaseException as error:
            told.error = error

    thread = threading.Thread(target=work, name="zcp-bench-filler")
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()
    if told.error is not None:
        raise told.error
