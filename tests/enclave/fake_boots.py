"""A fake of the machine below an enclave: boots of the daemon's own code, one fork each.

`fake_boots.c` says what in them is not the daemon's. Clocks stand still unless a test moves them,
randomness comes from a seed, and a boot sleeps until it is rung: so a run can be made again.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import socket
import struct
import subprocess
from pathlib import Path
from typing import Final

from raw_client import TOP, library

RSA_KEYS: Final = 24
_REQUEST: Final = struct.Struct("<IIIIQ72s")
_BOOT, _END = 1, 2
_SNDBUFFORCE: Final = 32
_SECONDS: Final = 60.0


class Died(Exception):
    """A boot ended that nobody ended."""


def program(sanitize: bool) -> Path:
    """The program, built if need be."""
    variant = "sanitize" if sanitize else "release"
    target = f"../../build/daemon/{variant}/fake_boots"
    command = ["make", "-s", "-C", "enclave/daemon", *(["SANITIZE=1"] if sanitize else []), target]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return TOP / "build" / "daemon" / variant / "fake_boots"


class Boots:
    """The process that forks, and the clocks of all boots. A context manager."""

    def __init__(self, folder: Path, *, sanitize: bool = False) -> None:
        self.folder = folder
        self.count = 0
        (folder / "clock").write_bytes(bytes(4096))
        with (folder / "clock").open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 4096)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        keys = TOP / "build" / "daemon" / "fake_rsa.pem"
        command = [program(sanitize), str(theirs.fileno()), folder / "clock", keys, str(RSA_KEYS)]
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
        self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), env=environment)
        theirs.close()
        library().raw_outcome_head.restype = ctypes.c_size_t
        self.outcome_head: int = library().raw_outcome_head()

    def __enter__(self) -> Boots:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.wait(20)

    def set_clocks(self, wall_ns: int, running_ns: int) -> None:
        struct.pack_into("<qq", self._page, 0, wall_ns, running_ns)

    def boot(self, seed: int, rsa_first: int) -> Boot:
        """Another boot, at its lobby."""
        self.count += 1
        folder = self.folder / f"b{self.count}"
        folder.mkdir()
        bell, theirs = socket.socketpair()
        knocks = socket.socket(socket.AF_UNIX)
        knocks.bind(str(folder / "lobby"))
        knocks.listen(16)
        with (folder / "console").open("wb") as console:
            fds = [theirs.fileno(), console.fileno(), knocks.fileno()]
            words = _REQUEST.pack(_BOOT, 0, 0, rsa_first, seed, str(folder).encode())
            socket.send_fds(self._control, [words], fds)
            (pid,) = struct.unpack("<i", self._control.recv(4))
        theirs.close()
        knocks.close()
        bell.settimeout(_SECONDS)
        return Boot(self, folder, pid, bell)

    def end(self, pid: int, signal_: int) -> int:
        """Signals a boot (0: does not) and waits; its wait status."""
        self._control.send(_REQUEST.pack(_END, pid, signal_, 0, 0, b""))
        status: int = struct.unpack("<i", self._control.recv(4))[0]
        return status


class Boot:
    """One boot."""

    def __init__(self, boots: Boots, folder: Path, pid: int, bell: socket.socket) -> None:
        self._boots, self.folder, self.pid, self._bell = boots, folder, pid, bell
        self.is_over = False

    def ring(self) -> None:
        """Comes back when all that was sent is served, and what is late is seen. Raises Died."""
        try:
            self._bell.sendall(b"!")
            if self._bell.recv(1):
                return
        except ConnectionError:
            pass
        except TimeoutError:
            raise Died("it hangs") from None
        raise Died("it is gone")

    def _connected(self, name: str) -> socket.socket:
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(str(self.folder / name))
        return stream

    def lobby(self) -> socket.socket:
        stream = self._connected("lobby")
        with contextlib.suppress(PermissionError):  # a whole file at once, where that is allowed
            stream.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, 4 << 20)
        stream.settimeout(_SECONDS)
        return stream

    def session(self) -> socket.socket:
        stream = self._connected("sessions")
        stream.setblocking(False)
        return stream

    def end(self, signal_: int = signal.SIGKILL) -> int:
        """Its wait status."""
        assert not self.is_over
        self.is_over = True
        status = self._boots.end(self.pid, signal_)
        self._bell.close()
        return status

    def secrets(self) -> list[tuple[str, bytes]]:
        """Every secret that came to be in it."""
        lines = (self.folder / "secrets").read_text().splitlines()
        return [(line.split()[0], bytes.fromhex(line.split()[1])) for line in lines]

    def console(self) -> bytes:
        return (self.folder / "console").read_bytes()

    def files(self) -> dict[str, bytes]:
        """Its memory's files, which no host can see: for judges alone."""
        top = self.folder / "engine"
        found = {}
        for path in top.rglob("*"):
            if path.is_file():
                found[str(path.relative_to(top))] = _without_zeros(path)
        return found


def _without_zeros(path: Path) -> bytes:
    """A file up to where only zeros are: a segment has its whole length from the beginning."""
    found = bytearray()
    with path.open("rb") as file:
        while (piece := file.read(1 << 15)) and (path.suffix != ".log" or any(piece[-512:])):
            found += piece
    return bytes(found + piece)
