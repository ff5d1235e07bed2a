"""Asks a booted enclave's virtual NSM, through the probe (fake_probe.c) in the daemon's place."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Any, Self

import cbor2
from nitro_qemu import Enclave

NSM_PORT, ECHO_PORT, DIAL_PORT, FILE_PORT = range(5700, 5704)


class NsmRelay:
    """A stream on which requests of NSM are answered."""

    def __init__(self, enclave: Enclave) -> None:
        self._stream = enclave.connect(NSM_PORT)
        self._stream.settimeout(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def ask(self, request: str | Mapping[str, Any]) -> dict[str, Any]:
        """The content of the answer, or {"Error": ...}."""
        raw = cbor2.dumps(request)
        self._stream.sendall(struct.pack("<I", len(raw)) + raw)
        (size,) = struct.unpack("<I", take(self._stream, 4))
        answer: dict[str, Any] = cbor2.loads(take(self._stream, size))
        name = request if isinstance(request, str) else next(iter(request))
        found: dict[str, Any] = answer.get(name, answer)
        return found

    def pcr(self, index: int) -> str:
        """A register, in hexadecimal."""
        return bytes(self.ask({"DescribePCR": {"index": index}})["data"]).hex()


def take(stream: socket.socket, size: int) -> bytes:
    """So many bytes of a stream."""
    data = bytearray()
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise EOFError(f"the stream ended after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def take_all(stream: socket.socket) -> bytes:
    """All bytes up to the stream's end."""
    pieces = []
    while piece := stream.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def file_of(enclave: Enclave, path: str) -> str:
    """What the enclave reads from one of its files."""
    with enclave.connect(FILE_PORT) as stream:
        stream.settimeout(60)
        stream.sendall(path.encode() + b"\0")
        return take_all(stream).decode()
