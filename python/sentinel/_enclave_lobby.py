"""The host's side of an enclave's lobby: what is said before its engine runs.

    lobby = Lobby(stream)                    # a socket to port 5701 of the enclave
    genesis = lobby.genesis(Environment.TEST, 1, [root_key])
    document = lobby.attest(Purpose.GENESIS, nonce)
    wrapped = lobby.certify(authority, certificate, kms_key)
    sealed = lobby.create(policy)            # the engine runs; sessions are at port 5700

The host carries bytes and keeps them; what counts is verified on both sides. Layouts:
`enclave/daemon/lobby.h`; `enclave/PROTOCOL.md`, section 8.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Final

from ._enclave_papers import SEALED
from ._enums import Environment
from ._status import Status
from .attestation import Purpose
from .errors import AuditError, EnclaveError, SentinelError, StorageError, raise_status

PORT: Final = 5701
KEYS: Final = "sealed/keys"
"""A running engine's sealed keys, as RESUME and CREATE gave them."""
_SNAPSHOT: Final = re.compile(r"sealed/\d{20}\.snapshot")
_SEGMENT: Final = re.compile(r"log/(\d{20})\.log")
_PIECE_BYTES: Final = 8 << 20
_HEAD: Final = struct.Struct("<II")
_GENESIS: Final = struct.Struct("<BBB5x256s")
_ATTEST: Final = struct.Struct("<I4x32s")
_FILE: Final = struct.Struct("<QI4x96s")
_TAG_BYTES: Final = 16


class Ask(IntEnum):
    """What a lobby is asked."""

    GENESIS = 1
    ATTEST = 2
    CERTIFY = 3
    UNWRAP = 4
    KEYS = 5
    FILE = 6
    MAKE = 7
    IMPORT = 8
    CREATE = 9
    RESUME = 10
    SNAPSHOT = 11


def parts(*pieces: bytes) -> bytes:
    """Several byte strings in one payload."""
    return b"".join(_HEAD.pack(len(piece), 0) + piece + bytes(-len(piece) % 8) for piece in pieces)


class Lobby:
    """One stream to an enclave that has no engine yet. Every method raises the exception of the
    status that the enclave answers with, StorageError where the stream ends.
    """

    def __init__(self, stream: socket.socket) -> None:
        """Takes a connected socket; `close` ends it."""
        self._stream = stream

    def close(self) -> None:
        """Ends the stream. What was said stays said."""
        self._stream.close()

    def call(self, ask: Ask, payload: bytes = b"") -> bytes:
        """One request, and its answer's payload."""
        try:
            self._stream.sendall(_HEAD.pack(ask, len(payload)) + payload)
            status, size = _HEAD.unpack(self._take(_HEAD.size))
            found = self._take(size)
        except OSError as error:
            raise StorageError(
                f"the enclave's lobby is gone ({error})",
                next_step="see the enclave's console; start it anew",
            ) from None
        if status != Status.OK:
            raise_status(status, f"enclave, {ask.name.lower()}")
        return found

    def _take(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = self._stream.recv(size - len(found))
            if not piece:
                raise ConnectionError("the stream ended")
            found += piece
        return bytes(found)

    def genesis(self, environment: Environment, threshold: int, roots: Sequence[bytes]) -> bytes:
        """A new engine's genesis record, with an identity key that was made inside."""
        return self.call(
            Ask.GENESIS, _GENESIS.pack(environment, threshold, len(roots), b"".join(roots))
        )

    def attest(self, purpose: Purpose, nonce: bytes) -> bytes:
        """A document, as the security module gave it: verify it before you believe it."""
        return self.call(Ask.ATTEST, _ATTEST.pack(purpose, nonce))

    def certify(self, authority: bytes, certificate: bytes, kms_spki: bytes) -> bytes:
        """The root secret, wrapped to the KMS key that operators certified. After `unwrap` nothing:
        `resume` gives it, once the log says that these operators still may.
        """
        return self.call(Ask.CERTIFY, parts(authority, certificate, kms_spki))

    def unwrap(
        self, genesis: bytes, authority: bytes, certificate: bytes, wrapped: bytes, answer: bytes
    ) -> None:
        """Brings the root back with KMS's answer to this boot's document."""
        self.call(Ask.UNWRAP, parts(genesis, authority, certificate, wrapped, answer))

    def keys(self, sealed: bytes) -> None:
        """Gives the engine's keys back, sealed as they were kept."""
        self.call(Ask.KEYS, sealed)

    def file(self, name: str, data: bytes) -> None:
        """Gives a file of the log or a bundle back."""
        self.call(Ask.FILE, parts(name.encode(), data))

    def snapshot(self, sealed: bytes) -> None:
        """Gives a sealed snapshot back, in pieces."""
        for at in range(0, len(sealed), _PIECE_BYTES):
            self.snapshot_piece(sealed[at : at + _PIECE_BYTES], at, len(sealed))

    def snapshot_piece(self, piece: bytes, at: int, total: int) -> None:
        """Gives a piece of one back; the one at 0 begins anew."""
        self.call(Ask.SNAPSHOT, struct.pack("<QQ", at, total) + piece)

    def make(self, key_info: bytes) -> bytes:
        """Makes a key inside; its public part."""
        return self.call(Ask.MAKE, key_info)

    def import_(self, frame: bytes) -> bytes:
        """Takes a key that people sealed and operators signed for; its public part."""
        return self.call(Ask.IMPORT, frame)

    def create(self, policy: bytes) -> bytes:
        """Begins the engine; its keys, sealed, to be kept."""
        return self.call(Ask.CREATE, parts(policy))

    def resume(self) -> tuple[bytes, bytes]:
        """Goes on with the engine whose files were given back; its keys, sealed, to be kept, and
        the root if `certify` wrapped it anew.
        """
        found = self.call(Ask.RESUME)
        size = SEALED.size + SEALED.unpack(found[: SEALED.size])["size"] + _TAG_BYTES
        return found[:size], found[size:]


# ---- What a host keeps --------------------------------------------------------------------------


def wanted_file(name: str = "", offset: int = 0, size: int = 0) -> bytes:
    """A `sentinel_file_wanted`; without a name, for the names of all."""
    return _FILE.pack(offset, size, name.encode())


def give_back(lobby: Lobby, files: Mapping[str, bytes], *, whole: bool = False) -> bool:
    """Gives an engine's files back, by name, to a lobby whose root is there; its keys were given
    before (`Lobby.keys`). The newest snapshot that the enclave takes, and the log from where that
    one needs it; else, or with `whole`, all of the log. Whether a snapshot was taken.
    """
    start = None if whole else _snapshot_back(lobby, files)
    segments = sorted(name for name in files if _SEGMENT.fullmatch(name))
    needed = set(segments)
    for name, after in pairwise(segments):
        if start is not None and int(after[4:-4]) <= start:
            needed.discard(name)
    for name in sorted(files):
        if not name.startswith("sealed/") and (name in needed or name not in segments):
            lobby.file(name, files[name])
    return start is not None


def _snapshot_back(lobby: Lobby, files: Mapping[str, bytes]) -> int | None:
    """From which record on the log is needed; None: no snapshot was taken."""
    for name in sorted(filter(_SNAPSHOT.fullmatch, files), reverse=True):
        with contextlib.suppress(SentinelError):
            sealed = files[name]
            lobby.snapshot(sealed)
            return int(SEALED.unpack(sealed[: SEALED.size])["from_record"])
    return None


def resume_from(lobby: Lobby, files: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """RESUME, with what `give_back` gives; where a snapshot does not fit the log, with all of the
    log. As `Lobby.resume`.
    """
    if not give_back(lobby, files):
        return lobby.resume()
    try:
        return lobby.resume()
    except (EnclaveError, AuditError):
        give_back(lobby, files, whole=True)
        return lobby.resume()
