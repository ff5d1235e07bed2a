"""Types of the bindings of the C client (`_client.pyx`)."""

from collections.abc import Callable
from os import PathLike
from typing import Any, NamedTuple

class Facts(NamedTuple):
    """What is known of a session and of its last call."""

    engine_id: bytes
    epoch: int
    channel: int
    until_ns: int
    connects: int
    resent: int
    agent: int
    transport: int
    is_answer: bool
    is_resent: bool
    is_sent: bool
    is_ring: bool
    errno: int

class Connection:
    """One client of the C library; `refused` makes the exception of a status."""

    def __init__(
        self,
        address: str,
        refused: Callable[[int, Facts | None, int], Exception],
        *,
        role: int,
        agent: int = 0,
        key: int = 0,
        capsule: Any = None,
        key_in_ring: int = 0,
        pin: bytes | None = None,
        pin_file: str | PathLike[str] | None = None,
        engine_id: bytes | None = None,
        timeout_ns: int = 0,
        peer: bool = False,
        busy_poll: bool = False,
    ) -> None: ...
    def close(self) -> None: ...
    @property
    def facts(self) -> Facts: ...
    def door(self) -> object: ...
    def set_timeout(self, timeout_ns: int) -> None: ...
    def sign(self, order: bytes, action_id: int | None = None) -> tuple[bytes, bytes]: ...
    def call(self, request: int, payload: bytes = b"") -> bytes: ...
    def take(self, frame: bytes) -> bytes: ...
    def bundle(self, kind: int) -> bytes: ...
    def state(self, books: bool = False) -> bytes: ...
