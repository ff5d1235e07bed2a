"""What a draft is, in plain words, before anybody signs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ._drafts import Draft, Need, Signature, count_of, key_name, need_of, signatures_of
from ._enums import Command, Scope, label
from ._frame import FrameKind
from ._people import Public
from ._stops import name_of
from .receipt import iso_time

_DOES: Final = {
    Command.HALT: "nothing is signed any more for {target}: no order, no cancel, no withdrawal,"
    " no message; until {k} of {n} operators resume",
    Command.DRAIN: "for {target} only what lowers risk is signed: cancels, queries, reduce-only"
    " orders; {end}. One operator is enough, unless it ends later than a drain there is: {k} of"
    " {n}",
    Command.RESUME: "lifts the halt or drain of {target}; what stops above, below or beside it"
    " stays",
    Command.APPROVE: "says yes to the pending order of record {record}, for each signer alone;"
    " it is signed once as many of the {n} approvers said so as the policy asks for, if all other"
    " rules then still pass",
    Command.REJECT: "says no to the pending order of record {record}: it is refused for good",
    Command.LEASE: "the engine may go on signing until {until}; it lifts no halt and no drain",
}
_GAP: Final = (
    "accepts that records up to {last}, which a witness confirmed, are lost: the engine goes on"
    " from this older copy"
)
_CLOCK: Final = (
    "sets the log's time back from {log} to the real time, which is from {issued} to {expires} as"
    " the engine takes it: compare that with your own clock. Refused where the log's time is"
    " another by then, or where anything was signed or taken in the time that is undone. Then it"
    " lifts the halt or drain of {target}"
)
_FIRM: Final = "; of the firm, a halt of the engine's own is lifted too"


@dataclass(frozen=True, slots=True)
class Told:
    """A draft in words: rows of label and text, and the same as data."""

    rows: tuple[tuple[str, str], ...]
    data: dict[str, Any]

    def text(self) -> str:
        """Lines for people."""
        width = max(len(name) for name, _ in self.rows) + 2
        return "\n".join(f"{name:{width}}{text}" for name, text in self.rows)


def target_text(draft: Draft, public: Public | None) -> tuple[str, str]:
    """Kind and name of what a command is about; the number alone where no name is known."""
    fields = draft.command
    scope, number = fields["scope"], fields["target"]
    policy = public.policy if public is not None else None
    if scope == Scope.RECORD:
        return "record", str(fields["record"])
    if scope == Scope.ENGINE:
        return "engine", "the whole engine"
    if scope not in set(Scope):
        return "scope", f"{scope}, which is unknown: do not sign it"
    name = name_of(policy, scope, number)
    if name == str(number):
        name = f"number {number}, which no name is known for"
    elif policy is not None and scope == Scope.NODE and policy.nodes[0].id == number:
        name += " (the whole firm)"
    return label(Scope(scope)), name


def does_text(draft: Draft, public: Public | None, need: Need | None) -> str:
    """What a command does."""
    fields = draft.command
    if draft.verb is Command.RESUME and fields["scope"] == Scope.ENGINE:
        return _GAP.format(last=fields["record"] - 1)
    kind, name = target_text(draft, public)
    if draft.sets_back_ns:
        frame = draft.frame
        text = _CLOCK.format(
            log=iso_time(draft.sets_back_ns),
            issued=iso_time(frame.issued_ns),
            expires=iso_time(frame.expires_ns),
            target=f"{kind} {name}",
        )
        return text + (_FIRM if name.endswith("(the whole firm)") else "")
    k, n = "k", "n"
    if public is not None and need is not None and need.power is not None:
        k, n = str(public.authority.threshold[need.power]), str(len(need.holders))
    until = fields["until_ns"]
    end = f"from {iso_time(until)} on it is a halt" if until else "it has no end of its own"
    text = _DOES[draft.verb].format(
        target=f"{kind} {name}", k=k, n=n, record=fields["record"], end=end, until=_time(until)
    )
    firm = name.endswith("(the whole firm)")
    return text + (_FIRM if firm and draft.verb is Command.RESUME else "")


def _time(time_ns: int) -> str:
    return iso_time(time_ns) if time_ns else "no time that is named"


def _left(expires_ns: int, now_ns: int) -> str:
    seconds = (expires_ns - now_ns) // 10**9
    if seconds < 0 or now_ns >= expires_ns:
        return "EXPIRED"
    if seconds < 120:
        return f"in {seconds} s"
    return f"in {seconds // 60} min" if seconds < 7200 else f"in {seconds // 3600} h"


def tell(
    draft: Draft, public: Public | None, now_ns: int, extra: tuple[tuple[str, str], ...] = ()
) -> Told:
    """A draft in words. `extra`: rows that its kind adds, such as what a bundle changes."""
    frame = draft.frame
    need = need_of(draft, public, now_ns) if public is not None else None
    rows: list[tuple[str, str]] = []
    data: dict[str, Any] = {"kind": draft.kind.name.lower()}
    if draft.kind is FrameKind.COMMAND:
        kind, name = target_text(draft, public)
        rows += [
            ("command", f"{label(draft.verb).upper()} {kind} {name}"),
            ("what it does", does_text(draft, public, need)),
            ("reason", draft.reason),
            ("severity", str(draft.command["severity"])),
        ]
        data |= {
            "verb": label(draft.verb),
            "scope": kind,
            "target": name,
            "does": rows[1][1],
            "reason": draft.reason,
            "severity": draft.command["severity"],
            "until": _time(draft.command["until_ns"]) if draft.command["until_ns"] else None,
        }
        if draft.sets_back_ns:
            rows.append(("the log's time", iso_time(draft.sets_back_ns)))
            rows.append(("the real time", f"{iso_time(frame.issued_ns)} or later, as it is taken"))
            data |= {"until": None, "log_time": iso_time(draft.sets_back_ns)}
        if draft.command["record"]:
            digest: Any = draft.command["record_hash32"]
            rows.append(("record hash", digest.hex()))
            data |= {"record": draft.command["record"], "record_hash": digest.hex()}
    rows += extra
    engine = public.engine if public is not None else f"{frame.engine_id.hex()} (not checked)"
    rows += [
        ("engine", engine),
        ("sequence", str(frame.sequence)),
        ("issued", iso_time(frame.issued_ns)),
        ("expires", f"{iso_time(frame.expires_ns)}, {_left(frame.expires_ns, now_ns)}"),
        ("hash", frame.hash.hex()),
    ]
    data |= {
        "engine_id": frame.engine_id.hex(),
        "sequence": frame.sequence,
        "issued": iso_time(frame.issued_ns),
        "expires": iso_time(frame.expires_ns),
        "expired": now_ns >= frame.expires_ns,
        "hash": frame.hash.hex(),
        "names_verified": public is not None and public.policy_verified,
    }
    if public is None or need is None:
        keys = ", ".join(str(key) for key, _ in draft.proofs) or "nobody"
        rows.append(("signed by", f"keys {keys}; not checked: give --public FILE or --dir"))
        data |= {"signed": [{"key": key} for key, _ in draft.proofs], "complete": None}
        return Told(tuple(rows), data)
    if draft.kind is FrameKind.COMMAND and not public.policy_verified:
        rows.append(("names", "from a policy that the keys in force did not sign: compare numbers"))
    found = signatures_of(draft, public, now_ns)
    rows += _signed_rows(need, public, found)
    data |= signed_data(need, public, found)
    return Told(tuple(rows), data)


def _signed_rows(need: Need, public: Public, found: tuple[Signature, ...]) -> list[tuple[str, str]]:
    counted = [one for one in found if not one.problem]
    rows = []
    for one in found:
        text = f"{one.name} (key {one.key}, {one.fingerprint or 'unknown'})"
        rows.append(
            ("signed by", f"{text}{': DOES NOT COUNT: ' if one.problem else ''}{one.problem}")
        )
    have, k = len(counted), need.k
    if have >= k > 0:
        rows.append(("signatures", f"{have} of {k} needed: complete"))
        return rows
    others = sorted(
        key_name(need, public, key)
        for key in need.holders
        if key not in {one.key for one in counted}
    )
    rows.append(
        (
            "signatures",
            f"{have} of {k} needed; still needed: {k - have} of "
            f"{', '.join(others) or 'nobody, so it can never be complete'}",
        )
    )
    return rows


def signed_data(need: Need, public: Public, found: tuple[Signature, ...]) -> dict[str, Any]:
    """Who has signed, and what is missing, as data."""
    return {
        "signed": [
            {
                "key": one.key,
                "name": one.name,
                "fingerprint": one.fingerprint,
                "counts": not one.problem,
                "problem": one.problem or None,
            }
            for one in found
        ],
        "signers": sorted(key_name(need, public, key) for key in need.holders),
        "power": need.word,
        "needed": need.k,
        "of": len(need.holders),
        "complete": 0 < need.k <= count_of(found),
    }
