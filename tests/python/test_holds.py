"""What becomes of released signatures: the core's table in words, `zcp status` and `zcp halt`.

Goal: an operator who stops an engine reads until when what it released can still be used, venue by
venue, and reads what the core says. Method: an engine that signed at two venues with different
holds, looked at before and after those times.
"""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from engines import PASSPHRASE, Made
from six_venues import ADDRESS, MASTER_KEY, POLICY, make_six, order_of

from sentinel import _core
from sentinel._cli import main
from sentinel._enums import Action, Venue, label
from sentinel._holds import (
    describe_hold,
    hold_rows,
    hold_texts,
    released_rows,
    released_texts,
)
from sentinel.receipt import iso_time

HOUR_MS = 3_600_000
NEVER_MS = 2**63 - 1
WITHDRAW = {
    "action": "withdraw",
    "asset": "USDC",
    "network": "ARBITRUM",
    "amount": "5",
    "address": ADDRESS,
}


@pytest.fixture
def zcp(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Any:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    def run(made: Made, *words: str) -> str:
        capsys.readouterr()
        assert main([*words, "--dir", str(made.directory)]) == 0
        return capsys.readouterr().out

    return run


def traded(directory: Path, ago_s: int) -> tuple[Made, dict[str, int]]:
    """An engine that signed at OKX and withdrew at Hyperliquid, and until when each is usable."""
    now = time.time_ns() - ago_s * 10**9
    policy = POLICY.replace("marks:", MASTER_KEY + "marks:", 1)
    made = make_six(directory, policy=policy, now_ns=now)
    with made.open(now) as signer:
        placed = signer.session("maker").sign(order_of("OKX"), now_ns=now)
        # What adds no risk is not counted: a cancel, though its signature is usable as long.
        cancel = {"action": "cancel", "target_action": placed.action_id}
        signer.session("maker").sign(cancel, now_ns=now + 10**9)
        moved = signer.session("treasurer").sign(WITHDRAW, now_ns=now + 10**9)
        signer.close(now + 10**9)
    assert placed.usable_until_ms == now // 10**6 + 30_000
    assert moved.usable_until_ms == (now + 10**9) // 10**6 + 49 * HOUR_MS
    return made, {"okx": placed.usable_until_ms, "hyperliquid": moved.usable_until_ms}


def lines(text: str, word: str) -> dict[str, str]:
    """The lines that begin with a word, by venue."""
    found = [line.split(maxsplit=2) for line in text.splitlines() if line.startswith(f"{word} ")]
    return {venue: rest for _, venue, rest in found}


def test_the_time_shown_is_what_the_core_says(tmp_path: Path, zcp: Any) -> None:
    made, until = traded(tmp_path / "engine", 0)
    shown = lines(zcp(made, "status"), "released")
    assert list(shown) == ["okx", "hyperliquid"]
    for venue, time_ms in until.items():
        moment = iso_time(time_ms * 10**6)[:-7] + "Z"
        assert f"the last released signature is unusable after {moment} (in " in shown[venue]
    assert re.search(r"\(in [12]\d s\)$", shown["okx"])
    assert shown["hyperliquid"].endswith("(in 2 days)") or "(in 49 h)" in shown["hyperliquid"]
    data = json.loads(zcp(made, "status", "--json"))["released"]
    assert {row["venue"]: row["usable_until_ms"] for row in data} == until
    assert {row["venue"]: row["usable_until"] for row in data} == {
        venue: iso_time(time_ms * 10**6) for venue, time_ms in until.items()
    }


def test_a_time_that_has_passed_is_said_to_have(tmp_path: Path, zcp: Any) -> None:
    made, until = traded(tmp_path / "engine", 500)
    shown = lines(zcp(made, "status"), "released")
    moment = iso_time(until["okx"] * 10**6)[:-7] + "Z"
    assert f"is unusable since {moment} (7 min ago)" in shown["okx"]
    assert "is unusable after" in shown["hyperliquid"]


def test_a_halt_says_until_when_what_was_released_can_be_used(tmp_path: Path, zcp: Any) -> None:
    made, until = traded(tmp_path / "engine", 0)
    text = zcp(made, "halt", "--reason", "a test")
    assert text.startswith("halted: firm (record ")
    assert set(lines(text, "released")) == set(until)
    for rest in lines(text, "released").values():
        assert "the last released signature is unusable after 2" in rest
    data = json.loads(zcp(made, "kill-switch", "activate", "--reason", "again", "--json"))
    assert {row["venue"]: row["usable_until_ms"] for row in data["released"]} == until
    # A halt does not call them back, and a resume does not make them forgotten.
    zcp(made, "resume", "--reason", "a test")
    shown = json.loads(zcp(made, "status", "--json"))["released"]
    assert {row["venue"]: row["usable_until_ms"] for row in shown} == until


def test_an_engine_that_signed_nothing_has_released_nothing(tmp_path: Path, zcp: Any) -> None:
    made = make_six(tmp_path / "engine")
    assert "released" not in zcp(made, "status")
    assert json.loads(zcp(made, "status", "--json"))["released"] == []
    assert json.loads(zcp(made, "halt", "--reason", "x", "--json"))["released"] == []


def test_status_shows_each_kind_of_hold_of_the_venues_with_a_key(tmp_path: Path, zcp: Any) -> None:
    made = make_six(tmp_path / "engine")
    text = zcp(made, "status")
    holds = [line for line in text.splitlines() if line.startswith("hold ")]
    assert holds == [f"hold       {line}" for line in hold_texts(list(Venue)[1:])]
    assert [line.split()[1] for line in holds] == [
        "binance_spot", "binance_usdm", "bybit", "bybit", "okx", "okx", "deribit", "deribit",
        "hyperliquid", "hyperliquid",
    ]  # fmt: skip
    assert max(map(len, holds)) <= 144
    rows = json.loads(zcp(made, "status", "--json"))["holds"]
    assert rows == hold_rows(list(Venue)[1:])


def test_status_shows_no_hold_of_a_venue_without_a_key(tmp_path: Path, zcp: Any) -> None:
    policy = re.sub(r"  (usdm|bybit|deribit|hl): \{[^}]*\}\n", "", POLICY)
    made = make_six(tmp_path / "engine", policy=policy)
    rows = json.loads(zcp(made, "status", "--json"))["holds"]
    assert {row["venue"] for row in rows} == {"binance_spot", "okx"}


def test_the_rows_are_the_cores_table() -> None:
    rows = {(row["venue"], row["action"]): row for row in hold_rows(Venue)}
    for venue in Venue:
        for action in Action:
            hold = _core.hold(venue, action)
            row = rows.pop((label(venue), label(action)), None)
            assert (hold is None) == (row is None)
            if hold is None or row is None:
                continue
            forever = hold.window_ms == NEVER_MS
            assert row["window_ms"] == (None if forever else hold.window_ms)
            assert row["expiry"] == ("none", "signed", "unsigned")[hold.expiry]
            assert (row["once"], row["endpoint_covered"]) == (hold.once, hold.endpoint_covered)
    assert rows == {}


WORDS = {
    ("none", "message"): "usable for ever, again and again; no validity can be set; the signature"
    " covers the endpoint",
    ("binance_spot", "place"): "usable for up to 1min, again and again; a shorter validity is"
    " signed (relied on from 5s up); the signature does not cover the endpoint",
    ("bybit", "place"): "usable for up to 1min, again and again; a shorter validity is signed; the"
    " signature does not cover the endpoint",
    ("bybit", "withdraw"): "usable for up to 1min, at most once; a shorter validity is signed; the"
    " signature does not cover the endpoint",
    ("okx", "place"): "usable for up to 30s, again and again; a shorter validity is sent, but not"
    " signed; the signature covers the endpoint",
    ("okx", "withdraw"): "usable for up to 30s, again and again; no validity can be set; the"
    " signature covers the endpoint",
    ("deribit", "place"): "usable for up to 1min, at most once; a shorter validity is signed; the"
    " signature covers the endpoint",
    ("deribit", "withdraw"): "usable for up to 1min, at most once; no validity can be set; the"
    " signature covers the endpoint",
    ("hyperliquid", "place"): "usable for up to 49h, at most once; a shorter validity is signed;"
    " the signature covers the endpoint",
    ("hyperliquid", "withdraw"): "usable for up to 49h, at most once; no validity can be set; the"
    " signature covers the endpoint",
}


def test_each_kind_of_row_has_its_words() -> None:
    rows = {(row["venue"], row["action"]): row for row in hold_rows(Venue)}
    assert {name: describe_hold(rows[name]) for name in WORDS} == WORDS
    assert {describe_hold(row) for row in rows.values()} == set(WORDS.values())


def test_rows_that_are_alike_share_a_line_and_columns_stand_below_each_other() -> None:
    okx, other, deribit, last = hold_texts([Venue.OKX, Venue.DERIBIT])
    assert okx == (
        "okx      up to 30s   validity unsigned  repeatable  endpoint covered  place, amend"
    )
    assert other.split("  ")[-1] == "cancel, cancel_all_after, query, withdraw, transfer"
    assert " ".join(deribit.split()) == (
        "deribit up to 1min validity signed once endpoint covered place, amend"
    )
    assert {line.index("endpoint") for line in (okx, other, deribit, last)} == {okx.index("endp")}
    assert hold_texts([]) == []
    assert hold_texts([Venue.NONE])[0].split()[:3] == ["none", "for", "ever"]


@pytest.mark.parametrize(
    ("until_ms", "now_ms", "says"),
    [
        (1_000, 0, "is unusable after 1970-01-01T00:00:01.000Z (in 1 s)"),
        (1_000, 1_000, "is unusable after 1970-01-01T00:00:01.000Z (in 0 s)"),
        (1_000, 1_001, "is unusable since 1970-01-01T00:00:01.000Z (0 s ago)"),
        (119_999, 0, "(in 119 s)"),
        (120_000, 0, "(in 2 min)"),
        (2 * HOUR_MS - 1, 0, "(in 119 min)"),
        (2 * HOUR_MS, 0, "(in 2 h)"),
        (47 * HOUR_MS, 0, "(in 47 h)"),
        (49 * HOUR_MS, 0, "(in 2 days)"),
        (1, 1 + 72 * HOUR_MS, "(3 days ago)"),
        (NEVER_MS, 5, "is usable for ever"),
    ],
)
def test_times_are_said_as_people_say_them(until_ms: int, now_ms: int, says: str) -> None:
    [line] = released_texts(released_rows({"okx": until_ms}), now_ms)
    assert line.startswith("okx  the last released signature is ")
    assert line.endswith(says)
