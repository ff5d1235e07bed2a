"""Rendering by throw-away engines of the environment `lab`: neutral orders in, requests out.

    rendered = render({"id": "1", "venue": "binance_spot", "scheme": "HMAC-SHA256",
                       "key": {"api_key": "…", "secret": "…"}, "order": {…}})

Each order gets an engine in memory of its own: nothing is kept, and nothing of it loads elsewhere.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import _core, _layout
from ._enums import Action, Algorithm, Contract, Environment, Purpose, Venue, label
from ._frame import FrameKind
from ._record import Verdict
from ._status import REASON_CODE, Reason
from ._types import Outcome
from ._venue_rows import rsa_refusal
from ._why import why
from ._why_venue import Case
from .config import RECEIPT_KEY, AuthorityRing, terms
from .errors import OrderInvalid, PolicyDenied, SentinelError, SigningFailed, UsageError
from .order import Transfer, Withdraw
from .policy_compile import compile_policy
from .venue import LAB_ID, LabOrder, neutral_order

__all__ = ["LabKey", "render", "sign"]

_CODE: Final = re.compile("[A-Za-z0-9._-]{1,48}")
_SMALLEST: Final = "0.000000000000000001"
_NEXT_STEP: Final = "correct the line: docs/cli.md has its fields"
_FIRM: Final = 2
_ALGORITHMS: Final = {
    "hmac": Algorithm.HMAC_SHA256,
    "ed25519": Algorithm.ED25519,
    "secp256k1": Algorithm.ECDSA_SECP256K1,
}
"""By a word that the name of the scheme has."""


@dataclass(frozen=True, slots=True)
class LabKey:
    """A key of a venue, for tests: never use one that guards money."""

    algorithm: Algorithm
    secret: bytes = field(repr=False)
    api_key: str = ""
    passphrase: str = field(default="", repr=False)

    @classmethod
    def of(cls, scheme: Any, key: Any, venue: Venue = Venue.NONE) -> LabKey:
        """From the fields `scheme` and `key` of a line. Raises UsageError."""
        algorithm = algorithm_of(scheme, venue)
        if not isinstance(key, Mapping):
            raise UsageError("key: an object is needed")

        def text(*names: str) -> str:
            value = next((key[name] for name in names if key.get(name)), "")
            if not isinstance(value, str):
                raise UsageError(f"key.{names[0]}: text is needed")
            return value

        api_key = text("api_key", "client_id")
        if algorithm is Algorithm.HMAC_SHA256:
            secret = text("secret", "client_secret")
            if not secret:
                raise UsageError("key.secret: text is needed")
            passphrase = text("passphrase")
            if venue is Venue.OKX and not passphrase:
                raise UsageError(
                    "key.passphrase: an OKX key has one, which goes into a header",
                    next_step="give the passphrase that was chosen when the key was made",
                )
            return cls(algorithm, secret.encode(), api_key, passphrase)
        if algorithm is Algorithm.ED25519:
            return cls(algorithm, ed25519_seed(key), api_key)
        try:
            scalar = bytes.fromhex(text("private_key").removeprefix("0x"))
        except ValueError:
            scalar = b""
        if len(scalar) != 32:
            raise UsageError("key.private_key: 32 bytes in hex are needed")
        return cls(algorithm, scalar, api_key)


def algorithm_of(scheme: Any, venue: Venue = Venue.NONE) -> Algorithm:
    """The algorithm in the name of a scheme, such as "HMAC-SHA256". Raises UsageError."""
    name = scheme.lower() if isinstance(scheme, str) else ""
    for word, algorithm in _ALGORITHMS.items():
        if word in name:
            return algorithm
    if "rsa" in name:
        refusal, instead = rsa_refusal(venue)
        raise UsageError(f"scheme: {refusal}", next_step=instead)
    raise UsageError(
        f"scheme: {scheme!r} is none of HMAC-SHA256, Ed25519, secp256k1",
        next_step="name how the key signs; an L1 or EIP-712 scheme of Hyperliquid names secp256k1",
    )


def ed25519_seed(key: Mapping[str, Any]) -> bytes:
    """The seed of an Ed25519 key, given in hex or as PKCS #8 PEM. Raises UsageError."""
    try:
        if text := key.get("private_key_seed_hex"):
            seed = bytes.fromhex(text)
        else:
            seed = seed_of_pem(key["private_key_pem"].encode())
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError("key: private_key_seed_hex or private_key_pem is needed") from None
    if len(seed) != 32:
        raise UsageError("key: an Ed25519 seed has 32 bytes")
    return seed


def seed_of_pem(pem: bytes) -> bytes:
    """The seed in an Ed25519 PKCS #8 PEM text. Raises ValueError."""
    try:
        loaded = serialization.load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")
    return loaded.private_bytes_raw()


def _policy(lab: LabOrder, algorithm: Algorithm) -> str:
    """A policy that allows this one order, as JSON (which is YAML too)."""
    order = lab.order
    data: dict[str, Any] = {
        "version": 1,
        "firm": {
            "name": "lab",
            "id": _FIRM,
            "agents": {
                "agent": {"id": LAB_ID, "allow": {"actions": [label(action) for action in Action]}}
            },
        },
        "keys": {"key": {"id": LAB_ID, "algorithm": label(algorithm), "for": "agent"}},
    }
    data["keys"]["key"] |= _key_row(lab)
    names = [lab.asset or "BASE"] + ([lab.settle] if lab.symbol is not None else [])
    data["assets"] = {name: {"id": i, "code": name} for i, name in enumerate(names, LAB_ID)}
    if lab.token:
        data["assets"][names[0]] |= {"venue": label(lab.venue), "token": lab.token}
    if lab.symbol is not None:
        inverse = lab.contract is Contract.INVERSE  # it settles in its base, others in their quote
        data["instruments"] = {
            "instrument": {
                "id": LAB_ID,
                "venue": label(lab.venue),
                "symbol": lab.symbol,
                "contract": label(lab.contract),
                "base": names[inverse],
                "quote": names[not inverse],
                "settle": names[1],
                "multiplier": "1",
                "unit": label(lab.unit),
                "index": lab.index,
                "tick": _SMALLEST,
                "lot": _SMALLEST,
            }
            | ({"strike": "1"} if lab.contract is Contract.OPTION else {})
        }
    if isinstance(order, Withdraw):
        # No network: a row without a code, which the venue is not told.
        data["networks"] = {"network": {"id": LAB_ID, "asset": names[0], "code": lab.network or ""}}
        place: dict[str, Any] = {"network": "network", "address": order.address}
        if order.memo is not None:
            place["memo"] = order.memo
        data |= {"destinations": {"place": place}}
        data["firm"]["destinations"] = ["place"]
    elif isinstance(order, Transfer) and order.destination:
        data["destinations"] = {"place": {"account": order.destination}}
        data["firm"]["destinations"] = ["place"]
    return json.dumps(data)


def _purpose(lab: LabOrder) -> Purpose:
    """Hyperliquid's master keys alone move funds."""
    if lab.venue is Venue.NONE:
        return Purpose.MESSAGE
    moves_funds = isinstance(lab.order, Withdraw | Transfer)
    is_master = moves_funds and lab.venue is Venue.HYPERLIQUID
    return Purpose.VENUE_MASTER if is_master else Purpose.VENUE


def _key_row(lab: LabOrder) -> dict[str, Any]:
    purpose = _purpose(lab)
    row: dict[str, Any] = {"purpose": label(purpose)}
    if purpose is Purpose.MESSAGE:
        return row
    wallet = isinstance(lab.order, Withdraw | Transfer)
    products = ["wallet"] if wallet else [label(lab.contract)]
    return row | {"venue": label(lab.venue), "products": products, "endpoint": "granted"}


def sign(lab: LabOrder, key: LabKey) -> Outcome:
    """Signs one neutral order with an engine of its own; the core's answer.

    Raises OrderInvalid, ConfigError where no policy can name what the order names.
    """
    now = lab.timestamp_ms * 1_000_000
    if not 0 <= now < 2**62:
        raise OrderInvalid(
            f"timestamp_ms: {lab.timestamp_ms} is out of range",
            next_step="give Unix milliseconds",
        )
    for name, code in (("symbol", lab.symbol), ("asset", lab.asset), ("network", lab.network)):
        if code and _CODE.fullmatch(code) is None:
            raise OrderInvalid(
                f"{name}: {code!r} has a character or a length that no venue's name has",
                reason=Reason.ORDER_TEXT,
                next_step="write it as the venue's listing does: letters, digits, '.', '_', '-'",
            )
    keys = _core.Keyring()
    identity = keys.generate(RECEIPT_KEY, Purpose.RECEIPT, Algorithm.ED25519, lab=True)
    keys.import_(
        LAB_ID,
        _purpose(lab),
        key.algorithm,
        key.secret,
        venue=lab.venue,
        api_key=lab.account or key.api_key,
        lab=True,
    )
    if key.passphrase:
        keys.set_passphrase(LAB_ID, key.passphrase)
    authority = AuthorityRing.generate()
    genesis = _layout.genesis(
        environment=Environment.LAB,
        root_threshold=1,
        root_keys=[authority.root_key],
        identity_key=identity.public_key,
        created_ns=now,
        random32=secrets.token_bytes(32),
    )
    first = terms(_layout.engine_id(genesis), Environment.LAB, 1, now)
    part = compile_policy(_policy(lab, key.algorithm), first, keyring=keys.list(), file="lab")
    bundle = authority.sign(FrameKind.POLICY, part)
    layout, state = _core.bundle_memory(bundle)
    context = _core.Context(
        genesis,
        keys,
        receipt_key=RECEIPT_KEY,
        bundle_bytes=len(bundle) + layout + 128,
        state_bytes=state,
    )
    context.genesis(now)
    context.take(authority.bundle(first), now)
    context.take(bundle, now)
    context.start(now)
    return context.sign(context.session(LAB_ID), lab.pack(), now)


def render(line: Mapping[str, Any]) -> dict[str, Any]:
    """Renders one line: the request and its signature, or {"id", "error", "reason", "next_step"}.

    Fields: `id`, `venue`, `scheme`, `key`, `order`, as docs/cli.md says.
    """
    id_ = line.get("id")
    try:
        order = line.get("order")
        if not isinstance(order, Mapping):
            raise UsageError("order: an object is needed")
        fields = dict(order)
        if line.get("venue") is not None:
            if fields.get("venue") not in (None, line["venue"]):
                raise UsageError("venue: the line and its order name two venues")
            fields["venue"] = line["venue"]
        lab = neutral_order(fields)
        key = LabKey.of(line.get("scheme"), line.get("key"), lab.venue)
        return _rendered(id_, lab, sign(lab, key))
    except PolicyDenied as error:
        text = f"{error.message}: {error.cause}" if error.cause else error.message
        return _refused(id_, text, error.reason, error.next_step)
    except SentinelError as error:
        number = getattr(error, "reason", None)
        reason = REASON_CODE.get(number, "input") if isinstance(number, int) else "input"
        return _refused(id_, str(error), reason, error.next_step)


def _refused(id_: Any, error: str, reason: str, next_step: str) -> dict[str, Any]:
    """What a line becomes that is not rendered."""
    return {"id": id_, "error": error, "reason": reason, "next_step": next_step or _NEXT_STEP}


def _rendered(id_: Any, lab: LabOrder, outcome: Outcome) -> dict[str, Any]:
    if outcome.signature is None or outcome.request is None:
        if outcome.verdict == Verdict.FAILED:
            raise SigningFailed(REASON_CODE.get(outcome.reason, "unknown"))
        advice = why(
            outcome.reason,
            Case(
                order=lab.order,
                venue=lab.venue,
                now_ms=lab.timestamp_ms,
                name=lab.symbol or "",
                contract=lab.contract if lab.symbol is not None else None,
                unit=lab.unit,
            ),
        )
        raise PolicyDenied(
            REASON_CODE.get(outcome.reason, "unknown"),
            cause=advice.cause if advice is not None else "",
            next_step=advice.next_step if advice is not None else "",
        )
    request = outcome.request
    signature, encoding = _signature(outcome)
    digest = request.prehashed
    return {
        "id": id_,
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": dict(request.headers),
        "body": request.body,
        "string_to_sign": request.string_to_sign.hex()
        if digest
        else request.string_to_sign.decode(),
        "string_to_sign_encoding": "hex (32-byte EIP-712 digest)" if digest else "utf-8",
        "signature": signature,
        "signature_encoding": encoding,
    }


def _signature(outcome: Outcome) -> tuple[Any, str]:
    """The signature as the venue gets it, and what that form is called."""
    signature = outcome.signature
    if signature is None:
        return None, "none"
    data = signature.bytes
    if signature.algorithm == Algorithm.ECDSA_SECP256K1:
        v = 27 + signature.recovery_id
        return {"r": f"0x{data[:32].hex()}", "s": f"0x{data[32:].hex()}", "v": v}, "JSON {r,s,v}"
    if signature.algorithm == Algorithm.HMAC_SHA256 and outcome.venue != Venue.OKX:
        return data.hex(), "hex-lower"
    return base64.b64encode(data).decode(), "base64-std-padded"
