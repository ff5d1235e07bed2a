"""The C library as a stranger meets it: installed, found by pkg-config, linked from outside.

Goal: `make -C core install` leaves a header tree, two libraries and a pkg-config file that are
enough on their own. Method: install into a temporary prefix, build a C program that lies outside
the tree with nothing but what pkg-config prints, and run it; shared and static.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

PROGRAM = r"""
#include <sentinel/sentinel.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    if (strcmp(sentinel_status_name(SENTINEL_OK), "OK") != 0) {
        return 1;
    }
    const unsigned char zeros[SENTINEL_ORDER_BYTES_MAX] = {0};
    sentinel_reason reason = SENTINEL_REASON_NONE;
    if (sentinel_order_check(&reason, zeros, sizeof zeros, SENTINEL_ENVIRONMENT_LIVE) !=
            SENTINEL_OK ||
        reason == SENTINEL_REASON_NONE) {
        return 2;
    }
    printf("sentinel %s\n", SENTINEL_VERSION);
    return 0;
}
"""


def run(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("prefix")
    run("make", "-s", "-C", TOP / "core", f"PREFIX={place}", "install")
    return place


def build(prefix: Path, where: Path, *, static: bool) -> Path:
    source = where / "outside.c"
    source.write_text(PROGRAM)
    program = where / "outside"
    search = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    kind = ["--static"] if static else []
    flags = run("pkg-config", *kind, "--cflags", "--libs", "sentinel", **search).split()
    if static:
        flags = [str(prefix / "lib/libsentinel.a") if f == "-lsentinel" else f for f in flags]
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", program, source, *flags)
    return program


def version(prefix: Path) -> str:
    search = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    return run("pkg-config", "--modversion", "sentinel", **search).strip()


def test_a_program_outside_the_tree_links_the_shared_library(prefix: Path, tmp_path: Path) -> None:
    program = build(prefix, tmp_path, static=False)
    out = run(program, LD_LIBRARY_PATH=str(prefix / "lib"))
    assert out == f"sentinel {version(prefix)}\n"
    assert "libsentinel.so.0" in run("readelf", "-d", program)


def test_a_program_outside_the_tree_links_the_static_library(prefix: Path, tmp_path: Path) -> None:
    program = build(prefix, tmp_path, static=True)
    assert run(program) == f"sentinel {version(prefix)}\n"
    assert "libsentinel" not in run("readelf", "-d", program)


def test_the_installed_headers_are_all_that_the_tree_has(prefix: Path) -> None:
    installed = {path.name: path.read_bytes() for path in (prefix / "include/sentinel").iterdir()}
    ours = {p.name: p.read_bytes() for p in (TOP / "core/include/sentinel").iterdir()}
    assert installed == ours


def test_destdir_stages_without_entering_the_files(tmp_path: Path) -> None:
    run("make", "-s", "-C", TOP / "core", f"DESTDIR={tmp_path}", "PREFIX=/opt/s", "install")
    page = (tmp_path / "opt/s/lib/pkgconfig/sentinel.pc").read_text()
    assert "prefix=/opt/s\n" in page
    assert str(tmp_path) not in page


def test_every_link_of_the_installed_library_stays_inside(prefix: Path) -> None:
    for link in (prefix / "lib").glob("*.so*"):
        assert link.resolve().parent == (prefix / "lib").resolve()
        assert link.resolve().is_file()
