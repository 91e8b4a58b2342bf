"""``aipc completion``: commands and options finished by the Tab key."""

from __future__ import annotations

import os

import click

from aipc.cli.arguments.command_group import commands
from aipc.cli.screen.output import write
from aipc.errors import UsageError

VARIABLE = "_AIPC_COMPLETE"
"""A shell asks by it: click's completion scripts set it and run aipc at each Tab."""
SHELLS = ("bash", "zsh", "fish", "powershell")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes aipc's commands and options in SHELL.

    \b
    bash        eval "$(aipc completion bash)"         in ~/.bashrc
    zsh         eval "$(aipc completion zsh)"          in ~/.zshrc, after compinit
    fish        aipc completion fish > ~/.config/fish/completions/aipc.fish
    powershell  aipc completion powershell | Out-String | Invoke-Expression   in $PROFILE
    """  # noqa: D301 - click's own mark for lines that stay as they are
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        from aipc import remedies

        fix = remedies.put(["--upgrade", "click"])
        raise UsageError(f"the package click that is here has no completion for {shell}", fix)
    write(found(commands, {}, "aipc", VARIABLE).source())


def answer_shell() -> int:
    """What can stand where the cursor is, to stdout; 1 for a shell that click does not know."""
    from click.shell_completion import shell_complete

    return shell_complete(commands, {}, "aipc", VARIABLE, os.environ[VARIABLE])
