"""Runs schedules of a hostile host (hostile_host.py), and says what they showed.

PYTHONPATH=python:tests/enclave python tests/enclave/hostile_run.py --count 10000 --jobs 2
... --first SEED --count 1 --say        one schedule again, step by step
... --sanitize                          the daemon with ASan and UBSan
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fake_boots import Boots
from hosted_engine import Clock, Hosted
from hostile_begin import fresh, template
from hostile_host import Schedule
from hostile_judge import judge

FIRST_SEED = 20_261_127
LEAST = 20
"""Of them whatever the time."""
_MEMORY = Path("/dev/shm")


@dataclass
class Shown:
    """What schedules showed."""

    schedules: int = 0
    seconds: float = 0.0
    tally: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Desk:
    """The engines that each schedule begins with, and the process that makes boots."""

    def __init__(self, *, sanitize: bool = False) -> None:
        where = _MEMORY if _MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="h", dir=where))
        self.boots = Boots(self.folder, sanitize=sanitize)
        self.clock = Clock(self.boots)
        self.engine: Hosted = template(self.boots, self.clock, "", 1)
        self.begin = self.clock.wall_ns, self.clock.running_ns
        self.foreign: Hosted = template(self.boots, self.clock, "other ", 2)

    def close(self) -> None:
        self.boots.__exit__()
        shutil.rmtree(self.folder)

    def run(self, seed: int, shown: Shown, *, say: bool = False, keep: bool = False) -> Schedule:
        """One schedule; what was wrong with it is in `shown`. `keep`: its folders stay."""
        self.clock.set(*self.begin)
        engine, foreign = fresh(self.engine), fresh(self.foreign)
        schedule = Schedule(self.boots, self.clock, engine, foreign, seed, shown.tally)
        started = time.monotonic()
        try:
            schedule.run()
            problems = schedule.problems + list(judge(schedule))
        except Exception:  # of the judge or the host: as wrong as a finding
            problems = [*schedule.problems, traceback.format_exc()]
        shown.seconds += time.monotonic() - started
        shown.schedules += 1
        shown.problems += [f"seed {seed}: {text}" for text in problems]
        if say:
            print("\n".join(schedule.told))
        for machine in schedule.machines:
            if machine.is_alive:
                machine.boot.end()
            if not keep:
                shutil.rmtree(machine.boot.folder)
        return schedule


def run(
    first: int,
    count: int,
    *,
    sanitize: bool = False,
    say: bool = False,
    stop: bool = False,
    within: float = 1e9,
) -> Shown:
    """So many schedules, or as many as there is time for. `stop`: at the first that is wrong."""
    shown = Shown()
    desk = Desk(sanitize=sanitize)
    try:
        for seed in range(first, first + count):
            is_late = shown.seconds > within and shown.schedules >= LEAST
            if is_late or (stop and shown.problems):
                break
            desk.run(seed, shown, say=say)
            if shown.schedules % 100 == 0:
                print(f"{shown.schedules} of {count}", file=sys.stderr, flush=True)
    finally:
        desk.close()
    return shown


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--within", type=float, default=1e9, help="seconds; then no more")
    parser.add_argument("--say", action="store_true")
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    started = time.monotonic()
    if words.jobs == 1:
        shown = run(
            *(words.first, words.count),
            sanitize=words.sanitize,
            say=words.say,
            stop=words.stop,
            within=words.within,
        )
    else:
        shown = together(words)
    if words.json:
        told = {"schedules": shown.schedules, "tally": shown.tally, "problems": shown.problems}
        print(json.dumps(told | {"seconds": shown.seconds}))
        return 0
    for name, number in sorted(shown.tally.items()):
        print(f"{number:12,}  {name}")
    print("\n".join(shown.problems) or "nothing was wrong")
    print(f"{shown.schedules:,} schedules in {time.monotonic() - started:.0f} s")
    return 1 if shown.problems else 0


def together(words: argparse.Namespace) -> Shown:
    """Several processes, each with a part of the seeds."""
    share = -(-words.count // words.jobs)
    command = [sys.executable, "-W", "ignore", __file__, "--json", "--within", str(words.within)]
    command += ["--sanitize"] if words.sanitize else []
    running = [
        subprocess.Popen(
            [*command, "--first", str(words.first + at), "--count", str(share)],
            stdout=subprocess.PIPE,
        )
        for at in range(0, words.count, share)
    ]
    shown = Shown()
    for one in running:
        told = json.loads(one.communicate()[0])
        shown.schedules += told["schedules"]
        shown.seconds += told["seconds"]
        shown.tally += Counter(told["tally"])
        shown.problems += told["problems"]
    return shown


if __name__ == "__main__":
    sys.exit(main())
