"""Hyperliquid's own library as a live oracle: what would it send for the same order?

Goal: for random orders, with each field present, absent and varied, our body is the library's,
member by member and in its order, signature included. Method: its HTTP layer is replaced, so that
nothing leaves the machine; our bytes come from the core's C interface. Beside it, each body is
parsed back: its action, packed again by the msgpack library, must give the digest that was signed,
and eth-account must find the signer. `make test` draws 50 orders per action, `make check` 500.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import hyperliquid.exchange
import hyperliquid_orders as orders
import msgpack
import pytest
from Crypto.Hash import keccak
from eth_account import Account
from eth_account.messages import encode_typed_data
from hyperliquid.exchange import Exchange
from hyperliquid.utils import constants, signing
from hyperliquid.utils.types import Cloid
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from venue_core import Refused, Renderer

from sentinel.errors import OrderInvalid

PRIVATE_KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
ADDRESS = "0x14791697260E4c9A71f18484C9f997B308e59325"
SCHEME = "EIP-712 -> secp256k1"
HOSTS = {True: "api.hyperliquid.xyz", False: "api.hyperliquid-testnet.xyz"}
TIFS = {"gtc": "Gtc", "ioc": "Ioc", "post_only": "Alo"}
USER_TYPES = {
    "usdSend": ("UsdSend", signing.USD_SEND_SIGN_TYPES),
    "spotSend": ("SpotSend", signing.SPOT_TRANSFER_SIGN_TYPES),
    "withdraw3": ("Withdraw", signing.WITHDRAW_SIGN_TYPES),
    "usdClassTransfer": ("UsdClassTransfer", signing.USD_CLASS_TRANSFER_SIGN_TYPES),
}


class Sent(Exception):
    """A request that the library wanted to send."""

    def __init__(self, path: str, payload: Any) -> None:
        super().__init__(path)
        self.path, self.body = path, payload


def is_mainnet(order: dict[str, Any]) -> bool:
    return order["network"] != "test"


def exchange(order: dict[str, Any]) -> Any:
    """The library's client, which knows the one instrument of the order."""
    url = constants.MAINNET_API_URL if is_mainnet(order) else constants.TESTNET_API_URL
    nothing: Any = {"universe": [], "tokens": []}
    client: Any = Exchange(
        Account.from_key(PRIVATE_KEY),
        url,
        meta=nothing,
        spot_meta=nothing,
        vault_address=order.get("vault_address"),
    )
    client.set_expires_after(order.get("expires_after"))
    client.info.name_to_asset = lambda name: order["asset_id"]

    def post(path: str, payload: Any) -> None:
        raise Sent(path, payload)

    client.post = post
    return client


# The neutral order in the library's words, which this file has on its own.


def order_type(order: dict[str, Any]) -> Any:
    kind = order["type"] or "limit"
    if order.get("stop_price") is None:
        return {"limit": {"tif": "Ioc" if kind == "market" else TIFS[order["tif"]]}}
    return {
        "trigger": {
            "isMarket": kind.endswith("_market"),
            "triggerPx": float(order["stop_price"]),
            "tpsl": "sl" if kind.startswith("stop") else "tp",
        }
    }


def cloid(order: dict[str, Any]) -> Any:
    name = order["client_order_id"]
    return None if name is None else Cloid.from_str(name)


def terms(order: dict[str, Any]) -> tuple[Any, ...]:
    return (
        order["symbol"],
        order["side"] == "buy",
        float(order["qty"]),
        float(order["price"]),
        order_type(order),
        bool(order["reduce_only"]),
    )


def sdk_place(api: Any, order: dict[str, Any]) -> Any:
    return api.order(*terms(order), cloid=cloid(order))


def sdk_amend(api: Any, order: dict[str, Any]) -> Any:
    target = cloid(order) if order["order_id"] is None else int(order["order_id"])
    return api.modify_order(target, *terms(order), cloid=cloid(order))


def sdk_cancel(api: Any, order: dict[str, Any]) -> Any:
    if order["order_id"] is None:
        return api.cancel_by_cloid(order["symbol"], cloid(order))
    return api.cancel(order["symbol"], int(order["order_id"]))


def sdk_schedule(api: Any, order: dict[str, Any]) -> Any:
    at = order["trigger_time_ms"]
    if at is None and int(order["timeout_s"]) > 0:
        at = order["timestamp_ms"] + int(order["timeout_s"]) * 1000
    return api.schedule_cancel(at)


# The library makes a text of an amount, so a text stays as it is.


def sdk_withdraw(api: Any, order: dict[str, Any]) -> Any:
    return api.withdraw_from_bridge(order["amount"], order["address"].lower())


def sdk_usd_send(api: Any, order: dict[str, Any]) -> Any:
    return api.usd_transfer(order["amount"], order["address"].lower())


def sdk_spot_send(api: Any, order: dict[str, Any]) -> Any:
    return api.spot_transfer(order["amount"], order["address"].lower(), order["asset"])


def sdk_class_transfer(api: Any, order: dict[str, Any]) -> Any:
    return api.usd_class_transfer(order["amount"], order["to_account"] != "spot")


CASES: dict[str, tuple[st.SearchStrategy[dict[str, Any]], Callable[[Any, dict[str, Any]], Any]]] = {
    "place": (orders.place(False), sdk_place),
    "place_triggered": (orders.place(True), sdk_place),
    "amend": (orders.amend(), sdk_amend),
    "cancel": (orders.cancel(), sdk_cancel),
    "cancel_all_after": (orders.cancel_all_after(), sdk_schedule),
    "withdraw": (orders.withdraw(), sdk_withdraw),
    "usd_send": (orders.usd_send(), sdk_usd_send),
    "spot_send": (orders.spot_send(), sdk_spot_send),
    "usd_class_transfer": (orders.class_transfer(), sdk_class_transfer),
}
BOTH = {"nonce", "network", "is_mainnet"}
BOTH_L1 = BOTH | {"vault_address", "expires_after"}


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


def pairs(text: str) -> Any:
    """JSON in which no member stands twice."""

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(members)) == len(members)
        return dict(members)

    return json.loads(text, object_pairs_hook=once)


def without_numbers(body: Any) -> str:
    """The compact text of a body, without r and s: its order of members counts."""
    text = json.dumps(body, separators=(",", ":"))
    return re.sub('"([rs])":"0x[0-9a-f]+"', r'"\1":0', text)


def numbers(signature: dict[str, Any]) -> tuple[int, int, int]:
    return int(signature["r"], 16), int(signature["s"], 16), signature["v"]


def keccak256(data: bytes) -> bytes:
    return bytes(keccak.new(digest_bits=256, data=data).digest())


def typed_data(body: dict[str, Any], mainnet: bool) -> Any:
    """What a body commits to, from nothing but the body and the network."""
    action = body["action"]
    if action["type"] in USER_TYPES:
        name, types = USER_TYPES[action["type"]]
        return signing.user_signed_payload(f"HyperliquidTransaction:{name}", types, action)
    preimage = msgpack.packb(action) + body["nonce"].to_bytes(8, "big")
    vault, expires = body["vaultAddress"], body["expiresAfter"]
    preimage += b"\1" + bytes.fromhex(vault[2:]) if vault else b"\0"
    preimage += b"\0" + expires.to_bytes(8, "big") if expires is not None else b""
    return signing.l1_payload(signing.construct_phantom_agent(keccak256(preimage), mainnet))


def check_parsed_back(rendered: dict[str, Any], mainnet: bool) -> dict[str, Any]:
    """The body again, after digest and signer were computed from it."""
    body: dict[str, Any] = pairs(rendered["body"])
    message = encode_typed_data(full_message=typed_data(body, mainnet))
    digest = keccak256(b"\x19" + message.version + message.header + message.body)
    assert rendered["string_to_sign"] == digest.hex()
    r, s, v = numbers(body["signature"])
    assert Account.recover_message(message, vrs=(v, r, s)) == ADDRESS
    assert all(re.fullmatch("0x[0-9a-f]{64}", body["signature"][part]) for part in "rs")
    return body


def check_order(
    name: str, renderer: Renderer, order: dict[str, Any], patch: pytest.MonkeyPatch
) -> None:
    nonce = order["timestamp_ms"] if order["nonce"] is None else order["nonce"]
    patch.setattr(hyperliquid.exchange, "get_timestamp_ms", lambda: nonce)
    with pytest.raises(Sent) as caught:
        CASES[name][1](exchange(order), order)
    line = {"id": name, "scheme": SCHEME, "key": {"private_key": PRIVATE_KEY}, "order": order}
    rendered = renderer.render(line)
    body = check_parsed_back(rendered, is_mainnet(order))
    theirs = caught.value.body
    assert without_numbers(body) == without_numbers(theirs)
    assert rendered["body"] == json.dumps(body, separators=(",", ":"))
    assert numbers(body["signature"]) == numbers(theirs["signature"])
    assert rendered["signature"] == body["signature"]
    assert (rendered["method"], rendered["path"], rendered["query"]) == (
        "POST",
        caught.value.path,
        "",
    )
    assert rendered["host"] == HOSTS[is_mainnet(order)]
    assert rendered["headers"] == {"Content-Type": "application/json"}


def run(name: str, examples: int, renderer: Renderer) -> None:
    """Draws orders; each field that may be absent must have been both (where many are drawn)."""
    seen: defaultdict[str, set[bool]] = defaultdict(set)
    drawn = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @seed(20240607)
    @given(CASES[name][0])
    def one(order: dict[str, Any]) -> None:
        nonlocal drawn
        drawn += 1
        for field, value in order.items():
            seen[field].add(value is not None)
        with pytest.MonkeyPatch.context() as patch:
            check_order(name, renderer, order, patch)

    one()
    assert drawn >= examples, f"only {drawn} orders were drawn"
    l1 = "vault_address" in seen
    assert (BOTH_L1 if l1 else BOTH) <= {field for field, values in seen.items() if len(values) > 1}


@pytest.mark.parametrize("name", CASES)
def test_sends_what_the_official_library_sends(renderer: Renderer, name: str) -> None:
    run(name, 50, renderer)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_sends_what_the_official_library_sends_500_times(renderer: Renderer, name: str) -> None:
    run(name, 500, renderer)


HOSTILE = ['"', "\\", ",", "}", "]", ":", "\0", "\n", "é", "{", "0x", " "]
NAMED = ("order_id", "client_order_id", "address")


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=[*HealthCheck])
@seed(20240607)
@given(data=st.data())
def test_no_text_reaches_beyond_its_field(renderer: Renderer, data: st.DataObject) -> None:
    """A text that an agent chooses is refused, or changes its own field and no other."""
    name = data.draw(st.sampled_from(["place", "amend", "cancel", "withdraw", "usd_send"]))
    order = data.draw(CASES[name][0])
    fields = [field for field in NAMED if order.get(field) is not None]
    if not fields:
        return
    field = data.draw(st.sampled_from(fields))
    text = order[field]
    at, cut = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 2))
    insert = data.draw(st.sampled_from(HOSTILE) | st.text(max_size=3) | st.text("0f", max_size=2))
    hostile = text[:at] + insert + text[at + cut :]
    line = {"id": name, "scheme": SCHEME, "key": {"private_key": PRIVATE_KEY}}
    wanted = without_numbers(pairs(renderer.render(line | {"order": order})["body"]))
    try:
        rendered = renderer.render(line | {"order": order | {field: hostile}})
    except (Refused, OrderInvalid):
        return
    body = without_numbers(check_parsed_back(rendered, is_mainnet(order)))
    if field == "order_id":
        wanted = re.sub(f'"(oid|o)":{text}', rf'"\1":{hostile}', wanted)
    else:
        # A name may come without "0x", as the engine's own are written.
        prefix = "" if hostile.startswith("0x") else "0x"
        wanted = wanted.replace(f'"{text.lower()}"', f'"{prefix}{hostile.lower()}"')
    assert re.sub('"v":2[78]', "", body) == re.sub('"v":2[78]', "", wanted)
