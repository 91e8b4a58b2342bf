"""Python's clock, set back and forth: ``CLOCK_FILE`` has the seconds that it is wrong by.

With this folder in PYTHONPATH it is that of a program and of all that it starts; clocks that only
count, and those of libraries in other languages, are right.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_right = time.time
_file = Path(os.environ["CLOCK_FILE"])


def wrong() -> float:
    text = _file.read_text("ascii")  # empty while it is written
    return _right() + float(text or 0)


time.time = wrong
time.time_ns = lambda: int(wrong() * 1e9)
