"""The client of sentineld: every call over every transport, and a daemon that comes and goes.

Goal: `Client` gives what `Signer` gives; a lost answer is asked again and never signed twice; what
is wrong is said. Method: the real daemon in a process of its own, over its Unix socket and its
ring; it is killed, stopped and started anew around calls. Of vsock only the address is tested here.
PROTOCOL.md, sections 1 to 3 and 5 to 8.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from daemon_desk import AGENT_KEYS, LIMIT_ORDER, OPERATOR, Desk, make_desk, node_of
from raw_client import seed_of

from sentinel import Message, PolicyDenied, _core, _layout
from sentinel._enclave_store import connect_lobby
from sentinel._enums import Algorithm, Command, Power, Purpose
from sentinel._frame import FrameKind, Genesis, parse_genesis
from sentinel._people import SigningKeys
from sentinel._service import Service
from sentinel.ack import Ack
from sentinel.client import AnswerLost, Client, ServiceUnreachable, ask_document
from sentinel.errors import (
    KeyFileError,
    PolicyInvalid,
    SentinelError,
    StorageError,
    UsageError,
    VerificationFailed,
)
from sentinel.policy import stable_id
from sentinel.receipt import Expectation, verify_receipt

BOTH = pytest.mark.parametrize("scheme", ["unix", "shm"])
ROWS = {"policy": 2, "operator": OPERATOR, "feeder": 4}


def keys_of(name: str) -> SigningKeys:
    ring = _core.Keyring()
    info = ring.import_(1, Purpose.AUTHORITY, Algorithm.ED25519, seed_of(name))
    return SigningKeys(ring, {info.public_key: 1})


def connect(desk: Desk, name: str, scheme: str = "unix", **words: Any) -> Client:
    if name in desk.agents:
        row = AGENT_KEYS + list(desk.agents).index(name)
        words = {"agent": f"firm/{name}", "key_id": row} | words
    else:
        role = "feeder" if name == "feeder" else "command"
        words = {"role": role, "key_id": ROWS[name]} | words
    if not words.get("peer"):
        words = {"key": keys_of(name), "pin": desk.pin} | words
    return Client.connect(f"{scheme}://{desk.socket}", **words)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A daemon for tests that change nothing of it."""
    top = tmp_path_factory.mktemp("desk")
    desk = make_desk(top, peers={"taker": os.getuid()})
    desk.start()
    yield desk
    assert desk.stop() == 0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A daemon of the test's own."""
    made = make_desk(tmp_path)
    made.start()
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


# ---- Every call ---------------------------------------------------------------------------------


@BOTH
def test_an_agent_signs_and_gets_what_a_signer_gives(shared: Desk, scheme: str) -> None:
    with connect(shared, "maker", scheme) as client:
        session = client.session()
        assert session.path == "firm/maker"
        assert client.facts.is_ring == (scheme == "shm")
        signed = session.sign(Message(text="hello"))
        assert signed.order == Message(text="hello")
        assert len(signed.signature) == 64
        assert signed.request is None
        assert signed.environment.name == "TEST"
        assert signed.handle.engine_id == shared.created.engine_id
        again = session.sign(Message(text="hello"))
        assert again.action_id == signed.action_id + 1
        placed = session.sign(LIMIT_ORDER)
        assert placed.request is not None
        assert placed.request.url.startswith("https://testnet.binance.vision/")
        assert placed.account
        assert placed.client_order_id


@BOTH
def test_a_refusal_names_the_constraint_in_the_policys_words(shared: Desk, scheme: str) -> None:
    with connect(shared, "maker", scheme) as client:
        with pytest.raises(PolicyDenied) as caught:
            client.session().sign(LIMIT_ORDER | {"quantity": "1"})
        assert caught.value.reason == "value_cap"
        (failed,) = caught.value.failed
        assert failed.node == "firm"
        assert failed.bound_text == "10k USD"
        with pytest.raises(PolicyInvalid):
            client.session().withdraw(99)


@BOTH
def test_a_long_outcome_comes_through_in_a_large_frame(tmp_path: Path, scheme: str) -> None:
    # Records and bundles are longer than any slot of the ring.
    desk = make_desk(tmp_path)
    desk.start()
    try:
        with connect(desk, "operator", scheme) as client:
            assert client.policy.agents
            records = list(client.records())
            assert records[0].number == 0
            assert [record.number for record in records] == list(range(len(records)))
            state = client.installed.state()[0]
            assert state.record_count >= len(records)
    finally:
        desk.stop(signal.SIGKILL)


@BOTH
def test_operators_command_and_feeders_feed(desk: Desk, scheme: str) -> None:
    with (
        connect(desk, "maker", scheme) as agent,
        connect(desk, "operator", scheme) as operator,
        connect(desk, "feeder", scheme) as feeder,
    ):
        session = agent.session()
        session.sign(Message(text="before"))
        feeder.feed_marks({"BTCUSDT": "65000"})
        record = operator.halt("a test", scope="firm/maker")
        with pytest.raises(PolicyDenied) as caught:
            session.sign(Message(text="halted"))
        assert caught.value.reason == "kill_switch"
        assert operator.resume("over", scope="firm/maker") > record
        session.sign(Message(text="after"))
        taken = operator.hand_in(desk.command(Command.HALT))
        assert taken.ack is not None
        assert not taken.held
        taken.ack.verify(genesis_of(operator))
        assert operator.status().halted
        # Asked again, as after a lost answer: it is taken once, and answered twice.
        same = desk.command(Command.RESUME)
        first, second = operator.hand_in(same), operator.hand_in(same)
        assert first.record == second.record
        assert cast(Ack, first.ack).raw == cast(Ack, second.ack).raw


def test_a_receipt_is_made_of_records_and_the_signed_head(desk: Desk) -> None:
    with connect(desk, "maker") as agent, connect(desk, "operator") as operator:
        signed = agent.session().sign(Message(text="to be proven"))
        receipt = operator.receipt(signed.handle)
        expectation = Expectation.of_genesis(genesis_of(operator))
        assert verify_receipt(receipt, expectation).record.number == signed.handle.record
        with pytest.raises(UsageError):
            operator.receipt(0)
        with pytest.raises(SentinelError):
            agent.receipt(signed.handle)  # An agent reads no records.


def genesis_of(client: Client) -> Genesis:
    return parse_genesis(next(iter(client.records())).subject)


@BOTH
def test_a_peer_signs_without_a_key(shared: Desk, scheme: str) -> None:
    with connect(shared, "taker", scheme, peer=True) as client:
        assert client.facts.transport == 2
        client.session().sign(Message(text="known by the kernel"))
    with pytest.raises(KeyFileError):
        connect(shared, "maker", scheme, peer=True)  # Its row has no user.


def test_status_says_what_is_in_force(shared: Desk) -> None:
    with connect(shared, "maker") as client:
        before = client.status()
        client.session().sign(Message(text="one more"))
        after = client.status()
        assert after.records == before.records + 1
        assert after.next_action == cast(int, before.next_action) + 1
        assert after.engine_id == shared.created.engine_id
        assert after.policy_hash == client.policy.hash
        assert not after.halted
        with pytest.raises(UsageError):
            client.attestation(bytes(32))  # This is no enclave.


# ---- What is wrong ------------------------------------------------------------------------------


def test_another_daemon_than_the_pinned_one_is_refused(shared: Desk) -> None:
    with pytest.raises(VerificationFailed, match="not the pinned one"):
        connect(shared, "maker", pin=bytes(32))


def test_another_engine_than_the_expected_one_is_refused(shared: Desk) -> None:
    with pytest.raises(VerificationFailed, match="another engine"):
        connect(shared, "maker", engine_id=b"\1" * 32)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"key": "taker"}, "knows no such key"),
        ({"key_id": 77}, "knows no such key"),
        ({"agent": "firm/taker"}, "another agent's"),
        ({"agent": None, "role": "command"}, "no power"),
    ],
)
def test_a_key_that_may_not_come_in_is_told_why(
    shared: Desk, words: dict[str, Any], said: str
) -> None:
    if "key" in words:
        words["key"] = keys_of(words["key"])
    with pytest.raises(KeyFileError, match=said):
        connect(shared, "maker", **words)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "unix://",
        "unix://relative",
        "tcp://127.0.0.1:1",
        "vsock://",
        "vsock://3:",
        "vsock://x:1",
        "vsock://3:1:1",
        "vsock://03:1",
        "vsock://4294967296:1",
        "shm://" + "/x" * 60,
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        Client.connect(address, agent=1, key=keys_of("maker"), key_id=1, pin=bytes(32))


def test_nobody_there_is_said_at_once(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(ServiceUnreachable, match="No such file"):
        Client.connect(
            f"unix://{tmp_path}/s", agent=1, key=keys_of("maker"), key_id=1, pin=bytes(32)
        )
    assert time.monotonic() - begin < 2


def test_a_missing_pin_or_key_is_a_wrong_call(shared: Desk) -> None:
    where = f"unix://{shared.socket}"
    with pytest.raises(UsageError, match="pin"):
        Client.connect(where, agent="firm/maker", key=keys_of("maker"), key_id=100)
    with pytest.raises(UsageError, match="key is needed"):
        Client.connect(where, agent="firm/maker", pin=bytes(32))
    with pytest.raises(UsageError, match="key_id"):
        Client.connect(where, agent="firm/maker", key=keys_of("maker"), pin=bytes(32))
    with pytest.raises(UsageError, match="deadline"):
        connect(shared, "maker", deadline=0.0)


def test_another_version_is_said(tmp_path: Path) -> None:
    """A daemon of a later version answers as section 8 says."""
    path = tmp_path / "s"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def later() -> None:
        link, _ = listener.accept()
        with link:
            link.recv(96, socket.MSG_WAITALL)
            link.sendall(
                b"SENTWELC"
                + (2).to_bytes(2, "little")
                + bytes(2)
                + (0x0203).to_bytes(4, "little")
                + bytes(112)
            )

    thread = threading.Thread(target=later)
    thread.start()
    with listener, pytest.raises(VerificationFailed, match="another version"):
        Client.connect(f"unix://{path}", agent=1, key_id=1, peer=True)
    thread.join()


def test_a_halt_waits_for_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state may need one that two others have; a halt does not, unless a sequence is ahead."""
    desk = make_desk(tmp_path)
    desk.start()
    asked: list[int] = []
    real = Service.state

    def state(service: Service) -> Any:
        asked.append(1)
        return real(service)

    monkeypatch.setattr(Service, "state", state)
    with connect(desk, "operator") as operator:
        operator.halt("a test", scope="firm/maker")
        assert asked == []
        ahead = _layout.command(
            *(Command.RESUME, stable_id("node", "firm/maker"), "ahead"),
            operator.installed.terms(time.time_ns() + 4 * 10**9, time.time_ns()),
        )
        operator.take(operator.installed.sign(FrameKind.COMMAND, Power.OPERATOR, ahead))
        record = operator.halt("again", scope="firm/maker")
        assert asked == [1]
        assert next(iter(operator.records(record))).number == record
    desk.stop()


def test_an_address_may_leave_the_port_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the C client takes it (docs/service.md)."""
    seen: list[Any] = []

    class Nobody(socket.socket):
        def connect(self, address: Any) -> None:
            seen.append(address)
            raise ConnectionRefusedError

    def made(family: int, kind: int) -> socket.socket:
        return Nobody(socket.AF_UNIX, kind)

    monkeypatch.setattr("sentinel._dial.socket.socket", made)
    for address in ("vsock://16", "vsock://16:5700"):
        with pytest.raises(ServiceUnreachable):
            ask_document(address, bytes(32))
    with pytest.raises(StorageError):
        connect_lobby("vsock://16")
    for address in ("vsock://16:", "vsock://:1", "vsock://x"):
        with pytest.raises(UsageError):
            ask_document(address, bytes(32))
    assert seen == [(16, 5700), (16, 5700), (16, 5701)]


def test_agents_cannot_command_and_operators_cannot_sign(shared: Desk) -> None:
    with connect(shared, "maker") as agent, connect(shared, "operator") as operator:
        with pytest.raises(SentinelError):
            agent.hand_in(shared.command(Command.HALT))
        with pytest.raises(SentinelError):
            list(agent.records())
        with pytest.raises(UsageError):
            operator.session()
        assert not agent.status().halted


# ---- Coming and going ---------------------------------------------------------------------------


@BOTH
def test_a_daemon_that_begins_anew_is_found_again(desk: Desk, scheme: str) -> None:
    with connect(desk, "maker", scheme, deadline=30.0) as client:
        session = client.session()
        first = session.sign(Message(text="one"))
        for how in (signal.SIGKILL, signal.SIGTERM):
            desk.stop(how)
            starter = threading.Timer(0.2, desk.start)
            starter.start()
            later = session.sign(Message(text="two"))
            starter.join()
            assert later.action_id > first.action_id
        assert client.facts.connects == 3
        assert client.facts.epoch == first.handle.epoch + 2


def again(client: Client, number: int) -> bytes | str:
    """The signature that asking again gives, or why there is none."""
    try:
        return client.session().sign(Message(text="once"), action_id=number).signature
    except PolicyDenied as denied:
        return denied.reason


@BOTH
def test_killed_between_request_and_answer_signs_once(desk: Desk, scheme: str) -> None:
    """Stopped, asked, killed: whether it was decided shows after the restart, and only once."""
    for number, pause in ((901, 0.0), (902, 0.05)):
        with connect(desk, "maker", scheme, deadline=30.0) as client:
            session = client.session()
            process = desk.process
            assert process is not None
            if pause == 0.0:
                os.kill(process.pid, signal.SIGSTOP)  # It will not have decided.

            def restart(pause: float = pause) -> None:
                time.sleep(0.1 + pause)
                desk.stop(signal.SIGKILL)
                desk.start()

            thread = threading.Thread(target=restart)
            thread.start()
            signed = session.sign(Message(text="once"), action_id=number)
            thread.join()
            assert signed.action_id == number
            if pause == 0.0:
                assert client.facts.is_resent
            # As if the answer were lost: asked again in the same boot, the bytes are the same.
            with connect(desk, "maker", scheme) as other:
                same = again(other, number)
                assert same in ("duplicate", signed.signature)
    desk.stop()
    desk.start()
    with connect(desk, "maker", scheme) as client:
        with pytest.raises(PolicyDenied) as caught:
            client.session().sign(Message(text="once"), action_id=902)
        assert caught.value.reason == "duplicate"
    with connect(desk, "operator") as operator:
        allowed = [r for r in operator.records() if r.verdict == 1 and r.agent == node_of("maker")]
        assert len(allowed) == 2


@BOTH
def test_no_answer_within_the_deadline_is_said_and_asked_again(desk: Desk, scheme: str) -> None:
    with connect(desk, "maker", scheme, deadline=0.4) as client:
        session = client.session()
        session.sign(Message(text="one"))
        assert desk.process is not None
        os.kill(desk.process.pid, signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(AnswerLost):
            session.sign(Message(text="late"), action_id=50)
        assert 0.3 < time.monotonic() - begin < 3
        os.kill(desk.process.pid, signal.SIGCONT)
        client.set_deadline(10)
        # Its turn came after the deadline: not decided then, so it is decided now.
        signed = session.sign(Message(text="late"), action_id=50)
        assert signed.action_id == 50
        assert client.status().records == signed.handle.record + 1


def test_two_that_sign_for_one_agent_do_not_stand_in_each_others_way(shared: Desk) -> None:
    with connect(shared, "maker") as one, connect(shared, "maker") as other:
        one.session().sign(Message(text="a"))
        other.session().sign(Message(text="b"))
        with pytest.raises(PolicyDenied) as caught:
            one.session().sign(Message(text="c"))  # Its next id is used by now.
        assert caught.value.reason == "duplicate"
        one.session().sign(Message(text="c"))  # And it has asked which one is next.


def test_a_child_makes_a_session_of_its_own(shared: Desk) -> None:
    """Two processes with one channel would seal two frames with one nonce."""
    with connect(shared, "maker", "shm") as client:
        client.session().sign(Message(text="parent"))
        before = client.facts
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                client.status()
                os.write(writer, client.facts.channel.to_bytes(8, "little"))
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        assert os.waitpid(child, 0)[1] == 0
        channel = int.from_bytes(os.read(reader, 8), "little")
        os.close(reader)
        assert channel > before.channel
        client.session().sign(Message(text="parent"))
        assert client.facts.channel == before.channel


def test_a_thousand_sessions_leave_nothing_behind(shared: Desk) -> None:
    def figures(pid: int | str) -> tuple[int, int]:
        status = Path(f"/proc/{pid}/status").read_text()
        size = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return len(os.listdir(f"/proc/{pid}/fd")), int(size.split()[1])

    assert shared.process is not None
    for number in range(1000):
        scheme = "shm" if number % 4 == 0 else "unix"
        with connect(shared, "taker", scheme, peer=number % 8 != 0) as client:
            client.status()
        if number == 199:
            before = figures("self"), figures(shared.process.pid)
    after = figures("self"), figures(shared.process.pid)
    for (fds, kilobytes), (fds_then, kilobytes_then) in zip(before, after, strict=True):
        assert fds_then <= fds + 2
        assert kilobytes_then <= kilobytes + 4096


def test_answers_of_another_form_become_no_objects() -> None:
    """The C client checks outcomes; what Python takes apart is checked once more."""
    for size in (0, 8, 199, 200, 400, 5000):
        raw = bytes(size)
        with pytest.raises(UsageError):
            _core.state_of(raw)
        if size != 200:  # A refusal without results.
            with pytest.raises(UsageError):
                _core.refused(raw)
        with pytest.raises(UsageError):
            _core.released(object, raw, b"", None, None)
    with pytest.raises(UsageError):
        _core.refused(bytes(160 + 6) + b"\x81" + bytes(33))  # 129 results
    with pytest.raises(UsageError):
        _core.key_infos(bytes(217))
    assert _core.key_infos(b"") == []
