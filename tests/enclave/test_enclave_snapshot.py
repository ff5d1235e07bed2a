"""Sealed snapshots: a restart that replays only what is behind one.

Goal: what comes back is what all of the log gives, byte for byte; a snapshot that was altered, cut,
swapped, is of another engine or another history is refused by name, and nothing is then half
started; where all of the log is there, it still goes on. Method: the daemon's own code; a drain
makes it take a snapshot; whole logs and parts of them are given back.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from engine_life import AGENT, ALICE, BOB, Engine, FakeMachine, Lobby, Machines
from life_steps import message
from test_enclave_life import _program, refusal, running

from sentinel import _layout
from sentinel._enclave_lobby import give_back, resume_from
from sentinel._enclave_papers import SEALED
from sentinel._enums import Command
from sentinel._frame import FrameKind
from sentinel._record import tree_root
from sentinel.attestation import Purpose as For
from sentinel.errors import AuditError, EngineHalted, SentinelError
from sentinel.policy import stable_id

__all__ = ["_program"]

LONG = 3000
"""Messages that fill more than one segment."""


def snapshots(files: dict[str, bytes]) -> list[str]:
    return sorted(name for name in files if name.endswith(".snapshot"))


def copied(engine: Engine, machine: FakeMachine, after: str = "") -> str:
    """What the host keeps, once a snapshot behind this one is sealed; its name."""
    until = time.monotonic() + 30
    while True:
        engine.keep(machine)
        found = snapshots(engine.files)
        if found and found[-1] > after:
            return found[-1]
        assert time.monotonic() < until, "no snapshot"
        time.sleep(0.1)


def drained(engine: Engine, machine: FakeMachine, count: int = 5) -> None:
    with engine.client(machine, ALICE) as people, engine.client(machine, AGENT) as maker:
        engine.grant(people)
        engine.lease(people)
        for i in range(count):
            message(maker, f"before {i}")
            if i % 500 == 499:
                engine.grant(people)
        engine.grant(people)
        engine.confirmed(people, lambda: people.drain("an upgrade"))


def resumed(engine: Engine, machine: FakeMachine) -> None:
    """k of n let it go on."""
    part = _layout.command(Command.RESUME, stable_id("node", "firm"), "go on", engine.terms())
    with engine.client(machine, ALICE) as people:
        engine.grant(people)
        people.hand_in(engine.signed(FrameKind.COMMAND, part, ALICE, BOB))
        engine.grant(people)
        engine.lease(people)


def back(engine: Engine, machine: FakeMachine, files: dict[str, bytes]) -> Lobby:
    """A lobby that has root and keys, and these files."""
    kept, engine.files = engine.files, {}
    lobby = engine.bring_back(machine)
    engine.files = kept
    found = engine.attested(lobby, machine, For.SESSION).binding
    assert found is not None
    engine.pin = found.session_key_hash
    give_back(lobby, files)
    return lobby


@pytest.fixture
def ended(engine: Engine, machines: Machines) -> Engine:
    """An engine that was drained, whose host has its snapshot and a few records behind it."""
    machine = running(engine, machines)
    drained(engine, machine)
    copied(engine, machine)
    machine.end()
    return engine


def test_part_of_the_log_and_a_snapshot_are_what_all_of_the_log_is(
    engine: Engine, machines: Machines
) -> None:
    machine = running(engine, machines)
    drained(engine, machine, LONG)
    first = copied(engine, machine)
    machine.end()
    whole = dict(engine.files)
    segments = [name for name in whole if name.endswith(".log")]
    assert len(segments) > 2

    machine = machines.boot()
    lobby = back(engine, machine, whole)
    engine.sealed = lobby.resume()[0]
    resumed(engine, machine)
    with engine.client(machine, AGENT) as maker:
        message(maker, "it signs")
    drained(engine, machine)
    with engine.client(machine, ALICE) as people:
        with pytest.raises(AuditError, match="has no record 0"):
            next(iter(people.records()))
        head = people.head()
    copied(engine, machine, first)
    machine.end()
    assert len([name for name in engine.files if name.endswith(".log")]) < len(segments)

    # The second boot's own SNAPSHOT record has its state's digest: a replay of every record from
    # the first on, which is refused with any other state, has it, too.
    without = {name: data for name, data in (whole | engine.files).items() if "sealed" not in name}
    machine = machines.boot()
    lobby = back(engine, machine, without)
    engine.sealed = lobby.resume()[0]
    with engine.client(machine, ALICE) as people:
        leaves = [record.hash for record in people.records()]
        assert len(leaves) > head.count > LONG
        # Both heads have the root over all records, the sealed tree's part included.
        assert tree_root(leaves[: head.count]) == head.root
        now = people.head()
        assert tree_root(leaves[: now.count]) == now.root


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("magic", "FORMAT_MAGIC"),
        ("version", "FORMAT_VERSION"),
        ("reserved", "FORMAT_RESERVED"),
        ("type", "ENCLAVE_TYPE"),
        ("engine", "ENCLAVE_FOREIGN"),
        ("epoch", "ENCLAVE_SEAL"),
        ("number", "ENCLAVE_SEAL"),
        ("head", "ENCLAVE_SEAL"),
        ("from", "ENCLAVE_SEAL"),
        ("tree", "ENCLAVE_SEAL"),
        ("state", "ENCLAVE_SEAL"),
        ("tag", "ENCLAVE_SEAL"),
        ("cut", "FORMAT_SIZE"),
        ("longer", "FORMAT_SIZE"),
        ("keys", "ENCLAVE_TYPE"),
        ("nothing", "FORMAT_SIZE"),
    ],
)
def test_a_snapshot_that_is_not_what_was_sealed_is_refused(
    ended: Engine, machines: Machines, what: str, expected: str
) -> None:
    name = snapshots(ended.files)[-1]
    right = ended.files[name]
    places = {"magic": 0, "version": 8, "type": 10, "engine": 16, "epoch": 48, "number": 56}
    places |= {"head": 72, "reserved": 116, "from": 120, "tree": 200, "state": 128 + 2056 + 99}
    places |= {"tag": len(right) - 1}
    wrong = {
        "cut": right[:-100],
        "longer": right + b"\0",
        "keys": ended.sealed,
        "nothing": b"\0" * 100,
    }
    if what == "type":
        wrong["type"] = right[:10] + b"\1" + right[11:]
        wrong["type"] = wrong["type"][:120] + bytes(8) + wrong["type"][128:]
    bad = wrong[what] if what in wrong else changed(right, places[what])
    lobby = back(ended, machines.boot(), {})
    assert refusal(lobby.snapshot, bad) == expected
    ended.sealed = resume_from(lobby, ended.files | {name: bad})[0]


def test_a_snapshot_is_no_keyring(ended: Engine, machines: Machines) -> None:
    ended.sealed = ended.files[snapshots(ended.files)[-1]]
    assert refusal(ended.bring_back, machines.boot()) == "ENCLAVE_TYPE"


def test_half_a_snapshot_is_none(ended: Engine, machines: Machines) -> None:
    data = ended.files[snapshots(ended.files)[-1]]
    lobby = back(ended, machines.boot(), {})
    assert refusal(lobby.snapshot_piece, data[100:], 100, len(data)) == "FORMAT_RANGE"
    lobby.snapshot_piece(data[:200], 0, len(data))
    assert refusal(lobby.snapshot_piece, data[300:], 300, len(data)) == "FORMAT_RANGE"
    lobby.snapshot_piece(data[:200], 0, len(data))
    ended.sealed = resume_from(lobby, {n: d for n, d in ended.files.items() if "shot" not in n})[0]


def test_a_snapshot_of_another_engine_is_refused(
    ended: Engine, machines: Machines, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Engine(tmp_path / "other")
    machine = running(other, machines)
    drained(other, machine)
    copied(other, machine)
    other.end()
    foreign = other.files[snapshots(other.files)[-1]]
    lobby = back(ended, machines.boot(), {})
    assert refusal(lobby.snapshot, foreign) == "ENCLAVE_FOREIGN"
    resume_from(lobby, ended.files)


def test_a_snapshot_of_another_history_or_of_more_than_the_log_is_refused(
    engine: Engine, machines: Machines
) -> None:
    machine = running(engine, machines)
    engine.keep(machine)
    base = dict(engine.files)
    drained(engine, machine)
    name = copied(engine, machine)
    machine.end()
    snapshot = engine.files[name]
    lobby = back(engine, machines.boot(), base)
    lobby.snapshot(snapshot)
    assert refusal(lobby.resume) == "AUDIT_TRUNCATED"  # the log was once longer
    # A fork that is longer: the host let another boot go on from the older files.
    machine = machines.boot()
    lobby = back(engine, machine, base)
    lobby.resume()
    with engine.client(machine, AGENT) as maker:
        for _ in range(60):
            with pytest.raises(SentinelError):
                message(maker, "without a lease")
    with engine.client(machine, ALICE) as people:
        for i in range(20):
            with pytest.raises(SentinelError):
                people.halt(f"a fork {i}")
        assert people.status().records > int(name[7:27])
    engine.keep(machine)
    fork = {n: d for n, d in engine.files.items() if "sealed" not in n}
    machine.end()
    lobby = back(engine, machines.boot(), fork)
    lobby.snapshot(snapshot)
    assert refusal(lobby.resume) == "ENCLAVE_STALE"
    # Nothing of that attempt stays: the same enclave goes on with what fits.
    resume_from(lobby, fork | {name: snapshot})


def test_an_older_snapshot_gives_the_same_with_more_records(
    engine: Engine, machines: Machines
) -> None:
    machine = running(engine, machines)
    drained(engine, machine)
    first = copied(engine, machine)
    resumed(engine, machine)
    drained(engine, machine)
    second = copied(engine, machine, first)
    machine.end()
    for left in ({second}, {first}, {first, second}):
        files = {name: data for name, data in engine.files.items() if name not in left}
        machine = machines.boot()
        engine.sealed = back(engine, machine, files).resume()[0]
        with engine.client(machine, ALICE) as people:
            assert people.status().epoch == 2
        machine.end()


def test_a_part_that_is_too_small_or_has_a_stray_file_starts_nothing(
    engine: Engine, machines: Machines
) -> None:
    machine = running(engine, machines)
    drained(engine, machine, LONG)
    copied(engine, machine)
    machine.end()
    name = snapshots(engine.files)[-1]
    segments = sorted(n for n in engine.files if n.endswith(".log"))
    # Without the snapshot, a part of the log is nothing.
    part = {n: d for n, d in engine.files.items() if n not in (name, segments[0])}
    assert refusal(back(engine, machines.boot(), part).resume) == "AUDIT_TRUNCATED"
    # A file that no reader from the beginning would enter.
    stray = {n: d for n, d in engine.files.items() if n != name}
    at = int(segments[1][4:24]) + 3
    stray[f"log/{at:020}.log"] = stray[segments[1]]
    assert refusal(back(engine, machines.boot(), stray).resume).startswith("AUDIT_")
    engine.sealed = resume_from(back(engine, machines.boot(), {}), engine.files)[0]


def test_an_old_snapshot_with_the_old_log_signs_nothing(ended: Engine, machines: Machines) -> None:
    old = dict(ended.files)
    machine = machines.boot()
    ended.resume(machine)
    resumed(ended, machine)
    with ended.client(machine, ALICE) as people:
        ended.confirmed(people, lambda: people.halt("an old snapshot must not undo this"))
    machine.end()
    ended.files = old
    machine = machines.boot()
    ended.resume(machine)
    with ended.client(machine, ALICE) as people:
        with contextlib.suppress(SentinelError):
            ended.grant(people)
        with contextlib.suppress(SentinelError):
            people.lease()
    with ended.client(machine, AGENT) as maker, pytest.raises(EngineHalted):
        message(maker)


def test_snapshots_are_kept_small_in_number(ended: Engine) -> None:
    assert 1 <= len(snapshots(ended.files)) <= 2
    header = SEALED.unpack(ended.files[snapshots(ended.files)[-1]][: SEALED.size])
    assert header["type"] == 2
    assert header["engine_id32"] == ended.engine_id
    assert header["from_record"] <= header["head_number"]
