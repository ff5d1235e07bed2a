"""Every exception of the package, under one base with ready-made diagnostics.

>>> from sentinel.errors import SentinelError, raise_status
>>> try:
...     raise_status(0x0303, "policy version 7")
... except SentinelError as error:
...     print(error.diagnostics())
policy version 7: the sequence number is not above the last one, or too far ahead
likely cause: a newer or equal version is loaded already (or a stale frame was repeated)
next step: give it a number above the loaded one: zcp policy status shows that
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final, NoReturn, Self

from . import _advice
from ._status import REASON_CODE, REASON_TEXT, STATUS_TEXT, Reason, Status

__all__ = [
    "AuditCorrupt",
    "AuditError",
    "AuthenticationRefused",
    "ConfigError",
    "CryptoError",
    "DuplicateOrder",
    "EnclaveError",
    "EngineHalted",
    "EngineLocked",
    "FailedConstraint",
    "InstrumentNotTrading",
    "InsufficientFunds",
    "InternalError",
    "InvalidOrder",
    "KeyFileError",
    "NeverArrived",
    "NotSent",
    "OrderInvalid",
    "OutcomeUnknown",
    "PermissionRefused",
    "PolicyDenied",
    "PolicyInvalid",
    "PostOnlyWouldTake",
    "RateLimited",
    "RequestExpired",
    "SentinelError",
    "SigningFailed",
    "StorageError",
    "SubmitError",
    "UnitInvalid",
    "UnknownOrder",
    "UsageError",
    "VenueRefused",
    "VenueUnavailable",
    "VerificationFailed",
    "exception_of",
    "raise_status",
]


class SentinelError(Exception):
    """Base of every exception of this package.

    `status` is the core's status code where there is one. `exit_status` is what `zcp`
    exits with when nothing catches the exception. `in_force_by`: of a command that failed and binds
    all the same, "stop_word" (a halt) or "ticket" (`ticket` of the spool); else empty.
    """

    exit_status: ClassVar[int] = 1
    in_force_by: str = ""
    ticket: int = 0

    def __init__(
        self, message: str, *, status: int | None = None, cause: str = "", next_step: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self._cause = cause
        self._next_step = next_step

    def binding(self, by: str, message: str, next_step: str, ticket: int = 0) -> Self:
        """The same error, of a command that binds all the same."""
        self.in_force_by, self.ticket = by, ticket
        self.message, self.args, self._next_step = message, (message,), next_step
        return self

    @property
    def cause(self) -> str:
        """The likely cause; empty where none is known."""
        advice = _advice.STATUS.get(_status_name(self.status))
        return self._cause or (advice.cause if advice else "")

    @property
    def next_step(self) -> str:
        """What to do next; empty where nothing is known."""
        advice = _advice.STATUS.get(_status_name(self.status))
        return self._next_step or (advice.next_step if advice else "")

    def diagnostics(self) -> str:
        """What happened, the likely cause and the next step, one line each."""
        lines = [str(self)]
        if self.cause:
            lines.append(f"likely cause: {self.cause}")
        if self.next_step:
            lines.append(f"next step: {self.next_step}")
        return "\n".join(lines)


class UsageError(SentinelError):
    """A call broke a documented rule: wrong argument, wrong state, wrong version."""

    exit_status = 2


class UnitInvalid(SentinelError):
    """A text is no amount, ratio, rate, duration or quantity."""

    exit_status = 2


class ConfigError(SentinelError):
    """A file of text is wrong; `file`, `line` and `column` (from 1) name the place.

    `also` holds further errors of the same file, in the order of their places.
    """

    exit_status = 2

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        cause: str = "",
        next_step: str = "",
        also: Sequence[ConfigError] = (),
    ) -> None:
        super().__init__(message, cause=cause, next_step=next_step)
        self.file = file
        self.line = line
        self.column = column
        self.also = tuple(also)

    @property
    def place(self) -> str:
        """`file:line:column`, as far as known."""
        parts = [self.file or "<text>"]
        if self.line:
            parts += [str(self.line), str(self.column)]
        return ":".join(parts)

    def __str__(self) -> str:
        """The place, then the message."""
        return f"{self.place}: {self.message}"

    def diagnostics(self) -> str:
        """The error, then the others of the same file."""
        return "\n".join([super().diagnostics(), *(error.diagnostics() for error in self.also)])


class PolicyInvalid(SentinelError):
    """A bundle, command or feed cannot be taken, or a bundle cannot be read."""

    exit_status = 2


class OrderInvalid(SentinelError):
    """An order cannot be built from what was given; `reason` where the core named one."""

    exit_status = 2

    def __init__(self, message: str, *, reason: int | None = None, next_step: str = "") -> None:
        super().__init__(
            message, next_step=next_step or _advice.REASON.get(_reason_name(reason), "")
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FailedConstraint:
    """One constraint that an order failed. `value` and `bound` are in the constraint's unit."""

    type: str
    """Kind of the constraint, such as "value_cap"."""
    node: str
    """Path of the node that it is attached to, such as "firm/spot"."""
    name: str
    """Name of the constraint; empty for the implicit ones."""
    value: int
    bound: int
    value_text: str = ""
    """The value as people read it, such as "612,000.00 USD"."""
    bound_text: str = ""
    suggestion: str = ""
    """What would lift the refusal, one sentence."""
    max_allowed: str | None = None
    """The largest value that would pass now, as text with its unit; None where it makes none."""
    retry_after_ns: int | None = None
    """Nanoseconds after which the same order could pass; None where time does not help."""

    @property
    def retry_after(self) -> timedelta | None:
        """`retry_after_ns`, rounded up to microseconds."""
        if self.retry_after_ns is None:
            return None
        return timedelta(microseconds=-(-self.retry_after_ns // 1000))


class PolicyDenied(SentinelError):
    """Policy refused an order; the refusal is a record.

    `reason` is the first reason in precedence (a code of reason.def), `reasons` are all that
    apply. `record` is None when the refusal was only counted (see `suppressed`).
    """

    exit_status = 3

    def __init__(
        self,
        reason: str,
        *,
        record: int | None = None,
        epoch: int | None = None,
        failed: Sequence[FailedConstraint] = (),
        reasons: Sequence[str] = (),
        number: int | None = None,
        cause: str = "",
        next_step: str = "",
    ) -> None:
        self.number = number if number is not None else _REASON_NUMBER.get(reason, 0)
        text = REASON_TEXT.get(self.number, "the order was refused")
        super().__init__(
            f"refused: {text} ({reason})",
            cause=cause,
            next_step=next_step or _advice.REASON.get(_reason_name(self.number), ""),
        )
        self.reason = reason
        self.reasons = tuple(reasons) or (reason,)
        self.record = record
        self.epoch = epoch
        self.failed = tuple(failed)

    @property
    def max_allowed(self) -> str | None:
        """Of the first failed constraint that has one."""
        return next((c.max_allowed for c in self.failed if c.max_allowed is not None), None)

    @property
    def retry_after(self) -> timedelta | None:
        """The longest wait of the failed constraints; None when one of them time does not help."""
        waits = [c.retry_after for c in self.failed]
        known = [wait for wait in waits if wait is not None]
        return max(known) if known and len(known) == len(waits) else None

    def diagnostics(self) -> str:
        """The refusal, each failed constraint, and what would lift it."""
        lines = [str(self)]
        if self.record is not None:
            lines[0] += f", record {self.record}"
        for constraint in self.failed:
            value = constraint.value_text or str(constraint.value)
            bound = constraint.bound_text or str(constraint.bound)
            name = f" {constraint.name!r}" if constraint.name else ""
            lines.append(
                f"failed: {constraint.type}{name} of {constraint.node}: {value}, bound {bound}"
            )
            if constraint.suggestion:
                lines.append(f"  {constraint.suggestion}")
        if self.cause:
            lines.append(f"likely cause: {self.cause}")
        if self.next_step:
            lines.append(f"next step: {self.next_step}")
        return "\n".join(lines)


class SigningFailed(SentinelError):
    """Policy allowed an order, but a later step failed; nothing was released."""

    exit_status = 5

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        record: int | None = None,
        epoch: int | None = None,
    ) -> None:
        number = _REASON_NUMBER.get(reason, 0)
        text = REASON_TEXT.get(number, "a step failed")
        if status:
            text += f": {STATUS_TEXT.get(status, f'status {status:#06x}')}"
        super().__init__(
            f"not signed: {text} ({reason})",
            status=status,
            next_step="" if status else _advice.REASON.get(_reason_name(number), ""),
        )
        self.reason = reason
        self.record = record
        self.epoch = epoch


class EngineHalted(SentinelError):
    """The engine is halted and signs nothing."""

    exit_status = 4


class EngineLocked(SentinelError):
    """Another process is the engine's writer."""

    exit_status = 6


class KeyFileError(SentinelError):
    """A key or key file cannot be used."""

    exit_status = 7


class AuditError(SentinelError):
    """The log cannot answer: full, ended, foreign, or decided otherwise."""

    exit_status = 8


class AuditCorrupt(AuditError):
    """A committed record, the log's end or a snapshot is not intact.

    `record` and `offset` name the place where they are known.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        record: int | None = None,
        offset: int | None = None,
        cause: str = "",
        next_step: str = "",
    ) -> None:
        super().__init__(message, status=status, cause=cause, next_step=next_step)
        self.record = record
        self.offset = offset


class VerificationFailed(SentinelError):
    """A receipt, a head or a signature does not prove what it says."""

    exit_status = 8


class StorageError(SentinelError):
    """The operating system refused: open, read, write, sync, space."""

    exit_status = 9


class CryptoError(SentinelError):
    """A cryptographic library refused."""

    exit_status = 10


class EnclaveError(SentinelError):
    """An enclave's security module, its sealed state, its root or a sealed key was refused."""

    exit_status = 14


class InternalError(SentinelError):
    """Our own invariant broke; the engine has halted."""

    exit_status = 70


class SubmitError(SentinelError):
    """A signed request did not become an order that the venue is known to have."""

    exit_status = 11


class NotSent(SubmitError):
    """Nothing of the request reached the venue. It is safe to sign again."""

    def __init__(
        self, message: str, *, venue: str = "", cause: str = "", next_step: str = ""
    ) -> None:
        super().__init__(
            message,
            cause=cause,
            next_step=next_step or "check the network and the endpoint; it is safe to sign again",
        )
        self.venue = venue


class NeverArrived(NotSent):
    """Sent, but the venue does not have it, and no longer takes it. It is safe to sign again."""


class VenueRefused(SubmitError):
    """The venue says no. `code` and `text` are its own words; `sent` is False where the request
    was held back because the answer is known beforehand.
    """

    ADVICE: ClassVar[str] = "look the code up in the venue's documents; it is safe to sign again"

    def __init__(
        self,
        text: str,
        *,
        venue: str = "",
        code: str = "",
        sent: bool = True,
        cause: str = "",
        next_step: str = "",
    ) -> None:
        who = f"{venue or 'the venue'} refused" if sent else "not sent"
        super().__init__(
            f"{who}: {text}" + (f" (code {code})" if code else ""),
            cause=cause,
            next_step=next_step or self.ADVICE,
        )
        self.text = text
        self.code = code
        self.venue = venue
        self.sent = sent


class DuplicateOrder(VenueRefused):
    """The venue has an order of this name: these bytes, or others with its id, were accepted."""

    ADVICE = "do not sign again: query the order by its action, it is at the venue already"


class UnknownOrder(VenueRefused):
    """The venue has no such order, or it is no longer open."""

    ADVICE = "query the order, or its fills: it may be filled, cancelled or expired"


class InsufficientFunds(VenueRefused):
    """Balance or margin do not suffice."""

    ADVICE = "check balance and margin at the venue"


class InvalidOrder(VenueRefused):
    """The venue does not take such an order: price, quantity, type or a filter of the symbol."""

    ADVICE = "compare the instrument's tick, lot and limits with the venue's listing"


class InstrumentNotTrading(VenueRefused):
    """The instrument is halted, settling, delisted or not listed yet."""

    ADVICE = "wait until the venue trades it"


class PostOnlyWouldTake(VenueRefused):
    """A post-only order would have taken liquidity."""

    ADVICE = "sign a new order with a price that does not cross the book"


class AuthenticationRefused(VenueRefused):
    """The venue does not accept key or signature."""

    ADVICE = "check key, passphrase and environment: zcp key list"


class PermissionRefused(VenueRefused):
    """The key or account may not do that, or not from this address."""

    ADVICE = "check the key's permissions and its addresses at the venue"


class RequestExpired(VenueRefused):
    """The request is outside of its time window."""

    ADVICE = "set the clock right, then sign again; an expired request is never accepted"


class RateLimited(VenueRefused):
    """Too many requests; `retry_after_s` is when the venue may be asked again."""

    ADVICE = "wait, then sign again"

    def __init__(
        self,
        text: str,
        *,
        retry_after_s: float,
        venue: str = "",
        code: str = "",
        sent: bool = True,
    ) -> None:
        super().__init__(
            text,
            venue=venue,
            code=code,
            sent=sent,
            next_step=f"wait {retry_after_s:.1f} s, then sign again",
        )
        self.retry_after_s = retry_after_s


class VenueUnavailable(VenueRefused):
    """The venue says that it is down, and that it has not taken the request."""

    ADVICE = "wait until the venue is up; it is safe to sign again"


class OutcomeUnknown(SubmitError):
    """Sent, and no definite answer: the venue may have it. Never sign the same again blindly.

    `usable_until_ms` is until when the venue may still accept it (by its clock); None means
    that nothing ends it.
    """

    exit_status = 12

    def __init__(
        self,
        message: str,
        *,
        venue: str = "",
        client_order_id: str = "",
        action_id: int | None = None,
        record: int | None = None,
        usable_until_ms: int | None = None,
        cause: str = "",
        next_step: str = "",
    ) -> None:
        super().__init__(message, cause=cause, next_step=next_step)
        self.venue = venue
        self.client_order_id = client_order_id
        self.action_id = action_id
        self.record = record
        self.usable_until_ms = usable_until_ms


_BY_STATUS: Final[dict[int, type[SentinelError]]] = {
    Status.POLICY_ABSENT: EngineHalted,
    Status.AUDIT_CORRUPT: AuditCorrupt,
    Status.AUDIT_TRUNCATED: AuditCorrupt,
    Status.AUDIT_SNAPSHOT: AuditCorrupt,
    Status.AUDIT_FRESHNESS: EngineHalted,
    Status.CRYPTO_VERIFY: VerificationFailed,
    Status.IO_LOCKED: EngineLocked,
}
_BY_CATEGORY: Final[dict[int, type[SentinelError]]] = {
    0x01: UsageError,
    0x02: PolicyInvalid,
    0x03: PolicyInvalid,
    0x04: AuditError,
    0x05: KeyFileError,
    0x06: CryptoError,
    0x07: StorageError,
    0x08: InternalError,
    0x09: EnclaveError,
}
_REASON_NUMBER: Final[dict[str, int]] = {code: number for number, code in REASON_CODE.items()}


def _status_name(status: int | None) -> str:
    return Status(status).name if status is not None and status in STATUS_TEXT else ""


def _reason_name(reason: int | None) -> str:
    return Reason(reason).name if reason is not None and reason in REASON_TEXT else ""


def exception_of(status: int) -> type[SentinelError]:
    """The exception that stands for a status; InternalError for an unknown one."""
    return _BY_STATUS.get(status) or _BY_CATEGORY.get(status >> 8, InternalError)


def raise_status(status: int, context: str = "", *, errno: int = 0) -> NoReturn:
    """Raises the exception of a status that is not OK.

    `context` says what was being done or to what file; `errno` is named after an IO_* status.
    """
    text = STATUS_TEXT.get(status, f"unknown status {status:#06x}")
    if errno:
        import os

        text += f" ({os.strerror(errno)})"
    raise exception_of(status)(f"{context}: {text}" if context else text, status=status)
