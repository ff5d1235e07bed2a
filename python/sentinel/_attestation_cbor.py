"""A strict reader of CBOR (RFC 8949), as much of it as attestation documents have.

A general reader is lenient: it takes several encodings of one value, keeps the last of two equal
keys, and stops where the value ends. Here each of them is refused, so that two readers can never
see two things in one document. The order of a map's keys is free, as Nitro writes its own.

Whole numbers, byte and text strings, arrays, maps and null are read; floats, tags, booleans,
undefined and other simple values are not.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from ._attestation_errors import refuse

Value: TypeAlias = "int | bytes | str | list[Value] | dict[int | str, Value] | None"

DEPTH_MAX: Final = 4
"""Arrays and maps within each other; a document has three."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_NULL: Final = 0xF6


def decode(data: bytes) -> Value:
    """The one value that the bytes are. Raises DocumentMalformed (cbor_...)."""
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        refuse("cbor_trailing", f"{len(data) - reader.at} bytes follow the value")
    return value


def head(major: int, argument: int) -> bytes:
    """The shortest head of an item: its major type and its value or length."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << 8 * size:
            return bytes([major << 5 | extra]) + argument.to_bytes(size, "big")
    raise ValueError("above 64 bits")


def byte_string(data: bytes) -> bytes:
    """Bytes as CBOR."""
    return head(_BYTES, len(data)) + data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            refuse("cbor_truncated", f"{size} bytes are announced at {self.at}, fewer are there")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def head(self) -> tuple[int, int]:
        """Major type, and value or length."""
        start = self.at
        first = self.take(1)[0]
        major, low = first >> 5, first & 31
        if major == _SIMPLE:
            if first != _NULL:
                refuse("cbor_type", f"a float, boolean or other simple value at {start}")
            return major, low
        if major == _TAG:
            refuse("cbor_type", f"a tag at {start}")
        if low < 24:
            return major, low
        if low == 31:
            refuse("cbor_indefinite", f"an item of indefinite length at {start}")
        if low > 27:
            refuse("cbor_type", f"a reserved encoding at {start}")
        argument = int.from_bytes(self.take(1 << (low - 24)), "big")
        if len(head(major, argument)) != self.at - start:
            refuse("cbor_not_shortest", f"{argument} could be encoded in fewer bytes, at {start}")
        return major, argument

    def value(self, depth: int) -> Value:
        start = self.at
        major, argument = self.head()
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _BYTES:
            return self.take(argument)
        if major == _TEXT:
            return self.text(argument, start)
        if major == _SIMPLE:
            return None
        if depth == DEPTH_MAX:
            refuse("cbor_depth", f"more than {DEPTH_MAX} levels at {start}")
        # Each item has a byte at least: a false count ends here, not after a long loop.
        if argument * (2 if major == _MAP else 1) > len(self.data) - self.at:
            refuse("cbor_truncated", f"{argument} items are announced at {start}")
        if major == _ARRAY:
            return [self.value(depth + 1) for _ in range(argument)]
        return self.map(argument, depth + 1)

    def text(self, size: int, start: int) -> str:
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            refuse("cbor_text", f"text that is not UTF-8 at {start}")

    def map(self, count: int, depth: int) -> Value:
        found: dict[int | str, Value] = {}
        for _ in range(count):
            start = self.at
            key = self.value(depth)
            # Other keys are in no document; and True would equal 1, were there booleans.
            if not isinstance(key, int | str):
                refuse("cbor_type", f"a key that is neither number nor text at {start}")
            if key in found:
                refuse(
                    "cbor_duplicate_key", f"the key {key!r:.60} is there twice, again at {start}"
                )
            found[key] = self.value(depth)
        return found
