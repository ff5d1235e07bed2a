"""Checks of the machine that runs an enclave: what `zcp enclave doctor` says, and why.

Each check gives one `Finding`: ok, warn or fail, what was found, what that means, and what to do.
A check that cannot look (no right, no such file) never says ok. docs/enclave.md has the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import yaml

from ._doctor_machine import Machine
from ._eif_whole import what_is_wrong

MIB: Final = 1 << 20
EIF_FACTOR: Final = 4
"""nitro-cli refuses an enclave with less memory than so many times its image."""
ENCLAVES_MAX: Final = 4
"""Of one parent instance."""
MEMORY_MIB: Final = 256
CPUS: Final = 2
STORE: Final = Path("/var/lib/sentinel")
STORE_FAIL_BYTES: Final = 1 << 30
STORE_WARN_BYTES: Final = 10 << 30
CLOCK_WARN_US: Final = 100_000
CLI_LOWEST: Final = (1, 2, 0)
"""The first nitro-cli that knows images of version 4, with a section of metadata."""

DEVICE: Final = "/dev/nitro_enclaves"
MODULE: Final = "/sys/module/nitro_enclaves"
POOL: Final = MODULE + "/parameters/ne_cpus"
ALLOCATOR: Final = "/etc/nitro_enclaves/allocator.yaml"
ALLOCATOR_UNIT: Final = "nitro-enclaves-allocator.service"
CLOCK_SOURCES: Final = ("kvm-clock", "tsc", "arch_sys_counter")


class State(StrEnum):
    """What a check says."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    state: State
    found: str
    meaning: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the enclave needs, and where its host keeps things."""

    memory_mib: int = MEMORY_MIB
    cpus: int = CPUS
    eif: Path | None = None
    store: Path = STORE
    region: str = ""
    online: bool = False


def _ok(name: str, found: str) -> Finding:
    return Finding(name, State.OK, found)


def _warn(name: str, found: str, meaning: str, remedy: str) -> Finding:
    return Finding(name, State.WARN, found, meaning, remedy)


def _fail(name: str, found: str, meaning: str, remedy: str) -> Finding:
    return Finding(name, State.FAIL, found, meaning, remedy)


def check_instance(machine: Machine, _: Wanted) -> Finding:
    """Whether this is an EC2 instance, by what its firmware says."""
    vendor = machine.text("/sys/class/dmi/id/sys_vendor") or ""
    product = machine.text("/sys/class/dmi/id/product_name") or "unknown type"
    if vendor == "Amazon EC2":
        return _ok("instance", f"EC2 instance, {product}")
    return _fail(
        "instance",
        f"no EC2 instance (vendor {vendor or 'not told'})",
        "enclaves run only beside an EC2 instance that was launched with them enabled",
        "run this on the parent instance; elsewhere the image boots under emulation (docs/enclave)",
    )


def check_device(machine: Machine, _: Wanted) -> Finding:
    """The driver and its device: without both nothing can be started."""
    if not machine.has(MODULE):
        return _fail(
            "device",
            "the driver nitro_enclaves is not loaded",
            "the instance was launched without EnclaveOptions, its type has no enclaves, or the "
            "kernel has no driver",
            "aws ec2 describe-instance-types --filters Name=nitro-enclaves-support,"
            "Values=supported lists types; launch with --enclave-options Enabled=true; then "
            "modprobe nitro_enclaves",
        )
    if not machine.has(DEVICE):
        return _fail(
            "device",
            f"{DEVICE} is not there",
            "the driver found no enclave device: enclaves are not enabled for this instance",
            "stop the instance, enable enclaves, start it (aws ec2 run-instances "
            "--enclave-options Enabled=true)",
        )
    if not machine.may_use(machine.at(DEVICE)):
        return _warn(
            "device",
            f"{DEVICE} is there, but not for this user",
            "this user cannot start an enclave; root and the group ne can",
            "usermod -aG ne USER, then log in again; or run the check as the service's user",
        )
    return _ok("device", f"{DEVICE}, driver loaded")


class AllocatorError(Exception):
    """The allocator's file says nothing that can be used."""


def allocator_pools(text: str) -> list[dict[str, Any]]:
    """The pools of the allocator's file: one mapping, or a list of them. Raises AllocatorError."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        raise AllocatorError("it is no YAML") from None
    pools = data if isinstance(data, list) else [data]
    for pool in pools:
        if not isinstance(pool, dict):
            raise AllocatorError("it is no mapping of settings")
        if unknown := sorted(str(name) for name in set(pool) - {*_POOL_SETTINGS}):
            raise AllocatorError(f"unknown setting {unknown[0]}")
        memory = pool.get("memory_mib")
        if not isinstance(memory, int) or isinstance(memory, bool) or memory <= 0:
            raise AllocatorError("memory_mib is missing or no number above 0")
        if ("cpu_count" in pool) == ("cpu_pool" in pool):
            raise AllocatorError("exactly one of cpu_count and cpu_pool is needed")
        pool["cpus"] = _cpus_of(pool)
    if not 1 <= len(pools) <= ENCLAVES_MAX:
        raise AllocatorError(f"{len(pools)} pools; 1 to {ENCLAVES_MAX} are possible")
    return pools


_POOL_SETTINGS: Final = ("memory_mib", "cpu_count", "cpu_pool")


def _cpus_of(pool: dict[str, Any]) -> int:
    if "cpu_pool" in pool:
        return len(cpu_list(str(pool["cpu_pool"])))
    count = pool["cpu_count"]
    if not isinstance(count, int) or isinstance(count, bool) or count <= 0:
        raise AllocatorError("cpu_count is no number above 0")
    return count


def cpu_list(text: str) -> list[int]:
    """The numbers of a list such as 1,3-5. Raises AllocatorError."""
    found: list[int] = []
    for part in filter(None, text.replace(" ", "").split(",")):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if match is None:
            raise AllocatorError(f"{part!r} is no list of processors")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return sorted(set(found))


def check_allocator(machine: Machine, wanted: Wanted) -> Finding:
    """What the allocator is told to set aside, against what the enclave needs."""
    text = machine.text(ALLOCATOR)
    if text is None:
        return _fail(
            "allocator",
            f"{ALLOCATOR} cannot be read",
            "nothing sets processors and memory aside for enclaves",
            "install aws-nitro-enclaves-cli; it brings the file and its service",
        )
    change = f"edit {ALLOCATOR}, stop all enclaves, systemctl restart {ALLOCATOR_UNIT}"
    try:
        pools = allocator_pools(text)
    except AllocatorError as error:
        return _fail("allocator", f"{ALLOCATOR}: {error}", "the allocator's service fails", change)
    told = ", ".join(f"{pool['memory_mib']} MiB and {pool['cpus']} processors" for pool in pools)
    if not any(_enough(pool, wanted) for pool in pools):
        return _fail(
            "allocator",
            f"sets aside {told}",
            f"the enclave needs {wanted.memory_mib} MiB and {wanted.cpus} processors",
            change,
        )
    return _ok("allocator", f"sets aside {told}")


def _enough(pool: dict[str, Any], wanted: Wanted) -> bool:
    return bool(pool["memory_mib"] >= wanted.memory_mib and pool["cpus"] >= wanted.cpus)


def _node_of(machine: Machine, cpu: int) -> str:
    """The NUMA node of a processor, also of one that is set aside; empty where it is not told."""
    found = machine.names(f"/sys/devices/system/cpu/cpu{cpu}", "node[0-9]*")
    return found[0].name if found else ""


def _huge(machine: Machine, node: str, which: str) -> int:
    """Bytes in huge pages of a node (or of all: node*)."""
    total = 0
    for file in machine.names("/sys/devices/system/node", f"{node}/hugepages/*/{which}"):
        size = re.fullmatch(r"hugepages-(\d+)kB", file.parent.name)
        text = machine.text(str(file.relative_to(machine.root)))
        if size and text and text.isdigit():
            total += int(size[1]) * 1024 * int(text)
    return total


def check_memory(machine: Machine, wanted: Wanted) -> Finding:
    """Free huge pages, on the node of the processors: an enclave's memory comes from there."""
    pool = _pool(machine)
    node = (_node_of(machine, pool[0]) if pool else "") or "node[0-9]*"
    total = _huge(machine, node, "nr_hugepages") // MIB
    free = _huge(machine, node, "free_hugepages") // MIB
    where = f" on {node}" if "[" not in node else ""
    found = f"{free} of {total} MiB in huge pages free{where}"
    remedy = f"raise memory_mib in {ALLOCATOR}, then systemctl restart {ALLOCATOR_UNIT}"
    if free >= wanted.memory_mib:
        return _ok("memory", found)
    if total >= wanted.memory_mib:
        return _warn(
            "memory",
            found,
            f"a new enclave of {wanted.memory_mib} MiB does not fit; it does when the one that "
            "runs has ended",
            "nothing, if it is this engine's enclave that runs (nitro-cli describe-enclaves)",
        )
    return _fail("memory", found, f"the enclave needs {wanted.memory_mib} MiB", remedy)


def _pool(machine: Machine) -> list[int]:
    try:
        return cpu_list(machine.text(POOL) or "")
    except AllocatorError:
        return []


def check_processors(machine: Machine, wanted: Wanted) -> Finding:
    """Processors in the driver's pool: enough, on one node, and not the parent's first core."""
    pool = _pool(machine)
    remedy = f"set cpu_count in {ALLOCATOR}, then systemctl enable --now {ALLOCATOR_UNIT}"
    if len(pool) < wanted.cpus:
        return _fail(
            "processors",
            f"{len(pool)} in the pool",
            f"the enclave needs {wanted.cpus}; the allocator has not run, or failed",
            remedy,
        )
    nodes = {node for cpu in pool if (node := _node_of(machine, cpu))}
    told = f"{len(pool)} in the pool ({', '.join(map(str, pool))})"
    if 0 in pool or len(nodes) > 1:
        return _fail(
            "processors",
            told,
            "processor 0 stays with the parent, and the others have to be of one NUMA node",
            "give cpu_count instead of cpu_pool: the allocator then chooses whole cores itself",
        )
    return _ok("processors", told)


def check_cli(machine: Machine, _: Wanted) -> Finding:
    """nitro-cli starts, and its version."""
    answer = machine.run(["nitro-cli", "--version"])
    install = "dnf install aws-nitro-enclaves-cli (Amazon Linux 2023)"
    if answer is None or answer[0] != 0:
        found = "nitro-cli is not there" if answer is None else f"nitro-cli failed ({answer[0]})"
        return _fail("nitro-cli", found, "nothing else starts an enclave", install)
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", answer[1])
    if match is None:
        return _warn("nitro-cli", "it tells no version", "it may be too old", install)
    version = tuple(int(part) for part in match.groups())
    if version < CLI_LOWEST:
        lowest = ".".join(map(str, CLI_LOWEST))
        return _warn(
            "nitro-cli",
            f"version {match[0]}",
            f"images of version 4 are known from {lowest} on",
            "dnf upgrade aws-nitro-enclaves-cli",
        )
    return _ok("nitro-cli", f"version {match[0]}")


def check_running(machine: Machine, _: Wanted) -> Finding:
    """Enclaves that run: none in debug mode, whose measurements are all zero."""
    answer = machine.run(["nitro-cli", "describe-enclaves"])
    try:
        rows = json.loads(answer[1]) if answer is not None and answer[0] == 0 else None
    except ValueError:
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return _warn(
            "running",
            "nitro-cli does not tell what runs",
            "whether an enclave runs in debug mode is not known",
            "nitro-cli describe-enclaves, as root or in the group ne",
        )
    told = ", ".join(
        f"{row.get('EnclaveName', '?')} at CID {row.get('EnclaveCID', '?')} "
        f"({row.get('State', '?')})"
        for row in rows
    )
    if any("DEBUG" in str(row.get("Flags", "")).upper() for row in rows):
        return _fail(
            "running",
            told,
            "an enclave in debug mode shows its console to this machine, and its measurements are "
            "zero: attestation refuses it, and KMS opens nothing for it",
            "nitro-cli terminate-enclave, then run-enclave without --debug-mode and "
            "--attach-console",
        )
    return _ok("running", told or "no enclave")


def check_vsock(machine: Machine, _: Wanted) -> Finding:
    """Whether there is vsock: all that is between the parent and its enclave."""
    if machine.has("/dev/vsock"):
        return _ok("vsock", "/dev/vsock")
    if machine.has("/sys/module/vsock"):
        return _warn(
            "vsock",
            "the module is loaded, but /dev/vsock is not there",
            "udev has not made it, or this is a container without it",
            "run on the instance itself, or hand /dev/vsock in",
        )
    return _fail(
        "vsock",
        "the module vsock is not loaded",
        "the parent cannot reach its enclave",
        "modprobe vsock; modprobe vmw_vsock_virtio_transport",
    )


def check_clock_source(machine: Machine, _: Wanted) -> Finding:
    """Which clock the parent's kernel reads."""
    source = machine.text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source in CLOCK_SOURCES:
        return _ok("clock source", source)
    return _warn(
        "clock source",
        source or "not told",
        "another source than the hypervisor's or the processor's is slow, and may drift",
        "clocksource=tsc or kvm-clock on the kernel's command line; see clocksource0/"
        "available_clocksource",
    )


def check_clock(machine: Machine, _: Wanted) -> Finding:
    """Whether the parent's clock is synchronised: commands and calls to KMS carry its time."""
    remedy = "systemctl enable --now chronyd, with server 169.254.169.123 (Amazon Time Sync)"
    clock = machine.clock()
    if clock is None:
        return _warn("clock", "the kernel does not tell", "its error is not known", remedy)
    synchronised, error = clock
    if not synchronised:
        return _fail(
            "clock",
            "not synchronised",
            "commands, leases and grants expire by time, and AWS refuses calls that are minutes "
            "off; the enclave's own clock does not come from here",
            remedy,
        )
    if error > CLOCK_WARN_US:
        return _warn(
            "clock",
            f"synchronised within {error / 1e6:.3f} s",
            "leases of seconds want less",
            "chronyc tracking tells from which source",
        )
    return _ok("clock", f"synchronised within {error / 1e6:.3f} s")


def check_store(machine: Machine, wanted: Wanted) -> Finding:
    """Room for what the host keeps: records, sealed state, images."""
    place = machine.at(str(wanted.store))
    while not place.exists() and place != place.parent:
        place = place.parent
    remedy = "give it a volume of its own that is watched; --store names another folder"
    try:
        free = machine.free(place)
    except OSError as error:
        return _fail("store", f"{wanted.store}: {error.strerror}", "nothing can be kept", remedy)
    found = f"{free // MIB} MiB free for {wanted.store}"
    meaning = "an engine whose records are not kept runs into its grant's end, and signs no more"
    if free < STORE_FAIL_BYTES:
        return _fail("store", found, meaning, remedy)
    if free < STORE_WARN_BYTES:
        return _warn("store", found, meaning, remedy)
    return _ok("store", found)


def memory_for(image_bytes: int) -> int:
    """The least memory that nitro-cli gives an image of that size, in MiB."""
    return -(-image_bytes * EIF_FACTOR // MIB)


def check_image(machine: Machine, wanted: Wanted) -> Finding:
    """The image and the memory that nitro-cli asks for it."""
    if wanted.eif is None:
        return _warn(
            "image", "none was named", "whether its memory is enough is not known", "--eif FILE"
        )
    place = machine.at(str(wanted.eif))
    try:
        size = place.stat().st_size
        wrong = what_is_wrong(place)
    except OSError as error:
        return _fail(
            "image",
            f"{wanted.eif}: {error.strerror}",
            "there is nothing to run",
            "copy the image here; compare its measurements with those that were approved",
        )
    if wrong:
        return _fail(
            "image",
            f"{wanted.eif}: {wrong}",
            "the hypervisor refuses it",
            "copy the image again; compare its measurements with those that were approved",
        )
    needed = memory_for(size)
    found = f"{wanted.eif}: {size} bytes"
    if needed > wanted.memory_mib:
        return _fail(
            "image",
            found,
            f"nitro-cli asks for {EIF_FACTOR} times that: {needed} MiB, not {wanted.memory_mib}",
            f"--memory {needed}, here, in {ALLOCATOR} and for run-enclave",
        )
    return _ok("image", f"{found}, {needed} MiB at least")


def check_credentials(machine: Machine, wanted: Wanted) -> Finding:
    """Where credentials would come from. They are neither read nor shown."""
    kept = [
        name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if machine.environ.get(name)
    ]
    if (machine.home / ".aws" / "credentials").exists():
        kept.append("~/.aws/credentials")
    if kept:
        return _warn(
            "credentials",
            f"long-lived ones: {', '.join(kept)}",
            "they stay good wherever they are copied to",
            "remove them; give the instance a role (examples/aws), which AWS renews",
        )
    if not wanted.online:
        return _warn(
            "credentials",
            "none on this machine; its role was not asked for",
            "whether the instance has a role is not known",
            "--online asks the metadata service for the role's name",
        )
    role = machine.metadata("meta-data/iam/security-credentials/")
    if not role:
        return _fail(
            "credentials",
            "the metadata service names no role",
            "without one KMS cannot be called, and the engine's root secret stays closed",
            "attach the instance profile of examples/aws",
        )
    return _ok("credentials", f"role {role.splitlines()[0]}")


def check_kms(machine: Machine, wanted: Wanted) -> Finding:
    """Whether KMS answers at all, by a TLS session; asked only with --online."""
    region = wanted.region or machine.environ.get("AWS_REGION", "")
    region = region or machine.environ.get("AWS_DEFAULT_REGION", "")
    region = region or machine.metadata("meta-data/placement/region") or ""
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
        return _fail(
            "kms",
            "no region is known",
            "every region has a KMS of its own",
            "--region REGION, or AWS_REGION",
        )
    host = f"kms.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    if wrong := machine.reach(host):
        return _fail(
            "kms",
            f"{host}: {wrong}",
            "a restarted enclave gets its root secret back from there alone",
            "port 443 outward and DNS, by NAT or by an interface endpoint com.amazonaws.REGION.kms",
        )
    return _ok("kms", f"{host} answers; whether the key's policy lets it open is not asked here")


CHECKS: Final[tuple[Callable[[Machine, Wanted], Finding], ...]] = (
    check_instance,
    check_device,
    check_allocator,
    check_memory,
    check_processors,
    check_cli,
    check_running,
    check_vsock,
    check_clock_source,
    check_clock,
    check_store,
    check_image,
    check_credentials,
)


def examine(machine: Machine, wanted: Wanted) -> Iterator[Finding]:
    """Every check, in the order in which their remedies make sense."""
    for check in CHECKS:
        yield check(machine, wanted)
    if wanted.online:
        yield check_kms(machine, wanted)
