"""A KMS key policy that would let anybody but the image open the root is found.

Goal: no policy passes that gives the root to more than the pinned image. Method: one good policy,
and a table of changes to it, each with its code; the good ones pass, however they are written.
Every code has a case (at the end).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sentinel._enclave_policy import (
    CHANGING,
    HARMLESS,
    OPENING,
    POLICY_BYTES_MAX,
    REMEDY,
    check_policy,
)
from sentinel.errors import ConfigError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "aws"
ROLE = {"AWS": "arn:aws:iam::111122223333:role/sentinel-parent"}
PCR0, PCR8 = "a0" * 48, "a8" * 48
PIN0, PIN8 = "kms:RecipientAttestation:PCR0", "kms:RecipientAttestation:PCR8"
IMAGE = "kms:RecipientAttestation:ImageSha384"
Statement = dict[str, Any]


def good() -> dict[str, Any]:
    """The example, for an image that is known."""
    text = (EXAMPLES / "key-policy.json").read_text()
    return json.loads(text.replace("PCR0-of-the-image-96-hex-digits", PCR0))


def changed(change: Callable[[Statement], None]) -> dict[str, Any]:
    """The same, with its opening statement changed."""
    policy = copy.deepcopy(good())
    change(policy["Statement"][0])
    return policy


def with_(**members: Any) -> dict[str, Any]:
    return changed(lambda statement: statement.update(members))


def without(member: str) -> dict[str, Any]:
    return changed(lambda statement: statement.pop(member))


def beside(**members: Any) -> dict[str, Any]:
    """The good policy and one more statement."""
    policy = copy.deepcopy(good())
    more = {"Sid": "more", "Effect": "Allow", "Principal": ROLE, "Resource": "*"}
    policy["Statement"].append(more | members)
    return policy


def pin(value: Any, key: str = PIN0, operator: str = "StringEqualsIgnoreCase") -> dict[str, Any]:
    return with_(Condition={operator: {key: value}})


ROOT = {"AWS": "arn:aws:iam::111122223333:root"}
BAD: dict[str, tuple[dict[str, Any], set[str]]] = {
    "the default policy: the account's root may do all": (
        beside(Principal=ROOT, Action="kms:*"),
        {"change", "unpinned"},
    ),
    "all actions of all services": (beside(Action="*"), {"change", "unpinned"}),
    "PutKeyPolicy": (beside(Action="kms:PutKeyPolicy"), {"change"}),
    "PutKeyPolicy, pinned": (
        beside(Action="kms:PutKeyPolicy", Condition={"StringEquals": {PIN0: PCR0}}),
        {"change"},
    ),
    "CreateGrant, in other letters": (beside(Action="KMS:creategrant"), {"change"}),
    "a pattern that has it inside": (beside(Action="kms:*Policy"), {"change"}),
    "a pattern with a question mark": (beside(Action="kms:PutKeyPolic?"), {"change"}),
    "ReplicateKey": (beside(Action=["kms:ReplicateKey"]), {"change"}),
    "ImportKeyMaterial": (beside(Action=["kms:ImportKeyMaterial"]), {"change"}),
    "no condition": (without("Condition"), {"unpinned"}),
    "an empty condition": (with_(Condition={}), {"unpinned"}),
    "a second statement without one": (beside(Action="kms:DeriveSharedSecret"), {"unpinned"}),
    "Decrypt without one": (beside(Action="kms:Decrypt"), {"unpinned"}),
    "a pattern of data keys": (beside(Action="kms:Generate*"), {"unpinned"}),
    "only a source address": (
        with_(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.1/32"}}),
        {"unpinned"},
    ),
    "only that there is a document": (pin("false", operator="Null"), {"weak_operator"}),
    "StringLike": (pin(PCR0, operator="StringLike"), {"weak_operator"}),
    "IfExists: no document, no test": (
        pin(PCR0, operator="StringEqualsIfExists"),
        {"weak_operator"},
    ),
    "ForAllValues: nothing passes all": (
        pin(PCR0, operator="ForAllValues:StringEquals"),
        {"weak_operator"},
    ),
    "another image than": (pin(PCR0, operator="StringNotEquals"), {"weak_operator"}),
    "the pin, and a weak one": (
        with_(Condition={"StringEquals": {PIN0: PCR0}, "StringLike": {IMAGE: "*"}}),
        {"weak_operator"},
    ),
    "a wildcard": (pin("*"), {"bad_value"}),
    "no value": (pin([]), {"bad_value"}),
    "one of two is a wildcard": (pin([PCR0, "a0*"]), {"bad_value"}),
    "too short": (pin(PCR0[:-2]), {"bad_value"}),
    "no hex": (pin("g" * 96), {"bad_value"}),
    "the placeholder": (pin("PCR0-of-the-image-96-hex-digits"), {"bad_value"}),
    "a PCR that does not exist": (pin(PCR0, "kms:RecipientAttestation:PCR32"), {"bad_value"}),
    "zeros: debug mode": (pin("0" * 96), {"debug"}),
    "zeros among others": (pin([PCR0, "0" * 96], IMAGE), {"debug"}),
    "the signer alone": (pin(PCR8, PIN8), {"signer_alone"}),
    "the instance alone": (pin(PCR8, "kms:RecipientAttestation:PCR4"), {"unpinned"}),
    "anybody": (with_(Principal="*"), {"anybody"}),
    "any account": (with_(Principal={"AWS": "*"}), {"anybody"}),
    "any role of a name": (with_(Principal={"AWS": ["arn:aws:iam::*:role/x"]}), {"anybody"}),
    "a service": (with_(Principal={"Service": "ec2.amazonaws.com"}), {"principal"}),
    "NotAction": (changed(lambda s: s.update(NotAction=s.pop("Action"))), {"inverted"}),
    "NotPrincipal": (changed(lambda s: s.update(NotPrincipal=s.pop("Principal"))), {"inverted"}),
    "NotResource": (changed(lambda s: s.update(NotResource=s.pop("Resource"))), {"inverted"}),
    "an action of a later KMS": (beside(Action="kms:ExportKey"), {"unknown_action"}),
    "a trap: a class in brackets is none": (beside(Action="kms:[D]ecrypt"), {"unknown_action"}),
    "nobody": (
        {"Version": "2012-10-17", "Statement": [good()["Statement"][1]]},
        {"not_opened"},
    ),
    "only a Deny": (with_(Effect="Deny"), {"not_opened"}),
}


@pytest.mark.parametrize("name", BAD)
def test_each_way_around_the_image_is_found(name: str) -> None:
    policy, codes = BAD[name]
    found = check_policy(policy)
    assert {one.code for one in found} == codes
    for one in found:
        assert one.remedy == REMEDY[one.code]
        assert one.statement
        assert one.text
    # As text, and as get-key-policy prints it: the same.
    text = json.dumps(policy)
    assert check_policy(text) == found
    assert check_policy(json.dumps({"Policy": text})) == found


GOOD = {
    "the example": good(),
    "ImageSha384, which is PCR0": pin(PCR0, IMAGE),
    "exact, in capitals, keys in other letters": pin(PCR0.upper(), IMAGE.lower(), "StringEquals"),
    "two images, for an upgrade": pin([PCR0, PCR8]),
    "signer and image": with_(Condition={"StringEquals": {PIN0: PCR0, PIN8: PCR8}}),
    "and a source": with_(
        Condition={"StringEquals": {PIN0: PCR0}, "IpAddress": {"aws:SourceIp": "10.0.0.1/32"}}
    ),
    "what opens nothing": beside(Action=list(HARMLESS)),
    "what is denied": beside(Effect="Deny", Principal="*", Action=list(CHANGING)),
    "one statement that is no list": {
        "Version": "2012-10-17",
        "Statement": good()["Statement"][0],
    },
}


@pytest.mark.parametrize("name", GOOD)
def test_what_opens_to_the_image_alone_passes(name: str) -> None:
    assert not check_policy(GOOD[name])


def test_the_examples_pass_once_they_name_an_image() -> None:
    for name in ("key-policy.json", "key-policy-signed.json"):
        text = (EXAMPLES / name).read_text()
        assert {one.code for one in check_policy(text)} == {"bad_value"}
        text = text.replace("PCR0-of-the-image-96-hex-digits", PCR0)
        text = text.replace("PCR8-of-its-signer-96-hex-digits", PCR8)
        assert not check_policy(text)
        assert not check_policy(text, {0: bytes.fromhex(PCR0), 8: bytes.fromhex(PCR8)})


class _CloudFormation(yaml.SafeLoader):
    """Its short forms of functions, as the values that a deployment would have."""


def _ref(_: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    known = {"Pcr0": PCR0, "Pcr8": PCR8, "AWS::NoValue": None}
    return known.get(node.value, "arn:aws:iam::111122223333:role/" + node.value)


def _if(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> Any:
    return loader.construct_sequence(node, deep=True)[1]


_CloudFormation.add_constructor("!Ref", _ref)
_CloudFormation.add_constructor("!If", _if)


def test_the_policy_of_the_template_passes() -> None:
    loader = _CloudFormation(
        (EXAMPLES / "key.yaml")
        .read_text()
        .replace("!Sub", "")
        .replace("!GetAtt", "")
        .replace("!Not", "")
        .replace("!Equals", "")
    )
    policy = loader.get_single_data()["Resources"]["RootKey"]["Properties"]["KeyPolicy"]
    policy["Statement"] = [one.get("Fn::If", [None, one])[1] for one in policy["Statement"]]
    assert not check_policy(policy)
    assert not check_policy(policy, {0: bytes.fromhex(PCR0), 8: bytes.fromhex(PCR8)})


def test_other_images_than_the_expected_are_found() -> None:
    found = check_policy(good(), {0: bytes(48)})
    assert {one.code for one in found} == {"other_image"}
    assert {one.code for one in check_policy(pin([PCR0, PCR8]), {0: bytes.fromhex(PCR0)})} == {
        "other_image"
    }
    both = with_(Condition={"StringEquals": {PIN0: PCR0, PIN8: PCR8}})
    assert {one.code for one in check_policy(both, {0: bytes.fromhex(PCR0)})} == {"other_image"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '{"Statement": []}',
        '{"Statement": [1]}',
        '{"Statement": [{"Effect": "allow"}]}',
        '{"Statement": [{"Effect": "Allow", "Extra": 1}]}',
        '{"Statement": [{"Effect": "Allow", "Action": {"a": 1}}]}',
        '{"Statement": [{"Effect": "Allow", "Action": ["kms:Decrypt", 1]}]}',
        '{"Statement": [{"Effect": "Allow", "Action": "kms:Decrypt"}]}',
        '{"Statement": [{"Effect": "Allow", "Effect": "Deny", "Action": "kms:*"}]}',
        '{"Statement": [], "Policy": 1}',
        '{"Policy": "x"}',
        "[" * 100_000,
        " " * (POLICY_BYTES_MAX + 1),
    ],
)
def test_what_is_no_policy_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="no key policy"):
        check_policy(text)


@pytest.mark.parametrize("condition", [1, [], {"StringEquals": 1}, {"StringEquals": {PIN0: 1}}])
def test_a_condition_of_another_form_is_no_policy(condition: Any) -> None:
    with pytest.raises(ConfigError, match="no key policy"):
        check_policy(with_(Condition=condition))


def test_every_code_has_a_case_and_every_action_a_side() -> None:
    cases = {code for _, codes in BAD.values() for code in codes} | {"other_image"}
    assert cases == set(REMEDY)
    actions = (*OPENING, *CHANGING, *HARMLESS)
    assert len(set(actions)) == len(actions)
    page = (EXAMPLES.parents[1] / "docs" / "enclave-keys.md").read_text()
    assert not [code for code in REMEDY if f"`{code}`" not in page]
