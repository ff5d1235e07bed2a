"""Sends one request, once, byte for byte, and reads one bounded answer.

Above the library there is one rule that it does not have: a request is begun at most once. Each
step of the library is traced; what fails before the request's first byte was not sent, and a
second attempt (HTTP/2 makes one when a server goes away) ends before it begins.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx

from ._submit_report import ANSWER_BYTES_MAX, Answer, printable
from .errors import UsageError

if TYPE_CHECKING:
    from .sign import HttpRequest

_CONNECTIONS_MAX: Final = 64
_KEEP_ALIVE_S: Final = 60.0
_CONNECTIONS_EACH: Final = 8
_BEGUN: Final = ("http11.send_request_headers.started", "http2.send_request_headers.started")
_BEFORE: Final = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout),
    *(httpx.UnsupportedProtocol, httpx.ProxyError),
)
"""What can fail before a first byte: both this and the trace must say so."""
_SAYS_HEADERS: Final = (httpx.LocalProtocolError, ValueError)
"""Errors whose text may quote a header, so a key or a passphrase."""
_USER_AGENT: Final = "zcp-sentinel"

# HTTP/2's header coder writes headers into its debug log, so keys and passphrases.
for _name in ("hpack.hpack", "hpack.table"):
    logging.getLogger(_name).addFilter(lambda record: False)


class NotBegunError(Exception):
    """No byte of the request left."""


class NoAnswerError(Exception):
    """The request was begun, and there is no whole answer."""


class _BegunTwiceError(Exception):
    """The library wants to send again."""


class _Stream(httpcore.NetworkStream):
    """A connection whose waits end at its request's deadline, whatever trickles in."""

    def __init__(self, inner: httpcore.NetworkStream, left: Callable[[], float]) -> None:
        self._inner = inner
        self._left = left

    def _within(self, timeout: float | None) -> float:
        left = self._left()
        return left if timeout is None else min(timeout, left)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        wait = self._within(timeout)
        if wait <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return self._inner.read(max_bytes, wait)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        wait = self._within(timeout)
        if wait <= 0:
            raise httpcore.WriteTimeout("the deadline has passed")
        self._inner.write(buffer, wait)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        wait = max(self._within(timeout), 0.001)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, wait), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    def __init__(self, left: Callable[[], float]) -> None:
        self._inner = httpcore.SyncBackend()
        self._left = left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        wait = max(min(self._left(), timeout or self._left()), 0.001)
        stream = self._inner.connect_tcp(host, port, wait, local_address, socket_options)
        return _Stream(stream, self._left)


class _Transport(httpx.HTTPTransport):
    """The library's own, over connections that know the deadline of the one request on them."""

    def __init__(self, context: ssl.SSLContext, *, http2: bool) -> None:
        super().__init__(verify=context, trust_env=False)
        self.until = 0.0
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=_CONNECTIONS_EACH,
            max_keepalive_connections=_CONNECTIONS_EACH,
            keepalive_expiry=_KEEP_ALIVE_S,
            http1=True,
            http2=http2,
            retries=0,
            network_backend=_Network(self.left),
        )

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.until - time.monotonic()


class _Once:
    """Watches the library's steps."""

    def __init__(self) -> None:
        self.begun = False

    def __call__(self, name: str, info: dict[str, Any]) -> None:
        if name in _BEGUN:
            if self.begun:
                raise _BegunTwiceError
            self.begun = True


@lru_cache(maxsize=2)
def _default_context(http2: bool) -> ssl.SSLContext:
    """Read once, as it takes its time; apart for HTTP/2, which the library notes in it."""
    return httpx.create_ssl_context(trust_env=False)


class Wire:
    """Connections to venues. Threads share them, but no two requests are ever on one at a time:
    what happens to one of them (a time-out, a stream that the server ends) touches no other, and
    none waits for another's answer.
    """

    def __init__(self, *, timeout_s: float, http2: bool, context: ssl.SSLContext | None) -> None:
        if context is None:
            context = _default_context(http2)
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise UsageError("verify: a context that checks certificate and host name is needed")
        self._timeout_s = timeout_s
        self._http2 = http2
        self._context = context
        self._turns = threading.BoundedSemaphore(_CONNECTIONS_MAX)
        self._lock = threading.Lock()
        self._idle: list[_Transport] = []
        self._closed = False

    def close(self) -> None:
        """Closes every connection: those in use when their request has ended."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for transport in idle:
            transport.close()

    def send(self, request: HttpRequest, base: str, timeout_s: float) -> Answer:
        """One request to `base` (scheme and host). Raises NotBegunError, NoAnswerError."""
        wait = max(0.001, min(self._timeout_s, timeout_s))
        until = time.monotonic() + wait
        if not self._turns.acquire(timeout=wait):
            raise NotBegunError(f"{_CONNECTIONS_MAX} requests are under way: no free connection")
        try:
            transport = self._take()
            transport.until = until
            try:
                answer = _exchange(transport, request, base)
            except BaseException:
                transport.close()
                raise
            self._give_back(transport)
            return answer
        finally:
            self._turns.release()

    def _take(self) -> _Transport:
        with self._lock:
            if self._closed:
                raise NotBegunError("the submitter is closed")
            # The one used last: its connections are the likeliest to be open still.
            if self._idle:
                return self._idle.pop()
        return _Transport(self._context, http2=self._http2)

    def _give_back(self, transport: _Transport) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(transport)
                return
        transport.close()


def _exchange(transport: _Transport, request: HttpRequest, base: str) -> Answer:
    once = _Once()
    try:
        wait = max(0.001, transport.left())
        response = transport.handle_request(_request(request, base, wait, once))
        try:
            if not once.begun:
                # The trace is how sending is known: without it nothing is promised.
                raise NoAnswerError("an answer to a request that was not seen leaving")
            body = _body(response, transport)
        finally:
            response.close()
    except NoAnswerError:
        raise
    except Exception as error:
        # Any: whatever else a library meets in an answer, the order may be at the venue.
        says = "" if isinstance(error, _SAYS_HEADERS) else str(error)
        why = f"{type(error).__name__}: {says}".strip(" :")
        sent = once.begun or not isinstance(error, _BEFORE)
        raise (NoAnswerError if sent else NotBegunError)(printable(why)) from None
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer.of(response.status_code, headers, body)


def _body(response: httpx.Response, transport: _Transport) -> bytes:
    coding = response.headers.get("content-encoding", "identity")
    if coding != "identity":
        raise NoAnswerError("the answer is compressed, which was not asked for")
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise NoAnswerError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
        if transport.left() <= 0:
            raise NoAnswerError("the answer takes too long")
    return bytes(body)


def _request(request: HttpRequest, base: str, wait: float, once: _Once) -> httpx.Request:
    """The signed request as it is; the target is given as bytes, so nothing encodes it again."""
    parts = urlsplit(request.url)
    target = request.url[len(f"{parts.scheme}://{parts.netloc}") :].encode("ascii")
    made = httpx.Request(
        request.method,
        f"{base}/",
        headers=[
            *request.headers.items(),
            ("Accept-Encoding", "identity"),
            ("User-Agent", _USER_AGENT),
        ],
        content=request.body.encode("utf-8") if request.body else None,
        extensions={
            "target": target,
            "trace": once,
            "timeout": {"connect": wait, "read": wait, "write": wait, "pool": wait},
        },
    )
    return made


def base_of(endpoint: str) -> str:
    """Scheme and host of an endpoint. Raises UsageError; plain http is for the loopback alone."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        raise _unsafe(endpoint, "is no address") from None
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise _unsafe(endpoint, "has more than scheme, host and port")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _unsafe(endpoint, "is no https address")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise _unsafe(endpoint, "would send in the clear: http is for the loopback alone")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


def _unsafe(endpoint: str, why: str) -> UsageError:
    return UsageError(
        f"endpoint {endpoint!r} {why}",
        next_step="give one such as https://127.0.0.1:8443, or http://127.0.0.1:8080 for a test",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
