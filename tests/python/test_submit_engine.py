"""Submitting what an engine signed: the session's own queries, and `zcp sign --submit`.

Goal: the whole way from an order to a report, with real signatures, policy and records. Method: an
engine on disk and a scripted venue on the loopback; the command in this process.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from engines import LIMIT, MARKS, PASSPHRASE, Made, make_engine
from scripted import Received, Reply, Scripted

from sentinel._cli import main
from sentinel.audit import RecordType, read_log
from sentinel.errors import OutcomeUnknown, UsageError
from sentinel.order import Cancel
from sentinel.submit import ExecutionStatus, Submitter

ACK = {"symbol": "BTCUSDT", "orderId": 28, "transactTime": 1507725176595}


@pytest.fixture
def desk(tmp_path: Path) -> Made:
    made = make_engine(tmp_path / "engine")
    with made.open() as signer:
        signer.feed_marks(MARKS, assets={"BTC": "65000"})
    return made


def query_of(request: Received) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


def found(status: str, name: str) -> Reply:
    return Reply(
        ACK
        | {
            "clientOrderId": name,
            "status": status,
            "origQty": "0.01",
            "executedQty": "0",
            "price": "65000.10",
        }
    )


def test_a_lost_answer_is_asked_for_with_a_signed_query(desk: Made) -> None:
    def script(request: Received, number: int) -> Reply:
        if number == 0:
            return Reply(drop=True)
        return found("NEW", query_of(request)["origClientOrderId"])

    with (
        Scripted(script) as venue,
        desk.open() as signer,
        Submitter(endpoints={"binance_spot": venue.url}, timeout_s=2) as sender,
    ):
        session = signer.session("maker")
        signed = session.sign(LIMIT)
        report = sender.submit(signed, session=session)
    order, query = venue.requests
    assert (order.method, query.method) == ("POST", "GET")
    assert query_of(query)["origClientOrderId"] == query_of(order)["newClientOrderId"]
    assert query_of(query)["signature"] != query_of(order)["signature"]
    assert (report.status, report.asked) == (ExecutionStatus.ACCEPTED, 1)
    assert report.client_order_id == signed.client_order_id == query_of(order)["newClientOrderId"]


def test_a_lost_cancel_is_asked_for_by_the_order_that_it_means(desk: Made) -> None:
    def script(request: Received, number: int) -> Reply:
        name = query_of(request).get("newClientOrderId", "")
        if number == 0:
            return Reply(ACK | {"clientOrderId": name})
        if number == 1:
            return Reply(drop=True)
        return found("CANCELED", query_of(request)["origClientOrderId"])

    with (
        Scripted(script) as venue,
        desk.open() as signer,
        Submitter(endpoints={"binance_spot": venue.url}, timeout_s=2) as sender,
    ):
        session = signer.session("maker")
        placed = session.sign(LIMIT)
        sender.submit(placed, session=session)
        cancel = session.sign(Cancel(target_action=placed.action_id))
        report = sender.submit(cancel, session=session)
    assert [r.method for r in venue.requests] == ["POST", "DELETE", "GET"]
    assert (report.action, report.status) == ("cancel", ExecutionStatus.CANCELLED)


def test_what_became_of_an_order_is_asked_and_nothing_is_sent(desk: Made) -> None:
    def script(request: Received, number: int) -> Reply:
        return found("CANCELED", query_of(request)["origClientOrderId"])

    with (
        Scripted(script) as venue,
        desk.open() as signer,
        Submitter(endpoints={"binance_spot": venue.url}, timeout_s=2) as sender,
    ):
        session = signer.session("maker")
        placed = session.sign(LIMIT)
        report = sender.ask(placed, session=session)
        with pytest.raises(UsageError, match="asked by the name"):
            sender.ask(placed, session=session, venue_order_id="28")
    assert [r.method for r in venue.requests] == ["GET"]
    assert (report.action, report.status) == ("place", ExecutionStatus.CANCELLED)
    assert (report.filled_quantity, report.asked) == ("0", 1)


# ---- The command ----------------------------------------------------------------


@pytest.fixture
def order(tmp_path: Path) -> Path:
    path = tmp_path / "order.json"
    path.write_text(json.dumps(LIMIT))
    return path


def zcp(desk: Made, tmp_path: Path, *words: str | Path) -> int:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    where = ["--dir", str(desk.directory), "--passphrase-file", str(secret)]
    return main([*map(str, words), *where])


def test_the_command_shows_receipt_and_report(
    desk: Made, order: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(request: Received, number: int) -> Reply:
        return Reply(ACK | {"clientOrderId": query_of(request)["newClientOrderId"]})

    with Scripted(script) as venue:
        words = ("sign", order, "--agent", "maker", "--submit", "--endpoint", venue.url)
        assert zcp(desk, tmp_path, *words) == 0
        text = capsys.readouterr().out
        assert zcp(desk, tmp_path, *words, "--json") == 0
        data = json.loads(capsys.readouterr().out)
        assert len(venue.requests) == 2
    for word in ("receipt", "accepted by binance_spot", "28"):
        assert word in text
    # What the command sent itself it does not show: the API key, with OKX the passphrase too.
    sent = {name.lower(): value for name, value in venue.requests[0].headers.items()}
    assert sent["x-mbx-apikey"] not in text
    assert data["request"]["headers"] == {"X-MBX-APIKEY": "(not shown)"}
    assert data["verdict"] == "allowed"
    assert data["execution"]["status"] == "accepted"
    assert data["execution"]["venue_order_id"] == "28"
    assert len(data["execution"]["digest"]) == 64
    assert data["receipt"]["record_number"] == data["record"]


def test_a_refusal_exits_with_11_and_still_shows_the_receipt(
    desk: Made, order: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no = Reply(
        {"code": -2010, "msg": "Account has insufficient balance for requested action."}, 400
    )
    kept = tmp_path / "receipt.json"
    with Scripted([no]) as venue:
        words = ("sign", order, "--agent", "maker", "--submit", "--endpoint", venue.url)
        assert zcp(desk, tmp_path, *words, "--receipt", kept) == 11
        shown = capsys.readouterr()
        assert zcp(desk, tmp_path, *words, "--json") == 11
        data = json.loads(capsys.readouterr().out)
    assert "receipt" in shown.out
    assert "insufficient balance" in shown.err
    assert "next step:" in shown.err
    assert json.loads(kept.read_text())["record_number"]
    assert data["execution"] is None
    error = data["error"]
    assert (error["kind"], error["code"], error["exit_status"]) == (
        "InsufficientFunds",
        "-2010",
        11,
    )
    assert data["receipt"]["record_number"] == data["record"]


def test_an_unknown_outcome_exits_with_12(
    desk: Made, order: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Scripted([Reply(drop=True)]) as venue:
        words = ("sign", order, "--agent", "maker", "--submit", "--endpoint", venue.url)
        assert zcp(desk, tmp_path, *words, "--deadline", "500ms", "--json") == 12
        data = json.loads(capsys.readouterr().out)
        sent = [r for r in venue.requests if r.method == "POST"]
    assert len(sent) == 1
    error = data["error"]
    assert error["kind"] == OutcomeUnknown.__name__
    assert error["client_order_id"] == query_of(sent[0])["newClientOrderId"]
    assert (error["record"], error["action_id"]) == (data["record"], data["action_id"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--endpoint", "http:" + "//example.com"), "http is for the loopback alone"),
        (("--timeout", "soon"), "--timeout"),
        (("--timeout", "0s"), "--timeout"),
        (("--deadline", "48h"), "deadline_s"),
        (("--deadline", "5"), "--deadline"),
    ],
)
def test_a_wrong_option_signs_nothing(
    desk: Made,
    order: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    says: str,
) -> None:
    def decided() -> int:
        return sum(r.type is RecordType.ORDER for r in read_log(desk.directory))

    before = decided()
    assert zcp(desk, tmp_path, "sign", order, "--agent", "maker", "--submit", *words) == 2
    err = capsys.readouterr().err
    assert says in err
    assert "next step:" in err
    assert decided() == before


def test_options_of_submitting_need_it(
    desk: Made, order: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("--endpoint", "https:" + "//127.0.0.1"), ("--timeout", "1s")):
        assert zcp(desk, tmp_path, "sign", order, "--agent", "maker", *words) == 2
        assert "add --submit" in capsys.readouterr().err


def test_an_interrupt_leaves_the_outcome_unknown_and_says_so(
    desk: Made,
    order: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Submitter, "submit", interrupted)
    assert zcp(desk, tmp_path, "sign", order, "--agent", "maker", "--submit") == 12
    shown = capsys.readouterr()
    assert "may have place" in shown.err
    assert "receipt" in shown.out


def test_a_message_is_not_submitted(
    desk: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("sign", "--message", "hello", "--agent", "notes", "--submit")
    assert zcp(desk, tmp_path, *words) == 2
    assert "no venue" in capsys.readouterr().err
