"""The core, driven through its C interface; answers come back as the model's own types."""

from __future__ import annotations

import struct
from typing import Any

from tests.model import beats, build, model, stops, value
from tests.model.names import Environment, FrameKind, Scope
from tests.model.tables import Decimal, Order, Policy
from tests.python.core_abi import ffi, lib, status_name

ENGINE_ID = bytes(range(32))


def aligned(data: bytes) -> Any:
    """A copy of the bytes, aligned to 8."""
    words = ffi.new("uint64_t[]", -(-len(data) // 8))
    ffi.memmove(words, data, len(data))
    return words


def stop_at(view: Any, policy: Policy, place: stops.Place) -> Any:
    """The sentinel_stop_state of a node or instrument by id, or of a venue."""
    scope, number = place
    if scope == Scope.NODE:
        return lib.sentinel_view_node(view, policy.index_of[number])
    if scope == Scope.VENUE:
        return lib.sentinel_view_venue(view, number)
    row = lib.sentinel_bundle_instrument(ffi.addressof(view.bundle), number)
    return lib.sentinel_view_instrument(view, row)


def position_at(view: Any, instrument: int) -> Any:
    """The sentinel_position_state of an instrument by id."""
    row = lib.sentinel_bundle_instrument(ffi.addressof(view.bundle), instrument)
    return lib.sentinel_view_position(view, row)


class Refused(Exception):
    """The core answered with a status that is not OK."""

    def __init__(self, call: str, status: int) -> None:
        super().__init__(f"{call}: {status_name(status)}")
        self.status = status


def must(call: str, status: int) -> None:
    if status != 0:
        raise Refused(call, status)


def decision_of(raw: Any) -> model.Decision:
    """A sentinel_decision as the model writes decisions."""
    data = ffi.buffer(raw)
    verdict, quorum, reason, count, low, high, value, lives = struct.unpack_from(
        "<BB2xHHQQqq", data
    )
    rows = struct.iter_unpack("<IBBBBqq", data[40 : 40 + 24 * count])
    bits = low | high << 64
    return model.Decision(
        verdict,
        reason,
        frozenset(bit for bit in range(128) if bits >> bit & 1),
        value,
        tuple(map(model.Result._make, rows)),
        struct.unpack_from(f"<{count}q", data, 40 + 24 * 128),
        quorum,
        lives,
    )


class PolicyCore:
    """One bundle and its state, at the level of sentinel_policy_evaluate and _debit."""

    def __init__(self, policy: Policy, old: PolicyCore | None = None) -> None:
        """Checks the bundle and makes its state; raises Refused."""
        frame = build.frame(
            FrameKind.POLICY,
            build.policy_payload(policy),
            [(1, lambda message: bytes(64))],
            environment=Environment.TEST,
            engine_id=ENGINE_ID,
            sequence=1,
            issued_ns=0,
            expires_ns=1,
        )
        self.policy = policy
        self.bytes = aligned(frame)
        self.bundle = ffi.new("sentinel_bundle *")
        must(
            "sentinel_bundle_check",
            lib.sentinel_bundle_check(self.bundle, self.bytes, len(frame)),
        )
        layout_size = lib.sentinel_layout_bytes(self.bundle)
        state_size = lib.sentinel_state_bytes(self.bundle)
        self.layout = ffi.new("uint64_t[]", layout_size // 8 + 1)
        self.memory = ffi.new("uint64_t[]", state_size // 8 + 1)
        self.view = ffi.new("sentinel_view *")
        must(
            "sentinel_state_make",
            lib.sentinel_state_make(
                *(self.view, self.bundle, self.layout, layout_size, self.memory, state_size),
                old.view if old else ffi.NULL,
            ),
        )
        self.decision = ffi.new("sentinel_decision *")
        self.subject = ffi.new("sentinel_subject *")
        self.order = ffi.new("sentinel_order *")

    def set_subject(self, order: Order, subject: value.Subject) -> None:
        """The order's bytes and the rows that it means."""
        raw, bundle = self.subject, ffi.addressof(self.view.bundle)
        data = build.order_bytes(order)
        ffi.memmove(self.order, data, len(data))
        raw.order = self.order
        raw.instrument = raw.asset = raw.network = ffi.NULL
        if subject.instrument is not None:
            raw.instrument = lib.sentinel_bundle_instrument(bundle, subject.instrument.id)
        if subject.asset is not None:
            raw.asset = lib.sentinel_bundle_asset(bundle, subject.asset.id)
        if order.network:
            raw.network = lib.sentinel_bundle_network(bundle, order.network)
        raw.node = self.policy.index_of[subject.agent]
        raw.parent = subject.lineage[0] if subject.lineage else 0
        raw.present = build.present_bits(order)
        raw.action, raw.venue = subject.action, subject.venue
        raw.side, raw.type, raw.time_in_force = subject.side, subject.type, subject.tif
        for name in ("quantity", "quote_quantity", "price", "trigger_price", "amount"):
            field = getattr(raw, name)
            field.mantissa, field.scale = getattr(subject, name) or (0, 0)

    def evaluate(self, now: int) -> model.Decision:
        """Of the subject that was set."""
        ffi.memmove(self.decision, b"\xa5" * ffi.sizeof("sentinel_decision"), 40)
        lib.sentinel_policy_evaluate(self.decision, self.view, self.subject, now)
        return decision_of(self.decision)

    def debit(self, now: int) -> None:
        """What evaluate allowed."""
        lib.sentinel_policy_debit(self.view, self.subject, self.decision, now)

    def set_last_now(self, now: int) -> None:
        """As the gate does with every record."""
        self.view.state.last_now_ns = now

    def feed(self, marks: list[tuple[int, int, Decimal, int]]) -> None:
        payload = build.feed_payload(marks)
        words = aligned(payload)
        lib.sentinel_policy_feed(self.view, ffi.cast("uint8_t *", words), len(payload))

    def beat(self, agent: int, beat: beats.Beat) -> None:
        """What a heartbeat left behind."""
        row = lib.sentinel_view_agent(self.view, self.policy.index_of[agent])
        row.beat_sequence += 1
        row.beat_ns, row.iterations, row.running_since_ns = beat

    def hold(self, instrument: int, held: Decimal) -> None:
        row = position_at(self.view, instrument)
        row.mantissa, row.scale = held

    def stop(self, place: stops.Place, how: stops.Stop) -> None:
        stop = ffi.new("sentinel_stop_state *")
        stop.mode, stop.until_ns = how.mode, how.until
        stop.cause = lib.SENTINEL_CAUSE_OPERATOR
        stop.record, stop.since_ns = how.record, how.since
        lib.sentinel_stop_set(self.view, stop_at(self.view, self.policy, place), stop)
