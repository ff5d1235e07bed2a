"""What people rely on is acknowledged only when a witness confirmed it, whichever way it came.

Goal: with a witness that is down, no way of taking a command or a bundle says that it is done; each
says that it is in force, and it is. Method: every way of Python and of `zcp`, once without and once
with the witness.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engines import MARKS, PASSPHRASE, POLICY, Made
from people_desk import Desk, make_desk
from witness_desk import (
    LIGHT,
    authority_frame,
    check,
    name_witness,
    open_with,
    says,
    witness_at,
)

from sentinel import Signer, _core, _layout
from sentinel import _witness_store as store
from sentinel._authority_edit import Wish
from sentinel._enums import Algorithm, Command, Power, Purpose, Scope
from sentinel._frame import FrameKind
from sentinel._people import Person, person_id
from sentinel.audit import RecordType, last_record, read_log, restore
from sentinel.config import AuthorityRing, Installed, public_keys
from sentinel.policy_compile import compile_policy
from sentinel.witness import WitnessError, configure

NOWHERE = "http://127.0.0.1:9"  # discard: nobody listens


def person(name: str) -> Person:
    ring = _core.Keyring()
    return Person(name, ring.generate(1, Purpose.AUTHORITY, Algorithm.ED25519).public_key)


def command(signer: Signer, verb: Command, **more: Any) -> bytes:
    """A command that was signed elsewhere."""
    installed, now = signer.installed, time.time_ns()
    part = _layout.command(
        *(verb, signer.policy.nodes[0].id, "elsewhere", installed.terms(now, now - 10**9)),
        scope=Scope.NODE,
        **more,
    )
    return AuthorityRing.open(installed.directory, PASSPHRASE).sign(FrameKind.COMMAND, part)


def policy(signer: Signer) -> bytes:
    """A policy that was signed elsewhere."""
    installed = signer.installed
    terms = installed.terms(signer.policy.version + 1, time.time_ns() - 10**9)
    keys = [key.info for key in public_keys(installed.directory)]
    part = compile_policy(POLICY, terms, keyring=keys, file="p", base=None)
    return AuthorityRing.open(installed.directory, PASSPHRASE).sign(FrameKind.POLICY, part)


def authority(*wishes: Wish) -> Callable[[Signer], bytes]:
    return lambda signer: authority_frame(signer.installed.directory, *wishes)


def rotate(signer: Signer) -> bytes:
    return authority_frame(
        signer.installed.directory, Wish("rotate", "witness", person=person("witness"))
    )


def take(frame: Callable[[Signer], bytes]) -> Callable[[Signer], Any]:
    return lambda signer: signer.take(frame(signer))


WAYS: dict[str, Callable[[Signer], Any]] = {
    "halt": lambda signer: signer.halt("x"),
    "halt a venue": lambda signer: signer.halt("x", venue="bybit"),
    "drain": lambda signer: signer.drain("x"),
    "resume": lambda signer: signer.resume("x"),
    "load_policy": lambda signer: signer.load_policy(POLICY),
    "take a halt": take(lambda signer: command(signer, Command.HALT)),
    "take a resume": take(lambda signer: command(signer, Command.RESUME)),
    "take a policy": take(policy),
    "take an addition": take(
        authority(Wish("add", "dave", person=person("dave"), powers=frozenset({Power.APPROVER})))
    ),
    "take a rotation": take(rotate),
    "take a revocation": take(authority(Wish("revoke", "dave"))),
}
REFUSED = {"halt": "kill_switch", "take a halt": "kill_switch", "drain": "draining"}


@pytest.fixture
def with_dave(engine: Made, place: Path) -> Made:
    """An engine whose authority has somebody to revoke."""
    wish = Wish("add", "dave", person=person("dave"), powers=frozenset({Power.APPROVER}))
    with witness_at(place) as url, open_with(engine.directory, url) as signer:
        signer.take(authority_frame(engine.directory, wish))
    return engine


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"take an addition"}))
def test_without_the_witness_nothing_is_said_to_be_done(
    way: str, with_dave: Made, place: Path
) -> None:
    directory = with_dave.directory
    with witness_at(place) as url:
        signer = open_with(directory, url)
        assert says(signer) == "allowed"
    with signer:
        with pytest.raises(WitnessError, match="is in force, but not confirmed") as caught:
            WAYS[way](signer)
        record = last_record(directory)
        assert caught.value.record == record.number
        assert record.type in (RecordType.COMMAND, RecordType.BUNDLE)
        assert signer._engine.state().grant.count <= record.number
        assert signer._engine.ack() is None or record.type is RecordType.BUNDLE
        assert says(signer) == REFUSED.get(way, "allowed")
    with open_with(directory, None) as again:  # nor is it forgotten
        assert says(again) == REFUSED.get(way, "grant_exhausted")
    check(directory)


# A witness whose key was rotated has to get the new one first, and dave is not there.
@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"take a revocation", "take a rotation"}))
def test_with_the_witness_it_is_confirmed_when_it_returns(
    way: str, engine: Made, place: Path
) -> None:
    with witness_at(place) as url, open_with(engine.directory, url) as signer:
        WAYS[way](signer)
        state = signer._engine.state()
        assert state.grant.count >= state.record_count - 1
        assert (signer._engine.ack() is not None) == ("olicy" not in way and "add" not in way)


def test_feeds_do_not_ask(engine: Made, place: Path) -> None:
    with open_with(engine.directory, NOWHERE) as signer:
        signer.feed_marks(MARKS)


def test_what_needs_no_witness_any_more_is_not_confirmed(engine: Made, place: Path) -> None:
    with open_with(engine.directory, NOWHERE) as signer:
        signer.take(authority_frame(engine.directory, Wish("revoke", str(person_id("witness")))))
        assert says(signer) == "allowed"
        signer.halt("no witness is asked")


# ---- The command --------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path, capsys: Any, monkeypatch: Any) -> Desk:
    made = make_desk(tmp_path, capsys, monkeypatch)
    place = tmp_path / "w"
    store.pin(store_at(place), (made.engine / "genesis").read_bytes())
    opened = Made(made.engine, None, 0)  # type: ignore[arg-type]
    name_witness(opened, Person.read(place / "witness.pub"))
    configure(made.engine, NOWHERE)
    (tmp_path / "policy.yaml").write_text("version: 1\nlease: 1h\nfirm: {agents: {agent: {}}}\n")
    return made


def store_at(place: Path) -> Path:
    store.init(place, "witness", PASSPHRASE, LIGHT)
    return place


def loaded(desk: Desk, *words: str) -> tuple[str, ...]:
    return ("policy", "load", desk.file("policy.yaml"), *words)


def drafted(desk: Desk) -> tuple[str, ...]:
    path = desk.draft("halt", "h.cmd")
    assert desk.away("command", "sign", path, "--key", str(desk.engine / "keys/authority"),
                     "--yes").status == 0  # fmt: skip
    return ("command", "submit", path)


def changed(desk: Desk) -> tuple[str, ...]:
    keygen = (
        "authority",
        "keygen",
        "dave",
        "--out",
        desk.file("dave.key"),
        "--environment",
        "test",
    )
    assert desk.run(*keygen).status == 0
    path = desk.file("next.auth")
    add = ("--add", f"{desk.file('dave.pub')}:operator", "--out", path)
    assert desk.at("authority", "draft", *add).status == 0
    own = str(desk.engine / "keys/authority")
    assert desk.at("authority", "sign", path, "--key", own, "--yes").status == 0
    return ("authority", "submit", path)


def words(*given: str) -> Callable[[Desk], tuple[str, ...]]:
    return lambda _desk: given


COMMANDS: dict[str, Callable[[Desk], tuple[str, ...]]] = {
    "halt": words("halt", "--reason", "x"),
    "drain": words("drain", "--reason", "x"),
    "resume": words("resume", "--reason", "x"),
    "policy load": loaded,
    "command submit": drafted,
    "authority submit": changed,
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_the_writer_says_that_it_is_unconfirmed(name: str, desk: Desk) -> None:
    given = COMMANDS[name](desk)
    done = desk.at(*given, "--json")
    assert "in force, but not confirmed" in done.err
    told = done.json()
    assert told["confirmed"] is False
    assert "acknowledged" not in told
    taken = [r for r in types(desk) if r in (RecordType.COMMAND, RecordType.BUNDLE)]
    assert taken[-1] is (RecordType.BUNDLE if "policy" in name or "auth" in name
                         else RecordType.COMMAND)  # fmt: skip
    assert done.status == (6 if name == "authority submit" else 0)
    assert (desk.mode() == "halted") == (name in ("halt", "command submit"))
    with witness_at(desk.top / "w") as url:
        configure(desk.engine, url)
        done = desk.at("halt", "--reason", "with the witness", "--json")
        assert done.json()["acknowledged"]["verb"] == "halt"
        assert "not confirmed" not in done.err


def types(desk: Desk) -> list[RecordType]:
    return [record.type for record in read_log(desk.engine)]


def test_a_lease_is_confirmed_as_well(desk: Desk) -> None:
    assert desk.at(*loaded(desk)).status == 0
    done = desk.at("lease", "--json")
    assert "in force, but not confirmed" in done.err
    assert done.json()["confirmed"] is False
    assert restore(desk.engine).state().lease_until_ns


def test_no_acknowledgement_is_made_again_before_it_was_confirmed(desk: Desk) -> None:
    out = desk.file("ack.json")
    done = desk.at("resume", "--reason", "x", "--ack", out)
    assert done.status == 6
    assert "no witness has confirmed the command" in done.err
    record = next(n for n, kind in reversed(list(enumerate(types(desk)))) if kind == 4)
    done = desk.at("ack", str(record), "--out", out)
    assert done.status == 9
    assert f"record {record} is in force, but no witness has confirmed it" in done.err
    assert not Path(out).exists()
    with witness_at(desk.top / "w") as url:
        configure(desk.engine, url)
        Made(desk.engine, None, 0).open().close()  # type: ignore[arg-type]
    done = desk.at("ack", str(record), "--out", out)
    assert done.status == 0, done.err
    assert json.loads(Path(out).read_text())["record"] == record
    assert Installed(desk.engine).engine_id.hex() == json.loads(Path(out).read_text())["engine_id"]
