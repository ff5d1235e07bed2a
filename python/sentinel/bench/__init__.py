"""What a guarded signature costs, beside what a user would pick instead.

    from sentinel import bench

    result = bench.run("gate", rounds=20_000)      # a throw-away engine in a temporary directory
    result.row("ed25519.pool-write").p50           # nanoseconds

`zcp bench` is this as a command; ``bench/README.md`` of the source tree has the method of each
suite.
"""

from __future__ import annotations

from typing import Any

from .peer import Peer, PeerMissing
from .result import Curve, Result, Row, Show, percentile
from .suite import INSTALL, SUITES, Connect, Settings, Suite, chosen, run_suite

__all__ = [
    "INSTALL",
    "SUITES",
    "Connect",
    "Curve",
    "Peer",
    "PeerMissing",
    "Result",
    "Row",
    "Settings",
    "Show",
    "Suite",
    "chosen",
    "percentile",
    "run",
    "run_suite",
]


def run(suite: str, **settings: Any) -> Result:
    """One suite by name; settings as the fields of `Settings`.

    Raises UsageError for an unknown suite, and what the suite raises.
    """
    (found,) = chosen([suite])
    return run_suite(found, Settings(**settings))
