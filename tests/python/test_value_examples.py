"""The worked examples of docs/2-policy.md: one order per kind of contract.

Goal: what the page works out by hand is what the core decides. Method: instrument, order and marks
are read from the page; each line of arithmetic is done again; then the core and the reference
model value the same order, and a cap at this very value lets it pass, one micro-dollar less does
not.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

import pytest
from value_examples import ASSETS, EXAMPLES, PAGE, Example, micro_usd

from tests.model import model, tables, value
from tests.model.core import PolicyCore
from tests.model.names import (
    Action,
    Contract,
    Kind,
    MarkKind,
    NodeKind,
    Reason,
    Side,
    Tif,
    Type,
    Unit,
    Venue,
    Verdict,
)
from tests.model.policy_run import subject_of

INSTRUMENT, AGENT = 9, 2
NOW = 1_700_000_000 * 10**9
BAND_PPM = 10_000  # "the band of 1 %"


def exact(text: str) -> tables.Decimal:
    digits = Decimal(text).as_tuple()
    assert isinstance(digits.exponent, int)
    mantissa = int("".join(map(str, digits.digits)))
    return tables.Decimal(mantissa, -digits.exponent)


def policy_of(example: Example, cap: int) -> tables.Policy:
    row = example.instrument
    ids = {name: number for number, name in enumerate(ASSETS, 1)}
    contract = Contract[row[""].upper()]
    units = {"contracts of": Unit.CONTRACTS, "unit": Unit.QUOTE}
    [unit] = [unit for name, unit in units.items() if name in row] or [Unit.BASE]
    instrument = tables.Instrument(
        id=INSTRUMENT,
        venue=Venue.DERIBIT,
        contract=contract,
        base=ids[row["base"]],
        quote=ids[row["quote"]],
        settle=ids[row.get("settle", row["quote"])],
        unit=unit,
        symbol="EXAMPLE",
        multiplier=exact(row.get("contracts of", "1")),
        strike=exact(row["strike"]) if "strike" in row else tables.ZERO,
    )
    constraints = (
        tables.Constraint(1, 0, Kind.ACTIONS, mask=1 << Action.PLACE),
        tables.Constraint(2, 0, Kind.VALUE_CAP, bound=cap),
    )
    return tables.Policy(
        nodes=(tables.Node(1, NodeKind.FIRM, None), tables.Node(AGENT, NodeKind.AGENT, 0)),
        assets=tuple(tables.Asset(number, name) for name, number in ids.items()),
        networks=(),
        instruments=(instrument,),
        keys=(),
        constraints=constraints,
        market_band_ppm=BAND_PPM,
    )


def order_of(example: Example) -> tables.Order:
    kind, side = example.order[""].split()
    given = {name: exact(text) for name, text in example.order.items() if name}
    return tables.Order(
        Action.PLACE,
        AGENT,
        1,
        instrument=INSTRUMENT,
        side=Side[side.upper()],
        type=Type[kind.upper()],
        tif=Tif.GTC if kind == "limit" else Tif.NONE,
        quantity=given.get("quantity"),
        quote_quantity=given.get("quote quantity"),
        price=given.get("price"),
    )


def marks_of(example: Example) -> list[tuple[int, int, tables.Decimal, int]]:
    fed = []
    for name, text in example.marks.items():
        kind, row = (MarkKind.ASSET, ASSETS.index(name) + 1) if name != "mark" else (1, INSTRUMENT)
        fed.append((int(kind), row, exact(text), NOW))
    return fed


def decide(example: Example, cap: int, *, without: int | None = None) -> model.Decision:
    """What the core decides; the model must decide the same."""
    policy, state = policy_of(example, cap), value.State()
    core = PolicyCore(policy)
    marks = [mark for number, mark in enumerate(marks_of(example)) if number != without]
    if marks:
        core.feed(marks)
    for mark in marks:
        model.feed(policy, state, *mark)
    order = order_of(example)
    subject = subject_of(policy, order, Venue.DERIBIT)
    core.set_subject(order, subject)
    found = core.evaluate(NOW)
    assert found == model.evaluate(policy, state, subject, NOW)
    return found


def test_the_page_has_an_example_of_every_contract_and_unit() -> None:
    kinds = {example.instrument[""] for example in EXAMPLES}
    assert kinds == {contract.name.lower() for contract in Contract}
    sized = {example.instrument[""] for example in EXAMPLES if "contracts of" in example.instrument}
    assert sized == {"linear", "inverse", "quanto", "option"}
    assert {e.order[""] for e in EXAMPLES if e.instrument[""] == "option"} == {
        "limit buy",
        "limit sell",
    }
    assert len(EXAMPLES) == PAGE.read_text("utf-8").count("\n    instrument  ")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_each_line_of_an_example_is_right(example: Example) -> None:
    """Every product is what it says, and goes on with the line before or begins anew."""
    results: list[Decimal] = []
    ends: list[Decimal] = []
    for line in example.lines:
        left, right, result = map(Decimal, re.split(r" x | = ", line))
        assert left * right == result, line
        if results and left != results[-1]:
            ends.append(results[-1])
        results.append(result)
    rounded = max([*ends, results[-1]]).quantize(Decimal("0.000001"), ROUND_CEILING)
    assert rounded == Decimal(example.value)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_the_core_finds_the_value_of_an_example(example: Example) -> None:
    value = micro_usd(example)
    found = decide(example, value)
    assert found.verdict == Verdict.ALLOWED
    assert found.value == value
    [result] = [row for row in found.results if row.kind == Kind.VALUE_CAP]
    assert (result.value, result.bound) == (value, value)
    found = decide(example, value - 1)
    assert (found.verdict, found.reason) == (Verdict.DENIED, Reason.VALUE_CAP)
    assert found.value == value


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_an_example_names_exactly_the_marks_that_it_needs(example: Example) -> None:
    for number in range(len(example.marks)):
        found = decide(example, micro_usd(example), without=number)
        assert (found.verdict, found.reason) == (Verdict.DENIED, Reason.MARK_ABSENT)
