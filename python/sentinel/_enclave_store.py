"""What the host keeps of an enclave's engine, as a directory, and bringing it up again from that.

    genesis  authority  certificate  root.wrapped  keys.sealed  files/log/…  files/bundles/…

Nothing of it is secret to the host that should be; docs/enclave.md says what of it can be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ._dial import dial
from ._enclave_kms import derive_shared_secret
from ._enclave_lobby import KEYS, PORT, Lobby, resume_from
from ._enclave_papers import parse_wrapped_root
from ._status import Status
from .attestation import Purpose
from .config import os_failed, write_file
from .errors import StorageError, UsageError

PAPERS: Final = ("genesis", "authority", "certificate", "root.wrapped", "keys.sealed")
FOLDERS: Final = ("log", "bundles", "sealed")
SNAPSHOTS_KEPT: Final = 2
HEAD: Final = "log/head"
SESSION: Final = "session.cose"
"""The document for sessions of the boot that was brought up last."""
LOBBY_SECONDS: Final = 120.0


class _Kept(Mapping[str, bytes]):
    """Files that are read when they are asked for: a log may be large."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._folder = folder
        self._names = names

    def __getitem__(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise os_failed(self._folder / name, error) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True)
class Store:
    """The directory."""

    folder: Path

    def paper(self, name: str) -> bytes:
        """One of the papers. Raises StorageError."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise os_failed(self.folder / name, error) from None

    def keep(self, name: str, data: bytes) -> None:
        """Keeps a paper, whole or not at all. Raises StorageError."""
        write_file(self.folder / name, data)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The engine's files, as a lobby takes them. Raises StorageError."""
        kept = self.kept()
        for name in kept:
            yield name, kept[name]

    def kept(self) -> Mapping[str, bytes]:
        """The same, each read when it is asked for. Raises StorageError."""
        self.make_folders()
        names = []
        for folder in FOLDERS:
            try:
                for path in sorted((self.folder / "files" / folder).iterdir()):
                    if not path.name.startswith("."):
                        names.append(f"{folder}/{path.name}")
            except OSError as error:
                raise os_failed(self.folder / "files" / folder, error) from None
        return _Kept(self.folder / "files", names)

    def make_folders(self) -> None:
        """Makes what `keep_file` keeps into. Raises StorageError."""
        for folder in FOLDERS:
            path = self.folder / "files" / folder
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise os_failed(path, error) from None

    def keep_file(self, name: str, data: bytes) -> bool:
        """Keeps one of a running engine's files; whether it was another before.

        Raises StorageError, also for a name that an enclave of ours does not give.
        """
        folder, _, leaf = name.partition("/")
        is_keys = name == KEYS
        if not is_keys and (
            folder not in FOLDERS or not leaf or "/" in leaf or leaf.startswith(".")
        ):
            raise StorageError(
                f"the enclave names a file {name!r}",
                cause="it is no enclave of ours, or of a later release",
                next_step="do not use it; verify its document",
            )
        path = self.folder / (PAPERS[-1] if is_keys else f"files/{name}")
        try:
            if path.is_file() and path.read_bytes() == data:
                return False
        except OSError as error:
            raise os_failed(path, error) from None
        write_file(path, data)
        if folder == "sealed" and not is_keys:
            self._forget_snapshots()
        return True

    def _forget_snapshots(self) -> None:
        """The newest are enough: behind each, the log is kept."""
        for path in sorted((self.folder / "files" / "sealed").iterdir())[:-SNAPSHOTS_KEPT]:
            path.unlink()


def connect_lobby(address: str) -> Lobby:
    """The lobby at `vsock://CID:PORT` or `unix:///path`. Raises UsageError, StorageError."""
    try:
        stream = dial(
            *(address, LOBBY_SECONDS),
            paths=("unix",),
            what="address of a lobby",
            give="give vsock://16:5701",
            port=PORT,
        )
    except OSError as error:
        raise StorageError(
            f"no lobby answers at {address} ({error})",
            cause="the enclave does not run, or its engine does already",
            next_step="zcp enclave run starts it; nitro-cli describe-enclaves shows its CID",
        ) from None
    return Lobby(stream)


def _unless_done(call: Callable[[], None]) -> None:
    """After an attempt that broke off: what the enclave took then it does not take again."""
    try:
        call()
    except UsageError as error:
        if error.status != Status.USAGE_STATE:
            raise


def bring_up(lobby: Lobby, store: Store, kms: Any, key_id: str) -> bytes:
    """From an enclave that knows nothing to the engine that ran before; the nonce of its document
    for sessions, which is then in the store.

    KMS is asked once; each answer is good for one attempt. What broke off in the middle is done
    again from the start, in the same enclave. Raises the enclave's refusals,
    EnclaveError where KMS refuses, StorageError.
    """
    wrapped = store.paper("root.wrapped")
    document = lobby.attest(Purpose.BOOT, os.urandom(32))
    answer = derive_shared_secret(kms, key_id, parse_wrapped_root(wrapped), document)
    genesis, authority, certificate = (store.paper(name) for name in PAPERS[:3])
    _unless_done(lambda: lobby.unwrap(genesis, authority, certificate, wrapped, answer))
    _unless_done(lambda: lobby.keys(store.paper("keys.sealed")))
    nonce = os.urandom(32)
    store.keep(SESSION, lobby.attest(Purpose.SESSION, nonce))
    try:
        store.keep("keys.sealed", resume_from(lobby, store.kept())[0])
    except UsageError as error:
        raise UsageError(
            f"the enclave is in the middle of something else: {error.message}",
            status=error.status,
            cause="an engine was begun in it, or is being brought up from another store",
            next_step="end the enclave and start it anew, then bring the engine up",
        ) from None
    return nonce
