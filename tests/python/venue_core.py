"""Renders and signs neutral orders with the core through its C interface, for tests.

The same steps as the gate takes, without a policy: order check, render, sign, finish. Everything
the core is given comes from `sentinel.venue`; the answer has the form of `zcp venue render`.
"""

from __future__ import annotations

from typing import Any

from core_abi import ffi, lib

from sentinel import venue
from sentinel._enums import Action, Algorithm, Environment, Present, Purpose, Unit, Venue
from sentinel._layout import ASSET, INSTRUMENT, NETWORK
from sentinel._status import REASON_CODE

METHODS = {1: "GET", 2: "POST", 3: "PUT", 4: "DELETE"}
ALGORITHMS = {"HMAC-SHA256": Algorithm.HMAC_SHA256, "Ed25519": Algorithm.ED25519}


class Refused(Exception):
    """The core's reason, as its code."""


class Renderer:
    """A keyring of the test's own, and the calls around it."""

    def __init__(self) -> None:
        ring = ffi.new("sentinel_keyring **")
        assert lib.sentinel_keyring_new(ring) == 0
        self._ring = ffi.gc(ring[0], lib.sentinel_keyring_free)
        self._keys: dict[tuple[str, ...], Any] = {}

    def key(self, scheme: str, key: dict[str, str], of: Venue, purpose: Purpose) -> Any:
        """The key's public half; imported at its first use."""
        secret = key.get("secret", key.get("private_key_seed_hex", ""))
        name = (scheme, secret, key["api_key"], of.name, purpose.name)
        if name not in self._keys:
            info = ffi.new("sentinel_key_info *")
            info.id = len(self._keys) + 1
            info.purpose, info.algorithm, info.venue = purpose, ALGORITHMS[scheme], of
            info.api_key_size = len(key["api_key"])
            info.api_key[0 : info.api_key_size] = key["api_key"].encode()
            data = bytes.fromhex(secret) if scheme == "Ed25519" else secret.encode()
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
        purpose = Purpose.MESSAGE if lab.order.ACTION == Action.MESSAGE else Purpose.VENUE
        key = self.key(line["scheme"], line["key"], lab.venue, purpose)
        render.order, render.key = order, key
        render.timestamp_ms = lab.timestamp_ms
        render.environment = Environment.LAB
        render.target_type = target_type
        self._lab_fields(order.header, lab, render)

        request = ffi.new("sentinel_request *")
        signature = ffi.new("sentinel_signature *")
        refuse(lib.sentinel_venue_render(request, render))
        signed = ffi.addressof(request.text, request.string_to_sign.offset)
        size = request.string_to_sign.size
        status = lib.sentinel_sign(
            self._ring, signature, key.id, ffi.cast("const uint8_t *", signed), size
        )
        assert status == 0
        refuse(lib.sentinel_venue_finish(request, render, signature))
        del rows
        return {"id": line["id"]} | answer(request, signature)

    def _rows(self, lab: venue.LabOrder, render: Any) -> list[Any]:
        """The table rows; kept by the caller as long as the render points to them."""

        def row(kind: str, data: bytes) -> Any:
            made = ffi.new(f"sentinel_{kind} *")
            ffi.memmove(made, data, len(data))
            setattr(render, kind, made)
            return made

        rows = []
        if lab.symbol is not None:
            fields = {
                "id": venue.LAB_ID,
                "venue": lab.venue,
                "environment": Environment.LAB,
                "contract": lab.contract,
                "quantity_unit": Unit.BASE,
                "symbol": lab.symbol.encode(),
                "symbol_size": len(lab.symbol),
            }
            rows.append(row("instrument", INSTRUMENT.pack(**fields)))
        if lab.asset is not None:
            code = {"code": lab.asset.encode(), "code_size": len(lab.asset)}
            rows.append(row("asset", ASSET.pack(id=venue.LAB_ID, venue=lab.venue, **code)))
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
        target = getattr(lab.order, "target_client_id", None)
        if target is not None:
            render.target_client_id_size = len(target)
            render.target_client_id[0 : len(target)] = target.encode()


def refuse(reason: int) -> None:
    if reason:
        raise Refused(REASON_CODE[reason])


def answer(request: Any, signature: Any) -> dict[str, Any]:
    text = ffi.buffer(request.text)[:]

    def span(part: Any) -> str:
        return text[part.offset : part.offset + part.size].decode()

    is_hmac = signature.algorithm == Algorithm.HMAC_SHA256
    raw = ffi.buffer(signature.bytes)[: signature.size]
    import base64

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
        "string_to_sign": span(request.string_to_sign),
        "string_to_sign_encoding": "utf-8",
        "signature": raw.hex() if is_hmac else base64.b64encode(raw).decode(),
        "signature_encoding": "hex-lower" if is_hmac else "base64-std-padded",
    }
