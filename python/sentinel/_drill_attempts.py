"""The steps of a drill behind the restart: attempts to lift the halt, approvals, resume, audit.

What a host would do is done to a copy of the halted copy, each time a fresh one.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from . import _core
from ._drafts import sign_draft
from ._drill_field import asks_at, holds, refusal
from ._drill_steps import NOT_IN_POLICY, NOT_RUN, Drill, Step, signed_while_stopped
from ._enums import Algorithm, Command, Oversight, Power, Purpose, Rule
from ._layout import proof_prefix
from ._record import RecordFlag, RecordType
from .audit import last_record, read_log, replay, verify_log
from .errors import SentinelError
from .pending import OrderPending
from .sign import Session, Signer

_STOP_WORD: Final = slice(40, 48)
_HEADER: Final = 16
RESTORED: Final = "restored as a whole: not refused, but recorded as unproven"


# ---- 4 ------------------------------------------------------------------------------------------


def step_attempts(drill: Drill, before: Path, scratch: Path) -> Step:
    """Tries to lift the halt as those who may not. The engine is halted and has no writer."""
    step = Step("attempts", "Attempts to lift the halt")
    step.facts["attempts"] = []
    for who, what, frame in _frames(drill):
        drill.field.renew()
        _try_frame(drill, step, (who, what), frame)
    k, n = drill.field.need(Power.OPERATOR)
    if k == 1:
        step.facts["one_operator_alone"] = f"{k} of {n} operators resume here"
    for number, (what, tamper) in enumerate(_HOST):
        drill.field.renew()
        _try_host(drill, step, what, tamper, scratch / f"host-{number}", before)
    _old_copy(drill, step, before, scratch / "old")
    return step


def _tell(step: Step, who: str, what: str, outcome: str, held: bool) -> None:
    step.facts["attempts"].append({"as": who, "what": what, "outcome": outcome})
    step.must(held, f"as {who}, {what}: {outcome}")


def _frames(drill: Drill) -> Iterator[tuple[str, str, bytes]]:
    """Resumes that must be refused."""
    field = drill.field
    ring = _core.Keyring()
    ring.generate(1, Purpose.AUTHORITY, Algorithm.ED25519)
    draft = field.draft(Command.RESUME)
    signature = ring.sign_frame(1, proof_prefix(draft.kind), draft.frame.hash)
    k, _ = field.need(Power.OPERATOR)
    holders = field.public.holders(Power.OPERATOR, time.time_ns())
    forged = tuple((key, signature) for key in holders[:k])
    yield "agent", "a resume signed with the agent's own key", replace(draft, proofs=forged).raw
    yield "agent", "a resume that nobody signed", field.draft(Command.RESUME).raw
    if k > 1:
        yield (
            "one operator",
            f"a resume signed by 1 of the {k} it takes",
            field.signed(Command.RESUME, 1),
        )
        one, _ = sign_draft(
            field.draft(Command.RESUME),
            field.holders(Power.OPERATOR)[0],
            field.public,
            time.time_ns(),
        )
        yield "one operator", "the own signature twice", replace(one, proofs=one.proofs * 2).raw
    if drill.resumed:
        yield "host", "an old resume, taken before, once more", drill.resumed


def _try_frame(drill: Drill, step: Step, named: tuple[str, str], frame: bytes) -> None:
    """Through the spool: refused, recorded, and the engine stays halted."""
    field = drill.field
    count = last_record(field.directory).number + 1
    ticket = field.submit(frame)
    why = field.asks(drill.plan.orders)
    try:
        answer = field.answer(ticket, 0.0)
        outcome, held = f"taken as record {answer.record}", False
    except SentinelError as error:
        recorded = any(
            record.type is RecordType.REFUSED for record in read_log(field.directory, count)
        )
        outcome = f"refused ({error.message}){', recorded' if recorded else ', NOT recorded'}"
        held = recorded
    _tell(step, *named, f"{outcome}; the next order: {why or 'SIGNED'}", held and holds(why))


def _stop_word(top: Path, _before: Path) -> None:
    page = bytearray((top / "control").read_bytes())
    page[_STOP_WORD] = bytes(8)
    (top / "control").write_bytes(page)


def _control_cleared(top: Path, _before: Path) -> None:
    page = (top / "control").read_bytes()
    (top / "control").write_bytes(page[:12] + bytes(len(page) - 12))


def _control_removed(top: Path, _before: Path) -> None:
    (top / "control").unlink()


def _spool_emptied(top: Path, _before: Path) -> None:
    for path in (top / "spool").iterdir():
        path.unlink()


def _old_snapshots(top: Path, before: Path) -> None:
    shutil.rmtree(top / "snapshots")
    shutil.copytree(before / "snapshots", top / "snapshots")


def _no_snapshots(top: Path, _before: Path) -> None:
    for path in (top / "snapshots").iterdir():
        path.unlink()


def _old_log(top: Path, before: Path) -> None:
    """The log from before the halt, under the head and the snapshots of now."""
    for path in (top / "log").glob("*.log"):
        path.unlink()
    for path in (before / "log").glob("*.log"):
        shutil.copy2(path, top / "log" / path.name)


def _old_control(top: Path, before: Path) -> None:
    shutil.copy2(before / "control", top / "control")


_HOST: Final[tuple[tuple[str, Callable[[Path, Path], None]], ...]] = (
    ("the stop word of the control page cleared", _stop_word),
    ("the whole control page cleared", _control_cleared),
    ("the control page removed", _control_removed),
    ("the control page from before the halt put back", _old_control),
    ("the spool emptied", _spool_emptied),
    ("the snapshots from before the halt put back", _old_snapshots),
    ("the snapshots removed", _no_snapshots),
    ("the log from before the halt put back", _old_log),
)


def _try_host(
    drill: Drill,
    step: Step,
    what: str,
    tamper: Callable[[Path, Path], None],
    top: Path,
    before: Path,
) -> None:
    drill.field.copy(drill.field.directory, top)
    try:
        tamper(top, before)
        with drill.field.apart():
            why = asks_at(top, drill.field.passphrase, drill.plan.orders)
        why = why.replace(str(top), "the engine")
        _tell(step, "host", what, f"the next order: {why or 'SIGNED'}", holds(why))
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _old_copy(drill: Drill, step: Step, before: Path, top: Path) -> None:
    """The directory as a whole: a disk cannot tell, a witness can. It must at least be recorded."""
    drill.field.copy(before, top)
    try:
        with drill.field.apart():
            why = asks_at(top, drill.field.passphrase, drill.plan.orders)
        starts = [r for r in read_log(top) if r.type is RecordType.START]
        unproven = bool(starts) and starts[-1].has(RecordFlag.UNPROVEN)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    what = "the whole directory from before the halt put back"
    why = why.replace(str(top), "the engine")
    outcome = f"refused: {why}" if why else RESTORED if unproven else "SIGNED, and not recorded"
    step.facts["old_copy_comes_back"] = not why
    _tell(step, "host", what, outcome, why != "" or unproven)


# ---- 6 ------------------------------------------------------------------------------------------


def asks_people(drill: Drill) -> bool:
    """Whether anything in the policy asks approvers."""
    policy = drill.field.public.policy
    assert policy is not None
    ruled = any(each.kind is Rule.APPROVAL for each in policy.constraints)
    return ruled or Oversight.APPROVE in policy.oversight


def step_approve(drill: Drill, order: tuple[str, Any] | None) -> Step:
    """An order that waits, is approved, and is signed once."""
    step = Step("approve", "An order that waits for approvers")
    if not asks_people(drill):
        step.result = NOT_IN_POLICY
        return step
    field = drill.field
    field.renew()
    with field.writer() as signer:
        field.beat(signer)
        agents = [node.path for node in signer.policy.agents]
        messages = [(agent, {"action": "message", "text": "drill"}) for agent in agents]
        found = _waiting(signer, [order] if order else [*drill.plan.orders, *messages], step)
        if found is None:
            step.result = NOT_RUN
            step.facts["why"] = "no order that was tried waits: name one with --approval-order"
            return step
        session, request = found
        step.facts |= {"pending_record": request.record, "approvers_needed": request.needed}
        there = field.holders(Power.APPROVER)
        if len(there) < request.needed:
            step.result = NOT_RUN
            step.facts["why"] = (
                f"it takes {request.needed} approvers, and the keys of {len(there)} are here: "
                "give their key files with --key"
            )
            session.withdraw(request)
            return step
        more: dict[str, Any] = {"record": request.record, "record_hash": request.record_hash}
        for number, keys in enumerate(there[: request.needed]):
            why = refusal_of(session, request)
            step.must(why == "pending", f"with {number} approvals: {why}")
            draft, _ = sign_draft(
                field.draft(Command.APPROVE, **more), keys, field.public, time.time_ns()
            )
            signer.take(draft.raw)
        first, second = refusal_of(session, request), refusal_of(session, request)
        step.facts |= {"approved": first, "second_use": second}
        step.must(first.startswith("signed"), f"approved, and not signed: {first}")
        step.must(second == "duplicate", f"a second use: {second}")
    return step


def _waiting(
    signer: Signer, orders: Sequence[tuple[str, Any]], step: Step
) -> tuple[Session, OrderPending] | None:
    """The first of these orders that waits."""
    for agent, asked in orders:
        session = signer.session(agent)
        try:
            session.sign(asked)
        except OrderPending as found:
            return session, found
        except SentinelError as error:
            step.facts["last_answer"] = error.message
    return None


def refusal_of(session: Session, request: OrderPending) -> str:
    """What the same order under the same id gets now."""
    try:
        signed = session.sign(request.order, action_id=request.action_id)
    except OrderPending:
        return "pending"
    except SentinelError as error:
        return str(getattr(error, "reason", error.message))
    return f"signed as record {signed.handle.record}"


# ---- 7 and 8 ------------------------------------------------------------------------------------


def step_resume(drill: Drill) -> Step:
    """Halted, lifted by k of n, and signing again."""
    step = Step("resume", "Resume by k of n operators")
    k, n = drill.field.need(Power.OPERATOR)
    step.facts["operators"] = f"{k} of {n}"
    drill.field.renew()
    with drill.field.writer() as signer:
        signer.take(drill.field.signed(Command.HALT, 1))
        halted = refusal(signer, drill.plan.orders)
        step.must(holds(halted), f"an order while halted: {halted or 'SIGNED'}")
        record = signer.take(drill.field.signed(Command.RESUME))
        why = drill.field.refusal(signer, drill.plan.orders)
        step.facts |= {"record": record, "while_halted": halted, "behind_it": why or "signed"}
        step.must(why == "", f"nothing was signed behind the resume: {why}")
    return step


def step_audit(drill: Drill, first: int) -> Step:
    """The log of the drill: verified, read for signatures while stopped, decided again."""
    step = Step("audit", "The log of the drill: verified, and decided again")
    drill.progress("audit", 0, 3)
    report = verify_log(drill.field.directory)
    for finding in report.findings:
        step.problem(f"audit verify: {finding}")
    drill.progress("audit", 1, 3)
    counts = signed_while_stopped(drill, first, step)
    drill.progress("audit", 2, 3)
    again = replay(drill.field.directory)
    for difference in again.differences:
        step.problem(f"audit replay: {difference}")
    drill.progress("audit", 3, 3)
    step.facts = {
        "records": report.records,
        "records_of_the_drill": report.records - first,
        "of_those": counts,
        "replayed": again.records,
        "last_hash": report.last_hash.hex(),
        "root": report.root.hex(),
    }
    return step
