"""Bad input: each is a clear error with its place and remedy, a documented exit status, no
traceback, and nothing changed (desk.py says how that is judged).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, files, kept
from engines import LIMIT, PASSPHRASE, POLICY, Made, make_engine

from sentinel._cli import main
from sentinel.audit import RecordType, read_log


@pytest.fixture
def desk(
    engine: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> Desk:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return Desk(engine, capsys)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# ---- Policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("max_value: 10k USD", "max_value: [10k USD", ("policy.yaml:",)),
        ("max_value: 10k USD", "max_value: 10k USD\n\tx: 1", ("policy.yaml:", "tab")),
        ("max_value", "max_vaule", ("policy.yaml:6:3", "max_vaule", "did you mean")),
        ("100/s", "100/parsec", ("policy.yaml:10:", "parsec")),
        ("10k USD", "10k EUR", ("policy.yaml:6:", "EUR")),
        ("within: 5 %", "within: 5", ("policy.yaml:11:",)),
        ("BTCUSDT: 0.5", "BTCUSD: 0.5", ("policy.yaml:12:", "BTCUSD", "did you mean")),
        ("version: 1", "version: 2", ("policy.yaml:1:",)),
        ("for: firm}", "for: firn}", ("policy.yaml:", "firn")),
        ("10k USD", "&a 10k USD", ("policy.yaml:6:",)),
    ],
    ids=[
        "malformed", "tab", "unknown-key", "wrong-unit-of-time", "wrong-currency", "no-unit",
        "unknown-instrument", "wrong-version", "unknown-node", "anchor",
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["lint", "load"])
def test_a_wrong_policy_names_file_line_and_column(
    desk: Desk, tmp_path: Path, old: str, new: str, says: tuple[str, ...], command: str
) -> None:
    assert old in POLICY
    file = write(tmp_path / "policy.yaml", POLICY.replace(old, new, 1))
    if command == "load":
        desk.fails(2, "policy", "load", file, says=says)
        return
    status = main(["policy", "lint", str(file)])
    err = desk.capsys.readouterr().err
    assert status == 2
    for text in says:
        assert text in err


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--max-rate", "1000/parsec", "parsec"),
        ("--max-rate", "many", "many"),
        ("--max-value", "-5", "-5"),
        ("--max-value", "5 apples", "apples"),
        ("--daily-limit", "1e99", "1e99"),
    ],
)
def test_a_wrong_unit_on_the_command_line_names_the_option(
    desk: Desk, option: str, value: str, says: str
) -> None:
    desk.fails(2, "policy", "configure", f"{option}={value}", says=(option, says))


def test_configure_with_nothing_to_configure_says_what_there_is(desk: Desk) -> None:
    desk.fails(2, "policy", "configure", says=("--max-rate",))


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_version_that_is_not_above_the_loaded_one_is_refused(
    desk: Desk, tmp_path: Path, version: str
) -> None:
    file = write(tmp_path / "policy.yaml", POLICY)
    desk.fails(
        2, "policy", "load", file, "--version", version,
        says=("sequence number is not above", "loaded is 2"),
    )  # fmt: skip


def test_a_bundle_with_one_bit_changed_is_refused(desk: Desk, tmp_path: Path) -> None:
    file = write(tmp_path / "policy.yaml", POLICY)
    bundle = tmp_path / "policy.bundle"
    assert desk.run("policy", "compile", file, "--out", bundle)[0] == 0
    good = bundle.read_bytes()
    for offset in (20, 60, 100, 300, len(good) // 2, len(good) - 100, len(good) - 1):
        changed = bytearray(good)
        changed[offset] ^= 4
        bundle.write_bytes(changed)
        before = kept(desk.directory)
        status, err = desk.run("policy", "load", bundle)
        assert status == 2, err
        assert "next step:" in err
        assert kept(desk.directory) == before, offset
    bundle.write_bytes(good)
    assert desk.run("policy", "load", bundle)[0] == 0


def test_a_bundle_of_another_engine_is_refused(desk: Desk, tmp_path: Path) -> None:
    other = make_engine(tmp_path / "other")
    bundle = tmp_path / "policy.bundle"
    file = write(tmp_path / "policy.yaml", POLICY)
    words = ["policy", "compile", str(file), "--out", str(bundle), "--version", "9"]
    assert main([*words, "--dir", str(other.directory)]) == 0
    desk.fails(2, "policy", "load", bundle, says=("another engine",))


@pytest.mark.parametrize("content", [b"SENTINEL", b"SENTINEL" + bytes(200), b"", b"\xff\xfe\x00"])
def test_a_file_that_is_no_policy_is_refused(desk: Desk, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "policy.bin"
    file.write_bytes(content)
    before = kept(desk.directory)
    status, _ = desk.run("policy", "load", file)
    assert status == 2
    assert kept(desk.directory) == before


def test_a_policy_file_that_is_not_there_is_named(desk: Desk, tmp_path: Path) -> None:
    desk.fails(2, "policy", "load", tmp_path / "none.yaml", says=("none.yaml", "No such file"))


# ---- Keys and passphrases -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("sign", "--message", "x", "--agent", "notes"),
        ("halt", "--reason", "x"),
        ("policy", "configure", "--max-value", "1"),
        ("mark", "set", "BTCUSDT", "1"),
        ("key", "generate", "another"),
        ("audit", "receipt", "3"),
    ],
    ids=lambda words: words[0],
)
def test_a_wrong_passphrase_opens_nothing(
    desk: Desk, tmp_path: Path, words: tuple[str, ...]
) -> None:
    wrong = write(tmp_path / "wrong", "not this")
    desk.fails(7, *words, "--passphrase-file", wrong, says=("passphrase does not open",))


def test_a_missing_or_empty_passphrase_file_is_named(desk: Desk, tmp_path: Path) -> None:
    words = ("sign", "--message", "x", "--agent", "notes", "--passphrase-file")
    status, err = desk.run(*words, tmp_path / "none")
    assert (status, "No such file" in err) == (9, True)
    status, err = desk.run(*words, write(tmp_path / "empty", ""))
    assert (status, "1 to 1024 bytes" in err) == (7, True)


def test_no_passphrase_and_no_terminal_says_how_to_give_one(desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.delenv("ZCP_PASSPHRASE_FILE")
    desk.fails(7, "sign", "--message", "x", "--agent", "notes", says=("--passphrase-file",))


# ---- Orders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"instrument": "XBTUSD"}, "no instrument 'XBTUSD'"),
        ({"instrument": "BTCUSDX"}, "did you mean"),
        ({"tag": "it's"}, "letters, digits"),
        ({"tag": "a&b=c"}, "letters, digits"),
        ({"quantity": 0.1}, "write decimals as strings"),
        ({"quantity": "1,5"}, "no decimal"),
        ({"side": "up"}, "none of buy, sell"),
        ({"colour": 1}, "no field 'colour'"),
        ({"action": "steal"}, "none of place"),
    ],
)
def test_an_order_that_cannot_be_built_is_refused(
    desk: Desk, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    file = write(tmp_path / "order.json", json.dumps({**LIMIT, **change}))
    before = kept(desk.directory)
    status, err = desk.run("sign", file, "--agent", "maker")
    assert status == 2, err
    assert says in err
    assert kept(desk.directory) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{'a': 1}"])
def test_a_file_that_is_no_order_is_refused(desk: Desk, tmp_path: Path, text: str) -> None:
    status, err = desk.run("sign", write(tmp_path / "order.json", text), "--agent", "maker")
    assert status == 2
    assert "order.json" in err


def test_what_policy_refuses_exits_with_3_and_is_recorded(desk: Desk, tmp_path: Path) -> None:
    order = tmp_path / "order.json"
    huge = {**LIMIT, "quantity": "90000000000000.00000", "price": "90000000000000000.00"}
    for fields, marks, reason in (
        (LIMIT, None, "mark_absent"),
        (huge, "65000", "value_overflow"),
        ({**LIMIT, "price": "65000.105"}, "65000", "tick"),
        ({**LIMIT, "quantity": "0.000001"}, "65000", "lot"),
        ({"action": "cancel", "target_action": 77}, "65000", "target_unknown"),
    ):
        if marks:
            assert desk.run("mark", "set", "BTCUSDT", marks)[0] == 0
        order.write_text(json.dumps(fields))
        status, err = desk.run("sign", order, "--agent", "maker")
        assert status == 3, err
        assert reason in err
        assert "record" in err
        assert "next step:" in err


def test_a_stale_mark_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], desk: Desk
) -> None:
    short = POLICY.replace("max_age: 1h", "max_age: 1ms")
    assert desk.run("policy", "load", write(tmp_path / "p.yaml", short))[0] == 0
    assert desk.run("mark", "set", "BTCUSDT", "65000")[0] == 0
    order = write(tmp_path / "order.json", json.dumps(LIMIT))
    status, err = desk.run("sign", order, "--agent", "maker")
    assert status == 3
    assert "mark_stale" in err
    assert "zcp mark set" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("mark", "set", "BTCUSD", "1"), "did you mean"),
        (("mark", "set", "BTCUSDT", "1,5"), "no decimal"),
        (("mark", "set", "BTCUSDT", "0"), "above 0"),
        (("halt", "--scope", "dsk", "--reason", "x"), "did you mean"),
        (("halt", "--reason", ""), "reason"),
        (("sign", "--message", "x", "--agent", "nobody"), "no node 'nobody'"),
        (("sign", "--message", "", "--agent", "notes"), "1 to 216"),
        (("sign", "--message", "x" * 217, "--agent", "notes"), "1 to 216"),
        (("sign",), "either --message TEXT or the FILE"),
        (("sign", "--message", "x", "--durability", "none"), "none of write, fsync"),
        (("policy", "explain", "nobody"), "no node 'nobody'"),
        (("audit", "show", "-1"), "-1"),
        (("policy", "stauts"), "No such command"),
        (("status", "--jsno"), "No such option"),
    ],
)
def test_wrong_words_are_refused_with_a_remedy(
    desk: Desk, words: tuple[str, ...], says: str
) -> None:
    before = kept(desk.directory)
    status, err = desk.run(*words)
    assert status == 2, err
    assert says in err
    assert kept(desk.directory) == before


def test_errors_are_json_where_json_is_asked_for(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["policy", "configure", "--max-rate", "1/parsec"], ["sign"], ["bogus"]):
        assert main([*words, "--json", "--dir", str(desk.directory)]) == 2
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["exit_status"] == 2
        assert error["message"]


# ---- Directories --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("policy", "status"),
        ("sign", "--message", "x"),
        ("audit", "verify"),
        ("audit", "replay"),
        ("key", "list"),
        ("halt", "--reason", "x"),
    ],
    ids=" ".join,
)
def test_a_directory_without_an_engine_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main([*words, "--dir", str(empty)]) == 9
    err = capsys.readouterr().err
    assert "there is no engine here" in err
    assert list(empty.iterdir()) == []


def test_init_into_a_place_that_is_taken_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    before = files(desk.directory)
    status, err = desk.run("init", "--environment", "test")
    assert status == 2
    assert "there is something here already" in err
    assert files(desk.directory) == before
    file = write(tmp_path / "file", "x")
    assert main(["init", "--environment", "test", "--dir", str(file)]) == 2
    assert file.read_text() == "x"


def test_a_log_of_another_engine_is_refused(desk: Desk, tmp_path: Path) -> None:
    other = make_engine(tmp_path / "other", policy=None)
    shutil.rmtree(desk.directory / "log")
    shutil.copytree(other.directory / "log", desk.directory / "log")
    before = files(desk.directory / "log")
    status, err = desk.run("sign", "--message", "x", "--agent", "notes")
    assert status == 8, err
    assert "another engine" in err
    assert desk.run("audit", "verify")[0] == 8
    assert files(desk.directory / "log") == before


def test_a_damaged_log_signs_nothing_and_says_where_to_look(desk: Desk) -> None:
    (segment,) = sorted((desk.directory / "log").glob("*0.log"))
    data = bytearray(segment.read_bytes())
    record = next(iter(read_log(desk.directory, 4)))
    data[data.index(record.raw) + 100] ^= 1
    segment.write_bytes(data)
    before = files(desk.directory / "log")
    status, err = desk.run("sign", "--message", "x", "--agent", "notes")
    assert status == 8, err
    assert "zcp audit verify" in err
    assert "next step:" in err
    assert files(desk.directory / "log") == before


def test_a_light_key_is_refused_for_money(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    secret = write(tmp_path / "p", "secret")
    words = ["init", "--passphrase-file", str(secret), "--dir", str(tmp_path / "live")]
    assert main(words) == 2
    assert "ZCP_LIGHT_KEYS" in capsys.readouterr().err
    assert not (tmp_path / "live").exists()


def spawn(*words: str | Path, fsize: int) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, with a limit on the size of files: a full disk."""

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fsize, fsize))

    return subprocess.run(
        [sys.executable, "-m", "sentinel", *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limits,
    )


def test_a_full_disk_stops_init_and_leaves_nothing(tmp_path: Path) -> None:
    secret = write(tmp_path / "p", "secret")
    place = tmp_path / "engine"
    words = ("init", "--environment", "test", "--passphrase-file", secret, "--dir", place)
    done = spawn(*words, fsize=40_000)
    assert done.returncode == 9, done.stderr
    assert "Traceback" not in done.stderr
    assert "next step:" in done.stderr
    assert not place.exists()


def test_a_full_disk_releases_no_signature(desk: Desk, tmp_path: Path) -> None:
    # The first segment has 64 KiB: a message record has about 900 bytes, so a second segment is
    # needed before the eightieth, and no file may be that large.
    free = POLICY.replace(", rate: 5/min}", "}")
    assert desk.run("policy", "load", write(tmp_path / "p.yaml", free))[0] == 0
    program = f"""
import sys
from sentinel import Message, Signer, SigningFailed, EngineHalted
signed = 0
with Signer.open({str(desk.directory)!r}, passphrase={PASSPHRASE!r}) as signer:
    session = signer.session("notes")
    try:
        for _ in range(200):
            handle = session.sign(Message(text="x")).handle
            signed += 1
    except SigningFailed as error:
        print(signed, error.reason, error.exit_status)
    try:
        session.sign(Message(text="x"))
    except (EngineHalted, SigningFailed) as error:
        print("then", type(error).__name__)
"""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert "Traceback" not in done.stderr, done.stderr
    first, then = done.stdout.splitlines()
    signed, reason, status = first.split()
    assert (reason, status) == ("audit_failed", "5")
    assert then.startswith("then ")
    kept_records = [r for r in read_log(desk.directory) if r.type is RecordType.ORDER]
    assert len([r for r in kept_records if any(r.signature_digest)]) == int(signed) > 0
    # With room again, the engine goes on.
    assert desk.run("sign", "--message", "x", "--agent", "notes")[0] == 0


def as_owner(directory: Path, command: Callable[[], int]) -> int:
    """Runs a command as the directory's owner, whom its permissions bind: never as root."""
    if os.getuid() != 0:
        return command()
    nobody = 65534
    for path in (directory, *directory.rglob("*")):
        os.chown(path, nobody, nobody)
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.setgid(nobody)
            os.setuid(nobody)
            status = command()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(
    "words",
    [
        ("sign", "--message", "x"),
        ("halt", "--reason", "x"),
        ("policy", "configure", "--max-value", "1"),
        ("key", "generate", "extra"),
        ("init", "--environment", "test"),
    ],
    ids=lambda words: words[0],
)
def test_a_read_only_directory_is_refused_and_stays_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, words: tuple[str, ...]
) -> None:
    # Under /tmp itself: the folders that pytest makes are closed to other users.
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        made = make_engine(top / "engine", policy=None)
        secret = write(top / "p", PASSPHRASE.decode())
        secret.chmod(0o644)
        directory = made.directory / "new" if words[0] == "init" else made.directory
        for path in (made.directory, *made.directory.rglob("*")):
            path.chmod(0o500 if path.is_dir() else 0o400)
        before = files(made.directory)
        said = top / "said"
        said.touch()
        said.chmod(0o666)

        def command() -> int:
            with said.open("w") as out, contextlib.redirect_stderr(out):
                return main([*words, "--dir", str(directory), "--passphrase-file", str(secret)])

        assert as_owner(made.directory, command) == 9, said.read_text()
        assert "next step:" in said.read_text()
        assert "Traceback" not in said.read_text()
        assert files(made.directory) == before
        for path in (made.directory, *made.directory.rglob("*")):
            path.chmod(0o700)
