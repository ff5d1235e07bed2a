"""A drill's report: JSON with the engine's signature, and the same as Markdown and HTML.

The signature is the identity key's over `"sentinel-drill-v1" ‖ 0x00 ‖ SHA-256(D)`, where D is the
JSON without `proof`, keys sorted, without blanks. D holds the SHA-256 of both texts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any, Final

from . import _core
from ._frame import parse_genesis, verify_ed25519
from ._receipts import receipt_key
from .config import os_failed, write_file
from .errors import SentinelError, UsageError, VerificationFailed
from .receipt import Expectation, _b64, _exactly, _hex, _load, _unb64

FORMAT: Final = "sentinel-drill-v1"
_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;max-width:52em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left;"
    "vertical-align:top}code{word-break:break-all}.failed{color:#a00}.passed{color:#060}"
)


def canonical(data: dict[str, Any]) -> bytes:
    """What is signed of a report."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def text_of(data: dict[str, Any]) -> str:
    """The JSON file; a report has one form only."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Report:
    """A report and its proof."""

    data: dict[str, Any]

    @classmethod
    def sign(cls, data: dict[str, Any], ring: _core.Keyring, genesis: bytes) -> Report:
        """The report, signed with the engine's identity key."""
        body = {"format": FORMAT, **data}
        texts = {"markdown": markdown(body), "html": html(body)}
        body["texts"] = {name: sha256(text.encode()).hexdigest() for name, text in texts.items()}
        digest = sha256(canonical(body)).digest()
        signature = ring.sign_frame(receipt_key(ring), FORMAT, digest)
        proof = {"genesis": _b64(genesis), "signature": signature.hex()}
        return cls({**body, "proof": proof})

    @property
    def passed(self) -> bool:
        """Whether every step held."""
        return bool(self.data["passed"])

    @property
    def name(self) -> str:
        """The files' name, without their ending."""
        return f"drill-{self.data['began'][:19].replace(':', '')}Z"

    def write(self, directory: Path) -> list[Path]:
        """Writes the three files. Raises StorageError."""
        body = {key: value for key, value in self.data.items() if key not in ("proof", "texts")}
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise os_failed(directory, error) from None
        texts = {"json": text_of(self.data), "md": markdown(body), "html": html(body)}
        paths = []
        for ending, text in texts.items():
            path = directory / f"{self.name}.{ending}"
            write_file(path, text.encode(), mode=0o644)
            paths.append(path)
        return paths


def verify_drill(path: Path, expectation: Expectation | None) -> Report:
    """Checks a report, by any of its three files, against what was expected beforehand.

    Raises VerificationFailed with what is wrong; StorageError.
    """
    if expectation is None:
        raise VerificationFailed(
            "nothing was pinned: a report alone proves nothing",
            cause="no expectation (engine id and authority root) was given",
            next_step="get the engine's expectation from its operator and give it with --expect",
        )
    if path.suffix not in (".json", ".md", ".html"):
        raise UsageError(f"{path}: a report ends in .json, .md or .html")
    raw = _read(path.with_suffix(".json"))
    try:
        report = _verified(raw.decode(), expectation)
    except (UnicodeDecodeError, KeyError, TypeError, ValueError):
        raise VerificationFailed("the report does not have the documented form") from None
    for name, ending in (("markdown", ".md"), ("html", ".html")):
        if path.suffix == ending or path.with_suffix(ending).exists():
            found = sha256(_read(path.with_suffix(ending))).hexdigest()
            if found != report.data["texts"][name]:
                raise VerificationFailed(
                    f"{path.with_suffix(ending)}: it is not the text that the engine signed"
                )
    return report


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise os_failed(path, error) from None


def _verified(text: str, expectation: Expectation) -> Report:
    data = _load(text, "report")
    if data.get("format") != FORMAT or text != text_of(data):
        raise VerificationFailed("the report does not have the documented form")
    proof = _exactly(data["proof"], {"genesis", "signature"}, "proof")
    try:
        genesis = parse_genesis(_unb64(proof["genesis"]))
    except SentinelError as error:
        raise VerificationFailed(f"the report is not intact: {error.message}") from None
    if Expectation.of_genesis(genesis) != expectation:
        raise VerificationFailed(
            "the report is of another engine, or under another authority, than expected"
        )
    body = {key: value for key, value in data.items() if key != "proof"}
    if data["engine_id"] != genesis.engine_id.hex():
        raise VerificationFailed("the report names another engine than the one that signed it")
    digest = sha256(canonical(body)).digest()
    try:
        verify_ed25519(genesis.identity_key, _hex(proof["signature"], 64), FORMAT, digest)
    except VerificationFailed:
        raise VerificationFailed("the engine did not sign this report") from None
    return Report(data)


# ---- For people ---------------------------------------------------------------------------------

_HEAD: Final = ("engine_id", "environment", "on", "began", "ended", "policy_hash", "machine")


def _verdict(data: dict[str, Any]) -> str:
    return "passed" if data["passed"] else "FAILED"


def _rows(facts: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Facts as rows of two columns; what is nested has its path as its name."""
    rows: list[tuple[str, str]] = []
    for name, value in facts.items():
        words = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows += _rows(value, f"{words}, ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows += [(f"as {row['as']}: {row['what']}", row["outcome"]) for row in value]
        elif isinstance(value, list):
            rows.append((words, ", ".join(map(str, value))))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            rows.append((words, f"{value:,}"))
        else:
            rows.append((words, str(value)))
    return rows


def markdown(data: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [f"# Drill of the stop, {data['began'][:10]}: {_verdict(data)}", ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {_cell(data[name])} |" for name in _HEAD]
    for number, step in enumerate(data["steps"], 1):
        lines += ["", f"## {number}. {step['title']}: {step['result']}", ""]
        if step["facts"]:
            lines += ["| | |", "|---|---|"]
            lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in _rows(step["facts"])]
        if step["problems"]:
            lines += ["", *(f"- **{_cell(text)}**" for text in step["problems"])]
    lines += ["", "## What this does not prove", ""]
    lines += [f"- {text}" for text in data["not_proven"]]
    lines += ["", "The JSON file beside this text holds its SHA-256 and the engine's signature:",
              "`zcp drill verify FILE --expect expectation.json` checks both.", ""]  # fmt: skip
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return str(value).replace("\n", " ").replace("|", "\\|")


def html(data: dict[str, Any]) -> str:
    """The report as one HTML page that loads nothing."""
    title = escape(f"Drill of the stop, {data['began'][:10]}: {_verdict(data)}")
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        _table([(name.replace("_", " "), str(data[name])) for name in _HEAD]),
    ]
    for number, step in enumerate(data["steps"], 1):
        result = escape(step["result"])
        parts.append(
            f'<h2>{number}. {escape(step["title"])}: <span class="{result}">{result}</span></h2>'
        )
        parts.append(_table(_rows(step["facts"])))
        parts += [f'<p class="failed">{escape(text)}</p>' for text in step["problems"]]
    parts.append("<h2>What this does not prove</h2><ul>")
    parts += [f"<li>{escape(text)}</li>" for text in data["not_proven"]]
    parts.append(
        "</ul><p>The JSON file beside this page holds its SHA-256 and the engine's signature: "
        "<code>zcp drill verify FILE --expect expectation.json</code> checks both.</p>"
        "</body></html>"
    )
    return "\n".join(parts) + "\n"


def _table(rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>\n" for a, b in rows)
    return f"<table>\n{cells}</table>"
