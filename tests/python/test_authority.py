"""Who may order what: authority bundles shown, drafted, signed by the root, submitted.

Goal: a change is told in words against the bundle in force, with what it leaves; nonsense is
refused before anybody signs; what the root signed is in force at the next command. Method: the
command itself, with key files and a machine that has no engine.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from engines import POLICY
from people_desk import PASSPHRASE, Desk, make_desk

from sentinel._authority_edit import Change, Holder, refuse_nonsense, warnings_of
from sentinel._enums import Power
from sentinel._people import Public, name_of_key, person_id
from sentinel._stops import authority_of, stops_of
from sentinel.audit import restore
from sentinel.config import Installed


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    words = ("--operators", "3", "--resume", "2", "--roots", "3", "--root-threshold", "2")
    return make_desk(tmp_path, capsys, monkeypatch, *words, "--approvers", "2")


def _person(desk: Desk, name: str, key: str = "") -> str:
    """Makes a key; the path of its public half."""
    file = desk.file(f"{key or name}.key")
    done = desk.run("authority", "keygen", name, "--out", file, "--environment", "test")
    assert done.status == 0, done.err
    return desk.file(f"{key or name}.pub")


def _draft(desk: Desk, *words: str, name: str = "a.auth") -> str:
    path = desk.file(name)
    done = desk.at("authority", "draft", *words, "--out", path)
    assert done.status == 0, done.err
    return path


def _change(desk: Desk, *words: str) -> None:
    """Drafted, signed by two of three roots, submitted."""
    path = _draft(desk, *words)
    for root in ("root-1", "root-3"):
        done = desk.sign(path, root, family="authority")
        assert done.status == 0, done.err
    done = desk.at("authority", "submit", path)
    assert done.status == 0, done.err


def test_show_says_who_holds_what(desk: Desk) -> None:
    told = desk.at("authority", "show").out
    for text in (
        "root: 2 of 3",
        "operator: 2 of 3",
        "as many as the policy asks for of 2",
        "operator-1",
        "feed_mark",
    ):
        assert text in told
    data = desk.away("authority", "show", "--json").json()
    assert data["powers"]["operator"] == {"k": 2, "n": 3}
    assert data["root"]["k"] == 2
    assert {row["name"] for row in data["keys"]} >= {"operator-1", "approver-2", "engine-policy"}
    assert data["warnings"] == []


def test_two_of_three_roots_change_it_and_one_cannot(desk: Desk) -> None:
    dave = _person(desk, "dave")
    path = _draft(desk, "--add", f"{dave}:operator,approver", "--threshold", "operator=3")
    told = desk.away("authority", "show", path).out
    assert "adds dave" in told
    assert "operator: 2 of 3 becomes 3 of 4" in told
    assert "approver: 2 in all becomes 3 in all" in told
    assert desk.sign(path, "root-2", "one.auth", family="authority").status == 0
    alone = desk.at("authority", "submit", desk.file("one.auth"))
    assert alone.status == 2
    assert "1 of 2 root keys signed it" in alone.err
    assert desk.sign(path, "root-3", "three.auth", family="authority").status == 0
    copies = (desk.file("one.auth"), desk.file("three.auth"))
    both = desk.file("both.auth")
    assert desk.away("authority", "combine", *copies, "--out", both).status == 0
    done = desk.at("authority", "submit", both)
    assert done.status == 0, done.err
    assert "authority bundle 2 is in force" in done.out
    data = desk.at("authority", "show", "--json").json()
    assert data["powers"]["operator"] == {"k": 3, "n": 4}
    assert "dave" in [row["name"] for row in data["keys"]]
    again = desk.at("authority", "submit", both)
    assert "a later authority bundle was taken" in again.err
    assert desk.refusals() == 2
    assert desk.at("audit", "replay").status == 0


def test_an_operator_is_not_the_root(desk: Desk) -> None:
    path = _draft(desk, "--revoke", "operator-3")
    done = desk.sign(path, "operator-1", family="authority")
    assert done.status == 7
    assert "operators are not the root" in done.err
    command = desk.draft("resume")
    refused = desk.sign(command, "root-1")
    assert refused.status == 7
    assert "no key of this key file is known to the engine" in refused.err


def test_a_new_key_for_the_same_person(desk: Desk) -> None:
    assert desk.at("halt", "--reason", "x", "--key", desk.key("operator-1")).status == 0
    path = desk.draft("resume")
    desk.sign(path, "operator-1")
    desk.sign(path, "operator-2")
    new = _person(desk, "operator-1", "new")
    assert (
        "gives operator-1"
        in desk.away(
            "authority", "show", _draft(desk, "--rotate", f"operator-1={new}", name="b.auth")
        ).out
    )
    _change(desk, "--rotate", f"operator-1={new}")
    refused = desk.at("command", "submit", path)
    assert refused.status == 2
    assert "the key was replaced" in refused.err
    old = desk.sign(desk.draft("resume"), "operator-1")
    assert old.status == 7
    assert "was revoked or replaced" in old.err
    path = desk.draft("resume")
    assert desk.sign(path, desk.file("new.key")).status == 0
    assert desk.sign(path, "operator-3").status == 0
    assert desk.at("command", "submit", path).status == 0  # under a halt all the while
    assert desk.mode() == "running"


def test_an_agent_can_be_known_by_its_user(desk: Desk) -> None:
    _change(desk, "--agent", f"{_person(desk, 'bot')}:firm/agent")
    path = _draft(desk, "--peer", "bot=1001")
    told = desk.away("authority", "show", path).out
    assert "every process of user 1001 on the daemon's host is bot (key" in told
    _change(desk, "--peer", "bot=1001")
    assert "(user 1001)" in desk.at("authority", "show", "--json").out
    _change(desk, "--expires", "bot=90day")  # another change leaves it
    assert "(user 1001)" in desk.at("authority", "show", "--json").out
    assert (
        "no longer by user 1001"
        in desk.at("authority", "draft", "--peer", "bot=none", "--out", desk.file("n.auth")).out
    )
    _change(desk, "--peer", "bot=none")
    assert "(user 1001)" not in desk.at("authority", "show", "--json").out


def test_a_bundle_is_taken_under_a_halt_and_lifts_none(desk: Desk) -> None:
    assert desk.at("halt", "--reason", "x", "--key", desk.key("operator-1")).status == 0
    _change(desk, "--threshold", "operator=1")
    assert desk.mode() == "halted"
    done = desk.at("resume", "--reason", "y", "--key", desk.key("operator-2"))
    assert done.status == 0, done.err
    assert desk.mode() == "running"


def test_two_drafts_of_one_bundle_do_not_both_come_into_force(desk: Desk) -> None:
    one = _draft(desk, "--revoke", "operator-3", name="1.auth")
    _change(desk, "--threshold", "operator=1")
    for root in ("root-1", "root-2"):
        assert desk.sign(one, root, family="authority").status == 0
    done = desk.at("authority", "submit", one)
    assert done.status == 2
    assert "a later authority bundle was taken since it was drafted" in done.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--revoke", "operator-2"), "all 2 operator keys must sign to resume"),
        (("--threshold", "operator=1"), "any one of 3 operators alone can resume"),
        (("--expires", "operator-1=5day"), "the key of operator-1"),
        (
            ("--expires", "operator-1=5day", "--expires", "operator-2=5day"),
            "within 30 days this leaves 1 operator where 2 must sign",
        ),
        (("--powers", "engine-policy=policy,approver"), "loads policies and approves"),
    ],
)
def test_what_a_bundle_leaves_is_said(desk: Desk, words: tuple[str, ...], text: str) -> None:
    assert text in desk.away("authority", "show", _draft(desk, *words)).out


def test_who_locks_himself_out_is_told(desk: Desk) -> None:
    top = desk.top / "single"
    secret = ("--dir", str(top))
    assert desk.run("init", "--environment", "test", *secret).status == 0
    new = _person(desk, "policy-2")
    path = desk.file("lock.auth")
    words = ("--add", f"{new}:policy", "--revoke", "engine-policy")
    assert desk.run("authority", "draft", *words, "--out", path, *secret).status == 0
    done = desk.run("authority", "sign", path, "--yes", *secret)
    assert done.status == 0
    assert "you would lock yourself out: your own key" in done.out
    assert "loses policy" in done.out


def test_keys_that_count_no_more_are_counted() -> None:
    """What cannot be drafted with the command: a bundle whose keys have expired already."""
    holders = {
        id_: Holder(id_, frozenset({Power.OPERATOR}), bytes([id_]) * 32, 10 * id_)
        for id_ in (1, 2, 3)
    }
    change = Change(holders, {**dict.fromkeys(Power, 0), Power.OPERATOR: 2})
    assert "this leaves 1 operator where 2 must sign: nobody can resume" in warnings_of(change, 20)
    assert change.count(Power.OPERATOR, 19) == 2


def test_a_stop_says_when_too_few_keys_that_count_could_lift_it(desk: Desk) -> None:
    # Keys of an engine of before that end: two of three, so that one is left where two must sign.
    _change(desk, "--expires", "operator-1=40day", "--expires", "operator-2=50day")
    assert desk.at("halt", "--reason", "why", "--key", desk.key("operator-3")).status == 0
    installed, state = Installed(desk.engine), restore(desk.engine).state()
    keys = authority_of(installed, state)
    assert keys is not None
    first, second = (keys.keys[person_id(f"operator-{n}")][1] for n in (1, 2))
    for now, counted in (
        *((first - 1, 3), (first, 2), (second - 1, 2)),  # a key counts before its end
        *((second, 1), (second + 1, 1)),
    ):
        (stop,) = stops_of(installed, state, None, now)
        assert stop.operators == (2, counted)
        assert stop.to_json()["lift"]["enough"] is (counted >= 2)
        assert ("NOBODY CAN LIFT IT" in stop.text()) is (counted < 2)
    assert "2 operators must sign, and the keys of 1 still count" in stop.text()
    # The engine's time is never before its log's.
    (stop,) = stops_of(installed, replace(state, last_now_ns=second), None, first - 1)
    assert stop.operators == (2, 1)
    (installed.directory / "bundles" / state.authority_hash.hex()).unlink()
    (stop,) = stops_of(installed, state, None, first)
    assert "nobody knows how many operators" in stop.text()
    assert stop.to_json()["lift"]["enough"] is False


def test_more_than_one_witness_is_warned_of() -> None:
    holders = {
        id_: Holder(id_, frozenset({Power.WITNESS}), bytes([id_]) * 32, 10**18) for id_ in (1, 2)
    }
    for k, told in ((2, "zcp witness gives one signature"), (1, "any one of 2 witnesses alone")):
        change = Change(holders, {**dict.fromkeys(Power, 0), Power.WITNESS: k})
        assert any(told in text for text in warnings_of(change, 0))


def test_the_policy_says_how_many_approvers_it_takes(desk: Desk) -> None:
    public = Public.of_engine(Installed(desk.engine))
    change, policy = Change.of(public.authority), public.policy
    assert policy is not None
    for quorum, told in (
        (1, []),
        (2, ["all 2 approver keys must sign to approve: losing one locks that out"]),
        (3, ["this leaves 2 approver where 3 must sign: nobody can approve"]),
    ):
        assert warnings_of(change, 0, replace(policy, approval_quorum=quorum)) == told
    holders = {id_: one for id_, one in change.holders.items() if Power.APPROVER not in one.powers}
    none = Change(holders, {**change.thresholds, Power.APPROVER: 0})
    asked = warnings_of(none, 0, replace(policy, approval_quorum=1))
    assert asked == ["nobody can approve, and the policy asks for 1"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "this changes nothing"),
        (("--threshold", "operator=2"), "this changes nothing"),
        (("--threshold", "operator=4"), "4 of 3 for operator cannot be"),
        (("--threshold", "operator=0"), "0 of 3 for operator cannot be"),
        (("--threshold", "witness=1"), "1 of 0 for witness cannot be"),
        (("--threshold", "operator=two"), "a number is needed"),
        (("--threshold", "king=1"), "there is no power 'king'"),
        (("--revoke", "operator-2", "--revoke", "operator-3"), "2 of 1 for operator cannot be"),
        (("--revoke", "engine-policy"), "nobody would be left to load a policy"),
        (("--revoke", "eve"), "nobody in the authority bundle is called 'eve'"),
        (("--expires", "operator-1=2020-01-01T00:00:00Z"), "has passed"),
        (("--expires", "operator-1"), "NAME=VALUE is needed"),
        (("--add", "nothing.pub:operator"), "nothing.pub"),
        (("--add", "nothing"), "FILE.pub:WORDS is needed"),
        (("--powers", "operator-1=agent"), "an agent's key is of that agent alone"),
        (("--powers", "operator-1=keeper,operator"), "a keeper's key has no other power"),
        (("--peer", "operator-1=1000"), "operator-1 is no agent"),
        (("--peer", "operator-1=root"), "'root' is no user id"),
        (("--peer", "operator-1=4294967295"), "is no user id"),
    ],
)
def test_nonsense_is_not_drafted(desk: Desk, words: tuple[str, ...], text: str) -> None:
    out = Path(desk.file("x.auth"))
    done = desk.at("authority", "draft", *words, "--out", str(out))
    assert done.status in (2, 9)
    assert text in done.err
    assert not out.exists()


def test_keys_that_make_no_sense_are_not_drafted(desk: Desk) -> None:
    dave, copy = _person(desk, "dave"), desk.file("copy.pub")
    text = Path(dave).read_text()
    Path(copy).write_text(text.replace('"dave"', '"mallory"'))
    root = str(desk.engine / "keys" / "people" / "root-1.pub")
    for words, told in (
        (("--add", f"{dave}:operator", "--add", f"{copy}:operator"), "would be there twice"),
        (("--add", f"{root}:operator"), "is a root key"),
        (("--add", f"{dave}:operator", "--add", f"{dave}:approver"), "a key of dave already"),
        (("--agent", f"{dave}:firm"), "firm"),
        (("--rotate", f"eve={dave}"), "nobody in the authority bundle is called 'eve'"),
    ):
        done = desk.at("authority", "draft", *words, "--out", desk.file("x.auth"))
        assert done.status == 2
        assert told in done.err
    Path(copy).write_text(text.replace('"public_key": "', '"public_key": "zz'))
    done = desk.at("authority", "draft", "--add", f"{copy}:operator", "--out", desk.file("x"))
    assert "the public key is not 64 hex digits" in done.err


def test_a_bundle_without_operators_is_nonsense(desk: Desk) -> None:
    public = Public.of_engine(Installed(desk.engine))
    before = Change.of(public.authority)
    holders = {id_: one for id_, one in before.holders.items() if Power.OPERATOR not in one.powers}
    after = Change(holders, {**before.thresholds, Power.OPERATOR: 0})
    with pytest.raises(Exception, match="nobody would be left to resume"):
        refuse_nonsense(before, after, public.genesis, 0)


def test_names_that_do_not_give_the_id_are_not_believed(desk: Desk) -> None:
    """Who hands over a file could write any name into it; only the right one has this id."""
    public = Public.of_engine(Installed(desk.engine))
    key = next(id_ for id_ in public.authority.keys if public.name(id_) == "operator-1")
    assert name_of_key(key, ("operator-2", "the boss")) == f"key {key}"
    assert name_of_key(key, ("operator-1",)) == "operator-1"


def test_key_files(desk: Desk) -> None:
    key = desk.file("dave.key")
    _person(desk, "dave")
    words = ("authority", "keygen", "dave", "--out", key, "--environment", "test")
    assert "there is a file here already" in desk.run(*words).err
    bad = desk.run("authority", "keygen", "a b", "--out", desk.file("b"), "--environment", "test")
    assert "is no name" in bad.err
    half = desk.run("authority", "keygen", "x", "--out", desk.file("x.pub"))
    assert ".pub is its public half" in half.err
    new = Path(desk.file("new"))
    new.write_text("another horse\n")
    changed = desk.run("authority", "passphrase", key, "--new-passphrase-file", str(new))
    assert changed.status == 0, changed.err
    old = desk.run("authority", "passphrase", key, "--new-passphrase-file", str(new))
    assert old.status == 7
    back = desk.run(
        *("authority", "passphrase", key, "--passphrase-file", str(new)),
        *("--new-passphrase-file", desk.file("passphrase")),
    )
    assert back.status == 0
    assert Path(key).stat().st_mode & 0o777 == 0o600
    assert PASSPHRASE not in changed.out


def test_public_material_is_verified(desk: Desk, tmp_path: Path) -> None:
    public = desk.public
    data = json.loads(public.read_text())
    other = tmp_path / "other"
    assert desk.run("init", "--environment", "test", "--dir", str(other)).status == 0
    foreign = desk.file("foreign.public")
    desk.run("authority", "export", "--out", foreign, "--dir", str(other))
    theirs = json.loads(Path(foreign).read_text())
    path = desk.draft("resume")
    for name in ("genesis", "authority", "policy"):
        mixed = Path(desk.file("mixed.public"))
        mixed.write_text(json.dumps(data | {name: theirs[name]}))
        done = desk.run("command", "show", path, "--public", str(mixed), "--dir", desk.file("no"))
        assert done.status == 2
        assert "is of another engine" in done.err
    cut = Path(desk.file("cut.public"))
    cut.write_text(json.dumps(data | {"authority": data["authority"][:-96] + "A" * 96}))
    done = desk.run("command", "show", path, "--public", str(cut), "--dir", desk.file("no"))
    assert done.status in (2, 8)


def test_a_policy_takes_two_of_three(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(tmp_path, capsys, monkeypatch, "--policy-signers", "3")
    source = tmp_path / "policy.yaml"
    kept = [line for line in POLICY.splitlines() if not line.startswith("  spot:")]
    source.write_text("\n".join(kept) + "\n")
    own = desk.at("policy", "load", str(source))
    assert own.status == 7
    assert "zcp policy sign" in own.err
    bundle = desk.file("p.bundle")
    words = ("policy", "compile", str(source), "--out", bundle)
    assert desk.at(*words, "--unsigned", "--valid", "8h").status == 0
    for name, out in (("policy-signer-1", "1.bundle"), ("policy-signer-3", "3.bundle")):
        done = desk.sign(bundle, name, out, family="policy")
        assert done.status == 0, done.err
        assert "version 2; in force is 1" in done.out
        assert "firm/desk" in done.out
    alone = desk.at("policy", "load", desk.file("1.bundle"))
    assert alone.status == 2
    copies = (desk.file("1.bundle"), desk.file("3.bundle"))
    assert desk.away("policy", "combine", *copies, "--out", bundle).status == 0
    done = desk.at("policy", "load", bundle)
    assert done.status == 0, done.err
    assert "policy version 2 is in force" in done.out
