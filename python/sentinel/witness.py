"""Witnesses: the program that confirms heads over HTTP, and the engine's side of it.

An engine whose authority bundle names a witness signs nothing without that witness's grant
(docs/4-audit.md, "Freshness"). The engine asks at its start, while half of a grant is left, and
after commands and bundles.

    with Signer.open("engine", witness="http://127.0.0.1:8700") as signer:
        ...

The question and the answer are signed, so that plain HTTP is enough: whoever stands between can
only keep them from arriving.
"""

from __future__ import annotations

import http.client
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from . import _core, _layout
from ._frame import FrameKind, unsafe_parse_frame
from ._status import Status
from ._types import EngineState
from ._witness_store import QUESTION_BYTES, Witness
from .config import os_failed, write_file
from .errors import SentinelError, StorageError, UsageError, VerificationFailed

__all__ = ["Client", "Server", "WitnessError"]

CONFIG_FILE: Final = "witness"
TIMEOUT_SECONDS: Final = 2.0
_REST_SECONDS: Final = 1.0
"""After a failure no order waits for another one within so long."""
_ANSWER_BYTES_MAX: Final = 4096
_ROUNDS: Final = 3
_FINAL: Final = 1
_KIND: Final = slice(10, 12)
_DOWN: Final = "see that the witness is up: zcp witness status DIR"
_UNSIGNED: Final = (
    "zcp authority show: its key must be there, and the threshold for witness must be 1"
)


_RELIED_ON: Final = frozenset({FrameKind.AUTHORITY, FrameKind.POLICY, FrameKind.COMMAND})
"""Bundles and commands: halts, policies, rotations and revocations among them."""


class WitnessError(StorageError):
    """A witness is down, lies, or grants nothing. What was recorded stays recorded.

    `record`: of the frame that was taken, is in force, and was not confirmed; else None.
    """

    def __init__(self, message: str, *, record: int | None = None, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.record = record


# ---- The program --------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """A question."""
        if self.path != "/grant":
            self._say(404, b"POST /grant\n")
        elif self.headers.get("Content-Length") != str(QUESTION_BYTES):
            self._say(400, f"a question has {QUESTION_BYTES} bytes\n".encode())
        else:
            try:
                self._say(200, self.server.witness.grant(self.rfile.read(QUESTION_BYTES)))
            except VerificationFailed as error:
                self._say(403, f"{error}\n".encode())
            except SentinelError as error:
                self._say(500, f"{error}\n".encode())

    def _say(self, status: int, body: bytes) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `zcp witness status` says what is kept."""


class Server(ThreadingHTTPServer):
    """A witness on an address. `serve_forever` serves."""

    daemon_threads = True

    def __init__(self, witness: Witness, listen: str) -> None:
        """Raises UsageError, StorageError when the address cannot be had."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise UsageError(f"{listen!r} is no address", next_step="give one as 127.0.0.1:8700")
        self.witness = witness
        try:
            super().__init__((host, int(port)), _Handler)
        except OSError as error:
            raise os_failed(listen, error) from None


# ---- The engine's side --------------------------------------------------------------------------


def check_url(url: str) -> str:
    """A witness's address. Raises UsageError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and parts.hostname and parts.port is not None
        good = good and parts.path in ("", "/") and not parts.query and not parts.username
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{url!r} is no witness", next_step="give one as http://127.0.0.1:8700")
    return url


def configured(directory: Path) -> str | None:
    """The witness that an engine's directory names. Raises StorageError, UsageError."""
    try:
        return check_url((directory / CONFIG_FILE).read_text("utf-8").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise os_failed(directory / CONFIG_FILE, error) from None


def configure(directory: Path, url: str) -> None:
    """Names the witness that an engine asks from its next start on. Raises UsageError."""
    write_file(directory / CONFIG_FILE, check_url(url).encode() + b"\n", mode=0o644)


def post(url: str, question: bytes, timeout: float = TIMEOUT_SECONDS) -> bytes:
    """A question to the witness at a URL; its answer. Raises WitnessError where it refuses, OSError
    and HTTPException where none is there.
    """
    parts = urlsplit(url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        link.request("POST", "/grant", question, {"Connection": "close"})
        answer = link.getresponse()
        body = answer.read(_ANSWER_BYTES_MAX)
    finally:
        link.close()
    if answer.status != 200:
        text = body[:200].decode("ascii", "replace").strip()
        raise WitnessError(f"it answers {answer.status}: {text}")
    return body


class Client:
    """Asks a witness for one engine. The engine's owner holds its own lock around each call.

    `error`: why the last question was not answered with a grant; "" when it was.
    """

    def __init__(
        self, engine: _core.Engine, url: str | None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        """Raises UsageError where `url` names no witness."""
        self._engine = engine
        self._url = None if url is None else check_url(url)
        self._timeout = timeout
        self._rest_until = 0.0
        self._size = (0, 0)
        self.error = ""

    def ask(self, now_ns: int | None = None, *, final: bool = False) -> None:
        """Has the head confirmed, and takes a grant; then what waited in the spool is answered.

        Raises WitnessError.
        """
        if not self._engine.needs_witness:
            return
        try:
            for _ in range(_ROUNDS):
                if self._round(now_ns, final):
                    break
            else:
                raise WitnessError("it names another head each time")
            if self._engine.is_held:
                self._engine.spool(_now(now_ns))
        except (SentinelError, OSError, http.client.HTTPException) as error:
            text = str(error) or type(error).__name__
            unsigned = getattr(error, "status", None) == Status.POLICY_SIGNATURE
            if unsigned:
                text += "; one witness signs an answer, and a threshold above 1 is not served"
            self.error = f"the witness {self._url or '(none is named)'}: {text}"
            self._rest_until = time.monotonic() + _REST_SECONDS
            raise WitnessError(self.error, next_step=_UNSIGNED if unsigned else _DOWN) from None
        self.error = ""

    def take(self, frame: bytes, now_ns: int | None = None) -> int:
        """Takes a frame; the number of its record. The one place where this process has confirmed
        what people rely on, before anybody is told that it is done (docs/4-audit.md,
        "Acknowledged only when confirmed"); the spool has the core's.

        Raises WitnessError with the record where it was not: it is in force all the same.
        """
        record = self._engine.take(frame, _now(now_ns))
        if int.from_bytes(frame[_KIND], "little") not in _RELIED_ON:
            return record
        grant = self._engine.state().grant
        # While records are missing, nothing can be confirmed before people accept that.
        if not self._engine.needs_witness or grant.gap_to or grant.count > record:
            return record
        try:
            self.ask(now_ns)
        except WitnessError as error:
            raise WitnessError(
                f"record {record} is in force, but not confirmed: {error.message}",
                record=record,
                next_step=error.next_step,
            ) from None
        return record

    def before_order(self, now_ns: int | None = None) -> None:
        """Asks when commands wait for it, or when half of the grant is gone; never raises for a
        witness's sake: the engine refuses the order itself, once the grant is used up.
        """
        if not self._engine.needs_witness:
            return
        self._engine.spool(_now(now_ns))
        if time.monotonic() < self._rest_until:
            return
        if self._engine.is_held or self._is_short(self._engine.state()):
            self.try_ask(now_ns)

    def try_ask(self, now_ns: int | None = None) -> None:
        """Asks; `error` says what went wrong."""
        try:
            self.ask(now_ns)
        except WitnessError as error:
            self.error = error.message

    def _is_short(self, state: EngineState) -> bool:
        grant = state.grant
        if grant.gap_to:
            return False
        left = (grant.record_end - state.record_count, grant.spend_end - grant.spent)
        return grant.epoch != state.epoch or any(
            2 * rest <= whole for rest, whole in zip(left, self._size, strict=True)
        )

    def _round(self, now_ns: int | None, final: bool) -> bool:
        """One question; False when it is to be asked again with the head that is known now."""
        ask, signature = self._engine.ask(_FINAL if final else 0)
        if self._url is None:
            raise WitnessError("the authority asks for one: zcp witness use URL")
        raw = post(self._url, ask + signature, self._timeout)
        self._engine.take(raw, _now(now_ns))
        grant = _layout.GRANT.unpack(unsafe_parse_frame(raw, FrameKind.GRANT).payload)
        state = self._engine.state()
        if grant["count"]:
            self._size = (
                grant["record_end"] - state.record_count,
                grant["spend_end"] - state.grant.spent,
            )
            return True
        if state.grant.gap_to:
            raise WitnessError(
                f"records {state.grant.gap_from} to {state.grant.gap_to - 1} were confirmed, and"
                " are not here"
            )
        before = _layout.ASK.unpack(ask)
        if grant["known_epoch"] > state.epoch or grant["known_count"] == before["known_count"]:
            raise WitnessError(
                f"another engine took epoch {grant['known_epoch']}; this one has {state.epoch}"
            )
        return False


def _now(now_ns: int | None) -> int:
    return time.time_ns() if now_ns is None else now_ns
