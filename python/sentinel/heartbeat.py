"""Heartbeats of an agent: signed with its own key, beaten by a thread, and true about the loop.

    from sentinel import Signer
    from sentinel.heartbeat import AgentKey, Heartbeat

    key = AgentKey.open("maker.key", passphrase=secret)
    with Signer.open("engine") as signer, Heartbeat(signer, "desk/maker", key) as heart:
        for tick in heart.over(ticks):
            trade(signer, tick)

The thread beats on when the loop hangs, and each beat says since when the iteration runs: the
policy's `heartbeat` then stops the agent by progress. docs/2-policy.md, "Heartbeats".
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from . import _core
from ._enums import Power
from ._frame import FrameKind, parse_authority, unsafe_parse_frame
from ._layout import attach_proofs, frame_hash
from ._layout import heartbeat as heartbeat_part
from ._log import writer_is_alive
from ._overview import beat_rules
from ._own_key import OwnKey
from .config import Installed
from .errors import KeyFileError, SentinelError, UsageError
from .sign import Signer

if TYPE_CHECKING:
    from ._service import Service
    from .client import Client

__all__ = ["AgentKey", "Heartbeat"]

T = TypeVar("T")

_EVERY_SECONDS: Final = 1.0
_BEATS_PER_SILENCE: Final = 3


class AgentKey(OwnKey):
    """An agent's own key, from its key file (`zcp authority keygen`)."""

    def frame(
        self,
        installed: Installed | Service,
        agent: int,
        iterations: int,
        running_since_ns: int,
        *,
        sequence: int,
        now_ns: int,
    ) -> bytes:
        """A signed heartbeat of the agent with this node id.

        Raises KeyFileError when the authority in force does not name this key as the agent's.
        """
        held = parse_authority(
            unsafe_parse_frame(installed.authority(), FrameKind.AUTHORITY).payload
        )
        for id_, (powers, _, public) in held.keys.items():
            own = powers >> Power.AGENT & 1 and held.nodes.get(id_) == agent
            if own and public in self._keys.ids:
                terms = installed.terms(sequence, now_ns)
                part = heartbeat_part(agent, iterations, running_since_ns, terms)
                signature = self._keys.sign(public, FrameKind.FEED, frame_hash(part))
                return attach_proofs(part, [(id_, signature)])
        raise KeyFileError(
            f"{self.path}: the engine's authority does not name this key as the agent's own",
            cause="it was not added, or was rotated, or is another agent's",
            next_step="zcp authority draft --agent FILE.pub:PATH, then sign and submit it",
        )


class Heartbeat:
    """Beats for one agent from a thread, and tells how far its loop is.

    `engine` is the agent's own Signer, its `sentinel.client.Client` of a daemon, or the engine's
    directory when another process is the writer: then each beat goes through the spool, and none
    while no writer is there. `every`:
    seconds between beats; default a third of the shortest silence that the policy allows the
    agent, else one second. What the last beat of the thread met is in `error`.
    """

    def __init__(
        self,
        engine: Signer | Client | str | PathLike[str],
        agent: str | int,
        key: AgentKey,
        *,
        every: float | None = None,
    ) -> None:
        self._signer: Signer | Client | None = None
        self._installed: Installed | Service
        if isinstance(engine, str | PathLike):
            self._directory = Path(engine)
            self._installed = Installed(self._directory)
        else:
            self._signer, self._installed = engine, engine.installed
        policy = self._installed.policy()
        node = policy.agent(agent)
        silences = [rule.window_ns for rule in beat_rules(policy, node.id)]
        default = min(silences, default=0) / _BEATS_PER_SILENCE / 1e9 or _EVERY_SECONDS
        self.every = default if every is None else every
        if self.every <= 0:
            raise UsageError("the time between two heartbeats is above 0 seconds")
        self.agent = node.id
        self.error: SentinelError | None = None
        self._key = key
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._iterations = 0
        self._since_ns = 0
        self._sequence = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    # ---- The loop ---------------------------------------------------------

    @contextlib.contextmanager
    def iteration(self) -> Iterator[None]:
        """One round of the agent's loop. It counts as done however it ends."""
        with self._lock:
            self._since_ns = time.time_ns()
        try:
            yield
        finally:
            with self._lock:
                self._iterations += 1
                self._since_ns = 0

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items; what is done with each is an iteration, waiting for the next is none."""
        for item in items:
            with self.iteration():
                yield item

    # ---- Beating ----------------------------------------------------------

    def beat(self, now_ns: int | None = None) -> None:
        """One heartbeat now. Raises what the engine says of it."""
        with self._sending:
            now = time.time_ns() if now_ns is None else now_ns
            with self._lock:
                iterations, since = self._iterations, min(self._since_ns, now)
            self._sequence = max(now, self._sequence + 1)
            frame = self._key.frame(
                *(self._installed, self.agent, iterations, since),
                sequence=self._sequence,
                now_ns=now,
            )
            if self._signer is not None:
                self._signer.take(frame, now_ns=now)
            elif writer_is_alive(self._directory):
                _core.spool_submit(self._directory, frame)

    def start(self) -> None:
        """Beats at once, raising what is wrong with that, and from then on from a thread."""
        self.beat()
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; the agent is silent from now on. Safe to call again."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._ended.wait(self.every):
            try:
                self.beat()
                self.error = None
            except SentinelError as error:
                self.error = error  # The next may be taken; the policy judges the silence.
