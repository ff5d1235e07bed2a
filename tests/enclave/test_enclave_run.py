"""zcp enclave run: starts an enclave, watches it, ends it; never one in debug mode.

Goal: a service manager sees the enclave's end as the program's end, and a restarted watcher does
not end what signs. Method: a fake nitro-cli on PATH (`fake_nitro_cli.py`), looks every few
milliseconds, signals to a process of its own where signals matter.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fake_nitro_cli
import pytest
from fake_parent import fake_image

from sentinel import _enclave_run
from sentinel._cli import main
from sentinel._enclave_run import Enclave
from sentinel.errors import StorageError, UsageError

HERE = Path.cwd()
"""Where the tests were started; paths of modules may count from there."""

ROW = {"EnclaveName": "sentinel", "EnclaveCID": 16, "State": "RUNNING", "Flags": "NONE"}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = fake_nitro_cli.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setattr(_enclave_run, "LOOK_SECONDS", 0.001)
    monkeypatch.chdir(tmp_path)
    Path("sentinel.eif").write_bytes(fake_image(1000))
    return folder


def rows(folder: Path, *found: dict[str, Any]) -> None:
    (folder / "rows.json").write_text(json.dumps(found))


def calls(folder: Path) -> list[str]:
    file = folder / "calls"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def enclave(memory: int = 512) -> Enclave:
    return Enclave(Path("sentinel.eif").absolute(), memory, 2, 16, "sentinel")


def test_dry_run_shows_the_configuration_and_starts_nothing(
    cli: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["enclave", "run", "/srv/sentinel.eif", "--memory", "512", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "enclave_name": "sentinel",
        "cpu_count": 2,
        "memory_mib": 512,
        "eif_path": "/srv/sentinel.eif",
        "enclave_cid": 16,
        "debug_mode": False,
        "attach_console": False,
    }
    assert calls(cli) == []


def test_it_starts_one_and_tells_its_end(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    looks = 0

    def wait(_: float) -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            rows(cli)
        return False

    assert _enclave_run.start(enclave())["EnclaveCID"] == 16
    assert _enclave_run.watch(enclave(), wait) is False
    assert looks == 3
    line = (cli / "calls").read_text().splitlines()[1]
    assert line == (
        "run-enclave --enclave-name sentinel --cpu-count 2 --memory 512 "
        f"--eif-path {cli.parent}/sentinel.eif --enclave-cid 16"
    )
    assert "debug" not in (cli / "calls").read_text()


def test_one_that_runs_is_watched_and_not_started_again(cli: Path) -> None:
    rows(cli, {"EnclaveName": "other", "EnclaveCID": 17, "Flags": "DEBUG_MODE"}, ROW)
    _enclave_run.start(enclave())
    assert calls(cli) == ["describe-enclaves"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROW | {"Flags": "DEBUG_MODE"}, "debug mode"),
        ({key: value for key, value in ROW.items() if key != "Flags"}, "debug mode"),
        (ROW | {"EnclaveCID": 17}, "CID 17, not 16"),
    ],
)
def test_one_that_is_not_as_asked_for_is_refused(
    cli: Path, row: dict[str, Any], words: str
) -> None:
    rows(cli, row)
    with pytest.raises(StorageError, match=words) as caught:
        _enclave_run.start(enclave())
    assert "terminate-enclave" in caught.value.next_step
    assert calls(cli) == ["describe-enclaves"], "nothing is ended unasked"


def test_an_image_that_is_not_whole_is_not_started(
    cli: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = bytearray(fake_image(1000))
    raw[900] ^= 1
    Path("sentinel.eif").write_bytes(raw)
    assert main(["enclave", "run", "sentinel.eif"]) == 9
    assert "its checksum does not hold" in capsys.readouterr().err
    Path("sentinel.eif").unlink()
    assert main(["enclave", "run", "sentinel.eif"]) == 9
    assert "sentinel.eif" in capsys.readouterr().err
    assert calls(cli) == ["describe-enclaves"] * 2


def test_too_little_memory_is_told_with_how_much_it_takes(cli: Path) -> None:
    Path("sentinel.eif").write_bytes(fake_image((64 << 20) + 1))
    with pytest.raises(UsageError, match="256 MiB are too little") as caught:
        _enclave_run.start(enclave(256))
    assert "--memory 257" in caught.value.next_step
    _enclave_run.start(enclave(257))
    assert calls(cli).count("run-enclave") == 1


def test_one_that_ends_at_once_is_told(cli: Path) -> None:
    (cli / "stillborn").touch()
    with pytest.raises(StorageError, match="ended as soon as"):
        _enclave_run.start(enclave())


@pytest.mark.parametrize("answer", ["", "[", "{}", "[7]"])
def test_an_answer_that_is_no_list_is_refused(cli: Path, answer: str) -> None:
    (cli / "rows.json").write_text(answer)
    with pytest.raises(StorageError, match="its answer is no"):
        _enclave_run.start(enclave())
    assert calls(cli) == ["describe-enclaves"], "what is not known is not started"


def test_the_errors_of_nitro_cli_are_shown(cli: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cli / "broken").touch()
    assert main(["enclave", "run", "sentinel.eif"]) == 9
    told = capsys.readouterr().err
    assert "describe-enclaves failed: [ E29 ] Ioctl failure." in told
    assert "zcp enclave doctor" in told


def test_without_nitro_cli_it_says_so(
    cli: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(cli.parent))
    assert main(["enclave", "run", "sentinel.eif"]) == 9
    assert "nitro-cli is not there" in capsys.readouterr().err


def test_two_looks_that_fail_are_no_end_and_three_are(cli: Path) -> None:
    rows(cli, ROW)
    broken = cli / "broken"
    looks = 0

    def wait(_: float) -> bool:
        nonlocal looks
        looks += 1
        broken.unlink(missing_ok=True)
        if looks in (1, 2, 4, 5, 7, 8, 9):
            broken.touch()
        return False

    with pytest.raises(StorageError, match="E29"):
        _enclave_run.watch(enclave(), wait)
    assert looks == 9


def test_an_enclave_that_terminates_counts_as_gone(cli: Path) -> None:
    rows(cli, ROW | {"State": "TERMINATING"})
    assert _enclave_run.watch(enclave(), lambda _: False) is False


def test_a_cid_of_the_parent_or_below_is_refused(
    cli: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["enclave", "run", "x.eif", "--cid", "3"]) == 2
    assert "--cid" in capsys.readouterr().err


def test_the_command_tells_that_it_ended_by_itself(
    cli: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(_enclave_run, "watch", lambda *_: False)
    assert main(["enclave", "run", "sentinel.eif"]) == 9
    out, err = capsys.readouterr()
    assert "sentinel runs at CID 16" in out
    assert "the enclave sentinel has ended" in err
    assert "terminate-enclave" not in calls(cli)
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_ends_the_enclave_and_is_no_error(cli: Path) -> None:
    image = Path("sentinel.eif").absolute()
    child = subprocess.Popen(
        [sys.executable, "-m", "sentinel", "enclave", "run", str(image), "--json"],
        cwd=HERE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    until = time.monotonic() + 60
    while "run-enclave" not in calls(cli) and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert json.loads(out)["cid"] == 16
    assert calls(cli)[-1] == "terminate-enclave"
    assert json.loads((cli / "rows.json").read_text()) == []
