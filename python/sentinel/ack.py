"""Acknowledgements: what a command did, signed by the engine, checked from public inputs alone.

The engine signs one for every command that it takes. As JSON its readable fields are rendered from
the bytes that are signed; the verifier renders them again and compares.

    ack = verify_ack(path.read_text(), Expectation.from_json(expectation.read_text()))
    print(ack.text())
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from . import _core
from ._enums import Command, Environment, Scope, Venue, label
from ._frame import Genesis, parse_genesis, verify_ed25519
from ._holds import released_rows
from ._layout import ACK
from ._receipts import receipt_key
from ._record import RecordType
from .audit import find_record, restore
from .config import Installed, os_failed
from .errors import UsageError, VerificationFailed
from .receipt import Expectation, _b64, _exactly, _hex, _load, _unb64, iso_time
from .witness import WitnessError

__all__ = ["Ack", "ack_again", "verify_ack"]

FORMAT: Final = "sentinel-ack-v1"
SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Ack:
    """What one command did, and the engine's signature over that.

    `record` took it, at `now_ns`; of a halt, no record from `count` on holds a signature of what
    is halted until a resume. `usable_until_ms`: by venue, for how long what was released before
    and adds risk can still be used.
    """

    raw: bytes
    signature: bytes
    fields: dict[str, Any]

    @classmethod
    def parse(cls, data: bytes) -> Ack:
        """A sentinel_signed_ack. Raises PolicyInvalid; verifies nothing."""
        raw, signature = data[: ACK.size], data[ACK.size :]
        if len(signature) != SIGNATURE_BYTES:
            raise VerificationFailed("an acknowledgement has another size")
        return cls(raw, signature, ACK.unpack(raw))

    @property
    def engine_id(self) -> bytes:
        """The engine that took the command."""
        return bytes(self.fields["engine_id32"])

    @property
    def record(self) -> int:
        """The number of the record that took the command."""
        return int(self.fields["record"])

    @property
    def count(self) -> int:
        """How many records there were then."""
        return int(self.fields["count"])

    @property
    def now_ns(self) -> int:
        """When it took effect."""
        return int(self.fields["now_ns"])

    @property
    def verb(self) -> Command:
        """Which command."""
        return Command(self.fields["verb"])

    @property
    def usable_until_ms(self) -> dict[str, int]:
        """By the name of the venue, where anything was released."""
        times = self.fields["usable_until_ms"]
        return {label(venue): times[venue] for venue in Venue if venue and times[venue]}

    def verify(self, genesis: Genesis) -> None:
        """Checks that this engine signed it. Raises VerificationFailed."""
        if self.fields["engine_id32"] != genesis.engine_id:
            raise VerificationFailed("the acknowledgement is of another engine")
        digest = sha256(self.raw).digest()
        verify_ed25519(genesis.identity_key, self.signature, FORMAT, digest)
        if self.count <= self.record:
            raise VerificationFailed("the acknowledgement contradicts itself")

    def readable(self) -> dict[str, Any]:
        """Everything that a person reads of it, rendered from what is signed."""
        fields = self.fields
        until = iso_time(fields["until_ns"]) if fields["until_ns"] else None
        sets = until is not None and self.verb is Command.RESUME
        return {
            "format": FORMAT,
            "engine_id": fields["engine_id32"].hex(),
            "environment": label(Environment(fields["environment"])),
            "verb": label(self.verb),
            "scope": label(Scope(fields["scope"])),
            "target": fields["target"],
            "subject_record": fields["subject_record"] or None,
            "until": None if sets else until,
            **({"clock_set_from": until} if sets else {}),
            "record": self.record,
            "record_hash": fields["record_hash32"].hex(),
            "records": self.count,
            "epoch": fields["epoch"],
            "timestamp": iso_time(self.now_ns),
            "command_hash": fields["frame_hash32"].hex(),
            "released": released_rows(self.usable_until_ms),
        }

    def to_json(self, genesis: bytes) -> dict[str, Any]:
        """What is kept and handed on: the readable fields and the proof."""
        return {
            **self.readable(),
            "proof": {
                "ack": _b64(self.raw),
                "signature": self.signature.hex(),
                "genesis": _b64(genesis),
            },
        }

    def text(self) -> list[str]:
        """Lines for people."""
        lines = [
            f"took effect at record {self.record} at {iso_time(self.now_ns)}; the engine signed so"
        ]
        for row in released_rows(self.usable_until_ms):
            until = row["usable_until"]
            lines.append(
                f"{row['venue']}: what was released before can be used for ever"
                if until == "never ends"
                else f"{row['venue']}: nothing released before can be used after {until}"
            )
        return lines


def ack_of_answer(data: bytes, genesis: Genesis) -> Ack | None:
    """The verified acknowledgement behind a writer's answer; None when there is none."""
    if not data:
        return None
    found = Ack.parse(data)
    found.verify(genesis)
    return found


def ack_again(installed: Installed, ring: _core.Keyring, number: int) -> Ack:
    """Makes the acknowledgement of a record's command again: by replay, with the engine's key.

    Raises UsageError when the record is no command, WitnessError when no witness has confirmed it
    yet where one has to, AuditError, KeyFileError.
    """
    record = find_record(installed.directory, number)
    if record.type is not RecordType.COMMAND:
        raise UsageError(
            f"record {number} is of the type {record.type.name.lower()}",
            next_step="acknowledgements are of commands; zcp audit show NUMBER shows any record",
        )
    newest = restore(installed.directory)
    grant = newest.state().grant
    if newest.needs_witness and not grant.gap_to and grant.count <= number:
        raise WitnessError(
            f"record {number} is in force, but no witness has confirmed it: there is no"
            " acknowledgement yet",
            record=number,
            next_step="see that the witness is up; the engine asks it at its next start",
        )
    raw = restore(installed.directory, number).acknowledge(record.subject)
    signature = ring.sign_frame(receipt_key(ring), FORMAT, sha256(raw).digest())
    return Ack.parse(raw + signature)


def verify_ack(ack: str | Mapping[str, Any], expectation: Expectation | None) -> Ack:
    """Verifies an acknowledgement against what was expected beforehand.

    Raises VerificationFailed, also when there is no expectation.
    """
    if expectation is None:
        raise VerificationFailed(
            "nothing was pinned: an acknowledgement alone proves nothing",
            cause="no expectation (engine id and authority root) was given",
            next_step="get the engine's expectation from its operator and give it with --expect",
        )
    data = _load(ack, "acknowledgement") if isinstance(ack, str) else dict(ack)
    proof = _exactly(data.pop("proof", None), {"ack", "signature", "genesis"}, "proof")
    genesis = parse_genesis(_unb64(proof["genesis"]))
    if Expectation.of_genesis(genesis) != expectation:
        raise VerificationFailed("it is of another engine, or under another authority")
    raw, signature = _unb64(proof["ack"]), _hex(proof["signature"], SIGNATURE_BYTES)
    digest = sha256(raw).digest()
    # Before it is taken apart: what is altered is not looked at.
    verify_ed25519(genesis.identity_key, signature, FORMAT, digest)
    found = Ack.parse(raw + signature)
    found.verify(genesis)
    if json.dumps(found.readable(), sort_keys=True) != json.dumps(data, sort_keys=True):
        raise VerificationFailed("the readable fields say something else than what is signed")
    return found


def write_ack(path: Path, ack: Ack, genesis: bytes) -> None:
    """Saves it for others to check. Raises StorageError."""
    try:
        path.write_text(json.dumps(ack.to_json(genesis), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise os_failed(path, error) from None
