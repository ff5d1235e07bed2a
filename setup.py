"""The extensions: sentinel._core; sentinel._client, which speaks to the daemon and has the C client
in it, and OpenSSL's TLS; and sentinel._bench, which only measures. Each has the C core compiled in
and the system's three C libraries beside it. The core has no globals, so copies of it do not
disturb each other.

Switches, from the environment, each with any value but the empty one:

    SENTINEL_SANITIZE   AddressSanitizer and UBSan; broken invariants abort
    SENTINEL_COVERAGE   gcov instrumentation, no optimisation
    SENTINEL_DEBUG      no optimisation; broken invariants abort
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

LIBRARIES = ["sodium", "secp256k1", "crypto"]
INCLUDES = ["core/include", "core/src"]
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
    compile_args += ["--coverage", "-fprofile-update=atomic", "-O0"]
    link_args.append("--coverage")
    macros.append(("SENTINEL_COVERAGE", None))
if os.environ.get("SENTINEL_DEBUG"):
    compile_args.append("-O0")
    macros.append(("SENTINEL_TEST", None))

version = re.search(r'^#define SENTINEL_VERSION "(.+)"$', HEADER.read_text(), re.MULTILINE)
if version is None:
    raise SystemExit(f"{HEADER}: no SENTINEL_VERSION")

core = sorted(map(str, Path("core/src").glob("*.c")))
parts = sorted(map(str, Path("python/sentinel").glob("_*_*.pxi")))
headers = sorted(map(str, [*Path(HEADER).parent.glob("*"), *Path("core/src").glob("*.h")]))


class BuildOnce(build_ext):
    """Compiles the core once for all extensions, on every processor, and only what changed."""

    def build_extensions(self) -> None:
        newest = max(os.stat(path).st_mtime for path in [*headers, __file__])

        def compile_one(source: str) -> str:
            target = Path(self.build_temp, source).with_suffix(".o")
            if not target.exists() or target.stat().st_mtime < max(
                newest, os.stat(source).st_mtime
            ):
                self.compiler.compile(
                    [source],
                    output_dir=self.build_temp,
                    macros=macros,
                    include_dirs=INCLUDES,
                    extra_postargs=compile_args,
                )
            return str(target)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_one, core))
        for extension in self.extensions:
            extension.extra_objects = objects
        super().build_extensions()


# What client and daemon have in common is in enclave/daemon.
SHARED = [f"enclave/daemon/{name}.c" for name in ("channel", "frame_cipher", "ring", "tls")]
MORE: dict[str, list[str]] = {
    "_client": [*sorted(map(str, Path("enclave/client").glob("*.c"))), *SHARED]
}
enclave = sorted(map(str, Path("enclave").glob("*/*.h")))

extensions = [
    Extension(
        f"sentinel.{name}",
        sources=[f"python/sentinel/{name}.pyx", *MORE.get(name, [])],
        depends=[*headers, *core, *parts, __file__, *(enclave if name in MORE else [])],
        include_dirs=[*INCLUDES, *(["enclave/daemon", "enclave/client"] if name in MORE else [])],
        libraries=[*(["ssl"] if name in MORE else []), *LIBRARIES],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for name in ("_core", "_client", "_bench")
]

setup(
    version=version[1],
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython",
        include_path=["python"],
        compiler_directives={"language_level": 3, "embedsignature": True},
    ),
    cmdclass={"build_ext": BuildOnce},
)
