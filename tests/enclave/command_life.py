"""An engine's life in an enclave by commands alone: the walk of docs/enclave.md, sections 6 and 10.

Each step is a method; `before` is called with the step's name, so that a test can first try what is
wrong there.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_life import SECRET, FakeMachine, Machines
from fake_hypervisor import FakeHypervisor
from fake_kms import FakeKms
from fake_nitro import FakeRoot
from key_life import PCRS, pinned

from sentinel import _witness_store
from sentinel._cli import _enclave_keys, _enclave_store, main
from sentinel.attestation import TrustRoot
from sentinel.witness import Server

PEOPLE = ("r1", "r2", "alice", "bob", "pol", "feeder", "maker", "keeper", "eve")
POLICY = """\
version: 1
firm:
  name: firm
  allow: {actions: [place, cancel, query, message]}
  max_value: 10k USD
  agents: {maker: {}}
lease: 1h
assets:
  USDT: {par: 1 USD}
  USD: {par: 1 USD}
  BTC: {}
instruments:
  OKX: {venue: okx, contract: spot, symbol: BTC-USDT, base: BTC, quote: USDT, tick: 0.1,
    lot: 0.00001}
keys:
  notes: {purpose: message, algorithm: ed25519, for: firm}
  okx: {venue: okx, algorithm: hmac_sha256, for: firm, products: [spot]}
"""


def light_keys() -> None:
    os.environ["ZCP_LIGHT_KEYS"] = "1"  # Argon2id at its least, as engines of tests may


class CommandLife:
    """A folder with everybody's files in it, and the host's store."""

    def __init__(
        self,
        folder: Path,
        machines: Machines,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        before: Callable[[CommandLife, str], None],
    ) -> None:
        light_keys()
        self.folder, self.machines, self.before = folder, machines, before
        self._capsys = capsys
        self.hypervisor = FakeRoot.make()
        self.between = FakeHypervisor(folder, self.hypervisor)
        self.store = folder / "store"
        self.file("words").write_text("of everybody in this test")
        self.file("root.pem").write_bytes(self.hypervisor.pem)
        measured = {f"PCR{index}": pcr.hex() for index, pcr in PCRS.items()}
        self.file("pcrs.json").write_text(json.dumps({"Measurements": measured}))
        self.file("policy.yaml").write_text(POLICY)
        self.file("okx.secret").write_bytes(SECRET)
        self.file("okx.words").write_text("word")
        trusted = TrustRoot.of_pem(self.hypervisor.pem)
        self.kms = FakeKms(pinned(PCRS[0]), trusted, lambda: dt.datetime.now(dt.UTC))
        for module in (_enclave_keys, _enclave_store):
            monkeypatch.setattr(module, "kms_client", lambda *_: self.kms)
        monkeypatch.setenv("ZCP_PASSPHRASE_FILE", str(self.file("words")))
        self.machine: FakeMachine | None = None
        self.url = ""

    def file(self, name: str) -> Path:
        return self.folder / name

    # ---- commands -----------------------------------------------------------------------------

    def run(self, *words: str | Path) -> tuple[int, str, str]:
        self._capsys.readouterr()
        status = main([str(word) for word in words])
        told = self._capsys.readouterr()
        return status, told.out, told.err

    def zcp(self, *words: str | Path) -> dict[str, Any]:
        """A command that has to work; what it says."""
        status, out, err = self.run(*words, "--json")
        assert status == 0, (words, out, err)
        found: dict[str, Any] = json.loads(out)
        return found

    def lobby(self, *words: str | Path) -> dict[str, Any]:
        return self.zcp("enclave", *words, "--lobby", f"unix://{self.between.lobby}")

    def refused(self, text: str, *words: str | Path, status: tuple[int, ...] = ()) -> None:
        """A command that is refused with these words, and leaves the store as it was."""
        before = self.digest()
        if words[0] == "enclave" and words[1] in ("begin", "certify", "create", "key"):
            words = (*words, "--lobby", f"unix://{self.between.lobby}")
        found, out, err = self.run(*words)
        assert found not in (0, 1), (words, out)
        assert not status or found in status, (found, err)
        assert text in err, err
        assert self.digest() == before, f"{words} left something behind"

    def digest(self) -> str:
        paths = sorted(path for path in self.store.glob("**/*") if path.is_file())
        rows = [f"{path.relative_to(self.store)} {path.read_bytes().hex()}" for path in paths]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def signed(self, family: tuple[str, ...], file: Path, *who: str) -> Path:
        """Copies that people signed apart, joined."""
        copies = []
        for name in who:
            copy = self.file(f"{file.name}.{name}")
            key = ["--key", str(self.file(f"{name}.key")), "--yes", "--out", str(copy)]
            self.zcp(*family, "sign", file, *key, "--public", self.public)
            copies.append(copy)
        joined = self.file(f"{file.name}.signed")
        self.zcp(*family, "combine", *copies, "--public", self.public, "--out", joined)
        return joined

    @property
    def public(self) -> Path:
        return self.store / "engine.public"

    # ---- the walk -----------------------------------------------------------------------------

    def boot(self) -> None:
        self.machine = self.machines.boot()
        self.machine.lobby().close()
        self.between.to(self.machine.folder)

    def people(self) -> None:
        for name in PEOPLE:
            key = self.file(f"{name}.key")
            self.zcp("authority", "keygen", name, "--out", key, "--environment", "test")
        self.zcp("witness", "init", self.file("witness"), "--environment", "test")

    def begin(self) -> None:
        self.before(self, "begin")
        roots = [word for name in ("r1", "r2") for word in ("--root-key", self.file(f"{name}.pub"))]
        self.lobby("begin", "--store", self.store, *roots, "--root-threshold", "2",
                   "--environment", "test")  # fmt: skip
        self.zcp("attest", "expect", "--measurements", self.file("pcrs.json"), *roots,
                 "--root-threshold", "2", "--purpose", "genesis",
                 "--out", self.file("genesis.json"))  # fmt: skip
        self.zcp("witness", "pin", self.file("witness"), self.store)

    def bundle(self, *more: str, without: str = "") -> Path:
        rows = {
            "alice": "operator",
            "bob": "operator",
            "pol": "policy",
            "feeder": "feed_mark,feed_execution,feed_position",
            "keeper": "keeper",
        }
        adds = [f"{self.file(name)}.pub:{powers}" for name, powers in rows.items()]
        adds.append(f"{self.file('witness')}/witness.pub:witness")
        words = [
            word for add in adds if not (without and without in add) for word in ("--add", add)
        ]
        file = self.file("first.authority")
        self.zcp("authority", "draft", "--public", self.public, *words, "--threshold", "operator=2",
                 "--agent", f"{self.file('maker.pub')}:firm/maker",
                 *more, "--out", file)  # fmt: skip
        return file

    def authority(self) -> None:
        self.before(self, "authority")
        file = self.signed(("authority",), self.bundle(), "r1", "r2")
        self.zcp("enclave", "public", "--store", self.store, "--authority", file)
        self.before(self, "authority taken")

    def document(self, purpose: str) -> list[str | Path]:
        """A document over the nonce of who will verify it; the options of a draft."""
        nonce = os.urandom(32).hex()
        out = self.file(f"{purpose}.cose")
        self.lobby("ask", "--for", purpose, "--nonce", nonce, "--out", out)
        return ["--document", out, "--nonce", nonce, "--root", self.file("root.pem")]

    def certificate(self) -> Path:
        self.zcp("enclave", "kms-key", "--key-id", "key", "--out", self.file("kms.der"))
        file = self.file("engine.certificate")
        self.zcp("enclave", "certificate", "draft", *self.document("genesis"),
                 "--expect", self.file("genesis.json"), "--kms-key", self.file("kms.der"),
                 "--public", self.public, "--out", file)  # fmt: skip
        return self.signed(("enclave", "certificate"), file, "alice", "bob")

    def certify(self) -> None:
        file = self.certificate()
        self.before(self, "certify")
        self.lobby("certify", "--store", self.store, "--certificate", file,
                   "--kms-key", self.file("kms.der"))  # fmt: skip
        engine = self.store / "expectation.json"
        self.zcp("attest", "expect", "--measurements", self.file("pcrs.json"), "--engine", engine,
                 "--out", self.file("enclave.json"))  # fmt: skip

    def imported(self) -> Path:
        file = self.file("okx.import")
        self.zcp("enclave", "import", "draft", "okx", "--venue", "okx", "--api-key", "account-okx",
                 "--secret-file", self.file("okx.secret"),
                 "--api-passphrase-file", self.file("okx.words"), *self.document("import"),
                 "--expect", self.file("enclave.json"), "--public", self.public,
                 "--out", file)  # fmt: skip
        return self.signed(("enclave", "import"), file, "alice", "bob")

    def keys(self) -> None:
        self.lobby("key", "generate", "notes", "--store", self.store)
        file = self.imported()
        self.before(self, "keys")
        self.lobby("key", "import", "okx", file, "--store", self.store)
        rows = self.zcp("enclave", "key", "list", "--store", self.store)["keys"]
        assert [row["name"] for row in rows] == ["notes", "okx"]

    def policy(self, source: str = "policy.yaml") -> Path:
        file = self.file(f"{source}.bundle")
        self.zcp("enclave", "compile", self.file(source), "--store", self.store, "--out", file)
        return self.signed(("policy",), file, "pol")

    def create(self) -> None:
        file = self.policy()
        self.before(self, "create")
        found = self.lobby("create", "--store", self.store, "--policy", file)
        self.pin(found)

    def pin(self, found: dict[str, Any]) -> None:
        """Who connects verifies the document for sessions, and pins its key."""
        self.zcp("attest", "verify", found["document"], "--nonce", found["nonce"],
                 "--expect", self.file("enclave.json"), "--root", self.file("root.pem"),
                 "--pin-out", self.file("pin"))  # fmt: skip

    def session(self, who: str) -> list[str | Path]:
        where = ["--connect", f"unix://{self.between.sessions}"]
        return [*where, "--session-key", self.file(f"{who}.key")]

    def keep(self) -> dict[str, Any]:
        return self.zcp("enclave", "keep", "--store", self.store, *self.session("keeper"),
                        "--expect", self.file("enclave.json"), "--root", self.file("root.pem"),
                        "--witness", self.url)  # fmt: skip

    def lease(self) -> None:
        """An operator's, in force at once; the keeper brings the witness's word."""
        self.run("lease", *self.session("alice"), "--pin", self.file("pin"), "--json")
        self.keep()

    def sign(self) -> dict[str, Any]:
        words = ["--message", "hello", "--agent", "firm/maker", "--pin", self.file("pin")]
        return self.zcp("sign", *words, *self.session("maker"))

    def serve(self) -> Server:
        witness = _witness_store.Witness(self.file("witness"), b"of everybody in this test")
        server = Server(witness, "127.0.0.1:0")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        return server

    def genesis(self) -> None:
        """From an enclave that knows nothing to an engine that signs."""
        self.boot()
        self.people()
        self.begin()
        self.authority()
        self.certify()
        self.keys()
        self.create()

    def again(self) -> None:
        """A power cut, another boot, and the engine is there again."""
        assert self.machine is not None
        self.keep()
        self.machine.end()
        self.boot()
        self.before(self, "resume")
        self.pin(self.lobby("resume", "--store", self.store, "--key-id", "key"))
