"""People's side of an enclave's keys, by the command: drafted, looked at, signed, taken.

Goal: what operators sign is what the verified document says, and the enclave takes it. Method: the
whole way by `zcp`, with key files of two people; one file changed, one question answered wrongly.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fake_kms import FakeKms
from key_life import ALICE, BOB, PCRS, TOP, Life, pinned

from sentinel._cli import _enclave_keys, main
from sentinel._people import Public
from sentinel.attestation import EngineExpectation, Expectation
from sentinel.attestation import Purpose as For

PASSPHRASE = "correct horse"


class Done(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="module", autouse=True)
def _program() -> None:
    command = ["make", "-s", "-C", "enclave/daemon", "../../build/daemon/release/fake_enclave"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def life() -> Iterator[Life]:
    made = Life()
    made.boot.ask("genesis", made.genesis)
    yield made
    made.end()


@pytest.fixture
def zcp(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Done]:
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    secret.chmod(0o600)
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setenv("ZCP_DIR", str(tmp_path / "nowhere"))

    def run(*words: str | Path) -> Done:
        capsys.readouterr()
        status = main([str(word) for word in words])
        told = capsys.readouterr()
        return Done(status, told.out, told.err)

    return run


def desk(life: Life, top: Path) -> None:
    """What people have before the enclave is asked: public material, keys, the test's root."""
    Public.of(life.genesis, life.authority, None).write(top / "public")
    for id_, name in ((ALICE, "alice"), (BOB, "bob")):
        sealed = life.people[id_].seal(PASSPHRASE.encode(), opslimit=1, memlimit=8192)
        (top / f"{name}.key").write_bytes(sealed)
    (top / "root.pem").write_bytes(life.hypervisor.pem)


def ask(life: Life, top: Path, purpose: For) -> list[str]:
    """A document, what it is expected to be, and the nonce: as options."""
    nonce = os.urandom(32)
    document, _ = life.document(purpose, nonce)
    (top / "document").write_bytes(document)
    engine = EngineExpectation(life.engine_id, 1, (life.root_key,), frozenset({purpose}))
    (top / "expect").write_text(Expectation(PCRS, engine).to_json())
    return [
        *("--document", str(top / "document"), "--expect", str(top / "expect")),
        *("--nonce", nonce.hex(), "--root", str(top / "root.pem")),
        *("--public", str(top / "public")),
    ]


def sign(zcp: Callable[..., Done], top: Path, family: str, file: Path) -> Done:
    """Alice and Bob sign copies; they are joined and exported."""
    for name in ("alice", "bob"):
        done = zcp(
            *("enclave", family, "sign", file, "--key", top / f"{name}.key", "--yes"),
            *("--public", top / "public", "--out", top / f"{name}.signed"),
        )
        assert done.status == 0, done.err
    both = [top / "alice.signed", top / "bob.signed"]
    done = zcp("enclave", family, "combine", *both, "--out", top / "both")
    assert done.status == 0, done.err
    done = zcp("enclave", family, "export", top / "both", "--out", top / "frame", "--json")
    assert done.status == 0, done.err
    return done


def certify(life: Life, zcp: Callable[..., Done], top: Path) -> None:
    spki = life.kms.get_public_key("key")["PublicKey"]
    (top / "kms.der").write_bytes(spki)
    options = ask(life, top, For.GENESIS)
    done = zcp(
        *("enclave", "certificate", "draft", *options),
        *("--kms-key", top / "kms.der", "--out", top / "draft", "--json"),
    )
    assert done.status == 0, done.err
    told = done.json()
    assert told["needed"] == 2
    assert not told["complete"]
    assert sign(zcp, top, "certificate", top / "draft").json()["proofs"] == 2
    life.certificate = (top / "frame").read_bytes()
    papers = (life.genesis, life.authority, life.certificate)
    life.wrapped = life.boot.ask("certify", *papers, spki, str(life.now_ns))


def test_from_genesis_to_an_imported_key(
    life: Life, zcp: Callable[..., Done], tmp_path: Path
) -> None:
    desk(life, tmp_path)
    certify(life, zcp, tmp_path)
    (tmp_path / "secret").write_text("a secret that OKX made, tests only")
    (tmp_path / "word").write_text("word")
    done = zcp(
        *("enclave", "import", "draft", "okx", "--venue", "okx", "--api-key", "account-1"),
        *("--secret-file", tmp_path / "secret", "--api-passphrase-file", tmp_path / "word"),
        *(*ask(life, tmp_path, For.IMPORT), "--out", tmp_path / "draft"),
    )
    assert done.status == 0, done.err
    for text in ("account-1", "okx", "hmac_sha256", "0 of 2 needed"):
        assert text in done.out
    assert "tests only" not in done.out + (tmp_path / "draft").read_text()
    shown = zcp(
        *("enclave", "import", "show", tmp_path / "draft"),
        *("--public", tmp_path / "public", "--json"),
    ).json()
    assert shown["paper"]["account"] == "account-1"
    sign(zcp, tmp_path, "import", tmp_path / "draft")
    life.import_((tmp_path / "frame").read_bytes())


def test_a_draft_that_was_changed_is_not_signed(
    life: Life, zcp: Callable[..., Done], tmp_path: Path
) -> None:
    desk(life, tmp_path)
    certify(life, zcp, tmp_path)
    signed = json.loads((tmp_path / "alice.signed").read_text())
    raw = bytearray(base64.b64decode(signed["frame"]))
    raw[96 + 80] ^= 1  # the commitment
    signed["frame"] = base64.b64encode(raw).decode()
    (tmp_path / "bad").write_text(json.dumps(signed))
    done = zcp(
        *("enclave", "certificate", "sign", tmp_path / "bad", "--key", tmp_path / "bob.key"),
        *("--public", tmp_path / "public", "--yes"),
    )
    assert done.status == 8
    assert "does not fit the certificate" in done.err


def test_a_document_that_does_not_verify_drafts_nothing(
    life: Life, zcp: Callable[..., Done], tmp_path: Path
) -> None:
    desk(life, tmp_path)
    (tmp_path / "kms.der").write_bytes(life.kms.get_public_key("key")["PublicKey"])
    options = ask(life, tmp_path, For.GENESIS)
    more = ("--kms-key", tmp_path / "kms.der", "--out", tmp_path / "draft")
    bad = [*options[:4], "--nonce", "00" * 32, *options[6:]]
    done = zcp("enclave", "certificate", "draft", *bad, *more)
    assert done.status == 8
    assert "nonce" in done.err
    done = zcp("enclave", "certificate", "draft", *options[:6], *options[8:], *more)
    assert done.status == 8  # AWS's root, which signed nothing here
    done = zcp("enclave", "certificate", "draft", *bad[:5], "xy", *bad[6:], *more)
    assert done.status == 2
    assert not (tmp_path / "draft").exists()


def test_kms_is_asked_by_the_command(
    life: Life,
    zcp: Callable[..., Done],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_enclave_keys, "kms_client", lambda region: life.kms)
    desk(life, tmp_path)
    done = zcp("enclave", "kms-key", "--key-id", "key", "--out", tmp_path / "k.der", "--json")
    assert done.status == 0, done.err
    certify(life, zcp, tmp_path)
    assert (tmp_path / "k.der").read_bytes() == (tmp_path / "kms.der").read_bytes()
    (tmp_path / "wrapped").write_bytes(life.wrapped)
    life.restart()
    (tmp_path / "boot").write_bytes(life.document(For.BOOT)[0])
    ask_ = ("enclave", "ask-kms", tmp_path / "wrapped", tmp_path / "boot", "--key-id", "key")
    done = zcp(*ask_, "--out", tmp_path / "answer")
    assert done.status == 0, done.err
    life.unwrap((tmp_path / "answer").read_bytes())
    life.kms.policy = pinned(b"\xee" * 48)
    done = zcp(*ask_, "--out", tmp_path / "none")
    assert done.status == 14
    assert "AccessDeniedException" in done.err
    assert not (tmp_path / "none").exists()
    done = zcp("enclave", "ask-kms", tmp_path / "boot", *ask_[3:], "--out", tmp_path / "none")
    assert done.status in (2, 13)


def test_policies_are_checked_by_the_command(zcp: Callable[..., Done], tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    good.write_text(json.dumps(pinned()))
    assert zcp("enclave", "check-policy", good).status == 0
    (tmp_path / "expect").write_text(Expectation(PCRS, None).to_json())
    assert zcp("enclave", "check-policy", good, "--expect", tmp_path / "expect").status == 0
    good.write_text(json.dumps(pinned(b"\xee" * 48)))
    done = zcp("enclave", "check-policy", good, "--expect", tmp_path / "expect", "--json")
    assert done.status == 8
    assert [one["code"] for one in done.json()["findings"]] == ["other_image"]
    good.write_text("{}")
    assert zcp("enclave", "check-policy", good).status == 2
    assert zcp("enclave", "check-policy", tmp_path / "none").status == 9


def test_the_fake_kms_and_the_check_agree_on_the_example() -> None:
    """What the check passes, KMS gives to that image alone."""
    kms = FakeKms.__new__(FakeKms)
    kms.policy, kms.principal = pinned(), "arn:aws:iam::111122223333:role/sentinel-parent"
    key = "kms:RecipientAttestation:PCR0"
    assert kms._allows("kms:DeriveSharedSecret", {key: PCRS[0].hex()})
    assert not kms._allows("kms:DeriveSharedSecret", {key: PCRS[1].hex()})
    assert not kms._allows("kms:DeriveSharedSecret", {})
    assert not kms._allows("kms:PutKeyPolicy", {key: PCRS[0].hex()})
