"""Every byte of every genuine document is changed, and no changed document is taken.

Goal: nothing in a document is outside of what is checked. Method: outside of the payload (heads,
header, signature) each byte takes all 255 other values; in the payload, which the signature covers
whole, each byte takes one other. Every prefix and every byte appended, too. The quick test takes a
sample; the long one takes all, on all processors, and prints how many there were.

The chain is judged once for as long as its bytes are the same: by far the most changes are in the
signature, and the question there is the signature.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from test_attestation import GENUINE, GOOD, genuine

import sentinel._attestation_chain as chain
from sentinel.attestation import (
    AttestationRefused,
    unsafe_parse_without_verification,
    verify,
)

PARTS = 16
Change = tuple[int, int]
"""A place, and the value that the byte there takes."""


def payload_range(document: bytes) -> range:
    inner = unsafe_parse_without_verification(document).payload
    begin = document.index(inner)
    return range(begin, begin + len(inner))


def changes(document: bytes) -> Iterator[Change]:
    """All of them: 255 for a byte outside of the payload, one for a byte within."""
    within = payload_range(document)
    for place, byte in enumerate(document):
        if place in within:
            yield place, byte ^ (1 << place % 8)
        else:
            yield from ((place, value) for value in range(256) if value != byte)


def refused(name: str, wanted: list[Change]) -> Counter[str]:
    """Counts the refusals by code. Raises AssertionError where a changed document is taken."""
    # A changed serial number may be negative: the library warns, and the chain is refused.
    warnings.simplefilter("ignore")
    document, known = genuine(name)
    good = {genuine(each)[0] for each in GOOD}
    remembered = functools.lru_cache(maxsize=8)(real_leaf_key)

    def leaf_key(bundle, leaf, root, times):  # type: ignore[no-untyped-def]
        return remembered(tuple(bundle), leaf, root, tuple(times))

    chain.leaf_key, counted = leaf_key, Counter[str]()
    try:
        for place, value in wanted:
            changed = bytearray(document)
            changed[place] = value
            # The badly signed one is a good one with one byte changed: here it is changed back.
            again = bytes(changed) in good
            assert not again or name.endswith("_badsig")
            counted["good again" if again else code_of_changed(bytes(changed), known)] += 1
    finally:
        chain.leaf_key = real_leaf_key
    return counted


real_leaf_key = chain.leaf_key


def code_of_changed(document: bytes, known: dict[str, Any]) -> str:
    with pytest.raises(AttestationRefused) as refused:
        verify(document, **known)
    # What the hypervisor said is looked at last: a changed document never gets so far.
    assert refused.value.code not in {"debug_mode", "pcr", "nonce", "stale", "future"}
    return refused.value.code


@pytest.mark.parametrize("name", GENUINE)
def test_a_sample_of_changed_bytes_is_refused(name: str) -> None:
    document, _ = genuine(name)
    within = payload_range(document)
    outside = [place for place in range(len(document)) if place not in within]
    heads = [place for place in outside if place < within.start]
    sample = [change for change in changes(document) if change[0] in heads]
    sample += [(place, document[place] ^ 1) for place in outside if place not in heads]
    sample += [(place, document[place] ^ 0x80) for place in within[::29]]
    assert len(outside) == 108
    assert sum(refused(name, sample).values()) == len(sample) > 2700


@pytest.mark.parametrize("name", GENUINE)
def test_a_document_cut_short_or_with_a_byte_more_is_refused(name: str) -> None:
    document, known = genuine(name)
    for size in range(len(document)):
        assert code_of_changed(document[:size], known) in {"cbor_truncated", "document_size"}
    for byte in range(256):
        assert code_of_changed(document + bytes([byte]), known) == "cbor_trailing"
        if byte != 0xD2:  # the tag of COSE_Sign1, which may be there
            assert code_of_changed(bytes([byte]) + document, known)


@pytest.mark.long
def test_every_changed_byte_of_every_genuine_document_is_refused() -> None:
    wanted = {name: list(changes(genuine(name)[0])) for name in GENUINE}
    jobs = [(name, all_[part::PARTS]) for name, all_ in wanted.items() for part in range(PARTS)]
    counted: Counter[str] = Counter()
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawned) as pool:
        for found in pool.map(refused, *zip(*jobs, strict=True)):
            counted += found
    total = sum(len(all_) for all_ in wanted.values())
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    print(f"\n{total} changed documents, {used:.0f} s of work: {dict(counted.most_common())}")
    assert sum(counted.values()) == total > 150_000
    assert counted["good again"] == 1
