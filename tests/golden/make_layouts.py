"""Freezes sizes and offsets of every public struct in tests/golden/layouts.json.

python tests/golden/make_layouts.py           writes the file
python tests/golden/make_layouts.py --check   exits with 1 when the compiler sees another layout

The names come from the headers' text, the numbers from a C program that the compiler builds. A
change of this file is a change of the ABI: CHANGELOG.md must say so.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
HEADERS = TOP / "core" / "include" / "sentinel"
GOLDEN = Path(__file__).resolve().parent / "layouts.json"

STRUCT = re.compile(r"typedef (?:struct|union) (\w+) \{(.*?)\} \1;", re.DOTALL)


def structs() -> dict[str, list[str]]:
    """The fields of every struct and union that the public headers define, in order."""
    found: dict[str, list[str]] = {}
    for header in sorted(HEADERS.glob("*.h")):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        for name, body in STRUCT.findall(text):
            fields = []
            for line in body.split(";"):
                for declarator in line.split(","):
                    # `type name`, `type name[n]`, or a pointer to a function.
                    field = re.search(
                        r"(\w+)\s*(?:\[[^\]]*\]\s*)*$|\(\*(\w+)\)\(", declarator.strip()
                    )
                    if field:
                        fields.append(field[1] or field[2])
            found[name] = fields
    return found


def program(found: dict[str, list[str]]) -> str:
    """C that prints one line per struct and field."""
    lines = [
        "#include <sentinel/sentinel.h>",
        "#include <stdio.h>",
        "#define FIELD(type, field) \\",
        '    printf(#type " " #field " %zu %zu\\n", offsetof(type, field), \\',
        "           sizeof(((type *)0)->field))",
        "int main(void) {",
    ]
    for name, fields in found.items():
        lines.append(f'    printf("{name} . 0 %zu\\n", sizeof({name}));')
        lines += [f"    FIELD({name}, {field});" for field in fields]
    return "\n".join([*lines, "    return 0;", "}", ""])


def layouts() -> dict[str, dict[str, object]]:
    """{struct: {"bytes": size, "fields": {field: [offset, size]}}} as the compiler sees them."""
    found = structs()
    with tempfile.TemporaryDirectory() as directory:
        source, binary = Path(directory) / "layouts.c", Path(directory) / "layouts"
        source.write_text(program(found), encoding="utf-8")
        compiler = os.environ.get("CC", "cc").split()
        command = [*compiler, "-std=c11", f"-I{HEADERS.parent}", "-o", str(binary), str(source)]
        subprocess.run(command, check=True)
        printed = subprocess.run([binary], check=True, capture_output=True, text=True).stdout
    out: dict[str, dict[str, object]] = {}
    for line in printed.splitlines():
        name, field, offset, size = line.split()
        if field == ".":
            out[name] = {"bytes": int(size), "fields": {}}
        else:
            fields = out[name]["fields"]
            assert isinstance(fields, dict)
            fields[field] = [int(offset), int(size)]
    return dict(sorted(out.items()))


def render(found: dict[str, dict[str, object]]) -> str:
    """JSON with one line per field, so that a difference reads well."""
    text = json.dumps(found, indent=1)
    return re.sub(r"\[\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2]", text) + "\n"


def main() -> int:
    """Writes the file, or says that it is stale."""
    text = render(layouts())
    if "--check" not in sys.argv[1:]:
        GOLDEN.write_text(text, encoding="utf-8")
        return 0
    if not GOLDEN.exists() or GOLDEN.read_text(encoding="utf-8") != text:
        print(f"{GOLDEN.name} is stale: run python tests/golden/make_layouts.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
