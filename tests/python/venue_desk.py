"""Commands on an engine of six venues: what they say, and what they must not change."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from desk import kept
from engines import PASSPHRASE, Made
from six_venues import INSTRUMENTS

from sentinel._cli import main
from sentinel._record import Verdict
from sentinel.audit import RecordType, read_log, restore

VENUES = tuple(INSTRUMENTS)
PAST_MS = 1_600_000_000_000
BAD_TAGS = {
    "binance_spot": ["x" * 37],
    "binance_usdm": ["x" * 37],
    "bybit": ["x" * 37, "a.b"],
    "okx": ["x" * 33, "a_b", "a-b", "a.b"],
    "hyperliquid": ["x" * 32, "A" * 32, "0" * 31, "0x" + "g" * 32],
}
"""Client order ids that a venue does not take."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One command's end."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.out)["error"]
        return data


class Desk:
    """Commands on an engine, and what must not change."""

    def __init__(self, made: Made, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.made = made
        self.folder = folder
        self.capsys = capsys

    def run(self, *words: str | Path) -> Answer:
        self.capsys.readouterr()
        status = main([*map(str, words), "--dir", str(self.made.directory)])
        captured = self.capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Answer(status, captured.out, captured.err)

    def state(self) -> tuple[Any, ...]:
        """What a decision would change: uses of keys, nonces, sums, ids, what was released."""
        state = restore(self.made.directory).state()
        signed = [r.number for r in read_log(self.made.directory) if r.verdict == Verdict.ALLOWED]
        ids = [(agent.node, agent.id_highest) for agent in state.agents]
        released = state.nonce_next, state.usable_until_ms
        return signed, ids, released, state.halted, kept(self.made.directory)[0]

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def sign(self, order: dict[str, Any], agent: str = "maker") -> tuple[Answer, dict[str, Any]]:
        """Both forms of the answer: for people, and as data."""
        file = self.write("order.json", json.dumps(order))
        text = self.run("sign", file, "--agent", agent)
        data = self.run("sign", file, "--agent", agent, "--json")
        assert data.status == text.status
        return text, data.error

    def is_refused(
        self, order: dict[str, Any], reason: str, cause: str, remedy: str, agent: str = "maker"
    ) -> None:
        """By the engine: exit status 3, recorded, and nothing else changed."""
        before = self.state()
        text, error = self.sign(order, agent)
        assert text.status == 3, text
        assert f"({reason}), record " in text.err
        shown = dict(line.split(": ", 1) for line in text.err.splitlines())
        assert cause in shown["likely cause"]
        assert remedy in shown["next step"]
        assert cause in error["cause"], error
        assert remedy in error["next_step"], error
        assert (error["reason"], error["exit_status"]) == (reason, 3)
        [record] = [r for r in read_log(self.made.directory) if r.number == error["record"]]
        assert (record.type, record.verdict) == (RecordType.ORDER, Verdict.DENIED)
        assert (record.key_counter, record.signature_digest) == (0, bytes(32))
        assert self.state() == before

    def is_wrong(self, status: int, *words: str | Path, says: str, remedy: str) -> None:
        """By the command: nothing reaches the engine."""
        before = self.state()
        got = self.run(*words)
        assert got.status == status, got
        assert says in got.err
        step = got.err.partition("next step: ")[2]
        assert remedy in step, got.err
        assert self.state() == before


def seat(made: Made, tmp_path: Path, capsys: Any, monkeypatch: Any) -> Desk:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return Desk(made, tmp_path, capsys)
