"""From a document of the right form to a draft: names become rows, texts become numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

from . import _enums, units
from ._enums import (
    CANCEL_ACTIONS,
    RULE_ACTIONS,
    VENUE_ACTIONS,
    Action,
    Algorithm,
    NodeKind,
    OrderType,
    Product,
    Purpose,
    Rule,
    Side,
    TimeInForce,
    Venue,
    label,
    mask_of,
)
from ._policy_check import text_of
from ._policy_draft import (
    ENDPOINT_CHECKED,
    ENDPOINT_GRANTED,
    Draft,
    DraftConstraint,
    DraftKey,
    DraftNode,
    constraint_id,
    sanction_digest,
)
from ._policy_people import read_approval, read_oversight
from ._policy_tables import member
from ._policy_watch import Watch
from ._policy_yaml import Document, Path
from ._venue_rows import algorithm_refusal, rsa_refusal
from .errors import ConfigError

T = TypeVar("T")

MARK_MAX_AGE: Final = "5s"
MARKET_BAND: Final = "1 %"
ATTEMPTS: Final = "100/min"
CLOCK_TOLERANCE: Final = "100ms"
BOOK_ENTRIES: Final = 1024
KEY_VALIDITY: Final = "5s"
KEY_VALIDITY_MS_MAX: Final = 60_000

_OPEN_ENDPOINTS: Final = (Venue.BINANCE_SPOT, Venue.BINANCE_USDM, Venue.BYBIT)
"""Venues whose signatures do not cover method, path and host."""

_PRODUCTS: Final = {
    Venue.BINANCE_SPOT: (Product.SPOT,),
    Venue.BINANCE_USDM: (Product.LINEAR,),
    Venue.BYBIT: (),
}
"""What a key of the venue is good for when nothing is said; of other venues, everything."""

_TRADED: Final = set(Product) - {Product.WALLET}

_ADDRESS: Final = re.compile(f"[A-Za-z0-9._-]{{1,{_enums.ADDRESS_BYTES_MAX}}}")
_LISTS: Final[tuple[tuple[str, Rule, type[IntEnum]], ...]] = (
    ("actions", Rule.ACTIONS, Action),
    ("venues", Rule.VENUES, Venue),
    ("order_types", Rule.ORDER_TYPES, OrderType),
    ("sides", Rule.SIDES, Side),
    ("times_in_force", Rule.TIMES_IN_FORCE, TimeInForce),
)
_RATE_ACTIONS: Final = (*_enums.VALUE_ACTIONS, Action.MESSAGE)


class Resolver(Watch):
    """Reads one document. `draft()` raises ConfigError at the first thing that is wrong."""

    def __init__(self, document: Document, base: FilePath) -> None:
        super().__init__(document, base)
        self._nodes: list[DraftNode] = []
        self._constraints: list[DraftConstraint] = []
        self._names: dict[tuple[int, str], Path] = {}
        self._ids: dict[int, tuple[str, str]] = {}

    # ---- Nodes ------------------------------------------------------------

    def _read_nodes(self) -> None:
        taken: dict[int, str] = {}

        def add(name: str, at: Path, kind: NodeKind, parent: DraftNode | None) -> DraftNode:
            path = f"{parent.path}/{name}" if parent else name
            depth = parent.depth + 1 if parent else 0
            if depth >= _enums.DEPTH_MAX:
                self._fail(at, f"nodes nest deeper than {_enums.DEPTH_MAX}", key=True)
            if len(self._nodes) >= _enums.NODES_MAX:
                self._fail(at, f"there are more than {_enums.NODES_MAX} nodes", key=True)
            node = DraftNode(
                index=len(self._nodes),
                id=self._id(at, "node", path, taken),
                name=name,
                path=path,
                kind=kind,
                parent=parent.index if parent else None,
                depth=depth,
                at=at,
            )
            self._nodes.append(node)
            self._read_constraints(node)
            return node

        def below(at: Path, parent: DraftNode) -> None:
            names: set[str] = set()
            for section, kind in (("groups", NodeKind.GROUP), ("agents", NodeKind.AGENT)):
                for name in self._get((*at, section), {}):
                    path = (*at, section, name)
                    if name in names:
                        self._fail(path, f"{name!r} is a group and an agent", key=True)
                    names.add(name)
                    node = add(name, path, kind, parent)
                    if kind is NodeKind.GROUP:
                        below(path, node)

        firm = add(str(self._get(("firm", "name"), "firm")), ("firm",), NodeKind.FIRM, None)
        below(("firm",), firm)

    def _node_named(self, path: Path, text: str) -> DraftNode:
        found = [node for node in self._nodes if text in (node.path, node.name)]
        exact = [node for node in found if node.path == text]
        if exact:
            return exact[0]
        if len(found) == 1:
            return found[0]
        known = [node.path for node in self._nodes]
        if found:
            options = ", ".join(node.path for node in found)
            self._fail(path, f"several nodes are named {text!r}", f"write the path: {options}")
        guess = units.did_you_mean(text, [*known, *(node.name for node in self._nodes)])
        self._fail(path, f"there is no node {text!r}{guess}", "name the firm, a group or an agent")
        raise AssertionError

    # ---- Constraints ------------------------------------------------------

    def _read_constraints(self, node: DraftNode) -> None:
        before = len(self._constraints)
        at = node.at
        for block in self._items((*at, "allow")):
            self._allow(node, block)
        self._read_destination_list(node)
        if self._get((*at, "sanctions")) is not None:
            if self._get(("sanctions", "file")) is None:
                self._fail(
                    (*at, "sanctions"),
                    "the policy has no sanctions list",
                    "add at the top: `sanctions: {file: sanctions.txt}`",
                )
            self._add(node, Rule.SANCTIONS, "sanctions", (*at, "sanctions"))
        for item in self._items((*at, "max_value")):
            cap = self._unit(self._field(item, "cap"), units.parse_money)
            self._add(node, Rule.VALUE_CAP, "max_value", item, bound=cap)
        for name in self._get((*at, "max_quantity"), {}):
            self._quantity_cap(node, name)
        for item in self._items((*at, "price_collar")):
            age = self._get(("marks", "max_age"), MARK_MAX_AGE)
            self._add(
                node,
                Rule.PRICE_COLLAR,
                "price_collar",
                item,
                bound=self._unit((*item, "within"), units.parse_ratio),
                max_age_ns=self._unit((*item, "max_age"), units.parse_duration, text_of(age)),
            )
        for item in self._items((*at, "daily_limit")):
            cap = self._unit(self._field(item, "cap"), units.parse_money)
            self._add(node, Rule.DAILY_LIMIT, "daily_limit", item, bound=cap)
        for item in self._items((*at, "rolling")):
            self._add(
                node,
                Rule.ROLLING_CAP,
                "rolling",
                item,
                bound=self._unit((*item, "cap"), units.parse_money),
                window_ns=self._unit((*item, "window"), units.parse_duration),
            )
        self._rates(node)
        for item in self._items((*at, "heartbeat")):
            self._add(node, Rule.HEARTBEAT, "heartbeat", item, **self._heartbeat(item))
        for item in self._items((*at, "approval")):
            self._add(node, Rule.APPROVAL, "approval", item, **read_approval(self, item))
        added = self._constraints[before:]
        added.sort(key=lambda constraint: constraint.kind)  # stable
        self._constraints[before:] = added

    def _items(self, path: Path) -> Sequence[Path]:
        value = self._get(path)
        if value is None:
            return ()
        if isinstance(value, list):
            return [(*path, position) for position in range(len(value))]
        return (path,)

    def _field(self, item: Path, field: str) -> Path:
        """Where a number stands that may be given alone or as a field."""
        return (*item, field) if isinstance(self._get(item), dict) else item

    def _allow(self, node: DraftNode, block: Path) -> None:
        prefix = self._get((*block, "name"))
        fields = [field for field in self._get(block) if field not in {"name", "when"}]
        if not fields:
            self._fail(block, "this block allows nothing", "add `actions:`, `venues:`, …")
        for field, kind, enum in _LISTS:
            if field in fields:
                members = [member(enum, name) for name in self._get((*block, field))]
                name = f"{prefix}.{field}" if prefix else field
                self._add(
                    node, kind, name, block, at=(*block, field), mask=mask_of(members), named=False
                )
        if "instruments" in fields:
            path = (*block, "instruments")
            ids = [
                self._instruments[self._known((*path, i), self._instruments, "instrument")].id
                for i in range(len(self._get(path)))
            ]
            name = f"{prefix}.instruments" if prefix else "instruments"
            self._add(
                node, Rule.INSTRUMENTS, name, block, at=path, ids=tuple(sorted(ids)), named=False
            )

    def _read_destination_list(self, node: DraftNode) -> None:
        item = (*node.at, "destinations")
        value = self._get(item)
        if value is None:
            return
        path = (*item, "allow") if isinstance(value, dict) else item
        digests: dict[bytes, str] = {}
        for i in range(len(self._get(path))):
            name = self._known((*path, i), self._destinations, "destination")
            digest = self._destinations[name].digest
            if digest in digests:
                self._fail((*path, i), f"{name!r} is the same place as {digests[digest]!r}")
            digests[digest] = name
        self._add(node, Rule.DESTINATIONS, "destinations", item, digests=tuple(sorted(digests)))

    def _quantity_cap(self, node: DraftNode, name: str) -> None:
        at = (*node.at, "max_quantity", name)
        if name not in self._instruments:
            guess = units.did_you_mean(name, self._instruments)
            self._fail(
                at,
                f"there is no instrument {name!r}{guess}",
                "add it under `instruments:` or name one that is there",
                key=True,
            )
        for item in self._items(at):
            given = self._get((*item, "when", "instrument")) if self._is_map(item) else None
            if given is not None:
                self._fail((*item, "when", "instrument"), "the key names the instrument already")
            cap = self._unit(self._field(item, "cap"), units.parse_quantity)
            self._add(
                node,
                Rule.QUANTITY_CAP,
                f"max_quantity.{name}",
                item,
                instrument=name,
                bound=cap.mantissa,
                bound_scale=cap.scale,
            )

    def _is_map(self, path: Path) -> bool:
        return isinstance(self._get(path), dict)

    def _rates(self, node: DraftNode) -> None:
        at = node.at
        cancels: list[DraftConstraint] = []
        for item in self._items((*at, "rate")):
            rate = self._rate(node, "rate", item, _RATE_ACTIONS)
            if not self._is_map(item) or self._get((*item, "when")) is None:
                cancels.append(rate)
        for item in self._items((*at, "cancel_rate")):
            self._rate(node, "cancel_rate", item, CANCEL_ACTIONS)
        for item in self._items((*at, "query_rate")):
            self._rate(node, "query_rate", item, (Action.QUERY,))
        if self._get((*at, "cancel_rate")) is None:
            for rate in cancels:  # cancels never wait for other actions' budget
                name = "cancel_rate" if rate.name == "rate" else f"{rate.name}.cancels"
                self._claim(node, name, rate.at)
                cancels_too = replace(
                    rate, name=name, actions=mask_of(CANCEL_ACTIONS), derived=True
                )
                self._push(cancels_too)

    def _rate(
        self, node: DraftNode, name: str, item: Path, actions: Iterable[Action]
    ) -> DraftConstraint:
        limit, window_ns = self._unit(self._field(item, "limit"), units.parse_rate)
        self._add(
            node, Rule.RATE_LIMIT, name, item, bound=limit, window_ns=window_ns, actions=actions
        )
        return self._constraints[-1]

    def _add(
        self,
        node: DraftNode,
        kind: Rule,
        name: str,
        item: Path,
        *,
        at: Path | None = None,
        named: bool = True,
        actions: Iterable[Action] | None = None,
        instrument: str | None = None,
        **row: Any,
    ) -> None:
        """Adds a constraint; `item` is where its `name`, `when` and `each` stand, if anywhere."""
        where = at or item
        when: Path = (*item, "when")
        has_when = self._is_map(item) and self._get(when) is not None
        if named and self._is_map(item):
            name = self._get((*item, "name"), name)
        default = VENUE_ACTIONS if kind is Rule.VENUES else RULE_ACTIONS[kind]
        chosen = mask_of(actions if actions is not None else default)
        venues = mask_of(Venue)
        if has_when:
            chosen = self._when_actions((*when, "actions"), kind, chosen)
            if self._get((*when, "venues")) is not None:
                venues = mask_of(member(Venue, name) for name in self._get((*when, "venues")))
            if self._get((*when, "instrument")) is not None:
                instrument = self._known((*when, "instrument"), self._instruments, "instrument")
        each = self._is_map(item) and bool(self._get((*item, "each"), False))
        self._claim(node, name, where)
        self._push(
            DraftConstraint(
                id=0,
                node=node.index,
                name=name,
                kind=kind,
                actions=chosen,
                venues=venues,
                instrument=instrument,
                at=where,
                each=each,
                **row,
            )
        )

    def _when_actions(self, path: Path, kind: Rule, default: int) -> int:
        names = self._get(path)
        if names is None:
            return default
        for position, name in enumerate(names):
            if member(Action, name) not in RULE_ACTIONS[kind]:
                applies = ", ".join(label(action) for action in RULE_ACTIONS[kind])
                self._fail(
                    (*path, position),
                    f"a constraint of this kind never applies to {name!r}",
                    f"it applies to {applies}",
                )
        return mask_of(member(Action, name) for name in names)

    def _claim(self, node: DraftNode, name: str, where: Path) -> None:
        """Each name stands once in a node: it names the constraint's state."""
        first = self._names.setdefault((node.index, name), where)
        if first is not where:
            place = self._document.values[first]
            self._fail(
                where,
                f"two constraints of {node.path!r} are named {name!r}; the first is in line"
                f" {place.line}",
                "give each a `name:` of its own",
            )

    def _push(self, constraint: DraftConstraint) -> None:
        node = self._nodes[constraint.node]
        if len(self._constraints) >= _enums.CONSTRAINTS_MAX:
            self._fail(constraint.at, f"more than {_enums.CONSTRAINTS_MAX} constraints")
        id_ = constraint_id(node.path, constraint.name)
        other = self._ids.setdefault(id_, (node.path, constraint.name))
        if other != (node.path, constraint.name) or id_ == 0:
            self._fail(
                constraint.at,
                f"the id of {constraint.name!r} is that of {other[1]!r} of {other[0]!r}",
                "give it another `name:`",
            )
        self._constraints.append(replace(constraint, id=id_))

    # ---- Keys, sanctions, the whole ---------------------------------------

    def _read_keys(self) -> dict[str, DraftKey]:
        keys: dict[str, DraftKey] = {}
        taken: dict[int, str] = {}
        for name, at in self._table("keys"):
            keys[name] = self._key(name, at, taken)
        return keys

    def _key(self, name: str, at: Path, taken: dict[int, str]) -> DraftKey:
        row = self._get(at)
        venue = member(Venue, row.get("venue", "none"))
        purpose = member(Purpose, row.get("purpose", "venue" if venue else "message"))
        if (purpose is Purpose.MESSAGE) != (venue is Venue.NONE):
            self._fail(
                at,
                "a venue's key needs `venue:`, and a message key has none",
                "add `venue:`, or write `purpose: message`",
                key=True,
            )
        if purpose is Purpose.VENUE_MASTER and venue is not Venue.HYPERLIQUID:
            self._fail((*at, "purpose"), "only hyperliquid has master keys", "remove it")
        if row["algorithm"] == "rsa":
            self._fail((*at, "algorithm"), *rsa_refusal(venue))
        validity_ns = 0
        if "validity" in row or venue:
            validity_ns = self._unit((*at, "validity"), units.parse_duration, KEY_VALIDITY)
        if validity_ns % 10**6 or validity_ns > KEY_VALIDITY_MS_MAX * 10**6:
            self._fail(
                (*at, "validity"),
                "it must be whole milliseconds, at most 60s",
                "write what a request needs to arrive, such as 5s",
            )
        if not venue and validity_ns:
            self._fail((*at, "validity"), "a message has no validity", "remove it")
        endpoint = row.get("endpoint")
        if venue in _OPEN_ENDPOINTS and endpoint is None:
            self._fail(
                at,
                f"signatures of {label(venue)} do not cover the endpoint",
                "limit the key to this product at the venue and write `endpoint: checked`, or"
                " accept the risk with `endpoint: granted`",
                key=True,
            )
        flags = {None: 0, "checked": ENDPOINT_CHECKED, "granted": ENDPOINT_GRANTED}[endpoint]
        products = self._products(at, row, venue, purpose)
        if venue in _OPEN_ENDPOINTS and len(products) > 1 and endpoint != "granted":
            self._fail(
                (*at, "endpoint"),
                f"a {label(venue)} key for several products is not limited to its product",
                "have one key for each product, or accept the risk with `endpoint: granted`",
            )
        refusal = algorithm_refusal(venue, member(Algorithm, row["algorithm"]))
        if refusal is not None:
            self._fail((*at, "algorithm"), *refusal)
        text = row.get("for")
        return DraftKey(
            id=self._id(at, "key", name, taken),
            name=name,
            node=self._node_named((*at, "for"), text).index if text else 0,
            venue=venue,
            purpose=purpose,
            algorithm=member(Algorithm, row["algorithm"]),
            expiry_ms=validity_ns // 10**6,
            flags=flags,
            products=mask_of(products),
            account=self._account(at, row, venue),
            at=at,
        )

    def _products(
        self, at: Path, row: dict[str, Any], venue: Venue, purpose: Purpose
    ) -> tuple[Product, ...]:
        written = tuple(member(Product, name) for name in row.get("products", ()))
        if not venue:
            if written:
                self._fail((*at, "products"), "a message key has no products", "remove it")
            return ()
        products = written or _PRODUCTS.get(venue, tuple(Product))
        if venue is Venue.HYPERLIQUID:
            # The venue takes no transfer from an agent key; a master key could
            # do everything, so it is held to what only it can do.
            own = {Product.WALLET} if purpose is Purpose.VENUE_MASTER else _TRADED
            if not own.issuperset(written):
                self._fail(
                    (*at, "products"),
                    "a master key moves funds and nothing else"
                    if purpose is Purpose.VENUE_MASTER
                    else "an agent key cannot move funds",
                    "write `products: [wallet]`"
                    if purpose is Purpose.VENUE_MASTER
                    else "take `wallet` out, and have a key with `purpose: venue_master` for it",
                )
            products = written or tuple(sorted(own))
        if not products:
            self._fail(
                at,
                f"a {label(venue)} key needs `products:`",
                "write what it is good for at the venue: spot, linear, inverse, option, wallet",
                key=True,
            )
        return products

    def _account(self, at: Path, row: dict[str, Any], venue: Venue) -> str | None:
        account: str | None = row.get("account")
        if account is not None and not venue:
            self._fail((*at, "account"), "a message key has no account", "remove it")
        return account

    def _read_sanctions(self) -> tuple[bytes, ...]:
        path: Path = ("sanctions", "file")
        name = self._get(path)
        if name is None:
            return ()
        file = self._base / name
        try:
            content = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise self._document.error(
                path, f"the sanctions list {name} cannot be read: {reason}"
            ) from None
        digests: set[bytes] = set()
        for number, line in enumerate(content.splitlines(), 1):
            address = line.partition("#")[0].strip()
            if not address:
                continue
            if _ADDRESS.fullmatch(address) is None:
                raise ConfigError(
                    f"{address[:64]!r} is not an address",
                    file=str(file),
                    line=number,
                    column=line.index(address) + 1,
                    next_step="write one address a line; # begins a comment",
                )
            digests.add(sanction_digest(address))
        if len(digests) > _enums.SANCTIONS_MAX:
            self._fail(path, f"the list has more than {_enums.SANCTIONS_MAX} addresses")
        return tuple(sorted(digests))

    def draft(self) -> Draft:
        """The whole policy. Raises ConfigError."""
        self._read_assets()
        self._read_networks()
        self._read_instruments()
        self._read_destinations()
        self._read_nodes()
        keys = self._read_keys()
        attempts = self._unit(("attempts", "limit"), units.parse_rate, ATTEMPTS)
        book = self._get(("book", "entries"), BOOK_ENTRIES)
        if book & (book - 1):
            self._fail(("book", "entries"), "it is not a power of two")
        band = self._unit(("marks", "market_band"), units.parse_ratio, MARKET_BAND)
        if band >= 10**6:
            self._fail(("marks", "market_band"), "it is not below 100 %")
        draft = Draft(
            document=self._document,
            attempt_limit=attempts.limit,
            attempt_interval_ns=attempts.window_ns,
            clock_tolerance_ns=self._unit(
                ("clock", "tolerance"), units.parse_duration, CLOCK_TOLERANCE
            ),
            lease_ns=self._lease_ns(),
            mark_max_age_ns=self._unit(("marks", "max_age"), units.parse_duration, MARK_MAX_AGE),
            market_band_ppm=band,
            book_entries=book,
            nodes=tuple(self._nodes),
            assets=self._assets,
            networks=self._networks,
            instruments=self._instruments,
            destinations=self._destinations,
            keys=keys,
            constraints=tuple(self._constraints),
            sanctions=self._read_sanctions(),
            **read_oversight(self),
        )
        self._check_limits(draft)
        return draft

    def _check_limits(self, draft: Draft) -> None:
        counts = [0] * len(draft.nodes)
        for constraint in draft.constraints:
            counts[constraint.node] += 1
        for node in draft.nodes:
            if node.parent is not None:
                counts[node.index] += counts[node.parent]
            if counts[node.index] > _enums.CHAIN_CONSTRAINTS_MAX:
                self._fail(
                    node.at,
                    f"{counts[node.index]} constraints apply to {node.path!r}, above"
                    f" {_enums.CHAIN_CONSTRAINTS_MAX}",
                    "merge or remove constraints of the nodes above it",
                    key=True,
                )
        for kind, field in (("ids", "IDS_MAX"), ("digests", "DESTINATIONS_MAX")):
            total = sum(len(getattr(constraint, kind)) for constraint in draft.constraints)
            limit: int = getattr(_enums, field)
            if total > limit:
                self._fail((), f"all allowlists together have more than {limit} entries")
