"""Expectations: read, written, and made from a build or a signed release.

Goal: a file that says too little, too much or something else is refused before any document is.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator
from test_attestation import GENUINE, PCRS, genuine

from sentinel.attestation import (
    AttestationRefused,
    EngineExpectation,
    Expectation,
    ExpectationInvalid,
    Purpose,
    Release,
    measured_text,
    measurements,
    schema,
    unsafe_parse_without_verification,
)

GOOD: dict[str, Any] = {
    "format": "sentinel-attestation-expectation-v1",
    "pcrs": {str(index): pcr.hex() for index, pcr in PCRS.items()},
    "engine": {
        "id": "e1" * 32,
        "authority_root": {"threshold": 2, "keys": ["01" * 32, "02" * 32]},
        "purposes": ["session", "import"],
    },
    "source": {"kind": "release", "sha256": "ab" * 32, "version": "1.0"},
}
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""A test key."""
PUBLIC = KEY.public_key().public_bytes_raw()


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ExpectationInvalid) as refused:
        call()
    assert refused.value.exit_status == 2
    assert refused.value.next_step
    return refused.value.code


def test_a_file_is_read_and_written_again() -> None:
    found = Expectation.from_json(json.dumps(GOOD))
    assert found.engine == EngineExpectation(
        b"\xe1" * 32,
        2,
        (b"\1" * 32, b"\2" * 32),
        frozenset({Purpose.SESSION, Purpose.IMPORT}),
    )
    assert dict(found.pcrs) == PCRS
    assert json.loads(found.to_json()) == GOOD
    assert Expectation.from_json(found.to_json()) == found
    without = Expectation({index: PCRS[index] for index in (0, 1, 2)}, None)
    assert Expectation.from_json(without.to_json().encode()) == without


def test_the_schema_is_one_and_takes_the_good_file() -> None:
    Draft202012Validator.check_schema(schema())
    assert not list(Draft202012Validator(schema()).iter_errors(GOOD))


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for step in path[:-1]:
            data = data[step]
        del data[path[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("format", value="sentinel-expectation-v1"),
        drop("format"),
        drop("pcrs"),
        drop("engine"),
        drop("pcrs", "0"),
        drop("pcrs", "1"),
        drop("pcrs", "2"),
        put("more", value=1),
        put("pcrs", "5", value="aa" * 48),
        put("pcrs", "00", value="aa" * 48),
        put("pcrs", "0", value="00" * 48),
        put("pcrs", "1", value="00" * 48),
        put("pcrs", "2", value="00" * 48),
        put("pcrs", "0", value="AA" * 48),
        put("pcrs", "0", value="aa" * 48 + "\n"),
        put("pcrs", "0", value="aa" * 47 + " a"),
        put("pcrs", "0", value="aa" * 47),
        put("pcrs", "0", value=["aa" * 48]),
        put("pcrs", "0", value=None),
        put("engine", value={}),
        put("engine", value=False),
        put("engine", "id", value=None),
        put("engine", "id", value="e1" * 31),
        drop("engine", "id"),
        drop("engine", "purposes"),
        drop("engine", "authority_root"),
        put("engine", "purposes", value=[]),
        put("engine", "purposes", value=["all"]),
        put("engine", "purposes", value=["session", "session"]),
        put("engine", "more", value=1),
        put("engine", "authority_root", "threshold", value=0),
        put("engine", "authority_root", "threshold", value=3),
        put("engine", "authority_root", "threshold", value=2.0),
        put("engine", "authority_root", "threshold", value=True),
        put("engine", "authority_root", "keys", value=[]),
        put("engine", "authority_root", "keys", value=["01" * 32, "01" * 32]),
        put("engine", "authority_root", "keys", value=["01" * 32] * 9),
        put("engine", "authority_root", "more", value=1),
        put("source", value="a build"),
        put("source", "kind", value="document"),
    ],
)
def test_a_file_of_another_form_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    data = copy.deepcopy(GOOD)
    change(data)
    assert code_of(lambda: Expectation.from_json(json.dumps(data))) == "expectation"


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "{", "[" * 100_000, '{"format": NaN}', "7", '"text"'),
        json.dumps(GOOD)[:-1] + ', "engine": null}',
        json.dumps(GOOD).replace('"pcrs": {', '"pcrs": {"0": "' + "bb" * 48 + '", '),
        json.dumps(GOOD) + " " * 70_000,
        b"\xff\xfe",
    ],
)
def test_a_text_that_is_no_such_file_is_refused(text: str | bytes) -> None:
    assert code_of(lambda: Expectation.from_json(text)) == "expectation"


def build(**others: Any) -> dict[str, Any]:
    return {
        "HashAlgorithm": "Sha384 { ... }",
        **{f"PCR{index}": PCRS[index].hex() for index in (0, 1, 2)},
        **others,
    }


def test_measurements_of_a_build() -> None:
    three = {index: PCRS[index] for index in (0, 1, 2)}
    assert measurements(json.dumps({"Measurements": build()})) == three
    assert measurements(json.dumps(build(HashAlgorithm="SHA384"))) == three
    signed = json.dumps(build(PCR8=PCRS[8].hex()))
    assert measurements(signed) == three | {8: PCRS[8]}


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"Measurements": []},
        {"Measurements": build(), "more": 1},
        build(HashAlgorithm="Sha256"),
        build(HashAlgorithm=None),
        build(PCR7="aa" * 48),
        build(PCR0="aa" * 47),
        build(PCR0="AA" * 48),
        build(PCR0=None),
        {name: value for name, value in build().items() if name != "PCR2"},
    ],
)
def test_measurements_of_another_form_are_refused(data: Any) -> None:
    assert code_of(lambda: measurements(json.dumps(data))) == "measurements"


def release(**others: Any) -> dict[str, Any]:
    made = Release("1.0", {index: PCRS[index] for index in (0, 1, 2, 8)})
    return json.loads(made.to_json(KEY.sign(made.signed_bytes))) | others


def test_a_signed_release() -> None:
    found = Release.verify(json.dumps(release()), PUBLIC)
    assert (found.version, found.pcrs[8]) == ("1.0", PCRS[8])
    # The order and the blanks of the file are free: the canonical form is signed.
    turned = json.dumps(dict(reversed(release().items())), indent=7)
    assert Release.verify(turned, PUBLIC) == found


def test_what_is_signed_is_the_label_and_the_canonical_file() -> None:
    data = release()
    del data["signature"]
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    made = Release("1.0", {index: PCRS[index] for index in (0, 1, 2, 8)})
    assert made.signed_bytes == b"sentinel-release-v1\0" + hashlib.sha256(text.encode()).digest()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": "1.1"}, "release_signature"),
        ({"measurements": {f"PCR{n}": "aa" * 48 for n in (0, 1, 2)}}, "release_signature"),
        ({"signature": "00" * 64}, "release_signature"),
        ({"signature": "00" * 63}, "release"),
        ({"signature": None}, "release"),
        ({"format": "sentinel-release-v2"}, "release"),
        ({"version": ""}, "release"),
        ({"version": 1}, "release"),
        ({"measurements": None}, "release"),
        ({"more": 1}, "release"),
    ],
)
def test_a_release_that_was_changed_is_refused(change: dict[str, Any], code: str) -> None:
    assert code_of(lambda: Release.verify(json.dumps(release(**change)), PUBLIC)) == code


def test_a_release_under_another_key_is_refused() -> None:
    for key in (bytes(32), PUBLIC[::-1], PUBLIC[:-1], b""):
        assert code_of(lambda key=key: Release.verify(json.dumps(release()), key)) == (
            "release_signature"
        )


def test_a_release_is_signed_whole_and_then_understood() -> None:
    data: dict[str, Any] = release()
    del data["signature"]
    data["measurements"] = {"PCR0": "aa" * 48}
    text = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(text).digest()
    data["signature"] = KEY.sign(b"sentinel-release-v1\0" + digest).hex()
    assert code_of(lambda: Release.verify(json.dumps(data), PUBLIC)) == "release"


@pytest.mark.parametrize("name", GENUINE)
def test_pcr4_of_genuine_documents_is_computed_from_the_instances_id(name: str) -> None:
    found = unsafe_parse_without_verification(genuine(name)[0])
    instance = found.module_id.partition("-enc")[0]
    assert found.pcrs[4] == measured_text(instance)
    assert measured_text(instance) == hashlib.sha384(bytes(48) + instance.encode()).digest()


def test_an_expectation_cannot_be_built_that_the_file_could_not_say() -> None:
    three = {index: PCRS[index] for index in (0, 1, 2)}
    for pcrs in ({}, three | {0: bytes(48)}, three | {5: PCRS[3]}, three | {3: b"short"}):
        with pytest.raises(AttestationRefused) as refused:
            Expectation(pcrs, None)
        assert refused.value.code == "expectation"
    for threshold, keys in ((0, (b"\1" * 32,)), (2, (b"\1" * 32,)), (1, (b"\1" * 31,)), (1, ())):
        with pytest.raises(AttestationRefused) as refused:
            EngineExpectation(b"\xe1" * 32, threshold, keys, frozenset({Purpose.BOOT}))
        assert refused.value.code == "expectation"
    with pytest.raises(AttestationRefused, match="names no purpose"):
        EngineExpectation(b"\xe1" * 32, 1, (b"\1" * 32,), frozenset())


def test_numbers_are_whole() -> None:
    for text in ('{"format": 1.0}', '{"format": NaN}', '{"format": 1e3}'):
        with pytest.raises(AttestationRefused, match="is no whole number"):
            Expectation.from_json(text)
