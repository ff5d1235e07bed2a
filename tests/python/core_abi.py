"""The core's C interface as an outsider sees it: the installed headers and the shared library.

Nothing here is generated or copied by hand. The C preprocessor expands ``<sentinel/sentinel.h>``;
what comes from our own headers is handed to cffi after the few things that cffi cannot parse
(attributes, static assertions, inline functions) are taken out. A function that the library does
not have raises ``AttributeError`` when it is first used, not when this module is imported.

    from tests.python.core_abi import constants, ffi, lib

``SENTINEL_LIB``      path of ``libsentinel.so``; default ``build/core/release/libsentinel.so``
``SENTINEL_INCLUDE``  folder that holds ``sentinel/``; default ``core/include``
"""

from __future__ import annotations

import ast
import operator
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cffi

TOP = Path(__file__).resolve().parents[2]
INCLUDE = Path(os.environ.get("SENTINEL_INCLUDE", TOP / "core" / "include"))
LIBRARY = Path(os.environ.get("SENTINEL_LIB", TOP / "build/core/release/libsentinel.so"))

_OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}


def _preprocess(*flags: str) -> str:
    """The preprocessor's output for the umbrella header."""
    command = [*os.environ.get("CC", "cc").split(), "-std=c11", "-E", *flags, f"-I{INCLUDE}", "-"]
    source = "#include <sentinel/sentinel.h>\n"
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    return done.stdout


def _own_lines(expanded: str) -> str:
    """Only what stands in our own headers: line markers say which file each line is from."""
    own = False
    kept: list[str] = []
    for line in expanded.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            own = "/sentinel/" in marker[1]
        elif own:
            kept.append(line)
    return "\n".join(kept)


def _without(text: str, opening: str, brackets: str, tail: str) -> tuple[str, list[str]]:
    """Cuts every `opening ... balanced brackets ... tail`; gives the rest and what was inside."""
    inside: list[str] = []
    while found := re.search(opening, text):
        depth, at = 0, found.start()
        at = text.index(brackets[0], found.end() - 1)
        first = at
        while True:
            depth += {brackets[0]: 1, brackets[1]: -1}.get(text[at], 0)
            at += 1
            if depth == 0:
                break
        inside.append(" ".join(text[first + 1 : at - 1].split()))
        ending = re.compile(tail).match(text, at)
        text = text[: found.start()] + text[ending.end() if ending else at :]
    return text, inside


def declarations() -> tuple[str, list[str]]:
    """What cffi parses, and the conditions of the headers' static assertions."""
    text = _own_lines(_preprocess())
    text, _ = _without(text, r"__attribute__\s*\(", "()", r"\s*")
    text, asserted = _without(text, r"_Static_assert\s*\(", "()", r"\s*;")
    text, _ = _without(text, r"static\s+inline\b[^{;]*\{", "{}", r"\s*")
    return text, asserted


def _value(expression: str, known: dict[str, int | str]) -> int | str | None:
    """An integer expression or a string literal of a macro; None for anything else."""

    def walk(node: ast.expr) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name) and isinstance(known.get(node.id), int):
            return int(known[node.id])
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -walk(node.operand)
        raise ValueError(expression)

    plain = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b", r"\1", expression)
    plain = re.sub(r"\bU?INT(?:8|16|32|64)_C\b", "", plain)
    try:
        tree = ast.parse(plain, mode="eval").body
        if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
            return tree.value
        return walk(tree)
    except (SyntaxError, ValueError):
        return None


def macros() -> dict[str, int | str]:
    """Every SENTINEL_ macro whose value is an integer or a string."""
    pending: dict[str, str] = {}
    for line in _preprocess("-dM").splitlines():
        found = re.match(r"#define (SENTINEL_\w+)\s+(\S.*)$", line)
        if found:
            pending[found[1]] = found[2]
    known: dict[str, int | str] = {}
    for _ in range(len(pending)):
        fresh = {name: _value(text, known) for name, text in pending.items() if name not in known}
        solved = {name: value for name, value in fresh.items() if value is not None}
        if not solved:
            break
        known.update(solved)
    return known


def _load() -> tuple[Any, Any, list[str]]:
    text, asserted = declarations()
    parser = cffi.FFI()
    parser.cdef(text)
    if not LIBRARY.exists():
        raise FileNotFoundError(f"{LIBRARY}: build it with `make -C core`, or set SENTINEL_LIB")
    return parser, parser.dlopen(str(LIBRARY)), asserted


constants: dict[str, int | str] = macros()
ffi, lib, _asserted = _load()

# The layouts as the headers assert them: {type: size}, and {(type, field): offset}.
asserted_sizes: dict[str, int] = {}
asserted_offsets: dict[tuple[str, str], int] = {}
for _condition in _asserted:
    if _size := re.match(r"sizeof\s*\(\s*(\w+)\s*\)\s*==\s*\((.+?)\)\s*,", _condition):
        asserted_sizes[_size[1]] = int(_value(_size[2], constants) or 0)
    elif _at := re.match(
        r"(?:__builtin_)?offsetof\s*\(\s*(\w+)\s*,\s*([\w.]+)\s*\)\s*==\s*\((.+?)\)\s*,", _condition
    ):
        asserted_offsets[_at[1], _at[2]] = int(_value(_at[3], constants) or 0)


def status_name(status: int) -> str:
    """The name of a status, from the header's own table: "KEY_FULL"."""
    return str(ffi.string(ffi.cast("sentinel_status", status))).removeprefix("SENTINEL_")
