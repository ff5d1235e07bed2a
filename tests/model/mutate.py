"""Plants mistakes in the core, one at a time, and checks that the comparison finds each.

    python -m tests.model.mutate [--only WORD] [--jobs 2]

Each mutation (mutations.py) replaces one exact piece of one source file in a temporary copy; only
the files that see the change are compiled again. A piece that is not there, or there twice, is an
error, so that the list cannot rot. First the unchanged core must pass the same comparison. Found
means: the comparison names a disagreement, or the core crashes or hangs in it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.model.mutation import Mutation
from tests.model.mutations import MUTATIONS

TOP = Path(__file__).resolve().parents[2]
CORE = TOP / "core"
FLAGS = ("-std=c11", "-O1", "-fPIC", "-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE", "-w")
LIBRARIES = ("-lsodium", "-lsecp256k1", "-lcrypto")
STEPS = 24_000  # at most; most mistakes show within some hundreds
SEEDS = (1, 2, 3, 4, 5, 6)  # the next where the one before does not find it
HANG_SECONDS = 120


class Verdict(NamedTuple):
    found: bool
    how: str


def compiler(*arguments: str | Path) -> None:
    command = [*os.environ.get("CC", "cc").split(), *map(str, arguments)]
    subprocess.run(command, check=True)


def compile_one(source: Path, built: Path) -> Path:
    """Compiles a file of a copy of core/src; its own directory comes first."""
    out = built / source.with_suffix(".o").name
    compiler(*FLAGS, f"-I{source.parent}", f"-I{CORE / 'include'}", "-c", "-o", out, source)
    return out


def link(objects: list[Path], library: Path) -> None:
    compiler("-shared", "-o", library, *objects, *LIBRARIES)


def compare(library: Path, level: str, seed: int) -> Verdict:
    """Runs the comparison against a library."""
    command = [sys.executable, "-m", "tests.model.compare"]
    command += ["--level", level, "--steps", str(STEPS), "--seed", str(seed)]
    environment = {**os.environ, "SENTINEL_LIB": str(library)}
    try:
        done = subprocess.run(
            command,
            cwd=TOP,
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(True, f"hangs for {HANG_SECONDS} s")
    if done.returncode == 0:
        return Verdict(False, done.stdout.strip())
    if done.returncode < 0:
        return Verdict(True, f"crashes with signal {-done.returncode}")
    if done.stdout.startswith("DISAGREEMENT"):
        return Verdict(True, done.stdout.splitlines()[0].removeprefix("DISAGREEMENT "))
    raise RuntimeError(f"the comparison itself failed:\n{done.stdout}{done.stderr}")


def mutated(source: Path, mutation: Mutation) -> str:
    """The file's text with the mistake in it; raises LookupError unless the piece is there once."""
    text = (source / mutation.file).read_text()
    count = text.count(mutation.before)
    if count != 1:
        raise LookupError(f"{mutation.name}: {count} places in {mutation.file}, not one")
    return text.replace(mutation.before, mutation.after)


def affected(source: Path, name: str) -> list[Path]:
    """The sources to compile again when a file changes."""
    if name.endswith(".c"):
        return [source / name]
    headers = {name}
    while True:  # headers that include a changed header
        more = {
            path.name
            for path in source.glob("*.h")
            if any(f'"{header}"' in path.read_text() for header in headers)
        }
        if more <= headers:
            break
        headers |= more
    return [
        path
        for path in sorted(source.glob("*.c"))
        if any(f'"{header}"' in path.read_text() for header in headers)
    ]


def try_mutation(base: Path, mutation: Mutation, seed: int) -> Verdict:
    """Builds the core with the mistake beside the unchanged objects, and compares."""
    with tempfile.TemporaryDirectory(dir=base) as work:
        source = Path(work) / "src"
        shutil.copytree(CORE / "src", source)
        (source / mutation.file).write_text(mutated(CORE / "src", mutation))
        again = {
            path.stem: compile_one(path, Path(work)) for path in affected(source, mutation.file)
        }
        kept = [path for path in sorted((base / "objects").glob("*.o")) if path.stem not in again]
        library = Path(work) / "libsentinel.so"
        link([*kept, *again.values()], library)
        return compare(library, mutation.level, seed)


def build_base(base: Path, jobs: int) -> Path:
    """The unchanged core: objects to link against, and a library."""
    objects = base / "objects"
    objects.mkdir()
    sources = sorted((CORE / "src").glob("*.c"))
    with ThreadPoolExecutor(jobs) as pool:
        built = list(pool.map(lambda path: compile_one(path, objects), sources))
    library = base / "libsentinel.so"
    link(built, library)
    return library


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="mutations whose name has this word")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    chosen = [mutation for mutation in MUTATIONS if options.only in mutation.name]
    begin = time.monotonic()
    for mutation in MUTATIONS:
        mutated(CORE / "src", mutation)  # all of them are still possible
    with tempfile.TemporaryDirectory(prefix="sentinel-mutate-") as work:
        base = Path(work)
        library = build_base(base, options.jobs)
        verdicts: dict[Mutation, Verdict] = {}
        for seed in SEEDS:
            left = [each for each in chosen if each not in verdicts or not verdicts[each].found]
            for level in sorted({mutation.level for mutation in left}):
                verdict = compare(library, level, seed)
                if verdict.found:
                    print(f"the unchanged core does not pass: {verdict.how}")
                    return 1
            with ThreadPoolExecutor(options.jobs) as pool:
                tried = pool.map(partial(try_mutation, base, seed=seed), left)
                verdicts |= zip(left, tried, strict=True)
    for mutation, verdict in verdicts.items():
        print(f"{'caught  ' if verdict.found else 'SURVIVED'} {mutation.name}: {verdict.how}")
    caught = sum(verdict.found for verdict in verdicts.values())
    print(f"{len(chosen)} mutations, {caught} caught; {time.monotonic() - begin:.0f} s")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
