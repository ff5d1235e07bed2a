"""Writes a ramdisk (cpio, newc) that depends on nothing but what its list says.

    ramdisk.py LIST FOLDER OUT

Goal: the same bytes from every machine. Method: entries in the order of their names, owner root,
time zero, inode numbers counted; no compression. LIST has one entry a line:

    dir /dev 0755
    node /dev/console 0600 5 1          a character device
    file /init 0755 init                the content: FOLDER/init
"""

from __future__ import annotations

import sys
from pathlib import Path

NEWC = "070701"
BLOCK = 512
KINDS = {"dir": 0o040000, "node": 0o020000, "file": 0o100000}
WORDS = {"dir": 3, "node": 5, "file": 4}
MODE_MAX = 0o777


def entry(name: str, inode: int, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> bytes:
    """One member: header, name, content, each padded to four bytes."""
    links = 2 if mode & 0o170000 == KINDS["dir"] else 1
    fields = [inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name) + 1, 0]
    head = (NEWC + "".join(f"{field:08x}" for field in fields) + name + "\0").encode()
    return pad(head, 4) + pad(data, 4)


def pad(data: bytes, unit: int) -> bytes:
    """The data, and zeros up to a multiple of a unit."""
    return data + bytes(-len(data) % unit)


def parse(text: str) -> dict[str, list[str]]:
    """The entries of a list by name. Raises ValueError with the line."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        kind = words[0]
        if kind not in KINDS or len(words) != WORDS[kind]:
            raise ValueError(f"line {number}: not an entry: {line}")
        name = words[1].removeprefix("/")
        if name in found or not name or not words[1].startswith("/"):
            raise ValueError(f"line {number}: a name twice, or not from the root: {words[1]}")
        if int(words[2], 8) > MODE_MAX:
            raise ValueError(f"line {number}: a mode has permissions and nothing else")
        found[name] = words
    return found


def ramdisk(text: str, folder: Path) -> bytes:
    """The archive that a list describes."""
    made = b""
    for inode, (name, words) in enumerate(sorted(parse(text).items()), start=1):
        kind, mode = words[0], KINDS[words[0]] | int(words[2], 8)
        data = (folder / words[3]).read_bytes() if kind == "file" else b""
        device = (int(words[3]), int(words[4])) if kind == "node" else (0, 0)
        made += entry(name, inode, mode, data, device)
    return pad(made + entry("TRAILER!!!", 0, 0, b""), BLOCK)


def main() -> int:
    """The command."""
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    listed, folder, out = map(Path, sys.argv[1:])
    try:
        made = ramdisk(listed.read_text("utf-8"), folder)
    except (OSError, ValueError) as error:
        print(f"{listed}: {error}", file=sys.stderr)
        return 1
    out.write_bytes(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
