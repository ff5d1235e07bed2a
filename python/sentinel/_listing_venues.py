"""What each venue's public instrument listing says, row by row, in the policy's terms.

One function per venue gives rows: name, state, and a function that reads the rest, so that a row
that nobody asked for need not be readable. docs/venues/listings.md has the same as a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ._enums import Contract, Unit, Venue, label
from ._listing_read import Node
from .units import Quantity

ONE: Final = Quantity(1, 0)
NONE: Final = Quantity(0, 0)
SPOT_INDEX: Final = 10_000
"""Hyperliquid numbers its spot pairs from here."""

_OTHER: Final = "give the listing of this venue, or name the other venue"
_EXCLUDE: Final = "leave it out with --exclude, or look at what the venue says of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A coin as Hyperliquid's spot market numbers it."""

    id: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a row says of its instrument; base, quote and settle are the venue's codes."""

    contract: Contract
    base: str
    quote: str
    settle: str = ""
    unit: Unit = Unit.BASE
    multiplier: Quantity = ONE
    tick: Quantity
    lot: Quantity
    index: int | None = None
    expiry_ms: int = 0
    strike: Quantity = NONE
    tokens: tuple[tuple[str, Token], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: `name` is the venue's, `symbol` the policy's. `terms` is read on demand.

    `family` tells apart what may share a name. `state` is empty for a row that trades;
    `kind` is empty unless the policy has no such instruments.
    """

    name: str
    symbol: str
    node: Node
    terms: Callable[[], Terms]
    family: str = ""
    state: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A listing's rows, and what else it says of itself."""

    rows: list[Row]
    notes: tuple[str, ...] = ()


def _dates(node: Node, milliseconds: int) -> int:
    """An expiry, which a policy writes in whole seconds."""
    if milliseconds == 0 or milliseconds % 1000 or milliseconds >= 253_402_300_800_000:
        node.fail(f"{milliseconds} ms is not the time of an expiry in whole seconds", _EXCLUDE)
    return milliseconds


# ---- Binance ------------------------------------------------------------------------------


def _binance_rows(top: Node, row: Callable[[Node], Row]) -> Document:
    rows = [row(node) for node in top.get("symbols").items()]
    return Document(rows)


def _filter(node: Node, kind: str, field: str) -> Quantity:
    for entry in node.get("filters").items():
        if entry.get("filterType").text() == kind:
            return entry.get(field).positive_text()
    return node.get("filters").fail(f"the filter {kind} is missing")


def _binance_spot(top: Node) -> Document:
    def row(node: Node) -> Row:
        if node.find("contractType") is not None:
            node.fail("this is a row of a futures listing, not of Binance spot", _OTHER)
        name, state = node.get("symbol").text(), node.get("status").text()
        allowed = node.find("isSpotTradingAllowed")
        if state == "TRADING" and allowed is not None and not allowed.flag():
            state = "no spot trading"

        def terms() -> Terms:
            return Terms(
                contract=Contract.SPOT,
                base=node.get("baseAsset").text(),
                quote=node.get("quoteAsset").text(),
                tick=_filter(node, "PRICE_FILTER", "tickSize"),
                lot=_filter(node, "LOT_SIZE", "stepSize"),
            )

        return Row(
            name=name,
            symbol=name,
            node=node,
            terms=terms,
            state="" if state == "TRADING" else state,
        )

    return _binance_rows(top, row)


def _binance_usdm(top: Node) -> Document:
    def row(node: Node) -> Row:
        if node.find("contractStatus") is not None:
            node.fail("this is a row of COIN-M, not of Binance USD-M", _OTHER)
        name, state = node.get("symbol").text(), node.get("status").text()
        if state == "TRADING" and node.find("contractType") is None:
            node.fail("the field 'contractType' is missing: is this Binance spot?", _OTHER)

        def terms() -> Terms:
            perpetual = "PERPETUAL" in node.get("contractType").text()
            delivery = node.get("deliveryDate")
            return Terms(
                contract=Contract.LINEAR,
                base=node.get("baseAsset").text(),
                quote=node.get("quoteAsset").text(),
                settle=node.get("marginAsset").text(),
                tick=_filter(node, "PRICE_FILTER", "tickSize"),
                lot=_filter(node, "LOT_SIZE", "stepSize"),
                expiry_ms=0 if perpetual else _dates(delivery, delivery.whole()),
            )

        return Row(
            name=name,
            symbol=name,
            node=node,
            terms=terms,
            state="" if state == "TRADING" else state,
        )

    return _binance_rows(top, row)


def _settled(settle: Node, contract: Contract, base: str) -> str:
    """What a contract settles in; an inverse one in nothing but its base, as it is valued."""
    if contract is Contract.INVERSE and settle.text() != base:
        settle.fail(f"an inverse contract settles in {base}, not in {settle.kind()}", _EXCLUDE)
    return settle.text()


# ---- Bybit --------------------------------------------------------------------------------

_BYBIT_TYPES: Final = {
    "LinearPerpetual": Contract.LINEAR,
    "LinearFutures": Contract.LINEAR,
    "InversePerpetual": Contract.INVERSE,
    "InverseFutures": Contract.INVERSE,
}


def _bybit(top: Node) -> Document:
    result = top.get("result")
    category = result.get("category")
    if category.text() not in {"spot", "linear", "inverse", "option"}:
        category.fail(f"{category.kind()} is not spot, linear, inverse or option")
    notes: tuple[str, ...] = ()
    if result.maybe("nextPageCursor"):
        notes = ("the venue has more pages than this one (nextPageCursor)",)
    rows = [_bybit_row(node, category.value) for node in result.get("list").items()]
    return Document(rows, notes)


def _bybit_row(node: Node, category: str) -> Row:
    name, state = node.get("symbol").text(), node.get("status").text()
    contract, family, dated = _bybit_contract(node, category)

    def terms() -> Terms:
        lots = node.get("lotSizeFilter")
        base = node.get("baseCoin").text()
        spot, option = contract is Contract.SPOT, contract is Contract.OPTION
        assert contract is not None  # a row of another kind is never asked for its terms
        delivery = node.get("deliveryTime") if dated else node
        quote, settle = node.get("quoteCoin").text(), ""
        if not spot:
            settle = _settled(node.get("settleCoin"), contract, base)
        return Terms(
            contract=contract,
            base=base,
            quote=settle if option else quote,  # in which the premium is paid
            settle=settle,
            unit=Unit.QUOTE if contract is Contract.INVERSE else Unit.BASE,
            tick=node.get("priceFilter").get("tickSize").positive_text(),
            lot=lots.get("basePrecision" if spot else "qtyStep").positive_text(),
            expiry_ms=_dates(delivery, delivery.whole_text()) if dated else 0,
            strike=_strike_of(node.get("symbol"), base) if option else NONE,
        )

    return Row(
        name=name,
        symbol=name,
        node=node,
        terms=terms,
        family=family,
        state="" if state == "Trading" else state,
        kind="" if contract else family,
    )


def _bybit_contract(node: Node, category: str) -> tuple[Contract | None, str, bool]:
    """Contract, family, and whether it expires. A category of derivatives may list both kinds."""
    if category == "spot":
        return Contract.SPOT, "spot", False
    if category == "option":
        return Contract.OPTION, "option", True
    kind = node.get("contractType").text()
    contract = _BYBIT_TYPES.get(kind)
    return contract, label(contract) if contract else kind, kind.endswith("Futures")


def _strike_of(symbol: Node, base: str) -> Quantity:
    """Bybit says an option's strike in its symbol alone: BTC-27MAR26-70000-P-USDT."""
    parts = symbol.text().split("-")
    if len(parts) not in {4, 5} or parts[0] != base or parts[3] not in {"C", "P"}:
        symbol.fail("it is not the symbol of an option, BASE-DATE-STRIKE-C or -P", _EXCLUDE)
    return Node(parts[2], symbol.file, symbol.place).positive_text()


# ---- OKX ----------------------------------------------------------------------------------


def _okx(top: Node) -> Document:
    return Document([_okx_row(node) for node in top.get("data").items()])


def _okx_row(node: Node) -> Row:
    name, state = node.get("instId").text(), node.get("state").text()
    kind = node.get("instType").text()
    known = kind in {"SPOT", "SWAP", "FUTURES", "OPTION"}
    return Row(
        name=name,
        symbol=name,
        node=node,
        terms=lambda: _okx_spot(node) if kind == "SPOT" else _okx_contract(node, kind),
        family="" if known else kind,
        state="" if state == "live" else state,
        kind="" if known else kind,
    )


def _okx_spot(node: Node) -> Terms:
    return Terms(
        contract=Contract.SPOT,
        base=node.get("baseCcy").text(),
        quote=node.get("quoteCcy").text(),
        tick=node.get("tickSz").positive_text(),
        lot=node.get("lotSz").positive_text(),
    )


def _okx_contract(node: Node, kind: str) -> Terms:
    """Sizes count contracts; a contract is ctVal × ctMult of ctValCcy."""
    underlying = node.get("uly").text().split("-")
    if len(underlying) != 2 or not all(underlying):
        node.get("uly").fail("it is not BASE-QUOTE", _EXCLUDE)
    base, quote = underlying
    settle, counted = node.get("settleCcy").text(), node.get("ctValCcy")
    value, times = node.get("ctVal").positive_text(), node.get("ctMult").positive_text()
    if kind == "OPTION":
        contract, wanted = Contract.OPTION, base
        quote = settle  # in which the venue quotes the premium
    else:
        type_ = node.get("ctType")
        if type_.text() not in {"linear", "inverse"}:
            type_.fail(f"{type_.kind()} is not linear or inverse", _EXCLUDE)
        contract = Contract.LINEAR if type_.value == "linear" else Contract.INVERSE
        wanted = base if contract is Contract.LINEAR else quote
        _settled(node.get("settleCcy"), contract, base)
    if counted.text() != wanted:
        counted.fail(f"a contract counts {counted.kind()}, not {wanted}", _EXCLUDE)
    dated = node.get("expTime") if kind != "SWAP" else node
    return Terms(
        contract=contract,
        base=base,
        quote=quote,
        settle=settle,
        unit=Unit.CONTRACTS,
        multiplier=node.get("ctVal").fitting(
            value.mantissa * times.mantissa, value.scale + times.scale
        ),
        tick=node.get("tickSz").positive_text(),
        lot=node.get("lotSz").positive_text(),
        expiry_ms=_dates(dated, dated.whole_text()) if kind != "SWAP" else 0,
        strike=node.get("stk").positive_text() if kind == "OPTION" else NONE,
    )


# ---- Deribit ------------------------------------------------------------------------------


def _deribit(top: Node) -> Document:
    test = top.find("testnet")
    notes = ("of the venue's test network",) if test is not None and test.flag() else ()
    return Document([_deribit_row(node) for node in top.get("result").items()], notes)


def _deribit_row(node: Node) -> Row:
    name, kind = node.get("instrument_name").text(), node.get("kind").text()
    state = node.maybe("state") or "open"
    if not node.get("is_active").flag():
        state = "inactive" if state == "open" else state
    known = kind in {"spot", "future", "option"}
    return Row(
        name=name,
        symbol=name,
        node=node,
        terms=lambda: _deribit_terms(node, kind),
        state="" if state == "open" else state,
        kind="" if known else kind,
    )


def _deribit_terms(node: Node, kind: str) -> Terms:
    """Amounts of inverse futures are in the quote currency, all others in the base currency."""
    quote, settle = node.get("quote_currency"), ""
    contract, expiry_ms, strike = Contract.SPOT, 0, NONE
    if kind != "spot":
        settle = node.get("settlement_currency").text()
        type_ = node.find("instrument_type") or node.get("future_type")
        if type_.text() not in {"linear", "reversed"}:
            type_.fail(f"{type_.kind()} is not linear or reversed", _EXCLUDE)
        contract = Contract.LINEAR if type_.value == "linear" else Contract.INVERSE
        if kind != "option":
            _settled(node.get("settlement_currency"), contract, node.get("base_currency").text())
        if node.get("settlement_period").text() != "perpetual":
            expiry = node.get("expiration_timestamp")
            expiry_ms = _dates(expiry, expiry.whole())
    if kind == "option":
        contract, strike = Contract.OPTION, node.get("strike").positive()
        if quote.text() != settle:
            quote.fail(f"the premium is in {quote.kind()}, but it settles in {settle}", _EXCLUDE)
    return Terms(
        contract=contract,
        base=node.get("base_currency").text(),
        quote=quote.text(),
        settle=settle,
        unit=Unit.QUOTE if contract is Contract.INVERSE else Unit.BASE,
        tick=node.get("tick_size").positive(),
        lot=node.get("min_trade_amount").positive(),
        expiry_ms=expiry_ms,
        strike=strike,
    )


# ---- Hyperliquid --------------------------------------------------------------------------


def _hyperliquid(top: Node) -> Document:
    # metaAndAssetCtxs and spotMetaAndAssetCtxs have the same, with prices behind it.
    meta = next(top.items(), top) if isinstance(top.value, list) else top
    return _hyperliquid_spot(meta) if meta.find("tokens") is not None else _hyperliquid_perps(meta)


def _hyperliquid_perps(meta: Node) -> Document:
    collateral = meta.find("collateralToken")
    if collateral is not None and collateral.whole() != 0:
        collateral.fail(
            "these contracts do not settle in USDC: this is not the main list of perpetuals",
            'ask for {"type": "meta"} without "dex"',
        )
    rows = []
    for index, node in enumerate(meta.get("universe").items()):
        name = node.get("name")
        if ":" in name.text():
            name.fail(
                f"{name.kind()} is of a builder's exchange, whose numbers the list does not say",
                'ask for {"type": "meta"} without "dex"',
            )
        rows.append(_hyperliquid_perp(node, name.value, index))
    return Document(rows)


def _hyperliquid_perp(node: Node, name: str, index: int) -> Row:
    gone = node.find("isDelisted")

    def terms() -> Terms:
        tick, lot = _hyperliquid_steps(node.get("szDecimals"), 6)
        return Terms(
            contract=Contract.LINEAR, base=name, quote="USDC", tick=tick, lot=lot, index=index
        )

    return Row(
        name=name,
        symbol=name,
        node=node,
        terms=terms,
        family="perp",
        state="isDelisted" if gone is not None and gone.flag() else "",
    )


def _hyperliquid_spot(meta: Node) -> Document:
    tokens: dict[int, Node] = {}
    for token in meta.get("tokens").items():
        index = token.get("index")
        if index.whole() in tokens:
            index.fail(f"two tokens have the number {index.whole()}")
        tokens[index.whole()] = token
    return Document([_hyperliquid_pair(node, tokens) for node in meta.get("universe").items()])


def _hyperliquid_pair(node: Node, tokens: dict[int, Node]) -> Row:
    pair = list(node.get("tokens").items())
    if len(pair) != 2:
        node.get("tokens").fail("a pair has two tokens")
    for leg in pair:
        if leg.whole() not in tokens:
            leg.fail(f"there is no token with the number {leg.whole()}")
    base, quote = (tokens[leg.whole()] for leg in pair)
    codes = base.get("name").text(), quote.get("name").text()

    def terms() -> Terms:
        tick, lot = _hyperliquid_steps(base.get("szDecimals"), 8)
        index = node.get("index")
        if index.whole() >= 2**32 - SPOT_INDEX:
            index.fail("a policy cannot hold this number", _EXCLUDE)
        return Terms(
            contract=Contract.SPOT,
            base=codes[0],
            quote=codes[1],
            tick=tick,
            lot=lot,
            index=SPOT_INDEX + index.whole(),
            tokens=((codes[0], _token(base)), (codes[1], _token(quote))),
        )

    # The venue's own name has a character that no policy has (@107, PURR/USDC).
    return Row(
        name=node.get("name").text(),
        symbol="-".join(codes),
        node=node,
        terms=terms,
        family="spot",
    )


def _token(node: Node) -> Token:
    id_, decimals = node.get("tokenId"), node.get("weiDecimals")
    if not re.fullmatch(r"0x[0-9a-f]{32}", id_.text()):
        id_.fail(f"{id_.kind()} is not 0x and 32 hexadecimal digits")
    if decimals.whole() > 36:
        decimals.fail("a policy has at most 36 decimals", _EXCLUDE)
    return Token(id=id_.value, decimals=decimals.whole())


def _hyperliquid_steps(node: Node, most: int) -> tuple[Quantity, Quantity]:
    """The finest tick and the lot. That prices have five significant figures is not a tick."""
    decimals = node.whole()
    if decimals > most:
        node.fail(f"{decimals} is not from 0 to {most}", _EXCLUDE)
    return Quantity(1, most - decimals), Quantity(1, decimals)


READERS: Final[dict[Venue, Callable[[Node], Document]]] = {
    Venue.BINANCE_SPOT: _binance_spot,
    Venue.BINANCE_USDM: _binance_usdm,
    Venue.BYBIT: _bybit,
    Venue.OKX: _okx,
    Venue.DERIBIT: _deribit,
    Venue.HYPERLIQUID: _hyperliquid,
}


# ---- Whose document it is -----------------------------------------------------------------


def check(top: Node, venue: Venue) -> None:
    """Refuses a venue's error answer, and what another venue sent. Raises ConfigError."""
    error = _error_of(top)
    if error:
        top.fail(f"the venue answered with an error: {error}", "ask the venue again")
    found = _family_of(top)
    wanted = "binance" if venue in {Venue.BINANCE_SPOT, Venue.BINANCE_USDM} else label(venue)
    if found and found != wanted:
        top.fail(f"this is a listing of {found}, not of {label(venue)}", _OTHER)
    if not found:
        top.fail(f"this is no instrument listing of {label(venue)}: {top.kind()}", _HOW[venue])


_HOW: Final = {
    Venue.BINANCE_SPOT: "download GET /api/v3/exchangeInfo",
    Venue.BINANCE_USDM: "download GET /fapi/v1/exchangeInfo",
    Venue.BYBIT: "download GET /v5/market/instruments-info?category=…",
    Venue.OKX: "download GET /api/v5/public/instruments?instType=…",
    Venue.DERIBIT: "download GET /api/v2/public/get_instruments",
    Venue.HYPERLIQUID: 'download POST /info with {"type": "meta"} or {"type": "spotMeta"}',
}


def _error_of(top: Node) -> str:
    if not isinstance(top.value, dict):
        return ""
    data = top.value
    if isinstance(data.get("error"), dict):  # Deribit
        return _said(data["error"].get("code"), data["error"].get("message"))
    if data.get("retCode", "0") != "0":  # Bybit
        return _said(data.get("retCode"), data.get("retMsg"))
    refused = data.get("code", "0") != "0" or "data" not in data
    if "code" in data and "symbols" not in data and refused:  # Binance, OKX
        return _said(data["code"], data.get("msg"))
    return ""


def _said(code: object, text: object) -> str:
    return f"{ascii(str(code))[:40]} {ascii(str(text))[:200]}"


def _family_of(top: Node) -> str:
    data = top.value
    if isinstance(data, list):
        data = data[0] if data and isinstance(data[0], dict) else {}
        return "hyperliquid" if "universe" in data else ""
    if not isinstance(data, dict):
        return ""
    for key, family in (
        ("symbols", "binance"),
        ("retCode", "bybit"),
        ("universe", "hyperliquid"),
        ("jsonrpc", "deribit"),
        ("usIn", "deribit"),
    ):
        if key in data:
            return family
    if "code" in data and "data" in data:
        return "okx"
    return "deribit" if isinstance(data.get("result"), list) else ""
