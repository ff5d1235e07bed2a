"""Every shared Binance vector, rendered by the core and judged by a program that shares no code.

The program itself is tested too: each kind of difference must make it fail.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from venue_core import Refused, Renderer

from sentinel.errors import OrderInvalid

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "golden" / "venues"
FILES = ("binance_spot.jsonl", "binance_usdm.jsonl")


def vectors(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (VECTORS / name).read_text().splitlines()]


def check(
    directory: Path, name: str, lines: list[dict[str, Any]]
) -> subprocess.CompletedProcess[str]:
    rendered = directory / "rendered.jsonl"
    rendered.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [sys.executable, HERE / "check_venue_render.py", VECTORS / name, rendered]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


@pytest.mark.parametrize("name", FILES)
def test_renders_every_vector(renderer: Renderer, tmp_path: Path, name: str) -> None:
    lines = vectors(name)
    assert len(lines) >= 12
    done = check(tmp_path, name, [renderer.render(line) for line in lines])
    assert done.returncode == 0, done.stdout
    assert f"{len(lines)} lines, {len(lines)} equal, 0 differ" in done.stdout
    for line in lines:
        rendered = renderer.render(line)
        # Stronger than the program demands: we keep the libraries' order of parameters.
        assert rendered["query"] == line["request"]["query"]
        assert rendered["host"] == line["request"]["host"]


def _query(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(line: dict[str, Any]) -> None:
        assert old in line["query"]
        line["query"] = line["query"].replace(old, new, 1)
        line["string_to_sign"] = line["string_to_sign"].replace(old, new, 1)

    return change


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "method": lambda line: line.update(method="GET"),
    "path": lambda line: line.update(path="/api/v3/order/test"),
    "header": lambda line: line["headers"].update({"X-MBX-APIKEY": "x"}),
    "another header": lambda line: line["headers"].update({"X": "x"}),
    "value": _query("quantity=1&", "quantity=2&"),
    "text of a decimal": _query("quantity=1&", "quantity=1.0&"),
    "missing parameter": _query("timeInForce=GTC&", ""),
    "one more parameter": _query("symbol=", "stopPrice=1&symbol="),
    "parameter twice": _query("symbol=LTCBTC", "symbol=LTCBTC&symbol=LTCBTC"),
    "order of parameters": _query("side=BUY&type=LIMIT", "type=LIMIT&side=BUY"),
    "not encoded": _query("LTCBTC", "LTC/BTC"),
    "signature": lambda line: line.update(signature="0" * 64),
    "signature sent": lambda line: line.update(query=line["query"][:-1] + "g"),
    "body": lambda line: line.update(body="a=b"),
    "error": lambda line: line.update(error="x", reason="unsupported"),
    "another id": lambda line: line.update(id="x"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("scheme", ["HMAC-SHA256", "Ed25519"])
def test_the_program_finds_a_difference(
    renderer: Renderer, tmp_path: Path, scheme: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    lines = vectors("binance_spot.jsonl")
    rendered = [copy.deepcopy(renderer.render(line)) for line in lines]
    at = next(i for i, line in enumerate(lines) if line["scheme"] == scheme)
    assert "timeInForce=GTC" in rendered[at]["query"]
    change(rendered[at])
    done = check(tmp_path, "binance_spot.jsonl", rendered)
    assert done.returncode == 1, done.stdout
    assert lines[at]["id"] in done.stdout


def test_the_program_misses_no_line(renderer: Renderer, tmp_path: Path) -> None:
    lines = [renderer.render(line) for line in vectors("binance_spot.jsonl")]
    done = check(tmp_path, "binance_spot.jsonl", lines[1:])
    assert done.returncode == 1
    assert "it was not rendered" in done.stdout


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"symbol": "LTC&BTC"}, None),
        ({"client_order_id": 'a"b'}, "order_text"),
        ({"client_order_id": "a&b=c"}, "order_text"),
        ({"qty": "1e3"}, "order_decimal"),
        ({"qty": "0"}, "order_decimal"),
        ({"qty": "-1"}, "order_decimal"),
        ({"price": None}, "order_fields"),
        ({"reduce_only": False}, "unsupported"),
        ({"position_side": "long"}, "unsupported"),
        ({"nonce": 5}, "unsupported"),
        ({"vault_address": "0x"}, "unsupported"),
        ({"action": "auth"}, "unsupported"),
        ({"market": "margin"}, "unsupported"),
        ({"qty": 1.5}, "order_fields"),
        ({"timestamp_ms": None}, "order_fields"),
    ],
)
def test_refuses_what_cannot_be_rendered(
    renderer: Renderer, change: dict[str, Any], refused: str | None
) -> None:
    line = vectors("binance_spot.jsonl")[0]
    line["order"] |= change
    if refused is None:
        # Symbols come from the signed table, whose check refuses this; still it is encoded.
        assert renderer.render(line)["query"].startswith("symbol=LTC%26BTC&")
        return
    from sentinel._status import REASON_CODE

    with pytest.raises((OrderInvalid, Refused)) as caught:
        renderer.render(line)
    error = caught.value
    code = REASON_CODE[error.reason] if isinstance(error, OrderInvalid) else str(error)
    assert code == refused
