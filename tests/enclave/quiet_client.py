"""A client without a socket: bytes go in, bytes come out. Whoever stands between carries them.

It believes only what is sealed by the daemon that it pinned, and ends at the first byte that is
not. The cryptography is the daemon's own C (`raw_client.c`), as in raw_client.py.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
from typing import Any, Final

from raw_client import ANSWER, CLASS_BYTES, MESSAGE, MORE, Answer, Hello, Welcome, library

_SPKI: Final = bytes.fromhex("302a300506032b6570032100")


def quiet_library() -> ctypes.CDLL:
    lib = library()
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    lib.raw_quiet_new.argtypes, lib.raw_quiet_new.restype = [text], pointer
    lib.raw_quiet_put.argtypes, lib.raw_quiet_put.restype = [pointer, text, number], None
    lib.raw_quiet_take.argtypes = [pointer, text, number]
    lib.raw_quiet_shake.argtypes = [pointer, text]
    lib.raw_quiet_read.argtypes = [pointer, text, number]
    return lib


class QuietClient:
    """One session. `state`: "shakes", "greets", "open", "over"; `why` it is over."""

    def __init__(self, seed: bytes, hello: Hello, pin: bytes) -> None:
        self._lib = quiet_library()
        self._hello, self._pin = hello, pin
        self._tls: Any = self._lib.raw_quiet_new(seed)
        self._raw: Any = None
        self._in = bytearray()
        self._out = bytearray()
        self._room = ctypes.create_string_buffer(32800)
        self._parts = bytearray()
        self.state, self.why = "shakes", ""
        self.welcome: Welcome | None = None
        self.next_id = self.next_answer = 1
        self.answers: list[Answer] = []
        self._step()

    def close(self) -> None:
        if self._tls:
            self._lib.raw_tls_free(self._tls)
        if self._raw:
            self._lib.raw_end(self._raw)
        self._tls = self._raw = None
        self.state = "over"

    def take(self) -> bytes:
        """What is to be carried to the daemon."""
        found = bytes(self._out)
        self._out.clear()
        return found

    def ask(self, kind: int, payload: bytes = b"") -> int:
        """Queues a request; its id."""
        assert self.state == "open"
        head = MESSAGE.pack(kind, 0, 0, self.next_id, 0, 0, 0)
        room = ctypes.create_string_buffer((len(payload) // 32736 + 1) * 32800)
        made = self._lib.raw_seal_message(self._raw, room, head, payload, len(payload))
        assert made
        self._out += room.raw[:made]
        self.next_id += 1
        return self.next_id - 1

    def feed(self, data: bytes) -> None:
        """What came, or what is said to have come, from the daemon."""
        if self.state == "over":
            return
        if self.state == "open":
            self._in += data
            self._frames()
        else:
            self._lib.raw_quiet_put(self._tls, data, len(data))
            self._step()

    def _end(self, why: str) -> None:
        self.close()
        self.why = why

    # ---- The handshake ------------------------------------------------------------------------

    def _flush(self) -> None:
        while (got := self._lib.raw_quiet_take(self._tls, self._room, 32800)) > 0:
            self._out += self._room.raw[:got]

    def _step(self) -> None:
        if self.state == "shakes":
            peer = ctypes.create_string_buffer(32)
            done = self._lib.raw_quiet_shake(self._tls, peer)
            self._flush()
            if done < 0:
                self._end("the handshake failed")
            elif done:
                if hashlib.sha256(_SPKI + peer.raw).digest() != self._pin:
                    self._end("another daemon")
                    return
                hello = self._hello.pack()
                self._lib.raw_tls_write(self._tls, hello, len(hello))
                self._flush()
                self.state = "greets"
        if self.state == "greets":
            got = self._lib.raw_quiet_read(self._tls, self._room, 128)
            if got == 128:
                self._begin(Welcome.parse(self._room.raw[:128]))
            elif got:
                self._end("no welcome")

    def _begin(self, welcome: Welcome) -> None:
        self.welcome = welcome
        if welcome.status:
            self._end(f"refused: {welcome.status:#x}")
            return
        hello = self._hello
        self._raw = self._lib.raw_begin(
            self._tls, welcome.engine, welcome.channel, welcome.epoch, hello.agent, hello.role
        )
        self._lib.raw_tls_free(self._tls)
        self._tls = None
        assert self._raw
        self.state = "open"

    # ---- Frames -------------------------------------------------------------------------------

    def _frames(self) -> None:
        while self.state == "open" and len(self._in) >= 16:
            class_ = struct.unpack_from("<H", self._in, 2)[0]
            if class_ not in CLASS_BYTES:
                self._end("no such class")
                return
            size = 32 + CLASS_BYTES[class_]
            if len(self._in) < size:
                return
            ctypes.memmove(self._room, bytes(self._in[:size]), size)
            del self._in[:size]
            if self._lib.raw_open(self._raw, self._room, size) != 0:
                self._end("a frame that the daemon did not send here")
                return
            self._message(self._room.raw[16:size])

    def _message(self, inside: bytes) -> None:
        kind, flags, size, id_, _, status, total = MESSAGE.unpack_from(inside)
        self._parts += inside[32 : 32 + size]
        if flags & MORE:
            return
        assert (id_, len(self._parts), kind & ANSWER) == (self.next_answer, total, ANSWER)
        self.next_answer += 1
        self.answers.append(Answer(kind & ~ANSWER, id_, status, bytes(self._parts)))
        self._parts.clear()
