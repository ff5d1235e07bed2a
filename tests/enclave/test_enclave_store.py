"""The host brings an engine up again from what it kept.

Goal: after a power cut, the store and KMS are all it takes; a store that lacks or mixes something
starts nothing. Method: the daemon's own code in a process, a fake security module and a fake KMS;
only the signature of the boot document is added between.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from engine_life import ALICE, KEEPER, ROOT, Engine, FakeMachine, Machines
from fake_nitro import sign_emulated
from test_enclave_life import _program, running

from sentinel import _enclave_store
from sentinel._attestation_binding import parse_binding
from sentinel._cli import _enclave_store as command
from sentinel._cli import main
from sentinel._cli._mirror import Mirror
from sentinel._enclave_keeper import Copier
from sentinel._enclave_lobby import KEYS, Lobby
from sentinel._enclave_store import PAPERS, Store, bring_up, connect_lobby
from sentinel._enums import Environment
from sentinel.attestation import Expectation, Purpose, TrustRoot, verify
from sentinel.audit import restore
from sentinel.errors import AuditError, EnclaveError, SentinelError, StorageError, UsageError

__all__ = ["_program"]


def stored(engine: Engine, machine: FakeMachine, folder: Path) -> Store:
    """What a host keeps of a running engine."""
    folder.mkdir()
    store = Store(folder)
    papers = (engine.genesis, engine.authority, engine.certificate, engine.wrapped, engine.sealed)
    for name, data in zip(PAPERS, papers, strict=True):
        store.keep(name, data)
    with engine.client(machine, KEEPER) as keeper:
        assert Copier(keeper.connection.call, store).copy().files >= 3
    return store


def test_who_commands_reads_a_copy_of_an_enclaves_log(engine: Engine, machines: Machines) -> None:
    """Sealed blobs are named beside it, and are for the host alone."""
    machine = running(engine, machines)
    made = Mirror()
    with engine.client(machine, ALICE) as people:
        assert KEYS in people.files()
        made.fill(people)
        assert restore(made.directory).state().record_count == people.status().records
    made.close()


class Liar:
    """A daemon that names files of its own choice."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def files(self) -> list[str]:
        return list(self.names)

    def file(self, name: str) -> bytes:
        return name.encode()


def test_a_copy_holds_what_a_log_has_and_nothing_else(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    made = Mirror()
    names = (str(victim), f"log/../../{victim.name}", "log/ahead.new", "log/torn-1", "sealed/keys")
    liar: Any = Liar("log/head", *names, f"log/{0:020}.log")
    with pytest.raises(SentinelError):  # it is no log
        made.fill(liar)
    kept = [path for path in made.directory.rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {"head", f"{0:020}.log"}
    part: Any = Liar("log/head", f"log/{7:020}.log")
    with pytest.raises(AuditError, match="beginning of its log"):
        made.fill(part)
    assert not victim.exists()
    made.close()


def signing(engine: Engine, lobby: Lobby) -> Lobby:
    """The lobby, with the hypervisor's signature under its documents."""
    attest = lobby.attest
    signed = type("Signing", (Lobby,), {})(lobby._stream)
    signed.attest = lambda purpose, nonce: sign_emulated(
        attest(Purpose(purpose), nonce), engine.hypervisor
    )
    return signed


def test_an_engine_comes_back_from_its_store(
    engine: Engine,
    machines: Machines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = running(engine, machines)
    store = stored(engine, machine, tmp_path / "store")
    before = store.paper("keys.sealed")
    machine.end()
    machines.boot()
    monkeypatch.setattr(
        command, "connect_lobby", lambda _: signing(engine, Lobby(machines.made[-1].lobby()))
    )
    monkeypatch.setattr(command, "kms_client", lambda _: engine.kms)
    words = ["enclave", "resume", "--store", str(store.folder), "--key-id", "key", "--json"]
    assert main(words) == 0
    assert store.paper("keys.sealed") != before
    told = json.loads(capsys.readouterr().out)
    found = verify(
        Path(told["document"]).read_bytes(),
        expectation=Expectation(machines.made[-1].pcrs, None),
        nonce=bytes.fromhex(told["nonce"]),
        now=dt.datetime.now(dt.UTC),
        root=TrustRoot.of_pem(engine.hypervisor.pem),
    )
    assert found.user_data is not None
    engine.pin = parse_binding(found.user_data).session_key_hash
    with engine.client(machines.made[-1], ALICE) as people:  # sessions are held again
        assert people.status().epoch == 2


def test_a_store_that_lacks_or_mixes_something_starts_nothing(
    engine: Engine, machines: Machines, tmp_path: Path
) -> None:
    machine = running(engine, machines)
    store = stored(engine, machine, tmp_path / "store")
    machine.end()
    lobby = signing(engine, Lobby(machines.boot().lobby()))
    certificate = store.paper("certificate")
    (store.folder / "certificate").unlink()
    with pytest.raises(StorageError, match="certificate"):
        bring_up(lobby, store, engine.kms, "key")
    store.keep("certificate", store.paper("authority"))
    with pytest.raises(SentinelError, match="unwrap"):
        bring_up(lobby, store, engine.kms, "key")
    store.keep("certificate", certificate)
    sealed = bytearray(store.paper("keys.sealed"))
    sealed[-1] ^= 1
    store.keep("keys.sealed", bytes(sealed))
    with pytest.raises(EnclaveError, match="does not open"):
        bring_up(lobby, store, engine.kms, "key")
    lobby.close()


@pytest.mark.parametrize("name", ["../x", "log/../x", "keys/engine", "log/", "log/.x", "x"])
def test_names_of_files_stay_inside(name: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="names a file"):
        Store(tmp_path).keep_file(name, b"")


def test_addresses_of_a_lobby_are_checked(tmp_path: Path) -> None:
    for bad in ("", "vsock://", "vsock://a:b", "tcp://1:2", "unix://"):
        with pytest.raises(UsageError, match="no address"):
            connect_lobby(bad)
    with pytest.raises(StorageError, match="no lobby answers"):
        connect_lobby(f"unix://{tmp_path}/none")
    assert _enclave_store.LOBBY_SECONDS > 0


def test_files_are_kept_through_a_session_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enclave", "keep", "--store", "/nowhere"]) == 2
    assert "which daemon?" in capsys.readouterr().err


def test_what_broke_off_is_done_again_in_the_same_enclave(
    engine: Engine, machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's process may end at any request: the next one needs no other boot."""
    machine = running(engine, machines)
    store = stored(engine, machine, tmp_path / "store")
    machine.end()
    machine = machines.boot()
    for name in ("keys", "file", "resume"):
        lobby = signing(engine, Lobby(machine.lobby()))
        monkeypatch.setattr(lobby, name, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bring_up(lobby, store, engine.kms, "key")
        lobby.close()
    lobby = signing(engine, Lobby(machine.lobby()))
    bring_up(lobby, store, engine.kms, "key")
    lobby.close()


def test_an_enclave_that_begins_another_engine_is_not_gone_on_with(
    engine: Engine, machines: Machines, tmp_path: Path
) -> None:
    machine = running(engine, machines)
    store = stored(engine, machine, tmp_path / "store")
    machine.end()
    lobby = signing(engine, Lobby(machines.boot().lobby()))
    lobby.genesis(Environment.TEST, 1, [engine.public[ROOT]])
    with pytest.raises(UsageError, match="in the middle of something else"):
        bring_up(lobby, store, engine.kms, "key")
    lobby.close()
