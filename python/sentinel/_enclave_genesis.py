"""The steps of an engine's beginning in an enclave, each from what the store and people have.

    begin ─▶ first authority bundle, signed by the root ─▶ certificate, k of n ─▶ keys ─▶ create

Each step looks at its input first, with what is in the store, and asks the lobby then; what the
lobby gave is kept whole before the step counts as done. What people sign is verified inside again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from . import _core, receipt
from ._drafts import FORMATS, Draft
from ._enclave_lobby import Lobby
from ._enclave_papers import CERTIFICATE, IMPORT, KEY_INFO, must_be_kms_key
from ._enclave_store import SESSION, Store
from ._enums import Algorithm, Environment, Power, Purpose, Venue
from ._frame import FrameKind, Genesis, UnsafeFrame, parse_genesis, unsafe_parse_frame, verify_power
from ._layout import FrameTerms
from ._people import Public, read_json, write_json
from .attestation import Purpose as For
from .config import NamedKey, os_failed
from .errors import ConfigError, SentinelError, StorageError, UsageError, VerificationFailed
from .policy import compile_policy, decode_policy, stable_id

PUBLIC: Final = "engine.public"
EXPECTATION: Final = "expectation.json"
KEYS: Final = "keys.public"
_KEYS_FORMAT: Final = "sentinel-enclave-keys-v1"
_FRAME_BYTES_MAX: Final = 8 << 20
_ISSUED_BEFORE_NS: Final = 5 * 10**9


def has(store: Store, name: str) -> bool:
    """Whether the store has a paper."""
    return (store.folder / name).is_file()


def _needs(store: Store, name: str, step: str) -> None:
    if not has(store, name):
        raise UsageError(f"{store.folder} has no {name} yet", next_step=f"first: {step}")


def must_not_run(store: Store) -> None:
    """Raises UsageError where the store is of an engine that began."""
    if has(store, "keys.sealed"):
        raise UsageError(
            f"{store.folder} is the store of an engine that began already",
            cause="an engine begins once in its life",
            next_step="zcp enclave resume brings it up; another engine needs another store",
        )


def frame_of(path: Path, kind: FrameKind) -> tuple[bytes, tuple[str, ...]]:
    """A signed frame: as a draft that people signed, or as it was exported; the draft's names.

    Raises StorageError, ConfigError, UsageError.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_FRAME_BYTES_MAX + 1)
    except OSError as error:
        raise os_failed(path, error) from None
    if kind in FORMATS and raw[:1] == b"{":
        draft = Draft.read(path, kind)
        return draft.raw, draft.names
    try:
        unsafe_parse_frame(raw, kind)
    except SentinelError as error:
        raise ConfigError(
            f"this is no {kind.name.lower()}: {error.message}",
            file=str(path),
            cause="the file was cut short or altered, or is of another kind",
            next_step="get it again from whoever made it",
        ) from None
    return raw, ()


# ---- Genesis, and the first bundle --------------------------------------------------------------


def begin(
    lobby: Lobby, store: Store, environment: Environment, threshold: int, roots: Sequence[bytes]
) -> Genesis:
    """Has the root secret and the identity key made; the genesis record is in the store."""
    raw = lobby.genesis(environment, threshold, roots)
    genesis = parse_genesis(raw)
    if genesis.root_keys != tuple(roots) or genesis.root_threshold != threshold:
        raise StorageError(
            "the enclave's genesis record names another root",
            next_step="do not use it: it is no enclave of ours. Start it anew",
        )
    store.keep(EXPECTATION, receipt.Expectation.of_genesis(genesis).to_json().encode())
    store.keep("genesis", raw)
    write_public(store)
    return genesis


def write_public(store: Store, names: Iterable[str] = ()) -> Public:
    """What is public of the engine by now, for machines that only sign, into the store.

    `names`: of people; those that were there before stay.
    """
    _needs(store, "genesis", "zcp enclave begin")
    authority = store.paper("authority") if has(store, "authority") else b""
    policy = store.paper("policy") if has(store, "policy") else None
    known = Public.read(store.folder / PUBLIC).names if has(store, PUBLIC) else ()
    told = tuple(sorted({*known, *names}))
    found = Public.of(store.paper("genesis"), authority, policy, told)
    found.write(store.folder / PUBLIC)
    return found


def take_authority(store: Store, frame: bytes, names: Iterable[str] = ()) -> Public:
    """Keeps the first authority bundle. Raises VerificationFailed, UsageError."""
    _needs(store, "genesis", "zcp enclave begin")
    if has(store, "certificate"):
        raise UsageError(
            "the engine's certificate names operators of another bundle already",
            next_step="when the engine runs, hand in the next bundle by --connect",
        )
    with _signed_enough("authority bundle", "zcp authority sign, by as many root keys as it takes"):
        found = Public.of(store.paper("genesis"), frame, None)
    for power, why in (
        (Power.WITNESS, "without a witness no engine begins in an enclave"),
        (Power.OPERATOR, "operators sign its certificate"),
        (Power.POLICY, "somebody signs its policy"),
    ):
        if not found.authority.threshold[power]:
            raise UsageError(
                f"the authority bundle has no {power.name.lower()}: {why}",
                next_step=f"draft it again with --add FILE.pub:{power.name.lower()}",
            )
    store.keep("authority", frame)
    return write_public(store, names)


def _verified(store: Store, raw: bytes, kind: FrameKind, power: Power) -> UnsafeFrame:
    """A frame of this engine, signed by enough people. Raises UsageError, VerificationFailed."""
    known = write_public(store)
    frame = unsafe_parse_frame(raw, kind)
    if frame.engine_id != known.genesis.engine_id:
        raise UsageError(
            f"the {kind.name.lower()} is for engine {frame.engine_id.hex()[:16]}…, not for this one"
        )
    word = power.name.lower()
    with _signed_enough(
        kind.name.lower(), f"have as many sign it as hold the power {word}, k of n"
    ):
        verify_power(frame, known.authority, power, frame.issued_ns)
    return frame


@contextmanager
def _signed_enough(what: str, next_step: str) -> Iterator[None]:
    try:
        yield
    except VerificationFailed as error:
        raise VerificationFailed(
            f"the {what} is not signed as it has to be: {error.message}", next_step=next_step
        ) from None


# ---- Certificate ---------------------------------------------------------------------------------


def certify(lobby: Lobby, store: Store, raw: bytes, spki: bytes) -> None:
    """Hands the certificate in; the root, wrapped to the certified key, is in the store."""
    _needs(store, "authority", "zcp enclave public --authority FILE")
    must_be_kms_key(spki)
    frame = _verified(store, raw, FrameKind.CERTIFICATE, Power.OPERATOR)
    if CERTIFICATE.unpack(frame.payload)["kms_key_hash32"] != sha256(spki).digest():
        raise UsageError(
            "the certificate names another KMS key than this one",
            next_step="give the --kms-key that it was drafted with",
        )
    wrapped = lobby.certify(store.paper("authority"), raw, spki)
    store.keep("root.wrapped", wrapped)
    store.keep("certificate", raw)


# ---- Keys ----------------------------------------------------------------------------------------


def keys_of(store: Store) -> list[NamedKey]:
    """The public halves of the keys that are inside. Raises ConfigError, StorageError."""
    path = store.folder / KEYS
    if not has(store, KEYS):
        return []
    rows = read_json(path, _KEYS_FORMAT, ("keys",), "list of an enclave's keys")["keys"]
    try:
        return [NamedKey.from_json(row) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{path}: a row is damaged", next_step="make the keys anew") from None


def _add(store: Store, name: str, raw: bytes) -> NamedKey:
    made = NamedKey(name, _core.key_infos(raw)[0])
    rows = [*keys_of(store), made]
    write_json(store.folder / KEYS, _KEYS_FORMAT, {"keys": [row.to_json() for row in rows]})
    return made


def _new_name(store: Store, name: str) -> int:
    _needs(store, "certificate", "zcp enclave certify")
    must_not_run(store)
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not 0 < len(name) <= 64 or not name.isascii() or not plain.isalnum():
        raise UsageError("a key's name is 1 to 64 letters, digits, '.', '_' or '-'")
    if any(row.name == name for row in keys_of(store)):
        raise UsageError(
            f"there is a key {name} already", next_step="zcp enclave key list; take another name"
        )
    return stable_id("key", name)


def generate_key(
    lobby: Lobby,
    store: Store,
    name: str,
    purpose: Purpose,
    algorithm: Algorithm,
    venue: Venue,
    api_key: str,
) -> NamedKey:
    """Has a key made inside."""
    asked = KEY_INFO.pack(
        id=_new_name(store, name),
        purpose=purpose,
        algorithm=algorithm,
        venue=venue,
        api_key_size=len(api_key),
        api_key=api_key.encode(),
        lab=parse_genesis(store.paper("genesis")).environment == Environment.LAB,
    )
    return _add(store, name, lobby.make(asked))


def import_key(lobby: Lobby, store: Store, name: str, raw: bytes) -> NamedKey:
    """Hands in a key that was sealed to this boot of the enclave, and signed for."""
    id_ = _new_name(store, name)
    frame = _verified(store, raw, FrameKind.IMPORT, Power.OPERATOR)
    info = KEY_INFO.unpack(IMPORT.unpack(frame.payload)["info"])
    if info["id"] != id_:
        raise UsageError(
            f"the import is of another key than {name}",
            next_step="give the name that it was drafted with",
        )
    return _add(store, name, lobby.import_(raw))


# ---- Policy --------------------------------------------------------------------------------------


def compile_first(store: Store, source: str, file: Path, valid_ns: int) -> bytes:
    """The first policy, with the keys that are inside; for people to sign. Raises PolicyInvalid."""
    _needs(store, "certificate", "zcp enclave certify")
    must_not_run(store)
    genesis = parse_genesis(store.paper("genesis"))
    now = time.time_ns()
    terms = FrameTerms(
        engine_id=genesis.engine_id,
        environment=Environment(genesis.environment),
        sequence=1,
        issued_ns=now - _ISSUED_BEFORE_NS,
        expires_ns=now + valid_ns,
    )
    keys = [row.info for row in keys_of(store)]
    return compile_policy(source, terms, keyring=keys, file=str(file), base=file.parent)


def create(lobby: Lobby, store: Store, raw: bytes) -> bytes:
    """The engine runs from here on; the nonce of its document for sessions (`session.cose`)."""
    _needs(store, "certificate", "zcp enclave certify")
    must_not_run(store)
    _verified(store, raw, FrameKind.POLICY, Power.POLICY)
    if not decode_policy(raw).lease_ns:
        raise UsageError(
            "the policy asks for no lease: a host could drop a halt on its way",
            next_step="write one into it, such as `lease: 30s`, and have it signed again",
        )
    nonce = os.urandom(32)
    store.keep(SESSION, lobby.attest(For.SESSION, nonce))
    sealed = lobby.create(raw)
    store.keep("keys.sealed", sealed)
    store.keep("policy", raw)
    write_public(store)
    return nonce
