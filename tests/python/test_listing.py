"""Goal: a policy's tables say what a venue's listing said, and a bad listing is refused.

Method: the documented answers of tests/golden/listings, turned into tables, compiled, and the rows
of the bundle compared with rows written here by hand; then the same answers damaged, one place at
a time, and hostile JSON. The command is run as a user runs it.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from core_abi import ffi
from listing_samples import FILES, FIRM, LISTINGS, documents, names, one, read, rows
from policy_samples import compiled

from sentinel import listing
from sentinel._cli import main
from sentinel._enums import Contract, Unit, Venue, label
from sentinel._policy_draft import stable_id
from sentinel.errors import ConfigError, UsageError
from sentinel.listing import listing_venue, read_listing
from sentinel.policy_compile import check_policy

MARCH_2026 = 1774598400000

# symbol, contract, base, quote, settle, unit, multiplier, tick, lot, index, expiry, strike
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "binance_spot": [
        ("ETHBTC", "spot", "ETH", "BTC", "BTC", "base", "1", "0.000001", "0.001", 0, 0, "0"),
        ("BTCUSDT", "spot", "BTC", "USDT", "USDT", "base", "1", "0.01", "0.00001", 0, 0, "0"),
        ("4USDT", "spot", "4", "USDT", "USDT", "base", "1", "0.00001", "1", 0, 0, "0"),
    ],
    "binance_usdm": [
        ("BLZUSDT", "linear", "BLZ", "USDT", "USDT", "base", "1", "0.0001", "1", 0, 0, "0"),
        ("BTCUSDT", "linear", "BTC", "USDT", "USDT", "base", "1", "0.1", "0.001", 0, 0, "0"),
        ("BTCUSDT_260327", "linear", "BTC", "USDT", "USDT", "base", "1", "0.1", "0.001", 0,
         MARCH_2026, "0"),
        ("ETHBTC", "linear", "ETH", "BTC", "USDT", "base", "1", "0.000001", "0.001", 0, 0, "0"),
    ],
    "bybit": [
        ("BTCUSDT", "spot", "BTC", "USDT", "USDT", "base", "1", "0.1", "0.000001", 0, 0, "0"),
        ("BTCUSDT", "linear", "BTC", "USDT", "USDT", "base", "1", "0.1", "0.001", 0, 0, "0"),
        ("BTCPERP", "linear", "BTC", "USD", "USDC", "base", "1", "0.5", "0.001", 0, 0, "0"),
        ("BTC-27MAR26", "linear", "BTC", "USD", "USDC", "base", "1", "0.5", "0.001", 0,
         MARCH_2026, "0"),
        ("BTCUSD", "inverse", "BTC", "USD", "BTC", "quote", "1", "0.1", "1", 0, 0, "0"),
        ("BTCUSDH26", "inverse", "BTC", "USD", "BTC", "quote", "1", "0.5", "1", 0, MARCH_2026,
         "0"),
        ("BTC-27MAR26-70000-P-USDT", "option", "BTC", "USDT", "USDT", "base", "1", "5", "0.01", 0,
         MARCH_2026, "70000"),
    ],
    "okx": [
        ("BTC-USDT", "spot", "BTC", "USDT", "USDT", "base", "1", "0.1", "0.00000001", 0, 0, "0"),
        ("ETH-BTC", "spot", "ETH", "BTC", "BTC", "base", "1", "0.00001", "0.000001", 0, 0, "0"),
        ("BTC-USDT-SWAP", "linear", "BTC", "USDT", "USDT", "contracts", "0.01", "0.1", "0.1", 0,
         0, "0"),
        ("DOGE-USDT-SWAP", "linear", "DOGE", "USDT", "USDT", "contracts", "1000", "0.00001",
         "0.1", 0, 0, "0"),
        ("BTC-USD-SWAP", "inverse", "BTC", "USD", "BTC", "contracts", "100", "0.1", "1", 0, 0,
         "0"),
        ("BTC-USD-260327", "inverse", "BTC", "USD", "BTC", "contracts", "100", "0.1", "1", 0,
         MARCH_2026, "0"),
        ("BTC-USD-220325-194000-P", "option", "BTC", "BTC", "BTC", "contracts", "0.1", "0.0005",
         "1", 0, 1648195200000, "194000"),
    ],
    "deribit": [
        ("BTC-29SEP23", "inverse", "BTC", "USD", "BTC", "quote", "1", "2.5", "10", 0,
         1695974400000, "0"),
        ("BTC-PERPETUAL", "inverse", "BTC", "USD", "BTC", "quote", "1", "0.5", "10", 0, 0, "0"),
        ("BTC_USDC-PERPETUAL", "linear", "BTC", "USDC", "USDC", "base", "1", "1", "0.001", 0, 0,
         "0"),
        ("BTC-26JUN26-100000-C", "option", "BTC", "BTC", "BTC", "base", "1", "0.0001", "0.1", 0,
         1782460800000, "100000"),
        ("BTC_USDT", "spot", "BTC", "USDT", "USDT", "base", "1", "0.01", "0.0001", 0, 0, "0"),
    ],
    "hyperliquid": [
        ("BTC", "linear", "BTC", "USDC", "USDC", "base", "1", "0.1", "0.00001", 0, 0, "0"),
        ("ETH", "linear", "ETH", "USDC", "USDC", "base", "1", "0.01", "0.0001", 1, 0, "0"),
        ("ATOM", "linear", "ATOM", "USDC", "USDC", "base", "1", "0.0001", "0.01", 2, 0, "0"),
        ("kPEPE", "linear", "kPEPE", "USDC", "USDC", "base", "1", "0.000001", "1", 4, 0, "0"),
        ("PURR-USDC", "spot", "PURR", "USDC", "USDC", "base", "1", "0.00000001", "1", 10000, 0,
         "0"),
        ("HYPE-USDC", "spot", "HYPE", "USDC", "USDC", "base", "1", "0.000001", "0.01", 10107, 0,
         "0"),
    ],
}  # fmt: skip


def decimal(value: Any) -> str:
    digits = str(value.mantissa).rjust(value.scale + 1, "0")
    return f"{digits[: -value.scale]}.{digits[-value.scale :]}" if value.scale else digits


def rows_of(bundle: Any) -> list[tuple[Any, ...]]:
    codes = {}
    for i in range(bundle.asset_count):
        asset = bundle.assets[i]
        codes[asset.id] = ffi.buffer(asset.code, asset.code_size)[:].decode()
    rows = []
    for i in range(bundle.instrument_count):
        row = bundle.instruments[i]
        rows.append(
            (
                ffi.buffer(row.symbol, row.symbol_size)[:].decode(),
                label(Contract(row.contract)),
                codes[row.base],
                codes[row.quote],
                codes[row.settle],
                label(Unit(row.quantity_unit)),
                decimal(row.multiplier),
                decimal(row.tick),
                decimal(row.lot),
                row.venue_index,
                row.expiry_ms,
                decimal(row.strike),
            )
        )
        assert row.venue in set(Venue)
    return rows


# ---- What the tables say ------------------------------------------------------------------


@pytest.mark.parametrize("venue", FILES)
def test_the_compiled_rows_say_what_the_listing_said(venue: str) -> None:
    text = read_listing(venue, documents(venue)).to_yaml()
    bundle, _memory = compiled(FIRM + text)
    assert sorted(rows_of(bundle)) == sorted(ROWS[venue])
    assert {bundle.instruments[i].venue for i in range(bundle.instrument_count)} == {
        listing_venue(venue)
    }


def test_an_options_quote_is_what_its_premium_is_paid_in() -> None:
    """Bybit's options that settle in USDC have USD as `quoteCoin`."""
    old = read_listing(
        "bybit", documents("bybit"), symbols=["ETH-3JAN23-1250-P"], not_trading=True
    ).to_yaml()
    bundle, _memory = compiled(FIRM + old)
    assert [row[1:5] for row in rows_of(bundle)] == [("option", "ETH", "USDC", "USDC")]


def test_listings_of_all_venues_go_into_one_policy() -> None:
    """Names are unique over venues; with --beside, assets that are there are not said again."""
    policy = FIRM
    tables: dict[str, list[str]] = {"assets:": [], "instruments:": []}
    for venue in FILES:
        text = read_listing(
            venue, documents(venue), beside=("policy.yaml", policy.encode())
        ).to_yaml()
        section = ""
        for line in text.splitlines():
            section = line if line in tables else section
            if line.startswith("  "):
                tables[section].append(line)
        policy = FIRM + "".join(
            f"{name}\n" + "".join(f"{row}\n" for row in rows) for name, rows in tables.items()
        )
    bundle, _memory = compiled(policy)
    assert sorted(rows_of(bundle)) == sorted(row for rows in ROWS.values() for row in rows)


def test_a_token_keeps_its_number() -> None:
    bundle, _memory = compiled(
        FIRM + read_listing("hyperliquid", documents("hyperliquid")).to_yaml()
    )
    found = {}
    for i in range(bundle.asset_count):
        asset = bundle.assets[i]
        if asset.venue == Venue.HYPERLIQUID:
            code = ffi.buffer(asset.code, asset.code_size)[:].decode()
            found[code] = (ffi.buffer(asset.token16)[:].hex(), asset.decimals)
    assert found == {
        "USDC": ("6d1e7cde53ba9467b783cb7c530ce054", 8),
        "PURR": ("c1fb593aeffbeb02f85e0308e9956a90", 5),
        "HYPE": ("0d01dc56dcaaca66ad901c959b4011ec", 8),
    }


def test_only_hyperliquids_assets_have_a_token() -> None:
    for row, says in (
        ('{venue: okx, token: "0x6d1e7cde53ba9467b783cb7c530ce054"}', "only hyperliquid numbers"),
        ('{token: "0x6d1e7cde53ba9467b783cb7c530ce054"}', "only hyperliquid numbers"),
        ('{venue: hyperliquid, token: "0x6d1e"}', "0x6d1e"),
    ):
        with pytest.raises(ConfigError, match=says):
            check_policy(f"{FIRM}assets:\n  X: {row}\n")


def test_a_symbol_may_be_a_pair_and_a_contract_but_not_one_of_them_twice() -> None:
    text = read_listing("bybit", documents("bybit"), symbols=["BTCUSDT"]).to_yaml()
    assert len(check_policy(FIRM + text).instruments) == 2
    twice = text + text.splitlines()[-1].replace("bybit.spot", "again") + "\n"
    with pytest.raises(ConfigError, match=r"is the instrument 'bybit\.spot\.BTCUSDT' already"):
        check_policy(FIRM + twice)


def test_the_text_is_one_row_a_line_and_says_whence() -> None:
    [(file, data)] = documents("binance_usdm")
    text = read_listing("binance_usdm", [(file, data)], symbols=["BTC*"]).to_yaml()
    assert text == (
        "# Instruments of binance_usdm: 2 of the 5 that its listing names.\n"
        f"# binance_usdm.json: SHA-256 {hashlib.sha256(data).hexdigest()}\n"
        "# Left out: 3 not asked for.\n"
        "assets:\n"
        "  BTC: {}\n"
        "  USDT: {}\n"
        "instruments:\n"
        "  binance_usdm.BTCUSDT: {venue: binance_usdm, symbol: BTCUSDT, contract: linear,"
        " base: BTC, quote: USDT, tick: 0.1, lot: 0.001}\n"
        "  binance_usdm.BTCUSDT_260327: {venue: binance_usdm, symbol: BTCUSDT_260327,"
        " contract: linear, base: BTC, quote: USDT, tick: 0.1, lot: 0.001,"
        " expiry: 2026-03-27T08:00:00Z}\n"
    )


@pytest.mark.parametrize("venue", FILES)
def test_the_order_of_a_listing_changes_no_row(venue: str) -> None:
    turned = []
    for name in FILES[venue]:
        answer = one(name)
        if name != "hyperliquid_meta":  # there the position is the number
            rows(answer).reverse()
        turned.append(answer)
    before = read_listing(venue, documents(venue)).to_yaml().splitlines()
    after = read(venue, *turned).to_yaml().splitlines()
    assert [r for r in before if r[0] == " "] == [r for r in after if r[0] == " "]


@pytest.mark.parametrize("venue", FILES)
def test_every_yaml_reader_sees_the_same_names(venue: str) -> None:
    made = read_listing(venue, documents(venue))
    data = yaml.safe_load(made.to_yaml())
    assert list(data["instruments"]) == list(made.instruments)
    assert list(data["assets"]) == list(made.assets)
    for name, row in made.instruments.items():
        for key in ("venue", "symbol", "contract", "base", "quote"):
            assert data["instruments"][name][key] == row[key]


def test_words_of_yaml_stay_names() -> None:
    answer = one("binance_spot")
    for row, base in zip(rows(answer), ("NO", "on", "True", "1e5", "0x1", "Y"), strict=True):
        row |= {"symbol": f"{base}USDT", "baseAsset": base, "quoteAsset": "USDT"}
        row |= {"status": "TRADING", "isSpotTradingAllowed": True}
    made = read("binance_spot", answer)
    assert set(yaml.safe_load(made.to_yaml())["assets"]) == set(made.assets)
    bundle, _memory = compiled(FIRM + made.to_yaml())
    assert {row[2] for row in rows_of(bundle)} == {"NO", "on", "True", "1e5", "0x1", "Y"}


def test_json_has_the_same_and_decimals_as_text() -> None:
    made = read_listing("okx", documents("okx"))
    data = json.loads(json.dumps(made.to_data()))
    assert data["count"] == len(ROWS["okx"]) == len(data["instruments"])
    assert data["listed"] == 9
    assert data["left_out"] == {"not trading (preopen)": 1, "not trading (suspend)": 1}
    assert data["files"][1]["file"] == "okx_swap.json"
    assert data["instruments"]["okx.BTC-USDT-SWAP"]["multiplier"] == "0.01"
    assert data["assets"]["USD"] == {"par": "1 USD"}


def test_the_answers_with_prices_behind_them_are_read_too() -> None:
    alone = read("hyperliquid", one("hyperliquid_meta"), one("hyperliquid_spot_meta"))
    with_prices = read(
        "hyperliquid",
        [one("hyperliquid_meta"), [{"markPx": "1"}]],
        [one("hyperliquid_spot_meta"), []],
    )
    assert alone.instruments == with_prices.instruments


def test_what_a_listing_says_of_itself_is_said() -> None:
    assert "more pages" in read_listing("bybit", documents("bybit")).to_yaml()
    answer = one("deribit") | {"testnet": True}
    assert "# 0.json: of the venue's test network\n" in read("deribit", answer).to_yaml()


def test_a_category_that_lists_both_kinds_is_told_apart_by_row() -> None:
    """Bybit, asked by base coin, answers with linear and inverse contracts in either category."""
    both = one("bybit_linear")
    rows(both).extend(rows(one("bybit_inverse")))
    made = read("bybit", both)
    assert made.instruments["bybit.inverse.BTCUSD"]["unit"] == "quote"
    assert "unit" not in made.instruments["bybit.linear.BTCUSDT"]


def test_multipliers_are_products_and_keep_no_zeros() -> None:
    answer = one("okx_option")
    rows(answer)[0] |= {"ctVal": "0.50", "ctMult": "0.020"}
    [made] = read("okx", answer).instruments.values()
    assert made["multiplier"] == "0.01"


@pytest.mark.parametrize(
    ("decimals", "tick", "lot"),
    [(0, "0.000001", "1"), (5, "0.1", "0.00001"), (6, "1", "0.000001")],
)
def test_hyperliquids_steps_follow_from_its_decimals(decimals: int, tick: str, lot: str) -> None:
    made = read("hyperliquid", {"universe": [{"name": "X", "szDecimals": decimals}]})
    assert made.instruments["hyperliquid.X"]["tick"] == tick
    assert made.instruments["hyperliquid.X"]["lot"] == lot


# ---- What is chosen -----------------------------------------------------------------------


def test_symbols_quotes_contracts_and_exclusions_choose() -> None:
    def bybit(**options: Any) -> set[str]:
        return set(read_listing("bybit", documents("bybit"), **options).instruments)

    assert bybit(contracts=["spot"]) == {"bybit.spot.BTCUSDT"}
    assert bybit(contracts=[Contract.LINEAR], quotes=["USDT"]) == {"bybit.linear.BTCUSDT"}
    assert bybit(symbols=["BTCUSD", "BTCP*"]) == {
        "bybit.inverse.BTCUSD",
        "bybit.linear.BTCPERP",
    }
    assert bybit(exclude=["BTC*-*", "BTCUSD*"]) == {"bybit.linear.BTCPERP"}
    spot = read_listing("hyperliquid", documents("hyperliquid"), symbols=["@107", "PURR/USDC"])
    assert names(spot) == {"HYPE-USDC", "PURR-USDC"}
    assert spot.left_out == {"not asked for": 5}


def test_what_does_not_trade_is_taken_only_with_all() -> None:
    made = read_listing("binance_spot", documents("binance_spot"), not_trading=True)
    assert len(made.instruments) == 6
    assert made.left_out == {}
    with pytest.raises(UsageError, match=r"'LUNAUSDT' is listed, but does not trade \(HALT\)"):
        read_listing("binance_spot", documents("binance_spot"), symbols=["LUNAUSDT"])


def test_rows_that_do_not_trade_need_not_be_complete() -> None:
    answer = one("okx_swap")
    assert set(rows(answer)[3]) == {"instId", "instType", "state"}
    assert read("okx", answer).left_out == {"not trading (preopen)": 1}
    with pytest.raises(ConfigError, match=r"data\[3\]: the field 'uly' is missing"):
        read("okx", answer, not_trading=True)


def test_names_are_made_as_asked() -> None:
    made = read_listing("bybit", documents("bybit"), names="{symbol}-{contract}", quotes=["USDT"])
    assert set(made.instruments) == {
        "BTCUSDT-spot",
        "BTCUSDT-linear",
        "BTC-27MAR26-70000-P-USDT-option",
    }
    with pytest.raises(ConfigError, match="'BTCUSDT' would name two instruments"):
        read_listing("bybit", documents("bybit"), names="{symbol}")
    for bad in ("{venue}:{symbol}", "x", "{}", "{symbol", "{symbol}\n", "", "{symbl}"):
        with pytest.raises(UsageError):
            read_listing("bybit", documents("bybit"), names=bad)


def test_beside_a_policy_only_what_it_lacks_is_said() -> None:
    policy = b"assets:\n  BTC: {}\n  USDT: {par: 1 USD}\ninstruments:\n  BTCUSDT: {}\n"
    made = read_listing(
        "binance_usdm", documents("binance_usdm"), symbols=["BTC*"], beside=("p.yaml", policy)
    )
    assert made.assets == {}
    assert "assets:" not in made.to_yaml()
    with pytest.raises(ConfigError, match="the policy has an instrument 'BTCUSDT' already"):
        read_listing(
            "binance_usdm",
            documents("binance_usdm"),
            names="{symbol}",
            beside=("p.yaml", policy),
        )
    other = b"assets: {hyperliquid.HYPE: {venue: hyperliquid, token: '0x00'}}"
    with pytest.raises(ConfigError, match=r"the policy's asset 'hyperliquid.HYPE' is another"):
        read_listing("hyperliquid", documents("hyperliquid"), beside=("p.yaml", other))
    for bad in (b"assets: [1]", b"\xff", b"a: b: c"):
        with pytest.raises(ConfigError, match=r"p\.yaml"):
            read_listing("hyperliquid", documents("hyperliquid"), beside=("p.yaml", bad))


def test_ids_follow_from_names() -> None:
    draft = check_policy(FIRM + read_listing("deribit", documents("deribit")).to_yaml())
    name = "deribit.BTC-PERPETUAL"
    assert draft.instruments[name].id == stable_id("instrument", name)


# ---- The command --------------------------------------------------------------------------


def test_the_command_prints_what_compiles(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(LISTINGS / f"{name}.json") for name in FILES["okx"]]
    assert main(["venue", "instruments", "okx", *files, "--contract", "linear"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == read_listing("okx", documents("okx"), contracts=["linear"]).to_yaml()
    assert set(check_policy(FIRM + out).instruments) == {"okx.BTC-USDT-SWAP", "okx.DOGE-USDT-SWAP"}
    assert main(["venue", "instruments", "okx", *files, "--json", "--quote", "BTC"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 2


def test_the_command_reads_the_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (LISTINGS / "deribit.json").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["venue", "instruments", "deribit", "-"]) == 0
    assert "# standard input: SHA-256" in capsys.readouterr().out
    assert main(["venue", "instruments", "deribit", "-", "-"]) == 2


def test_the_command_says_what_is_wrong_with_its_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(LISTINGS / "deribit.json")
    for arguments, says in (
        (["okex", good], "did you mean 'okx'?"),
        (["deribit", str(tmp_path / "none.json")], "No such file"),
        (["deribit", str(tmp_path)], "Is a directory"),
        (["deribit", good, "--beside", str(tmp_path / "none.yaml")], "No such file"),
        (["deribit", good, "--symbol", "BTC-PERPETAUL"], "did you mean 'BTC-PERPETUAL'?"),
        (["deribit", good, "--name", "x:{symbol}"], "is no pattern of names"),
        (["deribit"], "FILE"),
    ):
        assert main(["venue", "instruments", *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert says in err


def test_a_files_name_cannot_leave_its_comment(tmp_path: Path) -> None:
    made = read_listing("deribit", [("a\nassets: {x: {}}\n.json", documents("deribit")[0][1])])
    assert made.to_yaml().splitlines()[1].startswith("# a?assets: {x: {}}?.json: SHA-256")


def test_files_larger_than_a_listing_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentinel._listing_read.BYTES_MAX", 10)
    with pytest.raises(ConfigError, match="larger than 10 bytes"):
        read_listing("deribit", documents("deribit"))
    assert listing.LISTING_BYTES_MAX == 256 * 1024 * 1024
