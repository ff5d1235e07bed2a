"""Whether bytes of a secret are in what left: in the clear, turned round, in hex or in base64.

Any eight bytes of one in a row count (in a text: those that twelve, or sixteen, letters are).
"""

from __future__ import annotations

import base64
import ctypes
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from raw_client import library

RUN = 8


@lru_cache(maxsize=4096)
def _forms(secret: bytes) -> tuple[tuple[bytes, int], ...]:
    """Texts that a secret can be written as, and how many letters of them prove it."""
    hexes = secret.hex().encode()
    forms = [(secret, RUN), (secret[::-1], RUN), (hexes, 16), (hexes.upper(), 16)]
    for shift in range(3):
        size = (len(secret) - shift) // 3 * 3
        coded = base64.b64encode(secret[shift : shift + size])
        forms += [(coded, 12), (coded.translate(bytes.maketrans(b"+/", b"-_")), 12)]
    return tuple(forms)


def _runs(secrets: Iterable[bytes]) -> np.ndarray[Any, Any]:
    """All runs of eight bytes of all forms, in order, and a few across two forms."""
    forms = b"".join(form for secret in secrets for form, _ in _forms(secret))
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(forms, np.uint8), RUN)
    return np.sort(np.ascontiguousarray(windows).view("<u8").ravel())


def leaks(secrets: Iterable[bytes], left: bytes) -> Iterator[tuple[int, bytes]]:
    """Where something of a secret is in what left, and whose it is."""
    known = {secret for secret in secrets if len(secret) >= 2 * RUN}
    ordered, seen = _runs(known), ctypes.create_string_buffer(1 << 17)
    scan = library().raw_scan
    scan.restype = ctypes.c_size_t
    scan.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    scan.argtypes += [ctypes.c_size_t, ctypes.c_char_p]
    at = 0
    words = (ordered.ctypes.data, len(ordered), seen)
    while (at := scan(left, len(left), at, *words)) < len(left):
        for secret in known:
            if any(_is_at(left, at, *form) for form in _forms(secret)):
                yield at, secret
        at += 1


def _is_at(left: bytes, at: int, form: bytes, letters: int) -> bool:
    """Whether so many letters of a form stand there, from here on or up to here."""
    run = left[at : at + RUN]
    place = form.find(run)
    while place >= 0:
        ahead = left[at : at + letters] == form[place : place + letters]
        back = letters - RUN
        behind = (
            place >= back and left[max(at - back, 0) : at + RUN] == form[place - back : place + RUN]
        )
        if (ahead and len(form) >= place + letters) or behind:
            return True
        place = form.find(run, place + 1)
    return False
