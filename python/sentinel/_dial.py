"""A stream to a daemon or a lobby, by its address."""

from __future__ import annotations

import socket
from typing import Any

from .errors import UsageError


def dial(
    address: str, seconds: float, *, paths: tuple[str, ...], what: str, give: str, port: int
) -> socket.socket:
    """A connected socket to `vsock://CID:PORT`, or to a path after one of the schemes `paths`.

    `port`: where the address leaves it out. `what` and `give` name in the error what was asked
    for, and a good one. Raises UsageError, OSError.
    """
    scheme, _, place = address.partition("://")
    cid, colon, given = place.partition(":")
    target: Any = place
    if scheme == "vsock" and cid.isdigit() and (given.isdigit() or not colon):
        family, target = socket.AF_VSOCK, (int(cid), int(given) if colon else port)
    elif scheme in paths and place:
        family = socket.AF_UNIX
    else:
        raise UsageError(f"{address!r} is no {what}", next_step=give)
    stream = socket.socket(family, socket.SOCK_STREAM)
    try:
        stream.settimeout(seconds)
        stream.connect(target)
    except BaseException:
        stream.close()
        raise
    return stream
