"""The host's process: it copies what the engine keeps, and carries grants.

Goal: what is in the store can always come back, wherever a copy is cut short; what the witness
confirms was in the store before it was asked; an engine whose host only runs this process goes on.
Method: a made-up log with seeded growth and cuts; the daemon's own code in a process with a fake
security module, a witness over HTTP, and KMS as a fake.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_life import AGENT, ALICE, KEEPER, Engine, FakeMachine, Machines, kept_files
from life_steps import halted, message, signs
from test_enclave_life import _program, running
from test_enclave_store import signing, stored

from sentinel import _enclave_follow, _enclave_keeper
from sentinel._cli._enclave_store import LOBBY
from sentinel._enclave_follow import Follower, Revival, only_keeper
from sentinel._enclave_keeper import Copied, Copier, Keeper, frames_end, head_count
from sentinel._enclave_lobby import KEYS, Lobby
from sentinel._enclave_store import Store
from sentinel._record import head_check
from sentinel._service import Request, WitnessFlag
from sentinel._status import Status
from sentinel.attestation import Expectation, TrustRoot, parse_binding, verify
from sentinel.client import Client
from sentinel.errors import EngineLocked, PolicyDenied, SentinelError, StorageError, exception_of
from sentinel.witness import Server, WitnessError

__all__ = ["_program"]

SEGMENT = 4096


# ---- Copies of a made-up log --------------------------------------------------------------------


class FakeLog:
    """An engine's files in memory, as FILE gives them; `cut`: after so many answers it is gone."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.count = self.generation = self.asked = 0
        self.cut = -1
        self._turn()
        self._head()

    def _turn(self) -> None:
        self.name = f"log/{self.count:020}.log"
        self.files[self.name] = bytearray(b"SENTSEGM".ljust(64, b"\1").ljust(SEGMENT, b"\0"))
        self.at = 64

    def _head(self) -> None:
        self.generation += 1
        slot = struct.pack("<QQQQ16s", self.count, 0, 1, self.generation, bytes(16))
        slot += head_check(slot)
        page = self.files.setdefault("log/head", bytearray(4096))
        at = self.generation % 2 * 2048
        page[at : at + 64] = slot

    def append(self, size: int) -> None:
        if self.at + size + 24 > SEGMENT:
            self._turn()
        frame = struct.pack("<Q", size) + b"\5" * size + b"\6" * 8
        self.files[self.name][self.at : self.at + len(frame)] = frame
        self.at += len(frame)
        self.count += 1
        self._head()

    def ask(self, kind: int, payload: bytes) -> bytes:
        assert kind == Request.FILE
        if self.cut == 0:
            raise StorageError("the power is gone")
        self.cut -= 1
        at, size, name = struct.unpack("<QI4x96s", payload)
        self.asked += 1
        if not any(name):
            rest = [one for one in self.files if one != "log/head"]
            random.shuffle(rest)
            return "".join(f"{one}\n" for one in ["log/head", *rest]).encode()
        known = name.rstrip(b"\0").decode()
        if known.endswith((".new", "torn-1")):
            raise exception_of(Status.FORMAT_TEXT)("no such file", status=Status.FORMAT_TEXT)
        return struct.pack("<Q", len(self.files[known])) + self.files[known][at : at + size]


def records_in(store: Store) -> int:
    """How many whole frames the store's segments have, without a hole."""
    count = 0
    for name, data in store.files():
        if name.endswith(".log"):
            assert int(name[4:-4]) == count, "a hole between segments"
            at = 64
            while (end := frames_end(data, at, len(data))) > at:
                while at < end:
                    at += int.from_bytes(data[at : at + 8], "little") + 16
                    count += 1
    return count


@pytest.mark.parametrize("seed", range(6))
def test_wherever_a_copy_is_cut_its_head_counts_only_what_is_there(
    seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    log, store = FakeLog(), Store(tmp_path)
    log.append(8)
    copier = Copier(log.ask, store)
    copier.copy()
    known = 1
    for _ in range(20):
        for _ in range(rng.choice((0, 1, 2, 9, 200))):
            log.append(8 * rng.randint(1, 60))
        if rng.random() < 0.2:
            log.files[f"bundles/{rng.randrange(2**256):064x}"] = bytearray(rng.randbytes(3000))
        if rng.random() < 0.1:
            copier = Copier(log.ask, store)  # the keeper was started anew
        log.cut = rng.choice((-1, -1, rng.randint(0, 12)))
        with contextlib.suppress(StorageError):
            copied = copier.copy()
            assert copied.records == log.count
        counted = head_count((tmp_path / "files" / "log" / "head").read_bytes())
        assert known <= counted <= records_in(store)
        known = counted
    log.cut = -1
    assert copier.copy().records == log.count
    assert dict(store.files()) == {name: bytes(data) for name, data in log.files.items()}


def test_a_segment_that_begins_meanwhile_is_not_in_the_head_that_is_kept(tmp_path: Path) -> None:
    """Whatever the engine writes between two questions of a copy."""
    for busy in range(8):
        log, store = FakeLog(), Store(tmp_path / str(busy))
        log.append(8)
        asked = [0]

        def ask(
            kind: int, payload: bytes, log: FakeLog = log, asked: list[int] = asked, at: int = busy
        ) -> bytes:
            answer = log.ask(kind, payload)
            if asked[0] == at:
                for _ in range(20):  # more than a segment
                    log.append(480)
            asked[0] += 1
            return answer

        copied = Copier(ask, store).copy()
        assert copied.records <= records_in(store)
        given = dict(kept_files(ask))
        before, log.files = log.files, {name: bytearray(data) for name, data in given.items()}
        assert Copier(log.ask, Store(tmp_path / f"{busy} again")).copy().records <= records_in(
            Store(tmp_path / f"{busy} again")
        )
        log.files = before


def test_only_what_was_added_is_asked_for(tmp_path: Path) -> None:
    log, store = FakeLog(), Store(tmp_path)
    log.files["bundles/" + "0" * 64] = bytearray(100)
    log.files["log/torn-1"] = bytearray(8)
    log.files["log/00000000000000000009.log.new"] = bytearray(8)
    for _ in range(300):
        log.append(104)
    copier = Copier(log.ask, store)
    assert copier.copy().files > 5
    assert not (tmp_path / "files" / "log" / "torn-1").exists()
    asked = log.asked
    log.append(8)
    assert copier.copy().files == 2  # the last segment, and the head
    assert log.asked - asked <= 5
    assert copier.copy().files == 0
    again = Copier(log.ask, store)
    assert again.copy().files == 0  # what is there is not written again


def test_what_is_no_log_is_not_kept(tmp_path: Path) -> None:
    log, store = FakeLog(), Store(tmp_path)
    for page in (b"", bytes(4096), b"\1" * 4096):
        with pytest.raises(StorageError, match="no head"):
            head_count(page)
    log.files["log/head"] = bytearray(4096)
    with pytest.raises(StorageError, match="no head"):
        Copier(log.ask, store).copy()
    log.files["keys/engine"] = bytearray(1)
    with pytest.raises(StorageError, match="names a file"):
        Copier(log.ask, store).copy()
    assert not (tmp_path / "files" / "keys").exists()


# ---- Grants -------------------------------------------------------------------------------------

Told = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    with Server(engine.witness, "127.0.0.1:0") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def teller(told: Told) -> Callable[[str, str, dict[str, Any]], None]:
    return lambda event, text, data: told.append((event, text, data))


def papers(engine: Engine, folder: Path) -> Store:
    folder.mkdir(exist_ok=True)
    store = Store(folder)
    store.keep("genesis", engine.genesis)
    return store


def test_an_engine_goes_on_as_long_as_its_keeper_looks(
    engine: Engine, machines: Machines, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = running(engine, machines)
    engine.witness._size = (6, 10**12)  # grants of six records
    store = papers(engine, tmp_path / "store")
    asked = []

    def watched(where: str, question: bytes) -> bytes:
        asked.append((struct.unpack_from("<Q", question, 72)[0], records_of(store)))
        return post(where, question)

    post = _enclave_keeper.post
    monkeypatch.setattr(_enclave_keeper, "post", watched)
    told: Told = []
    with (
        engine.client(machine, KEEPER) as session,
        engine.client(machine, ALICE) as people,
        engine.client(machine, AGENT) as maker,
    ):

        class Busy(Keeper):
            """Between a look and the question there is another record."""

            def _round(self) -> tuple[Copied, bool]:
                with contextlib.suppress(PolicyDenied):
                    message(maker, "meanwhile")
                return super()._round()

        keeper = Busy(session, store, url, teller(told))
        with pytest.raises(WitnessError):
            people.lease(3600 * 10**9 // 2)  # held: nobody confirmed it
        assert WitnessFlag.HELD in people.status().witness
        assert keeper.look() is not None
        assert WitnessFlag.HELD not in people.status().witness
        for i in range(20):  # more than three grants
            assert message(maker, f"number {i}").signature
            keeper.look()
        with pytest.raises(WitnessError):
            people.halt("a test of the halt")
        keeper.look()
        assert not WitnessFlag.HELD & people.status().witness
        assert keeper.look() is not None  # the grant's own record
        assert keeper.look() is None  # and nothing is asked for while nothing happens
        given = dict(kept_files(session.connection.call))
        assert store.paper("keys.sealed") == given.pop(KEYS)
        assert dict(store.files()) == given
    assert len(asked) > 3
    assert all(count <= kept for count, kept in asked), asked
    assert [event for event, _, _ in told] == ["granted"] * len(asked)
    assert halted(engine, machine) == "kill_switch"


def test_without_a_witness_it_copies_on_and_tells_it_once(
    engine: Engine, machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = running(engine, machines)
    store = papers(engine, tmp_path / "store")
    monkeypatch.setattr(_enclave_keeper, "_REST_SECONDS", 0.0)
    told: Told = []
    with engine.client(machine, KEEPER) as session:
        keeper = Keeper(session, store, "http://127.0.0.1:9", teller(told))
        for _ in range(3):
            keeper.look()
        assert [event for event, _, _ in told] == ["witness"]
        assert "refused" in told[0][1]
        assert records_of(store) == session.status().records
        monkeypatch.setattr(_enclave_keeper, "post", lambda *_: b"\0" * 400)
        keeper.look()
        assert "refuses the grant" in told[-1][1]  # a witness that lies


def records_of(store: Store) -> int:
    return head_count((store.folder / "files" / "log" / "head").read_bytes())


def test_a_grant_of_another_epoch_is_told_of(
    engine: Engine, machines: Machines, url: str, tmp_path: Path
) -> None:
    """Two enclaves from one store: the later goes on, and the earlier one's keeper says so."""
    first = running(engine, machines)
    store = papers(engine, tmp_path / "store")
    told: Told = []
    pin = engine.pin
    with engine.client(first, KEEPER) as session:
        keeper = Keeper(session, store, url, teller(told))
        keeper.look()
        keeper.look()  # the grant's own record
        engine.files = dict(store.files())
        second = machines.boot()
        engine.resume(second)
        with engine.client(second, ALICE) as people:
            engine.grant(people)
        engine.pin = pin
        with contextlib.suppress(WitnessError), engine.client(first, ALICE) as people:
            people.lease(10**12)
        keeper.look()
    assert told[-1][0] == "witness"
    assert "another engine took epoch 2" in told[-1][1]


# ---- The whole process --------------------------------------------------------------------------


class Running:
    """A follower in a thread."""

    def __init__(self, follower: Follower) -> None:
        self.stop = threading.Event()
        self._thread = threading.Thread(target=follower.run, args=(self.stop.wait,))

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def until(call: Callable[[], object], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not call():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_a_dead_enclave_is_brought_up_and_signs_again(
    engine: Engine,
    machines: Machines,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A power cut, and nobody does anything but start the enclave: the process does the rest."""
    machine = running(engine, machines)
    store = stored(engine, machine, tmp_path / "store")
    told: Told = []

    def connect() -> Client:
        machine = machines.made[-1]
        return engine.client(machine, KEEPER, f"unix://{machine.folder}/sessions")

    def lobby(where: str) -> Lobby:
        assert where == LOBBY
        with contextlib.suppress(OSError):
            return signing(engine, Lobby(_stream(machines.made[-1])))
        raise StorageError("no lobby answers")

    def client_of(machine: FakeMachine) -> Client:
        return engine.client(machine, ALICE)

    brought = _enclave_follow.bring_up

    def bring_up(lobby: Lobby, store: Store, *words: Any) -> bytes:
        nonce = brought(lobby, store, *words)
        engine.pin = pin_in(engine, machines.made[-1], store, nonce)
        return nonce

    monkeypatch.setattr(_enclave_follow, "connect_lobby", lobby)
    monkeypatch.setattr(_enclave_follow, "bring_up", bring_up)
    monkeypatch.setattr(_enclave_follow, "PAUSE_SECONDS", (0.05, 0.2))
    follower = Follower(
        store,
        connect,
        teller(told),
        witness=url,
        revival=Revival(LOBBY, lambda: engine.kms, "key"),
        every=0.02,
    )
    with Running(follower):
        until(lambda: [one for one in told if one[0] == "granted"])
        with client_of(machine) as people, contextlib.suppress(WitnessError):
            people.lease(3600 * 10**9 // 2)
        until(lambda: _signs(engine, machine))
        with client_of(machine) as people:
            records = people.status().records
        until(lambda: records_of(store) >= records)
        machine.end()
        until(lambda: [one for one in told if one[0] == "waits"])
        machine = machines.boot()
        until(lambda: [one for one in told if one[0] == "resumed"])
        until(lambda: [one for one in told if one[0] == "connected"][1:])
        with client_of(machine) as people, contextlib.suppress(WitnessError):
            people.lease(3600 * 10**9 // 2)
        until(lambda: _signs(engine, machine))
        with client_of(machine) as people:
            assert people.status().epoch == 2
            assert people.status().records > records
    events = [event for event, _, _ in told]
    assert events.count("resumed") == 1
    assert events[0] == "granted"


def pin_in(engine: Engine, machine: FakeMachine, store: Store, nonce: bytes) -> bytes:
    found = verify(
        store.paper("session.cose"),
        expectation=Expectation(machine.pcrs, None),
        nonce=nonce,
        now=dt.datetime.now(dt.UTC),
        root=TrustRoot.of_pem(engine.hypervisor.pem),
    )
    assert found.user_data is not None
    return parse_binding(found.user_data).session_key_hash


def _stream(machine: FakeMachine) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(60)
    try:
        stream.connect(str(machine.folder / "lobby"))
    except OSError:
        stream.close()
        raise
    return stream


def _signs(engine: Engine, machine: FakeMachine) -> bool:
    with contextlib.suppress(SentinelError):
        return signs(engine, machine)
    return False


def test_a_store_that_is_not_whole_is_left_to_people(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before genesis, or in the middle of it, the lobby is theirs."""
    (tmp_path / "store").mkdir()
    store = Store(tmp_path / "store")
    store.keep("genesis", b"x")
    asked: list[str] = []
    monkeypatch.setattr(_enclave_follow, "connect_lobby", asked.append)
    told: Told = []

    def connect() -> Client:
        raise StorageError("nobody is there", next_step="start it")

    rounds = iter((False, False, False, True))
    revival = Revival(LOBBY, lambda: engine, "key")
    Follower(store, connect, teller(told), revival=revival).run(lambda _: next(rounds))
    assert asked == []
    assert told == [("waits", "nobody is there; start it", {"error": "nobody is there"})]


def test_one_process_keeps_a_store(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with (
        only_keeper(folder),
        pytest.raises(EngineLocked, match="another process keeps"),
        only_keeper(folder),
    ):
        raise AssertionError
    with only_keeper(folder):
        assert folder.is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError), only_keeper(tmp_path / "file"):
        pass
