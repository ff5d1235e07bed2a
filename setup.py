"""The extensions, each with the C core compiled in and the system's three C libraries beside it:
sentinel._core, and sentinel._bench, which only measures. The core has no globals, so two copies of
it do not disturb each other.

Switches, from the environment, each with any value but the empty one:

    SENTINEL_SANITIZE   AddressSanitizer and UBSan; broken invariants abort
    SENTINEL_COVERAGE   gcov instrumentation, no optimisation
    SENTINEL_DEBUG      no optimisation; broken invariants abort
"""

import os
import re
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

LIBRARIES = ["sodium", "secp256k1", "crypto"]
HEADER = Path("core/include/sentinel/sentinel.h")

compile_args = ["-std=c11", "-O2", "-g", "-fvisibility=hidden", "-fstack-protector-strong"]
link_args = ["-Wl,-z,relro,-z,now", "-Wl,-Bsymbolic"]
macros: list[tuple[str, str | None]] = [
    ("_POSIX_C_SOURCE", "200809L"),
    ("_DEFAULT_SOURCE", "1"),
]

if os.environ.get("SENTINEL_SANITIZE"):
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    compile_args += [*sanitize, "-fno-omit-frame-pointer"]
    link_args += sanitize
    macros.append(("SENTINEL_TEST", None))
if os.environ.get("SENTINEL_COVERAGE"):
    compile_args += ["--coverage", "-O0"]
    link_args.append("--coverage")
    macros.append(("SENTINEL_COVERAGE", None))
if os.environ.get("SENTINEL_DEBUG"):
    compile_args.append("-O0")
    macros.append(("SENTINEL_TEST", None))

version = re.search(r'^#define SENTINEL_VERSION "(.+)"$', HEADER.read_text(), re.MULTILINE)
if version is None:
    raise SystemExit(f"{HEADER}: no SENTINEL_VERSION")

headers = [*Path("core/include/sentinel").glob("*"), *Path("core/src").glob("*.h")]
core = sorted(map(str, Path("core/src").glob("*.c")))
extensions = [
    Extension(
        f"sentinel.{name}",
        sources=[f"python/sentinel/{name}.pyx", *core],
        depends=sorted(map(str, headers)),
        include_dirs=["core/include", "core/src"],
        libraries=LIBRARIES,
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for name in ("_core", "_bench")
]

setup(
    version=version[1],
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython",
        include_path=["python"],
        compiler_directives={"language_level": 3, "embedsignature": True},
    ),
)
