"""Submitting: sends a signed order to its venue, once, and says what became of it.

    from sentinel.submit import Submitter

    with Submitter() as submitter:
        report = submitter.submit(session.sign(order), session=session)
        report.status, report.venue_order_id

It holds no keys. Every order ends in one of four ways: a report (the venue has it), a
`VenueRefused` (the venue does not take it), `NotSent` (nothing reached the venue), or, when no
definite answer came before the deadline, `OutcomeUnknown`. After an unclear outcome it never sends
the order again: it asks, with queries that the session signs. docs/submit.md has the table.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ssl import SSLContext
from types import TracebackType
from typing import Any, ClassVar, Final, NoReturn, Protocol, Self
from urllib.parse import urlsplit

from ._enums import Action, QueryWhat, Venue, label
from ._submit_binance import BINANCE
from ._submit_bybit import BYBIT
from ._submit_deribit import DERIBIT
from ._submit_http import NoAnswerError, NotBegunError, Wire, base_of
from ._submit_hyperliquid import HYPERLIQUID
from ._submit_okx import OKX
from ._submit_report import (
    OPEN,
    Answer,
    ExecutionReport,
    ExecutionStatus,
    Fill,
    Found,
    Outcome,
    Refusal,
    Unclear,
    VenueAdapter,
)
from .errors import (
    NeverArrived,
    NotSent,
    OutcomeUnknown,
    PolicyDenied,
    RateLimited,
    RequestExpired,
    SentinelError,
    UnknownOrder,
    UsageError,
    VenueUnavailable,
)
from .order import Query
from .sign import HttpRequest, SignedOrder

__all__ = ["Clock", "ExecutionReport", "ExecutionStatus", "Fill", "QuerySigner", "Submitter"]

ADAPTERS: Final[Mapping[Venue, VenueAdapter]] = {
    Venue.BINANCE_SPOT: BINANCE,
    Venue.BINANCE_USDM: BINANCE,
    Venue.BYBIT: BYBIT,
    Venue.OKX: OKX,
    Venue.DERIBIT: DERIBIT,
    Venue.HYPERLIQUID: HYPERLIQUID,
}
MARGIN_MS: Final = 2_000
"""So long after a request expired, by the venue's clock, it may still be on its way inside."""
BLIND_MARGIN_MS: Final = 10_000
"""The same by our own clock, when an answer does not tell the venue's."""
_HTTP_DATE: Final = re.compile(r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)
_PAUSE_FIRST_S: Final = 0.1
_PAUSE_LONGEST_S: Final = 2.0
_REMEMBERED_MAX: Final = 1 << 16
_LIMIT_LONGEST_S: Final = 3 * 86_400.0
"""Binance bans an address for three days at most; a longer wait is nonsense."""
_ASKABLE: Final = (Action.PLACE, Action.AMEND, Action.CANCEL)
_TRANSIENT: Final = (RateLimited, RequestExpired, VenueUnavailable)


class QuerySigner(Protocol):
    """Who signs the queries: a `sentinel.sign.Session`."""

    def sign(self, order: Query, *, now_ns: int | None = None) -> SignedOrder:
        """Signs one query."""


class Clock:
    """The time, as the submitter sees it. Simulations give their own, and set `is_own`: then
    queries are signed at its time too.
    """

    is_own: ClassVar[bool] = False

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


@dataclass(slots=True)
class _Asking:
    """One search for what became of an order."""

    signed: SignedOrder
    adapter: VenueAdapter
    base: str
    session: QuerySigner | None
    deadline: float
    why: str
    number: str = ""
    asked: int = 0
    last: str = ""
    pause_s: float = field(default=_PAUSE_FIRST_S)


class Submitter:
    """Sends signed orders. Its methods may be called from any thread; connections are kept.

    `endpoints`: by name of the venue, a scheme and host in place of its own (tests, proxies);
    plain http for the loopback alone. `timeout_s`: for one request. `deadline_s`: for one
    `submit`, with all its queries. `http2`: offered, and used where the venue takes it. `verify`:
    a context with other certificate authorities; certificates are always checked.
    """

    def __init__(
        self,
        *,
        endpoints: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        deadline_s: float = 30.0,
        http2: bool = True,
        verify: SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not 0 < timeout_s <= 600 or not 0 < deadline_s <= 86_400:
            raise UsageError(
                f"timeout_s {timeout_s:g} or deadline_s {deadline_s:g} is out of range",
                next_step="timeout_s: above 0, at most 600; deadline_s: above 0, at most 86400",
            )
        known = {label(venue): venue for venue in ADAPTERS}
        self._bases: dict[Venue, str] = {}
        for name, endpoint in (endpoints or {}).items():
            if name not in known:
                raise UsageError(f"endpoints: {name!r} is none of {', '.join(known)}")
            self._bases[known[name]] = base_of(endpoint)
        self._deadline_s = deadline_s
        self._clock = clock if clock is not None else Clock()
        self._lock = threading.Lock()
        self._limited: dict[Venue, float] = {}
        self._sent: OrderedDict[tuple[bytes, int, int], None] = OrderedDict()
        self._wire = Wire(timeout_s=timeout_s, http2=http2, context=verify)

    def close(self) -> None:
        """Closes every connection."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- Sending ----------------------------------------------------------

    def submit(self, signed: SignedOrder, *, session: QuerySigner | None = None) -> ExecutionReport:
        """Sends a signed order; what the venue says about it.

        `session` signs queries when the outcome is unclear; without one (but for Hyperliquid,
        whose query is public) an unclear outcome is `OutcomeUnknown` at once. The same signed
        order is sent once: a second `submit` of it asks.

        Raises VenueRefused and its kinds, NotSent, OutcomeUnknown; UsageError for a message.
        """
        asking, request = self._asking(signed, session)
        if not self._remember(signed):
            return self._resolve(asking)
        try:
            answer = self._send(asking, request)
        except (RequestExpired, NotSent, RateLimited):
            self._forget(signed)
            raise
        if isinstance(answer, Unclear):
            return self._unclear(asking, answer)
        outcome = asking.adapter.read(signed, answer)
        if isinstance(outcome, Unclear):
            return self._unclear(asking, outcome)
        return self._definite(asking, outcome, answer)

    def ask(
        self,
        signed: SignedOrder,
        *,
        session: QuerySigner | None = None,
        venue_order_id: str = "",
    ) -> ExecutionReport:
        """The state of the order that a signed order places or means; nothing is sent but queries.

        It is definite, or raised like that of an unclear `submit`. `venue_order_id`: by that
        number, at Hyperliquid alone: there an amended order keeps its name and gets a new number.
        """
        asking, _ = self._asking(signed, session)
        if venue_order_id and not (asking.adapter.public_query and venue_order_id.isdecimal()):
            raise UsageError(
                f"{label(signed.venue)} is asked by the name of an order, not {venue_order_id!r}",
                next_step="leave venue_order_id out",
            )
        asking.number = venue_order_id
        return self._resolve(asking)

    def _asking(
        self, signed: SignedOrder, session: QuerySigner | None
    ) -> tuple[_Asking, HttpRequest]:
        request, adapter = signed.request, ADAPTERS.get(signed.venue)
        if request is None or adapter is None:
            raise UsageError("a message goes to no venue", next_step="submit orders alone")
        base = self._base(signed.venue, adapter, request)
        deadline = self._clock.monotonic() + self._deadline_s
        return _Asking(signed, adapter, base, session, deadline, "it was sent before"), request

    def _send(self, asking: _Asking, request: HttpRequest) -> Answer | Unclear:
        signed, name = asking.signed, label(asking.signed.venue)
        until = signed.usable_until_ms
        if until is not None and self._clock.now_ms() >= until:
            raise RequestExpired(
                f"the request was usable until {_time(until)}", venue=name, sent=False
            )
        wait = self._limited_s(signed.venue)
        if wait > 0:
            raise RateLimited(
                f"{name} limits requests for another {wait:.1f} s",
                retry_after_s=wait,
                venue=name,
                sent=False,
            )
        try:
            return self._wire.send(request, asking.base, self._deadline_s)
        except NotBegunError as error:
            raise NotSent(f"not sent: {asking.base}: {error}", venue=name) from None
        except NoAnswerError as error:
            return Unclear(str(error))

    def _unclear(self, asking: _Asking, outcome: Unclear) -> ExecutionReport:
        asking.why = outcome.why
        if asking.signed.action is Action.QUERY:
            raise VenueUnavailable(
                f"the query has no readable answer: {outcome.why}",
                venue=label(asking.signed.venue),
                next_step="ask again; a query changes nothing",
            )
        return self._resolve(asking)

    def _definite(
        self, asking: _Asking, outcome: Found | Refusal, answer: Answer
    ) -> ExecutionReport:
        """A report, or the refusal raised. A rejected order is a refusal that came late."""
        signed, name = asking.signed, label(asking.signed.venue)
        if isinstance(outcome, Refusal):
            error = outcome.error(name)
            if isinstance(error, RateLimited):
                self._limit(signed.venue, error.retry_after_s)
            raise error
        if outcome.status is ExecutionStatus.REJECTED and signed.action is Action.PLACE:
            kind = asking.adapter.reject(outcome.reason)
            raise Refusal(kind, outcome.reason, "the order was rejected").error(name)
        return ExecutionReport(
            venue=name,
            action=label(signed.action),
            action_id=signed.action_id,
            client_order_id=outcome.client_order_id or signed.client_order_id,
            venue_order_id=outcome.venue_order_id,
            status=outcome.status,
            filled_quantity=outcome.filled,
            remaining_quantity=outcome.remaining,
            average_price=outcome.average,
            fee=outcome.fee,
            fee_asset=outcome.fee_asset,
            fills=outcome.fills,
            venue_order_ids=outcome.ids,
            time_ms=outcome.time_ms,
            asked=asking.asked,
            digest=answer.digest,
        )

    # ---- Asking -----------------------------------------------------------

    def _resolve(self, asking: _Asking) -> ExecutionReport:
        """Asks until the answer is definite or the deadline has come."""
        signed = asking.signed
        if signed.action not in _ASKABLE:
            self._give_up(asking, "the venue has no query for it")
        while True:
            wait = self._limited_s(signed.venue)
            if wait == 0:
                begun_ms, begun = self._clock.now_ms(), self._clock.monotonic()
                answer = self._ask(asking)
                if isinstance(answer, Answer):
                    took_ms = int((self._clock.monotonic() - begun) * 1000)
                    passed, left_s = self._window(asking, answer, begun_ms, took_ms)
                    outcome = self._judge(asking, asking.adapter.read_query(signed, answer), passed)
                    if outcome is _MISSING:
                        report = self._look_again(asking)
                        if report is not None:
                            return report
                    elif outcome is not None:
                        return self._definite(asking, outcome, answer)
                    wait = min(asking.pause_s, max(left_s, _PAUSE_FIRST_S))
                else:
                    wait = max(asking.pause_s, answer)
                asking.pause_s = min(2 * asking.pause_s, _PAUSE_LONGEST_S)
            left = asking.deadline - self._clock.monotonic()
            if wait >= left:
                self._give_up(asking)
            self._clock.sleep(wait)

    def _look_again(self, asking: _Asking) -> ExecutionReport | None:
        """An order that was not found, when it could no longer arrive. Where a venue's first query
        may leave out orders that are closed, its fills are looked through too; None: not yet.
        """
        adapter, why = asking.adapter, "the venue does not have it"
        if adapter.second_query is None:
            self._never(asking, why)
        answer = self._ask(asking, adapter.second_query(asking.signed))
        if not isinstance(answer, Answer):
            return None
        outcome = adapter.read_second(asking.signed, answer)
        if isinstance(outcome, Found):
            return self._definite(asking, outcome, answer)
        if isinstance(outcome, Unclear):
            asking.last = outcome.why
            return None
        if outcome.kind is not UnknownOrder:
            self._query_refused(asking, outcome)
            return None
        self._never(asking, why)

    def _ask(self, asking: _Asking, query: Query | None = None) -> Answer | float:
        """One query's answer; seconds to wait where there is none."""
        left = asking.deadline - self._clock.monotonic()
        if left <= 0:
            self._give_up(asking)
        request = self._query(asking, query)
        if isinstance(request, float):
            return request
        asking.asked += 1
        try:
            answer = self._wire.send(request, asking.base, left)
        except (NotBegunError, NoAnswerError) as error:
            asking.last = str(error)
            return 0.0
        return answer

    def _query(self, asking: _Asking, query: Query | None) -> HttpRequest | float:
        signed, public = asking.signed, asking.adapter.public_query
        if public is not None:
            request = public(signed, asking.number)
            if request is None:
                self._give_up(
                    asking, "it has no order id or no account by which the venue could be asked"
                )
            return request
        if asking.session is None:
            self._give_up(asking, "no session was given that could sign a query")
        now_ns = self._clock.now_ms() * 1_000_000 if self._clock.is_own else None
        try:
            made = asking.session.sign(query or query_for(signed), now_ns=now_ns)
        except PolicyDenied as error:
            asking.last = str(error)
            if error.retry_after is None:
                self._give_up(asking, f"the query was refused: {error}")
            return error.retry_after.total_seconds()
        except SentinelError as error:
            self._give_up(asking, f"the query was not signed: {error}")
        if made.request is None or not _same_place(signed, made):
            self._give_up(asking, "the session asks for another account, venue or order")
        return made.request

    def _window(
        self, asking: _Asking, answer: Answer, begun_ms: int, took_ms: int
    ) -> tuple[bool, float]:
        """Whether the venue could no longer take the request when it was asked, by its own clock
        and ours; and seconds until then.
        """
        until = asking.signed.usable_until_ms
        if until is None:
            return False, _PAUSE_LONGEST_S
        theirs = asking.adapter.time_ms(answer)
        if theirs is None:
            theirs = _date_ms(answer)
        left_ms = until - begun_ms
        if theirs is None:
            left_ms += BLIND_MARGIN_MS
        else:
            # The venue wrote its time at the end of the exchange at the latest. Ours has to have
            # passed too: the clock of a gateway may be ahead, and to wait does no harm.
            left_ms = max(left_ms, until + MARGIN_MS - (theirs - took_ms))
        return left_ms <= 0, left_ms / 1000

    def _judge(self, asking: _Asking, outcome: Outcome, passed: bool) -> Found | Refusal | None:
        """What an answer to a query says about the order; None: nothing definite yet."""
        signed = asking.signed
        if isinstance(outcome, Unclear):
            asking.last = outcome.why
            return None
        if isinstance(outcome, Refusal):
            if outcome.kind is not UnknownOrder:
                self._query_refused(asking, outcome)
                return None
            asking.last = "the venue does not have it"
            if not passed:
                return None
            # Hyperliquid makes a new order, with a name of its own, of an amended one.
            renames = signed.action is Action.AMEND and signed.venue is Venue.HYPERLIQUID
            return _MISSING if signed.action is Action.PLACE or renames else outcome
        if outcome.client_order_id and signed.client_order_id not in ("", outcome.client_order_id):
            asking.last = "the answer names another order"
            return None
        asking.last = f"the order is {outcome.status}"
        if signed.action is Action.PLACE:
            return outcome
        if signed.action is Action.CANCEL:
            if outcome.status not in OPEN:
                return outcome
            if passed:
                self._never(asking, "the order is still open")
            return None
        amended = asking.adapter.terms(signed).equal(outcome)
        if amended:
            return outcome
        if amended is False and (passed or outcome.status not in OPEN):
            self._never(asking, f"the order is {outcome.status} and has its old terms")
        return None

    def _query_refused(self, asking: _Asking, refusal: Refusal) -> None:
        """A refused query says nothing about the order."""
        error = refusal.error(label(asking.signed.venue))
        asking.last = str(error)
        if isinstance(error, RateLimited):
            self._limit(asking.signed.venue, error.retry_after_s)
        if not isinstance(error, _TRANSIENT):
            self._give_up(asking, f"the query was refused: {error}")

    def _never(self, asking: _Asking, why: str) -> NoReturn:
        signed, until = asking.signed, asking.signed.usable_until_ms
        ended = f", and takes it no longer since {_time(until)}" if until is not None else ""
        raise NeverArrived(
            f"{label(signed.action)} {signed.action_id} never arrived: {why}{ended}",
            venue=label(signed.venue),
            cause=asking.why,
            next_step="it is safe to sign again",
        )

    def _give_up(self, asking: _Asking, why: str = "") -> NoReturn:
        signed = asking.signed
        name, action = label(signed.venue), label(signed.action)
        until = signed.usable_until_ms
        last = why or asking.last
        known = f"; asked {asking.asked} times: {last}" if asking.asked else f"; {last}"
        raise OutcomeUnknown(
            f"{name} may have {action} {signed.action_id}"
            f" (client order id {signed.client_order_id or 'none'}, record {signed.handle.record}),"
            f" and may accept it until {_time(until)}",
            venue=name,
            client_order_id=signed.client_order_id,
            action_id=signed.action_id,
            record=signed.handle.record,
            usable_until_ms=until,
            cause=f"{asking.why}{known if last else ''}",
            next_step=_CHECK.get(signed.action, _CHECK_ORDER),
        )

    # ---- What is remembered -----------------------------------------------

    def _base(self, venue: Venue, adapter: VenueAdapter, request: HttpRequest) -> str:
        parts = urlsplit(request.url)
        if parts.scheme != "https" or parts.netloc not in adapter.hosts:
            raise UsageError(
                f"{parts.scheme}://{parts.netloc} is no host of {label(venue)}",
                next_step="submit what the engine signed, as it is",
            )
        return self._bases.get(venue, f"https://{parts.netloc}")

    def _remember(self, signed: SignedOrder) -> bool:
        """False when it was sent before. Queries change nothing and may be sent again."""
        if signed.action is Action.QUERY:
            return True
        key = _key(signed)
        with self._lock:
            if key in self._sent:
                return False
            self._sent[key] = None
            while len(self._sent) > _REMEMBERED_MAX:
                self._sent.popitem(last=False)
        return True

    def _forget(self, signed: SignedOrder) -> None:
        with self._lock:
            self._sent.pop(_key(signed), None)

    def _limit(self, venue: Venue, seconds: float) -> None:
        until = self._clock.monotonic() + min(seconds, _LIMIT_LONGEST_S)
        with self._lock:
            self._limited[venue] = max(self._limited.get(venue, 0.0), until)

    def _limited_s(self, venue: Venue) -> float:
        with self._lock:
            return max(0.0, self._limited.get(venue, 0.0) - self._clock.monotonic())


_MISSING: Final = Refusal(UnknownOrder, "", "missing")
"""An order that would have been placed is not there, and cannot come any more."""
_CHECK_ORDER: Final = "query it by its action before you sign anything like it again"
_CHECK: Final[Mapping[Action, str]] = {
    Action.CANCEL_ALL: "query the open orders; another cancel_all does no harm",
    Action.CANCEL_ALL_AFTER: "sign another one: the last that arrives counts",
    Action.WITHDRAW: "look it up in the venue's withdrawal history before you sign another",
    Action.TRANSFER: "look it up in the venue's transfer history before you sign another",
}


def query_for(signed: SignedOrder) -> Query:
    """The query of the order that a request places or means."""
    order: Any = signed.order
    if signed.action is Action.PLACE:
        return Query(what=QueryWhat.ORDER, target_action=signed.action_id)
    return Query(
        what=QueryWhat.ORDER,
        target_action=order.target_action,
        target_venue_id=order.target_venue_id,
        target_client_id=order.target_client_id,
        instrument=order.instrument,
    )


def _same_place(signed: SignedOrder, made: SignedOrder) -> bool:
    """A query goes where the order went and names it: "not found" is worth nothing elsewhere."""
    return (
        made.request is not None
        and signed.request is not None
        and urlsplit(made.request.url)[:2] == urlsplit(signed.request.url)[:2]
        and (made.venue, made.account) == (signed.venue, signed.account)
        and made.handle.engine_id == signed.handle.engine_id
        and made.client_order_id in ("", signed.client_order_id)
    )


def _key(signed: SignedOrder) -> tuple[bytes, int, int]:
    return signed.handle.engine_id, signed.handle.epoch, signed.handle.record


def _time(unix_ms: int | None) -> str:
    if unix_ms is None:
        return "for ever: nothing ends it"
    try:
        return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{unix_ms} ms"


def _date_ms(answer: Answer) -> int | None:
    """The venue's clock by its Date header, to the second; in GMT, as HTTP has it, or not at all:
    a time of no zone would be read as one of ours.
    """
    text = answer.headers.get("date", "")
    if not _HTTP_DATE.fullmatch(text):
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1000
    except (ValueError, TypeError, OverflowError, OSError):
        return None
