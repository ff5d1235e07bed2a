"""An engine's whole life in an enclave, by commands alone (docs/enclave.md, sections 6 and 10).

Goal: no step needs more than `zcp`; whatever is wrong at a step is refused with a remedy, leaves
the store as it was, and the step can be done right afterwards. Method: the commands in this
process; the daemon's own code in another one, with a fake security module; a fake hypervisor on the
way, which signs documents; KMS as a fake, a witness over HTTP.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from command_life import POLICY, CommandLife
from engine_life import Machines
from test_enclave_life import _program

__all__ = ["_program"]

Make = Callable[[Callable[[CommandLife, str], None]], CommandLife]


@pytest.fixture
def make(
    tmp_path: Path,
    machines: Machines,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Make:
    return lambda before: CommandLife(tmp_path, machines, capsys, monkeypatch, before)


def whole(life: CommandLife) -> None:
    with life.between:
        life.genesis()
        server = life.serve()
        with closing(server.witness), server:
            life.keep()
            life.lease()
            first = life.sign()
            life.again()
            life.keep()
            life.lease()
            second = life.sign()
            server.shutdown()
    assert first["verdict"] == second["verdict"] == "allowed"
    assert second["record"] > first["record"]


def test_the_whole_life_by_commands(make: Make) -> None:
    whole(make(lambda life, step: None))


def wrong_at(life: CommandLife, step: str) -> None:
    """What may go wrong, before the step is done right."""
    {
        "begin": wrong_begin,
        "authority": wrong_authority,
        "authority taken": wrong_order,
        "certify": wrong_certificate,
        "keys": wrong_keys,
        "create": wrong_policy,
        "resume": wrong_resume,
    }[step](life)


def wrong_begin(life: CommandLife) -> None:
    root = ("--root-key", life.file("r1.pub"))
    begin = ("enclave", "begin", "--store", life.store)
    life.refused("a root of 2 of 1 keys", *begin, *root, "--root-threshold", "2", status=(2,))
    life.refused("a root of 1 of 2 keys", *begin, *root, *root, status=(2,))
    life.refused("is none of", *begin, *root, "--environment", "moon", status=(2,))
    life.refused("none.pub", *begin, "--root-key", life.file("none.pub"), status=(9,))
    life.refused("has no genesis yet", "enclave", "public", "--store", life.store, status=(2,))
    machine = life.machine
    assert machine is not None
    life.between.to(life.file("nowhere"))
    life.refused("the enclave's lobby is gone", *begin, *root, "--environment", "test", status=(9,))
    life.between.to(machine.folder)
    files = ("--certificate", life.file("pcrs.json"), "--kms-key", life.file("pcrs.json"))
    life.refused("this is no", "enclave", "certify", "--store", life.store, *files)


def wrong_authority(life: CommandLife) -> None:
    root = ("--root-key", life.file("r1.pub"), "--environment", "test")
    begin = ("enclave", "begin", "--store", life.store, *root)
    life.refused("has a genesis record already", *begin, status=(2,))
    other = ("enclave", "begin", "--store", life.file("other"), *root)
    life.refused("genesis", *other)  # the enclave is of one engine
    take = ("enclave", "public", "--store", life.store, "--authority")
    life.refused("this is no", *take, life.file("pcrs.json"))
    life.refused("is not signed as it has to be", *take, life.bundle())  # by nobody
    life.refused(
        "is not signed as it has to be", *take, life.signed(("authority",), life.bundle(), "r1")
    )  # by one
    file = life.signed(("authority",), life.bundle(without="witness"), "r1", "r2")
    life.refused("has no witness", *take, file, status=(2,))


def wrong_order(life: CommandLife) -> None:
    """Nothing goes before its turn."""
    life.refused("has no certificate yet", "enclave", "key", "generate", "notes", "--store",
                 life.store, status=(2,))  # fmt: skip
    compiled = ("enclave", "compile", life.file("policy.yaml"), "--store", life.store)
    life.refused("has no certificate yet", *compiled, "--out", life.file("x"), status=(2,))
    assert not life.file("x").exists()
    life.refused("is none of", "enclave", "ask", "--for", "fun", "--out", life.file("x"))
    life.refused("64 hex digits", "enclave", "ask", "--for", "boot", "--nonce", "5f",
                 "--out", life.file("x"))  # fmt: skip


def wrong_certificate(life: CommandLife) -> None:
    good = life.file("engine.certificate.signed")
    kms = ("--kms-key", life.file("kms.der"))
    take = ("enclave", "certify", "--store", life.store, "--certificate")
    life.refused(
        "is not signed as it has to be", *take, life.file("engine.certificate"), *kms
    )  # by nobody
    life.refused(
        "is not signed as it has to be", *take, life.file("engine.certificate.alice"), *kms
    )  # by one of two
    life.refused("no public key", *take, good, "--kms-key", life.file("pcrs.json"))
    own, life.kms.key = (
        life.kms.key,
        type(life.kms)(life.kms.policy, life.kms.root, life.kms.now).key,
    )
    life.zcp("enclave", "kms-key", "--key-id", "key", "--out", life.file("other.der"))
    life.kms.key = own
    life.refused("names another KMS key", *take, good, "--kms-key", life.file("other.der"))
    life.refused("this is no certificate", *take, life.file("first.authority.signed"), *kms)
    words = ("enclave", "certificate", "draft", "--document", life.file("genesis.cose"), "--nonce",
             "00" * 32, "--root", life.file("root.pem"), "--expect", life.file("genesis.json"),
             "--public", life.public, "--out", life.file("x"))  # fmt: skip
    life.refused("nonce", *words, *kms, status=(8,))
    assert not life.file("x").exists()


def wrong_keys(life: CommandLife) -> None:
    good = life.file("okx.import.signed")
    key = ("enclave", "key")
    store = ("--store", life.store)
    life.refused("there is a key notes already", *key, "generate", "notes", *store, status=(2,))
    life.refused("a key's name is", *key, "generate", "a b", *store, status=(2,))
    life.refused("is none of", *key, "generate", "x", "--venue", "moon", *store, status=(2,))
    life.refused("another key than spot", *key, "import", "spot", good, *store, status=(2,))
    life.refused(
        "is not signed as it has to be",
        *key,
        "import",
        "okx",
        life.file("okx.import.alice"),
        *store,
    )
    life.refused("this is no import", *key, "import", "okx", life.file("policy.yaml"), *store)


def wrong_policy(life: CommandLife) -> None:
    good = life.file("policy.yaml.bundle.signed")
    create = ("enclave", "create", "--store", life.store, "--policy")
    life.refused(
        "is not signed as it has to be", *create, life.file("policy.yaml.bundle")
    )  # by nobody
    life.refused("this is no policy", *create, life.file("first.authority.signed"))
    life.file("loose.yaml").write_text(POLICY.replace("lease: 1h\n", ""))
    life.refused("asks for no lease", *create, life.policy("loose.yaml"), status=(2,))
    row = "{venue: bybit, algorithm: hmac_sha256, for: firm, products: [spot], endpoint: checked}"
    life.file("keys.yaml").write_text(f"{POLICY}  spot: {row}\n")
    words = ("enclave", "compile", life.file("keys.yaml"), "--store", life.store)
    life.refused("spot", *words, "--out", life.file("x"))
    assert good.exists()
    assert not life.file("x").exists()


def wrong_resume(life: CommandLife) -> None:
    resume = ("enclave", "resume", "--lobby", f"unix://{life.between.lobby}", "--key-id", "key")
    life.refused("root.wrapped", *resume, "--store", life.file("empty"))
    broken = life.file("broken")
    shutil.copytree(life.store, broken)
    sealed = bytearray((broken / "keys.sealed").read_bytes())
    sealed[-1] ^= 1
    (broken / "keys.sealed").write_bytes(sealed)
    life.refused("does not open", *resume, "--store", broken, status=(14,))
    again = ("enclave", "begin", "--store", life.store, "--root-key", life.file("r1.pub"))
    life.refused("began already", *again, status=(2,))
    life.refused("began already", "enclave", "create", "--store", life.store, "--policy",
                 life.file("policy.yaml.bundle.signed"), status=(2,))  # fmt: skip
    life.refused("began already", "enclave", "key", "generate", "more", "--store", life.store)


@pytest.mark.long
def test_what_is_wrong_is_refused_and_nothing_is_half_started(make: Make) -> None:
    tried: list[str] = []

    def before(life: CommandLife, step: str) -> None:
        tried.append(step)
        wrong_at(life, step)

    whole(make(before))
    assert len(tried) == 7
