"""Signing by a daemon in another process, beside the gate in this one and an echo of its frames.

Two phases. First the ring in shared memory, both sides spinning, in turns with the same gate in
this process. Then the Unix socket with a daemon that sleeps when nothing comes for a while, in
turns with an echo: another process that answers frames of the same sizes with nothing done to them.
The daemon and the echo are on another processor, where there is one. Every order is a whole one:
sealed, opened, judged, signed with a nonce made ahead, recorded in a mapped log, and its answer
sealed and opened.

Blocks are short and followed by a pause, in which the daemon makes nonces: its pools are full when
a block begins, and no agent asks for more than its policy's rate.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .. import _bench, _core
from .._authority_edit import Change, Wish, apply
from .._enums import Algorithm, Purpose
from .._frame import FrameKind, parse_authority, unsafe_parse_frame
from .._people import Person, SigningKeys, person_id
from ..client import Client
from ..config import AuthorityRing
from ..errors import StorageError
from ..order import Message
from ..sign import Signer
from .filling import other_processor
from .machine import pinned
from .result import Result, Show, percentile, summarise
from .suite import Connect, Settings
from .world import World, make_world

__all__ = ["PROGRAM_VARIABLE", "find_daemon", "run"]

TITLE: Final = "signing by a daemon: a ring, a Unix socket"
DESK: Final = "binance_spot.ed25519"
PROGRAM_VARIABLE: Final = "ZCP_SENTINELD"
POOL: Final = 4096
BLOCK: Final = 40
PAUSE_SECONDS: Final = 0.1
"""After each block: 400 orders a second at most, of 1,000 that the policy lets through."""
REQUEST_BYTES: Final = 16 + 512 + 16
ANSWER_BYTES: Final = 16 + 1024 + 16
READY_SECONDS: Final = 20.0
RING: Final = "ring.poll"
SOCKET: Final = "unix"
RARE_ROUNDS: Final = 2_000
RARE_SECONDS: Final = 0.002
"""Between two requests of an agent that asks now and then: the daemon sleeps by then."""
LABELS: Final = {
    RING: "ring in shared memory, both sides poll",
    SOCKET: "Unix socket, the daemon does not poll",
    "gate": "the gate in this process, beside the ring",
    "gate.beside": "the gate in this process, beside the socket",
    "echo": "an echo of the same frames between two processes",
    "unix.rare": "Unix socket, one request in 2 ms: the daemon sleeps",
    "echo.rare": "the echo, as seldom",
    "gate.rare": "the gate in this process, as seldom",
    "connect": "the daemon that was named",
}


def find_daemon() -> Path | None:
    """Where sentineld is: as ZCP_SENTINELD says, on the path, or built in this source tree."""
    named = os.environ.get(PROGRAM_VARIABLE)
    if named:
        return Path(named) if Path(named).is_file() else None
    found = shutil.which("sentineld")
    if found:
        return Path(found)
    built = Path(__file__).parents[3] / "build" / "daemon" / "release" / "sentineld"
    return built if built.is_file() else None


def _add_agent(world: World, agent: int) -> SigningKeys:
    """A key for an agent, in the authority bundle."""
    ring = _core.Keyring()
    info = ring.generate(1, Purpose.AUTHORITY, Algorithm.ED25519)
    with Signer.open(world.directory, passphrase=world.passphrase) as signer:
        installed = signer.installed
        frame = unsafe_parse_frame(installed.authority(), FrameKind.AUTHORITY)
        now = time.time_ns()
        wish = Wish("agent", person=Person("bench", info.public_key), node=agent)
        change = apply(Change.of(parse_authority(frame.payload)), [wish], now, ())
        part = change.part(installed.terms(frame.sequence + 1, now))
        authority = AuthorityRing.open(world.directory, world.passphrase)
        signer.take(authority.sign(FrameKind.AUTHORITY, part))
    return SigningKeys(ring, {info.public_key: 1})


def _moved(processor: int | None) -> None:
    if processor is not None:
        os.sched_setaffinity(0, {processor})


@contextlib.contextmanager
def _daemon(
    program: Path, world: World, copy: str, processor: int | None, *options: str
) -> Iterator[Path]:
    """A daemon on a copy of the engine; gives its socket. Raises StorageError."""
    place = world.directory.with_name(copy)
    shutil.copytree(world.directory, place)
    path, log = (
        world.directory.with_name(f"{copy}.socket"),
        world.directory.with_name(copy + ".log"),
    )
    command = [str(program), "--dir", str(place), "--unix", str(path), "--passphrase-fd", "0"]
    command += ["--pin", str(path.with_suffix(".pin")), "--durability", "mapped"]
    command += ["--nonces", str(POOL), "--accept-snapshot-risk", *options]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=errors,
            preexec_fn=lambda: _moved(processor),
        )
    try:
        if process.stdin is not None:
            process.stdin.write(world.passphrase)
            process.stdin.close()
        end = time.monotonic() + READY_SECONDS
        while b": ready" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > end:
                raise StorageError(f"{program}: {log.read_text('utf-8', 'replace').strip()}")
            time.sleep(0.01)
        time.sleep(0.5)  # The pools become full.
        yield path
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _echo(processor: int | None) -> Iterator[int]:
    """Another process that echoes frames; gives the socket to it."""
    ours, its = socket.socketpair()
    text = "import sys; from sentinel import _bench; _bench.echo(*map(int, sys.argv[1:]))"
    words = [str(its.fileno()), str(REQUEST_BYTES), str(ANSWER_BYTES)]
    process = subprocess.Popen(
        [sys.executable, "-c", text, *words],
        pass_fds=[its.fileno()],
        preexec_fn=lambda: _moved(processor),
    )
    its.close()
    try:
        yield ours.fileno()
    finally:
        ours.close()
        process.wait()


def _measured(
    result: Result,
    lanes: list[_bench.Lane],
    settings: Settings,
    part: float,
    *,
    is_rare: bool = False,
) -> None:
    """Times the lanes in turn, with a pause after each block, and adds their rows."""
    rounds = min(settings.rounds, RARE_ROUNDS) if is_rare else settings.rounds

    def pause(done: int) -> None:
        if not is_rare:
            settings.progress(part + done / rounds / 2)
        time.sleep(RARE_SECONDS if is_rare else PAUSE_SECONDS)

    times = _bench.measure(
        [*lanes, _bench.Timer()],
        rounds,
        min(rounds, 400),
        pause,
        block=1 if is_rare else BLOCK,
    )
    timer = percentile(sorted(times.pop("timer")), 0.5)
    result.facts["timer_ns"] = timer
    for name, values in times.items():
        result.rows.append(
            summarise(name, LABELS[name], values, timer=timer, group=name.partition(".")[0])
        )


def _connected(settings: Settings, where: Connect, result: Result) -> Result:
    """One lane: messages, signed by the daemon that was named."""
    with Client.connect(
        where.address,
        agent=where.agent,
        key=where.key,
        pin=where.pin,
        key_id=where.key_id,
        busy_poll=where.busy_poll,
    ) as client:
        orders = [_core.blank(Message(text="zcp bench measures"))]
        lane = _bench.Service(client.connection, orders, name="connect")
        _measured(result, [lane], settings, 0.0)
    return result


def run(settings: Settings) -> Result:
    """Measures. Raises StorageError when the daemon cannot be started."""
    result = Result(suite="service", title=TITLE, rounds=settings.rounds, pinned_to=pinned())
    if settings.connect is not None:
        return _connected(settings, settings.connect, result)
    program = find_daemon()
    if program is None:
        text = f"sentineld is not there: make -C enclave/daemon, or name it in {PROGRAM_VARIABLE}"
        result.missing.append(f"service: {text}")
        return result
    allowed = settings.allowed or tuple(sorted(os.sched_getaffinity(0)))
    processor = other_processor(allowed)
    result.facts["daemon_on"] = processor
    with make_world([DESK]) as world:
        agent = world.agents[DESK][0]
        keys = _add_agent(world, agent)

        def client(path: Path, scheme: str, *, busy_poll: bool) -> Client:
            return Client.connect(
                f"{scheme}://{path}",
                agent=agent,
                key=keys,
                key_id=person_id("bench"),
                pin=path.with_suffix(".pin"),
                busy_poll=busy_poll,
            )

        def gate(copy: str, name: str) -> tuple[_bench.Engine, _bench.Lane]:
            engine = world.open(copy, log="mapped", nonces=POOL)
            return engine, world.gate(engine, DESK, name)

        with _daemon(program, world, "polling", processor, "--busy-poll") as path:
            engine, inside = gate("beside-ring", "gate")
            with contextlib.closing(engine), client(path, "shm", busy_poll=True) as ring:
                lane = _bench.Service(ring.connection, world.orders[DESK], name=RING)
                _measured(result, [lane, inside], settings, 0.0)
        with _daemon(program, world, "sleeping", processor) as path, _echo(processor) as fd:
            engine, inside = gate("beside-socket", "gate.beside")
            with contextlib.closing(engine), client(path, "unix", busy_poll=False) as link:
                lane = _bench.Service(link.connection, world.orders[DESK], name=SOCKET)
                echo = _bench.Echo(fd, REQUEST_BYTES, ANSWER_BYTES)
                _measured(result, [lane, echo, inside], settings, 0.5)
                rare: list[_bench.Lane] = [
                    _bench.Service(link.connection, world.orders[DESK], name="unix.rare"),
                    _bench.Echo(fd, REQUEST_BYTES, ANSWER_BYTES, name="echo.rare"),
                    world.gate(engine, DESK, "gate.rare"),
                ]
                _measured(result, rare, settings, 1.0, is_rare=True)
    _shows(result)
    return result


def _shows(result: Result) -> None:
    ring, inside = result.row(RING).p50, result.row("gate").p50
    link, echo, beside = (result.row(name).p50 for name in (SOCKET, "echo", "gate.beside"))
    result.shows += [
        Show(
            name="6.7",
            what="ring, busy-poll, over the same gate in process (medians)",
            value=ring / inside,
            bound=2,
        ),
        Show(
            name="6.7",
            what="Unix socket over an echo of the same frames (medians)",
            value=link / echo,
            bound=1.3,
        ),
        Show(
            name="6.7",
            what="Unix socket less the gate, over the echo (medians)",
            value=(link - beside) / echo,
        ),
        Show(
            name="6.7",
            what="Unix socket over the echo, one request in 2 ms (medians)",
            value=result.row("unix.rare").p50 / result.row("echo.rare").p50,
        ),
    ]
