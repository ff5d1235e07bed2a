"""One agent cannot starve another (enclave/PROTOCOL.md, section 5, "Turns").

Goal: the bound of that page, in requests served, and every queue's end. Method: the daemon is
stopped (SIGSTOP) while clients write, so that all of it waits when it goes on; the order of service
is read from the numbers of the records.
"""

from __future__ import annotations

import signal
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemon_desk import Desk, make_desk
from raw_client import QUEUE, Answer, Ask, Closed, Session, dial

from sentinel._record import Verdict
from sentinel._status import Status

MANY = [f"bot{i}" for i in range(60)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(tmp_path_factory.mktemp("d"), MANY)
    made.start()
    yield made
    assert made.stop() == 0
    made.verify()


counters: dict[str, int] = {}


def new_order(desk: Desk, name: str) -> bytes:
    counters[name] = counters.get(name, 0) + 1
    return desk.order(name, counters[name])


@contextmanager
def paused(desk: Desk) -> Iterator[None]:
    assert desk.process is not None
    desk.process.send_signal(signal.SIGSTOP)
    # What comes before it stands still is served before the rest.
    for thread in Path(f"/proc/{desk.process.pid}/task").iterdir():
        while (thread / "stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)
    try:
        yield
    finally:
        desk.process.send_signal(signal.SIGCONT)


def record_of(payload: bytes) -> int:
    return int(struct.unpack_from("<Q", payload, 8)[0])


def status_of(desk: Desk) -> tuple[int, ...]:
    """served, refused_busy, sessions"""
    with come_in(desk, "root") as root:
        return struct.unpack_from("<QQI", root.ask(Ask.STATUS).payload, 88)


def test_sessions_are_served_in_turn_one_request_each(desk: Desk) -> None:
    """Between two of a session, each other one is served at most once."""
    counts = (30, 30, 30, 30, 20, 10, 3, 1)  # so few that no answer waits to be read
    sessions = [desk.session(f"bot{i}") for i in range(8)]
    with paused(desk):
        for session, count in zip(sessions, counts, strict=True):
            name = f"bot{sessions.index(session)}"
            session.send(*(session.frame(Ask.SIGN, new_order(desk, name)) for _ in range(count)))
    served: list[tuple[int, int]] = []
    for i, count in enumerate(counts):
        for _ in range(count):
            answer = sessions[i].receive()
            assert answer.payload[0] == Verdict.ALLOWED
            served.append((record_of(answer.payload), i))
        sessions[i].close()
    order = [i for _, i in sorted(served)]
    assert len(order) == sum(counts)
    for who in range(8):
        places = [at for at, i in enumerate(order) if i == who]
        for one, two in zip([-1, *places], places, strict=False):
            between = order[one + 1 : two]
            assert all(between.count(other) <= 1 for other in range(8)), (who, between)


def test_a_flood_of_one_agent_delays_another_by_one_request_of_each_session(desk: Desk) -> None:
    flood = [desk.session("bot10") for _ in range(16)]
    victim = desk.session("bot11")
    with paused(desk):
        for session in flood:
            orders = [session.frame(Ask.SIGN, new_order(desk, "bot10")) for _ in range(64)]
            session.send(*orders)
        victim.send(victim.frame(Ask.SIGN, new_order(desk, "bot11")))
    mine = record_of(victim.receive().payload)
    before = 0
    for session in flood:
        records = [record_of(session.receive().payload) for _ in range(64)]
        before += sum(record < mine for record in records)
        session.close()
    victim.close()
    # Events come in groups of 64, all 17 of them at once: one request of each of the 16.
    assert before <= 16


def test_who_is_gone_before_its_answer_gets_the_same_bytes_later(desk: Desk) -> None:
    """The answer cannot be sent: it is kept all the same, and no second decision is made."""
    order = new_order(desk, "bot13")
    gone = desk.session("bot13")
    with paused(desk):
        gone.send(gone.frame(Ask.SIGN, order))
        gone.close()
    with desk.session("bot13") as again:
        assert again.ask(Ask.SIGN, order).payload[0] == Verdict.ALLOWED


def test_full_means_denied_in_turn_and_undecided(desk: Desk) -> None:
    """Sixteen sessions send three queues each at once: more comes in than is served."""
    before = status_of(desk)
    sessions = [desk.session("bot12") for _ in range(16)]
    answers: list[list[Answer]] = [[] for _ in sessions]

    def read(i: int) -> None:
        answers[i] += [sessions[i].receive() for _ in range(3 * QUEUE)]

    with paused(desk):
        for session in sessions:
            session.send(*(session.frame(Ask.KEYS) for _ in range(3 * QUEUE)))
    readers = [threading.Thread(target=read, args=(i,)) for i in range(16)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    denied = 0
    for mine in answers:
        assert [answer.id for answer in mine] == list(range(1, 3 * QUEUE + 1))
        assert {answer.status for answer in mine} <= {0, Status.USAGE_CAPACITY}
        assert [answer.status for answer in mine[:QUEUE]] == [0] * QUEUE
        assert all(bool(answer.payload) is (answer.status == 0) for answer in mine)
        denied += sum(answer.status != 0 for answer in mine)
    assert denied > QUEUE
    assert status_of(desk)[1] - before[1] == denied
    for session in sessions:
        assert session.ask(Ask.STATUS).status == 0  # they go on
        session.close()


def rest_of(session: Session) -> list[Answer]:
    """What comes until the daemon ends it."""
    out = []
    while True:
        try:
            out.append(session.receive())
        except Closed:
            return out


@pytest.mark.long
def test_who_does_not_read_is_not_served_and_ends(desk: Desk) -> None:
    slow = desk.session("bot13")
    slow.sock.settimeout(0.5)
    before = status_of(desk)[0]
    sent = 0
    try:
        for _ in range(4000):
            slow.send(slow.frame(Ask.KEYS))
            sent += 1
    except TimeoutError:
        pass  # Its requests wait in the socket: nothing of it grows in the daemon.
    served = status_of(desk)[0] - before
    assert served < 1000
    begun = time.monotonic()
    with desk.session("bot14") as other:
        while time.monotonic() - begun < 11.5:
            assert other.ask(Ask.SIGN, new_order(desk, "bot14")).payload[0] == Verdict.ALLOWED
            time.sleep(0.2)
    slow.sock.settimeout(2)
    assert len(rest_of(slow)) < served + 2 < sent
    slow.close()


def test_a_slow_reader_is_served_as_far_as_it_reads(desk: Desk) -> None:
    with desk.session("bot15") as slow:
        frames = [slow.frame(Ask.KEYS) for _ in range(40)]
        slow.send(*frames)
        for i in range(40):
            answer = slow.receive()
            assert (answer.id, answer.status) == (i + 1, 0)
            time.sleep(0.02)


def test_a_large_answer_that_is_read_slowly_holds_up_nobody(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    desk.start()
    with desk.session("operator") as operator, desk.session("maker") as other:
        wanted = struct.pack("<QII", 0, 1 << 20, 1)  # with its books
        operator.send(operator.frame(Ask.STATE, wanted), operator.frame(Ask.STATE, wanted))
        for _ in range(50):
            assert other.ask(Ask.SIGN, new_order(desk, "maker")).payload[0] == Verdict.ALLOWED
        first, second = operator.receive(), operator.receive()
        assert len(first.payload) == len(second.payload) > 65536
    desk.stop()


def sign_in_all(desk: Desk, count: int) -> None:
    sessions = [(name, desk.session(name)) for name in (MANY * 16)[:count]]
    assert status_of(desk)[2] == count + 1
    for name, session in sessions:
        session.send(session.frame(Ask.SIGN, new_order(desk, name)))
    for _, session in sessions:
        assert session.receive().payload[0] == Verdict.ALLOWED
    for _, session in sessions:
        session.close()
    time.sleep(0.3)
    assert status_of(desk)[2] == 1


@pytest.mark.long
def test_a_thousand_sessions(desk: Desk) -> None:
    """Of 60 agents, 16 each; every one signs, and what they took is given back."""
    sign_in_all(desk, 960)
    memory = resident(desk)
    sign_in_all(desk, 240)
    assert resident(desk) - memory < 2 << 20


def resident(desk: Desk) -> int:
    assert desk.process is not None
    status = Path(f"/proc/{desk.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) << 10


def come_in(desk: Desk, name: str) -> Session:
    """A session, tried again: whoever knocks as the same user may have all of its 32 places."""
    until = time.monotonic() + 20
    while True:
        try:
            return desk.session(name)
        except (Closed, OSError):
            assert time.monotonic() < until


def test_floods_of_handshakes_and_noise_keep_nobody_out(desk: Desk) -> None:
    stop = threading.Event()
    done = [0, 0]

    def flood(what: int) -> None:
        while not stop.is_set():
            try:
                with dial(desk.socket, 1.0) as sock:
                    if what:
                        sock.sendall(b"\x16\x03\x01\x00\x05hello" + bytes(500))
                    else:
                        sock.sendall(b"SENTHELO" + bytes(88))
                        sock.recv(128)
                done[what] += 1
            except OSError:
                pass

    threads = [threading.Thread(target=flood, args=(i % 2,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        with come_in(desk, "bot17") as session:
            for _ in range(300):
                assert session.ask(Ask.SIGN, new_order(desk, "bot17")).payload[0] == Verdict.ALLOWED
        with come_in(desk, "bot18") as session:
            assert session.ask(Ask.STATUS).status == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert min(done) > 10


def test_connections_that_come_and_go_leave_nothing(desk: Desk) -> None:
    status_of(desk)
    for i in range(150):
        session = come_in(desk, "bot19")  # who floods before may still take this user's places
        session.send(session.frame(Ask.SIGN, new_order(desk, "bot19"))[: 100 + i])
        session.close()
    time.sleep(0.3)
    assert status_of(desk)[2] == 1
