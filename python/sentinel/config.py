"""Where an engine lives, what opens it, and how a new one is made.

An engine's directory is named by the caller, else by ZCP_DIR, else it is `sentinel` in the
user's data directory. Its key files are sealed under a passphrase, which is never an argument.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import _core
from ._enums import Algorithm, Environment, Power, Purpose, Venue, label
from ._frame import FrameKind, parse_genesis
from ._layout import (
    AuthorityKey,
    FrameTerms,
    attach_proofs,
    authority_bundle,
    engine_id,
    frame_hash,
    genesis,
    proof_prefix,
)
from ._policy_draft import stable_id
from ._status import Status
from ._types import KeyInfo
from .audit import Record, authority_after, find_record, last_record, policy_after
from .errors import (
    ConfigError,
    KeyFileError,
    SentinelError,
    StorageError,
    UsageError,
    raise_status,
)
from .policy import INITIAL_POLICY, Policy, compile_policy, decode_policy
from .receipt import Expectation

__all__ = [
    "AuthorityRing",
    "KeyFile",
    "create_engine",
    "engine_dir",
    "read_passphrase",
]

RECEIPT_KEY: Final = stable_id("key", "identity")
MESSAGE_KEY: Final = stable_id("key", "message")
PASSPHRASE_BYTES_MAX: Final = 1024
_YEARS_10_NS: Final = 10 * 365 * 86_400 * 10**9
_KEYFILE_LIMITS: Final = struct.Struct("<QQ")
_LIGHT: Final = (1, 8192)
"""The least that Argon2id takes; for tests, and only in the environments test and lab."""

_ROOT, _POLICY, _OPERATOR, _FEEDER = 1, 2, 3, 4
FEEDER_KEY: Final = _FEEDER
"""Under this id the engine's own feeder key feeds."""
_SIGNER_OF: Final = {
    FrameKind.AUTHORITY: (_ROOT, 0),  # A proof of the root names its index.
    FrameKind.POLICY: (_POLICY, _POLICY),
    FrameKind.COMMAND: (_OPERATOR, _OPERATOR),
    FrameKind.FEED: (_FEEDER, _FEEDER),
}
_PEOPLE_SIGN: Final = {
    FrameKind.AUTHORITY: ("root", "zcp authority draft, sign, submit"),
    FrameKind.POLICY: ("policy", "zcp policy compile --unsigned, zcp policy sign, load"),
    FrameKind.COMMAND: ("operator", "zcp command draft, sign, submit; or --key FILE"),
    FrameKind.FEED: ("feeder", "the feeder's own key"),
}
"""Who signs, and how, what the engine's own key file cannot."""


def os_failed(path: str | os.PathLike[str], error: OSError) -> StorageError:
    """What the operating system refused, where, and what to do about it."""
    steps = {
        errno.ENOENT: "check the path",
        errno.EACCES: "use a directory of your own, and check its owner and permissions",
        errno.EPERM: "use a directory of your own, and check its owner and permissions",
        errno.EROFS: "name a directory that can be written, with --dir or ZCP_DIR",
        errno.ENOSPC: "make room, then try again",
        errno.EFBIG: "raise the limit of file sizes (ulimit -f), then try again",
        errno.EDQUOT: "make room, then try again",
    }
    return StorageError(
        f"{os.fspath(path)}: {error.strerror}",
        next_step=steps.get(error.errno or 0, "check the path and the disk"),
    )


def engine_dir(option: str | os.PathLike[str] | None = None) -> Path:
    """The engine's directory: the option, else ZCP_DIR, else the user's data directory."""
    if option:
        return Path(option)
    if named := os.environ.get("ZCP_DIR"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "sentinel"


def read_passphrase(
    directory: Path,
    *,
    file: str | os.PathLike[str] | None = None,
    ask: Callable[[], str] | None = None,
) -> bytes:
    """The passphrase of an engine's key files.

    From the file that is named, else ZCP_PASSPHRASE_FILE, else the file that `zcp init` left
    beside the keys, else `ask` (a prompt). Raises KeyFileError when there is none of these.
    """
    named = file or os.environ.get("ZCP_PASSPHRASE_FILE")
    beside = directory / "keys" / "passphrase"
    if named or beside.is_file():
        path = Path(named or beside)
        try:
            text = path.read_bytes()
        except OSError as error:
            raise os_failed(path, error) from None
        return _checked_passphrase(text.removesuffix(b"\n").removesuffix(b"\r"), str(path))
    if ask is None:
        raise KeyFileError(
            "no passphrase was given",
            cause="there is no terminal to ask at, and no file names one",
            next_step="give --passphrase-file FILE or set ZCP_PASSPHRASE_FILE",
        )
    return _checked_passphrase(ask().encode(), "the passphrase")


def _checked_passphrase(text: bytes, place: str) -> bytes:
    if not 0 < len(text) <= PASSPHRASE_BYTES_MAX:
        raise KeyFileError(f"{place}: a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
    return text


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Writes a file so that it is there whole or not at all, and stays. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        place = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(place)  # its name, too, outlives the machine
        finally:
            os.close(place)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise os_failed(path, error) from None


class Installed:
    """What anybody may read of an engine on disk."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Raises StorageError when there is no engine, PolicyInvalid when it is damaged."""
        self.directory = Path(directory)
        try:
            self.genesis = parse_genesis((self.directory / "genesis").read_bytes())
        except FileNotFoundError:
            raise StorageError(
                f"{directory}: there is no engine here",
                cause="it was not made yet, or --dir or ZCP_DIR names another place",
                next_step="make one with zcp init, or name the engine's directory",
            ) from None
        except OSError as error:
            raise os_failed(self.directory / "genesis", error) from None
        self.engine_id = self.genesis.engine_id
        self.environment = Environment(self.genesis.environment)

    def policy(self) -> Policy:
        """The policy in force, as the last record names it.

        Raises StorageError, AuditError, EngineHalted when none was loaded.
        """
        digest = policy_after(last_record(self.directory))
        if not any(digest):
            raise_status(Status.POLICY_ABSENT, str(self.directory))
        return decode_policy(self.bundle(digest))

    def authority(self) -> bytes:
        """The frame of the authority bundle in force, as the last record names it.

        Raises StorageError, AuditError.
        """
        return self.bundle(authority_after(last_record(self.directory)))

    @property
    def expectation(self) -> Expectation:
        """What an auditor pins."""
        return Expectation.of_genesis(self.genesis)

    def bundle(self, digest: bytes) -> bytes:
        """A bundle that was taken, by its hash. Raises StorageError."""
        path = self.directory / "bundles" / digest.hex()
        try:
            return path.read_bytes()
        except OSError as error:
            raise os_failed(path, error) from None

    def record(self, number: int) -> Record:
        """One record of its log. Raises AuditError."""
        return find_record(self.directory, number)

    def terms(self, sequence: int, issued_ns: int) -> FrameTerms:
        """Terms of a frame for this engine."""
        return terms(self.engine_id, self.environment, sequence, issued_ns)


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key of the engine's keyring, and what people call it."""

    name: str
    info: KeyInfo

    @property
    def address(self) -> str:
        """The address of an ECDSA key, by which Hyperliquid knows it; "" of other keys."""
        is_ecdsa = self.info.algorithm == Algorithm.ECDSA_SECP256K1
        return _core.key_address(self.info.public_key) if is_ecdsa else ""

    def to_json(self) -> dict[str, Any]:
        """What may be known of it."""
        info = self.info
        return {
            "name": self.name,
            "id": info.id,
            "purpose": label(Purpose(info.purpose)),
            "algorithm": label(Algorithm(info.algorithm)),
            "venue": label(Venue(info.venue)),
            "api_key": info.api_key,
            "public_key": info.public_key.hex(),
            "address": self.address,
            "fingerprint": info.fingerprint.hex(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NamedKey:
        """The inverse of `to_json`."""
        info = KeyInfo(
            data["id"],
            Purpose[data["purpose"].upper()],
            Algorithm[data["algorithm"].upper()],
            Venue[data["venue"].upper()],
            data["api_key"],
            bytes.fromhex(data["public_key"]),
            bytes.fromhex(data["fingerprint"]),
        )
        return cls(data["name"], info)


def public_keys(directory: Path) -> tuple[NamedKey, ...]:
    """What `keys/public` says of the engine's keys: names and public halves, no secret.

    A policy that names a key otherwise than the keyring holds it is refused when it signs.
    Raises StorageError, ConfigError.
    """
    path = directory / "keys" / "public"
    try:
        return tuple(NamedKey.from_json(row) for row in json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise os_failed(path, error) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            "the list of public keys is damaged",
            file=str(path),
            next_step="any zcp key command that opens the keyring writes it again",
        ) from None


def _write_public(directory: Path, keys: Iterable[KeyInfo], names: dict[int, str]) -> None:
    rows = [NamedKey(names.get(key.id, f"key-{key.id}"), key).to_json() for key in keys]
    write_file(
        directory / "keys" / "public", (json.dumps(rows, indent=2) + "\n").encode(), mode=0o644
    )


class KeyFile:
    """A key file on disk: opened, changed, sealed again with the parameters that it had."""

    def __init__(self, path: Path, passphrase: bytes) -> None:
        """Opens it. Raises StorageError, KeyFileError (the passphrase does not open it)."""
        self.path = path
        self._passphrase = passphrase
        self.ring = _core.Keyring()
        try:
            sealed = path.read_bytes()
        except OSError as error:
            raise os_failed(path, error) from None
        try:
            self.ring.unseal(sealed, passphrase)
        except SentinelError as error:
            raise type(error)(f"{path}: {error.message}", status=error.status) from None
        self._limits: tuple[int, int] = _KEYFILE_LIMITS.unpack_from(sealed, 16)

    def save(self, names: dict[int, str]) -> None:
        """Seals the keys again, replaces the file and the list of public halves beside it.

        Raises StorageError.
        """
        opslimit, memlimit = self._limits
        write_file(
            self.path, self.ring.seal(self._passphrase, opslimit=opslimit, memlimit=memlimit)
        )
        _write_public(self.path.parent.parent, self.ring.list(), names)


class AuthorityRing:
    """Embedded mode's own authority keys (`keys/authority`): they sign what people order."""

    def __init__(self, ring: _core.Keyring) -> None:
        self._ring = ring

    @classmethod
    def open(cls, directory: Path, passphrase: bytes) -> AuthorityRing:
        """Opens an engine's authority keys. Raises StorageError, KeyFileError."""
        return cls(KeyFile(directory / "keys" / "authority", passphrase).ring)

    @classmethod
    def generate(cls) -> AuthorityRing:
        """Fresh keys: root, policy, operator, feeder of marks."""
        ring = _core.Keyring()
        for key in (_ROOT, _POLICY, _OPERATOR, _FEEDER):
            ring.generate(key, Purpose.AUTHORITY, Algorithm.ED25519)
        return cls(ring)

    def seal(self, passphrase: bytes, limits: tuple[int, int]) -> bytes:
        """The key file."""
        return self._ring.seal(passphrase, opslimit=limits[0], memlimit=limits[1])

    def save(self, place: Path, passphrase: bytes, limits: tuple[int, int]) -> None:
        """Writes the key file of a new engine. Raises StorageError."""
        write_file(place / "keys" / "authority", self.seal(passphrase, limits))

    def sign(self, kind: FrameKind, signed_part: bytes) -> bytes:
        """The whole frame, with the proof of the key that has the power for its kind.

        Raises KeyFileError when people hold that power with key files of their own.
        """
        key, proof_id = _SIGNER_OF[kind]
        if all(info.id != key for info in self._ring.list()):
            word, verbs = _PEOPLE_SIGN[kind]
            raise KeyFileError(
                f"the engine's own key file holds no {word} key: people do, each in a key file",
                cause="the engine was made so (zcp init), or its authority was changed",
                next_step=f"sign with those: {verbs}",
            )
        signature = self._ring.sign_frame(key, proof_prefix(kind), frame_hash(signed_part))
        return attach_proofs(signed_part, [(proof_id, signature)])

    @property
    def root_key(self) -> bytes:
        """Public key of the root."""
        return self._public(_ROOT)

    @property
    def root_keys(self) -> tuple[bytes, ...]:
        """Public keys of the genesis record's root."""
        return (self.root_key,)

    @property
    def root_threshold(self) -> int:
        """How many of them sign an authority bundle."""
        return 1

    def bundle(self, terms: FrameTerms) -> bytes:
        """The authority bundle that gives these keys their powers, k = n = 1 each."""
        feeds = (Power.FEED_MARK, Power.FEED_EXECUTION, Power.FEED_POSITION)
        powers = {_POLICY: (Power.POLICY,), _OPERATOR: (Power.OPERATOR,), _FEEDER: feeds}
        keys = [
            AuthorityKey(
                id=key,
                powers=frozenset(held),
                public_key=self._public(key),
                expires_ns=terms.issued_ns + _YEARS_10_NS,
            )
            for key, held in powers.items()
        ]
        every = [power for held in powers.values() for power in held]
        part = authority_bundle(keys, dict.fromkeys(every, 1), terms)
        return self.sign(FrameKind.AUTHORITY, part)

    def _public(self, key: int) -> bytes:
        return next(info.public_key for info in self._ring.list() if info.id == key)


@dataclass(frozen=True, slots=True)
class Created:
    """A new engine."""

    directory: Path
    engine_id: bytes
    environment: Environment
    keys: tuple[KeyInfo, ...]
    expectation: Expectation


def terms(engine: bytes, environment: Environment, sequence: int, issued_ns: int) -> FrameTerms:
    """Terms of a frame that is taken at once or soon: it expires after an hour."""
    return FrameTerms(
        engine_id=engine,
        environment=environment,
        sequence=sequence,
        issued_ns=issued_ns,
        expires_ns=issued_ns + 3_600 * 10**9,
    )


def argon_limits(environment: Environment) -> tuple[int, int]:
    """What Argon2id is made to cost: libsodium's "moderate".

    ZCP_LIGHT_KEYS makes it cheap where no key guards money. Raises UsageError elsewhere.
    """
    if not os.environ.get("ZCP_LIGHT_KEYS"):
        return (0, 0)
    if environment is Environment.LIVE:
        raise UsageError(
            "ZCP_LIGHT_KEYS is set, but this engine is live",
            next_step="unset it, or make the engine with --environment test",
        )
    return _LIGHT


def create_engine(
    directory: Path,
    passphrase: bytes,
    *,
    now_ns: int,
    environment: Environment = Environment.LIVE,
    policy: str | None = None,
    keep_passphrase: bool = False,
    segment_bytes: int = 0,
    authority: AuthorityRing | None = None,
) -> Created:
    """Makes a new engine: keys, genesis, authority, a first policy that allows only messages.

    Everything is made aside and moved into `directory` when it is complete, so that a failure
    leaves nothing behind. `keep_passphrase` writes it beside the keys; `segment_bytes` is the
    size of the log's first file (0: 16 MiB); `authority` are the keys of those who may order
    (default: one of each, in one key file). Raises UsageError when the directory holds something,
    StorageError.
    """
    with _making(directory) as place:
        limits = argon_limits(environment)
        keys = _core.Keyring()
        lab = environment is Environment.LAB
        identity = keys.generate(RECEIPT_KEY, Purpose.RECEIPT, Algorithm.ED25519, lab=lab)
        keys.generate(MESSAGE_KEY, Purpose.MESSAGE, Algorithm.ED25519, lab=lab)
        authority = authority or AuthorityRing.generate()
        root = genesis(
            environment=environment,
            root_threshold=authority.root_threshold,
            root_keys=authority.root_keys,
            identity_key=identity.public_key,
            created_ns=now_ns,
            random32=secrets.token_bytes(32),
        )
        engine = engine_id(root)
        first = terms(engine, environment, 1, now_ns)
        source = INITIAL_POLICY if policy is None else policy
        part = compile_policy(source, first, keyring=keys.list())
        (place / "keys").mkdir(mode=0o700)
        authority.save(place, passphrase, limits)
        write_file(
            place / "keys" / "engine",
            keys.seal(passphrase, opslimit=limits[0], memlimit=limits[1]),
        )
        names = {RECEIPT_KEY: "identity", MESSAGE_KEY: "message"}
        _write_public(place, keys.list(), names)
        if keep_passphrase:
            write_file(place / "keys" / "passphrase", passphrase + b"\n", mode=0o400)
        _core.Engine.create(
            place,
            root,
            authority.bundle(first),
            authority.sign(FrameKind.POLICY, part),
            passphrase,
            now_ns,
            segment_bytes=segment_bytes,
        )
        keep_text(place, source)
        expectation = Expectation(engine, authority.root_threshold, authority.root_keys)
        write_file(place / "expectation.json", expectation.to_json().encode(), mode=0o644)
    return Created(directory, engine, environment, tuple(keys.list()), expectation)


def keep_text(directory: Path, text: str) -> bytes:
    """Keeps a text beside the log, under its SHA-256; the digest. Raises StorageError."""
    data = text.encode()
    digest = frame_hash(data)
    path = directory / "texts" / digest.hex()
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise os_failed(path.parent, error) from None
        write_file(path, data)
    return digest


def keep_reason(directory: Path, reason: str) -> str:
    """Keeps the reason of a command that the engine or its spool has; what is to be warned of.

    Only then: a halt must not wait for room for its text, and a text that cannot be kept must not
    make a command that stands look like one that failed.
    """
    try:
        keep_text(directory, reason)
    except StorageError as error:
        return f"warning: the command stands, but its reason is not kept beside the log: {error}"
    return ""


def find_text(directory: Path, digest: bytes) -> str | None:
    """A text that is kept under its SHA-256; None when there is none, or it was altered."""
    try:
        data = (directory / "texts" / digest.hex()).read_bytes()
        return data.decode() if frame_hash(data) == digest else None
    except (OSError, UnicodeDecodeError):
        return None


@contextlib.contextmanager
def _making(directory: Path) -> Iterator[Path]:
    """A place inside an absent or empty directory; what is made there moves up if all goes well.

    Not beside it: the directory may be a mounted volume, and its parent may not be ours.
    """
    made = False
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise UsageError(
                f"{directory}: there is something here already",
                cause="an engine was made here before, or the directory serves something else",
                next_step="name an empty directory with --dir, or use the engine that is there",
            )
        made = not directory.exists()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".making.", dir=directory))
    except OSError as error:
        raise os_failed(directory, error) from None
    try:
        yield place
        directory.chmod(0o700)
        for path in sorted(place.iterdir(), key=lambda path: path.name == "genesis"):
            path.replace(directory / path.name)
        place.rmdir()
    except BaseException as error:
        shutil.rmtree(directory if made else place, ignore_errors=True)
        if isinstance(error, OSError):
            raise os_failed(directory, error) from None
        raise
