"""The strict reader of CBOR takes one encoding of each value, and refuses the rest by name.

Method: a table of what RFC 8949 allows and we do not; then hypothesis, with cbor2 as the oracle:
what cbor2 writes is read back as the same value, and of any bytes that are read at all, cbor2 reads
the same value and writes the same bytes (but for the order of keys, which it keeps).
"""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sentinel._attestation_cbor import DEPTH_MAX, decode, head
from sentinel.attestation import DocumentMalformed

REFUSED = {
    "": "cbor_truncated",
    "18": "cbor_truncated",
    "41": "cbor_truncated",
    "5affffffff": "cbor_truncated",
    "5bffffffffffffffff00": "cbor_truncated",
    "81": "cbor_truncated",
    "9affffffff00": "cbor_truncated",
    "9bffffffffffffffff00": "cbor_truncated",
    "a101": "cbor_truncated",
    "bbffffffffffffffff0000": "cbor_truncated",
    "0000": "cbor_trailing",
    "8000": "cbor_trailing",
    "f6f6": "cbor_trailing",
    "9fff": "cbor_indefinite",
    "bfff": "cbor_indefinite",
    "5fff": "cbor_indefinite",
    "5f4101ff": "cbor_indefinite",
    "7fff": "cbor_indefinite",
    "8201ff": "cbor_type",
    "ff": "cbor_type",
    "1817": "cbor_not_shortest",
    "190001": "cbor_not_shortest",
    "1900ff": "cbor_not_shortest",
    "1a0000ffff": "cbor_not_shortest",
    "1b00000000ffffffff": "cbor_not_shortest",
    "3817": "cbor_not_shortest",
    "580100": "cbor_not_shortest",
    "59000100": "cbor_not_shortest",
    "780161": "cbor_not_shortest",
    "980100": "cbor_not_shortest",
    "b8010000": "cbor_not_shortest",
    "a2010101": "cbor_truncated",
    "a201010102": "cbor_duplicate_key",
    "a2616101616102": "cbor_duplicate_key",
    "a220012001": "cbor_duplicate_key",
    "a1410101": "cbor_type",
    "a1f601": "cbor_type",
    "a1f401": "cbor_type",
    "a18001": "cbor_type",
    "a1f93c0001": "cbor_type",
    "f4": "cbor_type",
    "f5": "cbor_type",
    "f7": "cbor_type",
    "e0": "cbor_type",
    "f8ff": "cbor_type",
    "f93c00": "cbor_type",
    "fa3f800000": "cbor_type",
    "fb3ff0000000000000": "cbor_type",
    "c000": "cbor_type",
    "d200": "cbor_type",
    "c24101": "cbor_type",
    "1c": "cbor_type",
    "1d": "cbor_type",
    "1e": "cbor_type",
    "1f": "cbor_indefinite",
    "dc": "cbor_type",
    "61ff": "cbor_text",
    "62c080": "cbor_text",
    "63eda080": "cbor_text",
    "8181818180": "cbor_depth",
    "a101a101a101a101a0": "cbor_depth",
}


@pytest.mark.parametrize(("encoded", "code"), REFUSED.items())
def test_refuses(encoded: str, code: str) -> None:
    with pytest.raises(DocumentMalformed) as refused:
        decode(bytes.fromhex(encoded))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("18ff", 255),
        ("190100", 256),
        ("1a00010000", 65536),
        ("1bffffffffffffffff", 2**64 - 1),
        ("20", -1),
        ("3822", -35),
        ("3bffffffffffffffff", -(2**64)),
        ("40", b""),
        ("4101", b"\x01"),
        ("60", ""),
        ("62c3a9", "é"),
        ("f6", None),
        ("80", []),
        ("83010203", [1, 2, 3]),
        ("a0", {}),
        ("a2020101f6", {2: 1, 1: None}),
        ("a26162016161f6", {"b": 1, "a": None}),
        ("81818180", [[[[]]]]),
    ],
)
def test_reads(encoded: str, value: Any) -> None:
    assert decode(bytes.fromhex(encoded)) == value


SCALARS = (
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=80) | st.none()
)
KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=30)


def level(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return inner | st.lists(inner, max_size=30) | st.dictionaries(KEYS, inner, max_size=30)


@given(level(level(SCALARS)))
def test_reads_what_another_library_writes(value: Any) -> None:
    assert decode(cbor2.dumps(value)) == value


@settings(max_examples=500)
@given(st.binary(max_size=64) | st.lists(st.sampled_from([*range(256)]), max_size=12).map(bytes))
@example(bytes.fromhex("a2020101f6"))
def test_what_is_read_has_one_encoding(data: bytes) -> None:
    try:
        value = decode(data)
    except DocumentMalformed:
        return
    assert cbor2.loads(data) == value
    assert cbor2.dumps(value) == data


@given(level(level(SCALARS)), st.data())
def test_a_changed_byte_is_refused_or_is_another_value(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(cbor2.dumps(value))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode(bytes(encoded))
    except DocumentMalformed:
        return
    assert list_of(changed) != list_of(value)


def list_of(value: Any) -> Any:
    """A value whose maps are compared with the order of their keys."""
    if isinstance(value, dict):
        return [("map", key, list_of(inner)) for key, inner in value.items()]
    return [list_of(inner) for inner in value] if isinstance(value, list) else (type(value), value)


def test_heads_end_at_64_bits() -> None:
    assert head(0, 2**64 - 1) == b"\x1b" + b"\xff" * 8
    with pytest.raises(ValueError, match="64 bits"):
        head(0, 2**64)
    assert DEPTH_MAX == 4
