"""Whether an image file arrived whole: its form and its checksum, without judging what is in it.

A checksum is against accidents alone. What an image is, its measurements say; `zcp enclave` makes
and compares those. This is for the machine that runs it, which need not have the builder's module.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

HEADER_BYTES: Final = 548
"""Big-endian: magic, version, flags, sizes and places of sections; the checksum is last."""
VERSION: Final = 4
_MAGIC: Final = b".eif"
_PIECE_BYTES: Final = 1 << 20


def what_is_wrong(path: Path) -> str:
    """What is wrong with the file; empty where nothing is. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        if len(head) < HEADER_BYTES or head[:4] != _MAGIC:
            return "it is no enclave image"
        version = int.from_bytes(head[4:6], "big")
        if version != VERSION:
            return f"it is an image of version {version}, not {VERSION}"
        check = zlib.crc32(head[:-4])
        while piece := file.read(_PIECE_BYTES):
            check = zlib.crc32(piece, check)
    if check != int.from_bytes(head[-4:], "big"):
        return "its checksum does not hold: it was cut or changed on its way"
    return ""
