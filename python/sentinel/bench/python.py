"""Signing from Python: each way that the package has, beside what a user would call instead.

In turn, BLOCK calls each, with nonces made ahead and the log written by `pwrite`: `Session.sign` of
an order that is there, of one that is built anew, of one that is prepared and gets a new price; a
batch (`sign_many`, per order); the gate in C; PyNaCl and coincurve over as many bytes as ours
signs. coincurve hashes with SHA-256, Hyperliquid with Keccak-256, five blocks of it: so the ratio
is given with that and without. Pools are filled between the timed calls.

Then the bindings: Cython and cffi call the same function of the core, and sign with copies of one
engine.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import shutil
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from .. import _bench, _core
from .._enums import Environment, OrderType, Side, TimeInForce
from ..order import Place, rows, unpack
from ..sign import Session, SignedBatch, Signer
from .machine import pinned
from .peer import PeerMissing
from .peers_python import need
from .result import Result, Show, percentile, summarise
from .suite import Settings
from .world import DESKS, KECCAK_BLOCKS, World, make_world, policy_text

__all__ = ["run"]

TITLE: Final = "signing from Python"
DESK_OF: Final = {"ed25519": "binance_spot.ed25519", "ecdsa": "hyperliquid.ecdsa_secp256k1"}
ALGORITHM: Final = {"ed25519": "Ed25519 (Binance)", "ecdsa": "ECDSA (Hyperliquid, with its Keccak)"}
WAYS: Final = {
    "sign": "Session.sign, an order that is there",
    "looked_at": "the same, and its request and signature as objects",
    "fresh": "Session.sign, the order built anew",
    "prepared": "prepared.sign, with a new price",
    "many": "sign_many, per order",
}
PEERS: Final = {"ed25519": "PyNaCl sign", "ecdsa": "coincurve sign_recoverable"}
BOUNDS: Final = {"ed25519": 0.25, "ecdsa": 0.15}
MANY_BOUND: Final = 1.3
POOL: Final = 8192
BLOCK: Final = 16
BATCH: Final = 64
AGENTS: Final = 8
INSTRUMENTS: Final = 100
ROUNDS_MAX: Final = 20_000
RATE: Final = "rate: 100000/s"
"""Python's engines live in real time, and sign far more than a trading desk."""


@dataclass(slots=True)
class Desk:
    """One algorithm's orders and sessions at an engine of Python's."""

    signer: Signer
    sessions: list[Session]
    orders: list[Place]
    fills: Iterator[int]

    def fill(self) -> None:
        """Keeps the pools full, untimed: a batch of nonces now and then."""
        if next(self.fills) % 32 == 0:
            self.signer._engine.fill()

    def lanes(self, name: str) -> list[_bench.Lane]:
        """Each way to sign."""
        session, orders = self.sessions[0], itertools.cycle(self.orders)
        prices = itertools.cycle([order.price for order in self.orders[:2]])
        prepared, batch = session.prepare(self.orders[0]), SignedBatch()
        table = b"".join(rows(order, 1) for order in self.orders[:BATCH])

        def order() -> Place:
            self.fill()
            return next(orders)

        def look_at(order: Place) -> None:
            signed = session.sign(order)
            signed.request, signed.signature  # noqa: B018

        def fresh(like: Place) -> None:
            session.sign(
                Place(
                    instrument=like.instrument,
                    side=Side.BUY,
                    type=OrderType.LIMIT,
                    time_in_force=TimeInForce.GTC,
                    quantity=like.quantity,
                    price=like.price,
                )
            )

        def price() -> Any:
            self.fill()
            return next(prices)

        def all_of(orders: bytes) -> None:
            session.sign_many(orders, into=batch)
            if batch.allowed != BATCH:
                raise next(one for one in batch if isinstance(one, Exception))

        def table_() -> bytes:
            self.signer._engine.fill()
            return table

        def lane(way: str, call: Callable[[Any], object], prepare: Any = order) -> _bench.Call:
            return _bench.Call(call, name=f"{name}.{way}", prepare=prepare)

        return [
            lane("sign", session.sign),
            lane("looked_at", look_at),
            lane("fresh", fresh),
            lane("prepared", lambda price: prepared.sign(price=price), price),
            lane("many", all_of, table_),
        ]


@contextlib.contextmanager
def _signer(world: World, place: str) -> Iterator[Signer]:
    """An engine of Python's over a copy, its pools full, filled by nobody but us."""
    directory = world.directory.with_name(place)
    shutil.copytree(world.directory, directory)
    with Signer.open(
        directory, passphrase=world.passphrase, nonces=POOL, accept_snapshot_risk=True
    ) as signer:
        signer._filler.stop()
        while signer._engine.fill():
            pass
        yield signer


def _desk(signer: Signer, world: World, desk: str) -> Desk:
    orders = [unpack(order).order for order in world.orders[desk]]
    return Desk(
        signer,
        [signer.session(agent) for agent in world.agents[desk]],
        [order for order in orders if isinstance(order, Place)],
        itertools.count(),
    )


def _peers(sizes: dict[str, int], missing: list[str]) -> list[_bench.Lane]:
    """The libraries that a user would call, over as many bytes."""

    def pynacl() -> Callable[[bytes], object]:
        signing, _ = need("nacl.signing", "PyNaCl")
        found: Callable[[bytes], object] = signing.SigningKey(secrets.token_bytes(32)).sign
        return found

    def coincurve() -> Callable[[bytes], object]:
        module, _ = need("coincurve", "coincurve")
        found: Callable[[bytes], object] = module.PrivateKey(
            secrets.token_bytes(32)
        ).sign_recoverable
        return found

    lanes: list[_bench.Lane] = []
    for algorithm, make in (("ed25519", pynacl), ("ecdsa", coincurve)):
        try:
            sign = make()
        except PeerMissing as absent:
            missing.append(f"{PEERS[algorithm]}: {absent}")
            continue
        message = secrets.token_bytes(sizes[algorithm])
        lanes.append(_bench.Call(sign, message, name=f"{algorithm}.peer"))
    return lanes


def _message_sizes(desks: dict[str, Desk]) -> dict[str, int]:
    """How many bytes ours signs, of one order each; at least a digest's."""
    return {
        name: len(desk.sessions[1].sign(desk.orders[0]).signed_bytes)
        for name, desk in desks.items()
    }


def _with_room(world: World) -> World:
    """The same twelve constraints, with a rate that real time leaves room for."""
    with Signer.open(world.directory, passphrase=world.passphrase) as signer:
        desks = [DESKS[name] for name in DESK_OF.values()]
        text = policy_text(desks, INSTRUMENTS, AGENTS)
        signer.load_policy(text.replace("rate: 1000/s", RATE))
    return replace(world, now_ns=time.time_ns())


def _rows(result: Result, times: dict[str, array[int]]) -> None:
    timer = percentile(sorted(times["timer"]), 0.5)
    result.facts["timer_ns"] = timer
    for name, values in times.items():
        algorithm, _, way = name.partition(".")
        if way == "many":
            values = array("Q", [value // BATCH for value in values])
        if algorithm in ALGORITHM:
            group = {"peer": "peer", "c": "bare"}.get(way, "ours")
            label = {"peer": PEERS[algorithm], "c": f"{ALGORITHM[algorithm]}: the gate in C"}.get(
                way, f"{ALGORITHM[algorithm]}: {WAYS.get(way, way)}"
            )
        else:
            group = {"timer": "timer", "bare": "bare"}.get(algorithm, "ours")
            label = BINDINGS.get(name, name)
        taken_off = timer // BATCH if way == "many" else timer
        result.rows.append(summarise(name, label, values, timer=taken_off, group=group))


def _shows(result: Result) -> None:
    median = {row.name: row.p50 for row in result.rows}
    keccak = {"ed25519": 0.0, "ecdsa": KECCAK_BLOCKS * median["bare.keccak"]}

    def add(what: str, value: float, bound: float | None) -> None:
        result.shows.append(Show(name="3", what=what, value=value, bound=bound))

    for algorithm, bound in BOUNDS.items():
        peer, in_c = median.get(f"{algorithm}.peer"), median[f"{algorithm}.c"]
        for way, word in (("sign", "Session.sign"), ("prepared", "prepared.sign")):
            if peer is None:
                continue
            ours, over = median[f"{algorithm}.{way}"], f"over {PEERS[algorithm]}"
            if keccak[algorithm]:
                add(f"{word}, Keccak and all, {over}", ours / peer, None)
                add(f"{word}, less its {KECCAK_BLOCKS} blocks of Keccak, {over}",
                    (ours - keccak[algorithm]) / peer, bound)  # fmt: skip
            else:
                add(f"{word} {over}", ours / peer, bound)
        add(f"sign_many per order over the gate in C ({algorithm})",
            median[f"{algorithm}.many"] / in_c, MANY_BOUND)  # fmt: skip
    if "ecdsa.peer" in median:
        add(f"Session.sign with Ed25519 over {PEERS['ecdsa']}",
            median["ed25519.sign"] / median["ecdsa.peer"], BOUNDS["ecdsa"])  # fmt: skip


BINDINGS: Final = {
    "timer": "reading the clock, taken off all",
    "bare.keccak": "Keccak-256 of one block, in C",
    "cython.check": "Cython: an order's form checked by the core",
    "cffi.check": "cffi: the same call",
    "cffi.sign": "Ed25519 (Binance): signed through cffi, nothing read but the verdict",
    "empty": "calling a Python function that does nothing",
}


def _bindings(stack: contextlib.ExitStack, world: World, missing: list[str]) -> list[_bench.Lane]:
    """What a call costs through Cython and through cffi."""
    from .python_cffi import CffiCore

    order = world.orders[DESK_OF["ed25519"]][0]
    lanes: list[_bench.Lane] = [
        _bench.Call(lambda _: None, name="empty"),
        _bench.Call(
            lambda order: _core.order_check(order, Environment.TEST), order, name="cython.check"
        ),
    ]
    try:
        core = CffiCore()
        place = world.directory.with_name("cffi")
        shutil.copytree(world.directory, place)
        agent = world.agents[DESK_OF["ed25519"]][0]
        engine = stack.enter_context(
            contextlib.closing(core.open(place, world.passphrase, POOL, agent))
        )
    except PeerMissing as absent:
        missing.append(f"cffi: {absent}")
        return lanes
    checked = core.buffer(order)
    fills = itertools.count()

    def stamped() -> Any:
        if next(fills) % 32 == 0:
            engine.fill()
        return engine.order

    engine.stamp(order)
    return [
        *lanes,
        _bench.Call(core.check, checked, name="cffi.check"),
        _bench.Call(engine.sign, name="cffi.sign", prepare=stamped),
    ]


def run(settings: Settings) -> Result:
    """Measures at most ROUNDS_MAX rounds. Raises what making an engine raises."""
    rounds = min(settings.rounds, ROUNDS_MAX)
    result = Result(suite="python", title=TITLE, rounds=rounds, pinned_to=pinned())
    names = list(DESK_OF.values())
    with (
        make_world(names, instruments=INSTRUMENTS, agents=AGENTS) as made,
        contextlib.ExitStack() as stack,
    ):
        world = _with_room(made)
        in_c = stack.enter_context(contextlib.closing(world.open("in-c", nonces=POOL)))
        signer = stack.enter_context(_signer(world, "in-python"))
        desks = {name: _desk(signer, world, desk) for name, desk in DESK_OF.items()}
        sizes = _message_sizes(desks)
        lanes: list[_bench.Lane] = [
            *(lane for name, desk in desks.items() for lane in desk.lanes(name)),
            *(world.gate(in_c, desk, f"{name}.c") for name, desk in DESK_OF.items()),
            *_peers(sizes, result.missing),
            _bench.Bare("keccak", name="bare.keccak"),
            *_bindings(stack, world, result.missing),
            _bench.Timer(),
        ]
        times = _bench.measure(
            lanes,
            rounds,
            min(rounds, 500),
            lambda done: settings.progress(done / rounds),
            block=BLOCK,
        )
        result.facts["nonces_missed"] = signer.nonces.missed + in_c.nonces.missed
        result.facts["signed_bytes"] = sizes
    _rows(result, times)
    _shows(result)
    return result
