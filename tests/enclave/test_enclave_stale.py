"""A host gives older keys back, and those of another engine.

Goal: what the log says of the last start's keys is what must come back, by content; where the host
has older ones, nothing starts, and the error says what to do. Method: the daemon's own code,
several boots, keys brought in between them.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from engine_life import ALICE, SECRET, Engine, FakeMachine, Lobby, Machines
from test_enclave_life import _program, refusal, running

from sentinel._enclave_lobby import KEYS
from sentinel._enclave_papers import NewKey
from sentinel._enums import Algorithm, Purpose, Venue
from sentinel._notes import KeyOrigin, parse_key
from sentinel._record import RecordType
from sentinel.attestation import Purpose as For
from sentinel.errors import EnclaveError, SentinelError

__all__ = ["_program"]


def import_one(engine: Engine, lobby: Lobby, machine: FakeMachine, number: int) -> None:
    key = NewKey(
        id=number,
        purpose=Purpose.VENUE,
        algorithm=Algorithm.HMAC_SHA256,
        venue=Venue.OKX,
        api_key=f"account-{number}",
        secret=SECRET,
        passphrase="word",
    )
    lobby.import_(engine.import_frame(lobby, machine, key))


def grown(engine: Engine, machines: Machines, number: int) -> None:
    """Another boot, with one key more, and what its host keeps; then the power is cut."""
    machine = machines.boot()
    lobby = engine.bring_back(machine)
    import_one(engine, lobby, machine, number)
    found = engine.attested(lobby, machine, For.SESSION).binding
    assert found is not None
    engine.pin = found.session_key_hash
    engine.sealed = lobby.resume()[0]
    engine.keep(machine)
    machine.end()


@pytest.fixture
def times(engine: Engine, machines: Machines) -> list[tuple[bytes, dict[str, bytes]]]:
    """Sealed keys and files as of three boots, each with a key more."""
    machine = running(engine, machines)
    engine.keep(machine)
    machine.end()
    kept = [(engine.sealed, engine.files)]
    for number in (901, 902):
        grown(engine, machines, number)
        kept.append((engine.sealed, engine.files))
    return kept


def test_each_older_keyring_is_refused_and_the_newest_goes_on(
    engine: Engine, machines: Machines, times: list[tuple[bytes, dict[str, bytes]]]
) -> None:
    _, newest = times[-1]
    for older, _ in times[:-1]:
        engine.sealed, engine.files = older, newest
        lobby = engine.bring_back(machines.boot())
        with pytest.raises(EnclaveError) as refused:
            lobby.resume()
        said = refused.value
        assert refusal(lobby.resume) == "ENCLAVE_STALE"  # and again: nothing is half started
        assert "newest" in "".join(map(str, said.diagnostics()))
    engine.sealed = times[-1][0]
    engine.resume(machines.boot())


def test_an_older_keyring_cannot_hide_what_it_lacks_behind_a_new_key(
    engine: Engine, machines: Machines, times: list[tuple[bytes, dict[str, bytes]]]
) -> None:
    engine.sealed, engine.files = times[1][0], times[2][1]
    machine = machines.boot()
    lobby = engine.bring_back(machine)
    import_one(engine, lobby, machine, 903)
    assert refusal(lobby.resume) == "ENCLAVE_STALE"
    # What was lost can be brought in again: the same key is the same keyring.
    machine = machines.boot()
    lobby = engine.bring_back(machine)
    import_one(engine, lobby, machine, 902)
    lobby.resume()


def test_the_same_keys_count_whichever_boot_sealed_them(
    engine: Engine, machines: Machines, times: list[tuple[bytes, dict[str, bytes]]]
) -> None:
    before, engine.files = times[-1]
    machine = machines.boot()
    engine.resume(machine)
    assert engine.sealed != before
    engine.keep(machine)
    machine.end()
    assert engine.files[KEYS] == engine.sealed  # for a host that lost the lobby's answer
    engine.sealed = before
    engine.resume(machines.boot())


def test_newer_keys_than_the_log_s_go_on(
    engine: Engine, machines: Machines, times: list[tuple[bytes, dict[str, bytes]]]
) -> None:
    engine.sealed, engine.files = times[1][0], times[0][1]  # died before its log was copied
    engine.resume(machines.boot())


def test_keys_of_another_history_are_refused(
    engine: Engine, machines: Machines, times: list[tuple[bytes, dict[str, bytes]]]
) -> None:
    engine.sealed, engine.files = times[0]
    grown(engine, machines, 911)
    engine.files = times[1][1]
    assert refusal(engine.bring_back(machines.boot()).resume) == "ENCLAVE_STALE"


def test_a_key_of_a_history_that_is_gone_is_recorded_as_found(
    engine: Engine, machines: Machines, times: list[tuple[bytes, dict[str, bytes]]]
) -> None:
    """The boot that brought key 901 in has left its sealed keys alone; the log went on without."""
    engine.sealed, engine.files = times[0]
    machine = machines.boot()
    engine.resume(machine)
    with engine.client(machine, ALICE) as people:
        for number in range(20):
            with contextlib.suppress(SentinelError):
                people.halt(f"{number}")
    engine.keep(machine)
    machine.end()
    engine.sealed = times[1][0]
    machine = machines.boot()
    engine.resume(machine)
    with engine.client(machine, ALICE) as people:
        found = [parse_key(one) for one in people.records() if one.type is RecordType.KEY]
    assert {901: KeyOrigin.FOUND}.items() <= {note.id: note.origin for note in found}.items()


def test_keys_of_another_engine_are_refused(
    engine: Engine, machines: Machines, tmp_path: Path
) -> None:
    machine = running(engine, machines)
    engine.keep(machine)
    machine.end()
    (tmp_path / "other").mkdir()
    other = Engine(tmp_path / "other")
    running(other, machines)
    engine.sealed, right = other.sealed, engine.sealed
    other.end()
    assert refusal(engine.bring_back, machines.boot()) == "ENCLAVE_FOREIGN"
    engine.sealed = right
    engine.resume(machines.boot())
    with engine.client(machines.made[-1], ALICE) as people:
        assert people.status().epoch == 2
