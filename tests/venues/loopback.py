"""What the loopback venues share: the server, the clock, the book, the counters, the faults.

A venue is a class that turns one request into one answer (`handle`) or refuses it (`Refused`). The
base class holds a lock meanwhile. Whether a request comes that far, and whether its answer goes
back, is the schedule's to say.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import unquote_plus

from tests.venues.faults import Fault, Schedule

BODY_BYTES_MAX = 1 << 16
# The longest that an answer is held back when the client does not give up before.
HOLD_S = 2.0


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Key:
    """What the venue knows of a client's key: never more than it needs to check a signature."""

    api_key: str  # Hyperliquid: the signer's address
    hmac_secret: bytes = b""
    ed25519_public: bytes = b""
    passphrase: str = ""
    account: str = ""  # Hyperliquid: whom an agent acts for; empty: the signer is the account
    may_withdraw: bool = True


@dataclass(frozen=True, slots=True)
class Instrument:
    """One row of the venue's listing."""

    symbol: str
    tick: Decimal
    lot: Decimal
    mark: Decimal
    category: str = "spot"  # in the venue's own word
    index: int = 0  # Hyperliquid's asset index
    size_decimals: int = 0  # Hyperliquid


@dataclass(slots=True)
class BookOrder:
    """An order that the venue accepted."""

    number: int
    id: str
    client_id: str
    symbol: str
    side: str  # "buy" or "sell"
    type: str  # in the venue's own word, like the next
    time_in_force: str
    quantity: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    created_ms: int
    updated_ms: int
    state: str = "open"  # open, untriggered, filled, cancelled
    filled: Decimal = Decimal(0)
    average: Decimal = Decimal(0)
    amends: int = 0
    terms: dict[str, Any] = field(default_factory=dict)  # what was sent, for the answers

    @property
    def is_live(self) -> bool:
        return self.state in ("open", "untriggered")


@dataclass(frozen=True, slots=True)
class Fill:
    number: int
    order: BookOrder
    price: Decimal
    quantity: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """One request that the venue acted on: what a test compares with what it believes it sent."""

    action: str
    client_id: str
    content: str  # the terms without ids, times and signature
    digest: str  # of everything that was received
    order_id: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str  # path and query as received
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def digest(self) -> str:
        whole = f"{self.method} {self.target}\n{sorted(self.headers.items())}\n".encode()
        return hashlib.sha256(whole + self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, at_ms: int) -> bytes:
        """Head and body in one piece: two writes would wait for an acknowledgement between them."""
        html = isinstance(self.body, str)
        body = self.body.encode() if html else json.dumps(self.body, separators=(",", ":")).encode()
        kind = "text/html" if html else "application/json"
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}"]
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        lines += [f"Date: {formatdate(at_ms / 1000, usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode() + body


REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class Refused(Exception):
    """The venue says no; nothing was done."""

    def __init__(self, code: str, answer: Answer) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer


class LoopbackVenue:
    """One venue: `with BinanceSpot(keys=..., instruments=...) as venue: ... venue.url`."""

    name: ClassVar[str] = ""

    def __init__(
        self,
        *,
        keys: Iterable[Key],
        instruments: Iterable[Instrument],
        now_ms: Callable[[], int] = wall_ms,
        schedule: Schedule | None = None,
        balances: dict[str, Decimal] | None = None,
    ) -> None:
        self.keys = {key.api_key: key for key in keys}
        self.instruments = {row.symbol: row for row in instruments}
        self.marks = {row.symbol: row.mark for row in self.instruments.values()}
        self.balances = balances  # null: everything is there
        self.now_ms = now_ms
        self.schedule = schedule or Schedule([])
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.released = threading.Event()  # set: held answers are let go
        self.in_flight = 0
        self.late: list[int] = []  # when requests that are delayed come in
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()  # by action
        self.refused: Counter[str] = Counter()  # by the venue's code
        self.duplicates: Counter[str] = Counter()  # seen: client id, nonce, bytes
        self.log: list[Accepted] = []
        self.orders: list[BookOrder] = []
        self.by_id: dict[str, BookOrder] = {}
        self.by_client_id: dict[str, BookOrder] = {}
        self.fills: list[Fill] = []
        self.timers: dict[str, int] = {}  # cancel all at: by symbol, or "" for the account
        self._digests: set[str] = set()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    # What a venue says for itself.

    def handle(self, request: Request) -> Answer:
        raise NotImplementedError

    def rate_limited(self) -> Answer:
        raise NotImplementedError

    def broken(self) -> Answer:
        """What is said when the venue is down, and the request was not taken."""
        return Answer("<html><body><h1>502 Bad Gateway</h1></body></html>", 502)

    def in_doubt(self) -> Answer:
        """What is said when the request was taken and the answer to it lost inside."""
        return Answer("<html><body><h1>502 Bad Gateway</h1></body></html>", 502)

    # The server.

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        self.released.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    @property
    def host(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def settle(self, timeout_s: float = HOLD_S) -> None:
        """Waits until nothing is on its way but what is due later by the venue's clock."""

        def settled() -> bool:
            return self.in_flight == 0 and not any(due <= self.now_ms() for due in self.late)

        with self.changed:
            self.changed.notify_all()  # a test's clock may have moved
            if not self.changed.wait_for(settled, timeout_s):
                raise TimeoutError(f"{self.name}: {self.in_flight} requests are still held")

    def next_due_ms(self) -> int | None:
        """When the next delayed request comes in; null: none will."""
        with self.lock:
            return min(self.late, default=None)

    def forget(self) -> None:
        """Begins a new account: orders, counters and the log. Used nonces stay used."""
        with self.lock:
            self.orders.clear()
            self.by_id.clear()
            self.by_client_id.clear()
            self.fills.clear()
            self.log.clear()
            self._digests.clear()
            for counter in (self.accepted, self.refused, self.duplicates, self.faults):
                counter.clear()
            self.requests = 0
            self.timers.clear()

    def take(self, request: Request) -> Answer:
        """Checks and acts; the moment of acceptance."""
        with self.lock:
            if request.digest in self._digests:
                self.duplicates["bytes"] += 1
            self._digests.add(request.digest)
            self._fire_timer()
            try:
                return self.handle(request)
            except Refused as refused:
                self.refused[refused.code] += 1
                return refused.answer

    # The book.

    def accept(
        self,
        request: Request,
        action: str,
        content: object,
        client_id: str = "",
        order_id: str = "",
    ) -> None:
        self.accepted[action] += 1
        text = json.dumps(content, sort_keys=True, default=str)
        self.log.append(Accepted(action, client_id, text, request.digest, order_id))

    def enter(self, order: BookOrder) -> BookOrder:
        self.orders.append(order)
        self.by_id[order.id] = order
        if order.client_id:
            self.by_client_id[order.client_id] = order
        return order

    def fill(self, order: BookOrder) -> None:
        """All of it at once: at the mark, or at its own limit where the mark is worse."""
        mark = self.marks[order.symbol]
        limit = order.price
        if limit is None or (limit >= mark if order.side == "buy" else limit <= mark):
            price = mark
        else:
            price = limit
        order.state, order.filled, order.average = "filled", order.quantity, price
        number = len(self.fills) + 1
        self.fills.append(Fill(number, order, price, order.quantity, order.created_ms))

    def cancel(self, order: BookOrder) -> None:
        order.state = "cancelled"
        order.updated_ms = self.now_ms()

    def live(self, symbol: str | None = None) -> list[BookOrder]:
        return [o for o in self.orders if o.is_live and symbol in (None, o.symbol)]

    def _fire_timer(self) -> None:
        """Cancel-all-after is checked when somebody looks: nothing can tell the difference."""
        for symbol, at_ms in list(self.timers.items()):
            if self.now_ms() >= at_ms:
                del self.timers[symbol]
                for order in self.live(symbol or None):
                    self.cancel(order)

    def set_timer(self, symbol: str, after_ms: int) -> None:
        """Zero takes it back."""
        if after_ms > 0:
            self.timers[symbol] = self.now_ms() + after_ms
        else:
            self.timers.pop(symbol, None)

    def debit(self, asset: str, amount: Decimal) -> bool:
        if self.balances is None:
            return True
        if self.balances.get(asset, Decimal(0)) < amount:
            return False
        self.balances[asset] -= amount
        return True


def is_multiple(value: Decimal, step: Decimal) -> bool:
    return value % step == 0


def text_of(value: Decimal) -> str:
    """Plain text without an exponent, as every venue writes numbers."""
    return f"{value:f}"


def pairs(query: str) -> list[tuple[str, str]]:
    """Names and values of a query, decoded, in their order, none dropped."""
    if not query:
        return []
    found = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        found.append((unquote_plus(name), unquote_plus(value)))
    return found


def load_object(body: bytes) -> dict[str, Any] | None:
    """A JSON object without doubled names or floats in disguise; null if it is none."""

    def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in items}) != len(items):
            raise ValueError("a name appears twice")
        return dict(items)

    try:
        value = json.loads(body, object_pairs_hook=unique, parse_float=Decimal)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, venue: LoopbackVenue) -> None:
        self.venue = venue
        self.sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.sockets):  # wakes the threads that wait for a next request
            _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what these servers are made for."""


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.sockets.add(self.connection)

    def finish(self) -> None:
        self.server.sockets.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the counters say more."""

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > BODY_BYTES_MAX:
            self.close_connection = True
            return
        body = self.rfile.read(size) if size else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        venue = self.server.venue
        with venue.changed:
            fault, late_ms = venue.schedule.next()
            due_ms = venue.now_ms() + late_ms
            if fault is Fault.DELAYED:
                venue.late.append(due_ms)
            venue.requests += 1
            venue.in_flight += 1
            venue.faults[fault.name.lower()] += 1
        try:
            self._answer(venue, request, fault, due_ms)
        finally:
            with venue.changed:
                venue.in_flight -= 1
                venue.changed.notify_all()

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _answer(self, venue: LoopbackVenue, request: Request, fault: Fault, due_ms: int) -> None:
        if fault is Fault.NONE:
            self._send(venue.take(request).encode(venue.now_ms()))
        elif fault is Fault.RATE_LIMIT:
            self._send(venue.rate_limited().encode(venue.now_ms()))
        elif fault is Fault.ERROR_BEFORE:
            self._send(venue.broken().encode(venue.now_ms()))
        elif fault is Fault.ERROR_AFTER:
            venue.take(request)
            self._send(venue.in_doubt().encode(venue.now_ms()))
        elif fault is Fault.HALF_ANSWER:
            whole = venue.take(request).encode(venue.now_ms())
            self._send(whole[: (whole.index(b"\r\n\r\n") + len(whole)) // 2])
            self._drop()
        elif fault is Fault.DROP_BEFORE:
            self._drop()
        elif fault is Fault.DROP_AFTER:
            venue.take(request)
            self._drop()
        elif fault is Fault.TIMEOUT_BEFORE:
            self._wait_for_client(venue)
            self._drop()
        elif fault is Fault.TIMEOUT_AFTER:
            venue.take(request)
            self._wait_for_client(venue)
            self._drop()
        else:
            self._accept_late(venue, request, due_ms)

    def _accept_late(self, venue: LoopbackVenue, request: Request, due_ms: int) -> None:
        """The client gives up; the request comes in when its time has come by the venue's clock."""
        self._wait_for_client(venue)
        self._drop()
        with venue.changed:
            venue.in_flight -= 1
            venue.changed.notify_all()
            try:
                while (left_ms := due_ms - venue.now_ms()) > 0 and not venue.released.is_set():
                    venue.changed.wait(min(left_ms / 1000, 0.01))
                venue.take(request)
            finally:
                venue.late.remove(due_ms)
                venue.in_flight += 1

    def _send(self, data: bytes) -> None:
        try:
            self.connection.sendall(data)
        except OSError:
            self.close_connection = True

    def _drop(self) -> None:
        self.close_connection = True
        _hang_up(self.connection)

    def _wait_for_client(self, venue: LoopbackVenue) -> None:
        """Until the client hangs up, the test lets go, or it has been long enough."""
        end = time.monotonic() + HOLD_S
        while not venue.released.is_set() and time.monotonic() < end:
            ready, _, _ = select.select([self.connection], [], [], 0.02)
            if ready:
                try:
                    if self.connection.recv(1, socket.MSG_PEEK):
                        time.sleep(0.001)  # a next request, pipelined: nobody waits for this one
                        return
                except OSError:
                    pass
                return
