"""`zcp attest`: verified, refused and shown, as people and programs read it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from fake_nitro import FakeRoot, sign_document, unsigned_document
from test_attestation import GENUINE, GOLDEN, NONCE, PCRS, genuine, payload
from test_attestation_binding import ENGINE, ROOTS, binding
from test_attestation_expectation import PUBLIC, build, release

from sentinel._cli import main
from sentinel._people import Person
from sentinel.attestation import Expectation, Purpose
from sentinel.receipt import Expectation as EngineFile

AT = "2026-03-01T12:00:00Z"


@pytest.fixture(scope="module")
def root() -> FakeRoot:
    return FakeRoot.make()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: FakeRoot) -> Path:
    """A directory with all that the commands need, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    Path("root.pem").write_bytes(root.pem)
    Path("pcrs.json").write_text(json.dumps({"Measurements": build()}))
    Path("release.json").write_text(json.dumps(release()))
    Path("engine.json").write_text(EngineFile(ENGINE, 2, ROOTS).to_json())
    Person("release", PUBLIC).write(Path("release.pub"))
    document = sign_document(payload(user_data=binding().pack()), root)
    Path("document.cose").write_bytes(document)
    return tmp_path


def run(*words: str, status: int = 0) -> None:
    assert main(["attest", *words]) == status


def made(*words: str) -> Expectation:
    run("expect", *words, "--out", "enclave.json")
    return Expectation.from_json(Path("enclave.json").read_text())


VERIFY = ("verify", "document.cose", "--expect", "enclave.json", "--root", "root.pem", "--at", AT)
BUILT = ("--measurements", "pcrs.json", "--engine", "engine.json")


def test_a_document_is_verified_against_a_build(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = made(*BUILT)
    assert found.engine is not None
    assert found.engine.purposes == {Purpose.BOOT, Purpose.SESSION, Purpose.IMPORT}
    said = capsys.readouterr().out
    assert f"PCR0 {PCRS[0].hex()} (the image)" in said
    assert "next: zcp attest verify DOCUMENT --expect enclave.json" in said
    run(*VERIFY, "--nonce", NONCE.hex())
    said = capsys.readouterr().out
    assert said.startswith("verified: enclave i-")
    assert "root: root.pem, not AWS's" in said
    assert f"PCR2 as expected: the application {PCRS[2].hex()}" in said
    assert f"engine {ENGINE.hex()}, epoch 3, for session" in said
    assert "nonce: the one that was asked with" in said
    assert f"judged as of {AT[:-1]}.000Z (--at), not as of now" in said
    assert "NOT judged" not in said


def test_what_was_not_judged_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made("--measurements", "pcrs.json", "--any-engine")
    assert "any engine" in capsys.readouterr().out
    run(*VERIFY)
    said = capsys.readouterr().out
    assert "NOT judged: what the enclave says of itself" in said
    assert "NOT judged: the nonce" in said


def test_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(*BUILT, "--json")
    data = json.loads(capsys.readouterr().out)
    assert data["engine_id"] == ENGINE.hex()
    assert data["source"]["kind"] == "measurements"
    run(*VERIFY, "--nonce", NONCE.hex(), "--json")
    data = json.loads(capsys.readouterr().out)
    assert (data["verified"], data["nonce_checked"], data["pcrs_checked"]) == (
        True,
        True,
        [0, 1, 2],
    )
    assert data["engine"]["purpose"] == "session"
    assert data["time"] == data["judged_at"] == "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (("--at", "2026-03-01T12:05:01Z"), "stale", 8),
        (("--at", "2026-03-01T18:00:00Z"), "certificate_expired", 8),
        (("--at", "2026-03-01T11:00:00Z"), "certificate_not_yet_valid", 8),
        (("--at", "2026-03-01T12:00:02Z", "--max-age", "1s"), "stale", 8),
        (("--nonce", "00" * 32), "nonce", 8),
        (("--root", "document.cose"), "root_certificate", 2),
        (("--expect", "pcrs.json"), "expectation", 2),
        (("--expect", "other.json"), "pcr", 8),
    ],
)
def test_a_refusal_is_named(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: str,
    status: int,
) -> None:
    Path("other.json").write_text(json.dumps(build(PCR0="ee" * 48)))
    run("expect", "--measurements", "other.json", "--any-engine", "--out", "other.json")
    made(*BUILT)
    capsys.readouterr()
    run(*VERIFY, *words, "--json", status=status)
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == code
    assert error["next_step"]
    run(*VERIFY, *words, status=status)
    said = capsys.readouterr()
    assert said.out == ""
    assert f"attestation refused ({code})" in said.err
    assert "next step: " in said.err


def test_awss_root_is_the_default(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(*BUILT)
    run("verify", "document.cose", "--expect", "enclave.json", "--at", AT, status=8)
    assert "(root)" in capsys.readouterr().err


@pytest.mark.parametrize("name", GENUINE)
def test_the_genuine_documents(place: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    document, known = genuine(name)
    Path("enclave.json").write_text(known["expectation"].to_json())
    code = GENUINE[name]
    file = str(GOLDEN / f"{name}.cose")
    words = ("verify", file, "--expect", "enclave.json", "--at", known["now"].isoformat())
    run(*words, status=0 if code is None else 8)
    said = capsys.readouterr()
    assert f"({code})" in said.err if code else "root: AWS Nitro Enclaves root G1" in said.out
    run("verify", file, "--expect", "enclave.json", status=8)
    assert "(certificate_expired)" in capsys.readouterr().err
    run("show", file)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("UNVERIFIED")
    assert lines[-1].startswith("UNVERIFIED")
    assert len(document) > 4000


def test_show_of_an_emulators_document(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated = unsigned_document(payload(user_data=binding().pack()))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(emulated)))
    run("show", "-")
    said = capsys.readouterr().out
    assert "it is not even signed: an emulator made it" in said
    assert f"engine {ENGINE.hex()}, epoch 3, for session" in said
    Path("emulated.cose").write_bytes(emulated)
    run("show", "emulated.cose", "--json")
    data = json.loads(capsys.readouterr().out)
    assert (data["verified"], data["signed"]) == (False, False)
    assert data["warning"].startswith("UNVERIFIED")
    made(*BUILT)
    run("verify", "emulated.cose", *VERIFY[2:], status=8)
    assert "(unsigned)" in capsys.readouterr().err


def test_expect_of_a_release(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("release.pub", PUBLIC.hex()):
        found = made("--release", "release.json", "--key", key, "--engine", "engine.json")
        assert found.pcrs[8] == PCRS[8]
        assert found.source["version"] == "1.0"
    run(
        *("expect", "--release", "release.json", "--key", "11" * 32, "--engine", "engine.json"),
        *("--out", "never.json"),
        status=2,
    )
    assert "(release_signature)" in capsys.readouterr().err
    assert not Path("never.json").exists()


def test_expect_before_genesis_and_of_one_instance(place: Path) -> None:
    for number, key in enumerate(ROOTS):
        Person(f"root{number}", key).write(Path(f"{number}.pub"))
    keys = [word for number in range(3) for word in ("--root-key", f"{number}.pub")]
    found = made(
        *("--measurements", "pcrs.json", *keys, "--root-threshold", "2", "--purpose", "genesis"),
        *("--instance", "i-0ec0e572c8263d8ff", "--role", "arn:aws:iam::123456789012:role/Signer"),
    )
    assert found.engine is not None
    assert (found.engine.id, found.engine.root_threshold, found.engine.root_keys) == (
        *(None, 2),
        ROOTS,
    )
    assert found.pcrs[4] == genuine_pcr4()
    assert len(found.pcrs[3]) == 48


def genuine_pcr4() -> bytes:
    from sentinel.attestation import unsafe_parse_without_verification

    return unsafe_parse_without_verification(genuine("2023-01-18_evervault")[0]).pcrs[4]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "where do the measurements come from?"),
        (("--measurements", "pcrs.json", "--release", "release.json"), "where do the"),
        (("--measurements", "pcrs.json", "--key", "00" * 32), "--key is of a release"),
        (("--release", "release.json", "--any-engine"), "whose release is it?"),
        (("--measurements", "pcrs.json"), "whose enclave is it?"),
        ((*BUILT, "--root-key", "release.pub"), "whose enclave is it?"),
        ((*BUILT, "--purpose", "all"), "there is no purpose 'all'"),
        ((*BUILT, "--any-engine"), "--any-engine leaves no engine to name"),
        (("--measurements", "pcrs.json", "--root-key", "release.pub"), "(expectation)"),
        (("--measurements", "engine.json", "--any-engine"), "(measurements)"),
        (("--release", "pcrs.json", "--key", "00" * 32, "--any-engine"), "(release)"),
    ],
)
def test_expect_is_told_what_is_missing(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    run("expect", *words, "--out", "never.json", status=2)
    said = capsys.readouterr().err
    assert says in said
    assert "next step: " in said
    assert not Path("never.json").exists()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("verify", "document.cose"), 2, "--expect"),
        ((*VERIFY, "--at", "soon"), 2, "that is no time"),
        ((*VERIFY, "--at", "2026-03-01T12:00:00"), 2, "no time zone"),
        ((*VERIFY, "--nonce", "zz"), 2, "hex digits"),
        ((*VERIFY, "--nonce", "00 00"), 2, "hex digits"),
        ((*VERIFY, "--nonce", ""), 2, "hex digits"),
        ((*VERIFY, "--nonce", "00"), 2, "a nonce of 1 bytes"),
        ((*VERIFY, "--max-age", "soon"), 2, "soon"),
        ((*VERIFY, "--max-age", "-1s"), 2, "-1s"),
        (("verify", "none.cose", *VERIFY[2:]), 9, "none.cose"),
        (("verify", "enclave.json", *VERIFY[2:]), 8, "attestation refused"),
        ((*VERIFY, "--expect", "none.json"), 9, "none.json"),
        ((*VERIFY, "--root", "none.pem"), 9, "none.pem"),
        (("show", "none.cose"), 9, "none.cose"),
        (("show", "enclave.json"), 8, "(cbor_"),
    ],
)
def test_bad_words(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    status: int,
    says: str,
) -> None:
    made(*BUILT)
    capsys.readouterr()
    run(*words, status=status)
    said: Any = capsys.readouterr()
    assert says in said.err
    assert said.out == ""


def test_a_release_is_signed_and_used(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by one command, used by another; with another key or another byte it is refused."""
    Path("secret").write_bytes(b"a test's own secret")
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", "secret")
    monkeypatch.setenv("ZCP_LIGHT_KEYS", "1")
    for name in ("own", "other"):
        keygen = ["authority", "keygen", name, "--environment", "test", "--out", f"{name}.key"]
        assert main(keygen) == 0
    sign = ["enclave", "release", "pcrs.json", "--version", "1.2.0"]
    assert main([*sign, "--key", "own.key", "--out", "own.json", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.partition("{")[2].join(("{", "")))
    assert told["public_key"] == Person.read(Path("own.pub")).public_key.hex()
    engine = ("--engine", "engine.json")
    found = made("--release", "own.json", "--key", "own.pub", *engine)
    assert dict(found.pcrs) == {index: PCRS[index] for index in found.pcrs}
    assert found.source["version"] == "1.2.0"
    run("expect", "--release", "own.json", "--key", "other.pub", *engine, "--out", "x", status=2)
    assert "(release_signature)" in capsys.readouterr().err
    text = Path("own.json").read_text()
    data = json.loads(text)
    for old in ("1.2.0", data["measurements"]["PCR0"][:8], data["signature"][:8]):
        new = old.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
        Path("altered.json").write_text(text.replace(old, new, 1))
        words = ("--release", "altered.json", "--key", "own.pub", *engine, "--out", "x")
        run("expect", *words, status=2)
        assert "(release_signature)" in capsys.readouterr().err
    assert not Path("x").exists()
    # What could not be read again is not written.
    for version in ("", "x" * 65):
        words = [*sign[:4], version, "--key", "own.key", "--out", "y"]
        assert main(words) == 2
    assert not Path("y").exists()
