"""The release image: what is in it, and that it starts.

Goal: nothing of the tests is inside, everything inside is named, and the daemon gets the machine.
Method: the image that `enclave/image/build.sh` makes of this tree, its bill of materials, a boot.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from fake_nsm_relay import take
from nitro_qemu import Enclave
from plain_eif import Kind, pcrs, read

IMAGE = Path(__file__).resolve().parents[3] / "enclave" / "image"
LOBBY_PORT = 5701
PROBE_WORDS = (b"probe: nsm", b"probe: listen")


def test_its_measurements_are_those_computed_from_the_file(built: Path) -> None:
    release = built / "release"
    measured = json.loads((release / "measurements.json").read_text("utf-8"))
    assert measured == pcrs(read((release / "sentinel.eif").read_bytes()))


def test_the_probe_changes_pcr0_and_pcr2_alone(built: Path) -> None:
    release, probe = (
        json.loads((built / name / "measurements.json").read_text("utf-8"))
        for name in ("release", "probe")
    )
    assert [name for name in release if release[name] != probe[name]] == ["PCR0", "PCR2"]


def test_nothing_of_the_tests_is_inside(built: Path) -> None:
    inside = {
        name: b"".join(read((built / name / "sentinel.eif").read_bytes()).all(Kind.RAMDISK))
        for name in ("release", "probe")
    }
    for words in PROBE_WORDS:
        assert words in inside["probe"]
        assert words not in inside["release"]
    assert b"fake" not in inside["release"]


def test_the_kernel_has_no_more_than_the_daemon_needs(built: Path) -> None:
    config = (built / "release" / "kernel.config").read_text("utf-8").splitlines()
    off = ("ACPI", "AIO", "BLOCK", "BPF_SYSCALL", "COREDUMP", "DEVMEM", "IA32_EMULATION", "INET")
    off += ("INPUT", "IO_URING", "KEXEC", "MODULES", "NAMESPACES", "PCI", "USERFAULTFD", "VT")
    assert not [name for name in off if f"CONFIG_{name}=y" in config]
    asked = (IMAGE / "kernel.config").read_text("utf-8").splitlines()
    assert not [line for line in asked if line.startswith("CONFIG_") and line not in config]


def test_the_bill_names_all_that_is_linked(built: Path) -> None:
    bill = json.loads((built / "release" / "sbom.json").read_text("utf-8"))
    packages = {package["name"]: package for package in bill["packages"]}
    ours = {"core", "sentineld", "init"}
    others = {"gcc-12", "glibc", "libsecp256k1", "libsodium", "linux", "openssl"}
    assert set(packages) == ours | others
    assert all(
        package["versionInfo"] and package["licenseConcluded"] for package in bill["packages"]
    )
    lines = sum(int(packages[name]["comment"].split()[0]) for name in ours)
    assert bill["comment"] == f"{lines} lines of our own code"


def test_it_starts_and_the_daemon_waits_for_its_host(built: Path, tmp_path: Path) -> None:
    with Enclave(built / "release" / "sentinel.eif", tmp_path) as enclave:
        enclave.wait_started()
        # The lobby's port answers; sessions begin when there is an engine.
        with enclave.connect(LOBBY_PORT) as stream:
            stream.settimeout(60)
            # CREATE before there is a genesis: a status and no payload.
            stream.sendall(struct.pack("<II", 9, 0))
            status, size = struct.unpack("<II", take(stream, 8))
        assert (status != 0, size) == (True, 0)
        assert "sentineld: waits for its host" in enclave.serial()
