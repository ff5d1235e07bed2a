"""ccxt and a computation of our own as live oracles for Deribit.

Goal: for random orders, with each field present, absent and varied, our request is the one that
the documents describe, byte for byte; its parameters read back are the order; ccxt sends the same
parameters for it; and the signature in the header is right over our own bytes. Method: what is
expected is put together here from the neutral order with urllib.parse and hmac, and read back by a
parser that knows only the documents' names. ccxt's HTTP layer is replaced, so that nothing leaves
the machine; it brings decimals to its own text, so they are compared by value. `make test` draws
50 orders per action, `make check` 500.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import ccxt
import deribit_orders as orders
import pytest
from binance_orders import decimals, short_decimals
from hypothesis import HealthCheck, given, seed, settings
from venue_core import Refused, Renderer
from venue_oracle import Sent, given_fields, sent_by

CLIENT_ID, SECRET = "AMANDA", "AMANDASECRECT"  # of the shared vectors
KEY = {"client_id": CLIENT_ID, "client_secret": SECRET}
ROOT = "/api/v2/private/"
TYPES = {
    "limit": "limit",
    "market": "market",
    "stop_market": "stop_market",
    "stop_limit": "stop_limit",
    "take_profit_market": "take_market",
    "take_profit_limit": "take_limit",
}
TIFS = {
    "gtc": "good_til_cancelled",
    "ioc": "immediate_or_cancel",
    "fok": "fill_or_kill",
    "post_only": "good_til_cancelled",
}
BOOLEANS = {True: "true", False: "false"}
DECIMALS = ("amount", "price", "trigger_price")


def is_post_only(order: dict[str, Any]) -> bool:
    return order.get("tif") == "post_only" or order.get("post_only") is True


def flags(order: dict[str, Any]) -> dict[str, str]:
    made = {"post_only": "true", "reject_post_only": "true"} if is_post_only(order) else {}
    if order.get("reduce_only") is not None:
        made["reduce_only"] = BOOLEANS[order["reduce_only"]]
    return made


def named(order: dict[str, Any], by_label: str, by_order_id: str) -> tuple[str, dict[str, Any]]:
    if order.get("client_order_id") is not None:
        return by_label, {"label": order["client_order_id"]}
    return by_order_id, {"order_id": order["order_id"]}


def expected_place(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    trigger = order.get("trigger_by")
    tif = "gtc" if is_post_only(order) else order.get("tif")
    return order["side"], {
        "instrument_name": order["symbol"],
        "amount": order["qty"],
        "type": TYPES[order["type"]],
        "label": order["client_order_id"],
        "price": order.get("price"),
        "time_in_force": tif and TIFS[tif],
        **flags(order),
        "trigger": trigger and f"{trigger}_price",
        "trigger_price": order.get("stop_price"),
        "valid_until": order["recv_window"],
    }


def expected_amend(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    method, name = named(order, "edit_by_label", "edit")
    return method, {
        **name,
        "instrument_name": order["symbol"] if "label" in name else None,
        "amount": order["qty"],
        "price": order.get("price"),
        **flags(order),
        "trigger_price": order.get("stop_price"),
        "valid_until": order["recv_window"],
    }


def expected_query(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    method, name = named(order, "get_order_state_by_label", "get_order_state")
    currency = orders.settle_of(order["symbol"]) if "label" in name else None
    return method, {"currency": currency, **name}


def expected_cancel_all(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if order.get("symbol") is not None:
        return "cancel_all_by_instrument", {"instrument_name": order["symbol"]}
    if order["asset"] is not None:
        return "cancel_all_by_currency", {"currency": order["asset"]}
    return "cancel_all", {}


def expected_open_orders(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if order.get("symbol") is not None:
        return "get_open_orders_by_instrument", {"instrument_name": order["symbol"]}
    return "get_open_orders", {}


def expected_fills(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    timed = order["start_ms"] is not None or order["end_ms"] is not None
    return "get_user_trades_by_instrument" + ("_and_time" if timed else ""), {
        "instrument_name": order["symbol"],
        "start_timestamp": order["start_ms"],
        "end_timestamp": order["end_ms"],
        "count": order["limit"],
    }


def expected_withdraw(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "withdraw", {
        "currency": order["asset"],
        "address": order["address"],
        "amount": order["amount"],
        "priority": order["priority"],
    }


def expected_transfer(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "submit_transfer_to_subaccount", {
        "currency": order["asset"],
        "amount": order["amount"],
        "destination": order["address"],
    }


EXPECTED: dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "place": expected_place,
    "amend": expected_amend,
    "cancel": lambda order: named(order, "cancel_by_label", "cancel"),
    "cancel_all": expected_cancel_all,
    "query": expected_query,
    "open_orders": expected_open_orders,
    "fills": expected_fills,
    "withdraw": expected_withdraw,
    "transfer": expected_transfer,
}


def header_members(text: str) -> dict[str, str]:
    """The members of an Authorization header, each once."""
    scheme, _, members = text.partition(" ")
    assert scheme == "deri-hmac-sha256"
    pairs = [member.split("=") for member in members.split(",")]
    assert sorted(name for name, _ in pairs) == ["id", "nonce", "sig", "ts"]
    return dict(pairs)


def check_bytes(order: dict[str, Any], line: dict[str, Any]) -> None:
    """Our request is the one put together here, and signed."""
    method, parameters = EXPECTED[order["action"]](order)
    query = urlencode(given_fields(**parameters), quote_via=quote)
    assert (line["method"], line["host"]) == ("GET", "www.deribit.com")
    assert (line["path"], line["query"], line["body"]) == (ROOT + method, query, "")
    ts = str(order["timestamp_ms"])
    nonce = ts if order["nonce"] is None else str(order["nonce"])
    uri = ROOT + method + (f"?{query}" if query else "")
    signed = f"{ts}\n{nonce}\nGET\n{uri}\n\n"
    assert line["string_to_sign"] == signed
    right = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    assert line["signature"] == right
    members = f"id={CLIENT_ID},ts={ts},sig={right},nonce={nonce}"
    assert line["headers"] == {"Authorization": f"deri-hmac-sha256 {members}"}


# Reading back: the documents' names, and which neutral field each of them says.
FIELDS = {
    "instrument_name": "symbol",
    "label": "client_order_id",
    "order_id": "order_id",
    "price": "price",
    "trigger_price": "stop_price",
    "address": "address",
    "destination": "address",
    "priority": "priority",
}
NUMBERS = {
    "start_timestamp": "start_ms",
    "end_timestamp": "end_ms",
    "count": "limit",
    "valid_until": "recv_window",
}
ACTIONS = {
    "buy": "place",
    "sell": "place",
    "edit": "amend",
    "cancel_by": "cancel",
    "get_order_state": "query",
    "get_open_orders": "open_orders",
    "get_user_trades": "fills",
    "submit_transfer": "transfer",
}
"""Actions by how their paths begin; the others have the action's name."""


def action_of(method: str) -> str:
    if method.startswith("cancel_all"):
        return "cancel_all"
    return next((a for start, a in ACTIONS.items() if method.startswith(start)), method)


def read_back(line: dict[str, Any]) -> dict[str, Any]:
    """The neutral fields that a rendered request says."""
    method = line["path"].removeprefix(ROOT)
    pairs = parse_qsl(line["query"], strict_parsing=bool(line["query"]), keep_blank_values=True)
    left = dict(pairs)
    assert len(left) == len(pairs)
    action = action_of(method)
    found: dict[str, Any] = {"action": action}
    members = header_members(line["headers"]["Authorization"])
    found |= {"timestamp_ms": int(members["ts"]), "nonce": int(members["nonce"])}
    for name, field in FIELDS.items():
        if name in left:
            found[field] = left.pop(name)
    for name, field in NUMBERS.items():
        if name in left:
            found[field] = int(left.pop(name))
    if "amount" in left:
        found["amount" if action in ("withdraw", "transfer") else "qty"] = left.pop("amount")
    if action == "place":
        found["side"] = method
        found["type"] = {v: k for k, v in TYPES.items()}[left.pop("type")]
    if "trigger" in left:
        found["trigger_by"] = left.pop("trigger").removesuffix("_price")
    if "time_in_force" in left:
        tif = left.pop("time_in_force")
        found["tif"] = next(name for name, text in TIFS.items() if text == tif)
    if "post_only" in left:
        assert (left.pop("post_only"), left.pop("reject_post_only")) == ("true", "true")
        found["tif"] = "post_only"
    if "reduce_only" in left:
        found["reduce_only"] = {"true": True, "false": False}[left.pop("reduce_only")]
    if "currency" in left:
        found["settle" if action == "query" else "asset"] = left.pop("currency")
    assert not left, "a parameter that says nothing of the order"
    return found


def wanted_back(order: dict[str, Any]) -> dict[str, Any]:
    """What must be found in the request, and nothing else."""
    wanted = given_fields(**order)
    for name in ("venue", "market", "post_only", "from_account", "to_account"):
        wanted.pop(name, None)
    wanted["nonce"] = int(wanted.get("nonce", order["timestamp_ms"]))
    by_label = "client_order_id" in wanted
    if is_post_only(order):
        wanted["tif"] = "post_only"
    if order["action"] == "amend":  # what an edit leaves as it is
        for name in ("side", "type", *(() if by_label else ("symbol",))):
            wanted.pop(name, None)
        if not is_post_only(order):
            wanted.pop("tif", None)
    if order["action"] in ("cancel", "query"):
        symbol = wanted.pop("symbol")
        if order["action"] == "query" and by_label:
            wanted["settle"] = orders.settle_of(symbol)
    return wanted


# ccxt.


def unified(order: dict[str, Any]) -> str:
    return f"{order['symbol'] or 'UNNAMED'}/X"


def ccxt_place(api: Any, order: dict[str, Any]) -> Any:
    trigger = "takeProfitPrice" if "take_profit" in order["type"] else "stopLossPrice"
    tif = "gtc" if is_post_only(order) else order.get("tif")
    params = given_fields(
        label=order["client_order_id"],
        timeInForce=tif and tif.upper(),
        postOnly=is_post_only(order) or None,
        reduce_only=order.get("reduce_only"),
        trigger=order.get("trigger_by") and f"{order['trigger_by']}_price",
        valid_until=order["recv_window"],
        **{trigger: order.get("stop_price")},
    )
    kind = "limit" if "limit" in order["type"] else "market"
    price = order.get("price")
    return api.create_order(unified(order), kind, order["side"], order["qty"], price, params)


def ccxt_amend(api: Any, order: dict[str, Any]) -> Any:
    params = given_fields(
        **{name: value == "true" for name, value in flags(order).items()},
        trigger_price=order.get("stop_price"),
        valid_until=order["recv_window"],
    )
    if order.get("order_id") is None:
        name = {"label": order["client_order_id"], "instrument_name": order["symbol"]}
        terms = given_fields(amount=order["qty"], price=order.get("price"))
        return api.privateGetEditByLabel(name | terms | params)
    price = order.get("price")
    return api.edit_order(
        order["order_id"], unified(order), "limit", "buy", order["qty"], price, params
    )


def ccxt_cancel(api: Any, order: dict[str, Any]) -> Any:
    if order.get("order_id") is None:
        return api.privateGetCancelByLabel({"label": order["client_order_id"]})
    return api.cancel_order(order["order_id"], unified(order))


def ccxt_query(api: Any, order: dict[str, Any]) -> Any:
    if order.get("order_id") is None:
        currency = orders.settle_of(order["symbol"])
        return api.privateGetGetOrderStateByLabel(
            {"currency": currency, "label": order["client_order_id"]}
        )
    return api.fetch_order(order["order_id"], unified(order))


def ccxt_cancel_all(api: Any, order: dict[str, Any]) -> Any:
    if order.get("asset") is not None:
        return api.privateGetCancelAllByCurrency({"currency": order["asset"]})
    return api.cancel_all_orders(*([unified(order)] if "symbol" in order else []))


def ccxt_open_orders(api: Any, order: dict[str, Any]) -> Any:
    if "symbol" not in order:
        return api.privateGetGetOpenOrders()
    return api.fetch_open_orders(unified(order))


def ccxt_fills(api: Any, order: dict[str, Any]) -> Any:
    params = given_fields(end_timestamp=order["end_ms"])
    if order["start_ms"] is None and params:  # which the unified call cannot say
        params |= given_fields(instrument_name=order["symbol"], count=order["limit"])
        return api.privateGetGetUserTradesByInstrumentAndTime(params)
    return api.fetch_my_trades(unified(order), order["start_ms"], order["limit"], params)


def ccxt_withdraw(api: Any, order: dict[str, Any]) -> Any:
    params = given_fields(priority=order["priority"])
    return api.withdraw(order["asset"], order["amount"], order["address"], params)


def ccxt_transfer(api: Any, order: dict[str, Any]) -> Any:
    return api.transfer(order["asset"], order["amount"], "main", order["address"])


CCXT: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "place": ccxt_place,
    "amend": ccxt_amend,
    "cancel": ccxt_cancel,
    "cancel_all": ccxt_cancel_all,
    "query": ccxt_query,
    "open_orders": ccxt_open_orders,
    "fills": ccxt_fills,
    "withdraw": ccxt_withdraw,
    "transfer": ccxt_transfer,
}
CCXT_ADDS = ("include_old",)


class Ccxt:
    """ccxt's Deribit with markets of ours, the time and nonce of an order, and no network."""

    def __init__(self) -> None:
        self.api = api = ccxt.deribit({"apiKey": CLIENT_ID, "secret": SECRET})
        markets = [
            api.safe_market_structure(
                {
                    "id": symbol,
                    "symbol": f"{symbol}/X",
                    "base": symbol,
                    "quote": "X",
                    "active": True,
                    "precision": {"amount": 1e-8, "price": 1e-8},
                }
            )
            for symbol in (*orders.SYMBOLS, "UNNAMED")
        ]
        currencies = {
            code: {"id": code, "code": code, "precision": 1e-8, "networks": {}}
            for code in (*orders.ASSETS, *orders.SYMBOLS, "UNNAMED", "X")
        }
        api.set_markets(markets, currencies)
        api.enableRateLimit = False

        def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> None:
            raise Sent(method, url, headers, body)

        api.fetch = fetch

    def sent(self, order: dict[str, Any]) -> Sent:
        nonce = order["timestamp_ms"] if order["nonce"] is None else int(order["nonce"])
        self.api.milliseconds = lambda: order["timestamp_ms"]
        self.api.nonce = lambda: nonce
        return sent_by(lambda: CCXT[order["action"]](self.api, order))


def check_against_ccxt(order: dict[str, Any], line: dict[str, Any], library: Ccxt) -> None:
    def comparable(parameters: dict[str, str]) -> dict[str, Any]:
        return {
            name: Decimal(value) if name in DECIMALS else value
            for name, value in parameters.items()
            if name not in CCXT_ADDS
        }

    sent = library.sent(order)
    ours = dict(parse_qsl(line["query"]))
    assert comparable(ours) == comparable(sent.parameters)
    assert (line["method"], line["host"], line["path"]) == (sent.method, sent.host, sent.path)
    our_members = header_members(line["headers"]["Authorization"])
    their_members = header_members(sent.headers["authorization"])
    for name in ("id", "ts", "nonce"):
        assert our_members[name] == their_members[name]


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.fixture(scope="module")
def library() -> Ccxt:
    return Ccxt()


def run(
    name: str,
    examples: int,
    renderer: Renderer,
    check: Callable[[dict[str, Any], dict[str, Any]], None],
    *shape: Any,
) -> None:
    """Draws orders; of many, every optional field must have been present and absent."""
    seen: defaultdict[str, set[bool]] = defaultdict(set)
    count = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @seed(20250627)
    @given(orders.STRATEGIES[name](*shape))
    def one(order: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        for field, value in order.items():
            seen[field].add(value is not None)
        line = renderer.render({"id": name, "scheme": "HMAC-SHA256", "key": KEY, "order": order})
        check(order, line)

    one()
    assert count >= min(examples, 50), f"only {count} orders were drawn"
    if examples >= 500:
        assert not [field for field, values in seen.items() if True not in values]
        optional = ("nonce", "market", "reduce_only", "priority", "start_ms", "end_ms", "limit")
        assert not [field for field in optional if field in seen and len(seen[field]) != 2]


EXACT = (decimals, 2**63 - 1)
THEIRS = (short_decimals, 2**53)  # what passes through ccxt's precision and floats


def check_exactly(order: dict[str, Any], line: dict[str, Any]) -> None:
    check_bytes(order, line)
    assert read_back(line) == wanted_back(order)


@pytest.mark.parametrize("name", orders.STRATEGIES)
def test_sends_what_the_documents_say_and_nothing_else(renderer: Renderer, name: str) -> None:
    run(name, 50, renderer, check_exactly, *EXACT)


@pytest.mark.long
@pytest.mark.parametrize("name", orders.STRATEGIES)
def test_sends_what_the_documents_say_500_times(renderer: Renderer, name: str) -> None:
    run(name, 500, renderer, check_exactly, *EXACT)


@pytest.mark.parametrize("name", orders.STRATEGIES)
def test_sends_what_ccxt_sends(renderer: Renderer, library: Ccxt, name: str) -> None:
    run(name, 50, renderer, lambda o, line: check_against_ccxt(o, line, library), *THEIRS)


@pytest.mark.long
@pytest.mark.parametrize("name", orders.STRATEGIES)
def test_sends_what_ccxt_sends_500_times(renderer: Renderer, library: Ccxt, name: str) -> None:
    run(name, 500, renderer, lambda o, line: check_against_ccxt(o, line, library), *THEIRS)


PLACE = {
    "action": "place",
    "symbol": "BTC-PERPETUAL",
    "side": "buy",
    "type": "limit",
    "tif": "gtc",
    "qty": "10",
    "price": "5",
}
STOP = PLACE | {"type": "stop_limit", "stop_price": "6", "trigger_by": "last"}
WITHDRAW = {"action": "withdraw", "asset": "BTC", "amount": "1", "address": "2N"}
TRANSFER = {"action": "transfer", "asset": "BTC", "amount": "1", "address": "20"}
NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("order", "refused"),
    [
        (PLACE, None),
        (PLACE | {"tif": "gtd", "expire_ms": NOW_MS + 1}, "unsupported"),
        (PLACE | {"position_side": "long"}, "unsupported"),
        (PLACE | {"margin_mode": "cross"}, "unsupported"),
        (PLACE | {"symbol": "BTC_USDC", "market": "spot", "reduce_only": False}, "unsupported"),
        (PLACE | {"client_order_id": "x" * 64}, None),
        (PLACE | {"recv_window": NOW_MS}, "expiry"),
        (PLACE | {"recv_window": 5000}, "expiry"),
        (PLACE | {"recv_window": NOW_MS + 60_000}, None),
        (PLACE | {"recv_window": NOW_MS + 60_001}, "expiry"),
        (STOP, None),
        (STOP | {"trigger_by": None}, "unsupported"),
        (STOP | {"close_on_trigger": True}, "unsupported"),
        (STOP | {"trigger_direction": "rise"}, "unsupported"),
        (PLACE | {"type": "market", "tif": None}, "unsupported"),  # a worst price
        (PLACE | {"type": "market", "tif": None, "price": None}, None),
        (WITHDRAW, None),
        (WITHDRAW | {"network": "BTC"}, "unsupported"),
        (WITHDRAW | {"memo": "1"}, "unsupported"),
        (WITHDRAW | {"client_order_id": "w"}, "unsupported"),
        (WITHDRAW | {"from_account": "spot"}, "unsupported"),
        (WITHDRAW | {"recv_window": NOW_MS + 1}, "unsupported"),
        (TRANSFER, None),
        (TRANSFER | {"address": "07"}, "order_text"),
        (TRANSFER | {"address": "0xAbc"}, "order_text"),
        (TRANSFER | {"from_account": "spot"}, "unsupported"),
        ({"action": "cancel_all_after", "symbol": "BTC-PERPETUAL", "timeout_s": 5}, "unsupported"),
        ({"action": "fills"}, "unsupported"),
    ],
)
def test_refuses_what_the_venue_cannot_be_told(
    renderer: Renderer, order: dict[str, Any], refused: str | None
) -> None:
    order = {"venue": "deribit", "timestamp_ms": NOW_MS} | order
    line = {"id": "1", "scheme": "HMAC-SHA256", "key": KEY, "order": order}
    if refused is None:
        renderer.render(line)
        return
    with pytest.raises(Refused, match=rf"^{refused}$"):
        renderer.render(line)


def test_refuses_keys_that_can_only_log_in(renderer: Renderer) -> None:
    key = {"client_id": CLIENT_ID, "private_key_seed_hex": "9d" * 32}
    order = {"venue": "deribit", "timestamp_ms": NOW_MS} | PLACE
    with pytest.raises(Refused, match=r"^unsupported$"):
        renderer.render({"id": "1", "scheme": "Ed25519", "key": key, "order": order})
