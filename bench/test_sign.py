"""Signing, compared by hand: `pytest bench/` (pytest-benchmark). Not a part of CI.

pytest bench/ --benchmark-save=before
pytest bench/ --benchmark-compare=before --benchmark-compare-fail=median:10%
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from sentinel import Signer, _bench
from sentinel.bench.world import DESKS, World, make_world
from sentinel.order import unpack

DESK = "binance_spot.ed25519"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with make_world(list(DESKS), instruments=100, agents=4) as made:
        yield made


@pytest.mark.parametrize("nonces", [0, 4096], ids=["on_the_spot", "made_ahead"])
@pytest.mark.parametrize("desk", DESKS)
def test_gate(benchmark: Any, world: World, desk: str, nonces: int) -> None:
    """A hundred calls of the gate in C; pools are filled before each hundred."""
    options = {"nonces": nonces, "is_filled": False}
    with closing(world.open(f"{desk}-{nonces}", log="mapped", **options)) as engine:
        gate = world.gate(engine, desk, "gate")

        def fill() -> None:
            while engine.fill():
                pass

        benchmark.pedantic(
            lambda: _bench.measure([gate], 100), setup=fill, rounds=50, warmup_rounds=5
        )


def test_session_sign(benchmark: Any, world: World) -> None:
    """`Session.sign`, nonces made ahead."""
    with Signer.open(
        world.directory, passphrase=world.passphrase, nonces=4096, accept_snapshot_risk=True
    ) as signer:
        session = signer.session(world.agents[DESK][0])
        orders = itertools.cycle([unpack(packed).order for packed in world.orders[DESK]])
        times = itertools.count(time.time_ns(), 1_250_000)
        benchmark.pedantic(
            lambda: session.sign(next(orders), now_ns=next(times)), rounds=2_000, warmup_rounds=100
        )


@pytest.mark.parametrize("kind", _bench.Bare.KINDS)
def test_bare(benchmark: Any, kind: str) -> None:
    """A hundred calls of a bare library in C, over 256 bytes."""
    benchmark.pedantic(_bench.measure, ([_bench.Bare(kind)], 100), rounds=50, warmup_rounds=5)
