"""Every shared vector of six venues, rendered by the core and judged by a program of its own.

The program itself is tested too: each kind of difference must make it fail.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from venue_core import Refused, Renderer

from sentinel import lab
from sentinel._status import REASON_CODE
from sentinel.errors import OrderInvalid

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "golden" / "venues"
FILES = {
    "binance_spot.jsonl": 14,
    "binance_usdm.jsonl": 12,
    "bybit.jsonl": 18,
    "okx.jsonl": 7,
    "deribit.jsonl": 10,
    "hyperliquid.jsonl": 16,
}


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


def answer_to(renderer: Renderer, line: dict[str, Any]) -> dict[str, Any]:
    """As `zcp venue render` answers: what cannot be rendered has a reason."""
    try:
        return renderer.render(line)
    except Refused as error:
        return {"id": line["id"], "error": "refused", "reason": str(error)}
    except OrderInvalid as error:
        return {"id": line["id"], "error": str(error), "reason": REASON_CODE[error.reason]}


@pytest.mark.parametrize("name", FILES)
def test_renders_every_vector(renderer: Renderer, tmp_path: Path, name: str) -> None:
    lines = vectors(name)
    assert len(lines) == FILES[name]
    rendered = [answer_to(renderer, line) for line in lines]
    done = check(tmp_path, name, rendered)
    assert done.returncode == 0, done.stdout
    assert f"{len(lines)} lines, {len(lines)} equal, 0 differ" in done.stdout
    for line, ours in zip(lines, rendered, strict=True):
        if line["order"]["action"] == "auth":
            continue
        # Stronger than the program demands: we keep the libraries' order of parameters.
        wanted = line["request"]
        assert ours["query"] == wanted["query"]
        assert ours["host"] == wanted["host"]
        assert without_numbers(ours["body"]) == without_numbers(wanted["body"])


def without_numbers(body: str) -> str:
    """Hyperliquid's r and s are numbers, which its library writes without leading zeros."""
    return re.sub('"([rs])":"0x[0-9a-f]+"', r'"\1":0', body)


@pytest.mark.parametrize("name", FILES)
def test_an_engine_renders_every_vector(tmp_path: Path, name: str) -> None:
    """`zcp venue render` gives each line an engine of its own: policy, gate, keyring."""
    done = check(tmp_path, name, [lab.render(line) for line in vectors(name)])
    assert done.returncode == 0, done.stdout


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
    with pytest.raises((OrderInvalid, Refused)) as caught:
        renderer.render(line)
    error = caught.value
    code = REASON_CODE[error.reason] if isinstance(error, OrderInvalid) else str(error)
    assert code == refused


@pytest.mark.parametrize("name", FILES)
def test_the_command_renders_every_vector(name: str) -> None:
    """As a person does it: zcp venue render FILE | python check_venue_render.py FILE -"""
    command = [sys.executable, "-m", "sentinel", "venue", "render", VECTORS / name]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stderr == b""
    judge = [sys.executable, HERE / "check_venue_render.py", VECTORS / name, "-"]
    judged = subprocess.run(judge, input=done.stdout, capture_output=True, check=False)
    count = FILES[name]
    assert judged.returncode == 0, judged.stdout
    assert f"{count} lines, {count} equal, 0 differ" in judged.stdout.decode()
    logins = [line["id"] for line in vectors(name) if line["order"]["action"] == "auth"]
    refused = [line for line in map(json.loads, done.stdout.splitlines()) if "error" in line]
    assert [line["id"] for line in refused] == logins
    assert all("never signed" in line["error"] for line in refused)


def test_the_command_reads_the_standard_input_and_prints_one_array() -> None:
    text = (VECTORS / "okx.jsonl").read_bytes()
    command = [sys.executable, "-m", "sentinel", "venue", "render", "-"]
    lines = subprocess.run(command, input=text, capture_output=True, check=True).stdout
    array = subprocess.run([*command, "--json"], input=text, capture_output=True, check=True).stdout
    assert json.loads(array) == [json.loads(line) for line in lines.splitlines()]
