"""Nonces made ahead: who may have them, and the thread that makes them and a mapped log's pages."""

from __future__ import annotations

import threading
from typing import Final

from . import _core
from ._status import Status
from .errors import SentinelError, UsageError

_PAUSE_S: Final = 0.001
"""How long it waits once all pools are full: ten signatures, at 10,000 a second. A mapped log's 1
MiB is used up in that time by a million records a second."""

_AGAIN_S: Final = 1.0
"""How long it waits after a failure."""


def check_nonces(capacity: int, accept_snapshot_risk: bool) -> None:
    """Raises UsageError where nonces are asked for unaccepted, or not as many as a pool has."""
    is_pool = 64 <= capacity <= 1 << 20 and capacity & (capacity - 1) == 0
    if bool(capacity) != accept_snapshot_risk or (capacity and not is_pool):
        raise UsageError(
            f"nonces: {capacity} {'with' if accept_snapshot_risk else 'without'}"
            " accept_snapshot_risk",
            cause="two copies of a running machine would sign with the same nonces",
            next_step="give nonces, a power of two from 64 to 1048576, and"
            " accept_snapshot_risk=True, where nobody copies it; else neither",
        )


class Filler:
    """Calls the engine's `fill` again and again; the interpreter's lock is not held meanwhile."""

    def __init__(self, engine: _core.Engine) -> None:
        self._engine = engine
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self.error: SentinelError | None = None

    def start(self) -> None:
        """Begins to fill, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sentinel-ahead", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                made = self._engine.fill()
            except SentinelError as error:
                self.error = error
                if error.status in (Status.USAGE_STATE, Status.KEY_WIPED):
                    return  # Closed, or forked.
                self._ending.wait(_AGAIN_S)  # Signatures are deterministic meanwhile.
                continue
            self.error = None
            if not made:
                self._ending.wait(_PAUSE_S)

    def end(self) -> None:
        """Lets the thread end by itself."""
        self._ending.set()

    def stop(self) -> None:
        """Returns when nothing is being filled any more. Safe to call again."""
        self.end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
