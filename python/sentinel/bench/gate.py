"""Where the time of one guarded signature goes, beside the bare libraries in the same run.

    from sentinel import bench

    report = bench.run(rounds=20_000)          # a throw-away engine in a temporary directory
    report.row("gate").p50                     # nanoseconds

Every round times the whole gate once untraced and once with the clock noted at each step's end,
then one bare Ed25519 signature (libsodium) and one bare ECDSA signature (libsecp256k1), both over
256 bytes: the four are interleaved, so that what disturbs one disturbs all. The log is written
with ``pwrite`` (durability ``write``). The process should be pinned to one core.
"""

from __future__ import annotations

import os
import platform
import secrets
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from .._bench import STEPS, measure
from .._enums import Algorithm, OrderType, Purpose, Side, TimeInForce, Venue
from .._policy_draft import stable_id
from ..config import KeyFile, create_engine
from ..order import Place
from ..sign import Signer

__all__ = ["Report", "Row", "percentile", "run"]

#: How many of the steps' medians may be missing from, or too many for, the gate's median.
STEPS_TOLERANCE = 0.10

#: Twelve constraints at three levels, beside the kill switch: all that this order meets.
POLICY: Final = """\
version: 1
firm:
  name: bench
  allow: {actions: [place], venues: [binance_spot]}
  max_value: 100k USD
  daily_limit: 1B USD
  rate: 100000/min
  cancel_rate: 1000/min
  groups:
    desk:
      allow: {instruments: [BTCUSDT], order_types: [limit], sides: [buy, sell]}
      price_collar: {within: 2 %, max_age: 1h}
      agents:
        agent:
          allow: {times_in_force: [gtc]}
          max_quantity: {BTCUSDT: 5}
          rolling: {cap: 1B USD, window: 1h}
assets:
  USDT: {decimals: 6, par: 1 USD}
  BTC: {decimals: 8}
instruments:
  BTCUSDT: {venue: binance_spot, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}
keys:
  bench: {venue: binance_spot, algorithm: ALGORITHM, for: bench, endpoint: checked}
marks: {max_age: 1h}
"""

ROUNDS_MAX: Final = 45_000
"""Each round signs twice, and the policy's rate limit holds 100,000 a minute."""

LABELS = {
    "decode": "decode: form, look-ups, key",
    "policy": "policy: every constraint",
    "render": "render: the venue's request",
    "reserve": "reserve: windows, id, book",
    "sign": "sign",
    "record": "record: hash, chain, pwrite",
    "gate": "whole gate",
    "traced": "whole gate, steps timed",
    "ed25519": "bare libsodium Ed25519",
    "ecdsa": "bare libsecp256k1 ECDSA",
    "timer": "the timer itself",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Percentiles of one thing that was timed, in nanoseconds."""

    name: str
    label: str
    p50: int
    p99: int
    p999: int
    max: int


@dataclass(frozen=True, slots=True)
class Report:
    """One run: what was timed, on what, and whether the steps add up."""

    rows: tuple[Row, ...]
    rounds: int
    constraints: int
    algorithm: str
    machine: str
    pinned_to: tuple[int, ...]
    steps_over_gate: float

    def row(self, name: str) -> Row:
        """The row of this name. Raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def steps_add_up(self) -> bool:
        """Whether the sum of the steps' medians is the gate's median within STEPS_TOLERANCE."""
        return abs(self.steps_over_gate - 1) <= STEPS_TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """The report as plain data; times in nanoseconds."""
        return asdict(self) | {"steps_add_up": self.steps_add_up}


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` of an ascending sequence does not exceed."""
    rank = -(-int(share * 1_000_000) * len(ordered) // 1_000_000)
    return ordered[max(rank, 1) - 1]


def summarise(name: str, times: array[int]) -> Row:
    """The row of one array of nanoseconds."""
    ordered = sorted(times)
    p50, p99, p999 = (percentile(ordered, share) for share in (0.50, 0.99, 0.999))
    return Row(name, LABELS[name], p50, p99, p999, ordered[-1])


def machine() -> str:
    """The processor's name, as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def report(times: dict[str, array[int]], *, constraints: int, algorithm: str) -> Report:
    """Turns the arrays of `sentinel._bench.measure` into a report."""
    rows = {name: summarise(name, values) for name, values in times.items()}
    steps = sum(rows[step].p50 for step in STEPS)
    order = (*STEPS, "gate", "traced", "ed25519", "ecdsa", "timer")
    return Report(
        rows=tuple(rows[name] for name in order),
        rounds=len(times["gate"]),
        constraints=constraints,
        algorithm=algorithm,
        machine=machine(),
        pinned_to=tuple(sorted(os.sched_getaffinity(0))),
        steps_over_gate=steps / rows["gate"].p50,
    )


def run(
    *,
    rounds: int = 20_000,
    warm_up: int = 1_000,
    algorithm: Algorithm = Algorithm.ED25519,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Measures with a throw-away engine in a temporary directory, and removes it.

    `rounds`: 1 to ROUNDS_MAX. `progress` is told how many are done. Raises ValueError for other
    rounds or an algorithm that Binance does not take, and what making an engine raises.
    """
    if not 1 <= rounds <= ROUNDS_MAX:
        raise ValueError(f"rounds: {rounds} is not within 1 to {ROUNDS_MAX:,}")
    if algorithm not in (Algorithm.ED25519, Algorithm.HMAC_SHA256):
        raise ValueError("algorithm: Binance takes ed25519 and hmac_sha256")
    with tempfile.TemporaryDirectory(prefix="zcp-bench-") as place:
        directory, passphrase = Path(place) / "engine", secrets.token_hex(16).encode()
        create_engine(directory, passphrase, now_ns=time.time_ns())
        keys = KeyFile(directory / "keys" / "engine", passphrase)
        key = stable_id("key", "bench")
        keys.ring.generate(key, Purpose.VENUE, algorithm, venue=Venue.BINANCE_SPOT, api_key="bench")
        keys.save({key: "bench"})
        with Signer.open(directory, passphrase=passphrase) as signer:
            signer.load_policy(POLICY.replace("ALGORITHM", algorithm.name.lower()))
            signer.feed_marks({"BTCUSDT": "65000.00"})
            agent, instrument = signer.session("agent").agent, signer.policy.instrument("BTCUSDT")
        order = Place(
            instrument=instrument.id,
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity="0.00100",
            price="64990.10",
        )
        times = measure(
            directory, passphrase, agent, order.pack(agent=agent, action_id=1), 1, rounds, warm_up,
            progress,
        )  # fmt: skip
    return report(times, constraints=12, algorithm=algorithm.name.lower())
