"""zcp halt, drain and resume on venues and instruments, and what zcp status says of them.

Goal: what was put is shown with its mode, time, operators, reason and remedy, and bad targets and
ends are usage errors that change nothing. Method: the command itself on a small engine.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engines import LIMIT, PASSPHRASE, Made

from sentinel._cli import main
from sentinel.config import Installed


class Done(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Zcp = Callable[..., Done]


@pytest.fixture
def zcp(engine: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Zcp:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    def run(*words: str) -> Done:
        try:
            status = main([*words, "--dir", str(engine.directory)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return run


@pytest.mark.parametrize(
    ("scope", "target", "option"),
    [(1, 0, ""), (2, 1, " --venue binance_spot"), (2, 99, ""), (1, 1, " --scope firm"), (9, 1, "")],
)
def test_status_says_what_a_stop_word_is_of_and_what_clears_it(
    zcp: Zcp, engine: Made, scope: int, target: int, option: str
) -> None:
    assert zcp("status", "--json").json()["stop_word"] == ""
    control = engine.directory / "control"
    page = bytearray(control.read_bytes())
    if target == 1 and scope == 1:
        policy = Installed(engine.directory).policy()
        target, option = policy.nodes[0].id, f" --scope {policy.nodes[0].path}"
    page[40:48] = struct.pack("<IHH", target, scope, 1)
    control.write_bytes(page)
    word = zcp("status", "--json").json()["stop_word"]
    assert f"zcp halt{option} records it" in word
    assert f"STOP WORD  {word}" in zcp("status").out
    # What it says is what does it: a drain leaves the word, a resume of that place takes it.
    assert zcp("drain", *option.split(), "--reason", "less").status == 0
    assert zcp("status", "--json").json()["stop_word"] == word
    assert zcp("resume", *option.split(), "--reason", "fixed").status == 0
    assert zcp("status", "--json").json()["stop_word"] == ""


def test_a_venue_and_an_instrument_stop_and_status_says_what_lifts_them(zcp: Zcp) -> None:
    at = zcp("halt", "--venue", "binance_spot", "--reason", "incident", "--json").json()
    assert (at["kind"], at["scope"], at["applied"]) == ("venue", "binance_spot", True)
    done = zcp("drain", "--instrument", "BTCUSDT", "--reason", "delisting", "--until", "1h")
    assert done.status == 0, done.err
    assert "draining: BTCUSDT" in done.out
    assert "then it is a halt" in done.out
    assert "zcp resume --instrument BTCUSDT" in done.out
    venue, instrument = zcp("status", "--json").json()["stops"]
    assert (venue["scope"], venue["path"], venue["mode"]) == ("venue", "binance_spot", "halted")
    assert (venue["cause"], venue["record"], venue["reason"]) == (
        *("operator", at["record"], "incident"),
    )
    assert len(venue["signed_by"]) == 1
    assert venue["lift"] == {
        "command": "zcp resume --venue binance_spot --reason TEXT",
        "operators": 1,
        "of": 1,
        "enough": True,
    }
    assert (instrument["scope"], instrument["mode"]) == ("instrument", "draining")
    assert instrument["until"] is not None
    text = zcp("status").out
    assert "HALTED     binance_spot since" in text
    assert "DRAINING   BTCUSDT since" in text
    assert "1 of 1 operators lift it" in text
    told = zcp("audit", "show", str(at["record"]), "--json").json()
    assert (told["verb"], told["venue"]) == ("halt", "binance_spot")
    assert zcp("sign", "--message", "x", "--agent", "notes").status == 0  # has no venue
    for name in (("--venue", "binance_spot"), ("--instrument", "BTCUSDT")):
        assert zcp("resume", *name, "--reason", "over").status == 0
    assert zcp("status", "--json").json()["stops"] == []
    assert zcp("audit", "verify").status == 0
    assert zcp("audit", "replay").status == 0


def test_a_drain_stops_messages_and_ends_as_a_halt(zcp: Zcp) -> None:
    assert zcp("drain", "--reason", "end of day", "--until", "1ms").status == 0
    refused = zcp("sign", "--message", "x", "--agent", "notes")
    assert refused.status == 3
    assert "kill_switch" in refused.err  # it has ended
    status = zcp("status", "--json").json()
    assert status["stops"][0]["mode"] == "halted"
    assert status["halted"][0]["path"] == "firm"
    again = zcp("drain", "--reason", "longer", "--until", "1h")
    assert again.status != 0
    assert "resume" in again.err
    assert zcp("resume", "--reason", "over").status == 0
    assert zcp("drain", "--reason", "end of day").status == 0
    refused = zcp("sign", "--message", "x", "--agent", "notes")
    assert refused.status == 3
    assert "draining" in refused.err


def test_a_refusal_and_its_story_name_the_stop(zcp: Zcp, tmp_path: Path) -> None:
    zcp("halt", "--venue", "bybit", "--reason", "another venue")
    zcp("drain", "--venue", "binance_spot", "--reason", "incident")
    order = tmp_path / "order.json"
    order.write_text(json.dumps(LIMIT))
    assert zcp("mark", "set", "BTCUSDT", "65000").status == 0
    refused = zcp("sign", str(order), "--agent", "firm/desk/maker", "--json")
    assert refused.status == 3
    error = refused.json()["error"]
    assert error["reason"] == "draining"
    assert error["failed"][0]["value_text"] == "1 stop"
    story = zcp("audit", "trace", str(error["record"]), "--json").json()
    told = [(one["verb"], one["venue"], one["stated_reason"]) for one in story["commands"]]
    assert told == [("halt", "bybit", "another venue"), ("drain", "binance_spot", "incident")]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("halt", "--venue", "nowhere"), "there is no venue 'nowhere'"),
        (("halt", "--venue", "none"), "there is no venue 'none'"),
        (("drain", "--instrument", "NONE"), "there is no instrument 'NONE'"),
        (("resume", "--venue", "bybit", "--scope", "desk"), "about one thing"),
        (("drain", "--until", "2020-01-01T00:00:00Z"), "has passed"),
        (("drain", "--until", "2030-01-01T00:00:00"), "no time zone"),
        (("drain", "--until", "2263-01-01T00:00:00Z"), "up to 2262"),
        (("drain", "--until", "soon"), "soon"),
    ],
)
def test_stops_of_what_is_not_there_are_refused(
    zcp: Zcp, words: tuple[str, ...], text: str
) -> None:
    done = zcp(*words, "--reason", "why")
    assert done.status == 2
    assert text in done.err
