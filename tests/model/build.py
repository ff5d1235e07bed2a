"""Packs orders, bundles and frames into the bytes of the public layouts.

Written from the headers with `struct` alone; it shares nothing with the product's compiler.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence

from tests.model.names import Action, Cause, FrameKind, Kind, Scope
from tests.model.reports import Report
from tests.model.stops import Mode
from tests.model.tables import Decimal, Destination, Order, Policy, Target

NODE_NONE = 0xFFFFFFFF

# ---- Orders ----------------------------------------------------------------

ORDER_BYTES = {
    Action.PLACE: 288,
    Action.AMEND: 328,
    Action.CANCEL: 256,
    Action.CANCEL_ALL: 192,
    Action.CANCEL_ALL_AFTER: 192,
    Action.QUERY: 272,
    Action.WITHDRAW: 384,
    Action.TRANSFER: 256,
    Action.MESSAGE: 384,
}
PRESENT_BITS = {
    "quantity": 0,
    "quote_quantity": 1,
    "price": 2,
    "trigger_price": 3,
    "reduce_only": 4,
    "expire_ms": 6,
    "parent": 7,
    "timeout_ms": 13,
}
PRESENT_MEMO = 1 << 9


def present_bits(order: Order) -> int:
    present = sum(
        1 << bit for name, bit in PRESENT_BITS.items() if getattr(order, name) is not None
    )
    return present | (PRESENT_MEMO if order.memo else 0)


def decimal(value: Decimal | None) -> bytes:
    return struct.pack("<qB7x", *(value or (0, 0)))


def target(value: Target | None) -> bytes:
    if value is None:
        return bytes(80)
    text = value.text.encode()
    return struct.pack("<BB6xQ64s", value.by, len(text), value.action_id, text)


def order_bytes(order: Order) -> bytes:
    parent_agent, parent_action = order.parent or (0, 0)
    size = ORDER_BYTES[Action(order.action)]
    header = struct.pack(
        "<HHIIIQQII32xQQBB6x64x",
        *(1, order.action, size, order.agent, order.key, order.action_id),
        *(parent_action, parent_agent, present_bits(order), 0, 0, 1, 0),
    )
    body = _BODIES[Action(order.action)](order)
    assert len(header) + len(body) == size
    return header + body


def _place(order: Order) -> bytes:
    head = struct.pack(
        "<IBBBB3xBx3xq",
        *(order.instrument, order.side, order.type, order.tif, order.position_side),
        *(order.reduce_only or 0, order.expire_ms or 0),
    )
    terms = (order.quantity, order.quote_quantity, order.price, order.trigger_price)
    return head + b"".join(map(decimal, terms)) + bytes(40)


def _amend(order: Order) -> bytes:
    head = struct.pack(
        "<IBBBB", order.instrument, order.side, order.type, order.tif, order.reduce_only or 0
    )
    terms = (order.quantity, order.price, order.trigger_price)
    return head + target(order.target) + b"".join(map(decimal, terms)) + bytes(32)


def _cancel(order: Order) -> bytes:
    return struct.pack("<I4x", order.instrument) + target(order.target) + bytes(8)


def _cancel_all(order: Order) -> bytes:
    return struct.pack("<IH2xI20x", order.instrument, order.venue, order.asset)


def _cancel_all_after(order: Order) -> bytes:
    return struct.pack("<IH2xQq8x", order.instrument, order.venue, order.timeout_ms or 0, 0)


def _query(order: Order) -> bytes:
    head = struct.pack("<IHBx", order.instrument, order.venue, order.what)
    return head + target(order.target) + bytes(24)


def _withdraw(order: Order) -> bytes:
    return (
        struct.pack("<II", order.asset, order.network)
        + decimal(order.amount)
        + struct.pack("<BBB5x", len(order.address), len(order.memo), order.from_account)
        + struct.pack("<128s64s", order.address.encode(), order.memo.encode())
    )


def _transfer(order: Order) -> bytes:
    return (
        struct.pack("<IBBBx", order.asset, order.from_account, order.to_account, len(order.address))
        + decimal(order.amount)
        + struct.pack("<64s8x", order.address.encode())
    )


def _message(order: Order) -> bytes:
    text = order.text.encode()
    return struct.pack("<H6x216s", len(text), text)


_BODIES: dict[Action, Callable[[Order], bytes]] = {
    Action.PLACE: _place,
    Action.AMEND: _amend,
    Action.CANCEL: _cancel,
    Action.CANCEL_ALL: _cancel_all,
    Action.CANCEL_ALL_AFTER: _cancel_all_after,
    Action.QUERY: _query,
    Action.WITHDRAW: _withdraw,
    Action.TRANSFER: _transfer,
    Action.MESSAGE: _message,
}

# ---- Bundles ---------------------------------------------------------------


def destination_digest(destination: Destination) -> bytes:
    network, address, memo = destination
    text = (address.lower() if address.startswith("0x") else address).encode()
    note = memo.encode()
    return hashlib.sha256(
        b"sentinel-destination-v1\0"
        + struct.pack("<I", network)
        + bytes([len(text)])
        + text
        + bytes([len(note)])
        + note
    ).digest()


def sanction_digest(address: str) -> bytes:
    return hashlib.sha256(b"sentinel-sanction-v1\0" + address.lower().encode()).digest()[:16]


class _Text:
    """The TEXT section: names, one after the other."""

    def __init__(self) -> None:
        self.bytes = bytearray()

    def add(self, name: str) -> tuple[int, int]:
        offset = len(self.bytes)
        self.bytes += name.encode()
        return offset, len(name)

    def padded(self) -> bytes:
        return bytes(self.bytes) + b"." * (-len(self.bytes) % 8)


def _depth(policy: Policy, row: int) -> int:
    parent = policy.nodes[row].parent
    return 0 if parent is None else 1 + _depth(policy, parent)


def _nodes(policy: Policy, text: _Text) -> list[bytes]:
    rows, first = [], 0
    for index, node in enumerate(policy.nodes):
        count = len(policy.rows_of.get(index, ()))
        if count:
            first = policy.rows_of[index][0][0]
        name, size = text.add(f"node-{node.id}")
        parent = NODE_NONE if node.parent is None else node.parent
        rows.append(
            struct.pack(
                "<IIBBHIII8x",
                *(node.id, parent, node.kind, _depth(policy, index), size, name),
                *(first if count else 0, count),
            )
        )
    return rows


def _assets(policy: Policy) -> list[bytes]:
    return [
        struct.pack(
            "<IHBB24sI4xq16x",
            *(a.id, a.venue, a.decimals, len(a.code), a.code.encode()),
            *(a.mark_asset, a.par_micro_usd),
        )
        for a in policy.assets
    ]


def _networks(policy: Policy) -> list[bytes]:
    return [
        struct.pack("<IIBB38s16x", n.id, n.asset, n.decimals, len(n.code), n.code.encode())
        for n in policy.networks
    ]


def _instruments(policy: Policy) -> list[bytes]:
    return [
        struct.pack(
            "<IHBBIIIIBBB5x48s",
            *(i.id, i.venue, i.environment, i.contract, i.base, i.quote, i.settle),
            *(i.venue_index, i.unit, len(i.symbol), i.market, i.symbol.encode()),
        )
        + b"".join(map(decimal, (i.multiplier, i.tick, i.lot)))
        + struct.pack("<q", i.expiry_ms)
        + decimal(i.strike)
        + bytes(8)
        for i in policy.instruments
    ]


def _keys(policy: Policy) -> list[bytes]:
    return [
        struct.pack(
            "<IIHBBIIH2x32s8x",
            *(k.id, k.node, k.venue, k.purpose, k.algorithm, k.expiry_ms, k.flags),
            *(k.products, k.fingerprint),
        )
        for k in policy.keys
    ]


def _constraints(policy: Policy, text: _Text) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Rows, and the two list sections that they refer to."""
    rows: list[bytes] = []
    ids: list[bytes] = []
    digests: list[bytes] = []
    for c in policy.constraints:
        first = count = 0
        if c.kind == Kind.INSTRUMENTS:
            first, count = len(ids), len(c.instruments)
            ids += [struct.pack("<I", i) for i in sorted(c.instruments)]
        elif c.kind == Kind.DESTINATIONS:
            first, count = len(digests), len(c.destinations)
            digests += sorted(map(destination_digest, c.destinations))
        name, size = text.add(f"rule-{c.id}")
        rows.append(
            struct.pack(
                "<IIBBBBIIIIIIIqqqH30x",
                *(c.id, c.node, c.kind, c.each_agent, c.bound_scale, c.quorum),
                *(c.actions, c.venues),
                *(c.instrument, c.mask, first, count, name, c.bound, c.window_ns, c.max_age_ns),
                size,
            )
        )
    return rows, ids, digests


def policy_payload(policy: Policy) -> bytes:
    text = _Text()
    nodes = _nodes(policy, text)
    constraints, ids, digests = _constraints(policy, text)
    sanctions = sorted(map(sanction_digest, policy.sanctioned))
    letters = text.padded()
    sections: list[tuple[Sequence[bytes], int]] = [
        (nodes, len(nodes)),
        (_assets(policy), len(policy.assets)),
        (_networks(policy), len(policy.networks)),
        (_instruments(policy), len(policy.instruments)),
        (_keys(policy), len(policy.keys)),
        (constraints, len(constraints)),
        (ids, len(ids)),
        (digests, len(digests)),
        (sanctions, len(sanctions)),
        ([letters], len(letters)),
    ]
    table, body, offset = b"", b"", 192
    for rows, count in sections:
        block = b"".join(rows)
        block += bytes(-len(block) % 8)
        table += struct.pack("<II", offset, count)
        body += block
        offset += len(block)
    return (
        struct.pack(
            "<IIqqqII32x",
            *(1, policy.attempt_limit, policy.attempt_interval_ns, policy.clock_tolerance_ns),
            *(policy.mark_max_age_ns, policy.market_band_ppm, policy.book_entries),
        )
        + table
        + bytes(dict(policy.oversight).get(action, 0) for action in range(16))
        + struct.pack("<qqB7x", policy.lease_ns, policy.approval_ns, policy.approval_quorum)
        + body
    )


# ---- Frames ----------------------------------------------------------------

Sign = Callable[[bytes], bytes]  # 64 bytes over a text
PREFIXES = {
    FrameKind.AUTHORITY: b"sentinel-authority-v1\0",
    FrameKind.POLICY: b"sentinel-policy-v1\0",
    FrameKind.COMMAND: b"sentinel-command-v1\0",
    FrameKind.FEED: b"sentinel-feed-v1\0",
}


def frame(
    kind: FrameKind,
    payload: bytes,
    signers: Iterable[tuple[int, Sign]],
    *,
    environment: int,
    engine_id: bytes,
    sequence: int,
    issued_ns: int,
    expires_ns: int,
) -> bytes:
    """A signed frame; signers are pairs of a key's id and its signing function."""
    signed = (
        struct.pack(
            "<8sHHB3xI4x32sQqq16x",
            *(b"SENTINEL", 1, kind, environment, 96 + len(payload), engine_id),
            *(sequence, issued_ns, expires_ns),
        )
        + payload
    )
    message = PREFIXES[kind] + hashlib.sha256(signed).digest()
    proofs = [struct.pack("<IHH", key, 1, 64) + sign(message) for key, sign in signers]
    return signed + struct.pack("<II", len(proofs), 0) + b"".join(proofs)


def authority_payload(
    keys: Sequence[tuple[int, int, int, bytes, int]], thresholds: dict[int, int]
) -> bytes:
    """keys: id, powers, node of an agent's key, public key, expiry; thresholds: k by power."""
    limits = bytes(thresholds.get(power, 0) for power in range(16))
    rows = [
        struct.pack("<IIIH2xq32s72x", key, powers, node, 1, expires, public)
        for key, powers, node, public, expires in keys
    ]
    return struct.pack("<I4x16s", len(rows), limits) + b"".join(rows)


def command_payload(verb: int, scope: int, target: int, until: int, reason: str) -> bytes:
    digest = hashlib.sha256(reason.encode()).digest()
    head = struct.pack("<HHIHB5xq", verb, scope, target, len(reason.encode()), 1, until)
    return head + bytes(40) + digest + bytes(32)


def beat_payload(agent: int, iterations: int, running: int) -> bytes:
    return struct.pack("<HH4xI4xQq8x", 3, 1, agent, iterations, running)


def stop_subject(node: int, key: int, sequence: int, fault: int, row: int) -> bytes:
    """Of the STOP record that a frame of reports leads to; the frame follows it."""
    how = Scope.NODE, Mode.HALTED, Cause.REPORT
    return struct.pack("<HBBIqQIIHH4x", *how, node, 0, sequence, 0, key, fault, row)


def approval_payload(verb: int, record: int, digest: bytes) -> bytes:
    """Of a command that approves or rejects a record."""
    head = struct.pack("<HHIHB5xqQ32s", verb, 4, 0, 8, 0, 0, record, digest)
    return head + hashlib.sha256(b"a reason").digest() + bytes(32)


def feed_payload(marks: Sequence[tuple[int, int, Decimal, int]]) -> bytes:
    """marks: kind, id, price, time."""
    rows = [
        struct.pack("<H2xI", kind, row) + decimal(price) + struct.pack("<q", time)
        for kind, row, price, time in marks
    ]
    return struct.pack("<HH4x", 1, len(rows)) + b"".join(rows)


def reports_payload(reports: Sequence[Report]) -> bytes:
    rows = [
        struct.pack("<IB3xQ", row.agent, row.status, row.action_id)
        + decimal(row.filled)
        + decimal(row.price)
        + struct.pack("<q8x", row.time)
        for row in reports
    ]
    return struct.pack("<HH4x", 2, len(rows)) + b"".join(rows)


def positions_payload(positions: Sequence[tuple[int, Decimal, int]]) -> bytes:
    """positions: instrument, quantity, time."""
    rows = [
        struct.pack("<I4x", instrument) + decimal(quantity) + struct.pack("<q", time)
        for instrument, quantity, time in positions
    ]
    return struct.pack("<HH4x", 4, len(rows)) + b"".join(rows)


def genesis_bytes(
    environment: int, root_keys: Sequence[bytes], identity: bytes, salt: int
) -> bytes:
    return (
        struct.pack("<8sHBBB3xq", b"SENTGENE", 1, environment, 1, len(root_keys), 0)
        + struct.pack("<32s32s", salt.to_bytes(32, "little"), identity)
        + b"".join(root_keys).ljust(256, b"\0")
        + bytes(8)
    )
