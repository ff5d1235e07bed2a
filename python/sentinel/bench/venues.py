"""The gate by venue and algorithm: what rendering and signing each venue's request costs."""

from __future__ import annotations

from contextlib import closing
from typing import Final

from .. import _bench
from .gate import BLOCK, POOL
from .machine import pinned
from .result import Result, percentile, summarise
from .suite import Settings
from .world import CONSTRAINTS, DESKS, make_world

__all__ = ["run"]

ALGORITHM: Final = {
    "ed25519": "Ed25519",
    "hmac_sha256": "HMAC-SHA256",
    "ecdsa_secp256k1": "ECDSA",
}


def label_of(desk: str, nonces: str) -> str:
    """Such as "Binance spot, Ed25519, nonces made ahead"."""
    venue, algorithm = desk.split(".")
    words = [venue.replace("_", " ").capitalize(), ALGORITHM[algorithm]]
    if nonces:
        words.append({"pool": "nonces made ahead", "spot": "nonces on the spot"}[nonces])
    return ", ".join(words)


def run(settings: Settings) -> Result:
    """Every desk in turn, in blocks. Raises what making an engine raises."""
    result = Result(
        suite="venues",
        title="the gate by venue and algorithm",
        rounds=settings.rounds,
        pinned_to=pinned(),
    )
    with (
        make_world(list(DESKS), instruments=100) as world,
        closing(world.open("spot")) as spot,
        closing(world.open("pool", nonces=POOL)) as pool,
    ):
        lanes: dict[str, _bench.Gate] = {}
        for desk in DESKS:
            has_nonces = not desk.endswith("hmac_sha256")
            for nonces, engine in {"spot": spot, "pool": pool}.items():
                if nonces == "spot" or has_nonces:
                    name = f"{desk}.{nonces}" if has_nonces else desk
                    lanes[name] = world.gate(engine, desk, name)
        times = _bench.measure(
            [*lanes.values(), _bench.Timer()],
            settings.rounds,
            min(settings.rounds, 1_000),
            lambda done: settings.progress(done / settings.rounds),
            block=BLOCK,
        )
    timer = percentile(sorted(times["timer"]), 0.5)
    for name, lane in lanes.items():
        desk, _, nonces = name.rpartition(".") if name.count(".") == 2 else (name, "", "")
        label = label_of(desk, nonces)
        result.rows.append(summarise(name, label, times[name], timer=timer, group="ours"))
        result.facts.setdefault("signed_bytes", {})[name] = len(lane.request)
    result.facts |= {"timer_ns": timer, "constraints": CONSTRAINTS, "instruments": 100}
    return result
