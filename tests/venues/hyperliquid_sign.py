"""Who signed a Hyperliquid action: its digest, and the address that the signature gives.

Written from EIP-712 and the venue's "Signing" page, over libraries that share nothing with the
core: msgpack, pycryptodome's Keccak, coincurve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import coincurve
import msgpack
from Crypto.Hash import keccak

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True, slots=True)
class UserType:
    """An action that a user signs field by field."""

    name: str
    fields: tuple[tuple[str, str], ...]


_CHAIN = ("hyperliquidChain", "string")
_AMOUNT = ("amount", "string")
USER_TYPES = {
    "usdSend": UserType(
        "HyperliquidTransaction:UsdSend",
        (_CHAIN, ("destination", "string"), _AMOUNT, ("time", "uint64")),
    ),
    "withdraw3": UserType(
        "HyperliquidTransaction:Withdraw",
        (_CHAIN, ("destination", "string"), _AMOUNT, ("time", "uint64")),
    ),
    "spotSend": UserType(
        "HyperliquidTransaction:SpotSend",
        (_CHAIN, ("destination", "string"), ("token", "string"), _AMOUNT, ("time", "uint64")),
    ),
    "usdClassTransfer": UserType(
        "HyperliquidTransaction:UsdClassTransfer",
        (_CHAIN, _AMOUNT, ("toPerp", "bool"), ("nonce", "uint64")),
    ),
}


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def _text(value: str) -> bytes:
    return keccak256(value.encode())


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _domain(name: str, chain: int) -> bytes:
    kind = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    return keccak256(_text(kind) + _text(name) + _text("1") + _word(chain) + _word(0))


def l1_digest(
    action: dict[str, Any],
    nonce: int,
    vault: str | None,
    expires_after: int | None,
    *,
    mainnet: bool,
) -> bytes:
    data = msgpack.packb(action) + nonce.to_bytes(8, "big")
    data += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault[2:])
    if expires_after is not None:
        data += b"\x00" + expires_after.to_bytes(8, "big")
    source = _text("a" if mainnet else "b")
    agent = keccak256(_text("Agent(string source,bytes32 connectionId)") + source + keccak256(data))
    return keccak256(b"\x19\x01" + _domain("Exchange", 1337) + agent)


def user_digest(action: dict[str, Any]) -> bytes:
    kind = USER_TYPES[action["type"]]
    signature = ",".join(f"{type_} {name}" for name, type_ in kind.fields)
    parts = [_text(f"{kind.name}({signature})")]
    for name, type_ in kind.fields:
        value = action[name]
        parts.append(_text(value) if type_ == "string" else _word(int(value)))
    domain = _domain("HyperliquidSignTransaction", int(action["signatureChainId"], 16))
    return keccak256(b"\x19\x01" + domain + keccak256(b"".join(parts)))


def recover(digest: bytes, signature: dict[str, Any]) -> str | None:
    """The signer's address; null for a signature that is none, or could be bent (high s)."""
    try:
        r, s, v = int(signature["r"], 16), int(signature["s"], 16), signature["v"]
        if v not in (27, 28) or not 0 < r < ORDER or not 0 < s <= ORDER // 2:
            return None
        whole = _word(r) + _word(s) + bytes([v - 27])
        key = coincurve.PublicKey.from_signature_and_message(whole, digest, hasher=None)
    except Exception:  # coincurve raises no kind of its own
        return None
    return "0x" + keccak256(key.format(compressed=False)[1:])[12:].hex()


def address_of(private_key: bytes) -> str:
    """The address of a key; for tests that make their own."""
    public = coincurve.PrivateKey(private_key).public_key.format(compressed=False)
    return "0x" + keccak256(public[1:])[12:].hex()
