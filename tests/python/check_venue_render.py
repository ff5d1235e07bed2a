"""Checks what `zcp venue render` printed against a file of vectors, sharing no code with either.

    python check_venue_render.py VECTORS.jsonl RENDERED.jsonl     ("-": standard input)

Each rendered line must have the vector's method, path, authentication headers and set of
parameters, wherever in query and body they stand, and a signature that is right over the rendered
line's own bytes. Prints counts and each difference; exits with 1 when there is one.
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


def check_line(vector: dict[str, Any], line: dict[str, Any]) -> None:
    need("error" not in line, f"not rendered: {line.get('reason')}: {line.get('error')}")
    wanted = vector["request"]
    for name in ("method", "path"):
        need(line[name] == wanted[name], f"{name} {line[name]!r}, not {wanted[name]!r}")
    need(line["headers"] == wanted["headers"], f"headers {line['headers']!r}")
    ours = without_signature(line["query"], line["body"])
    theirs = without_signature(wanted["query"], wanted["body"])
    for name in sorted(ours.keys() | theirs.keys()):
        ours_text, theirs_text = ours.get(name), theirs.get(name)
        need(ours_text == theirs_text, f"{name} is {ours_text!r}, not {theirs_text!r}")
    check_signature(vector["key"], vector["scheme"], line)


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
