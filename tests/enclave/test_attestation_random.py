"""Random changes, signed and unsigned: refused by a refusal, never by another exception.

Goal: nothing that a stranger sends ends a verifier in another way than by a code, and what is taken
says what was expected. Method: hypothesis cuts, repeats and overwrites pieces of a document; and of
a payload, which the right key then signs, so that every check behind the signature is reached.
"""

from __future__ import annotations

import contextlib
import warnings

import cbor2
from fake_nitro import FakeRoot, sign_document
from hypothesis import given, settings
from hypothesis import strategies as st
from test_attestation import GOOD, NONCE, NOW, PCRS, genuine, options, payload
from test_attestation_binding import ENGINE, binding, expected

from sentinel.attestation import (
    Attestation,
    AttestationRefused,
    unsafe_parse_without_verification,
    verify,
)

ROOT = FakeRoot.make()
CHAIN = ROOT.chain(NOW)
BODY = cbor2.dumps(
    payload(user_data=binding().pack(), certificate=CHAIN.leaf.der, cabundle=list(CHAIN.bundle))
)

Edit = tuple[int, int, bytes]
"""A place, how many bytes there are dropped, and what stands in their stead."""
EDITS = st.lists(
    st.tuples(st.integers(0, 6000), st.integers(0, 40), st.binary(max_size=40)),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    for place, drop, put in edits:
        at = place % (len(data) + 1)
        data = data[:at] + put + data[at + drop :]
    return data


def judged(document: bytes, **known: object) -> Attestation | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of certificates that the library calls odd
        try:
            return verify(document, **known)  # type: ignore[arg-type]
        except AttestationRefused:
            return None


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(GOOD), EDITS)
def test_an_edited_genuine_document(name: str, edits: list[Edit]) -> None:
    document, known = genuine(name)
    changed = edited(document, edits)
    found = judged(changed, **known)
    assert found is None or changed.removeprefix(b"\xd2") == document


@settings(max_examples=300, deadline=None)
@given(EDITS)
def test_an_edited_payload_that_is_signed(edits: list[Edit]) -> None:
    document = sign_document(edited(BODY, edits), ROOT, chain=CHAIN)
    found = judged(document, **options(ROOT, expectation=expected()))
    if found is not None:
        assert found.binding is not None
        assert (found.nonce, found.binding.engine_id) == (NONCE, ENGINE)
        assert {index: found.pcrs[index] for index in PCRS} == PCRS


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    assert judged(data, **options(ROOT)) is None
    with contextlib.suppress(AttestationRefused):
        unsafe_parse_without_verification(data)
