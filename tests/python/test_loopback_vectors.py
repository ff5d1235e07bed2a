"""The loopback venues take what the venues' own SDKs made, and nothing that was changed since.

Goal: the check of signatures is right before it judges anything of ours. Method: every shared
vector is sent as it is, at its own time, to a venue with its key; a refusal may come from the state
of an empty book alone. Then one digit of the signature is turned.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from venue_fakes import VENUES, code_of, send

from tests.venues.loopback import Instrument, Key, LoopbackVenue

GOLDEN = Path(__file__).parents[1] / "golden" / "venues"
# An empty book knows no order to cancel or to amend; two vectors have a price with too many digits.
EMPTY_BOOK = {
    "-2011", "110001", "51400", "10004",
    "Order was never placed, already canceled, or filled. asset=0",
    "Order was never placed, already canceled, or filled. asset=1",
    "Cannot modify canceled or filled order",
    "Price must be divisible by tick size. asset=0",
    "Price must be divisible by tick size. asset=10107",
}  # fmt: skip
BAD_SIGNATURE = {
    "binance_spot": "-1022",
    "binance_usdm": "-1022",
    "bybit": "10004",
    "okx": "50113",
    "deribit": "13009",
}


def vectors(name: str) -> list[dict[str, Any]]:
    lines = (GOLDEN / f"{name}.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [vector for vector in found if vector["request"]["method"] != "JSONRPC"]


ALL = [(name, vector) for name in VENUES for vector in vectors(name)]
IDS = [vector["id"] for _, vector in ALL]


def venue_of(name: str, vector: dict[str, Any]) -> LoopbackVenue:
    """A venue with this key, this symbol and this time."""
    order, secret = vector["order"], vector["key"]
    options: dict[str, Any] = {}
    category = order["market"] if order["market"] in ("spot", "linear", "inverse") else "spot"
    if name == "hyperliquid":
        key = Key(secret["address"])
        vaults = [order["vault_address"]] if order["vault_address"] else []
        options = {"mainnet": order["is_mainnet"], "vaults": vaults}
    else:
        seed = bytes.fromhex(secret.get("private_key_seed_hex", ""))
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key() if seed else None
        key = Key(
            secret.get("api_key", secret.get("client_id", "")),
            secret.get("secret", secret.get("client_secret", "")).encode(),
            public.public_bytes_raw() if public else b"",
            secret.get("passphrase", ""),
        )
    if name == "bybit":
        category = json.loads(vector["request"]["body"]).get("category", "spot")
    if name == "okx" and order["market"] != "spot":
        category = "swap"
    step = Decimal("0.00000001")
    index = order.get("asset_id") or 0
    symbol = order["symbol"] or "BTCUSDT"
    row = Instrument(symbol, step, step, Decimal(1000), category, index, 2 if index > 9999 else 4)
    now = order["timestamp_ms"]
    return VENUES[name](keys=[key], instruments=[row], now_ms=lambda: now, **options)


def deliver(venue: LoopbackVenue, request: dict[str, Any]) -> Any:
    target = request["path"] + (f"?{request['query']}" if request["query"] else "")
    headers = {name: str(value) for name, value in request["headers"].items()}
    body = request["body"].encode() or None
    return send(venue, request["method"], target, body, headers)[1]


@pytest.mark.parametrize(("name", "vector"), ALL, ids=IDS)
def test_takes_what_the_venues_own_sdk_made(name: str, vector: dict[str, Any]) -> None:
    with venue_of(name, vector) as venue:
        code = code_of(name, deliver(venue, vector["request"]))
        assert code in {"0", "200", *EMPTY_BOOK}, code
        assert (sum(venue.accepted.values()) == 1) == (code in ("0", "200"))


@pytest.mark.parametrize(("name", "vector"), ALL, ids=IDS)
def test_refuses_what_was_changed_after_it_was_signed(name: str, vector: dict[str, Any]) -> None:
    """One digit of the signature is another; that is all that differs."""
    request = json.dumps(vector["request"])
    signature = vector["signature"]
    if isinstance(signature, dict):
        signature = signature["r"]
    if signature not in request:
        signature = quote(signature, safe="")
    assert request.count(signature) == 1
    digit = signature[10]
    turned = signature[:10] + ("1" if digit != "1" else "2") + signature[11:]
    changed = json.loads(request.replace(signature, turned))
    with venue_of(name, vector) as venue:
        answer = deliver(venue, changed)
        if name == "hyperliquid":
            assert answer["status"] == "err"
            known = ("User or API Wallet", "Must deposit", "Unable to recover")
            assert answer["response"].startswith(known)
        else:
            assert code_of(name, answer) == BAD_SIGNATURE[name]
        assert not venue.accepted
        assert not venue.log
