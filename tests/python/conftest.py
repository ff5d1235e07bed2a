"""Fixtures of the Python tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Argon2id at its least: only engines of the environments test and lab take it.
os.environ["ZCP_LIGHT_KEYS"] = "1"
for name in ("ZCP_DIR", "ZCP_PASSPHRASE_FILE"):
    os.environ.pop(name, None)


@pytest.fixture
def engine(tmp_path: Path) -> object:
    """A trading engine of the environment test."""
    from engines import make_engine

    return make_engine(tmp_path / "engine")


@pytest.fixture
def signer(engine: Any) -> Iterator[Any]:
    """The engine, open, with marks."""
    from engines import MARKS

    with engine.open() as opened:
        opened.feed_marks(MARKS)
        yield opened


@pytest.fixture
def maker(signer: Any) -> Any:
    """The session of the agent that most tests sign as."""
    return signer.session("maker")


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory) -> object:
    """An engine that was used and closed, for tests that only read it."""
    from engines import trade

    return trade(tmp_path_factory.mktemp("traded") / "engine")


@pytest.fixture
def place(tmp_path: Path, engine: object) -> Path:
    """A witness directory; `engine` is pinned, and needs this witness."""
    from witness_desk import make_witness

    return make_witness(tmp_path / "witness", engine)
