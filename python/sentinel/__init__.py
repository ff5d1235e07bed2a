"""Sign trading orders that a signed policy allows, and keep a record of every decision.

    from sentinel import Message, Signer

    with Signer.open("engine") as signer:
        signed = signer.session("agent").sign(Message(text="hello"))

Modules follow an order: `order`, `policy`, `sign`, `audit`, `receipt`; errors are in `errors`.
"""

from __future__ import annotations

from .errors import (
    EngineHalted,
    EngineLocked,
    FailedConstraint,
    PolicyDenied,
    SentinelError,
    SigningFailed,
)
from .order import (
    Amend,
    Cancel,
    CancelAll,
    CancelAllAfter,
    Message,
    Place,
    Query,
    Transfer,
    Withdraw,
)
from .pending import OrderPending
from .receipt import Expectation, verify_receipt
from .sign import (
    HttpRequest,
    PreparedOrder,
    ReceiptHandle,
    Session,
    SignedBatch,
    SignedOrder,
    Signer,
)

__all__ = [
    "Amend",
    "Cancel",
    "CancelAll",
    "CancelAllAfter",
    "EngineHalted",
    "EngineLocked",
    "Expectation",
    "FailedConstraint",
    "HttpRequest",
    "Message",
    "OrderPending",
    "Place",
    "PolicyDenied",
    "PreparedOrder",
    "Query",
    "ReceiptHandle",
    "SentinelError",
    "Session",
    "SignedBatch",
    "SignedOrder",
    "Signer",
    "SigningFailed",
    "Transfer",
    "Withdraw",
    "verify_receipt",
]
