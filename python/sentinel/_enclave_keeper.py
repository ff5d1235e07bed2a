"""What the process on an enclave's host does while the engine runs: it copies the engine's files
into the store as they grow, and carries grants between engine and witness before they run out.

It needs a session with the role "keeper", and decides nothing: what it copies is signed, sealed or
chained, what it carries is signed on both sides. What the witness is to confirm is in the store
before the question leaves, so that a host that dies has no records to miss.
"""

from __future__ import annotations

import http.client
import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import _layout
from ._enclave_lobby import wanted_file
from ._enclave_store import HEAD, Store
from ._frame import FrameKind, unsafe_parse_frame
from ._record import head_check
from ._service import Request, WitnessFlag
from ._status import Status
from .errors import SentinelError, StorageError
from .witness import WitnessError, post

if TYPE_CHECKING:
    from ._service import ServiceStatus
    from .client import Client

PIECE_BYTES: Final = 256 << 10
_WHOLE_BYTES: Final = 1 << 20
_PROBE_BYTES: Final = 128
"""A sealed blob's header: its nonce is another for each blob."""
_SEGMENT: Final = re.compile(r"log/\d{20}\.log")
_SEGMENT_HEADER: Final = 64
_WORD: Final = struct.Struct("<Q")
_SLOT: Final = struct.Struct("<QQQQ16s16s")
_SLOTS: Final = (0, 2048)
_ROUNDS: Final = 3
_REST_SECONDS: Final = 1.0
"""After a failure of the witness it is not asked again within so long."""
_GONE: Final = (Status.IO_OPEN, Status.FORMAT_TEXT)
"""A name that was listed and is no file to copy: one that was renamed, or set aside as torn."""


def head_count(page: bytes) -> int:
    """How many records a log's head counts. Raises StorageError where it is none."""
    intact = []
    for at in _SLOTS:
        slot = page[at : at + _SLOT.size]
        if len(slot) == _SLOT.size and head_check(slot) == slot[48:]:
            count, _, _, generation, _, _ = _SLOT.unpack(slot)
            intact.append((generation, count))
    if not intact:
        raise StorageError(
            "the engine gave no head of a log", next_step="do not use it; verify its document"
        )
    return int(max(intact)[1])


def frames_end(data: bytes | bytearray, at: int, known: int) -> int:
    """Where the whole frames of a segment end, from a frame's beginning on; `known`: how many bytes
    of it were read.
    """
    while at + 8 <= known:
        (size,) = _WORD.unpack_from(data, at)
        if size == 0 or size % 8 or at + size + 16 > known:
            break
        at += size + 16
    return at


@dataclass(frozen=True, slots=True)
class Copied:
    """`records`: that the head in the store counts; `files`: that were written."""

    records: int
    files: int


class Copier:
    """Copies a running engine's files, whole at first, then what was added.

    `ask`: `Client.connection.call`.
    """

    def __init__(self, ask: Callable[[int, bytes], bytes], store: Store) -> None:
        """Nothing is asked yet."""
        self._ask = ask
        self._store = store
        self._full: set[str] = set()
        self._open: tuple[str, bytearray, int] = ("", bytearray(), 0)
        self._seen: dict[str, bytes] = {}
        self._written = 0

    def copy(self) -> Copied:
        """One pass. The head is read first, before the names, and kept last, so that a pass which
        is cut short leaves an older copy, and never a head that counts records which are not there:
        also not those of a segment that began meanwhile.

        Raises StorageError, and what the daemon refuses with.
        """
        head = self._whole(HEAD)
        names = self._ask(Request.FILE, wanted_file()).decode().split()
        segments = sorted(name for name in names if _SEGMENT.fullmatch(name))
        self._written = 0
        self._store.make_folders()
        for name in segments:
            self._segment(name, is_last=name == segments[-1])
        for name in names:
            if name != HEAD and not _SEGMENT.fullmatch(name):
                self._other(name)
        self._keep(HEAD, head)
        return Copied(head_count(head), self._written)

    def _keep(self, name: str, data: bytes | bytearray) -> None:
        self._written += self._store.keep_file(name, bytes(data))

    def _piece(self, name: str, at: int, size: int) -> tuple[int, bytes]:
        answer = self._ask(Request.FILE, wanted_file(name, at, size))
        return int.from_bytes(answer[:8], "little"), answer[8:]

    def _whole(self, name: str) -> bytes:
        found = b""
        while True:
            total, piece = self._piece(name, len(found), _WHOLE_BYTES)
            found += piece
            if len(found) >= total or not piece:
                return found

    def _segment(self, name: str, *, is_last: bool) -> None:
        if name in self._full:
            return
        if self._open[0] == name:
            data, end = self._open[1], self._open[2]
            after = self._tail(name, data, end)
        else:
            data, end = bytearray(self._whole(name)), 0
            after = frames_end(data, _SEGMENT_HEADER, len(data))
        if after != end:
            self._keep(name, data)
        if is_last:
            self._open = (name, data, after)
        else:
            self._full.add(name)

    def _tail(self, name: str, data: bytearray, end: int) -> int:
        """What was added behind `end`; where the frames end now."""
        at = end
        while at < len(data):
            _, piece = self._piece(name, at, PIECE_BYTES)
            data[at : at + len(piece)] = piece
            at += len(piece)
            end = frames_end(data, end, at)
            if len(piece) < PIECE_BYTES or (end + 8 <= at and not any(data[end : end + 8])):
                break
        return end

    def _other(self, name: str) -> None:
        """A bundle, which its name is the hash of; or a blob, which may be replaced."""
        if name in self._seen and name.startswith("bundles/"):
            return
        try:
            total, first = self._piece(name, 0, _PROBE_BYTES)
            now = _WORD.pack(total) + first
            if self._seen.get(name) != now:
                self._keep(name, self._whole(name))
                self._seen[name] = now
        except SentinelError as error:
            if error.status not in _GONE:
                raise


# ---- Grants -------------------------------------------------------------------------------------

Say = Callable[[str, str, dict[str, Any]], None]
"""An event: its name, a line for people, data."""


class Keeper:
    """One session's work. `witness`: its URL; None: others carry grants."""

    def __init__(self, client: Client, store: Store, witness: str | None, say: Say) -> None:
        """Nothing is asked yet."""
        self._client = client
        self._witness = witness
        self._say = say
        self._copier = Copier(client.connection.call, store)
        self._epoch = 0
        self._records = -1
        self._size = (0, 0)
        self._bundles = (b"", b"")
        self._rest_until = 0.0
        self._trouble = ""

    def look(self) -> Copied | None:
        """Copies what is new, and carries a grant where one is due; None: nothing was new.

        A witness that is down is told of, and asked again later. Raises StorageError and what the
        daemon refuses with.
        """
        status = self._client.status()
        if self._epoch not in (0, status.epoch):
            raise StorageError(
                f"the engine began epoch {status.epoch} meanwhile", next_step="connect anew"
            )
        self._epoch = status.epoch
        copied = None
        if status.records != self._records:
            copied = self._copier.copy()
            self._records = status.records
        if self._is_due(status) and time.monotonic() >= self._rest_until:
            copied = self._carry() or copied
        return copied

    def _is_due(self, now: ServiceStatus) -> bool:
        """At the start; when a command or a bundle waits for it; when half of a grant is gone."""
        if self._witness is None or WitnessFlag.NEEDED not in now.witness:
            return False
        if WitnessFlag.MISSING in now.witness:
            self._fails(
                "records that the witness confirmed are not here",
                "people accept the gap (zcp resume --gap), or find the records",
            )
            return False
        left = (now.record_end - now.records, now.spend_end - now.spent)
        return (
            now.grant_epoch != now.epoch
            or WitnessFlag.HELD in now.witness
            or self._bundles != (now.policy_hash, now.authority_hash)
            or self._size[0] == 0
            or any(
                whole > 0 and 2 * rest <= whole
                for rest, whole in zip(left, self._size, strict=True)
            )
        )

    def _carry(self) -> Copied | None:
        """The engine's question to the witness, and its answer back; what was copied for it."""
        try:
            for _ in range(_ROUNDS):
                copied, is_granted = self._round()
                if is_granted:
                    self._trouble = ""
                    return copied
            raise WitnessError("it names another head each time")
        except WitnessError as error:
            self._fails(error.message, error.next_step)
        except (OSError, http.client.HTTPException) as error:
            text = str(error) or type(error).__name__
            self._fails(f"{self._witness}: {text}", "see that the witness is up")
        return None

    def _round(self) -> tuple[Copied, bool]:
        assert self._witness is not None
        question = self._client.connection.call(Request.ASK, bytes(4))
        asked = _layout.ASK.unpack(question[: _layout.ASK.size])
        copied = self._copier.copy()
        if copied.records < asked["count"]:
            raise StorageError(
                f"the engine asks for {asked['count']} records and gave {copied.records}",
                next_step="do not use it; verify its document",
            )
        raw = post(self._witness, question)
        try:
            self._client.hand_in(raw)
        except StorageError:
            raise
        except SentinelError as error:
            raise WitnessError(
                f"the engine refuses the grant: {error.message}",
                next_step="see that the authority bundle names this witness, and nobody else asks",
            ) from None
        grant = _layout.GRANT.unpack(unsafe_parse_frame(raw, FrameKind.GRANT).payload)
        now = self._client.status()
        if grant["count"]:
            self._size = (grant["record_end"] - now.records, grant["spend_end"] - now.spent)
            self._bundles = (now.policy_hash, now.authority_hash)
            self._say(
                "granted",
                f"{asked['count']} records confirmed; the grant goes to record"
                f" {grant['record_end']}",
                {"confirmed": grant["count"], "record_end": grant["record_end"]},
            )
            return copied, True
        if grant["known_epoch"] > now.epoch or grant["known_count"] == asked["known_count"]:
            raise WitnessError(
                f"another engine took epoch {grant['known_epoch']}; this one has {now.epoch}",
                next_step="find out who runs it: of two enclaves with one state the later goes on",
            )
        if WitnessFlag.MISSING in now.witness:
            raise WitnessError(
                "it confirmed records that are not here",
                next_step="people accept the gap (zcp resume --gap), or find the records",
            )
        return copied, False

    def _fails(self, text: str, next_step: str) -> None:
        """Tells it once, until something else is wrong or it goes on."""
        self._rest_until = time.monotonic() + _REST_SECONDS
        if text != self._trouble:
            self._trouble = text
            self._say("witness", f"no grant: {text}; {next_step}", {"error": text})
