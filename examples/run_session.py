"""The main job on real input: a firm's half hour of trading on six venues, judged, signed, sent,
recorded, verified.

    python examples/run_session.py [SESSION.jsonl]          (or `make run`)

Makes an engine in a new directory under build/, with the policy of firm.yaml and fresh keys, and
plays the session through it: orders at the session's own times, marks that move, a halt and a
resume. What is signed is sent to six venues on this machine (tests/venues/), which check it as the
real ones do; what they answer is fed back as execution reports, and at the end what still rests is
cancelled. Then it says who was allowed and refused for which reason, what each venue accepted, how
long a signature took, which reports the engine took, verifies and replays the log, and prints one
receipt.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

TOP = Path(__file__).resolve().parents[1]
EXAMPLES = TOP / "examples"
sys.path.insert(0, str(TOP))  # the venues stand in tests/

from examples.session_reports import CANCEL_EVERY_MS, Reports  # noqa: E402
from examples.six_venues import SessionClock, SixVenues, engine_keys  # noqa: E402
from sentinel import PolicyDenied, Signer, verify_receipt  # noqa: E402
from sentinel._enums import label  # noqa: E402
from sentinel._holdings import holdings_of  # noqa: E402
from sentinel.audit import replay, restore, verify_log  # noqa: E402
from sentinel.bench import percentile  # noqa: E402
from sentinel.config import Installed, create_engine  # noqa: E402
from sentinel.errors import SentinelError, SubmitError  # noqa: E402
from sentinel.feeder import Feeder, FeederKey  # noqa: E402


class Tally:
    """Who was allowed and refused, why, and how long each decision took in nanoseconds."""

    def __init__(self) -> None:
        self.allowed: Counter[str] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.signed_ns: list[int] = []
        self.refused_ns: list[int] = []
        self.sent: Counter[str] = Counter()
        self.not_taken: list[str] = []
        self.receipt_of: int | None = None
        self.ids: dict[tuple[str, int], int] = {}

    @property
    def actions(self) -> int:
        """How many orders were handed in."""
        return self.allowed.total() + self.refused.total()


@contextmanager
def progress(console: Console, total: int) -> Iterator[Any]:
    """A bar on a terminal; a few lines elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("trading", total=total)
        step = max(1, total // 5)

        def advance(done: int) -> None:
            bar.update(task, completed=done)
            if not console.is_terminal and done % step == 0:
                console.print(f"  {done:,} of {total:,} events")

        yield advance


def play(
    signer: Signer,
    venues: SixVenues,
    reports: Reports,
    events: list[dict[str, Any]],
    console: Console,
) -> Tally:
    """Hands every event to the engine at its own time, and what is signed to its venue."""
    begin_ns = venues.clock.ms * 1_000_000
    tally = Tally()
    sessions = {
        agent: signer.session(agent) for agent in {e["agent"] for e in events if "agent" in e}
    }
    with progress(console, len(events)) as advance:
        for number, event in enumerate(events, 1):
            now_ns = begin_ns + event["t"] * 1_000_000
            venues.clock.ms = now_ns // 1_000_000
            if "order" in event:
                trade(tally, reports, sessions[event["agent"]], event, now_ns)
            elif "marks" in event:
                venues.move(event["marks"])
                signer.feed_marks(event["marks"], assets=event["assets"], now_ns=now_ns)
                reports.flush()
            elif "halt" in event:
                signer.halt(event["reason"], scope=event["halt"], now_ns=now_ns)
            else:
                signer.resume(event["reason"], scope=event["resume"], now_ns=now_ns)
            advance(number)
    return tally


def trade(tally: Tally, reports: Reports, session: Any, event: dict[str, Any], now_ns: int) -> None:
    """One order: signed or refused, timed and counted; what is signed is sent."""
    agent, order = event["agent"], event["order"]
    # Questions to venues are signed, too, and take ids in between those of the session.
    action_id = tally.ids.get((agent, event["id"]))
    if "target_action" in order:
        target = order["target_action"]
        order = order | {"target_action": tally.ids.get((agent, target), target)}
    began = time.perf_counter_ns()
    try:
        signed = session.sign(order, action_id=action_id, now_ns=now_ns)
    except PolicyDenied as denied:
        tally.refused_ns.append(time.perf_counter_ns() - began)
        tally.refused[agent, denied.reason] += 1
    else:
        tally.signed_ns.append(time.perf_counter_ns() - began)
        tally.ids[agent, event["id"]] = signed.action_id
        tally.allowed[agent] += 1
        tally.sent[label(signed.venue)] += 1
        if event["order"]["action"] == "withdraw":
            tally.receipt_of = signed.handle.record
        try:
            reports.send(signed, session)
        except SubmitError as error:
            tally.not_taken.append(f"{agent}, action {event['id']}: {error}")


def show_verdicts(tally: Tally, console: Console) -> None:
    """Allowed and refused by agent, then refusals by reason."""
    agents = sorted({*tally.allowed, *(agent for agent, _ in tally.refused)})
    table = Table(title=f"{tally.actions:,} actions")
    table.add_column("agent")
    table.add_column("allowed", justify="right")
    table.add_column("refused", justify="right")
    for agent in agents:
        refused = sum(n for (who, _), n in tally.refused.items() if who == agent)
        table.add_row(agent, f"{tally.allowed[agent]:,}", f"{refused:,}")
    table.add_row("all", f"{tally.allowed.total():,}", f"{tally.refused.total():,}", style="bold")
    console.print(table)

    table = Table(title="refused, by reason")
    table.add_column("reason")
    table.add_column("times", justify="right")
    table.add_column("agents")
    for reason in sorted({reason for _, reason in tally.refused}):
        counts = {agent: tally.refused[agent, reason] for agent in agents}
        who = ", ".join(f"{agent} {count}" for agent, count in counts.items() if count)
        table.add_row(reason, str(sum(counts.values())), who)
    console.print(table)


def show_venues(tally: Tally, venues: SixVenues, reports: Reports, console: Console) -> bool:
    """What each venue accepted of what was allowed, cancelled at the end and asked; whether that is
    everything.
    """
    table = Table(title="sent, by venue")
    table.add_column("venue", no_wrap=True)
    columns = ("allowed", "at the end", "asked", "accepted", "refused", "seen twice")
    for column in columns:
        table.add_column(column, justify="right")
    counts = venues.counts()
    all_taken = not tally.not_taken
    for venue, row in counts.items():
        sent = (tally.sent[venue], venues.cancels[venue], reports.asked[venue])
        came = (row["accepted"], row["refused"], row["duplicates"])
        table.add_row(venue, *(f"{number:,}" for number in (*sent, *came)))
        all_taken = all_taken and came == (sum(sent), 0, 0)
    console.print(table)
    for text in tally.not_taken[:5]:
        console.print(f"  not taken: {text}")
    return all_taken


def show_reports(
    directory: Path, feeder: Feeder, reports: Reports, console: Console
) -> dict[str, int]:
    """How many reports were taken, and what the engine now knows."""
    gate = restore(directory)
    held = holdings_of(gate, Installed(directory).policy())
    counts = {
        "reports": feeder.reports,
        "frames": feeder.frames,
        "silent": reports.silent,
        "open_orders": sum(held.open_orders.values()),
        "positions": len(held.positions),
        "stops": len(gate.state().stops),
    }
    console.print(
        f"fed {feeder.reports:,} execution reports in {feeder.frames:,} frames, all taken:"
        f" {counts['open_orders']} orders are open, {counts['positions']} positions known,"
        f" {counts['stops']} stopped"
    )
    return counts


def show_latency(tally: Tally, console: Console) -> None:
    """Percentiles of Session.sign, from Python, building the order from JSON included."""
    table = Table(title="latency of Session.sign from Python, in microseconds")
    for column in ("", "p50", "p99", "p99.9", "max"):
        table.add_column(column, justify="right")
    for name, times in (("signed", tally.signed_ns), ("refused", tally.refused_ns)):
        ordered = sorted(times)
        shares = (percentile(ordered, share) for share in (0.5, 0.99, 0.999, 1.0))
        table.add_row(name, *(f"{share / 1000:,.1f}" for share in shares))
    console.print(table)


def audit(
    directory: Path, signer_expectation: Any, receipt: dict[str, Any], console: Console
) -> bool:
    """Verifies the log and the receipt, and decides everything again."""
    report = verify_log(directory)
    console.print(f"verified {report.records:,} records: {'intact' if report.ok else 'DAMAGED'}")
    for finding in report.findings:
        console.print(f"  {finding}")
    walk = replay(directory)
    differences = list(walk.differences)
    console.print(f"replayed {walk.records:,} records: {len(differences)} differences")
    for difference in differences[:5]:
        console.print(f"  {difference}")
    verify_receipt(json.dumps(receipt), signer_expectation)
    console.print("one receipt, verified against the engine's id and authority root:")
    console.print_json(json.dumps(receipt))
    return report.ok and not differences


def show_next(directory: Path, secret: Path, console: Console) -> None:
    """What to look at now: the state behind it all, and a drill of its stop on a copy."""
    engine = f"--dir {directory.relative_to(TOP)}"
    drill = f"zcp drill {engine} --passphrase-file {secret.relative_to(TOP)}"
    more = f"--orders examples/session.jsonl --out {directory.parent.relative_to(TOP)}"
    for line in ("next:", f"  .venv/bin/zcp status {engine}", f"  .venv/bin/{drill} {more}"):
        console.print(line, soft_wrap=True, highlight=False)


def main() -> int:
    """Plays the session; 0 when the venues took all that was allowed, the log verified, and every
    decision came out the same again.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("session", nargs="?", type=Path, default=EXAMPLES / "session.jsonl")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON, last")
    arguments = parser.parse_args()
    console = Console(stderr=arguments.json)
    events = [json.loads(line) for line in arguments.session.read_text().splitlines()]
    if not events:
        parser.error(f"{arguments.session}: there is nothing in it")

    build = TOP / "build"
    build.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="session-", dir=build)) / "engine"
    secret = directory.parent / "passphrase"  # Of keys that were made for this run alone.
    passphrase = secrets.token_hex(16).encode()
    secret.touch(0o600)
    secret.write_bytes(passphrase)
    # The session lies in the past, so that its end, with the last cancels, is not in the future.
    after_ms = len(events) * CANCEL_EVERY_MS // 5
    begin_ms = time.time_ns() // 1_000_000 - events[-1]["t"] - after_ms
    begin_ns = begin_ms * 1_000_000
    console.print(f"engine in {directory.relative_to(TOP)}; {len(events):,} events")
    try:
        create_engine(directory, passphrase, now_ns=begin_ns)
        keys = engine_keys(directory, passphrase)
        policy = EXAMPLES / "firm.yaml"
        with Signer.open(directory, passphrase=passphrase, now_ns=begin_ns) as signer:
            signer.load_policy(policy.read_text(), file="firm.yaml", base=EXAMPLES, now_ns=begin_ns)
            feeder = Feeder(
                signer, FeederKey.open(directory / "keys" / "authority", passphrase=passphrase)
            )
            with SixVenues(keys, signer.policy, SessionClock(begin_ms)) as venues:
                reports = Reports(signer, feeder, venues)
                tally = play(signer, venues, reports, events, console)
                reports.close_out()
                show_verdicts(tally, console)
                taken = show_venues(tally, venues, reports, console)
                by_venue = venues.counts()
            show_latency(tally, console)
            if tally.receipt_of is None:
                raise SystemExit("no withdrawal was signed, so there is no receipt to show")
            receipt = signer.receipt(tally.receipt_of)
        fed = show_reports(directory, feeder, reports, console)
        good = audit(directory, Installed(directory).expectation, receipt, console)
        show_next(directory, secret, console)
    except SentinelError as error:
        console.print(f"run_session: {error.diagnostics()}", style="red")
        return 1
    if arguments.json:
        refused: Counter[str] = Counter()
        for (_, reason), count in tally.refused.items():
            refused[reason] += count
        print(
            json.dumps(
                {
                    "actions": tally.actions,
                    "allowed": dict(tally.allowed),
                    "refused": dict(refused),
                    "sent": dict(tally.sent),
                    "venues": by_venue,
                    "cancelled_last": dict(venues.cancels),
                    "asked": dict(reports.asked),
                    "fed": fed,
                    "intact": good,
                }
            )
        )
    return 0 if good and taken and not fed["stops"] else 1


if __name__ == "__main__":
    sys.exit(main())
