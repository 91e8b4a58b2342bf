"""systemd's user manager: systemd.service(5), systemd.exec(5), systemd.syntax(7)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aipc.serve.service.service import ServiceCommand

UNIT = "aipc.service"
_UNIT = """\
[Unit]
Description=aipc serve: the models of this computer, for its user

[Service]
Type=exec
ExecStart={command}
{environment}WorkingDirectory={folder}
Restart=on-failure
RestartSec=5
# The server alone is told to end: its workers finish the answers under way.
KillMode=mixed
TimeoutStopSec=60

[Install]
WantedBy=default.target
"""


class Systemd:
    name = "systemd"

    def __init__(self, config: Path | None = None) -> None:
        folder = config or Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self.file = folder / "systemd/user" / UNIT

    def describe(self, command: ServiceCommand) -> bytes:
        program, *arguments = command.arguments
        line = [_quoted(program), *(_quoted(argument.replace("$", "$$")) for argument in arguments)]
        given = (f"{name}={value}" for name, value in command.environment.items())
        return _UNIT.format(
            command=" ".join(line),
            environment="".join(f"Environment={_quoted(one)}\n" for one in given),
            folder=str(command.folder).replace("%", "%%"),
        ).encode()

    def start(self) -> Sequence[Sequence[str]]:
        return [
            _ctl("daemon-reload"),
            _ctl("enable", UNIT),
            _ctl("restart", UNIT),
        ]

    def stop(self) -> Sequence[Sequence[str]]:
        return [_ctl("disable", "--now", UNIT), _ctl("daemon-reload")]

    def state(self) -> Sequence[str]:
        return _ctl("is-active", "--quiet", UNIT)


def _ctl(*arguments: str) -> tuple[str, ...]:
    return "systemctl", "--user", *arguments


def _quoted(text: str) -> str:
    """As systemd.syntax has it; a percent sign alone would be a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped.replace("%", "%%")}"'
