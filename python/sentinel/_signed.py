"""What `Session.sign` gives: the signed order, and the request that takes it to its venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from ._core import Released
from ._enums import Action, Algorithm, Environment, Venue
from ._order import Order
from ._types import Request
from .order import unpack


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A venue's request, ready to send. The signature is in it, and in the headers the API key and
    OKX's passphrase; so its repr, which ends up in logs, shows none of them.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: str

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url.partition('?')[0]})"

    @classmethod
    def of(cls, request: Request) -> HttpRequest | None:
        """From what the core rendered; None for a message, which goes to no venue."""
        if not request.method:
            return None
        query = f"?{request.query}" if request.query else ""
        return cls(
            request.method,
            f"https://{request.host}{request.path}{query}",
            dict(request.headers),
            request.body,
        )


@dataclass(frozen=True, slots=True)
class ReceiptHandle:
    """Names the record of a decision; `Signer.receipt` makes the receipt from it."""

    engine_id: bytes
    epoch: int
    record: int


@dataclass(frozen=True, slots=True)
class SignedOrder(Released):
    """A signed order; what the engine released becomes objects when it is first asked for.

    `request` is None for messages; `signed_bytes` is what was signed, or its digest where the venue
    signs a digest of its own (`prehashed`).

    `client_order_id`: how the venue knows the order that this places or means; may be empty.
    `account`: the venue's name of the key (Hyperliquid: the address that it acts for).
    `usable_until_ms`: when the venue stops taking the request, Unix milliseconds; None for never.
    """

    request: HttpRequest | None
    signature: bytes = field(repr=False)
    algorithm: Algorithm
    recovery_id: int
    signed_bytes: bytes = field(repr=False)
    prehashed: bool
    order: Order
    action_id: int
    now_ns: int
    venue: Venue
    environment: Environment
    account: str
    client_order_id: str
    usable_until_ms: int | None
    handle: ReceiptHandle

    def __getattr__(self, name: str) -> Any:
        """Makes a field, once: the engine leaves them all empty."""
        make = _LATE.get(name)
        if make is None or not self._released:
            raise AttributeError(f"a signed order has no {name!r}")
        value = make(self)
        object.__setattr__(self, name, value)
        return value

    @property
    def action(self) -> Action:
        """What the order does."""
        return self.order.ACTION

    @property
    def transaction_hash(self) -> bytes:
        """SHA-256 of the signed bytes, or the venue's own digest; the record holds it."""
        return self.signed_bytes if self.prehashed else sha256(self.signed_bytes).digest()


_NEVER: Final = 2**63 - 1
_RECORD, _EPOCH, _NOW_NS, _USABLE_UNTIL_MS, _VENUE, _KEY = range(6)


def _order(signed: SignedOrder) -> Order:
    order = signed._order
    return unpack(order).order if isinstance(order, bytes) else order


def _name_at_venue(signed: SignedOrder) -> str:
    """Hyperliquid writes it as a number of 16 bytes."""
    client_id = signed._client_id
    if signed.venue is Venue.HYPERLIQUID and client_id and not client_id.startswith("0x"):
        return f"0x{client_id}"
    return client_id


def _usable_until_ms(signed: SignedOrder) -> int | None:
    until = signed._numbers[_USABLE_UNTIL_MS]
    return None if until == _NEVER else until


_LATE: Final[Mapping[str, Callable[[SignedOrder], Any]]] = {
    "request": lambda signed: HttpRequest.of(signed._request),
    "signature": lambda signed: signed._signature.bytes,
    "algorithm": lambda signed: Algorithm(signed._signature.algorithm),
    "recovery_id": lambda signed: signed._signature.recovery_id,
    "signed_bytes": lambda signed: signed._signed_bytes[0],
    "prehashed": lambda signed: signed._signed_bytes[1],
    "order": _order,
    "action_id": lambda signed: signed._action_id,
    "now_ns": lambda signed: signed._numbers[_NOW_NS],
    "venue": lambda signed: Venue(signed._numbers[_VENUE]),
    "environment": lambda signed: signed._origin.environment,
    "account": lambda signed: signed._origin.account(signed._numbers[_KEY]),
    "client_order_id": _name_at_venue,
    "usable_until_ms": _usable_until_ms,
    "handle": lambda signed: ReceiptHandle(
        signed._origin.engine_id, signed._numbers[_EPOCH], signed._numbers[_RECORD]
    ),
}
