"""A ladder of limit orders, made in NumPy and signed in one call.

    python examples/ladder.py engine --agent maker --instrument BTCUSDT --price 64990.00

The engine's policy has to know the agent and the instrument, and a mark has to be fed. What is
refused is counted by its reason; it keeps nothing else from being signed.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from sentinel import Place, Signer
from sentinel._record import Verdict
from sentinel.errors import SentinelError
from sentinel.order import OrderType, Side, TimeInForce, dtype, rows


def main() -> None:
    """Signs a ladder of bids, each a step below the one before."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", help="an engine")
    parser.add_argument("--agent", required=True)
    parser.add_argument("--instrument", required=True)
    parser.add_argument("--price", required=True, help="of the first bid, such as 64990.00")
    parser.add_argument("--quantity", default="0.001")
    parser.add_argument("--step", type=int, default=10, help="in the last digit of --price")
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()

    with Signer.open(arguments.directory) as signer:
        session = signer.session(arguments.agent)
        bid = Place(
            instrument=signer.resolve("instrument", arguments.instrument),
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=arguments.quantity,
            price=arguments.price,
        )
        # So many copies of the struct; then only what differs. 64990.00 is 6499000 and 2 digits.
        ladder = np.frombuffer(rows(bid, arguments.count), dtype=dtype(Place))
        ladder["price"]["mantissa"] -= arguments.step * np.arange(arguments.count)
        batch = session.sign_many(ladder)

        answers, text = np.asarray(batch), batch.text  # nothing is copied
        for row in answers[answers["verdict"] == Verdict.ALLOWED][:3]:
            query = bytes(text[row["query_at"] :][: row["query_size"]])
            print(f"record {row['record']}: {query[:72].decode()}…")
        refused = Counter(str(one) for one in batch if isinstance(one, SentinelError))
        print(f"signed {batch.allowed} of {len(batch)}")
        for reason, count in refused.items():
            print(f"{count} {reason}")


if __name__ == "__main__":
    main()
