"""A scripted venue on the loopback, and signed orders to send to it.

The server reads whole requests, counts them, and does what its script says for each: answer, hang,
drop, break off. Orders are made by hand here, so that a test can give any bytes to any venue.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pytest

from sentinel._enums import Algorithm, Environment, OrderType, Side, TimeInForce, Venue, label
from sentinel.errors import OutcomeUnknown, VenueRefused
from sentinel.order import Order, Place, Query
from sentinel.sign import HttpRequest, ReceiptHandle, SignedOrder
from sentinel.submit import Clock, ExecutionReport, Submitter

CLIENT_ID = "6e8bc4300000000100000000000000aa"
HOSTS = {
    Venue.BINANCE_SPOT: "api.binance.com",
    Venue.BINANCE_USDM: "fapi.binance.com",
    Venue.BYBIT: "api.bybit.com",
    Venue.OKX: "www.okx.com",
    Venue.DERIBIT: "www.deribit.com",
    Venue.HYPERLIQUID: "api.hyperliquid.xyz",
}


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What to do with a request. `cut`: after so many bytes of the answer, close."""

    body: Any = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    hang_s: float = 0.0
    drop: bool = False
    cut: int | None = None
    drip_s: float = 0.0

    def encode(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        head = [f"HTTP/1.1 {self.status} Because", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*head, "", ""]).encode() + body


Script = Callable[[Received, int], Reply]


class Scripted:
    """`with Scripted([Reply(...), ...]) as venue`; after the list's end its last reply repeats."""

    def __init__(self, script: list[Reply] | Script) -> None:
        self.requests: list[Received] = []
        self._script = script
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # To close it alone leaves the thread that accepts waiting for ever.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while self._one(connection):
                    pass
            except OSError:
                pass

    def _one(self, connection: socket.socket) -> bool:
        request = _receive(connection)
        if request is None:
            return False
        with self._lock:
            self.requests.append(request)
            number = len(self.requests) - 1
        script = self._script
        if isinstance(script, list):
            reply = script[min(number, len(script) - 1)]
        else:
            reply = script(request, number)
        time.sleep(reply.hang_s)
        if reply.drop:
            return False
        data = reply.encode()
        if reply.drip_s:
            for i in range(len(data)):
                connection.sendall(data[i : i + 1])
                time.sleep(reply.drip_s)
        connection.sendall(data[: reply.cut])
        return reply.cut is None


def _receive(connection: socket.socket) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    size = int({k.lower(): v for k, v in headers.items()}.get("content-length", "0"))
    while len(body) < size:
        body += connection.recv(65536)
    method, target, _ = first.split(" ")
    return Received(method, target, headers, body)


def place(**terms: Any) -> Place:
    """A limit order."""
    given: dict[str, Any] = {"quantity": "0.010", "price": "65000.10"} | terms
    return Place(
        instrument=3, side=Side.BUY, type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, **given
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


_NUMBERS = iter(range(1, 1 << 30))


def signed_order(
    venue: Venue,
    order: Order | None = None,
    *,
    method: str = "POST",
    target: str = "/order?a=b",
    headers: dict[str, str] | None = None,
    body: str = "",
    usable_ms: int | None = 60_000,
    client_order_id: str = CLIENT_ID,
    account: str = "",
) -> SignedOrder:
    """A signed order with any request; each has a record of its own."""
    number = next(_NUMBERS)
    return SignedOrder(
        request=HttpRequest(method, f"https://{HOSTS[venue]}{target}", headers or {}, body),
        signature=b"s",
        algorithm=Algorithm.HMAC_SHA256,
        recovery_id=0,
        signed_bytes=b"x",
        prehashed=False,
        order=place() if order is None else order,
        action_id=number,
        now_ns=time.time_ns(),
        venue=venue,
        environment=Environment.LIVE,
        account=account,
        client_order_id=client_order_id,
        usable_until_ms=None if usable_ms is None else now_ms() + usable_ms,
        handle=ReceiptHandle(b"e" * 32, 1, number),
    )


@dataclass(slots=True)
class Asker:
    """A session that signs any query: the server sees it at /query."""

    venue: Venue
    queries: list[Query] = field(default_factory=list)

    def sign(self, order: Query, *, now_ns: int | None = None) -> SignedOrder:
        self.queries.append(order)
        return signed_order(self.venue, order, method="GET", target="/query?q=1")


def endpoints(venue: Venue, server: Scripted) -> dict[str, str]:
    return {label(venue): server.url}


def submit(
    venue: Venue,
    script: list[Reply] | Script,
    order: Order | None = None,
    session: Any = None,
    deadline_s: float = 5.0,
    clock: Clock | None = None,
    **request: Any,
) -> ExecutionReport:
    """Submits one order to a script; whatever comes of it, the order arrived at most once."""
    with Scripted(script) as server:
        sender = Submitter(
            endpoints=endpoints(venue, server), timeout_s=2, deadline_s=deadline_s, clock=clock
        )
        signed = signed_order(venue, order, **request)
        try:
            with sender:
                return sender.submit(signed, session=session)
        finally:
            again = [r for r in server.requests if not r.target.startswith(("/query", "/info"))]
            assert len(again) == 1


def refused(venue: Venue, reply: Reply, order: Order | None = None, **request: Any) -> VenueRefused:
    """The refusal that an answer is; the venue's words and name are in it."""
    with pytest.raises(VenueRefused) as caught:
        submit(venue, [reply], order, **request)
    assert caught.value.venue == label(venue)
    assert caught.value.sent
    assert "next step:" in caught.value.diagnostics()
    return caught.value


def asks(venue: Venue, reply: Reply, **request: Any) -> None:
    """After this answer the venue has to be asked."""
    with pytest.raises(OutcomeUnknown, match="may have place"):
        submit(venue, [reply], **request)


class LateClock(Clock):
    """Ours, until the order was sent; from then on so much later."""

    def __init__(self, later_ms: int) -> None:
        self.ahead_ms, self.later_ms = 0, later_ms

    def now_ms(self) -> int:
        now, self.ahead_ms = super().now_ms() + self.ahead_ms, self.later_ms
        return now


class FastClock:
    """A clock that a test moves: sleeping takes no time."""

    is_own = True

    def __init__(self) -> None:
        self.ms = now_ms()
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ms += max(1, int(seconds * 1000))
