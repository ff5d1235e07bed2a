"""A whole engine of the environment `lab` sends what the renderer alone sends.

Goal: nothing between the neutral order and the released request (policy, tables, gate) changes a
byte. Method: random orders go both ways; the renderer alone is held against the venue's own
libraries elsewhere.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import binance_orders as orders
import pytest
from binance_orders import SPOT, USDM
from hypothesis import HealthCheck, given, seed, settings
from venue_core import Renderer
from venue_oracle import KEYS, SCHEMES

from sentinel import lab

TOP = Path(__file__).resolve().parents[2]
STRATEGIES = {
    **{
        f"{venue}-{name}": strategy
        for venue in (SPOT, USDM)
        for name, strategy in {
            "place": orders.place_strategy(venue, False) | orders.place_strategy(venue, True),
            "by_id": orders.by_id(venue, "cancel") | orders.by_id(venue, "query"),
            "by_symbol": orders.cancel_all(venue) | orders.open_orders(venue) | orders.fills(venue),
        }.items()
    },
    f"{SPOT}-wallet": orders.withdraw() | orders.transfer(),
    f"{USDM}-cancel_all_after": orders.cancel_all_after(USDM),
}


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_engine_sends_what_the_renderer_sends(renderer: Renderer, name: str) -> None:
    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @seed(20240607)
    @given(STRATEGIES[name], SCHEMES)
    def one(order: dict[str, Any], scheme: str) -> None:
        line = {"id": name, "scheme": scheme, "key": KEYS[scheme], "order": order}
        expected = renderer.render(line)
        del expected["host"]
        assert lab.render(line) == expected

    one()


def test_messages_are_framed(renderer: Renderer) -> None:
    order = {"action": "message", "message_text": "I♥SF", "timestamp_ms": 1}
    for scheme, key in KEYS.items():
        line = {"id": "m", "scheme": scheme, "key": key, "order": order}
        assert lab.render(line) == {k: v for k, v in renderer.render(line).items() if k != "host"}
        assert lab.render(line)["string_to_sign"] == "sentinel-message-v1\0\6\0\0\0I♥SF"


def test_the_page_of_the_command_has_every_neutral_field() -> None:
    """Whatever the reader of neutral orders asks for, and whatever the vectors have."""
    source = (TOP / "python" / "sentinel" / "venue.py").read_text("utf-8")
    calls = r"(?:take|need|member|need_member|number|_id|_name)\((?:fields, )?\"([a-z_]+)\""
    asked = set(re.findall(calls, source))
    for file in (TOP / "tests" / "golden" / "venues").glob("[bdho]*.jsonl"):
        for line in map(json.loads, file.read_text("utf-8").splitlines()):
            order = line.get("order", {})
            asked |= {name for name, value in order.items() if value is not None}
    page = (TOP / "docs" / "cli.md").read_text("utf-8")
    table = page.split("### Neutral fields")[1].split("## Environment")[0]
    names = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    shown = {name for cell in names for name in re.findall("`([a-z_]+)`", cell)}
    assert asked - {"data"} <= shown  # `data` is of a login
    assert len(shown) > 40


@pytest.mark.parametrize(
    "change",
    [
        {"action": "auth"},
        {"venue": "okx", "market": None},
        {"client_order_id": "a&b"},
        {"client_order_id": "x" * 37},
        {"nonce": 5},
        {"price": None},
        {"stop_price": "1"},
        {"margin_mode": "cross"},
        {"expire_ms": 5},
        {"recv_window": -1},
        {"symbol": 'BTC"USDT'},
        {"unheard_of": 1},
    ],
    ids=str,
)
def test_what_cannot_be_rendered_is_an_error_with_a_reason(change: dict[str, Any]) -> None:
    order = {
        "venue": SPOT,
        "market": "spot",
        "action": "place",
        "symbol": "BTCUSDT",
        "side": "buy",
        "type": "limit",
        "tif": "gtc",
        "price": "1",
        "qty": "1",
        "timestamp_ms": 1,
    }
    scheme, key = next(iter(KEYS.items()))
    assert "error" not in lab.render({"id": 1, "scheme": scheme, "key": key, "order": order})
    answer = lab.render({"id": 1, "scheme": scheme, "key": key, "order": order | change})
    assert set(answer) == {"id", "error", "reason", "next_step"}
    assert all(answer.values())
