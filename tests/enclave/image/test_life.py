"""The release image, booted: an engine's whole life in it.

Goal: Show 1. Method: the steps of life_steps.py over vsock; the machine's security module measures
the image, and the harness signs what it says, under a root that only tests know. The measurements
that people expect are those that the build printed.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from engine_life import Engine
from life_steps import whole_life
from nitro_qemu import Enclave

LOBBY, SESSIONS = 5701, 5700


class BootedMachine:
    """One boot of the release image."""

    def __init__(self, image: Path, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        told = json.loads((image.parent / "measurements.json").read_text())
        self.pcrs = {n: bytes.fromhex(told[f"PCR{n}"]) for n in (0, 1, 2)}
        self._enclave = Enclave(image, folder)
        self._enclave.__enter__()
        self._runs = True
        try:
            self._enclave.wait_started()
            self._enclave.forward(SESSIONS, folder / "sessions")
        except BaseException:
            self.end()
            raise

    def lobby(self) -> socket.socket:
        stream = self._enclave.connect(LOBBY)
        stream.settimeout(120)
        return stream

    def address(self) -> str:
        self._enclave.connect(SESSIONS).close()
        return f"unix://{self.folder}/sessions"

    def end(self) -> None:
        """Cuts its power. Safe to call again."""
        if self._runs:
            self._runs = False
            print(self._enclave.serial())
            self._enclave.__exit__()


def test_the_whole_life_of_an_engine_in_the_release_image(engine: Engine, tmp_path: Path) -> None:
    image = Path(os.environ["SENTINEL_ENCLAVE"]) / "release" / "sentinel.eif"
    boots: list[BootedMachine] = []

    def boot() -> BootedMachine:
        boots.append(BootedMachine(image, tmp_path / f"b{len(boots)}"))
        return boots[-1]

    try:
        whole_life(engine, boot)
    finally:
        for machine in boots:
            machine.end()
    assert len(boots) == 2
