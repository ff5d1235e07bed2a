"""Reads the worked examples of docs/2-policy.md."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parents[2] / "docs" / "2-policy.md"
ASSETS = ("BTC", "ETH", "USD", "USDT", "USDC")
SENTENCE_END = re.compile(r"\.(?:\s|$)")


class Example(NamedTuple):
    title: str
    instrument: dict[str, str]
    order: dict[str, str]
    marks: dict[str, str]
    lines: list[str]
    value: str


def fields_of(text: str) -> dict[str, str]:
    """`limit buy, quantity 0.75` as {"": "limit buy", "quantity": "0.75"}."""
    first, *others = text.split(", ")
    fields = {"": first}
    for other in others:
        name, _, number = other.rpartition(" ")
        fields[name] = number
    return fields


def examples() -> list[Example]:
    section = PAGE.read_text("utf-8").split("\n## Worked examples\n")[1].split("\n## ")[0]
    paragraphs = section.strip("\n").split("\n\n")
    found = []
    for title, block in pairwise(paragraphs):
        if not block.startswith("    "):
            continue
        lines = [line[4:] for line in block.splitlines()]
        named = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line[0].isalpha()}
        marks = dict(item.split() for item in named["marks"].split(", "))
        found.append(
            Example(
                SENTENCE_END.split(title)[0],
                fields_of(named["instrument"]),
                fields_of(named["order"]),
                marks,
                [line for line in lines if line[0].isdigit()],
                named["value"].removesuffix(" USD"),
            )
        )
    return found


EXAMPLES = examples()


def micro_usd(example: Example) -> int:
    return int(Decimal(example.value) * 10**6)
