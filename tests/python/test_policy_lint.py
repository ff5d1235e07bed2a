"""Goal: each warning about a policy stands where its cause is, and nothing else is warned of.

Method: a small policy without warnings, changed in one place at a time.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from sentinel._policy_lint import CODES
from sentinel.policy import INITIAL_POLICY, check_policy, lint

TOP = Path(__file__).resolve().parents[2]
FIRM = TOP / "examples" / "firm.yaml"


def warnings(source: str, **options: Any) -> list[tuple[str, int, int]]:
    found = lint(check_policy(textwrap.dedent(source).lstrip("\n"), file="p.yaml", **options))
    assert all(str(w).startswith(f"p.yaml:{w.line}:{w.column}: {w.code}: ") for w in found)
    assert all(w.next_step for w in found)
    return [(w.code, w.line, w.column) for w in found]


QUIET = """
version: 1
firm:
  max_value: 5
  agents:
    a: {allow: {actions: [place, cancel]}}
assets: {B: {}, U: {par: 1 USD}}
instruments: {I: {venue: binance_spot, base: B, quote: U, tick: 1, lot: 1}}
keys: {k: {venue: binance_spot, algorithm: ed25519, endpoint: checked, validity: 1s}}
"""


def test_a_policy_in_order_has_no_warning() -> None:
    assert warnings(QUIET) == []


def test_the_initial_policy_has_no_warning() -> None:
    assert warnings(INITIAL_POLICY) == []


CHANGES: list[tuple[str, str, list[tuple[str, int, int]]]] = [
        ("  agents:\n    a: {allow: {actions: [place, cancel]}}\n", "",
         [("no-agent", 2, 1), ("unreachable", 3, 14)]),
        ("{allow: {actions: [place, cancel]}}", "{}",
         [("unreachable", 3, 14), ("agent-can-do-nothing", 5, 5)]),
        ("  max_value: 5\n", "  max_value: 5\n  allow: {actions: [query]}\n",
         [("unreachable", 3, 14), ("agent-can-do-nothing", 6, 5)]),
        ("  max_value: 5\n", "", [("no-value-limit", 4, 5)]),
        ("max_value: 5", "max_value: {cap: 5, when: {venues: [binance_spot]}}",
         [("no-value-limit", 5, 5)]),
        ("max_value: 5", "max_value: 0", [("zero-limit", 3, 14)]),
        ("max_value: 5", "max_value: 5\n  daily_limit: 4", [("cap-above-limit", 3, 14)]),
        ("max_value: 5", "max_value: 5\n  daily_limit: 5", []),
        ("max_value: 5", "max_value: 5\n  approval: {above: 5, approvers: 1, within: 1h}",
         [("approval-never-asks", 4, 13)]),
        ("max_value: 5", "max_value: 5\n  approval: {above: 4, approvers: 1, within: 1h}", []),
        ("max_value: 5", "max_value: 5\n  approval: {approvers: 1, within: 1h}",
         [("cancels-wait", 4, 13)]),
        ("max_value: 5", "max_value: 5\n  approval: {approvers: 1, within: 1h,"
         " when: {actions: [place]}}", []),
        ("assets:", "oversight: {approve: [place], approvers: 2, within: 1h}\nassets:", []),
        ("assets:", "oversight: {approve: [cancel], approvers: 2, within: 1h}\nassets:",
         [("cancels-wait", 6, 13)]),
        ("max_value: 5", "max_value: 5\n  rolling: {cap: 4, window: 1h}",
         [("cap-above-limit", 3, 14)]),
        ("max_value: 5", "max_value: 5\n  rate: 5/s", []),
        ("max_value: 5", "max_value: 5\n  rate: 5/s\n  cancel_rate: 4/s",
         [("cancels-slower-than-orders", 5, 16)]),
        ("max_value: 5", "max_value: 5\n  rate: 5/s\n  cancel_rate: 300/min", []),
        ("max_value: 5", "max_value: 5\n  rate: {limit: 5/s, when: {actions: [place]}}",
         [("cancels-unlimited", 5 + 1, 5)]),
        ("max_value: 5", "max_value: 5\n  rate: {limit: 5/s, when: {actions: [place, cancel]}}",
         [("cancels-share-budget", 4, 9)]),
        ("max_value: 5", "max_value: 5\n  query_rate: 5/s", [("unreachable", 4, 15)]),
        ("max_value: 5", "max_value: 5\n  allow: {venues: [okx]}", [("no-instrument", 6, 5)]),
        ("max_value: 5", "max_value: 5\n  max_quantity: {I: 5}\n  allow: {venues: [okx]}",
         [("unreachable", 4, 21), ("no-instrument", 7, 5)]),
        ("U: {par: 1 USD}", "U: {}", [("quote-needs-marks", 6, 17)]),
        ("assets: {B: {}, U: {par: 1 USD}}\ninstruments: {I: {venue: binance_spot,",
         "assets: {B: {}, U: {par: 1 USD}}\ninstruments: {I: {contract: option, strike: 5,"
         " venue: okx,",
         [("no-key", 5, 5), ("quote-needs-marks", 6, 10), ("not-traded", 7, 15)]),
        ("assets: {B: {}, U: {par: 1 USD}}\ninstruments: {I: {venue: binance_spot,",
         "assets: {B: {}, U: {}}\ninstruments: {I: {contract: quanto, multiplier: 1, settle: B,"
         " venue: okx,",
         [("no-key", 5, 5), ("quote-needs-marks", 6, 10), ("not-traded", 7, 15)]),
        ("U: {par: 1 USD}", "U: {mark: B}", [("quote-needs-marks", 6, 10)]),
        ("endpoint: checked", "endpoint: granted", [("endpoint-granted", 8, 8)]),
        ("keys: {k: {venue: binance_spot, algorithm: ed25519, endpoint: checked, validity: 1s}}\n",
         "",
         [("no-key", 5, 5)]),
        ("keys: {", "keys: {l: {venue: binance_spot, algorithm: ed25519, endpoint: checked,"
         " validity: 1s}, ",
         [("several-keys", 5, 5)]),
        ("[place, cancel]", "[place, cancel, message]", [("no-key", 5, 5)]),
        ("[place, cancel]", "[place, cancel, withdraw]",
         [("no-key", 5, 5), ("withdraw-without-destinations", 5, 5),
          ("withdraw-without-sanctions", 5, 5)]),
        ("algorithm: ed25519, ", "algorithm: ed25519, products: [linear], ", [("no-key", 5, 5)]),
        ("keys: {", "keys: {l: {venue: binance_spot, algorithm: ed25519, endpoint: checked,"
         " products: [wallet]}, ", []),
        ("  agents:\n", "  groups: {g: {}}\n  agents:\n", [("unused", 4, 12)]),
        (", validity: 1s", "", [("replayable", 8, 8)]),
        ("validity: 1s", "validity: 1001ms", [("replayable", 8, 8)]),
        ("validity: 1s", "validity: 1ms", []),
    ]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES)
def test_warns_of(old: str, new: str, expected: list[tuple[str, int, int]]) -> None:
    assert old in QUIET
    assert warnings(QUIET.replace(old, new)) == expected


def test_warns_of_a_destination_on_the_sanctions_list_and_of_one_unused(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("ABC\n")
    source = """
    version: 1
    firm:
      max_value: 5
      sanctions: true
      destinations: [bad]
      agents: {a: {allow: {actions: [withdraw]}}}
    assets: {U: {par: 1}}
    networks: {N: {asset: U}}
    destinations:
      bad: {network: N, address: abc}
      idle: {network: N, address: def}
    sanctions: {file: s.txt}
    keys: {w: {venue: okx, algorithm: hmac_sha256, products: [wallet]}}
    """
    assert warnings(source, base=tmp_path) == [
        ("destination-sanctioned", 10, 3),
        ("unused", 11, 3),
    ]


def test_what_follows_from_a_rate_is_no_unreachable_constraint() -> None:
    source = QUIET.replace("[place, cancel]", "[place]")
    assert warnings(source.replace("max_value: 5", "max_value: 5\n  rate: 5/s")) == []
    written = "max_value: 5\n  rate: 5/s\n  cancel_rate: 5/s"
    assert warnings(source.replace("max_value: 5", written)) == [("unreachable", 5, 16)]


def test_every_warning_has_a_test() -> None:
    tested = {code for _, _, found in CHANGES for code, _, _ in found}
    assert tested | {"destination-sanctioned"} == CODES


@pytest.mark.parametrize(
    ("allow", "warned"),
    [
        ("order_types: [limit], times_in_force: [gtc, post_only]", False),
        ("order_types: [limit, stop_limit, take_profit_limit], times_in_force: [none, gtd]", False),
        ("times_in_force: [gtc, gtd, post_only]", False),  # a market order has none
        ("order_types: [limit]", True),
        ("order_types: [limit], times_in_force: [ioc]", True),
        ("order_types: [take_profit_limit], times_in_force: [gtc, fok]", True),
        ("order_types: [market]", True),
        ("order_types: [market], times_in_force: [none]", True),
        ("order_types: [stop_market], times_in_force: [none, gtc]", True),
        ("times_in_force: [none, post_only]", True),
        ("order_types: [limit, market], times_in_force: [gtc]", False),
        ("times_in_force: [gtc], when: {venues: [binance_spot]}", False),
        ("times_in_force: [gtc], when: {venues: [okx]}", True),
        ("times_in_force: [gtc], when: {instrument: I}", False),
        ("times_in_force: [gtc], when: {actions: [amend]}", True),
    ],
)
def test_an_order_that_fills_at_once_is_one_of_the_allowlists_left(
    allow: str, warned: bool
) -> None:
    source = QUIET.replace(", validity: 1s", "").replace(
        "  agents:", f"  allow: {{{allow}}}\n  agents:"
    )
    found = [w for w in warnings(source) if w[0] != "unreachable"]
    assert found == ([("replayable", 9, 8)] if warned else [])


@pytest.mark.parametrize(
    ("venue", "key", "validity", "for_how_long"),
    [
        ("binance_spot", "hmac_sha256, endpoint: checked", ", validity: 7s", "7s"),
        ("binance_spot", "hmac_sha256, endpoint: checked", ", validity: 3s", "5s"),
        ("binance_spot", "hmac_sha256, endpoint: checked", ", validity: 1s", None),
        ("bybit", "hmac_sha256, endpoint: checked, products: [spot]", ", validity: 3s", "3s"),
        ("bybit", "hmac_sha256, endpoint: checked, products: [spot]", ", validity: 1s", None),
        ("bybit", "hmac_sha256, endpoint: checked, products: [linear]", "", None),
        ("okx", "hmac_sha256", ", validity: 1s", "30s"),  # it is sent beside the signature
        ("okx", "hmac_sha256, products: [wallet]", "", None),
        ("deribit", "hmac_sha256", "", None),
        ("hyperliquid", "ecdsa_secp256k1", "", None),
    ],
)
def test_only_what_a_venue_takes_twice_is_replayable(
    venue: str, key: str, validity: str, for_how_long: str | None
) -> None:
    index = "index: 10000," if venue == "hyperliquid" else ""
    source = f"""
    version: 1
    firm: {{max_value: 5, groups: {{g: {{agents: {{a: {{allow: {{actions: [place]}}}}}}}}}},
      agents: {{b: {{allow: {{actions: [cancel]}}}}}}}}
    assets: {{B: {{}}, U: {{par: 1}}}}
    instruments: {{I: {{venue: {venue}, contract: spot, base: B, quote: U, {index}
      tick: 1, lot: 1}}}}
    keys: {{k: {{venue: {venue}, algorithm: {key}{validity}}}}}
    """
    draft = check_policy(textwrap.dedent(source).lstrip("\n"), file="p.yaml")
    found = [w for w in lint(draft) if w.code == "replayable"]
    assert [w.message for w in found] == [
        f"an order that fills at once, signed with 'k' for firm/g/a, can be sent again for"
        f" {for_how_long} by who carries it; limits count it once"
    ] * (for_how_long is not None)
    assert all(("validity: 1s" in w.next_step) == (venue != "okx") for w in found)
    elsewhere = source.replace(f"algorithm: {key}", f"for: b, algorithm: {key}")
    draft = check_policy(textwrap.dedent(elsewhere).lstrip("\n"), file="p.yaml")
    assert not [w for w in lint(draft) if w.code == "replayable"]


def test_the_example_has_only_the_warnings_it_shows() -> None:
    draft = check_policy(FIRM.read_text(), file=str(FIRM))
    found = lint(draft)
    assert [w.code for w in found] == [
        "unused",
        "quote-needs-marks",
        "endpoint-granted",
        "replayable",
    ]
    assert "'okx-hmac'" in found[3].message  # nothing but the venue's 30 seconds ends those
