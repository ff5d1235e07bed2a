from array import array
from collections.abc import Callable
from os import PathLike

STEPS: tuple[str, ...]

def measure(
    directory: str | PathLike[str],
    passphrase: bytes,
    agent: int,
    order: bytes,
    first_action_id: int,
    rounds: int,
    warm_up: int,
    progress: Callable[[int], None] | None = None,
) -> dict[str, array[int]]: ...
