"""An engine that may trade on six venues, with keys of the tests, for tests that look at venues."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from engines import MARKS, PASSPHRASE, Made, make_engine

from sentinel import Signer
from sentinel._enums import Algorithm, Environment, Purpose, Venue
from sentinel.config import KeyFile, public_keys
from sentinel.policy import stable_id

ADDRESS = "0x52908400098527886e0f7030069857d2e4169ee7"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"

POLICY = f"""\
version: 1
firm:
  name: firm
  allow:
    actions: [place, amend, cancel, cancel_all, cancel_all_after, query, withdraw, transfer]
  max_value: 100k USD
  daily_limit: 1M USD
  agents:
    maker: {{rate: 1000/s}}
    treasurer: {{destinations: [cold, arbitrum, desk]}}
destinations:
  cold: {{network: ETH, address: "{ADDRESS}"}}
  arbitrum: {{network: ARBITRUM, address: "{ADDRESS}"}}
  desk: {{account: sub-2}}
assets:
  USD: {{par: 1 USD}}
  USDT: {{par: 1 USD}}
  USDC: {{par: 1 USD, venue: hyperliquid}}
  BTC: {{}}
networks:
  ETH: {{asset: USDT}}
  ARBITRUM: {{asset: USDC, code: ""}}
instruments:
  SPOT: {{venue: binance_spot, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.01, lot: 0.00001}}
  USDM: {{venue: binance_usdm, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.10, lot: 0.001}}
  BYBIT: {{venue: bybit, contract: linear, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.10,
    lot: 0.001}}
  BYBIT-SPOT: {{venue: bybit, contract: spot, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.10,
    lot: 0.001}}
  OKX: {{venue: okx, contract: linear, symbol: BTC-USDT-SWAP, base: BTC, quote: USDT,
    unit: contracts, multiplier: 0.01, tick: 0.1, lot: 0.1}}
  OKX-SPOT: {{venue: okx, contract: spot, symbol: BTC-USDT, base: BTC, quote: USDT, tick: 0.1,
    lot: 0.00000001}}
  DERIBIT: {{venue: deribit, contract: inverse, symbol: BTC-PERPETUAL, base: BTC, quote: USD,
    settle: BTC, unit: quote, tick: 0.5, lot: 10}}
  HL: {{venue: hyperliquid, contract: linear, symbol: BTC, index: 0, base: BTC, quote: USDC,
    tick: 0.1, lot: 0.00001}}
keys:
  spot: {{venue: binance_spot, algorithm: hmac_sha256, for: maker, endpoint: checked}}
  usdm: {{venue: binance_usdm, algorithm: hmac_sha256, for: maker, endpoint: checked}}
  bybit: {{venue: bybit, algorithm: hmac_sha256, for: maker, products: [linear],
    endpoint: checked}}
  okx: {{venue: okx, algorithm: hmac_sha256, for: maker, products: [linear]}}
  deribit: {{venue: deribit, algorithm: hmac_sha256, for: maker, products: [inverse]}}
  hl: {{venue: hyperliquid, algorithm: ecdsa_secp256k1, for: firm}}
  wallet: {{venue: binance_spot, algorithm: hmac_sha256, for: treasurer, products: [wallet],
    endpoint: checked}}
marks: {{max_age: 1h}}
attempts: {{limit: 10000/s}}
"""
MASTER_KEY = """\
  master: {venue: hyperliquid, purpose: venue_master, algorithm: ecdsa_secp256k1, for: firm}
"""
KEYS = {
    "spot": Venue.BINANCE_SPOT,
    "usdm": Venue.BINANCE_USDM,
    "bybit": Venue.BYBIT,
    "okx": Venue.OKX,
    "deribit": Venue.DERIBIT,
    "hl": Venue.HYPERLIQUID,
    "master": Venue.HYPERLIQUID,
    "wallet": Venue.BINANCE_SPOT,
}
INSTRUMENTS = {
    "binance_spot": "SPOT",
    "binance_usdm": "USDM",
    "bybit": "BYBIT",
    "okx": "OKX",
    "deribit": "DERIBIT",
    "hyperliquid": "HL",
}
"""One that each venue trades."""

QUANTITIES = {"OKX": "1.0", "DERIBIT": "100"}


def order_of(instrument: str, **changes: object) -> dict[str, object]:
    """A limit order that every rule lets pass."""
    order = {
        "action": "place",
        "instrument": instrument,
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "quantity": QUANTITIES.get(instrument, "0.010"),
        "price": "65000.00",
    }
    if instrument == "OKX":
        order["margin_mode"] = "cross"
    return {name: value for name, value in (order | changes).items() if value is not None}


def import_keys(directory: Path, *, without_passphrase: bool = False, lab: bool = False) -> None:
    """Test keys of all venues; secrets come from their names."""
    file = KeyFile(directory / "keys" / "engine", PASSPHRASE)
    names = {key.info.id: key.name for key in public_keys(directory)}
    for name, venue in KEYS.items():
        chain = venue is Venue.HYPERLIQUID
        secret = sha256(f"test key {name}".encode()).digest()
        info = file.ring.import_(
            stable_id("key", name),
            Purpose.VENUE_MASTER if name == "master" else Purpose.VENUE,
            Algorithm.ECDSA_SECP256K1 if chain else Algorithm.HMAC_SHA256,
            secret if chain else secret.hex().encode(),
            venue=venue,
            api_key="" if chain else f"test-{name}",
            lab=lab,
        )
        if venue is Venue.OKX and not without_passphrase:
            file.ring.set_passphrase(info.id, "test passphrase")
        names[info.id] = name
    file.save(names)


def make_six(
    directory: Path,
    *,
    policy: str = POLICY,
    environment: Environment = Environment.TEST,
    now_ns: int | None = None,
    without_passphrase: bool = False,
) -> Made:
    """A new engine with keys of all venues, a policy and marks."""
    made = make_engine(directory, policy=None, environment=environment, now_ns=now_ns)
    lab = environment is Environment.LAB
    import_keys(directory, without_passphrase=without_passphrase, lab=lab)
    with Signer.open(directory, passphrase=PASSPHRASE, now_ns=made.now_ns) as signer:
        signer.load_policy(policy, now_ns=made.now_ns)
        names = signer.policy.instruments
        signer.feed_marks(
            dict.fromkeys(names, MARKS["BTCUSDT"]),
            assets={"BTC": MARKS["BTCUSDT"]},
            now_ns=made.now_ns,
        )
        signer.close(made.now_ns)
    return made
