"""A queue of the ring is a stream: where its pieces are cut says nothing (PROTOCOL.md, section 7).

Goal: a LARGE frame that begins anywhere in a slot is answered. Method: pieces written by hand into
the memory of a ring of the real daemon.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import time
from pathlib import Path

from daemon_desk import make_desk
from raw_client import Ask

SLOTS, SLOT, PIECE, QUEUE = 64, 33 * 64, 2080, 128 + 64 * 33 * 64
REQUESTS, ANSWERS = 64, 64 + QUEUE


def slot_at(queue: int, position: int) -> int:
    return queue + 128 + position % SLOTS * SLOT


def test_a_frame_may_begin_anywhere_in_a_slot(tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    desk.start()
    with desk.session("operator") as session:
        session.send(b"R")
        said, (descriptor,), _, _ = socket.recv_fds(session.sock, 1, 1)
        assert said == b"R"
        # 43 small frames end 512 bytes behind the beginning of a slot: in 16 slots all of the
        # large frame but 32 bytes are there.
        small = [session.frame(Ask.STATUS) for _ in range(43)]
        stream = b"".join(small) + session.frame(Ask.TAKE, bytes(3000))
        with mmap.mmap(descriptor, 0) as memory:
            os.close(descriptor)
            for position in range(-(-len(stream) // PIECE)):
                piece = stream[position * PIECE :][:PIECE]
                at = slot_at(REQUESTS, position)
                memory[at + 8 : at + 12] = struct.pack("<I", len(piece))
                memory[at + 16 : at + 16 + len(piece)] = piece
                memory[at : at + 8] = struct.pack("<Q", position + 1)
                session.send(b"W")
            wanted = struct.pack("<Q", len(small) + 1)
            at = slot_at(ANSWERS, len(small))
            until = time.monotonic() + 10
            while memory[at : at + 8] != wanted:
                assert time.monotonic() < until, "the large frame was not answered"
                time.sleep(0.01)
    desk.stop(signal.SIGKILL)
