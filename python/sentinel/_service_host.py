"""What a host's process and an auditor ask a daemon for: files, and questions for the witness."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ._client import Connection
from ._service import Request
from .errors import VerificationFailed

_FILE: Final = struct.Struct("<QI4x96s")
_ASK_BYTES: Final = 200
_PIECE_BYTES: Final = 1 << 20
_FINAL: Final = 1


class FilePiece(NamedTuple):
    """Bytes of a file from where they were asked for, and how long the whole file is."""

    total: int
    data: bytes


class HostCalls:
    """Calls of the roles "command" and "keeper"."""

    _connection: Connection

    def files(self) -> list[str]:
        """Names of the engine's files, the log's head first: log/head, log/…, bundles/…

        Who copies in this order, and keeps the head last, never has a head ahead of its records.
        """
        return self._connection.call(Request.FILE, _FILE.pack(0, 0, b"")).decode().split()

    def file_piece(self, name: str, offset: int = 0, size: int = _PIECE_BYTES) -> FilePiece:
        """Up to `size` bytes of a file, at most 1 MiB. Raises StorageError, UsageError."""
        answer = self._connection.call(Request.FILE, _FILE.pack(offset, size, name.encode()))
        if len(answer) < 8:
            raise VerificationFailed(f"{name}: the daemon's answer has another size")
        return FilePiece(int.from_bytes(answer[:8], "little"), answer[8:])

    def file(self, name: str) -> bytes:
        """A whole file, piece by piece. A segment that is written to may grow meanwhile."""
        got = b""
        while True:
            piece = self.file_piece(name, len(got))
            got += piece.data
            if len(got) >= piece.total or not piece.data:
                return got

    def witness_question(self, *, final: bool = False) -> bytes:
        """The engine's signed question for its witness, to be posted to it as it is. What the
        witness answers is handed in (`Client.hand_in`). `final`: give the grant back; nothing is
        signed after it.
        """
        flags = struct.pack("<I", _FINAL if final else 0)
        answer = self._connection.call(Request.ASK, flags)
        if len(answer) != _ASK_BYTES + 64:
            raise VerificationFailed("the daemon's question has another size")
        return answer
