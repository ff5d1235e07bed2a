"""What is longer than a message: the state and bundles out, a frame in, piece by piece.

Goal: pieces belong together, whoever changes what in between; rooms for them are few, one for each
key, and are given back; at the limits and one past them. Method: the real daemon, with pieces that
a test chooses and with those of the client. PROTOCOL.md, section 5, "Pieces".
"""

from __future__ import annotations

import json
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_desk import Desk, make_desk, policy_text
from raw_client import Ask, Session, seed_of
from test_client import connect

from sentinel import Message, _core
from sentinel._cli import main
from sentinel._enums import Algorithm, Purpose
from sentinel._frame import FrameKind
from sentinel._record import Verdict
from sentinel._status import Status
from sentinel.config import Installed, public_keys
from sentinel.errors import PolicyInvalid, UsageError
from sentinel.policy import compile_policy

ROOM = 160 << 20
FRAME_ROOM = 64 << 20
BOOKS = 1
LARGE_ROOM = 32768 - 32


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(tmp_path_factory.mktemp("desk"))
    made.start()
    yield made
    assert made.stop() == 0


def state(offset: int = 0, size: int = 1000, flags: int = 0) -> bytes:
    return struct.pack("<QII", offset, size, flags)


def bundle(
    kind: int = FrameKind.POLICY, offset: int = 0, size: int = 1000, digest: bytes = bytes(32)
) -> bytes:
    return struct.pack("<HHIQ32s", kind, 0, size, offset, digest)


def put(total: int, offset: int, data: bytes) -> bytes:
    return struct.pack("<QQ", total, offset) + data


def whole_state(session: Session, flags: int = 0) -> bytes:
    answer = session.ask(Ask.STATE, state(size=1 << 20, flags=flags))
    assert answer.status == 0
    assert struct.unpack_from("<Q", answer.payload) == (len(answer.payload) - 8,)
    return answer.payload[8:]


def rest_of_state(session: Session, first: bytes, size: int = 1000) -> bytes:
    (total,) = struct.unpack_from("<Q", first)
    got = first[8:]
    while len(got) < total:
        answer = session.ask(Ask.STATE, state(len(got), size))
        assert answer.status == 0
        assert struct.unpack_from("<Q", answer.payload) == (total,)
        got += answer.payload[8:]
    return got


action_ids = iter(range(1, 1 << 30))


def sign(desk: Desk, session: Session) -> None:
    order = desk.order("maker", next(action_ids))
    assert session.ask(Ask.SIGN, order).payload[0] == Verdict.ALLOWED


# ---- The state ---------------------------------------------------------------------------------


def test_pieces_of_the_state_are_of_one_moment(desk: Desk) -> None:
    with desk.session("operator") as session, desk.session("maker") as maker:
        before = whole_state(session)
        first = session.ask(Ask.STATE, state()).payload
        for _ in range(3):
            sign(desk, maker)
        assert rest_of_state(session, first) == before
        found, _ = _core.state_of(before)
        assert _core.state_of(whole_state(session))[0].record_count == found.record_count + 3
        # Begun anew, it is the state of now.
        session.ask(Ask.STATE, state())
        sign(desk, maker)
        again = rest_of_state(session, session.ask(Ask.STATE, state()).payload)
        assert _core.state_of(again)[0].record_count == found.record_count + 4


def test_the_edges_of_a_state(desk: Desk) -> None:
    with desk.session("operator") as session:

        def ask(*words: int) -> int:
            return session.ask(Ask.STATE, state(*words)).status

        total = len(whole_state(session))
        assert ask(0, total) == 0  # in one piece: nothing is held
        assert ask(1, 10) == Status.USAGE_STATE
        assert ask(0, total - 1) == 0  # one byte is left
        assert ask(total + 1, 10) == Status.FORMAT_RANGE
        last = session.ask(Ask.STATE, state(total - 1, 10))
        assert (last.status, len(last.payload)) == (0, 9)
        assert ask(total - 1, 10) == Status.USAGE_STATE  # that was the last one
        assert ask(0, 0) == 0
        assert ask(total, 0) == 0
        assert ask(total, 0) == Status.USAGE_STATE
        assert ask(0, 10, 2) == Status.FORMAT_RESERVED
        assert ask(0, 10, BOOKS) == 0
        assert ask(10, 10, 0) == Status.USAGE_STATE  # of another question
        for bad in (b"", state() + b"\0", state()[:-1]):
            assert session.ask(Ask.STATE, bad).status == Status.FORMAT_SIZE


def test_a_state_with_its_books_is_a_snapshot(desk: Desk) -> None:
    with desk.session("operator") as session:
        rows, whole = whole_state(session), whole_state(session, BOOKS)
        assert whole[: len(rows)] == rows
        assert struct.unpack_from("<Q", whole, 16) == (len(whole),)
        assert len(whole) - len(rows) >= 2 * 1024 * 104  # two agents' books


def test_rooms_are_of_one_key_each_and_two_in_all(desk: Desk) -> None:
    with desk.session("policy") as other, desk.session("root") as third:
        with desk.session("operator") as session, desk.session("operator") as same:
            assert session.ask(Ask.STATE, state()).status == 0
            assert same.ask(Ask.STATE, state()).status == Status.USAGE_CAPACITY
            assert session.ask(Ask.STATE, state()).status == 0  # its own, anew
            assert other.ask(Ask.PUT, put(100, 0, b"x")).status == 0
            assert third.ask(Ask.STATE, state()).status == Status.USAGE_CAPACITY
            assert third.ask(Ask.PUT, put(100, 0, b"x")).status == Status.USAGE_CAPACITY
            assert third.ask(Ask.STATE, state(size=1 << 20)).status == 0  # needs none
        time.sleep(0.1)
        assert third.ask(Ask.STATE, state()).status == 0  # who is gone holds nothing


@pytest.mark.long
def test_a_room_that_nobody_goes_on_with_is_given_back(desk: Desk) -> None:
    with desk.session("operator") as session, desk.session("operator") as same:
        assert session.ask(Ask.STATE, state()).status == 0
        time.sleep(9)
        assert session.ask(Ask.STATE, state(1000)).status == 0
        time.sleep(9)
        assert same.ask(Ask.STATE, state()).status == Status.USAGE_CAPACITY
        time.sleep(2)
        assert session.ask(Ask.STATE, state(1000)).status == Status.USAGE_STATE
        assert same.ask(Ask.STATE, state()).status == 0


# ---- Bundles -----------------------------------------------------------------------------------


def test_a_bundle_in_pieces_and_another_one_between_them(desk: Desk) -> None:
    with desk.session("operator") as session, desk.session("policy") as policy:
        installed = Installed(desk.directory)
        frame = installed.bundle(installed.policy().hash)
        first = session.ask(Ask.BUNDLE, bundle(size=100)).payload
        total, digest = struct.unpack_from("<Q32s", first)
        assert total == len(frame)
        rest = session.ask(Ask.BUNDLE, bundle(offset=100, size=1 << 20, digest=digest)).payload
        assert first[40:] + rest[40:] == frame
        end = session.ask(Ask.BUNDLE, bundle(offset=total, digest=digest))
        assert (end.status, len(end.payload)) == (0, 40)
        past = session.ask(Ask.BUNDLE, bundle(offset=total + 1, digest=digest))
        assert past.status == Status.FORMAT_RANGE
        assert policy.ask(Ask.TAKE, desk.policy()).status == 0
        late = session.ask(Ask.BUNDLE, bundle(offset=100, digest=digest))
        assert late.status == Status.USAGE_STATE
        assert session.ask(Ask.BUNDLE, bundle(digest=bytes(31) + b"\1")).status == (
            Status.USAGE_STATE
        )
        bad = session.ask(Ask.BUNDLE, struct.pack("<HHIQ32s", 2, 1, 10, 0, bytes(32)))
        assert bad.status == Status.FORMAT_RESERVED


# ---- A frame in pieces -------------------------------------------------------------------------


def test_a_frame_is_put_and_taken_once(desk: Desk) -> None:
    frame = desk.policy()
    with desk.session("policy") as session:
        assert session.ask(Ask.TAKE).status == Status.USAGE_STATE
        for at in range(0, len(frame), 500):
            answer = session.ask(Ask.PUT, put(len(frame), at, frame[at : at + 500]))
            assert struct.unpack("<Q", answer.payload) == (min(at + 500, len(frame)),)
            if at == 0:
                with desk.session("policy") as other:  # a room is its session's
                    assert other.ask(Ask.TAKE).status == Status.USAGE_STATE
        assert session.ask(Ask.TAKE).status == 0
        assert session.ask(Ask.TAKE).status == Status.USAGE_STATE
        assert session.ask(Ask.PUT, put(len(frame), 0, frame)).status == 0
        assert session.ask(Ask.TAKE).status == Status.POLICY_SEQUENCE


def test_pieces_that_do_not_follow_are_thrown_away(desk: Desk) -> None:
    with desk.session("policy") as session:

        def ask(*words: object) -> int:
            return session.ask(Ask.PUT, put(*words)).status  # type: ignore[arg-type]

        def begins(total: int = 100) -> None:
            assert ask(total, 0, bytes(40)) == 0

        assert ask(100, 40, bytes(10)) == Status.USAGE_STATE
        for wrong in ((100, 41, bytes(10)), (101, 40, bytes(10)), (100, 40, bytes(61))):
            begins()
            assert ask(*wrong) == Status.FORMAT_ORDER
            assert ask(100, 40, bytes(60)) == Status.USAGE_STATE
        begins()
        assert session.ask(Ask.TAKE).status == Status.USAGE_STATE  # it was not whole
        assert ask(100, 40, bytes(60)) == Status.USAGE_STATE
        begins()
        assert session.ask(Ask.STATE, state()).status == 0  # one thing at a time
        assert ask(100, 40, bytes(60)) == Status.USAGE_STATE
        assert ask(0, 0, b"x") == Status.FORMAT_ORDER
        assert session.ask(Ask.PUT, put(100, 0, b"")).status == Status.FORMAT_SIZE
        assert ask(FRAME_ROOM, 0, b"x") == 0
        assert ask(FRAME_ROOM + 1, 0, b"x") == Status.FORMAT_LIMIT
        assert ask(1 << 63, 0, b"x") == Status.FORMAT_LIMIT


# ---- Answers that nobody takes -----------------------------------------------------------------


def first_segment(desk: Desk) -> bytes:
    name = min(path.name for path in (desk.directory / "log").glob("*.log"))
    return struct.pack("<QI4x96s", 0, 1 << 20, f"log/{name}".encode())


def test_a_session_that_takes_no_answer_keeps_no_bundle_from_another(desk: Desk) -> None:
    """Its key's one buffer is taken; whoever halts with the same key needs bundles."""
    with desk.session("operator") as holder, desk.session("operator") as session:
        holder.send(holder.message(Ask.FILE, first_segment(desk)))
        time.sleep(0.2)
        session.sock.settimeout(5)
        assert session.ask(Ask.BUNDLE, bundle(size=1 << 20)).status == 0
        assert session.ask(Ask.RECORDS, struct.pack("<QI4x", 0, 1 << 20)).status == 0
        assert len(holder.receive().payload) == 8 + (1 << 20)


def test_what_waits_for_a_buffer_costs_nobody_a_turn(desk: Desk) -> None:
    """A mebibyte that is read anew in each round for each of them is what orders waited for."""
    holders = [desk.session("operator") for _ in range(16)]
    try:
        with desk.session("maker") as maker:
            for holder in holders:
                holder.send(holder.message(Ask.FILE, first_segment(desk)))
            time.sleep(0.2)
            took = []
            for _ in range(40):
                begun = time.monotonic()
                sign(desk, maker)
                took.append(time.monotonic() - begun)
        assert sorted(took)[20] < 0.01
    finally:
        for holder in holders:
            holder.close()


# ---- Whole, by the client ----------------------------------------------------------------------


def large_policy(desk: Desk, top: Path, count: int = 280_000) -> bytes:
    """A policy above 4 MiB: a list of addresses that nothing may be sent to."""
    (top / "sanctions.txt").write_text("".join(f"0x{i:040x}\n" for i in range(count)))
    part = compile_policy(
        policy_text(desk.agents, "sanctions: {file: sanctions.txt}\n"),
        desk.terms("policy"),
        keyring=[key.info for key in public_keys(desk.directory)],
        base=top,
    )
    return desk.ring.sign(FrameKind.POLICY, part)


@pytest.mark.parametrize("scheme", ["unix", "shm"])
def test_a_policy_above_four_mebibytes(desk: Desk, tmp_path: Path, scheme: str) -> None:
    frame = large_policy(desk, tmp_path)
    assert len(frame) > 4 << 20
    words = {"deadline": 20.0}
    with connect(desk, "policy", scheme, **words) as client:
        taken = client.hand_in(frame)
        assert client.status().policy_hash == client.policy.hash
        assert client.connection.bundle(FrameKind.POLICY) == frame
        with pytest.raises(PolicyInvalid):
            client.hand_in(frame)  # its sequence was used
        with pytest.raises(PolicyInvalid):
            client.hand_in(frame[:-1] + bytes([frame[-1] ^ 1]))
        assert next(iter(client.records(taken.record))).subject[24:56] == client.policy.hash
    with connect(desk, "maker", scheme, **words) as client:  # one frame at a time
        assert client.connection.bundle(FrameKind.POLICY) == frame
        client.session().sign(Message(text="hello"))
    with connect(desk, "policy", scheme, **words) as client:
        client.hand_in(desk.policy())


@pytest.mark.parametrize("size", [4 << 20, (4 << 20) + 1])
def test_a_frame_at_the_limit_of_a_message_and_one_past_it(desk: Desk, size: int) -> None:
    """One is a message, the other goes in pieces; what is wrong with both is the engine's to say"""
    frame = desk.policy()
    with connect(desk, "policy", deadline=20.0) as client:
        with pytest.raises(PolicyInvalid) as caught:
            client.hand_in(frame + bytes(size - len(frame)))
        assert caught.value.status == Status.FORMAT_SIZE
        assert client.facts.is_answer


def test_a_bundle_that_changes_under_the_client_is_asked_for_anew(
    desk: Desk, tmp_path: Path
) -> None:
    large, small = large_policy(desk, tmp_path), None
    with (
        connect(desk, "policy", deadline=20.0) as policy,
        connect(desk, "maker", deadline=20.0) as maker,
    ):
        policy.hand_in(large)
        seen = set()
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                seen.add(maker.connection.bundle(FrameKind.POLICY))

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(2):
            small = desk.policy()
            policy.hand_in(small)
            policy.hand_in(large_policy(desk, tmp_path, 270_000))
        stop.set()
        reader.join()
    assert seen
    for frame in seen:
        assert int.from_bytes(frame[16:20], "little") <= len(frame)
        _core.bundle_check(frame)  # whole, and of one policy


def test_a_daemon_that_comes_back_gets_the_whole_frame(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    desk.start()
    frame = large_policy(desk, tmp_path)
    with connect(desk, "policy", deadline=30.0) as client:
        desk.stop(signal.SIGKILL)
        again = threading.Timer(0.3, desk.start)
        again.start()
        client.hand_in(frame)
        again.join()
        assert client.facts.connects > 1
        assert client.policy.version
        assert client.connection.bundle(FrameKind.POLICY) == frame
    desk.stop()


def test_what_is_held_by_another_session_of_the_key_is_waited_for(desk: Desk) -> None:
    frame_size = (4 << 20) + 1
    with desk.session("policy") as other, connect(desk, "policy", deadline=20.0) as client:
        assert other.ask(Ask.PUT, put(100, 0, b"x")).status == 0
        leaves: Callable[[], None] = other.sock.close
        threading.Timer(0.3, leaves).start()
        with pytest.raises(PolicyInvalid):
            client.hand_in(bytes(frame_size))
        client.set_deadline(0.3)
        with desk.session("policy") as holder:
            assert holder.ask(Ask.PUT, put(100, 0, b"x")).status == 0
            with pytest.raises(UsageError):
                client.hand_in(bytes(frame_size))


# ---- A large firm ------------------------------------------------------------------------------


def test_ten_thousand_agents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their state is 10 MB, and an order never waits for more than a copy of it."""
    names = ["maker", "taker", *(f"a{i}" for i in range(9_998))]
    desk = make_desk(tmp_path, in_policy=names, policy_more="book: {entries: 1}\n")
    desk.start()
    with connect(desk, "operator", deadline=20.0) as client, connect(desk, "maker") as maker:
        session = maker.session()
        stop, took = threading.Event(), []

        def look() -> None:
            while not stop.is_set():
                raw = client.connection.state()
                assert len(raw) > 10_000 * 1008
                assert len(_core.state_of(raw)[0].agents) == 10_000

        looker = threading.Thread(target=look)
        looker.start()
        for _ in range(200):
            begun = time.monotonic()
            session.sign(Message(text="hello"))
            took.append(time.monotonic() - begun)
        stop.set()
        looker.join()
        last = _core.state_of(client.connection.state())[0]
        assert max(agent.id_highest for agent in last.agents) == 200
    assert sorted(took)[100] < 0.25
    ring = _core.Keyring()
    ring.import_(1, Purpose.AUTHORITY, Algorithm.ED25519, seed_of("operator"))
    (tmp_path / "ops.key").write_bytes(ring.seal(b"a secret", opslimit=1, memlimit=8192))
    (tmp_path / "secret").write_bytes(b"a secret")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(tmp_path / "secret"))
    words = ["--connect", f"unix://{desk.socket}", "--pin", str(desk.pin), "--key-id", "3"]
    words += ["--session-key", str(tmp_path / "ops.key"), "--deadline", "20", "status", "--json"]
    capsys.readouterr()
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["agents"]) == 10_000
    assert shown["agents"]["firm/maker"] == 200
    desk.stop()
