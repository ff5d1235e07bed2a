"""What a run was made on: the machine, the compiler, the libraries, the commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sysconfig
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from .. import _bench

__all__ = ["about", "pinned", "processor"]

_PEERS: Final = (
    "boto3",
    "cedarpy",
    "cffi",
    "coincurve",
    "cryptography",
    "eth-account",
    "moto",
    "pynacl",
    "pyperf",
    "python-pkcs11",
    "regopy",
)


def pinned() -> list[int]:
    """The processors that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def _first(path: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def processor() -> str:
    """The processor's name, as the system gives it."""
    named = _first("/proc/cpuinfo", r"^model name\s*: (.+)$")
    return named or platform.processor() or platform.machine()


def _output(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _commit() -> str:
    """Of the checkout that this runs from, with "+" where it was changed; "" elsewhere."""
    top = Path(__file__).resolve().parents[3]
    if not (top / "core" / "src").is_dir():
        return ""
    commit = _output("git", "rev-parse", "--short=12", "HEAD", cwd=top)
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", cwd=top)
    return commit + ("+" if commit and changed else "")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def file_system(place: str) -> str:
    """The kind of the file system that a place is on: what a write costs depends on it."""
    best, kind = "", ""
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, mount, found, *_ = line.split()
            at = mount.rstrip("/") + "/"
            if (os.path.realpath(place) + "/").startswith(at) and len(at) >= len(best):
                best, kind = at, found
    return kind


def about() -> dict[str, Any]:
    """Plain data, for the head of a results file."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    libraries = {"openssl": _bench.openssl_version(), "libsodium": _bench.sodium_version()}
    libraries |= {name: found for name in _PEERS if (found := _version(name))}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": _version("zcp-sentinel"),
        "commit": _commit(),
        "processor": processor(),
        "processors": os.cpu_count(),
        "hypervisor": "hypervisor" in _first("/proc/cpuinfo", r"^flags\s*: (.+)$").split(),
        "governor": _first("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", r"^(.+)$"),
        "kernel": platform.release(),
        "file_system": file_system(tempfile.gettempdir()),
        "system": _first("/etc/os-release", r'^PRETTY_NAME="(.+)"$'),
        "compiler": _output(compiler, "--version").partition("\n")[0],
        "python": platform.python_version(),
        "libraries": libraries,
        "load": [round(part, 2) for part in os.getloadavg()],
    }
