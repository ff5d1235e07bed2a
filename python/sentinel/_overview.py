"""An engine's state in words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ._enums import Environment, Venue, label
from ._status import STATUS_TEXT
from ._status import Status as StatusCode
from ._stops import Stop, stops_of
from ._types import EngineState
from .config import Installed
from .policy import Policy


@dataclass(frozen=True, slots=True)
class Status:
    """An engine's state in words. `engine_halted` is why it halted itself, "" when it did not.

    `usable_until_ms`: by venue, when the last signature that adds risk stops being usable there,
    Unix milliseconds; no venue that was given none.
    `freshness` is "unproven" without a witness: nothing proves that no newer state ever was.
    """

    directory: str
    engine_id: bytes
    environment: str
    records: int
    epoch: int
    last_ns: int
    policy_version: int | None
    policy_hash: bytes
    engine_halted: str
    stops: tuple[Stop, ...]
    agents: Mapping[str, int]
    usable_until_ms: Mapping[str, int]
    freshness: str = "unproven"

    @property
    def halted(self) -> tuple[Stop, ...]:
        """The nodes that are halted, also by the end of a drain."""
        return tuple(s for s in self.stops if (s.scope, s.mode) == ("node", "halted"))


def usable_until_ms(state: EngineState) -> dict[str, int]:
    """By venue: when the last signature that adds risk stops being usable (`Status`)."""
    return {
        label(Venue(venue)): until for venue, until in enumerate(state.usable_until_ms) if until
    }


def status_of(
    installed: Installed, state: EngineState, policy: Policy | None, now_ns: int | None = None
) -> Status:
    """A state in words, with the policy's names."""
    names = {node.id: node.path for node in policy.nodes} if policy is not None else {}
    return Status(
        directory=str(installed.directory),
        engine_id=state.engine_id,
        environment=Environment(installed.environment).name.lower(),
        records=state.record_count,
        epoch=state.epoch,
        last_ns=state.last_now_ns,
        policy_version=policy.version if policy is not None else None,
        policy_hash=state.policy_hash,
        engine_halted=why_halted(state.halted) if state.halted else "",
        stops=stops_of(installed, state, policy, time.time_ns() if now_ns is None else now_ns),
        agents={names.get(row.node, str(row.node)): row.id_highest for row in state.agents},
        usable_until_ms=usable_until_ms(state),
    )


def why_halted(status: int) -> str:
    """Why an engine halted itself: the status behind it."""
    if status == StatusCode.USAGE_STATE:
        return "the clock stepped back by more than the tolerance"
    return STATUS_TEXT.get(status, f"status {status:#06x}")
