"""What witnesses signed, checked by an auditor who has only the log.

Goal: a grant that was changed, that another witness signed, or that belongs to another engine,
epoch or head is found, and where; a history that was rehashed does not fit the heads that were
confirmed. Method: the log of an engine with a witness, changed by a forger who rehashes all.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from both_ways import verify_log
from engines import PASSPHRASE, Made, make_engine
from forger import forge
from people_desk import make_desk
from witness_desk import LIGHT, check, kept, open_with, says, witness_at

from sentinel import _layout
from sentinel import _witness_store as store
from sentinel._enums import Environment
from sentinel._frame import FrameKind, parse_genesis, unsafe_parse_frame
from sentinel.audit import Finding, RecordType, read_log, replay

FRAME = 320 + 40
PAYLOAD = FRAME + 96
Grant = dict[str, Any]


@pytest.fixture
def log(engine: Made, place: Path) -> Path:
    """The directory of an engine that asked its witness in two epochs."""
    with witness_at(place, records=3) as url:
        for _ in range(2):
            with open_with(engine.directory, url) as signer:
                assert [says(signer) for _ in range(5)] == ["allowed"] * 5
    check(engine.directory)
    return engine.directory


def grants(log: Path) -> list[int]:
    return [r.number for r in read_log(log) if r.type is RecordType.WITNESS]


def signed_anew(log: Path, place: Path, number: int, change: Callable[[Grant], None]) -> bytes:
    """The frame of a WITNESS record with another content, signed by a witness."""
    record = next(iter(read_log(log, number)))
    frame = unsafe_parse_frame(record.subject[40:], FrameKind.GRANT)
    grant = _layout.GRANT.unpack(frame.payload)
    terms: Grant = {"genesis": (log / "genesis").read_bytes(), "sequence": frame.sequence}
    changed = grant | terms
    change(changed)
    genesis, sequence = parse_genesis(changed.pop("genesis")), changed.pop("sequence")
    with contextlib.closing(store.Witness(place, PASSPHRASE)) as witness:
        return witness._frame(genesis, changed, sequence, record.now_ns)


def found(log: Path, number: int) -> Finding:
    """What the auditor says of one record, and that the replay stops there too."""
    (finding,) = [f for f in verify_log(log).findings if f.record == number]
    assert finding.file.endswith(".log")
    assert finding.offset
    assert next(replay(log).differences).record == number
    return finding


def put(frame: bytes) -> Callable[[bytearray], None]:
    def change(raw: bytearray) -> None:
        raw[FRAME : FRAME + len(frame)] = frame

    return change


def test_the_summary_counts_what_witnesses_signed(
    log: Path, place: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    report = verify_log(log)
    assert report.witness == {"granted": len(grants(log))}
    assert report.witness_confirmed == kept(place).count
    others = sum(report.types[name] for name in ("bundle", "command", "feed"))
    assert report.signatures_verified == others + len(grants(log))
    (tmp_path / "desk").mkdir()
    run = make_desk(tmp_path / "desk", capsys, monkeypatch).run
    told = run("audit", "verify", "--dir", str(log), "--json").json()["witness"]
    assert told == {
        "answers_verified": len(grants(log)),
        "outcomes": {"granted": len(grants(log))},
        "records_confirmed": report.witness_confirmed,
    }
    text = run("audit", "verify", "--dir", str(log)).out
    assert f"{report.witness_confirmed} records confirmed" in text
    forge(log, grants(log)[-1], lambda raw: raw.__setitem__(PAYLOAD + 152, 1))
    done = run("audit", "verify", "--dir", str(log))
    assert done.status == 8
    assert f"{len(grants(log)) - 1} of {len(grants(log))} answers verified" in done.out
    assert f"record {grants(log)[-1]}: the witness's grant" in done.out


@pytest.mark.parametrize("offset", [0, 32, 104, 112, 144, 152])
def test_a_changed_grant_is_found(log: Path, offset: int) -> None:
    number = grants(log)[-1]
    forge(log, number, lambda raw: raw.__setitem__(PAYLOAD + offset, raw[PAYLOAD + offset] ^ 1))
    finding = found(log, number)
    assert finding.kind == "signature"
    assert "sentinel-grant-v1" in finding.text


def test_a_grant_of_another_witness_is_found(log: Path, place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for name in ("witness", "stranger"):
        store.init(other / name, name, PASSPHRASE, LIGHT)
    number = grants(log)[-1]
    frame = signed_anew(log, other / "witness", number, lambda grant: None)
    forge(log, number, put(frame))
    assert found(log, number).kind == "signature"
    forge(log, number, put(signed_anew(log, other / "stranger", number, lambda grant: None)))
    assert "does not hold this power" in found(log, number).text


def later(grant: Grant) -> None:
    grant["epoch"] += 1


def foreign(raw: bytes) -> Callable[[Grant], None]:
    return lambda grant: grant.update(genesis=raw)


LIES: dict[str, tuple[Callable[[Grant], None], str]] = {
    "epoch": (later, "the grant is for epoch 5, the record is of epoch 4"),
    "head": (lambda grant: grant.update(hash32=b"\1" * 32), "is not that of this log"),
    "sequence": (lambda grant: grant.update(sequence=1), "not newer than the one before"),
    "refusal": (
        lambda grant: grant.update(count=0, hash32=bytes(32), record_end=0, spend_end=0),
        "recorded as granted, and the grant says otherwise",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_grant_that_belongs_elsewhere_is_found(log: Path, place: Path, lie: str) -> None:
    change, text = LIES[lie]
    number = grants(log)[-1]
    forge(log, number, put(signed_anew(log, place, number, change)))
    finding = found(log, number)
    assert finding.kind == "witness"
    assert text in finding.text


def test_a_grant_for_another_engine_is_found(log: Path, place: Path, tmp_path: Path) -> None:
    made = make_engine(tmp_path / "foreign", policy=None, environment=Environment.TEST)
    number = grants(log)[-1]
    raw = (made.directory / "genesis").read_bytes()
    forge(log, number, put(signed_anew(log, place, number, foreign(raw))))
    assert f"for engine {made.created.engine_id.hex()}" in found(log, number).text


def test_a_history_that_was_rehashed_does_not_fit_the_confirmed_heads(log: Path) -> None:
    order = next(r.number for r in read_log(log) if r.type is RecordType.ORDER)
    forge(log, order, lambda raw: raw.__setitem__(56, raw[56] ^ 1))
    wrong = {f.record: f.text for f in verify_log(log).findings}
    behind = [number for number in grants(log) if number > order]
    assert list(wrong) == behind
    assert all("is not that of this log" in text for text in wrong.values())


@pytest.mark.parametrize(
    ("outcome", "text"),
    [(0, "no outcome"), (2, "the grant says otherwise"), (4, "the grant says otherwise")],
)
def test_what_is_said_to_have_followed_must_follow(log: Path, outcome: int, text: str) -> None:
    number = grants(log)[0]
    forge(log, number, lambda raw: raw.__setitem__(320, outcome))
    texts = [f.text for f in verify_log(log).findings if f.record == number]
    assert text in texts[0]
    assert next(replay(log).differences).record == number


def test_a_gap_that_is_none_is_found(log: Path, place: Path) -> None:
    """A refusal that names a head which is here, recorded as a gap."""
    number = grants(log)[-1]
    before = list(read_log(log))

    def refuse(grant: Grant) -> None:
        known = {"known_count": number, "known_hash32": before[number - 1].hash}
        grant.update(count=0, hash32=bytes(32), record_end=0, spend_end=0, **known)

    frame = signed_anew(log, place, number, refuse)

    def change(raw: bytearray) -> None:
        put(frame)(raw)
        raw[320:360] = struct.pack("<B7xQQQQ", 4, 0, 0, number, number)

    forge(log, number, change)
    texts = [f.text for f in verify_log(log).findings if f.record == number]
    assert texts == [f"records up to {number - 1} are called missing, and are here"]
