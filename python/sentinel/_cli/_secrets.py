"""Secrets never stand in argv: the shell keeps a history, and every user sees the processes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..errors import UsageError

_OPTIONS: Final = re.compile(
    r"--?(secret|secret-key|api-secret|private-key|passphrase|api-passphrase|password|seed"
    r"|mnemonic)(=.*)?",
    re.DOTALL,
)
_LOOKS_SECRET: Final = re.compile(
    r"(0x)?[0-9A-Fa-f]{64}|[A-Za-z0-9+/=_-]{40,}|-----BEGIN.*", re.DOTALL
)
_ADDRESS: Final = re.compile(r"0x[0-9A-Fa-f]{40}")
"""Of an account or a vault: too short for a key."""

_PUBLIC_OPTIONS: Final = {
    "--api-key",
    "--api-passphrase-file",
    "--dir",
    "--out",
    "--passphrase-file",
    "--secret-file",
}
"""Options of `zcp key` whose values may look like a secret and are none."""


def refuse_secrets(arguments: Sequence[str]) -> None:
    """Raises UsageError where an argument is, or looks like, a secret. Never repeats it."""
    for argument in arguments:
        if match := _OPTIONS.fullmatch(argument):
            raise _refusal(f"--{match[1]}")
    if not arguments or arguments[0] != "key":
        return
    public = False
    for argument in arguments[1:]:
        value = argument
        if argument.startswith("--") and not argument.startswith("-----"):
            name, _, value = argument.partition("=")
            public = name in _PUBLIC_OPTIONS and not value
            value = "" if name in _PUBLIC_OPTIONS else value
        elif public:
            public = False
            continue
        if _LOOKS_SECRET.fullmatch(value) and not _ADDRESS.fullmatch(value):
            raise _refusal("an argument that looks like a secret")


def _refusal(what: str) -> UsageError:
    return UsageError(
        f"{what} was given on the command line; it is refused, and it was not used",
        cause="the shell keeps a history, and every user of the machine sees the arguments",
        next_step="change that secret if it is real; give it with --secret-file FILE or on stdin",
    )
