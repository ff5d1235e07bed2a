"""Submitting over TLS and HTTP/2.

Goal: certificates are checked, HTTP/2 is spoken where it is offered, and what the library would
send a second time is not sent. Method: a small TLS server over h2 on the loopback, with a
certificate of its own authority.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from scripted import CLIENT_ID, signed_order

from sentinel._enums import Venue
from sentinel.errors import NotSent, OutcomeUnknown
from sentinel.submit import ExecutionStatus, Submitter

ACK = {"retCode": 0, "result": {"orderId": "1", "orderLinkId": CLIENT_ID}, "time": 1}


def certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server at 127.0.0.1 and of a client that knows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    known = made.public_bytes(serialization.Encoding.PEM)
    pem = directory / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + known
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    server.set_alpn_protocols(["h2", "http/1.1"])
    client = ssl.create_default_context(cadata=known.decode())
    return server, client


class Server:
    """Answers each request on its stream; `goes_away_at`: at that one it says that it leaves."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.requests: list[tuple[str, str, bytes]] = []
        self.connections = 0
        self.goes_away_at = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        try:
            with self.context.wrap_socket(connection, server_side=True) as stream:
                self.connections += 1
                self.speak(stream)
        except OSError:
            pass

    def speak(self, stream: ssl.SSLSocket) -> None:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http.initiate_connection()
        stream.sendall(http.data_to_send())
        heads: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        while data := stream.recv(65536):
            for event in http.receive_data(data):
                number = getattr(event, "stream_id", 0)
                if isinstance(event, h2.events.RequestReceived):
                    heads[number] = {n.decode(): v.decode() for n, v in event.headers}
                    bodies[number] = b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[number] += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    head = heads[number]
                    self.requests.append((head[":method"], head[":path"], bodies[number]))
                    self.answer(http, number)
            stream.sendall(http.data_to_send())

    def answer(self, http: h2.connection.H2Connection, number: int) -> None:
        if len(self.requests) == self.goes_away_at:
            http.close_connection(last_stream_id=number - 2)
            return
        http.send_headers(number, [(":status", "200")])
        http.send_data(number, json.dumps(ACK).encode(), end_stream=True)


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Server, ssl.SSLContext]]:
    server_context, client_context = certificate(tmp_path)
    server = Server(server_context)
    yield server, client_context
    server.close()


def test_orders_go_over_one_connection_of_http2(tls: tuple[Server, ssl.SSLContext]) -> None:
    server, context = tls
    target = "/v5/order/create?a=%7e&b=%2f"
    with Submitter(endpoints={"bybit": server.url}, verify=context) as sender:
        for _ in range(3):
            report = sender.submit(signed_order(Venue.BYBIT, target=target, body='{"a": 1}'))
            assert report.status is ExecutionStatus.ACCEPTED
    assert server.requests == [("POST", target, b'{"a": 1}')] * 3
    assert server.connections == 1


def test_what_http2_would_repeat_is_not_sent_again(tls: tuple[Server, ssl.SSLContext]) -> None:
    """A server that goes away says which streams it saw: the library sends the others again."""
    server, context = tls
    server.goes_away_at = 2
    with Submitter(endpoints={"bybit": server.url}, verify=context, timeout_s=2) as sender:
        sender.submit(signed_order(Venue.BYBIT, body="1"))
        with pytest.raises(OutcomeUnknown):
            sender.submit(signed_order(Venue.BYBIT, body="2"))
        assert [body for _, _, body in server.requests] == [b"1", b"2"]
        sender.submit(signed_order(Venue.BYBIT, body="3"))
    assert [body for _, _, body in server.requests] == [b"1", b"2", b"3"]


def test_a_certificate_that_is_not_known_is_refused(tls: tuple[Server, ssl.SSLContext]) -> None:
    server, _ = tls
    sender = Submitter(endpoints={"bybit": server.url})
    with sender, pytest.raises(NotSent, match=r"(?i)certificate"):
        sender.submit(signed_order(Venue.BYBIT))
    assert server.requests == []


def test_a_certificate_of_another_name_is_refused(tls: tuple[Server, ssl.SSLContext]) -> None:
    server, context = tls
    url = server.url.replace("127.0.0.1", "localhost")
    sender = Submitter(endpoints={"bybit": url}, verify=context)
    with sender, pytest.raises(NotSent, match=r"(?i)certificate"):
        sender.submit(signed_order(Venue.BYBIT))
    assert server.requests == []
