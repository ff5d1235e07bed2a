"""Threads and processes that race: a cap admits what it admits, and a halt binds.

Goal: no interleaving gets one signature more than policy allows, none is lost, and a second
process stops the first while it signs. Method: 32 threads behind one barrier; what came back is
compared with the caps and with the log.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from engines import PASSPHRASE, Made, make_engine

from sentinel import Message, PolicyDenied, Session, Signer
from sentinel._record import RecordType
from sentinel.audit import read_log, replay, verify_log
from sentinel.errors import UsageError
from sentinel.sign import SignedOrder

THREADS = 32
TRIES = 20

# 100 USD each, by a fixed mark: no feed is needed.
CAPPED = """\
version: 1
firm:
  name: firm
  {cap}
  agents:
    a: {{allow: {{actions: [place, message]}}}}
    b: {{allow: {{actions: [place, message]}}}}
assets:
  USDT: {{par: 1 USD}}
  BTC: {{}}
instruments:
  BTCUSDT: {{venue: binance_spot, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}}
keys:
  message: {{purpose: message, algorithm: ed25519, for: firm}}
  spot: {{venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}}
attempts: {{limit: 100000/s}}
"""
ORDER = {
    "action": "place",
    "instrument": "BTCUSDT",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "quantity": "0.01",
    "price": "10000.00",
}


def race(work: Callable[[int], None]) -> None:
    """Runs the work in 32 threads that begin together. Raises what any of them raised."""
    barrier = threading.Barrier(THREADS)
    failures: list[BaseException] = []

    def run(index: int) -> None:
        barrier.wait()
        try:
            work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def try_often(session: Session, got: list[SignedOrder], refused: Counter[str]) -> None:
    for _ in range(TRIES):
        try:
            got.append(session.sign(ORDER))
        except PolicyDenied as error:
            refused[error.reason] += 1


@pytest.mark.parametrize(
    ("cap", "admits", "reason"),
    [
        ("daily_limit: 3700 USD", 37, "daily_limit"),
        ("rolling: {cap: 4199 USD, window: 1h}", 41, "rolling_cap"),
        ("rate: 53/h", 53, "rate_limit"),
    ],
)
def test_threads_that_race_for_a_cap_get_exactly_what_it_admits(
    tmp_path: Path, cap: str, admits: int, reason: str
) -> None:
    made = make_engine(tmp_path / "engine", policy=CAPPED.format(cap=cap))
    got: list[SignedOrder] = []
    refused: Counter[str] = Counter()
    with made.open() as signer:
        sessions = [signer.session("ab"[index % 2]) for index in range(THREADS)]
        race(lambda index: try_often(sessions[index], got, refused))
    assert len(got) == admits
    assert refused == {reason: THREADS * TRIES - admits}
    compare_with_log(made, got)


def compare_with_log(made: Made, got: list[SignedOrder]) -> None:
    """Every signature is in the log once, and nothing else is."""
    records = {
        record.number: record
        for record in read_log(made.directory)
        if record.type is RecordType.ORDER and any(record.signature_digest)
    }
    assert sorted(one.handle.record for one in got) == sorted(records)
    for one in got:
        assert records[one.handle.record].payload_digest == one.transaction_hash
    assert verify_log(made.directory).ok
    assert list(replay(made.directory).differences) == []


def test_threads_get_ids_and_signatures_of_their_own(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine", policy=CAPPED.format(cap="rate: 100000/h"))
    got: list[SignedOrder] = []
    with made.open() as signer:
        session = signer.session("a")
        race(lambda index: got.extend(session.sign(ORDER) for _ in range(TRIES)))
    assert sorted(one.action_id for one in got) == list(range(1, THREADS * TRIES + 1))
    assert len({one.signature for one in got}) == len(got)
    compare_with_log(made, got)


def test_threads_that_race_for_one_id_get_one_signature(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine", policy=CAPPED.format(cap="rate: 100000/h"))
    got: list[SignedOrder] = []
    duplicates: list[tuple[str, int | None]] = []
    with made.open() as signer:
        session = signer.session("a")

        def work(index: int) -> None:
            try:
                got.append(session.sign(ORDER, action_id=7))
            except PolicyDenied as error:
                duplicates.append((error.reason, error.record))

        race(work)
    assert len(got) == 1
    assert duplicates == [("duplicate", got[0].handle.record)] * (THREADS - 1)


def test_a_halt_by_one_thread_stops_all_others(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine", policy=CAPPED.format(cap="rate: 100000/h"))
    got: list[SignedOrder] = []
    with made.open() as signer:
        signer.resume("opens the operators' key beforehand")
        session = signer.session("a")
        halted_at: list[int] = []
        reasons: set[str] = set()

        def work(index: int) -> None:
            if index == 0:
                while len(got) < 50:
                    time.sleep(0.001)
                halted_at.append(signer.halt("stop"))
                return
            while True:
                try:
                    got.append(session.sign(Message(text="x")))
                except PolicyDenied as error:
                    reasons.add(error.reason)
                    return

        race(work)
    assert reasons == {"kill_switch"}
    assert max(one.handle.record for one in got) < halted_at[0]


def test_closing_while_threads_sign_loses_nothing(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine", policy=CAPPED.format(cap="rate: 100000/h"))
    got: list[SignedOrder] = []
    signer = made.open()
    session = signer.session("a")
    said: set[str] = set()

    def work(index: int) -> None:
        if index == 0:
            while len(got) < 50:
                time.sleep(0.001)
            signer.close()
            return
        try:
            while True:
                got.append(session.sign(ORDER))
        except UsageError as error:
            said.add(error.message)

    race(work)
    assert said == {"the engine is closed"}
    compare_with_log(made, got)


# ---- Two processes ------------------------------------------------------------------------------

HALTER = """
import sys
from sentinel._cli import main
sys.exit(main(["halt", "--reason", "from outside", "--dir", sys.argv[1],
               "--passphrase-file", sys.argv[2]]))
"""


def sign_until_refused(signer: Signer, got: list[SignedOrder], limit_s: float) -> str:
    session = signer.session("a")
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            got.append(session.sign(Message(text="x")))
        except PolicyDenied as error:
            return error.reason
    return "never"


def test_a_second_process_halts_the_first_while_it_signs(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine", policy=CAPPED.format(cap="rate: 100000/h"))
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    got: list[SignedOrder] = []
    with made.open() as signer:
        halter = subprocess.Popen(
            [sys.executable, "-c", HALTER, str(made.directory), str(secret)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        reason = sign_until_refused(signer, got, 60)
        out, err = halter.communicate(timeout=60)
        assert reason in ("kill_switch", "control_stop"), reason
        assert halter.returncode == 0, err
        assert "halted: firm" in out
        with pytest.raises(PolicyDenied, match="kill_switch"):
            signer.session("b").sign(Message(text="x"))
    assert len(got) > 0
    command = next(r for r in read_log(made.directory) if r.type is RecordType.COMMAND)
    assert max(one.handle.record for one in got) < command.number
    compare_with_log(made, got)


def test_the_first_thing_after_a_halt_is_written_is_a_refusal(tmp_path: Path) -> None:
    """Over many rounds: once the halter's word is set, no further signature comes."""
    from sentinel import _core, _layout
    from sentinel._enums import Command
    from sentinel._frame import FrameKind
    from sentinel.config import AuthorityRing, Installed

    made = make_engine(tmp_path / "engine", policy=CAPPED.format(cap="rate: 100000/h"))
    installed = Installed(made.directory)
    ring = AuthorityRing.open(made.directory, PASSPHRASE)
    firm = installed.policy().nodes[0].id
    with made.open() as signer:
        session = signer.session("a")
        for _ in range(25):
            stop = threading.Event()
            after: list[SignedOrder] = []

            def sign(stop: threading.Event = stop, after: list[SignedOrder] = after) -> None:
                while True:
                    written = stop.is_set()
                    try:
                        signed = session.sign(Message(text="x"))
                    except PolicyDenied:
                        return
                    if written:
                        after.append(signed)

            thread = threading.Thread(target=sign)
            thread.start()
            time.sleep(0.002)
            now = time.time_ns()
            part = _layout.command(Command.HALT, firm, "stop", installed.terms(now, now - 10**9))
            _core.spool_submit(made.directory, ring.sign(FrameKind.COMMAND, part))
            stop.set()
            thread.join()
            assert after == []
            signer.resume("next round")
    assert verify_log(made.directory).ok
