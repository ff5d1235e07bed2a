"""An engine whose log is mapped: the same log, and the same readers.

Method: copies of one engine sign the same orders with the same clock, the one through pwrite, the
other through mapped pages; a reader in Python follows a mapped writer; a writer is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from engines import Made, make_engine

from sentinel import Message
from sentinel.audit import read_log, replay, verify_log
from sentinel.errors import UsageError
from sentinel.sign import Signer

ORDERS = 150
NOW_NS = 1_800_000_000 * 10**9
STEP_NS = 13 * 10**9  # a text every 13 seconds: within the policy's rate


@pytest.fixture
def engine(tmp_path: Path) -> Made:
    return make_engine(tmp_path / "engine", now_ns=NOW_NS)


def sign_some(made: Made, durability: str, first: int, count: int) -> list[bytes]:
    """Signatures of so many texts."""
    now = NOW_NS + first * STEP_NS
    with made.open(now_ns=now, durability=durability) as signer:
        notes = signer.session("notes")
        signed = [sign(notes, first + i) for i in range(count)]
        signer.close(now + count * STEP_NS)
    return signed


def sign(session: Any, i: int) -> bytes:
    signature: bytes = session.sign(
        Message(text=f"text {i}"), now_ns=NOW_NS + i * STEP_NS
    ).signature
    return signature


def log_of(made: Made) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((made.directory / "log").iterdir())}


def test_both_writers_keep_the_same_bytes(engine: Made, tmp_path: Path) -> None:
    shutil.copytree(engine.directory, tmp_path / "other")
    other = Made(tmp_path / "other", engine.created, engine.now_ns)
    signed = [
        sign_some(made, how, 0, ORDERS) for made, how in ((engine, "write"), (other, "mapped"))
    ]
    assert signed[0] == signed[1]
    assert log_of(engine) == log_of(other)
    # And in turn: each goes on with what the other left.
    signed = [
        sign_some(made, how, ORDERS, ORDERS) for made, how in ((engine, "mapped"), (other, "write"))
    ]
    assert signed[0] == signed[1]
    assert log_of(engine) == log_of(other)
    assert verify_log(engine.directory).ok
    assert list(replay(engine.directory).differences) == []


def test_a_reader_beside_a_mapped_writer_sees_only_whole_records(engine: Made) -> None:
    """What it takes for a record it parsed, commitments and all; and none is taken back."""
    ending = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        while not ending.is_set():
            numbers = [record.number for record in read_log(engine.directory)]
            assert numbers == list(range(len(numbers)))
            seen.append(len(numbers))
            assert verify_log(engine.directory).findings == []

    with engine.open(now_ns=NOW_NS, durability="mapped") as signer:
        reader = threading.Thread(target=follow)
        reader.start()
        notes = signer.session("notes")
        i = 0
        while len(seen) < 5 and reader.is_alive():
            i += 1
            sign(notes, i)
        ending.set()
        reader.join()
        signer.close(NOW_NS + i * STEP_NS)
    assert len(seen) >= 5
    assert seen == sorted(seen)


def test_a_killed_writer_lost_nothing_that_it_released(engine: Made) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            notes = engine.open(now_ns=NOW_NS, durability="mapped").session("notes")
            for i in range(100_000):
                text, now_ns = Message(text=f"text {i}"), NOW_NS + i * STEP_NS
                number = notes.sign(text, now_ns=now_ns).handle.record
                os.write(writing, number.to_bytes(8, "little"))
        finally:
            os._exit(1)
    released = b""
    os.close(writing)
    while len(released) < 8 * 200 and (more := os.read(reading, 1 << 16)):
        released += more
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while rest := os.read(reading, 1 << 16):
        released += rest
    os.close(reading)
    assert len(released) >= 8 * 200
    last = int.from_bytes(released[-8:], "little")
    assert verify_log(engine.directory).records > last
    with engine.open(now_ns=NOW_NS + 100_000 * STEP_NS, durability="mapped"):
        pass
    assert verify_log(engine.directory).ok
    assert not (engine.directory / "log/ahead.new").exists()


def test_its_thread_ends_with_it(engine: Made) -> None:
    names = [thread.name for thread in threading.enumerate()]
    signer = engine.open(durability="mapped")
    assert "sentinel-ahead" in [thread.name for thread in threading.enumerate()]
    time.sleep(0.05)
    signer.close()
    assert [thread.name for thread in threading.enumerate()] == names


def test_a_name_that_is_none_is_refused(engine: Made) -> None:
    with pytest.raises(UsageError, match="none, write, fsync, mapped"):
        Signer.open(engine.directory, durability="mmap")
