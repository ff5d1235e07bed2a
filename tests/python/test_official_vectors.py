"""The worked examples of the venues' own documents, line by line.

Goal: no line of official.jsonl that can be reproduced and is of a venue of ours is left out; where
its action is ours, the whole engine renders it, else the algorithm that it shows is the core's own.
Method: the core's signature over the printed text; orders rebuilt as neutral lines and rendered as
`zcp venue render` does. What Hyperliquid hashes is tested in test_chain_parts.py, with the lines
whose action is not ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from Crypto.Hash import keccak
from eth_account.messages import encode_typed_data
from test_sign_vectors import keyring, verify

from sentinel import lab

OFFICIAL = Path(__file__).resolve().parents[1] / "golden" / "venues" / "official.jsonl"
LINES = {line["id"]: line for line in map(json.loads, OFFICIAL.read_text("utf-8").splitlines())}
OURS = ("binance_spot", "binance_usdm", "bybit", "okx", "deribit", "hyperliquid", "*")

# Where the string to sign is printed: its signature is recomputed by the core.
PRINTED = [
    "official/binance_spot/hmac/ascii",
    "official/binance_spot/hmac/non_ascii_symbol_percent_encoded",
    "official/binance_spot/hmac/ws_order_place_sorted",
    "official/deribit/hmac/rest_get_account_summary",
    "official/rfc4231/case1",
    "official/rfc4231/case2",
    "official/rfc8032/test1",
]
HL = "official/hyperliquid"
ORDER = {
    "action": "place",
    "symbol": "ETH",
    "asset_id": 1,
    "side": "buy",
    "type": "limit",
    "tif": "gtc",
    "price": "100",
    "qty": "100",
    "reduce_only": False,
    "timestamp_ms": 0,
    "nonce": 0,
}
SENT = {"asset": "USDC", "amount": "1", "address": "0x5e9ee1089755c3435139848e47e6635505d5a13a",
        "network": "test", "timestamp_ms": 1687816341423, "nonce": 1687816341423}  # fmt: skip
# Actions of ours: the order that the whole engine renders to the same signature.
RENDERED: dict[str, dict[str, Any]] = {
    f"{HL}/l1/order_testnet": ORDER | {"network": "test"},
    f"{HL}/l1/order_cloid_mainnet": ORDER | {"client_order_id": "0x" + "0" * 31 + "1"},
    f"{HL}/l1/schedule_cancel_time_mainnet": {
        "action": "cancel_all_after", "trigger_time_ms": 123456789, "timestamp_ms": 0, "nonce": 0,
    },
    f"{HL}/user/usd_send_testnet": SENT | {"action": "transfer"},
    f"{HL}/user/withdraw_testnet": SENT | {"action": "withdraw"},
}  # fmt: skip
# The document shows the hash alone: it is in the digest that the engine signs.
HASHED = {
    f"{HL}/l1/phantom_agent_production_hash": ORDER | {
        "asset_id": 4, "tif": "ioc", "price": "1670.1", "qty": "0.0147",
        "timestamp_ms": 1677777606040, "nonce": 1677777606040,
    },
}  # fmt: skip
# Actions that the core never renders: rebuilt from its hashes in test_chain_parts.py.
PARTS = [
    f"{HL}/l1/dummy_num_mainnet",
    f"{HL}/l1/dummy_vault_testnet",
    f"{HL}/l1/create_sub_account_mainnet",
]


def test_every_line_of_a_venue_of_ours_is_covered() -> None:
    wanted = {
        name for name, line in LINES.items() if line["venue"] in OURS and line["reproducible"]
    }
    assert wanted == {*PRINTED, *RENDERED, *HASHED, *PARTS}
    refuted = [name for name, line in LINES.items() if not line["reproducible"]]
    assert refuted == ["official/binance_spot/ed25519/doc_defect"]


@pytest.mark.parametrize("name", PRINTED)
def test_the_core_signs_the_printed_text(name: str) -> None:
    line = LINES[name]
    text, key = line["string_to_sign"], line["key"]
    data = bytes.fromhex(text) if line["string_to_sign_encoding"] == "hex" else text.encode()
    scheme = {"HMAC-SHA256": "hmac", "Ed25519": "ed25519"}[line["scheme"]]
    secret = next(key[n] for n in ("secret", "client_secret", "key_hex", "seed_hex") if n in key)
    raw = bytes.fromhex(secret) if {"key_hex", "seed_hex"} & key.keys() else secret.encode()
    with keyring() as ring:
        assert ring.take(scheme, raw) == "OK"
        signature, _ = ring.sign(data)
        assert signature.hex() == line["signature"]
        if scheme == "ed25519":
            assert ring.public_key().hex() == key["public_key_hex"]
            assert verify(scheme, ring.public_key(), signature, data)


def rendered(name: str, order: dict[str, Any]) -> dict[str, Any]:
    line = LINES[name]
    key = line.get("key", {"private_key": "0x" + "01" * 32})
    answer = lab.render(
        {"id": name, "venue": "hyperliquid", "scheme": "secp256k1", "key": key, "order": order}
    )
    assert "error" not in answer, answer
    return answer


@pytest.mark.parametrize("name", RENDERED)
def test_the_engine_renders_the_order_of_the_document(name: str) -> None:
    line, answer = LINES[name], rendered(name, RENDERED[name])
    theirs, ours = line["signature"], answer["signature"]
    for half in ("r", "s"):
        assert int(ours[half], 16) == int(theirs[half], 16)
    assert ours["v"] == theirs["v"]
    sent = json.loads(answer["body"])["action"]
    if "action" in line:
        assert sent == line["action"]
    else:
        assert {field: sent[field] for field in line["message"]} == line["message"]


@pytest.mark.parametrize("name", HASHED)
def test_the_engine_signs_the_hash_of_the_document(name: str) -> None:
    line, answer = LINES[name], rendered(name, HASHED[name])
    assert json.loads(answer["body"])["action"] | {"orders": [
        {k: v for k, v in order.items() if k != "c"}
        for order in json.loads(answer["body"])["action"]["orders"]
    ]} == line["action"]  # fmt: skip
    agent = {"source": "a", "connectionId": bytes.fromhex(line["connection_id"][2:])}
    message = encode_typed_data(
        domain_data={"name": "Exchange", "version": "1", "chainId": 1337,
                     "verifyingContract": "0x" + "0" * 40},
        message_types={"Agent": [{"name": "source", "type": "string"},
                                 {"name": "connectionId", "type": "bytes32"}]},
        message_data=agent,
    )  # fmt: skip
    text = b"\x19" + message.version + message.header + message.body
    digest = keccak.new(digest_bits=256, data=text).hexdigest()
    assert answer["string_to_sign"] == digest


def test_the_defect_of_binances_document_is_one() -> None:
    """Its "Ed25519" signature is as long as one of RSA, and no base64."""
    line = LINES["official/binance_spot/ed25519/doc_defect"]
    assert len(line["signature"]) == 343
    assert len(line["signature"]) % 4
