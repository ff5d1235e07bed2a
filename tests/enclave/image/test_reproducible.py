"""An image is a function of its sources.

Goal: who builds the same commit gets the same bytes and registers. Method: the image is built again
from a copy of the tree, in another folder, under another mask, locale and time zone, later. The
kernel is taken from the cache: `make enclave-test` built it twice before it kept it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from plain_eif import pcrs, read

TOP = Path(__file__).resolve().parents[3]
PARTS = ("init.cpio", "daemon.cpio", "bzImage", "sentinel.eif", "measurements.json", "sbom.json")


def copy_of_tree(where: Path) -> Path:
    """What an image is made of; the package, which only builds it, stays where it is."""
    for name in ("core", "enclave/daemon", "enclave/image"):
        shutil.copytree(TOP / name, where / name)
    (where / "python").symlink_to(TOP / "python")
    return where


def build(tree: Path, out: Path, *words: str) -> None:
    """Runs the tree's own build script."""
    environment = os.environ | {
        "PYTHON": sys.executable,
        "LC_ALL": "C.UTF-8",
        "TZ": "Pacific/Apia",
        "CFLAGS": "-O0 -g",
        "SENTINEL_CACHE": os.environ.get("SENTINEL_CACHE", str(TOP / "build/enclave/cache")),
    }
    command = ["sh", "-c", 'umask 077; exec "$0" "$@"', str(tree / "enclave/image/build.sh")]
    subprocess.run([*command, str(out), *words], env=environment, check=True)


def test_the_release_is_the_same_from_another_folder(built: Path, tmp_path: Path) -> None:
    tree, out = copy_of_tree(tmp_path / "a" / "tree"), tmp_path / "b" / "out"
    build(tree, out, "--any-kernel")
    shutil.copy(out / "measurements.json", built / "again.json")  # for who reads the output
    for name in PARTS:
        assert (built / "release" / name).read_bytes() == (out / name).read_bytes(), name
    measured = json.loads((out / "measurements.json").read_text("utf-8"))
    assert measured == pcrs(read((out / "sentinel.eif").read_bytes()))
