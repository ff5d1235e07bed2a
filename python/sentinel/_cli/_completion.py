"""zcp completion"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from ..errors import UsageError
from ._shared import Cli, JsonOption

SHELLS = ("bash", "zsh", "fish")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("completion")(completion)


def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")], json: JsonOption = False
) -> None:
    """Print the script that completes zcp's commands in a shell.

    Example:

        zcp completion bash > ~/.local/share/bash-completion/completions/zcp
    """
    if shell not in SHELLS:
        raise UsageError(f"{shell!r} is none of {', '.join(SHELLS)}")
    script = get_completion_script(prog_name="zcp", complete_var="_ZCP_COMPLETE", shell=shell)
    Cli(Path(), json).emit({"shell": shell, "script": script}, script)
