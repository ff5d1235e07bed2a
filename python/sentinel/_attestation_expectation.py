"""What an enclave is expected to be: a file that was made before the enclave was asked.

Its measurements come from a reproducible build, or from a release file that the release key
signed; there is no way to make it from a document, because that would trust the first contact.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256, sha384
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, NoReturn

from ._attestation_binding import Purpose, authority_root
from ._attestation_document import PCR_BYTES
from ._attestation_errors import refuse
from ._core import Keyring
from ._frame import verify_ed25519
from .errors import VerificationFailed

EXPECTATION_FORMAT: Final = "sentinel-attestation-expectation-v1"
RELEASE_FORMAT: Final = "sentinel-release-v1"
FILE_BYTES_MAX: Final = 1 << 16

MEASURED: Final = (0, 1, 2)
"""PCRs of the image, which every expectation names."""
OPTIONAL: Final = (3, 4, 8)
"""The role and the id of the parent instance, and the image's signer."""


@dataclass(frozen=True, slots=True)
class EngineExpectation:
    """What `user_data` must say. `id` is None only where GENESIS is the one purpose."""

    id: bytes | None
    root_threshold: int
    root_keys: tuple[bytes, ...]
    purposes: frozenset[Purpose]

    def __post_init__(self) -> None:
        count = len(self.root_keys)
        if not 1 <= self.root_threshold <= count <= 8 or len(set(self.root_keys)) != count:
            refuse("expectation", f"an authority root of {self.root_threshold} of {count} keys")
        named = self.root_keys if self.id is None else (*self.root_keys, self.id)
        if any(len(key) != 32 for key in named):
            refuse("expectation", "an id or a key has not 32 bytes")
        if not self.purposes:
            refuse("expectation", "it names no purpose")
        if self.id is None and self.purposes != {Purpose.GENESIS}:
            refuse("expectation", "only a document for genesis may be of an engine without an id")

    @property
    def authority_root(self) -> bytes:
        """The 32 bytes of `user_data`."""
        return authority_root(self.root_threshold, self.root_keys)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Measurements by PCR, and the engine. `engine` None: `user_data` is not judged."""

    pcrs: Mapping[int, bytes]
    engine: EngineExpectation | None
    source: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index in MEASURED:
            if not any(self.pcrs.get(index, b"")):
                refuse("expectation", f"PCR{index} is missing, or zeros: that is debug mode")
        for index, pcr in self.pcrs.items():
            if index not in (*MEASURED, *OPTIONAL) or len(pcr) != PCR_BYTES:
                refuse("expectation", f"PCR{index}: 48 bytes of PCR 0, 1, 2, 3, 4 or 8 may be")
        object.__setattr__(self, "pcrs", MappingProxyType(dict(sorted(self.pcrs.items()))))
        object.__setattr__(self, "source", MappingProxyType(dict(self.source)))

    @classmethod
    def from_json(cls, text: str | bytes) -> Expectation:
        """Reads an expectation file. Raises ExpectationInvalid."""
        data = _load(text, "expectation")
        _check_form(data)
        found = data["engine"]
        return cls(
            {int(index): bytes.fromhex(pcr) for index, pcr in data["pcrs"].items()},
            None if found is None else _engine(found),
            data.get("source", {}),
        )

    def to_json(self) -> str:
        """The expectation file's text."""
        data: dict[str, Any] = {
            "format": EXPECTATION_FORMAT,
            "pcrs": {str(index): pcr.hex() for index, pcr in self.pcrs.items()},
            "engine": None,
        }
        if self.engine is not None:
            data["engine"] = {
                "id": self.engine.id.hex() if self.engine.id is not None else None,
                "authority_root": {
                    "threshold": self.engine.root_threshold,
                    "keys": [key.hex() for key in self.engine.root_keys],
                },
                "purposes": [one.name.lower() for one in sorted(self.engine.purposes)],
            }
        if self.source:
            data["source"] = dict(self.source)
        return json.dumps(data, indent=2) + "\n"


def measurements(text: str | bytes) -> dict[int, bytes]:
    """The PCRs in what a build prints. Raises ExpectationInvalid.

    `{"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": "…", "PCR1": "…", "PCR2": "…"}}`,
    or the inner object alone; PCR3, PCR4 and PCR8 may be there too.
    """
    data = _load(text, "measurements")
    inner = data.get("Measurements", data)
    if not isinstance(inner, dict) or (inner is not data and set(data) != {"Measurements"}):
        refuse("measurements", "this is no object of measurements")
    return _pcrs(inner, "measurements")


def measured_text(text: str) -> bytes:
    """PCR3 of the ARN of the parent instance's role, PCR4 of the instance's id."""
    return sha384(bytes(PCR_BYTES) + text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Release:
    """A release file: the measurements of a published image, signed."""

    version: str
    pcrs: Mapping[int, bytes]

    @property
    def signed_bytes(self) -> bytes:
        """What the release key signs: a label, and the SHA-256 of the file without its signature,
        as canonical JSON (keys sorted, no blanks, ASCII).
        """
        return RELEASE_FORMAT.encode() + b"\0" + sha256(_canonical(self._data())).digest()

    def sign(self, ring: Keyring, key: int) -> bytes:
        """The signature by a key of a person's key file."""
        digest = sha256(_canonical(self._data())).digest()
        return ring.sign_frame(key, RELEASE_FORMAT, digest)

    def to_json(self, signature: bytes) -> str:
        """The release file's text."""
        return json.dumps({**self._data(), "signature": signature.hex()}, indent=2) + "\n"

    def _data(self) -> dict[str, Any]:
        pcrs = {f"PCR{index}": pcr.hex() for index, pcr in self.pcrs.items()}
        return {"format": RELEASE_FORMAT, "version": self.version, "measurements": pcrs}

    @classmethod
    def verify(cls, text: str | bytes, public_key: bytes) -> Release:
        """Reads a release file under the release key (Ed25519). Raises ExpectationInvalid."""
        data = _load(text, "release")
        if data.get("format") != RELEASE_FORMAT or set(data) != {
            *("format", "version", "measurements", "signature"),
        }:
            refuse("release", "this is no release file")
        version, found = data["version"], data["measurements"]
        if not isinstance(version, str) or not 0 < len(version) <= 64:
            refuse("release", "the version is no text of 1 to 64 characters")
        if not isinstance(found, dict):
            refuse("release", "the measurements are no object")
        signature = _hex(data.pop("signature"), 64, "release", "the signature")
        try:
            digest = sha256(_canonical(data)).digest()
            verify_ed25519(public_key, signature, RELEASE_FORMAT, digest)
        except VerificationFailed:
            refuse("release_signature", f"the release {version!r} is not signed by this key")
        return cls(version, _pcrs(found, "release"))


def source_of(kind: str, text: bytes, version: str = "") -> dict[str, str]:
    """Where an expectation's measurements come from, for people."""
    made = {"kind": kind, "sha256": sha256(text).hexdigest()}
    return made | ({"version": version} if version else {})


@functools.cache
def schema() -> dict[str, Any]:
    """The published JSON Schema of the expectation file."""
    text = resources.files(__package__).joinpath("attestation_schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _check_form(data: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error: Any = best_match(Draft202012Validator(schema()).iter_errors(data))
    if error is not None:
        place = ".".join(str(step) for step in error.absolute_path)
        refuse("expectation", f"{place or 'the file'}: {error.message[:200]}")


def _engine(data: dict[str, Any]) -> EngineExpectation:
    root = data["authority_root"]
    return EngineExpectation(
        None if data["id"] is None else bytes.fromhex(data["id"]),
        root["threshold"],
        tuple(bytes.fromhex(key) for key in root["keys"]),
        frozenset(Purpose[name.upper()] for name in data["purposes"]),
    )


def _pcrs(data: dict[str, Any], code: str) -> dict[int, bytes]:
    names = {f"PCR{index}": index for index in (*MEASURED, *OPTIONAL)}
    algorithm = data.get("HashAlgorithm", "Sha384")
    if not isinstance(algorithm, str) or algorithm.split(" ")[0].lower() != "sha384":
        refuse(code, "the measurements are not by SHA-384")
    for name in data:
        if name not in names and name != "HashAlgorithm":
            refuse(code, f"a field {name!r:.60} is not understood")
    for index in MEASURED:
        if f"PCR{index}" not in data:
            refuse(code, f"there is no PCR{index}")
    return {
        index: _hex(data[name], PCR_BYTES, code, name)
        for name, index in names.items()
        if name in data
    }


def _hex(text: Any, size: int, code: str, name: str) -> bytes:
    digits = "0123456789abcdef"
    if not isinstance(text, str) or len(text) != 2 * size or text.strip(digits):
        refuse(code, f"{name} is not {2 * size} hex digits, in small letters")
    return bytes.fromhex(text)


def _canonical(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _load(text: str | bytes, code: str) -> dict[str, Any]:
    """One JSON object, without two equal keys and without a float. Raises ExpectationInvalid."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            refuse(code, "a key is there twice")
        return dict(pairs)

    def never(found: str) -> NoReturn:
        refuse(code, f"{found[:40]} is no whole number")

    if len(text) > FILE_BYTES_MAX:
        refuse(code, f"the file is longer than {FILE_BYTES_MAX} bytes")
    try:
        data = json.loads(text, object_pairs_hook=once, parse_float=never, parse_constant=never)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        refuse(code, "this is no JSON object")
    return data
