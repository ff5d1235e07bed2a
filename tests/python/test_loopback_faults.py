"""The loopback venues fail as their schedule says, and in no other way.

Goal: a fault schedule proves something only if "accepted, but not answered" means that, exactly.
Method: one order a fault, sent by http.client; then what the client saw and what the book has.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
from collections.abc import Iterator

import pytest
from venue_fakes import API_KEY, SECRET, make

from tests.venues.faults import FAULTS, Fault, Schedule
from tests.venues.loopback import LoopbackVenue

WAIT_S = 0.03


def order(venue: LoopbackVenue, client_id: str = "one") -> str:
    query = (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000"
        f"&newClientOrderId={client_id}&timestamp={venue.now_ms()}"
    )
    signature = hmac.digest(SECRET.encode(), query.encode(), hashlib.sha256).hex()
    return f"/api/v3/order?{query}&signature={signature}"


def post(venue: LoopbackVenue, target: str) -> int | str:
    """The status, or the name of what went wrong."""
    connection = http.client.HTTPConnection(venue.host, timeout=WAIT_S)
    try:
        connection.request("POST", target, headers={"X-MBX-APIKEY": API_KEY})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


@pytest.fixture
def broken(request: pytest.FixtureRequest) -> Iterator[LoopbackVenue]:
    with make("binance_spot", schedule=Schedule([request.param], late_ms=(60,))) as venue:
        yield venue


# What the client sees, and how many orders are in the book when all has come to rest.
SEEN = [
    (Fault.NONE, 200, 1),
    (Fault.TIMEOUT_BEFORE, "TimeoutError", 0),
    (Fault.TIMEOUT_AFTER, "TimeoutError", 1),
    (Fault.DROP_BEFORE, "RemoteDisconnected", 0),
    (Fault.DROP_AFTER, "RemoteDisconnected", 1),
    (Fault.RATE_LIMIT, 429, 0),
    (Fault.ERROR_BEFORE, 503, 0),
    (Fault.ERROR_AFTER, 408, 1),
    (Fault.HALF_ANSWER, "IncompleteRead", 1),
    (Fault.DELAYED, "TimeoutError", 1),
]


def test_every_fault_has_its_row() -> None:
    assert {fault for fault, _, _ in SEEN} == set(Fault)


@pytest.mark.parametrize(
    ("broken", "seen", "kept"),
    SEEN,
    ids=[fault.name.lower() for fault, _, _ in SEEN],
    indirect=["broken"],
)
def test_a_fault_is_what_it_is_called(broken: LoopbackVenue, seen: int | str, kept: int) -> None:
    assert post(broken, order(broken)) == seen
    late = broken.next_due_ms()
    if late is not None:
        assert not broken.orders, "not yet"
        while broken.now_ms() <= late:
            time.sleep(0.005)
    broken.settle()
    assert len(broken.orders) == kept
    assert [entry.client_id for entry in broken.log] == ["one"] * kept
    # And the next request, on a new connection, is as good as ever.
    assert post(broken, order(broken, "two")) == 200
    assert len(broken.orders) == kept + 1


@pytest.mark.parametrize("broken", [Fault.TIMEOUT_AFTER], indirect=True)
def test_a_held_answer_ends_with_the_server(broken: LoopbackVenue) -> None:
    connection = http.client.HTTPConnection(broken.host, timeout=5)
    connection.request("POST", order(broken), headers={"X-MBX-APIKEY": API_KEY})
    broken.released.set()
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
    connection.close()


def test_a_delayed_order_comes_too_late_for_its_window() -> None:
    """The venue looks at its clock when the order comes in, not when it was sent."""
    clock = [1_700_000_000_000]
    delayed = Schedule([Fault.DELAYED], late_ms=(5_001,))
    with make("binance_spot", now_ms=lambda: clock[0], schedule=delayed) as venue:
        assert post(venue, order(venue)) == "TimeoutError"
        assert venue.next_due_ms() == clock[0] + 5_001
        clock[0] += 5_001
        venue.settle()
        assert venue.next_due_ms() is None
        assert not venue.orders
        assert venue.refused == {"-1021": 1}


def test_a_seed_means_the_same_again_and_every_fault_comes() -> None:
    one, two = Schedule(7, rate=0.5), Schedule(7, rate=0.5)
    drawn = [one.next() for _ in range(400)]
    assert drawn == [two.next() for _ in range(400)]
    assert {fault for fault, _ in drawn} == set(Fault)
    other = Schedule(8, rate=0.5)
    assert drawn != [other.next() for _ in range(400)]
    quiet = sum(fault is Fault.NONE for fault, _ in drawn)
    assert 150 < quiet < 250
    assert len(FAULTS) == 9


def test_a_connection_serves_many_requests_without_waiting() -> None:
    """Head and body in one write: two would cost 40 ms each where the client delays its ACK."""
    with make("binance_spot") as venue:
        connection = http.client.HTTPConnection(venue.host, timeout=5)
        begun = time.monotonic()
        for number in range(50):
            connection.request(
                "POST", order(venue, f"n{number}"), headers={"X-MBX-APIKEY": API_KEY}
            )
            assert connection.getresponse().read()
        assert time.monotonic() - begun < 1.5
        connection.close()
        assert len(venue.orders) == 50
