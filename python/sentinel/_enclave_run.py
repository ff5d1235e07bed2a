"""Runs an enclave by nitro-cli, and stays while it runs: what a service manager can watch.

`nitro-cli run-enclave` returns as soon as the enclave has booted, and its option to stay is one of
debug mode. So the enclave is started, looked at again and again, and its end is this program's end.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ._doctor import EIF_FACTOR, memory_for
from ._eif_whole import what_is_wrong
from .config import os_failed
from .errors import StorageError, UsageError

NITRO_CLI: Final = "nitro-cli"
START_SECONDS: Final = 180.0
"""An enclave boots in seconds; its memory is cleared before."""
ASK_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 5.0
MISSES_MAX: Final = 3
"""So many looks in a row may fail before the enclave counts as gone."""
CID_LOWEST: Final = 4
"""0 to 2 are reserved, 3 is the parent."""


@dataclass(frozen=True, slots=True)
class Enclave:
    """What is to run. Never in debug mode: there is no field for it."""

    eif: Path
    memory_mib: int
    cpus: int
    cid: int
    name: str

    def config(self) -> dict[str, Any]:
        """As `nitro-cli run-enclave --config` takes it."""
        return {
            "enclave_name": self.name,
            "cpu_count": self.cpus,
            "memory_mib": self.memory_mib,
            "eif_path": str(self.eif),
            "enclave_cid": self.cid,
            "debug_mode": False,
            "attach_console": False,
        }

    def command(self) -> list[str]:
        """The same as a command."""
        return [
            *(NITRO_CLI, "run-enclave", "--enclave-name", self.name),
            *("--cpu-count", str(self.cpus), "--memory", str(self.memory_mib)),
            *("--eif-path", str(self.eif), "--enclave-cid", str(self.cid)),
        ]


def check(enclave: Enclave) -> None:
    """The image is there and whole, and its memory is enough. Raises StorageError, UsageError."""
    try:
        wrong = what_is_wrong(enclave.eif)
        size = enclave.eif.stat().st_size
    except OSError as error:
        raise os_failed(str(enclave.eif), error) from None
    if wrong:
        raise StorageError(
            f"{enclave.eif}: {wrong}",
            next_step="copy it again; compare its measurements with those that were approved",
        )
    if enclave.memory_mib < (needed := memory_for(size)):
        raise UsageError(
            f"{enclave.memory_mib} MiB are too little for an image of {size} bytes",
            cause=f"nitro-cli gives an image at least {EIF_FACTOR} times its size",
            next_step=f"--memory {needed}, and as much set aside by the allocator",
        )


def _ask(command: list[str], seconds: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise StorageError(
            "nitro-cli is not there", next_step="zcp enclave doctor says what this machine lacks"
        ) from None
    except subprocess.TimeoutExpired:
        raise StorageError(f"{' '.join(command[:2])}: no answer in {seconds:.0f} s") from None
    if done.returncode != 0:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise StorageError(
            f"{' '.join(command[:2])} failed: {told[0] if told else done.returncode}",
            cause="\n".join(told[1:]),
            next_step="zcp enclave doctor; /var/log/nitro_enclaves has more",
        )
    return done.stdout


def running(name: str) -> dict[str, Any] | None:
    """The row of the enclave of that name; None where there is none. Raises StorageError."""
    try:
        rows = json.loads(_ask([NITRO_CLI, "describe-enclaves"], ASK_SECONDS))
    except ValueError:
        raise StorageError("nitro-cli describe-enclaves: its answer is no JSON") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise StorageError("nitro-cli describe-enclaves: its answer is no list of enclaves")
    return next((row for row in rows if row.get("EnclaveName") == name), None)


def start(enclave: Enclave) -> dict[str, Any]:
    """Starts it, or finds the one of its name that runs; its row. Raises StorageError.

    One that is found is left as it is: a restarted service must not end what signs. One in debug
    mode is refused, whoever started it.
    """
    found = running(enclave.name)
    if found is None:
        check(enclave)
        _ask(enclave.command(), START_SECONDS)
        found = running(enclave.name)
    if found is None:
        raise StorageError(
            f"the enclave {enclave.name} ended as soon as it was started",
            next_step="/var/log/nitro_enclaves; the image may be for another kernel, or broken",
        )
    if str(found.get("Flags", "")).upper() != "NONE":
        raise StorageError(
            f"the enclave {enclave.name} runs in debug mode: nothing attests it",
            next_step=f"nitro-cli terminate-enclave --enclave-name {enclave.name}",
        )
    if found.get("EnclaveCID") != enclave.cid:
        raise StorageError(
            f"the enclave {enclave.name} runs at CID {found.get('EnclaveCID')}, not {enclave.cid}",
            next_step=f"nitro-cli terminate-enclave --enclave-name {enclave.name}",
        )
    return found


def watch(enclave: Enclave, wait: Callable[[float], bool]) -> bool:
    """Looks until it is gone (False), or until `wait` says that enough was watched (True).

    `wait` is given seconds. Where nitro-cli does not answer, that is no sign of an end at once.
    """
    misses = 0
    while not wait(LOOK_SECONDS):
        try:
            row = running(enclave.name)
        except StorageError:
            misses += 1
            if misses >= MISSES_MAX:
                raise
            continue
        misses = 0
        if row is None or str(row.get("State", "")).upper() != "RUNNING":
            return False
    return True


def stop(enclave: Enclave) -> None:
    """Ends it. Raises StorageError."""
    _ask([NITRO_CLI, "terminate-enclave", "--enclave-name", enclave.name], ASK_SECONDS)
