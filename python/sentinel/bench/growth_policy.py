"""Policies of any size, made from one small one: its rows are repeated, not its text.

100,000 agents as YAML would be read for minutes; what the core gets is the same.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from .. import _layout
from .._enums import MarkKind, OrderType, Rule, Side, TimeInForce
from .._frame import FrameKind
from .._layout import FedMark
from .._policy_draft import Draft, DraftConstraint, DraftNode, sanction_digest
from ..config import AuthorityRing, Installed, public_keys
from ..order import Place, Withdraw
from ..policy_compile import check_policy, encode_policy

__all__ = ["agents", "constraints", "frames", "groups", "sanctions", "template", "window"]

INSTRUMENTS: Final = 64
DESTINATIONS: Final = 1024

FIRST_AGENT: Final = 1_000_000
FIRST_CONSTRAINT: Final = 10_000_000
"""Ids of repeated rows: hashes of that many names would not all differ."""

TRADE_KEY: Final = "binance_spot.ed25519"
FUNDS_KEY: Final = "funds"
STEP_NS: Final = 20_000_000
"""Between two orders: 50 a second, of which five agents get ten each."""

POLICY: Final = """\
version: 1
firm:
  name: bench
  allow: {{actions: [place, withdraw], venues: [binance_spot]}}
  max_value: 100k USD
  daily_limit: 100B USD
  groups:
    desk:
      allow: {{instruments: [{instruments}], order_types: [limit], sides: [buy, sell]}}
      price_collar: {{within: 2 %, max_age: 30 day}}
      rolling: {{cap: 1B USD, window: 1h, each: true}}
      rate: {{limit: 100/s, each: true}}
      agents:
        trader:
          allow: {{times_in_force: [gtc]}}
          max_value: 50k USD
    treasury:
      rolling: {{cap: 1B USD, window: 1h, each: true}}
      rate: {{limit: 1000/s, each: true}}
      agents:
        treasurer:
          destinations: [{destinations}]
          sanctions: true
          max_value: 50k USD
assets:
  USDT: {{decimals: 6, par: 1 USD}}
  COIN: {{decimals: 8, par: 1000 USD}}
networks: {{NET: {{asset: USDT, code: ETH}}}}
instruments:
{instrument_rows}
destinations:
{destination_rows}
keys:
  binance_spot.ed25519:
    {{venue: binance_spot, algorithm: ed25519, for: desk, endpoint: checked, validity: 1s}}
  funds:
    {{venue: binance_spot, algorithm: ed25519, for: treasury, products: [wallet], endpoint: checked,
      validity: 1s}}
sanctions: {{file: sanctions.txt}}
marks: {{max_age: 30 day}}
book: {{entries: 8}}
"""

#: The twelve of a trader, so that any first few of them are a fair mix.
MIXED: Final = (
    Rule.ACTIONS,
    Rule.VALUE_CAP,
    Rule.INSTRUMENTS,
    Rule.ROLLING_CAP,
    Rule.VENUES,
    Rule.PRICE_COLLAR,
    Rule.ORDER_TYPES,
    Rule.RATE_LIMIT,
    Rule.SIDES,
    Rule.DAILY_LIMIT,
    Rule.TIMES_IN_FORCE,
)


def address(index: int) -> str:
    """Of a made-up destination."""
    return "0x" + hashlib.sha256(f"bench destination {index}".encode()).hexdigest()[:40]


def template(folder: Path) -> Draft:
    """One trader with twelve constraints, and one treasurer. Writes the sanctions list there."""
    (folder / "sanctions.txt").write_text(f"{address(-1)}\n", encoding="utf-8")
    instruments, places = range(INSTRUMENTS), range(DESTINATIONS)
    text = POLICY.format(
        instruments=", ".join(f"C{i}" for i in instruments),
        destinations=", ".join(f"d{i}" for i in places),
        instrument_rows="\n".join(
            f"  C{i}: {{venue: binance_spot, base: COIN, quote: USDT, tick: 0.1, lot: 0.001}}"
            for i in instruments
        ),
        destination_rows="\n".join(
            f'  d{i}: {{network: NET, address: "{address(i)}"}}' for i in places
        ),
    )
    return check_policy(text, file="bench.yaml", base=folder)


def _node(draft: Draft, name: str) -> DraftNode:
    return next(node for node in draft.nodes if node.name == name)


def _of(draft: Draft, node: DraftNode) -> list[DraftConstraint]:
    return [row for row in draft.constraints if row.node == node.index]


def agents(draft: Draft, count: int) -> Draft:
    """`count` traders of one desk, with FIRST_AGENT and the next for their ids."""
    trader = _node(draft, "trader")
    begin = len(draft.nodes)
    nodes = [
        replace(trader, index=begin + i, id=FIRST_AGENT + i, name=f"t{i}", path=f"bench/desk/t{i}")
        for i in range(count)
    ]
    own = _of(draft, trader)
    rows = [
        replace(row, node=node.index, id=FIRST_CONSTRAINT + len(own) * i + k)
        for i, node in enumerate(nodes)
        for k, row in enumerate(own)
    ]
    return replace(draft, nodes=(*draft.nodes, *nodes), constraints=(*draft.constraints, *rows))


def constraints(draft: Draft, count: int) -> Draft:
    """`count` constraints of the trader, of all kinds in turn, and none above it."""
    trader = _node(draft, "trader")
    chain = {node.index for node in draft.chain(trader)}
    kinds = {row.kind: row for row in draft.constraints if row.node in chain and not row.derived}
    rows = [
        replace(kinds[kind], node=trader.index, id=FIRST_CONSTRAINT + i, name=f"{kind.name}-{i}")
        for i, kind in enumerate(islice(cycle(MIXED), count))
    ]
    kept = [row for row in draft.constraints if row.node not in chain]
    return replace(draft, constraints=tuple(sorted([*kept, *rows], key=lambda row: row.node)))


def window(draft: Draft, events: int) -> Draft:
    """A trader whose rate window holds about `events`, four fifths of what it lets through."""
    bound = max(events * 5 // 4, events + 1)
    rows = tuple(
        replace(row, bound=bound, window_ns=events * STEP_NS)
        if row.kind is Rule.RATE_LIMIT and not row.derived
        else row
        for row in draft.constraints
    )
    return replace(draft, constraints=rows)


def groups(draft: Draft, depth: int) -> Draft:
    """A trader under `depth` groups, one in the other; the outermost is the desk."""
    desk, trader = _node(draft, "desk"), _node(draft, "trader")
    begin = len(draft.nodes)
    nodes: list[DraftNode] = []
    parent = desk
    for level in range(1, depth):
        parent = replace(
            desk,
            index=begin + level - 1,
            id=FIRST_AGENT + level,
            name=f"g{level}",
            path=f"{parent.path}/g{level}",
            parent=parent.index,
            depth=desk.depth + level,
        )
        nodes.append(parent)
    leaf = replace(
        trader,
        index=begin + len(nodes),
        id=FIRST_AGENT,
        name="deep",
        path=f"{parent.path}/deep",
        parent=parent.index,
        depth=parent.depth + 1,
    )
    rows = [
        replace(row, node=leaf.index, id=FIRST_CONSTRAINT + k)
        for k, row in enumerate(_of(draft, trader))
    ]
    return replace(
        draft, nodes=(*draft.nodes, *nodes, leaf), constraints=(*draft.constraints, *rows)
    )


def sanctions(draft: Draft, count: int) -> Draft:
    """A list of `count` entries; every second destination has a near-hit in it, as many as fit.

    A near-hit is the destination's own digest but for its last bit: the search runs to its end.
    """
    near = set()
    for index in range(0, DESTINATIONS, 2)[:count]:
        digest = sanction_digest(address(index))
        near.add(digest[:-1] + bytes([digest[-1] ^ 1]))
    while len(near) < count:
        raw = secrets.token_bytes(16 * (count - len(near)))
        near |= {raw[i : i + 16] for i in range(0, len(raw), 16)}
    return replace(draft, sanctions=tuple(sorted(near)))


def frames(directory: Path, passphrase: bytes, draft: Draft, now_ns: int) -> list[bytes]:
    """The policy and the marks of its instruments, signed for the engine of a directory."""
    installed = Installed(directory)
    ring = AuthorityRing.open(directory, passphrase)
    keys = [key.info for key in public_keys(directory)]
    part = encode_policy(draft, installed.terms(3, now_ns), keyring=keys)
    marks = [
        FedMark(MarkKind.INSTRUMENT, row.id, (1000, 0), now_ns)
        for row in draft.instruments.values()
    ]
    feed = _layout.mark_feed(marks, installed.terms(now_ns, now_ns))
    return [ring.sign(FrameKind.POLICY, part), ring.sign(FrameKind.FEED, feed)]


def places(draft: Draft) -> list[bytes]:
    """A limit order for each instrument, packed."""
    return [
        Place(
            instrument=row.id,
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity="0.1",
            price="999.5",
        ).pack(agent=1, action_id=1)
        for row in draft.instruments.values()
    ]


def withdrawals(draft: Draft) -> list[bytes]:
    """A withdrawal to each destination, packed."""
    asset, network = draft.assets["USDT"].id, draft.networks["NET"].id
    return [
        Withdraw(asset=asset, network=network, amount="24.50", address=row.address).pack(
            agent=1, action_id=1
        )
        for row in draft.destinations.values()
    ]


def agent_id(draft: Draft, name: str) -> int:
    """The id of a node of the template."""
    return _node(draft, name).id


def agent_ids(count: int) -> list[int]:
    """Of what `agents` made."""
    return list(range(FIRST_AGENT, FIRST_AGENT + count))


def first_agent_index(draft: Draft) -> int:
    """The index in the policy of the first that `agents` made."""
    return next(node.index for node in draft.nodes if node.id == FIRST_AGENT)
