"""What `Session.sign` gives: the signed order, and the request that takes it to its venue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from ._enums import Action, Algorithm, Environment, Venue
from ._order import Order
from ._types import Request


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
class SignedOrder:
    """A signed order. `request` is None for messages; `signed_bytes` is what was signed, or its
    digest where the venue signs a digest of its own (`prehashed`).

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

    @property
    def action(self) -> Action:
        """What the order does."""
        return self.order.ACTION

    @property
    def transaction_hash(self) -> bytes:
        """SHA-256 of the signed bytes, or the venue's own digest; the record holds it."""
        return self.signed_bytes if self.prehashed else sha256(self.signed_bytes).digest()
