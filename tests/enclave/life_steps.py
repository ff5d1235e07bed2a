"""Steps of an engine's life that every machine goes through."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from engine_life import AGENT, ALICE, BOB, FEEDER, Engine, Machine

from sentinel import _layout
from sentinel._enums import Command
from sentinel._frame import FrameKind
from sentinel.client import Client
from sentinel.errors import PolicyDenied, SentinelError
from sentinel.order import from_json
from sentinel.policy import stable_id

NAMES = ("SPOT", "USDM", "BYBIT", "OKX", "DERIBIT", "HYPER")


def orders_of_six_venues(client: Client) -> list[Any]:
    """A limit order for each venue."""
    return [
        from_json(
            {
                "action": "place",
                "instrument": name,
                "side": "buy",
                "type": "limit",
                "time_in_force": "gtc",
                "quantity": "0.01",
                "price": "65000",
            },
            resolve=stable_id,
        )
        for name in NAMES
    ]


def message(client: Client, text: str = "hello") -> Any:
    return client.session().sign(from_json({"action": "message", "text": text}))


def signs(engine: Engine, machine: Machine) -> bool:
    """Whether an agent gets a signature now."""
    with engine.client(machine, AGENT) as maker:
        return bool(message(maker).signature)


def halted(engine: Engine, machine: Machine) -> str:
    """Why an agent gets none."""
    with engine.client(machine, AGENT) as maker, pytest.raises(PolicyDenied) as denied:
        message(maker)
    return denied.value.reason.lower()


def whole_life(engine: Engine, boot: Callable[[], Machine]) -> None:
    """Genesis, attest, verify, bundles, keys, six venues, deny, halt, restart, rollback, drain."""
    machine = boot()
    lobby = engine.begin(machine)
    engine.make_keys(lobby)
    engine.import_keys(lobby, machine)
    engine.create(lobby, machine)
    with engine.client(machine, ALICE) as people:
        engine.grant(people)
        engine.lease(people)
        assert people.status().epoch == 1
        assert people.attestation(os.urandom(32))
    with engine.client(machine, AGENT) as maker:
        session = maker.session()
        venues = [session.sign(order).venue for order in orders_of_six_venues(maker)]
        assert sorted(venues) == [1, 2, 3, 4, 5, 6]
        with pytest.raises(PolicyDenied) as denied:
            session.sign(
                from_json(
                    {
                        "action": "place",
                        "instrument": "SPOT",
                        "side": "buy",
                        "type": "limit",
                        "time_in_force": "gtc",
                        "quantity": "1",
                        "price": "65000",
                    },
                    resolve=stable_id,
                )
            )
        assert denied.value.failed
    _halt_and_restart(engine, machine, boot)


def _halt_and_restart(engine: Engine, machine: Machine, boot: Callable[[], Machine]) -> None:
    with engine.client(machine, ALICE) as people:
        engine.confirmed(people, lambda: people.halt("a test of the halt"))
    assert halted(engine, machine) == "kill_switch"
    until = time.monotonic() + 60
    while not any(name.endswith(".snapshot") for name in engine.files):  # halted: it is sealed
        assert time.monotonic() < until, "no snapshot"
        engine.keep(machine)
    machine.end()

    machine = boot()
    engine.resume(machine)
    assert halted(engine, machine) == "kill_switch"
    with engine.client(machine, ALICE) as people:
        assert people.status().epoch == 2
        # One operator stops; it takes two to resume.
        part = _layout.command(Command.RESUME, stable_id("node", "firm"), "go on", engine.terms())
        with pytest.raises(SentinelError):
            people.hand_in(engine.signed(FrameKind.COMMAND, part, ALICE))
        part = _layout.command(Command.RESUME, stable_id("node", "firm"), "go on", engine.terms())
        people.hand_in(engine.signed(FrameKind.COMMAND, part, ALICE, BOB))
        engine.grant(people)
        engine.lease(people)
    assert signs(engine, machine)
    with engine.client(machine, ALICE) as people:
        engine.confirmed(people, lambda: people.drain("the end of the day"))
        assert len(list(people.records())) > 10
    assert halted(engine, machine) == "draining"
    with pytest.raises(SentinelError), engine.client(machine, FEEDER) as feeder:
        feeder.halt("a feeder may not")
    machine.end()
