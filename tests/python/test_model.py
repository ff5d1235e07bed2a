"""The core against the reference model.

Goal: core and model, both written from docs/2-policy.md, decide alike. Method: random policies and
steps biased to edges; a fixed seed per level, so that a failure repeats. SENTINEL_MODEL_STEPS sets
how many; SENTINEL_LONG=1 makes it 100,000. That the comparison would notice a mistake is shown by
`python -m tests.model.mutate`; here only that each of its mistakes can still be planted.
"""

from __future__ import annotations

import os

import pytest

from tests.model.compare import LEVELS, compare
from tests.model.mutate import CORE, mutated
from tests.model.mutations import MUTATIONS

LONG = os.environ.get("SENTINEL_LONG") == "1"
STEPS = int(os.environ.get("SENTINEL_MODEL_STEPS", "100000" if LONG else "5000"))


@pytest.mark.parametrize("level", LEVELS)
def test_core_and_model_decide_alike(level: str) -> None:
    counts = compare(level, STEPS // len(LEVELS), seed=1)
    assert counts["steps"] >= STEPS // len(LEVELS)
    assert counts["allowed"] > counts["decisions"] // 20, "the steps hardly ever pass policy"


def test_every_mutation_can_still_be_planted() -> None:
    assert len(MUTATIONS) >= 20
    for mutation in MUTATIONS:
        assert mutated(CORE / "src", mutation)
