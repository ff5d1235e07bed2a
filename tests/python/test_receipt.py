"""Receipts: what they prove to somebody who has nothing else, and what they refuse.

Goal: no receipt passes that says anything but what its record says, or that is of another engine.
Method: one real receipt, changed in every field and at every third byte; the reference roots of
RFC 6962's test tree.
"""

from __future__ import annotations

import base64
import json
import random
from hashlib import sha256

import pytest
from engines import Made, Traded

from sentinel import Expectation, Message, Signer, _core, verify_receipt
from sentinel._record import tree_path, tree_root, tree_root_from_path
from sentinel.audit import find_record
from sentinel.errors import VerificationFailed

# ---- RFC 6962 -----------------------------------------------------------------------------------

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
          "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaf_hashes(count: int) -> list[bytes]:
    return [sha256(b"\0" + bytes.fromhex(text)).digest() for text in LEAVES[:count]]


@pytest.mark.parametrize("count", range(9))
def test_roots_are_those_of_the_reference_tree(count: int) -> None:
    leaves = leaf_hashes(count)
    assert tree_root(leaves).hex() == ROOTS[count]
    tree = _core.Tree()
    for leaf in leaves:
        tree.add(leaf)
    assert tree.root().hex() == ROOTS[count]


def test_every_path_leads_to_the_root_and_no_other_leaf_does() -> None:
    for count in range(1, 20):
        leaves = [sha256(bytes([n])).digest() for n in range(count)]
        root = tree_root(leaves)
        for index in range(count):
            path = tree_path(leaves, index)
            assert tree_root_from_path(leaves[index], index, count, path) == root
            for other in range(count):
                if other != index:
                    assert tree_root_from_path(leaves[other], index, count, path) != root
                    assert tree_root_from_path(leaves[index], other, count, path) != root
            assert tree_root_from_path(leaves[index], index, count, [*path, bytes(32)]) is None
            if path:
                assert tree_root_from_path(leaves[index], index, count, path[:-1]) != root


# ---- Receipts -----------------------------------------------------------------------------------


def expectation(traded: Traded) -> Expectation:
    return traded.made.created.expectation


def test_a_receipt_proves_its_record(traded: Traded) -> None:
    proven = verify_receipt(json.dumps(traded.receipt), expectation(traded))
    assert proven.record.number == traded.signed
    assert proven.policy_version == 2
    assert traded.receipt["enclave_attestation"] is None
    assert traded.receipt["policy_version"] == 2
    assert [row["type"] for row in traded.receipt["constraints_evaluated"]][:2] == [
        "kill_switch",
        "actions",
    ]


def test_a_receipt_without_an_expectation_proves_nothing(traded: Traded) -> None:
    with pytest.raises(VerificationFailed, match="nothing was pinned"):
        verify_receipt(traded.receipt, None)


@pytest.mark.parametrize("what", ["engine_id", "root_threshold", "root_keys"])
def test_a_receipt_of_another_engine_or_authority_is_refused(traded: Traded, what: str) -> None:
    good = expectation(traded)
    other = {
        "engine_id": bytes(32),
        "root_threshold": 2,
        "root_keys": (bytes(32),),
    }
    fields = {name: getattr(good, name) for name in other} | {what: other[what]}
    with pytest.raises(VerificationFailed, match="another engine"):
        verify_receipt(traded.receipt, Expectation(**fields))


def test_an_expectation_survives_its_file(traded: Traded) -> None:
    text = (traded.made.directory / "expectation.json").read_text()
    assert Expectation.from_json(text) == expectation(traded)
    for wrong in ("", "[]", "{}", text.replace('"threshold": 1', '"threshold": "1"')):
        with pytest.raises(VerificationFailed):
            Expectation.from_json(wrong)


def test_every_readable_field_is_compared_with_the_record(traded: Traded) -> None:
    for name, value in traded.receipt.items():
        if name == "proof":
            continue
        for other in ("something else", 10**6, True, None, [], 1.0):
            if other == value and type(other) is type(value):
                continue
            with pytest.raises(VerificationFailed):
                verify_receipt({**traded.receipt, name: other}, expectation(traded))
    for index, row in enumerate(traded.receipt["constraints_evaluated"]):
        for name in row:
            rows = [dict(r) for r in traded.receipt["constraints_evaluated"]]
            rows[index][name] = "other"
            with pytest.raises(VerificationFailed):
                verify_receipt(
                    {**traded.receipt, "constraints_evaluated": rows}, expectation(traded)
                )
    with pytest.raises(VerificationFailed):
        verify_receipt({**traded.receipt, "note": "also true"}, expectation(traded))


def test_one_flipped_bit_of_a_receipt_is_found(traded: Traded) -> None:
    text = json.dumps(traded.receipt, indent=2).encode()
    rng = random.Random(3)
    for offset in range(0, len(text), 3):
        changed = bytearray(text)
        changed[offset] ^= 1 << rng.randrange(8)
        try:
            decoded = changed.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(VerificationFailed):
            verify_receipt(decoded, expectation(traded))


def test_a_receipt_with_another_record_of_the_log_is_refused(traded: Traded) -> None:
    proof = traded.receipt["proof"]
    other = find_record(traded.made.directory, traded.denied)
    changed = {**proof, "record": base64.b64encode(other.raw).decode()}
    with pytest.raises(VerificationFailed, match="not under the head"):
        verify_receipt({**traded.receipt, "proof": changed}, expectation(traded))


def test_a_receipt_that_hides_its_policy_is_refused(traded: Traded) -> None:
    changed = {**traded.receipt["proof"], "policy": None}
    with pytest.raises(VerificationFailed, match="record of the policy is missing"):
        verify_receipt(
            {**traded.receipt, "policy_version": None, "proof": changed}, expectation(traded)
        )


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"proof": 1}', "{}", '{"a": 1, "a": 2}'])
def test_what_is_no_receipt_is_refused_clearly(traded: Traded, text: str) -> None:
    with pytest.raises(VerificationFailed):
        verify_receipt(text, expectation(traded))


def test_receipts_are_made_while_the_log_grows(engine: Made) -> None:
    with engine.open() as signer:
        _receipts_while_signing(signer, engine)


def _receipts_while_signing(signer: Signer, engine: Made) -> None:
    session = signer.session("maker")
    signed = [session.sign(Message(text=str(n))) for n in range(5)]
    for one in signed:
        receipt = signer.receipt(one.handle)
        proven = verify_receipt(receipt, engine.created.expectation)
        assert proven.record.payload_digest == one.transaction_hash
        session.sign(Message(text="more"))
