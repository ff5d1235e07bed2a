"""A user's own signer over HTTP: `--against http://127.0.0.1:9000/sign`.

The contract, in full:

- POST to that very URL, over one connection that is kept open (HTTP/1.1).
- ``http://`` and ``https://``: the body is ``{"data": "0x<hex of the message>"}`` as
  ``application/json``; this is what web3signer's ``/api/v1/eth1/sign/IDENTIFIER`` takes.
- ``raw+http://`` and ``raw+https://``: the body is the message, ``application/octet-stream``.
- A status of 200 to 299 and a body that is not empty is a signature, in any form; it is not
  looked into. Anything else is a failure. Redirects are not followed.
- A header of the user's own, such as a token, stands in ZCP_BENCH_HTTP_HEADER ("Name: value").
- Proxies of the environment are not used.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from typing import Final

from ..errors import UsageError
from .peers_python import CallPeer

__all__ = ["HEADER_VARIABLE", "SCHEMES", "SignerHttp", "open_http"]

HEADER_VARIABLE: Final = "ZCP_BENCH_HTTP_HEADER"
SCHEMES: Final = ("http", "https", "raw+http", "raw+https")
CALLS_MAX: Final = 1_000
"""Of a user's own signer, warm-up included."""
ANSWER_BYTES_MAX: Final = 65_536
TIMEOUT_S: Final = 10.0


def _header() -> dict[str, str]:
    """The user's own header. Its value is a secret: no error says it."""
    text = os.environ.get(HEADER_VARIABLE, "")
    if not text:
        return {}
    name, is_pair, value = text.partition(":")
    if not is_pair or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise UsageError(f"{HEADER_VARIABLE} is no header", next_step='"Name: value"')
    if not re.fullmatch(r"[\t\x20-\x7e]*", value):
        raise UsageError(f"{HEADER_VARIABLE}: its value has characters that no header may have")
    return {name: value.strip()}


class SignerHttp:
    """One connection to a signer."""

    def __init__(self, where: str) -> None:
        # Here, as they load the system's libcrypto, which most commands do without.
        import http.client
        import ssl

        url = urllib.parse.urlsplit(where)
        if "@" in url.netloc:  # first, and not repeated: it may hold a password
            raise UsageError(
                "--against: no name or password in a URL: other users see arguments",
                next_step=f"set {HEADER_VARIABLE}",
            )
        try:
            port = url.port
        except ValueError as wrong:
            raise UsageError(f"--against: {where!r}: the port is no number") from wrong
        if url.scheme not in SCHEMES or not url.hostname:
            raise UsageError(
                f"--against: {where!r} is no URL of a signer",
                next_step=f"one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}, and a host",
            )
        if url.fragment:
            raise UsageError("--against: a URL of a signer has no fragment")
        self.is_raw = url.scheme.startswith("raw+")
        self.target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        if not re.fullmatch(r"[\x21-\x7e]+", self.target):
            raise UsageError(f"--against: {where!r} has characters that no URL may have")
        kind = "application/octet-stream" if self.is_raw else "application/json"
        self.headers = {"Content-Type": kind, **_header()}
        self.failures = (OSError, http.client.HTTPException)
        self.connection = (
            http.client.HTTPSConnection(
                url.hostname, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
            if url.scheme.endswith("https")
            else http.client.HTTPConnection(url.hostname, port, timeout=TIMEOUT_S)
        )

    def sign(self, message: bytes) -> bytes:
        """One request. Raises UsageError where it is not answered with a signature."""
        body = message if self.is_raw else b'{"data":"0x%s"}' % message.hex().encode()
        try:
            self.connection.request("POST", self.target, body, self.headers)
            answer = self.connection.getresponse()
            text = answer.read(ANSWER_BYTES_MAX + 1)
        except self.failures as failed:
            self.connection.close()
            raise UsageError(
                f"--against: the signer: {failed or type(failed).__name__}"
            ) from failed
        if not 200 <= answer.status <= 299 or not text or len(text) > ANSWER_BYTES_MAX:
            self.connection.close()
            raise UsageError(
                f"--against: the signer answered {answer.status} {answer.reason} with"
                f" {len(text):,} bytes, which is no signature",
            )
        return text

    def close(self) -> None:
        """Closes the connection."""
        self.connection.close()


def open_http(where: str) -> list[CallPeer]:
    """The peer of one --against http://…; asks for one signature, to see that it answers.

    Raises UsageError.
    """
    signer = SignerHttp(where)
    try:
        signer.sign(b"zcp bench")
    except UsageError:
        signer.close()
        raise
    return [
        CallPeer(
            name="own_http",
            label=f"yours: {urllib.parse.urlsplit(where).netloc} over HTTP",
            algorithm="its own",
            sign=signer.sign,
            version="",
            end=signer.close,
            calls_max=CALLS_MAX,
        )
    ]
