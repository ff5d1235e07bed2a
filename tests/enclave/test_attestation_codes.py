"""Every code has one failure that it names; the table of the docs is the program's.

Goal: a code that nothing raises, or that the docs lack, is seen. Method: one case a code.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fake_nitro import FakeRoot, sign_document, unsigned_document
from test_attestation import MS, NOW, PCRS, options, payload
from test_attestation_attack import UNKNOWN
from test_attestation_binding import ALL, ROOTS, binding, expected
from test_attestation_expectation import PUBLIC, release

from sentinel._attestation_errors import REFUSALS
from sentinel.attestation import (
    AttestationRefused,
    Expectation,
    Purpose,
    Release,
    TrustRoot,
    measurements,
    unsafe_parse_without_verification,
    verify,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "enclave-attestation.md"
ROOT = FakeRoot.make()
Case = Callable[[], object]


def of(document: bytes, **others: Any) -> Case:
    return lambda: verify(document, **options(ROOT, **others))


def read(data: str) -> Case:
    return lambda: unsafe_parse_without_verification(bytes.fromhex(data))


def signed(chain: dict[int, dict[str, Any]] | None = None, **fields: Any) -> bytes:
    made = ROOT.chain(NOW, chain) if chain else None
    return sign_document(payload() | fields, ROOT, chain=made)


def said(expectation: Expectation | None = None, **fields: Any) -> Case:
    document = signed(user_data=binding(**fields).pack())
    return of(document, expectation=expectation or expected())


def parts(place: int, value: Any) -> bytes:
    found = cbor2.loads(signed())
    found[place] = value
    return cbor2.dumps(found)


def without(name: str) -> bytes:
    chain = ROOT.chain(NOW)
    body = payload(certificate=chain.leaf.der, cabundle=list(chain.bundle))
    del body[name]
    return sign_document(cbor2.dumps(body), ROOT, chain=chain)


def forged_chain() -> bytes:
    forged = FakeRoot.make().chain(NOW)
    bundle = (ROOT.der, *forged.bundle[1:])
    return sign_document(payload(), ROOT, chain=replace(forged, bundle=bundle))


def malformed() -> bytes:
    chain = ROOT.chain(NOW)
    return sign_document(payload(), ROOT, chain=replace(chain, bundle=(*chain.bundle[:-1], b"0")))


HOUR = dt.timedelta(hours=1)
CASES: dict[str, Case] = {
    "document_size": read(""),
    "cbor_truncated": read("84"),
    "cbor_trailing": read("8000"),
    "cbor_indefinite": read("9fff"),
    "cbor_not_shortest": read("9804"),
    "cbor_duplicate_key": read("a200000000"),
    "cbor_type": read("fb3ff0000000000000"),
    "cbor_text": read("61ff"),
    "cbor_depth": read("8181818180"),
    "cose_shape": read("80"),
    "cose_algorithm": of(parts(0, cbor2.dumps({1: -7}))),
    "cose_unprotected": of(parts(1, {4: b"key"})),
    "field_missing": of(without("digest")),
    "field_unknown": of(signed(more=1)),
    "field_type": of(signed(nonce="text")),
    "field_size": of(signed(nonce=bytes(513))),
    "field_value": of(signed(digest="SHA512")),
    "unsigned": of(unsigned_document(payload())),
    "signature": of(parts(3, b"\1" * 96)),
    "root": of(signed(), root=TrustRoot.of_pem(FakeRoot.make().pem)),
    "certificate_malformed": of(malformed()),
    "certificate_algorithm": of(signed({1: {"curve": ec.SECP256R1()}})),
    "certificate_issuer": of(signed({1: {"issuer": "another"}})),
    "certificate_signature": of(forged_chain()),
    "certificate_constraints": of(signed({1: {"ca": False, "path_length": None}})),
    "certificate_path_length": of(signed({0: {"path_length": 0}})),
    "certificate_key_usage": of(signed({1: {"cert_sign": False}})),
    "certificate_extension": of(signed({1: {"extra": ((UNKNOWN, True),)}})),
    "certificate_expired": of(signed(), now=NOW + 4 * HOUR),
    "certificate_not_yet_valid": of(signed(), now=NOW - HOUR),
    "debug_mode": of(signed(pcrs=PCRS | {0: bytes(48)})),
    "stale": of(signed(), now=NOW + HOUR),
    "future": of(sign_document(payload(timestamp=MS + 60_000), ROOT, chain=ROOT.chain(NOW - HOUR))),
    "nonce_missing": of(signed(nonce=None)),
    "nonce": of(signed(nonce=bytes(32))),
    "pcr_missing": of(signed(pcrs={0: PCRS[0], 1: PCRS[1]})),
    "pcr": of(signed(pcrs=PCRS | {0: PCRS[1]})),
    "user_data_missing": of(signed(), expectation=expected()),
    "user_data_layout": of(signed(user_data=bytes(255)), expectation=expected()),
    "purpose": said(expected(purposes=ALL - {Purpose.SESSION})),
    "engine": said(engine_id=bytes(32)),
    "authority_root": said(authority_root=bytes(32)),
    "public_key": said(purpose=Purpose.IMPORT),
    "import_key": of(signed(user_data=binding().pack(), public_key=b"key"), expectation=expected()),
    "root_commitment": said(purpose=Purpose.GENESIS, root_commitment=bytes(32)),
    "session_key": lambda: binding().must_hold_session_key(b"another"),
    "receipt_key": lambda: binding().must_hold_receipt_key(ROOTS[0]),
    "expectation": lambda: Expectation.from_json("{}"),
    "measurements": lambda: measurements("{}"),
    "release": lambda: Release.verify("{}", PUBLIC),
    "release_signature": lambda: Release.verify(json.dumps(release(version="2")), PUBLIC),
    "root_certificate": lambda: TrustRoot.of_pem(b""),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_every_code_names_a_failure(code: str) -> None:
    with pytest.raises(AttestationRefused) as refused:
        CASES[code]()
    assert refused.value.code == code
    assert type(refused.value) is REFUSALS[code].exception
    assert refused.value.next_step == REFUSALS[code].remedy
    assert code in str(refused.value)


def test_no_case_is_of_a_code_that_is_gone() -> None:
    assert CASES.keys() == REFUSALS.keys()


def test_the_page_has_every_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.M)
    assert rows == [
        (code, row.exception.__name__, row.wrong, row.remedy) for code, row in REFUSALS.items()
    ], "python scripts/docs.py writes the table"


def test_a_look_at_a_document_needs_no_cryptographic_library() -> None:
    program = (
        "import sys; sys.modules['cryptography.x509'] = None;"
        "from sentinel._cli import main; sys.exit(main(['attest', 'show', sys.argv[1]]))"
    )
    golden = PAGE.parents[1] / "tests/golden/attestation/2022-10-13_evervault.cose"
    done = subprocess.run(
        [sys.executable, "-c", program, golden], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("UNVERIFIED")
