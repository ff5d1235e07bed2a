"""Many orders in one call.

Goal: a batch says, signs and records what one by one does. Method: two copies of one engine
sign the same orders at the same times, one by one and at once, and their logs are compared byte by
byte; the rest is refusals, bad buffers, threads and signals.
"""

from __future__ import annotations

import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import MARKS, SECOND, Made, limit, make_engine
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel import (
    Cancel,
    EngineHalted,
    Message,
    Place,
    PolicyDenied,
    SentinelError,
    Session,
    SignedBatch,
    SignedOrder,
    Signer,
)
from sentinel._enums import Side
from sentinel._record import Verdict
from sentinel.audit import read_log, replay, verify_log
from sentinel.errors import UsageError
from sentinel.order import ORDERS, Order, dtype, rows
from sentinel.sign import SIGN_MANY_MAX


def array(order: Order, count: int) -> Any:
    return np.frombuffer(rows(order, count), dtype=dtype(type(order)))


def denied(answer: SignedOrder | SentinelError) -> PolicyDenied:
    assert isinstance(answer, PolicyDenied)
    return answer


def signed(answer: SignedOrder | SentinelError) -> SignedOrder:
    assert isinstance(answer, SignedOrder)
    return answer


# ---- At once is as one by one -------------------------------------------------------------------


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = make_engine(tmp_path_factory.mktemp("twins") / "engine")
    with made.open(made.now_ns + SECOND) as signer:
        signer.feed_marks(MARKS, now_ns=made.now_ns + SECOND)
        signer.close(made.now_ns + SECOND)
    return made


def one_by_one(session: Session, orders: list[Order], now_ns: int) -> list[Any]:
    answers: list[Any] = []
    for order in orders:
        try:
            answers.append(session.sign(order, now_ns=now_ns))
        except SentinelError as error:
            answers.append(error)
    return answers


def log_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "log").iterdir())}


def said(answer: Any) -> Any:
    """What an answer says, in plain data."""
    if isinstance(answer, SignedOrder):
        return answer
    return type(answer), str(answer), vars(answer)


ORDER = st.one_of(
    st.builds(
        Place,
        instrument=st.just(0),
        side=st.sampled_from(Side),
        type=st.just(1),
        time_in_force=st.sampled_from([0, 1, 2]),
        quantity=st.sampled_from(["0.01", "0.2", "0.6", "1", "0.000001"]),
        price=st.sampled_from(["65000.10", "64000.00", "70000.00", "0.001", None]),
        tag=st.sampled_from(["", "mine"]),
    ),
    st.builds(Cancel, target_action=st.integers(1, 8)),
    st.builds(Message, text=st.text("añ€", min_size=1, max_size=60)),
)


@settings(max_examples=12, deadline=None)
@given(drawn=st.lists(ORDER, min_size=1, max_size=12))
def test_a_batch_is_what_one_by_one_is_byte_for_byte(
    twins: Made, tmp_path_factory: pytest.TempPathFactory, drawn: list[Order]
) -> None:
    place = tmp_path_factory.mktemp("pair")
    now = twins.now_ns + 2 * SECOND
    told: list[list[Any]] = []
    for name in ("one", "many"):
        shutil.copytree(twins.directory, place / name)
        with Made(place / name, twins.created, now).open(now) as signer:
            session = signer.session("maker")
            instrument = signer.resolve("instrument", "BTCUSDT")
            orders = [
                replace(order, instrument=instrument) if isinstance(order, Place) else order
                for order in drawn
            ]
            if name == "one":
                answers = one_by_one(session, orders, now)
            else:
                answers = list(session.sign_many(orders, now_ns=now))
            told.append([said(answer) for answer in answers])
            signer.close(now)
    assert told[0] == told[1]
    assert log_of(place / "one") == log_of(place / "many")
    assert list(replay(place / "many").differences) == []
    shutil.rmtree(place)


def test_rows_say_what_the_answers_say(signer: Signer, maker: Session) -> None:
    orders = array(limit(signer), 3)
    orders["quantity"]["mantissa"][1] = 60  # 0.60: above the quantity cap, and above the value cap
    batch = maker.sign_many(orders)
    table, text = np.asarray(batch), batch.text
    for row, answer in zip(table, batch, strict=True):
        if isinstance(answer, PolicyDenied):
            assert (row["verdict"], row["reason"]) == (Verdict.DENIED, answer.number)
            assert (row["record"], row["epoch"]) == (answer.record, answer.epoch)
            assert not row["signature"].any()
            continue
        one = signed(answer)
        assert one.request is not None
        assert row["verdict"] == Verdict.ALLOWED
        assert (row["record"], row["epoch"]) == (one.handle.record, one.handle.epoch)
        assert (row["action_id"], row["now_ns"]) == (one.action_id, one.now_ns)
        assert row["usable_until_ms"] == one.usable_until_ms
        assert bytes(row["signature"][: row["signature_size"]]) == one.signature
        assert row["client_id"].decode() == one.client_order_id
        assert (row["venue"], row["algorithm"]) == (one.venue, one.algorithm)
        parts = {
            part: bytes(text[row[f"{part}_at"] :][: row[f"{part}_size"]])
            for part in ("host", "path", "query", "body", "signed")
        }
        url = f"https://{parts['host'].decode()}{parts['path'].decode()}"
        assert f"{url}?{parts['query'].decode()}" == one.request.url
        assert parts["signed"] == one.signed_bytes
    assert [row["verdict"] == Verdict.ALLOWED for row in table] == [True, False, True]
    assert batch.allowed == 2
    assert table["value_micro_usd"][0] == 650_001_000


def test_every_refusal_names_its_constraints(signer: Signer, maker: Session) -> None:
    orders = [limit(signer, quantity="0.6", price="70000.00"), limit(signer), Message(text="x")]
    first, second, third = maker.sign_many(orders)
    assert [(row.type, row.node) for row in denied(first).failed] == [
        ("value_cap", "firm"),
        ("quantity_cap", "firm/desk"),
        ("price_collar", "firm/desk"),
    ]
    assert denied(first).failed[0].max_allowed == "10k USD"
    assert signed(second).order == orders[1]
    assert signed(third).request is None


# ---- Ids, agents, forms -------------------------------------------------------------------------


def test_ids_are_filled_in_where_they_are_zero(signer: Signer, maker: Session) -> None:
    orders = array(limit(signer), 5)
    orders["action_id"] = [0, 7, 0, 7, 0]
    batch = maker.sign_many(orders)
    assert list(np.asarray(batch)["action_id"]) == [1, 7, 8, 7, 9]
    again = denied(batch[3])
    assert (again.reason, again.record) == ("duplicate", signed(batch[1]).handle.record)
    assert maker.sign(limit(signer)).action_id == 10
    assert list(orders["action_id"]) == [0, 7, 0, 7, 0]


def test_another_agents_order_is_refused_and_the_rest_is_not(
    signer: Signer, maker: Session
) -> None:
    orders = array(limit(signer), 2)
    orders["agent"][0] = signer.session("taker").agent
    first, second = maker.sign_many(orders)
    assert denied(first).reason == "agent_mismatch"
    assert signed(second).action_id == 2


def test_a_struct_that_is_no_order_is_refused_alone(signer: Signer, maker: Session) -> None:
    orders = array(limit(signer), 6)
    orders["action"][0] = 99
    orders["size_bytes"][1] = 287
    orders["price"]["scale"][2] = 19
    orders["version"][3] = 2
    orders["size_bytes"][4] = 0
    batch = maker.sign_many(orders)
    reasons = [denied(answer).reason for answer in list(batch)[:5]]
    assert reasons == ["order_action", "order_size", "order_decimal", "order_version", "order_size"]
    assert signed(batch[5]).action_id == 6


def test_unions_of_any_order_are_taken_where_their_rest_is_zero(
    signer: Signer, maker: Session
) -> None:
    structs = np.zeros((3, 384), dtype="u1")
    for row, order in enumerate((limit(signer), Message(text="x"), limit(signer))):
        packed = order.pack(agent=0, action_id=0)
        structs[row, : len(packed)] = list(packed)
    structs[2, 383] = 1
    first, second, third = maker.sign_many(structs.view("V384")[:, 0])
    assert signed(first).order == limit(signer)
    assert signed(second).order == Message(text="x")
    assert denied(third).reason == "order_size"


@pytest.mark.parametrize("step", [1, 2, -1])
def test_arrays_are_taken_as_they_lie(signer: Signer, maker: Session, step: int) -> None:
    orders = array(limit(signer), 4)
    orders["price"]["mantissa"] = [6500000, 6500010, 6500020, 6500030]
    orders.flags.writeable = False
    batch = maker.sign_many(orders[::step])
    prices = ["65000.00", "65000.10", "65000.20", "65000.30"][::step]
    assert [signed(one).order for one in batch] == [limit(signer, price=each) for each in prices]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda orders: np.zeros(3), "items of 8 bytes; an order's struct has 192, 256"),
        (lambda orders: orders.reshape(2, 2), "2 dimensions"),
        (lambda orders: orders.astype(orders.dtype.newbyteorder(">")), "big-endian"),
        (lambda orders: np.broadcast_to(orders[:1], 4), "repeated without its bytes"),
        (lambda orders: orders.tobytes()[:-1], "at byte 864 no whole order begins"),
        (lambda orders: bytes(288), "at byte 0 no whole order begins"),
        (lambda orders: memoryview(orders.tobytes())[::2], "not contiguous"),
        (lambda orders: ["x"], "not str"),
    ],
)
def test_what_is_no_array_of_orders_is_an_error_before_anything_is_signed(
    signer: Signer, maker: Session, bad: Any, says: str
) -> None:
    before = signer.status().records
    with pytest.raises(UsageError, match=says):
        maker.sign_many(bad(array(limit(signer), 4)))
    assert signer.status().records == before


def test_none_at_all_is_an_empty_batch(maker: Session) -> None:
    for empty in (b"", [], np.zeros(0, dtype(Place))):
        batch = maker.sign_many(empty)
        assert (len(batch), batch.allowed, list(batch), bytes(batch.text)) == (0, 0, [], b"")
        assert np.asarray(batch).shape == (0,)


def test_a_batch_has_a_limit(signer: Signer, maker: Session) -> None:
    place = rows(limit(signer), 1)
    with pytest.raises(UsageError, match=f"one call takes {SIGN_MANY_MAX}"):
        maker.sign_many(bytes(place) * (SIGN_MANY_MAX + 1))
    place[0] = 2  # Of no version: refused for its form.
    batch = maker.sign_many(bytes(place) * SIGN_MANY_MAX)
    assert (len(batch), batch.allowed) == (SIGN_MANY_MAX, 0)
    assert isinstance(batch[-1], PolicyDenied)
    with pytest.raises(IndexError):
        batch[SIGN_MANY_MAX]


@pytest.mark.parametrize("kind", ORDERS.values(), ids=lambda kind: kind.__name__)
def test_dtypes_are_the_structs(kind: type[Order]) -> None:
    found = dtype(kind)
    assert found.itemsize == kind.LAYOUT.size
    assert {name: found.fields[name][1] for name in found.names} == kind.LAYOUT.offsets


# ---- Batches that are filled again --------------------------------------------------------------


def test_a_batch_is_filled_again_when_no_view_is_left(signer: Signer, maker: Session) -> None:
    batch = maker.sign_many(array(limit(signer), 3))
    kept = signed(batch[0])
    number = kept.handle.record
    for view in (np.asarray(batch), batch.text, memoryview(batch)):
        with pytest.raises(UsageError, match="a view of it is left"):
            maker.sign_many(array(limit(signer), 1), into=batch)
        del view
    assert len(batch) == 3
    assert maker.sign_many(array(limit(signer), 1), into=batch) is batch
    assert len(batch) == 1
    assert kept.signature != signed(batch[0]).signature  # What was taken out of it stays.
    assert kept.handle.record == number


def test_a_batch_is_read_only(signer: Signer, maker: Session) -> None:
    batch = maker.sign_many(array(limit(signer), 1))
    table = np.asarray(batch)
    with pytest.raises(ValueError, match="read-only"):
        table["verdict"] = 0
    assert batch.text.readonly


# ---- Halts, threads, signals --------------------------------------------------------------------

WIDE = """\
version: 1
firm:
  name: firm
  agents:
    a: {allow: {actions: [message]}, rate: 100000/s}
    b: {allow: {actions: [message]}, rate: 100000/s}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
attempts: {limit: 100000/s}
"""


@pytest.fixture
def wide(tmp_path: Path) -> Made:
    return make_engine(tmp_path / "wide", policy=WIDE)


def test_an_engine_that_halts_refuses_the_rest(signer: Signer, maker: Session) -> None:
    past = signer.status().last_ns - 3600 * SECOND
    batch = maker.sign_many(array(limit(signer), 3), now_ns=past)
    assert [type(answer) for answer in batch] == [EngineHalted] * 3
    assert batch.allowed == 0
    with pytest.raises(EngineHalted):
        maker.sign(limit(signer))


def test_a_halt_by_another_thread_binds_in_the_midst_of_a_batch(wide: Made) -> None:
    with wide.open() as signer:
        signer.resume("opens the operators' key beforehand")
        batch = SignedBatch()
        session = signer.session("a")
        orders = bytes(rows(Message(text="x"), 8_000))
        thread = threading.Thread(target=lambda: session.sign_many(orders, into=batch))
        thread.start()
        while len(batch) < 50:
            time.sleep(0.001)
        halted_at = signer.halt("stop")
        thread.join()
        answers = list(batch)
    allowed = [one.handle.record for one in answers if isinstance(one, SignedOrder)]
    assert 50 <= len(allowed) == batch.allowed < 8_000
    assert max(allowed) < halted_at
    assert {denied(one).reason for one in answers[len(allowed) :]} == {"kill_switch"}


def test_threads_get_their_turns_beside_a_batch(wide: Made) -> None:
    with wide.open() as signer:
        a, b = signer.session("a"), signer.session("b")
        batch = SignedBatch()
        orders = bytes(rows(Message(text="x"), 10_000))
        thread = threading.Thread(target=lambda: a.sign_many(orders, into=batch))
        thread.start()
        beside: list[int] = []
        while thread.is_alive():
            beside.append(b.sign(Message(text="y")).handle.record)
        thread.join()
        numbers = [signed(one).handle.record for one in batch]
    assert len(numbers) == 10_000
    assert len([number for number in beside if numbers[0] < number < numbers[-1]]) > 10
    assert len({*numbers, *beside}) == len(numbers) + len(beside)
    assert verify_log(wide.directory).ok


def test_one_batch_is_filled_by_one_call_at_a_time(wide: Made) -> None:
    with wide.open() as signer:
        session, batch = signer.session("a"), SignedBatch()
        orders = bytes(rows(Message(text="x"), 10_000))
        thread = threading.Thread(target=lambda: session.sign_many(orders, into=batch))
        thread.start()
        while len(batch) < 10:
            time.sleep(0.0005)
        with pytest.raises(UsageError, match="another call fills it"):
            session.sign_many(orders, into=batch)
        thread.join()
    assert len(batch) == 10_000


def test_a_signal_ends_a_batch_and_what_was_decided_is_there(wide: Made) -> None:
    class Enough(Exception):
        pass

    def handler(number: int, frame: Any) -> None:
        raise Enough

    batch = SignedBatch()
    with wide.open() as signer:
        session = signer.session("a")
        orders = bytes(rows(Message(text="x"), 60_000))
        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Enough):
                session.sign_many(orders, into=batch)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert 0 < len(batch) < 60_000
        last = signed(batch[-1])
        assert session.sign(Message(text="after")).action_id == last.action_id + 1
    records = {row.number: row for row in read_log(wide.directory)}
    for one in (signed(batch[0]), last):
        assert records[one.handle.record].payload_digest == one.transaction_hash


def test_a_closed_engine_takes_no_batch(signer: Signer, maker: Session) -> None:
    orders = rows(limit(signer), 2)
    signer.close()
    with pytest.raises(UsageError, match="closed"):
        maker.sign_many(orders)
