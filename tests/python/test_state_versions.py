"""A state of another version is never read as if it were of this one.

Goal: a snapshot that another version of the layout wrote is passed over, and the log, which says
the same, is replayed; a log that was decided by other rules is refused. Method: the core is built
once more with another version in one header, and that build's program signs until it is killed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest
from engines import LIMIT, PASSPHRASE, facts, make_engine
from test_crash import POLICY, RELEASED, Tail

from sentinel.audit import replay, restore, verify_log
from sentinel.errors import PolicyDenied
from sentinel.policy import stable_id
from sentinel.sign import Signer

TOP = Path(__file__).resolve().parents[2]
STATES = TOP / "tests" / "golden" / "states"
STATE_VERSION = int(
    (TOP / "core/include/sentinel/state.h")
    .read_text()
    .split("SENTINEL_STATE_VERSION ")[1]
    .split("u")[0]
)


def other_writer(place: Path, header: str, name: str) -> Path:
    """The signing program of `crash_writer.c`, by a core in which the constant is one more."""
    shutil.copytree(TOP / "core", place / "core")
    path = place / "core/include/sentinel" / header
    text, count = re.subn(
        rf"(#define {name} )(\d+)u", lambda m: f"{m[1]}{int(m[2]) + 1}u", path.read_text()
    )
    assert count == 1
    path.write_text(text)
    program = place / "writer"
    subprocess.run(
        [
            *("cc", "-std=c11", "-O0", "-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE"),
            *(f"-I{place}/core/include", f"-I{place}/core/src", "-o", str(program)),
            str(TOP / "tests/c/crash_writer.c"),
            *map(str, sorted((place / "core/src").glob("*.c"))),
            *("-lsodium", "-lsecp256k1", "-lcrypto"),
        ],
        check=True,
    )
    return program


def sign_and_kill(program: Path, directory: Path, count: int) -> None:
    """At least so many orders, with a snapshot every 50 records."""
    agent, instrument = stable_id("node", "firm/bot"), stable_id("instrument", "BTCUSDT")
    command = [str(program), str(directory), PASSPHRASE.decode(), str(agent), str(instrument), "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(count):
            assert len(os.read(process.stdout.fileno(), RELEASED.size)) == RELEASED.size
        process.send_signal(signal.SIGKILL)


def test_a_snapshot_of_another_version_is_passed_over_and_the_log_replayed(
    tmp_path: Path,
) -> None:
    made = make_engine(tmp_path / "engine", policy=POLICY)
    program = other_writer(tmp_path / "other", "state.h", "SENTINEL_STATE_VERSION")
    sign_and_kill(program, made.directory, 120)
    tail = Tail(made.directory / "log")
    tail.advance()
    kept = [path.read_bytes()[:12] for path in (made.directory / "snapshots").iterdir()]
    assert len(kept) >= 2
    assert set(kept) == {b"SENTSTAT" + bytes([STATE_VERSION + 1, 0, 0, 0])}
    # Reading beside the writer, auditing, and opening all go by the log.
    assert restore(made.directory).state().record_count == tail.number
    assert verify_log(made.directory).findings == []
    assert list(replay(made.directory).differences) == []
    with made.open() as signer:
        assert signer.status().records == tail.number + 1
        assert signer.status().epoch == tail.epoch + 1
    # Closing took a snapshot of this version; the next start is quick again.
    walk = replay(made.directory)
    assert list(walk.differences) == []
    assert walk.decisions == len(tail.signed) > 100


def test_records_decided_by_other_rules_are_refused_not_read(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine", policy=POLICY)
    program = other_writer(tmp_path / "other", "types.h", "SENTINEL_SEMANTICS_VERSION")
    agent, instrument = stable_id("node", "firm/bot"), stable_id("instrument", "BTCUSDT")
    command = [str(program), str(made.directory), PASSPHRASE.decode(), str(agent), str(instrument)]
    before = sorted(p.read_bytes() for p in (made.directory / "log").glob("*.log"))
    done = subprocess.run([*command, "2"], capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert done.stderr == "open: 0x203\n"  # FORMAT_VERSION
    assert sorted(p.read_bytes() for p in (made.directory / "log").glob("*.log")) == before
    with made.open() as signer:  # the version that wrote it goes on
        assert signer.status().records > 3


def kept_engine(version: str, place: Path) -> Path:
    """One of the engines that `tests/golden/make_states.py` kept."""
    with tarfile.open(STATES / f"{version}.tar.gz") as archive:
        archive.extractall(place, filter="tar")
    return place / "engine"


@pytest.mark.parametrize("version", sorted(p.name[: -len(".tar.gz")] for p in STATES.glob("*.gz")))
def test_an_engine_that_an_earlier_version_left_opens_with_every_stop(
    version: str, tmp_path: Path
) -> None:
    directory = kept_engine(version, tmp_path)
    expected = json.loads((STATES / f"{version}.json").read_text())
    again = "when a layout changed before the first release, run tests/golden/make_states.py"
    assert facts(directory) == expected, again
    assert verify_log(directory).findings == [], again
    assert list(replay(directory).differences) == [], again
    for without_snapshots in (False, True):
        if without_snapshots:
            shutil.rmtree(directory)
            kept_engine(version, tmp_path)
            for path in (directory / "snapshots").iterdir():
                path.unlink()
            assert facts(directory) == expected
        now = expected["last_ns"] + 10**9
        with Signer.open(
            directory, passphrase=PASSPHRASE, durability="write", now_ns=now
        ) as signer:
            status = signer.status(now)
            assert status.records == expected["records"] + 1
            assert status.epoch == expected["epoch"] + 1
            stopped = {(stop.scope, stop.path, stop.mode) for stop in status.stops}
            assert stopped == {
                ("node", "firm", "halted"),
                ("node", "firm/desk/taker", "draining"),
                ("venue", "okx", "halted"),
                ("instrument", "ETHBTC", "halted"),
            }
            with pytest.raises(PolicyDenied):
                signer.session("maker").sign(LIMIT, now_ns=now)
            signer.resume("the version is known", now_ns=now)
            signer.session("maker").sign(LIMIT, now_ns=now)
            signer.close(now)


def test_an_engine_of_the_present_version_is_kept(tmp_path: Path) -> None:
    """A new layout has a new number, and an engine that shows it."""
    snapshots = sorted((kept_engine(str(STATE_VERSION), tmp_path) / "snapshots").iterdir())
    assert snapshots
    for path in snapshots:
        assert path.read_bytes()[:12] == b"SENTSTAT" + STATE_VERSION.to_bytes(4, "little")
