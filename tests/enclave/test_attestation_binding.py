"""`user_data`, the engine's expectation, and the keys that a document binds.

Method: one document that is as it should be; then each field wrong by itself.
"""

from __future__ import annotations

import re
import struct
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fake_nitro import FakeRoot, sign_document
from test_attestation import NONCE, PCRS, code_of, options, payload

from sentinel.attestation import (
    USER_DATA_BYTES,
    AttestationRefused,
    Binding,
    EngineExpectation,
    Expectation,
    Purpose,
    authority_root,
    parse_binding,
    verify,
)

TOP = Path(__file__).resolve().parents[2]
ENGINE = bytes([0xE1]) * 32
ROOTS = (bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32)
SESSION_KEY = b"the DER of a session key"
RECEIPT_KEY = bytes([9]) * 32
ALL = frozenset(Purpose)


def der(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def root() -> FakeRoot:
    return FakeRoot.make()


@pytest.fixture(scope="module")
def import_key() -> bytes:
    return der(rsa.generate_private_key(65537, 2048))


def binding(**others: Any) -> Binding:
    fields: dict[str, Any] = {
        "purpose": Purpose.SESSION,
        "engine_id": ENGINE,
        "epoch": 3,
        "head_number": 812,
        "head_hash": bytes([7]) * 32,
        "receipt_key_hash": sha256(RECEIPT_KEY).digest(),
        "session_key_hash": sha256(SESSION_KEY).digest(),
        "import_key_hash": bytes(32),
        "authority_root": authority_root(2, ROOTS),
        "root_commitment": bytes([0xC0]) * 32,
    }
    return Binding(**fields | others)


def expected(engine_id: bytes | None = ENGINE, purposes: frozenset[Purpose] = ALL) -> Expectation:
    engine = EngineExpectation(engine_id, 2, ROOTS, purposes)
    return Expectation({index: PCRS[index] for index in (0, 1, 2, 3, 4, 8)}, engine)


def code(root: FakeRoot, user_data: bytes | None, expectation: Expectation, **others: Any) -> str:
    document = sign_document(payload(user_data=user_data, **others), root)
    return code_of(document, **options(root, expectation=expectation))


def test_the_layout_is_256_bytes_little_endian() -> None:
    packed = binding(import_key_hash=bytes([5]) * 32).pack()
    assert len(packed) == USER_DATA_BYTES == 256
    assert packed[:8] == bytes([1, 0, 0, 0, 2, 0, 0, 0])
    assert packed[8:40] == ENGINE
    assert struct.unpack_from("<QQ", packed, 40) == (3, 812)
    assert packed[56:88] == bytes([7]) * 32
    assert packed[88:120] == sha256(RECEIPT_KEY).digest()
    assert packed[120:152] == sha256(SESSION_KEY).digest()
    assert packed[152:184] == bytes([5]) * 32
    assert packed[184:216] == authority_root(2, ROOTS)
    assert packed[216:248] == bytes([0xC0]) * 32
    assert packed[248:] == bytes(8)
    assert parse_binding(packed) == binding(import_key_hash=bytes([5]) * 32)


def test_the_layout_is_the_daemons(tmp_path: Path) -> None:
    """Offsets and size as the C compiler has them, in the order of the fields."""
    header = TOP / "enclave" / "daemon" / "document.h"
    body = re.search(r"typedef struct sentinel_user_data \{(.*?)\n\}", header.read_text(), re.S)
    assert body is not None
    fields = re.findall(r"^    uint\w+ (\w+)(?:\[\d+\])?;", body[1], re.M)
    prints = "".join(f'printf("%zu ", offsetof(sentinel_user_data, {name}));' for name in fields)
    program = tmp_path / "offsets.c"
    program.write_text(
        '#include <stddef.h>\n#include <stdio.h>\n#include "document.h"\n'
        f'int main(void) {{ {prints} printf("%zu", sizeof(sentinel_user_data)); return 0; }}\n'
    )
    includes = [f"-I{TOP / where}" for where in ("core/include", "core/src", "enclave/daemon")]
    flags = ["-std=c11", "-D_GNU_SOURCE", "-DSENTINEL_NDEBUG"]
    command = ["cc", *flags, *includes, program, "-o", tmp_path / "offsets"]
    subprocess.run(command, check=True, capture_output=True)
    said = subprocess.run([tmp_path / "offsets"], check=True, capture_output=True, text=True).stdout
    assert [int(word) for word in said.split()] == [
        *(0, 4, 8, 40, 48, 56, 88, 120, 152, 184, 216, 248),
        USER_DATA_BYTES,
    ]


def test_the_authority_root_is_what_the_docs_say() -> None:
    text = b"sentinel-authority-root-v1\0" + bytes([2, 3]) + b"".join(ROOTS)
    assert authority_root(2, ROOTS) == sha256(text).digest()
    assert authority_root(1, ROOTS) != authority_root(2, ROOTS)
    assert authority_root(2, ROOTS[::-1]) != authority_root(2, ROOTS)


def test_a_document_of_the_expected_engine(root: FakeRoot, import_key: bytes) -> None:
    said = binding(import_key_hash=sha256(import_key).digest())
    document = sign_document(payload(user_data=said.pack(), public_key=import_key), root)
    found = verify(document, **options(root, expectation=expected()))
    assert found.binding == said
    assert (found.nonce, found.public_key) == (NONCE, import_key)
    assert found.pcrs_checked == (0, 1, 2, 3, 4, 8)
    found.binding.must_hold_session_key(SESSION_KEY)
    found.binding.must_hold_receipt_key(RECEIPT_KEY)
    for refused, key in (
        (found.binding.must_hold_session_key, b"another"),
        (found.binding.must_hold_session_key, b""),
        (found.binding.must_hold_receipt_key, bytes(32)),
        (found.binding.must_hold_receipt_key, RECEIPT_KEY + b"\0"),
        (binding(session_key_hash=bytes(32)).must_hold_session_key, SESSION_KEY),
        (binding(receipt_key_hash=bytes(32)).must_hold_receipt_key, RECEIPT_KEY),
    ):
        with pytest.raises(AttestationRefused) as error:
            refused(key)
        assert error.value.code in {"session_key", "receipt_key"}


@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, 8])
def test_every_pcr_that_is_expected_is_compared(root: FakeRoot, index: int) -> None:
    pcrs = PCRS | {index: bytes([0xFF]) * 48}
    engine = EngineExpectation(ENGINE, 2, ROOTS, ALL)
    assert code(root, binding().pack(), Expectation(pcrs, engine)) == "pcr"


def changed(place: int, value: int) -> bytes:
    packed = bytearray(binding().pack())
    packed[place] = value
    return bytes(packed)


@pytest.mark.parametrize(
    ("user_data", "code_"),
    [
        (None, "user_data_missing"),
        (b"", "user_data_layout"),
        (bytes(256), "user_data_layout"),
        (binding().pack()[:-1], "user_data_layout"),
        (binding().pack() + b"\0", "user_data_layout"),
        (changed(0, 0), "user_data_layout"),
        (changed(0, 2), "user_data_layout"),
        (changed(3, 1), "user_data_layout"),
        (changed(4, 0), "user_data_layout"),
        (changed(4, 6), "user_data_layout"),
        (changed(7, 1), "user_data_layout"),
        *((changed(place, 1), "user_data_layout") for place in range(248, 256)),
        (binding(purpose=Purpose.BOOT, engine_id=bytes(32)).pack(), "engine"),
        (binding(engine_id=bytes([0xE2]) * 32).pack(), "engine"),
        (binding(authority_root=authority_root(1, ROOTS)).pack(), "authority_root"),
        (binding(authority_root=bytes(32)).pack(), "authority_root"),
        (binding(session_key_hash=bytes(32)).pack(), "session_key"),
        (binding(import_key_hash=bytes([1]) * 32).pack(), "public_key"),
        (binding(purpose=Purpose.IMPORT).pack(), "public_key"),
        (binding(purpose=Purpose.GENESIS, root_commitment=bytes(32)).pack(), "root_commitment"),
    ],
)
def test_user_data(root: FakeRoot, user_data: bytes | None, code_: str) -> None:
    assert code(root, user_data, expected()) == code_


def test_a_document_for_another_purpose_is_refused(root: FakeRoot) -> None:
    for purpose in Purpose:
        others = ALL - {purpose}
        found = code(root, binding(purpose=purpose).pack(), expected(purposes=others))
        assert found == "purpose"


def test_before_genesis_the_engine_has_no_id_to_expect(root: FakeRoot) -> None:
    user_data = binding(purpose=Purpose.GENESIS).pack()
    document = sign_document(payload(user_data=user_data), root)
    known = expected(engine_id=None, purposes=frozenset({Purpose.GENESIS}))
    found = verify(document, **options(root, expectation=known))
    assert found.binding is not None
    assert found.binding.engine_id == ENGINE
    for purposes in (ALL, frozenset({Purpose.SESSION}), frozenset[Purpose]()):
        with pytest.raises(AttestationRefused) as refused:
            EngineExpectation(None, 2, ROOTS, purposes)
        assert refused.value.code == "expectation"


def test_public_keys(root: FakeRoot, import_key: bytes) -> None:
    small = der(rsa.generate_private_key(65537, 1024))
    odd = der(rsa.generate_private_key(3, 2048))
    curve = der(ec.generate_private_key(ec.SECP384R1()))
    for key, code_ in (
        *((small, "public_key"), (odd, "public_key"), (curve, "public_key")),
        *((b"no key", "public_key"), (import_key + b"\0", "public_key")),
    ):
        said = binding(import_key_hash=sha256(key).digest()).pack()
        assert code(root, said, expected(), public_key=key) == code_
    for hash_ in (bytes(32), sha256(b"another").digest()):
        said = binding(import_key_hash=hash_).pack()
        assert code(root, said, expected(), public_key=import_key) == "import_key"


def test_user_data_is_not_judged_where_no_engine_is_expected(root: FakeRoot) -> None:
    document = sign_document(payload(user_data=b"hello", public_key=b"no key"), root)
    found = verify(document, **options(root))
    assert (found.binding, found.user_data) == (None, b"hello")
