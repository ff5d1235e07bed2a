"""Goal: a policy that is not of the language is refused, with its place and a remedy.

Method: each error class in a small policy with a mark ‸ where the error must be named.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_samples import TABLES, firm, refused

from sentinel._policy_yaml import SOURCE_BYTES_MAX
from sentinel.errors import ConfigError
from sentinel.policy import INITIAL_POLICY, check_policy, schema

# ---- YAML --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("‸", "the file is empty"),
        ("version: 1\nfirm:\n‸\tname: x\n", "this is not YAML"),
        ("version: 1\nfirm: [1, 2\nagents‸: {}\n", "this is not YAML"),
        ("version: 1\nfirm: a‸: b\n", "this is not YAML"),
        ("version: 1\n‸---\nversion: 1\n", "more than one YAML document"),
        ("version: 1\nfirm: ‸&a {name: x}\n", "anchors and aliases are not allowed"),
        ("version: 1\nfirm: ‸*a\n", "anchors and aliases are not allowed"),
        ("version: 1\n‸&k firm: {}\n", "anchors and aliases are not allowed"),
        ("version: 1\nfirm: ‸!!python/object:os.system {}\n", "the tag"),
        ("version: ‸!!int '1'\n", "the tag"),
        ("version: 1\nfirm: {‸<<: {name: x}}\n", "merge keys"),
        ("version: 1\nfirm:\n  name: a\n  ‸name: b\n", "'name' stands twice; first in line 3"),
        ("version: 1\n? ‸[a]\n: b\n", "a key must be a name"),
        ("version: 1\nfirm: {name: é‸\x07}\n", "the character '\\x07' is not allowed"),
    ],
)
def test_refuses_text_that_is_not_plain_yaml(source: str, problem: str) -> None:
    assert problem in str(refused(source))


def test_refuses_bytes_that_are_not_utf8() -> None:
    with pytest.raises(ConfigError, match=r"p\.yaml:2:7: the text is not UTF-8"):
        check_policy(b"version: 1\nfirm: \xff\n", file="p.yaml")


def test_refuses_nesting_without_end() -> None:
    with pytest.raises(ConfigError, match="nested deeper than 40"):
        check_policy("firm: " + "[" * 100_000, file="p.yaml")
    with pytest.raises(ConfigError, match="nested deeper than 40"):
        check_policy("firm: " + "{a: " * 50 + "}" * 50, file="p.yaml")


def test_refuses_files_that_are_too_large() -> None:
    policy = "version: 1\nfirm: {}\n"
    check_policy(policy + "#" * (SOURCE_BYTES_MAX - len(policy)), file="p.yaml")
    with pytest.raises(ConfigError, match="larger than"):
        check_policy(policy + "#" * (SOURCE_BYTES_MAX - len(policy) + 1), file="p.yaml")


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        check_policy(text, file="p.yaml")


@given(st.integers(0, len(INITIAL_POLICY) - 1), st.text(max_size=3))
@settings(max_examples=300)
def test_any_change_of_a_policy_is_read_or_refused(at: int, text: str) -> None:
    source = INITIAL_POLICY[:at] + text + INITIAL_POLICY[at + 1 :]
    try:
        check_policy(source, file="p.yaml")
    except ConfigError as error:
        assert error.line > 0, error  # noqa: PT017


# ---- Form --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "problem", "remedy"),
    [
        ("version: 1\nfirm: {‸max_valeu: 5}", "did you mean 'max_value'?", "known here: "),
        ("version: 1\nfirm: {}\n‸extra: 1", "unknown key 'extra'", "known here: "),
        ("version: 1\nfirm: {allow: {‸action: [place]}}", "did you mean 'actions'?", ""),
        ("‸version: 1", "the key 'firm' is missing", ""),
        ("‸firm: {}", "the key 'version' is missing", ""),
        ("version: ‸2\nfirm: {}", "the number 2 is not known here", "use 1"),
        ("version: 1\nfirm: ‸text", "expected a mapping, found 'text'", ""),
        ("version: 1\nfirm: ‸[]", "expected a mapping, found a list", ""),
        ("version: 1\nfirm:‸", "expected a mapping, found nothing", ""),
        ("‸- version: 1", "expected a mapping, found a list", ""),
        (
            "version: 1\nfirm: {allow: {actions: [place, ‸plcae]}}",
            "did you mean 'place'?",
            "use place, amend",
        ),
        ("version: 1\nfirm: {allow: {sides: ‸[]}}", "a list is empty", ""),
        ("version: 1\nfirm: {allow: ‸{}}", "a mapping is empty", ""),
        ("version: 1\nfirm: {allow: {sides: ‸[buy, buy]}}", "stands twice", "keep one"),
        ("version: 1\nfirm: {allow: {sides: ‸buy}}", "expected a list, found 'buy'", ""),
        ("version: 1\nfirm: {sanctions: ‸false}", "expected true or a mapping", ""),
        ("version: 1\nfirm: {agents: {‸a b: {}}}", "'a b' is not a name", "1 to 64 letters"),
        ("version: 1\nfirm: {agents: {‸'': {}}}", "'' is not a name", ""),
        ("version: 1\nfirm: {agents: {‸é: {}}}", "'é' is not a name", ""),
        ("version: 1\nfirm: {agents: {a: {agents: {}}}}".replace("{agents: {}}", "{‸agents: {}}"),
         "unknown key 'agents'", ""),
        ("version: 1\nfirm: {id: ‸0}", "0 is below 1", ""),
        ("version: 1\nfirm: {id: ‸4294967296}", "4294967296 is above 4294967295", ""),
        ("version: 1\nfirm: {id: ‸1.5}", "expected a whole number, found the number 1.5", ""),
        ("version: 1\nfirm: {rate: ‸1000}", "1000' is not a rate", "such as 1000/min"),
        ("version: 1\nfirm: {rate: ‸true}", "expected a rate or a mapping or a list", ""),
        ("version: 1\nfirm: {max_value: ‸true}", "expected an amount or a mapping or a list", ""),
        ("version: 1\nfirm: {max_value: ‸null}", "found nothing", ""),
        ("version: 1\nfirm: {max_value: [{cap: 5}, {‸cpa: 5}]}", "did you mean 'cap'?", ""),
        ("version: 1\nfirm: {‸rolling: {cap: 5}}", "the key 'window' is missing", ""),
        ("version: 1\nfirm: {price_collar: {within: ‸30}}", "unit is missing", "30 bps"),
        ("version: 1\nfirm: {rate: {limit: 1/s, each: ‸maybe}}", "expected true or false", ""),
        ("version: 1\nfirm: {rate: {limit: 1/s, when: ‸{}}}", "a mapping is empty", ""),
        ("version: 1\nfirm: {rate: {limit: 1/s, when: {venues: [‸binance]}}}",
         "'binance' is not known here", "use binance_spot"),
        ("version: 1\nfirm: {}\nassets: {BTC: {code: ‸'a b'}}", "a character or a length", ""),
        ("version: 1\nfirm: {}\nassets: {BTC: {decimals: ‸37}}", "37 is above 36", ""),
        ("version: 1\nfirm: {}\n‸book: {}", "the key 'entries' is missing", ""),
        ("version: 1\nfirm: {}\nsanctions: {file: ‸''}", "is empty", ""),
    ],
)  # fmt: skip
def test_refuses_what_is_not_of_the_language(source: str, problem: str, remedy: str) -> None:
    error = refused(source)
    assert problem in error.message
    assert remedy in error.next_step


def test_reports_further_errors_of_the_same_file() -> None:
    error = refused("version: 1\nfirm: {‸a: 1, max_value: true}\nassets: {B C: {}, D: {x: 1}}\n")
    assert [(e.line, e.column) for e in error.also] == [(2, 25), (3, 10), (3, 23)]
    assert error.diagnostics().count("p.yaml:") == 4


def test_the_schema_is_one_that_editors_understand() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"].endswith("2020-12/schema")
    # As an editor reads it: 0.01 is a float there.
    document = {"version": 1, "firm": {"max_value": 0.5, "rate": "1/s"}}
    assert Draft202012Validator(schema()).is_valid(document)
    assert not Draft202012Validator(schema()).is_valid({"version": 1, "firm": {"x": 1}})


# ---- Units, with their place ---------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "problem"),
    [
        ("rate: ‸1000/parsec", "'parsec' is not a unit of time"),
        ("rate: {limit: ‸0/s}", "from 1 to 131072"),
        ("cancel_rate: ‸5", "is not a rate"),
        ("query_rate: ‸1/m", "did you mean 'min'?"),
        ("max_value: ‸500 EUR", "'EUR' is not k, M, B or USD"),
        ("max_value: ‸-5", "it is negative"),
        ("max_value: ‸1e6", "exponents"),
        ("max_value: ‸0.0000001", "finer than one micro-USD"),
        ("max_value: ‸9223372036855", "above 9223372036854775807"),
        ("max_value: {cap: ‸5 usd}", "did you mean 'USD'?"),
        ("daily_limit: {cap: ‸x}", "does not begin with a number"),
        ("rolling: {cap: 5, window: ‸1m}", "did you mean 'min'?"),
        ("rolling: {cap: 5, window: ‸401 days}", "at most 400 days"),
        ("price_collar: {within: ‸30 bp}", "did you mean 'bps'?"),
        ("price_collar: {within: 1 %, max_age: ‸5}", "unit of time"),
        ("max_quantity: {BTCUSDT: ‸5 BTC}", "'BTC' follows the number"),
        ("max_quantity: {BTCUSDT: {cap: ‸0.0000000000000000001}}", "more than 18 digits"),
    ],
)
def test_names_the_place_of_a_wrong_unit(constraint: str, problem: str) -> None:
    error = refused(firm(constraint))
    assert problem in error.message
    assert error.next_step.startswith("write ")


# ---- Meaning -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraint", "problem"),
    [
        ("allow: {instruments: [‸BTCUSD]}", "there is no instrument 'BTCUSD'; did you mean"),
        ("max_quantity: {‸BTCUSD: 5}", "there is no instrument 'BTCUSD'"),
        ("max_quantity: {BTCUSDT: {cap: 5, when: {instrument: ‸BTCUSDT}}}", "the key names"),
        ("max_value: {cap: 5, when: {instrument: ‸X}}", "there is no instrument 'X'"),
        ("destinations: [‸clod]", "there is no destination 'clod'; did you mean 'cold'?"),
        ("destinations: {allow: [‸hot]}", "there is no destination 'hot'"),
        ("destinations: [cold, ‸same]", "'same' is the same place as 'cold'"),
        ("sanctions: ‸true", "the policy has no sanctions list"),
        ("sanctions: ‸{name: x}", "the policy has no sanctions list"),
        ("max_quantity: {BTCUSDT: {cap: 5, when: {actions: [place, ‸withdraw]}}}",
         "never applies to 'withdraw'"),
        ("max_value: {cap: 5, when: {actions: [‸cancel]}}", "never applies to 'cancel'"),
        ("allow: ‸{name: x}", "this block allows nothing"),
        ("allow: ‸{when: {venues: [okx]}}", "this block allows nothing"),
        ("max_value: [{cap: 5}, ‸{cap: 6}]", "are named 'max_value'; the first is in line 4"),
        ("allow: [{sides: [buy]}, {sides: ‸[sell]}]", "are named 'sides'"),
        ("max_value: {name: x, cap: 5}\nrate: ‸{name: x, limit: 1/s}", "are named 'x'"),
        ("rate: ‸1/s\nmax_value: {name: cancel_rate, cap: 5}", "are named 'cancel_rate'"),
        ("groups: {a: {}}\nagents: {‸a: {}}", "'a' is a group and an agent"),
        ("agents: {a: {id: 7}, b: {id: ‸7}}", "node 'firm/b' has the same id 7 as 'firm/a'"),
    ],
)  # fmt: skip
def test_refuses_constraints_that_mean_nothing(constraint: str, problem: str) -> None:
    tables = TABLES + "  same: {network: TRX, address: TAddress}\n"
    error = refused(firm(constraint, tables))
    assert problem in error.message


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        ("assets: {A: {par: ‸0}}", "above 0"),
        ("assets: {A: {}, B: {mark: A, par: 1}}".replace("mark: A", "mark: ‸A"), "exclude each"),
        ("assets: {A: {mark: ‸B}}", "there is no asset 'B'"),
        ("assets: {A: {mark: ‸A}}", "'A' has no mark of its own"),
        ("assets: {A: {}, B: {mark: A}, C: {mark: ‸B}}", "'B' has no mark of its own"),
        ("assets: {‸AAAAAAAAAAAAAAAAAAAAAAAAA: {}}".replace("‸A", "A").replace(": {}}", ": ‸{}}"),
         "longer than 24"),
        ("assets: {A: {token: ‸'0xC4bf3f870c0e9465323c0b6ed28096c2'}}", "a character or a length"),
        ("assets: {A: {token: ‸'0xc4bf3f870c0e9465323c0b6ed28096c2'}}", "only hyperliquid numbers"),
        ("assets: {A: {id: 5}, B: {id: ‸5}}", "asset 'B' has the same id 5 as 'A'"),
        ("networks: {N: {asset: ‸X}}", "there is no asset 'X'"),
        ("networks: {‸N: {}}", "the key 'asset' is missing"),
        ("destinations: {d: ‸{network: N}}", "needs `network` and `address`"),
        ("destinations: {d: ‸{address: x}}", "needs `network` and `address`"),
        ("destinations: {d: ‸{account: x, memo: y}}", "needs `network` and `address`"),
        ("destinations: {d: ‸{account: x, network: N, address: y}}", "needs `network`"),
        ("destinations: {d: {network: ‸M, address: y}}", "there is no network 'M'"),
        ("destinations: {d: {network: N, address: ‸a&b}}", "a character or a length"),
        ("destinations: {d: {account: x}}\nbook: {entries: ‸1000}", "power of two"),
        ("marks: {market_band: ‸100 %}", "not below 100 %"),
        ("marks: {max_age: ‸5}", "unit of time"),
        ("attempts: {limit: ‸5}", "is not a rate"),
        ("clock: {tolerance: ‸1m}", "did you mean 'min'?"),
        ("sanctions: {file: ‸nowhere.txt}", "nowhere.txt cannot be read: No such file"),
    ],
)  # fmt: skip
def test_refuses_tables_that_mean_nothing(tables: str, problem: str) -> None:
    rest = "" if tables.startswith(("assets", "networks")) else "assets: {U: {}}\n"
    rest += "" if tables.startswith("networks: ") or not rest else "networks: {N: {asset: U}}\n"
    error = refused(f"version: 1\nfirm: {{}}\n{rest}{tables}\n")
    assert problem in error.message


GOOD = "venue: binance_spot, base: B, quote: U, tick: 1, lot: 1"
OKX = GOOD.replace("binance_spot", "okx")
HYPERLIQUID = GOOD.replace("binance_spot", "hyperliquid")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("I: {" + GOOD + ", ‸x: 1}", "unknown key 'x'"),
        ("‸I: {" + GOOD.replace(", lot: 1", "") + "}", "the key 'lot' is missing"),
        ("I: {" + GOOD.replace("base: B", "base: ‸X") + "}", "there is no asset 'X'"),
        ("I: {" + GOOD.replace("quote: U", "quote: ‸X") + "}", "there is no asset 'X'"),
        ("I: {" + GOOD.replace("tick: 1", "tick: ‸0") + "}", "above 0"),
        ("I: {" + GOOD.replace("lot: 1", "lot: ‸0.0") + "}", "above 0"),
        ("I: {" + GOOD + ", multiplier: ‸2}", "spot has the multiplier 1"),
        ("I: {" + GOOD + ", multiplier: ‸0}", "above 0"),
        ("I: {" + GOOD + ", settle: ‸B}", "spot settles in the quote asset"),
        ("I: {" + OKX + ", contract: inverse, multiplier: 1, settle: ‸U}",
         "inverse settles in the base asset, B"),
        ("I: {" + OKX + ", contract: option, strike: 1, settle: ‸B}",
         "option settles in the quote asset, U"),
        ("I: {" + GOOD + ", unit: ‸quote}", "a quantity of spot counts base"),
        ("I: {" + GOOD + ", contract: ‸linear}", "binance_spot has spot instruments only"),
        ("I: {" + GOOD + ", strike: ‸5}", "only options have a strike"),
        ("I: {" + GOOD + ", expiry: ‸2026-01-01T00:00:00Z}", "spot never expires"),
        ("I: ‸{" + GOOD.replace("binance_spot", "okx") + "}", "okx has several kinds"),
        ("I: {" + GOOD.replace("binance_spot", "okx") + ", contract: linear, expiry: ‸soon}",
         "'soon' is not a time"),
        ("I: {" + GOOD + ", index: ‸5}", "only hyperliquid numbers its instruments"),
        ("‸I: {" + OKX + ", contract: quanto, multiplier: 1}", "a quanto contract needs `settle:`"),
        ("I: {" + OKX + ", contract: quanto, settle: B, multiplier: 1, unit: ‸base}",
         "a quantity of quanto counts contracts"),
        ("‸I: {" + OKX + ", contract: linear, unit: contracts}", "needs `multiplier:`"),
        ("‸I: {" + OKX + ", contract: inverse}", "needs `multiplier:`"),
        ("‸I: {" + HYPERLIQUID + ", contract: spot}", "hyperliquid knows an instrument by its"),
        ("I: {" + HYPERLIQUID + ", contract: spot, index: ‸9999}", "from 10000"),
        ("I: {" + HYPERLIQUID + ", contract: linear, index: ‸10000}", "below 10000"),
        ("I: {" + HYPERLIQUID + ", index: 1, contract: ‸inverse}", "spot and linear instruments"),
        ("I: {" + GOOD + "}, J: {" + GOOD + ", symbol: ‸I}", "is the instrument 'I' already"),
        ("I: {" + GOOD.replace("base: B", "base: ‸O") + "}", "the asset 'O' is of okx"),
    ],
)  # fmt: skip
def test_refuses_instruments_that_cannot_be(row: str, problem: str) -> None:
    tables = f"assets: {{B: {{}}, U: {{}}, O: {{venue: okx}}}}\ninstruments: {{{row}}}\n"
    assert problem in refused(f"version: 1\nfirm: {{}}\n{tables}").message


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("‸k: {venue: binance_spot, algorithm: ed25519}", "do not cover the endpoint"),
        ("‸k: {venue: okx, purpose: message, algorithm: ed25519}", "needs `venue:`"),
        ("‸k: {purpose: venue, algorithm: ed25519}", "needs `venue:`"),
        ("k: {venue: okx, purpose: ‸venue_master, algorithm: ed25519}", "only hyperliquid"),
        ("k: {venue: okx, algorithm: ed25519, validity: ‸61s}", "at most 60s"),
        ("k: {venue: okx, algorithm: ed25519, validity: ‸1500us}", "whole milliseconds"),
        ("k: {algorithm: ed25519, validity: ‸5s}", "a message has no validity"),
        ("k: {algorithm: ed25519, for: ‸nobody}", "there is no node 'nobody'"),
        ("k: {algorithm: ed25519, for: ‸twin}", "several nodes are named 'twin'"),
        ("k: {algorithm: ‸dsa}", "'dsa' is not known here"),
        ("k: {algorithm: ‸rsa}", "RSA keys are refused"),
        ("‸k: {venue: bybit, algorithm: hmac_sha256, endpoint: checked}", "needs `products:`"),
        ("k: {venue: bybit, algorithm: hmac_sha256, products: [spot, linear], endpoint: ‸checked}",
         "is not limited to its product"),
        ("k: {venue: okx, algorithm: hmac_sha256, products: ‸[]}", "is empty"),
        ("k: {venue: okx, algorithm: hmac_sha256, products: [‸margin]}", "is not known here"),
        ("k: {algorithm: ed25519, products: ‸[spot]}", "a message key has no products"),
        ("k: {algorithm: ed25519, account: ‸x}", "a message key has no account"),
        ("k: {venue: hyperliquid, algorithm: ecdsa_secp256k1, products: ‸[linear, wallet]}",
         "an agent key cannot move funds"),
        ("k: {venue: hyperliquid, purpose: venue_master, algorithm: ecdsa_secp256k1,"
         " products: ‸[spot]}", "a master key moves funds and nothing else"),
        ("‸k: {venue: okx}", "the key 'algorithm' is missing"),
    ],
)  # fmt: skip
def test_refuses_keys_that_cannot_be(row: str, problem: str) -> None:
    nodes = "{groups: {a: {agents: {twin: {}}}, b: {agents: {twin: {}}}}}"
    assert problem in refused(f"version: 1\nfirm: {nodes}\nkeys: {{{row}}}\n").message


def test_refuses_more_nodes_in_depth_than_the_limit() -> None:
    def nested(depth: int, mark: str = "") -> str:
        text = f"agents: {{{mark}x: {{}}}}"
        for _ in range(depth - 2):
            text = f"groups: {{g: {{{text}}}}}"
        return f"version: 1\nfirm: {{{text}}}\n"

    assert len(check_policy(nested(10)).nodes) == 10
    assert "deeper than 10" in refused(nested(11, "‸")).message


def test_refuses_more_constraints_in_a_chain_than_the_limit() -> None:
    def many(count: int, mark: str = "") -> str:
        caps = "\n".join(f"    - {{name: c{i}, cap: {i + 1}}}" for i in range(count - 1))
        agent = f"{mark}a: {{max_value: {{name: own, cap: 5}}}}"
        return f"version: 1\nfirm:\n  max_value:\n{caps}\n  agents: {{{agent}}}\n"

    assert len(check_policy(many(126)).constraints) == 126
    assert "127 constraints apply to 'firm/a', above 126" in refused(many(127, "‸")).message


def test_refuses_a_sanctions_list_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("# comment\nTGood # why\n\n  T&Bad\n")
    with pytest.raises(ConfigError) as caught:
        check_policy("version: 1\nfirm: {}\nsanctions: {file: s.txt}\n", base=tmp_path)
    error = caught.value
    assert (error.file, error.line, error.column) == (str(tmp_path / "s.txt"), 4, 3)
    assert "'T&Bad' is not an address" in error.message
    (tmp_path / "s.txt").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="it is not UTF-8"):
        check_policy("version: 1\nfirm: {}\nsanctions: {file: s.txt}\n", base=tmp_path)
    (tmp_path / "s.txt").write_text("x" * 129)
    with pytest.raises(ConfigError, match="is not an address"):
        check_policy("version: 1\nfirm: {}\nsanctions: {file: s.txt}\n", base=tmp_path)
