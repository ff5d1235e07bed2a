"""The parent machine as `zcp enclave doctor` sees it: files, programs, the clock, the network.

Everything that a check reads goes through a `Machine`, so that the tests can hand in another tree
than the machine's own. Nothing here writes, and nothing asks the network unless a check is told to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

TEXT_BYTES_MAX: Final = 1 << 16
"""What is read of any file; those of /sys and /etc that matter are far shorter."""

PROGRAM_SECONDS: Final = 10.0
NETWORK_SECONDS: Final = 3.0
METADATA: Final = "169.254.169.254"
"""The address of the instance metadata service, from within an instance."""

_TIME_ERROR: Final = 5  # adjtimex: the clock is not synchronised
_TIMEX_BYTES: Final = 208  # of struct timex where a long has 64 bits
_TIMEX_MAX_ERROR: Final = 24  # offset of its maxerror, a long, in microseconds


def run_program(command: Sequence[str]) -> tuple[int, str] | None:
    """Exit status and output of a program; None where it is not there or does not end."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.returncode, done.stdout or done.stderr


def kernel_clock() -> tuple[bool, int] | None:
    """Whether the kernel holds its clock for synchronised, and its largest error in microseconds.

    By adjtimex(2) with no mode set, which changes nothing.
    """
    # Late, as all that only this command needs: zcp starts without.
    import ctypes

    page = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(page)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    error = int.from_bytes(page.raw[_TIMEX_MAX_ERROR : _TIMEX_MAX_ERROR + 8], "little", signed=True)
    return state != _TIME_ERROR, error


def free_bytes(path: Path) -> int:
    """What may still be written there. Raises OSError."""
    return shutil.disk_usage(path).free


def ask_metadata(path: str) -> str | None:
    """A text of the instance metadata service, by its second version (a token first).

    None where there is no such service or no such text. Credentials are never asked for.
    """
    import http.client

    try:
        link = http.client.HTTPConnection(METADATA, timeout=NETWORK_SECONDS)
        link.request(
            "PUT", "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        )
        answer = link.getresponse()
        token = answer.read(256).decode("ascii")
        if answer.status != 200:
            return None
        link.request("GET", f"/latest/{path}", headers={"X-aws-ec2-metadata-token": token})
        answer = link.getresponse()
        text = answer.read(TEXT_BYTES_MAX).decode("utf-8").strip()
        return text if answer.status == 200 else None
    except (OSError, http.client.HTTPException, UnicodeDecodeError, ValueError):
        return None


def reach(host: str) -> str:
    """Makes a TLS session with a host and ends it; what is wrong, or empty."""
    # Late: a wheel brings its own libcrypto, and the command starts without the system's.
    import socket
    import ssl

    try:
        context = ssl.create_default_context()
        with (
            socket.create_connection((host, 443), timeout=NETWORK_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except OSError as error:
        return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the checks look. `root` stands before every path that they name."""

    root: Path = Path("/")
    home: Path = field(default_factory=Path.home)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    run: Callable[[Sequence[str]], tuple[int, str] | None] = run_program
    clock: Callable[[], tuple[bool, int] | None] = kernel_clock
    free: Callable[[Path], int] = free_bytes
    may_use: Callable[[Path], bool] = field(
        default_factory=lambda: lambda path: os.access(path, os.R_OK | os.W_OK)
    )
    metadata: Callable[[str], str | None] = ask_metadata
    reach: Callable[[str], str] = reach

    def at(self, path: str) -> Path:
        """A path of the machine, under the root."""
        return self.root / path.lstrip("/")

    def has(self, path: str) -> bool:
        """Whether it is there."""
        with suppress(OSError):
            return self.at(path).exists()
        return False

    def text(self, path: str) -> str | None:
        """The text of a file, without the blanks at its ends; None where it cannot be read."""
        try:
            with self.at(path).open("rb") as file:
                return file.read(TEXT_BYTES_MAX).decode("utf-8", "replace").strip()
        except OSError:
            return None

    def names(self, path: str, pattern: str) -> list[Path]:
        """What is in a folder, sorted by name; nothing where there is no folder."""
        try:
            return sorted(self.at(path).glob(pattern))
        except OSError:
            return []
