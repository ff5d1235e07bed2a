"""What feeds and contradictions say, in words, for the audit verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ._enums import Cause, FeedKind, MarkKind, OrderStatus, label
from ._frame import FrameKind, UnsafeFrame, unsafe_parse_frame
from ._layout import AUTO_STOP, FEED, HEARTBEAT, MARK, POSITION, REPORT, Layout
from ._order import decimal_text
from ._record import Record, RecordType
from .receipt import iso_time

Row = dict[str, Any]
NodeName = Callable[[int], str]
RowName = Callable[[str, int], str]

FAULTS: Final = {
    1: ("gap", "frames of this feeder are missing before it"),
    2: ("replayed", "its sequence was taken before"),
    3: ("unsigned", "the agent's book holds no such action"),
    4: ("above", "more is filled than was ordered"),
    5: ("shrank", "less is filled than was reported before"),
    6: ("closed", "the order had ended otherwise before"),
    7: ("position", "the position does not fit"),
}
_OF_THE_FRAME: Final = (1, 2)


def describe_feed(frame: UnsafeFrame, node: NodeName, name: RowName) -> Row:
    """The rows of a feed by their names, who signed it, and its sequence."""
    told: Row = {"signed_by": [p.key for p in frame.proofs], "sequence": frame.sequence}
    kind = FEED.unpack(frame.payload)["kind"]
    if kind == FeedKind.HEARTBEAT:
        return _heartbeat(frame, node) | told
    if kind == FeedKind.EXECUTION:
        return {"reports": [_report(row, node) for row in _rows(frame, REPORT)]} | told
    if kind == FeedKind.POSITION:
        return {"positions": [_position(row, name) for row in _rows(frame, POSITION)]} | told
    return {"fed": [_mark(row, name) for row in _rows(frame, MARK)]} | told


def describe_stop(record: Record, node: NodeName) -> Row:
    """What a STOP record says beyond its mode: with a contradiction, the row that holds it."""
    stop = AUTO_STOP.unpack(record.subject)
    if stop["cause"] != Cause.REPORT:
        return {}
    fault, why = FAULTS.get(stop["detail"], (str(stop["detail"]), ""))
    told: Row = {"fault": fault, "why": why, "row": stop["row"]}
    frame = unsafe_parse_frame(record.subject[AUTO_STOP.size :], FrameKind.FEED)
    rows = list(_rows(frame, REPORT))
    if stop["detail"] not in _OF_THE_FRAME and stop["row"] < len(rows):
        told["report"] = _report(rows[stop["row"]], node)
    return told


def reports_of(record: Record, wanted: tuple[int, int]) -> list[Row]:
    """The reports of one order, by agent and action id, in a feed or behind a STOP."""
    subject = record.subject
    if record.type is RecordType.STOP:
        if AUTO_STOP.unpack(subject)["cause"] != Cause.REPORT:
            return []
        subject = subject[AUTO_STOP.size :]
    elif record.type is not RecordType.FEED:
        return []
    frame = unsafe_parse_frame(subject, FrameKind.FEED)
    if FEED.unpack(frame.payload)["kind"] != FeedKind.EXECUTION:
        return []
    rows = (row for row in _rows(frame, REPORT) if (row["agent"], row["action_id"]) == wanted)
    taken = record.type is RecordType.FEED
    return [{"record": record.number, **_outcome(row), "taken": taken} for row in rows]


def signed_text(mantissa: int, scale: int) -> str:
    """The text of a decimal that may be below 0."""
    return ("-" if mantissa < 0 else "") + decimal_text(abs(mantissa), scale)


def _rows(frame: UnsafeFrame, layout: Layout) -> Iterator[Row]:
    for at in range(FEED.size, len(frame.payload), layout.size):
        yield layout.unpack(frame.payload, at)


def _heartbeat(frame: UnsafeFrame, node: NodeName) -> Row:
    beat = HEARTBEAT.unpack(frame.payload, FEED.size)
    since = beat["running_since_ns"]
    return {
        "heartbeat": node(beat["agent"]),
        "iterations": beat["iterations"],
        "running_since": iso_time(since) if since else None,
        "made": iso_time(frame.issued_ns),
    }


def _report(row: Row, node: NodeName) -> Row:
    return {"agent": node(row["agent"]), "action_id": row["action_id"]} | _outcome(row)


def _outcome(row: Row) -> Row:
    return {
        "status": label(OrderStatus(row["status"])),
        "filled": decimal_text(*row["filled"]),
        "price": decimal_text(*row["price"]) if row["price"][0] else None,
        "time": iso_time(row["time_ns"]),
    }


def _position(row: Row, name: RowName) -> Row:
    return {
        "name": name("instrument", row["instrument"]),
        "quantity": signed_text(*row["quantity"]),
        "time": iso_time(row["time_ns"]),
    }


def _mark(row: Row, name: RowName) -> Row:
    kind = label(MarkKind(row["kind"]))
    return {
        "name": name(kind, row["id"]),
        "kind": kind,
        "price": decimal_text(*row["price"]),
        "time": iso_time(row["time_ns"]),
    }
