"""Goal: a bundle reads back as it was written; words, differences, warnings and edits are right.

Method: small policies whose outcome is written out here; edits are compared character by
character; golden files hold the bytes of whole policies as text.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel import _layout, _policy_resolve, policy
from sentinel._enums import Action, Environment, NodeKind, Rule, Venue
from sentinel._policy_lint import CODES
from sentinel.errors import ConfigError, PolicyInvalid, SentinelError, UnitInvalid, UsageError
from sentinel.policy import (
    INITIAL_POLICY,
    Policy,
    check_policy,
    compile_policy,
    configure_policy,
    decode_policy,
    diff,
    explain,
    keys_of,
    lint,
    stable_id,
)
from sentinel.policy_compile import FrameTerms

TOP = Path(__file__).resolve().parents[2]
FIRM = TOP / "examples" / "firm.yaml"


def terms(sequence: int = 3) -> FrameTerms:
    return FrameTerms(
        engine_id=bytes(range(32)),
        environment=Environment.TEST,
        sequence=sequence,
        issued_ns=10,
        expires_ns=20,
    )


def frame(source: str, **options: Any) -> bytes:
    part = compile_policy(textwrap.dedent(source), terms(), keyring=None, **options)
    return _layout.attach_proofs(part, [])


def read(source: str, **options: Any) -> Policy:
    return decode_policy(frame(source, **options))


def firm() -> Policy:
    return read(FIRM.read_text(), file=str(FIRM))


# ---- Golden files --------------------------------------------------------------


def test_compiled_policies_are_the_golden_ones() -> None:
    script = TOP / "tests" / "golden" / "make_policy.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- Reading back --------------------------------------------------------------


def test_reads_back_the_tree_and_finds_nodes_by_name_and_path() -> None:
    found = firm()
    assert [node.path for node in found.agents] == [
        "acme/trading/spot/maker",
        "acme/trading/spot/taker",
        "acme/trading/futures/trend",
        "acme/trading/futures/hedge",
        "acme/trading/bybit/basis",
        "acme/trading/okx/arb",
        "acme/trading/deribit/vol",
        "acme/trading/hyperliquid/onchain",
        "acme/treasury/treasurer",
    ]
    maker = found.agent("maker")
    assert maker == found.node("acme/trading/spot/maker") == found.agent(maker.id)
    assert maker.kind is NodeKind.AGENT
    chain = [node.name for node in found.chain(maker)]
    assert chain == ["acme", "trading", "spot", "maker"]
    assert [row.node for row in found.constraints_of(maker)] == sorted(
        row.node for row in found.constraints if found.nodes[row.node] in found.chain(maker)
    )


def test_reads_back_names_of_rows_that_have_none_in_the_layout() -> None:
    found = firm()
    row = found.instrument("BTCUSDT-PERP")
    assert (row.symbol, row.venue, row.id) == (
        "BTCUSDT",
        Venue.BINANCE_USDM,
        stable_id("instrument", "BTCUSDT-PERP"),
    )
    assert found.instrument(row.id) is row
    assert found.key("spot-hmac").node == found.node("acme/trading/spot").index
    assert found.network("USDT-TRX").code == "TRX"
    assert found.asset("USDT").par_micro_usd == 10**6
    [row_] = [c for c in found.constraints if c.kind is Rule.DESTINATIONS]
    names = {found.destination_name(digest) for digest in row_.destinations}
    assert names >= {"cold-usdt", "cold-btc", "cold-eth", "market-making"}
    assert found.destination_name(bytes(32)) == "0" * 16


def test_reads_back_the_frame_and_the_settings() -> None:
    found = firm()
    assert (found.version, found.issued_ns, found.expires_ns) == (3, 10, 20)
    assert (found.environment, found.engine_id) == (Environment.TEST, bytes(range(32)))
    assert found.mark_max_age_ns == 30 * 10**9
    assert found.book_entries == 4096
    assert found.is_sanctioned("0x8BA1f109551bD432803012645Ac136ddd64DBA72")
    assert not found.is_sanctioned("0x8ba1f109551bD432803012645Ac136ddd64DBA73")
    assert not read("{version: 1, firm: {}}").is_sanctioned("x")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda p: p.node("acme/nobody"), "there is no node"),
        (lambda p: p.agent("makr"), "did you mean 'maker'?"),
        (lambda p: p.agent("spot"), "'acme/trading/spot' is no agent"),
        (lambda p: p.agent(5), "there is no node 5"),
        (lambda p: p.instrument("BTCUSD"), "did you mean 'BTCUSDT'?"),
        (lambda p: p.instrument(5), "there is no instrument 5"),
        (lambda p: p.asset("EUR"), "there is no asset 'EUR'"),
        (lambda p: p.network("TRON"), "there is no network 'TRON'"),
        (lambda p: p.key("x"), "there is no key 'x'"),
    ],
)
def test_an_unknown_name_is_an_error_with_a_guess(call: Any, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(firm())
    assert problem in str(caught.value)


def test_a_name_that_two_nodes_have_needs_its_path() -> None:
    found = read("{version: 1, firm: {agents: {a: {}}, groups: {g: {agents: {a: {}}}}}}")
    with pytest.raises(UsageError, match="several nodes are named 'a'") as caught:
        found.node("a")
    assert "firm/g/a, firm/a" in caught.value.next_step
    assert found.node("firm/a").depth == 1


FRAME = frame(FIRM.read_text(), file=str(FIRM))


@given(st.integers(0, 2**16), st.integers(0, 255))
@settings(max_examples=500)
def test_any_changed_bundle_is_read_or_refused(at: int, value: int) -> None:
    data = bytearray(FRAME)
    data[at % len(data)] = value
    try:
        decode_policy(bytes(data))
    except SentinelError as error:
        assert isinstance(error, PolicyInvalid)  # noqa: PT017


def test_a_bundle_cut_short_is_refused() -> None:
    data = frame(INITIAL_POLICY)
    for size in range(len(data)):
        with pytest.raises(PolicyInvalid):
            decode_policy(data[:size])


@pytest.mark.parametrize("section", range(10))
def test_a_bundle_with_a_section_out_of_place_is_refused(section: int) -> None:
    head = _layout.POLICY.unpack(FRAME, 96)
    head["sections"][2 * section] -= 8
    data = FRAME[:96] + _layout.POLICY.pack(**head) + FRAME[96 + _layout.POLICY.size :]
    with pytest.raises(PolicyInvalid, match="a section is not in its place"):
        decode_policy(data)


# ---- Words ---------------------------------------------------------------------


def test_explains_every_constraint_of_an_agent_in_the_order_of_evaluation() -> None:
    lines = [(row.node, row.type, row.text, row.applies) for row in explain(firm(), "treasurer")]
    spending = "place, amend, withdraw, transfer"
    assert lines == [
        (
            "acme",
            "kill_switch",
            "refused while the agent, a node above it, the venue or the instrument is stopped",
            "all actions",
        ),
        (
            "acme",
            "venues",
            "only binance_spot, binance_usdm, bybit, okx, deribit, hyperliquid",
            "place, amend, cancel, cancel_all, cancel_all_after, query, withdraw, transfer",
        ),
        (
            "acme",
            "order_types",
            "only limit, market, stop_market, take_profit_market",
            "place, amend",
        ),
        (
            "acme",
            "sanctions",
            "never to the 4 addresses of the sanctions list",
            "withdraw, transfer",
        ),
        ("acme", "value_cap", "at most 500k USD by one action", spending),
        ("acme", "daily_limit", "at most 60M USD in a day (UTC)", spending),
        ("acme", "rolling_cap", "at most 25M USD in any 1h", spending),
        ("acme", "rate_limit", "at most 3000/min", f"{spending}, message"),
        ("acme", "rate_limit", "at most 6000/min", "cancel, cancel_all, cancel_all_after"),
        ("acme", "rate_limit", "at most 1200/min", "query"),
        ("acme/treasury", "actions", "only query, withdraw, transfer, message", "all actions"),
        ("acme/treasury", "rate_limit", "at most 200/h", "withdraw, transfer"),
        (
            "acme/treasury/treasurer",
            "destinations",
            "only to arbitrum-cold, cold-btc, cold-eth, cold-usdt, deribit-cold-btc,"
            " market-making, okx-cold-btc",
            "withdraw, transfer",
        ),
        (
            "acme/treasury/treasurer",
            "value_cap",
            "at most 250k USD by one action",
            "withdraw, transfer",
        ),
        ("acme/treasury/treasurer", "daily_limit", "at most 2M USD in a day (UTC)", spending),
    ]


def test_explains_shares_collars_quantities_and_selectors() -> None:
    texts = {row.name: (row.text, row.applies) for row in explain(firm(), "maker")}
    assert texts["per_agent"][0] == "at most 600/min, each agent for itself"
    assert texts["per_agent_day"][0] == "at most 8M USD in a day (UTC), each agent for itself"
    assert texts["tight"][0] == "within 50 bps of the mark, which is at most 5s old"
    assert texts["max_quantity.BTCUSDT"] == ("at most 5 in one order", "place, amend of BTCUSDT")
    assert texts["instruments"][0] == ("only BNBUSDT, BTCUSDT, DOGEUSDT, ETHUSDT, SOLUSDT, XRPUSDT")
    texts = {row.name: (row.text, row.applies) for row in explain(firm(), "hedge")}
    assert texts["max_eth"] == (
        "at most 50k USD by one action",
        "place, amend of ETHUSDT-PERP",
    )
    narrow = read(
        "{version: 1, firm: {agents: {a: {rate: {limit: 1/s, when: {venues: [okx, bybit]}}}}}}"
    )
    assert explain(narrow, "a")[1].applies.endswith("message on bybit, okx")


def test_explains_what_the_keys_of_an_agent_are_good_for() -> None:
    source = """
    version: 1
    firm: {name: f, agents: {a: {}, b: {}}}
    keys:
      m: {algorithm: ed25519}
      w: {venue: hyperliquid, purpose: venue_master, algorithm: ecdsa_secp256k1, for: a}
      t: {venue: bybit, algorithm: hmac_sha256, for: a, products: [spot, linear],
        endpoint: granted, validity: 250ms}
    """
    found = {(key.node, key.name): key.text for key in keys_of(read(source), "a")}
    assert found == {
        ("f", "m"): "ed25519, for messages",
        ("f/a", "w"): "ecdsa_secp256k1 of hyperliquid, for wallet; master key; validity 5s",
        ("f/a", "t"): "hmac_sha256 of bybit, for spot, linear; a host could send what it signs"
        " to another product, which is granted; validity 250ms",
    }
    assert [key.name for key in keys_of(read(source), "b")] == ["m"]
    [change] = diff(read(source), read(source.replace("spot, linear", "linear, option")))
    assert "products spot/linear," in change.before
    assert "products linear/option," in change.after


def test_explains_only_agents() -> None:
    with pytest.raises(UsageError, match="is no agent"):
        explain(firm(), "acme")


def by_name(found: Policy, name: str) -> policy.Constraint:
    return next(row for row in found.constraints if row.name == name)


@pytest.mark.parametrize(
    ("name", "value", "value_text", "bound_text"),
    [
        ("max_value", 612_000_500_000, "612000.50 USD", "500k USD"),
        ("price_collar", 3100, "31 bps", "2 %"),
        ("max_quantity.BTCUSDT", 6, "6", "5"),
        ("per_agent", 601, "601", "600/min"),
        ("order_types", 4, "stop_limit", "limit, market, stop_market, take_profit_market"),
        ("sides", 1, "buy", "sell"),
        ("sanctions", 1, "on the list", "not on the list"),
        ("destinations", 0, "not on the list", "on the list"),
    ],
)
def test_values_and_bounds_of_results_read_as_people_write_them(
    name: str, value: int, value_text: str, bound_text: str
) -> None:
    found = firm()
    row = by_name(found, name)
    bound = row.mask or row.bound
    bound = 1 if row.kind is Rule.DESTINATIONS else bound
    assert policy.value_text(found, row.kind, value, row) == value_text
    assert policy.bound_text(found, row.kind, bound, row) == bound_text
    assert policy.value_text(found, row.kind, value, row, flags=1) == "too large to count"
    assert policy.value_text(found, row.kind, value, row, flags=2) == "not known"


def test_values_of_implicit_results_read_as_words() -> None:
    found = firm()
    assert policy.value_text(found, Rule.KILL_SWITCH, 1, None) == "1 stop"
    assert policy.value_text(found, Rule.KILL_SWITCH, 0, None) == "0 stops"
    assert policy.value_text(found, Rule.ACTIONS, Action.PLACE, None) == "place"
    assert policy.bound_text(found, Rule.ACTIONS, 0, None) == "nothing"
    assert policy.value_text(found, Rule.INSTRUMENTS, 0, None) == "no instrument"
    assert policy.value_text(found, Rule.SIDES, 9, None) == "9"


# ---- Differences ---------------------------------------------------------------


def test_equal_policies_do_not_differ() -> None:
    assert diff(firm(), firm()) == ()


def test_names_everything_that_was_added_removed_and_changed() -> None:
    before = read(
        """
        version: 1
        firm:
          max_value: 5
          rate: 1/s
          agents: {a: {}, b: {}}
        assets: {X: {decimals: 2}, Y: {}}
        """
    )
    after = read(
        """
        version: 1
        firm:
          max_value: 6
          sides_are_free: x
          agents: {a: {}, c: {}}
        assets: {X: {decimals: 3}, Z: {}}
        marks: {max_age: 7s}
        """.replace("          sides_are_free: x\n", "")
    )
    found = {(c.what, c.kind, c.name): (c.before, c.after) for c in diff(before, after)}
    assert set(found) == {
        ("changed", "setting", "marks.max_age"),
        ("removed", "node", "firm/b"),
        ("added", "node", "firm/c"),
        ("changed", "asset", "X"),
        ("removed", "asset", "Y"),
        ("added", "asset", "Z"),
        ("changed", "constraint", "firm/max_value"),
        ("removed", "constraint", "firm/rate"),
        ("removed", "constraint", "firm/cancel_rate"),
    }
    assert found["changed", "setting", "marks.max_age"] == ("5s", "7s")
    cap = found["changed", "constraint", "firm/max_value"]
    assert cap[0].startswith("value_cap: at most 5 USD")
    assert cap[1].startswith("value_cap: at most 6 USD")


def test_a_list_of_as_many_other_addresses_differs(tmp_path: Path) -> None:
    source = "{version: 1, firm: {}, sanctions: {file: s.txt}}"
    (tmp_path / "s.txt").write_text("a\n")
    before = read(source, base=tmp_path)
    (tmp_path / "s.txt").write_text("b\n")
    [change] = diff(before, read(source, base=tmp_path))
    assert (change.name, change.after) == ("sanctions", "as many, but others")


# ---- Edits ---------------------------------------------------------------------


def test_the_first_limits_follow_the_name_and_comments_stay() -> None:
    text = configure_policy(
        INITIAL_POLICY, max_rate="1000/min", max_value="500000", daily_limit="10000000"
    )
    added = "  rate: 1000/min\n  max_value: 500k USD\n  daily_limit: 10M USD\n"
    assert text == INITIAL_POLICY.replace("  name: firm\n", "  name: firm\n" + added)
    draft = check_policy(text)
    assert {row.name: row.bound for row in draft.constraints if row.node == 0} == {
        "max_value": 500_000 * 10**6,
        "daily_limit": 10**13,
        "rate": 1000,
        "cancel_rate": 1000,
    }


def test_limits_that_exist_get_the_new_number_and_nothing_else_changes() -> None:
    first = configure_policy(INITIAL_POLICY, max_rate="5/s", max_value=1, daily_limit=2)
    second = configure_policy(first, max_rate="6/s", max_value="3k", daily_limit="4M")
    assert second == first.replace("5/s", "6/s").replace("1 USD", "3k USD").replace(
        "2 USD", "4M USD"
    )
    assert configure_policy(second) == second
    assert configure_policy(second, max_value="3k") == second


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{version: 1, firm: {}}", "{version: 1, firm: {max_value: 7 USD}}"),
        ("{version: 1, firm: {id: 5}}", "{version: 1, firm: {max_value: 7 USD, id: 5}}"),
        (
            "version: 1\nfirm:\n    # why\n    id: 5 # five\n",
            "version: 1\nfirm:\n    # why\n    max_value: 7 USD\n    id: 5 # five\n",
        ),
        (
            "version: 1\nfirm:\n  id: 5\n  name: 'x' # last",
            "version: 1\nfirm:\n  id: 5\n  name: 'x' # last\n  max_value: 7 USD",
        ),
        (
            "version: 1\nfirm:\n  max_value: '5k' # é ü\n",
            "version: 1\nfirm:\n  max_value: 7 USD # é ü\n",
        ),
        (
            "version: 1\nfirm: # ü\n  max_value: {name: x, cap: 5} # cap\n",
            "version: 1\nfirm: # ü\n  max_value: {name: x, cap: 7 USD} # cap\n",
        ),
        (
            "version: 1\nfirm:\n  max_value:\n  - {name: a, cap: 1, when: {venues: [okx]}}\n"
            "  - cap: 5\n",
            "version: 1\nfirm:\n  max_value:\n  - {name: a, cap: 1, when: {venues: [okx]}}\n"
            "  - cap: 7 USD\n",
        ),
    ],
)
def test_only_the_characters_of_the_limit_change(before: str, after: str) -> None:
    assert configure_policy(before, max_value=7) == after


def test_a_limit_that_is_only_conditional_is_left_to_the_author() -> None:
    source = "version: 1\nfirm:\n  rate: {limit: 1/s, when: {venues: [okx]}}\n"
    with pytest.raises(ConfigError, match=r"p\.yaml:3:3: each `rate` of the firm") as caught:
        configure_policy(source, max_rate="2/s", file="p.yaml")
    assert "limit: 2/s" in caught.value.next_step


@pytest.mark.parametrize(
    "limits", [{"max_rate": "1000/parsec"}, {"max_value": "1 EUR"}, {"daily_limit": "-1"}]
)
def test_a_wrong_limit_is_refused_before_the_text_is_looked_at(limits: dict[str, str]) -> None:
    with pytest.raises(UnitInvalid):
        configure_policy("not a policy", **limits)


def test_a_text_that_is_wrong_is_not_edited() -> None:
    with pytest.raises(ConfigError, match="unknown key 'x'"):
        configure_policy("version: 1\nfirm: {x: 1}\n", max_value=1)


# ---- The page ------------------------------------------------------------------

PAGE = (TOP / "docs" / "policy-language.md").read_text()


def test_the_example_of_the_page_compiles_without_warnings(tmp_path: Path) -> None:
    (tmp_path / "sanctions.txt").write_text("# none\n")
    source = PAGE.split("```yaml\n")[1].split("```")[0]
    draft = check_policy(source, base=tmp_path)
    assert lint(draft) == ()
    assert {row.kind for row in draft.constraints} >= set(Rule) - {Rule.KILL_SWITCH, Rule.SIDES}
    assert set(draft.document.data) == set(policy.schema()["properties"])


def test_the_page_names_every_key_constraint_default_and_warning() -> None:
    definitions = policy.schema()["$defs"]
    for table in ("agent", "asset", "network", "instrument", "destination", "key", "when"):
        for key in definitions[table]["properties"]:
            assert f"`{key}" in PAGE or f"{key}," in PAGE or f"{key}}}" in PAGE, (table, key)
    rows = {line.split("`")[1] for line in PAGE.split("## What `lint`")[1].splitlines()
            if line.startswith("| `")}  # fmt: skip
    assert rows == CODES
    defaults = dict(
        line.strip("| ").split(" | ")[:2]
        for line in PAGE.split("## Settings")[1].split("## What")[0].splitlines()
        if line.startswith("| `")
    )
    assert defaults == {
        "`marks.max_age`": f"`{_policy_resolve.MARK_MAX_AGE}`",
        "`marks.market_band`": f"`{_policy_resolve.MARKET_BAND}`",
        "`attempts.limit`": f"`{_policy_resolve.ATTEMPTS}`",
        "`clock.tolerance`": f"`{_policy_resolve.CLOCK_TOLERANCE}`",
        "`book.entries`": f"`{_policy_resolve.BOOK_ENTRIES}`",
        "`lease`": "none",
        "`oversight.approve`": "none",
        "`oversight.notify`": "none",
    }
