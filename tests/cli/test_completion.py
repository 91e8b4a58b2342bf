from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from aipc.cli.arguments.command_group import COMMANDS
from aipc.cli.completion import SHELLS, VARIABLE


def ask(shell: str, words: str, place: int) -> str:
    """As the script of the shell asks, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "aipc"],
        env={
            **os.environ,
            VARIABLE: f"{shell}_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(place),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_commands_are_completed_without_importing_them() -> None:
    assert ask("bash", "aipc conv", 1).split() == ["plain,convert"]
    named = {line.partition(",")[2] for line in ask("bash", "aipc ", 1).splitlines()}
    assert named == set(COMMANDS)


def test_options_and_their_choices_are_completed() -> None:
    assert "plain,--weight-format" in ask("bash", "aipc convert phi-3-mini --weight", 3).split()
    words = ask("bash", "aipc convert phi-3-mini --weight-format ", 4).split()
    assert "plain,int4" in words


@pytest.mark.parametrize("shell", ["zsh", "powershell"])
def test_shells_that_show_help_get_it(shell) -> None:
    assert COMMANDS["doctor"] in ask(shell, "aipc doc", 1)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_its_script(shell, aipc) -> None:
    outcome = aipc("completion", shell)
    assert outcome.status == 0
    assert VARIABLE in outcome.stdout
    if shell != "powershell" and shutil.which(shell):
        subprocess.run([shell, "-n"], input=outcome.stdout, text=True, check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_bash_completes_a_command(aipc, tmp_path) -> None:
    (tmp_path / "aipc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aipc "$@"\n')
    (tmp_path / "aipc").chmod(0o755)
    program = (
        'eval "$(aipc completion bash)"; complete -p aipc; '
        "COMP_WORDS=(aipc verif) COMP_CWORD=1; _aipc_completion aipc; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "-c", program],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _aipc_completion aipc",
        "verify",
    ]


def test_a_click_that_is_too_old_for_a_shell_is_said_with_what_mends_it(aipc, monkeypatch) -> None:
    monkeypatch.setattr("click.shell_completion.get_completion_class", lambda shell: None)
    outcome = aipc("completion", "powershell")
    assert outcome.status == 2
    assert "no completion for powershell; `pip install --upgrade click`" in outcome.stderr
