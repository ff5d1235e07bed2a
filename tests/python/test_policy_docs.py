"""The table of constraints in docs/2-policy.md, against the header and the C tests.

Goal: a kind of constraint without a row, or without its four tests, cannot be added. Method: the
kinds are read from the enumeration in `policy.h`, the rows from the page, the tests from the C
sources (a definition, and a line that runs it).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "2-policy.md"
HEADER = TOP / "core" / "include" / "sentinel" / "policy.h"
REASONS = TOP / "core" / "include" / "sentinel" / "reason.def"
TESTS = sorted((TOP / "tests" / "c").glob("policy*_test.c"))
PARTS = ("pass", "edge", "one_past", "overflow")


def table() -> tuple[list[str], dict[str, list[str]]]:
    """The heading cells, and the cells of each row by constraint."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| Constraint |"))
    heading = [cell.strip() for cell in lines[start].strip("|").split("|")]
    rows: dict[str, list[str]] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[cells[0].strip("`")] = cells
    return heading, rows


def kinds() -> list[str]:
    """The kinds of constraint, in the header's order."""
    found = re.findall(r"^    SENTINEL_RULE_(\w+) = (\d+)", HEADER.read_text(), re.MULTILINE)
    return [name.lower() for name, _ in found if name not in ("COUNT", "NUMBERS")]


HEADING, ROWS = table()
KINDS = kinds()


def test_every_kind_has_a_row_and_every_row_a_kind() -> None:
    assert len(KINDS) >= 15
    assert list(ROWS) == KINDS


def test_every_cell_is_filled() -> None:
    assert [kind for kind, cells in ROWS.items() if len(cells) != len(HEADING) or "" in cells] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_row_names_the_four_tests_of_its_kind(kind: str) -> None:
    named = re.findall(r"`(test_\w+)`", ROWS[kind][-1])
    missing = [
        part for part in PARTS if not any(n.startswith(f"test_{kind}_{part}") for n in named)
    ]
    assert missing == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_test_that_is_named_exists_and_is_run(kind: str) -> None:
    sources = "".join(path.read_text() for path in TESTS)
    runs = set(re.findall(r"^    RUN\((test_\w+)\);", sources, re.MULTILINE))
    for four in re.findall(r"^    RUN_FOUR\((\w+)\);", sources, re.MULTILINE):
        runs |= {f"test_{four}_{part}" for part in PARTS}
    for name in re.findall(r"`(test_\w+)`", ROWS[kind][-1]):
        assert re.search(rf"^static void {name}\(void\) {{", sources, re.MULTILINE), name
        assert name in runs, name


@pytest.mark.parametrize("kind", KINDS)
def test_the_reason_of_each_row_exists(kind: str) -> None:
    codes = set(re.findall(r'^SENTINEL_REASON\(\w+,\s*\d+, "(\w+)"', REASONS.read_text(), re.M))
    assert ROWS[kind][HEADING.index("Reason")].strip("`") in codes
