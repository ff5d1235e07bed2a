"""A copy of what a running engine keeps, for the commands that read an engine's directory."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import _core
from .._service import Request
from ..audit import find_record
from ..config import NamedKey
from ..errors import AuditError, SentinelError, VerificationFailed

if TYPE_CHECKING:
    from ..client import Client

_HEAD: Final = "log/head"
_NAME: Final = re.compile(r"log/\d{20}\.log|bundles/[0-9a-f]{64}")
"""What is copied: no torn end, no segment that is being made, no sealed blob; and a daemon's word
names nothing outside of the folder.
"""
_FIRST: Final = f"log/{0:020}.log"
_kept: list[Mirror] = []


class Mirror:
    """In a folder that ends with the command. What was copied is not copied again."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="zcp-")
        self.directory = Path(self._folder.name)
        self._open_segment = ""
        for name in ("log", "bundles", "keys"):
            (self.directory / name).mkdir()

    def fill(self, client: Client) -> None:
        """Copies what is new: the head is read first, before the names, and kept last, so that it
        counts no record of a segment that came later. Raises SentinelError.
        """
        head = client.file(_HEAD)
        names = [name for name in client.files() if _NAME.fullmatch(name)]
        segments = sorted(name for name in names if name.startswith("log/"))
        if _FIRST not in segments:
            raise AuditError(
                "the daemon does not have the beginning of its log",
                cause="its enclave came back by a snapshot, with the log's end alone",
                next_step="read it from the store of the enclave's host",
            )
        for name in names:
            if not self._is_whole(name):
                (self.directory / name).write_bytes(client.file(name))
        (self.directory / _HEAD).write_bytes(head)
        self._open_segment = segments[-1] if segments else ""
        genesis = self.directory / "genesis"
        if not genesis.exists():
            genesis.write_bytes(find_record(self.directory, 0).subject)
            self._check(client)
        self._keys(client)

    def close(self) -> None:
        """Takes the folder away."""
        self._folder.cleanup()

    def _is_whole(self, name: str) -> bool:
        """Bundles never change, and of the log only the last segment does."""
        is_closed = name.startswith("bundles/") or name < self._open_segment
        return is_closed and (self.directory / name).exists()

    def _check(self, client: Client) -> None:
        from ..config import Installed

        if Installed(self.directory).engine_id != client.facts.engine_id:
            raise VerificationFailed("the daemon's log is of another engine than its session")

    def _keys(self, client: Client) -> None:
        """The list that `zcp key list` reads; the policy in force has the names."""
        infos = _core.key_infos(client.connection.call(Request.KEYS))
        names: dict[int, str] = {}
        with contextlib.suppress(SentinelError):  # no policy: numbers stand for the names
            names = {row.id: row.name for row in client.policy.keys.values()}
        rows = [NamedKey(names.get(key.id, f"key-{key.id}"), key).to_json() for key in infos]
        (self.directory / "keys" / "public").write_text(json.dumps(rows))


def mirror(client: Client) -> Path:
    """The copy's directory, brought up to date; one for a command."""
    if not _kept:
        _kept.append(Mirror())
    _kept[0].fill(client)
    return _kept[0].directory


def forget() -> None:
    """Ends the copy, with the command."""
    while _kept:
        _kept.pop().close()
