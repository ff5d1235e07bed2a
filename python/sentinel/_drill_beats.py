"""Heartbeats of a drill's agents, where the policy wants them and their keys are here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from ._enums import Power
from ._frame import FrameKind
from ._layout import attach_proofs, frame_hash
from ._layout import heartbeat as heartbeat_part
from ._overview import beat_rules
from ._people import Public, SigningKeys
from .config import Installed
from .errors import SentinelError

_BEATS_PER_SILENCE: Final = 4


@dataclass(frozen=True, slots=True)
class Beats:
    """One agent that must beat, and its own key."""

    path: str
    agent: int
    id: int
    public_key: bytes
    keys: SigningKeys = field(repr=False)
    every_s: float

    def frame(self, installed: Installed, sequence: int, now_ns: int) -> bytes:
        """A signed heartbeat; no iteration runs."""
        part = heartbeat_part(self.agent, 0, 0, installed.terms(sequence, now_ns))
        proof = self.keys.sign(self.public_key, FrameKind.FEED, frame_hash(part))
        return attach_proofs(part, [(self.id, proof)])


def must_beat(public: Public, path: str) -> bool:
    """Whether a rule wants heartbeats of an agent."""
    policy = public.policy
    return policy is not None and bool(beat_rules(policy, policy.agent(path).id))


def beats_of(public: Public, keys: Sequence[SigningKeys]) -> list[Beats]:
    """The agents that must beat and whose own keys are among these."""
    found: list[Beats] = []
    policy = public.policy
    for id_, node in public.authority.nodes.items():
        powers, _, public_key = public.authority.keys[id_]
        paths = [one.path for one in policy.agents if one.id == node] if policy else []
        held = [one for one in keys if public_key in one.ids]
        rules = beat_rules(policy, node) if paths else []
        if powers >> Power.AGENT & 1 and held and rules:
            every = min(rule.window_ns for rule in rules) / _BEATS_PER_SILENCE / 1e9
            found.append(Beats(paths[0], node, id_, public_key, held[0], every))
    return found


@contextmanager
def beating(beat: Callable[[], None], beats: Sequence[Beats]) -> Iterator[None]:
    """Beats at once, and from a thread while something else is the writer."""
    if not beats:
        yield
        return
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(min(one.every_s for one in beats)):
            with suppress(SentinelError):  # The next may be taken; the policy judges the silence.
                beat()

    beat()
    thread = threading.Thread(target=run, name="drill-beats", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
