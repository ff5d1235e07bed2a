#!/usr/bin/env python3
"""What a witness costs an order, by the size of its grant; and what a crash may hide.

    PYTHONPATH=python:tests/python bench/witness_grants.py [ORDERS] [--json]

A throw-away engine signs messages; the witness is another process on the loopback with its
directory on the same disk (a temporary directory: put TMPDIR on the disk that counts). What is
timed is Session.sign, the asking included. What a crash may hide is the grant: so many records.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from engines import PASSPHRASE, POLICY, make_engine
from test_witness import LIGHT, name_witness

from sentinel import Message, Signer
from sentinel import _witness_store as store
from sentinel.witness import Server

GRANTS = (1, 10, 100, 1000)


def serve(place: Path, records: int, pipe: Any) -> None:
    """The witness's process: sends its address and serves until it is ended."""
    server = Server(store.Witness(place, PASSPHRASE, records, 1_000_000), "127.0.0.1:0")
    pipe.send(f"http://127.0.0.1:{server.server_address[1]}")
    server.serve_forever()


def timed(directory: Path, url: str | None, orders: int) -> dict[str, float]:
    """Microseconds of one signature: p50, p99 and mean."""
    with Signer.open(directory, passphrase=PASSPHRASE, witness=url) as signer:
        session = signer.session("maker")
        times = []
        for _ in range(orders):
            began = time.perf_counter_ns()
            session.sign(Message(text="x"))
            times.append((time.perf_counter_ns() - began) / 1000)
    cuts = statistics.quantiles(times, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "mean": statistics.fmean(times)}


def measure(orders: int) -> dict[str, dict[str, float]]:
    """By the size of the grant; "none": an engine that needs no witness."""
    policy = POLICY.replace("limit: 100/s", "limit: 100000/s")
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        made = make_engine(Path(name, "engine"), policy=policy)
        results["none"] = timed(made.directory, None, orders)
        place = Path(name, "witness")
        person = store.init(place, "witness", PASSPHRASE, LIGHT)
        store.pin(place, (made.directory / "genesis").read_bytes())
        name_witness(made, person, time.time_ns())
        for records in GRANTS:
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.Process(target=serve, args=(place, records, theirs))
            process.start()
            try:
                results[str(records)] = timed(made.directory, ours.recv(), orders)
            finally:
                process.terminate()
                process.join()
    return results


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("orders", type=int, nargs="?", default=2000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    results = measure(options.orders)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print("| records of a grant | p50, µs | p99, µs | mean, µs |\n|---:|---:|---:|---:|")
    for records, row in results.items():
        print(f"| {records} | {row['p50']:,.0f} | {row['p99']:,.0f} | {row['mean']:,.0f} |")


if __name__ == "__main__":
    main()
