"""What must hold of a schedule, whatever the host did. It shares nothing with the daemon.

It sees what no host can: the files inside each enclave, and every secret that came to be there.
Records are read by plain_log.py, copies of the log by the product's auditor in plain Python.
"""

from __future__ import annotations

import base64
import hmac
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from engine_life import SECRET
from hosted_engine import Granted
from leaks import leaks
from plain_log import ALLOWED, BUNDLE, COMMAND, FEED, ORDER, WITNESS, Plain, records_of

from sentinel._enums import Command
from sentinel._frame import FrameKind, unsafe_parse_frame
from sentinel._record import parse_record
from sentinel.audit import verify_log

if TYPE_CHECKING:
    from hostile_host import Machine, Schedule, Signed

_SEGMENT_BYTES = 64 << 10


def judge(schedule: Schedule, *, audits: int = 1) -> Iterator[str]:
    """Every way in which a schedule went wrong."""
    machines = [machine for machine in schedule.machines if machine.is_running]
    logs = {id(machine): machine.records() for machine in machines}
    yield from _roots(schedule, machines)
    yield from _signatures(schedule, logs)
    for machine in machines:
        yield from _lineage(schedule, machine, logs[id(machine)])
        yield from _spent(schedule, machine, logs[id(machine)])
    yield from _found(schedule, machines, logs)
    yield from _leaked(schedule)
    for machine in machines[-audits:]:
        yield from _audited(schedule, machine)


# ---- Who it is ----------------------------------------------------------------------------------


def _roots(schedule: Schedule, machines: list[Machine]) -> Iterator[str]:
    """No root but an engine's own was taken, and no engine runs on another's."""
    known = schedule.hosted.roots | schedule.foreign.roots
    for machine in schedule.machines:
        got = {secret for name, secret in machine.boot.secrets() if name == "unwrapped"}
        if not got <= known:
            yield "a root was taken that no enclave made"
        if machine in machines and not got <= machine.hosted.roots:
            yield "an engine runs on another's root"


# ---- Signatures ---------------------------------------------------------------------------------


def _signatures(schedule: Schedule, logs: Mapping[int, list[Plain]]) -> Iterator[str]:
    """Each is right, is of a record, is under a grant, and there is one for an order."""
    of_order: dict[tuple[int, int, int], bytes] = {}
    for one in schedule.signed:
        name = f"signature of record {one.number}, epoch {one.epoch}"
        if not _is_right(schedule, one):
            yield f"{name}: not of the order that was asked for"
        if one.at_ns >= one.machine.hosted.people.lease_end_ns:
            yield f"{name}: behind the end of every lease"
        if one.at_ns not in schedule.clock.seen:
            yield f"{name}: at a time that never was"
        first = of_order.setdefault((id(one.machine), one.asked.agent, one.asked.action_id),
                                    one.signature)  # fmt: skip
        if first != one.signature:
            yield f"{name}: the second one of its order in this boot"
        record = next((r for r in logs[id(one.machine)] if r.hash == one.record_hash), None)
        if record is None or (record.number, record.epoch) != (one.number, one.epoch):
            yield f"{name}: the engine has no such record"
        elif record.type != ORDER or record.verdict != ALLOWED:
            yield f"{name}: its record allows nothing"
        if not any(_covers(grant, one) for grant in _grants(schedule)):
            yield f"{name}: beyond every grant of the witness"


def _is_right(schedule: Schedule, one: Signed) -> bool:
    asked = one.asked
    if asked.text.encode() not in one.signed_bytes:
        return False
    if asked.value:
        return one.signature == hmac.digest(SECRET, one.signed_bytes, "sha256")
    public = next(key.public_key for key in schedule.hosted.keys if not key.api_key)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(one.signature, one.signed_bytes)
    except InvalidSignature:
        return False
    return True


def _grants(schedule: Schedule) -> list[Granted]:
    witness = schedule.hosted.witness
    assert witness is not None
    return witness.given


def _covers(grant: Granted, one: Signed) -> bool:
    return (
        grant.order <= one.order
        and grant.start_hash == one.machine.start_hash_of(one.epoch)
        and grant.epoch == one.epoch
        and one.number < grant.record_end
    )


# ---- Records ------------------------------------------------------------------------------------


def _lineage(schedule: Schedule, machine: Machine, log: list[Plain]) -> Iterator[str]:
    """A log is one chain of what was asked for and signed by people, and of nothing else."""
    people, before = machine.hosted.people, bytes(32)
    asked: Counter[tuple[int, int]] = Counter()
    is_halted = False
    for place, record in enumerate(log):
        if record.number != place or record.previous != before:
            yield f"record {record.number} is not the next of its log"
        before = record.hash
        if record.type in (COMMAND, FEED, BUNDLE, WITNESS):
            yield from _by_people(machine, record, people.made)
        if record.type == COMMAND:
            is_halted = _halts(record, is_halted)
        if record.type == ORDER and record.verdict == ALLOWED:
            key = (record.agent, record.action_id)
            asked[key] += 1
            if asked[key] > 1:
                yield f"record {record.number}: its action was signed before"
            if is_halted:
                yield f"record {record.number}: signed behind a halt"
        if record.type == ORDER and record.number >= schedule.template_records:
            known = schedule.asked.get((record.agent, record.action_id))
            if known is None or known.struct not in record.raw:
                yield f"record {record.number}: nobody asked for it"
    if not log or log[-1].epoch != machine.epoch:
        yield "the log does not end in this boot's epoch"


def _by_people(machine: Machine, record: Plain, made: set[bytes]) -> Iterator[str]:
    subject = parse_record(record.raw).subject
    if record.type == BUNDLE:
        name = subject[24:56]
    else:
        kinds = {COMMAND: FrameKind.COMMAND, FEED: FrameKind.FEED, WITNESS: FrameKind.GRANT}
        frame = subject[40:] if record.type == WITNESS else subject
        name = unsafe_parse_frame(frame, kinds[record.type]).hash
    if name not in made:
        yield f"record {record.number}: a frame that nobody signed"


def _halts(record: Plain, is_halted: bool) -> bool:
    payload = unsafe_parse_frame(parse_record(record.raw).subject, FrameKind.COMMAND).payload
    verb = int.from_bytes(payload[:2], "little")
    return verb == Command.HALT or (is_halted and verb != Command.RESUME)


def _spent(schedule: Schedule, machine: Machine, log: list[Plain]) -> Iterator[str]:
    """In each epoch no more was signed for than a witness granted, in all."""
    spent = 0
    for record in log:
        if record.type != ORDER or record.verdict != ALLOWED:
            continue
        asked = schedule.asked.get((record.agent, record.action_id))
        spent += (asked or schedule.earlier[(record.agent, record.action_id)]).value
        start = machine.start_hash_of(record.epoch)
        ends = [grant.spend_end for grant in _grants(schedule) if grant.start_hash == start]
        if spent > max(ends, default=0):
            yield f"record {record.number}: {spent} signed for, and {max(ends, default=0)} granted"


def _found(
    schedule: Schedule, machines: list[Machine], logs: Mapping[int, list[Plain]]
) -> Iterator[str]:
    """What an auditor misses is under a grant, and counted by whoever goes on.

    Signatures whose records are in no copy that left: each below the end of a grant (that is
    `_signatures`), no more of them than the grant had room for, and in each later log at least so
    many are charged as another log has and this one has not.
    """
    seen = {r.hash for copy in schedule.copies for r in records_of(copy)}
    hidden = [one for one in schedule.signed if one.record_hash not in seen]
    schedule.tally["signatures in no copy, under a grant"] += len({h.record_hash for h in hidden})
    schedule.tally["signatures in a copy"] += len(
        {one.record_hash for one in schedule.signed} - {h.record_hash for h in hidden}
    )
    for machine in machines:
        log = logs[id(machine)]
        own, charged, first = {r.hash for r in log}, 0, 0
        for record in log:
            if record.type == WITNESS:
                subject = parse_record(record.raw).subject
                charged += int.from_bytes(subject[8:16], "little")
                if subject[0] == 1 and record.epoch == machine.epoch:
                    first = first or record.number
        if not first:
            continue  # nothing was granted to it, so it signs nothing
        elsewhere = {
            one.record_hash
            for one in schedule.signed
            if one.record_hash not in own and one.epoch < machine.epoch
        }
        if len(elsewhere) > charged:
            yield (
                f"epoch {machine.epoch}: {len(elsewhere)} signatures are in no record here, and"
                f" {charged} are charged"
            )


def _of_paper(text: str) -> bool:
    """Of the document that a CLOCK record names: the stand-in's has no certificate, and no enclave
    reads it again, so a host that changes it is found by its auditor alone.
    """
    return "bundles/" in text and "document" in text


def _audited(schedule: Schedule, machine: Machine) -> Iterator[str]:
    """The auditor finds nothing wrong with a log as an enclave had it."""
    with tempfile.TemporaryDirectory(dir=schedule.boots.folder) as name:
        top = Path(name)
        for file, data in machine.files.items():
            if file == "genesis" or file.split("/")[0] in ("log", "bundles", "snapshots"):
                (top / file).parent.mkdir(exist_ok=True)
                (top / file).write_bytes(data)
                if file.endswith(".log"):
                    os.truncate(top / file, _SEGMENT_BYTES)
        report = verify_log(top, plain=True)
    schedule.tally["records audited"] += report.records
    findings = [
        str(one) for one in report.findings if one.kind != "torn" and not _of_paper(one.text)
    ]
    yield from (f"audit: {text}" for text in findings[:3])
    kept = schedule.hosted.witness
    assert kept is not None
    if report.witness_confirmed > kept.kept.count and not findings:
        yield "the log says that more was confirmed than the witness knows"


# ---- Secrets ------------------------------------------------------------------------------------


def _leaked(schedule: Schedule) -> Iterator[str]:
    """No eight bytes of a secret are in anything that left."""
    secrets: dict[bytes, str] = {SECRET: "imported", base64.b64decode(SECRET): "imported"}
    for told in (schedule.hosted.secrets, schedule.foreign.secrets):
        secrets |= {secret: name for name, secret in told}
    left = [bytes(schedule.left)]
    for machine in schedule.machines:
        secrets |= {secret: name for name, secret in machine.boot.secrets()}
        left.append(machine.boot.console())
        left += [data.rstrip(b"\0") for data in machine.files.values()]
    # Beside the record of its making, a secret is nowhere.
    whole = bytes(8).join(left)
    schedule.tally["bytes searched for secrets"] += len(whole)
    schedule.tally["secrets searched for"] += len(secrets)
    for at, secret in leaks(secrets, whole):
        yield f"a secret ({secrets[secret]}) left, at {at}: {whole[max(at - 8, 0) : at + 24]!r}"
        return
