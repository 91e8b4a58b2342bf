"""What tells one machine from another of the same make, and no person anything.

machine-id(5) asks programs not to show the number itself: what is shown is its HMAC, as systemd's
own sd_id128_get_machine_app_specific makes one.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
from pathlib import Path

from aipc.devices.system.files import read_text

ROOT = Path("/")
_FILES = ("etc/machine-id", "var/lib/dbus/machine-id")
_WINDOWS = r"SOFTWARE\Microsoft\Cryptography"
_PURPOSE = b"aipc: which machine was measured"


def machine_id(root: Path = ROOT) -> str | None:
    """Eight hexadecimal digits, the same until the system is installed anew.

    None where the system has no such number: on macOS, and in most containers.
    """
    number = _number(root)
    if not number:
        return None
    return hmac.new(number.encode(), _PURPOSE, hashlib.sha256).hexdigest()[:8]


def _number(root: Path) -> str | None:
    if sys.platform == "win32":
        from aipc.devices.system import windows

        return str(windows.registry_value(_WINDOWS, "MachineGuid") or "")
    return next(filter(None, (read_text(root / file) for file in _FILES)), None)
