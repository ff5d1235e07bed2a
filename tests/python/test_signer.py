"""The Signer: what comes back when policy allows, and what is said when it does not.

Oracles: `hmac` and `cryptography` over bytes that the test builds itself; numbers worked out by
hand from docs/2-policy.md.
"""

from __future__ import annotations

import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from engines import (
    API_KEY,
    HMAC_SECRET,
    LIMIT,
    MARKS,
    PASSPHRASE,
    POLICY,
    SECOND,
    Made,
    make_engine,
)

from sentinel import (
    EngineHalted,
    EngineLocked,
    Message,
    PolicyDenied,
    SentinelError,
    Session,
    Signer,
)
from sentinel._enums import Environment
from sentinel.audit import find_record
from sentinel.config import public_keys
from sentinel.errors import (
    AuditError,
    ConfigError,
    KeyFileError,
    OrderInvalid,
    PolicyInvalid,
    StorageError,
    UsageError,
)
from sentinel.sign import ReceiptHandle

# The engine's key may move funds too.
WALLET = POLICY.replace("endpoint: checked", "products: [spot, wallet], endpoint: granted")


def limit(**changes: Any) -> dict[str, Any]:
    return {**LIMIT, **changes}


def denied(session: Session, order: Any, **terms: Any) -> PolicyDenied:
    with pytest.raises(PolicyDenied) as caught:
        session.sign(order, **terms)
    return caught.value


# ---- What is signed -----------------------------------------------------------------------------


def test_a_message_is_signed_over_its_documented_bytes(engine: Made, signer: Signer) -> None:
    signed = signer.session("notes").sign(Message(text="grüße"))
    text = "grüße".encode()
    expected = b"sentinel-message-v1\0" + len(text).to_bytes(4, "little") + text
    key = next(k.info for k in public_keys(engine.directory) if k.name == "message")
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signed.signature, expected)
    assert signed.signed_bytes == expected
    assert signed.request is None


def test_an_order_is_a_ready_request_with_a_right_signature(signer: Signer) -> None:
    signed = signer.session("maker").sign(LIMIT)
    request = signed.request
    assert request is not None
    url = urlsplit(request.url)
    query, _, signature = url.query.rpartition("&signature=")
    assert (request.method, url.scheme, url.path) == ("POST", "https", "/api/v3/order")
    assert request.headers["X-MBX-APIKEY"] == API_KEY
    assert signature == hmac.new(HMAC_SECRET, query.encode(), "sha256").hexdigest()
    assert signed.signature.hex() == signature
    fields = dict(parse_qsl(query))
    assert fields["symbol"] == "BTCUSDT"
    assert fields["quantity"] == "0.01"
    assert fields["price"] == "65000.10"
    assert int(fields["recvWindow"]) > 0


def test_the_client_order_id_names_engine_epoch_and_record(engine: Made, signer: Signer) -> None:
    signed = signer.session("maker").sign(LIMIT)
    assert signed.request is not None
    handle = signed.handle
    expected = (
        engine.created.engine_id[:4].hex()
        + handle.epoch.to_bytes(4, "big").hex()
        + handle.record.to_bytes(8, "big").hex()
    )
    assert dict(parse_qsl(urlsplit(signed.request.url).query))["newClientOrderId"] == expected


def test_the_record_holds_the_digest_of_the_signed_bytes(engine: Made, signer: Signer) -> None:
    signed = signer.session("maker").sign(LIMIT)
    record = find_record(engine.directory, signed.handle.record)
    assert record.payload_digest == signed.transaction_hash
    assert record.now_ns == signed.now_ns


def test_stated_reasons_are_kept_beside_the_log(engine: Made, signer: Signer) -> None:
    signed = signer.session("maker").sign(LIMIT, reasons="the spread is wide")
    record = find_record(engine.directory, signed.handle.record)
    digest = record.subject[40:72]
    assert (engine.directory / "texts" / digest.hex()).read_text() == "the spread is wide"


# ---- Action ids ---------------------------------------------------------------------------------


def test_action_ids_grow_and_survive_a_new_process(engine: Made) -> None:
    with engine.open() as first:
        ids = [first.session("notes").sign(Message(text="a")).action_id for _ in range(3)]
    with engine.open() as second:
        ids.append(second.session("notes").sign(Message(text="a")).action_id)
    assert ids == [1, 2, 3, 4]


def test_two_sessions_of_one_agent_share_its_ids(signer: Signer) -> None:
    a, b = signer.session("notes"), signer.session("firm/notes")
    assert [s.sign(Message(text="x")).action_id for s in (a, b, a)] == [1, 2, 3]


def test_an_id_is_signed_once_and_the_second_use_names_the_first_record(signer: Signer) -> None:
    session = signer.session("notes")
    first = session.sign(Message(text="a"), action_id=10)
    again = denied(session, Message(text="a"), action_id=10)
    assert (again.reason, again.record) == ("duplicate", first.handle.record)
    assert session.sign(Message(text="a")).action_id == 11


@pytest.mark.parametrize(("below", "reason"), [(63, None), (64, "id_too_old")])
def test_ids_are_taken_within_a_window_of_64(signer: Signer, below: int, reason: str) -> None:
    session = signer.session("notes")
    session.sign(Message(text="a"), action_id=100)
    if reason is None:
        assert session.sign(Message(text="a"), action_id=100 - below).action_id == 37
    else:
        assert denied(session, Message(text="a"), action_id=100 - below).reason == reason


# ---- What a refusal says ------------------------------------------------------------------------


def test_every_failed_constraint_is_said_not_only_the_first(signer: Signer) -> None:
    error = denied(signer.session("maker"), limit(quantity="0.6", price="70000.00"))
    types = [(c.type, c.node) for c in error.failed]
    assert types == [
        ("value_cap", "firm"),
        ("quantity_cap", "firm/desk"),
        ("price_collar", "firm/desk"),
    ]
    assert error.reason == "value_cap"
    assert error.reasons == ("value_cap", "quantity_cap", "price_collar")
    assert all(c.suggestion for c in error.failed)


def test_a_value_cap_says_value_bound_and_what_would_pass(signer: Signer) -> None:
    # 0.2 BTC at 65,000.10: 13,000.02 USD against 10,000 USD.
    error = denied(signer.session("maker"), limit(quantity="0.2"))
    (failed,) = error.failed
    assert (failed.value, failed.bound) == (13_000_020_000, 10_000_000_000)
    assert failed.max_allowed == "10k USD"
    assert failed.retry_after is None
    assert error.record is not None


def test_a_value_at_the_cap_passes_and_one_micro_dollar_more_does_not(signer: Signer) -> None:
    session = signer.session("maker")
    assert session.sign(limit(quantity="0.16", price="62500.00")).handle.record
    # 0.16 × 62,500.01 = 10,000.0016 USD.
    assert denied(session, limit(quantity="0.16", price="62500.01")).reason == "value_cap"


def test_a_sum_says_what_is_left_and_when_it_lifts(signer: Signer) -> None:
    taker = signer.session("taker")
    for _ in range(2):
        taker.sign(limit(quantity="0.15", price="62000.00"))
    error = denied(taker, limit(quantity="0.15", price="62000.00"))
    (failed,) = error.failed
    assert (failed.type, failed.node) == ("rolling_cap", "firm/desk/taker")
    assert failed.max_allowed == "1.4k USD"  # 20,000 - 2 × 9,300
    assert failed.retry_after is not None
    hour = 3600
    assert hour - 5 < failed.retry_after.total_seconds() < hour * 65 / 64 + 5
    assert error.retry_after == failed.retry_after


def test_a_rate_says_when_the_next_one_passes(engine: Made) -> None:
    start = engine.now_ns + SECOND
    with engine.open(start) as signer:
        session = signer.session("notes")
        for step in range(5):
            session.sign(Message(text="x"), now_ns=start + step * SECOND)
        error = denied(session, Message(text="x"), now_ns=start + 10 * SECOND)
        (failed,) = error.failed
        assert (failed.type, failed.value, failed.bound) == ("rate_limit", 6, 5)
        assert failed.retry_after_ns == 50 * SECOND
        wait = start + 10 * SECOND + failed.retry_after_ns
        assert denied(session, Message(text="x"), now_ns=wait - 1).reason == "rate_limit"
        assert session.sign(Message(text="x"), now_ns=wait).handle.record
        signer.close(wait)


def test_what_no_list_names_is_refused(signer: Signer) -> None:
    signer.load_policy(WALLET)
    error = denied(signer.session("notes"), LIMIT)
    assert "action_not_allowed" in error.reasons
    withdraw = {
        "action": "withdraw",
        "asset": "USDT",
        "network": "ETH",
        "amount": "10",
        "address": "0x0000000000000000000000000000000000000001",
    }
    assert denied(signer.session("treasurer"), withdraw).reason == "destination_not_allowed"
    assert denied(signer.session("maker"), withdraw).reason == "no_grant"


def test_a_withdrawal_to_a_listed_place_is_signed_in_any_case_of_letters(tmp_path: Path) -> None:
    order = {
        "action": "withdraw",
        "asset": "USDT",
        "network": "ETH",
        "amount": "10",
        "address": "0x99CED129603abc771c0dabe935c326ff6c86645d",
    }
    made = make_engine(tmp_path / "lab", policy=WALLET, environment=Environment.LAB)
    with made.open() as signer:
        signed = signer.session("treasurer").sign(order)
    assert signed.request is not None
    assert urlsplit(signed.request.url).path == "/sapi/v1/capital/withdraw/apply"


def test_an_absent_mark_and_a_stale_one_are_said(engine: Made) -> None:
    start = engine.now_ns + SECOND
    with engine.open(start) as signer:
        session = signer.session("maker")
        error = denied(session, LIMIT, now_ns=start)
        assert error.reason == "mark_absent"
        assert any("zcp mark set" in c.suggestion for c in error.failed)
        signer.feed_marks(MARKS, now_ns=start)
        hour = 3600 * SECOND
        assert session.sign(LIMIT, now_ns=start + hour).handle.record
        assert denied(session, LIMIT, now_ns=start + hour + 1).reason == "mark_stale"
        signer.close(start + hour + 1)


def test_an_overflowing_value_is_refused(signer: Signer) -> None:
    order = limit(quantity="90000000000000.00000", price="90000000000000000.00")
    error = denied(signer.session("maker"), order)
    assert error.reason == "value_overflow"
    cap = next(c for c in error.failed if c.type == "value_cap")
    assert cap.value_text == "too large to count"
    assert cap.max_allowed == "10k USD"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"instrument": "BTCUSD"}, "did you mean"),
        ({"side": "long"}, "none of buy, sell"),
        ({"quantity": "1e3"}, "no decimal"),
        ({"tag": "a&b"}, "letters, digits"),
        ({"tag": "it's"}, "letters, digits"),
        ({"colour": "red"}, "has no field 'colour'"),
    ],
)
def test_an_order_that_cannot_be_built_is_an_error_before_the_gate(
    engine: Made, signer: Signer, change: dict[str, str], says: str
) -> None:
    before = signer.status().records
    with pytest.raises((OrderInvalid, UsageError), match=says):
        signer.session("maker").sign(limit(**change))
    assert signer.status().records == before


def test_a_float_is_refused(signer: Signer) -> None:
    with pytest.raises(OrderInvalid, match="write decimals as strings"):
        signer.session("maker").sign(limit(quantity=0.1))


def test_an_unknown_agent_is_an_error_that_names_the_known(signer: Signer) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        signer.session("makr")
    with pytest.raises(UsageError, match="is no agent"):
        signer.session("desk")


# ---- Operating ----------------------------------------------------------------------------------


def test_a_halt_of_a_group_stops_it_and_nobody_else(signer: Signer) -> None:
    signer.halt("fat finger", scope="firm/desk", severity=2)
    error = denied(signer.session("maker"), LIMIT)
    assert (error.reason, error.failed[0].node) == ("kill_switch", "firm/desk")
    assert signer.session("notes").sign(Message(text="still here")).handle.record
    (halted,) = signer.status().halted
    assert (halted.path, halted.severity, halted.reason) == ("firm/desk", 2, "fat finger")
    signer.resume("corrected", scope="firm/desk")
    assert signer.status().halted == ()
    assert signer.session("maker").sign(LIMIT).handle.record


def test_a_drain_of_a_venue_signs_cancels_and_no_new_orders(signer: Signer) -> None:
    taker = signer.session("firm/desk/taker")
    placed = taker.sign(LIMIT)
    signer.drain("delisting", venue="binance_spot")
    cancel = {"action": "cancel", "target_action": placed.action_id}
    assert taker.sign(cancel).client_order_id == placed.client_order_id
    error = denied(taker, LIMIT)
    assert error.reason == "draining"
    assert "until operators resume" in error.failed[0].suggestion
    (stop,) = signer.status().stops
    assert (stop.scope, stop.path, stop.mode) == ("venue", "binance_spot", "draining")
    signer.halt("worse", venue="binance_spot")
    assert denied(taker, cancel).reason == "venue_halted"
    signer.resume("over", venue="binance_spot")
    taker.sign(LIMIT)


def test_a_halt_survives_a_restart(engine: Made) -> None:
    with engine.open() as signer:
        signer.halt("stop")
    with engine.open() as signer:
        assert denied(signer.session("notes"), Message(text="x")).reason == "kill_switch"


def test_a_policy_version_must_be_above_the_loaded_one(signer: Signer) -> None:
    assert signer.policy.version == 2
    for version in (1, 2):
        with pytest.raises(PolicyInvalid, match="sequence number is not above"):
            signer.load_policy(POLICY, version=version)
    assert signer.policy.version == 2
    assert signer.load_policy(POLICY, version=7) == 7
    assert signer.load_policy(POLICY) == 8


def test_a_new_policy_binds_open_sessions(signer: Signer) -> None:
    session = signer.session("maker")
    session.sign(LIMIT)
    signer.load_policy(POLICY.replace("max_value: 10k USD", "max_value: 100 USD"))
    error = denied(session, LIMIT)
    assert (error.reason, error.max_allowed) == ("value_cap", "100 USD")


def test_a_policy_that_leaves_out_a_halted_node_is_refused(signer: Signer) -> None:
    signer.halt("stop", scope="treasurer")
    without = POLICY.replace("    treasurer: {destinations: [cold]}\n", "")
    with pytest.raises(PolicyInvalid):
        signer.load_policy(without)
    assert any(node.name == "treasurer" for node in signer.policy.nodes)


def test_a_policy_with_a_mistake_names_file_line_and_column(signer: Signer) -> None:
    wrong = POLICY.replace("100/s", "100/parsec")
    line = next(i for i, text in enumerate(wrong.splitlines(), 1) if "parsec" in text)
    with pytest.raises(ConfigError, match="parsec") as caught:
        signer.load_policy(wrong, file="desk.yaml")
    assert (caught.value.file, caught.value.line) == ("desk.yaml", line)
    assert caught.value.column > 1


def test_more_than_64_marks_are_fed_in_several_frames(signer: Signer) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        signer.feed_marks({"BTCUSD": "1"})
    before = signer.status().records
    signer.feed_marks(MARKS, assets={"BTC": "65000"})
    assert signer.status().records == before + 1


def test_one_writer_only(engine: Made, signer: Signer) -> None:
    with pytest.raises(EngineLocked, match="another process"):
        engine.open()


def test_a_wrong_passphrase_opens_nothing_and_changes_nothing(engine: Made) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in (engine.directory / "log").iterdir())
    with pytest.raises(KeyFileError, match="passphrase"):
        Signer.open(engine.directory, passphrase="wrong")
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (engine.directory / "log").iterdir())


def test_no_engine_and_no_passphrase_are_clear_errors(tmp_path: Path, engine: Made) -> None:
    with pytest.raises(StorageError, match="no engine here"):
        Signer.open(tmp_path / "nothing", passphrase="x")
    with pytest.raises(KeyFileError, match="no passphrase was given"):
        Signer.open(engine.directory)
    with pytest.raises(UsageError, match="durability"):
        Signer.open(engine.directory, passphrase=PASSPHRASE, durability="eventually")


def test_a_closed_signer_says_so(engine: Made) -> None:
    with engine.open() as signer:
        session = signer.session("notes")
    signer.close()
    with pytest.raises(UsageError, match="closed"):
        session.sign(Message(text="x"))


def test_a_session_of_another_engine_is_refused(tmp_path: Path, signer: Signer) -> None:
    with make_engine(tmp_path / "other").open() as other:
        foreign = other.session("notes")._seat.session
        order = Message(text="x").pack(agent=foreign.agent, action_id=1)
        with pytest.raises(UsageError, match="another engine"):
            signer._engine.sign(foreign, order, time.time_ns())


def test_a_clock_that_jumps_back_halts_the_engine(engine: Made) -> None:
    start = engine.now_ns + 10 * SECOND
    with engine.open(start) as signer:
        session = signer.session("notes")
        session.sign(Message(text="x"), now_ns=start)
        with pytest.raises(EngineHalted, match="clock stepped by more"):
            session.sign(Message(text="x"), now_ns=start - 8 * SECOND)
        with pytest.raises(EngineHalted, match="clock stepped by more"):
            session.sign(Message(text="x"), now_ns=start + SECOND)
        assert "clock" in signer.status().engine_halted
        signer.resume("clock set right", now_ns=start + 2 * SECOND)
        assert session.sign(Message(text="x"), now_ns=start + 2 * SECOND).handle.record
        signer.close(start + 2 * SECOND)


def test_durability_none_keeps_nothing(engine: Made) -> None:
    with engine.open() as signer:
        before = signer.status().records
    with engine.open(durability="none") as signer:
        assert signer.session("notes").sign(Message(text="x")).signature
    with engine.open() as signer:
        assert signer.status().records <= before + 2


# ---- Receipts -----------------------------------------------------------------------------------


def test_a_receipt_handle_of_another_engine_is_refused(signer: Signer) -> None:
    with pytest.raises(UsageError, match="another engine"):
        signer.receipt(ReceiptHandle(bytes(32), 1, 4))
    with pytest.raises(AuditError, match="no record"):
        signer.receipt(10**6)
    with pytest.raises(UsageError, match="receipts are of orders"):
        signer.receipt(0)


def test_a_denial_has_a_receipt_too(engine: Made, signer: Signer) -> None:
    error = denied(signer.session("maker"), limit(quantity="0.2"))
    assert error.record is not None
    receipt = signer.receipt(error.record)
    assert receipt["verdict"] == "denied"
    assert receipt["transaction_hash"] is None
    row = next(r for r in receipt["constraints_evaluated"] if r["type"] == "value_cap")
    assert row == {
        "type": "value_cap",
        "result": "FAIL",
        "value": 13_000_020_000,
        "bound": 10_000_000_000,
    }
    assert json.loads(json.dumps(receipt)) == receipt


def test_every_error_is_a_sentinel_error_with_diagnostics(signer: Signer) -> None:
    error = denied(signer.session("maker"), limit(quantity="0.2"))
    assert isinstance(error, SentinelError)
    text = error.diagnostics()
    for part in ("value_cap", "13000.02 USD", "10k USD", "make the order smaller"):
        assert part in text
