"""zcp --connect: the commands that an engine in a daemon takes, through a session of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..config import read_passphrase
from ..errors import UsageError
from ._mirror import mirror

if TYPE_CHECKING:
    from ..client import Client, Taken

_TAKES_VALUE: Final = ("--connect", "--pin", "--session-key", "--key-id", "--deadline")
_FLAGS: Final = ("--peer",)


@dataclass(frozen=True, slots=True)
class Remote:
    """Which daemon, and as whom."""

    address: str
    pin: Path | None = None
    key: Path | None = None
    key_id: str | None = None
    peer: bool = False
    deadline: float = 5.0

    @contextmanager
    def client(
        self,
        *,
        agent: str = "",
        role: str = "",
        key: Path | None = None,
        passphrase_file: Path | None = None,
        pin: bytes | None = None,
    ) -> Iterator[Client]:
        """A session; `key`: of the command itself, instead of --session-key; `pin`: of a document
        that was verified, instead of --pin.
        """
        from ..client import Client

        own = key or self.key
        if own is None and not self.peer:
            raise UsageError(
                "--connect: which key is the session's?",
                next_step="name its file with --session-key (zcp authority keygen makes one)",
            )
        name = self.key_id
        with Client.connect(
            self.address,
            agent=(int(agent) if agent.isdigit() else agent) if agent else None,
            role=role,
            key=own,
            key_id=int(name) if name is not None and name.isdigit() else name,
            pin=self.pin if pin is None else pin,
            deadline=self.deadline,
            passphrase=None if own is None else read_passphrase(own.parent, file=passphrase_file),
            peer=self.peer,
        ) as client:
            yield client

    def copied(self, passphrase_file: Path | None = None) -> Path:
        """A directory with what the engine keeps, as it is now: its log and its bundles."""
        with self.client(role="command", passphrase_file=passphrase_file) as client:
            return mirror(client)


_current: list[Remote] = []
"""The daemon of the command that runs; at most one."""


def remote() -> Remote | None:
    """What --connect named for this command."""
    return _current[0] if _current else None


def here(command: str) -> None:
    """For a command that works on the engine's directory. Raises UsageError with --connect."""
    if _current:
        raise UsageError(
            f"{command} works on the engine's directory, not through --connect",
            next_step="run it where the directory is; docs/service.md lists what works",
        )


def root(
    connect: Annotated[
        str, typer.Option(help="A daemon: unix:///path, shm:///path or vsock://CID:PORT.")
    ] = "",
    pin: Annotated[
        Path | None, typer.Option(help="With --connect: file of what the daemon is pinned by.")
    ] = None,
    session_key: Annotated[
        Path | None, typer.Option(help="With --connect: your key file, which also signs.")
    ] = None,
    key_id: Annotated[
        str | None, typer.Option(help="With --connect: the key's name or number in the authority.")
    ] = None,
    peer: Annotated[
        bool, typer.Option("--peer", help="With --connect: no key; the kernel names the user.")
    ] = False,
    deadline: Annotated[
        float, typer.Option(min=0.001, max=3600, help="With --connect: seconds for each answer.")
    ] = 5.0,
) -> None:
    """Sign trading orders that a signed policy allows, and keep a record of every decision."""
    _current.clear()
    if connect:
        _current.append(Remote(connect, pin, session_key, key_id, peer, deadline))
    elif pin is not None or session_key is not None or key_id is not None or peer:
        raise UsageError("--pin, --session-key, --key-id and --peer go with --connect")


def is_named(arguments: Sequence[str]) -> bool:
    """Whether --connect is among the arguments."""
    return any(word == "--connect" or word.startswith("--connect=") for word in arguments)


def sorted_arguments(arguments: Sequence[str]) -> list[str]:
    """The options of --connect first, wherever they stand; without it nothing is moved."""
    _current.clear()
    if not is_named(arguments):
        return list(arguments)
    first: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _TAKES_VALUE:
            first += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word in _FLAGS or word.partition("=")[0] in _TAKES_VALUE:
            first.append(word)
        else:
            rest.append(word)
    return first + rest


def taken_data(taken: Taken) -> dict[str, Any]:
    """What became of a frame, as every command's JSON has it."""
    data: dict[str, Any] = {"record": taken.record, "applied": True}
    if taken.held:
        data["confirmed"] = False
    if taken.ack is not None:
        data["acknowledged"] = taken.ack.readable()
    return data


def taken_text(taken: Taken) -> str:
    """The same in a few words."""
    held = ", and a witness has to confirm it yet" if taken.held else ""
    return f"record {taken.record}{held}"
