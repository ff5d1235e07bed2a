"""An engine and the boots of its enclave, for the tests of its life."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_life import Engine, Machines


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path)
    yield made
    for machine in made.made:
        machine.end()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path)
    yield made
    made.end()
