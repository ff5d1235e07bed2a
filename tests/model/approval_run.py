"""What people and agents do about requests in a random scenario at the gate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.model import build
from tests.model.approvals import Approver, Request
from tests.model.names import INT64_MAX, POLICY_APPROVAL, Kind, Verb
from tests.model.policies import chance

if TYPE_CHECKING:
    from tests.model.gate_run import GateRun

IDS = (10, 11, 12, 13)  # of approvers' keys


def step(run: GateRun) -> None:
    """Mostly towards an approval that is used; often at an edge of it."""
    rng = run.rng
    rows = [row for row in run.model.requests.rows if not row.is_over(run.now) or chance(rng, 20)]
    row = rng.choice(rows) if rows else None
    draw = rng.randrange(100)
    if draw < 12 or (draw < 30 and len(run.model.requests.approvers) < 2):
        rotate(run)
    elif row is None:
        run.order()
    elif draw < 36:
        ask_for_more(run, row)
    elif draw < 60:
        approve(run, row)
    elif draw < 92:
        ask_again(run, row)
    else:
        withdraw(run, row)


def rotate(run: GateRun) -> None:
    """Another authority bundle: keys come, go, expire, or take over an id."""
    rng = run.rng
    lives = [run.world.unit_ns * many for many in (1, 1000, 10**5)]
    secrets = rng.sample(range(4), 4) if chance(rng, 20) else range(4)
    approvers = {
        number: Approver(secret, rng.choice((INT64_MAX, run.now + rng.choice(lives))))
        for number, secret in zip(IDS, secrets, strict=True)
        if chance(rng, 80)
    } or {10: Approver(0, INT64_MAX)}
    run.expect("status of an authority", 0, run.core.take_authority(approvers, run.now))
    run.model.record(run.model.clock(run.now), rests=True)
    run.model.requests.take_authority(approvers)
    run.counts["authorities"] += 1


def approve(run: GateRun, row: Request) -> None:
    rng, requests = run.rng, run.model.requests
    verb = Verb.APPROVE if chance(rng, 90) else Verb.REJECT
    digest = run.core.request_hash(row.record)
    record = row.record
    fresh = [key for key in requests.approvers if key not in row.approvers]
    pool = fresh if fresh and chance(rng, 80) else list(IDS)
    signers = rng.sample(pool, min(len(pool), rng.choice((1, 1, 2))))
    wrong = chance(rng, 4)
    if wrong and chance(rng, 50):
        digest = digest[::-1]
    elif wrong:
        record += 1
    named = [(key, requests.approvers.get(key, Approver(3, 0)).secret) for key in signers]
    status = run.core.take_approval(verb, record, digest, named, run.now)
    expected = run.model.take_approval(verb, 0 if wrong else record, signers, run.now)
    run.expect(f"status of {verb.name}", expected, status)
    run.counts["approvals"] += status == 0
    if status == 0 and verb == Verb.APPROVE and chance(rng, 70):
        enough = requests.count(row, run.now) >= row.quorum
        ends = [requests.approvers[key].expires for key in row.approvers]
        if enough and min(ends) < row.expires and chance(rng, 60):
            run.now = min(ends) - rng.choice((0, 0, 1))
        ask_again(run, row) if enough or chance(rng, 20) else approve(run, row)


def ask_for_more(run: GateRun, row: Request) -> None:
    """A version that wants one approver more, while orders wait."""
    policy = run.world.policy
    rows = tuple(
        replace(c, quorum=min(c.quorum + 1, 8)) if c.kind == Kind.APPROVAL else c
        for c in policy.constraints
    )
    more = min(policy.approval_quorum + 1, 8) if policy.approval_quorum else 0
    if chance(run.rng, 50):
        approve(run, row)
    run.load(replace(policy, constraints=rows, approval_quorum=more))
    ask_again(run, row)


def ask_again(run: GateRun, row: Request) -> None:
    """The very same order, or another under its id."""
    rng, order = run.rng, row.order
    agent = run.last_agent = order.agent
    if agent not in run.world.policy.chains:
        return
    altered = chance(rng, 6)
    if altered:
        order = replace(order, parent=(agent, 1 + rng.randrange(9)))
    before = run.model.records
    run.ask(agent, order, build.order_bytes(order), run.now, False)
    run.counts["asked again"] += 1
    run.counts["approved orders signed"] += (
        not altered and run.model.records > before and row not in run.model.requests.rows
    )


def withdraw(run: GateRun, row: Request) -> None:
    agent, action_id = row.order.agent, row.order.action_id
    if agent not in run.world.policy.chains:
        return
    action_id += chance(run.rng, 10)
    status = run.core.withdraw(agent, action_id, run.now)
    run.expect("status of a withdrawal", run.model.withdraw(agent, action_id, run.now), status)
    run.counts["withdrawn"] += status != POLICY_APPROVAL


def compare_rows(run: GateRun) -> None:
    """Every row of the state."""
    ours = sorted(
        (
            *(row.record, row.expires, row.order.agent, row.order.action_id),
            *(1 + row.rejected, row.quorum, tuple(row.approvers)),
        )
        for row in run.model.requests.rows
    )
    run.expect("requests", ours, run.core.requests())


def edges(run: GateRun) -> list[int]:
    """Times at which something about a request ends."""
    return [row.expires for row in run.model.requests.rows] + [
        approver.expires for approver in run.model.requests.approvers.values()
    ]
