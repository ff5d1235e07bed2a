"""Attempts to have a bad document taken: signed as it should be, and wrong in one thing.

Method: the fake hypervisor signs what a genuine one never would, so only the check that is meant
stands in the way. Every attempt names the code that it must be refused with.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier
from fake_nitro import CHAIN, Chain, FakeRoot, issue, sign_document
from test_attestation import MS, NOW, PCRS, code_of, options, payload

from sentinel.attestation import AttestationRefused, TrustRoot, verify


@pytest.fixture(scope="module")
def root() -> FakeRoot:
    return FakeRoot.make()


@pytest.fixture(scope="module")
def chain(root: FakeRoot) -> Chain:
    return root.chain(NOW)


def pairs_of(chain: Chain, **others: Any) -> list[tuple[bytes, bytes]]:
    """A payload's keys and values, encoded, in Nitro's order."""
    fields = payload(certificate=chain.leaf.der, cabundle=list(chain.bundle), **others)
    return [(cbor2.dumps(key), cbor2.dumps(value)) for key, value in fields.items()]


def map_of(pairs: Iterable[tuple[bytes, bytes]], head: bytes | None = None) -> bytes:
    listed = list(pairs)
    start = head or bytes([0xA0 | len(listed)])
    return start + b"".join(key + value for key, value in listed)


def with_value(pairs: list[tuple[bytes, bytes]], name: str, value: bytes) -> bytes:
    return map_of((key, value if key == cbor2.dumps(name) else old) for key, old in pairs)


def attempt(root: FakeRoot, chain: Chain, body: bytes) -> str:
    return code_of(sign_document(body, root, chain=chain), **options(root))


def test_the_order_of_keys_is_free(root: FakeRoot, chain: Chain) -> None:
    pairs = pairs_of(chain)
    for order in (pairs[::-1], sorted(pairs), pairs[4:] + pairs[:4]):
        document = sign_document(map_of(order), root, chain=chain)
        assert verify(document, **options(root)).time == NOW
    backwards = dict(sorted(payload()["pcrs"].items(), reverse=True))
    document = sign_document(payload(pcrs=backwards), root)
    assert verify(document, **options(root)).pcrs[0] == PCRS[0]


def test_nothing_of_indefinite_length(root: FakeRoot, chain: Chain) -> None:
    pairs = pairs_of(chain)
    assert attempt(root, chain, map_of(pairs, b"\xbf") + b"\xff") == "cbor_indefinite"
    inner = map_of(
        ((cbor2.dumps(n), cbor2.dumps(pcr)) for n, pcr in payload()["pcrs"].items()), b"\xbf"
    )
    bundle = b"\x9f" + b"".join(map(cbor2.dumps, chain.bundle)) + b"\xff"
    leaf = b"\x5f" + cbor2.dumps(chain.leaf.der) + b"\xff"
    text = b"\x7f" + cbor2.dumps("SHA384") + b"\xff"
    for name, value in (
        *(("pcrs", inner + b"\xff"), ("cabundle", bundle)),
        *(("certificate", leaf), ("digest", text)),
    ):
        assert attempt(root, chain, with_value(pairs, name, value)) == "cbor_indefinite"
    document = sign_document(payload(), root)
    assert code_of(b"\x9f" + document[1:] + b"\xff", **options(root)) == "cbor_indefinite"


def test_nothing_longer_than_it_need_be(root: FakeRoot, chain: Chain) -> None:
    pairs = pairs_of(chain)
    longer = b"\x1b" + MS.to_bytes(8, "big")
    assert with_value(pairs, "timestamp", longer) == map_of(pairs)
    assert attempt(root, chain, map_of(pairs, b"\xb8\x09")) == "cbor_not_shortest"
    text = b"\x78\x06SHA384"
    assert attempt(root, chain, with_value(pairs, "digest", text)) == "cbor_not_shortest"
    key = (b"\x78\x06digest", cbor2.dumps("SHA384"))
    others = [pair for pair in pairs if pair[0] != cbor2.dumps("digest")]
    assert attempt(root, chain, map_of([*others, key])) == "cbor_not_shortest"
    document = sign_document(payload(), root)
    for longer in (b"\x98\x04" + document[1:], document[:1] + b"\x58\x04" + document[2:]):
        assert code_of(longer, **options(root)) == "cbor_not_shortest"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (cbor2.dumps(float(MS)), "cbor_type"),
        (b"\xfb" + b"\x7f\xf8" + bytes(6), "cbor_type"),
        (cbor2.dumps(str(MS)), "field_type"),
        (cbor2.dumps(None), "field_type"),
        (cbor2.dumps(True), "cbor_type"),
        (cbor2.dumps(-MS), "field_value"),
        (cbor2.dumps(0), "field_value"),
        (cbor2.dumps(2**64 - 1), "field_value"),
        (cbor2.dumps(253402300800000), "field_value"),
        (b"\xc1" + cbor2.dumps(MS), "cbor_type"),
        (b"\xc2" + cbor2.dumps(MS.to_bytes(8, "big")), "cbor_type"),
        (cbor2.dumps(MS + 31_000), "future"),
        (cbor2.dumps(MS - 301_000), "stale"),
    ],
)
def test_timestamps(root: FakeRoot, chain: Chain, value: bytes, code: str) -> None:
    # The leaf is valid on both sides of NOW, so that the time itself is judged.
    around = root.chain(NOW - dt.timedelta(hours=1))
    body = with_value(pairs_of(around), "timestamp", value)
    assert attempt(root, around, body) == code


def test_the_edges_of_freshness(root: FakeRoot) -> None:
    around = root.chain(NOW - dt.timedelta(hours=1))
    for ms in (MS + 30_000, MS, MS - 300_000):
        document = sign_document(payload(timestamp=ms), root, chain=around)
        assert verify(document, **options(root)).nonce_checked


def test_no_key_twice(root: FakeRoot, chain: Chain) -> None:
    pairs = pairs_of(chain)
    for pair in pairs:
        assert attempt(root, chain, map_of([*pairs, pair])) == "cbor_duplicate_key"
    debug = [(cbor2.dumps(n), cbor2.dumps(pcr)) for n, pcr in payload()["pcrs"].items()]
    twice = map_of([*debug, (cbor2.dumps(0), cbor2.dumps(bytes(48)))], b"\xb1")
    assert attempt(root, chain, with_value(pairs, "pcrs", twice)) == "cbor_duplicate_key"
    longer = map_of([*debug, (b"\x18\x00", cbor2.dumps(bytes(48)))], b"\xb1")
    assert attempt(root, chain, with_value(pairs, "pcrs", longer)) == "cbor_not_shortest"


@pytest.mark.parametrize(
    ("index", "code"),
    [(-1, "field_value"), (32, "field_value"), ("0", "field_type"), (2**63, "field_value")],
)
def test_no_pcr_but_those_that_are(root: FakeRoot, index: int | str, code: str) -> None:
    pcrs = payload()["pcrs"] | {index: bytes(48)}
    assert code_of(sign_document(payload(pcrs=pcrs), root), **options(root)) == code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"pcrs": {}}, "field_size"),
        ({"pcrs": None}, "field_type"),
        ({"pcrs": {0: bytes([1]) * 32}}, "field_size"),
        ({"pcrs": {0: bytes([1]) * 64}}, "field_size"),
        ({"pcrs": {0: "text"}}, "field_type"),
        ({"pcrs": {0: None}}, "field_type"),
        ({"pcrs": [bytes(48)]}, "field_type"),
        ({"pcrs": {n: PCRS[n] for n in (0, 1)}}, "pcr_missing"),
        ({"digest": "SHA256"}, "field_value"),
        ({"digest": b"SHA384"}, "field_value"),
        ({"digest": None}, "field_value"),
        ({"module_id": ""}, "field_value"),
        ({"module_id": "i-\x1b[2J"}, "field_value"),
        ({"module_id": "i-é"}, "field_value"),
        ({"module_id": "i" * 257}, "field_value"),
        ({"module_id": b"i-0"}, "field_type"),
        ({"nonce": "text"}, "field_type"),
        ({"nonce": bytes(513)}, "field_size"),
        ({"nonce": None}, "nonce_missing"),
        ({"nonce": b""}, "nonce"),
        ({"user_data": bytes(513)}, "field_size"),
        ({"user_data": {}}, "field_type"),
        ({"public_key": b""}, "field_size"),
        ({"public_key": bytes(1025)}, "field_size"),
        ({"public_key": 7}, "field_type"),
        ({"debug": None}, "field_unknown"),
        ({0: b""}, "field_unknown"),
    ],
)
def test_fields(root: FakeRoot, changed: dict[Any, Any], code: str) -> None:
    assert code_of(sign_document(payload() | changed, root), **options(root)) == code


@pytest.mark.parametrize(
    "name", ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"]
)
def test_every_required_field(root: FakeRoot, chain: Chain, name: str) -> None:
    pairs = [pair for pair in pairs_of(chain) if pair[0] != cbor2.dumps(name)]
    assert attempt(root, chain, map_of(pairs)) == "field_missing"


def test_a_payload_is_a_map_and_a_bundle_an_array(root: FakeRoot, chain: Chain) -> None:
    for value in ([], None, 7, b"", "text"):
        assert attempt(root, chain, cbor2.dumps(value)) == "field_type"
    pairs = pairs_of(chain)
    for value in (chain.bundle[0], {0: chain.bundle[0]}, None):
        assert attempt(root, chain, with_value(pairs, "cabundle", cbor2.dumps(value))) == (
            "field_type"
        )
    for value in (None, "text", [chain.leaf.der]):
        assert attempt(root, chain, with_value(pairs, "certificate", cbor2.dumps(value))) == (
            "field_type"
        )


def test_what_is_refused_is_not_repeated_at_length(root: FakeRoot) -> None:
    for others in ({"digest": "x" * 8000}, {"y" * 8000: 1}):
        with pytest.raises(AttestationRefused) as refused:
            verify(sign_document(payload() | others, root), **options(root))
        assert len(str(refused.value)) < 200


def test_optional_fields_may_be_left_out(root: FakeRoot, chain: Chain) -> None:
    named = {cbor2.dumps(name) for name in ("public_key", "user_data")}
    body = map_of(pair for pair in pairs_of(chain) if pair[0] not in named)
    found = verify(sign_document(body, root, chain=chain), **options(root))
    assert (found.public_key, found.user_data) == (None, None)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_debug_mode_whatever_is_expected(root: FakeRoot, index: int) -> None:
    pcrs = payload()["pcrs"] | {index: bytes(48)}
    assert code_of(sign_document(payload(pcrs=pcrs), root), **options(root)) == "debug_mode"


UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
CHAINS: dict[str, tuple[dict[int, dict[str, Any]], str]] = {
    "an issuer that is no authority": ({1: {"ca": False, "path_length": None}}, "constraints"),
    "the last issuer is no authority": ({2: {"ca": False, "path_length": None}}, "constraints"),
    "an issuer without constraints": ({0: {"ca": None}}, "constraints"),
    "constraints that are not critical": ({1: {"critical": False}}, "constraints"),
    "a leaf that is an authority": ({3: {"ca": True}}, "constraints"),
    "a leaf without constraints": ({3: {"ca": None}}, "constraints"),
    "a path too long for the first": ({0: {"path_length": 1}}, "path_length"),
    "a path too long for the second": ({1: {"path_length": 0}}, "path_length"),
    "an issuer that may not sign certificates": ({1: {"cert_sign": False}}, "key_usage"),
    "an issuer without a usage": ({2: {"usage": False}}, "key_usage"),
    "a leaf that may sign certificates": ({3: {"cert_sign": True}}, "key_usage"),
    "a leaf that may not sign documents": ({3: {"digital_signature": False}}, "key_usage"),
    "a leaf without a usage": ({3: {"usage": False}}, "key_usage"),
    "an expired first": ({0: {"days": 1e-9}}, "expired"),
    "an expired second": ({1: {"days": 1e-9}}, "expired"),
    "an expired third": ({2: {"begins": dt.timedelta(days=-2)}}, "expired"),
    "an expired leaf": ({3: {"begins": dt.timedelta(hours=-4)}}, "expired"),
    "an issuer of tomorrow": ({1: {"begins": dt.timedelta(days=1)}}, "not_yet_valid"),
    "a leaf of tomorrow": ({3: {"begins": dt.timedelta(days=1)}}, "not_yet_valid"),
    "another issuer's name": ({2: {"issuer": "somebody else"}}, "issuer"),
    "another issuer's name in the leaf": ({3: {"issuer": "somebody else"}}, "issuer"),
    "a key on another curve": ({1: {"curve": ec.SECP256R1()}}, "algorithm"),
    "a leaf on another curve of 384 bits": ({3: {"curve": ec.BrainpoolP384R1()}}, "algorithm"),
    "an issuer on a larger curve": ({2: {"curve": ec.SECP521R1()}}, "algorithm"),
    "a signature with SHA-256": ({2: {"digest": hashes.SHA256()}}, "algorithm"),
    "a leaf with SHA-512": ({3: {"digest": hashes.SHA512()}}, "algorithm"),
    "a critical extension that nobody knows": ({1: {"extra": ((UNKNOWN, True),)}}, "extension"),
    "a critical extension in the leaf": ({3: {"extra": ((UNKNOWN, True),)}}, "extension"),
}


@pytest.mark.parametrize("what", CHAINS)
def test_chains(root: FakeRoot, what: str) -> None:
    changes, code = CHAINS[what]
    document = sign_document(payload(), root, chain=root.chain(NOW, changes))
    assert code_of(document, **options(root)) == f"certificate_{code}"


def test_an_extension_that_is_not_critical_may_be_there(root: FakeRoot) -> None:
    chain = root.chain(NOW, {1: {"extra": ((UNKNOWN, False),)}})
    assert verify(sign_document(payload(), root, chain=chain), **options(root)).nonce_checked


def rebundled(root: FakeRoot, chain: Chain, change: Callable[[list[bytes]], list[bytes]]) -> str:
    changed = replace(chain, bundle=tuple(change(list(chain.bundle))))
    return code_of(sign_document(payload(), root, chain=changed), **options(root))


def test_the_bundle_is_the_chain_and_nothing_else(root: FakeRoot, chain: Chain) -> None:
    other = FakeRoot.make()
    more = issue(replace(CHAIN[0], common="more"), NOW, root.issuer).der
    assert rebundled(root, chain, lambda b: [*b, more]) == "certificate_path_length"
    assert rebundled(root, chain, lambda b: [*b[:1], more, *b[1:]]) == "certificate_path_length"
    assert rebundled(root, chain, lambda b: [*b, b[0]]) == "certificate_path_length"
    assert rebundled(root, chain, lambda b: [b[0], *b]) == "certificate_issuer"
    assert rebundled(root, chain, lambda b: b[:-1]) == "certificate_issuer"
    assert rebundled(root, chain, lambda b: [b[0], *b[2:]]) == "certificate_issuer"
    assert rebundled(root, chain, lambda b: b[:1]) == "certificate_issuer"
    assert rebundled(root, chain, lambda b: [b[0], b[2], b[1], b[3]]) == "certificate_path_length"
    assert rebundled(root, chain, lambda b: b[1:]) == "root"
    assert rebundled(root, chain, lambda b: b[::-1]) == "root"
    assert rebundled(root, chain, lambda b: [other.der, *b[1:]]) == "root"
    assert rebundled(root, chain, lambda b: []) == "field_size"
    assert rebundled(root, chain, lambda b: [*b, *b, *b]) == "field_size"
    assert rebundled(root, chain, lambda b: [*b[:-1], b[-1] + b"\0"]) == "certificate_malformed"
    assert rebundled(root, chain, lambda b: [*b[:-1], b"\x30\x00"]) == "certificate_malformed"
    assert rebundled(root, chain, lambda b: [*b[:-1], bytes(1025)]) == "field_size"


def test_a_stranger_with_the_same_names_is_refused(root: FakeRoot, chain: Chain) -> None:
    """Another root makes a chain with the same names; its root is exchanged for the pinned one."""
    stranger = FakeRoot.make()
    forged = stranger.chain(NOW)
    swapped = replace(forged, bundle=(root.der, *forged.bundle[1:]))
    document = sign_document(payload(), root, chain=swapped)
    assert code_of(document, **options(root)) == "certificate_signature"
    # Or the genuine chain, and the document signed by another key.
    stolen = replace(chain, leaf=replace(forged.leaf, certificate=chain.leaf.certificate))
    assert code_of(sign_document(payload(), root, chain=stolen), **options(root)) == "signature"
    # Or a leaf that another, genuine leaf issued.
    below = issue(CHAIN[3], NOW, chain.leaf)
    longer = Chain(below, (*chain.bundle, chain.leaf.der))
    code = code_of(sign_document(payload(), root, chain=longer), **options(root))
    assert code in {"certificate_path_length", "certificate_constraints"}


def test_a_chain_is_judged_at_the_documents_time_and_at_now(root: FakeRoot) -> None:
    """Within max_age, a leaf may end between the two."""
    ending = root.chain(NOW - dt.timedelta(hours=3) + dt.timedelta(seconds=10))
    document = sign_document(payload(), root, chain=ending)
    assert verify(document, **options(root)).nonce_checked
    later = options(root, now=NOW + dt.timedelta(seconds=60))
    assert code_of(document, **later) == "certificate_expired"
    starting = root.chain(NOW + dt.timedelta(seconds=10))
    document = sign_document(payload(), root, chain=starting)
    later = options(root, now=NOW + dt.timedelta(seconds=20))
    assert code_of(document, **later) == "certificate_not_yet_valid"
    old = options(root, now=NOW + dt.timedelta(hours=2), max_age=dt.timedelta(hours=3))
    assert verify(sign_document(payload(), root), **old).nonce_checked


def test_a_root_that_is_pinned_and_expired_is_refused() -> None:
    from fake_nitro import ROOT

    short = FakeRoot.make(replace(ROOT, days=1))
    document = sign_document(payload(), short)
    assert code_of(document, **options(short)) == "certificate_expired"


@pytest.mark.parametrize("change", [{"ca": False}, {"path_length": 2}, {"cert_sign": False}])
def test_the_pinned_root_is_judged_too(change: dict[str, Any]) -> None:
    from fake_nitro import ROOT

    odd = FakeRoot.make(replace(ROOT, **change))
    code = code_of(sign_document(payload(), odd), **options(odd))
    assert code in {
        *("certificate_constraints", "certificate_path_length", "certificate_key_usage"),
    }


def test_headers_and_shape(root: FakeRoot) -> None:
    document = sign_document(payload(), root)
    protected, unprotected, body, signature = cbor2.loads(document)

    def code(*parts: Any) -> str:
        return code_of(cbor2.dumps(list(parts)), **options(root))

    assert code(protected, {4: b"kid"}, body, signature) == "cose_unprotected"
    assert code(protected, {1: -35}, body, signature) == "cose_unprotected"
    assert code(protected, unprotected, body) == "cose_shape"
    assert code(protected, unprotected, body, signature, b"") == "cose_shape"
    assert code(protected, unprotected, None, signature) == "cose_shape"
    assert code(protected, [], body, signature) == "cose_shape"
    assert code({1: -35}, unprotected, body, signature) == "cose_shape"
    assert code(protected, unprotected, cbor2.loads(body), signature) in {"cose_shape"}
    assert code(protected, unprotected, b"", signature) == "field_size"
    assert code(protected, unprotected, body, signature[:-1]) == "cose_shape"
    assert code(protected, unprotected, body, signature + b"\0") == "cose_shape"
    assert code(protected, unprotected, body, b"") == "unsigned"
    assert code(protected, unprotected, body, bytes(96)) == "unsigned"
    assert code(protected, unprotected, body, bytes(95) + b"\1") == "signature"
    assert code(protected, unprotected, body, b"\xff" * 96) == "signature"
    assert code(protected, unprotected, body + b"\0", signature) == "cbor_trailing"
    assert code(b"\xa1\x01\x38\x22\x00", unprotected, body, signature) == "cose_algorithm"
    assert code(b"\xa1\x18\x01\x38\x22", unprotected, body, signature) == "cose_algorithm"
    assert code(b"", unprotected, body, signature) == "cose_algorithm"
    for whole in (b"", b"\xd2", bytes(16513), cbor2.dumps({}), cbor2.dumps(document)):
        assert code_of(whole, **options(root)) in {
            "document_size",
            "cose_shape",
            "cbor_truncated",
            "cbor_trailing",
        }


def test_other_forms_of_a_signature_are_refused(root: FakeRoot, chain: Chain) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    document = sign_document(payload(), root, chain=chain)
    protected, unprotected, body, signature = cbor2.loads(document)
    r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
    der = encode_dss_signature(r, s)
    whole = cbor2.dumps([protected, unprotected, body, der])
    assert code_of(whole, **options(root)) == "cose_shape"
    for first, second in ((0, s), (r, 0), (s, r)):
        raw = first.to_bytes(48, "big") + second.to_bytes(48, "big")
        whole = cbor2.dumps([protected, unprotected, body, raw])
        assert code_of(whole, **options(root)) == "signature"


def test_another_context_of_cose_is_refused(root: FakeRoot, chain: Chain) -> None:
    """The same key signs the same payload for COSE_Sign, or with data from outside."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    protected, unprotected, body, _ = cbor2.loads(sign_document(payload(), root, chain=chain))
    for message in (
        cbor2.dumps(["Signature", protected, b"", b"", body]),
        cbor2.dumps(["Signature1", protected, b"outside", body]),
        cbor2.dumps(["Signature1", b"", b"", body]),
        body,
    ):
        r, s = decode_dss_signature(chain.leaf.key.sign(message, ec.ECDSA(hashes.SHA384())))
        raw = r.to_bytes(48, "big") + s.to_bytes(48, "big")
        whole = cbor2.dumps([protected, unprotected, body, raw])
        assert code_of(whole, **options(root)) == "signature"


def test_a_root_of_pem_is_one_certificate(root: FakeRoot) -> None:
    from sentinel.attestation import ExpectationInvalid

    for pem in (b"", b"text", root.pem + root.pem, root.pem[:-40]):
        with pytest.raises(ExpectationInvalid) as refused:
            TrustRoot.of_pem(pem)
        assert refused.value.code == "root_certificate"
