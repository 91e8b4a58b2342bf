"""macOS' launchd: launchd.plist(5), launchctl(1)."""

from __future__ import annotations

import os
import plistlib
from collections.abc import Sequence
from pathlib import Path

from aipc.serve.service.service import ServiceCommand

LABEL = "aipc.serve"


class Launchd:
    name = "launchd"

    def __init__(self, home: Path | None = None) -> None:
        self.file = (home or Path.home()) / "Library/LaunchAgents" / f"{LABEL}.plist"
        user = os.getuid() if hasattr(os, "getuid") else 0
        self._domain = f"gui/{user}"

    def describe(self, command: ServiceCommand) -> bytes:
        return plistlib.dumps(
            {
                "Label": LABEL,
                "ProgramArguments": list(command.arguments),
                "EnvironmentVariables": dict(command.environment),
                "WorkingDirectory": str(command.folder),
                "RunAtLoad": True,
                "KeepAlive": {"SuccessfulExit": False},
                "ExitTimeOut": 60,
                "StandardErrorPath": str(command.folder / "serve.log"),
            }
        )

    def start(self) -> Sequence[Sequence[str]]:
        target = f"{self._domain}/{LABEL}"
        # one that is loaded is unloaded first, which launchd does not wait for; there may be none
        unload = f"launchctl bootout {target} 2>/dev/null"
        loaded = f"launchctl print {target} >/dev/null 2>&1"
        gone = f"for i in $(seq 50); do {loaded} || exit 0; sleep 0.2; done"
        return [
            ("sh", "-c", f"{unload}; {gone}"),
            ("launchctl", "bootstrap", self._domain, str(self.file)),
        ]

    def stop(self) -> Sequence[Sequence[str]]:
        return [("launchctl", "bootout", f"{self._domain}/{LABEL}")]

    def state(self) -> Sequence[str]:
        return "launchctl", "print", f"{self._domain}/{LABEL}"
