"""Heartbeats of agents: a thread that beats, a loop that hangs, and what the engine does then.

Goal: an agent whose loop hangs while its heartbeat thread goes on is stopped by progress within the
stated bound; a silent one is found by the writer; nothing but a resume lifts either. Method: an
engine whose policy wants heartbeats, real threads and times, and times that are given.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import PASSPHRASE, POLICY, SECOND, Made

from sentinel import Message, PolicyDenied, Signer
from sentinel._authority_edit import Change, Wish, apply
from sentinel._cli import main
from sentinel._enums import Cause
from sentinel._frame import FrameKind, parse_authority, unsafe_parse_frame
from sentinel._people import Person, make_key_file
from sentinel.audit import RecordType, find_record, read_log, replay, verify_log
from sentinel.config import AuthorityRing, Installed
from sentinel.errors import KeyFileError, PolicyInvalid, UsageError
from sentinel.heartbeat import AgentKey, Heartbeat
from sentinel.story import describe_record

RULE = "heartbeat: {silence: 2s, iteration: 100ms, factor: 4}"
BEATING = POLICY.replace("maker: {}", "maker: {" + RULE + "}")
BOUND_NS = 400_000_000  # 4 times 100 ms
EVERY = 0.1
LIGHT = (1, 8192)


def add_agent(directory: Path, signer: Signer, agent: str, person: Person) -> None:
    """The authority bundle with this key as the agent's own."""
    installed = Installed(directory)
    held = parse_authority(unsafe_parse_frame(installed.authority(), FrameKind.AUTHORITY).payload)
    now = time.time_ns()
    node = signer.policy.agent(agent).id
    wish = Wish("agent", person=person, node=node)
    change = apply(Change.of(held), [wish], now, ())
    sequence = unsafe_parse_frame(installed.authority(), FrameKind.AUTHORITY).sequence + 1
    part = change.part(installed.terms(sequence, now))
    ring = AuthorityRing.open(directory, PASSPHRASE)
    signer.take(ring.sign(FrameKind.AUTHORITY, part), now_ns=now)


class Desk:
    """An engine with a maker that must beat, and its key."""

    def __init__(self, made: Made, place: Path) -> None:
        self.directory = made.directory
        self.key_path = place / "maker.key"
        person = make_key_file(self.key_path, "maker", PASSPHRASE, LIGHT)
        with self.open() as signer:
            add_agent(self.directory, signer, "maker", person)
            signer.load_policy(BEATING)
        self.key = AgentKey.open(self.key_path, passphrase=PASSPHRASE)

    def open(self) -> Signer:
        return Signer.open(self.directory, passphrase=PASSPHRASE)


@pytest.fixture
def desk(engine: Made, tmp_path: Path) -> Desk:
    return Desk(engine, tmp_path)


def says(signer: Signer, now_ns: int | None = None) -> str:
    """ "allowed", or why the maker's message is refused."""
    try:
        signer.session("maker").sign(Message(text="x"), now_ns=now_ns)
    except PolicyDenied as denied:
        return denied.reason
    return "allowed"


def test_a_hanging_loop_is_stopped_by_progress_while_its_thread_beats(desk: Desk) -> None:
    with desk.open() as signer, Heartbeat(signer, "maker", desk.key, every=EVERY) as heart:
        released = threading.Event()

        def loop() -> None:
            for step in heart.over(range(3)):
                assert says(signer) == "allowed"
                if step == 2:
                    released.wait(60)  # it hangs

        worker = threading.Thread(target=loop)
        worker.start()
        deadline = time.monotonic() + 60
        while not signer.status().stops and time.monotonic() < deadline:
            time.sleep(0.01)
        (stop,) = signer.status().stops
        assert (stop.path, stop.mode, stop.cause) == ("firm/desk/maker", "halted", "progress")
        (beat,) = signer.status().beats
        # The stated bound: 4 x 100 ms, and one beat until somebody looks; a busy machine may add.
        late = stop.since_ns - beat.running_since_ns - BOUND_NS
        assert 0 < late < EVERY * SECOND + 5 * SECOND
        assert says(signer) == "kill_switch"
        time.sleep(2 * EVERY)
        feeds = [r for r in read_log(desk.directory) if r.type is RecordType.FEED]
        assert feeds[-1].number > stop.record  # the thread goes on
        released.set()
        worker.join()
        assert heart.error is None
        heart.beat()
        assert says(signer) == "kill_switch"  # no heartbeat lifts it
        heart.close()  # its thread would beat between the next two lines
        signer.resume("the loop was mended", scope="maker")
        assert says(signer) == "heartbeat_missing"
        heart.beat()
        assert says(signer) == "allowed"
    assert not verify_log(desk.directory).findings
    assert not list(replay(desk.directory).differences)
    record = find_record(desk.directory, stop.record)
    assert record.type is RecordType.STOP
    told = json.dumps(describe_record(Installed(desk.directory), record))
    assert '"cause": "progress"' in told
    assert '"scope": "firm/desk/maker"' in told
    told = json.dumps(describe_record(Installed(desk.directory), feeds[-1]))
    assert '"heartbeat": "firm/desk/maker"' in told


def test_the_writer_finds_a_silent_agent_that_never_asks_again(desk: Desk) -> None:
    with desk.open() as signer:
        heart = Heartbeat(signer, "maker", desk.key)
        assert heart.every == pytest.approx(2 / 3)
        assert says(signer) == "heartbeat_missing"
        now = time.time_ns()
        heart.beat(now)
        signer.poll(now + 2 * SECOND)
        assert not signer.status().stops
        signer.poll(now + 2 * SECOND + 1)
        (stop,) = signer.status().stops
        assert (stop.cause, stop.since_ns) == ("heartbeat", now + 2 * SECOND + 1)
        assert signer.session("taker").sign(Message(text="x"), now_ns=now + 3 * SECOND)


def test_beats_through_the_spool_of_another_writer_count_when_they_were_made(desk: Desk) -> None:
    with desk.open() as signer:
        heart = Heartbeat(desk.directory, "maker", desk.key)
        begin = time.time_ns()
        for step in range(5):  # all wait while the writer does nothing
            heart.beat(begin + step * SECOND)
        signer.poll(begin + 6 * SECOND)
        assert not signer.status().stops
        assert signer.status().beats[0].beat_ns == begin + 4 * SECOND
        assert says(signer, begin + 6 * SECOND) == "allowed"
        heart.beat(begin + 6 * SECOND + 1)  # one nanosecond too late
        signer.poll(begin + 6 * SECOND + 2)
        assert signer.status().stops[0].cause == "heartbeat"
    records = sum(1 for _ in read_log(desk.directory))
    heart.beat()  # nobody has it open: nothing is left in the spool
    assert not list((desk.directory / "spool").glob("*[0-9]"))
    assert sum(1 for _ in read_log(desk.directory)) == records


def test_a_start_asks_for_a_fresh_heartbeat_and_old_ones_stay_old(desk: Desk) -> None:
    with desk.open() as signer:
        heart = Heartbeat(signer, "maker", desk.key)
        now = time.time_ns()
        installed, agent = Installed(desk.directory), signer.policy.agent("maker").id
        old = desk.key.frame(installed, agent, 1, 0, sequence=now, now_ns=now)
        heart.beat(now + 1)
        assert says(signer) == "allowed"
        with pytest.raises(PolicyInvalid):
            signer.take(old)
    with desk.open() as signer:
        assert says(signer) == "heartbeat_missing"
        with pytest.raises(PolicyInvalid):
            signer.take(old)
        assert says(signer) == "heartbeat_missing"


def test_another_agents_key_and_a_key_that_is_not_known(desk: Desk, tmp_path: Path) -> None:
    make_key_file(tmp_path / "other.key", "other", PASSPHRASE, LIGHT)
    other = AgentKey.open(tmp_path / "other.key", passphrase=PASSPHRASE)
    with desk.open() as signer:
        with pytest.raises(KeyFileError, match="does not name this key"):
            Heartbeat(signer, "maker", other).beat()
        with pytest.raises(KeyFileError, match="does not name this key"):
            Heartbeat(signer, "taker", desk.key).beat()
        with pytest.raises(UsageError, match="above 0"):
            Heartbeat(signer, "maker", desk.key, every=0.0)
        with pytest.raises(KeyFileError):  # at the start, before any thread
            Heartbeat(signer, "maker", other).start()


def test_an_iteration_that_fails_is_done_and_its_error_goes_on(desk: Desk) -> None:
    with desk.open() as signer:
        heart = Heartbeat(signer, "maker", desk.key)
        with pytest.raises(ZeroDivisionError), heart.iteration():
            _ = 1 / 0
        heart.beat()
        (beat,) = signer.status().beats
        assert (beat.iterations, beat.running_since_ns) == (1, 0)


# ---- The command ----------------------------------------------------------------------------


@pytest.fixture
def zcp(desk: Desk, tmp_path: Path, capsys: Any, monkeypatch: Any) -> Iterator[Any]:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE + b"\n")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    def run(*words: str) -> tuple[int, str, str]:
        status = main([*words, "--dir", str(desk.directory)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_the_command_beats_and_status_shows_it(desk: Desk, zcp: Any) -> None:
    key = ("--key", str(desk.key_path))
    status, _, err = zcp("heartbeat", "maker", *key, "--iterations", "1")
    assert status == 2
    assert "nobody to beat for" in err
    with desk.open() as signer:
        ended = threading.Event()

        def poll() -> None:
            while not ended.wait(0.02):
                signer.poll()

        writer = threading.Thread(target=poll)
        writer.start()
        words = ("--iterations", "7", "--running-for", "50ms", "--json")
        status, out, err = zcp("heartbeat", "maker", *key, *words)
        ended.set()
        writer.join()
        assert status == 0, err
        told = json.loads(out)
        assert (told["agent"], told["iterations"], told["applied"]) == ("firm/desk/maker", 7, True)
        now = signer.status().beats[0].beat_ns
        signer.poll(now + 3 * SECOND)
    status, out, _ = zcp("status", "--json")
    data = json.loads(out)
    assert data["stops"][0]["cause"] == "progress"
    assert data["stops"][0]["lift"]["command"].startswith("zcp resume --scope firm/desk/maker")
    assert data["beats"][0]["iterations"] == 7
    _, out, _ = zcp("status")
    assert "heartbeat  firm/desk/maker: last " in out
    assert "the engine stopped it by itself (progress; record" in out
    assert Cause.PROGRESS.name.lower() in out
