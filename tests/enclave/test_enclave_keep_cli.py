"""zcp enclave keep, as a service manager runs it.

Goal: ready is told when the first copy is there, a daemon that goes and comes is followed, SIGTERM
ends it in order; each wrong word is refused with a remedy before anything is written. Method: the
command in a process of its own, the real daemon, a socket in the place of systemd's.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import KEEPER, OPERATOR, Desk, make_desk

from sentinel._cli import main

ROWS = {"keeper": KEEPER, "operator": OPERATOR, "feeder": 4, "nobody": 99}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(tmp_path_factory.mktemp("d"))
    made.key_files(*ROWS)
    made.start()
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


def words_of(desk: Desk, store: Path, who: str = "keeper") -> list[str]:
    key = ["--session-key", str(desk.top / f"{who}.key"), "--key-id", str(ROWS[who])]
    where = ["--connect", f"unix://{desk.socket}", "--pin", str(desk.pin), *key]
    secret = ["--passphrase-file", str(desk.top / "passphrase")]
    return ["enclave", "keep", "--store", str(store), *where, *secret]


def kept(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store / "files")): path.read_bytes()
        for path in store.glob("files/*/*")
    }


def there(desk: Desk) -> dict[str, bytes]:
    found = {}
    for folder in ("log", "bundles"):
        for path in (desk.directory / folder).iterdir():
            found[f"{folder}/{path.name}"] = path.read_bytes()
    return found


@pytest.mark.parametrize("who", ["keeper", "operator"])
def test_once_copies_what_is_there(
    desk: Desk, who: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words_of(desk, tmp_path / "s", who), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["records"] > 3
    assert told["files"] == len(kept(tmp_path / "s")) > 3
    assert kept(tmp_path / "s") == there(desk)


def test_who_is_no_keeper_copies_nothing(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for who, text in (("feeder", "no power for this role"), ("nobody", "knows no such key")):
        assert main(words_of(desk, tmp_path / "s", who)) == 7
        assert text in capsys.readouterr().err
    assert kept(tmp_path / "s") == {}


@pytest.mark.parametrize(
    ("more", "less", "status", "text"),
    [
        ((), ("--connect", "--pin", "--session-key", "--key-id"), 2, "which daemon?"),
        ((), ("--pin",), 2, "what pins the daemon"),
        (("--expect", "e.json"), (), 2, "what pins the daemon"),
        (("--expect", "e.json"), ("--pin",), 9, "e.json"),
        (("--witness", "127.0.0.1:8700"), (), 2, "is no witness"),
        (("--resume", "--kms-key-id", "k"), (), 2, "--resume goes with"),
        (("--resume", "--follow"), (), 2, "--resume goes with"),
        (("--every", "0"), (), 2, "every"),
    ],
)
def test_wrong_words_begin_nothing(
    desk: Desk,
    more: tuple[str, ...],
    less: tuple[str, ...],
    status: int,
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = words_of(desk, tmp_path / "s")
    for name in less:
        at = words.index(name)
        del words[at : at + 2]
    assert main([*words, *more]) == status
    assert text in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


class Manager:
    """The socket that a service manager listens on, and the command."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.place = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.place))
        self._socket.settimeout(30)
        self.out = (folder / "out").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", *words, "--follow", "--json", "--every", "0.05"],
            stdout=self.out,
            env=os.environ | {"NOTIFY_SOCKET": str(self.place)},
        )

    def waits_for(self, word: str) -> None:
        while word not in self._socket.recv(4096).decode():
            assert self.process.poll() is None

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self._socket.close()
        self.out.seek(0)
        events = [json.loads(line) for line in self.out.read().splitlines()]
        self.out.close()
        return status, events


def same(store: Path, desk: Desk) -> None:
    until = time.monotonic() + 30
    while kept(store) != there(desk):
        assert time.monotonic() < until, "the copy does not come to be the same"
        time.sleep(0.05)


def test_it_follows_a_daemon_that_goes_and_comes(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "s"
    words = words_of(desk, store)
    manager = Manager(words, tmp_path)
    try:
        manager.waits_for("READY=1")
        assert (store / "files" / "log" / "head").is_file()
        with desk.session("maker") as maker:
            for number in range(1, 20):
                maker.ask(1, desk.order("maker", number))
        same(store, desk)
        assert main(words) == 6  # one process keeps a store
        assert "another process keeps this store" in capsys.readouterr().err
        desk.stop()
        manager.waits_for("waits:")
        desk.start()
        manager.waits_for("WATCHDOG=1")
        same(store, desk)
    finally:
        status, told = manager.end()
    assert status == 0
    assert [one["event"] for one in told][:2] == ["connected", "kept"]
    events = [one["event"] for one in told if one["event"] != "kept"]
    assert events[:2] == ["connected", "waits"]
    assert events[-1] == "connected"
    assert all(one["time"] > 0 for one in told)
