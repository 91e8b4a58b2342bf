"""Windows' Task Scheduler: learn.microsoft.com, "Task Scheduler Schema", and schtasks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from aipc.serve.service.service import ServiceCommand

TASK = "aipc serve"
_SCHEMA = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_SETTINGS = {
    "MultipleInstancesPolicy": "IgnoreNew",
    "DisallowStartIfOnBatteries": "false",
    "StopIfGoingOnBatteries": "false",
    "ExecutionTimeLimit": "PT0S",  # else it would be ended after three days
}


class TaskScheduler:
    name = "the Task Scheduler"

    def __init__(self, store: Path) -> None:
        self.file = store / "service.xml"

    def describe(self, command: ServiceCommand) -> bytes:
        """In UTF-16, as schtasks wants it."""
        task = ET.Element("Task", {"version": "1.2", "xmlns": _SCHEMA})
        user = "\\".join(filter(None, map(os.environ.get, ("USERDOMAIN", "USERNAME"))))
        _add(task, "RegistrationInfo/Description", "aipc serve: the models of this computer")
        _add(task, "Triggers/LogonTrigger/UserId", user)
        _add(task, "Principals/Principal/UserId", user)
        _add(task, "Principals/Principal/LogonType", "InteractiveToken")
        for name, value in _SETTINGS.items():
            _add(task, f"Settings/{name}", value)
        _add(task, "Settings/RestartOnFailure/Interval", "PT1M")
        _add(task, "Settings/RestartOnFailure/Count", "3")
        program, arguments = _program(command)
        _add(task, "Actions/Exec/Command", program)
        _add(task, "Actions/Exec/Arguments", arguments)
        _add(task, "Actions/Exec/WorkingDirectory", str(command.folder))
        ET.indent(task)
        text = '<?xml version="1.0" encoding="UTF-16"?>\n' + ET.tostring(task, "unicode")
        return text.encode("utf-16")

    def start(self) -> Sequence[Sequence[str]]:
        # one that runs would go on as it was, and there may be none
        ended = f"Stop-ScheduledTask '{TASK}' -ErrorAction SilentlyContinue; exit 0"
        return [
            ("schtasks", "/Create", "/TN", TASK, "/XML", str(self.file), "/F"),
            ("powershell", "-NoProfile", "-Command", ended),
            ("schtasks", "/Run", "/TN", TASK),
        ]

    def stop(self) -> Sequence[Sequence[str]]:
        return [
            ("schtasks", "/End", "/TN", TASK),
            ("schtasks", "/Delete", "/TN", TASK, "/F"),
        ]

    def state(self) -> Sequence[str]:
        running = f"if ((Get-ScheduledTask '{TASK}').State -ne 'Running') {{ exit 1 }}"
        return "powershell", "-NoProfile", "-Command", running


def _add(parent: ET.Element, path: str, text: str) -> None:
    for name in path.split("/"):
        found = parent.find(name)
        parent = found if found is not None else ET.SubElement(parent, name)
    parent.text = text


def _program(command: ServiceCommand) -> tuple[str, str]:
    """A task has no environment of its own: the command interpreter sets what is carried over."""
    program, *arguments = command.arguments
    if not command.environment:
        return program, subprocess.list2cmdline(arguments)
    steps = [*_settings(command), subprocess.list2cmdline(command.arguments)]
    return "cmd.exe", f'/d /s /c "{"&& ".join(steps)}"'


def _settings(command: ServiceCommand) -> Iterator[str]:
    """A percent sign stands for itself: only in a batch file is it written twice."""
    for name, value in command.environment.items():
        yield f'set "{name}={value}"'
