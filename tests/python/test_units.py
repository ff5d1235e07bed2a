"""Goal: amounts, ratios, rates, durations and quantities are read exactly, or refused.

Method: tables of texts; Python's fractions as the oracle for what a text means; each limit at the
edge and one past it; every formatted text is read back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel import units
from sentinel.errors import UnitInvalid
from sentinel.units import INT64_MAX

PARSERS: list[Callable[[Any], object]] = [
    units.parse_money,
    units.parse_ratio,
    units.parse_rate,
    units.parse_duration,
    units.parse_quantity,
]


@pytest.mark.parametrize(
    ("text", "micro_usd"),
    [
        ("500k USD", 500_000 * 10**6),
        ("1.5M", 1_500_000 * 10**6),
        ("500000", 500_000 * 10**6),
        (500000, 500_000 * 10**6),
        ("2B USD", 2 * 10**15),
        ("0", 0),
        ("0.000001", 1),
        ("0.0000000010k", 1),
        ("  7.25 USD ", 7_250_000),
        ("5USD", 5_000_000),
        ("5kUSD", 5_000_000_000),
        ("1_000_000", 10**12),
        ("9223372036854.775807", INT64_MAX),
    ],
)
def test_reads_amounts(text: str | int, micro_usd: int) -> None:
    assert units.parse_money(text) == micro_usd


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("9223372036854.775808", "above"),
        ("0.0000001", "finer"),
        ("-1", "negative"),
        ("", "begin with a number"),
        ("USD", "begin with a number"),
        ("$5", "begin with a number"),
        (".5", "begin with a number"),
        ("+5", "begin with a number"),
        ("5.", "bare points"),
        ("1,000", "commas"),
        ("1e6", "exponents"),
        ("1E6", "exponents"),
        ("007", "leading zeros"),
        ("1_00", "commas"),
        ("500 usd", "did you mean 'USD'?"),
        ("1.5m", "did you mean 'M'?"),
        ("5K", "did you mean 'k'?"),
        ("5 EUR", "'EUR' is not"),
        ("5 USD USD", "'USD USD' is not"),
        ("5 6", "'6' is not"),
        ("٥", "begin with a number"),
        ("5" * 65, "longer than 64"),
    ],
)
def test_refuses_what_is_no_amount(text: str, problem: str) -> None:
    with pytest.raises(UnitInvalid) as caught:
        units.parse_money(text)
    assert problem in str(caught.value)
    assert "500k USD" in caught.value.next_step


@pytest.mark.parametrize(
    ("text", "ppm"),
    [
        ("30 bps", 3000),
        ("0.3 %", 3000),
        ("3000 ppm", 3000),
        ("0.3%", 3000),
        ("100 %", 10**6),
        ("0.01bps", 1),
        ("0 %", 0),
    ],
)
def test_reads_ratios(text: str, ppm: int) -> None:
    assert units.parse_ratio(text) == ppm


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("30", "unit is missing"),
        ("30 bp", "did you mean 'bps'?"),
        ("30 percent", "is not %, bps or ppm"),
        ("0.001 bps", "finer than one ppm"),
        ("0.5 ppm", "finer"),
        ("-1 %", "negative"),
    ],
)
def test_refuses_what_is_no_ratio(text: str, problem: str) -> None:
    with pytest.raises(UnitInvalid, match=problem):
        units.parse_ratio(text)


SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1000/min", (1000, 60 * SECOND)),
        ("10/s", (10, SECOND)),
        ("5000/h", (5000, 3600 * SECOND)),
        ("200/day", (200, 86400 * SECOND)),
        ("300/5min", (300, 300 * SECOND)),
        ("20 / 500 ms", (20, SECOND // 2)),
        ("1/hour", (1, 3600 * SECOND)),
        ("131072/s", (131072, SECOND)),
        ("1/400day", (1, 400 * 86400 * SECOND)),
    ],
)
def test_reads_rates(text: str, rate: tuple[int, int]) -> None:
    assert units.parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1000/parsec", "'parsec' is not a unit of time"),
        ("1000", "a count, '/'"),
        ("1000 per min", "a count, '/'"),
        ("1000/", "unit of time .* is missing"),
        ("1000/m", "did you mean 'min'?"),
        ("1000/minn", "did you mean 'min'?"),
        ("0/s", "from 1 to 131072"),
        ("131073/s", "from 1 to 131072"),
        ("1.5/s", "not a whole number"),
        ("1/0s", "above 0"),
        ("1/401day", "at most 400 days"),
        ("1/min/s", "'min/s' is not a unit"),
    ],
)
def test_refuses_what_is_no_rate(text: str, problem: str) -> None:
    with pytest.raises(UnitInvalid, match=problem):
        units.parse_rate(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("5s", 5 * SECOND),
        ("250 ms", SECOND // 4),
        ("24h", 86400 * SECOND),
        ("1 day", 86400 * SECOND),
        ("2 days", 2 * 86400 * SECOND),
        ("1.5h", 5400 * SECOND),
        ("0.001us", 1),
        ("1ns", 1),
        ("400 days", units.WINDOW_NS_MAX),
    ],
)
def test_reads_durations(text: str, ns: int) -> None:
    assert units.parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("5", "unit of time .* is missing"),
        ("5m", "did you mean 'min'?"),
        ("0s", "above 0"),
        ("0.5ns", "finer than one nanosecond"),
        ("401 days", "at most 400 days"),
        ("9600.000000001h", "at most 400 days"),
        ("1h30min", "'h30min' is not a unit"),
        ("-5s", "negative"),
    ],
)
def test_refuses_what_is_no_duration(text: str, problem: str) -> None:
    with pytest.raises(UnitInvalid, match=problem):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("5", (5, 0)),
        ("0.10", (10, 2)),
        ("1250.5", (12505, 1)),
        ("0", (0, 0)),
        ("0.000000000000000001", (1, 18)),
        (str(INT64_MAX), (INT64_MAX, 0)),
        (7, (7, 0)),
    ],
)
def test_reads_quantities_and_keeps_their_text(text: str | int, quantity: tuple[int, int]) -> None:
    assert units.parse_quantity(text) == quantity
    assert units.format_quantity(quantity) == str(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("5 BTC", "'BTC' follows"),
        ("5%", "'%' follows"),
        ("0.0000000000000000001", "more than 18 digits"),
        (str(INT64_MAX + 1), "digits are above"),
        ("NaN", "begin with a number"),
        ("-0.1", "negative"),
        ("1e-8", "exponents"),
    ],
)
def test_refuses_what_is_no_quantity(text: str, problem: str) -> None:
    with pytest.raises(UnitInvalid, match=problem):
        units.parse_quantity(text)


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("value", [0.5, True, None, b"5", [5]])
def test_refuses_values_that_are_no_text(parse: Callable[[Any], object], value: object) -> None:
    with pytest.raises(UnitInvalid, match="never as a float"):
        parse(value)


@given(st.integers(0, INT64_MAX))
def test_a_formatted_amount_reads_back(micro_usd: int) -> None:
    assert units.parse_money(units.format_money(micro_usd)) == micro_usd


@given(st.integers(0, 12), st.integers(1, 999))
def test_a_round_amount_reads_back(zeros: int, digits: int) -> None:
    micro_usd = digits * 10**zeros
    assert units.parse_money(units.format_money(micro_usd)) == micro_usd


@given(st.integers(0, INT64_MAX))
def test_a_formatted_ratio_reads_back(ppm: int) -> None:
    assert units.parse_ratio(units.format_ratio(ppm)) == ppm


@given(st.integers(1, units.WINDOW_NS_MAX))
def test_a_formatted_duration_reads_back(ns: int) -> None:
    assert units.parse_duration(units.format_duration(ns)) == ns


@given(st.integers(1, units.RATE_EVENTS_MAX), st.integers(1, 400), st.sampled_from([1, 60, 86400]))
def test_a_formatted_rate_reads_back(limit: int, count: int, unit: int) -> None:
    rate = (limit, count * unit * SECOND)
    assert units.parse_rate(units.format_rate(rate)) == rate


@given(st.integers(0, INT64_MAX), st.integers(0, 18))
def test_a_formatted_quantity_is_its_value(mantissa: int, scale: int) -> None:
    text = units.format_quantity((mantissa, scale))
    assert units.parse_quantity(text) == (mantissa, scale)
    assert Fraction(text) == Fraction(mantissa, 10**scale)


@given(st.integers(0, 10**9), st.integers(0, 9), st.sampled_from(["", "k", "M", "B"]))
def test_an_amount_means_what_fractions_say(mantissa: int, scale: int, suffix: str) -> None:
    text = units.format_quantity((mantissa, scale))
    factor = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}[suffix]
    exact = Fraction(text) * factor * 10**6
    if exact.denominator == 1 and exact <= INT64_MAX:
        assert units.parse_money(f"{text}{suffix} USD") == exact
    else:
        with pytest.raises(UnitInvalid):
            units.parse_money(f"{text}{suffix} USD")


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in PARSERS:
        with contextlib.suppress(UnitInvalid):
            parse(text)


@pytest.mark.parametrize(
    ("micro_usd", "text"),
    [
        (500_000_000_000, "500k USD"),
        (1_500_000_000_000, "1.5M USD"),
        (10**16, "10B USD"),
        (12_345_670_000, "12345.67 USD"),
        (1, "0.000001 USD"),
        (500_000, "0.50 USD"),
        (0, "0 USD"),
        (-500_000_000_000, "-500k USD"),
    ],
)
def test_writes_amounts_as_people_do(micro_usd: int, text: str) -> None:
    assert units.format_money(micro_usd) == text
