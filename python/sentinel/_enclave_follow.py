"""`zcp enclave keep --follow`: the host's process, for as long as the host runs.

It connects, keeps and carries (`_enclave_keeper`), and when the engine goes away it knocks again
with growing pauses; told so, it brings the engine up in an enclave that was started anew. It tells
a service manager when it is ready, and that it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ._enclave_keeper import Copied, Keeper, Say
from ._enclave_store import PAPERS, Store, bring_up, connect_lobby
from .client import Client
from .config import os_failed
from .errors import EngineLocked, SentinelError

EVERY_SECONDS: Final = 0.25
PAUSE_SECONDS: Final = (0.5, 30.0)
"""Between two attempts to connect: the first pause, and the longest."""
_TELL_SECONDS: Final = 60.0


@contextmanager
def only_keeper(folder: Path) -> Iterator[None]:
    """Holds the store: two processes that keep would undo each other's files.

    Raises EngineLocked, StorageError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise os_failed(folder, error) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EngineLocked(
                f"{folder}: another process keeps this store",
                next_step="stop it first: systemctl stop sentinel-keeper",
            ) from None
        yield
    finally:
        os.close(handle)


def notify(text: str) -> None:
    """A word to the service manager that started this process, if one did (sd_notify)."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place[:1] not in ("/", "@"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect("\0" + place[1:] if place[0] == "@" else place)
        out.send(text.encode())


@dataclass(frozen=True, slots=True)
class Revival:
    """How an engine is brought up again: where the lobby is, and the KMS key that opens its root.

    `kms`: makes the client of KMS, when it is needed.
    """

    lobby: str
    kms: Callable[[], Any]
    key_id: str


class Follower:
    """The loop. `connect` opens a session of the role "keeper"; `witness`: None, others carry."""

    def __init__(
        self,
        store: Store,
        connect: Callable[[], AbstractContextManager[Client]],
        say: Say,
        *,
        witness: str | None = None,
        revival: Revival | None = None,
        every: float = EVERY_SECONDS,
    ) -> None:
        """Nothing is opened yet."""
        self._store = store
        self._connect = connect
        self._say = say
        self._witness = witness
        self._revival = revival
        self._every = every
        self._pause = PAUSE_SECONDS[0]
        self._trouble: dict[str, str] = {}
        self._told = 0.0
        self._ready = False

    def once(self) -> Copied:
        """One look through a session of its own. Raises what stands in the way."""
        with self._connect() as client:
            copied = Keeper(client, self._store, self._witness, self._say).look()
        assert copied is not None
        return copied

    def run(self, wait: Callable[[float], bool]) -> None:
        """Until `wait`, which is given seconds, says that it was long enough."""
        while True:
            try:
                with self._connect() as client:
                    if self._session(client, wait):
                        break
            except SentinelError as error:
                self._fails("waits", error)
                if self._revive():
                    continue
            if wait(self._pause):
                break
            self._pause = min(2 * self._pause, PAUSE_SECONDS[1])
        notify("STOPPING=1")

    def _session(self, client: Client, wait: Callable[[float], bool]) -> bool:
        """Whether it was long enough; else it ends by an exception."""
        keeper = Keeper(client, self._store, self._witness, self._say)
        while True:
            copied = keeper.look()
            if self._trouble or not self._ready:
                self._connected(client, copied)
            elif copied is not None and time.monotonic() >= self._told + _TELL_SECONDS:
                self._kept(copied)
            notify("WATCHDOG=1")
            if wait(self._every):
                return True

    def _connected(self, client: Client, copied: Copied | None) -> None:
        self._pause = PAUSE_SECONDS[0]
        self._trouble.clear()
        epoch = client.facts.epoch
        self._say("connected", f"keeps the engine's epoch {epoch}", {"epoch": epoch})
        if copied is not None:
            self._kept(copied)
        if not self._ready:
            self._ready = True
            notify("READY=1")

    def _kept(self, copied: Copied) -> None:
        self._told = time.monotonic()
        self._say(
            "kept",
            f"{copied.records} records are in {self._store.folder}",
            {"records": copied.records, "files": copied.files},
        )
        notify(f"STATUS={copied.records} records kept")

    def _fails(self, what: str, error: SentinelError) -> None:
        """Tells it once, until something else is wrong or it goes on."""
        notify(f"WATCHDOG=1\nSTATUS={what}: {error.message}")
        if error.message != self._trouble.get(what):
            self._trouble[what] = error.message
            step = f"; {error.next_step}" if error.next_step else ""
            self._say(what, f"{error.message}{step}", {"error": error.message})

    def _revive(self) -> bool:
        """Whether the engine was brought up, where it is to be and an enclave waits for it."""
        if self._revival is None:
            return False
        if any(not (self._store.folder / name).is_file() for name in PAPERS):
            return False  # Before genesis, or in the middle of it: that is for people.
        try:
            lobby = connect_lobby(self._revival.lobby)
        except SentinelError:
            return False
        try:
            nonce = bring_up(lobby, self._store, self._revival.kms(), self._revival.key_id)
        except SentinelError as error:
            self._fails("not_resumed", error)
            return False
        finally:
            lobby.close()
        self._say(
            "resumed",
            "the engine was brought up again; next: a grant of its witness, and a lease",
            {"nonce": nonce.hex()},
        )
        return True
