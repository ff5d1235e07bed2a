"""Signers behind PKCS#11: a throw-away SoftHSM token, and a user's own with `--against pkcs11:…`.

The session stays open and logged in; `sign` is C_SignInit and C_Sign through python-pkcs11, and
SHA-256 in front where the mechanism takes a digest. SoftHSM is software: it shows what the
interface and such a program cost, and nothing of a hardware module or of a way to one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import subprocess
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import UsageError
from .peer import PeerMissing
from .peers_python import CallPeer, end_together, need

__all__ = ["PIN_VARIABLE", "Place", "open_pkcs11", "parse_pkcs11", "softhsm_peers"]

PIN_VARIABLE: Final = "ZCP_BENCH_PIN"
CALLS_MAX: Final = 1_000
"""Of a user's own module, warm-up included, so that a slow one does not hold up the run."""

SOFTHSM: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
INSTALL_SOFTHSM: Final = "SoftHSM2: apt install softhsm2"

ED25519_NAMES: Final = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
"""EC_PARAMS of Ed25519: as an object identifier, and as a printable string."""
NAMED_CURVES: Final = {
    bytes.fromhex("06082a8648ce3d030107"): "ecdsa_p256",
    bytes.fromhex("06052b8104000a"): "ecdsa_secp256k1",
}

FORM: Final = "pkcs11:MODULE?token=LABEL&key=LABEL"


@dataclass(frozen=True, slots=True)
class Place:
    """What a --against pkcs11:… names."""

    module: str
    token: str | None = None
    serial: str | None = None
    slot: int | None = None
    key: str | None = None
    key_id: bytes | None = None


def parse_pkcs11(where: str) -> Place:
    """Reads a PKCS#11 URI (RFC 7512) or pkcs11:MODULE?token=…&key=….

    Raises UsageError, for a PIN within it too: other users of the machine see arguments.
    """
    rest = where.partition(":")[2]
    path, _, query = rest.partition("?")
    found: dict[str, str] = {}
    parts = [part for part in query.split("&") if part]
    if "=" in path or not path:  # the standard's own form; else the path is the module's
        parts = [part for part in path.split(";") if part] + parts
    else:
        found["module-path"] = urllib.parse.unquote(path)
    names = {"key": "object", "module": "module-path"}
    for part in parts:
        name, is_pair, value = part.partition("=")
        name = names.get(name, name)
        if name in ("pin-value", "pin-source", "pin"):
            raise UsageError(
                "--against: a PIN is not taken from the command line",
                next_step=f"set {PIN_VARIABLE}, or wait to be asked",
            )
        if not is_pair or name in found:
            raise UsageError(f"--against: {part!r} is not understood", next_step=FORM)
        found[name] = urllib.parse.unquote(value, errors="surrogateescape")
    known = {"module-path", "token", "serial", "slot-id", "object", "id", "type"}
    if unknown := sorted(found.keys() - known):
        raise UsageError(f"--against: {unknown[0]!r} is not known here", next_step=FORM)
    if found.get("type", "private") not in ("private", "secret-key"):
        raise UsageError(f"--against: a key of type {found['type']!r} signs nothing")
    if "module-path" not in found:
        raise UsageError("--against: which PKCS#11 module?", next_step=FORM)
    if "object" not in found and "id" not in found:
        raise UsageError("--against: which key? Give key= (its label) or id=", next_step=FORM)
    slot = found.get("slot-id")
    if slot is not None and not (slot.isascii() and slot.isdigit()):
        raise UsageError(f"--against: slot-id={slot!r} is no number")
    return Place(
        module=found["module-path"],
        token=found.get("token"),
        serial=found.get("serial"),
        slot=None if slot is None else int(slot),
        key=found.get("object"),
        key_id=found["id"].encode("utf-8", "surrogateescape") if "id" in found else None,
    )


def _hashed(key: Any, mechanism: Any) -> Callable[[bytes], bytes]:
    sign, sha256 = key.sign, hashlib.sha256

    def call(message: bytes) -> bytes:
        signature: bytes = sign(sha256(message).digest(), mechanism=mechanism)
        return signature

    return call


def _whole(key: Any, mechanism: Any) -> Callable[[bytes], bytes]:
    sign = key.sign

    def call(message: bytes) -> bytes:
        signature: bytes = sign(message, mechanism=mechanism)
        return signature

    return call


def _how(p11: Any, key: Any) -> tuple[str, Callable[[bytes], bytes]]:
    """The algorithm of a key, and one signature by it. Raises UsageError for other kinds."""
    kinds, mechanisms = p11.KeyType, p11.Mechanism
    if key.key_type == kinds.EC_EDWARDS and bytes(key[p11.Attribute.EC_PARAMS]) in ED25519_NAMES:
        return "ed25519", _whole(key, mechanisms.EDDSA)
    if key.key_type == kinds.EC:
        algorithm = NAMED_CURVES.get(bytes(key[p11.Attribute.EC_PARAMS]))
        if algorithm is not None:
            return algorithm, _hashed(key, mechanisms.ECDSA)
    if key.key_type == kinds.RSA:
        return "rsa_sha256", _whole(key, mechanisms.SHA256_RSA_PKCS)
    if key.key_type in (kinds.GENERIC_SECRET, kinds.SHA256_HMAC):
        return "hmac_sha256", _whole(key, mechanisms.SHA256_HMAC)
    kind = getattr(key.key_type, "name", key.key_type)
    raise UsageError(
        f"--against: a key of the kind {kind} is not measured",
        next_step="Ed25519, ECDSA on P-256 or secp256k1, RSA and HMAC-SHA256 are",
    )


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _find_softhsm() -> str:
    for path in SOFTHSM:
        if os.path.exists(path):
            return path
    raise PeerMissing(INSTALL_SOFTHSM)


def _make_token(place: Path, pin: str) -> Path:
    """A token of our own; its PIN is as short-lived as it is, so it may stand in an argument."""
    tokens, settings = place / "tokens", place / "softhsm2.conf"
    tokens.mkdir()
    settings.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n",
        encoding="utf-8",
    )
    command = ["softhsm2-util", "--init-token", "--free", "--label", "zcp-bench"]
    command += ["--pin", pin, "--so-pin", pin]
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            timeout=30,
            env={**os.environ, "SOFTHSM2_CONF": str(settings)},
        )
    except FileNotFoundError as absent:
        raise PeerMissing(INSTALL_SOFTHSM) from absent
    except subprocess.SubprocessError as failed:
        raise PeerMissing("SoftHSM2: softhsm2-util made no token") from failed
    return settings


def _make_keys(p11: Any, session: Any) -> Iterator[tuple[Any, Any]]:
    """One key of each kind that SoftHSM offers: what signs, and what verifies."""
    kinds, attribute = p11.KeyType, p11.Attribute
    curves = ((kinds.EC_EDWARDS, ED25519_NAMES[0]), *((kinds.EC, der) for der in NAMED_CURVES))
    for kind, der in curves:
        try:
            parameters = session.create_domain_parameters(
                kind, {attribute.EC_PARAMS: der}, local=True
            )
            public, private = parameters.generate_keypair()
        except p11.PKCS11Error:  # a build without this curve
            continue
        yield private, bytes(public[attribute.EC_POINT])
    public, private = session.generate_keypair(kinds.RSA, 2048)
    yield private, (bytes(public[attribute.MODULUS]), bytes(public[attribute.PUBLIC_EXPONENT]))
    secret = secrets.token_bytes(32)
    hmac = session.create_object(
        {
            attribute.CLASS: p11.ObjectClass.SECRET_KEY,
            attribute.KEY_TYPE: kinds.GENERIC_SECRET,
            attribute.VALUE: secret,
            attribute.SIGN: True,
        }
    )
    yield hmac, secret


def softhsm_peers() -> list[CallPeer]:
    """SoftHSM2 with a token in a temporary directory: a peer for each kind of key that it has.

    All end with the last one that is closed. Raises PeerMissing.
    """
    p11, _ = need("pkcs11", "python-pkcs11")
    path = _find_softhsm()
    with contextlib.ExitStack() as stack:
        if os.path.realpath(path) in _in_use:
            raise PeerMissing("SoftHSM2: left out, --against uses this very module")
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zcp-bench-")))
        pin = secrets.token_hex(8)
        with _environment("SOFTHSM2_CONF", str(_make_token(place, pin))):
            session, version = _open_session(p11, stack, Place(path, token="zcp-bench"), pin)
        peers = []
        for key, public in _make_keys(p11, session):
            algorithm, sign = _how(p11, key)
            peers.append(
                CallPeer(
                    name=f"softhsm_{algorithm}",
                    label="SoftHSM2 over PKCS#11 (software)",
                    algorithm=algorithm,
                    sign=sign,
                    version=version,
                    public=public,
                )
            )
        end_together(peers, stack.pop_all())
        return peers


_in_use: set[str] = set()
"""Modules that are open, by their real path: a module knows one set of tokens in a process."""


def _open_session(
    p11: Any, stack: contextlib.ExitStack, where: Place, pin: str | None
) -> tuple[Any, str]:
    """A session on a token, logged in, that ends with the stack; and the module's version."""
    library = p11.lib(where.module)
    stack.callback(library.finalize)
    real = os.path.realpath(where.module)
    _in_use.add(real)
    stack.callback(_in_use.discard, real)
    found = []
    for slot in library.get_slots(token_present=True):
        token = slot.get_token()
        serial = token.serial.decode(errors="replace").strip("\0 ")
        if (
            where.token in (None, token.label)
            and where.serial in (None, serial)
            and where.slot in (None, slot.slot_id)
        ):
            found.append(token)
    if len(found) != 1:
        raise UsageError(
            f"--against: {len(found) or 'none'} of the module's tokens fit",
            next_step="name one by token=, serial= or slot-id=",
        )
    session = found[0].open(user_pin=pin)
    stack.callback(session.close)
    version = ".".join(map(str, library.library_version))
    return session, f"{library.manufacturer_id.strip()} {version}"


def _find_key(p11: Any, session: Any, where: Place) -> Any:
    wanted: dict[Any, Any] = {p11.Attribute.SIGN: True}
    if where.key is not None:
        wanted[p11.Attribute.LABEL] = where.key
    if where.key_id is not None:
        wanted[p11.Attribute.ID] = where.key_id
    keys = [
        key
        for kind in (p11.ObjectClass.PRIVATE_KEY, p11.ObjectClass.SECRET_KEY)
        for key in session.get_objects({**wanted, p11.Attribute.CLASS: kind})
    ]
    if len(keys) != 1:
        raise UsageError(
            f"--against: {len(keys) or 'no'} keys of the token fit and may sign",
            next_step="name one by key= (its label) or id=",
        )
    return keys[0]


def open_pkcs11(where: str, *, ask: Callable[[str], str] | None = None) -> list[CallPeer]:
    """A user's own module (--against pkcs11:…).

    The PIN is that of ZCP_BENCH_PIN, else `ask` is asked for it; neither: no log-in. Raises
    PeerMissing and UsageError.
    """
    place = parse_pkcs11(where)
    p11, _ = need("pkcs11", "python-pkcs11")
    pin = os.environ.get(PIN_VARIABLE)
    if pin is None and ask is not None:
        pin = ask("PIN of the token")
    with contextlib.ExitStack() as stack:
        try:
            session, version = _open_session(p11, stack, place, pin or None)
            algorithm, sign = _how(p11, _find_key(p11, session, place))
        except p11.PKCS11Error as refused:
            raise UsageError(
                f"--against: the module refused: {_said(refused)}",
                next_step=f"{FORM}; the PIN stands in {PIN_VARIABLE}",
            ) from refused
        mine = CallPeer(
            name=f"own_pkcs11_{algorithm}",
            label=f"yours: PKCS#11 {place.key or place.token or Path(place.module).name}",
            algorithm=algorithm,
            sign=sign,
            version=version,
            calls_max=CALLS_MAX,
        )
        end_together([mine], stack.pop_all())
        return [mine]


def _said(refused: Exception) -> str:
    """python-pkcs11 says most things by the name of the exception alone."""
    return f"{type(refused).__name__} {refused}".strip()
