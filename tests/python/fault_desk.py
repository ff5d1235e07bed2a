"""A desk on six venues, its submitter, and a time of its own: what a fault schedule needs.

Engine, submitter and loopback venue see the same clock. Waiting moves it and takes no time, and on
its way it stops at each moment at which a delayed request comes in. All keys are test keys.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines import PASSPHRASE as KEY_FILE_PASSPHRASE
from engines import Made, make_engine
from venue_fakes import ACCOUNT, AGENT, API_KEY, PASSPHRASE, SECRET, VENUES, make

from sentinel._enums import Action, Algorithm, Purpose, Venue
from sentinel.config import KeyFile, public_keys
from sentinel.errors import NotSent, OutcomeUnknown, UnknownOrder, VenueRefused
from sentinel.policy import stable_id
from sentinel.sign import Session, SignedOrder, Signer
from sentinel.submit import ExecutionReport, Submitter
from tests.venues.bybit import Bybit
from tests.venues.faults import Schedule
from tests.venues.loopback import Accepted, LoopbackVenue

POLICY = """\
version: 1
firm:
  name: firm
  allow: {actions: [place, amend, cancel, query]}
  max_value: 100k USD
  rate: 10000/s
  agents: {trader: {}}
assets:
  USD: {par: 1 USD}
  USDT: {par: 1 USD}
  USDC: {par: 1 USD}
  BTC: {}
  ETH: {}
instruments:
  binance_spot:
    {venue: binance_spot, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}
  binance_usdm:
    {venue: binance_usdm, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.10, lot: 0.001}
  bybit:
    {venue: bybit, contract: linear, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.10,
     lot: 0.001}
  okx: {venue: okx, contract: spot, symbol: BTC-USDT, base: BTC, quote: USDT, tick: 0.1,
        lot: 0.00001}
  deribit:
    {venue: deribit, contract: inverse, symbol: BTC-PERPETUAL, base: BTC, quote: USD, settle: BTC,
     unit: quote, tick: 0.5, lot: 10}
  hyperliquid:
    {venue: hyperliquid, contract: linear, symbol: ETH, index: 1, base: ETH, quote: USDC,
     tick: 0.1, lot: 0.0001}
keys:
  binance_spot: {venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}
  binance_usdm: {venue: binance_usdm, algorithm: hmac_sha256, for: firm, endpoint: checked}
  bybit:
    {venue: bybit, algorithm: hmac_sha256, for: firm, products: [linear], endpoint: checked}
  okx: {venue: okx, algorithm: hmac_sha256, for: firm, products: [spot]}
  deribit: {venue: deribit, algorithm: hmac_sha256, for: firm, products: [inverse]}
  hyperliquid:
    {venue: hyperliquid, algorithm: ecdsa_secp256k1, for: firm, products: [linear]}
marks: {max_age: 1h}
attempts: {limit: 100000/s}
book: {entries: 65536}
"""
MARKS = dict.fromkeys(VENUES, "65000") | {"hyperliquid": "3000"}
# How orders of one schedule differ from each other: each has a quantity of its own.
QUANTITIES = {
    "binance_spot": lambda number: f"0.{number:05d}",
    "binance_usdm": lambda number: f"0.{number:03d}",
    "bybit": lambda number: f"0.{number:03d}",
    "okx": lambda number: f"0.{number:05d}",
    "deribit": lambda number: str(10 * number),
    "hyperliquid": lambda number: f"0.{100 + number:04d}",
}
PRICES = dict.fromkeys(VENUES, ("64000", "64500")) | {"hyperliquid": ("2950", "2975")}
NO_AMENDS = {"binance_spot"}
CHANGES = ("place", "amend", "cancel")
TIMEOUT_S = 0.015
# Longer than the longest window (Deribit's minute), so that hardly a fate stays unknown.
DEADLINE_S = 120.0
# Beyond every window: what has not come in by then never will.
AFTER_MS = 90_000


def make_desk(directory: Path, policy: str = POLICY) -> Made:
    """An engine in `test` with a key for each venue."""
    made = make_engine(directory, policy=None, now_ns=time.time_ns() - 3600 * 10**9)
    keys = KeyFile(directory / "keys" / "engine", KEY_FILE_PASSPHRASE)
    names = {key.info.id: key.name for key in public_keys(directory)}
    for name in VENUES:
        on_chain = name == "hyperliquid"
        info = keys.ring.import_(
            stable_id("key", name),
            Purpose.VENUE,
            Algorithm.ECDSA_SECP256K1 if on_chain else Algorithm.HMAC_SHA256,
            AGENT if on_chain else SECRET.encode(),
            venue=Venue[name.upper()],
            api_key=ACCOUNT if on_chain else API_KEY,
        )
        if name == "okx":
            keys.ring.set_passphrase(info.id, PASSPHRASE)
        names[info.id] = name
    keys.save(names)
    with Signer.open(directory, passphrase=KEY_FILE_PASSPHRASE, now_ns=made.now_ns) as signer:
        signer.load_policy(policy, now_ns=made.now_ns)
        signer.close(made.now_ns)
    return made


class DeskClock:
    """Time that passes when somebody waits for it."""

    is_own = True

    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000
        self.venue: LoopbackVenue | None = None

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def sleep(self, seconds: float) -> None:
        assert self.venue is not None
        end = self.ms + max(1, int(seconds * 1000))
        self.venue.settle()
        while (due := self.venue.next_due_ms()) is not None and due <= end:
            self.ms = max(self.ms, due)
            self.venue.settle()
        self.ms = end


@dataclass(slots=True)
class Sent:
    """One order that was handed to the submitter, and how that ended."""

    signed: SignedOrder
    target: Sent | None
    report: ExecutionReport | None = None
    error: Exception | None = None


def is_cancel(one: Sent) -> bool:
    return one.signed.action is Action.CANCEL


@dataclass(slots=True)
class Tally:
    """What the fault schedules show: the two zeros."""

    schedules: int = 0
    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    unknown: int = 0
    refused: int = 0
    lost: int = 0
    wrong: int = 0  # reported as accepted, and is not
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def line(self, name: str) -> str:
        return (
            f"{name:<13} {self.schedules} schedules, {sum(self.faults.values())} faults: "
            f"{self.sent} sent, {self.accepted} accepted, {self.duplicates} duplicates, "
            f"{self.unknown} unknown, {self.refused} not accepted, {self.lost} lost"
        )


class Desk:
    """One venue with its faults, one session, one submitter."""

    def __init__(
        self,
        signer: Signer,
        name: str,
        clock: DeskClock,
        submitter: type[Submitter] = Submitter,
    ) -> None:
        self.name, self.clock, self.signer = name, clock, signer
        self.venue = make(name, now_ms=clock.now_ms).start()
        clock.venue = self.venue
        self.session: Session = signer.session("trader")
        self.submitter = submitter(
            endpoints={name: self.venue.url},
            timeout_s=TIMEOUT_S,
            deadline_s=DEADLINE_S,
            clock=clock,
            http2=False,
        )
        self.tally = Tally()

    def close(self) -> None:
        self.submitter.close()
        self.venue.stop()

    def run(self, seed: int) -> list[str]:
        """One schedule; what is wrong with its outcome."""
        self.venue.forget()
        self.signer.feed_marks(MARKS, now_ns=self.clock.now_ms() * 1_000_000)
        self.venue.schedule = Schedule(seed, rate=0.45)
        if isinstance(self.venue, Bybit):
            self.venue.has_restarted = seed % 3 == 0
        sent = list(self._trade(random.Random(seed)))
        self.venue.schedule = Schedule([])
        self.clock.sleep(AFTER_MS / 1000)
        self.venue.settle()
        return self._judge(sent)

    def _trade(self, chance: random.Random) -> Iterator[Sent]:
        """A few orders: some placed, some of those amended, some cancelled."""
        placed: list[Sent] = []
        for number in range(1, chance.randint(3, 6) + 1):
            kinds = ["place", "place", "cancel"]
            if self.name not in NO_AMENDS:
                kinds.append("amend")
            kind = chance.choice(kinds) if placed else "place"
            target = chance.choice(placed) if kind != "place" else None
            order = self._order(kind, number, target, chance)
            signed = self.session.sign(order, now_ns=self.clock.now_ms() * 1_000_000)
            made = Sent(signed, target)
            try:
                made.report = self.submitter.submit(signed, session=self.session)
            except (VenueRefused, NotSent, OutcomeUnknown) as error:
                made.error = error
            renamed = kind == "amend" and self.name == "hyperliquid"  # a new order, its own name
            if (kind == "place" and order["time_in_force"] != "ioc") or renamed:
                placed.append(made)
            if target is not None and (kind == "cancel" or self.name == "hyperliquid"):
                placed.remove(target)
            yield made
            self.clock.sleep(chance.choice((0.01, 0.3, 1.2)))

    def _order(
        self, kind: str, number: int, target: Sent | None, chance: random.Random
    ) -> dict[str, Any]:
        prices = PRICES[self.name]
        if kind == "cancel":
            assert target is not None
            return {"action": "cancel", "target_action": target.signed.action_id}
        terms = {
            "action": kind,
            "type": "limit",
            "quantity": QUANTITIES[self.name](number),
            "price": prices[chance.randint(0, 1)],
        }
        if target is not None:
            in_force = target.signed.order.time_in_force  # type: ignore[attr-defined]
            names = {"target_action": target.signed.action_id}
            return terms | names | {"time_in_force": in_force.name.lower()}
        in_force = chance.choice(("gtc", "gtc", "post_only", "ioc"))
        side = chance.choice(("buy", "sell"))
        return terms | {"instrument": self.name, "side": side, "time_in_force": in_force}

    def _judge(self, sent: list[Sent]) -> list[str]:
        """The book of the venue against what the submitter said of each order."""
        problems: list[str] = []
        tally, log = self.tally, [e for e in self.venue.log if e.action in CHANGES]
        tally.schedules += 1
        tally.sent += len(sent)
        tally.accepted += len(log)
        tally.faults.update({name: n for name, n in self.venue.faults.items() if name != "none"})
        digests = Counter(entry.digest for entry in log)
        contents = Counter(
            (e.action, e.content, "" if e.action == "place" else e.order_id) for e in log
        )
        names = Counter(e.client_id for e in log if e.action == "place" and e.client_id)
        for what, count in (*digests.items(), *contents.items(), *names.items()):
            if count > 1:
                tally.duplicates += count - 1
                problems.append(f"accepted {count} times: {what}")
        left = list(log)
        for one in sent:
            found = next((entry for entry in left if self._is_of(one, entry)), None)
            if found is not None:
                left.remove(found)
            if isinstance(one.error, OutcomeUnknown):
                tally.unknown += 1
            elif one.report is None:
                tally.refused += 1
                # Of a cancel, "no longer open" is true, however it came about.
                done = is_cancel(one) and isinstance(one.error, UnknownOrder)
                if found is not None and not done:
                    tally.lost += 1
                    problems.append(f"accepted, and reported as {one.error!r}: {found}")
            elif found is None:
                tally.wrong += 1
                problems.append(f"reported as accepted, and not in the book: {one.report}")
        problems += [f"accepted, and never sent: {entry}" for entry in left]
        return problems

    def _is_of(self, one: Sent, entry: Accepted) -> bool:
        """Whether the venue's entry is this order's: by action, name and quantity."""
        signed = one.signed
        own = signed.action is Action.PLACE or (
            # Hyperliquid makes a new order of an amend.
            signed.action is Action.AMEND and self.name == "hyperliquid"
        )
        named = one if own or one.target is None else one.target
        quantity = getattr(signed.order, "quantity", None)
        return (
            entry.action == signed.action.name.lower()
            and entry.client_id == named.signed.client_order_id
            and (quantity is None or f'"{quantity}"' in entry.content)
        )
