"""The bindings: lengths and states are checked before the core is called, errors are ours.

What the core itself does is tested in C and through cffi; here is only what lies between.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from engines import PASSPHRASE, Made

from sentinel import _core
from sentinel._enums import Algorithm, Environment, Purpose
from sentinel._status import REASON_CODE, REASON_TEXT, STATUS_TEXT, Status
from sentinel.errors import (
    AuditError,
    KeyFileError,
    PolicyInvalid,
    StorageError,
    UsageError,
)
from sentinel.order import Message

NOW = 1_700_000_000 * 10**9


def test_names_and_texts_are_those_of_the_generated_tables() -> None:
    for status, text in STATUS_TEXT.items():
        assert _core.status_text(status) == text
        assert _core.status_name(status) == Status(status).name
    for reason, code in REASON_CODE.items():
        assert _core.reason_code(reason) == code
        assert _core.reason_text(reason) == REASON_TEXT[reason]
    assert _core.status_name(0x7777) == "UNKNOWN"
    assert _core.reason_code(127) == "unknown"


@pytest.mark.parametrize("text", ["0", "5", "0.10", "65000.10", "9223372036854775807"])
def test_decimals_keep_their_text(text: str) -> None:
    assert _core.decimal_write(*_core.decimal_read(text)) == text


@pytest.mark.parametrize("text", ["", "01", "1.", ".5", "-1", "1e3", "9223372036854775808", "1 "])
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        _core.decimal_read(text)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_come_as_any_buffer(kind: Any) -> None:
    packed = Message(text="x").pack(agent=1, action_id=1)
    assert _core.order_check(kind(packed), Environment.LIVE) == 0
    # At an odd address too.
    shifted = memoryview(b"\0" + packed)[1:]
    assert _core.order_check(shifted, Environment.LIVE) == 0
    assert _core.order_check(kind(b""), Environment.LIVE) == 10


def test_what_is_no_buffer_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        _core.order_check("text", Environment.LIVE)  # type: ignore[arg-type]
    with pytest.raises(BufferError, match="contiguous"):
        _core.order_check(memoryview(bytes(768))[::2], Environment.LIVE)


def keyring() -> _core.Keyring:
    ring = _core.Keyring()
    ring.generate(1, Purpose.MESSAGE, Algorithm.ED25519)
    ring.generate(2, Purpose.MESSAGE, Algorithm.ECDSA_SECP256K1)
    ring.generate(3, Purpose.AUTHORITY, Algorithm.ED25519)
    return ring


def test_a_digest_of_the_wrong_length_never_reaches_the_core() -> None:
    ring = keyring()
    for size in (0, 31, 33):
        with pytest.raises(UsageError, match=f"{size} bytes given, 32 needed"):
            ring.sign_digest(2, bytes(size))
        with pytest.raises(UsageError, match=f"{size} bytes given, 32 needed"):
            ring.sign_frame(3, "sentinel-command-v1", bytes(size))
        with pytest.raises(UsageError, match=f"{size} bytes given, 32 needed"):
            _core.Tree().add(bytes(size))
    assert len(ring.sign_digest(2, bytes(32)).bytes) == 64
    assert (ring.uses(2), ring.uses(1)) == (1, 0)


def test_a_keyring_says_what_it_holds_and_survives_its_file() -> None:
    ring = keyring()
    sealed = ring.seal(b"p", opslimit=1, memlimit=8192)
    opened = _core.Keyring()
    opened.unseal(sealed, b"p")
    assert opened.list() == ring.list()
    with pytest.raises(KeyFileError):
        _core.Keyring().unseal(sealed, b"q")
    with pytest.raises(UsageError):
        opened.unseal(sealed, b"p")
    opened.remove(1)
    with pytest.raises(KeyFileError, match="key 1"):
        opened.sign(1, b"x")
    with pytest.raises(KeyFileError, match="key 2"):
        ring.generate(2, Purpose.MESSAGE, Algorithm.ED25519)
    with pytest.raises(UsageError, match="128 bytes"):
        ring.generate(9, Purpose.MESSAGE, Algorithm.ED25519, api_key="a" * 129)


def test_numbers_that_do_not_fit_are_refused_by_python() -> None:
    for id_ in (-1, 2**32):
        with pytest.raises(OverflowError):
            _core.Keyring().generate(id_, Purpose.MESSAGE, Algorithm.ED25519)


def test_a_log_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _core.LogReader(tmp_path / "none")
    with pytest.raises((AuditError, StorageError)):
        _core.LogReader(tmp_path)
    with pytest.raises(StorageError):
        _core.log_head(tmp_path)


def test_an_engine_cannot_be_made_by_its_class_or_used_after_closing(engine: Made) -> None:
    for kind in (_core.Engine, _core.Gate):
        with pytest.raises(TypeError, match="use Engine"):
            kind()
    opened = _core.Engine.open(engine.directory, PASSPHRASE, engine.now_ns)
    session = opened.session(opened.state().agents[0].node)
    opened.close(engine.now_ns)
    opened.close(engine.now_ns)
    packed = Message(text="x").pack(agent=session.agent, action_id=1)
    calls: list[Any] = [
        lambda: opened.sign(session, packed, NOW),
        lambda: opened.take(bytes(200), NOW),
        lambda: opened.check(bytes(200), NOW),
        lambda: opened.session(1),
        lambda: opened.spool(NOW),
        lambda: opened.snapshot(NOW),
        opened.state,
        opened.policy,
        lambda: opened.policy_hash,
        lambda: opened.sign_head(1, 1, bytes(32), bytes(32)),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="the engine is closed"):
            call()


def test_an_engine_that_is_dropped_releases_its_lock(engine: Made) -> None:
    opened: Any = _core.Engine.open(engine.directory, PASSPHRASE, engine.now_ns)
    del opened
    _core.Engine.open(engine.directory, PASSPHRASE, engine.now_ns).close(engine.now_ns)


def test_a_context_needs_a_genesis_record_and_room(engine: Made) -> None:
    with pytest.raises(PolicyInvalid):
        _core.Context(bytes(352))
    genesis = (engine.directory / "genesis").read_bytes()
    with pytest.raises(UsageError, match="out of range"):
        _core.Context(genesis, bundle_bytes=1)
    context = _core.Context(genesis)
    assert context.policy() is None
    assert context.policy_hash == bytes(32)
    with pytest.raises(UsageError):
        context.start(NOW)


def test_python_threads_go_on_while_the_core_works(engine: Made) -> None:
    """Opening an engine spends its time in Argon2id; meanwhile another thread must count."""
    ring = keyring()
    counted: list[int] = []
    done = threading.Event()

    def count() -> None:
        n = 0
        while not done.is_set():
            n += 1
        counted.append(n)

    thread = threading.Thread(target=count)
    thread.start()
    ring.seal(b"p", opslimit=3, memlimit=64 << 20)
    done.set()
    thread.join()
    assert counted[0] > 10_000
