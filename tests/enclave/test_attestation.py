"""Attestation documents are verified, and each refusal is named.

Goal: what Nitro signed for the expected image, engine and question is taken, and nothing else.
Method: the genuine documents at their own time, and documents of a fake hypervisor that are right
but for one thing. A refusal is compared by its code. Every code has a case (at the end).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from fake_nitro import FakeRoot, make_payload, sign_document, sign_emulated, unsigned_document

from sentinel.attestation import (
    AWS_ROOT_G1,
    Attestation,
    AttestationRefused,
    Expectation,
    SignatureRefused,
    TrustRoot,
    statement_digest,
    unsafe_parse_without_verification,
    verify,
)
from sentinel.errors import UsageError

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "attestation"
GENUINE = {
    "2022-10-12_evervault": "debug_mode",
    "2022-10-13_evervault": None,
    "2022-11-09_veracruz-project": None,
    "2022-11-09_veracruz-project_badsig": "signature",
    "2023-01-18_evervault": None,
}
"""By file: the code of the refusal at its own time, or None where it verifies."""
GOOD = [name for name, code in GENUINE.items() if code is None]

NOW = dt.datetime(2026, 3, 1, 12, 0, 0, tzinfo=dt.UTC)
NONCE = bytes(range(32))
PCRS = {index: bytes([0xA0 + index]) * 48 for index in (0, 1, 2, 3, 4, 8)}
MS = int(NOW.timestamp()) * 1000
Refused = Callable[..., str]


def genuine(name: str) -> tuple[bytes, dict[str, Any]]:
    """A document, and what it takes to verify it at its own time."""
    document = (GOLDEN / f"{name}.cose").read_bytes()
    found = unsafe_parse_without_verification(document)
    pcrs = {index: found.pcrs[index] for index in (0, 1, 2)}
    if not any(pcrs[0]):
        # No expectation can name a debug image: any other stands in.
        pcrs = {index: PCRS[index] for index in pcrs}
    time = dt.datetime.fromtimestamp(found.timestamp_ms // 1000, dt.UTC)
    return document, {"expectation": Expectation(pcrs, None), "nonce": found.nonce, "now": time}


def code_of(document: bytes, **options: Any) -> str:
    """The code that a document is refused with."""
    with pytest.raises(AttestationRefused) as refused:
        verify(document, **options)
    assert refused.value.next_step, "a refusal names no remedy"
    return refused.value.code


@pytest.fixture(scope="module")
def root() -> FakeRoot:
    return FakeRoot.make()


def options(root: FakeRoot, /, **others: Any) -> dict[str, Any]:
    """What it takes to verify a document of the fake."""
    return {
        "expectation": Expectation({i: PCRS[i] for i in (0, 1, 2)}, None),
        "nonce": NONCE,
        "now": NOW,
        "root": TrustRoot.of_pem(root.pem),
        **others,
    }


def payload(**others: Any) -> dict[str, Any]:
    return make_payload(PCRS, None, NONCE, None, MS) | others


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_documents_at_their_own_time(name: str) -> None:
    document, known = genuine(name)
    if GENUINE[name] is not None:
        assert code_of(document, **known) == GENUINE[name]
        return
    found = verify(document, **known)
    assert isinstance(found, Attestation)
    assert found.root is AWS_ROOT_G1
    assert found.module_id.startswith("i-")
    assert found.nonce_checked
    assert found.digest == statement_digest(unsafe_parse_without_verification(document))


def test_what_operators_sign_for_is_all_that_a_document_states() -> None:
    """And no more: the same payload under another chain and signature has the same digest."""
    known = {"user_data": b"u", "nonce": NONCE, "public_key": b"k", "timestamp": MS}
    payload = make_payload(PCRS, **known)
    digests = set()
    for _ in range(2):
        document = sign_document(payload, FakeRoot.make())
        digests.add(statement_digest(unsafe_parse_without_verification(document)))
    assert len(digests) == 1
    changes: tuple[dict[str, Any], ...] = (
        {"user_data": b"v"},
        {"user_data": b"uk", "public_key": None},
        {"nonce": None},
        {"public_key": b"l"},
        {"timestamp": MS + 1},
    )
    for change in changes:
        other = unsigned_document(make_payload(PCRS, **(known | change)))
        digests.add(statement_digest(unsafe_parse_without_verification(other)))
    other = unsigned_document(make_payload({**PCRS, 3: bytes(48)}, **known))
    digests.add(statement_digest(unsafe_parse_without_verification(other)))
    other = unsigned_document({**payload, "module_id": "i-1-enc1"})
    digests.add(statement_digest(unsafe_parse_without_verification(other)))
    assert len(digests) == 3 + len(changes)


def test_the_pinned_root_is_the_certificate_that_aws_publishes() -> None:
    der = (GOLDEN / "aws-nitro-root-g1.der").read_bytes()
    assert hashlib.sha256(der).digest() == AWS_ROOT_G1.sha256


@pytest.mark.parametrize("name", GENUINE)
@pytest.mark.parametrize(
    ("hours", "code"),
    [
        (-24 * 365 * 4, "certificate_not_yet_valid"),
        (-4, "certificate_not_yet_valid"),
        (4, "certificate_expired"),
        (24 * 365 * 40, "certificate_expired"),
    ],
)
def test_genuine_documents_outside_their_time(name: str, hours: int, code: str) -> None:
    document, known = genuine(name)
    known["now"] += dt.timedelta(hours=hours)
    assert code_of(document, **known) == code


@pytest.mark.parametrize("name", GENUINE)
def test_genuine_documents_under_another_root(name: str, root: FakeRoot) -> None:
    document, known = genuine(name)
    assert code_of(document, **known, root=TrustRoot.of_pem(root.pem)) == "root"


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_genuine_documents_with_another_pcr_expected(name: str, index: int) -> None:
    document, known = genuine(name)
    pcrs = dict(known["expectation"].pcrs)
    pcrs[index] = pcrs[index][:-1] + bytes([pcrs[index][-1] ^ 1])
    known["expectation"] = Expectation(pcrs, None)
    assert code_of(document, **known) == "pcr"


@pytest.mark.parametrize("name", GOOD)
def test_genuine_documents_with_another_nonce_asked(name: str) -> None:
    document, known = genuine(name)
    nonce = known["nonce"]
    for other in (nonce[:-1], nonce[:-1] + bytes([nonce[-1] ^ 1]), NONCE):
        assert code_of(document, **{**known, "nonce": other}) == "nonce"


def test_a_document_of_the_fake_verifies_under_its_root_alone(root: FakeRoot) -> None:
    document = sign_document(payload(), root)
    found = verify(document, **options(root))
    assert (found.time, found.nonce, found.pcrs[8]) == (NOW, NONCE, PCRS[8])
    assert code_of(document, **options(root, root=AWS_ROOT_G1)) == "root"
    assert code_of(document, **options(FakeRoot.make())) == "root"


def test_an_emulators_document_is_refused_and_signed_by_the_harness_taken(root: FakeRoot) -> None:
    emulated = unsigned_document(payload())
    assert code_of(emulated, **options(root)) == "unsigned"
    assert code_of(emulated, **options(root, root=AWS_ROOT_G1)) == "unsigned"
    assert unsafe_parse_without_verification(emulated).is_signed is False
    assert verify(sign_emulated(emulated, root), **options(root)).nonce == NONCE


def test_another_algorithm_is_refused_whatever_the_signature(root: FakeRoot) -> None:
    for header in ({1: -1}, {1: -7}, {1: -36}, {1: -35, 4: b"k"}, {}):
        document = sign_document(payload(), root, protected=cbor2.dumps(header))
        assert code_of(document, **options(root)) == "cose_algorithm"


def test_the_tag_of_cose_may_be_there(root: FakeRoot) -> None:
    document = sign_document(payload(), root)
    assert verify(b"\xd2" + document, **options(root)).nonce == NONCE
    assert code_of(b"\xd2\xd2" + document, **options(root)) == "cbor_type"
    assert code_of(b"\xd1" + document, **options(root)) == "cbor_type"


def test_a_call_that_cannot_be_meant_is_refused_before_the_document_is_read(root: FakeRoot) -> None:
    for wrong in (
        {"now": NOW.replace(tzinfo=None)},
        {"max_age": dt.timedelta(seconds=-1)},
        {"nonce": b"short"},
        {"nonce": bytes(513)},
    ):
        with pytest.raises(UsageError):
            verify(b"", **options(root, **wrong))


def test_a_refusal_says_what_and_how_to_remedy_it(root: FakeRoot) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(unsigned_document(payload()), **options(root))
    text = refused.value.diagnostics()
    assert "unsigned" in text
    assert "next step: an emulator does not sign" in text
    assert refused.value.exit_status == 8
