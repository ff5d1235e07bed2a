"""Signed by several people on several machines: commands and bundles on their way, as files.

A draft is a frame whose proofs are not all there yet, with the text of its reason. Each person
looks at it, signs it with an own key, and passes it on; copies signed apart are combined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from ._enums import PROOFS_MAX, Command, Environment, Power, label
from ._frame import FrameKind, UnsafeFrame, unsafe_parse_frame, verify_ed25519
from ._layout import COMMAND, FRAME_HEADER, attach_proofs
from ._people import Public, SigningKeys, fingerprint, pack, read_json, unpack, write_json
from .config import os_failed, write_file
from .errors import ConfigError, KeyFileError, SentinelError, UsageError, VerificationFailed

FORMATS: Final = {
    FrameKind.COMMAND: "sentinel-command-v1",
    FrameKind.AUTHORITY: "sentinel-authority-v1",
    FrameKind.CERTIFICATE: "sentinel-certificate-v1",
    FrameKind.IMPORT: "sentinel-import-v1",
}
WORDS: Final = {
    FrameKind.COMMAND: "command",
    FrameKind.AUTHORITY: "authority bundle",
    FrameKind.POLICY: "policy bundle",
    FrameKind.CERTIFICATE: "certificate",
    FrameKind.IMPORT: "sealed key",
}
_POWER_OF: Final = {
    Command.HALT: Power.OPERATOR,
    Command.RESUME: Power.OPERATOR,
    Command.DRAIN: Power.OPERATOR,
    Command.APPROVE: Power.APPROVER,
    Command.REJECT: Power.APPROVER,
    Command.LEASE: Power.OPERATOR,
}
ALONE: Final = (Command.HALT, Command.DRAIN, Command.APPROVE, Command.REJECT, Command.LEASE)
"""Verbs that one signature is enough for: one tightens, or speaks for itself alone."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A frame on its way from hand to hand. `reason`: the text whose digest a command has."""

    kind: FrameKind
    signed: bytes
    proofs: tuple[tuple[int, bytes], ...] = ()
    reason: str = ""
    names: tuple[str, ...] = ()

    @property
    def raw(self) -> bytes:
        """The frame, as an engine takes it."""
        return attach_proofs(self.signed, self.proofs)

    @property
    def frame(self) -> UnsafeFrame:
        """The frame, taken apart."""
        return unsafe_parse_frame(self.raw, self.kind)

    @property
    def command(self) -> dict[str, int]:
        """The fields of a command."""
        return COMMAND.unpack(self.signed, FRAME_HEADER.size)

    @property
    def verb(self) -> Command:
        """The verb of a command. Raises ConfigError."""
        number = self.command["verb"]
        if number not in set(Command):
            raise ConfigError(f"a command with the unknown verb {number}", next_step=_AGAIN)
        return Command(number)

    @property
    def sets_back_ns(self) -> int:
        """The log's time that a command sets back; 0: it sets none."""
        if self.kind is not FrameKind.COMMAND or self.command["verb"] != Command.RESUME:
            return 0
        return self.command["until_ns"]

    @classmethod
    def read(cls, path: Path, kind: FrameKind) -> Draft:
        """From a file. Raises StorageError, ConfigError."""
        word = WORDS[kind]
        reason = ""
        names: tuple[str, ...] = ()
        if kind is FrameKind.POLICY:
            try:
                raw = path.read_bytes()
            except OSError as error:
                raise os_failed(path, error) from None
        else:
            fields = ("frame", "reason", "names")
            data = read_json(path, FORMATS[kind], fields, word)
            raw, reason = unpack(data["frame"], path), str(data["reason"])
            told = data["names"] if isinstance(data["names"], list) else []
            names = tuple(name for name in told if isinstance(name, str))
        try:
            frame = unsafe_parse_frame(raw, kind)
        except SentinelError as error:
            raise ConfigError(
                f"{path}: this is no {word}: {error.message}",
                file=str(path),
                cause="the file was cut short or altered, or is of another kind",
                next_step=_AGAIN,
            ) from None
        size = FRAME_HEADER.size + len(frame.payload)
        proofs = tuple((proof.key, proof.signature) for proof in frame.proofs)
        draft = cls(kind, raw[:size], proofs, reason, names)
        if kind is FrameKind.COMMAND:
            draft._check_command(path)
        return draft

    def _check_command(self, path: Path) -> None:
        if len(self.signed) != FRAME_HEADER.size + COMMAND.size:
            raise ConfigError(
                f"{path}: this is no command: its size", file=str(path), next_step=_AGAIN
            )
        text = self.reason.encode()
        fields = self.command
        digest: object = fields["reason_digest32"]
        if sha256(text).digest() != digest or len(text) != fields["reason_size"]:
            raise ConfigError(
                f"{path}: the text of the reason is not the one that the command was made with",
                file=str(path),
                cause="the file was altered",
                next_step=f"do not sign it; {_AGAIN}",
            )

    def write(self, path: Path) -> None:
        """Writes the file. Raises StorageError."""
        if self.kind is FrameKind.POLICY:
            write_file(path, self.raw, mode=0o644)
            return
        data = {"frame": pack(self.raw), "reason": self.reason, "names": list(self.names)}
        write_json(path, FORMATS[self.kind], data)


_AGAIN: Final = "get the file again from whoever made it"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a draft. It counts when `problem` is empty; `bad`: it is no signature."""

    key: int
    name: str
    fingerprint: str
    problem: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """Whose signatures a draft needs: `k` of `holders`, called `word`."""

    word: str
    k: int
    holders: tuple[int, ...]
    power: Power | None


def judged_ns(draft: Draft, now_ns: int) -> int:
    """When its keys must not have ended: of one that sets the log's time back, by that time too."""
    return max(now_ns, draft.sets_back_ns)


def need_of(draft: Draft, public: Public, now_ns: int) -> Need:
    """Whose signatures it needs, and how many."""
    now_ns = judged_ns(draft, now_ns)
    if draft.kind is FrameKind.AUTHORITY:
        root = public.genesis
        return Need("root key", root.root_threshold, tuple(range(len(root.root_keys))), None)
    if draft.kind is FrameKind.POLICY:
        power, k = Power.POLICY, public.authority.threshold[Power.POLICY]
    elif draft.kind in (FrameKind.CERTIFICATE, FrameKind.IMPORT):
        power, k = Power.OPERATOR, public.authority.threshold[Power.OPERATOR]
    else:
        power = _POWER_OF[draft.verb]
        k = 1 if draft.verb in ALONE else public.authority.threshold[power]
    word = "policy signer" if power is Power.POLICY else label(power)
    return Need(word, k, public.holders(power, now_ns), power)


def key_name(need: Need, public: Public, key: int) -> str:
    """What a key is called."""
    if need.power is None:
        return f"root key {key + 1}"
    return public.name(key)


def signatures_of(draft: Draft, public: Public, now_ns: int) -> tuple[Signature, ...]:
    """Every signature, and why it does not count where it does not."""
    need, now_ns = need_of(draft, public, now_ns), judged_ns(draft, now_ns)
    digest = draft.frame.hash
    prefix = f"sentinel-{draft.kind.name.lower()}-v1"
    out: list[Signature] = []
    for key, signature in draft.proofs:
        name = key_name(need, public, key)
        public_key, problem = _standing(need, public, key, now_ns)
        print_ = fingerprint(public_key) if public_key else ""
        bad = False
        if not problem:
            try:
                verify_ed25519(public_key, signature, prefix, digest)
            except VerificationFailed:
                problem = "it is not a signature of this: altered since, or the key was replaced"
                bad = True
        if not problem and any(one.key == key and not one.problem for one in out):
            problem = "it is there twice, and counts once"
        out.append(Signature(key, name, print_, problem, bad))
    return tuple(out)


def _standing(need: Need, public: Public, key: int, now_ns: int) -> tuple[bytes, str]:
    """A key's public half, and why its signatures do not count."""
    if need.power is None:
        roots = public.genesis.root_keys
        return (roots[key], "") if key < len(roots) else (b"", "there is no such root key")
    row = public.authority.keys.get(key)
    if row is None:
        return b"", "the key is not in the authority bundle in force: never was, or was revoked"
    powers, expires, public_key = row
    if not powers >> need.power & 1:
        return public_key, f"the key does not hold the power {label(need.power)}"
    if now_ns >= expires:
        return public_key, "the key has expired"
    return public_key, ""


def check_engine(draft: Draft, public: Public) -> None:
    """Raises UsageError when a draft is of another engine, or of another environment."""
    frame = draft.frame
    if frame.engine_id != public.genesis.engine_id:
        raise UsageError(
            f"the {WORDS[draft.kind]} is for engine {frame.engine_id.hex()[:16]}…, and this is "
            f"engine {public.genesis.engine_id.hex()[:16]}…",
            cause="it was made for another engine, or --dir or --public names another one",
            next_step="name the engine that it is for, or draft it again for this one",
        )
    if frame.environment != public.genesis.environment:
        raise UsageError(
            f"the {WORDS[draft.kind]} is for {label(Environment(frame.environment))}, and the "
            f"engine is {label(Environment(public.genesis.environment))}",
            next_step="draft it again for this engine",
        )


def check_time(draft: Draft, now_ns: int) -> None:
    """Raises UsageError when a draft has expired."""
    if now_ns >= draft.frame.expires_ns:
        raise UsageError(
            f"the {WORDS[draft.kind]} has expired; no engine takes it any more",
            cause="it took longer to be signed than it was made for, or this clock is wrong",
            next_step="draft it again, with a longer --valid if signing takes long",
        )


def dropped(draft: Draft, public: Public, now_ns: int) -> tuple[Draft, tuple[Signature, ...]]:
    """The draft without the signatures that no longer count, and those.

    An engine refuses a frame with one bad signature whole, so what was revoked or has expired has
    to go. Raises VerificationFailed where one fits nothing: the file was altered.
    """
    found = signatures_of(draft, public, now_ns)
    for one in found:
        if one.bad:
            raise VerificationFailed(
                f"the signature of {one.name} does not fit the {WORDS[draft.kind]}",
                cause="the file was altered after it was signed, or that key was replaced since",
                next_step="do not sign it; get it again, or draft it again",
            )
    keep = tuple(proof for proof, one in zip(draft.proofs, found, strict=True) if not one.problem)
    return replace(draft, proofs=keep), tuple(one for one in found if one.problem)


def sign_draft(draft: Draft, keys: SigningKeys, public: Public, now_ns: int) -> tuple[Draft, str]:
    """The draft with one more signature, and the name of the key that made it.

    Raises KeyFileError (no key of the file may sign this), UsageError (signed already, or full).
    """
    need = need_of(draft, public, now_ns)
    key, public_key = _choose(need, keys, public, judged_ns(draft, now_ns))
    name = key_name(need, public, key)
    if any(key == signer for signer, _ in draft.proofs):
        raise UsageError(
            f"{name} has signed it already, and a second time does not count",
            next_step="pass it on to somebody else, or submit it",
        )
    if len(draft.proofs) >= PROOFS_MAX:
        raise UsageError(f"it has {PROOFS_MAX} signatures, the most that fit")
    signature = keys.sign(public_key, draft.kind, draft.frame.hash)
    return replace(draft, proofs=(*draft.proofs, (key, signature))), name


def _choose(need: Need, keys: SigningKeys, public: Public, now_ns: int) -> tuple[int, bytes]:
    """Id (of a root: index) and public key of the key in the file that may sign."""
    if need.power is None:
        for index, root in enumerate(public.genesis.root_keys):
            if root in keys.ids:
                return index, root
        raise KeyFileError(
            "no key of this key file is a root key of the engine",
            cause="the root was fixed when the engine was made: operators are not the root",
            next_step="sign with a root key file: keys/people/root-N.key, or the engine's own",
        )
    known = [(id_, row[2], row) for id_, row in public.authority.keys.items() if row[2] in keys.ids]
    if not known:
        raise KeyFileError(
            "no key of this key file is known to the engine",
            cause="it was never added to the authority bundle in force, or was revoked or replaced",
            next_step="zcp authority show lists the keys; zcp authority draft --add adds one",
        )
    for id_, public_key, (powers, expires, _) in known:
        if powers >> need.power & 1 and now_ns < expires:
            return id_, public_key
    id_, _, (powers, expires, _) = known[0]
    held = ", ".join(label(power) for power in Power if powers >> power & 1)
    lapsed = powers >> need.power & 1
    raise KeyFileError(
        f"{public.name(id_)} may not sign this: "
        + ("the key has expired" if lapsed else f"it is no {need.word}, but {held}"),
        cause="the authority bundle in force says so",
        next_step=f"let {_article(need.word)} sign it; zcp authority show lists who is",
    )


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def combine_drafts(drafts: Sequence[Draft]) -> Draft:
    """One draft with every signature of several copies. Raises UsageError."""
    first = drafts[0]
    proofs = dict(first.proofs)
    names = {*first.names}
    for other in drafts[1:]:
        if other.signed != first.signed:
            raise UsageError(
                f"these are not copies of one {WORDS[first.kind]}",
                cause="they were drafted apart: each has a time and a number of its own",
                next_step="draft once, and let everybody sign copies of that one file",
            )
        for key, signature in other.proofs:
            proofs.setdefault(key, signature)
        names |= {*other.names}
    if len(proofs) > PROOFS_MAX:
        raise UsageError(
            f"{len(proofs)} signatures; {PROOFS_MAX} fit", next_step="leave some out: k are enough"
        )
    return replace(first, proofs=tuple(sorted(proofs.items())), names=tuple(sorted(names)))


def count_of(found: Iterable[Signature]) -> int:
    """How many signatures count."""
    return sum(not one.problem for one in found)
