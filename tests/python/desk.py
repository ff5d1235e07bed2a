"""Commands that must fail: what they exit with, what they say, and that nothing changed.

"Nothing changed" is judged by the engine's files and records: all but those that an engine keeps
of its own starts, snapshots and refusals.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from engines import Made

from sentinel._cli import main
from sentinel._cli._shared import EXIT_STATUSES
from sentinel.audit import RecordType, read_log

Files = dict[str, str]


def files(directory: Path) -> Files:
    """Every file's digest."""
    return {
        str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def kept(directory: Path) -> tuple[Files, list[str]]:
    """What must not change: keys, bundles and texts; and what was decided and taken."""
    stable = ("keys/", "bundles/", "genesis", "expectation.json")
    own = (RecordType.START, RecordType.SNAPSHOT, RecordType.REFUSED)
    records = [r.hash.hex() for r in read_log(directory) if r.type not in own]
    found = {name: digest for name, digest in files(directory).items() if name.startswith(stable)}
    return found, [str(len(records)), *(r.type.name for r in read_log(directory)
                                        if r.type not in own)]  # fmt: skip


class Desk:
    """Runs commands that must fail, and compares before with after."""

    def __init__(self, made: Made, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = made.directory
        self.capsys = capsys

    def run(self, *words: str | Path) -> tuple[int, str]:
        self.capsys.readouterr()
        status = main([*map(str, words), "--dir", str(self.directory)])
        captured = self.capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return status, captured.err

    def fails(self, status: int, *words: str | Path, says: tuple[str, ...]) -> str:
        before = kept(self.directory)
        got, err = self.run(*words)
        assert got == status, err
        assert status in EXIT_STATUSES
        for text in (*says, "next step:"):
            assert text in err, err
        assert kept(self.directory) == before
        return err
