"""Submitting: one request, once, and a definite answer or an honest "unknown".

Goal: whatever happens between here and a venue, an order is sent at most once and its outcome is
never guessed. Method: a scripted server on the loopback, every fault in turn; each test looks at
how often the order arrived there.
"""

from __future__ import annotations

import json
import socket
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from scripted import (
    CLIENT_ID,
    Asker,
    FastClock,
    Received,
    Reply,
    Scripted,
    place,
    signed_order,
)
from scripted_bybit import ACK, BYBIT, orders, state, submitter

from sentinel import _submit_http
from sentinel._enums import Venue
from sentinel._submit_report import Answer, decimal, printable, read_json
from sentinel.errors import (
    NeverArrived,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    RequestExpired,
    SubmitError,
    UsageError,
)
from sentinel.order import Message
from sentinel.sign import SignedOrder
from sentinel.submit import ExecutionStatus, Submitter

# ---- What is sent ---------------------------------------------------------------


def test_sends_the_signed_bytes_as_they_are() -> None:
    target = (
        "/v5/order/create?a=%7e&b=%2f%2F&c=1.10&d=a;b,c:d@e!f$g'h(i)*j+k~l|m&signature=Zg%3D%3D"
    )
    body = '{"b": 1,"a":"\u00e9 \\u00e9"}'
    headers = {"X-BAPI-API-KEY": "Key", "Content-Type": "application/json"}
    signed = signed_order(BYBIT, target=target, headers=headers, body=body)
    with Scripted([Reply(ACK)]) as venue, submitter(venue) as sender:
        report = sender.submit(signed)
        got = venue.requests
    assert len(got) == 1
    assert (got[0].method, got[0].target, got[0].body) == ("POST", target, body.encode())
    assert {name: got[0].headers[name] for name in headers} == headers
    extra = {name.lower() for name in got[0].headers} - {name.lower() for name in headers}
    assert extra == {"host", "content-length", "accept-encoding", "user-agent"}
    assert report.status is ExecutionStatus.ACCEPTED
    assert (report.venue, report.action, report.asked) == ("bybit", "place", 0)
    assert (report.client_order_id, report.venue_order_id) == (CLIENT_ID, "1321003749386327552")
    assert report.digest == sha256(json.dumps(ACK).encode()).digest()


def test_keeps_its_connection() -> None:
    seen = set()

    def script(request: Received, number: int) -> Reply:
        seen.add(threading.get_ident())
        return Reply(ACK)

    with Scripted(script) as venue, submitter(venue) as sender:
        for _ in range(3):
            sender.submit(signed_order(BYBIT))
        assert orders(venue) == 3
    assert len(seen) == 1


def test_follows_no_redirect() -> None:
    away = Reply({}, 307, (("Location", "/elsewhere"),))
    with Scripted([away]) as venue, submitter(venue) as sender:
        with pytest.raises(OutcomeUnknown):
            sender.submit(signed_order(BYBIT))
        assert [r.target for r in venue.requests] == ["/order?a=b"]


def test_sends_nothing_that_has_expired() -> None:
    with Scripted([Reply(ACK)]) as venue, submitter(venue) as sender:
        with pytest.raises(RequestExpired) as caught:
            sender.submit(signed_order(BYBIT, usable_ms=-1))
        assert not caught.value.sent
        assert "next step:" in caught.value.diagnostics()
        assert venue.requests == []


def test_sends_no_message() -> None:
    signed = signed_order(BYBIT)
    message = SignedOrder(
        **{name: getattr(signed, name) for name in SignedOrder.__slots__}
        | {"request": None, "venue": Venue.NONE, "order": Message(text="hello")}
    )
    with Submitter() as sender, pytest.raises(UsageError):
        sender.submit(message)


@pytest.mark.parametrize(
    ("scheme", "rest"),
    [
        ("http://", "example.com"),
        ("http://", "192.168.0.1:80"),
        ("http://", "127.0.0.1.example.com"),
        ("ftp://", "127.0.0.1"),
        ("https://", ""),
        ("https://", "a/b"),
        ("https://", "a?b"),
        ("https://", "user@a"),
        ("https://", "a:b"),
        ("https://", "[a"),
        ("", "127.0.0.1:80"),
    ],
)
def test_refuses_an_endpoint_that_is_not_safe(scheme: str, rest: str) -> None:
    with pytest.raises(UsageError) as caught:
        Submitter(endpoints={"bybit": scheme + rest})
    assert "next step:" in caught.value.diagnostics()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://[::1]:8", "http://localhost"])
def test_takes_plain_http_on_the_loopback(endpoint: str) -> None:
    assert _submit_http.base_of(endpoint + "/") == endpoint


def test_refuses_an_unknown_venue_a_foreign_host_and_wrong_times() -> None:
    with pytest.raises(UsageError, match="none of binance_spot"):
        Submitter(endpoints={"nowhere": "http://127.0.0.1:1"})
    for wrong in ({"timeout_s": 0}, {"deadline_s": 0}, {"timeout_s": 601}):
        with pytest.raises(UsageError):
            Submitter(**wrong)  # type: ignore[arg-type]
    with Scripted([Reply(ACK)]) as venue, submitter(venue) as sender:
        foreign = signed_order(BYBIT, target=".example.com/order")
        with pytest.raises(UsageError, match="no host of bybit"):
            sender.submit(foreign)
        assert venue.requests == []


def test_certificates_are_always_checked() -> None:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(UsageError):
        Submitter(verify=context)
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(UsageError):
        Submitter(verify=context)


# ---- Not sent -------------------------------------------------------------------


def test_a_refused_connection_is_not_sent_and_may_be_sent_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    signed = signed_order(BYBIT)
    with Submitter(endpoints={"bybit": f"http://127.0.0.1:{port}"}, timeout_s=1) as sender:
        with pytest.raises(NotSent) as caught:
            sender.submit(signed)
        assert not isinstance(caught.value, NeverArrived)
        # Nothing left, so the same bytes may still go.
        with pytest.raises(NotSent):
            sender.submit(signed)


def test_a_failed_handshake_is_not_sent() -> None:
    with Scripted([Reply(ACK)]) as venue:
        url = venue.url.replace("http:", "https:")
        with (
            Submitter(endpoints={"bybit": url}, timeout_s=0.5) as sender,
            pytest.raises(NotSent),
        ):
            sender.submit(signed_order(BYBIT))
        assert venue.requests == []


# ---- Rate limits ----------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 418])
def test_a_rate_limit_is_remembered_and_kept(status: int) -> None:
    limited = Reply(b"slow down", status, (("Retry-After", "7"),))
    with Scripted([limited, Reply(ACK)]) as venue:
        clock = FastClock()
        with submitter(venue, clock=clock) as sender:
            with pytest.raises(RateLimited) as caught:
                sender.submit(signed_order(BYBIT))
            assert (caught.value.retry_after_s, caught.value.sent) == (7.0, True)
            signed = signed_order(BYBIT)
            with pytest.raises(RateLimited) as held:
                sender.submit(signed)
            assert not held.value.sent
            assert 6 < held.value.retry_after_s <= 7
            assert len(venue.requests) == 1
            clock.ms += 7_001
            assert sender.submit(signed).status is ExecutionStatus.ACCEPTED
        assert orders(venue) == 2


def test_no_rate_limit_is_longer_than_three_days() -> None:
    limited = Reply(b"slow down", 429, (("Retry-After", "999999"),))
    with Scripted([limited, Reply(ACK)]) as venue:
        clock = FastClock()
        with submitter(venue, clock=clock) as sender:
            with pytest.raises(RateLimited):
                sender.submit(signed_order(BYBIT, usable_ms=None))
            clock.ms += 3 * 86_400_000 - 100
            with pytest.raises(RateLimited):
                sender.submit(signed_order(BYBIT, usable_ms=None))
            clock.ms += 101
            assert (
                sender.submit(signed_order(BYBIT, usable_ms=None)).status
                is ExecutionStatus.ACCEPTED
            )


def test_asking_waits_for_a_rate_limit() -> None:
    clock = FastClock()
    limited = Reply(b"", 429, (("Retry-After", "3"),))
    script = [Reply(drop=True), limited, Reply(state())]
    with Scripted(script) as venue, submitter(venue, clock=clock, deadline_s=30) as sender:
        report = sender.submit(signed_order(BYBIT), session=Asker(BYBIT))
        assert orders(venue) == 1
    assert report.status is ExecutionStatus.ACCEPTED
    assert sum(clock.slept) >= 3


def test_a_rate_limit_beyond_the_deadline_leaves_the_outcome_unknown() -> None:
    limited = Reply(b"", 429, (("Retry-After", "3600"),))
    with Scripted([Reply(drop=True), limited]) as venue, submitter(venue) as sender:
        with pytest.raises(OutcomeUnknown):
            sender.submit(signed_order(BYBIT), session=Asker(BYBIT))
        assert len(venue.requests) == 2


# ---- Reading --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (b"1e-5", "0.00001"),
        (b"0.1", "0.1"),
        (b"100.10", "100.10"),
        (b"7", "7"),
        (b'"0.10"', "0.10"),
        (b'"1E-3"', "0.001"),
        (b'"5."', "5"),
        (b'""', None),
        (b"null", None),
    ],
)
def test_numbers_keep_every_digit(given: bytes, text: str | None) -> None:
    assert decimal(read_json(given)) == text


@pytest.mark.parametrize(
    "given", [True, [], {}, "1,0", "0x1", "1e999", "NaN", "9" * 60, 10**60, " 1", "1_0", "\u0661"]
)
def test_what_is_no_decimal_is_not_read_as_one(given: Any) -> None:
    with pytest.raises(Exception, match=r"decimal|range|large"):
        decimal(given)


def test_a_venues_words_cannot_move_a_cursor() -> None:
    assert printable("a\x1b[2Jb\r\nc" + "x" * 900).startswith("a [2Jb c")
    assert len(printable("x" * 900)) == 200
    assert Answer.of(200, {}, b"\x00\xff" * 900).text.isprintable()


def test_the_page_names_every_error(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "submit.md").read_text("utf-8")

    def kinds(kind: type[SubmitError]) -> set[str]:
        return {kind.__name__}.union(*(kinds(sub) for sub in kind.__subclasses__()))

    assert {name for name in kinds(SubmitError) if f"`{name}`" not in page} == set()


def test_place_is_the_order_under_test() -> None:
    assert place().describe().startswith("buy 0.010")


def test_a_library_that_no_longer_tells_when_it_sends_makes_nothing_safe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other names for its steps in a new version: no time-out, and no answer, is "not sent"."""
    monkeypatch.setattr(_submit_http, "_BEGUN", ())
    for reply in (Reply(ACK), Reply(drop=True), Reply(ACK, hang_s=0.6)):
        with Scripted([reply]) as venue, submitter(venue) as sender:
            with pytest.raises(OutcomeUnknown):
                sender.submit(signed_order(BYBIT))
            assert orders(venue) == 1
