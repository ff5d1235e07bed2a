"""Bringing an engine up through a hostile host: what it does to what the lobby is told.

The messages of an honest start are made first, then the host's mind is done to them; whatever the
lobby says, the next one is sent. `Judge` looks at what came of it.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from typing import TYPE_CHECKING, Final

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hosted_engine import begin, envelope, pin_of

from sentinel._enclave_lobby import Ask, parts
from sentinel._enclave_papers import SEALED
from sentinel._status import Status
from sentinel.attestation import Purpose as For
from sentinel.attestation import unsafe_parse_without_verification
from sentinel.errors import SentinelError

if TYPE_CHECKING:
    from hostile_host import Machine, Schedule

Message = tuple[Ask, bytes]
STARTS: Final = (
    "drop",
    "double",
    "reorder",
    "replay",
    "garbage",
    "truncate",
    "flip",
    "swap",
    "bent heads",
    "older keys",
    "older files",
    "mixed files",
    "torn files",
    "changed files",
    "forged answer",
    "forged root",
    "old answer",
    "other order",
    "rewrap",
)
_SECRETS: Final = (1, 16, 31, 32, 47, 48, 64, 127)
_HEAD: Final = struct.Struct("<II")


class Knock:
    """The lobby's streams of one boot, one behind the other."""

    def __init__(self, schedule: Schedule, machine: Machine) -> None:
        self.schedule, self.machine = schedule, machine
        self._stream: socket.socket | None = None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def say(self, data: bytes, *, ends: bool = False) -> tuple[int, bytes] | None:
        """Bytes, and the answer; None: the stream ended. `ends`: nothing more is said on it."""
        try:
            if self._stream is None:
                self._stream = self.machine.boot.lobby()
            self._stream.sendall(data)
            if ends:
                self._stream.shutdown(socket.SHUT_WR)
            status, size = _HEAD.unpack(self._read(_HEAD.size))
            found = self._read(size)
        except OSError:
            self.close()
            return None
        self.schedule.left += found
        if ends:
            self.close()
        return status, found

    def _read(self, size: int) -> bytes:
        assert self._stream is not None
        found = bytearray()
        while len(found) < size:
            piece = self._stream.recv(size - len(found))
            if not piece:
                raise ConnectionError
            found += piece
        return bytes(found)

    def ask(self, message: Message) -> tuple[int, bytes] | None:
        ask, payload = message
        answer = self.say(_HEAD.pack(ask, len(payload)) + payload)
        if answer is not None:
            self.schedule.tally[f"lobby {ask.name.lower()}: {Status(answer[0]).name}"] += 1
        return answer


def bring_up(schedule: Schedule, machine: Machine, starts: list[str]) -> bool:
    """One try; whether the engine runs."""
    knock = Knock(schedule, machine)
    try:
        messages = _messages(schedule, machine, knock, starts)
        return messages is not None and _send(schedule, machine, knock, messages)
    finally:
        knock.close()


def _messages(
    schedule: Schedule, machine: Machine, knock: Knock, starts: list[str]
) -> list[Message] | None:
    hosted, choice = machine.hosted, schedule.choice
    told = knock.ask((Ask.ATTEST, struct.pack("<I4x32s", For.BOOT, choice.randbytes(32))))
    if told is None or told[0] != 0:
        return None
    document = hosted.hypervisor.signed(told[1])
    wrapped = hosted.wrapped
    try:
        answer = hosted.answer(document)
    except SentinelError:
        return None
    schedule.answers.append(answer)
    if "forged answer" in starts:
        answer = _forged_answer(schedule, document)
    if "forged root" in starts:
        wrapped, answer = _forged_root(hosted.wrapped, document, choice)
    if "old answer" in starts:
        answer = choice.choice(schedule.answers[:-1] or [answer])
    papers = [hosted.genesis, hosted.authority, hosted.certificate, wrapped, answer]
    sealed, files = hosted.sealed[-1], hosted.files[-1]
    if "older keys" in starts:
        sealed = choice.choice(hosted.sealed)
    files = _files(schedule, machine, files, starts)
    messages = [(Ask.UNWRAP, parts(*papers)), (Ask.KEYS, sealed)]
    messages += [(Ask.FILE, parts(name.encode(), data)) for name, data in files.items()]
    if "rewrap" in starts:
        again = parts(hosted.authority, hosted.certificate, hosted.spki)
        messages.append((Ask.CERTIFY, again))
    nonce = struct.pack("<I4x32s", For.SESSION, choice.randbytes(32))
    messages += [(Ask.ATTEST, nonce), (Ask.RESUME, b"")]
    for kind in starts:
        schedule.tally[f"start {kind}"] += 1
        messages = _changed(schedule, machine, messages, kind)
    return messages


def _files(
    schedule: Schedule, machine: Machine, files: dict[str, bytes], starts: list[str]
) -> dict[str, bytes]:
    choice, kept = schedule.choice, machine.hosted.files
    files = dict(files)
    if "older files" in starts:
        files = dict(choice.choice(kept))
    if "mixed files" in starts:
        other = choice.choice([*kept, *schedule.foreign.files])
        for name in files:
            if name in other and choice.random() < 0.5:
                files[name] = other[name]
    segments = [name for name in files if name.endswith(".log")]
    if "torn files" in starts and segments:
        name = choice.choice(segments)
        end = len(files[name].rstrip(b"\0"))
        cut = choice.randrange(64, end)
        files[name] = files[name][:cut] + bytes(len(files[name]) - cut)
    if "changed files" in starts:
        name = choice.choice(list(files))
        changed = bytearray(files[name])
        at = choice.randrange(max(len(files[name].rstrip(b"\0")), 1))
        changed[at : at + 1] = choice.randbytes(choice.choice((1, 1, 1, 40)))
        files[name] = bytes(changed)
    return files


def _changed(
    schedule: Schedule, machine: Machine, messages: list[Message], kind: str
) -> list[Message]:
    """A sequence-level blow."""
    choice = schedule.choice
    at = choice.randrange(len(messages))
    ask, payload = messages[at]
    if kind == "drop":
        return messages[:at] + messages[at + 1 :]
    if kind == "double":
        return [*messages[:at], messages[at], *messages[at:]]
    if kind == "reorder":
        other = choice.randrange(len(messages))
        messages[at], messages[other] = messages[other], messages[at]
    if kind == "replay" and schedule.messages:
        messages.insert(at, choice.choice(schedule.messages))
    if kind == "garbage":
        junk = choice.randbytes(choice.randrange(1, 3000))
        messages.insert(at, (choice.choice(list(Ask)), junk))
    if kind == "truncate" and payload:
        messages[at] = (ask, payload[: choice.randrange(len(payload))])
    if kind == "flip" and payload:
        changed = bytearray(payload)
        changed[choice.randrange(len(payload.rstrip(b"\0")) or 1)] ^= 1 << choice.randrange(8)
        messages[at] = (ask, bytes(changed))
    if kind == "bent heads":  # what is in clear before a ciphertext, and vouched for by its tag
        messages = [_bent_head(schedule, *message) for message in messages]
    if kind == "swap":
        messages = _swapped(schedule, machine, messages)
    if kind == "other order":
        junk = choice.choice(
            [
                (Ask.CREATE, parts(machine.hosted.people.policy(machine.hosted.keys))),
                (Ask.MAKE, choice.randbytes(216)),
                (Ask.GENESIS, choice.randbytes(264)),
                (Ask.IMPORT, choice.randbytes(900)),
                (Ask.RESUME, b""),
                (Ask.FILE, parts(b"log/../genesis", b"bytes")),
            ]
        )
        messages.insert(at, junk)
    return messages


def _bent_head(schedule: Schedule, ask: Ask, payload: bytes) -> Message:
    choice, bent = schedule.choice, bytearray(payload)
    if ask is Ask.KEYS and len(payload) > SEALED.size:
        bent[choice.randrange(SEALED.size)] ^= 1 << choice.randrange(8)
    if ask is Ask.UNWRAP and len(pieces := parts_of(payload)) == 5 and choice.random() < 0.3:
        wrapped = bytearray(pieces[3])
        wrapped[choice.randrange(len(wrapped))] ^= 1 << choice.randrange(8)
        pieces[3] = bytes(wrapped)
        bent = bytearray(parts(*pieces))
    return ask, bytes(bent)


def _swapped(schedule: Schedule, machine: Machine, messages: list[Message]) -> list[Message]:
    """A blob of another engine, or of another place, in the place of one."""
    choice, hosted, other = schedule.choice, machine.hosted, schedule.foreign
    ours = [hosted.genesis, hosted.authority, hosted.certificate, hosted.wrapped]
    theirs = [other.genesis, other.authority, other.certificate, other.wrapped]
    at = choice.randrange(len(messages))
    ask, payload = messages[at]
    blobs = [*ours, *theirs, *hosted.sealed, *other.sealed, *schedule.answers]
    pieces = parts_of(payload)
    if ask is Ask.UNWRAP and len(pieces) == 5:
        which = choice.randrange(5)
        pieces[which] = (theirs[which % 4]) if choice.random() < 0.6 else choice.choice(blobs)
        messages[at] = (ask, parts(*pieces))
    elif ask is Ask.KEYS:
        messages[at] = (ask, choice.choice([*other.sealed, hosted.wrapped]))
    elif ask is Ask.FILE and len(pieces) == 2:
        files = list({**hosted.files[0], **other.files[-1]}.values())
        messages[at] = (ask, parts(pieces[0], choice.choice(files)))
    return messages


def parts_of(payload: bytes) -> list[bytes]:
    """The parts of a payload, as far as it is well made."""
    found, at = [], 0
    while at + 8 <= len(payload):
        (size,) = struct.unpack_from("<I", payload, at)
        found.append(payload[at + 8 : at + 8 + size])
        at += 8 + size + -size % 8
    return found


def _spki_of(document: bytes) -> bytes:
    spki = unsafe_parse_without_verification(document).public_key
    assert spki is not None
    return spki


def _forged_answer(schedule: Schedule, document: bytes) -> bytes:
    """What a host can make itself: it has the public key to which KMS answers."""
    choice, spki = schedule.choice, _spki_of(document)
    kind = choice.randrange(5)
    if kind == 0:  # well made, of another secret
        return envelope(
            spki, choice.randbytes(choice.choice((1, 16, 31, 32, 47, 48, 64, 127))), choice
        )
    if kind == 1:
        return choice.randbytes(choice.choice((0, 1, 479, 8192, 8193)))
    answer = bytearray(schedule.answers[-1])
    if kind == 2:  # a bit: in the form, the key or the text
        answer[choice.randrange(len(answer))] ^= 1 << choice.randrange(8)
    elif kind == 3:
        del answer[choice.randrange(len(answer)) :]
    else:
        at = choice.randrange(len(answer))
        answer[at:at] = choice.randbytes(choice.randrange(1, 40))
    return bytes(answer)


def _forged_root(wrapped: bytes, document: bytes, choice: random.Random) -> tuple[bytes, bytes]:
    """A root of the host's own making, wrapped as an enclave does, and the answer that fits."""
    own = ec.generate_private_key(ec.SECP256R1()).public_key()
    public = own.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    shared, nonce = choice.randbytes(32), choice.randbytes(12)
    head = bytearray(wrapped[:272])
    head[12:14] = len(public).to_bytes(2, "little")
    head[112:272] = public + bytes(160 - len(public))
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    info = b"sentinel-root-wrap-v1\0" + bytes(head[16:80]) + digest.finalize()
    key = HKDF(hashes.SHA256(), 32, bytes(32), info).derive(shared)
    sealed = AESGCM(key).encrypt(nonce, choice.randbytes(32), bytes(head))
    return bytes(head) + nonce + bytes(4) + sealed, envelope(_spki_of(document), shared, choice)


def _send(schedule: Schedule, machine: Machine, knock: Knock, messages: list[Message]) -> bool:
    if schedule.choice.random() < 0.1:  # a stream of junk, or half a message, before
        junk = schedule.choice.randbytes(schedule.choice.randrange(1, 64))
        knock.say(junk, ends=True)
        schedule.tally["lobby junk"] += 1
    for message in messages:
        if message[0] in (Ask.UNWRAP, Ask.KEYS) or len(message[1]) < 4096:
            schedule.messages.append(message)
        answer = knock.ask(message)
        if answer is None or answer[0] != 0:
            continue
        _must_be_genuine(schedule, machine, *message)
        if message[0] is Ask.ATTEST and message[1][:4] == struct.pack("<I", For.SESSION):
            # Clients verify the document; here it is the daemon's own.
            with contextlib.suppress(SentinelError):
                machine.pin = pin_of(machine.hosted.hypervisor.signed(answer[1]))
        if message[0] in (Ask.RESUME, Ask.CREATE):
            schedule.started(machine, answer[1])
            return True
    return False


def _must_be_genuine(schedule: Schedule, machine: Machine, ask: Ask, payload: bytes) -> None:
    """What the lobby took is what an enclave of this engine gave out, to the last byte."""
    hosted = machine.hosted
    if ask is Ask.KEYS and payload not in hosted.sealed:
        schedule.problems.append("sealed keys were taken that no enclave of this engine sealed")
    if ask is Ask.UNWRAP:
        *papers, wrapped, _ = parts_of(payload)
        if papers != [hosted.genesis, hosted.authority, hosted.certificate]:
            schedule.problems.append("papers were taken that nobody signed")
        if wrapped not in hosted.wraps:
            schedule.problems.append("a wrapped root was taken that no enclave gave out")
    if ask in (Ask.MAKE, Ask.IMPORT, Ask.CREATE, Ask.GENESIS):
        schedule.problems.append(f"{ask.name} was taken from the host at a restart")


# ---- Genesis ------------------------------------------------------------------------------------


class BentStream:
    """A lobby's stream on which the host changes one thing: what goes in, or what comes out."""

    def __init__(self, schedule: Schedule, machine: Machine) -> None:
        self._schedule, self._stream = schedule, machine.boot.lobby()
        self._at = schedule.choice.randrange(-2, 11)
        self._up = schedule.choice.random() < 0.6
        self._own_key = schedule.choice.random() < 0.2

    def sendall(self, data: bytes) -> None:
        self._at -= self._up
        if self._own_key and data[:4] == struct.pack("<I", Ask.CERTIFY):
            own = ec.generate_private_key(ec.SECP256R1()).public_key()
            spki = own.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            said = parts(*parts_of(data[8:])[:2], spki)
            data = _HEAD.pack(Ask.CERTIFY, len(said)) + said
            self._schedule.tally["genesis: the host's own KMS key"] += 1
        elif self._up and self._at == 0 and len(data) > 8:
            data = self._bent(data, 8)
        self._stream.sendall(data)

    def recv(self, size: int) -> bytes:
        data = self._stream.recv(size)
        self._schedule.left += data
        if size != _HEAD.size and not self._up:
            self._at -= 1
            data = self._bent(data, 0) if self._at == 0 else data
        return data

    def _bent(self, data: bytes, first: int) -> bytes:
        changed = bytearray(data)
        changed[self._schedule.choice.randrange(first, len(data))] ^= 1
        return bytes(changed)

    def close(self) -> None:
        self._stream.close()


def attacked_genesis(schedule: Schedule, machine: Machine) -> str:
    """What came of it."""
    bent = BentStream(schedule, machine)
    try:
        begin(machine.hosted, machine.boot, schedule.choice, lambda _: bent)
    except (SentinelError, LookupError, ValueError, struct.error, cbor2.CBORDecodeError) as error:
        name = type(error).__name__
        if isinstance(error, SentinelError) and error.status is not None:
            name = Status(error.status).name
        return f"refused, {name}"
    finally:
        bent.close()
    return "came about"
