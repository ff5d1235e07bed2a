"""The same calls embedded, through a daemon and from C: docs/service.md says so, and this holds it.

Goal: a call that is new in one of the three places is put into the table, with the others or with
a reason why not. Method: the table's names against those of the classes and of the C header.
"""

from __future__ import annotations

import re
from pathlib import Path

from sentinel.client import Client, ServiceSession
from sentinel.sign import Session, Signer

TOP = Path(__file__).resolve().parents[2]


def table() -> tuple[list[list[str]], list[str]]:
    """Names by column, and the words of each row that lacks one."""
    text = (TOP / "docs" / "service.md").read_text()
    part = text.partition("| `Signer` | `Client` | C client | Is |\n")[2].partition("\n\n")[0]
    columns: list[list[str]] = [[], [], []]
    lacking = []
    for line in part.splitlines()[1:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 4, line
        for column, cell in zip(columns, cells[:3], strict=True):
            column += re.findall(r"`([\w.]+)`", cell)
        if "–" in cells[:3]:
            lacking.append(cells[3])
    return columns, lacking


def names(whole: type, session: type) -> list[str]:
    def public(one: type) -> list[str]:
        return [name for name in dir(one) if not name.startswith("_")]

    return sorted([*public(whole), *(f"{session.__name__}.{name}" for name in public(session))])


def test_the_table_has_every_call_once() -> None:
    (embedded, through, c), lacking = table()
    assert sorted(embedded) == names(Signer, Session)
    assert sorted(through) == names(Client, ServiceSession)
    header = (TOP / "enclave" / "client" / "sentinel_client.h").read_text()
    declared = re.findall(r"^(?:SENTINEL_MUST_USE )?\w+ sentinel_(\w+)\(", header, re.M)
    assert sorted(c) == sorted(name.removeprefix("client_") for name in declared)
    assert all(lacking)


def test_what_is_in_both_is_called_alike() -> None:
    """A name of a Signer that a Client has, too, stands in the same row."""
    text = (TOP / "docs" / "service.md").read_text()
    shared = {name for name in dir(Signer) if not name.startswith("_")} & set(dir(Client))
    for name in shared:
        rows = [line for line in text.splitlines() if line.startswith("|") and f"`{name}`" in line]
        assert any(line.split("|")[1].count(f"`{name}`") for line in rows), name
        assert any(line.split("|")[2].count(f"`{name}`") for line in rows), name
