"""zcp enclave doctor: each check gives each of its answers, on made-up trees of a parent machine.

Goal: an operator is told what is wrong, what it means and what to do, and is never told "ok" by a
check that could not look. Method: one healthy fake (`fake_parent.py`), one thing changed at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_parent import ENCLAVE, FakeParent, fake_image

from sentinel import _doctor
from sentinel._cli import _enclave_doctor, main
from sentinel._doctor import Finding, State, Wanted, examine
from sentinel._doctor_machine import Machine, free_bytes, kernel_clock, reach, run_program

IMAGE = Path("/srv/sentinel.eif")
NODE = "sys/devices/system/node/node0/hugepages/hugepages-2048kB/"
POOL = "sys/module/nitro_enclaves/parameters/ne_cpus"
ALLOCATOR = "etc/nitro_enclaves/allocator.yaml"
Change = Callable[[FakeParent], object]


@pytest.fixture
def parent(tmp_path: Path) -> FakeParent:
    return FakeParent(tmp_path).make()


def found(parent: FakeParent, name: str, wanted: Wanted | None = None) -> Finding:
    wanted = wanted or Wanted(eif=IMAGE)
    return next(each for each in examine(parent.machine(), wanted) if each.name == name)


def test_a_healthy_parent_passes_every_check(parent: FakeParent) -> None:
    findings = list(examine(parent.machine(), Wanted(eif=IMAGE, online=True)))
    assert [each.name for each in findings if each.state is not State.OK] == []
    assert len(findings) == len(_doctor.CHECKS) + 1
    assert len({each.name for each in findings}) == len(findings)


def test_the_page_has_every_check(parent: FakeParent) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "enclave.md").read_text()
    findings = examine(parent.machine(), Wanted(eif=IMAGE, online=True))
    assert [each.name for each in findings if f"\n| {each.name} |" not in page] == []


def test_an_empty_machine_is_never_ok_but_where_nothing_is_wrong(tmp_path: Path) -> None:
    empty = FakeParent(tmp_path, cli=False, synchronised=None, free=0)
    findings = list(examine(empty.machine(), Wanted()))
    assert [each.name for each in findings if each.state is State.OK] == []


def test_nothing_is_asked_of_the_network_unless_told_to(parent: FakeParent) -> None:
    list(examine(parent.machine(), Wanted(eif=IMAGE)))
    assert parent.asked == []


def setting(name: str, value: object) -> Change:
    return lambda parent: setattr(parent, name, value)


def file(name: str, text: str) -> Change:
    return lambda parent: parent.put(name, text)


def without(*names: str) -> Change:
    return lambda parent: parent.drop(*names)


# check, state, words of what was found, words of the remedy, what is changed
ANSWERS: list[tuple[str, State, str, str, Change]] = [
    ("instance", State.FAIL, "vendor QEMU", "parent", file("sys/class/dmi/id/sys_vendor", "QEMU")),
    ("instance", State.FAIL, "not told", "parent", without("sys/class/dmi")),
    ("device", State.FAIL, "not loaded", "modprobe", without("sys/module/nitro_enclaves")),
    ("device", State.FAIL, "is not there", "enclave-options", without("dev/nitro_enclaves")),
    ("device", State.WARN, "not for this user", "usermod -aG ne", setting("usable", False)),
    ("allocator", State.FAIL, "cannot be read", "install", without(ALLOCATOR)),
    ("allocator", State.FAIL, "no YAML", "restart", file(ALLOCATOR, "{")),
    ("allocator", State.FAIL, "no mapping", "restart", file(ALLOCATOR, "---\n- 7\n")),
    ("allocator", State.FAIL, "0 pools", "restart", file(ALLOCATOR, "[]")),
    ("allocator", State.FAIL, "memory_mib", "restart", file(ALLOCATOR, "cpu_count: 2")),
    (
        *("allocator", State.FAIL, "memory_mib", "restart"),
        file(ALLOCATOR, "memory_mib: 0\ncpu_count: 2"),
    ),
    (
        *("allocator", State.FAIL, "unknown setting cpus", "restart"),
        file(ALLOCATOR, "memory_mib: 512\ncpus: 2"),
    ),
    ("allocator", State.FAIL, "exactly one", "restart", file(ALLOCATOR, "memory_mib: 512")),
    (
        *("allocator", State.FAIL, "exactly one", "restart"),
        file(ALLOCATOR, "memory_mib: 512\ncpu_count: 2\ncpu_pool: 1,3"),
    ),
    (
        *("allocator", State.FAIL, "cpu_count", "restart"),
        file(ALLOCATOR, "memory_mib: 512\ncpu_count: true"),
    ),
    (
        *("allocator", State.FAIL, "no list of processors", "restart"),
        file(ALLOCATOR, "memory_mib: 512\ncpu_pool: 1-x"),
    ),
    (
        *("allocator", State.FAIL, "255 MiB", "restart"),
        file(ALLOCATOR, "memory_mib: 255\ncpu_count: 2"),
    ),
    (
        *("allocator", State.FAIL, "1 processors", "restart"),
        file(ALLOCATOR, "memory_mib: 256\ncpu_pool: 3"),
    ),
    (
        *("allocator", State.FAIL, "5 pools", "restart"),
        file(ALLOCATOR, "- {memory_mib: 512, cpu_count: 2}\n" * 5),
    ),
    ("memory", State.FAIL, "0 of 254", "memory_mib", lambda p: huge(p, total=127, free=0)),
    ("memory", State.WARN, "254 of 256", "describe", lambda p: huge(p, total=128, free=127)),
    ("memory", State.FAIL, "0 of 0", "memory_mib", without("sys/devices/system/node")),
    ("processors", State.FAIL, "0 in the pool", "cpu_count", file(POOL, "\n")),
    ("processors", State.FAIL, "0 in the pool", "cpu_count", without(POOL)),
    ("processors", State.FAIL, "0 in the pool", "cpu_count", file(POOL, "one")),
    ("processors", State.FAIL, "1 in the pool", "cpu_count", file(POOL, "3")),
    ("processors", State.FAIL, "(0, 1)", "cpu_count instead", file(POOL, "0-1")),
    (
        *("processors", State.FAIL, "(1, 5)", "cpu_count instead"),
        lambda p: p.put(POOL, "1,5").put("sys/devices/system/cpu/cpu5/node1/cpulist", "4-7"),
    ),
    ("nitro-cli", State.FAIL, "not there", "dnf install", setting("cli", False)),
    ("nitro-cli", State.FAIL, "failed (1)", "dnf install", setting("version", "")),
    ("nitro-cli", State.WARN, "no version", "dnf install", setting("version", "Nitro CLI")),
    ("nitro-cli", State.WARN, "1.1.9", "upgrade", setting("version", "Nitro CLI 1.1.9")),
    ("running", State.WARN, "does not tell", "describe-enclaves", setting("enclaves", None)),
    ("running", State.WARN, "does not tell", "describe-enclaves", setting("enclaves", "[")),
    ("running", State.WARN, "does not tell", "describe-enclaves", setting("enclaves", {})),
    ("running", State.WARN, "does not tell", "describe-enclaves", setting("enclaves", [7])),
    (
        *("running", State.FAIL, "sentinel at CID 16", "--debug-mode"),
        setting("enclaves", [ENCLAVE, ENCLAVE | {"Flags": "DEBUG_MODE"}]),
    ),
    ("vsock", State.WARN, "module is loaded", "instance itself", without("dev/vsock")),
    ("vsock", State.FAIL, "not loaded", "modprobe", without("dev/vsock", "sys/module/vsock")),
    (
        *("clock source", State.WARN, "jiffies", "clocksource="),
        file("sys/devices/system/clocksource/clocksource0/current_clocksource", "jiffies"),
    ),
    ("clock", State.WARN, "does not tell", "chronyd", setting("synchronised", None)),
    ("clock", State.FAIL, "not synchronised", "chronyd", setting("synchronised", (False, 16))),
    ("clock", State.WARN, "0.100 s", "chronyc", setting("synchronised", (True, 100_001))),
    ("store", State.FAIL, "1023 MiB", "volume", setting("free", (1 << 30) - 1)),
    ("store", State.WARN, "1024 MiB", "volume", setting("free", 1 << 30)),
    ("store", State.WARN, "10239 MiB", "volume", setting("free", (10 << 30) - 1)),
    ("image", State.FAIL, "No such file", "copy the image", without("srv/sentinel.eif")),
    ("image", State.FAIL, "no enclave image", "copy", file("srv/sentinel.eif", "text" * 200)),
    ("image", State.FAIL, "no enclave image", "copy", file("srv/sentinel.eif", ".eif")),
    ("image", State.FAIL, "version 3", "copy", lambda p: changed(p, 5, 3)),
    ("image", State.FAIL, "checksum", "copy", lambda p: changed(p, 999, 1)),
    ("image", State.FAIL, "checksum", "copy", lambda p: changed(p, 547, 1)),
    ("image", State.FAIL, "checksum", "copy", lambda p: changed(p, 20, 1)),
    (
        *("credentials", State.WARN, "AWS_SECRET_ACCESS_KEY", "role"),
        setting("environ", {"AWS_SECRET_ACCESS_KEY": "never-shown"}),
    ),
    (
        *("credentials", State.WARN, "~/.aws/credentials", "role"),
        file("root/.aws/credentials", "aws_secret_access_key = never-shown"),
    ),
]


def changed(parent: FakeParent, at: int, value: int) -> None:
    raw = bytearray(fake_image(1000))
    raw[at] = value if raw[at] != value else value + 1
    parent.bytes("srv/sentinel.eif", bytes(raw))


def huge(parent: FakeParent, *, total: int, free: int) -> None:
    parent.put(NODE + "nr_hugepages", str(total)).put(NODE + "free_hugepages", str(free))


@pytest.mark.parametrize(
    ("name", "state", "words", "remedy", "change"),
    ANSWERS,
    ids=[f"{row[0]}-{row[1].value}-{row[2]}" for row in ANSWERS],
)
def test_each_answer(
    parent: FakeParent, name: str, state: State, words: str, remedy: str, change: Change
) -> None:
    assert found(parent, name, Wanted(eif=IMAGE, online=True)).state is State.OK
    change(parent)
    finding = found(parent, name, Wanted(eif=IMAGE, online=True))
    assert (finding.state, finding.meaning != "") == (state, True), finding
    assert words in finding.found
    assert remedy in finding.remedy
    assert "never-shown" not in str(finding)


@pytest.mark.parametrize(
    "text",
    [
        "memory_mib: 256\ncpu_pool: 2,3",
        "memory_mib: 256\ncpu_pool: 2-3",
        "- {memory_mib: 64, cpu_count: 1}\n- {memory_mib: 256, cpu_count: 2}",
        "# a comment\nmemory_mib: 256\ncpu_count: 2\n",
    ],
)
def test_every_form_of_the_allocators_file_is_read(parent: FakeParent, text: str) -> None:
    parent.put(ALLOCATOR, text)
    assert found(parent, "allocator").state is State.OK


def test_memory_counts_on_the_node_of_the_pool_alone(parent: FakeParent) -> None:
    huge(parent, total=0, free=0)
    other = "sys/devices/system/node/node1/hugepages/hugepages-1048576kB/"
    parent.put(other + "nr_hugepages", "2").put(other + "free_hugepages", "2")
    assert found(parent, "memory").state is State.FAIL
    parent.drop("sys/devices/system/cpu")
    assert found(parent, "memory").state is State.OK, "no node is told: all count"


def test_an_image_needs_four_times_its_size(parent: FakeParent) -> None:
    parent.image(64 << 20)
    assert found(parent, "image", Wanted(memory_mib=256, eif=IMAGE)).state is State.OK
    parent.image((64 << 20) + 1)
    finding = found(parent, "image", Wanted(memory_mib=256, eif=IMAGE))
    assert finding.state is State.FAIL
    assert "--memory 257" in finding.remedy
    assert found(parent, "image", Wanted()).state is State.WARN


def test_a_store_that_is_not_made_yet_is_measured_where_it_will_be(parent: FakeParent) -> None:
    seen: list[Path] = []
    machine = parent.machine()
    wanted = Wanted(eif=IMAGE, store=Path("/var/lib/none/yet"))

    def free(path: Path) -> int:
        seen.append(path)
        raise OSError(5, "Input/output error")

    broken = Machine(root=machine.root, free=free)
    assert _doctor.check_store(broken, wanted).state is State.FAIL
    assert seen == [parent.root / "var/lib"]


def test_the_role_is_asked_for_only_with_online(parent: FakeParent) -> None:
    finding = found(parent, "credentials", Wanted(eif=IMAGE))
    assert (finding.state, parent.asked) == (State.WARN, [])
    assert "sentinel-parent" in found(parent, "credentials", Wanted(online=True)).found
    parent.metadata = {}
    assert found(parent, "credentials", Wanted(online=True)).state is State.FAIL


@pytest.mark.parametrize(
    ("region", "environ", "host"),
    [
        ("us-east-1", {}, "kms.us-east-1.amazonaws.com"),
        ("", {"AWS_REGION": "eu-west-1"}, "kms.eu-west-1.amazonaws.com"),
        ("", {"AWS_DEFAULT_REGION": "us-gov-west-1"}, "kms.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", {}, "kms.cn-north-1.amazonaws.com.cn"),
        ("", {}, "kms.eu-central-1.amazonaws.com"),
    ],
)
def test_kms_is_reached_in_its_region(
    parent: FakeParent, region: str, environ: dict[str, str], host: str
) -> None:
    parent.environ = environ
    wanted = Wanted(region=region, online=True)
    assert found(parent, "kms", wanted).state is State.OK
    assert parent.asked[-1] == host
    parent.wrong = "timed out"
    assert "timed out" in found(parent, "kms", wanted).found


@pytest.mark.parametrize("region", ["", "eu", "evil.example/", "EU-CENTRAL-1", "eu-central-1.x"])
def test_a_region_that_is_none_is_reached_nowhere(parent: FakeParent, region: str) -> None:
    parent.metadata = {"meta-data/placement/region": region}
    finding = found(parent, "kms", Wanted(region=region, online=True))
    assert (finding.state, parent.asked.count(region)) == (State.FAIL, 0)


def test_the_command_shows_findings_and_exits_by_them(
    parent: FakeParent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_enclave_doctor, "Machine", parent.machine)
    assert main(["enclave", "doctor", "--eif", str(IMAGE), "--online"]) == 0
    assert "14 ok, 0 warn, 0 fail" in capsys.readouterr().out
    parent.put("dev/nitro_enclaves", "").drop("dev/nitro_enclaves")
    assert main(["enclave", "doctor", "--json"]) == 9
    data = json.loads(capsys.readouterr().out)
    assert data["ok"] is False
    assert data["counts"] == {"ok": 10, "warn": 2, "fail": 1}
    assert [each["name"] for each in data["checks"] if each["state"] == "fail"] == ["device"]
    assert main(["enclave", "doctor"]) == 9
    assert "do: stop the instance, enable enclaves" in capsys.readouterr().out


def test_what_is_shown_is_no_markup(
    parent: FakeParent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parent.put("sys/class/dmi/id/sys_vendor", "[bold]x[/bold]")
    monkeypatch.setattr(_enclave_doctor, "Machine", parent.machine)
    main(["enclave", "doctor"])
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_the_machine_itself_answers_something(tmp_path: Path) -> None:
    """The real readers, wherever the test runs: they look, and neither fail nor write."""
    clock = kernel_clock()
    assert clock is None or clock[1] >= 0
    assert free_bytes(tmp_path) > 0
    assert run_program(["no-such-program-of-anyone"]) is None
    assert run_program(["true"]) == (0, "")
    assert reach("localhost.invalid") != ""
    machine = Machine(root=tmp_path, environ=os.environ)
    assert machine.text("/none") is None
    assert machine.names("/none", "*") == []
    assert not machine.has("/none")
