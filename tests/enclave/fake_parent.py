"""A fake parent machine: trees of /sys, /etc and /dev, and answers of programs, all made up.

Goal: every check of `zcp enclave doctor` can be shown each of its answers without EC2. The tree is
what a small instance with enclaves has where the checks look; a test changes one thing in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plain_eif

from sentinel._doctor_machine import Machine

HEALTHY = {
    "sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
    "sys/class/dmi/id/product_name": "m6i.xlarge\n",
    "sys/module/nitro_enclaves/parameters/ne_cpus": "1,3\n",
    "sys/module/vsock/refcnt": "3\n",
    "sys/devices/system/cpu/cpu1/node0/cpulist": "0-3\n",
    "sys/devices/system/cpu/cpu3/node0/cpulist": "0-3\n",
    "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages": "256\n",
    "sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages": "256\n",
    "sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages": "0\n",
    "sys/devices/system/node/node0/hugepages/hugepages-1048576kB/free_hugepages": "0\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "kvm-clock\n",
    "etc/nitro_enclaves/allocator.yaml": "---\nmemory_mib: 512\ncpu_count: 2\n",
    "dev/nitro_enclaves": "",
    "dev/vsock": "",
    "var/lib/sentinel/keep": "",
}

ENCLAVE = {
    "EnclaveName": "sentinel",
    "EnclaveCID": 16,
    "State": "RUNNING",
    "Flags": "NONE",
}


def fake_image(size: int) -> bytes:
    """The bytes of an image of that size, as the oracle writes one."""
    frame = plain_eif.HEADER.size + plain_eif.SECTION.size
    kernel = plain_eif.Section(plain_eif.Kind.KERNEL, bytes(size - frame))
    return plain_eif.write(plain_eif.Image(0, (kernel,)))


@dataclass
class FakeParent:
    """A machine in a folder; every attribute is what it would answer."""

    root: Path
    version: str = "Nitro CLI 1.4.2"
    enclaves: Any = field(default_factory=list)
    cli: bool = True
    synchronised: tuple[bool, int] | None = (True, 250)
    free: int = 100 << 30
    usable: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(
        default_factory=lambda: {
            "meta-data/iam/security-credentials/": "sentinel-parent",
            "meta-data/placement/region": "eu-central-1",
        }
    )
    wrong: str = ""
    asked: list[str] = field(default_factory=list)

    def make(self) -> FakeParent:
        """Writes the healthy tree."""
        for name, text in HEALTHY.items():
            self.put(name, text)
        return self.image(1000)

    def image(self, size: int) -> FakeParent:
        """Puts a whole image there, of so many bytes, with nothing in it that runs."""
        return self.bytes("srv/sentinel.eif", fake_image(size))

    def bytes(self, name: str, raw: bytes) -> FakeParent:
        """Writes one file of the tree."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return self

    def put(self, name: str, text: str) -> FakeParent:
        """Writes one file of the tree."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self

    def drop(self, *names: str) -> FakeParent:
        """Removes files, and folders with what is in them."""
        for name in names:
            path = self.root / name
            inside = sorted(path.rglob("*"), reverse=True) if path.is_dir() else []
            for each in (*inside, path):
                each.rmdir() if each.is_dir() else each.unlink()
        return self

    def _run(self, command: Sequence[str]) -> tuple[int, str] | None:
        if not self.cli:
            return None
        if command[1:] == ["--version"]:
            return (0, self.version) if self.version else (1, "")
        if isinstance(self.enclaves, str):
            return 0, self.enclaves
        return (0, json.dumps(self.enclaves)) if self.enclaves is not None else (1, "E39")

    def _ask(self, path: str) -> str | None:
        self.asked.append(path)
        return self.metadata.get(path)

    def _reach(self, host: str) -> str:
        self.asked.append(host)
        return self.wrong

    def machine(self) -> Machine:
        """What the checks are given."""
        return Machine(
            root=self.root,
            home=self.root / "root",
            environ=self.environ,
            run=self._run,
            clock=lambda: self.synchronised,
            free=lambda path: self.free,
            may_use=lambda path: self.usable,
            metadata=self._ask,
            reach=self._reach,
        )
