"""What a witness keeps of each engine, and how it decides; no network here.

A witness directory holds `witness.key` (sealed) and `witness.pub`, and below `engines/` one file
for each engine that it serves. An entry never goes back: it is written aside, synced, renamed, and
its directory synced, before any answer leaves.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from . import _layout
from ._enums import Environment
from ._frame import FrameKind, Genesis, parse_genesis, verify_ed25519
from ._people import Person, SigningKeys, make_key_file, person_id
from .config import os_failed, write_file
from .errors import ConfigError, EngineLocked, UsageError, VerificationFailed

KEY_FILE: Final = "witness.key"
ASK_BYTES: Final = _layout.ASK.size
QUESTION_BYTES: Final = ASK_BYTES + 64
RECORDS: Final = 1000
SPEND_USD: Final = 1_000_000
MOST: Final = 2**62
"""Numbers above this are no records and no money: they would only overflow."""
_FORMAT: Final = "sentinel-witness-v1"
_FINAL: Final = 1
_ISSUED_BEFORE_NS: Final = 5 * 10**9
_VALID_NS: Final = 600 * 10**9


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of one engine. `*_end`: how far grants went, to be told of as known;
    `*_granted`: how far the last one went.
    """

    genesis: str
    sequence: int = 0
    epoch: int = 0
    count: int = 0
    hash: str = "00" * 32
    start_hash: str = "00" * 32
    record_end: int = 0
    spend_end: int = 0
    record_granted: int = 0
    spend_granted: int = 0


def answer(
    kept: Kept, ask: dict[str, Any], records: int, spend: int
) -> tuple[Kept, dict[str, Any]]:
    """The rules of docs/4-audit.md, "Freshness": what is kept from now on, and the grant."""
    grant: dict[str, Any] = {
        "nonce32": ask["nonce32"],
        "epoch": ask["epoch"],
        "known_epoch": kept.epoch,
        "known_count": kept.count,
        "known_hash32": bytes.fromhex(kept.hash),
        "known_record_end": kept.record_end,
        "known_spend_end": kept.spend_end,
    }
    same = ask["epoch"] == kept.epoch and ask["start_hash32"].hex() == kept.start_hash
    knows = ask["known_count"] == kept.count and ask["known_hash32"].hex() == kept.hash
    # Within an epoch a head never goes back. A new one may begin below: operators accepted a gap.
    goes_on = ask["count"] >= kept.count if same else ask["epoch"] > kept.epoch
    if not knows or not goes_on:
        return kept, grant
    final = bool(ask["flags"] & _FINAL)
    # The answer becomes a record itself, and uses up one number.
    end = ask["count"] + (0 if final else records + 1)
    spend_end = ask["spent"] + (0 if final else spend)
    before = kept.record_granted if same else kept.record_end
    spend_before = kept.spend_granted if same else kept.spend_end
    after = replace(
        kept,
        epoch=ask["epoch"],
        count=ask["count"],
        hash=ask["hash32"].hex(),
        start_hash=ask["start_hash32"].hex(),
        record_end=end if final else max(end, before),
        spend_end=spend_end if final else max(spend_end, spend_before),
        record_granted=end,
        spend_granted=spend_end,
    )
    head = {"count": ask["count"], "hash32": ask["hash32"]}
    return after, grant | head | {"record_end": end, "spend_end": spend_end}


def init(directory: Path, name: str, passphrase: bytes, limits: tuple[int, int]) -> Person:
    """Makes a witness: its key. Raises UsageError where there is one, StorageError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "engines").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise os_failed(directory, error) from None
    return make_key_file(directory / KEY_FILE, name, passphrase, limits)


def pin(directory: Path, genesis: bytes) -> Genesis:
    """Lets the witness serve an engine, by its genesis record. Raises UsageError, StorageError."""
    found = parse_genesis(genesis)
    Person.read(directory / "witness.pub")
    path = directory / "engines" / f"{found.engine_id.hex()}.json"
    if path.exists():
        raise UsageError("the witness serves that engine already", next_step="nothing is to do")
    _write(path, Kept(genesis.hex()))
    return found


def adopt(path: Path, epoch: int, count: int, hash_: bytes) -> None:
    """Lets an entry begin at a head that another witness confirmed, nothing granted above it."""
    if count:
        _write(path, replace(_read(path), epoch=epoch, count=count, hash=hash_.hex()))


def forgive(path: Path) -> None:
    """Forgets how far grants went: nothing is told of as perhaps signed and hidden."""
    kept = _read(path)
    _write(path, replace(kept, record_end=0, spend_end=0, record_granted=0, spend_granted=0))


def entries(directory: Path) -> dict[str, Kept]:
    """What is kept, by engine's id. Raises StorageError, ConfigError."""
    Person.read(directory / "witness.pub")
    return {path.stem: _read(path) for path in sorted((directory / "engines").glob("*.json"))}


def _write(path: Path, kept: Kept) -> None:
    write_file(path, (json.dumps({"format": _FORMAT, **asdict(kept)}) + "\n").encode())


def _read(path: Path) -> Kept:
    """A damaged entry is no entry: it must not be taken for an empty one."""
    try:
        data = json.loads(path.read_bytes())
        if data.pop("format") != _FORMAT:
            raise ValueError
        kept = Kept(**data)
        bytes.fromhex(kept.hash + kept.start_hash)
        if parse_genesis(bytes.fromhex(kept.genesis)).engine_id.hex() != path.stem:
            raise ValueError
    except OSError as error:
        raise os_failed(path, error) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConfigError(
            f"{path}: this is no entry of a witness",
            file=str(path),
            cause="it was cut short or altered",
            next_step="put back what the witness wrote; an entry made anew forgets what it knew",
        ) from None
    return kept


class Witness:
    """The one process that answers from a witness directory. Threads take turns."""

    def __init__(
        self, directory: Path, passphrase: bytes, records: int = RECORDS, spend: int = SPEND_USD
    ) -> None:
        """`records`, `spend` (USD): how far one grant goes. Raises EngineLocked where another
        process serves the directory, UsageError, KeyFileError, StorageError.
        """
        if not 1 <= records <= 10**12 or not 0 <= spend <= 10**12:
            raise UsageError("a grant is for 1 record at least, and for at most 10^12 USD")
        self._directory = directory
        self._person = Person.read(directory / "witness.pub")
        self._keys = SigningKeys.open(directory / KEY_FILE, passphrase)
        self._size = (records, spend * 10**6)
        self._turn = threading.Lock()
        self._lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise EngineLocked(f"{directory}: another process serves this witness") from None

    def close(self) -> None:
        """Lets another process serve."""
        os.close(self._lock)

    def grant(self, question: bytes) -> bytes:
        """The signed answer to an engine's signed question.

        Raises VerificationFailed for an engine that is not pinned or did not sign, StorageError.
        """
        if len(question) != QUESTION_BYTES:
            raise VerificationFailed(f"a question has {QUESTION_BYTES} bytes")
        raw, signature = question[:ASK_BYTES], question[ASK_BYTES:]
        ask = _layout.ASK.unpack(raw)
        path = self._directory / "engines" / f"{ask['engine_id32'].hex()}.json"
        with self._turn:
            if not path.is_file():
                raise VerificationFailed("this witness does not serve that engine")
            kept = _read(path)
            genesis = parse_genesis(bytes.fromhex(kept.genesis))
            digest = _layout.frame_hash(raw)
            verify_ed25519(genesis.identity_key, signature, "sentinel-ask-v1", digest)
            if max(ask["epoch"], ask["count"], ask["spent"]) > MOST or ask["spent"] < 0:
                raise VerificationFailed("the question's numbers are out of range")
            now = time.time_ns()
            after, grant = answer(kept, ask, *self._size)
            after = replace(after, sequence=max(now, kept.sequence + 1))
            _write(path, after)
        return self._frame(genesis, grant, after.sequence, now)

    def _frame(self, genesis: Genesis, grant: dict[str, Any], sequence: int, now: int) -> bytes:
        issued = max(now - _ISSUED_BEFORE_NS, 0)
        terms = _layout.FrameTerms(
            engine_id=genesis.engine_id,
            environment=Environment(genesis.environment),
            sequence=sequence,
            issued_ns=issued,
            expires_ns=now + _VALID_NS,
        )
        part = _layout.frame(FrameKind.GRANT, _layout.GRANT.pack(**grant), terms)
        digest = _layout.frame_hash(part)
        proof = self._keys.sign(self._person.public_key, FrameKind.GRANT, digest)
        return _layout.attach_proofs(part, [(person_id(self._person.name), proof)])
