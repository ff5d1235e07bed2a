"""An engine that a hostile host holds: its people, its witness, its KMS, and how it came to be.

People, witness, KMS and hypervisor are honest here, and quick: everything is in memory, and all
keys come out of their names. What they sign and judge by is the product's own code.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_der_public_key
from engine_life import SECRET
from fake_boots import Boot, Boots
from fake_kms import FakeKms, refused
from fake_nitro import FakeRoot, sign_document
from key_life import PCRS, pinned
from raw_client import Hello, Role, public_of, seed_of

from sentinel import _core, _layout, _witness_store
from sentinel._enclave_kms import derive_shared_secret, public_key_of
from sentinel._enclave_lobby import Lobby
from sentinel._enclave_papers import (
    KEY_INFO,
    NewKey,
    certificate_part,
    import_part,
    parse_wrapped_root,
)
from sentinel._enums import Algorithm, Environment, Power, Purpose, Venue
from sentinel._frame import FrameKind, parse_genesis, verify_ed25519
from sentinel._layout import AuthorityKey, FrameTerms
from sentinel.attestation import (
    Attestation,
    EngineExpectation,
    Expectation,
    TrustRoot,
    unsafe_parse_without_verification,
    verify,
)
from sentinel.attestation import Purpose as For
from sentinel.policy import compile_policy, stable_id

BEGIN_NS: Final = 1_795_000_000 * 10**9
SECOND: Final = 10**9
HOUR: Final = 3600 * SECOND
ROOT, ALICE, BOB, POLICY, FEEDER, MAKER, TAKER, WITNESS, KEEPER = range(1, 10)
NAMES: Final = dict(
    zip(
        range(1, 10),
        ("root", "alice", "bob", "policy", "feeder", "maker", "taker", "witness", "keeper"),
        strict=True,
    )
)
POWERS: Final = {
    ALICE: {Power.OPERATOR},
    BOB: {Power.OPERATOR},
    POLICY: {Power.POLICY},
    FEEDER: {Power.FEED_MARK, Power.FEED_EXECUTION, Power.FEED_POSITION},
    MAKER: {Power.AGENT},
    TAKER: {Power.AGENT},
    WITNESS: {Power.WITNESS},
    KEEPER: {Power.KEEPER},
}
AGENTS: Final = {who: stable_id("node", f"firm/{NAMES[who]}") for who in (MAKER, TAKER)}
RECORDS, SPEND = 7, 1500
"""Of a grant: small, so that a schedule often meets its end."""
MICRO: Final = 10**6

TEXT: Final = """\
version: 1
firm:
  name: firm
  allow: {actions: [place, cancel, query, message]}
  max_value: 1k USD
  agents: {maker: {}, taker: {}}
lease: 1h
attempts: {limit: 10000/s}
assets:
  USDT: {par: 1 USD}
  BTC: {}
instruments:
  SPOT: {venue: binance_spot, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}
keys:
  message: {purpose: message, algorithm: ed25519, for: firm}
  spot: {venue: binance_spot, algorithm: hmac_sha256, for: firm, endpoint: checked}
"""


class Clock:
    """Time, which passes when a schedule says so."""

    def __init__(self, boots: Boots) -> None:
        self._boots = boots
        self.seen: set[int] = set()
        self.set(BEGIN_NS)

    def set(self, wall_ns: int, running_ns: int = 10**15) -> None:
        self.wall_ns, self.running_ns = wall_ns, running_ns
        self.seen.add(wall_ns)
        self._boots.set_clocks(wall_ns, running_ns)

    def pass_(self, ns: int, *, paused_ns: int = 0) -> None:
        """`paused_ns`: by which the wall's clock is ahead of the one that only runs."""
        self.set(self.wall_ns + ns + paused_ns, self.running_ns + ns)

    def now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.wall_ns / 1e9, dt.UTC)


# ---- The hypervisor and KMS ---------------------------------------------------------------------


class Hypervisor:
    """It signs documents; one chain of certificates is good for three hours."""

    def __init__(self) -> None:
        self.root = FakeRoot.make()
        self.trust = TrustRoot.of_pem(self.root.pem)
        self._chains: dict[int, Any] = {}

    def signed(self, document: bytes) -> bytes:
        import cbor2

        payload = cbor2.loads(cbor2.loads(document)[2])
        hour = payload["timestamp"] // 3_600_000
        if hour not in self._chains:
            at = dt.datetime.fromtimestamp(hour * 3600, dt.UTC)
            self._chains[hour] = self.root.chain(at)
        payload["certificate"] = self._chains[hour].leaf.der
        payload["cabundle"] = list(self._chains[hour].bundle)
        return sign_document(cbor2.dumps(payload), self.root, chain=self._chains[hour])


def envelope(spki: bytes, secret: bytes, choice: random.Random) -> bytes:
    """`fake_kms.envelope` without a process: the same BER, its changing parts filled in."""
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    key, iv = choice.randbytes(32), choice.randbytes(16)
    to = load_der_public_key(spki)
    pad = 16 - len(secret) % 16
    cbc = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    text = cbc.update(secret + bytes([pad]) * pad) + cbc.finalize()
    # RFC 5280, 4.2.1.2: of the bits of the key alone; RSA-2048's stand behind 24 bytes.
    identifier = hashlib.sha1(spki[24:]).digest()
    return b"".join(
        (
            bytes.fromhex("308006092a864886f70d010703a08030800201023182015b308201570201028014"),
            identifier,
            bytes.fromhex("303806092a864886f70d010107302ba00d300b0609608648016503040201a11a3018"),
            bytes.fromhex("06092a864886f70d010108300b060960864801650304020104820100"),
            to.encrypt(key, oaep),  # type: ignore[union-attr]
            bytes.fromhex("308006092a864886f70d010701301d060960864801650304012a0410"),
            iv,
            bytes.fromhex("a08004"),
            bytes([len(text) - 16]) + text[:-16] + bytes.fromhex("0410") + text[-16:],
            bytes(10),
        )
    )


class QuickKms(FakeKms):
    """It judges as FakeKms does, and writes its answers itself.

    One document in sixteen goes through the verifier: its chain of certificates takes longer than
    all else of a start, and who forges documents is test_attestation_attack.py's subject.
    """

    choice = random.Random(0)

    def derive_shared_secret(self, **words: Any) -> dict[str, Any]:  # type: ignore[override]
        document = words["Recipient"]["AttestationDocument"]
        self.calls.append("derive_shared_secret")
        if len(self.calls) % 16 == 0:
            spki, context = self._judge(document)
        else:
            told = unsafe_parse_without_verification(document)
            assert told.public_key is not None
            spki = told.public_key
            context = {"kms:RecipientAttestation:PCR0": told.pcrs[0].hex()}
        if not self._allows("kms:DeriveSharedSecret", context):
            raise refused("DeriveSharedSecret", "AccessDeniedException")
        peer = load_der_public_key(words["PublicKey"])
        assert isinstance(peer, ec.EllipticCurvePublicKey)
        shared = self.key.exchange(ec.ECDH(), peer)
        return {"CiphertextForRecipient": envelope(spki, shared, self.choice)}


# ---- The witness --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Granted:
    """One answer that a witness signed. `record_end` 0: it refused."""

    epoch: int
    start_hash: bytes
    count: int
    record_end: int
    spend_end: int
    order: int


class Witness:
    """The rules of `_witness_store`, kept in memory; `given`: all that it ever answered."""

    def __init__(self, people: People, genesis: bytes) -> None:
        self._people = people
        self.genesis = parse_genesis(genesis)
        self.kept = _witness_store.Kept(genesis.hex())
        self.given: list[Granted] = []

    def copy(self) -> Witness:
        made = Witness(self._people, bytes.fromhex(self.kept.genesis))
        made.kept, made.given = self.kept, list(self.given)
        return made

    def grant(self, question: bytes, clock: Clock, order: int) -> bytes:
        """Raises VerificationFailed."""
        raw, signature = question[:200], question[200:]
        digest = _layout.frame_hash(raw)
        verify_ed25519(self.genesis.identity_key, signature, "sentinel-ask-v1", digest)
        ask = _layout.ASK.unpack(raw)
        after, grant = _witness_store.answer(self.kept, ask, RECORDS, SPEND * MICRO)
        self.kept = replace(after, sequence=max(clock.wall_ns, self.kept.sequence + 1))
        told = {"count": 0, "record_end": 0, "spend_end": 0} | grant
        self.given.append(
            Granted(
                *(ask["epoch"], ask["start_hash32"], told["count"]),
                *(told["record_end"], told["spend_end"], order),
            )
        )
        terms = FrameTerms(
            engine_id=self.genesis.engine_id,
            environment=Environment(self.genesis.environment),
            sequence=self.kept.sequence,
            issued_ns=clock.wall_ns - 5 * SECOND,
            expires_ns=clock.wall_ns + 600 * SECOND,
        )
        part = _layout.frame(FrameKind.GRANT, _layout.GRANT.pack(**grant), terms)
        return self._people.signed(FrameKind.GRANT, part, WITNESS)


# ---- People -------------------------------------------------------------------------------------


class People:
    """Who signs for an engine. `made`: hashes of all frames that they ever signed."""

    def __init__(self, clock: Clock, prefix: str = "") -> None:
        self.clock, self.prefix = clock, prefix
        self.ring = _core.Keyring()
        for who, name in NAMES.items():
            seed = seed_of(prefix + name)
            self.ring.import_(who, Purpose.AUTHORITY, Algorithm.ED25519, seed)
        self.engine_id = bytes(32)
        self.sequence = 0
        self.made: set[bytes] = set()
        self.lease_end_ns = 0

    def seed(self, who: int) -> bytes:
        return seed_of(self.prefix + NAMES[who])

    def public(self, who: int) -> bytes:
        return public_of(self.prefix + NAMES[who])

    def terms(self) -> FrameTerms:
        now = self.clock.wall_ns
        self.sequence = max(self.sequence + 1, now)
        return FrameTerms(
            engine_id=self.engine_id,
            environment=Environment.TEST,
            sequence=self.sequence,
            issued_ns=now,
            expires_ns=now + HOUR,
        )

    def signed(self, kind: FrameKind, part: bytes, *who: int) -> bytes:
        prefix, digest = _layout.proof_prefix(kind), _layout.frame_hash(part)
        self.made.add(digest)
        proofs = [
            (0 if one == ROOT else one, self.ring.sign_frame(one, prefix, digest)) for one in who
        ]
        return _layout.attach_proofs(part, proofs)

    def authority(self) -> bytes:
        rows = [
            AuthorityKey(
                id=who,
                powers=frozenset(POWERS[who]),
                public_key=self.public(who),
                expires_ns=BEGIN_NS + 10_000 * HOUR,
                node=AGENTS.get(who, 0),
            )
            for who in sorted(POWERS)
        ]
        k = {power: 1 for held in POWERS.values() for power in held} | {Power.OPERATOR: 2}
        return self.signed(FrameKind.AUTHORITY, _layout.authority_bundle(rows, k, self.terms()), 1)

    def policy(self, keys: list[Any]) -> bytes:
        part = compile_policy(TEXT, self.terms(), keyring=keys)
        return self.signed(FrameKind.POLICY, part, POLICY)

    def hello(self, who: int) -> Hello:
        role = {FEEDER: Role.FEEDER, KEEPER: Role.KEEPER}.get(who, Role.COMMAND)
        role = Role.AGENT if who in AGENTS else role
        return Hello(role=role, agent=AGENTS.get(who, 0), key=0 if who == ROOT else who)


# ---- How it came to be --------------------------------------------------------------------------


@dataclass
class Hosted:
    """What a host keeps of an engine, and who else knows of it."""

    people: People
    hypervisor: Hypervisor
    kms: QuickKms
    spki: bytes
    genesis: bytes = b""
    authority: bytes = b""
    certificate: bytes = b""
    wrapped: bytes = b""
    sealed: list[bytes] = field(default_factory=list)
    files: list[dict[str, bytes]] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    roots: set[bytes] = field(default_factory=set)
    secrets: list[tuple[str, bytes]] = field(default_factory=list)
    witness: Witness | None = None
    wraps: list[bytes] = field(default_factory=list)
    earlier: list[Any] = field(default_factory=list)
    records: int = 0

    def attested(
        self, lobby: Lobby, purpose: For, choice: random.Random, pcrs: Any = PCRS
    ) -> Attestation:
        """A document that was verified, as people do it."""
        nonce = choice.randbytes(32)
        raw = self.hypervisor.signed(lobby.attest(purpose, nonce))
        people = self.people
        engine = EngineExpectation(
            people.engine_id, 1, (people.public(ROOT),), frozenset({purpose})
        )
        return verify(
            raw,
            expectation=Expectation(pcrs, engine),
            nonce=nonce,
            now=people.clock.now(),
            root=self.hypervisor.trust,
        )

    def answer(self, document: bytes) -> bytes:
        """What KMS says to a signed document. Raises EnclaveError."""
        return derive_shared_secret(self.kms, "key", parse_wrapped_root(self.wrapped), document)


def pin_of(document: bytes) -> bytes:
    """The session key's hash in a document; whose it is, others verify (`attested`)."""
    data = unsafe_parse_without_verification(document).user_data
    assert data is not None
    found: bytes = data[120:152]
    return found


def new_hosted(clock: Clock, prefix: str = "") -> Hosted:
    """Nothing yet."""
    hypervisor = Hypervisor()
    kms = QuickKms(pinned(PCRS[0]), hypervisor.trust, clock.now)
    return Hosted(People(clock, prefix), hypervisor, kms, public_key_of(kms, "key"))


def begin(hosted: Hosted, boot: Boot, choice: random.Random, wire: Callable[..., Any]) -> None:
    """Genesis, certificate, keys and the first policy, over a lobby's stream."""
    people = hosted.people
    lobby = Lobby(wire(boot))
    hosted.genesis = lobby.genesis(Environment.TEST, 1, [people.public(ROOT)])
    people.engine_id = _layout.frame_hash(hosted.genesis)
    hosted.witness = Witness(people, hosted.genesis)
    hosted.authority = people.authority()
    part = certificate_part(
        hosted.attested(lobby, For.GENESIS, choice), hosted.spki, people.terms()
    )
    hosted.certificate = people.signed(FrameKind.CERTIFICATE, part, ALICE, BOB)
    hosted.wrapped = lobby.certify(hosted.authority, hosted.certificate, hosted.spki)
    hosted.wraps = [hosted.wrapped]
    asked = KEY_INFO.pack(
        id=stable_id("key", "message"), purpose=Purpose.MESSAGE, algorithm=Algorithm.ED25519
    )
    hosted.keys = [_core.key_infos(lobby.make(asked))[0]]
    key = NewKey(
        id=stable_id("key", "spot"),
        purpose=Purpose.VENUE,
        algorithm=Algorithm.HMAC_SHA256,
        venue=Venue.BINANCE_SPOT,
        api_key="account-spot",
        secret=SECRET,
    )
    part = import_part(hosted.attested(lobby, For.IMPORT, choice), key, people.terms())
    frame = people.signed(FrameKind.IMPORT, part, ALICE, BOB)
    hosted.keys.append(_core.key_infos(lobby.import_(frame))[0])
    hosted.sealed = [lobby.create(people.policy(hosted.keys))]
    lobby.close()
