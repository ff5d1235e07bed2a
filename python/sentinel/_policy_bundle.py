"""A compiled policy, read back: rows with their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from . import _layout, units
from ._enums import (
    NODE_NONE,
    SEMANTICS_VERSION,
    Action,
    Algorithm,
    Contract,
    Environment,
    NodeKind,
    Purpose,
    Rule,
    Section,
    Unit,
    Venue,
    members_of,
)
from ._frame import FrameKind, unsafe_parse_frame
from ._policy_draft import destination_digest, sanction_digest
from ._status import Status
from .errors import UsageError, raise_status
from .units import Quantity

_ROW_BYTES: Final = {
    Section.NODES: _layout.NODE.size,
    Section.ASSETS: _layout.ASSET.size,
    Section.NETWORKS: _layout.NETWORK.size,
    Section.INSTRUMENTS: _layout.INSTRUMENT.size,
    Section.KEYS: _layout.KEY.size,
    Section.CONSTRAINTS: _layout.CONSTRAINT.size,
    Section.IDS: 4,
    Section.DESTINATIONS: 32,
    Section.SANCTIONS: 16,
    Section.TEXT: 1,
}


@dataclass(frozen=True, slots=True)
class Node:
    """The firm, a group or an agent; `path` is "firm/group/agent"."""

    index: int
    id: int
    kind: NodeKind
    name: str
    path: str
    depth: int
    parent: int | None


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset; `mark_asset` is 0 where it has a mark of its own."""

    id: int
    name: str
    venue: Venue
    code: str
    decimals: int
    mark_asset: int
    par_micro_usd: int
    token: bytes
    """The venue's number of it; zeros where it has none."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network on which an asset is withdrawn."""

    id: int
    name: str
    asset: int
    code: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """A row of the instrument table; `base`, `quote` and `settle` are ids of assets."""

    id: int
    name: str
    venue: Venue
    environment: Environment
    symbol: str
    contract: Contract
    base: int
    quote: int
    settle: int
    unit: Unit
    multiplier: Quantity
    tick: Quantity
    lot: Quantity
    venue_index: int
    market: int
    expiry_ms: int
    strike: Quantity


@dataclass(frozen=True, slots=True)
class Key:
    """A key that the node `node` (index) and all below it may use."""

    id: int
    name: str
    node: int
    venue: Venue
    purpose: Purpose
    algorithm: Algorithm
    expiry_ms: int
    flags: int
    products: int
    """Bit n for `Product` n."""
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Constraint:
    """A row of the constraint table; the meaning of its numbers is in docs/2-policy.md."""

    index: int
    id: int
    node: int
    kind: Rule
    name: str
    each: bool
    bound: int
    bound_scale: int
    window_ns: int
    max_age_ns: int
    quorum: int
    mask: int
    actions: int
    venues: int
    instrument: int
    instruments: tuple[int, ...]
    destinations: tuple[bytes, ...]

    @property
    def type(self) -> str:
        """The kind as it stands in results and receipts: "value_cap"."""
        return self.kind.name.lower()

    def applies_to(self, action: Action) -> bool:
        """Whether it can apply to an action."""
        return bool(self.actions >> action & 1)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy bundle. It was parsed, not verified: the engine does that when it takes it."""

    hash: bytes
    engine_id: bytes
    environment: Environment
    version: int
    """The frame's sequence."""
    issued_ns: int
    expires_ns: int
    attempt_limit: int
    attempt_interval_ns: int
    clock_tolerance_ns: int
    lease_ns: int
    mark_max_age_ns: int
    market_band_ppm: int
    book_entries: int
    source_digest: bytes
    oversight: bytes
    """By action: `Oversight`."""
    approval_quorum: int
    approval_ns: int
    nodes: tuple[Node, ...]
    assets: Mapping[int, Asset]
    networks: Mapping[int, Network]
    instruments: Mapping[int, Instrument]
    keys: Mapping[int, Key]
    constraints: tuple[Constraint, ...]
    sanctions: bytes = field(repr=False)
    destination_names: Mapping[str, str] = field(repr=False)
    """By the first 16 hexadecimal digits of the digest."""

    @property
    def sanction_count(self) -> int:
        """Addresses on the sanctions list."""
        return len(self.sanctions) // 16

    @property
    def agents(self) -> tuple[Node, ...]:
        """Every agent, in the order of the table."""
        return tuple(node for node in self.nodes if node.kind is NodeKind.AGENT)

    def node(self, name: str | int) -> Node:
        """A node by id, path, or name where only one has it. Raises UsageError."""
        if isinstance(name, int):
            found = [node for node in self.nodes if node.id == name]
        else:
            found = [node for node in self.nodes if node.path == name]
            found = found or [node for node in self.nodes if node.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"several nodes are named {name!r}",
                next_step=f"write the path: {', '.join(node.path for node in found)}",
            )
        known = [text for node in self.nodes for text in (node.path, node.name)]
        raise UsageError(
            f"there is no node {name!r} in the policy{units.did_you_mean(str(name), known)}",
            next_step="name the firm, a group or an agent of the policy",
        )

    def agent(self, name: str | int) -> Node:
        """An agent, as `node`. Raises UsageError."""
        node = self.node(name)
        if node.kind is not NodeKind.AGENT:
            agents = ", ".join(agent.path for agent in self.agents) or "none"
            raise UsageError(f"{node.path!r} is no agent", next_step=f"agents: {agents}")
        return node

    def chain(self, node: Node) -> tuple[Node, ...]:
        """The path from the firm to a node."""
        out = [node]
        while out[-1].parent is not None:
            out.append(self.nodes[out[-1].parent])
        return tuple(reversed(out))

    def constraints_of(self, node: Node) -> Iterator[Constraint]:
        """Every constraint of a node's chain, firm first: the order of evaluation."""
        for above in self.chain(node):
            yield from (row for row in self.constraints if row.node == above.index)

    def instrument(self, name: str | int) -> Instrument:
        """An instrument by id or name. Raises UsageError."""
        found: Instrument = self._row(self.instruments, name, "instrument")
        return found

    def asset(self, name: str | int) -> Asset:
        """An asset by id or name. Raises UsageError."""
        found: Asset = self._row(self.assets, name, "asset")
        return found

    def network(self, name: str | int) -> Network:
        """A network by id or name. Raises UsageError."""
        found: Network = self._row(self.networks, name, "network")
        return found

    def key(self, name: str | int) -> Key:
        """A key by id or name. Raises UsageError."""
        found: Key = self._row(self.keys, name, "key")
        return found

    @staticmethod
    def _row(table: Mapping[int, Any], name: str | int, what: str) -> Any:
        if isinstance(name, int):
            if name in table:
                return table[name]
        else:
            for row in table.values():
                if row.name == name:
                    return row
        known = [row.name for row in table.values()]
        raise UsageError(
            f"there is no {what} {name!r} in the policy{units.did_you_mean(str(name), known)}",
            next_step=f"have it added, or name another: {', '.join(known[:12]) or 'none'}",
        )

    def destination_name(self, digest: bytes) -> str:
        """The name of a destination; the beginning of its digest where it has none."""
        text = digest.hex()[:16]
        return self.destination_names.get(text, text)

    def destination_of(self, network: int, address: str, memo: str = "") -> bytes:
        """The digest under which lists hold a destination."""
        return destination_digest(network, address, memo)

    def is_sanctioned(self, address: str) -> bool:
        """Whether an address is on the sanctions list."""
        digest = sanction_digest(address)
        low, high = 0, self.sanction_count
        while low < high:
            middle = (low + high) // 2
            if self.sanctions[16 * middle : 16 * middle + 16] < digest:
                low = middle + 1
            else:
                high = middle
        return self.sanctions[16 * low : 16 * low + 16] == digest


def decode_policy(data: bytes) -> Policy:
    """Reads a whole policy frame; its proofs and most ranges are the core's to check.

    Raises PolicyInvalid.
    """
    frame = unsafe_parse_frame(data, FrameKind.POLICY)
    try:
        reader = _Reader(frame.payload)
        return Policy(
            hash=frame.hash,
            engine_id=frame.engine_id,
            environment=Environment(frame.environment),
            version=frame.sequence,
            issued_ns=frame.issued_ns,
            expires_ns=frame.expires_ns,
            **reader.policy(),
        )
    except (IndexError, KeyError, ValueError):
        _range("a field is outside its range, or refers to nothing")


def _range(what: str) -> NoReturn:
    raise_status(Status.FORMAT_RANGE, f"policy bundle: {what}")


class _Reader:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._head = _layout.POLICY.unpack(payload)
        if self._head["semantics_version"] != SEMANTICS_VERSION:
            raise_status(Status.POLICY_SEMANTICS, "policy bundle")
        self._sections: dict[Section, bytes] = {}
        end = _layout.POLICY.size
        for section in Section:
            offset, count = self._head["sections"][2 * section : 2 * section + 2]
            if offset != end + -end % 8:
                _range("a section is not in its place")
            end = offset + count * _ROW_BYTES[section]
            if end > len(payload):
                raise_status(Status.FORMAT_SIZE, "policy bundle")
            self._sections[section] = payload[offset:end]
        self._text = self._sections[Section.TEXT]
        self._text_end = 0
        self._names: dict[tuple[str, str], str] = {}

    def _rows(self, section: Section, layout: _layout.Layout) -> list[dict[str, Any]]:
        data = self._sections[section]
        return [layout.unpack(data, at) for at in range(0, len(data), layout.size)]

    def _name(self, row: dict[str, Any]) -> str:
        end = row["name"] + row["name_size"]
        if end > len(self._text):
            raise IndexError
        self._text_end = max(self._text_end, end)
        return self._text[row["name"] : end].decode()

    def policy(self) -> dict[str, Any]:
        head = self._head
        nodes = self._nodes()
        constraints = self._constraints()
        for entry in self._text[self._text_end :].decode().split(" "):
            kind, _, rest = entry.partition("/")
            id_, _, name = rest.partition("/")
            self._names[kind, id_] = name
        return {
            "attempt_limit": head["attempt_limit"],
            "attempt_interval_ns": head["attempt_interval_ns"],
            "clock_tolerance_ns": head["clock_tolerance_ns"],
            "lease_ns": head["lease_ns"],
            "mark_max_age_ns": head["mark_max_age_ns"],
            "market_band_ppm": head["market_band_ppm"],
            "book_entries": head["book_entries"],
            "source_digest": head["source_digest32"],
            "oversight": head["oversight"],
            "approval_quorum": head["approval_quorum"],
            "approval_ns": head["approval_ns"],
            "nodes": nodes,
            "constraints": constraints,
            "assets": self._assets(),
            "networks": self._networks(),
            "instruments": self._instruments(),
            "keys": self._keys(),
            "sanctions": self._sections[Section.SANCTIONS],
            "destination_names": {
                id_: name for (kind, id_), name in self._names.items() if kind == "destination"
            },
        }

    def _nodes(self) -> tuple[Node, ...]:
        nodes: list[Node] = []
        for index, row in enumerate(self._rows(Section.NODES, _layout.NODE)):
            parent = None if row["parent"] == NODE_NONE else row["parent"]
            if (parent is None) != (index == 0):
                raise ValueError
            name = self._name(row)
            path = name if parent is None else f"{nodes[parent].path}/{name}"
            kind = NodeKind(row["kind"])
            nodes.append(Node(index, row["id"], kind, name, path, row["depth"], parent))
        return tuple(nodes)

    def _constraints(self) -> tuple[Constraint, ...]:
        out: list[Constraint] = []
        ids, digests = self._sections[Section.IDS], self._sections[Section.DESTINATIONS]
        for index, row in enumerate(self._rows(Section.CONSTRAINTS, _layout.CONSTRAINT)):
            kind = Rule(row["kind"])
            run = range(row["list_first"], row["list_first"] + row["list_count"])
            width = 4 if kind is Rule.INSTRUMENTS else 32
            if run and run[-1] * width >= len(ids if width == 4 else digests):
                raise IndexError
            out.append(
                Constraint(
                    index=index,
                    id=row["id"],
                    node=row["node"],
                    kind=kind,
                    name=self._name(row),
                    each=bool(row["each"]),
                    bound=row["bound"],
                    bound_scale=row["bound_scale"],
                    window_ns=row["window_ns"],
                    max_age_ns=row["max_age_ns"],
                    quorum=row["quorum"],
                    mask=row["mask"],
                    actions=row["actions"],
                    venues=row["venues"],
                    instrument=row["instrument"],
                    instruments=tuple(
                        int.from_bytes(ids[4 * i : 4 * i + 4], "little")
                        for i in run
                        if kind is Rule.INSTRUMENTS
                    ),
                    destinations=tuple(
                        digests[32 * i : 32 * i + 32] for i in run if kind is Rule.DESTINATIONS
                    ),
                )
            )
        return tuple(out)

    def _named(self, kind: str, row: dict[str, Any], fallback: str) -> str:
        return self._names.get((kind, str(row["id"])), fallback)

    def _assets(self) -> dict[int, Asset]:
        out: dict[int, Asset] = {}
        for row in self._rows(Section.ASSETS, _layout.ASSET):
            code = row["code"][: row["code_size"]].decode()
            out[row["id"]] = Asset(
                row["id"],
                self._named("asset", row, code),
                Venue(row["venue"]),
                code,
                row["decimals"],
                row["mark_asset"],
                row["par_micro_usd"],
                row["token16"],
            )
        return out

    def _networks(self) -> dict[int, Network]:
        out: dict[int, Network] = {}
        for row in self._rows(Section.NETWORKS, _layout.NETWORK):
            code = row["code"][: row["code_size"]].decode()
            name = self._named("network", row, code)
            out[row["id"]] = Network(row["id"], name, row["asset"], code, row["decimals"])
        return out

    def _instruments(self) -> dict[int, Instrument]:
        out: dict[int, Instrument] = {}
        for row in self._rows(Section.INSTRUMENTS, _layout.INSTRUMENT):
            symbol = row["symbol"][: row["symbol_size"]].decode()
            out[row["id"]] = Instrument(
                id=row["id"],
                name=self._named("instrument", row, symbol),
                venue=Venue(row["venue"]),
                environment=Environment(row["environment"]),
                symbol=symbol,
                contract=Contract(row["contract"]),
                base=row["base"],
                quote=row["quote"],
                settle=row["settle"],
                unit=Unit(row["quantity_unit"]),
                multiplier=Quantity(*row["multiplier"]),
                tick=Quantity(*row["tick"]),
                lot=Quantity(*row["lot"]),
                venue_index=row["venue_index"],
                market=row["market"],
                expiry_ms=row["expiry_ms"],
                strike=Quantity(*row["strike"]),
            )
        return out

    def _keys(self) -> dict[int, Key]:
        return {
            row["id"]: Key(
                id=row["id"],
                name=self._named("key", row, f"key {row['id']}"),
                node=row["node"],
                venue=Venue(row["venue"]),
                purpose=Purpose(row["purpose"]),
                algorithm=Algorithm(row["algorithm"]),
                expiry_ms=row["expiry_ms"],
                flags=row["flags"],
                products=row["products"],
                fingerprint=row["fingerprint32"],
            )
            for row in self._rows(Section.KEYS, _layout.KEY)
        }


def action_names(mask: int) -> tuple[str, ...]:
    """The names of the actions in a mask."""
    return tuple(member.name.lower() for member in members_of(mask, Action))
