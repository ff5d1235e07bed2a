"""Plain data: the tables of a policy, and orders.

Both the model and the packer of test bundles read these; the core sees only the packed bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tests.model.names import INT64_MAX, By, Environment, Kind, NodeKind, Purpose


class Decimal(NamedTuple):
    """mantissa / 10^scale."""

    mantissa: int
    scale: int

    def normalised(self) -> Decimal:
        """Without the mantissa's trailing zeros; zero has scale 0."""
        mantissa, scale = self
        if mantissa == 0:
            return Decimal(0, 0)
        while scale > 0 and mantissa % 10 == 0:
            mantissa, scale = mantissa // 10, scale - 1
        return Decimal(mantissa, scale)


ZERO = Decimal(0, 0)
ONE = Decimal(1, 0)


@dataclass(frozen=True, slots=True)
class Node:
    id: int
    kind: NodeKind
    parent: int | None  # index of the parent's row; the firm has none


@dataclass(frozen=True, slots=True)
class Asset:
    id: int
    code: str
    venue: int = 0
    decimals: int = 8
    mark_asset: int = 0
    par_micro_usd: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    id: int
    asset: int
    code: str
    decimals: int = 8


@dataclass(frozen=True, slots=True)
class Instrument:
    id: int
    venue: int
    contract: int
    base: int
    quote: int
    settle: int
    unit: int
    symbol: str
    environment: int = Environment.TEST
    multiplier: Decimal = ONE
    tick: Decimal = ONE
    lot: Decimal = ONE
    strike: Decimal = ZERO
    expiry_ms: int = 0
    market: int = 0
    venue_index: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    id: int
    node: int  # index
    venue: int
    purpose: Purpose
    algorithm: int
    fingerprint: bytes
    expiry_ms: int = 0
    flags: int = 0
    products: int = 0


Destination = tuple[int, str, str]  # network id (0 for transfers), address, memo


@dataclass(frozen=True, slots=True)
class Constraint:
    id: int
    node: int  # index
    kind: Kind
    each_agent: bool = False
    bound_scale: int = 0
    actions: int = 0x3FE
    venues: int = 0x7F
    instrument: int = 0
    mask: int = 0
    instruments: tuple[int, ...] = ()
    destinations: tuple[Destination, ...] = ()
    bound: int = 0
    window_ns: int = 0
    max_age_ns: int = 0
    quorum: int = 0


@dataclass(frozen=True)
class Policy:
    nodes: tuple[Node, ...]
    assets: tuple[Asset, ...]
    networks: tuple[Network, ...]
    instruments: tuple[Instrument, ...]
    keys: tuple[Key, ...]
    constraints: tuple[Constraint, ...]  # the constraints of a node stand together
    sanctions: frozenset[str] = frozenset()  # addresses
    attempt_limit: int = INT64_MAX >> 32
    attempt_interval_ns: int = 10**9
    clock_tolerance_ns: int = 0
    mark_max_age_ns: int = 10**9
    market_band_ppm: int = 0
    book_entries: int = 64
    oversight: tuple[tuple[int, int], ...] = ()  # action, mode
    approval_ns: int = 0
    approval_quorum: int = 0
    lease_ns: int = 0

    @cached_property
    def index_of(self) -> dict[int, int]:
        """Row of each node, by id."""
        return {node.id: index for index, node in enumerate(self.nodes)}

    @cached_property
    def chains(self) -> dict[int, tuple[int, ...]]:
        """Rows from the firm to each agent, by the agent's id."""
        found: dict[int, tuple[int, ...]] = {}
        for index, node in enumerate(self.nodes):
            if node.kind == NodeKind.AGENT:
                rows = [index]
                while (parent := self.nodes[rows[0]].parent) is not None:
                    rows.insert(0, parent)
                found[node.id] = tuple(rows)
        return found

    @cached_property
    def rows_of(self) -> dict[int, list[tuple[int, Constraint]]]:
        """Constraints with their rows, by the node's row."""
        found: dict[int, list[tuple[int, Constraint]]] = {}
        for row, constraint in enumerate(self.constraints):
            found.setdefault(constraint.node, []).append((row, constraint))
        return found

    @cached_property
    def asset_of(self) -> dict[int, Asset]:
        return {asset.id: asset for asset in self.assets}

    @cached_property
    def network_of(self) -> dict[int, Network]:
        return {network.id: network for network in self.networks}

    @cached_property
    def instrument_of(self) -> dict[int, Instrument]:
        return {instrument.id: instrument for instrument in self.instruments}

    @cached_property
    def sanctioned(self) -> frozenset[str]:
        return frozenset(address.lower() for address in self.sanctions)


@dataclass(frozen=True, slots=True)
class Target:
    by: By
    action_id: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of any action. None and 0 are absent."""

    action: int
    agent: int
    action_id: int
    key: int = 0
    parent: tuple[int, int] | None = None  # agent, action id
    instrument: int = 0
    venue: int = 0
    side: int = 0
    type: int = 0
    tif: int = 0
    expire_ms: int | None = None
    reduce_only: int | None = None
    position_side: int = 0
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    target: Target | None = None
    what: int = 0
    asset: int = 0
    network: int = 0
    amount: Decimal | None = None
    address: str = ""  # a withdrawal's, or a transfer's destination
    memo: str = ""
    from_account: int = 0
    to_account: int = 0
    timeout_ms: int | None = None
    text: str = ""
