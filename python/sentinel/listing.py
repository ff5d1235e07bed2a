"""A venue's own public instrument listing, turned into a policy's tables.

>>> from sentinel.listing import read_listing
>>> answer = b'''{"universe": [{"name": "BTC", "szDecimals": 5},
...                           {"name": "ETH", "szDecimals": 4}]}'''
>>> listing = read_listing("hyperliquid", [("meta.json", answer)], symbols=["BTC"])
>>> print(listing.to_yaml())  # doctest: +ELLIPSIS
# Instruments of hyperliquid: 1 of the 2 that its listing names.
# meta.json: SHA-256 ...
# Left out: 1 not asked for.
assets:
  BTC: {}
  USDC: {}
instruments:
  hyperliquid.BTC: {venue: hyperliquid, symbol: BTC, contract: linear, base: BTC, quote: USDC, \
tick: 0.1, lot: 0.00001, index: 0}
<BLANKLINE>

The listing is outside data: whatever is not as the venue documents it is an error with file and
place, and nothing is guessed. docs/venues/listings.md says what becomes of each venue's fields.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from . import _policy_yaml
from ._enums import ASSETS_MAX, INSTRUMENTS_MAX, Contract, Unit, Venue, label
from ._listing_read import BYTES_MAX as LISTING_BYTES_MAX
from ._listing_read import load
from ._listing_venues import ONE, READERS, Row, Terms, Token, check
from .errors import ConfigError, UsageError
from .units import did_you_mean, format_quantity

__all__ = [
    "DEFAULT_NAMES",
    "LISTING_BYTES_MAX",
    "Listing",
    "ListingSource",
    "listing_venue",
    "read_listing",
]

NAME_MAX: Final = 64
SYMBOL_MAX: Final = 48
CODE_MAX: Final = 24

DEFAULT_NAMES: Final = {
    venue: "{venue}.{contract}.{symbol}" if venue is Venue.BYBIT else "{venue}.{symbol}"
    for venue in READERS
}
"""How instruments are named unless `names` says otherwise: no two venues' can be the same."""

_TEXT: Final = re.compile(r"[A-Za-z0-9._-]+")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_FIELDS: Final = ("venue", "symbol", "contract", "base", "quote")


@dataclass(frozen=True, slots=True)
class ListingSource:
    """A file that was read."""

    file: str
    sha256: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What was chosen from a venue's listing, as rows of a policy.

    `assets` and `instruments` have the keys of docs/policy-language.md; decimals are text.
    `left_out` counts what was not taken, by why.
    """

    venue: Venue
    sources: tuple[ListingSource, ...]
    listed: int
    left_out: dict[str, int]
    assets: dict[str, dict[str, Any]]
    instruments: dict[str, dict[str, Any]]

    def to_data(self) -> dict[str, Any]:
        """The listing as JSON has it."""
        return {
            "venue": label(self.venue),
            "files": [
                {"file": source.file, "sha256": source.sha256, "notes": list(source.notes)}
                for source in self.sources
            ],
            "listed": self.listed,
            "count": len(self.instruments),
            "left_out": self.left_out,
            "assets": self.assets,
            "instruments": self.instruments,
        }

    def to_yaml(self) -> str:
        """The tables as text of a policy: one row a line, after a comment that says whence."""
        lines = [
            f"# Instruments of {label(self.venue)}: {len(self.instruments)} of the {self.listed}"
            " that its listing names."
        ]
        for source in self.sources:
            lines.append(f"# {_comment(source.file)}: SHA-256 {source.sha256}")
            lines += [f"# {_comment(source.file)}: {note}" for note in source.notes]
        if self.left_out:
            parts = ", ".join(f"{count} {_comment(why)}" for why, count in self.left_out.items())
            lines.append(f"# Left out: {parts}.")
        if self.assets:
            lines.append("assets:")
            lines += [f"  {_scalar(name)}: {_flow(row)}" for name, row in self.assets.items()]
        lines.append("instruments:")
        lines += [f"  {_scalar(name)}: {_flow(row)}" for name, row in self.instruments.items()]
        return "\n".join(lines) + "\n"


def listing_venue(name: str) -> Venue:
    """The venue of a name such as "okx". Raises UsageError."""
    known = {label(venue): venue for venue in READERS}
    if name not in known:
        raise UsageError(
            f"there is no venue {name!r}{did_you_mean(name, known)}",
            next_step=f"name one of {', '.join(known)}",
        )
    return known[name]


def read_listing(
    venue: Venue | str,
    documents: Iterable[tuple[str, bytes]],
    *,
    symbols: Sequence[str] = (),
    exclude: Sequence[str] = (),
    quotes: Sequence[str] = (),
    contracts: Sequence[Contract | str] = (),
    not_trading: bool = False,
    names: str | None = None,
    beside: tuple[str, bytes] | None = None,
) -> Listing:
    """Reads a venue's listing: pairs of a file's name and its bytes, as they were downloaded.

    `symbols` and `exclude` are patterns (`*`, `?`, `[…]`) of the venue's names; `quotes` and
    `contracts` choose among what is left. `not_trading` takes what the venue has halted, delisted
    or not yet launched, too. `names` is a pattern of `{venue}`, `{symbol}`, `{contract}`,
    `{base}`, `{quote}`. `beside` is a policy (name and text) into which the rows will go: assets
    that it has are not said again, and a name that it has is an error.

    Raises ConfigError (the listing, or the policy) and UsageError (what was asked for).
    """
    venue = listing_venue(venue) if isinstance(venue, str) else venue
    pattern = _names_of(venue, names)
    wanted = [_contract(contract) for contract in contracts]
    known = _tables_of(beside)
    sources, rows = _read(venue, documents)
    _unique(rows)
    _match_all(rows, symbols, not_trading)
    chooser = _Chooser(venue, symbols, exclude, quotes, wanted, not_trading)
    chosen = chooser.choose(rows)
    writer = _Writer(venue, pattern, known)
    for row, terms in chosen:
        writer.add(row, terms)
    return Listing(
        venue,
        tuple(sources),
        len(rows),
        dict(sorted(chooser.left_out.items())),
        dict(sorted(writer.assets.items())),
        dict(sorted(writer.instruments.items())),
    )


# ---- Reading and choosing -----------------------------------------------------------------


def _read(
    venue: Venue, documents: Iterable[tuple[str, bytes]]
) -> tuple[list[ListingSource], list[Row]]:
    sources: list[ListingSource] = []
    rows: list[Row] = []
    for file, data in documents:
        top = load(data, file)
        check(top, venue)
        document = READERS[venue](top)
        if not document.rows:
            top.fail("the listing has no instruments", "ask the venue again, or for another kind")
        sources.append(ListingSource(file, hashlib.sha256(data).hexdigest(), document.notes))
        rows += document.rows
    if not sources:
        raise UsageError("no listing was given", next_step="name its file, or - for stdin")
    return sources, rows


def _unique(rows: list[Row]) -> None:
    seen: dict[tuple[str, str], Row] = {}
    for row in rows:
        first = seen.setdefault((row.family, row.name), row)
        if first is not row:
            where = "" if first.node.file == row.node.file else f"{first.node.file} "
            row.node.fail(
                f"{row.name!a} is listed twice; first at {where}{first.node.place}",
                "give each page of the listing once, as the venue sent it",
            )


def _is_like(row: Row, patterns: Sequence[str]) -> bool:
    return any(
        fnmatchcase(row.name, pattern) or fnmatchcase(row.symbol, pattern) for pattern in patterns
    )


def _match_all(rows: list[Row], symbols: Sequence[str], not_trading: bool) -> None:
    """What is asked for by name is there and trades; else it would be missing in silence."""
    for pattern in symbols:
        states = [row.state for row in rows if _is_like(row, [pattern])]
        if not states:
            near = did_you_mean(pattern, sorted({row.name for row in rows}))
            raise UsageError(
                f"the listing has no symbol {pattern!a}{near}",
                next_step="name one that it has; * and ? stand for any characters",
            )
        if all(states) and not not_trading:
            raise UsageError(
                f"{pattern!a} is listed, but does not trade ({', '.join(sorted(set(states)))})",
                next_step="leave it away, or take it all the same with --all",
            )


def _contract(contract: Contract | str) -> Contract:
    if isinstance(contract, Contract):
        return contract
    known = {label(member): member for member in Contract}
    if contract not in known:
        raise UsageError(
            f"there is no contract {contract!a}{did_you_mean(contract, known)}",
            next_step=f"name one of {', '.join(known)}",
        )
    return known[contract]


class _Chooser:
    """What is asked for, and why the rest was left out."""

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        exclude: Sequence[str],
        quotes: Sequence[str],
        contracts: Sequence[Contract],
        not_trading: bool,
    ) -> None:
        self._venue = venue
        self._symbols = symbols
        self._exclude = exclude
        self._quotes = quotes
        self._contracts = contracts
        self._not_trading = not_trading
        self._quotes_seen: set[str] = set()
        self.left_out: Counter[str] = Counter()

    def choose(self, rows: list[Row]) -> list[tuple[Row, Terms]]:
        """The rows that are asked for. Raises UsageError when there are none, or too many."""
        chosen: list[tuple[Row, Terms]] = []
        for row in rows:
            why = self._why_not(row)
            terms = row.terms() if not why else None
            if terms is not None and not self._is_wanted(terms):
                why = "not asked for"
            if terms is None or why:
                self.left_out[why] += 1
            else:
                chosen.append((row, terms))
        unknown = [quote for quote in self._quotes if quote not in self._quotes_seen]
        if unknown:
            raise UsageError(
                f"nothing here is quoted in {unknown[0]!a}"
                f"{did_you_mean(unknown[0], sorted(self._quotes_seen))}",
                next_step="name the quote asset as the venue writes it",
            )
        if not chosen:
            why = ", ".join(f"{count} {why}" for why, count in sorted(self.left_out.items()))
            raise UsageError(
                f"nothing is left of the {len(rows)} instruments of {label(self._venue)}: {why}",
                next_step="ask for less with --symbol, --quote, --contract; --all takes what does"
                " not trade",
            )
        if len(chosen) > INSTRUMENTS_MAX:
            raise UsageError(
                f"{len(chosen)} instruments are more than a policy holds ({INSTRUMENTS_MAX})",
                next_step="choose some: --symbol, --quote, --contract",
            )
        return chosen

    def _why_not(self, row: Row) -> str:
        if (self._symbols and not _is_like(row, self._symbols)) or _is_like(row, self._exclude):
            return "not asked for"
        if row.kind:
            return f"of a kind that no policy has ({ascii(row.kind)[1:-1]})"
        return (
            f"not trading ({ascii(row.state)[1:-1]})" if row.state and not self._not_trading else ""
        )

    def _is_wanted(self, terms: Terms) -> bool:
        self._quotes_seen.add(terms.quote)
        return (not self._quotes or terms.quote in self._quotes) and (
            not self._contracts or terms.contract in self._contracts
        )


# ---- Writing ------------------------------------------------------------------------------


def _names_of(venue: Venue, names: str | None) -> str:
    pattern = names if names is not None else DEFAULT_NAMES[venue]
    for field in re.findall(r"\{(.*?)\}", pattern):
        if field not in _FIELDS:
            raise UsageError(
                f"names have no {{{field}}}{did_you_mean(field, _FIELDS)}",
                next_step="use " + ", ".join(f"{{{known}}}" for known in _FIELDS),
            )
    rest = re.sub(r"\{.*?\}", "", pattern)
    if "{" not in pattern or (rest and not _TEXT.fullmatch(rest)):
        raise UsageError(
            f"{pattern!a} is no pattern of names",
            next_step="write letters, digits, '.', '_', '-' and fields: '{venue}.{symbol}'",
        )
    return pattern


def _tables_of(beside: tuple[str, bytes] | None) -> dict[str, dict[str, Any]]:
    """Assets and instruments of a policy, unchecked: what they are is its compiler's business."""
    if beside is None:
        return {}
    file, source = beside
    data = _policy_yaml.load(source, file).data
    tables = data if isinstance(data, dict) else {}
    found: dict[str, dict[str, Any]] = {}
    for section in ("assets", "instruments"):
        table = tables.get(section) or {}
        if not isinstance(table, dict):
            raise ConfigError(f"`{section}:` is not a table", file=file)
        found[section] = table
    return found


class _Writer:
    def __init__(self, venue: Venue, pattern: str, known: dict[str, dict[str, Any]]) -> None:
        self._venue = venue
        self._pattern = pattern
        self._known = known
        self._tokens: dict[str, Token] = {}
        self._rows: dict[str, Row] = {}
        self.assets: dict[str, dict[str, Any]] = {}
        self.instruments: dict[str, dict[str, Any]] = {}

    def add(self, row: Row, terms: Terms) -> None:
        """Adds an instrument and the assets that it needs."""
        self._fits(row, row.symbol, _TEXT, SYMBOL_MAX, "symbol")
        tokens = dict(terms.tokens)
        base, quote = (self._asset(row, code, tokens) for code in (terms.base, terms.quote))
        settle = self._asset(row, terms.settle, tokens) if terms.settle else quote
        made: dict[str, Any] = {
            "venue": label(self._venue),
            "symbol": row.symbol,
            "contract": label(terms.contract),
            "base": base,
            "quote": quote,
        }
        if settle != quote:
            made["settle"] = settle
        if terms.unit is not Unit.BASE:
            made["unit"] = label(terms.unit)
        if terms.unit is Unit.CONTRACTS or terms.multiplier != ONE:
            made["multiplier"] = format_quantity(terms.multiplier)
        made |= {"tick": format_quantity(terms.tick), "lot": format_quantity(terms.lot)}
        if terms.index is not None:
            made["index"] = terms.index
        if terms.expiry_ms:
            made["expiry"] = _iso(terms.expiry_ms)
        if terms.strike.mantissa:
            made["strike"] = format_quantity(terms.strike)
        self.instruments[self._name(row, terms)] = made

    def _name(self, row: Row, terms: Terms) -> str:
        fields = {
            "venue": label(self._venue),
            "symbol": row.symbol,
            "contract": label(terms.contract),
            "base": terms.base,
            "quote": terms.quote,
        }
        name = re.sub(r"\{(.*?)\}", lambda match: fields[match[1]], self._pattern)
        if len(name) > NAME_MAX or not _NAME.fullmatch(name):
            row.node.fail(
                f"{name!a} is longer than {NAME_MAX} characters, or begins with neither letter nor"
                " digit",
                "choose another --name",
            )
        twin = self._rows.setdefault(name, row)
        if twin is not row:
            row.node.fail(
                f"{name!a} would name two instruments; the other is {twin.node.file}"
                f" {twin.node.place}",
                "choose a --name that tells them apart: '{venue}.{contract}.{symbol}'",
            )
        if name in self._known.get("instruments", {}):
            row.node.fail(f"the policy has an instrument {name!a} already", "choose another --name")
        return name

    def _asset(self, row: Row, code: str, tokens: dict[str, Token]) -> str:
        """The name of an asset: its code, or for a numbered token one of the venue's own."""
        self._fits(row, code, _NAME, CODE_MAX, "asset")
        token = tokens.get(code)
        made: dict[str, Any] = {"par": "1 USD"} if code == "USD" else {}
        name = code
        if token is not None:
            name = f"{label(self._venue)}.{code}"
            made = {
                "venue": label(self._venue),
                "code": code,
                "decimals": token.decimals,
                "token": token.id,
            }
            if self._tokens.setdefault(name, token) != token:
                row.node.fail(f"two tokens are called {code!a}", "leave one out with --exclude")
        known = self._known.get("assets", {})
        if name not in known:
            self.assets[name] = made
            if len(self.assets) > ASSETS_MAX:
                row.node.fail(
                    f"more than {ASSETS_MAX} assets are needed", "choose some: --symbol, --quote"
                )
        elif token is not None and known[name].get("token") != token.id:
            row.node.fail(f"the policy's asset {name!a} is another token", "rename it there")
        return name

    def _fits(self, row: Row, text: str, form: re.Pattern[str], limit: int, what: str) -> None:
        if len(text) > limit or not form.fullmatch(text):
            row.node.fail(
                f"the {what} {text!a} is longer than {limit} characters, or has others than"
                " letters, digits, '.', '_', '-'",
                f"leave it out with --exclude {row.name!a}, or choose with --symbol or --quote",
            )


def _iso(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _comment(text: str) -> str:
    """A text that cannot end its comment."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def _scalar(value: object) -> str:
    """A value that is read back as the same text by every YAML parser."""
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else f'"{text}"'


def _flow(row: dict[str, Any]) -> str:
    numbers = ("multiplier", "tick", "lot", "strike", "index", "decimals", "expiry", "par")
    parts = (f"{key}: {value if key in numbers else _scalar(value)}" for key, value in row.items())
    return "{" + ", ".join(parts) + "}"
