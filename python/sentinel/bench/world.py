"""Throw-away engines to measure: keys, policy, marks and orders of a made-up firm.

Their keys sign for nobody and are removed with the directory, so the risk that nonces made ahead
bring (a copy of the running machine) is no risk here, and the benchmark accepts it by itself.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .. import _bench
from .._enums import (
    Algorithm,
    Environment,
    MarginMode,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
    Venue,
)
from .._policy_draft import stable_id
from ..config import KeyFile, create_engine
from ..order import Place
from ..sign import Signer

__all__ = ["CONSTRAINTS", "DESKS", "Desk", "World", "light_keys", "make_world"]

CONSTRAINTS: Final = 12
"""At three levels, four each, beside the kill switch."""

KECCAK_BLOCKS: Final = 4
"""Of one order on Hyperliquid: two of the action, one of the agent, one of what is signed."""

LIGHT: Final = (1, 8192)
"""The least that Argon2id takes."""
DURABILITY: Final = {"none": 1, "write": 2, "fsync": 3, "mapped": 4}


@dataclass(frozen=True, slots=True)
class Desk:
    """Who trades at one venue with one kind of key: a group of agents."""

    venue: Venue
    algorithm: Algorithm
    terms: str
    """Of each instrument, as the policy writes it."""
    key: str = ""
    """Of the key's row, beside venue and algorithm."""
    quantity: str = "0.1"
    margin: MarginMode | None = None

    @property
    def name(self) -> str:
        """Such as "binance_spot.ed25519"."""
        return f"{self.venue.name.lower()}.{self.algorithm.name.lower()}"


_SPOT: Final = "base: COIN, quote: USDT, tick: 0.1, lot: 0.001"
_LINEAR: Final = f"contract: linear, {_SPOT}"
_CHECKED: Final = "endpoint: checked, validity: 1s"

DESKS: Final = {
    desk.name: desk
    for desk in (
        Desk(Venue.BINANCE_SPOT, Algorithm.ED25519, _SPOT, _CHECKED),
        Desk(Venue.BINANCE_SPOT, Algorithm.HMAC_SHA256, _SPOT, _CHECKED),
        Desk(Venue.BINANCE_USDM, Algorithm.ED25519, _SPOT, _CHECKED),
        Desk(Venue.BINANCE_USDM, Algorithm.HMAC_SHA256, _SPOT, _CHECKED),
        Desk(Venue.BYBIT, Algorithm.HMAC_SHA256, _LINEAR, f"products: [linear], {_CHECKED}"),
        Desk(
            Venue.OKX,
            Algorithm.HMAC_SHA256,
            "contract: linear, base: COIN, quote: USDT, unit: contracts, multiplier: 0.01, "
            "tick: 0.1, lot: 1",
            quantity="10",
            margin=MarginMode.CROSS,
        ),
        Desk(
            Venue.DERIBIT,
            Algorithm.HMAC_SHA256,
            "contract: inverse, base: COIN, quote: USD, settle: COIN, unit: quote, "
            "tick: 0.1, lot: 1",
            quantity="10",
        ),
        Desk(
            Venue.HYPERLIQUID,
            Algorithm.ECDSA_SECP256K1,
            "contract: linear, base: COIN, quote: USDC, tick: 0.1, lot: 0.001",
        ),
    )
}


def instrument_name(venue: Venue, index: int) -> str:
    """Of a row of the policy."""
    return f"{venue.name}-{index}"


def price(index: int) -> int:
    """What an instrument is worth: each something else."""
    return 1_000 + index


def policy_text(desks: Sequence[Desk], instruments: int, agents: int) -> str:
    """Twelve constraints at three levels for each agent, and `instruments` for each venue."""
    venues = sorted({desk.venue for desk in desks})
    lines = [
        "version: 1",
        "firm:",
        "  name: bench",
        f"  allow: {{actions: [place], venues: [{', '.join(v.name.lower() for v in venues)}]}}",
        "  max_value: 100k USD",
        "  daily_limit: 100B USD",
        "  groups:",
    ]
    for desk in desks:
        names = ", ".join(instrument_name(desk.venue, i) for i in range(instruments))
        lines += [
            f"    {desk.name}:",
            f"      allow: {{instruments: [{names}], order_types: [limit], sides: [buy, sell]}}",
            "      price_collar: {within: 2 %, max_age: 30 day}",
            "      agents:",
        ]
        for agent in range(agents):
            lines += [
                f"        {desk.name}-{agent}:",
                "          allow: {times_in_force: [gtc]}",
                "          max_value: 50k USD",
                "          rolling: {cap: 100B USD, window: 1h}",
                "          rate: 1000/s",
            ]
    lines += [
        "assets:",
        "  USD: {decimals: 2, par: 1 USD}",
        "  USDT: {decimals: 6, par: 1 USD}",
        "  USDC: {decimals: 6, par: 1 USD}",
        "  COIN: {decimals: 8}",
        "instruments:",
    ]
    terms = {desk.venue: desk.terms for desk in desks}
    for venue, term in terms.items():
        for i in range(instruments):
            index = f", index: {i}" if venue is Venue.HYPERLIQUID else ""
            lines.append(
                f"  {instrument_name(venue, i)}: {{venue: {venue.name.lower()}, "
                f"symbol: C{i}USDT, {term}{index}}}"
            )
    lines.append("keys:")
    for desk in desks:
        more = f", {desk.key}" if desk.key else ""
        lines.append(
            f"  {desk.name}: {{venue: {desk.venue.name.lower()}, "
            f"algorithm: {desk.algorithm.name.lower()}, for: bench/{desk.name}{more}}}"
        )
    # A machine whose clock is set in a run would halt its engines.
    lines += ["marks: {max_age: 30 day}", "clock: {tolerance: 1h}"]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class World:
    """An engine's directory that is complete but not open."""

    directory: Path
    passphrase: bytes
    now_ns: int
    agents: dict[str, list[int]]
    """Ids, by desk."""
    orders: dict[str, list[bytes]]
    """Packed, one for each instrument, by desk."""

    def open(
        self, copy: str = "", *, log: str = "write", now_ns: int = 0, **options: Any
    ) -> _bench.Engine:
        """Becomes the writer; `copy`: of a copy of the directory with this name.

        `now_ns`: where its time goes on, if it was open before.
        Options as those of `_bench.Engine`.
        """
        place = self.directory
        if copy:
            place = place.with_name(copy)
            shutil.copytree(self.directory, place)
        return _bench.Engine(
            place, self.passphrase, now_ns or self.now_ns, durability=DURABILITY[log], **options
        )

    def gate(self, engine: _bench.Engine, desk: str, name: str, **options: Any) -> _bench.Gate:
        """A lane: agents and instruments of a desk, drawn at random."""
        return _bench.Gate(engine, self.agents[desk], self.orders[desk], name=name, **options)


@contextlib.contextmanager
def light_keys(is_light: bool = True) -> Iterator[None]:
    """These keys guard nothing: a passphrase need not cost half a second. Not: as for others."""
    before = os.environ.pop("ZCP_LIGHT_KEYS", None)
    if is_light:
        os.environ["ZCP_LIGHT_KEYS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("ZCP_LIGHT_KEYS", None)
        if before is not None:
            os.environ["ZCP_LIGHT_KEYS"] = before


def _lighten(path: Path, passphrase: bytes) -> KeyFile:
    """Seals a key file again so that opening it is cheap: these keys guard nothing."""
    file = KeyFile(path, passphrase)
    path.write_bytes(file.ring.seal(passphrase, opslimit=LIGHT[0], memlimit=LIGHT[1]))
    return KeyFile(path, passphrase)


def make_keys(file: KeyFile, desks: Sequence[Desk]) -> None:
    """A fresh key for each desk, under its name."""
    names = {stable_id("key", name): name for name in ("identity", "message")}
    for desk in desks:
        key = stable_id("key", desk.name)
        account = "" if desk.venue is Venue.HYPERLIQUID else f"bench-{secrets.token_hex(8)}"
        file.ring.generate(key, Purpose.VENUE, desk.algorithm, venue=desk.venue, api_key=account)
        if desk.venue is Venue.OKX:
            file.ring.set_passphrase(key, secrets.token_hex(8))
        names[key] = desk.name
    file.save(names)


def make_order(desk: Desk, instrument: int, index: int, agent: int) -> bytes:
    """A limit order one thousandth off the mark, packed."""
    order = Place(
        instrument=instrument,
        side=Side.BUY if index % 2 else Side.SELL,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=desk.quantity,
        price=f"{price(index)}.5",
        margin_mode=desk.margin,
    )
    return order.pack(agent=agent, action_id=1)


@contextlib.contextmanager
def make_world(
    desks: Sequence[str],
    *,
    instruments: int = 500,
    agents: int = 8,
    environment: Environment = Environment.TEST,
) -> Iterator[World]:
    """An engine with these desks (of DESKS) in a temporary directory, which is removed.

    `environment`: LIVE where test networks lack what is measured. Raises what making one raises.
    """
    rows = [DESKS[name] for name in desks]
    light = light_keys(environment is Environment.TEST)  # a live engine refuses such keys
    with tempfile.TemporaryDirectory(prefix="zcp-bench-") as place, light:
        directory, passphrase = Path(place) / "engine", secrets.token_hex(16).encode()
        create_engine(directory, passphrase, now_ns=time.time_ns(), environment=environment)
        _lighten(directory / "keys" / "authority", passphrase)
        make_keys(_lighten(directory / "keys" / "engine", passphrase), rows)
        with Signer.open(directory, passphrase=passphrase) as signer:
            signer.load_policy(policy_text(rows, instruments, agents))
            signer.feed_marks(
                {
                    instrument_name(venue, i): str(price(i))
                    for venue in {desk.venue for desk in rows}
                    for i in range(instruments)
                },
                assets={"COIN": "1000"},
            )
            policy = signer.policy
            ids = {
                desk.name: [policy.agent(f"{desk.name}-{i}").id for i in range(agents)]
                for desk in rows
            }
            orders = {
                desk.name: [
                    make_order(
                        desk,
                        policy.instrument(instrument_name(desk.venue, i)).id,
                        i,
                        ids[desk.name][0],
                    )
                    for i in range(instruments)
                ]
                for desk in rows
            }
        yield World(directory, passphrase, time.time_ns(), ids, orders)
