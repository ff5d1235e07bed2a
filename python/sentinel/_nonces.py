"""A thread that keeps an engine's pools of nonces full."""

from __future__ import annotations

import threading
from typing import Final

from . import _core
from .errors import SentinelError

_PAUSE_S: Final = 0.001
"""How long it waits once all pools are full: ten signatures, at 10,000 a second."""


class Filler:
    """Fills batch by batch; the interpreter's lock is not held meanwhile."""

    def __init__(self, engine: _core.Engine) -> None:
        self._engine = engine
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to fill, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sentinel-nonces", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                made = self._engine.fill()
            except SentinelError:  # Closed, or forked: signatures are deterministic from here on.
                return
            if not made:
                self._ending.wait(_PAUSE_S)

    def stop(self) -> None:
        """Returns when nothing is being filled any more. Safe to call again."""
        self._ending.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
