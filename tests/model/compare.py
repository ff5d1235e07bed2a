"""Compares the core with the reference model over random steps.

    python -m tests.model.compare --steps 100000 --seed 1

Half of the steps call sentinel_policy_evaluate and sentinel_policy_debit, half go through
sentinel_gate_sign with real frames and keys. Verdict, reason, bitmap, value and every result
(rule, kind, result, flags, level, value, bound, time of retry) must be equal; so must the ids,
attempts, books and record numbers that the gate keeps. The first disagreement ends the run and
is printed with the scenario that repeats it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from random import Random

from tests.model.core import Refused
from tests.model.core_gate import Keys, make_keys
from tests.model.differ import Disagreement
from tests.model.gate_run import GateRun
from tests.model.names import Reason
from tests.model.policy_run import PolicyRun

SCENARIO_STEPS = 120
LEVELS = ("policy", "gate")


def run_scenario(
    level: str, seed: int, number: int, steps: int, keys: Keys | None, counts: Counter[str]
) -> None:
    """One policy and what happens under it; raises Disagreement."""
    rng = Random(f"{seed}/{level}/{number}")
    counts["scenarios"] += 1
    run: PolicyRun | GateRun = (
        PolicyRun(rng, counts) if keys is None else GateRun(rng, counts, keys)
    )
    for _ in range(steps):
        run.step()
        if isinstance(run, GateRun) and run.done:
            break
    if isinstance(run, GateRun):
        run.flush()


def compare(level: str, steps: int, seed: int, first: int = 0) -> Counter[str]:
    """Runs scenarios until so many steps are done; raises Disagreement with the place."""
    counts: Counter[str] = Counter()
    keys = make_keys() if level == "gate" else None
    number = first
    while counts["steps"] < steps:
        at = counts["steps"]
        try:
            wanted = min(SCENARIO_STEPS, steps - at)
            run_scenario(level, seed, number, wanted, keys, counts)
        except (Disagreement, Refused) as found:
            place = f"--level {level} --seed {seed} --scenario {number}"
            step = counts["steps"] - at
            raise Disagreement(f"{place} (step {step})\n{found}") from None
        number += 1
    return counts


def summary(level: str, counts: Counter[str], seconds: float) -> str:
    plain = [f"{count:,} {name}" for name, count in counts.items() if "reason" not in name]
    reasons = sorted((int(name[7:]), n) for name, n in counts.items() if name.startswith("reason "))
    named = ", ".join(f"{Reason(reason).name.lower()} {n}" for reason, n in reasons)
    return f"{level}: {', '.join(plain)}; {seconds:.1f} s\n  reasons: {named}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--level", choices=(*LEVELS, "both"), default="both")
    parser.add_argument("--scenario", type=int, default=None, help="repeat only this one")
    options = parser.parse_args(arguments)
    levels = LEVELS if options.level == "both" else (options.level,)
    total = 0
    for level in levels:
        begin = time.monotonic()
        steps = options.steps // len(levels)
        if options.scenario is not None:
            steps = min(steps, SCENARIO_STEPS)
        try:
            counts = compare(level, steps, options.seed, options.scenario or 0)
        except Disagreement as found:
            print(f"DISAGREEMENT {found}")
            return 1
        total += counts["steps"]
        print(summary(level, counts, time.monotonic() - begin), flush=True)
    print(f"{total:,} steps, seed {options.seed}: core and model agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
