"""A record in readable form, and one decision's whole story in one query."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ._enums import Action, Cause, Command, Environment, FeedKind, MarkKind, Rule, Scope, label
from ._frame import FrameKind, unsafe_parse_frame
from ._layout import AUTO_STOP, COMMAND, FEED
from ._notes import parse_clock, parse_key
from ._order import decimal_text
from ._record import RULE_IMPLICIT, START, Record, RecordFlag, RecordType, ResultFlag, Verdict
from ._status import REASON_CODE, REASON_TEXT, STATUS_TEXT
from ._stops import MODES, name_of
from ._story_feed import describe_feed, describe_stop, reports_of
from .audit import find_record, read_log
from .config import Installed, find_text
from .errors import SentinelError
from .order import unpack
from .policy import Policy, bound_text, decode_policy, value_text
from .receipt import iso_time

__all__ = ["describe_record", "trace_record"]

_MARK: Final = struct.Struct("<H2sIqB7sq")


class _Names:
    """Names by the policy that was in force when a record was made."""

    def __init__(self, installed: Installed) -> None:
        self._installed = installed
        self._policies: dict[bytes, Policy | None] = {}

    def policy(self, digest: bytes) -> Policy | None:
        """None where there was none, or its bundle cannot be read."""
        if digest not in self._policies:
            try:
                found = decode_policy(self._installed.bundle(digest)) if any(digest) else None
            except SentinelError:
                found = None
            self._policies[digest] = found
        return self._policies[digest]

    def node(self, policy: Policy | None, id_: int) -> str:
        for node in policy.nodes if policy is not None else ():
            if node.id == id_:
                return node.path
        return str(id_)

    def row(self, policy: Policy | None) -> Callable[[str, int], str]:
        def name(kind: str, id_: int) -> str:
            if policy is None:
                return f"{kind} {id_}"
            if kind == "agent":
                return self.node(policy, id_)
            table: Any = getattr(policy, f"{kind}s", {})
            return str(table[id_].name) if id_ in table else f"{kind} {id_}"

        return name


def describe_record(installed: Installed, record: Record) -> dict[str, Any]:
    """One record as data for people: every field by its name."""
    return _describe(_Names(installed), installed, record)


def _describe(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    policy = names.policy(record.policy_hash)
    data: dict[str, Any] = {
        "record": record.number,
        "type": record.type.name.lower(),
        "time": iso_time(record.now_ns),
        "epoch": record.epoch,
        "hash": record.hash.hex(),
    }
    if record.agent:
        data["agent"] = names.node(policy, record.agent)
    flags = [flag.name.lower() for flag in RecordFlag if record.has(flag)]
    data |= {
        "policy_version": policy.version if policy is not None else None,
        "policy_hash": record.policy_hash.hex() if any(record.policy_hash) else None,
        "flags": flags,
    }
    return data | _SUBJECTS[record.type](names, installed, record)


def _order(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    policy = names.policy(record.policy_hash)
    data: dict[str, Any] = {"verdict": record.verdict.name.lower()}
    if record.reason:
        data["reason"] = REASON_CODE.get(record.reason, str(record.reason))
        data["why"] = REASON_TEXT.get(record.reason, "")
        data["reasons"] = [REASON_CODE.get(n, str(n)) for n in record.reason_numbers]
    try:
        envelope = unpack(record.subject)
    except SentinelError as error:
        data["order"] = {"unreadable": error.message, "bytes": record.subject.hex()}
    else:
        order = envelope.order
        data |= {
            "action_id": envelope.action_id,
            "text": order.describe(names.row(policy)),
            "order": order.to_json(names.row(policy)),
        }
        if order.reasons_digest is not None:
            text = find_text(installed.directory, order.reasons_digest)
            data["stated_reasons"] = text or f"not kept here: {order.reasons_digest.hex()}"
    data["constraints"] = [_result(policy, result) for result in record.results]
    if any(record.signature_digest):
        data |= {
            "key": names.row(policy)("key", record.key),
            "key_use": record.key_counter,
            "transaction_hash": record.payload_digest.hex(),
            "signature_hash": record.signature_digest.hex(),
        }
    return data


def _result(policy: Policy | None, result: Any) -> dict[str, Any]:
    known = result.kind in Rule.__members__.values()
    rows = policy.constraints if policy is not None else ()
    explicit = result.rule != RULE_IMPLICIT and result.rule < len(rows)
    row = rows[result.rule] if explicit else None
    data: dict[str, Any] = {
        "result": result.word,
        "type": label(Rule(result.kind)) if known else str(result.kind),
        "name": row.name if row is not None else "",
        "value": result.value,
        "bound": result.bound,
    }
    if policy is not None and known and (row is not None or result.kind == Rule.KILL_SWITCH):
        kind = Rule(result.kind)
        data["value_text"] = value_text(policy, kind, result.value, row, flags=result.flags)
        data["bound_text"] = bound_text(policy, kind, result.bound, row) if row else "0"
    if result.flags:
        data["flags"] = [flag.name.lower() for flag in ResultFlag if result.flags & flag]
    return data


def _command(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    frame = unsafe_parse_frame(record.subject, FrameKind.COMMAND)
    command = COMMAND.unpack(frame.payload)
    digest = command["reason_digest32"]
    policy = names.policy(record.policy_hash)
    name = name_of(policy, command["scope"], command["target"])
    if command["scope"] == Scope.RECORD:
        name = str(command["record"])
    return {
        "verb": label(Command(command["verb"])),
        label(Scope(command["scope"])): name,
        **({_until(command["verb"]): iso_time(command["until_ns"])} if command["until_ns"] else {}),
        "severity": command["severity"],
        "stated_reason": find_text(installed.directory, digest) or f"not kept here: {digest.hex()}",
        "signed_by": [proof.key for proof in frame.proofs],
        "sequence": frame.sequence,
    }


def _until(verb: int) -> str:
    return "clock_set_from" if verb == Command.RESUME else "until"


def _feed(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    policy = names.policy(record.policy_hash)
    frame = unsafe_parse_frame(record.subject, FrameKind.FEED)
    return describe_feed(frame, partial(names.node, policy), names.row(policy))


def _bundle(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    kind, _, sequence, size, digest = struct.unpack("<H6sQQ32s", record.subject)
    return {
        "bundle": label(FrameKind(kind)),
        "version": sequence,
        "bytes": size,
        "bundle_hash": digest.hex(),
    }


def _genesis(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    genesis = installed.genesis
    return {
        "engine_id": genesis.engine_id.hex(),
        "environment": label(Environment(genesis.environment)),
        "identity_key": genesis.identity_key.hex(),
        "root_threshold": genesis.root_threshold,
        "root_keys": [key.hex() for key in genesis.root_keys],
    }


def _start(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    _, before, torn, nonces, keys, ring = START.unpack(record.subject)
    said = {"records_before": before, "torn_bytes": torn, "keys": keys}
    said |= {"keyring_hash": ring.hex()}
    ahead = "made ahead, the risk of a copied machine accepted"
    return said | ({"nonces": ahead} if nonces else {})


def _summary(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    count, first, last, low, high = struct.unpack("<QqqQQ", record.subject)
    bits = low | high << 64
    return {
        "refused_without_record": count,
        "first": iso_time(first),
        "last": iso_time(last),
        "reasons": [REASON_CODE.get(n, str(n)) for n in range(128) if bits >> n & 1],
    }


def _snapshot(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    size, digest, version, _ = struct.unpack("<Q32sI4s", record.subject)
    return {"state_version": version, "state_bytes": size, "state_hash": digest.hex()}


def _refused(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    status, kind, _, sequence, digest = struct.unpack("<IH2sQ32s", record.subject)
    return {
        "why": STATUS_TEXT.get(status, str(status)),
        "frame_kind": kind,
        "sequence": sequence,
        "frame_hash": digest.hex(),
    }


def _halt(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    status, _ = struct.unpack("<II", record.subject)
    return {"why": STATUS_TEXT.get(status, str(status))}


def _withdrawn(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    request, _, action_id = struct.unpack("<Q32sQ", record.subject)
    return {"request": request, "action_id": action_id}


def _stop(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    policy = names.policy(record.policy_hash)
    stop = AUTO_STOP.unpack(record.subject)
    mode, cause, deadline = stop["mode"], stop["cause"], stop["deadline_ns"]
    return {
        "mode": MODES[mode] if mode < len(MODES) else str(mode),
        "scope": name_of(policy, stop["scope"], stop["target"]),
        "cause": label(Cause(cause)) if cause in set(Cause) else str(cause),
        "deadline": iso_time(deadline) if deadline else None,
        "sequence": stop["sequence"],
        "rule": stop["rule"],
        "key": stop["key"],
    } | describe_stop(record, partial(names.node, policy))


def _witness(_names: _Names, _installed: Installed, record: Record) -> dict[str, Any]:
    outcome, orders, spend, first, end = struct.unpack_from("<B7xQqQQ", record.subject)
    words = {1: "granted", 2: "known", 3: "epoch", 4: "gap"}
    return {
        "outcome": words.get(outcome, str(outcome)),
        "counted_orders": orders,
        "counted_spend_micro_usd": spend,
        "missing": {"from": first, "to": end - 1} if end else None,
    }


def _clock(_names: _Names, _installed: Installed, record: Record) -> dict[str, Any]:
    note = parse_clock(record)
    return {
        "compared_with": label(note.source),
        "result": label(note.result),
        "clock_source": note.name,
        "source_time": iso_time(note.source_ns) if note.source_ns else None,
        "offset_ns": note.offset_ns,
        "bound_ns": note.bound_ns,
        "drift_ppm": note.drift_ppm,
        "holds_until": iso_time(note.until_ns),
        "document": note.document.hex() or None,
    }


def _key(_names: _Names, _installed: Installed, record: Record) -> dict[str, Any]:
    return parse_key(record).to_json()


_SUBJECTS: Final[dict[RecordType, Callable[[_Names, Installed, Record], dict[str, Any]]]] = {
    RecordType.GENESIS: _genesis,
    RecordType.START: _start,
    RecordType.BUNDLE: _bundle,
    RecordType.COMMAND: _command,
    RecordType.FEED: _feed,
    RecordType.ORDER: _order,
    RecordType.SUMMARY: _summary,
    RecordType.SNAPSHOT: _snapshot,
    RecordType.REFUSED: _refused,
    RecordType.HALT: _halt,
    RecordType.STOP: _stop,
    RecordType.WITHDRAWN: _withdrawn,
    RecordType.WITNESS: _witness,
    RecordType.CLOCK: _clock,
    RecordType.KEY: _key,
}


def trace_record(installed: Installed, number: int) -> dict[str, Any]:
    """The whole story of one decision: what led to it, the record itself, what followed.

    One pass over the log. `policy_loaded`: the record that took the policy that judged it;
    `epoch_started`; `parents`: the decisions it followed from, nearest first, as the log has them;
    `marks`: the last mark of what it traded; `commands`: halts, drains and resumptions that may
    have touched it or what it followed from;
    `reports`: what feeders said of it, and whether that was taken (else it halted somebody);
    `followed`: later actions on it or because of it.

    Raises AuditError, StorageError.
    """
    names = _Names(installed)
    target = find_record(installed.directory, number)
    wanted = _order_ids(target)
    before: list[Record] = []
    after: list[Record] = []
    reports: list[dict[str, Any]] = []
    for record in read_log(installed.directory):
        if record.number < number:
            before.append(record)
        elif record.number > number and _follows(record, target, wanted):
            after.append(record)
        if wanted is not None:
            reports += reports_of(record, wanted)
    story: dict[str, Any] = {"decision": _describe(names, installed, target)}
    story["epoch_started"] = _last(before, lambda r: r.type is RecordType.START, names, installed)
    story["policy_loaded"] = _last(
        before,
        lambda r: r.type is RecordType.BUNDLE and r.subject[24:56] == target.policy_hash,
        names,
        installed,
    )
    if wanted is not None:
        policy = names.policy(target.policy_hash)
        lineage = _lineage(before, target)
        story["parents"] = _parents(lineage, names, installed)
        agents = [target.agent, *(agent for (agent, _), _ in lineage)]
        story["commands"] = _commands(before, target, agents, names, installed)
        story["marks"] = _marks(before, target, policy)
        story["reports"] = reports
        story["followed"] = [_brief(names, installed, record) for record in after]
    return story


def _order_ids(record: Record) -> tuple[int, int] | None:
    """Agent and action id of an order; None for other records and unreadable orders."""
    if record.type is not RecordType.ORDER or len(record.subject) < 160:
        return None
    agent, _, action_id = struct.unpack_from("<IIQ", record.subject, 8)
    return agent, action_id


def _target_of(record: Record) -> int | None:
    """The earlier action that an amend, a cancel or a query names."""
    try:
        order = unpack(record.subject).order
    except SentinelError:
        return None
    target = getattr(order, "target_action", None)
    return target if isinstance(target, int) else None


def _parent_of(record: Record) -> tuple[int, int] | None:
    try:
        order = unpack(record.subject).order
    except SentinelError:
        return None
    if order.parent_agent is None or order.parent_action_id is None:
        return None
    return order.parent_agent, order.parent_action_id


def _follows(record: Record, target: Record, wanted: tuple[int, int] | None) -> bool:
    """Whether a later record is about the target: acts on it, repeats it, or follows from it."""
    if record.type is RecordType.COMMAND:
        frame = unsafe_parse_frame(record.subject, FrameKind.COMMAND)
        return bool(COMMAND.unpack(frame.payload)["record"] == target.number)
    ids = _order_ids(record)
    if wanted is None or ids is None:
        return record.pending == target.number
    same_agent = record.agent == target.agent
    return (
        (same_agent and ids == wanted)
        or (same_agent and _target_of(record) == wanted[1])
        or _parent_of(record) == wanted
    )


def _last(
    records: list[Record], matches: Callable[[Record], bool], names: _Names, installed: Installed
) -> dict[str, Any] | None:
    for record in reversed(records):
        if matches(record):
            return _describe(names, installed, record)
    return None


def _lineage(before: list[Record], target: Record) -> list[tuple[tuple[int, int], Record | None]]:
    """The actions that it followed from, nearest first, each with its record.

    What was never signed ends it, as it does for the engine, which may know of fewer: it keeps
    what an action followed from only as long as its id.
    """
    tried: dict[tuple[int, int], list[Record]] = {}
    for row in before:
        if (ids := _order_ids(row)) is not None:
            tried.setdefault(ids, []).append(row)
    found: list[tuple[tuple[int, int], Record | None]] = []
    record: Record | None = target
    while record is not None and (parent := _parent_of(record)) is not None:
        rows = [row for row in tried.get(parent, ()) if row.number < record.number]
        signed = [row for row in rows if row.verdict in (Verdict.ALLOWED, Verdict.FAILED)]
        found.append((parent, signed[-1] if signed else rows[-1] if rows else None))
        record = signed[-1] if signed else None
    return found


def _parents(
    lineage: list[tuple[tuple[int, int], Record | None]], names: _Names, installed: Installed
) -> list[dict[str, Any]]:
    return [
        _brief(names, installed, record)
        if record is not None
        else {"agent": names.node(None, agent), "action_id": action, "text": "not in this log"}
        for (agent, action), record in lineage
    ]


def _brief(names: _Names, installed: Installed, record: Record) -> dict[str, Any]:
    data = _describe(names, installed, record)
    wanted = (
        *("record", "time", "agent", "action_id", "text", "verdict", "reason"),
        *("verb", "signed_by", "stated_reason", "request"),
    )
    return {name: data[name] for name in wanted if name in data}


def _commands(
    before: list[Record],
    target: Record,
    agents: list[int],
    names: _Names,
    installed: Installed,
) -> list[dict[str, Any]]:
    """Of the agents' chains, of any venue, and of instruments: of the order's own alone."""
    policy = names.policy(target.policy_hash)
    chain = set[int]().union(*(_chain(policy, agent) for agent in agents))
    instruments = {id_ for kind, id_ in _touched(target, policy) if kind == MarkKind.INSTRUMENT}
    found = []
    for record in before:
        if record.type is RecordType.STOP:
            if struct.unpack_from("<4xI", record.subject)[0] in chain:
                found.append(_describe(names, installed, record))
        elif record.type is RecordType.COMMAND:
            frame = unsafe_parse_frame(record.subject, FrameKind.COMMAND)
            command = COMMAND.unpack(frame.payload)
            scope, number = command["scope"], command["target"]
            if scope == Scope.RECORD:
                if command["record"] in (target.number, target.pending):
                    found.append(_describe(names, installed, record))
                continue
            here = chain if scope == Scope.NODE else instruments
            if scope == Scope.VENUE or number in here:
                found.append(_describe(names, installed, record))
    return found[-10:]


def _chain(policy: Policy | None, agent: int) -> set[int]:
    for node in policy.nodes if policy is not None else ():
        if node.id == agent and policy is not None:
            return {above.id for above in policy.chain(node)}
    return {agent}


def _marks(before: list[Record], target: Record, policy: Policy | None) -> list[dict[str, Any]]:
    """The last marks of the instrument and the assets that the order touches."""
    wanted = _touched(target, policy)
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for record in before:
        if record.type is not RecordType.FEED or not wanted:
            continue
        frame = unsafe_parse_frame(record.subject, FrameKind.FEED)
        if FEED.unpack(frame.payload)["kind"] != FeedKind.MARK:
            continue
        for kind, _, id_, mantissa, scale, _, time_ns in _MARK.iter_unpack(frame.payload[8:]):
            if (kind, id_) in wanted:
                found[kind, id_] = {
                    "name": wanted[kind, id_],
                    "price": decimal_text(mantissa, scale),
                    "time": iso_time(time_ns),
                    "record": record.number,
                    "age_ns": target.now_ns - time_ns,
                }
    return list(found.values())


def _touched(target: Record, policy: Policy | None) -> dict[tuple[int, int], str]:
    if policy is None:
        return {}
    try:
        order = unpack(target.subject).order
    except SentinelError:
        return {}
    wanted: dict[tuple[int, int], str] = {}
    assets: list[int] = [getattr(order, "asset", None) or 0]
    instrument = policy.instruments.get(getattr(order, "instrument", None) or 0)
    if instrument is not None and order.ACTION in (Action.PLACE, Action.AMEND):
        wanted[int(MarkKind.INSTRUMENT), instrument.id] = instrument.name
        assets += [instrument.base, instrument.quote, instrument.settle]
    for id_ in assets:
        if id_ in policy.assets:
            wanted[int(MarkKind.ASSET), id_] = policy.assets[id_].name
    return wanted
