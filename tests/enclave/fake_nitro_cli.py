"""A fake nitro-cli: answers as the real one's documents say, from files; starts nothing.

Installed by `install` as a program `nitro-cli` on PATH. Its folder has `calls` (every command),
`rows.json` (what describe-enclaves shows, written by run-enclave), `broken` (if it is there, every
command fails) and `stillborn` (run-enclave answers well and nothing runs).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROGRAM = """#!{python} -I
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from fake_nitro_cli import main
sys.exit(main(Path({folder!r}), sys.argv[1:]))
"""


def install(folder: Path) -> Path:
    """Makes the program; its folder goes first into PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "nitro-cli"
    program.write_text(
        PROGRAM.format(python=sys.executable, folder=str(folder), here=str(Path(__file__).parent))
    )
    program.chmod(0o755)
    (folder / "rows.json").write_text("[]")
    return folder


def main(folder: Path, arguments: list[str]) -> int:
    with (folder / "calls").open("a") as file:
        file.write(" ".join(arguments) + "\n")
    if (folder / "broken").exists():
        print("[ E29 ] Ioctl failure.\nmore of it", file=sys.stderr)
        return 29
    rows = folder / "rows.json"
    if arguments[0] == "run-enclave":
        named = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        if not (folder / "stillborn").exists():
            row = {
                "EnclaveName": named["--enclave-name"],
                "EnclaveID": "i-0000000000000000a-enc0000000000000000",
                "EnclaveCID": int(named["--enclave-cid"]),
                "State": "RUNNING",
                "Flags": "NONE",
            }
            rows.write_text(json.dumps([row]))
    elif arguments[0] == "terminate-enclave":
        rows.write_text("[]")
    else:
        print(rows.read_text())
    return 0
