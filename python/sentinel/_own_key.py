"""A key file that a process signs with by itself: an agent's heartbeats, a feeder's reports."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Self

from ._people import SigningKeys
from .config import read_passphrase


class OwnKey:
    """The keys of one key file; whoever derives from it says what they sign."""

    def __init__(self, keys: SigningKeys, path: Path) -> None:
        """Use `open`."""
        self._keys = keys
        self.path = path

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        passphrase: bytes | str | None = None,
        passphrase_file: str | PathLike[str] | None = None,
    ) -> Self:
        """Opens a key file; the passphrase as in `config.read_passphrase`.

        Raises StorageError, KeyFileError.
        """
        place = Path(path)
        if passphrase is None:
            passphrase = read_passphrase(place.parent, file=passphrase_file)
        secret = passphrase.encode() if isinstance(passphrase, str) else passphrase
        return cls(SigningKeys.open(place, secret), place)
