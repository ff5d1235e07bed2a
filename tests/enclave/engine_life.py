"""The whole life of an engine in an enclave: people, a hypervisor that signs documents, a KMS that
judges them, a witness, and the host that carries and keeps.

The enclave is anything that has a lobby and sessions: `FakeMachine` runs the daemon's own code in a
process with a fake security module; test_boot_life.py boots the release image under QEMU.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from fake_kms import FakeKms
from fake_nitro import FakeRoot, sign_emulated
from key_life import PCRS, TOP, pinned

from sentinel import _core, _layout, _witness_store
from sentinel._enclave_kms import derive_shared_secret, public_key_of
from sentinel._enclave_lobby import Lobby, give_back, wanted_file
from sentinel._enclave_papers import (
    KEY_INFO,
    NewKey,
    certificate_part,
    import_part,
    parse_wrapped_root,
)
from sentinel._enclave_store import HEAD
from sentinel._enums import Algorithm, Environment, Power, Purpose, Venue
from sentinel._frame import FrameKind
from sentinel._layout import AuthorityKey, FrameTerms
from sentinel._people import SigningKeys, person_id
from sentinel._service import Request
from sentinel._types import KeyInfo
from sentinel.attestation import Attestation, EngineExpectation, Expectation, TrustRoot, verify
from sentinel.attestation import Purpose as For
from sentinel.client import Client
from sentinel.policy import compile_policy, stable_id
from sentinel.witness import WitnessError

ROOT, ALICE, BOB, POLICY, FEEDER, AGENT, KEEPER = range(1, 8)
WITNESS = person_id("witness")
POWERS = {
    ALICE: {Power.OPERATOR},
    BOB: {Power.OPERATOR},
    POLICY: {Power.POLICY},
    FEEDER: {Power.FEED_MARK, Power.FEED_EXECUTION, Power.FEED_POSITION},
    AGENT: {Power.AGENT},
    KEEPER: {Power.KEEPER},
}
HOUR_NS = 3600 * 10**9
SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"  # tests only

VENUES = """\
version: 1
firm:
  name: firm
  allow: {actions: [place, cancel, query, message]}
  max_value: 10k USD
  agents: {maker: {}}
lease: 1h
assets:
  USDT: {par: 1 USD}
  USDC: {par: 1 USD}
  USD: {par: 1 USD}
  BTC: {}
instruments:
  SPOT: {venue: binance_spot, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}
  USDM: {venue: binance_usdm, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.10, lot: 0.001}
  BYBIT: {venue: bybit, contract: spot, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.01,
    lot: 0.00001}
  OKX: {venue: okx, contract: spot, symbol: BTC-USDT, base: BTC, quote: USDT, tick: 0.1,
    lot: 0.00001}
  DERIBIT: {venue: deribit, contract: linear, symbol: BTC_USDC-PERPETUAL, base: BTC, quote: USDC,
    tick: 1, lot: 0.0001}
  HYPER: {venue: hyperliquid, contract: linear, symbol: BTC, index: 0, base: BTC, quote: USDC,
    tick: 1, lot: 0.00001}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
  spot: {venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}
  usdm: {venue: binance_usdm, algorithm: ed25519, for: firm, endpoint: checked}
  bybit: {venue: bybit, algorithm: hmac_sha256, for: firm, products: [spot], endpoint: checked}
  okx: {venue: okx, algorithm: hmac_sha256, for: firm, products: [spot]}
  deribit: {venue: deribit, algorithm: hmac_sha256, for: firm, products: [linear]}
  hyper: {venue: hyperliquid, algorithm: ecdsa_secp256k1, for: firm, products: [linear]}
"""
MADE = {
    "message": (Purpose.MESSAGE, Algorithm.ED25519, Venue.NONE, ""),
    "usdm": (Purpose.VENUE, Algorithm.ED25519, Venue.BINANCE_USDM, "account-usdm"),
    "bybit": (Purpose.VENUE, Algorithm.HMAC_SHA256, Venue.BYBIT, "account-bybit"),
    "deribit": (Purpose.VENUE, Algorithm.HMAC_SHA256, Venue.DERIBIT, "account-deribit"),
    "hyper": (Purpose.VENUE, Algorithm.ECDSA_SECP256K1, Venue.HYPERLIQUID, ""),
}


class Machine(Protocol):
    """Where an enclave runs."""

    pcrs: dict[int, bytes]

    def lobby(self) -> socket.socket:
        """A stream to the lobby."""

    def address(self) -> str:
        """Where sessions are held."""

    def end(self) -> None:
        """Cuts its power."""


class FakeMachine:
    """The daemon's own code in a process, with a fake security module."""

    def __init__(self, folder: Path, **settings: object) -> None:
        folder.mkdir()
        self.folder, self.pcrs = folder, PCRS
        program = TOP / "build" / "daemon" / "release" / "fake_sentineld"
        self.console = (folder / "console").open("wb")
        self._process = subprocess.Popen(
            [program, folder / "engine", folder / "lobby", folder / "sessions"],
            stderr=self.console,
            env=os.environ | {name: str(value) for name, value in settings.items()},
        )

    def lobby(self) -> socket.socket:
        return _connected(self.folder / "lobby")

    def address(self) -> str:
        _connected(self.folder / "sessions").close()
        return f"unix://{self.folder}/sessions"

    def end(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)
        self.console.close()


class Machines:
    """Boots, each in a folder of its own; all end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[FakeMachine] = []

    def boot(self, **settings: object) -> FakeMachine:
        """`settings`: those of fake_sentineld.c."""
        self.made.append(FakeMachine(self.folder / f"b{len(self.made)}", **settings))
        return self.made[-1]


def _connected(path: Path) -> socket.socket:
    until = time.monotonic() + 20
    while True:
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(60)
        try:
            stream.connect(str(path))
        except OSError:
            stream.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return stream


def kept_files(ask: Callable[[int, bytes], bytes]) -> Iterator[tuple[str, bytes]]:
    """The files of a running engine, read another way than its keeper does, the log's head first:
    the records that it counts are then there, and perhaps more, which the engine finds.

    `ask`: `Client.connection.call` of a session with the role "command" or "keeper".
    """
    yield HEAD, b"".join(_pieces(ask, HEAD))
    for name in ask(Request.FILE, wanted_file()).decode().split():
        if name != HEAD:
            yield name, b"".join(_pieces(ask, name))


def _pieces(ask: Callable[[int, bytes], bytes], name: str) -> Iterator[bytes]:
    at = 0
    while True:
        answer = ask(Request.FILE, wanted_file(name, at, 1 << 20))
        (total,) = struct.unpack_from("<Q", answer)
        yield answer[8:]
        at += len(answer) - 8
        if at >= total or len(answer) == 8:
            return


@dataclass
class Engine:
    """An engine's people, and what its host keeps of it."""

    folder: Path
    hypervisor: FakeRoot = field(default_factory=FakeRoot.make)
    people: dict[int, _core.Keyring] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, KeyInfo] = field(default_factory=dict)
    sealed: bytes = b""
    pin: bytes = b""
    sequence: int = 0
    open_lobbies: list[Lobby] = field(default_factory=list)

    def __post_init__(self) -> None:
        os.environ["ZCP_LIGHT_KEYS"] = "1"  # Argon2id at its least, as engines of tests may
        self.public: dict[int, bytes] = {}
        for person in (ROOT, *POWERS):
            ring = self.people[person] = _core.Keyring()
            made = ring.generate(person, Purpose.AUTHORITY, Algorithm.ED25519)
            self.public[person] = made.public_key
        where = self.folder / "witness"
        known = _witness_store.init(where, "witness", b"witness", (1, 8192))
        self.public[WITNESS] = known.public_key
        self.witness = _witness_store.Witness(where, b"witness")
        self.kms: FakeKms

    def end(self) -> None:
        for lobby in self.open_lobbies:
            lobby.close()
        self.witness.close()

    # ---- people -------------------------------------------------------------------------------

    def terms(self) -> FrameTerms:
        now = time.time_ns()
        self.sequence = max(self.sequence + 1, now)
        return FrameTerms(
            engine_id=self.engine_id,
            environment=Environment.TEST,
            sequence=self.sequence,
            issued_ns=now,
            expires_ns=now + HOUR_NS,
        )

    def signed(self, kind: FrameKind, part: bytes, *people: int) -> bytes:
        prefix, digest = _layout.proof_prefix(kind), _layout.frame_hash(part)
        proofs = [
            (0 if who == ROOT else who, self.people[who].sign_frame(who, prefix, digest))
            for who in people
        ]
        return _layout.attach_proofs(part, proofs)

    def authority_frame(self, without: frozenset[int] = frozenset()) -> bytes:
        """An authority bundle, but for some people."""
        end = time.time_ns() + 1000 * HOUR_NS
        powers = POWERS | {WITNESS: {Power.WITNESS}}
        powers = {who: held for who, held in powers.items() if who not in without}
        rows = [
            AuthorityKey(
                id=who,
                powers=frozenset(powers[who]),
                public_key=self.public[who],
                expires_ns=end,
                node=stable_id("node", "firm/maker") if who == AGENT else 0,
            )
            for who in sorted(powers)
        ]
        k = {power: 1 for held in powers.values() for power in held}
        k[Power.OPERATOR] = 1 if without & {ALICE, BOB} else 2
        return self.signed(
            FrameKind.AUTHORITY, _layout.authority_bundle(rows, k, self.terms()), ROOT
        )

    def policy_frame(self, text: str = VENUES) -> bytes:
        part = compile_policy(text, self.terms(), keyring=list(self.keys.values()))
        return self.signed(FrameKind.POLICY, part, POLICY)

    def attested(self, lobby: Lobby, machine: Machine, purpose: For) -> Attestation:
        """A document that was verified, as people do it."""
        nonce = os.urandom(32)
        raw = sign_emulated(lobby.attest(purpose, nonce), self.hypervisor)
        engine = EngineExpectation(self.engine_id, 1, (self.public[ROOT],), frozenset({purpose}))
        return verify(
            raw,
            expectation=Expectation(machine.pcrs, engine),
            nonce=nonce,
            now=dt.datetime.now(dt.UTC),
            root=TrustRoot.of_pem(self.hypervisor.pem),
        )

    # ---- the first boot -----------------------------------------------------------------------

    def begin(self, machine: Machine) -> Lobby:
        """Genesis: the root is made, seen, certified and kept."""
        lobby = Lobby(machine.lobby())
        self.open_lobbies.append(lobby)
        self.genesis = lobby.genesis(Environment.TEST, 1, [self.public[ROOT]])
        self.engine_id = _layout.frame_hash(self.genesis)
        _witness_store.pin(self.folder / "witness", self.genesis)
        self.kms = FakeKms(
            pinned(machine.pcrs[0]),
            TrustRoot.of_pem(self.hypervisor.pem),
            lambda: dt.datetime.now(dt.UTC),
        )
        self.authority = self.authority_frame()
        self.wrapped = self.certify(lobby, machine)
        return lobby

    def certify(self, lobby: Lobby, machine: Machine) -> bytes:
        """Operators look at the enclave and sign; what the lobby answers."""
        spki = public_key_of(self.kms, "key")
        part = certificate_part(self.attested(lobby, machine, For.GENESIS), spki, self.terms())
        self.certificate = self.signed(FrameKind.CERTIFICATE, part, ALICE, BOB)
        return lobby.certify(self.authority, self.certificate, spki)

    def make_keys(self, lobby: Lobby) -> None:
        """Keys that are made inside."""
        for name, (purpose, algorithm, venue, api_key) in MADE.items():
            asked = KEY_INFO.pack(
                id=stable_id("key", name),
                purpose=purpose,
                algorithm=algorithm,
                venue=venue,
                api_key_size=len(api_key),
                api_key=api_key.encode(),
            )
            self.keys[name] = _core.key_infos(lobby.make(asked))[0]

    def import_frame(self, lobby: Lobby, machine: Machine, key: NewKey) -> bytes:
        part = import_part(self.attested(lobby, machine, For.IMPORT), key, self.terms())
        return self.signed(FrameKind.IMPORT, part, ALICE, BOB)

    def import_keys(self, lobby: Lobby, machine: Machine) -> None:
        """Keys that come from outside, sealed."""
        for name, venue, words in (("spot", Venue.BINANCE_SPOT, ""), ("okx", Venue.OKX, "word")):
            key = NewKey(
                id=stable_id("key", name),
                purpose=Purpose.VENUE,
                algorithm=Algorithm.HMAC_SHA256,
                venue=venue,
                api_key=f"account-{name}",
                secret=SECRET,
                passphrase=words,
            )
            frame = self.import_frame(lobby, machine, key)
            self.keys[name] = _core.key_infos(lobby.import_(frame))[0]

    def create(self, lobby: Lobby, machine: Machine, text: str = VENUES) -> None:
        """The engine runs from here on."""
        self.pin = self.attested(lobby, machine, For.SESSION).binding.session_key_hash
        self.sealed = lobby.create(self.policy_frame(text))
        lobby.close()

    # ---- later boots --------------------------------------------------------------------------

    def bring_back(self, machine: Machine) -> Lobby:
        """The root, the keys and the files, in an enclave that knows nothing."""
        lobby = Lobby(machine.lobby())
        nonce = os.urandom(32)
        document = sign_emulated(lobby.attest(For.BOOT, nonce), self.hypervisor)
        self.open_lobbies.append(lobby)
        answer = derive_shared_secret(self.kms, "key", parse_wrapped_root(self.wrapped), document)
        lobby.unwrap(self.genesis, self.authority, self.certificate, self.wrapped, answer)
        lobby.keys(self.sealed)
        give_back(lobby, self.files)
        return lobby

    def resume(self, machine: Machine) -> None:
        """Another boot of the same engine."""
        lobby = self.bring_back(machine)
        self.pin = self.attested(lobby, machine, For.SESSION).binding.session_key_hash
        self.sealed, rewrapped = lobby.resume()
        assert not rewrapped
        lobby.close()

    # ---- sessions -----------------------------------------------------------------------------

    def client(self, machine: Machine, who: int, address: str = "") -> Client:
        """A session; `address`: without waiting until somebody holds sessions."""
        keys = SigningKeys(self.people[who], {self.public[who]: who})
        agent = stable_id("node", "firm/maker") if who == AGENT else None
        return Client.connect(
            address or machine.address(),
            agent=agent,
            role="keeper" if who == KEEPER else "",
            key=keys,
            key_id=who,
            pin=self.pin,
            deadline=30,
        )

    def keep(self, machine: Machine) -> None:
        """What the host copies while the engine runs."""
        with self.client(machine, KEEPER) as keeper:
            self.files = dict(kept_files(keeper.connection.call))

    def grant(self, people: Client) -> None:
        """The host carries the engine's question to the witness, and its answer back."""
        question = people.connection.call(10, bytes(4))
        people.hand_in(self.witness.grant(question))

    def lease(self, people: Client) -> None:
        self.confirmed(people, lambda: people.lease(HOUR_NS // 2))

    def confirmed(self, people: Client, call: Callable[[], object]) -> None:
        """A command: in force at once, and then confirmed by the witness."""
        with pytest.raises(WitnessError):
            call()
        self.grant(people)
