"""The image starts under the machine nitro-enclave, and the machine measures it as we do.

Goal: kernel, init, NSM and vsock work together before a daemon depends on them; what changed does
not start. Method: QEMU under emulation, the probe in the daemon's place. What only real hardware
can show is not shown here: genuine documents, debug mode, the limits of Nitro's NSM, its latency.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import INSTANCE, ROLE
from fake_nitro import FakeRoot, sign_emulated
from fake_nsm_relay import DIAL_PORT, ECHO_PORT, NsmRelay, file_of, take, take_all
from nitro_qemu import HEARTBEAT_PORT, Enclave
from plain_eif import pcrs, read

from sentinel.attestation import AttestationRefused, Expectation, TrustRoot, verify

MEGABYTE = 1 << 20


@pytest.fixture
def nsm(probe: Enclave) -> Iterator[NsmRelay]:
    with NsmRelay(probe) as relay:
        yield relay


def test_registers_are_those_computed_from_the_image(
    built: Path, probe: Enclave, nsm: NsmRelay
) -> None:
    expected = pcrs(read(probe.image.read_bytes()))
    assert json.loads((built / "probe" / "measurements.json").read_text()) == expected
    assert {name: nsm.pcr(int(name[3:])) for name in expected} == expected
    # Of the parent: registers extended by the text itself, not by its hash.
    for index, text in ((3, ROLE), (4, INSTANCE)):
        assert nsm.pcr(index) == hashlib.sha384(bytes(48) + text.encode()).hexdigest()
    assert nsm.pcr(8) == "00" * 48


def test_measured_registers_are_locked(nsm: NsmRelay) -> None:
    for index in range(16):
        assert nsm.ask({"DescribePCR": {"index": index}})["lock"] is True
        assert nsm.ask({"ExtendPCR": {"index": index, "data": b"x"}}) == {"Error": "ReadOnlyIndex"}


def test_the_emulators_document_is_refused_until_the_harness_signs_it(
    probe: Enclave, nsm: NsmRelay
) -> None:
    asked = {"user_data": b"u" * 256, "nonce": b"n" * 32, "public_key": b"k" * 294}
    document = nsm.ask({"Attestation": asked})["document"]
    measured = pcrs(read(probe.image.read_bytes()))
    root = FakeRoot.make()
    known: dict[str, Any] = {
        "expectation": Expectation(
            {int(name[3:]): bytes.fromhex(pcr) for name, pcr in measured.items()}, None
        ),
        "nonce": asked["nonce"],
        "now": dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1),
        "root": TrustRoot.of_pem(root.pem),
    }
    with pytest.raises(AttestationRefused, match="unsigned"):
        verify(document, **known)
    found = verify(sign_emulated(document, root), **known)
    assert (found.nonce, found.user_data) == (asked["nonce"], asked["user_data"])
    known["nonce"] = b"m" * 32
    with pytest.raises(AttestationRefused, match="nonce"):
        verify(sign_emulated(document, root), **known)


def test_randomness_comes_from_the_module(probe: Enclave, nsm: NsmRelay) -> None:
    found = {bytes(nsm.ask("GetRandom")["random"]) for _ in range(8)}
    assert len(found) == 8
    assert all(len(each) == 256 for each in found)
    assert file_of(probe, "/sys/class/misc/hw_random/rng_current").strip() == "nsm-hwrng"


@pytest.mark.parametrize("size", [1, 4096, 65_537, MEGABYTE])
def test_bytes_go_both_ways(probe: Enclave, size: int) -> None:
    data = os.urandom(size)
    with probe.connect(ECHO_PORT) as stream:
        stream.settimeout(60)
        sender = threading.Thread(target=stream.sendall, args=(data,))
        sender.start()
        assert take(stream, size) == data
        sender.join()


def test_many_streams_do_not_mix(probe: Enclave) -> None:
    streams = [probe.connect(ECHO_PORT) for _ in range(32)]
    for number, stream in enumerate(streams):
        stream.settimeout(60)
        stream.sendall(b"%04d" % number * 1000)
    for number, stream in reversed(list(enumerate(streams))):
        assert take(stream, 4000) == b"%04d" % number * 1000
        stream.close()


def test_the_end_of_a_stream_is_seen_on_both_sides(probe: Enclave) -> None:
    with probe.connect(ECHO_PORT) as stream:
        stream.settimeout(60)
        stream.sendall(b"last words")
        stream.shutdown(socket.SHUT_WR)
        assert take_all(stream) == b"last words"


def test_the_enclave_opens_streams_to_its_parent(probe: Enclave) -> None:
    accepted = probe.listen(6000)
    with probe.connect(DIAL_PORT) as asking:
        asking.sendall((6000).to_bytes(4, "little"))
        with accepted.get(timeout=60) as stream:
            stream.settimeout(60)
            stream.sendall(b"from the parent" * 1000)
            assert take(stream, 15_000) == b"from the parent" * 1000


def test_a_port_without_a_listener_refuses(probe: Enclave) -> None:
    assert probe._vsock is not None
    with pytest.raises(ConnectionRefusedError):
        probe._vsock.connect(5799)


def test_other_programs_reach_a_port_by_a_unix_socket(probe: Enclave, tmp_path: Path) -> None:
    path = tmp_path / "echo.socket"
    probe.forward(ECHO_PORT, path)
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(60)
        deadline = time.monotonic() + 10
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        stream.connect(str(path))
        stream.sendall(b"hello")
        assert take(stream, 5) == b"hello"


def test_there_is_nothing_but_the_daemon(probe: Enclave) -> None:
    for path in ("/proc/modules", "/bin/sh", "/proc/net/tcp", "/proc/bus/pci"):
        with pytest.raises((EOFError, ConnectionError, AssertionError)):
            assert file_of(probe, path)
    assert file_of(probe, "/proc/1/comm").strip() == "sentineld"
    assert "sysfs ro" in " ".join(
        f"{kind} {options.split(',')[0]}"
        for _, _, kind, options, *_ in map(str.split, file_of(probe, "/proc/mounts").splitlines())
    )
    vulnerable = [
        name
        for name in ("meltdown", "spectre_v1", "spectre_v2")
        if file_of(probe, f"/sys/devices/system/cpu/vulnerabilities/{name}").startswith("Vuln")
    ]
    assert not vulnerable


def test_a_changed_image_does_not_start(built: Path, tmp_path: Path) -> None:
    raw = bytearray((built / "probe" / "sentinel.eif").read_bytes())
    raw[len(raw) // 2] ^= 1
    changed = tmp_path / "changed.eif"
    changed.write_bytes(raw)
    with Enclave(changed, tmp_path) as enclave:
        status, said = enclave.wait_ended()
    assert status != 0
    assert "checksum" in said.lower() or "crc" in said.lower(), said


def test_without_its_parent_the_enclave_ends(built: Path, tmp_path: Path) -> None:
    with Enclave(built / "probe" / "sentinel.eif", tmp_path) as enclave:
        # Answered with another byte: whoever speaks there is not the parent.
        with enclave.listen(HEARTBEAT_PORT).get(timeout=60) as stream:
            stream.sendall(b"\x00")
            status, _ = enclave.wait_ended()
        assert status == 0
        assert "init: the parent's heartbeat" in enclave.serial()
        assert "Attempted to kill init" in enclave.serial()
