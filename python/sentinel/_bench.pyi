from array import array
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

from ._client import Connection
from ._types import Nonces

STEPS: tuple[str, ...]

def thread_cpu_ns() -> int: ...
def process_cpu_ns() -> int: ...
def openssl_version() -> str: ...
def sodium_version() -> str: ...

class Lane:
    name: str
    def why(self) -> BaseException: ...

class Timer(Lane):
    def __init__(self, *, name: str = "timer") -> None: ...

class Call(Lane):
    def __init__(
        self,
        function: Callable[[Any], object],
        argument: object = None,
        *,
        name: str,
        prepare: Callable[[], object] | None = None,
    ) -> None: ...

class Engine:
    def __init__(
        self,
        directory: str | PathLike[str],
        passphrase: bytes,
        now_ns: int,
        *,
        step_ns: int = 1_250_000,
        nonces: int = 0,
        durability: int = 2,
        snapshot_every: int = 0,
        state_bytes: int = 0,
        is_filled: bool = True,
        first_action_id: int = 1,
    ) -> None: ...
    def close(self) -> None: ...
    def fill(self) -> int: ...
    def take(self, frame: bytes) -> None: ...
    @property
    def now_ns(self) -> int: ...
    @property
    def nonces(self) -> Nonces: ...

class Gate(Lane):
    def __init__(
        self,
        engine: Engine,
        agents: Sequence[int],
        orders: Sequence[bytes],
        *,
        name: str = "gate",
        is_traced: bool = False,
        nodes: Sequence[int] | None = None,
    ) -> None: ...
    @property
    def request(self) -> bytes: ...
    @property
    def constraints(self) -> int: ...

class Bare(Lane):
    KINDS: tuple[str, ...]
    def __init__(self, kind: str, source: Gate | None = None, *, name: str = "") -> None: ...

class Service(Lane):
    def __init__(
        self, connection: Connection, orders: Sequence[bytes], *, name: str = "service"
    ) -> None: ...

class Echo(Lane):
    def __init__(self, fd: int, out: int, back: int, *, name: str = "echo") -> None: ...

def echo(fd: int, out: int, back: int) -> None: ...
def measure(
    lanes: Sequence[Lane],
    rounds: int,
    warm_up: int = 0,
    progress: Callable[[int], None] | None = None,
    *,
    block: int = 1,
) -> dict[str, array[int]]: ...
def offer(
    lane: Lane,
    per_second: float,
    count: int,
    progress: Callable[[int], None] | None = None,
) -> array[int]: ...

class Policy:
    def __init__(self, engine: Engine, agent: int, environment: int) -> None: ...
    def decide(self, order: bytes | bytearray | memoryview) -> int: ...
    @property
    def constraints(self) -> int: ...

class Judge(Lane):
    def __init__(
        self, policies: Sequence[Policy], orders: Sequence[bytes], *, name: str = "policy"
    ) -> None: ...
    @property
    def constraints(self) -> int: ...
