"""Golden policies: what each text compiles to, as readable text.

python tests/golden/make_policy.py           writes tests/golden/policy/*.txt
python tests/golden/make_policy.py --check   shows the difference, exits with 1 if there is one
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FOLDER = TOP / "tests" / "golden" / "policy"
sys.path.insert(0, str(TOP / "python"))

from sentinel import _layout  # noqa: E402
from sentinel._enums import Environment, Section  # noqa: E402
from sentinel.policy_compile import INITIAL_POLICY, FrameTerms, compile_policy  # noqa: E402

TERMS = FrameTerms(
    engine_id=bytes(range(32)),
    environment=Environment.TEST,
    sequence=3,
    issued_ns=1_700_000_000 * 10**9,
    expires_ns=1_800_000_000 * 10**9,
)
LAYOUTS = {
    Section.NODES: _layout.NODE,
    Section.ASSETS: _layout.ASSET,
    Section.NETWORKS: _layout.NETWORK,
    Section.INSTRUMENTS: _layout.INSTRUMENT,
    Section.KEYS: _layout.KEY,
    Section.CONSTRAINTS: _layout.CONSTRAINT,
}
WIDTHS = {Section.IDS: 4, Section.DESTINATIONS: 32, Section.SANCTIONS: 16}


def sources() -> dict[str, tuple[str, Path]]:
    """Name of the golden file: text of the policy, and its file."""
    firm = TOP / "examples" / "firm.yaml"
    return {
        "initial": (INITIAL_POLICY, TOP / "policy.yaml"),
        "firm": (firm.read_text(encoding="utf-8"), firm),
    }


def shown(value: object) -> str:
    """A field: bytes as text where they are, else as hexadecimal digits."""
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        return text.decode() if len(value) not in (16, 32) and text.isascii() else value.hex()
    if isinstance(value, tuple):
        return f"{value[0]}e-{value[1]}"
    return str(value)


def fields(name: str, layout: _layout.Layout, data: bytes, at: int) -> str:
    """One row, its fields in the order of the header."""
    row = layout.unpack(data, at)
    row.pop("sections", None)
    return f"{name}: " + " ".join(f"{field}={shown(value)}" for field, value in row.items())


def render(part: bytes) -> str:
    """The signed part of a policy bundle as text, every byte of it."""

    def lines() -> Iterator[str]:
        yield f"hash {_layout.frame_hash(part).hex()}"
        yield f"bytes {len(part)}"
        yield fields("frame", _layout.FRAME_HEADER, part, 0)
        payload = part[_layout.FRAME_HEADER.size :]
        yield fields("policy", _layout.POLICY, payload, 0)
        table = _layout.POLICY.unpack(payload)["sections"]
        for section in Section:
            offset, count = table[2 * section], table[2 * section + 1]
            yield f"\n[{section.name.lower()}] offset={offset} count={count}"
            if section in LAYOUTS:
                layout = LAYOUTS[section]
                for i in range(count):
                    yield fields(str(i), layout, payload, offset + i * layout.size)
            elif section in WIDTHS:
                width = WIDTHS[section]
                for i in range(count):
                    raw = payload[offset + i * width : offset + (i + 1) * width]
                    yield str(int.from_bytes(raw, "little")) if width == 4 else raw.hex()
            else:
                text = payload[offset : offset + count].decode()
                yield from (text[i : i + 96] for i in range(0, len(text), 96))

    return "\n".join(lines()) + "\n"


def main() -> int:
    """Writes the files, or with --check compares them."""
    check = sys.argv[1:] == ["--check"]
    stale = False
    for name, (text, file) in sources().items():
        part = compile_policy(text, TERMS, keyring=None, file=str(file))
        made, path = render(part), FOLDER / f"{name}.txt"
        if not check:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(made, encoding="utf-8")
            continue
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before != made:
            stale = True
            names = (str(path.relative_to(TOP)), "as compiled now")
            sys.stdout.writelines(
                difflib.unified_diff(before.splitlines(True), made.splitlines(True), *names)
            )
    if stale:
        print("if this is meant: python tests/golden/make_policy.py")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
