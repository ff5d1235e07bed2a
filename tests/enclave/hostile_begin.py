"""What schedules of a hostile host begin with: engines that began honestly, and were kept."""

from __future__ import annotations

import hashlib
import signal
from collections import Counter
from copy import copy

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fake_boots import Boots
from hosted_engine import ALICE, Clock, Hosted, begin, new_hosted
from hostile_host import Machine, Schedule
from raw_client import Ask

from sentinel._enums import Command


def fresh(hosted: Hosted) -> Hosted:
    """A copy that a schedule may spoil."""
    made = copy(hosted)
    made.sealed, made.files, made.wraps = list(hosted.sealed), list(hosted.files), [hosted.wrapped]
    made.people = copy(hosted.people)
    made.people.made = set(hosted.people.made)
    assert hosted.witness is not None
    made.witness = hosted.witness.copy()
    made.witness._people = made.people
    return made


def template(boots: Boots, clock: Clock, prefix: str, seed: int) -> Hosted:
    """An engine that began honestly, has signed, and was kept twice."""
    hosted = new_hosted(clock, prefix)
    schedule = Schedule(boots, clock, hosted, hosted, seed, Counter())
    schedule.is_honest = True
    machine = Machine(boots.boot(seed, seed % 24), hosted)
    begin(hosted, machine.boot, schedule.choice, lambda boot: boot.lobby())
    machine.boot.ring()
    machine.is_running = True
    tls = dict(machine.boot.secrets())["tls"]
    machine.pin = pin_of_seed(tls)
    hosted.roots = {secret for name, secret in machine.boot.secrets() if name == "root"}
    schedule.machines.append(machine)
    link = schedule.link(machine, ALICE)
    assert link is not None, machine.boot.console()
    schedule.command(link, Command.LEASE, blow=False)
    for _ in range(2):
        told = schedule.ask(link, Ask.ASK, bytes(4))
        assert told is not None
        answer = schedule.ask(link, Ask.TAKE, schedule.grant(told.payload))
        assert answer is not None
        assert answer.status == 0
        for _ in range(2):
            schedule.step_order()
        schedule.step_keep()
    schedule.end(machine, signal.SIGKILL)
    assert len(hosted.files) == 2
    assert not schedule.problems
    hosted.secrets = machine.boot.secrets()
    hosted.earlier, hosted.records = schedule.signed, len(machine.records())
    return hosted


def pin_of_seed(seed: bytes) -> bytes:
    """The pin of a daemon whose TLS key has this seed."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return hashlib.sha256(bytes.fromhex("302a300506032b6570032100") + public).digest()
