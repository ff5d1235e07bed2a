"""The command `zcp`: what each command does and prints, and what it exits with.

The main sequence runs as a user runs it, in processes of its own; the rest in this process.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engines import HMAC_SECRET, LIMIT, PASSPHRASE, POLICY, Made

from sentinel import Signer
from sentinel._cli import app, main
from sentinel._cli._shared import EXIT_STATUSES
from sentinel.audit import read_log, verify_log
from sentinel.errors import SentinelError

TOP = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """One command's end."""

    status: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.out)
        return data


class Zcp:
    """Runs commands in this process, with an engine's directory and passphrase."""

    def __init__(self, capsys: pytest.CaptureFixture[str], directory: Path, secret: Path) -> None:
        self._capsys = capsys
        self.directory = directory
        self.secret = secret

    def __call__(self, *arguments: str | Path, dir: bool = True) -> Done:
        words = [str(argument) for argument in arguments]
        if dir:
            words += ["--dir", str(self.directory)]
        self._capsys.readouterr()
        status = main(words)
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Done(status, captured.out, captured.err)


@pytest.fixture
def zcp(engine: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Zcp:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return Zcp(capsys, engine.directory, secret)


def spawn(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sentinel", *arguments],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


# ---- The first hour -----------------------------------------------------------------------------


def test_the_six_commands_of_the_first_hour_work_as_written(tmp_path: Path) -> None:
    # A live engine, with the real cost of its passphrase.
    env = {"ZCP_DIR": str(tmp_path / "engine"), "ZCP_LIGHT_KEYS": ""}
    made = spawn("init", **env)
    assert made.returncode == 0, made.stderr
    assert "a passphrase was made" in made.stderr
    kept = tmp_path / "engine" / "keys" / "passphrase"
    assert kept.stat().st_mode & 0o777 == 0o400

    limits = ("--max-rate", "1000/min", "--max-value", "500000", "--daily-limit", "10000000")
    configured = spawn("policy", "configure", *limits, **env)
    assert configured.returncode == 0, configured.stderr
    assert "version 2 is in force" in configured.stdout

    status = spawn("policy", "status", **env)
    assert status.returncode == 0
    for text in ("policy version 2", "500k USD", "10M USD", "1000/min", "only message"):
        assert text in status.stdout

    stopped = spawn("kill-switch", "activate", "--reason", "Compliance test", **env)
    assert stopped.returncode == 0, stopped.stderr

    refused = spawn("sign", "--message", "test", **env)
    assert refused.returncode == 3
    assert "kill_switch" in refused.stderr
    assert "zcp kill-switch deactivate" in refused.stderr
    assert refused.stdout == ""

    lifted = spawn("kill-switch", "deactivate", "--reason", "Test complete", **env)
    assert lifted.returncode == 0, lifted.stderr

    signed = spawn("sign", "--message", "test", **env)
    assert signed.returncode == 0, signed.stderr
    assert "receipt" in signed.stdout
    assert "transaction hash" in signed.stdout
    assert verify_log(tmp_path / "engine").ok


def test_the_command_starts_without_what_only_sending_needs() -> None:
    # The wheel's own test hides the system's libcrypto, and with it Python's ssl.
    program = (
        "import sys; sys.modules['_ssl'] = sys.modules['httpx'] = None; "
        "from sentinel._cli import main; sys.exit(main(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, "policy" in done.stdout, done.stderr) == (0, True, "")


def test_init_takes_a_passphrase_file_and_does_not_keep_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "p"
    secret.write_text("long and secret\n")
    place = tmp_path / "deep" / "engine"
    words = ["init", "--environment", "test", "--passphrase-file", str(secret), "--json"]
    assert main([*words, "--dir", str(place)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["environment"] == "test"
    assert data["passphrase_made"] is False
    assert not (place / "keys" / "passphrase").exists()
    with Signer.open(place, passphrase="long and secret") as signer:
        assert signer.status().engine_id.hex() == data["engine_id"]
    assert main([*words, "--dir", str(place)]) == 2
    assert "there is something here already" in capsys.readouterr().out


def test_init_takes_an_empty_directory_and_closes_it_to_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "mounted"
    place.mkdir(mode=0o755)
    words = ["--dir", str(place), "--passphrase-file", str(write(tmp_path / "p", "secret"))]
    assert main(["init", "--environment", "test", *words]) == 0
    assert place.stat().st_mode & 0o777 == 0o700
    assert main(["sign", "--message", "x", *words]) == 0
    assert {path.name for path in place.iterdir()} >= {"genesis", "keys", "log", "expectation.json"}
    assert not list(place.glob(".*"))


# ---- Signing ------------------------------------------------------------------------------------


def write(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_an_order_is_signed_from_a_file_and_its_receipt_verifies(
    zcp: Zcp, engine: Made, tmp_path: Path
) -> None:
    assert zcp("mark", "set", "BTCUSDT", "65000.00").status == 0
    order = write(tmp_path / "order.json", LIMIT)
    receipt = tmp_path / "receipt.json"
    done = zcp("sign", order, "--agent", "maker", "--receipt", receipt, "--json")
    assert done.status == 0, done.err
    data = done.json()
    assert data["agent"] == "firm/desk/maker"
    assert data["request"]["method"] == "POST"
    assert data["receipt"] == json.loads(receipt.read_text())
    verified = zcp("verify", receipt, "--expect", engine.directory / "expectation.json", dir=False)
    assert verified.status == 0, verified.err
    assert "verified" in verified.out
    again = zcp("audit", "receipt", str(data["record"]))
    assert json.loads(again.out)["record_hash"] == data["receipt"]["record_hash"]


def test_a_refusal_exits_with_3_and_its_json_has_every_constraint(zcp: Zcp, tmp_path: Path) -> None:
    order = write(tmp_path / "order.json", {**LIMIT, "quantity": "0.2"})
    zcp("mark", "set", "BTCUSDT", "65000.00")
    done = zcp("sign", order, "--agent", "maker", "--json")
    assert done.status == 3
    error = done.json()["error"]
    assert error["reason"] == "value_cap"
    assert error["failed"][0]["max_allowed"] == "10k USD"
    plain = zcp("sign", order, "--agent", "maker")
    assert plain.status == 3
    assert "make the order smaller" in plain.err


def test_an_order_is_read_from_standard_input(zcp: Zcp, monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"action": "message", "text": "hi"}'))
    done = zcp("sign", "-", "--agent", "notes")
    assert done.status == 0, done.err


def test_a_policy_with_several_agents_asks_which(zcp: Zcp) -> None:
    done = zcp("sign", "--message", "x")
    assert done.status == 2
    assert "--agent" in done.err
    assert "firm/desk/maker" in done.err


def test_order_show_says_what_an_order_means(zcp: Zcp, tmp_path: Path) -> None:
    order = write(tmp_path / "order.json", LIMIT)
    done = zcp("order", "show", order)
    assert done.status == 0
    assert "buy 0.01 of BTCUSDT at 65000.10, gtc" in done.out
    wrong = write(tmp_path / "wrong.json", {**LIMIT, "price": None})
    done = zcp("order", "show", wrong)
    assert done.status == 2
    assert "order_fields" in done.err


# ---- Policy -------------------------------------------------------------------------------------


def test_a_policy_is_linted_compiled_loaded_explained_and_told(zcp: Zcp, tmp_path: Path) -> None:
    file = write(tmp_path / "desk.yaml", POLICY.replace("10k USD", "12k USD"))
    lint = zcp("policy", "lint", file, "--json", dir=False)
    assert lint.status == 0
    assert lint.json()["ok"]
    bundle = tmp_path / "desk.bundle"
    compiled = zcp("policy", "compile", file, "--out", bundle, "--json")
    assert compiled.status == 0, compiled.err
    assert compiled.json()["version"] == 3
    loaded = zcp("policy", "load", bundle)
    assert loaded.status == 0, loaded.err
    assert "version 3 is in force" in loaded.out
    assert "12k USD" in loaded.out
    explained = zcp("policy", "explain", "maker")
    assert "at most 12k USD by one action" in explained.out
    of_file = zcp("policy", "explain", "maker", "--file", file)
    assert "at most 12k USD by one action" in of_file.out
    assert zcp("policy", "load", file).status == 0
    told = zcp("policy", "history", "--json").json()["versions"]
    assert [entry["version"] for entry in told] == [1, 2, 3, 4]
    assert any("12k USD" in change["after"] for change in told[2]["changes"])


def test_configure_keeps_the_rest_of_the_policy_and_its_comments(zcp: Zcp) -> None:
    assert zcp("policy", "configure", "--max-value", "20k USD").status == 0
    status = zcp("policy", "status", "--json").json()
    texts = [c["text"] for node in status["nodes"] for c in node["constraints"]]
    assert "at most 20k USD by one action" in texts
    assert "at most 50k USD in a day (UTC)" in texts


def test_a_bundle_compiled_elsewhere_cannot_be_configured_and_says_so(
    zcp: Zcp, engine: Made
) -> None:
    for path in (engine.directory / "texts").iterdir():
        path.unlink()
    done = zcp("policy", "configure", "--max-value", "20k USD")
    assert done.status == 2
    assert "zcp policy load FILE" in done.err


# ---- Keys ---------------------------------------------------------------------------------------


def test_a_key_is_made_listed_and_used_once_a_policy_names_it(zcp: Zcp, tmp_path: Path) -> None:
    done = zcp("key", "generate", "extra", "--json")
    assert done.status == 0, done.err
    assert done.json()["purpose"] == "message"
    listed = zcp("key", "list", "--json").json()["keys"]
    assert [key["name"] for key in listed] == ["identity", "message", "spot", "extra"]
    assert zcp("key", "generate", "extra").status == 7
    text = POLICY.replace(
        "keys:\n", "keys:\n  extra: {purpose: message, algorithm: ed25519, for: notes}\n"
    ).replace("for: firm}\n  spot", "for: desk}\n  spot")
    assert zcp("policy", "load", write(tmp_path / "p.yaml", text)).status == 0
    signed = zcp("sign", "--message", "x", "--agent", "notes")
    assert signed.status == 0, signed.err


@pytest.mark.parametrize("by", ["file", "stdin"])
def test_a_secret_is_imported_from_a_file_or_standard_input(
    zcp: Zcp, tmp_path: Path, monkeypatch: Any, by: str
) -> None:
    words = ["key", "import", "usdm", "--venue", "binance_usdm", "--api-key", "a" * 64]
    if by == "file":
        secret = tmp_path / "secret"
        secret.write_bytes(HMAC_SECRET + b"\n")
        words += ["--secret-file", str(secret)]
    else:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(HMAC_SECRET + b"\n")))
    done = zcp(*words, "--json")
    assert done.status == 0, done.err
    assert done.json()["venue"] == "binance_usdm"
    everything = done.out + done.err + (zcp.directory / "keys" / "public").read_text()
    assert HMAC_SECRET.decode() not in everything


def test_ed25519_is_imported_as_hex_and_as_pem(zcp: Zcp, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()
    publics = set()
    for name, text in (("one", pem), ("two", key.private_bytes_raw().hex())):
        file = write(tmp_path / name, text)
        words = ("--venue", "binance_spot", "--algorithm", "ed25519", "--secret-file", file)
        done = zcp("key", "import", name, *words, "--json")
        assert done.status == 0, done.err
        publics.add(done.json()["public_key"])
    assert publics == {key.public_key().public_bytes_raw().hex()}


# ---- Halting beside a writer --------------------------------------------------------------------

WRITER = """
import sys, time
from sentinel import Message, PolicyDenied, Signer
with Signer.open(sys.argv[1], passphrase={passphrase!r}) as signer:
    session = signer.session("maker")
    print("open", flush=True)
    for line in sys.stdin:
        try:
            session.sign(Message(text="x"))
            print("signed", flush=True)
        except PolicyDenied as error:
            print(error.reason, flush=True)
"""


@pytest.fixture
def writer(engine: Made) -> Iterator[subprocess.Popen[str]]:
    program = WRITER.format(passphrase=PASSPHRASE)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(engine.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def ask(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("sign\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_commands_reach_an_engine_that_another_process_has_open(
    zcp: Zcp, writer: subprocess.Popen[str]
) -> None:
    assert ask(writer) == "signed"
    halted = zcp("halt", "--reason", "stop", "--wait", "0", "--json")
    assert halted.status == 0, halted.err
    assert halted.json()["applied"] is False
    assert ask(writer) == "kill_switch"
    waiting = zcp("resume", "--reason", "go", "--wait", "0")
    assert waiting.status == 6
    assert "in the spool" in waiting.err
    assert ask(writer) == "signed"
    assert zcp("policy", "configure", "--max-value", "5k USD", "--wait", "0").status == 6
    assert ask(writer) == "signed"
    assert zcp("policy", "status", "--json").json()["version"] == 3
    assert zcp("mark", "set", "BTCUSDT", "65000", "--wait", "0").status == 6
    assert ask(writer) == "signed"


def test_a_halt_that_cannot_be_recorded_yet_binds_all_the_same(zcp: Zcp) -> None:
    keys = zcp.directory / "keys" / "engine"
    aside = keys.rename(keys.with_name("aside"))
    assert zcp("halt", "--reason", "stop").status == 9
    aside.rename(keys)
    done = zcp("sign", "--message", "x", "--agent", "notes")
    assert done.status == 3
    assert "kill_switch" in done.err


def test_a_second_writer_is_told_who_is_the_first(zcp: Zcp, writer: subprocess.Popen[str]) -> None:
    done = zcp("sign", "--message", "x", "--agent", "notes")
    assert done.status == 6
    assert "another process is this engine's writer" in done.err
    status = zcp("status", "--json").json()
    assert status["writer_alive"] is True


# ---- Reading ------------------------------------------------------------------------------------


def test_status_shows_halts_and_agents_without_a_key(zcp: Zcp, monkeypatch: Any) -> None:
    zcp("sign", "--message", "x", "--agent", "notes")
    zcp("halt", "--scope", "desk", "--reason", "fat finger", "--severity", "3")
    monkeypatch.delenv("ZCP_PASSPHRASE_FILE")
    data = zcp("status", "--json").json()
    assert data["agents"]["firm/notes"] == 1
    assert data["halted"][0]["reason"] == "fat finger"
    assert data["freshness"] == "unproven"
    assert "HALTED     firm/desk" in zcp("status").out


def test_audit_commands_read_the_log(zcp: Zcp) -> None:
    record = zcp("sign", "--message", "x", "--agent", "notes", "--json").json()["record"]
    verified = zcp("audit", "verify", "--json")
    assert verified.status == 0
    assert verified.json()["ok"] is True
    replayed = zcp("audit", "replay", "--render", "--json")
    assert replayed.status == 0
    assert replayed.json()["differences"] == []
    assert zcp("audit", "show", str(record), "--json").json()["text"] == "message 'x'"
    story = zcp("audit", "trace", str(record), "--json").json()
    assert story["policy_loaded"]["version"] == 2
    for command in ("show", "trace"):
        assert "message 'x'" in zcp("audit", command, str(record)).out
    assert zcp("audit", "show", "100000").status == 8


def test_verify_of_a_log_that_was_changed_exits_with_8(zcp: Zcp) -> None:
    record = next(iter(read_log(zcp.directory, 3)))
    segment = sorted((zcp.directory / "log").glob("*.log"))[0]
    data = bytearray(segment.read_bytes())
    data[data.index(record.raw) + 80] ^= 1
    segment.write_bytes(data)
    done = zcp("audit", "verify")
    assert done.status == 8
    assert "record 3" in done.out
    assert "NOT INTACT" in done.out


def test_venue_render_gives_a_line_for_each_line(zcp: Zcp, tmp_path: Path) -> None:
    order = {
        "action": "place", "market": "spot", "symbol": "BTCUSDT", "side": "buy", "type": "limit",
        "tif": "gtc", "qty": "1", "price": "0.10", "timestamp_ms": 1700000000000,
    }  # fmt: skip
    key = {"api_key": "k", "secret": "s"}
    base = {"venue": "binance_spot", "scheme": "HMAC-SHA256", "key": key}
    lines = [
        {"id": "good", **base, "order": order},
        {"id": "login", **base, "order": {"action": "login", "timestamp_ms": 1}},
        {"id": "foreign", **base, "venue": "okx", "order": order},
        {"id": "injected", **base, "order": {**order, "symbol": "BTC&side=SELL"}},
        {"id": "scheme", **base, "scheme": "RSA", "order": order},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\nnonsense\n\n[]\n"
    done = zcp("venue", "render", write(tmp_path / "lines.jsonl", text), dir=False)
    assert done.status == 0
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert len(rows) == 7
    assert list(rows[0]) == [
        "id", "method", "path", "query", "headers", "body", "string_to_sign",
        "string_to_sign_encoding", "signature", "signature_encoding",
    ]  # fmt: skip
    assert rows[0]["query"].startswith("symbol=BTCUSDT&side=BUY&type=LIMIT")
    for row in rows[1:]:
        assert set(row) == {"id", "error", "reason", "next_step"}
    assert rows[1]["reason"] == "unsupported"


# ---- All commands -------------------------------------------------------------------------------


def commands(
    group: Any = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and its object."""
    from typer.main import get_command

    group = get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_has_json_an_example_and_help(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--json" in text
    assert "Example" in text
    assert f"zcp {' '.join(path)}" in text or path[0] == "kill-switch"


def test_every_exit_status_of_an_error_is_documented() -> None:
    def kinds(kind: type[SentinelError]) -> Iterator[type[SentinelError]]:
        yield kind
        for below in kind.__subclasses__():
            yield from kinds(below)

    assert {kind.exit_status for kind in kinds(SentinelError)} <= set(EXIT_STATUSES)
    page = (TOP / "docs" / "cli.md").read_text()
    for status, meaning in EXIT_STATUSES.items():
        assert re.search(rf"^\| {status} \| {re.escape(meaning)} \|", page, re.MULTILINE), status


def test_the_page_of_the_commands_shows_the_real_help() -> None:
    done = subprocess.run(
        [sys.executable, TOP / "scripts" / "cli_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_completion_is_offered_for_each_shell() -> None:
    for shell, mark in (("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")):
        done = spawn("completion", shell)
        assert done.returncode == 0, done.stderr
        assert mark in done.stdout
        assert "zcp" in done.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("zcp venue ", {"render", "instruments"}),
        ("zcp venue r", {"render"}),
        ("zcp venue instruments --", {"--symbol", "--quote", "--contract", "--beside", "--all"}),
        ("zcp key import --", {"--account", "--vault", "--master", "--api-passphrase-file"}),
        ("zcp sign --", {"--submit", "--endpoint", "--timeout", "--deadline"}),
    ],
)
def test_completion_knows_every_command_and_option(words: str, offered: set[str]) -> None:
    at = str(len(words.split()) - (not words.endswith(" ")))
    done = spawn(_ZCP_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=at)
    assert done.returncode == 0, done.stderr
    assert offered <= set(done.stdout.split())


def test_an_unforeseen_error_is_one_line_and_exits_with_1(zcp: Zcp, monkeypatch: Any) -> None:
    monkeypatch.setattr("sentinel._cli._status.restore", lambda directory: 1 / 0)
    done = zcp("status")
    assert done.status == 1
    assert "unforeseen: ZeroDivisionError" in done.err
