"""The daemon as a process: what it gave up, who can reach into it, how it starts and ends.

Goal: an agent under another user reads neither memory nor files nor keys; nothing that was
acknowledged is lost by SIGTERM or a kill; bad input leaves no half-started daemon. Method: real
processes, started and ended by their own id; where the tests run as root, of three users.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from daemon_desk import PASSPHRASE, Desk, make_desk
from raw_client import Ask, Closed, build, pin_of

from sentinel._enums import Command
from sentinel._epoch_start import nonce_source_of
from sentinel._record import Verdict
from sentinel.audit import restore
from sentinel.config import Installed

DAEMON_USER, AGENT_USER = 30001, 30002


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = make_desk(tmp_path)
    yield made
    if made.process is not None:
        made.stop(signal.SIGKILL)


def record_of(payload: bytes) -> int:
    return int(struct.unpack_from("<Q", payload, 8)[0])


# ---- What it gave up -----------------------------------------------------------------------


def test_it_gave_up_what_it_does_not_need(desk: Desk) -> None:
    desk.start("--nonces", "256", "--accept-snapshot-risk")
    assert desk.process is not None
    at = Path(f"/proc/{desk.process.pid}")
    for task in [at, *(at / "task").iterdir()]:  # the filling thread too
        lines = dict(
            line.split(":\t", 1)
            for line in (task / "status").read_text().splitlines()
            if ":" in line
        )
        assert lines["NoNewPrivs"].strip() == "1"
        assert lines["Seccomp"].strip() == "2"
        for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert int(lines[name], 16) == 0, (task, name)
        assert lines["Umask"].strip() == "0077"
    assert len(list((at / "task").iterdir())) == 2
    limits = (at / "limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core"))
    assert core.split()[4:6] == ["0", "0"]
    with desk.session("maker") as session:
        assert session.ask(Ask.SIGN, desk.order("maker", 1)).payload[0] == Verdict.ALLOWED
    assert desk.stop() == 0


def test_nothing_is_left_open_but_what_it_needs(desk: Desk) -> None:
    desk.start()
    assert desk.process is not None
    found = {os.readlink(fd) for fd in Path(f"/proc/{desk.process.pid}/fd").iterdir()}
    sockets = [name for name in found if name.startswith("socket:")]
    assert len(sockets) == 1
    assert not any("keys" in name or name.endswith("passphrase") for name in found)


def test_the_pin_is_for_agents_to_read(desk: Desk) -> None:
    desk.start()
    assert desk.pin.stat().st_mode & 0o777 == 0o644
    with desk.session("maker") as session:
        assert pin_of(session.daemon_key) + "\n" == desk.pin.read_text()
    before = desk.pin.read_text()
    desk.stop()
    desk.start()
    assert desk.pin.read_text() != before  # a key of its own at each start


# ---- Other users ---------------------------------------------------------------------------


def run_as(user: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


PROBE = """\
import os, socket, sys
pid, *paths = sys.argv[1:]
reached = []
for path in [f"/proc/{pid}/mem", f"/proc/{pid}/maps", f"/proc/{pid}/environ", *paths]:
    try:
        (os.listdir if os.path.isdir(path) else open)(path)
        reached.append(path)
    except OSError:
        pass
try:
    os.kill(int(pid), 0)
    reached.append("kill")
except OSError:
    pass
print(reached)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may enter."""
    made = Path(tempfile.mkdtemp(prefix="sentineld-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


AS_ROOT = os.getuid() == 0


def test_an_agent_of_another_user_reaches_nothing(place: Path) -> None:
    """As root with two further users; else with the one there is, which may not trace it either."""
    desk = make_desk(place, peers={"maker": AGENT_USER if AS_ROOT else os.getuid()})
    if AS_ROOT:
        for path in [place, *place.rglob("*")]:
            os.chown(path, DAEMON_USER, DAEMON_USER)
        program = shutil.copy(build("sentineld"), place / "sentineld")
        desk.program_file = Path(program)
        desk.wrapper = (
            "setpriv",
            f"--reuid={DAEMON_USER}",
            f"--regid={DAEMON_USER}",
            "--clear-groups",
        )
    desk.start()
    assert desk.process is not None
    try:
        pid = str(desk.process.pid)
        if AS_ROOT:
            inside = [desk.directory, desk.directory / "keys" / "engine", desk.directory / "log"]
            inside += [desk.directory / "control", desk.directory / "genesis"]
            python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
            found = run_as(AGENT_USER, python, "-c", PROBE, pid, *map(str, inside))
            assert found.stdout.strip() == "[]", found
            assert run_as(AGENT_USER, "cat", str(desk.pin)).stdout == desk.pin.read_text()
            asked = run_as(
                AGENT_USER, python, "-c", PEER, str(desk.socket), hello_of(desk, "maker")
            )
            assert asked.stdout.split() == ["0", "2"], asked
            other = run_as(
                DAEMON_USER + 5, python, "-c", PEER, str(desk.socket), hello_of(desk, "maker")
            )
            assert int(other.stdout.split()[0]) == 0x305, other
        # Even its own user may not trace it: it is not dumpable.
        own = (
            run_as(DAEMON_USER, "cat", f"/proc/{pid}/mem")
            if AS_ROOT
            else subprocess.run(
                ["cat", f"/proc/{pid}/mem"], capture_output=True, text=True, check=False
            )
        )
        assert own.returncode != 0
        assert "denied" in own.stderr
        with desk.session("maker") as session:
            assert session.ask(Ask.SIGN, desk.order("maker", 1)).payload[0] == Verdict.ALLOWED
    finally:
        desk.stop()


PEER = """\
import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(bytes.fromhex(sys.argv[2]))
told = s.recv(128)
print(struct.unpack_from("<I", told, 12)[0], struct.unpack_from("<I", told, 80)[0])
"""


def hello_of(desk: Desk, name: str) -> str:
    return desk.hello(name).pack().hex()


def test_a_third_process_halts(desk: Desk) -> None:
    """The stop word, as the daemon's user; and a command of an operator's own process."""
    desk.start()
    done: list[int] = []

    def sign() -> None:
        with desk.session("maker") as session:
            for number in range(1, 100000):
                if session.ask(Ask.SIGN, desk.order("maker", number)).payload[0] != 1:
                    return
                done.append(number)

    agent = threading.Thread(target=sign)
    agent.start()
    time.sleep(0.2)
    (desk.top / "phrase").write_bytes(PASSPHRASE)
    (desk.top / "phrase").chmod(0o600)
    words = ["--reason", "a test", "--passphrase-file", str(desk.top / "phrase")]
    halt = subprocess.run(
        [sys.executable, "-m", "sentinel", "halt", "--dir", str(desk.directory), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    agent.join(30)
    assert not agent.is_alive()
    assert halt.returncode == 0, halt.stderr
    assert done
    with desk.session("operator") as operator:
        assert operator.ask(Ask.TAKE, desk.command(Command.RESUME)).status == 0
    with desk.session("maker") as session:
        signed = session.ask(Ask.SIGN, desk.order("maker", len(done) + 5))
        assert signed.payload[0] == Verdict.ALLOWED
    desk.stop()
    desk.verify()


# ---- Ends ----------------------------------------------------------------------------------


def load(desk: Desk, names: Sequence[str], how: int, first: int) -> dict[str, list[int]]:
    """Agents sign until the daemon goes; the records of what each was told was signed."""
    told: dict[str, list[int]] = {name: [] for name in names}

    def sign(name: str) -> None:
        try:
            with desk.session(name) as session:
                session.send(
                    *(session.frame(Ask.SIGN, desk.order(name, first + i)) for i in range(32))
                )
                for number in range(first + 32, first + 10**6):
                    answer = session.receive()
                    if answer.status == 0 and answer.payload[0] == Verdict.ALLOWED:
                        told[name].append(record_of(answer.payload))
                    session.send(session.frame(Ask.SIGN, desk.order(name, number)))
        except (Closed, OSError):
            pass

    threads = [threading.Thread(target=sign, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    time.sleep(0.4)
    status = desk.stop(how)
    assert status == (0 if how == signal.SIGTERM else -how)
    for thread in threads:
        thread.join(20)
    return told


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_under_load_nothing_acknowledged_is_lost(desk: Desk, how: int) -> None:
    for turn in range(3):
        desk.start("--durability", "mapped" if turn == 2 else "write")
        told = load(desk, desk.agents, how, 1 + turn * 10**6)
        assert all(len(records) > 20 for records in told.values())
        desk.verify()
        kept = [number for records in told.values() for number in records]
        assert len(set(kept)) == len(kept)
        assert max(kept) < restore(desk.directory).state().record_count
    desk.start()
    with desk.session("maker") as session:
        next_action = struct.unpack_from("<Q", session.ask(Ask.STATUS).payload, 120)[0]
        signed = session.ask(Ask.SIGN, desk.order("maker", next_action))
        assert signed.payload[0] == Verdict.ALLOWED
    desk.stop()


def test_sigterm_answers_what_is_queued(desk: Desk) -> None:
    desk.start()
    assert desk.process is not None
    with desk.session("maker") as session:
        desk.process.send_signal(signal.SIGSTOP)
        session.send(*(session.frame(Ask.SIGN, desk.order("maker", i)) for i in range(1, 31)))
        desk.process.send_signal(signal.SIGCONT)
        first = session.receive()
        desk.process.send_signal(signal.SIGTERM)
        answers = [first, *(session.receive() for _ in range(29))]
        assert all(answer.payload[0] == Verdict.ALLOWED for answer in answers)
        assert session.ends()
    assert desk.process.wait(10) == 0
    desk.process = None
    desk.verify()
    assert list((desk.directory / "snapshots").iterdir())


def test_a_session_of_an_agent_that_goes_leaves_the_others(desk: Desk) -> None:
    desk.start()
    with desk.session("taker") as other:
        for number in range(1, 20):
            session = desk.session("maker")
            session.send(session.frame(Ask.SIGN, desk.order("maker", number)))
            session.close()
            assert other.ask(Ask.SIGN, desk.order("taker", number)).payload[0] == 1


# ---- Bad input -----------------------------------------------------------------------------


def run(*words: str, phrase: bytes = PASSPHRASE) -> tuple[int, str]:
    done = subprocess.run(
        [str(build("sentineld")), *words],
        input=phrase,
        capture_output=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stderr.decode()


def test_a_wrong_command_line_is_told(desk: Desk) -> None:
    base = ["--dir", str(desk.directory), "--passphrase-fd", "0"]
    here = ["--unix", str(desk.socket)]
    for words in (
        [],
        base,
        [*base, *here, "more"],
        [*base, *here, "--vsock", "5700"],
        [*base, "--vsock", "0"],
        [*base, "--vsock", "-1"],
        [*base, "--vsock", "4294967296"],
        [*base, *here, "--durability", "none"],
        [*base, *here, "--nonces", "64"],
        [*base, *here, "--accept-snapshot-risk"],
        [*base, *here, "--passphrase-file", "x"],
        [*base, *here, "--passphrase", "x"],
        ["--dir", str(desk.directory), *here],
    ):
        status, told = run(*words)
        assert status == 2, words
        assert "usage: sentineld" in told
    assert not desk.socket.exists()


def test_nonces_made_ahead_are_accepted_and_recorded(desk: Desk) -> None:
    for words, ahead in (((), False), (("--nonces", "64", "--accept-snapshot-risk"), True)):
        desk.options = ()
        desk.start(*words)
        desk.stop()
        state = restore(desk.directory).state()
        found = nonce_source_of(Installed(desk.directory), state)
        assert found is not None
        assert found.to_json()["snapshot_risk_accepted"] is ahead


def test_what_cannot_be_opened_is_told_and_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    base = ["--dir", str(desk.directory), "--unix", str(desk.socket)]
    loose = tmp_path / "loose"
    loose.write_bytes(PASSPHRASE)
    loose.chmod(0o644)
    empty = tmp_path / "empty"
    empty.touch(0o600)
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for words, phrase, text in (
        ([*base, "--passphrase-fd", "0"], b"wrong", "KEY_PASSPHRASE"),
        ([*base, "--passphrase-fd", "0"], b"", "empty"),
        ([*base, "--passphrase-fd", "0"], b"x" * 2000, "1,024"),
        ([*base, "--passphrase-file", str(loose)], b"", "chmod 600"),
        ([*base, "--passphrase-file", str(empty)], b"", "empty"),
        ([*base, "--passphrase-file", str(tmp_path / "none")], b"", "No such file"),
        (["--dir", str(tmp_path / "no"), *base[2:], "--passphrase-fd", "0"], PASSPHRASE, "IO_OPEN"),
        ([*base[:3], str(taken), "--passphrase-fd", "0"], PASSPHRASE, "in use"),
        ([*base[:3], "x" * 200, "--passphrase-fd", "0"], PASSPHRASE, "too long"),
        ([*base, "--passphrase-fd", "0", "--pin", "/nowhere/pin"], PASSPHRASE, "/nowhere/pin"),
    ):
        status, told = run(*words, phrase=phrase)
        assert status == 1, (words, told)
        assert text in told, told
    assert taken.read_text() == "a file"
    desk.start()  # and none of it is in the way
    assert desk.stop() == 0


def test_a_second_daemon_does_not_start(desk: Desk) -> None:
    desk.start()
    status, told = run(
        "--dir", str(desk.directory), "--unix", str(desk.top / "t"), "--passphrase-fd", "0"
    )
    assert status == 1
    assert "IO_LOCKED" in told
    with desk.session("maker") as session:
        assert session.ask(Ask.STATUS).status == 0


def test_a_damaged_log_is_not_served(desk: Desk) -> None:
    segment = sorted((desk.directory / "log").glob("*.log"))[0]
    data = bytearray(segment.read_bytes())
    data[600] ^= 1
    segment.write_bytes(data)
    status, told = run(
        "--dir", str(desk.directory), "--unix", str(desk.socket), "--passphrase-fd", "0"
    )
    assert status == 1
    assert "AUDIT_" in told
    assert not desk.socket.exists()


def test_the_static_program_serves_as_well(desk: Desk) -> None:
    desk.program = "sentineld-static"
    desk.start()
    with desk.session("maker") as session:
        assert session.ask(Ask.SIGN, desk.order("maker", 1)).payload[0] == Verdict.ALLOWED
    assert desk.stop() == 0
    desk.verify()
    program = build("sentineld-static").read_bytes()
    assert b"/lib64/ld-linux" not in program


def test_vsock_where_the_machine_has_it(desk: Desk) -> None:
    """What a machine without it says; with it, the daemon listens there."""
    words = ["--dir", str(desk.directory), "--vsock", "5799", "--passphrase-fd", "0"]
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError:
        status, told = run(*words)
        assert status == 1
        assert "vsock" in told
        return
    process = subprocess.Popen(
        [str(build("sentineld")), *words], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(PASSPHRASE)
    process.stdin.close()
    while line := process.stderr.readline():
        if b"ready" in line:
            break
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.stderr.close()
