"""The console blocks of a page, run as they stand, and compared with what the page shows.

A line that begins with "$ " is a command; those below it that begin with "> " are typed into it,
and the others are what it prints.  Figures, dates and sizes may differ, and the page may leave out:
"…" stands for anything within a line, "..." alone for any lines.  "<!-- not run: WHY -->" above a
block says why it is not run.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(
    r"^(?:<!-- not run: (.*?) -->\n\n?)?```console\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_FIGURE = re.compile(r"\d[\d.,:-]*")
LIMIT_S = 900


@dataclass
class Command:
    line: str
    typed: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ConsoleBlock:
    page: Path
    line: int
    not_run: str
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.line}"


def console_blocks(page: Path) -> Iterator[ConsoleBlock]:
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(2))
        yield ConsoleBlock(page, line, found[1] or "", tuple(_commands(found[2].splitlines())))


def _commands(lines: list[str]) -> Iterator[Command]:
    command = None
    for line in lines:
        if line.startswith("$ "):
            if command:
                yield command
            command = Command(line[2:])
        elif command is None:
            raise ValueError(f"a console block begins with no command: {line}")
        elif command.line.endswith("\\"):
            command.line = f"{command.line[:-1]}{line}"
        elif line.startswith("> "):
            command.typed.append(line[2:])
        else:
            command.shown.append(line)
    if command:
        yield command


def run(block: ConsoleBlock, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """What is wrong with a block, run in ``folder`` by one shell: a line each."""
    end = "--- end of a command: "
    script = ["set -m"]
    for command in block.commands:
        typed = "".join(f"{line}\n" for line in command.typed)
        fed = f"printf %s {shlex.quote(typed)} | " if typed else ""
        script.append(f"{fed}{command.line}\nprintf '\\n{end}%d\\n' $?")
    done = subprocess.run(
        ["bash", "-c", "\n".join([*script, "kill $(jobs -p) 2>/dev/null; wait"])],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )
    printed = re.split(rf"^{end}(\d+)\n", done.stdout, flags=re.MULTILINE)
    for command, text, status in zip(block.commands, printed[::2], printed[1::2], strict=False):
        if status != "0":
            yield f"{command.line}: status {status}: {text}"
        elif command.shown and not looks_like("\n".join(command.shown), text):
            yield f"{command.line} printed\n{text}"
    if len(printed) != 2 * len(block.commands) + 1:
        yield f"the shell ended early: {done.stdout}"


def looks_like(shown: str, printed: str) -> bool:
    """Whether a text has the shape of what a page shows."""
    return re.fullmatch(_shape(shown), f"{printed.rstrip()}\n") is not None


def _shape(shown: str) -> str:
    lines = []
    for line in shown.splitlines():
        if line.strip() in {"...", "…"}:
            lines.append(r"(?:[^\n]*\n)*?")
        else:
            lines.append(_line_shape(line) + r"[ \t]*\n")
    return "".join(lines)


def _line_shape(line: str) -> str:
    """Figures stand for figures, runs of blanks for blanks."""
    parts = (_words_shape(part) for part in line.strip().split("…"))
    return r"[ \t]*" + r"[^\n]*?".join(parts)


def _words_shape(text: str) -> str:
    words = (_FIGURE.pattern.join(map(re.escape, _FIGURE.split(word))) for word in text.split())
    blank = r"[ \t]+"
    lead, trail = (r"[ \t]*" if text[at : at + 1].isspace() else "" for at in (0, len(text) - 1))
    return lead + blank.join(words) + trail if text.strip() else r"[ \t]*" if text else ""
