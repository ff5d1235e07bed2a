"""Latency under an open load: orders come at fixed times, whatever the gate does meanwhile.

Each is timed from when it was due, so one that is late makes the next late, and all of that is seen
(no coordinated omission). The times go into an HDR histogram, which the results carry whole.
"""

from __future__ import annotations

from array import array
from contextlib import closing
from typing import Final

from hdrh.histogram import HdrHistogram

from .. import _bench
from .filling import filled
from .machine import pinned
from .result import CDF, Result, Row
from .suite import Settings
from .world import make_world

__all__ = ["run"]

DESK: Final = "binance_spot.ed25519"
RATES: Final = (1_000, 5_000, 10_000, 20_000)
RATES_FULL: Final = (1_000, 5_000, 10_000, 20_000, 50_000, 100_000)
SECONDS: Final = 1.0
SECONDS_FULL: Final = 10.0
CAPACITY: Final = 16_384
LOWEST_NS, HIGHEST_NS, DIGITS = 1, 60 * 10**9, 3


def histogram_of(times: array[int]) -> HdrHistogram:
    """With three significant digits, up to a minute."""
    histogram = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
    for value in times:
        histogram.record_value(max(value, LOWEST_NS))
    return histogram


def row_of(name: str, label: str, histogram: HdrHistogram) -> Row:
    """The row of a histogram."""

    def at(share: float) -> float:
        return float(histogram.get_value_at_percentile(100 * share))

    return Row(
        name=name,
        label=label,
        group="ours",
        count=histogram.get_total_count(),
        p50=at(0.5),
        p99=at(0.99),
        p999=at(0.999),
        max=float(histogram.get_max_value()),
        cdf=[(share, at(share)) for share in CDF],
    )


def run(settings: Settings) -> Result:
    """One rate behind the other, with nonces made ahead and without."""
    rates = RATES_FULL if settings.is_full else RATES
    seconds = SECONDS_FULL if settings.is_full else min(SECONDS, settings.rounds / 20_000)
    result = Result(
        suite="load",
        title="latency under an open load at fixed rates",
        rounds=0,
        pinned_to=pinned(),
    )
    result.facts["seconds_each"] = seconds
    done = 0
    with make_world([DESK]) as world:
        for kind, nonces in {"pool": CAPACITY, "spot": 0}.items():
            with closing(world.open(kind, log="mapped", nonces=nonces, is_filled=False)) as engine:
                gate = world.gate(engine, DESK, kind)
                _bench.measure([gate], min(settings.rounds, 1_000))
                for rate in rates:
                    count = max(int(rate * seconds), 1)
                    with filled(engine, settings.allowed):
                        times = _bench.offer(gate, rate, count)
                    histogram = histogram_of(times)
                    words = "nonces made ahead" if nonces else "nonces on the spot"
                    name = f"{kind}.{rate}"
                    label = f"{rate:,} orders a second, {words}"
                    result.rows.append(row_of(name, label, histogram))
                    encoded = histogram.encode()
                    result.facts.setdefault("hdr", {})[name] = (
                        encoded.decode() if isinstance(encoded, bytes) else str(encoded)
                    )
                    done += 1
                    settings.progress(done / (2 * len(rates)))
    return result
