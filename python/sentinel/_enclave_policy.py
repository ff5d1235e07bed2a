"""Would a KMS key policy let anybody but one enclave image open what the key holds?

A policy is read as if its author were an enemy: every `Allow` is judged alone, no `Deny` is counted
on, and what is not known is a finding. `docs/enclave-keys.md` has the table of codes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, NoReturn

from .errors import ConfigError

OPENING: Final = (
    "kms:DeriveSharedSecret",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
"""What gives out something secret. Of a key for agreement the first alone; the others are refused
without a condition all the same."""
CHANGING: Final = (
    "kms:PutKeyPolicy",
    "kms:CreateGrant",
    "kms:ImportKeyMaterial",
    "kms:ReplicateKey",
    "kms:UpdatePrimaryRegion",
)
"""What lets its holder open the key by a detour. No condition makes them safe."""
HARMLESS: Final = (
    "kms:CancelKeyDeletion",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:GetPublicKey",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:RetireGrant",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:UpdateAlias",
)
_ATTESTED: Final = "kms:recipientattestation:"
_PINS: Final = {f"{_ATTESTED}pcr{index}": index for index in range(32)} | {
    f"{_ATTESTED}imagesha384": 0
}
_EXACT: Final = ("StringEquals", "StringEqualsIgnoreCase")
_PCR_DIGITS: Final = 96
POLICY_BYTES_MAX: Final = 32768
"""What KMS takes, and no more is read."""

REMEDY: Final = {
    "inverted": "write Action, Principal and Resource; what is left out must not be allowed",
    "change": "take it out of every Allow: create the key with"
    " --bypass-policy-lockout-safety-check",
    "unknown_action": "take it out, or check by hand that it gives nothing away",
    "unpinned": "add a Condition: StringEqualsIgnoreCase on kms:RecipientAttestation:PCR0",
    "weak_operator": "use StringEquals or StringEqualsIgnoreCase, which a missing value fails",
    "bad_value": "give the image's PCR as 96 hex digits: zcp enclave measure",
    "debug": "pin the measurement of a release: zeros are an enclave in debug mode",
    "signer_alone": "pin PCR0 too: PCR8 alone is every image that the signer ever signed",
    "other_image": "pin the images of the expectation alone",
    "anybody": "name the role of the parent instance",
    "principal": "name AWS roles: a service or a federation can stand for many",
    "not_opened": "allow kms:DeriveSharedSecret to the parent's role, pinned to the image",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a policy. `statement`: its Sid, or its number from 1."""

    code: str
    statement: str
    text: str

    @property
    def remedy(self) -> str:
        """What to do."""
        return REMEDY[self.code]


def check_policy(
    policy: str | bytes | Mapping[str, Any], expected: Mapping[int, bytes] | None = None
) -> tuple[Finding, ...]:
    """Every way in which a key policy opens to more than it should; none: it does not.

    `expected`: the PCRs that it has to be pinned to. Raises ConfigError where it is no key policy.
    """
    found: list[Finding] = []
    opened = False
    for name, statement in _statements(policy):
        if statement["Effect"] == "Deny":
            continue
        found += _inverted(name, statement)
        actions = _texts(statement.get("Action", []), f"{name}: Action")
        opening = [one for one in OPENING if any(_matches(pattern, one) for pattern in actions)]
        found += _changing(name, actions)
        found += _unknown(name, actions)
        if not opening:
            continue
        problems = [*_principals(name, statement), *_condition(name, statement, opening, expected)]
        found += problems
        opened = opened or ("kms:DeriveSharedSecret" in opening and not problems)
    if not opened and not found:
        found.append(Finding("not_opened", "none", "no statement lets the enclave have its root"))
    return tuple(found)


# ---- The document -------------------------------------------------------------------------------


def _bad(why: str) -> NoReturn:
    raise ConfigError(
        f"this is no key policy: {why}",
        cause="the file is another one, or was edited by hand",
        next_step="get it with aws kms get-key-policy, or start from examples/aws",
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        _bad("a name is there twice, and readers differ on which one counts")
    return dict(pairs)


def _load(policy: str | bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(policy, Mapping):
        return policy
    if len(policy) > POLICY_BYTES_MAX:
        _bad(f"it has more than {POLICY_BYTES_MAX} bytes")
    try:
        data = json.loads(policy, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        _bad("it is not JSON")
    if isinstance(data, dict) and isinstance(data.get("Policy"), str):
        return _load(data["Policy"])  # what get-key-policy prints
    if not isinstance(data, dict):
        _bad("it is no object")
    return data


def _statements(policy: str | bytes | Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    data = _load(policy)
    statements = data.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements or set(data) - _TOP:
        _bad("it has no Statement, or names that are none of a policy's")
    for number, statement in enumerate(statements, start=1):
        if not isinstance(statement, dict) or set(statement) - _MEMBERS:
            _bad(f"statement {number} has a member that is none of a statement's")
        if statement.get("Effect") not in ("Allow", "Deny"):
            _bad(f"statement {number}: Effect is neither Allow nor Deny")
        yield str(statement.get("Sid") or number), statement


_TOP: Final = {"Version", "Id", "Statement"}
_MEMBERS: Final = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
    "Condition",
}  # fmt: skip


def _texts(value: Any, what: str) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        _bad(f"{what} is neither a text nor a list of texts")
    return values


def _matches(pattern: str, action: str) -> bool:
    """As IAM matches: case does not count, `*` and `?` are the only wildcards."""
    return fnmatchcase(action.lower(), pattern.lower().replace("[", "[[]"))


# ---- What is wrong with a statement -------------------------------------------------------------


def _inverted(name: str, statement: Mapping[str, Any]) -> Iterator[Finding]:
    for member in ("NotAction", "NotPrincipal", "NotResource"):
        if member in statement:
            yield Finding("inverted", name, f"{member}: it allows whatever is not named")


def _changing(name: str, actions: list[str]) -> Iterator[Finding]:
    for action in CHANGING:
        if any(_matches(pattern, action) for pattern in actions):
            yield Finding("change", name, f"{action}: its holder lets in whom it likes")


def _unknown(name: str, actions: list[str]) -> Iterator[Finding]:
    known = (*OPENING, *CHANGING, *HARMLESS)
    for pattern in actions:
        if not any(_matches(pattern, action) for action in known):
            yield Finding("unknown_action", name, f"{pattern} is not known here")


def _principals(name: str, statement: Mapping[str, Any]) -> Iterator[Finding]:
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        for kind, value in principal.items():
            if kind != "AWS":
                yield Finding("principal", name, f"{kind}: it may open the key")
            elif any("*" in one for one in _texts(value, f"{name}: Principal")):
                yield Finding("anybody", name, "any AWS account may try to open it")
    elif principal is not None:
        yield Finding("anybody", name, "any AWS account may try to open it")
    elif "NotPrincipal" not in statement:
        _bad(f"statement {name} has no Principal")


def _condition(
    name: str,
    statement: Mapping[str, Any],
    opening: list[str],
    expected: Mapping[int, bytes] | None,
) -> Iterator[Finding]:
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(v, dict) for v in condition.values()):
        _bad(f"statement {name}: Condition is no object of objects")
    pinned: set[int] = set()
    trouble = False
    for operator, tests in condition.items():
        for key, value in tests.items():
            if not key.lower().startswith(_ATTESTED):
                continue
            findings = list(_pin(name, operator, key, _texts(value, f"{name}: {key}"), expected))
            trouble = trouble or bool(findings)
            yield from findings
            if not findings:
                pinned.add(_PINS[key.lower()])
    if 0 in pinned or trouble:
        return
    if 8 in pinned:
        yield Finding("signer_alone", name, "it is pinned to the signer (PCR8), not to an image")
        return
    yield Finding("unpinned", name, f"{', '.join(opening)} without an image that it is pinned to")


def _pin(
    name: str, operator: str, key: str, values: list[str], expected: Mapping[int, bytes] | None
) -> Iterator[Finding]:
    """What is wrong with one condition on a document."""
    if operator not in _EXACT:
        yield Finding(
            "weak_operator", name, f"{operator} on {key} can hold without the image it names"
        )
        return
    index = _PINS.get(key.lower())
    if index is None:
        yield Finding("bad_value", name, f"{key} is no key of a document")
        return
    if not values:
        yield Finding("bad_value", name, f"{key} has no value")
    for value in values:
        digits = value.lower()
        if len(digits) != _PCR_DIGITS or set(digits) - set("0123456789abcdef"):
            yield Finding("bad_value", name, f"{key}: {value[:40]!r} is no measurement")
        elif not digits.strip("0"):
            yield Finding("debug", name, f"{key} is zeros")
        elif expected is not None and digits != expected.get(index, b"").hex():
            yield Finding("other_image", name, f"{key}: {digits[:16]}… is not the one expected")
