"""Engines for tests: a small trading firm with keys whose secrets the tests know."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sentinel import Message, Place, PolicyDenied
from sentinel._enums import Algorithm, Environment, Purpose, Venue
from sentinel.audit import restore
from sentinel.config import Created, KeyFile, create_engine, public_keys
from sentinel.order import from_json
from sentinel.policy import stable_id
from sentinel.sign import Signer

PASSPHRASE = b"correct horse"
API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
HMAC_SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
SECOND = 10**9

POLICY = """\
version: 1
firm:
  name: firm
  allow:
    actions: [place, cancel, cancel_all, query, withdraw, message]
  max_value: 10k USD
  groups:
    desk:
      daily_limit: 50k USD
      rate: {limit: 100/s, each: true}
      price_collar: {within: 5 %, max_age: 1h}
      max_quantity: {BTCUSDT: 0.5}
      agents:
        maker: {}
        taker: {rolling: {cap: 20k USD, window: 1h}}
  agents:
    notes: {allow: {actions: [message]}, rate: 5/min}
    treasurer: {destinations: [cold]}
destinations:
  cold: {network: ETH, address: "0x99ced129603abc771c0dabe935c326ff6c86645d"}
assets:
  USDT: {par: 1 USD}
  BTC: {}
networks:
  ETH: {asset: USDT}
instruments:
  BTCUSDT: {venue: binance_spot, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}
  ETHBTC: {venue: binance_spot, base: BTC, quote: BTC, tick: 0.00001, lot: 0.001}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
  spot: {venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}
attempts: {limit: 10000/s}
"""

LIMIT = {
    "action": "place",
    "instrument": "BTCUSDT",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "quantity": "0.01",
    "price": "65000.10",
}
MARKS = {"BTCUSDT": "65000"}


@dataclass(frozen=True, slots=True)
class Made:
    """An engine on disk."""

    directory: Path
    created: Created
    now_ns: int

    def open(self, now_ns: int | None = None, durability: str = "write") -> Signer:
        return Signer.open(
            self.directory, passphrase=PASSPHRASE, durability=durability, now_ns=now_ns
        )


def make_engine(
    directory: Path,
    *,
    policy: str | None = POLICY,
    environment: Environment = Environment.TEST,
    now_ns: int | None = None,
) -> Made:
    """A new engine; with `policy`, one whose keys are imported and whose policy is loaded."""
    now = time.time_ns() if now_ns is None else now_ns
    created = create_engine(
        directory, PASSPHRASE, now_ns=now, environment=environment, segment_bytes=1 << 16
    )
    if policy is not None:
        import_spot_key(directory, lab=environment is Environment.LAB)
        with Signer.open(directory, passphrase=PASSPHRASE, now_ns=now) as signer:
            signer.load_policy(policy, now_ns=now)
            signer.close(now)
    return Made(directory, created, now)


def facts(directory: Path) -> dict[str, Any]:
    """What the state says, in numbers that no layout changes."""
    state = restore(directory).state()
    return {
        "records": state.record_count,
        "epoch": state.epoch,
        "last_ns": state.last_now_ns,
        "last_hash": state.last_hash.hex(),
        "engine_id": state.engine_id.hex(),
    }


def import_spot_key(directory: Path, *, lab: bool = False) -> None:
    keys = KeyFile(directory / "keys" / "engine", PASSPHRASE)
    names = {key.info.id: key.name for key in public_keys(directory)}
    info = keys.ring.import_(
        stable_id("key", "spot"),
        Purpose.VENUE,
        Algorithm.HMAC_SHA256,
        HMAC_SECRET,
        venue=Venue.BINANCE_SPOT,
        api_key=API_KEY,
        lab=lab,
    )
    keys.save(names | {info.id: "spot"})


@dataclass(frozen=True, slots=True)
class Traded:
    """An engine that was used and closed, and one of its receipts."""

    made: Made
    receipt: dict[str, Any]
    signed: int
    denied: int


def trade(directory: Path) -> Traded:
    """Makes an engine and lets it sign, refuse, halt and start again."""
    made = make_engine(directory)
    with made.open() as signer:
        signer.feed_marks(MARKS)
        maker = signer.session("maker")
        first = maker.sign(LIMIT, reasons="the spread is wide")
        maker.sign({"action": "cancel", "target_action": first.action_id})
        with pytest.raises(PolicyDenied) as refused:
            maker.sign({**LIMIT, "quantity": "0.2"})
        signer.halt("a test of the switch", scope="desk")
        with pytest.raises(PolicyDenied):
            maker.sign(LIMIT)
        signer.resume("it works", scope="desk")
        receipt = signer.receipt(first.handle)
    with made.open() as signer:
        signer.session("notes").sign(Message(text="a second epoch"))
    assert refused.value.record is not None
    return Traded(made, receipt, first.handle.record, refused.value.record)


def limit(signer: Signer, **changes: Any) -> Place:
    """LIMIT with changes, as an order."""
    order = from_json({**LIMIT, **changes}, resolve=signer.resolve)
    assert isinstance(order, Place)
    return order
