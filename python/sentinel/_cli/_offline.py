"""Which commands work through --connect, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ..errors import UsageError

_FILES: Final = "it works on files that you have here"
_SECRET: Final = "a secret goes into a key file on the engine's own machine"
_MACHINE: Final = "it is about this machine"

OFFLINE: Final = {
    "init": "it makes an engine's directory",
    "completion": _MACHINE,
    "drill": "it makes an engine of its own, on which it may do anything",
    "verify": _FILES,
    "policy configure": "it edits the policy's text beside the engine; edit your own, and load it",
    "policy lint": _FILES,
    "policy compile": "policy load compiles, signs and loads through --connect",
    "key generate": _SECRET + "; into an enclave: zcp enclave import",
    "key import": _SECRET + "; into an enclave: zcp enclave import",
    "authority keygen": _SECRET,
    "authority passphrase": _SECRET,
    "attest": "it is about a document; attest ask takes the enclave's address itself",
    "venue": _FILES,
    "witness": "a witness is no engine, and an engine's directory names its own",
    "enclave": "it is about images, papers and the lobby, before there are sessions",
}
"""By command, or by the family of commands where that is so for all of it."""
WORKS_ANYWAY: Final = ("enclave keep",)
"""Members of such a family that do work."""


def why_offline(path: str) -> str:
    """Why a command, by its words, does not work through --connect; "" where it does."""
    if path in WORKS_ANYWAY:
        return ""
    family = path.partition(" ")[0]
    return OFFLINE.get(path) or OFFLINE.get(family, "")


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, and its words."""
    for name, command in group.commands.items():
        words = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield words, command


def guard(group: Any) -> Any:
    """The same commands; those that do not work through --connect say so and do nothing."""
    for words, command in commands(group):
        if why := why_offline(words):
            command.callback = _refusal(words, why)
            command.params = []  # whatever else was said
            command.context_settings |= {"ignore_unknown_options": True, "allow_extra_args": True}
    return group


def _refusal(words: str, why: str) -> Callable[..., None]:
    def refuse(**_options: Any) -> None:
        raise UsageError(
            f"zcp {words} does not work through --connect: {why}",
            next_step="leave --connect out; docs/service.md lists what works through it",
        )

    return refuse
