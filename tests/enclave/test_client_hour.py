"""A channel that ends: the client makes a new handshake before, and finds out when it is too late.

Goal: PROTOCOL.md, section 3: an hour after it began a channel takes nothing more, and no request is
lost or repeated by that. Method: a daemon whose hour is two seconds, by a build of its own.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_desk import Desk, make_desk
from raw_client import TOP
from test_client import connect

from sentinel import Message

HOUR_NS = 2 * 10**9


@pytest.fixture(scope="module")
def short() -> Path:
    """A build in a folder of its own: what others measure and test is not touched."""
    command = ["make", "-s", "-C", "enclave/daemon", f"HOUR_NS={HOUR_NS}", "sentineld"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return TOP / "build" / "daemon" / "hour" / "sentineld"


@pytest.fixture
def desk(short: Path, tmp_path: Path) -> Iterator[Desk]:
    made = make_desk(tmp_path)
    # The desk names a target of the Makefile; this one is run in its place.
    made.wrapper = ("sh", "-c", f'shift; exec {short} "$@"', "short")
    made.start()
    yield made
    made.stop(signal.SIGKILL)


@pytest.mark.parametrize("scheme", ["unix", "shm"])
def test_a_session_is_replaced_before_its_hour_is_over(desk: Desk, scheme: str) -> None:
    with connect(desk, "maker", scheme) as client:
        session = client.session()
        numbers = []
        end = time.monotonic() + 2.5 * HOUR_NS / 1e9
        while time.monotonic() < end:
            numbers.append(session.sign(Message(text="tick")).action_id)
            time.sleep(0.05)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert client.facts.connects >= 3
        assert client.facts.resent == 0  # Replaced in time, not found ended.


def test_one_that_slept_through_it_asks_again(desk: Desk) -> None:
    with connect(desk, "maker") as client:
        session = client.session()
        first = session.sign(Message(text="before"))
        until = client.facts.until_ns
        assert until - time.time_ns() <= HOUR_NS
        time.sleep(HOUR_NS / 1e9 + 0.5)
        assert session.sign(Message(text="after")).action_id == first.action_id + 1
        assert client.facts.connects == 2
