"""Writes docs/cli.md's help texts and exit statuses from the command itself.

The page has, between its marks,

    <!-- statuses -->  <!-- end -->     the table of exit statuses
    <!-- help -->      <!-- end -->     the help of every command

``--check`` changes nothing and fails when the page is stale.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"


def help_of(path: list[str]) -> str:
    """What a command prints with --help, 100 columns wide."""
    from sentinel._cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main([*path, "--help"])
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def commands(group: Any, path: list[str]) -> Iterator[list[str]]:
    """Every command, families before their members."""
    yield path
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, [*path, name])
        else:
            yield [*path, name]


def statuses() -> str:
    """The table of exit statuses."""
    from sentinel._cli._shared import EXIT_STATUSES

    rows = ["| Status | Meaning |", "|---:|---|"]
    return "\n".join(rows + [f"| {number} | {text} |" for number, text in EXIT_STATUSES.items()])


def helps() -> str:
    """One heading and one block for each command."""
    from typer.main import get_command

    from sentinel._cli import app

    parts = []
    for path in commands(get_command(app), []):
        title = " ".join(["zcp", *path])
        parts.append(f"### {title}\n\n```text\n{help_of(path)}\n```")
    return "\n\n".join(parts)


def fill(page: str, mark: str, text: str) -> str:
    """The page with a block's text replaced."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
    filled, count = pattern.subn(lambda match: f"{match[1]}{text}\n{match[2]}", page)
    if count != 1:
        raise SystemExit(f"docs/cli.md: one block {mark!r} is needed, {count} are there")
    return filled


def main() -> int:
    """Writes the page, or says that it is stale."""
    os.environ["COLUMNS"] = "100"
    os.environ["TERMINAL_WIDTH"] = "100"
    page = PAGE.read_text("utf-8")
    made = fill(fill(page, "statuses", statuses()), "help", helps())
    if made == page:
        return 0
    if "--check" in sys.argv[1:]:
        print("docs/cli.md is stale; write it again: python scripts/cli_docs.py")
        return 1
    PAGE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
