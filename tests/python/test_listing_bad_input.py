"""Goal: a listing that is not as its venue documents it is refused, with file and place.

Method: the documented answers of tests/golden/listings damaged one place at a time, what is no
listing at all, hostile JSON, and requests that nothing answers.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listing_samples import FILES, FIRM, documents, names, one, read, rows

from sentinel._cli import main
from sentinel._enums import INSTRUMENTS_MAX
from sentinel.errors import ConfigError, SentinelError, UsageError
from sentinel.listing import listing_venue, read_listing
from sentinel.policy_compile import check_policy

# ---- Bad listings -------------------------------------------------------------------------

BAD: list[tuple[str, str, list[Any], Any, str]] = [
    # venue, file, path within the answer, what stands there instead (None: nothing), the error
    ("binance_spot", "binance_spot", ["symbols", 1, "filters", 0, "tickSize"], "-0.01",
     "symbols[1].filters[0].tickSize: '-0.01' is negative"),
    ("binance_spot", "binance_spot", ["symbols", 1, "filters", 0, "tickSize"], "0.00000000",
     "symbols[1].filters[0].tickSize: '0.00000000' is not above 0"),
    ("binance_spot", "binance_spot", ["symbols", 1, "filters", 0, "tickSize"], 0.01,
     "symbols[1].filters[0].tickSize: the number 0.01 stands where a text belongs"),
    ("binance_spot", "binance_spot", ["symbols", 1, "filters", 0, "tickSize"], "1e-2",
     "symbols[1].filters[0].tickSize: '1e-2' is not a decimal"),
    ("binance_spot", "binance_spot", ["symbols", 1, "filters", 1, "stepSize"], None,
     "symbols[1].filters[1]: the field 'stepSize' is missing"),
    ("binance_spot", "binance_spot", ["symbols", 1, "filters", 1], None,
     "symbols[1].filters: the filter LOT_SIZE is missing"),
    ("binance_spot", "binance_spot", ["symbols", 1, "filters"], {},
     "symbols[1].filters: an object stands where a list belongs"),
    ("binance_spot", "binance_spot", ["symbols", 1, "baseAsset"], "",
     "symbols[1].baseAsset: it is empty"),
    ("binance_spot", "binance_spot", ["symbols", 1, "baseAsset"], None,
     "symbols[1]: the field 'baseAsset' is missing"),
    ("binance_spot", "binance_spot", ["symbols", 1, "baseAsset"], "B" * 25,
     "symbols[1]: the asset 'BBBBBBBBBBBBBBBBBBBBBBBBB' is longer than 24"),
    ("binance_spot", "binance_spot", ["symbols", 1, "symbol"], "ETHBTC",
     "symbols[1]: 'ETHBTC' is listed twice; first at symbols[0]"),
    ("binance_spot", "binance_spot", ["symbols", 1, "symbol"], "S" * 49,
     "is longer than 48 characters"),
    ("binance_spot", "binance_spot", ["symbols", 1, "symbol"], "BTC/USDT",
     "symbols[1]: the symbol 'BTC/USDT'"),
    ("binance_spot", "binance_spot", ["symbols", 1, "symbol"], "幣USDT",
     "symbols[1]: the symbol '\\u5e63USDT'"),
    ("binance_spot", "binance_spot", ["symbols", 1, "symbol"], "A\nassets: {}",
     "symbols[1]: the symbol 'A\\nassets: {}'"),
    ("binance_spot", "binance_spot", ["symbols", 1, "symbol"], None,
     "symbols[1]: the field 'symbol' is missing"),
    ("binance_spot", "binance_spot", ["symbols", 1, "status"], None,
     "symbols[1]: the field 'status' is missing"),
    ("binance_spot", "binance_spot", ["symbols", 1], [],
     "symbols[1]: a list stands where an object belongs"),
    ("binance_spot", "binance_spot", ["symbols"], [], "the listing has no instruments"),
    ("binance_spot", "binance_usdm", [], ..., "a row of a futures listing, not of Binance spot"),
    ("binance_usdm", "binance_spot", [], ..., "is this Binance spot?"),
    ("binance_usdm", "binance_usdm", ["symbols", 0, "contractStatus"], "TRADING",
     "symbols[0]: this is a row of COIN-M"),
    ("binance_usdm", "binance_usdm", ["symbols", 2, "deliveryDate"], 0,
     "symbols[2].deliveryDate: 0 ms is not the time of an expiry"),
    ("binance_usdm", "binance_usdm", ["symbols", 2, "deliveryDate"], 1774598400001,
     "symbols[2].deliveryDate: 1774598400001 ms is not the time"),
    ("binance_usdm", "binance_usdm", ["symbols", 2, "deliveryDate"], 10**30,
     "symbols[2].deliveryDate: '1000000000000000000000000000000' is not a whole number"),
    ("binance_usdm", "binance_usdm", ["symbols", 2, "deliveryDate"], 1.5,
     "symbols[2].deliveryDate: '1.5' is not a whole number"),
    ("bybit", "bybit_linear", ["retCode"], 10001, "the venue answered with an error: '10001' 'OK'"),
    ("bybit", "bybit_linear", ["result", "category"], "futures",
     "result.category: the text 'futures' is not spot"),
    ("bybit", "bybit_linear", ["result", "list", 0, "priceFilter", "tickSize"], "0",
     "result.list[0].priceFilter.tickSize: '0' is not above 0"),
    ("bybit", "bybit_linear", ["result", "list", 0, "priceFilter"], None,
     "result.list[0]: the field 'priceFilter' is missing"),
    ("bybit", "bybit_option", ["result", "list", 0, "symbol"], "BTC-70000-P",
     "result.list[0].symbol: it is not the symbol of an option"),
    ("bybit", "bybit_option", ["result", "list", 0, "deliveryTime"], "0",
     "result.list[0].deliveryTime: 0 ms is not the time of an expiry"),
    ("bybit", "bybit_inverse", ["result", "list", 0, "settleCoin"], "USDT",
     "result.list[0].settleCoin: an inverse contract settles in BTC, not in the text 'USDT'"),
    ("bybit", "okx_spot", [], ..., "this is a listing of okx, not of bybit"),
    ("okx", "okx_swap", ["code"], "51000", "the venue answered with an error: '51000'"),
    ("okx", "okx_swap", ["data", 0, "ctVal"], "", "data[0].ctVal: it is empty"),
    ("okx", "okx_swap", ["data", 0, "ctVal"], "0", "data[0].ctVal: '0' is not above 0"),
    ("okx", "okx_swap", ["data", 0, "ctValCcy"], "USD",
     "data[0].ctValCcy: a contract counts the text 'USD', not BTC"),
    ("okx", "okx_swap", ["data", 0, "ctType"], "", "data[0].ctType: it is empty"),
    ("okx", "okx_swap", ["data", 0, "ctType"], "quanto",
     "data[0].ctType: the text 'quanto' is not linear or inverse"),
    ("okx", "okx_swap", ["data", 0, "uly"], "BTC", "data[0].uly: it is not BASE-QUOTE"),
    ("okx", "okx_swap", ["data", 0, "tickSz"], "0." + "0" * 18 + "1",
     "data[0].tickSz: the decimal has more than 18 digits after the point"),
    ("okx", "okx_swap", ["data", 0, "lotSz"], "9223372036854775808",
     "data[0].lotSz: the decimal has more than"),
    ("okx", "okx_swap", ["data", 0, "lotSz"], "1" * 65, "is not a decimal"),
    ("okx", "okx_option", ["data", 0, "stk"], "", "data[0].stk: it is empty"),
    ("okx", "okx_futures", ["data", 0, "expTime"], "soon", "data[0].expTime: 'soon' is"),
    ("okx", "okx_futures", ["data", 0, "settleCcy"], "USDC",
     "data[0].settleCcy: an inverse contract settles in BTC, not in the text 'USDC'"),
    ("okx", "bybit_spot", [], ..., "this is a listing of bybit, not of okx"),
    ("deribit", "deribit", ["error"], {"code": 11050, "message": "bad_request"},
     "the venue answered with an error: '11050' 'bad_request'"),
    ("deribit", "deribit", ["result", 0, "tick_size"], "2.5",
     "result[0].tick_size: the text '2.5' stands where a number belongs"),
    ("deribit", "deribit", ["result", 0, "tick_size"], -2.5,
     "result[0].tick_size: '-2.5' is negative"),
    ("deribit", "deribit", ["result", 0, "tick_size"], 1e-200, "does not fit a decimal"),
    ("deribit", "deribit", ["result", 0, "is_active"], "true",
     "result[0].is_active: the text 'true' stands where true or false belongs"),
    ("deribit", "deribit", ["result", 0, "instrument_type"], "quanto",
     "result[0].instrument_type: the text 'quanto' is not linear or reversed"),
    ("deribit", "deribit", ["result", 0, "settlement_currency"], "USDC",
     "result[0].settlement_currency: an inverse contract settles in BTC, not in the text 'USDC'"),
    ("deribit", "deribit", ["result", 3, "quote_currency"], "USD",
     "result[3].quote_currency: the premium is in the text 'USD', but it settles in BTC"),
    ("deribit", "deribit", ["result", 3, "strike"], 0, "result[3].strike: '0' is not above 0"),
    ("deribit", "hyperliquid_meta", [], ..., "this is a listing of hyperliquid, not of deribit"),
    ("hyperliquid", "hyperliquid_meta", ["universe", 0, "szDecimals"], 7,
     "universe[0].szDecimals: 7 is not from 0 to 6"),
    ("hyperliquid", "hyperliquid_meta", ["universe", 0, "szDecimals"], -1,
     "universe[0].szDecimals: '-1' is not a whole number"),
    ("hyperliquid", "hyperliquid_meta", ["universe", 0, "name"], "xyz:TSLA",
     "universe[0].name: the text 'xyz:TSLA' is of a builder's exchange"),
    ("hyperliquid", "hyperliquid_meta", ["collateralToken"], 235,
     "collateralToken: these contracts do not settle in USDC"),
    ("hyperliquid", "hyperliquid_meta", ["universe", 0, "name"], "ETH",
     "universe[1]: 'ETH' is listed twice; first at universe[0]"),
    ("hyperliquid", "hyperliquid_spot_meta", ["universe", 0, "tokens"], [1],
     "universe[0].tokens: a pair has two tokens"),
    ("hyperliquid", "hyperliquid_spot_meta", ["universe", 0, "tokens", 0], 77,
     "universe[0].tokens[0]: there is no token with the number 77"),
    ("hyperliquid", "hyperliquid_spot_meta", ["tokens", 1, "tokenId"], "0x12",
     "tokens[1].tokenId: the text '0x12' is not 0x and 32 hexadecimal digits"),
    ("hyperliquid", "hyperliquid_spot_meta", ["tokens", 1, "index"], 0,
     "tokens[1].index: two tokens have the number 0"),
    ("hyperliquid", "hyperliquid_spot_meta", ["tokens", 1, "name"], "HYPE",
     "two tokens are called 'HYPE'"),
    ("hyperliquid", "hyperliquid_spot_meta", ["universe", 1, "index"], 2**32 - 10_000,
     "universe[1].index: a policy cannot hold this number"),
    ("hyperliquid", "deribit", [], ..., "this is a listing of deribit, not of hyperliquid"),
]  # fmt: skip


def damaged(name: str, path: list[Any], value: Any) -> Any:
    answer = one(name)
    if value is ...:
        return answer
    at = answer
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return answer


@pytest.mark.parametrize(("venue", "file", "path", "value", "says"), BAD)
def test_a_bad_listing_is_refused_with_file_and_place(
    venue: str,
    file: str,
    path: list[Any],
    value: Any,
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(damaged(file, path, value)))
    status = main(["venue", "instruments", venue, str(bad)])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert says in err
    assert err.startswith("bad.json: ")
    assert "next step: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"symbols": []}'.encode("utf-16"), "byte 0 is not UTF-8"),
        (b"<html>rate limited</html>", "x.json:1:1: this is not JSON"),
        (b'{"symbols": [}', "x.json:1:14: this is not JSON"),
        (b'{"symbols": [], "symbols": []}', "the key 'symbols' stands twice in one object"),
        (b'{"symbols": [NaN]}', "NaN is not a number of JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"null", "this is no instrument listing of binance_spot: null"),
        (b"{}", "this is no instrument listing of binance_spot: an object"),
        (b'"x"', "this is no instrument listing of binance_spot: the text 'x'"),
        (b'{"code": -1121, "msg": "Invalid symbol."}', "an error: '-1121' 'Invalid symbol.'"),
        (b'{"code": 0, "msg": "Service unavailable from a restricted location"}', "an error"),
    ],
)
def test_what_is_no_listing_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_listing("binance_spot", [("x.json", data)])
    assert says in str(caught.value)
    assert caught.value.file == "x.json"
    assert caught.value.next_step


def test_a_row_that_was_not_asked_for_may_be_bad_but_not_twice_there() -> None:
    answer = one("binance_spot")
    rows(answer)[1]["filters"] = []
    rows(answer)[2]["symbol"] = "幣USDT"
    assert names(read("binance_spot", answer, symbols=["ETHBTC"])) == {"ETHBTC"}
    assert names(read("binance_spot", answer, exclude=["幣*", "BTCUSDT"])) == {"ETHBTC"}
    rows(answer)[2]["symbol"] = "BTCUSDT"
    with pytest.raises(ConfigError, match="listed twice"):
        read("binance_spot", answer, symbols=["ETHBTC"])


def test_a_file_given_twice_is_seen() -> None:
    [document] = documents("binance_spot")
    with pytest.raises(ConfigError, match=r"'ETHBTC' is listed twice; first at symbols\[0\]"):
        read_listing("binance_spot", [document, document])


def test_no_more_instruments_than_a_policy_holds() -> None:
    def answer(count: int) -> Any:
        return {"universe": [{"name": f"C{i}", "szDecimals": 2} for i in range(count)]}

    with pytest.raises(UsageError, match=r"16385 instruments are more than a policy holds"):
        read("hyperliquid", answer(INSTRUMENTS_MAX + 1))
    with pytest.raises(ConfigError, match="more than 4096 assets are needed"):
        read("hyperliquid", answer(INSTRUMENTS_MAX))
    assert len(read("hyperliquid", answer(4095)).instruments) == 4095


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"symbols": ["BTCUSDC"]}, "has no symbol 'BTCUSDC'; did you mean 'BTCUSDT'?"),
        ({"symbols": ["btcusdt"]}, "has no symbol 'btcusdt'; did you mean 'BTCUSDT'?"),
        ({"symbols": ["BTCUSDT", "ZZZ*"]}, "has no symbol 'ZZZ*'"),
        ({"quotes": ["USDX"]}, "nothing here is quoted in 'USDX'; did you mean 'USDT'?"),
        ({"contracts": ["linaer"]}, "there is no contract 'linaer'; did you mean 'linear'?"),
        ({"contracts": ["option"]}, "nothing is left of the 6 instruments of binance_spot"),
        ({"exclude": ["*"]}, "nothing is left of the 6 instruments of binance_spot"),
    ],
)
def test_what_is_asked_for_in_vain_is_an_error(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_listing("binance_spot", documents("binance_spot"), **options)
    assert says in str(caught.value)
    assert caught.value.next_step


def test_an_unknown_venue_is_refused() -> None:
    with pytest.raises(UsageError, match=r"there is no venue 'okex'; did you mean 'okx'\?"):
        listing_venue("okex")
    with pytest.raises(UsageError, match="no listing was given"):
        read_listing("okx", [])


# ---- Hostile JSON -------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["symbols", "result", "list", "data", "code", "retCode", "universe", "tokens",
             "jsonrpc", "category", "symbol", "status", "instId", "state", "name", "error"]
        ) | st.text(max_size=4),
        inner,
        max_size=6,
    ),
    max_leaves=24,
)  # fmt: skip


@given(st.sampled_from(sorted(FILES)), JSON)
@settings(max_examples=400, deadline=None)
def test_any_json_is_read_or_refused(venue: str, answer: Any) -> None:
    with pytest.raises(SentinelError) as caught:
        read(venue, answer)
    str(caught.value).encode("ascii")


@given(st.sampled_from(sorted(FILES)), st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_refused(venue: str, data: bytes) -> None:
    with pytest.raises(SentinelError):
        read_listing(venue, [("x.json", data)])


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps: Any = ()
    if isinstance(node, dict | list):
        steps = node.items() if isinstance(node, dict) else enumerate(node)
    found = [path] if path else []
    for step, inner in steps:
        found += places(inner, (*path, step))
    return found


ANSWERS = {name: one(name) for files in FILES.values() for name in files}
SMALL = JSON | st.sampled_from(
    [
        "0",
        "-1",
        "1e9",
        "0.1",
        "USD",
        "NaN",
        "1" * 30,
        "a\nb: c",
        "*x",
        "&x",
        "# x",
        "}",
        "1774598400000",
    ]
)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_change_of_a_listing_is_refused_or_compiles(data: st.DataObject) -> None:
    venue = data.draw(st.sampled_from(sorted(FILES)))
    name = data.draw(st.sampled_from(FILES[venue]))
    answer = copy.deepcopy(ANSWERS[name])
    path = data.draw(st.sampled_from(places(answer)))
    at = answer
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = data.draw(SMALL)
    try:
        made = read(venue, answer, not_trading=data.draw(st.booleans()))
    except SentinelError as error:
        str(error).encode("ascii")
        return
    draft = check_policy(FIRM + made.to_yaml())
    assert set(draft.instruments) == set(made.instruments)
    assert set(draft.assets) == set(made.assets)
