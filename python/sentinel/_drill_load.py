"""The load of a drill: a process that is the engine's writer and asks for signatures without end.

Started by `Load`; told what to do on its standard input. What it signs goes nowhere: it counts the
signature, notes when it had it, and drops it. The times are of the clock that only runs, which is
the same in every process of the machine.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ._enums import Action
from .errors import EngineLocked, SentinelError
from .sign import Session, Signer

_READY, _STOP, _SIGNED, _SIGNED_AT, _RECORD, _REFUSED, _FAILED = range(7)
_BYTES: Final = 4096
_REFUSED_PAUSE_S: Final = 0.0005
_MARKS_EVERY_S: Final = 1.0
_OPEN_MAX: Final = 32
_PROGRAM: Final = "import sys; from sentinel._drill_load import main; sys.exit(main())"
START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for: (agent, order) in turn, and the marks that the orders need."""

    orders: tuple[tuple[str, Mapping[str, Any]], ...]
    marks: Mapping[str, str]
    assets: Mapping[str, str]

    @classmethod
    def read(cls, lines: Sequence[str], agent: str | None) -> Plan:
        """From JSON lines: an order, {"agent", "order"}, or {"marks", "assets"}.

        Orders that mean an earlier one are left out: here their target is another.
        """
        orders: list[tuple[str, Mapping[str, Any]]] = []
        marks: Mapping[str, str] = {}
        assets: Mapping[str, str] = {}
        for line in lines:
            row = json.loads(line)
            if "marks" in row:
                if not marks:
                    marks, assets = row["marks"], row.get("assets", {})
                continue
            order, who = row.get("order", row), row.get("agent", agent)
            chosen = agent is None or who == agent or agent.endswith(f"/{who}")
            if "action" in order and "target_action" not in order and who and chosen:
                orders.append((who, order))
        return cls(tuple(orders), marks, assets)


class Load:
    """The process, seen from the drill."""

    def __init__(self, process: subprocess.Popen[bytes], cells: memoryview) -> None:
        """Use `running`."""
        self._process = process
        self._cells = cells

    @property
    def signed(self) -> int:
        """How many signatures it has got."""
        return int(self._cells[_SIGNED])

    @property
    def refused(self) -> int:
        """How many refusals."""
        return int(self._cells[_REFUSED])

    @property
    def failed(self) -> int:
        """How often something else came back than a signature or a refusal."""
        return int(self._cells[_FAILED])

    @property
    def last(self) -> tuple[int, int]:
        """When it had the last signature (monotonic, in ns), and the record of that."""
        return int(self._cells[_SIGNED_AT]), int(self._cells[_RECORD])

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kills it as kill -9 does: it gets to do nothing more."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Lets it close its engine."""
        self._cells[_STOP] = 1
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def running(directory: Path, passphrase: bytes, plan: Plan) -> Iterator[Load]:
    """The load, from the moment when it is the engine's writer. Raises EngineLocked."""
    shared = os.memfd_create("drill")
    try:
        os.ftruncate(shared, _BYTES)
        with mmap.mmap(shared, _BYTES) as page:
            cells = memoryview(page).cast("q")
            task = {
                "directory": str(directory),
                "passphrase": passphrase.hex(),
                "orders": plan.orders,
                "marks": [plan.marks, plan.assets],
            }
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(shared)],
                stdin=subprocess.PIPE,
                pass_fds=(shared,),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            load = Load(process, cells)
            try:
                assert process.stdin is not None
                with suppress(BrokenPipeError), process.stdin as told:  # else: it has ended
                    told.write(json.dumps(task).encode())
                _await_ready(load, cells)
                yield load
            finally:
                load.stop()
                cells.release()
    finally:
        os.close(shared)


def _await_ready(load: Load, cells: memoryview) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not cells[_READY]:
        if not load.alive() or time.monotonic() > deadline:
            raise EngineLocked(
                "the load could not become the engine's writer",
                cause="what it said is above, on the standard error",
                next_step="zcp status says whether another process holds the engine",
            )
        time.sleep(0.005)


class _Worker:
    """What runs in the process."""

    def __init__(self, signer: Signer, task: Mapping[str, Any], cells: memoryview) -> None:
        self._signer = signer
        self._cells = cells
        self._orders = task["orders"]
        self._marks, self._assets = task["marks"]
        self._marks_due = 0.0
        self._sessions: dict[str, Session] = {}
        self._open: deque[tuple[Session, int]] = deque(maxlen=_OPEN_MAX)
        for agent, _ in self._orders:
            if agent not in self._sessions:
                self._sessions[agent] = signer.session(agent)

    def run(self) -> None:
        number = 0
        while not self._cells[_STOP] and os.getppid() != 1:
            self.feed()
            agent, order = self._orders[number % len(self._orders)]
            number += 1
            if not self._ask(self._sessions[agent], order):
                if self._open:
                    session, action = self._open[0]
                    if self._ask(session, {"action": "cancel", "target_action": action}):
                        self._open.popleft()
                time.sleep(_REFUSED_PAUSE_S)

    def feed(self) -> None:
        """Feeds the marks when they are due."""
        if self._marks and time.monotonic() >= self._marks_due:
            self._marks_due = time.monotonic() + _MARKS_EVERY_S
            with suppress(SentinelError):  # a halt refuses no marks; a feeder elsewhere has the key
                self._signer.feed_marks(self._marks, assets=self._assets)

    def _ask(self, session: Session, order: Mapping[str, Any]) -> bool:
        cells = self._cells
        try:
            signed = session.sign(order)
        except SentinelError as error:
            counted = _REFUSED if getattr(error, "record", None) is not None else _FAILED
            cells[counted] += 1
            return False
        cells[_SIGNED_AT] = time.monotonic_ns()
        cells[_RECORD] = signed.handle.record
        cells[_SIGNED] += 1
        if signed.action is Action.PLACE:
            self._open.append((session, signed.action_id))
        return True


def main() -> int:
    """Signs until it is told to stop, or is killed."""
    task = json.load(sys.stdin)
    with mmap.mmap(int(sys.argv[1]), _BYTES) as page:
        cells = memoryview(page).cast("q")
        try:
            secret = bytes.fromhex(task["passphrase"])
            with Signer.open(task["directory"], passphrase=secret) as signer:
                worker = _Worker(signer, task, cells)
                worker.feed()  # The first time opens a key file, which takes its time.
                cells[_READY] = 1
                worker.run()
        except SentinelError as error:
            sys.stderr.write(f"{error.diagnostics()}\n")
            return error.exit_status
        finally:
            cells.release()
    return 0
