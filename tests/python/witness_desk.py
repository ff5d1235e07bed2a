"""A witness on the loopback, and engines that need it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from engines import PASSPHRASE, Made

from sentinel import Message, PolicyDenied, Signer
from sentinel import _witness_store as store
from sentinel._authority_edit import Change, Wish, apply
from sentinel._enums import Power
from sentinel._frame import FrameKind, parse_authority, unsafe_parse_frame
from sentinel._people import Person
from sentinel.audit import replay, verify_log
from sentinel.config import AuthorityRing, Installed
from sentinel.errors import EngineHalted
from sentinel.witness import Server, WitnessError

LIGHT = (1, 8192)


@contextlib.contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def witness_at(place: Path, records: int = 100, spend: int = 1_000_000) -> Iterator[str]:
    witness = store.Witness(place, PASSPHRASE, records, spend)
    try:
        with serving(Server(witness, "127.0.0.1:0")) as url:
            yield url
    finally:
        witness.close()


def authority_frame(directory: Path, *wishes: Wish) -> bytes:
    """The next authority bundle, signed by the root."""
    installed, now = Installed(directory), time.time_ns()
    frame = unsafe_parse_frame(installed.authority(), FrameKind.AUTHORITY)
    after = apply(Change.of(parse_authority(frame.payload)), wishes, now, ())
    part = after.part(installed.terms(frame.sequence + 1, now - 10**9))
    return AuthorityRing.open(directory, PASSPHRASE).sign(FrameKind.AUTHORITY, part)


def name_witness(made: Made, person: Person) -> bytes:
    """The authority bundle that makes the engine need this witness."""
    wish = Wish("add", person.name, person=person, powers=frozenset({Power.WITNESS}))
    frame = authority_frame(made.directory, wish)
    # It is in force, and its witness serves later.
    with made.open() as signer, contextlib.suppress(WitnessError):
        signer.take(frame)
    return frame


def make_witness(path: Path, engine: Any) -> Path:
    """A witness directory; the engine is pinned, and needs this witness."""
    person = store.init(path, "witness", PASSPHRASE, LIGHT)
    store.pin(path, (engine.directory / "genesis").read_bytes())
    name_witness(engine, person)
    return path


def open_with(directory: Path, url: str | None) -> Signer:
    return Signer.open(directory, passphrase=PASSPHRASE, witness=url)


def says(signer: Signer) -> str:
    try:
        signer.session("maker").sign(Message(text="x"))
    except PolicyDenied as denied:
        return denied.reason
    except EngineHalted:
        return "halted"
    return "allowed"


def why(signer: Signer) -> str:
    with pytest.raises(PolicyDenied) as caught:
        signer.session("maker").sign(Message(text="x"))
    assert caught.value.reason == "grant_exhausted"
    return caught.value.diagnostics()


def kept(place: Path) -> store.Kept:
    (entry,) = store.entries(place).values()
    return entry


def check(directory: Path) -> None:
    assert not verify_log(directory).findings
    assert not list(replay(directory).differences)
