"""Ramdisks depend on their list and nothing else.

Goal: two machines make the same bytes. Method: two folders, other times, other orders; and what a
list may not say.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

IMAGE = Path(__file__).resolve().parents[2] / "enclave" / "image"


@pytest.fixture(scope="module")
def maker() -> Any:
    spec = importlib.util.spec_from_file_location("ramdisk", IMAGE / "ramdisk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LIST = "dir /dev 0755\nnode /dev/console 0600 5 1\n# a remark\n\nfile /init 0755 init\n"


def members(archive: bytes) -> list[tuple[str, dict[str, int], bytes]]:
    """What an archive holds, read by the format's own description (cpio, newc)."""
    names = ("inode", "mode", "uid", "gid", "links", "time", "size")
    names += ("major", "minor", "rmajor", "rminor", "name", "check")
    found, at = [], 0
    while True:
        assert archive[at : at + 6] == b"070701"
        values = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        fields = dict(zip(names, values, strict=True))
        name = archive[at + 110 : at + 110 + fields["name"] - 1].decode()
        start = at + 110 + fields["name"]
        start += -start % 4
        data = archive[start : start + fields["size"]]
        at = start + fields["size"]
        at += -at % 4
        if name == "TRAILER!!!":
            assert not archive[at:].strip(b"\0")
            return found
        found.append((name, fields, data))


def test_is_the_same_from_another_folder_at_another_time(maker: Any, tmp_path: Path) -> None:
    made = []
    for number, text in enumerate((LIST, "\n".join(reversed(LIST.splitlines())))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "init").write_bytes(b"program")
        (folder / "init").chmod(0o700 if number else 0o644)
        os.utime(folder / "init", (number * 10**8, number * 10**8))
        made.append(maker.ramdisk(text, folder))
    assert made[0] == made[1]


def test_has_what_the_list_says_owned_by_root_at_time_zero(maker: Any, tmp_path: Path) -> None:
    (tmp_path / "init").write_bytes(b"program")
    archive = maker.ramdisk(LIST, tmp_path)
    found = members(archive)
    assert [(name, oct(fields["mode"]), data) for name, fields, data in found] == [
        ("dev", "0o40755", b""),
        ("dev/console", "0o20600", b""),
        ("init", "0o100755", b"program"),
    ]
    assert (found[1][1]["rmajor"], found[1][1]["rminor"]) == (5, 1)
    assert all(not fields[zero] for _, fields, _ in found for zero in ("uid", "gid", "time"))
    assert len(archive) % 512 == 0


@pytest.mark.parametrize(
    "line",
    [
        "link /a /b",
        "file /init 0755",
        "dir dev 0755",
        "dir / 0755",
        "file /init 04755 init",
        "dir /dev 0755",
        "dir /x 0999",
    ],
)
def test_refuses_a_line_that_is_no_entry(maker: Any, tmp_path: Path, line: str) -> None:
    (tmp_path / "init").write_bytes(b"program")
    with pytest.raises(ValueError, match=r"line|invalid literal"):
        maker.ramdisk("dir /dev 0755\n" + line, tmp_path)


def test_the_release_has_no_shell_and_nothing_but_init_and_the_daemon(maker: Any) -> None:
    entries = {}
    for name in ("init", "daemon"):
        entries |= maker.parse((IMAGE / f"{name}.list").read_text("utf-8"))
    assert sorted(name for name, words in entries.items() if words[0] == "file") == [
        "init",
        "sentineld",
    ]
