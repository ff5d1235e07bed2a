"""Writes what an image is made of: a bill of materials (SPDX 2.3, JSON) and a count of our lines.

    sbom.py TREE WORK OUT

Goal: nothing is in the image that is not named. Method: the linker's maps (WORK/init.map,
WORK/daemon.map) say from which archive each part came; Debian's package of the archive gives name
and version. A package without a licence below is an error: somebody must look.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

# By source package of Debian; as its copyright file says of the library itself.
LICENCES = {
    "gcc-12": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "glibc": "LGPL-2.1-or-later",
    "libsecp256k1": "MIT",
    "libsodium": "ISC",
    "linux": "GPL-2.0-only WITH Linux-syscall-note",
    "openssl": "Apache-2.0",
}
OURS = "Apache-2.0"
# The first part of a section's place in a map: its size, and the file that it came from.
PART = re.compile(r"^ \.\S+\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S+)$", re.MULTILINE)


def origins(linked: str) -> dict[str, int]:
    """The files that a map names, with the bytes that the image has of each."""
    # Long names of sections stand on a line of their own.
    joined = re.sub(r"^( \.\S+)\n\s+", r"\1 ", linked, flags=re.MULTILINE)
    kept = joined.split("Linker script and memory map", 1)[-1]
    found: dict[str, int] = {}
    for size, name in PART.findall(kept):
        path = name.split("(", 1)[0]
        if int(size, 16):
            found[path] = found.get(path, 0) + int(size, 16)
    return found


def package_of(path: str) -> tuple[str, str]:
    """The source package of Debian that a file came with, and its version."""
    names = [path, str(Path(path).resolve())]
    names += [name.removeprefix("/usr") for name in names]
    for name in names:
        asked = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
        if asked.returncode == 0:
            binary = asked.stdout.split(": ")[0].split(",")[0]
            shown = ["dpkg-query", "-W", "-f", "${source:Package}\t${source:Version}", binary]
            source, version = subprocess.check_output(shown, text=True).split("\t")
            return source, version
    raise SystemExit(f"sbom: {path} is linked, and is of no package")


def lines_of(files: list[Path]) -> int:
    """Lines with code: neither blank nor comment."""
    count = 0
    for file in files:
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", file.read_text("utf-8"), flags=re.DOTALL)
        count += sum(1 for line in code.splitlines() if line.strip())
    return count


def our_parts(tree: Path) -> dict[str, list[Path]]:
    """Our own sources that are in the image."""
    core, daemon = tree / "core", tree / "enclave" / "daemon"
    headers = sorted((core / "include").rglob("*.h")) + sorted((core / "include").rglob("*.def"))
    return {
        "core": sorted((core / "src").glob("*.[ch]")) + headers,
        "sentineld": sorted(daemon.glob("*.[ch]")),
        "init": [tree / "enclave" / "image" / "init.c"],
    }


def entry(name: str, version: str, licence: str, **more: Any) -> dict[str, Any]:
    """A package of the bill."""
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name),
        "name": name,
        "versionInfo": version,
        "licenseConcluded": licence,
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        **more,
    }


def libraries(work: Path) -> list[dict[str, Any]]:
    """What others made: libraries by the maps, and the kernel."""
    sizes: dict[tuple[str, str], int] = {}
    for name in ("init.map", "daemon.map"):
        for path, size in origins((work / name).read_text("utf-8")).items():
            if path.startswith("/usr/"):
                package = package_of(path)
                sizes[package] = sizes.get(package, 0) + size
    made = []
    for (source, version), size in sorted(sizes.items()):
        if source not in LICENCES:
            raise SystemExit(f"sbom: {source} has no licence in {Path(__file__).name}")
        comment = f"{size} bytes of its sections are linked"
        made.append(entry(source, version, LICENCES[source], comment=comment))
    return made


def pins(tree: Path) -> dict[str, str]:
    """The shell variables of pins.sh."""
    text = (tree / "enclave" / "image" / "pins.sh").read_text("utf-8")
    return dict(re.findall(r"^(\w+)=(\S+)$", text, flags=re.MULTILINE))


def main() -> int:
    """The command."""
    tree, work, out = map(Path, sys.argv[1:])
    header = (tree / "core/include/sentinel/sentinel.h").read_text("utf-8")
    (version,) = re.findall(r'#define SENTINEL_VERSION "(.*)"', header)
    packages, total = [], 0
    for name, files in our_parts(tree).items():
        lines = lines_of(files)
        total += lines
        packages.append(entry(name, version, OURS, comment=f"{lines} lines of code"))
    packages += libraries(work)
    pinned = pins(tree)
    packages.append(
        entry(
            "linux",
            pinned["kernel_version"],
            LICENCES["linux"],
            comment="built from Debian's source package with enclave/image/kernel.config",
            checksums=[{"algorithm": "SHA256", "checksumValue": pinned["kernel_sha256"]}],
        )
    )
    body = json.dumps(packages, sort_keys=True)
    bill = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"sentinel-enclave-{version}",
        "documentNamespace": "urn:sha256:" + hashlib.sha256(body.encode()).hexdigest(),
        "creationInfo": {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: sbom.py"]},
        "comment": f"{total} lines of our own code",
        "packages": packages,
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": package["SPDXID"],
            }
            for package in packages
        ],
    }
    out.write_text(json.dumps(bill, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
