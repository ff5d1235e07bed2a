"""The hypervisor of a fake enclave: it stands on the way to lobby and sessions, and signs documents
as they pass. All else goes through as it is.

    with FakeHypervisor(folder, root) as between:
        between.to(machine.folder)          # the boot that is reached now; None: none is
        ... "unix://" + str(between.lobby), "unix://" + str(between.sessions)
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path

from fake_nitro import FakeRoot, sign_emulated

ATTEST = 2
"""`SENTINEL_LOBBY_ATTEST`."""
_HEAD = struct.Struct("<II")


class FakeHypervisor:
    """Two sockets, a thread for each stream."""

    def __init__(self, folder: Path, root: FakeRoot) -> None:
        self.lobby, self.sessions = folder / "lobby", folder / "sessions"
        self._root = root
        self._machine: Path | None = None
        self._listening: list[socket.socket] = []

    def to(self, machine: Path | None) -> None:
        self._machine = machine

    def __enter__(self) -> FakeHypervisor:
        for path, serve in ((self.lobby, self._lobby), (self.sessions, self._sessions)):
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(path))
            listening.listen(8)
            self._listening.append(listening)
            threading.Thread(
                target=self._accept, args=(listening, path.name, serve), daemon=True
            ).start()
        return self

    def __exit__(self, *unused: object) -> None:
        for listening in self._listening:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def _accept(self, listening: socket.socket, name: str, serve: object) -> None:
        while True:
            try:
                stream, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(stream, name, serve), daemon=True).start()

    def _serve(self, stream: socket.socket, name: str, serve: object) -> None:
        with stream, contextlib.suppress(OSError, EOFError, struct.error):
            if self._machine is None:
                return
            with socket.socket(socket.AF_UNIX) as there:
                there.connect(str(self._machine / name))
                serve(stream, there)  # type: ignore[operator]

    def _lobby(self, stream: socket.socket, there: socket.socket) -> None:
        while True:
            kind, size = _HEAD.unpack(_exactly(stream, 8))
            there.sendall(_HEAD.pack(kind, size) + _exactly(stream, size))
            self._answer(stream, there, is_document=kind == ATTEST)

    def _answer(self, stream: socket.socket, there: socket.socket, *, is_document: bool) -> None:
        status, size = _HEAD.unpack(_exactly(there, 8))
        payload = _exactly(there, size)
        if is_document and status == 0:
            payload = sign_emulated(payload, self._root)
        stream.sendall(_HEAD.pack(status, len(payload)) + payload)

    def _sessions(self, stream: socket.socket, there: socket.socket) -> None:
        first = stream.recv(65536)
        there.sendall(first)
        if first.startswith(b"DOCUMENT"):
            self._answer(stream, there, is_document=True)
            return
        back = threading.Thread(target=_pour, args=(there, stream), daemon=True)
        back.start()
        _pour(stream, there)
        back.join(10)


def _exactly(stream: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = stream.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
