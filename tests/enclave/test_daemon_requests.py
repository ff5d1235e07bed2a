"""What a session may ask for, and what it gets (enclave/PROTOCOL.md, sections 4 and 5).

Goal: each request by each role; each field of a frame that a client can get wrong ends the session
and changes nothing; a retry gives the same bytes. Method: frames sealed by hand.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from daemon_desk import HOUR, Desk, make_desk
from raw_client import LARGE, MIDDLE, MORE, SMALL, Ask, Closed, Session, library, seed_of

from sentinel import _layout
from sentinel._enums import Command
from sentinel._frame import FrameKind, unsafe_parse_frame
from sentinel._record import Verdict
from sentinel._status import Reason, Status
from sentinel.ack import Ack
from sentinel.client import ask_document
from sentinel.config import Installed, public_keys
from sentinel.errors import UsageError

HEAD = struct.Struct("<BBHIQQq32s")
"""How a packed outcome begins: verdict, recorded, reason, status, record, epoch, time, hash."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(tmp_path_factory.mktemp("d"))
    made.start()
    yield made
    assert made.stop() == 0
    made.verify()


ids = iter(range(1, 10**6))


def new_order(desk: Desk, name: str = "maker") -> bytes:
    return desk.order(name, next(ids))


def records(desk: Desk) -> int:
    with desk.session("root") as root:
        return int(struct.unpack_from("<Q", root.ask(Ask.STATUS).payload, 40)[0])


def bundle_wanted(kind: int) -> bytes:
    return struct.pack("<HHIQ32s", kind, 0, 1 << 20, 0, bytes(32))


# ---- By role -------------------------------------------------------------------------------

COMMANDERS = {"operator", "root"}
EVERYBODY = {"maker", "feeder"} | COMMANDERS
HOST = {"keeper"} | COMMANDERS
MAY: dict[Ask, set[str]] = {
    Ask.SIGN: {"maker"},
    Ask.WITHDRAW: {"maker"},
    Ask.BEAT: {"maker"},
    Ask.TAKE: HOST | {"feeder"},
    Ask.STATUS: EVERYBODY | HOST,
    Ask.BUNDLE: EVERYBODY,
    Ask.RECORDS: COMMANDERS,
    Ask.HEAD: EVERYBODY,
    Ask.ATTEST: EVERYBODY,
    Ask.ASK: HOST,
    Ask.STATE: COMMANDERS,
    Ask.KEYS: EVERYBODY,
    Ask.FILE: HOST,
    Ask.PUT: COMMANDERS,
}


@pytest.mark.parametrize("name", sorted(EVERYBODY | HOST))
@pytest.mark.parametrize("ask", list(Ask))
def test_each_role_asks_for_its_own(desk: Desk, ask: Ask, name: str) -> None:
    """A payload of no use: allowed is what is not refused with POLICY_SCOPE."""
    before = records(desk)
    with desk.session(name) as session:
        status = session.ask(ask, b"\1" * 3).status
        assert (status == Status.POLICY_SCOPE) is (name not in MAY[ask])
        assert session.ask(Ask.STATUS).status == 0  # it goes on
    assert records(desk) - before == (ask is Ask.SIGN and name == "maker")


def test_feeders_only_feed_and_commanders_only_command(desk: Desk) -> None:
    halt = desk.command(Command.HALT, "taker")
    with desk.session("feeder") as feeder, desk.session("operator") as operator:
        for frame in (halt, desk.policy(), desk.authority(desk.ring)):
            assert feeder.ask(Ask.TAKE, frame).status == Status.POLICY_SCOPE
        assert operator.ask(Ask.TAKE, desk.marks()).status == Status.POLICY_SCOPE
        assert feeder.ask(Ask.TAKE, desk.marks()).status == 0
        forged = bytearray(halt)
        forged[-1] ^= 1  # The session knocks; the proof decides.
        assert operator.ask(Ask.TAKE, bytes(forged)).status == Status.POLICY_SIGNATURE


def test_a_keeper_only_carries_grants(desk: Desk) -> None:
    """Whatever the host's own process could hand in is refused before anybody looks at it."""
    frames = (desk.command(Command.HALT, "taker"), desk.policy(), desk.authority(desk.ring))
    before = records(desk)
    with desk.session("keeper") as keeper:
        for frame in (*frames, desk.marks()):
            assert keeper.ask(Ask.TAKE, frame).status == Status.POLICY_SCOPE
        for kind in (k for k in FrameKind if k is not FrameKind.GRANT):
            frame = bytearray(frames[0])
            frame[10:12] = struct.pack("<H", kind)
            assert keeper.ask(Ask.TAKE, bytes(frame)).status == Status.POLICY_SCOPE
        frame[10:12] = struct.pack("<H", FrameKind.GRANT)  # knocks, and proves nothing
        assert keeper.ask(Ask.TAKE, bytes(frame)).status not in (Status.OK, Status.POLICY_SCOPE)
        # The last question that an engine asks ends its signing: only who may halt asks it.
        assert keeper.ask(Ask.ASK, struct.pack("<I", 1)).status == Status.POLICY_SCOPE
        assert keeper.ask(Ask.ASK, bytes(4)).status == Status.OK
        assert keeper.ask(Ask.FILE, bytes(112)).payload.startswith(b"log/head\n")
    assert records(desk) == before + 1  # of the refused grant, as of every frame that is judged
    big = bytearray(frames[1]) + bytes(40000)
    with desk.session("keeper") as keeper, pytest.raises(Closed):
        keeper.ask(Ask.TAKE, bytes(big))  # nothing of a keeper needs several frames


def test_only_who_runs_it_is_told_how_far_the_grant_goes(desk: Desk) -> None:
    told = {}
    for name in sorted(EVERYBODY | HOST):
        with desk.session(name) as session:
            told[name] = session.ask(Ask.STATUS).payload[192:]
    assert {len(rest) for rest in told.values()} == {48}
    assert {name for name, rest in told.items() if any(rest)} <= HOST


# ---- Orders --------------------------------------------------------------------------------


def test_an_order_is_signed(desk: Desk) -> None:
    library().raw_outcome_head.restype = ctypes.c_size_t
    at = library().raw_outcome_head()
    with desk.session("maker") as session:
        answer = session.ask(Ask.SIGN, new_order(desk))
    head = HEAD.unpack_from(answer.payload)
    assert (head[0], head[1], head[2]) == (Verdict.ALLOWED, 1, Reason.NONE)
    assert len(answer.payload) % 8 == 0
    algorithm, size = answer.payload[at], answer.payload[at + 1]
    assert (algorithm, size) == (1, 64)
    key = next(k.info for k in public_keys(desk.directory) if k.name == "message")
    signature, request = answer.payload[at + 8 : at + 72], answer.payload[at + 72 :]
    offset, size = struct.unpack_from("<HH", request, 24)  # string_to_sign
    text = request[92 + offset : 92 + offset + size]
    assert b"hello" in text
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, text)


def test_the_same_order_gets_the_same_bytes(desk: Desk) -> None:
    number = next(ids)
    order = desk.order("maker", number)
    with desk.session("maker") as first:
        signed = first.ask(Ask.SIGN, order).payload
    before = records(desk)
    with desk.session("maker") as again:  # a new session, as after a lost answer
        assert again.ask(Ask.SIGN, order).payload == signed
        assert again.ask(Ask.SIGN, order).payload == signed
    assert records(desk) == before  # and no new decision
    other = desk.order("maker", number, "another text")
    with desk.session("maker") as session:
        denied = HEAD.unpack_from(session.ask(Ask.SIGN, other).payload)
    assert (denied[0], denied[2]) == (Verdict.DENIED, Reason.DUPLICATE)
    assert denied[4] == HEAD.unpack_from(signed)[4]  # the record that has the id


def test_outside_an_enclave_nobody_vouches_for_the_daemon(desk: Desk) -> None:
    with pytest.raises(UsageError) as refused:
        ask_document(f"unix://{desk.socket}", bytes(32))
    assert refused.value.status == Status.USAGE_STATE


def test_behind_a_halt_nobody_gets_a_signature_of_before(desk: Desk) -> None:
    order = new_order(desk, "taker")
    with desk.session("operator") as operator, desk.session("taker") as taker:
        assert taker.ask(Ask.SIGN, order).payload[0] == Verdict.ALLOWED
        assert operator.ask(Ask.TAKE, desk.command(Command.HALT, "taker")).status == 0
        denied = HEAD.unpack_from(taker.ask(Ask.SIGN, order).payload)
        assert denied[0] == Verdict.DENIED
        assert operator.ask(Ask.TAKE, desk.command(Command.RESUME, "taker")).status == 0
        denied = HEAD.unpack_from(taker.ask(Ask.SIGN, order).payload)
        assert (denied[0], denied[2]) == (Verdict.DENIED, Reason.DUPLICATE)


def test_the_last_sixty_four_are_kept(desk: Desk) -> None:
    orders = [new_order(desk) for _ in range(66)]
    with desk.session("maker") as session:
        signed = [session.ask(Ask.SIGN, order).payload for order in orders]
        for order, before in list(zip(orders, signed, strict=True))[2:]:
            assert session.ask(Ask.SIGN, order).payload == before
        for order in orders[:2]:
            assert session.ask(Ask.SIGN, order).payload[0] == Verdict.DENIED


def test_what_was_refused_is_decided_again(desk: Desk) -> None:
    order = desk.place("maker", next(ids), price="1")  # no such price is allowed: too large
    big = desk.place("maker", next(ids), quantity="1000")
    with desk.session("maker") as session:
        for each in (order, big):
            one, two = session.ask(Ask.SIGN, each), session.ask(Ask.SIGN, each)
            if one.payload[0] == Verdict.DENIED:
                assert HEAD.unpack_from(one.payload)[4] != HEAD.unpack_from(two.payload)[4]


def test_an_order_of_any_size_is_answered(desk: Desk) -> None:
    with desk.session("maker") as session:
        for size in (0, 1, 7, 8, 383, 384, 385, 480):
            answer = session.ask(Ask.SIGN, b"\1" * size)
            assert (answer.status, answer.payload[0]) == (0, Verdict.DENIED)
        for size in (481, 2016, 2017, 32736):
            answer = session.ask(Ask.SIGN, b"\1" * size)
            assert (answer.status, answer.payload[0]) == (0, Verdict.DENIED)


def test_a_deadline_that_has_passed_is_told(desk: Desk) -> None:
    before = records(desk)
    with desk.session("maker") as session:
        late = session.ask(Ask.SIGN, new_order(desk), deadline_ns=time.time_ns() - 1)
        assert (late.status, late.payload) == (Status.POLICY_EXPIRED, b"")
        assert records(desk) == before
        later = session.ask(Ask.SIGN, new_order(desk), deadline_ns=time.time_ns() + HOUR)
        assert later.status == 0


def test_withdrawing_what_does_not_wait(desk: Desk) -> None:
    with desk.session("maker") as session:
        assert session.ask(Ask.WITHDRAW, struct.pack("<Q", 5)).status == Status.POLICY_APPROVAL
        assert session.ask(Ask.WITHDRAW, bytes(9)).status == Status.FORMAT_SIZE


def test_a_heartbeat_is_of_this_agent(desk: Desk) -> None:
    def beat(name: str, key: str) -> bytes:
        part = _layout.heartbeat(desk.node(name), 1, 0, desk.terms(f"beat {name}"))
        message = _layout.proof_message(FrameKind.FEED, _layout.frame_hash(part))
        signature = Ed25519PrivateKey.from_private_bytes(seed_of(key)).sign(message)
        row = desk.hello(key).key
        return _layout.attach_proofs(part, [(row, signature)])

    with desk.session("maker") as session:
        answer = session.ask(Ask.BEAT, beat("maker", "maker"))
        assert (answer.status, len(answer.payload)) == (0, 8)
        taken = session.ask(Ask.BEAT, beat("taker", "taker"))
        assert taken.status == Status.POLICY_SCOPE
        assert session.ask(Ask.BEAT, desk.marks()).status == Status.POLICY_SCOPE
        assert session.ask(Ask.BEAT, beat("maker", "taker")).status == Status.POLICY_SIGNATURE


# ---- People --------------------------------------------------------------------------------


def test_a_halt_is_acknowledged_and_asked_again_the_same(desk: Desk) -> None:
    halt, resume = desk.command(Command.HALT, "taker"), desk.command(Command.RESUME, "taker")
    with desk.session("operator") as operator, desk.session("taker") as taker:
        answer = operator.ask(Ask.TAKE, halt)
        assert answer.status == 0
        ack = Ack.parse(answer.payload)
        assert ack.engine_id == desk.created.engine_id
        before = records(desk)
        assert operator.ask(Ask.TAKE, halt).payload == answer.payload
        assert records(desk) == before
        assert taker.ask(Ask.SIGN, new_order(desk, "taker")).payload[0] == Verdict.DENIED
        assert operator.ask(Ask.TAKE, resume).status == 0
        assert operator.ask(Ask.TAKE, halt).status == Status.POLICY_SEQUENCE
        assert taker.ask(Ask.SIGN, new_order(desk, "taker")).payload[0] == Verdict.ALLOWED


def test_a_policy_comes_into_force_between_two_orders(desk: Desk) -> None:
    with desk.session("policy") as policy, desk.session("maker") as maker:
        assert maker.ask(Ask.SIGN, new_order(desk)).payload[0] == Verdict.ALLOWED
        frame = desk.policy()
        answer = policy.ask(Ask.TAKE, frame)
        assert (answer.status, len(answer.payload)) == (0, 16)
        assert maker.ask(Ask.SIGN, new_order(desk)).payload[0] == Verdict.ALLOWED
        assert maker.ask(Ask.BUNDLE, bundle_wanted(FrameKind.POLICY)).payload[40:] == frame


def test_bundles_state_keys_and_head(desk: Desk) -> None:
    installed = Installed(desk.directory)
    with desk.session("operator") as session:
        authority = session.ask(Ask.BUNDLE, bundle_wanted(FrameKind.AUTHORITY)).payload[40:]
        assert authority == installed.authority()
        assert unsafe_parse_frame(authority, FrameKind.AUTHORITY)
        for kind in (0, 4, 5, 0xFFFF):
            refused = session.ask(Ask.BUNDLE, bundle_wanted(kind))
            assert refused.status == Status.FORMAT_RANGE
        state = session.ask(Ask.STATE, struct.pack("<QII", 0, 1 << 20, 0)).payload
        assert state[8:16] == b"SENTSTAT"
        keys = session.ask(Ask.KEYS).payload
        assert len(keys) == 216 * len(public_keys(desk.directory))
        for _ in range(2):
            count = records(desk)
            head = session.ask(Ask.HEAD).payload
            assert head[:32] == desk.created.engine_id
            assert struct.unpack_from("<Q", head, 40) == (count,)
            digest = hashlib.sha256(head[:112]).digest()
            identity = next(k.info for k in public_keys(desk.directory) if k.name == "identity")
            public = Ed25519PublicKey.from_public_bytes(identity.public_key)
            public.verify(head[112:], b"sentinel-head-v1\0" + digest)
        assert session.ask(Ask.ATTEST, bytes(32)).status == Status.USAGE_STATE
        asked = session.ask(Ask.ASK, struct.pack("<I", 0))
        assert (asked.status, len(asked.payload)) == (0, 264)


def test_records_come_whole_and_in_order(desk: Desk) -> None:
    count = records(desk)
    with desk.session("operator") as session:
        session.ask(Ask.STATUS)
        got: list[bytes] = []
        while True:
            answer = session.ask(Ask.RECORDS, struct.pack("<QII", len(got), 3000, 0))
            if answer.status == Status.AUDIT_END:
                break
            assert answer.status == 0
            at = 0
            while at < len(answer.payload):
                (size,) = struct.unpack_from("<I", answer.payload, at)
                got.append(answer.payload[at + 4 : at + 4 + size])
                at += 4 + size
        assert len(got) == count
        assert [struct.unpack_from("<Q", record, 8)[0] for record in got] == list(range(count))
        one = session.ask(Ask.RECORDS, struct.pack("<QII", 3, 0, 0))  # at least one
        assert one.payload[4:] == got[3]
        last = session.ask(Ask.RECORDS, struct.pack("<QII", count - 1, 1 << 31, 0))
        assert last.payload[4:] == got[-1]
        far = session.ask(Ask.RECORDS, struct.pack("<QII", 2**64 - 1, 100, 0))
        assert far.status == Status.AUDIT_END
        bad = session.ask(Ask.RECORDS, struct.pack("<QII", 0, 100, 1))
        assert bad.status == Status.FORMAT_RESERVED


def test_a_message_of_several_frames(desk: Desk) -> None:
    """Only people send one; a frame that is too long for the engine is the engine's to refuse."""
    for size in (32737, 100_000, 4 << 20):
        with desk.session("operator") as session:
            frame = desk.command(Command.HALT, "taker")
            answer = session.ask(Ask.TAKE, frame + bytes(size - len(frame)))
            assert answer.status in (Status.FORMAT_SIZE, Status.FORMAT_LIMIT)
    with desk.session("feeder") as session:
        session.send(session.message(Ask.TAKE, bytes(32737)))
        assert session.ends()


@pytest.mark.long
def test_a_message_that_stops_halfway_is_ended(desk: Desk) -> None:
    with desk.session("operator") as session, desk.session("operator") as other:
        session.send(session.frame(Ask.TAKE, bytes(32736), flags=MORE, total=40000))
        time.sleep(0.3)  # so that it is read first
        # One at a time of one key: the second is told so in its turn, and the session goes on.
        refused = other.ask(Ask.TAKE, bytes(40000))
        assert refused.status == Status.USAGE_CAPACITY
        assert other.ask(Ask.STATUS).status == 0
        begun = time.monotonic()
        assert session.ends(14)
        assert time.monotonic() - begun > 9
        assert other.ask(Ask.TAKE, bytes(40000)).status == Status.POLICY_SCOPE


# ---- Frames --------------------------------------------------------------------------------

Wrong = Callable[[Session], bytes]
WRONG: dict[str, Wrong] = {
    "a number that was left out": lambda s: s.frame(Ask.STATUS, id_=2),
    "number 0": lambda s: s.frame(Ask.STATUS, id_=0),
    "the number before": lambda s: s.frame(Ask.STATUS) + s.frame(Ask.STATUS, id_=1),
    "no kind": lambda s: s.frame(0),
    "an unknown kind": lambda s: s.frame(99),
    "an answer": lambda s: s.frame(Ask.STATUS | 0x8000),
    "a status": lambda s: s.frame(Ask.STATUS, status=1),
    "a deadline before 1970": lambda s: s.frame(Ask.STATUS, deadline_ns=-1),
    "a flag": lambda s: s.frame(Ask.STATUS, flags=2),
    "more, in a small frame": lambda s: s.frame(Ask.TAKE, bytes(480), flags=MORE, total=900),
    "more, not full": lambda s: s.frame(Ask.TAKE, bytes(9), class_=LARGE, flags=MORE, total=99),
    "more, and none is left": lambda s: s.frame(Ask.TAKE, bytes(32736), flags=MORE),
    "a total above its size": lambda s: s.frame(Ask.STATUS, bytes(5), total=6),
    "a total below its size": lambda s: s.frame(Ask.STATUS, bytes(5), total=4),
    "a total above the most": lambda s: s.frame(Ask.TAKE, bytes(32736), flags=1, total=1 << 23),
    "another message between": lambda s: (
        s.frame(Ask.TAKE, bytes(32736), flags=MORE, total=40000) + s.frame(Ask.STATUS)
    ),
    "the end of another kind": lambda s: (
        s.frame(Ask.TAKE, bytes(32736), flags=MORE, total=32740)
        + s.frame(Ask.STATUS, bytes(4), id_=1, class_=LARGE, total=32740)
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_message_ends_the_session(desk: Desk, what: str) -> None:
    with desk.session("operator") as session:
        session.send(WRONG[what](session))
        assert session.ends(), what


def _flipped(frame: bytes, at: int) -> bytes:
    out = bytearray(frame)
    out[at] ^= 0x40
    return bytes(out)


BYTES = (*range(16), 16, 17, 47, 48, 300, 527, *range(528, 544))


@pytest.mark.parametrize("at", BYTES)
def test_a_flipped_byte_ends_the_session_and_decides_nothing(desk: Desk, at: int) -> None:
    before = records(desk)
    with desk.session("maker") as session:
        session.send(_flipped(session.frame(Ask.SIGN, new_order(desk)), at), bytes(2048))
        assert session.ends(), at
    assert records(desk) == before


def test_a_replayed_a_lost_and_a_swapped_frame_end_the_session(desk: Desk) -> None:
    with desk.session("maker") as session:
        frame = session.frame(Ask.SIGN, new_order(desk))
        session.send(frame)
        assert session.receive().payload[0] == Verdict.ALLOWED
        before = records(desk)
        session.send(frame)
        assert session.ends()
    with desk.session("maker") as session:
        frames = [session.frame(Ask.SIGN, new_order(desk)) for _ in range(2)]
        session.send(frames[1], frames[0])
        assert session.ends()
    with desk.session("maker") as session, desk.session("maker") as other:
        session.send(other.frame(Ask.SIGN, new_order(desk)))  # of another channel
        assert session.ends()
        assert other.sock.send(b"") == 0
    assert records(desk) == before


def test_the_other_direction_opens_nothing(desk: Desk) -> None:
    """What the daemon said, sent back to it."""
    with desk.session("maker") as session:
        session.send(session.frame(Ask.STATUS))
        said = session.sock.recv(2080)
        session.next_id = 1
        session.send(said)
        assert session.ends()


def test_frames_in_pieces_are_frames(desk: Desk) -> None:
    with desk.session("maker") as session:
        for class_ in (SMALL, MIDDLE, LARGE):
            frame = session.frame(Ask.STATUS, class_=class_)
            for at in range(0, len(frame), len(frame) // 7):
                session.send(frame[at : at + len(frame) // 7])
                time.sleep(0.002)
            assert session.receive().status == 0


def test_clear_frames_are_checked_as_sealed_ones_are(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, peers={"maker": os.getuid()})
    desk.start()
    for at in (2, 8, 4, 20, 300, 527, 528, 543):  # class, counter, reserved, flags, zeros, tag
        with Session.open(desk.socket, desk.hello("maker"), None) as session:
            frame = session.frame(Ask.STATUS)
            session.send(_flipped(frame, at), bytes(2048))
            assert session.ends(), at
    desk.stop()
