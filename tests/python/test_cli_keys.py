"""Keys at the command: what is imported says for whom and what it is good; secrets stay secret.

Goal: each wrong option is a clear error with its remedy, and nothing changed (desk.py says how
that is judged); what was imported is what the core finds in the key file.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from desk import Desk, kept
from engines import PASSPHRASE, Made

from sentinel.config import public_keys
from sentinel.policy import stable_id
from tests.python.core_abi import ffi, lib


@pytest.fixture
def desk(
    engine: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> Desk:
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return Desk(engine, capsys)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


SECRET_FILE = Path(__file__)  # of text, which is all that is read of it
SECRET = "4f3c2b1a0987654321fedcba00112233445566778899aabbccddeeff01234567"


@pytest.mark.parametrize(
    "words",
    [
        ("key", "import", "spot2", "--venue", "binance_spot", "--secret", "hunter2"),
        ("key", "import", "spot2", "--venue", "binance_spot", "--secret=hunter2"),
        ("key", "import", "spot2", "--private-key", SECRET),
        ("key", "import", "spot2", SECRET),
        ("key", "import", SECRET),
        ("key", "generate", "x", "--purpose", SECRET),
        ("key", "import", "x", "--venue", "okx", "--api-passphrase", "hunter2"),
        ("key", "import", "x", "--venue", "hyperliquid", "--account", SECRET),
        ("sign", "--message", "x", "--passphrase", "hunter2"),
        ("init", "--passphrase=hunter2"),
        ("key", "import", "x", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQ\n"),
    ],
    ids=range(11),
)
def test_a_secret_in_argv_is_refused_and_not_repeated(desk: Desk, words: tuple[str, ...]) -> None:
    err = desk.fails(2, *words, says=("refused", "stdin"))
    for secret in ("hunter2", SECRET, "MC4CAQ"):
        assert secret not in err


def test_an_api_key_may_be_long_and_is_not_taken_for_a_secret(desk: Desk, tmp_path: Path) -> None:
    file = write(tmp_path / "secret", "abc")
    words = ("--venue", "binance_usdm", "--api-key", SECRET, "--secret-file", file)
    assert desk.run("key", "import", "usdm", *words)[0] == 0


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("generate", "a b"), 2, "letters, digits"),
        (("generate", "x", "--algorithm", "dsa"), 2, "none of ed25519"),
        (("generate", "x", "--algorithm", "rsa"), 2, "RSA keys are refused"),
        (("import", "x", "--venue", "bybit", "--algorithm", "rsa"), 2, "make an HMAC key at Bybit"),
        (("generate", "x", "--venue", "okx", "--master"), 2, "only hyperliquid has master keys"),
        (("generate", "x", "--venue", "okx", "--account", "0x" + "a" * 40), 2, "of hyperliquid"),
        (("generate", "x", "--venue", "hyperliquid", "--account", "0xabc"), 2, "40 hex digits"),
        (("generate", "x", "--venue", "hyperliquid", "--vault", "5f3c"), 2, "40 hex digits"),
        (("generate", "x", "--venue", "hyperliquid", "--vault", "0x" + "a" * 40, "--account",
          "0x" + "b" * 40), 2, "exclude each other"),
        (("generate", "x", "--venue", "hyperliquid", "--master", "--account", "0x" + "b" * 40), 2,
         "its own account alone"),
        (("generate", "x", "--venue", "hyperliquid", "--master", "--purpose", "venue"), 2,
         "exclude each other"),
        (("import", "x", "--venue", "okx", "--secret-file", SECRET_FILE), 2, "no terminal to ask"),
        (("import", "x", "--venue", "bybit", "--secret-file", SECRET_FILE,
          "--api-passphrase-file", SECRET_FILE), 2, "is of okx"),
        (("generate", "x", "--venue", "nasdaq"), 2, "none of none, binance_spot"),
        (("generate", "x", "--purpose", "authority"), 2, "not made by hand"),
        (("generate", "x", "--purpose", "venue"), 2, "message key has no venue"),
        (("generate", "spot"), 7, "key with this id exists"),
        (("import", "x", "--secret-file", "/does/not/exist"), 9, "No such file"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_made_is_refused(
    desk: Desk, words: tuple[str, ...], status: int, says: str
) -> None:
    before = kept(desk.directory)
    got, err = desk.run("key", *words)
    assert got == status, err
    assert says in err
    assert kept(desk.directory) == before


@pytest.mark.parametrize("text", ["", "zz" * 32, "ab" * 31, "-----BEGIN NONSENSE-----"])
def test_a_secret_that_is_no_key_is_refused_and_not_repeated(
    desk: Desk, tmp_path: Path, text: str
) -> None:
    file = write(tmp_path / "secret", text)
    before = kept(desk.directory)
    words = ("--venue", "binance_spot", "--algorithm", "ed25519", "--secret-file", file)
    status, err = desk.run("key", "import", "x", *words)
    assert status == 7, err
    assert not text or text not in err
    assert kept(desk.directory) == before


def rsa_pem(form: str) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("algorithm", ["", "ed25519", "hmac_sha256"])
def test_an_rsa_key_is_refused_with_what_to_use_instead(
    desk: Desk, tmp_path: Path, form: str, algorithm: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(rsa_pem(form))
    words = ["--venue", "binance_spot", "--secret-file", file]
    words += ["--algorithm", algorithm] if algorithm else []
    status, err = desk.run("key", "import", "x", *words)
    assert status == 7, err
    assert "RSA keys are refused" in err
    assert "Ed25519 or HMAC" in err


def test_a_pem_is_no_hmac_secret(desk: Desk, tmp_path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = write(tmp_path / "secret", pem.decode())
    words = ("--venue", "binance_spot", "--secret-file", file)
    status, err = desk.run("key", "import", "x", *words)
    assert (status, "--algorithm ed25519" in err) == (7, True)


@pytest.mark.parametrize("text", ["", "p" * 65, "a\tb", "caf\u00e9"])
def test_a_passphrase_of_an_api_key_that_cannot_be_sent_is_refused(
    desk: Desk, tmp_path: Path, text: str
) -> None:
    secret, words = write(tmp_path / "secret", "abc"), write(tmp_path / "words", text)
    before = kept(desk.directory)
    status, err = desk.run(
        "key", "import", "x", "--venue", "okx", "--secret-file", secret,
        "--api-passphrase-file", words,
    )  # fmt: skip
    assert (status, "1 to 64 printable ASCII" in err) == (7, True)
    assert kept(desk.directory) == before


ADDRESS = "0x5F3c0b6ED28096c2C4bF3f870C0e9465323c0B6e"


@pytest.mark.parametrize(
    ("options", "purpose", "acts_for"),
    [
        ((), "venue", ""),
        (("--account", ADDRESS), "venue", ADDRESS.lower()),
        (("--vault", ADDRESS), "venue", f"vault-{ADDRESS.lower()}"),
        (("--master",), "venue_master", ""),
        (("--purpose", "venue_master"), "venue_master", ""),
    ],
)
def test_a_key_of_hyperliquid_says_for_whom_it_acts(
    desk: Desk, tmp_path: Path, options: tuple[str, ...], purpose: str, acts_for: str
) -> None:
    secret = write(tmp_path / "secret", "0x" + "5a" * 32)
    words = ("key", "import", "x", "--venue", "hyperliquid", "--secret-file", secret)
    status, err = desk.run(*words, *options)
    assert status == 0, err
    row = {key.name: key.to_json() for key in public_keys(desk.directory)}["x"]
    assert (row["algorithm"], row["purpose"]) == ("ecdsa_secp256k1", purpose)
    assert row["api_key"] == acts_for


def sealed_passphrase(file: Path, name: str) -> bytes:
    """The venue's passphrase beside a key, as the core finds it in a key file."""
    ring, size = ffi.new("sentinel_keyring **"), ffi.new("uint8_t *")
    assert lib.sentinel_keyring_new(ring) == 0
    sealed = file.read_bytes()
    status = lib.sentinel_keyring_unseal(ring[0], sealed, len(sealed), PASSPHRASE, len(PASSPHRASE))
    assert status == 0
    text = lib.sentinel_keyring_passphrase(ring[0], stable_id("key", name), size)
    found = bytes(ffi.buffer(text, size[0])) if size[0] else b""
    lib.sentinel_keyring_free(ring[0])
    return found


@pytest.mark.parametrize("by", ["file", "terminal"])
def test_a_key_of_okx_has_its_passphrase_beside_it(
    desk: Desk, tmp_path: Path, monkeypatch: Any, by: str
) -> None:
    words = ["key", "import", "okx", "--venue", "okx", "--api-key", "9b1c", "--secret-file"]
    words.append(str(write(tmp_path / "secret", "abc")))
    if by == "file":
        file = write(tmp_path / "words", "open sesame\n")
        words += ["--api-passphrase-file", str(file)]
    else:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        monkeypatch.setattr("getpass.getpass", lambda prompt: "open sesame")
    status, err = desk.run(*words)
    assert status == 0, err
    assert sealed_passphrase(desk.directory / "keys" / "engine", "okx") == b"open sesame"
    assert sealed_passphrase(desk.directory / "keys" / "engine", "spot") == b""
    everything = err + (desk.directory / "keys" / "public").read_text()
    assert "sesame" not in everything
