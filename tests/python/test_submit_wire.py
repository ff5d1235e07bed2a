"""What submitting shows and shares: no secret in a text or log, no thread in another's way.

Goal: keys and passphrases stay in the request, whatever fails; nothing that a server does on one
connection holds up another request. Method: as in test_submit_http2.py, with a server whose
settings and frames are awry.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from pathlib import Path

import h2.connection
import h2.settings
import pytest
from scripted import Reply, Scripted, signed_order
from scripted_bybit import ACK, BYBIT, submitter
from test_submit_http2 import Server, certificate

from sentinel._enums import Algorithm
from sentinel.errors import SubmitError
from sentinel.lab import LabKey
from sentinel.submit import ExecutionStatus, Submitter

SECRET = "correct-horse-battery"
HEADERS = {"OK-ACCESS-PASSPHRASE": SECRET, "X-BAPI-API-KEY": SECRET}


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificate(tmp_path)


def test_no_secret_is_in_a_repr() -> None:
    signed = signed_order(BYBIT, headers=HEADERS, target=f"/a?signature={SECRET}", body=SECRET)
    key = LabKey(Algorithm.HMAC_SHA256, SECRET.encode(), "name", SECRET)
    for shown in (repr(signed), repr(signed.request), repr(key)):
        assert SECRET not in shown
    assert repr(signed.request) == "HttpRequest(POST https://api.bybit.com/a)"


def test_no_secret_is_in_a_log(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(tls[0])
    caplog.set_level(logging.DEBUG)
    with Submitter(endpoints={"bybit": server.url}, verify=tls[1]) as sender:
        sender.submit(signed_order(BYBIT, headers=HEADERS))
    server.close()
    assert SECRET not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("hpack")]


@pytest.mark.parametrize("value", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}\u20ac"])
def test_no_secret_is_in_an_error(value: str) -> None:
    """The library quotes a header that it does not take."""
    with Scripted([Reply(ACK)]) as venue, submitter(venue) as sender:
        with pytest.raises(SubmitError) as caught:
            sender.submit(signed_order(BYBIT, headers={"OK-ACCESS-PASSPHRASE": value}))
        assert venue.requests == []
    assert SECRET not in caught.value.diagnostics()
    assert caught.value.__context__ is None or caught.value.__suppress_context__


class Awry(Server):
    """Answers the first request, so that its settings are known; then lowers them, or speaks no
    HTTP/2 at all, and answers nothing more.
    """

    frame = b""

    def answer(self, http: h2.connection.H2Connection, number: int) -> None:
        if len(self.requests) == 1:
            super().answer(http, number)
        elif len(self.requests) == 4:
            http.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})


def test_a_server_that_takes_fewer_streams_holds_no_thread_up(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """The library would wait, for ever, for streams that wait for it."""
    server = Awry(tls[0])
    ended: list[float] = []
    sender = Submitter(endpoints={"bybit": server.url}, verify=tls[1], timeout_s=1)
    assert sender.submit(signed_order(BYBIT)).status is ExecutionStatus.ACCEPTED

    def run() -> None:
        begun = time.monotonic()
        with pytest.raises(SubmitError):
            sender.submit(signed_order(BYBIT))
        ended.append(time.monotonic() - begun)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(6)
    server.close()
    assert len(ended) == 6
    assert max(ended) < 4


class Garbled(Server):
    """Its answer's head is as it should be; its body is no frame."""

    def speak(self, stream: ssl.SSLSocket) -> None:
        self.stream = stream
        super().speak(stream)

    def answer(self, http: h2.connection.H2Connection, number: int) -> None:
        http.send_headers(number, [(":status", "200")])
        self.stream.sendall(http.data_to_send())
        time.sleep(0.1)
        # DATA of stream 0, which HTTP/2 does not have.
        body = json.dumps(ACK).encode()
        self.stream.sendall(len(body).to_bytes(3, "big") + b"\0\1" + b"\0\0\0\0" + body)


def test_frames_that_are_none_are_no_crash(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server = Garbled(tls[0])
    sender = Submitter(endpoints={"bybit": server.url}, verify=tls[1], timeout_s=1)
    with sender, pytest.raises(SubmitError, match="may have place"):
        sender.submit(signed_order(BYBIT))
    server.close()


def test_a_closed_submitter_sends_nothing() -> None:
    with Scripted([Reply(ACK)]) as venue:
        sender = submitter(venue)
        sender.close()
        with pytest.raises(SubmitError, match="closed"):
            sender.submit(signed_order(BYBIT))
        assert venue.requests == []
