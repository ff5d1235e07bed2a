"""Fixtures of the Python tests."""

from __future__ import annotations

import os
from pathlib import Path

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
