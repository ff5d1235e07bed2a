"""The C client as others get it: installed, found by pkg-config, linked outside the tree.

Goal: each call, a lost connection, a deadline and a retry do what the header says; the example
signs. Method: client_calls.c against the real daemon, which is killed or stopped when it asks.
PROTOCOL.md, section 5.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_desk import AGENT_KEYS, OPERATOR, PASSPHRASE, Desk, make_desk, node_of
from raw_client import public_of, seed_of

from sentinel import _core
from sentinel._enums import Algorithm, Command, Purpose
from sentinel._frame import verify_ed25519
from sentinel.config import public_keys

TOP = Path(__file__).resolve().parents[2]


def run(*words: str, **variables: str) -> str:
    done = subprocess.run(
        words, cwd=TOP, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("prefix")
    for folder in ("core", "enclave/client"):
        run("make", "-s", "-C", folder, f"PREFIX={made}", "install")
    return made


def built(prefix: Path, source: str) -> str:
    search = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "sentinel-client", **search).split()
    program = str(prefix / Path(source).stem)
    warn = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror", "-O1")
    run("cc", *warn, "-o", program, str(TOP / source), *flags)
    return program


@pytest.fixture(scope="module")
def calls(prefix: Path) -> str:
    return built(prefix, "tests/enclave/client_calls.c")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(tmp_path_factory.mktemp("desk"))
    made.start()
    yield made
    made.stop(signal.SIGKILL)


def words(
    desk: Desk, calls: str, mode: str, scheme: str, who: str = "maker", at: Path | None = None
) -> list[str]:
    where = f"{scheme}://{at or desk.socket}"
    row, agent = (OPERATOR, 0) if who == "operator" else (AGENT_KEYS, node_of(who))
    return [calls, mode, where, str(desk.pin), seed_of(who).hex(), str(row), str(agent)]


BOTH = pytest.mark.parametrize("scheme", ["unix", "shm"])


@BOTH
def test_each_call_of_an_agent(desk: Desk, calls: str, scheme: str) -> None:
    assert run(*words(desk, calls, "agent", scheme)) == "done\n"


@BOTH
def test_each_call_of_who_commands(desk: Desk, calls: str, scheme: str, tmp_path: Path) -> None:
    frame = tmp_path / "frame"
    frame.write_bytes(desk.command(Command.HALT, "taker"))
    run(*words(desk, calls, "command", scheme, "operator"), str(frame))


def test_a_retry_gives_the_same_bytes_or_a_duplicate(desk: Desk, calls: str) -> None:
    assert run(*words(desk, calls, "retry", "unix")) == "done\n"


def talk(
    desk: Desk, calls: str, mode: str, scheme: str, at: Path | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words(desk, calls, mode, scheme, at=at),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends(process: subprocess.Popen[str]) -> None:
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "done\n"), error


def answer(process: subprocess.Popen[str], asked: str) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == f"{asked}\n", process.communicate()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@BOTH
def test_a_lost_connection_is_opened_anew(tmp_path: Path, calls: str, scheme: str) -> None:
    desk = make_desk(tmp_path)
    desk.start()
    process = talk(desk, calls, "reconnect", scheme)
    answer(process, "restart")
    desk.stop(signal.SIGKILL)
    desk.start()
    go_on(process)
    ends(process)
    desk.stop()


def test_a_deadline_ends_a_call(tmp_path: Path, calls: str) -> None:
    desk = make_desk(tmp_path)
    desk.start()
    assert desk.process is not None
    process = talk(desk, calls, "deadline", "unix")
    answer(process, "stop")
    desk.process.send_signal(signal.SIGSTOP)
    go_on(process)
    answer(process, "go on")
    desk.process.send_signal(signal.SIGCONT)
    go_on(process)
    ends(process)
    desk.stop()
    desk.verify()


class Drops:
    """Between client and daemon; once `slow` is set, answers come byte by byte, each in time."""

    def __init__(self, daemon: Path, at: Path) -> None:
        self.slow = threading.Event()
        self.daemon = daemon
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(at))
        self.listener.listen()
        self.sockets = [self.listener]
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # until close
            while True:
                client, _ = self.listener.accept()
                daemon = socket.socket(socket.AF_UNIX)
                self.sockets += [client, daemon]
                daemon.connect(str(self.daemon))
                for way in ((client, daemon, False), (daemon, client, True)):
                    self.threads.append(threading.Thread(target=self.carry, args=way))
                    self.threads[-1].start()

    def carry(self, source: socket.socket, into: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):  # the other end is gone
            while some := source.recv(65536):
                while some:
                    size = 1 if is_answer and self.slow.is_set() else len(some)
                    into.sendall(some[:size])
                    some = some[size:]
                    time.sleep(0.1 if size == 1 else 0)
        self.end(source, into)

    @staticmethod
    def end(*sockets: socket.socket) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.end(*self.sockets)
        for thread in self.threads:
            thread.join()
        for each in self.sockets:
            each.close()


def test_a_deadline_ends_a_call_whose_answer_comes_in_drops(tmp_path: Path, calls: str) -> None:
    desk = make_desk(tmp_path)
    desk.start()
    drops = Drops(desk.socket, tmp_path / "drops")
    process = talk(desk, calls, "deadline", "unix", tmp_path / "drops")
    answer(process, "stop")
    drops.slow.set()
    go_on(process)
    answer(process, "go on")
    drops.slow.clear()
    go_on(process)
    ends(process)
    drops.close()
    desk.stop()


def test_the_example_signs(prefix: Path, desk: Desk, tmp_path: Path) -> None:
    ring = _core.Keyring()
    ring.import_(7, Purpose.AUTHORITY, Algorithm.ED25519, seed_of("maker"))
    (tmp_path / "key").write_bytes(ring.seal(PASSPHRASE, opslimit=1, memlimit=8192))
    (tmp_path / "phrase").write_bytes(PASSPHRASE)
    program = built(prefix, "examples/client.c")
    files = (str(desk.pin), str(tmp_path / "key"), str(tmp_path / "phrase"))
    where = f"unix://{desk.socket}"
    said = run(program, where, *files, str(AGENT_KEYS), str(node_of("maker")), "hello")
    key = next(row.info for row in public_keys(desk.directory) if row.name == "message")
    text = b"hello"
    verify_ed25519(
        *(key.public_key, bytes.fromhex(said.strip()), "sentinel-message-v1"),
        len(text).to_bytes(4, "little") + text,
    )
    assert public_of("maker") != key.public_key


def test_what_is_installed_is_what_the_tree_has(prefix: Path) -> None:
    installed = {p.name: p.read_bytes() for p in (prefix / "include/sentinel-client").iterdir()}
    assert installed == {
        "sentinel_client.h": (TOP / "enclave/client/sentinel_client.h").read_bytes(),
        "protocol.h": (TOP / "enclave/daemon/protocol.h").read_bytes(),
    }
