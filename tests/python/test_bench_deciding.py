"""The suite `deciding`: Cedar, Rego and ours say the same of the same orders, and are timed.

Goal: the comparison is fair only if all three judge by the same rules. Method: generated orders
about every cap, judged by all three in both forms of input; a rule that is changed in one of them
must show; what the benchmark calls "ours" must be what the gate says of the same order.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from sentinel._enums import Algorithm, Environment, Purpose, Venue
from sentinel._policy_draft import stable_id
from sentinel._status import Reason
from sentinel.bench import Settings, deciding, deciding_rules
from sentinel.config import KeyFile, create_engine
from sentinel.errors import PolicyDenied, SentinelError
from sentinel.sign import Signer

FORMS = ("prepared", "values")
# Every reason that a rule of the comparison can give.
REASONS = {
    Reason.VENUE_NOT_ALLOWED,
    Reason.INSTRUMENT_NOT_ALLOWED,
    Reason.ORDER_TYPE_NOT_ALLOWED,
    Reason.SIDE_NOT_ALLOWED,
    Reason.TIF_NOT_ALLOWED,
    Reason.VALUE_CAP,
    Reason.QUANTITY_CAP,
}


def test_all_three_agree_on_generated_orders() -> None:
    inputs = deciding_rules.make_inputs(400, seed=11)
    missing: list[str] = []
    with deciding.sentinel() as mine:
        judges = deciding.make_judges(mine, missing)
        allowed = deciding.agree(judges, inputs)
        reasons = {
            mine.decide[order.agent](mine.pack(order)) for order in deciding_rules.make_inputs(2000)
        }
    assert [judge.name for judge in judges] == ["ours", "cedar", "rego"]
    assert missing == []
    assert 100 < allowed < 300
    assert {reason.value for reason in REASONS} | {0} == reasons


@pytest.mark.parametrize(
    ("engine", "rule", "instead"),
    [
        ("CEDAR", "<= 1000000000000", "<= 1000000000000 - 1"),
        ("CEDAR", "then resource.mark", "then context.price"),
        ("CEDAR", "context.quantity <= 100000", "context.quantity <= 100001"),
        ("REGO", "value <= 500000000000", "value < 500000000000"),
        ("REGO", '{"ioc", "fok"}', '{"ioc", "fok", "gtc"}'),
        ("REGO", '"SOLUSDT", "BTC-PERP"', '"SOLUSDT", "XRPUSDT", "BTC-PERP"'),
    ],
)
def test_a_changed_rule_shows(
    monkeypatch: pytest.MonkeyPatch, engine: str, rule: str, instead: str
) -> None:
    text = getattr(deciding_rules, engine)
    assert rule in text
    monkeypatch.setattr(deciding, engine, text.replace(rule, instead))
    with deciding.sentinel() as mine, pytest.raises(SentinelError, match="the engines differ"):
        deciding.agree(deciding.make_judges(mine, []), deciding_rules.make_inputs(1000))


def test_ours_is_what_the_gate_says(tmp_path: Path) -> None:
    venues = {"spot": Venue.BINANCE_SPOT, "usdm": Venue.BINANCE_USDM, "bybit": Venue.BYBIT}
    directory, passphrase = tmp_path / "engine", b"a passphrase of the bench"
    create_engine(directory, passphrase, now_ns=time.time_ns(), environment=Environment.TEST)
    file = KeyFile(directory / "keys" / "engine", passphrase)
    names = {stable_id("key", name): name for name in ("identity", "message")}
    for name, venue in venues.items():
        key = stable_id("key", name)
        file.ring.generate(key, Purpose.VENUE, Algorithm.HMAC_SHA256, venue=venue, api_key=name)
        names[key] = name
    file.save(names)
    rows = [
        f"  {name}: {{venue: {venue.name.lower()}, algorithm: hmac_sha256, for: bench/desk,"
        f" products: [{'spot' if name == 'spot' else 'linear'}], endpoint: granted}}\n"
        for name, venue in venues.items()
    ]
    inputs = deciding_rules.make_inputs(150, seed=3)
    with Signer.open(directory, passphrase=passphrase) as signer, deciding.sentinel() as mine:
        signer.load_policy(deciding_rules.ours() + "keys:\n" + "".join(rows))
        signer.feed_marks(
            {name: f"{mark // 100}.{mark % 100:02d}" for name, mark in deciding_rules.MARKS.items()}
        )
        sessions = {agent: signer.session(agent) for agent in deciding_rules.AGENTS}
        for order in inputs:
            said = mine.decide[order.agent](mine.pack(order))
            instrument = signer.policy.instrument(order.instrument).id
            denied = 0
            try:
                sessions[order.agent].sign(order.order(instrument))
            except PolicyDenied as refused:
                denied = refused.number
            assert denied == said, order


def test_what_is_no_order_of_the_agent_is_no_answer() -> None:
    order = deciding_rules.make_inputs(1)[0]
    with deciding.sentinel() as mine:
        packed = mine.pack(order)
        other = next(agent for agent in deciding_rules.AGENTS if agent != order.agent)
        for wrong in (b"", packed + bytes(300)):
            with pytest.raises(ValueError, match="not a new order"):
                mine.decide[order.agent](wrong)
        with pytest.raises(ValueError, match="not a new order"):
            mine.decide[other](packed)
        assert mine.decide[order.agent](packed[:-1]) == Reason.ORDER_SIZE


def test_the_suite_gives_rows_and_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "INPUTS", 64)
    shares: list[float] = []
    result = deciding.run(Settings(rounds=40, progress=shares.append))
    assert result.missing == []
    assert {row.name for row in result.rows} >= {
        *(
            f"{name}_{form}"
            for name in ("ours", "cedar", "rego")
            for form in ("prepared", "values")
        ),
        "ours_c",
        "ours_place",
        "policy_c",
        "python_call",
        "timer",
    }
    assert [show.what.split()[0] for show in result.shows].count("Cedar") == len(FORMS)
    assert [show.what.split()[0] for show in result.shows].count("Rego") == len(FORMS)
    assert {(show.name, show.bound) for show in result.shows} == {("4", 20), ("4", 250)}
    assert result.facts["policy_c_constraints"] == 12
    assert 0 < result.facts["cedar_evaluator_us"] < 1e6
    assert result.facts["versions"].keys() == {"cedar", "rego"}
    assert shares[-1] == 1.0


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cedarpy", None)
    monkeypatch.setattr(deciding, "INPUTS", 16)
    result = deciding.run(Settings(rounds=8))
    assert len(result.missing) == 1
    assert "pip install cedarpy" in result.missing[0]
    assert {show.what.split()[0] for show in result.shows} == {"Rego", "policy"}
