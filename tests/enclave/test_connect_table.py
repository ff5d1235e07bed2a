"""Every command of zcp through --connect: it works, or it says why not.

Goal: no command ignores --connect. Method: a table with one call of each command that works,
against the real daemon; every other command must be in the list of those that cannot, and say so,
whatever its other words are. docs/service.md, "Connect".
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_desk import KEY_FILE_PASSPHRASE, LIMIT_ORDER, Desk, make_desk
from typer.main import get_command

from sentinel._cli import app, main
from sentinel._cli._offline import OFFLINE, WORKS_ANYWAY, commands, why_offline
from sentinel.config import Installed
from sentinel.receipt import verify_receipt

ROWS = {"maker": 100, "taker": 101, "operator": 3, "feeder": 4, "policy": 2, "root": 0}
PEOPLE_DECIDE = "oversight: {approve: [message], approvers: 1, within: 1h}\n"


class Far:
    """An engine behind a daemon, and the command."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.action = 0

    def __call__(self, who: str, *words: str, status: int = 0) -> Any:
        key = str(self.desk.top / f"{who}.key")
        far = ["--connect", f"unix://{self.desk.socket}", "--pin", str(self.desk.pin)]
        done = main([*words, *far, "--session-key", key, "--key-id", str(ROWS[who]), "--json"])
        out = self.read()
        assert done == status, out
        return json.loads(out) if out else None

    read: Callable[[], str]

    def file(self, name: str, text: str = "") -> str:
        path = self.desk.top / name
        if text:
            path.write_text(text)
        return str(path)

    def order(self) -> str:
        return self.file("order.json", json.dumps(LIMIT_ORDER))

    def placed(self) -> Any:
        """A signed order."""
        return self("maker", "sign", self.order(), "--agent", "firm/maker")

    def waits(self) -> Any:
        """An order that waits for people."""
        words = ("sign", "--message", "a test", "--agent", "firm/maker")
        return self("maker", *words, status=13)["error"]

    def draft(self, verb: str = "halt") -> str:
        path = self.file(f"{verb}.cmd")
        words = ("command", "draft", verb, "--scope", "firm/taker", "--reason", "a test")
        self("operator", *words, "--out", path)
        return path

    def signed(self) -> str:
        self("operator", "command", "sign", self.draft(), "--yes")
        return self.file("halt.cmd")

    def authority_draft(self, name: str) -> str:
        path = self.file("authority.draft")
        public = self.file(f"{name}.pub")
        if not Path(public).exists():
            words = [name, "--environment", "test", "--out", self.file(f"{name}.key")]
            done = main(["authority", "keygen", *words])
            said = self.read()
            assert done == 0, said
        self("root", "authority", "draft", "--add", f"{public}:operator", "--out", path)
        return path

    def bundle(self) -> str:
        path = self.desk.top / "policy.bundle"
        path.write_bytes(self.desk.policy())
        return str(path)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(tmp_path_factory.mktemp("desk"), policy_more=PEOPLE_DECIDE)
    made.key_files(*ROWS)
    made.start()
    yield made
    made.stop(signal.SIGKILL)


@pytest.fixture
def far(desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Far:
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(desk.top / "passphrase"))
    monkeypatch.delenv("ZCP_DIR", raising=False)
    capsys.readouterr()
    made = Far(desk)
    made.read = lambda: capsys.readouterr().out
    return made


# ---- What works --------------------------------------------------------------------------------


def sign(far: Far) -> None:
    assert len(far.placed()["request"]["headers"]) > 0


def status(far: Far) -> None:
    before = far("operator", "status")
    signed = far.placed()
    after = far("operator", "status")
    assert after["records"] == before["records"] + 1
    assert after["agents"]["firm/maker"] == signed["action_id"]
    count = after["open_orders"]["count"]
    assert count == before["open_orders"]["count"] + 1
    assert {node["path"] for node in after["nodes"]} == {"firm", "firm/maker", "firm/taker"}
    far("operator", "halt", "--scope", "firm/taker", "--reason", "a test")
    halted = far("operator", "status")["stops"]
    assert [(stop["path"], stop["signed_by"]) for stop in halted] == [("firm/taker", [3])]
    far("operator", "resume", "--scope", "firm/taker", "--reason", "a test")
    assert far("maker", "status", "--agent", "firm/maker")["next_action"] > signed["action_id"]


def halt(far: Far) -> None:
    on = ("--scope", "firm/taker", "--reason", "a test")
    assert far("operator", "halt", *on)["acknowledged"]["verb"] == "halt"
    assert far("operator", "resume", *on)["applied"]


def drain(far: Far) -> None:
    on = ("--scope", "firm/taker", "--reason", "a test")
    assert far("operator", "drain", *on)["applied"]
    assert far("operator", "resume", *on)["applied"]


def kill_switch(far: Far) -> None:
    on = ("--scope", "firm/taker", "--reason", "a test")
    assert far("operator", "kill-switch", "activate", *on)["applied"]
    assert far("operator", "kill-switch", "deactivate", *on)["applied"]


def lease(far: Far) -> None:
    said = far("operator", "lease", status=2)
    assert "no lease" in said["error"]["message"]


def heartbeat(far: Far) -> None:
    words = ("firm/maker", "--key", far.file("maker.key"), "--iterations", "17")
    assert far("maker", "heartbeat", *words)["applied"]


def mark(far: Far) -> None:
    assert far("feeder", "mark", "set", "BTCUSDT", "65000.10")["applied"]


def report(far: Far) -> None:
    action = far.placed()["action_id"]
    row = {"agent": "maker", "action_id": action, "status": "filled", "filled": "0.01"}
    path = far.file("filled.json", json.dumps(row))
    said = far("feeder", "report", path, status=2)
    assert "sequence" in said["error"]["message"]
    assert far("feeder", "report", path, "--sequence", "1")["reports"] == 1
    assert far("operator", "status")["feeders"] == [{"key": 4, "sequence": 1}]


def position(far: Far) -> None:
    assert far("feeder", "position", "BTCUSDT", "1.5")["applied"]
    assert far("operator", "status")["positions"][0]["instrument"] == "BTCUSDT"


def policy(far: Far) -> None:
    assert far("policy", "policy", "load", far.bundle())["applied"]
    history = far("operator", "policy", "history")["versions"]
    assert len(history) >= 2
    assert far("operator", "policy", "status")["version"] == history[-1]["version"]
    assert far("operator", "policy", "explain", "firm/maker")["agents"]


def policy_by_several(far: Far) -> None:
    path = far.bundle()
    said = far("policy", "policy", "sign", path, "--yes", status=2)
    assert "signed it already" in said["error"]["message"]
    far("policy", "policy", "combine", path, path, "--out", far.file("both.bundle"))
    assert far("policy", "policy", "load", far.file("both.bundle"))["applied"]


def keys(far: Far) -> None:
    names = {key["name"]: key for key in far("operator", "key", "list")["keys"]}
    assert names["spot"]["venue"] == "binance_spot"
    assert "message" in names


def order(far: Far) -> None:
    assert far("operator", "order", "show", far.order(), "--agent", "maker")["bytes"]


def ack(far: Far) -> None:
    on = ("--scope", "firm/taker", "--reason", "a test")
    first = far("operator", "halt", *on)["record"]
    assert far("operator", "ack", str(first))["record"] == first
    last = far("operator", "resume", *on)["record"]
    out = far.file("ack.json")
    assert far("operator", "ack", str(last), "--out", out)["record"] == last
    assert Path(out).exists()
    assert "not the last" in far("operator", "ack", str(first), status=2)["error"]["message"]


def command(far: Far) -> None:
    path = far.signed()
    assert far("operator", "command", "show", path)["verb"] == "halt"
    far("operator", "command", "combine", path, path, "--out", far.file("both.cmd"))
    assert far("operator", "command", "submit", far.file("both.cmd"))["applied"]
    far("operator", "resume", "--scope", "firm/taker", "--reason", "a test")


def approvals(far: Far) -> None:
    first, second = far.waits()["record"], far.waits()["record"]
    assert [row["record"] for row in far("operator", "approvals", "list")["requests"]] == [
        first,
        second,
    ]
    assert far("operator", "approvals", "show", str(first))["state"] == "open"
    words = ("--reason", "a test", "--yes")
    approved = far("operator", "approvals", "approve", str(first), *words)
    assert (approved["state"], approved["approvals"]) == ("approved", 1)
    assert far("operator", "approvals", "reject", str(second), *words)["state"] == "rejected"
    answers = far("operator", "approvals", "show", str(second))["answers"]
    assert [answer["verb"] for answer in answers] == ["reject"]
    waiting = far.waits()
    mine = ("--agent", "firm/maker", "--action-id", str(waiting["action_id"]))
    far("maker", "approvals", "withdraw", str(waiting["record"]), *mine)
    assert "whose" in far("maker", "approvals", "withdraw", "5", status=2)["error"]["message"]


def approvals_watch(far: Far) -> None:
    record = far.waits()["record"]
    key = far.file("operator.key")
    done = main(
        [
            *("approvals", "watch", "--once", "--connect", f"unix://{far.desk.socket}"),
            *("--pin", str(far.desk.pin), "--session-key", key, "--key-id", "3", "--json"),
        ]
    )
    assert done == 0
    rows = [json.loads(line) for line in far.read().splitlines()]
    assert record in [row["record"] for row in rows if row["event"] == "request"]
    far("operator", "approvals", "reject", str(record), "--reason", "a test", "--yes")


def authority(far: Far) -> None:
    held = far("operator", "authority", "show")
    assert held["sequence"] == 1
    public, draft = far.file("desk.public"), far.file("authority.draft")
    exported = far("operator", "authority", "export", "--out", public)
    assert exported["engine_id"] == far.desk.created.engine_id.hex()
    assert draft == far.authority_draft("alice")
    far("root", "authority", "sign", draft, "--yes")
    far("root", "authority", "combine", draft, draft, "--out", far.file("both.draft"))
    assert far("root", "authority", "submit", far.file("both.draft"))["applied"]
    assert far("operator", "authority", "show")["sequence"] > 1


def audit(far: Far) -> None:
    record = far.placed()["record"]
    verified = far("operator", "audit", "verify")
    assert verified["ok"]
    assert verified["engine_id"] == far.desk.created.engine_id.hex()
    assert far("operator", "audit", "replay")["ok"]
    assert far("operator", "audit", "show", str(record))["record"] == record
    assert far("operator", "audit", "trace", str(record))
    out = far.file("receipt.json")
    far("operator", "audit", "receipt", str(record), "--out", out)
    expected = Installed(far.desk.directory).expectation
    assert verify_receipt(Path(out).read_text(), expected).record.number == record
    said = far("operator", "audit", "replay", "--render", status=2)
    assert "do not leave" in said["error"]["message"]


def keep(far: Far) -> None:
    store = far.file("store")
    assert far("operator", "enclave", "keep", "--store", store)["files"] >= 4


def bench(far: Far) -> None:
    """Of one suite, which test_bench_service.py runs."""
    said = far("maker", "bench", "venues", "--agent", "firm/maker", status=2)
    assert "the suite service" in said["error"]["message"]


WORKS: dict[str, Callable[[Far], None]] = {
    "lease": lease,
    "sign": sign,
    "halt": halt,
    "drain": drain,
    "resume": halt,
    "heartbeat": heartbeat,
    "ack": ack,
    "status": status,
    "report": report,
    "position": position,
    "policy status": policy,
    "policy sign": policy_by_several,
    "policy combine": policy_by_several,
    "policy explain": policy,
    "policy load": policy,
    "policy history": policy,
    "key list": keys,
    "order show": order,
    "kill-switch activate": kill_switch,
    "kill-switch deactivate": kill_switch,
    "command draft": command,
    "command show": command,
    "command sign": command,
    "command combine": command,
    "command submit": command,
    "approvals list": approvals,
    "approvals show": approvals,
    "approvals approve": approvals,
    "approvals reject": approvals,
    "approvals withdraw": approvals,
    "approvals watch": approvals_watch,
    "authority export": authority,
    "authority show": authority,
    "authority draft": authority,
    "authority sign": authority,
    "authority combine": authority,
    "authority submit": authority,
    "mark set": mark,
    "audit verify": audit,
    "audit replay": audit,
    "audit show": audit,
    "audit trace": audit,
    "audit receipt": audit,
    "enclave keep": keep,
    "bench": bench,
}


@pytest.mark.parametrize("call", dict.fromkeys(WORKS.values()), ids=lambda call: call.__name__)
def test_it_works(far: Far, call: Callable[[Far], None]) -> None:
    call(far)


# ---- What cannot -------------------------------------------------------------------------------

EVERY = dict(commands(get_command(app)))


def test_each_command_is_in_one_of_the_two_lists() -> None:
    for words in EVERY:
        assert (words in WORKS) != bool(why_offline(words)), words
    assert not set(WORKS) - set(EVERY)
    families = {words.partition(" ")[0] for words in EVERY}
    assert not set(OFFLINE) - set(EVERY) - families
    assert set(WORKS_ANYWAY) <= set(WORKS)


@pytest.mark.parametrize("words", [words for words in EVERY if why_offline(words)])
def test_it_says_why_it_cannot(far: Far, words: str) -> None:
    said = far("operator", *words.split(), "--none-such", "more", status=2)["error"]
    assert said["message"] == (f"zcp {words} does not work through --connect: {why_offline(words)}")
    assert "docs/service.md" in said["next_step"]


# ---- A log that changes ------------------------------------------------------------------------


def test_what_was_copied_is_not_copied_again(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the segment that is written to, and the head."""
    from sentinel._cli._mirror import Mirror
    from sentinel.client import Client

    copied: list[str] = []
    real = Client.file

    def file(client: Client, name: str) -> bytes:
        copied.append(name)
        return real(client, name)

    monkeypatch.setattr(Client, "file", file)
    made = Mirror()
    words: Any = {
        "role": "command",
        "key_id": 3,
        "pin": far.desk.pin,
        "passphrase": KEY_FILE_PASSPHRASE,
    }
    where = f"unix://{far.desk.socket}"
    with Client.connect(where, key=far.desk.top / "operator.key", **words) as client:
        made.fill(client)
        first, copied[:] = list(copied), []
        made.fill(client)
    made.close()
    assert len(first) > 3
    assert copied[0] == "log/head"
    assert [Path(name).suffix for name in copied[1:]] == [".log"]


def test_a_command_that_the_engine_refuses_says_why(far: Far) -> None:
    said = far("operator", "authority", "submit", far.authority_draft("bob"), status=2)["error"]
    assert "the engine refused" in said["message"]
    assert "signed" in said["cause"]


def test_an_authority_bundle_is_handed_in_without_a_copy_of_the_log(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentinel.client import Client

    draft = far.authority_draft("carol")
    far("root", "authority", "sign", draft, "--yes")

    def files(client: Client) -> None:
        raise AssertionError("a copy was asked for")

    monkeypatch.setattr(Client, "files", files)
    assert far("root", "authority", "submit", draft)["applied"]
