"""What every command shares: options, output, exit statuses, the way to the writer."""

from __future__ import annotations

import getpass
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .. import _core
from .._in_force import ticket_told, word_told
from .._log import spool_answer
from ..ack import Ack, ack_of_answer, write_ack
from ..config import Installed, engine_dir, keep_reason, read_passphrase
from ..errors import EngineLocked, SentinelError, UsageError, raise_status
from ..witness import Client, WitnessError, configured
from ._connect import Remote, here, remote

EXIT_STATUSES: Final = {
    0: "done",
    1: "an error that was not foreseen",
    2: "usage: a wrong option, argument, file, unit, order or policy",
    3: "refused by policy; the refusal is recorded",
    4: "the engine is halted, or has no policy",
    5: "allowed, but not signed or not recorded; nothing was released",
    6: "another process is the engine's writer",
    7: "a key, key file or passphrase",
    8: "the log, a receipt or a signature is not intact, or does not prove what it says",
    9: "the operating system refused: no such file, no space, read-only",
    10: "a cryptographic library refused",
    11: "signed, but the venue refused it, or it was not sent",
    12: "signed and sent, and the venue may have it: ask before you sign again",
    13: "it waits for approvers; nothing was signed",
    14: "an enclave refused its security module, its keys or its state",
    70: "an invariant of this program broke",
    130: "interrupted",
}
"""Exit statuses of every command; docs/cli.md shows them."""

DirOption = Annotated[
    Path | None,
    typer.Option("--dir", help="The engine's directory; else ZCP_DIR, else the user's data."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File that holds the passphrase of the keys."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept beside the log.")]
WaitOption = Annotated[
    float, typer.Option("--wait", help="Seconds to wait for the writer, if there is one.")
]

WAIT_SECONDS: Final = 5.0
ISSUED_BEFORE_NS: Final = 5 * 10**9
"""Commands and policies are dated back so much: a writer that is just opening reads its clock
before the passphrase has opened the keys, and takes nothing that is issued after that."""


@dataclass(frozen=True, slots=True)
class Cli:
    """One command's surroundings. `secret`: a passphrase that was asked for before. `far`: the
    daemon whose engine it is about; the directory is then a copy of what that keeps.
    """

    directory: Path
    json: bool
    passphrase_file: Path | None = None
    secret: bytes | None = field(default=None, repr=False)
    far: Remote | None = None

    @classmethod
    def of(
        cls,
        directory: Path | None,
        json: bool,
        passphrase_file: Path | None = None,
        *,
        copies: bool = False,
        key: Path | None = None,
    ) -> Cli:
        """From a command's options. With --connect a command that `copies` gets what the daemon's
        engine keeps, through a session with its own key; another one raises UsageError.
        """
        far = remote()
        if far is not None and copies:
            far = replace(far, key=far.key or key)
            return cls(far.copied(passphrase_file), json, passphrase_file, far=far)
        here("this command")
        return cls(engine_dir(directory), json, passphrase_file)

    def refresh(self) -> None:
        """Brings a copy up to date."""
        if self.far is not None:
            self.far.copied(self.passphrase_file)

    def own_key(self, key: Path | None) -> Path:
        """The key file of who signs: the option's, the session's, or the engine's own."""
        return key or (self.far.key if self.far else None) or self.directory / "keys" / "authority"

    @classmethod
    def connected(cls, json: bool, passphrase_file: Path | None = None) -> Cli:
        """Of a command that works through --connect, and has no directory."""
        return cls(Path(), json, passphrase_file)

    def installed(self) -> Installed:
        """The engine's public files. Raises StorageError when there is no engine."""
        return Installed(self.directory)

    def passphrase(self) -> bytes:
        """The passphrase: file, environment, the file beside the keys, or a prompt."""
        if self.secret is not None:
            return self.secret
        ask = _ask if sys.stdin.isatty() else None
        far_key = self.far.key if self.far else None
        place = far_key.parent if far_key else self.directory
        return read_passphrase(place, file=self.passphrase_file, ask=ask)

    def emit(self, data: dict[str, Any], text: Callable[[Console], None] | str) -> None:
        """Prints the result: one JSON object, or text for people."""
        if self.json:
            print(json.dumps(data, indent=2, ensure_ascii=False))
            return
        width = None if sys.stdout.isatty() else 120
        console = Console(highlight=False, soft_wrap=True, width=width)
        if isinstance(text, str):
            console.print(text, markup=False)
        else:
            text(console)

    def warn(self, text: str) -> None:
        """A remark that is no result: to the standard error."""
        print(text, file=sys.stderr)

    def keep_reason(self, reason: str) -> None:
        """Keeps the reason of a command that stands; warns where it cannot be kept."""
        if reason and (warning := keep_reason(self.directory, reason)):
            self.warn(warning)


def _ask() -> str:
    return getpass.getpass("Passphrase: ")


@contextmanager
def until_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, instead of ending the process."""
    ended = threading.Event()
    before = [
        (number, signal.signal(number, lambda *_: ended.set()))
        for number in (signal.SIGTERM, signal.SIGINT)
    ]
    try:
        yield ended
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def now_ns() -> int:
    """The time of this machine, in Unix nanoseconds."""
    return time.time_ns()


def table(*columns: str) -> Table:
    """A plain table."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


@contextmanager
def counting(cli: Cli, what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar for long work over a log: told how many are done, and of how many where that is known.

    It goes to standard error, and only to a terminal.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=cli.json,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def fail(error: SentinelError, *, json_output: bool) -> NoReturn:
    """Says what is wrong, and exits with its status."""
    if json_output:
        print(json.dumps({"error": describe_error(error)}, indent=2, ensure_ascii=False))
    else:
        print(error.diagnostics(), file=sys.stderr)
    raise SystemExit(error.exit_status)


_ERROR_FIELDS: Final = (
    *("reason", "reasons", "record", "epoch", "file", "line", "column", "offset"),
    *("venue", "code", "text", "retry_after_s", "client_order_id", "action_id"),
    *("usable_until_ms", "needed", "approvals", "until_ns", "in_force_by", "ticket"),
)


def describe_error(error: SentinelError) -> dict[str, Any]:
    """An error as data: what every command prints with --json."""
    data: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": str(error),
        "exit_status": error.exit_status,
    }
    if error.status:
        data["status"] = _core.status_name(error.status)
    if error.cause:
        data["cause"] = error.cause
    if error.next_step:
        data["next_step"] = error.next_step
    for name in _ERROR_FIELDS:
        if value := getattr(error, name, None):
            data[name] = list(value) if isinstance(value, tuple) else value
    if digest := getattr(error, "record_hash", b""):
        data["record_hash"] = digest.hex()
    if waiting := getattr(error, "waiting", ()):
        data["waiting"] = [describe_constraint(constraint) for constraint in waiting]
    if failed := getattr(error, "failed", ()):
        data["failed"] = [describe_constraint(constraint) for constraint in failed]
    return data


def describe_constraint(constraint: Any) -> dict[str, Any]:
    """A failed constraint as data."""
    names = (
        "type",
        "node",
        "name",
        "value",
        "bound",
        "value_text",
        "bound_text",
        "suggestion",
        "max_allowed",
        "retry_after_ns",
    )
    return {name: getattr(constraint, name) for name in names}


def deliver(
    cli: Cli, frame: bytes, *, wait: float, spool_first: bool = False, reason: str = ""
) -> dict[str, Any]:
    """Brings a signed frame to the engine; the number of its record, and by which way.

    `ack`, where there is one: the engine's acknowledgement of a command, verified.

    Through the spool when another process is the writer, else as the writer. `spool_first`
    (a halt): it is in the spool, and binds, before anything else is tried. `confirmed`, where the
    authority asks for a witness: whether one confirmed it; there is no `ack` before. `reason`: of
    a command; kept beside the log behind it, as well as can be.
    """
    if cli.far is not None:
        return _hand_in(cli, cli.far, frame)
    ticket = submit(cli, frame) if spool_first else None
    stands = ticket is not None
    try:
        with ticket_told(cli.directory, ticket):
            result = _bring(cli, frame, ticket, wait)
        stands = True
        return result
    finally:
        if stands:
            cli.keep_reason(reason)


def _hand_in(cli: Cli, far: Remote, frame: bytes) -> dict[str, Any]:
    with far.client(role="command", passphrase_file=cli.passphrase_file) as client:
        taken = client.hand_in(frame)
    result: dict[str, Any] = {"record": taken.record, "applied": True}
    if taken.ack is not None:
        taken.ack.verify(cli.installed().genesis)
        result["ack"] = taken.ack
    return result | ({"confirmed": False} if taken.held else {})


def submit(cli: Cli, frame: bytes) -> int:
    """Leaves a frame in the spool; its ticket. Where a halt gets none, the error says that it binds
    all the same.
    """
    with word_told(cli.directory):
        return int(_core.spool_submit(cli.directory, frame))


def _bring(cli: Cli, frame: bytes, ticket: int | None, wait: float) -> dict[str, Any]:
    try:
        engine = _core.Engine.open(cli.directory, cli.passphrase(), now_ns())
    except EngineLocked:
        if ticket is None:
            ticket = _core.spool_submit(cli.directory, frame)
        return await_ticket(cli, ticket, wait)
    try:
        if ticket is not None:
            return spooled(cli, engine, ticket)
        witness = Client(engine, configured(cli.directory))
        result: dict[str, Any] = {"applied": True}
        try:
            result["record"] = witness.take(frame, now_ns())
        except WitnessError as error:
            result |= {"record": error.record, **_unconfirmed(cli, error)}
        else:
            result |= _given_back(engine, witness)
        found = ack_of_answer(engine.ack() or b"", cli.installed().genesis)
        return result | ({"ack": found} if found else {})
    finally:
        engine.close(now_ns())


def spooled(cli: Cli, engine: _core.Engine, ticket: int) -> dict[str, Any]:
    """As the writer: applies the spool, has that confirmed, and reads the answer to a ticket."""
    engine.spool(now_ns())
    witness = Client(engine, configured(cli.directory))
    confirmed: dict[str, Any] = {}
    try:
        if engine.is_held:
            witness.ask()
            confirmed = _given_back(engine, witness)
    except WitnessError as error:
        confirmed = _unconfirmed(cli, error)
    return await_ticket(cli, ticket, 0.0) | confirmed


def _unconfirmed(cli: Cli, error: WitnessError) -> dict[str, Any]:
    """It is in force either way, but it is not known to outlive this disk."""
    cli.warn(error.message if error.record else f"in force, but not confirmed: {error.message}")
    return {"confirmed": False}


def _given_back(engine: _core.Engine, witness: Client) -> dict[str, Any]:
    """Nothing is signed here: a grant that came with the confirmation is given back."""
    state = engine.state()
    if not engine.needs_witness or state.grant.epoch != state.epoch:
        return {}
    with suppress(WitnessError):
        witness.ask(final=True)
    return {"confirmed": True}


def await_ticket(cli: Cli, ticket: int, wait: float) -> dict[str, Any]:
    """What the writer answers to a frame in the spool; `applied` False when it takes too long."""
    deadline = time.monotonic() + wait
    while True:
        if answer := spool_answer(cli.directory, ticket):
            status = int.from_bytes(answer[:4], "little")
            if status:
                raise_status(status, "the engine's writer did not take it")
            found = ack_of_answer(answer[16:], cli.installed().genesis)
            record = int.from_bytes(answer[8:16], "little")
            result = {"record": record, "applied": True, "ticket": ticket}
            return result | ({"ack": found} if found else {})
        if time.monotonic() >= deadline:
            return {"record": None, "applied": False, "ticket": ticket}
        time.sleep(0.01)


AckOption = Annotated[
    Path | None,
    typer.Option("--ack", help="Save the engine's signed acknowledgement: zcp verify checks it."),
]


def tell_ack(cli: Cli, result: dict[str, Any], file: Path | None) -> list[str]:
    """What the engine signed of a command that it took, in words; saved to a file if asked.

    The result gets it as data. Raises UsageError when there is none to save.
    """
    found: Ack | None = result.pop("ack", None)
    if found is None:
        if file is not None:
            unconfirmed = result.get("confirmed") is False
            raise EngineLocked(
                "there is no acknowledgement to save yet",
                cause="no witness has confirmed the command, which is in force"
                if unconfirmed
                else "the engine's writer has not applied the command",
                next_step="zcp ack RECORD makes it again, once the command is recorded",
            )
        return []
    genesis = cli.installed().genesis.raw
    result["acknowledged"] = found.to_json(genesis)
    if file is not None:
        write_ack(file, found, genesis)
    return found.text() + ([f"saved: {file}"] if file else [])


def must_be_applied(result: dict[str, Any]) -> dict[str, Any]:
    """Raises EngineLocked when the writer has not applied a frame yet."""
    if not result["applied"]:
        raise EngineLocked(
            f"the engine's writer has not applied it yet (ticket {result['ticket']})",
            cause="another process holds the engine and has not decided since",
            next_step="it is in the spool and applied before the writer's next decision",
        )
    return result


def read_input(file: str) -> str:
    """The text of a file, or of the standard input for "-". Raises UsageError."""
    try:
        if file == "-":
            return sys.stdin.read()
        return Path(file).read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not UTF-8") from None
    except OSError as error:
        raise UsageError(
            f"{file}: {error.strerror}", next_step="name a file that exists, or - for stdin"
        ) from None
