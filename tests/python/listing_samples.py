"""What the tests of listings share: the documented answers, read whole or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sentinel.listing import Listing, read_listing

LISTINGS = Path(__file__).resolve().parents[1] / "golden" / "listings"
FIRM = "version: 1\nfirm: {name: firm}\n"
FILES = {
    "binance_spot": ["binance_spot"],
    "binance_usdm": ["binance_usdm"],
    "bybit": ["bybit_spot", "bybit_linear", "bybit_inverse", "bybit_option"],
    "okx": ["okx_spot", "okx_swap", "okx_futures", "okx_option"],
    "deribit": ["deribit"],
    "hyperliquid": ["hyperliquid_meta", "hyperliquid_spot_meta"],
}


def documents(venue: str) -> list[tuple[str, bytes]]:
    return [(f"{name}.json", (LISTINGS / f"{name}.json").read_bytes()) for name in FILES[venue]]


def one(name: str) -> Any:
    return json.loads((LISTINGS / f"{name}.json").read_text())


def read(venue: str, *answers: Any, **options: Any) -> Listing:
    return read_listing(
        venue,
        [(f"{i}.json", json.dumps(a).encode()) for i, a in enumerate(answers)],
        **options,
    )


def rows(answer: Any) -> list[Any]:
    if isinstance(answer, list):
        answer = answer[0]
    for key in ("symbols", "universe", "data"):
        if key in answer:
            return answer[key]  # type: ignore[no-any-return]
    result = answer["result"]
    return result if isinstance(result, list) else result["list"]  # type: ignore[no-any-return]


def names(made: Listing) -> set[str]:
    return {row["symbol"] for row in made.instruments.values()}
