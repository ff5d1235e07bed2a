"""A firm whose engine runs in sentineld, with keys whose secrets the tests know."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from raw_client import Answer, Ask, Hello, Role, Session, build, pin_of, public_of, seed_of

from sentinel import _core, _layout
from sentinel._enums import Algorithm, Command, Environment, Power, Purpose, Venue
from sentinel._frame import FrameKind
from sentinel._layout import AuthorityKey, FrameTerms
from sentinel.config import AuthorityRing, Created, KeyFile, create_engine, public_keys
from sentinel.config import terms as first_terms
from sentinel.order import from_json
from sentinel.policy import compile_policy, stable_id

PASSPHRASE: Final = b"correct horse"
KEY_FILE_PASSPHRASE: Final = b"of the key files"
SECOND: Final = 10**9
HOUR: Final = 3600 * SECOND
ROOT, POLICY_KEY, OPERATOR, FEEDER, KEEPER = range(1, 6)
PEOPLE: Final = {
    "root": 0,
    "policy": POLICY_KEY,
    "operator": OPERATOR,
    "feeder": FEEDER,
    "keeper": KEEPER,
}
AGENT_KEYS: Final = 100
HMAC_SECRET: Final = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
API_KEY: Final = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
AGENTS: Final = ("maker", "taker")
LIMIT_ORDER: Final = {
    "action": "place",
    "instrument": "BTCUSDT",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "quantity": "0.01",
    "price": "65000.10",
}

POLICY: Final = """\
version: 1
firm:
  name: firm
  allow: {{actions: [place, cancel, query, message]}}
  max_value: 10k USD
  agents: {{{agents}}}
assets:
  USDT: {{par: 1 USD}}
  BTC: {{}}
instruments:
  BTCUSDT: {{venue: binance_spot, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}}
keys:
  message: {{purpose: message, algorithm: ed25519, for: firm}}
  spot: {{venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}}
attempts: {{limit: 10000/s}}
clock: {{tolerance: 10s}}
"""
"""Tests that wait may meet a machine whose clock is set; what that does is not their question."""


def policy_text(agents: Sequence[str], more: str = "") -> str:
    return POLICY.format(agents=", ".join(f"{name}: {{}}" for name in agents)) + more


def node_of(name: str) -> int:
    """The id of an agent, or of the firm."""
    return stable_id("node", name if name == "firm" else f"firm/{name}")


class KnownRing(AuthorityRing):
    """Authority keys out of their names, and a key of its own for each agent."""

    def __init__(
        self,
        agents: Sequence[str],
        *,
        peers: Mapping[str, int] | None = None,
        expires: Mapping[str, int] | None = None,
    ) -> None:
        ring = _core.Keyring()
        for key, name in ((ROOT, "root"), (POLICY_KEY, "policy"), (OPERATOR, "operator")):
            ring.import_(key, Purpose.AUTHORITY, Algorithm.ED25519, seed_of(name))
        for key, name in ((FEEDER, "feeder"), (KEEPER, "keeper")):
            ring.import_(key, Purpose.AUTHORITY, Algorithm.ED25519, seed_of(name))
        super().__init__(ring)
        self.agents, self.peers, self.expires = agents, peers or {}, expires or {}

    def bundle(self, terms: FrameTerms) -> bytes:
        feeds = (Power.FEED_MARK, Power.FEED_EXECUTION, Power.FEED_POSITION)
        powers = {POLICY_KEY: (Power.POLICY,), OPERATOR: (Power.OPERATOR,), FEEDER: feeds}
        powers[KEEPER] = (Power.KEEPER,)
        powers[OPERATOR] = (Power.OPERATOR, Power.APPROVER)
        names = {key: name for name, key in PEOPLE.items() if key}
        end = terms.issued_ns + 1000 * HOUR
        keys = [
            AuthorityKey(
                id=key,
                powers=frozenset(held),
                public_key=public_of(names[key]),
                expires_ns=self.expires.get(names[key], end),
            )
            for key, held in powers.items()
        ]
        keys += [
            AuthorityKey(
                id=AGENT_KEYS + i,
                powers=frozenset({Power.AGENT}),
                public_key=public_of(name),
                expires_ns=self.expires.get(name, end),
                node=node_of(name),
                peer_uid=self.peers.get(name),
            )
            for i, name in enumerate(self.agents)
        ]
        every = {power for key in keys for power in key.powers}
        part = _layout.authority_bundle(keys, dict.fromkeys(every, 1), terms)
        return self.sign(FrameKind.AUTHORITY, part)


@dataclass
class Desk:
    """An engine's directory and the daemon that serves it."""

    top: Path
    created: Created
    ring: KnownRing
    agents: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()
    program: str = "sentineld"
    program_file: Path | None = None
    sequence: dict[str, int] = field(default_factory=dict)
    policy_more: str = ""

    @property
    def directory(self) -> Path:
        return self.created.directory

    @property
    def socket(self) -> Path:
        return self.top / "s"

    @property
    def pin(self) -> Path:
        return self.top / "daemon.pin"

    @property
    def log(self) -> Path:
        return self.top / "daemon.log"

    # ---- the daemon -------------------------------------------------------------------------

    def start(self, *options: str) -> None:
        """Starts the daemon; returns when it is ready."""
        self.pin.unlink(missing_ok=True)
        self.options = options or self.options
        program = self.program_file or build(self.program)
        command = [*self.wrapper, str(program), "--dir", str(self.directory)]
        command += ["--unix", str(self.socket), "--pin", str(self.pin), "--passphrase-fd", "0"]
        if "--durability" not in self.options:
            command += ["--durability", "write"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *self.options], stdin=subprocess.PIPE, stderr=log
            )
        assert self.process.stdin is not None
        self.process.stdin.write(PASSPHRASE)
        self.process.stdin.close()
        until = time.monotonic() + 20
        while b"ready" not in self.log.read_bytes():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, "the daemon is not ready"
            time.sleep(0.005)

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Ends the daemon; its exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        status = self.process.wait(20)
        self.process = None
        return status

    def verify(self) -> None:
        """Every record of the log, by the command; the daemon does not run."""
        command = [sys.executable, "-m", "sentinel", "audit", "verify", "--dir"]
        done = subprocess.run(
            [*command, str(self.directory)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    # ---- sessions ----------------------------------------------------------------------------

    def node(self, name: str) -> int:
        return node_of(name)

    def hello(self, name: str, **words: Any) -> Hello:
        if name in self.agents:
            key = AGENT_KEYS + list(self.agents).index(name)
            return Hello(**{"agent": self.node(name), "key": key} | words)
        role = {"feeder": Role.FEEDER, "keeper": Role.KEEPER}.get(name, Role.COMMAND)
        return Hello(**{"role": role, "key": PEOPLE[name]} | words)

    def session(self, name: str, **words: Any) -> Session:
        return Session.open(self.socket, self.hello(name, **words), seed_of(name))

    def key_files(self, *names: str) -> None:
        """NAME.key of each, as a person keeps it, and what opens them all in `passphrase`."""
        (self.top / "passphrase").write_bytes(KEY_FILE_PASSPHRASE)
        for name in names:
            ring = _core.Keyring()
            ring.import_(1, Purpose.AUTHORITY, Algorithm.ED25519, seed_of(name))
            sealed = ring.seal(KEY_FILE_PASSPHRASE, opslimit=1, memlimit=8192)
            (self.top / f"{name}.key").write_bytes(sealed)

    # ---- frames ------------------------------------------------------------------------------

    def terms(self, kind: str) -> FrameTerms:
        now = time.time_ns()
        self.sequence[kind] = max(self.sequence.get(kind, 0) + 1, now)
        return FrameTerms(
            engine_id=self.created.engine_id,
            environment=Environment.TEST,
            sequence=self.sequence[kind],
            issued_ns=now,
            expires_ns=now + HOUR,
        )

    def command(self, verb: Command, target: str = "firm", reason: str = "a test") -> bytes:
        node = self.node(target)
        part = _layout.command(verb, node, reason, self.terms("command"))
        return self.ring.sign(FrameKind.COMMAND, part)

    def marks(self, price: str = "65000") -> bytes:
        from sentinel._enums import MarkKind
        from sentinel._layout import FedMark
        from sentinel._order import decimal_of

        terms = self.terms("marks")
        mark = FedMark(
            kind=MarkKind.INSTRUMENT,
            id=stable_id("instrument", "BTCUSDT"),
            price=decimal_of(price),
            time_ns=terms.issued_ns,
        )
        return self.ring.sign(FrameKind.FEED, _layout.mark_feed([mark], terms))

    def policy(self, agents: Sequence[str] | None = None) -> bytes:
        part = compile_policy(
            policy_text(agents or self.agents, self.policy_more),
            self.terms("policy"),
            keyring=[key.info for key in public_keys(self.directory)],
        )
        return self.ring.sign(FrameKind.POLICY, part)

    def authority(self, ring: KnownRing) -> bytes:
        return ring.bundle(self.terms("authority"))

    def order(self, name: str, action_id: int, text: str = "hello") -> bytes:
        """A message to sign, as the struct that travels."""
        return from_json({"action": "message", "text": text}).pack(
            agent=self.node(name), action_id=action_id
        )

    def place(self, name: str, action_id: int, **fields: str) -> bytes:
        """A limit order."""
        made = from_json(LIMIT_ORDER | fields, resolve=stable_id)
        return made.pack(agent=self.node(name), action_id=action_id)


def make_desk(
    top: Path,
    agents: Sequence[str] = AGENTS,
    *,
    in_policy: Sequence[str] | None = None,
    policy_more: str = "",
    **words: Any,
) -> Desk:
    """A new engine with these agents, each with a key; no daemon runs yet.

    `policy_more`: further lines of its policy.
    """
    os.environ["ZCP_LIGHT_KEYS"] = "1"  # Argon2id at its least, as engines of tests may
    ring = KnownRing(agents, **words)
    now = time.time_ns()
    created = create_engine(
        top / "engine",
        PASSPHRASE,
        now_ns=now,
        environment=Environment.TEST,
        segment_bytes=1 << 20,
        authority=ring,
    )
    keys = KeyFile(created.directory / "keys" / "engine", PASSPHRASE)
    names = {key.info.id: key.name for key in public_keys(created.directory)}
    info = keys.ring.import_(
        stable_id("key", "spot"),
        Purpose.VENUE,
        Algorithm.HMAC_SHA256,
        HMAC_SECRET,
        venue=Venue.BINANCE_SPOT,
        api_key=API_KEY,
    )
    keys.save(names | {info.id: "spot"})
    part = compile_policy(
        policy_text(in_policy or agents, policy_more),
        first_terms(created.engine_id, Environment.TEST, 2, now + 1),
        keyring=keys.ring.list(),
    )
    engine = _core.Engine.open(created.directory, PASSPHRASE, now + 2)
    engine.take(ring.sign(FrameKind.POLICY, part), now + 2)
    engine.close(now + 3)
    return Desk(top, created, ring, tuple(agents), policy_more=policy_more)


__all__ = [
    "AGENTS",
    "PASSPHRASE",
    "Answer",
    "Ask",
    "Desk",
    "KnownRing",
    "make_desk",
    "pin_of",
    "policy_text",
]
