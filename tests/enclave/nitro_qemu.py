"""Boots an enclave image under QEMU's machine nitro-enclave.

    with Enclave(image, folder) as enclave:
        enclave.wait_started()
        stream = enclave.connect(5700)

The hypervisor's side is QEMU's: it checks the image's checksum, measures the image into a virtual
NSM, and has no KVM here (TCG). The parent's side is fake_vsock.py. QEMU is the one that
tests/enclave/qemu/build.sh makes; SENTINEL_QEMU names it.
"""

from __future__ import annotations

import functools
import os
import queue
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from fake_vsock import FakeVsock

HEARTBEAT_PORT = 9000
HEARTBEAT = b"\xb7"
FIRMWARE = ("/usr/share/qemu", "/usr/share/seabios")


@functools.cache
def clock_words() -> str:
    """What the emulated kernel has to be told, beside the image, to have a clock at all.

    There is no kvm-clock without KVM, and nothing in the machine to measure the processor's counter
    by: the kernel is left with its ticks, which the emulator loses by the second. The words are not
    measured: no register differs.
    """
    source = Path(__file__).resolve().parent / "qemu" / "tsc.c"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "tsc"
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        khz = subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()
    return f"tsc_early_khz={khz} tsc=reliable"


class Enclave:
    """A machine with one image, and its parent's end of vsock. A context manager."""

    def __init__(
        self,
        image: Path,
        folder: Path,
        *,
        memory_mb: int = 256,
        enclave_id: str = "sentinel-test",
        parent_role: str | None = None,
        parent_id: str | None = None,
    ) -> None:
        self.image = image
        self._serial = folder / "serial.log"
        self._socket = folder / "vsock.socket"
        options = ["nitro-enclave", "vsock=parent", f"id={enclave_id}"]
        options += [f"parent-role={parent_role}"] if parent_role else []
        options += [f"parent-id={parent_id}"] if parent_id else []
        firmware = [word for where in FIRMWARE for word in ("-L", where)]
        self._command = [
            *(os.environ["SENTINEL_QEMU"], *firmware, "-M", ",".join(options)),
            *("-accel", "tcg", "-cpu", "max", "-m", f"{memory_mb}M", "-kernel", str(image)),
            *("-append", clock_words()),
            *("-display", "none", "-monitor", "none", "-no-reboot"),
            *("-serial", f"file:{self._serial}"),
            *("-chardev", f"socket,id=parent,path={self._socket}"),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._vsock: FakeVsock | None = None
        self.started_s = 0.0

    def __enter__(self) -> Self:
        self._socket.unlink(missing_ok=True)
        self._vsock = FakeVsock(self._socket).__enter__()
        self._heartbeats = self._vsock.listen(HEARTBEAT_PORT)
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._vsock is not None
        self._process.kill()
        self._process.communicate()
        self._vsock.__exit__()

    def serial(self) -> str:
        """All that the kernel and the programs said so far."""
        return self._serial.read_text("utf-8", "replace") if self._serial.exists() else ""

    def wait_started(self, timeout: float = 180.0) -> None:
        """Answers the enclave's heartbeat, as Nitro's parent does."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                stream = self._heartbeats.get(timeout=0.05)
                break
            except queue.Empty:
                self._must_run(deadline)
        with stream:
            stream.settimeout(timeout)
            if stream.recv(1) != HEARTBEAT:
                raise AssertionError("the enclave's first byte is no heartbeat")
            stream.sendall(HEARTBEAT)
        self.started_s = time.monotonic() - self._began

    def wait_ended(self, timeout: float = 60.0) -> tuple[int, str]:
        """Waits until QEMU has ended by itself; its status, and what it said."""
        assert self._process is not None
        out, err = self._process.communicate(timeout=timeout)
        return self._process.returncode, (out + err).decode("utf-8", "replace")

    def listen(self, port: int) -> queue.Queue[socket.socket]:
        """The streams that the enclave opens to a port of its parent."""
        assert self._vsock is not None
        return self._vsock.listen(port)

    def connect(self, port: int, timeout: float = 120.0) -> socket.socket:
        """A stream to a port of the enclave; tries again while nobody listens there yet."""
        assert self._vsock is not None
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._vsock.connect(port, max(deadline - time.monotonic(), 0.1))
            except ConnectionRefusedError:
                self._must_run(deadline)
                time.sleep(0.02)

    def forward(self, port: int, path: Path) -> None:
        """A Unix socket for other programs, each client of which gets a stream to a port."""
        assert self._vsock is not None
        self._vsock.forward(port, path)

    def _must_run(self, deadline: float) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            status, said = self.wait_ended()
            raise AssertionError(f"QEMU ended ({status}): {said}\n{self.serial()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"the enclave does not answer:\n{self.serial()}")
