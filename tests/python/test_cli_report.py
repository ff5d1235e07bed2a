"""zcp report and zcp position: what they feed, what is told of it, and files that are no reports.

Method: an engine with the engine's own feeder key, read back by zcp status and zcp audit; each
wrong file exits with 2 and feeds nothing.
"""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from engines import LIMIT, MARKS, PASSPHRASE, Made

from sentinel import _layout
from sentinel._cli import main
from sentinel._cli._report import _report_of, _rows
from sentinel._enums import Environment, OrderStatus
from sentinel._layout import FedPosition, FedReport, FrameTerms
from sentinel._record import RecordType
from sentinel._stops import _fault
from sentinel._story_feed import FAULTS
from sentinel.audit import read_log
from sentinel.errors import UsageError

TERMS = FrameTerms(
    engine_id=bytes(32), environment=Environment.TEST, sequence=1, issued_ns=10, expires_ns=20
)
REPORT = FedReport(7, OrderStatus.FILLED, 3, (5, 1), (0, 0), 10)


def read(file: str) -> list[FedReport]:
    """Of no policy: what is wrong is found before anything is looked up."""
    return [_report_of(None, row, 10) for row in _rows(file)]  # type: ignore[arg-type]


def test_rows_lie_where_the_layouts_say() -> None:
    part = _layout.report_feed([REPORT, REPORT], TERMS)
    assert len(part) == 96 + 8 + 2 * 64
    assert part[96:100] == bytes((2, 0, 2, 0))
    assert part[104:109] == bytes((7, 0, 0, 0, 3))
    part = _layout.position_feed([FedPosition(30, (-15, 1), 9)], TERMS)
    assert part[96:100] == bytes((4, 0, 1, 0))
    assert int.from_bytes(part[112:120], "little", signed=True) == -15


@pytest.mark.parametrize(
    "change",
    [
        {"status": OrderStatus.SIGNED},
        {"action_id": 0},
        {"time_ns": 0},
        {"time_ns": 11},
        {"filled": (-1, 0)},
        {"price": (-1, 0)},
    ],
    ids=str,
)
def test_reports_that_no_engine_takes(change: dict[str, object]) -> None:
    wrong = dataclasses.replace(REPORT, **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        _layout.report_feed([wrong], TERMS)


def test_how_many_rows_a_feed_has() -> None:
    _layout.report_feed([REPORT] * 32, TERMS)
    _layout.position_feed([FedPosition(1, (1, 0), 10)] * 64, TERMS)
    for rows in (0, 33):
        with pytest.raises(UsageError):
            _layout.report_feed([REPORT] * rows, TERMS)
    for rows in (0, 65):
        with pytest.raises(UsageError):
            _layout.position_feed([FedPosition(1, (1, 0), 10)] * rows, TERMS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[7]",
        "{}",
        "[" * 100_000,
        json.dumps({"agent": "a", "action_id": 1, "status": "filled", "filled": 0.5}),
        json.dumps({"agent": "a", "action_id": True, "status": "filled", "filled": "1"}),
        json.dumps({"agent": "a", "action_id": 1, "status": "done", "filled": "1"}),
        json.dumps({"agent": "a", "action_id": 1, "status": "filled", "filled": "1", "x": 1}),
    ],
    ids=range(8),
)
def test_files_that_are_no_reports(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(UsageError):
        read(str(tmp_path / "file.json"))


# ---- A running engine -------------------------------------------------------


@pytest.fixture
def zcp(engine: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Any:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))

    def run(words: list[str], *, fed: object = None, expect: int = 0) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(fed)))
        try:
            status = main([*words, "--dir", str(engine.directory)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        assert status == expect, captured
        return json.loads(captured.out) if "--json" in words and status == 0 else captured.out

    return run


def row(action_id: int, status: str, filled: str) -> dict[str, Any]:
    return {"agent": "maker", "action_id": action_id, "status": status, "filled": filled}


def signed_place(engine: Made) -> tuple[int, int]:
    """Record and action of a buy of 0.01 BTC."""
    with engine.open() as signer:
        signer.feed_marks(MARKS)
        signed = signer.session("maker").sign(LIMIT)
        return signed.handle.record, signed.action_id


def test_reports_follow_each_other_and_status_knows_what_is_open(engine: Made, zcp: Any) -> None:
    order, action = signed_place(engine)
    before = zcp(["status", "--json"])
    assert before["open_orders"] == {
        "count": 1,
        "oldest_record": order,
        "by": [{"agent": "firm/desk/maker", "instrument": "BTCUSDT", "count": 1}],
    }
    assert before["positions"] == before["feeders"] == []
    assert "open       1 orders (firm/desk/maker BTCUSDT: 1)" in zcp(["status"])
    for sequence, status, filled in ((1, "partly_filled", "0.004"), (2, "filled", "0.01")):
        fed = zcp(["report", "-", "--json"], fed=row(action, status, filled))
        assert (fed["sequence"], fed["reports"]) == (sequence, 1)
    after = zcp(["status", "--json"])
    assert after["open_orders"]["count"] == 0
    assert [(p["instrument"], p["quantity"]) for p in after["positions"]] == [("BTCUSDT", "0.01")]
    assert after["feeders"] == [{"key": 4, "sequence": 2}]
    shown = zcp(["audit", "show", str(fed["record"]), "--json"])
    told = shown["reports"][0]
    assert (told["agent"], told["status"], told["filled"]) == ("firm/desk/maker", "filled", "0.01")
    story = zcp(["audit", "trace", str(order), "--json"])
    assert [report["status"] for report in story["reports"]] == ["partly_filled", "filled"]
    assert all(report["taken"] for report in story["reports"])


def test_a_feeder_reports_with_its_own_key_file(engine: Made, zcp: Any) -> None:
    _, action = signed_place(engine)
    fed = row(action, "acknowledged", "0")
    keys = engine.directory / "keys"
    zcp(["report", "-", "--key", str(keys / "engine")], fed=fed, expect=7)  # of venues alone
    told = zcp(["report", "-", "--key", str(keys / "authority"), "--json"], fed=fed)
    assert told["sequence"] == 1


def test_a_position_is_stated_and_told(engine: Made, zcp: Any) -> None:
    fed = zcp(["position", "BTCUSDT", "short:0.005", "--json"])
    told = zcp(["audit", "show", str(fed["record"]), "--json"])["positions"][0]
    assert (told["name"], told["quantity"]) == ("BTCUSDT", "-0.005")
    assert "position   BTCUSDT: -0.005 is known" in zcp(["status"])


def test_a_contradiction_halts_the_agent_and_is_told_in_words(engine: Made, zcp: Any) -> None:
    order, action = signed_place(engine)
    zcp(["report", "-"], fed=row(action, "filled", "0.02"), expect=2)
    (stop,) = zcp(["status", "--json"])["stops"]
    assert (stop["path"], stop["mode"], stop["cause"]) == ("firm/desk/maker", "halted", "report")
    assert (stop["fault"], stop["lift"]["enough"]) == ("above", True)
    told = (
        "more is filled than was ordered: frame 1 of engine-feeder,"
        f" action {action} of firm/desk/maker filled, filled 0.02"
    )
    assert stop["fault_text"] == told
    text = zcp(["status"])
    assert "HALTED     firm/desk/maker since" in text
    assert f": {told} (report: above; record {stop['record']}); 1 of 1 operators" in text
    shown = zcp(["audit", "show", str(stop["record"]), "--json"])
    assert (shown["cause"], shown["fault"]) == ("report", "above")
    assert shown["why"] == "more is filled than was ordered"
    assert (shown["report"]["action_id"], shown["report"]["filled"]) == (action, "0.02")
    story = zcp(["audit", "trace", str(order), "--json"])
    assert [(r["record"], r["taken"]) for r in story["reports"]] == [(stop["record"], False)]
    assert "fault: above" in zcp(["audit", "show", str(stop["record"])])
    assert zcp(["status", "--json"])["feeders"] == []  # its sequence is not used up


def test_a_gap_halts_the_firm(engine: Made, zcp: Any) -> None:
    _, action = signed_place(engine)
    zcp(["report", "-", "--sequence", "2"], fed=row(action, "filled", "0.01"), expect=2)
    (stop,) = zcp(["status", "--json"])["stops"]
    assert (stop["path"], stop["cause"], stop["fault"]) == ("firm", "report", "gap")
    told = "frames of this feeder are missing before it: frame 2 of engine-feeder"
    assert f": {told} (report: gap; record {stop['record']})" in zcp(["status"])
    shown = zcp(["audit", "show", str(stop["record"]), "--json"])
    assert (shown["fault"], shown["sequence"], shown["key"]) == ("gap", 2, 4)
    assert "report" not in shown
    zcp(["resume", "--reason", "found the frame"])
    zcp(["report", "-"], fed=row(action, "filled", "0.01"))
    assert zcp(["status", "--json"])["stops"] == []


def test_every_fault_of_a_report_has_words_and_an_unread_record_says_so(
    engine: Made, zcp: Any
) -> None:
    _, action = signed_place(engine)
    zcp(["report", "-"], fed=row(action, "filled", "0.02"), expect=2)
    (stop,) = (r for r in read_log(engine.directory) if r.type is RecordType.STOP)
    for fault, (word, why) in FAULTS.items():
        subject = bytearray(stop.subject)
        subject[32:34] = fault.to_bytes(2, "little")
        told = _fault(dataclasses.replace(stop, subject=bytes(subject)), None)
        assert told[0] == word
        assert told[1].startswith(f"{why}: frame 1 of engine-feeder")
        assert ("action" in told[1]) is (word not in ("gap", "replayed"))
    for other in (None, dataclasses.replace(stop, type=RecordType.COMMAND)):
        assert _fault(other, None)[0] == "unknown"
    assert set(FAULTS) == set(range(1, 8))
