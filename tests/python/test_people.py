"""Commands that several people sign: drafted, shown, signed, combined, submitted.

Goal: two of three resume, one alone cannot, an agent cannot; who signs sees what it is first; what
is wrong is said with its remedy, and what reaches the engine and is refused is recorded. Method:
the command itself, with key files and a machine that has no engine.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from people_desk import PASSPHRASE, Desk, make_desk

from sentinel import _layout
from sentinel._cli import _command
from sentinel._drafts import Draft
from sentinel._frame import FrameKind
from sentinel._people import SigningKeys, person_id


@pytest.fixture
def desk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Desk:
    made = make_desk(tmp_path, capsys, monkeypatch, "--operators", "3", "--resume", "2")
    done = made.at("halt", "--reason", "fat finger", "--key", made.key("operator-1"))
    assert done.status == 0, done.err
    return made


def test_two_of_three_operators_resume(desk: Desk) -> None:
    path = desk.draft("resume", reason="limits corrected")
    assert desk.sign(path, "operator-1", "one.cmd").status == 0
    assert desk.sign(path, "operator-3", "three.cmd").status == 0
    alone = desk.at("command", "submit", desk.file("one.cmd"))
    assert alone.status == 2
    assert "1 of 2 operators signed it" in alone.err
    assert "let 1 more sign it" in alone.err
    assert desk.mode() == "halted"
    assert desk.refusals() == 1
    both = desk.file("both.cmd")
    copies = (desk.file("one.cmd"), desk.file("three.cmd"))
    combined = desk.away("command", "combine", *copies, "--out", both)
    assert combined.status == 0, combined.err
    assert "2 of 2 needed: complete" in combined.out
    done = desk.at("command", "submit", both)
    assert done.status == 0, done.err
    assert desk.mode() == "running"
    again = desk.at("command", "submit", both)
    assert again.status == 2
    assert "it was taken before" in again.err
    assert desk.refusals() == 2
    assert desk.at("status", "--json").json()["stops"] == []
    assert desk.at("audit", "replay").status == 0


def test_the_agents_key_resumes_nothing(desk: Desk) -> None:
    key = desk.file("bot.key")
    assert (
        desk.run(*("authority", "keygen", "bot", "--out", key, "--environment", "test")).status == 0
    )
    auth = desk.file("a.auth")
    pub = f"{desk.file('bot.pub')}:firm/agent"
    assert desk.at("authority", "draft", "--agent", pub, "--out", auth).status == 0
    assert desk.at("authority", "sign", auth, "--yes").status == 0
    assert desk.at("authority", "submit", auth).status == 0
    path = desk.draft("resume")
    refused = desk.sign(path, key)
    assert refused.status == 7
    assert "bot may not sign this: it is no operator, but agent" in refused.err
    assert "let an operator sign it" in refused.err
    engine_keys = desk.away(
        "command", "sign", path, "--key", str(desk.engine / "keys" / "engine"), "--yes"
    )
    assert engine_keys.status == 7
    assert "it holds no key of a person" in engine_keys.err
    # By force: the agent's own signature on the frame, under its own and an operator's id.
    keys = SigningKeys.open(Path(key), PASSPHRASE.encode())
    draft = Draft.read(Path(path), FrameKind.COMMAND)
    signature = keys.sign(next(iter(keys.ids)), FrameKind.COMMAND, draft.frame.hash)
    before = desk.refusals()
    for name in ("bot", "operator-1"):
        forged = Draft(draft.kind, draft.signed, ((person_id(name), signature),), draft.reason)
        forged.write(Path(desk.file("forged.cmd")))
        done = desk.at("command", "submit", desk.file("forged.cmd"))
        assert done.status == 2
        assert "does not count" in done.err
    assert desk.refusals() == before + 2
    assert desk.mode() == "halted"


def test_who_signs_sees_what_it_is(desk: Desk) -> None:
    path = desk.draft("resume", reason="limits corrected")
    told = desk.away("command", "show", path)
    for text in (
        "RESUME node firm (the whole firm)",
        "lifts the halt or drain of node firm",
        "limits corrected",
        "in 59 min",
        "0 of 2 needed; still needed: 2 of operator-1, operator-2, operator-3",
    ):
        assert text in told.out
    desk.sign(path, "operator-2")
    data = desk.away("command", "show", path, "--json").json()
    assert (data["verb"], data["scope"], data["reason"]) == ("resume", "node", "limits corrected")
    assert (data["needed"], data["of"], data["complete"]) == (2, 3, False)
    assert [(one["name"], one["counts"]) for one in data["signed"]] == [("operator-2", True)]
    blind = desk.run("command", "show", path, "--dir", desk.file("nowhere"))
    assert blind.status == 0
    assert "which no name is known for" in blind.out
    assert "not checked" in blind.out


@pytest.mark.parametrize(
    ("verb", "words", "text"),
    [
        ("halt", ("--venue", "bybit"), "nothing is signed any more for venue bybit"),
        ("drain", ("--until", "30min"), "only what lowers risk"),
        ("lease", ("--until", "8h"), "the engine may go on signing until"),
        ("approve", ("--record", "3"), "says yes to the pending order of record 3"),
        ("reject", ("--record", "3"), "says no to the pending order of record 3"),
    ],
)
def test_every_verb_has_words(desk: Desk, verb: str, words: tuple[str, ...], text: str) -> None:
    path = desk.draft(verb, "v.cmd", *words)
    assert text in desk.away("command", "show", path).out


def test_one_operator_halts_with_a_file(desk: Desk) -> None:
    path = desk.draft("halt", "h.cmd", "--venue", "bybit", reason="venue incident")
    assert "next: zcp command submit" in desk.sign(path, "operator-2").out
    assert desk.at("command", "submit", path).status == 0
    stops = desk.at("status", "--json").json()["stops"]
    told = [(stop["path"], stop["reason"], stop["signers"]) for stop in stops]
    assert ("bybit", "venue incident", ["operator-2"]) in told
    assert "operator: operator-2" in desk.at("status").out


def test_submitting_needs_no_passphrase(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.draft("resume")
    desk.sign(path, "operator-1")
    desk.sign(path, "operator-2")
    monkeypatch.delenv("ZCP_PASSPHRASE_FILE")
    (desk.engine / "keys" / "passphrase").unlink(missing_ok=True)
    waits = desk.at("command", "submit", path)
    assert waits.status == 6
    assert "in the spool" in waits.out
    assert desk.mode() == "halted"
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", desk.file("passphrase"))
    assert desk.at("sign", "--message", "x").status == 0  # the next writer takes it first
    assert desk.mode() == "running"


def test_asking_takes_yes_for_an_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    path = desk.draft("resume")
    words = ("command", "sign", path, "--key", desk.key("operator-1"))
    nobody = desk.away(*words)
    assert nobody.status == 2
    assert "nobody is there to confirm it" in nobody.err
    for answer, status in (("n\n", 130), ("\n", 130), ("", 130), ("y\n", 0)):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        done = desk.away(*words)
        assert done.status == status
        assert "RESUME node firm" in done.out
        assert "sign this as operator-1?" in done.err


def test_a_second_command_overtakes_the_first(desk: Desk) -> None:
    early = desk.draft("resume", "early.cmd")
    for name in ("operator-1", "operator-2"):
        desk.sign(early, name)
    late = desk.draft("halt", "late.cmd", reason="another")
    desk.sign(late, "operator-3")
    assert desk.at("command", "submit", late).status == 0
    refused = desk.at("command", "submit", early)
    assert refused.status == 2
    assert "a later command was taken since it was drafted" in refused.err
    assert desk.mode() == "halted"


def test_a_revoked_operators_half_signed_command(desk: Desk) -> None:
    path = desk.draft("resume")
    desk.sign(path, "operator-3", "three.cmd")
    desk.sign(desk.file("three.cmd"), "operator-1")
    auth = desk.file("a.auth")
    drafted = desk.at("authority", "draft", "--revoke", "operator-3", "--out", auth)
    assert drafted.status == 0, drafted.err
    assert "its signatures count no more, also on commands that are half signed" in drafted.out
    assert desk.at("authority", "sign", auth, "--yes").status == 0
    assert desk.at("authority", "submit", auth).status == 0
    refused = desk.at("command", "submit", desk.file("three.cmd"))
    assert refused.status == 2
    assert "was revoked" in refused.err
    assert desk.mode() == "halted"
    # The others' signatures are good: without the revoked one it can still be completed.
    signed = desk.sign(desk.file("three.cmd"), "operator-2")
    assert signed.status == 0
    assert "is left out" in signed.err
    assert desk.at("command", "submit", desk.file("three.cmd")).status == 0
    assert desk.mode() == "running"


# ---- What is wrong ------------------------------------------------------------------------------


def test_an_unknown_operator(desk: Desk) -> None:
    key = desk.file("eve.key")
    desk.run("authority", "keygen", "eve", "--out", key, "--environment", "test")
    done = desk.sign(desk.draft("resume"), key)
    assert done.status == 7
    assert "no key of this key file is known to the engine" in done.err
    assert "zcp authority draft --add" in done.err


def test_a_wrong_passphrase(desk: Desk) -> None:
    wrong = Path(desk.file("wrong"))
    wrong.write_text("battery staple\n")
    path = desk.draft("resume")
    words = ("command", "sign", path, "--key", desk.key("operator-1"), "--yes")
    done = desk.away(*words, "--passphrase-file", str(wrong))
    assert done.status == 7
    assert "operator-1.key" in done.err
    assert "--passphrase-file" in done.err


def test_signing_twice(desk: Desk) -> None:
    path = desk.draft("resume")
    assert desk.sign(path, "operator-1").status == 0
    done = desk.sign(path, "operator-1")
    assert done.status == 2
    assert "operator-1 has signed it already" in done.err


def test_a_command_for_another_engine(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert desk.run("init", "--environment", "test", "--dir", str(other)).status == 0
    path = desk.file("o.cmd")
    words = ("command", "draft", "resume", "--reason", "why", "--out", path)
    assert desk.run(*words, "--dir", str(other)).status == 0
    for verb in ("show", "sign"):
        more = ("--key", desk.key("operator-1"), "--yes") if verb == "sign" else ()
        done = desk.away("command", verb, path, *more)
        assert done.status == 2
        assert "is for engine" in done.err
    assert desk.run("command", "sign", path, "--yes", "--dir", str(other)).status == 0
    before = desk.refusals()
    done = desk.at("command", "submit", path)
    assert done.status == 2
    assert "it was drafted for another engine" in done.err
    assert desk.refusals() == before + 1


def test_an_expired_command(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _command.now_ns
    monkeypatch.setattr(_command, "now_ns", lambda: real() - 3600 * 10**9)
    path = desk.draft("resume", "old.cmd", "--valid", "1min")
    monkeypatch.undo()
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", desk.file("passphrase"))
    monkeypatch.setenv("ZCP_LIGHT_KEYS", "1")
    done = desk.sign(path, "operator-1")
    assert done.status == 2
    assert "has expired" in done.err
    assert "--valid" in done.err
    assert "EXPIRED" in desk.away("command", "show", path).out


def test_an_empty_reason(desk: Desk) -> None:
    for reason in ("", "  "):
        done = desk.at("command", "draft", "resume", "--reason", reason, "--out", desk.file("x"))
        assert done.status == 2
        assert "the reason is empty" in done.err
        assert not Path(desk.file("x")).exists()


def _edit(path: str, change: Any) -> None:
    data = json.loads(Path(path).read_text())
    change(data)
    Path(path).write_text(json.dumps(data))


def _flip(data: dict[str, Any], at: int) -> None:
    raw = bytearray(base64.b64decode(data["frame"]))
    raw[at] ^= 1
    data["frame"] = base64.b64encode(raw).decode()


def test_an_altered_reason(desk: Desk) -> None:
    path = desk.draft("resume", reason="limits corrected")
    _edit(path, lambda data: data.update(reason="limits are fine"))
    for words in (("show", path), ("sign", path, "--key", desk.key("operator-1"), "--yes")):
        done = desk.away("command", *words)
        assert done.status == 2
        assert "the text of the reason is not the one" in done.err


def test_a_command_that_was_altered_after_it_was_signed(desk: Desk) -> None:
    path = desk.draft("resume")
    desk.sign(path, "operator-1")
    target = _layout.FRAME_HEADER.size + _layout.COMMAND.offsets["target"]
    _edit(path, lambda data: _flip(data, target))
    done = desk.sign(path, "operator-2")
    assert done.status == 8
    assert "the signature of operator-1 does not fit" in done.err
    assert "do not sign it" in done.err
    assert "DOES NOT COUNT" in desk.away("command", "show", path).out


def test_a_file_that_was_cut(desk: Desk) -> None:
    path = desk.draft("resume")
    whole = Path(path).read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 3):
        Path(path).write_bytes(whole[:size])
        done = desk.away("command", "show", path)
        assert done.status == 2, size
        assert "this is no command" in done.err
        assert "cut short" in done.err
    Path(path).write_bytes(whole)
    _edit(path, lambda data: data.update(frame=data["frame"][: len(data["frame"]) // 8 * 4]))
    assert "cut short" in desk.away("command", "show", path).err


def test_files_of_another_kind(desk: Desk) -> None:
    path = desk.draft("resume")
    public = str(desk.public)
    assert "another kind of file: sentinel-public-v1" in desk.away("command", "show", public).err
    assert "this is no authority bundle" in desk.away("authority", "show", path).err
    wrong = desk.run("command", "show", path, "--public", path, "--dir", desk.file("away"))
    assert wrong.status == 2
    assert "this is no public material of an engine" in wrong.err
    missing = desk.away("command", "show", desk.file("nothing.cmd"))
    assert missing.status == 9
    assert "check the path" in missing.err


def test_copies_of_different_commands_do_not_combine(desk: Desk) -> None:
    one, two = desk.draft("resume", "1.cmd"), desk.draft("resume", "2.cmd")
    done = desk.away("command", "combine", one, two, "--out", desk.file("3.cmd"))
    assert done.status == 2
    assert "these are not copies of one command" in done.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("pause",), "there is no command 'pause'"),
        (("resume", "--scope", "nowhere"), "there is no node 'nowhere'"),
        (("resume", "--venue", "nowhere"), "there is no venue 'nowhere'"),
        (("resume", "--until", "1h"), "a resume has no end"),
        (("resume", "--record", "3"), "only approve and reject are about a record"),
        (("approve",), "which pending order?"),
        (("approve", "--record", "99999"), "there is no record 99999"),
        (("approve", "--record", "1", "--record-hash", "12"), "64 hex digits are needed"),
        (("approve", "--record", "1", "--venue", "bybit"), "is not about a node"),
        (("lease",), "a lease has an end"),
        (("resume", "--valid", "never"), "never"),
    ],
)
def test_drafts_that_make_no_sense(desk: Desk, words: tuple[str, ...], text: str) -> None:
    out = Path(desk.file("x.cmd"))
    done = desk.at("command", "draft", *words, "--reason", "why", "--out", str(out))
    assert done.status in (2, 8)
    assert text in done.err
    assert not out.exists()


def test_a_resume_with_one_key_file_says_what_it_takes(desk: Desk) -> None:
    done = desk.at("resume", "--reason", "why", "--key", desk.key("operator-1"))
    assert done.status == 2
    assert "it takes 2 operators to resume, and operator-1 is one" in done.err
    own = desk.at("halt", "--reason", "why")
    assert own.status == 7
    assert "holds no operator key" in own.err
    assert "--key FILE" in own.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--operators", "0"), "an engine needs one operator at least"),
        (("--operators", "9"), "8 at most"),
        (("--operators", "3", "--resume", "4"), "4 of 3 operators cannot be"),
        (("--operators", "3", "--resume", "0"), "0 of 3 operators cannot be"),
        (("--roots", "2", "--root-threshold", "3"), "3 of 2 roots cannot be"),
        (("--approvers", "9"), "8 at most"),
    ],
)
def test_quorums_that_cannot_be(desk: Desk, words: tuple[str, ...], text: str) -> None:
    place = Path(desk.file("another"))
    done = desk.run("init", "--environment", "test", *words, "--dir", str(place))
    assert done.status == 2
    assert text in done.err
    assert not place.exists()


def test_the_page_by_hand(tmp_path: Path) -> None:
    """docs/commands.md, "Two of three, by hand": every line of it, in a shell."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text()
    block = page.partition("<!-- run -->")[2].partition("<!-- end -->")[0]
    script = block.strip().removeprefix("```sh").removesuffix("```")
    (tmp_path / "secret").write_text(PASSPHRASE)
    shell = 'set -eu; zcp() { "$PYTHON" -m sentinel "$@"; }\n'
    done = subprocess.run(
        ["bash", "-c", shell + script],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "ZCP_PASSPHRASE_FILE": str(tmp_path / "secret"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for text in ("one alone cannot", "recorded: 1 of 2", "no person's key", "taken before"):
        assert text in done.stdout
    assert "taken: resume" in done.stdout
    assert "HALTED" not in done.stdout.rpartition("taken before")[2]
