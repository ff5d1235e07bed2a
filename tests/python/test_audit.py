"""The log and its receipts, checked by an auditor who has only the files.

Goal: whatever is changed, by one bit or by a forger who rehashes everything, is found, and where.
Method: real logs of a trading engine, damaged in every way; records built here from the layouts
in `sentinel/audit.h`; the reference roots of RFC 6962's test tree.
"""

from __future__ import annotations

import random
import shutil
import struct
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from both_ways import verify_log
from engines import PASSPHRASE, POLICY, Made, Traded, import_spot_key, make_engine
from forger import SEGMENT, forge, frames

from sentinel import Message, _core
from sentinel._enums import Environment
from sentinel._record import (
    head_check,
    parse_record,
    tree_root,
)
from sentinel.audit import (
    RecordType,
    find_record,
    last_record,
    read_log,
    replay,
    restore,
)
from sentinel.config import Installed, create_engine
from sentinel.errors import AuditCorrupt, AuditError, PolicyDenied
from sentinel.story import describe_record, trace_record


@pytest.fixture
def copy(traded: Traded, tmp_path: Path) -> Path:
    place = tmp_path / "copy"
    shutil.copytree(traded.made.directory, place)
    return place


# ---- A log that is right ------------------------------------------------------------------------


def test_a_log_of_two_epochs_is_intact(traded: Traded) -> None:
    report = verify_log(traded.made.directory)
    assert report.findings == []
    assert report.engine_id == traded.made.created.engine_id
    assert report.epochs == 3
    assert report.verdicts == {"allowed": 3, "denied": 2}
    assert report.types["command"] == 2
    assert report.types["feed"] == 1
    assert report.policy_versions == [1, 2]
    # Authority, two policies, two commands, one feed.
    assert report.signatures_verified == 6


def test_the_core_and_plain_python_read_the_same_records(traded: Traded) -> None:
    raw = list(_core.LogReader(traded.made.directory / "log"))
    tree = _core.Tree()
    for record in raw:
        assert parse_record(record.bytes).hash == record.hash
        tree.add(record.hash)
    report = verify_log(traded.made.directory)
    assert (len(raw), tree.root()) == (report.records, report.root)


def test_reading_may_begin_anywhere_and_ends_where_the_log_ends(traded: Traded) -> None:
    directory = traded.made.directory
    records = list(read_log(directory))
    for first in (1, len(records) // 2, len(records) - 1):
        assert [r.number for r in read_log(directory, first)] == [r.number for r in records[first:]]
    assert list(read_log(directory, len(records))) == []
    assert last_record(directory) == records[-1]
    with pytest.raises(AuditError, match="no record"):
        find_record(directory, len(records))


def test_replay_makes_every_decision_again(traded: Traded) -> None:
    walk = replay(traded.made.directory)
    assert list(walk.differences) == []
    assert walk.records == verify_log(traded.made.directory).records
    assert walk.decisions == 5


def test_state_from_a_snapshot_and_from_the_whole_log_are_the_same(copy: Path) -> None:
    from_snapshot = restore(copy).state()
    for path in (copy / "snapshots").iterdir():
        path.unlink()
    assert restore(copy).state() == from_snapshot


def test_a_record_can_be_read_by_people(traded: Traded) -> None:
    installed = Installed(traded.made.directory)
    data = describe_record(installed, find_record(traded.made.directory, traded.signed))
    assert data["agent"] == "firm/desk/maker"
    assert data["text"] == "buy 0.01 of BTCUSDT at 65000.10, gtc"
    assert data["stated_reasons"] == "the spread is wide"
    cap = next(c for c in data["constraints"] if c["type"] == "value_cap")
    assert (cap["value_text"], cap["bound_text"]) == ("650.001 USD", "10k USD")
    for record in read_log(traded.made.directory):
        assert describe_record(installed, record)["type"] == record.type.name.lower()


def test_a_trace_tells_what_led_to_a_decision_and_what_followed(traded: Traded) -> None:
    story = trace_record(Installed(traded.made.directory), traded.signed)
    assert story["policy_loaded"]["version"] == 2
    assert story["epoch_started"]["epoch"] == 2
    assert story["marks"][0]["price"] == "65000"
    assert [row["text"] for row in story["followed"]] == ["cancel action 1"]
    refused = trace_record(Installed(traded.made.directory), traded.denied + 2)
    assert refused["decision"]["reason"] == "kill_switch"
    assert refused["commands"][0]["stated_reason"] == "a test of the switch"


def test_a_trace_follows_parents(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine")
    with made.open() as signer:
        notes, maker = signer.session("notes"), signer.session("maker")
        plan = notes.sign(Message(text="buy the dip"))
        child = maker.sign(
            Message(text="ok", parent_agent=notes.agent, parent_action_id=plan.action_id)
        )
    story = trace_record(Installed(made.directory), child.handle.record)
    assert [parent["record"] for parent in story["parents"]] == [plan.handle.record]
    story = trace_record(Installed(made.directory), plan.handle.record)
    assert [row["record"] for row in story["followed"]] == [child.handle.record]


def test_a_halt_up_the_lineage_refuses_and_the_trace_says_so(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine")
    with made.open() as signer:
        notes, maker, taker = (signer.session(name) for name in ("notes", "maker", "taker"))
        plan = notes.sign(Message(text="buy the dip"))
        signer.halt("the plan was wrong", scope="notes")
        with pytest.raises(PolicyDenied):
            maker.sign(Message(text="ok", parent_agent=notes.agent, parent_action_id=1))
        signer.resume("it was not", scope="notes")
        order = maker.sign(
            Message(text="ok", parent_agent=notes.agent, parent_action_id=plan.action_id)
        )
        signer.halt("now it is", scope="notes")
        with pytest.raises(PolicyDenied) as refused:
            taker.sign(
                Message(text="so", parent_agent=maker.agent, parent_action_id=order.action_id)
            )
    assert refused.value.reason == "kill_switch"
    assert refused.value.record is not None
    story = trace_record(Installed(made.directory), refused.value.record)
    assert [parent["record"] for parent in story["parents"]] == [
        order.handle.record,
        plan.handle.record,
    ]
    assert story["commands"][-1]["stated_reason"] == "now it is"


def test_a_lineage_that_is_too_long_says_what_to_do(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine")
    with made.open() as signer:
        two = [signer.session("notes"), signer.session("maker")]
        last = two[0].sign(Message(text="?"))
        for step in range(1, 9):
            parent = two[1 - step % 2].agent
            last = two[step % 2].sign(
                Message(text="!", parent_agent=parent, parent_action_id=last.action_id)
            )
        with pytest.raises(PolicyDenied) as refused:
            two[1].sign(
                Message(text="?", parent_agent=two[0].agent, parent_action_id=last.action_id)
            )
    assert refused.value.reason == "lineage_too_long"
    assert "first decision" in refused.value.next_step
    assert refused.value.failed[0].value_text == "not known"
    assert "first decision" in refused.value.failed[0].suggestion


# ---- A log that was changed ---------------------------------------------------------------------


def flip(path: Path, offset: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.chmod(0o600)
    path.write_bytes(data)


def flipped_bits_are_found(copy: Path, places: list[tuple[str, int]], rng: random.Random) -> None:
    located = 0
    for name, offset in places:
        original = (copy / name).read_bytes()
        flip(copy / name, offset, rng.randrange(8))
        report = verify_log(copy)
        assert not report.ok, f"{name}, byte {offset}"
        if name == SEGMENT:
            expected = next(
                (n for n, (at, size) in enumerate(frames(original)) if at <= offset < at + size),
                None,
            )
            if expected is not None:
                assert report.findings[0].record == expected, f"{name}, byte {offset}"
                assert report.findings[0].offset == frames(original)[expected][0]
                located += 1
        (copy / name).write_bytes(original)
    assert located > 20  # damage of a record names that very record
    assert verify_log(copy).ok


def watched_files(copy: Path) -> list[Path]:
    names = ["genesis", "log", "bundles", "snapshots", "texts"]
    return [
        path
        for name in names
        for path in ([copy / name] if (copy / name).is_file() else sorted((copy / name).iterdir()))
    ]


def test_one_flipped_bit_is_found_wherever_it_is(copy: Path) -> None:
    rng = random.Random(1)
    places: list[tuple[str, int]] = []
    for path in watched_files(copy):
        name = str(path.relative_to(copy))
        size = path.stat().st_size
        used = frames(path.read_bytes())[-1] if name == SEGMENT else (0, size)
        places += [(name, rng.randrange(sum(used))) for _ in range(25)]
        places += [(name, 0), (name, size - 1), (name, rng.randrange(size))]
    flipped_bits_are_found(copy, places, rng)


@pytest.mark.long
def test_every_byte_of_the_log_is_watched(copy: Path) -> None:
    rng = random.Random(2)
    at, size = frames((copy / SEGMENT).read_bytes())[-1]
    places = [(SEGMENT, offset) for offset in range(at + size + 64)]
    places += [("log/head", offset) for offset in range(4096)]
    flipped_bits_are_found(copy, places, rng)


def test_the_core_refuses_to_sign_on_a_damaged_log(copy: Path, traded: Traded) -> None:
    at, _ = frames((copy / SEGMENT).read_bytes())[5]
    flip(copy / SEGMENT, at + 100, 3)
    with pytest.raises(AuditCorrupt) as caught:
        list(read_log(copy))
    assert (caught.value.record, caught.value.offset) == (5, at)
    with Made(copy, traded.made.created, 0).open() as signer:
        assert "not intact" in signer.status().engine_halted
        halt = signer.status().engine_halt
        assert halt is not None
        assert (halt.record, halt.lift) == (None, "")
        with pytest.raises(AuditCorrupt, match="not intact"):
            signer.session("notes")
    assert not verify_log(copy).ok


def test_records_after_the_head_are_missing_when_the_end_is_cut(copy: Path) -> None:
    data = bytearray((copy / SEGMENT).read_bytes())
    at, size = frames(data)[-1]
    data[at : at + size] = bytes(size)
    (copy / SEGMENT).write_bytes(data)
    (finding,) = verify_log(copy).findings
    assert finding.kind == "truncated"


def test_a_dropped_record_and_two_that_changed_places_are_found(copy: Path) -> None:
    original = (copy / SEGMENT).read_bytes()
    spans = frames(original)
    parts = [original[at : at + size] for at, size in spans]
    for order, first_wrong in (
        ([n for n in range(len(parts)) if n != 6], 6),
        ([*range(6), 7, 6, *range(8, len(parts))], 6),
        ([*range(7), 6, *range(7, len(parts))], 7),
    ):
        body = b"".join(parts[n] for n in order)
        (copy / SEGMENT).write_bytes((original[:64] + body).ljust(len(original), b"\0"))
        report = verify_log(copy)
        assert report.findings[0].record == first_wrong, order
        assert report.findings[0].kind == "corrupt"


def test_an_unfinished_record_is_torn_and_the_next_start_sets_it_aside(
    copy: Path, traded: Traded
) -> None:
    data = bytearray((copy / SEGMENT).read_bytes())
    at, size = frames(data)[-1]
    end = at + size
    # What a process leaves that dies while it appends: a beginning, and no commit word.
    data[end : end + 200] = (840).to_bytes(8, "little") + bytes(data[at + 8 : at + 200])
    data[end + 12 : end + 16] = (840).to_bytes(4, "little")
    (copy / SEGMENT).write_bytes(data)
    (finding,) = verify_log(copy).findings
    assert (finding.kind, finding.offset) == ("torn", end)
    with Made(copy, traded.made.created, 0).open() as signer:
        assert signer.session("notes").sign(Message(text="x")).handle.record
    assert verify_log(copy).ok
    assert list((copy / "log").glob("torn-*"))


def let_head_lag(directory: Path) -> None:
    """The head says nothing of the last record, as if its writer had been killed behind it."""
    data = (directory / SEGMENT).read_bytes()
    at, _ = frames(data)[-1]
    page = bytearray((directory / "log/head").read_bytes())
    for slot in (0, 2048):
        page[slot : slot + 8] = (len(frames(data)) - 1).to_bytes(8, "little")
        page[slot + 32 : slot + 48] = data[at + 8 + 24 : at + 8 + 40]  # the hash before
        page[slot + 48 : slot + 64] = head_check(page[slot : slot + 48])
    (directory / "log/head").write_bytes(page)


# Offset in a header, how many bytes, and what a forger writes there.
ILL_FORMED = {
    "version": (0, 2, 2),
    "type": (2, 2, 14),
    "verdict": (68, 1, 5),
    "release mode": (69, 1, 3),
    "reason": (70, 2, 128),
    "time": (56, 8, 1 << 63),
    "reserved": (110, 2, 1),
    "flags": (112, 4, 128),
    "subject": (104, 2, 36),
    "answers a later record": (312, 8, 1 << 40),
    "number": (8, 8, 999),
    "the first number": (8, 8, 0),
    "past": (24, 8, 7),
}


@pytest.mark.parametrize("where", ILL_FORMED)
def test_what_no_power_loss_leaves_is_corrupt_beyond_the_head_too(
    copy: Path, traded: Traded, where: str
) -> None:
    offset, size, value = ILL_FORMED[where]
    let_head_lag(copy)
    assert verify_log(copy).ok
    data = bytearray((copy / SEGMENT).read_bytes())
    at, length = frames(data)[-1]
    data[at + 8 + offset : at + 8 + offset + size] = value.to_bytes(size, "little")
    word = sha256(b"\0" + data[at + 8 : at + 328]).digest()[:8]
    data[at + length - 8 : at + length] = word
    (copy / SEGMENT).write_bytes(data)
    (finding,) = verify_log(copy).findings
    assert (finding.kind, finding.offset) == ("corrupt", at)
    with Made(copy, traded.made.created, 0).open() as signer:
        assert "not intact" in signer.status().engine_halted


def test_a_body_that_its_header_does_not_name_is_torn_beyond_the_head(
    copy: Path, traded: Traded
) -> None:
    let_head_lag(copy)
    data = bytearray((copy / SEGMENT).read_bytes())
    at, length = frames(data)[-1]
    data[at + length - 9] ^= 1  # a salt
    (copy / SEGMENT).write_bytes(data)
    (finding,) = verify_log(copy).findings
    assert (finding.kind, finding.offset) == ("torn", at)
    with Made(copy, traded.made.created, 0).open():
        assert list((copy / "log").glob("torn-*"))


def test_a_log_of_another_engine_is_foreign(copy: Path, tmp_path: Path, traded: Traded) -> None:
    other = make_engine(tmp_path / "other", policy=None)
    assert verify_log(other.directory, engine_id=traded.made.created.engine_id).findings
    shutil.rmtree(copy / "log")
    shutil.copytree(other.directory / "log", copy / "log")
    kinds = {finding.kind for finding in verify_log(copy).findings}
    assert "foreign" in kinds
    with pytest.raises(AuditError, match="another engine"):
        Made(copy, traded.made.created, 0).open()


def test_a_missing_bundle_and_an_altered_text_are_found(copy: Path) -> None:
    text = next((copy / "texts").iterdir())
    text.write_text("something else")
    bundle = sorted((copy / "bundles").iterdir())[0]
    bundle.unlink()
    kinds = {(f.kind, f.file.split("/")[0]) for f in verify_log(copy).findings}
    assert ("corrupt", "texts") in kinds
    assert any(kind == "missing" for kind, _ in kinds)


# ---- A forger who rehashes everything -----------------------------------------------------------


def test_the_forger_of_these_tests_knows_the_layout(copy: Path) -> None:
    before = (copy / SEGMENT).read_bytes()
    forge(copy, 3, lambda out: None)
    assert (copy / SEGMENT).read_bytes() == before
    assert verify_log(copy).ok


def at_result(raw: bytearray, index: int, offset: int) -> int:
    (subject_size,) = struct.unpack_from("<H", raw, 104)
    return 320 + subject_size + 24 * index + offset


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("now", lambda raw: raw.__setitem__(56, raw[56] ^ 1)),
        ("results", lambda raw: raw.__setitem__(at_result(raw, 2, 8), 0)),
        ("results", lambda raw: raw.__setitem__(at_result(raw, 1, 16), 7)),
        ("subject", lambda raw: raw.__setitem__(320 + 160 + 24, 2)),
        ("key counter", lambda raw: raw.__setitem__(96, 9)),
        ("verdict", lambda raw: raw.__setitem__(68, 2)),
    ],
)
def test_replay_finds_a_decision_that_policy_would_not_have_made(
    copy: Path, traded: Traded, field: str, change: Callable[[bytearray], None]
) -> None:
    forge(copy, traded.signed, change)
    differences = list(replay(copy).differences)
    if field == "now":
        # A time is an input, and the decision is the same; but the windows remember another one.
        snapshot = next(
            r.number
            for r in read_log(copy)
            if r.type is RecordType.SNAPSHOT and r.number > traded.signed
        )
        assert [(d.record, d.field) for d in differences] == [(snapshot, "state")]
        return
    assert [d.record for d in differences] == [traded.signed]


def test_a_forged_log_does_not_fit_a_receipt_that_was_given_out(copy: Path, traded: Traded) -> None:
    forge(copy, traded.signed, lambda raw: raw.__setitem__(56, raw[56] ^ 1))
    head = traded.receipt["proof"]["head"]
    leaves = [record.hash for record in read_log(copy)]
    assert tree_root(leaves[: head["count"]]).hex() != head["root"]
    honest = [record.hash for record in read_log(traded.made.directory)]
    assert tree_root(honest[: head["count"]]).hex() == head["root"]


def test_a_command_that_no_operator_signed_is_found(copy: Path, traded: Traded) -> None:
    number = next(r.number for r in read_log(copy) if r.type is RecordType.COMMAND)
    # The severity, inside the frame that the operator signed.
    forge(copy, number, lambda raw: raw.__setitem__(320 + 96 + 10, 3))
    kinds = {(f.kind, f.record) for f in verify_log(copy).findings}
    assert ("signature", number) in kinds


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("counter of key", lambda raw: raw.__setitem__(96, raw[96] + 1)),
        ("time is before", lambda raw: raw.__setitem__(slice(56, 64), bytes(8))),
        ("epoch 9", lambda raw: raw.__setitem__(16, 9)),
        ("bundles in force", lambda raw: raw.__setitem__(120, raw[120] ^ 1)),
    ],
)
def test_what_the_chain_alone_would_not_show_is_found(
    copy: Path, traded: Traded, text: str, change: Callable[[bytearray], None]
) -> None:
    forge(copy, traded.signed, change)
    findings = [f for f in verify_log(copy).findings if f.kind == "chain"]
    assert findings[0].record == traded.signed
    assert text in findings[0].text


def test_a_bundle_with_a_wrong_proof_is_found(copy: Path) -> None:
    for path in (copy / "bundles").iterdir():
        original = path.read_bytes()
        flip(path, len(original) - 1, 0)
        assert any(f.kind == "signature" for f in verify_log(copy).findings)
        path.write_bytes(original)


# ---- Runs of orders, which the core steps over --------------------------------------------------


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an engine that signed 2,500 messages: more than one thread's piece."""
    directory, now = tmp_path_factory.mktemp("long") / "engine", time.time_ns()
    created = create_engine(
        directory, PASSPHRASE, now_ns=now, environment=Environment.TEST, segment_bytes=1 << 22
    )
    import_spot_key(directory)
    with Made(directory, created, now).open() as signer:
        signer.load_policy(POLICY.replace("rate: 5/min", "rate: 10000/min"))
        session = signer.session("notes")
        for number in range(2500):
            session.sign(Message(text=f"note {number}"))
    return directory


def test_a_long_run_is_stepped_over(long_log: Path) -> None:
    seen: list[int] = []
    report = verify_log(long_log, progress=lambda done, total: seen.append(done))
    assert report.findings == []
    assert report.verdicts == {"allowed": 2500}
    assert seen[-1] == report.records


def test_any_change_in_a_long_run_ends_it_there(long_log: Path, tmp_path: Path) -> None:
    rng = random.Random(5)
    copy = tmp_path / "copy"
    shutil.copytree(long_log, copy)
    original = (copy / SEGMENT).read_bytes()
    spans = frames(original)
    for number in (7, 1023, 1024, 1025, 2047, len(spans) - 1):
        at, size = spans[number]
        for offset in (at, at + 8, at + size - 8, at + rng.randrange(size)):
            flip(copy / SEGMENT, offset, rng.randrange(8))
            assert verify_log(copy).findings[0].record == number, offset
            (copy / SEGMENT).write_bytes(original)


@pytest.mark.parametrize(
    ("at", "name"), [(16, "epoch"), (56, "now"), (96, "counter"), (120, "policy"), (184, "bundle")]
)
def test_what_a_forger_rehashed_is_found_in_a_long_run(
    long_log: Path, tmp_path: Path, at: int, name: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(long_log, copy)

    def change(raw: bytearray) -> None:
        raw[at] ^= 1
        if name == "now":
            raw[56:64] = bytes(8)

    forge(copy, 1500, change)
    kinds = {(f.kind, f.record) for f in verify_log(copy).findings}
    assert ("chain", 1500) in kinds
