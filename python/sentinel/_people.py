"""People's own keys: key files, public halves, and what is public of an engine, as files.

A person's key file is sealed like the engine's own, holds one key, and lives on a machine of its
own. What that machine has to know of the engine comes as one file (`Public`): the genesis record,
and the authority and policy bundles in force, each verified from the genesis record on.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from . import _core
from ._enums import Algorithm, Environment, Power, Purpose, label
from ._frame import (
    Authority,
    FrameKind,
    Genesis,
    UnsafeFrame,
    parse_authority,
    parse_genesis,
    unsafe_parse_frame,
    verify_power,
    verify_root,
)
from ._layout import AuthorityKey, FrameTerms, attach_proofs, authority_bundle, frame_hash
from ._layout import proof_prefix as prefix_of
from ._policy_draft import stable_id
from .config import AuthorityRing, Installed, os_failed, write_file
from .errors import ConfigError, KeyFileError, SentinelError, UsageError
from .policy import Policy, decode_policy

PERSON_FORMAT: Final = "sentinel-person-v1"
PUBLIC_FORMAT: Final = "sentinel-public-v1"
NAME_BYTES_MAX: Final = 64
KEY_YEARS_NS: Final = 10 * 365 * 86_400 * 10**9
"""How long a new key counts when nothing else is said."""
PEOPLE_MAX: Final = 8
_LIMITS: Final = struct.Struct("<QQ")
_OWN: Final = {1: "engine-root", 2: "engine-policy", 3: "engine-operator", 4: "engine-feeder"}
"""The keys of `keys/authority`, by their ids."""
FEEDS: Final = (Power.FEED_MARK, Power.FEED_EXECUTION, Power.FEED_POSITION)
"""What the engine's own feeder may tell."""

_OWN_ID: Final = {Power.POLICY: 2, Power.OPERATOR: 3, Power.FEED_MARK: 4}


def person_id(name: str) -> int:
    """The id that a person's key has: it follows from the name, so no list has to be trusted."""
    known = {text: id_ for id_, text in _OWN.items()}
    return known.get(name) or stable_id("person", name)


def check_name(name: str) -> str:
    """A person's name. Raises UsageError."""
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not 0 < len(name) <= NAME_BYTES_MAX or not name.isascii() or not plain.isalnum():
        raise UsageError(
            f"{name[:80]!r} is no name",
            next_step=f"give 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-'",
        )
    return name


def fingerprint(public_key: bytes) -> str:
    """The first 16 hex digits of a public key: what people compare."""
    return public_key.hex()[:16]


def read_json(path: Path, form: str, fields: Iterable[str], what: str) -> dict[str, Any]:
    """A file that is one JSON object of a format. Raises StorageError, ConfigError."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise os_failed(path, error) from None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or data.get("format") != form or set(data) != {"format", *fields}:
        found = data.get("format") if isinstance(data, dict) else None
        raise ConfigError(
            f"{path}: this is no {what}",
            file=str(path),
            cause=(
                f"it is another kind of file: {found}"
                if isinstance(found, str) and found != form
                else "it was cut short or altered, or is another kind of file"
            ),
            next_step="get it again from whoever made it",
        )
    return data


def write_json(path: Path, form: str, data: dict[str, Any]) -> None:
    """Writes such a file, readable by all. Raises StorageError."""
    text = json.dumps({"format": form, **data}, indent=2, ensure_ascii=False) + "\n"
    write_file(path, text.encode(), mode=0o644)


def unpack(text: Any, path: Path) -> bytes:
    """The bytes of a field in base64. Raises ConfigError."""
    try:
        if not isinstance(text, str):
            raise ValueError
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ConfigError(
            f"{path}: a field is not base64",
            file=str(path),
            cause="the file was cut short or altered",
            next_step="get it again from whoever made it",
        ) from None


def pack(data: bytes) -> str:
    """Bytes as a field."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True, slots=True)
class Person:
    """A name and a public key: what a person hands over."""

    name: str
    public_key: bytes

    @classmethod
    def read(cls, path: Path) -> Person:
        """From a `.pub` file. Raises StorageError, ConfigError, UsageError."""
        data = read_json(path, PERSON_FORMAT, ("name", "public_key"), "public half of a key")
        try:
            public = bytes.fromhex(data["public_key"])
            if len(public) != 32 or not any(public):
                raise ValueError
            return cls(check_name(data["name"]), public)
        except (TypeError, ValueError, AttributeError):
            raise ConfigError(
                f"{path}: the public key is not 64 hex digits",
                file=str(path),
                next_step="get it again from its owner",
            ) from None

    def write(self, path: Path) -> None:
        """Writes the `.pub` file. Raises StorageError."""
        write_json(path, PERSON_FORMAT, {"name": self.name, "public_key": self.public_key.hex()})


def _public_of(ring: _core.Keyring) -> dict[int, bytes]:
    return {info.id: info.public_key for info in ring.list() if info.purpose == Purpose.AUTHORITY}


def make_key_file(path: Path, name: str, passphrase: bytes, limits: tuple[int, int]) -> Person:
    """A fresh key in a key file of its own, and its public half beside it (`.pub`).

    Raises UsageError when the file is there, StorageError.
    """
    check_name(name)
    if path.exists():
        raise UsageError(
            f"{path}: there is a file here already", next_step="name another one with --out"
        )
    ring = _core.Keyring()
    ring.generate(1, Purpose.AUTHORITY, Algorithm.ED25519)
    return _save(path, name, ring, passphrase, limits)


def _save(
    path: Path, name: str, ring: _core.Keyring, passphrase: bytes, limits: tuple[int, int]
) -> Person:
    (public,) = _public_of(ring).values()
    write_file(path, ring.seal(passphrase, opslimit=limits[0], memlimit=limits[1]))
    person = Person(name, public)
    person.write(path.with_suffix(".pub"))
    return person


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys of one key file, by their public halves."""

    ring: _core.Keyring
    ids: dict[bytes, int]

    @classmethod
    def open(cls, path: Path, passphrase: bytes) -> SigningKeys:
        """Opens a key file. Raises StorageError, KeyFileError."""
        try:
            sealed = path.read_bytes()
        except OSError as error:
            raise os_failed(path, error) from None
        ring = _core.Keyring()
        try:
            ring.unseal(sealed, passphrase)
        except SentinelError as error:
            raise KeyFileError(f"{path}: {error.message}", status=error.status) from None
        ids = {public: id_ for id_, public in _public_of(ring).items()}
        if not ids:
            raise KeyFileError(
                f"{path}: it holds no key of a person",
                cause="it is the engine's own keyring: venue and message keys order nothing",
                next_step="name the key file that zcp authority keygen made",
            )
        return cls(ring, ids)

    def sign(self, public_key: bytes, kind: FrameKind, digest: bytes) -> bytes:
        """The signature of one of the keys over a frame's hash."""
        return self.ring.sign_frame(self.ids[public_key], prefix_of(kind), digest)


def change_passphrase(path: Path, old: bytes, new: bytes) -> None:
    """Seals a person's key file under another passphrase. Raises KeyFileError, StorageError."""
    keys = SigningKeys.open(path, old)
    limits = _LIMITS.unpack_from(path.read_bytes(), 16)
    write_file(path, keys.ring.seal(new, opslimit=limits[0], memlimit=limits[1]))


# ---- What is public of an engine ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Public:
    """Genesis record, authority and policy in force, and the names of people."""

    genesis: Genesis
    authority_frame: bytes
    policy_frame: bytes | None
    names: tuple[str, ...]
    authority: Authority
    sequence: int
    """Of the authority bundle."""
    policy: Policy | None
    policy_verified: bool
    directory: Path | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        genesis: bytes,
        authority: bytes,
        policy: bytes | None,
        names: Iterable[str] = (),
        directory: Path | None = None,
    ) -> Public:
        """Verifies all of it, from the genesis record on. Raises PolicyInvalid, VerificationFailed.

        `authority`: empty where the engine has none yet, and its first one is to be signed. A
        policy whose signers no longer hold their keys is not verified: its names are only told.
        """
        root = parse_genesis(genesis)
        held, sequence = Authority({}, bytes(16)), 0
        if authority:
            frame = unsafe_parse_frame(authority, FrameKind.AUTHORITY)
            _of_engine(frame, root, "authority bundle")
            verify_root(frame, root)
            held, sequence = parse_authority(frame.payload), frame.sequence
        decoded: Policy | None = None
        verified = False
        if policy is not None:
            part = unsafe_parse_frame(policy, FrameKind.POLICY)
            _of_engine(part, root, "policy bundle")
            decoded = decode_policy(policy)
            try:
                verify_power(part, held, Power.POLICY, part.issued_ns)
                verified = True
            except SentinelError:
                verified = False
        return cls(
            *(root, authority, policy, tuple(names), held, sequence, decoded, verified),
            directory,
        )

    @classmethod
    def of_engine(cls, installed: Installed) -> Public:
        """From an engine's directory. Raises StorageError, AuditError."""
        policy: bytes | None = None
        try:
            policy = installed.bundle(installed.policy().hash)
        except SentinelError:
            policy = None  # None was loaded: numbers stand for the names.
        return cls.of(
            installed.genesis.raw,
            installed.authority(),
            policy,
            names_of(installed.directory),
            installed.directory,
        )

    @classmethod
    def read(cls, path: Path) -> Public:
        """From the file that `write` made. Raises StorageError, ConfigError, VerificationFailed."""
        fields = ("genesis", "authority", "policy", "names")
        data = read_json(path, PUBLIC_FORMAT, fields, "public material of an engine")
        policy = None if data["policy"] is None else unpack(data["policy"], path)
        names = data["names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            names = []
        return cls.of(unpack(data["genesis"], path), unpack(data["authority"], path), policy, names)

    def write(self, path: Path) -> None:
        """Writes the file. Raises StorageError."""
        policy = None if self.policy_frame is None else pack(self.policy_frame)
        data = {
            "genesis": pack(self.genesis.raw),
            "authority": pack(self.authority_frame),
            "policy": policy,
            "names": list(self.names),
        }
        write_json(path, PUBLIC_FORMAT, data)

    @property
    def engine(self) -> str:
        """The engine in words."""
        return f"{self.genesis.engine_id.hex()} ({label(Environment(self.genesis.environment))})"

    def name(self, key: int) -> str:
        """What a key is called; a name counts only where the id follows from it."""
        return name_of_key(key, self.names)

    def holders(self, power: Power, now_ns: int) -> tuple[int, ...]:
        """Ids of the keys that hold a power and have not expired."""
        return tuple(
            id_
            for id_, (powers, expires, _) in self.authority.keys.items()
            if powers >> power & 1 and now_ns < expires
        )


def name_of_key(key: int, names: Iterable[str]) -> str:
    """A person's name by the key's id; "key N" when no name gives that id."""
    if key in _OWN:
        return _OWN[key]
    return next((name for name in names if person_id(name) == key), f"key {key}")


def _of_engine(frame: UnsafeFrame, root: Genesis, what: str) -> None:
    if frame.engine_id != root.engine_id or frame.environment != root.environment:
        raise ConfigError(
            f"the {what} is of another engine than the genesis record",
            cause="the file was put together wrongly, or altered",
            next_step="export it again: zcp authority export",
        )


def names_of(directory: Path) -> tuple[str, ...]:
    """The names that are kept beside an engine's keys: no secret, and none has to be trusted."""
    try:
        data = json.loads((directory / "keys" / "people" / "names").read_bytes())
    except (OSError, ValueError):
        return ()
    return tuple(name for name in data if isinstance(name, str)) if isinstance(data, list) else ()


def keep_names(directory: Path, names: Iterable[str]) -> None:
    """Keeps names beside the engine's keys, those there are included. Raises StorageError."""
    old = names_of(directory)
    new = sorted({*old, *names})
    if tuple(new) != old:
        text = json.dumps(new, indent=2) + "\n"
        place = directory / "keys" / "people"
        try:
            place.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise os_failed(place, error) from None
        write_file(place / "names", text.encode(), mode=0o644)


# ---- A new engine with several people -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many hold a power, and how many of them it takes."""

    word: str
    power: Power | None
    count: int
    threshold: int

    def check(self) -> None:
        """Raises UsageError."""
        if not 0 <= self.count <= PEOPLE_MAX:
            raise UsageError(
                f"{self.count} {self.word}s: {PEOPLE_MAX} at most when an engine is made",
                next_step="add more later: zcp authority draft --add",
            )
        if not bool(self.count) <= self.threshold <= self.count:
            raise UsageError(
                f"{self.threshold} of {self.count} {self.word}s cannot be",
                cause="k of n needs k from 1 to n",
                next_step=f"give {self.count or 1} or fewer, or make more {self.word}s",
            )


class Founders(AuthorityRing):
    """The authority of a new engine where people hold keys of their own.

    Who is one of several gets a key file in `<dir>/keys/people`, sealed under the passphrase of the
    start; each is to be taken to its owner's machine and sealed anew there. Single keys (policy,
    feeder, and whichever power has one holder) stay in `keys/authority`.
    """

    def __init__(
        self, ring: _core.Keyring, quorums: tuple[Quorum, ...], rings: dict[str, _core.Keyring]
    ) -> None:
        """Use `of`."""
        super().__init__(ring)
        self.quorums = quorums
        self.rings = rings

    @classmethod
    def of(
        cls,
        *,
        operators: tuple[int, int] = (1, 1),
        approvers: tuple[int, int] = (0, 0),
        policy: tuple[int, int] = (1, 1),
        roots: tuple[int, int] = (1, 1),
    ) -> Founders:
        """Fresh keys for (n, k) of each power. Raises UsageError."""
        quorums = (
            Quorum("root", None, *roots),
            Quorum("policy-signer", Power.POLICY, *policy),
            Quorum("operator", Power.OPERATOR, *operators),
            Quorum("approver", Power.APPROVER, *approvers),
        )
        own = {"root": 1, "policy-signer": 2, "operator": 3}
        ring = _core.Keyring()
        rings: dict[str, _core.Keyring] = {}
        for quorum in quorums:
            quorum.check()
            if quorum.count == 0 and quorum.word != "approver":
                raise UsageError(
                    f"an engine needs one {quorum.word} at least", next_step="give 1 or more"
                )
            if quorum.count == 1 and quorum.word in own:
                ring.generate(own[quorum.word], Purpose.AUTHORITY, Algorithm.ED25519)
                continue
            for number in range(1, quorum.count + 1):
                made = _core.Keyring()
                made.generate(1, Purpose.AUTHORITY, Algorithm.ED25519)
                rings[f"{quorum.word}-{number}"] = made
        ring.generate(4, Purpose.AUTHORITY, Algorithm.ED25519)
        return cls(ring, quorums, rings)

    @property
    def people(self) -> tuple[str, ...]:
        """The names of those who got a key file."""
        return tuple(self.rings)

    def save(self, place: Path, passphrase: bytes, limits: tuple[int, int]) -> None:
        """Writes the engine's own key file and everybody else's. Raises StorageError."""
        super().save(place, passphrase, limits)
        if self.rings:
            keep_names(place, self.rings)
        for name, ring in self.rings.items():
            _save(place / "keys" / "people" / f"{name}.key", name, ring, passphrase, limits)

    @property
    def root_keys(self) -> tuple[bytes, ...]:
        """Public keys of the genesis record's root."""
        return tuple(public for _, public, _ in self._members(self.quorums[0], 1))

    @property
    def root_threshold(self) -> int:
        """How many of them sign an authority bundle."""
        return self.quorums[0].threshold

    def bundle(self, terms: FrameTerms) -> bytes:
        """The authority bundle that gives these keys their powers."""
        expires = terms.issued_ns + KEY_YEARS_NS
        rows: list[AuthorityKey] = []
        thresholds: dict[Power, int] = {}
        for quorum in (*self.quorums[1:], Quorum("feeder", Power.FEED_MARK, 1, 1)):
            power = quorum.power
            if power is None or not quorum.count:
                continue
            held = FEEDS if power is Power.FEED_MARK else (power,)
            thresholds |= dict.fromkeys(held, quorum.threshold)
            rows += [
                AuthorityKey(id=id_, powers=frozenset(held), public_key=public, expires_ns=expires)
                for id_, public, _ in self._members(quorum, _OWN_ID.get(power, 0))
            ]
        part = authority_bundle(rows, thresholds, terms)
        return self.sign(FrameKind.AUTHORITY, part)

    def sign(self, kind: FrameKind, signed_part: bytes) -> bytes:
        """The whole frame, with as many proofs as its kind needs."""
        if kind is FrameKind.AUTHORITY:
            quorum = self.quorums[0]
            members = self._members(quorum, 1)
            named = [(index, sign) for index, (_, _, sign) in enumerate(members)]
        elif kind is FrameKind.POLICY:
            quorum = self.quorums[1]
            named = [(id_, sign) for id_, _, sign in self._members(quorum, 2)]
        else:
            return super().sign(kind, signed_part)
        digest = frame_hash(signed_part)
        proofs = [(id_, sign(kind, digest)) for id_, sign in named[: quorum.threshold]]
        return attach_proofs(signed_part, proofs)

    def _members(
        self, quorum: Quorum, own: int
    ) -> list[tuple[int, bytes, Callable[[FrameKind, bytes], bytes]]]:
        """Id, public key and signing function of each who holds a power."""

        def signer(ring: _core.Keyring, id_: int) -> Callable[[FrameKind, bytes], bytes]:
            return lambda kind, digest: ring.sign_frame(id_, prefix_of(kind), digest)

        if own and own in _public_of(self._ring):
            return [(own, self._public(own), signer(self._ring, own))]
        return [
            (person_id(name), _public_of(ring)[1], signer(ring, 1))
            for name, ring in self.rings.items()
            if name.startswith(f"{quorum.word}-")
        ]
