"""A policy, checked and resolved, before it becomes bytes. Each row knows its place (`at`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ._enums import Algorithm, Contract, NodeKind, Purpose, Rule, Unit, Venue
from ._policy_yaml import Document, Path
from .units import Quantity

ENDPOINT_CHECKED: Final = 1
ENDPOINT_GRANTED: Final = 2
"""Flags of a key whose signatures do not cover the endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftNode:
    """The firm, a group or an agent."""

    index: int
    id: int
    name: str
    path: str
    kind: NodeKind
    parent: int | None
    depth: int
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftAsset:
    """An asset; `mark` names the asset whose mark serves."""

    id: int
    name: str
    venue: Venue
    code: str
    decimals: int
    token: bytes
    mark: str | None
    par_micro_usd: int
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftNetwork:
    """A network on which an asset is withdrawn."""

    id: int
    name: str
    asset: str
    code: str
    decimals: int
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftInstrument:
    """A row of the instrument table."""

    id: int
    name: str
    venue: Venue
    symbol: str
    contract: Contract
    base: str
    quote: str
    settle: str
    unit: Unit
    multiplier: Quantity
    tick: Quantity
    lot: Quantity
    index: int
    market: int
    expiry_ms: int
    strike: Quantity
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftDestination:
    """An address or sub-account that lists may name."""

    name: str
    network: str | None
    address: str
    memo: str
    digest: bytes
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftKey:
    """A key and who may use it."""

    id: int
    name: str
    node: int
    venue: Venue
    purpose: Purpose
    algorithm: Algorithm
    expiry_ms: int
    flags: int
    products: int
    account: str | None
    at: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftConstraint:
    """A row of the constraint table; `ids` and `digests` become runs of lists.

    `derived`: it follows from another and was not written.
    """

    id: int
    node: int
    name: str
    kind: Rule
    actions: int
    venues: int
    instrument: str | None
    at: Path
    each: bool = False
    mask: int = 0
    ids: tuple[int, ...] = ()
    digests: tuple[bytes, ...] = ()
    bound: int = 0
    bound_scale: int = 0
    window_ns: int = 0
    max_age_ns: int = 0
    quorum: int = 0
    derived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A whole policy. Constraints stand in the order of the bundle."""

    document: Document
    attempt_limit: int
    attempt_interval_ns: int
    clock_tolerance_ns: int
    lease_ns: int
    mark_max_age_ns: int
    market_band_ppm: int
    book_entries: int
    nodes: tuple[DraftNode, ...]
    assets: dict[str, DraftAsset]
    networks: dict[str, DraftNetwork]
    instruments: dict[str, DraftInstrument]
    destinations: dict[str, DraftDestination]
    keys: dict[str, DraftKey]
    constraints: tuple[DraftConstraint, ...]
    sanctions: tuple[bytes, ...]
    oversight: bytes
    approval_quorum: int
    approval_ns: int

    def chain(self, node: DraftNode) -> Iterator[DraftNode]:
        """The node, its parent, and so on up to the firm."""
        at: DraftNode | None = node
        while at is not None:
            yield at
            at = None if at.parent is None else self.nodes[at.parent]

    def agents(self) -> tuple[DraftNode, ...]:
        """Every agent, in the order of the table."""
        return tuple(node for node in self.nodes if node.kind is NodeKind.AGENT)


def stable_id(kind: str, name: str) -> int:
    """The id that a name has when none is given: 31 bits of SHA-256("kind/name").

    `kind` is node, asset, network, instrument or key; a node's name is its path.
    """
    return int.from_bytes(hashlib.sha256(f"{kind}/{name}".encode()).digest()[:4], "big") >> 1


def constraint_id(node_path: str, name: str) -> int:
    """The id that names a constraint's state: 4 bytes of SHA-256("path/name")."""
    return int.from_bytes(hashlib.sha256(f"{node_path}/{name}".encode()).digest()[:4], "big")


def destination_digest(network_id: int, address: str, memo: str = "") -> bytes:
    """How lists hold a destination (policy.h)."""
    if address.startswith("0x"):
        address = address.lower()
    return hashlib.sha256(
        b"sentinel-destination-v1\0"
        + network_id.to_bytes(4, "little")
        + bytes([len(address)])
        + address.encode()
        + bytes([len(memo)])
        + memo.encode()
    ).digest()


def sanction_digest(address: str) -> bytes:
    """How the sanctions list holds an address (policy.h)."""
    return hashlib.sha256(b"sentinel-sanction-v1\0" + address.lower().encode()).digest()[:16]
