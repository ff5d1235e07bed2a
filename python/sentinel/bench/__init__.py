"""What a guarded signature costs, beside what a user would pick instead, in one run.

    from sentinel import bench

    report = bench.run(rounds=20_000)          # a throw-away engine in a temporary directory
    report.row("gate").p50                     # nanoseconds

`zcp bench` is this as a command; ``bench/README.md`` of the source tree has the method.
"""

from .gate import ROUNDS_MAX, STEPS_TOLERANCE, Report, Row, percentile, run

__all__ = ["ROUNDS_MAX", "STEPS_TOLERANCE", "Report", "Row", "percentile", "run"]
