"""What the oracle tests of OKX share: the key, captured requests, our own bytes checked."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import okx.utils
import okx_orders as orders
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from venue_core import Renderer
from venue_oracle import Sent, sent_by

from sentinel.order import OrderType

KEY = {  # of the shared vectors; a test key
    "api_key": "37c541a1-0000-4000-8000-10fe7a038418",
    "secret": "22582BD0CFF14C41EDBF1AB98506286D",
    "passphrase": "Test-Pass-123!",
}
STOP = int(OrderType.STOP_MARKET)
EPOCH = datetime.datetime(1970, 1, 1)


def iso(timestamp_ms: int) -> str:
    """The time as the venue writes it, by Python's own calendar."""
    moment = EPOCH + datetime.timedelta(milliseconds=timestamp_ms)
    return moment.isoformat(timespec="milliseconds") + "Z"


class Posted(Sent):
    """A request with a body of JSON."""

    def __init__(self, method: str, url: str, headers: Any, body: Any) -> None:
        super().__init__(method, url, headers, None)
        self.body = orders.json_of(body)


@dataclass
class Case:
    """One action: orders, and the call of the library that sends the same."""

    strategy: st.SearchStrategy[dict[str, Any]]
    call: Callable[[Any, dict[str, Any]], Any]
    target_type: int = 0
    """The order type of the target, as the engine's book would say."""


def set_fields(sent: Any) -> dict[str, Any]:
    """What a library really said: python-okx sends "", [] and null for what was not given."""
    (members,) = sent if isinstance(sent, list) else (sent,)
    return {name: value for name, value in members.items() if value not in ("", None, [])}


def check_ours(line: dict[str, Any], order: dict[str, Any]) -> None:
    """Headers, and the signature over the line's own bytes, twice computed."""
    query = f"?{line['query']}" if line["query"] else ""
    stamp, path = iso(order["timestamp_ms"]), line["path"] + query
    text = stamp + line["method"] + path + line["body"]
    assert line["string_to_sign"] == text
    mac = hmac.new(KEY["secret"].encode(), text.encode(), hashlib.sha256).digest()
    theirs = okx.utils.signature(stamp, line["method"], path, line["body"], KEY["secret"])
    assert line["signature"] == base64.b64encode(mac).decode() == theirs.decode()
    wanted = {
        "OK-ACCESS-KEY": KEY["api_key"],
        "OK-ACCESS-PASSPHRASE": KEY["passphrase"],
        "OK-ACCESS-TIMESTAMP": stamp,
        "Content-Type": "application/json",
        "OK-ACCESS-SIGN": line["signature"],
    }
    if order.get("recv_window") is not None:
        wanted["expTime"] = str(order["recv_window"])
    assert line["headers"] == wanted
    assert line["host"] == "www.okx.com"


def parameters(line: dict[str, Any]) -> dict[str, Any]:
    sent = orders.query_of(line["query"]) if line["query"] else {}
    return sent or set_fields(orders.json_of(line["body"])) if line["body"] else sent


def drawn(
    examples: int, strategy: st.SearchStrategy[dict[str, Any]], check: Callable[[Any], None]
) -> None:
    """Draws orders; when many are drawn, every field must have been present in some."""
    seen: defaultdict[str, set[bool]] = defaultdict(set)
    count = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @seed(20240607)
    @given(strategy)
    def one(order: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        for name, value in order.items():
            seen[name].add(value is not None)
        check(order)

    one()
    assert count >= min(examples, 25), f"only {count} orders were drawn"
    if examples >= 500:
        assert not [name for name, values in seen.items() if True not in values]


def compare(
    name: str,
    examples: int,
    case: Case,
    renderer: Renderer,
    clients: dict[str, Any],
    clock: dict[str, int],
    comparable: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> None:
    def check(order: dict[str, Any]) -> None:
        clock["now"] = order["timestamp_ms"]
        line = {"id": name, "scheme": "HMAC-SHA256", "key": KEY, "order": order}
        ours = renderer.render(line, target_type=case.target_type)
        check_ours(ours, order)
        wanted = orders.as_read(order, triggered=case.target_type == STOP)
        assert orders.read_back(ours) == wanted
        sent = sent_by(lambda: case.call(clients, order))
        theirs = sent.body if isinstance(sent, Posted) else sent.parameters
        assert comparable(parameters(ours), order) == comparable(set_fields(theirs), order)
        assert (ours["method"], ours["host"], ours["path"]) == (sent.method, sent.host, sent.path)
        for header in ("OK-ACCESS-KEY", "OK-ACCESS-PASSPHRASE", "OK-ACCESS-TIMESTAMP"):
            assert ours["headers"][header] == sent.headers[header.lower()]

    drawn(examples, case.strategy, check)


def is_plain_spot(order: dict[str, Any]) -> bool:
    return order["symbol"].count("-") == 1 and order["margin_mode"] in (None, "cash")
