"""Checks what `zcp venue render` printed against a file of vectors, sharing no code with either.

    python check_venue_render.py VECTORS.jsonl RENDERED.jsonl     ("-": standard input)

Each rendered line must have the vector's method, path, authentication headers and set of
parameters, and a signature that is right over the rendered line's own bytes. A login must have been
refused. Prints counts and each difference; exits with 1 when there is one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgpack
from Crypto.Hash import keccak
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")


class Difference(Exception):
    """What is wrong with a line."""


def need(holds: bool, text: str) -> None:
    if not holds:
        raise Difference(text)


def parameters(text: str) -> dict[str, str]:
    """`name=value&name=value`, percent-decoded; strict, because a venue would be."""
    found: dict[str, str] = {}
    for pair in text.split("&") if text else []:
        name, equals, value = pair.partition("=")
        need(bool(name) and equals == "=", f"{pair!r} is no parameter")
        need(UNRESERVED.fullmatch(ESCAPED.sub("", value)) is not None, f"{pair!r} is not encoded")
        need(name not in found, f"{name} stands twice")
        found[name] = ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)
    return found


def without_signature(query: str, body: str) -> dict[str, str]:
    both = parameters(query) | parameters(body)
    need(len(both) == len(parameters(query)) + len(parameters(body)), "in query and in body")
    both.pop("signature", None)
    return both


def check_signature(key: dict[str, str], scheme: str, line: dict[str, Any]) -> None:
    """Right over the line's own bytes, last in the query, and those bytes are what is sent."""
    need(line["string_to_sign_encoding"] == "utf-8", "the string to sign is not text")
    signed = line["string_to_sign"]
    sent, separator, tail = line["query"].rpartition("&signature=")
    need(separator != "" and "&" not in tail, "the signature is not the last parameter")
    need(sent + line["body"] == signed, f"{signed!r} was signed, {sent!r} is sent")
    need(parameters(line["query"])["signature"] == line["signature"], "another signature is sent")
    if scheme == "HMAC-SHA256":
        right = hmac.new(key["secret"].encode(), signed.encode(), hashlib.sha256).hexdigest()
        need(line["signature_encoding"].startswith("hex"), "the signature is not in hex")
        need(line["signature"] == right, f"the signature is not {right}")
        return
    need(scheme == "Ed25519", f"{scheme} is not known here")
    need(line["signature_encoding"].startswith("base64"), "the signature is not in base64")
    seed = bytes.fromhex(key["private_key_seed_hex"])
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    try:
        public.verify(base64.b64decode(line["signature"], validate=True), signed.encode())
    except (InvalidSignature, ValueError):
        raise Difference("the signature does not verify") from None


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for name in sorted(ours.keys() | theirs.keys()):
        our_value, their_value = ours.get(name), theirs.get(name)
        need(
            our_value == their_value and type(our_value) is type(their_value),
            f"{name} is {our_value!r}, not {their_value!r}",
        )


def json_object(text: str) -> dict[str, Any]:
    """A JSON object whose names stand once, with numbers that are integers."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len({name for name, _ in pairs}) == len(pairs), "a name stands twice in the body")
        return dict(pairs)

    def refuse(number: str) -> Any:
        raise Difference(f"{number} is no integer")

    try:
        found = json.loads(text, object_pairs_hook=once, parse_float=refuse)
    except ValueError:
        raise Difference(f"{text!r} is no JSON") from None
    need(isinstance(found, dict), "the body is no object")
    return dict(found)


def named_headers(headers: dict[str, str], *names: str) -> dict[str, str]:
    """Those headers; there is no other but the type of the body."""
    left = {name for name in headers if name not in names} - {"Content-Type"}
    need(not left, f"headers {sorted(left)} are sent too")
    return {name: headers.get(name, "") for name in names}


def hmac_of(secret: str, text: str) -> bytes:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()


def check_binance(vector: dict[str, Any], line: dict[str, Any]) -> None:
    wanted = vector["request"]
    need(line["headers"] == wanted["headers"], f"headers {line['headers']!r}")
    ours = without_signature(line["query"], line["body"])
    same(ours, without_signature(wanted["query"], wanted["body"]))
    check_signature(vector["key"], vector["scheme"], line)


def same_parameters(vector: dict[str, Any], line: dict[str, Any]) -> None:
    wanted = vector["request"]
    same(parameters(line["query"]), parameters(wanted["query"]))
    if wanted["body"] or line["body"]:
        same(json_object(line["body"]), json_object(wanted["body"]))
        need(line["headers"].get("Content-Type") == "application/json", "the body has no type")


def signed_text(line: dict[str, Any], text: str) -> None:
    need(line["string_to_sign_encoding"] == "utf-8", "the string to sign is not text")
    need(line["string_to_sign"] == text, f"{line['string_to_sign']!r} was signed, not {text!r}")


def check_bybit(vector: dict[str, Any], line: dict[str, Any]) -> None:
    prefix = "X-BAPI-"
    names = [prefix + name for name in ("API-KEY", "TIMESTAMP", "RECV-WINDOW", "SIGN")]
    sent = named_headers(line["headers"], *names)
    for name in names[:3]:
        need(sent[name] == vector["request"]["headers"][name], f"{name} is {sent[name]!r}")
    same_parameters(vector, line)
    text = sent[names[1]] + sent[names[0]] + sent[names[2]] + (line["query"] or line["body"])
    signed_text(line, text)
    right = hmac_of(vector["key"]["secret"], text).hex()
    need(line["signature"] == right and sent[names[3]] == right, f"the signature is not {right}")


def check_okx(vector: dict[str, Any], line: dict[str, Any]) -> None:
    names = [f"OK-ACCESS-{name}" for name in ("KEY", "PASSPHRASE", "TIMESTAMP", "SIGN")]
    sent = named_headers(line["headers"], *names)
    for name in names[:3]:
        need(sent[name] == vector["request"]["headers"][name], f"{name} is {sent[name]!r}")
    same_parameters(vector, line)
    query = f"?{line['query']}" if line["query"] else ""
    text = sent[names[2]] + line["method"] + line["path"] + query + line["body"]
    signed_text(line, text)
    right = base64.b64encode(hmac_of(vector["key"]["secret"], text)).decode()
    need(line["signature"] == right and sent[names[3]] == right, f"the signature is not {right}")


def check_deribit(vector: dict[str, Any], line: dict[str, Any]) -> None:
    sent = named_headers(line["headers"], "Authorization")["Authorization"]
    scheme, _, members = sent.partition(" ")
    need(scheme == "deri-hmac-sha256", f"the scheme is {scheme!r}")
    pairs = [member.partition("=")[::2] for member in members.split(",")]
    found = dict(pairs)
    need(sorted(name for name, _ in pairs) == ["id", "nonce", "sig", "ts"], f"{sent!r}")
    order = vector["order"]
    need(found["id"] == vector["key"]["client_id"], "another client id")
    need(found["ts"] == str(order["timestamp_ms"]), "another timestamp")
    need(found["nonce"] == str(order["nonce"]), "another nonce")
    same_parameters(vector, line)
    uri = line["path"] + (f"?{line['query']}" if line["query"] else "")
    text = f"{found['ts']}\n{found['nonce']}\n{line['method']}\n{uri}\n{line['body']}\n"
    signed_text(line, text)
    right = hmac_of(vector["key"]["client_secret"], text).hex()
    need(line["signature"] == right and found["sig"] == right, f"the signature is not {right}")


def keccak256(data: bytes) -> bytes:
    return bytes(keccak.new(digest_bits=256, data=data).digest())


def connection_id(body: dict[str, Any]) -> str:
    """What an L1 action commits to, from the body that is sent."""
    preimage = msgpack.packb(body["action"]) + body["nonce"].to_bytes(8, "big")
    vault, expires = body["vaultAddress"], body["expiresAfter"]
    preimage += b"\1" + bytes.fromhex(vault[2:]) if vault else b"\0"
    preimage += b"\0" + expires.to_bytes(8, "big") if expires is not None else b""
    return "0x" + keccak256(preimage).hex()


def check_hyperliquid(vector: dict[str, Any], line: dict[str, Any]) -> None:
    named_headers(line["headers"])
    need(line["query"] == "", "there is a query")
    ours, theirs = json_object(line["body"]), json_object(vector["request"]["body"])
    our_signature, their_signature = ours.pop("signature"), theirs.pop("signature")
    same(ours, theirs)
    need(list(ours["action"]) == list(theirs["action"]), "the members stand in another order")
    if vector.get("connection_id"):
        right = connection_id(ours)
        need(right == vector["connection_id"], f"the connection id is {right}")
    need(line["string_to_sign_encoding"].startswith("hex"), "the digest is not in hex")
    digest = vector["eip712"]["digest"].removeprefix("0x")
    need(line["string_to_sign"] == digest, f"the digest is not {digest}")
    need(line["signature"] == our_signature, "another signature is sent")
    for part in ("r", "s"):
        need(
            re.fullmatch("0x[0-9a-f]{64}", our_signature[part]) is not None, f"{part} is no number"
        )
        # The nonce follows from digest and key (RFC 6979), so every right signature is the same.
        need(int(our_signature[part], 16) == int(their_signature[part], 16), f"another {part}")
    need(our_signature["v"] == their_signature["v"], "another v")


CHECKS = {
    "binance_spot": check_binance,
    "binance_usdm": check_binance,
    "bybit": check_bybit,
    "okx": check_okx,
    "deribit": check_deribit,
    "hyperliquid": check_hyperliquid,
}


def check_line(vector: dict[str, Any], line: dict[str, Any]) -> None:
    if vector["order"]["action"] == "auth":
        need("error" in line, "a login was signed")
        need(line["reason"] == "unsupported", f"the login was refused for {line['reason']!r}")
        return
    need("error" not in line, f"not rendered: {line.get('reason')}: {line.get('error')}")
    for name in ("method", "path"):
        wanted = vector["request"][name]
        need(line[name] == wanted, f"{name} {line[name]!r}, not {wanted!r}")
    CHECKS[vector["venue"]](vector, line)


def by_id(text: str, what: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in text.splitlines():
        if row.strip():
            line = json.loads(row)
            if line["id"] in found:
                raise SystemExit(f"{what}: {line['id']} stands twice")
            found[line["id"]] = line
    return found


def read(name: str) -> str:
    return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")


def main(vectors_file: str, rendered_file: str) -> int:
    vectors = by_id(read(vectors_file), vectors_file)
    rendered = by_id(read(rendered_file), rendered_file)
    differ = 0
    for name in [*vectors, *(name for name in rendered if name not in vectors)]:
        try:
            need(name in vectors, "there is no such vector")
            need(name in rendered, "it was not rendered")
            check_line(vectors[name], rendered[name])
        except Difference as difference:
            differ += 1
            print(f"{name}: {difference}")
    total = len(vectors.keys() | rendered.keys())
    print(f"{Path(vectors_file).name}: {total} lines, {total - differ} equal, {differ} differ")
    return 1 if differ or not vectors else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
