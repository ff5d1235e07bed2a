"""Drills of engines that sign only with a witness, a lease or heartbeats.

Goal: the drill passes there, too; a copy never asks the engine's witness; what a rule of its own
refuses is not taken for a stop that holds. Method: the small desk of the other drills, with each
rule in its policy or authority.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from engines import Made
from people_desk import PASSPHRASE, Desk, Done, make_desk
from witness_desk import (
    LIGHT,
    authority_frame,
    kept,
    name_witness,
    open_with,
    witness_at,
)

from sentinel import Message, Signer, _drill_attempts, _drill_steps
from sentinel import _witness_store as store
from sentinel._authority_edit import Wish
from sentinel._drill_field import holds
from sentinel._people import Person, make_key_file
from sentinel.audit import RecordType, read_log, verify_log
from sentinel.witness import configure

POLICY = """\
version: 1
{top}
firm:
  allow: {{actions: [message]}}
  agents:
    agent: {{{rule}}}
keys:
  message: {{purpose: message, algorithm: ed25519, for: firm}}
"""


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate of the load is measured for less long."""
    monkeypatch.setattr(_drill_steps, "_LOAD_SECONDS", 0.1)


@pytest.fixture
def desk(tmp_path: Path, capsys: Any, monkeypatch: Any) -> Desk:
    return make_desk(tmp_path, capsys, monkeypatch)


def load(desk: Desk, top: str = "", rule: str = "") -> None:
    path = desk.top / "policy.yaml"
    path.write_text(POLICY.format(top=top, rule=rule))
    done = desk.at("policy", "load", str(path))
    assert done.status == 0, done.err


def drill(desk: Desk, *words: str, rounds: int = 2) -> Done:
    out = ("--rounds", str(rounds), "--out", desk.file("reports"), "--json")
    return desk.at("drill", *out, *words)


def passed(done: Done) -> dict[str, Any]:
    steps = {step["name"]: step for step in done.json()["steps"]}
    results = {name: step["result"] for name, step in steps.items()}
    assert results.pop("approve") == "not in the policy"
    assert set(results.values()) == {"passed"}, (steps, done.err)
    assert done.status == 0
    return steps


def opened(desk: Desk) -> Made:
    return Made(desk.engine, None, 0)  # type: ignore[arg-type]


# ---- A witness ----------------------------------------------------------------------------------


@pytest.fixture
def witnessed(desk: Desk) -> Desk:
    """A desk whose engine needs a witness; it is at `desk.top / "w"`."""
    load(desk)
    place = desk.top / "w"
    store.init(place, "witness", PASSPHRASE.encode(), LIGHT)
    store.pin(place, (desk.engine / "genesis").read_bytes())
    name_witness(opened(desk), Person.read(place / "witness.pub"))
    return desk


def test_a_copy_has_a_witness_of_its_own(witnessed: Desk) -> None:
    """The engine's witness is up, and its engine signs behind the drill as if there were none."""
    desk, place = witnessed, witnessed.top / "w"
    with witness_at(place) as url:
        configure(desk.engine, url)
        with open_with(desk.engine, url) as signer:
            signer.session("agent").sign(Message(text="before"))
            before = kept(place)
            copy = desk.top / "copy"
            done = drill(desk, "--keep", str(copy))
            steps = passed(done)
            assert kept(place) == before  # not even asked
            signer.session("agent").sign(Message(text="behind"))
            signer.halt("it confirms as ever")
    assert "the engine's was not asked" in steps["load"]["facts"]["witness"]
    assert any("a witness of the drill's own" in text for text in done.json()["not_proven"])
    attempts = {row["what"]: row["outcome"] for row in steps["attempts"]["facts"]["attempts"]}
    # With a witness, the whole directory from before the halt is refused.
    assert "were confirmed" in attempts["the whole directory from before the halt put back"] or (
        "not here" in attempts["the whole directory from before the halt put back"]
    )
    assert steps["attempts"]["facts"]["old_copy_comes_back"] is False
    assert steps["halt"]["facts"]["acknowledgements_verified"] == 2
    assert not (copy / "witness").exists()
    report = verify_log(copy)
    assert report.ok, report.findings
    assert report.witness["granted"] > 3


def test_a_kill_charges_nothing_to_the_limits(desk: Desk) -> None:
    load(desk, rule="rate: 100000/h")
    store.init(desk.top / "w", "witness", PASSPHRASE.encode(), LIGHT)
    name_witness(opened(desk), Person.read(desk.top / "w" / "witness.pub"))
    copy = desk.top / "copy"
    passed(drill(desk, "--keep", str(copy)))
    counted = [
        int.from_bytes(record.subject[8:16], "little")
        for record in read_log(copy)
        if record.type is RecordType.WITNESS
    ]
    assert counted
    assert not any(counted)


def test_without_the_root_nothing_is_done(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    many = ("--roots", "3", "--root-threshold", "2")
    desk = make_desk(tmp_path, capsys, monkeypatch, *many)
    load(desk)
    store.init(desk.top / "w", "witness", PASSPHRASE.encode(), LIGHT)
    person = desk.top / "w" / "witness.pub"
    path = desk.file("next.auth")
    draft = ("authority", "draft", "--add", f"{person}:witness", "--out", path)
    assert desk.at(*draft).status == 0
    for root in ("root-1", "root-2"):
        signed = desk.at("authority", "sign", path, "--key", desk.key(root), "--yes")
        assert signed.status == 0, signed.err
    desk.at("authority", "submit", path)
    own = ("--key", str(desk.engine / "keys" / "authority"))
    done = drill(desk, *own, "--key", desk.key("root-1"))
    assert done.status == 7, done.out
    error = done.json()["error"]
    assert "it takes 2 of 3 root keys" in error["message"]
    assert "and 1 are here" in error["message"]
    assert "--live" in error["next_step"]
    passed(drill(desk, *own, "--key", desk.key("root-1"), "--key", desk.key("root-3")))


def test_a_live_drill_has_the_engines_witness_and_its_copies_none(
    witnessed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, place = witnessed, witnessed.top / "w"
    asked: list[bool] = []
    plain = _drill_attempts.asks_at

    def watched(top: Path, *rest: Any) -> str:
        asked.append((top / "witness").exists())
        before = kept(place)
        why = plain(top, *rest)
        assert kept(place) == before
        return why

    monkeypatch.setattr(_drill_attempts, "asks_at", watched)
    with witness_at(place) as url:
        configure(desk.engine, url)
        steps = passed(drill(desk, "--live", "--yes"))
        assert asked == [False] * 9
        with open_with(desk.engine, url) as signer:
            signer.session("agent").sign(Message(text="behind"))
    assert steps["load"]["facts"]["witness"] == "the engine's own; copies of it ask none"
    assert (desk.engine / "witness").exists()


def test_a_missing_grant_is_not_taken_for_a_stop(
    witnessed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the copies that a host altered are asked with the halt lifted."""
    desk, place = witnessed, witnessed.top / "w"
    plain = _drill_attempts.asks_at

    def lifted(top: Path, *rest: Any) -> str:
        with contextlib.suppress(Exception), Signer.open(top, passphrase=PASSPHRASE) as signer:
            signer.resume("planted")
        return plain(top, *rest)

    monkeypatch.setattr(_drill_attempts, "asks_at", lifted)
    with witness_at(place) as url:
        configure(desk.engine, url)
        done = drill(desk, "--live", "--yes")
    assert done.status == 8
    attempts = next(step for step in done.json()["steps"] if step["name"] == "attempts")
    assert any("grant_exhausted" in text for text in attempts["problems"])


def test_what_says_nothing_of_a_stop() -> None:
    assert holds("kill_switch")
    assert holds("the log is not intact")
    for why in ("", "grant_exhausted", "lease_expired", "heartbeat_missing", "progress_stalled"):
        assert not holds(why)


# ---- A lease ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lease", ["1h", "3s"])
def test_the_lease_is_renewed(desk: Desk, lease: str) -> None:
    load(desk, top=f"lease: {lease}")
    steps = passed(drill(desk))
    assert steps["load"]["facts"]["lease"].startswith("renewed by one operator")


# ---- Heartbeats ---------------------------------------------------------------------------------


@pytest.fixture
def beating(desk: Desk) -> Desk:
    load(desk, rule="heartbeat: {silence: 2s}")
    person = make_key_file(desk.top / "agent.key", "agent", PASSPHRASE.encode(), LIGHT)
    with opened(desk).open() as signer:
        node = signer.policy.agent("agent").id
        signer.take(authority_frame(desk.engine, Wish("agent", person=person, node=node)))
    return desk


def test_the_drill_beats_for_agents_whose_keys_are_here(beating: Desk) -> None:
    desk = beating
    keys = ("--key", str(desk.engine / "keys" / "authority"), "--key", desk.file("agent.key"))
    copy = desk.top / "copy"
    steps = passed(drill(desk, *keys, "--keep", str(copy)))
    assert steps["load"]["facts"]["heartbeats"] == "the drill beats for firm/agent"
    assert any(record.type is RecordType.FEED for record in read_log(copy))


def test_without_its_key_the_report_says_what_is_missing(beating: Desk) -> None:
    done = drill(beating)
    assert done.status == 8
    step = done.json()["steps"][0]
    assert "firm/agent must beat, and its key is not here: give it with --key" in step["problems"]
