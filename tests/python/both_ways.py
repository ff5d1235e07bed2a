"""A log checked twice: with the core stepping over orders, and by Python alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sentinel import audit


def verify_log(directory: Path, **settings: Any) -> audit.LogReport:
    """The report, which must be the same whoever read the orders."""
    quick = audit.verify_log(directory, **settings)
    plain = audit.verify_log(directory, plain=True, **settings)
    assert sorted(map(str, quick.findings)) == sorted(map(str, plain.findings))
    assert replace(quick, findings=plain.findings) == plain
    return quick
