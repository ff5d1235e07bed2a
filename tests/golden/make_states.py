"""Keeps an engine of this version in tests/golden/states/, to be opened by every later one.

python tests/golden/make_states.py    writes states/<version of the state>.tar.gz and .json

The engine's keys are test keys. It was stopped in several places and killed behind its last
snapshot, so that opening it takes the snapshot and replays records. A version that was released
is never written again: a new layout gets a new number, SENTINEL_STATE_VERSION, and a new file.
Before the first release, when a layout changed under its number, run this again.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import re
import sys
import tarfile
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
STATES = Path(__file__).resolve().parent / "states"
sys.path[:0] = [str(TOP / "python"), str(TOP / "tests" / "python")]

from engines import LIMIT, MARKS, Made, facts, make_engine  # noqa: E402

from sentinel import Message  # noqa: E402

NOW_NS = 1_800_000_000 * 10**9


def state_version() -> int:
    """Of the core in this tree."""
    header = (TOP / "core/include/sentinel/state.h").read_text()
    found = re.search(r"#define SENTINEL_STATE_VERSION (\d+)u", header)
    assert found is not None
    return int(found[1])


def use(made: Made) -> None:
    """Two epochs, a stop of each kind, and an end without closing."""
    now = NOW_NS
    with made.open(now_ns=now) as signer:
        signer.feed_marks(MARKS, now_ns=now)
        for i in range(5):
            signer.session("maker").sign(LIMIT, now_ns=now + i)
        maker = signer.session("maker").agent
        follows = Message(text="as it said", parent_agent=maker, parent_action_id=3)
        signer.session("notes").sign(follows, now_ns=now + 9)
        signer.drain("kept: an agent", scope="taker", now_ns=now + 10)
        signer.halt("kept: a venue", venue="okx", now_ns=now + 11)
        signer.halt("kept: an instrument", instrument="ETHBTC", now_ns=now + 12)
        signer.close(now + 20)
    signer = made.open(now_ns=now + 30)
    for i in range(5):
        signer.session("maker").sign(LIMIT, now_ns=now + 40 + i)
    signer.session("notes").sign(Message(text="behind the last snapshot"), now_ns=now + 50)
    signer.halt("kept: the firm", now_ns=now + 60)
    os._exit(0)


def pack(directory: Path) -> bytes:
    """The directory, with nothing of this machine in it."""
    out = io.BytesIO()

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = NOW_NS // 10**9
        return member

    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.add(directory, arcname="engine", filter=plain)
    return out.getvalue()


def main() -> None:
    """Makes, uses, packs."""
    version = state_version()
    with tempfile.TemporaryDirectory() as place:
        made = make_engine(Path(place) / "engine", now_ns=NOW_NS)
        user = multiprocessing.get_context("fork").Process(target=use, args=(made,))
        user.start()
        user.join()
        assert user.exitcode == 0
        STATES.mkdir(exist_ok=True)
        kept = facts(made.directory)
        (STATES / f"{version}.tar.gz").write_bytes(pack(made.directory))
        (STATES / f"{version}.json").write_text(json.dumps(kept, indent=1) + "\n")
    print(f"states/{version}.tar.gz: {kept['records']} records")


if __name__ == "__main__":
    main()
