"""The command `zcp`. Only this package prints or exits."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer._completion_classes import completion_init
from typer.main import get_command

from ..config import os_failed
from ..errors import SentinelError, UsageError
from . import (
    _ack,
    _approvals,
    _attest,
    _audit,
    _authority,
    _bench,
    _command,
    _completion,
    _connect,
    _drill,
    _enclave,
    _halt,
    _heartbeat,
    _init,
    _key,
    _lease,
    _mark,
    _order,
    _policy,
    _report,
    _sign,
    _status,
    _venue,
    _verify,
    _witness,
)
from ._mirror import forget
from ._offline import guard
from ._secrets import refuse_secrets
from ._shared import fail

__all__ = ["app", "main"]

app = typer.Typer(
    name="zcp",
    help="Sign trading orders that a signed policy allows, and keep a record of every decision.",
    epilog="Start with: zcp init, then zcp policy status, then zcp sign --message TEXT",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback()(_connect.root)
for module in (
    _init,
    _policy,
    _key,
    _lease,
    _order,
    _sign,
    _drill,
    _halt,
    _heartbeat,
    _command,
    _approvals,
    _ack,
    _authority,
    _status,
    _mark,
    _report,
    _audit,
    _verify,
    _attest,
    _venue,
    _witness,
    _enclave,
    _bench,
    _completion,
):
    module.register(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    json_output = "--json" in arguments
    if "_ZCP_COMPLETE" in os.environ:
        completion_init()
    try:
        refuse_secrets(arguments)
        arguments = _connect.sorted_arguments(arguments)
        command: Any = get_command(app)
        if _connect.is_named(arguments):
            command = guard(command)
        result: Any = command.main(args=arguments, prog_name="zcp", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except SentinelError as error:
        return _failed(error, json_output)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has gone; what was done is done.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _failed(os_failed(error.filename or "system", error), json_output)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return _misused(error, json_output)
        return _unforeseen(error)
    finally:
        forget()


def _failed(error: SentinelError, json_output: bool) -> int:
    try:
        fail(error, json_output=json_output)
    except SystemExit as stop:
        return int(stop.code or 1)


def _misused(error: Any, json_output: bool) -> int:
    """A wrong option or argument, as typer found it. No arguments at all: help was shown."""
    message = error.format_message()
    if not message:
        return 2
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "zcp"
    return _failed(UsageError(message, next_step=f"{where} --help"), json_output)


def _unforeseen(error: Exception) -> int:
    if os.environ.get("ZCP_DEBUG"):
        traceback.print_exc()
    print(
        f"unforeseen: {type(error).__name__}: {error}\n"
        "this is a defect of zcp; set ZCP_DEBUG=1 to see where it is, and report it",
        file=sys.stderr,
    )
    return 1
