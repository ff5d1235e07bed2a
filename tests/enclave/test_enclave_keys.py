"""An enclave's keys over its whole life, with the verifier, the host's call and a KMS that judges.

Goal: what was made inside comes back to the same image of the same engine, and to nobody else,
whatever the host swaps, forges or asks for. Method: the daemon's own code in a process for each
boot; the product's verifier judges for people and for the fake KMS.
"""

from __future__ import annotations

import datetime as dt
import hmac
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_kms import FakeKms, envelope
from fake_nitro import FakeRoot
from key_life import ALICE, BOB, OKX, PROGRAM, TOP, Life, Refused, pinned

from sentinel._enclave_kms import derive_shared_secret, key_problems, public_key_of
from sentinel._enclave_papers import (
    KEY_INFO,
    SEALED,
    certificate_part,
    import_part,
    parse_wrapped_root,
    tell_paper,
)
from sentinel._enums import Algorithm, Purpose, Venue
from sentinel._frame import FrameKind, unsafe_parse_frame
from sentinel.attestation import Purpose as For
from sentinel.attestation import TrustRoot, unsafe_parse_without_verification
from sentinel.errors import ConfigError, EnclaveError, SentinelError, UsageError

SNAPSHOT, KEYS = "2", "1"
STATE = b"the state of an engine"


@pytest.fixture(scope="module", autouse=True)
def _program() -> None:
    command = ["make", "-s", "-C", "enclave/daemon", "../../build/daemon/release/fake_enclave"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def life() -> Iterator[Life]:
    made = Life()
    yield made
    made.end()


def test_the_root_comes_back_to_the_same_image(life: Life) -> None:
    life.begin()
    blob = life.boot.ask("seal", SNAPSHOT, "1", STATE)
    assert STATE not in blob
    assert SEALED.unpack(blob)["engine_id32"] == life.engine_id
    life.restart()
    with pytest.raises(Refused, match="USAGE_STATE"):
        life.boot.ask("unseal", SNAPSHOT, "1", blob)
    life.unwrap(life.answer())
    assert life.boot.ask("unseal", SNAPSHOT, "1", blob) == STATE
    with pytest.raises(Refused, match="ENCLAVE_STALE"):
        life.boot.ask("unseal", SNAPSHOT, "2", blob)
    with pytest.raises(Refused, match="ENCLAVE_TYPE"):
        life.boot.ask("unseal", KEYS, "1", blob)
    document = life.attested(For.IMPORT)
    assert document.binding is not None
    assert document.binding.root_commitment == parse_wrapped_root(life.wrapped).commitment


def test_no_secret_is_in_what_the_host_sees(life: Life) -> None:
    life.begin()
    part = life.sealed_key(OKX)
    assert OKX.secret not in part
    assert b"word" not in part
    assert "secret" not in repr(OKX)
    life.restart()
    answer = life.answer()
    assert set(life.kms.calls) == {"describe_key", "get_public_key", "derive_shared_secret"}
    assert answer[1] == 0x80  # BER


def test_an_imported_key_signs_inside(life: Life) -> None:
    life.begin()
    part = life.sealed_key(OKX)
    got = life.import_(life.signed(FrameKind.IMPORT, part))
    info = KEY_INFO.unpack(got)
    assert (info["id"], info["purpose"], info["venue"]) == (9, Purpose.VENUE, Venue.OKX)
    assert info["api_key"][:9] == b"account-1"
    assert got[216 + 8 : 216 + 8 + 32] == hmac.digest(OKX.secret, b"text", "sha256")
    told = dict(
        tell_paper(unsafe_parse_frame(life.signed(FrameKind.IMPORT, part), FrameKind.IMPORT)).rows
    )
    assert told["account"] == "account-1"
    assert told["venue"] == "okx"
    assert told["fingerprint"] == info["fingerprint32"].hex()


def test_kms_answers_the_certified_image_alone(life: Life) -> None:
    life.begin()
    life.restart(pcr0=b"\xee" * 48)
    with pytest.raises(EnclaveError, match="AccessDenied"):
        life.answer()
    life.restart()
    wrapped = parse_wrapped_root(life.wrapped)
    raw = life.boot.ask("attest", "1", bytes(32), life.genesis)
    with pytest.raises(EnclaveError, match="ValidationException: document"):
        derive_shared_secret(life.kms, "key", wrapped, raw)  # as the emulator gives it
    life.hypervisor, genuine = FakeRoot.make(), life.hypervisor
    with pytest.raises(EnclaveError, match="document"):
        life.answer()  # signed under another root
    life.hypervisor = genuine
    life.unwrap(life.answer())
    # Without a document, the policy's condition is not met.
    with pytest.raises(Exception, match="AccessDenied"):
        life.kms.derive_shared_secret("key", "ECDH", wrapped.public_key)


def test_an_answer_is_for_one_boot_and_one_attempt(life: Life) -> None:
    life.begin()
    life.restart()
    answer = life.answer()
    life.restart()
    life.document(For.BOOT)
    with pytest.raises(Refused, match="ENCLAVE_ANSWER"):
        life.unwrap(answer)
    with pytest.raises(Refused, match="USAGE_STATE"):
        life.unwrap(answer)
    life.unwrap(life.answer())


def test_a_forged_answer_unwraps_nothing(life: Life) -> None:
    life.begin()
    life.restart()
    document, _ = life.document(For.BOOT)
    spki = unsafe_parse_without_verification(document).public_key
    assert spki is not None
    with pytest.raises(Refused, match="ENCLAVE_ANSWER"):
        life.unwrap(envelope(spki, bytes(32)))
    # Another KMS key, of the host's own, agreed with the same public half.
    life.kms, genuine = FakeKms(pinned(), life.kms.root, life.kms.now), life.kms
    with pytest.raises(Refused, match="ENCLAVE_ANSWER"):
        life.unwrap(life.answer())
    life.kms = genuine
    life.unwrap(life.answer())


def test_files_of_another_engine_are_refused(life: Life) -> None:
    life.begin()
    blob = life.boot.ask("seal", SNAPSHOT, "1", STATE)
    other = Life(hypervisor=life.hypervisor)
    try:
        other.begin()
        with pytest.raises(Refused, match="ENCLAVE_FOREIGN"):
            other.boot.ask("unseal", SNAPSHOT, "1", blob)
        other.restart()
        answer = other.answer()
        own, other.wrapped = other.wrapped, life.wrapped
        with pytest.raises(Refused, match="ENCLAVE_FOREIGN"):
            other.unwrap(answer)
        other.wrapped = own
        other.certificate = life.certificate
        with pytest.raises(Refused, match="POLICY_ENGINE"):
            other.unwrap(answer)
    finally:
        other.end()


def test_every_byte_of_an_import_counts(life: Life) -> None:
    life.begin()
    frame = bytearray(life.signed(FrameKind.IMPORT, life.sealed_key(OKX)))
    for at in range(len(frame)):
        frame[at] ^= 0x10
        with pytest.raises(Refused):
            life.import_(bytes(frame))
        frame[at] ^= 0x10
    life.import_(bytes(frame))


def test_an_import_needs_k_operators_and_a_document_of_this_boot(life: Life) -> None:
    life.begin()
    part = life.sealed_key(OKX)
    with pytest.raises(Refused, match="POLICY_SIGNATURE"):
        life.import_(life.signed(FrameKind.IMPORT, part, {ALICE: ALICE}))
    with pytest.raises(Refused, match="POLICY_SIGNATURE"):
        life.import_(life.signed(FrameKind.IMPORT, part, {ALICE: ALICE, BOB: ALICE}))
    life.restart()
    life.unwrap(life.answer())
    with pytest.raises(Refused, match="ENCLAVE_DOCUMENT"):
        life.import_(life.signed(FrameKind.IMPORT, part))


def test_only_documents_that_were_verified_for_it_are_used(life: Life) -> None:
    life.boot.ask("genesis", life.genesis)
    spki = public_key_of(life.kms, "key")
    genesis = life.attested(For.GENESIS)
    with pytest.raises(EnclaveError, match="made for genesis, not for import"):
        import_part(genesis, OKX, life.terms())
    with pytest.raises(EnclaveError, match="a nonce"):
        certificate_part(replace(genesis, nonce_checked=False), spki, life.terms())
    with pytest.raises(EnclaveError, match="an engine"):
        certificate_part(replace(genesis, binding=None), spki, life.terms())
    with pytest.raises(EnclaveError, match="another engine"):
        certificate_part(genesis, spki, replace(life.terms(), engine_id=bytes(32)))
    with pytest.raises(ConfigError, match="no public key of a KMS key"):
        certificate_part(genesis, spki + b"\0", life.terms())
    assert genesis.binding is not None
    rootless = replace(genesis.binding, root_commitment=bytes(32))
    with pytest.raises(EnclaveError, match="commits to no root"):
        certificate_part(replace(genesis, binding=rootless), spki, life.terms())


def test_an_engines_own_key_is_not_imported(life: Life) -> None:
    life.begin()
    with pytest.raises(UsageError, match="are not imported"):
        life.sealed_key(replace(OKX, purpose=Purpose.RECEIPT, algorithm=Algorithm.ED25519))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KeyUsage", "ENCRYPT_DECRYPT"),
        ("KeySpec", "ECC_NIST_P521"),
        ("Origin", "EXTERNAL"),
        ("KeyState", "PendingDeletion"),
        ("MultiRegion", True),
    ],
)
def test_a_kms_key_of_another_kind_holds_no_root(name: str, value: object) -> None:
    root = TrustRoot.of_pem(FakeRoot.make().pem)
    kms = FakeKms(pinned(), root, lambda: dt.datetime.now(dt.UTC))
    assert not key_problems(kms.metadata)
    assert key_problems({})
    kms.metadata[name] = value
    with pytest.raises(EnclaveError, match=name):
        public_key_of(kms, "key")


def test_an_answer_in_clear_is_an_alarm(life: Life) -> None:
    class Blind:
        def derive_shared_secret(self, **_: object) -> dict[str, bytes]:
            return {"SharedSecret": bytes(32)}

    life.begin()
    with pytest.raises(EnclaveError, match="in clear"):
        derive_shared_secret(Blind(), "key", parse_wrapped_root(life.wrapped), b"document")


def test_wrapped_roots_are_read_in_one_form(life: Life) -> None:
    life.begin()
    found = parse_wrapped_root(life.wrapped)
    assert found.engine_id == life.engine_id
    for bad in (b"", life.wrapped[:-1], life.wrapped + b"\0", b"X" + life.wrapped[1:]):
        with pytest.raises(SentinelError):
            parse_wrapped_root(bad)


def test_no_release_binary_has_the_fake() -> None:
    """By text and by symbol; the program that has it shows that both would be found."""
    make = ["make", "-s", "-C", "enclave/daemon", "sentineld"]
    subprocess.run(make, cwd=TOP, check=True)
    build = PROGRAM.parent
    mark, symbol = b"fake-nsm: for tests alone", "fake_nsm"
    assert mark not in (build / "sentineld").read_bytes()
    assert symbol not in _symbols(build / "sentineld")
    assert mark in PROGRAM.read_bytes()
    assert symbol in _symbols(PROGRAM)


def _symbols(path: Path) -> str:
    command = ["nm", "--defined-only", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
