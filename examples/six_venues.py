"""The six venues of the session, on this machine: servers that check and answer as the venues do.

They stand in tests/venues/ and import nothing of the package. Here they get what a venue knows of a
customer: the public halves of its keys (of HMAC keys the secret), its instruments, their marks.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Self

from sentinel import _core
from sentinel._enums import Algorithm, Contract, Purpose, Venue, label
from sentinel._policy_draft import stable_id
from sentinel.config import KeyFile
from sentinel.policy import Policy
from sentinel.sign import SignedOrder
from sentinel.submit import Clock, ExecutionReport, Submitter
from tests.venues.binance_spot import BinanceSpot
from tests.venues.binance_usdm import BinanceUsdm
from tests.venues.bybit import Bybit
from tests.venues.deribit import Deribit
from tests.venues.hyperliquid import Hyperliquid
from tests.venues.loopback import Instrument, Key, LoopbackVenue
from tests.venues.okx import Okx

SERVERS: dict[Venue, Callable[..., LoopbackVenue]] = {
    Venue.BINANCE_SPOT: BinanceSpot,
    Venue.BINANCE_USDM: BinanceUsdm,
    Venue.BYBIT: Bybit,
    Venue.OKX: Okx,
    Venue.DERIBIT: Deribit,
    Venue.HYPERLIQUID: partial(Hyperliquid, mainnet=True),
}
#: Name, venue and algorithm of the keys that firm.yaml grants. They are made here, for one run.
KEYS = (
    ("spot-hmac", Venue.BINANCE_SPOT, Algorithm.HMAC_SHA256),
    ("usdm-ed25519", Venue.BINANCE_USDM, Algorithm.ED25519),
    ("treasury-ed25519", Venue.BINANCE_SPOT, Algorithm.ED25519),
    ("bybit-hmac", Venue.BYBIT, Algorithm.HMAC_SHA256),
    ("bybit-wallet", Venue.BYBIT, Algorithm.HMAC_SHA256),
    ("okx-hmac", Venue.OKX, Algorithm.HMAC_SHA256),
    ("okx-wallet", Venue.OKX, Algorithm.HMAC_SHA256),
    ("deribit-hmac", Venue.DERIBIT, Algorithm.HMAC_SHA256),
    ("deribit-wallet", Venue.DERIBIT, Algorithm.HMAC_SHA256),
    ("hyperliquid-master", Venue.HYPERLIQUID, Algorithm.ECDSA_SECP256K1),
    ("hyperliquid-agent", Venue.HYPERLIQUID, Algorithm.ECDSA_SECP256K1),
)
MASTER = "hyperliquid-master"


def make_keys(file: KeyFile) -> dict[Venue, list[Key]]:
    """Adds fresh keys to an engine; what each venue is told of them."""
    told: dict[Venue, list[Key]] = {venue: [] for venue in SERVERS}
    names = {stable_id("key", name): name for name in ("identity", "message")}
    account = ""
    for name, venue, algorithm in KEYS:
        id_ = stable_id("key", name)
        names[id_] = name
        purpose = Purpose.VENUE_MASTER if name == MASTER else Purpose.VENUE
        if algorithm is Algorithm.ECDSA_SECP256K1:
            # An agent's key acts for the account, which is its master's address.
            info = file.ring.generate(id_, purpose, algorithm, venue=venue, api_key=account)
            address = _core.key_address(info.public_key)
            told[venue].append(Key(address, account=account))
            account = account or address
            continue
        api_key, secret = f"test-{secrets.token_hex(8)}", secrets.token_hex(32).encode()
        if algorithm is Algorithm.ED25519:
            info = file.ring.generate(id_, purpose, algorithm, venue=venue, api_key=api_key)
            told[venue].append(Key(api_key, ed25519_public=info.public_key))
            continue
        file.ring.import_(id_, purpose, algorithm, secret, venue=venue, api_key=api_key)
        passphrase = ""
        if venue is Venue.OKX:
            passphrase = secrets.token_hex(8)
            file.ring.set_passphrase(id_, passphrase)
        told[venue].append(Key(api_key, hmac_secret=secret, passphrase=passphrase))
    file.save(names)
    return told


def listing(policy: Policy, venue: Venue) -> list[Instrument]:
    """The venue's instruments: what the policy says of them must be what the venue says."""
    rows = []
    for row in policy.instruments.values():
        if row.venue is venue:
            tick, lot = (Decimal(m).scaleb(-scale) for m, scale in (row.tick, row.lot))
            category = {
                Venue.HYPERLIQUID: "perp",
                Venue.OKX: "swap" if row.contract is not Contract.SPOT else "spot",
            }.get(venue, label(row.contract))
            rows.append(
                Instrument(row.symbol, tick, lot, Decimal(1), category, row.venue_index, row.lot[1])
            )
    return rows


class SessionClock(Clock):
    """The session's own time, for the submitter and for the venues."""

    is_own = True

    def __init__(self, now_ms: int) -> None:
        """Begins at a time, Unix milliseconds."""
        self.ms = now_ms

    def now_ms(self) -> int:
        """Where the session is."""
        return self.ms


class SixVenues:
    """The servers and the one who sends to them."""

    def __init__(
        self, keys: Mapping[Venue, list[Key]], policy: Policy, clock: SessionClock
    ) -> None:
        """They start when the context is entered."""
        self.clock = clock
        self.reports: Counter[tuple[str, str]] = Counter()
        self.cancels: Counter[str] = Counter()
        self._symbols = {name: (row.venue, row.symbol) for name, row in _by_name(policy).items()}
        self.servers = {
            venue: server(keys=keys[venue], instruments=listing(policy, venue), now_ms=clock.now_ms)
            for venue, server in SERVERS.items()
        }
        self._stack = ExitStack()
        self._submitter: Submitter | None = None

    def __enter__(self) -> Self:
        for server in self.servers.values():
            self._stack.enter_context(server)
        endpoints = {label(venue): server.url for venue, server in self.servers.items()}
        self._submitter = self._stack.enter_context(
            Submitter(endpoints=endpoints, clock=self.clock, http2=False)
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def move(self, marks: Mapping[str, str]) -> None:
        """The venues' prices follow the marks that the engine is fed."""
        for name, price in marks.items():
            venue, symbol = self._symbols[name]
            self.servers[venue].marks[symbol] = Decimal(price)

    def send(self, signed: SignedOrder, session: Any) -> ExecutionReport:
        """Sends one order. Raises what `Submitter.submit` raises."""
        assert self._submitter is not None
        report = self._submitter.submit(signed, session=session)
        self.reports[label(signed.venue), report.status.name.lower()] += 1
        return report

    def ask(self, signed: SignedOrder, session: Any, number: str = "") -> ExecutionReport:
        """Asks what became of one. Raises what `Submitter.ask` raises."""
        assert self._submitter is not None
        return self._submitter.ask(signed, session=session, venue_order_id=number)

    def counts(self) -> dict[str, dict[str, int]]:
        """By venue: requests, accepted, refused, and what was seen twice."""
        return {
            label(venue): {
                "requests": server.requests,
                "accepted": server.accepted.total(),
                "refused": server.refused.total(),
                "duplicates": server.duplicates.total(),
            }
            for venue, server in self.servers.items()
        }


def _by_name(policy: Policy) -> dict[str, Any]:
    return {row.name: row for row in policy.instruments.values()}


def engine_keys(directory: Path, passphrase: bytes) -> dict[Venue, list[Key]]:
    """Makes the keys of an engine; what the venues are told."""
    return make_keys(KeyFile(directory / "keys" / "engine", passphrase))
