"""An engine's whole life in an enclave, over its lobby and its sessions.

Goal: what Show 1 asks for, on the daemon's own code with a fake security module and sockets for
vsock: genesis, documents verified by the product's verifier, keys made and imported, six venues,
denials, a halt, a restart from what the host kept, and what a host might try meanwhile.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hmac
import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from engine_life import (
    AGENT,
    ALICE,
    BOB,
    POLICY,
    ROOT,
    SECRET,
    VENUES,
    WITNESS,
    Engine,
    FakeMachine,
    Lobby,
    Machines,
)
from fake_nitro import sign_emulated
from key_life import TOP
from life_steps import halted, orders_of_six_venues, signs, whole_life

from sentinel._cli import main
from sentinel._enclave_papers import NewKey
from sentinel._enums import Algorithm, Purpose, Venue
from sentinel._status import Status
from sentinel.attestation import (
    AttestationRefused,
    EngineExpectation,
    Expectation,
    TrustRoot,
    verify,
)
from sentinel.attestation import Purpose as For
from sentinel.client import ask_document
from sentinel.errors import EngineHalted, SentinelError, UsageError
from sentinel.order import from_json
from sentinel.witness import WitnessError


@pytest.fixture(scope="module", autouse=True)
def _program() -> None:
    command = ["make", "-s", "-C", "enclave/daemon", "../../build/daemon/release/fake_sentineld"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def running(engine: Engine, machines: Machines, text: str = VENUES) -> FakeMachine:
    machine = machines.boot()
    lobby = engine.begin(machine)
    engine.make_keys(lobby)
    engine.import_keys(lobby, machine)
    engine.create(lobby, machine, text)
    return machine


def refusal(call: object, *words: object) -> str:
    with pytest.raises(SentinelError) as error:
        call(*words)  # type: ignore[operator]
    assert error.value.status is not None
    return Status(error.value.status).name


def test_the_whole_life(engine: Engine, machines: Machines) -> None:
    whole_life(engine, machines.boot)


def test_an_order_s_signature_is_of_the_imported_key(engine: Engine, machines: Machines) -> None:
    machine = running(engine, machines)
    with engine.client(machine, ALICE) as people:
        engine.grant(people)
        engine.lease(people)
    with engine.client(machine, AGENT) as maker:
        signed = maker.session().sign(orders_of_six_venues(maker)[0])
    expected = hmac.new(SECRET, signed.signed_bytes, "sha256").digest()
    assert signed.signature == expected


def test_nothing_is_signed_without_the_witness_s_grant_or_the_lease(
    engine: Engine, machines: Machines
) -> None:
    machine = running(engine, machines)
    assert halted(engine, machine) == "lease_expired"
    with engine.client(machine, ALICE) as people:
        with contextlib.suppress(WitnessError):
            people.lease()
        assert halted(engine, machine) == "grant_exhausted"
        engine.grant(people)
    assert signs(engine, machine)


@pytest.mark.parametrize("line", ["lease: 1h\n"])
def test_a_policy_without_a_lease_starts_no_engine(
    engine: Engine, machines: Machines, line: str
) -> None:
    machine = machines.boot()
    lobby = engine.begin(machine)
    engine.make_keys(lobby)
    engine.import_keys(lobby, machine)
    frame = engine.policy_frame(VENUES.replace(line, ""))
    assert refusal(lobby.create, frame) == "POLICY_LEASE"


def test_an_authority_without_a_witness_starts_no_engine(
    engine: Engine, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = engine.authority_frame
    monkeypatch.setattr(engine, "authority_frame", lambda: frame(frozenset({WITNESS})))
    machine = machines.boot()
    lobby = engine.begin(machine)
    engine.make_keys(lobby)
    engine.import_keys(lobby, machine)
    assert refusal(lobby.create, engine.policy_frame()) == "POLICY_GRANT"


def test_lease_and_witness_stay_needed_while_it_runs(engine: Engine, machines: Machines) -> None:
    machine = running(engine, machines)
    with engine.client(machine, POLICY) as people:
        frame = engine.policy_frame(VENUES.replace("lease: 1h\n", ""))
        assert refusal(people.hand_in, frame) == "POLICY_LEASE"
        assert refusal(people.hand_in, engine.authority_frame(frozenset({WITNESS}))) == (
            "POLICY_GRANT"
        )
        people.hand_in(engine.policy_frame())


def test_the_root_is_wrapped_anew_at_a_restart(engine: Engine, machines: Machines) -> None:
    machine = running(engine, machines)
    engine.keep(machine)
    machine.end()
    machine = machines.boot()
    lobby = engine.bring_back(machine)
    assert engine.certify(lobby, machine) == b""
    engine.sealed, rewrapped = lobby.resume()
    assert len(rewrapped) == len(engine.wrapped)
    assert rewrapped != engine.wrapped
    engine.wrapped = rewrapped
    machine.end()
    engine.resume(machines.boot())


def test_operators_of_the_past_wrap_nothing_and_import_nothing(
    engine: Engine, machines: Machines
) -> None:
    machine = running(engine, machines)
    with engine.client(machine, ALICE) as people:
        people.hand_in(engine.authority_frame(frozenset({BOB})))
    engine.keep(machine)
    machine.end()
    for is_import in (False, True):
        machine = machines.boot()
        lobby = engine.bring_back(machine)
        if is_import:
            key = NewKey(
                id=99,
                purpose=Purpose.VENUE,
                algorithm=Algorithm.HMAC_SHA256,
                venue=Venue.OKX,
                api_key="another",
                secret=SECRET,
                passphrase="word",
            )
            lobby.import_(engine.import_frame(lobby, machine, key))
        else:
            engine.certify(lobby, machine)
        assert refusal(lobby.resume) == "POLICY_SIGNATURE"


def test_the_host_cannot_begin_in_another_order(engine: Engine, machines: Machines) -> None:
    lobby = Lobby(machines.boot().lobby())
    for call in (
        lambda: lobby.keys(bytes(200)),
        lambda: lobby.file("log/head", b""),
        lambda: lobby.make(bytes(216)),
        lambda: lobby.import_(bytes(96)),
        lambda: lobby.create(bytes(96)),
        lobby.resume,
    ):
        assert refusal(call) == "USAGE_STATE"
    lobby.close()


def test_a_document_says_what_is_so_and_not_what_the_host_likes(
    engine: Engine, machines: Machines
) -> None:
    machine = machines.boot()
    lobby = engine.begin(machine)
    found = engine.attested(lobby, machine, For.IMPORT).binding
    assert found is not None
    assert found.engine_id == engine.engine_id
    assert any(found.session_key_hash)
    assert any(found.root_commitment)
    lobby.close()


def test_keys_of_another_boot_s_seal_do_not_open(
    engine: Engine, machines: Machines, tmp_path: Path
) -> None:
    machine = running(engine, machines)
    engine.keep(machine)
    machine.end()
    changed = bytearray(engine.sealed)
    changed[-20] ^= 1
    right, engine.sealed = engine.sealed, bytes(changed)
    assert refusal(engine.bring_back, machines.boot()) == "ENCLAVE_SEAL"
    engine.sealed = right
    engine.resume(machines.boot())


def test_a_log_that_was_cut_or_changed_starts_nothing(engine: Engine, machines: Machines) -> None:
    machine = running(engine, machines)
    engine.keep(machine)
    machine.end()
    segment = next(name for name in engine.files if name.endswith(".log"))
    right = engine.files[segment]
    spot = right.index(engine.engine_id[:8])
    engine.files[segment] = right[:spot] + b"\xff" + right[spot + 1 :]
    lobby = engine.bring_back(machines.boot())
    assert refusal(lobby.resume).startswith("AUDIT_")
    engine.files[segment] = right
    lobby = engine.bring_back(machines.boot())
    lobby.resume()


def test_an_old_copy_of_the_log_signs_nothing(engine: Engine, machines: Machines) -> None:
    machine = running(engine, machines)
    engine.keep(machine)
    old = dict(engine.files)
    with engine.client(machine, ALICE) as people:
        engine.grant(people)
        engine.lease(people)
    assert signs(engine, machine)
    with engine.client(machine, ALICE) as people:
        engine.confirmed(people, lambda: people.halt("an old copy must not undo this"))
    machine.end()
    engine.files = old
    machine = machines.boot()
    engine.resume(machine)
    with engine.client(machine, ALICE) as people:
        with contextlib.suppress(SentinelError):
            engine.grant(people)
        with contextlib.suppress(SentinelError):
            people.lease()
    with pytest.raises(EngineHalted):
        signs(engine, machine)


@pytest.mark.parametrize(
    "name", ["log/../genesis", "genesis", "keys/engine", "log/x.log", "bundles/" + "A" * 64, ""]
)
def test_a_file_has_one_of_the_engine_s_own_names(
    engine: Engine, machines: Machines, name: str
) -> None:
    machine = running(engine, machines)
    engine.keep(machine)
    machine.end()
    lobby = engine.bring_back(machines.boot())
    assert refusal(lobby.file, name, b"bytes") == "FORMAT_TEXT"
    lobby.resume()


def test_garbage_ends_the_stream_and_the_next_one_is_served(
    engine: Engine, machines: Machines
) -> None:
    machine = machines.boot()
    for junk in (b"\0" * 8, b"\xff" * 64, b"\x01\0\0\0\xff\xff\xff\xff"):
        stream = machine.lobby()
        stream.sendall(junk)
        with contextlib.suppress(ConnectionResetError):
            assert stream.recv(64) == b""
        stream.close()
    engine.begin(machine).close()


def test_who_has_no_pin_asks_for_a_document_first(engine: Engine, machines: Machines) -> None:
    machine = running(engine, machines)
    nonce = os.urandom(32)
    raw = ask_document(machine.address(), nonce)
    expectation = Expectation(
        machine.pcrs,
        EngineExpectation(engine.engine_id, 1, (engine.public[ROOT],), frozenset({For.SESSION})),
    )
    words = {"expectation": expectation, "nonce": nonce, "now": dt.datetime.now(dt.UTC)}
    root = TrustRoot.of_pem(engine.hypervisor.pem)
    with pytest.raises(AttestationRefused):
        verify(raw, root=root, **words)  # the module's own is signed by nobody
    found = verify(sign_emulated(raw, engine.hypervisor), root=root, **words)
    assert found.binding is not None
    assert found.binding.session_key_hash == engine.pin
    assert found.binding.epoch == 1
    assert found.binding.head_number >= 4
    # The module is slow, and orders wait for it: one in a tenth of a second.
    ask_document_until(machine.address())
    assert refusal(ask_document, machine.address(), nonce) == "USAGE_CAPACITY"
    with engine.client(machine, AGENT) as maker:
        assert maker.status().epoch == 1


def ask_document_until(address: str) -> None:
    while True:
        with contextlib.suppress(UsageError):
            ask_document(address, bytes(32))
            return


def test_the_command_asks_for_a_document(
    engine: Engine, machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = running(engine, machines)
    out = tmp_path / "session.cose"
    assert main(["attest", "ask", machine.address(), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert not said["verified"]
    assert bytes.fromhex(said["nonce"]) in out.read_bytes()


@pytest.mark.parametrize("said", [b"DOCUMENt" + bytes(32), b"D", b"DOCUMENT" + bytes(31)])
def test_half_a_question_gets_no_document(engine: Engine, machines: Machines, said: bytes) -> None:
    machine = running(engine, machines)
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(machine.address().removeprefix("unix://"))
    stream.sendall(said)
    stream.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionResetError):
        assert stream.recv(64) == b""
    stream.close()
    with engine.client(machine, AGENT) as maker:
        assert maker.status().epoch == 1


def test_an_agent_may_not_read_the_log_s_files(engine: Engine, machines: Machines) -> None:
    machine = running(engine, machines)
    with engine.client(machine, AGENT) as maker:
        assert refusal(maker.connection.call, 13, bytes(112)) == "POLICY_SCOPE"
        assert from_json({"action": "message", "text": "x"}).pack(agent=1, action_id=1)
