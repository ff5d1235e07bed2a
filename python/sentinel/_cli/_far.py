"""The engine behind a daemon, as far as a session with the role "command" sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import _core
from .._types import BookEntry, EngineState, PositionState
from ..audit import Record
from ..config import Installed
from ..errors import AuditError

if TYPE_CHECKING:
    from ..client import Client

_NOWHERE: Final = Path("/dev/null/engine")
"""Nothing can be there, so what is only in an engine's directory is not found."""


class FarInstalled(Installed):
    """What can be asked for; reasons' texts and people's names stay in the engine's directory."""

    def __init__(self, client: Client) -> None:
        self.directory = _NOWHERE
        self.engine_id = client.installed.engine_id
        self.environment = client.installed.environment
        self._client = client

    def bundle(self, digest: bytes) -> bytes:
        """A bundle that was taken, by its hash. Raises StorageError."""
        return self._client.file(f"bundles/{digest.hex()}")

    def record(self, number: int) -> Record:
        """One record. Raises AuditError."""
        for found in self._client.records(number):
            return found
        raise AuditError(f"there is no record {number}")


class FarGate:
    """State, positions and orders at one moment. `has_book`: the orders came, too."""

    def __init__(self, client: Client) -> None:
        raw = client.installed.state_bytes()
        self.state: EngineState
        self.state, self._feeders = _core.state_of(raw)
        self._entries, self._positions = _core.book_of(raw)
        self.has_book = self._entries is not None

    def book(self) -> tuple[tuple[BookEntry, ...], tuple[PositionState, ...]]:
        """As a gate has it."""
        return self._entries or (), self._positions

    def feeders(self) -> dict[int, int]:
        """As a gate has it."""
        return self._feeders
