"""What a user would pick instead, in one run: Python's libraries, SoftHSM, a KMS over HTTP, and a
user's own signer (`--against`).

Every peer signs requests of 256 bytes, a fresh one each time; what it does with them is its own,
so a hash that an algorithm needs is in its time. Peers take turns: one call that is not timed, then
a block of timed ones, so that each is as warm as a program that signs one request after another,
and what disturbs the machine disturbs all. A slow peer gets fewer turns, spread over the whole run.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from .. import _bench
from .gate import ALGORITHM, DESK_OF, POOL
from .machine import pinned
from .peer import OPENERS, Peer, PeerMissing, open_peer
from .peers_http import CALLS_MAX as HTTP_CALLS_MAX
from .peers_http import SCHEMES, SignerHttp, open_http
from .peers_kms import moto_peers, open_aws_kms, parse_aws_kms
from .peers_pkcs11 import CALLS_MAX as PKCS11_CALLS_MAX
from .peers_pkcs11 import PIN_VARIABLE, open_pkcs11, parse_pkcs11, softhsm_peers
from .peers_python import CallPeer, python_peers
from .result import Result, Row, summarise
from .suite import Settings
from .world import make_world

__all__ = ["Turns", "check_against", "make_peers", "ours", "run", "take_turns", "turns_of"]

TITLE: Final = "what a user would pick instead"
MESSAGE_BYTES: Final = 256
WORDS: Final = b"zcp bench: a made-up request that means nothing. "
BLOCK: Final = 8
"""Timed calls of one turn."""
WARM_UP_S: Final = 0.2
WARM_UP_CALLS: Final = 200
OWN_WARM_UP_CALLS: Final = 5
"""Of a peer with a bound on its calls."""
SECONDS: Final = 1.5
SECONDS_FULL: Final = 10.0
"""What the calls of one peer may take, in all."""
CALLS_MIN: Final = 50

NOTES: Final = (
    "Each label says what a call includes. SoftHSM is software in this process: no hardware module,"
    " no way to one.",
    "moto emulates a KMS in Python on loopback: no hardware module, no network, no TLS; its server"
    " closes the connection after each answer. What a real one takes is not to be read from it.",
    "Ours judges, records and signs; no peer judges or records. Its nonces are made between the"
    " calls that are timed: see the suite pool for what they cost.",
    "A row of few calls has no p99.9 of its own: it is then the slowest, or nearly.",
)


OPENERS.update({"pkcs11": open_pkcs11, "aws-kms": open_aws_kms})
OPENERS.update(dict.fromkeys(SCHEMES, open_http))


def check_against(where: str) -> str:
    """Looks at the form of one --against, and calls nobody; what to tell the user beforehand.

    Raises UsageError.
    """
    scheme = where.partition(":")[0]
    if scheme == "pkcs11":
        parse_pkcs11(where)
        return (
            f"{where}: up to {PKCS11_CALLS_MAX:,} signatures of made-up requests with that key;"
            f" its PIN stands in {PIN_VARIABLE}, or is asked for"
        )
    if scheme == "aws-kms":
        _, calls = parse_aws_kms(where)
        return (
            f"{where}: about {calls + 1:,} requests to AWS KMS (one DescribeKey, at most"
            f" {calls:,} Sign or GenerateMac), which AWS bills"
        )
    if scheme in SCHEMES:
        SignerHttp(where).close()
        return f"{where}: up to {HTTP_CALLS_MAX:,} requests to sign what is made up"
    open_peer(where)  # says what is known
    return ""


class Turns:
    """One lane, how it takes its turns, and what it took."""

    def __init__(
        self, lane: _bench.Lane, label: str, *, group: str = "peer", calls_max: int | None = None
    ) -> None:
        self.lane, self.label, self.group, self.calls_max = lane, label, group, calls_max
        self.times, self.failed = array("Q"), ""
        self.turns = self.taken = self.calls = 0

    def _measure(self, rounds: int, warm_up: int) -> array[int]:
        """Raises nothing: what fails is left out from then on."""
        self.calls += rounds + warm_up
        try:
            return _bench.measure([self.lane], rounds, warm_up, block=rounds)[self.lane.name]
        except Exception as error:
            self.failed = f"{type(error).__name__}: {error}"
            return array("Q")

    def warm_up(self, rounds: int, seconds: float) -> None:
        """Calls it until it is warm, and plans its turns."""
        times = array("Q")
        if self.calls_max is not None:
            times += self._measure(min(OWN_WARM_UP_CALLS, self.calls_max), 0)
        until = time.monotonic() + WARM_UP_S
        while self.calls_max is None and not self.failed and len(times) < WARM_UP_CALLS:
            times += self._measure(1, 0)
            if time.monotonic() > until:
                break
        if times:
            affordable = int(seconds * 1e9 / max(statistics.median(times), 1))
            self.turns = -(-min(rounds, max(affordable, CALLS_MIN)) // BLOCK)
            if self.calls_max is not None:  # a turn begins with one call that is not timed
                self.turns = min(self.turns, (self.calls_max - self.calls) // (BLOCK + 1))

    def take(self, passed: int, passes: int) -> None:
        """Takes the turn that is due in this pass, if one is: they are spread evenly."""
        if not self.failed and self.taken < (passed + 1) * self.turns // passes:
            self.taken += 1
            self.times += self._measure(BLOCK, 1)

    def row(self, rounds: int, timer: int) -> Row:
        """What it took, as percentiles."""
        few = f" ({len(self.times):,} calls)" if len(self.times) < rounds else ""
        label = f"{self.label}{few}"
        return summarise(self.lane.name, label, self.times, timer=timer, group=self.group)


def _fresh_messages() -> Callable[[], bytes]:
    """Requests that differ from each other, made while no clock runs. Each says what it is: a
    user's own key signs it, and its signature must be good for nothing.
    """
    number, rest = 0, bytes(range(MESSAGE_BYTES - len(WORDS) - 8))

    def message() -> bytes:
        nonlocal number
        number += 1
        return b"%s%s%s" % (WORDS, number.to_bytes(8, "big"), rest)

    return message


def turns_of(peers: Sequence[Peer]) -> list[Turns]:
    """A lane for each peer; every call signs a request that no other call signs."""
    message = _fresh_messages()
    return [
        Turns(
            _bench.Call(peer.sign, name=peer.name, prepare=message),
            f"{peer.label}, {peer.algorithm}",
            calls_max=getattr(peer, "calls_max", None),
        )
        for peer in peers
    ]


def take_turns(
    lanes: list[Turns], rounds: int, seconds: float, progress: Callable[[float], None]
) -> None:
    """Times every lane, interleaved; `rounds` calls of each at most, in about `seconds` of each."""
    for turns in lanes:
        turns.warm_up(rounds, seconds)
    passes = max((turns.turns for turns in lanes), default=0)
    for passed in range(passes):
        for turns in lanes:
            turns.take(passed, passes)
        progress((passed + 1) / passes)


def ours(stack: contextlib.ExitStack) -> list[Turns]:
    """The whole gate, in C, by algorithm: what all the others stand beside."""
    world = stack.enter_context(make_world(list(DESK_OF.values())))
    engine = world.open(nonces=POOL)
    stack.callback(engine.close)
    return [
        Turns(
            world.gate(engine, desk, f"ours_{algorithm}"),
            f"ours: the whole gate in C, {ALGORITHM[algorithm]}"
            f"{'' if algorithm == 'hmac' else ', nonces made ahead'}, log by pwrite",
            group="ours",
        )
        for algorithm, desk in DESK_OF.items()
    ]


def make_peers(
    stack: contextlib.ExitStack, missing: list[str], allowed: Sequence[int] = ()
) -> Iterator[CallPeer]:
    """Every peer that can be had here, closed with the stack; what is missing goes into a list.

    `allowed`: the processors that a server may use.
    """
    makers: dict[str, Callable[[], list[CallPeer]]] = {
        **python_peers(),
        "SoftHSM2": softhsm_peers,
        "moto's KMS": functools.partial(moto_peers, allowed),
    }
    for name, make in makers.items():
        try:
            made = make()
        except PeerMissing as absent:
            missing.append(f"{name}: {absent}")
            continue
        except Exception as broken:  # of somebody else's code: the others are measured all the same
            missing.append(f"{name}: left out: {type(broken).__name__}: {broken}")
            continue
        for peer in made:
            stack.callback(peer.close)
        yield from made


def run(settings: Settings) -> Result:
    """The suite. Raises what opening an --against raises; a peer that is missing is only named."""
    result = Result(suite="peers", title=TITLE, notes=list(NOTES), pinned_to=pinned())
    result.rounds = settings.rounds
    with contextlib.ExitStack() as stack:
        peers: list[Peer] = []
        for where in settings.against:  # first: a module may then not be ours as well
            for own in open_peer(where):
                stack.callback(own.close)
                peers.append(own)
        peers += make_peers(stack, result.missing, settings.allowed)
        timer = int(statistics.median(_bench.measure([_bench.Timer()], 2_000, 200)["timer"]))
        empty = _bench.Call(lambda message: message, b"", name="python_call")
        lanes = [
            *ours(stack),
            *turns_of(peers),
            Turns(empty, "an empty Python function", group="timer"),
        ]
        seconds = SECONDS_FULL if settings.is_full else SECONDS
        take_turns(lanes, settings.rounds, seconds, settings.progress)
    for turns in lanes:
        if turns.failed:
            result.missing.append(f"{turns.label}: {turns.failed}")
        elif turns.times:
            result.rows.append(turns.row(settings.rounds, timer))
    result.facts = {
        "message_bytes": MESSAGE_BYTES,
        "timer_ns": timer,
        "versions": {peer.name: getattr(peer, "version", "") for peer in peers},
        "algorithms": {peer.name: peer.algorithm for peer in peers},
        "calls": {turns.lane.name: turns.calls for turns in lanes},
        "ours_signed_bytes": {
            turns.lane.name: len(turns.lane.request)
            for turns in lanes
            if isinstance(turns.lane, _bench.Gate)
        },
    }
    return result
