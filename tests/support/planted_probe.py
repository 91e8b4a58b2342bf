"""A child that stands in for `aipc.choose.probe.times`, and goes wrong as a runtime may.

    python planted_probe.py RUNTIME FAULT

For tasks of RUNTIME it does as FAULT says; others it answers as the real one does.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

from aipc.choose.probe import times
from aipc.errors import EngineError

RUNTIME, FAULT = sys.argv[1:]
_real = times.time_stacks


def planted(task, tell):
    if task.runtime != RUNTIME:
        return _real(task, tell)
    tell("loading")
    if FAULT == "hangs while loading":
        time.sleep(600)
    if FAULT == "crashes":
        os._exit(134)
    if FAULT == "fails":
        raise EngineError("the model could not be loaded: bad instruction")
    found = _real(task, tell)
    if FAULT == "hangs while answering":
        time.sleep(600)
    if FAULT == "answers nonsense":
        return replace(found, answers=tuple(token + 1 for token in found.answers))
    if FAULT == "is slow":
        slow = replace(found.large, token_s=10 * found.large.token_s + 1.0)
        return replace(found, large=slow)
    if FAULT == "takes all memory":
        return replace(found, memory=10**18)
    raise SystemExit(f"no fault '{FAULT}'")


times.time_stacks = planted
times.main()
