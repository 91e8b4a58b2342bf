"""Lists the devices of one runtime, in a process of its own: a driver may crash when it is asked.

python -m aipc.measure.prove.listing RUNTIME
"""

from __future__ import annotations

import sys

from aipc import telemetry
from aipc.child import encode, own_pipes
from aipc.devices import reachable_devices
from aipc.errors import AipcError
from aipc.records import plain


def main() -> None:
    """Answer with one line."""
    telemetry.switch_off()
    _, answers = own_pipes()
    try:
        devices = reachable_devices({sys.argv[1]})
        answers.write(encode({"devices": [plain(device) for device in devices]}))
    except AipcError as error:
        answers.write(encode({"error": type(error).__name__}))
    answers.flush()


if __name__ == "__main__":
    main()
