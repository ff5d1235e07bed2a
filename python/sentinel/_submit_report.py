"""What a venue's answer becomes: reports, refusals, and what is neither.

An answer is outside data: it is bounded, read without floats, and whatever is not exactly as the
venue documents it is `Unclear`, which is never an acceptance and never a refusal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ._enums import Action, QueryWhat
from .errors import RateLimited, UnknownOrder, VenueRefused

if TYPE_CHECKING:
    from .order import Query
    from .sign import HttpRequest, SignedOrder

ANSWER_BYTES_MAX: Final = 1 << 20
"""A longer answer is not read: no answer to one order comes near to it."""
_TEXT_CHARACTERS_MAX: Final = 200
_DIGITS_MAX: Final = 40
_EXACT: Final = Context(prec=2 * _DIGITS_MAX, rounding=ROUND_HALF_EVEN)
_PRICE: Final = Context(prec=18, rounding=ROUND_HALF_EVEN)
_DECIMAL: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{0,40})?([eE][-+]?[0-9]{1,2})?")


class ExecutionStatus(StrEnum):
    """What became of an order, in one word for all venues."""

    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


OPEN: Final = (ExecutionStatus.ACCEPTED, ExecutionStatus.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade of an order. Decimals are text; `fee` is positive where it was paid."""

    price: str
    quantity: str
    fee: str | None = None
    trade_id: str = ""
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """What the venue said about an action.

    Decimals are the venue's text, quantities in the venue's unit; None where the answer does not
    say. `fee` is positive where it was paid, in `fee_asset`. `asked` is how many queries it took:
    0 when the first answer was definite. `digest` is the SHA-256 of the answer that says it.
    """

    venue: str
    action: str
    action_id: int
    client_order_id: str
    venue_order_id: str
    status: ExecutionStatus
    filled_quantity: str | None = None
    remaining_quantity: str | None = None
    average_price: str | None = None
    fee: str | None = None
    fee_asset: str | None = None
    fills: tuple[Fill, ...] = ()
    venue_order_ids: tuple[str, ...] = ()
    time_ms: int | None = None
    asked: int = 0
    digest: bytes = b""


class UnreadableError(Exception):
    """An answer is not what the venue documents."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came. `data` is its JSON, or None where it is none."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    data: Any = None

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """Reads the body; what is no JSON has no data."""
        return cls(status, headers, body, read_json(body))

    @property
    def ok(self) -> bool:
        """The status is a success."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The beginning of the body, printable."""
        return printable(self.body[: 4 * _TEXT_CHARACTERS_MAX].decode("utf-8", "replace"))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body."""
        return sha256(self.body).digest()


@dataclass(frozen=True, slots=True)
class Found:
    """The venue has it: an acceptance, or the state of an order. Terms where it says them."""

    status: ExecutionStatus = ExecutionStatus.ACCEPTED
    venue_order_id: str = ""
    client_order_id: str = ""
    filled: str | None = None
    remaining: str | None = None
    average: str | None = None
    fee: str | None = None
    fee_asset: str | None = None
    fills: tuple[Fill, ...] = ()
    ids: tuple[str, ...] = ()
    time_ms: int | None = None
    price: str | None = None
    quantity: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The venue says no, in its own code."""

    kind: type[VenueRefused]
    code: str = ""
    text: str = ""
    retry_after_s: float | None = None

    def error(self, venue: str) -> VenueRefused:
        """The exception of it."""
        text = self.text or "no reason given"
        if self.kind is RateLimited:
            wait = 1.0 if self.retry_after_s is None else self.retry_after_s
            return RateLimited(text, retry_after_s=wait, venue=venue, code=self.code)
        return self.kind(text, venue=venue, code=self.code)


@dataclass(frozen=True, slots=True)
class Unclear:
    """Neither: whether the venue has it must be asked."""

    why: str


Outcome = Found | Refusal | Unclear

NOT_FOUND: Final = Refusal(UnknownOrder, "", "the venue has no such order")


@dataclass(frozen=True, slots=True)
class Terms:
    """Price and quantity as a request says them, None where it does not."""

    price: str | None
    quantity: str | None

    def equal(self, found: Found) -> bool | None:
        """Whether an order has these terms; None where that cannot be said."""
        pairs = ((self.price, found.price), (self.quantity, found.quantity))
        wanted = [(mine, its) for mine, its in pairs if mine is not None]
        if not wanted or any(its is None for _, its in wanted):
            return None
        return all(Decimal(mine) == Decimal(its or "") for mine, its in wanted)


@dataclass(frozen=True, slots=True)
class VenueAdapter:
    """One venue family: where its requests go, and what its answers mean.

    `errors` maps its codes to exceptions, `unknown` are the codes after which it does not say
    whether it has the order; `document` is where both are from. `read` reads the answer to any
    action, `read_query` the answer to a query of one order (`UnknownOrder`: the venue has none).
    `reject` is the exception for the reason that a rejected order's state gives.
    `public_query` is the venue's own unsigned query, where it has one; None: a signed one. It is
    given the venue's number of the order, "" for the order that the request places or means.
    `second_query` is for venues whose query of one order may leave closed ones out, and
    `read_second` reads its answer.
    """

    hosts: frozenset[str]
    document: str
    errors: Mapping[str, type[VenueRefused]]
    unknown: frozenset[str]
    read: Callable[[SignedOrder, Answer], Outcome]
    read_query: Callable[[SignedOrder, Answer], Outcome]
    terms: Callable[[SignedOrder], Terms]
    time_ms: Callable[[Answer], int | None]
    reject: Callable[[str], type[VenueRefused]] = lambda reason: VenueRefused
    public_query: Callable[[SignedOrder, str], HttpRequest | None] | None = None
    second_query: Callable[[SignedOrder], Query] | None = None
    read_second: Callable[[SignedOrder, Answer], Outcome] = lambda signed, answer: NOT_FOUND


# ---- Reading ------------------------------------------------------------------


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name appears twice")
    return made


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def read_json(body: bytes) -> Any:
    """The JSON of an answer, numbers exact; None for what is none, or says a name twice."""
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except (ValueError, ArithmeticError, RecursionError):
        return None


def printable(text: object) -> str:
    """A venue's words for a message: one line, bounded, nothing that moves a cursor."""
    shown = "".join(c if c.isprintable() else " " for c in str(text)[: 2 * _TEXT_CHARACTERS_MAX])
    return " ".join(shown.split())[:_TEXT_CHARACTERS_MAX]


def mapping(value: Any, what: str = "the answer") -> Mapping[str, Any]:
    """A JSON object. Raises UnreadableError."""
    if not isinstance(value, dict):
        raise UnreadableError(f"{what} is no object")
    return value


def sequence(value: Any, what: str) -> list[Any]:
    """A JSON array. Raises UnreadableError."""
    if not isinstance(value, list):
        raise UnreadableError(f"{what} is no array")
    return value


def only(value: Any, what: str) -> Mapping[str, Any]:
    """The one object of an array. Raises UnreadableError."""
    items = sequence(value, what)
    if len(items) != 1:
        raise UnreadableError(f"{what} has {len(items)} entries")
    return mapping(items[0], what)


def identifier(value: Any, what: str = "the order id", *, needed: bool = True) -> str:
    """An id: text, or an integer. Raises UnreadableError."""
    if value is None or value == "":
        if needed:
            raise UnreadableError(f"{what} is missing")
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnreadableError(f"{what} is no id")
    if isinstance(value, int) and abs(value) >= 1 << 80:
        raise UnreadableError(f"{what} is too long")
    text = str(value)
    if len(text) > 128 or not text.isascii() or not text.isprintable():
        raise UnreadableError(f"{what} is no id")
    return text


def decimal(value: Any, what: str = "a number") -> str | None:
    """A decimal as plain text; None where it is absent or empty. Raises UnreadableError."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise UnreadableError(f"{what} is no decimal")
    if isinstance(value, int):
        if abs(value) >= 10**_DIGITS_MAX:
            raise UnreadableError(f"{what} is too large")
        return str(value)
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            raise UnreadableError(f"{what} is no decimal")
        if "e" not in value.lower():
            return value.rstrip(".")
        value = Decimal(value)
    if not value.is_finite() or abs(value.adjusted()) > _DIGITS_MAX:
        raise UnreadableError(f"{what} is out of range")
    if len(value.as_tuple().digits) > 2 * _DIGITS_MAX:
        raise UnreadableError(f"{what} is too long")
    return format(value, "f")


def integer(value: Any, what: str = "a time") -> int | None:
    """A count or a time, also as text; None where it is absent. Raises UnreadableError."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise UnreadableError(f"{what} is no count")
    return value


def clock_ms(answer: Answer, name: str, per_ms: int = 1) -> int | None:
    """The venue's clock beside an answer; None where it does not say it, or nonsense."""
    found = answer.data.get(name) if isinstance(answer.data, dict) else None
    try:
        value = integer(found)
    except UnreadableError:
        return None
    return None if value is None else value // per_ms


def words(value: Any) -> str:
    """Text as a venue wrote it, for a message; wrong types become empty."""
    return printable(value) if isinstance(value, str) else ""


def difference(whole: str | None, part: str | None) -> str | None:
    """What remains of a quantity."""
    if whole is None or part is None:
        return None
    return format(_EXACT.subtract(Decimal(whole), Decimal(part)), "f")


def quotient(amount: str | None, quantity: str | None) -> str | None:
    """An average price, to 18 digits; None where nothing was filled."""
    if amount is None or quantity is None or not Decimal(quantity) or not Decimal(amount):
        return None
    return plain(_PRICE.divide(Decimal(amount), Decimal(quantity)))


def negated(value: str | None) -> str | None:
    """For venues whose fees are negative where they were paid."""
    return None if value is None else format(_EXACT.minus(Decimal(value)), "f")


def total(values: list[str | None]) -> str | None:
    """A sum; None where a part is not known."""
    if not values or any(value is None for value in values):
        return None
    made = Decimal(0)
    for value in values:
        made = _EXACT.add(made, Decimal(value or "0"))
    return format(made, "f")


def plain(value: Decimal) -> str:
    """Without exponent and without trailing zeros after the point."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def not_zero(value: str | None) -> str | None:
    """For venues that write 0 where there is no price."""
    return None if value is None or not Decimal(value) else value


def filled_untriggered(status: ExecutionStatus) -> str | None:
    """What an order with a trigger has filled where those are kept apart: nothing, once it ended
    as such. What one became that was triggered is another order.
    """
    return None if status in OPEN else "0"


def by_fill(filled: str | None) -> ExecutionStatus:
    """The state of an open order by what is filled of it."""
    if filled is not None and Decimal(filled) > 0:
        return ExecutionStatus.PARTIALLY_FILLED
    return ExecutionStatus.ACCEPTED


# ---- Shared by the adapters ---------------------------------------------------


def guarded(read: Callable[[SignedOrder, Answer], Outcome]) -> Callable[..., Outcome]:
    """A reader whose every stumble over an answer is Unclear."""

    def reader(signed: SignedOrder, answer: Answer) -> Outcome:
        try:
            return read(signed, answer)
        except UnreadableError as error:
            return Unclear(f"the answer cannot be read: {error}")
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            return Unclear(f"the answer cannot be read: {type(error).__name__}")

    return reader


def refusal(
    answer: Answer,
    adapter_errors: Mapping[str, type[VenueRefused]],
    unknown: frozenset[str],
    code: str,
    text: str,
    retry_after_s: float | None = None,
) -> Refusal | Unclear:
    """What a code of the venue means. With a status of 5xx only a code that is known counts."""
    if answer.status >= 500 and code not in adapter_errors:
        return Unclear(f"HTTP {answer.status}: {text or 'no reason given'} (code {code})")
    if code in unknown:
        return Unclear(f"the venue does not know itself: {text or code} (code {code})")
    return Refusal(adapter_errors.get(code, VenueRefused), code, text, retry_after_s)


def gateway(answer: Answer) -> Refusal | Unclear:
    """An answer without the venue's own body: from a gateway, or broken on its way."""
    if answer.status in (418, 429):
        return Refusal(RateLimited, str(answer.status), answer.text, retry_after(answer))
    return Unclear(f"HTTP {answer.status} without the venue's own answer")


def retry_after(answer: Answer, default: float | None = None) -> float | None:
    """Seconds of a Retry-After header."""
    text = answer.headers.get("retry-after", "")
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text) else default


def is_one_order(signed: SignedOrder) -> bool:
    """A query of one order."""
    order: Any = signed.order
    return signed.action is Action.QUERY and order.what == QueryWhat.ORDER


def is_fills(signed: SignedOrder) -> bool:
    """A query of fills."""
    order: Any = signed.order
    return signed.action is Action.QUERY and order.what == QueryWhat.FILLS


def named(signed: SignedOrder, found: str) -> None:
    """An acceptance has to name our order. Raises UnreadableError."""
    if found and signed.client_order_id and found != signed.client_order_id:
        raise UnreadableError("it names another order")
