"""The worked examples of docs/2-policy.md, from the order to the record.

Goal: the value that the page works out by hand is the value that stands in the record and in the
receipt. Method: one engine, whose policy has each example's instrument at the venue that its title
names. Of each example an agent with a cap at the page's value signs, and one with a cap of one
micro-dollar less is refused; both records, both receipts and the words for people are read back.
All keys are test keys.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from engines import PASSPHRASE as KEY_FILE_PASSPHRASE
from engines import Made, make_engine
from value_examples import ASSETS, EXAMPLES, Example, micro_usd
from venue_fakes import ACCOUNT, AGENT, API_KEY, PASSPHRASE, SECRET, VENUES

from sentinel import Expectation, OrderPending, PolicyDenied, verify_receipt
from sentinel._approvals import requests_of
from sentinel._cli import main
from sentinel._enums import Algorithm, Purpose, Rule, Venue
from sentinel._people import Public
from sentinel._value import value_of
from sentinel.audit import Record, Verdict, find_record, restore
from sentinel.config import Installed, KeyFile, public_keys
from sentinel.errors import VerificationFailed
from sentinel.policy import stable_id
from sentinel.sign import Signer
from sentinel.story import trace_record
from sentinel.units import parse_money

NAMES = {
    "Binance": "binance_spot",
    "Binance USD-M": "binance_usdm",
    "Bybit": "bybit",
    "OKX": "okx",
    "Deribit": "deribit",
    "Hyperliquid": "hyperliquid",
}
# How a title names a venue and its symbol: "(OKX BTC-USDT-SWAP)", "(Deribit X, Bybit Y)".
MARKET = re.compile(rf"({'|'.join(sorted(NAMES, reverse=True))}) ([A-Z][A-Z0-9-]+)\b")
# Quanto contracts are tried wherever a policy can name one, and refused by all of these.
WITHOUT_QUANTO = ("bybit", "okx", "deribit")
PRODUCTS = {
    "binance_spot": "[spot]",
    "binance_usdm": "[linear]",
    "hyperliquid": "[linear]",
}  # of the others: everything that is traded
GRANTED = {"binance_spot": "checked", "binance_usdm": "checked", "bybit": "granted"}


@dataclass(frozen=True, slots=True)
class Case:
    """One example at one venue."""

    example: Example
    venue: str
    symbol: str

    @property
    def agent(self) -> str:
        """Whose cap is the page's value."""
        return f"agent-{CASES.index(self)}"

    @property
    def other(self) -> str:
        """Whose cap is one micro-dollar less."""
        return f"{self.agent}-less"

    @property
    def instrument(self) -> str:
        """Its name in the policy; examples of the same option share it."""
        return f"{self.venue}.{self.symbol}"

    @property
    def asker(self) -> str:
        """Who needs an approver, and has no rule that asks for the value."""
        return f"{self.agent}-asks"

    @property
    def value(self) -> int:
        return micro_usd(self.example)

    @property
    def is_quanto(self) -> bool:
        return self.example.instrument[""] == "quanto"


def cases() -> Iterator[Case]:
    for example in EXAMPLES:
        if example.instrument[""] == "quanto":
            yield from (Case(example, venue, "EXAMPLE") for venue in WITHOUT_QUANTO)
        for venue, symbol in MARKET.findall(example.title):
            yield Case(example, NAMES[venue], symbol)


CASES = list(cases())
EACH = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.example.title} {c.venue}")


def instrument_row(case: Case) -> str:
    given = case.example.instrument
    row = {"venue": case.venue, "contract": given[""], "symbol": case.symbol}
    row |= {name: given[name] for name in ("base", "quote", "settle", "unit", "strike")
            if name in given}  # fmt: skip
    if "contracts of" in given:
        row |= {"unit": "contracts", "multiplier": given["contracts of"]}
    if case.venue == "hyperliquid":
        row["index"] = "0"
    # Every price and quantity of the page is on this grid.
    row |= {"tick": "0.0001", "lot": "0.001"}
    return ", ".join(f"{name}: {text}" for name, text in row.items())


def key_row(venue: str) -> str:
    algorithm = "ecdsa_secp256k1" if venue == "hyperliquid" else "hmac_sha256"
    products = PRODUCTS.get(venue, "[spot, linear, inverse, quanto, option]")
    row = f"venue: {venue}, algorithm: {algorithm}, for: firm, products: {products}"
    return row + (f", endpoint: {GRANTED[venue]}" if venue in GRANTED else "")


def money(micro: int) -> str:
    return f"{micro // 10**6}.{micro % 10**6:06d} USD"


def policy() -> str:
    caps = {case.agent: case.value for case in CASES}
    caps |= {case.other: case.value - 1 for case in CASES}
    instruments = {case.instrument: instrument_row(case) for case in CASES}
    lines = ["version: 1", "firm:", "  name: firm", "  allow: {actions: [place]}", "  agents:"]
    lines += [f"    {name}: {{max_value: {money(cap)}}}" for name, cap in caps.items()]
    asks = "{approval: {approvers: 1, within: 1h}}"
    lines += [f"    {case.asker}: {asks}" for case in CASES]
    lines += ["assets:", *(f"  {asset}: {{}}" for asset in ASSETS)]
    lines += ["instruments:", *(f"  {name}: {{{row}}}" for name, row in instruments.items())]
    lines += ["keys:", *(f"  {venue}: {{{key_row(venue)}}}" for venue in VENUES)]
    lines += ["marks: {max_age: 1h, market_band: 1 %}"]
    return "\n".join(lines) + "\n"


def order_of(case: Case) -> dict[str, Any]:
    kind, side = case.example.order[""].split()
    order: dict[str, Any] = {
        "action": "place",
        "instrument": case.instrument,
        "side": side,
        "type": kind,
    }
    order |= {n.replace(" ", "_"): text for n, text in case.example.order.items() if n}
    if kind == "limit":
        order["time_in_force"] = "gtc"
    if case.venue == "okx":
        order["margin_mode"] = "cross"  # OKX wants to be told
    return order


def make_desk(directory: Path) -> Made:
    """An engine in `test` with a key for each venue and every example's instrument."""
    made = make_engine(directory, policy=None, now_ns=time.time_ns() - 60 * 10**9)
    keys = KeyFile(directory / "keys" / "engine", KEY_FILE_PASSPHRASE)
    names = {key.info.id: key.name for key in public_keys(directory)}
    for venue in VENUES:
        on_chain = venue == "hyperliquid"
        info = keys.ring.import_(
            stable_id("key", venue),
            Purpose.VENUE,
            Algorithm.ECDSA_SECP256K1 if on_chain else Algorithm.HMAC_SHA256,
            AGENT if on_chain else SECRET.encode(),
            venue=Venue[venue.upper()],
            api_key=ACCOUNT if on_chain else API_KEY,
        )
        if venue == "okx":
            keys.ring.set_passphrase(info.id, PASSPHRASE)
        names[info.id] = venue
    keys.save(names)
    return made


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of one order."""

    record: Record
    receipt: dict[str, Any]
    story: dict[str, Any]
    signature: bytes | None
    reason: str


class Desk:
    """The engine, closed again, and what it kept of each case and agent."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        made = make_desk(directory)
        self.expectation = Expectation.from_json((directory / "expectation.json").read_text())
        with made.open() as signer:
            signer.load_policy(policy())
            self.kept = {
                agent: self._run(signer, case, agent)
                for case in CASES
                for agent in (case.agent, case.other)
            }
            self.asked = {case.asker: self._ask(signer, case) for case in CASES}
        state = restore(directory).state()
        installed = Installed(directory)
        self.requests = {
            each.agent.removeprefix("firm/"): each
            for each in requests_of(installed, state, Public.of_engine(installed), time.time_ns())
        }

    def _feed(self, signer: Signer, case: Case) -> None:
        marks = case.example.marks
        signer.feed_marks(
            {case.instrument: marks["mark"]} if "mark" in marks else {},
            assets={name: text for name, text in marks.items() if name != "mark"},
        )

    def _ask(self, signer: Signer, case: Case) -> int:
        """Asks for approval; the record."""
        self._feed(signer, case)
        with pytest.raises((OrderPending, PolicyDenied)) as raised:
            signer.session(case.asker).sign(order_of(case))
        assert raised.value.record is not None
        return raised.value.record

    def _run(self, signer: Signer, case: Case, agent: str) -> Kept:
        self._feed(signer, case)
        signature, reason = None, ""
        try:
            signed = signer.session(agent).sign(order_of(case))
        except PolicyDenied as denied:
            number, reason = denied.record, denied.reason
        else:
            number, signature = signed.handle.record, signed.signature
            assert signed.venue is Venue[case.venue.upper()]
        assert number is not None
        return Kept(
            find_record(self.directory, number),
            signer.receipt(number),
            trace_record(Installed(self.directory), number),
            signature,
            reason,
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("values") / "engine")


def check_value(kept: Kept, value: int, bound: int) -> None:
    """Record, receipt and story say the same of the cap, and it is this."""
    passed = value <= bound
    [cap] = [row for row in kept.record.results if row.kind == Rule.VALUE_CAP]
    assert (cap.value, cap.bound, cap.passed, cap.flags) == (value, bound, passed, 0)
    [shown] = [r for r in kept.receipt["constraints_evaluated"] if r["type"] == "value_cap"]
    result = "PASS" if passed else "FAIL"
    assert shown == {"type": "value_cap", "result": result, "value": value, "bound": bound}
    [told] = [r for r in kept.story["decision"]["constraints"] if r["type"] == "value_cap"]
    assert (told["result"], told["value"], told["bound"]) == (result, value, bound)
    assert parse_money(told["value_text"]) == value
    assert parse_money(told["bound_text"]) == bound


def test_every_example_is_at_the_venue_that_its_title_names() -> None:
    named = {case.example.title for case in CASES}
    assert named == {example.title for example in EXAMPLES}
    assert {case.venue for case in CASES} == set(VENUES)
    # One row is one instrument: examples that share a name agree on what it is.
    assert len({(c.instrument, instrument_row(c)) for c in CASES}) == len(
        {c.instrument for c in CASES}
    )


@EACH
def test_the_record_of_an_example_holds_the_value_of_the_page(desk: Desk, case: Case) -> None:
    kept = desk.kept[case.agent]
    check_value(kept, case.value, case.value)
    if case.is_quanto:
        # No venue trades it here: nothing is signed, and the value is recorded all the same.
        assert (kept.record.verdict, kept.reason) == (Verdict.DENIED, "unsupported")
        assert kept.receipt["reasons"] == ["unsupported"]
        assert all(row["result"] == "PASS" for row in kept.receipt["constraints_evaluated"])
        assert kept.receipt["signature_hash"] is None
        return
    assert (kept.record.verdict, kept.receipt["verdict"]) == (Verdict.ALLOWED, "allowed")
    assert kept.signature is not None
    assert kept.receipt["signature_hash"] == sha256(kept.signature).hexdigest()


@EACH
def test_one_micro_dollar_less_is_refused_with_the_same_value(desk: Desk, case: Case) -> None:
    kept = desk.kept[case.other]
    check_value(kept, case.value, case.value - 1)
    assert (kept.record.verdict, kept.reason) == (Verdict.DENIED, "value_cap")
    assert kept.receipt["reasons"] == ["value_cap"]


@EACH
def test_approvers_see_the_value_that_no_rule_asked_for(desk: Desk, case: Case) -> None:
    """By the marks of then: other examples fed others since."""
    number = desk.asked[case.asker]
    record = find_record(desk.directory, number)
    assert not {row.kind for row in record.results} & {Rule.VALUE_CAP}
    found = value_of(Installed(desk.directory), record)
    assert found.micro_usd == case.value
    assert parse_money(found.text) == case.value
    if case.is_quanto:  # no venue trades it here: it is refused, and waits for nobody
        assert case.asker not in desk.requests
        return
    assert desk.requests[case.asker].value_micro_usd == case.value
    assert f"value      {found.text}" in desk.requests[case.asker].lines(time.time_ns())


@EACH
def test_what_a_rule_recorded_is_what_is_worked_out(desk: Desk, case: Case) -> None:
    """Also where the rule refused it."""
    for agent in (case.agent, case.other):
        record = desk.kept[agent].record
        blank = replace(record, results=())  # as if no rule had asked
        assert value_of(Installed(desk.directory), blank) == value_of(
            Installed(desk.directory), record
        )


@EACH
def test_the_receipt_proves_the_value(desk: Desk, case: Case) -> None:
    for agent in (case.agent, case.other):
        kept = desk.kept[agent]
        proven = verify_receipt(json.dumps(kept.receipt), desk.expectation)
        assert proven.record == kept.record
        receipt = json.loads(json.dumps(kept.receipt))
        rows = receipt["constraints_evaluated"]
        next(row for row in rows if row["type"] == "value_cap")["value"] -= 1
        with pytest.raises(VerificationFailed):
            verify_receipt(json.dumps(receipt), desk.expectation)


def test_people_see_the_value_as_the_page_says(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`zcp sign` prints it, and `zcp audit trace` of its record too."""
    case = CASES[0]
    secret, order = tmp_path / "secret", tmp_path / "order.json"
    secret.write_bytes(KEY_FILE_PASSPHRASE)
    secret.chmod(0o600)
    order.write_text(json.dumps(order_of(case)))
    where = ["--dir", str(desk.directory)]
    opened = [*where, "--passphrase-file", str(secret)]
    assert main(["sign", str(order), "--agent", case.agent, *opened]) == 0
    signed = capsys.readouterr().out
    assert f"PASS             value_cap: value {case.value}, bound {case.value}" in signed
    number = re.search(r"  record +([0-9]+) of", signed)
    assert number is not None
    assert main(["audit", "trace", number[1], *where]) == 0
    assert f"value_text: {case.example.value} USD" in capsys.readouterr().out
    assert main(["audit", "receipt", number[1], *opened]) == 0
    rows = json.loads(capsys.readouterr().out)["constraints_evaluated"]
    assert case.value in [row["value"] for row in rows if row["type"] == "value_cap"]
