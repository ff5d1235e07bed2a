"""What scripts/enclave_test.sh has built, and one booted enclave for the tests that only look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from nitro_qemu import Enclave

ROLE = "arn:aws:iam::123456789012:role/tests-only"
INSTANCE = "i-0123456789abcdef0"


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder with the images: `probe`, and `release`."""
    return Path(os.environ["SENTINEL_ENCLAVE"])


@pytest.fixture(scope="session")
def probe(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enclave]:
    """An enclave whose daemon is the probe."""
    image, folder = built / "probe" / "sentinel.eif", tmp_path_factory.mktemp("probe")
    with Enclave(image, folder, parent_role=ROLE, parent_id=INSTANCE) as enclave:
        enclave.wait_started()
        yield enclave
