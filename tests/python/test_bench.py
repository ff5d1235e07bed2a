"""The benchmark's own suites: short runs give what the schema says, and count what they should.

Goal: a figure is of what its label says. Method: every suite runs with few rounds and small sizes;
what it signed is looked for in the engine's log; the lanes are compared with what they claim to
call; percentiles with NumPy's; what is missing or refused is said and never a figure.
"""

from __future__ import annotations

import json
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from sentinel import _bench, bench
from sentinel.audit import RecordType, read_log
from sentinel.bench import audit, growth, growth_policy, load, machine, pool, suite
from sentinel.bench.filling import filled, other_processor
from sentinel.bench.result import Result, Show, percentile, summarise
from sentinel.bench.world import CONSTRAINTS, DESKS, World, make_world
from sentinel.errors import SentinelError, UsageError

TOP = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((TOP / "bench/results.schema.json").read_text(encoding="utf-8"))
ROUNDS = 64
ED25519, HMAC = "binance_spot.ed25519", "binance_spot.hmac_sha256"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with make_world([ED25519, HMAC], instruments=5, agents=3) as made:
        yield made


def check_schema(*results: Result) -> None:
    data = {"machine": machine.about(), "results": [result.to_json() for result in results]}
    jsonschema.validate(json.loads(json.dumps(data)), SCHEMA)


def test_the_schema_refuses_what_no_suite_gives() -> None:
    result = Result(suite="x", title="x").to_json()
    for change in ({"more": 1}, {"rounds": -1}, {"rows": [{}]}, {"shows": [{"name": "1"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"machine": machine.about(), "results": [result | change]}, SCHEMA)


# ---- Suites ---------------------------------------------------------------------------------


def test_gate_gives_every_row_and_show() -> None:
    result = bench.run("gate", rounds=ROUNDS)
    check_schema(result)
    names = {row.name for row in result.rows}
    kinds = ("ed25519.spot", "ed25519.pool", "ecdsa.spot", "ecdsa.pool", "hmac.spot")
    for gate in (f"{kind}-{log}" for kind in kinds for log in ("write", "mapped")):
        assert gate in names
        steps = [result.row(f"{gate}.{step}") for step in _bench.STEPS]
        assert all(row.group == "step" and row.count == ROUNDS for row in steps)
        assert sum(row.p50 for row in steps) < 3 * result.row(gate).p50
    for library in ("ed25519", "ecdsa", "openssl_ed25519", "openssl_ecdsa", "keccak"):
        assert result.row(f"bare.{library}").p50 > 0
    assert {show.name for show in result.shows} == {"1", "2", "4"}
    assert result.facts["constraints"] == CONSTRAINTS
    assert result.facts["nonces_missed"] == 0
    ratio = result.row("ed25519.pool-mapped").p50 / result.row("bare.ed25519").p50
    assert result.shows[0].value == pytest.approx(ratio)


def test_venues_has_all_six() -> None:
    result = bench.run("venues", rounds=ROUNDS)
    check_schema(result)
    assert len({row.name.partition(".")[0] for row in result.rows}) == 6
    assert {row.name.removesuffix(".spot").removesuffix(".pool") for row in result.rows} == set(
        DESKS
    )


def test_pool_shows_where_it_runs_dry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CAPACITY", 1024)
    result = bench.run("pool", rounds=256)
    check_schema(result)
    assert [curve.name for curve in result.curves] == ["dry.ed25519", "dry.ecdsa"]
    for curve in result.curves:
        full = [ns for x, ns in curve.points if x < 1024]
        dry = [ns for x, ns in curve.points if x > 1024]
        assert len(full) == len(dry) == 1024 // pool.WINDOW
        assert numpy.median(dry) > 1.5 * numpy.median(full)
    assert result.facts["ed25519.pool.per_second"] > 0
    assert result.facts["ecdsa.refill_per_second_and_processor"] > 0


def test_load_counts_from_when_an_order_was_due() -> None:
    result = bench.run("load", rounds=400)
    check_schema(result)
    assert len(result.rows) == 2 * len(load.RATES)
    assert [row.count for row in result.rows[:2]] == [20, 100]
    text = result.facts["hdr"]["pool.1000"]
    assert HdrHistogram.decode(text).get_total_count() == 20


def test_a_late_call_delays_the_next_and_is_seen() -> None:
    calls: list[float] = []

    def slow_once(argument: object) -> None:
        calls.append(time.perf_counter())
        if len(calls) == 1:
            time.sleep(0.05)

    times = _bench.offer(_bench.Call(slow_once, name="slow"), 1_000, 20)
    # The second was due a millisecond behind the first, and waited for it.
    assert times[0] > 50_000_000
    assert times[1] > 48_000_000
    assert times[10] > 39_000_000
    assert calls[19] - calls[0] > 0.019


def test_growth_has_a_curve_for_each_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"agents": (5, 40), "windows": (10, 100), "sanctions": (10, 3000)}
    axes = [
        replace(axis, sizes=small.get(axis.name, axis.sizes), show=None) for axis in growth.AXES
    ]
    axes[0] = replace(axes[0], show=(5, 40, 2.0))
    monkeypatch.setattr(growth, "AXES", tuple(axes))
    result = bench.run("growth", rounds=ROUNDS)
    check_schema(result)
    assert [curve.name for curve in result.curves] == [axis.name for axis in axes]
    for axis, curve in zip(axes, result.curves, strict=True):
        assert tuple(x for x, _ in curve.points) == axis.sizes
    assert [show.name for show in result.shows] == ["6"]


def test_audit_checks_logs_of_the_sizes_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SIZES", (300, 900))
    result = bench.run("audit", rounds=200, records=1500)
    check_schema(result)
    for curve in result.curves:
        for (x, y), size in zip(curve.points, (300, 900, 1500), strict=True):
            assert abs(x - size) <= 3
            assert y > 0
    assert [show.name for show in result.shows] == ["7", "7"]


# ---- Lanes ----------------------------------------------------------------------------------


def test_what_a_gate_signs_is_in_the_log(world: World) -> None:
    engine = world.open("counted")
    with closing(engine):
        gate = world.gate(engine, ED25519, "gate")
        traced = world.gate(engine, HMAC, "traced", is_traced=True)
        times = _bench.measure([gate, traced], 50, 10, block=7)
        assert gate.constraints == CONSTRAINTS + 1  # and the kill switch
    assert len(times["gate"]) == len(times["traced.policy"]) == 50
    assert min(times["gate"]) > 0
    for step in range(50):
        steps = sum(times[f"traced.{name}"][step] for name in _bench.STEPS)
        assert 0 < steps <= times["traced"][step]
    orders = [r for r in read_log(world.directory.with_name("counted"))
              if r.type is RecordType.ORDER]  # fmt: skip
    assert len(orders) == 120
    assert {record.agent for record in orders} == {*world.agents[ED25519], *world.agents[HMAC]}
    assert {int(record.verdict) for record in orders} == {1}


def test_a_bare_library_signs_what_the_gate_signed(world: World) -> None:
    with closing(world.open("bare")) as engine:
        gate = world.gate(engine, ED25519, "gate")
        lanes = [gate, *(_bench.Bare(kind, gate) for kind in _bench.Bare.KINDS)]
        times = _bench.measure(lanes, 48, block=16)
        assert b"symbol=C" in gate.request
    assert set(times) == {"gate", *_bench.Bare.KINDS}
    # An Ed25519 signature is no hash, and OpenSSL's generic curve is slower than libsecp256k1.
    assert min(times["ed25519"]) > 3 * min(times["sha256"])
    assert min(times["openssl_ecdsa"]) > min(times["ecdsa"])


def test_a_refused_order_is_no_time(world: World) -> None:
    with closing(world.open("refused")) as engine:
        desks = world.agents[ED25519], world.orders[HMAC]
        order = bytearray(desks[1][0])
        order[12:16] = b"\xff\xff\xff\x7f"  # a key that is not there
        gate = _bench.Gate(engine, desks[0], [bytes(order)], name="mine")
        with pytest.raises(ValueError, match="mine: refused with reason"):
            _bench.measure([gate], 5)


def test_lanes_that_cannot_be_are_refused(world: World) -> None:
    with closing(world.open("lanes")) as engine:
        with pytest.raises(ValueError, match="orders of one size"):
            _bench.Gate(engine, [1], [b"1", b"22"])
        with pytest.raises(ValueError, match="orders of one size"):
            _bench.Gate(engine, [], world.orders[HMAC])
        with pytest.raises(SentinelError):
            _bench.Gate(engine, [1], world.orders[HMAC])
    with pytest.raises(ValueError, match="rsa"):
        _bench.Bare("rsa")


def test_a_call_that_raises_ends_the_measuring() -> None:
    def fails(argument: object) -> None:
        raise KeyError(argument)

    with pytest.raises(KeyError, match="why"):
        _bench.measure([_bench.Timer(), _bench.Call(fails, "why", name="x")], 3)
    with pytest.raises(KeyError, match="why"):
        _bench.offer(_bench.Call(fails, "why", name="x"), 1e6, 3)


def test_lanes_take_turns_in_blocks() -> None:
    seen: list[str] = []
    made = iter(range(100))
    lanes = [
        _bench.Call(lambda argument: seen.append("a"), name="a"),
        _bench.Call(
            lambda argument: seen.append(f"b{argument}"), name="b", prepare=lambda: next(made)
        ),
    ]
    told: list[int] = []
    times = _bench.measure(lanes, 5, 2, told.append, block=2)
    assert "".join(word[0] for word in seen) == "aabb" * 3 + "ab"
    assert [word for word in seen if word[0] == "b"] == [f"b{i}" for i in range(7)]
    assert [len(times[name]) for name in "ab"] == [5, 5]
    assert told == [0, 2, 4, 5]


def test_a_filler_keeps_the_pool_full(world: World) -> None:
    with closing(world.open("filled", nonces=256, is_filled=False)) as engine:
        full = engine.nonces.ready  # of this key and of the one for messages
        _bench.measure([world.gate(engine, ED25519, "gate")], 256)
        assert engine.nonces.ready == full - 256
        with filled(engine, machine.pinned()) as told:
            until = time.monotonic() + 10
            while engine.nonces.ready < full and time.monotonic() < until:
                time.sleep(0.001)
        assert engine.nonces.ready == full
        assert told.made == 256
        assert told.cpu_ns > 0
    assert other_processor([]) is None
    assert other_processor(machine.pinned()) is None


# ---- Sizes of growth ------------------------------------------------------------------------


def test_near_hits_are_in_the_list_and_nobody_is(tmp_path: Path) -> None:
    draft = growth_policy.template(tmp_path)
    digests = [
        growth_policy.sanction_digest(growth_policy.address(i))
        for i in range(growth_policy.DESTINATIONS)
    ]
    for count in (10, 5000):
        entries = growth_policy.sanctions(draft, count).sanctions
        assert len(set(entries)) == len(entries) == count
        assert list(entries) == sorted(entries)
        near = {entry[:15] for entry in entries} & {digest[:15] for digest in digests}
        assert len(near) == min(count, growth_policy.DESTINATIONS // 2)
        assert not set(entries) & set(digests)


def test_a_growing_policy_has_the_rows_that_its_size_says(tmp_path: Path) -> None:
    draft = growth_policy.template(tmp_path)
    many = growth_policy.agents(draft, 50)
    assert len(many.nodes) == len(draft.nodes) + 50
    leaf = many.nodes[-1]
    chain = {node.index for node in many.chain(leaf)}
    rows = [row for row in many.constraints if row.node in chain and not row.derived]
    assert len(rows) == CONSTRAINTS
    for count in (1, 8, 64):
        made = growth_policy.constraints(draft, count)
        trader = next(node for node in made.nodes if node.name == "trader")
        chain = {node.index for node in made.chain(trader)}
        assert sum(row.node in chain for row in made.constraints) == count
    deep = growth_policy.groups(draft, 8)
    assert len(list(deep.chain(deep.nodes[-1]))) == 10


# ---- Figures --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.sampled_from(
    (0.5, 0.9, 0.99, 0.999, 1.0)))  # fmt: skip
def test_percentiles_are_numpys(values: list[int], share: float) -> None:
    expected = numpy.percentile(values, 100 * share, method="inverted_cdf")
    assert percentile(sorted(values), share) == expected


def test_the_timer_is_taken_off() -> None:
    row = summarise("x", "X", array("Q", [100, 200, 300, 10]), timer=50)
    assert (row.p50, row.p99, row.max, row.count) == (50, 250, 250, 4)
    assert row.cdf[0][1] == 0  # never below nothing


def test_a_show_is_met_on_its_side_of_the_bound() -> None:
    show = Show(name="1", what="x", value=2.0, bound=2.0)
    assert show.is_met is True
    assert replace(show, value=2.1).is_met is False
    assert replace(show, value=2.1, at_least=True).is_met is True
    assert replace(show, value=1.9, at_least=True).is_met is False
    assert replace(show, bound=None).is_met is None


# ---- What is missing ------------------------------------------------------------------------


def test_a_missing_package_is_named_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdrh", None)
    monkeypatch.delitem(sys.modules, "hdrh.histogram", raising=False)
    monkeypatch.delitem(sys.modules, "sentinel.bench.load", raising=False)
    results = [bench.run_suite(bench.SUITES[name], bench.Settings(rounds=ROUNDS))
               for name in ("load", "venues")]  # fmt: skip
    check_schema(*results)
    assert results[0].rows == []
    assert results[0].missing == [
        "load: the package 'hdrh' is not installed: pip install 'zcp-sentinel[bench]'"
    ]
    assert results[1].rows


def test_our_own_missing_module_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = suite.Suite("lost", "a module that is not there", 1, 1)
    with pytest.raises(ModuleNotFoundError, match="lost"):
        bench.run_suite(lost, bench.Settings())


def test_suites_are_chosen_by_name() -> None:
    quick = bench.chosen([])
    assert [s.name for s in quick] == ["gate", "venues", "pool", "load"]
    assert sum(s.seconds for s in quick) <= 75
    assert [s.name for s in bench.chosen(["load", "gate"])] == ["gate", "load"]
    assert bench.chosen(["all"]) == list(bench.SUITES.values())
    with pytest.raises(UsageError, match="no suite 'gates'"):
        bench.chosen(["gates"])


def test_the_machine_is_described() -> None:
    found: dict[str, Any] = machine.about()
    assert found["processor"] == machine.processor() != ""
    assert found["libraries"]["openssl"].startswith("3")
    assert found["libraries"]["libsodium"].startswith("1.")
