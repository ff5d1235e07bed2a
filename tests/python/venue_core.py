"""Renders and signs neutral orders with the core through its C interface, for tests.

The same steps as the gate takes, without a policy: order check, render, sign, finish. Everything
the core is given comes from `sentinel.venue`; the answer has the form of `zcp venue render`.
"""

from __future__ import annotations

import base64
from typing import Any

from core_abi import ffi, lib

from sentinel import venue
from sentinel._enums import Action, Algorithm, Environment, Present, Purpose, Venue
from sentinel._layout import ASSET, INSTRUMENT, NETWORK
from sentinel._status import REASON_CODE
from sentinel.lab import algorithm_of

SMALLEST = (1, 18)
KEYS_MAX = 64
METHODS = {1: "GET", 2: "POST", 3: "PUT", 4: "DELETE"}
SECRETS = ("secret", "client_secret", "private_key_seed_hex", "private_key")


class Refused(Exception):
    """The core's reason, as its code."""


class Renderer:
    """A keyring of the test's own, and the calls around it."""

    def __init__(self) -> None:
        ring = ffi.new("sentinel_keyring **")
        assert lib.sentinel_keyring_new(ring) == 0
        self._ring = ffi.gc(ring[0], lib.sentinel_keyring_free)
        self._keys: dict[tuple[str, ...], Any] = {}
        self._made = 0

    def key(self, scheme: str, key: dict[str, str], lab: venue.LabOrder) -> Any:
        """The key's public half; imported at its first use."""
        purpose, algorithm = purpose_of(lab), algorithm_of(scheme)
        secret = next(key[name] for name in SECRETS if name in key)
        api_key = lab.account or key.get("api_key", key.get("client_id", ""))
        name = (scheme, secret, api_key, lab.venue.name, purpose.name)
        if name not in self._keys:
            if len(self._keys) == KEYS_MAX:  # each vault is a key of its own: the oldest goes
                gone = self._keys.pop(next(iter(self._keys)))
                assert lib.sentinel_keyring_remove(self._ring, gone.id) == 0
            self._made += 1
            info = ffi.new("sentinel_key_info *")
            info.id = self._made
            info.purpose, info.algorithm, info.venue = purpose, algorithm, lab.venue
            info.api_key_size = len(api_key)
            info.api_key[0 : info.api_key_size] = api_key.encode()
            is_text = algorithm is Algorithm.HMAC_SHA256
            data = secret.encode() if is_text else bytes.fromhex(secret.removeprefix("0x"))
            assert lib.sentinel_keyring_import(self._ring, info, data, len(data)) == 0
            self._keys[name] = info
        return self._keys[name]

    def render(self, line: dict[str, Any], *, target_type: int = 0) -> dict[str, Any]:
        """A line of `zcp venue render`. Raises OrderInvalid, or Refused by the core."""
        lab = venue.neutral_order(line["order"])
        data = lab.pack()
        reason = ffi.new("sentinel_reason *")
        assert lib.sentinel_order_check(reason, data, len(data), Environment.LAB) == 0
        refuse(reason[0])
        order = ffi.new("sentinel_order *")
        ffi.memmove(order, data, len(data))
        render = ffi.new("sentinel_render *")
        rows = self._rows(lab, render)
        key = self.key(line["scheme"], line["key"], lab)
        render.order, render.key = order, key
        render.side = getattr(lab.order, "side", 0) or 0
        render.timestamp_ms = render.nonce = lab.timestamp_ms
        test = order.header.present & Present.LAB_TESTNET
        render.environment = Environment.TEST if test else Environment.LAB
        passphrase = ffi.new("char []", line["key"].get("passphrase", "").encode())
        render.passphrase, render.passphrase_size = passphrase, len(passphrase) - 1
        render.target_type = target_type
        self._lab_fields(order.header, lab, render)

        request = ffi.new("sentinel_request *")
        signature = ffi.new("sentinel_signature *")
        refuse(lib.sentinel_venue_render(request, render))
        signed = ffi.addressof(request.text, request.string_to_sign.offset)
        size = request.string_to_sign.size
        data = ffi.cast("const uint8_t *", signed)
        if request.prehashed:
            assert size == 32
            assert lib.sentinel_sign_digest(self._ring, signature, key.id, data) == 0
        else:
            assert lib.sentinel_sign(self._ring, signature, key.id, data, size) == 0
        refuse(lib.sentinel_venue_finish(request, render, signature))
        del rows
        return {"id": line["id"]} | answer(request, signature, lab.venue)

    def _rows(self, lab: venue.LabOrder, render: Any) -> list[Any]:
        """The table rows; kept by the caller as long as the render points to them."""

        def row(kind: str, data: bytes, field: str = "") -> Any:
            made = ffi.new(f"sentinel_{kind} *")
            ffi.memmove(made, data, len(data))
            setattr(render, field or kind, made)
            return made

        rows = []
        if lab.symbol is not None:
            fields = {
                "id": venue.LAB_ID,
                "venue": lab.venue,
                "environment": Environment.LAB,
                "contract": lab.contract,
                "quantity_unit": lab.unit,
                "venue_index": lab.index,
                "symbol": lab.symbol.encode(),
                "symbol_size": len(lab.symbol),
                "tick": SMALLEST,
                "lot": SMALLEST,
            }
            rows.append(row("instrument", INSTRUMENT.pack(**fields)))
            code = {"code": lab.settle.encode(), "code_size": len(lab.settle)}
            rows.append(row("asset", ASSET.pack(id=venue.LAB_ID + 1, **code), "settle"))
        if lab.asset is not None:
            code = {"code": lab.asset.encode(), "code_size": len(lab.asset)}
            token = bytes.fromhex(lab.token.removeprefix("0x"))
            rows.append(
                row("asset", ASSET.pack(id=venue.LAB_ID, venue=lab.venue, token16=token, **code))
            )
        if lab.order.ACTION == Action.WITHDRAW:
            network = (lab.network or "").encode()
            code = {"code": network, "code_size": len(network)}
            rows.append(row("network", NETWORK.pack(id=venue.LAB_ID, asset=venue.LAB_ID, **code)))
        return rows

    @staticmethod
    def _lab_fields(header: Any, lab: venue.LabOrder, render: Any) -> None:
        if header.present & Present.LAB_CLIENT_ID:
            render.client_id_size = header.tag_size
            render.client_id = ffi.buffer(header.tag)[:]
        if header.present & Present.LAB_EXPIRY:
            render.has_expiry, render.expiry = 1, header.lab_expiry
        if header.present & Present.LAB_NONCE:
            render.nonce = header.lab_nonce
        target = getattr(lab.order, "target_client_id", None)
        if target is not None:
            render.target_client_id_size = len(target)
            render.target_client_id[0 : len(target)] = target.encode()


def refuse(reason: int) -> None:
    if reason:
        raise Refused(REASON_CODE[reason])


def purpose_of(lab: venue.LabOrder) -> Purpose:
    if lab.venue is Venue.NONE:
        return Purpose.MESSAGE
    master = lab.venue is Venue.HYPERLIQUID and lab.order.ACTION in (
        Action.WITHDRAW,
        Action.TRANSFER,
    )
    return Purpose.VENUE_MASTER if master else Purpose.VENUE


def signature_text(signature: Any, of: Venue) -> tuple[Any, str]:
    """The signature as `zcp venue render` prints it, and the name of that form."""
    raw = ffi.buffer(signature.bytes)[: signature.size]
    if signature.algorithm == Algorithm.ECDSA_SECP256K1:
        r, s, v = raw[:32].hex(), raw[32:].hex(), 27 + signature.recovery_id
        return {"r": f"0x{r}", "s": f"0x{s}", "v": v}, "JSON {r,s,v}"
    if signature.algorithm == Algorithm.HMAC_SHA256 and of is not Venue.OKX:
        return raw.hex(), "hex-lower"
    return base64.b64encode(raw).decode(), "base64-std-padded"


def answer(request: Any, signature: Any, of: Venue) -> dict[str, Any]:
    text = ffi.buffer(request.text)[:]

    def span(part: Any) -> str:
        return text[part.offset : part.offset + part.size].decode()

    form, encoding = signature_text(signature, of)
    at = request.string_to_sign
    digest = text[at.offset : at.offset + at.size].hex()
    return {
        "method": METHODS.get(request.method, ""),
        "host": span(request.host),
        "path": span(request.path),
        "query": span(request.query),
        "headers": {
            span(request.header_names[i]): span(request.header_values[i])
            for i in range(request.header_count)
        },
        "body": span(request.body),
        "string_to_sign": digest if request.prehashed else span(at),
        "string_to_sign_encoding": (
            "hex (32-byte EIP-712 digest)" if request.prehashed else "utf-8"
        ),
        "signature": form,
        "signature_encoding": encoding,
    }
