"""A daemon on a host is replaced by another program while agents are at work.

Goal: the old one answers what it has and seals its state in a snapshot, the new one begins a new
epoch from it, agents come back by themselves, and each signature that anybody got is one record:
none is lost, none is given twice. Method: agents in threads that never stop asking; another file
of the program; afterwards the log against what the agents hold, and every record replayed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
from daemon_desk import AGENTS, Desk, make_desk, node_of
from raw_client import build
from test_client import connect

from sentinel import Message, PolicyDenied
from sentinel._record import RecordType


class Worker(threading.Thread):
    """An agent that signs until it is told to stop."""

    def __init__(self, desk: Desk, name: str) -> None:
        super().__init__()
        self.client = connect(desk, name, deadline=30.0)
        self.name_of = name
        self.stopping = threading.Event()
        self.signed: dict[int, bytes] = {}
        self.failed: list[BaseException] = []

    def run(self) -> None:
        session = self.client.session()
        try:
            while not self.stopping.is_set():
                made = session.sign(Message(text=f"{self.name_of} {len(self.signed)}"))
                assert made.action_id not in self.signed
                self.signed[made.action_id] = made.signature
        except BaseException as error:
            self.failed.append(error)

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + 30
        while len(self.signed) < count and not self.failed:
            assert time.monotonic() < until
            time.sleep(0.005)


def test_an_upgrade_loses_nothing_and_gives_nothing_twice(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, agents=(*AGENTS, "third"))
    desk.program_file = Path(shutil.copy(build("sentineld"), tmp_path / "old"))
    desk.start()
    with connect(desk, "operator") as operator:
        operator.halt("not this one", scope="firm/third")
        before = operator.status()
    workers = [Worker(desk, name) for name in AGENTS]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.wait_for(50)
    half = [len(worker.signed) for worker in workers]
    assert desk.stop() == 0
    (tmp_path / "old").unlink()  # nothing of it is needed
    desk.program_file = tmp_path / "new"
    subprocess.run(["strip", "-o", desk.program_file, build("sentineld")], check=True)
    desk.start()
    for worker, count in zip(workers, half, strict=True):
        worker.wait_for(count + 50)
        worker.stopping.set()
        worker.join(30)
        assert not worker.failed
        assert worker.client.facts.epoch == before.epoch + 1
        assert worker.client.facts.connects == 2
        worker.client.close()
    with connect(desk, "third") as third, pytest.raises(PolicyDenied) as denied:
        third.session().sign(Message(text="still"))
    assert denied.value.reason == "kill_switch"
    with connect(desk, "operator") as operator:
        records = list(operator.records())
    for worker in workers:
        mine = [r for r in records if r.agent == node_of(worker.name_of) and r.verdict == 1]
        assert {r.signature_digest for r in mine} == {
            sha256(signature).digest() for signature in worker.signed.values()
        }
        assert len(mine) == len(worker.signed)
    kinds = [r.type for r in records]
    start = max(i for i, kind in enumerate(kinds) if kind is RecordType.START)
    assert kinds[start - 1] is RecordType.SNAPSHOT  # the state that the new one began from
    desk.stop()
    desk.verify()
    replay = [sys.executable, "-m", "sentinel", "audit", "replay", "--dir", str(desk.directory)]
    assert subprocess.run(replay, capture_output=True, check=False).returncode == 0
