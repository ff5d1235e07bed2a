"""Lines to render, policies, keys and listings that a venue would not take, from a user's chair.

Goal and method: as test_bad_input_venues.py, for the commands that read files.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from engines import PASSPHRASE, Made
from listing_samples import FILES, one, rows
from six_venues import POLICY, VAULT, make_six, order_of
from venue_desk import BAD_TAGS, VENUES, Answer, Desk, seat

from sentinel._cli import main
from sentinel._enums import Environment
from sentinel._frame import FrameKind
from sentinel.config import AuthorityRing, KeyFile, public_keys
from sentinel.policy import compile_policy, decode_policy, stable_id
from sentinel.sign import Signer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_six(tmp_path_factory.mktemp("six") / "engine")


@pytest.fixture
def desk(
    made: Made,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    return seat(made, tmp_path, capsys, monkeypatch)


# ---- Lines of `zcp venue render` --------------------------------------------------------------


def rendered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: list[dict[str, Any] | str]
) -> list[dict[str, Any]]:
    file = tmp_path / "lines.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("".join(f"{text}\n" for text in texts))
    capsys.readouterr()
    assert main(["venue", "render", str(file)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return [json.loads(line) for line in captured.out.splitlines()]


VECTORS = Path(__file__).resolve().parents[1] / "golden" / "venues"


def vector(venue: str, action: str = "place") -> dict[str, Any]:
    lines = map(json.loads, (VECTORS / f"{venue}.jsonl").read_text().splitlines())
    found: dict[str, Any] = next(line for line in lines if line["order"]["action"] == action)
    return found


LINES: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    *((venue, "place", {"action": login}, "unsupported", "is never signed", "each order signed")
      for venue in VENUES for login in ("auth", "login", "logon", "session.logon")),
    *((venue, "place", {"client_order_id": "a&b"}, "order_text", "client_order_id: 'a&b'", "'_'")
      for venue in VENUES),
    *((venue, "place", {"client_order_id": tags[0]}, "order_text",
       f"a client order id of {venue} has", "give such a one") for venue, tags in BAD_TAGS.items()),
    *((venue, "place", {"symbol": 'BTC"USDT'}, "order_text", "symbol: 'BTC\"USDT'", "listing")
      for venue in VENUES if venue != "hyperliquid"),
    *((venue, "place", {"symbol": None}, "order_fields", "symbol is missing", "give it")
      for venue in VENUES),
    *((venue, "place", {"market": "moon"}, "unsupported", "market: 'moon' is not of", "one of")
      for venue in VENUES),
    *((venue, "place", {"account": "sub"}, "unsupported", "no field for account", "leave it out")
      for venue in VENUES),
    *((venue, "place", {"recv_window": -1}, "order_fields", "recv_window: -1 is negative", "give")
      for venue in VENUES),
    *((venue, "place", {"timestamp_ms": None}, "order_fields", "timestamp_ms is missing", "give")
      for venue in VENUES),
    *((venue, "cancel", {"order_id": '1","a":"', "client_order_id": None}, "order_text",
       "order_id: '1", "letters, digits") for venue in VENUES),
    ("hyperliquid", "place", {"vault_address": "0x12"}, "order_text", "vault_address", "0x and 40"),
    ("hyperliquid", "place", {"network": "test", "is_mainnet": True}, "order_fields",
     "neither main nor test, or is_mainnet disagrees", "give"),
    ("hyperliquid", "place", {"type": "market", "tif": None, "price": None}, "unsupported",
     "the worst price that may be taken", "give `price`"),
    ("hyperliquid", "withdraw", {"vault_address": VAULT}, "unsupported", "hyperliquid has withdraw",
     "docs/venues/hyperliquid.md"),
    *(("hyperliquid", action, {"address": address}, "order_text", "0x and 40 hexadecimal digits",
       "write the address so") for action in ("withdraw", "transfer")
      for address in ("0x12", "0x" + "g" * 40, "x" * 42)),
    ("bybit", "place", {"nonce": 5}, "unsupported", "no parameter for nonce", "leave it out"),
]  # fmt: skip


@pytest.mark.parametrize(("venue", "action", "change", "reason", "error", "remedy"), LINES)
def test_a_line_that_cannot_be_rendered_says_why_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    venue: str,
    action: str,
    change: dict[str, Any],
    reason: str,
    error: str,
    remedy: str,
) -> None:
    line = vector(venue, action)
    line["order"] |= change
    [answer] = rendered(capsys, tmp_path, [line])
    assert set(answer) == {"id", "error", "reason", "next_step"}
    assert (answer["id"], answer["reason"]) == (line["id"], reason), answer
    assert error in answer["error"]
    assert remedy in answer["next_step"]


@pytest.mark.parametrize(
    ("venue", "change", "error", "remedy"),
    [
        ("bybit", {"scheme": "RSA-SHA256"}, "RSA keys are refused", "make an HMAC key at Bybit"),
        ("binance_spot", {"scheme": "RSA"}, "RSA keys are refused", "make an Ed25519 or HMAC key"),
        ("okx", {"scheme": "RSA"}, "RSA keys are refused", "make an HMAC key at OKX"),
        ("okx", {"scheme": "none"}, "is none of HMAC-SHA256", "how the key signs"),
        ("okx", {"key": {"api_key": "a", "secret": "b"}}, "key.passphrase", "was chosen when"),
        ("okx", {"key": None}, "key: an object is needed", "docs/cli.md"),
        ("bybit", {"venue": "kraken"}, "two venues", "docs/cli.md"),
        ("bybit", {"order": None}, "order: an object is needed", "docs/cli.md"),
        ("hyperliquid", {"key": {"private_key": "0x12"}}, "32 bytes in hex", "docs/cli.md"),
    ],
)
def test_a_line_whose_key_or_scheme_is_wrong(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    venue: str,
    change: dict[str, Any],
    error: str,
    remedy: str,
) -> None:
    [answer] = rendered(capsys, tmp_path, [vector(venue) | change])
    assert answer["reason"] == "input"
    assert error in answer["error"]
    assert remedy in answer["next_step"]


def test_bad_lines_do_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines: list[dict[str, Any] | str] = ["{", "[]", vector("okx"), '{"id": 1}', vector("bybit")]
    answers = rendered(capsys, tmp_path, lines)
    assert ["error" in answer for answer in answers] == [True, True, False, True, False]
    assert "one JSON object a line" in answers[0]["next_step"]


# ---- Policies -----------------------------------------------------------------------------------

BYBIT_KEY = "products: [linear],\n    endpoint: checked"
USDM_KEY = "venue: binance_usdm, algorithm: hmac_sha256, for: maker, endpoint: checked"
HL_KEY = "venue: hyperliquid, algorithm: ecdsa_secp256k1, for: firm"
POLICIES: list[tuple[str, str, str, str]] = [
    (BYBIT_KEY, "products: [linear, spot],\n    endpoint: checked",
     "a bybit key for several products is not limited", "or accept the risk with `endpoint: gran"),
    (BYBIT_KEY, "products: [linear]", "signatures of bybit do not cover the endpoint", "checked`"),
    (BYBIT_KEY, "endpoint: checked", "a bybit key needs `products:`", "spot, linear, inverse"),
    (USDM_KEY, f"products: [spot, linear], {USDM_KEY}", "a binance_usdm key for several products",
     "have one key for each product"),
    ("venue: bybit, algorithm: hmac_sha256", "venue: bybit, algorithm: rsa",
     "RSA keys are refused", "make an HMAC key at Bybit"),
    ("venue: okx, algorithm: hmac_sha256", "venue: okx, algorithm: ed25519",
     "okx has no requests signed with ed25519", "use hmac_sha256"),
    (HL_KEY, f"products: [linear, wallet], {HL_KEY}", "an agent key cannot move funds",
     "`purpose: venue_master`"),
    (HL_KEY, f"purpose: venue_master, products: [linear], {HL_KEY}", "moves funds and nothing else",
     "`products: [wallet]`"),
    (HL_KEY, f"purpose: venue_master, {HL_KEY}", "was made with the purpose venue", "another key"),
    (HL_KEY, f"account: vault-{VAULT}, {HL_KEY}", "for the account 'vault-0x", "of this account"),
    ("venue: okx, algorithm", "account: sub-3, venue: okx, algorithm", "for the account 'sub-3'",
     "import the key of this account"),
    ("  okx: {venue: okx", "  okx9: {venue: okx", "the keyring has no key 'okx9'", "zcp key gen"),
    (f"usdm: {{{USDM_KEY}", f"usdm: {{validity: 90s, {USDM_KEY}", "at most 60s", "such as 5s"),
    ("tick: 0.01, lot: 0.00001", "unit: quote, tick: 0.01, lot: 0.00001",
     "a quantity of spot counts base", "write that"),
    ("SPOT: {venue: binance_spot,", "SPOT: {venue: binance_spot, contract: linear,",
     "binance_spot has spot instruments only", "name another venue"),
    ("BYBIT-SPOT: {venue: bybit, contract: spot", "BYBIT-SPOT: {venue: bybit, contract: linear",
     "'BTCUSDT' of bybit is the instrument 'BYBIT' already", "remove one of the two"),
    ("symbol: BTC, index: 0,", "symbol: BTC,", "knows an instrument by its number", "`index:`"),
    ("symbol: BTC, index: 0,", "symbol: BTC, index: 10000,", "the number of linear instruments",
     ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says", "remedy"), POLICIES)
@pytest.mark.parametrize("command", ["load", "compile"])
def test_a_policy_that_says_what_the_venue_has_not(
    desk: Desk, command: str, old: str, new: str, says: str, remedy: str
) -> None:
    assert old in POLICY
    file = desk.write("policy.yaml", POLICY.replace(old, new, 1))
    words: tuple[str | Path, ...] = ("policy", command, file)
    if command == "compile":
        words += ("--out", desk.folder / "x.bundle")
    desk.is_wrong(2, *words, says=says, remedy=remedy)
    assert "policy.yaml:" in desk.run(*words).err
    assert not (desk.folder / "x.bundle").exists()


@pytest.mark.parametrize(
    ("old", "new", "instrument", "says"),
    [
        ("unit: contracts, multiplier: 0.01, tick", "unit: base, tick", "OKX",
         "quantities of linear count contracts at okx, and the policy's row of OKX says base"),
        ("unit: quote, tick: 0.5", "unit: contracts, multiplier: 10, tick: 0.5", "DERIBIT",
         "quantities of inverse count quote at deribit"),
        ("lot: 0.00001}\nkeys", "unit: contracts, multiplier: 1, lot: 0.00001}\nkeys", "HL",
         "quantities of linear count base at hyperliquid"),
    ],
)  # fmt: skip
def test_a_quantity_unit_that_the_venue_does_not_take(
    tmp_path: Path, capsys: Any, monkeypatch: Any, old: str, new: str, instrument: str, says: str
) -> None:
    desk = seat(make_six(tmp_path / "engine"), tmp_path, capsys, monkeypatch)
    assert old in POLICY
    file = desk.write("policy.yaml", POLICY.replace(old, new, 1))
    loaded = desk.run("policy", "load", file)
    assert loaded.status == 0  # other instruments may be traded
    assert f"not-traded: {says}" in loaded.err
    assert "next step: write `unit: " in loaded.err
    desk.is_refused(order_of(instrument), "unsupported", says, "write `unit: ")


def test_a_policy_of_another_environment(desk: Desk) -> None:
    """Such a bundle has instruments of that environment; the engine takes none of it."""
    live = Environment.LIVE
    with Signer.open(desk.made.directory, passphrase=PASSPHRASE) as signer:
        now = time.time_ns()
        keys = [key.info for key in public_keys(desk.made.directory)]
        terms = replace(signer._installed.terms(99, now), environment=live)
        part = compile_policy(POLICY, terms, keyring=keys)
        frame = AuthorityRing.open(desk.made.directory, PASSPHRASE).sign(FrameKind.POLICY, part)
    bundle = desk.folder / "policy.bundle"
    bundle.write_bytes(frame)
    assert {row.environment for row in decode_policy(frame).instruments.values()} == {live}
    words = ("policy", "load", bundle)
    desk.is_wrong(2, *words, says="environment", remedy="the engine's own environment")


# ---- Keys -------------------------------------------------------------------------------------

PEM = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
HEX = "ab" * 32
KEYS: list[tuple[int, tuple[str, ...], str, str | None, str, str]] = [
    *((7, ("--venue", venue, "--api-key", "k"), PEM.decode(), "p" if venue == "okx" else None,
       "RSA keys are refused", remedy)
      for venue, remedy in {"binance_spot": "Ed25519 or HMAC key at Binance",
                            "binance_usdm": "Ed25519 or HMAC key at Binance",
                            "bybit": "HMAC key at Bybit", "okx": "HMAC key at OKX",
                            "deribit": "client id and secret"}.items()),
    (7, ("--venue", "hyperliquid"), PEM.decode(), None, "RSA keys", "agent key of Hyperliquid"),
    (2, ("--venue", "okx", "--api-key", "k"), HEX, None, "no terminal to ask", "-passphrase-file"),
    (7, ("--venue", "okx", "--api-key", "k"), HEX, "", "passphrase is empty", "chosen when"),
    (7, ("--venue", "okx", "--api-key", "k"), HEX, " p", "no header has", "without a space"),
    (7, ("--venue", "okx", "--api-key", "k"), HEX, "p" * 65, "too long", "1 to 64 printable"),
    (2, ("--venue", "bybit", "--api-key", "k"), HEX, "p", "is of okx", ""),
    (2, ("--venue", "bybit"), HEX, None, "--api-key is missing", "not secret"),
    (2, ("--venue", "deribit"), HEX, None, "--api-key is missing", "client id"),
    (2, ("--venue", "bybit", "--api-key", "a b"), HEX, None, "letters, digits", "from the venue"),
    (2, ("--venue", "bybit", "--api-key", "a\nX: b"), HEX, None, "letters, digits", "from the v"),
    (2, ("--venue", "bybit", "--api-key", "k", "--algorithm", "ed25519"), HEX, None,
     "bybit has no requests signed with ed25519", "use hmac_sha256"),
    (2, ("--venue", "hyperliquid", "--algorithm", "hmac_sha256"), HEX, None,
     "hyperliquid has no requests signed with hmac_sha256", "use ecdsa_secp256k1"),
    (2, ("--venue", "binance_spot", "--api-key", "k", "--algorithm", "bip340"), HEX, None,
     "no requests signed with bip340", "hmac_sha256 or ed25519"),
    (7, ("--venue", "hyperliquid"), "zz" * 32, None, "is no ecdsa_secp256k1 key", "64 hex digits"),
    (2, ("--venue", "hyperliquid", "--vault", "0x12"), HEX, None, "no address", "40 hex digits"),
    (2, ("--venue", "hyperliquid", "--vault", VAULT, "--account", VAULT), HEX, None,
     "exclude each other", "--account for an agent key"),
    (2, ("--venue", "hyperliquid", "--master", "--vault", VAULT), HEX, None,
     "a master key acts for its own account alone", "leave --account and --vault out"),
    (2, ("--venue", "bybit", "--api-key", "k", "--account", VAULT), HEX, None,
     "are of hyperliquid", "use --api-key"),
    (2, ("--venue", "bybit", "--master"), HEX, None, "only hyperliquid has master keys", "--venue"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "words", "secret", "passphrase", "says", "remedy"), KEYS)
def test_a_key_that_the_venue_would_not_take(
    desk: Desk,
    status: int,
    words: tuple[str, ...],
    secret: str,
    passphrase: str | None,
    says: str,
    remedy: str,
) -> None:
    command: tuple[str | Path, ...] = ("key", "import", "new", *words, "--secret-file")
    command += (desk.write("secret", secret),)
    if passphrase is not None:
        command += ("--api-passphrase-file", desk.write("api-passphrase", passphrase))
    desk.is_wrong(status, *command, says=says, remedy=remedy)
    err = desk.run(*command).err
    assert secret not in err
    assert "PRIVATE KEY" not in err


def test_an_okx_key_without_a_passphrase_signs_nothing(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    made = make_six(tmp_path / "engine", without_passphrase=True)
    desk = seat(made, tmp_path, capsys, monkeypatch)
    remedy = "--api-passphrase-file"
    desk.is_refused(order_of("OKX"), "key_unavailable", "okx has no passphrase here", remedy)


def test_a_key_that_the_keyring_has_no_longer(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    made = make_six(tmp_path / "engine")
    file = KeyFile(made.directory / "keys" / "engine", PASSPHRASE)
    names = {key.info.id: key.name for key in public_keys(made.directory) if key.name != "bybit"}
    file.ring.remove(stable_id("key", "bybit"))
    file.save(names)
    desk = seat(made, tmp_path, capsys, monkeypatch)
    cause = "bybit is not in this engine's keyring"
    desk.is_refused(order_of("BYBIT"), "key_unavailable", cause, "zcp key list; import it")


# ---- Listings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", VENUES)
def test_a_symbol_that_the_listing_lacks(desk: Desk, venue: str) -> None:
    listing = desk.write("listing.json", json.dumps(one(FILES[venue][0])))
    got = run_listing(desk, venue, listing, "--symbol", "DOGELON")
    assert got.status == 2
    assert "has no symbol 'DOGELON'" in got.err
    assert "next step: " in got.err
    assert got.out == ""


@pytest.mark.parametrize("venue", VENUES)
def test_a_listing_with_a_row_twice_or_without_its_symbol(desk: Desk, venue: str) -> None:
    answer = one(FILES[venue][0])
    table = rows(answer)
    symbol = next(name for name in ("symbol", "instId", "instrument_name", "name")
                  if name in table[0])  # fmt: skip
    table.append(table[0])
    got = run_listing(desk, venue, desk.write("twice.json", json.dumps(answer)))
    assert (got.status, got.out) == (2, ""), got
    assert "twice.json: " in got.err
    assert "is listed twice; first at" in got.err
    assert "next step: " in got.err
    table.pop()
    del table[0][symbol]
    got = run_listing(desk, venue, desk.write("less.json", json.dumps(answer)))
    assert (got.status, got.out) == (2, ""), got
    assert f"the field '{symbol}' is missing" in got.err
    assert "next step: " in got.err


def run_listing(desk: Desk, venue: str, file: Path, *words: str) -> Answer:
    desk.capsys.readouterr()
    status = main(["venue", "instruments", venue, str(file), *words])
    captured = desk.capsys.readouterr()
    assert "Traceback" not in captured.err
    return Answer(status, captured.out, captured.err)
