"""An engine with operators, and boots of its enclave: the daemon's own code in a program of its own
(`fake_enclave.c`) with a fake security module, whose documents `fake_nitro` signs.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from fake_kms import FakeKms
from fake_nitro import FakeRoot, sign_emulated

from sentinel import _core, _layout
from sentinel._enclave_kms import derive_shared_secret, public_key_of
from sentinel._enclave_papers import (
    NewKey,
    certificate_part,
    import_part,
    parse_wrapped_root,
)
from sentinel._enums import Algorithm, Environment, Power, Purpose, Venue
from sentinel._frame import FrameKind
from sentinel._layout import AuthorityKey, FrameTerms
from sentinel.attestation import (
    Attestation,
    EngineExpectation,
    Expectation,
    TrustRoot,
    verify,
)
from sentinel.attestation import Purpose as For

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / "build" / "daemon" / "release" / "fake_enclave"
PCRS = {index: bytes([0xA0 + index]) * 48 for index in (0, 1, 2)}
ROOT, ALICE, BOB = 1, 2, 3
HOUR_NS = 3600 * 10**9


class Refused(Exception):
    """What the enclave answered instead of OK."""


class Boot:
    """One boot of an enclave."""

    def __init__(self, pcr0: bytes = PCRS[0]) -> None:
        self._process = subprocess.Popen(
            [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ask("time", str(int(time.time() * 1000)))
        self.ask("pcr", "0", pcr0)

    def ask(self, *words: str | bytes) -> bytes:
        texts = [word if isinstance(word, str) else word.hex() or "-" for word in words]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(texts) + "\n")
        self._process.stdin.flush()
        status, _, rest = self._process.stdout.readline().strip().partition(" ")
        if status != "OK":
            raise Refused(status)
        return bytes.fromhex(rest)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(10) == 0
        self._process.stdout.close()


def pinned(pcr0: bytes = PCRS[0]) -> dict[str, object]:
    """A key policy for one image."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111122223333:role/sentinel-parent"},
                "Action": "kms:DeriveSharedSecret",
                "Resource": "*",
                "Condition": {
                    "StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": pcr0.hex()}
                },
            }
        ],
    }


@dataclass
class Life:
    """The engine, its people, its hypervisor and its KMS key."""

    hypervisor: FakeRoot = field(default_factory=FakeRoot.make)
    people: dict[int, _core.Keyring] = field(default_factory=dict)
    boot: Boot = field(default_factory=Boot)
    boots: list[Boot] = field(default_factory=list)
    certificate: bytes = b""
    wrapped: bytes = b""

    def __post_init__(self) -> None:
        self.boots.append(self.boot)
        keys = {}
        for id_ in (ROOT, ALICE, BOB):  # each on a machine of its own
            self.people[id_] = _core.Keyring()
            made = self.people[id_].generate(id_, Purpose.AUTHORITY, Algorithm.ED25519)
            keys[id_] = made.public_key
        self.root_key = keys[ROOT]
        self.now_ns = time.time_ns()
        self.genesis = _layout.GENESIS.pack(
            magic=b"SENTGENE",
            version=1,
            environment=Environment.TEST,
            root_threshold=1,
            root_count=1,
            created_ns=self.now_ns,
            random32=os.urandom(32),
            identity_key32=os.urandom(32),
            root_keys=keys[ROOT],
        )
        self.engine_id = _layout.frame_hash(self.genesis)
        rows = [
            AuthorityKey(
                id=id_,
                powers=frozenset({Power.OPERATOR}),
                public_key=keys[id_],
                expires_ns=self.now_ns + HOUR_NS,
            )
            for id_ in (ALICE, BOB)
        ]
        part = _layout.authority_bundle(rows, {Power.OPERATOR: 2}, self.terms())
        self.authority = self.signed(FrameKind.AUTHORITY, part, {ROOT: 0})
        self.kms = FakeKms(
            pinned(), TrustRoot.of_pem(self.hypervisor.pem), lambda: dt.datetime.now(dt.UTC)
        )

    def end(self) -> None:
        for boot in self.boots:
            boot.end()

    def terms(self, sequence: int = 1) -> FrameTerms:
        return FrameTerms(
            engine_id=self.engine_id,
            environment=Environment.TEST,
            sequence=sequence,
            issued_ns=self.now_ns,
            expires_ns=self.now_ns + HOUR_NS,
        )

    def signed(self, kind: FrameKind, part: bytes, keys: dict[int, int] | None = None) -> bytes:
        prefix, digest = _layout.proof_prefix(kind), _layout.frame_hash(part)
        proofs = [
            (row, self.people[key].sign_frame(key, prefix, digest))
            for key, row in (keys or {ALICE: ALICE, BOB: BOB}).items()
        ]
        return _layout.attach_proofs(part, proofs)

    def restart(self, pcr0: bytes = PCRS[0]) -> None:
        self.boot = Boot(pcr0)
        self.boots.append(self.boot)

    def document(self, purpose: For, nonce: bytes | None = None) -> tuple[bytes, bytes]:
        """A document, signed by the hypervisor, and its nonce."""
        nonce = nonce or os.urandom(32)
        raw = self.boot.ask("attest", str(int(purpose)), nonce, self.genesis)
        return sign_emulated(raw, self.hypervisor), nonce

    def attested(self, purpose: For) -> Attestation:
        """A document that was verified, as people do it."""
        raw, nonce = self.document(purpose)
        engine = EngineExpectation(self.engine_id, 1, (self.root_key,), frozenset({purpose}))
        return verify(
            raw,
            expectation=Expectation(PCRS, engine),
            nonce=nonce,
            now=dt.datetime.now(dt.UTC),
            root=TrustRoot.of_pem(self.hypervisor.pem),
        )

    def certify(self, sequence: int = 1) -> None:
        """Operators sign, and the root leaves, wrapped."""
        spki = public_key_of(self.kms, "key")
        part = certificate_part(self.attested(For.GENESIS), spki, self.terms(sequence))
        self.certificate = self.signed(FrameKind.CERTIFICATE, part)
        papers = (self.genesis, self.authority, self.certificate)
        self.wrapped = self.boot.ask("certify", *papers, spki, str(self.now_ns))

    def begin(self) -> None:
        self.boot.ask("genesis", self.genesis)
        self.certify()

    def answer(self) -> bytes:
        """What KMS says to this boot."""
        document, _ = self.document(For.BOOT)
        return derive_shared_secret(self.kms, "key", parse_wrapped_root(self.wrapped), document)

    def unwrap(self, answer: bytes) -> None:
        papers = (self.genesis, self.authority, self.certificate)
        self.boot.ask("unwrap", *papers, self.wrapped, answer)

    def sealed_key(self, key: NewKey) -> bytes:
        """An import's signed part, for this boot."""
        return import_part(self.attested(For.IMPORT), key, self.terms())

    def import_(self, frame: bytes) -> bytes:
        return self.boot.ask("import", frame, self.authority, str(self.now_ns))


OKX = NewKey(
    id=9,
    purpose=Purpose.VENUE,
    algorithm=Algorithm.HMAC_SHA256,
    venue=Venue.OKX,
    api_key="account-1",
    secret=b"a secret that OKX made, tests only",
    passphrase="word",
)
