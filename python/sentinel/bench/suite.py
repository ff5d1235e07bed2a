"""The suites of the benchmark, by name, and what they are told.

A suite is a module of this package with `run(settings) -> Result`. It is imported when it runs, so
that a package that one suite needs is not missed by another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from ..errors import UsageError
from .result import Result

__all__ = ["INSTALL", "SUITES", "Connect", "Settings", "Suite", "chosen", "run_suite"]

INSTALL: Final = "pip install 'zcp-sentinel[bench]'"


def _silent(share: float) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """A daemon that runs already, and who asks it."""

    address: str
    agent: str
    key: str
    pin: str
    key_id: str | int | None = None
    busy_poll: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every suite is told."""

    rounds: int = 20_000
    """How often each thing is timed; a suite of slow things takes fewer."""
    is_full: bool = False
    """Also what takes minutes."""
    records: int = 0
    """Of one more log that `audit` checks."""
    against: tuple[str, ...] = ()
    """A user's own signers (`peer.open_peer`)."""
    allowed: tuple[int, ...] = ()
    """Processors that helpers may run on beside the pinned one; empty: those of this process."""
    connect: Connect | None = None
    """`service`: times this daemon instead of one of its own."""
    progress: Callable[[float], None] = _silent
    """Told which share of the suite is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite; about how many seconds it takes, quick and full."""

    name: str
    title: str
    seconds: int
    seconds_full: int
    is_quick: bool = False
    """Part of what runs when nothing is named."""


SUITES: Final = {
    suite.name: suite
    for suite in (
        Suite("gate", "the whole gate and its steps, beside the bare libraries", 20, 60, True),
        Suite("venues", "the gate by venue and algorithm", 10, 60, True),
        Suite("pool", "sustained rate, and a pool of nonces that runs dry", 10, 30, True),
        Suite("load", "latency under an open load at fixed rates", 10, 120, True),
        Suite("growth", "how cost grows with agents, rules, lists and windows", 60, 300),
        Suite("audit", "verify and replay, by size of the log", 20, 600),
        Suite("python", "signing from Python", 15, 60),
        Suite("peers", "what a user would pick instead", 30, 120),
        Suite("service", "signing by a daemon: a ring, a Unix socket", 110, 110),
        Suite("deciding", "policy alone, beside Cedar and Rego", 15, 60),
    )
}


def chosen(names: list[str]) -> list[Suite]:
    """The suites of these names, in their order; "all": every one; none: the quick ones.

    Raises UsageError for an unknown name.
    """
    for name in names:
        if name not in SUITES and name != "all":
            raise UsageError(
                f"there is no suite {name!r}", next_step=f"name all, or one of {', '.join(SUITES)}"
            )
    if "all" in names:
        return list(SUITES.values())
    return [s for s in SUITES.values() if (s.name in names if names else s.is_quick)]


def run_suite(suite: Suite, settings: Settings) -> Result:
    """Runs one. Where a package of the extra `bench` is missing, the result says what to install.

    Raises what the suite raises.
    """
    try:
        module = import_module(f".{suite.name}", __package__)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sentinel"):
            raise  # ours is never somebody's to install
        package = (error.name or "").partition(".")[0]
        return Result(
            suite=suite.name,
            title=suite.title,
            missing=[f"{suite.name}: the package {package!r} is not installed: {INSTALL}"],
        )
    result: Result = module.run(settings)
    return result
