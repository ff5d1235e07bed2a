"""The whole gate and each of its steps, beside the bare libraries on the same bytes.

In turn, BLOCK calls each: the gate with each algorithm, its nonces computed on the spot and taken
from a pool, once whole and once with the clock noted at the end of each step; then each bare
library over what the gate signed last. Agent and instrument are drawn at random each time. The
first call of each block finds caches that others used: those have rows of their own ("cold").
"""

from __future__ import annotations

from array import array
from contextlib import closing
from typing import Final

from .. import _bench
from .._bench import STEPS
from .machine import pinned
from .result import Result, Show, percentile, summarise
from .suite import Settings
from .world import CONSTRAINTS, KECCAK_BLOCKS, World, make_world

__all__ = ["run"]

TITLE: Final = "the whole gate and its steps, beside the bare libraries"
DESK_OF: Final = {
    "ed25519": "binance_spot.ed25519",
    "ecdsa": "hyperliquid.ecdsa_secp256k1",
    "hmac": "binance_spot.hmac_sha256",
}
ALGORITHM: Final = {
    "ed25519": "Ed25519 (Binance)",
    "ecdsa": "ECDSA (Hyperliquid, its Keccak included)",
    "hmac": "HMAC-SHA256 (Binance)",
}
STEP_LABEL: Final = {
    "decode": "decode: form, look-ups, key",
    "policy": "policy: every constraint",
    "render": "render: the venue's request",
    "reserve": "reserve: windows, id, book",
    "sign": "sign",
    "record": "record: hash, chain, append",
}
BARE: Final = {
    "bare.ed25519": ("ed25519", "ed25519", "libsodium Ed25519, the same bytes"),
    "bare.ecdsa": ("ecdsa", "ecdsa", "libsecp256k1 ECDSA, the same digest"),
    "bare.openssl_ed25519": ("openssl_ed25519", "ed25519", "OpenSSL Ed25519, the same bytes"),
    "bare.openssl_ecdsa": ("openssl_ecdsa", "ecdsa", "OpenSSL ECDSA, the same digest"),
    "bare.sha256": ("sha256", "ed25519", "SHA-256 of the same bytes"),
    "bare.keccak": ("keccak", "ecdsa", "Keccak-256 of one block"),
}
HASHES: Final = ("bare.sha256", "bare.keccak")
LOGS: Final = ("write", "mapped")
"""Kinds of log; the shows are about the last."""
POOL: Final = 4096
BLOCK: Final = 128
"""Calls of one lane behind each other: enough that most find their own caches."""
STEPS_TOLERANCE: Final = 0.10
"""How many of the steps' medians may be missing from, or too many for, the gate's."""


def lanes_of(world: World, engines: dict[str, _bench.Engine]) -> list[_bench.Lane]:
    """All that one round times, in its order."""
    gates: list[_bench.Lane] = []
    sources: dict[str, _bench.Gate] = {}
    for copy, engine in engines.items():
        for algorithm, desk in DESK_OF.items():
            if algorithm == "hmac" and "pool" in copy:
                continue  # HMAC has no nonce.
            name = f"{algorithm}.{copy}"
            sources[algorithm] = world.gate(engine, desk, name)
            gates.append(sources[algorithm])
            gates.append(world.gate(engine, desk, f"{name}.traced", is_traced=True))
    bare = [_bench.Bare(kind, sources[of], name=name) for name, (kind, of, _) in BARE.items()]
    return [*gates, *bare, _bench.Timer()]


def label_of(name: str) -> str:
    """For people, of "ed25519.pool-write" and its like."""
    algorithm, copy = name.split(".")
    nonces, log = copy.split("-")
    words = [ALGORITHM[algorithm]]
    if algorithm != "hmac":
        words.append("nonces made ahead" if nonces == "pool" else "nonces on the spot")
    words.append({"write": "pwrite", "mapped": "mapped log"}[log])
    return ", ".join(words)


def rows_of(result: Result, times: dict[str, array[int]]) -> None:
    """A row for each array: each gate with its steps, then the libraries."""
    timer = percentile(sorted(times["timer"]), 0.5)
    result.facts["timer_ns"] = timer

    def add(name: str, label: str, group: str, values: array[int]) -> None:
        result.rows.append(summarise(name, label, values, timer=timer, group=group))

    for name, values in times.items():
        if name in BARE:
            add(name, BARE[name][2], "hash" if name in HASHES else "bare", values)
        elif name.count(".") == 1:
            add(name, label_of(name), "ours", values)
            if len(values) > BLOCK:
                add(f"{name}.cold", "first after others ran", "cold", values[::BLOCK])
            for step in STEPS:
                add(f"{name}.{step}", STEP_LABEL[step], "step", times[f"{name}.traced.{step}"])
    result.rows.append(
        summarise("timer", "reading the clock, taken off all", times["timer"], group="timer")
    )


def shows_of(result: Result) -> None:
    """The ratios that were promised, each with its bound."""
    bare = {name: result.row(f"bare.{name}").p50 for name in ("ed25519", "ecdsa")}
    log = LOGS[-1]
    for algorithm, bound in (("ed25519", 0.14), ("ecdsa", 0.11)):
        library = BARE[f"bare.{algorithm}"][2].partition(",")[0]
        pool, spot = (result.row(f"{algorithm}.{kind}-{log}") for kind in ("pool", "spot"))
        keccak = 0.0
        what = "gate"
        if algorithm == "ecdsa":  # Its hash is the venue's; the library is given the digest.
            keccak = KECCAK_BLOCKS * result.row("bare.keccak").p50
            whole = f"gate, Keccak and all, over bare {library}, nonces made ahead"
            result.shows.append(Show(name="1", what=whole, value=pool.p50 / bare[algorithm]))
            what += f" less its {KECCAK_BLOCKS} blocks of Keccak"
        what += f" over bare {library}, nonces "
        ahead, now = ((row.p50 - keccak) / bare[algorithm] for row in (pool, spot))
        result.shows += [
            Show(name="1", what=f"{what}made ahead", value=ahead, bound=bound),
            Show(name="1", what=f"{what}on the spot", value=now, bound=1.1),
            Show(
                name="1",
                what=f"p99.9 over p50 of that gate ({algorithm}), nonces made ahead",
                value=pool.p999 / pool.p50,
                bound=3,
            ),
        ]
    hmac = result.row(f"hmac.spot-{log}").p50
    policy = result.row(f"ed25519.pool-{log}.policy").p50
    result.shows += [
        Show(
            name="2",
            what="gate with HMAC-SHA256 over bare libsodium Ed25519",
            value=hmac / bare["ed25519"],
            bound=0.12,
        ),
        Show(
            name="4",
            what=f"its step policy, {CONSTRAINTS} constraints (alone: suite deciding)",
            value=policy,
            unit="ns",
        ),
    ]


def steps_over_gate(result: Result, lane: str) -> float:
    """The sum of the steps' medians over the median of the gate that was not traced."""
    steps = sum(result.row(f"{lane}.{step}").p50 for step in STEPS)
    return steps / result.row(lane).p50


def run(settings: Settings) -> Result:
    """Measures `settings.rounds` rounds. Raises what making an engine raises."""
    result = Result(suite="gate", title=TITLE, rounds=settings.rounds, pinned_to=pinned())
    with make_world(list(DESK_OF.values())) as world:
        engines = {}
        for log in LOGS:
            engines[f"spot-{log}"] = world.open(f"spot-{log}", log=log)
            engines[f"pool-{log}"] = world.open(f"pool-{log}", log=log, nonces=POOL)
        lanes = lanes_of(world, engines)
        times = _bench.measure(
            lanes,
            settings.rounds,
            min(settings.rounds, 1_000),
            lambda done: settings.progress(done / settings.rounds),
            block=BLOCK,
        )
        missed = 0
        for name, engine in engines.items():
            with closing(engine):
                missed += engine.nonces.missed if name.startswith("pool") else 0
        result.facts["signed_bytes"] = {
            lane.name: len(lane.request) for lane in lanes if isinstance(lane, _bench.Gate)
        }
    result.facts["nonces_missed"] = missed
    result.facts["constraints"] = CONSTRAINTS
    result.facts["instruments"] = len(world.orders[DESK_OF["ed25519"]])
    result.facts["agents"] = len(world.agents[DESK_OF["ed25519"]])
    rows_of(result, times)
    shows_of(result)
    for name in (f"{algorithm}.spot-{log}" for algorithm in DESK_OF for log in LOGS):
        result.facts[f"steps_over_gate.{name}"] = round(steps_over_gate(result, name), 4)
    return result
