"""The tables of a policy, and how a document of the right form is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

from . import _enums, units
from ._enums import Contract, Unit, Venue, label
from ._policy_check import text_of
from ._policy_draft import (
    DraftAsset,
    DraftDestination,
    DraftInstrument,
    DraftNetwork,
    destination_digest,
    stable_id,
)
from ._policy_yaml import Document, Path
from .errors import UnitInvalid

T = TypeVar("T")

_CONTRACTS: Final = {Venue.BINANCE_SPOT: Contract.SPOT, Venue.BINANCE_USDM: Contract.LINEAR}
"""Venues that have one kind of instrument."""

_UNITS: Final = {
    Contract.SPOT: (Unit.BASE,),
    Contract.LINEAR: (Unit.BASE, Unit.CONTRACTS),
    Contract.INVERSE: (Unit.CONTRACTS, Unit.QUOTE),
    Contract.QUANTO: (Unit.CONTRACTS,),
    Contract.OPTION: (Unit.BASE, Unit.CONTRACTS),
}
"""In which units a contract's quantity can be; the first is the default."""


_SETTLES: Final = {
    Contract.SPOT: "quote",
    Contract.INVERSE: "base",
    Contract.OPTION: "quote",
}
"""In which leg a contract settles; the core refuses another, for its value would be wrong."""

_SETTLES_NEXT: Final = {
    Contract.SPOT: "remove `settle:`",
    Contract.INVERSE: "remove `settle:`, or name the contract that it is: linear or quanto",
    Contract.OPTION: "write as `quote:` what the premium is paid in, and remove `settle:`",
}
"""What to do where a row says another."""

_SIZES: Final = {
    Contract.LINEAR: "base units",
    Contract.INVERSE: "quote units",
    Contract.QUANTO: "settle units for each unit of the price",
    Contract.OPTION: "base units",
}
"""What the multiplier of a contract counts."""

_HYPERLIQUID_INDEXES: Final = {
    Contract.SPOT: (range(10_000, 100_000), "from 10000 (10000 and the pair's own number)"),
    Contract.LINEAR: (range(10_000), "below 10000"),
}
"""Hyperliquid's numbers of assets, by kind, in words too."""


def member(kind: type[T], name: str) -> T:
    """The member of an enumeration that a text names."""
    return kind[name.upper()]  # type: ignore[index, no-any-return]


class Tables:
    """Assets, networks, instruments and destinations of a document, and how all of it is read."""

    def __init__(self, document: Document, base: FilePath) -> None:
        self._document = document
        self._base = base
        self._assets: dict[str, DraftAsset] = {}
        self._networks: dict[str, DraftNetwork] = {}
        self._instruments: dict[str, DraftInstrument] = {}
        self._destinations: dict[str, DraftDestination] = {}

    # ---- Reading ----------------------------------------------------------

    def _get(self, path: Path, default: Any = None) -> Any:
        node: Any = self._document.data
        for step in path:
            if isinstance(node, dict) and step not in node:
                return default
            node = node[step]
        return node

    def _fail(self, path: Path, message: str, next_step: str = "", *, key: bool = False) -> Any:
        raise self._document.error(path, message, key=key, next_step=next_step)

    def _unit(self, path: Path, parse: Callable[[str | int], T], default: str | None = None) -> T:
        value = self._get(path, default)
        try:
            return parse(text_of(value))
        except UnitInvalid as error:
            raise self._document.error(path, error.message, next_step=error.next_step) from None

    def _positive(self, path: Path, default: str | None = None) -> units.Quantity:
        quantity = self._unit(path, units.parse_quantity, default)
        if quantity.mantissa == 0:
            self._fail(path, "it must be above 0")
        return quantity

    def _known(self, path: Path, table: Iterable[str], what: str) -> str:
        name = str(self._get(path))
        names = list(table)
        if name not in names:
            section = {"asset": "assets", "network": "networks", "instrument": "instruments"}
            self._fail(
                path,
                f"there is no {what} {name!r}{units.did_you_mean(name, names)}",
                f"add it under `{section.get(what, 'destinations')}:` or name one that is there",
            )
        return name

    def _table(self, section: str) -> Iterator[tuple[str, Path]]:
        limit: int = getattr(_enums, f"{section.upper()}_MAX")
        rows = self._get((section,), {})
        if len(rows) > limit:
            self._fail((section,), f"there are more than {limit} {section}", key=True)
        for name in rows:
            yield name, (section, name)

    def _id(self, path: Path, kind: str, name: str, taken: dict[int, str]) -> int:
        given = self._get((*path, "id"))
        id_ = given if given is not None else stable_id(kind, name)
        if id_ in taken or id_ == 0:
            self._fail(
                (*path, "id") if given is not None else path,
                f"{kind} {name!r} has the same id {id_} as {taken.get(id_, 'none')!r}",
                "give one of the two an `id:` of its own",
                key=given is None,
            )
        taken[id_] = name
        return int(id_)

    # ---- Tables -----------------------------------------------------------

    def _read_assets(self) -> None:
        taken: dict[int, str] = {}
        for name, at in self._table("assets"):
            par = self._unit((*at, "par"), units.parse_money, "0")
            mark = self._get((*at, "mark"))
            if "par" in self._get(at) and par == 0:
                self._fail((*at, "par"), "a fixed mark must be above 0")
            if par and mark:
                self._fail((*at, "mark"), "`par` and `mark` exclude each other", "remove one")
            venue = member(Venue, self._get((*at, "venue"), "none"))
            token = self._get((*at, "token"))
            if token is not None and venue is not Venue.HYPERLIQUID:
                self._fail(
                    (*at, "token"),
                    "only hyperliquid numbers its tokens",
                    "add `venue: hyperliquid`, or remove it",
                )
            self._assets[name] = DraftAsset(
                id=self._id(at, "asset", name, taken),
                name=name,
                venue=venue,
                token=bytes.fromhex(token[2:]) if token is not None else bytes(16),
                code=self._code(at, name, 24),
                decimals=self._get((*at, "decimals"), 8),
                mark=mark,
                par_micro_usd=par,
                at=at,
            )
        for asset in self._assets.values():
            if asset.mark is not None:
                at = (*asset.at, "mark")
                other = self._assets[self._known(at, self._assets, "asset")]
                if other is asset or other.mark is not None:
                    self._fail(at, f"{other.name!r} has no mark of its own", "name one that has")

    def _code(self, at: Path, name: str, limit: int, field: str = "code") -> str:
        code = str(self._get((*at, field), name))
        if len(code) > limit:
            self._fail(at, f"{code!r} is longer than {limit} characters", f"set `{field}:`")
        return code

    def _read_networks(self) -> None:
        taken: dict[int, str] = {}
        for name, at in self._table("networks"):
            asset = self._known((*at, "asset"), self._assets, "asset")
            self._networks[name] = DraftNetwork(
                id=self._id(at, "network", name, taken),
                name=name,
                asset=asset,
                code=self._code(at, name, 38),
                decimals=self._get((*at, "decimals"), self._assets[asset].decimals),
                at=at,
            )

    def _read_instruments(self) -> None:
        taken: dict[int, str] = {}
        symbols: dict[tuple[Venue, str, Contract, int], str] = {}
        for name, at in self._table("instruments"):
            row = self._instrument(name, at, taken)
            twin = symbols.setdefault((row.venue, row.symbol, row.contract, row.market), name)
            if twin != name:
                self._fail(
                    (*at, "symbol"),
                    f"{row.symbol!r} of {label(row.venue)} is the instrument {twin!r} already",
                    "remove one of the two",
                )
            self._instruments[name] = row

    def _instrument(self, name: str, at: Path, taken: dict[int, str]) -> DraftInstrument:
        venue = member(Venue, self._get((*at, "venue")))
        only = _CONTRACTS.get(venue)
        given = self._get((*at, "contract"), label(only) if only else None)
        if given is None:
            self._fail(at, f"{label(venue)} has several kinds of instruments", "set `contract:`")
        contract = member(Contract, given)
        if only and contract is not only:
            self._fail(
                (*at, "contract"),
                f"{label(venue)} has {label(only)} instruments only",
                "remove it, or name another venue",
            )
        legs: dict[str, str] = {}
        for leg in ("base", "quote", "settle"):
            path = (*at, leg)
            if self._get(path) is None:  # settle only; the schema demands the others
                if contract is Contract.QUANTO:
                    self._fail(at, "a quanto contract needs `settle:`", key=True)
                legs[leg] = legs[_SETTLES.get(contract, "quote")]
                continue
            asset = self._assets[self._known(path, self._assets, "asset")]
            if asset.venue not in (Venue.NONE, venue):
                self._fail(path, f"the asset {asset.name!r} is of {label(asset.venue)}")
            legs[leg] = asset.name
        multiplier = self._positive((*at, "multiplier"), "1")
        self._check_index(at, venue, contract)
        settles = _SETTLES.get(contract)
        if settles is not None and legs["settle"] != legs[settles]:
            self._fail(
                (*at, "settle"),
                f"{label(contract)} settles in the {settles} asset, {legs[settles]}",
                _SETTLES_NEXT[contract],
            )
        if contract is Contract.SPOT:
            if units.format_quantity(multiplier).rstrip("0").rstrip(".") != "1":
                self._fail((*at, "multiplier"), "spot has the multiplier 1")
            if self._get((*at, "expiry")) is not None:
                self._fail((*at, "expiry"), "spot never expires", "remove it")
        unit = self._read_unit(at, venue, contract)
        if unit is Unit.CONTRACTS and self._get((*at, "multiplier")) is None:
            self._fail(
                at,
                "a quantity in contracts needs `multiplier:`",
                f"write what one contract is: {_SIZES[contract]}",
                key=True,
            )
        strike = units.Quantity(0, 0)
        if contract is Contract.OPTION:
            strike = self._positive((*at, "strike"))
        elif self._get((*at, "strike")) is not None:
            self._fail((*at, "strike"), "only options have a strike", "remove it")
        return DraftInstrument(
            id=self._id(at, "instrument", name, taken),
            name=name,
            venue=venue,
            symbol=self._code(at, name, 48, "symbol"),
            contract=contract,
            **legs,
            unit=unit,
            multiplier=multiplier,
            tick=self._positive((*at, "tick")),
            lot=self._positive((*at, "lot")),
            index=self._get((*at, "index"), 0),
            market=self._get((*at, "market"), 0),
            expiry_ms=self._expiry((*at, "expiry")),
            strike=strike,
            at=at,
        )

    def _read_unit(self, at: Path, venue: Venue, contract: Contract) -> Unit:
        unit = member(Unit, self._get((*at, "unit"), label(_UNITS[contract][0])))
        if unit not in _UNITS[contract]:
            known = " or ".join(label(option) for option in _UNITS[contract])
            self._fail(
                (*at, "unit"), f"a quantity of {label(contract)} counts {known}", "write that"
            )
        return unit

    def _check_index(self, at: Path, venue: Venue, contract: Contract) -> None:
        index = self._get((*at, "index"))
        if venue is not Venue.HYPERLIQUID:
            if index:
                self._fail((*at, "index"), "only hyperliquid numbers its instruments", "remove it")
            return
        if contract not in _HYPERLIQUID_INDEXES:
            self._fail((*at, "contract"), "hyperliquid has spot and linear instruments only")
        numbers, words = _HYPERLIQUID_INDEXES[contract]
        if index is None:
            self._fail(
                at, "hyperliquid knows an instrument by its number", "set `index:`", key=True
            )
        if index not in numbers:
            self._fail((*at, "index"), f"the number of {label(contract)} instruments is {words}")

    def _expiry(self, path: Path) -> int:
        text = self._get(path)
        if text is None:
            return 0
        try:
            moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            self._fail(path, f"{text!r} is not a time", "write it as 2026-03-27T08:00:00Z")
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (delta.days * 86_400 + delta.seconds) * 1000

    def _read_destinations(self) -> None:
        for name, at in self._table("destinations"):
            row = self._get(at)
            if ("account" in row) == ("network" in row and "address" in row) or (
                "account" in row and len(row) > 1
            ):
                self._fail(
                    at,
                    f"the destination {name!r} needs `network` and `address`, or `account` alone",
                    "network and address for withdrawals; account for transfers to a sub-account",
                )
            network = None
            if "network" in row:
                network = self._known((*at, "network"), self._networks, "network")
            address = str(row.get("address", row.get("account")))
            memo = text_of(row.get("memo", ""))
            if len(memo) > _enums.MEMO_BYTES_MAX:
                self._fail((*at, "memo"), f"it is longer than {_enums.MEMO_BYTES_MAX} characters")
            network_id = self._networks[network].id if network else 0
            self._destinations[name] = DraftDestination(
                name=name,
                network=network,
                address=address,
                memo=memo,
                digest=destination_digest(network_id, address, memo),
                at=at,
            )
