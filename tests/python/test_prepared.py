"""Prepared orders; what a signed order keeps, and what signing leaves behind: nothing.

Goal: an order that is stamped anew is the order that was meant, whatever goes wrong in between;
what comes back is complete whenever it is looked at; no call leaves memory. Method: each stamped
order is compared with one built afresh; blocks and references are counted over many calls.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import decimal
import gc
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import LIMIT, POLICY, Made, limit, make_engine

from sentinel import Cancel, Message, Place, PolicyDenied, SentinelError, Session, Signer
from sentinel._enums import Side
from sentinel.audit import find_record
from sentinel.errors import OrderInvalid, UsageError
from sentinel.order import dtype, rows

ROUNDS = 400


@pytest.fixture
def engine(tmp_path: Path) -> Made:
    roomy = POLICY.replace("50k USD", "50M USD").replace("100/s", "10000/s")
    return make_engine(tmp_path / "engine", policy=roomy)


# ---- Stamping -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "text"),
    [
        ("65000.20", "65000.20"),
        (decimal.Decimal("65000.30"), "65000.30"),
        ((6500040, 2), "65000.40"),
        ((65001, 0), "65001"),
    ],
)
def test_new_terms_are_signed_and_stay(
    engine: Made, signer: Signer, maker: Session, price: Any, text: str
) -> None:
    prepared = maker.prepare(LIMIT)
    first = prepared.sign()
    second = prepared.sign(price=price, side="sell", quantity="0.02")
    third = prepared.sign()
    meant = limit(signer, price=text, side="sell", quantity="0.02")
    assert (first.order, second.order, third.order) == (limit(signer), meant, meant)
    assert [one.action_id for one in (first, second, third)] == [1, 2, 3]
    assert prepared.order == meant
    record = find_record(engine.directory, second.handle.record)
    assert record.subject == meant.pack(agent=maker.agent, action_id=2)


def test_a_prepared_cancel_means_another_action(signer: Signer, maker: Session) -> None:
    places = [maker.sign(LIMIT).action_id for _ in range(2)]
    prepared = maker.prepare(Cancel(target_action=places[0]))
    assert prepared.sign().order == Cancel(target_action=places[0])
    assert prepared.sign(target_action=places[1]).order == Cancel(target_action=places[1])


@pytest.mark.parametrize(
    ("terms", "error", "says"),
    [
        ({"price": 1.5}, TypeError, "float"),
        ({"price": "1e3"}, OrderInvalid, "no decimal"),
        ({"price": "-1"}, OrderInvalid, "no decimal"),
        ({"price": ""}, OrderInvalid, "no decimal"),
        ({"price": (2**63, 2)}, OrderInvalid, "does not fit"),
        ({"price": (1, 256)}, OrderInvalid, "does not fit"),
        ({"price": (1, 2, 3)}, ValueError, "unpack"),
        ({"price": "1.0000000000000000001"}, OrderInvalid, "too many digits"),
        ({"amount": "1"}, UsageError, "no amount"),
        ({"target_action": 3}, UsageError, "means no earlier action"),
        ({"side": "long"}, OrderInvalid, "none of buy, sell"),
        ({"action_id": -1}, OrderInvalid, "action_id"),
        ({"action_id": 2**64}, OrderInvalid, "action_id"),
    ],
)
def test_terms_that_cannot_be_stamped_change_nothing(
    signer: Signer, maker: Session, terms: dict[str, Any], error: type[Exception], says: str
) -> None:
    before = signer.status().records
    prepared = maker.prepare(LIMIT)
    with pytest.raises(error, match=says):
        prepared.sign(quantity="0.03", **terms)
    if "action_id" not in terms:
        assert prepared.order == limit(signer)
    assert signer.status().records == before
    assert prepared.sign(quantity="0.01").action_id == 1


def test_a_refused_order_says_why_and_can_be_stamped_again(maker: Session) -> None:
    prepared = maker.prepare(LIMIT)
    with pytest.raises(PolicyDenied) as caught:
        prepared.sign(price="70000.00", quantity="0.6")
    assert [row.type for row in caught.value.failed] == [
        "value_cap",
        "quantity_cap",
        "price_collar",
    ]
    prepared.stamp(price="65000.00", quantity="0.01")
    assert prepared.sign().action_id == 2


def test_the_struct_itself_can_be_written(signer: Signer, maker: Session) -> None:
    prepared = maker.prepare(LIMIT)
    struct = np.frombuffer(prepared, dtype=dtype(Place))[0]
    struct["price"]["mantissa"] = 6500050
    struct["agent"] = 0
    struct["action_id"] = 77  # Filled in at each signature, as the agent is.
    signed = prepared.sign()
    assert (signed.order, signed.action_id) == (limit(signer, price="65000.50"), 1)
    struct["version"] = 9
    with pytest.raises(PolicyDenied, match="order_version"):
        prepared.sign()
    with pytest.raises(OrderInvalid):
        assert prepared.order


def test_threads_that_share_an_order_sign_their_own_terms(maker: Session) -> None:
    prepared = maker.prepare(LIMIT)
    wrong: list[Any] = []

    def work(price: str) -> None:
        for _ in range(20):
            order = prepared.sign(price=price).order
            if not isinstance(order, Place) or order.price != price:
                wrong.append(order)

    prices = [f"65000.{cents}0" for cents in range(1, 5)]
    threads = [threading.Thread(target=work, args=(price,)) for price in prices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_rows_of_an_order_are_its_struct_without_ids(signer: Signer) -> None:
    order = limit(signer)
    assert rows(order, 3) == order.pack(agent=0, action_id=0) * 3
    table = np.frombuffer(rows(order, 3), dtype=dtype(Place))
    assert table["price"]["mantissa"][2] == 6500010
    assert table["price"]["scale"][2] == 2
    assert set(table["side"]) == {Side.BUY}


# ---- What comes back ----------------------------------------------------------------------------


def test_a_signed_order_is_the_same_whenever_it_is_looked_at(maker: Session) -> None:
    signed = maker.sign(LIMIT)
    same = copy.copy(signed)
    assert pickle.loads(pickle.dumps(signed)) == signed == same
    assert signed.signature is signed.signature
    with pytest.raises(AttributeError, match="no 'colour'"):
        assert signed.colour  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        signed.signature = b"x"  # type: ignore[misc]
    assert signed.signature.hex() not in repr(signed)


def test_a_signed_order_outlives_its_engine_and_keeps_it_from_nobody(engine: Made) -> None:
    with engine.open() as signer:
        signed = signer.session("notes").sign(Message(text="x"))
        signer_id = signer.installed.engine_id
    assert signed.handle.engine_id == signer_id
    dropped = engine.open()
    kept = dropped.session("notes").sign(Message(text="y"))
    del dropped
    gc.collect()
    with engine.open() as again:  # EngineLocked, if `kept` held the other one.
        assert again.session("notes").sign(Message(text="z")).handle.record > kept.handle.record


def test_an_order_keeps_nothing_that_others_see(signer: Signer, maker: Session) -> None:
    order = limit(signer)
    maker.sign(order)
    assert order == limit(signer)
    assert hash(order) == hash(limit(signer))
    assert repr(order) == repr(limit(signer))
    assert pickle.loads(pickle.dumps(order)) == copy.deepcopy(order) == order
    assert maker.sign(copy.copy(order)).action_id == 2


def test_sentinel_needs_no_numpy(engine: Made) -> None:
    code = "import sys; sys.modules['numpy'] = None; import sentinel, sentinel.order, sentinel.sign"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- What is left behind ------------------------------------------------------------------------


MALLINFO = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class Mallinfo(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLINFO)


def in_use() -> tuple[int, int]:
    """Blocks of Python's, and bytes of malloc's, which holds what the core released."""
    gc.collect()
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo
    found = mallinfo2()
    return sys.getallocatedblocks(), found.uordblks + found.hblkhd


def grown(call: Any) -> tuple[int, int]:
    """What is in use after many calls that was not after a few."""
    for _ in range(ROUNDS // 4):
        call()
    blocks, size = in_use()
    for _ in range(ROUNDS):
        call()
    more_blocks, more_size = in_use()
    return more_blocks - blocks, more_size - size


def test_no_call_leaves_memory_behind(signer: Signer) -> None:
    notes, maker = signer.session("notes"), signer.session("maker")
    order, message = limit(signer), Message(text="x")
    prepared, batch = maker.prepare(order), maker.sign_many([order])
    table = rows(order, 4)

    def quietly(call: Any) -> Any:
        def done() -> None:
            with contextlib.suppress(SentinelError):
                call()

        return done

    calls = {
        "sign": lambda: maker.sign(order),
        "denied": lambda: notes.sign(order),
        "message": lambda: notes.sign(message),
        "prepared": lambda: prepared.sign(price="65000.20"),
        "unstampable": lambda: prepared.sign(price="x"),
        "looked at": lambda: repr(maker.sign(order)),
        "many": lambda: maker.sign_many(table),
        "many, filled again": lambda: list(maker.sign_many(table, into=batch)),
        "no array": lambda: maker.sign_many(b"x"),
    }
    left = {name: grown(quietly(call)) for name, call in calls.items()}
    # One a call would be 400 blocks, or at 300 bytes or more each 120,000 bytes.
    assert all(blocks < 20 and size < 60_000 for blocks, size in left.values()), left


def test_references_are_given_back(signer: Signer, maker: Session) -> None:
    order = limit(signer)
    prepared = maker.prepare(order)
    held = [order, prepared, maker._seat, signer._origin, signer._desk]
    before = [sys.getrefcount(each) for each in held]
    for _ in range(40):
        maker.sign(order)
        prepared.sign()
        list(maker.sign_many([order]))
    assert [sys.getrefcount(each) for each in held] == before
