"""What the oracle tests of Binance share: keys, captured requests, our own bytes checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from venue_core import Renderer

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n"
)
KEYS = {
    "HMAC-SHA256": {"api_key": API_KEY, "secret": SECRET},
    "Ed25519": {"api_key": API_KEY, "private_key_seed_hex": SEED},
}
SCHEMES = st.sampled_from(sorted(KEYS))
CONTRACT_TYPES = {
    "limit": "LIMIT",
    "market": "MARKET",
    "stop_market": "STOP_MARKET",
    "stop_limit": "STOP",
    "take_profit_market": "TAKE_PROFIT_MARKET",
    "take_profit_limit": "TAKE_PROFIT",
}
SPOT_TYPES = {
    "limit": "LIMIT",
    "market": "MARKET",
    "stop_market": "STOP_LOSS",
    "stop_limit": "STOP_LOSS_LIMIT",
    "take_profit_market": "TAKE_PROFIT",
    "take_profit_limit": "TAKE_PROFIT_LIMIT",
}
WALLETS = {
    "spot": "MAIN",
    "funding": "FUNDING",
    "usdm": "UMFUTURE",
    "coinm": "CMFUTURE",
    "margin": "MARGIN",
    "option": "OPTION",
}


class Sent(BaseException):
    """A request that a library wanted to send. Not an Exception, so that none swallows it."""

    def __init__(self, method: str, url: str, headers: Any, body: Any) -> None:
        super().__init__(url)
        parts = urlsplit(url)
        self.method, self.host, self.path = method, parts.netloc, parts.path
        self.headers = {name.lower(): value for name, value in dict(headers).items()}
        body = body.decode() if isinstance(body, bytes) else body or ""
        pairs = [
            pair
            for text in (parts.query, body)
            for pair in parse_qsl(text, strict_parsing=bool(text))
        ]
        self.parameters = dict(pairs)
        assert len(pairs) == len(self.parameters)


@dataclass
class Case:
    """One venue and action: orders, and the call of the library that sends the same."""

    strategy: st.SearchStrategy[dict[str, Any]]
    call: Callable[[Any, dict[str, Any]], Any]
    target_type: int = 0
    """The order type of the target, as the engine's book would say."""


def sent_by(call: Callable[[], Any]) -> Sent:
    try:
        call()
    except Sent as sent:
        return sent
    raise AssertionError("the library sent nothing")


def check_ours(line: dict[str, Any], scheme: str) -> dict[str, str]:
    """Our parameters without the signature, which is right over our bytes and stands last."""
    signed, _, tail = line["query"].rpartition("&signature=")
    assert signed == line["string_to_sign"]
    assert line["body"] == ""
    signature = parse_qsl(f"s={tail}", strict_parsing=True)[0][1]
    assert signature == line["signature"]
    if scheme == "HMAC-SHA256":
        assert signature == hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    else:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SEED))
        key.public_key().verify(base64.b64decode(signature, validate=True), signed.encode())
    assert line["headers"] == {"X-MBX-APIKEY": API_KEY}
    pairs = parse_qsl(signed, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def given_fields(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def time_in_force(order: dict[str, Any]) -> str | None:
    return {"post_only": "GTX"}.get(order.get("tif", ""), (order.get("tif") or "").upper()) or None


def run(
    examples: int,
    strategy: st.SearchStrategy[dict[str, Any]],
    check: Callable[[dict[str, Any], str], None],
) -> None:
    """Draws orders; every field that was ever absent must also have been present, and vice versa
    where the strategy leaves the choice (checked when many are drawn).
    """
    seen: defaultdict[str, set[bool]] = defaultdict(set)
    count = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @seed(20240607)
    @given(strategy, SCHEMES)
    def one(order: dict[str, Any], scheme: str) -> None:
        nonlocal count
        count += 1
        for name, value in order.items():
            seen[name].add(value is not None)
        check(order, scheme)

    one()
    assert count >= min(examples, 50), f"only {count} orders were drawn"
    if examples >= 500:
        never = [name for name, values in seen.items() if True not in values]
        assert not never
        assert {"recv_window", "market"} <= {n for n, values in seen.items() if len(values) == 2}


def compare(
    name: str,
    examples: int,
    case: Case,
    renderer: Renderer,
    clock: dict[str, int],
    client_of: Callable[[dict[str, Any], str], Any],
    comparable: Callable[[dict[str, str]], dict[str, Any]],
) -> None:
    """Renders random orders, and holds them against what the library would send."""

    def check(order: dict[str, Any], scheme: str) -> None:
        clock["now"] = order["timestamp_ms"]
        sent = sent_by(lambda: case.call(client_of(order, scheme), order))
        line = {"id": name, "scheme": scheme, "key": KEYS[scheme], "order": order}
        rendered = renderer.render(line, target_type=case.target_type)
        ours = check_ours(rendered, scheme)
        theirs = {n: v for n, v in sent.parameters.items() if n != "signature"}
        assert comparable(ours) == comparable(theirs)
        assert (rendered["method"], rendered["host"], rendered["path"]) == (
            sent.method,
            sent.host,
            sent.path,
        )
        assert rendered["headers"]["X-MBX-APIKEY"] == sent.headers["x-mbx-apikey"]

    run(examples, case.strategy, check)
