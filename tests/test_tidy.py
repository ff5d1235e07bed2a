"""Style as a test: the rules of CONTRIBUTING.md that a program can check.

Goal: a reviewer reads meaning only. Method: each rule is one function that collects every place
where it is broken and fails with the list, so one run shows all of them. The rules about the built
library (no mutable data, only our own symbols) look at a release build.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
CODE = {".c", ".h", ".def", ".py", ".pyi", ".pyx", ".pxd", ".pxi", ".sh"}
AREAS = ("core", "python", "enclave", "bench", "tests", "docs", "build", "ci")

LINE_COLUMNS_MAX = 100
PAGE_COLUMNS_MAX = 120
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600

# Calls that core/src may not make, and why. A file that has a reason is listed below.
BANNED_CALLS = {
    "malloc calloc realloc free strdup aligned_alloc posix_memalign alloca": "no heap in the core",
    "printf fprintf puts putchar perror": "the core never prints",
    "sprintf vsprintf strcpy strcat strncpy strncat gets": "no bound, or a silent cut",
    "scanf sscanf fscanf atoi atol atof strtod strtof": "parses loosely",
    "assert exit _exit": "our own invariant latches the engine halted (check.h)",
    "abort": "only check.h, in test builds",
    "time gettimeofday clock_gettime": "the time is an input",
    "rand random srand": "randomness comes from libsodium",
    "system popen execve fork": "the core starts nothing",
    "setjmp longjmp signal": "control flow that cannot be read",
    "pthread_mutex_lock pthread_create": "threads take turns outside",
}
# Clocks that decide nothing: whether the time handed in jumped, and which pool a nonce is of.
ALLOWED_CALLS = {
    ("check.h", "abort"),
    ("engine_clock.c", "clock_gettime"),
    ("sign_nonces.c", "clock_gettime"),
}

# Every host that a file may name, venues' and specifications'. A new one is a decision: add it.
HOSTS = {
    "api.binance.com",
    "fapi.binance.com",
    "testnet.binance.vision",
    "testnet.binancefuture.com",
    "demo-api.binance.com",
    "demo-fapi.binance.com",
    "api.bybit.com",
    "api-testnet.bybit.com",
    "json-schema.org",
    "keepachangelog.com",
    "semver.org",
    "www.apache.org",
    "www.rfc-editor.org",
    "127.0.0.1",
    "localhost",
}


def tracked() -> list[Path]:
    """Every file of the tree that git knows or would add; all of it where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        out = subprocess.run(command, cwd=TOP, check=True, capture_output=True).stdout
        names = out.decode().split("\0")[:-1]
        return sorted(TOP / name for name in set(names) if (TOP / name).is_file())
    except (OSError, subprocess.CalledProcessError):
        made = re.compile(
            r"(^|/)(build|dist|run|__pycache__|\.(?!ci|github)[^/]*|[^/]*\.egg-info)/"
        )
        paths = [path for path in TOP.rglob("*") if path.is_file()]
        return sorted(path for path in paths if not made.search(name(path)))


FILES = tracked()


def name(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def files(*suffixes: str, under: str = "", golden: bool = False) -> list[Path]:
    """The text files with these suffixes; golden files, which others made, only if asked."""
    return [
        path
        for path in FILES
        if path.suffix in suffixes
        and name(path).startswith(under)
        and (golden or not name(path).startswith("tests/golden/") or path.suffix == ".py")
        and not name(path).startswith("tests/fuzz/corpus/")
    ]


def source_of_c(path: Path) -> str:
    """The file with comments and the insides of strings blanked, its lines where they were."""
    pattern = re.compile(
        r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL
    )
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text(path))


def numbered(source: str) -> Iterator[tuple[int, str]]:
    yield from enumerate(source.split("\n"), start=1)


def none(broken: list[str]) -> None:
    assert not broken, f"{len(broken)} places:\n" + "\n".join(broken)


def headers(where: str) -> list[Path]:
    found = files(".h", under=where)
    assert found, where
    return found


def test_lines_are_at_most_100_columns() -> None:
    sources = [p for p in files(*CODE) if p.name != "status.def" and p.name != "reason.def"]
    pages = files(".md", ".toml", ".yml")
    none(
        [
            f"{name(path)}:{number}: {len(line)} columns"
            for paths, limit in ((sources, LINE_COLUMNS_MAX), (pages, PAGE_COLUMNS_MAX))
            for path in paths
            for number, line in numbered(text(path))
            if len(line) > limit and not (path.suffix == ".md" and line.lstrip().startswith("|"))
        ]
    )


def test_no_tabs_trailing_blanks_or_missing_last_newline() -> None:
    broken = []
    for path in files(*CODE, ".md", ".toml", ".yml"):
        body = text(path)
        broken += [
            f"{name(path)}:{number}: tab or trailing blank"
            for number, line in numbered(body)
            if "\t" in line or line != line.rstrip()
        ]
        if body and (not body.endswith("\n") or body.endswith("\n\n")):
            broken.append(f"{name(path)}: must end in one newline")
    none(broken)


def test_files_are_at_most_600_lines() -> None:
    none(
        [
            f"{name(path)}: {count} lines"
            for path in files(*CODE)
            if (count := text(path).count("\n")) > FILE_LINES_MAX
        ]
    )


def functions_of_c(path: Path) -> Iterator[tuple[int, int]]:
    """First line and length of each function: it opens in column 0 and ends with '}' there."""
    start = 0
    lines = source_of_c(path).split("\n")
    for number, line in enumerate(lines, start=1):
        opens = line.rstrip().endswith("{") and not line.startswith(("#", "typedef", "extern"))
        if opens and "=" not in line and (not line[:1].isspace() or line.startswith("    ")):
            if start == 0 and (")" in line):
                start = number
        elif line.startswith("}"):
            if start:
                yield start, number - start + 1
            start = 0


def test_c_functions_are_at_most_70_lines() -> None:
    counted = 0
    broken = []
    for path in files(".c", ".h"):
        for first, length in functions_of_c(path):
            counted += 1
            if length > FUNCTION_LINES_MAX:
                broken.append(f"{name(path)}:{first}: {length} lines")
    assert counted > 100, "the functions were not found"
    none(broken)


def test_python_functions_are_at_most_70_lines() -> None:
    none(
        [
            f"{name(path)}:{node.lineno}: {node.name}: {length} lines"
            for path in files(".py", under="python/")
            for node in ast.walk(ast.parse(text(path)))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
        ]
    )


def test_core_makes_no_banned_call() -> None:
    why = {call: reason for calls, reason in BANNED_CALLS.items() for call in calls.split()}
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(why) + r")\s*\(")
    none(
        [
            f"{name(path)}:{number}: {match[1]}: {why[match[1]]}"
            for path in files(".c", ".h", under="core/src/")
            for number, line in numbered(source_of_c(path))
            for match in pattern.finditer(line)
            if (path.name, match[1]) not in ALLOWED_CALLS
        ]
    )


def test_core_has_no_floating_point() -> None:
    pattern = re.compile(r"\b(float|double)\b|(?<![\w.])\d+\.\d|(?<![\w.])\d+[eE][-+]?\d+\b")
    none(
        [
            f"{name(path)}:{number}: {line.strip()}"
            for path in files(".c", ".h", under="core/")
            for number, line in numbered(source_of_c(path))
            if pattern.search(line)
        ]
    )


def test_core_hides_no_return_in_a_macro_but_one() -> None:
    pattern = re.compile(r"#define\s+(\w+)(?:[^\n]*\\\n)*[^\n]*")
    found = {
        match[1]
        for path in files(".c", ".h", under="core/")
        for match in pattern.finditer(source_of_c(path))
        if re.search(r"\breturn\b", match[0])
    }
    # The other two are the rows of status.def and reason.def, one case each.
    assert found <= {"SENTINEL_TRY", "SENTINEL_STATUS", "SENTINEL_REASON"}


@pytest.mark.parametrize(
    "compiler", [("cc", "-std=c11", "c"), ("c++", "-std=c++17", "c++")], ids=["C11", "C++17"]
)
def test_every_public_header_compiles_alone(compiler: tuple[str, str, str]) -> None:
    program, standard, language = compiler
    for header in headers("core/include/sentinel/"):
        # Twice, so that a missing guard shows.
        unit = f"#include <sentinel/{header.name}>\n" * 2
        flags = [standard, "-x", language, "-fsyntax-only", "-pedantic", "-Wall", "-Wextra"]
        compile_text(program, [*flags, "-Werror", "-Icore/include"], unit, header.name)


def test_every_private_header_compiles_alone() -> None:
    for header in headers("core/src/"):
        unit = f'#include "{header.name}"\n' * 2
        flags = ["-std=c11", "-x", "c", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
        defines = ["-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE", "-Wno-unused-function"]
        where = ["-Icore/include", "-Icore/src"]
        compile_text("cc", [*flags, *defines, *where], unit, header.name)


def compile_text(program: str, flags: list[str], unit: str, what: str) -> None:
    done = subprocess.run(
        [program, *flags, "-"], input=unit, cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{what} with {program}:\n{done.stderr}"


def test_every_public_function_has_a_comment() -> None:
    """A declaration follows its comment; a pair with one comment stands without a blank line."""
    broken = []
    for path in headers("core/include/sentinel/"):
        previous = ""
        for number, line in numbered(text(path)):
            if line.startswith("SENTINEL_API ") and previous == "":
                broken.append(f"{name(path)}:{number}: {line}")
            previous = line.strip()
    none(broken)


def test_every_status_must_be_used() -> None:
    pattern = re.compile(r"SENTINEL_API\s+(?!SENTINEL_MUST_USE\s)sentinel_status\s+(\w+)\(")
    none(
        [
            f"{name(path)}: {match[1]}"
            for path in headers("core/include/sentinel/")
            for match in pattern.finditer(text(path))
        ]
    )


def test_no_work_is_left_for_later() -> None:
    words = "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"])
    pattern = re.compile(rf"\b({words})\b")
    none(
        [
            f"{name(path)}:{number}: {line.strip()}"
            for path in files(*CODE, ".md", ".toml", ".yml", "")
            for number, line in numbered(text(path))
            if pattern.search(line)
        ]
    )


def test_statuses_and_reasons_are_unique_and_documented() -> None:
    page = text(TOP / "docs" / "status-codes.md")
    for table in ("status", "reason"):
        rows = re.findall(
            rf"^SENTINEL_{table.upper()}\((\w+),\s*(\w+),\s*(?:\"(\w+)\",)?",
            text(TOP / "core/include/sentinel" / f"{table}.def"),
            re.MULTILINE,
        )
        assert len(rows) > 20, table
        for column in (0, 1):
            values = [row[column] for row in rows]
            assert len(values) == len(set(values)), f"{table}.def: a {column} appears twice"
        none(
            [f"{row[0]} is not in the page" for row in rows if f"`{row[2] or row[0]}`" not in page]
        )


def test_every_reason_has_a_test() -> None:
    tests = "\n".join(
        text(path)
        for where in ("tests/c/", "tests/python/")
        for path in files(".c", ".py", under=where)
    )
    codes = re.findall(
        r"^SENTINEL_REASON\((\w+),\s*\w+,\s*\"(\w+)\"",
        text(TOP / "core/include/sentinel/reason.def"),
        re.MULTILINE,
    )
    none(
        [
            f"{reason} ({code})"
            for reason, code in codes
            if f"SENTINEL_REASON_{reason}" not in tests
            and not re.search(rf"\bReason\.{reason}\b|[\"'`]{code}[\"'`]", tests)
        ]
    )


def test_no_file_names_a_place_of_one_machine() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|root|home|Users|mnt)/[\w.]")
    none(
        [
            f"{name(path)}:{number}: {line.strip()[:90]}"
            for path in files(*CODE, ".md", ".toml", ".yml", ".json", ".jsonl", "", golden=True)
            for number, line in numbered(text(path))
            if pattern.search(line)
        ]
    )


def test_files_name_no_host_but_the_listed() -> None:
    """No package registry's host in particular: where packages come from is the machine's own."""
    url = re.compile(r"https?://([\w.-]+)")
    registry = re.compile(r"\b(?:pypi|pythonhosted|npmjs|crates|rubygems|debian)\.(?:org|io|com)\b")
    none(
        [
            f"{name(path)}:{number}: {match[0]}"
            for path in files(*CODE, ".md", ".toml", ".yml", ".lock", "")
            if path.name != "Cargo.lock"  # Cargo has it name where each crate came from.
            for number, line in numbered(text(path))
            for match in (*url.finditer(line), *registry.finditer(line))
            if match.re is registry or match[1] not in HOSTS
        ]
    )


def test_pins_are_exact() -> None:
    lines = [line for _, line in numbered(text(TOP / "requirements.lock")) if line]
    pin = re.compile(r"[\w.-]+==[\w.]+$")
    none([line for line in lines if not line.startswith("#") and not pin.match(line)])


def test_only_the_command_prints_or_exits() -> None:
    """By name in the syntax tree, so that an example in a docstring may print."""
    banned = {"print", "exit", "quit", "SystemExit", "_exit"}
    none(
        [
            f"{name(path)}:{node.lineno}: {ast.unparse(node)}"
            for path in files(".py", under="python/sentinel/")
            if "/_cli/" not in name(path) and path.name != "__main__.py"
            for node in ast.walk(ast.parse(text(path)))
            if (isinstance(node, ast.Name) and node.id in banned)
            or (isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.exit", "os._exit"})
        ]
    )


@pytest.mark.parametrize("module", sorted({p.name for p in files(".c", under="core/src/")}))
def test_each_source_includes_only_what_flows_to_it(module: str) -> None:
    """order, policy, sign, audit know nothing of each other's private headers; gate knows all."""
    noun = re.split(r"[_.]", module)[0]
    shared = {"bytes.h", "check.h", "digits.h", "files.h", "hash.h", "wide.h"}
    shared |= {"eip712.h", "keccak.h", "msgpack.h"}  # know nothing of orders
    found = re.findall(r'^#include "([\w.]+)"', text(TOP / "core/src" / module), re.MULTILINE)
    own = {noun, "state"} if noun == "policy" else {noun}
    foreign = [h for h in found if h not in shared and re.split(r"[_.]", h)[0] not in own]
    if noun not in {"gate", "engine"}:
        none([f"{module} includes {header}" for header in foreign])


@pytest.fixture(scope="module")
def library() -> Path:
    """Where the library is, as a release builds it; set-up made it, so this is quick."""
    command = ["make", "-s", "-C", "core", "lib"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return TOP / "build" / "core" / "release"


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_core_has_no_mutable_globals(library: Path) -> None:
    """No object in writable memory. (.data.rel.ro is constant: it only waits for addresses.)

    But one: what the processor can, which is the same for whoever asks.
    """
    table = output("objdump", "-t", library / "libsentinel.a")
    symbol = re.compile(r"^[0-9a-f]{16} (.{7}) (\S+)\t[0-9a-f]{16}\s+(?:\.hidden )?(\S+)$", re.M)
    objects = [(m[2], m[3]) for m in symbol.finditer(table) if "d" not in m[1]]
    assert any(section.startswith(".data.rel.ro") for section, _ in objects), "nothing was read"
    writable = re.compile(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)\b|\*COM\*")
    found = [f"{what} in {section}" for section, what in objects if writable.match(section)]
    assert "sha_extensions in .bss" in found, "nothing was read"
    none([each for each in found if each != "sha_extensions in .bss"])


def test_core_exports_only_its_own_names(library: Path) -> None:
    lines = output("nm", "-D", "--defined-only", library / "libsentinel.so").splitlines()
    symbols = {line.split()[-1] for line in lines}
    assert "sentinel_gate_sign" in symbols
    none([symbol for symbol in sorted(symbols) if not symbol.startswith("sentinel_")])


def test_the_library_has_every_function_of_the_headers_and_no_other(library: Path) -> None:
    declared = {
        match[1]
        for path in headers("core/include/sentinel/")
        for match in re.finditer(r"SENTINEL_API[^;({]*?\b(sentinel_\w+)\(", source_of_c(path))
    }
    lines = output("nm", "-D", "--defined-only", library / "libsentinel.so").splitlines()
    assert {line.split()[-1] for line in lines} == declared


def test_release_builds_cannot_abort_or_allocate(library: Path) -> None:
    lines = output("nm", "-D", "--undefined-only", library / "libsentinel.so").splitlines()
    symbols = {line.split()[-1].split("@")[0] for line in lines}
    assert "sodium_mlock" in symbols or "memcpy" in symbols
    assert not symbols & {"abort", "exit", "malloc", "calloc", "realloc", "free", "__assert_fail"}
