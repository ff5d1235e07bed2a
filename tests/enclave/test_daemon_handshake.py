"""Who gets a session, and who does not (enclave/PROTOCOL.md, sections 2, 3 and 6).

Goal: every row of the table of section 2, and every form of bytes that is no handshake. Method: a
client in pieces (raw_client.py) that says one thing wrongly, against a daemon that goes on serving.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import AGENTS, HOUR, Desk, KnownRing, make_desk
from raw_client import Ask, Closed, Hello, Role, Session, Welcome, dial, greet, pin_of, seed_of

from sentinel._status import Status


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(
        tmp_path_factory.mktemp("d"),
        (*AGENTS, "gone", "ghost", "peer"),
        peers={"peer": os.getuid()},
        expires={"gone": time.time_ns() + 10**9},
        in_policy=(*AGENTS, "gone", "peer"),
    )
    made.start()
    yield made
    made.stop()


def welcome(desk: Desk, hello: Hello, seed: bytes | None) -> Welcome:
    with dial(desk.socket) as sock:
        return greet(sock, hello.pack(), seed)[0]


def test_everybody_in_the_bundle_gets_a_session(desk: Desk) -> None:
    channels = []
    for name in ("maker", "operator", "policy", "feeder", "root"):
        with desk.session(name) as session:
            told = session.welcome
            assert (told.version, told.queue, told.transport) == (1, 64, 1)
            assert told.engine == desk.created.engine_id
            assert told.agent == (desk.node(name) if name == "maker" else 0)
            assert abs(told.until_ns - time.time_ns() - HOUR) < 60 * 10**9
            assert pin_of(session.daemon_key) == desk.pin.read_text().strip()
            assert session.ask(Ask.STATUS).status == 0
            channels.append(told.channel)
    assert channels == sorted(set(channels))  # never twice


WRONG: list[tuple[str, str, dict[str, Any], Status]] = [
    ("maker", "maker", {"version": 0}, Status.FORMAT_VERSION),
    ("maker", "maker", {"version": 2}, Status.FORMAT_VERSION),
    ("maker", "maker", {"magic": b"SENTHELP"}, Status.FORMAT_MAGIC),
    ("maker", "maker", {"reserved0": b"\0\0\0\1"}, Status.FORMAT_RESERVED),
    ("maker", "maker", {"reserved1": bytes(39) + b"\1"}, Status.FORMAT_RESERVED),
    ("maker", "maker", {"role": 0}, Status.FORMAT_RANGE),
    ("maker", "maker", {"role": 5}, Status.FORMAT_RANGE),
    ("maker", "maker", {"role": 0xFFFF}, Status.FORMAT_RANGE),
    ("maker", "maker", {"agent": 0}, Status.FORMAT_RANGE),
    ("operator", "operator", {"agent": 7}, Status.FORMAT_RANGE),
    ("maker", "maker", {"engine": b"\1" * 32}, Status.POLICY_ENGINE),
    ("maker", "stranger", {}, Status.POLICY_SIGNATURE),  # a key in no row
    ("maker", "taker", {}, Status.POLICY_SIGNATURE),  # another row's
    ("maker", "maker", {"key": 99999}, Status.POLICY_SIGNATURE),
    ("maker", "maker", {"key": 0}, Status.POLICY_SIGNATURE),  # not the root's
    ("operator", "operator", {"key": 0}, Status.POLICY_SIGNATURE),
    ("gone", "gone", {}, Status.POLICY_SIGNATURE),  # expired
    ("operator", "operator", {"role": Role.FEEDER}, Status.POLICY_SCOPE),
    ("feeder", "feeder", {"role": Role.COMMAND}, Status.POLICY_SCOPE),
    ("maker", "maker", {"role": Role.COMMAND, "agent": 0}, Status.POLICY_SCOPE),
    ("root", "root", {"role": Role.FEEDER}, Status.POLICY_SCOPE),
    *(("keeper", "keeper", {"role": role}, Status.POLICY_SCOPE) for role in (2, 3)),
    ("keeper", "keeper", {"role": Role.AGENT, "agent": 7}, Status.POLICY_SCOPE),
    *((n, n, {"role": Role.KEEPER}, Status.POLICY_SCOPE) for n in ("operator", "root", "feeder")),
    ("maker", "maker", {"role": Role.KEEPER, "agent": 0}, Status.POLICY_SCOPE),
    ("maker", "maker", {"agent": 12345}, Status.POLICY_SCOPE),  # another agent's
    ("ghost", "ghost", {}, Status.POLICY_SCOPE),  # not in the policy
]


@pytest.mark.parametrize(("name", "key", "words", "status"), WRONG)
def test_a_wrong_hello_is_told_why(
    desk: Desk, name: str, key: str, words: dict[str, Any], status: Status
) -> None:
    if name == "gone":
        time.sleep(max(0.0, (desk.ring.expires["gone"] - time.time_ns()) / 1e9))
    with dial(desk.socket) as sock:
        told, _, _ = greet(sock, desk.hello(name, **words).pack(), seed_of(key))
        assert Status(told.status) is status
        assert told.version == 1
        assert (told.role, told.channel, told.epoch, told.until_ns) == (0, 0, 0, 0)
        assert told.engine == bytes(32)
        assert sock.recv(1) == b""  # and closed


def test_the_right_engine_may_be_named(desk: Desk) -> None:
    with desk.session("maker", engine=desk.created.engine_id) as session:
        assert session.ask(Ask.STATUS).status == 0


def test_another_agents_order_is_not_signed(desk: Desk) -> None:
    with desk.session("taker") as session:
        answer = session.ask(Ask.SIGN, desk.order("maker", 77))
        assert answer.status == 0
        assert answer.payload[0] == 2  # DENIED


@pytest.mark.parametrize(
    "first", [b"\0", b"R", b"G", b"\x15\x03\x03\0\2\1\0", b"\x80\x2e", b"SENT" + b"\xff" * 92]
)
def test_other_bytes_end_it_without_an_answer(desk: Desk, first: bytes) -> None:
    with dial(desk.socket) as sock:
        sock.sendall(first)
        if first[0] == ord("S"):  # A HELLO in clear is told why.
            assert Welcome.parse(sock.recv(200)).status == Status.FORMAT_MAGIC
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""


@pytest.mark.parametrize("seed", range(40))
def test_noise_in_a_handshake_ends_it(desk: Desk, seed: int) -> None:
    noise = b"".join(struct.pack("<Q", (seed * 2654435761 + i) ** 3 % 2**64) for i in range(40))
    with dial(desk.socket) as sock:
        sock.sendall(b"\x16\x03\x01\x01\x3b" + noise)
        sock.settimeout(2)
        try:
            while sock.recv(4096):  # an alert, perhaps
                pass
        except ConnectionResetError:
            pass


def tls_answers(context: ssl.SSLContext, sock: socket.socket, hello: bytes) -> bool:
    try:
        with context.wrap_socket(sock) as tls:
            tls.sendall(hello)
            return bool(tls.recv(128))
    except (ssl.SSLError, ConnectionError):
        return False


def test_tls_without_a_certificate_or_of_another_form_gets_nothing(desk: Desk) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        sock = dial(desk.socket)
        assert not tls_answers(context, sock, desk.hello("maker").pack())
        sock.close()


def test_nothing_may_follow_hello_inside_tls(desk: Desk) -> None:
    with dial(desk.socket) as sock, pytest.raises(Closed):
        greet(sock, desk.hello("maker").pack() + b"\0", seed_of("maker"))


def test_half_a_hello_and_silence_are_ended_in_time(desk: Desk) -> None:
    """Several at once, so that the five seconds are waited for once."""
    quiet = [dial(desk.socket) for _ in range(4)]
    quiet[1].sendall(b"\x16")
    quiet[2].sendall(b"\x16\x03\x01\x02\x00\x01")
    quiet[3].sendall(b"SENTHELO")
    begun = time.monotonic()
    for sock in quiet:
        assert sock.recv(1) == b""
        assert 4.5 < time.monotonic() - begun < 7
        sock.close()


def test_a_peer_is_who_the_kernel_says(desk: Desk) -> None:
    """Section 6. The tests' own user has the row `peer`."""
    with Session.open(desk.socket, desk.hello("peer"), None) as session:
        assert session.welcome.transport == 2
        answer = session.ask(Ask.SIGN, desk.order("peer", 1))
        assert (answer.status, answer.payload[0]) == (0, 1)
    with desk.session("peer") as session:  # its key still counts
        assert session.welcome.transport == 1
        assert session.ask(Ask.STATUS).status == 0
    for name in ("maker", "operator", "root"):
        assert welcome(desk, desk.hello(name), None).status == Status.POLICY_SIGNATURE
    other = desk.hello("peer", agent=desk.node("maker"))
    assert welcome(desk, other, None).status == Status.POLICY_SCOPE


def test_a_peer_of_another_user_is_nobody(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, peers={"maker": os.getuid() + 1})
    desk.start()
    assert welcome(desk, desk.hello("maker"), None).status == Status.POLICY_SIGNATURE
    desk.stop()


def test_a_session_ends_with_its_row(tmp_path: Path) -> None:
    """Another bundle comes into force: whose key is not in it is out, and told nothing."""
    desk = make_desk(tmp_path)
    desk.start()
    with desk.session("root") as root, desk.session("maker") as maker:
        with desk.session("taker") as taker:
            assert taker.ask(Ask.STATUS).status == 0
            assert root.ask(Ask.TAKE, desk.authority(KnownRing(("maker",)))).status == 0
            assert taker.ends(2)
        assert maker.ask(Ask.STATUS).status == 0
        told = welcome(desk, Hello(agent=desk.node("taker"), key=101), seed_of("taker"))
        assert told.status == Status.POLICY_SIGNATURE
    desk.stop()


def test_a_key_that_expires_ends_its_sessions(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, expires={"maker": time.time_ns() + 3 * 10**9})
    desk.start()
    with desk.session("maker") as maker:
        assert maker.ask(Ask.STATUS).status == 0
        assert maker.ends(15)  # a busy machine is late
    desk.stop()


def test_one_key_has_sixteen_sessions_and_takes_nobody_elses(desk: Desk) -> None:
    held = [desk.session("maker") for _ in range(16)]
    assert welcome(desk, desk.hello("maker"), seed_of("maker")).status == Status.USAGE_CAPACITY
    with desk.session("taker") as taker:
        assert taker.ask(Ask.STATUS).status == 0
    held.pop().close()
    time.sleep(0.1)
    with desk.session("maker") as again:
        assert again.ask(Ask.STATUS).status == 0
    for session in held:
        session.close()


def test_knocking_is_bounded_for_one_user(desk: Desk) -> None:
    """32 without a WELCOME; the others are closed at once, and sessions go on."""
    with desk.session("maker") as session:
        knocks = [socket.socket(socket.AF_UNIX) for _ in range(60)]
        for knock in knocks:
            knock.connect(str(desk.socket))
        time.sleep(0.3)
        closed = 0
        for knock in knocks:
            knock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                closed += knock.recv(1) == b""
        assert closed == 60 - 32
        assert session.ask(Ask.STATUS).status == 0
        for knock in knocks:
            knock.close()
    time.sleep(0.2)
    with desk.session("maker") as session:
        assert session.ask(Ask.STATUS).status == 0
