"""A client of sentineld in pieces, for tests that put them together wrongly.

The cryptography is the daemon's own C, as a library; everything else is here, so that a test can
change any byte of it. Not for use: `sentinel.client` is the client.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TOP: Final = Path(__file__).resolve().parents[2]
MESSAGE: Final = struct.Struct("<HHIQqII")
SMALL, MIDDLE, BROAD, LARGE = 1, 2, 3, 4
CLASS_BYTES: Final = {SMALL: 512, MIDDLE: 1024, BROAD: 2048, LARGE: 32768}
QUEUE: Final = 64
MORE: Final = 1
ANSWER: Final = 0x8000


class Role(IntEnum):
    AGENT = 1
    COMMAND = 2
    FEEDER = 3
    KEEPER = 4


class Ask(IntEnum):
    SIGN = 1
    WITHDRAW = 2
    BEAT = 3
    TAKE = 4
    STATUS = 5
    BUNDLE = 6
    RECORDS = 7
    HEAD = 8
    ATTEST = 9
    ASK = 10
    STATE = 11
    KEYS = 12
    FILE = 13
    PUT = 14


class Closed(Exception):
    """The daemon ended the session."""


def build(target: str) -> Path:
    """A target of the daemon's Makefile, made if need be.

    SENTINELD_SANITIZE=1 in the environment: the daemon with ASan and UBSan, without its filter.
    """
    sanitize = bool(os.environ.get("SENTINELD_SANITIZE")) and target == "sentineld"
    command = ["make", "-s", "-C", "enclave/daemon", *(["SANITIZE=1"] if sanitize else []), target]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return TOP / "build" / "daemon" / ("sanitize" if sanitize else "release") / target


@cache
def library() -> ctypes.CDLL:
    lib = ctypes.CDLL(str(build("raw_client.so")))
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    lib.raw_handshake.argtypes, lib.raw_handshake.restype = [ctypes.c_int, text, text], pointer
    lib.raw_tls_write.argtypes = [pointer, text, ctypes.c_int]
    lib.raw_tls_read.argtypes = [pointer, text, ctypes.c_int]
    lib.raw_tls_free.argtypes = [pointer]
    lib.raw_begin.argtypes = [pointer, text, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32]
    lib.raw_begin.argtypes += [ctypes.c_uint16]
    lib.raw_begin.restype = pointer
    lib.raw_end.argtypes = [pointer]
    lib.raw_counter.argtypes = [pointer]
    lib.raw_counter.restype = ctypes.POINTER(ctypes.c_uint64)
    lib.raw_seal.argtypes = [pointer, pointer, ctypes.c_uint16, text, text]
    lib.raw_seal.restype = size
    lib.raw_seal_message.argtypes = [pointer, pointer, text, text, size]
    lib.raw_seal_message.restype = size
    lib.raw_open.argtypes = [pointer, pointer, size]
    lib.raw_spki_hash.argtypes = [text, text]
    return lib


def seed_of(name: str) -> bytes:
    """The seed of a test key, which everybody knows."""
    return hashlib.sha256(b"a test key of nobody: " + name.encode()).digest()


def public_of(name: str) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed_of(name)).public_key().public_bytes_raw()


def pin_of(public_key: bytes) -> str:
    out = ctypes.create_string_buffer(32)
    library().raw_spki_hash(out, public_key)
    return out.raw.hex()


@dataclass(kw_only=True)
class Hello:
    """What a client says first; any field may be wrong."""

    role: int = Role.AGENT
    agent: int = 0
    key: int = 0
    version: int = 1
    magic: bytes = b"SENTHELO"
    reserved0: bytes = bytes(4)
    engine: bytes = bytes(32)
    reserved1: bytes = bytes(40)

    def pack(self) -> bytes:
        head = struct.pack("<8sHHII", self.magic, self.version, self.role, self.agent, self.key)
        return head + self.reserved0 + self.engine + self.reserved1


@dataclass(frozen=True)
class Welcome:
    version: int
    role: int
    status: int
    channel: int
    epoch: int
    engine: bytes
    until_ns: int
    agent: int
    queue: int
    transport: int

    @classmethod
    def parse(cls, raw: bytes) -> Welcome:
        magic, *fields = struct.unpack("<8sHHIQQ32sqIII44s", raw)
        assert magic == b"SENTWELC"
        assert fields.pop() == bytes(44)
        return cls(*fields)


@dataclass(frozen=True)
class Answer:
    kind: int
    id: int
    status: int
    payload: bytes


def read_exactly(sock: socket.socket, size: int) -> bytes:
    out = b""
    while len(out) < size:
        try:
            part = sock.recv(size - len(out))
        except ConnectionError:
            part = b""
        if not part:
            raise Closed
        out += part
    return out


def dial(path: Path, timeout: float = 10.0) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    until = time.monotonic() + timeout
    while True:
        try:
            sock.connect(str(path))
            break
        except BlockingIOError:  # too many wait to be accepted
            if time.monotonic() > until:
                sock.close()
                raise
            time.sleep(0.002)
        except OSError:
            sock.close()
            raise
    sock.setblocking(True)
    # A blocking descriptor, as OpenSSL wants one, that gives up all the same.
    seconds = struct.pack("@ll", int(timeout), 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
    return sock


def greet(
    sock: socket.socket, hello: bytes, seed: bytes | None
) -> tuple[Welcome, int | None, bytes]:
    """HELLO and WELCOME; the TLS session (None: in clear) and the daemon's key."""
    if seed is None:
        sock.sendall(hello)
        return Welcome.parse(read_exactly(sock, 128)), None, b""
    lib = library()
    peer, out = ctypes.create_string_buffer(32), ctypes.create_string_buffer(128)
    tls = lib.raw_handshake(sock.fileno(), seed, peer)
    if not tls:
        raise Closed
    if lib.raw_tls_write(tls, hello, len(hello)) != len(hello):
        raise Closed
    got = 0
    while got < 128:
        at = ctypes.cast(ctypes.byref(out, got), ctypes.c_char_p)
        part = lib.raw_tls_read(tls, at, 128 - got)
        if part <= 0:
            raise Closed
        got += part
    return Welcome.parse(out.raw), tls, peer.raw


@dataclass
class Session:
    """An open channel."""

    sock: socket.socket
    welcome: Welcome
    daemon_key: bytes
    raw: Any
    next_id: int = 1
    agent: int = 0
    _buffer: Any = field(default_factory=lambda: ctypes.create_string_buffer(32800))

    @classmethod
    def open(cls, path: Path, hello: Hello, seed: bytes | None) -> Session:
        """Raises Closed; AssertionError with the status in WELCOME."""
        library()  # made before the daemon waits for a handshake
        sock = dial(path)
        try:
            welcome, tls, key = greet(sock, hello.pack(), seed)
            assert welcome.status == 0, hex(welcome.status)
        except BaseException:
            sock.close()
            raise
        lib = library()
        raw = lib.raw_begin(
            tls, welcome.engine, welcome.channel, welcome.epoch, hello.agent, hello.role
        )
        if tls:
            lib.raw_tls_free(tls)
        assert raw
        return cls(sock, welcome, key, raw, agent=hello.agent)

    def close(self) -> None:
        self.sock.close()
        library().raw_end(self.raw)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def frame(
        self,
        kind: int,
        payload: bytes = b"",
        *,
        id_: int | None = None,
        class_: int | None = None,
        flags: int = 0,
        size: int | None = None,
        total: int | None = None,
        deadline_ns: int = 0,
        status: int = 0,
    ) -> bytes:
        """One sealed frame, of which any field may be wrong."""
        lib = library()
        if id_ is None:
            id_ = self.next_id
            self.next_id += 1
        size = len(payload) if size is None else size
        if class_ is None:
            class_ = next(c for c, room in CLASS_BYTES.items() if size <= room - 32)
        total = len(payload) if total is None else total
        head = MESSAGE.pack(kind, flags, size, id_, deadline_ns, status, total)
        made = lib.raw_seal(self.raw, self._buffer, class_, head, payload)
        assert made
        return ctypes.string_at(self._buffer, made)

    def message(self, kind: int, payload: bytes, *, deadline_ns: int = 0) -> bytes:
        """All frames of a message."""
        head = MESSAGE.pack(kind, 0, 0, self.next_id, deadline_ns, 0, 0)
        self.next_id += 1
        out = ctypes.create_string_buffer((len(payload) // 32736 + 1) * 32800)
        made = library().raw_seal_message(self.raw, out, head, payload, len(payload))
        assert made
        return out.raw[:made]

    def send(self, *frames: bytes) -> None:
        try:
            self.sock.sendall(b"".join(frames))
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive(self) -> Answer:
        """The next answer, whole. Raises Closed."""
        out = b""
        while True:
            seal = read_exactly(self.sock, 16)
            version, class_ = struct.unpack_from("<HH", seal)
            assert version == 1
            body = read_exactly(self.sock, CLASS_BYTES[class_] + 16)
            ctypes.memmove(self._buffer, seal + body, 16 + len(body))
            status = library().raw_open(self.raw, self._buffer, 16 + len(body))
            assert status == 0, hex(status)
            inside = ctypes.string_at(self._buffer, 16 + len(body))[16:]
            kind, flags, size, id_, _, status, total = MESSAGE.unpack_from(inside)
            out += inside[32 : 32 + size]
            if not flags & MORE:
                assert len(out) == total
                return Answer(kind & ~ANSWER, id_, status, out)

    def ask(self, kind: int, payload: bytes = b"", **words: Any) -> Answer:
        self.send(self.message(kind, payload, **words))
        answer = self.receive()
        assert answer.kind == kind
        assert answer.id == self.next_id - 1
        return answer

    def ends(self, within: float = 5.0) -> bool:
        """Whether the daemon ends the session; what it still says is thrown away."""
        until = time.monotonic() + within
        self.sock.settimeout(within)
        try:
            while time.monotonic() < until:
                if not self.sock.recv(65536):
                    return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return False
