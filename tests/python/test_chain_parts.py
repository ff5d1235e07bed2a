"""Keccak-256, MessagePack and EIP-712 of the core against libraries, and the official vectors.

Goal: the parts that the library does not export are right on their own, not only where a venue
happens to use them. Method: their sources are compiled into a small library of the test's own;
random input goes to them and to pycryptodome, msgpack and eth-account. The official vectors of
Hyperliquid are rebuilt from the parts: some are of actions that the core never renders.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import cffi
import msgpack
import pytest
from core_abi import ffi as core_ffi
from core_abi import lib as core
from Crypto.Hash import keccak
from eth_account.messages import encode_typed_data
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from sentinel._enums import Algorithm, Purpose, Venue

TOP = Path(__file__).resolve().parents[2]
SOURCES = [TOP / "core" / "src" / name for name in ("keccak.c", "eip712.c")]
OFFICIAL = TOP / "tests" / "golden" / "venues" / "official.jsonl"
WRITER = "typedef struct { uint8_t *bytes; size_t size, capacity; int overflow; } msgpack_writer;"
STRUCT = "typedef struct { uint8_t words[7][32]; size_t count; int overflow; } eip712_struct;"
CALLS = """
void keccak256(uint8_t *digest32, const void *bytes, size_t size);
void eip712_begin(eip712_struct *value, const char *type);
void eip712_text(eip712_struct *value, const char *text, size_t size);
void eip712_uint(eip712_struct *value, uint64_t number);
void eip712_word(eip712_struct *value, const uint8_t *word32);
void eip712_domain(uint8_t *domain32, const char *name, uint64_t chain_id);
void eip712_digest(uint8_t *digest32, const uint8_t *domain32, const eip712_struct *value);
void put_nil(msgpack_writer *writer);
void put_bool(msgpack_writer *writer, int value);
void put_uint(msgpack_writer *writer, uint64_t value);
void put_text(msgpack_writer *writer, const char *text, size_t size);
void put_array(msgpack_writer *writer, size_t count);
void put_map(msgpack_writer *writer, size_t count);
"""
# The writer is inline; these give its functions names that can be called.
WRAPPERS = """
#include "msgpack.h"
void put_nil(msgpack_writer *w) { msgpack_nil(w); }
void put_bool(msgpack_writer *w, int value) { msgpack_bool(w, value); }
void put_uint(msgpack_writer *w, uint64_t value) { msgpack_uint(w, value); }
void put_text(msgpack_writer *w, const char *text, size_t n) { msgpack_text(w, text, n); }
void put_array(msgpack_writer *w, size_t count) { msgpack_array(w, count); }
void put_map(msgpack_writer *w, size_t count) { msgpack_map(w, count); }
"""
many = settings(
    max_examples=500, deadline=None, database=None, suppress_health_check=[*HealthCheck]
)


class Parts:
    """The compiled parts, with Python's types."""

    def __init__(self, directory: Path) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(WRITER + STRUCT + CALLS)
        (directory / "wrappers.c").write_text(WRAPPERS)
        library = directory / "parts.so"
        command = [*os.environ.get("CC", "cc").split(), "-std=c11", "-O2", "-shared", "-fPIC"]
        command += [f"-I{TOP / 'core' / 'src'}", "-o", library, directory / "wrappers.c", *SOURCES]
        subprocess.run(command, check=True)
        self.lib: Any = self.ffi.dlopen(str(library))

    def keccak(self, data: bytes) -> bytes:
        digest = self.ffi.new("uint8_t [32]")
        self.lib.keccak256(digest, data, len(data))
        return bytes(digest)

    def pack(self, value: Any, capacity: int = 1 << 20) -> bytes:
        buffer = self.ffi.new("uint8_t []", capacity)
        writer = self.ffi.new("msgpack_writer *", {"bytes": buffer, "capacity": capacity})
        self._put(writer, value)
        assert not writer.overflow
        return bytes(self.ffi.buffer(buffer, writer.size))

    def _put(self, writer: Any, value: Any) -> None:
        if value is None:
            self.lib.put_nil(writer)
        elif isinstance(value, bool):
            self.lib.put_bool(writer, value)
        elif isinstance(value, int):
            self.lib.put_uint(writer, value)
        elif isinstance(value, str):
            data = value.encode()
            self.lib.put_text(writer, data, len(data))
        elif isinstance(value, list):
            self.lib.put_array(writer, len(value))
            for element in value:
                self._put(writer, element)
        else:
            self.lib.put_map(writer, len(value))
            for key, element in value.items():
                self._put(writer, key)
                self._put(writer, element)

    def typed(self, domain: str, chain: int, name: str, fields: list[Any], of: Any) -> bytes:
        """The digest of a struct; fields are [name, type] as in the vectors."""
        value = self.ffi.new("eip712_struct *")
        text = ",".join(f"{kind} {field}" for field, kind in fields)
        self.lib.eip712_begin(value, f"{name}({text})".encode())
        for field, kind in fields:
            if kind == "string":
                data = of[field].encode()
                self.lib.eip712_text(value, data, len(data))
            elif kind == "bytes32":
                self.lib.eip712_word(value, of[field])
            else:
                self.lib.eip712_uint(value, of[field])
        assert not value.overflow
        separator, digest = self.ffi.new("uint8_t [32]"), self.ffi.new("uint8_t [32]")
        self.lib.eip712_domain(separator, domain.encode(), chain)
        self.lib.eip712_digest(digest, separator, value)
        return bytes(digest)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(tmp_path_factory.mktemp("parts"))


def library_keccak(data: bytes) -> bytes:
    return bytes(keccak.new(digest_bits=256, data=data).digest())


def test_keccak_of_every_size_up_to_four_blocks(parts: Parts) -> None:
    data = bytes((i * 151 + 7) % 256 for i in range(4 * 136 + 2))
    for size in range(len(data)):
        assert parts.keccak(data[:size]) == library_keccak(data[:size]), size


@many
@seed(20240607)
@given(data=st.binary(max_size=2000))
def test_keccak_of_random_bytes(parts: Parts, data: bytes) -> None:
    assert parts.keccak(data) == library_keccak(data)


texts = st.text(max_size=40) | st.integers(0, 70_000).map("x".__mul__)
numbers = st.integers(0, 2**64 - 1) | st.integers(0, 64).flatmap(
    lambda bits: st.integers(max(0, (1 << bits) - 2), min(2**64 - 1, (1 << bits) + 1))
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts.filter(lambda text: len(text.encode()) < 65536),
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=35), inner, max_size=20)
    ),
    max_leaves=40,
)


@many
@seed(20240607)
@given(value=values)
def test_packs_what_the_library_packs(parts: Parts, value: Any) -> None:
    ours = parts.pack(value, 1 << 22)
    assert ours == msgpack.packb(value)
    assert msgpack.unpackb(ours, strict_map_key=False) == value


kinds = st.sampled_from(["string", "uint64", "bool", "bytes32"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=300),
    "uint64": st.integers(0, 2**64 - 1),
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
}


@st.composite
def structs(draw: st.DrawFn) -> tuple[list[list[str]], dict[str, Any]]:
    fields = [[f"f{i}", kind] for i, kind in enumerate(draw(st.lists(kinds, max_size=6)))]
    return fields, {name: draw(VALUES[kind]) for name, kind in fields}


def library_digest(domain: str, chain: int, name: str, fields: list[Any], of: Any) -> bytes:
    message = encode_typed_data(
        domain_data={
            "name": domain,
            "version": "1",
            "chainId": chain,
            "verifyingContract": "0x" + "0" * 40,
        },
        message_types={name: [{"name": field, "type": kind} for field, kind in fields]},
        message_data=of,
    )
    return library_keccak(b"\x19" + message.version + message.header + message.body)


@many
@seed(20240607)
@given(case=structs(), domain=st.text(max_size=60), chain=st.integers(0, 2**64 - 1))
def test_hashes_structs_as_the_library_does(
    parts: Parts, case: tuple[list[list[str]], dict[str, Any]], domain: str, chain: int
) -> None:
    fields, of = case
    name = "HyperliquidTransaction:Any" if fields else "Any"
    domain = domain.replace("\0", "")  # ours are literals of C
    assert parts.typed(domain, chain, name, fields, of) == library_digest(
        domain, chain, name, fields, of
    )


def official() -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in OFFICIAL.read_text().splitlines()]
    return [line for line in lines if line["venue"] == "hyperliquid"]


def connection_id(parts: Parts, line: dict[str, Any]) -> bytes:
    vault, expires = line["vault_address"], line["expires_after"]
    preimage = parts.pack(line["action"]) + line["nonce"].to_bytes(8, "big")
    preimage += b"\1" + bytes.fromhex(vault[2:]) if vault else b"\0"
    preimage += b"\0" + expires.to_bytes(8, "big") if expires is not None else b""
    return parts.keccak(preimage)


def signed(private_key: str, digest: bytes) -> dict[str, int]:
    """By the core, with a key of the venue's tests, which guards nothing."""
    handle = core_ffi.new("sentinel_keyring **")
    assert core.sentinel_keyring_new(handle) == 0
    ring = core_ffi.gc(handle[0], core.sentinel_keyring_free)
    info, secret = core_ffi.new("sentinel_key_info *"), bytes.fromhex(private_key[2:])
    info.id, info.purpose, info.venue = 1, Purpose.VENUE, Venue.HYPERLIQUID
    info.algorithm = Algorithm.ECDSA_SECP256K1
    assert core.sentinel_keyring_import(ring, info, secret, 32) == 0
    signature = core_ffi.new("sentinel_signature *")
    assert core.sentinel_sign_digest(ring, signature, 1, digest) == 0
    raw = bytes(core_ffi.buffer(signature.bytes)[:64])
    v = 27 + signature.recovery_id
    return {"r": int.from_bytes(raw[:32], "big"), "s": int.from_bytes(raw[32:], "big"), "v": v}


@pytest.mark.parametrize("line", official(), ids=lambda line: line["id"])
def test_official_vectors(parts: Parts, line: dict[str, Any]) -> None:
    if line["scheme"] == "hyperliquid-user":
        chain, name = int(line["signature_chain_id"], 16), line["primary_type"]
        digest = parts.typed(
            "HyperliquidSignTransaction", chain, name, line["types"], line["message"]
        )
    else:
        identity = connection_id(parts, line)
        if "connection_id" in line:
            assert identity.hex() == line["connection_id"][2:]
            return
        agent = {"source": "a" if line["is_mainnet"] else "b", "connectionId": identity}
        fields = [["source", "string"], ["connectionId", "bytes32"]]
        digest = parts.typed("Exchange", 1337, "Agent", fields, agent)
    theirs = line["signature"]
    assert signed(line["key"]["private_key"], digest) == {
        "r": int(theirs["r"], 16),
        "s": int(theirs["s"], 16),
        "v": theirs["v"],
    }


def test_there_are_official_vectors_of_both_kinds() -> None:
    schemes = [line["scheme"] for line in official()]
    assert schemes.count("hyperliquid-l1") == 6
    assert schemes.count("hyperliquid-user") == 2
    assert schemes.count("hyperliquid-l1-hash") == 1
