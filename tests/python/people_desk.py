"""A desk whose commands several people sign, each with a key file of an own machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sentinel._cli import main

PASSPHRASE = "correct horse"


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@dataclass(frozen=True, slots=True)
class Desk:
    """An engine, a place without one, and the command."""

    top: Path
    engine: Path
    run: Run

    @property
    def public(self) -> Path:
        """What is public of the engine, exported anew."""
        path = self.top / "desk.public"
        done = self.at("authority", "export", "--out", str(path))
        assert done.status == 0, done.err
        return path

    def at(self, *words: str) -> Done:
        """Where the engine is."""
        return self.run(*words, "--dir", str(self.engine))

    def away(self, *words: str) -> Done:
        """On a machine without the engine; with what is public of it."""
        return self.run(*words, "--dir", str(self.top / "away"), "--public", str(self.public))

    def key(self, name: str) -> str:
        """A person's key file."""
        return str(self.engine / "keys" / "people" / f"{name}.key")

    def file(self, name: str) -> str:
        """A file that is handed around."""
        return str(self.top / name)

    def draft(self, verb: str, name: str = "c.cmd", *words: str, reason: str = "because") -> str:
        """A command as a file."""
        path = self.file(name)
        done = self.at("command", "draft", verb, "--reason", reason, "--out", path, *words)
        assert done.status == 0, done.err
        return path

    def sign(self, path: str, name: str, out: str = "", family: str = "command") -> Done:
        """One person signs a file, away from the engine."""
        key = name if os.sep in name else self.key(name)
        more = ("--out", self.file(out)) if out else ()
        return self.away(family, "sign", path, "--key", key, "--yes", *more)

    def mode(self) -> str:
        """The firm's mode."""
        stops = self.at("status", "--json").json()["stops"]
        return next((stop["mode"] for stop in stops if stop["path"] == "firm"), "running")

    def refusals(self) -> int:
        """Records of frames that were refused."""
        done = self.at("audit", "verify", "--json")
        assert done.status == 0, done.out + done.err
        count: int = done.json()["types"].get("refused", 0)
        return count


def make_desk(
    top: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> Desk:
    """A new engine of the environment test, made by `zcp init`."""
    secret = top / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))

    def run(*given: str) -> Done:
        capsys.readouterr()
        try:
            status = main(list(given))
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    desk = Desk(top, top / "engine", run)
    done = desk.at("init", "--environment", "test", *words)
    assert done.status == 0, done.err
    return desk
