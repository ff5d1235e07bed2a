"""Writes what is generated in docs/: byte tables of the layouts, and what becomes of signatures.

A page asks for a table with a pair of lines,

    <!-- bytes: sentinel_order_place -->
    <!-- end -->

and gets one row per field: offset and size as the compiler sees them (through cffi), the meaning
from the comment behind the field in the header. Between

    <!-- holds -->
    <!-- end -->

stands the core's table of holds, one row for each venue and what holds alike there. Between

    <!-- refusals -->
    <!-- end -->

stand the codes with which an attestation document is refused. ``--check`` changes nothing and
fails when a page is stale.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests" / "python"))

HOLDS = re.compile(r"(<!-- holds -->\n)(.*?)(<!-- end -->)", re.DOTALL)
REFUSALS = re.compile(r"(<!-- refusals -->\n)(.*?)(<!-- end -->)", re.DOTALL)
EXPIRY = ("none can be set", "signed", "sent, not signed")
ACTIONS = ("place", "amend", "cancel", "cancel-all", "cancel-all-after", "query")
ACTIONS += ("withdraw", "transfer", "message")
BLOCK = re.compile(r"(<!-- bytes: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def field_comments(struct: str) -> dict[str, str]:
    """Comments that stand behind the fields of a struct in the public headers."""
    for header in sorted((TOP / "core/include/sentinel").glob("*.h")):
        found = re.search(
            rf"typedef struct {struct} {{\n(.*?)\n}} {struct};", header.read_text(), re.DOTALL
        )
        if found:
            # A comment may go on over several lines behind its field.
            fields = re.findall(
                r"^    [\w ]+?\*?(\w+)(?:\[[^;]*\])?;\s*/\*(.*?)\*/",
                found[1],
                re.DOTALL | re.MULTILINE,
            )
            return {name: " ".join(text.split()) for name, text in fields}
    raise SystemExit(f"docs: no struct {struct} in the public headers")


def table(struct: str) -> str:
    """The Markdown table of one struct."""
    from core_abi import ffi

    comments = field_comments(struct)
    rows = ["| Offset | Bytes | Field | Meaning |", "|---:|---:|---|---|"]
    layout = ffi.typeof(struct)
    for name, field in layout.fields or []:
        meaning = comments.get(name, "must be zero" if name.startswith("reserved") else "")
        meaning = meaning.replace("|", r"\|")
        rows.append(f"| {field.offset} | {ffi.sizeof(field.type)} | `{name}` | {meaning} |")
    rows.append(f"| **{ffi.sizeof(layout)}** | | | the whole |")
    return "\n".join(rows) + "\n"


def holds() -> str:
    """The Markdown table of what becomes of released signatures."""
    from core_abi import ffi, lib

    alike: dict[tuple[str, ...], list[str]] = {}
    for venue in range(7):
        for number, action in enumerate(ACTIONS, 1):
            hold = lib.sentinel_venue_hold(venue, number)
            if hold == ffi.NULL:
                continue
            name = ffi.string(lib.sentinel_venue_name(venue)).decode() if venue else "messages"
            ever = hold.window_ms == 2**63 - 1
            window = "for ever" if ever else f"{hold.window_ms / 1000:,.0f} s"
            expiry = EXPIRY[hold.expiry]
            if hold.floor_ms:
                expiry += f", from {hold.floor_ms / 1000:,.0f} s"
            once = "no" if hold.once else "yes"
            covered = "covered" if hold.endpoint_covered else "**open**"
            key = (name, window, expiry, once, covered)
            alike.setdefault(key, []).append(action)
    rows = ["| Venue | Actions | Usable for at most | Shorter validity | Twice? | Endpoint |"]
    rows.append("|---|---|---:|---|---|---|")
    for (name, *rest), actions in alike.items():
        rows.append(f"| {name} | {', '.join(actions)} | {' | '.join(rest)} |")
    return "\n".join(rows) + "\n"


def refusals() -> str:
    """The Markdown table of why an attestation document is refused."""
    from sentinel._attestation_errors import REFUSALS as TABLE

    rows = ["| Code | Exception | What is wrong | Remedy |", "|---|---|---|---|"]
    rows += [
        f"| `{code}` | `{row.exception.__name__}` | {row.wrong} | {row.remedy} |"
        for code, row in TABLE.items()
    ]
    return "\n".join(rows) + "\n"


def main() -> int:
    """Writes the pages, or says which are stale."""
    check = "--check" in sys.argv[1:]
    stale = []
    for page in sorted((TOP / "docs").glob("*.md")):
        old = page.read_text()
        new = BLOCK.sub(lambda match: match[1] + table(match[2]) + match[4], old)
        new = HOLDS.sub(lambda match: match[1] + holds() + match[3], new)
        new = REFUSALS.sub(lambda match: match[1] + refusals() + match[3], new)
        if new != old:
            stale.append(page.name)
            if not check:
                page.write_text(new)
    if check and stale:
        print(f"docs: stale: {', '.join(stale)}; run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
