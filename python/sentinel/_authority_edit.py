"""Authority bundles: what a change is in words, what it leaves behind, and what is nonsense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from . import units
from ._enums import AUTHORITY_KEYS_MAX, Power, label
from ._frame import Authority, Genesis
from ._layout import AuthorityKey, FrameTerms, authority_bundle
from ._people import KEY_YEARS_NS, Person, fingerprint, name_of_key, person_id
from .errors import UsageError
from .policy import Policy
from .receipt import iso_time

_SOON_NS: Final = 30 * 86_400 * 10**9
_WORDS: Final = {
    Power.POLICY: "load a policy",
    Power.OPERATOR: "resume",
    Power.APPROVER: "approve",
    Power.FEED_MARK: "feed marks",
    Power.FEED_EXECUTION: "report executions",
    Power.FEED_POSITION: "report positions",
    Power.KEEPER: "copy the log and carry grants",
}
_NEEDED: Final = (Power.POLICY, Power.OPERATOR)
"""Powers without whose holders an engine cannot be run."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A row of an authority bundle."""

    id: int
    powers: frozenset[Power]
    public_key: bytes
    expires_ns: int
    node: int = 0
    peer_uid: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An authority bundle as it is to be: holders by id, k by power."""

    holders: Mapping[int, Holder]
    thresholds: Mapping[Power, int]

    @classmethod
    def of(cls, authority: Authority) -> Change:
        """As it is."""
        holders = {
            id_: Holder(
                id_,
                frozenset(power for power in Power if powers >> power & 1),
                public,
                expires,
                authority.nodes.get(id_, 0),
                authority.peers.get(id_),
            )
            for id_, (powers, expires, public) in authority.keys.items()
        }
        return cls(holders, {power: authority.threshold[power] for power in Power})

    def count(self, power: Power, now_ns: int = -1) -> int:
        """How many hold a power; with a time, how many whose key counts then."""
        return sum(
            power in holder.powers and now_ns < holder.expires_ns
            for holder in self.holders.values()
        )

    def part(self, terms: FrameTerms) -> bytes:
        """The signed part of the bundle. Raises UsageError."""
        rows = [
            AuthorityKey(
                id=one.id,
                powers=one.powers,
                public_key=one.public_key,
                expires_ns=one.expires_ns,
                node=one.node,
                peer_uid=one.peer_uid,
            )
            for one in self.holders.values()
        ]
        return authority_bundle(rows, self.thresholds, terms)


@dataclass(frozen=True, slots=True)
class Wish:
    """One change that is asked for. `what`: the option's name; k: --threshold."""

    what: str
    name: str = ""
    person: Person | None = None
    powers: frozenset[Power] = frozenset()
    node: int = 0
    time_ns: int = 0
    threshold: tuple[Power, int] | None = None
    peer_uid: int | None = None


def powers_of(text: str) -> frozenset[Power]:
    """Powers by their names, with commas between. Raises UsageError."""
    known = {label(power): power for power in Power}
    found: set[Power] = set()
    for word in text.split(","):
        power = known.get(word.strip().lower().replace("-", "_"))
        if power is None:
            raise UsageError(
                f"there is no power {word!r}{units.did_you_mean(word, known)}",
                next_step=f"one of {', '.join(known)}",
            )
        found.add(power)
    if Power.AGENT in found:
        raise UsageError(
            "an agent's key is of that agent alone", next_step="give --agent FILE.pub:PATH"
        )
    if Power.KEEPER in found and len(found) > 1:
        raise UsageError(
            "a keeper's key has no other power",
            cause="it lies on the host, which may read it",
            next_step="give it keeper alone, and what else is wanted to another key",
        )
    return frozenset(found)


def apply(change: Change, wishes: Iterable[Wish], now_ns: int, names: Iterable[str]) -> Change:
    """The bundle with the wishes fulfilled. Raises UsageError where one makes no sense."""
    holders = dict(change.holders)
    thresholds = dict(change.thresholds)
    told = tuple(names)
    for wish in wishes:
        if wish.threshold is not None:
            thresholds[wish.threshold[0]] = wish.threshold[1]
        elif wish.what in ("add", "agent"):
            holder = _added(holders, wish, now_ns)
            holders[holder.id] = holder
        else:
            old = _find(holders, wish.name, told)
            if wish.what == "revoke":
                del holders[old.id]
            else:
                holders[old.id] = _changed(old, wish, now_ns)
    after = Change(holders, thresholds)
    for power in Power:
        held = after.count(power)
        if power not in {w.threshold[0] for w in wishes if w.threshold is not None}:
            if held and not thresholds[power]:
                thresholds[power] = 1
            if not held:
                thresholds[power] = 0
    return Change(holders, thresholds)


def _added(holders: Mapping[int, Holder], wish: Wish, now_ns: int) -> Holder:
    person = wish.person
    if person is None:
        raise UsageError("whose key?")
    id_ = person_id(person.name)
    if id_ in holders:
        raise UsageError(
            f"there is a key of {person.name} already",
            next_step=f"--rotate gives {person.name} another key, --powers other powers",
        )
    if len(holders) >= AUTHORITY_KEYS_MAX:
        raise UsageError(f"{AUTHORITY_KEYS_MAX} keys, the most that fit", next_step="revoke some")
    powers = frozenset({Power.AGENT}) if wish.what == "agent" else wish.powers
    return Holder(id_, powers, person.public_key, now_ns + KEY_YEARS_NS, wish.node)


def _find(holders: Mapping[int, Holder], name: str, names: tuple[str, ...]) -> Holder:
    for id_, holder in holders.items():
        if name in (name_of_key(id_, names), str(id_)) or id_ == person_id(name or "?"):
            return holder
    known = [name_of_key(id_, names) for id_ in holders]
    raise UsageError(
        f"nobody in the authority bundle is called {name!r}{units.did_you_mean(name, known)}",
        next_step=f"one of {', '.join(known)}; zcp authority show",
    )


def _changed(old: Holder, wish: Wish, now_ns: int) -> Holder:
    if wish.what == "rotate":
        if wish.person is None:
            raise UsageError("to which key?")
        if wish.person.public_key == old.public_key:
            raise UsageError(f"{wish.name} has that key already", next_step="make a new one first")
        return replace(old, public_key=wish.person.public_key, expires_ns=now_ns + KEY_YEARS_NS)
    if wish.what == "powers":
        if Power.AGENT in old.powers:
            raise UsageError("an agent's key has no other power", next_step="revoke it instead")
        return replace(old, powers=wish.powers)
    if wish.what == "peer":
        if Power.AGENT not in old.powers:
            raise UsageError(
                f"{wish.name} is no agent",
                cause="only an agent is known by its user; people and feeders sign",
                next_step="name an agent's key: zcp authority show",
            )
        return replace(old, peer_uid=wish.peer_uid)
    if wish.time_ns <= now_ns:
        raise UsageError(
            f"the end of {wish.name}'s key has passed", next_step="--revoke takes it away at once"
        )
    return replace(old, expires_ns=wish.time_ns)


def refuse_nonsense(before: Change, after: Change, genesis: Genesis, now_ns: int) -> None:
    """Raises UsageError for a bundle that no engine takes, or that no engine can be run with."""
    if after == before:
        raise UsageError(
            "this changes nothing", next_step="say what to change: zcp authority draft --help"
        )
    by_key: dict[bytes, int] = {}
    for one in after.holders.values():
        if one.public_key in by_key:
            raise UsageError(
                f"one key would be there twice ({fingerprint(one.public_key)})",
                cause="whoever holds it would count twice",
                next_step="let each person make a key of their own: zcp authority keygen",
            )
        by_key[one.public_key] = one.id
    for power in Power:
        k, n = after.thresholds[power], after.count(power)
        word = label(power)
        if not bool(n) <= k <= n:
            raise UsageError(
                f"{k} of {n} for {word} cannot be",
                cause="k of n needs k from 1 to n, and 0 where nobody holds the power",
                next_step=f"give --threshold {word}={max(min(k, n), bool(n))}, or add keys",
            )
        if power in _NEEDED and not after.count(power, now_ns):
            raise UsageError(
                f"nobody would be left to {_WORDS[power]}: no {word} key counts any more",
                next_step=f"keep one {word} at least, or add one in the same bundle",
            )
    for one in after.holders.values():
        if one.public_key in genesis.root_keys and one.id not in before.holders:
            raise UsageError(
                f"the key {fingerprint(one.public_key)} is a root key",
                cause="the root says who has powers, and has none itself",
                next_step="make another key for this: zcp authority keygen",
            )


def approvers_asked(policy: Policy | None) -> int:
    """How many approvers the policy asks for at most; the bundle's own k is not asked."""
    if policy is None:
        return 0
    asks = [row.quorum for row in policy.constraints if row.quorum]
    return max([policy.approval_quorum, *asks])


def warnings_of(after: Change, now_ns: int, policy: Policy | None = None) -> list[str]:
    """What the bundle leaves that its signers should know."""
    out: list[str] = []
    asked = approvers_asked(policy)
    for power in Power:
        k, n = after.thresholds[power], after.count(power)
        if power is Power.APPROVER:
            k = asked
            if asked and not n:
                out.append(f"nobody can approve, and the policy asks for {asked}")
        if not n or power in (Power.AGENT, Power.KEEPER):
            continue
        word, verb = label(power), _WORDS.get(power, f"use the power {label(power)}")
        now, soon = after.count(power, now_ns), after.count(power, now_ns + _SOON_NS)
        if now < k:
            out.append(f"this leaves {now} {word} where {k} must sign: nobody can {verb}")
        elif soon < k:
            out.append(f"within 30 days this leaves {soon} {word} where {k} must sign: keys expire")
        if k == n > 1:
            out.append(f"all {n} {word} keys must sign to {verb}: losing one locks that out")
        if power is Power.WITNESS and k > 1:
            out.append(
                f"{k} witnesses must sign one grant, and zcp witness gives one signature: without"
                " a program of your own the engine signs nothing"
            )
        elif power is Power.WITNESS and n > 1:
            out.append(
                f"any one of {n} witnesses alone lets the engine go on, and none knows what"
                " another confirmed"
            )
        if power is Power.OPERATOR and k == 1 and n > 1:
            out.append(f"any one of {n} operators alone can resume what another one halted")
    for power in (Power.POLICY, Power.OPERATOR):
        several = [one for one in after.holders.values() if {power, Power.APPROVER} <= one.powers]
        if several and power is Power.POLICY:
            out.append("one key loads policies and approves what they hold back")
    return out


def locks_out(before: Change, after: Change, own: Iterable[bytes], now_ns: int) -> list[str]:
    """What whoever signs loses by it."""
    out: list[str] = []
    for public in own:
        had = _powers(before, public, now_ns)
        has = _powers(after, public, now_ns)
        lost = sorted(had - has)
        if lost:
            words = ", ".join(label(power) for power in lost)
            whole = "you would lock yourself out: " if not has else ""
            out.append(f"{whole}your own key ({fingerprint(public)}) loses {words}")
    return out


def _powers(change: Change, public: bytes, now_ns: int) -> frozenset[Power]:
    for one in change.holders.values():
        if one.public_key == public and now_ns < one.expires_ns:
            return one.powers
    return frozenset()


def diff_of(
    before: Change, after: Change, names: Iterable[str], policy: Policy | None
) -> list[str]:
    """What changes, one line each."""
    told = tuple(names)
    out: list[str] = []
    for id_ in sorted({*before.holders, *after.holders}):
        old, new = before.holders.get(id_), after.holders.get(id_)
        who = f"{name_of_key(id_, told)} (key {id_})"
        if new is None and old is not None:
            out.append(
                f"revokes {who}, {_held(old, policy)}: its signatures count no more, also on"
                " commands that are half signed"
            )
        elif old is None and new is not None:
            out.append(
                f"adds {who} as {_held(new, policy)}, fingerprint {fingerprint(new.public_key)},"
                f" until {iso_time(new.expires_ns)[:10]}"
            )
        elif old is not None and new is not None:
            out += _row_diff(who, old, new, policy)
    for power in Power:
        was, is_ = _k_of_n(before, power), _k_of_n(after, power)
        if was != is_:
            out.append(f"{label(power)}: {was} becomes {is_}")
    return out


def _row_diff(who: str, old: Holder, new: Holder, policy: Policy | None) -> list[str]:
    out: list[str] = []
    if old.public_key != new.public_key:
        out.append(
            f"gives {who} a new key, {fingerprint(new.public_key)} instead of"
            f" {fingerprint(old.public_key)}: signatures of the old one count no more"
        )
    if old.powers != new.powers or old.node != new.node:
        out.append(f"{who} becomes {_held(new, policy)}; was {_held(old, policy)}")
    if old.expires_ns != new.expires_ns:
        out.append(
            f"the key of {who} ends {iso_time(new.expires_ns)}; was {iso_time(old.expires_ns)}"
        )
    if old.peer_uid != new.peer_uid:
        out.append(
            f"{who} is known by its key alone, no longer by user {old.peer_uid}"
            if new.peer_uid is None
            else f"every process of user {new.peer_uid} on the daemon's host is {who}: no key"
        )
    return out


def _held(one: Holder, policy: Policy | None) -> str:
    text = ", ".join(label(power) for power in sorted(one.powers))
    if one.node:
        path = str(one.node)
        if policy is not None:
            path = next((node.path for node in policy.nodes if node.id == one.node), path)
        text += f" {path}"
    if one.peer_uid is not None:
        text += f" (user {one.peer_uid})"
    return text


def _k_of_n(change: Change, power: Power) -> str:
    n = change.count(power)
    if power is Power.APPROVER and n:
        return f"{n} in all"  # The policy says how many it takes.
    return f"{change.thresholds[power]} of {n}" if n else "nobody"


def holder_rows(
    change: Change, names: Iterable[str], policy: Policy | None, now_ns: int
) -> list[dict[str, Any]]:
    """Every key, as data."""
    told = tuple(names)
    return [
        {
            "name": name_of_key(one.id, told),
            "id": one.id,
            "powers": [label(power) for power in sorted(one.powers)],
            "holds": _held(one, policy),
            "public_key": one.public_key.hex(),
            "fingerprint": fingerprint(one.public_key),
            "expires": iso_time(one.expires_ns),
            "expired": now_ns >= one.expires_ns,
        }
        for one in change.holders.values()
    ]
