"""zcp report and zcp position: what they feed, and files that are no reports.

Method: an engine with the engine's own feeder key; each wrong file exits with 2 and feeds nothing.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sentinel import _layout
from sentinel._cli._report import _report_of, _rows
from sentinel._enums import Environment, OrderStatus
from sentinel._layout import FedPosition, FedReport, FrameTerms
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
