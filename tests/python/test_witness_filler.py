"""A host that hides signed orders, and fills their place in the log with records of its own.

Goal: what a grant was good for is charged to the next start, whatever stands behind the confirmed
head: no record there has a signature, so its chain can be made anew by whoever keeps the log.
Method: a copy from before the orders, a REFUSED record copied until the grant's end, hashes and
head made to fit; the writer that signed is gone without a word.
"""

from __future__ import annotations

import os
import shutil
import struct
import time
from hashlib import sha256
from pathlib import Path

import pytest
from engines import LIMIT, MARKS, Made
from forger import SEGMENT, frames, rebuild
from witness_desk import check, kept, open_with, says, witness_at

from sentinel._record import RecordType, head_check
from sentinel.audit import read_log
from sentinel.errors import PolicyInvalid

ORDERS = 9


def sign_and_die(directory: Path, url: str, copy: Path) -> None:
    """The copy has no order with a value; what is signed afterwards is in no copy."""
    signer = open_with(directory, url)
    signer.feed_marks(MARKS)
    assert says(signer) == "allowed"
    with pytest.raises(PolicyInvalid):
        signer._engine.take(bytes(96), time.time_ns())
    shutil.copytree(directory, copy)
    maker = signer.session("maker")
    for _ in range(ORDERS):
        maker.sign({**LIMIT, "quantity": "0.006"})


def fill(directory: Path, raw: bytes, until: int) -> None:
    """Puts this record behind the last one, again and again."""
    data = bytearray((directory / SEGMENT).read_bytes())
    spans = frames(data)
    at, length = spans[-1]
    prev = sha256(b"\0" + data[at + 8 : at + 8 + 320]).digest()
    at += length
    for number in range(len(spans), until):
        again = raw[:8] + struct.pack("<Q", number) + raw[16:]
        new = rebuild(again, prev, lambda out: None)
        prev = sha256(b"\0" + new[:320]).digest()
        piece = struct.pack("<Q", len(new)) + new + prev[:8]
        data[at : at + len(piece)] = piece
        at += len(piece)
    (directory / SEGMENT).write_bytes(data)
    page = bytearray((directory / "log/head").read_bytes())
    for slot in (0, 2048):
        page[slot : slot + 16] = struct.pack("<QQ", until, until)
        page[slot + 32 : slot + 48] = prev[:16]
        page[slot + 48 : slot + 64] = head_check(bytes(page[slot : slot + 48]))
    (directory / "log/head").write_bytes(page)
    for path in (directory / "snapshots").iterdir():
        path.unlink()


@pytest.mark.parametrize("fills", [False, True])
def test_what_fills_a_grant_hides_nothing(
    engine: Made, place: Path, tmp_path: Path, fills: bool
) -> None:
    copy = tmp_path / "copy"
    with witness_at(place, records=40, spend=100_000) as url:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                sign_and_die(engine.directory, url, copy)
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        end, confirmed = kept(place).record_end, kept(place).count
        if fills:
            refused = [r for r in read_log(copy) if r.type is RecordType.REFUSED]
            fill(copy, refused[-1].raw, end)
        before = sum(1 for _ in read_log(copy))
        with open_with(copy, url) as signer:
            assert says(signer) == "allowed"
    check(copy)
    first = next(r for r in read_log(copy, before) if r.type is RecordType.WITNESS)
    _, orders, spend = struct.unpack_from("<B7xQQ", first.subject)
    assert orders == end - confirmed >= ORDERS
    assert spend == 100_000 * 10**6
