"""A signing process that is killed at random points loses nothing that it released.

Goal: every signature that left the process is in the log, the log is whole, and no counter ever
goes back. Method: `tests/c/crash_writer.c` signs as fast as it can and writes what was released
to a pipe, which a thread here empties; kill -9 comes while it opens or while it signs. After each
kill the new part of the log is read by the few lines below, which share nothing with our readers;
at the end the package's own verification and replay must agree.

`SENTINEL_CRASHES`: how many kills; 25 by default.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import stat
import struct
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from engines import PASSPHRASE, make_engine

from sentinel.audit import replay, verify_log
from sentinel.config import write_file
from sentinel.policy import stable_id

TOP = Path(__file__).resolve().parents[2]
CRASHES = int(os.environ.get("SENTINEL_CRASHES", "25"))
RELEASED = struct.Struct("<QQQ32sB7x64s")
START, ORDER, ALLOWED = 2, 6, 1

POLICY = """\
version: 1
firm:
  name: firm
  allow: {actions: [place, message]}
  agents:
    bot: {}
assets:
  USDT: {par: 1 USD}
  BTC: {}
instruments:
  BTCUSDT: {venue: binance_spot, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
  spot: {venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}
"""


def sha256(data: bytes) -> bytes:
    """The digest, not the object."""
    return hashlib.sha256(data).digest()


@dataclass
class Tail:
    """The log as far as it was read: what stands behind is new."""

    log: Path
    segment: int = 0
    offset: int = 64
    number: int = 0
    last_hash: bytes = bytes(32)
    epoch: int = 0
    key_counter: int = 0
    action_id: int = 0
    signed: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)

    def advance(self) -> None:
        """Reads every whole record; what is cut off at the end is left for the next writer."""
        while True:
            path = self.log / f"{self.segment:020}.log"
            data = path.read_bytes()
            while True:
                size = int.from_bytes(data[self.offset : self.offset + 8], "little")
                record = data[self.offset + 8 : self.offset + 8 + size]
                commit = data[self.offset + 8 + size : self.offset + 16 + size]
                if size == 0 or sha256(b"\0" + record[:320])[:8] != commit:
                    break
                assert int.from_bytes(record[4:8], "little") == size == len(record)
                self.take(record)
                self.offset += size + 16
            following = self.log / f"{self.number:020}.log"
            if size != 0 or self.number == self.segment or not following.exists():
                return
            self.segment, self.offset = self.number, 64

    def take(self, record: bytes) -> None:
        """One record: the next, linked to the one before, its counters above theirs."""
        kind = int.from_bytes(record[2:4], "little")
        number, epoch = struct.unpack_from("<QQ", record, 8)
        assert number == self.number
        assert record[24:56] == self.last_hash
        assert epoch == self.epoch + (kind == START)
        self.number, self.epoch = number + 1, epoch
        self.last_hash = sha256(b"\0" + record[:320])
        if kind == ORDER and record[68] == ALLOWED:
            (key_counter,) = struct.unpack_from("<Q", record, 96)
            (action_id,) = struct.unpack_from("<Q", record, 320 + 16)
            assert key_counter == self.key_counter + 1
            assert action_id > self.action_id
            self.key_counter, self.action_id = key_counter, action_id
            outcome = record[-48 - 64 : -48]
            self.signed[number] = (self.last_hash, outcome[32:64])


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The signing program, linked with the release build of the core."""
    program = tmp_path_factory.mktemp("crash") / "crash_writer"
    subprocess.run(["make", "-s", "-C", str(TOP / "core"), "lib"], check=True)
    subprocess.run(
        [
            *("cc", "-std=c11", "-O2", "-D_POSIX_C_SOURCE=200809L", f"-I{TOP}/core/include"),
            *("-o", str(program), str(TOP / "tests/c/crash_writer.c")),
            *(str(TOP / "build/core/release/libsentinel.a"), "-lsodium", "-lsecp256k1"),
            "-lcrypto",
        ],
        check=True,
    )
    return program


def run_and_kill(command: list[str], choice: random.Random) -> tuple[bytes, int]:
    """Starts the writer and kills it; gives what it released, and its exit status."""
    released = bytearray()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()

        def keep() -> None:
            while piece := os.read(pipe, 1 << 16):
                released.extend(piece)

        reader = threading.Thread(target=keep)
        reader.start()
        if choice.random() < 0.3:  # while it opens, most likely
            time.sleep(choice.uniform(0, 0.012))
        else:
            enough = choice.randrange(1, 150) * RELEASED.size
            deadline = time.monotonic() + 30
            while len(released) < enough and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.0005)
            time.sleep(choice.uniform(0, 0.003))
        process.send_signal(signal.SIGKILL)
        reader.join()
        status = process.wait()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    return bytes(released), status


def test_files_of_the_package_are_synced_and_their_names_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)))
    write_file(tmp_path / "file", b"bytes")
    assert synced == [False, True]
    assert (tmp_path / "file").read_bytes() == b"bytes"


def test_every_released_signature_survives_a_kill(
    writer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_engine(tmp_path / "engine", policy=POLICY)
    tail = Tail(made.directory / "log")
    tail.advance()
    choice = random.Random(20240229)
    counts: Counter[str] = Counter()
    agent, instrument = stable_id("node", "firm/bot"), stable_id("instrument", "BTCUSDT")
    command = [str(writer), str(made.directory), PASSPHRASE.decode(), str(agent), str(instrument)]
    last_record = 0
    for index in range(CRASHES):
        durability = "3" if index % 10 == 9 else "24"[index % 2]  # fsync; write, or mapped
        released, status = run_and_kill([*command, durability], choice)
        assert status == -signal.SIGKILL
        assert len(released) % RELEASED.size == 0
        epoch = tail.epoch
        tail.signed.clear()
        tail.advance()
        assert tail.epoch - epoch in (0, 1)
        for record, of_epoch, _action, digest, size, signature in RELEASED.iter_unpack(released):
            kept_hash, signature_digest = tail.signed[record]
            assert kept_hash == digest
            assert signature_digest == sha256(signature[:size])
            assert of_epoch == tail.epoch
            assert record > last_record
            last_record = record
        counts["released"] += len(released) // RELEASED.size
        counts["recorded"] += len(tail.signed)
        counts["while opening"] += not released
        counts["torn"] = sum(1 for _ in tail.log.glob("torn-*"))
    with made.open() as signer:
        signer.close()
    tail.advance()
    report = verify_log(made.directory)
    assert report.findings == []
    walk = replay(made.directory)
    assert list(walk.differences) == []
    assert walk.records == tail.number
    with capsys.disabled():
        print(
            f"\n{CRASHES} kills ({counts['while opening']} before a release): "
            f"{counts['released']} signatures released, all in the log; "
            f"{counts['recorded']} recorded; {counts['torn']} torn tails; "
            f"{tail.number} records verified and replayed"
        )
    assert counts["released"] > CRASHES
