"""A trading agent in Python: asks for signatures, and learns from what is refused.

    zcp init --dir engine
    python examples/agent.py engine

It signs two messages, the one action that a new engine allows, and then asks for an order, which
nothing in the first policy allows. What a refusal says is all that the agent needs to go on.
"""

from __future__ import annotations

import argparse

from sentinel import CancelAll, Message, PolicyDenied, Signer
from sentinel.order import Venue


def main() -> None:
    """Signs, is refused, and says what would help."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", help="an engine, as `zcp init` makes it")
    parser.add_argument("--agent", default="agent")
    arguments = parser.parse_args()

    with Signer.open(arguments.directory) as signer:
        session = signer.session(arguments.agent)
        for text in ("hello", "market opens"):
            signed = session.sign(Message(text=text), reasons="the demonstration asks for it")
            print(
                f"signed   {text!r}: {signed.signature.hex()[:32]}…  record {signed.handle.record}"
            )
        try:
            session.sign(CancelAll(venue=Venue.BINANCE_SPOT))
        except PolicyDenied as denied:
            print(denied.diagnostics())


if __name__ == "__main__":
    main()
