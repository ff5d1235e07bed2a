"""Commands under attack, by an agent and by a host that may write the engine's files.

Goal: each attempt is denied and recorded, or leaves the engine halted; none lifts a halt. Method:
a desk where two of three operators resume, halted; what two of them signed is forged, replayed,
reordered, cut, altered bit by bit, and put into the spool and the files in every wrong way.
Frames of the other kinds: tests/c/attack_frames_test.c.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sentinel import _core, _layout
from sentinel._drafts import Draft, sign_draft
from sentinel._enums import Algorithm, Command, Environment, Power, Purpose, Scope
from sentinel._frame import FrameKind
from sentinel._people import Founders, Public, SigningKeys, person_id
from sentinel._record import RecordType
from sentinel._status import Status
from sentinel.audit import read_log
from sentinel.config import Installed, create_engine, find_text, keep_text
from sentinel.errors import AuditError, EngineHalted, PolicyDenied, SentinelError
from sentinel.sign import Signer

PASSPHRASE = b"correct horse"
OPERATORS = ("operator-1", "operator-2", "operator-3")


@dataclass(frozen=True, slots=True)
class Field:
    """An engine in a directory, halted, and its operators' keys."""

    directory: Path
    founders: Founders

    @property
    def public(self) -> Public:
        return Public.of_engine(Installed(self.directory))

    def keys(self, name: str) -> SigningKeys:
        return SigningKeys.open(self.directory / "keys" / "people" / f"{name}.key", PASSPHRASE)

    def draft(self, verb: Command, *, sequence: int = 0, valid_s: int = 60, **more: Any) -> Draft:
        public, now = self.public, time.time_ns()
        assert public.policy is not None
        terms = _layout.FrameTerms(
            engine_id=more.pop("engine_id", public.genesis.engine_id),
            environment=more.pop("environment", Environment.TEST),
            sequence=sequence or now,
            issued_ns=now - 10**9,
            expires_ns=now + valid_s * 10**9,
        )
        target = more.pop("target", public.policy.nodes[0].id)
        keep_text(self.directory, "test")
        part = _layout.command(verb, target, "test", terms, scope=Scope.NODE, **more)
        return Draft(FrameKind.COMMAND, part, reason="test")

    def signed(self, draft: Draft, *names: str) -> bytes:
        for name in names:
            draft, _ = sign_draft(draft, self.keys(name), self.public, time.time_ns())
        return draft.raw

    def raw(self, verb: Command, *names: str, **more: Any) -> bytes:
        """A command by these."""
        return self.signed(self.draft(verb, **more), *names)

    def take(self, frame: bytes) -> None:
        """As the writer. Raises what the engine refuses with."""
        engine = _core.Engine.open(self.directory, PASSPHRASE, time.time_ns())
        try:
            engine.take(frame, time.time_ns())
        finally:
            engine.close(time.time_ns())

    def spooled(self, *frames: bytes) -> list[int]:
        """Through the spool; the statuses that the writer answers."""
        tickets = [_core.spool_submit(self.directory, frame) for frame in frames]
        return self.answers(*tickets)

    def answers(self, *tickets: int) -> list[int]:
        engine = _core.Engine.open(self.directory, PASSPHRASE, time.time_ns())
        engine.spool(time.time_ns())
        engine.close(time.time_ns())
        return [self.answer(ticket) for ticket in tickets]

    def answer(self, ticket: int) -> int:
        """The status; -1 where there is no answer, for the ticket itself is gone."""
        done = self.directory / "spool" / f"{ticket:020d}.done"
        return struct.unpack_from("<I", done.read_bytes())[0] if done.exists() else -1

    def refusals(self) -> int:
        return sum(row.type is RecordType.REFUSED for row in read_log(self.directory))

    def signs(self) -> bool:
        """Whether an agent gets anything signed."""
        with Signer.open(self.directory, passphrase=PASSPHRASE) as signer:
            try:
                signer.session("agent").sign({"action": "message", "text": "x"})
            except (PolicyDenied, EngineHalted, AuditError):
                return False
        return True


@pytest.fixture
def field(tmp_path: Path) -> Field:
    founders = Founders.of(operators=(3, 2))
    place = tmp_path / "engine"
    create_engine(
        *(place, PASSPHRASE),
        now_ns=time.time_ns(),
        environment=Environment.TEST,
        segment_bytes=1 << 16,
        authority=founders,
    )
    made = Field(place, founders)
    assert made.signs()
    made.take(made.raw(Command.HALT, "operator-1"))
    assert not made.signs()
    return made


def _fails(field: Field, frame: bytes, why: Status = Status.POLICY_SIGNATURE) -> None:
    """Refused for that very reason and recorded, by the writer and through the spool; nothing is
    lifted.
    """
    before = field.refusals()
    with pytest.raises(SentinelError) as refused:
        field.take(frame)
    assert refused.value.status == why
    assert field.spooled(frame) == [why]
    assert field.refusals() == before + 2
    assert not field.signs()


# ---- As an agent --------------------------------------------------------------------------------


def _stranger() -> tuple[_core.Keyring, bytes]:
    ring = _core.Keyring()
    ring.generate(1, Purpose.AUTHORITY, Algorithm.ED25519)
    return ring, ring.list()[0].public_key


def _forged(draft: Draft, ring: _core.Keyring, *keys: int) -> bytes:
    prefix = _layout.proof_prefix(draft.kind)
    signature = ring.sign_frame(1, prefix, draft.frame.hash)
    return replace(draft, proofs=tuple((key, signature) for key in keys)).raw


def test_a_strangers_key_under_every_id(field: Field) -> None:
    ring, _ = _stranger()
    draft = field.draft(Command.RESUME)
    ids = [person_id(name) for name in OPERATORS]
    for keys in ([], ids, ids[:2], [2, 3], [0], [2**32 - 1], [ids[0], ids[0]]):
        _fails(field, _forged(draft, ring, *keys))


def test_signatures_of_another_command_or_kind(field: Field) -> None:
    resume = field.draft(Command.RESUME)
    halt = field.draft(Command.HALT)
    for name in OPERATORS[:2]:
        halt, _ = sign_draft(halt, field.keys(name), field.public, time.time_ns())
    _fails(field, replace(resume, proofs=halt.proofs).raw)
    ids = [person_id(name) for name in OPERATORS[:2]]
    other_kind = [
        field.keys(name).sign(next(iter(field.keys(name).ids)), FrameKind.POLICY, resume.frame.hash)
        for name in OPERATORS[:2]
    ]
    _fails(field, replace(resume, proofs=tuple(zip(ids, other_kind, strict=True))).raw)
    # Every signature right, and the words swapped behind them: halt becomes resume.
    at = _layout.FRAME_HEADER.size
    swapped = bytearray(halt.raw)
    swapped[at : at + 2] = struct.pack("<H", Command.RESUME)
    _fails(field, bytes(swapped))


def test_one_operator_however_often_and_with_whom(field: Field) -> None:
    draft = field.draft(Command.RESUME)
    one = Draft(draft.kind, draft.signed)
    one, _ = sign_draft(one, field.keys("operator-1"), field.public, time.time_ns())
    _fails(field, one.raw)
    _fails(field, replace(one, proofs=one.proofs * 2).raw)
    _fails(field, replace(one, proofs=one.proofs * 16).raw)
    spread = tuple((person_id(name), one.proofs[0][1]) for name in OPERATORS)
    _fails(field, replace(one, proofs=spread).raw)
    policy = _layout.proof_prefix(draft.kind)
    own = field.founders._ring.sign_frame(2, policy, draft.frame.hash)
    _fails(field, replace(one, proofs=(*one.proofs, (2, own))).raw)


def test_an_agent_with_a_key_of_its_own_is_no_operator(field: Field) -> None:
    ring, public_key = _stranger()
    public = field.public
    assert public.policy is not None
    agent = next(node for node in public.policy.nodes if node.path == "firm/agent")
    rows = [
        _layout.AuthorityKey(
            id=id_,
            powers=frozenset(power for power in Power if powers >> power & 1),
            public_key=key,
            expires_ns=expires,
        )
        for id_, (powers, expires, key) in public.authority.keys.items()
    ]
    rows.append(
        _layout.AuthorityKey(
            id=9,
            powers=frozenset({Power.AGENT}),
            public_key=public_key,
            expires_ns=rows[0].expires_ns,
            node=agent.id,
        )
    )
    thresholds = {power: public.authority.threshold[power] for power in Power} | {Power.AGENT: 1}
    now = time.time_ns()
    terms = _layout.FrameTerms(
        engine_id=public.genesis.engine_id,
        environment=Environment.TEST,
        sequence=public.sequence + 1,
        issued_ns=now,
        expires_ns=now + 60 * 10**9,
    )
    part = _layout.authority_bundle(rows, thresholds, terms)
    field.take(field.founders.sign(FrameKind.AUTHORITY, part))
    for verb in (Command.RESUME, Command.HALT, Command.DRAIN, Command.LEASE):
        scope_ok = field.draft(verb) if verb is not Command.LEASE else field.draft(verb, target=0)
        _fails(field, _forged(scope_ok, ring, 9))
        _fails(field, _forged(scope_ok, ring, 9, 9))
    # Its bundle, signed by itself as the root, that makes it the operator.
    mine = [replace(rows[-1], powers=frozenset({Power.OPERATOR}), node=0), *rows[:1]]
    part = _layout.authority_bundle(
        mine,
        {Power.OPERATOR: 1, **dict.fromkeys(rows[0].powers, 1)},
        replace(terms, sequence=terms.sequence + 1),
    )
    _fails(field, _forged(Draft(FrameKind.AUTHORITY, part), ring, 0))


def test_every_byte_of_a_good_command_altered(field: Field) -> None:
    good = field.raw(Command.RESUME, "operator-1", "operator-2")
    engine = _core.Engine.open(field.directory, PASSPHRASE, time.time_ns())
    before = engine.state().record_count
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        with pytest.raises(SentinelError):
            engine.take(bytes(bad), time.time_ns())
    assert engine.state().record_count == before + len(good)  # each is a record
    assert engine.state().stops
    engine.take(good, time.time_ns())  # and the good one was good all the while
    assert not engine.state().stops
    engine.close(time.time_ns())


def test_every_length_of_a_good_command(field: Field) -> None:
    good = field.raw(Command.RESUME, "operator-1", "operator-2")
    engine = _core.Engine.open(field.directory, PASSPHRASE, time.time_ns())
    for size in [*range(1, len(good)), len(good) + 1, len(good) + 8, 2 * len(good)]:
        with pytest.raises(SentinelError):
            engine.take((good * 2)[:size], time.time_ns())
    assert engine.state().stops
    engine.close(time.time_ns())
    assert not field.signs()


def test_foreign_expired_and_late_commands(field: Field) -> None:
    both = ("operator-1", "operator-2")
    _fails(field, field.raw(Command.RESUME, *both, engine_id=bytes(32)), Status.POLICY_ENGINE)
    _fails(
        field,
        field.raw(Command.RESUME, *both, environment=Environment.LIVE),
        Status.POLICY_ENVIRONMENT,
    )
    _fails(field, field.raw(Command.RESUME, *both, valid_s=0), Status.POLICY_EXPIRED)
    _fails(field, field.raw(Command.RESUME, *both, sequence=1), Status.POLICY_SEQUENCE)
    ahead = time.time_ns() + 3600 * 10**9
    _fails(field, field.raw(Command.RESUME, *both, sequence=ahead), Status.POLICY_SEQUENCE)
    _fails(field, field.raw(Command.RESUME, *both, target=1), Status.POLICY_SCOPE)


def test_a_resume_is_taken_once(field: Field) -> None:
    resume = field.raw(Command.RESUME, "operator-1", "operator-3")
    kept = field.raw(Command.RESUME, "operator-2", "operator-3")  # signed before the next halt
    assert field.spooled(resume) == [0]
    assert field.signs()
    field.take(field.raw(Command.HALT, "operator-2"))
    for _ in range(3):
        _fails(field, resume, Status.POLICY_SEQUENCE)
    _fails(field, kept, Status.POLICY_SEQUENCE)


def test_a_replay_in_one_life_of_the_writer_is_recorded(field: Field) -> None:
    resume = field.raw(Command.RESUME, "operator-1", "operator-3")
    engine = _core.Engine.open(field.directory, PASSPHRASE, time.time_ns())
    first = _core.spool_submit(field.directory, resume)
    engine.spool(time.time_ns())
    engine.take(field.raw(Command.HALT, "operator-1"), time.time_ns())
    second = _core.spool_submit(field.directory, resume)
    engine.spool(time.time_ns())
    assert engine.state().stops
    engine.close(time.time_ns())
    assert field.answer(first) == 0
    assert field.answer(second) != 0
    assert field.refusals() == 1
    assert not field.signs()


# ---- As a host ----------------------------------------------------------------------------------


def test_tickets_in_another_order(field: Field) -> None:
    """The host lets the older resume come behind the newer halt."""
    resume = field.raw(Command.RESUME, "operator-1", "operator-2")
    halt = field.raw(Command.HALT, "operator-3")
    one, two = (_core.spool_submit(field.directory, frame) for frame in (resume, halt))
    spool = field.directory / "spool"
    names = [spool / f"{ticket:020d}" for ticket in (one, two)]
    names[0].rename(spool / "aside")
    names[1].rename(names[0])
    (spool / "aside").rename(names[1])
    statuses = field.answers(one, two)
    assert statuses[0] == 0
    assert statuses[1] != 0
    assert not field.signs()


def _ticket_gone(path: Path) -> None:
    path.unlink()


def _ticket_empty(path: Path) -> None:
    path.write_bytes(b"")


def _ticket_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _ticket_is_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _ticket_is_a_link(path: Path) -> None:
    kept = path.with_name("kept")
    path.rename(kept)
    path.symlink_to(kept)


@pytest.mark.parametrize(
    "spoil", [_ticket_gone, _ticket_empty, _ticket_cut, _ticket_is_a_directory, _ticket_is_a_link]
)
def test_spoiled_tickets_lift_nothing(field: Field, spoil: Callable[[Path], None]) -> None:
    resume = field.raw(Command.RESUME, "operator-1", "operator-2")
    ticket = _core.spool_submit(field.directory, resume)
    spoil(field.directory / "spool" / f"{ticket:020d}")
    try:
        assert field.answers(ticket) != [0]
    except SentinelError:
        return  # The writer does not even open: nothing is signed.
    assert not field.signs()


def test_a_stop_word_that_the_host_clears_does_not_lose_the_halt(field: Field) -> None:
    field.take(field.raw(Command.RESUME, "operator-1", "operator-2"))
    assert field.signs()
    _core.spool_submit(field.directory, field.raw(Command.HALT, "operator-3"))
    control = field.directory / "control"
    page = bytearray(control.read_bytes())
    page[40:48] = bytes(8)
    control.write_bytes(page)
    assert not field.signs()  # the spool is applied before anything is decided


def test_a_halt_whose_ticket_the_host_drops_still_stops(field: Field) -> None:
    """What is gone may have been a halt: it stops until the firm is halted or resumed."""
    field.take(field.raw(Command.RESUME, "operator-1", "operator-2"))
    ticket = _core.spool_submit(field.directory, field.raw(Command.HALT, "operator-3"))
    (field.directory / "spool" / f"{ticket:020d}").unlink()
    assert not field.signs()
    assert not field.signs()
    assert field.spooled(field.raw(Command.RESUME, "operator-1", "operator-2")) == [0]
    assert field.signs()


def _log(directory: Path) -> Path:
    return next(iter(sorted((directory / "log").glob("*.log"))))


def _end_of(directory: Path) -> int:
    """Where the frame of the last record begins: u64 size, record, u64 commit word."""
    raw = _log(directory).read_bytes()
    at, last = 64, 64
    while at + 8 <= len(raw):
        (size,) = struct.unpack_from("<Q", raw, at)
        if size == 0:
            break
        last, at = at, at + 16 + size
    return last


def _cut_the_last_record(directory: Path) -> None:
    log, at = _log(directory), _end_of(directory)
    raw = log.read_bytes()
    log.write_bytes(raw[:at] + bytes(len(raw) - at))


def _alter_the_last_record(directory: Path) -> None:
    log, at = _log(directory), _end_of(directory)
    raw = bytearray(log.read_bytes())
    raw[at + 8 + 330] ^= 1
    log.write_bytes(raw)


def _roll_the_log_back(directory: Path) -> None:
    shutil.copy(directory.parent / "before.log", _log(directory))


def _no_head(directory: Path) -> None:
    (directory / "log" / "head").unlink()


def _no_log(directory: Path) -> None:
    _log(directory).unlink()


def _other_genesis(directory: Path) -> None:
    path = directory / "genesis"
    raw = bytearray(path.read_bytes())
    raw[24] ^= 1
    path.write_bytes(raw)


def _other_authority(directory: Path) -> None:
    digest = Public.of_engine(Installed(directory)).authority_frame
    for path in (directory / "bundles").iterdir():
        if path.read_bytes() == digest:
            path.write_bytes(digest[:100] + bytes([digest[100] ^ 1]) + digest[101:])
    shutil.rmtree(directory / "snapshots")
    (directory / "snapshots").mkdir(mode=0o700)


@pytest.mark.parametrize(
    "harm",
    [
        *(_cut_the_last_record, _alter_the_last_record, _roll_the_log_back),
        *(_no_head, _no_log, _other_genesis, _other_authority),
    ],
)
def test_files_that_a_host_changed_leave_the_engine_halted(
    field: Field, harm: Callable[[Path], None]
) -> None:
    field.take(field.raw(Command.RESUME, "operator-1", "operator-2"))
    assert field.signs()
    shutil.copy(_log(field.directory), field.directory.parent / "before.log")
    field.take(field.raw(Command.HALT, "operator-3"))
    harm(field.directory)
    with contextlib.suppress(SentinelError):  # or it does not open at all
        assert not field.signs()
    # Not even k of n bring it back over such files.
    with pytest.raises(SentinelError):
        field.take(field.raw(Command.RESUME, "operator-1", "operator-2"))


def test_an_older_authority_does_not_come_back(field: Field) -> None:
    public = field.public
    old = public.authority_frame
    terms = _layout.FrameTerms(
        engine_id=public.genesis.engine_id,
        environment=Environment.TEST,
        sequence=public.sequence + 1,
        issued_ns=time.time_ns(),
        expires_ns=time.time_ns() + 60 * 10**9,
    )
    rows = [
        _layout.AuthorityKey(
            id=id_,
            powers=frozenset(power for power in Power if powers >> power & 1),
            public_key=key,
            expires_ns=expires,
        )
        for id_, (powers, expires, key) in public.authority.keys.items()
        if id_ != person_id("operator-3")
    ]
    thresholds = {power: public.authority.threshold[power] for power in Power}
    resume = field.raw(Command.RESUME, "operator-2", "operator-3")
    part = _layout.authority_bundle(rows, thresholds, terms)
    field.take(field.founders.sign(FrameKind.AUTHORITY, part))
    _fails(field, resume)
    _fails(field, old, Status.POLICY_SEQUENCE)
    _fails(field, resume)
    field.take(field.raw(Command.RESUME, "operator-1", "operator-2"))
    assert field.signs()


def test_texts_and_names_that_a_host_writes_are_not_believed(field: Field) -> None:
    for path in (field.directory / "texts").iterdir():
        digest = bytes.fromhex(path.name)
        path.write_text("all is well")
        assert find_text(field.directory, digest) is None
    (field.directory / "keys" / "people" / "names").write_text('["the boss", 7, "operator-1"]')
    public = field.public
    names = {public.name(key) for key in public.authority.keys}
    assert "the boss" not in names
    assert "operator-1" in names
    (field.directory / "keys" / "people" / "names").write_text("{")
    assert "operator-1" not in {field.public.name(key) for key in public.authority.keys}
    assert not field.signs()
