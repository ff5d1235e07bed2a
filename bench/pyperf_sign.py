#!/usr/bin/env python3
"""Signing from Python, timed by pyperf in processes of its own: the published figures.

    python bench/pyperf_sign.py -o sign.json     # all of pyperf's options
    python -m pyperf stats sign.json

The guarded calls judge, record (pwrite) and sign with nonces made ahead, which a thread fills
meanwhile; PyNaCl and coincurve sign the same number of bytes and do nothing else.
"""

from __future__ import annotations

import atexit
import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack

import coincurve
import nacl.signing
import pyperf

from sentinel import Signer
from sentinel.bench.world import make_world
from sentinel.order import unpack

NONCES = 65_536
MESSAGE = bytes(range(256))


def guarded(stack: ExitStack, desk: str) -> Callable[[], object]:
    """`Session.sign` of a desk's orders, one behind the other."""
    world = stack.enter_context(make_world([desk], instruments=100, agents=1))
    signer = stack.enter_context(
        Signer.open(
            world.directory,
            passphrase=world.passphrase,
            durability="write",
            nonces=NONCES,
            accept_snapshot_risk=True,  # a throw-away key
        )
    )
    while (pools := signer.nonces).ready < pools.capacity:
        time.sleep(0.01)
    session = signer.session(world.agents[desk][0])
    orders = itertools.cycle([unpack(packed).order for packed in world.orders[desk]])
    times = itertools.count(time.time_ns(), 1_250_000)
    return lambda: session.sign(next(orders), now_ns=next(times))


def main() -> None:
    """Each in a process of its own, several of them."""
    runner = pyperf.Runner(min_time=0.02)  # a worker's calls empty no pool
    runner.metadata["description"] = "signing from Python"
    stack = ExitStack()
    atexit.register(stack.close)
    for name, desk in {
        "sentinel_sign_ed25519": "binance_spot.ed25519",
        "sentinel_sign_ecdsa": "hyperliquid.ecdsa_secp256k1",
        "sentinel_sign_hmac": "binance_spot.hmac_sha256",
    }.items():
        made: list[Callable[[], object]] = []

        def call(desk: str = desk, made: list[Callable[[], object]] = made) -> object:
            if not made:  # in the worker that times it, not in all of them
                made.append(guarded(stack, desk))
            return made[0]()

        runner.bench_func(name, call)
    ed25519 = nacl.signing.SigningKey(bytes(range(32)))  # a test key
    ecdsa = coincurve.PrivateKey(bytes(range(1, 33)))  # a test key
    runner.bench_func("pynacl_sign", ed25519.sign, MESSAGE)
    runner.bench_func("coincurve_sign_recoverable", ecdsa.sign_recoverable, MESSAGE)


if __name__ == "__main__":
    main()
